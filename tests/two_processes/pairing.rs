//! Two people, two screens, six digits.

use cosign::driver::connect::hello::{hear, say};
use cosign::net::tls::{self, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Link, tcp};
use cosign::protocol::pair::{EXPORTER, Requester, Responder, Side};
use cosign::request::Hex;
use cosign::secret::Secret;
use cosign::vault::{Home, PeerRecord, Peers, attempts};
use cosign::wire::{Message, Want};
use serde_json::Value;

use crate::device::{Device, QUESTION, arg, introduce, pair, text};
use crate::insider::{block_on, opened, soon};
use crate::signing::fresh_digest;
use crate::terminal::Terminal;

/// Bob's device listens in a terminal and takes what comes.
fn listening(bob: &Device, more: &[&str]) -> (Terminal, String) {
    let place = ["listen", "--bind", "127.0.0.1", "--port", "0"];
    let mut screen = bob.terminal(place.iter().chain(more));
    let address = screen.address();
    (screen, address)
}

/// Alice and Bob, before anybody has said anything about the codes that they see.
fn comparing(alice: &Device, bob: &Device) -> (Terminal, Terminal) {
    let (mut at_bob, address) = listening(bob, &["--once"]);
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    assert_eq!(at_alice.code(), at_bob.code());
    at_alice.shows(QUESTION);
    at_bob.shows(QUESTION);
    (at_alice, at_bob)
}

const PAGE: &str = "type ok and Enter to go on: ";

fn strangers() -> (Device, Device) {
    (Device::new("alice"), Device::new("bob"))
}

/// No record on either device, and both logs say that it failed.
#[track_caller]
fn nothing_stored(devices: [&Device; 2]) {
    for device in devices {
        assert!(device.peers().is_empty(), "{} stored a record", device.name);
        assert!(!device.outcomes().contains(&"paired".to_owned()));
    }
}

#[test]
fn both_screens_show_one_code_and_two_yeses_make_a_pair() {
    let (alice, bob) = strangers();
    let (mut at_alice, mut at_bob) = comparing(&alice, &bob);
    at_alice.types("y\n").shows("waiting for bob");
    assert!(alice.peers().is_empty() && bob.peers().is_empty(), "one yes is not enough");
    at_bob.types("y\n");
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
    assert_eq!((alice.peers(), bob.peers()), (vec!["bob".to_owned()], vec!["alice".to_owned()]));
    for device in [&alice, &bob] {
        let listed = device.run(["peers", "list"]).succeeds();
        assert!(listed["peers"][0]["expires"].is_string(), "kept without --remember: {listed}");
        assert_eq!(device.outcomes(), ["paired"]);
    }
    // The pairing is good for a key at once, in either direction.
    let listener = alice.serve(&[&bob]);
    bob.run(["keygen", "--peer", &listener.address()]).succeeds();
}

#[test]
fn a_pairing_that_is_remembered_does_not_end() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &["--once"]);
    let mut at_alice = alice.terminal(["pair", "--peer", &address, "--remember"]);
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows("until it is forgotten, on both devices");
        screen.shows(QUESTION).types("yes\n");
    }
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
    for device in [&alice, &bob] {
        let listed = device.run(["peers", "list"]).succeeds();
        assert!(listed["peers"][0]["expires"].is_null(), "{}: {listed}", device.name);
    }
}

/// Two people have compared.
fn paired() -> (Device, Device) {
    let (alice, bob) = strangers();
    pair(&alice, &bob);
    (alice, bob)
}

#[test]
fn a_device_that_is_renamed_is_called_so_everywhere_at_the_next_contact() {
    let (alice, bob) = paired();
    let listener = bob.serve(&[&alice]);
    alice.run(["keygen", "--key", "vault", "--peer", &listener.address()]).succeeds();
    drop(listener);
    bob.run(["rename", "rob ert"]).succeeds();
    alice.run(["rename", "ann"]).succeeds();
    // Rules mean a device by the name that two people compared, and by no other.
    let mut listener = bob.serve(&[&alice]);
    let digest = fresh_digest();
    let to = format!("bob={}", listener.address());
    let sign =
        |with: &str| alice.run(["sign", &digest, "--key", "vault", "--with", with, "--peer", &to]);
    let signed = sign("bob").succeeds();
    assert_eq!(listener.event("signed")["digest"], digest);
    drop(listener);
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| text(&one["name"])).collect()
    };
    assert_eq!(signed["delivered_to"][0], "ann");
    assert_eq!((alice.peers(), bob.peers()), (vec!["rob ert".into()], vec!["ann".into()]));
    let listed = alice.run(["peers", "list"]).succeeds();
    assert_eq!(listed["peers"][0]["paired_as"], "bob");
    for device in [&alice, &bob] {
        let key = device.run(["keys", "show", "vault"]).succeeds();
        let mut parties = names(&key["parties"]);
        parties.sort();
        assert_eq!(parties, ["ann", "rob ert"]);
    }
    bob.policy("[[rule]]\npeer = \"ann\"\naction = \"allow\"\n");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    let sign = ["sign", &fresh_digest(), "--key", "vault", "--peer", &to];
    alice.run(sign).fails(9, "rob ert");
    drop(listener);

    // What the owner here says comes before what the other device says.
    bob.run(["peers", "rename", "ann", "her laptop"]).succeeds();
    let rules = bob.policy("[[rule]]\npeer = \"her laptop\"\naction = \"allow\"\n");
    alice.run(["rename", "alice"]).succeeds();
    let listener = bob.listen(&["--policy", arg(&rules)]);
    let to = listener.address();
    alice.run(["sign", &fresh_digest(), "--key", "vault", "--peer", &to]).succeeds();
    assert_eq!(bob.peers(), ["her laptop"]);
}

#[test]
fn two_people_get_from_nothing_to_a_key_by_one_command_and_one_passphrase_each() {
    const PASSPHRASE: &str = "correct horse battery staple";
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let names = [format!("alice-{tag}"), format!("bob-{tag}")];
    let devices = [Device::blank("alice"), Device::blank("bob")];
    let mut screens: Vec<Terminal> = devices
        .iter()
        .zip(names.iter().rev())
        .map(|(device, other)| {
            let mut command = device.command(["setup", other, "--interface", "lo"]);
            Terminal::start(command.env_remove("COSIGN_IDENTITY"))
        })
        .collect();
    for (screen, name) in screens.iter_mut().zip(&names) {
        screen.shows("as others will see it [").types(&format!("{name}\n"));
        screen.shows("which protection? [").types("a passphrase\n");
        screen.shows("new passphrase").types(&format!("{PASSPHRASE}\n"));
        screen.shows("the same again: ").types(&format!("{PASSPHRASE}\n"));
        screen.shows("keep the passphrase").shows("now a second device");
    }
    let codes: Vec<String> = screens.iter_mut().map(Terminal::code).collect();
    assert_eq!(codes[0], codes[1]);
    for screen in &mut screens {
        screen.shows(QUESTION).types("y\n");
    }
    for screen in &mut screens {
        screen.shows("of three, any two can sign").shows("third device now? [y/N] ").types("n\n");
    }
    let [at_alice, at_bob] = screens.as_mut_slice() else { panic!() };
    at_bob.shows("make it here? [y/N] ").types("n\n").shows("listening as");
    at_alice.shows("make it here? [y/N] ").types("y\n");
    at_bob.approves();
    for (screen, device) in screens.into_iter().zip(&devices) {
        let (code, said) = screen.ends();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("next: cosign sign --key default"), "{said}");
        assert!(!said.contains("passphrase: "), "it is asked for again: {said}");
        device.write("passphrase.txt", PASSPHRASE);
        assert_eq!(device.run(["keys", "list"]).succeeds()["keys"][0]["name"], "default");
    }
}

#[test]
fn one_no_is_enough_and_enter_is_a_no() {
    let (alice, bob) = strangers();
    for (answer, alice_says_it) in [("n\n", true), ("n\n", false), ("\n", true), ("\n", false)] {
        let (mut at_alice, mut at_bob) = comparing(&alice, &bob);
        let (denier, other) =
            if alice_says_it { (&mut at_alice, &mut at_bob) } else { (&mut at_bob, &mut at_alice) };
        other.types("y\n").shows("waiting for");
        denier.types(answer);
        let (there, said) = at_alice.ends();
        assert_eq!((there, at_bob.ends().0), (Some(3), Some(3)), "{said}");
        assert!(said.contains("nothing was stored"), "{said}");
        nothing_stored([&alice, &bob]);
        for device in [&alice, &bob] {
            device.run(["pair", "--reset-attempts"]).succeeds();
        }
    }
}

#[test]
fn after_one_side_is_killed_both_can_pair_again_at_once() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &[]);
    for bob_says_yes in [false, true] {
        let mut at_alice = alice.terminal(["pair", "--peer", &address]);
        at_alice.shows(QUESTION);
        if bob_says_yes {
            // The first code went away unanswered.
            at_bob.shows(PAGE).types("ok\n");
        }
        at_bob.shows(QUESTION);
        if bob_says_yes {
            at_bob.types("y\n").shows("waiting for alice");
        }
        at_alice.kill();
        at_bob.shows("pair ended: ");
        nothing_stored([&alice, &bob]);
    }
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    assert_eq!(at_alice.ends().0, Some(0));
    at_bob.shows("paired with \"alice\"");
    assert_eq!(bob.peers(), ["alice"]);
}

#[test]
fn nobody_answering_ends_it() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &[]);
    let at_alice = alice.terminal(["pair", "--peer", &address, "--timeout", "2s"]);
    at_bob.shows(QUESTION);
    let (code, said) = at_alice.ends();
    assert_eq!(code, Some(4), "{said}");
    at_bob.shows("pair ended: ");
    nothing_stored([&alice, &bob]);
}

#[test]
fn two_devices_that_call_each_other_pair_once() {
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let (alice, bob) = (Device::new(&format!("alice-{tag}")), Device::new(&format!("bob-{tag}")));
    let pair = |device: &Device, peer: &Device| {
        device.terminal(["pair", &peer.name, "--interface", "lo", "--timeout", "90s"])
    };
    let (mut at_alice, mut at_bob) = (pair(&alice, &bob), pair(&bob, &alice));
    assert_eq!(at_alice.code(), at_bob.code());
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    let ended = [at_alice.ends(), at_bob.ends()];
    assert!(ended.iter().all(|(code, _)| *code == Some(0)), "{ended:?}");
    assert_eq!((alice.peers(), bob.peers()), (vec![bob.name.clone()], vec![alice.name.clone()]));
}

#[test]
fn while_a_code_is_on_the_screen_others_are_told_busy() {
    let (alice, bob) = strangers();
    let carol = Device::new("carol");
    let (mut at_bob, address) = listening(&bob, &["--once"]);
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    let code = at_bob.shows("pairing with \"alice\"").code();
    at_bob.shows(QUESTION);

    let (exit, said) = carol.terminal(["pair", "--peer", &address, "--timeout", "2s"]).ends();
    assert_eq!(exit, Some(4), "{said}");
    assert!(said.contains("busy"), "{said}");

    // What is on the screen is still Alice's code, and the yes is for her.
    assert_eq!(at_alice.code(), code);
    at_bob.types("y\n");
    at_alice.shows(QUESTION).types("y\n");
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
    assert_eq!(bob.peers(), ["alice"]);
    assert!(carol.peers().is_empty());
}

/// One pairing that Alice calls off; `again`: so she did with the one before.
fn fails_once(alice: &Device, at_bob: &mut Terminal, address: &str, again: bool) {
    let mut at_alice = alice.terminal(["pair", "--peer", address]);
    if again {
        at_bob.shows(PAGE).types("ok\n");
    }
    at_bob.shows(QUESTION);
    at_alice.shows(QUESTION).types("n\n");
    assert_eq!(at_alice.ends().0, Some(3));
    at_bob.shows("pair ended: ");
}

#[test]
fn three_failures_lock_their_source_until_the_owner_resets_it() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &[]);
    let pair = ["pair", "--peer", &address];
    for n in 0..3 {
        fails_once(&alice, &mut at_bob, &address, n > 0);
    }
    // Both devices count for themselves, and restarts change nothing.
    let (code, said) = alice.terminal(pair).ends();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("3 pairings in a row with 127.0.0.1 have failed"), "{said}");
    alice.run(["pair", "--reset-attempts"]).succeeds();
    let (code, said) = alice.terminal(pair).ends();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("takes no more pairings"), "{said}");
    at_bob.shows("3 pairings in a row have failed");
    bob.run(["pair", "--reset-attempts"]).succeeds();
    let mut at_alice = alice.terminal(pair);
    at_bob.shows(PAGE).types("ok\n");
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    assert_eq!(at_alice.ends().0, Some(0));
}

#[test]
fn after_five_failures_the_owner_is_asked_before_the_next() {
    let (alice, bob) = strangers();
    let node = opened(&alice);
    for source in 0..5 {
        attempts::charge(&node.home, &format!("192.0.2.{source}")).unwrap();
    }
    let doctor = alice.run(["doctor"]);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("5 pairings in a row have failed"), "{said}");
    assert!(said.contains("cosign pair --reset-attempts"), "{said}");
    let (mut at_bob, address) = listening(&bob, &[]);
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    at_alice.shows("5 pairings in a row have failed").shows("[y/N] ").types("n\n");
    assert_eq!(at_alice.ends().0, Some(5));
    assert_eq!(attempts::charged(&node.home).unwrap().charged, 5);
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    at_alice.shows("5 pairings in a row have failed").shows("[y/N] ").types("y\n");
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    assert_eq!(at_alice.ends().0, Some(0));
    assert_eq!(attempts::charged(&node.home).unwrap().charged, 0);
}

#[test]
fn a_policy_pairs_with_nobody() {
    let (alice, bob) = strangers();
    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let mut listener = bob.listen(&["--policy", "policy.toml", "--once"]);
    // More often than the limit of attempts: none is charged if no person can compare.
    for _ in 0..6 {
        let (code, said) = alice.terminal(["pair", "--peer", &listener.address()]).ends();
        assert_eq!(code, Some(11), "{said}");
        assert!(said.contains("peers add"), "{said}");
    }
    for device in [&alice, &bob] {
        assert_eq!(attempts::charged(&Home::at(device.home())).unwrap().charged, 0);
        assert!(device.outcomes().iter().all(|outcome| outcome == "interaction"));
    }
    assert!(bob.outcomes().is_empty());
    assert!(!listener.is_over(), "a stranger ended the wait");
    nothing_stored([&alice, &bob]);
}

#[test]
fn a_device_does_not_pair_with_itself() {
    let alice = Device::new("alice");
    let (_screen, address) = listening(&alice, &[]);
    let (code, said) = alice.terminal(["pair", "--peer", &address]).ends();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("itself"), "{said}");
    assert!(alice.peers().is_empty());
}

#[test]
fn a_known_name_on_another_device_is_pointed_out() {
    let (alice, bob) = strangers();
    introduce(&[&alice, &bob]);
    let impostor = Device::new("bob");
    let (mut there, address) = listening(&impostor, &["--once"]);
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    at_alice.shows("warning").shows("another device is known here as \"bob\"");
    at_alice.shows(QUESTION).types("y\n");
    there.shows(QUESTION).types("y\n");
    assert_eq!((at_alice.ends().0, there.ends().0), (Some(0), Some(0)));
    let peers = alice.run(["peers", "list"]).succeeds();
    let named = |name: &str| {
        let all = peers["peers"].as_array().unwrap().iter();
        all.filter(|peer| peer["name"] == name)
            .map(|peer| text(&peer["fingerprint"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(named("bob"), [bob.fingerprint()]);
    let id = impostor.fingerprint();
    assert_eq!(named(&format!("bob-{}", &id[..8])), [id]);
}

#[test]
fn a_pairing_that_is_over_makes_no_key_on_either_side() {
    let (alice, bob) = crate::device::two();
    let listener = bob.serve(&[&alice]);
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &listener.address()];
    expire(&bob);
    let ended = alice.run(keygen).fails(5, "pair");
    assert!(ended.events("round").is_empty());
    expire(&alice);
    alice.run(keygen).fails(5, "cosign pair bob");
    assert!(alice.run(["keys", "list"]).succeeds()["keys"].as_array().unwrap().is_empty());
}

/// Lets every pairing of `device` have ended in 1970.
fn expire(device: &Device) {
    let node = opened(device);
    let peers: Vec<PeerRecord> = node.peers().unwrap().iter().cloned().collect();
    for peer in peers {
        Peers::forget(&node.home, &peer.name).unwrap();
        Peers::add(&node.home, &PeerRecord { expires: Some(1), ..peer }).unwrap();
    }
}

/// What somebody between Alice and Bob sees: the code of either side.
struct Between {
    alice: String,
    bob: String,
}

/// Ends both TLS connections, is a party of its own to either, and says yes to both at once.
async fn between(port: tcp::Listener, bob: &str) -> (Between, TlsLink, TlsLink) {
    let mallory = tls::Device::generate().unwrap();
    let own = Tls::new(&mallory, TlsVersion::Any).unwrap();
    let (mut left, mut right, hello, welcome) = ends(&own, port, bob).await;
    let Message::Hello { name: alice_name, .. } = hello else { panic!() };
    let Message::Welcome { name: bob_name, .. } = welcome else { panic!() };
    let me = |name| Side { fingerprint: mallory.fingerprint, name };
    let nonce = || Secret::new(rand::random::<[u8; 32]>());

    // To Alice, who calls, it is Bob.
    let alice = Side { fingerprint: left.peer(), name: alice_name.as_str().as_bytes() };
    let bob_claimed = me(bob_name.as_str().as_bytes());
    let commitment = step(&mut left).await;
    let exporter = left.exporter(EXPORTER).unwrap();
    let (responder, answer) =
        Responder::start(&exporter, bob_claimed, alice, nonce(), commitment).unwrap();
    send(&mut left, answer).await;
    let opening = step(&mut left).await;
    let with_alice = responder.open(&opening).unwrap();

    // To Bob, who is called, it is Alice.
    let bob = Side { fingerprint: right.peer(), name: bob_name.as_str().as_bytes() };
    let alice_claimed = me(alice_name.as_str().as_bytes());
    let exporter = right.exporter(EXPORTER).unwrap();
    let (requester, commitment) = Requester::start(&exporter, alice_claimed, bob, nonce()).unwrap();
    send(&mut right, commitment).await;
    let answer = step(&mut right).await;
    let (with_bob, opening) = requester.reveal(&answer);
    send(&mut right, opening).await;

    let codes = Between { alice: with_alice.code().to_string(), bob: with_bob.code().to_string() };
    send(&mut left, with_alice.confirm().1).await;
    send(&mut right, with_bob.confirm().1).await;
    (codes, left, right)
}

/// The link to Alice and the one to Bob, and how they greeted.
async fn ends(own: &Tls, port: tcp::Listener, bob: &str) -> (TlsLink, TlsLink, Message, Message) {
    let (io, _) = port.accept().await;
    let mut left = own.accept(io, Expect::Anyone).await.unwrap();
    let hello = hear(&mut left, soon()).await.unwrap();
    assert!(matches!(hello, Message::Hello { want: Want::Pair, .. }));
    let io = tcp::dial(bob, crate::device::PATIENCE).await.unwrap();
    let mut right = own.connect(io, Expect::Anyone).await.unwrap();
    say(&mut right, &hello).await.unwrap();
    let welcome = hear(&mut right, soon()).await.unwrap();
    say(&mut left, &welcome).await.unwrap();
    (left, right, hello, welcome)
}

async fn step(link: &mut TlsLink) -> [u8; 32] {
    match hear(link, soon()).await.unwrap() {
        Message::Pair { step } => step.0,
        other => panic!("{other:?}"),
    }
}

async fn send(link: &mut TlsLink, step: [u8; 32]) {
    say(link, &Message::Pair { step: Hex(step) }).await.unwrap();
}

#[test]
fn somebody_in_between_makes_the_codes_differ() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &["--once"]);
    block_on(async {
        let port = tcp::Listener::bind("127.0.0.1".parse().ok(), 0).await.unwrap();
        let here = port.address().unwrap().to_string();
        let mut at_alice = alice.terminal(["pair", "--peer", &here]);
        let (codes, left, right) = between(port, &address).await;
        let (seen_by_alice, seen_by_bob) = (at_alice.code(), at_bob.code());
        assert_eq!((&seen_by_alice, &seen_by_bob), (&codes.alice, &codes.bob));
        assert_ne!(seen_by_alice, seen_by_bob);
        at_alice.shows(QUESTION).types("n\n");
        at_bob.shows(QUESTION).types("n\n");
        assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(3), Some(3)));
        drop((left, right));
    });
    nothing_stored([&alice, &bob]);
}

#[test]
fn an_exchange_passed_on_from_another_connection_shows_no_code_at_all() {
    let (alice, bob) = strangers();
    let (mut at_bob, address) = listening(&bob, &["--once"]);
    block_on(async {
        let port = tcp::Listener::bind("127.0.0.1".parse().ok(), 0).await.unwrap();
        let here = port.address().unwrap().to_string();
        let mut at_alice = alice.terminal(["pair", "--peer", &here]);
        let own = Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap();
        let (mut left, mut right, ..) = ends(&own, port, &address).await;
        let commitment = step(&mut left).await;
        send(&mut right, commitment).await;
        let answer = step(&mut right).await;
        send(&mut left, answer).await;
        let opening = step(&mut left).await;
        send(&mut right, opening).await;
        // Bob's device notices by itself; Alice's has shown her code, which no other screen shows.
        let before = at_bob.shown_before("did not keep to its commitment");
        assert!(!before.contains("code  "), "{before}");
        at_alice.shows(QUESTION).types("n\n");
        assert_eq!(at_alice.ends().0, Some(3));
        left.close().await;
    });
    nothing_stored([&alice, &bob]);
}
