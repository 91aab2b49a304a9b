//! What the driver holds of a key on either curve. Which one it is, is decided here and in the two macros;
//! what runs a ceremony is written once, for any curve.

use std::sync::Arc;

use k256::Secp256k1;
use p256::NistP256;

use crate::crypto::curve::{Curve, decode_point, encode_point, encode_scalar};
use crate::crypto::{bip32, ecdsa};
use crate::curve::CurveName;
use crate::party::PartyId;
use crate::protocol::fault::Check;
use crate::protocol::key::{Confirmation, KeyShare, Leaving, Origin, reveal_private_key};
use crate::secret::Secret;

/// A value of one curve or of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCurve<K, P> {
    /// Of secp256k1.
    Secp256k1(K),
    /// Of P-256.
    P256(P),
}

/// Evaluates `$body`, in which `$name` is the value of an [`OnCurve`], of whichever curve.
macro_rules! of_either {
    ($value:expr, $name:ident => $body:expr) => {
        match $value {
            $crate::driver::on_curve::OnCurve::Secp256k1($name) => $body,
            $crate::driver::on_curve::OnCurve::P256($name) => $body,
        }
    };
}

/// Evaluates `$body`, in which `$curve` is the type of the curve that a [`CurveName`] names.
macro_rules! on_curve {
    ($named:expr, $curve:ident => $body:expr) => {
        match $named {
            $crate::curve::CurveName::Secp256k1 => {
                type $curve = k256::Secp256k1;
                $body
            }
            $crate::curve::CurveName::P256 => {
                type $curve = p256::NistP256;
                $body
            }
        }
    };
}

pub(crate) use {of_either, on_curve};

/// As [`on_curve`], with the result as an [`OnCurve`].
macro_rules! each {
    ($named:expr, $curve:ident => $body:expr) => {
        match $named {
            CurveName::Secp256k1 => {
                type $curve = Secp256k1;
                $body.map(OnCurve::Secp256k1)
            }
            CurveName::P256 => {
                type $curve = NistP256;
                $body.map(OnCurve::P256)
            }
        }
    };
}

/// A share of a key on either curve.
pub type Share = OnCurve<Arc<KeyShare<Secp256k1>>, Arc<KeyShare<NistP256>>>;

/// What confirmations of an epoch are checked against, on either curve.
pub type Statements = OnCurve<Confirmation<Secp256k1>, Confirmation<NistP256>>;

/// What a device that leaves checks confirmations against, on either curve.
pub type Awaited = OnCurve<Leaving<Secp256k1>, Leaving<NistP256>>;

/// The public data of a key from which a reshare or an import starts, on either curve.
pub type Start = OnCurve<Origin<Secp256k1>, Origin<NistP256>>;

/// The name of a curve.
pub fn name_of<C: Curve>() -> CurveName {
    if C::IDENT == NistP256::IDENT { CurveName::P256 } else { CurveName::Secp256k1 }
}

/// Whether `public_key`, SEC1 compressed, is a point of this curve.
pub fn is_point(curve: CurveName, public_key: &[u8; 33]) -> bool {
    on_curve!(curve, C => decode_point::<k256::elliptic_curve::AffinePoint<C>>(public_key).is_ok())
}

impl Share {
    /// The number of the format that `bytes` are stored in, if they are a stored share.
    pub fn stored_format(bytes: &[u8]) -> Option<u64> {
        KeyShare::stored_format(bytes)
    }

    /// The latest number of a format that is read.
    pub const LATEST_FORMAT: u64 = KeyShare::<NistP256>::LATEST_FORMAT;

    /// The stored share, on whichever curve it says it is; `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let read = |curve| each!(curve, C => KeyShare::<C>::from_bytes(bytes).ok().map(Arc::new));
        CurveName::ALL.into_iter().find_map(read)
    }

    /// The curve.
    pub fn curve(&self) -> CurveName {
        match self {
            Self::Secp256k1(_) => CurveName::Secp256k1,
            Self::P256(_) => CurveName::P256,
        }
    }

    /// As [`KeyShare::can_sign`].
    pub fn can_sign(&self) -> bool {
        of_either!(self, share => share.can_sign())
    }

    /// How many parties must sign.
    pub fn threshold(&self) -> u8 {
        of_either!(self, share => share.threshold())
    }

    /// How many parties there are.
    pub fn count(&self) -> u8 {
        of_either!(self, share => share.count())
    }

    /// The party whose share this is.
    pub fn me(&self) -> PartyId {
        of_either!(self, share => share.me())
    }

    /// The generation of shares.
    pub fn epoch(&self) -> &[u8; 32] {
        of_either!(self, share => share.epoch())
    }

    /// The key, SEC1 compressed.
    pub fn public_key_bytes(&self) -> [u8; 33] {
        of_either!(self, share => share.public_key_bytes())
    }

    /// The BIP-32 chain code.
    pub fn chain_code(&self) -> &[u8; 32] {
        of_either!(self, share => share.chain_code())
    }

    /// Every party's identity, that of party 1 first.
    pub fn identities(&self) -> &[Vec<u8>] {
        of_either!(self, share => share.identities())
    }

    /// As [`KeyShare::public_data`].
    pub fn public_data(&self) -> Vec<u8> {
        of_either!(self, share => share.public_data())
    }

    /// As [`KeyShare::meeting_secret`].
    pub fn meeting_secret(&self, peer: PartyId) -> Option<Secret<[u8; 32]>> {
        of_either!(self, share => share.meeting_secret(peer))
    }

    /// As [`KeyShare::retire`].
    pub fn retire(&self, peer: PartyId, check: Check) {
        of_either!(self, share => share.retire(peer, check));
    }

    /// As [`KeyShare::to_backup`].
    pub fn to_backup(&self) -> Secret<Vec<u8>> {
        of_either!(self, share => share.to_backup())
    }

    /// The key at the end of `path` below this one, SEC1 compressed, and its difference to this one, 32 bytes
    /// big-endian; `None` if it cannot be derived. On a curve without wallets the empty path alone can.
    pub fn derived(&self, path: &[u32]) -> Option<([u8; 33], [u8; 32])> {
        match self {
            Self::Secp256k1(share) => {
                let child = bip32::derive(share.public_key(), share.chain_code(), path).ok()?;
                let tweak = encode_scalar(&child.tweak);
                Some((encode_point(&child.public_key)?, tweak))
            }
            Self::P256(share) => path.is_empty().then(|| (share.public_key_bytes(), [0; 32])),
        }
    }
}

/// The private key, 32 bytes big-endian, from these shares, as [`reveal_private_key`]; `None` if they do not go
/// together.
pub fn revealed(shares: &[&Share]) -> Option<Secret<[u8; 32]>> {
    let of_secp256k1 = shares.iter().map(|share| match share {
        Share::Secp256k1(share) => Some(&**share),
        Share::P256(_) => None,
    });
    let of_p256 = shares.iter().map(|share| match share {
        Share::P256(share) => Some(&**share),
        Share::Secp256k1(_) => None,
    });
    if let Some(shares) = of_secp256k1.collect::<Option<Vec<_>>>() {
        let key = reveal_private_key(&shares).ok()?;
        return Some(Secret::new(encode_scalar(key.expose())));
    }
    let key = reveal_private_key(&of_p256.collect::<Option<Vec<_>>>()?).ok()?;
    Some(Secret::new(encode_scalar(key.expose())))
}

impl Statements {
    /// Decodes the stored form for a key on `curve`, which it does not name.
    pub fn from_bytes(curve: CurveName, bytes: &[u8]) -> Option<Self> {
        each!(curve, C => Confirmation::<C>::from_bytes(bytes).ok())
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        of_either!(self, statements => statements.to_bytes().to_vec())
    }

    /// The statement of this party.
    pub fn message(&self) -> [u8; 32] {
        of_either!(self, statements => statements.message())
    }

    /// Whether `body` is the confirmation of `from`.
    pub fn verify(&self, from: PartyId, body: &[u8; 32]) -> bool {
        of_either!(self, statements => statements.verify(from, body))
    }

    /// The party that sends [`message`](Self::message).
    pub fn me(&self) -> PartyId {
        of_either!(self, statements => statements.me())
    }

    /// The generation of shares.
    pub fn epoch(&self) -> &[u8; 32] {
        of_either!(self, statements => statements.epoch())
    }

    /// The parties whose confirmation is needed, in index order.
    pub fn peers(&self) -> Vec<PartyId> {
        of_either!(self, statements => statements.peers().collect())
    }
}

impl Awaited {
    /// Decodes the stored form for a key on `curve`, which it does not name.
    pub fn from_bytes(curve: CurveName, bytes: &[u8]) -> Option<Self> {
        each!(curve, C => Leaving::<C>::from_bytes(bytes).ok())
    }

    /// The generation of shares.
    pub fn epoch(&self) -> &[u8; 32] {
        of_either!(self, awaited => awaited.epoch())
    }

    /// The parties whose confirmation is needed, in index order.
    pub fn parties(&self) -> Vec<PartyId> {
        of_either!(self, awaited => awaited.parties().collect())
    }

    /// Whether `body` is the confirmation of `from`.
    pub fn verify(&self, from: PartyId, body: &[u8; 32]) -> bool {
        of_either!(self, awaited => awaited.verify(from, body))
    }
}

impl Start {
    /// Decodes the public data of a key on `curve`.
    pub fn from_bytes(curve: CurveName, bytes: &[u8]) -> Option<Self> {
        each!(curve, C => Origin::<C>::from_bytes(bytes).ok())
    }

    /// The public data of a key that one party imports; `None` if `public_key` is no point of the curve.
    pub fn of_import(
        curve: CurveName,
        public_key: &[u8; 33],
        chain_code: &[u8; 32],
    ) -> Option<Vec<u8>> {
        on_curve!(curve, C => {
            let point = decode_point(public_key).ok()?;
            Some(Origin::<C>::of_import(&point, chain_code))
        })
    }

    /// The key, SEC1 compressed.
    pub fn public_key(&self) -> Option<[u8; 33]> {
        of_either!(self, origin => encode_point(origin.public_key()))
    }

    /// The BIP-32 chain code.
    pub fn chain_code(&self) -> &[u8; 32] {
        of_either!(self, origin => origin.chain_code())
    }

    /// As [`Origin::sizes`].
    pub fn sizes(&self) -> Option<(u8, u8)> {
        of_either!(self, origin => origin.sizes())
    }

    /// As [`Origin::epoch`].
    pub fn epoch(&self) -> Option<&[u8; 32]> {
        of_either!(self, origin => origin.epoch())
    }
}

/// A signature that was verified when it was made, on whichever curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    compact: [u8; 64],
    der: Vec<u8>,
    /// Bit 0: the nonce point's y is odd. Bit 1: its x is at or above the group order.
    pub recovery_id: u8,
}

impl<C: Curve> From<ecdsa::Signature<C>> for Signature {
    fn from(signature: ecdsa::Signature<C>) -> Self {
        let (compact, der) = (signature.compact(), signature.der());
        Self { compact, der, recovery_id: signature.recovery_id }
    }
}

impl Signature {
    /// The signature in DER of `digest` under `public_key`, SEC1 compressed; `None` unless it verifies and is
    /// in low-S form.
    pub fn recover(
        curve: CurveName,
        public_key: &[u8; 33],
        digest: &[u8; 32],
        der: &[u8],
    ) -> Option<Self> {
        on_curve!(curve, C => {
            let key = decode_point(public_key).ok()?;
            let (r, s) = ecdsa::from_der(der).ok()?;
            ecdsa::Signature::<C>::recover(&key, digest, &r, &s).map(Self::from)
        })
    }

    /// ASN.1 DER, 8 to 72 bytes.
    pub fn der(&self) -> Vec<u8> {
        self.der.clone()
    }

    /// `r || s`.
    pub fn compact(&self) -> [u8; 64] {
        self.compact
    }

    /// `r || s || recovery id`.
    pub fn recoverable(&self) -> [u8; 65] {
        let mut all = [self.recovery_id; 65];
        if let Some((front, _)) = all.split_first_chunk_mut::<64>() {
            *front = self.compact;
        }
        all
    }
}
