//! Payloads: the signers see them, and each device computes the digest itself.

use std::process::Command;

use cosign::device::Label;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link, LinkError};
use cosign::payload::{MAX_MESSAGE, MAX_PAYLOAD, NamedFile};
use cosign::request::Hex;
use cosign::wire::{Message, Proposal, Reason, Source};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::device::{Device, Listener, text, two, two_with_key};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};
use crate::openssl;
use crate::signing::exported;

/// The digest of a message by EIP-191.
fn ethereum_digest(message: &str) -> String {
    let prefixed = format!("\x19Ethereum Signed Message:\n{}{message}", message.len());
    hex::encode(Keccak256::digest(prefixed))
}

/// The request to sign that the listener's owner was shown.
fn shown(listener: &mut Listener) -> Value {
    listener.event_where("request", |request| request["ceremony"] == "sign")
}

#[test]
fn who_signs_a_message_sees_all_of_it_and_computes_its_digest() {
    let (alice, bob, mut listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let message = "I agree to §2.\nSigned: the board\n";
    let result = alice.run(["sign", "--message", message]).succeeds();
    openssl::is_satisfied(&result, &pem, &ethereum_digest(message));
    let payload = json!(
        {"kind": "message", "format": "ethereum", "content": {"text": message}}
    );
    assert_eq!(result["payload"], payload);
    let seen = shown(&mut listener);
    assert_eq!(seen["payload"], payload);
    assert_eq!(seen["digest"], ethereum_digest(message));
    let source = json!({"kind": "message", "format": "ethereum", "size": message.len()});
    assert_eq!(seen["source"], source);
    let log = bob.run(["log"]).succeeds();
    let entries = log["entries"].as_array().unwrap();
    let signed = entries.iter().find(|entry| entry["outcome"] == "signed").unwrap();
    assert_eq!(signed["payload"], source);
}

#[test]
fn a_message_is_written_and_read_as_wallets_do() {
    let (alice, _bob, _listener) = two_with_key();
    let plain = |args: &[&str]| {
        let output = alice.command(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let of_ethereum = plain(&["sign", "-q", "--message", "gm"]);
    let bytes = hex::decode(of_ethereum.strip_prefix("0x").unwrap()).unwrap();
    assert!(bytes.len() == 65 && matches!(bytes[64], 27 | 28), "{of_ethereum}");
    is_satisfied_as_ethereum(&alice, "gm", &of_ethereum);
    alice.run(["verify", "--message", "gm", &of_ethereum]).succeeds();
    alice.run(["verify", "--message", "gn", &of_ethereum]).fails(1, "");
    let bitcoin = ["--message", "gm", "--message-format", "bitcoin"];
    for _ in 0..8 {
        let signature = plain(&[&["sign", "-q"], &bitcoin[..]].concat());
        alice.run([&["verify"], &bitcoin[..], &[&signature]].concat()).succeeds();
        is_satisfied_as_bitcoin(&alice, "gm", &signature);
    }
}

/// python-ecdsa and pycryptodome recover the key from the signed message.
fn is_satisfied_as_ethereum(device: &Device, message: &str, signature: &str) {
    let key = device.run(["keys", "show", "vault"]).succeeds();
    let script = "import sys\n\
        from Cryptodome.Hash import keccak\n\
        from ecdsa import SECP256k1, VerifyingKey\n\
        key, message, signature = sys.argv[1:]\n\
        prefixed = b'\\x19Ethereum Signed Message:\\n%d' % len(message) + message.encode()\n\
        digest = keccak.new(digest_bits=256, data=prefixed).digest()\n\
        compact = bytes.fromhex(signature[2:])[:64]\n\
        recover = VerifyingKey.from_public_key_recovery_with_digest\n\
        found = recover(compact, digest, SECP256k1)\n\
        sys.exit(key not in [k.to_string('compressed').hex() for k in found])";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script, &text(&key["public_key"]), message, signature]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// python-bitcoinlib accepts the signed message under the key's P2PKH address.
fn is_satisfied_as_bitcoin(device: &Device, message: &str, signature: &str) {
    let key = device.run(["keys", "show", "vault"]).succeeds();
    let script = "import sys\n\
        from bitcoin.core.key import CPubKey\n\
        from bitcoin.signmessage import BitcoinMessage, VerifyMessage\n\
        from bitcoin.wallet import P2PKHBitcoinAddress\n\
        key, message, signature = sys.argv[1:]\n\
        address = P2PKHBitcoinAddress.from_pubkey(CPubKey(bytes.fromhex(key)))\n\
        sys.exit(not VerifyMessage(address, BitcoinMessage(message), signature))";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script, &text(&key["public_key"]), message, signature]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_travels_and_who_signs_sees_what_is_in_it() {
    let (alice, _bob, mut listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let list = format!("{}  cosign.tar.gz\n", "5a".repeat(32));
    alice.write("SHA256SUMS", &list);
    let result = alice.run(["sign", "--file", "SHA256SUMS"]).succeeds();
    openssl::is_satisfied(&result, &pem, &hex::encode(Sha256::digest(&list)));
    let payload = json!(
        {"kind": "file", "looks_like": "text", "lines": 1, "text": list, "complete": true}
    );
    assert_eq!(shown(&mut listener)["payload"], payload);
    // A larger file is signed by its digest.
    let large = vec![7; usize::try_from(MAX_PAYLOAD).unwrap() + 1];
    alice.write("large", &large);
    let result = alice.run(["sign", "--file", "large"]).succeeds();
    openssl::is_satisfied(&result, &pem, &hex::encode(Sha256::digest(&large)));
    let seen = shown(&mut listener);
    assert_eq!((&seen["payload"], &seen["source"]["attached"]), (&Value::Null, &Value::Null));
    let whole = vec![7; usize::try_from(MAX_PAYLOAD).unwrap()];
    alice.write("whole", &whole);
    alice.run(["sign", "--file", "whole"]).succeeds();
    assert_eq!(shown(&mut listener)["source"]["attached"], true);
}

#[test]
fn a_device_that_signs_only_what_it_sees_refuses_a_digest() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let _listener = bob.serve_with(&[&alice], &["--no-blind"]);
    let digest = crate::signing::fresh_digest();
    let refused = alice.run(["sign", &digest]).fails(9, "bob");
    assert!(refused.document()["error"]["message"].as_str().unwrap().contains("can see"));
    assert_eq!(bob.outcomes().last().map(String::as_str), Some("policy"));
    alice.run(["sign", "--message", "seen"]).succeeds();
}

#[test]
fn who_asks_for_what_is_not_seen_waits_before_the_owner_is_asked() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0", "--no-blind"]);
    let address = at_bob.address();
    let insider = opened(&alice);
    let record = only_key(&insider);
    let blind = proposal(&insider, &record);
    let message = Source::Message { format: "ethereum".into(), size: 7 };
    let digest = Hex(hex::decode(ethereum_digest("pay bob")).unwrap().try_into().unwrap());
    let other = Proposal { source: message, digest, ..blind.clone() };
    block_on(async {
        let mut waits = Vec::new();
        for (proposal, refusal) in [(blind, Reason::Blind), (other, Reason::Payload)] {
            let ask = async || {
                let mut link = enter(&insider.tls, &address).await;
                say(&mut link, &Message::Propose(Box::new(proposal.clone()))).await.unwrap();
                let _ = link.send(Frame::new(Kind::Payload, b"pay eve".to_vec())).await;
                let answer = hear(&mut link, soon()).await;
                until_closed(link).await;
                answer
            };
            assert_eq!(ask().await, Ok(Message::Refuse { reason: refusal }));
            let Ok(Message::Refuse { reason: Reason::Busy { seconds } }) = ask().await else {
                panic!("{refusal:?}")
            };
            tokio::time::sleep(std::time::Duration::from_secs(seconds.into())).await;
            waits.push(seconds);
        }
        assert!(waits[0] <= 2 && (3..=4).contains(&waits[1]), "{waits:?}");
    });
}

#[test]
fn who_answers_once_gets_a_message_signed_in_its_own_form() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let once =
        ["listen", "--bind", "127.0.0.1", "--port", "0", "--once", "--policy", "policy.toml"];
    let mut at_bob = bob.terminal(once);
    let to = ["--peer", &at_bob.address(), "--deliver-to", "both"];
    let signed =
        alice.command([&["sign", "-q", "--message", "gm"], &to[..]].concat()).output().unwrap();
    let signature = String::from_utf8(signed.stdout).unwrap();
    assert!(signature.starts_with("0x"), "{signature}");
    at_bob.shows(signature.trim());
}

/// The digest of several files: the SHA-256 of theirs.
fn digest_of(files: &[&str]) -> String {
    let digests: Vec<u8> = files.iter().flat_map(Sha256::digest).collect();
    hex::encode(Sha256::digest(digests))
}

#[test]
fn several_files_are_signed_under_one_yes() {
    let (alice, bob, mut listener) = two_with_key();
    let pem = exported(&alice, "vault");
    let files = [("a", "first\n"), ("b", ""), ("c", "\x1f\u{8b} no text \0")];
    for (name, content) in files {
        alice.write(name, content);
    }
    std::fs::create_dir(alice.path("out")).unwrap();
    let all = ["sign", "--file", "a", "--file", "b", "--file", "c", "--request-id", "three"];
    let result = alice.run([&all[..], &["-o", "out"]].concat()).succeeds();
    assert_eq!(result["digest"], digest_of(&files.map(|(_, content)| content)));
    assert_eq!((&result["der"], &result["payload"]["kind"]), (&Value::Null, &json!("files")));
    let signatures = result["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 3);
    for ((name, content), made) in files.iter().zip(signatures) {
        assert_eq!(made["name"], *name);
        openssl::is_satisfied(made, &pem, &hex::encode(Sha256::digest(content)));
        let file = std::fs::read(alice.path(&format!("out/{name}.sig"))).unwrap();
        assert_eq!(hex::encode(file), text(&made["der"]));
    }
    // One question, which had all of it.
    let seen = shown(&mut listener);
    let names =
        json!([{"name": "a", "size": 6}, {"name": "b", "size": 0}, {"name": "c", "size": 13}]);
    assert_eq!(seen["source"], json!({"kind": "files", "files": names, "hash": "sha256"}));
    assert_eq!(seen["payload"], result["payload"]);
    assert_eq!(seen["payload"]["files"][0]["text"], "first\n");
    let signed = listener.event("signed");
    assert_eq!((&signed["digest"], &signed["der"]), (&result["digest"], &Value::Null));
    for device in [&alice, &bob] {
        let log = device.run(["log"]).succeeds();
        let entries = log["entries"].as_array().unwrap();
        let signed = entries.iter().find(|entry| entry["outcome"] == "signed").unwrap();
        let digests: Vec<Value> = signatures.iter().map(|made| made["digest"].clone()).collect();
        assert_eq!((&signed["digests"], &signed["payload"]), (&json!(digests), &seen["source"]));
    }
    // With the same id they are given again, and nobody is asked.
    let again = alice.run([&all[..], &["-o", "out", "--force"]].concat()).succeeds();
    assert_eq!((&again["signatures"], &again["repeated"]), (&result["signatures"], &json!(true)));
    alice.run(["sign", "--file", "a", "--file", "c", "--request-id", "three"]).fails(12, "three");
    alice.run([&all[..], &["-o", "out"]].concat()).fails(12, "a.sig");
    // Without a folder there is a line for each.
    let plain = alice.command(["sign", "-q", "--file", "a", "--file", "b"]).output().unwrap();
    let lines = String::from_utf8(plain.stdout).unwrap();
    let names: Vec<_> = lines.lines().map(|line| line.rsplit_once("  ").unwrap().1).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_no_to_several_files_gives_no_signature_of_any() {
    let (alice, bob) = two();
    bob.policy(
        "[[rule]]\npeer = \"alice\"\nceremony = \"sign\"\npayload = \"files\"\naction = \"deny\"\n\n\
         [[rule]]\npeer = \"alice\"\naction = \"allow\"\n",
    );
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &to]).succeeds();
    alice.write("a", "first");
    alice.write("b", "second");
    std::fs::create_dir(alice.path("out")).unwrap();
    alice.run(["sign", "--file", "a", "--file", "b", "-o", "out"]).fails(9, "policy");
    assert_eq!(std::fs::read_dir(alice.path("out")).unwrap().count(), 0);
    alice.run(["sign", "--file", "a"]).succeeds();
}

#[test]
fn several_files_that_cannot_be_signed_together_are_refused_at_once() {
    let (alice, _bob, _listener) = two_with_key();
    let half = vec![7; usize::try_from(MAX_PAYLOAD).unwrap() / 2 + 1];
    std::fs::create_dir(alice.path("other")).unwrap();
    for name in ["a", "other/a"] {
        alice.write(name, "same name");
    }
    for name in ["large", "larger"] {
        alice.write(name, &half);
    }
    alice.run(["sign", "--file", "a", "--file", "other/a"]).fails(2, "two of the files");
    alice.run(["sign", "--file", "large", "--file", "larger"]).fails(2, "1048576");
    let many = (0..33).flat_map(|n| {
        let name = format!("f{n}");
        alice.write(&name, "");
        ["--file".to_owned(), name]
    });
    let many: Vec<String> = std::iter::once("sign".to_owned()).chain(many).collect();
    alice.run(many).fails(2, "32");
    alice.run(["sign", "--file", "a", "--file", "large", "-o", "nowhere"]).fails(10, "nowhere");
    alice.run(["sign", "--file", "a", "--file", "large", "--format", "pem"]).fails(2, "-o FOLDER");
    alice.run(["verify", "--file", "a", "--file", "large", "00"]).fails(2, "one by one");
}

/// A liar's proposal, and the frames that follow it.
type Lie = (&'static str, Source, [u8; 32], Vec<(Kind, Vec<u8>)>);

fn lies() -> Vec<Lie> {
    let message = |size| Source::Message { format: "ethereum".into(), size };
    let file =
        |size| Source::File { name: Label::new("a"), size, hash: "sha256".into(), attached: true };
    let files = |sizes: &[u64]| {
        let file =
            |(n, size): (usize, &u64)| NamedFile { name: Label::new(&n.to_string()), size: *size };
        let files = sizes.iter().enumerate().map(file).collect();
        Source::Files { files, hash: "sha256".into() }
    };
    let both: [u8; 32] = hex::decode(digest_of(&["pay", " bob"])).unwrap().try_into().unwrap();
    let digest: [u8; 32] = hex::decode(ethereum_digest("pay bob")).unwrap().try_into().unwrap();
    let sha256: [u8; 32] = Sha256::digest("pay bob").into();
    let part = |bytes: &[u8]| (Kind::Payload, bytes.to_vec());
    vec![
        ("another message", message(7), digest, vec![part(b"pay eve")]),
        ("a longer message", message(7), digest, vec![part(b"pay bob!")]),
        ("a part too many", message(7), digest, vec![part(b"pay"), part(b" bob and eve")]),
        ("an empty part", message(7), digest, vec![part(b"")]),
        ("a control message", message(7), digest, vec![(Kind::Control, b"pay bob".to_vec())]),
        ("the digest of a file", message(7), sha256, vec![part(b"pay bob")]),
        ("the digest of a message", file(7), digest, vec![part(b"pay bob")]),
        ("another file", file(7), sha256, vec![part(b"pay eve")]),
        ("another of two files", files(&[3, 4]), both, vec![part(b"pay"), part(b" eve")]),
        ("two files cut elsewhere", files(&[2, 5]), both, vec![part(b"pay bob")]),
        ("two files in another order", files(&[4, 3]), both, vec![part(b" bobpay")]),
        ("one file more", files(&[3, 4, 0]), both, vec![part(b"pay bob")]),
        ("the digest of both as one", files(&[3, 4]), sha256, vec![part(b"pay bob")]),
        ("one of two files is longer", files(&[3, 4]), both, vec![part(b"pay bob!")]),
    ]
}

#[test]
fn the_longest_message_is_signed_and_a_longer_one_is_no_message() {
    let (alice, _bob, _listener) = two_with_key();
    let longest = usize::try_from(MAX_MESSAGE).unwrap();
    for content in ["x".repeat(longest), "\n".repeat(longest)] {
        alice.write("longest", content);
        alice.run(["sign", "--message-file", "longest"]).succeeds();
    }
    alice.write("longer", "x".repeat(longest + 1));
    alice.run(["sign", "--message-file", "longer"]).fails(2, "16384");
}

#[test]
fn a_payload_that_is_not_what_was_proposed_is_refused_and_nobody_is_asked() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for (what, source, digest, parts) in lies() {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = Proposal { source, digest: Hex(digest), ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            for (kind, bytes) in parts {
                link.send(Frame::new(kind, bytes)).await.unwrap();
            }
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Payload }), "{what}");
            until_closed(link).await;
        }
    });
    let outcomes = bob.outcomes();
    assert!(outcomes.iter().all(|outcome| outcome != "signed"), "{outcomes:?}");
    drop(insider);
    alice.run(["sign", "--message", "pay bob"]).succeeds();
}

#[test]
fn a_payload_that_is_announced_too_large_is_no_request() {
    let (alice, _bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    block_on(async {
        for size in [MAX_MESSAGE + 1, MAX_PAYLOAD, u64::MAX] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let source = Source::Message { format: "ethereum".into(), size };
            let proposal = Proposal { source, ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Aborted }));
        }
        for sizes in [vec![], vec![1], vec![1; 33], vec![MAX_PAYLOAD, 1], vec![u64::MAX, u64::MAX]]
        {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let file = |size| NamedFile { name: Label::new("a"), size };
            let files = sizes.into_iter().map(file).collect();
            let source = Source::Files { files, hash: "sha256".into() };
            let proposal = Proposal { source, ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Aborted }));
        }
        // A payload that never comes occupies one connection and nothing else.
        let mut silent = enter(&insider.tls, &listener.address()).await;
        let source = Source::Message { format: "ethereum".into(), size: 7 };
        let unsent = Proposal { source, ..proposal(&insider, &record) };
        say(&mut silent, &Message::Propose(Box::new(unsent))).await.unwrap();
        let nothing = hear(&mut silent, cosign::driver::clock::now()).await;
        assert_eq!(nothing, Err(LinkError::TimedOut));
        alice.run(["sign", "--message", "meanwhile"]).succeeds();
    });
}

#[test]
fn a_card_says_whether_the_file_was_built_here() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let dist = bob.path("dist");
    std::fs::create_dir(&dist).unwrap();
    bob.write("dist/app-1.2.tar", "built from the same source");
    bob.write("dist/large", vec![0; 2 << 20]);
    let mut listener = bob.serve_with(&[&alice], &["--builds", "dist"]);
    let built = |listener: &mut Listener| shown(listener)["built"].clone();
    let here = |name: &str| json!({"path": dist.join(name).to_str().unwrap()});
    let missing = json!({"not_in": dist.to_str().unwrap()});
    alice.write("mine.tar", "built from the same source");
    alice.write("other.tar", "built from another source!");
    alice.write("large", vec![0; 2 << 20]);
    alice.run(["sign", "--file", "mine.tar"]).succeeds();
    assert_eq!(built(&mut listener), json!([here("app-1.2.tar")]));
    alice.run(["sign", "--file", "other.tar"]).succeeds();
    assert_eq!(built(&mut listener), json!([missing]));
    alice.run(["sign", "--file", "large"]).succeeds();
    assert_eq!(built(&mut listener), json!([here("large")]), "its digest was compared");
    alice.run(["sign", "--file", "other.tar", "--file", "mine.tar"]).succeeds();
    assert_eq!(built(&mut listener), json!([missing, here("app-1.2.tar")]));
    alice.run(["sign", "--message", "no file"]).succeeds();
    assert_eq!(built(&mut listener), Value::Null);
    std::fs::remove_dir_all(&dist).unwrap();
    alice.run(["sign", "--file", "mine.tar"]).succeeds();
    assert!(text(&built(&mut listener)[0]["unknown"]).contains("dist"), "the folder is gone");
    drop(listener);
    bob.run(["listen", "--policy", "policy.toml", "--builds", "dist"]).fails(10, "");
    bob.run(["listen", "--policy", "policy.toml", "--builds", "policy.toml"]).fails(2, "folder");
}

#[test]
fn the_person_sees_whether_the_file_was_built_here() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    std::fs::create_dir(bob.path("dist")).unwrap();
    bob.write("dist/app.tar", "mine");
    let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--builds", "dist"];
    let mut at_bob = bob.terminal(listen);
    let to = ["--peer", &at_bob.address()];
    alice.write("app.tar", "other");
    let asking = alice.start([&["sign", "--file", "app.tar"], &to[..]].concat());
    at_bob.shows("NO, not in ");
    drop(asking);
}
