//! State across processes, restored copies of data, and what devices know of each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use cosign::vault::ledger::MAX_UNRESOLVED;
use cosign::vault::{Ledger, keys};
use serde_json::json;

use crate::device::{Device, two_with_key};
use crate::insider::opened;
use crate::survey::{DIGEST, count, killed_at, signs, unresolved, whole};

/// A copy of the device's home beside it.
pub(crate) fn copied(device: &Device) -> PathBuf {
    let copy = device.path("copy");
    let copying = Command::new("cp").arg("-a").arg(device.home()).arg(&copy).status();
    assert!(copying.unwrap().success());
    copy
}

/// Puts the copy back in place of the home.
pub(crate) fn restored(device: &Device, copy: &Path) {
    std::fs::remove_dir_all(device.home()).unwrap();
    std::fs::rename(copy, device.home()).unwrap();
}

#[test]
fn a_restored_old_copy_is_noticed_by_the_peer() {
    let (alice, _bob, listener) = two_with_key();
    let address = listener.address();
    signs(&alice, &address, "vault");
    let copy = copied(&alice);
    signs(&alice, &address, "vault");
    restored(&alice, &copy);
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
    alice.run(sign).fails(12, "rolled back");
    alice.run(sign).fails(12, "cosign keys refresh");
    alice.run(["keys", "refresh", "vault", "--peer", &address]).succeeds();
    signs(&alice, &address, "vault");
}

#[test]
fn an_old_copy_of_a_listener_is_noticed_by_the_requester() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let copy = copied(&bob);
    let listener = bob.serve(&[&alice]);
    signs(&alice, &listener.address(), "vault");
    drop(listener);
    restored(&bob, &copy);
    let listener = bob.serve(&[&alice]);
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &listener.address()];
    alice.run(sign).fails(12, "bob counts fewer sessions of this key than before");
}

#[test]
fn an_old_copy_is_noticed_although_its_last_session_was_cut_short() {
    let (alice, _bob, mut listener) = two_with_key();
    let address = listener.address();
    let copy = copied(&alice);
    let asking = alice.start(["sign", DIGEST, "--key", "vault", "--peer", &address]);
    // Far enough for the other side to have its first message.
    listener.event_where("round", |event| event["ceremony"] == "sign" && event["round"] == 2);
    drop(asking);
    listener.event("aborted");
    restored(&alice, &copy);
    alice.run(["sign", DIGEST, "--key", "vault", "--peer", &address]).fails(12, "rolled back");
}

#[test]
fn a_share_from_before_a_refresh_is_useless() {
    let (alice, _bob, listener) = two_with_key();
    let address = listener.address();
    let copy = copied(&alice);
    alice.run(["keys", "refresh", "vault", "--peer", &address]).succeeds();
    restored(&alice, &copy);
    alice
        .run(["sign", DIGEST, "--key", "vault", "--peer", &address])
        .fails(10, "this device has generation 1")
        .fails(10, "bob has generation 2");
}

#[test]
fn after_too_many_sessions_cut_short_the_pair_is_worn_until_a_refresh_and_nobody_is_accused() {
    let (alice, bob, mut listener) = two_with_key();
    let address = listener.address();
    let home = opened(&alice).home.clone();
    let record = keys::find(&home, "vault").unwrap().remove(0);
    let peer = 3 - record.me.get();
    // As a process leaves it that is killed in a check.
    let die = |session: u32| {
        let ledger = Ledger::open(&home).unwrap();
        let session = [session as u8; 32];
        ledger.spend(&record.epoch, &session, &[peer]).unwrap();
        drop(ledger.begin_checks(&session, &[peer]).unwrap());
    };
    (1..MAX_UNRESOLVED).for_each(die);
    signs(&alice, &address, "vault");
    die(MAX_UNRESOLVED);
    for _ in 0..2 {
        let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
        let ended = alice.run(sign).fails(13, "cut short").fails(13, "cosign keys refresh");
        assert!(!ended.stderr.contains("banned"), "{}", ended.stderr);
    }
    let told = listener.event("aborted");
    assert_eq!(told["code"], "worn");
    assert!(told["message"].as_str().unwrap().contains("alice says that too many signatures"));
    let shown = alice.run(["keys", "show", "vault"]).succeeds();
    assert_eq!((&shown["banned"], &shown["worn"]), (&json!([]), &json!(["bob"])));
    let mut at_alice = alice.serve(&[&bob]);
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &at_alice.address()];
    let ended = bob
        .run(sign)
        .fails(13, "alice says that too many signatures with this device were cut short");
    assert!(!ended.stderr.contains("banned"), "{}", ended.stderr);
    assert_eq!(at_alice.event("aborted")["code"], "worn");
    assert_eq!(alice.outcomes().last().unwrap(), "worn");
    // No check failed, so no person is needed.
    bob.run(["keys", "refresh", "vault", "--peer", &at_alice.address()]).succeeds();
    signs(&alice, &address, "vault");
}

#[test]
fn requests_for_one_key_at_once_in_both_directions_are_all_signed() {
    let (alice, bob, at_bob) = two_with_key();
    let at_alice = alice.serve(&[&bob]);
    let sign = |to: &str| ["sign", DIGEST, "--key", "vault", "--peer", to].map(str::to_owned);
    let [to_alice, to_bob] = [at_alice.address(), at_bob.address()];
    let asking: Vec<_> =
        (0..12).flat_map(|_| [alice.start(sign(&to_bob)), bob.start(sign(&to_alice))]).collect();
    asking.into_iter().for_each(|asking| drop(asking.ends().succeeds()));
    for device in [&alice, &bob] {
        whole(device);
        assert_eq!((count(device, "spend"), unresolved(device)), (24, 0));
    }
}

#[test]
fn a_key_is_free_again_when_its_holder_is_killed() {
    let (alice, _bob, listener) = two_with_key();
    let address = listener.address();
    let mut asking = alice.start(["sign", DIGEST, "--key", "vault", "--peer", &address]);
    assert!(killed_at(&mut asking, 2));
    asking.ends();
    signs(&alice, &address, "vault");
}
