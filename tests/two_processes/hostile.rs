//! Devices that lie, fall silent or send nonsense: the honest side notices, bans no device without
//! proof, and serves the next request.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use cosign::device::Label;
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::{Node, clock};
use cosign::net::tls::{self, Tls, TlsLink, TlsVersion};
use cosign::net::{Frame, Kind, Link, LinkError, MAX_FRAME, tcp};
use cosign::payload::{self, HashFunction};
use cosign::protocol::sign::SignSetup;
use cosign::report::Code;
use cosign::request::{Action, Agreed, Ceremony, Hex, MAX_EPOCHS, Question, Signing};
use cosign::wire::{Message, Proposal, Reason, Source, VERSION, Want, Word};
use k256::Scalar;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;

use crate::device::{Device, Listener, two, two_with_key};
use crate::insider::{
    accept_signing, ask, block_on, call, enter, hello, note_session, only_key, opened, port,
    proposal, soon, start, take_part, until_closed,
};
use crate::signing::fresh_digest;
use crate::terminal::APPROVE;

/// An honest signature: no device was banned, and the listener still serves.
#[track_caller]
fn still_signs(alice: &Device, listener: &Listener) {
    let to = listener.address();
    alice.run(["sign", &fresh_digest(), "--peer", &to, "--timeout", "60s"]).succeeds();
}

fn signing(asked: &mut Question) -> &mut Signing {
    let Action::Sign(signing) = &mut asked.request.action else { panic!() };
    signing
}

#[test]
fn a_requester_that_signs_something_else_than_it_asked_for_gets_nothing_and_no_ban() {
    let (alice, _bob, mut listener) = two_with_key();
    let insider = opened(&alice);
    type Lie = (fn(&mut Question), fn(&mut SignSetup));
    let lies: [Lie; 6] = [
        (|asked| asked.request.purpose = Label::new("invoice 8"), |_| ()),
        (|asked| signing(asked).digest = [8; 32], |_| ()),
        (
            |asked| {
                let (name, hash) = (Label::new("invoice"), HashFunction::Sha256);
                let attached = false;
                signing(asked).source = payload::Source::File { name, size: 1, hash, attached };
            },
            |_| (),
        ),
        (|_| (), |setup| setup.digest = [8; 32]),
        (|_| (), |setup| setup.tweak = Scalar::ONE),
        (|_| (), |setup| setup.recipient = None),
    ];
    for (see, alter) in lies {
        let failure = block_on(ask(&insider, &listener.address(), see, alter)).unwrap_err();
        assert_eq!(failure.kind(), Code::Aborted, "{failure:?}");
        let asked = |request: &serde_json::Value| request["ceremony"] == "sign";
        assert_eq!(listener.event_where("request", asked)["purpose"], "invoice 7");
        assert_eq!(listener.event("aborted")["code"], "aborted");
    }
    drop(insider);
    still_signs(&alice, &listener);
}

#[test]
fn devices_that_would_show_different_facts_stop_with_exit_6_and_no_ban() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let digest = fresh_digest();
    let (address, from_insider) = channel();
    let insider = opened(&bob);
    let dishonest = thread::spawn(move || {
        block_on(async {
            let (port, here) = port().await;
            address.send(here).unwrap();
            for lie in [true, false] {
                let see = |asked: &mut Question| {
                    if lie {
                        asked.request.purpose = Label::new("something else");
                    }
                };
                let (key, request, started) = accept_signing(&insider, &port, see).await;
                let alter = |setup: &mut SignSetup| {
                    if !lie {
                        setup.digest = [9; 32];
                    }
                };
                let result = take_part(&insider, key, &request, started, alter).await;
                assert_eq!(result.unwrap_err().kind(), Code::Aborted);
            }
        });
    });
    let here = from_insider.recv().unwrap();
    for _ in 0..2 {
        let sign = ["sign", &digest, "--purpose", "rent", "--peer", &here];
        alice.run(sign).fails(6, "bob");
    }
    dishonest.join().unwrap();
    still_signs(&alice, &bob.serve(&[&alice]));
}

/// The behaviour of Bob's device once all have agreed.
#[derive(Clone, Copy)]
enum Then {
    /// It says nothing more.
    Silence,
    /// It is gone.
    Gone,
}

/// Alice asks Bob's device, which agrees and then behaves as told; `meanwhile` is called when it
/// sits at the links. Gives what Alice's device came to, and the last word that Bob's heard.
fn unreliable(
    more: &[&str],
    then: Then,
    meanwhile: impl FnOnce(&crate::device::Running),
) -> (crate::device::Ended, Option<Reason>) {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (tell, told) = channel();
    let insider = opened(&bob);
    let other = thread::spawn(move || {
        block_on(async {
            let (port, here) = port().await;
            tell.send(here).unwrap();
            let (_key, _, mut started) = accept_signing(&insider, &port, |_| ()).await;
            // The first message of the protocol is here: Alice's device is in the middle of it.
            assert!(matches!(started.links.recv().await.1, Incoming::Protocol(_)));
            tell.send(String::new()).unwrap();
            if matches!(then, Then::Gone) {
                return None;
            }
            loop {
                match started.links.recv().await.1 {
                    Incoming::Control(Message::Refuse { reason }) => return Some(reason),
                    Incoming::Lost(_) => return None,
                    _ => {}
                }
            }
        })
    });
    let here = told.recv().unwrap();
    let digest = fresh_digest();
    let running = alice.start(["sign", &digest, "--peer", &here].iter().chain(more));
    told.recv().unwrap();
    meanwhile(&running);
    let ended = running.ends();
    (ended, other.join().unwrap())
}

#[test]
fn a_peer_that_falls_silent_in_a_round_is_exit_4_and_named() {
    let (ended, last) = unreliable(&["--timeout", "4s"], Then::Silence, |_| ());
    let ended = ended.fails(4, "bob");
    assert!(!ended.events("waiting").is_empty());
    assert_eq!(last, Some(Reason::Aborted), "the silent device is told that it is over");
}

#[test]
fn a_peer_that_is_gone_in_a_round_is_exit_4_and_named() {
    unreliable(&[], Then::Gone, |_| ()).0.fails(4, "bob");
}

#[test]
fn an_interrupted_device_says_so_in_the_middle_of_a_round() {
    let interrupt = |running: &crate::device::Running| running.signal(Signal::INT);
    let (ended, last) = unreliable(&[], Then::Silence, interrupt);
    ended.fails(130, "interrupted");
    assert_eq!(last, Some(Reason::Interrupted));
}

/// Frames that make no sense as the first word of a caller.
fn nonsense() -> Vec<Vec<Frame>> {
    let control = |text: &[u8]| Frame::new(Kind::Control, text.to_vec());
    let message = |message: Message| Frame::new(Kind::Control, message.to_bytes());
    let ceremony = || message(hello(VERSION, Want::Ceremony));
    vec![
        vec![],
        vec![control(b"")],
        vec![control(b"GET / HTTP/1.0")],
        vec![control(&b"[".repeat(60_000))],
        vec![control(&vec![b' '; MAX_FRAME])],
        vec![control(br#"{"hello":{"version":1,"name":"a","want":"everything"}}"#)],
        vec![control(br#"{"hello":{"version":1,"name":"a","want":"pair","extra":1}}"#)],
        vec![Frame::new(Kind::Protocol, vec![0; MAX_FRAME])],
        vec![Frame::new(Kind::Tunnel, vec![])],
        vec![Frame::new(Kind::Tunnel, vec![2, 0, 0])],
        vec![message(Message::Finished)],
        vec![message(hello(VERSION + 1, Want::Ceremony))],
        vec![ceremony()],
        vec![ceremony(), control(b"{}")],
        vec![ceremony(), message(start(vec![Hex([0; 32]); 500], &[]))],
        vec![ceremony(), message(Message::Pair { step: Hex([0; 32]) })],
        vec![ceremony(), Frame::new(Kind::Protocol, vec![1; 100])],
        vec![ceremony(), control(&vec![b'{'; MAX_FRAME])],
    ]
}

/// Sends all of these frames, as an unknown device and as `known`, and bytes that are not TLS.
async fn talk_nonsense(known: &Tls, address: &str) {
    let stranger = Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap();
    for bytes in [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0xff; 70_000], &[22, 3, 1, 0, 4, 1, 0, 0, 0]] {
        let mut io = tcp::dial(address, crate::device::PATIENCE).await.unwrap();
        // The other side may have hung up in the middle.
        let _ = io.write_all(bytes).await;
    }
    for tls in [&stranger, known] {
        for frames in nonsense() {
            let mut link = call(tls, address).await;
            for frame in frames {
                let _ = link.send(frame).await;
            }
            link.close().await;
        }
    }
}

#[test]
fn nonsense_from_anybody_does_not_disturb_a_listener() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    block_on(talk_nonsense(&insider.tls, &listener.address()));
    still_signs(&alice, &listener);
    drop(listener);

    // Nor a request that is on the screen.
    let listener = ["listen", "--bind", "127.0.0.1", "--port", "0"];
    let mut at_bob = bob.terminal(listener);
    let to = at_bob.address();
    let running = alice.start(["sign", &fresh_digest(), "--peer", &to]);
    let word = at_bob.word();
    block_on(async {
        let stranger = Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap();
        for frame in nonsense().into_iter().flatten().take(5) {
            let mut link = call(&stranger, &to).await;
            let _ = link.send(frame).await;
            until_closed(link).await;
        }
    });
    at_bob.types(&format!("{word}\n"));
    running.ends().succeeds();
}

/// Puts a request to sign `digest` before the person at the device at `address`, as soon as that is let in.
async fn put_before(insider: &Node, address: &str, digest: [u8; 32]) -> TlsLink {
    let record = only_key(insider);
    loop {
        let mut link = enter(&insider.tls, address).await;
        let proposal = Proposal { digest: Hex(digest), ..proposal(insider, &record) };
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        match hear(&mut link, clock::now() + Duration::from_millis(500)).await {
            Ok(Message::Refuse { reason: Reason::Busy { .. } }) => {
                tokio::time::sleep(Duration::from_millis(85)).await;
            }
            Err(LinkError::TimedOut) => return link,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_was_meant_for_a_withdrawn_request_never_approves_the_one_in_its_place() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = at_bob.address();
    let insider = opened(&alice);
    let mut harmful = [0x5a; 32];
    harmful[31] = 0;
    block_on(async {
        let harmless = put_before(&insider, &to, [0x5a; 32]).await;
        assert_eq!(at_bob.word(), "5a");
        at_bob.types("5");
        harmless.close().await;
        at_bob.shows("sign ended: ");
        let begun = clock::now();
        let mut in_its_place = put_before(&insider, &to, harmful).await;
        assert!(clock::now() - begun > Duration::from_secs(1), "a peer that withdrew waits");
        at_bob.shows("nothing was approved").types("a\n5a\n");
        for reflex in ["5a\n", "y\n", "\n"] {
            at_bob.shows("type ok and Enter to go on: ").types(reflex);
        }
        let page = at_bob.shows("type ok and Enter to go on: ").types("ok\n");
        page.shows("changed      digest (*)").shows("* digest       5a5a");
        assert_eq!(at_bob.word(), "5a5a");
        at_bob.types("5a\n").shows("nothing was approved").shows(APPROVE).types("n\n");
        let answer = hear(&mut in_its_place, soon()).await;
        assert!(matches!(answer, Ok(Message::Refuse { reason: Reason::Denied })), "{answer:?}");
        // By then it is in the log.
        at_bob.shows("sign ended: ");
    });
    assert_eq!(bob.outcomes().last().unwrap(), "denied");
}

#[test]
fn what_waited_for_the_screen_is_turned_away_by_the_no_to_the_request_ahead_of_it() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = at_bob.address();
    let insider = opened(&alice);
    block_on(async {
        let mut first = put_before(&insider, &to, [1; 32]).await;
        let answer = async {
            at_bob.shows(APPROVE);
            let record = only_key(&insider);
            let mut second = enter(&insider.tls, &to).await;
            let other = Proposal {
                kind: Ceremony::Keygen,
                key: "other".into(),
                public_key: Hex([0; 33]),
                epochs: Vec::new(),
                digest: Hex([0; 32]),
                recipient: 0,
                ..proposal(&insider, &record)
            };
            say(&mut second, &Message::Propose(Box::new(other))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let place = hear(&mut second, soon()).await;
            assert_eq!(place.ok(), Some(Message::Queued { before: 1 }));
            at_bob.types("n\n");
            hear(&mut second, soon()).await
        };
        let answer = answer.await;
        assert!(
            matches!(answer, Ok(Message::Refuse { reason: Reason::Busy { .. } })),
            "{answer:?}"
        );
        let denied = hear(&mut first, soon()).await;
        assert!(matches!(denied, Ok(Message::Refuse { reason: Reason::Denied })), "{denied:?}");
    });
    drop(bob);
}

#[test]
fn no_purpose_draws_a_row_of_its_own() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = at_bob.address();
    let insider = opened(&alice);
    block_on(async {
        let record = only_key(&insider);
        let mut link = enter(&insider.tls, &to).await;
        let blanks = " ".repeat(119 - 15 - 4);
        let purpose = Label::new(&format!("pay{blanks}  digest       0000 0000"));
        let proposal = Proposal { purpose, ..proposal(&insider, &record) };
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        let card = at_bob.shown_before(APPROVE);
        let labels: Vec<&str> = card.lines().filter(|l| l.contains("digest  ")).collect();
        assert_eq!(labels.len(), 1, "{card}");
        assert!(card.contains("\r\n               ␣"), "{card}");
        link.close().await;
    });
}

#[test]
fn callers_who_say_nothing_hold_nobody_up() {
    let (alice, _bob, listener) = two_with_key();
    block_on(async {
        let address = listener.address();
        let stranger = Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap();
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(tcp::dial(&address, crate::device::PATIENCE).await.unwrap());
        }
        let mut callers = Vec::new();
        for _ in 0..40 {
            let mut caller = call(&stranger, &address).await;
            say(&mut caller, &hello(VERSION, Want::Pair)).await.unwrap();
            callers.push(caller);
        }
        let to = ["--peer", &address, "--timeout", "7s"];
        let digest = fresh_digest();
        alice.run(["sign", &digest].iter().chain(&to)).succeeds();
        drop((silent, callers));
    });
}

/// Proposals that no honest device makes.
fn absurd(honest: &Proposal) -> Vec<Proposal> {
    let mut all = Vec::new();
    let mut with = |alter: &dyn Fn(&mut Proposal)| {
        let mut proposal = honest.clone();
        alter(&mut proposal);
        all.push(proposal);
    };
    let keygen = |p: &mut Proposal| {
        p.kind = Ceremony::Keygen;
        p.public_key = Hex([0; 33]);
        p.epochs.clear();
        p.key = "new".into();
    };
    with(&|p| p.parties.clear());
    with(&|p| p.parties = vec![Hex([1; 32]); 300]);
    with(&|p| p.parties.reverse());
    with(&|p| p.parties.push(Hex([0xff; 32])));
    with(&|p| p.signers.clear());
    with(&|p| p.signers = vec![0, 1]);
    with(&|p| p.signers = vec![1, 1]);
    with(&|p| p.signers = vec![2, 1]);
    with(&|p| p.signers = vec![1, 200]);
    with(&|p| p.signers = vec![1]);
    with(&|p| p.threshold = 0);
    with(&|p| p.threshold = 255);
    with(&|p| p.recipient = 9);
    with(&|p| p.public_key = Hex([3; 33]));
    with(&|p| p.public_key = Hex([0; 33]));
    with(&|p| p.epochs.clear());
    with(&|p| p.epochs = vec![p.epochs[0]; MAX_EPOCHS + 1]);
    with(&|p| p.request_id = "../../../etc/passwd".into());
    with(&|p| p.request_id.clear());
    with(&|p| p.path = vec![1 << 31]);
    with(&|p| p.path = vec![0; 17]);
    with(&|p| {
        p.source =
            Source::File { name: p.purpose.clone(), size: 0, hash: "md5".into(), attached: false }
    });
    with(&|p| {
        keygen(p);
        p.threshold = 1;
    });
    with(&|p| {
        keygen(p);
        p.key = "../vault".into();
    });
    with(&|p| {
        keygen(p);
        p.key = String::new();
    });
    with(&|p| {
        keygen(p);
        p.public_key = Hex([5; 33]);
    });
    with(&|p| {
        keygen(p);
        p.parties = vec![Hex([1; 32]), Hex([2; 32])];
    });
    with(&|p| {
        keygen(p);
        p.signers = vec![1];
    });
    all
}

#[test]
fn absurd_proposals_are_refused_one_by_one() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    let stranger = Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap();
    block_on(async {
        let address = listener.address();
        let honest = proposal(&insider, &record);
        for proposal in absurd(&honest) {
            let mut link = enter(&insider.tls, &address).await;
            say(&mut link, &Message::Propose(Box::new(proposal.clone()))).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert!(matches!(answer, Ok(Message::Refuse { .. })), "{answer:?} to {proposal:?}");
            until_closed(link).await;
        }
        // A proposal that is valid from Alice is refused from another device, without being read.
        let mut link = call(&stranger, &address).await;
        say(&mut link, &hello(VERSION, Want::Ceremony)).await.unwrap();
        let answer = hear(&mut link, soon()).await;
        assert_eq!(answer, Ok(Message::Refuse { reason: Reason::NotPaired }));
    });
    let keys = bob.run(["keys", "list"]).succeeds();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    still_signs(&alice, &listener);
}

#[test]
fn nonsense_in_the_middle_of_a_ceremony_ends_that_ceremony_alone() {
    let (alice, bob, mut listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    let protocol = |bytes: Vec<u8>| Frame::new(Kind::Protocol, bytes);
    let control = |message: Message| Frame::new(Kind::Control, message.to_bytes());
    let last_words = [
        protocol(vec![]),
        protocol(b"garbage".to_vec()),
        protocol(vec![0; MAX_FRAME]),
        Frame::new(Kind::Control, b"garbage".to_vec()),
        control(Message::Welcome { name: cosign::device::Label::new("alice"), about: None }),
        control(start(vec![], &[])),
        control(Message::Refuse { reason: Reason::Denied }),
    ];
    block_on(async {
        let address = listener.address();
        for (i, last) in last_words.into_iter().enumerate() {
            let mut link = enter(&insider.tls, &address).await;
            let mut proposal = proposal(&insider, &record);
            note_session(&insider, &record);
            if i % 2 == 1 {
                proposal.kind = Ceremony::Keygen;
                proposal.public_key = Hex([0; 33]);
                proposal.epochs = vec![];
                proposal.key = "new".into();
            }
            let mine = proposal.nonce;
            let epochs: Vec<_> = proposal.epochs.iter().map(|held| held.epoch).collect();
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let Ok(Message::Accept { nonce, .. }) = hear(&mut link, soon()).await else { panic!() };
            let nonces = if record.me.get() == 1 { vec![mine, nonce] } else { vec![nonce, mine] };
            say(&mut link, &start(nonces, &epochs)).await.unwrap();
            link.send(last).await.unwrap();
            until_closed(link).await;
        }
    });
    for _ in 0..7 {
        listener.event("aborted");
    }
    let keys = bob.run(["keys", "list"]).succeeds();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
    still_signs(&alice, &listener);
}

#[test]
fn a_start_that_leaves_somebody_out_starts_nothing() {
    let (alice, _bob, mut listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for nonces in [vec![], vec![Hex([1; 32]); 2], vec![Hex([1; 32]); 300]] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = proposal(&insider, &record);
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let accepted = hear(&mut link, soon()).await;
            assert!(matches!(accepted, Ok(Message::Accept { .. })));
            say(&mut link, &start(nonces, &[Hex(record.epoch)])).await.unwrap();
            until_closed(link).await;
            assert_eq!(listener.event("aborted")["code"], "aborted");
        }
    });
    still_signs(&alice, &listener);
}

#[test]
fn a_request_that_is_withdrawn_after_the_yes_uses_nothing_up() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy("[[rule]]\npeer = \"alice\"\nmax_count = 1\naction = \"allow\"\n");
    let mut listener = bob.listen(&["--policy", "policy.toml"]);
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for _ in 0..3 {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = proposal(&insider, &record);
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Accept { .. })));
            say(&mut link, &Message::Refuse { reason: Reason::Aborted }).await.unwrap();
            until_closed(link).await;
            listener.event("aborted");
        }
    });
    still_signs(&alice, &listener);
    let to = listener.address();
    let ended = alice.run(["sign", &fresh_digest(), "--with", "bob", "--peer", &to]);
    ended.fails(9, "bob");
}

/// Opened secrets are neither swapped nor dumped, and the process gains no privileges.
#[test]
fn an_opened_vault_is_locked_in_memory_and_its_process_gains_no_privileges() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let all = |field: &str, right: &dyn Fn(&str) -> bool| {
        let found = listener.statuses(field);
        assert!(!found.is_empty() && found.iter().all(|f| right(f)), "{field}: {found:?}");
    };
    all("VmLck", &|size| size != "0 kB");
    all("NoNewPrivs", &|set| set == "1");
    let limits = listener.limits();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth_back(1), Some("0"), "{cores}");
}

#[test]
fn a_height_that_no_device_has_is_not_remembered_of_it() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        let mut absurd = proposal(&insider, &record);
        absurd.epochs[0].height = u64::MAX;
        let mut link = enter(&insider.tls, &listener.address()).await;
        say(&mut link, &Message::Propose(Box::new(absurd))).await.unwrap();
        let reason = Reason::NotUnderstood { message: Word::new("propose") };
        assert_eq!(hear(&mut link, soon()).await, Ok(Message::Refuse { reason }));
        // The session may begin with a greater height than the proposal had.
        let honest = proposal(&insider, &record);
        let epochs: Vec<_> = honest.epochs.iter().map(|held| held.epoch).collect();
        let mine = honest.nonce;
        let mut link = enter(&insider.tls, &listener.address()).await;
        say(&mut link, &Message::Propose(Box::new(honest))).await.unwrap();
        let Ok(Message::Accept { nonce, .. }) = hear(&mut link, soon()).await else { panic!() };
        let in_order = if record.me.get() == 1 { vec![mine, nonce] } else { vec![nonce, mine] };
        let Message::Start(agreed) = start(in_order, &epochs) else { panic!() };
        let absurd = Message::Start(Agreed { height: u64::MAX, ..agreed });
        say(&mut link, &absurd).await.unwrap();
        until_closed(link).await;
    });
    drop(insider);
    for _ in 0..2 {
        alice.run(["sign", &fresh_digest()]).succeeds();
    }
    assert_eq!(bob.outcomes().iter().filter(|outcome| *outcome == "signed").count(), 2);
}
