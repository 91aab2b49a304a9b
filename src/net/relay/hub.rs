//! The state of a relay: rooms, their members, and the messages queued for each of them.
//!
//! Payloads are never read. The queue of a member is bounded in bytes: a sender waits while the
//! queue is full, and a member whose queue stays full is disconnected. Nothing is stored.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Duration, Instant, timeout};

use super::{Member, Refusal, Role, Room, Said, addressee, readdress};
use crate::net::Promise;

/// The limits of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, including the relay's nine.
    pub frame: usize,
    /// Members of a room.
    pub members: usize,
    /// Rooms.
    pub rooms: usize,
    /// Bytes that may be queued for one member.
    pub waiting: usize,
    /// Bytes that may be queued for all members together.
    pub waiting_in_all: usize,
    /// Connections.
    pub connections: usize,
    /// Connections from one address (of IPv6: from one /64).
    pub connections_per_source: usize,
    /// Rooms that one address may join in a minute.
    pub joins_per_minute: u32,
    /// How long a connection may be silent.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 128 << 10,
            members: 16,
            rooms: 20_000,
            waiting: 4 << 20,
            waiting_in_all: 256 << 20,
            connections: 50_000,
            connections_per_source: 256,
            joins_per_minute: 240,
            idle: Duration::from_secs(60),
        }
    }
}

/// Counters since the start of the relay.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rooms joined.
    pub joins: AtomicU64,
    /// Messages forwarded.
    pub frames: AtomicU64,
    /// Bytes of forwarded messages.
    pub bytes: AtomicU64,
    /// Messages whose addressee had left.
    pub undeliverable: AtomicU64,
    /// Clients that were refused or disconnected, by [`Refusal`].
    pub refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counts {
    /// Counts a refused client.
    pub fn refuse(&self, why: Refusal) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A message for a member, with its permits of the queue limits.
#[derive(Debug)]
pub struct Parcel {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// Released once it is sent.
    pub share: Share,
}

/// Permits of the member's queue limit, and of the common one.
pub type Share = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// The connection's end of a member.
#[derive(Debug)]
pub struct MemberEnd {
    /// Its name.
    pub me: Member,
    room: Room,
    role: Role,
    /// Its queue.
    pub parcels: mpsc::UnboundedReceiver<Parcel>,
    /// Notified when it is disconnected because it does not read.
    pub evicted: Arc<Notify>,
}

/// The data by which others reach a member.
#[derive(Clone, Debug)]
struct Place {
    room: Room,
    role: Role,
    queue: mpsc::UnboundedSender<Parcel>,
    budget: Arc<Semaphore>,
    in_all: Arc<Semaphore>,
    evicted: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<Room, Vec<Member>>,
    members: HashMap<Member, Place>,
    sources: HashMap<IpAddr, Source>,
    swept: Option<Instant>,
    connections: usize,
}

/// The counters of one address.
#[derive(Debug)]
struct Source {
    connections: usize,
    /// Joins that it may still make; they grow back with time.
    joins: f64,
    at: Instant,
}

/// The other relay processes of a cluster.
pub trait Cluster: fmt::Debug + Send + Sync {
    /// Tells the others that a member has joined a room here.
    fn announce<'a>(&'a self, room: &'a Room, role: Role, member: &'a Member) -> Promise<'a, ()>;

    /// Tells the others that a member has left.
    fn part<'a>(&'a self, room: &'a Room, role: Role, member: &'a Member) -> Promise<'a, ()>;

    /// Carries a client's message to the process of the member `to`. Waits while the cluster is
    /// busy.
    fn carry<'a>(
        &'a self,
        room: &'a Room,
        to: &'a Member,
        from: &'a Member,
        message: &'a [u8],
    ) -> Promise<'a, ()>;
}

/// A relay.
#[derive(Debug)]
pub struct Hub {
    /// Its limits.
    pub limits: Limits,
    /// Its counters.
    pub counts: Counts,
    state: Mutex<State>,
    in_all: Arc<Semaphore>,
    /// The id of this process within a cluster, which is the first half of its members' names.
    pub process: [u8; 4],
    next: AtomicU64,
    cluster: OnceLock<Box<dyn Cluster>>,
}

impl Hub {
    /// An empty relay. `process` is drawn at random, so that two processes of a cluster differ.
    pub fn new(limits: Limits, process: [u8; 4]) -> Self {
        Self {
            limits,
            counts: Counts::default(),
            state: Mutex::default(),
            in_all: Arc::new(Semaphore::new(limits.waiting_in_all.min(Semaphore::MAX_PERMITS))),
            process,
            next: AtomicU64::new(1),
            cluster: OnceLock::new(),
        }
    }

    /// Joins a cluster from now on.
    pub fn join_cluster(&self, cluster: Box<dyn Cluster>) {
        // Called once, before the first client, so it is not set yet.
        let _ = self.cluster.set(cluster);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of rooms, members and connections.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.rooms.len(), state.members.len(), state.connections)
    }

    /// Bytes that are queued for members.
    pub fn waiting(&self) -> usize {
        self.limits.waiting_in_all.saturating_sub(self.in_all.available_permits())
    }

    /// Admits a connection from `source`, for as long as the returned value lives.
    ///
    /// # Errors
    /// [`Refusal::TooManyConnections`].
    pub fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Admission, Refusal> {
        let source = network(source);
        let mut state = self.state();
        let from_there = state.sources.get(&source).map_or(0, |source| source.connections);
        if state.connections >= self.limits.connections
            || from_there >= self.limits.connections_per_source
        {
            return Err(Refusal::TooManyConnections);
        }
        let entry = state.sources.entry(source).or_insert_with(|| Source {
            connections: 0,
            joins: f64::from(self.limits.joins_per_minute),
            at: Instant::now(),
        });
        entry.connections += 1;
        state.connections += 1;
        Ok(Admission { hub: Arc::clone(self), source })
    }

    /// Puts a new member into a room and tells the members of the other role.
    ///
    /// # Errors
    /// The room is full, there are too many rooms, or this address joins too often.
    pub async fn enter(
        &self,
        admission: &Admission,
        role: Role,
        room: Room,
    ) -> Result<MemberEnd, Refusal> {
        let me = self.name();
        let (queue, parcels) = mpsc::unbounded_channel();
        let evicted = Arc::new(Notify::new());
        {
            let mut state = self.state();
            state.charge(admission.source, self.limits.joins_per_minute)?;
            let rooms = state.rooms.len();
            match state.rooms.get(&room) {
                None if rooms >= self.limits.rooms => return Err(Refusal::TooManyRooms),
                Some(members) if members.len() >= self.limits.members => {
                    return Err(Refusal::RoomFull);
                }
                _ => {}
            }
            let place = Place {
                room,
                role,
                queue,
                budget: Arc::new(Semaphore::new(self.limits.waiting.min(Semaphore::MAX_PERMITS))),
                in_all: Arc::clone(&self.in_all),
                evicted: Arc::clone(&evicted),
            };
            place.tell(&Said::Joined(me));
            for other in state.rooms.get(&room).into_iter().flatten() {
                if let Some(other_place) = state.members.get(other) {
                    match (role, other_place.role) {
                        (Role::Caller, Role::Listener) => place.tell(&Said::Here(*other)),
                        (Role::Listener, Role::Caller) => other_place.tell(&Said::Here(me)),
                        _ => {}
                    }
                }
            }
            state.members.insert(me, place);
            state.rooms.entry(room).or_default().push(me);
        }
        self.counts.joins.fetch_add(1, Ordering::Relaxed);
        if let Some(cluster) = self.cluster.get() {
            cluster.announce(&room, role, &me).await;
        }
        Ok(MemberEnd { me, room, role, parcels, evicted })
    }

    /// Removes a member from its room.
    pub async fn leave(&self, member: &MemberEnd) {
        self.forget(&member.me);
        if let Some(cluster) = self.cluster.get() {
            cluster.part(&member.room, member.role, &member.me).await;
        }
    }

    fn forget(&self, me: &Member) {
        let mut state = self.state();
        let Some(place) = state.members.remove(me) else { return };
        if let Some(members) = state.rooms.get_mut(&place.room) {
            members.retain(|member| member != me);
            if members.is_empty() {
                state.rooms.remove(&place.room);
            }
        }
        state.tell_others(&place.room, place.role, &Said::Gone(*me));
    }

    /// Forwards a client's message; waits while the addressee's queue is full. A message to a
    /// member that has left is dropped: its sender is told that the member is gone.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub async fn forward(&self, from: &Member, mut bytes: Vec<u8>) -> Result<(), Refusal> {
        let to = *addressee(&bytes).ok_or(Refusal::Malformed)?;
        self.counts.frames.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let (here, there) = {
            let state = self.state();
            let room = state.members.get(from).map(|place| place.room);
            (room, state.members.get(&to).cloned())
        };
        let Some(room) = here else { return Err(Refusal::Closing) };
        readdress(&mut bytes, from);
        match there {
            Some(place) if place.room == room => self.hand_over(&to, place, bytes).await,
            None if !to.starts_with(&self.process) => match self.cluster.get() {
                Some(cluster) => cluster.carry(&room, &to, from, &bytes).await,
                None => self.nobody(),
            },
            // A member can only reach members of its own room.
            _ => self.nobody(),
        }
        Ok(())
    }

    fn nobody(&self) {
        self.counts.undeliverable.fetch_add(1, Ordering::Relaxed);
    }

    async fn hand_over(&self, to: &Member, place: Place, bytes: Vec<u8>) {
        let size = cost(&bytes);
        let own = Arc::clone(&place.budget).acquire_many_owned(size);
        let Ok(Ok(own)) = timeout(SLOW, own).await else { return self.evict(to, &place) };
        loop {
            let all = Arc::clone(&self.in_all).acquire_many_owned(size);
            match timeout(CROWDED, all).await {
                Ok(Ok(all)) => return place.post(bytes, (own, Some(all))),
                // The common limit is used up by the member with the longest queue, which is
                // disconnected.
                Ok(Err(_)) | Err(_) => self.evict_slowest(),
            }
        }
    }

    /// Disconnects a member that does not read. Its connection counts it and ends.
    fn evict(&self, member: &Member, place: &Place) {
        self.forget(member);
        place.evicted.notify_one();
    }

    fn evict_slowest(&self) {
        let slowest = {
            let state = self.state();
            let room = |(_, place): &(&Member, &Place)| place.budget.available_permits();
            state.members.iter().min_by_key(room).map(|(member, place)| (*member, place.clone()))
        };
        if let Some((member, place)) = slowest {
            self.evict(&member, &place);
        }
    }

    /// Delivers a message from a member at another process of the cluster. Never waits: one task
    /// delivers to all members.
    pub fn arrive(&self, room: &Room, to: &Member, bytes: Vec<u8>) {
        let place = self.state().members.get(to).cloned();
        let Some(place) = place.filter(|place| place.room == *room) else { return self.nobody() };
        let size = cost(&bytes);
        let Ok(own) = Arc::clone(&place.budget).try_acquire_many_owned(size) else {
            return self.evict(to, &place);
        };
        match Arc::clone(&self.in_all).try_acquire_many_owned(size) {
            Ok(all) => place.post(bytes, (own, Some(all))),
            Err(_) => {
                self.evict_slowest();
                self.nobody();
            }
        }
    }

    /// A member joined its room at another process. Returns the listeners here that it has to know.
    pub fn joined_elsewhere(&self, room: &Room, role: Role, member: &Member) -> Vec<Member> {
        let state = self.state();
        if role == Role::Listener {
            state.tell_others(room, role, &Said::Here(*member));
            return Vec::new();
        }
        let members = state.rooms.get(room).into_iter().flatten();
        let listens = |m: &&Member| state.members.get(*m).is_some_and(|p| p.role == Role::Listener);
        members.filter(listens).copied().collect()
    }

    /// A listener at another process is in the room of the caller `to`.
    pub fn listener_elsewhere(&self, room: &Room, to: &Member, listener: &Member) {
        if let Some(place) = self.state().members.get(to).filter(|place| place.room == *room) {
            place.tell(&Said::Here(*listener));
        }
    }

    /// A member left its room at another process.
    pub fn left_elsewhere(&self, room: &Room, role: Role, member: &Member) {
        self.state().tell_others(room, role, &Said::Gone(*member));
    }

    /// All members here, to be announced again after an outage of the cluster.
    pub fn everybody(&self) -> Vec<(Room, Role, Member)> {
        let state = self.state();
        state.members.iter().map(|(member, place)| (place.room, place.role, *member)).collect()
    }

    fn name(&self) -> Member {
        let count = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let [p0, p1, p2, p3] = self.process;
        let [.., c0, c1, c2, c3] = count;
        [p0, p1, p2, p3, c0, c1, c2, c3]
    }
}

impl State {
    /// Charges a source for a join.
    fn charge(&mut self, source: IpAddr, per_minute: u32) -> Result<(), Refusal> {
        let Some(source) = self.sources.get_mut(&source) else { return Ok(()) };
        let most = f64::from(per_minute);
        source.joins = most.min(source.joins + source.at.elapsed().as_secs_f64() * most / 60.0);
        source.at = Instant::now();
        if source.joins < 1.0 {
            return Err(Refusal::TooManyJoins);
        }
        source.joins -= 1.0;
        Ok(())
    }

    /// Tells the members of the room with the other role.
    fn tell_others(&self, room: &Room, role: Role, said: &Said<'_>) {
        for other in self.rooms.get(room).into_iter().flatten() {
            if let Some(place) = self.members.get(other).filter(|place| place.role != role) {
                place.tell(said);
            }
        }
    }
}

impl Place {
    /// Messages of the relay itself never wait: a member whose queue is full is disconnected.
    fn tell(&self, said: &Said<'_>) {
        let bytes = said.to_bytes();
        let size = cost(&bytes);
        match Arc::clone(&self.budget).try_acquire_many_owned(size) {
            Ok(own) => {
                let all = Arc::clone(&self.in_all).try_acquire_many_owned(size).ok();
                self.post(bytes, (own, all));
            }
            Err(_) => self.evicted.notify_one(),
        }
    }

    fn post(&self, bytes: Vec<u8>, share: Share) {
        // The send fails only if the member has just left.
        let _ = self.queue.send(Parcel { bytes, share });
    }
}

/// An admitted connection.
#[derive(Debug)]
pub struct Admission {
    hub: Arc<Hub>,
    source: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        state.connections = state.connections.saturating_sub(1);
        let per_minute = f64::from(self.hub.limits.joins_per_minute);
        if let Some(source) = state.sources.get_mut(&self.source) {
            source.connections = source.connections.saturating_sub(1);
        }
        // An address is removed once its counters are back at their initial values.
        let swept_lately = state.swept.is_some_and(|swept| swept.elapsed() < SWEEP);
        if state.sources.len() > SOURCES && !swept_lately {
            state.swept = Some(Instant::now());
            state.sources.retain(|_, source| {
                let grown = source.at.elapsed().as_secs_f64() * per_minute / 60.0;
                source.connections > 0 || source.joins + grown < per_minute
            });
        }
    }
}

/// The unit that limits count as one source: an IPv4 address, or the /64 that one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// The bytes that a message counts in a queue: its own, and its overhead in memory.
fn cost(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len().saturating_add(KEEPING)).unwrap_or(u32::MAX)
}

/// Most bytes of memory that a queued message takes besides its own.
pub const KEEPING: usize = 128;
/// How long the common limit may be used up before the slowest member is disconnected.
const CROWDED: Duration = Duration::from_secs(1);
/// Shortest time between two searches for addresses to remove.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a member may not read before it is disconnected.
pub const SLOW: Duration = Duration::from_secs(10);
/// How many addresses are stored before those to remove are looked for.
const SOURCES: usize = 10_000;
