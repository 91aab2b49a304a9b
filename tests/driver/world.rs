//! Whole devices in one process: real vaults, real TLS, the real driver, on a network of this process and
//! in virtual time.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use cosign::curve::CurveName;
use cosign::device::Fingerprint;
use cosign::driver::approver::backoff::{Admission, Backoff};
use cosign::driver::approver::{Answer, Approver, Comparison, Verdict};
use cosign::driver::ceremony::sign::{Outcome, ToSign};
use cosign::driver::ceremony::{keygen, sign};
use cosign::driver::connect::target::{Route, Target};
use cosign::driver::error::Error;
use cosign::driver::listen::Listener;
use cosign::driver::{Node, clock};
use cosign::net::tls::{self, TlsVersion};
use cosign::payload::Source;
use cosign::request::Question;
use cosign::vault::{
    DeviceInfo, Entry, Home, KeyRecord, Log, PeerRecord, Peers, Seal, Unlock, Vault,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::network::{Conditions, Network, place};
use crate::seed::Seed;

/// The devices, in the order of their numbers.
pub(crate) const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
/// A key of all devices of a world, as many of which sign as the world says.
pub(crate) const KEY: &str = "vault";
/// A key of all devices, all of whom sign.
pub(crate) const KEY_OF_ALL: &str = "all";

/// How many devices a world has, and how many of them sign with [`KEY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    pub(crate) size: usize,
    pub(crate) threshold: u8,
}

/// A device's misfortune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Spared,
    /// Its connections break.
    HungUp,
    /// Its bytes go nowhere.
    Silenced,
    /// It dies, and is started again so many seconds later.
    Killed(u64),
}

/// Three devices, any two of which sign.
pub(crate) const TRIO: Group = Group { size: 3, threshold: 2 };

/// Runs `work` in time that passes when nothing is left to do.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// How an owner answers.
#[derive(Clone, Copy, Debug, Default)]
struct Mind {
    takes: Duration,
    refuses: bool,
    /// A rule approves at once, without a person.
    has_rule: bool,
}

/// An owner, who answers after a while. A device that asked in vain waits before it may ask again.
struct Owner {
    mind: Arc<Mutex<Mind>>,
    backoff: Mutex<Backoff>,
}

/// A question on the screen, which counts as refused unless it is approved.
struct Asked<'a> {
    owner: &'a Owner,
    requester: Fingerprint,
    approved: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut backoff = self.owner.backoff.lock().unwrap();
        if self.approved {
            backoff.approved(&self.requester);
        } else {
            backoff.refused(&self.requester, clock::now());
        }
    }
}

impl Approver for Owner {
    fn compare(&self, _: Comparison) -> Answer<'_> {
        Box::pin(async { Verdict::Yes })
    }

    fn approve(&self, _: Question) -> Answer<'_> {
        let has_rule = self.mind.lock().unwrap().has_rule;
        Box::pin(async move { if has_rule { Verdict::Yes } else { Verdict::Ask } })
    }

    fn asks_a_person(&self) -> bool {
        !self.mind.lock().unwrap().has_rule
    }

    fn ask(&self, question: Question) -> Answer<'_> {
        let Mind { takes, refuses, .. } = *self.mind.lock().unwrap();
        let requester = question.request.asked_by();
        Box::pin(async move {
            let mut asked = Asked { owner: self, requester, approved: false };
            tokio::time::sleep(takes).await;
            asked.approved = !refuses;
            if refuses { Verdict::No } else { Verdict::Yes }
        })
    }

    fn admit_waiting(&self, requester: &Fingerprint) -> Admission {
        self.backoff.lock().unwrap().admit_waiting(requester, false, clock::now())
    }

    fn withdrawn(&self, requester: &Fingerprint) {
        self.backoff.lock().unwrap().withdrawn(requester, clock::now());
    }

    fn admit(&self, requester: &Fingerprint) -> Admission {
        self.backoff.lock().unwrap().admit(requester, false, clock::now())
    }
}

/// A device that runs.
struct Running {
    node: Arc<Node>,
    visits: JoinHandle<()>,
}

/// A few devices and the network between them.
pub(crate) struct World {
    pub(crate) network: Network,
    group: Group,
    folder: TempDir,
    /// The folder of each device now: a device that crashed goes on in a copy.
    homes: Vec<PathBuf>,
    running: Vec<Option<Running>>,
    owners: Vec<Arc<Mutex<Mind>>>,
}

impl World {
    /// Three paired devices with the key [`KEY`], all of which listen.
    pub(crate) fn new(seed: &mut Seed, conditions: Conditions) -> Self {
        Self::of(TRIO, seed, conditions)
    }

    /// As [`Self::new`], for a group.
    pub(crate) fn of(group: Group, seed: &mut Seed, conditions: Conditions) -> Self {
        let mut world = Self::asleep(group, seed, conditions);
        world.all().for_each(|number| world.wake(number));
        world
    }

    /// As [`Self::of`], with none of them running.
    pub(crate) fn asleep(group: Group, seed: &mut Seed, conditions: Conditions) -> Self {
        let (folder, prepared) = (scratch(), prepared(group));
        let homes = homes(group, &folder);
        for (name, home) in NAMES.iter().zip(&homes) {
            copy(&prepared.path().join(name), home);
        }
        Self::in_homes(group, folder, homes, seed.split(), conditions)
    }

    fn in_homes(
        group: Group,
        folder: TempDir,
        homes: Vec<PathBuf>,
        seed: Seed,
        conditions: Conditions,
    ) -> Self {
        let owners = homes.iter().map(|_| Arc::default()).collect();
        let running = homes.iter().map(|_| None).collect();
        Self { network: Network::new(seed, conditions), group, folder, homes, running, owners }
    }

    /// The numbers of all devices.
    pub(crate) fn all(&self) -> std::ops::Range<usize> {
        0..self.group.size
    }

    /// The numbers of the devices beside `number`.
    pub(crate) fn others(&self, number: usize) -> Vec<usize> {
        self.all().filter(|other| *other != number).collect()
    }

    /// How many sign with [`KEY`].
    pub(crate) fn threshold(&self) -> usize {
        self.group.threshold.into()
    }

    /// Starts device `number`, which listens from now on.
    pub(crate) fn wake(&mut self, number: usize) {
        let node = Arc::new(self.open(number));
        let listener = Listener::over(self.network.listen(number), place(number).port());
        let mut visits = listener.serve(&node);
        let visits = tokio::spawn(async move { while visits.recv().await.is_some() {} });
        self.running[number] = Some(Running { node, visits });
    }

    /// Another process of device `number`.
    pub(crate) fn another(&self, number: usize) -> Node {
        self.open(number)
    }

    fn open(&self, number: usize) -> Node {
        let folder = &self.homes[number];
        let unlock = Unlock::Identity(folder.join("key.txt"));
        let vault = Vault::open(&Home::at(folder.join("home")), &unlock).unwrap();
        let mind = Arc::clone(&self.owners[number]);
        let owner = Arc::new(Owner { mind, backoff: Mutex::default() });
        let mut node = Node::new(vault, TlsVersion::Any, owner, Arc::new(|_| {})).unwrap();
        node.dialer = self.network.dialer(number);
        node
    }

    /// Device `number` does not listen any more.
    pub(crate) fn put_to_sleep(&mut self, number: usize) {
        drop(self.network.take_away(number));
    }

    /// The device, which runs.
    pub(crate) fn node(&self, number: usize) -> &Arc<Node> {
        &self.running[number].as_ref().unwrap().node
    }

    /// How long the owner of device `number` takes to say yes from now on.
    pub(crate) fn owner_takes(&self, number: usize, wait: Duration) {
        self.owners[number].lock().unwrap().takes = wait;
    }

    /// Whether a request to device `number` is answered within two seconds.
    pub(crate) fn is_quick(&self, number: usize) -> bool {
        let mind = self.owners[number].lock().unwrap();
        mind.has_rule || mind.takes < Duration::from_secs(2)
    }

    /// A rule answers for the owner of device `number` from now on.
    pub(crate) fn owner_has_a_rule(&self, number: usize) {
        self.owners[number].lock().unwrap().has_rule = true;
    }

    /// The owner of device `number` says no from now on.
    pub(crate) fn owner_refuses(&self, number: usize) {
        self.owners[number].lock().unwrap().refuses = true;
    }

    /// Device `number` dies: what it had made durable is there, and nothing else of it.
    pub(crate) fn crash(&mut self, number: usize) {
        let copies = fs::read_dir(self.folder.path()).unwrap().count();
        let copy_of = self.folder.path().join(format!("{}-{copies}", NAMES[number]));
        // Its old tasks write only to the old folder.
        copy(&self.homes[number], &copy_of);
        self.homes[number] = copy_of;
        self.network.remove(number);
        if let Some(running) = self.running[number].take() {
            running.visits.abort();
        }
    }

    /// This happens to device `number`.
    pub(crate) async fn suffers(&mut self, number: usize, fate: Fate) {
        match fate {
            Fate::Spared => {}
            Fate::HungUp => self.network.hang_up(number),
            Fate::Silenced => self.network.silence(number),
            Fate::Killed(seconds) => {
                self.crash(number);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                self.wake(number);
            }
        }
    }

    /// How device `number` is reached by the others.
    pub(crate) fn target(&self, number: usize) -> Target {
        Self::target_of(number, self.fingerprint(number))
    }

    /// As [`Self::target`], for a known fingerprint.
    pub(crate) fn target_of(number: usize, fingerprint: Fingerprint) -> Target {
        Target {
            name: cosign::device::Label::new(NAMES[number]),
            fingerprint: Some(fingerprint),
            route: Route::Address(place(number).to_string()),
        }
    }

    /// The fingerprint of device `number`.
    pub(crate) fn fingerprint(&self, number: usize) -> Fingerprint {
        Vault::device(&Home::at(self.homes[number].join("home"))).unwrap().fingerprint
    }

    fn targets(&self, numbers: &[usize]) -> Vec<Target> {
        numbers.iter().map(|number| self.target(*number)).collect()
    }

    /// Device `asker` asks `others` for a signature: as many as sign with [`KEY`], or all of them.
    pub(crate) fn sign(
        &self,
        asker: usize,
        others: &[usize],
    ) -> impl Future<Output = Result<Outcome, Error>> + use<> {
        self.ask(Arc::clone(self.node(asker)), others)
    }

    /// As [`Self::sign`], with a time limit for the requester's command.
    pub(crate) fn sign_within(
        &self,
        asker: usize,
        others: &[usize],
        limit: Duration,
    ) -> impl Future<Output = Result<Outcome, Error>> + use<> {
        let mut node = self.open(asker);
        node.deadline = Some(clock::now() + limit);
        self.ask(Arc::new(node), others)
    }

    fn ask(
        &self,
        node: Arc<Node>,
        others: &[usize],
    ) -> impl Future<Output = Result<Outcome, Error>> + use<> {
        let wanted = ToSign {
            key: if others.len() + 1 == self.threshold() { KEY } else { KEY_OF_ALL }.to_owned(),
            digest: clock::nonce().unwrap(),
            source: Source::Digest,
            payload: None,
            from: None,
            purpose: cosign::device::Label::default(),
            with: self.targets(others),
            recipient: None,
            request_id: clock::request_id().unwrap(),
            path: Vec::new(),
        };
        async move { sign::request(&node, &wanted).await }
    }

    /// As [`Self::sign`], as a task, without the signature.
    pub(crate) fn signing(&self, asker: usize, others: &[usize]) -> JoinHandle<Result<(), Error>> {
        let signing = self.sign(asker, others);
        tokio::spawn(async { signing.await.map(|made| assert!(!made.signatures.is_empty())) })
    }

    /// Device `asker` makes the key `name`, any two of whose parties sign, with `others`.
    pub(crate) fn make(
        &self,
        asker: usize,
        name: &'static str,
        others: &[usize],
    ) -> impl Future<Output = Result<keygen::Made, Error>> + use<> {
        let (node, with) = (Arc::clone(self.node(asker)), self.targets(others));
        async move { keygen::request(&node, (name, CurveName::default()), 2, &with).await }
    }

    /// Device `asker` asks the others for new shares.
    pub(crate) fn refresh(
        &self,
        asker: usize,
    ) -> impl Future<Output = Result<keygen::Made, Error>> + use<> {
        let (node, with) = (Arc::clone(self.node(asker)), self.targets(&self.others(asker)));
        async move { keygen::refresh(&node, KEY, &with).await }
    }

    /// Device `asker` asks the others for missing confirmations of the key.
    pub(crate) fn resume(
        &self,
        asker: usize,
    ) -> impl Future<Output = Result<keygen::Made, Error>> + use<> {
        let (node, with) = (Arc::clone(self.node(asker)), self.targets(&self.others(asker)));
        async move { keygen::resume(&node, KEY, &with).await }
    }

    /// The log of device `number` is whole.
    pub(crate) fn log_is_whole(&self, number: usize) {
        let home = &self.node(number).home;
        Log::verify(home).unwrap_or_else(|error| panic!("the log of {}: {error}", NAMES[number]));
    }

    /// The record of `key` on device 0.
    pub(crate) fn record(&self, key: &str) -> KeyRecord {
        let records = cosign::vault::keys::list(&self.node(0).home).unwrap();
        records.into_iter().find(|record| record.name == key).unwrap()
    }

    /// The epoch of `key`.
    pub(crate) fn epoch(&self, key: &str) -> [u8; 32] {
        self.record(key).epoch
    }

    /// Which party of `key` device `number` is.
    pub(crate) fn party(&self, number: usize, key: &str) -> u8 {
        let own = self.fingerprint(number);
        let record = self.record(key);
        record.parties.iter().find(|party| party.fingerprint == own).unwrap().index.get()
    }

    /// Whether device `number` has a share of the key `name`, of whatever epoch.
    pub(crate) fn has_key(&self, number: usize, name: &str) -> bool {
        let records = cosign::vault::keys::list(&self.node(number).home).unwrap();
        records.iter().any(|record| record.name == name)
    }

    /// The outcomes in the log of device `number`, in order.
    pub(crate) fn outcomes(&self, number: usize) -> Vec<String> {
        self.entries(number).into_iter().map(|entry| entry.outcome).collect()
    }

    /// The log of device `number`.
    pub(crate) fn entries(&self, number: usize) -> Vec<Entry> {
        Log::entries(&self.node(number).home).unwrap()
    }

    /// The sessions that device `number` has spent, in order.
    pub(crate) fn spent(&self, number: usize) -> Vec<String> {
        let ledger = fs::read_to_string(self.node(number).home.state.join("ledger.jsonl"));
        let lines = ledger.unwrap_or_default();
        let spend = |line: &str| Some(line.strip_prefix("{\"spend\":\"")?[..64].to_owned());
        lines.lines().filter_map(spend).collect()
    }

    /// The ledger of device `number`.
    pub(crate) fn ledger(&self, number: usize) -> cosign::vault::Ledger {
        cosign::vault::Ledger::open(&self.node(number).home).unwrap()
    }
}

/// The homes of the devices of `group` in `folder`.
fn homes(group: Group, folder: &TempDir) -> Vec<PathBuf> {
    NAMES.iter().take(group.size).map(|name| folder.path().join(name)).collect()
}

/// Homes of the paired devices of `group`, which made both keys together; they are made once.
fn prepared(group: Group) -> Arc<TempDir> {
    static PREPARED: Mutex<BTreeMap<Group, Arc<OnceLock<Arc<TempDir>>>>> =
        Mutex::new(BTreeMap::new());
    let prepared = Arc::clone(PREPARED.lock().unwrap().entry(group).or_default());
    let folder = prepared.get_or_init(|| {
        let folder = scratch();
        let homes = homes(group, &folder);
        homes.iter().zip(NAMES).for_each(|(home, name)| make(home, name));
        let prints: Vec<_> = homes.iter().map(|home| introduced(home)).collect();
        for home in &homes {
            for (name, fingerprint) in NAMES.iter().zip(&prints) {
                let own = introduced(home) == *fingerprint;
                let record = PeerRecord {
                    name: (*name).to_owned(),
                    fingerprint: *fingerprint,
                    address: None,
                    paired_at: 1_790_000_000,
                    expires: None,
                    paired_as: None,
                };
                if !own {
                    let unlock = Unlock::Identity(home.join("key.txt"));
                    let vault = Vault::open(&Home::at(home.join("home")), &unlock).unwrap();
                    Peers::add(vault.home(), &record).unwrap();
                }
            }
        }
        let thread = std::thread::spawn(move || {
            run(async {
                let conditions = Conditions::default();
                let mut world = World::in_homes(group, folder, homes, Seed::new(0), conditions);
                world.all().for_each(|number| world.wake(number));
                let (node, with) = (world.node(0), world.targets(&world.others(0)));
                keygen::request(node, (KEY, CurveName::default()), group.threshold, &with)
                    .await
                    .unwrap();
                let all = u8::try_from(group.size).unwrap();
                keygen::request(node, (KEY_OF_ALL, CurveName::default()), all, &with)
                    .await
                    .unwrap();
                world.folder
            })
        });
        Arc::new(thread.join().unwrap())
    });
    Arc::clone(folder)
}

fn introduced(home: &Path) -> Fingerprint {
    Vault::device(&Home::at(home.join("home"))).unwrap().fingerprint
}

fn make(folder: &Path, name: &str) {
    fs::create_dir(folder).unwrap();
    let key_file = folder.join("key.txt");
    let identity = age::x25519::Identity::generate();
    fs::write(&key_file, identity.to_string().expose_secret()).unwrap();
    fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
    let device = tls::Device::generate().unwrap();
    let info = DeviceInfo {
        name: name.to_owned(),
        fingerprint: device.fingerprint,
        certificate: device.certificate.clone(),
        created: 1_790_000_000,
    };
    let home = Home::at(folder.join("home"));
    Vault::create(&home, &info, &device.key, &Seal::Identity(key_file), &[]).unwrap();
}

/// A folder that is gone afterwards, in memory where there is such a place: nothing here is kept.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
