//! Normal use of tokens: keys and signatures, moving, and the objects on the token.

use std::path::Path;

use serde_json::json;

use crate::device::{Device, Listener, arg, holds, text};
use crate::holder::{Holder, PIN, TOKEN, introduce_with, only, serve};
use crate::{fresh_digest, openssl};

/// Alice on a token and Bob with a passphrase made the key `vault` together; Bob listens.
fn with_key(alice: &Holder) -> (Device, Listener) {
    let bob = Device::blank("bob");
    let passphrase = bob.write("passphrase", "correct horse battery staple");
    let mut init = bob.script(["init", "--name", "bob"]);
    init.env_remove("COSIGN_IDENTITY").env("COSIGN_PASSPHRASE_FILE", &passphrase);
    crate::device::Running::start(&mut init).ends().succeeds();
    introduce_with(alice, &[], &bob, Some(Path::new(&passphrase)));
    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let mut listen =
        bob.script(["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"]);
    listen.env_remove("COSIGN_IDENTITY").env("COSIGN_PASSPHRASE_FILE", &passphrase);
    let listener = Listener::on(crate::device::Running::start(&mut listen));
    alice
        .run(["keygen", "--key", "vault", "--with", "bob", "--peer", &listener.address()])
        .succeeds();
    (bob, listener)
}

/// Signs and lets openssl verify.
#[track_caller]
fn sign(alice: &Holder, listener: &Listener, flags: &[&str]) {
    let pem = alice.path("vault.pem");
    // With the PIN the token would be asked too.
    let mut export = alice.pinless(["keys", "export", "vault", "-o", arg(&pem)]);
    crate::device::Running::start(&mut export).ends().succeeds();
    let digest = fresh_digest();
    let address = listener.address();
    let command = ["sign", &digest, "--key", "vault", "--peer", &address];
    let result = alice.run(command.iter().chain(flags)).succeeds();
    openssl::is_satisfied(&result, &pem, &digest);
}

#[test]
fn a_device_on_a_token_and_one_with_a_passphrase_sign_twenty_times() {
    let mut alice = Holder::sealed("alice");
    let (_bob, listener) = with_key(&alice);
    alice.through_stub();
    alice.calls();
    for _ in 0..20 {
        sign(&alice, &listener, &[]);
        let calls = alice.calls();
        let count = |name: &str| calls.iter().filter(|call| *call == name).count();
        // One session for unlocking and for reading the share; nothing is written.
        let expected = [
            ("C_Login", 1),
            ("C_OpenSession", 1),
            ("C_CloseSession", 1),
            ("C_DeriveKey", 1),
            ("C_CreateObject", 0),
            ("C_Finalize", 1),
        ];
        assert_eq!(expected.map(|(name, _)| (name, count(name))), expected, "{calls:?}");
    }
}

#[test]
fn the_key_cannot_leave_the_token_and_the_share_is_private_on_it() {
    let alice = Holder::sealed("alice");
    let (_bob, listener) = with_key(&alice);
    let listed = alice.pkcs11_tool(true, &["--list-objects"]);
    let access = "Access:     sensitive, always sensitive, never extractable, local";
    assert!(listed.contains(access), "{listed}");
    assert!(listed.contains("flags:           modifiable private"), "{listed}");
    assert!(listed.contains("application:    'cosign'"), "{listed}");
    assert_eq!(alice.objects().len(), 3, "{listed}");
    // The share cannot be read without the PIN, and `keys show` prints its URI.
    let public = alice.pkcs11_tool(false, &["--list-objects"]);
    assert!(!public.contains("Data object") && !public.contains("Private Key"), "{public}");
    let location = alice.location("vault");
    assert!(location.starts_with(TOKEN) && location.ends_with(";type=data"), "{location}");
    let label = location.split("object=").nth(1).unwrap().split(';').next().unwrap();
    assert!(listed.contains(&label.replace("%20", " ")), "{listed}");
    let listed = alice.run(["keys", "list"]).succeeds();
    assert_eq!(text(&listed["keys"][0]["location"]), location);
    // The PIN that was told opens the vault, so that what is listed is checked.
    assert_eq!(listed["checked"], true);
    // What is there is an age file for the vault's identity, and no copy of it is on the disk.
    let name = label.replace("%20", " ");
    let copy = alice.path("copy.age");
    alice.pkcs11_tool(
        true,
        &["--read-object", "--type", "data", "--label", &name, "-o", arg(&copy)],
    );
    let sealed = std::fs::read(&copy).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n-> X25519 "));
    std::fs::remove_file(&copy).unwrap();
    let body = &sealed[sealed.len() - 64..];
    assert!(
        !alice
            .files()
            .iter()
            .any(|(path, content)| path.starts_with(alice.home()) && holds(content, body))
    );
    drop(listener);
}

#[test]
fn without_the_token_the_home_opens_nothing() {
    let alice = Holder::sealed("alice");
    let (_bob, listener) = with_key(&alice);
    std::fs::rename(alice.path("tokens"), alice.path("elsewhere")).unwrap();
    std::fs::create_dir(alice.path("tokens")).unwrap();
    let digest = fresh_digest();
    let address = listener.address();
    alice
        .run(["sign", &digest, "--key", "vault", "--peer", &address])
        .fails(8, "the token is not there");
    alice
        .run(["vault", "move", "--to-passphrase", "--passphrase-file", "passphrase"])
        .fails(8, "not there");
    // Neither does anything that might be tried with it.
    for flag in ["--passphrase-file", "--identity"] {
        let file = if flag == "--identity" { "key.txt" } else { "passphrase" };
        alice.run(["sign", &digest, "--key", "vault", flag, file]).fails(8, "");
    }
    for (path, content) in alice.files() {
        let is_sealed = path.extension().is_some_and(|e| e == "age");
        assert!(!is_sealed || !holds(&content, b"-> scrypt"), "{path:?}");
        assert!(path.ends_with("key.txt") || !holds(&content, b"AGE-SECRET-KEY"), "{path:?}");
    }
    // Another token of the same name is another token.
    alice.make_token("cosign test");
    alice
        .run(["sign", &digest, "--key", "vault", "--peer", &address])
        .fails(8, "there is: pkcs11:token=cosign%20test");
    std::fs::remove_dir_all(alice.path("tokens")).unwrap();
    std::fs::rename(alice.path("elsewhere"), alice.path("tokens")).unwrap();
    sign(&alice, &listener, &[]);
}

#[test]
fn moving_there_and_back_keeps_the_key() {
    let alice = Holder::with_passphrase("alice");
    let old = ["--passphrase-file", "passphrase"];
    let bob = Device::new("bob");
    introduce_with(&alice, &old, &bob, None);
    let listener = serve(&bob, "alice");
    let address = listener.address();
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &address];
    alice.run(keygen.iter().chain(&old)).succeeds();
    assert!(alice.location("vault").ends_with(".age"));

    let moved = alice.run(["vault", "move", "--to-token", TOKEN].iter().chain(&old)).succeeds();
    assert_eq!(only(&moved["sealed_by"]), "token");
    assert!(text(&moved["token"]).starts_with(TOKEN));
    assert_eq!(text(&moved["shares"][0]["location"]), alice.location("vault"));
    assert!(alice.location("vault").ends_with(";type=data"));
    assert_eq!(alice.objects().len(), 3);
    sign(&alice, &listener, &[]);
    // The old passphrase opens nothing any more.
    let digest = fresh_digest();
    let mut without_pin =
        alice.pinless(["sign", &digest, "--key", "vault", "--passphrase-file", "passphrase"]);
    crate::device::Running::start(&mut without_pin).ends().fails(11, "--pin-file");

    // To a new key on the same token: one login, and the old key goes.
    alice.run(["vault", "move", "--to-token", TOKEN]).succeeds();
    assert_eq!(alice.objects().len(), 3);
    sign(&alice, &listener, &[]);

    let new = ["--passphrase-file", "other-passphrase"];
    let moved = alice.run(["vault", "move", "--to-passphrase"].iter().chain(&new)).succeeds();
    assert_eq!(only(&moved["sealed_by"]), "passphrase");
    assert_eq!(alice.objects(), [] as [String; 0]);
    assert!(alice.location("vault").ends_with(".age"));
    sign(&alice, &listener, &new);
    let wrong = ["sign", &digest, "--key", "vault"];
    alice.run(wrong.iter().chain(&old)).fails(8, "wrong passphrase");

    let moved =
        alice.run(["vault", "move", "--to-identity", "key.txt"].iter().chain(&new)).succeeds();
    assert_eq!(only(&moved["sealed_by"]), "identity");
    sign(&alice, &listener, &["--identity", "key.txt"]);
    let identities = alice.files().into_iter().filter(|(path, _)| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("identity") && name.ends_with(".age")
    });
    assert_eq!(identities.count(), 1);
}

#[test]
fn a_new_passphrase_replaces_the_old_one() {
    let alice = Holder::with_passphrase("alice");
    let old = ["--passphrase-file", "passphrase"];
    alice
        .run(["vault", "move", "--to-passphrase"].iter().chain(&old))
        .fails(11, "--new-passphrase-file");
    let new = ["--new-passphrase-file", "other-passphrase"];
    alice.run(["vault", "move", "--to-passphrase"].iter().chain(&old).chain(&new)).succeeds();
    alice.run(["vault", "move", "--to-identity", "key.txt"].iter().chain(&old)).fails(8, "wrong");
    let new = ["--passphrase-file", "other-passphrase"];
    alice.run(["vault", "move", "--to-identity", "key.txt"].iter().chain(&new)).succeeds();
}

#[test]
fn with_a_recovery_passphrase_either_opens_the_vault() {
    let alice = Holder::new("alice");
    let passphrase = ["--passphrase-file", "passphrase"];
    let init = ["init", "--name", "alice", "--token", TOKEN];
    alice.run(init.iter().chain(&passphrase)).fails(2, "--recovery-passphrase");
    assert!(!alice.home().join("data/vault.json").exists() && alice.objects().is_empty());
    alice.run(init.iter().chain(&passphrase).chain(&["--recovery-passphrase"])).succeeds();
    let (_bob, listener) = with_key(&alice);
    // What the passphrase is to open must not be on the token.
    assert!(alice.location("vault").ends_with(".age"));
    sign(&alice, &listener, &[]);
    std::fs::rename(alice.path("tokens"), alice.path("elsewhere")).unwrap();
    std::fs::create_dir(alice.path("tokens")).unwrap();
    sign(&alice, &listener, &passphrase);
    let moved = ["vault", "move", "--to-identity", "key.txt"];
    alice.run(moved.iter().chain(&passphrase)).succeeds();
    sign(&alice, &listener, &["--identity", "key.txt"]);
}

#[test]
fn several_seals_are_given_with_several_flags() {
    let alice = Holder::with_passphrase("alice");
    let old = ["--passphrase-file", "passphrase"];
    let to = [
        "vault",
        "move",
        "--to-token",
        TOKEN,
        "--to-passphrase",
        "--to-identity",
        "key.txt",
        "--new-passphrase-file",
        "other-passphrase",
    ];
    let moved = alice.run(to.iter().chain(&old)).succeeds();
    assert_eq!(moved["sealed_by"], json!(["token", "passphrase", "identity"]));
    let open = ["vault", "move", "--to-identity", "key.txt", "--to-token", TOKEN];
    let open_with = |flags: &[&str]| alice.run(open.iter().chain(flags));
    open_with(&old).fails(8, "wrong passphrase");
    let moved = open_with(&["--passphrase-file", "other-passphrase"]).succeeds();
    assert_eq!(moved["sealed_by"], json!(["token", "identity"]));
    open_with(&["--identity", "key.txt"]).succeeds();
    open_with(&[]).succeeds();
    alice.run(["vault", "move"]).fails(2, "--to-token");
}

#[test]
fn a_refresh_and_a_deletion_leave_no_old_share_on_the_token() {
    let alice = Holder::sealed("alice");
    let (_bob, listener) = with_key(&alice);
    let first = alice.location("vault");
    alice.run(["keys", "refresh", "vault", "--peer", &listener.address()]).succeeds();
    let second = alice.location("vault");
    assert_ne!(first, second);
    assert_eq!(alice.objects().len(), 3);
    sign(&alice, &listener, &[]);

    let mut wrong = alice.script(["keys", "delete", "vault", "--yes-delete", "vault"]);
    wrong.env("COSIGN_TOKEN_PIN_FILE", alice.path("wrong-pin"));
    crate::device::Running::start(&mut wrong).ends().fails(8, "wrong PIN");
    assert_eq!(alice.location("vault"), second);
    alice.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    assert_eq!(alice.objects().len(), 2);
    alice.run(["keys", "show", "vault"]).fails(10, "vault");
}

#[test]
fn a_key_that_is_on_the_token_already_is_used_and_left_alone() {
    let alice = Holder::new("alice");
    let generate = ["--keypairgen", "--key-type", "EC:prime256v1", "--usage-derive"];
    alice.pkcs11_tool(true, &[&generate[..], &["--label", "mine", "--id", "22"]].concat());
    alice
        .run(["init", "--name", "alice", "--token", &format!("{TOKEN};id=%23")])
        .fails(8, "not on token");
    assert!(!alice.home().join("data/vault.json").exists());
    alice.run(["init", "--name", "alice", "--token", &format!("{TOKEN};object=mine")]).succeeds();
    assert_eq!(alice.objects().len(), 2);
    let flags = ["--to-identity", "key.txt"];
    alice.run(["vault", "move"].iter().chain(&flags)).succeeds();
    assert_eq!(alice.objects().len(), 2);
}

#[test]
fn in_a_terminal_a_present_token_is_offered_first_and_its_pin_is_not_shown() {
    let alice = Holder::new("alice");
    let mut screen = alice.terminal(["init", "--name", "alice"]);
    screen.shows("1  token \"cosign test\" (SoftHSM v2").shows("2  a passphrase");
    screen.shows("[1-3] ").types("1\n");
    screen.shows("PIN of token \"cosign test\": ").types(PIN).types("\n");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!rest.contains(PIN) && rest.contains("fingerprint"), "{rest}");
    assert_eq!(alice.objects().len(), 2);

    let bob = Holder::new("bob");
    let mut screen = bob.terminal(["init", "--name", "bob"]);
    screen.shows("[1-3] ").types("2\n");
    screen.shows("new passphrase").types("correct horse battery staple\n");
    screen.shows("again").types("correct horse battery staple\n");
    assert_eq!(screen.ends().0, Some(0));
    assert_eq!(bob.objects(), [] as [String; 0]);
}

#[test]
fn tokens_are_found_through_the_module_files_of_p11_kit() {
    let alice = Holder::new("alice");
    let folder = alice.path(".config/pkcs11/modules");
    std::fs::create_dir_all(&folder).unwrap();
    let module = crate::holder::softhsm();
    std::fs::write(folder.join("softhsm2.module"), format!("module: {}\n", module.display()))
        .unwrap();
    let unnamed = |args: &[&str]| {
        let mut command = alice.script(args);
        command.env_remove("COSIGN_TOKEN_MODULE");
        crate::device::Running::start(&mut command).ends()
    };
    let listed = unnamed(&["token", "list"]).succeeds();
    let ready = |token: &&serde_json::Value| token["state"] == "ready";
    let uri = text(&listed["tokens"].as_array().unwrap().iter().find(ready).unwrap()["uri"]);
    assert!(uri.starts_with(TOKEN), "{uri}");
    unnamed(&["init", "--name", "alice", "--token", &uri]).succeeds();
    unnamed(&["vault", "move", "--to-token", "pkcs11:"]).succeeds();
}

#[test]
fn the_pin_comes_from_a_descriptor_or_from_the_file_that_the_uri_names() {
    let alice = Holder::new("alice");
    let source = format!("{TOKEN}?pin-source=file:{}", alice.path("pin").display());
    let run =
        |mut command: std::process::Command| crate::device::Running::start(&mut command).ends();
    run(alice.pinless(["init", "--name", "alice", "--token", &source])).succeeds();
    // The vault remembers the file, and goes by the flags where they say another one.
    let again = ["vault", "move", "--to-token", &source];
    let moved = run(alice.pinless(again)).succeeds();
    assert!(text(&moved["token"]).ends_with("/pin"), "{moved}");
    run(alice.pinless(["vault", "move", "--to-token", TOKEN, "--pin-file", "wrong-pin"]))
        .fails(8, "wrong PIN");
    std::fs::rename(alice.path("pin"), alice.path("new-pin")).unwrap();
    run(alice.pinless(again)).fails(10, "--pin-file names another one");
    let here = ["vault", "move", "--to-token", TOKEN, "--pin-file", "new-pin"];
    run(alice.pinless(here)).succeeds();
    std::fs::rename(alice.path("new-pin"), alice.path("pin")).unwrap();
    run(alice.pinless(["vault", "move", "--to-token", TOKEN])).fails(11, "--pin-file");
    // The same key with another file for the PIN: it is not thrown away with the old seal.
    let key = text(
        &run(alice.pinless(here.map(|s| if s == "new-pin" { "pin" } else { s }))).succeeds()["token"],
    );
    let source = format!("{key}?pin-source={}", alice.path("pin").display());
    run(alice.pinless(["vault", "move", "--to-token", &source, "--pin-file", "pin"])).succeeds();
    run(alice.pinless(["vault", "move", "--to-token", &source])).succeeds();
    let relative = format!("{TOKEN}?pin-source=pin");
    run(alice.pinless(["vault", "move", "--to-token", &relative])).fails(2, "absolute path");
    let mut by_fd = alice.pinless(["vault", "move", "--to-token", TOKEN, "--pin-fd", "0"]);
    by_fd.stdin(std::fs::File::open(alice.path("pin")).unwrap());
    run(by_fd).succeeds();
    let inside = format!("{TOKEN}?pin-value={PIN}");
    let refused = alice.run(["vault", "move", "--to-token", &inside]).fails(2, "pin-source");
    assert!(refused.stderr.contains("pin-value"), "{}", refused.stderr);
}
