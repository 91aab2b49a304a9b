//! Keys and refreshes whose last message was lost: they do not sign, and either side can finish
//! them (§3.4 round 4, §8.5).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::ceremony::started::Started;
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::{Node, ROUND, clock};
use cosign::protocol::keygen::{KeygenSetup, keygen};
use cosign::protocol::machine::Output;
use cosign::protocol::wire::Kind as Step;
use cosign::request::Action;
use cosign::vault::{Home, keys};
use rustix::process::Signal;
use serde_json::Value;

use crate::authentic::State;
use crate::device::{Device, Listener, two_with_key};
use crate::insider::{asked, block_on, only_key, opened, other, shares};
use crate::survey::{DIGEST, Key, key, signs, whole};

const RESUME: &str = "keygen --key vault --resume";

/// The folder of the key `vault` on `device`.
pub(crate) fn folder(device: &Device) -> PathBuf {
    Home::at(device.home()).data.join("keys/vault")
}

/// The only sealed share that `device` keeps of the key `vault`.
fn share_file(device: &Device) -> PathBuf {
    let mut files = fs::read_dir(folder(device)).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|ending| ending == "age")).unwrap()
}

fn records(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("key.json")).unwrap()).unwrap()
}

/// The device's record of the editions of its documents.
fn editions(device: &Device) -> PathBuf {
    Home::at(device.home()).state.join("editions.json")
}

/// The shares of a device from before a refresh, and its editions.
pub(crate) struct Before(tempfile::TempDir, Vec<u8>);

impl Before {
    pub(crate) fn of(device: &Device) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder(device)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        Self(copy, fs::read(editions(device)).unwrap())
    }

    /// Leaves the device as if it had never stored a newer share.
    pub(crate) fn restore(&self, device: &Device) {
        let folder = folder(device);
        fs::read_dir(&folder)
            .unwrap()
            .for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        fs::write(editions(device), &self.1).unwrap();
    }
}

/// Leaves the device as it is when it is killed before the last confirmation comes: with its new
/// share pending, beside the old one if there was one.
fn unconfirmed(device: &Device, before: Option<&Before>) {
    let folder = folder(device);
    let mut record = records(&folder);
    let mut pending = record["active"].take();
    pending["state"] = "pending".into();
    record["pending"] = pending;
    if let Some(Before(copy, _)) = before {
        let old = records(copy.path());
        record["active"] = old["active"].clone();
        for entry in fs::read_dir(copy.path()).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("key.json") {
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let state = State::of(&device.home(), &device.path("key.txt"));
    state.write("data/keys/vault/key.json", record);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "confirmed") {
            fs::remove_file(path).unwrap();
        }
    }
    whole(device);
}

fn sign_at(address: &str) -> [&str; 6] {
    ["sign", DIGEST, "--key", "vault", "--peer", address]
}

fn resume_at(address: &str) -> [&str; 6] {
    ["keygen", "--resume", "--key", "vault", "--peer", address]
}

/// Both can be reached.
fn both(alice: &Device, bob: &Device) -> (Listener, Listener) {
    (alice.serve(&[bob]), bob.serve(&[alice]))
}

#[track_caller]
fn ready(devices: [&Device; 2]) {
    for device in devices {
        let Key { confirmed, refresh_pending, .. } = key(device, "vault").unwrap();
        assert!(confirmed && !refresh_pending, "on {}", device.name);
    }
}

/// Bob makes the key `second` with the device at `address` up to its KG4B, and says no KG4B himself.
async fn makes_without_confirming(bob: &Arc<Node>, address: &str) {
    let record = only_key(bob);
    let mut question = asked(bob, &record, Action::Keygen);
    question.request.key = "second".into();
    question.public_key = None;
    let started = propose_and_start(bob, &question, vec![other(&record, address)]).await.unwrap();
    let request = question.request;
    let Started { mut links, id, .. } = started;
    let setup = KeygenSetup {
        instance: id,
        threshold: request.threshold,
        me: request.requester,
        identities: request.parties.iter().map(|party| party.as_bytes().to_vec()).collect(),
    };
    let mut machine =
        keygen::<k256::Secp256k1>(setup, &clock::random().unwrap(), &[], ROUND).unwrap();
    machine.start(clock::now());
    loop {
        while let Some(output) = machine.poll() {
            if let Output::Send { to, bytes } = output
                && bytes.expose()[1] != Step::Kg4b.tag()
            {
                links.send(to, bytes).await.unwrap();
            }
        }
        let (party, Incoming::Protocol(bytes)) = links.recv().await else { panic!() };
        if bytes[1] == Step::Kg4b.tag() {
            return;
        }
        machine.handle(clock::now(), party, &bytes);
    }
}

/// K-34
#[test]
fn a_share_that_was_stored_before_a_kill_is_pending_after_it_and_signs_with_nobody() {
    let (alice, bob, at_bob) = two_with_key();
    let at_alice = alice.serve(&[&bob]);
    block_on(async {
        makes_without_confirming(&opened(&bob), &at_alice.address()).await;
        at_alice.signal(Signal::KILL);
    });
    at_alice.ends();
    whole(&alice);
    assert!(!key(&alice, "second").unwrap().confirmed);
    let resume = "keygen --key second --resume";
    alice.run(["sign", DIGEST, "--key", "second", "--peer", &at_bob.address()]).fails(12, resume);
    // Bob has it nowhere, so that nothing finishes it.
    let to = at_bob.address();
    alice.run(["keygen", "--resume", "--key", "second", "--peer", &to]).fails(10, "bob");
    alice.run(["sign", DIGEST, "--key", "second", "--peer", &to]).fails(12, resume);
    signs(&alice, &to, "vault");
}

#[test]
fn a_key_that_is_pending_everywhere_signs_nowhere_and_is_finished_from_either_side() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (at_alice, at_bob) = both(&alice, &bob);
    for (asker, to) in [(&alice, at_bob.address()), (&bob, at_alice.address())] {
        unconfirmed(&alice, None);
        unconfirmed(&bob, None);
        asker.run(sign_at(&to)).fails(12, RESUME);
        let again = ["keygen", "--key", "vault", "--peer", &to];
        asker.run(again).fails(12, RESUME);
        asker.run(resume_at(&to)).succeeds();
        ready([&alice, &bob]);
        signs(asker, &to, "vault");
    }
}

#[test]
fn a_key_that_is_pending_on_one_side_is_finished_from_either_side() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (at_alice, at_bob) = both(&alice, &bob);
    for (asker, to) in [(&alice, at_bob.address()), (&bob, at_alice.address())] {
        unconfirmed(&alice, None);
        alice.run(sign_at(&at_bob.address())).fails(12, RESUME);
        // Bob has heard that both have it.
        signs(&bob, &at_alice.address(), "vault");
        asker.run(resume_at(&to)).succeeds();
        ready([&alice, &bob]);
        signs(asker, &to, "vault");
    }
}

#[test]
fn a_key_that_the_other_side_never_stored_says_what_to_do() {
    let (alice, bob, listener) = two_with_key();
    unconfirmed(&alice, None);
    bob.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    let share = fs::read(share_file(&alice)).unwrap();
    let address = listener.address();
    let resumed = alice.run(resume_at(&address));
    let another = "keygen --key vault-2 --threshold 2 --with bob";
    resumed.fails(10, &format!("`cosign {another} --peer {address}`"));
    alice.run(another.split(' ').chain(["--peer", &address])).succeeds();
    signs(&alice, &address, "vault-2");
    // Nothing was given up for it.
    assert_eq!(fs::read(share_file(&alice)).unwrap(), share);
}

/// A ceremony that was cut off, and whose last step takes long, still holds the key there.
#[test]
fn a_key_that_is_held_on_the_other_side_for_a_while_is_finished_on_both() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    unconfirmed(&alice, None);
    unconfirmed(&bob, None);
    let listener = bob.serve(&[&alice]);
    let held = keys::lock_to_change(&Home::at(bob.home()), "vault").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(8));
        drop(held);
    });
    alice.run(resume_at(&listener.address())).succeeds();
    holder.join().unwrap();
    ready([&alice, &bob]);
    // --resume needs no lock of a key that is active on both sides, so it may be held.
    let _held = [&alice, &bob]
        .map(|device| keys::lock_to_change(&Home::at(device.home()), "vault").unwrap());
    alice.run(resume_at(&listener.address())).succeeds();
}

#[test]
fn while_a_refresh_is_pending_everywhere_the_old_shares_sign() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    let refresh = ["keys", "refresh", "vault", "--peer", &listener.address()];
    alice.run(refresh).succeeds();
    unconfirmed(&alice, Some(&of_alice));
    unconfirmed(&bob, Some(&of_bob));
    signs(&alice, &listener.address(), "vault");
    alice.run(refresh).succeeds();
    ready([&alice, &bob]);
    signs(&alice, &listener.address(), "vault");
}

#[test]
fn a_refresh_that_is_finished_on_one_side_is_finished_from_either_side() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (at_alice, at_bob) = both(&alice, &bob);
    for (asker, to, again) in [
        (&alice, at_bob.address(), vec!["keys", "refresh", "vault", "--peer"]),
        (&bob, at_alice.address(), vec!["keygen", "--resume", "--key", "vault", "--peer"]),
    ] {
        let before = Before::of(&alice);
        alice.run(["keys", "refresh", "vault", "--peer", &at_bob.address()]).succeeds();
        unconfirmed(&alice, Some(&before));
        // Both hold the new shares, and sign with them.
        signs(&alice, &at_bob.address(), "vault");
        signs(&bob, &at_alice.address(), "vault");
        asker.run([&again[..], &[&to]].concat()).succeeds();
        ready([&alice, &bob]);
        signs(asker, &to, "vault");
    }
}

#[test]
fn a_refresh_that_the_other_side_never_stored_is_begun_again() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    let listener = bob.serve(&[&alice]);
    let refresh = ["keys", "refresh", "vault", "--peer", &listener.address()];
    alice.run(refresh).succeeds();
    unconfirmed(&alice, Some(&of_alice));
    of_bob.restore(&bob);
    alice.run(refresh).succeeds();
    ready([&alice, &bob]);
    signs(&alice, &listener.address(), "vault");
}

#[test]
fn one_party_that_says_it_never_stored_its_share_destroys_no_others() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, old) = (Before::of(&alice), opened(&bob));
    let old_record = only_key(&old);
    let refresh = ["keys", "refresh", "vault", "--peer", &listener.address()];
    alice.run(refresh).succeeds();
    unconfirmed(&alice, Some(&of_alice));
    drop(listener);
    // Bob's new share is in use. He asks for a refresh of the old ones, and leaves.
    let at_alice = alice.serve(&[&bob]);
    let question = asked(&old, &old_record, Action::Refresh(shares(&old, &old_record)));
    let invitee = other(&old_record, &at_alice.address());
    block_on(async {
        propose_and_start(&old, &question, vec![invitee]).await.unwrap().links.abort().await
    });
    assert!(key(&alice, "vault").unwrap().refresh_pending);
    let listener = bob.serve(&[&alice]);
    alice.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
    ready([&alice, &bob]);
    signs(&alice, &listener.address(), "vault");
}
