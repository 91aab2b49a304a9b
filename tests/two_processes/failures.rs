//! Failures: on which side they show, and with which exit code.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::device::{
    Device, Listener, Running, arg, ending_signals, introduce, text, two, two_with_key,
};
use crate::openssl;
use crate::signing::fresh_digest;
use crate::terminal::{APPROVE, Terminal};

/// A key that is not on any device, a digest and its invalid signature (r = s = 1).
const STRANGE_KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const NO_SIGNATURE: &str = "3006020101020101";

/// Bob's device listens in a terminal, and Bob decides.
fn attended(bob: &Device, more: &[&str]) -> (Terminal, String) {
    let place = ["listen", "--bind", "127.0.0.1", "--port", "0"];
    let mut screen = bob.terminal(place.iter().chain(more));
    let address = screen.address();
    (screen, address)
}

/// The prompt for `ok` after a request that ended without an answer.
const GO_ON: &str = "type ok and Enter to go on: ";

fn two_with_person(more: &[&str]) -> (Device, Device, Terminal, String) {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (screen, address) = attended(&bob, more);
    (alice, bob, screen, address)
}

#[test]
fn an_invalid_signature_or_log_is_exit_1() {
    let (alice, _bob, _listener) = two_with_key();
    let digest = fresh_digest();
    alice.run(["verify", &digest, NO_SIGNATURE, "--key", "vault"]).fails(1, "vault");
    alice.run(["verify", &digest, NO_SIGNATURE, "--public-key", STRANGE_KEY]).fails(1, "signature");
    let log = alice.files().into_iter().find(|(path, _)| path.ends_with("log.jsonl"));
    let (path, content) = log.unwrap();
    let forged = String::from_utf8(content).unwrap().replace("\"vault\"", "\"other\"");
    std::fs::write(path, forged).unwrap();
    alice.run(["log", "--verify"]).fails(1, "line");
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let alice = Device::new("alice");
    alice.run(["sign", "--frobnicate"]).fails(2, "--frobnicate");
    alice.run(["sign", "abc"]).fails(2, "abc");
    alice.run(["keygen", "--threshold", "17"]).fails(2, "--threshold");
    alice.run(["sign", &fresh_digest(), "--request-id", "../x"]).fails(2, "--request-id");
    let (bob, carol) = (Device::new("bob"), Device::new("carol"));
    introduce(&[&alice, &bob, &carol]);
    alice.run(["keygen", "--key", "vault"]).fails(2, "bob, carol");
}

#[test]
fn the_approver_sees_every_fact_and_their_no_is_exit_3_on_both_sides() {
    let (alice, bob, mut at_bob, to) = two_with_person(&["--once"]);
    let key = text(&alice.run(["keys", "show", "vault"]).succeeds()["public_key"]);
    let digest = fresh_digest();
    // Alice's program sends nothing else; what an altered one sends is cleaned when it is read.
    let hostile = "pay \x1b[2J\x1b]0;x\x07 the \u{202e}invoice\u{200b}\n";
    alice.run(["sign", &digest, "--peer", &to, "--purpose", hostile]).fails(2, "--purpose");
    let purpose = "pay [2J]0;x the invoice";
    let sign = ["sign", &digest, "--peer", &to, "--deliver-to", "both", "--purpose", purpose];
    let running = alice.start(sign);
    at_bob.shows("request to sign").shows("key          \"vault\", 2 of 2").shows(&key);
    let groups: Vec<&str> = (0..16).map(|i| &digest[4 * i..4 * i + 4]).collect();
    at_bob.shows(&groups[..8].join(" ")).shows(&groups[8..].join(" "));
    at_bob.shows("by the requester; this device cannot see what it is of");
    at_bob.shows("purpose      \"pay [2J]0;x the invoice\"");
    at_bob.shows("requester    \"alice\"").shows("fingerprint");
    let receivers = at_bob.shows("receives it").shown_before("time left");
    assert!(receivers.contains("\"alice\"") && receivers.contains("\"bob\""), "{receivers}");
    // Neither Enter nor a letter by habit decides anything.
    for habit in ["\n", "y\n", "a\n"] {
        at_bob.shows(APPROVE).types(habit);
    }
    at_bob.shows(APPROVE).types("n\n");
    running.ends().fails(3, "bob");
    let raw = String::from_utf8_lossy(&at_bob.raw).replace("\x1b[1m", "").replace("\x1b[0m", "");
    assert!(!raw.contains(['\x1b', '\x07', '\u{202e}', '\u{200b}']), "{raw:?}");
    assert_eq!(at_bob.ends().0, Some(3));
    for device in [&alice, &bob] {
        assert_eq!(device.outcomes().last().unwrap(), "denied");
    }
}

#[test]
fn one_approval_is_one_signature() {
    let (alice, _bob, mut at_bob, to) = two_with_person(&[]);
    let sign = |digest: &str| alice.start(["sign", digest, "--key", "vault", "--peer", &to]);
    let first = sign(&fresh_digest());
    at_bob.approves();
    first.ends().succeeds();
    // An answer that was typed before the question is none.
    let digest = fresh_digest();
    at_bob.types(&format!("{}\n", &digest[..2]));
    let second = sign(&digest);
    at_bob.shows(APPROVE).types("n\n");
    second.ends().fails(3, "bob");
}

#[test]
fn a_requester_is_told_whose_approval_it_waits_for_and_a_queued_one_asks_for_what_time_is_left() {
    let (alice, _bob, mut at_bob, to) = two_with_person(&[]);
    let digest = fresh_digest();
    let mut first = alice.start(["sign", &digest, "--peer", &to, "--timeout", "60s"]);
    let waiting = first.event_where("waiting", |event| event["what"] == "approval");
    assert_eq!(waiting["for"], serde_json::json!(["bob"]));
    assert!((1..=60).contains(&waiting["seconds"].as_u64().unwrap()), "{waiting}");
    let word = at_bob.word();
    let keygen = ["keygen", "--key", "other", "--with", "bob", "--peer", &to, "--timeout", "60s"];
    let mut second = alice.start(keygen);
    // Its time runs, and Bob has something else on his screen.
    assert_eq!(second.event("waiting")["what"], "connection");
    assert_eq!(second.event("waiting")["what"], "approval");
    std::thread::sleep(std::time::Duration::from_secs(3));
    at_bob.types(&format!("{word}\n"));
    first.ends().succeeds();
    at_bob.shows("request to make a key").shows("time left    ");
    let left = at_bob.shown_before(" s\r\n");
    let left: u64 = left.trim().parse().unwrap();
    assert!(left <= 57, "{left}");
    at_bob.shows(APPROVE).types("n\n");
    second.ends().fails(3, "bob");
}

#[test]
fn a_muted_peer_is_turned_away_and_logged_once() {
    let (alice, bob, mut at_bob, to) = two_with_person(&[]);
    let running = alice.start(["sign", &fresh_digest(), "--peer", &to]);
    at_bob.shows(APPROVE).types("m\n").shows("\"alice\" is muted");
    running.ends().fails(3, "bob");
    std::thread::sleep(std::time::Duration::from_secs(3));
    for _ in 0..2 {
        let asked = alice.run(["sign", &fresh_digest(), "--peer", &to]);
        asked.fails(3, "takes no requests of this device for now");
    }
    at_bob.shows("\"alice\" asks (sign)").shows("you muted it");
    let (code, said) = alice.terminal(["pair", "--peer", &to]).ends();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("takes no requests of this device for now"), "{said}");
    assert_eq!(bob.outcomes()[1..], ["denied", "declining"]);
}

#[test]
fn whoever_asks_sees_what_the_others_approve() {
    let (alice, _bob, mut at_bob, to) = two_with_person(&[]);
    let digest = fresh_digest();
    let mut asking = alice.start(["sign", &digest, "--peer", &to]);
    let grouped = format!("{} {}", &digest[..4], &digest[4..8]);
    asking.event_where("note", |event| event["message"].as_str().unwrap().contains(&grouped));
    at_bob.approves();
    asking.ends().succeeds();
    let mut making = alice.start(["keygen", "--key", "other", "--with", "bob", "--peer", &to]);
    let said = making.event("note")["message"].as_str().unwrap().to_owned();
    let hash = at_bob.shows("  hash         ").shown_before("\r\n");
    assert!(said.contains(&hash), "{said:?} has not {hash:?}");
    at_bob.approves();
    making.ends().succeeds();
}

#[test]
fn the_log_and_the_screen_say_whether_a_rule_or_a_person_decided() {
    let (alice, bob, mut at_bob, to) = two_with_person(&[]);
    let asking = alice.start(["sign", &fresh_digest(), "--peer", &to]);
    at_bob.approves();
    asking.ends().succeeds();
    // Told after it is logged.
    at_bob.shows("signed ");
    drop(at_bob);
    let rules = "[[rule]]\npeer = \"alice\"\npurpose = \"no\"\naction = \"deny\"\n\n\
                 [[rule]]\npeer = \"alice\"\naction = \"allow\"\n";
    bob.policy(rules);
    let mut listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    alice.run(["sign", &fresh_digest(), "--peer", &to]).succeeds();
    let decided = listener.event("decided");
    assert_eq!((&decided["by"], &decided["allowed"]), (&"rule 2".into(), &true.into()));
    assert_eq!(decided["peer"], "alice");
    let signed = listener.event("signed");
    assert_eq!(signed["request_id"], decided["request_id"]);
    alice.run(["sign", &fresh_digest(), "--purpose", "no", "--peer", &to]).fails(9, "bob");
    // Told after it is logged.
    listener.event("aborted");
    drop(listener);
    bob.policy("");
    let mut listener = bob.listen(&["--policy", "policy.toml"]);
    alice.run(["sign", &fresh_digest(), "--peer", &listener.address()]).fails(9, "bob");
    listener.event("aborted");
    drop(listener);
    let log = bob.run(["log"]).succeeds()["entries"].take();
    let by: Vec<_> = log.as_array().unwrap().iter().skip(1).map(|entry| &entry["by"]).collect();
    assert_eq!(by, ["a person", "rule 2", "rule 1", "no rule"]);
    // The requester's owner is asked nothing.
    let log = alice.run(["log"]).succeeds()["entries"].take();
    assert!(log.as_array().unwrap().iter().all(|entry| entry["by"].is_null()), "{log}");
}

/// Waits until exactly these answers are awaited.
fn awaits(asking: &mut Running, names: &[&str]) {
    asking.event_where("waiting", |event| {
        let mut peers: Vec<String> =
            event["for"].as_array().into_iter().flatten().map(text).collect();
        peers.sort();
        event["what"] == "approval" && peers == names
    });
}

#[test]
fn who_left_is_named_and_not_the_one_who_asked() {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    introduce(&[&alice, &bob, &carol]);
    let (mut at_bob, bob_at) = attended(&bob, &[]);
    let (mut at_carol, carol_at) = attended(&carol, &[]);
    let (to_bob, to_carol) = (format!("bob={bob_at}"), format!("carol={carol_at}"));
    let keygen = ["keygen", "--key", "team", "--with", "bob", "carol"];
    let keygen = keygen.into_iter().chain(["--peer", &to_bob, "--peer", &to_carol]);
    let mut asking = alice.start(keygen.clone());
    // Before Bob answers, and after Carol's yes has arrived.
    awaits(&mut asking, &["bob", "carol"]);
    at_carol.approves();
    awaits(&mut asking, &["bob"]);
    at_bob.shows(APPROVE).interrupts();
    asking.ends().fails(3, "bob was interrupted by its owner");
    at_carol.shows("alice ended the request: bob takes no part in it");
    assert_eq!(at_bob.ends().0, Some(130));

    // After Bob has said yes, and before Carol has.
    let (mut at_bob, bob_at) = attended(&bob, &[]);
    let to_bob = format!("bob={bob_at}");
    let keygen = ["keygen", "--key", "team", "--with", "bob", "carol"];
    let keygen = keygen.into_iter().chain(["--peer", &to_bob, "--peer", &to_carol]);
    let mut asking = alice.start(keygen);
    awaits(&mut asking, &["bob", "carol"]);
    at_carol.shows(APPROVE);
    at_bob.approves();
    awaits(&mut asking, &["carol"]);
    at_bob.interrupts();
    asking.ends().fails(3, "bob was interrupted by its owner");
    at_carol.shows("alice ended the request: bob takes no part in it");
}

#[test]
fn a_policy_that_denies_makes_nobody_wait() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy("");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    for _ in 0..3 {
        let digest = fresh_digest();
        alice.run(["sign", &digest, "--peer", &listener.address()]).fails(9, "bob");
    }
}

#[test]
fn a_route_to_a_device_that_takes_no_part_or_to_no_port_is_exit_2() {
    let (alice, _bob) = two();
    let keygen = |to| alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", to]);
    let ended = keygen("ann=127.0.0.1:7700").fails(2, "which takes no part in this");
    assert!(ended.stderr.contains("the other devices that take part: bob"), "{}", ended.stderr);
    for port in ["bob=127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:"] {
        keygen(port).fails(2, "is not HOST:PORT");
    }
    let (code, said) = alice.terminal(["pair", "--peer", "127.0.0.1:99999"]).ends();
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn nobody_in_reach_is_exit_4_and_named() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    let keygen =
        |time| ["keygen", "--key", "vault", "--peer", &to, "--timeout", time].map(str::to_owned);
    drop(listener);
    alice.run(keygen("2s")).fails(4, "bob");
    // One that may still come is waited for, and people are told what is missing.
    let mut waiting = alice.start(keygen("5s"));
    let told = waiting.event("waiting");
    assert!((1..=5).contains(&told["seconds"].as_u64().unwrap()), "{told}");
    let advice = |note: &serde_json::Value| {
        note["message"].as_str().is_some_and(|says| says.contains("run `cosign listen` there"))
    };
    waiting.event_where("note", advice);
    waiting.ends().fails(4, "bob");
    let nowhere = ["pair", "--peer", "no-such-host.invalid:1", "--timeout", "2s"];
    let (code, said) = alice.terminal(nowhere).ends();
    assert_eq!(code, Some(4), "{said}");
    let alone = ["listen", "--policy", "policy.toml", "--once", "--port", "0", "--timeout", "1s"];
    bob.run(alone).fails(4, "--timeout");
}

#[test]
fn ctrl_c_is_exit_130_and_the_other_side_is_told() {
    let (alice, bob, mut at_bob, to) = two_with_person(&[]);
    let sign = ["sign", &fresh_digest(), "--peer", &to];
    let mut at_alice = alice.terminal(sign);
    let modes = at_alice.modes();
    at_bob.shows(APPROVE);
    at_alice.interrupts();
    at_bob.shows("sign ended: ").shows("alice");
    assert_eq!(format!("{:?}", at_alice.modes()), format!("{modes:?}"));
    assert_eq!(at_alice.ends().0, Some(130));

    std::thread::sleep(std::time::Duration::from_secs(3));
    let running = alice.start(sign);
    at_bob.shows(GO_ON).types("ok\n").shows(APPROVE).interrupts();
    let ended = running.ends().fails(3, "bob");
    assert!(ended.events("round").is_empty());
    assert_eq!(at_bob.ends().0, Some(130));

    for signal in ending_signals() {
        // A listener without requests ends with success.
        let listener = bob.serve(&[&alice]);
        listener.signal(signal);
        listener.ends().succeeds();
    }
}

#[test]
fn a_listener_that_outlives_its_terminal_is_left_alone_by_a_hangup() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut nohup = Command::new("nohup");
    let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
    let script = bob.script(listen);
    nohup.arg(script.get_program()).args(script.get_args()).stdin(Stdio::null());
    nohup.envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nohup.current_dir(script.get_current_dir().unwrap());
    let listener = Listener::on(Running::start(&mut nohup));
    listener.signal(Signal::HUP);
    let to = listener.address();
    alice.run(["sign", &fresh_digest(), "--peer", &to]).succeeds();
    listener.signal(Signal::QUIT);
    listener.ends().succeeds();
}

#[test]
fn a_device_with_another_key_than_the_pinned_one_is_exit_5_before_round_1() {
    let (alice, _bob, listener) = two_with_key();
    drop(listener);
    let impostor = Device::new("bob");
    let print = alice.fingerprint();
    impostor.run(["peers", "add", "alice", "--fingerprint", &print]).succeeds();
    let listener = impostor.serve(&[&alice]);
    let sign = ["sign", &fresh_digest(), "--peer", &listener.address()];
    let ended = alice.run(sign).fails(5, "bob");
    assert!(ended.events("round").is_empty());
    let keygen = ["keygen", "--key", "more", "--peer", &listener.address()];
    let ended = alice.run(keygen).fails(5, "go to bob in person");
    assert!(ended.events("round").is_empty());
    listener.signal(Signal::TERM);
    let ended = listener.ends();
    assert!(ended.events("request").is_empty());
    ended.succeeds();
}

#[test]
fn a_device_that_does_not_know_the_requester_is_exit_5() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    bob.run(["peers", "forget", "alice"]).succeeds();
    let keygen = ["keygen", "--key", "vault", "--peer", &listener.address()];
    alice.run(keygen).fails(5, "bob");
}

#[test]
fn every_two_parties_of_a_key_must_be_paired() {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    introduce(&[&alice, &bob]);
    introduce(&[&alice, &carol]);
    let (at_bob, at_carol) = (bob.serve(&[&alice]), carol.serve(&[&alice]));
    let routes = [format!("bob={}", at_bob.address()), format!("carol={}", at_carol.address())];
    let [to_bob, to_carol] = &routes;
    let keygen = ["keygen", "--with", "bob,carol", "--peer", to_bob, "--peer", to_carol];
    alice.run(keygen).fails(5, "every two parties of a key must be paired");
}

#[test]
fn a_wrong_passphrase_or_identity_is_exit_8() {
    let alice = Device::blank("alice");
    alice.write("good", "correct horse battery staple\n");
    alice.write("bad", "wrong mule socket nail\n");
    let run = |args: &[&str]| {
        let mut command = alice.script(args);
        command.env_remove("COSIGN_IDENTITY");
        crate::device::Running::start(&mut command).ends()
    };
    run(&["init", "--passphrase-file", "good"]).succeeds();
    let fingerprint = "bb".repeat(32);
    let add = |more: &[&str]| {
        run(&[&["peers", "add", "bob", "--fingerprint", &fingerprint], more].concat())
    };
    add(&["--passphrase-file", "bad"]).fails(8, "passphrase");
    add(&[]).fails(11, "--passphrase-file");
    add(&["--passphrase-file", "none"]).fails(10, "none");
    add(&["--passphrase-file", "good"]).succeeds();

    let bob = Device::new("bob");
    let stolen = Device::blank("stolen");
    let with = |identity: &str| bob.run(["keys", "--identity", identity]);
    with(arg(&stolen.path("key.txt"))).fails(8, "identity");
    with("missing.txt").fails(10, "missing.txt");
}

#[test]
fn a_person_may_mistype_the_passphrase() {
    let alice = Device::blank("alice");
    alice.write("good", "correct horse battery staple\n");
    let without = |mut command: std::process::Command| {
        command.env_remove("COSIGN_IDENTITY");
        command
    };
    let init = without(alice.script(["init", "--passphrase-file", "good"])).output().unwrap();
    assert!(init.status.success(), "{init:?}");
    let fingerprint = "bb".repeat(32);
    let add = ["peers", "add", "bob", "--fingerprint", &fingerprint];
    let mut screen = Terminal::start(&without(alice.command(add)));
    screen.shows("passphrase: ").types("wrong mule socket nail\n");
    screen.shows("wrong passphrase").shows("passphrase: ").types("correct horse battery staple\n");
    let (code, said) = screen.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("horse"), "{said}");
}

#[test]
fn what_the_policy_does_not_allow_is_exit_9_on_both_sides() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy(
        "[[rule]]\npeer = \"alice\"\nceremony = \"sign\"\nkey = \"vault\"\n\
         purpose = 'release \\d+'\nmax_count = 1\naction = \"allow\"\n",
    );
    let listen = || bob.listen(&["--policy", "policy.toml", "--once"]);
    let sign = |listener: &Listener, purpose: &str| {
        let to = listener.address();
        alice.run(["sign", &fresh_digest(), "--peer", &to, "--purpose", purpose])
    };
    let listener = listen();
    sign(&listener, "release 1 or so").fails(9, "bob");
    listener.ends().fails(9, "no rule of the policy allows this sign by alice");

    let listener = listen();
    sign(&listener, "release 1").succeeds();
    listener.ends().succeeds();

    // The rule was good for one signature, and a new process knows it.
    let listener = listen();
    sign(&listener, "release 2").fails(9, "bob");
    listener.ends().fails(9, "rule 1 of the policy is used up and no other rule allows this sign");

    let listener = listen();
    alice.run(["keygen", "--key", "more", "--peer", &listener.address()]).fails(9, "bob");
    listener.ends().fails(9, "keygen");

    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"deny\"\n");
    let listener = listen();
    sign(&listener, "release 3").fails(9, "bob");
    listener.ends().fails(9, "rule 1 of the policy denies this sign by alice");
    assert_eq!(bob.outcomes()[1..], ["policy", "signed", "policy", "policy", "policy"]);
}

#[test]
fn what_is_not_there_is_exit_10_and_named() {
    let (alice, _bob, listener) = two_with_key();
    let digest = fresh_digest();
    alice.run(["sign", &digest, "--key", "valut"]).fails(10, "valut");
    alice.run(["sign", &digest, "--with", "bbo"]).fails(10, "bbo");
    alice.run(["sign", &digest, "--deliver-to", "carol"]).fails(10, "carol");
    alice.run(["sign", "--file", "relaese.tar"]).fails(10, "relaese.tar");
    alice.run(["keygen", "--key", "more", "--with", "bbo"]).fails(10, "bbo");
    alice.run(["keys", "show", "valut"]).fails(10, "valut");
    alice.run(["peers", "forget", "bbo"]).fails(10, "bbo");
    alice.run(["listen", "--policy", "rules.toml"]).fails(10, "rules.toml");
    alice.run(["verify", &digest, "sig.der", "--key", "vault"]).fails(10, "sig.der");
    // Bob's device has lost its share.
    _bob.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    alice.run(["sign", &digest, "--peer", &listener.address()]).fails(10, "bob");
    let empty = Device::new("empty");
    empty.run(["sign", &digest]).fails(10, "cosign keygen");
}

#[test]
fn what_needs_a_person_is_exit_11_without_one() {
    let alice = Device::new("alice");
    alice.run(["pair", "--peer", "127.0.0.1:1"]).fails(11, "peers add");
    alice.run(["listen"]).fails(11, "--policy");
    Device::blank("new").run(["keys", "delete", "vault"]).fails(10, "vault");
    let (alice, _bob, _listener) = two_with_key();
    alice.run(["keys", "delete", "vault"]).fails(11, "--yes-delete vault");
}

#[test]
fn what_is_taken_is_exit_12_and_named() {
    let (alice, bob, listener) = two_with_key();
    alice.run(["init"]).fails(12, "home");
    let keygen = ["keygen", "--key", "vault", "--with", "bob"];
    alice.run(keygen).fails(12, "vault");
    alice.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    alice.run(keygen).fails(12, "bob");
    let port = listener.port.to_string();
    let listen = ["listen", "--policy", "policy.toml", "--bind", "127.0.0.1", "--port", &port];
    bob.run(listen).fails(12, &port);
    let print = Device::new("carol").fingerprint();
    bob.run(["peers", "add", "alice", "--fingerprint", &print]).fails(12, "alice");
}

#[test]
fn a_key_that_is_in_use_is_exit_12() {
    let (alice, _bob, listener) = two_with_key();
    let lock = std::fs::File::open(alice.home().join("data/locks/vault")).unwrap();
    lock.lock().unwrap();
    let to = listener.address();
    let refresh = ["keys", "refresh", "vault", "--peer", &to, "--timeout", "2s"];
    alice.run(refresh).fails(12, "is in use").fails(12, "changes its shares");
    // Signatures need no share but the one that is there.
    alice.run(["sign", &fresh_digest(), "--peer", &to]).succeeds();
    drop(lock);
    alice.run(refresh).succeeds();
}

#[test]
fn a_key_is_deleted_when_the_signatures_that_are_made_with_it_have_ended() {
    let (alice, _bob, listener) = two_with_key();
    let signing =
        cosign::vault::keys::lock_to_sign(&cosign::vault::Home::at(alice.home()), "vault").unwrap();
    let delete = ["keys", "delete", "vault", "--yes-delete", "vault"];
    let hurried = [&delete[..], &["--timeout", "1s"]].concat();
    alice.run(hurried).fails(12, "is in use: a signature");
    let mut deleting = alice.start(delete);
    deleting.event_where("note", |event| {
        event["message"].as_str().is_some_and(|message| message.contains("a signature"))
    });
    // None begins meanwhile.
    let to = listener.address();
    let asks = ["sign", &fresh_digest(), "--peer", &to, "--timeout", "2s"];
    alice.run(asks).fails(12, "is in use");
    drop(signing);
    deleting.ends().succeeds();
}

#[test]
fn nothing_is_left_of_a_signature_that_was_refused() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let pem = alice.path("vault.pem");
    alice.run(["keys", "export", "vault", "-o", arg(&pem)]).succeeds();
    bob.policy("");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let digest = fresh_digest();
    let to = listener.address();
    let out = ["sign", &digest, "--peer", &to, "-o", "out", "--request-id", "once"];
    alice.run(out).fails(9, "bob");
    assert!(!alice.path("out").exists());
    drop(listener);
    // The request may be repeated: it was never signed.
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    let again = ["sign", &digest, "--peer", &to, "--request-id", "once"];
    openssl::is_satisfied(&alice.run(again).succeeds(), &pem, &digest);
}

#[test]
fn without_a_record_there_is_a_warning_and_with_require_log_nothing_begins() {
    let (alice, bob, listener) = two_with_key();
    let to = listener.address();
    let log = |device: &Device| device.home().join("state/log.jsonl");
    let block = |device: &Device| {
        std::fs::rename(log(device), device.path("log")).unwrap();
        std::fs::create_dir(log(device)).unwrap();
    };
    let mend = |device: &Device| {
        std::fs::remove_dir(log(device)).unwrap();
        std::fs::rename(device.path("log"), log(device)).unwrap();
    };
    let sign = |to: &str, more: &[&str]| {
        let digest = fresh_digest();
        alice.run(["sign", &digest, "--peer", to].iter().chain(more))
    };
    assert_eq!(sign(&to, &[]).succeeds().get("warning"), None);
    block(&alice);
    let warning = text(&sign(&to, &[]).succeeds()["warning"]);
    assert!(warning.contains("log.jsonl"), "{warning}");
    let ended = sign(&to, &["--require-log"]).fails(74, "log.jsonl");
    assert!(ended.events("round").is_empty());
    mend(&alice);
    sign(&to, &["--require-log"]).succeeds();
    assert!(alice.outcomes().ends_with(&["begun".to_owned(), "signed".to_owned()]));
    drop(listener);

    let mut listener = bob.serve_with(&[&alice], &["--require-log"]);
    block(&bob);
    let ended = sign(&listener.address(), &[]).fails(6, "bob");
    assert!(ended.events("round").is_empty());
    let aborted = loop {
        let event = listener.next_event().unwrap();
        assert_ne!(event["event"], "request", "somebody was asked for what may not begin");
        if event["event"] == "aborted" {
            break event;
        }
    };
    assert_eq!(aborted["code"], "system");
    assert!(text(&aborted["message"]).contains("log.jsonl"), "{aborted}");
    mend(&bob);
    sign(&listener.address(), &[]).succeeds();
    assert!(bob.outcomes().ends_with(&["begun".to_owned(), "signed".to_owned()]));
}
