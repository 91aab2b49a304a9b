//! One machine for every ceremony: it collects, checks, orders, bounds and times messages.
//!
//! A round processes its messages ([`Protocol::advance`]); whether they are the right ones is
//! decided here, in the order of docs/protocol.md §2.5. A message for a later round is stored until
//! its round begins, at most one for each sender, type and item, and only with exactly the length of
//! its type, so that a peer cannot fill the memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, mem};

use k256::Secp256k1;

use crate::crypto::curve::Curve;
use crate::party::PartyId;
use crate::protocol::event::{Ceremony, Event};
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{KeyShare, Leaving, Pending};
use crate::protocol::wire::{self, HEADER, Kind, Received, VERSION};
use crate::secret::Secret;

/// Instructions to the driver, in order.
pub enum Output<D, C: Curve = Secp256k1> {
    /// Send these bytes to this party.
    Send {
        /// The receiver.
        to: PartyId,
        /// The whole message.
        bytes: Secret<Vec<u8>>,
    },
    /// Store this durably before the next poll.
    Persist(Persist<C>),
    /// Report this to people.
    Event(Event),
    /// The ceremony ended with this result.
    Done(D),
    /// The ceremony ended without a result.
    Failed(Fault),
}

impl<D: fmt::Debug, C: Curve> fmt::Debug for Output<D, C> {
    /// Messages hold secrets of a pair, so only their length is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, bytes } => write!(f, "Send({} bytes to {to})", bytes.expose().len()),
            Self::Persist(persist) => persist.fmt(f),
            Self::Event(event) => event.fmt(f),
            Self::Done(done) => write!(f, "Done({done:?})"),
            Self::Failed(fault) => write!(f, "Failed({fault:?})"),
        }
    }
}

/// State that must be durable before the next poll.
#[derive(Debug)]
pub enum Persist<C: Curve = Secp256k1> {
    /// A new share, which stays pending until every party has confirmed.
    PendingShare(Box<Pending<C>>),
    /// This party leaves the key: its old share is destroyed when every party of the new one has
    /// confirmed, and stays until then.
    Leaving(Leaving<C>),
    /// A party has confirmed that it stored its share. It counts even if the round fails.
    Confirmed {
        /// The party, by its index in the new key, which in a reshare may be another than it had.
        peer: PartyId,
        /// The statement, for [`Confirmation::verify`](crate::protocol::key::Confirmation::verify)
        /// or [`Leaving::verify`].
        statement: [u8; 32],
    },
    /// The transfer checks with these parties begin (§5.4). They are evaluated in the next poll,
    /// and not before.
    ChecksBegin {
        /// The parties, in index order.
        peers: Vec<PartyId>,
        /// The session.
        session: [u8; 32],
    },
    /// The checks that began were evaluated, or never will be. It follows their consequences, and
    /// always comes unless the machine is dropped before. If it is lost, the checks count as
    /// unresolved.
    ChecksResolved,
    /// The pair with this party must never be used again under the share's epoch.
    Retired {
        /// The party.
        peer: PartyId,
        /// The check that failed.
        check: Check,
        /// The session in which it failed.
        session: [u8; 32],
    },
}

/// Messages, each with its receiver.
pub type Messages = Vec<(PartyId, Secret<Vec<u8>>)>;

/// A ceremony for the machine: a value that is its present round.
pub trait Protocol: Sized {
    /// The result of the ceremony.
    type Done: fmt::Debug;

    /// The curve of the key.
    type Curve: Curve;

    /// The session id in the messages of the present round.
    fn session(&self) -> &[u8; 32];

    /// Whether the end of the present round depends on a secret that outlives the session (§5.4).
    /// Then the begin of the checks is made durable first.
    fn checks_transfers(&self) -> bool {
        false
    }

    /// State to be stored as soon as a message of the present round has arrived.
    fn arrived(&self, _message: &Received<'_>) -> Option<Persist<Self::Curve>> {
        None
    }

    /// Whether messages of the present round are still to be made by [`more`](Self::more).
    fn has_more(&self) -> bool {
        false
    }

    /// Makes the next messages of the present round. The machine asks for them only after everything
    /// else was polled, so that a driver that waits before it polls holds few of them.
    fn more(&mut self) -> Result<Messages, Fault> {
        Ok(Vec::new())
    }

    /// Consumes the round with all of its messages, once its own are made.
    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault>;
}

/// The result of a finished round.
pub struct Step<P: Protocol> {
    /// To be stored before the messages are sent.
    pub persist: Vec<Persist<P::Curve>>,
    /// The messages of the next round.
    pub messages: Messages,
    /// What follows.
    pub next: Next<P>,
}

impl<P: Protocol> fmt::Debug for Step<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("persist", &self.persist)
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

/// What follows a finished round.
#[derive(Debug)]
pub enum Next<P: Protocol> {
    /// The next round.
    Round(P),
    /// The end, with its result.
    Done(P::Done),
}

impl<P: Protocol> Step<P> {
    /// Goes on to `round`, whose messages are `messages`.
    pub(crate) fn round(round: P, messages: Messages) -> Self {
        Self { persist: Vec::new(), messages, next: Next::Round(round) }
    }

    /// Ends with a result.
    pub(crate) fn done(done: P::Done) -> Self {
        Self { persist: Vec::new(), messages: Vec::new(), next: Next::Done(done) }
    }

    /// The same step of a protocol around this one.
    pub(crate) fn map<Q: Protocol<Curve = P::Curve>>(
        self,
        round: impl FnOnce(P) -> Q,
        done: impl FnOnce(P::Done) -> Q::Done,
    ) -> Step<Q> {
        let next = match self.next {
            Next::Round(next) => Next::Round(round(next)),
            Next::Done(result) => Next::Done(done(result)),
        };
        Step { persist: self.persist, messages: self.messages, next }
    }

    /// The same step, with state to be stored first.
    pub(crate) fn after(self, persist: Vec<Persist<P::Curve>>) -> Self {
        Self { persist, ..self }
    }
}

/// A message type that peers send exactly once, or once for each item. Of a peer that does not send
/// it, it is misrouted.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    /// Length of the body.
    pub(crate) body: usize,
    /// Whether the receiver in the frame is 0 instead of this party.
    pub(crate) broadcast: bool,
    /// How often each peer sends it. If it is more than once, bodies begin with `BE16` of a number
    /// below this one, each of which comes once.
    pub(crate) count: u16,
    /// The peers that send it; all of them if it is `None`.
    pub(crate) from: Option<Vec<PartyId>>,
}

impl Expected {
    /// A type that each peer sends once.
    pub(crate) fn one(kind: Kind, body: usize, broadcast: bool) -> Self {
        Self { kind, body, broadcast, count: 1, from: None }
    }

    /// The same from these peers alone.
    pub(crate) fn from(self, peers: Vec<PartyId>) -> Self {
        Self { from: Some(peers), ..self }
    }

    fn is_sent_by(&self, peer: PartyId) -> bool {
        self.from.as_ref().is_none_or(|peers| peers.contains(&peer))
    }

    /// The number of a message of this type; `None` if it does not belong to this ceremony.
    fn number(&self, bytes: &[u8]) -> Option<u16> {
        let body = bytes.get(HEADER..).filter(|body| body.len() == self.body)?;
        if self.count == 1 {
            return Some(0);
        }
        let number = u16::from_be_bytes(*body.first_chunk()?);
        (number < self.count).then_some(number)
    }
}

/// A message: its type, its sender, its number among the sender's messages of this type.
type Key = (Kind, PartyId, u16);

/// The facts of a ceremony that a machine needs before the first message.
pub(crate) struct Plan<C: Curve> {
    pub(crate) ceremony: Ceremony,
    pub(crate) me: PartyId,
    /// Ascending, without this party.
    pub(crate) peers: Vec<PartyId>,
    /// The id of the ceremony in logs, which is known before the first message.
    pub(crate) session: [u8; 32],
    pub(crate) expected: Vec<Expected>,
    /// The share in use: nothing is sent after its pair with a peer was retired.
    pub(crate) share: Option<Arc<KeyShare<C>>>,
}

/// The machine of one party in one ceremony.
///
/// ```text
///             start, handle, tick            poll
///   driver ───────────────────────▶ machine ──────▶ Send | Persist | Event | Done | Failed
/// ```
///
/// The driver polls [`Machine::poll`] after every call until it returns `None` and acts on the
/// outputs in their order, calls [`Machine::tick`] at the time of [`Machine::wake_at`], and passes
/// messages on as [`Machine::handle`] says. After `Done` or `Failed` there is no further output,
/// and the secrets are wiped. What was sent is wiped when the driver drops its [`Output::Send`].
pub struct Machine<P: Protocol> {
    plan: Plan<P::Curve>,
    stage: Stage<P>,
    inbox: BTreeMap<Key, Secret<Vec<u8>>>,
    outputs: VecDeque<Output<P::Done, P::Curve>>,
    round_timeout: Duration,
    /// Whether the present round began in a poll, which knows no time: it counts from the next tick.
    is_undated: bool,
}

enum Stage<P: Protocol> {
    Ready(Step<P>),
    Running {
        protocol: P,
        round: u8,
        since: Instant,
        /// The last time at which a message arrived, or else the begin.
        at: Instant,
    },
    /// All messages have arrived at `at`, and [`Persist::ChecksBegin`] was output.
    Checking {
        protocol: P,
        round: u8,
        since: Instant,
        at: Instant,
    },
    Over,
}

impl<P: Protocol> Machine<P> {
    pub(crate) fn new(plan: Plan<P::Curve>, first: Step<P>, round_timeout: Duration) -> Self {
        Self {
            plan,
            stage: Stage::Ready(first),
            inbox: BTreeMap::new(),
            outputs: VecDeque::new(),
            round_timeout,
            is_undated: false,
        }
    }

    /// The ceremony.
    pub fn ceremony(&self) -> Ceremony {
        self.plan.ceremony
    }

    /// This party.
    pub fn me(&self) -> PartyId {
        self.plan.me
    }

    /// The other parties, in index order.
    pub fn peers(&self) -> &[PartyId] {
        &self.plan.peers
    }

    /// The id of the ceremony: equal on all parties with equal inputs.
    pub fn session_id(&self) -> &[u8; 32] {
        &self.plan.session
    }

    /// Begins. Messages that arrive before are stored.
    pub fn start(&mut self, now: Instant) {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ready(first) => {
                self.enter(first, 1, now);
                self.proceed();
            }
            other => self.stage = other,
        }
    }

    /// Takes a message that the channel authenticated as coming from `from`.
    ///
    /// The machine cannot check that: a wrong message is a fault of `from`, and a failed transfer
    /// check retires its pair. So a message that the channel did not authenticate must not be
    /// passed on.
    ///
    /// ```
    /// # use std::{fs, sync::Arc, time::{Duration, Instant}};
    /// # use cosign_core::{Check, KeyShare, Output, PartyId, Secret, SignSetup, k256::Scalar, sign};
    /// # let share: KeyShare = KeyShare::from_bytes(&fs::read("tests/support/shares/party-1")?)?;
    /// # let setup = SignSetup {
    /// #     signers: PartyId::all(2).collect(),
    /// #     sign_id: [7; 32],
    /// #     digest: [1; 32],
    /// #     tweak: Scalar::ZERO,
    /// #     recipient: None,
    /// # };
    /// # let (random, timeout) = (Secret::new([3; 32]), Duration::from_secs(30));
    /// let mut machine = sign(Arc::new(share), setup, &random, timeout)?;
    /// machine.start(Instant::now());
    /// let bob = PartyId::new(2).ok_or("no party")?;
    /// machine.handle(Instant::now(), bob, b"not of this protocol");
    /// let failed = std::iter::from_fn(|| machine.poll()).find_map(|output| match output {
    ///     Output::Failed(fault) => Some(fault),
    ///     _ => None,
    /// });
    /// let fault = failed.ok_or("it went on")?;
    /// assert_eq!((fault.check, fault.culprit), (Check::Malformed, Some(bob)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&mut self, now: Instant, from: PartyId, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        match self.accept(from, bytes) {
            Ok(key) => {
                if let Stage::Running { at, .. } = &mut self.stage {
                    *at = now;
                }
                if key.0.round() == self.round() {
                    self.persist_arrived(key);
                    self.tell_received(from);
                }
                self.proceed();
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Fails with the first missing party if the round has taken too long at `now`.
    pub fn tick(&mut self, now: Instant) {
        if self.wake_at().is_none_or(|deadline| now < deadline) {
            return;
        }
        if mem::take(&mut self.is_undated) {
            if let Stage::Running { since, .. } | Stage::Checking { since, .. } = &mut self.stage {
                *since = now;
            }
            return;
        }
        // By type, and then by party.
        let first = self.missing().min();
        if let Some((kind, from, _)) = first {
            self.tell_waiting(self.round(), self.awaiting());
            self.fail(Fault::by(from, Check::Missing, kind.name()));
        } else if matches!(&self.stage, Stage::Running { protocol, .. } if protocol.has_more()) {
            // This party's own messages did not leave in time.
            self.fail(Fault::nobody(Check::Missing, self.present()));
        }
    }

    /// The next output, if there is one. To be called after every other call, until it returns
    /// `None`.
    ///
    /// What a batch sends is made in here, one message at a time. A driver that cannot send now waits
    /// before it calls again, and takes messages meanwhile.
    ///
    /// State to be stored must be durable before the next call: then a retired pair stays retired
    /// and a confirmed share exists even after a power failure. Checks that have begun are
    /// evaluated in here, so outputs must not be collected first and processed later.
    ///
    /// ```
    /// use cosign_core::k256::Secp256k1;
    /// use cosign_core::{Event, Fault, Machine, Output, PartyId, Persist, Protocol, Secret};
    ///
    /// trait Surroundings {
    ///     /// Returns when it is on the disk: written, renamed into place, both synced.
    ///     fn store(&mut self, persist: Persist) -> std::io::Result<()>;
    ///     /// Over the channel of that party alone.
    ///     fn send(&mut self, to: PartyId, message: Secret<Vec<u8>>);
    ///     fn tell(&mut self, event: Event);
    /// }
    ///
    /// /// Acts on what the machine says; what it led to, once it is over.
    /// fn act<P: Protocol<Curve = Secp256k1>>(
    ///     machine: &mut Machine<P>,
    ///     surroundings: &mut impl Surroundings,
    /// ) -> std::io::Result<Option<Result<P::Done, Fault>>> {
    ///     while let Some(output) = machine.poll() {
    ///         match output {
    ///             // If this fails, nothing that follows may happen: the machine is dropped.
    ///             Output::Persist(persist) => surroundings.store(persist)?,
    ///             Output::Send { to, bytes } => surroundings.send(to, bytes),
    ///             Output::Event(event) => surroundings.tell(event),
    ///             Output::Done(done) => return Ok(Some(Ok(done))),
    ///             Output::Failed(fault) => return Ok(Some(Err(fault))),
    ///         }
    ///     }
    ///     Ok(None)
    /// }
    /// # use std::time::{Duration, Instant};
    /// # use cosign_core::{KeygenSetup, keygen};
    /// # #[derive(Default)]
    /// # struct Trace(Vec<&'static str>, Vec<(PartyId, Secret<Vec<u8>>)>);
    /// # impl Surroundings for Trace {
    /// #     fn store(&mut self, persist: Persist) -> std::io::Result<()> {
    /// #         self.0.push(if matches!(persist, Persist::PendingShare(_)) { "share" } else { "confirmed" });
    /// #         Ok(())
    /// #     }
    /// #     fn send(&mut self, to: PartyId, message: Secret<Vec<u8>>) {
    /// #         self.0.push("send");
    /// #         self.1.push((to, message));
    /// #     }
    /// #     fn tell(&mut self, _: Event) {}
    /// # }
    /// # let now = Instant::now();
    /// # let mut parties: Vec<_> = PartyId::all(2).map(|me| {
    /// #     let identities = vec![b"alice".to_vec(), b"bob".to_vec()];
    /// #     let setup = KeygenSetup { instance: [5; 32], threshold: 2, me, identities };
    /// #     let machine = keygen::<Secp256k1>(setup, &Secret::new([me.get(); 32]), &[], Duration::from_secs(30));
    /// #     (machine.expect("sound"), Trace::default())
    /// # }).collect();
    /// # parties.iter_mut().for_each(|(machine, _)| machine.start(now));
    /// # while parties.iter().any(|(machine, _)| !machine.is_over()) {
    /// #     for at in [0, 1] {
    /// #         let (machine, trace) = &mut parties[at];
    /// #         act(machine, trace)?;
    /// #         let (from, sent) = (machine.me(), std::mem::take(&mut trace.1));
    /// #         let other = &mut parties[1 - at].0;
    /// #         sent.iter().for_each(|(_, message)| other.handle(now, from, message.expose()));
    /// #     }
    /// # }
    /// # for (machine, trace) in &mut parties {
    /// #     act(machine, trace)?;
    /// #     let stored = trace.0.iter().position(|what| *what == "share").expect("stored");
    /// #     let last = trace.0.iter().rposition(|what| *what == "send").expect("sent");
    /// #     assert!(stored < last, "confirmed before it was stored: {:?}", trace.0);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn poll(&mut self) -> Option<Output<P::Done, P::Curve>> {
        if self.outputs.is_empty() {
            self.check();
        }
        if self.outputs.is_empty() {
            self.make_more();
        }
        if let Some(Output::Send { bytes, .. }) = self.outputs.front()
            && let Some(fault) = self.retired(bytes.expose())
        {
            self.fail(fault);
        }
        self.outputs.pop_front()
    }

    /// When to call [`Machine::tick`]; `None` before the start and after the end.
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Running { since, .. } if self.is_undated => Some(*since),
            Stage::Running { since, .. } | Stage::Checking { since, .. } => {
                since.checked_add(self.round_timeout)
            }
            Stage::Ready(_) | Stage::Over => None,
        }
    }

    /// The parties that have not sent all messages of the present round, in index order.
    pub fn awaiting(&self) -> Vec<PartyId> {
        let peers = self.plan.peers.iter().copied();
        peers.filter(|peer| self.missing().any(|(_, from, _)| from == *peer)).collect()
    }

    /// Whether `Done` or `Failed` was output or waits to be polled.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// §2.5: all structural checks, before any cryptography.
    fn accept(&mut self, from: PartyId, bytes: &[u8]) -> Result<Key, Fault> {
        let kind = bytes.get(1).and_then(|tag| Kind::from_tag(*tag));
        let of_kind = || self.plan.expected.iter().filter(|e| Some(e.kind) == kind);
        let expected = of_kind().find(|e| e.is_sent_by(from));
        let at = of_kind().next().map_or(self.present(), |e| e.kind.name());
        let fault = |check| Fault::by(from, check, at);
        if !self.plan.peers.contains(&from) {
            return Err(fault(Check::UnexpectedSender));
        }
        let length = bytes.len().checked_sub(HEADER);
        let length_fits = length.is_some_and(|length| {
            // A batch of another size is another session, and not malformed.
            let elsewhere = |kind: Kind| kind.has_length(length);
            match expected {
                Some(e) => length == e.body || e.kind.is_of_batch() && elsewhere(e.kind),
                None => {
                    self.plan.expected.iter().any(|e| length == e.body)
                        || kind.is_some_and(elsewhere)
                }
            }
        });
        if !length_fits {
            return Err(fault(Check::Malformed));
        }
        if bytes.first() != Some(&VERSION) {
            return Err(fault(Check::Version));
        }
        let expected = expected.ok_or(fault(Check::Routing))?;
        let receiver = if expected.broadcast { 0 } else { self.plan.me.get() };
        if bytes.get(2..4) != Some(&[from.get(), receiver]) {
            return Err(fault(Check::Routing));
        }
        let kind = expected.kind;
        let Some(number) = expected.number(bytes) else {
            // A batch has one session, and it is known from the beginning.
            let ours = wire::session(bytes) == Some(&self.plan.session[..]);
            return Err(fault(if ours { Check::Malformed } else { Check::Session }));
        };
        let key = (kind, from, number);
        if kind.round() < self.round() || self.inbox.contains_key(&key) {
            return Err(fault(Check::Duplicate));
        }
        if kind.round() == self.round() {
            self.check_session(from, kind, bytes)?;
        }
        self.inbox.insert(key, Secret::new(bytes.to_vec()));
        Ok(key)
    }

    fn check_session(&self, from: PartyId, kind: Kind, bytes: &[u8]) -> Result<(), Fault> {
        match &self.stage {
            Stage::Running { protocol, .. } | Stage::Checking { protocol, .. }
                if wire::session(bytes) != Some(&protocol.session()[..]) =>
            {
                Err(Fault::by(from, Check::Session, kind.name()))
            }
            _ => Ok(()),
        }
    }

    /// Finishes rounds while all their messages are here, up to one whose checks must be announced
    /// first, or whose own messages are not all made.
    fn proceed(&mut self) {
        while self.round() > 0 && self.missing().next().is_none() {
            match mem::replace(&mut self.stage, Stage::Over) {
                Stage::Running { protocol, round, since, at } if protocol.checks_transfers() => {
                    let (peers, session) = (self.plan.peers.clone(), self.plan.session);
                    let begin = Persist::ChecksBegin { peers, session };
                    self.outputs.push_back(Output::Persist(begin));
                    self.stage = Stage::Checking { protocol, round, since, at };
                    return;
                }
                Stage::Running { protocol, round, since, at } if !protocol.has_more() => {
                    match protocol.advance(&self.gather(round)) {
                        Ok(step) => self.next(step, round, since, at),
                        Err(fault) => self.fail(fault),
                    }
                }
                other => {
                    self.stage = other;
                    return;
                }
            }
        }
    }

    /// Evaluates checks that were announced: the driver has polled again, so the announcement is
    /// durable.
    fn check(&mut self) {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Checking { protocol, round, since, at } => {
                match protocol.advance(&self.gather(round)) {
                    Ok(step) => {
                        self.outputs.push_back(Output::Persist(Persist::ChecksResolved));
                        self.next(step, round, since, at);
                        self.proceed();
                    }
                    Err(fault) => self.end(fault, true),
                }
            }
            other => self.stage = other,
        }
    }

    /// Makes the next messages of a round that makes them one by one: the driver has polled again, so
    /// it has sent those before.
    fn make_more(&mut self) {
        let Stage::Running { protocol, .. } = &mut self.stage else { return };
        if !protocol.has_more() {
            return;
        }
        match protocol.more() {
            Ok(messages) => {
                self.outputs.extend(sends(messages));
                let round = self.round();
                self.proceed();
                self.is_undated = self.round() > round;
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Goes on from `round`, which is finished.
    fn next(&mut self, step: Step<P>, round: u8, since: Instant, now: Instant) {
        self.tell_done(round, now.saturating_duration_since(since));
        self.enter(step, round.saturating_add(1), now);
    }

    fn enter(&mut self, step: Step<P>, round: u8, now: Instant) {
        self.outputs.extend(step.persist.into_iter().map(Output::Persist));
        let protocol = match step.next {
            Next::Done(done) => return self.outputs.push_back(Output::Done(done)),
            Next::Round(protocol) => protocol,
        };
        self.tell_begun(round);
        self.outputs.extend(sends(step.messages));
        self.stage = Stage::Running { protocol, round, since: now, at: now };
        match self.check_early_sessions(round) {
            Ok(()) => {
                let early = self.inbox.keys().filter(|(kind, ..)| kind.round() == round);
                let early: Vec<_> = early.copied().collect();
                early.into_iter().for_each(|key| self.persist_arrived(key));
                self.tell_early(round);
            }
            Err(fault) => self.fail(fault),
        }
    }

    fn persist_arrived(&mut self, key: Key) {
        let (kind, from, _) = key;
        if let Stage::Running { protocol, .. } = &self.stage
            && let Some(bytes) = self.inbox.get(&key)
        {
            let left = protocol.arrived(&Received { from, kind, bytes: bytes.expose() });
            self.outputs.extend(left.map(Output::Persist));
        }
    }

    /// Checks the session of messages that arrived before their round, since it is known only now.
    fn check_early_sessions(&self, round: u8) -> Result<(), Fault> {
        let mut early = self.inbox.iter().filter(|((kind, ..), _)| kind.round() == round);
        early.try_for_each(|((kind, from, _), bytes)| {
            self.check_session(*from, *kind, bytes.expose())
        })
    }

    /// Takes the messages of a round out of the inbox.
    fn gather(&mut self, round: u8) -> Gathered {
        let (present, later) = mem::take(&mut self.inbox)
            .into_iter()
            .partition(|((kind, ..), _)| kind.round() == round);
        self.inbox = later;
        Gathered(present)
    }

    /// The messages of the present round that are missing, in the order of the plan.
    fn missing(&self) -> impl Iterator<Item = Key> {
        let present = self.plan.expected.iter().filter(|e| e.kind.round() == self.round());
        present
            .flat_map(|e| self.plan.peers.iter().map(move |peer| (e, *peer)))
            .filter(|(e, peer)| e.is_sent_by(*peer))
            .flat_map(|(e, peer)| (0..e.count).map(move |number| (e.kind, peer, number)))
            .filter(|key| !self.inbox.contains_key(key))
    }

    /// The present round, from 1; 0 before the start.
    fn round(&self) -> u8 {
        match self.stage {
            Stage::Running { round, .. } | Stage::Checking { round, .. } => round,
            Stage::Ready(_) | Stage::Over => 0,
        }
    }

    /// The first message type of the present round.
    fn present(&self) -> &'static str {
        let round = self.round().max(1);
        self.plan
            .expected
            .iter()
            .find(|e| e.kind.round() == round)
            .map_or("setup", |e| e.kind.name())
    }

    /// The fault if a pair in use was retired, by this or another ceremony, before `message` was
    /// sent.
    fn retired(&self, message: &[u8]) -> Option<Fault> {
        let share = self.plan.share.as_ref()?;
        let peer = self.plan.peers.iter().find(|peer| share.retired(**peer).is_some())?;
        let kind = message.get(1).and_then(|tag| Kind::from_tag(*tag));
        Some(Fault::by(*peer, Check::PairRetired, kind.map_or("setup", Kind::name)))
    }

    /// Ends without a result. Unsent messages are dropped; state to be stored is still output.
    fn fail(&mut self, fault: Fault) {
        let is_checking = matches!(self.stage, Stage::Checking { .. });
        self.end(fault, is_checking);
    }

    /// As [`fail`](Self::fail); `is_checking` if checks were announced and not resolved.
    fn end(&mut self, fault: Fault, is_checking: bool) {
        self.stage = Stage::Over;
        self.inbox.clear();
        self.outputs.retain(|o| matches!(o, Output::Persist(_) | Output::Event(_)));
        if let (true, Some(peer)) = (fault.bans(), fault.culprit) {
            let (check, session) = (fault.check, self.plan.session);
            self.outputs.push_back(Output::Persist(Persist::Retired { peer, check, session }));
        }
        if is_checking {
            self.outputs.push_back(Output::Persist(Persist::ChecksResolved));
        }
        self.outputs.push_back(Output::Failed(fault));
    }

    /// Reports that a party has sent all messages of this round, if it has.
    fn tell_received(&mut self, from: PartyId) {
        let (round, waiting) = (self.round(), self.awaiting());
        if !waiting.contains(&from) {
            self.tell(Event::Received { round, from });
            self.tell_waiting(round, waiting);
        }
    }

    /// Reports which parties were ahead of this round, and which are awaited.
    fn tell_early(&mut self, round: u8) {
        let waiting = self.awaiting();
        let early = self.inbox.keys().filter(|(kind, ..)| kind.round() == round);
        let early: BTreeSet<PartyId> = early.map(|(_, from, _)| *from).collect();
        for from in early.into_iter().filter(|from| !waiting.contains(from)) {
            self.tell(Event::Received { round, from });
        }
        self.tell_waiting(round, waiting);
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn tell_waiting(&mut self, round: u8, for_: Vec<PartyId>) {
        if !for_.is_empty() {
            self.tell(Event::Waiting { round, for_ });
        }
    }

    fn tell_begun(&mut self, round: u8) {
        let (ceremony, of, name) = self.names(round);
        self.tell(Event::Round { ceremony, round, of, name });
    }

    fn tell_done(&mut self, round: u8, elapsed: Duration) {
        let (ceremony, of, name) = self.names(round);
        self.tell(Event::RoundDone { ceremony, round, of, name, elapsed });
    }

    fn names(&self, round: u8) -> (Ceremony, u8, &'static str) {
        let ceremony = self.plan.ceremony;
        let names = ceremony.rounds();
        let name = names.get(usize::from(round).wrapping_sub(1)).copied().unwrap_or_default();
        (ceremony, names.len() as u8, name)
    }
}

impl<P: Protocol> fmt::Debug for Machine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("ceremony", &self.plan.ceremony)
            .field("me", &self.plan.me)
            .field("round", &self.round())
            .finish_non_exhaustive()
    }
}

fn sends<D, C: Curve>(messages: Messages) -> impl Iterator<Item = Output<D, C>> {
    messages.into_iter().map(|(to, bytes)| Output::Send { to, bytes })
}

/// All messages of one round: from each peer as many of each type as are expected.
#[derive(Debug)]
pub struct Gathered(BTreeMap<Key, Secret<Vec<u8>>>);

impl Gathered {
    /// The messages of one type, in the order of indices, and those of one peer in that of their
    /// numbers.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = Received<'_>> {
        self.0.iter().filter(move |((k, ..), _)| *k == kind).map(received)
    }

    /// The messages of one type from one peer, by number.
    pub(crate) fn from(&self, kind: Kind, peer: PartyId) -> impl Iterator<Item = Received<'_>> {
        self.0.range((kind, peer, 0)..=(kind, peer, u16::MAX)).map(received)
    }

    /// The messages of one type of all parties, including this one's own, in index order.
    pub(crate) fn with_own<'a>(
        &'a self,
        kind: Kind,
        from: PartyId,
        bytes: &'a [u8],
    ) -> Vec<Received<'a>> {
        let mut all: Vec<_> = self.of(kind).collect();
        all.push(Received { from, kind, bytes });
        all.sort_by_key(|received| received.from);
        all
    }
}

fn received<'a>(((kind, from, _), bytes): (&Key, &'a Secret<Vec<u8>>)) -> Received<'a> {
    Received { from: *from, kind: *kind, bytes: bytes.expose() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seed::SessionSeed;
    use crate::protocol::keygen::{Keygen, KeygenSetup, keygen_with_seed};

    fn machine(me: u8) -> Machine<Keygen> {
        let setup = KeygenSetup {
            instance: [1; 32],
            threshold: 2,
            me: PartyId::new(me).unwrap(),
            identities: vec![vec![1], vec![2]],
        };
        let seed = SessionSeed::from_bytes([me; 32]);
        keygen_with_seed(setup, seed, Duration::from_secs(60)).unwrap()
    }

    /// `Secret` wipes its content, so an empty inbox is a wiped one. What is not sent is dropped, and that
    /// a message is a `Secret` from the moment it is packed is in its type.
    #[test]
    fn a_failure_wipes_what_was_received_and_what_was_not_sent() {
        #[expect(clippy::disallowed_methods, reason = "there is no other instant")]
        let now = Instant::now();
        let other = PartyId::new(2).unwrap();
        let mut machine = machine(1);
        machine.start(now);
        let early = wire::pack(Kind::Kg4b, other, None, &[9; 32], &[&[7; 32]]);
        machine.handle(now, other, early.expose());
        assert_eq!(machine.inbox.len(), 1);
        machine.handle(now, other, early.expose());
        assert!(machine.is_over() && machine.inbox.is_empty());
        assert!(!machine.outputs.iter().any(|o| matches!(o, Output::Send { .. })));
    }
}
