//! Multiples of points, faster than `k256` makes them: [`lockstep`] for hundreds at once, [`few`] for one or two.
//!
//! Constant time in scalars, and in points but for those that are called public. Every digit of a
//! scalar is odd, so every addition is of a point other than the identity, and the formulas need to
//! know neither the identity nor two points alike. Multiples of one point meet these exceptions for a few scalars,
//! and those drawn at random are among them with probability below 2^-120; then the result is the identity. So
//! nothing here may be used with scalars that another party chooses. [`few::differences`] adds up multiples of two
//! points: a peer that knows a guess of the scalar to be right may make it meet an exception, by which a product
//! that fits is refused and none that does not is accepted. Field arithmetic is that of `k256`.

use std::sync::LazyLock;

use k256::elliptic_curve::bigint::ArrayEncoding;
use k256::elliptic_curve::hash2curve::GroupDigest;
use k256::elliptic_curve::ops::{Invert, Reduce};
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::sec1::{EncodedPoint, FromEncodedPoint, ToEncodedPoint};
use k256::{AffinePoint, Scalar, Secp256k1, U256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::curve::{Arithmetic, encode_scalar, odd_multiples};

pub(super) mod few;
pub(super) mod lockstep;

/// The base field; `k256` exports its type only as this associated type.
type Field = <Secp256k1 as GroupDigest>::FieldElement;

/// Digits in each half of a scalar.
const HALF_DIGITS: usize = 33;

/// The multiples of a point by 1, 3 .. 15.
type Table = [Affine; 8];

/// A point other than the identity. Coordinates are of magnitude 1.
#[derive(Clone, Copy, Zeroize)]
#[expect(missing_debug_implementations, reason = "it may be secret")]
pub struct Affine {
    x: Field,
    y: Field,
}

impl Affine {
    /// Coordinates of a public point.
    pub(crate) fn of_public(point: &AffinePoint) -> Self {
        let encoded = point.to_encoded_point(false);
        let read = |bytes| Field::from_bytes(bytes).unwrap_or(Field::ZERO);
        Self { x: read(&point.x()), y: encoded.y().map_or(Field::ZERO, read) }
    }

    /// The point with these coordinates; the identity, if they are no point's.
    fn point(&self) -> AffinePoint {
        let encoded = EncodedPoint::<Secp256k1>::from_affine_coordinates(
            &self.x.to_bytes(),
            &self.y.to_bytes(),
            false,
        );
        AffinePoint::from_encoded_point(&encoded).unwrap_or(AffinePoint::IDENTITY)
    }
}

impl ConditionallySelectable for Affine {
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self {
            x: Field::conditional_select(&a.x, &b.x, choice),
            y: Field::conditional_select(&a.y, &b.y, choice),
        }
    }
}

/// The scalar whose digits make up `scalar`: as `sum_i (2 s_i - 1) 2^i` over 256 bits is `2 s - 2^256 + 1`, it is
/// `(scalar + 2^256 - 1) / 2`.
fn halved(scalar: &Scalar) -> Scalar {
    (<Scalar as Reduce<U256>>::reduce(U256::MAX) + scalar) * *HALF
}

/// Two scalars of 132 bits whose digits, those of the second times `lambda`, make up `scalar`.
///
/// As `sum_i (2 s_i - 1) 2^i` over 132 bits is `2 s - 2^132 + 1`, the halves `v` of
/// `(scalar + (2^132 - 2^129 - 1) (1 + lambda)) / 2`, which are between -2^128 and 2^128, give
/// `s = v + 2^128` (libsecp256k1, `ecmult_const_impl.h`, explains the same).
fn split(scalar: &Scalar) -> [Scalar; 2] {
    let Lattice { lambda, shift, offset, minus_b1, minus_b2, g1, g2 } = &*LATTICE;
    let halved = (shift + scalar) * *HALF;
    let second = rounded_product(&halved, g1) * minus_b1 + rounded_product(&halved, g2) * minus_b2;
    let first = halved - second * lambda;
    [first + offset, second + offset]
}

/// `a b / 2^384`, rounded to the nearest.
fn rounded_product(a: &Scalar, b: &U256) -> Scalar {
    let (_, high) = U256::from(a).mul_wide(b);
    let rounded = (high >> 127).wrapping_add(&U256::ONE) >> 1;
    <Scalar as Reduce<U256>>::reduce(rounded)
}

/// Constants of the endomorphism (Guide to Elliptic Curve Cryptography, §3.5; the names are those of `k256` and
/// libsecp256k1, which prove the bounds of the halves).
struct Lattice {
    lambda: Scalar,
    shift: Scalar,
    offset: Scalar,
    minus_b1: Scalar,
    minus_b2: Scalar,
    g1: U256,
    g2: U256,
}

static LATTICE: LazyLock<Lattice> = LazyLock::new(|| {
    let power = |exponent| <Scalar as Reduce<U256>>::reduce(U256::ONE << exponent);
    let scalar = |hex| <Scalar as Reduce<U256>>::reduce(U256::from_be_hex(hex));
    let lambda = scalar("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72");
    Lattice {
        shift: (power(132) - power(129) - Scalar::ONE) * (Scalar::ONE + lambda),
        offset: power(128),
        minus_b1: scalar("00000000000000000000000000000000e4437ed6010e88286f547fa90abfe4c3"),
        minus_b2: scalar("fffffffffffffffffffffffffffffffe8a280ac50774346dd765cda83db1562c"),
        g1: U256::from_be_hex("3086d221a7d46bcde86c90e49284eb153daa8a1471e8ca7fe893209a45dbb031"),
        g2: U256::from_be_hex("e4437ed6010e88286f547fa90abfe4c4221208ac9df506c61571b4ae8ac47f71"),
        lambda,
    }
});

/// A cube root of 1 in the field: `lambda (x, y) = (beta x, y)`.
static BETA: LazyLock<Field> = LazyLock::new(|| {
    let beta =
        U256::from_be_hex("7ae96a2b657c07106e64479eac3434e99cf0497512f58995c1396c28719501ee");
    Field::from_bytes(&beta.to_be_byte_array()).unwrap_or(Field::ZERO)
});

/// The odd multiples of `16^i G`, for every place `i` of a digit.
static GENERATOR: LazyLock<Box<[Table]>> = LazyLock::new(|| {
    // None of them is the identity.
    let points = Secp256k1::normalize(&odd_multiples::<Secp256k1>()).unwrap_or_default();
    let points: Vec<Affine> = points.iter().map(Affine::of_public).collect();
    points.as_chunks().0.into()
});

/// 1/2.
static HALF: LazyLock<Scalar> =
    LazyLock::new(|| Scalar::from(2_u64).invert().unwrap_or(Scalar::ZERO));

/// The digit at `place`, which stands for `2 digit - 15` times the table's point: it is odd, from -15 to 15.
fn digit(scalar: &Scalar, place: usize) -> u8 {
    encode_scalar(scalar)[31 - place / 2] >> (4 * (place % 2)) & 15
}

/// The multiple by `2 digit - 15`.
fn multiple(table: &Table, digit: u8) -> Affine {
    // 8 .. 15 stand for 1, 3 .. 15, and 7 .. 0 for their negatives.
    let negative = (digit >> 3 ^ 1).wrapping_neg();
    let index = (digit ^ negative) & 7;
    let mut found = table[0];
    for (at, entry) in (1_u8..).zip(&table[1..]) {
        found.conditional_assign(entry, at.ct_eq(&index));
    }
    let negated = found.y.negate(1).normalize_weak();
    found.y.conditional_assign(&negated, Choice::from(negative & 1));
    found
}

/// Inverts all with one inversion; all become zero if one is.
fn invert_all(values: &mut [Field]) {
    let mut product = Field::ONE;
    let mut products = Zeroizing::new(Vec::with_capacity(values.len()));
    for value in values.iter() {
        products.push(product);
        product *= value;
    }
    let mut inverse = Zeroizing::new(Invert::invert(&product).unwrap_or(Field::ZERO));
    for (before, value) in products.iter().zip(values).rev() {
        let next = *inverse * *value;
        *value = *inverse * before;
        *inverse = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ProjectivePoint;
    use k256::elliptic_curve::ops::MulByGenerator;
    use proptest::prelude::*;

    fn scalar(bytes: [u8; 32]) -> Scalar {
        <Scalar as Reduce<U256>>::reduce_bytes(&bytes.into())
    }

    /// All functions against `k256`: every scalar with the generator and with another point.
    fn compare(scalars: &[Scalar], point: &Scalar) {
        let expected: Vec<AffinePoint> =
            scalars.iter().map(|s| ProjectivePoint::mul_by_generator(s).to_affine()).collect();
        assert_eq!(*lockstep::multiples_of_generator(scalars), expected);
        assert_eq!(*few::multiples_of_generator(scalars.iter()), expected);

        let point = ProjectivePoint::mul_by_generator(point);
        let points = vec![Affine::of_public(&point.to_affine()); scalars.len()];
        let expected: Vec<AffinePoint> = scalars.iter().map(|s| (point * s).to_affine()).collect();
        assert_eq!(*lockstep::multiples(&points, scalars), expected);
        for (scalar, product) in scalars.iter().zip(expected) {
            let summands = [Scalar::from(5_u64), Scalar::from(6_u64)];
            let differences = few::differences([point.to_affine(); 2], scalar, &summands);
            for (difference, summand) in differences.iter().zip(summands) {
                let right =
                    ProjectivePoint::from(product) - ProjectivePoint::mul_by_generator(&summand);
                assert!(difference.is(&right.to_affine()));
                assert!(!difference.is(&-right.to_affine()));
                assert!(!difference.is(&product));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn multiples_are_those_of_k256(
            scalars in prop::collection::vec(any::<[u8; 32]>(), 0..6), point: [u8; 32],
        ) {
            compare(&scalars.into_iter().map(scalar).collect::<Vec<_>>(), &scalar(point));
        }
    }

    #[test]
    fn scalars_at_the_bounds_are_multiplied_too() {
        let lambda = LATTICE.lambda;
        let power = |exponent: usize| <Scalar as Reduce<U256>>::reduce(U256::ONE << exponent);
        let mut scalars = vec![Scalar::ONE, -Scalar::ONE, lambda, -lambda, lambda.square()];
        for exponent in 0..256 {
            scalars.extend([power(exponent), -power(exponent), power(exponent) * lambda]);
            scalars.extend([power(exponent) - Scalar::from(3_u64), power(exponent) - lambda]);
        }
        scalars.retain(|scalar| *scalar != Scalar::ZERO);
        compare(&scalars, &Scalar::from(7_u64));
    }

    #[test]
    fn halves_are_short() {
        for scalar in [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, *HALF, LATTICE.lambda] {
            for half in split(&scalar) {
                // At most 132 bits.
                assert!(encode_scalar(&half)[..15].iter().all(|byte| *byte == 0));
                assert!(encode_scalar(&half)[15] < 16);
            }
        }
    }

    #[test]
    fn an_exception_makes_all_results_the_identity() {
        let scalars = [Scalar::ONE, Scalar::ZERO];
        assert_eq!(*lockstep::multiples_of_generator(&scalars), [AffinePoint::IDENTITY; 2]);
        assert_eq!(*few::multiples_of_generator(scalars.iter()), [AffinePoint::IDENTITY; 2]);
    }
}
