//! The receiver of a signature lies about its outcome: the device that gave its part does not rely
//! on that.

use std::sync::Arc;
use std::thread;

use cosign::driver::ceremony::epochs::OpenKey;
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::ceremony::started::Started;
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::{Node, ROUND, clock};
use cosign::party::PartyId;
use cosign::protocol::machine::Output;
use cosign::protocol::sign::{Signature, Signed, sign};
use cosign::protocol::wire::Kind;
use cosign::request::{Action, Request, Signing};
use cosign::wire::{Reason, Word};

use rustix::process::Signal;

use crate::device::{Listener, two_with_key};
use crate::insider::{
    accept_signing, asked, block_on, only_key, opened, other, port, setup, signing, take_key,
};
use crate::signing::fresh_digest;

/// The messages of the device that has the signature.
fn lies() -> Vec<Reason> {
    vec![
        Reason::Left { party: PartyId::new(7).unwrap() },
        Reason::Denied,
        Reason::Policy,
        Reason::Aborted,
        Reason::Interrupted,
        Reason::Banned,
        Reason::Worn,
        Reason::RolledBack,
        Reason::Busy { seconds: 0 },
        Reason::Unknown(Word::new("because")),
    ]
}

/// Takes part to the end, and keeps its own last message for itself.
async fn has_it_alone(key: &OpenKey, request: &Request, started: &mut Started) -> Signature {
    let setup = setup(request, started);
    let random = clock::random().unwrap();
    let mut machine = sign(crate::insider::share(key), setup, &random, ROUND).unwrap();
    key.ledger.spend(&key.record.epoch, machine.session_id(), &[]).unwrap();
    machine.start(clock::now());
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { bytes, .. } if bytes.expose()[1] == Kind::Sg3.tag() => {}
                Output::Send { to, bytes } => started.links.send(to, bytes).await.unwrap(),
                Output::Persist(_) | Output::Event(_) => {}
                Output::Done(Signed::Signature(signature)) => return signature,
                Output::Done(Signed::Delivered) => panic!("it was for the other one"),
                Output::Failed(fault) => panic!("{fault:?}"),
            }
        }
        match started.links.recv().await {
            (party, Incoming::Protocol(bytes)) => machine.handle(clock::now(), party, &bytes),
            other => panic!("{other:?}"),
        }
    }
}

/// Asks the device at `address`, gets the signature and says `lie`.
async fn ask_and_lie(node: &Arc<Node>, address: &str, for_all: bool, lie: Reason) {
    let record = only_key(node);
    let mut wanted = signing(node, &record);
    if for_all {
        wanted = Signing { recipient: None, ..wanted };
    }
    let question = asked(node, &record, Action::Sign(wanted));
    let mut started =
        propose_and_start(node, &question, vec![other(&record, address)]).await.unwrap();
    let key = take_key(node, &record).await.unwrap();
    has_it_alone(&key, &question.request, &mut started).await;
    started.links.abort_with(|_| lie).await;
}

#[test]
fn an_approver_whose_part_is_out_does_not_take_the_requesters_word_that_nothing_was_signed() {
    let (alice, bob, mut listener) = two_with_key();
    let insider = opened(&alice);
    for (i, lie) in lies().into_iter().enumerate() {
        block_on(ask_and_lie(&insider, &listener.address(), i % 2 == 1, lie));
        let told = listener.event("aborted");
        assert_eq!(told["code"], "given", "{lie:?}: {told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("alice may have the signature"), "{lie:?}: {told}");
        assert!(told["hint"].as_str().unwrap().starts_with("count the digest as signed"), "{told}");
    }
    drop((insider, listener));
    assert_eq!(&bob.outcomes()[bob.outcomes().len() - lies().len()..], vec!["given"; lies().len()]);

    let listener = bob.serve(&[&alice]);
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();
    drop(listener);
    assert_eq!(bob.outcomes().last().unwrap(), "signed");
}

/// Signs with `listener`, which gets `signal` when the requester alone has what both sent.
fn ended_once_its_part_is_out(insider: &Arc<Node>, listener: Listener, signal: Signal) {
    block_on(async {
        let record = only_key(insider);
        let question = asked(insider, &record, Action::Sign(signing(insider, &record)));
        let invitees = vec![other(&record, &listener.address())];
        let mut started = propose_and_start(insider, &question, invitees).await.unwrap();
        let key = take_key(insider, &record).await.unwrap();
        has_it_alone(&key, &question.request, &mut started).await;
        listener.signal(signal);
        listener.ends();
    });
}

#[test]
fn an_approver_that_is_interrupted_after_its_part_is_out_has_that_in_its_log() {
    let (alice, bob, listener) = two_with_key();
    ended_once_its_part_is_out(&opened(&alice), listener, Signal::TERM);
    assert_eq!(bob.outcomes().last().unwrap(), "given");
}

#[test]
fn an_approver_that_is_killed_after_its_part_is_out_logs_that_when_it_is_opened_next() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let before = bob.outcomes().len();
    ended_once_its_part_is_out(&insider, listener, Signal::KILL);
    assert_eq!(bob.outcomes().len(), before);
    drop(insider);
    let nowhere = ["sign", &fresh_digest(), "--peer", "127.0.0.1:9", "--timeout", "1s"];
    let told = String::from_utf8(bob.command(nowhere).output().unwrap().stderr).unwrap();
    assert!(told.contains(&format!("of a signature of {}", "07".repeat(32))), "{told}");
    let listener = bob.serve(&[&alice]);
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();
    assert_eq!(&bob.outcomes()[before..], ["given", "unreachable", "signed"]);
    bob.run(["log", "--verify"]).succeeds();
    let log = bob.run(["log"]).succeeds();
    let entry = &log["entries"].as_array().unwrap()[before];
    assert_eq!(entry["killed"], true, "{entry}");
    assert_eq!(entry["digest"], "07".repeat(32));
}

#[test]
fn a_requester_whose_cosigner_has_the_signature_does_not_take_its_word_that_it_said_no() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let insider = opened(&bob);
    for to in ["cosigner", "both"] {
        let (tell, told) = std::sync::mpsc::channel();
        let insider = Arc::clone(&insider);
        let other = thread::spawn(move || {
            block_on(async {
                let (port, here) = port().await;
                tell.send(here).unwrap();
                let (key, request, mut started) = accept_signing(&insider, &port, |_| ()).await;
                has_it_alone(&key, &request, &mut started).await;
                started.links.abort_with(|_| Reason::Denied).await;
            });
        });
        let here = told.recv().unwrap();
        let digest = fresh_digest();
        let ended = alice.run(["sign", &digest, "--peer", &here, "--deliver-to", to]);
        ended.fails(14, "bob may have the signature");
        other.join().unwrap();
        assert_eq!(alice.outcomes().last().unwrap(), "given");
    }
}
