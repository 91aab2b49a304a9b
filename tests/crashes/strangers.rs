//! Unexpected callers, and requests whose facts differ from what they sign.

use crate::device::{Device, two_with_key};
use crate::insider::{asked, block_on, only_key, opened, other, signing};
use crate::survey::signs;
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::report::Code;
use cosign::request::{Action, Signing};

#[test]
fn a_stranger_ends_nobodys_wait() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let carol = Device::new("carol");
    let once = bob.serve_with(&[&alice], &["--once"]);
    carol.run(["peers", "add", "bob", "--fingerprint", &bob.fingerprint()]).succeeds();
    let keygen = ["keygen", "--key", "mine", "--with", "bob", "--peer", &once.address()];
    carol.run(keygen).fails(5, "not paired");
    signs(&alice, &once.address(), "vault");
    once.ends().succeeds();
    // She wrote nothing into the log, and is noted beside it.
    assert!(!bob.outcomes().contains(&"identity".to_owned()));
    let noted = std::fs::read_to_string(bob.home().join("state/strangers.jsonl")).unwrap();
    assert!(noted.contains("\"not_paired\"") && noted.contains(&carol.fingerprint()), "{noted}");
}

#[test]
fn a_rule_for_a_key_is_none_for_the_keys_below_it() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let rule = "[[rule]]\npeer = \"alice\"\nkey = \"vault\"\naction = \"allow\"\n";
    bob.policy(rule);
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let node = opened(&alice);
    let record = only_key(&node);
    let ask = async |path: Vec<u32>| {
        let signing = Signing { path, ..signing(&node, &record) };
        let question = asked(&node, &record, Action::Sign(signing));
        let invitee = other(&record, &listener.address());
        propose_and_start(&node, &question, vec![invitee])
            .await
            .map(drop)
            .map_err(|failure| failure.kind())
    };
    block_on(async {
        assert_eq!(ask(vec![]).await, Ok(()));
        assert_eq!(ask(vec![0, 7]).await, Err(Code::Policy));
    });
}
