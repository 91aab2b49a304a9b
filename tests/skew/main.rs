//! The program of the last release and the one of today, in both roles, with two and with three devices.
//!
//! `tests/run --skew` builds the old one from the commit in `tests/skew/0.1.0`; `COSIGN_OLD` is where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "../two_processes/insider.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod insider;
#[path = "../two_processes/openssl.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod openssl;
#[path = "../two_processes/scissors.rs"]
mod scissors;
#[path = "../two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;
#[path = "../support/wallet.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod wallet;

use std::path::PathBuf;

use cosign::device::Label;
use cosign::driver::connect::hello::say;
use cosign::net::Link as _;
use cosign::net::tls::{Expect, TlsLink};
use cosign::wire::{Message, Want};
use sha2::{Digest as _, Sha256};

use crate::device::{Device, all_listen, introduce, pair, text};
use crate::insider::{block_on, call, hello, only_key, opened, port, proposal};
use crate::scissors::Scissors;
use crate::wallet::{COIN, Wallet};

/// The program of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Old,
    New,
}
use Age::{New, Old};

impl Age {
    fn program(self) -> PathBuf {
        match self {
            Old => {
                std::env::var_os("COSIGN_OLD").expect("tests/run --skew says where it is").into()
            }
            New => env!("CARGO_BIN_EXE_cosign").into(),
        }
    }
}

fn device(name: &str, age: Age) -> Device {
    Device::running(age.program(), name)
}

/// A new digest.
fn digest(of: &str) -> String {
    hex::encode(Sha256::digest(of))
}

/// `asks` has `digest` signed with the key, and openssl accepts what comes.
fn signs(asks: &Device, more: &[&str], what: &str) {
    let digest = digest(&format!("{what} {}", asks.name));
    let made = asks.run(["sign", &digest, "--key", "vault"].iter().chain(more)).succeeds();
    let pem = asks.path("key.pem");
    let export = ["keys", "export", "vault", "-o", "key.pem"];
    asks.run(export).succeeds();
    openssl::is_satisfied(&made, &pem, &digest);
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn the_old_program_is_of_the_last_release() {
    let versions = [Old, New].map(|age| device("alice", age).run(["version"]).succeeds());
    assert_eq!(versions[0]["version"], "0.1.0");
    assert_eq!((versions[0].get("wire"), versions[1].get("wire").is_some()), (None, true));
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn two_people_pair() {
    for (here, there) in [(Old, New), (New, Old)] {
        let (alice, bob) = (device("alice", here), device("bob", there));
        pair(&alice, &bob);
        assert_eq!((alice.peers(), bob.peers()), (vec!["bob".into()], vec!["alice".into()]));
    }
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn two_devices_make_refresh_and_use_a_key_in_both_directions() {
    for (here, there) in [(Old, New), (New, Old)] {
        let (alice, bob) = (device("alice", here), device("bob", there));
        let _listening = all_listen(&[&alice, &bob], &[]);
        alice.run(["keygen", "--key", "vault", "--with", "bob"]).succeeds();
        for asks in [&alice, &bob] {
            signs(asks, &[], "at first");
            asks.run(["keys", "refresh", "vault"]).succeeds();
            signs(asks, &[], "refreshed");
        }
        assert_eq!(alice.run(["keys", "show", "vault"]).succeeds()["generation"], 3);
        // The old program does not introduce itself.
        let listed = alice.run(["peers", "list"]).succeeds();
        assert_eq!(listed["peers"][0].get("program"), None);
    }
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn the_old_program_signs_a_file_by_its_digest_and_is_not_asked_for_what_it_cannot_show() {
    let (alice, bob) = (device("alice", New), device("bob", Old));
    introduce(&[&alice, &bob]);
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--peer", &to]).succeeds();
    alice.write("notes", "notes");
    let signed = alice.run(["sign", "--file", "notes", "--peer", &to]).succeeds();
    assert_eq!(signed["digest"], digest("notes"));
    alice.write("payment.psbt", Wallet::of(&alice).pays(COIN, 2).serialize());
    let typed =
        r#"{"types":{"A":[]},"primaryType":"A","domain":{"name":"a","chainId":1},"message":{}}"#;
    alice.write("typed.json", typed);
    alice.write("more", "more");
    let transaction = "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    let before = bob.outcomes();
    for (payload, cannot) in [
        (&["--message", "I agree"][..], "show messages"),
        (&["--psbt", "payment.psbt"], "show Bitcoin payments"),
        (&["--eth-tx", transaction], "show Ethereum transactions"),
        (&["--typed-data", "typed.json"], "show typed data"),
        (&["--file", "notes", "--file", "more"], "sign several files at once"),
        (&["--file", "notes", "--format", "jws"], "sign files as JWS"),
        (&["--file", "notes", "--format", "openpgp"], "sign files in OpenPGP"),
    ] {
        let sign = [&["sign", "--peer", &to], payload].concat();
        alice.run(sign).fails(6, &format!("bob's cosign 0.1.0 cannot {cannot}; "));
    }
    assert_eq!(bob.outcomes(), before);
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn the_old_program_is_not_asked_for_a_reshare_or_an_import() {
    let (alice, bob, carol) = (device("alice", New), device("bob", New), device("carol", Old));
    let _listening = all_listen(&[&alice, &bob, &carol], &[]);
    alice.run(["keygen", "--key", "vault", "--with", "bob"]).succeeds();
    alice.write("whole.key", digest("a private key"));
    let before = [&bob, &carol].map(Device::outcomes);
    alice
        .run(["keys", "reshare", "vault", "--add", "carol"])
        .fails(6, "carol's cosign 0.1.0 cannot give a key to other devices; ");
    let import = ["keygen", "--key", "old", "--import", "whole.key", "--with", "bob", "carol"];
    alice
        .run(import)
        .fails(6, "carol's cosign 0.1.0 cannot take a share of a key that exists whole; ");
    assert_eq!([&bob, &carol].map(Device::outcomes), before);
    // Nor does it offer what it cannot: a party of its key that is to be replaced.
    let other = ["keygen", "--key", "other", "--threshold", "2", "--with", "bob", "carol"];
    alice.run(other).succeeds();
    alice.run(["keys", "reshare", "other", "--threshold", "3"]).fails(6, "carol's cosign 0.1.0");
    let without = alice.run(["keys", "reshare", "other", "--lost", "carol"]);
    // The rules of `all_listen` name no reshare, so Bob's policy is what stops it.
    without.fails(9, "the policy of bob");
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn three_devices_of_two_versions_make_refresh_and_use_a_key() {
    for ages in [[Old, New, New], [New, Old, Old], [New, Old, New]] {
        let devices = ["alice", "bob", "carol"];
        let [a, b, c] = [0, 1, 2].map(|i| device(devices[i], ages[i]));
        let _listening = all_listen(&[&a, &b, &c], &[]);
        let keygen = ["keygen", "--key", "vault", "--threshold", "2", "--with", "bob", "carol"];
        a.run(keygen).succeeds();
        for (asks, helps) in [(&a, "bob"), (&b, "carol"), (&c, "alice")] {
            signs(asks, &["--with", helps], "of three");
        }
        b.run(["keys", "refresh", "vault"]).succeeds();
        signs(&c, &["--with", "bob"], "of three, refreshed");
    }
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn devices_meet_at_a_relay_of_either_version() {
    for (relays, here, there) in [(Old, New, Old), (New, Old, New), (Old, New, New)] {
        let (relay, alice, bob) =
            (device("relay", relays), device("alice", here), device("bob", there));
        let mut serving = relay.start(["relay", "--bind", "127.0.0.1:0"]);
        let url =
            text(&serving.event_where("serving", |event| event["what"] == "listening")["detail"]);
        introduce(&[&alice, &bob]);
        let flags = ["--interface", "no-such-interface", "--relay", &url];
        let mut listener = bob.serve_with(&[&alice], &flags);
        listener.event_where("relay", |event| event["connected"] == true);
        let keygen = ["keygen", "--key", "vault", "--with", "bob"];
        alice.run(keygen.iter().chain(&flags)).succeeds();
        signs(&alice, &flags, "far apart");
    }
}

#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn a_link_that_is_cut_is_taken_up_again_by_either_version() {
    for (here, there) in [(Old, New), (New, Old)] {
        let (alice, bob) = (device("alice", here), device("bob", there));
        introduce(&[&alice, &bob]);
        // Bob refuses a second request of each kind.
        bob.policy(
            "[[rule]]\npeer = \"alice\"\nceremony = \"keygen\"\nmax_count = 1\naction = \"allow\"\n\
             [[rule]]\npeer = \"alice\"\nceremony = \"sign\"\nmax_count = 1\naction = \"allow\"\n",
        );
        let listener = bob.listen(&["--policy", "policy.toml"]);
        let plan = [9_000, 4_500, 20_000, 40_000];
        let way = Scissors::before(&listener, &plan);
        let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &way.address];
        assert_eq!(alice.run(keygen).succeeds()["confirmed"], true);
        assert!(way.cuts() >= 2, "{here:?} {}", way.cuts());
        let way = Scissors::before(&listener, &plan);
        signs(&alice, &["--peer", &way.address], "over a line that is cut");
        assert!(way.cuts() >= 1, "{here:?}");
    }
}

/// A home goes from the old program to the new one, and back.
#[test]
#[ignore = "needs the old program: tests/run --skew"]
fn a_home_is_used_by_both_programs_in_turn() {
    let mut alice = device("alice", Old);
    let bob = device("bob", New);
    let listening = all_listen(&[&alice, &bob], &[]);
    alice.run(["keygen", "--key", "vault", "--with", "bob"]).succeeds();
    signs(&alice, &[], "by the old one");
    for (age, what) in [(New, "by the new one"), (Old, "by the old one again")] {
        alice.program = age.program();
        signs(&alice, &[], what);
        alice.run(["keys", "refresh", "vault"]).succeeds();
        assert_eq!(alice.run(["log", "--verify"]).succeeds()["valid"], true);
    }
    drop(listening);
}

/// The next message, as it came.
async fn message(link: &mut TlsLink) -> String {
    String::from_utf8(link.recv().await.unwrap().payload).unwrap()
}

/// Writes the first messages of the old program to the file `COSIGN_TEST_RECORD`, for a release: those with which it asks, and
/// those with which it answers.
#[test]
#[ignore = "writes a file for the repository"]
fn record_first_messages() {
    let into = PathBuf::from(std::env::var_os("COSIGN_TEST_RECORD").unwrap());
    let (alice, bob) = (device("alice", Old), device("bob", Old));
    introduce(&[&alice, &bob]);
    let listener = bob.serve(&[&alice]);
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &listener.address()];
    alice.run(keygen).succeeds();
    let mut said = Vec::new();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for version in [99, 1] {
            let mut link = call(&insider.tls, &listener.address()).await;
            say(&mut link, &hello(version, Want::Ceremony)).await.unwrap();
            said.push(message(&mut link).await);
            if version == 1 {
                let proposal = Message::Propose(Box::new(proposal(&insider, &record)));
                say(&mut link, &proposal).await.unwrap();
                said.push(message(&mut link).await);
            }
        }
    });
    drop(listener);
    let node = opened(&bob);
    let digest = digest("recorded");
    for line in [
        &["sign", &digest, "--key", "vault", "--purpose", "a \u{fc}nusual purpose"][..],
        &["keygen", "--key", "other", "--with", "bob"],
        &["keys", "refresh", "vault"],
    ] {
        block_on(async {
            let (port, address) = port().await;
            let _asking = alice.start(line.iter().chain(&["--peer", &address]));
            let (io, _) = port.accept().await;
            let mut link = node.tls.accept(io, Expect::Anyone).await.unwrap();
            said.push(message(&mut link).await);
            let welcome = Message::Welcome { name: Label::new("bob"), about: None };
            say(&mut link, &welcome).await.unwrap();
            said.push(message(&mut link).await);
        });
    }
    std::fs::write(into, said.join("\n") + "\n").unwrap();
}
