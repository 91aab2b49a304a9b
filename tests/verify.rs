//! Wycheproof's ECDSA cases for secp256k1, each through `cosign verify`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::process::Command;

use hex::encode;
use sha2::{Digest, Sha256, Sha512};
use sha3::{Sha3_256, Sha3_512};
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

/// The exit code of `cosign verify` with this public key, digest and signature.
fn verify(key: &str, digest: &str, signature: &str, more: &[&str]) -> i32 {
    Command::new(env!("CARGO_BIN_EXE_cosign"))
        .args(["verify", "--json", "--public-key", key, digest, signature])
        .args(more)
        .env_clear()
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
        .code()
        .unwrap()
}

/// The digest of `message` as ECDSA takes it: its leftmost 32 bytes.
fn digest<D: Digest>(message: &[u8]) -> String {
    encode(&D::digest(message)[..32])
}

/// Runs every case of a set and demands the expected answer each time.
fn run(name: TestName, digest: impl Fn(&[u8]) -> String, more: &[&str]) {
    let set = TestSet::load(name).unwrap();
    assert!(set.test_groups.iter().map(|group| group.tests.len()).sum::<usize>() > 200);
    for group in &set.test_groups {
        // The key in two of the accepted forms.
        let keys = [encode(&group.der[..]), encode(&group.key.key[..])];
        for (test, key) in group.tests.iter().zip(keys.iter().cycle()) {
            let exit = verify(key, &digest(&test.msg), &encode(&test.sig[..]), more);
            // A text without the form of a signature is not understood.
            let expected = if test.result == TestResult::Valid { &[0][..] } else { &[1, 2] };
            assert!(expected.contains(&exit), "{name:?} case {}: {}", test.tc_id, test.comment);
        }
    }
}

#[test]
fn der_over_sha256() {
    run(TestName::EcdsaSecp256k1Sha256, digest::<Sha256>, &[]);
}

#[test]
fn der_over_sha512() {
    run(TestName::EcdsaSecp256k1Sha512, digest::<Sha512>, &[]);
}

#[test]
fn der_over_sha3() {
    run(TestName::EcdsaSecp256k1Sha3_256, digest::<Sha3_256>, &[]);
    run(TestName::EcdsaSecp256k1Sha3_512, digest::<Sha3_512>, &[]);
}

#[test]
fn der_as_bitcoin_wants_it() {
    run(TestName::EcdsaSecp256k1Sha256Bitcoin, digest::<Sha256>, &["--require-low-s"]);
}

#[test]
fn r_and_s_alone_over_sha256() {
    run(TestName::EcdsaSecp256k1Sha256P1363, digest::<Sha256>, &[]);
}

#[test]
fn r_and_s_alone_over_sha512() {
    run(TestName::EcdsaSecp256k1Sha512P1363, digest::<Sha512>, &[]);
}
