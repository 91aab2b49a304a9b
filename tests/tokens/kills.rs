//! A move that is killed at any step leaves a vault that opens, and a key that signs.

use crate::device::{Device, Listener, Running};
use crate::holder::{Holder, TOKEN, introduce, serve};

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

/// The key signs, and whoever opened the vault destroyed what the killed process left.
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

#[test]
fn a_move_that_is_killed_at_any_step_loses_nothing() {
    let mut alice = Holder::new("alice");
    alice.through_stub();
    alice.run(["init", "--name", "alice", "--identity", "key.txt"]).succeeds();
    let bob = Device::new("bob");
    introduce(&alice, &bob);
    let listener = serve(&bob, &alice.name);
    let address = listener.address();
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--peer", &address];
    alice.run(keygen.iter().chain(&["--identity", "key.txt"])).succeeds();

    let there = ["vault", "move", "--to-token", TOKEN, "--identity", "key.txt"];
    let back = ["vault", "move", "--to-identity", "key.txt", "--identity", "key.txt"];
    for step in 1.. {
        let killed_there = killed(&alice, &there, step);
        signs(&alice, &listener);
        alice.run(there).succeeds();
        assert!(alice.location("vault").starts_with(TOKEN), "step {step}");
        let killed_back = killed(&alice, &back, step);
        signs(&alice, &listener);
        alice.run(back).succeeds();
        assert!(alice.location("vault").ends_with(".age"), "step {step}");
        assert!(!alice.objects().contains(&"Data object".to_owned()), "step {step}");
        if !killed_there && !killed_back {
            // Fewer would mean that the module killed nobody.
            assert!(step > 8, "{step}");
            return;
        }
    }
}
