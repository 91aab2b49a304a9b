//! Signatures in the formats of other programs, which check them here.

use std::path::Path;
use std::process::{Command, Output};

use cosign::device::Label;
use cosign::driver::clock;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link as _};
use cosign::payload::MAX_PAYLOAD;
use cosign::request::Hex;
use cosign::vault::signatures;
use cosign::wire::{Message, Proposal, Reason, Source};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::device::{Device, Listener, arg, two};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};
use crate::signing::exported;

/// Alice and Bob with the key `vault`; Bob allows her also what is signed as one of `kinds`.
fn two_who_allow(kinds: &[&str]) -> (Device, Device, Listener) {
    two_with_a_key_on("secp256k1", kinds)
}

/// The same, with a key on this curve.
fn two_with_a_key_on(curve: &str, kinds: &[&str]) -> (Device, Device, Listener) {
    let (alice, bob) = two();
    let rule = |payload: &str| format!("[[rule]]\npeer = \"alice\"\n{payload}action = \"allow\"\n");
    let rules = kinds.iter().map(|kind| rule(&format!("payload = \"{kind}\"\n")));
    bob.policy(&rules.chain([rule("")]).collect::<String>());
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    let keygen = ["keygen", "--key", "vault", "--curve", curve, "--with", "bob", "--peer", &to];
    alice.run(keygen).succeeds();
    (alice, bob, listener)
}

/// What a program says, and whether it is content.
pub(crate) fn says(program: &str, folder: &Path, args: &[&str]) -> (bool, String) {
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

/// Bob allows Alice keys, and what is signed as one of `kinds`.
pub(crate) fn two_who_allow_only(kinds: &[&str]) -> (Device, Device, Listener) {
    let (alice, bob) = two();
    let rule = |field: &str| format!("[[rule]]\npeer = \"alice\"\n{field}\naction = \"allow\"\n");
    let rules = kinds.iter().map(|kind| rule(&format!("payload = \"{kind}\"")));
    bob.policy(&rules.chain([rule("ceremony = \"keygen\"")]).collect::<String>());
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &to]).succeeds();
    (alice, bob, listener)
}

#[test]
fn a_rule_for_files_signs_no_certificate_login_or_document_in_a_files_clothes() {
    let (alice, bob, listener) = two_who_allow_only(&["file"]);
    alice.write("notes", "notes");
    alice.run(["sign", "--file", "notes"]).succeeds();
    let made: Value = serde_json::from_str(include_str!("../preimages.json")).unwrap();
    for (name, made) in made["preimages"].as_object().unwrap() {
        alice.write("notes", hex::decode(made["bytes"].as_str().unwrap()).unwrap());
        let shown = alice.run(["show", "--file", "notes"]).succeeds();
        let kind = shown["payload"]["warning"].as_str().unwrap();
        assert_eq!(kind, name.trim_end_matches("_of_version_3"));
        alice.run(["sign", "--file", "notes"]).fails(9, "bob");
        assert_eq!(bob.outcomes().last().map(String::as_str), Some("policy"), "{name}");
    }
    // Nor does a requester's program that does not send the file.
    let insider = opened(&alice);
    let record = only_key(&insider);
    let bytes = std::fs::read(alice.path("notes")).unwrap();
    let source = Source::File {
        name: Label::new("notes"),
        size: bytes.len() as u64,
        hash: "sha256".into(),
        attached: false,
    };
    let digest = Hex(Sha256::digest(&bytes).into());
    let proposal = Proposal { source, digest, ..proposal(&insider, &record) };
    block_on(async {
        let mut link = enter(&insider.tls, &listener.address()).await;
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        let refused = Message::Refuse { reason: Reason::Policy };
        assert_eq!(hear(&mut link, soon()).await, Ok(refused));
        until_closed(link).await;
    });
    assert_eq!(bob.outcomes().iter().filter(|outcome| *outcome == "signed").count(), 1);
}

#[test]
fn a_commit_is_not_signed_as_a_file_in_openpgp() {
    let (alice, bob, listener) = two_who_allow_only(&["openpgp"]);
    let commit = format!("tree {}\nauthor A <a@example.org> 1 +0000\n\nall\n", "0a".repeat(20));
    alice.write("commit", &commit);
    for format in ["openpgp", "openpgp-clear"] {
        let sign = ["sign", "--key", "vault", "--file", "commit", "--format", format];
        alice.run(sign).fails(2, "a commit, a tag or a push of git");
    }
    // What the program of the requester leaves out, the other one's looks at.
    let insider = opened(&alice);
    let record = only_key(&insider);
    let time = u32::try_from(clock::unix_now()).unwrap();
    let (name, size) = (Label::new("notes"), commit.len() as u64);
    let source = Source::OpenPgp { name, size, form: "detached".into(), time };
    let proposal = Proposal { source, ..proposal(&insider, &record) };
    block_on(async {
        let mut link = enter(&insider.tls, &listener.address()).await;
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        link.send(Frame::new(Kind::Payload, commit.into_bytes())).await.unwrap();
        let refused = Message::Refuse { reason: Reason::Payload };
        assert_eq!(hear(&mut link, soon()).await, Ok(refused));
        until_closed(link).await;
    });
    assert!(bob.outcomes().iter().all(|outcome| outcome != "signed"), "{:?}", bob.outcomes());
}

#[test]
fn a_certificate_is_chosen_by_what_is_signed_and_not_by_the_id_of_a_request() {
    let (alice, bob, mut listener) = two_who_allow(&KINDS);
    let export = ["keys", "export", "vault", "--format", "openpgp", "--uid", UID];
    let first = alice.run(export).succeeds();
    let log = bob.run(["log"]).succeeds();
    let entry = log["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&entry["user_id"], &entry["payload"]["kind"]),
        (&json!(UID), &json!("openpgp-key"))
    );
    let signed = listener.event("signed");
    assert_eq!(signed["certifies"]["user_id"], UID);
    let id = entry["request_id"].as_str().unwrap();
    assert!(id.starts_with("openpgp-"), "{id}");
    alice.write("notes", "notes");
    let taken = ["sign", "--file", "notes", "--request-id", id];
    alice.run(taken).fails(2, "those of certificates");

    // A signature of something else under the id of a later certificate.
    let insider = opened(&alice);
    let record = only_key(&insider);
    let (stem, expires) = id.rsplit_once('-').unwrap();
    let (stem, made) = stem.rsplit_once('-').unwrap();
    let later = format!("{stem}-{}-{expires}", made.parse::<u32>().unwrap() + 1);
    let kept = signatures::load(&insider.home, id).unwrap().unwrap();
    signatures::store(&insider.home, &later, &kept).unwrap();
    let again = alice.run(export).succeeds();
    assert_eq!(again["exported"], first["exported"]);

    // A program that takes such an id for something else is not listened to.
    let proposal = Proposal { request_id: id.into(), ..proposal(&insider, &record) };
    block_on(async {
        let mut link = enter(&insider.tls, &listener.address()).await;
        say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
        let answer = hear(&mut link, soon()).await;
        assert!(!matches!(answer, Ok(Message::Accept { .. })), "{answer:?}");
    });
    assert_eq!(bob.outcomes().iter().filter(|outcome| *outcome == "signed").count(), 1);
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

/// A folder of gpg's and one of rnp's with the certificate `vault.asc`.
pub(crate) fn with_certificate(device: &Device) -> (String, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let folders = ["gnupg", "rnp"].map(|name| {
        let folder = device.path(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        arg(&folder).to_owned()
    });
    let [gpg, rnp] = folders;
    let (is_taken, said) = says(
        "gpg",
        &device.path("."),
        &["--homedir", &gpg, "--batch", "--no-autostart", "--import", "vault.asc"],
    );
    assert!(is_taken && said.contains("imported: 1"), "{said}");
    let import = ["--homedir", &rnp, "--import-keys", "vault.asc"];
    let (is_taken, said) = says("rnpkeys", &device.path("."), &import);
    assert!(is_taken, "{said}");
    (gpg, rnp)
}

const KINDS: [&str; 2] = ["openpgp", "openpgp-key"];

pub(crate) const UID: &str = "Release Ö <release@example.org>";

/// Exports the certificate of `vault` to `vault.asc`.
pub(crate) fn certificate(device: &Device) -> Value {
    let export = ["keys", "export", "vault", "--format", "openpgp", "--uid", UID];
    device.run([&export[..], &["-o", "vault.asc"]].concat()).succeeds()
}

#[test]
fn gpg_and_rnp_check_files_under_a_certificate_that_was_signed_once() {
    let (alice, bob, mut listener) = two_who_allow(&KINDS);
    let folder = alice.path(".");
    let exported = certificate(&alice);
    let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
    assert_eq!(seen["payload"]["kind"], "openpgp-key");
    assert_eq!(seen["payload"]["user_id"], UID);
    let print = seen["payload"]["fingerprint"].as_str().unwrap().to_owned();
    let (gpg, rnp) = with_certificate(&alice);

    let home = ["--homedir", &gpg, "--batch", "--no-autostart"];
    let by_gpg = |args: &[&str]| says("gpg", &folder, &[&home, args].concat());
    let (_, listed) = by_gpg(&["--with-colons", "--list-keys"]);
    assert!(listed.contains(&format!("fpr:::::::::{print}:")), "{listed}");
    assert!(listed.contains(":19:") && listed.contains(UID) && listed.contains("secp256k1"));
    assert!(listed.contains(":1735689600:::"), "{listed}");

    // The next export asks nobody, and is the same.
    let asked = bob.outcomes().len();
    std::fs::remove_file(alice.path("vault.asc")).unwrap();
    let again = certificate(&alice);
    assert_eq!((&again["exported"], bob.outcomes().len()), (&exported["exported"], asked));

    alice.write("notes", "release 1.2 \n- with a dash\n\n");
    let sign = ["sign", "--file", "notes", "--format"];
    let result = alice.run([&sign[..], &["openpgp", "-o", "notes.asc"]].concat()).succeeds();
    assert_eq!(result["payload"]["fingerprint"], print.as_str());
    assert_eq!(
        result["payload"]["sha256"],
        hex::encode(Sha256::digest("release 1.2 \n- with a dash\n\n"))
    );
    alice.run([&sign[..], &["openpgp-clear", "-o", "notes.clear"]].concat()).succeeds();
    let by_rnp = |args: &[&str]| says("rnp", &folder, &[&["--homedir", &rnp], args].concat());
    let detached = ["--verify", "notes.asc", "notes"];
    for (is_good, said) in [
        by_gpg(&detached),
        by_gpg(&["--verify", "notes.clear"]),
        by_rnp(&["--verify", "notes.asc"]),
        by_rnp(&["--verify", "notes.clear"]),
    ] {
        assert!(is_good && said.to_lowercase().contains("good signature"), "{said}");
    }
    let clear = std::fs::read_to_string(alice.path("notes.clear")).unwrap();
    alice.write("notes", "release 1.3 \n- with a dash\n\n");
    alice.write("notes.clear", clear.replace("1.2", "1.3"));
    for (is_good, said) in [
        by_gpg(&detached),
        by_gpg(&["--verify", "notes.clear"]),
        by_rnp(&["--verify", "notes.asc"]),
        by_rnp(&["--verify", "notes.clear"]),
    ] {
        assert!(!is_good && said.to_lowercase().contains("bad signature"), "{said}");
    }
}

#[test]
fn a_key_on_p256_signs_in_openpgp_and_as_jws_what_gpg_rnp_sequoia_and_jwcrypto_check() {
    let (alice, _bob, mut listener) = two_with_a_key_on("p256", &["openpgp", "openpgp-key", "jws"]);
    let folder = alice.path(".");
    certificate(&alice);
    let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
    let print = seen["payload"]["fingerprint"].as_str().unwrap().to_owned();
    let (gpg, rnp) = with_certificate(&alice);
    let home = ["--homedir", &gpg, "--batch", "--no-autostart"];
    let by_gpg = |args: &[&str]| says("gpg", &folder, &[&home, args].concat());
    let (_, listed) = by_gpg(&["--with-colons", "--list-keys"]);
    assert!(listed.contains(&format!("fpr:::::::::{print}:")), "{listed}");
    assert!(listed.contains("nistp256"), "{listed}");
    alice.write("notes", "release 1.2\n");
    let sign = ["sign", "--file", "notes", "--format"];
    alice.run([&sign[..], &["openpgp", "-o", "notes.asc"]].concat()).succeeds();
    alice.run([&sign[..], &["openpgp-clear", "-o", "notes.clear"]].concat()).succeeds();
    alice.run([&sign[..], &["jws", "-o", "notes.jws"]].concat()).succeeds();
    alice.run([&sign[..], &["jws", "--detached", "-o", "notes.detached"]].concat()).succeeds();
    alice.run(["keys", "export", "vault", "--format", "jwk", "-o", "vault.jwk"]).succeeds();
    let jws = std::fs::read_to_string(alice.path("notes.jws")).unwrap();
    assert!(jws.starts_with("eyJhbGciOiJFUzI1NiJ9."), "{jws}");
    let jwcrypto = JWCRYPTO.replace("ES256K", "ES256");
    let by_jwcrypto =
        |args: &[&str]| says("/usr/bin/python3", &folder, &[&["-c", &jwcrypto], args].concat());
    let checks = || {
        let sqv = ["--keyring", "vault.asc", "notes.asc", "notes"];
        [
            by_gpg(&["--verify", "notes.asc", "notes"]),
            says("rnp", &folder, &["--homedir", &rnp, "--verify", "notes.asc"]),
            says("sqv", &folder, &sqv),
            by_jwcrypto(&["notes.detached", "notes"]),
        ]
    };
    for (is_good, said) in checks() {
        assert!(is_good, "{said}");
    }
    for (is_good, said) in [by_gpg(&["--verify", "notes.clear"]), by_jwcrypto(&["notes.jws"])] {
        assert!(is_good, "{said}");
    }
    alice.write("notes", "release 1.3\n");
    for (is_good, said) in checks() {
        assert!(!is_good, "{said}");
    }
}

/// `apt-get update` of the repository in `repo`, as signed by the key in `vault.asc`, in folders of its own.
fn apt_updates(device: &Device) -> (bool, String) {
    let place = |name: &str| arg(&device.path(name)).to_owned();
    for folder in ["apt/lists/partial", "apt/cache/archives/partial", "apt/etc"] {
        std::fs::create_dir_all(device.path(folder)).unwrap();
    }
    let source = format!("deb [signed-by={}] file:{} ./\n", place("vault.asc"), place("repo"));
    device.write("apt/etc/sources.list", source);
    device.write("apt/status", "");
    let settings = [
        format!("Dir::Etc::SourceList={}", place("apt/etc/sources.list")),
        "Dir::Etc::SourceParts=-".to_owned(),
        "Dir::Etc::Parts=-".to_owned(),
        format!("Dir::State={}", place("apt")),
        format!("Dir::State::Lists={}", place("apt/lists")),
        format!("Dir::State::Status={}", place("apt/status")),
        format!("Dir::Cache={}", place("apt/cache")),
        "APT::Sandbox::User=root".to_owned(),
        "APT::Update::Error-Mode=any".to_owned(),
    ];
    let settings = settings.iter().flat_map(|setting| ["-o", setting]);
    let args: Vec<&str> = std::iter::once("update").chain(settings).collect();
    says("apt-get", &device.path("."), &args)
}

#[test]
fn apt_takes_a_repository_that_is_signed_as_text_until_a_byte_of_it_is_changed() {
    let (alice, _bob, _listener) = two_who_allow(&KINDS);
    certificate(&alice);
    let repo = alice.path("repo");
    std::fs::create_dir(&repo).unwrap();
    let package = "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\n\
                   Filename: ./hello.deb\nSize: 1\nDescription: hello\n\n";
    alice.write("repo/Packages", package);
    let (is_made, release) = says("apt-ftparchive", &repo, &["release", "."]);
    assert!(is_made, "{release}");
    alice.write("Release", release);
    let sign = ["sign", "--file", "Release", "--format", "openpgp-clear", "-o", "repo/InRelease"];
    alice.run(sign).succeeds();
    let (is_updated, said) = apt_updates(&alice);
    assert!(is_updated, "{said}");
    let signed = std::fs::read_to_string(repo.join("InRelease")).unwrap();
    alice.write("repo/InRelease", signed.replacen("Date: ", "Date:  ", 1));
    let (is_updated, said) = apt_updates(&alice);
    assert!(!is_updated && said.contains("BADSIG"), "{said}");
    // A list that is not the one in what is signed, for somebody who has none yet.
    std::fs::remove_dir_all(alice.path("apt/lists")).unwrap();
    alice.write("repo/InRelease", signed);
    alice.write("repo/Packages", package.replace("Version: 1", "Version: 2"));
    let (is_updated, said) = apt_updates(&alice);
    assert!(!is_updated, "{said}");
}

/// A digest that the requester chose is never signed as OpenPGP, nor what cannot be.
#[test]
fn what_is_hashed_in_openpgp_is_never_the_requesters_word_nor_is_its_time() {
    let (alice, bob, listener) = two_who_allow(&KINDS);
    let insider = opened(&alice);
    let record = only_key(&insider);
    let now = u32::try_from(clock::unix_now()).unwrap();
    let day = 24 * 60 * 60;
    let file = |form: &str, time, size| Source::OpenPgp {
        name: Label::new("a"),
        size,
        form: form.into(),
        time,
    };
    let key = |size, expires| Source::OpenPgpKey { size, time: now, expires };
    let sha256 = <[u8; 32]>::from(Sha256::digest("pay bob"));
    let refused = |source, digest: [u8; 32], bytes: &'static [u8], reason| {
        let (listener, insider, record) = (&listener, &insider, &record);
        async move {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal = Proposal { source, digest: Hex(digest), ..proposal(insider, record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            if !bytes.is_empty() {
                link.send(Frame::new(Kind::Payload, bytes.to_vec())).await.unwrap();
            }
            assert_eq!(hear(&mut link, soon()).await, Ok(Message::Refuse { reason }), "{bytes:?}");
            until_closed(link).await;
        }
    };
    block_on(async {
        for time in [now - day - 60, now + day + 60, 0, u32::MAX] {
            refused(file("detached", time, 7), sha256, b"", Reason::Clock).await;
        }
        for (source, bytes) in [
            (file("detached", now, 7), &b"pay bob"[..]),
            (file("clear", now, 7), b"pay bob"),
            (file("clear", now, 1), b"\xff"),
            (file("clear", now, 3), b"a\rb"),
            (key(7, None), b"pay bob"),
            (key(1, None), b"\n"),
            (key(7, Some(now - 1)), b"pay bob"),
        ] {
            refused(source, sha256, bytes, Reason::Payload).await;
        }
    });
    assert!(bob.outcomes().iter().all(|outcome| outcome != "signed"), "{:?}", bob.outcomes());
}
