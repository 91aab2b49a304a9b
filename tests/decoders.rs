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

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_changed_message_of_a_new_key_is_refused_or_taken_in_order(
        kind: u8, changes in changes(),
    ) {
        decoders::dealing(&[&[kind], &changes[..]].concat());
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
    fn a_token_uri_reads_back(raw in bytes(200), text: String, changes in changes()) {
        decoders::uri(&raw);
        decoders::uri(format!("pkcs11:{text}").as_bytes());
        decoders::uri(&changes);
    }
}

#[cfg(feature = "cli")]
proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn files_of_a_device_are_named_or_harmless(kind: u8, raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::home(&[&[kind], &bytes[..]].concat());
            decoders::found(&[&[kind], &bytes[..]].concat());
            decoders::config(bytes);
            decoders::policy(bytes);
        }
    }

    #[test]
    fn files_that_are_given_are_read_or_refused(raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::given(bytes);
            decoders::key_file(bytes);
            decoders::picture(bytes);
        }
    }

    #[test]
    fn what_neighbours_and_clusters_say_is_understood_or_not(
        raw in bytes(200), changes in changes(),
    ) {
        for bytes in [&raw, &changes] {
            decoders::announcement(bytes);
            decoders::cluster(bytes);
            decoders::certificate(bytes);
        }
    }

    #[test]
    fn what_tokens_say_is_understood_or_not(kind: u8, raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::token_frame(&[&[kind], &bytes[..]].concat());
            decoders::stanza(bytes);
        }
    }
}

type Decoder = fn(&[u8]);

/// What the fuzz targets begin with, and what they once found.
#[test]
fn every_kept_input_is_borne() {
    let all: &[(&str, Decoder)] = &[
        ("values", decoders::values),
        ("der", decoders::der),
        ("share", decoders::share),
        ("confirmation", decoders::confirmation),
        ("message", decoders::message),
        ("dealing", decoders::dealing),
        ("operations", decoders::operations),
        #[cfg(feature = "cli")]
        ("frame", decoders::frame),
        #[cfg(feature = "cli")]
        ("control", decoders::control),
        #[cfg(feature = "cli")]
        ("relay", decoders::relay),
        #[cfg(feature = "cli")]
        ("certificate", decoders::certificate),
        #[cfg(feature = "cli")]
        ("announcement", decoders::announcement),
        #[cfg(feature = "cli")]
        ("cluster", decoders::cluster),
        #[cfg(feature = "cli")]
        ("home", decoders::home),
        #[cfg(feature = "cli")]
        ("found", decoders::found),
        #[cfg(feature = "cli")]
        ("config", decoders::config),
        #[cfg(feature = "cli")]
        ("policy", decoders::policy),
        #[cfg(feature = "cli")]
        ("given", decoders::given),
        #[cfg(feature = "cli")]
        ("key_file", decoders::key_file),
        #[cfg(feature = "cli")]
        ("picture", decoders::picture),
        #[cfg(feature = "cli")]
        ("token_frame", decoders::token_frame),
        #[cfg(feature = "cli")]
        ("stanza", decoders::stanza),
        #[cfg(feature = "cli")]
        ("uri", decoders::uri),
    ];
    let fuzz = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
    for (name, decode) in all.iter().copied() {
        let seeds = std::fs::read_dir(format!("{fuzz}/seeds/{name}")).unwrap();
        let seeds: Vec<_> = seeds.map(|seed| seed.unwrap().path()).collect();
        assert!(seeds.len() >= 3, "{name}");
        seeds.iter().for_each(|seed| decode(&std::fs::read(seed).unwrap()));
    }
    #[cfg(feature = "cli")]
    {
        let targets = std::fs::read_dir(format!("{fuzz}/fuzz_targets")).unwrap();
        assert_eq!(targets.count(), all.len(), "a target without kept inputs, or the reverse");
    }
}
