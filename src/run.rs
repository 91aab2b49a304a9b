//! The driver: the one loop, the one clock, the one source of randomness.
//!
//! Here the core's machines meet the vault and the network. A ceremony is the same on every
//! device: *reach* the others, *propose* or *approve*, take a seat at the *table* (one secure link
//! to every other participant), *drive* the machine, *finish*. What must be durable before a byte
//! leaves is made durable in [`drive`], nowhere else.

mod begin;
pub mod clock;
pub mod confirmations;
pub mod convene;
pub mod deletions;
pub mod door;
pub mod drive;
pub mod epochs;
pub mod judge;
pub mod keygen;
pub mod lines;
pub mod listen;
pub mod pairing;
pub mod patience;
pub mod reach;
pub mod records;
pub mod rooms;
pub mod sign;
pub mod strangers;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::crypto::tags;
use crate::crypto::transcript::length_prefixed;
use crate::device::{Fingerprint, Label};
use crate::net::pump::{Handle, Whisper};
use crate::net::relay::RelayUrl;
use crate::net::tls::{Device, Tls, TlsVersion};
use crate::net::{Frame, Kind};
use crate::progress::{Event, PartyView, RequestView};
use crate::report::Failure;
use crate::run::judge::Judge;
use crate::talk::{Agreed, Message, Proposal, Reason};
use crate::vault::{DeviceInfo, Home, Log, Misfit, Peers, Vault};

/// How long a person has to answer, unless `--timeout` says otherwise.
pub const ANSWER: Duration = Duration::from_secs(120);
/// How long a device is looked for, unless `--timeout` says otherwise.
pub const REACH: Duration = Duration::from_secs(15);
/// How long devices that talk through the requester may take to find each other.
pub const HELLO: Duration = Duration::from_secs(60);
/// How long one round may take.
pub const ROUND: Duration = Duration::from_secs(60);
/// How long a pairing lasts that is not remembered, in seconds.
pub const SESSION: i64 = 30 * 60;

/// Takes what people are to be told.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// This device, unlocked and ready to take part.
pub struct Node {
    /// Where it keeps things, as its open vault sees them.
    pub home: Home,
    /// Its vault, open.
    pub vault: Vault,
    /// Its name, fingerprint and certificate.
    pub info: DeviceInfo,
    /// Its end of every TLS connection.
    pub tls: Tls,
    /// Answers its owner's questions.
    pub judge: Arc<dyn Judge>,
    /// Where events go.
    pub sink: Sink,
    /// The overall deadline, where one was given.
    pub deadline: Option<Instant>,
    /// The network interface to find devices on; all of them where none is named.
    pub interface: Option<String>,
    /// The relay to meet at where the local network does not reach.
    pub relay: Option<RelayUrl>,
    /// Whether pairings made by this process are kept until they are forgotten.
    pub keep: bool,
    /// Whether no ceremony may begin that cannot be written down.
    pub require_log: bool,
    /// Told when keys or peers have changed, and with them the rooms to wait in.
    acquainted: Notify,
    /// What other devices may come back to.
    lines: lines::Lines,
    /// Held by the one question that may be on the screen.
    turn: tokio::sync::Mutex<()>,
    /// Whether there is one.
    asking: watch::Sender<bool>,
    /// The known devices that are here.
    guests: door::Guests,
    /// The others.
    strangers: strangers::Strangers,
    /// This device is calling another one to pair with it.
    dialing: AtomicBool,
    /// The links that are open now, to tell the other side when this one is interrupted.
    open: Mutex<Vec<Whisper>>,
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
    /// The device key cannot be opened, or does not fit its certificate; a file that says with whom
    /// and with which key this device signs, or whom it has banned, is not what it wrote.
    pub fn new(
        vault: Vault,
        version: TlsVersion,
        judge: Arc<dyn Judge>,
        sink: Sink,
    ) -> Result<Self, Failure> {
        let home = vault.home().clone();
        for Misfit { error, stops } in vault.misfits() {
            let failure = Failure::from(error);
            if stops {
                return Err(failure);
            }
            sink(Event::Note { message: failure.message });
        }
        let info = Vault::device(&home)?;
        let device =
            Device::from_parts(info.certificate.clone(), vault.device_key()?).map_err(|_| {
                Failure::new(
                    crate::report::Code::Internal,
                    "the device key does not fit the device certificate",
                )
            })?;
        let tls = Tls::new(&device, version).map_err(|e| crate::report::link("this device", &e))?;
        Ok(Self {
            home,
            vault,
            info,
            tls,
            judge,
            sink,
            deadline: None,
            interface: None,
            relay: None,
            acquainted: Notify::new(),
            keep: false,
            require_log: false,
            lines: lines::Lines::default(),
            turn: tokio::sync::Mutex::new(()),
            asking: watch::Sender::new(false),
            guests: door::Guests::default(),
            strangers: strangers::Strangers::default(),
            dialing: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            ending: watch::Sender::new(false),
        })
    }

    /// The right to put a question on the screen, unless another one is there.
    fn try_turn(&self) -> Option<Turn<'_>> {
        self.turn.try_lock().ok().map(|held| Turn::new(self, held))
    }

    /// The same, as soon as no other question is there.
    async fn turn(&self) -> Turn<'_> {
        Turn::new(self, self.turn.lock().await)
    }

    /// Tells people.
    pub fn tell(&self, event: Event) {
        (self.sink)(event);
    }

    /// The moment `span` from now, or the overall deadline if that comes first.
    pub fn until(&self, span: Duration) -> Instant {
        let then = clock::now() + span;
        self.deadline.map_or(then, |deadline| deadline.min(then))
    }

    /// The overall deadline, or `span` from now where none was given.
    pub fn patience(&self, span: Duration) -> Instant {
        self.deadline.unwrap_or_else(|| clock::now() + span)
    }

    /// The paired devices.
    pub fn peers(&self) -> Result<Peers, Failure> {
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

    fn remember_link(&self, handle: &Handle) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|link| !link.is_closed());
        open.push(handle.whisper());
    }

    /// Waits until this device is interrupted.
    pub async fn interrupted(&self) {
        // The other end is the node's own, so this cannot fail.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// Tells every device at the other end of a link that this one was interrupted: here where a
    /// ceremony runs, and by [`Node::interrupted`] where people are still awaited.
    pub async fn interrupt(&self) {
        self.ending.send_replace(true);
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let last = Message::Refuse { reason: Reason::Interrupted };
        for link in &open {
            let word = link.send(Frame::new(Kind::Control, last.to_bytes()));
            // One that does not read does not keep this device.
            let _ = tokio::time::timeout(Duration::from_millis(100), word).await;
        }
        // The links' tasks send on; nothing tells when a peer has read.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Writes one line of the log. That a log cannot be written is told, and given back as a warning,
    /// and stops nothing: what must not be lost is in the ledger and the vault.
    pub fn log(&self, entry: crate::vault::Entry) -> Option<String> {
        let error = Log::append(&self.home, &entry).err()?;
        let warning = format!("the log was not written: {error}");
        self.tell(Event::Note { message: warning.clone() });
        Some(warning)
    }

    /// Looks whether a record that is required could be written now: to be called before anybody is asked.
    ///
    /// # Errors
    /// It could not.
    pub fn can_record(&self) -> Result<(), Failure> {
        if !self.require_log {
            return Ok(());
        }
        Log::try_out(&self.home).map_err(|error| crate::report::no_record(&error))
    }

    /// Writes down, durably, that the ceremony of `view` begins, where it may leave no other way than
    /// with a record. To be called before this device lets it begin.
    ///
    /// # Errors
    /// The record is required and cannot be written.
    pub fn begin(&self, view: &RequestView) -> Result<(), Failure> {
        if !self.require_log {
            return Ok(());
        }
        let me = self.info.fingerprint.to_hex();
        let others: Vec<&str> = match view.requester.fingerprint == me {
            true => view.signers.iter().map(|s| s.fingerprint.as_str()).collect(),
            false => vec![&view.requester.fingerprint],
        };
        let entry = crate::vault::Entry {
            time: clock::unix_now(),
            ceremony: view.ceremony.clone(),
            key: Label::capped(&view.key, 256).as_str().to_owned(),
            digest: view.digest.clone(),
            peer: others.into_iter().filter(|f| *f != me).collect::<Vec<_>>().join(","),
            purpose: view.purpose.as_str().to_owned(),
            outcome: "begun".to_owned(),
            ..Default::default()
        };
        Log::append(&self.home, &entry).map_err(|error| crate::report::no_record(&error))
    }
}

/// The one question that may be on the screen. It is for what is in hand: nobody takes it by being silent.
struct Turn<'a> {
    node: &'a Node,
    _held: tokio::sync::MutexGuard<'a, ()>,
}

impl<'a> Turn<'a> {
    fn new(node: &'a Node, held: tokio::sync::MutexGuard<'a, ()>) -> Self {
        node.asking.send_replace(true);
        Self { node, _held: held }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.node.asking.send_replace(false);
    }
}

/// What the approvers of `proposal` see, with the names this device knows.
pub fn view_of(
    node: &Node,
    proposal: &Proposal,
    requester: &Fingerprint,
    public_key: &str,
    key: &str,
) -> RequestView {
    let view = |fingerprint: Fingerprint| PartyView {
        name: node.name_of(&fingerprint),
        fingerprint: fingerprint.to_hex(),
    };
    let party = |index: &u8| {
        let position = usize::from(*index).checked_sub(1)?;
        proposal.parties.get(position).map(|hex| view(hex.fingerprint()))
    };
    let signs = proposal.kind == crate::talk::Kind::Sign;
    let receivers: Vec<u8> = match (signs, proposal.recipient) {
        (false, _) => Vec::new(),
        (true, 0) => proposal.signers.clone(),
        (true, one) => vec![one],
    };
    RequestView {
        ceremony: proposal.kind.name().to_owned(),
        request_id: proposal.request_id.clone(),
        key: key.to_owned(),
        public_key: public_key.to_owned(),
        threshold: proposal.threshold,
        parties: u8::try_from(proposal.parties.len()).unwrap_or(u8::MAX),
        signers: proposal.signers.iter().filter_map(party).collect(),
        digest: if signs { crate::device::hex(&proposal.digest.0) } else { String::new() },
        source: proposal.source.clone(),
        purpose: proposal.purpose.clone(),
        requester: view(*requester),
        receivers: receivers.iter().filter_map(party).collect(),
        seconds: u64::from(proposal.seconds),
        changed: Vec::new(),
    }
}

/// The id of a ceremony: everything the approvers saw, the epochs of the key that everybody offered
/// and the one that is used, and a fresh nonce of every participant, in index order. Devices that
/// disagree about any of it end up in different sessions and stop at the first message, before
/// anything secret is used.
pub fn ceremony_id(view: &RequestView, proposal: &Proposal, agreed: &Agreed) -> [u8; 32] {
    let parties: Vec<u8> = proposal.parties.iter().flat_map(|p| p.0).collect();
    let path: Vec<u8> = proposal.path.iter().flat_map(|index| index.to_be_bytes()).collect();
    let nonces: Vec<u8> = agreed.nonces.iter().flat_map(|nonce| nonce.0).collect();
    let held: Vec<Vec<u8>> = agreed
        .held
        .iter()
        .map(|of_one| of_one.iter().flat_map(|epoch| epoch.0).collect())
        .collect();
    let held: Vec<&[u8]> = held.iter().map(Vec::as_slice).collect();
    tags::CEREMONY_ID.hash(&[
        &view.facts(),
        &agreed.epoch.0,
        &length_prefixed(&held),
        &parties,
        &proposal.signers,
        &[proposal.recipient],
        &path,
        &nonces,
    ])
}

/// Names by party index, for messages.
pub type Names = BTreeMap<u8, Label>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;
    use crate::progress::Source;
    use crate::talk::{Hex, Kind};

    fn party(digit: u8) -> PartyView {
        let fingerprint = Fingerprint::new([digit; 32]);
        PartyView { name: Label::new("anything"), fingerprint: fingerprint.to_hex() }
    }

    fn of(digits: &[u8]) -> Vec<PartyView> {
        digits.iter().map(|digit| party(*digit)).collect()
    }

    /// What 2 of 3 are asked, as docs/wire.md §4 has it, and what they agree on.
    fn asked(kind: Kind, signers: &[u8]) -> (RequestView, Proposal, Agreed) {
        let parties = [0x11, 0x22, 0x33];
        let proposal = Proposal {
            kind,
            request_id: "r-1".into(),
            key: "vault".into(),
            parties: parties.map(|digit| Hex([digit; 32])).to_vec(),
            signers: signers.to_vec(),
            threshold: 2,
            public_key: Hex([0; 33]),
            epochs: Vec::new(),
            digest: Hex([0; 32]),
            source: Source::Digest,
            purpose: Label::default(),
            recipient: 0,
            path: Vec::new(),
            nonce: Hex([0; 32]),
            seconds: 60,
        };
        let public_key = std::iter::once(2).chain([0xab; 32]).collect::<Vec<u8>>();
        let view = RequestView {
            ceremony: kind.name().into(),
            request_id: proposal.request_id.clone(),
            key: "anything".into(),
            public_key: if kind == Kind::Keygen { String::new() } else { hex(&public_key) },
            threshold: 2,
            parties: 3,
            signers: signers.iter().map(|i| party(parties[usize::from(*i) - 1])).collect(),
            digest: String::new(),
            source: Source::Digest,
            purpose: Label::default(),
            requester: party(0x22),
            receivers: Vec::new(),
            seconds: 60,
            changed: Vec::new(),
        };
        let nonces = signers.iter().map(|i| Hex([0xa0 + i; 32])).collect();
        let agreed = Agreed {
            nonces,
            held: vec![Vec::new(); signers.len()],
            epoch: Hex([0; 32]),
            height: 0,
        };
        (view, proposal, agreed)
    }

    #[test]
    fn facts_and_ceremony_ids_have_the_bytes_of_the_specification() {
        let epochs = |list: &[u8]| list.iter().map(|e| Hex([*e; 32])).collect::<Vec<_>>();
        let (mut view, mut proposal, mut agreed) = asked(Kind::Sign, &[1, 3]);
        view.request_id = "release-7".into();
        view.digest = "5d".repeat(32);
        view.source =
            Source::File {
                name: Label::new("résumé.pdf"), size: 70_000, hash: "keccak256".into()
            };
        view.purpose = Label::new("pay the printer");
        view.requester = party(0x33);
        view.receivers = of(&[0x11]);
        proposal.recipient = 1;
        proposal.path = vec![0, 7];
        agreed.epoch = Hex([7; 32]);
        agreed.held = vec![epochs(&[7, 6]), epochs(&[8, 7])];
        let file = (view, proposal, agreed);

        let (mut view, proposal, mut agreed) = asked(Kind::Sign, &[1, 3]);
        view.request_id = "release-7".into();
        view.digest = "5d".repeat(32);
        view.requester = party(0x11);
        view.receivers = of(&[0x11, 0x33]);
        agreed.epoch = Hex([7; 32]);
        agreed.held = vec![epochs(&[7]), epochs(&[7])];
        let digest = (view, proposal, agreed);

        let keygen = asked(Kind::Keygen, &[1, 2, 3]);
        let mut refresh = asked(Kind::Refresh, &[1, 2, 3]);
        refresh.2.epoch = Hex([7; 32]);
        refresh.2.held = vec![epochs(&[7]); 3];
        let mut resume = asked(Kind::Resume, &[2, 3]);
        resume.2.held = vec![epochs(&[7, 6]), epochs(&[7])];

        for ((view, proposal, agreed), word, id) in [
            (file, "399db907", "f6b679a09b7f812a2a485b677aa6993ce146755be73df332e75701966fe4f12d"),
            (
                digest,
                "30dc871d",
                "ece5b3c744841d609ee9a87623ae314cf1bd442f157dd3acecd1799a30ffa6eb",
            ),
            (
                keygen,
                "282745d1",
                "c40c159916465cf6be5af322186016408307263477f591fdd465a4c35bf59e5d",
            ),
            (
                refresh,
                "d0b32f6b",
                "658c837ee6ca5a24208787551f9c7e142cdc1335b1e2fdd8a53e24f2d7be3b16",
            ),
            (
                resume,
                "aa6895dd",
                "8b37b6f56a04f80857f2bc22cf1ab0e26904a52b0515235c18147dfeaad97ae0",
            ),
        ] {
            assert_eq!(view.hash(), word, "{}", view.ceremony);
            assert_eq!(hex(&ceremony_id(&view, &proposal, &agreed)), id, "{}", view.ceremony);
        }
    }
}
