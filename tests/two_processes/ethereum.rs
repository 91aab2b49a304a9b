//! Ethereum transactions and typed data: what the signers see, and what other libraries make of the
//! result.

use std::process::Command;

use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link};
use cosign::request::Hex;
use cosign::wire::{Message, Proposal, Reason, Source};
use serde_json::{Value, json};
use sha3::{Digest as _, Keccak256};

use crate::device::{Device, text, two_with_key};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};

/// Known answers of eth-account in `tests/ethereum`.
fn known(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ethereum");
    serde_json::from_slice(&std::fs::read(format!("{folder}/{name}.json")).unwrap()).unwrap()
}

fn account(device: &Device, key: &str) -> String {
    let export = device.command(["keys", "export", key, "--format", "address-eth"]).output();
    String::from_utf8(export.unwrap().stdout).unwrap().trim().to_owned()
}

/// python-ecdsa recovers `account` from what stands in `signed`: a transaction that pyrlp decodes,
/// or a digest and a signature.
fn is_by(account: &str, signed: &[&str]) {
    let script = "import sys, rlp\n\
        from Cryptodome.Hash import keccak\n\
        from ecdsa import SECP256k1, VerifyingKey\n\
        hashed = lambda data: keccak.new(digest_bits=256, data=data).digest()\n\
        account, *signed = [bytes.fromhex(text[2:]) for text in sys.argv[1:]]\n\
        if len(signed) == 2:\n\
        \x20 digest, signature = signed\n\
        \x20 compact, odd = signature[:64], signature[64] - 27\n\
        else:\n\
        \x20 raw, = signed\n\
        \x20 kind = raw[:1] if raw[0] < 0xc0 else b''\n\
        \x20 *fields, v, r, s = rlp.decode(raw[len(kind):])\n\
        \x20 odd = int.from_bytes(v, 'big')\n\
        \x20 if not kind:\n\
        \x20   chain, odd = divmod(odd - 35, 2)\n\
        \x20   fields += [chain.to_bytes((chain.bit_length() + 7) // 8, 'big'), b'', b'']\n\
        \x20 digest = hashed(kind + rlp.encode(fields))\n\
        \x20 compact = r.rjust(32, b'\\0') + s.rjust(32, b'\\0')\n\
        recover = VerifyingKey.from_public_key_recovery_with_digest\n\
        key = recover(compact, digest, SECP256k1)[odd]\n\
        sys.exit(hashed(key.to_string())[12:] != account)";
    let mut python = Command::new("/usr/bin/python3");
    let output = python.args(["-c", script, account]).args(signed).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn payment() -> Value {
    json!({
        "type": 2, "chainId": 1, "nonce": 9, "maxFeePerGas": "30000000000",
        "maxPriorityFeePerGas": "1000000000", "gas": 21000,
        "to": "0x1111111111111111111111111111111111111111", "value": "1500000000000000000",
    })
}

#[test]
fn a_transaction_of_every_type_is_signed_by_the_account_of_the_key() {
    let (alice, bob, mut listener) = two_with_key();
    let account = account(&alice, "vault");
    for known in known("transactions")["transactions"].as_array().unwrap() {
        alice.write("tx.json", known["given"].to_string());
        let result = alice.run(["sign", "--eth-tx", "tx.json"]).succeeds();
        is_by(&account, &[&text(&result["raw"])]);
        assert_eq!(result["from"], account.as_str());
        assert_eq!(format!("0x{}", text(&result["digest"])), text(&known["digest"]));
        let raw = hex::decode(&text(&result["raw"])[2..]).unwrap();
        let hash = format!("0x{}", hex::encode(Keccak256::digest(raw)));
        assert_eq!(result["hash"], hash.as_str());
        let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
        assert_eq!(seen["payload"], result["payload"]);
        assert_eq!(seen["payload"]["kind"], "eth-tx");
    }
    let log = bob.run(["log"]).succeeds();
    let entries = log["entries"].as_array().unwrap();
    let signed = entries.iter().find(|entry| entry["outcome"] == "signed").unwrap();
    assert_eq!(signed["payload"]["kind"], "eth-tx");
}

#[test]
fn a_transaction_is_printed_as_a_node_takes_it() {
    let (alice, _bob, _listener) = two_with_key();
    alice.write("tx.json", payment().to_string());
    let sign = ["sign", "-q", "--eth-tx", "tx.json", "--path", "0/7", "--key", "vault"];
    let output = alice.command(sign).output().unwrap();
    let raw = String::from_utf8(output.stdout).unwrap();
    let export = ["keys", "export", "vault", "--path", "0/7", "--format", "address-eth"];
    let child = String::from_utf8(alice.command(export).output().unwrap().stdout).unwrap();
    is_by(child.trim(), &[raw.trim()]);
    let key = ["--key", "vault/0/7"];
    let shown = alice.run([&["show", "--eth-tx", "tx.json"], &key[..]].concat()).succeeds();
    assert_eq!(shown["from"], child.trim());
    assert_eq!(shown["payload"]["value"], "1500000000000000000");
    assert_eq!(shown["payload"]["max_fee"], "630000000000000");
}

#[test]
fn typed_data_are_signed_as_wallets_do() {
    let (alice, _bob, mut listener) = two_with_key();
    let account = account(&alice, "vault");
    for known in known("typed_data").as_array().unwrap() {
        alice.write("typed.json", known["given"].to_string());
        let result = alice.run(["sign", "--typed-data", "typed.json"]).succeeds();
        is_by(&account, &[&text(&known["digest"]), &text(&result["signature"])]);
        let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
        assert_eq!(seen["payload"], result["payload"]);
    }
    let output = alice.command(["sign", "-q", "--typed-data", "typed.json"]).output().unwrap();
    let signature = String::from_utf8(output.stdout).unwrap();
    let signature = signature.trim();
    assert_eq!(signature.len(), 132, "{signature}");
    alice.run(["verify", "--typed-data", "typed.json", signature]).succeeds();
    alice.write("other.json", known("typed_data")[0]["given"].to_string());
    alice.run(["verify", "--typed-data", "other.json", signature]).fails(1, "");
}

#[test]
fn what_cannot_be_signed_is_said_at_once_and_nobody_is_asked() {
    let (alice, bob, _listener) = two_with_key();
    let before = bob.outcomes();
    let mut tx = payment();
    tx["chainId"] = Value::Null;
    alice.run(["sign", "--eth-tx", &tx.to_string()]).fails(2, "chainId: 0 or missing");
    tx["chainId"] = 1.into();
    tx["from"] = "0x2222222222222222222222222222222222222222".into();
    alice.run(["sign", "--eth-tx", &tx.to_string()]).fails(2, "0x2222");
    alice.run(["sign", "--eth-tx", "0x02c0"]).fails(2, "chainId: missing");
    alice.run(["show", "--eth-tx", "0x02c0"]).fails(2, "chainId: missing");
    alice.run(["show", "--eth-tx", &tx.to_string(), "--key", "vault"]).fails(2, "0x2222");
    let mut mail = known("typed_data")[0]["given"].clone();
    mail["message"]["to"]["age"] = 3.into();
    alice.write("mail.json", mail.to_string());
    alice.run(["sign", "--typed-data", "mail.json"]).fails(2, "message.to.age");
    alice.write("large.json", " ".repeat(70_000));
    alice.run(["sign", "--typed-data", "large.json"]).fails(2, "65536");
    assert_eq!(bob.outcomes(), before);
}

#[test]
fn a_transaction_that_was_altered_is_refused_and_nobody_is_asked() {
    let (alice, bob, listener) = two_with_key();
    let insider = opened(&alice);
    let record = only_key(&insider);
    let shown = alice.run(["show", "--eth-tx", &payment().to_string()]).succeeds();
    let digest: [u8; 32] = hex::decode(text(&shown["digest"])).unwrap().try_into().unwrap();
    let honest = honest_payload();
    assert_eq!(digest[..], Keccak256::digest(&honest)[..]);
    let mut altered = honest.clone();
    altered[30] ^= 1;
    let of = |bytes: &[u8]| <[u8; 32]>::from(Keccak256::digest(bytes));
    let longer = [&honest[..], &[0]].concat();
    let text = b"{}".to_vec();
    let tx = |bytes: &[u8]| Source::EthTx { size: bytes.len() as u64 };
    let lies = [
        ("another receiver", tx(&altered), digest, altered.clone()),
        ("bytes after the end", tx(&longer), of(&longer), longer.clone()),
        ("no transaction", tx(&text), of(&text), text.clone()),
        ("typed data", Source::TypedData { size: 2 }, of(&text), text.clone()),
        (
            "a transaction for a message",
            Source::TypedData { size: honest.len() as u64 },
            digest,
            honest.clone(),
        ),
    ];
    block_on(async {
        for (what, source, digest, bytes) in lies {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = Proposal { source, digest: Hex(digest), ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            link.send(Frame::new(Kind::Payload, bytes)).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Payload }), "{what}");
            until_closed(link).await;
        }
    });
    let outcomes = bob.outcomes();
    assert!(outcomes.iter().all(|outcome| outcome != "signed"), "{outcomes:?}");
    drop(insider);
    alice.run(["sign", "--eth-tx", &payment().to_string()]).succeeds();
}

/// The payload of [`payment`].
fn honest_payload() -> Vec<u8> {
    let (read, _) = cosign::payload::ethereum::given::read(&payment().to_string()).unwrap();
    read.encode()
}
