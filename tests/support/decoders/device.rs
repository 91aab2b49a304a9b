//! The files of a device, as an attacker may have left them while the vault was locked.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cosign::cli::config::Config;
use cosign::cli::policy::Given;
use cosign::device::{Fingerprint, Label, hex, unhex};
use cosign::driver::backup::Backup;
use cosign::driver::ceremony::confirmations;
use cosign::driver::connect::search;
use cosign::driver::connect::target::Way;
use cosign::party::PartyId;
use cosign::policy::{Decision, Policy};
use cosign::protocol::key::Confirmation;
use cosign::secret::Secret;
use cosign::vault::strangers::{self, Stranger};
use cosign::vault::{
    Confirmed, DeviceInfo, Entry, Error, Home, KeyRecord, KeyState, Ledger, Limits, Log,
    PartyRecord, PeerRecord, Peers, Seal, Unlock, Uses, Vault, attempts, deleted, keys, signatures,
    uses,
};
use tempfile::TempDir;

use crate::changes::{SHARES, changed};

/// Opens the vaults below.
const IDENTITY: &[u8] = include_bytes!("../../shares/v2/identity.txt");
const EPOCH: [u8; 32] = [7; 32];

/// A device with a bit of everything, and its files as it wrote them.
struct Device {
    folder: TempDir,
    home: Home,
    unlock: Unlock,
    files: Vec<(PathBuf, Vec<u8>)>,
    facts: Facts,
}

/// The facts of a device by its open vault.
#[derive(Debug, PartialEq)]
struct Facts {
    device: DeviceInfo,
    records: Vec<KeyRecord>,
    confirmed: Vec<Confirmed>,
    share: Vec<u8>,
    retired: Vec<(u8, String)>,
    heights: (u64, u64),
    peers: Peers,
    attempts: attempts::Attempts,
    uses: Uses,
    log: Vec<Entry>,
    signature: Option<Vec<u8>>,
    deleted: String,
}

impl Facts {
    fn of(home: &Home, unlock: &Unlock) -> Result<Self, Error> {
        let vault = Vault::open(home, unlock)?;
        vault.device_key()?;
        let home = vault.home();
        Log::verify(home)?;
        let ledger = Ledger::open(home)?;
        Ok(Self {
            device: Vault::device(home)?,
            records: keys::list(home)?,
            confirmed: keys::confirmed(home, "vault", &EPOCH)?,
            share: vault.share("vault", &EPOCH)?.expose().clone(),
            retired: ledger.retired(&EPOCH),
            heights: (ledger.height(&EPOCH), ledger.peer_height(&EPOCH, 2)),
            peers: Peers::load(home)?,
            attempts: attempts::charged(home)?,
            uses: Uses::load(home)?,
            log: Log::entries(home)?,
            signature: signatures::load(home, "r-1")?,
            deleted: deletions(home)?,
        })
    }
}

fn deletions(home: &Home) -> Result<String, Error> {
    let told = deleted::shared_with(home, &bob())?;
    Ok(format!("{told:?} {:?}", deleted::claims(home, &[3; 33])?))
}

fn bob() -> Fingerprint {
    Fingerprint::new([2; 32])
}

fn record(name: &str, public_key: [u8; 33]) -> KeyRecord {
    let party = |index: u8| {
        let fingerprint = Fingerprint::new([index; 32]);
        PartyRecord {
            index: PartyId::new(index).unwrap(),
            name: format!("party {index}"),
            fingerprint,
        }
    };
    KeyRecord {
        name: name.into(),
        curve: cosign::curve::CurveName::default(),
        public_key,
        threshold: 2,
        me: PartyId::new(1).unwrap(),
        parties: vec![party(1), party(2)],
        epoch: EPOCH,
        generation: 1,
        created: 1_790_000_000,
        state: KeyState::Active,
        restored: false,
    }
}

fn new_vault(folder: &Path) -> (Home, Unlock, Result<Vault, Error>) {
    let identity = folder.join("identity.txt");
    write_privately(&identity, IDENTITY);
    let home = Home::at(folder.join("home"));
    let info = DeviceInfo {
        name: "alice".into(),
        fingerprint: Fingerprint::new([1; 32]),
        certificate: vec![0x30, 0x03, 1, 2, 3],
        created: 1_790_000_000,
    };
    let key = Secret::new(b"the device key".to_vec());
    let vault = Vault::create(&home, &info, &key, &Seal::Identity(identity.clone()), &[]);
    (home, Unlock::Identity(identity), vault)
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, unlock, vault) = new_vault(folder.path());
        let vault = vault.unwrap();
        let open = vault.home();
        let stored = [&[7; 64][..], &[1, 2]].concat();
        let share = Secret::new(SHARES[0].to_vec());
        vault.store_pending(&record("vault", [2; 33]), &share, &stored).unwrap();
        let said = Confirmed { party: PartyId::new(2).unwrap(), statement: [9; 32] };
        vault.store_confirmed("vault", &EPOCH, &said).unwrap();
        let ledger = Ledger::open(open).unwrap();
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        ledger.spend(&EPOCH, &[5; 32], &[2]).unwrap();
        let checks = ledger.begin_checks(&[5; 32], &[2]).unwrap();
        ledger.resolve(checks).unwrap();
        ledger.retire(&EPOCH, 2, &bob(), "E_OTE_CHECK", &[5; 32], 5).unwrap();
        let peer = PeerRecord {
            name: "bob".into(),
            fingerprint: bob(),
            address: Some("192.0.2.1:4711".into()),
            paired_at: 1_790_000_000,
            expires: None,
            paired_as: None,
        };
        Peers::add(open, &peer).unwrap();
        attempts::charge(open, "192.0.2.7").unwrap();
        uses::charge(open, "a rule", &Limits { count: Some(9), day: None }).unwrap();
        for outcome in ["signed", "denied"] {
            let entry = Entry { outcome: outcome.into(), ..Entry::default() };
            Log::append(open, &entry).unwrap();
        }
        signatures::store(open, "r-1", b"{\n  \"signature\": \"00\"\n}\n").unwrap();
        deleted::remember(open, &[record("gone", [3; 33])], 5).unwrap();
        deleted::claim(open, &record("gone", [3; 33]), &bob(), 6).unwrap();
        strangers::note(open, &stranger()).unwrap();
        search::remember(open, &bob(), &Way::Lan(([192, 0, 2, 1], 4711).into()));
        let facts = Facts::of(&home, &unlock).unwrap();
        let mut files = Vec::new();
        collect(folder.path(), &mut files);
        files.sort();
        Self { folder, home, unlock, files, facts }
    }
}

fn stranger() -> Stranger {
    Stranger {
        time: 1_790_000_000,
        source: "relay".into(),
        fingerprint: hex(&[9; 32]),
        name: "somebody".into(),
        wanted: "pair".into(),
        outcome: "busy".into(),
        others: 0,
    }
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let content = fs::read(&path).unwrap();
            files.push((path, content));
        }
    }
}

/// Everything that is read while the vault is locked; errors are fine.
fn look_locked(home: &Home) {
    let _ = Vault::locks(home);
    let _ = Vault::device(home);
    let _ = Vault::token(home);
    let _ = keys::list(home);
    let _ = keys::find(home, "vault");
    let _ = keys::location(home, "vault", &EPOCH);
    let _ = keys::confirmed(home, "vault", &EPOCH);
    if let Ok(stored) = keys::confirmation(home, "vault", &EPOCH) {
        let _ = Confirmation::<k256::Secp256k1>::from_bytes(&stored);
    }
    if let Ok(ledger) = Ledger::open(home) {
        let _ = (ledger.retired(&EPOCH), ledger.height(&EPOCH), ledger.peer_height(&EPOCH, 2));
    }
    let _ = Log::entries(home);
    let _ = Log::verify(home);
    let _ = attempts::charged(home);
    let _ = Uses::load(home);
    let _ = Peers::load(home);
    let _ = signatures::load(home, "r-1");
    let _ = deletions(home);
}

thread_local!(static DEVICE: RefCell<Option<Device>> = const { RefCell::new(None) });

/// One file of a device, raw and changed, the first byte says which: with the vault open it is named,
/// or it changes nothing. Files that decide nothing are read and written on.
pub(crate) fn home(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    DEVICE.with_borrow_mut(|device| {
        let device = device.get_or_insert_with(Device::new);
        let (path, honest) = &device.files[usize::from(*first) % device.files.len()];
        for content in [bytes, &changed(honest, bytes)] {
            fs::write(path, content).unwrap();
            look_locked(&device.home);
            if let Ok(facts) = Facts::of(&device.home, &device.unlock) {
                let name = path.strip_prefix(device.folder.path()).unwrap();
                assert_eq!(facts, device.facts, "{}", name.display());
            }
            if path.ends_with("strangers.jsonl") {
                let _ = strangers::note(&device.home, &stranger());
                assert!(fs::metadata(path).unwrap().len() <= (1 << 20) + 1024);
            }
            if path.ends_with("addresses.json") {
                let way = Way::Lan(([192, 0, 2, 9], 4711).into());
                search::remember(&device.home, &bob(), &way);
            }
            fs::write(path, honest).unwrap();
        }
    });
}

/// The text of a backup, raw and changed: one that reads is the only encoding of what it says.
pub(crate) fn backup(bytes: &[u8]) {
    let honest = include_bytes!("../../frozen/backup/text");
    let read = |text: &[u8]| {
        let backup = Backup::from_text(&Secret::new(text.to_vec())).ok()?;
        assert_eq!(backup.to_text().expose(), text);
        Some(backup)
    };
    read(honest).unwrap();
    for text in [bytes, &changed(honest, bytes)] {
        if let Some(backup) = read(text) {
            assert_eq!(backup.record.parties.len(), usize::from(backup.share.count()));
            assert!(!backup.share.can_sign());
        }
    }
}

/// Another device's claims about its epochs, raw and changed: for an epoch that is here, only its
/// own confirmation counts.
pub(crate) fn said(bytes: &[u8]) {
    DEVICE.with_borrow_mut(|device| {
        let home = &device.get_or_insert_with(Device::new).home;
        let records = keys::find(home, "vault").unwrap();
        let stored = |me| [&[7; 64][..], &[me, 2]].concat();
        let theirs = Confirmation::<k256::Secp256k1>::from_bytes(&stored(2)).unwrap().message();
        let honest = [[8; 32], [1; 32], EPOCH, theirs].concat();
        let name = Label::new("bob");
        let read = |party: u8, said: &[u8]| -> Vec<_> {
            let said =
                confirmations::read(home, &records, PartyId::new(party).unwrap(), &name, said);
            said.into_iter()
                .flatten()
                .map(|said| said.map(|(record, word)| (record.epoch, word)))
                .collect()
        };
        assert_eq!(read(2, &honest).len(), 1);
        for said in [bytes, &changed(&honest, bytes)] {
            for confirmed in read(2, said) {
                assert!(confirmed.is_err() || confirmed.is_ok_and(|said| said == (EPOCH, theirs)));
            }
            assert!([1, 3].iter().all(|other| read(*other, said).iter().all(Result::is_err)));
        }
    });
}

/// Files in the place of a new vault, raw and changed; the first byte selects one. A file is taken
/// over with the meaning it had, or reported, or no vault is made. No ban is lost.
pub(crate) fn found(bytes: &[u8]) {
    const FILES: [(&str, &[u8]); 5] = [
        ("state/ledger.jsonl", include_bytes!("../../shares/v1/bob/state/ledger.jsonl")),
        ("state/log.jsonl", include_bytes!("../../shares/v1/bob/state/log.jsonl")),
        ("state/log.head", include_bytes!("../../shares/v1/bob/state/log.head")),
        ("state/attempts.json", include_bytes!("../../shares/v1/bob/state/attempts.json")),
        ("config/peers.json", include_bytes!("../../shares/v1/bob/config/peers.json")),
    ];
    let Some((first, bytes)) = bytes.split_first() else { return };
    let chosen = usize::from(*first) % FILES.len();
    for content in [bytes, &changed(FILES[chosen].1, bytes)] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        for (n, (name, honest)) in FILES.iter().enumerate() {
            let path = folder.path().join("home").join(name);
            private_folder(path.parent().unwrap());
            write_privately(&path, if n == chosen { content } else { honest });
        }
        let before = decisions(&home);
        let (home, unlock, made) = new_vault(folder.path());
        if made.is_ok() {
            let vault = Vault::open(&home, &unlock).unwrap();
            // Files that do not fit are reported whenever the vault is opened.
            if vault.misfits().is_empty() {
                assert_eq!(decisions(vault.home()), before);
            }
        }
    }
}

/// The content of the files on which decisions rest, if they can be read.
fn decisions(home: &Home) -> Option<impl std::fmt::Debug + PartialEq + use<>> {
    let ledger = Ledger::open(home).ok()?;
    let epoch = |text: &str| <[u8; 32]>::try_from(unhex(text).unwrap()).unwrap();
    let epochs = [
        epoch("8748486422d57335f98530253a1d18cb2afaa53d6980cda94ad671150cda8c3f"),
        epoch("6ccf4dc1648b89d4ecfc3994cef8dbac0e0c896528049f1c3b8d80811fc6fe01"),
    ];
    let of = |epoch: &[u8; 32]| {
        (ledger.retired(epoch), ledger.height(epoch), ledger.peer_height(epoch, 1))
    };
    Some((epochs.map(|epoch| of(&epoch)), attempts::charged(home).ok()?, Peers::load(home).ok()?))
}

fn private_folder(folder: &Path) {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
}

fn write_privately(path: &Path, content: &[u8]) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(content).unwrap();
}

/// The settings of a device, raw and changed.
pub(crate) fn config(bytes: &[u8]) {
    let honest = b"relay = \"wss://relay.example:443\"\ntimeout = \"30s\"\ntls = \"1.2\"\n\
        identity = \"/a\"\npassphrase_file = \"/b\"\nmodule = \"/c.so\"\npin_file = \"/d\"\n\
        color = \"never\"\n";
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    private_folder(&home.config);
    let load = |text: &[u8]| {
        write_privately(&home.config.join("config.toml"), text);
        Config::load(&home)
    };
    load(honest).unwrap();
    for text in [bytes, &changed(honest, bytes)] {
        let _ = load(text);
    }
}

/// A policy file and the list of digests that it names, both raw and changed.
pub(crate) fn policy(bytes: &[u8]) {
    let rule =
        b"[[rule]]\nceremony = \"sign\"\nkey = \"k\"\npeer = \"bob\"\npurpose = \"release .*\"\n\
        digest_file = \"digests\"\nmax_count = 3\nnot_after = 2030-01-01T00:00:00Z\n\
        hours = \"09:00-17:00\"\naction = \"allow\"\n";
    let list = [[0xa5; 32], [1; 32]].map(|digest| hex(&digest)).join("\n");
    let folder = tempfile::tempdir().unwrap();
    let (path, digests) = (folder.path().join("policy.toml"), folder.path().join("digests"));
    let load = |rules: &[u8], listed: &[u8]| {
        write_privately(&path, rules);
        write_privately(&digests, listed);
        Policy::load(&path, &Home::at(folder.path()))
    };
    load(rule, list.as_bytes()).unwrap();
    for (rules, listed) in [
        (bytes, list.as_bytes()),
        (&changed(rule, bytes), list.as_bytes()),
        (rule, bytes),
        (rule, &changed(list.as_bytes(), bytes)),
    ] {
        let _ = load(rules, listed);
    }
}

/// A request for `policy check`, as a JSON object, raw and changed: only requests that the one rule
/// covers are approved.
pub(crate) fn request(bytes: &[u8]) {
    let honest = format!(
        r#"{{"ceremony":"sign","key":"k","digest":"{}","purpose":"release 1","peer":"bob",
        "time":"2026-12-31T12:00:00+01:00","requester":{{"fingerprint":"{}"}}}}"#,
        hex(&[5; 32]),
        bob().to_hex()
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let rule =
        b"[[rule]]\nceremony = \"sign\"\nkey = \"k\"\npeer = \"bob\"\npurpose = \"release 1\"\n\
        not_after = 2030-01-01T00:00:00Z\naction = \"allow\"\n";
    write_privately(&path, rule);
    let policy = Policy::load(&path, &Home::at(folder.path())).unwrap();
    let peer = |name: &str| (name == "bob").then(bob);
    let is_yes = |text: &[u8]| {
        let given = Given::from_json(text).ok()?;
        let (decision, _) = given.explained(&policy, &peer, Uses::default()).ok()?;
        Some(decision == Decision::Allow(1))
    };
    assert_eq!(is_yes(honest.as_bytes()), Some(true));
    for text in [bytes, &changed(honest.as_bytes(), bytes)] {
        if is_yes(text) == Some(true) {
            // An unknown field may hold half of a surrogate pair, which this reader refuses as
            // JSON.
            let Ok(said) = serde_json::from_slice::<serde_json::Value>(text) else { continue };
            assert_eq!(said["key"], "k");
            assert!(matches!(said["ceremony"].as_str(), None | Some("" | "sign")));
            assert_eq!(Label::new(said["purpose"].as_str().unwrap()).as_str(), "release 1");
        }
    }
}
