//! Sums of products of scalars, reduced once at the end instead of once per product.

use std::marker::PhantomData;

use k256::elliptic_curve::bigint::{Limb, U256};
use zeroize::Zeroize;

use crate::crypto::curve::{Curve, Scalar};

/// A sum of products, `high 2^256 + low` with `high` below the group order.
#[derive(Clone, Copy)]
pub(super) struct Sum<C> {
    low: U256,
    high: U256,
    curve: PhantomData<C>,
}

impl<C> Zeroize for Sum<C> {
    fn zeroize(&mut self) {
        self.low.zeroize();
        self.high.zeroize();
    }
}

impl<C: Curve> Sum<C> {
    /// The empty sum.
    pub(super) const ZERO: Self = Self { low: U256::ZERO, high: U256::ZERO, curve: PhantomData };

    /// A sum that starts with one scalar.
    pub(super) fn of(scalar: &Scalar<C>) -> Self {
        Self { low: (*scalar).into(), ..Self::ZERO }
    }

    /// Adds `a b`.
    ///
    /// The upper half of a product of two scalars is at most the order less two, so it stays below
    /// the order with the carry.
    #[inline]
    pub(super) fn add_product(&mut self, a: &Scalar<C>, b: &Scalar<C>) {
        let (a, b): (U256, U256) = ((*a).into(), (*b).into());
        let (low, high) = a.mul_wide(&b);
        let (low, carry) = self.low.adc(&low, Limb::ZERO);
        let (high, _) = high.adc(&U256::ZERO, carry);
        self.low = low;
        self.high = self.high.add_mod(&high, &C::ORDER);
    }

    /// The sum modulo the group order.
    #[inline]
    pub(super) fn reduce(&self) -> Scalar<C> {
        C::wide(&self.high, &self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::{Scalar, Secp256k1};
    use proptest::prelude::*;

    #[test]
    fn sums_of_the_largest_products_do_not_overflow() {
        let largest = -Scalar::ONE;
        let mut sum = Sum::<Secp256k1>::of(&largest);
        (0..1000).for_each(|_| sum.add_product(&largest, &largest));
        assert_eq!(sum.reduce(), Scalar::from(999_u64));
    }

    proptest! {
        #[test]
        fn sums_equal_the_scalar_arithmetic(
            start: [u8; 32],
            terms: Vec<([u8; 32], [u8; 32])>,
        ) {
            let scalar = crate::crypto::curve::reduce::<Scalar>;
            let mut sum = Sum::<Secp256k1>::of(&scalar(&start));
            let mut expected = scalar(&start);
            for (a, b) in &terms {
                sum.add_product(&scalar(a), &scalar(b));
                expected += scalar(a) * scalar(b);
            }
            prop_assert_eq!(sum.reduce(), expected);
        }
    }
}
