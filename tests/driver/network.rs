//! A network within one process: connections that delay, stall and break, by a seed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cosign::net::{Acceptor, Dialer, Io, LinkError, Promise};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::seed::Seed;

/// The misfortunes of links; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    /// The longest that bytes take; each piece takes a random part of it.
    pub(crate) delay: Duration,
    /// How many of a thousand pieces break their connection.
    pub(crate) breaks: u64,
    /// How often that happens at most.
    pub(crate) at_most: u32,
}

/// The place of device `number`.
pub(crate) fn place(number: usize) -> SocketAddr {
    let last = u8::try_from(number).unwrap() + 1;
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 46737))
}

pub(crate) type Caller = (Box<dyn Io>, SocketAddr);

#[derive(Debug)]
struct Connection {
    ends: [SocketAddr; 2],
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct State {
    seed: Seed,
    conditions: Conditions,
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Caller>>,
    connections: Vec<Connection>,
    /// The dialling devices, and whether each is gone.
    dialers: Vec<(SocketAddr, Arc<AtomicBool>)>,
    /// How many connections were made at all.
    made: usize,
    broken: u32,
    /// After how many more pieces the connection breaks that carried the last of them.
    left: Option<u32>,
}

/// The network that all devices of a world are on.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
    /// Devices whose bytes go nowhere, without their connections being broken.
    silent: Arc<watch::Sender<Vec<SocketAddr>>>,
    /// Devices whose program stands still, and whose system takes connections all the same.
    frozen: Arc<watch::Sender<Vec<SocketAddr>>>,
}

impl Network {
    pub(crate) fn new(seed: Seed, conditions: Conditions) -> Self {
        let (listeners, connections, dialers) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (made, broken, left) = (0, 0, None);
        let state = State { seed, conditions, listeners, connections, dialers, made, broken, left };
        Self { state: Arc::new(Mutex::new(state)), silent: Arc::default(), frozen: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on nothing happens on the way.
    pub(crate) fn heal(&self) {
        self.state().conditions = Conditions::default();
        for stopped in [&self.silent, &self.frozen] {
            stopped.send_replace(Vec::new());
        }
    }

    /// The end of device `number` that dials, until the device is removed.
    pub(crate) fn dialer(&self, number: usize) -> Arc<dyn Dialer> {
        let dead = Arc::new(AtomicBool::new(false));
        self.state().dialers.push((place(number), Arc::clone(&dead)));
        Arc::new(Phone { network: self.clone(), from: place(number), dead })
    }

    /// Device `number` listens from now on.
    pub(crate) fn listen(&self, number: usize) -> Box<dyn Acceptor> {
        let (calls, callers) = mpsc::channel(16);
        self.state().listeners.insert(place(number), calls);
        Box::new(Bell(tokio::sync::Mutex::new(callers)))
    }

    /// Removes device `number`: its connections break, and it neither answers nor calls.
    pub(crate) fn remove(&self, number: usize) {
        let gone = place(number);
        self.state().listeners.remove(&gone);
        let own = |(from, _): &&(SocketAddr, _)| *from == gone;
        self.state().dialers.iter().filter(own).for_each(|(_, dead)| dead.store(true, Relaxed));
        self.hang_up(number);
    }

    /// Device `number` is out of reach, and runs on.
    pub(crate) fn take_away(&self, number: usize) -> mpsc::Sender<Caller> {
        let listener = self.state().listeners.remove(&place(number)).unwrap();
        self.hang_up(number);
        listener
    }

    /// Device `number` is in reach again.
    pub(crate) fn bring_back(&self, number: usize, listener: mpsc::Sender<Caller>) {
        self.state().listeners.insert(place(number), listener);
    }

    /// Breaks all connections of device `number`.
    pub(crate) fn hang_up(&self, number: usize) {
        let gone = place(number);
        self.state().connections.retain(|connection| {
            let concerned = connection.ends.contains(&gone);
            if concerned {
                connection.tasks.iter().for_each(AbortHandle::abort);
            }
            !concerned
        });
    }

    /// From now on nothing from or to device `number` arrives, and its links do not break.
    pub(crate) fn silence(&self, number: usize) {
        self.silent.send_modify(|silent| silent.push(place(number)));
    }

    /// The program of device `number` stands still from now on.
    pub(crate) fn freeze(&self, number: usize) {
        self.frozen.send_modify(|frozen| frozen.push(place(number)));
    }

    /// The connection that carries the last of the next `pieces` breaks right after it.
    pub(crate) fn break_after(&self, pieces: u32) {
        self.state().left = Some(pieces);
    }

    /// Whether the piece that was carried just now is the last of its connection.
    fn was_the_last(&self) -> bool {
        let mut state = self.state();
        state.left = state.left.and_then(|left| left.checked_sub(1));
        state.left == Some(0)
    }

    /// How many connections were made.
    pub(crate) fn connections_made(&self) -> usize {
        self.state().made
    }

    /// How many connections broke by chance.
    pub(crate) fn broken(&self) -> u32 {
        self.state().broken
    }

    /// How long the next piece takes; `None` where it breaks the connection.
    fn fate(&self) -> Option<Duration> {
        let mut state = self.state();
        let Conditions { delay, breaks, at_most } = state.conditions;
        if state.broken < at_most && state.seed.below(1000) < breaks {
            state.broken += 1;
            return None;
        }
        let millis = u64::try_from(delay.as_millis()).unwrap();
        Some(Duration::from_millis(state.seed.below(millis + 1)))
    }

    /// Waits until bytes get from one of `ends` to the other.
    async fn until_heard(&self, ends: [SocketAddr; 2]) {
        until_none(&self.silent, ends).await;
    }

    /// Waits until the programs at both `ends` run.
    async fn until_running(&self, ends: [SocketAddr; 2]) {
        until_none(&self.frozen, ends).await;
    }

    fn connect(&self, from: SocketAddr, to: SocketAddr) -> Result<DuplexStream, LinkError> {
        let Some(calls) = self.state().listeners.get(&to).cloned() else {
            return Err(LinkError::NotListening(format!("nobody listens at {to}")));
        };
        let ((near, here), (far, there)) = (duplex(1 << 16), duplex(1 << 16));
        if calls.try_send((Box::new(far), from)).is_err() {
            return Err(LinkError::NotListening(format!("nobody listens at {to} any more")));
        }
        let ((out, back), (there_out, there_in)) = (split(here), split(there));
        let ends = [from, to];
        let tasks = [(out, there_in), (there_out, back)].map(|(read, write)| {
            tokio::spawn(carry(self.clone(), ends, read, write)).abort_handle()
        });
        let mut state = self.state();
        state.made += 1;
        state.connections.push(Connection { ends, tasks });
        Ok(near)
    }

    /// Breaks one connection.
    fn cut(&self, ends: [SocketAddr; 2], own: tokio::task::Id) {
        let mut state = self.state();
        let of = |c: &Connection| c.ends == ends && c.tasks.iter().any(|t| t.id() == own);
        if let Some(at) = state.connections.iter().position(of) {
            let connection = state.connections.swap_remove(at);
            connection.tasks.iter().for_each(AbortHandle::abort);
        }
    }
}

/// Waits until none of `ends` is among the `stopped`.
async fn until_none(stopped: &watch::Sender<Vec<SocketAddr>>, ends: [SocketAddr; 2]) {
    let mut stopped = stopped.subscribe();
    stopped.wait_for(|all| !ends.iter().any(|end| all.contains(end))).await.unwrap();
}

/// Carries one direction of a connection until an end is gone or it breaks.
async fn carry(
    network: Network,
    ends: [SocketAddr; 2],
    mut read: ReadHalf<DuplexStream>,
    mut write: WriteHalf<DuplexStream>,
) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = read.read(&mut piece).await {
        network.until_heard(ends).await;
        match network.fate() {
            Some(delay) => sleep(delay).await,
            None => return network.cut(ends, tokio::task::id()),
        }
        network.until_heard(ends).await;
        network.until_running(ends).await;
        if write.write_all(&piece[..length]).await.is_err() {
            break;
        }
        if network.was_the_last() {
            return network.cut(ends, tokio::task::id());
        }
    }
    // The end of one direction is told, and the other goes on.
    let _ = write.shutdown().await;
}

#[derive(Debug)]
struct Phone {
    network: Network,
    from: SocketAddr,
    dead: Arc<AtomicBool>,
}

impl Dialer for Phone {
    fn dial(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Promise<'_, Result<Box<dyn Io>, LinkError>> {
        Box::pin(async move {
            let network = &self.network;
            let work = async {
                network.until_heard([self.from, address]).await;
                sleep(network.fate().unwrap_or_default()).await;
                if self.dead.load(Relaxed) {
                    return Err(LinkError::Unreachable("this device is gone".to_owned()));
                }
                network.connect(self.from, address).map(|io| Box::new(io) as Box<dyn Io>)
            };
            tokio::time::timeout(within, work).await.unwrap_or(Err(LinkError::TimedOut))
        })
    }
}

#[derive(Debug)]
struct Bell(tokio::sync::Mutex<mpsc::Receiver<Caller>>);

impl Acceptor for Bell {
    fn accept(&self) -> Promise<'_, (Box<dyn Io>, SocketAddr)> {
        Box::pin(async move {
            match self.0.lock().await.recv().await {
                Some(caller) => caller,
                None => std::future::pending().await,
            }
        })
    }
}
