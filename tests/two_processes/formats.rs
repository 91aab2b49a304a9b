//! Signatures in the formats of other programs, which check them here.

use std::path::Path;
use std::process::{Command, Output};

use cosign::payload::MAX_PAYLOAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::device::{Device, Listener, arg, two};
use crate::signing::exported;

/// Alice and Bob with the key `vault`; Bob allows her also what is signed as one of `kinds`.
fn two_who_allow(kinds: &[&str]) -> (Device, Device, Listener) {
    let (alice, bob) = two();
    let rule = |payload: &str| format!("[[rule]]\npeer = \"alice\"\n{payload}action = \"allow\"\n");
    let rules = kinds.iter().map(|kind| rule(&format!("payload = \"{kind}\"\n")));
    bob.policy(&rules.chain([rule("")]).collect::<String>());
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &to]).succeeds();
    (alice, bob, listener)
}

/// What a program says, and whether it is content.
fn says(program: &str, folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(program).current_dir(folder).args(args).output();
    let Output { status, stdout, stderr } = output.expect("tests/run installs it");
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    (status.success(), text)
}

#[test]
fn openssl_checks_a_file_by_the_signature_in_base64() {
    let (alice, _bob, _listener) = two_who_allow(&[]);
    let pem = exported(&alice, "vault");
    let folder = alice.path(".");
    alice.write("notes", "release 1.2\n");
    alice.run(["sign", "--file", "notes", "--format", "base64", "-o", "notes.sig"]).succeeds();
    let decode = ["base64", "-d", "-A", "-in", "notes.sig", "-out", "notes.der"];
    assert!(says("openssl", &folder, &decode).0);
    let verify = ["dgst", "-sha256", "-verify", arg(&pem), "-signature", "notes.der", "notes"];
    assert_eq!(says("openssl", &folder, &verify), (true, "Verified OK\n".to_owned()));
    alice.run(["verify", "--key", "vault", "--file", "notes", "notes.sig"]).succeeds();
    alice.write("notes", "release 1.3\n");
    assert!(!says("openssl", &folder, &verify).0);
}

/// Checks a JWS under a JWK, with the file for one that does not have it, and prints its payload.
const JWCRYPTO: &str = "import sys\n\
    from jwcrypto import jwk, jws\n\
    key = jwk.JWK.from_json(open('vault.jwk').read())\n\
    token = jws.JWS()\n\
    token.allowed_algs = ['ES256K']\n\
    content = open(sys.argv[2], 'rb').read() if len(sys.argv) > 2 else None\n\
    token.deserialize(open(sys.argv[1]).read().strip())\n\
    if content: token.objects['payload'] = content\n\
    token.verify(key)\n\
    sys.stdout.buffer.write(content or token.payload)";

#[test]
fn jwcrypto_checks_a_file_as_jws_with_and_without_it() {
    let (alice, bob, mut listener) = two_who_allow(&["jws"]);
    let folder = alice.path(".");
    alice.run(["keys", "export", "vault", "--format", "jwk", "-o", "vault.jwk"]).succeeds();
    let notes = "§ release 1.2\n";
    alice.write("notes", notes);
    let sign = ["sign", "--file", "notes", "--format", "jws"];
    let result = alice.run([&sign[..], &["-o", "notes.jws"]].concat()).succeeds();
    let accepts =
        |args: &[&str]| says("/usr/bin/python3", &folder, &[&["-c", JWCRYPTO], args].concat());
    assert_eq!(accepts(&["notes.jws"]), (true, notes.to_owned()));
    let compact = std::fs::read_to_string(alice.path("notes.jws")).unwrap();
    let (input, signature) = compact.trim_end().rsplit_once('.').unwrap();
    let header = r#"{"alg":"ES256K"}"#;
    let sha256 = hex::encode(Sha256::digest(notes));
    let payload = json!({
        "kind": "jws", "header": header, "sha256": sha256, "looks_like": "text", "lines": 1,
        "text": notes, "complete": true
    });
    let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
    for document in [&result, &seen] {
        assert_eq!(document["payload"], payload);
        assert_eq!(document["digest"], hex::encode(Sha256::digest(input)));
    }
    assert_eq!(result["jws"], compact.trim_end());
    let source = json!({"kind": "jws", "name": "notes", "size": notes.len()});
    assert_eq!(seen["source"], source);
    let log = bob.run(["log"]).succeeds();
    assert_eq!(log["entries"].as_array().unwrap().last().unwrap()["payload"], source);

    // Without its last three bytes.
    alice.write("notes.bad", format!("{}.{signature}", &input[..input.len() - 4]));
    let (is_accepted, said) = accepts(&["notes.bad"]);
    assert!(!is_accepted && said.contains("InvalidJWSSignature"), "{said}");

    let sign = [&sign[..], &["--detached", "-o", "notes.detached"]].concat();
    alice.write("other", notes.replace("1.2", "1.3"));
    let result = alice.run(sign).succeeds();
    let detached = std::fs::read_to_string(alice.path("notes.detached")).unwrap();
    assert_eq!(result["jws"], detached.trim_end());
    assert!(detached.starts_with("eyJhbGciOiJFUzI1NksifQ.."), "{detached}");
    assert_eq!(accepts(&["notes.detached", "notes"]), (true, notes.to_owned()));
    assert!(!accepts(&["notes.detached", "other"]).0);
}

#[test]
fn what_cannot_be_signed_as_jws_is_refused_before_anybody_is_asked() {
    let (alice, _bob) = two();
    alice.write("notes", "notes");
    alice.write("more", "more");
    alice.write("large", vec![7; usize::try_from(MAX_PAYLOAD).unwrap() + 1]);
    for (args, what) in [
        (&["--file", "large", "--format", "jws"][..], "at most 1048576 bytes"),
        (&["--message", "gm", "--format", "jws"], "for a file"),
        (&["--file", "notes", "--file", "more", "--format", "jws", "-o", "."], "for one file"),
        (&["--file", "notes", "--hash", "keccak256", "--format", "jws"], "not with keccak256"),
        (&["--file", "notes", "--format", "der", "--detached"], "is for --format jws"),
    ] {
        alice.run([&["sign", "--key", "vault"], args].concat()).fails(2, what);
    }
}

#[test]
fn a_rule_that_does_not_name_the_format_does_not_allow_it() {
    let (alice, bob, _listener) = two_who_allow(&["file"]);
    alice.write("notes", "notes");
    alice.run(["sign", "--file", "notes"]).succeeds();
    alice.run(["sign", "--file", "notes", "--format", "jws"]).fails(9, "bob");
    assert_eq!(bob.outcomes().last().map(String::as_str), Some("policy"));
}

#[test]
fn a_machine_signs_as_jws_only_what_is_in_its_folder() {
    let (alice, bob) = two();
    std::fs::create_dir(bob.path("dist")).unwrap();
    bob.write("dist/notes", "release 1.2\n");
    bob.policy(
        "[[rule]]\npeer = \"alice\"\nceremony = \"keygen\"\naction = \"allow\"\n\
         [[rule]]\npeer = \"alice\"\npayload = \"jws\"\nfile_in = \"dist\"\naction = \"allow\"\n",
    );
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &to]).succeeds();
    let sign = ["sign", "--file", "notes", "--format", "jws"];
    alice.write("notes", "release 1.2\n");
    let signed: Value = alice.run(sign).succeeds();
    assert_eq!(signed["payload"]["kind"], "jws");
    alice.write("notes", "release 1.3\n");
    alice.run(sign).fails(9, "bob");
}
