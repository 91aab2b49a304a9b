//! Keys that outlive devices: other devices, or another threshold, for the same public key.

use cosign::curve::CurveName;
use cosign::device::Label;
use cosign::driver::ceremony::epochs::HeldKey;
use cosign::driver::clock;
use cosign::driver::connect::hello::{hear, say};
use cosign::party::PartyId;
use cosign::request::{Action, Hex, Request, Resharing};
use cosign::wire::{Message, Proposal, Reason, Terms};
use serde_json::Value;

use crate::device::text;
use crate::insider::{block_on, enter, only_key, opened, shares, soon};
use crate::parties::Group;
use crate::signing::fresh_digest;

fn names(parties: &Value) -> Vec<String> {
    parties.as_array().unwrap().iter().map(|party| text(&party["name"])).collect()
}

#[test]
fn a_third_device_joins_a_key_of_two_and_any_two_sign() {
    let group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let old = [group.copy("alice"), group.copy("bob")];
    let before = group.of("alice").run(["keys", "show", "vault"]).succeeds();
    let made = group.of("alice").run(["keys", "reshare", "vault", "--add", "carol"]).succeeds();
    assert_eq!((&made["confirmed"], &made["threshold"]), (&true.into(), &2.into()));
    assert_eq!(made["public_key"], before["public_key"]);
    assert_eq!(
        (names(&made["joined"]), made["old_threshold"].as_u64()),
        (vec!["carol".into()], Some(2))
    );
    for device in &group.devices {
        let shown = device.run(["keys", "show", "vault"]).succeeds();
        assert_eq!(shown["public_key"], before["public_key"], "{}", device.name);
        assert_eq!((&shown["confirmed"], &shown["generation"]), (&true.into(), &2.into()));
        assert_eq!(shown["parties"].as_array().unwrap().len(), 3);
    }
    group.sign(&[&["alice", "bob"], &["bob", "carol"], &["carol", "alice"]]);
    // What was copied before is worthless with those who have new shares, and they say why.
    for copy in &old {
        let other = if copy.name == "alice" { "bob" } else { "alice" };
        let sign = ["sign", &fresh_digest(), "--key", "vault", "--with", other];
        copy.run(sign).fails(12, "has seen newer").fails(12, "without this one");
    }
    let again = ["keys", "reshare", "vault", "--threshold", "3"];
    group.of("carol").run(again).succeeds();
    group.sign(&[&["alice", "bob", "carol"]]);
}

#[test]
fn a_lost_device_is_replaced_and_is_refused_when_it_comes_back() {
    let mut group = Group::new(&["alice", "bob", "carol", "dave"], 3, "2");
    group.sleeps("bob");
    let reshare = ["keys", "reshare", "vault", "--lost", "bob", "--add", "dave"];
    let made = group.of("alice").run(reshare).succeeds();
    assert_eq!(
        (names(&made["lost"]), names(&made["joined"])),
        (vec!["bob".into()], vec!["dave".into()])
    );
    group.sign(&[&["alice", "carol"], &["carol", "dave"], &["dave", "alice"]]);

    group.wakes("bob");
    let bob = group.of("bob");
    let shown = bob.run(["keys", "show", "vault"]).succeeds();
    for with in ["alice", "carol"] {
        let sign = ["sign", &fresh_digest(), "--key", "vault", "--with", with];
        bob.run(sign).fails(12, "without this one");
    }
    bob.run(["keys", "refresh", "vault"]).fails(12, "without this one");
    bob.run(["keygen", "--key", "vault", "--resume"]).fails(12, "without this one");
    // It deletes nothing by itself, and its owner may.
    assert_eq!(bob.run(["keys", "show", "vault"]).succeeds(), shown);
    bob.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    // It may come back as a new device.
    group.of("dave").run(["keys", "reshare", "vault", "--add", "bob"]).succeeds();
    group.sign(&[&["bob", "alice"], &["dave", "bob"]]);
}

#[test]
fn a_key_grows_to_three_of_four() {
    let group = Group::new(&["alice", "bob", "carol", "dave"], 3, "2");
    let reshare = ["keys", "reshare", "vault", "--add", "dave", "--threshold", "3"];
    let made = group.of("carol").run(reshare).succeeds();
    assert_eq!((&made["threshold"], &made["old_threshold"]), (&3.into(), &2.into()));
    group.sign(&[
        &["alice", "bob", "carol"],
        &["bob", "carol", "dave"],
        &["dave", "alice", "bob"],
        &["carol", "dave", "alice"],
    ]);
    let two = ["sign", &fresh_digest(), "--key", "vault", "--with", "bob"];
    group.of("alice").run(two).fails(2, "signed by 3 devices");
}

#[test]
fn a_device_that_is_removed_destroys_its_share() {
    let mut group = Group::new(&["alice", "bob", "carol"], 3, "2");
    let old = group.copy("bob");
    let made = group.of("alice").run(["keys", "reshare", "vault", "--remove", "bob"]).succeeds();
    assert_eq!(names(&made["removed"]), ["bob"]);
    assert_eq!(made["parties"].as_array().unwrap().len(), 2);
    group.sign(&[&["alice", "carol"], &["carol", "alice"]]);
    let at_bob = group.listeners[1].as_mut().unwrap();
    at_bob.event_where("note", |note| text(&note["message"]).contains("has left the key"));
    let bob = group.of("bob");
    assert_eq!(bob.run(["keys", "list"]).succeeds()["keys"].as_array().unwrap().len(), 0);
    assert_eq!(bob.outcomes().last().map(String::as_str), Some("left"));
    let sign = ["sign", &fresh_digest(), "--key", "vault", "--with", "carol"];
    old.run(sign).fails(12, "without this one");
}

#[test]
fn what_does_not_fit_a_key_is_refused_before_the_vault_is_opened() {
    let group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let alice = group.of("alice");
    let reshare = |flags: &[&str]| alice.run([&["keys", "reshare", "vault"], flags].concat());
    reshare(&[]).fails(2, "nothing would change").fails(2, "cosign keys refresh");
    reshare(&["--threshold", "2"]).fails(2, "nothing would change");
    reshare(&["--add", "bob"]).fails(2, "bob has a share of this key already");
    reshare(&["--lost", "carol"]).fails(10, "carol is no signer");
    reshare(&["--lost", "bob", "--add", "carol"]).fails(2, "2 devices with a share must take part");
    reshare(&["--add", "carol", "--threshold", "4"]).fails(2, "4 of 3 devices cannot sign");
    reshare(&["--remove", "bob"]).fails(2, "2 of 1 devices cannot sign");
    reshare(&["--add", "dora"]).fails(10, "no device called");
    assert_eq!(group.of("bob").outcomes(), ["stored"], "somebody was asked");
}

#[test]
fn only_a_rule_that_names_it_allows_a_reshare() {
    let mut group = Group::new(&["alice", "bob", "carol"], 2, "2");
    group.sleeps("bob");
    let bob = group.of("bob");
    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = format!("bob={}", listener.address());
    let reshare = ["keys", "reshare", "vault", "--add", "carol", "--peer", &to];
    group.of("alice").run(reshare).fails(9, "the policy of bob");
    let explained =
        ["policy", "check", "policy.toml", "--request", "peer=alice", "ceremony=reshare"];
    bob.run(explained).fails(9, "");
}

#[test]
fn a_person_sees_on_one_card_who_is_in_who_is_out_and_what_it_cannot_do() {
    let mut group = Group::new(&["alice", "bob", "carol", "dave"], 3, "2");
    group.sleeps("bob");
    group.sleeps("dave");
    let public_key =
        text(&group.of("alice").run(["keys", "show", "vault"]).succeeds()["public_key"]);
    let mut at_dave = group.of("dave").terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = format!("dave={}", at_dave.address());
    let reshare = ["keys", "reshare", "vault", "--lost", "bob", "--add", "dave", "--peer", &to];
    let mut asking = group.of("alice").start(reshare);
    at_dave.shows("request to give a key to other devices");
    at_dave.shows(&public_key[..34]).shows("address      0x");
    at_dave
        .shows("compare      key and address with what you know: a new device cannot check them");
    at_dave.shows("so far       2 of 3").shows("deals        \"");
    at_dave.shows("joins        \"dave\"").shows("left out     ");
    at_dave.shows("old shares of 2 devices still make the key, backups of before among them");
    let told = asking.event_where("note", |note| text(&note["message"]).contains("becomes 2 of 3"));
    assert!(text(&told["message"]).contains("joined by dave; without bob"), "{told}");
    at_dave.approves();
    asking.ends().succeeds();
    group.sign(&[&["alice", "carol"]]);
}

/// Alice, who lies, asks Carol to take part in a reshare of the key of Alice and Bob.
#[test]
fn a_new_device_is_not_asked_about_another_key_than_is_dealt() {
    let group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let address = group.listeners[2].as_ref().unwrap().address();
    let (node, carol) = (opened(group.of("alice")), opened(group.of("carol")).info.fingerprint);
    let record = only_key(&node);
    let old: Vec<_> = record.parties.iter().map(|party| party.fingerprint).collect();
    let mut parties = [&old[..], &[carol]].concat();
    parties.sort_unstable();
    let honest = Resharing {
        shares: shares(&node, &record),
        count: 3,
        old,
        dealers: record.parties.iter().map(|party| party.index).collect(),
        origin: HeldKey::open(&node, "vault").unwrap().share().public_data(),
    };
    let answer = async |alter: &dyn Fn(&mut Resharing)| {
        let mut resharing = honest.clone();
        alter(&mut resharing);
        let all: Vec<PartyId> = PartyId::all(3).collect();
        let me = parties.iter().position(|who| *who == node.info.fingerprint).unwrap();
        let request = Request {
            id: clock::request_id().unwrap(),
            key: "vault".into(),
            curve: CurveName::default(),
            signers: all.clone(),
            parties: parties.clone(),
            threshold: 2,
            requester: all[me],
            purpose: Label::default(),
            action: Action::Reshare(resharing),
        };
        let terms = Terms { nonce: Hex(clock::nonce().unwrap()), seconds: 100 };
        let mut link = enter(&node.tls, &address).await;
        say(&mut link, &Message::Propose(Box::new(Proposal::new(&request, terms)))).await.unwrap();
        hear(&mut link, soon()).await.unwrap()
    };
    block_on(async {
        let accepted = answer(&|_| ()).await;
        assert!(matches!(accepted, Message::Accept { held, .. } if held.is_empty()));
        let lies: [&dyn Fn(&mut Resharing); 5] = [
            &|r| r.shares.public_key[7] ^= 1,
            &|r| r.shares.epochs[0].epoch.0[0] ^= 1,
            &|r| r.origin[60] ^= 1,
            &|r| r.dealers.truncate(1),
            &|r| r.count = 4,
        ];
        for lie in lies {
            assert_eq!(answer(lie).await, Message::Refuse { reason: Reason::Aborted });
        }
    });
    let asked = |outcome: &String| outcome != "aborted";
    assert!(!group.of("carol").outcomes().iter().any(asked), "{:?}", group.of("carol").outcomes());
}
