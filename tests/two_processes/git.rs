//! Commits and tags that git has signed by two people, and gpg checks.

use std::path::PathBuf;
use std::process::Command;

use cosign::driver::clock;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link as _};
use cosign::request::Hex;
use cosign::wire::{Message, Proposal, Reason, Source};
use sha2::{Digest as _, Sha256};

use crate::device::{Device, arg};
use crate::formats::{UID, certificate, two_who_allow_only, with_certificate};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};

/// A repository of a device, in which git signs with `cosign-git`.
struct Repository<'d> {
    device: &'d Device,
    gpg: String,
}

impl<'d> Repository<'d> {
    /// `key` is what git calls the key.
    fn new(device: &'d Device, gpg: String, key: &str) -> Self {
        let program = device.path("cosign-git");
        std::os::unix::fs::symlink(&device.program, &program).unwrap();
        let repository = Self { device, gpg };
        repository.git(&["init", "-q", "-b", "main", "repo"]);
        for (name, value) in [
            ("user.name", "Ada Ö"),
            ("user.email", "ada@example.org"),
            ("gpg.program", arg(&program)),
            ("user.signingKey", key),
        ] {
            repository.git(&["config", name, value]);
        }
        repository
    }

    fn folder(&self) -> PathBuf {
        self.device.path("repo")
    }

    /// Whether git is content, and what it says.
    fn says(&self, args: &[&str]) -> (bool, String) {
        let folder = self.folder();
        let folder = if folder.exists() { folder } else { self.device.path(".") };
        let mut command = Command::new("git");
        command.args(args).current_dir(folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.device.path(".")).env("GNUPGHOME", &self.gpg);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8");
        command.env("COSIGN_HOME", self.device.home());
        command.env("COSIGN_IDENTITY", self.device.path("key.txt"));
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        let (is_content, said) = self.says(args);
        assert!(is_content, "{args:?}: {said}");
        said
    }

    /// A change that is not committed yet.
    fn changes(&self, text: &str) {
        std::fs::write(self.folder().join("notes"), text).unwrap();
        self.git(&["add", "notes"]);
    }

    /// The object `which` with each `from` in it replaced by `to`, stored as another.
    fn altered(&self, kind: &str, which: &str, (from, to): (&str, &str)) -> String {
        let text = self.git(&["cat-file", kind, which]);
        assert!(text.contains(from), "{text}");
        std::fs::write(self.folder().join("object"), text.replace(from, to)).unwrap();
        self.git(&["hash-object", "-t", kind, "-w", "object"]).trim().to_owned()
    }
}

#[test]
fn git_has_commits_and_tags_signed_by_two_people_and_says_good() {
    let (alice, bob, mut listener) = two_who_allow_only(&["git", "openpgp-key"]);
    certificate(&alice);
    let (gpg, _) = with_certificate(&alice);
    let repository = Repository::new(&alice, gpg, "vault");
    let asked = bob.outcomes().len();
    repository.changes("one\n");
    repository.git(&["commit", "-q", "-S", "-m", "First § of them\n\nwith a body"]);
    let seen = listener.event_where("request", |request| request["source"]["kind"] == "git");
    let payload = &seen["payload"];
    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!((&payload["kind"], &payload["type"]), (&"git".into(), &"commit".into()));
    assert_eq!(payload["tree"], tree.trim());
    assert_eq!(payload["author"]["name"], "Ada Ö");
    assert_eq!(payload["committer"]["email"], "ada@example.org");
    assert_eq!(payload["message"], "First § of them\n\nwith a body\n");
    repository.git(&["verify-commit", "HEAD"]);
    let log = repository.git(&["log", "--show-signature"]);
    assert!(log.contains("Good signature") && log.contains(UID), "{log}");

    // By the fingerprint, the user id of the certificate, and as who commits.
    let print = payload["fingerprint"].as_str().unwrap().to_owned();
    for (key, tag) in [(print.as_str(), "v1"), (&format!("0x{}!", &print[24..]), "v2"), (UID, "v3")]
    {
        let said = format!("release {tag}");
        repository.git(&["-c", &format!("user.signingKey={key}"), "tag", "-s", tag, "-m", &said]);
        let seen = listener.event_where("request", |request| request["payload"]["tag"] == tag);
        assert_eq!(seen["payload"]["target_type"], "commit");
        assert_eq!(seen["payload"]["tagger"]["name"], "Ada Ö");
        let said = repository.git(&["verify-tag", tag]);
        assert!(said.contains("Good signature"), "{said}");
    }

    // A merge of a signed tag has the tag in a header.
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.changes("two\n");
    repository.git(&["commit", "-q", "-m", "on the side"]);
    repository.git(&["tag", "-s", "side-1", "-m", "side"]);
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge it", "side-1"]);
    let seen =
        listener.event_where("request", |request| request["payload"]["message"] == "merge it\n");
    assert_eq!(seen["payload"]["parents"].as_array().unwrap().len(), 2);
    assert_eq!(seen["payload"]["headers"][0]["name"], "mergetag");
    repository.git(&["verify-commit", "HEAD"]);

    for (kind, which, change, verify) in [
        ("commit", "HEAD", ("merge it", "merge not"), "verify-commit"),
        ("commit", "HEAD", ("Ada", "Eve"), "verify-commit"),
        ("tag", "v1", ("release v1", "release v9"), "verify-tag"),
        ("tag", "v1", ("tag v1", "tag v9"), "verify-tag"),
    ] {
        let other = repository.altered(kind, which, change);
        let (is_content, said) = repository.says(&[verify, &other]);
        assert!(!is_content && said.contains("BAD signature"), "{said}");
    }
    assert_eq!(bob.outcomes().len(), asked + 6);
}

#[test]
fn a_commit_that_nobody_may_sign_or_that_is_none_of_utf_8_is_not_made() {
    let (alice, bob, _listener) = two_who_allow_only(&["openpgp", "file", "openpgp-key"]);
    certificate(&alice);
    let (gpg, _) = with_certificate(&alice);
    let repository = Repository::new(&alice, gpg, "vault");
    repository.changes("one\n");
    let commit = ["commit", "-q", "-S", "-m", "one"];
    let (is_made, said) = repository.says(&commit);
    assert!(!is_made, "{said}");
    assert_eq!(bob.outcomes().last().map(String::as_str), Some("policy"));
    let asked = bob.outcomes().len();
    let (is_made, _) =
        repository.says(&[&["-c", "i18n.commitEncoding=ISO-8859-1"], &commit[..]].concat());
    assert!(!is_made);
    let (is_made, said) =
        repository.says(&[&["-c", "user.signingKey=nobody"], &commit[..]].concat());
    assert!(!is_made, "{said}");
    assert_eq!(bob.outcomes().len(), asked);
    assert!(!repository.says(&["rev-parse", "-q", "--verify", "HEAD"]).0);
}

/// What is no commit or tag, or hashed otherwise, is refused by the program that is asked.
#[test]
fn what_git_would_not_write_is_not_signed_as_an_object_of_git() {
    let (alice, bob, listener) = two_who_allow_only(&["git"]);
    let insider = opened(&alice);
    let record = only_key(&insider);
    let now = u32::try_from(clock::unix_now()).unwrap();
    let somebody = "A <a@example.org> 1 +0000";
    let commit =
        format!("tree {}\nauthor {somebody}\ncommitter {somebody}\n\nall\n", "0a".repeat(20));
    let refused = |text: String, time: u32, reason: Reason| {
        let (listener, insider, record) = (&listener, &insider, &record);
        async move {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let source = Source::Git { size: text.len() as u64, time };
            let digest = Hex(Sha256::digest(&text).into());
            let proposal = Proposal { source, digest, ..proposal(insider, record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            // A clock that is off is refused before the payload is received.
            let _ = link.send(Frame::new(Kind::Payload, text.clone().into_bytes())).await;
            assert_eq!(hear(&mut link, soon()).await, Ok(Message::Refuse { reason }), "{text}");
            until_closed(link).await;
        }
    };
    block_on(async {
        refused(commit.clone(), now - 25 * 60 * 60, Reason::Clock).await;
        for text in [
            // The digest is not that of OpenPGP.
            commit.clone(),
            "pay bob\n".to_owned(),
            commit.replace("\n\n", "\nencoding KOI8-R\n\n"),
            commit.replace("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n\n"),
            commit.replace("author", "author Eve <e@example.org> 1 +0000\nauthor"),
        ] {
            refused(text, now, Reason::Payload).await;
        }
    });
    assert!(bob.outcomes().iter().all(|outcome| outcome != "signed"), "{:?}", bob.outcomes());
}
