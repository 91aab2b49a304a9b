//! Payloads: the signers see them, and each device computes the digest itself.

use std::process::Command;

use cosign::device::Label;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link, LinkError};
use cosign::payload::{MAX_MESSAGE, MAX_PAYLOAD};
use cosign::request::Hex;
use cosign::wire::{Message, Proposal, Reason, Source};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::device::{Device, Listener, text, two_with_key};
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

/// A liar's proposal, and the frames that follow it.
type Lie = (&'static str, Source, [u8; 32], Vec<(Kind, Vec<u8>)>);

fn lies() -> Vec<Lie> {
    let message = |size| Source::Message { format: "ethereum".into(), size };
    let file =
        |size| Source::File { name: Label::new("a"), size, hash: "sha256".into(), attached: true };
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
