//! Homes that an earlier release has left are opened and used by this one: `frozen/VERSION` has
//! those of alice, sealed by a passphrase, and of bob and carol, each sealed to an identity.
//!
//! | key | |
//! |---|---|
//! | `pair` | of alice and bob; its last refresh is unfinished |
//! | `team` | of all three, of whom two sign |
//! | `banned` | of alice and bob; bob has banned alice |
//! | `half` | of alice and bob; alice was killed before it was finished |
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cosign::curve::CurveName;
use cosign::vault::{Home, KeyState, Unlock, Vault, keys};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use crate::device::{Device, Listener, copy_home, introduce};

const VERSIONS: [&str; 1] = ["0.1.0"];
/// The folder of homes with a key on P-256.
const P256: &str = "p256";
const PASSPHRASE: &str = "frozen homes keep\n";
/// Nobody has its identity.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(version)
}

/// A device that goes on where `version` has left it.
fn thawed(version: &str, name: &str) -> Device {
    let (device, frozen) = (Device::blank(name), folder(version));
    copy_home(&frozen.join(name), &device.home());
    match name {
        "alice" => device.write("passphrase.txt", PASSPHRASE),
        _ => device.write("key.txt", fs::read(frozen.join(format!("{name}.txt"))).unwrap()),
    };
    device
}

fn digest(of: &str) -> String {
    hex::encode(Sha256::digest(of))
}

fn at(listeners: &[&Listener], names: &[&str]) -> Vec<String> {
    let each = listeners.iter().zip(names);
    each.flat_map(|(to, name)| ["--peer".to_owned(), format!("{name}={}", to.address())]).collect()
}

fn run(device: &Device, args: &[&str], to: &[String]) -> device::Ended {
    device.run(args.iter().copied().chain(to.iter().map(String::as_str)))
}

#[test]
fn homes_of_earlier_releases_open_and_go_on() {
    for version in VERSIONS {
        let [alice, bob, carol] = NAMES.map(|name| thawed(version, name));
        for device in [&alice, &bob, &carol] {
            let listed = device.run(["keys", "list"]);
            assert!(listed.events("note").is_empty(), "{}", listed.stderr);
            assert_eq!(listed.succeeds()["checked"], true);
            let log = device.run(["log", "--verify"]).succeeds();
            assert_eq!((&log["valid"], &log["attested"]), (&true.into(), &true.into()));
        }
        let (at_bob, at_carol) = (bob.serve(&[&alice, &carol]), carol.serve(&[&alice, &bob]));
        let to_bob = at(&[&at_bob], &["bob"]);
        let to_carol = at(&[&at_carol], &["carol"]);

        // Also with the shares of before the refresh that was not finished.
        run(&alice, &["sign", &digest("1"), "--key", "pair"], &to_bob).succeeds();
        run(&alice, &["sign", &digest("2"), "--key", "team", "--with", "carol"], &to_carol)
            .succeeds();
        run(&bob, &["sign", &digest("3"), "--key", "team", "--with", "carol"], &to_carol)
            .succeeds();
        run(&alice, &["sign", &digest("4"), "--key", "banned"], &to_bob).fails(7, "bob");
        run(&alice, &["sign", &digest("5"), "--key", "half"], &to_bob).fails(12, "pending");

        run(&alice, &["keygen", "--resume", "--key", "half"], &to_bob).succeeds();
        run(&alice, &["sign", &digest("6"), "--key", "half"], &to_bob).succeeds();
        // What the others have may be newer than what a backup would hold.
        let backup = ["keys", "backup", "pair", "-o", "pair.backup", "--recipient", RECIPIENT];
        alice.run(backup).fails(12, "are unfinished: a backup of these may be worthless");
        assert!(!alice.path("pair.backup").exists());
        let before = alice.run(["keys", "show", "pair"]).succeeds();
        assert_eq!(
            (&before["refresh_pending"], &before["confirmed"]),
            (&true.into(), &true.into())
        );
        run(&alice, &["keys", "refresh", "pair"], &to_bob).succeeds();
        let after = alice.run(["keys", "show", "pair"]).succeeds();
        assert_eq!(
            (after.get("refresh_pending"), &after["public_key"]),
            (None, &before["public_key"])
        );
        alice.run(backup).succeeds();
        assert!(after["generation"].as_u64() > before["generation"].as_u64());
        run(&alice, &["sign", &digest("7"), "--key", "pair"], &to_bob).succeeds();
        let to_both = at(&[&at_bob, &at_carol], &["bob", "carol"]);
        run(&alice, &["keys", "refresh", "team"], &to_both).succeeds();
        run(&bob, &["sign", &digest("8"), "--key", "team", "--with", "carol"], &to_carol)
            .succeeds();
        let doctor = alice.run(["doctor", "--wait", "1ms"]);
        let document = doctor.document();
        let checks = document["result"]["checks"].as_array().unwrap().iter();
        let state = checks.clone().find(|check| check["name"] == "state").unwrap();
        assert_eq!(state["status"], "ok", "{state}");
    }
}

#[test]
fn a_backup_of_format_1_is_restored() {
    let device = Device::blank("alice");
    for name in ["vault.backup", "identity.txt"] {
        device.write(name, fs::read(folder("backup").join(name)).unwrap());
    }
    let open = ["vault.backup", "--backup-identity", "identity.txt"];
    let found = device.run(["keys", "verify-backup"].iter().chain(&open)).succeeds();
    assert_eq!((&found["state"], &found["generation"]), (&"absent".into(), &2.into()));
    device.run(["keys", "restore"].iter().chain(&open)).succeeds();
    let shown = device.run(["keys", "show", "vault"]).succeeds();
    assert_eq!((&shown["restored"], &shown["checked"]), (&true.into(), &true.into()));
}

/// `frozen/p256` has the homes of alice and bob, each sealed to an identity, with the key `release` on P-256.
#[test]
fn homes_with_a_key_on_p256_open_and_go_on() {
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let device = Device::blank(name);
        copy_home(&folder(P256).join(name), &device.home());
        device.write("key.txt", fs::read(folder(P256).join(format!("{name}.txt"))).unwrap());
        device
    });
    let vault = Vault::open(&Home::at(alice.home()), &Unlock::Identity(alice.path("key.txt")));
    let vault = vault.unwrap();
    let record = keys::find(vault.home(), "release").unwrap().remove(0);
    assert_eq!(record.curve, CurveName::P256);
    // The format, the curve, two of two, party 1 or 2.
    let share = vault.share("release", &record.epoch).unwrap();
    let first = [&b"cosign-share/3\x02\x02\x02"[..], &[record.me.get()]].concat();
    assert!(share.expose().starts_with(&first));
    drop(vault);
    let at_bob = bob.serve(&[&alice]);
    let to = at(&[&at_bob], &["bob"]);
    for _ in 0..2 {
        let signed = run(&alice, &["sign", &digest("1"), "--key", "release"], &to).succeeds();
        let der = signed["der"].as_str().unwrap().to_owned();
        bob.run(["verify", "--key", "release", &digest("1"), &der]).succeeds();
        run(&alice, &["keys", "refresh", "release"], &to).succeeds();
    }
}

#[test]
fn what_is_frozen_is_what_the_table_says() {
    for version in VERSIONS {
        let alice = thawed(version, "alice");
        let home = Home::at(alice.home());
        let states = |name: &str| -> Vec<KeyState> {
            keys::find(&home, name).unwrap().iter().map(|record| record.state).collect()
        };
        assert_eq!(states("pair"), [KeyState::Active, KeyState::Pending]);
        assert_eq!(states("team"), [KeyState::Active]);
        assert_eq!(states("half"), [KeyState::Pending]);
        let bob = thawed(version, "bob");
        let shown = bob.run(["keys", "show", "banned"]).succeeds();
        assert_eq!(shown["banned"][0]["name"], "alice");
    }
}

// ---------------------------------------------------------------------------------------------
// How the homes were made
// ---------------------------------------------------------------------------------------------

/// Lets the program `COSIGN_OLD` make the homes in `COSIGN_TEST_FREEZE`, for a release.
#[test]
#[ignore = "writes files for the repository"]
fn freeze() {
    let [into, program] = ["COSIGN_TEST_FREEZE", "COSIGN_OLD"]
        .map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let mut alice = Device::blank("alice");
    alice.program.clone_from(&program);
    alice.write("passphrase.txt", PASSPHRASE);
    alice.run(["init", "--name", "alice"]).succeeds();
    let [bob, carol] = ["bob", "carol"].map(|name| Device::running(program.clone(), name));
    introduce(&[&alice, &bob, &carol]);
    let (at_bob, at_carol) = (bob.serve(&[&alice, &carol]), carol.serve(&[&alice, &bob]));
    let to_both = at(&[&at_bob, &at_carol], &["bob", "carol"]);
    let to_bob = at(&[&at_bob], &["bob"]);
    for name in ["pair", "banned"] {
        run(&alice, &["keygen", "--key", name, "--with", "bob"], &to_bob).succeeds();
    }
    let keygen = ["keygen", "--key", "team", "--threshold", "2", "--with", "bob", "carol"];
    run(&alice, &keygen, &to_both).succeeds();
    run(&alice, &["sign", &digest("0"), "--key", "pair"], &to_bob).succeeds();
    while !is_cut(&alice, &["keys", "refresh", "pair"], &to_bob, "pair", KeyState::Pending) {}
    while !is_cut(
        &alice,
        &["keygen", "--key", "half", "--with", "bob"],
        &to_bob,
        "half",
        KeyState::Pending,
    ) {
        for device in [&alice, &bob] {
            device.run(["keys", "delete", "half", "--yes-delete", "half"]).succeeds();
        }
    }
    drop((at_bob, at_carol));
    let vault = Vault::open(&Home::at(bob.home()), &Unlock::Identity(bob.path("key.txt"))).unwrap();
    let record = keys::find(vault.home(), "banned").unwrap().remove(0);
    let her = record.parties.iter().find(|party| party.index != record.me).unwrap();
    let ledger = vault.ledger().unwrap();
    ledger
        .retire(
            &record.epoch,
            her.index.get(),
            &her.fingerprint,
            "E_OTE_CHECK",
            &[7; 32],
            1_790_000_000,
        )
        .unwrap();
    for device in [&alice, &bob, &carol] {
        copy_home(&device.home(), &into.join(&device.name));
    }
    for device in [&bob, &carol] {
        fs::copy(device.path("key.txt"), into.join(format!("{}.txt", device.name))).unwrap();
    }
}

/// Makes the homes in `frozen/p256`.
#[test]
#[ignore = "writes files for the repository"]
fn freeze_p256() {
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    introduce(&[&alice, &bob]);
    let at_bob = bob.serve(&[&alice]);
    let to = at(&[&at_bob], &["bob"]);
    let keygen = ["keygen", "--key", "release", "--curve", "p256", "--with", "bob"];
    run(&alice, &keygen, &to).succeeds();
    run(&alice, &["sign", &digest("0"), "--key", "release"], &to).succeeds();
    drop(at_bob);
    for device in [&alice, &bob] {
        copy_home(&device.home(), &folder(P256).join(&device.name));
        let identity = folder(P256).join(format!("{}.txt", device.name));
        fs::copy(device.path("key.txt"), identity).unwrap();
    }
}

/// Kills `device` once it has stored a share of the key `name`; whether its newest is left in this state then.
fn is_cut(device: &Device, args: &[&str], to: &[String], name: &str, state: KeyState) -> bool {
    let home = Home::at(device.home());
    let count = |home: &Home| keys::find(home, name).map_or(0, |records| records.len());
    let before = count(&home);
    let mut running = device.start(args.iter().copied().chain(to.iter().map(String::as_str)));
    while count(&home) <= before && !running.is_over() {
        std::thread::sleep(Duration::from_micros(200));
    }
    running.signal(Signal::KILL);
    drop(running);
    keys::find(&home, name).unwrap().last().is_some_and(|record| record.state == state)
}
