//! Devices in trouble whose owners follow the hints to the letter: they end with a key that signs,
//! or at a hint that asks for nothing more, never in a circle, and never without their share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cosign::vault::{Home, KeyRecord, Ledger, keys};
use serde_json::Value;

use crate::authentic::State;
use crate::device::{Device, Ended, Listener, Running, two, two_with_key};
use crate::insider::opened;
use crate::memory::{copied, restored};
use crate::survey::{DIGEST, key, signs};

/// The commands that the last hint of a run names, as a shell would take them.
fn advised(ended: &Ended) -> Vec<Vec<String>> {
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let hint = document["error"]["hint"].as_str().unwrap_or_default().to_owned();
    let quoted = hint.split('`').skip(1).step_by(2).filter_map(|line| line.strip_prefix("cosign "));
    quoted
        .map(|line| line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect())
        .collect()
}

/// Runs `first`, then the commands of its hints, until one that changes something succeeds. Returns
/// the commands; the last one succeeded, or gave no hint.
#[track_caller]
fn follows(device: &Device, first: &[&str]) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut next: Vec<Vec<String>> = vec![first.iter().map(|word| (*word).to_owned()).collect()];
    while let Some(words) = next.pop() {
        let line = words.join(" ");
        let looks = ["show", "list", "log", "--help", "id"].iter().any(|w| line.contains(w));
        if looks && done.contains(&line) {
            continue;
        }
        assert!(!done.contains(&line), "a circle: {line} after {done:?}");
        assert!(!line.contains("delete"), "{line} after {done:?}");
        done.push(line.clone());
        let ended = device.run(&words);
        match ended.code {
            Some(0) if !looks => return done,
            Some(0) => {}
            Some(_) => next.extend(advised(&ended).into_iter().rev()),
            None => panic!("{ended:?}"),
        }
    }
    done
}

/// The sealed shares of a device, with their content.
fn shares(device: &Device) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Home::at(device.home()).data.join("keys");
    let is_share = |path: &Path| path.extension().is_some_and(|ending| ending == "age");
    device.files().into_iter().filter(|(p, _)| p.starts_with(&folder) && is_share(p)).collect()
}

#[track_caller]
fn nothing_was_given_up(device: &Device, before: &[(PathBuf, Vec<u8>)]) {
    let after = shares(device);
    for share in before {
        assert!(after.contains(share), "{} is gone", share.0.display());
    }
}

/// Puts the copy back, with the newest share of now pending beside what was there then: as if the
/// device had been cut off before it heard the last confirmation.
fn cut_off(device: &Device, copy: &Path) {
    let node = opened(device);
    let record: KeyRecord = keys::find(&node.home, "vault").unwrap().remove(0);
    let share = node.vault.share("vault", &record.epoch).unwrap();
    let confirmation = keys::confirmation(&node.home, "vault", &record.epoch).unwrap();
    drop(node);
    restored(device, copy);
    opened(device).vault.store_pending(&record, &share, &confirmation).unwrap();
}

#[test]
fn a_new_key_that_the_other_side_could_not_store_is_made_under_another_name() {
    let (alice, bob) = two();
    let (before, of_bob) = (copied(&alice), copied(&bob));
    let listener = bob.serve(&[&alice]);
    let to = ["--peer", &listener.address()];
    alice.run(["keygen", "--key", "vault", "--with", "bob"].iter().chain(&to)).succeeds();
    cut_off(&alice, &before);
    drop(listener);
    restored(&bob, &of_bob);
    let pending = shares(&alice);
    let listener = bob.serve(&[&alice]);
    let address = listener.address();
    for first in [
        vec!["keygen", "--key", "vault", "--resume", "--peer", &address],
        vec!["keygen", "--key", "vault", "--with", "bob", "--peer", &address],
        vec!["sign", DIGEST, "--key", "vault", "--peer", &address],
    ] {
        let done = follows(&alice, &first);
        assert!(done.last().unwrap().contains("keygen --key vault-"), "{done:?}");
        nothing_was_given_up(&alice, &pending);
    }
    // Each time under a name that was free.
    for name in ["vault-2", "vault-3", "vault-4"] {
        signs(&alice, &address, name);
    }
}

#[test]
fn a_refresh_that_was_cut_off_leaves_a_key_that_signs() {
    let (alice, bob, listener) = two_with_key();
    let (before, of_bob) = (copied(&alice), {
        drop(listener);
        copied(&bob)
    });
    let listener = bob.serve(&[&alice]);
    alice.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
    drop(listener);
    cut_off(&alice, &before);
    // Bob's device was cut off before it stored anything.
    restored(&bob, &of_bob);
    let had = shares(&alice);
    let listener = bob.serve(&[&alice]);
    let address = listener.address();
    follows(&alice, &["keygen", "--resume", "--key", "vault", "--peer", &address]);
    assert!(!had.is_empty() && !shares(&alice).is_empty());
    signs(&alice, &address, "vault");
    follows(&alice, &["keys", "refresh", "vault", "--peer", &address]);
    signs(&alice, &address, "vault");
}

#[test]
fn a_peer_without_its_share_costs_this_device_nothing() {
    let (alice, bob, listener) = two_with_key();
    let address = listener.address();
    signs(&alice, &address, "vault");
    drop(listener);
    let (had, public_key) = (shares(&alice), key(&alice, "vault").unwrap().public_key);
    // It says no more than that it knows nothing of it; then that it was deleted.
    let folder = Home::at(bob.home()).data.join("keys/vault");
    let aside = bob.path("aside");
    let noted = bob.home().join("state/editions.json");
    let whole = fs::read(&noted).unwrap();
    // As if it had never had the key.
    let mut without: Value = serde_json::from_slice(&whole).unwrap();
    without["editions"].as_object_mut().unwrap().remove("data/keys/vault/key.json").unwrap();
    State::of(&bob.home(), &bob.path("key.txt")).write("state/editions.json", without);
    fs::rename(&folder, &aside).unwrap();
    for deleted in [false, true] {
        if deleted {
            fs::write(&noted, &whole).unwrap();
            fs::rename(&aside, &folder).unwrap();
            bob.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
        }
        let listener = bob.serve(&[&alice]);
        let address = listener.address();
        for first in [
            vec!["sign", DIGEST, "--key", "vault", "--peer", &address],
            vec!["keys", "refresh", "vault", "--peer", &address],
            vec!["keygen", "--resume", "--key", "vault", "--peer", &address],
        ] {
            follows(&alice, &first);
        }
        nothing_was_given_up(&alice, &had);
        assert_eq!(key(&alice, "vault").unwrap().public_key, public_key);
    }
}

#[test]
fn a_peer_that_was_set_back_to_before_a_refresh_costs_this_device_nothing() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let of_bob = copied(&bob);
    let listener = bob.serve(&[&alice]);
    alice.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
    signs(&alice, &listener.address(), "vault");
    drop(listener);
    restored(&bob, &of_bob);
    let had = shares(&alice);
    let (at_bob, at_alice) = (bob.serve(&[&alice]), alice.serve(&[&bob]));
    for (device, address) in [(&alice, at_bob.address()), (&bob, at_alice.address())] {
        follows(device, &["sign", DIGEST, "--key", "vault", "--peer", &address]);
        follows(device, &["keys", "refresh", "vault", "--peer", &address]);
        follows(device, &["keygen", "--resume", "--key", "vault", "--peer", &address]);
    }
    nothing_was_given_up(&alice, &had);
}

#[test]
fn another_device_at_the_address_of_a_peer_makes_nobody_forget_the_peer() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let impostor = Device::new("bob");
    let listener = impostor.serve(&[]);
    let address = listener.address();
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
    let done = follows(&alice, &sign);
    assert_eq!(done.iter().filter(|line| line.contains("forget")).count(), 1, "{done:?}");
    assert_eq!(alice.peers(), ["bob"]);
    drop(listener);
    signs(&alice, &bob.serve(&[&alice]).address(), "vault");
}

#[test]
fn a_damaged_share_is_kept() {
    let (alice, _bob, listener) = two_with_key();
    let (path, mut content) = shares(&alice).remove(0);
    content.truncate(content.len() - 1);
    fs::write(&path, &content).unwrap();
    follows(&alice, &["sign", DIGEST, "--key", "vault", "--peer", &listener.address()]);
    assert_eq!(fs::read(&path).unwrap(), content);
}

/// The program on a disk that has no room for a share.
fn on_a_full_disk(device: &Device, args: &[&str]) -> Running {
    let whole = device.script(args);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""])
        .arg(whole.get_program())
        .args(whole.get_args())
        .envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = whole.get_current_dir() {
        limited.current_dir(folder);
    }
    Running::start(&mut limited)
}

#[test]
fn a_disk_that_is_full_on_either_side_ends_with_a_key_that_signs() {
    for asker_is_full in [false, true] {
        let (alice, bob) = two();
        bob.serve(&[&alice]);
        let listener = if asker_is_full {
            bob.serve(&[&alice])
        } else {
            let place = ["--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
            Listener::on(on_a_full_disk(&bob, &[&["listen"], &place[..]].concat()))
        };
        let address = listener.address();
        let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &address];
        let ended =
            if asker_is_full { on_a_full_disk(&alice, &keygen).ends() } else { alice.run(keygen) };
        assert!(!matches!(ended.code, None | Some(0)), "{ended:?}");
        assert!(shares(if asker_is_full { &alice } else { &bob }).is_empty());
        // There is room again.
        drop(listener);
        let listener = bob.serve(&[&alice]);
        let address = listener.address();
        let had = [shares(&alice), shares(&bob)];
        let done =
            follows(&alice, &["keygen", "--key", "vault", "--with", "bob", "--peer", &address]);
        let last = done.last().unwrap();
        assert!(last.contains("keygen --key vault"), "{done:?}");
        let name = if last.contains("vault-2") { "vault-2" } else { "vault" };
        signs(&alice, &address, name);
        nothing_was_given_up(&alice, &had[0]);
        nothing_was_given_up(&bob, &had[1]);
    }
}

/// How many bytes of a confirmation are what authenticates it.
const AUTHENTICATED: usize = "\nmac ".len() + 64 + "\n".len();

#[test]
fn a_confirmation_that_does_not_fit_costs_nobody_a_share() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let before = copied(&alice);
    let listener = bob.serve(&[&alice]);
    alice.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
    drop(listener);
    cut_off(&alice, &before);
    // Bob says of the shares of now what is not so.
    let folder = Home::at(bob.home()).data.join("keys/vault");
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.extension().is_some_and(|e| e == "confirmation")).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut content = fs::read(&path).unwrap();
    content.truncate(content.len() - AUTHENTICATED);
    content[40] ^= 1;
    let state = State::of(&bob.home(), &bob.path("key.txt"));
    state.write_bytes(&format!("data/keys/vault/{name}"), &content);
    let had = shares(&alice);
    let listener = bob.serve(&[&alice]);
    let address = listener.address();
    let resume = ["keygen", "--resume", "--key", "vault", "--peer", &address];
    alice.run(resume).fails(6, "does not fit this device's");
    follows(&alice, &resume);
    nothing_was_given_up(&alice, &had);
    assert!(key(&alice, "vault").unwrap().refresh_pending);
    signs(&alice, &address, "vault");
}

#[test]
fn a_liar_that_says_data_was_rolled_back_sends_nobody_to_an_old_copy() {
    let (alice, bob, listener) = two_with_key();
    let address = listener.address();
    // Bob remembers more sessions than there were.
    let record: KeyRecord = keys::find(&Home::at(bob.home()), "vault").unwrap().remove(0);
    let ledger = Ledger::open(&opened(&bob).home).unwrap();
    ledger.saw_height(&record.epoch, 3 - record.me.get(), 1000).unwrap();
    let had = shares(&alice);
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
    let ended = alice.run(sign).fails(12, "bob says that it has seen newer");
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let hint = document["error"]["hint"].as_str().unwrap();
    assert!(hint.starts_with("that is its word alone: leave what is here as it is"), "{hint}");
    assert!(hint.contains("`cosign keys refresh vault "), "{hint}");
    nothing_was_given_up(&alice, &had);
    let done = follows(&alice, &sign);
    assert!(done.last().unwrap().contains("keys refresh vault"), "{done:?}");
    signs(&alice, &address, "vault");
}
