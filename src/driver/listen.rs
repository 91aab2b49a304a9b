//! Accepts connections, answers the greeting, and hands each caller to the ceremony it asked for.

pub mod admission;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use crate::device::{Fingerprint, Label};
use crate::driver::ceremony::refuse::decline;
use crate::driver::ceremony::{deletions, keygen, pairing, sign};
use crate::driver::connect::dial::PORT;
use crate::driver::connect::hello::{HANDSHAKE, hang_up, hear, welcome};
use crate::driver::connect::rendezvous::Streams;
use crate::driver::connect::search::remember_name;
use crate::driver::connect::target::{Reached, Source, Way};
use crate::driver::connect::{rendezvous, resume};
use crate::driver::error::{Ability, Error};
use crate::driver::listen::admission::UnverifiedCallers;
use crate::driver::strangers::{Visitor, turned_away};
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::net::mdns::{Advert, AdvertInfo, Status};
use crate::net::relay::{RelayUrl, Room};
use crate::net::resumable::ResumableLink;
use crate::net::tls::{Expect, TlsLink};
use crate::net::{Acceptor, Io, Link, LinkError, stdio, tcp};
use crate::progress::{Event, StrangerRequest};
use crate::request::{Action, Ceremony};
use crate::vault::ledger::Heights;
use crate::vault::{Entry, deleted, keys};
use crate::wire::{self, About, BUSY, Message, NoRequest, Proposal, Reason, Versions, Want, Word};

/// Where to listen for connections.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The address; all of them if none is named.
    pub bind: Option<IpAddr>,
    /// The port. If none is named: 46737, or any free one if that is taken.
    pub port: Option<u16>,
    /// Standard input and output instead of the network.
    pub stdio: bool,
}

/// A visit that has ended.
#[derive(Debug)]
pub struct Visit {
    /// Whether it had begun: a session was spent for it, or a person saw its digits.
    pub begun: bool,
    /// Its result.
    pub result: Result<Done, Error>,
}

impl Visit {
    /// Whether this device took part, with or without success, or refused. A request that is
    /// refused before the owner is asked, or withdrawn before the session begins, does not count.
    pub fn is_answered(&self) -> bool {
        self.begun || self.result.as_ref().map_or_else(Error::is_from_here, Done::is_new)
    }
}

/// The result of what devices did together.
#[derive(Debug)]
pub enum Done {
    /// A device was paired.
    Paired(pairing::Pairing),
    /// A key was made, refreshed or finished.
    Key(keygen::Made),
    /// Something was signed.
    Signed(Box<sign::Outcome>),
}

impl Done {
    /// Whether this device has a result that it did not have before.
    fn is_new(&self) -> bool {
        match self {
            Self::Key(made) => made.changed,
            Self::Paired(_) | Self::Signed(_) => true,
        }
    }
}

/// The open ports and rooms of a device that can be reached.
#[derive(Debug)]
pub struct Listener {
    acceptor: Box<dyn Acceptor>,
    /// The port it listens on.
    pub port: u16,
    /// Connections through the relay, if one is used.
    relayed: Option<(RelayUrl, Mutex<Streams>)>,
    advert: Option<Mutex<Advert>>,
    takes: Takes,
}

/// The requests that are accepted. All others are answered `busy`.
#[derive(Clone, Debug)]
enum Takes {
    /// All, but for those to join a group.
    All,
    /// Pairings.
    Pairings,
    /// To join the group that this device gathers.
    Group(mpsc::Sender<Reached>),
    /// None; only broken links are resumed.
    Nothing,
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
        Ok(Self { acceptor: Box::new(tcp), port, relayed, advert, takes: Takes::All })
    }

    /// A listener on `acceptor` that announces nothing.
    pub fn over(acceptor: Box<dyn Acceptor>, port: u16) -> Self {
        Self { acceptor, port, relayed: None, advert: None, takes: Takes::All }
    }

    /// Accepts pairings only.
    pub fn only_to_pair(self) -> Self {
        Self { takes: Takes::Pairings, ..self }
    }

    /// Accepts devices that join a group only, and passes them on to `joiners` until that is closed.
    pub fn only_to_join(self, joiners: mpsc::Sender<Reached>) -> Self {
        Self { takes: Takes::Group(joiners), ..self }
    }

    /// Waits in this room of a relay instead of the rooms of known devices.
    pub fn in_room(self, node: &Arc<Node>, relay: &RelayUrl, room: Room) -> Self {
        let streams = Mutex::new(rendezvous::wait_in(node, relay, room));
        Self { relayed: Some((relay.clone(), streams)), ..self }
    }

    /// Serves callers in a task, until the returned [`Visits`] are dropped.
    pub fn serve(self, node: &Arc<Node>) -> Visits {
        let (sender, results) = mpsc::channel(RESULTS);
        let (is_last, ending) = watch::channel(false);
        tokio::spawn(serve(Arc::clone(node), self, sender, ending));
        Visits { results, is_last }
    }

    /// The next connection, and the way it comes. Cancel-safe.
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
            // The status is only a hint, so a failed announcement is ignored.
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
    bound.map_err(|source| Error::Port { ip: place.bind, port, source })
}

/// Shortest time between two lists of waiting requests. It keeps requests that come and go from
/// flooding the screen.
const BETWEEN_LISTS: Duration = Duration::from_millis(250);

/// How many results are buffered before visits wait to deliver theirs.
const RESULTS: usize = 64;

/// The visits to a listener, in the order in which they end. The listener ends when this is dropped.
#[derive(Debug)]
pub struct Visits {
    results: mpsc::Receiver<Visit>,
    is_last: watch::Sender<bool>,
}

impl Visits {
    /// The next visit that ends; `None` when all that were under way at [`Visits::last`] have
    /// ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Visit> {
        self.results.recv().await
    }

    /// A visit that has ended by now.
    pub fn try_recv(&mut self) -> Option<Visit> {
        self.results.try_recv().ok()
    }

    /// Stops accepting connections. Requests that the owner has not seen are answered `busy`.
    pub fn last(&self) {
        self.is_last.send_replace(true);
    }
}

/// Accepts connections. The result of each visit is sent to `visits`; this ends when the receiver
/// is dropped.
async fn serve(
    node: Arc<Node>,
    listener: Listener,
    visits: mpsc::Sender<Visit>,
    mut ending: watch::Receiver<bool>,
) {
    // The channel closes when the last visit drops its sender.
    let (mut takes, mut visits) = (listener.takes.clone(), Some(visits));
    // The LAN and the relay have separate limits, so callers of one cannot use up the places of the
    // other.
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
            ending = ending.changed() => match ending {
                Ok(()) => {
                    (takes, visits) = (Takes::Nothing, None);
                    // Unverified callers are disconnected; requests not yet on the screen get
                    // `busy`.
                    [near, far] = Default::default();
                    node.queue.close();
                    continue;
                }
                Err(_) => return,
            }
        };
        let source = Source::of(&way);
        let callers = if matches!(way, Way::Relay(_)) { &mut far } else { &mut near };
        let unverified = callers.admit(source);
        let (node, visits, takes) = (Arc::clone(&node), visits.clone(), takes.clone());
        tokio::spawn(async move {
            let visit = receive(&node, io, way, takes, unverified).await;
            // A new pairing or key changes the rooms at the relay, so they are recomputed.
            let result = visit.as_ref().map(|visit| &visit.result);
            if let Some(Ok(Done::Paired(_) | Done::Key(_))) = result {
                node.acquainted.notify_one();
            }
            if let Some((visit, visits)) = visit.zip(visits) {
                // The send fails only if the listener is being dropped.
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
pub async fn serve_stdio(node: &Arc<Node>) -> Result<Done, Error> {
    // Standard input is the only connection, so no place is needed.
    let (_place, unverified) = oneshot::channel();
    match receive(node, stdio::own_stdio(), Way::Command, Takes::All, unverified).await {
        Some(visit) => visit.result,
        None => Err(Error::NoCaller),
    }
}

/// TLS and the greeting. Discovery probes and resumed links are served here.
async fn greet(
    node: &Node,
    io: Box<dyn Io>,
    way: &Way,
) -> Option<(TlsLink, Label, Want, Option<About>)> {
    let mut link = timeout(HANDSHAKE, node.tls.accept(io, Expect::Anyone)).await.ok()?.ok()?;
    let (version, name, want, about) = match hear(&mut link, clock::now() + HANDSHAKE).await {
        Ok(Message::Hello { version, name, want, about }) => (version, name, want, about),
        Err(LinkError::NotUnderstood(_)) => {
            hang_up(link).await;
            return None;
        }
        _ => return None,
    };
    let speaks =
        about.as_ref().map_or(Versions { from: version, to: version }, |about| about.versions);
    if speaks.common(wire::VERSIONS).is_none() {
        decline(link, &name, Reason::Version).await;
        return None;
    }
    if let Want::Unknown(message) = want {
        decline(link, &name, Reason::NotUnderstood { message }).await;
        return None;
    }
    if want == Want::Ping {
        welcome(node, &mut link).await.ok()?;
        let _ = timeout(Duration::from_secs(1), link.recv()).await;
        return None;
    }
    if let Want::Resume { session, received } = want {
        if let Some(link) = node.incoming.resume(link, &session.0, received, way.clone()) {
            decline(link, &name, Reason::Gone).await;
        }
        return None;
    }
    Some((link, name, want, about))
}

/// Serves one connection from its first byte to its end. Until it is found to be of a known device,
/// or has opened its commitment in a pairing, it has a place among the unverified callers;
/// `unverified` resolves when that place is needed for another.
async fn receive(
    node: &Arc<Node>,
    io: Box<dyn Io>,
    way: Way,
    takes: Takes,
    mut unverified: oneshot::Receiver<()>,
) -> Option<Visit> {
    let source = Source::of(&way);
    let (link, name, want, about) = tokio::select! {
        greeted = greet(node, io, &way) => greeted?,
        _ = &mut unverified => return None,
    };
    match want {
        Want::Pair if matches!(takes, Takes::Nothing) => {
            decline(link, &name, BUSY).await;
            None
        }
        Want::Pair if matches!(takes, Takes::Group(_)) => {
            refuse_alone(node, link, &name, about.as_ref(), source).await;
            None
        }
        Want::Group => {
            let _visiting = node.visit();
            tokio::select! {
                () = welcome_to_group(node, link, name, about, (way, source), takes) => {}
                // One that waits for its place in a group is still a stranger.
                _ = unverified => {}
            }
            None
        }
        Want::Pair => {
            let _visiting = node.visit();
            let paired = pairing::respond(node, link, name, about, source, unverified).await?;
            Some(Visit { begun: true, result: paired.map(Done::Paired) })
        }
        Want::Ceremony if is_known(node, &link.peer()) => {
            remember_name(node, &link.peer(), &name);
            drop(unverified);
            let _visiting = node.visit();
            if !matches!(takes, Takes::All) {
                decline(link, &name, BUSY).await;
                return None;
            }
            receive_proposal(node, link, &name, &way).await
        }
        Want::Ceremony | Want::Ping | Want::Resume { .. } | Want::Unknown(_) => {
            let fingerprint = link.peer();
            let stranger =
                Visitor { source, fingerprint, name: &name, wanted: StrangerRequest::Ceremony };
            turned_away(node, &stranger, Reason::NotPaired);
            tokio::select! {
                refused = decline(link, &name, Reason::NotPaired) => drop(refused),
                _ = unverified => {}
            }
            None
        }
    }
}

/// Refuses to pair with one device alone, since this one gathers a group.
async fn refuse_alone(
    node: &Node,
    link: TlsLink,
    name: &Label,
    about: Option<&About>,
    source: Source,
) {
    let fingerprint = link.peer();
    let stranger = Visitor { source, fingerprint, name, wanted: StrangerRequest::Pair };
    if turned_away(node, &stranger, Reason::Gathering) && !about.is_some_and(About::joins) {
        node.tell(Note::Failed(Error::Unsupported {
            peer: name.clone(),
            program: about.map(|about| about.program.clone()),
            ability: Ability::Group,
        }));
    }
    decline(link, name, Reason::Gathering).await;
}

/// Lets a device join the group that this one gathers, if it does.
async fn welcome_to_group(
    node: &Node,
    mut link: TlsLink,
    name: Label,
    about: Option<About>,
    (way, source): (Way, Source),
    takes: Takes,
) {
    let refusal = match &takes {
        Takes::Group(_) if link.peer() == node.info.fingerprint => Some(Reason::Denied),
        Takes::Group(joiners) if joiners.is_closed() => Some(Reason::GroupClosed),
        Takes::Group(_) => None,
        Takes::All | Takes::Pairings | Takes::Nothing => Some(Reason::NoGroup),
    };
    if let Some(reason) = refusal {
        let fingerprint = link.peer();
        let stranger = Visitor { source, fingerprint, name: &name, wanted: StrangerRequest::Pair };
        turned_away(node, &stranger, reason);
        decline(link, &name, reason).await;
        return;
    }
    if let Takes::Group(joiners) = takes
        && welcome(node, &mut link).await.is_ok()
    {
        let joiner = Reached { link, name, way, about };
        if let Err(mpsc::error::SendError(Reached { link, name, .. })) = joiners.send(joiner).await
        {
            decline(link, &name, Reason::GroupClosed).await;
        }
    }
}

/// Serves a known device that wants to make, refresh or use a key. Until its proposal has arrived
/// it uses one of the peer's connections and no lock.
async fn receive_proposal(
    node: &Arc<Node>,
    mut link: TlsLink,
    name: &Label,
    way: &Way,
) -> Option<Visit> {
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
    // Read before the welcome, since the proposal is the answer to it.
    let asked = match node.ledger() {
        Ok(ledger) => ledger.heights(),
        Err(error) => {
            decline(link, name, Reason::Aborted).await;
            return Some(Visit { begun: false, result: Err(error) });
        }
    };
    welcome(node, &mut link).await.ok()?;
    let mut link = resume::answer(node, node.name_of(&peer), link, way);
    let Some(proposal) = deletions::hear_proposal(node, &mut link, clock::now() + HANDSHAKE).await
    else {
        hang_up(link).await;
        return None;
    };
    // A resume finishes what the owner approved before, so it is not held back.
    if proposal.kind != Ceremony::Resume
        && node.approver.asks_a_person()
        && let Some((reason, first)) = node.approver.admit(&peer).refusal()
    {
        turn_away(node, link, proposal.kind, reason, first).await;
        return None;
    }
    let visit = take_part(node, link, proposal, &asked).await;
    if !visit.result.as_ref().is_ok_and(Done::is_new) {
        node.fruitless.count(peer, clock::now());
    }
    Some(visit)
}

/// Refuses a device that is in its back-off or muted, and logs the first refusal.
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

/// Runs the ceremony of `proposal`; `asked` are the heights known before its sender answered.
async fn take_part(
    node: &Arc<Node>,
    link: ResumableLink,
    proposal: Proposal,
    asked: &Heights,
) -> Visit {
    let requester = link.peer();
    let (request, terms) = match proposal.request(&requester, &node.info.fingerprint) {
        Ok(request) => request,
        Err(NoRequest) => {
            // A function or format that is not known here may be of a later version.
            let reason = match proposal.source.read() {
                None => Reason::NotUnderstood { message: Word::new("propose") },
                Some(_) => Reason::Aborted,
            };
            let error = decline(link, &node.name_of(&requester), reason).await;
            node.log(Entry {
                time: clock::unix_now(),
                ceremony: proposal.kind.name().to_owned(),
                peer: requester.to_hex(),
                outcome: error.kind().name().to_owned(),
                ..Entry::default()
            });
            return Visit { begun: false, result: Err(error) };
        }
    };
    let mut begun = false;
    let result = match request.action {
        Action::Sign(_) => {
            let signed = sign::respond(node, link, request, terms, asked, &mut begun).await;
            signed.map(|outcome| Done::Signed(Box::new(outcome)))
        }
        Action::Keygen
        | Action::Import(_)
        | Action::Refresh(_)
        | Action::Reshare(_)
        | Action::Resume(_)
        | Action::Leave(_) => {
            keygen::respond(node, link, request, terms, &mut begun).await.map(Done::Key)
        }
    };
    Visit { begun, result }
}
