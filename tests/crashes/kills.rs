//! kill -9 at every event of either side, in key generation and in signing.

use std::fs::{self, File};
use std::time::Duration;

use cosign::vault::Home;
use cosign::vault::ledger::MAX_UNRESOLVED;
use rustix::process::Signal;

use crate::device::{Device, Ended, Listener, Running, two, two_with_key};
use crate::survey::{DIGEST, Key, banned, key, killed_at, signs, unresolved, whole};

/// Checks that it was killed, has done its work, or has noticed that the other side was killed.
#[track_caller]
fn sane(ended: Ended) {
    assert!(matches!(ended.code, None | Some(0 | 4)), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

fn keygen(asker: &Device, other: &Device, address: &str, name: &str) -> Running {
    asker.start(["keygen", "--key", name, "--with", &other.name, "--peer", address])
}

/// Whatever state `asker` and `other`, who listens at `address`, are in: the next command makes the
/// key `name` usable on both, or says how to make one that is.
#[track_caller]
fn recovers(asker: &Device, other: &Device, address: &str, name: &str) {
    whole(asker);
    whole(other);
    let mut another = name.to_owned();
    match key(asker, name) {
        Some(_) => {
            let args = ["keygen", "--resume", "--key", name, "--peer", address];
            let resumed = asker.run(args);
            if resumed.code != Some(0) {
                resumed.fails(10, &format!("cosign keygen --key {name}-2"));
                another = format!("{name}-2");
                keygen(asker, other, address, &another).ends().succeeds();
            }
        }
        None => {
            let made = keygen(asker, other, address, name).ends();
            if made.code != Some(0) {
                made.fails(12, &format!("cosign keygen --key {name}-2"));
                another = format!("{name}-2");
                keygen(asker, other, address, &another).ends().succeeds();
            }
        }
    }
    let name = another;
    let (here, there) = (key(asker, &name).unwrap(), key(other, &name).unwrap());
    assert_eq!(here, there);
    assert!(here.confirmed);
    signs(asker, address, &name);
}

/// K-34 among the moments; what a share does that is pending since then is in `unfinished`.
#[test]
fn a_requester_killed_at_any_moment_of_keygen_leaves_nothing_half_made() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let address = listener.address();
    for n in 1.. {
        let name = format!("k{n}");
        let mut asking = keygen(&alice, &bob, &address, &name);
        let killed = killed_at(&mut asking, n);
        sane(asking.ends());
        recovers(&alice, &bob, &address, &name);
        if !killed {
            break;
        }
    }
    assert!(key(&alice, "k8").is_some(), "keygen told too little to be killed at");
}

#[test]
fn a_listener_killed_at_any_moment_of_keygen_leaves_nothing_half_made() {
    let (alice, bob) = two();
    let at_alice = alice.serve(&[&bob]);
    for n in 1.. {
        let name = format!("k{n}");
        let mut once = bob.serve_with(&[&alice], &["--once"]);
        let asking = keygen(&alice, &bob, &once.address(), &name);
        let killed = killed_at(&mut once, n);
        sane(once.ends());
        sane(asking.ends());
        // Either side can pick up the pieces.
        if n % 2 == 0 {
            let at_bob = bob.serve(&[&alice]);
            recovers(&alice, &bob, &at_bob.address(), &name);
        } else {
            recovers(&bob, &alice, &at_alice.address(), &name);
        }
        if !killed {
            break;
        }
    }
    assert!(key(&alice, "k8").is_some(), "keygen told too little to be killed at");
}

#[test]
fn a_requester_killed_at_any_moment_of_signing_signs_again() {
    let (alice, bob, listener) = two_with_key();
    let address = listener.address();
    for n in 1.. {
        let before = unresolved(&alice);
        let mut asking = alice.start(["sign", DIGEST, "--key", "vault", "--peer", &address]);
        let killed = killed_at(&mut asking, n);
        sane(asking.ends());
        assert!(unresolved(&alice) <= before + 1);
        whole(&alice);
        whole(&bob);
        signs(&alice, &address, "vault");
        if !killed {
            break;
        }
    }
    // The surviving device knows that no check is left.
    assert_eq!(unresolved(&bob), 0);
}

/// S-48: each kill leaves one check with an unknown outcome, and no more.
#[test]
fn a_requester_killed_in_twenty_checks_retires_the_pair() {
    let (alice, _bob, listener) = two_with_key();
    let address = listener.address();
    let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
    let Home { data, state, .. } = Home::at(alice.home());
    let lock = File::open(data.join("lock")).unwrap();
    let begun = || {
        let lines = fs::read(state.join("ledger.jsonl")).unwrap();
        lines.windows(8).filter(|part| part == b"{\"check\"").count()
    };
    // A kill that comes late finds the check resolved, and does not count.
    for tried in 0_u32.. {
        assert!(tried < 50 * MAX_UNRESOLVED, "the checks are over before the kills");
        let before = unresolved(&alice);
        if before == MAX_UNRESOLVED as usize {
            break;
        }
        let begun_before = begun();
        let asking = alice.start(sign);
        while begun() == begun_before {}
        // How the check ended cannot be written from here on.
        lock.lock().unwrap();
        asking.signal(Signal::KILL);
        asking.ends();
        lock.unlock().unwrap();
        assert!((before..=before + 1).contains(&unresolved(&alice)));
    }
    for _ in 0..2 {
        alice.run(sign).fails(13, "cut short").fails(13, "cosign keys refresh");
    }
    assert!(banned(&alice).is_empty(), "nobody failed a check");
    assert_eq!(alice.run(["keys", "show", "vault"]).succeeds()["worn"][0], "bob");
}

#[test]
fn a_listener_killed_at_any_moment_of_signing_signs_again() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    for n in 1.. {
        let before = unresolved(&bob);
        let mut once = bob.serve_with(&[&alice], &["--once"]);
        let asking = alice.start(["sign", DIGEST, "--key", "vault", "--peer", &once.address()]);
        let killed = killed_at(&mut once, n);
        sane(once.ends());
        sane(asking.ends());
        assert!(unresolved(&bob) <= before + 1);
        whole(&alice);
        whole(&bob);
        let again = bob.serve(&[&alice]);
        signs(&alice, &again.address(), "vault");
        if !killed {
            break;
        }
    }
    assert_eq!(unresolved(&alice), 0);
}

#[test]
fn a_requester_killed_at_odd_times_leaves_nothing_half_made() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let address = listener.address();
    for ms in [29, 97, 173, 311, 467] {
        let name = format!("k{ms}");
        let asking = keygen(&alice, &bob, &address, &name);
        std::thread::sleep(Duration::from_millis(ms));
        asking.signal(Signal::KILL);
        sane(asking.ends());
        recovers(&alice, &bob, &address, &name);
    }
}

#[test]
fn a_party_killed_in_a_refresh_can_refresh_again() {
    let (alice, bob, listener) = two_with_key();
    let address = listener.address();
    let before = key(&alice, "vault").unwrap();
    for n in [3, 7, 9, 11, 12, 13] {
        let mut asking = alice.start(["keys", "refresh", "vault", "--peer", &address]);
        killed_at(&mut asking, n);
        sane(asking.ends());
        whole(&alice);
        whole(&bob);
        alice.run(["keys", "refresh", "vault", "--peer", &address]).succeeds();
        for device in [&alice, &bob] {
            let expected = Key { refresh_pending: false, ..same(&before) };
            assert_eq!(key(device, "vault"), Some(expected), "after event {n}");
        }
        signs(&alice, &address, "vault");
    }
}

fn same(key: &Key) -> Key {
    Key { public_key: key.public_key.clone(), ..*key }
}

#[test]
fn a_listener_that_was_killed_is_found_where_it_is_now() {
    let (alice, bob, listener) = two_with_key();
    signs(&alice, &listener.address(), "vault");
    kill(listener);
    let again = bob.serve(&[&alice]);
    signs(&alice, &again.address(), "vault");
}

fn kill(listener: Listener) {
    listener.signal(Signal::KILL);
    listener.ends();
}
