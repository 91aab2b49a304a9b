//! The rooms of a relay in which devices meet.
//!
//! Two devices that share a key meet in a room whose name follows from a secret of theirs, so that
//! nobody else can enter it or tell whose it is. Paired devices without a common key have no such
//! secret: their room follows from their fingerprints. The room changes with the day and differs
//! for each of the two listeners, so that a relay cannot link the names of different days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

use crate::crypto::tags;
use crate::device::Fingerprint;
use crate::driver::connect::hello::{Answer, Call, DialError, greet, left};
use crate::driver::connect::target::{Route, Way};
use crate::driver::error::Error;
use crate::driver::on_curve::Share;
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::net::relay::client::enter;
use crate::net::relay::{RelayUrl, Role, Room};
use crate::net::{Io, LinkError};
use crate::party::PartyId;
use crate::progress::Event;
use crate::secret::Secret;
use crate::vault::keys::MeetingSecret;
use crate::vault::{KeyRecord, KeyState, keys};

/// A room that nobody can guess, for an invitation.
///
/// # Errors
/// The system gives no randomness.
pub fn fresh() -> Result<Room, Error> {
    clock::nonce().map(|bytes| cut(&bytes))
}

/// The rooms where `listener` may be waiting for this device now: first those of the keys that they
/// share, the newest first, then that of the pairing.
pub fn of_listener(node: &Node, listener: &Fingerprint) -> Vec<Room> {
    let day = clock::unix_now().div_euclid(DAY);
    let mut rooms: Vec<Room> =
        shared(node, listener).iter().map(|secret| room(secret.expose(), day, listener)).collect();
    rooms.push(room(&acquaintance(node, listener), day, listener));
    rooms
}

/// The rooms where this device waits: one for each peer, and two around midnight, since clocks
/// differ.
fn of_this_device(node: &Node) -> BTreeSet<Room> {
    let me = node.info.fingerprint;
    let now = clock::unix_now();
    let days: BTreeSet<i64> = [now - SKEW, now + SKEW].map(|t| t.div_euclid(DAY)).into();
    let mut rooms = BTreeSet::new();
    let mut met = BTreeSet::new();
    for record in keys::list(&node.home).unwrap_or_default() {
        for (party, secret) in secrets(node, &record) {
            let Some(party) = record.parties.iter().find(|p| p.index == party) else { continue };
            // The other device may have no share of a pending key.
            if record.state == KeyState::Active {
                met.insert(party.fingerprint);
            }
            rooms.extend(days.iter().map(|day| room(secret.expose(), *day, &me)));
        }
    }
    for peer in node.peers().iter().flat_map(|peers| peers.iter()) {
        if !met.contains(&peer.fingerprint) {
            let common = acquaintance(node, &peer.fingerprint);
            rooms.extend(days.iter().map(|day| room(&common, *day, &me)));
        }
    }
    rooms
}

fn room(common: &[u8; 32], day: i64, listener: &Fingerprint) -> Room {
    cut(&tags::MEETING_ROOM.hash(&[common, &day.to_be_bytes(), listener.as_bytes()]))
}

fn cut(bytes: &[u8; 32]) -> Room {
    Room(bytes.first_chunk().copied().unwrap_or_default())
}

/// The value from which the room of two paired devices follows: their fingerprints, which the relay
/// does not know.
fn acquaintance(node: &Node, peer: &Fingerprint) -> [u8; 32] {
    let mut both = [*node.info.fingerprint.as_bytes(), *peer.as_bytes()];
    both.sort_unstable();
    let [low, high] = both;
    tags::MEETING_SECRET.hash(&[b"paired", &low, &high])
}

/// The meeting secrets of this device and `peer`, one for each epoch of each common key.
fn shared(node: &Node, peer: &Fingerprint) -> Vec<Secret<[u8; 32]>> {
    let mut records = keys::list(&node.home).unwrap_or_default();
    records.sort_by_key(|record| std::cmp::Reverse(record.created));
    let secret = |record: &KeyRecord| {
        let party = record.parties.iter().find(|party| party.fingerprint == *peer)?;
        let mut secrets = secrets(node, record).into_iter();
        secrets.find(|(index, _)| *index == party.index).map(|(_, secret)| secret)
    };
    records.iter().filter_map(secret).collect()
}

/// The meeting secrets of an epoch. If none are stored (a home of an earlier version), they are
/// derived from the share. A share that does not open is skipped.
fn secrets(node: &Node, record: &KeyRecord) -> Vec<MeetingSecret> {
    if let Ok(Some(kept)) = node.vault.meeting(&record.name, &record.epoch) {
        return kept;
    }
    let share = node.vault.share(&record.name, &record.epoch).ok();
    let share = share.and_then(|bytes| Share::from_bytes(bytes.expose()));
    let stored =
        |share: Share| store_meeting_secrets(node, record, |peer| share.meeting_secret(peer));
    share.map(stored).unwrap_or_default()
}

/// Stores the meeting secrets of a share, so that rooms can be computed without opening it; `secret` is the
/// one with a party.
pub(in crate::driver) fn store_meeting_secrets(
    node: &Node,
    record: &KeyRecord,
    secret: impl Fn(PartyId) -> Option<Secret<[u8; 32]>>,
) -> Vec<MeetingSecret> {
    let others = record.parties.iter().map(|party| party.index).filter(|index| *index != record.me);
    let secrets: Vec<MeetingSecret> =
        others.filter_map(|index| Some((index, secret(index)?))).collect();
    if let Err(error) = node.vault.store_meeting(&record.name, &record.epoch, &secrets) {
        // Not fatal: the secrets can be derived from the share again.
        node.tell(Note::File(error));
    }
    secrets
}

/// Connections that arrive through a relay.
pub type Streams = mpsc::Receiver<Box<dyn Io>>;

/// Waits at the relay in every room of this device, until the receiver is dropped.
pub fn wait(node: &Arc<Node>, relay: &RelayUrl) -> Streams {
    let (streams, taken) = mpsc::channel(1);
    tokio::spawn(follow(Arc::clone(node), relay.clone(), streams));
    taken
}

/// Waits at the relay in this room only.
pub fn wait_in(node: &Arc<Node>, relay: &RelayUrl, room: Room) -> Streams {
    let (streams, taken) = mpsc::channel(1);
    let stay = Stay { node: Arc::clone(node), relay: relay.clone(), told: Arc::default(), streams };
    tokio::spawn(stay.forever(room));
    taken
}

/// Calls every listener in these rooms of a relay. A stranger may be in a room; its certificate
/// shows that.
pub(super) async fn call_in_rooms(call: &Call, relay: &RelayUrl, rooms: Vec<Room>) -> Answer {
    let within = call.within;
    let (streams, mut listeners) = mpsc::channel(1);
    let inside = Arc::new(AtomicBool::new(false));
    let mut visits = JoinSet::new();
    for (number, room) in (0..).zip(rooms) {
        let (relay, streams, inside) = (relay.clone(), streams.clone(), Arc::clone(&inside));
        visits.spawn(async move {
            // All rooms lead to the same device, so the first ones usually suffice.
            sleep(STAGGER * (number / AT_ONCE)).await;
            let mut calls = enter(&relay, &room, Role::Caller, left(within)).await?;
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
            Some(io) = listeners.recv() => {
                let way = Way::Relay(relay.clone());
                greetings.spawn(greet(call.clone(), io, way));
            }
            Some(greeted) = greetings.join_next() => match greeted {
                Ok(Ok(reached)) => return Ok(reached),
                // The device itself refused.
                Ok(Err(error @ DialError::Fatal(_))) if !error.is_of_identity() => return Err(error),
                Ok(Err(error)) => {
                    // The caller is not the device, which may still come.
                    give_up = give_up.min(clock::now() + STRANGERS);
                    worst = Some(error.or(worst));
                }
                Err(_) => {}
            },
            Some(visit) = visits.join_next() => {
                // A timeout of this device says nothing about the relay.
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

fn relay_error(relay: &RelayUrl, error: LinkError) -> Error {
    Error::Relay { relay: Box::new(relay.clone()), error }
}

/// Runs one [`Stay`] for each room. The rooms are computed anew when keys or peers change, and with the day.
async fn follow(node: Arc<Node>, relay: RelayUrl, streams: mpsc::Sender<Box<dyn Io>>) {
    let mut stays: BTreeMap<Room, AbortHandle> = BTreeMap::new();
    let told = Arc::default();
    let mut lonely = false;
    while !streams.is_closed() {
        let rooms = of_this_device(&node);
        if rooms.is_empty() && !lonely {
            node.tell(Note::NoRooms);
        }
        lonely = rooms.is_empty();
        stays.retain(|room, stay| {
            let stays = rooms.contains(room);
            if !stays {
                stay.abort();
            }
            stays
        });
        for room in rooms {
            stays.entry(room).or_insert_with(|| {
                let stay = Stay {
                    node: Arc::clone(&node),
                    relay: relay.clone(),
                    told: Arc::clone(&told),
                    streams: streams.clone(),
                };
                tokio::spawn(stay.forever(room)).abort_handle()
            });
        }
        tokio::select! {
            _ = timeout(LOOK, node.acquainted.notified()) => {}
            () = streams.closed() => break,
        }
    }
    for stay in stays.into_values() {
        stay.abort();
    }
}

/// Waiting in one room.
struct Stay {
    node: Arc<Node>,
    relay: RelayUrl,
    /// Whether the owner was told that this device can be reached; shared by all stays.
    told: Arc<Mutex<Option<bool>>>,
    streams: mpsc::Sender<Box<dyn Io>>,
}

impl Stay {
    async fn forever(self, room: Room) {
        let mut pause = SHORTEST;
        loop {
            let why = match enter(&self.relay, &room, Role::Listener, ENTER_TIMEOUT).await {
                Ok(mut calls) => {
                    pause = SHORTEST;
                    self.tell(None);
                    while let Some(stream) = calls.next().await {
                        if self.streams.send(stream).await.is_err() {
                            return;
                        }
                    }
                    "it hung up".to_owned()
                }
                Err(error) => error.to_string(),
            };
            if self.streams.is_closed() {
                return;
            }
            self.tell(Some(why));
            sleep(pause).await;
            pause = LONGEST.min(pause * 2);
        }
    }

    /// Tells whether this device can be reached, the first time and whenever it changes.
    fn tell(&self, trouble: Option<String>) {
        let connected = trouble.is_none();
        let before = self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(connected);
        if before != Some(connected) {
            let url = self.relay.to_string();
            self.node.tell(Event::Relay { url, connected, detail: trouble });
        }
    }
}

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// How far the clocks of two devices may differ.
const SKEW: i64 = 2 * 60 * 60;
/// How many rooms of a relay are entered at once, and the pause before the next ones are.
const AT_ONCE: u32 = 3;
const STAGGER: Duration = Duration::from_millis(700);
/// How long to wait for the right device if only others answer at a relay.
const STRANGERS: Duration = Duration::from_secs(2);
/// How often the rooms are computed anew because the day may have changed.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// How long entering a room may take.
const ENTER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before an unreachable relay is tried again; it doubles up to the second value.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
