//! Deleting a share: only by typing the key's name, with a log entry, and the others are told.

use serde_json::Value;

use crate::device::{Device, text, two_with_key};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};
use crate::signing::fresh_digest;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::Link;
use cosign::request::Hex;
use cosign::wire::Message;

const DELETE: [&str; 3] = ["keys", "delete", "vault"];

/// The parties that claim to have deleted their share, in `keys show` on `device`.
fn said_deleted(device: &Device) -> Vec<String> {
    let shown = device.run(["keys", "show", "vault"]).succeeds();
    shown["deleted"].as_array().unwrap().iter().map(|said| text(&said["name"])).collect()
}

/// What the log of `device` says about deletions: the outcome, and the key.
fn logged(device: &Device) -> Vec<(String, String)> {
    let log = device.run(["log"]).succeeds();
    let entries: &Vec<Value> = log["entries"].as_array().unwrap();
    let deletions = entries.iter().filter(|entry| entry["ceremony"] == "delete");
    deletions.map(|entry| (text(&entry["outcome"]), text(&entry["key"]))).collect()
}

fn deletes(device: &Device) {
    let deleted = device.run(DELETE.iter().chain(&["--yes-delete", "vault"])).succeeds();
    assert_eq!(deleted["can_sign"], false);
    assert_eq!(logged(device), [("deleted".to_owned(), "vault".to_owned())]);
    device.run(["log", "--verify"]).succeeds();
}

#[test]
fn the_owner_sees_what_is_lost_and_types_the_name_of_the_key() {
    let (alice, bob, listener) = two_with_key();
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();
    let mut terminal = bob.terminal(DELETE);
    terminal.shows("in use       generation 1, epoch ");
    terminal.shows("1 in the log, the last at ");
    terminal.shows("2 of 2: nobody can ever sign with this key again");
    terminal.shows("type vault to go on: ").types("valut\n");
    assert_eq!(terminal.ends().0, Some(3));
    bob.run(DELETE.iter().chain(&["--yes-delete", "valut"])).fails(2, "--yes-delete");
    bob.run(DELETE).fails(11, "--yes-delete vault");
    assert_eq!(logged(&bob), []);
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();

    let mut terminal = bob.terminal(DELETE);
    terminal.shows("type vault to go on: ").types("vault\n");
    assert_eq!(terminal.ends().0, Some(0));
    assert_eq!(bob.run(["keys", "list"]).succeeds()["keys"], serde_json::json!([]));
}

#[test]
fn whoever_calls_is_told_that_the_share_was_deleted_and_when() {
    let (alice, bob, listener) = two_with_key();
    deletes(&bob);
    let to = ["--peer", &listener.address()];
    let sign = alice.run(["sign", &fresh_digest()].iter().chain(&to));
    let sign = sign.fails(10, "bob says that it deleted its share");
    sign.fails(10, "this device keeps its share");
    let again = alice.run(["keygen", "--resume", "--key", "vault"].iter().chain(&to));
    again.fails(10, "bob says that it deleted its share");
    assert_eq!(said_deleted(&alice), ["bob"]);
    assert_eq!(logged(&alice), [("told".to_owned(), "vault".to_owned())]);
    alice.run(["log", "--verify"]).succeeds();
}

#[test]
fn a_device_that_deleted_its_share_tells_the_next_party_it_calls() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    deletes(&bob);
    let listener = alice.serve(&[&bob]);
    let keygen = ["keygen", "--key", "other", "--with", "alice", "--peer", &listener.address()];
    bob.run(keygen).succeeds();
    assert_eq!(said_deleted(&alice), ["bob"]);
    // It has nothing more to tell.
    bob.run(["sign", &fresh_digest(), "--key", "other", "--peer", &listener.address()]).succeeds();
    assert_eq!(logged(&alice), [("told".to_owned(), "vault".to_owned())]);
}

#[test]
fn what_a_device_says_of_its_share_decides_nothing() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for count in [1, 16, 17, 40] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            for (time, public_key) in [5, i64::MAX, i64::MIN, 0]
                .into_iter()
                .cycle()
                .zip([record.public_key, [2; 33], [0; 33]].into_iter().cycle())
                .take(count)
            {
                let told = Message::Deleted { public_key: Hex(public_key), time };
                // A peer that sends too many notes is disconnected.
                let _ = say(&mut link, &told).await;
            }
            let mut absurd = proposal(&insider, &record);
            absurd.threshold = 9;
            let _ = say(&mut link, &Message::Propose(Box::new(absurd))).await;
            assert!(!matches!(hear(&mut link, soon()).await, Ok(Message::Accept { .. })));
            until_closed(link).await;
        }
    });
    assert_eq!(said_deleted(&bob), ["alice"]);
    assert_eq!(logged(&bob), [("told".to_owned(), "vault".to_owned())]);
    // A party that takes part again has a share: one that asks,
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();
    assert_eq!(said_deleted(&bob), [""; 0]);
    let lies = async || {
        let mut link = enter(&insider.tls, &listener.address()).await;
        let told = Message::Deleted { public_key: Hex(record.public_key), time: 5 };
        say(&mut link, &told).await.unwrap();
        link.close().await;
        while said_deleted(&bob).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    block_on(lies());
    let resume = ["keygen", "--resume", "--key", "vault", "--peer", &listener.address()];
    alice.run(resume).succeeds();
    assert_eq!(said_deleted(&bob), [""; 0]);
    block_on(lies());
    let refresh = ["keys", "refresh", "vault", "--peer", &listener.address()];
    alice.run(refresh).succeeds();
    assert_eq!(said_deleted(&bob), [""; 0]);
    block_on(lies());
    // and one that is asked.
    drop((insider, listener));
    let listener = alice.serve(&[&bob]);
    bob.run(["sign", &fresh_digest(), "--peer", &listener.address()]).succeeds();
    assert_eq!(said_deleted(&bob), [""; 0]);
}
