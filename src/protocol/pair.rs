//! Pairing: two devices agree on six digits that two people compare.
//!
//! The requester (A) commits to its nonce before it sees the responder's (B), and opens it after. So
//! neither side, nor anybody between them, can choose its nonce after the other's and search for one
//! that gives a wanted code: whoever sits in the middle has one try in a million.
//!
//! ```text
//! T    = SHA256("cosign/pair/v1" ; exporter ; fpA ; fpB ; nameA ; nameB)
//! A -> B : c = HMAC(N_a, "commit" ; T)
//! B -> A : N_b
//! A -> B : N_a                                   B recomputes c
//! K    = HMAC(N_a || N_b, "key" ; T)
//! code = first 8 bytes of HMAC(K, "code"), big-endian, mod 10^6
//! after the local yes: HMAC(K, "confirm" ; role ; fp_self ; fp_peer)
//! ```
//!
//! `;` puts every part behind its length; HMAC is HMAC-SHA256. The exporter ties all of it to one TLS
//! connection. Each state is a type: a code exists only once the opening has been verified (for the
//! requester: once the commitment can no longer be taken back), and [`Paired`] only once both people
//! said yes.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::transcript::length_prefixed;
use crate::device::Fingerprint;
use crate::secret::Secret;

/// The label of the TLS exporter value that a pairing starts from.
pub const EXPORTER: &str = "EXPORTER-cosign-pair";

/// One of the two devices.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Proved in the TLS handshake.
    pub fingerprint: Fingerprint,
    /// The name it announces, as both devices show it.
    pub name: &'a [u8],
}

/// Why there is no pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairError {
    /// The other side has this device's own key.
    Oneself,
    /// The opening does not fit the commitment.
    Opening,
    /// The other side's confirmation is not one of this pairing, or not of the other side.
    Confirmation,
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oneself => "a device cannot be paired with itself",
            Self::Opening => "the other side's nonce does not fit its commitment",
            Self::Confirmation => "the other side's confirmation is wrong",
        })
    }
}

impl std::error::Error for PairError {}

/// The requester, committed to its nonce.
#[derive(Debug)]
pub struct Requester {
    facts: Facts,
    nonce: Secret<[u8; 32]>,
}

impl Requester {
    /// Starts a pairing that this device asked for. `exporter` is the TLS exporter value for
    /// [`EXPORTER`], `nonce` 32 fresh random bytes. Returns the commitment, 32 bytes to send.
    ///
    /// # Errors
    /// [`PairError::Oneself`].
    pub fn start(
        exporter: &Secret<[u8; 32]>,
        me: Side<'_>,
        peer: Side<'_>,
        nonce: Secret<[u8; 32]>,
    ) -> Result<(Self, [u8; 32]), PairError> {
        let facts = Facts::new(exporter, Role::Requester, me, peer)?;
        let commitment = facts.commitment(nonce.expose());
        Ok((Self { facts, nonce }, commitment))
    }

    /// Takes the responder's nonce. Returns the opening, 32 bytes to send.
    pub fn reveal(self, responder_nonce: &[u8; 32]) -> (Compare, [u8; 32]) {
        let opening = *self.nonce.expose();
        (self.facts.compare(&opening, responder_nonce), opening)
    }
}

/// The responder, which holds a commitment that has not been opened.
#[derive(Debug)]
pub struct Responder {
    facts: Facts,
    commitment: [u8; 32],
    nonce: Secret<[u8; 32]>,
}

impl Responder {
    /// Answers a pairing that the peer asked for with `commitment`; the rest is as for
    /// [`Requester::start`]. Returns the nonce to send.
    ///
    /// # Errors
    /// [`PairError::Oneself`].
    pub fn start(
        exporter: &Secret<[u8; 32]>,
        me: Side<'_>,
        peer: Side<'_>,
        nonce: Secret<[u8; 32]>,
        commitment: [u8; 32],
    ) -> Result<(Self, [u8; 32]), PairError> {
        let facts = Facts::new(exporter, Role::Responder, me, peer)?;
        let shown = *nonce.expose();
        Ok((Self { facts, commitment, nonce }, shown))
    }

    /// Takes the requester's opening.
    ///
    /// # Errors
    /// [`PairError::Opening`] if it does not fit the commitment. There is no code then.
    pub fn open(self, requester_nonce: &[u8; 32]) -> Result<Compare, PairError> {
        let commitment = self.facts.commitment(requester_nonce);
        if bool::from(commitment.ct_eq(&self.commitment)) {
            Ok(self.facts.compare(requester_nonce, self.nonce.expose()))
        } else {
            Err(PairError::Opening)
        }
    }
}

/// Both nonces are known: there is a code to compare. Dropping this is saying no.
#[derive(Debug)]
pub struct Compare {
    facts: Facts,
    key: Secret<[u8; 32]>,
}

impl Compare {
    /// The digits that both screens show.
    pub fn code(&self) -> Code {
        let [a, b, c, d, e, f, g, h, ..] = mac(self.key.expose(), &[b"code"]);
        Code(u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000)
    }

    /// The person at this device said that the codes are the same. Returns the confirmation, 32
    /// bytes to send.
    pub fn confirm(self) -> (Confirmed, [u8; 32]) {
        let Facts { role, me, peer, .. } = self.facts;
        let confirmation = confirmation(&self.key, role, me, peer);
        (Confirmed { facts: self.facts, key: self.key }, confirmation)
    }
}

/// The person at this device said yes; the other has still to.
#[derive(Debug)]
pub struct Confirmed {
    facts: Facts,
    key: Secret<[u8; 32]>,
}

impl Confirmed {
    /// Takes the other side's confirmation.
    ///
    /// # Errors
    /// [`PairError::Confirmation`] if it is not the other side's for this very pairing.
    pub fn finish(self, peer_confirmation: &[u8; 32]) -> Result<Paired, PairError> {
        let Facts { role, me, peer, .. } = self.facts;
        let expected = confirmation(&self.key, role.other(), peer, me);
        if bool::from(expected.ct_eq(peer_confirmation)) {
            Ok(Paired { peer })
        } else {
            Err(PairError::Confirmation)
        }
    }
}

/// Two people have compared the codes and both said yes.
#[derive(Debug)]
pub struct Paired {
    peer: Fingerprint,
}

impl Paired {
    /// The device that is now known.
    pub fn peer(&self) -> Fingerprint {
        self.peer
    }
}

/// Six digits. It is compared by people and never read back: there is no way to make one from text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u64);

impl fmt::Display for Code {
    /// As on the screens: `385 721`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Debug for Code {
    /// Logs hold no codes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Requester,
    Responder,
}

impl Role {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Requester => b"requester",
            Self::Responder => b"responder",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Requester => Self::Responder,
            Self::Responder => Self::Requester,
        }
    }
}

/// What is fixed before the first nonce: who the two are, on which connection.
#[derive(Debug)]
struct Facts {
    role: Role,
    me: Fingerprint,
    peer: Fingerprint,
    transcript: [u8; 32],
}

impl Facts {
    fn new(
        exporter: &Secret<[u8; 32]>,
        role: Role,
        me: Side<'_>,
        peer: Side<'_>,
    ) -> Result<Self, PairError> {
        if me.fingerprint == peer.fingerprint {
            return Err(PairError::Oneself);
        }
        let (a, b) = match role {
            Role::Requester => (me, peer),
            Role::Responder => (peer, me),
        };
        let input = Zeroizing::new(length_prefixed(&[
            LABEL,
            exporter.expose(),
            a.fingerprint.as_bytes(),
            b.fingerprint.as_bytes(),
            a.name,
            b.name,
        ]));
        let transcript = Sha256::digest(&*input).into();
        Ok(Self { role, me: me.fingerprint, peer: peer.fingerprint, transcript })
    }

    fn commitment(&self, requester_nonce: &[u8; 32]) -> [u8; 32] {
        mac(requester_nonce, &[b"commit", &self.transcript])
    }

    fn compare(self, requester_nonce: &[u8; 32], responder_nonce: &[u8; 32]) -> Compare {
        let mut nonces = Zeroizing::new([0; 64]);
        let (a, b) = nonces.split_at_mut(32);
        a.copy_from_slice(requester_nonce);
        b.copy_from_slice(responder_nonce);
        let key = Secret::new(mac(nonces.as_slice(), &[b"key", &self.transcript]));
        Compare { facts: self, key }
    }
}

/// What the device `me` in `role` sends once its person said yes to `peer`.
fn confirmation(
    key: &Secret<[u8; 32]>,
    role: Role,
    me: Fingerprint,
    peer: Fingerprint,
) -> [u8; 32] {
    mac(key.expose(), &[b"confirm", role.name(), me.as_bytes(), peer.as_bytes()])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length, so this cannot fail.
    let Ok(keyed) = <Hmac<Sha256> as Mac>::new_from_slice(key) else { return [0; 32] };
    keyed.chain_update(length_prefixed(parts)).finalize().into_bytes().into()
}

const LABEL: &[u8] = b"cosign/pair/v1";
