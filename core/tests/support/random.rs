//! Random input for decoders, by proptest.

use proptest::prelude::*;

/// Failures are reported with their input, and leave no file behind.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// Input for `changes::changed`, short enough that part of the original remains.
pub(crate) fn changes() -> impl Strategy<Value = Vec<u8>> {
    let what = prop_oneof![Just(0_u8), Just(1), Just(2), any::<u8>()];
    let one = (any::<u16>(), what).prop_map(|(place, what)| {
        let [low, high] = place.to_le_bytes();
        [low, high, what]
    });
    prop::collection::vec(one, 0..4).prop_map(|changes| changes.concat())
}
