//! Backups: written, checked, opened by a stock `age`, and restored.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::device::{Device, Running, arg, introduce, text, two_with_key};

const DIGEST: &str = "5a7f8d2c5a7f8d2c5a7f8d2c5a7f8d2c5a7f8d2c5a7f8d2c5a7f8d2c5a7f8d2c";
const PASSPHRASE: &str = "backups want words of their own\n";

/// Backs up `vault` of a device into `name`, sealed to the identity in its `backup.txt`.
fn back_up(device: &Device, name: &str) {
    let identity = age::x25519::Identity::generate();
    device.write("backup.txt", age::secrecy::ExposeSecret::expose_secret(&identity.to_string()));
    let recipient = identity.to_public().to_string();
    let path = device.path(name);
    device.run(["keys", "backup", "vault", "-o", arg(&path), "--recipient", &recipient]).succeeds();
}

/// A new device of this name with the backup `name` of `was`, restored.
fn restored(was: &Device, name: &str) -> Device {
    let device = Device::blank(&was.name);
    let backup = device.write("vault.backup", fs::read(was.path(name)).unwrap());
    device.write("backup.txt", fs::read(was.path("backup.txt")).unwrap());
    let done = device.run(["keys", "restore", arg(&backup), "--backup-identity", "backup.txt"]);
    assert_eq!(done.succeeds()["key"], "vault");
    device
}

fn verified(device: &Device, name: &str) -> crate::device::Ended {
    device.run(["keys", "verify-backup", name, "--backup-identity", "backup.txt"])
}

#[test]
fn a_backup_would_restore_until_a_refresh_makes_it_worthless() {
    let (alice, _bob, listener) = two_with_key();
    back_up(&alice, "vault.backup");
    let path = alice.path("vault.backup");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let found = verified(&alice, "vault.backup").succeeds();
    assert_eq!((&found["state"], &found["restores"]), (&"current".into(), &true.into()));
    assert_eq!(found["parties"][1]["fingerprint"].as_str().map(str::len), Some(64));
    assert!(alice.outcomes().contains(&"written".to_owned()));

    let before = alice.files();
    verified(&alice, "vault.backup").succeeds();
    assert!(alice.files() == before, "looking at a backup has written something");
    // Elsewhere there is nothing to compare it with.
    let carol = Device::new("carol");
    for name in ["vault.backup", "backup.txt"] {
        carol.write(name, fs::read(alice.path(name)).unwrap());
    }
    assert_eq!(verified(&carol, "vault.backup").succeeds()["state"], "absent");

    let again = alice.run(["keys", "backup", "-o", "vault.backup", "--recipient", "age1x"]);
    again.fails(2, "age1x");
    let again = alice.run(["keys", "backup", "-o", "vault.backup"]);
    again.fails(12, "vault.backup");
    alice.run(["keys", "backup", "-o", "other.backup"]).fails(11, "--backup-passphrase-file");

    let to = listener.address();
    alice.run(["keys", "refresh", "vault", "--peer", &to]).succeeds();
    let ended =
        verified(&alice, "vault.backup").fails(12, "older than what this device has (epoch ");
    assert_eq!(ended.document()["result"]["state"], "older");
    assert!(ended.document()["error"]["message"].as_str().unwrap().contains("worthless"));
}

#[test]
fn a_stock_age_opens_a_backup_and_a_script_can_read_it() {
    let (alice, _bob, _listener) = two_with_key();
    back_up(&alice, "vault.backup");
    let age = |args: &[&str]| {
        let output = Command::new("age").args(args).current_dir(alice.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = age(&["-d", "-i", "backup.txt", "vault.backup"]);
    let field = |name: &str| {
        let line = plain.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().to_owned()
    };
    assert_eq!(plain.lines().next(), Some("cosign-backup/1"));
    assert_eq!((field("key"), field("device")), ("vault".to_owned(), "alice".to_owned()));
    let share = hex::decode(field("share")).unwrap();
    assert!(share.starts_with(b"cosign-share/2"));
    // In clear stands what it is and of when.
    let sealed = fs::read(alice.path("vault.backup")).unwrap();
    let head = String::from_utf8_lossy(&sealed[..80]).into_owned();
    assert!(head.contains("-> cosign-backup 20"), "{head}");

    // What was opened by hand is taken too.
    alice.write("plain", &plain);
    alice.run(["keys", "verify-backup", "plain"]).succeeds();
    for (from, to) in [("made 1", "made 01"), ("party 1", "party 2"), ("key vault", "key  vault")] {
        let altered = plain.replacen(from, to, 1);
        assert_ne!(altered, plain);
        alice.write("plain", altered);
        alice.run(["keys", "verify-backup", "plain"]).fails(1, "damaged");
    }
    alice.write("plain", plain.replace("cosign-backup/1", "cosign-backup/2"));
    alice.run(["keys", "verify-backup", "plain"]).fails(12, "format 2");
}

#[test]
fn a_flipped_bit_in_a_backup_is_found() {
    let (alice, _bob, _listener) = two_with_key();
    back_up(&alice, "vault.backup");
    let whole = fs::read(alice.path("vault.backup")).unwrap();
    for byte in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1;
        alice.write("flipped", flipped);
        verified(&alice, "flipped").fails(1, "damaged");
    }
    alice.write("cut", &whole[..whole.len() - 1]);
    verified(&alice, "cut").fails(1, "damaged");
    alice.write(
        "other.txt",
        age::secrecy::ExposeSecret::expose_secret(&age::x25519::Identity::generate().to_string()),
    );
    let other = ["keys", "verify-backup", "vault.backup", "--backup-identity", "other.txt"];
    alice.run(other).fails(8, "wrong passphrase or identity");
}

#[test]
fn a_backup_of_a_passphrase_opens_with_it_alone() {
    let (alice, _bob, _listener) = two_with_key();
    alice.write("weak.txt", "secret\n");
    alice.write("words.txt", PASSPHRASE);
    let backup = |file| {
        let flags = ["-o", "vault.backup", "--backup-passphrase-file", file];
        alice.run(["keys", "backup", "vault"].into_iter().chain(flags))
    };
    backup("weak.txt").fails(2, "too weak");
    backup("words.txt").succeeds();
    let open = |file| {
        alice.run(["keys", "verify-backup", "vault.backup", "--backup-passphrase-file", file])
    };
    open("weak.txt").fails(8, "wrong passphrase");
    assert_eq!(open("words.txt").succeeds()["state"], "current");
    alice.run(["keys", "verify-backup", "vault.backup"]).fails(11, "--backup-passphrase-file");
}

#[test]
fn a_restored_device_signs_after_a_refresh_and_not_before() {
    let (alice, bob, listener) = two_with_key();
    let to = listener.address();
    let sign =
        |device: &Device, to: &str| device.run(["sign", DIGEST, "--key", "vault", "--peer", to]);
    sign(&alice, &to).succeeds();
    back_up(&alice, "vault.backup");
    let public_key = text(&alice.run(["keys", "show", "vault"]).succeeds()["public_key"]);
    let fingerprint = alice.fingerprint();

    let again = restored(&alice, "vault.backup");
    assert_eq!(again.fingerprint(), fingerprint);
    let shown = again.run(["keys", "show", "vault"]).succeeds();
    assert_eq!((text(&shown["public_key"]), &shown["restored"]), (public_key, &true.into()));
    sign(&again, &to).fails(12, "cosign keys refresh vault");
    assert!(again.outcomes().contains(&"restored".to_owned()));

    // Nor where the other one asks.
    introduce(&[&again, &bob]);
    let mut waiting = again.serve(&[&bob]);
    let asked = sign(&bob, &waiting.address());
    asked.fails(12, "cosign keys refresh vault");
    waiting.event("aborted");
    drop(waiting);
    assert!(again.outcomes().contains(&"conflict".to_owned()));

    again.run(["keys", "refresh", "vault", "--peer", &to]).succeeds();
    let shown = again.run(["keys", "show", "vault"]).succeeds();
    assert_eq!((&shown["generation"], shown.get("restored")), (&2.into(), None));
    sign(&again, &to).succeeds();
    // The device that was backed up, if it still lives, has nothing in common with the others now.
    sign(&alice, &to).fails(10, "generation");
}

#[test]
fn a_rule_for_signatures_lets_no_backup_take_a_devices_place() {
    let (alice, bob, listener) = two_with_key();
    back_up(&alice, "vault.backup");
    drop(listener);
    // The rule as docs/cli.md has it.
    let rule = include_str!("../../docs/cli.md").split("```toml\n").nth(1).unwrap();
    let rule = rule.split("```").next().unwrap();
    bob.policy(rule);
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    let thief = restored(&alice, "vault.backup");
    let refresh = ["keys", "refresh", "vault", "--peer", &to];
    thief.run(refresh).fails(9, "the policy of bob");
    alice.run(["sign", DIGEST, "--key", "vault", "--peer", &to]).succeeds();
}

#[test]
fn a_backup_of_a_key_that_was_deleted_here_says_so() {
    let (alice, _bob, _listener) = two_with_key();
    back_up(&alice, "vault.backup");
    alice.run(["keys", "delete", "vault", "--yes-delete", "vault"]).succeeds();
    let found = verified(&alice, "vault.backup").succeeds();
    assert_eq!((&found["state"], &found["restores"]), (&"deleted".into(), &true.into()));
    let line = ["keys", "verify-backup", "vault.backup", "--backup-identity", "backup.txt"];
    let said = alice.command(line).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("only if the others still have generation 1"), "{said}");
    let restore = ["keys", "restore", "vault.backup", "--backup-identity", "backup.txt"];
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let recover = ["--recipient", recipient.as_str()];
    alice.run(restore.iter().chain(&recover)).fails(2, "--recipient is for a new vault");
    alice.run(restore).succeeds();
    assert_eq!(verified(&alice, "vault.backup").succeeds()["state"], "current");
}

/// What restores a device makes a new vault, which is sealed to whom its owner says, as by `init`.
#[test]
fn a_recovery_recipient_opens_what_was_restored() {
    let (alice, _bob, _listener) = two_with_key();
    back_up(&alice, "vault.backup");
    let again = Device::blank("alice");
    for name in ["vault.backup", "backup.txt"] {
        again.write(name, fs::read(alice.path(name)).unwrap());
    }
    let recovery = age::x25519::Identity::generate();
    let recipient = recovery.to_public().to_string();
    let restore = ["keys", "restore", "vault.backup", "--backup-identity", "backup.txt"];
    again.run(restore.iter().chain(&["--recipient", "age1x"])).fails(2, "age1x");
    again.run(restore.iter().chain(&["--recipient", &recipient])).succeeds();
    let secret = recovery.to_string();
    let file = again.write("recovery.txt", age::secrecy::ExposeSecret::expose_secret(&secret));
    let mut shown = again.script(["keys", "show", "vault", "--identity", arg(&file)]);
    shown.env_remove("COSIGN_IDENTITY");
    assert_eq!(Running::start(&mut shown).ends().succeeds()["checked"], true);
}

#[test]
fn a_backup_of_before_a_refresh_restores_nothing_that_works() {
    let (alice, _bob, listener) = two_with_key();
    let to = listener.address();
    back_up(&alice, "vault.backup");
    alice.run(["keys", "refresh", "vault", "--peer", &to]).succeeds();
    let again = restored(&alice, "vault.backup");
    again.run(["keys", "refresh", "vault", "--peer", &to]).fails(10, "generation");
    again.run(["sign", DIGEST, "--key", "vault", "--peer", &to]).fails(12, "refresh");
    alice.run(["sign", DIGEST, "--key", "vault", "--peer", &to]).succeeds();
}

#[test]
fn nothing_is_overwritten_by_a_backup() {
    let (alice, bob, _listener) = two_with_key();
    back_up(&alice, "vault.backup");
    let restore = |device: &Device| {
        for name in ["vault.backup", "backup.txt"] {
            device.write(name, fs::read(alice.path(name)).unwrap());
        }
        device.run(["keys", "restore", "vault.backup", "--backup-identity", "backup.txt"])
    };
    let before = bob.run(["keys", "show", "vault"]).succeeds();
    restore(&alice).fails(12, "vault");
    restore(&bob).fails(12, "--home");
    assert_eq!(bob.run(["keys", "show", "vault"]).succeeds(), before);
    // A restored share is not backed up again: it is not the whole one.
    let again = restored(&alice, "vault.backup");
    again.run(["keys", "backup", "-o", "two"]).fails(11, "");
    let to = again.path("two");
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let backup = again.run(["keys", "backup", "-o", arg(&to), "--recipient", &recipient]);
    backup.fails(12, "refresh");
    assert!(!to.exists());
}

/// The private key in `key.FORMAT`, made of two backups of two devices.
#[test]
fn enough_backups_make_the_whole_key_and_fewer_do_not() {
    let (alice, bob, listener) = two_with_key();
    let to = listener.address();
    for device in [&alice, &bob] {
        back_up(device, "vault.backup");
    }
    alice.write("bob.backup", fs::read(bob.path("vault.backup")).unwrap());
    alice.write("bob.txt", fs::read(bob.path("backup.txt")).unwrap());
    let combine = |files: &[&str], flags: &[&str]| {
        let open = ["--backup-identity", "backup.txt", "--backup-identity", "bob.txt"];
        alice.run(["keys", "combine"].iter().chain(files).chain(flags).chain(&open))
    };
    let both = ["vault.backup", "bob.backup"];
    let yes = "--yes-the-key-will-exist";
    combine(&both, &["--out-format", "hex", "-o", "key.hex"]).fails(11, yes);
    combine(&both[..1], &["--out-format", "hex", "-o", "key.hex", yes]).fails(2, "2 devices");
    combine(&[both[0]; 2], &["--out-format", "hex", "-o", "key.hex", yes]).fails(2, "same device");
    for format in ["hex", "pem", "wif", "xprv"] {
        let file = format!("key.{format}");
        let done = combine(&both, &["--out-format", format, "-o", &file, yes]).succeeds();
        assert_eq!(
            (&done["key"], &done["file"]),
            (&"vault".into(), &arg(&alice.path(&file)).into())
        );
        assert_eq!(fs::metadata(alice.path(&file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    combine(&both, &["--out-format", "hex", "-o", "key.hex", yes]).fails(12, "key.hex");
    // It is logged where the key is, without any of it; elsewhere, or with a locked vault, it is made all the same.
    let logged = alice.run(["log"]).succeeds();
    let entries: Vec<_> = logged["entries"].as_array().unwrap().iter().collect();
    let made: Vec<_> = entries.iter().filter(|entry| entry["ceremony"] == "combine").collect();
    assert_eq!(made.len(), 4, "{logged}");
    let last = made[3];
    assert_eq!((&last["outcome"], &last["shares"]), (&"made".into(), &2.into()));
    assert_eq!((&last["key"], last["epochs"].as_array().unwrap().len()), (&"vault".into(), 1));
    let secret = fs::read_to_string(alice.path("key.hex")).unwrap();
    let log = fs::read_to_string(alice.home().join("state/log.jsonl")).unwrap();
    assert!(!log.contains(secret.trim_end()));
    alice.run(["log", "--verify"]).succeeds();
    let mut locked = alice.script(["keys", "combine"]);
    locked.env_remove("COSIGN_IDENTITY").args(both).args([
        "--out-format",
        "hex",
        "-o",
        "locked",
        yes,
    ]);
    locked.args(["--backup-identity", "backup.txt", "--backup-identity", "bob.txt"]);
    let ended = Running::start(&mut locked).ends();
    let notes = ended.events("note");
    assert!(notes.iter().any(|note| text(&note["message"]).contains("not written")), "{notes:?}");
    ended.succeeds();
    alice.run(["log", "--verify"]).succeeds();

    // openssl signs with it alone, and the public key is the one of before.
    let openssl = |args: &[&str]| {
        let output =
            Command::new("openssl").args(args).current_dir(alice.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    alice.write("message", "moved on");
    openssl(&["dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "message"]);
    let checked = alice.run(["verify", "--key", "vault", "--file", "message", "signature"]);
    assert_eq!(checked.succeeds()["valid"], true);
    let public = String::from_utf8(openssl(&["pkey", "-in", "key.pem", "-pubout"])).unwrap();
    let exported = alice.run(["keys", "export", "vault"]).succeeds();
    assert_eq!(public.trim_end(), exported["exported"].as_str().unwrap());

    // A script without cosign gets the same, from the same backups.
    for (file, identity) in [("vault.backup", "backup.txt"), ("bob.backup", "bob.txt")] {
        let mut age = Command::new("age");
        age.args(["-d", "-i", identity, "-o", &format!("{file}.txt"), file]);
        assert!(age.current_dir(alice.path("")).status().unwrap().success());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/combine.py");
    let output = Command::new("/usr/bin/python3")
        .args([script, "vault.backup.txt", "bob.backup.txt"])
        .current_dir(alice.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, fs::read(alice.path("key.hex")).unwrap());

    // Of two epochs nothing is made.
    alice.run(["keys", "refresh", "vault", "--peer", &to]).succeeds();
    fs::rename(alice.path("backup.txt"), alice.path("bob.txt")).unwrap();
    fs::rename(alice.path("vault.backup"), alice.path("bob.backup")).unwrap();
    back_up(&alice, "vault.backup");
    combine(&both, &["--out-format", "hex", "-o", "other", yes]).fails(2, "one epoch");
    assert!(!alice.path("other").exists());
}

#[test]
fn the_name_of_a_key_is_typed_before_it_exists() {
    let (alice, bob, _listener) = two_with_key();
    for device in [&alice, &bob] {
        back_up(device, "vault.backup");
    }
    let (mine, theirs) = (alice.path("vault.backup"), bob.path("vault.backup"));
    let identities = [alice.path("backup.txt"), bob.path("backup.txt")];
    let line =
        ["keys", "combine", arg(&mine), arg(&theirs), "--out-format", "wif", "-o", "key.wif"];
    let open = identities.iter().flat_map(|file| ["--backup-identity", arg(file)]);
    let line: Vec<&str> = line.into_iter().chain(open).collect();
    let mut screen = alice.terminal(&line);
    screen.shows("THIS MAKES THE WHOLE PRIVATE KEY").shows("type vault to go on: ").types("y\n");
    assert_eq!(screen.ends().0, Some(3));
    assert!(!alice.path("key.wif").exists());
    let mut screen = alice.terminal(&line);
    screen.shows("type vault to go on: ").types("vault\n");
    assert_eq!(screen.ends().0, Some(0));
    assert!(fs::read_to_string(alice.path("key.wif")).unwrap().starts_with(['K', 'L']));
}

#[test]
fn a_key_is_called_something_else_here_and_signs_on() {
    let (alice, bob, listener) = two_with_key();
    let to = listener.address();
    let before = alice.run(["keys", "show", "vault"]).succeeds();
    alice.run(["keys", "rename", "vault", "../x"]).fails(2, "not a usable name");
    alice.run(["keys", "rename", "gone", "treasury"]).fails(10, "gone");
    // A rule for the new name is for this key from then on, and it is said.
    alice.policy("[[rule]]\npeer = \"bob\"\nkey = \"treasury\"\naction = \"allow\"\n");
    introduce(&[&alice, &bob]);
    let waiting = alice.listen(&["--policy", "policy.toml"]);
    let asks = || bob.run(["sign", DIGEST, "--key", "vault", "--peer", &waiting.address()]);
    asks().fails(9, "the policy of alice");
    let renamed = alice.command(["keys", "rename", "vault", "treasury"]).output().unwrap();
    let said = String::from_utf8_lossy(&renamed.stdout).into_owned();
    assert!(said.contains("those that name \"treasury\" do"), "{said}");
    asks().succeeds();
    drop(waiting);
    alice.run(["keys", "rename", "treasury", "vault"]).succeeds();
    let done = alice.run(["keys", "rename", "vault", "treasury"]).succeeds();
    assert_eq!((&done["name"], &done["was"]), (&"treasury".into(), &"vault".into()));
    alice.run(["keys", "show", "vault"]).fails(10, "vault");
    let after = alice.run(["keys", "show", "treasury"]).succeeds();
    assert_eq!((&after["epoch"], &after["checked"]), (&before["epoch"], &true.into()));
    alice.run(["sign", DIGEST, "--key", "treasury", "--peer", &to]).succeeds();
    alice.run(["keys", "refresh", "treasury", "--peer", &to]).succeeds();
    // Bob has a name of his own for it.
    introduce(&[&alice, &bob]);
    let waiting = alice.serve(&[&bob]);
    bob.run(["sign", DIGEST, "--key", "vault", "--peer", &waiting.address()]).succeeds();
    drop(waiting);
    assert!(alice.outcomes().contains(&"renamed".to_owned()));
    alice.run(["log", "--verify"]).succeeds();
    let doctor = alice.run(["doctor", "--wait", "1ms"]).document();
    let checks = doctor["result"]["checks"].as_array().unwrap();
    let state = checks.iter().find(|check| check["name"] == "state").unwrap();
    assert_eq!(state["status"], "ok", "{state}");
    assert!(!alice.home().join("data/keys/vault").exists());
}

#[test]
fn the_passphrase_of_a_vault_is_changed() {
    let device = Device::new("alice");
    device.run(["vault", "passphrase"]).fails(2, "cosign vault move --to-passphrase");
    let sealed = Device::blank("bob");
    sealed.write("passphrase.txt", "the first words of this vault\n");
    sealed.run(["init", "--name", "bob"]).succeeds();
    sealed.run(["vault", "passphrase"]).fails(11, "--new-passphrase-file");
    for (text, weak) in [("secret\n", true), (PASSPHRASE, false)] {
        sealed.write("new.txt", text);
        let changed = sealed.run(["vault", "passphrase", "--new-passphrase-file", "new.txt"]);
        match weak {
            true => drop(changed.fails(2, "too weak")),
            false => assert_eq!(changed.succeeds()["sealed_by"][0], "passphrase"),
        }
    }
    sealed.run(["vault", "passphrase", "--new-passphrase-file", "new.txt"]).fails(8, "wrong");
    sealed.write("passphrase.txt", PASSPHRASE);
    assert_eq!(sealed.run(["id"]).succeeds()["checked"], true);
}

#[test]
fn a_key_without_a_backup_of_its_epoch_is_noticed() {
    let (alice, _bob, listener) = two_with_key();
    let to = listener.address();
    let check = || {
        let doctor = alice.run(["doctor", "--wait", "1ms"]).document();
        let checks = doctor["result"]["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "backups").unwrap()
    };
    let shown = || alice.run(["keys", "show", "vault"]).succeeds();
    assert_eq!(check()["status"], "warn");
    assert_eq!((shown().get("backed_up"), shown().get("refreshed")), (None, None));
    back_up(&alice, "vault.backup");
    assert_eq!(check()["status"], "ok");
    assert!(shown()["backed_up"].is_string());
    let refreshed = alice.run(["keys", "refresh", "vault", "--peer", &to]);
    let told = refreshed.events("note");
    assert!(
        told.iter().any(|note| text(&note["message"]).contains("still make the key")),
        "{told:?}"
    );
    assert_eq!(check()["status"], "warn");
    assert!(shown()["refreshed"].is_string() && shown().get("backed_up").is_none());
}
