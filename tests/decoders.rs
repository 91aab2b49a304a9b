//! Random bytes for everything that takes bytes from outside.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[path = "support/decoders.rs"]
mod decoders;

use proptest::prelude::*;

/// Failures are reported with their input, and leave no file behind.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// Changes for [`decoders`], few enough that something of the original remains.
fn changes() -> impl Strategy<Value = Vec<u8>> {
    let what = prop_oneof![Just(0_u8), Just(1), Just(2), any::<u8>()];
    let one = (any::<u16>(), what).prop_map(|(place, what)| {
        let [low, high] = place.to_le_bytes();
        [low, high, what]
    });
    prop::collection::vec(one, 0..4).prop_map(|changes| changes.concat())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn values_have_one_encoding(raw in bytes(80), changes in changes()) {
        decoders::values(&raw);
        decoders::der(&changes);
    }

    #[test]
    fn text_of_any_kind_is_a_value_or_none(text: String) {
        decoders::values(text.as_bytes());
    }

    #[test]
    fn stored_shares_have_one_encoding(raw in bytes(200), changes in changes()) {
        decoders::share(&raw);
        decoders::share(&changes);
        decoders::confirmation(&changes);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_changed_message_is_refused_or_taken_in_order(kind: u8, changes in changes()) {
        decoders::message(&[&[kind], &changes[..]].concat());
    }

    #[test]
    fn machines_survive_whatever_is_done_to_them(operations in bytes(120)) {
        decoders::operations(&operations);
    }
}

#[cfg(feature = "cli")]
proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn frames_and_control_messages_are_what_was_sent(raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::frame(bytes);
            decoders::control(bytes);
        }
    }

    #[test]
    fn words_of_relays_and_invitations_are_what_was_sent(
        raw in bytes(200), changes in changes(),
    ) {
        decoders::relay(&raw);
        decoders::relay(&changes);
    }

    #[test]
    fn a_policy_is_read_or_refused(raw in bytes(200), changes in changes()) {
        decoders::policy(&raw);
        decoders::policy(&changes);
    }

    #[test]
    fn a_token_uri_reads_back(raw in bytes(200), text: String, changes in changes()) {
        decoders::uri(&raw);
        decoders::uri(format!("pkcs11:{text}").as_bytes());
        decoders::uri(&changes);
    }
}
