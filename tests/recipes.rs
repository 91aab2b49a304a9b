//! The recipes of `examples/`, run as they stand with the real program.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A recipe that uses this build, with nothing else from the environment around it.
fn recipe(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(examples().join(name)).env_clear();
    let folder = Path::new(env!("CARGO_BIN_EXE_cosign")).parent().unwrap();
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display()));
    command.env("LC_ALL", "C.UTF-8");
    // As for a user with another device.
    for variable in ["COSIGN_HOME", "COSIGN_IDENTITY", "COSIGN_PASSPHRASE_FILE"] {
        command.env(variable, "/nonexistent/mine");
    }
    command
}

#[track_caller]
fn ends_well(output: Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    stdout
}

#[track_caller]
fn says(name: &str, text: &str) {
    let stdout = ends_well(recipe(name).output().unwrap());
    assert!(stdout.contains(text), "{stdout}");
}

#[test]
fn two_people_release_what_both_have_built() {
    says("release.sh", "Verified OK");
}

#[test]
fn an_ethereum_address_is_recovered() {
    let stdout = ends_well(recipe("ethereum/pay.sh").output().unwrap());
    assert!(stdout.contains("the payment is from 0x"), "{stdout}");
    assert_eq!(stdout.matches("bob's device says no").count(), 1, "{stdout}");
}

#[test]
fn a_watch_only_wallet_finishes_the_payment_that_both_saw() {
    let stdout = ends_well(recipe("bitcoin/pay.sh").output().unwrap());
    assert!(stdout.contains("yes: family/0/2 is bc1q"), "{stdout}");
    assert!(stdout.contains("0.25000000 BTC to"), "{stdout}");
    assert!(stdout.contains("\n0200000000010"), "the transaction: {stdout}");
    assert_eq!(stdout.matches("bob's device says no").count(), 2, "{stdout}");
}

#[test]
fn openssl_signs_with_the_whole_key_of_those_who_leave() {
    says("leave.sh", "Verified OK");
}

/// The sum itself, and what is refused: too few shares, and one share twice.
#[test]
fn shares_make_the_whole_key_without_cosign() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/tests/support/shares");
    let combine = |parties: &[&str]| {
        let mut python = Command::new("/usr/bin/python3");
        python.arg(examples().join("combine.py"));
        python.args(parties.iter().map(|party| folder.join(party))).output().unwrap()
    };
    let shares = ["party-1", "party-2"].map(|party| {
        cosign_core::KeyShare::<k256::Secp256k1>::from_bytes(&fs::read(folder.join(party)).unwrap())
            .unwrap()
    });
    let key = cosign_core::reveal_private_key(&[&shares[0], &shares[1]]).unwrap();
    let digits = cosign_core::hex(&cosign_core::curve::encode_scalar(key.expose()));
    for parties in [["party-1", "party-2"], ["party-2", "party-1"]] {
        assert_eq!(ends_well(combine(&parties)).trim_end(), digits);
    }
    for parties in [&["party-1"][..], &["party-1", "party-1"], &[]] {
        let output = combine(parties);
        assert!(!output.status.success() && output.stdout.is_empty());
    }
}

#[test]
fn a_token_is_accepted_and_an_altered_one_is_not() {
    says("jws.sh", "another payload is refused");
}

#[test]
fn git_has_a_tag_signed_by_two_people_and_refuses_an_altered_one() {
    says("git.sh", "as it should be");
}

#[test]
fn of_three_devices_one_may_be_away() {
    says("three-devices.sh", "Verified OK");
}

#[test]
fn a_ceremony_of_two_machines_leaves_what_can_be_checked() {
    let out = tempfile::tempdir().unwrap();
    let stdout =
        ends_well(recipe("ci-ceremony.sh").env("CEREMONY_DIR", out.path()).output().unwrap());
    assert!(stdout.contains("Verified OK"), "{stdout}");
    let published = |name: &str| out.path().join(name);
    let status = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(published("ci.pem"))
        .arg("-signature")
        .args([published("app.bin.sig"), published("app.bin")])
        .status()
        .unwrap();
    assert!(status.success());
    // Both machines recorded the key, the signature and the refusal.
    for machine in ["builder", "approver"] {
        let log = fs::read_to_string(published(&format!("{machine}/state/log.jsonl"))).unwrap();
        let outcomes: Vec<String> = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|entry| format!("{} {}", entry["ceremony"], entry["outcome"]).replace('"', ""))
            .collect();
        assert_eq!(outcomes, ["keygen stored", "sign signed", "sign policy"], "{machine}");
    }
}

#[test]
fn every_script_is_run_by_a_test() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes.rs"));
    let source = source.unwrap();
    let mut names = Vec::new();
    for folder in ["", "bitcoin/", "ethereum/"] {
        for entry in fs::read_dir(examples().join(folder)).unwrap() {
            names.push(format!("{folder}{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    for name in names {
        if name.ends_with(".sh") && name != "devices.sh" {
            assert!(source.contains(&format!("(\"{name}\"")), "{name}");
        }
    }
}

#[test]
fn the_service_starts_the_program_as_it_is() {
    let unit = fs::read_to_string(examples().join("systemd/cosign-approve.service")).unwrap();
    let start =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
    // The flags are known: it fails because something is missing here, not for its command line.
    let folder = tempfile::tempdir().unwrap();
    let line = start.replace("/etc/cosign/policy.toml", "missing.toml");
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("cosign"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cosign"));
    let output =
        command.args(words).env_clear().env("COSIGN_HOME", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{}", String::from_utf8_lossy(&output.stderr));

    let policy = examples().join("systemd/policy.toml");
    let mut check = Command::new(env!("CARGO_BIN_EXE_cosign"));
    check.args(["policy", "check"]).arg(policy).env_clear().env("COSIGN_HOME", folder.path());
    ends_well(check.output().unwrap());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_services() {
    for unit in ["systemd/cosign-approve.service", "relay/cosign-relay.service"] {
        // The program is where the unit says only on a machine where it is installed.
        let text = fs::read_to_string(examples().join(unit)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (_, name) = unit.split_once('/').unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text.replace("/usr/local/bin/cosign", env!("CARGO_BIN_EXE_cosign")))
            .unwrap();
        let output =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
        let output = output.unwrap_or_else(|e| panic!("systemd-analyze: {e}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = stderr.lines().filter(|line| line.contains("cosign-")).collect();
        assert!(output.status.success() && ours.is_empty(), "{stderr}");
    }
}
