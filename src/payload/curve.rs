//! What the formats of signatures say of a curve.

/// A curve, as formats name it. Points and scalars of every curve that is named here have 32 bytes a
/// coordinate, and are signed with SHA-256.
#[derive(Debug)]
pub struct Curve {
    /// The algorithm of its signatures in JWS: `alg` of RFC 7518 §3.4 or RFC 8812 §3.2.
    pub jws: &'static str,
}

/// secp256k1.
pub const SECP256K1: Curve = Curve { jws: "ES256K" };
