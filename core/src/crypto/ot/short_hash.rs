//! SHA-256 of one fixed 64-byte key and short inputs: a single compression per hash, four hashes at a time.
//!
//! The extension and the pads hash thousands of short secrets under one key. The key fills exactly
//! one block, so its state is computed once; input and padding fill the second block.

use cosign_sha256::{Block, INITIAL, LANES, State};
use sha2::compress256;
use zeroize::Zeroize;

/// The hashes `SHA256(key || input)` of four inputs of `L` bytes, `L` at most 55.
pub(crate) struct ShortHash<const L: usize> {
    /// The state after the key.
    state: State,
    /// Inputs and padding.
    blocks: [Block; LANES],
}

impl<const L: usize> ShortHash<L> {
    /// Hashes under `key`; the inputs start as zeros.
    pub(crate) fn new(key: &[u8; 64]) -> Self {
        const { assert!(L <= 55, "input and padding share one block") };
        let mut state = INITIAL;
        compress256(&mut state, &[(*key).into()]);
        let mut block = [0; 64];
        block[L] = 0x80;
        let bits = (64 + L as u64) * 8;
        block[56..].copy_from_slice(&bits.to_be_bytes());
        Self { state, blocks: [block; LANES] }
    }

    /// The inputs, to be changed between hashes.
    pub(crate) fn inputs(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.blocks.iter_mut().map(|block| &mut block[..L])
    }

    /// The hashes as big-endian words.
    #[inline]
    pub(crate) fn words(&self) -> [State; LANES] {
        let mut states = [self.state; LANES];
        cosign_sha256::compress(&mut states, &self.blocks);
        states
    }
}

impl<const L: usize> Drop for ShortHash<L> {
    fn drop(&mut self) {
        self.blocks.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn short_hashes_equal_plain_sha256() {
        fn compare<const L: usize>() {
            let key = std::array::from_fn(|i| i as u8);
            let input = |lane: usize| std::array::from_fn(|i| (0xff - i - 64 * lane) as u8);
            let mut short = ShortHash::<L>::new(&key);
            for (lane, slot) in short.inputs().enumerate() {
                let input: [u8; L] = input(lane);
                slot.copy_from_slice(&input);
            }
            for (lane, words) in short.words().into_iter().enumerate() {
                let input: [u8; L] = input(lane);
                let plain: [u8; 32] =
                    Sha256::new().chain_update(key).chain_update(input).finalize().into();
                assert_eq!(words.map(u32::to_be_bytes).as_flattened(), plain);
            }
        }
        compare::<0>();
        compare::<19>();
        compare::<37>();
        compare::<55>();
    }
}
