//! One secure link to every other participant of a ceremony.
//!
//! The requester has a link to every invitee. Two invitees are linked by a tunnel through the requester: TLS
//! between the two runs inside frames that the requester forwards and cannot read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::device::{Fingerprint, Label};
use crate::driver::connect::hello::read;
use crate::driver::connect::resume::OVER_A_BREAK;
use crate::driver::error::{Awaited, Error};
use crate::driver::{Names, Node};
use crate::net::resumable::{LinkReceiver, LinkSender, ResumableLink};
use crate::net::tls::{Expect, Tls, TlsLink};
use crate::net::{self, Frame, Kind, Link, LinkError, Sender as _, tunnel};
use crate::party::PartyId;
use crate::secret::Secret;
use crate::wire::{Message, Reason};

/// Most messages that may arrive before all links are open. Each party sends at most one before it
/// needs this party's.
const EARLY: usize = 32;
/// Most bytes of those messages together.
const EARLY_BYTES: usize = 2 << 20;
/// Most messages that may arrive while this party sends: those of a whole batch from two others.
const AHEAD: usize = 2 * 256 + EARLY;
/// Most bytes of those messages together.
const AHEAD_BYTES: usize = 24 << 20;
/// How long a participant may take to take a message.
const SEND: Duration = Duration::from_secs(30);
/// How long to wait for sent messages to be written before this device computes.
const FLUSH: Duration = Duration::from_millis(20);
/// How long queueing the last message of a link may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long closing a link may take. A command of `--via` is killed afterwards.
const PARTING: Duration = Duration::from_secs(2);

/// Another participant.
#[derive(Debug)]
struct PeerLink {
    name: Label,
    sender: LinkSender,
    receiver: LinkReceiver,
    /// Whether the receiver has returned an error, after which nothing arrives.
    over: bool,
}

/// What arrived from a participant.
#[derive(Debug)]
pub enum Incoming {
    /// A message of the protocol.
    Protocol(Vec<u8>),
    /// A control message.
    Control(Message),
    /// The link has ended: nothing more arrives.
    Lost(LinkError),
}

/// A party, and a frame of it or the end of its link.
type Arrival = (PartyId, Result<Frame, LinkError>);

/// The links of one ceremony.
#[derive(Debug)]
pub struct PeerLinks {
    requester: PartyId,
    me: PartyId,
    links: BTreeMap<PartyId, PeerLink>,
    /// The party whose frame was taken last. The parties after it are polled first, so that none is starved.
    next: Option<PartyId>,
    tunnels: BTreeMap<PartyId, tunnel::Inlet>,
    early: VecDeque<(PartyId, Incoming)>,
    finished: BTreeSet<PartyId>,
    spoken: BTreeSet<PartyId>,
    /// The party whose owner interrupted it.
    left: Option<PartyId>,
}

impl PeerLinks {
    /// Without links, for the party `me`.
    pub fn new(me: PartyId, requester: PartyId) -> Self {
        Self {
            requester,
            me,
            links: BTreeMap::new(),
            next: None,
            tunnels: BTreeMap::new(),
            early: VecDeque::new(),
            finished: BTreeSet::new(),
            spoken: BTreeSet::new(),
            left: None,
        }
    }

    /// Adds `party`, at the other end of `link`.
    pub fn add(&mut self, node: &Node, party: PartyId, name: Label, link: ResumableLink) {
        let (sender, receiver) = link.split();
        node.remember_link(&sender);
        self.links.insert(party, PeerLink { name, sender, receiver, over: false });
    }

    /// The labels of the participants.
    pub fn names(&self) -> Names {
        self.links.iter().map(|(party, peer)| (*party, peer.name.clone())).collect()
    }

    fn name(&self, party: PartyId) -> Label {
        self.links.get(&party).map_or_else(|| party_label(party), |peer| peer.name.clone())
    }

    /// Opens a tunnel through the requester to each of `others` and waits until all stand. The
    /// party with the lower index is the TLS client.
    ///
    /// # Errors
    /// One of them did not appear before `deadline`, or is somebody else.
    pub async fn connect_others(
        &mut self,
        node: &Node,
        others: &BTreeMap<PartyId, (Label, Fingerprint)>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let Some(via) = self.links.get(&self.requester).map(|peer| peer.sender.downgrade()) else {
            return Ok(());
        };
        let (ready, mut opened) = mpsc::channel(others.len().max(1));
        for (party, (_, fingerprint)) in others {
            let (io, mut outlet, inlet) = tunnel::tunnel(vec![party.get()]);
            self.tunnels.insert(*party, inlet);
            let (party, via, ready) = (*party, via.clone(), ready.clone());
            tokio::spawn(async move {
                while let Some(bytes) = outlet.next().await {
                    if via.queue(Frame::new(Kind::Tunnel, bytes)).await.is_err() {
                        break;
                    }
                }
            });
            let tls = node.tls.clone().handshake_within(OVER_A_BREAK);
            let (expect, client) = (Expect::Pinned(*fingerprint), self.me < party);
            tokio::spawn(async move {
                let link = handshake(&tls, io, expect, client).await;
                let link = link.map(|link| ResumableLink::over(link.peer(), link));
                // Fails only if the ceremony has failed meanwhile.
                let _ = ready.send((party, link)).await;
            });
        }
        drop(ready);
        let mut missing: BTreeSet<PartyId> = others.keys().copied().collect();
        while let Some(first) = missing.first().copied() {
            let name = |party: PartyId| {
                others.get(&party).map(|other| other.0.clone()).unwrap_or_default()
            };
            tokio::select! {
                link = timeout_at(deadline.into(), opened.recv()) => match link {
                    Err(_) | Ok(None) => return Err(Error::timed_out(&name(first), Awaited::Tunnel)),
                    Ok(Some((party, Err(error)))) => return Err(Error::link(&name(party), error)),
                    Ok(Some((party, Ok(link)))) => {
                        missing.remove(&party);
                        let label = others.get(&party).map(|o| o.0.clone()).unwrap_or_default();
                        self.add(node, party, label, link);
                    }
                },
                arrived = arrival(&mut self.links, &mut self.next) => {
                    if let Some((party, incoming)) = self.sort(arrived).await {
                        match incoming {
                            Incoming::Lost(error) => return Err(Error::link(&self.name(party), error)),
                            Incoming::Control(Message::Refuse { reason }) => {
                                return Err(Error::refused(&self.name(party), reason));
                            }
                            _ if self.early.len() >= EARLY || self.early_bytes() > EARLY_BYTES => {
                                return Err(Error::nonsense(&self.name(party)));
                            }
                            incoming => self.early.push_back((party, incoming)),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes of the early messages.
    fn early_bytes(&self) -> usize {
        let length = |incoming: &Incoming| match incoming {
            Incoming::Protocol(bytes) => bytes.len(),
            Incoming::Control(_) | Incoming::Lost(_) => 0,
        };
        self.early.iter().map(|(_, incoming)| length(incoming)).sum()
    }

    /// The next message of a participant. Frames for others are forwarded meanwhile.
    pub async fn recv(&mut self) -> (PartyId, Incoming) {
        if let Some(early) = self.early.pop_front() {
            return early;
        }
        loop {
            let arrived = arrival(&mut self.links, &mut self.next).await;
            if let Some(incoming) = self.sort(arrived).await {
                return incoming;
            }
        }
    }

    /// As [`recv`](Self::recv), but `None` once `deadline` has passed, even if a message is
    /// waiting.
    pub async fn recv_before(&mut self, deadline: Instant) -> Option<(PartyId, Incoming)> {
        tokio::select! {
            biased;
            () = sleep_until(deadline.into()) => None,
            received = self.recv() => Some(received),
        }
    }

    async fn sort(&mut self, (from, frame): Arrival) -> Option<(PartyId, Incoming)> {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Some((from, Incoming::Lost(error))),
        };
        match frame.kind {
            Kind::Protocol => {
                self.spoken.insert(from);
                Some((from, Incoming::Protocol(frame.payload)))
            }
            Kind::Control => Some(match read(&frame) {
                Ok(Message::Finished) => {
                    self.finished.insert(from);
                    return Some((from, Incoming::Control(Message::Finished)));
                }
                Ok(message) => {
                    if message == (Message::Refuse { reason: Reason::Interrupted }) {
                        self.left.get_or_insert(from);
                    }
                    (from, Incoming::Control(message))
                }
                Err(error) => {
                    if let LinkError::NotUnderstood(message) = error {
                        let reason = Reason::NotUnderstood { message };
                        self.say(from, &Message::Refuse { reason }).await;
                    }
                    (from, Incoming::Lost(error))
                }
            }),
            Kind::Tunnel => {
                self.route(from, frame.payload).await;
                None
            }
            // A link never returns these kinds.
            Kind::Close | Kind::Receipt => Some((from, Incoming::Lost(LinkError::Closed))),
            // Payloads are received before these links exist.
            Kind::Payload => Some((from, Incoming::Lost(LinkError::Malformed("payload")))),
        }
    }

    /// Forwards a tunnel frame. A frame for an unknown party is dropped; its sender times out.
    async fn route(&mut self, from: PartyId, mut payload: Vec<u8>) {
        let Some(first) = payload.first_mut() else { return };
        let index = *first;
        if self.me == self.requester {
            *first = from.get();
            let other = self.links.iter().find(|(party, _)| party.get() == index);
            if let Some((other, peer)) = other
                && *other != from
            {
                let _ = peer.sender.queue(Frame::new(Kind::Tunnel, payload)).await;
            }
        } else if from == self.requester
            && let Some((_, inlet)) = self.tunnels.iter().find(|(party, _)| party.get() == index)
        {
            // A tunnel that overflows or is shut ends its TLS link, which reports that.
            let _ = inlet.feed(payload.get(1..).unwrap_or_default());
        }
    }

    /// Sends a protocol message. While the queue of its link is full, messages are received: the
    /// others may send as much at the same time.
    ///
    /// # Errors
    /// The link to `party` is down, or it does not read.
    pub async fn send(
        &mut self,
        party: PartyId,
        mut message: Secret<Vec<u8>>,
    ) -> Result<(), Error> {
        let Some(peer) = self.links.get(&party) else {
            return Err(Error::link(&self.name(party), LinkError::Lost));
        };
        let sender = peer.sender.downgrade();
        let frame = Frame::new(Kind::Protocol, mem::take(message.expose_mut()));
        let mut queued = pin!(sender.queue(frame));
        let sending = async {
            loop {
                let has_room = self.early.len() < AHEAD && self.early_bytes() < AHEAD_BYTES;
                tokio::select! {
                    biased;
                    sent = &mut queued => return sent,
                    arrived = arrival(&mut self.links, &mut self.next), if has_room => {
                        let arrived = self.sort(arrived).await;
                        self.early.extend(arrived);
                    }
                }
            }
        };
        match timeout(SEND, sending).await {
            Ok(sent) => sent.map_err(|e| Error::link(&self.name(party), e)),
            Err(_) => Err(Error::timed_out(&self.name(party), Awaited::Reading)),
        }
    }

    /// Waits until sent messages are written to the connections, for 20 ms at most. Called before
    /// computing, which holds up the tasks of the links, so that the others can compute meanwhile.
    pub async fn flush(&self) {
        let written = async {
            let (direct, tunnels): (Vec<_>, Vec<_>) = self
                .links
                .iter()
                .partition(|(party, _)| self.me == self.requester || **party == self.requester);
            join_all(tunnels.iter().map(|(_, peer)| peer.sender.flush())).await;
            // Lets the tasks of the tunnels pass on what was written to them.
            yield_now().await;
            join_all(direct.iter().map(|(_, peer)| peer.sender.flush())).await;
        };
        let _ = timeout(FLUSH, written).await;
    }

    /// Whether `party` has said that it is done.
    pub fn has_finished(&self, party: PartyId) -> bool {
        self.finished.contains(&party)
    }

    /// Whether a protocol message of `party` has arrived: it has begun the session.
    pub fn has_spoken(&self, party: PartyId) -> bool {
        self.spoken.contains(&party)
    }

    /// Ends a ceremony that this party has completed: everybody tells the requester, and when all
    /// have, the requester tells everybody.
    ///
    /// # Errors
    /// A participant did not say in time that it is done.
    pub async fn finish(mut self, deadline: Instant) -> Result<(), Error> {
        let requests = self.me == self.requester;
        if !requests {
            self.say(self.requester, &Message::Finished).await;
        }
        let awaited: Vec<PartyId> =
            if requests { self.links.keys().copied().collect() } else { vec![self.requester] };
        let mut outcome = Ok(());
        while let Some(slow) = awaited.iter().copied().find(|p| !self.has_finished(*p)) {
            match self.recv_before(deadline).await {
                None => {
                    outcome = Err(Error::timed_out(&self.name(slow), Awaited::Farewell));
                    break;
                }
                Some((party, Incoming::Lost(_))) if self.has_finished(party) => {}
                Some((party, Incoming::Lost(error))) if awaited.contains(&party) => {
                    outcome = Err(Error::link(&self.name(party), error));
                    break;
                }
                Some((party, Incoming::Control(Message::Refuse { reason }))) => {
                    // After the first protocol message `busy` would make the requester retry a
                    // spent session.
                    let reason = match reason {
                        Reason::Busy { .. } => Reason::Aborted,
                        reason => reason,
                    };
                    outcome = Err(Error::refused(&self.name(party), reason));
                    break;
                }
                Some(_) => {}
            }
        }
        if requests {
            let last = match &outcome {
                Ok(()) => Message::Finished,
                Err(_) => Message::Refuse { reason: Reason::Aborted },
            };
            for party in awaited {
                self.say(party, &last).await;
            }
        }
        self.close().await;
        outcome
    }

    /// Ends a ceremony that failed, and tells every party. The reason is passed on only if the
    /// owner of another device interrupted it.
    pub async fn abort(self) {
        let left = self.left;
        let reason = |party| match left {
            Some(who) if who != party => Reason::Left { party: who },
            _ => Reason::Aborted,
        };
        self.abort_with(reason).await;
    }

    /// As [`abort`](Self::abort), with a reason for each party.
    pub async fn abort_with(self, reason: impl Fn(PartyId) -> Reason) {
        for party in self.links.keys() {
            self.say(*party, &Message::Refuse { reason: reason(*party) }).await;
        }
        self.close().await;
    }

    async fn say(&self, party: PartyId, message: &Message) {
        if let Some(peer) = self.links.get(&party) {
            let frame = Frame::new(Kind::Control, message.to_bytes());
            // Fails if the link is down, which the party notices itself, or if the party does not
            // read.
            let _ = timeout(GOODBYE, peer.sender.queue(frame)).await;
        }
    }

    async fn close(self) {
        let mut closing = JoinSet::new();
        for PeerLink { mut sender, receiver, .. } in self.links.into_values() {
            closing.spawn(async move {
                let _ = timeout(PARTING, sender.close()).await;
                // Dropped last: a link without receiver ends at once, before its last frames are
                // sent.
                drop(receiver);
            });
        }
        while closing.join_next().await.is_some() {}
    }
}

/// The label of a party without a name here.
pub fn party_label(party: impl fmt::Display) -> Label {
    Label::new(&format!("party {party}"))
}

/// The label of `party` in `names`.
pub fn name_in(names: &Names, party: PartyId) -> Label {
    names.get(&party).cloned().unwrap_or_else(|| party_label(party))
}

/// The next frame on any link; links that have one take turns. Cancel-safe. Waits for ever if no
/// link is open.
async fn arrival(links: &mut BTreeMap<PartyId, PeerLink>, next: &mut Option<PartyId>) -> Arrival {
    poll_fn(|context| {
        let (before, after): (Vec<_>, Vec<_>) = links
            .iter_mut()
            .filter(|(_, link)| !link.over)
            .partition(|(party, _)| Some(**party) <= *next);
        for (party, link) in after.into_iter().chain(before) {
            if let Poll::Ready(frame) = link.receiver.poll_recv(context) {
                link.over = frame.is_err();
                *next = Some(*party);
                return Poll::Ready((*party, frame));
            }
        }
        Poll::Pending
    })
    .await
}

async fn handshake(
    tls: &Tls,
    io: Box<dyn net::Io>,
    expect: Expect,
    client: bool,
) -> Result<TlsLink, LinkError> {
    if client { tls.connect(io, expect).await } else { tls.accept(io, expect).await }
}
