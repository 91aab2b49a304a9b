//! All-but-one trees: from 128 base transfers to 32 trees of 16 leaves (docs/protocol.md §5.1).
//!
//! B knows all leaves of every tree, A all but one: the hole, whose position `delta` consists of
//! A's choices. A walks to the hole only by selections, so neither time nor memory access depends
//! on its position.

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use super::base::{BothKeys, ChosenKeys};
use super::bits::select;
use super::{DEPTH, LEAVES, TREES};
use crate::crypto::curve::Curve;
use crate::crypto::tags;
use crate::secret::Secret;

/// Length of the tree message: per tree, two corrections for every level but the first, the sum of
/// the leaf proofs, their digest.
pub const MESSAGE: usize = TREES * TREE_MESSAGE;

/// Length of one tree's part of the message.
const TREE_MESSAGE: usize = 2 * DEPTH * 32;

/// Length of a party's stored leaves.
const STORED_LEAVES: usize = TREES * LEAVES * 32;

/// The corrections do not fit the base transfers, or stored trees are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTree;

/// A node, a leaf, a proof.
type Node = [u8; 32];

/// The leaves of one tree.
pub(super) type Leaves = [Node; LEAVES];

/// B's trees: all leaves. Stored for the life of an epoch.
#[derive(Debug)]
pub struct SenderTrees(Secret<[Leaves; TREES]>);

/// A's trees: all leaves but the hole of each, which holds zeros. Stored for the life of an epoch.
#[derive(Debug)]
pub struct ReceiverTrees {
    /// The position of every tree's hole, `delta`.
    holes: Secret<[u8; TREES]>,
    leaves: Secret<[Leaves; TREES]>,
}

/// B's step: grows the trees from both keys of every transfer and returns the message for A
/// (8192 bytes).
pub fn build<C: Curve>(sid_ot: &[u8; 32], keys: BothKeys) -> (SenderTrees, Vec<u8>) {
    let mut trees = Secret::new([[[0; 32]; LEAVES]; TREES]);
    let mut message = Vec::with_capacity(MESSAGE);
    let keys = keys.0.expose().as_chunks::<DEPTH>().0;
    for (j, (nodes, keys)) in trees.expose_mut().iter_mut().zip(keys).enumerate() {
        nodes[..2].copy_from_slice(&keys[0]);
        for (level, key) in keys.iter().enumerate().skip(1) {
            grow::<C>(sid_ot, j, level, nodes);
            for (x, key) in key.iter().enumerate() {
                let mut correction = *key;
                children(nodes, level, x).for_each(|child| add(&mut correction, child));
                message.extend_from_slice(&correction);
            }
        }
        let proofs = proofs::<C>(sid_ot, j, nodes);
        let mut sum = [0; 32];
        proofs.iter().for_each(|proof| add(&mut sum, proof));
        message.extend_from_slice(&sum);
        message.extend_from_slice(&digest::<C>(sid_ot, j, &proofs));
    }
    (SenderTrees(trees), message)
}

/// A's step: walks every tree to its hole and checks the digests.
///
/// All trees are evaluated before the verdict, and there is one error for all (§5.1).
pub fn evaluate<C: Curve>(
    sid_ot: &[u8; 32],
    keys: ChosenKeys,
    message: &[u8],
) -> Result<ReceiverTrees, InvalidTree> {
    if message.len() != MESSAGE {
        return Err(InvalidTree);
    }
    let mut holes = Secret::new([0; TREES]);
    let mut leaves = Secret::new([[[0; 32]; LEAVES]; TREES]);
    let mut valid = Choice::from(1);
    let trees = holes.expose_mut().iter_mut().zip(leaves.expose_mut());
    for (j, ((hole, nodes), parts)) in
        trees.zip(message.as_chunks().0.as_chunks().0.as_chunks().0).enumerate()
    {
        let parts: &[[Node; 2]; DEPTH] = parts;
        *hole = walk::<C>(sid_ot, j, &keys, parts, nodes);
        valid &= fits::<C>(sid_ot, j, &parts[DEPTH - 1], nodes, *hole);
    }
    if bool::from(valid) { Ok(ReceiverTrees { holes, leaves }) } else { Err(InvalidTree) }
}

/// Grows tree `j` in `nodes`, which become its leaves with zeros in the hole, and returns the hole.
fn walk<C: Curve>(
    sid_ot: &[u8; 32],
    j: usize,
    keys: &ChosenKeys,
    corrections: &[[Node; 2]; DEPTH],
    nodes: &mut Leaves,
) -> u8 {
    let key = |level: usize| &keys.keys.expose()[j * DEPTH + level];
    let choice = |level: usize| keys.choices.bit(j * DEPTH + level);

    let mut hole = (!choice(0)).unwrap_u8();
    place(&mut nodes[..2], hole ^ 1, key(0));
    for level in 1..DEPTH {
        grow::<C>(sid_ot, j, level, nodes);
        // Nodes below the hole are not part of the tree.
        let width = 2 << level;
        for (y, node) in (0_u8..).zip(&mut nodes[..width]) {
            *node = select(node, &[0; 32], (y / 2).ct_eq(&hole));
        }
        let bit = choice(level);
        let [mut zero, mut one] = corrections[level - 1];
        children(nodes, level, 0).for_each(|child| add(&mut zero, child));
        children(nodes, level, 1).for_each(|child| add(&mut one, child));
        let mut known = Zeroizing::new(select(&zero, &one, bit));
        zero.zeroize();
        one.zeroize();
        add(&mut known, key(level));
        let bit = bit.unwrap_u8();
        place(&mut nodes[..width], 2 * hole + bit, &known);
        hole = 2 * hole + (bit ^ 1);
    }
    hole
}

/// Whether the leaves of tree `j` and the proof of the leaf in the hole give the digest B sent.
fn fits<C: Curve>(
    sid_ot: &[u8; 32],
    j: usize,
    [sum, claimed]: &[Node; 2],
    leaves: &Leaves,
    hole: u8,
) -> Choice {
    let mut proofs = proofs::<C>(sid_ot, j, leaves);
    let mut missing = *sum;
    for (y, proof) in (0_u8..).zip(proofs.iter_mut()) {
        *proof = select(proof, &[0; 32], y.ct_eq(&hole));
        add(&mut missing, proof);
    }
    place(&mut proofs[..], hole, &missing);
    digest::<C>(sid_ot, j, &proofs).ct_eq(claimed)
}

impl SenderTrees {
    /// The leaves of every tree.
    pub(super) fn leaves(&self) -> &[Leaves] {
        self.0.expose()
    }

    /// The stored form: 32 trees of 16 leaves of 32 bytes.
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.expose().as_flattened().as_flattened().to_vec())
    }

    /// Decodes the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidTree> {
        read_leaves(bytes).map(Self)
    }
}

impl ReceiverTrees {
    /// The leaves of every tree, zeros in the hole.
    pub(super) fn leaves(&self) -> &[Leaves] {
        self.leaves.expose()
    }

    /// The position of every tree's hole.
    pub(super) fn holes(&self) -> &[u8; TREES] {
        self.holes.expose()
    }

    /// The stored form: 32 positions of one byte, then the leaves, zeros in the holes.
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        let mut bytes = Secret::new(Vec::with_capacity(TREES + STORED_LEAVES));
        bytes.expose_mut().extend_from_slice(self.holes.expose());
        bytes.expose_mut().extend_from_slice(self.leaves.expose().as_flattened().as_flattened());
        bytes
    }

    /// Decodes the stored form. Every position must be below 16 and every hole must hold zeros.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidTree> {
        let (positions, leaves) = bytes.split_first_chunk::<TREES>().ok_or(InvalidTree)?;
        let holes = Secret::new(*positions);
        let leaves = read_leaves(leaves)?;
        let mut valid = Choice::from(1);
        for (hole, leaves) in positions.iter().zip(leaves.expose()) {
            let mut found = Choice::from(0);
            for (y, leaf) in (0_u8..).zip(leaves) {
                found |= y.ct_eq(hole) & leaf.ct_eq(&[0; 32]);
            }
            valid &= found;
        }
        if bool::from(valid) { Ok(Self { holes, leaves }) } else { Err(InvalidTree) }
    }
}

fn read_leaves(bytes: &[u8]) -> Result<Secret<[Leaves; TREES]>, InvalidTree> {
    if bytes.len() != STORED_LEAVES {
        return Err(InvalidTree);
    }
    let mut leaves = Secret::new([[[0; 32]; LEAVES]; TREES]);
    leaves.expose_mut().as_flattened_mut().as_flattened_mut().copy_from_slice(bytes);
    Ok(leaves)
}

/// Replaces the `2^level` nodes of `level` by their children, in place.
fn grow<C: Curve>(sid_ot: &[u8; 32], j: usize, level: usize, nodes: &mut Leaves) {
    // From the last node down, so that no parent is overwritten before it is used.
    for y in (0..1 << level).rev() {
        let parent = Zeroizing::new(nodes[y]);
        for x in 0..2 {
            let place = [0, j as u8, level as u8, 0, y as u8, x as u8];
            nodes[2 * y + x] = tags::PPRF_NODE.hash::<C>(&[sid_ot, &place, &*parent]);
        }
    }
}

/// The left (`x = 0`) or right (`x = 1`) children of the nodes of `level`.
fn children(nodes: &Leaves, level: usize, x: usize) -> impl Iterator<Item = &Node> {
    nodes[..2 << level].iter().skip(x).step_by(2)
}

/// Puts `node` at `position`, which is secret.
fn place(nodes: &mut [Node], position: u8, node: &Node) {
    for (y, slot) in (0_u8..).zip(nodes) {
        *slot = select(slot, node, y.ct_eq(&position));
    }
}

/// A proof for every leaf, which does not reveal the leaf.
fn proofs<C: Curve>(sid_ot: &[u8; 32], j: usize, leaves: &Leaves) -> Zeroizing<Leaves> {
    let mut proofs = Zeroizing::new([[0; 32]; LEAVES]);
    for (y, (proof, leaf)) in (0_u8..).zip(proofs.iter_mut().zip(leaves)) {
        *proof = tags::PPRF_LEAF.hash::<C>(&[sid_ot, &[0, j as u8, 0, y], leaf]);
    }
    proofs
}

fn digest<C: Curve>(sid_ot: &[u8; 32], j: usize, proofs: &Leaves) -> [u8; 32] {
    tags::PPRF_DIGEST.hash::<C>(&[sid_ot, &[0, j as u8], proofs.as_flattened()])
}

fn add(node: &mut Node, other: &Node) {
    for (a, b) in node.iter_mut().zip(other) {
        *a ^= b;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{base_keys, dealt_keys, dealt_trees, seed, sha_hex, sid_ot};
    use super::super::{BASE, base};
    use super::*;
    use crate::device::hex;
    use k256::Secp256k1;
    use proptest::prelude::*;

    #[test]
    fn the_message_and_the_trees_match_the_known_answers() {
        let (chosen, both) = base_keys();
        let (sender, message) = build::<Secp256k1>(&sid_ot(), both);
        assert_eq!(message.len(), MESSAGE);
        assert_eq!(
            sha_hex(&message),
            "66f411d15a497f09efddc64f306a69105361f50facfaf14d0233d7ff4939bf8c"
        );
        assert_eq!(
            sha_hex(sender.to_bytes().expose()),
            "321bdb4ad93bef8dbfb35c7b9f19c8bdc2bb45c8cab388b32e33883590e59212"
        );
        let receiver = evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap();
        assert_eq!(
            hex(receiver.holes()),
            "030e0a02090f050f050203090f010e0f0a0e0d03090a0a03090c0a05010c0d0a"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn leaves_agree_except_for_the_hole(bits: [u8; BASE / 8]) {
            let (receiver, sender) = dealt_trees(bits);
            for (j, hole) in receiver.holes().iter().enumerate() {
                // The hole is where every choice went the other way, top level first.
                let choices = bits[j / 2] >> (4 * (j % 2)) & 15;
                prop_assert_eq!(*hole, !choices.reverse_bits() >> 4);
                for y in 0..LEAVES {
                    let same = receiver.leaves()[j][y] == sender.leaves()[j][y];
                    prop_assert_eq!(same, y != usize::from(*hole));
                }
                prop_assert_eq!(receiver.leaves()[j][usize::from(*hole)], [0; 32]);
            }
        }
    }

    #[test]
    fn a_flipped_correction_is_found_where_it_is_used() {
        let (_, both) = dealt_keys([0x5a; 16]);
        let (_, message) = build::<Secp256k1>(&sid_ot(), both);
        for tree in [0, 17, 31] {
            for part in 0..8 {
                let mut bad = message.clone();
                bad[tree * TREE_MESSAGE + part * 32 + 5] ^= 1;
                // A level's correction matters in the branch A chose, sum and digest always do.
                let level = 1 + part / 2;
                let choice = 0x5a >> (4 * (tree % 2) + level) & 1;
                let used = part >= 6 || part % 2 == choice;
                let (chosen, _) = dealt_keys([0x5a; 16]);
                assert_eq!(
                    evaluate::<Secp256k1>(&sid_ot(), chosen, &bad).is_err(),
                    used,
                    "{tree} {part}"
                );
            }
        }
    }

    #[test]
    fn answers_of_other_exponents_are_found() {
        let (receiver, ot1) = base::Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        let (_, both) = base::send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &ot1).unwrap();
        let (other_ot2, _) = base::send::<Secp256k1>(&sid_ot(), &seed("mallory"), 1, &ot1).unwrap();
        let (_, message) = build::<Secp256k1>(&sid_ot(), both);
        let chosen = receiver.finish(&other_ot2).unwrap();
        assert_eq!(evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap_err(), InvalidTree);
    }

    #[test]
    fn trees_of_another_session_are_refused() {
        let (chosen, both) = dealt_keys([0x5a; 16]);
        let (_, message) = build::<Secp256k1>(&[9; 32], both);
        assert_eq!(evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap_err(), InvalidTree);
    }

    #[test]
    fn other_lengths_are_refused() {
        let (_, both) = dealt_keys([1; 16]);
        let (_, message) = build::<Secp256k1>(&sid_ot(), both);
        let longer = [&message[..], &[0]].concat();
        for bad in [&[][..], &message[1..], &longer, &[7; MESSAGE]] {
            let (chosen, _) = dealt_keys([1; 16]);
            assert_eq!(evaluate::<Secp256k1>(&sid_ot(), chosen, bad).unwrap_err(), InvalidTree);
        }
    }

    #[test]
    fn stored_trees_come_back() {
        let (receiver, sender) = dealt_trees([0xc3; 16]);
        let again = SenderTrees::from_bytes(sender.to_bytes().expose()).unwrap();
        assert_eq!(again.leaves(), sender.leaves());
        let again = ReceiverTrees::from_bytes(receiver.to_bytes().expose()).unwrap();
        assert_eq!((again.holes(), again.leaves()), (receiver.holes(), receiver.leaves()));
    }

    #[test]
    fn damaged_stored_trees_are_refused() {
        let (receiver, sender) = dealt_trees([0xc3; 16]);
        let leaves = sender.to_bytes();
        for bad in [&leaves.expose()[1..], &[], &[leaves.expose(), &[0][..]].concat()] {
            assert!(SenderTrees::from_bytes(bad).is_err());
        }
        let stored = receiver.to_bytes();
        let hole = usize::from(receiver.holes()[0]);
        for (at, value) in [(0, 16), (0, hole as u8 ^ 1), (TREES + hole * 32, 1)] {
            let mut bad = stored.expose().clone();
            bad[at] = value;
            assert!(ReceiverTrees::from_bytes(&bad).is_err(), "{at}");
        }
        for bad in [&stored.expose()[1..], &[0; TREES], &[stored.expose(), &[0][..]].concat()] {
            assert!(ReceiverTrees::from_bytes(bad).is_err());
        }
    }
}
