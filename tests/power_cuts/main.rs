//! The power fails at any moment of every command that writes: whatever of the unsynced is lost, the device opens,
//! nothing that was reported is missing, and the next signature is made.
//!
//! Two devices live once, from `init` on, and everything that they do to their files is recorded in one order. From the
//! record come the states that a power cut may leave of one device, while the other is as it was at that moment. A sample of
//! them is opened, and in a smaller one the program is asked for a signature. `COSIGN_SEED=7` takes another sample,
//! `COSIGN_SOAK=1` all.
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
use cosign::vault::backup::Found;
use cosign::vault::{Effect, Home, Log, Peers, Unlock, Vault, keys};

use crate::device::{Device, pair};
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
// Two lives
// ---------------------------------------------------------------------------------------------

const NAMES: [&str; 2] = ["alice", "bob"];

/// What `vault` is called for a while.
const RENAMED: &str = "treasury";

/// How the names of backups end.
const BACKUP: &str = ".backup";

/// What two devices did.
struct Lives {
    devices: [Device; 2],
    disks: [Disk; 2],
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
        let [mut alice, bob] = NAMES.map(|name| Device::running(program("cosign"), name));
        begin("pair");
        pair(&alice, &bob);
        let listener = bob.serve(&[&alice]);
        let at_bob = listener.address();
        let run = |device: &Device, line: &str| {
            let asks = ["sign", "keygen", "keys refresh"].iter().any(|word| line.starts_with(word));
            let to = if asks { vec!["--peer", &at_bob] } else { vec![] };
            device.run(line.split(' ').chain(to))
        };
        let stranger = format!("peers add carol --fingerprint {}", "ab".repeat(32));
        let sign = |nth: u8| format!("sign {} --key vault", format!("{nth:02x}").repeat(32));
        let key = fs::read_to_string(alice.path("key.txt")).unwrap();
        let recipient = key.trim().parse::<age::x25519::Identity>().unwrap().to_public();
        let backup =
            |key: &str| format!("keys backup {key} -o {key}{BACKUP} --recipient {recipient}");
        for line in [
            &stranger,
            "keygen --key vault --with bob",
            &sign(1),
            &backup("vault"),
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
            "keys restore spare.backup --backup-identity key.txt",
            "peers forget dora",
            "keys rename vault treasury",
            "keys rename treasury vault",
            "vault move --to-identity key.txt",
            "rename alma",
            "pair --reset-attempts",
        ] {
            begin(line);
            run(&alice, line).succeeds();
        }
        begin(&sign(5));
        run(&alice, &sign(5)).succeeds();
        drop(listener);
        let text = fs::read_to_string(&record).unwrap();
        let acts: Vec<Act> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let devices = [alice, bob];
        let disks = [0, 1].map(|which| {
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
    device.write("key.txt", fs::read(lives.devices[whose].path("key.txt")).unwrap());
    lives.disks[whose].write(tree, &device.path(""));
    device
}

/// Opens a state, and asks the program if `asks`. Hands back what is wrong.
fn examine(
    lives: &Lives,
    state: &State,
    was: &[Vec<(usize, Option<Summary>)>; 2],
    asks: Option<usize>,
) -> Result<(), String> {
    let (disk, other) = (&lives.disks[state.whose], 1 - state.whose);
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
    let failed = |ended: device::Ended| match ended.code {
        Some(0) => Ok(()),
        _ => Err(format!("{}{}", ended.stderr, String::from_utf8_lossy(&ended.stdout))),
    };
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
    let listener = there.serve(&[here]);
    let to = listener.address();
    if lives.commands[lives.command(place)].1.starts_with("keygen") {
        let resumed = here.run(["keygen", "--resume", "--peer", &to]);
        if resumed.code != Some(10) {
            failed(resumed)?;
        }
    }
    let digest = "5a".repeat(32);
    failed(here.run(["sign", &digest, "--key", "vault", "--peer", &to]))?;
    drop(listener);
    look(&device.home(), &device.path("key.txt")).map(drop)
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
    let whole = [0, 1].map(|whose| {
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
