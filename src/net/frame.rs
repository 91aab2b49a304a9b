//! The encoding of frames. Limits and order are checked before anything is stored.
//!
//! ```text
//! length   4  big-endian, the bytes after it: 26 to 26 + MAX_FRAME
//! version  1  1
//! kind     1  a Kind
//! session 16  the same in both directions, another for every link
//! sequence 8  big-endian, from 0, one series per direction
//! payload     at most MAX_FRAME bytes
//! ```

use std::future::Future;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::{Frame, Kind, LinkError, MAX_FRAME};

/// The bytes before a frame's payload.
pub const HEADER: usize = 30;

/// The version of this encoding.
pub const VERSION: u8 = 1;

/// Identifies a link, so that a frame of another link is refused.
pub type Session = [u8; 16];

/// Turns frames into bytes, in one direction of one link.
#[derive(Debug)]
pub struct Encoder {
    session: Session,
    sequence: u64,
}

impl Encoder {
    /// The first frame gets sequence number 0.
    pub fn new(session: Session) -> Self {
        Self { session, sequence: 0 }
    }

    /// Appends `frame` to `out`.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if the payload is longer than [`MAX_FRAME`]; nothing is appended.
    pub fn encode(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), LinkError> {
        if frame.payload.len() > MAX_FRAME {
            return Err(TOO_LONG);
        }
        let length = AFTER_LENGTH.saturating_add(frame.payload.len());
        out.reserve(HEADER.saturating_add(frame.payload.len()));
        out.extend_from_slice(&u32::try_from(length).map_err(|_| TOO_LONG)?.to_be_bytes());
        out.extend_from_slice(&[VERSION, frame.kind as u8]);
        out.extend_from_slice(&self.session);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&frame.payload);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}

/// Turns bytes into frames, in one direction of one link.
///
/// After an error it never decodes again.
#[derive(Debug)]
pub struct Decoder {
    session: Session,
    sequence: u64,
    buffer: Vec<u8>,
}

impl Decoder {
    /// Expects sequence number 0 first.
    pub fn new(session: Session) -> Self {
        Self { session, sequence: 0, buffer: Vec::new() }
    }

    /// Adds received bytes. Feed a few at a time and take the frames out in between: only
    /// [`Decoder::next_frame`] checks the limits.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] as soon as the header has a wrong length, version, kind, session or
    /// sequence number, before memory for the payload is allocated.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, LinkError> {
        let Some((header, rest)) = self.buffer.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let (kind, length) = self.check(header)?;
        let Some(payload) = rest.get(..length) else {
            self.buffer.reserve(length.saturating_sub(rest.len()));
            return Ok(None);
        };
        let frame = Frame { kind, payload: payload.to_vec() };
        self.buffer.drain(..HEADER.saturating_add(length));
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Some(frame))
    }

    /// The kind and the length of the payload.
    fn check(&self, header: &[u8; HEADER]) -> Result<(Kind, usize), LinkError> {
        let [l0, l1, l2, l3, version, kind, rest @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes([*l0, *l1, *l2, *l3]))
            .ok()
            .and_then(|length| length.checked_sub(AFTER_LENGTH))
            .ok_or(LinkError::Malformed("frame too short"))?;
        if length > MAX_FRAME {
            return Err(TOO_LONG);
        }
        if *version != VERSION {
            return Err(LinkError::Malformed("frame of another version"));
        }
        let kind = match *kind {
            0 => Kind::Control,
            1 => Kind::Protocol,
            2 => Kind::Tunnel,
            3 => Kind::Close,
            4 => Kind::Receipt,
            5 => Kind::Payload,
            _ => return Err(LinkError::Malformed("frame of unknown kind")),
        };
        let (session, sequence) = rest.split_at(self.session.len());
        if *session != self.session {
            return Err(LinkError::Malformed("frame of another session"));
        }
        if *sequence != self.sequence.to_be_bytes() {
            return Err(LinkError::Malformed("frame out of sequence"));
        }
        Ok((kind, length))
    }
}

/// The lifetime of a link.
///
/// The runtime's timers stop while the machine sleeps, but the validity of a request goes on. So
/// the lifetime is measured on both clocks, and the one that goes on is read for every frame.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    awake_until: Instant,
    until: Duration,
}

impl Life {
    /// Begins now.
    pub(super) fn of(length: Duration) -> Self {
        Self {
            awake_until: Instant::now() + length,
            until: sleepless_clock().saturating_add(length),
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.awake_until || sleepless_clock() >= self.until
    }

    /// Does `work` within the lifetime.
    async fn spent_on<T>(
        self,
        work: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        // A timeout polls the work first, so work that is finished at once would pass it after the
        // end of life.
        if self.is_over() {
            return Err(LinkError::Expired);
        }
        match timeout_at(self.awake_until, work).await {
            Ok(done) if !self.is_over() => done,
            Ok(_) | Err(_) => Err(LinkError::Expired),
        }
    }
}

/// Time since some moment, counting the time that the machine was asleep.
fn sleepless_clock() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// The sending side's state, for any byte stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    encoder: Encoder,
    buffer: Vec<u8>,
    life: Life,
    /// Set while a frame is being written: after a frame cut short by cancellation no other can
    /// follow.
    torn: bool,
}

impl Outgoing {
    pub(super) fn new(session: Session, life: Life) -> Self {
        Self { encoder: Encoder::new(session), buffer: Vec::new(), life, torn: false }
    }

    pub(super) fn live(&mut self, life: Life) {
        self.life = life;
    }

    /// Sends one frame and flushes, before the link's end of life.
    pub(super) async fn send<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        frame: &Frame,
    ) -> Result<(), LinkError> {
        self.life.spent_on(self.write(io, frame)).await
    }

    /// Sends the reason for the end and closes the stream. It does not wait long for a peer that
    /// does not read.
    pub(super) async fn close<W: AsyncWrite + Unpin>(&mut self, io: &mut W) {
        let reason = if self.life.is_over() { AGE } else { DONE };
        let farewell = async {
            if !self.torn {
                let _ = self.write(io, &Frame::new(Kind::Close, vec![reason])).await;
            }
            let _ = io.shutdown().await;
        };
        let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    }

    async fn write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        frame: &Frame,
    ) -> Result<(), LinkError> {
        if self.torn {
            return Err(LinkError::Closed);
        }
        self.buffer.clear();
        self.encoder.encode(frame, &mut self.buffer)?;
        self.torn = true;
        io.write_all(&self.buffer).await?;
        io.flush().await?;
        self.torn = false;
        Ok(())
    }
}

/// The receiving side's state, for any byte stream.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: Decoder,
    chunk: Box<[u8]>,
    life: Life,
}

impl Incoming {
    pub(super) fn new(session: Session, life: Life) -> Self {
        Self { decoder: Decoder::new(session), chunk: vec![0; CHUNK].into(), life }
    }

    pub(super) fn live(&mut self, life: Life) {
        self.life = life;
    }

    /// The next frame before the link's end of life. Cancel-safe: what was read stays.
    pub(super) async fn recv<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
    ) -> Result<Frame, LinkError> {
        self.life.spent_on(self.read(io)).await
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, io: &mut R) -> Result<Frame, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return open(frame);
            }
            let count = io.read(&mut self.chunk).await?;
            match self.chunk.get(..count) {
                Some(bytes) if !bytes.is_empty() => self.decoder.feed(bytes),
                _ => return Err(LinkError::Lost),
            }
        }
    }
}

/// Turns a frame that ends the link into its error.
pub(super) fn open(frame: Frame) -> Result<Frame, LinkError> {
    match (frame.kind, frame.payload.as_slice()) {
        (Kind::Close, [AGE]) => Err(LinkError::Expired),
        (Kind::Close, _) => Err(LinkError::Closed),
        _ => Ok(frame),
    }
}

/// Waits a short time for `work`, since closing a link must not delay a person.
pub(super) async fn briefly(work: impl Future<Output = ()>) {
    let _ = timeout(CLOSE_TIMEOUT, work).await;
}

/// The reasons in a frame of [`Kind::Close`].
const DONE: u8 = 0;
const AGE: u8 = 1;

const AFTER_LENGTH: usize = HEADER - 4;
const TOO_LONG: LinkError = LinkError::Malformed("frame too long");

/// Bytes read at once: one TLS record.
const CHUNK: usize = 16 * 1024;

/// How long the end of a link may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_outlived_its_time_asleep_is_over() {
        let slept = Life { until: sleepless_clock(), ..Life::of(Duration::from_secs(60)) };
        assert_eq!(slept.spent_on(async { Ok(()) }).await, Err(LinkError::Expired));
        let young = Life::of(Duration::from_secs(60));
        assert_eq!(young.spent_on(async { Ok(()) }).await, Ok(()));
    }
}
