//! Frames from a hostile peer: an error or nothing, never a wrong frame.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use cosign::net::frame::{Decoder, Encoder, HEADER, VERSION};
use cosign::net::{Frame, Kind, LinkError, MAX_FRAME};
use proptest::prelude::*;

const SESSION: [u8; 16] = [5; 16];

fn encoded(frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(SESSION);
    frames
        .iter()
        .map(|frame| {
            let mut out = Vec::new();
            encoder.encode(frame, &mut out).unwrap();
            out
        })
        .collect()
}

/// Everything that `bytes` decode to, and the error that ended it.
fn decoded(bytes: &[u8]) -> (Vec<Frame>, Option<LinkError>) {
    let mut decoder = Decoder::new(SESSION);
    decoder.feed(bytes);
    let mut frames = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

fn header(length: u32, version: u8, kind: u8, session: [u8; 16], sequence: u64) -> Vec<u8> {
    let mut out = length.to_be_bytes().to_vec();
    out.extend([version, kind]);
    out.extend(session);
    out.extend(sequence.to_be_bytes());
    out
}

fn protocol(payload: &[u8]) -> Frame {
    Frame::new(Kind::Protocol, payload.to_vec())
}

#[test]
fn a_frame_has_the_documented_bytes() {
    let mut expected = header(29, VERSION, 1, SESSION, 0);
    expected.extend(b"abc");
    assert_eq!(encoded(&[protocol(b"abc")]), [expected]);
}

#[test]
fn each_bad_header_field_is_refused_from_the_header_alone() {
    let longest = (HEADER - 4 + MAX_FRAME) as u32;
    let other = [6; 16];
    for (what, bytes) in [
        ("frame too long", header(longest + 1, 1, 1, SESSION, 0)),
        ("frame too long", header(u32::MAX, 1, 1, SESSION, 0)),
        ("frame too short", header(25, 1, 1, SESSION, 0)),
        ("frame too short", header(0, 1, 1, SESSION, 0)),
        ("frame of another version", header(26, 0, 1, SESSION, 0)),
        ("frame of another version", header(26, 2, 1, SESSION, 0)),
        ("frame of unknown kind", header(26, 1, 6, SESSION, 0)),
        ("frame of another session", header(26, 1, 1, other, 0)),
        ("frame out of sequence", header(26, 1, 1, SESSION, 1)),
        ("frame out of sequence", header(26, 1, 1, SESSION, u64::MAX)),
    ] {
        assert_eq!(decoded(&bytes), (vec![], Some(LinkError::Malformed(what))));
    }
    assert_eq!(decoded(&header(longest, 1, 1, SESSION, 0)), (vec![], None));
}

#[test]
fn a_payload_over_the_limit_is_not_sent() {
    let mut out = Vec::new();
    let frame = protocol(&vec![0; MAX_FRAME + 1]);
    let refused = Encoder::new(SESSION).encode(&frame, &mut out);
    assert_eq!(refused, Err(LinkError::Malformed("frame too long")));
    assert!(out.is_empty());
    let frame = protocol(&vec![7; MAX_FRAME]);
    assert_eq!(decoded(&encoded(std::slice::from_ref(&frame)).concat()), (vec![frame], None));
}

#[test]
fn lost_doubled_and_swapped_frames_end_the_link_where_it_happened() {
    let frames = [protocol(b"one"), protocol(b"two"), protocol(b"three")];
    let [one, two, three] = encoded(&frames).try_into().unwrap();
    let broken = Some(LinkError::Malformed("frame out of sequence"));
    for (arriving, delivered) in [
        (vec![&two, &three], 0),
        (vec![&one, &three], 1),
        (vec![&one, &one, &two], 1),
        (vec![&two, &one, &three], 0),
        (vec![&one, &two, &one], 2),
    ] {
        let bytes: Vec<u8> = arriving.into_iter().flatten().copied().collect();
        assert_eq!(decoded(&bytes), (frames[..delivered].to_vec(), broken.clone()));
    }
}

#[test]
fn an_error_stays_whatever_follows() {
    let mut decoder = Decoder::new(SESSION);
    decoder.feed(&header(26, 9, 1, SESSION, 0));
    assert!(decoder.next_frame().is_err());
    decoder.feed(&encoded(&[protocol(b"fine")]).concat());
    assert!(decoder.next_frame().is_err());
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![
        Just(Kind::Control),
        Just(Kind::Protocol),
        Just(Kind::Tunnel),
        Just(Kind::Close),
        Just(Kind::Receipt)
    ];
    (kind, proptest::collection::vec(any::<u8>(), 0..200))
        .prop_map(|(kind, payload)| Frame::new(kind, payload))
}

proptest! {
    #[test]
    fn frames_arrive_as_sent_however_the_stream_is_cut(
        frames in proptest::collection::vec(any_frame(), 0..8),
        piece in 1_usize..64,
    ) {
        let mut decoder = Decoder::new(SESSION);
        let mut arrived = Vec::new();
        for bytes in encoded(&frames).concat().chunks(piece) {
            decoder.feed(bytes);
            while let Some(frame) = decoder.next_frame().unwrap() {
                arrived.push(frame);
            }
        }
        prop_assert_eq!(arrived, frames);
        prop_assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn random_bytes_never_become_a_frame(
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        prop_assert_eq!(decoded(&bytes).0, vec![]);
    }

    #[test]
    fn a_changed_header_byte_never_invents_a_payload(
        frame in any_frame(), at in 0_usize..HEADER, by in 1_u8..,
    ) {
        let mut bytes = encoded(std::slice::from_ref(&frame)).concat();
        bytes[at] ^= by;
        let (arrived, error) = decoded(&bytes);
        let kind_changed = at == 5;
        let length_changed = at < 4;
        for got in &arrived {
            prop_assert!(kind_changed || length_changed);
            prop_assert!(frame.payload.starts_with(&got.payload));
        }
        prop_assert!(!arrived.is_empty() || error.is_some() || length_changed);
    }
}
