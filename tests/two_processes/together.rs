//! Many requests at once: people and rules answer in parallel, and no request waits for another
//! device's owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use cosign::driver::Node;
use cosign::driver::ceremony::epochs::OpenKey;
use cosign::driver::ceremony::propose::{Accepted, propose};
use cosign::driver::error::Error;
use cosign::protocol::sign::{SignSetup, Signed};
use cosign::request::{Action, Question, Signing};
use serde_json::Value;

use crate::device::{Device, Listener, Running, introduce, text, two_with_key};
use crate::insider::{asked, block_on, only_key, opened, other, signing, take_key, take_part};
use crate::signing::fresh_digest;
use crate::terminal::Terminal;

/// Ann, Bob and Cleo, who have the keys `vault` and `team`, of which any two sign. Small sums are signed by Bob's
/// rules, and about the others he is asked.
struct Scene {
    ann: Device,
    bob: Device,
    cleo: Device,
    at_bob: Terminal,
    address: String,
}

fn keys_of_three(devices: [&Device; 3]) {
    let [ann, bob, cleo] = devices;
    let listeners = [bob.serve(&[ann]), cleo.serve(&[ann])];
    let [bobs, cleos] = [0, 1].map(|n: usize| listeners[n].address());
    let peers = [format!("bob={bobs}"), format!("cleo={cleos}")];
    for key in ["vault", "team"] {
        let keygen = ["keygen", "--key", key, "--threshold", "2", "--with", "bob,cleo"];
        let reach = ["--peer", &peers[0], "--peer", &peers[1]];
        ann.run(keygen.iter().chain(&reach)).succeeds();
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With these flags for Bob's listener.
    fn with(flags: &[&str]) -> Self {
        let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(Device::new);
        introduce(&[&ann, &bob, &cleo]);
        keys_of_three([&ann, &bob, &cleo]);
        bob.policy(
            "otherwise = \"ask\"\n\
             [[rule]]\npeer = \"cleo\"\npurpose = \"small\"\naction = \"allow\"\n\
             [[rule]]\npeer = \"ann\"\nkey = \"team\"\naction = \"allow\"\n\
             [[rule]]\npeer = \"ann\"\naction = \"ask\"\n",
        );
        let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
        let mut at_bob = bob.terminal(listen.iter().chain(flags));
        let address = format!("bob={}", at_bob.address());
        Self { ann, bob, cleo, at_bob, address }
    }

    fn asks(&self, asker: &Device, key: &str, purpose: &str) -> Running {
        let digest = fresh_digest();
        let sign = ["sign", &digest, "--key", key, "--with", "bob", "--peer", &self.address];
        asker.start(sign.iter().chain(&["--purpose", purpose]))
    }
}

#[test]
fn a_person_is_asked_one_request_after_another_while_rules_answer_at_once() {
    let mut scene = Scene::new();
    let first = scene.asks(&scene.ann, "vault", "the first");
    let word = scene.at_bob.word();
    // Another peer by a rule, and another key.
    for (asker, key, purpose) in [(&scene.cleo, "vault", "small"), (&scene.ann, "team", "any")] {
        let ended = scene.asks(asker, key, purpose).ends();
        ended.succeeds();
    }
    let mut second = scene.asks(&scene.ann, "vault", "the second");
    assert_eq!(second.event("behind")["before"], 1);
    scene.at_bob.shows("1 more waits: \"ann\", \"vault\"");
    let mut third = scene.asks(&scene.cleo, "vault", "large");
    // Devices take turns, and the first was Ann's.
    assert_eq!(third.event("behind")["before"], 1);
    scene.at_bob.shows("2 more wait: \"cleo\", \"vault\"; \"ann\", \"vault\"");
    // The card is still that of the first.
    scene.at_bob.types(&format!("{word}\n"));
    first.ends().succeeds();
    scene.at_bob.shows("purpose      \"large\"").approves();
    third.ends().succeeds();
    scene.at_bob.shows("purpose      \"the second\"").approves();
    second.ends().succeeds();
    let by: Vec<Value> = {
        let entries = scene.bob.run(["log"]).succeeds();
        entries["entries"].as_array().unwrap().iter().map(|entry| entry["by"].clone()).collect()
    };
    assert_eq!(by.iter().filter(|by| **by == "a person").count(), 3, "{by:?}");
}

#[test]
fn a_request_in_the_list_is_taken_first_or_leaves_with_a_line() {
    let mut scene = Scene::new();
    let first = scene.asks(&scene.ann, "vault", "the first");
    scene.at_bob.word();
    let mut second = scene.asks(&scene.cleo, "vault", "the second");
    second.event("behind");
    let mut third = scene.asks(&scene.cleo, "vault", "the third");
    third.event("behind");
    third.signal(rustix::process::Signal::INT);
    third.ends().fails(130, "interrupted");
    scene.at_bob.shows("sign ended: ");
    scene.at_bob.types("l\n");
    scene.at_bob.shows("purpose      \"the second\"").shows("to mute: ");
    second.event_where("behind", |event| event["before"] == 0);
    // Back and forth, as often as the person likes.
    scene.at_bob.types("l\n").shows("purpose      \"the first\"").shows("to mute: ");
    second.event_where("behind", |event| event["before"] == 1);
    scene.at_bob.types("l\n").shows("purpose      \"the second\"").approves();
    second.ends().succeeds();
    scene.at_bob.shows("purpose      \"the first\"").approves();
    first.ends().succeeds();
}

#[test]
fn a_listener_for_one_request_lets_the_card_on_its_screen_be_answered() {
    let mut scene = Scene::with(&["--once"]);
    let first = scene.asks(&scene.ann, "vault", "the first");
    let word = scene.at_bob.word();
    let mut second = scene.asks(&scene.cleo, "vault", "large");
    second.event("behind");
    scene.asks(&scene.ann, "team", "any").ends().succeeds();
    // That was the signature. Requests that still wait are refused.
    second.event_where("note", |note| text(&note["message"]).contains("asking again"));
    second.signal(rustix::process::Signal::INT);
    second.ends().fails(130, "interrupted");
    scene.at_bob.types(&format!("{word}\n"));
    first.ends().succeeds();
    let (code, said) = scene.at_bob.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("\"large\""), "{said}");
}

/// A request of Alice's, driven from here, for `digest`, to which the device at `address` has said yes.
async fn accepted(alice: &Arc<Node>, address: &str, digest: &str) -> (OpenKey, Question, Accepted) {
    let record = only_key(alice);
    let key = take_key(alice, &record).await.unwrap();
    let digest = hex::decode(digest).unwrap().try_into().unwrap();
    let signing = Signing { digest, ..signing(alice, &record) };
    let question = asked(alice, &record, Action::Sign(signing));
    let accepted = propose(alice, &question.request, vec![other(&record, address)]).await.unwrap();
    (key, question, accepted)
}

/// Signs what was accepted.
async fn signs(alice: &Arc<Node>, (key, question, accepted): (OpenKey, Question, Accepted)) {
    let started = accepted.start(alice, &question).await.unwrap();
    let signed = take_part(alice, key, &question.request, started, |_| ()).await.unwrap();
    assert!(matches!(signed, Signed::Signature(_)));
}

/// Begins nothing: Alice's device has something else to do with the key.
async fn takes_back((_, _, accepted): (OpenKey, Question, Accepted)) {
    let changed = async { Err::<(), _>(Error::ChangedMeanwhile("vault".into())) };
    accepted.or_decline(changed).await.unwrap_err();
}

/// Alice and Bob, who have the key `vault`, and Alice another one whose share Bob has deleted.
fn two_with_a_key_that_is_gone() -> (Device, Device) {
    let (alice, bob, listener) = two_with_key();
    let make = ["keygen", "--key", "gone", "--with", "bob", "--peer", &listener.address()];
    alice.run(make).succeeds();
    drop(listener);
    bob.run(["keys", "delete", "gone", "--yes-delete", "gone"]).succeeds();
    (alice, bob)
}

#[test]
fn a_waiting_twin_ends_with_the_request_that_it_approved_and_no_other() {
    let (alice, bob) = two_with_a_key_that_is_gone();
    let insider = opened(&alice);
    let digest = fresh_digest();
    let wait = ["sign", &digest, "--key", "vault", "--wait", "--port", "0", "--bind", "127.0.0.1"];
    let mut twin = Listener::on(bob.start(wait));
    let to = twin.address();
    let sign = |digest: &str, key: &str| alice.run(["sign", digest, "--key", key, "--peer", &to]);
    // A requester that is approved and never starts does not end the command.
    block_on(async { takes_back(accepted(&insider, &to, &digest).await).await });
    twin.event("aborted");
    block_on(async {
        let accepted = accepted(&insider, &to, &digest).await;
        sign(&fresh_digest(), "vault").fails(9, "bob");
        sign(&digest, "vault").fails(9, "bob");
        sign(&digest, "gone").fails(10, "bob");
        signs(&insider, accepted).await;
    });
    assert_eq!(twin.ends().succeeds()["digest"], digest);

    // A session that fails after its begin has used the approval up.
    let twin = Listener::on(bob.start(wait));
    block_on(async {
        let (key, question, accepted) = accepted(&insider, &twin.address(), &digest).await;
        let started = accepted.start(&insider, &question).await.unwrap();
        let lies = |setup: &mut SignSetup| setup.digest = [9; 32];
        take_part(&insider, key, &question.request, started, lies).await.unwrap_err();
    });
    twin.ends().fails(6, "alice");
}

#[test]
fn a_listener_for_one_request_cuts_no_other_one_and_is_not_ended_by_who_is_turned_away() {
    let (alice, bob) = two_with_a_key_that_is_gone();
    let carol = Device::new("carol");
    for (device, peer) in [(&bob, &carol), (&carol, &bob)] {
        let print = peer.fingerprint();
        device.run(["peers", "add", &peer.name, "--fingerprint", &print]).succeeds();
    }
    let insider = opened(&alice);
    let mut once = bob.serve_with(&[&alice], &["--once"]);
    let to = once.address();
    let sign = |key: &str| {
        alice.run(["sign", &fresh_digest(), "--key", key, "--peer", &to, "--timeout", "3s"])
    };
    sign("gone").fails(10, "bob");
    block_on(async { takes_back(accepted(&insider, &to, &fresh_digest()).await).await });
    once.event_where("aborted", |aborted| aborted["code"] == "unreachable");
    block_on(async {
        let accepted = accepted(&insider, &to, &fresh_digest()).await;
        let keygen = ["keygen", "--key", "mine", "--with", "bob", "--peer", &to];
        carol.run(keygen).fails(9, "bob");
        // That was the one, and a new one finds no room.
        sign("vault").fails(4, "bob");
        signs(&insider, accepted).await;
    });
    once.event("signed");
    once.ends().fails(9, "no rule of the policy allows this keygen by carol");
}

#[test]
fn two_people_compare_digits_whatever_other_devices_ask_for() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let carol = Device::new(&format!("carol-{}", &fresh_digest()[..8]));
    let mut at_bob = bob.terminal(["pair", &carol.name, "--interface", "lo"]);
    let to = at_bob.address();
    let mut at_carol = carol.terminal(["pair", "--peer", &to]);
    assert_eq!(at_bob.code(), at_carol.code());
    let asks = |args: &[&str]| {
        let reach = ["--peer", &to, "--timeout", "3s"];
        alice.run(args.iter().chain(&reach)).fails(4, "bob");
    };
    asks(&["sign", &fresh_digest(), "--key", "vault"]);
    asks(&["keygen", "--key", "vault", "--resume"]);
    for screen in [&mut at_bob, &mut at_carol] {
        screen.shows("[y/N] ").types("y\n");
    }
    assert_eq!((at_bob.ends().0, at_carol.ends().0), (Some(0), Some(0)));
    assert!(bob.peers().contains(&carol.name));
}

#[test]
fn what_is_to_be_asked_is_refused_where_nobody_is_there() {
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(Device::new);
    introduce(&[&ann, &bob, &cleo]);
    keys_of_three([&ann, &bob, &cleo]);
    bob.policy("otherwise = \"ask\"\n");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = format!("bob={}", listener.address());
    let sign = ["sign", &fresh_digest(), "--key", "vault", "--with", "bob", "--peer", &to];
    ann.run(sign).fails(11, "nobody is there").fails(11, "cosign listen");
    let check = ["policy", "check", "policy.toml", "--request", "peer=ann", "key=vault"];
    bob.run(check).fails(11, "the person at this device is asked");
}

#[test]
fn three_devices_that_ask_in_all_directions_all_sign() {
    let devices = ["ann", "bob", "cleo"].map(Device::new);
    let [ann, bob, cleo] = &devices;
    introduce(&[ann, bob, cleo]);
    keys_of_three([ann, bob, cleo]);
    let listeners: Vec<Listener> =
        devices.iter().map(|device| device.serve(&[ann, bob, cleo])).collect();
    let reach: Vec<String> = devices
        .iter()
        .zip(&listeners)
        .map(|(device, listener)| format!("{}={}", device.name, listener.address()))
        .collect();
    let mut asking = Vec::new();
    for _ in 0..5 {
        for (asker, device) in devices.iter().enumerate() {
            for other in (0..devices.len()).filter(|other| *other != asker) {
                let digest = fresh_digest();
                let with = &devices[other].name;
                let sign =
                    ["sign", &digest, "--key", "vault", "--with", with, "--peer", &reach[other]];
                asking.push(device.start(sign));
            }
        }
    }
    let mut codes = BTreeMap::new();
    for ended in asking.into_iter().map(Running::ends) {
        *codes.entry(ended.code).or_insert(0) += 1;
    }
    assert_eq!(codes, BTreeMap::from([(Some(0), 30)]));
}
