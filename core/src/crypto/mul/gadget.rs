//! The gadget vector: 416 public scalars, a constant of the protocol version (docs/protocol.md §6.1).

use subtle::ConditionallySelectable;

use crate::crypto::curve::{Curve, Scalar};
use crate::crypto::ot::{CHOICES, Choices, ROW_BYTES};
use crate::crypto::tags;
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;

/// `g_j = HS("rvole/gadget", BE16(416), BE16(j))`, to be made once for each curve. A constant cannot be
/// chosen by an attacker.
pub(crate) fn elements<C: Curve>() -> Box<[Scalar<C>]> {
    let count = CHOICES as u16;
    let element =
        |j: u16| tags::RVOLE_GADGET.hash_to_scalar::<C>(&[&count.to_be_bytes(), &j.to_be_bytes()]);
    (0..count).map(element).collect()
}

/// The sum of the elements at the chosen places, `chi = sum_j beta_j g_j`.
pub(crate) fn sum_at<C: Curve>(choices: &Choices<ROW_BYTES>) -> Secret<Scalar<C>> {
    Secret::made(|sum: &mut Scalar<C>| {
        for (j, element) in C::gadget().iter().enumerate() {
            *sum += Scalar::<C>::conditional_select(&Scalar::<C>::ZERO, element, choices.bit(j));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::Arithmetic as _;
    use crate::device::hex;
    use k256::Secp256k1;

    #[test]
    fn the_gadget_matches_the_known_answers() {
        let gadget = Secp256k1::gadget();
        assert_eq!(gadget.len(), CHOICES);
        assert_eq!(
            hex(&gadget[0].to_bytes()),
            "63f25421b55e0521cd37d644780326ecd84f806a14fb11751baf20d8134c2541"
        );
        assert_eq!(
            hex(&gadget[415].to_bytes()),
            "aa4450a375a6b4097ebcdefe25c2a8c62425a9486ae3330de8f5453c6e1753dd"
        );
    }

    #[test]
    fn the_sum_is_over_the_chosen_places() {
        let gadget = Secp256k1::gadget();
        let mut bits = [0; ROW_BYTES];
        bits[0] = 0b10;
        bits[51] = 0x80;
        bits[52] = 0xff; // belongs to the mask
        assert_eq!(
            *sum_at::<Secp256k1>(&Choices::from_bytes(bits)).expose(),
            gadget[1] + gadget[415]
        );
    }
}
