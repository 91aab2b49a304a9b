//! A byte stream inside other messages, for two devices that communicate through a third or through
//! a relay.
//!
//! The two run TLS over the stream end to end, so the device or relay between them forwards
//! ciphertext. The caller routes the messages: bytes written to the stream come out of the
//! [`Outlet`] in chunks, and chunks put into the [`Inlet`] can be read from it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream, ReadBuf, duplex, join};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Io, LinkError};

/// A stream with its outlet and its inlet. Every chunk from the outlet begins with `route`.
pub fn tunnel(route: Vec<u8>) -> (Box<dyn Io>, Outlet, Inlet) {
    // Only one direction of a duplex stream, since that ends when either side is dropped.
    let (written, taken) = duplex(CHUNK);
    let (fed, chunks) = mpsc::channel(BACKLOG);
    let stream = join(Chunks::new(chunks), written);
    (Box::new(stream), Outlet { route, taken }, Inlet(fed))
}

/// The chunks of the bytes written to the stream.
#[derive(Debug)]
pub struct Outlet {
    route: Vec<u8>,
    taken: DuplexStream,
}

impl Outlet {
    /// The next chunk: the route, then at most 32 KiB. `None` once the stream is shut or gone.
    /// Cancel-safe. While no chunks are taken the writer waits.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let routed = self.route.len();
        let mut chunk = self.route.clone();
        chunk.resize(routed + CHUNK, 0);
        let room = chunk.get_mut(routed..)?;
        let count = self.taken.read(room).await.ok().filter(|count| *count > 0)?;
        chunk.truncate(routed + count);
        Some(chunk)
    }
}

/// Takes chunks for the stream. Dropping it ends the stream for its reader.
#[derive(Debug)]
pub struct Inlet(mpsc::Sender<Vec<u8>>);

impl Inlet {
    /// Adds what followed the route in a frame. Never waits: the loop that feeds a tunnel also
    /// empties it, so waiting could deadlock.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if a frame holds more than an [`Outlet`] puts into one, or if 4 MiB
    /// lie unread; [`LinkError::Closed`] once the stream is gone.
    pub fn feed(&self, bytes: &[u8]) -> Result<(), LinkError> {
        if bytes.len() > CHUNK {
            return Err(LinkError::Malformed("tunnel frame too long"));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.try_send(bytes.to_vec()).map_err(|error| match error {
            TrySendError::Full(_) => LinkError::Malformed("tunnel overrun"),
            TrySendError::Closed(_) => LinkError::Closed,
        })
    }
}

impl Inlet {
    /// As [`feed`](Self::feed), for a caller that can wait for space.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if there are more bytes than an [`Outlet`] hands out at once;
    /// [`LinkError::Closed`] once the stream is gone.
    pub async fn push(&self, bytes: &[u8]) -> Result<(), LinkError> {
        if bytes.len() > CHUNK {
            return Err(LinkError::Malformed("tunnel frame too long"));
        }
        self.0.send(bytes.to_vec()).await.map_err(|_| LinkError::Closed)
    }

    /// Whether the reader of the stream is gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Reads chunks of a channel as one stream.
#[derive(Debug)]
pub(super) struct Chunks {
    chunks: mpsc::Receiver<Vec<u8>>,
    current: Vec<u8>,
    read: usize,
}

impl Chunks {
    pub(super) fn new(chunks: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { chunks, current: Vec::new(), read: 0 }
    }
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.read >= self.current.len() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => {
                    self.current = chunk;
                    self.read = 0;
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let unread = self.current.get(self.read..).unwrap_or_default();
        let count = unread.len().min(buf.remaining());
        buf.put_slice(unread.get(..count).unwrap_or_default());
        self.read = self.read.saturating_add(count);
        Poll::Ready(Ok(()))
    }
}

/// Most bytes of one frame, and of written bytes that wait to be taken.
const CHUNK: usize = 32 * 1024;

/// How many chunks may wait to be read.
const BACKLOG: usize = 128;
