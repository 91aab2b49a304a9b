//! Homes with files of a later version: these are named and stay as they are, and everything that
//! does not depend on them works.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::device::{Device, two, two_with_key};
use crate::signing::fresh_digest;

/// Says of the file at `path` in the home of `device` that its format is a later one.
fn outdate(device: &Device, path: &str) -> Vec<u8> {
    let file = device.home().join(path);
    let mut document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let latest = if path.ends_with("key.json") { 2 } else { 1 };
    document["version"] = (latest + 1).into();
    // Its MAC may be one that only the later version knows.
    document["mac"] = "5a".repeat(32).into();
    let later = serde_json::to_vec(&document).unwrap();
    fs::write(file, &later).unwrap();
    later
}

fn below(device: &Device, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = device.files();
    files.retain(|(path, _)| path.starts_with(device.home().join(folder)));
    files.sort();
    files
}

/// The message that names both versions.
const NAMED: &str =
    concat!("has format 2; cosign ", env!("CARGO_PKG_VERSION"), " reads formats up to 1");

/// That of the record of a key, which may name its curve.
const KEY_NAMED: &str =
    concat!("has format 3; cosign ", env!("CARGO_PKG_VERSION"), " reads formats up to 2");

#[test]
fn a_key_of_a_later_version_is_set_aside_and_the_others_sign() {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    for name in ["later", "vault"] {
        alice.run(["keygen", "--key", name, "--with", "bob", "--peer", &to]).succeeds();
    }
    outdate(&alice, "data/keys/later/key.json");
    let before = below(&alice, "data/keys/later");

    let listed = alice.run(["keys", "list"]).fails(12, KEY_NAMED).document()["result"].take();
    let names = |field: &str| -> Vec<String> {
        let keys = listed[field].as_array().unwrap().iter();
        keys.map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names("keys"), names("newer")), (vec!["vault".into()], vec!["later".into()]));
    assert_eq!(listed.get("damaged"), None);
    let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(12, "").document();
    let checks = doctor["result"]["checks"].as_array().unwrap().iter();
    let named = checks.filter(|check| check["found"].as_str().unwrap().contains(KEY_NAMED));
    assert_eq!(named.map(|check| &check["name"]).collect::<Vec<_>>(), ["keys"]);

    // It may be the one that is to be imported.
    alice.write("whole.hex", format!("{}\n", "11".repeat(32)));
    let import = ["keygen", "--key", "whole", "--with", "bob", "--import", "whole.hex"];
    alice.run([&import[..], &["--peer", &to]].concat()).fails(12, KEY_NAMED);

    // The only key that is understood needs no name.
    let signed = alice.run(["sign", &fresh_digest(), "--peer", &to]);
    assert!(signed.events("note").iter().any(|note| note.to_string().contains(KEY_NAMED)));
    assert_eq!(signed.succeeds()["key"], "vault");
    alice.run(["keys", "refresh", "vault", "--peer", &to]).succeeds();
    alice.run(["sign", &fresh_digest(), "--key", "vault", "--peer", &to]).succeeds();

    alice.write("new", "wrong mule socket nail\n");
    for command in [
        &["keys", "show", "later"][..],
        &["keys", "export", "later"],
        &["sign", &fresh_digest(), "--key", "later", "--peer", &to],
        &["keys", "refresh", "later", "--peer", &to],
        &["keygen", "--key", "later", "--with", "bob", "--peer", &to],
        &["keygen", "--key", "later", "--resume"],
        &["keys", "delete", "later", "--yes-delete", "later"],
        &["vault", "move", "--to-passphrase", "--new-passphrase-file", "new"],
    ] {
        alice.run(command).fails(12, KEY_NAMED);
    }
    assert_eq!(below(&alice, "data/keys/later"), before);
    assert_eq!(alice.run(["keys", "show", "vault"]).succeeds()["generation"], 2);
    drop(listener);

    // Bob is told that it is her program, not that she has no share.
    let listener = alice.serve(&[&bob]);
    let to = listener.address();
    let digest = fresh_digest();
    for command in [
        &["sign", &digest, "--key", "later", "--peer", &to][..],
        &["keys", "refresh", "later", "--peer", &to],
    ] {
        bob.run(command).fails(6, "alice runs a version");
    }
    bob.run(["sign", &fresh_digest(), "--key", "vault", "--peer", &to]).succeeds();
    assert_eq!(below(&alice, "data/keys/later"), before);
}

#[test]
fn what_all_signing_rests_on_stops_it_where_a_later_version_wrote_it() {
    let (alice, _bob, listener) = two_with_key();
    let to = listener.address();
    alice.run(["sign", &fresh_digest(), "--peer", &to]).succeeds();
    for file in ["data/vault.json", "data/device.json", "config/peers.json", "state/editions.json"]
    {
        let whole = fs::read(alice.home().join(file)).unwrap();
        let later = outdate(&alice, file);
        alice.run(["sign", &fresh_digest(), "--peer", &to]).fails(12, NAMED);
        alice
            .run(["peers", "add", "eve", "--fingerprint", &"2".repeat(64)])
            .fails(12, NAMED)
            .fails(12, file.rsplit('/').next().unwrap());
        assert_eq!(fs::read(alice.home().join(file)).unwrap(), later, "{file}");
        fs::write(alice.home().join(file), whole).unwrap();
    }
    let ledger = alice.home().join("state/ledger.jsonl");
    let text = fs::read_to_string(&ledger).unwrap();
    let later = text.replacen("{\"ledger\":2}", "{\"ledger\":3}", 1);
    assert_ne!(later, text);
    fs::write(&ledger, &later).unwrap();
    alice.run(["sign", &fresh_digest(), "--peer", &to]).fails(12, "has format 3; cosign ");
    assert_eq!(fs::read_to_string(&ledger).unwrap(), later);
    fs::write(&ledger, text).unwrap();
    alice.run(["sign", &fresh_digest(), "--peer", &to]).succeeds();
}

#[test]
fn what_nothing_rests_on_stays_where_a_later_version_wrote_it_and_signing_goes_on() {
    let (alice, bob, listener) = two_with_key();
    let to = listener.address();
    let sign = || alice.run(["sign", &fresh_digest(), "--peer", &to]);
    sign().succeeds();
    // Leaves a note of a deleted key on each device.
    let other = ["keygen", "--key", "old", "--with", "bob", "--peer", &to];
    alice.run(other).succeeds();
    alice.run(["keys", "delete", "old", "--yes-delete", "old"]).succeeds();
    let files = ["attempts.json", "policy.json", "log.head", "addresses.json"];
    let files = files.map(|name| format!("state/{name}"));
    for file in files.iter().map(String::as_str).chain(["data/deleted.json"]) {
        let whole = fs::read(alice.home().join(file)).unwrap();
        let later = outdate(&alice, file);
        let signed = sign();
        let notes = signed.events("note");
        assert!(notes.iter().any(|note| note.to_string().contains(NAMED)), "{file}: {notes:?}");
        let warning = signed.succeeds().get("warning").map(ToString::to_string);
        let warns = warning.is_some_and(|warning| warning.contains(NAMED));
        assert_eq!(warns, file.ends_with("log.head"), "{file}");
        let doctor = alice.run(["doctor", "--wait", "1ms"]).fails(12, "").document();
        assert!(doctor.to_string().contains(NAMED), "{file}");
        assert_eq!(fs::read(alice.home().join(file)).unwrap(), later, "{file}");
        fs::write(alice.home().join(file), whole).unwrap();
    }
    outdate(&alice, "state/attempts.json");
    alice.run(["pair", "--reset-attempts"]).fails(12, NAMED);
    assert!(!bob.outcomes().is_empty());
}
