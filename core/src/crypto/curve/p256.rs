//! P-256: the `p256` crate, and tables of the generator, which it has not.
//!
//! Its formulas are complete, so no point is an exception.

use std::sync::LazyLock;

use k256::elliptic_curve::bigint::U256;
use k256::elliptic_curve::hash2curve::{ExpandMsgXmd, GroupDigest};
use k256::elliptic_curve::ops::Reduce;
use p256::{AffinePoint, NistP256, ProjectivePoint, Scalar};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Arithmetic, Curve, encode_scalar, odd_multiples};
use crate::crypto::mul::gadget;

impl Curve for NistP256 {
    const NAME: &'static str = "P-256";
    const IDENT: u8 = 2;
    const PROTOCOL: &'static str = "DKLS23-P256-SHA256-V1";
    const DERIVES: bool = false;
}

/// 2^256.
static RADIX: LazyLock<Scalar> =
    LazyLock::new(|| <Scalar as Reduce<U256>>::reduce(U256::MAX) + Scalar::ONE);

/// 1/2.
static HALF: LazyLock<Scalar> =
    LazyLock::new(|| Scalar::from(2_u64).invert().unwrap_or(Scalar::ZERO));

/// The odd multiples of `16^i G`, for every place `i` of a digit.
static GENERATOR: LazyLock<Box<[[AffinePoint; 8]]>> =
    LazyLock::new(|| NistP256::to_affine_all(&odd_multiples::<NistP256>()).as_chunks().0.into());

static GADGET: LazyLock<Box<[Scalar]>> = LazyLock::new(gadget::elements::<NistP256>);

impl Arithmetic for NistP256 {
    // 2^256 mod q is about 2^224, so 32 bytes would have a bias of 2^-32.
    const HASHED: usize = 48;
    const TRANSFERS: &'static str = "DKLS23-P256-SHA256-V1/baseot-h-with-P256_XMD:SHA-256_SSWU_RO_";

    type Base = AffinePoint;

    #[inline]
    fn wide(high: &U256, low: &U256) -> Scalar {
        <Scalar as Reduce<U256>>::reduce(*high) * *RADIX + <Scalar as Reduce<U256>>::reduce(*low)
    }

    /// In constant time: `sum_i (2 s_i - 1) 2^i` over the 256 bits of `s = (scalar + 2^256 - 1) / 2` is
    /// `scalar`, so every digit of four bits is odd, from -15 to 15.
    fn of_generator(scalar: &Scalar) -> ProjectivePoint {
        let halved = Zeroizing::new(encode_scalar(&((*RADIX - Scalar::ONE + scalar) * *HALF)));
        let mut sum = ProjectivePoint::IDENTITY;
        for (place, table) in GENERATOR.iter().enumerate() {
            let digit = halved[31 - place / 2] >> (4 * (place % 2)) & 15;
            sum += multiple(table, digit);
        }
        sum
    }

    fn few_of_generator<'a>(
        scalars: impl Iterator<Item = &'a Scalar>,
    ) -> Zeroizing<Vec<AffinePoint>> {
        let points = Zeroizing::new(scalars.map(Self::of_generator).collect::<Vec<_>>());
        Zeroizing::new(Self::to_affine_all(&points))
    }

    fn many_of_generator(scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
        Self::few_of_generator(scalars.iter())
    }

    fn base(point: &AffinePoint) -> AffinePoint {
        *point
    }

    fn multiples(bases: &[AffinePoint], scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
        let product =
            |(base, scalar): (&AffinePoint, &Scalar)| ProjectivePoint::from(base) * scalar;
        let points = Zeroizing::new(bases.iter().zip(scalars).map(product).collect::<Vec<_>>());
        Zeroizing::new(Self::to_affine_all(&points))
    }

    fn are_differences(
        points: [AffinePoint; 2],
        scalar: &Scalar,
        summands: &[Scalar; 2],
        claimed: &[AffinePoint; 2],
    ) -> [bool; 2] {
        let difference =
            |i: usize| ProjectivePoint::from(points[i]) * scalar - Self::of_generator(&summands[i]);
        let differences = Zeroizing::new([difference(0), difference(1)]);
        let affine = Zeroizing::new(Self::to_affine_all(differences.as_slice()));
        let is_first = affine[0] == claimed[0];
        [is_first, is_first && affine[1] == claimed[1]]
    }

    /// One by one: `p256` keeps the coordinates to itself, and does not invert several.
    fn to_affine_all(points: &[ProjectivePoint]) -> Vec<AffinePoint> {
        points.iter().map(ProjectivePoint::to_affine).collect()
    }

    fn normalize(points: &[ProjectivePoint]) -> Option<Vec<AffinePoint>> {
        let affine = Self::to_affine_all(points);
        let identity = affine.iter().fold(Choice::from(0), |found, p| found | p.is_identity());
        (!bool::from(identity)).then_some(affine)
    }

    fn hash_all(
        messages: impl Iterator<Item = Zeroizing<Vec<u8>>>,
        domain: &[u8],
    ) -> Zeroizing<Vec<ProjectivePoint>> {
        let hash = |message: Zeroizing<Vec<u8>>| {
            // The only failure is an over-long domain or output; both are fixed here.
            Self::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[&message], &[domain])
                .unwrap_or(ProjectivePoint::IDENTITY)
        };
        Zeroizing::new(messages.map(hash).collect())
    }

    fn gadget() -> &'static [Scalar] {
        &GADGET
    }
}

/// The multiple by `2 digit - 15`.
fn multiple(table: &[AffinePoint; 8], digit: u8) -> AffinePoint {
    // 8 .. 15 stand for 1, 3 .. 15, and 7 .. 0 for their negatives.
    let negative = (digit >> 3 ^ 1).wrapping_neg();
    let index = (digit ^ negative) & 7;
    let mut found = table[0];
    for (at, entry) in (1_u8..).zip(&table[1..]) {
        found.conditional_assign(entry, at.ct_eq(&index));
    }
    let negated = -found;
    found.conditional_assign(&negated, Choice::from(negative & 1));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Against the crate's own multiplication.
    fn compare(scalar: Scalar) {
        let expected = ProjectivePoint::GENERATOR * scalar;
        assert_eq!(NistP256::of_generator(&scalar), expected);
        assert_eq!(*NistP256::many_of_generator(&[scalar]), [expected.to_affine()]);
        let base = NistP256::base(&expected.to_affine());
        let twice = NistP256::multiples(&[base], &[scalar]);
        assert_eq!(*twice, [(expected * scalar).to_affine()]);
        let (summands, points) = ([scalar, Scalar::ONE], [AffinePoint::GENERATOR, base]);
        let right =
            [AffinePoint::IDENTITY, (expected * scalar - ProjectivePoint::GENERATOR).into()];
        assert_eq!(NistP256::are_differences(points, &scalar, &summands, &right), [true; 2]);
        let wrong = [right[0], AffinePoint::IDENTITY];
        let is = NistP256::are_differences(points, &scalar, &summands, &wrong);
        assert_eq!(is, [true, right == wrong]);
    }

    #[test]
    fn scalars_at_the_bounds_are_multiplied_too() {
        compare(Scalar::ZERO);
        for exponent in 0..256 {
            let power = <Scalar as Reduce<U256>>::reduce(U256::ONE << exponent);
            [power, -power, power - Scalar::ONE, *RADIX - power].into_iter().for_each(compare);
        }
    }

    #[test]
    fn wide_integers_are_reduced_as_a_whole() {
        let big = |bytes: &[u8; 32]| U256::from_be_slice(bytes);
        let order = <NistP256 as k256::elliptic_curve::Curve>::ORDER;
        assert_eq!(NistP256::wide(&U256::ZERO, &order), Scalar::ZERO);
        assert_eq!(NistP256::wide(&order, &U256::ONE), Scalar::ONE);
        let sum = NistP256::wide(&U256::MAX, &U256::MAX);
        assert_eq!(sum + Scalar::ONE, *RADIX * *RADIX);
        assert_eq!(NistP256::wide(&U256::ONE, &big(&[0; 32])), *RADIX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn multiples_are_those_of_the_crate(scalar: [u8; 32]) {
            compare(crate::crypto::curve::reduce(&scalar));
        }
    }
}
