//! Transfers for one signature: SoftSpokenOT with its consistency check (docs/protocol.md §5.2).
//!
//! Both parties expand their leaves under a key that depends on B's fresh nonce. B sends
//! corrections that make every row carry the same choices, and proves it: a random linear
//! combination of his rows, chosen by the hash of the corrections, must fit A's. A retires the pair
//! for good after a wrong combination, since her verdict depends on the secret that all later
//! signatures use (§5.4).
//!
//! A row is one of 128 and runs over the transfers; a column is one of 416 and runs over the rows.

use cosign_sha256::LANES;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::bits::{self, ROW_BYTES, Row, Rows};
use super::combination::Combination;
use super::tree::{Leaves, ReceiverTrees, SenderTrees};
use super::{BASE, Choices, Columns, DEPTH, ShortHash, TREES};
use crate::crypto::curve::{Curve, Scalar};
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
pub struct Extended<C: Curve> {
    pub(in crate::crypto) columns: Secret<Columns>,
    pub(in crate::crypto) choices: Choices<ROW_BYTES>,
    pub(in crate::crypto) h_u: [u8; 32],
    chi: Secret<Scalar<C>>,
}

/// A's half: per transfer, both pad seeds, which differ by the same secret everywhere.
#[derive(Debug)]
pub struct Checked {
    pub(in crate::crypto) columns: Secret<Columns>,
    pub(in crate::crypto) delta: Secret<u128>,
    pub(in crate::crypto) h_u: [u8; 32],
}

impl<C: Curve> Extended<C> {
    /// B's factor of the multiplication: the sum of the gadget's elements at his choices (§6.2).
    pub fn chi(&self) -> &Scalar<C> {
        self.chi.expose()
    }
}

/// B's step: draws the choices and returns the message for A (2224 bytes).
///
/// `pair_session` (`sid_p`) names session, ordered pair and B's nonce. `label` is that of the choices in
/// `seed`.
pub fn extend<C: Curve>(
    pair_session: &[u8; 32],
    trees: &SenderTrees,
    seed: &SessionSeed,
    label: &str,
) -> (Extended<C>, Vec<u8>) {
    let choices = Choices::draw(seed, label);
    let row = Zeroizing::new(bits::row_from_bytes(choices.bytes()));
    let (rows, corrections) = correct::<C>(pair_session, trees, &row);
    let (columns, h_u, message) = prove::<C>(pair_session, &row, rows, corrections);
    let chi = gadget::sum_at::<C>(&choices);
    (Extended { columns, choices, h_u, chi }, message)
}

/// B's rows, and the corrections that give A's rows the same choices.
fn correct<C: Curve>(
    pair_session: &[u8; 32],
    trees: &SenderTrees,
    choices: &Row,
) -> (Secret<Rows>, Vec<u8>) {
    let mut expander = Expander::new::<C>(pair_session);
    let mut message = Vec::with_capacity(MESSAGE);
    let mut rows = Secret::new([bits::ZERO; BASE]);
    let by_tree = rows.expose_mut().as_chunks_mut::<DEPTH>().0;
    for (j, (leaves, rows)) in (0_u8..).zip(trees.leaves().iter().zip(by_tree)) {
        let mut sum = expander.sums(j, leaves, rows);
        bits::add(&mut sum, choices);
        message.extend_from_slice(&bits::row_bytes(&sum));
    }
    (rows, message)
}

/// B's columns, the hash of the corrections, and the corrections with the proof that they are right.
fn prove<C: Curve>(
    pair_session: &[u8; 32],
    choices: &Row,
    rows: Secret<Rows>,
    mut message: Vec<u8>,
) -> (Secret<Columns>, [u8; 32], Vec<u8>) {
    let columns = bits::columns(rows.expose());
    let h_u = tags::OTE_U.hash::<C>(&[pair_session, &message]);
    let combination = Combination::new::<C>(&h_u);
    let combined = combination.of_row(choices).to_le_bytes();
    let verdict =
        verdict::<C>(pair_session, &h_u, &combined, &combination.of_columns(columns.expose()));
    message.extend_from_slice(&combined);
    message.extend_from_slice(&verdict);
    (columns, h_u, message)
}

/// A's step: checks B's message (2224 bytes) and computes her half.
///
/// A message of another length fails like a wrong one; the frame's length was checked before.
pub fn check<C: Curve>(
    pair_session: &[u8; 32],
    trees: &ReceiverTrees,
    message: &[u8],
) -> Result<Checked, CheckFailed> {
    check_all::<C>(trees, [(pair_session, message)])?.pop().ok_or(CheckFailed)
}

/// As [`check`], for several extensions that B sent together: all are evaluated, and the one verdict
/// says nothing about each of them (§7.9).
pub fn check_all<'a, C: Curve>(
    trees: &ReceiverTrees,
    messages: impl IntoIterator<Item = (&'a [u8; 32], &'a [u8])>,
) -> Result<Vec<Checked>, CheckFailed> {
    let (mut all, mut fit) = (Vec::new(), Choice::from(1));
    for (pair_session, message) in messages {
        let (checked, fits) = evaluate::<C>(pair_session, trees, message)?;
        all.push(checked);
        fit &= fits;
    }
    if bool::from(fit) { Ok(all) } else { Err(CheckFailed) }
}

/// A's half, and whether B's message fits; an error for its length alone.
fn evaluate<C: Curve>(
    pair_session: &[u8; 32],
    trees: &ReceiverTrees,
    message: &[u8],
) -> Result<(Checked, Choice), CheckFailed> {
    let (corrections, rest) = message.split_first_chunk::<CORRECTIONS>().ok_or(CheckFailed)?;
    let (combined, rest) = rest.split_first_chunk::<16>().ok_or(CheckFailed)?;
    let claimed: &[u8; 32] = rest.try_into().map_err(|_| CheckFailed)?;

    let mut expander = Expander::new::<C>(pair_session);
    let mut rows = Secret::new([bits::ZERO; BASE]);
    let mut delta = Secret::new(0);
    let by_tree = rows.expose_mut().as_chunks_mut::<DEPTH>().0;
    let by_tree = by_tree.iter_mut().zip(corrections.as_chunks().0);
    let trees = trees.leaves().iter().zip(trees.holes()).zip(by_tree);
    for (j, ((leaves, hole), (rows, correction))) in (0_u8..).zip(trees) {
        let mut sum = expander.sums(j, leaves, rows);
        bits::add(&mut sum, &bits::row_from_bytes(correction));
        for (b, row) in rows.iter_mut().enumerate() {
            bits::add_if(row, &sum, Choice::from(hole >> b & 1));
        }
        *delta.expose_mut() |= u128::from(*hole) << (DEPTH * usize::from(j));
    }

    let columns = bits::columns(rows.expose());
    let h_u = tags::OTE_U.hash::<C>(&[pair_session, corrections]);
    let mut rows = Combination::new::<C>(&h_u).of_columns(columns.expose());
    let factor = u128::from_le_bytes(*combined);
    for (b, row) in rows.iter_mut().enumerate() {
        // Adds `Delta_i xbar` to every `t_i`; `xbar` is public.
        *row ^= delta.expose() & 0_u128.wrapping_sub(factor >> b & 1);
    }
    let fits = verdict::<C>(pair_session, &h_u, combined, &rows).ct_eq(claimed);
    Ok((Checked { columns, delta, h_u }, fits))
}

/// Expands leaves into rows: `SHA256(K1 || leaf || BE16(j) || BE16(y) || [counter])`, 68 bytes.
struct Expander(ShortHash<37>);

impl Expander {
    fn new<C: Curve>(pair_session: &[u8; 32]) -> Self {
        Self(ShortHash::new(&tags::OTE_PRG_KEY.hash_twice::<C>(&[pair_session])))
    }

    /// The sum of all 16 rows of tree `j`; `by_bit[b]` becomes the sum of those whose number has
    /// bit `b`.
    ///
    /// A needs, for bit `b` of her hole `delta`, the sum of the rows whose number differs from `delta`
    /// there. If `delta` has a zero there, that is `by_bit[b]`; if it has a one, it is that plus the
    /// sum of all. The row of the hole is in neither or in both, so its leaf may be anything, and all
    /// 16 leaves are expanded whatever `delta` is (§5.3).
    fn sums(&mut self, j: u8, leaves: &Leaves, by_bit: &mut [Row; DEPTH]) -> Zeroizing<Row> {
        let mut all = Zeroizing::new(bits::ZERO);
        let mut rows = Zeroizing::new([bits::ZERO; LANES]);
        for (first, leaves) in (0_u8..).step_by(LANES).zip(leaves.as_chunks().0) {
            self.expand(j, first, leaves, &mut rows);
            for (y, row) in (first..).zip(rows.iter()) {
                bits::add(&mut all, row);
                for (b, sum) in by_bit.iter_mut().enumerate() {
                    if y >> b & 1 == 1 {
                        bits::add(sum, row);
                    }
                }
            }
        }
        all
    }

    /// Writes the rows of leaves `first`, `first + 1` .. of tree `j`.
    fn expand(&mut self, j: u8, first: u8, leaves: &[[u8; 32]; LANES], rows: &mut [Row; LANES]) {
        for ((y, input), leaf) in (first..).zip(self.0.inputs()).zip(leaves) {
            input[..32].copy_from_slice(leaf);
            input[32..36].copy_from_slice(&[0, j, 0, y]);
        }
        for (counter, at) in (0_u8..).zip((0..bits::ZERO.len()).step_by(4)) {
            self.0.inputs().for_each(|input| input[36] = counter);
            for (row, hash) in rows.iter_mut().zip(self.0.words()) {
                for (word, [low, high]) in row[at..].iter_mut().zip(hash.as_chunks().0) {
                    *word = u64::from(low.swap_bytes()) | u64::from(high.swap_bytes()) << 32;
                }
            }
        }
        for row in rows {
            row[8] &= u64::from(u32::MAX);
        }
    }
}

/// The hash of all combined rows, which both parties must compute alike.
fn verdict<C: Curve>(
    pair_session: &[u8; 32],
    h_u: &[u8; 32],
    combined: &[u8; 16],
    columns: &[u128; BASE],
) -> [u8; 32] {
    let rows = bits::transpose_square(columns);
    tags::OTE_CHECK
        .start::<C>()
        .part(pair_session)
        .part(h_u)
        .part(combined)
        .part_in_pieces(BASE * 16, |add| rows.iter().for_each(|row| add(&row.to_le_bytes())))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{base_keys, dealt_trees, seed, sha, sha_hex, sid_ot};
    use super::super::{CHOICES, tree};
    use super::*;
    use crate::device::hex;
    use k256::Secp256k1;
    use proptest::prelude::*;

    #[test]
    fn the_message_and_both_halves_match_the_known_answers() {
        let (chosen, both) = base_keys();
        let (sender, message) = tree::build::<Secp256k1>(&sid_ot(), both);
        let receiver = tree::evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap();
        let bytes = |columns: &Secret<Columns>| {
            columns.expose()[..416].iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<u8>>()
        };

        let (extended, message) =
            extend::<Secp256k1>(&sha(b"sid_p"), &sender, &seed("bob"), "beta/1");
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
            hex(&crate::crypto::curve::encode_scalar(extended.chi())),
            "f506ff931b8259592386a1cc097c9cc469e0bff4ff3ca5e4366fa1471a6aa903"
        );

        let checked = check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).unwrap();
        assert_eq!(
            sha_hex(&bytes(&checked.columns)),
            "f52babe62bf595675537566c02a99ba3f4ad19716556e5ae524cdc025a59158d"
        );
        assert_eq!(checked.h_u, extended.h_u);
    }

    #[test]
    fn rows_match_the_known_answer() {
        let mut expander = Expander(ShortHash::new(&[0; 64]));
        let mut rows = [bits::ZERO; LANES];
        expander.expand(3, 4, &[std::array::from_fn(|i| i as u8); LANES], &mut rows);
        assert_eq!(
            hex(&bits::row_bytes(&rows[1])),
            "583367ba61d9c05b24b21400d2fe86f7ed6df46e0bb24f4530a4361c72233611\
             dcce2f5c6f26e9326cd6b59d9d776ff78ea8f23ba10fd3c9813306a18c5951c7caa81da3"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn columns_differ_by_delta_where_one_was_chosen(bits: [u8; 16], bob: [u8; 32]) {
            let (receiver, sender) = dealt_trees(bits);
            let bob = SessionSeed::from_bytes(bob);
            let (extended, message) = extend::<Secp256k1>(&sha(b"sid_p"), &sender, &bob, "beta/1");
            let checked = check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).unwrap();
            let columns = extended.columns.expose().iter().zip(checked.columns.expose());
            for (j, (v, q)) in columns.take(CHOICES).enumerate() {
                let chosen = u128::from(extended.choices.bit(j).unwrap_u8());
                prop_assert_eq!(*v, q ^ (checked.delta.expose() * chosen));
            }
            prop_assert_eq!(extended.h_u, checked.h_u);
        }

        #[test]
        fn every_flipped_bit_is_found(bit in 0..MESSAGE * 8) {
            let (receiver, mut message) = exchange();
            message[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).unwrap_err(), CheckFailed);
        }

        #[test]
        fn anything_else_is_refused(message: Vec<u8>, fill: u8) {
            let (receiver, _) = exchange();
            prop_assert!(check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).is_err());
            prop_assert!(check::<Secp256k1>(&sha(b"sid_p"), &receiver, &[fill; MESSAGE]).is_err());
        }
    }

    /// A's trees and an honest message of B.
    fn exchange() -> (ReceiverTrees, Vec<u8>) {
        let (receiver, sender) = dealt_trees([0x3c; 16]);
        let (_, message) = extend::<Secp256k1>(&sha(b"sid_p"), &sender, &seed("bob"), "beta/1");
        (receiver, message)
    }

    #[test]
    fn other_lengths_are_refused() {
        let (receiver, message) = exchange();
        let longer = [&message[..], &[0]].concat();
        for bad in [&[][..], &message[1..], &message[..MESSAGE - 1], &longer] {
            assert!(check::<Secp256k1>(&sha(b"sid_p"), &receiver, bad).is_err());
        }
    }

    #[test]
    fn a_message_under_another_nonce_is_refused() {
        let (receiver, message) = exchange();
        assert_eq!(
            check::<Secp256k1>(&sha(b"other"), &receiver, &message).unwrap_err(),
            CheckFailed
        );
    }

    #[test]
    fn another_nonce_changes_every_correction() {
        let (_, sender) = dealt_trees([0x3c; 16]);
        let (_, first) = extend::<Secp256k1>(&sha(b"first"), &sender, &seed("bob"), "beta/1");
        let (_, second) = extend::<Secp256k1>(&sha(b"second"), &sender, &seed("bob"), "beta/1");
        let same = |(a, b): &(&[u8; ROW_BYTES], &[u8; ROW_BYTES])| a == b;
        let rows = first.as_chunks().0.iter().zip(second.as_chunks().0);
        assert_eq!(rows.take(TREES).filter(same).count(), 0);
    }

    /// A failed check retires the pair because a lie that passes tells B a part of `Delta`.
    #[test]
    fn an_altered_correction_passes_exactly_if_delta_was_guessed() {
        let (receiver, sender) = dealt_trees([0x3c; 16]);
        let (pair_session, tree) = (sha(b"sid_p"), 3);
        let choices = Choices::draw(&seed("bob"), "beta/1");
        let choices = bits::row_from_bytes(choices.bytes());
        for guess in 0..16 {
            let (mut rows, mut corrections) =
                correct::<Secp256k1>(&pair_session, &sender, &choices);
            let mut error = bits::ZERO;
            error[0] = 1 << 7;
            corrections[tree * ROW_BYTES] ^= 1 << 7;
            for (b, row) in rows.expose_mut()[tree * DEPTH..][..DEPTH].iter_mut().enumerate() {
                bits::add_if(row, &error, Choice::from(guess >> b & 1));
            }
            let (_, _, message) = prove::<Secp256k1>(&pair_session, &choices, rows, corrections);
            let right = guess == receiver.holes()[tree];
            assert_eq!(
                check::<Secp256k1>(&pair_session, &receiver, &message).is_ok(),
                right,
                "{guess}"
            );
        }
    }
}
