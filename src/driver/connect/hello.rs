//! The first messages on a connection: TLS, `hello`, and the answer to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::{timeout, timeout_at};

use crate::device::Label;
use crate::driver::connect::target::{Reached, Route, Target, Way};
use crate::driver::error::{Ability, Error};
use crate::driver::{Node, clock};
use crate::net::tls::{Expect, Tls, TlsLink};
use crate::net::{Dialer, Frame, Io, Kind, Link, LinkError};
use crate::wire::{self, About, Message, NoMessage, Reason, Want};

/// How long a TLS handshake and the greeting after it may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause between two attempts to reach a device.
pub const RETRY: Duration = Duration::from_millis(300);

/// Sends one control message.
///
/// # Errors
/// The link is down.
pub async fn say(link: &mut impl Link, message: &Message) -> Result<(), LinkError> {
    link.send(Frame::new(Kind::Control, message.to_bytes())).await
}

/// Ends a link once its last message has been written.
pub async fn hang_up(link: impl Link) {
    let _ = timeout(Duration::from_millis(500), link.close()).await;
}

/// Answers the greeting of the caller at the other end of `link`.
///
/// # Errors
/// The link is down.
pub async fn welcome(node: &Node, link: &mut TlsLink) -> Result<(), LinkError> {
    let about = introduction(link, node.remember_pairings);
    let about = about.map(|about| About { gathers: node.gathers(), ..about });
    say(link, &Message::Welcome { name: Label::new(&node.info.name), about }).await
}

/// This program's description for `link`; `None` for a version without it.
fn introduction(link: &TlsLink, keeps: bool) -> Option<About> {
    link.introduces().then(|| About::this_program(keeps))
}

/// Receives one control message. One that this version cannot read is refused by its name.
///
/// # Errors
/// The link is down, `within` passed, or the frame holds something else.
pub async fn hear(link: &mut impl Link, within: Instant) -> Result<Message, LinkError> {
    let frame = timeout_at(within.into(), link.recv()).await.map_err(|_| LinkError::TimedOut)??;
    let read = read(&frame);
    if let Err(LinkError::NotUnderstood(message)) = read {
        // Fails if the link is down; the error is of the message all the same.
        let _ = say(link, &Message::Refuse { reason: Reason::NotUnderstood { message } }).await;
    }
    read
}

/// The control message in `frame`.
///
/// # Errors
/// [`LinkError::NotUnderstood`] for a message with a name that this version cannot read, and
/// [`LinkError::Malformed`] for anything else.
pub fn read(frame: &Frame) -> Result<Message, LinkError> {
    if frame.kind != Kind::Control {
        return Err(LinkError::Malformed("expected a control message"));
    }
    Message::from_bytes(&frame.payload).map_err(|NoMessage(name)| match name {
        Some(name) => LinkError::NotUnderstood(name),
        None => LinkError::Malformed("control message"),
    })
}

/// One attempt to reach a device, by several ways at once.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) tls: Tls,
    pub(super) dialer: Arc<dyn Dialer>,
    /// This device's name for itself.
    pub(super) name: Label,
    /// Whether its owner wants to keep pairings.
    pub(super) keeps: bool,
    pub(super) target: Target,
    pub(super) want: Want,
    pub(super) within: Instant,
    /// Held while one connection exchanges `hello`: several connections may lead to the device, and
    /// only one is to make the request. True once the device has answered.
    pub(super) floor: Arc<Mutex<bool>>,
}

impl Call {
    pub(super) fn new(node: &Node, target: &Target, want: Want, within: Instant) -> Self {
        Self {
            tls: node.tls.clone(),
            dialer: Arc::clone(&node.dialer),
            name: Label::new(&node.info.name),
            keeps: node.remember_pairings,
            target: target.clone(),
            want,
            within,
            floor: Arc::default(),
        }
    }
}

/// Does the TLS handshake and exchanges the first messages. With TLS 1.3 a client does not know that its
/// certificate was accepted until the server has sent something.
pub(super) async fn greet(call: Call, io: Box<dyn Io>, way: Way) -> Answer {
    let Call { tls, name, keeps, target, want, within, floor, .. } = call;
    let expect = target.fingerprint.map_or(Expect::Anyone, Expect::Pinned);
    let whom = &target.name;
    let connecting = timeout_at(within.into(), tls.connect(io, expect)).await;
    let connected = connecting.unwrap_or(Err(LinkError::TimedOut));
    let mut link = connected.map_err(|e| match (&e, &target.route) {
        (LinkError::Identity { got, .. }, Route::Room(..)) => {
            DialError::Fatal(Error::NotTheInviter { got: *got })
        }
        // An announced address or a room may lead to any device, so a wrong certificate there is no
        // answer of the device.
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
    if want == Want::Group && !link.introduces() {
        let (peer, ability) = (whom.clone(), Ability::Group);
        return Err(DialError::Fatal(Error::Unsupported { peer, program: None, ability }));
    }
    let mut answered = floor.lock().await;
    if *answered {
        return Err(DialError::Retryable(nobody(whom)));
    }
    let about = introduction(&link, keeps);
    let hello = Message::Hello { version: wire::VERSION, name, want, about };
    say(&mut link, &hello).await.map_err(|e| failed(whom, e))?;
    match hear(&mut link, within).await.map_err(|e| failed(whom, e))? {
        Message::Welcome { about: Some(about), .. }
            if about.versions.common(wire::VERSIONS).is_none() =>
        {
            let _ = say(&mut link, &Message::Refuse { reason: Reason::Version }).await;
            hang_up(link).await;
            Err(DialError::Fatal(Error::refused(whom, Reason::Version)))
        }
        Message::Welcome { name, about } => {
            *answered = true;
            Ok((Reached { link, name, way, about }, None))
        }
        Message::Resumed { received } => {
            *answered = true;
            let name = target.name.clone();
            Ok((Reached { link, name, way, about: None }, Some(received)))
        }
        Message::Refuse { reason: Reason::Gone } => Err(DialError::UnknownSession),
        Message::Refuse { reason: reason @ (Reason::Busy { .. } | Reason::Crossed) } => {
            Err(DialError::Busy(Error::refused(whom, reason)))
        }
        Message::Refuse { reason } => Err(DialError::Fatal(Error::refused(whom, reason))),
        _ => Err(DialError::Fatal(Error::nonsense(whom))),
    }
}

/// The result of a call, with the number of frames that the device has if it resumes a session.
pub(super) type Answer = Result<(Reached, Option<u64>), DialError>;

/// Why one attempt to reach a device failed.
#[derive(Debug)]
pub enum DialError {
    /// No further attempt can succeed.
    Fatal(Error),
    /// The device does not know the session that is to be resumed.
    UnknownSession,
    /// A further attempt may succeed.
    Retryable(Error),
    /// The device answers that it is busy.
    Busy(Error),
    /// Another device answers at an address that only mDNS or a relay named.
    OthersAnswer(Error),
    /// The machine answers, and nothing listens at the port.
    NotListening(Error),
    /// The deadline passed without an answer. An earlier error says more.
    DeadlineExceeded(Error),
}

impl DialError {
    /// Whether another device than the target answered.
    pub(super) fn is_of_identity(&self) -> bool {
        let Self::Fatal(error) = self else { return false };
        matches!(error, Error::NotTheInviter { .. } | Error::Link { .. })
    }

    /// Whether the device may still be found by another attempt.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Retryable(_) | Self::Busy(_) | Self::OthersAnswer(_) | Self::NotListening(_) => {
                true
            }
            Self::Fatal(_) => self.is_of_identity(),
            Self::UnknownSession | Self::DeadlineExceeded(_) => false,
        }
    }

    /// The more informative of two errors: an answer says more than silence.
    pub(super) fn or(self, other: Option<Self>) -> Self {
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

/// Others answer where `target` was looked for.
pub(super) fn others_answer(target: &Target, others: usize) -> Error {
    let peer = target.name.clone();
    match target.fingerprint {
        Some(pinned) => Error::OthersAnswer { peer, pinned, others },
        None => Error::Nobody { peer },
    }
}

pub(super) fn nobody(peer: &Label) -> Error {
    Error::Nobody { peer: peer.clone() }
}

pub(super) fn failed(peer: &Label, error: LinkError) -> DialError {
    let kind = match error {
        LinkError::Identity { .. }
        | LinkError::Refused
        | LinkError::Malformed(_)
        | LinkError::NotUnderstood(_) => DialError::Fatal,
        LinkError::NotListening(_) => DialError::NotListening,
        _ => DialError::Retryable,
    };
    kind(Error::link(peer, error))
}

pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(clock::now())
}
