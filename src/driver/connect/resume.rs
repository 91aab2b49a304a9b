//! Links that outlive their connections, so that a ceremony goes on when one breaks.
//!
//! The device that called calls again, by any way that leads there now; the other one keeps the
//! session of the link and waits. Only the two ends of the first connection know the session, and
//! both prove on every further connection that they are the same two devices.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};

use crate::device::{Fingerprint, Label};
use crate::driver::connect::dial::reconnect;
use crate::driver::connect::hello::{DialError, HANDSHAKE, RETRY, say};
use crate::driver::connect::target::{Reached, Route, Target, Way};
use crate::driver::{Node, clock};
use crate::net::LinkError;
use crate::net::frame::{Life, Session};
use crate::net::resumable::{Reconnect, ResumableLink};
use crate::net::tls::TlsLink;
use crate::progress::Event;
use crate::request::Hex;
use crate::wire::{Message, Want};

/// How long a link may be without a connection.
pub const RESUME: Duration = Duration::from_secs(30);
/// How long a handshake may take on a link that may break meanwhile.
pub const OVER_A_BREAK: Duration = HANDSHAKE.saturating_add(RESUME);

/// How long a link may be without a connection if nothing listens at the device's address. Then its
/// program has most likely ended, and the state of the link with it.
const RESTART: Duration = Duration::from_secs(5);

/// The links that other devices have opened to this one.
#[derive(Debug, Default)]
pub struct IncomingLinks(Mutex<BTreeMap<Session, Entry>>);

#[derive(Debug)]
struct Entry {
    peer: Fingerprint,
    returning: mpsc::Sender<Back>,
    /// Notified when the caller connects with another request.
    here: watch::Sender<()>,
}

/// A new connection of the caller of a link.
#[derive(Debug)]
struct Back {
    link: TlsLink,
    /// How many of this device's frames it has.
    received: u64,
    way: Way,
}

impl IncomingLinks {
    /// Hands a connection over to the link that it resumes; returns it if there is none.
    pub fn resume(
        &self,
        link: TlsLink,
        session: &Session,
        received: u64,
        way: Way,
    ) -> Option<TlsLink> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.get(session).filter(|entry| entry.peer == link.peer()) {
            // If another connection is queued already, this one is not needed.
            Some(entry) => entry
                .returning
                .try_send(Back { link, received, way })
                .err()
                .map(|full| full.into_inner().link),
            None => Some(link),
        }
    }

    /// Notes that `peer` connected with another request: its broken links are resumed within five
    /// seconds, or its program was restarted and has lost them.
    pub fn is_here(&self, peer: &Fingerprint) {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.values().filter(|entry| entry.peer == *peer) {
            entry.here.send_replace(());
        }
    }

    fn forget(&self, session: &Session) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}

/// The link to a device that called over `link`. If it breaks, it waits for the caller to connect
/// again, unless `way` is a command's standard input and output.
pub fn answer(node: &Arc<Node>, name: Label, link: TlsLink, way: &Way) -> ResumableLink {
    let (peer, session, life) = (link.peer(), link.session(), link.life());
    let (returning, callers) = mpsc::channel(1);
    let (here, seen) = watch::channel(());
    if *way != Way::Command {
        let entry = Entry { peer, returning, here };
        let mut entries = node.incoming.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(session, entry);
    }
    let silence = silence(*way == Way::Command);
    let node = Arc::clone(node);
    ResumableLink::new(
        peer,
        link,
        Called { node, name, session, life, callers, back: None, seen, silence },
    )
}

/// The link to `target`, which this device called.
pub fn call(node: &Arc<Node>, target: &Target, reached: Reached) -> ResumableLink {
    let link = reached.link;
    let caller = Caller {
        node: Arc::clone(node),
        target: Target { fingerprint: Some(link.peer()), ..target.clone() },
        session: link.session(),
        life: link.life(),
    };
    ResumableLink::new(link.peer(), link, caller)
}

/// The called end of a link, which waits for the caller to connect again.
struct Called {
    node: Arc<Node>,
    name: Label,
    session: Session,
    life: Life,
    callers: mpsc::Receiver<Back>,
    back: Option<Back>,
    seen: watch::Receiver<()>,
    silence: Duration,
}

impl Reconnect for Called {
    type Link = TlsLink;

    fn silence(&self) -> Duration {
        self.silence
    }

    async fn replaced(&mut self) {
        if self.back.is_none() {
            match self.callers.recv().await {
                Some(back) => self.back = Some(back),
                // This link cannot be resumed, or no longer.
                None => std::future::pending().await,
            }
        }
    }

    async fn reconnect(&mut self, received: u64) -> Result<(TlsLink, u64), LinkError> {
        let mut until = self.node.deadline_within(RESUME);
        self.seen.mark_unchanged();
        // If the caller connected again before the break was noticed, nothing is told.
        let is_news = !self.callers.is_closed() && self.back.is_none();
        if is_news {
            self.node.tell(lost(&self.name, until));
        }
        loop {
            let back = match self.back.take() {
                Some(back) => Some(back),
                None => tokio::select! {
                    back = self.callers.recv() => back,
                    Ok(()) = self.seen.changed() => {
                        until = until.min(clock::now() + RESTART);
                        continue;
                    }
                    () = sleep_until(until.into()) => None,
                },
            };
            let Some(Back { link, received: theirs, way }) = back else {
                return Err(LinkError::Lost);
            };
            let mut link = link.living(self.life);
            // If this connection broke too, the caller may connect once more.
            if say(&mut link, &Message::Resumed { received }).await.is_ok() {
                if is_news {
                    self.node.tell(found(&self.name, &way));
                }
                return Ok((link, theirs));
            }
        }
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        self.node.incoming.forget(&self.session);
    }
}

/// The calling end of a link, which connects again.
struct Caller {
    node: Arc<Node>,
    target: Target,
    session: Session,
    life: Life,
}

impl Reconnect for Caller {
    type Link = TlsLink;

    fn silence(&self) -> Duration {
        silence(matches!(self.target.route, Route::Via(_)))
    }

    fn replaced(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    async fn reconnect(&mut self, received: u64) -> Result<(TlsLink, u64), LinkError> {
        if matches!(self.target.route, Route::Via(_)) {
            return Err(LinkError::Lost);
        }
        let began = clock::now();
        let until = self.node.deadline_within(RESUME);
        self.node.tell(lost(&self.target.name, until));
        let want = Want::Resume { session: Hex(self.session), received };
        loop {
            match reconnect(&self.node, &self.target, want, until).await {
                Ok((reached, theirs)) => {
                    self.node.tell(found(&self.target.name, &reached.way));
                    return Ok((reached.link.living(self.life), theirs));
                }
                // Another process may have given the answer, so it is final only after [`RESTART`].
                Err(DialError::UnknownSession | DialError::NotListening(_))
                    if clock::now() >= began + RESTART =>
                {
                    return Err(LinkError::Lost);
                }
                Err(_) if clock::now() + RETRY >= until => return Err(LinkError::Lost),
                Err(_) => sleep(RETRY).await,
            }
        }
    }
}

/// How long the other side may be silent. A command may use a serial line, on which messages take
/// long and nothing can be resumed.
fn silence(command: bool) -> Duration {
    Duration::from_secs(if command { 120 } else { 16 })
}

fn lost(name: &Label, until: Instant) -> Event {
    let left = until.saturating_duration_since(clock::now());
    Event::Disconnected { peer: name.to_string(), seconds: left.as_secs() }
}

fn found(name: &Label, way: &Way) -> Event {
    let (peer, via) = (name.to_string(), way.to_string());
    Event::Connected { peer, via, resumed: true, request_id: None }
}
