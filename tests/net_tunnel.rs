//! Two devices that communicate through a third, which sees only ciphertext.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use cosign::net::memory::{Conditions, MemoryLink, pair};
use cosign::net::tls::{Device, Expect, Tls, TlsVersion};
use cosign::net::tunnel::{Inlet, Outlet, tunnel};
use cosign::net::{Frame, Io, Kind, Link, LinkError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECRET: &[u8] = b"nobody between us can read this sentence";

/// Moves the bytes of one end of a tunnel over a link, in both directions.
async fn carry(mut link: MemoryLink, mut outlet: Outlet, inlet: Inlet) {
    loop {
        tokio::select! {
            leaving = outlet.next() => match leaving {
                Some(bytes) => link.send(Frame::new(Kind::Tunnel, bytes)).await.unwrap(),
                None => return link.close().await,
            },
            arriving = link.recv() => match arriving {
                Ok(frame) => {
                    assert_eq!(frame.kind, Kind::Tunnel);
                    if inlet.feed(&frame.payload[1..]).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            },
        }
    }
}

/// The device between: forwards whole frames, keeps a copy, and changes what it is told to.
async fn forward(mut left: MemoryLink, mut right: MemoryLink, flip_frame: usize) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut count = 0;
    loop {
        let (arriving, onwards) = tokio::select! {
            arriving = left.recv() => (arriving, &mut right),
            arriving = right.recv() => (arriving, &mut left),
        };
        let Ok(mut frame) = arriving else { return seen };
        count += 1;
        if count == flip_frame {
            *frame.payload.last_mut().unwrap() ^= 1;
        }
        seen.extend_from_slice(&frame.payload);
        if onwards.send(frame).await.is_err() {
            return seen;
        }
    }
}

struct Scene {
    left: (Device, Box<dyn Io>),
    right: (Device, Box<dyn Io>),
    between: tokio::task::JoinHandle<Vec<u8>>,
}

fn scene(flip_frame: usize) -> Scene {
    let end = |link| {
        let (io, outlet, inlet) = tunnel(vec![1]);
        tokio::spawn(carry(link, outlet, inlet));
        (Device::generate().unwrap(), io)
    };
    let (left, between_left) = pair(1, Conditions::default());
    let (between_right, right) = pair(2, Conditions::default());
    let between = tokio::spawn(forward(between_left, between_right, flip_frame));
    Scene { left: end(left), right: end(right), between }
}

fn tls(device: &Device) -> Tls {
    Tls::new(device, TlsVersion::Any).unwrap()
}

#[tokio::test]
async fn the_device_between_sees_ciphertext_only() {
    let Scene { left: (alice, at_alice), right: (bob, at_bob), between } = scene(0);
    let (alice_tls, bob_tls) = (tls(&alice), tls(&bob));
    let (at_alice, at_bob) = tokio::join!(
        alice_tls.connect(at_alice, Expect::Pinned(bob.fingerprint)),
        bob_tls.accept(at_bob, Expect::Pinned(alice.fingerprint))
    );
    let (mut at_alice, mut at_bob) = (at_alice.unwrap(), at_bob.unwrap());
    let long = Frame::new(Kind::Protocol, SECRET.repeat(10_000));
    let (sent, received) = tokio::join!(at_alice.send(long.clone()), at_bob.recv());
    assert_eq!((sent, received), (Ok(()), Ok(long)));
    at_bob.send(Frame::new(Kind::Control, SECRET.to_vec())).await.unwrap();
    assert_eq!(at_alice.recv().await.unwrap().payload, SECRET);
    tokio::join!(at_alice.close(), at_bob.close());
    let seen = between.await.unwrap();
    assert!(seen.len() > SECRET.len() * 10_000);
    assert!(!seen.windows(16).any(|window| window == &SECRET[..16]));
}

#[tokio::test]
async fn a_device_between_that_alters_a_byte_is_noticed() {
    for flip_frame in 1..8 {
        let Scene { left: (alice, at_alice), right: (bob, at_bob), .. } = scene(flip_frame);
        let left = async {
            let mut link = tls(&alice).connect(at_alice, Expect::Pinned(bob.fingerprint)).await?;
            for _ in 0..8 {
                link.send(Frame::new(Kind::Protocol, SECRET.to_vec())).await?;
                link.recv().await?;
            }
            Ok::<(), LinkError>(())
        };
        let right = async {
            let mut link = tls(&bob).accept(at_bob, Expect::Pinned(alice.fingerprint)).await?;
            loop {
                let frame = link.recv().await?;
                assert_eq!(frame.payload, SECRET, "wrongly delivered");
                link.send(frame).await?;
            }
        };
        let (left, right): (_, Result<(), LinkError>) = tokio::join!(left, right);
        assert!(left.is_err() && right.is_err(), "{left:?} {right:?}");
    }
}

#[tokio::test]
async fn a_device_between_cannot_take_a_place() {
    let Scene { left: (alice, at_alice), right: (mallory, at_mallory), .. } = scene(0);
    let bob = Device::generate().unwrap();
    let (alice_tls, mallory_tls) = (tls(&alice), tls(&mallory));
    let (left, right) = tokio::join!(
        alice_tls.connect(at_alice, Expect::Pinned(bob.fingerprint)),
        mallory_tls.accept(at_mallory, Expect::Anyone)
    );
    let identity = LinkError::Identity { expected: bob.fingerprint, got: mallory.fingerprint };
    assert_eq!(left.unwrap_err(), identity);
    assert_eq!(right.unwrap_err(), LinkError::Refused);
}

#[tokio::test]
async fn frames_carry_their_route_and_no_more_than_fits() {
    let (mut io, mut outlet, inlet) = tunnel(vec![7]);
    io.write_all(b"abc").await.unwrap();
    assert_eq!(outlet.next().await, Some(b"\x07abc".to_vec()));
    inlet.feed(b"de").unwrap();
    inlet.feed(b"").unwrap();
    inlet.feed(b"f").unwrap();
    let mut read = [0; 3];
    io.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"def");
    let long = inlet.feed(&[0; 32 * 1024 + 1]);
    assert_eq!(long, Err(LinkError::Malformed("tunnel frame too long")));
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_does_not_grow_without_end() {
    let (_io, _outlet, inlet) = tunnel(vec![1]);
    let fed = (0..1000).find_map(|_| inlet.feed(&[0; 1024]).err());
    assert_eq!(fed, Some(LinkError::Malformed("tunnel overrun")));
}

#[tokio::test]
async fn either_end_of_a_tunnel_notices_that_the_other_is_gone() {
    let (mut io, mut outlet, inlet) = tunnel(vec![1]);
    inlet.feed(b"last").unwrap();
    drop(inlet);
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    drop(io);
    assert_eq!(outlet.next().await, None);

    let (io, _outlet, inlet) = tunnel(vec![1]);
    drop(io);
    assert_eq!(inlet.feed(b"x"), Err(LinkError::Closed));
}
