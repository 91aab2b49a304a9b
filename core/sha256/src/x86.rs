//! The compressions with the SHA instructions of x86-64.
//!
//! The instructions hold a state as two registers, `abef` and `cdgh`, word `a` and word `c` uppermost, and do
//! two rounds at a time (Intel, "Intel SHA Extensions", 2013).

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use crate::{Block, LANES, State};

/// The round constants, four to a register (FIPS 180-4 §4.2.2).
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Does the compressions, if this processor has the instructions. The standard library caches the
/// detection.
pub(crate) fn compress(states: &mut [State; LANES], blocks: &[Block; LANES]) -> bool {
    let available = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if available {
        // SAFETY: all that `rounds` asks for beyond the language's rules is a processor with the features
        // that it enables, and these are the three that were just found. It is written in safe code: it
        // reads and writes its arguments by reference and holds no pointer.
        #[allow(
            unsafe_code,
            reason = "calls a function of instructions that not every processor has"
        )]
        unsafe {
            rounds(states, blocks);
        }
    }
    available
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(states: &mut [State; LANES], blocks: &[Block; LANES]) {
    let mut abef = [_mm_setzero_si128(); LANES];
    let mut cdgh = abef;
    let mut words = [[_mm_setzero_si128(); 4]; LANES];
    for lane in 0..LANES {
        let [a, b, c, d, e, f, g, h] = states[lane];
        abef[lane] = register([f, e, b, a]);
        cdgh[lane] = register([h, g, d, c]);
        for (words, bytes) in words[lane].iter_mut().zip(blocks[lane].as_chunks().0) {
            *words = message(bytes);
        }
    }
    let before = (abef, cdgh);
    // Four rounds of every lane at a time. `words` is a ring of the last sixteen words of the schedule.
    for (four, k) in K.into_iter().enumerate() {
        let k = register(k);
        for lane in 0..LANES {
            let ring = &mut words[lane];
            let [first, second, third, last] = [0, 1, 2, 3].map(|i| ring[(four + i) % 4]);
            if four >= 4 {
                let sum = _mm_add_epi32(
                    _mm_sha256msg1_epu32(first, second),
                    _mm_alignr_epi8(last, third, 4),
                );
                ring[four % 4] = _mm_sha256msg2_epu32(sum, last);
            }
            let sum = _mm_add_epi32(ring[four % 4], k);
            // Two rounds turn `abef` into the next `cdgh`, and two more turn that into the next `abef`.
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], sum);
            let upper = _mm_shuffle_epi32(sum, 0b00_00_11_10);
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], upper);
        }
    }
    for lane in 0..LANES {
        let [f, e, b, a] = array(_mm_add_epi32(abef[lane], before.0[lane]));
        let [h, g, d, c] = array(_mm_add_epi32(cdgh[lane], before.1[lane]));
        states[lane] = [a, b, c, d, e, f, g, h];
    }
}

/// Four words, the first lowermost.
#[inline]
#[target_feature(enable = "sse4.1")]
fn register(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}

/// The words of a register, the lowermost first.
#[inline]
#[target_feature(enable = "sse4.1")]
fn array(register: __m128i) -> [u32; 4] {
    let halves = [_mm_cvtsi128_si64(register), _mm_extract_epi64(register, 1)];
    let [low, high] = halves.map(i64::cast_unsigned);
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}

/// Four words of a message, which are big-endian.
#[inline]
#[target_feature(enable = "ssse3,sse4.1")]
fn message(bytes: &[u8; 16]) -> __m128i {
    let whole = u128::from_le_bytes(*bytes);
    let halves = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
    _mm_shuffle_epi8(halves, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203))
}
