//! Getting to a device: a command, an address, the address it had last, mDNS, or a room of a relay –
//! whichever answers first with the right certificate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::device::{Fingerprint, Label};
use crate::net::mdns::{self, Status};
use crate::net::relay::client::enter;
use crate::net::relay::{RelayUrl, Role, Room};
use crate::net::tls::{Expect, Tls, TlsLink};
use crate::net::{Dialer, Frame, Io, Kind, Link, LinkError, stdio};
use crate::run::error::Error;
use crate::run::told::Note;
use crate::run::{Node, clock, rooms};
use crate::talk::{self, Message, Reason, Want};
use crate::vault::{Home, PeerRecord, addresses};

/// The port a device listens on unless it is taken.
pub const PORT: u16 = 46737;
/// How long a TLS handshake and the greeting after it may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause between two attempts.
pub const RETRY: Duration = Duration::from_millis(300);
/// How long the address a device had last is tried before it is looked for.
const HEAD_START: Duration = Duration::from_millis(150);
/// How long it is looked for on the local network alone before a relay is asked as well.
const LOOK_AROUND: Duration = Duration::from_millis(600);
/// How many rooms of a relay are entered at once, and the pause before the next ones are.
const AT_ONCE: u32 = 3;
const STAGGER: Duration = Duration::from_millis(700);
/// How long the right device is waited for where others answer in its place at a relay.
const STRANGERS: Duration = Duration::from_secs(2);
/// How many announced addresses of one device are called at once, and at all.
const CALLS: usize = 128;
const ADDRESSES: usize = 4096;
/// The most devices that are listed.
const DEVICES: usize = 256;
/// How long whoever is at an announced address may take to prove who it is.
const QUICK: Duration = Duration::from_secs(3);

/// How to get to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A command whose standard input and output reach it.
    Via(String),
    /// `HOST:PORT`.
    Address(String),
    /// The address it had last, or mDNS.
    Find,
    /// A room of a relay, from an invitation.
    Room(RelayUrl, Room),
}

/// How a device was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A command's standard input and output, or this program's own.
    Command,
    /// A connection to or from this address.
    Lan(SocketAddr),
    /// A room of this relay.
    Relay(RelayUrl),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("command"),
            Self::Lan(address) => write!(f, "lan {address}"),
            Self::Relay(url) => write!(f, "relay {url}"),
        }
    }
}

/// A device to be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// What people call it.
    pub name: Label,
    /// The pinned fingerprint; `None` accepts whoever answers (pairing only).
    pub fingerprint: Option<Fingerprint>,
    /// How to get there.
    pub route: Route,
}

impl Target {
    /// A paired device, by the address in its record or wherever it is found.
    pub fn paired(record: &PeerRecord, route: Option<Route>) -> Self {
        let stored = || record.address.clone().map_or(Route::Find, Route::Address);
        Self {
            name: Label::new(&record.name),
            fingerprint: Some(record.fingerprint),
            route: route.unwrap_or_else(stored),
        }
    }
}

/// A connection whose other end has greeted.
#[derive(Debug)]
pub struct Reached {
    /// The link.
    pub link: TlsLink,
    /// The other device's name for itself.
    pub name: Label,
    /// How it was reached.
    pub way: Way,
}

impl Reached {
    /// Where it is, if it is on the network.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.way {
            Way::Lan(address) => Some(address),
            Way::Command | Way::Relay(_) => None,
        }
    }
}

/// Connects to `target`, trying again until `deadline`.
///
/// # Errors
/// `unreachable` where nobody answers, `identity` where somebody else does, and what the device
/// says where it refuses.
pub async fn reach(
    node: &Node,
    target: &Target,
    want: Want,
    deadline: Instant,
) -> Result<Reached, Error> {
    let mut known: Option<Error> = None;
    loop {
        let last = match attempt(node, target, want, deadline).await {
            Ok((reached, Message::Welcome { .. })) => {
                if let (Some(fingerprint), Some(address)) = (target.fingerprint, reached.address())
                {
                    remember(&node.home, &fingerprint, address);
                }
                return Ok(reached);
            }
            Ok(_) => return Err(Error::nonsense(&target.name)),
            Err(DialError::Fatal(error)) => return Err(error),
            Err(DialError::UnknownSession) => {
                return Err(Error::link(&target.name, LinkError::Lost));
            }
            Err(
                DialError::Retryable(error)
                | DialError::Busy(error)
                | DialError::NotListening(error)
                | DialError::OthersAnswer(error),
            ) => error,
            Err(DialError::DeadlineExceeded(error)) => known.unwrap_or(error),
        };
        if clock::now() + RETRY >= deadline || matches!(target.route, Route::Via(_)) {
            return Err(last);
        }
        known = Some(last);
        sleep(RETRY).await;
    }
}

/// One attempt to get back to a device, and how many frames it says it has.
///
/// # Errors
/// Why not.
pub async fn again(
    node: &Node,
    target: &Target,
    want: Want,
    deadline: Instant,
) -> Result<(Reached, u64), DialError> {
    match attempt(node, target, want, deadline).await? {
        (reached, Message::Resumed { received }) => Ok((reached, received)),
        _ => Err(DialError::Fatal(Error::nonsense(&target.name))),
    }
}

/// Why one attempt to reach a device failed.
#[derive(Debug)]
pub enum DialError {
    /// No further attempt can succeed.
    Fatal(Error),
    /// The device does not know the session that is to be resumed.
    UnknownSession,
    /// A further attempt may succeed.
    Retryable(Error),
    /// The device is there and busy.
    Busy(Error),
    /// Another device is there, at an address that only mDNS or a relay named.
    OthersAnswer(Error),
    /// The machine is there and nothing listens at the port.
    NotListening(Error),
    /// The deadline came before an answer; an earlier error says more.
    DeadlineExceeded(Error),
}

/// One attempt to reach a device, by several ways at once.
#[derive(Clone)]
struct Call {
    tls: Tls,
    dialer: Arc<dyn Dialer>,
    /// This device's name for itself.
    name: Label,
    target: Target,
    want: Want,
    within: Instant,
    /// Held by the one that speaks: several ways may lead to the device, and it is to be asked once.
    /// True once it has answered.
    floor: Arc<Mutex<bool>>,
}

impl Call {
    fn new(node: &Node, target: &Target, want: Want, within: Instant) -> Self {
        Self {
            tls: node.tls.clone(),
            dialer: Arc::clone(&node.dialer),
            name: Label::new(&node.info.name),
            target: target.clone(),
            want,
            within,
            floor: Arc::default(),
        }
    }
}

/// Reaches a device and says hello; what it answers is [`Message::Welcome`] or [`Message::Resumed`].
async fn attempt(
    node: &Node,
    target: &Target,
    want: Want,
    deadline: Instant,
) -> Result<(Reached, Message), DialError> {
    let call = &Call::new(node, target, want, deadline.min(clock::now() + HANDSHAKE));
    match &target.route {
        Route::Via(command) => {
            let sink = Arc::clone(&node.sink);
            let complain = move |line: Label| sink(Note::Via(line).into());
            let io = stdio::dial_via(command, complain)
                .map_err(|error| DialError::Fatal(Error::Command(error)))?;
            greet(call.clone(), io, Way::Command).await
        }
        Route::Room(relay, room) => knock(call, relay, vec![*room]).await,
        Route::Address(_) | Route::Find => match node.relay.as_ref().zip(target.fingerprint) {
            None => nearby(node, call).await,
            Some((relay, peer)) => either(node, call, relay, &peer).await,
        },
    }
}

/// On the local network.
async fn nearby(node: &Node, call: &Call) -> Result<(Reached, Message), DialError> {
    match &call.target.route {
        Route::Address(text) => {
            let addresses = resolve(text).await?;
            race(call, addresses).await
        }
        _ => find(node, call).await,
    }
}

/// On the local network or through the relay, whichever is faster; the local network has a start.
async fn either(
    node: &Node,
    call: &Call,
    relay: &RelayUrl,
    peer: &Fingerprint,
) -> Result<(Reached, Message), DialError> {
    let near = nearby(node, call);
    let far = async {
        let rooms = rooms::of_host(node, peer);
        let mut known = None;
        loop {
            match knock(call, relay, rooms.clone()).await {
                Err(DialError::DeadlineExceeded(error)) => {
                    return Err(known.unwrap_or(DialError::DeadlineExceeded(error)));
                }
                // A relay that is being started is not given up while the device is looked for.
                // And where strangers sit in its rooms, it may come yet.
                Err(error) if error.may_pass() && clock::now() + RETRY < call.within => {
                    known = Some(error);
                    sleep(RETRY).await;
                }
                done => return done,
            }
        }
    };
    tokio::pin!(near, far);
    let head_start = sleep(match (&call.target.route, remembered(&node.home, peer)) {
        (Route::Find, None) => LOOK_AROUND,
        _ => HEAD_START,
    });
    let first = tokio::select! {
        reached = &mut near => reached,
        () = head_start => tokio::select! {
            reached = &mut near => reached,
            reached = &mut far => match reached {
                Ok(reached) => return Ok(reached),
                Err(far) => return near.await.map_err(|near| far.or(Some(near))),
            },
        },
    };
    match first {
        Ok(reached) => Ok(reached),
        Err(near) => far.await.map_err(|far| far.or(Some(near))),
    }
}

/// Calls every host in these rooms of a relay. Strangers may be there as well: the right one is who
/// has the right certificate.
async fn knock(
    call: &Call,
    relay: &RelayUrl,
    rooms: Vec<Room>,
) -> Result<(Reached, Message), DialError> {
    let within = call.within;
    let (streams, mut hosts) = mpsc::channel(1);
    let inside = Arc::new(AtomicBool::new(false));
    let mut visits = JoinSet::new();
    for (number, room) in (0..).zip(rooms) {
        let (relay, streams, inside) = (relay.clone(), streams.clone(), Arc::clone(&inside));
        visits.spawn(async move {
            // Any will do, and the first ones nearly always do.
            sleep(STAGGER * (number / AT_ONCE)).await;
            let mut calls = enter(&relay, &room, Role::Guest, left(within)).await?;
            inside.store(true, Ordering::Relaxed);
            while let Some(stream) = calls.next().await {
                if streams.send(stream).await.is_err() {
                    break;
                }
            }
            Err::<(), LinkError>(LinkError::Lost)
        });
    }
    drop(streams);
    let mut greetings = JoinSet::new();
    let mut worst: Option<DialError> = None;
    let mut give_up = within;
    loop {
        tokio::select! {
            Some(io) = hosts.recv() => {
                let way = Way::Relay(relay.clone());
                greetings.spawn(greet(call.clone(), io, way));
            }
            Some(greeted) = greetings.join_next() => match greeted {
                Ok(Ok(reached)) => return Ok(reached),
                // The right one has spoken.
                Ok(Err(error @ DialError::Fatal(_))) if !error.is_of_identity() => return Err(error),
                Ok(Err(error)) => {
                    // A stranger, and the right one may come yet.
                    give_up = give_up.min(clock::now() + STRANGERS);
                    worst = Some(error.or(worst));
                }
                Err(_) => {}
            },
            Some(visit) = visits.join_next() => {
                // Out of time is no answer of the relay.
                if let Ok(Err(error)) = visit
                    && (!matches!(error, LinkError::TimedOut) || clock::now() < within)
                {
                    worst = Some(DialError::Retryable(relay_error(relay, error)).or(worst));
                }
                if visits.is_empty() && greetings.is_empty() {
                    break;
                }
            }
            () = sleep_until(give_up.into()) => break,
            else => break,
        }
    }
    Err(worst.unwrap_or_else(|| {
        if inside.load(Ordering::Relaxed) {
            let (peer, relay) = (call.target.name.clone(), Box::new(relay.clone()));
            DialError::Retryable(match call.target.route {
                Route::Room(..) => Error::NobodyInvites { relay },
                _ => Error::NotAtRelay { peer, relay },
            })
        } else {
            DialError::DeadlineExceeded(relay_error(relay, LinkError::TimedOut))
        }
    }))
}

/// Tries the address the device had last and, soon afterwards, every address that is announced by mDNS
/// for its id, until the device itself is found. Anybody may announce anything: who is there and is
/// somebody else, or makes no sense, is passed over.
async fn find(node: &Node, call: &Call) -> Result<(Reached, Message), DialError> {
    let target = &call.target;
    let Some(fingerprint) = target.fingerprint else {
        return Err(DialError::Fatal(nobody(&target.name)));
    };
    let id = fingerprint.device_id();
    let last = remembered(&node.home, &fingerprint);
    let mut callers = Callers::new(call);
    callers.add(last);
    if last.is_some()
        && let Ok(found) = timeout_at((clock::now() + HEAD_START).into(), callers.next()).await
    {
        return found;
    }
    let Ok(mut browser) = mdns::Browser::start(node.interface.as_deref()) else {
        return match timeout_at(call.within.into(), callers.next()).await {
            Ok(found) => found,
            Err(_) => Err(callers.error()),
        };
    };
    loop {
        tokio::select! {
            found = callers.next() => return found,
            () = sleep_until(call.within.into()) => return Err(callers.error()),
            seen = browser.next() => if seen.id == id { callers.add(seen.addresses) },
        }
    }
}

/// Others answer where `target` was looked for.
fn others_answer(target: &Target, others: usize) -> Error {
    let peer = target.name.clone();
    match target.fingerprint {
        Some(pinned) => Error::OthersAnswer { peer, pinned, others },
        None => Error::Nobody { peer },
    }
}

/// What a call came to.
type Answer = Result<(Reached, Message), DialError>;

/// Calls at addresses where a device may be, several at once and each until it is clear that it is not
/// there.
struct Callers<'a> {
    call: &'a Call,
    /// Addresses that were added, whatever became of them.
    known: BTreeSet<SocketAddr>,
    /// Those that are to be called, and when.
    waiting: Vec<(Instant, SocketAddr)>,
    calling: JoinSet<(SocketAddr, Answer)>,
    /// How many others answered.
    strangers: usize,
    worst: Option<DialError>,
}

impl<'a> Callers<'a> {
    fn new(call: &'a Call) -> Self {
        Self {
            call,
            known: BTreeSet::new(),
            waiting: Vec::new(),
            calling: JoinSet::new(),
            strangers: 0,
            worst: None,
        }
    }

    fn add(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            if self.known.len() < ADDRESSES && self.known.insert(address) {
                self.waiting.push((clock::now(), address));
            }
        }
    }

    /// An address that is due, any of them: no order in which others announce theirs puts the right one
    /// last.
    fn due(&mut self) -> Option<SocketAddr> {
        let now = clock::now();
        let due = |(_, (due, _)): &(usize, &(Instant, SocketAddr))| *due <= now;
        let all: Vec<usize> = self.waiting.iter().enumerate().filter(due).map(|(n, _)| n).collect();
        let any = clock::any_of(all.len())?;
        all.get(any).map(|n| self.waiting.swap_remove(*n).1)
    }

    /// The device, or what it says that is final. Cancel-safe; waits for ever where nothing is found.
    async fn next(&mut self) -> Result<(Reached, Message), DialError> {
        loop {
            while self.calling.len() < CALLS
                && let Some(address) = self.due()
            {
                let call = self.call.clone();
                self.calling.spawn(async move { (address, call_at(call, address).await) });
            }
            let due = self.waiting.iter().map(|(due, _)| *due).min();
            let due = due.filter(|_| self.calling.len() < CALLS);
            let wait = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                Some(Ok((address, result))) = self.calling.join_next() => match result {
                    Err(DialError::OthersAnswer(_)) => {
                        self.strangers = self.strangers.saturating_add(1);
                        let others = others_answer(&self.call.target, self.strangers);
                        let error = DialError::OthersAnswer(others);
                        self.worst = Some(error.or(self.worst.take()));
                    }
                    Err(
                        error @ (DialError::Retryable(_) | DialError::Busy(_) | DialError::NotListening(_) | DialError::DeadlineExceeded(_)),
                    ) => {
                        self.worst = Some(error.or(self.worst.take()));
                        self.waiting.push((clock::now() + RETRY, address));
                    }
                    found => return found,
                }
            }
        }
    }

    /// What to say where the device was not found.
    fn error(self) -> DialError {
        let name = &self.call.target.name;
        self.worst.unwrap_or_else(|| DialError::Retryable(nobody(name)))
    }
}

/// Calls at an address that somebody announced: an answer there is quick, or is none.
async fn call_at(call: Call, address: SocketAddr) -> Result<(Reached, Message), DialError> {
    let dialed = call.dialer.dial(address, left(call.within).min(QUICK)).await;
    let io = dialed.map_err(|e| failed(&call.target.name, e))?;
    let tls = call.tls.clone().handshake_within(QUICK);
    greet(Call { tls, ..call }, io, Way::Lan(address)).await
}

async fn resolve(text: &str) -> Result<Vec<SocketAddr>, DialError> {
    let with_port = if text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok())
    {
        text.to_owned()
    } else {
        format!("{text}:{PORT}")
    };
    match tokio::net::lookup_host(&with_port).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(source) => {
            Err(DialError::Fatal(Error::BadAddress { address: text.to_owned(), source }))
        }
    }
}

/// Dials all addresses at once; the first that answers with the right certificate wins.
async fn race(call: &Call, addresses: Vec<SocketAddr>) -> Result<(Reached, Message), DialError> {
    let mut attempts = JoinSet::new();
    for address in addresses.into_iter().take(16) {
        let call = call.clone();
        attempts.spawn(async move {
            let dialed = call.dialer.dial(address, left(call.within)).await;
            let io = dialed.map_err(|e| failed(&call.target.name, e))?;
            greet(call, io, Way::Lan(address)).await
        });
    }
    let mut worst: Option<DialError> = None;
    while let Some(joined) = attempts.join_next().await {
        match joined {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error)) => worst = Some(error.or(worst)),
            Err(_) => {}
        }
    }
    Err(worst.unwrap_or_else(|| DialError::Retryable(nobody(&call.target.name))))
}

impl DialError {
    /// Whether another device than the one that is looked for answered.
    fn is_of_identity(&self) -> bool {
        let Self::Fatal(error) = self else { return false };
        matches!(error, Error::NotTheInviter { .. } | Error::Link { .. })
    }

    /// Whether the device may be found yet: nobody else has spoken for it.
    fn may_pass(&self) -> bool {
        match self {
            Self::Retryable(_) | Self::Busy(_) | Self::OthersAnswer(_) | Self::NotListening(_) => {
                true
            }
            Self::Fatal(_) => self.is_of_identity(),
            Self::UnknownSession | Self::DeadlineExceeded(_) => false,
        }
    }

    /// The one that tells more: what somebody said, rather than that nobody answered.
    fn or(self, other: Option<Self>) -> Self {
        let weight = |error: &Self| match error {
            Self::NotListening(_) => 0,
            Self::Retryable(_) | Self::DeadlineExceeded(_) => 1,
            Self::OthersAnswer(_) => 2,
            Self::Busy(_) => 3,
            Self::Fatal(_) | Self::UnknownSession => 4,
        };
        match other {
            Some(other) if weight(&other) > weight(&self) => other,
            _ => self,
        }
    }
}

/// TLS, then the first message of either side: until the other end has spoken, nothing is known
/// about whether it let us in.
async fn greet(call: Call, io: Box<dyn Io>, way: Way) -> Result<(Reached, Message), DialError> {
    let Call { tls, name, target, want, within, floor, .. } = call;
    let expect = target.fingerprint.map_or(Expect::Anyone, Expect::Pinned);
    let whom = &target.name;
    let mut link = tls.connect(io, expect).await.map_err(|e| match (&e, &target.route) {
        (LinkError::Identity { got, .. }, Route::Room(..)) => {
            DialError::Fatal(Error::NotTheInviter { got: *got })
        }
        // A device that its owner named is the one or is not; what mDNS or a relay says proves nothing.
        (
            LinkError::Identity { .. }
            | LinkError::Refused
            | LinkError::Malformed(_)
            | LinkError::Tls(_),
            route,
        ) if *route == Route::Find || matches!(way, Way::Relay(_)) => {
            DialError::OthersAnswer(others_answer(&target, 1))
        }
        _ => failed(whom, e),
    })?;
    let mut answered = floor.lock().await;
    if *answered {
        return Err(DialError::Retryable(nobody(whom)));
    }
    let hello = Message::Hello { version: talk::VERSION, name, want };
    say(&mut link, &hello).await.map_err(|e| failed(whom, e))?;
    match hear(&mut link, within).await.map_err(|e| failed(whom, e))? {
        Message::Welcome { name } => {
            *answered = true;
            Ok((Reached { link, name: name.clone(), way }, Message::Welcome { name }))
        }
        resumed @ Message::Resumed { .. } => {
            *answered = true;
            Ok((Reached { link, name: target.name.clone(), way }, resumed))
        }
        Message::Refuse { reason: Reason::Gone } => Err(DialError::UnknownSession),
        Message::Refuse { reason: reason @ (Reason::Busy | Reason::Crossed) } => {
            Err(DialError::Busy(Error::refused(whom, reason)))
        }
        Message::Refuse { reason } => Err(DialError::Fatal(Error::refused(whom, reason))),
        _ => Err(DialError::Fatal(Error::nonsense(whom))),
    }
}

fn nobody(peer: &Label) -> Error {
    Error::Nobody { peer: peer.clone() }
}

fn relay_error(relay: &RelayUrl, error: LinkError) -> Error {
    Error::Relay { relay: Box::new(relay.clone()), error }
}

fn failed(peer: &Label, error: LinkError) -> DialError {
    let kind = match error {
        LinkError::Identity { .. } | LinkError::Refused | LinkError::Malformed(_) => {
            DialError::Fatal
        }
        LinkError::Deaf(_) => DialError::NotListening,
        _ => DialError::Retryable,
    };
    kind(Error::link(peer, error))
}

/// Sends one control message.
///
/// # Errors
/// The link is down.
pub async fn say(link: &mut impl Link, message: &Message) -> Result<(), LinkError> {
    link.send(Frame::new(Kind::Control, message.to_bytes())).await
}

/// Receives one control message.
///
/// # Errors
/// The link is down, `within` passed, or the frame holds something else.
pub async fn hear(link: &mut impl Link, within: Instant) -> Result<Message, LinkError> {
    let frame = timeout_at(within.into(), link.recv()).await.map_err(|_| LinkError::TimedOut)??;
    if frame.kind != Kind::Control {
        return Err(LinkError::Malformed("expected a control message"));
    }
    Message::from_bytes(&frame.payload).map_err(|_| LinkError::Malformed("control message"))
}

/// A device that was announced, and proved who it is.
#[derive(Clone, Debug)]
pub struct Met {
    /// Who it is.
    pub fingerprint: Fingerprint,
    /// Its name for itself.
    pub name: Label,
    /// Where it answered, in the order in which it did.
    pub addresses: Vec<SocketAddr>,
    /// Whether it announces that it is busy.
    pub busy: bool,
}

/// Asks everybody who is announced within `wait` who they are, at every address that is announced. Who
/// is known is asked first.
///
/// # Errors
/// The paired devices cannot be read.
pub async fn look_around(node: &Node, wait: Duration) -> Result<Vec<Met>, Error> {
    let known: BTreeSet<String> =
        node.peers()?.iter().map(|peer| peer.fingerprint.device_id()).collect();
    let own_id = node.info.fingerprint.device_id();
    let mut met: BTreeMap<Fingerprint, Met> = BTreeMap::new();
    let Ok(mut browser) = mdns::Browser::start(node.interface.as_deref()) else {
        return Ok(Vec::new());
    };
    let until = clock::now() + wait;
    let target = Target { name: Label::default(), fingerprint: None, route: Route::Find };
    let call = Call::new(node, &target, Want::Ping, until + QUICK);
    let mut asked = BTreeSet::new();
    let [mut first, mut then] = [VecDeque::new(), VecDeque::new()];
    let mut asking = JoinSet::new();
    loop {
        while asking.len() < CALLS
            && let Some((address, seen)) = first.pop_front().or_else(|| then.pop_front())
        {
            // Each is another device until it is known which.
            let call = Call { floor: Arc::default(), ..call.clone() };
            asking.spawn(async move { (seen, who_is_at(call, address).await) });
        }
        let over = clock::now() >= until;
        if over && asking.is_empty() {
            break;
        }
        tokio::select! {
            Some(Ok((seen, answer))) = asking.join_next() => {
                if let Some((fingerprint, name, address)) = answer
                    && fingerprint != node.info.fingerprint
                    && (met.len() < DEVICES || met.contains_key(&fingerprint))
                {
                    let busy = seen == (fingerprint.device_id(), Status::Busy);
                    let new = Met { fingerprint, name, addresses: Vec::new(), busy };
                    let device = met.entry(fingerprint).or_insert(new);
                    device.busy |= busy;
                    device.addresses.push(address);
                }
            }
            () = sleep_until((until + QUICK).into()) => break,
            () = sleep_until(until.into()), if !over => {}
            seen = browser.next(), if !over && asked.len() < ADDRESSES => {
                let queue = if known.contains(&seen.id) { &mut first } else { &mut then };
                if seen.id != own_id {
                    let new = seen.addresses.iter().filter(|address| asked.insert(**address));
                    queue.extend(new.map(|address| (*address, (seen.id.clone(), seen.status))));
                }
            }
        }
    }
    Ok(met.into_values().collect())
}

/// Who answers at an address that somebody announced.
async fn who_is_at(call: Call, address: SocketAddr) -> Option<(Fingerprint, Label, SocketAddr)> {
    let within = call.within.min(clock::now() + QUICK);
    let (reached, _) = call_at(Call { within, ..call }, address).await.ok()?;
    let fingerprint = reached.link.peer();
    let _ = tokio::time::timeout(Duration::from_millis(200), reached.link.close()).await;
    Some((fingerprint, reached.name, address))
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(clock::now())
}

fn remembered(home: &Home, fingerprint: &Fingerprint) -> Option<SocketAddr> {
    // What somebody else wrote there is no hint.
    addresses::of(home, fingerprint).ok().flatten()
}

/// Notes where a device answered.
pub fn remember(home: &Home, fingerprint: &Fingerprint, address: SocketAddr) {
    // A hint that cannot be kept is found again by mDNS next time.
    let _ = addresses::note(home, fingerprint, address);
}
