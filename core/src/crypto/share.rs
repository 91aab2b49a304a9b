//! Shamir sharing: polynomials, their public images, Lagrange coefficients (docs/protocol.md §1.1,
//! §3.1).

use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::{Field as _, PrimeField};

use crate::crypto::curve::{Curve, Scalar};
use crate::party::PartyId;
use crate::secret::Secret;

/// A dealer's polynomial: `t` secret coefficients, the constant term first.
#[derive(Debug)]
pub struct Polynomial<C: Curve>(Secret<Vec<Scalar<C>>>);

impl<C: Curve> Polynomial<C> {
    /// The polynomial with these coefficients, the constant term first.
    pub fn new(coefficients: Vec<Scalar<C>>) -> Self {
        Self(Secret::new(coefficients))
    }

    /// The coefficients, the constant term first.
    pub fn coefficients(&self) -> &[Scalar<C>] {
        self.0.expose()
    }

    /// The share of `party`: the value at its index.
    pub fn share_of(&self, party: PartyId) -> Secret<Scalar<C>> {
        let x: Scalar<C> = scalar(party.get());
        let value = self.coefficients().iter().rev().fold(Scalar::<C>::ZERO, |sum, a| sum * x + a);
        Secret::new(value)
    }
}

/// `sum_k party^k A_k`: the public image of a share, from the images of the coefficients.
pub fn image_of_share<P: Group>(coefficients: &[P], party: PartyId) -> P {
    coefficients.iter().rev().fold(P::identity(), |sum, image| times(sum, party.get()) + image)
}

/// The coefficient of the share of `party` in the value at `at`, interpolated from the parties of
/// `set`. `party` is in `set`, and no party is in it twice.
pub fn lagrange<S: PrimeField>(party: PartyId, set: &[PartyId], at: u8) -> S {
    let (above, below) = set.iter().filter(|other| **other != party).fold(
        (S::ONE, S::ONE),
        |(above, below), other| {
            let other: S = scalar(other.get());
            (above * (scalar::<S>(at) - other), below * (scalar::<S>(party.get()) - other))
        },
    );
    // Indices of different parties differ, so nothing below is zero.
    above * Option::from(below.invert()).unwrap_or(S::ZERO)
}

fn scalar<S: PrimeField>(index: u8) -> S {
    S::from(u64::from(index))
}

/// A public point times a public index: five doublings instead of a full multiplication.
fn times<P: Group>(point: P, index: u8) -> P {
    (0..5).rev().fold(P::identity(), |sum, bit| {
        let doubled = sum.double();
        if index >> bit & 1 == 1 { doubled + point } else { doubled }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::Secp256k1;
    use k256::elliptic_curve::ops::MulByGenerator;
    use k256::{ProjectivePoint, Scalar};
    use proptest::prelude::*;

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    #[test]
    fn every_pair_of_a_two_of_three_sharing_finds_the_constant_term() {
        let polynomial =
            Polynomial::<k256::Secp256k1>::new(vec![Scalar::from(123_u64), Scalar::from(456_u64)]);
        for set in [[1, 2], [1, 3], [2, 3]] {
            let set = set.map(party);
            let value: Scalar = set
                .iter()
                .map(|i| lagrange::<Scalar>(*i, &set, 0) * polynomial.share_of(*i).expose())
                .sum();
            assert_eq!(value, Scalar::from(123_u64));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_image_of_a_share_is_its_multiple_of_the_generator(
            seeds in prop::collection::vec(any::<u64>(), 1..5), index in 1_u8..=16,
        ) {
            let coefficients: Vec<Scalar> = seeds.into_iter().map(Scalar::from).collect();
            let images: Vec<_> = coefficients.iter().map(ProjectivePoint::mul_by_generator).collect();
            let share = Polynomial::<Secp256k1>::new(coefficients).share_of(party(index));
            prop_assert_eq!(
                image_of_share(&images, party(index)),
                ProjectivePoint::mul_by_generator(share.expose())
            );
        }

        #[test]
        fn lagrange_reaches_every_other_share(target in 0_u8..=16, constant: u64, slope: u64) {
            let polynomial = Polynomial::<k256::Secp256k1>::new(vec![Scalar::from(constant), Scalar::from(slope)]);
            let set = [party(3), party(9)];
            let value: Scalar =
                set.iter().map(|i| lagrange::<Scalar>(*i, &set, target) * polynomial.share_of(*i).expose()).sum();
            prop_assert_eq!(
                value,
                Scalar::from(constant) + Scalar::from(slope) * Scalar::from(u64::from(target))
            );
        }
    }
}
