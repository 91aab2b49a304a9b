//! A private key that exists is dealt into shares.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cosign::curve::CurveName;
use cosign::device::Label;
use cosign::party::PartyId;
use cosign::request::{Action, Importing, Request, RequestId};

use crate::device::{Device, text};
use crate::openssl::is_satisfied;
use crate::parties::Group;
use crate::signing::fresh_digest;

/// A private key that openssl makes in `device`'s folder, and the PEM file of its public key.
fn whole_key(device: &Device) -> (PathBuf, PathBuf) {
    let (key, public) = (device.path("whole.pem"), device.path("whole.pub.pem"));
    let openssl = |args: &[&str]| {
        assert!(Command::new("openssl").args(args).output().unwrap().status.success());
    };
    let (key_at, public_at) = (key.to_str().unwrap(), public.to_str().unwrap());
    openssl(&["ecparam", "-name", "secp256k1", "-genkey", "-out", key_at]);
    openssl(&["pkey", "-in", key_at, "-pubout", "-out", public_at]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (key, public)
}

/// These two sign under the key `old`, as openssl sees it.
#[track_caller]
fn sign(asker: &Device, with: &str, pem: &Path) {
    let digest = fresh_digest();
    let signed = asker.run(["sign", &digest, "--key", "old", "--with", with]).succeeds();
    is_satisfied(&signed, pem, &digest);
}

#[test]
fn a_private_key_becomes_shares_which_are_reshared_and_sign_as_it_did() {
    let group = Group::new(&["alice", "bob", "carol"], 2, "2");
    let (alice, bob) = (group.of("alice"), group.of("bob"));
    let (key, pem) = whole_key(alice);
    let before = fs::read(&key).unwrap();
    let import = ["keygen", "--key", "old", "--with", "bob", "--import", key.to_str().unwrap()];
    let made = alice.run(import);
    // She sees what she imports before anybody is asked.
    let place = |what: &str| made.stderr.find(what).unwrap_or_else(|| panic!("{}", made.stderr));
    let (said, done) =
        (place("importing the private key of public key "), place("imported: every"));
    let (called, made_at) = (place("\"event\":\"waiting\""), place("\"event\":\"key\""));
    assert!(said < called && called < made_at && made_at < done, "{}", made.stderr);
    let notes = made.events("note");
    let made = made.succeeds();
    let importing = text(&notes[0]["message"]);
    assert!(importing.contains(&text(&made["public_key"])), "{importing}");
    assert!(importing.contains(" with address 0x") && importing.contains("signs alone"));
    assert_eq!((&made["confirmed"], &made["threshold"]), (&true.into(), &2.into()));
    // Its file is the owner's to destroy.
    assert_eq!(fs::read(&key).unwrap(), before);
    let exported = alice.path("old.pem");
    alice.run(["keys", "export", "old", "-o", exported.to_str().unwrap()]).succeeds();
    assert_eq!(fs::read(&exported).unwrap(), fs::read(&pem).unwrap());
    sign(alice, "bob", &pem);
    sign(bob, "alice", &pem);
    alice.run(["keys", "reshare", "old", "--add", "carol"]).succeeds();
    sign(group.of("carol"), "bob", &pem);
    // It is here already, whatever it is called.
    let again = ["keygen", "--key", "again", "--with", "bob", "--import", key.to_str().unwrap()];
    alice.run(again).fails(12, "old");
    let twice = ["keygen", "--key", "again", "--with", "alice", "--import", key.to_str().unwrap()];
    bob.run(twice).fails(12, "old");
}

#[test]
fn keys_below_an_imported_xprv_are_those_that_its_wallet_has() {
    let group = Group::new(&["alice", "bob"], 2, "2");
    let alice = group.of("alice");
    // BIP-32, test vector 2: its master key, and the public key of m/0.
    let file = alice.path("xprv");
    let xprv = "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpSBHNqPqm55Qn3LqFtT2emdEXVYsCzC2U\n";
    fs::write(&file, xprv).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let import = ["keygen", "--key", "old", "--with", "bob", "--import", file.to_str().unwrap()];
    alice.run(import).succeeds();
    let child = alice.run(["keys", "export", "old", "--path", "0", "--format", "xpub"]);
    let below = "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH";
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(said.contains(below), "{said}");
}

#[test]
fn only_a_rule_that_names_it_allows_an_import_and_a_person_sees_what_it_means() {
    let mut group = Group::new(&["alice", "bob"], 2, "2");
    let (key, _) = whole_key(group.of("alice"));
    group.sleeps("bob");
    let (alice, bob) = (group.of("alice"), group.of("bob"));
    let import = ["keygen", "--key", "old", "--with", "bob", "--import", key.to_str().unwrap()];
    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = format!("bob={}", listener.address());
    alice.run([&import[..], &["--peer", &to]].concat()).fails(9, "the policy of bob");
    drop(listener);
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let to = format!("bob={}", at_bob.address());
    let asking = alice.start([&import[..], &["--peer", &to]].concat());
    at_bob.shows("request to share a key that exists whole").shows("address      0x");
    at_bob.shows("every copy of the whole key from before signs alone").approves();
    asking.ends().succeeds();
}

#[test]
fn a_file_that_is_no_private_key_is_refused_before_anybody_is_asked() {
    let alice = Device::new("alice");
    let file = alice.path("key");
    let import = ["keygen", "--key", "old", "--with", "bob", "--import", file.to_str().unwrap()];
    alice.run(import).fails(10, "private key");
    for (content, mode, exit) in [("no key", 0o600, 2), ("1".repeat(64).as_str(), 0o644, 74)] {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        alice.run(import).fails(exit, "key");
    }
}

/// What a lying requester may say in the proposal of an import.
#[test]
fn an_import_of_no_point_is_no_request() {
    let parties = [[1; 32], [2; 32]].map(cosign::device::Fingerprint::new).to_vec();
    let signers: Vec<PartyId> = PartyId::all(2).collect();
    let request = |signers: Vec<PartyId>| Request {
        id: RequestId::new("r").unwrap(),
        key: "old".into(),
        curve: CurveName::default(),
        threshold: 2,
        requester: PartyId::new(1).unwrap(),
        signers,
        parties: parties.clone(),
        purpose: Label::default(),
        action: Action::Import(Importing { public_key: [9; 33], chain_code: [0; 32] }),
    };
    assert!(request(signers.clone()).is_sound());
    assert!(!request(signers[..1].to_vec()).is_sound());
}
