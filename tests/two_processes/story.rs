//! What the README promises of a laptop that is lost, from the first pairing to the last backup: people type its
//! lines as they stand there. Where a comment beside a line says what somebody does, it is done, and compared with
//! what is done here, so that another README needs another test.

use std::fs;
use std::path::Path;
use std::process::Command;

use age::secrecy::ExposeSecret as _;

use crate::device::{Device, Ended, QUESTION, Running, arg, introduce, text};
use crate::openssl::is_satisfied;
use crate::signing::fresh_digest;
use crate::terminal::Terminal;

/// A line of the README: `who$ cosign words  # remark`.
#[derive(Debug)]
struct Line {
    who: String,
    words: Vec<String>,
    remark: String,
}

impl Line {
    /// What is typed in `text`, and by whom, if somebody types something.
    fn read(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once("cosign ")?;
        let who = before.trim().strip_suffix('$')?.rsplit(' ').next()?.to_owned();
        let (command, remark) = rest.split_once('#').unwrap_or((rest, ""));
        let words = command.split_whitespace().map(str::to_owned).collect();
        Some(Self { who, words, remark: remark.trim().to_owned() })
    }

    /// The lines that begin like this in a section of the README, in order.
    fn all(section: &str, beginning: &str) -> Vec<Self> {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, text) = readme.split_once(&format!("\n## {section}\n")).expect(section);
        let text = text.split_once("\n## ").map_or(text, |(text, _)| text);
        let lines = text.lines().filter_map(Self::read);
        lines.filter(|line| line.words.join(" ").starts_with(beginning)).collect()
    }

    /// The one line of a section that begins like this.
    #[track_caller]
    fn only(section: &str, beginning: &str) -> Self {
        let mut lines = Self::all(section, beginning);
        assert_eq!(lines.len(), 1, "{beginning:?} in {section:?}: {lines:?}");
        lines.remove(0)
    }
}

const DAILY: &str = "Everyday use";
const LOST: &str = "If a laptop is lost";

/// The people of the README. What they call their devices here is nobody else's name on this network.
struct People {
    devices: Vec<Device>,
    tag: String,
}

impl People {
    fn new(names: &[&str]) -> Self {
        let tag = hex::encode(rand::random::<[u8; 4]>());
        let devices = names.iter().map(|name| Device::new(&format!("{name}-{tag}"))).collect();
        Self { devices, tag }
    }

    fn named(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    fn of(&self, name: &str) -> &Device {
        let name = self.named(name);
        self.devices.iter().find(|device| device.name == name).expect(&name)
    }

    /// The words of a line with the names that the devices have.
    fn words(&self, line: &Line) -> Vec<String> {
        let is_name =
            |word: &String| self.devices.iter().any(|device| device.name == self.named(word));
        let word = |word: &String| if is_name(word) { self.named(word) } else { word.clone() };
        line.words.iter().map(word).collect()
    }

    /// `who` types the line, and looks at the screen.
    fn types(&self, who: &str, line: &Line, more: &[&str]) -> Terminal {
        let words = self.words(line);
        self.of(who).terminal(words.iter().map(String::as_str).chain(more.iter().copied()))
    }

    /// `who` runs the line and gets its result.
    fn starts(&self, who: &str, line: &Line, more: &[&str]) -> Running {
        let words = self.words(line);
        self.of(who).start(words.iter().map(String::as_str).chain(more.iter().copied()))
    }

    /// `who` listens, and looks at the screen.
    fn listens(&self, who: &str) -> Terminal {
        let mut screen = self.of(who).terminal(["listen", "--port", "0"].iter().chain(&NEAR));
        screen.shows("on port ");
        screen
    }

    /// The device signs with those that listen; `with` approves, and openssl verifies.
    #[track_caller]
    fn sign(&self, who: &str, with: &str, screen: &mut Terminal) {
        let (device, digest) = (self.of(who), fresh_digest());
        let pem = device.path("vault.pem");
        if !pem.exists() {
            device.run(["keys", "export", "vault", "-o", arg(&pem)]).succeeds();
        }
        let with = self.named(with);
        let sign = ["sign", "--key", "vault", &digest, "--with", &with];
        let asking = device.start(sign.iter().chain(&NEAR));
        screen.approves();
        is_satisfied(&asking.ends().succeeds(), &pem, &digest);
    }
}

/// All of them are on this machine.
const NEAR: [&str; 2] = ["--interface", "lo"];

/// The two people say that the codes are the same.
#[track_caller]
fn agree(screens: [&mut Terminal; 2]) {
    let [one, other] = screens;
    assert_eq!(one.code(), other.code());
    for screen in [one, other] {
        screen.shows(QUESTION).types("y\n");
    }
}

/// Backs the key up by the README's line, to an identity of the device's owner.
fn back_up(device: &Device, line: &Line, name: &str) {
    let identity = age::x25519::Identity::generate();
    device.write(&format!("{name}.txt"), identity.to_string().expose_secret());
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    assert_eq!(&words[words.len() - 2..], ["-o", "vault.backup"]);
    let recipient = identity.to_public().to_string();
    let words = &words[..words.len() - 1];
    device.run(words.iter().chain(&[name, "--recipient", &recipient])).succeeds();
}

fn verified(device: &Device, name: &str) -> Ended {
    let identity = format!("{name}.txt");
    device.run(["keys", "verify-backup", name, "--backup-identity", &identity])
}

/// Whether a stock `age` opens the backup, where there is one.
fn age_opens(device: &Device, name: &str) {
    let identity = format!("{name}.txt");
    let mut age = Command::new("age");
    match age.args(["-d", "-i", &identity, name]).current_dir(device.path("")).output() {
        Ok(output) => {
            assert!(output.status.success() && output.stdout.starts_with(b"cosign-backup/1\n"))
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

/// The device, found as it was, can do nothing with the key: the others went on without it.
#[track_caller]
fn is_refused(found: &Device, with: &str) {
    let run = |args: &[&str]| found.run(args.iter().chain(&NEAR));
    run(&["sign", "--key", "vault", &fresh_digest(), "--with", with]).fails(12, "without this one");
    run(&["keys", "refresh", "vault"]).fails(12, "without this one");
    run(&["keygen", "--key", "vault", "--resume"]).fails(12, "without this one");
}

#[test]
fn three_people_lose_a_laptop_and_go_on_with_a_new_one() {
    let people = People::new(&["alice", "bob", "carol", "dave"]);
    let owners = ["alice", "bob", "carol"];

    // One code on all screens.
    let group = Line::only(DAILY, "pair --group");
    assert_eq!(group.remark, "bob$ and carol$: cosign pair --join alice; one code on all screens");
    let join = Line::read("bob$ cosign pair --join alice").unwrap();
    let mut host = people.types(&group.who, &group, &NEAR);
    host.shows("on port ");
    let mut screens = Vec::new();
    for who in ["bob", "carol"] {
        screens.push(people.types(who, &join, &NEAR));
        host.shows(&format!("connected to {:?}", people.named(who)));
    }
    host.shows(&format!("{:?}, {:?}", people.named("bob"), people.named("carol")));
    host.shows("which next? [1-");
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    host.types("1\n");
    screens.insert(0, host);
    let codes: Vec<String> = screens.iter_mut().map(Terminal::code).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    for screen in &mut screens {
        screen.shows("show the same code and names? [y/N] ").types("y\n");
    }
    for screen in screens {
        assert_eq!(screen.ends().0, Some(0));
    }

    // A key of which any two sign.
    let keygen = Line::only(DAILY, "keygen --key vault --with bob carol --threshold 2");
    assert_eq!(keygen.remark, "while bob$ and carol$: cosign listen");
    let (mut at_bob, mut at_carol) = (people.listens("bob"), people.listens("carol"));
    let making = people.starts(&keygen.who, &keygen, &NEAR);
    at_bob.approves();
    at_carol.approves();
    let public_key = text(&making.ends().succeeds()["public_key"]);
    people.sign("alice", "bob", &mut at_bob);

    // Each has a backup.
    let backup = Line::only(LOST, "keys backup vault");
    assert_eq!(backup.remark, "before, on each device; again after each refresh");
    for who in owners {
        let device = people.of(who);
        back_up(device, &backup, "old.backup");
        age_opens(device, "old.backup");
        assert_eq!(verified(device, "old.backup").succeeds()["state"], "current");
    }

    // Bob's laptop dies. What is on its disk is as it was.
    at_bob.kill();
    drop(at_bob);
    let found = Device::blank(&people.named("bob"));
    for what in ["home", "key.txt"] {
        let from = people.of("bob").path(what);
        let done = Command::new("cp").arg("-a").arg(from).arg(found.path("")).status();
        assert!(done.unwrap().success());
    }

    // The README, line by line.
    let lines = Line::all(LOST, "");
    let [listen, pair, reshare, forget] = &lines[..4] else { unreachable!() };
    let remark = |line: &Line| (line.who.clone(), line.remark.clone());
    assert_eq!(remark(listen), ("dave".into(), "and so does carol".into()));
    let mut at_dave = people.types("dave", listen, &NEAR);
    at_dave.shows("on port ");

    assert_eq!(remark(pair), ("alice".into(), "then carol$ cosign pair dave".into()));
    let also = Line::read(&pair.remark).unwrap();
    for line in [pair, &also] {
        let mut screen = people.types(&line.who, line, &NEAR);
        agree([&mut screen, &mut at_dave]);
        assert_eq!(screen.ends().0, Some(0));
    }

    assert_eq!(
        remark(reshare),
        ("alice".into(), "carol and dave look at the card and say yes".into())
    );
    let giving = people.starts("alice", reshare, &NEAR);
    for screen in [&mut at_carol, &mut at_dave] {
        screen.shows(&public_key[..34]).approves();
    }
    let made = giving.ends().succeeds();
    assert_eq!((&made["confirmed"], text(&made["public_key"])), (&true.into(), public_key));

    // The disk is found, and all others are there.
    let _at_alice = people.listens("alice");
    is_refused(&found, &people.named("carol"));
    assert_eq!(remark(forget), ("alice".into(), "on every device that knows him".into()));
    for who in ["alice", "carol"] {
        people.starts(who, forget, &[]).ends().succeeds();
    }
    // From now on it is anybody.
    let sign = ["sign", "--key", "vault", &fresh_digest(), "--with", &people.named("carol")];
    found.run(sign.iter().chain(&NEAR)).fails(5, "is not paired with this device");
    // It destroys nothing by itself.
    found.run(["keys", "show", "vault"]).succeeds();

    // The new laptop signs with each of the others, whoever asks.
    people.sign("dave", "carol", &mut at_carol);
    people.sign("alice", "dave", &mut at_dave);

    // Backups of before are worthless, those of now restore.
    let theirs = people.of("bob");
    for (device, name) in [("alice", "bob.backup"), ("carol", "bob.backup")] {
        for (from, to) in [("old.backup", name), ("old.backup.txt", "bob.backup.txt")] {
            people.of(device).write(to, fs::read(theirs.path(from)).unwrap());
        }
        for name in ["old.backup", name] {
            let ended = verified(people.of(device), name).fails(12, "worthless");
            assert_eq!(ended.document()["result"]["restores"], false);
        }
    }
    for who in ["alice", "carol", "dave"] {
        let device = people.of(who);
        back_up(device, &backup, "new.backup");
        age_opens(device, "new.backup");
        let verified = verified(device, "new.backup").succeeds();
        assert_eq!((&verified["state"], &verified["restores"]), (&"current".into(), &true.into()));
        let again = Device::blank(&device.name);
        for name in ["new.backup", "new.backup.txt"] {
            again.write(name, fs::read(device.path(name)).unwrap());
        }
        let restore = ["keys", "restore", "new.backup", "--backup-identity", "new.backup.txt"];
        assert_eq!(again.run(restore).succeeds()["device"], device.name.as_str());
    }
}

#[test]
fn a_lost_device_comes_back_from_its_backup_as_a_new_laptop() {
    let mut people = People::new(&["alice", "bob"]);
    let (alice, bob) = (people.of("alice"), people.of("bob"));
    introduce(&[alice, bob]);
    let mut at_bob = people.listens("bob");
    let with = people.named("bob");
    let making = alice.start(["keygen", "--key", "vault", "--with", &with].iter().chain(&NEAR));
    at_bob.approves();
    let public_key = text(&making.ends().succeeds()["public_key"]);

    let lines = Line::all(LOST, "keys");
    let [.., backup, verify, restore, refresh] = &lines[..] else { panic!("{lines:?}") };
    let who: Vec<&str> = lines[lines.len() - 4..].iter().map(|line| line.who.as_str()).collect();
    assert_eq!(who, ["alice", "alice", "new", "new"]);
    let passphrase = "backups want words of their own\n";
    let mut screen = people.types("alice", backup, &[]);
    screen.shows("new passphrase for this backup: ").types(passphrase);
    screen.shows("the same again: ").types(passphrase);
    assert_eq!(screen.ends().0, Some(0));
    let opens = |people: &People, who: &str, line: &Line, says: &str| {
        let mut screen = people.types(who, line, &[]);
        screen.shows("passphrase of ").types(passphrase);
        let (code, said) = screen.ends();
        assert!(code == Some(0) && said.contains(says), "{said}");
    };
    opens(&people, "alice", verify, "would restore");

    // The laptop is lost. Somebody else has it, or a copy.
    let new = Device::blank(&people.named("new"));
    new.write("vault.backup", fs::read(people.of("alice").path("vault.backup")).unwrap());
    people.devices.push(new);
    opens(&people, "new", restore, "is \"alice-");
    assert_eq!(
        refresh.remark,
        "with all devices: the thief's share signs with nobody from then on"
    );
    let refreshing = people.starts("new", refresh, &NEAR);
    at_bob.shows("request to refresh").approves();
    assert_eq!(text(&refreshing.ends().succeeds()["public_key"]), public_key);
    people.sign("new", "bob", &mut at_bob);
    let digest = fresh_digest();
    let sign = ["sign", "--key", "vault", &digest, "--with", &with];
    people.of("alice").run(sign.iter().chain(&NEAR)).fails(10, "generation");
}
