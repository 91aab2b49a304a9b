//! Devices with programs of different versions: common features work, and a missing one is reported
//! before anybody is asked.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cosign::device::Label;
use cosign::driver::Node;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::tls::{Expect, TlsLink};
use cosign::net::{Frame, Kind, Link as _, tcp};
use cosign::request::Hex;
use cosign::wire::{
    About, Limits, Message, Reason, Source, VERSION, VERSIONS, Versions, Want, Word,
};
use serde_json::{Value, json};

use crate::device::{Device, Running, introduce, two_with_key};
use crate::insider::{
    accept_signing, block_on, call, enter, held, hello, only_key, opened, port, proposal, soon,
    start, until_closed,
};
use crate::signing::fresh_digest;
use crate::wallet::{COIN, Wallet};

/// Sends `message`, of whatever version.
async fn say_any(link: &mut TlsLink, message: &Value) {
    let bytes = serde_json::to_vec(message).unwrap();
    link.send(Frame::new(Kind::Control, bytes)).await.unwrap();
}

/// Sends `message`, of whatever version, and hears the answer.
async fn answer(link: &mut TlsLink, message: &Value) -> Message {
    say_any(link, message).await;
    hear(link, soon()).await.unwrap()
}

/// The first refusal that comes; other frames are passed over.
async fn refusal(link: &mut TlsLink) -> Message {
    loop {
        let frame = link.recv().await.unwrap();
        let message = Message::from_bytes(&frame.payload);
        if frame.kind == Kind::Control && matches!(message, Ok(Message::Refuse { .. })) {
            return message.unwrap();
        }
    }
}

/// The refusal of a message of this name that the other side cannot read.
fn not_understood(name: &str) -> Message {
    let message = Word::new(name);
    Message::Refuse { reason: Reason::NotUnderstood { message } }
}

/// `message` with a field more, in the object at `pointer`.
fn with_more(message: &Message, pointer: &str) -> Value {
    let mut more = said(message);
    more.pointer_mut(pointer).unwrap()["more"] = json!(1);
    more
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

/// The next caller of `node` at `port`, once it has said `hello`.
async fn greeted(node: &Node, port: &tcp::Listener) -> TlsLink {
    let (io, _) = port.accept().await;
    let mut link = node.tls.accept(io, Expect::Anyone).await.unwrap();
    assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Hello { .. })));
    link
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
            assert_eq!(answer(&mut link, &hello).await, not_understood("reshare"));
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
        let mut source = honest.clone();
        source["propose"]["source"]["of"] = json!("psbt");
        let mut other = honest;
        other["propose"]["kind"] = json!("fly");
        for message in [more, source, other] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            assert_eq!(answer(&mut link, &message).await, not_understood("propose"));
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
fn a_first_message_that_cannot_be_read_is_refused_by_its_name() {
    let (alice, _bob, listener) = two_with_key();
    let insider = opened(&alice);
    block_on(async {
        let hello = |version: Value| json!({"version": version, "name": "alice", "want": "ping"});
        for (message, name) in [
            (json!({"greet": {}}), "greet"),
            (json!("greet"), "greet"),
            (json!({"hello": hello(json!("one"))}), "hello"),
            (json!({"hello": hello(json!(300))}), "hello"),
        ] {
            let mut link = call(&insider.tls, &listener.address()).await;
            assert_eq!(answer(&mut link, &message).await, not_understood(name));
            until_closed(link).await;
        }
    });
}

#[test]
fn an_answer_that_cannot_be_read_is_refused_by_its_name() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let welcome = Message::Welcome { name: Label::new("bob"), about: None };
    let held = vec![held(&node, &only_key(&node))];
    let accept = Message::Accept { nonce: Hex([7; 32]), held: held.clone() };
    let first = [
        (json!({"greet": {}}), "greet"),
        (with_more(&Message::Resumed { received: 0 }, "/resumed"), "resumed"),
        (json!({"welcome": {"name": 7}}), "welcome"),
    ];
    let second = [
        (with_more(&accept, "/accept"), "accept"),
        (with_more(&accept, "/accept/held/0"), "accept"),
        (with_more(&Message::Queued { before: 1 }, "/queued"), "queued"),
        (with_more(&Message::Apart { held }, "/apart"), "apart"),
        (json!({"agree": {"nonce": "00"}}), "agree"),
        (json!("agree"), "agree"),
    ];
    let answers = first.map(|answer| (answer, false)).into_iter();
    for ((message, name), is_welcome) in answers.chain(second.map(|answer| (answer, true))) {
        block_on(async {
            let (asking, mut link, _) = called(&alice, &node).await;
            if is_welcome {
                say(&mut link, &welcome).await.unwrap();
                assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Propose(_))));
            }
            say_any(&mut link, &message).await;
            assert_eq!(refusal(&mut link).await, not_understood(name), "{message}");
            until_closed(link).await;
            let ended = asking.ends();
            ended.fails(6, &format!("bob sent a message \\\"{name}\\\" that this version"));
        });
    }
}

/// One requester is heard while its request is answered, and another in the ceremony.
#[test]
fn what_a_requester_says_and_cannot_be_read_is_refused_by_its_name() {
    let (alice, bob, mut listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    let mut unread = |message: Value, name: &str, is_started: bool| {
        block_on(async {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = proposal(&insider, &record);
            let (mine, epochs) = (proposal.nonce, proposal.epochs.clone());
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let Ok(Message::Accept { nonce, .. }) = hear(&mut link, soon()).await else { panic!() };
            if is_started {
                let nonces =
                    if record.me.get() == 1 { vec![mine, nonce] } else { vec![nonce, mine] };
                let epochs: Vec<_> = epochs.iter().map(|held| held.epoch).collect();
                say(&mut link, &start(nonces, &epochs)).await.unwrap();
            }
            say_any(&mut link, &message).await;
            assert_eq!(refusal(&mut link).await, not_understood(name), "{message}");
            until_closed(link).await;
        });
        let ended = listener.event("aborted");
        assert_eq!(ended["code"], "unsupported", "{ended}");
    };
    let begin = start(vec![], &[]);
    unread(with_more(&begin, "/start"), "start", false);
    unread(json!({"begin": {}}), "begin", false);
    unread(json!({"finished": {"more": 1}}), "finished", true);
    unread(json!({"hurry": {}}), "hurry", true);
    let outcomes = bob.outcomes();
    assert!(outcomes.iter().all(|outcome| outcome != "signed"), "{outcomes:?}");
}

#[test]
fn a_step_of_a_pairing_that_cannot_be_read_is_refused_by_its_name() {
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let insider = opened(&alice);
    block_on(async {
        let mut link = call(&insider.tls, &at_bob.address()).await;
        say(&mut link, &hello(VERSION, Want::Pair)).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Welcome { .. })));
        say_any(&mut link, &with_more(&Message::Pair { step: Hex([1; 32]) }, "/pair")).await;
        assert_eq!(refusal(&mut link).await, not_understood("pair"));
        until_closed(link).await;
    });
}

#[test]
fn a_device_whose_program_cannot_sign_is_named_before_it_is_asked() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    block_on(async {
        let (asking, mut link, hello) = called(&alice, &node).await;
        let Message::Hello { about: Some(about), .. } = hello else { panic!() };
        assert_eq!((about.versions, about.can.len()), (VERSIONS, 18));
        let about = About {
            program: Label::new("0.0.9\u{1b}[2J"),
            versions: Versions { from: 1, to: 1 },
            can: vec![Label::new("keygen")],
            limits: Limits::default(),
            keeps: None,
            gathers: false,
        };
        let welcome = Message::Welcome { name: Label::new("bob"), about: Some(about) };
        say(&mut link, &welcome).await.unwrap();
        let next = hear(&mut link, soon()).await;
        assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
        drop(link);
        asking
            .ends()
            .fails(6, "bob's cosign 0.0.9[2J cannot sign")
            .fails(6, "update the program on bob");
        let listed = alice.run(["peers", "list"]).succeeds();
        assert_eq!(listed["peers"][0]["program"], "0.0.9[2J");
    });
}

#[test]
fn a_device_that_speaks_only_later_versions_is_not_asked() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    for to in [2, 3] {
        block_on(async {
            let (asking, mut link, _) = called(&alice, &node).await;
            let about = About { versions: Versions { from: 2, to }, ..About::this_program(false) };
            let welcome = Message::Welcome { name: Label::new("bob"), about: Some(about) };
            say(&mut link, &welcome).await.unwrap();
            assert_eq!(refusal(&mut link).await, Message::Refuse { reason: Reason::Version });
            until_closed(link).await;
            asking.ends().fails(6, "bob runs a version that this one cannot talk to");
        });
    }
}

#[test]
fn a_proposal_of_a_function_or_format_that_is_not_known_is_refused_by_its_name() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for source in [
            json!({"kind": "message", "format": "bip322", "size": 1}),
            json!({"kind": "file", "name": "a", "size": 1, "hash": "blake3"}),
        ] {
            let mut later = said(&Message::Propose(Box::new(proposal(&insider, &record))));
            later["propose"]["source"] = source;
            let mut link = enter(&insider.tls, &listener.address()).await;
            assert_eq!(answer(&mut link, &later).await, not_understood("propose"));
            until_closed(link).await;
        }
    });
    assert_eq!(bob.outcomes().last().unwrap(), "unsupported");
}

#[test]
fn a_device_whose_program_does_not_show_objects_of_git_is_not_sent_one() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let somebody = "A <a@example.org> 1790000000 +0000";
    let tree = "0a".repeat(20);
    let commit = format!("tree {tree}\nauthor {somebody}\ncommitter {somebody}\n\nall\n");
    let commit = std::fs::File::open(alice.write("commit", commit)).unwrap();
    block_on(async {
        let (port, address) = port().await;
        let mut command = alice.script(["git-sign", "--peer", &address, "--", "-bsau", "vault"]);
        let asking = Running::start(command.stdin(commit));
        let mut link = greeted(&node, &port).await;
        // The first version says nothing of itself.
        let welcome = Message::Welcome { name: Label::new("bob"), about: None };
        say(&mut link, &welcome).await.unwrap();
        let next = hear(&mut link, soon()).await;
        assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
        drop(link);
        asking.ends().fails(6, "bob's cosign 0.1.0 cannot sign commits and tags of git");
    });
}

#[test]
fn a_device_whose_program_does_not_show_a_payload_is_not_sent_it() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    let typed =
        r#"{"types":{"A":[]},"primaryType":"A","domain":{"name":"a","chainId":1},"message":{}}"#;
    alice.write("typed.json", typed);
    alice.write("payment.psbt", Wallet::of(&alice).pays(COIN, 2).serialize());
    let transaction = "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    for (payload, ability) in [
        (&["--message", "I agree"][..], "show messages"),
        (&["--eth-tx", transaction], "show Ethereum transactions"),
        (&["--typed-data", "typed.json"], "show typed data"),
        (&["--psbt", "payment.psbt"], "show Bitcoin payments"),
        (&["--file", "typed.json", "--format", "jws"], "sign files as JWS"),
        (&["--file", "typed.json", "--format", "openpgp"], "sign files in OpenPGP"),
    ] {
        block_on(async {
            // The first version says nothing of itself.
            let (asking, mut link, _) = called_for(&alice, &node, payload).await;
            let welcome = Message::Welcome { name: Label::new("bob"), about: None };
            say(&mut link, &welcome).await.unwrap();
            let next = hear(&mut link, soon()).await;
            assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
            drop(link);
            let here = env!("CARGO_PKG_VERSION");
            let said = format!("bob's cosign 0.1.0 cannot {ability}; {here} can");
            asking.ends().fails(6, &said).fails(6, "update the program on bob");
        });
    }
}

/// Programs of the first version say nothing of themselves; others say what they can, which these cannot.
#[test]
fn no_owner_is_asked_for_a_reshare_or_an_import_that_a_program_cannot() {
    let devices = ["alice", "bob", "carol"].map(Device::new);
    let [alice, bob, carol] = &devices;
    introduce(&[alice, bob, carol]);
    let listener = bob.serve(&[alice, carol]);
    let bob_there = format!("bob={}", listener.address());
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &bob_there]).succeeds();
    alice.write("whole.key", hex::encode(rand::random::<[u8; 32]>()));
    let before = bob.outcomes();
    let node = opened(carol);
    let can = vec![Label::new("keygen"), Label::new("refresh"), Label::new("sign")];
    let other = About { can, ..About::this_program(false) };
    let reshare = ["keys", "reshare", "vault", "--add", "carol"];
    let import = ["keygen", "--key", "old", "--import", "whole.key", "--with", "bob,carol"];
    let commands = [
        (&reshare[..], "give a key to other devices"),
        (&import, "take a share of a key that exists whole"),
    ];
    for ((command, cannot), about) in
        commands.into_iter().flat_map(|command| [(command, None), (command, Some(other.clone()))])
    {
        block_on(async {
            let (port, address) = port().await;
            let carol_there = format!("carol={address}");
            let there = ["--peer", &bob_there, "--peer", &carol_there];
            let asking = alice.start([command, &there].concat());
            let mut link = greeted(&node, &port).await;
            let welcome = Message::Welcome { name: Label::new("carol"), about };
            say(&mut link, &welcome).await.unwrap();
            let next = hear(&mut link, soon()).await;
            assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
            drop(link);
            let asking = asking.ends().fails(6, &format!("cannot {cannot}"));
            asking.fails(6, "update the program on carol");
        });
    }
    assert_eq!(bob.outcomes(), before);
    assert_eq!(alice.run(["keys", "list"]).succeeds()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn more_files_than_a_program_signs_at_once_are_not_sent_to_it() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    for name in ["a", "b", "c"] {
        alice.write(name, name);
    }
    let files = ["--file", "a", "--file", "b", "--file", "c"];
    block_on(async {
        let (asking, mut link, _) = called_for(&alice, &node, &files).await;
        let about = About { limits: Limits { files: 2 }, ..About::this_program(false) };
        let welcome = Message::Welcome { name: Label::new("bob"), about: Some(about) };
        say(&mut link, &welcome).await.unwrap();
        let next = hear(&mut link, soon()).await;
        assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
        drop(link);
        asking.ends().fails(6, "cannot sign 3 files at once");
    });
}

/// Carol's program says nothing of itself, so it shows no payloads.
#[test]
fn no_owner_is_asked_before_the_programs_of_all_are_known() {
    let devices = [Device::new("alice"), Device::new("bob"), Device::new("carol")];
    let [alice, bob, carol] = &devices;
    introduce(&[alice, bob, carol]);
    let (mut to_bob, to_carol) = (bob.serve(&[alice, carol]), carol.serve(&[alice, bob]));
    let peer = |name: &str, address: &str| format!("{name}={address}");
    let bob_there = peer("bob", &to_bob.address());
    let keygen = ["keygen", "--key", "vault", "--threshold", "3", "--with", "bob,carol", "--peer"];
    let carol_there = peer("carol", &to_carol.address());
    alice.run([&keygen[..], &[&bob_there, "--peer", &carol_there]].concat()).succeeds();
    // Alice may be through before Bob has logged it.
    to_bob.event("key");
    let node = opened(carol);
    alice.write("notes", "notes");
    let early = Message::Welcome { name: Label::new("carol"), about: None };
    // The second time Bob has waited on the line for so long that he is called again.
    for pause in [Duration::ZERO, Duration::from_secs(6)] {
        block_on(async {
            let (port, address) = port().await;
            let there = ["--peer", &bob_there, "--peer", &peer("carol", &address)];
            let asking = alice.start([&["sign", "--message", "I agree"], &there[..]].concat());
            let mut link = greeted(&node, &port).await;
            tokio::time::sleep(pause).await;
            say(&mut link, &early).await.unwrap();
            assert_eq!(refusal(&mut link).await, Message::Refuse { reason: Reason::Aborted });
            asking.ends().fails(6, "carol's cosign 0.1.0 cannot show messages");
            assert_eq!(bob.outcomes(), ["stored"]);
        });
    }
    // A file is asked for by its digest then, and everybody is asked once.
    block_on(async {
        let (port, address) = port().await;
        let there = ["--peer", &bob_there, "--peer", &peer("carol", &address)];
        let asking = alice.start([&["sign", "--file", "notes"], &there[..]].concat());
        let mut link = greeted(&node, &port).await;
        say(&mut link, &early).await.unwrap();
        assert_eq!(refusal(&mut link).await, Message::Refuse { reason: Reason::Aborted });
        let mut link = greeted(&node, &port).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        say(&mut link, &early).await.unwrap();
        let Ok(Message::Propose(proposal)) = hear(&mut link, soon()).await else { panic!() };
        assert!(matches!(
            proposal.source,
            Source::File { attached: false, .. } | Source::Digest {}
        ));
        // Bob is called again and has said yes by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        say(&mut link, &Message::Refuse { reason: Reason::Denied }).await.unwrap();
        link.close().await;
        asking.ends().fails(3, "carol");
        to_bob.event("aborted");
    });
    assert_eq!(bob.outcomes().len(), 2);
}

#[test]
fn a_reason_that_is_not_known_is_shown_and_clean() {
    let (alice, bob, _listener) = two_with_key();
    let node = opened(&bob);
    for (reason, shown) in [
        (json!({"out_of_office": {"until": 7}}), "out_of_office"),
        (json!({"out_of_office": {}, "then": 1}), "out_of_office"),
        (json!("new-word"), "new-word"),
        (json!("New\u{1b}[2J Word\n"), "New-2J-Word"),
        (json!("x".repeat(5000)), &"x".repeat(32)),
    ] {
        block_on(async {
            let (asking, mut link, hello) = called(&alice, &node).await;
            assert!(matches!(hello, Message::Hello { .. }));
            say_any(&mut link, &json!({"refuse": {"reason": reason, "see": "x"}})).await;
            link.close().await;
            asking.ends().fails(6, &format!("bob refused: {shown}\""));
        });
    }
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
