//! The command line of the last release still exists in this one, unless CHANGELOG.md lists a part
//! as removed.
//!
//! `tests/compatibility/VERSION` holds what `--help` of every command printed in that version.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that this version is held against.
const LAST: &str = "0.1.0";

fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compatibility").join(LAST)
}

/// What `--help` of a command says; `command` is its words, parted by dashes. `None` if there is no such command.
fn help(command: &str) -> Option<String> {
    let words = command.split('-').filter(|word| *word != "cosign");
    let mut program = Command::new(env!("CARGO_BIN_EXE_cosign"));
    let output = program.args(words).arg("--help").env_clear().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// What a script may rest on in the help of a command: its commands, flags, values and variables, and the places of
/// its arguments.
fn promises(help: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut section, mut flag) = ("", String::new());
    for line in help.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if depth == 0 && line.ends_with(':') {
            section = line;
            continue;
        }
        if section == "Arguments:" && depth == 2 {
            found.insert(format!("argument {}", text.trim_matches(['<', '>', '[', ']', '.'])));
        }
        if section != "Examples:" && depth <= 6 && text.starts_with('-') {
            let names = text.split(['<', '[']).next().unwrap_or_default();
            let names: Vec<&str> =
                names.split([',', ' ', '=']).filter(|name| name.starts_with('-')).collect();
            found.extend(names.iter().map(|name| (*name).to_owned()));
            flag = (*names.last().unwrap_or(&"")).to_owned();
            if text.contains('<') {
                found.insert(format!("{flag} takes a value"));
            }
        } else if section == "Commands:" && depth == 2 {
            found.extend(text.split(' ').next().map(|name| format!("command {name}")));
        } else if let Some((value, _)) = text.strip_prefix("- ").and_then(|v| v.split_once(':')) {
            found.insert(format!("{flag} {value}"));
        }
        for (kind, end) in [("[env: ", ['=', ']']), ("[possible values: ", [']', ']'])] {
            let said = text.split_once(kind).map(|(_, rest)| rest.split(end).next().unwrap());
            let values = said.into_iter().flat_map(|values| values.split(", "));
            found.extend(values.map(|value| format!("{flag} {value}")));
        }
    }
    found
}

/// The arguments that a command cannot be without.
fn demands(help: &str) -> BTreeSet<String> {
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
    let words = usage.split(' ').filter(|word| word.starts_with('<') || word.starts_with('-'));
    words.map(|word| format!("without {word}")).collect()
}

/// What is in `then` and not in `now`, with the command's name in front of it.
fn taken_away(command: &str, then: &str, now: Option<&str>) -> Vec<String> {
    let named = |what: &String| format!("cosign {}: {what}", command.replace('-', " "));
    let Some(now) = now else { return vec![named(&"the command".to_owned())] };
    let gone = promises(then).difference(&promises(now)).map(named).collect::<Vec<_>>();
    gone.into_iter().chain(demands(now).difference(&demands(then)).map(named)).collect()
}

/// The lines below *Removed* of all versions after `LAST`.
fn told(changelog: &str) -> String {
    let since = changelog.split(&format!("## [{LAST}]")).next().unwrap_or_default();
    let removed = since.split("\n### Removed").skip(1);
    removed.filter_map(|rest| rest.split("\n#").next()).collect()
}

#[test]
fn what_the_last_release_understands_is_understood_or_named_in_the_changelog() {
    let changelog = include_str!("../CHANGELOG.md");
    let told = told(changelog);
    let mut count = 0;
    for entry in fs::read_dir(snapshots()).unwrap() {
        let path = entry.unwrap().path();
        let command = path.file_stem().unwrap().to_str().unwrap();
        let then = fs::read_to_string(&path).unwrap();
        count += promises(&then).len();
        for what in taken_away(command, &then, help(command).as_deref()) {
            assert!(told.contains(&what), "not below Removed in CHANGELOG.md: {what}");
        }
    }
    assert!(count > 500, "{count} promises");
}

#[test]
fn what_is_taken_away_is_seen_and_what_is_added_is_not() {
    let then = "Usage: cosign sign [OPTIONS]\n\nOptions:\n      --file <FILE>\n          Hash it\n\n\
                \x20     --hash <HASH>\n          Possible values:\n          - sha256: SHA-256\n          - md5: MD5\n\n\
                \x20 -q, --quiet\n          Less [env: COSIGN_QUIET=]\n";
    let seen = |now: &str| taken_away("sign", then, Some(now));
    assert_eq!(seen(then), Vec::<String>::new());
    assert_eq!(
        seen(&then.replace("Options:\n", "Options:\n      --new <X>\n          More\n\n")),
        [""; 0]
    );
    for (from, to, what) in [
        ("--file", "--path", "--file"),
        ("--file <FILE>", "--file", "--file takes a value"),
        ("          - md5: MD5\n", "", "--hash md5"),
        ("-q, ", "    ", "-q"),
        ("COSIGN_QUIET", "COSIGN_Q", "--quiet COSIGN_QUIET"),
        ("[OPTIONS]", "[OPTIONS] <DIGEST>", "without <DIGEST>"),
    ] {
        let named = format!("cosign sign: {what}");
        assert!(seen(&then.replace(from, to)).contains(&named), "{from}");
    }
    assert_eq!(taken_away("sign", then, None), ["cosign sign: the command"]);
    let changelog = "## [Unreleased]\n\n### Removed\n\n- cosign sign: -q\n\n### Added\n\n- x\n\n## [0.1.0]\n\n### Removed\n\n- old\n";
    assert_eq!(told(changelog).trim(), "- cosign sign: -q");
}
