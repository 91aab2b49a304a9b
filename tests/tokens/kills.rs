//! A move that is killed at any step leaves a vault that opens, and a key that signs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::device::{Device, Listener, Running};
use crate::holder::{Holder, TOKEN, introduce_with, serve};

const THERE: [&str; 6] = ["vault", "move", "--to-token", TOKEN, "--identity", "key.txt"];
const BACK: [&str; 6] = ["vault", "move", "--to-identity", "key.txt", "--identity", "key.txt"];

/// Bob waits, and has made the key `vault` with Alice, whose vault is sealed to a file.
fn key_with_bob(alice: &Holder) -> (Device, Listener) {
    alice.run(["init", "--name", "alice", "--identity", "key.txt"]).succeeds();
    let bob = Device::new("bob");
    introduce_with(alice, &["--identity", "key.txt"], &bob, None);
    let listener = serve(&bob, &alice.name);
    let address = listener.address();
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &address];
    alice.run(keygen.iter().chain(&["--identity", "key.txt"])).succeeds();
    (bob, listener)
}

/// Runs a command whose `step`-th step on the token is its last; whether it came that far.
fn killed(alice: &Holder, command: &[&str], step: usize) -> bool {
    let mut command = alice.script(command);
    command.env("STUB_KILL", step.to_string());
    let ended = Running::start(&mut command).ends();
    match ended.code {
        None => true,
        code => {
            assert_eq!(code, Some(0), "step {step}: {}", ended.stderr);
            false
        }
    }
}

/// The key signs, and opening the vault destroyed the left-overs of the killed process.
#[track_caller]
fn signs(alice: &Holder, listener: &Listener) {
    let digest = hex::encode(rand::random::<[u8; 32]>());
    let address = listener.address();
    let sign = ["sign", &digest, "--key", "vault", "--peer", &address, "--identity", "key.txt"];
    alice.run(sign).succeeds();
    let identities = std::fs::read_dir(alice.home().join("data")).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("identity")
    });
    assert_eq!(identities.count(), 1);
}

fn keys_on(alice: &Holder) -> usize {
    alice.objects().iter().filter(|object| *object == "Private Key Object").count()
}

#[test]
fn a_move_that_is_killed_at_any_step_loses_nothing() {
    let mut alice = Holder::new("alice");
    alice.through_stub();
    let (_bob, listener) = key_with_bob(&alice);

    for step in 1.. {
        let killed_there = killed(&alice, &THERE, step);
        signs(&alice, &listener);
        alice.run(THERE).succeeds();
        assert!(alice.location("vault").starts_with(TOKEN), "step {step}");
        let killed_back = killed(&alice, &BACK, step);
        signs(&alice, &listener);
        alice.run(BACK).succeeds();
        assert!(alice.location("vault").ends_with(".age"), "step {step}");
        assert!(!alice.objects().contains(&"Data object".to_owned()), "step {step}");
        if !killed_there && !killed_back {
            // Fewer would mean that the module killed no process.
            assert!(step > 8, "{step}");
            return;
        }
    }
}

#[test]
fn a_move_that_is_killed_while_it_destroys_what_is_old_loses_nothing() {
    let alice = Holder::new("alice");
    let (_bob, listener) = key_with_bob(&alice);
    let share = PathBuf::from(alice.location("vault"));
    let doomed = alice.home().join("data/.old");
    let header = alice.home().join("data/vault.json");
    let is_sealed_to_a_file = || std::fs::read_to_string(&header).unwrap().contains("\"identity\"");

    // The share or its note is being destroyed, or the key on the token is about to be.
    let moves: [(_, &dyn Fn() -> bool); 4] = [
        (THERE, &|| doomed.exists()),
        (BACK, &|| doomed.exists()),
        (THERE, &|| doomed.exists()),
        (BACK, &is_sealed_to_a_file),
    ];
    for (command, moment) in moves.iter().cycle().take(12) {
        let keys = keys_on(&alice);
        let mut moving = alice.start(command);
        while !moving.is_over() {
            if moment() {
                moving.signal(Signal::KILL);
                break;
            }
        }
        drop(moving.ends());
        assert!(!share.exists() || std::fs::read(&share).unwrap().starts_with(b"age-encryption"));
        signs(&alice, &listener);
        let again = alice.run(command);
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        if *command == BACK && keys_on(&alice) == keys {
            assert!(again.stderr.contains("may still be on its token"), "{}", again.stderr);
        }
        signs(&alice, &listener);
    }
}

#[test]
fn a_damaged_share_on_the_disk_never_takes_the_place_of_a_whole_one_on_the_token() {
    let alice = Holder::new("alice");
    let (_bob, listener) = key_with_bob(&alice);
    let share = alice.location("vault");
    alice.run(THERE).succeeds();
    std::fs::write(&share, [0; 33_000]).unwrap();
    std::fs::set_permissions(&share, Permissions::from_mode(0o600)).unwrap();
    alice.run(THERE).succeeds();
    assert!(alice.location("vault").starts_with(TOKEN));
    signs(&alice, &listener);
}
