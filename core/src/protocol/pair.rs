//! Pairing: two devices compute six digits, which two people compare.
//!
//! The requester (A) commits to its nonce before it sees the responder's (B), and opens it after.
//! So no side, and no attacker in the middle, can search for a nonce that gives a wanted code: an
//! attacker has one try in a million.
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
//! `;` puts every part behind its length; HMAC is HMAC-SHA256. The exporter binds all of it to one
//! TLS connection. Each state is a type: a code exists only once the opening is verified (for the
//! requester: once its nonce is bound by the commitment), and [`Paired`] only once both people have
//! confirmed.

pub mod group;

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::transcript::length_prefixed;
use crate::device::Fingerprint;
use crate::secret::Secret;

/// The label of the TLS exporter value for a pairing.
pub const EXPORTER: &str = "EXPORTER-cosign-pair";

/// One of the two devices.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its fingerprint, proved in the TLS handshake.
    pub fingerprint: Fingerprint,
    /// The name it announces, as both devices show it.
    pub name: &'a [u8],
}

/// Why a pairing failed.
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
    /// Starts a pairing that this device requests. `exporter` is the TLS exporter value for
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
    /// Answers the pairing that the peer requests with `commitment`; the rest is as for
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

/// Both nonces are known, and there is a code to compare. Dropping this refuses.
#[derive(Debug)]
pub struct Compare {
    facts: Facts,
    key: Secret<[u8; 32]>,
}

impl Compare {
    /// The digits that both screens show.
    pub fn code(&self) -> Code {
        Code::of(&self.key)
    }

    /// The person at this device confirmed the code. Returns the confirmation, 32 bytes to send.
    pub fn confirm(self) -> (Confirmed, [u8; 32]) {
        let Facts { role, me, peer, .. } = self.facts;
        let confirmation = confirmation(&self.key, role, me, peer);
        (Confirmed { facts: self.facts, key: self.key }, confirmation)
    }
}

/// The person at this device has confirmed, the other not yet.
#[derive(Debug)]
pub struct Confirmed {
    facts: Facts,
    key: Secret<[u8; 32]>,
}

impl Confirmed {
    /// Takes the other side's confirmation.
    ///
    /// # Errors
    /// [`PairError::Confirmation`] if it is not the other side's for this pairing.
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

/// Both people have compared and confirmed the codes.
#[derive(Debug)]
pub struct Paired {
    peer: Fingerprint,
}

impl Paired {
    /// The paired device.
    pub fn peer(&self) -> Fingerprint {
        self.peer
    }
}

/// Six digits. They are compared by people and never typed, so there is no way to parse them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u64);

impl Code {
    fn of(key: &Secret<[u8; 32]>) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = mac(key.expose(), &[b"code"]);
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000)
    }
}

impl fmt::Display for Code {
    /// As shown: `385 721`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Debug for Code {
    /// Not printed, so that logs hold no codes.
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

/// The facts that are fixed before the first nonce: the two sides and the connection.
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

/// The confirmation of the device `me` in `role` for `peer`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    fn exporter(fill: u8) -> Secret<[u8; 32]> {
        Secret::new(std::array::from_fn(|i| fill.wrapping_add(i as u8)))
    }

    fn nonce(fill: u8) -> Secret<[u8; 32]> {
        Secret::new([fill; 32])
    }

    fn alice() -> Side<'static> {
        Side { fingerprint: Fingerprint::new([0xa1; 32]), name: b"alice" }
    }

    fn bob() -> Side<'static> {
        Side { fingerprint: Fingerprint::new([0xb2; 32]), name: "bøb".as_bytes() }
    }

    fn mallory() -> Side<'static> {
        Side { fingerprint: Fingerprint::new([0xee; 32]), name: b"bob" }
    }

    /// Alice asks, Bob answers, up to the codes. `connection` makes the exporter and the nonces.
    fn compared(connection: u8) -> (Compare, Compare) {
        let exporter = exporter(connection);
        let (requester, commitment) =
            Requester::start(&exporter, alice(), bob(), nonce(connection ^ 0x11)).unwrap();
        let own = nonce(connection ^ 0x22);
        let (responder, shown) =
            Responder::start(&exporter, bob(), alice(), own, commitment).unwrap();
        let (at_alice, opening) = requester.reveal(&shown);
        (at_alice, responder.open(&opening).unwrap())
    }

    #[test]
    fn every_value_matches_the_known_answers() {
        let (_, commitment) = Requester::start(&exporter(0), alice(), bob(), nonce(0x11)).unwrap();
        assert_eq!(
            hex(&commitment),
            "12bb4958da640cbc9375258d5033d2e8ae7d1fb03134a9a8f0c1f4c0b992705c"
        );
        let (at_alice, at_bob) = compared(0);
        assert_eq!(at_alice.code().to_string(), "005 308");
        assert_eq!(at_bob.code().to_string(), "005 308");
        assert_eq!(
            hex(&at_alice.confirm().1),
            "fdb9a3c492dc67ae35716bc44a516e8cf03de33702ce3613f4e4ba5d35aef561"
        );
        assert_eq!(
            hex(&at_bob.confirm().1),
            "08ed61f680327b7e8f849e039e06c82e55fa69cc75bc7242c181f75106c91008"
        );
    }

    #[test]
    fn two_yeses_pair_each_with_the_other() {
        let (at_alice, at_bob) = compared(1);
        let (at_alice, from_alice) = at_alice.confirm();
        let (at_bob, from_bob) = at_bob.confirm();
        assert_eq!(at_alice.finish(&from_bob).unwrap().peer(), bob().fingerprint);
        assert_eq!(at_bob.finish(&from_alice).unwrap().peer(), alice().fingerprint);
    }

    #[test]
    fn a_device_is_not_paired_with_itself() {
        let twin = Side { name: b"other name", ..alice() };
        let asked = Requester::start(&exporter(0), alice(), twin, nonce(1));
        assert_eq!(asked.err(), Some(PairError::Oneself));
        let answered = Responder::start(&exporter(0), alice(), twin, nonce(1), [0; 32]);
        assert_eq!(answered.err(), Some(PairError::Oneself));
    }

    #[test]
    fn any_altered_bit_of_the_opening_or_commitment_is_refused() {
        let (_, commitment) = Requester::start(&exporter(0), alice(), bob(), nonce(7)).unwrap();
        let open = |commitment, opening| {
            Responder::start(&exporter(0), bob(), alice(), nonce(8), commitment)
                .unwrap()
                .0
                .open(&opening)
                .err()
        };
        assert_eq!(open(commitment, [7; 32]), None);
        for bit in 0..256 {
            let flip = |mut bytes: [u8; 32]| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            };
            assert_eq!(open(flip(commitment), [7; 32]), Some(PairError::Opening));
            assert_eq!(open(commitment, flip([7; 32])), Some(PairError::Opening));
        }
    }

    #[test]
    fn an_opening_for_other_facts_is_refused() {
        let other_name = Side { name: b"alicia", ..alice() };
        for (exporter, me, peer) in [
            (exporter(1), bob(), alice()),
            (exporter(0), mallory(), alice()),
            (exporter(0), bob(), mallory()),
            (exporter(0), bob(), other_name),
        ] {
            let (_, commitment) =
                Requester::start(&self::exporter(0), alice(), bob(), nonce(7)).unwrap();
            let (responder, _) =
                Responder::start(&exporter, me, peer, nonce(8), commitment).unwrap();
            assert_eq!(responder.open(&[7; 32]).err(), Some(PairError::Opening));
        }
    }

    #[test]
    fn a_man_in_the_middle_shows_two_different_codes() {
        // He ends both TLS connections, so the exporters differ, and shows his own key to both.
        let (with_alice, commitment) =
            Requester::start(&exporter(1), alice(), mallory(), nonce(1)).unwrap();
        let (his, shown) =
            Responder::start(&exporter(1), mallory(), alice(), nonce(3), commitment).unwrap();
        let (at_alice, opening) = with_alice.reveal(&shown);
        assert_eq!(his.open(&opening).unwrap().code(), at_alice.code());

        let (his, commitment) = Requester::start(&exporter(2), mallory(), bob(), nonce(3)).unwrap();
        let (with_bob, shown) =
            Responder::start(&exporter(2), bob(), mallory(), nonce(2), commitment).unwrap();
        let at_bob = with_bob.open(&his.reveal(&shown).1).unwrap();
        assert_ne!(at_alice.code(), at_bob.code());
    }

    #[test]
    fn relayed_pairing_messages_do_not_survive_two_connections() {
        // He forwards every message unchanged, over two connections of his own.
        let (_, commitment) = Requester::start(&exporter(1), alice(), mallory(), nonce(1)).unwrap();
        let (with_bob, _) =
            Responder::start(&exporter(2), bob(), mallory(), nonce(2), commitment).unwrap();
        assert_eq!(with_bob.open(&[1; 32]).err(), Some(PairError::Opening));
    }

    #[test]
    fn a_nonce_searched_for_after_the_answer_is_refused() {
        let facts = || Facts::new(&exporter(2), Role::Responder, bob(), mallory()).unwrap();
        let (_, commitment) = Requester::start(&exporter(2), mallory(), bob(), nonce(3)).unwrap();
        let (with_bob, shown) =
            Responder::start(&exporter(2), bob(), mallory(), nonce(2), commitment).unwrap();
        // Without a commitment this little work gives the first three digits.
        let wanted = 385;
        let ground = (0_u32..100_000)
            .map(|counter| {
                let mut nonce = [0; 32];
                nonce[..4].copy_from_slice(&counter.to_be_bytes());
                nonce
            })
            .find(|nonce| facts().compare(nonce, &shown).code().0 / 1000 == wanted)
            .unwrap();
        assert_eq!(with_bob.open(&ground).err(), Some(PairError::Opening));
    }

    #[test]
    fn reflected_altered_and_foreign_confirmations_are_refused() {
        let (own, _) = compared(1);
        let reflected = own.confirm().1;
        let (_, foreign) = compared(2);
        let foreign = foreign.confirm().1;
        let (_, right) = compared(1);
        let mut altered = right.confirm().1;
        altered[31] ^= 1;
        for wrong in [reflected, foreign, altered, [0; 32]] {
            let (at_alice, _) = compared(1);
            let (at_alice, _) = at_alice.confirm();
            assert_eq!(at_alice.finish(&wrong).err(), Some(PairError::Confirmation));
        }
    }

    #[test]
    fn two_requesters_never_agree_on_a_code() {
        let (at_alice, _) = Requester::start(&exporter(0), alice(), bob(), nonce(1)).unwrap();
        let (at_bob, _) = Requester::start(&exporter(0), bob(), alice(), nonce(2)).unwrap();
        assert_ne!(at_alice.reveal(&[2; 32]).0.code(), at_bob.reveal(&[1; 32]).0.code());
    }

    #[test]
    fn a_code_prints_six_digits_and_hides_from_logs() {
        assert_eq!(Code(385_721).to_string(), "385 721");
        assert_eq!(Code(7).to_string(), "000 007");
        assert_eq!(format!("{:?}", Code(385_721)), "Code(..)");
    }
}
