//! Wycheproof's ECDSA cases for secp256k1 and P-256, each through `cosign verify`.
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

#[test]
fn on_p256() {
    run(TestName::EcdsaSecp256r1Sha256, digest::<Sha256>, &["--curve", "p256"]);
    run(TestName::EcdsaSecp256r1Sha512, digest::<Sha512>, &["--curve", "p256"]);
    run(TestName::EcdsaSecp256r1Sha256P1363, digest::<Sha256>, &["--curve", "p256"]);
}

/// A key and a signature of openssl, which says the curve in the key.
#[test]
fn what_openssl_signs_on_p256_is_valid_and_nothing_of_a_wallet_is() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let ended = Command::new("openssl").args(arguments).current_dir(&folder).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    std::fs::write(folder.path().join("file"), "what is signed").unwrap();
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"]);
    openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
    openssl(&["dgst", "-sha256", "-sign", "key.pem", "-out", "file.sig", "file"]);
    let cosign = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosign"));
        let ended = command.args(arguments).current_dir(&folder).env_clear().output().unwrap();
        (ended.status.code().unwrap(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let of = ["verify", "--public-key", "public.pem", "file.sig"];
    let with = |more: &[&'static str]| cosign(&[&of[..], more].concat());
    assert_eq!(with(&["--file", "file"]).0, 0);
    assert_eq!(with(&["--file", "file", "--curve", "p256"]).0, 0);
    assert_eq!(with(&["--file", "key.pem"]).0, 1);
    let (code, said) = with(&["--file", "file", "--curve", "secp256k1"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = with(&["--message", "gm"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("wallet"), "{said}");
}
