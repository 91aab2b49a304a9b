//! What an earlier release left on a token and in the home beside it, with a device that it made a key with:
//! `tests/frozen/VERSION/token` is opened and used by this program.

use std::fs;
use std::path::{Path, PathBuf};

use cosign::vault::{Home, KeyState, keys};

use crate::device::{Device, copy_home, text};
use crate::holder::{Holder, TOKEN, introduce, serve};
use crate::{fresh_digest, openssl};

const VERSIONS: [&str; 1] = ["0.1.0"];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(version).join("token")
}

/// Tess on the token, and Bob with an identity, where `version` has left them.
fn thawed(version: &str) -> (Holder, Device) {
    let (tess, bob) = (Holder::without_token("tess"), Device::blank("bob"));
    let frozen = folder(version);
    copy_home(&frozen.join("tess"), &tess.home());
    copy_home(&frozen.join("softhsm"), &tess.path("tokens"));
    copy_home(&frozen.join("bob"), &bob.home());
    bob.write("key.txt", fs::read(frozen.join("bob.txt")).unwrap());
    (tess, bob)
}

#[test]
fn a_home_of_an_earlier_release_on_a_token_opens_and_goes_on() {
    for version in VERSIONS {
        let (tess, bob) = thawed(version);
        let listed = tess.run(["keys", "list"]);
        assert!(listed.events("note").is_empty(), "{}", listed.stderr);
        assert_eq!(listed.succeeds()["checked"], true);
        let states = keys::find(&Home::at(tess.home()), "vault").unwrap();
        let states: Vec<KeyState> = states.iter().map(|record| record.state).collect();
        assert_eq!(states, [KeyState::Active]);
        let log = tess.run(["log", "--verify"]).succeeds();
        assert_eq!((&log["valid"], &log["attested"]), (&true.into(), &true.into()));

        let listener = serve(&bob, "tess");
        let pem = tess.path("vault.pem");
        tess.run(["keys", "export", "vault", "-o", "vault.pem"]).succeeds();
        let sign = || {
            let digest = fresh_digest();
            let to_bob = ["--key", "vault", "--peer", &listener.address()];
            let made = tess.run([&["sign", &digest], &to_bob[..]].concat()).succeeds();
            openssl::is_satisfied(&made, &pem, &digest);
        };
        sign();
        let before = tess.location("vault");
        tess.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
        assert_ne!(tess.location("vault"), before);
        sign();
    }
}

/// Lets the program `COSIGN_OLD` make what is frozen in `COSIGN_TEST_FREEZE`, for a release.
#[test]
#[ignore = "writes files for the repository"]
fn freeze() {
    let [into, program] = ["COSIGN_TEST_FREEZE", "COSIGN_OLD"]
        .map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let mut tess = Holder::new("tess");
    tess.device.program.clone_from(&program);
    tess.run(["init", "--name", "tess", "--token", TOKEN]).succeeds();
    let bob = Device::running(program, "bob");
    introduce(&tess, &bob);
    let listener = serve(&bob, "tess");
    let to_bob = ["--key", "vault", "--with", "bob", "--peer", &listener.address()];
    tess.run([&["keygen"], &to_bob[..]].concat()).succeeds();
    tess.run([&["sign", &fresh_digest()], &to_bob[..]].concat()).succeeds();
    drop(listener);
    assert!(text(&tess.run(["keys", "show", "vault"]).succeeds()["location"]).contains("pkcs11"));
    let into = into.join("token");
    copy_home(&tess.home(), &into.join("tess"));
    copy_home(&tess.path("tokens"), &into.join("softhsm"));
    copy_home(&bob.home(), &into.join("bob"));
    fs::copy(bob.path("key.txt"), into.join("bob.txt")).unwrap();
}
