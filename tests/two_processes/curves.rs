//! Keys on P-256, beside those on secp256k1.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cosign::curve::CurveName;
use cosign::device::Label;
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::error::Error;
use cosign::driver::records;
use cosign::net::tls::Expect;
use cosign::payload::{MessageFormat, Source};
use cosign::wire::{About, Message, Proposal, Reason};

use crate::device::{Device, Listener, arg, text, two};
use crate::insider::{block_on, enter, opened, port, proposal, soon};
use crate::openssl::is_satisfied;
use crate::parties::Group;
use crate::signing::{exported, fresh_digest};
use crate::wallet::{COIN, Wallet};

/// Alice and Bob, who made the key `release` on P-256 together; Bob listens and allows what Alice asks for.
fn two_with_release() -> (Device, Device, Listener) {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    let keygen = ["keygen", "--key", "release", "--curve", "p256", "--with", "bob", "--peer", &to];
    assert_eq!(alice.run(keygen).succeeds()["curve"], "p256");
    (alice, bob, listener)
}

/// What openssl prints, of these words.
fn openssl(device: &Device, words: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    let output = command.args(words).current_dir(device.path(".")).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), text)
}

#[test]
fn a_key_on_p256_signs_a_digest_and_a_file_as_openssl_checks_them() {
    let (alice, bob, mut listener) = two_with_release();
    let seen = listener.event_where("request", |request| request["ceremony"] == "keygen");
    assert_eq!(seen["curve"], "p256");
    let pem = exported(&alice, "release");
    let (_, described) = openssl(&alice, &["pkey", "-pubin", "-in", arg(&pem), "-noout", "-text"]);
    assert!(described.contains("prime256v1"), "{described}");
    let digest = fresh_digest();
    let signed = alice.run(["sign", &digest]).succeeds();
    is_satisfied(&signed, &pem, &digest);
    let der = text(&signed["der"]);
    alice.run(["verify", "--key", "release", &digest, &der]).succeeds();
    bob.run(["verify", "--key", "release", &digest, &der]).succeeds();
    alice.run(["verify", "--key", "release", &fresh_digest(), &der]).fails(1, "invalid signature");
    alice.write("notes", "release 1.2\n");
    alice.run(["sign", "--file", "notes", "-o", "notes.der"]).succeeds();
    let verify = ["dgst", "-sha256", "-verify", arg(&pem), "-signature", "notes.der", "notes"];
    assert_eq!(openssl(&alice, &verify), (true, "Verified OK\n".to_owned()));
    alice.write("notes", "release 1.3\n");
    assert!(!openssl(&alice, &verify).0);
    for device in [&alice, &bob] {
        let list = device.run(["keys", "list"]).succeeds();
        assert_eq!(list["keys"][0]["curve"], "p256");
        assert_eq!(device.run(["keys", "show", "release"]).succeeds()["curve"], "p256");
        let log = device.run(["log"]).succeeds();
        let entries = log["entries"].as_array().unwrap();
        assert!(entries.iter().filter(|e| e["key"] == "release").all(|e| e["curve"] == "p256"));
    }
}

#[test]
fn a_public_key_on_p256_is_exported_as_what_it_is() {
    let (alice, _bob, _listener) = two_with_release();
    let export = |format| alice.run(["keys", "export", "release", "--format", format]);
    let public_key = text(&alice.run(["keys", "show", "release"]).succeeds()["public_key"]);
    assert_eq!(text(&export("hex").succeeds()["exported"]), public_key);
    let jwk = text(&export("jwk").succeeds()["exported"]);
    let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    assert_eq!((&jwk["kty"], &jwk["crv"]), (&"EC".into(), &"P-256".into()));
    for format in ["xpub", "descriptor", "address-eth", "address-btc"] {
        export(format).fails(2, "is on P-256");
    }
    alice.run(["keys", "export", "release", "--path", "0"]).fails(2, "is on P-256");
}

#[test]
fn what_wallets_sign_is_refused_before_anybody_is_asked() {
    let (alice, _bob, listener) = two_with_release();
    drop(listener);
    let transaction = "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    let typed = r#"{"types":{"Note":[{"name":"text","type":"string"}]},"primaryType":"Note","domain":{},"message":{"text":"hi"}}"#;
    alice.write("typed.json", typed);
    let digest = fresh_digest();
    // A payment of another key.
    let wallet = "wpkh(xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc\
                  4a6mr8BDzTJY47LJhkJ8UB7WEGuduB/<0;1>/*)";
    alice.write("payment.psbt", Wallet::described(wallet).pays(COIN, 2).serialize());
    for what in [
        &["--message", "gm"][..],
        &["--message", "gm", "--message-format", "bitcoin"],
        &["--eth-tx", transaction],
        &["--typed-data", "typed.json"],
        &["--psbt", "payment.psbt"],
        &[&digest, "--path", "0/7"],
    ] {
        let sign = [&["sign", "--key", "release"], what].concat();
        alice.run(sign).fails(2, "is on P-256");
        let wait = [&["sign", "--key", "release", "--wait"], what].concat();
        alice.run(wait).fails(2, "is on P-256");
    }
    alice.run(["sign", &digest, "--key", "release/0"]).fails(2, "is on P-256");
    let show = ["show", "--eth-tx", transaction, "--key", "release"];
    alice.run(show).fails(2, "is on P-256");
}

/// What an approver answers to this proposal.
fn answered(
    insider: &std::sync::Arc<cosign::driver::Node>,
    address: &str,
    proposal: Proposal,
) -> Message {
    block_on(async {
        let mut link = enter(&insider.tls, address).await;
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        let answer = hear(&mut link, soon()).await.unwrap();
        drop(link);
        answer
    })
}

#[test]
fn a_requester_that_asks_such_a_key_for_what_wallets_sign_is_refused_by_the_approver_itself() {
    let (alice, bob, listener) = two_with_release();
    let insider = opened(&alice);
    let record = records::active(&insider.home, "release").unwrap();
    let honest = || proposal(&insider, &record);
    assert_eq!(honest().curve, CurveName::P256);
    let message = Source::Message { format: MessageFormat::Ethereum, size: 2 };
    for proposal in [
        Proposal { path: vec![0], ..honest() },
        Proposal { source: (&message).into(), ..honest() },
        Proposal { source: (&Source::EthTx { size: 2 }).into(), ..honest() },
        Proposal { source: (&Source::TypedData { size: 2 }).into(), ..honest() },
    ] {
        let refused = answered(&insider, &listener.address(), proposal);
        assert!(matches!(refused, Message::Refuse { .. }), "{refused:?}");
    }
    // On secp256k1 he has no such key.
    let other = Proposal { curve: CurveName::Secp256k1, ..honest() };
    let refused = answered(&insider, &listener.address(), other);
    assert_eq!(refused, Message::Refuse { reason: Reason::UnknownKey });
    let other = Proposal { curve: CurveName::Secp256k1, path: vec![0], ..honest() };
    let refused = answered(&insider, &listener.address(), other);
    assert_eq!(refused, Message::Refuse { reason: Reason::UnknownKey });
    drop(listener);
    assert!(bob.outcomes().iter().all(|outcome| !["signed", "policy"].contains(&outcome.as_str())));
}

#[test]
fn two_of_three_sign_on_p256_and_go_on_after_a_refresh_and_a_reshare() {
    let mut group = Group::on("p256", &["alice", "bob", "carol", "dave"], 3, "2");
    group.sign(&[&["alice", "bob"], &["bob", "carol"], &["carol", "alice"]]);
    group.of("alice").run(["keys", "refresh", "vault"]).succeeds();
    group.sign(&[&["alice", "carol"], &["carol", "bob"]]);
    group.sleeps("carol");
    let reshare = ["keys", "reshare", "vault", "--lost", "carol", "--add", "dave"];
    let made = group.of("bob").run(reshare).succeeds();
    assert_eq!((&made["curve"], &made["address"]), (&"p256".into(), &serde_json::Value::Null));
    group.sign(&[&["dave", "alice"], &["bob", "dave"]]);
    let left = ["keys", "reshare", "vault", "--remove", "alice"];
    assert_eq!(group.of("bob").run(left).succeeds()["curve"], "p256");
    group.of("alice").run(["keys", "show", "vault"]).fails(10, "vault");
    group.sign(&[&["dave", "bob"]]);
    group.of("dave").run(["keygen", "--key", "vault", "--resume"]).succeeds();
}

#[test]
fn keys_of_both_curves_are_beside_each_other() {
    let (alice, bob, listener) = two_with_release();
    let to = listener.address();
    alice.run(["keygen", "--key", "coins", "--with", "bob", "--peer", &to]).succeeds();
    let again = ["keygen", "--key", "coins", "--curve", "p256", "--with", "bob", "--peer", &to];
    alice.run(again).fails(12, "--key coins-2").fails(12, "--curve p256");
    for (key, curve) in [("release", "p256"), ("coins", "secp256k1")] {
        let (digest, pem) = (fresh_digest(), exported(&bob, key));
        let signed = alice.run(["sign", &digest, "--key", key, "--peer", &to]).succeeds();
        is_satisfied(&signed, &pem, &digest);
        assert_eq!(bob.run(["keys", "show", key]).succeeds()["curve"], curve);
        let record = fs::read_to_string(bob.home().join("data/keys").join(key).join("key.json"));
        let record = record.unwrap();
        assert_eq!(record.contains("\"curve\": \"p256\""), curve == "p256", "{record}");
        let version = if curve == "p256" { "\"version\": 2" } else { "\"version\": 1" };
        assert!(record.contains(version), "{record}");
    }
    // A record that says another curve than the share is not that share's.
    let node = opened(&alice);
    for record in cosign::vault::keys::list(&node.home).unwrap() {
        let mut wrong = record.clone();
        wrong.curve = CurveName::ALL.into_iter().find(|curve| *curve != record.curve).unwrap();
        assert!(records::share(&node.vault, &record).is_ok());
        let refused = records::share(&node.vault, &wrong);
        assert!(matches!(refused, Err(Error::DamagedShare(_))), "{refused:?}");
    }
}

#[test]
fn a_backup_of_a_key_on_p256_is_restored_and_combined() {
    let mut group = Group::on("p256", &["alice", "bob"], 2, "2");
    let words = "backups want words of their own\n";
    for name in ["alice", "bob"] {
        let device = group.of(name);
        let pass = device.write("backup.pass", words);
        fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
        let flags = ["-o", "vault.backup", "--backup-passphrase-file", "backup.pass"];
        device.run([&["keys", "backup", "vault"], &flags[..]].concat()).succeeds();
        let verify =
            ["keys", "verify-backup", "vault.backup", "--backup-passphrase-file", "backup.pass"];
        assert_eq!(device.run(verify).succeeds()["state"], "current");
    }
    let (alice, bob) = (group.of("alice"), group.of("bob"));
    alice.write("bob.backup", fs::read(bob.path("vault.backup")).unwrap());
    let combine = |format: &str, file: &str| {
        let flags = ["--backup-passphrase-file", "backup.pass", "--yes-the-key-will-exist"];
        let what =
            ["keys", "combine", "vault.backup", "bob.backup", "--out-format", format, "-o", file];
        alice.run([&what[..], &flags].concat())
    };
    for format in ["wif", "xprv"] {
        combine(format, "whole").fails(2, "is on P-256");
    }
    combine("pem", "whole.pem").succeeds();
    let pem = exported(alice, "vault");
    let (_, public) = openssl(alice, &["pkey", "-in", "whole.pem", "-pubout"]);
    assert_eq!(public, fs::read_to_string(pem).unwrap());
    // Alice's laptop is gone, and another one has her backup.
    let (backup, pass) = (fs::read(alice.path("vault.backup")).unwrap(), words);
    let new = Device::blank("alice");
    new.write("vault.backup", backup);
    let pass = new.write("backup.pass", pass);
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
    let restore = ["keys", "restore", "vault.backup", "--backup-passphrase-file", "backup.pass"];
    new.run(restore).succeeds();
    group.devices[0] = new;
    group.listeners[0] = None;
    let (print, address) =
        (group.of("bob").fingerprint(), group.listeners[1].as_ref().unwrap().address());
    let add = ["peers", "add", "bob", "--fingerprint", &print, "--address", &address];
    group.of("alice").run(add).succeeds();
    group.of("alice").run(["keys", "refresh", "vault"]).succeeds();
    group.exports("bob");
    group.sign(&[&["alice", "bob"]]);
}

#[test]
fn a_private_key_on_p256_is_imported_where_that_curve_is_asked_for() {
    let group = Group::without_key(&["alice", "bob"]);
    let alice = group.of("alice");
    let key = alice.path("whole.pem");
    assert!(openssl(alice, &["ecparam", "-name", "prime256v1", "-genkey", "-out", arg(&key)]).0);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let import = ["keygen", "--key", "old", "--with", "bob", "--import", arg(&key)];
    alice.run(import).fails(2, "is on P-256, not on secp256k1").fails(2, "give --curve p256");
    let made = alice.run([&import[..], &["--curve", "p256"]].concat()).succeeds();
    assert_eq!(made["curve"], "p256");
    let (_, public) = openssl(alice, &["pkey", "-in", arg(&key), "-pubout"]);
    let pem = exported(group.of("bob"), "old");
    assert_eq!(public, fs::read_to_string(&pem).unwrap());
    let digest = fresh_digest();
    let signed = alice.run(["sign", &digest, "--key", "old", "--with", "bob"]).succeeds();
    is_satisfied(&signed, &pem, &digest);
    let wif = alice.write("wif", "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n");
    fs::set_permissions(&wif, fs::Permissions::from_mode(0o600)).unwrap();
    let wif = ["keygen", "--key", "w", "--curve", "p256", "--with", "bob", "--import", "wif"];
    alice.run(wif).fails(2, "is on secp256k1, not on P-256");
}

#[test]
fn a_program_that_knows_secp256k1_alone_is_not_asked() {
    let (alice, bob) = two();
    let node = opened(&bob);
    let this = About::this_program(false);
    let mut older = this.clone();
    older.can.retain(|word| word.as_str() != "p256");
    assert_eq!(older.can.len() + 1, this.can.len());
    for (about, program) in [(Some(older), env!("CARGO_PKG_VERSION")), (None, "0.1.0")] {
        block_on(async {
            let (port, address) = port().await;
            let keygen = ["keygen", "--key", "release", "--with", "bob", "--peer", &address];
            let asking = alice.start([&keygen[..], &["--curve", "p256"]].concat());
            let (io, _) = port.accept().await;
            let mut link = node.tls.accept(io, Expect::Anyone).await.unwrap();
            assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Hello { .. })));
            let welcome = Message::Welcome { name: Label::new("bob"), about };
            say(&mut link, &welcome).await.unwrap();
            let next = hear(&mut link, soon()).await;
            assert_eq!(next, Ok(Message::Refuse { reason: Reason::Aborted }));
            asking
        })
        .ends()
        .fails(6, &format!("bob's cosign {program} cannot have keys on P-256"));
    }
}

#[test]
fn a_person_sees_the_curve_of_a_key_that_is_to_be_made() {
    let (alice, bob) = two();
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = at_bob.address();
    let keygen = ["keygen", "--key", "release", "--curve", "p256", "--with", "bob", "--peer", &to];
    let asking = alice.start(keygen);
    at_bob.shows("request to make a key").shows("curve        P-256").approves();
    assert_eq!(asking.ends().succeeds()["curve"], "p256");
}
