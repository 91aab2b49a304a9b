//! Files that others changed while the vault was locked: whatever they do, it is named or it changes
//! nothing (docs/vault.md §7).
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cosign::device::Fingerprint;
use cosign::protocol::key::KeyShare;
use cosign::vault::attempts::Attempts;
use cosign::vault::{
    DeviceInfo, Entry, Error, Home, KeyRecord, Ledger, Limits, Log, Misfit, Peers, Unlock, Uses,
    Vault, addresses, attempts, deleted, keys, uses,
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
    claims: Vec<deleted::Claim>,
}

impl Facts {
    fn of(device: &Device) -> Result<Self, Error> {
        Self::at(&device.home(), device.path("key.txt"))
    }

    fn at(home: &Path, identity: PathBuf) -> Result<Self, Error> {
        let vault = Vault::open(&Home::at(home), &Unlock::Identity(identity))?;
        if let Some(Misfit { error, .. }) = vault.misfits().into_iter().next() {
            return Err(error);
        }
        vault.check_signatures()?;
        vault.device_key()?;
        let home = vault.home();
        Log::verify(home)?;
        let records = keys::list(home)?;
        let share = |record: &KeyRecord| {
            let bytes = vault.share(&record.name, &record.epoch)?.expose().clone();
            let path = home.data.join("a share");
            let other = |_| Error::Corrupt { path, line: None, why: "another file" };
            KeyShare::<k256::Secp256k1>::from_bytes(&bytes).map(|_| bytes).map_err(other)
        };
        let shares: Result<_, Error> = records.iter().map(share).collect();
        let ledger = Ledger::open(home)?;
        let epoch = records.first().map(|record| record.epoch).unwrap_or_default();
        let key = records.first().map_or([0; 33], |record| record.public_key);
        Ok(Self {
            claims: deleted::claims(home, &key)?,
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
        .retire(&record.epoch, bob_there.index.get(), &fingerprint, "E_OTE_CHECK", &[7; 32], 5)
        .unwrap();
    attempts::charge(home, "relay").unwrap();
    uses::charge(home, "a rule", &Limits { count: Some(9), day: None }).unwrap();
    deleted::claim(home, &record, &fingerprint, 5).unwrap();
    addresses::note(home, &fingerprint, "192.0.2.7:4711".parse().unwrap()).unwrap();
    (alice, bob)
}

/// The files of a device that may decide something, with their content.
fn contents(device: &Device) -> BTreeMap<PathBuf, Vec<u8>> {
    files(device).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn is_called(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|found| found == name)
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
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn older_copies_are_named_or_harmless() {
    let (alice, _bob) = scene();
    let older = contents(&alice);
    let unlock = Unlock::Identity(alice.path("key.txt"));
    let vault = Vault::open(&Home::at(alice.home()), &unlock).unwrap();
    let home = vault.home();
    let record = keys::find(home, "vault").unwrap().remove(0);
    let eve = Fingerprint::new([0xee; 32]);
    let ledger = Ledger::open(home).unwrap();
    ledger.retire(&record.epoch, 9, &eve, "E_OTE_CHECK", &[8; 32], 6).unwrap();
    attempts::charge(home, "relay").unwrap();
    uses::charge(home, "a rule", &Limits { count: Some(9), day: None }).unwrap();
    Peers::forget(home, "bob").unwrap();
    deleted::refute(
        home,
        &record.public_key,
        &record.parties[usize::from(record.me.get() == 1)].fingerprint,
    )
    .unwrap();
    Log::append(home, &Entry { ceremony: "pair".into(), ..Entry::default() }).unwrap();

    let before = Facts::of(&alice).unwrap();
    let newest = contents(&alice);
    let changed: Vec<&PathBuf> = newest
        .keys()
        .filter(|path| older.get(*path).is_some_and(|old| *old != newest[*path]))
        .collect();
    // The ledger, the log, their heads, attempts, counts, peers, claims and editions.
    assert_eq!(changed.len(), 9, "{changed:?}");
    let put_back = |path: &Path| fs::write(path, &older[path]).unwrap();
    let restore = |path: &Path| fs::write(path, &newest[path]).unwrap();
    for first in &changed {
        put_back(first);
        // An older list of editions demands less, and the documents are newer than it says.
        match is_called(first, "editions.json") {
            true => assert_eq!(Facts::of(&alice).unwrap(), before),
            false => assert!(Facts::of(&alice).is_err(), "{} put back", first.display()),
        }
        for second in changed.iter().filter(|second| **second > *first) {
            if ![first, second].iter().any(|path| is_called(path, "editions.json")) {
                put_back(second);
                assert!(Facts::of(&alice).is_err(), "{} and {}", first.display(), second.display());
                restore(second);
            }
        }
        restore(first);
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn what_was_taken_away_is_named_or_harmless() {
    let (alice, _bob) = scene();
    let before = Facts::of(&alice).unwrap();
    let away = alice.path("away");
    let folders = ["data/keys", "data/keys/vault", "state/signatures", "state", "config"];
    let folders = folders.map(|name| alice.home().join(name));
    assert!(files(&alice).iter().any(|path| path.parent().unwrap().ends_with("signatures")));
    for path in files(&alice).into_iter().chain(folders) {
        fs::rename(&path, &away).unwrap();
        // But for hints, what can be asked for again and what the share gives again.
        if let Ok(after) = Facts::of(&alice) {
            let remade = |ending: &std::ffi::OsStr| ending == "confirmed" || ending == "meeting";
            let harmless =
                path.extension().is_some_and(remade) || is_called(&path, "addresses.json");
            assert!(harmless && after == before, "{} taken away", path.display());
        }
        // What came in its place while it was away.
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn a_file_in_the_place_of_another_is_named_or_harmless() {
    let (alice, _bob) = scene();
    let before = Facts::of(&alice).unwrap();
    let whole = contents(&alice);
    for (path, content) in &whole {
        for (other, theirs) in &whole {
            if path != other && content != theirs {
                fs::write(path, theirs).unwrap();
                assert_found_out(&alice, path, &before, &format!("{} there", other.display()));
            }
        }
        fs::write(path, content).unwrap();
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn what_is_no_file_is_named_and_never_waited_for() {
    let (alice, _bob) = scene();
    let before = Facts::of(&alice).unwrap();
    for path in files(&alice) {
        let away = alice.path("away");
        fs::rename(&path, &away).unwrap();
        for kind in ["pipe", "folder", "device", "link", "endless"] {
            match kind {
                "pipe" => {
                    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
                }
                "folder" => fs::create_dir(&path).unwrap(),
                "device" => symlink("/dev/zero", &path).unwrap(),
                "link" => symlink(&away, &path).unwrap(),
                _ => fs::File::create(&path).unwrap().set_len(1 << 40).unwrap(),
            }
            let (sender, done) = mpsc::channel();
            let (home, identity) = (alice.home(), alice.path("key.txt"));
            thread::spawn(move || drop(sender.send(Facts::at(&home, identity))));
            let facts = done.recv_timeout(Duration::from_secs(60));
            let facts =
                facts.unwrap_or_else(|_| panic!("{}: a {kind} is waited for", path.display()));
            if let Ok(facts) = facts {
                assert_eq!(facts, before, "{}: a {kind}", path.display());
            }
            match kind {
                "folder" => fs::remove_dir(&path).unwrap(),
                _ => fs::remove_file(&path).unwrap(),
            }
        }
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(Facts::of(&alice).unwrap(), before);
}

#[test]
fn whatever_opens_the_vault_names_what_it_does_not_rest_on() {
    let (alice, _bob, _listener) = two_with_key();
    for ending in [
        "peers.json",
        "device.json",
        ".confirmed",
        "addresses.json",
        "attempts.json",
        "policy.json",
        "log.head",
    ] {
        let found = files(&alice).into_iter().find(|path| path.to_string_lossy().ends_with(ending));
        let path = found.unwrap();
        let before = fs::read(&path).unwrap();
        let mut altered = before.clone();
        let digit = altered.iter_mut().rfind(|byte| byte.is_ascii_hexdigit()).unwrap();
        *digit = if *digit == b'0' { b'1' } else { b'0' };
        fs::write(&path, altered).unwrap();
        let ended = alice.run(["keys", "list"]);
        let named = |note: &Value| note["message"].as_str().unwrap().contains(ending);
        assert!(ended.events("note").iter().any(named), "{ending}");
        assert_eq!(ended.succeeds()["checked"], true);
        let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(71, "").document();
        assert!(doctor.to_string().contains(ending), "{doctor}");
        fs::write(&path, before).unwrap();
    }
    assert!(alice.run(["keys", "list"]).events("note").is_empty());
}

#[test]
fn a_key_that_was_taken_away_stops_everything_until_its_owner_lets_it_go() {
    let (alice, _bob, _listener) = two_with_key();
    let folder = alice.home().join("data/keys/vault");
    fs::rename(&folder, alice.path("away")).unwrap();
    for command in [
        &["keys", "list"][..],
        &["keys", "show", "vault"],
        &["keygen", "--key", "other", "--peer", "127.0.0.1:9"],
        &["sign", DIGEST, "--key", "vault", "--peer", "127.0.0.1:9"],
    ] {
        alice.run(command).fails(71, "key.json: missing");
    }
    alice.run(["keys", "delete", "vault"]).fails(11, "--yes-delete");
    alice.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    assert_eq!(alice.run(["keys", "list"]).succeeds()["keys"].as_array().unwrap().len(), 0);
    // It does not come back.
    fs::rename(alice.path("away"), &folder).unwrap();
    alice.run(["keys", "list"]).fails(71, "key.json");
}

#[test]
fn a_folder_that_was_never_a_key_keeps_no_key_from_signing_and_the_hint_mends_it() {
    let (alice, _bob, listener) = two_with_key();
    let keys = alice.home().join("data/keys");
    let (vault, copy) = (keys.join("vault"), keys.join("copy"));
    assert!(Command::new("cp").arg("-rp").args([&vault, &copy]).status().unwrap().success());
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &listener.address()];
    alice.run(sign).succeeds();
    let stray = "copy was never a key of this device: in it is key vault";
    let delete = ["keys", "delete", "copy", "--yes-delete", "copy"];
    for command in [&["keys", "list"][..], &["keys", "show", "copy"], &delete] {
        alice.run(command).fails(71, stray).fails(71, "move that folder elsewhere");
    }
    let listed = alice.run(["keys", "list"]).fails(71, stray).document()["result"].take();
    assert_eq!(listed["keys"][0]["name"], "vault");
    assert_eq!(listed["damaged"][0]["name"], "copy");
    let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(71, "").document();
    let checks = doctor["result"]["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["status"] == "fail").collect();
    assert!(failed.len() == 1 && failed[0]["found"].to_string().contains(stray), "{failed:?}");
    let mut locked = alice.script(["keys", "show", "copy"]);
    device::Running::start(locked.env_remove("COSIGN_IDENTITY")).ends().fails(71, stray);
    fs::rename(copy, alice.path("away")).unwrap();
    alice.run(["keys", "list"]).succeeds();

    // One that was given another name is named, and its name is told.
    fs::rename(&vault, keys.join("other")).unwrap();
    alice.run(sign).fails(71, "key.json: missing").fails(71, "keys delete --help");
    let show = alice.run(["keys", "show", "other"]);
    show.fails(71, "if it was called vault and no folder is called so now, that is its place");
    fs::rename(keys.join("other"), vault).unwrap();
    alice.run(["keys", "list"]).succeeds();
}

#[test]
fn what_a_policy_rests_on_is_checked_or_said_to_be_unchecked() {
    let (alice, _bob, _listener) = two_with_key();
    alice.policy("[[rule]]\naction = \"allow\"\npeer = \"bob\"\nmax_count = 1\n");
    let check = ["policy", "check", "policy.toml", "--request", "peer=bob", "key=vault"];
    let digest = format!("digest={DIGEST}");
    let check: Vec<&str> = check.into_iter().chain([digest.as_str()]).collect();
    assert_eq!(alice.run(&check).succeeds()["checked"], true);
    let mut locked = alice.script(&check);
    let said = device::Running::start(locked.env_remove("COSIGN_IDENTITY")).ends().succeeds();
    assert_eq!(said["checked"], false);
    let path = alice.home().join("state/policy.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"version\": 1", "\"version\":  1")).unwrap();
    alice.run(&check).fails(71, "policy.json");
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
        &["verify", "--key", "vault", DIGEST, "3006020101020101"],
        &["sign", DIGEST, "--key", "vault", "--peer", &address],
        &["listen", "--policy", "policy.toml"],
    ] {
        alice.policy("");
        alice.run(command).fails(71, "key.json");
    }
    let said = alice.command(["keys", "show", "vault"]).output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("key.json").count(), 1, "{said}");
    let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(71, "").document();
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
