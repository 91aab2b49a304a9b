//! Devices with programs of different versions: common features work, and a missing one is reported
//! before anybody is asked.

use std::collections::BTreeSet;
use std::path::Path;

use cosign::device::Label;
use cosign::driver::Node;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::tls::{Expect, TlsLink};
use cosign::net::{Frame, Kind, Link as _};
use cosign::wire::{About, Message, Reason, VERSIONS, Versions, Word};
use serde_json::{Value, json};

use crate::device::{Device, Running, two_with_key};
use crate::insider::{
    accept_signing, block_on, call, enter, only_key, opened, port, proposal, soon, until_closed,
};
use crate::signing::fresh_digest;

/// Sends `message`, of whatever version, and hears the answer.
async fn answer(link: &mut TlsLink, message: &Value) -> Message {
    let bytes = serde_json::to_vec(message).unwrap();
    link.send(Frame::new(Kind::Control, bytes)).await.unwrap();
    hear(link, soon()).await.unwrap()
}

/// Alice asks for a signature of the device `node`, which is here: her program, the link, and her greeting.
async fn called(alice: &Device, node: &Node) -> (Running, TlsLink, Message) {
    called_for(alice, node, &[&fresh_digest()]).await
}

/// The same of what the flags say.
async fn called_for(alice: &Device, node: &Node, flags: &[&str]) -> (Running, TlsLink, Message) {
    let (port, address) = port().await;
    let asking = alice.start([&["sign", "--peer", &address], flags].concat());
    let (io, _) = port.accept().await;
    let mut link = node.tls.accept(io, Expect::Anyone).await.unwrap();
    let hello = hear(&mut link, soon()).await.unwrap();
    (asking, link, hello)
}

fn said(message: &Message) -> Value {
    serde_json::from_slice(&message.to_bytes()).unwrap()
}

#[test]
fn a_greeting_of_a_later_version_is_answered() {
    let (alice, _bob, listener) = two_with_key();
    let insider = opened(&alice);
    let hello = |versions: [u8; 2]| {
        let [from, to] = versions;
        let about = json!({
            "program": "9.0.1", "versions": {"from": from, "to": to, "beta": 10},
            "can": ["sign", "fly"], "colour": "red",
        });
        let hello = json!({
            "version": to, "name": "alice", "want": "ping", "about": about, "mood": {"good": true},
        });
        json!({ "hello": hello })
    };
    block_on(async {
        let address = listener.address();
        let mut link = call(&insider.tls, &address).await;
        assert!(link.introduces());
        let Message::Welcome { about: Some(about), .. } = answer(&mut link, &hello([1, 9])).await
        else {
            panic!()
        };
        assert_eq!(about, About::this_program(false));
        let mut link = call(&insider.tls, &address).await;
        let refused = answer(&mut link, &hello([2, 9])).await;
        assert_eq!(refused, Message::Refuse { reason: Reason::Version });
    });
}

/// They are in `tests/skew/messages`, as the programs of those versions said them.
#[test]
fn first_messages_of_earlier_versions_are_understood_and_would_be_said_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/skew/messages");
    for version in std::fs::read_dir(folder).unwrap() {
        let recorded = std::fs::read_to_string(version.unwrap().path()).unwrap();
        let mut kinds = BTreeSet::new();
        for line in recorded.lines() {
            let message = Message::from_bytes(line.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(message.to_bytes()).unwrap(), line);
            kinds.insert(match message {
                Message::Hello { .. } => "hello",
                Message::Welcome { .. } => "welcome",
                Message::Refuse { reason: Reason::Version } => "refuse",
                Message::Propose(proposal) => proposal.kind.name(),
                Message::Accept { .. } => "accept",
                _ => "something else",
            });
        }
        let all = ["accept", "hello", "keygen", "refresh", "refuse", "sign", "welcome"];
        assert_eq!(kinds, all.into());
    }
}

#[test]
fn which_version_a_device_runs_is_shown_once_it_has_answered() {
    let (alice, bob, listener) = two_with_key();
    let (of, version) =
        (|listed: Value| listed["peers"][0].get("program").cloned(), env!("CARGO_PKG_VERSION"));
    assert_eq!(of(alice.run(["peers", "list"]).succeeds()), Some(version.into()));
    // She has called him, and he has not called her.
    assert_eq!(of(bob.run(["peers", "list"]).succeeds()), None);
    drop(listener);
    let away = alice.run(["discover", "--wait", "1ms"]).succeeds();
    assert_eq!(of(away), Some(version.into()));
    let doctor = alice.run(["doctor", "--wait", "1ms"]).document();
    assert!(doctor.to_string().contains(&format!("runs cosign {version}")), "{doctor}");
}

#[test]
fn who_wants_what_only_a_later_version_does_is_told_so() {
    let (alice, _bob, listener) = two_with_key();
    let insider = opened(&alice);
    block_on(async {
        for want in [json!("reshare"), json!({"reshare": {"to": ["carol"]}})] {
            let hello = json!({"hello": {"version": 1, "name": "alice", "want": want}});
            let mut link = call(&insider.tls, &listener.address()).await;
            let reason = Reason::NotUnderstood { message: Word::new("reshare").unwrap() };
            assert_eq!(answer(&mut link, &hello).await, Message::Refuse { reason });
            until_closed(link).await;
        }
    });
}

#[test]
fn a_proposal_that_says_more_than_is_understood_is_refused_by_its_name() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        let honest = said(&Message::Propose(Box::new(proposal(&insider, &record))));
        let mut more = honest.clone();
        more["propose"]["payload"] = json!("psbt");
        let mut other = honest;
        other["propose"]["kind"] = json!("reshare");
        for message in [more, other] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let message_name = Word::new("propose").unwrap();
            let reason = Reason::NotUnderstood { message: message_name };
            assert_eq!(answer(&mut link, &message).await, Message::Refuse { reason });
            until_closed(link).await;
        }
        // What makes no sense in any version has no name.
        let mut link = enter(&insider.tls, &listener.address()).await;
        link.send(Frame::new(Kind::Control, b"garbage".to_vec())).await.unwrap();
        assert!(hear(&mut link, soon()).await.is_err());
    });
    assert!(bob.outcomes().iter().all(|outcome| outcome != "signed"));
}

#[test]
fn a_device_whose_program_cannot_sign_is_named_before_it_is_asked() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    block_on(async {
        let (asking, mut link, hello) = called(&alice, &node).await;
        let Message::Hello { about: Some(about), .. } = hello else { panic!() };
        assert_eq!((about.versions, about.can.len()), (VERSIONS, 8));
        let about = About {
            program: Label::new("0.0.9\u{1b}[2J"),
            versions: Versions { from: 1, to: 1 },
            can: vec![Label::new("keygen")],
            keeps: None,
        };
        let welcome = Message::Welcome { name: Label::new("bob"), about: Some(about) };
        say(&mut link, &welcome).await.unwrap();
        let next = hear(&mut link, soon()).await;
        assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
        drop(link);
        asking
            .ends()
            .fails(6, "bob's cosign 0.0.9[2J cannot sign")
            .fails(6, "update the older of the two");
        let listed = alice.run(["peers", "list"]).succeeds();
        assert_eq!(listed["peers"][0]["program"], "0.0.9[2J");
    });
}

#[test]
fn a_device_whose_program_does_not_show_a_payload_is_not_sent_it() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let typed =
        r#"{"types":{"A":[]},"primaryType":"A","domain":{"name":"a","chainId":1},"message":{}}"#;
    alice.write("typed.json", typed);
    let transaction = "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    for (payload, ability) in [
        (["--message", "I agree"], "show messages"),
        (["--eth-tx", transaction], "show Ethereum transactions"),
        (["--typed-data", "typed.json"], "show typed data"),
    ] {
        block_on(async {
            // The first version says nothing of itself.
            let (asking, mut link, _) = called_for(&alice, &node, &payload).await;
            let welcome = Message::Welcome { name: Label::new("bob"), about: None };
            say(&mut link, &welcome).await.unwrap();
            let next = hear(&mut link, soon()).await;
            assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
            drop(link);
            asking.ends().fails(6, &format!("bob's early cosign cannot {ability}"));
        });
    }
}

#[test]
fn a_reason_that_is_not_known_is_shown_as_it_is() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    block_on(async {
        let (asking, mut link, hello) = called(&alice, &node).await;
        assert!(matches!(hello, Message::Hello { .. }));
        let refusal = json!({"refuse": {"reason": {"out_of_office": {"until": 7}}, "see": "x"}});
        let bytes = serde_json::to_vec(&refusal).unwrap();
        link.send(Frame::new(Kind::Control, bytes)).await.unwrap();
        link.close().await;
        asking.ends().fails(6, "bob refused: out_of_office");
    });
}

/// A requester that is told so late may have sent its first message already.
#[test]
fn a_refusal_that_crosses_the_first_message_is_heard() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    for _ in 0..10 {
        block_on(async {
            let (port, address) = port().await;
            let asking = alice.start(["sign", &fresh_digest(), "--peer", &address]);
            let (_key, _, started) = accept_signing(&node, &port, |_| ()).await;
            started.links.abort_with(|_| Reason::Policy).await;
            asking.ends().fails(9, "policy");
        });
    }
}
