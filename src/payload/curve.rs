//! What the formats of signatures say of a curve, and the key that signs.

use k256::elliptic_curve::sec1::ToEncodedPoint as _;

use super::bitcoin::Xpub;
use crate::crypto::curve::decode_point;
use crate::curve::CurveName;

/// A curve, as formats name it. Points and scalars of every curve that is named here have 32 bytes a
/// coordinate, and are signed with SHA-256.
#[derive(Debug)]
pub struct Curve {
    /// The algorithm of its signatures in JWS: `alg` of RFC 7518 §3.4 or RFC 8812 §3.2.
    pub jws: &'static str,
    /// Its object identifier in OpenPGP, without tag and length (RFC 6637 §11, and for secp256k1 the one of SEC 2).
    pub oid: &'static [u8],
    /// Its name.
    name: CurveName,
}

/// secp256k1.
pub const SECP256K1: Curve =
    Curve { jws: "ES256K", oid: &[0x2b, 0x81, 0x04, 0x00, 0x0a], name: CurveName::Secp256k1 };

/// P-256.
pub const P256: Curve = Curve {
    jws: "ES256",
    oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    name: CurveName::P256,
};

impl Curve {
    /// The curve of this name.
    pub fn named(name: CurveName) -> &'static Self {
        match name {
            CurveName::Secp256k1 => &SECP256K1,
            CurveName::P256 => &P256,
        }
    }

    /// A point of the curve from its compressed form (SEC1): 4, x and y; `None` if it is none.
    pub fn uncompressed(&self, public_key: &[u8; 33]) -> Option<[u8; 65]> {
        let read = match self.name {
            CurveName::Secp256k1 => |key: &[u8; 33]| {
                let point = decode_point::<k256::AffinePoint>(key).ok()?;
                point.to_encoded_point(false).as_bytes().try_into().ok()
            },
            CurveName::P256 => |key: &[u8; 33]| {
                let point = decode_point::<p256::AffinePoint>(key).ok()?;
                point.to_encoded_point(false).as_bytes().try_into().ok()
            },
        };
        read(public_key)
    }
}

/// The key that a payload is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// On secp256k1, from which others are derived.
    Secp256k1(Xpub),
    /// On P-256, SEC1 compressed.
    P256([u8; 33]),
}

impl Signer {
    /// The key; `None` if `public_key`, SEC1 compressed, is no point of the curve.
    pub fn new(curve: CurveName, public_key: &[u8; 33], chain_code: [u8; 32]) -> Option<Self> {
        match curve {
            CurveName::Secp256k1 => Xpub::new(public_key, chain_code).map(Self::Secp256k1),
            CurveName::P256 => P256.uncompressed(public_key).map(|_| Self::P256(*public_key)),
        }
    }

    /// The curve that it is on.
    pub fn curve(&self) -> &'static Curve {
        match self {
            Self::Secp256k1(_) => &SECP256K1,
            Self::P256(_) => &P256,
        }
    }

    /// The key at the end of `path` below it, SEC1 compressed; `None` if there is none.
    pub fn child(&self, path: &[u32]) -> Option<[u8; 33]> {
        match self {
            Self::Secp256k1(xpub) => xpub.child(path),
            Self::P256(key) => path.is_empty().then_some(*key),
        }
    }

    /// The key as wallets have it, if it is one of wallets.
    pub fn xpub(&self) -> Option<&Xpub> {
        match self {
            Self::Secp256k1(xpub) => Some(xpub),
            Self::P256(_) => None,
        }
    }
}
