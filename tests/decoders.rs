//! Random bytes for every decoder of the program.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../core/tests/support/changes.rs"]
mod changes;
#[path = "support/decoders.rs"]
mod decoders;
#[path = "../core/tests/support/random.rs"]
mod random;

use std::collections::BTreeSet;

use proptest::prelude::*;
use random::{bytes, cases, changes};

/// Fuzz targets whose functions and kept inputs `core/tests/decoders.rs` runs.
const OF_THE_CORE: [&str; 8] =
    ["values", "der", "share", "confirmation", "origin", "message", "dealing", "operations"];

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn frames_and_control_messages_are_what_was_sent(raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::frame(bytes);
            decoders::control(bytes);
            decoders::group(bytes);
            decoders::label(bytes);
            decoders::said(bytes);
            decoders::pasted(bytes);
            decoders::payload(bytes);
            decoders::git_object(bytes);
            decoders::payment(bytes);
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

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn files_of_a_device_are_named_or_harmless(kind: u8, raw in bytes(200), changes in changes()) {
        for bytes in [&raw, &changes] {
            decoders::home(&[&[kind], &bytes[..]].concat());
            decoders::backup(bytes);
            decoders::found(&[&[kind], &bytes[..]].concat());
            decoders::config(bytes);
            decoders::policy(bytes);
            decoders::request(bytes);
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
            decoders::module_file(bytes);
        }
    }
}

type Decoder = fn(&[u8]);

/// The fuzz targets' seeds, and the inputs that they once found.
#[test]
fn every_kept_input_is_borne() {
    let all: &[(&str, Decoder)] = &[
        ("frame", decoders::frame),
        ("control", decoders::control),
        ("group", decoders::group),
        ("label", decoders::label),
        ("relay", decoders::relay),
        ("certificate", decoders::certificate),
        ("announcement", decoders::announcement),
        ("cluster", decoders::cluster),
        ("home", decoders::home),
        ("backup", decoders::backup),
        ("said", decoders::said),
        ("found", decoders::found),
        ("config", decoders::config),
        ("policy", decoders::policy),
        ("request", decoders::request),
        ("given", decoders::given),
        ("key_file", decoders::key_file),
        ("pasted", decoders::pasted),
        ("payload", decoders::payload),
        ("git_object", decoders::git_object),
        ("payment", decoders::payment),
        ("picture", decoders::picture),
        ("token_frame", decoders::token_frame),
        ("stanza", decoders::stanza),
        ("uri", decoders::uri),
        ("module_file", decoders::module_file),
    ];
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
    for (name, decode) in all.iter().copied() {
        let seeds = std::fs::read_dir(format!("{seeds}/{name}")).unwrap();
        let seeds: Vec<_> = seeds.map(|seed| seed.unwrap().path()).collect();
        assert!(seeds.len() >= 3, "{name}");
        seeds.iter().for_each(|seed| decode(&std::fs::read(seed).unwrap()));
    }
    let targets = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets"));
    let targets: BTreeSet<_> = targets
        .unwrap()
        .map(|target| target.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let run: BTreeSet<_> =
        all.iter().map(|(name, _)| *name).chain(OF_THE_CORE).map(str::to_owned).collect();
    assert_eq!(targets, run, "a target that no test runs, or the reverse");
}
