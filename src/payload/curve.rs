//! What the formats of signatures say of a curve.

/// A curve, as formats name it. Points and scalars of every curve that is named here have 32 bytes a
/// coordinate, and are signed with SHA-256.
#[derive(Debug)]
pub struct Curve {
    /// The algorithm of its signatures in JWS: `alg` of RFC 7518 §3.4 or RFC 8812 §3.2.
    pub jws: &'static str,
    /// Its object identifier in OpenPGP, without tag and length (RFC 6637 §11, and for secp256k1 the one of SEC 2).
    pub oid: &'static [u8],
}

/// secp256k1.
pub const SECP256K1: Curve = Curve { jws: "ES256K", oid: &[0x2b, 0x81, 0x04, 0x00, 0x0a] };
