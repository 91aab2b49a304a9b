//! The command line of the last release still exists in this one, unless CHANGELOG.md lists a part
//! as removed.
//!
//! `tests/compatibility/VERSION` holds what `--help` of every command printed in that version, and in `schema` what
//! docs/schema was. 0.1.0 had no schemas.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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
    let entries = fs::read_dir(snapshots()).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.filter(|path| path.is_file()) {
        let command = path.file_stem().unwrap().to_str().unwrap();
        let then = fs::read_to_string(&path).unwrap();
        count += promises(&then).len();
        for what in taken_away(command, &then, help(command).as_deref()) {
            assert!(told.contains(&what), "not below Removed in CHANGELOG.md: {what}");
        }
    }
    assert!(count > 500, "{count} promises");
}

/// What a script may rest on in documents of this schema: which fields there are at a place, which are always there, and
/// what they are. A place is named by the command, event or definition that it belongs to.
fn fields(schema: &Value, place: &str, found: &mut BTreeSet<String>) {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place} {name}");
        for kind in ["type", "const", "$ref"] {
            found.extend(field.get(kind).map(|is| format!("{place}: {is}")));
        }
        if required.contains(&Value::from(name.as_str())) {
            found.insert(format!("{place}: always"));
        }
        fields(field, &place, found);
        found.insert(place);
    }
    for part in ["items", "then", "else"] {
        if let Some(part) = schema.get(part) {
            fields(part, place, found);
        }
    }
    for list in ["oneOf", "anyOf", "allOf"] {
        for one in schema[list].as_array().into_iter().flatten() {
            let names = [
                &one["properties"]["event"]["const"],
                &one["if"]["properties"]["command"]["const"],
            ];
            let name = names.into_iter().find_map(Value::as_str).unwrap_or_default();
            fields(one, format!("{place} {name}").trim_end(), found);
        }
    }
    for (name, one) in schema["$defs"].as_object().into_iter().flatten() {
        fields(one, &format!("{place} {name}"), found);
    }
}

/// What is promised in `then` and not in `now`, of the schema in the file `name`.
fn withdrawn(name: &str, then: &Value, now: &Value) -> Vec<String> {
    let [then, now] = [then, now].map(|schema| {
        let mut found = BTreeSet::new();
        fields(schema, name, &mut found);
        found
    });
    then.difference(&now).cloned().collect()
}

#[test]
fn fields_of_the_last_release_are_there_or_named_in_the_changelog() {
    let told = told(include_str!("../CHANGELOG.md"));
    let (root, then) = (Path::new(env!("CARGO_MANIFEST_DIR")), snapshots().join("schema"));
    assert_eq!(then.exists(), LAST != "0.1.0", "{} is what docs/schema was", then.display());
    let read = |path: &Path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for name in ["result.json", "event.json", "log.json"] {
        let now: Value = read(&root.join("docs/schema").join(name));
        let then = if then.exists() { read(&then.join(name)) } else { now.clone() };
        for what in withdrawn(name, &then, &now) {
            assert!(told.contains(&what), "not below Removed in CHANGELOG.md: {what}");
        }
    }
}

#[test]
fn a_field_that_is_taken_away_is_seen_and_one_that_is_added_is_not() {
    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let then = r##"{"oneOf":[{"properties":{"event":{"const":"note"},"time":{"type":"string"}},"required":["event"]}],
        "allOf":[{"if":{"properties":{"command":{"const":"id"}}},"then":{"properties":{"result":{"$ref":"#/$defs/a"}}}}],
        "$defs":{"a":{"properties":{"names":{"type":"array","items":{"properties":{"x":{"type":"integer"}}}}}}}}"##;
    let seen = |now: &str| withdrawn("s", &read(then), &read(now));
    let more = r#""time":{"type":"string"},"more":{"type":"string"}"#;
    assert_eq!(seen(&then.replace(r#""time":{"type":"string"}"#, more)), [""; 0]);
    for (from, to, what) in [
        ("\"time\"", "\"when\"", "s note time"),
        ("\"string\"", "\"integer\"", "s note time: \"string\""),
        (r#","required":["event"]"#, "", "s note event: always"),
        ("#/$defs/a", "#/$defs/b", "s id result: \"#/$defs/a\""),
        ("\"x\"", "\"y\"", "s a names x"),
        ("\"id\"", "\"who\"", "s id result"),
    ] {
        let gone = seen(&then.replace(from, to));
        assert!(gone.iter().any(|gone| gone == what), "{what}: {gone:?}");
    }
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
