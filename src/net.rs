//! Links between devices: one frame out, one frame in, close.
//!
//! A link is authenticated, encrypted and ordered; its content is up to the caller. Two kinds
//! exist: TLS over any byte stream ([`tls`] over [`tcp`], [`stdio`], a [`tunnel`] through a third
//! device or a room of a [`relay`]), and [`memory`] for tests. A [`resumable`] link has a task of
//! its own, which reads while it writes, and goes on over another connection when one breaks.
//! [`mdns`] finds devices; its answers are only hints.

pub mod address;
mod calendar;
pub mod frame;
pub mod interface;
pub mod mdns;
pub mod memory;
pub mod relay;
pub mod resumable;
pub mod stdio;
pub mod tcp;
pub mod tls;
pub mod tunnel;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::device::{Fingerprint, Word};

/// A byte stream to another device.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// The boxed future of a method of a trait object.
pub type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes connections to addresses: over TCP ([`tcp::Tcp`]), or over a simulated network in tests.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Connects to `address`.
    ///
    /// # Errors
    /// [`LinkError::NotListening`] if the machine is there and nothing listens, [`LinkError::Unreachable`],
    /// [`LinkError::TimedOut`] if nothing happens for as long as `within`.
    fn dial(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Promise<'_, Result<Box<dyn Io>, LinkError>>;
}

/// Takes connections, as [`tcp::Listener`] does.
pub trait Acceptor: fmt::Debug + Send + Sync {
    /// The next connection and where it comes from. Cancel-safe.
    fn accept(&self) -> Promise<'_, (Box<dyn Io>, SocketAddr)>;
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Messages of the driver: requests, answers, aborts.
    Control = 0,
    /// A message of a ceremony.
    Protocol = 1,
    /// Bytes of a link between two other devices.
    Tunnel = 2,
    /// The end of the link; the link itself sends and takes it.
    Close = 3,
    /// How many frames have arrived; a [`resumable`] link sends and takes it.
    Receipt = 4,
    /// A part of the payload, after the proposal that describes it.
    Payload = 5,
}

/// One message of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: Kind,
    /// At most [`MAX_FRAME`] bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of kind `kind`.
    pub fn new(kind: Kind, payload: Vec<u8>) -> Self {
        Self { kind, payload }
    }
}

/// The longest payload of a frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// A link to one other device.
pub trait Link: Send + 'static {
    /// The half that sends.
    type Sender: Sender;
    /// The half that receives.
    type Receiver: Receiver;

    /// Sends one frame and flushes it. Not cancel-safe: after a cancelled `send` the link is of no
    /// use. Two devices that send long frames to each other at once need a [`resumable`] link.
    fn send(&mut self, frame: Frame) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// The next frame, never one of [`Kind::Close`]: that is [`LinkError::Closed`]. Cancel-safe.
    fn recv(&mut self) -> impl Future<Output = Result<Frame, LinkError>> + Send;

    /// Tells the other side that the link ends, if it still listens.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// The two halves, which can wait at the same time.
    fn split(self) -> (Self::Sender, Self::Receiver);
}

/// The sending half of a link.
pub trait Sender: Send + 'static {
    /// As [`Link::send`].
    fn send(&mut self, frame: Frame) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// As [`Link::close`].
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// The receiving half of a link.
pub trait Receiver: Send + 'static {
    /// As [`Link::recv`].
    fn recv(&mut self) -> impl Future<Output = Result<Frame, LinkError>> + Send;
}

/// Why a link could not be made or cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// No answer from the address: connection refused, no route, no such host or command.
    Unreachable(String),
    /// The machine answers, and nothing listens at the port.
    NotListening(String),
    /// The other side ended the link.
    Closed,
    /// The connection broke, or the other side ended without a farewell.
    Lost,
    /// The other side did not answer in time.
    TimedOut,
    /// The other side has the certificate of another device than the expected one.
    Identity {
        /// The device that was expected.
        expected: Fingerprint,
        /// The device that answered.
        got: Fingerprint,
    },
    /// The other side does not accept this device's certificate.
    Refused,
    /// The other side sent something that is no valid frame.
    Malformed(&'static str),
    /// The other side sent a message of this name that this version cannot read.
    NotUnderstood(Word),
    /// The link has reached the end of its lifetime.
    Expired,
    /// The TLS handshake or record layer failed.
    Tls(String),
    /// An error of the operating system.
    Io(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(what) | Self::NotListening(what) => {
                write!(f, "cannot connect: {what}")
            }
            Self::Closed => f.write_str("the other side ended the link"),
            Self::Lost => f.write_str("the connection broke"),
            Self::TimedOut => f.write_str("the other side did not answer in time"),
            Self::Identity { expected, got } => write!(
                f,
                "device {} answered in place of device {}",
                got.device_id(),
                expected.device_id()
            ),
            Self::Refused => f.write_str("the other side does not accept this device"),
            Self::Malformed(what) => write!(f, "the other side sent an invalid frame: {what}"),
            Self::NotUnderstood(message) => {
                write!(
                    f,
                    "the other side sent a message that is not understood: {:?}",
                    message.as_str()
                )
            }
            Self::Expired => f.write_str("the link has reached its age limit"),
            Self::Tls(what) => write!(f, "secure connection failed: {what}"),
            Self::Io(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LinkError {}

impl From<io::Error> for LinkError {
    /// An end of the stream in any form is [`LinkError::Lost`]; errors of the TLS layer are
    /// translated by [`tls`].
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Is;
        if let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            return tls::meaning(error);
        }
        match error.kind() {
            Is::UnexpectedEof | Is::BrokenPipe | Is::ConnectionReset | Is::ConnectionAborted => {
                Self::Lost
            }
            Is::TimedOut => Self::TimedOut,
            _ => Self::Io(error.to_string()),
        }
    }
}
