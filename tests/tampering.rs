//! Files that others changed while the vault was locked: whatever they do, it is named or it changes
//! nothing (docs/vault.md §7).
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use cosign::device::Fingerprint;
use cosign::vault::attempts::Attempts;
use cosign::vault::{
    DeviceInfo, Entry, Error, Home, KeyRecord, Ledger, Log, Misfit, Peers, Unlock, Uses, Vault,
    attempts, keys, uses,
};
use serde_json::Value;

use crate::device::{Device, two_with_key};

const DIGEST: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// How many bits of a file are flipped, one after the other.
const FLIPS: usize = 64;

/// Everything that an open vault says of its device.
#[derive(Debug, PartialEq)]
struct Facts {
    device: DeviceInfo,
    records: Vec<KeyRecord>,
    shares: Vec<Vec<u8>>,
    retired: Vec<(u8, String)>,
    height: u64,
    peers: Peers,
    attempts: Attempts,
    uses: Uses,
    log: Vec<Entry>,
}

impl Facts {
    fn of(device: &Device) -> Result<Self, Error> {
        let unlock = Unlock::Identity(device.path("key.txt"));
        let vault = Vault::open(&Home::at(device.home()), &unlock)?;
        if let Some(Misfit { error, .. }) = vault.misfits().into_iter().next() {
            return Err(error);
        }
        vault.check_signatures()?;
        vault.device_key()?;
        let home = vault.home();
        Log::verify(home)?;
        let records = keys::list(home)?;
        let share =
            |record: &KeyRecord| Ok(vault.share(&record.name, &record.epoch)?.expose().clone());
        let shares: Result<_, Error> = records.iter().map(share).collect();
        let ledger = Ledger::open(home)?;
        let epoch = records.first().map(|record| record.epoch).unwrap_or_default();
        Ok(Self {
            device: Vault::device(home)?,
            shares: shares?,
            records,
            retired: ledger.retired(&epoch),
            height: ledger.height(&epoch),
            peers: Peers::load(home)?,
            attempts: attempts::charged(home)?,
            uses: Uses::load(home)?,
            log: Log::entries(home)?,
        })
    }
}

/// Alice, who has a key with Bob, signed with it, and banned him since; and Bob.
fn scene() -> (Device, Device) {
    let (alice, bob, listener) = two_with_key();
    let address = listener.address();
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
    alice.run(sign).succeeds();
    let unlock = Unlock::Identity(alice.path("key.txt"));
    let vault = Vault::open(&Home::at(alice.home()), &unlock).unwrap();
    let home = vault.home();
    let record = keys::find(home, "vault").unwrap().remove(0);
    let bob_there = record.parties.iter().find(|party| party.index != record.me).unwrap();
    let fingerprint: Fingerprint = bob_there.fingerprint;
    Ledger::open(home)
        .unwrap()
        .retire(&record.epoch, bob_there.index, &fingerprint, "E_OTE_CHECK", &[7; 32], 5)
        .unwrap();
    attempts::charge(home, "relay").unwrap();
    uses::charge(home, "a rule", 9).unwrap();
    (alice, bob)
}

/// The files of a device that may decide something.
fn files(device: &Device) -> Vec<PathBuf> {
    let is_lock = |path: &Path| {
        path.file_name().is_some_and(|name| name == "lock")
            || path.parent().unwrap().ends_with("locks")
    };
    let below = device.files().into_iter().map(|(path, _)| path);
    below.filter(|path| path.starts_with(device.home()) && !is_lock(path)).collect()
}

/// Fails unless a changed `file` is named, or changes nothing.
fn assert_found_out(device: &Device, file: &Path, before: &Facts, what: &str) {
    match Facts::of(device) {
        Err(_) => {}
        Ok(after) => assert_eq!(after, *before, "{}: {what}", file.display()),
    }
}

#[test]
fn every_flipped_bit_is_named_or_harmless() {
    let (alice, _bob) = scene();
    let before = Facts::of(&alice).unwrap();
    assert_eq!(before.retired.len(), 1);
    assert_eq!((before.attempts.charged, before.log.is_empty()), (1, false));
    let mut random: u64 = 20_261_129;
    for file in files(&alice) {
        let whole = fs::read(&file).unwrap();
        for _ in 0..FLIPS.min(whole.len() * 8) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bit = usize::try_from(random >> 20).unwrap() % (whole.len() * 8);
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &flipped).unwrap();
            assert_found_out(&alice, &file, &before, &format!("bit {bit}"));
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn what_is_cut_off_stripped_or_taken_from_another_home_is_named_or_harmless() {
    let (alice, bob) = scene();
    let before = Facts::of(&alice).unwrap();
    let (mut stripped, mut exchanged) = (0, 0);
    for file in files(&alice) {
        let whole = fs::read(&file).unwrap();
        for length in [0, whole.len() / 2, whole.len().saturating_sub(2)] {
            fs::write(&file, &whole[..length]).unwrap();
            assert_found_out(&alice, &file, &before, "cut off");
        }
        let object = serde_json::from_slice::<Value>(&whole).ok();
        if let Some(mut object) = object.filter(|object| object["mac"].is_string()) {
            object.as_object_mut().unwrap().remove("mac");
            fs::write(&file, serde_json::to_vec_pretty(&object).unwrap()).unwrap();
            // Confirmations are held against the share when they are used.
            if file.extension().is_none_or(|ending| ending != "confirmed") {
                assert!(Facts::of(&alice).is_err(), "{} without its mac", file.display());
                stripped += 1;
            }
        }
        let theirs = bob.home().join(file.strip_prefix(alice.home()).unwrap());
        if let Some(theirs) = fs::read(theirs).ok().filter(|theirs| *theirs != whole) {
            fs::write(&file, theirs).unwrap();
            assert_found_out(&alice, &file, &before, "of another home");
            exchanged += 1;
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(stripped >= 9 && exchanged >= 9, "{stripped} {exchanged}");
    for name in [
        "config/peers.json",
        "state/attempts.json",
        "state/policy.json",
        "state/ledger.jsonl",
        "state/ledger.head",
        "state/log.head",
        "data/device.json",
        "data/device.age",
    ] {
        let (path, away) = (alice.home().join(name), alice.path("away"));
        fs::rename(&path, &away).unwrap();
        assert!(Facts::of(&alice).is_err(), "{name} was taken away");
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

/// Writes another public key into the record of the key `vault`.
fn exchange_the_key(device: &Device) -> String {
    let path = device.home().join("data/keys/vault/key.json");
    let text = fs::read_to_string(&path).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let key = record["active"]["public_key"].as_str().unwrap().to_owned();
    let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    fs::write(&path, text.replace(&key, other)).unwrap();
    other.to_owned()
}

#[test]
fn another_public_key_in_the_record_is_named_by_whatever_opens_the_vault() {
    let (alice, _bob, listener) = two_with_key();
    let address = listener.address();
    let honest = alice.run(["keys", "show", "vault"]).succeeds();
    assert_eq!(honest["checked"], true);
    let other = exchange_the_key(&alice);
    for command in [
        &["keys", "show", "vault"][..],
        &["keys", "list"],
        &["keys", "export", "vault"],
        &["verify", "--key", "vault", DIGEST, "00"],
        &["sign", DIGEST, "--key", "vault", "--peer", &address],
        &["listen", "--policy", "policy.toml"],
    ] {
        alice.policy("");
        alice.run(command).fails(71, "key.json");
    }
    let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(70, "").document();
    let checks = doctor["result"]["checks"].as_array().unwrap();
    let state = checks.iter().find(|check| check["name"] == "state").unwrap();
    assert!(state["found"].as_str().unwrap().contains("key.json"), "{state}");
    // What works while locked says that it does not know.
    let mut locked = alice.script(["keys", "show", "vault"]);
    let shown = device::Running::start(locked.env_remove("COSIGN_IDENTITY")).ends().succeeds();
    assert_eq!(shown["checked"], false);
    assert_eq!(shown["public_key"], other.as_str());
}

#[test]
fn a_ban_is_not_lifted_by_a_changed_digit() {
    let (alice, _bob) = scene();
    let path = alice.home().join("state/ledger.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let number = text.lines().position(|line| line.starts_with("{\"retire\"")).unwrap() + 1;
    let line = text.lines().nth(number - 1).unwrap();
    let epoch = line.split("\"epoch\":\"").nth(1).unwrap().get(..1).unwrap();
    let other = if epoch == "0" { "1" } else { "0" };
    let from = format!("\"epoch\":\"{epoch}");
    let changed = line.replacen(&from, &format!("\"epoch\":\"{other}"), 1);
    fs::write(&path, text.replace(line, &changed)).unwrap();
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", "127.0.0.1:9"];
    alice.run(sign).fails(71, &format!("ledger.jsonl line {number}"));
    fs::write(&path, text.replace(&format!("{line}\n"), "")).unwrap();
    alice.run(sign).fails(71, &format!("ledger.jsonl line {number}"));
    fs::write(&path, text).unwrap();
    alice.run(sign).fails(7, "");
}
