//! SHA-256 of one fixed 64-byte key and one short input: a single compression per hash.
//!
//! The extension and the pads hash thousands of short secrets under one key. The key fills exactly
//! one block, so its state is computed once; input and padding fill the second block.

use sha2::compress256;
use sha2::digest::consts::U64;
use sha2::digest::generic_array::GenericArray;
use zeroize::Zeroize;

/// The initial state of SHA-256 (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The hash `SHA256(key || input)` for inputs of `L` bytes, `L` at most 55.
pub(crate) struct ShortHash<const L: usize> {
    /// The state after the key.
    state: [u32; 8],
    /// Input and padding.
    block: GenericArray<u8, U64>,
}

impl<const L: usize> ShortHash<L> {
    /// Hashes under `key`; the input starts as zeros.
    pub(crate) fn new(key: &[u8; 64]) -> Self {
        const { assert!(L <= 55, "input and padding share one block") };
        let mut state = INITIAL;
        compress256(&mut state, &[GenericArray::from(*key)]);
        let mut block = GenericArray::default();
        block[L] = 0x80;
        let bits = (64 + L as u64) * 8;
        block[56..].copy_from_slice(&bits.to_be_bytes());
        Self { state, block }
    }

    /// The input, to be changed between hashes.
    pub(crate) fn input(&mut self) -> &mut [u8] {
        &mut self.block[..L]
    }

    /// The hash as four big-endian words.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 4] {
        let mut state = self.state;
        compress256(&mut state, std::slice::from_ref(&self.block));
        let [a, b, c, d, e, f, g, h] = state.map(u64::from);
        [a << 32 | b, c << 32 | d, e << 32 | f, g << 32 | h]
    }

    /// The hash as 32 bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(self.words()) {
            *bytes = word.to_be_bytes();
        }
        out
    }
}

impl<const L: usize> Drop for ShortHash<L> {
    fn drop(&mut self) {
        self.block.as_mut_slice().zeroize();
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
            let input: [u8; L] = std::array::from_fn(|i| 0xff - i as u8);
            let mut short = ShortHash::<L>::new(&key);
            short.input().copy_from_slice(&input);
            let plain: [u8; 32] =
                Sha256::new().chain_update(key).chain_update(input).finalize().into();
            assert_eq!(short.bytes(), plain);
        }
        compare::<0>();
        compare::<19>();
        compare::<37>();
        compare::<55>();
    }
}
