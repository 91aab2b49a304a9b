//! The other device's side of everything: waits, greets, and hands each caller to the ceremony
//! it came for.

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
use crate::driver::connect::hello::{HANDSHAKE, hear, welcome};
use crate::driver::connect::rendezvous::Streams;
use crate::driver::connect::search::remember_name;
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
use crate::wire::{self, BUSY, Message, NoRequest, Proposal, Reason, Versions, Want};

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

/// A visit that is over.
#[derive(Debug)]
pub struct Visit {
    /// Whether what it was for had begun: something was spent for it, or a person saw digits.
    pub begun: bool,
    /// What it came to.
    pub result: Result<Done, Error>,
}

impl Visit {
    /// Whether this device took part, whatever came of it, or refused. Who is turned away before anybody is asked,
    /// and who leaves before anything has begun, was not answered.
    pub fn is_answered(&self) -> bool {
        self.begun || self.result.as_ref().map_or_else(Error::is_from_here, Done::is_new)
    }
}

/// What devices did together.
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
    /// Whether this device has something that it did not have before.
    fn is_new(&self) -> bool {
        match self {
            Self::Key(made) => made.changed,
            Self::Paired(_) | Self::Signed(_) => true,
        }
    }
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
    takes: Takes,
}

/// What callers may come for. Whoever comes for something else hears `busy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Whatever there is.
    All,
    /// To pair.
    Pairings,
    /// To go on with what is under way over another connection.
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

    /// Takes what `acceptor` takes, and announces nothing.
    pub fn over(acceptor: Box<dyn Acceptor>, port: u16) -> Self {
        Self { acceptor, port, relayed: None, advert: None, takes: Takes::All }
    }

    /// The same for those only who come to pair.
    pub fn only_to_pair(self) -> Self {
        Self { takes: Takes::Pairings, ..self }
    }

    /// The same, waiting in one room of a relay instead of those of known devices.
    pub fn in_room(self, node: &Arc<Node>, relay: &RelayUrl, room: Room) -> Self {
        let streams = Mutex::new(rendezvous::wait_in(node, relay, room));
        Self { relayed: Some((relay.clone(), streams)), ..self }
    }

    /// Serves callers in a task of its own, for as long as the results are taken.
    pub fn serve(self, node: &Arc<Node>) -> Visits {
        let (sender, results) = mpsc::channel(RESULTS);
        let (is_last, ending) = watch::channel(false);
        tokio::spawn(serve(Arc::clone(node), self, sender, ending));
        Visits { results, is_last }
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
    bound.map_err(|source| Error::Port { ip: place.bind, port, source })
}

/// How long a list of waiting requests stands at least: who comes and goes does not flood the screen.
const BETWEEN_LISTS: Duration = Duration::from_millis(250);

/// How many results wait to be read before visits wait with theirs.
const RESULTS: usize = 64;

/// The visits to a listener, in the order in which they end. The listener ends when this is dropped.
#[derive(Debug)]
pub struct Visits {
    results: mpsc::Receiver<Visit>,
    is_last: watch::Sender<bool>,
}

impl Visits {
    /// The next visit that ends; `None` when those that were under way at [`Visits::last`] have ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Visit> {
        self.results.recv().await
    }

    /// A visit that has ended by now.
    pub fn try_recv(&mut self) -> Option<Visit> {
        self.results.try_recv().ok()
    }

    /// Takes no more callers, and asks about nothing that the owner has not seen.
    pub fn last(&self) {
        self.is_last.send_replace(true);
    }
}

/// Waits for callers. Each visit's result goes to `visits`; this ends when nobody reads them any more.
async fn serve(
    node: Arc<Node>,
    listener: Listener,
    visits: mpsc::Sender<Visit>,
    mut ending: watch::Receiver<bool>,
) {
    // The results are complete when nobody has a sender any more.
    let (mut takes, mut visits) = (listener.takes, Some(visits));
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
            ending = ending.changed() => match ending {
                Ok(()) => {
                    (takes, visits) = (Takes::Nothing, None);
                    // Who is unverified is put out, and who is not asked about yet is told to come again.
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
        let (node, visits) = (Arc::clone(&node), visits.clone());
        tokio::spawn(async move {
            let visit = receive(&node, io, way, takes, unverified).await;
            // Its pairings and keys say in which rooms it waits.
            let result = visit.as_ref().map(|visit| &visit.result);
            if let Some(Ok(Done::Paired(_) | Done::Key(_))) = result {
                node.acquainted.notify_one();
            }
            if let Some((visit, visits)) = visit.zip(visits) {
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
pub async fn serve_stdio(node: &Arc<Node>) -> Result<Done, Error> {
    // There is one caller, and nobody to make room for.
    let (_place, unverified) = oneshot::channel();
    match receive(node, stdio::own_stdio(), Way::Command, Takes::All, unverified).await {
        Some(visit) => visit.result,
        None => Err(Error::NoCaller),
    }
}

/// TLS and the greeting. A caller that only looks whether anybody is here, and one that is back, are
/// served here.
async fn greet(node: &Node, io: Box<dyn Io>, way: &Way) -> Option<(TlsLink, Label, Want)> {
    let mut link = timeout(HANDSHAKE, node.tls.accept(io, Expect::Anyone)).await.ok()?.ok()?;
    let Ok(Message::Hello { version, name, want, about }) =
        hear(&mut link, clock::now() + HANDSHAKE).await
    else {
        return None;
    };
    let speaks = about.map_or(Versions { from: version, to: version }, |about| about.versions);
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
    Some((link, name, want))
}

/// A caller, from its first byte to the end of what it came for. Until it has proved that it is known
/// here it has a place among the unverified, which resolves `unverified` when somebody else needs it.
async fn receive(
    node: &Arc<Node>,
    io: Box<dyn Io>,
    way: Way,
    takes: Takes,
    mut unverified: oneshot::Receiver<()>,
) -> Option<Visit> {
    let source = Source::of(&way);
    let (link, name, want) = tokio::select! {
        greeted = greet(node, io, &way) => greeted?,
        _ = &mut unverified => return None,
    };
    match want {
        Want::Pair if takes == Takes::Nothing => {
            decline(link, &name, BUSY).await;
            None
        }
        Want::Pair => {
            let _visiting = node.visit();
            let paired = pairing::respond(node, link, name, source, unverified).await?;
            Some(Visit { begun: true, result: paired.map(Done::Paired) })
        }
        Want::Ceremony if is_known(node, &link.peer()) => {
            remember_name(node, &link.peer(), &name);
            drop(unverified);
            let _visiting = node.visit();
            if takes != Takes::All {
                decline(link, &name, BUSY).await;
                return None;
            }
            receive_proposal(node, link, &name, &way).await
        }
        Want::Ceremony | Want::Ping | Want::Resume { .. } | Want::Unknown(_) => {
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
    // What it says of itself answers this welcome.
    let asked = match node.ledger() {
        Ok(ledger) => ledger.heights(),
        Err(error) => {
            decline(link, name, Reason::Aborted).await;
            return Some(Visit { begun: false, result: Err(error) });
        }
    };
    welcome(node, &mut link).await.ok()?;
    let mut link = resume::answer(node, node.name_of(&peer), link, way);
    let proposal = deletions::hear_proposal(node, &mut link, clock::now() + HANDSHAKE).await?;
    // What was agreed to before is finished without asking.
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
) -> Visit {
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
            return Visit { begun: false, result: Err(error) };
        }
    };
    let mut begun = false;
    let result = match request.action {
        Action::Sign(_) => {
            let signed = sign::respond(node, link, request, terms, asked, &mut begun).await;
            signed.map(|outcome| Done::Signed(Box::new(outcome)))
        }
        Action::Keygen | Action::Refresh(_) | Action::Resume(_) => {
            keygen::respond(node, link, request, terms, &mut begun).await.map(Done::Key)
        }
    };
    Visit { begun, result }
}
