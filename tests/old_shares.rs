//! Every released version's files still open: `shares/vN` holds the homes of two devices, `alice`
//! and `bob`, as version N left them, and the identity files that open them.
//!
//! Alice's vault is sealed by a passphrase, Bob's to `identity.txt`, both to `recovery.txt` as
//! well. They share the key `vault` and have refreshed it; Alice has finished, Bob was interrupted.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret;
use cosign::crypto::ecdsa;
use cosign::device::{Fingerprint, unhex};
use cosign::party::PartyId;
use cosign::protocol::key::{Confirmation, KeyShare, Pending};
use cosign::protocol::keygen::{Keygen, KeygenSetup, keygen, refresh};
use cosign::protocol::local::Local;
use cosign::protocol::machine::{Machine, Persist, Protocol};
use cosign::protocol::sign::{SignSetup, Signature, Signed, sign};
use cosign::secret::Secret;
use cosign::vault::keys::Location;
use cosign::vault::{
    DeviceInfo, Entry, Error, Home, KeyRecord, KeyState, Ledger, Lock, Log, PartyRecord,
    PeerRecord, Peers, Seal, Unlock, Vault, attempts, keys, signatures,
};

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
const PASSPHRASE: &str = "frozen shares keep";
const NAMES: [&str; 2] = ["alice", "bob"];
const TIME: i64 = 1_790_000_000;
const SESSION: [u8; 32] = [0x5e; 32];

/// A copy of the frozen files with the modes that git does not keep.
struct Thawed {
    dir: tempfile::TempDir,
}

impl Thawed {
    fn new(version: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        thaw(&Path::new("tests/shares").join(version), dir.path());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn home(&self, name: &str) -> Home {
        Home::at(self.path(name))
    }

    fn open(&self, name: &str) -> Vault {
        let unlock = Unlock::Identity(self.path("recovery.txt"));
        Vault::open(&self.home(name), &unlock).unwrap()
    }

    /// The records of the key and their shares, in the order of their epochs' ages.
    fn shares(&self, name: &str) -> Vec<(KeyRecord, KeyShare)> {
        let vault = self.open(name);
        let records = keys::find(&self.home(name), "vault").unwrap();
        let share = |record: &KeyRecord| {
            let bytes = vault.share("vault", &record.epoch).unwrap();
            KeyShare::from_bytes(bytes.expose()).unwrap()
        };
        records.into_iter().map(|record| (record.clone(), share(&record))).collect()
    }
}

fn thaw(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let mode = if from.is_dir() {
            fs::create_dir(&to).unwrap();
            thaw(&from, &to);
            0o700
        } else {
            fs::copy(&from, &to).unwrap();
            0o600
        };
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn party(index: u8) -> PartyId {
    PartyId::new(index).unwrap()
}

fn fingerprint(index: u8) -> Fingerprint {
    Fingerprint::new([index; 32])
}

/// Runs a ceremony and hands back what each party was told to store, and how it ended.
fn run<P: Protocol<Curve = k256::Secp256k1>>(
    machines: Vec<Machine<P>>,
) -> BTreeMap<PartyId, (Vec<Persist>, P::Done)> {
    #[expect(clippy::disallowed_methods, reason = "a test drives its own machines")]
    let now = Instant::now();
    let outcomes = Local::start(machines, now).run();
    outcomes.into_iter().map(|(p, o)| (p, (o.persisted, o.result.unwrap().unwrap()))).collect()
}

fn sign_together(shares: [KeyShare; 2], digest: [u8; 32]) -> Signature {
    let machine = |share: KeyShare| {
        let setup = SignSetup {
            signers: vec![party(1), party(2)],
            sign_id: [7; 32],
            digest,
            tweak: k256::Scalar::ZERO,
            recipient: None,
        };
        let random = Secret::new([share.me().get(); 32]);
        sign(Arc::new(share), setup, &random, Duration::from_secs(60)).unwrap()
    };
    match run(shares.map(machine).into()).remove(&party(1)).unwrap().1 {
        Signed::Signature(signature) => signature,
        Signed::Delivered => panic!("not delivered to party 1"),
    }
}

#[test]
fn a_passphrase_and_an_identity_file_open_what_they_sealed() {
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        let home = thawed.home("alice");
        assert_eq!(Vault::lock(&home).unwrap(), Lock::Passphrase);
        let unlock = Unlock::Passphrase(Secret::new(PASSPHRASE.to_owned()));
        let vault = Vault::open(&home, &unlock).unwrap();
        assert_eq!(vault.device_key().unwrap().expose(), b"the device key of alice");

        let home = thawed.home("bob");
        assert_eq!(Vault::lock(&home).unwrap(), Lock::Identity);
        let vault = Vault::open(&home, &Unlock::Identity(thawed.path("identity.txt"))).unwrap();
        assert_eq!(vault.device_key().unwrap().expose(), b"the device key of bob");
        assert_eq!(thawed.open("bob").device_key().unwrap().expose(), b"the device key of bob");
    }
}

#[test]
fn old_shares_still_sign() {
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        let (mut alice, mut bob) = (thawed.shares("alice"), thawed.shares("bob"));
        let (alice_record, alice) = alice.remove(0);
        assert_eq!((alice_record.state, alice_record.generation), (KeyState::Active, 2));
        let (bob_record, bob) = bob.remove(1);
        assert_eq!((bob_record.state, bob_record.generation), (KeyState::Pending, 2));
        assert_eq!(alice.epoch(), bob.epoch());
        assert_eq!(alice.public_key_bytes(), bob_record.public_key);

        let (key, digest) = (*alice.public_key(), [0xd1; 32]);
        let signature = sign_together([alice, bob], digest);
        assert!(ecdsa::verify::<k256::Secp256k1>(&key, &digest, &signature.r, &signature.s));
    }
}

#[test]
fn an_old_interrupted_refresh_can_be_finished() {
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        let (alice, bob) = (thawed.home("alice"), thawed.home("bob"));
        let epoch = keys::find(&alice, "vault").unwrap().remove(0).epoch;
        let [ours, theirs] = [&bob, &alice].map(|home| {
            Confirmation::<k256::Secp256k1>::from_bytes(
                &keys::confirmation(home, "vault", &epoch).unwrap(),
            )
            .unwrap()
        });
        assert!(ours.verify(party(1), &theirs.message()));
        assert!(theirs.verify(party(2), &ours.message()));

        let vault = thawed.open("bob");
        vault.activate("vault", &epoch).unwrap();
        let records = keys::find(&bob, "vault").unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].epoch, records[0].state), (epoch, KeyState::Active));
    }
}

#[test]
fn old_records_read_back_and_go_on() {
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        let vault = thawed.open("bob");
        let home = vault.home().clone();
        assert_eq!(Vault::device(&home).unwrap(), device("bob"));
        assert_eq!(Peers::load(&home).unwrap().named("alice"), Some(&peer("alice")));
        assert_eq!(attempts::charge(&home, "192.0.2.7").unwrap().charged, 3);
        assert!(signatures::load(&home, "0a1b").unwrap().unwrap().starts_with(b"{"));

        let epoch = keys::find(&home, "vault").unwrap().remove(0).epoch;
        let ledger = Ledger::open(&home).unwrap();
        assert_eq!(ledger.retired(&epoch), [(1, "E_OTE_CHECK".to_owned())]);
        assert_eq!((ledger.height(&epoch), ledger.peer_height(&epoch, 1)), (1, 7));
        ledger.spend(&[9; 32], &[9; 32], &[1]).unwrap();
        let checks = ledger.begin_checks(&[9; 32], &[1]).unwrap();
        ledger.resolve(checks).unwrap();

        assert_eq!(Log::entries(&home).unwrap(), [entry(0), entry(1)]);
        Log::append(&home, &entry(2)).unwrap();
        assert_eq!(Log::verify(&home).unwrap().entries, 3);
    }
}

#[test]
fn an_old_home_is_taken_over_once_and_nothing_of_it_is_lost() {
    let thawed = Thawed::new("v1");
    let adopted = |vault: &Vault| {
        let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        vault.adopted().iter().map(named).collect::<Vec<_>>()
    };
    let first = thawed.open("bob");
    for file in ["vault.json", "device.json", "peers.json", "key.json", "ledger.jsonl"] {
        assert!(adopted(&first).iter().any(|name| name == file), "{file}");
    }
    let misfits: Vec<_> = first.misfits().into_iter().map(|misfit| misfit.error).collect();
    assert!(misfits.is_empty(), "{misfits:?}");
    let epoch = keys::find(first.home(), "vault").unwrap().remove(0).epoch;
    // The second version authenticated all but these, and did not count editions.
    let second = Thawed::new("v2");
    let old_device = fs::read(second.path("bob/data/device.age")).unwrap();
    let named = adopted(&second.open("bob"));
    assert!(named.iter().all(|name| name.ends_with(".confirmation")), "{named:?}");
    assert_eq!(adopted(&second.open("bob")), Vec::<String>::new());
    assert!(second.open("bob").misfits().is_empty());
    fs::write(second.path("bob/data/device.age"), old_device).unwrap();
    let unlock = Unlock::Identity(second.path("recovery.txt"));
    let opened = Vault::open(&second.home("bob"), &unlock);
    assert!(matches!(opened, Err(Error::Tampered { path, .. }) if path.ends_with("device.age")));
    let again = thawed.open("bob");
    assert_eq!(adopted(&again), Vec::<String>::new());
    let retired = Ledger::open(again.home()).unwrap().retired(&epoch);
    assert_eq!(retired, [(1, "E_OTE_CHECK".to_owned())]);

    // From now on no file of the old format is taken.
    for file in ["config/peers.json", "state/ledger.jsonl", "data/keys/vault/key.json"] {
        let (old, new) =
            (Path::new("tests/shares/v1/bob").join(file), thawed.path("bob").join(file));
        let kept = fs::read(&new).unwrap();
        fs::write(&new, fs::read(old).unwrap()).unwrap();
        let misfit = again.misfits().into_iter().next().unwrap();
        assert!(matches!(misfit.error, Error::Tampered { path, .. } if path == new), "{file}");
        assert!(misfit.stops);
        fs::write(&new, kept).unwrap();
    }
}

#[test]
fn an_old_device_file_does_not_have_a_home_taken_over_again() {
    let thawed = Thawed::new("v1");
    let old_device = fs::read(thawed.path("bob/data/device.age")).unwrap();
    let path = thawed.path("bob/data/device.age");
    let vault = thawed.open("bob");
    assert!(!vault.adopted().is_empty());
    let unlock = || Unlock::Identity(thawed.path("recovery.txt"));
    // With more and more files as they were before, among them those that say with whom, with which
    // key, and whom this device has banned.
    fs::write(&path, &old_device).unwrap();
    for file in ["", "state/ledger.jsonl", "config/peers.json", "data/keys/vault/key.json"] {
        if let Ok(old) = fs::read(Path::new("tests/shares/v1/bob").join(file)) {
            fs::write(thawed.path("bob").join(file), old).unwrap();
        }
        let opened = Vault::open(&thawed.home("bob"), &unlock());
        assert!(matches!(opened, Err(Error::Tampered { path: p, .. }) if p == path), "{file}");
    }
}

/// Runs age, which must be installed: `apt-get install age`.
fn age(args: &[&Path]) -> Vec<u8> {
    let output = Command::new("age").args(args).output();
    let output = output.expect("this test needs the program `age`: apt-get install age");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_stock_age_opens_every_file_of_a_vault() {
    let [decrypt, with] = ["-d", "-i"].map(Path::new);
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        for (key, sealed) in
            [("identity.txt", "identity.age"), ("recovery.txt", "identity.recovery.age")]
        {
            let (home, key) = (thawed.home("bob"), thawed.path(key));
            let identity = thawed.path("opened.txt");
            fs::write(&identity, age(&[decrypt, with, &key, &home.data.join(sealed)])).unwrap();
            // The vault's own identity opens the rest, and so does the recovery identity itself.
            for key in [&identity, &thawed.path("recovery.txt")] {
                let device_key = age(&[decrypt, with, key, &home.data.join("device.age")]);
                assert!(device_key.starts_with(b"the device key of bob"));
                for (record, share) in thawed.shares("bob") {
                    let location = keys::location(&home, "vault", &record.epoch).unwrap();
                    let Location::File(sealed) = location else { panic!("{location}") };
                    assert_eq!(&age(&[decrypt, with, key, &sealed]), share.to_bytes().expose());
                }
            }
        }
    }
}

#[test]
fn a_stock_age_opens_the_identity_with_the_passphrase() {
    for version in VERSIONS {
        let thawed = Thawed::new(version);
        let opened = thawed.path("opened.txt");
        // age asks on the terminal and nowhere else; script(1) gives it one.
        let mut script = Command::new("timeout")
            .args(["60", "script", "-qec", "age -d -o opened.txt alice/data/identity.age"])
            .args(["/dev/null"])
            .current_dir(thawed.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs the programs `timeout` and `script`");
        writeln!(script.stdin.take().unwrap(), "{PASSPHRASE}").unwrap();
        assert!(script.wait().unwrap().success());
        let device_key = thawed.path("alice/data/device.age");
        let [decrypt, with] = ["-d", "-i"].map(Path::new);
        let device_key = age(&[decrypt, with, &opened, &device_key]);
        assert!(device_key.starts_with(b"the device key of alice"));
    }
}

// ---------------------------------------------------------------------------------------------
// How the files were made
// ---------------------------------------------------------------------------------------------

/// Freezes this version's files into the directory `COSIGN_TEST_FREEZE`, for a release that
/// changes a format.
#[test]
#[ignore = "writes files for the repository"]
fn freeze() {
    let dir = PathBuf::from(std::env::var_os("COSIGN_TEST_FREEZE").unwrap());
    fs::create_dir_all(&dir).unwrap();
    let recovery = identity_file(&dir.join("recovery.txt"));
    identity_file(&dir.join("identity.txt"));
    let seals = [
        Seal::Passphrase(Secret::new(PASSPHRASE.to_owned())),
        Seal::Identity(dir.join("identity.txt")),
    ];
    let vaults: Vec<Vault> = NAMES
        .iter()
        .zip(&seals)
        .map(|(name, seal)| {
            let key = Secret::new(format!("the device key of {name}").into_bytes());
            let recovery = std::slice::from_ref(&recovery);
            Vault::create(&Home::at(dir.join(name)), &device(name), &key, seal, recovery).unwrap()
        })
        .collect();

    let first = pending(run(PartyId::all(2).map(keygen_of).collect()));
    for (vault, pending) in vaults.iter().zip(&first) {
        store(vault, pending, 1);
        vault.activate("vault", pending.share.epoch()).unwrap();
    }
    let second = pending(run(first.iter().map(|p| refresh_of(&p.share)).collect()));
    for (vault, pending) in vaults.iter().zip(&second) {
        store(vault, pending, 2);
    }
    vaults[0].activate("vault", second[0].share.epoch()).unwrap();
    keep_records(vaults[1].home(), first[1].share.epoch());
}

fn keep_records(home: &Home, epoch: &[u8; 32]) {
    let ledger = Ledger::open(home).unwrap();
    ledger.saw_height(epoch, 1, 7).unwrap();
    ledger.spend(epoch, &SESSION, &[1]).unwrap();
    let checks = ledger.begin_checks(&SESSION, &[1]).unwrap();
    ledger.resolve(checks).unwrap();
    ledger.retire(epoch, 1, &fingerprint(1), "E_OTE_CHECK", &SESSION, TIME).unwrap();
    Log::append(home, &entry(0)).unwrap();
    Log::append(home, &entry(1)).unwrap();
    Peers::add(home, &peer("alice")).unwrap();
    attempts::charge(home, "relay").unwrap();
    attempts::charge(home, "relay").unwrap();
    signatures::store(home, "0a1b", b"{}").unwrap();
}

fn identity_file(path: &Path) -> String {
    let identity = age::x25519::Identity::generate();
    fs::write(path, format!("{}\n", identity.to_string().expose_secret())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    identity.to_public().to_string()
}

fn keygen_of(me: PartyId) -> Machine<Keygen> {
    let identities = [1, 2].map(|index| fingerprint(index).as_bytes().to_vec()).into();
    let setup = KeygenSetup { instance: [1; 32], threshold: 2, me, identities };
    keygen(setup, &Secret::new([me.get(); 32]), &[], Duration::from_secs(60)).unwrap()
}

fn refresh_of(share: &KeyShare) -> Machine<Keygen> {
    let random = Secret::new([share.me().get() + 10; 32]);
    refresh(share, [2; 32], &random, Duration::from_secs(60)).unwrap()
}

fn pending<D>(outcomes: BTreeMap<PartyId, (Vec<Persist>, D)>) -> Vec<Pending> {
    let persisted = outcomes.into_values().flat_map(|(persisted, _)| persisted);
    persisted
        .filter_map(|persist| match persist {
            Persist::PendingShare(pending) => Some(*pending),
            _ => None,
        })
        .collect()
}

fn store(vault: &Vault, pending: &Pending, generation: u64) {
    let share = &pending.share;
    let record = KeyRecord {
        name: "vault".into(),
        curve: cosign::curve::CurveName::default(),
        public_key: share.public_key_bytes(),
        threshold: share.threshold(),
        me: share.me(),
        parties: [1, 2].map(party_record).into(),
        epoch: *share.epoch(),
        generation,
        created: TIME,
        state: KeyState::Pending,
        restored: false,
    };
    vault.store_pending(&record, &share.to_bytes(), &pending.confirmation.to_bytes()).unwrap();
}

fn party_record(index: u8) -> PartyRecord {
    let name = NAMES[usize::from(index) - 1].to_owned();
    PartyRecord { index: PartyId::new(index).unwrap(), name, fingerprint: fingerprint(index) }
}

fn device(name: &str) -> DeviceInfo {
    let index = if name == "alice" { 1 } else { 2 };
    DeviceInfo {
        name: name.to_owned(),
        fingerprint: fingerprint(index),
        certificate: unhex("3003020101").unwrap(),
        created: TIME,
    }
}

fn peer(name: &str) -> PeerRecord {
    PeerRecord {
        name: name.to_owned(),
        fingerprint: fingerprint(1),
        address: Some("alice.example:7000".to_owned()),
        paired_at: TIME,
        expires: None,
        paired_as: None,
    }
}

fn entry(n: i64) -> Entry {
    Entry {
        time: TIME + n,
        ceremony: "sign".to_owned(),
        key: "vault".to_owned(),
        digest: "5a".repeat(32),
        peer: "alice".to_owned(),
        purpose: "release 1.2".to_owned(),
        outcome: "signed".to_owned(),
        extra: [("ms".to_owned(), 12.into())].into_iter().collect(),
    }
}
