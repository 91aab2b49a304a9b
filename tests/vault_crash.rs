//! A process that writes to a vault is killed with SIGKILL at any time: every file is whole
//! afterwards, nothing that was reported as stored is missing, and the next process goes on.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use age::secrecy::ExposeSecret;
use cosign::device::Fingerprint;
use cosign::party::PartyId;
use cosign::secret::Secret;
use cosign::vault::{
    DeviceInfo, Entry, Error, Home, KeyRecord, KeyState, Ledger, Limits, Log, PeerRecord, Peers,
    Seal, Unlock, Uses, Vault, addresses, attempts, keys, signatures, uses,
};

/// Tells a child process which home to write to.
const HOME: &str = "COSIGN_TEST_CRASH_HOME";
/// About what a real share takes.
const SHARE: usize = 33_000;

/// A home, the identity file beside it, and the generator of this run's delays.
struct Scene {
    dir: tempfile::TempDir,
    random: u64,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate().to_string();
        let path = identity_file(dir.path());
        fs::write(&path, identity.expose_secret()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self { dir, random: seed }
    }

    fn home(&self) -> Home {
        Home::at(self.dir.path())
    }

    fn open(&self) -> Vault {
        open(self.dir.path())
    }

    /// Runs `worker` as a process of its own, lets it report up to `steps` times, kills it within
    /// `within` after that, and hands back what it had reported as done.
    fn kill(&mut self, worker: &str, steps: f64, within: Duration) -> Vec<String> {
        let mut child = spawn(worker, self.dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // Not before it has begun, or most kills would hit the start of the process.
        assert!(lines.any(|line| line.ends_with("begin")), "{worker} did not begin");
        let mut done: Vec<String> =
            lines.by_ref().take((steps * self.fraction()) as usize).collect();
        thread::sleep(within.mul_f64(self.fraction()));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{worker} failed: {status}");
        done.extend(lines);
        done.iter().filter_map(|line| line.strip_prefix("done ").map(str::to_owned)).collect()
    }

    /// A number from 0 to 1; splitmix64.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn identity_file(dir: &Path) -> PathBuf {
    dir.join("identity.txt")
}

/// This test program again, running nothing but the test `worker`.
fn spawn(worker: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", worker, "--nocapture", "--test-threads=1"])
        .env(HOME, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The home of a worker; `None` when the tests are run as tests.
fn worker_home() -> Option<PathBuf> {
    env::var_os(HOME).map(PathBuf::from)
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// A record of the key `k`, whose epoch no other process makes again.
fn record(generation: u64) -> KeyRecord {
    let epoch = session(generation << 32 | u64::from(std::process::id()));
    KeyRecord {
        name: "k".to_owned(),
        curve: cosign::curve::CurveName::default(),
        public_key: [2; 33],
        threshold: 2,
        me: PartyId::new(1).unwrap(),
        parties: Vec::new(),
        epoch,
        generation,
        created: 1_790_000_000,
        state: KeyState::Pending,
        restored: false,
    }
}

fn session(n: u64) -> [u8; 32] {
    let mut session = [0; 32];
    session[..8].copy_from_slice(&n.to_be_bytes());
    session
}

fn share(generation: u64) -> Secret<Vec<u8>> {
    Secret::new(vec![generation as u8; SHARE])
}

fn create(dir: &Path) -> Result<Vault, Error> {
    let device = DeviceInfo {
        name: "alice".to_owned(),
        fingerprint: Fingerprint::new([1; 32]),
        certificate: vec![0x30; 300],
        created: 1_790_000_000,
    };
    let seal = Seal::Identity(identity_file(dir));
    Vault::create(&Home::at(dir), &device, &Secret::new(vec![7; 150]), &seal, &[])
}

fn open(dir: &Path) -> Vault {
    Vault::open(&Home::at(dir), &Unlock::Identity(identity_file(dir))).unwrap()
}

// ---------------------------------------------------------------------------------------------
// Workers
// ---------------------------------------------------------------------------------------------

#[test]
fn worker_creates() {
    let Some(dir) = worker_home() else { return };
    say("begin");
    create(&dir).unwrap();
    say("done created");
}

/// Refreshes the key `k` for ever.
#[test]
fn worker_refreshes() {
    let Some(dir) = worker_home() else { return };
    let home = Home::at(&dir);
    let vault = open(&dir);
    say("begin");
    loop {
        match keys::list(&home).unwrap().pop() {
            Some(last) if last.state == KeyState::Pending => {
                vault.activate("k", &last.epoch).unwrap();
                say(&format!("done activated {}", last.generation));
            }
            last => {
                let next = last.map_or(0, |last| last.generation) + 1;
                vault.store_pending(&record(next), &share(next), b"confirmation").unwrap();
                say(&format!("done stored {next}"));
            }
        }
    }
}

/// Makes and deletes the key `k` for ever.
#[test]
fn worker_deletes() {
    let Some(dir) = worker_home() else { return };
    let home = Home::at(&dir);
    let vault = open(&dir);
    say("begin");
    loop {
        if keys::list(&home).unwrap().is_empty() {
            vault.store_pending(&record(1), &share(1), b"confirmation").unwrap();
        }
        vault.delete("k").unwrap();
        say("done deleted");
    }
}

/// Writes to everything under `state` and `config` for ever.
#[test]
fn worker_records() {
    let Some(dir) = worker_home() else { return };
    let home = open(&dir).home().clone();
    let ledger = Ledger::open(&home).unwrap();
    say("begin");
    for n in ledger.height(&[1; 32]).. {
        let session = session(n);
        ledger.spend(&[1; 32], &session, &[2]).unwrap();
        say(&format!("done spent {n}"));
        // With one party after another: the bound on checks that are cut off is not what is tested here.
        let checks = ledger.begin_checks(&session, &[3 + (n % 13) as u8]).unwrap();
        say(&format!("done checking {n}"));
        ledger.resolve(checks).unwrap();
        signatures::store(&home, &format!("{n}"), &signature()).unwrap();
        say(&format!("done signed {n}"));
        let kept = [(signatures::KEPT.to_owned(), n.to_string().into())];
        let (time, purpose) = (n as i64, "x".repeat(3_000));
        let entry = Entry { time, purpose, extra: kept.into_iter().collect(), ..Entry::default() };
        Log::append(&home, &entry).unwrap();
        say(&format!("done logged {n}"));
        uses::charge(&home, "a rule", &Limits { count: Some(u64::MAX), day: None }).unwrap();
        say(&format!("done used {n}"));
        addresses::note(&home, &Fingerprint::new([2; 32]), address(n)).unwrap();
        if n % 4 == 3 {
            let code = "E_OTE_CHECK";
            let (epoch, peer) = ([n as u8; 32], Fingerprint::new([2; 32]));
            ledger.retire(&epoch, 2, &peer, code, &session, n as i64).unwrap();
            say(&format!("done banned {n}"));
        }
        Peers::add(&home, &peer(n)).unwrap();
        attempts::reset(&home).unwrap();
        attempts::charge(&home, "relay").unwrap();
    }
}

fn address(n: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 1 + (n % 1000) as u16))
}

/// Fails if an unmodified file is reported as changed by something else.
fn assert_nothing_is_missed(scene: &Scene) {
    let vault = scene.open();
    let misfits: Vec<_> = vault.misfits().into_iter().map(|misfit| misfit.error).collect();
    assert!(misfits.is_empty(), "{misfits:?}");
    vault.check_signatures().unwrap();
}

fn signature() -> Vec<u8> {
    format!(r#"{{"der":"{}"}}"#, "x".repeat(3_000)).into_bytes()
}

fn peer(n: u64) -> PeerRecord {
    PeerRecord {
        name: format!("bob-{n}"),
        fingerprint: Fingerprint::new([2; 32]),
        address: Some("x".repeat(3_000)),
        paired_at: 0,
        expires: None,
        paired_as: None,
    }
}

// ---------------------------------------------------------------------------------------------
// Tests
// ---------------------------------------------------------------------------------------------

#[test]
fn a_vault_whose_making_is_killed_is_whole_or_can_be_made() {
    for seed in 0..30 {
        let mut scene = Scene::new(seed);
        let done = scene.kill("worker_creates", 0.0, Duration::from_millis(40));
        let existed = Vault::exists(&scene.home());
        assert!(existed || done.is_empty(), "reported and not there");
        match create(scene.dir.path()) {
            Ok(_) => assert!(!existed),
            Err(Error::Exists { .. }) => assert!(existed),
            Err(e) => panic!("{e}"),
        }
        assert_eq!(scene.open().device_key().unwrap().expose(), &[7; 150]);
        assert_eq!(Vault::device(&scene.home()).unwrap().name, "alice");
        Ledger::open(&scene.home()).unwrap();
        assert_nothing_is_missed(&scene);
    }
}

#[test]
fn a_key_whose_refresh_is_killed_has_one_whole_active_share() {
    let mut scene = Scene::new(100);
    let vault = create(scene.dir.path()).unwrap();
    let home = scene.home();
    for _ in 0..30 {
        let done = scene.kill("worker_refreshes", 6.0, Duration::from_millis(20));
        assert_nothing_is_missed(&scene);
        let records = keys::list(&home).unwrap();
        for record in &records {
            let stored = vault.share("k", &record.epoch).unwrap();
            assert!(stored.expose() == share(record.generation).expose());
            assert_eq!(keys::confirmation(&home, "k", &record.epoch).unwrap(), b"confirmation");
        }
        let generations: Vec<u64> = records.iter().map(|record| record.generation).collect();
        let states: Vec<KeyState> = records.iter().map(|record| record.state).collect();
        match states[..] {
            [] | [KeyState::Active] | [KeyState::Pending] => {}
            [KeyState::Active, KeyState::Pending] => {
                assert_eq!(generations[0] + 1, generations[1]);
            }
            _ => panic!("{states:?}"),
        }
        assert_reached(&done, "stored", generations.last().copied());
        let active = records.iter().find(|record| record.state == KeyState::Active);
        assert_reached(&done, "activated", active.map(|record| record.generation));
    }
    // The next switch removes the files that the kills left.
    let last = keys::list(&home).unwrap().pop().unwrap();
    vault.activate("k", &last.epoch).unwrap();
    assert_eq!(fs::read_dir(home.data.join("keys/k")).unwrap().count(), 3);
    assert!(!home.data.join(".new").exists());
}

#[test]
fn a_key_whose_deletion_is_killed_is_there_or_gone() {
    let mut scene = Scene::new(200);
    let vault = create(scene.dir.path()).unwrap();
    let home = scene.home();
    for _ in 0..20 {
        scene.kill("worker_deletes", 4.0, Duration::from_millis(20));
        assert_nothing_is_missed(&scene);
        for record in keys::list(&home).unwrap() {
            assert!(vault.share("k", &record.epoch).unwrap().expose() == share(1).expose());
        }
    }
    if keys::list(&home).unwrap().is_empty() {
        vault.store_pending(&record(1), &share(1), b"").unwrap();
    }
    vault.delete("k").unwrap();
    assert_eq!(fs::read_dir(home.data.join("keys")).unwrap().count(), 0);
}

#[test]
fn records_whose_writing_is_killed_lose_nothing_that_was_reported() {
    let mut scene = Scene::new(300);
    let home = create(scene.dir.path()).unwrap().home().clone();
    let mut used = Vec::new();
    let unresolved = || {
        let lines = fs::read_to_string(home.state.join("ledger.jsonl")).unwrap();
        lines.matches("{\"check\"").count() - lines.matches("{\"resolve\"").count()
    };
    let mut unresolved_before = 0;
    for _ in 0..30 {
        let done = scene.kill("worker_records", 12.0, Duration::from_millis(10));
        assert_nothing_is_missed(&scene);
        for n in reached(&done, "banned") {
            assert_eq!(Ledger::open(&home).unwrap().retired(&[n as u8; 32]).len(), 1);
        }
        used.extend(reached(&done, "used"));
        assert!(Uses::load(&home).unwrap().count("a rule") >= used.len() as u64);
        let ledger = Ledger::open(&home).unwrap();
        let height = ledger.height(&[1; 32]);
        assert_reached(&done, "spent", height.checked_sub(1));
        assert!(matches!(ledger.retired(&[1; 32])[..], [] | [(2, _)]));
        if let Some(last) = height.checked_sub(1) {
            assert!(matches!(ledger.spend(&[1; 32], &session(last), &[2]), Err(Error::Spent)));
        }
        assert!((unresolved_before..=unresolved_before + 1).contains(&unresolved()));
        unresolved_before = unresolved();
        Log::verify(&home).unwrap();
        let logged = Log::entries(&home).unwrap().last().map(|entry| entry.time as u64);
        assert_reached(&done, "logged", logged);
        assert!(Peers::load(&home).unwrap().iter().count() <= 1);
        assert!(attempts::charged(&home).unwrap().charged <= 1);
        for n in reached(&done, "signed") {
            let stored = signatures::load(&home, &n.to_string()).unwrap().unwrap();
            assert!(stored.starts_with(signature().strip_suffix(b"}").unwrap()));
        }
    }
}

/// The numbers that a worker reported for `what`.
fn reached(done: &[String], what: &str) -> Vec<u64> {
    let number = |line: &String| line.strip_prefix(what)?.trim().parse().ok();
    done.iter().filter_map(number).collect()
}

/// All reported steps are on the disk, and at most the next one.
fn assert_reached(done: &[String], what: &str, on_disk: Option<u64>) {
    if let Some(last) = reached(done, what).last() {
        assert!(on_disk >= Some(*last) && on_disk <= Some(last + 1), "{what} {last} {on_disk:?}");
    }
}

#[test]
fn of_processes_that_make_a_vault_at_once_one_wins() {
    for seed in 0..5 {
        let scene = Scene::new(seed);
        let children: Vec<Child> =
            (0..4).map(|_| spawn("worker_creates", scene.dir.path())).collect();
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
        let winners = outputs.filter(|output| output.status.success()).count();
        assert_eq!(winners, 1);
        assert_eq!(scene.open().device_key().unwrap().expose(), &[7; 150]);
    }
}
