//! Links over TLS: which devices may connect, and with which suites.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use cosign::net::tls::{Device, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Frame, Io, Kind, Link, LinkError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn device() -> Device {
    Device::generate().unwrap()
}

fn tls(device: &Device) -> Tls {
    Tls::new(device, TlsVersion::Any).unwrap()
}

fn wire() -> (Box<dyn Io>, Box<dyn Io>) {
    let (left, right) = duplex(64 * 1024);
    (Box::new(left), Box::new(right))
}

fn word(text: &str) -> Frame {
    Frame::new(Kind::Control, text.as_bytes().to_vec())
}

/// Both ends of a handshake: what the client got, what the server got.
async fn handshake(
    client: &Tls,
    of_client: Expect,
    server: &Tls,
    of_server: Expect,
) -> (Result<TlsLink, LinkError>, Result<TlsLink, LinkError>) {
    let (left, right) = wire();
    tokio::join!(client.connect(left, of_client), server.accept(right, of_server))
}

async fn linked(client: &Tls, server: &Tls) -> (TlsLink, TlsLink) {
    let (client, server) = handshake(client, Expect::Anyone, server, Expect::Anyone).await;
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn devices_that_expect_each_other_exchange_frames() {
    let (alice, bob) = (device(), device());
    let (at_alice, at_bob) = handshake(
        &tls(&alice),
        Expect::Pinned(bob.fingerprint),
        &tls(&bob),
        Expect::Pinned(alice.fingerprint),
    )
    .await;
    let (mut at_alice, mut at_bob) = (at_alice.unwrap(), at_bob.unwrap());
    assert_eq!(at_alice.peer(), bob.fingerprint);
    assert_eq!(at_bob.peer(), alice.fingerprint);
    at_alice.send(word("hello")).await.unwrap();
    assert_eq!(at_bob.recv().await.unwrap(), word("hello"));
    at_bob.send(word("yes?")).await.unwrap();
    assert_eq!(at_alice.recv().await.unwrap(), word("yes?"));
    let (_, end) = tokio::join!(at_alice.close(), at_bob.recv());
    assert_eq!(end, Err(LinkError::Closed));
}

#[tokio::test]
async fn both_ends_export_the_same_secret_in_both_versions() {
    use subtle::ConstantTimeEq;
    let (alice, bob) = (device(), device());
    for version in [TlsVersion::Any, TlsVersion::Only12] {
        let client = Tls::new(&alice, version).unwrap();
        let (left, right) = linked(&client, &tls(&bob)).await;
        let label = "EXPORTER-cosign-pair";
        let same = left.exporter(label).unwrap().ct_eq(&right.exporter(label).unwrap());
        assert!(bool::from(same));
        let other = left.exporter(label).unwrap().ct_eq(&left.exporter("EXPORTER-x").unwrap());
        assert!(!bool::from(other));
    }
}

#[tokio::test]
async fn each_mode_negotiates_its_one_suite() {
    let (alice, bob) = (device(), device());
    let only12 = Tls::new(&alice, TlsVersion::Only12).unwrap();
    let suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    for (client, server, suite) in [
        (&tls(&alice), &tls(&bob), "TLS13_AES_256_GCM_SHA384"),
        (&only12, &tls(&bob), suite),
        (&tls(&bob), &only12, suite),
    ] {
        let (left, right) = linked(client, server).await;
        assert_eq!((left.suite(), right.suite()), (suite, suite));
    }
}

#[tokio::test]
async fn a_client_that_meets_another_device_says_which() {
    let (alice, bob, carol) = (device(), device(), device());
    for version in [TlsVersion::Any, TlsVersion::Only12] {
        let client = Tls::new(&alice, version).unwrap();
        let expected = Expect::Pinned(carol.fingerprint);
        let (at_alice, at_bob) = handshake(&client, expected, &tls(&bob), Expect::Anyone).await;
        let identity = LinkError::Identity { expected: carol.fingerprint, got: bob.fingerprint };
        assert_eq!(at_alice.unwrap_err(), identity);
        assert_eq!(at_bob.unwrap_err(), LinkError::Refused);
    }
}

#[tokio::test]
async fn a_server_that_meets_another_device_says_which_and_the_client_learns_it() {
    let (alice, bob, carol) = (device(), device(), device());
    for version in [TlsVersion::Any, TlsVersion::Only12] {
        let client = Tls::new(&alice, version).unwrap();
        let expected = Expect::Pinned(carol.fingerprint);
        let (at_alice, at_bob) = handshake(&client, Expect::Anyone, &tls(&bob), expected).await;
        let identity = LinkError::Identity { expected: carol.fingerprint, got: alice.fingerprint };
        assert_eq!(at_bob.unwrap_err(), identity);
        let learned = match at_alice {
            Ok(mut link) => link.recv().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(learned, LinkError::Refused);
    }
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_is_given_up() {
    let (_silent, end) = wire();
    let tls = tls(&device()).handshake_within(Duration::from_millis(50));
    assert_eq!(tls.accept(end, Expect::Anyone).await.unwrap_err(), LinkError::TimedOut);
    let (_silent, end) = wire();
    assert_eq!(tls.connect(end, Expect::Anyone).await.unwrap_err(), LinkError::TimedOut);
}

#[tokio::test]
async fn a_peer_that_drips_its_handshake_byte_by_byte_is_given_up() {
    let (left, right) = wire();
    let tls = tls(&device()).handshake_within(Duration::from_millis(100));
    let dripping = tokio::spawn(async move {
        let (mut input, mut output) = tokio::io::split(left);
        // A record that promises 16 KiB of handshake.
        let _ = output.write_all(&[0x16, 0x03, 0x01, 0x40, 0x00]).await;
        let _ = tokio::io::copy(&mut tokio::io::repeat(1).take(50), &mut output).await;
        let _ = input.read(&mut [0; 1]).await;
    });
    assert_eq!(tls.accept(right, Expect::Anyone).await.unwrap_err(), LinkError::TimedOut);
    dripping.await.unwrap();
}

#[tokio::test]
async fn both_ends_of_a_link_that_is_too_old_say_so() {
    let (young, old) = (device(), device());
    let short = tls(&old).living_for(Duration::from_millis(20));
    let (mut at_young, mut at_old) = linked(&tls(&young), &short).await;
    assert_eq!(at_old.recv().await, Err(LinkError::Expired));
    assert_eq!(at_old.send(word("late")).await, Err(LinkError::Expired));
    let (_, learned) = tokio::join!(at_old.close(), at_young.recv());
    assert_eq!(learned, Err(LinkError::Expired));
}

#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let (mut left, mut right) = linked(&tls(&device()), &tls(&device())).await;
    let long = Frame::new(Kind::Protocol, vec![7; 300_000]);
    let expected = long.clone();
    let sending = tokio::spawn(async move {
        left.send(long).await.unwrap();
        left
    });
    let received = loop {
        // Each poll reads a part and is then cancelled.
        tokio::select! {
            biased;
            received = right.recv() => break received,
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(received, Ok(expected));
    sending.await.unwrap();
}

#[tokio::test]
async fn a_certificate_and_a_foreign_key_make_no_device() {
    let (one, two) = (device(), device());
    assert!(Device::from_parts(one.certificate.clone(), two.key).is_err());
    let again = Device::from_parts(one.certificate, one.key).unwrap();
    assert_eq!(again.fingerprint, one.fingerprint);
}

#[test]
fn a_certificate_names_nobody() {
    let device = device();
    let text = String::from_utf8_lossy(&device.certificate).into_owned();
    assert!(!text.to_lowercase().contains("rcgen") && !text.contains("localhost"), "{text}");
}
