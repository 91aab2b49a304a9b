//! The transfer of a payload from the requester to an invitee, in parts, after the proposal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::net::{Frame, Kind, Link, LinkError};
use crate::payload::{MAX_PAYLOAD, Payload, Source};

/// The bytes of one frame.
const PART: usize = 64 << 10;

/// The time limit of a transfer.
pub(super) const TRANSFER: Duration = Duration::from_secs(60);

/// Why a payload was not received.
#[derive(Debug)]
pub(super) enum Failed {
    /// The link is down.
    Link(LinkError),
    /// Not all of it came in time.
    Late,
    /// It does not match the proposal.
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

/// Receives the payload of `source`; `None` if it has none. No more is stored than was announced.
///
/// # Errors
/// The link is down, `within` passed, another message came, or the payload does not have
/// this `digest`.
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
        let frame = frame.map_err(|_| Failed::Late)?.map_err(Failed::Link)?;
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
