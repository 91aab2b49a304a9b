//! Encoding of points and scalars over `k256`: canonical, and without the identity.

use k256::elliptic_curve::group::prime::PrimeCurveAffine;
use k256::elliptic_curve::hash2curve::{ExpandMsgXmd, GroupDigest};
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::sec1::{EncodedPoint, FromEncodedPoint};
use k256::elliptic_curve::{BatchNormalize, PrimeField};
use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1};
use sha2::Sha256;

/// Length of an encoded point: SEC1, compressed.
pub const POINT: usize = 33;
/// Length of an encoded scalar: big-endian, below the group order.
pub const SCALAR: usize = 32;

/// Bytes that do not encode a point of the curve, or encode the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPoint;

/// Bytes that do not encode a scalar below the group order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScalar;

/// Decodes a compressed point. The identity has no encoding.
///
/// `k256`'s own `GroupEncoding` decodes 33 zero bytes to the identity, so the first byte is checked
/// here.
pub fn decode_point(bytes: &[u8]) -> Result<AffinePoint, InvalidPoint> {
    if bytes.len() != POINT || !matches!(bytes.first(), Some(2 | 3)) {
        return Err(InvalidPoint);
    }
    let encoded = EncodedPoint::<Secp256k1>::from_bytes(bytes).map_err(|_| InvalidPoint)?;
    Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&encoded)).ok_or(InvalidPoint)
}

/// Encodes a point; `None` for the identity, which has no encoding.
///
/// Points may be secret here, and `k256`'s own encoding branches on the first byte, and so on the
/// parity of y.
pub fn encode_point(point: &AffinePoint) -> Option<[u8; POINT]> {
    if bool::from(point.is_identity()) {
        return None;
    }
    let mut encoded = [0; POINT];
    let [first, x @ ..] = &mut encoded;
    *first = 2 + point.y_is_odd().unwrap_u8();
    x.copy_from_slice(&point.x());
    Some(encoded)
}

/// Affine coordinates of many points with one field inversion; `None` if one of them is the
/// identity.
///
/// `k256` documents that the identity is allowed here, but panics on one that resulted from an
/// addition: it compares the third coordinate with zero before reducing it. It panics on no points,
/// too.
pub fn normalize(points: &[ProjectivePoint]) -> Option<Vec<AffinePoint>> {
    if points.is_empty() {
        return Some(Vec::new());
    }
    if points.contains(&ProjectivePoint::IDENTITY) {
        return None;
    }
    Some(<ProjectivePoint as BatchNormalize<[ProjectivePoint]>>::batch_normalize(points))
}

/// Encodes many points with one field inversion; `None` if one of them is the identity.
pub fn encode_points(points: &[ProjectivePoint]) -> Option<Vec<[u8; POINT]>> {
    normalize(points)?.iter().map(encode_point).collect()
}

/// Decodes a scalar. A value that is not below the group order is refused, not reduced.
pub fn decode_scalar(bytes: &[u8]) -> Result<Scalar, InvalidScalar> {
    let bytes: [u8; SCALAR] = bytes.try_into().map_err(|_| InvalidScalar)?;
    Option::<Scalar>::from(Scalar::from_repr(bytes.into())).ok_or(InvalidScalar)
}

/// Encodes a scalar as 32 big-endian bytes.
pub fn encode_scalar(scalar: &Scalar) -> [u8; SCALAR] {
    scalar.to_bytes().into()
}

/// Hashes `message` to a point with unknown discrete logarithm, in constant time (RFC 9380, suite
/// `secp256k1_XMD:SHA-256_SSWU_RO_`).
pub fn hash_to_curve(message: &[u8], domain: &[u8]) -> ProjectivePoint {
    // The only failure is an over-long domain or output; both are fixed here.
    Secp256k1::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[message], &[domain])
        .unwrap_or(ProjectivePoint::IDENTITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::transcript::{PROTOCOL, length_prefixed};
    use crate::device::{hex, unhex};

    #[test]
    fn hash_to_curve_matches_rfc_9380() {
        let domain = b"QUUX-V01-CS02-with-secp256k1_XMD:SHA-256_SSWU_RO_";
        let x = |m: &[u8]| hex(&encode_point(&hash_to_curve(m, domain).into()).unwrap()[1..]);
        assert_eq!(x(b""), "c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346");
        assert_eq!(x(b"abc"), "3377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b");
    }

    #[test]
    fn hash_to_curve_matches_our_own_known_answer() {
        let domain = format!("{PROTOCOL}/baseot-h-with-secp256k1_XMD:SHA-256_SSWU_RO_");
        let point = hash_to_curve(&length_prefixed(&[b"kat"]), domain.as_bytes());
        assert_eq!(
            hex(&encode_point(&point.into()).unwrap()),
            "02ac7f79350e45207ffa2c459336ad608bf36f7a7756c8bd52ef86d9dc8b387f37"
        );
    }

    #[test]
    fn points_that_are_no_points_are_refused() {
        let mut off_curve = [0; 33];
        off_curve[0] = 2;
        off_curve[32] = 5;
        let mut x_is_p =
            unhex("02fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f").unwrap();
        let uncompressed_prefix = [4; 33];
        for bad in
            [&[0; 33][..], &off_curve, &x_is_p, &uncompressed_prefix, &[2; 32], &[], &[2; 65]]
        {
            assert_eq!(decode_point(bad), Err(InvalidPoint));
        }
        x_is_p.truncate(0);
        let generator: AffinePoint = ProjectivePoint::GENERATOR.into();
        let encoded = encode_point(&generator).unwrap();
        assert_eq!(decode_point(&encoded), Ok(generator));
        // SEC1's compact form, 05 and x, which `k256` decodes: a second encoding of one point.
        for prefix in (0..=255).filter(|prefix| !matches!(prefix, 2 | 3)) {
            let mut bad = encoded;
            bad[0] = prefix;
            assert_eq!(decode_point(&bad), Err(InvalidPoint), "{prefix}");
        }
        assert_eq!(encode_point(&AffinePoint::IDENTITY), None);
    }

    #[test]
    fn a_point_is_encoded_as_others_encode_it() {
        use k256::elliptic_curve::sec1::ToEncodedPoint;

        let mut point = ProjectivePoint::GENERATOR;
        for _ in 0..64 {
            point += ProjectivePoint::GENERATOR;
            let point = point.to_affine();
            assert_eq!(encode_point(&point).unwrap(), point.to_encoded_point(true).as_bytes());
        }
    }

    #[test]
    fn an_identity_among_many_points_is_found_wherever_it_came_from() {
        let generator = ProjectivePoint::GENERATOR;
        let sum = generator.double() + generator;
        let cancelled = sum - generator - generator.double();
        for identity in [ProjectivePoint::IDENTITY, cancelled, generator * Scalar::ZERO] {
            assert_eq!(normalize(&[generator, identity]), None);
            assert_eq!(encode_points(&[identity, sum]), None);
        }
        assert_eq!(normalize(&[sum]), Some(vec![sum.to_affine()]));
        assert_eq!(normalize(&[]), Some(vec![]));
    }

    #[test]
    fn scalars_at_and_above_the_order_are_refused() {
        let order =
            unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
        for bad in [&order[..], &[0xff; 32], &[1; 31], &[]] {
            assert_eq!(decode_scalar(bad), Err(InvalidScalar));
        }
        assert_eq!(decode_scalar(&[0; 32]), Ok(Scalar::ZERO));
    }
}
