//! The curve of a test program: secp256k1. Its files take whatever depends on the curve from here.

use cosign_core::KeyShare;
use cosign_core::bip32::derive;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
pub(crate) use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1 as Curve};

pub(crate) type NonZeroScalar = k256::NonZeroScalar;
pub(crate) type PublicKey = k256::PublicKey;

/// The tweak of a path of wallets.
pub(crate) fn tweak(share: &KeyShare<Curve>, path: &[u32]) -> Scalar {
    derive(share.public_key(), share.chain_code(), path).unwrap().tweak
}

/// A tweak other than zero.
pub(crate) fn some_tweak() -> Scalar {
    Scalar::from(5_u64)
}

/// Whether another implementation takes `(r, s)` for a signature.
pub(crate) fn is_signature(key: &AffinePoint, digest: &[u8; 32], r: Scalar, s: Scalar) -> bool {
    let signature = k256::ecdsa::Signature::from_scalars(r, s).unwrap();
    let key = k256::ecdsa::VerifyingKey::from_affine(*key).unwrap();
    key.verify_prehash(digest, &signature).is_ok()
}
