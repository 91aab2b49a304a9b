//! The one wrapper for secret bytes and scalars.
//!
//! A [`Secret`] wipes its content when dropped, never prints it, and cannot be copied or cloned. It
//! is opened only by [`Secret::expose`], so an audit can search for that word.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

/// A value that is wiped when dropped and never printed.
///
/// The value lives on the heap, so that moving a `Secret` does not leave copies on the stack.
pub struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The value, for as long as the borrow lasts.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be changed in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize + Default> Secret<T> {
    /// Makes a value in place: `fill` changes the default value.
    pub fn made(fill: impl FnOnce(&mut T)) -> Self {
        let mut secret = Self::new(T::default());
        fill(secret.expose_mut());
        secret
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize + AsRef<[u8]>> ConstantTimeEq for Secret<T> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_ref().as_ref().ct_eq(other.0.as_ref().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    /// Counts how often it was wiped.
    struct Witness(Rc<Cell<u32>>);

    impl Zeroize for Witness {
        fn zeroize(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_secret_is_wiped_when_it_is_dropped_and_not_before() {
        let wiped = Rc::new(Cell::new(0));
        let secret = Secret::new(Witness(Rc::clone(&wiped)));
        let moved = [secret];
        assert_eq!(wiped.get(), 0);
        drop(moved);
        assert_eq!(wiped.get(), 1);
    }

    #[test]
    fn debug_output_hides_the_value() {
        let secret = Secret::new(vec![0x41_u8, 0x42]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn equality_is_over_the_bytes() {
        let a = Secret::new([1_u8; 32]);
        assert!(bool::from(a.ct_eq(&Secret::new([1_u8; 32]))));
        assert!(!bool::from(a.ct_eq(&Secret::new([2_u8; 32]))));
    }
}
