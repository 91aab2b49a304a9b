//! The public linear map of the extension check (§5.2), applied to secrets in constant time.
//!
//! `lin(row)` multiplies each 128-bit block of a row by a public element `chi_m` of GF(2^128),
//! modulus `X^128 + X^7 + X^2 + X + 1`, and adds the mask block. Since `chi` is public, that is a
//! public matrix over GF(2): position `p` of a row contributes `chi_{p / 128} X^{p mod 128}`.
//! Secrets are not multiplied, and tables are indexed only by bits of that matrix.

use subtle::ConditionallySelectable;
use zeroize::Zeroizing;

use super::bits::{Columns, Row, bit, transpose};
use super::{BASE, CHOICES};
use crate::crypto::curve::Curve;
use crate::crypto::tags;

/// Positions whose sums are looked up in one table.
const GROUP: usize = 8;

/// The map for one transcript.
pub(super) struct Combination {
    /// The contribution of each of the first 416 positions of a row.
    weights: [u128; CHOICES],
    /// `selections[g][b]`: the positions among `8g..8g+8` that contribute to bit `b` of the result.
    selections: [[u8; BASE]; CHOICES / GROUP],
}

impl Combination {
    /// The map for the hash of the correction rows.
    pub(super) fn new<C: Curve>(h_u: &[u8; 32]) -> Self {
        let mut weights = [0; CHOICES];
        for (m, block) in (0_u8..).zip(weights.chunks_mut(128)) {
            let hash = tags::OTE_CHI.hash::<C>(&[h_u, &[m]]);
            let mut weight =
                hash.iter().take(16).rfold(0, |acc, byte| acc << 8 | u128::from(*byte));
            for slot in block {
                *slot = weight;
                weight = times_x(weight);
            }
        }
        let selections = selections(&weights);
        Self { weights, selections }
    }

    /// `lin(row)` of one row.
    pub(super) fn of_row(&self, row: &Row) -> u128 {
        let weighted =
            self.weights.iter().enumerate().fold(0, |acc, (p, weight)| {
                acc ^ u128::conditional_select(&0, weight, bit(row, p))
            });
        // The mask block is bits 416 to 543: the upper half of word 6, word 7, the half word 8.
        let [.., first, middle, last] = *row;
        weighted
            ^ u128::from(first >> 32 | middle << 32)
            ^ u128::from(middle >> 32 | last << 32) << 64
    }

    /// `lin` of 128 rows at once, from their columns: bit `i` of element `b` is bit `b` of `lin(row i)`.
    pub(super) fn of_columns(&self, columns: &Columns) -> Zeroizing<[u128; BASE]> {
        let mut out = Zeroizing::new([0; BASE]);
        let (payload, masks) = columns.split_at(CHOICES);
        for (bit, column) in out.iter_mut().zip(masks) {
            *bit = *column;
        }
        let mut sums = Zeroizing::new([0_u128; 1 << GROUP]);
        for (group, selection) in payload.chunks_exact(GROUP).zip(&self.selections) {
            for (position, column) in group.iter().enumerate() {
                let (known, new) = sums.split_at_mut(1 << position);
                for (sum, known) in new.iter_mut().zip(known) {
                    *sum = *known ^ column;
                }
            }
            for (bit, index) in out.iter_mut().zip(selection) {
                *bit ^= sums[usize::from(*index)];
            }
        }
        out
    }
}

/// Rearranges the weights by bit of the result.
fn selections(weights: &[u128; CHOICES]) -> [[u8; BASE]; CHOICES / GROUP] {
    let mut selections = [[0; BASE]; CHOICES / GROUP];
    for (weights, selections) in weights.chunks(64).zip(selections.chunks_mut(64 / GROUP)) {
        for half in 0..BASE / 64 {
            let mut block = [0; 64];
            for (line, weight) in block.iter_mut().zip(weights) {
                *line = (weight >> (64 * half)) as u64;
            }
            transpose(&mut block);
            for (bit, line) in (64 * half..).zip(block) {
                for (selection, byte) in selections.iter_mut().zip(line.to_le_bytes()) {
                    selection[bit] = byte;
                }
            }
        }
    }
    selections
}

/// `a X` in GF(2^128).
fn times_x(a: u128) -> u128 {
    (a << 1) ^ ((a >> 127) * 0x87)
}

#[cfg(test)]
mod tests {
    use super::super::bits;
    use super::*;
    use crate::device::hex;
    use proptest::prelude::*;

    /// The product of two field elements, one bit at a time.
    fn product(a: u128, b: u128) -> u128 {
        let powers = std::iter::successors(Some(a), |power| Some(times_x(*power)));
        powers.take(128).enumerate().filter(|(i, _)| b >> i & 1 == 1).fold(0, |acc, (_, p)| acc ^ p)
    }

    #[test]
    fn products_match_the_known_answers() {
        let counting = |from: u8| u128::from_le_bytes(std::array::from_fn(|i| from + i as u8));
        assert_eq!(
            hex(&product(counting(0), counting(16)).to_le_bytes()),
            "c041ee395862761aa00a8e7238291651"
        );
        assert_eq!(product(2, 1 << 127), 0x87);
        assert_eq!(times_x(1 << 127), 0x87);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn squaring_128_times_changes_nothing(a: u128) {
            prop_assert_eq!((0..128).fold(a, |power, _| product(power, power)), a);
        }

        #[test]
        fn columns_rows_and_the_definition_agree(
            seed: [u8; 32],
            words in proptest::collection::vec(any::<u64>(), BASE * 9),
        ) {
            let rows: [Row; BASE] = std::array::from_fn(|r| {
                std::array::from_fn(|i| words[9 * r + i] >> if i == 8 { 32 } else { 0 })
            });
            let map = Combination::new::<k256::Secp256k1>(&seed);
            let columns = bits::columns(&rows);
            let combined = bits::transpose_square(&map.of_columns(columns.expose()));
            for (row, combined) in rows.iter().zip(combined.iter()) {
                let bytes = bits::row_bytes(row);
                let mut expected = u128::from_le_bytes(bytes[52..].try_into().unwrap());
                for (m, block) in (0_u8..).zip(bytes[..52].chunks(16)) {
                    let mut whole = [0; 16];
                    whole[..block.len()].copy_from_slice(block);
                    let chi = tags::OTE_CHI.hash::<k256::Secp256k1>(&[&seed, &[m]]);
                    let chi = u128::from_le_bytes(chi[..16].try_into().unwrap());
                    expected ^= product(chi, u128::from_le_bytes(whole));
                }
                prop_assert_eq!(*combined, expected);
                prop_assert_eq!(map.of_row(row), expected);
            }
        }
    }
}
