//! The transfer of a payload from the requester to an invitee, in parts, after the proposal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::net::{Frame, Kind, Link, LinkError};
use crate::payload::curve::Signer;
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

/// Receives the payload of `source` for a signature of the key at the end of `path` below `signer`; `None` if it has none. No more is
/// stored than was announced.
///
/// # Errors
/// The link is down, `within` passed, another message came, or the payload does not have
/// this `digest`.
pub(super) async fn receive(
    link: &mut impl Link,
    source: &Source,
    digest: &[u8; 32],
    (signer, path): (&Signer, &[u32]),
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
    let payload = Payload::read_for(source, bytes, signer, path).map_err(|_| Failed::Differs)?;
    (payload.digest() == digest).then(|| Some(Arc::new(payload))).ok_or(Failed::Differs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::CurveName;
    use crate::driver::clock;
    use crate::net::memory::{Conditions, pair};
    use crate::payload::MessageFormat;

    fn message(size: u64) -> Source {
        Source::Message { format: MessageFormat::Ethereum, size }
    }

    fn signer() -> Signer {
        let point = k256::ProjectivePoint::GENERATOR.to_affine();
        let key = crate::crypto::curve::encode_point(&point).unwrap();
        Signer::new(CurveName::Secp256k1, &key, [7; 32]).unwrap()
    }

    fn read(bytes: Vec<u8>) -> Payload {
        Payload::read(&message(bytes.len() as u64), bytes).unwrap()
    }

    /// What is received of these frames, where `payload` was announced.
    fn of_frames(payload: &Payload, frames: &[(Kind, &[u8])]) -> Result<Vec<u8>, Failed> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut here, mut there) = pair(1, Conditions::default());
            for (kind, bytes) in frames {
                there.send(Frame::new(*kind, bytes.to_vec())).await.unwrap();
            }
            let within = clock::now() + TRANSFER;
            let source = message(payload.bytes().len() as u64);
            let received =
                receive(&mut here, &source, payload.digest(), (&signer(), &[]), within).await;
            received.map(|payload| payload.unwrap().bytes().to_vec())
        })
    }

    #[test]
    fn what_is_sent_is_received_in_parts_of_any_length() {
        let payload = read(b"pay bob".to_vec());
        let part = |bytes| (Kind::Payload, bytes);
        for frames in [&[part(&b"pay bob"[..])][..], &[part(b"p"), part(b"ay "), part(b"bob")]] {
            assert_eq!(of_frames(&payload, frames).unwrap(), b"pay bob");
        }
    }

    #[test]
    fn all_of_a_payload_is_sent_and_nothing_for_what_does_not_travel() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut here, mut there) = pair(1, Conditions::default());
            let payload = read(vec![b'x'; 16 << 10]);
            send(&mut there, &payload).await.unwrap();
            let within = clock::now() + TRANSFER;
            let received =
                receive(&mut here, &message(16 << 10), payload.digest(), (&signer(), &[]), within)
                    .await;
            assert_eq!(received.unwrap().as_deref(), Some(&payload));
            let none =
                receive(&mut here, &Source::Digest, &[0; 32], (&signer(), &[]), within).await;
            assert!(matches!(none, Ok(None)));
        });
    }

    #[test]
    fn anything_else_is_another_payload_and_what_does_not_come_is_late() {
        let payload = read(b"pay bob".to_vec());
        let part = |bytes| (Kind::Payload, bytes);
        for frames in [
            &[part(&b"pay eve"[..])][..],
            &[part(b"pay bob!")],
            &[part(b"pay "), part(b"bob!")],
            &[part(b"")],
            &[(Kind::Control, b"pay bob")],
        ] {
            assert!(matches!(of_frames(&payload, frames), Err(Failed::Differs)), "{frames:?}");
        }
        assert!(matches!(of_frames(&payload, &[part(b"pay")]), Err(Failed::Late)));
    }
}
