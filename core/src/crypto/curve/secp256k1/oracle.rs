//! Many hashes to the curve at once (RFC 9380, suite `secp256k1_XMD:SHA-256_SSWU_RO_`).
//!
//! The same function as `k256`'s own, four times as fast: fractions are
//! kept until one inversion serves the whole batch, and the one remaining power uses an addition
//! chain. Curve constants and field arithmetic are those of `k256`. Constant time: the receiver of
//! a base transfer hashes secrets.

use k256::elliptic_curve::generic_array::GenericArray;
use k256::elliptic_curve::hash2curve::{
    ExpandMsg, ExpandMsgXmd, Expander, FromOkm, GroupDigest, Isogeny, OsswuMap, OsswuMapParams,
    Sgn0,
};
use k256::elliptic_curve::ops::BatchInvert;
use k256::elliptic_curve::sec1::{EncodedPoint, FromEncodedPoint};
use k256::{AffinePoint, ProjectivePoint, Secp256k1};
use sha2::Sha256;
use subtle::ConditionallySelectable;
use zeroize::{Zeroize, Zeroizing};

/// The base field, which `k256` names only here.
type Field = <Secp256k1 as GroupDigest>::FieldElement;

const MAP: OsswuMapParams<Field> = <Field as OsswuMap>::PARAMS;

/// A point whose coordinates are still fractions.
#[derive(Clone, Copy, Zeroize)]
struct Fractions {
    x: [Field; 2],
    y: [Field; 2],
}

/// Hashes every message to a point with unknown discrete logarithm.
pub(super) fn hash_all(
    messages: impl Iterator<Item = Zeroizing<Vec<u8>>>,
    domain: &[u8],
) -> Zeroizing<Vec<ProjectivePoint>> {
    let mut fractions = Zeroizing::new(Vec::with_capacity(2 * messages.size_hint().0));
    for message in messages {
        let elements = Zeroizing::new(hash_to_field(&message, domain));
        fractions.extend(elements.iter().map(map));
    }
    let points = divide(&fractions);
    let sum = |pair: &[AffinePoint; 2]| ProjectivePoint::from(pair[0]) + pair[1];
    Zeroizing::new(points.as_chunks().0.iter().map(sum).collect())
}

/// Two field elements from a message (RFC 9380 §5.2).
fn hash_to_field(message: &[u8], domain: &[u8]) -> [Field; 2] {
    let mut elements = [Field::ZERO; 2];
    // Fails only for an over-long domain; ours is a constant.
    if let Ok(mut expander) = ExpandMsgXmd::<Sha256>::expand_message(&[message], &[domain], 96) {
        for element in &mut elements {
            let mut bytes = GenericArray::default();
            expander.fill_bytes(&mut bytes);
            *element = Field::from_okm(&bytes);
        }
    }
    elements
}

/// The simplified SWU map to the isogenous curve, then the isogeny (RFC 9380 §6.6.3, F.2, E.1).
fn map(u: &Field) -> Fractions {
    let square = u.square();
    let zu2 = MAP.z * square;
    let sum = zu2.square() + zu2;
    let numerator = MAP.map_b * (sum + Field::ONE);
    let mut d = sum * MAP.map_a.negate(1);
    d.conditional_assign(&(MAP.z * MAP.map_a), sum.normalizes_to_zero());

    // g(x) as a fraction over d^3, for the first candidate x = numerator / d.
    let d2 = d.square();
    let d3 = d2 * d;
    let g = numerator * (numerator.square() + MAP.map_a * d2) + MAP.map_b * d3;
    let product = g * d3;
    let root = power(&(product * d3.square())) * product;
    let is_root = (root.square() * d3 + g.negate(2)).normalizes_to_zero();

    // If that is no square, the second candidate is, and its root follows from the same power.
    let n = Field::conditional_select(&(zu2 * numerator), &numerator, is_root);
    let y = Field::conditional_select(&(root * MAP.c2 * square * u), &root, is_root);
    let y = Field::conditional_select(&y, &y.negate(1), u.sgn0() ^ y.sgn0());

    // The isogeny's polynomials of n / d, all multiplied by d^3.
    let n2 = n.square();
    let monomials = [d3, n * d2, n2 * d, n2 * n];
    let polynomial = |coefficients| Field::compute_iso(&monomials, coefficients);
    let isogeny = Field::COEFFICIENTS;
    Fractions {
        x: [polynomial(isogeny.xnum), polynomial(isogeny.xden)],
        y: [y * polynomial(isogeny.ynum), polynomial(isogeny.yden)],
    }
}

/// `a^((p - 3) / 4)`. In binary the exponent is 223 ones, a zero, 22 ones, then 00001011.
fn power(a: &Field) -> Field {
    let squared = |x: Field, times| (0..times).fold(x, |x, _| x.square());
    let ones2 = squared(*a, 1) * a;
    let ones3 = squared(ones2, 1) * a;
    let ones6 = squared(ones3, 3) * ones3;
    let ones9 = squared(ones6, 3) * ones3;
    let ones11 = squared(ones9, 2) * ones2;
    let ones22 = squared(ones11, 11) * ones11;
    let ones44 = squared(ones22, 22) * ones22;
    let ones88 = squared(ones44, 44) * ones44;
    let ones176 = squared(ones88, 88) * ones88;
    let ones220 = squared(ones176, 44) * ones44;
    let ones223 = squared(ones220, 3) * ones3;
    squared(squared(squared(ones223, 23) * ones22, 5) * a, 3) * ones2
}

/// Divides all fractions with one inversion, and returns the points.
///
/// A zero denominator, which cannot be found in practice, would void the batch: the points would
/// not be on the curve and count as the identity.
fn divide(fractions: &[Fractions]) -> Zeroizing<Vec<AffinePoint>> {
    let denominators: Zeroizing<Vec<Field>> =
        Zeroizing::new(fractions.iter().map(|point| point.x[1] * point.y[1]).collect());
    let inverses: Option<Vec<Field>> =
        <Field as BatchInvert<[Field]>>::batch_invert(denominators.as_slice()).into();
    let inverses = Zeroizing::new(inverses.unwrap_or_else(|| vec![Field::ZERO; fractions.len()]));
    let point = |(point, inverse): (&Fractions, &Field)| {
        let x = (point.x[0] * point.y[1] * inverse).to_bytes();
        let y = (point.y[0] * point.x[1] * inverse).to_bytes();
        let encoded = EncodedPoint::<Secp256k1>::from_affine_coordinates(&x, &y, false);
        AffinePoint::from_encoded_point(&encoded).unwrap_or(AffinePoint::IDENTITY)
    };
    Zeroizing::new(fractions.iter().zip(inverses.iter()).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::encode_point;
    use crate::device::hex;
    use k256::elliptic_curve::hash2curve::MapToCurve;
    use proptest::prelude::*;

    fn hash(messages: &[&[u8]], domain: &[u8]) -> Vec<ProjectivePoint> {
        hash_all(messages.iter().map(|m| Zeroizing::new(m.to_vec())), domain).to_vec()
    }

    fn by_k256(message: &[u8]) -> ProjectivePoint {
        Secp256k1::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[message], &[b"domain"]).unwrap()
    }

    #[test]
    fn hashes_match_rfc_9380() {
        let domain = b"QUUX-V01-CS02-with-secp256k1_XMD:SHA-256_SSWU_RO_";
        let points = hash(&[b"", b"abc", b"abcdef0123456789"], domain);
        let x: Vec<_> = points
            .iter()
            .map(|point| hex(&encode_point(&point.to_affine()).unwrap()[1..]))
            .collect();
        assert_eq!(
            x,
            [
                "c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346",
                "3377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b",
                "bac54083f293f1fe08e4a70137260aa90783a5cb84d3f35848b324d0674b0e3a",
            ]
        );
    }

    #[test]
    fn the_map_agrees_at_its_exceptions() {
        // At zero the denominator vanishes and another one takes its place.
        let exceptions = [Field::ZERO, Field::ONE, Field::ONE.negate(1), MAP.z];
        let points = divide(&exceptions.map(|u| map(&u)));
        for (u, point) in exceptions.iter().zip(points.iter()) {
            assert_eq!(u.map_to_curve(), ProjectivePoint::from(*point));
        }
    }

    proptest! {
        #[test]
        fn a_batch_equals_single_hashes(messages: Vec<Vec<u8>>) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let single: Vec<_> = messages.iter().map(|m| by_k256(m)).collect();
            prop_assert_eq!(hash(&messages, b"domain"), single);
        }
    }
}
