//! Finding a device by mDNS, or at the address that it had last.
//!
//! mDNS is not authenticated: a device that answers must show its certificate before it is used.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};

use crate::device::{Fingerprint, Label};
use crate::driver::connect::hello::RETRY;
use crate::driver::connect::hello::{
    Answer, Call, DialError, failed, greet, left, nobody, others_answer,
};
use crate::driver::connect::target::{Route, Target, Way};
use crate::driver::error::Error;
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::net::Link;
use crate::net::mdns::{self, Status};
use crate::net::relay::RelayUrl;
use crate::vault::addresses::{LastSeen, MetAt};
use crate::vault::{Home, Peers, addresses};
use crate::wire::{About, Want};

/// How long the last address of a device is tried before it is looked for by mDNS.
pub(super) const HEAD_START: Duration = Duration::from_millis(150);
/// For how many seconds after a device was reached through a relay the relay is asked at once.
/// After that the local network has a head start again, since the device may be back there.
const LATELY: i64 = 60 * 60;
/// Most announced addresses of one device that are called at once, and in all.
const CALLS: usize = 128;
const ADDRESSES: usize = 4096;
/// The most devices that are listed.
const DEVICES: usize = 256;
/// How long a device at an announced address may take to show its certificate.
const QUICK: Duration = Duration::from_secs(3);
/// Most characters of another program's version that are stored.
const MAX_VERSION: usize = 32;

/// Tries the address that the device had last and, shortly afterwards, every address that mDNS announces for
/// its id, until the device is found. Addresses where others answer are skipped.
pub(super) async fn find(node: &Node, call: &Call) -> Answer {
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

/// Calls addresses where a device may be, several at once. An address is called again until another
/// device has answered there.
struct Callers<'a> {
    call: &'a Call,
    /// All addresses that were added.
    known: BTreeSet<SocketAddr>,
    /// The addresses to call, and when.
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

    /// One of the due addresses at random, so that no order of announcements can put the right one
    /// last.
    fn due(&mut self) -> Option<SocketAddr> {
        let now = clock::now();
        let due = |(_, (due, _)): &(usize, &(Instant, SocketAddr))| *due <= now;
        let all: Vec<usize> = self.waiting.iter().enumerate().filter(due).map(|(n, _)| n).collect();
        let any = clock::any_of(all.len())?;
        all.get(any).map(|n| self.waiting.swap_remove(*n).1)
    }

    /// The device, or its final refusal. Cancel-safe. Waits for ever if nothing is found.
    async fn next(&mut self) -> Answer {
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

    /// The error if the device was not found.
    fn error(self) -> DialError {
        let name = &self.call.target.name;
        self.worst.unwrap_or_else(|| DialError::Retryable(nobody(name)))
    }
}

/// Calls an announced address. It must answer within [`QUICK`].
async fn call_at(call: Call, address: SocketAddr) -> Answer {
    let dialed = call.dialer.dial(address, left(call.within).min(QUICK)).await;
    let io = dialed.map_err(|e| failed(&call.target.name, e))?;
    let tls = call.tls.clone().handshake_within(QUICK);
    greet(Call { tls, ..call }, io, Way::Lan(address)).await
}

/// A device that was announced and has shown its certificate.
#[derive(Clone, Debug)]
pub struct Met {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its name for itself.
    pub name: Label,
    /// The addresses at which it answered, in that order.
    pub addresses: Vec<SocketAddr>,
    /// Whether it announces that it is busy.
    pub busy: bool,
    /// What its program is and can do, if it tells it.
    pub about: Option<About>,
}

impl Met {
    /// The version of its program, if it tells it.
    pub fn program(&self) -> Option<&Label> {
        self.about.as_ref().map(|about| &about.program)
    }

    /// Whether it gathers a group.
    pub fn gathers(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.gathers)
    }
}

/// Asks every device that is announced within `wait` for its certificate, at every announced address. Known
/// devices are asked first.
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
            // Each address may be another device until its certificate is known.
            let call = Call { floor: Arc::default(), ..call.clone() };
            asking.spawn(async move { (seen, who_is_at(call, address).await) });
        }
        let over = clock::now() >= until;
        if over && asking.is_empty() {
            break;
        }
        tokio::select! {
            Some(Ok((seen, answer))) = asking.join_next() => {
                if let Some((Greeted { fingerprint, name, about }, address)) = answer
                    && fingerprint != node.info.fingerprint
                    && (met.len() < DEVICES || met.contains_key(&fingerprint))
                {
                    let busy = seen == (fingerprint.device_id(), Status::Busy);
                    let new = Met { fingerprint, name, addresses: Vec::new(), busy, about };
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

/// The greeting of a device, and its certificate.
struct Greeted {
    fingerprint: Fingerprint,
    name: Label,
    about: Option<About>,
}

/// The device at an announced address.
async fn who_is_at(call: Call, address: SocketAddr) -> Option<(Greeted, SocketAddr)> {
    let within = call.within.min(clock::now() + QUICK);
    let (reached, _) = call_at(Call { within, ..call }, address).await.ok()?;
    let fingerprint = reached.link.peer();
    let _ = tokio::time::timeout(Duration::from_millis(200), reached.link.close()).await;
    Some((Greeted { fingerprint, name: reached.name, about: reached.about }, address))
}

/// The address that a device had last.
pub(super) fn remembered(home: &Home, fingerprint: &Fingerprint) -> Option<SocketAddr> {
    last_seen(home, fingerprint).address
}

/// Whether a device was last reached through `relay`, and lately.
pub(super) fn was_at(home: &Home, fingerprint: &Fingerprint, relay: &RelayUrl) -> bool {
    let now = clock::unix_now();
    let lately = |met: &MetAt| (met.at..met.at.saturating_add(LATELY)).contains(&now);
    let met = last_seen(home, fingerprint).relay;
    met.is_some_and(|met| met.relay == relay.as_str() && lately(&met))
}

fn last_seen(home: &Home, fingerprint: &Fingerprint) -> LastSeen {
    // A file that this device did not write is ignored.
    addresses::of(home, fingerprint).unwrap_or_default()
}

/// Records the version of a device's program, as it told it.
pub fn remember_program(home: &Home, fingerprint: &Fingerprint, says: Option<&Label>) {
    let says = says.map(|label| Label::capped(label.as_str(), MAX_VERSION).to_string());
    // A failure is ignored: the version is told again at the next greeting.
    let _ = addresses::note_program(home, fingerprint, says.as_deref());
}

/// Notes what a device that has proved who it is calls itself, and tells if it has another name here by that.
pub fn remember_name(node: &Node, fingerprint: &Fingerprint, says: &Label) {
    // It is said again at the next greeting.
    if let Ok(Some((was, now))) = Peers::heard(&node.home, fingerprint, says) {
        node.tell(Note::Renamed { was: Label::new(&was), now: Label::new(&now) });
    }
}

/// Notes by which way a device was reached.
pub fn remember(home: &Home, fingerprint: &Fingerprint, way: &Way) {
    // A failure is ignored: without the hint the device is looked for again.
    let _ = match way {
        Way::Lan(address) => addresses::note(home, fingerprint, *address),
        Way::Relay(relay) if !was_at(home, fingerprint, relay) => {
            let met = MetAt { relay: relay.to_string(), at: clock::unix_now() };
            addresses::note_relay(home, fingerprint, met)
        }
        Way::Relay(_) | Way::Command => Ok(()),
    };
}
