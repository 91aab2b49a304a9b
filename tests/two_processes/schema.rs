//! The output of the program conforms to docs/schema.

use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::device::{Device, Ended, arg, text, two_with_key};
use crate::signing::fresh_digest;

/// A schema of docs/schema.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

/// The schema in this file, which is one, as strict as this version is: what it does not name is wrong. As it is
/// published it allows for what later versions add.
fn schema(name: &str) -> Schema {
    let mut document = published(name);
    close(&mut document);
    compiled(name, document)
}

fn published(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Forbids fields that are not named, wherever some are.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("type").is_some_and(|kind| kind == "object")
                && members.get("properties").is_some_and(Value::is_object)
            {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn compiled(name: &str, document: Value) -> Schema {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let place = format!("schema:///{name}");
    compiler.add_resource(&place, document).unwrap();
    let index = compiler.compile(&place, &mut schemas).unwrap();
    Schema { schemas, index }
}

impl Schema {
    fn is_valid(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

#[track_caller]
fn fits(schema: &Schema, value: &Value) {
    if let Err(wrong) = schema.schemas.validate(value, schema.index) {
        panic!("{value}\n{wrong:#}");
    }
}

/// Holds what a run printed against the schemas, and gives it back.
#[track_caller]
fn checked(ended: Ended) -> Ended {
    let both: [fn(&str) -> Schema; 2] = [schema, |name| compiled(name, published(name))];
    for as_it_is in both {
        fits(&as_it_is("result.json"), &ended.document());
        let event = as_it_is("event.json");
        for line in ended.stderr.lines() {
            fits(&event, &serde_json::from_str(line).unwrap());
        }
    }
    ended
}

#[test]
fn results_events_and_log_are_what_the_schemas_say() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    bob.policy("[[rule]]\npeer = \"alice\"\npurpose = 'yes'\naction = \"allow\"\n");
    let mut listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    let digest = fresh_digest();
    let run = |device: &Device, line: &[&str]| checked(device.run(line));
    let sign = ["sign", &digest, "--peer", &to, "--request-id", "r-1", "--purpose", "yes"];
    let signed = run(&alice, &sign).succeeds();
    run(&alice, &sign).succeeds();
    alice.write("list", "two\nlines\n");
    let hash = "5a".repeat(32);
    for payload in [["--message", &hash], ["--file", "list"], ["--message", "\u{7}"]] {
        run(&alice, &[&["show"], &payload[..]].concat()).succeeds();
        run(&alice, &[&["sign", "--purpose", "yes"], &payload[..]].concat()).succeeds();
    }
    run(&alice, &["show", &digest]).succeeds();
    run(&alice, &["sign", &digest, "--purpose", "no"]).fails(9, "bob");
    let delivered = ["sign", &digest, "--purpose", "yes", "--deliver-to", "cosigner"];
    assert!(run(&alice, &delivered).succeeds()["der"].is_null());
    run(&alice, &["keygen", "--key", "vault", "--with", "bob"]).fails(12, "vault");
    run(&alice, &["keys", "refresh", "vault"]).fails(9, "bob");
    let der = text(&signed["der"]);
    run(&alice, &["verify", &digest, &der]).succeeds();
    run(&alice, &["verify", &fresh_digest(), &der, "--key", "vault"]).fails(1, "vault");
    run(&alice, &["verify", &digest, &der, "--public-key", &text(&signed["public_key"])]);
    bob.write("rules.toml", "[[rule]]\npeer = \"zed\"\naction = \"ask\"\n");
    let identity = bob.path("key.txt");
    let spare = age::x25519::Identity::generate();
    bob.write("spare.txt", age::secrecy::ExposeSecret::expose_secret(&spare.to_string()));
    let recipient = spare.to_public().to_string();
    for line in [
        &["id"][..],
        &["version"],
        &["config"],
        &["peers"],
        &["keys"],
        &["keys", "show", "vault"],
        &["keys", "export", "vault", "--format", "descriptor"],
        &["log"],
        &["log", "--verify"],
        &["policy", "check", "rules.toml"],
        &["discover", "--wait", "1ms", "--interface", "lo"],
        &["completions", "bash"],
        &["man"],
        &["man", "pages"],
        &["pair", "--reset-attempts"],
        &["peers", "add", "carol", "--fingerprint", &"cc".repeat(32)],
        &["peers", "rename", "carol", "zed"],
        &["rename", "ann"],
        &["peers", "forget", "zed"],
        &["keys", "rename", "vault", "treasury"],
        &["keys", "rename", "treasury", "vault"],
        &["keys", "backup", "vault", "-o", "backup", "--recipient", &recipient],
        &["keys", "verify-backup", "backup", "--backup-identity", "spare.txt"],
        &["vault", "move", "--to-identity", arg(&identity)],
        &["keys", "delete", "vault", "--yes-delete", "vault"],
        &["keys", "restore", "backup", "--backup-identity", "spare.txt"],
        &["keys"],
    ] {
        run(&bob, line).succeeds();
    }
    run(&bob, &["policy", "check", "rules.toml", "--request", "peer=alice"]).fails(9, "no rule");
    run(&bob, &["doctor", "--wait", "1ms"]);
    run(&bob, &["keys", "show", "gone"]).fails(10, "gone");
    run(&bob, &["sign", "--nonsense"]).fails(2, "nonsense");

    let event = schema("event.json");
    let mut seen = Vec::new();
    listener.signal(rustix::process::Signal::TERM);
    while let Some(line) = listener.next_event() {
        fits(&event, &line);
        seen.push(text(&line["event"]));
    }
    for kind in ["inventory", "request", "decided", "round", "received", "signed", "aborted"] {
        assert!(seen.iter().any(|seen| seen == kind), "{kind}: {seen:?}");
    }
    for device in [&alice, &bob] {
        let log = std::fs::read_to_string(device.home().join("state/log.jsonl")).unwrap();
        let line = schema("log.json");
        assert!(log.lines().count() > 2);
        log.lines().for_each(|entry| fits(&line, &serde_json::from_str(entry).unwrap()));
    }
}

#[test]
fn a_published_schema_allows_for_fields_that_are_added_and_for_no_other_meaning() {
    let later = [
        ("event.json", r#"{"event":"note","message":"x","time":"2026-06-15T10:00:00Z","more":1}"#),
        (
            "result.json",
            r#"{"v":1,"ok":true,"command":"man","result":{"page":"","more":1},"more":1}"#,
        ),
        (
            "result.json",
            r#"{"v":1,"ok":false,"error":{"code":"denied","message":"","exit":3,"more":1}}"#,
        ),
    ];
    for (name, line) in later {
        let open = compiled(name, published(name));
        assert!(open.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
        assert!(!schema(name).is_valid(&serde_json::from_str(line).unwrap()), "{line}");
        let other =
            line.replace("\"message\":\"", "\"message\":1,\"m\":\"").replace("\"page\"", "\"p\"");
        assert!(!open.is_valid(&serde_json::from_str(&other).unwrap()), "{other}");
    }
}

#[test]
fn a_schema_refuses_what_the_program_does_not_print() {
    let event = schema("event.json");
    for line in [
        r#"{"event":"note","message":"x"}"#,
        r#"{"event":"note","message":"x","time":"2026-06-15T10:00:00Z","more":1}"#,
        r#"{"event":"nothing","time":"2026-06-15T10:00:00Z"}"#,
    ] {
        assert!(!event.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
    let result = schema("result.json");
    for line in [
        r#"{"v":2,"ok":true,"command":"man","result":{"page":""}}"#,
        r#"{"v":1,"ok":true,"command":"man","result":{"pages":""}}"#,
        r#"{"v":1,"ok":false,"command":"man"}"#,
        r#"{"v":1,"ok":false,"error":{"code":"sad","message":"","exit":1}}"#,
    ] {
        assert!(!result.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
}

/// What earlier versions wrote, the schema of the log allows for.
#[test]
fn logs_of_earlier_versions_are_what_the_schema_says() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    let line = schema("log.json");
    for device in ["alice", "bob", "carol"] {
        let log = frozen.join("0.1.0").join(device).join("state/log.jsonl");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(!log.is_empty());
        log.lines().for_each(|entry| fits(&line, &serde_json::from_str(entry).unwrap()));
    }
}

/// Every event and every command of docs/cli.md is in a schema, and the other way round.
#[test]
fn the_schemas_and_the_document_name_the_same_events() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/cli.md")).unwrap();
    let section = document.split("\n## 4. Events").nth(1).unwrap().split("\n## 5.").next().unwrap();
    let named = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let mut named: Vec<String> =
        section.lines().filter_map(named).filter(|name| name != "event").collect();
    let schema = std::fs::read(root.join("docs/schema/event.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap().iter();
    let mut kinds: Vec<String> =
        kinds.map(|kind| text(&kind["properties"]["event"]["const"])).collect();
    named.push("error".to_owned());
    named.sort();
    kinds.sort();
    assert_eq!(named, kinds);
}
