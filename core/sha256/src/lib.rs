//! Four SHA-256 compressions side by side.
//!
//! A processor with SHA instructions starts a round of one hash while it waits for the last round
//! of another: four independent ones take little more than half the time that they take in turn.
//! Without such instructions `sha2` computes the four in turn, with the same result.
//!
//! Constant time: no branch and no address depends on a state or a block.

#[cfg(target_arch = "x86_64")]
mod x86;

/// Compressions at once.
pub const LANES: usize = 4;

/// The state of a hash: eight words (FIPS 180-4 §5.3.3).
pub type State = [u32; 8];

/// The state before the first block (FIPS 180-4 §5.3.3).
pub const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A block of a message.
pub type Block = [u8; 64];

/// Compresses block `i` into state `i` (FIPS 180-4 §6.2.2).
pub fn compress(states: &mut [State; LANES], blocks: &[Block; LANES]) {
    #[cfg(target_arch = "x86_64")]
    if x86::compress(states, blocks) {
        return;
    }
    portable(states, blocks);
}

/// As [`compress`], one after the other.
fn portable(states: &mut [State; LANES], blocks: &[Block; LANES]) {
    for (state, block) in states.iter_mut().zip(blocks) {
        sha2::compress256(state, &[(*block).into()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The result of `compress`, which must agree with the portable one.
    fn compared(states: [State; LANES], blocks: [Block; LANES]) -> [State; LANES] {
        let (mut chosen, mut plain) = (states, states);
        compress(&mut chosen, &blocks);
        portable(&mut plain, &blocks);
        assert_eq!(chosen, plain);
        chosen
    }

    #[test]
    fn abc_hashes_as_the_standard_says() {
        let mut block = [0; 64];
        block[..4].copy_from_slice(b"abc\x80");
        block[63] = 24;
        let hash = [
            0xba78_16bf,
            0x8f01_cfea,
            0x4141_40de,
            0x5dae_2223,
            0xb003_61a3,
            0x9617_7a9c,
            0xb410_ff61,
            0xf200_15ad,
        ];
        assert_eq!(compared([INITIAL; LANES], [block; LANES]), [hash; LANES]);
    }

    #[test]
    fn a_bit_of_a_block_or_a_state_changes_its_own_lane_alone() {
        let before = compared([INITIAL; LANES], [[0; 64]; LANES]);
        for lane in 0..LANES {
            let only_here = |after: [State; LANES]| {
                (0..LANES).for_each(|i| assert_eq!(after[i] != before[i], i == lane));
            };
            for bit in 0..512 {
                let mut blocks = [[0; 64]; LANES];
                blocks[lane][bit / 8] = 1 << (bit % 8);
                only_here(compared([INITIAL; LANES], blocks));
            }
            for bit in 0..256 {
                let mut states = [INITIAL; LANES];
                states[lane][bit / 32] ^= 1 << (bit % 32);
                only_here(compared(states, [[0; 64]; LANES]));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_four_blocks_compress_as_they_do_one_by_one(
            states: [State; LANES], blocks in prop::array::uniform4(prop::array::uniform32(any::<[u8; 2]>())),
        ) {
            let blocks = blocks.map(|block| {
                let mut bytes = [0; 64];
                bytes.copy_from_slice(block.as_flattened());
                bytes
            });
            compared(states, blocks);
        }
    }
}
