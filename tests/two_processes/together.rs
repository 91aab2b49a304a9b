//! Many requests at once: people and rules answer side by side, and nobody waits for another's person.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::device::{Device, Listener, Running, introduce};
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
        let mut at_bob = bob.terminal(listen);
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
