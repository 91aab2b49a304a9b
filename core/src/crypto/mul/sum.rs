//! Sums of products of scalars, reduced once at the end instead of once per product.

use k256::elliptic_curve::Curve;
use k256::elliptic_curve::bigint::{Limb, U256, U512};
use k256::elliptic_curve::ops::Reduce;
use k256::{Scalar, Secp256k1};
use zeroize::Zeroize;

const ORDER: U256 = Secp256k1::ORDER;

/// A sum of products, `high 2^256 + low` with `high` below the group order.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Sum {
    low: U256,
    high: U256,
}

impl Sum {
    /// The empty sum.
    pub(super) const ZERO: Self = Self { low: U256::ZERO, high: U256::ZERO };

    /// A sum that starts with one scalar.
    pub(super) fn of(scalar: &Scalar) -> Self {
        Self { low: scalar.into(), high: U256::ZERO }
    }

    /// Adds `a b`.
    ///
    /// The upper half of a product of two scalars is at most the order less two, so it stays below
    /// the order with the carry.
    #[inline]
    pub(super) fn add_product(&mut self, a: &Scalar, b: &Scalar) {
        let (low, high) = U256::from(a).mul_wide(&U256::from(b));
        let (low, carry) = self.low.adc(&low, Limb::ZERO);
        let (high, _) = high.adc(&U256::ZERO, carry);
        self.low = low;
        self.high = self.high.add_mod(&high, &ORDER);
    }

    /// The sum modulo the group order.
    #[inline]
    pub(super) fn reduce(&self) -> Scalar {
        <Scalar as Reduce<U512>>::reduce(self.high.concat(&self.low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_of_the_largest_products_do_not_overflow() {
        let largest = -Scalar::ONE;
        let mut sum = Sum::of(&largest);
        (0..1000).for_each(|_| sum.add_product(&largest, &largest));
        assert_eq!(sum.reduce(), Scalar::from(999_u64));
    }

    proptest! {
        #[test]
        fn sums_equal_the_scalar_arithmetic(
            start: [u8; 32],
            terms: Vec<([u8; 32], [u8; 32])>,
        ) {
            let scalar = crate::crypto::transcript::reduce;
            let mut sum = Sum::of(&scalar(&start));
            let mut expected = scalar(&start);
            for (a, b) in &terms {
                sum.add_product(&scalar(a), &scalar(b));
                expected += scalar(a) * scalar(b);
            }
            prop_assert_eq!(sum.reduce(), expected);
        }
    }
}
