//! Keys and signatures of two and three devices.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::device::{Device, Listener, all_listen, arg, holds, text, two_with_key};
use crate::openssl;

/// A new digest, in hexadecimal.
pub(crate) fn fresh_digest() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The PEM file of a key's public half.
pub(crate) fn exported(device: &Device, key: &str) -> PathBuf {
    let pem = device.path(&format!("{key}.pem"));
    device.run(["keys", "export", key, "-o", arg(&pem)]).succeeds();
    pem
}

#[test]
fn the_demo_ends_with_a_signature_that_openssl_accepts() {
    let nobody = Device::blank("nobody");
    let mut command = nobody.script(["demo"]);
    command.env_remove("COSIGN_HOME").env_remove("COSIGN_IDENTITY");
    command.env("TMPDIR", nobody.path("."));
    let result = crate::device::Running::start(&mut command).ends().succeeds();
    let steps: Vec<&Value> = result["steps"].as_array().unwrap().iter().collect();
    let names: Vec<String> = steps.iter().map(|step| text(&step["name"])).collect();
    assert_eq!(names, ["start", "discover", "pair", "keygen", "sign", "verify"]);
    assert!(steps.iter().all(|step| step["ms"].is_u64()));
    let sign = &result["sign"];
    // SubjectPublicKeyInfo of a compressed point of secp256k1, up to the point.
    let head = "3036301006072a8648ce3d020106052b8104000a032200";
    let key = hex::decode(format!("{head}{}", text(&sign["public_key"]))).unwrap();
    let key = nobody.write("key.der", key);
    openssl::is_satisfied(sign, &key, &text(&sign["digest"]));
    let mut check = std::process::Command::new("sh");
    assert!(check.arg("-c").arg(text(&result["check"])).output().unwrap().status.success());
}

#[test]
fn one_listener_co_signs_many_digests_and_openssl_accepts_each() {
    let (alice, bob, _listener) = two_with_key();
    let pem = exported(&alice, "vault");
    assert_eq!(std::fs::read(&pem).unwrap(), std::fs::read(exported(&bob, "vault")).unwrap());
    for _ in 0..20 {
        let digest = fresh_digest();
        let result = alice.run(["sign", &digest, "--key", "vault"]).succeeds();
        openssl::is_satisfied(&result, &pem, &digest);
        assert_eq!(result["delivered_to"], serde_json::json!(["alice"]));
        assert!(!openssl::accepts(
            &pem,
            &hex::decode(fresh_digest()).unwrap(),
            &hex::decode(text(&result["der"])).unwrap()
        ));
    }
    for device in [&alice, &bob] {
        let outcomes = device.outcomes();
        assert_eq!(outcomes.iter().filter(|outcome| *outcome == "signed").count(), 20);
        assert_eq!(device.run(["log", "--verify"]).succeeds()["valid"], true);
    }
}

#[test]
fn the_only_key_and_the_only_peer_need_no_flags() {
    let (alice, bob) = crate::device::two();
    let listener = bob.serve(&[&alice]);
    let made = alice.run(["keygen", "--peer", &listener.address()]).succeeds();
    assert_eq!((&made["key"], &made["threshold"]), (&"default".into(), &2.into()));
    assert_eq!(made["confirmed"], true);
    let digest = fresh_digest();
    let result = alice.run(["sign", &digest]).succeeds();
    openssl::is_satisfied(&result, &exported(&alice, "default"), &digest);
    assert_eq!(result["public_key"], made["public_key"]);
}

#[test]
fn a_file_is_hashed_as_asked_and_the_approver_is_told_how() {
    let (alice, _bob, mut listener) = two_with_key();
    let pem = exported(&alice, "vault");
    alice.write("abc", "abc");
    let once = Sha256::digest("abc");
    let cases = [
        ("sha256", hex::encode(once)),
        ("sha256d", hex::encode(Sha256::digest(once))),
        (
            "keccak256",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45".to_owned(),
        ),
    ];
    for (hash, digest) in cases {
        let sign = ["sign", "--file", "abc", "--hash", hash, "--purpose", "the alphabet"];
        let result = alice.run(sign).succeeds();
        openssl::is_satisfied(&result, &pem, &digest);
        let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
        assert_eq!(seen["digest"], digest);
        assert_eq!(seen["purpose"], "the alphabet");
        let source = serde_json::json!(
            {"kind": "file", "name": "abc", "size": 3, "hash": hash, "attached": true}
        );
        assert_eq!(seen["source"], source);
        let verify = ["verify", "--file", "abc", "--hash", hash, &text(&result["der"])];
        alice.run(verify).succeeds();
    }
    let mut piped = alice.command(["sign", "--file", "-", "-q"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"abc").unwrap();
    let output = child.wait_with_output().unwrap();
    let signature = String::from_utf8(output.stdout).unwrap();
    assert!(openssl::accepts(&pem, &once, &hex::decode(signature.trim()).unwrap()));
}

#[test]
fn a_signature_is_written_in_the_form_that_was_asked_for() {
    let (alice, _bob, _listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let digest = fresh_digest();
    let bytes = hex::decode(&digest).unwrap();
    let printed = |more: &[&str]| {
        let output = alice.command(["sign", &digest, "-q"]).args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let plain = String::from_utf8(printed(&[])).unwrap();
    let der = hex::decode(plain.strip_suffix('\n').unwrap()).unwrap();
    assert!(openssl::accepts(&pem, &bytes, &der));
    assert!(openssl::accepts(&pem, &bytes, &printed(&["--format", "der", "-o", "-"])));

    for (format, length) in [("compact", Some(64)), ("recoverable", Some(65)), ("der", None)] {
        let path = alice.path(format);
        assert!(printed(&["--format", format, "-o", arg(&path)]).is_empty());
        let written = std::fs::read(&path).unwrap();
        assert!(length.is_none_or(|length| written.len() == length));
        alice.run(["verify", &digest, arg(&path), "--key", "vault"]).succeeds();
    }
    assert!(printed(&["-o", "plain"]).is_empty());
    assert!(openssl::accepts(&pem, &bytes, &std::fs::read(alice.path("plain")).unwrap()));

    let armour = alice.write("armour", printed(&["--format", "pem"]));
    assert!(std::fs::read_to_string(&armour).unwrap().starts_with("-----BEGIN "));
    alice.run(["verify", &digest, arg(&armour)]).succeeds();

    let object: Value = serde_json::from_slice(&printed(&["--format", "json"])).unwrap();
    openssl::is_satisfied(&object, &pem, &digest);
    // The printed text is accepted as an argument, also in the form of --json.
    let document = alice.write("document", printed(&["--json"]));
    for given in [plain.as_str(), arg(&document), &object.to_string()] {
        alice.run(["verify", &digest, given, "--public-key", arg(&document)]).succeeds();
    }

    let other = fresh_digest();
    alice.run(["verify", &other, "plain"]).fails(1, "vault");
}

#[test]
fn a_waiting_twin_approves_its_own_digest_and_no_other() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let pem = exported(&alice, "vault");
    let (agreed, other) = (fresh_digest(), fresh_digest());
    let wait = ["sign", &agreed, "--wait", "--port", "0", "--bind", "127.0.0.1"];
    let mut twin = Listener::on(bob.start(wait));
    let sign = |digest: &str| {
        let to = twin.address();
        alice.run(["sign", digest, "--peer", &to, "--deliver-to", "both"])
    };
    sign(&other).fails(9, "bob");
    openssl::is_satisfied(&sign(&agreed).succeeds(), &pem, &agreed);
    assert_eq!(twin.event("signed")["digest"], agreed);
    openssl::is_satisfied(&twin.ends().succeeds(), &pem, &agreed);
}

/// Alice, Bob and Carol, who know each other and all listen.
fn three() -> ([Device; 3], [Listener; 3]) {
    let devices = ["alice", "bob", "carol"].map(Device::new);
    let [a, b, c] = &devices;
    let listeners = all_listen(&[a, b, c], &[]).try_into().ok().unwrap();
    (devices, listeners)
}

#[test]
fn each_pair_of_a_two_of_three_key_signs() {
    let ([alice, bob, carol], _listeners) = three();
    let keygen = ["keygen", "--key", "team", "--threshold", "2", "--with", "bob", "carol"];
    let made = alice.run(keygen).succeeds();
    assert_eq!(made["parties"].as_array().unwrap().len(), 3);
    let pem = exported(&carol, "team");
    for (asks, helps) in [(&alice, &bob), (&alice, &carol), (&bob, &carol), (&carol, &alice)] {
        let digest = fresh_digest();
        let result = asks.run(["sign", &digest, "--with", &helps.name]).succeeds();
        openssl::is_satisfied(&result, &pem, &digest);
        assert_eq!(result["public_key"], made["public_key"]);
        assert_eq!(result["parties"].as_array().unwrap().len(), 2);
    }
    for candidate in ["bob", "carol", "--with"] {
        alice.run(["sign", &fresh_digest()]).fails(2, candidate);
    }
}

#[test]
fn three_of_three_sign_together_and_deliver_as_told() {
    let ([alice, bob, carol], [_at_alice, at_bob, at_carol]) = three();
    alice.run(["keygen", "--key", "all", "--threshold", "3", "--with", "bob,carol"]).succeeds();
    let pem = exported(&bob, "all");
    let digest = fresh_digest();
    openssl::is_satisfied(&bob.run(["sign", &digest]).succeeds(), &pem, &digest);

    let digest = fresh_digest();
    alice.run(["sign", &digest, "--deliver-to", "cosigner"]).fails(2, "--deliver-to");
    let result = alice.run(["sign", &digest, "--deliver-to", "carol"]).succeeds();
    assert_eq!(result["delivered_to"], serde_json::json!(["carol"]));
    let der = delivered(&carol, at_carol, &digest);
    assert!(openssl::accepts(&pem, &hex::decode(&digest).unwrap(), &der));
    for device in [&alice, &bob] {
        assert!(!knows(device, &der), "{} holds the signature", device.name);
    }
    // Making the key and signing are in the log with both of the others.
    let log = alice.command(["log"]).output().unwrap().stdout;
    let log = String::from_utf8(log).unwrap();
    let both = ["with \"bob, carol\"", "with \"carol, bob\""];
    assert_eq!(both.map(|with| log.matches(with).count()).iter().sum::<usize>(), 2, "{log}");
    drop(at_bob);
}

/// The signature that `device` says it received: in an event, and in its home.
#[track_caller]
fn delivered(device: &Device, mut listener: Listener, digest: &str) -> Vec<u8> {
    let event = listener.event_where("signed", |event| event["digest"] == digest);
    let stored = device.home().join("state/signatures");
    let stored = stored.join(format!("{}.json", text(&event["request_id"])));
    let stored: Value = serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    assert_eq!(stored["der"], event["der"]);
    hex::decode(text(&event["der"])).unwrap()
}

/// Whether the part `s` of a signature is in any file of `device`, as bytes or as digits.
fn knows(device: &Device, der: &[u8]) -> bool {
    let s = secret_part(der);
    let digits = hex::encode(&s);
    device
        .files()
        .iter()
        .any(|(_, content)| holds(content, &s) || holds(content, digits.as_bytes()))
}

/// The end of `s`: DER leaves out zeros at its beginning.
fn secret_part(der: &[u8]) -> Vec<u8> {
    k256::ecdsa::Signature::from_der(der).unwrap().split_bytes().1[2..].to_vec()
}

#[test]
fn whoever_does_not_receive_the_signature_never_holds_it() {
    let (alice, bob, listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let bytes = |digest: &str| hex::decode(digest).unwrap();

    let digest = fresh_digest();
    let out = arg(Path::new("out"));
    let ended = alice.run(["sign", &digest, "--deliver-to", "cosigner", "-o", out]);
    let said = [ended.stdout.clone(), ended.stderr.clone().into_bytes()].concat();
    let result = ended.succeeds();
    for absent in ["der", "r", "s", "recovery_id"] {
        assert!(result[absent].is_null(), "{absent} is there");
    }
    assert_eq!(result["delivered_to"], serde_json::json!(["bob"]));
    let der = delivered(&bob, listener, &digest);
    assert!(openssl::accepts(&pem, &bytes(&digest), &der));
    assert!(!knows(&alice, &der) && knows(&bob, &der));
    assert!(!holds(&said, hex::encode(secret_part(&der)).as_bytes()));
    assert!(!alice.path("out").exists());

    let mut listener = bob.serve(&[&alice]);
    let to = listener.address();
    let digest = fresh_digest();
    let result = alice.run(["sign", &digest, "--deliver-to", "requester", "--peer", &to]);
    let der = hex::decode(text(&result.succeeds()["der"])).unwrap();
    assert!(knows(&alice, &der));
    assert!(listener.event_where("signed", |e| e["digest"] == digest)["der"].is_null());
    assert!(!knows(&bob, &der));

    let digest = fresh_digest();
    let result = alice.run(["sign", &digest, "--deliver-to", "both"]).succeeds();
    openssl::is_satisfied(&result, &pem, &digest);
    assert_eq!(delivered(&bob, listener, &digest), hex::decode(text(&result["der"])).unwrap());
}

#[test]
fn new_shares_sign_for_the_same_public_key() {
    let (alice, bob, listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let before = alice.run(["keys", "show", "vault"]).succeeds();
    alice.run(["keys", "refresh", "vault"]).succeeds();
    assert_eq!(alice.run(["keys", "show", "vault"]).succeeds()["public_key"], before["public_key"]);
    let digest = fresh_digest();
    openssl::is_satisfied(&alice.run(["sign", &digest]).succeeds(), &pem, &digest);
    drop(listener);
    // The other way round, and with a key that outlives the pairing it was made in.
    for (device, peer) in [(&alice, "bob"), (&bob, "alice")] {
        device.run(["peers", "forget", peer]).succeeds();
    }
    let twin = ["sign", &digest, "--wait", "--port", "0", "--bind", "127.0.0.1"];
    let twin = Listener::on(alice.start(twin));
    let sign = ["sign", &digest, "--with", "alice", "--peer", &twin.address()];
    openssl::is_satisfied(&bob.run(sign).succeeds(), &pem, &digest);
}

#[test]
fn two_requests_for_one_key_are_served_one_after_the_other() {
    let (alice, _bob, _listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let digests = [fresh_digest(), fresh_digest()];
    let running = digests.each_ref().map(|digest| alice.start(["sign", digest]));
    for (digest, run) in digests.iter().zip(running) {
        openssl::is_satisfied(&run.ends().succeeds(), &pem, digest);
    }
}

#[test]
fn a_request_id_is_good_for_one_signature_which_is_given_again() {
    let (alice, _bob, listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let sign = |digest: &str, more: &[&str]| {
        alice.run(["sign", digest, "--request-id", "release-1"].iter().chain(more))
    };
    let digest = fresh_digest();
    let first = sign(&digest, &[]).succeeds();
    assert_eq!(first["request_id"], "release-1");
    assert!(first["repeated"].is_null());
    // No person is asked again; none is there.
    drop(listener);
    let mut again = sign(&digest, &["-o", "again"]).succeeds();
    assert_eq!(again["repeated"].take(), true);
    again.as_object_mut().unwrap().remove("repeated");
    assert_eq!(again, first);
    let der = std::fs::read(alice.path("again")).unwrap();
    assert!(openssl::accepts(&pem, &hex::decode(&digest).unwrap(), &der));
    sign(&fresh_digest(), &[]).fails(12, "another digest");
    assert_eq!(alice.outcomes().iter().filter(|outcome| *outcome == "signed").count(), 1);
}

#[test]
fn a_signature_that_cannot_be_written_is_in_the_message_and_the_document() {
    let (alice, _bob, _listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let digest = fresh_digest();
    // A device that takes nothing, and that is found out only by writing.
    let ended = alice.run(["sign", &digest, "-o", "/dev/full"]);
    let result = ended.document()["result"].take();
    openssl::is_satisfied(&result, &pem, &digest);
    ended.fails(74, &text(&result["der"]));
}

#[test]
fn events_and_the_log_say_when_and_for_which_request() {
    let (alice, bob, mut listener) = two_with_key();
    let ended = alice.run(["sign", &fresh_digest(), "--request-id", "release-2"]);
    for kind in ["waiting", "connected", "round", "received", "signed"] {
        let events = ended.events(kind);
        assert!(!events.is_empty(), "{kind}");
        assert!(events.iter().all(|event| event["request_id"] == "release-2"), "{kind}");
    }
    let events = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(events.map(|event| text(&event["time"])).all(|time| time.ends_with('Z')));
    let decided = listener.event_where("decided", |event| event["request_id"] == "release-2");
    assert_eq!((&decided["by"], &decided["key"]), (&"rule 1".into(), &"vault".into()));
    listener.event_where("signed", |event| event["request_id"] == "release-2");
    for device in [&alice, &bob] {
        let log = device.run(["log"]).succeeds();
        let last = log["entries"].as_array().unwrap().last().unwrap();
        assert_eq!(last["request_id"], "release-2", "{}", device.name);
    }
    let log = bob.run(["log"]).succeeds();
    assert_eq!(log["entries"].as_array().unwrap().last().unwrap()["by"], "rule 1");
}

#[test]
fn a_file_that_is_there_is_replaced_by_force_alone() {
    let (alice, _bob, _listener) = two_with_key();
    alice.write("sig", "something else");
    let sign =
        |more: &[&str]| alice.run(["sign", &"5a".repeat(32), "-o", "sig"].iter().chain(more));
    sign(&[]).fails(12, "--force");
    assert_eq!(std::fs::read(alice.path("sig")).unwrap(), b"something else");
    sign(&["--force"]).succeeds();
    assert_eq!(std::fs::read(alice.path("sig")).unwrap()[0], 0x30);
}

#[test]
fn a_key_below_another_one_signs_and_each_rule_names_its_own() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy(
        "[[rule]]\npeer = \"alice\"\nkey = \"vault/0/7\"\naction = \"allow\"\n\
         [[rule]]\npeer = \"alice\"\nkey = \"vault/0\"\naction = \"deny\"\n",
    );
    let mut listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    let digest = fresh_digest();
    let sign = |more: &[&str]| alice.run(["sign", &digest, "--peer", &to].iter().chain(more));
    let export = |device: &Device, name: &str, more: &[&str]| {
        device.run(["keys", "export", name].iter().chain(more)).succeeds()
    };
    let child = export(&alice, "vault/0/7", &["--format", "pem"]);
    let pem = alice.write("child.pem", text(&child["exported"]));
    let result = sign(&["--key", "vault/0/7"]).succeeds();
    openssl::is_satisfied(&result, &pem, &digest);
    assert_eq!((&result["key"], &child["name"]), (&"vault/0/7".into(), &"vault/0/7".into()));
    assert_eq!(result["public_key"], child["public_key"]);
    assert_ne!(result["public_key"], alice.run(["keys", "show", "vault"]).succeeds()["public_key"]);
    let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
    assert_eq!((&seen["key"], &seen["public_key"]), (&result["key"], &result["public_key"]));
    // The same key, given by --path, on the other device.
    assert_eq!(export(&bob, "vault", &["--path", "0/7"])["exported"], child["exported"]);
    openssl::is_satisfied(&sign(&["--key", "vault", "--path", "0/7"]).succeeds(), &pem, &digest);
    openssl::is_satisfied(&sign(&["--key", "vault/0", "--path", "7"]).succeeds(), &pem, &digest);
    let der = text(&result["der"]);
    let verify = |key: &str, more: &[&str]| {
        bob.run(["verify", &digest, &der, "--key", key].iter().chain(more))
    };
    assert_eq!(verify("vault/0/7", &[]).succeeds()["key"], "vault/0/7");
    verify("vault", &["--path", "m/0/7"]).succeeds();
    verify("vault", &[]).fails(1, "vault");
    verify("vault/0/8", &[]).fails(1, "vault/0/8");
    // No other key is meant by that rule, neither the one above it nor one beside it.
    sign(&["--key", "vault"]).fails(9, "bob");
    sign(&["--key", "vault/0"]).fails(9, "bob");
    sign(&["--key", "vault/0/8"]).fails(9, "bob");
    sign(&["--key", "vault/0'/7"]).fails(2, "hardened");
    let log = bob.run(["log"]).succeeds();
    let keys = log["entries"].as_array().unwrap().iter().map(|entry| text(&entry["key"]));
    assert!(keys.collect::<Vec<_>>().contains(&"vault/0/7".to_owned()));
}

#[test]
fn the_twin_of_a_key_below_another_one_waits_for_that_one() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let digest = fresh_digest();
    let wait =
        ["sign", &digest, "--wait", "--port", "0", "--bind", "127.0.0.1", "--key", "vault/3"];
    let twin = Listener::on(bob.start(wait));
    let to = twin.address();
    let sign = |key: &str| {
        alice.run(["sign", &digest, "--peer", &to, "--key", key, "--deliver-to", "both"])
    };
    sign("vault").fails(9, "bob");
    sign("vault/4").fails(9, "bob");
    let made = sign("vault/3").succeeds();
    assert_eq!(twin.ends().succeeds()["public_key"], made["public_key"]);
}

#[test]
fn an_address_of_the_exported_descriptor_is_the_one_at_its_path() {
    let (alice, _bob, _listener) = two_with_key();
    let export = |name: &str, format: &str| {
        text(&alice.run(["keys", "export", name, "--format", format]).succeeds()["exported"])
    };
    let descriptor = export("vault", "descriptor");
    let (_, rest) = descriptor.split_once(']').unwrap();
    let (xpub, rest) = rest.split_once('/').unwrap();
    assert!(rest.starts_with("<0;1>/*)#"), "{descriptor}");
    // The derivation of a watch-only wallet, with another library.
    let xpub: bip32::ExtendedPublicKey<k256::ecdsa::VerifyingKey> = xpub.parse().unwrap();
    for (chain, index) in [(0, 0), (0, 1), (1, 0), (0, 7)] {
        let child = xpub.derive_child(bip32::ChildNumber::new(chain, false).unwrap()).unwrap();
        let child = child.derive_child(bip32::ChildNumber::new(index, false).unwrap()).unwrap();
        let public_key = hex::encode(bip32::PublicKey::to_bytes(child.public_key()));
        assert_eq!(export(&format!("vault/{chain}/{index}"), "hex"), public_key);
        let address = export(&format!("vault/{chain}/{index}"), "address-btc");
        let hash = ripemd::Ripemd160::digest(Sha256::digest(hex::decode(&public_key).unwrap()));
        let (_, version, program) = bech32::segwit::decode(&address).unwrap();
        assert_eq!((version.to_u8(), program), (0, hash.to_vec()));
    }
}
