//! A peer that fails a check which may leak a secret: it is banned before any message is sent, and
//! for good (§5.4).

use std::net::TcpListener;
use std::sync::Arc;

use cosign::driver::ceremony::epochs::OpenKey;
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::ceremony::started::Started;
use cosign::driver::connect::peer_links::{Incoming, PeerLinks};
use cosign::driver::{Node, ROUND, clock};
use cosign::protocol::machine::{Machine, Output, Protocol};
use cosign::protocol::sign::{Signing, sign};
use cosign::report::{Code, Failure};
use cosign::request::{Action, Request};
use cosign::vault::Home;
use cosign::wire::{Message, Reason};
use rustix::process::Signal;

use crate::device::{Device, Running, ending_signals, two_with_key};
use crate::insider::{
    accept_signing, asked, block_on, only_key, opened, other, port, setup, signing, take_key,
};
use crate::survey::{DIGEST, banned, count, signs, unresolved, whole};

/// Takes part to the end, with `alter` altering what it says.
async fn play<P: Protocol>(
    machine: &mut Machine<P>,
    links: &mut PeerLinks,
    mut alter: impl FnMut(&mut [u8]),
) {
    machine.start(clock::now());
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { to, mut bytes } => {
                    alter(bytes.expose_mut());
                    let _ = links.send(to, bytes).await;
                }
                Output::Persist(_) | Output::Event(_) => {}
                Output::Done(_) | Output::Failed(_) => return,
            }
        }
        match links.recv().await {
            (party, Incoming::Protocol(bytes)) => {
                machine.handle(clock::now(), party, &bytes);
            }
            _ => return,
        }
    }
}

/// The type of SG1, and where its `u` begins.
const SG1: u8 = 0x11;
const U: usize = 100;

/// The machine of a cheater that has agreed to `request`.
fn signer(key: &OpenKey, request: &Request, started: &Started) -> Machine<Signing> {
    let setup = setup(request, started);
    sign(crate::insider::share(key), setup, &clock::random().unwrap(), ROUND).unwrap()
}

/// Signs with one bit of `u` flipped.
pub(crate) async fn cheat(key: &OpenKey, request: &Request, mut started: Started) {
    let mut machine = signer(key, request, &started);
    play(&mut machine, &mut started.links, flip).await;
}

fn flip(message: &mut [u8]) {
    if message[1] == SG1 {
        message[U] ^= 1;
    }
}

/// Bob cheats when Alice asks.
pub(crate) fn cheated_by(bob: &Device, ask: impl FnOnce(&str) -> Running) -> Running {
    let node = opened(bob);
    block_on(async {
        let (port, address) = port().await;
        let asking = ask(&address);
        let (key, request, started) = accept_signing(&node, &port, |_| {}).await;
        cheat(&key, &request, started).await;
        asking
    })
}

/// Bob proposes a signature to Alice, who listens at `address`, and starts it.
async fn asks(node: &Arc<Node>, address: &str) -> Result<(OpenKey, Request, Started), Failure> {
    let record = only_key(node);
    let key = take_key(node, &record).await?;
    let question = asked(node, &record, Action::Sign(signing(node, &record)));
    let started = propose_and_start(node, &question, vec![other(&record, address)]).await?;
    Ok((key, question.request, started))
}

pub(crate) fn sign_at(address: &str) -> [&str; 6] {
    ["sign", DIGEST, "--key", "vault", "--peer", address]
}

/// Alice has banned Bob: she refuses at once, without so much as connecting.
#[track_caller]
fn refuses(alice: &Device) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    port.set_nonblocking(true).unwrap();
    let address = port.local_addr().unwrap().to_string();
    alice.run(sign_at(&address)).fails(7, "bob is banned").fails(7, "cosign keys refresh");
    assert!(port.accept().is_err(), "it connected");
    assert_eq!(banned(alice), ["E_OTE_CHECK"]);
    whole(alice);
}

#[test]
fn a_cheater_is_banned_for_good_until_its_victim_asks_for_new_shares() {
    let (alice, bob, listener) = two_with_key();
    let asking = cheated_by(&bob, |address| alice.start(sign_at(address)));
    asking.ends().fails(7, "bob failed a check that may leak the key (E_OTE_CHECK at SG1)");
    refuses(&alice);
    refuses(&alice);
    // Bob's own program knows of nothing, and Alice refuses it as well.
    let at_alice = alice.serve(&[&bob]);
    bob.run(sign_at(&at_alice.address())).fails(7, "alice says that this device is banned");
    // Nor does her policy, which allows everything, lift the ban for him.
    let refresh = ["keys", "refresh", "vault", "--peer"];
    bob.run([&refresh[..], &[&at_alice.address()]].concat()).fails(11, "nobody is there");
    assert_eq!(banned(&alice), ["E_OTE_CHECK"]);
    drop(at_alice);

    alice.run([&refresh[..], &[&listener.address()]].concat()).succeeds();
    assert!(banned(&alice).is_empty());
    signs(&alice, &listener.address(), "vault");
}

/// S-49
#[test]
fn a_ban_survives_a_kill_before_anybody_was_told() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    block_on(async {
        let (port, address) = port().await;
        let asking = alice.start(sign_at(&address));
        let (key, request, mut started) = accept_signing(&node, &port, |_| {}).await;
        let mut machine = signer(&key, &request, &started);
        // Nothing is read from here on, so nothing that Alice says arrives.
        machine.start(clock::now());
        while let Some(output) = machine.poll() {
            if let Output::Send { to, mut bytes } = output {
                bytes.expose_mut()[U] ^= 1;
                started.links.send(to, bytes).await.unwrap();
            }
        }
        while count(&alice, "retire") == 0 {
            tokio::task::yield_now().await;
        }
        asking.signal(Signal::KILL);
        asking.ends();
    });
    assert_eq!(count(&alice, "retire"), 1);
    refuses(&alice);
}

#[test]
fn two_hundred_attempts_evaluate_one_check() {
    let (alice, bob, _listener) = two_with_key();
    let at_alice = alice.serve(&[&bob]);
    let node = opened(&bob);
    block_on(async {
        let (key, request, started) = asks(&node, &at_alice.address()).await.unwrap();
        cheat(&key, &request, started).await;
        drop(key);
        for _ in 1..200 {
            let refused = asks(&node, &at_alice.address()).await.map(drop);
            assert_eq!(refused.map_err(|failure| failure.code), Err(Code::Banned));
        }
    });
    let counts = ["spend", "check", "retire", "resolve"].map(|kind| count(&alice, kind));
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!(banned(&alice), ["E_OTE_CHECK"]);
    assert!(alice.outcomes().iter().filter(|outcome| *outcome == "banned").count() >= 200);
}

#[test]
fn a_check_that_cannot_be_written_down_is_not_evaluated() {
    let (alice, bob, listener) = two_with_key();
    let state = Home::at(alice.home()).state;
    let node = opened(&bob);
    let asking = block_on(async {
        let (port, address) = port().await;
        let asking = alice.start(sign_at(&address));
        let (key, request, mut started) = accept_signing(&node, &port, |_| {}).await;
        let mut machine = signer(&key, &request, &started);
        // Once the session is spent the ledger goes away.
        while count(&alice, "spend") == 0 {
            tokio::task::yield_now().await;
        }
        std::fs::rename(state.join("ledger.jsonl"), state.join("elsewhere")).unwrap();
        play(&mut machine, &mut started.links, flip).await;
        asking
    });
    asking.ends().fails(71, "ledger");
    std::fs::rename(state.join("elsewhere"), state.join("ledger.jsonl")).unwrap();
    assert_eq!((count(&alice, "check"), banned(&alice).len()), (0, 0));
    signs(&alice, &listener.address(), "vault");
}

#[test]
fn a_signal_to_end_leaves_no_check_unresolved() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let in_round_1 = |running: &mut Running, signal| {
        running.event_where("waiting", |event| event["what"] == "round 1");
        running.signal(signal);
    };
    let mut spent = 0;
    for signal in ending_signals() {
        block_on(async {
            let (port, address) = port().await;
            let mut asking = alice.start(sign_at(&address));
            let (_, _, mut started) = accept_signing(&node, &port, |_| {}).await;
            in_round_1(&mut asking, signal);
            asking.ends().fails(130, "interrupted");
            let told = loop {
                match started.links.recv().await.1 {
                    Incoming::Control(Message::Refuse { reason }) => break reason,
                    Incoming::Lost(error) => panic!("{error}"),
                    _ => {}
                }
            };
            assert_eq!(told, Reason::Interrupted);
        });
        spent += 1;
        assert_eq!((count(&alice, "spend"), unresolved(&alice)), (spent, 0), "{signal:?}");
        let mut listener = alice.serve(&[&bob]);
        block_on(async {
            let _at_the_table = asks(&node, &listener.address()).await.unwrap();
            // On another thread: this one still has to say that it begins.
            let listening = tokio::task::spawn_blocking(move || {
                in_round_1(&mut listener, signal);
                listener.ends().fails(130, "interrupted");
            });
            listening.await.unwrap();
        });
        spent += 1;
        assert_eq!((count(&alice, "spend"), unresolved(&alice)), (spent, 0), "{signal:?}");
    }
}
