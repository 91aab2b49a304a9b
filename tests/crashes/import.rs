//! Imports that were cut off: the same command again finishes them, whichever sides have stored a share.

use std::fs;
use std::path::Path;
use std::process::Command;

use cosign::vault::{KeyState, keys};

use crate::device::{Device, Ended, text};
use crate::insider::opened;
use crate::parties::Group;
use crate::stranded::New;
use crate::survey::{key, whole};

/// Puts the home of `copy` in place of that of `device`.
pub(crate) fn put_back(copy: &Device, device: &Device) {
    fs::remove_dir_all(device.home()).unwrap();
    let copied = Command::new("cp").arg("-a").arg(copy.home()).arg(device.path("")).status();
    assert!(copied.unwrap().success());
}

/// Leaves `device` as it is when it has stored this share, and has heard from `heard`.
fn arrange(device: &Device, copy: &Device, stored: Option<&New>, heard: &[&New]) {
    put_back(copy, device);
    if let Some(new) = stored {
        new.stored_in(&opened(device), heard);
    }
    whole(device);
}

fn import(device: &Device, file: &Path, more: &[&str]) -> Ended {
    let file = file.to_str().unwrap();
    let import = ["keygen", "--key", "vault", "--import", file, "--timeout", "60s"];
    device.run(import.iter().chain(more))
}

/// A file with a new private key.
fn whole_key(device: &Device) -> std::path::PathBuf {
    device.write("whole.key", hex::encode(rand::random::<[u8; 32]>()))
}

#[test]
fn an_import_that_was_cut_off_is_finished_by_the_same_command_whoever_has_stored_it() {
    let mut group = Group::without_key(&["alice", "bob"]);
    let file = whole_key(group.of("alice"));
    let before = ["alice", "bob"].map(|name| group.copy(name));
    let made = import(group.of("alice"), &file, &["--with", "bob"]).succeeds();
    let public_key = text(&made["public_key"]);
    group.exports("alice");
    let [a, b] = ["alice", "bob"].map(|name| New::of(group.of(name)));
    // Whether each has stored its share, and has heard that the other one has.
    let states =
        [(true, false), (false, true), (true, true)].map(|stored| (stored, (false, false)));
    let heard = [(true, false), (false, true), (true, true)].map(|heard| ((true, true), heard));
    for (stored, heard) in states.into_iter().chain(heard) {
        let about = format!("stored {stored:?}, heard {heard:?}");
        ["alice", "bob"].iter().for_each(|name| group.sleeps(name));
        for (device, copy, new, other, stored, heard) in [
            (group.of("alice"), &before[0], &a, &b, stored.0, heard.0),
            (group.of("bob"), &before[1], &b, &a, stored.1, heard.1),
        ] {
            let from: &[&New] = if heard { &[other] } else { &[] };
            arrange(device, copy, stored.then_some(new), from);
        }
        ["alice", "bob"].iter().for_each(|name| group.wakes(name));
        let again = import(group.of("alice"), &file, &["--with", "bob"]);
        assert_eq!(again.code, Some(0), "{about}: {}", again.stderr);
        assert_eq!(text(&again.succeeds()["public_key"]), public_key);
        for device in &group.devices {
            let here = key(device, "vault").unwrap();
            assert!(here.confirmed && !here.refresh_pending, "{}: {about}", device.name);
        }
        group.sign(&[&["alice", "bob"], &["bob", "alice"]]);
    }
}

#[test]
fn who_has_nothing_of_a_key_of_three_gets_its_share_when_it_is_imported_again() {
    let mut group = Group::without_key(&["alice", "bob", "carol"]);
    let file = whole_key(group.of("alice"));
    let before = ["alice", "bob", "carol"].map(|name| group.copy(name));
    let with = ["--with", "bob,carol"];
    import(group.of("alice"), &file, &with).succeeds();
    group.exports("alice");
    let [a, b] = ["alice", "bob"].map(|name| New::of(group.of(name)));
    ["alice", "bob", "carol"].iter().for_each(|name| group.sleeps(name));
    arrange(group.of("alice"), &before[0], Some(&a), &[&b]);
    arrange(group.of("bob"), &before[1], Some(&b), &[&a]);
    arrange(group.of("carol"), &before[2], None, &[]);
    ["alice", "bob", "carol"].iter().for_each(|name| group.wakes(name));
    // Other devices, another threshold or another name is another import.
    let alice = group.of("alice");
    for more in [&["--with", "bob"][..], &["--with", "bob,carol", "--threshold", "3"]] {
        import(alice, &file, more).fails(12, "that private key already").fails(12, "--resume");
    }
    let other = ["keygen", "--key", "old", "--with", "bob,carol", "--import"];
    let other = alice.run(other.iter().chain(&[file.to_str().unwrap()]));
    other.fails(12, "the key \\\"vault\\\"");
    let bob = group.of("bob");
    // Who has no file is told where it is finished.
    let resumed = bob.run(["keygen", "--key", "vault", "--resume"]);
    resumed.fails(10, "on the device that has the private key");
    let file_of_bob = bob.write("whole.key", fs::read(&file).unwrap());
    import(bob, &file_of_bob, &["--with", "alice"]).fails(12, "that private key already");
    import(alice, &file, &with).succeeds();
    for device in &group.devices {
        let records = keys::find(&opened(device).home, "vault").unwrap();
        let [record] = records.as_slice() else { panic!("{}: {records:?}", device.name) };
        assert_eq!((record.state, record.generation), (KeyState::Active, 1), "{}", device.name);
    }
    group.sign(&[&["alice", "carol"], &["carol", "bob"], &["bob", "alice"]]);
}

/// Bob has another key of that name, or has reshared this one.
#[test]
fn an_import_takes_no_share_that_is_in_use() {
    let group = Group::without_key(&["alice", "bob", "carol"]);
    let (alice, bob) = (group.of("alice"), group.of("bob"));
    let file = whole_key(alice);
    let before = group.copy("alice");
    import(alice, &file, &["--with", "bob"]).succeeds();
    bob.run(["keys", "reshare", "vault", "--add", "carol"]).succeeds();
    let shown = bob.run(["keys", "show", "vault"]).succeeds();
    import(alice, &file, &["--with", "bob"]).fails(12, "cosign keys show vault");
    // Alice's disk is lost, and her private key is not.
    put_back(&before, alice);
    import(alice, &file, &["--with", "bob"]).fails(12, "a share of this private key");
    assert_eq!(bob.run(["keys", "show", "vault"]).succeeds(), shown);
}
