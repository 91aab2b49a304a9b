//! The other device's side of everything: waits, greets, and hands each caller to the ceremony
//! it came for.

pub mod admission;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use crate::device::{Fingerprint, Label};
use crate::driver::approver::backoff::Admission;
use crate::driver::ceremony::refuse::decline;
use crate::driver::ceremony::{deletions, keygen, pairing, sign};
use crate::driver::connect::dial::PORT;
use crate::driver::connect::hello::{HANDSHAKE, hear, say};
use crate::driver::connect::rendezvous::Streams;
use crate::driver::connect::target::Source;
use crate::driver::connect::target::Way;
use crate::driver::connect::{rendezvous, resume};
use crate::driver::error::Error;
use crate::driver::listen::admission::UnverifiedCallers;
use crate::driver::strangers::{Visitor, turned_away};
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::net::mdns::{Advert, AdvertInfo, Status};
use crate::net::relay::{RelayUrl, Room};
use crate::net::resumable::ResumableLink;
use crate::net::tls::{Expect, TlsLink};
use crate::net::{Acceptor, Io, Link, stdio, tcp};
use crate::progress::Event;
use crate::request::{Action, Ceremony};
use crate::vault::ledger::Heights;
use crate::vault::{Entry, deleted, keys};
use crate::wire::{self, BUSY, Message, NoRequest, Proposal, Reason, Want};

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The address; all of them where none is named.
    pub bind: Option<IpAddr>,
    /// The port; 46737, or any free one if that is taken, where none is named.
    pub port: Option<u16>,
    /// Standard input and output instead of the network.
    pub stdio: bool,
}

/// What a visit came to.
#[derive(Debug)]
pub enum Visit {
    /// A device was paired.
    Paired(pairing::Pairing),
    /// A key was made, refreshed or finished.
    Key(keygen::Made),
    /// Something was signed.
    Signed(Box<sign::Outcome>),
}

/// A device that can be reached.
#[derive(Debug)]
pub struct Listener {
    acceptor: Box<dyn Acceptor>,
    /// The port it listens on.
    pub port: u16,
    /// What comes through a relay.
    relayed: Option<(RelayUrl, Mutex<Streams>)>,
    advert: Option<Mutex<Advert>>,
}

impl Listener {
    /// Opens the port and announces the device by mDNS.
    ///
    /// # Errors
    /// The port or address cannot be used.
    pub async fn open(node: &Arc<Node>, place: &Place) -> Result<Self, Error> {
        let tcp = bind(place).await?;
        let port = tcp.address().map(|a| a.port()).unwrap_or_default();
        let info = AdvertInfo {
            id: node.info.fingerprint.device_id(),
            name: node.info.name.clone(),
            port,
            status: Status::Available,
        };
        let advert = match Advert::start(info, node.interface.as_deref()) {
            Ok(advert) => Some(Mutex::new(advert)),
            Err(error) => {
                node.tell(Note::NotAnnounced(error.to_string()));
                None
            }
        };
        node.tell(Event::Listening {
            name: node.info.name.clone(),
            id: node.info.fingerprint.device_id(),
            fingerprint: node.info.fingerprint.to_hex(),
            port,
        });
        let relayed =
            node.relay.as_ref().map(|relay| (relay.clone(), rendezvous::wait(node, relay)));
        let relayed = relayed.map(|(relay, streams)| (relay, Mutex::new(streams)));
        Ok(Self { acceptor: Box::new(tcp), port, relayed, advert })
    }

    /// Takes what `acceptor` takes, and announces nothing.
    pub fn over(acceptor: Box<dyn Acceptor>, port: u16) -> Self {
        Self { acceptor, port, relayed: None, advert: None }
    }

    /// The same, waiting in one room of a relay instead of those of known devices.
    pub fn in_room(self, node: &Arc<Node>, relay: &RelayUrl, room: Room) -> Self {
        let streams = Mutex::new(rendezvous::wait_in(node, relay, room));
        Self { relayed: Some((relay.clone(), streams)), ..self }
    }

    /// Serves callers in a task of its own, for as long as the results are taken.
    pub fn serve(self, node: &Arc<Node>) -> Visits {
        let (sender, visits) = mpsc::channel(1);
        tokio::spawn(serve(Arc::clone(node), self, sender));
        visits
    }

    /// The next caller, and how it comes. Cancel-safe.
    async fn accept(&self) -> (Box<dyn Io>, Way) {
        let relayed = async {
            let Some((relay, streams)) = &self.relayed else { std::future::pending().await };
            match streams.lock().await.recv().await {
                Some(io) => (io, Way::Relay(relay.clone())),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (io, from) = self.acceptor.accept() => (io, Way::Lan(from)),
            caller = relayed => caller,
        }
    }

    async fn status(&self, status: Status) {
        if let Some(advert) = &self.advert {
            // A status that cannot be announced is a hint that is missing.
            let _ = advert.lock().await.set_status(status);
        }
    }
}

async fn bind(place: &Place) -> Result<tcp::Listener, Error> {
    let port = place.port.unwrap_or(PORT);
    let bound = match tcp::Listener::bind(place.bind, port).await {
        Err(_) if place.port.is_none() => tcp::Listener::bind(place.bind, 0).await,
        bound => bound,
    };
    bound.map_err(|error| Error::Port { port, error })
}

/// How long a list of waiting requests stands at least: who comes and goes does not flood the screen.
const BETWEEN_LISTS: Duration = Duration::from_millis(250);

/// What the visits to a listener came to, one after another.
pub type Visits = mpsc::Receiver<Result<Visit, Error>>;

/// Waits for callers. Each visit's result goes to `visits`; this ends when nobody reads them any
/// more, or at the overall deadline.
async fn serve(node: Arc<Node>, listener: Listener, visits: mpsc::Sender<Result<Visit, Error>>) {
    // Strangers on one side keep nobody of the other out.
    let [mut near, mut far] = [UnverifiedCallers::default(), UnverifiedCallers::default()];
    let mut quiet_until = clock::now();
    let (mut busy, mut waiting, mut changes) = (false, Vec::new(), node.queue.changes());
    loop {
        if busy == node.queue.is_empty() {
            busy = !busy;
            listener.status(if busy { Status::Busy } else { Status::Available }).await;
        }
        let is_news = waiting != node.queue.waiting();
        if is_news && clock::now() >= quiet_until {
            quiet_until = clock::now() + BETWEEN_LISTS;
            waiting = node.queue.waiting();
            node.tell(Event::Queued { waiting: waiting.clone() });
            continue;
        }
        let (io, way) = tokio::select! {
            caller = listener.accept() => caller,
            () = sleep_until(quiet_until.into()), if is_news => continue,
            () = changes.next() => continue,
            () = visits.closed() => return,
        };
        let source = Source::of(&way);
        let callers = if matches!(way, Way::Relay(_)) { &mut far } else { &mut near };
        let unverified = callers.admit(source);
        let (node, visits) = (Arc::clone(&node), visits.clone());
        tokio::spawn(async move {
            let visit = receive(&node, io, way, unverified).await;
            // Its pairings and keys say in which rooms it waits.
            if let Some(Ok(Visit::Paired(_) | Visit::Key(_))) = &visit {
                node.acquainted.notify_one();
            }
            if let Some(visit) = visit {
                // Nobody reads the results of a listener that is ending.
                let _ = visits.send(visit).await;
            }
        });
    }
}

/// Whether a device is paired with this one or has a share of one of its keys.
fn is_known(node: &Node, peer: &Fingerprint) -> bool {
    let paired = node.peers().is_ok_and(|peers| peers.known(peer).is_some());
    let records = keys::list(&node.home).unwrap_or_default();
    let told = deleted::shared_with(&node.home, peer).is_ok_and(|keys| !keys.is_empty());
    paired || told || records.iter().any(|key| key.parties.iter().any(|p| p.fingerprint == *peer))
}

/// One visit over standard input and output.
///
/// # Errors
/// The caller never greeted, or the ceremony failed.
pub async fn serve_stdio(node: &Arc<Node>) -> Result<Visit, Error> {
    // There is one caller, and nobody to make room for.
    let (_place, unverified) = oneshot::channel();
    match receive(node, stdio::own_stdio(), Way::Command, unverified).await {
        Some(visit) => visit,
        None => Err(Error::NoCaller),
    }
}

/// TLS and the greeting. A caller that only looks whether anybody is here, and one that is back, are
/// served here.
async fn greet(node: &Node, io: Box<dyn Io>, way: &Way) -> Option<(TlsLink, Label, Want)> {
    let mut link = timeout(HANDSHAKE, node.tls.accept(io, Expect::Anyone)).await.ok()?.ok()?;
    let Ok(Message::Hello { version, name, want }) =
        hear(&mut link, clock::now() + HANDSHAKE).await
    else {
        return None;
    };
    if version != wire::VERSION {
        decline(link, &name, Reason::Version).await;
        return None;
    }
    if want == Want::Ping {
        say(&mut link, &Message::Welcome { name: Label::new(&node.info.name) }).await.ok()?;
        let _ = timeout(Duration::from_secs(1), link.recv()).await;
        return None;
    }
    if let Want::Resume { session, received } = want {
        if let Some(link) = node.incoming.resume(link, &session.0, received, way.clone()) {
            decline(link, &name, Reason::Gone).await;
        }
        return None;
    }
    Some((link, name, want))
}

/// A caller, from its first byte to the end of what it came for. Until it has proved that it is known
/// here it has a place among the unverified, which resolves `unverified` when somebody else needs it.
async fn receive(
    node: &Arc<Node>,
    io: Box<dyn Io>,
    way: Way,
    mut unverified: oneshot::Receiver<()>,
) -> Option<Result<Visit, Error>> {
    let source = Source::of(&way);
    let (link, name, want) = tokio::select! {
        greeted = greet(node, io, &way) => greeted?,
        _ = &mut unverified => return None,
    };
    match want {
        Want::Pair => {
            let paired = pairing::respond(node, link, name, source, unverified).await?;
            Some(paired.map(Visit::Paired))
        }
        Want::Ceremony if is_known(node, &link.peer()) => {
            drop(unverified);
            receive_proposal(node, link, &name, &way).await
        }
        Want::Ceremony | Want::Ping | Want::Resume { .. } => {
            let fingerprint = link.peer();
            let stranger = Visitor { source, fingerprint, name: &name, wanted: "ceremony" };
            turned_away(node, &stranger, Reason::NotPaired);
            tokio::select! {
                refused = decline(link, &name, Reason::NotPaired) => drop(refused),
                _ = unverified => {}
            }
            None
        }
    }
}

/// A known device that came to make, refresh or use a key. Until its proposal is here it costs one of
/// the few connections that it may have, and nobody waits for it.
async fn receive_proposal(
    node: &Arc<Node>,
    mut link: TlsLink,
    name: &Label,
    way: &Way,
) -> Option<Result<Visit, Error>> {
    let peer = link.peer();
    if let Some(seconds) = node.fruitless.wait(&peer, clock::now()) {
        decline(link, name, Reason::Busy { seconds }).await;
        return None;
    }
    let Some(_connection) = node.connections.admit(peer) else {
        decline(link, name, BUSY).await;
        return None;
    };
    node.incoming.is_here(&peer);
    // What it says of itself answers this welcome.
    let asked = match node.ledger() {
        Ok(ledger) => ledger.heights(),
        Err(error) => {
            decline(link, name, Reason::Aborted).await;
            return Some(Err(error));
        }
    };
    say(&mut link, &Message::Welcome { name: Label::new(&node.info.name) }).await.ok()?;
    let mut link = resume::answer(node, node.name_of(&peer), link, way);
    let proposal = deletions::hear_proposal(node, &mut link, clock::now() + HANDSHAKE).await?;
    // What was agreed to before is finished without asking.
    if proposal.kind != Ceremony::Resume && node.approver.asks_a_person() {
        let (reason, first) = match node.approver.admit(&link.peer()) {
            Admission::Asked => return Some(counted(node, link, proposal, &asked).await),
            Admission::TurnedAway { seconds, first } => (Reason::Busy { seconds }, first),
            Admission::Muted { first } => (Reason::Declining, first),
        };
        turn_away(node, link, proposal.kind, reason, first).await;
        return None;
    }
    Some(counted(node, link, proposal, &asked).await)
}

/// As [`take_part`]. What came to nothing is held against the requester.
async fn counted(
    node: &Arc<Node>,
    link: ResumableLink,
    proposal: Proposal,
    asked: &Heights,
) -> Result<Visit, Error> {
    let requester = link.peer();
    let visit = take_part(node, link, proposal, asked).await;
    let came_to_something = match &visit {
        Ok(Visit::Key(made)) => made.changed,
        visit => visit.is_ok(),
    };
    if !came_to_something {
        node.fruitless.count(requester, clock::now());
    }
    visit
}

/// Turns away a device whose owner was just told no, or that is muted, and keeps a record of the first
/// time.
async fn turn_away(
    node: &Node,
    link: ResumableLink,
    ceremony: Ceremony,
    reason: Reason,
    first: bool,
) {
    let requester = link.peer();
    let name = node.name_of(&requester);
    if first {
        let muted = reason == Reason::Declining;
        node.tell(Note::TurnedAway { peer: name.clone(), ceremony, muted });
        node.log(Entry {
            time: clock::unix_now(),
            ceremony: ceremony.name().to_owned(),
            peer: requester.to_hex(),
            outcome: reason.word().to_owned(),
            ..Entry::default()
        });
    }
    decline(link, &name, reason).await;
}

/// What `proposal` is about; `asked` is what was known of its sender when it was asked.
async fn take_part(
    node: &Arc<Node>,
    link: ResumableLink,
    proposal: Proposal,
    asked: &Heights,
) -> Result<Visit, Error> {
    let requester = link.peer();
    let (request, terms) = match proposal.request(&requester, &node.info.fingerprint) {
        Ok(request) => request,
        Err(NoRequest) => {
            let error = decline(link, &node.name_of(&requester), Reason::Aborted).await;
            node.log(Entry {
                time: clock::unix_now(),
                ceremony: proposal.kind.name().to_owned(),
                peer: requester.to_hex(),
                outcome: error.kind().name().to_owned(),
                ..Entry::default()
            });
            return Err(error);
        }
    };
    match request.action {
        Action::Sign(_) => {
            let signed = sign::respond(node, link, request, terms, asked).await;
            signed.map(|outcome| Visit::Signed(Box::new(outcome)))
        }
        Action::Keygen | Action::Refresh(_) | Action::Resume(_) => {
            keygen::respond(node, link, request, terms).await.map(Visit::Key)
        }
    }
}
