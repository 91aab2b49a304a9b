//! Failures of tokens: each has its exit code and a clear text, and loses nothing.

use std::path::Path;
use std::process::Command;

use crate::device::{Device, Running, arg, holds, text};
use crate::holder::{Holder, PIN, TOKEN, introduce, serve, softhsm};

const MOVE: [&str; 4] = ["vault", "move", "--to-token", TOKEN];

fn run(mut command: Command) -> crate::device::Ended {
    Running::start(&mut command).ends()
}

/// Alice on a token behind the module that misbehaves.
fn stubbed() -> Holder {
    let mut alice = Holder::new("alice");
    alice.through_stub();
    alice.run(["init", "--name", "alice", "--token", TOKEN]).succeeds();
    alice.calls();
    alice
}

/// The vault is as it was, and opens.
#[track_caller]
fn still_opens(alice: &mut Holder) {
    alice.misbehave(&[]);
    let open = ["sign", &"5a".repeat(32), "--key", "none", "--peer", "127.0.0.1:1"];
    alice.run(open).fails(10, "none");
    alice.run(MOVE).succeeds();
}

#[track_caller]
fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| *call == name).count()
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let mut alice = stubbed();
    let wrong = |args: &[&str]| {
        let mut command = alice.script(args);
        command.env("COSIGN_TOKEN_PIN_FILE", alice.path("wrong-pin"));
        run(command)
    };
    wrong(&MOVE).fails(8, "wrong PIN for token");
    assert_eq!(count(&alice.calls(), "C_Login"), 1);
    // SoftHSM2 tells that a wrong one was entered.
    wrong(&MOVE).fails(8, "few tries are left");
    let listed = alice.run(["token", "list"]).succeeds();
    assert_eq!(listed["tokens"][0]["state"], "few tries left");
    alice.calls();
    let mut screen = alice.terminal(MOVE);
    screen.shows("a wrong PIN was entered before").shows("PIN of token").types("000000\n");
    let (code, rest) = screen.ends();
    assert_eq!(code, Some(8), "{rest}");
    let calls = alice.calls();
    assert_eq!((count(&calls, "C_Login"), count(&calls, "C_OpenSession")), (1, 1), "{calls:?}");
    assert_eq!(count(&calls, "C_CloseSession"), 1, "{calls:?}");
    still_opens(&mut alice);
}

#[test]
fn an_empty_pin_is_not_tried() {
    let alice = stubbed();
    alice.write("empty", "\n");
    let mut command = alice.script(MOVE);
    command.env("COSIGN_TOKEN_PIN_FILE", alice.path("empty"));
    run(command).fails(2, "the PIN is empty");
    let mut screen = alice.terminal(MOVE);
    screen.shows("PIN of token").types("\n");
    assert_eq!(screen.ends().0, Some(3));
    assert_eq!(count(&alice.calls(), "C_Login"), 0);
    let mut missing = alice.script(MOVE);
    missing.env("COSIGN_TOKEN_PIN_FILE", alice.path("nowhere"));
    run(missing).fails(10, "nowhere");
}

#[test]
fn the_tries_that_a_token_tells_of_are_shown() {
    let mut alice = stubbed();
    alice.misbehave(&[("STUB_FLAGS", "0x10000"), ("STUB_FAIL", "C_Login=A0")]);
    alice.run(MOVE).fails(8, "few tries are left");
    assert_eq!(count(&alice.calls(), "C_Login"), 1);
    // The last one is for a person.
    alice.misbehave(&[("STUB_FLAGS", "0x20000"), ("STUB_FAIL", "C_Login=A0")]);
    alice.run(MOVE).fails(8, "not tried unattended");
    assert_eq!(count(&alice.calls(), "C_Login"), 0);
    let mut screen = alice.terminal(MOVE);
    screen.shows("the next wrong PIN locks it").shows("PIN of token").types("000000\n");
    let (code, rest) = screen.ends();
    assert!(code == Some(8) && rest.contains("one try is left"), "{rest}");
    assert_eq!(count(&alice.calls(), "C_Login"), 1);
    still_opens(&mut alice);
}

#[test]
fn a_locked_pin_is_not_tried() {
    let mut alice = stubbed();
    alice.misbehave(&[("STUB_FAIL", "C_Login=A4")]);
    alice.run(MOVE).fails(8, "is locked");
    assert_eq!(count(&alice.calls(), "C_Login"), 1);
    alice.misbehave(&[("STUB_FLAGS", "0x40000")]);
    alice.run(MOVE).fails(8, "is locked");
    assert_eq!(count(&alice.calls(), "C_Login"), 0);
    let listed = alice.run(["token", "list"]).succeeds();
    assert_eq!(listed["tokens"][0]["state"], "PIN locked");
    still_opens(&mut alice);
}

#[test]
fn a_module_that_cannot_be_used_is_named() {
    let alice = Holder::new("alice");
    let init = |module: &Path| alice.run(["init", "--token", TOKEN, "--module", arg(module)]);
    init(&alice.path("missing.so")).fails(10, "missing.so does not exist");
    init(&alice.write("text.so", "hello")).fails(10, "text.so cannot be loaded");
    // The library, as for another machine: s390x.
    let mut library = std::fs::read(softhsm()).unwrap();
    library[18..20].copy_from_slice(&22_u16.to_le_bytes());
    let foreign = alice.write("foreign.so", library);
    init(&foreign).fails(10, "foreign.so cannot be loaded: it is made for another machine: s390x");
    // One of which only a part came through.
    let library = std::fs::read(softhsm()).unwrap();
    for length in [library.len() / 2, 4096, 64] {
        let cut = alice.write("cut.so", &library[..length]);
        init(&cut).fails(10, "cut.so cannot be loaded");
    }
    let source = alice.write("plain.c", "int nothing;");
    let plain = alice.path("plain.so");
    let built = Command::new("cc").args(["-shared", "-o"]).arg(&plain).arg(source).status();
    assert!(built.unwrap().success());
    init(&plain).fails(10, "no PKCS#11 module");
    alice.run(["token", "list", "--module", arg(&plain)]).fails(10, "plain.so");
    // A configuration that is not there.
    let mut command = alice.script(["token", "list"]);
    command.env("SOFTHSM2_CONF", alice.path("missing.conf"));
    run(command).fails(8, "does not start");
    assert!(!alice.home().join("data/vault.json").exists());
}

#[test]
fn tokens_that_cannot_be_used_are_told_apart() {
    let alice = Holder::without_token("alice");
    let init = |token: &str| alice.run(["init", "--token", token]);
    init("pkcs11:").fails(8, "never initialised");
    init("pkcs11:token=other").fails(8, "the token is not there");
    alice.make_token("twin");
    init("pkcs11:token=other").fails(8, "there is: pkcs11:token=twin");
    init("pkcs11:token=twin;serial=00").fails(8, "not there");
    let missing = init("pkcs11:token=twin;object=nokey").fails(8, "without id and object");
    assert!(missing.stderr.contains("named is not on token"), "{}", missing.stderr);
    alice.make_token("twin");
    let said = init("pkcs11:token=twin").fails(8, "several tokens match: pkcs11:token=twin");
    assert!(said.stderr.matches("serial=").count() >= 2, "{}", said.stderr);
    for bad in ["twin", "pkcs11:tokens=twin", "pkcs11:token=%zz", "pkcs11:token=a;token=b"] {
        init(bad).fails(2, "--token");
    }
    assert!(!alice.home().join("data/vault.json").exists());
    // Each of the two can be named.
    let listed = alice.run(["token", "list"]).succeeds();
    let ready = |token: &&serde_json::Value| token["state"] == "ready";
    let uri = text(&listed["tokens"].as_array().unwrap().iter().find(ready).unwrap()["uri"]);
    init(&uri).succeeds();
    alice.run(["init", "--token", &uri]).fails(12, "already");
    // Even where one of the two is open already.
    alice.run(["vault", "move", "--to-token", "pkcs11:token=twin"]).fails(8, "several tokens");
    assert_eq!(alice.run(["token", "list"]).succeeds()["tokens"].as_array().unwrap().len(), 3);
}

#[test]
fn all_tokens_that_match_are_listed() {
    let alice = Holder::without_token("alice");
    (0..17).for_each(|_| alice.make_token("one of many"));
    let listed = alice.run(["token", "list"]).succeeds();
    let said = alice.run(["init", "--token", "pkcs11:token=one%20of%20many"]).fails(8, "several");
    let serials: Vec<_> =
        listed["tokens"].as_array().unwrap().iter().map(|t| text(&t["serial"])).collect();
    let named = serials.iter().filter(|serial| !serial.is_empty());
    assert_eq!(named.filter(|serial| said.stderr.contains(*serial)).count(), 17);
}

#[test]
fn a_module_gets_no_descriptor_with_a_secret() {
    let mut alice = Holder::new("alice");
    alice.through_stub();
    let open = alice.path("stub/open");
    alice.misbehave(&[("STUB_FDS", arg(&open))]);
    let flags =
        ["--token", TOKEN, "--recovery-passphrase", "--passphrase-fd", "5", "--pin-fd", "6"];
    let program = alice.pinless(["init", "--name", "alice"].iter().chain(&flags));
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 5<passphrase 6<pin", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(alice.path(".")).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command).succeeds();
    let open = std::fs::read_to_string(open).unwrap();
    assert!(open.contains("pipe:"), "{open}");
    assert!(!open.contains("/passphrase") && !open.contains("/pin"), "{open}");
}

#[test]
fn a_module_reaches_neither_the_users_files_nor_other_programs() {
    let mut alice = Holder::new("alice");
    alice.through_stub();
    let tried = alice.path("stub/tried");
    let (secret, plant) = (alice.write("secret", "a secret"), alice.path("planted"));
    alice.misbehave(&[
        ("STUB_TRY", arg(&tried)),
        ("STUB_SECRET", arg(&secret)),
        ("STUB_PLANT", arg(&plant)),
    ]);
    alice.run(["init", "--name", "alice", "--token", TOKEN]).succeeds();
    let tried = std::fs::read_to_string(tried).unwrap();
    let expected =
        ["settings 1", "network 1", "secret 0", "plant 0", "packets 0", "trace 0", "start 0"];
    assert_eq!(tried.lines().collect::<Vec<_>>(), expected);
    assert!(!plant.exists());
    // The probe itself can: without the confinement it would have told so.
    let mut free = std::process::Command::new("cat");
    assert!(free.arg(&secret).status().unwrap().success());
}

#[test]
fn a_token_without_user_pin_or_login_is_refused() {
    let alice = Holder::without_token("alice");
    let mut command = Command::new("pkcs11-tool");
    command.arg("--module").arg(softhsm()).env("SOFTHSM2_CONF", alice.path("softhsm2.conf"));
    command.args(["--init-token", "--label", "cosign test", "--so-pin", "12345678"]);
    assert!(command.output().unwrap().status.success());
    alice.run(["init", "--token", TOKEN]).fails(8, "no user PIN");
}

#[test]
fn a_key_that_was_deleted_on_the_token_is_missed() {
    let alice = Holder::sealed("alice");
    alice.pkcs11_tool(true, &["--delete-object", "--type", "privkey", "--id", &key_id(&alice)]);
    alice.run(MOVE).fails(8, "the key is not on token");
}

/// The id of the only key, as pkcs11-tool writes it.
fn key_id(alice: &Holder) -> String {
    let listed = alice.pkcs11_tool(true, &["--list-objects", "--type", "privkey"]);
    listed.lines().find_map(|line| line.trim().strip_prefix("ID:")).unwrap().trim().to_owned()
}

#[test]
fn another_key_in_its_place_does_not_open_the_vault() {
    let alice = Holder::sealed("alice");
    let id = key_id(&alice);
    for kind in ["privkey", "pubkey"] {
        alice.pkcs11_tool(true, &["--delete-object", "--type", kind, "--id", &id]);
    }
    let generate = ["--keypairgen", "--key-type", "EC:prime256v1", "--usage-derive", "--id", &id];
    alice.pkcs11_tool(true, &generate);
    alice.run(MOVE).fails(8, "not the one that this vault was sealed to");
}

#[test]
fn a_key_of_another_curve_or_one_that_can_leave_is_refused() {
    let alice = Holder::new("alice");
    let generate = |curve: &str, more: &[&str]| {
        let key_type = format!("EC:{curve}");
        let start = ["--keypairgen", "--key-type", &key_type, "--usage-derive", "--id", "22"];
        alice.pkcs11_tool(true, &[&start, more].concat());
    };
    let init = || alice.run(["init", "--token", &format!("{TOKEN};id=%22")]);
    generate("secp384r1", &[]);
    init().fails(8, "P-256");
    for kind in ["privkey", "pubkey"] {
        alice.pkcs11_tool(true, &["--delete-object", "--type", kind, "--id", "22"]);
    }
    generate("prime256v1", &["--extractable"]);
    init().fails(8, "extractable");
    generate("prime256v1", &[]);
    init().fails(8, "several keys");
    assert!(!alice.home().join("data/vault.json").exists());
}

#[test]
fn a_token_that_is_removed_between_unlocking_and_signing_stops_the_device() {
    let mut alice = stubbed();
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    let gone = alice.path("gone");
    // From when the file is there every call finds that the token is gone.
    let removed = "C_GetSessionInfo=32,C_FindObjectsInit=32,C_GetTokenInfo=E0,C_DeriveKey=32";
    alice.misbehave(&[("STUB_WHEN", arg(&gone)), ("STUB_FAIL", removed)]);
    alice.device.policy("[[rule]]\npeer = \"bob\"\naction = \"allow\"\n");
    let flags = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
    let mut listener = crate::device::Listener::on(alice.start(flags));
    let address = listener.address();
    bob.run(["keygen", "--key", "vault", "--with", "alice", "--peer", &address]).succeeds();
    let sign = || {
        bob.run([
            "sign",
            &"5a".repeat(32),
            "--key",
            "vault",
            "--peer",
            &address,
            "--timeout",
            "30s",
        ])
    };
    let first = sign();
    assert_eq!(first.code, Some(0), "{}", first.stderr);

    std::fs::write(&gone, "").unwrap();
    let second = bob.run([
        "sign",
        &"5b".repeat(32),
        "--key",
        "vault",
        "--peer",
        &address,
        "--timeout",
        "30s",
    ]);
    assert_ne!(second.code, Some(0));
    let refused = listener.event("aborted");
    assert!(refused.to_string().contains("was removed"), "{refused}");
    drop(listener);
    std::fs::remove_file(&gone).unwrap();
    let back = crate::device::Listener::on(alice.start(flags));
    let again = bob.run(["sign", &"5c".repeat(32), "--key", "vault", "--peer", &back.address()]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
}

#[test]
fn a_token_that_goes_away_under_a_listener_is_not_taken_for_a_lost_share() {
    let alice = Holder::sealed("alice");
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    alice.device.policy("[[rule]]\npeer = \"bob\"\naction = \"allow\"\n");
    let flags = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
    let mut listener = crate::device::Listener::on(alice.start(flags));
    let address = listener.address();
    bob.run(["keygen", "--key", "vault", "--with", "alice", "--peer", &address]).succeeds();
    let sign = |address: &str| {
        let digest = hex::encode(rand::random::<[u8; 32]>());
        bob.run(["sign", &digest, "--key", "vault", "--peer", address, "--timeout", "30s"])
    };
    sign(&address).succeeds();
    assert!(alice.location("vault").starts_with(TOKEN));
    let mut goes = |there: bool| {
        let (from, to) = if there { ("gone", "tokens") } else { ("tokens", "gone") };
        std::fs::rename(alice.path(from), alice.path(to)).unwrap();
        assert_ne!(sign(&address).code, Some(0));
        let refused = listener.event("aborted").to_string();
        assert!(refused.contains("was removed") && !refused.contains("delete"), "{refused}");
    };
    goes(false);
    // SoftHSM2 forgets what it knew of a token that was gone.
    goes(true);
    drop(listener);
    let back = crate::device::Listener::on(alice.start(flags));
    sign(&back.address()).succeeds();
}

#[test]
fn a_token_without_a_free_session_says_so() {
    let mut alice = stubbed();
    alice.misbehave(&[("STUB_FAIL", "C_OpenSession=B1")]);
    alice.run(MOVE).fails(8, "no more sessions");
    still_opens(&mut alice);
}

#[test]
fn a_read_only_or_full_token_takes_no_new_key() {
    for (value, said) in [("E2", "is read-only"), ("31", "is full"), ("6", "C_GenerateKeyPair")] {
        let mut alice = Holder::new("alice");
        alice.through_stub();
        alice.misbehave(&[("STUB_FAIL", &format!("C_GenerateKeyPair={value}"))]);
        alice.run(["init", "--name", "alice", "--token", TOKEN]).fails(8, said);
        assert!(!alice.home().join("data/vault.json").exists());
        alice.misbehave(&[]);
        alice.run(["init", "--name", "alice", "--token", TOKEN]).succeeds();
    }
}

#[test]
fn a_share_that_does_not_fit_on_the_token_stays_on_the_disk() {
    for value in ["31", "21", "13", "E2", "54"] {
        let mut alice = stubbed();
        let bob = Device::new("bob");
        introduce(&alice, &bob);
        let listener = serve(&bob, &alice.name);
        let address = listener.address();
        alice.misbehave(&[("STUB_FAIL", &format!("C_CreateObject={value}"))]);
        alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &address]).succeeds();
        assert!(alice.location("vault").ends_with(".age"));
        assert_eq!(alice.objects().len(), 2);
        let files = std::fs::read_dir(alice.home().join("data/keys/vault")).unwrap();
        assert_eq!(files.count(), 5);
        alice.run(["sign", &"5a".repeat(32), "--key", "vault", "--peer", &address]).succeeds();
    }
}

/// As SoftHSM2 does when its files cannot be written to.
const WRITES_NOTHING: [(&str, &str); 2] = [
    ("STUB_AFTER", "C_CreateObject"),
    ("STUB_FAIL", "C_CreateObject=5,C_GetTokenInfo=5,C_DestroyObject=6"),
];

#[test]
fn a_token_that_nothing_can_be_written_to_keeps_what_it_has() {
    let mut alice = stubbed();
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    let listener = serve(&bob, &alice.name);
    let address = listener.address();
    let keygen = |alice: &Holder, key: &str| {
        alice.run(["keygen", "--key", key, "--with", "bob", "--peer", &address]).succeeds();
    };
    keygen(&alice, "first");
    let first = alice.location("first");
    assert!(first.starts_with(TOKEN));
    alice.misbehave(&WRITES_NOTHING);
    keygen(&alice, "second");
    assert!(alice.location("second").ends_with(".age"));
    alice.run(["keys", "refresh", "second", "--peer", &address]).succeeds();
    // An object that could not be deleted is not replaced.
    let refresh = ["keys", "refresh", "first", "--peer", &address];
    alice.run(refresh).fails(8, "it may be read-only");
    assert_eq!(alice.location("first"), first);

    alice.misbehave(&[("STUB_FAIL", "C_DestroyObject=6")]);
    let delete = ["keys", "delete", "first", "--yes-delete", "first"];
    alice.run(delete).fails(8, "it may be read-only");
    assert_eq!(alice.location("first"), first);
    let digest = hex::encode(rand::random::<[u8; 32]>());
    alice.run(["sign", &digest, "--key", "first", "--peer", &address]).succeeds();

    alice.misbehave(&[]);
    alice.run(refresh).succeeds();
    alice.run(delete).succeeds();
    alice.run(["keys", "delete", "second", "--yes-delete", "second"]).succeeds();
    assert_eq!(alice.objects().len(), 2);
}

#[test]
fn a_module_that_crashes_or_hangs_anywhere_takes_nothing_down() {
    let functions = [
        "C_Initialize",
        "C_GetTokenInfo",
        "C_OpenSession",
        "C_Login",
        "C_FindObjectsInit",
        "C_DeriveKey",
        "C_GetAttributeValue",
    ];
    let mut alice = stubbed();
    for function in functions {
        alice.misbehave(&[("STUB_FAIL", &format!("{function}=crash"))]);
        alice.run(MOVE).fails(8, "crashed");
        alice.misbehave(&[("STUB_FAIL", &format!("{function}=hang"))]);
        alice.run(MOVE.iter().chain(&["--timeout", "1s"])).fails(8, "did not answer in time");
        let calls = alice.calls();
        assert!(count(&calls, "C_Login") <= 2, "{calls:?}");
    }
    // While it ends: nothing is left to lose.
    alice.misbehave(&[("STUB_FAIL", "C_Finalize=crash")]);
    alice.run(MOVE).succeeds();
    for function in ["C_GenerateKeyPair", "C_CloseSession"] {
        alice.misbehave(&[("STUB_FAIL", &format!("{function}=crash"))]);
        alice.run(MOVE).fails(8, "crashed");
        alice.misbehave(&[("STUB_FAIL", &format!("{function}=hang"))]);
        alice.run(MOVE.iter().chain(&["--timeout", "1s"])).fails(8, "did not answer in time");
    }
    still_opens(&mut alice);
}

#[test]
fn a_module_that_crashes_with_a_share_in_hand_loses_none() {
    let mut alice = stubbed();
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    let listener = serve(&bob, &alice.name);
    let address = listener.address();
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &address];
    alice.run(keygen).succeeds();
    let location = alice.location("vault");
    for how in ["C_CreateObject=crash", "C_CreateObject=32", "C_DestroyObject=crash"] {
        alice.misbehave(&[("STUB_FAIL", how)]);
        let refreshed = alice.run(["keys", "refresh", "vault", "--peer", &address]);
        assert_ne!(refreshed.code, Some(0), "{how}");
        alice.misbehave(&[]);
        alice.run(["sign", &"5a".repeat(32), "--key", "vault", "--peer", &address]);
        alice.run(["keys", "refresh", "vault", "--peer", &address]).succeeds();
        let digest = hex::encode(rand::random::<[u8; 32]>());
        alice.run(["sign", &digest, "--key", "vault", "--peer", &address]).succeeds();
        assert_eq!(alice.objects().len(), 3, "{how}");
    }
    assert_ne!(alice.location("vault"), location);
    // The object is deleted behind our back.
    let label = alice.location("vault");
    let label =
        label.split("object=").nth(1).unwrap().split(';').next().unwrap().replace("%20", " ");
    alice.pkcs11_tool(true, &["--delete-object", "--type", "data", "--label", &label]);
    let digest = hex::encode(rand::random::<[u8; 32]>());
    alice
        .run(["sign", &digest, "--key", "vault", "--peer", &address])
        .fails(10, "is it the right token?");
    alice.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
}

#[test]
fn what_a_module_says_never_reaches_the_screen_as_it_is() {
    let mut alice = stubbed();
    alice.misbehave(&[("STUB_LABEL", "\u{1b}[2Jevil\u{202e}")]);
    let mut command = alice.equip(alice.device.command(["token", "list"]));
    let output = command.output().unwrap();
    assert!(holds(&output.stdout, b"evil"));
    assert!(!holds(&output.stdout, b"\x1b") && !holds(&output.stderr, b"\x1b"));
    assert!(!holds(&output.stdout, "\u{202e}".as_bytes()));
    let refused = alice.run(MOVE).fails(8, "not there");
    assert!(!refused.stderr.contains("\u{1b}"));
}

#[test]
fn neither_pin_nor_share_is_told_to_anybody() {
    let alice = Holder::new("alice");
    let log = alice.path("log.ndjson");
    let init = ["init", "--token", TOKEN, "--log-file", arg(&log), "-v"];
    let ended = alice.run(init);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains(PIN) && !holds(&ended.stdout, PIN.as_bytes()));
    for (path, content) in alice.files() {
        let ours = path.starts_with(alice.home()) || path == log;
        assert!(!ours || !holds(&content, PIN.as_bytes()), "{path:?}");
    }
    // A PIN in a URI is not repeated.
    let uri = format!("{TOKEN}?pin-value={PIN}");
    let refused = alice.run(["vault", "move", "--to-token", &uri]).fails(2, "pin-source");
    assert!(!refused.stderr.contains(PIN), "{}", refused.stderr);
}

/// The finding of `doctor` about `name`: its status and text.
fn diagnosis(ended: &crate::device::Ended, name: &str) -> (String, String) {
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let checks = document["result"]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    (text(&check["status"]), text(&check["found"]))
}

#[test]
fn doctor_misses_what_was_deleted_on_the_token() {
    let alice = Holder::sealed("alice");
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    let listener = serve(&bob, &alice.name);
    alice
        .run(["keygen", "--key", "vault", "--with", "bob", "--peer", &listener.address()])
        .succeeds();
    const DOCTOR: [&str; 3] = ["doctor", "--wait", "1ms"];
    let (status, found) = diagnosis(&alice.run(DOCTOR), "token");
    assert!(status == "ok" && found.ends_with("so is the vault's key"), "{found}");
    // It asks for no PIN.
    let (status, found) = diagnosis(&run(alice.pinless(DOCTOR)), "token");
    assert!(status == "ok" && found.ends_with("with --pin-file it is looked into"), "{found}");

    let location = alice.location("vault");
    let label = location.split("object=").nth(1).unwrap().split(';').next().unwrap();
    let label = label.replace("%20", " ");
    alice.pkcs11_tool(true, &["--delete-object", "--type", "data", "--label", &label]);
    let ended = alice.run(DOCTOR);
    assert_eq!(diagnosis(&ended, "token").0, "ok");
    let (status, found) = diagnosis(&ended, "keys");
    assert!(
        status == "fail" && found.starts_with("key \"vault\": the share is no longer"),
        "{found}"
    );
    alice.pkcs11_tool(true, &["--delete-object", "--type", "privkey", "--id", &key_id(&alice)]);
    let ended = alice.run(DOCTOR);
    assert_ne!(ended.code, Some(0));
    let (status, found) = diagnosis(&ended, "token");
    assert!(status == "fail" && found.contains("the key is not on"), "{found}");
}

#[test]
fn doctor_minds_an_absent_token_only_where_nothing_else_opens_the_vault() {
    for (more, status) in [(&["--recovery-passphrase"][..], "warn"), (&[], "fail")] {
        let alice = Holder::new("alice");
        let given: &[&str] =
            if more.is_empty() { &[] } else { &["--passphrase-file", "passphrase"] };
        let init = ["init", "--name", "alice", "--token", TOKEN];
        alice.run(init.iter().chain(more).chain(given)).succeeds();
        let (_, found) = diagnosis(&alice.run(["doctor", "--wait", "1ms"]), "device");
        assert_eq!(found.ends_with("a token, or a passphrase"), !more.is_empty(), "{found}");
        std::fs::rename(alice.path("tokens"), alice.path("gone")).unwrap();
        std::fs::create_dir(alice.path("tokens")).unwrap();
        let found = diagnosis(&alice.run(["doctor", "--wait", "1ms"]), "token");
        assert!(found.0 == status && found.1.contains("not there"), "{found:?}");
    }
}
