//! Random bytes for every decoder of the core.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[path = "support/changes.rs"]
mod changes;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;
#[path = "support/decoders.rs"]
mod decoders;
#[path = "support/random.rs"]
mod random;

use proptest::prelude::*;
use random::{bytes, cases, changes};

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
        decoders::origin(&raw);
        decoders::origin(&changes);
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

type Decoder = fn(&[u8]);

/// The fuzz targets' seeds, and the inputs that they once found.
#[test]
fn every_kept_input_is_borne() {
    let all: &[(&str, Decoder)] = &[
        ("values", decoders::values),
        ("der", decoders::der),
        ("share", decoders::share),
        ("confirmation", decoders::confirmation),
        ("origin", decoders::origin),
        ("message", decoders::message),
        ("dealing", decoders::dealing),
        ("operations", decoders::operations),
    ];
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds");
    for (name, decode) in all.iter().copied() {
        let seeds = std::fs::read_dir(format!("{seeds}/{name}")).unwrap();
        let seeds: Vec<_> = seeds.map(|seed| seed.unwrap().path()).collect();
        assert!(seeds.len() >= 3, "{name}");
        seeds.iter().for_each(|seed| decode(&std::fs::read(seed).unwrap()));
    }
}
