//! The gadget vector: 416 public scalars, a constant of the protocol version (docs/protocol.md §6.1).

use std::sync::LazyLock;

use k256::Scalar;
use subtle::ConditionallySelectable;

use crate::crypto::ot::{CHOICES, Choices, ROW_BYTES};
use crate::crypto::tags;
use crate::secret::Secret;

/// `g_j = HS("rvole/gadget", BE16(416), BE16(j))`. A constant cannot be chosen by an attacker.
pub(crate) static GADGET: LazyLock<Box<[Scalar]>> = LazyLock::new(|| {
    let element = |j: u16| {
        tags::RVOLE_GADGET.hash_to_scalar(&[&(CHOICES as u16).to_be_bytes(), &j.to_be_bytes()])
    };
    (0..CHOICES as u16).map(element).collect()
});

/// The sum of the elements at the chosen places, `chi = sum_j beta_j g_j`.
pub(crate) fn sum_at(choices: &Choices<ROW_BYTES>) -> Secret<Scalar> {
    Secret::made(|sum: &mut Scalar| {
        for (j, element) in GADGET.iter().enumerate() {
            *sum += Scalar::conditional_select(&Scalar::ZERO, element, choices.bit(j));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    #[test]
    fn the_gadget_matches_the_known_answers() {
        assert_eq!(GADGET.len(), CHOICES);
        assert_eq!(
            hex(&GADGET[0].to_bytes()),
            "63f25421b55e0521cd37d644780326ecd84f806a14fb11751baf20d8134c2541"
        );
        assert_eq!(
            hex(&GADGET[415].to_bytes()),
            "aa4450a375a6b4097ebcdefe25c2a8c62425a9486ae3330de8f5453c6e1753dd"
        );
    }

    #[test]
    fn the_sum_is_over_the_chosen_places() {
        let mut bits = [0; ROW_BYTES];
        bits[0] = 0b10;
        bits[51] = 0x80;
        bits[52] = 0xff; // belongs to the mask
        assert_eq!(*sum_at(&Choices::from_bytes(bits)).expose(), GADGET[1] + GADGET[415]);
    }
}
