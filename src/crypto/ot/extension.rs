//! Transfers for one signature: SoftSpokenOT with its consistency check (docs/protocol.md §5.2).
//!
//! Both parties expand their leaves under a key that B's fresh nonce is part of. B sends corrections
//! that make every row carry the same choices, and proves it: a random linear combination of his rows,
//! chosen by the hash of the corrections, must fit A's. A answers a wrong combination by retiring the
//! pair for good, since her verdict depends on the secret that all later signatures use (§5.4).
//!
//! A row is one of 128 and runs over the transfers; a column is one of 416 and runs over the rows.

use k256::Scalar;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::bits::{self, ROW_BYTES, Row};
use super::combination::Combination;
use super::tree::{Leaves, ReceiverTrees, SenderTrees};
use super::{BASE, Choices, DEPTH, ShortHash, TREES};
use crate::crypto::mul::gadget;
use crate::crypto::seed::SessionSeed;
use crate::crypto::tags;
use crate::secret::Secret;

/// Length of B's message: 32 correction rows, the combined choices, the verdict.
pub const MESSAGE: usize = CORRECTIONS + 16 + 32;

/// Length of the correction rows.
const CORRECTIONS: usize = TREES * ROW_BYTES;

/// B's message does not fit A's trees. The pair must be retired (§5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckFailed;

/// B's half: his choices and, per transfer, the pad seed he chose.
#[derive(Debug)]
pub struct Extended {
    pub(in crate::crypto) columns: Secret<Vec<u128>>,
    pub(in crate::crypto) choices: Choices<ROW_BYTES>,
    pub(in crate::crypto) h_u: [u8; 32],
    chi: Secret<Scalar>,
}

/// A's half: per transfer, both pad seeds, which differ by the same secret everywhere.
#[derive(Debug)]
pub struct Checked {
    pub(in crate::crypto) columns: Secret<Vec<u128>>,
    pub(in crate::crypto) delta: Secret<u128>,
    pub(in crate::crypto) h_u: [u8; 32],
}

impl Extended {
    /// B's factor of the multiplication: the sum of the gadget's elements at his choices (§6.2).
    pub fn chi(&self) -> &Scalar {
        self.chi.expose()
    }
}

/// B's step: draws the choices and returns the message for A (2224 bytes).
///
/// `sid_p` names session, ordered pair and B's nonce. The seed's label is `beta/<peer>`.
pub fn extend(
    sid_p: &[u8; 32],
    trees: &SenderTrees,
    seed: &SessionSeed,
    peer: u8,
) -> (Extended, Vec<u8>) {
    let choices = Choices::draw(seed, &format!("beta/{peer}"));
    let row = Zeroizing::new(bits::row_from_bytes(choices.bytes()));

    let mut expander = Expander::new(sid_p);
    let mut message = Vec::with_capacity(MESSAGE);
    let mut rows = Zeroizing::new(Vec::with_capacity(BASE));
    for (j, leaves) in (0_u8..).zip(trees.leaves()) {
        let mut sums = expander.sums(j, leaves);
        bits::add(&mut sums.all, &row);
        message.extend(bits::row_bytes(&sums.all));
        rows.extend_from_slice(&sums.by_bit);
    }

    let columns = bits::columns(&rows);
    let h_u = tags::OTE_U.hash(&[sid_p, &message]);
    let combination = Combination::new(&h_u);
    let combined = combination.of_row(&row).to_le_bytes();
    let rows = combination.of_columns(columns.expose());
    message.extend_from_slice(&combined);
    message.extend_from_slice(&verdict(sid_p, &h_u, &combined, &rows));
    let chi = gadget::sum_at(&choices);
    (Extended { columns, choices, h_u, chi }, message)
}

/// A's step: checks B's message (2224 bytes) and takes her half from it.
///
/// A message of another length fails like a wrong one; the frame's length is checked long before.
pub fn check(
    sid_p: &[u8; 32],
    trees: &ReceiverTrees,
    message: &[u8],
) -> Result<Checked, CheckFailed> {
    let (corrections, rest) = message.split_first_chunk::<CORRECTIONS>().ok_or(CheckFailed)?;
    let (combined, rest) = rest.split_first_chunk::<16>().ok_or(CheckFailed)?;
    let claimed: &[u8; 32] = rest.try_into().map_err(|_| CheckFailed)?;

    let mut expander = Expander::new(sid_p);
    let mut rows = Zeroizing::new(Vec::with_capacity(BASE));
    let mut delta = Secret::new(0);
    let corrections_by_tree = corrections.as_chunks::<ROW_BYTES>().0;
    let trees = trees.leaves().iter().zip(trees.holes()).zip(corrections_by_tree);
    for (j, ((leaves, hole), correction)) in (0_u8..).zip(trees) {
        let mut sums = expander.sums(j, leaves);
        let Sums { all, by_bit } = &mut *sums;
        bits::add(all, &bits::row_from_bytes(correction));
        for (b, row) in by_bit.iter_mut().enumerate() {
            bits::add_masked(row, all, bits::mask(u64::from(*hole), b));
        }
        rows.extend_from_slice(by_bit);
        *delta.expose_mut() |= u128::from(*hole) << (DEPTH * usize::from(j));
    }

    let columns = bits::columns(&rows);
    let h_u = tags::OTE_U.hash(&[sid_p, corrections]);
    let mut rows = Combination::new(&h_u).of_columns(columns.expose());
    let factor = u128::from_le_bytes(*combined);
    for (b, row) in rows.iter_mut().enumerate() {
        // Adds `Delta_i xbar` to every `t_i`; `xbar` is public.
        *row ^= delta.expose() & 0_u128.wrapping_sub(factor >> b & 1);
    }
    if bool::from(verdict(sid_p, &h_u, combined, &rows).ct_eq(claimed)) {
        Ok(Checked { columns, delta, h_u })
    } else {
        Err(CheckFailed)
    }
}

/// Expands leaves into rows: `SHA256(K1 || leaf || BE16(j) || BE16(y) || [counter])`, 68 bytes.
struct Expander(ShortHash<37>);

/// Sums of the 16 rows of one tree.
struct Sums {
    all: Row,
    /// Sum `b` is over the leaves whose number has bit `b`.
    by_bit: [Row; DEPTH],
}

impl Expander {
    fn new(sid_p: &[u8; 32]) -> Self {
        Self(ShortHash::new(&tags::OTE_PRG_KEY.hash_twice(&[sid_p])))
    }

    /// The sums of tree `j`.
    ///
    /// A needs, for bit `b` of her hole `delta`, the sum of the rows whose number differs from `delta`
    /// there. If `delta` has a zero there, that is `by_bit[b]`; if it has a one, it is
    /// `all + by_bit[b]`. The row of the hole is in neither or in both, so its leaf may be anything,
    /// and all 16 leaves are expanded whatever `delta` is (§5.3).
    fn sums(&mut self, j: u8, leaves: &Leaves) -> Zeroizing<Sums> {
        let mut sums = Zeroizing::new(Sums { all: [0; 9], by_bit: [[0; 9]; DEPTH] });
        for (y, leaf) in (0_u8..).zip(leaves) {
            let row = self.row(j, y, leaf);
            bits::add(&mut sums.all, &row);
            for (b, sum) in sums.by_bit.iter_mut().enumerate() {
                if y >> b & 1 == 1 {
                    bits::add(sum, &row);
                }
            }
        }
        sums
    }

    /// The row of leaf `y` of tree `j`.
    fn row(&mut self, j: u8, y: u8, leaf: &[u8; 32]) -> Row {
        let input = self.0.input();
        input[..32].copy_from_slice(leaf);
        input[32..].copy_from_slice(&[0, j, 0, y, 0]);
        let mut row = [0; 9];
        for (counter, part) in (0_u8..).zip(row.chunks_mut(4)) {
            self.0.input()[36] = counter;
            for (word, pair) in part.iter_mut().zip(self.0.words().as_chunks::<2>().0) {
                *word = u64::from(pair[0].swap_bytes()) | u64::from(pair[1].swap_bytes()) << 32;
            }
        }
        row[8] &= u64::from(u32::MAX);
        row
    }
}

impl zeroize::Zeroize for Sums {
    fn zeroize(&mut self) {
        self.all.zeroize();
        self.by_bit.zeroize();
    }
}

/// What both parties must compute alike: the hash of all combined rows.
fn verdict(
    sid_p: &[u8; 32],
    h_u: &[u8; 32],
    combined: &[u8; 16],
    columns: &[u128; BASE],
) -> [u8; 32] {
    let rows = bits::transpose_square(columns);
    tags::OTE_CHECK
        .start()
        .part(sid_p)
        .part(h_u)
        .part(combined)
        .part_in_pieces(BASE * 16, |add| rows.iter().for_each(|row| add(&row.to_le_bytes())))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{base_keys, seed, sha, sha_hex, sid_ot};
    use super::super::tree;
    use super::*;
    use crate::device::hex;

    #[test]
    fn the_message_and_both_halves_match_the_known_answers() {
        let (chosen, both) = base_keys();
        let (sender, message) = tree::build(&sid_ot(), both);
        let receiver = tree::evaluate(&sid_ot(), chosen, &message).unwrap();
        let bytes = |columns: &Secret<Vec<u128>>| {
            columns.expose()[..416].iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<u8>>()
        };

        let (extended, message) = extend(&sha(b"sid_p"), &sender, &seed("bob"), 1);
        assert_eq!(message.len(), MESSAGE);
        assert_eq!(
            sha_hex(&message),
            "31cdad098779e21bd23689355134be09c0eb9a870d5b8a5a7b17d69e9a54b8ce"
        );
        assert_eq!(
            hex(&extended.h_u),
            "8fc54b1725678c0d233ccf4557079c0bfb73e7500bcecc47e71c3b8256eaffdf"
        );
        assert_eq!(
            sha_hex(&bytes(&extended.columns)),
            "1685a15fc06039d2df8d7790a07ee32286f02ee0a496d17e9a1833900ad9ec21"
        );
        assert_eq!(
            hex(&extended.chi().to_bytes()),
            "f506ff931b8259592386a1cc097c9cc469e0bff4ff3ca5e4366fa1471a6aa903"
        );

        let checked = check(&sha(b"sid_p"), &receiver, &message).unwrap();
        assert_eq!(
            sha_hex(&bytes(&checked.columns)),
            "f52babe62bf595675537566c02a99ba3f4ad19716556e5ae524cdc025a59158d"
        );
        assert_eq!(checked.h_u, extended.h_u);
    }

    #[test]
    fn rows_match_the_known_answer() {
        let mut expander = Expander(ShortHash::new(&[0; 64]));
        let row = expander.row(3, 5, &std::array::from_fn(|i| i as u8));
        assert_eq!(
            hex(&bits::row_bytes(&row).collect::<Vec<u8>>()),
            "583367ba61d9c05b24b21400d2fe86f7ed6df46e0bb24f4530a4361c72233611\
             dcce2f5c6f26e9326cd6b59d9d776ff78ea8f23ba10fd3c9813306a18c5951c7caa81da3"
        );
    }
}
