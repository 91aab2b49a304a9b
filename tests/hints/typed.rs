//! Every command in a hint is one that the program knows, whole and quoted.

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use cosign::cli::args::Cli;

use crate::failures::{NAMES, all};
use crate::said::Sources;

/// The commands in a text: what stands between backticks and begins with the program's name.
pub(crate) fn commands(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("cosign ")).collect()
}

/// The words that a shell makes of `line`: spaces part them, quotes keep spaces, and a backslash
/// keeps a quote.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if !quoted => word.get_or_insert_default().extend(chars.next()),
            ' ' if !quoted => words.extend(word.take()),
            other => {
                assert!(
                    quoted || !"$;&|<>(){}*?~\"".contains(other),
                    "{other:?} is not for a shell: {line}"
                );
                word.get_or_insert_default().push(other);
            }
        }
    }
    assert!(!quoted, "a quote is open: {line}");
    words.extend(word);
    words
}

/// What is wrong with these words: the program must run them, or show its help.
fn complaint(line: &[String]) -> Option<String> {
    let parsed = Cli::command().try_get_matches_from(line);
    let failed = parsed.err().filter(|error| error.kind() != ErrorKind::DisplayHelp);
    let is_placeholder =
        |word: &&String| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    match (failed, line.iter().find(is_placeholder)) {
        (Some(error), _) => Some(format!("{line:?}: {error}")),
        (None, Some(word)) => Some(format!("{line:?}: {word} is to be filled in")),
        (None, None) => None,
    }
}

#[test]
fn every_command_in_a_hint_can_be_typed() {
    let sources = Sources::read();
    let mut lines = Vec::new();
    for said in &sources.said {
        // A command that is put together from pieces is looked at where it is whole.
        for command in commands(&said.text).into_iter().filter(|command| *command != "cosign {}") {
            let whole = command.replace(['{', '}'], "");
            lines.push(words(&whole));
        }
    }
    assert!(lines.len() > 20, "the sources were not read");
    assert!(sources.commands.len() > 20, "the sources were not read");
    for words in &sources.commands {
        let after_relay = |i: usize| i > 0 && words.get(i - 1).is_some_and(|w| w == "--relay");
        let word = |(i, word): (usize, &String)| {
            if after_relay(i) { "wss://relay.example".to_owned() } else { word.clone() }
        };
        let line: Vec<String> = std::iter::once("cosign".to_owned())
            .chain(words.iter().enumerate().map(word))
            .collect();
        lines.push(line);
    }
    let wrong: Vec<String> = lines.iter().filter_map(|line| complaint(line)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_a_failure_can_be_typed_whatever_devices_are_called() {
    for name in NAMES {
        for failure in all(name) {
            for command in commands(failure.hint.as_deref().unwrap_or_default()) {
                assert_eq!(complaint(&words(command)), None, "{}", failure.message);
            }
        }
    }
}
