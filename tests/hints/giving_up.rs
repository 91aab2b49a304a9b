//! Texts that advise to give something up, and why each may. A new text of this kind needs a reason
//! here; the claim of another device is not one.

use cosign::report::{self, Failure};
use cosign::wire::Reason;

use crate::failures::{NAMES, all};
use crate::said::Sources;

/// Words for giving something up.
const WORDS: [&str; 9] =
    ["delet", "forget", "drop", "reset", "discard", "eras", "wip", "make a new", "init-token"];

/// Whether a text is about giving something up.
fn gives_up(text: &str) -> bool {
    let text = text.to_lowercase();
    WORDS.iter().any(|word| {
        text.match_indices(word)
            .any(|(at, _)| !text[..at].ends_with(|before: char| before.is_alphanumeric()))
    })
}

/// Texts in the sources about giving something up: the file, how it begins, and why it may.
const REASONS: &[(&str, &str, &str)] = &[
    ("wire.rs", "deleted", "a word of the wire"),
    ("cli.rs", "keys delete", "the command's name in JSON"),
    ("cli.rs", "peers forget", "the command's name in JSON"),
    ("cli/complete.rs", "peers forget", "where names are completed"),
    ("cli/manual.rs", "keys-delete", "the command's page"),
    ("cli/manual.rs", "peers-forget", "the command's page"),
    ("cli/delete.rs", "", "the command itself: says what is lost, and asks for the key's name"),
    ("cli/keys.rs", "deleted      {} says so", "what another device says, as its word"),
    ("report.rs", "{name} says that it", "what another device says, as its word"),
    ("report.rs", "its share of that key was deleted here", "what this device told another one"),
    ("driver/ceremony/deletions.rs", "delete", "a word of the log"),
    ("vault/deleted.rs", "deleted.json", "a file's name"),
    ("report/vault.rs", "deleted.json", "a file's name"),
    ("cli/pair.rs", "reset", "a field of the result"),
    ("cli/pair.rs", "pairing attempts were reset", "what the owner has just done"),
    ("ui/view/result.rs", "cosign peers forget", "how long a pairing lasts, not what to do"),
    ("report.rs", "forget", "the command's help, which says to ask the owner in person first"),
    ("report.rs", "delete", "the command's help, for a device that has agreed to leave the key"),
    (
        "report/vault.rs",
        "forget",
        "the command's help, which says to ask the owner in person first",
    ),
    ("report.rs", "--reset-attempts", "a count on the device that says so; no share, no pin"),
    ("report/vault.rs", "--reset-attempts", "a count of this device; no share, no pin"),
    ("cli/doctor.rs", "--reset-attempts", "a count of this device; no share, no pin"),
    ("cli/pair.rs", "--reset-attempts", "a count of this device; no share, no pin"),
    (
        "report/token.rs",
        "`pkcs11-tool --init-token",
        "the token was never initialised: it is empty",
    ),
    (
        "report/vault.rs",
        "delete",
        "the command's help: what it says of a key that is gone here, where there is no copy",
    ),
    ("vault/keys.rs", ".deleted", "a folder's name"),
];

#[test]
fn whatever_tells_people_to_give_something_up_says_why_it_may() {
    let sources = Sources::read();
    let mut unused: Vec<_> = REASONS.iter().collect();
    let mut unreasoned = Vec::new();
    for said in sources.said.iter().filter(|said| gives_up(&said.text)) {
        let fits = |reason: &&(&str, &str, &str)| {
            let (file, begins, why) = **reason;
            assert!(!why.is_empty());
            said.file == file && said.text.starts_with(begins)
        };
        match REASONS.iter().find(fits) {
            Some(reason) => unused.retain(|r| *r != reason),
            None => unreasoned.push(format!("{}: {:?}", said.file, said.text)),
        }
    }
    assert!(unreasoned.is_empty(), "without a reason:\n{}", unreasoned.join("\n"));
    assert!(unused.is_empty(), "nothing says this any more: {unused:?}");
}

/// What a hint of a failure may say about giving something up, and why.
const HINTS: &[(&str, &str)] = &[
    ("cosign keys delete --help", "shows what is lost, and when that is the way on"),
    ("cosign peers forget --help", "shows what to ask the owner in person first"),
    ("--reset-attempts", "a count; no share, no pin"),
    ("--init-token", "the token was never initialised: it is empty"),
];

#[test]
fn no_failure_advises_to_give_up_a_share_or_a_peer() {
    for name in NAMES {
        for failure in all(name) {
            let hint = failure.hint.unwrap_or_default();
            assert!(!hint.replace("keys delete --help", "").contains("keys delete"), "{hint}");
            let allowed = HINTS.iter().any(|(part, _)| hint.contains(part));
            assert!(!gives_up(&hint) || allowed, "{}: {hint}", failure.message);
        }
    }
}

#[test]
fn what_another_device_says_against_this_one_is_told_as_its_word() {
    for reason in [Reason::Banned, Reason::Worn, Reason::RolledBack, Reason::Deleted { time: 0 }] {
        let Failure { message, hint, .. } = report::refused_with("bob", reason, "vault");
        assert!(message.starts_with("bob says that "), "{message}");
        assert!(hint.as_ref().unwrap().starts_with("that is its word alone"), "{hint:?}");
    }
}
