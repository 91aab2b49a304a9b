//! Links that outlive their connections: a ceremony goes on when one breaks.
//!
//! The device that called calls again, by whatever way leads there now; the other one keeps the
//! link's name and waits. The name is known to the two ends of the first connection alone, and
//! both prove on every further one that they are the same two devices.

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

/// How long a connection may be gone.
pub const RESUME: Duration = Duration::from_secs(30);
/// How long something that belongs to a handshake may take on a link that may break meanwhile.
pub const OVER_A_BREAK: Duration = HANDSHAKE.saturating_add(RESUME);

/// How long a device may be gone where nothing listens at its address. Its program has most likely ended,
/// and the state of the link with it.
const RESTART: Duration = Duration::from_secs(5);

/// The links that other devices called this one on.
#[derive(Debug, Default)]
pub struct IncomingLinks(Mutex<BTreeMap<Session, Entry>>);

#[derive(Debug)]
struct Entry {
    peer: Fingerprint,
    returning: mpsc::Sender<Back>,
    /// Told when the caller reaches this device with something else.
    here: watch::Sender<()>,
}

/// A caller that is back.
#[derive(Debug)]
struct Back {
    link: TlsLink,
    /// How many of our frames it has.
    received: u64,
    way: Way,
}

impl IncomingLinks {
    /// Hands a connection over to the link that it goes on for; gives it back if there is none.
    pub fn resume(
        &self,
        link: TlsLink,
        session: &Session,
        received: u64,
        way: Way,
    ) -> Option<TlsLink> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.get(session).filter(|entry| entry.peer == link.peer()) {
            // Where another connection is queued already, this one is not needed.
            Some(entry) => entry
                .returning
                .try_send(Back { link, received, way })
                .err()
                .map(|full| full.into_inner().link),
            None => Some(link),
        }
    }

    /// The device `peer` reaches this one with something else: its broken links are resumed within
    /// five seconds, or their program has ended.
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

/// The link to a device that called over `link`. It waits for the caller to come back if there
/// is a way back: `way` is no command's standard input and output.
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

/// The link of the device that called `target`.
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

/// The end of a link that waits for the other side to call again.
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
        // A caller that was back before the break was noticed is no news, however often that happens.
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
            // Where this connection has broken too, the caller may come back over another.
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

/// The end of a link that calls again.
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
                // The answer may be of another process of that device, so it is not final at once.
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

/// How long the other side may be silent. A command may lead over a serial line, where a message takes
/// its time and nothing can be resumed.
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
