//! kill -9 on any side of a reshare: the old shares or the new ones, under the same public key, and
//! never a mixture.
//!
//! `COSIGN_SOAK=1` kills 200 times.

use std::time::Duration;

use cosign::device::Label;
use cosign::driver::clock;
use cosign::driver::connect::hello::{hear, say};
use cosign::party::PartyId;
use cosign::request::{Action, Held, Hex, Request, Shares};
use cosign::vault::{LeavingRecord, keys};
use cosign::wire::{Message, Proposal, Reason, Terms};
use rustix::process::Signal;
use serde_json::Value;

use crate::bans::{cheated_by, sign_at};
use crate::import::put_back;
use crate::insider::{block_on, enter, only_key, opened, soon};
use crate::parties::Group;
use crate::stranded::{New, arrange};
use crate::survey::{DIGEST, key, whole};
use crate::unfinished::Before;

/// A number below `limit`.
fn any(limit: u64) -> u64 {
    rand::random::<u64>() % limit
}

/// Whatever state the devices are in: the same command, again, makes the change on those that stay, and
/// what is left is finished from the side that has not.
#[track_caller]
fn recovers(group: &Group, change: &[&str]) {
    let alice = group.of("alice");
    let mut tries = 0;
    loop {
        let again = alice.run([&["keys", "reshare", "vault"], change].concat());
        // It was made already.
        if matches!(again.code, Some(0 | 2 | 10)) {
            break;
        }
        tries += 1;
        assert!(tries < 5, "{again:?}");
    }
    for device in &group.devices {
        whole(device);
        let is_unfinished = {
            let listed = device.run(["keys", "list"]).succeeds();
            let rows = listed["keys"].as_array().unwrap().clone();
            let unfinished = |row: &serde_json::Value| {
                row["confirmed"] != true || row["refresh_pending"] == true || row["leaving"] == true
            };
            rows.iter().any(unfinished)
        };
        if is_unfinished {
            device.run(["keygen", "--key", "vault", "--resume"]).succeeds();
        }
    }
}

#[test]
fn a_device_killed_at_any_moment_of_a_reshare_leaves_old_shares_or_new_ones() {
    let kills = if std::env::var_os("COSIGN_SOAK").is_some() { 200 } else { 8 };
    let names = ["alice", "bob", "carol"];
    let mut group = Group::new(&names, 2, "2");
    let public_key = key(group.of("alice"), "vault").unwrap().public_key;
    for n in 0..kills {
        let joins = n % 2 == 0;
        let change = if joins { ["--add", "carol"] } else { ["--remove", "carol"] };
        let victim = names[usize::try_from(any(3)).unwrap()];
        let after = Duration::from_millis(any(600));
        let asking = group.of("alice").start([&["keys", "reshare", "vault"][..], &change].concat());
        std::thread::sleep(after);
        if victim == "alice" {
            asking.signal(Signal::KILL);
            asking.ends();
        } else {
            let at = group.at(victim);
            let listener = group.listeners[at].take().unwrap();
            listener.signal(Signal::KILL);
            listener.ends();
            group.wakes(victim);
            asking.ends();
        }
        recovers(&group, &change);
        let about = format!("{victim} was killed after {after:?} of {change:?}");
        for device in &group.devices {
            let here = key(device, "vault");
            if device.name == "carol" && !joins {
                // Killed before it had heard of the new shares it is as one that was left out.
                if here.is_some() {
                    let sign = ["sign", DIGEST, "--key", "vault", "--with", "bob"];
                    device.run(sign).fails(12, "without this one");
                    device.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
                }
                continue;
            }
            let here = here.unwrap_or_else(|| panic!("{}: {about}", device.name));
            assert_eq!(here.public_key, public_key, "{about}");
            assert!(here.confirmed && !here.refresh_pending, "{about}: {here:?}");
        }
        group.sign(&[&["alice", "bob"]]);
        if joins {
            group.sign(&[&["bob", "carol"], &["carol", "alice"]]);
        }
    }
}

#[test]
fn no_rule_takes_a_banned_device_into_a_reshare_and_a_person_may() {
    let mut group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let alice = group.of("alice");
    let asking = cheated_by(group.of("bob"), |address| alice.start(sign_at(address)));
    asking.ends().fails(7, "E_OTE_CHECK");
    let reshare = ["keys", "reshare", "vault", "--add", "carol"];
    group.of("bob").run(reshare).fails(11, "alice");
    // Who has the ban and asks says so with a word of its own: a script by a flag, a person at the terminal.
    let copy = group.copy("alice");
    let flags = ["--peer", "bob=127.0.0.1:1", "--timeout", "1s"];
    let asks = [&reshare[..], &flags].concat();
    copy.run(&asks).fails(11, "which new shares end: bob").fails(11, "use --pardon");
    copy.run([&asks[..], &["--pardon", "carol"]].concat()).fails(10, "carol is no signer");
    let asking = copy.run([&asks[..], &["--pardon", "bob"]].concat()).fails(4, "bob");
    let says =
        |note: &Value| note["message"].as_str().unwrap().contains("which new shares end: bob");
    assert!(asking.events("note").iter().any(says), "{}", asking.stderr);
    for (answer, code, says) in [("n\n", 3, "denied on this device"), ("y\n", 4, "bob")] {
        let mut person = copy.terminal(&asks);
        person.shows("which new shares end: bob; find out why").shows("[y/N] ").types(answer);
        let (ended, said) = person.ends();
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
    // Without him there is nothing to end.
    let without =
        ["keys", "reshare", "vault", "--threshold", "2", "--lost", "bob", "--add", "carol"];
    copy.run(without).fails(2, "must take part");
    group.sleeps("alice");
    let mut at_alice = group.of("alice").terminal([
        "listen",
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--policy",
        "policy.toml",
    ]);
    let to = format!("alice={}", at_alice.address());
    let asking = group.of("bob").start([&reshare[..], &["--peer", &to]].concat());
    at_alice.shows("failed a check and banned here, which new shares end: bob").approves();
    asking.ends().succeeds();
    group.sign(&[&["alice", "bob"]]);
}

/// Alice and Bob have stored shares of a reshare that Carol, who was to join, never confirmed to them.
fn left_by_carol(group: &mut Group) -> [(Before, New); 2] {
    let before = ["alice", "bob"].map(|name| Before::of(group.of(name)));
    group.of("alice").run(["keys", "reshare", "vault", "--add", "carol"]).succeeds();
    let [of_alice, of_bob] = before;
    let [a, b] = ["alice", "bob"].map(|name| New::of(group.of(name)));
    ["alice", "bob", "carol"].iter().for_each(|name| group.sleeps(name));
    arrange(group.of("alice"), &of_alice, &[(&a, &[&b])]);
    arrange(group.of("bob"), &of_bob, &[(&b, &[&a])]);
    ["alice", "bob"].iter().for_each(|name| group.wakes(name));
    [(of_alice, a), (of_bob, b)]
}

/// The notes of a command say that something of it waits.
fn says_unfinished(ended: &crate::device::Ended) -> bool {
    let says = |note: &Value| note["message"].as_str().unwrap().contains("stay unfinished");
    ended.events("note").iter().any(says)
}

#[test]
fn a_new_device_that_never_confirms_stops_neither_a_refresh_nor_another_reshare() {
    let mut group = Group::new(&["alice", "bob", "carol", "dave"], 2, "2");
    let public_key = key(group.of("alice"), "vault").unwrap().public_key;
    let [(of_alice, a), (of_bob, b)] = left_by_carol(&mut group);
    let reshare = |change: &[&str]| {
        let command = ["keys", "reshare", "vault", "--timeout", "5s"].iter().chain(change);
        command.map(ToString::to_string).collect::<Vec<_>>()
    };
    // What needs Carol is not done without her.
    group.of("alice").run(reshare(&["--add", "dave"])).fails(4, "carol");
    group.sign(&[&["alice", "bob"]]);
    let made = group.of("alice").run(reshare(&["--lost", "carol", "--add", "dave"])).succeeds();
    assert_eq!(made["parties"].as_array().unwrap().len(), 3);
    assert_eq!(made["public_key"], public_key);
    group.sign(&[&["alice", "bob"], &["bob", "dave"], &["dave", "alice"]]);

    // Bob never stored it.
    ["alice", "bob"].iter().for_each(|name| group.sleeps(name));
    arrange(group.of("alice"), &of_alice, &[(&a, &[])]);
    of_bob.restore(group.of("bob"));
    drop(b);
    ["alice", "bob"].iter().for_each(|name| group.wakes(name));
    let refreshed = group.of("alice").run(["keys", "refresh", "vault"]);
    assert!(says_unfinished(&refreshed), "{}", refreshed.stderr);
    let refreshed = refreshed.succeeds();
    assert_eq!(refreshed["parties"].as_array().unwrap().len(), 2);
    group.sign(&[&["alice", "bob"], &["bob", "alice"]]);
}

/// Carol confirmed her share to Bob alone, and is gone: Bob has given up his old one.
#[test]
fn a_new_device_that_confirms_to_one_alone_is_left_out_by_the_command_that_a_refresh_names() {
    let mut group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let of_alice = Before::of(group.of("alice"));
    group.of("alice").run(["keys", "reshare", "vault", "--add=carol"]).succeeds();
    let [a, b] = ["alice", "bob"].map(|name| New::of(group.of(name)));
    ["alice", "carol"].iter().for_each(|name| group.sleeps(name));
    arrange(group.of("alice"), &of_alice, &[(&a, &[&b])]);
    group.wakes("alice");
    let alice = group.of("alice");
    let refresh = alice.run(["keys", "refresh", "vault", "--timeout", "5s"]);
    let refresh = refresh.fails(12, "--lost=carol");
    let hint = refresh.document()["error"]["hint"].as_str().unwrap().to_owned();
    let named = hint.split('`').find(|part| part.starts_with("cosign keys reshare")).unwrap();
    let made = alice.run(named.split(' ').skip(1)).succeeds();
    assert_eq!(made["parties"].as_array().unwrap().len(), 2, "{made}");
    group.sign(&[&["alice", "bob"], &["bob", "alice"]]);
}

/// Alice and Carol have removed Bob, who has noted that he leaves and has heard of nobody's new share.
fn cut_off_while_leaving(group: &mut Group) -> (LeavingRecord, [u8; 33]) {
    let copy = group.copy("bob");
    group.of("alice").run(["keys", "reshare", "vault", "--remove", "bob"]).succeeds();
    group.sleeps("bob");
    let after = only_key(&opened(&copy)).epoch;
    put_back(&copy, group.of("bob"));
    let alice = opened(group.of("alice"));
    let record = only_key(&alice);
    let expects = keys::confirmation(&alice.home, "vault", &record.epoch).unwrap();
    let [expects @ .., _, parties] = expects.as_slice() else { panic!() };
    let leaving = LeavingRecord {
        curve: record.curve,
        epoch: record.epoch,
        expects: [expects, &[*parties]].concat(),
        threshold: record.threshold,
        parties: record.parties.clone(),
        generation: record.generation,
        after,
        created: record.created,
    };
    opened(group.of("bob")).vault.store_leaving("vault", &leaving).unwrap();
    (leaving, record.public_key)
}

const RESUME: [&str; 4] = ["keygen", "--resume", "--key", "vault"];

#[test]
fn who_left_hears_the_confirmations_of_shares_that_are_gone_by_now() {
    let mut group = Group::new(&["alice", "bob", "carol", "dave"], 3, "2");
    let (leaving, public_key) = cut_off_while_leaving(&mut group);
    let listed = group.of("bob").run(["keys", "list"]).succeeds();
    assert_eq!(listed["keys"][0]["leaving"], true);
    for _ in 0..2 {
        group.of("alice").run(["keys", "refresh", "vault"]).succeeds();
    }
    group.of("alice").run(["keys", "rename", "vault", "treasury"]).succeeds();
    group.of("alice").run(["keys", "reshare", "treasury", "--add", "dave"]).succeeds();
    // Nobody else is told what those who leave are.
    let (node, address) =
        (opened(group.of("dave")), group.listeners[0].as_ref().unwrap().address());
    let me = node.info.fingerprint;
    let others = leaving.parties.iter().map(|party| party.fingerprint);
    let epochs = vec![Held { epoch: Hex(leaving.epoch), generation: 2, height: 0 }];
    let asked = leaving.parties.iter().find(|party| party.name == "alice");
    let request = Request {
        curve: leaving.curve,
        id: clock::request_id().unwrap(),
        key: "vault".into(),
        parties: others.chain([me]).collect(),
        threshold: 2,
        signers: vec![asked.unwrap().index, PartyId::new(3).unwrap()],
        requester: PartyId::new(3).unwrap(),
        purpose: Label::default(),
        action: Action::Leave(Shares { public_key, epochs }),
    };
    block_on(async {
        let terms = Terms { nonce: Hex(clock::nonce().unwrap()), seconds: 100 };
        let mut link = enter(&node.tls, &address).await;
        say(&mut link, &Message::Propose(Box::new(Proposal::new(&request, terms)))).await.unwrap();
        let said = hear(&mut link, soon()).await.unwrap();
        assert_eq!(said, Message::Refuse { reason: Reason::RolledBack });
    });
    let left = group.of("bob").run(RESUME).succeeds();
    assert_eq!(left["left"], true);
    assert!(key(group.of("bob"), "vault").is_none());
    assert_eq!(group.of("bob").outcomes().last().unwrap(), "left");
}

#[test]
fn who_left_and_cannot_hear_all_any_more_is_told_what_its_owner_can_do() {
    let mut group = Group::new(&["alice", "bob", "carol", "dave"], 4, "2");
    cut_off_while_leaving(&mut group);
    group.of("alice").run(["keys", "reshare", "vault", "--lost", "carol"]).succeeds();
    let bob = group.of("bob");
    // Carol was left out, and has given up her share.
    group.of("carol").run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    let resumed = bob.run(RESUME);
    let resumed = resumed.fails(10, "cannot tell whether it has left the key");
    resumed.fails(10, "cosign keys delete --help");
    // No device's word destroys it.
    assert!(key(bob, "vault").is_some());
    let mut owner = bob.terminal(["keys", "delete", "vault"]);
    owner.shows("has agreed to leave this key").shows("alice");
    drop(owner);
    bob.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    assert!(key(bob, "vault").is_none());
    bob.run(RESUME).fails(10, "vault");
    group.sign(&[&["alice", "dave"], &["dave", "alice"]]);
}
