//! Bit matrices: rows of 544 bits, their transposition, masks instead of branches.

use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::{BASE, CHOICES};
use crate::secret::Secret;

/// Bits of a row: one per transfer, then 128 that mask the check (§1.4).
const ROW_BITS: usize = CHOICES + 128;
/// Bytes of a row on the wire.
pub(crate) const ROW_BYTES: usize = ROW_BITS / 8;
/// Words of a row.
const ROW_WORDS: usize = ROW_BITS.div_ceil(64);

/// A row; bit `j` is bit `j % 64` of word `j / 64`, the unused bits of the last word are zero.
pub(super) type Row = [u64; ROW_WORDS];

/// The row of zeros.
pub(super) const ZERO: Row = [0; ROW_WORDS];

/// 128 rows.
pub(super) type Rows = [Row; BASE];

/// 128 rows by column: bit `i` of column `j` is bit `j` of row `i`.
pub(crate) type Columns = [u128; ROW_BITS];

/// Adds `other` to `row`.
pub(super) fn add(row: &mut Row, other: &Row) {
    for (a, b) in row.iter_mut().zip(other) {
        *a ^= b;
    }
}

/// Adds `other` to `row` if `choice`.
pub(super) fn add_if(row: &mut Row, other: &Row, choice: Choice) {
    let mask = u64::conditional_select(&0, &u64::MAX, choice);
    for (a, b) in row.iter_mut().zip(other) {
        *a ^= b & mask;
    }
}

/// The row that `bytes` encode.
pub(super) fn row_from_bytes(bytes: &[u8; ROW_BYTES]) -> Row {
    let mut row = ZERO;
    for (word, chunk) in row.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(whole);
    }
    row
}

/// The encoding of a row.
pub(super) fn row_bytes(row: &Row) -> [u8; ROW_BYTES] {
    let mut bytes = [0; ROW_BYTES];
    for (chunk, word) in bytes.chunks_mut(8).zip(row) {
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// Bit `index` (public) of a row.
pub(super) fn bit(row: &Row, index: usize) -> Choice {
    Choice::from((row[index / 64] >> (index % 64) & 1) as u8)
}

/// `zero` or `one`, as `choice` says.
pub(super) fn select<const N: usize>(zero: &[u8; N], one: &[u8; N], choice: Choice) -> [u8; N] {
    std::array::from_fn(|i| u8::conditional_select(&zero[i], &one[i], choice))
}

/// The columns of 128 rows.
pub(super) fn columns(rows: &Rows) -> Secret<Columns> {
    let mut columns = Secret::new([0; ROW_BITS]);
    let mut block = Zeroizing::new([0; 64]);
    for (half, rows) in rows.chunks_exact(64).enumerate() {
        for (word, columns) in columns.expose_mut().chunks_mut(64).enumerate() {
            for (line, row) in block.iter_mut().zip(rows) {
                *line = row[word];
            }
            transpose(&mut block);
            for (column, line) in columns.iter_mut().zip(block.iter()) {
                *column |= u128::from(*line) << (64 * half);
            }
        }
    }
    columns
}

/// Transposes a square of 64 by 64 bits: bit `j` of line `i` becomes bit `i` of line `j`.
///
/// Swaps the off-diagonal quarters, then those of the quarters, and so on (Warren, Hacker's
/// Delight, §7-3).
pub(super) fn transpose(block: &mut [u64; 64]) {
    let mut width = 32;
    let mut low = u64::MAX >> 32;
    while width > 0 {
        for pair in block.chunks_exact_mut(2 * width) {
            let (upper, lower) = pair.split_at_mut(width);
            for (a, b) in upper.iter_mut().zip(lower) {
                let difference = (*a >> width ^ *b) & low;
                *a ^= difference << width;
                *b ^= difference;
            }
        }
        width /= 2;
        low ^= low << width;
    }
}

/// Transposes a square of 128 by 128 bits.
pub(super) fn transpose_square(square: &[u128; BASE]) -> Zeroizing<[u128; BASE]> {
    let mut out = Zeroizing::new([0_u128; BASE]);
    let mut block = Zeroizing::new([0; 64]);
    for (half, lines) in square.chunks_exact(64).enumerate() {
        for (word, target) in out.chunks_exact_mut(64).enumerate() {
            for (line, source) in block.iter_mut().zip(lines) {
                *line = (source >> (64 * word)) as u64;
            }
            transpose(&mut block);
            for (line, source) in target.iter_mut().zip(block.iter()) {
                *line |= u128::from(*source) << (64 * half);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows without any symmetry.
    fn rows() -> Rows {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state ^ state >> 29
        };
        std::array::from_fn(|_| {
            std::array::from_fn(|word| if word == 8 { next() >> 32 } else { next() })
        })
    }

    #[test]
    fn columns_are_the_transposed_rows() {
        let rows = rows();
        let columns = columns(&rows);
        assert_eq!(columns.expose().len(), ROW_BITS);
        for (i, row) in rows.iter().enumerate() {
            for (j, column) in columns.expose().iter().enumerate() {
                assert_eq!((column >> i & 1) as u64, row[j / 64] >> (j % 64) & 1);
            }
        }
    }

    #[test]
    fn a_square_is_transposed_bit_by_bit() {
        let rows = rows();
        let square = std::array::from_fn(|i| u128::from(rows[i][0]) | u128::from(rows[i][1]) << 64);
        let out = transpose_square(&square);
        for (i, out) in out.iter().enumerate() {
            for (j, line) in square.iter().enumerate() {
                assert_eq!(out >> j & 1, line >> i & 1);
            }
        }
    }

    #[test]
    fn rows_survive_encoding() {
        for row in rows() {
            assert_eq!(row_from_bytes(&row_bytes(&row)), row);
        }
    }
}
