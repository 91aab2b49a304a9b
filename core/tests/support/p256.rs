//! The curve of a test program: P-256, as [`secp256k1.rs`](../secp256k1.rs) for the other one.

use cosign_core::KeyShare;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
pub(crate) use p256::{AffinePoint, NistP256 as Curve, ProjectivePoint, Scalar};

pub(crate) type NonZeroScalar = p256::NonZeroScalar;
pub(crate) type PublicKey = p256::PublicKey;

/// There is no derivation, so the only tweak is zero.
pub(crate) fn tweak(_: &KeyShare<Curve>, _path: &[u32]) -> Scalar {
    some_tweak()
}

/// As [`tweak`].
pub(crate) fn some_tweak() -> Scalar {
    Scalar::ZERO
}

/// Whether another implementation takes `(r, s)` for a signature.
pub(crate) fn is_signature(key: &AffinePoint, digest: &[u8; 32], r: Scalar, s: Scalar) -> bool {
    let signature = p256::ecdsa::Signature::from_scalars(r, s).unwrap();
    let key = p256::ecdsa::VerifyingKey::from_affine(*key).unwrap();
    key.verify_prehash(digest, &signature).is_ok()
}
