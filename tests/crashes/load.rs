//! Many processes of one home at once: some are killed, shares are refreshed meanwhile, and one of
//! the other devices cheats in all its sessions together.
//!
//! `COSIGN_SOAK=1` makes them long: 200 kills, a minute of refreshes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cosign::driver::clock;
use futures_util::future::join_all;
use rustix::process::Signal;

use crate::bans::cheat;
use crate::device::{Device, Running, text, two_with_key};
use crate::insider::{accept_signing, block_on, opened, port};
use crate::survey::{DIGEST, banned, count, ledger, signs, whole};

fn soaks() -> bool {
    std::env::var_os("COSIGN_SOAK").is_some()
}

/// A number below `limit`.
fn any(limit: u64) -> u64 {
    rand::random::<u64>() % limit
}

fn asks(device: &Device, address: &str) -> Running {
    let digest = format!("{:064x}", rand::random::<u128>());
    device.start(["sign", &digest, "--key", "vault", "--peer", address, "--timeout", "50s"])
}

fn refreshes(device: &Device, address: &str) {
    device.run(["keys", "refresh", "vault", "--peer", address, "--timeout", "50s"]).succeeds();
}

/// No pair is banned, no session was spent twice, and all files of a device are whole.
#[track_caller]
fn is_sound(device: &Device) {
    whole(device);
    assert!(banned(device).is_empty());
    assert_eq!(count(device, "retire"), 0);
    let spent: Vec<String> =
        ledger(device).iter().filter_map(|line| line.get("spend")).map(text).collect();
    assert_eq!(spent.iter().collect::<BTreeSet<_>>().len(), spent.len());
}

#[test]
fn signatures_go_on_while_shares_are_made_anew_every_second() {
    let (alice, bob, listener) = two_with_key();
    let (at_alice, address) = (alice.serve(&[&bob]), listener.address());
    let to_alice = at_alice.address();
    let (over, span) = (AtomicBool::new(false), Duration::from_secs(if soaks() { 60 } else { 5 }));
    let ends = std::thread::scope(|scope| {
        let asking = |asker: &'static str| {
            let (over, address, to_alice, alice, bob) = (&over, &address, &to_alice, &alice, &bob);
            scope.spawn(move || {
                let mut ends = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let (device, to) =
                        if asker == "alice" { (alice, address) } else { (bob, to_alice) };
                    ends.push(asks(device, to).ends());
                }
                ends
            })
        };
        let askers = ["alice", "alice", "bob"].map(asking);
        let begun = clock::now();
        let mut next = begun;
        while begun.elapsed() < span {
            next += Duration::from_secs(1);
            std::thread::sleep(next.saturating_duration_since(clock::now()));
            refreshes(&alice, &address);
        }
        over.store(true, Ordering::Relaxed);
        askers.map(|asker| asker.join().unwrap()).into_iter().flatten().collect::<Vec<_>>()
    });
    assert!(ends.len() > 3, "{}", ends.len());
    let failed: Vec<_> = ends.iter().filter(|ended| ended.code != Some(0)).collect();
    if !failed.is_empty() {
        let listeners = [at_alice, listener].map(|listener| {
            listener.signal(Signal::TERM);
            listener.ends().stderr
        });
        panic!("{} of {}: {failed:?}\n{}", failed.len(), ends.len(), listeners.join("\n--\n"));
    }
    for device in [&alice, &bob] {
        is_sound(device);
    }
    signs(&alice, &address, "vault");
    signs(&bob, &to_alice, "vault");
}

#[test]
fn processes_killed_in_a_burst_wear_no_pair_out_and_spend_no_session_twice() {
    let (alice, bob, listener) = two_with_key();
    let (mut listener, mut codes) = (Some(listener), BTreeMap::<Option<i32>, u32>::new());
    let kills = if soaks() { 200 } else { 12 };
    for kill in 1..=kills {
        let mut at_bob = listener.take().unwrap();
        let burst: Vec<Running> = (0..8).map(|_| asks(&alice, &at_bob.address())).collect();
        let victim = usize::try_from(any(9)).unwrap();
        std::thread::sleep(Duration::from_millis(any(900)));
        match burst.get(victim) {
            Some(requester) => requester.signal(Signal::KILL),
            None => {
                at_bob.signal(Signal::KILL);
                drop(at_bob);
                at_bob = bob.listen(&["--policy", "policy.toml"]);
                // The listener that they ask is gone.
                burst.iter().for_each(|requester| requester.signal(Signal::TERM));
            }
        }
        for requester in burst {
            let ended = requester.ends();
            assert!(!ended.stderr.contains("panicked"), "{ended:?}");
            assert!(matches!(ended.code, None | Some(0 | 4 | 130)), "{ended:?}");
            *codes.entry(ended.code).or_default() += 1;
        }
        signs(&alice, &at_bob.address(), "vault");
        if kill % 40 == 0 {
            refreshes(&alice, &at_bob.address());
        }
        listener = Some(at_bob);
    }
    for device in [&alice, &bob] {
        is_sound(device);
    }
    assert!(codes[&Some(0)] > 4 * kills, "{codes:?}");
}

/// S-50, over processes.
#[test]
fn of_a_hundred_processes_that_are_cheated_at_once_one_evaluates_a_check() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let ends = block_on(async {
        let (port, address) = port().await;
        let sign = ["sign", DIGEST, "--key", "vault", "--peer", &address];
        let asking: Vec<Running> = (0..100).map(|_| alice.start(sign)).collect();
        let mut sessions = Vec::new();
        for _ in &asking {
            sessions.push(accept_signing(&node, &port, |_| {}).await);
        }
        let cheating = sessions.into_iter().map(|(key, request, started)| async move {
            cheat(&key, &request, started).await;
        });
        join_all(cheating).await;
        asking.into_iter().map(Running::ends).collect::<Vec<_>>()
    });
    let found = ends.iter().filter(|ended| ended.stderr.contains("E_OTE_CHECK")).count();
    assert_eq!((ends.iter().filter(|ended| ended.code == Some(7)).count(), found), (100, 1));
    let counts = ["spend", "check", "retire", "resolve"].map(|kind| count(&alice, kind));
    assert_eq!(counts, [100, 1, 1, 1]);
}
