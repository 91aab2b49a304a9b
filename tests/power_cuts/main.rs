//! The power fails at any moment of every command that writes: whatever of the unsynced is lost, the device opens,
//! nothing that was reported is missing, and the next signature is made.
//!
//! Alice and Bob live once, from `init` on, Erin gets a share and leaves, and Alice's backup is restored on a blank disk.
//! Everything that they do to their files is recorded in one order. From the record come the states that a power cut may
//! leave of one device, while the others are as they were at that moment. A sample of them is opened, and in a smaller one
//! the program is asked for a signature, or for what was cut off. `COSIGN_SEED=7` takes another sample, `COSIGN_SOAK=1`
//! all.
//!
//! Under the name `cosign` this is the program, watched.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stderr, reason = "it has no harness that would say how it went")]

#[path = "../two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
mod disk;
#[path = "../two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use cosign::driver::backup::Backup;
use cosign::secret::Secret;
use cosign::vault::backup::Found;
use cosign::vault::{Effect, Home, Log, Peers, Unlock, Vault, keys};

use crate::device::{Device, Listener, pair};
use crate::disk::{Act, Disk, Fate, Tree};

// ---------------------------------------------------------------------------------------------
// The program, watched
// ---------------------------------------------------------------------------------------------

static RECORD: OnceLock<File> = OnceLock::new();

fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    let me = Path::new(&argv[0]);
    let watched: fn(Effect<'_>) = match me.file_name().and_then(|name| name.to_str()) {
        Some("cosign") => note,
        Some("cut") => note_and_die,
        _ => return test(),
    };
    RECORD
        .get_or_init(|| OpenOptions::new().append(true).open(me.with_file_name("record")).unwrap());
    cosign::vault::observe(watched);
    if argv.get(1).is_some_and(|word| word == "ban") {
        ban();
        return ExitCode::SUCCESS;
    }
    cosign::cli::main(argv)
}

fn note(effect: Effect<'_>) {
    let mut line = serde_json::to_vec(&Act::from(effect)).unwrap();
    line.push(b'\n');
    // At once, so that lines of several processes are not mixed.
    RECORD.get().unwrap().write_all(&line).unwrap();
}

/// Ends the process where a key has a new share.
fn note_and_die(effect: Effect<'_>) {
    note(effect);
    if matches!(effect, Effect::Renamed(_, to) if to.ends_with("key.json")) {
        std::process::abort();
    }
}

/// Retires the pair with the other party of the key `spare`, as a failed check does.
fn ban() {
    let [home, file] =
        ["COSIGN_HOME", "COSIGN_IDENTITY"].map(|name| std::env::var_os(name).unwrap());
    let vault = Vault::open(&Home::at(home), &Unlock::Identity(file.into())).unwrap();
    let record = keys::find(vault.home(), "spare").unwrap().remove(0);
    let other = record.parties.iter().find(|party| party.index != record.me).unwrap();
    let (index, print) = (other.index.get(), other.fingerprint);
    let ledger = vault.ledger().unwrap();
    ledger.retire(&record.epoch, index, &print, "E_OTE_CHECK", &[7; 32], 1_790_000_000).unwrap();
}

// ---------------------------------------------------------------------------------------------
// Lives
// ---------------------------------------------------------------------------------------------

/// The last is the disk on which the backup of the first is restored.
const NAMES: [&str; 4] = ["alice", "bob", "erin", "alice"];
const ERIN: usize = 2;

/// Whom each signs with.
const OTHER: [usize; 3] = [1, 0, 0];

/// What `vault` is called for a while.
const RENAMED: &str = "treasury";

/// How the names of backups end.
const BACKUP: &str = ".backup";

/// What is restored on the blank disk, and how.
const COPY: &str = "vault.copy";
const RESTORE: [&str; 5] = ["keys", "restore", COPY, "--backup-identity", "key.txt"];

/// The passphrases that open Alice's vault beside her identity, one after the other.
const PASSPHRASES: [&str; 2] = ["tulip oxide ranger mosaic\n", "velvet harbour nickel owl\n"];

/// What the devices did.
struct Lives {
    devices: [Device; 4],
    disks: [Disk; 4],
    /// Where each command begins in the record, and what it is.
    commands: Vec<(usize, String)>,
}

impl Lives {
    fn live() -> Self {
        let stage = tempfile::tempdir().unwrap();
        let program = |name: &str| stage.path().join(name);
        let record = program("record");
        File::create_new(&record).unwrap();
        for name in ["cosign", "cut"] {
            symlink(std::env::current_exe().unwrap(), program(name)).unwrap();
        }
        let mut commands = Vec::new();
        let mut begin = |what: &str| {
            let before = fs::read(&record).unwrap().split(|byte| *byte == b'\n').count() - 1;
            commands.push((before, what.to_owned()));
        };
        begin("init");
        let [mut alice, bob, erin] =
            ["alice", "bob", "erin"].map(|name| Device::running(program("cosign"), name));
        let mut blank = Device::blank("alice");
        blank.program = program("cosign");
        begin("pair");
        pair(&alice, &bob);
        begin("pair --group");
        pair_all(&alice, [&bob, &erin]);
        let listeners = [&bob, &erin].map(listens);
        let to = listeners.each_ref().map(|(name, at)| format!("{name}={}", at.address()));
        let run = |device: &Device, line: &str| {
            let asks = ["sign", "keygen", "keys refresh"].iter().any(|word| line.starts_with(word));
            let near = if line.starts_with("keys reshare") { &to[..] } else { &to[..1] };
            let near = if asks || near.len() > 1 { near } else { &[] };
            let near = near.iter().flat_map(|to| ["--peer", to]);
            device.run(line.split(' ').chain(near))
        };
        alice.write("whole.hex", WHOLE);
        alice.write("first.txt", PASSPHRASES[0]);
        alice.write("second.txt", PASSPHRASES[1]);
        let stranger = format!("peers add carol --fingerprint {}", "ab".repeat(32));
        let sign = |nth: u8| format!("sign {} --key vault", format!("{nth:02x}").repeat(32));
        let key = fs::read_to_string(alice.path("key.txt")).unwrap();
        let recipient = key.trim().parse::<age::x25519::Identity>().unwrap().to_public();
        let backup =
            |key: &str| format!("keys backup {key} -o {key}{BACKUP} --recipient {recipient}");
        for line in [&stranger, "keygen --key vault --with bob", &sign(1), &backup("vault")] {
            begin(line);
            run(&alice, line).succeeds();
        }
        // Beside the record: what is restored has no such file.
        let of_bob = record.with_extension("age");
        let of_bob = of_bob.to_str().unwrap();
        begin("the other backup");
        run(&bob, &format!("keys backup vault -o {of_bob} --recipient {recipient}")).succeeds();
        let combine = format!(
            "keys combine vault{BACKUP} {of_bob} --backup-identity key.txt --out-format hex -o {} \
             --yes-the-key-will-exist",
            record.with_extension("hex").display(),
        );
        for line in [
            &combine,
            "keygen --key spare --with bob",
            &backup("spare"),
            "keys refresh vault",
            &sign(2),
        ] {
            begin(line);
            run(&alice, line).succeeds();
        }
        begin("a refresh that is cut off");
        alice.program = program("cut");
        assert_eq!(run(&alice, "keys refresh vault").code, None);
        alice.program = program("cosign");
        for line in ["keygen --resume --key vault", &sign(3), "peers rename carol dora"] {
            begin(line);
            run(&alice, line).succeeds();
        }
        begin("ban");
        assert!(alice.command(["ban"]).status().unwrap().success());
        for line in [
            "keys delete spare --yes-delete spare",
            &sign(4),
            IMPORT,
            "keys delete whole --yes-delete whole",
            "keys restore spare.backup --backup-identity key.txt",
            "peers forget dora",
            "keys rename vault treasury",
            "keys rename treasury vault",
            "vault move --to-identity key.txt",
            "pair --reset-attempts",
            &sign(5),
            ADD,
            &format!("{}{WITH_ERIN}", sign(6)),
            REMOVE,
            "rename alma",
            &sign(7),
            "vault move --to-identity key.txt --to-passphrase --new-passphrase-file first.txt",
            "vault passphrase --passphrase-file first.txt --new-passphrase-file second.txt",
            &sign(8),
        ] {
            begin(line);
            run(&alice, line).succeeds();
        }
        begin("keys restore");
        for name in ["key.txt", "vault.backup"] {
            let content = fs::read(alice.path(name)).unwrap();
            blank.write(if name == "key.txt" { name } else { COPY }, content);
        }
        blank.run(RESTORE).succeeds();
        drop(listeners);
        let text = fs::read_to_string(&record).unwrap();
        let acts: Vec<Act> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let devices = [alice, bob, erin, blank];
        let disks = [0, 1, 2, 3].map(|which| {
            let home = devices[which].home();
            let root = home.parent().unwrap();
            let own = acts.iter().enumerate().filter(|(_, act)| act.path().starts_with(root));
            Disk::new(root, own)
        });
        Self { devices, disks, commands }
    }

    /// Where in the record the power was cut.
    fn place(&self, state: &State) -> usize {
        self.disks[state.whose].place(state.steps.saturating_sub(1))
    }

    /// The command that was under way at this place of the record.
    fn command(&self, place: usize) -> usize {
        self.commands.partition_point(|(begin, _)| *begin <= place) - 1
    }
}

/// Every two of them pair, by one code; the first gathers.
fn pair_all(host: &Device, others: [&Device; 2]) {
    let mut screen = host.terminal(["pair", "--group", "--remember", "--interface", "lo"]);
    let address = screen.address();
    let mut screens = Vec::new();
    for device in others {
        screens.push(device.terminal(["pair", "--join", "--remember", "--peer", &address]));
        screen.shows(&format!("connected to {:?}", device.name));
    }
    let names = others.map(|device| format!("{:?}", device.name)).join(", ");
    screen.shows(&format!("pair this device and {names}")).shows("which next? [1-");
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    screen.types("1\n");
    screens.push(screen);
    for screen in &mut screens {
        screen.shows(" screens show the same code and names? [y/N] ").types("y\n");
    }
    for screen in screens {
        assert_eq!(screen.ends().0, Some(0));
    }
}

/// The private key that is imported, and its file; also where it is put together again.
const WHOLE: &str = "1111111111111111111111111111111111111111111111111111111111111111\n";
const IMPORT: &str = "keygen --key whole --with bob --import whole.hex";

/// The reshares.
const ADD: &str = "keys reshare vault --add erin";
const REMOVE: &str = "keys reshare vault --remove erin";

/// How a command ends that is run while Erin has a share.
const WITH_ERIN: &str = " --with bob";

/// A device that allows whatever the others ask for, and its name.
fn listens(device: &Device) -> (String, Listener) {
    let names = ["alice", "bob", "erin"].into_iter().filter(|name| *name != device.name);
    let rule = |name: &str| {
        format!(
            "[[rule]]\npeer = {name:?}\naction = \"allow\"\n\
             [[rule]]\npeer = {name:?}\nceremony = \"reshare\"\naction = \"allow\"\n\
             [[rule]]\npeer = {name:?}\nceremony = \"import\"\naction = \"allow\"\n"
        )
    };
    device.policy(&names.map(rule).collect::<String>());
    (device.name.clone(), device.listen(&["--policy", "policy.toml"]))
}

// ---------------------------------------------------------------------------------------------
// States
// ---------------------------------------------------------------------------------------------

/// What a power cut has left of one device.
#[derive(Debug)]
struct State {
    whose: usize,
    /// How many of its steps were done.
    steps: usize,
    /// What became of those that no sync made certain.
    fates: Vec<(usize, Fate)>,
}

/// All states, and of each device how it was after each of its steps where nothing was lost.
fn states(lives: &Lives, random: &mut Random) -> Vec<State> {
    let mut states = Vec::new();
    for (whose, disk) in lives.disks.iter().enumerate() {
        let mut seen = HashSet::new();
        for steps in (0..=disk.len()).filter(|steps| disk.is_sync(*steps)) {
            let open = disk.open(steps);
            let command = lives.command(disk.place(steps.saturating_sub(1)));
            for fates in plans(disk, &open, random) {
                let mut tree = disk.after(steps, &fates);
                let with_other_name = disk::with_other_name(&tree);
                tree.retain(|path, _| !is_nothing(path) || with_other_name.contains(path));
                let mut hasher = DefaultHasher::new();
                (command, tree).hash(&mut hasher);
                if seen.insert(hasher.finish()) {
                    states.push(State { whose, steps, fates });
                }
            }
        }
    }
    states
}

/// Whether it is the same what is in a file: a lock, or what was being written, which the next writer removes.
fn is_nothing(path: &Path) -> bool {
    let above = path.parent().unwrap_or(path);
    let is = |name: &str| path.file_name().is_some_and(|it| it == name);
    is("lock") || is(".new") || above.ends_with("locks")
}

/// What may become of the steps that are open.
fn plans(disk: &Disk, open: &[usize], random: &mut Random) -> Vec<Vec<(usize, Fate)>> {
    use Fate::{Both, Kept, Lost, Short, Zeros};
    let each = |fate: &mut dyn FnMut(usize) -> Fate| -> Vec<(usize, Fate)> {
        open.iter().map(|step| (*step, fate(*step))).collect()
    };
    let mut plans = Vec::new();
    for (name, content) in [
        (Kept, Kept),
        (Lost, Lost),
        (Kept, Lost),
        (Kept, Short),
        (Kept, Zeros),
        (Lost, Kept),
        (Both, Kept),
    ] {
        plans.push(each(&mut |step| if disk.is_name(step) { name } else { content }));
    }
    // One alone, of the last ones: what the system did not order.
    for one in open.iter().rev().take(8) {
        plans.push(each(&mut |step| if step == *one { Lost } else { Kept }));
        plans.push(each(&mut |step| if step == *one { Kept } else { Lost }));
    }
    for _ in 0..2 {
        plans.push(each(&mut |_| [Kept, Lost, Short, Zeros, Both][random.below(5)]));
    }
    plans
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}

// ---------------------------------------------------------------------------------------------
// What is asked
// ---------------------------------------------------------------------------------------------

/// What a home tells of its device.
#[derive(Clone, Debug, Default, PartialEq)]
struct Summary {
    keys: BTreeSet<String>,
    peers: BTreeSet<String>,
    spent: usize,
    retired: usize,
    logged: usize,
    backups: usize,
}

/// Opens a home and looks at everything in it; `None` where no device was made yet.
fn look(home: &Path, file: &Path) -> Result<Option<Summary>, String> {
    let home = Home::at(home);
    if !Vault::exists(&home) {
        return Ok(None);
    }
    let said = |error: cosign::vault::Error| error.to_string();
    let vault = Vault::open(&home, &Unlock::Identity(file.to_owned())).map_err(said)?;
    let home = vault.home();
    if let Some(misfit) = vault.misfits().into_iter().next() {
        return Err(misfit.error.to_string());
    }
    vault.check_signatures().map_err(said)?;
    let records = keys::list(home).map_err(said)?;
    for record in &records {
        vault.share(&record.name, &record.epoch).map_err(said)?;
    }
    vault.ledger().map_err(said)?;
    let ledger = fs::read_to_string(home.state.join("ledger.jsonl")).unwrap_or_default();
    let peers = Peers::load(home).map_err(said)?;
    let mut backups = 0;
    for path in beside(file, BACKUP) {
        let found = Found::read(&path).map_err(said)?.with_identity(file).map_err(said)?;
        Backup::from_text(&found.map_err(|_| "a backup does not open")?)
            .map_err(|_| "a backup is not whole")?;
        backups += 1;
    }
    Ok(Some(Summary {
        backups,
        // Whatever a key is called, it must be there.
        keys: records.into_iter().map(|record| record.name.replace(RENAMED, "vault")).collect(),
        peers: peers.iter().map(|peer| peer.name.clone()).collect(),
        spent: ledger.matches("{\"spend\"").count(),
        retired: ledger.matches("{\"retire\"").count(),
        logged: usize::try_from(Log::verify(home).map_err(said)?.entries).unwrap(),
    }))
}

/// The files beside this one whose names end so.
fn beside(file: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

/// What is missing in `found`, where the device was like each of `was` since the command before.
fn missing(found: Option<&Summary>, was: &[&Option<Summary>]) -> Option<String> {
    let known: Vec<&Summary> = was.iter().filter_map(|summary| summary.as_ref()).collect();
    let Some(found) = found else {
        return (known.len() == was.len()).then(|| "the device".to_owned());
    };
    if known.len() < was.len() {
        return None;
    }
    let in_all = |of: fn(&Summary) -> &BTreeSet<String>| {
        let mut all = of(known[0]).clone();
        all.retain(|name| known.iter().all(|summary| of(summary).contains(name)));
        all.retain(|name| !of(found).contains(name));
        all
    };
    let mut lost: Vec<String> = in_all(|was| &was.keys).into_iter().collect();
    lost.extend(in_all(|was| &was.peers));
    let counts = |s: &Summary| [s.spent, s.retired, s.logged, s.backups];
    let what = ["spent sessions", "retired pairs", "log entries", "backups"];
    for (index, what) in what.into_iter().enumerate() {
        let least = known.iter().map(|summary| counts(summary)[index]).min();
        if Some(counts(found)[index]) < least {
            lost.push(what.to_owned());
        }
    }
    (!lost.is_empty()).then(|| lost.join(", "))
}

/// A device as it was after so many steps.
fn restored(lives: &Lives, whose: usize, tree: &Tree) -> Device {
    let device = Device::blank(NAMES[whose]);
    for name in ["key.txt", COPY, "whole.hex"] {
        if let Ok(content) = fs::read(lives.devices[whose].path(name)) {
            device.write(name, content);
        }
    }
    lives.disks[whose].write(tree, &device.path(""));
    device
}

/// Opens a state, and asks the program if `asks`. Hands back what is wrong.
fn examine(
    lives: &Lives,
    state: &State,
    was: &[Vec<(usize, Option<Summary>)>; 4],
    asks: Option<usize>,
) -> Result<(), String> {
    let disk = &lives.disks[state.whose];
    let place = lives.place(state);
    let device = restored(lives, state.whose, &disk.after(state.steps, &state.fates));
    let found = look(&device.home(), &device.path("key.txt"))?;
    // What the command before this one did is done, and of this one perhaps a part.
    let before = lives.commands[lives.command(place).saturating_sub(1)].0;
    let moments = &was[state.whose];
    let until = |end: usize| moments.partition_point(|(steps, _)| *steps <= end);
    let since = &moments[until(disk.until(before)).saturating_sub(1)..until(state.steps)];
    let since: Vec<_> = since.iter().map(|(_, summary)| summary).collect();
    if let Some(lost) = missing(found.as_ref(), &since) {
        return Err(format!("lost: {lost}"));
    }
    let Some(role) = asks else { return Ok(()) };
    let command = lives.commands[lives.command(place)].1.as_str();
    let Some(other) = OTHER.get(state.whose).copied() else {
        // What was cut off is done again, or was done.
        if !found.is_some_and(|found| found.keys.contains("vault")) {
            failed(device.run(RESTORE))?;
        }
        let shown = device.run(["keys", "show", "vault"]);
        let is_restored = shown.code == Some(0) && shown.document()["result"]["restored"] == true;
        return if is_restored {
            Ok(())
        } else {
            failed(shown).and(Err("it is not restored".into()))
        };
    };
    if command.starts_with("vault passphrase") && state.whose == 0 {
        let opens = |passphrase: &str| {
            let passphrase = Secret::new(passphrase.trim().to_owned());
            Vault::open(&Home::at(device.home()), &Unlock::Passphrase(passphrase)).is_ok()
        };
        if !PASSPHRASES.into_iter().any(opens) {
            return Err("no passphrase opens it".to_owned());
        }
    }
    if [ADD, REMOVE].contains(&command) && found.is_some() {
        return reshared(lives, state, device, place, command);
    }
    let Some(found) = found else {
        return failed(device.run(["init", "--name", "again"]));
    };
    failed(device.run(["log", "--verify"]))?;
    if device.home().join("data/keys").join(RENAMED).join("key.json").exists() {
        failed(device.run(["keys", "rename", RENAMED, "vault"]))?;
    }
    let there = lives.disks[other].until(place);
    if !found.keys.contains("vault")
        || !was[other].iter().rfind(|(steps, _)| *steps <= there).is_some_and(|(_, other)| {
            other.as_ref().is_some_and(|other| other.keys.contains("vault"))
        })
    {
        return failed(device.run(["peers", "list"]));
    }
    let peer = restored(lives, other, &lives.disks[other].after(there, &[]));
    let (here, there) = if role == 0 { (&device, &peer) } else { (&peer, &device) };
    let (name, listener) = listens(there);
    let to = listener.address();
    if command.starts_with("keygen") {
        let resumed = here.run(["keygen", "--resume", "--peer", &to]);
        if resumed.code != Some(10) {
            failed(resumed)?;
        }
        // The importer may ask for it again, whatever is left of it on either side.
        if command == IMPORT && here.name == NAMES[0] {
            failed(here.run(IMPORT.split(' ').chain(["--peer", &to])))?;
        }
    }
    let digest = "5a".repeat(32);
    // While Erin has a share there are two whom it could be asked of.
    let named = format!("{name}={to}");
    let who = match command.ends_with(WITH_ERIN) {
        true => vec!["--with", &name, "--peer", &named],
        false => vec!["--peer", &to],
    };
    failed(here.run(["sign", &digest, "--key", "vault"].into_iter().chain(who)))?;
    drop(listener);
    look(&device.home(), &device.path("key.txt")).map(drop)
}

/// What it says, if it failed.
fn failed(ended: device::Ended) -> Result<(), String> {
    match ended.code {
        Some(0) => Ok(()),
        _ => Err(format!("{}{}", ended.stderr, String::from_utf8_lossy(&ended.stdout))),
    }
}

/// Asks for the reshare once more that was under way, has each device finish what it has left, and Alice and Bob sign.
fn reshared(
    lives: &Lives,
    state: &State,
    device: Device,
    place: usize,
    command: &str,
) -> Result<(), String> {
    let mut device = Some(device);
    let devices = [0, 1, ERIN].map(|whose| match whose == state.whose {
        true => device.take().unwrap(),
        false => {
            restored(lives, whose, &lives.disks[whose].after(lives.disks[whose].until(place), &[]))
        }
    });
    let [alice, bob, erin] = &devices;
    let listening = devices.each_ref().map(listens);
    for ((name, at), of) in listening.iter().zip(&devices) {
        let (print, at) = (of.fingerprint(), at.address());
        let add = ["peers", "add", name, "--fingerprint", &print, "--address", &at];
        for device in devices.iter().filter(|device| device.name != *name) {
            failed(device.run(add))?;
        }
    }
    let run = |device: &Device, line: &str| device.run(line.split(' '));
    let again = run(alice, command);
    // It may have been made already.
    if !matches!(again.code, Some(2 | 10)) {
        failed(again)?;
    }
    for device in [alice, bob, erin] {
        let listed = device.run(["keys", "list"]).document();
        let rows = listed["result"]["keys"].as_array().cloned().unwrap_or_default();
        let is_unfinished = rows.iter().any(|row| {
            row["name"] == "vault"
                && (row["confirmed"] != true
                    || row["refresh_pending"] == true
                    || row["leaving"] == true)
        });
        if is_unfinished {
            failed(run(device, "keygen --resume --key vault"))?;
        }
    }
    let digest = "5a".repeat(32);
    failed(run(alice, &format!("sign {digest} --key vault --with bob")))?;
    if command == ADD {
        failed(run(erin, &format!("sign {digest} --key vault --with bob")))?;
    }
    drop(listening);
    for device in [alice, bob, erin] {
        look(&device.home(), &device.path("key.txt"))?;
    }
    Ok(())
}

/// How many states are opened, and in how many of them the program is asked.
const OPENED: usize = 600;
const SIGNED: usize = 60;

fn test() -> ExitCode {
    let wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect::<Vec<_>>();
    let name = "power_cuts lose nothing that was reported";
    if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
        return ExitCode::SUCCESS;
    }
    let seed = std::env::var("COSIGN_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut random = Random(seed);
    let lives = Lives::live();
    let whole = [0, 1, 2, 3].map(|whose| {
        let disk = &lives.disks[whose];
        assert_eq!(files_of(disk), on_disk(&lives.devices[whose]), "the record is not whole");
        let moments = (0..=disk.len()).filter(|steps| disk.is_sync(*steps)).collect::<Vec<_>>();
        side_by_side(&moments, |steps| {
            let device = restored(&lives, whose, &disk.after(*steps, &[]));
            (*steps, look(&device.home(), &device.path("key.txt")).unwrap())
        })
    });
    let states = states(&lives, &mut random);
    let soak = std::env::var_os("COSIGN_SOAK").is_some();
    let mut drawn = |sample| soak || random.below(states.len()) < sample;
    let mut opened = Vec::new();
    for state in &states {
        let asks = drawn(SIGNED);
        if drawn(OPENED) || asks {
            opened.push((state, asks.then_some(state.steps % 2)));
        }
    }
    let faults: Vec<(&State, String)> = side_by_side(&opened, |(state, asks)| {
        examine(&lives, state, &whole, *asks).err().map(|fault| (*state, fault))
    })
    .into_iter()
    .flatten()
    .collect();
    eprintln!(
        "COSIGN_SEED={seed}: {} states of a power cut, {} opened, {} with a signature; {} are wrong",
        states.len(),
        opened.len(),
        opened.iter().filter(|(_, asks)| asks.is_some()).count(),
        faults.len()
    );
    for (state, fault) in faults.iter().take(10) {
        let command = &lives.commands[lives.command(lives.place(state))].1;
        eprintln!("{} while {command}: {fault}", NAMES[state.whose]);
        for (step, fate) in state.fates.iter().filter(|(_, fate)| *fate != Fate::Kept) {
            eprintln!("  {fate:?}: {}", lives.disks[state.whose].told(*step));
        }
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does the work for each, on all processors; what came of it, in order.
fn side_by_side<T: Sync, R: Send>(each: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let (index, Some(one)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    (index, each.get(index))
                } {
                    let result = work(one);
                    done.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is in the home of a device.
fn on_disk(device: &Device) -> Vec<(PathBuf, Vec<u8>)> {
    let root = device.path("");
    let files = device
        .files()
        .into_iter()
        .map(|(path, content)| (path.strip_prefix(&root).unwrap().to_owned(), content));
    let written =
        |path: &Path| path.starts_with("home") || path.to_str().unwrap().ends_with(BACKUP);
    let mut files: Vec<_> = files.filter(|(path, _)| written(path)).collect();
    files.sort();
    files
}

/// What is in the home of a device, by the record.
fn files_of(disk: &Disk) -> Vec<(PathBuf, Vec<u8>)> {
    let tree = disk.after(disk.len(), &[]);
    let files = tree.iter().map(|(path, file)| (path, file.as_ref()));
    files.filter_map(|(path, file)| Some((path.clone(), disk.bytes(file?)))).collect()
}
