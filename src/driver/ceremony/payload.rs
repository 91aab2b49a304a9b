//! What is signed, on its way from the requester to an invitee: in parts, after the proposal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::net::{Frame, Kind, Link, LinkError};
use crate::payload::{MAX_PAYLOAD, Payload, Source};

/// How many bytes go in one frame.
const PART: usize = 64 << 10;

/// How long all of it may take.
pub(super) const TRANSFER: Duration = Duration::from_secs(60);

/// Why there is no payload.
#[derive(Debug)]
pub(super) enum Failed {
    /// The link is down.
    Link(LinkError),
    /// It is not what the proposal says of it.
    Differs,
}

/// Sends all of `payload`.
///
/// # Errors
/// The link is down.
pub(super) async fn send(link: &mut impl Link, payload: &Payload) -> Result<(), LinkError> {
    for part in payload.bytes().chunks(PART) {
        link.send(Frame::new(Kind::Payload, part.to_vec())).await?;
    }
    Ok(())
}

/// Receives what `source` says that travels; `None` if nothing does. No more is kept than was announced.
///
/// # Errors
/// The link is down, `within` passed, or something else comes, or something that does not have this `digest`.
pub(super) async fn receive(
    link: &mut impl Link,
    source: &Source,
    digest: &[u8; 32],
    within: Instant,
) -> Result<Option<Arc<Payload>>, Failed> {
    let Some(size) = source.travels() else { return Ok(None) };
    let size = usize::try_from(size.min(MAX_PAYLOAD)).map_err(|_| Failed::Differs)?;
    let mut bytes = Vec::new();
    while bytes.len() < size {
        let frame = timeout_at(within.into(), link.recv()).await;
        let frame = frame.unwrap_or(Err(LinkError::TimedOut)).map_err(Failed::Link)?;
        let left = size.saturating_sub(bytes.len());
        let fits = !frame.payload.is_empty() && frame.payload.len() <= left;
        if frame.kind != Kind::Payload || !fits {
            return Err(Failed::Differs);
        }
        bytes.extend_from_slice(&frame.payload);
    }
    let payload = Payload::read(source, bytes).map_err(|_| Failed::Differs)?;
    (payload.digest() == digest).then(|| Some(Arc::new(payload))).ok_or(Failed::Differs)
}
