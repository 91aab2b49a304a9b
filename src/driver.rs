//! The driver: the one loop, the one clock, the one source of randomness.
//!
//! It joins the core's machines with the vault and the network. [`connect`] reaches other devices
//! and holds the links to them, [`ceremony`] runs what devices do together, [`listen`] accepts
//! connections and hands each caller to the ceremony it asked for. An [`approver`] answers for the
//! owner of this device.

pub mod approver;
pub mod backup;
pub mod ceremony;
pub mod clock;
pub mod connect;
pub mod error;
pub mod listen;
pub mod on_curve;
pub mod records;
pub mod strangers;
pub mod told;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::device::{Fingerprint, Label, hex};
use crate::driver::approver::Approver;
use crate::driver::approver::queue::Queue;
use crate::driver::connect::resume::IncomingLinks;
use crate::driver::error::Error;
use crate::driver::listen::admission::{FruitlessVisits, PeerConnections};
use crate::driver::told::{Note, Told};
use crate::net::relay::RelayUrl;
use crate::net::resumable::{LinkSender, WeakSender};
use crate::net::tcp::Tcp;
use crate::net::tls::{Device, Tls, TlsVersion};
use crate::net::{Dialer, Frame, Kind};
use crate::party::PartyId;
use crate::request::{Question, Request};
use crate::vault::{DeviceInfo, Home, Ledger, Log, Misfit, Peers, Vault, unlogged};
use crate::wire::{Message, Reason};

/// How long a person may take to answer, unless `--timeout` says otherwise.
pub const ANSWER: Duration = Duration::from_secs(120);
/// How long a device is looked for, unless `--timeout` says otherwise.
pub const REACH: Duration = Duration::from_secs(15);
/// As [`REACH`], for a person who must first go to the other device.
pub const REACH_OF_PEOPLE: Duration = Duration::from_secs(120);
/// How long two invitees may take to open their tunnel through the requester.
pub const HELLO: Duration = Duration::from_secs(60);
/// How long one round may take.
pub const ROUND: Duration = Duration::from_secs(60);
/// How long a pairing lasts that is not remembered, in seconds.
pub const SESSION: i64 = 30 * 60;

/// Receives what people are told.
pub type Sink = Arc<dyn Fn(Told<'_>) + Send + Sync>;

/// This device, with its vault open.
pub struct Node {
    /// Its home, as its open vault sees it.
    pub home: Home,
    /// Its vault, open.
    pub vault: Vault,
    /// Its name, fingerprint and certificate.
    pub info: DeviceInfo,
    /// Its TLS configuration, with its certificate and key.
    pub tls: Tls,
    /// Answers its owner's questions.
    pub approver: Arc<dyn Approver>,
    /// Where events go.
    pub sink: Sink,
    /// The overall deadline, if one was given.
    pub deadline: Option<Instant>,
    /// The time limit of the search for a device without a deadline.
    pub reach: Duration,
    /// Makes connections to addresses.
    pub dialer: Arc<dyn Dialer>,
    /// The network interface for discovery; all of them if none is named.
    pub interface: Option<String>,
    /// The relay to use where the local network does not reach.
    pub relay: Option<RelayUrl>,
    /// Whether pairings made by this process are kept until they are forgotten.
    pub remember_pairings: bool,
    /// Whether a ceremony may begin only if it can be logged.
    pub require_log: bool,
    /// Whether requests for a digest alone are refused.
    pub refuses_blind: bool,
    /// The ledger, shared by all its ceremonies.
    ledger: Ledger,
    /// Notified when keys or peers change, since the rooms at a relay follow from them.
    acquainted: Notify,
    /// Links that other devices may resume.
    incoming: IncomingLinks,
    /// The requests that wait for the owner's screen.
    queue: Queue,
    /// How many connections each known device has here.
    connections: PeerConnections,
    /// How many fruitless visits each known device has made.
    fruitless: FruitlessVisits,
    /// Counts of the unknown devices that were refused.
    strangers: strangers::Strangers,
    /// How many visits for a pairing or a ceremony are under way.
    visits: AtomicUsize,
    /// Whether this device is calling another one to pair with it.
    dialing: AtomicBool,
    /// Whether it gathers a group to pair.
    gathers: AtomicBool,
    /// The open links, so that the other sides can be told of an interruption.
    open: Mutex<Vec<WeakSender>>,
    /// Whether this device is being interrupted.
    ending: watch::Sender<bool>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Node {
    /// A node for an open vault.
    ///
    /// # Errors
    /// The device key cannot be opened, or does not fit its certificate; or a file that stops all
    /// ceremonies ([`Misfit::stops`](crate::vault::Misfit::stops)) is damaged.
    pub fn new(
        vault: Vault,
        version: TlsVersion,
        approver: Arc<dyn Approver>,
        sink: Sink,
    ) -> Result<Self, Error> {
        let home = vault.home().clone();
        for Misfit { error, stops } in vault.misfits() {
            if stops {
                return Err(error.into());
            }
            sink(Note::Misfit(error).into());
        }
        for left in unlogged::log_left(&home) {
            sink(left.map_or_else(Note::File, Note::GivenBefore).into());
        }
        let info = Vault::device(&home)?;
        let device = Device::from_parts(info.certificate.clone(), vault.device_key()?)
            .map_err(Error::DeviceKey)?;
        let tls = Tls::new(&device, version).map_err(Error::DeviceKey)?;
        let ledger = vault.ledger()?.clone();
        Ok(Self {
            ledger,
            home,
            vault,
            info,
            tls,
            approver,
            sink,
            deadline: None,
            reach: REACH,
            dialer: Arc::new(Tcp),
            interface: None,
            relay: None,
            acquainted: Notify::new(),
            remember_pairings: false,
            require_log: false,
            refuses_blind: false,
            incoming: IncomingLinks::default(),
            queue: Queue::default(),
            connections: PeerConnections::default(),
            fruitless: FruitlessVisits::default(),
            strangers: strangers::Strangers::default(),
            visits: AtomicUsize::new(0),
            dialing: AtomicBool::new(false),
            gathers: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            ending: watch::Sender::new(false),
        })
    }

    /// Passes on something that people are told.
    pub fn tell<'a>(&self, told: impl Into<Told<'a>>) {
        (self.sink)(told.into());
    }

    /// The moment `span` from now, or the overall deadline if that comes first.
    pub fn deadline_within(&self, span: Duration) -> Instant {
        let then = clock::now() + span;
        self.deadline.map_or(then, |deadline| deadline.min(then))
    }

    /// The overall deadline, or `span` from now if none was given.
    pub fn deadline_or(&self, span: Duration) -> Instant {
        self.deadline.unwrap_or_else(|| clock::now() + span)
    }

    /// The deadline of the search for a device.
    pub fn reach_by(&self) -> Instant {
        self.deadline_or(self.reach)
    }

    /// The ledger, up to date with what other processes of this home have written.
    ///
    /// # Errors
    /// It cannot be read, or is not what this device wrote.
    pub fn ledger(&self) -> Result<&Ledger, Error> {
        self.ledger.update()?;
        Ok(&self.ledger)
    }

    /// The paired devices.
    pub fn peers(&self) -> Result<Peers, Error> {
        Ok(Peers::load(&self.home)?)
    }

    /// The name this device knows `fingerprint` by, or the device id.
    pub fn name_of(&self, fingerprint: &Fingerprint) -> Label {
        if *fingerprint == self.info.fingerprint {
            return Label::new(&self.info.name);
        }
        let known = Peers::load(&self.home)
            .ok()
            .and_then(|peers| peers.known(fingerprint).map(|record| Label::new(&record.name)));
        known.unwrap_or_else(|| Label::new(&fingerprint.device_id()))
    }

    fn remember_link(&self, link: &LinkSender) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|link| !link.is_closed());
        open.push(link.downgrade());
    }

    /// Waits until this device is interrupted.
    pub async fn interrupted(&self) {
        // The sender belongs to the node, so this cannot fail.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// Tells every device with an open link that this one was interrupted. Requests that still wait
    /// for an answer are ended through [`Node::interrupted`].
    pub async fn interrupt(&self) {
        self.ending.send_replace(true);
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let last = Message::Refuse { reason: Reason::Interrupted };
        for link in &open {
            let word = link.queue(Frame::new(Kind::Control, last.to_bytes()));
            // A peer that does not read must not delay the end of this process.
            let _ = tokio::time::timeout(Duration::from_millis(100), word).await;
        }
        // The links' tasks send on meanwhile; nothing reports when a peer has read.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Whether this device gathers a group that others may join.
    pub fn gathers(&self) -> bool {
        self.gathers.load(Ordering::Relaxed)
    }

    /// Whether no visit is under way.
    pub fn is_idle(&self) -> bool {
        self.visits.load(Ordering::Relaxed) == 0
    }

    /// Counts a visit until the returned value is dropped.
    fn visit(&self) -> Visiting<'_> {
        self.visits.fetch_add(1, Ordering::Relaxed);
        Visiting(&self.visits)
    }

    /// The peers that the log has for `request`, as fingerprints: the other signers if this device
    /// asks, else the requester.
    fn others(&self, request: &Request) -> String {
        let asked_by = request.asked_by();
        if asked_by != self.info.fingerprint {
            return asked_by.to_hex();
        }
        let others = request.signers.iter().filter(|party| **party != request.requester);
        let known = others.filter_map(|party| request.fingerprint(*party));
        known.map(|fingerprint| fingerprint.to_hex()).collect::<Vec<_>>().join(",")
    }

    /// Appends an entry to the log. A failure is told and returned, and does not end the ceremony:
    /// state that must not be lost is in the ledger and the vault.
    pub fn log(&self, entry: crate::vault::Entry) -> Option<String> {
        let error = Log::append(&self.home, &entry).err()?;
        let unlogged = error.to_string();
        self.tell(Note::Unlogged(unlogged.clone()));
        Some(unlogged)
    }

    /// Fields of a log entry: the id of `request`, the curve of its key, and who answered it here.
    fn about(&self, request: &Request) -> impl Iterator<Item = (String, serde_json::Value)> {
        self.answered(request).into_iter().chain([id_of(request)]).chain(curve_of(request))
    }

    /// Who answered `request` here, as a field of a log entry. It is returned once.
    fn answered(&self, request: &Request) -> Option<(String, serde_json::Value)> {
        self.approver.answered_by(request).map(|by| ("by".to_owned(), by.into()))
    }

    /// With `require_log`, checks that a log entry can be written now. To be called before the
    /// owner is asked.
    ///
    /// # Errors
    /// It could not.
    pub fn can_record(&self) -> Result<(), Error> {
        if !self.require_log {
            return Ok(());
        }
        Log::try_out(&self.home).map_err(Error::NoRecord)
    }

    /// The question to the owner about `request`; `key` is the name of its key on this device.
    pub fn question(
        &self,
        request: Request,
        key: String,
        public_key: Option<[u8; 33]>,
    ) -> Question {
        let named = |parties: &[Fingerprint]| {
            parties.iter().map(|party| self.name_of(party)).collect::<Vec<_>>()
        };
        let names = named(&request.parties);
        let old_names = request.resharing().map(|r| named(&r.old)).unwrap_or_default();
        Question { request, key, public_key, names, old_names, seconds: 0 }
    }

    /// With `require_log`, logs durably that the ceremony of `question` begins. To be called before
    /// this device lets it begin.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn begin(&self, question: &Question) -> Result<(), Error> {
        if !self.require_log {
            return Ok(());
        }
        let request = &question.request;
        let entry = crate::vault::Entry {
            time: clock::unix_now(),
            ceremony: request.ceremony().name().to_owned(),
            key: Label::capped(&question.key, 256).as_str().to_owned(),
            digest: request.digest().map(|digest| hex(digest)).unwrap_or_default(),
            peer: self.others(request),
            purpose: request.purpose.as_str().to_owned(),
            outcome: "begun".to_owned(),
            extra: [id_of(request)].into_iter().collect(),
        };
        Log::append(&self.home, &entry).map_err(Error::NoRecord)
    }
}

/// A visit for a pairing or a ceremony.
struct Visiting<'a>(&'a AtomicUsize);

impl Drop for Visiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The id of `request`, as a field of a log entry.
fn id_of(request: &Request) -> (String, serde_json::Value) {
    ("request_id".to_owned(), request.id.as_str().into())
}

/// The curve of the key of `request`, as a field of a log entry; none for secp256k1.
fn curve_of(request: &Request) -> Option<(String, serde_json::Value)> {
    let named = (!request.curve.is_unnamed()).then(|| request.curve.name());
    named.map(|name| ("curve".to_owned(), name.into()))
}

/// Names by party index, for messages.
pub type Names = BTreeMap<PartyId, Label>;
