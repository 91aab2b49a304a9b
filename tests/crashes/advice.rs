//! Devices in trouble whose owners do what the hints say, to the letter: they end with a key that
//! signs, or at a hint that asks for nothing more, never in a circle, and never without their share.

use std::fs;
use std::path::{Path, PathBuf};

use cosign::vault::{Home, KeyRecord, keys};
use serde_json::Value;

use crate::device::{Device, Ended, two, two_with_key};
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

/// Runs `first`, and what the hints say until one succeeds that is not for looking only. Gives what
/// was run; the last of it succeeded, or had no more to say.
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
        if first.contains(&"--resume") {
            signs(&alice, &address, "vault-2");
            // The next attempts find that name taken, here and there.
            break;
        }
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
    fs::rename(&folder, &aside).unwrap();
    for deleted in [false, true] {
        if deleted {
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
