//! The task of a link: no deadlock, nothing lost, every end told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use cosign::net::memory::{Conditions, pair};
use cosign::net::pump::pump;
use cosign::net::tls::{Device, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Frame, Kind, Link, LinkError, tcp};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

fn tls() -> Tls {
    Tls::new(&Device::generate().unwrap(), TlsVersion::Any).unwrap()
}

/// Two ends of a link over TLS over TCP.
async fn over_tcp(client: Tls, server: Tls, of_client: Expect) -> (TlsLink, TlsLink) {
    let listener = tcp::Listener::bind(Some([127, 0, 0, 1].into()), 0).await.unwrap();
    let address = listener.address().unwrap().to_string();
    let connecting = async {
        let io = tcp::dial(&address, LONG).await.unwrap();
        client.connect(io, Expect::Anyone).await.unwrap()
    };
    let accepting = async { server.accept(listener.accept().await.0, of_client).await.unwrap() };
    tokio::join!(connecting, accepting)
}

fn numbered(number: u32, length: usize) -> Frame {
    let mut payload = vec![0; length.max(4)];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    Frame::new(Kind::Protocol, payload)
}

#[tokio::test]
async fn two_sides_that_send_much_at_once_do_not_wait_for_each_other() {
    const COUNT: u32 = 100;
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let busy = |link: TlsLink| async move {
        let (sender, mut inbox) = mpsc::channel(4);
        let handle = pump(link, 3, sender);
        let receiving = tokio::spawn(async move {
            for number in 0..COUNT {
                let (id, frame) = inbox.recv().await.unwrap();
                assert_eq!((id, frame), (3, Ok(numbered(number, 500_000))));
            }
            inbox
        });
        for number in 0..COUNT {
            handle.send(numbered(number, 500_000)).await.unwrap();
        }
        let inbox = receiving.await.unwrap();
        handle.close().await;
        drop(inbox);
    };
    timeout(LONG, async { tokio::join!(busy(left), busy(right)) }).await.expect("a deadlock");
}

#[tokio::test]
async fn what_was_queued_arrives_before_the_end() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (sender, _inbox) = mpsc::channel(4);
    let handle = pump(left, 0, sender);
    let (sender, mut inbox) = mpsc::channel(4);
    let _other = pump(right, 1, sender);
    for number in 0..50 {
        handle.send(numbered(number, 1000)).await.unwrap();
    }
    let receiving = async {
        for number in 0..50 {
            assert_eq!(inbox.recv().await.unwrap().1, Ok(numbered(number, 1000)));
        }
        assert_eq!(inbox.recv().await, Some((1, Err(LinkError::Closed))));
        assert_eq!(inbox.recv().await, None);
    };
    tokio::join!(handle.close(), receiving);
}

#[tokio::test]
async fn a_dropped_handle_closes_the_link() {
    let (left, right) = pair(1, Conditions::default());
    let (sender, mut inbox) = mpsc::channel(4);
    let _kept = pump(left, 0, sender.clone());
    drop(pump(right, 1, mpsc::channel(4).0));
    assert_eq!(inbox.recv().await, Some((0, Err(LinkError::Closed))));
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_a_peer_that_takes_nothing() {
    let (left, _right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (sender, _inbox) = mpsc::channel(4);
    let handle = pump(left, 0, sender);
    for number in 0..20 {
        handle.send(numbered(number, 1_000_000)).await.unwrap();
    }
    timeout(LONG, handle.close()).await.expect("closing hangs");
}

#[tokio::test]
async fn a_peer_that_dies_is_told_and_sending_fails() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (sender, mut inbox) = mpsc::channel(4);
    let handle = pump(left, 9, sender);
    drop(right);
    assert_eq!(inbox.recv().await, Some((9, Err(LinkError::Lost))));
    while handle.send(numbered(0, 4)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_inbox_does_not_stop_what_is_sent() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (sender, _never_read) = mpsc::channel(1);
    let flooded = pump(left, 0, sender);
    let (sender, mut inbox) = mpsc::channel(4);
    let flooding = pump(right, 1, sender);
    for number in 0..20 {
        flooding.send(numbered(number, 1000)).await.unwrap();
    }
    flooded.send(numbered(7, 100_000)).await.unwrap();
    let arrived = timeout(LONG, inbox.recv()).await.expect("nothing came");
    assert_eq!(arrived, Some((1, Ok(numbered(7, 100_000)))));
}

#[tokio::test]
async fn a_refusal_is_told_even_to_a_client_that_speaks_first() {
    let listener = tcp::Listener::bind(Some([127, 0, 0, 1].into()), 0).await.unwrap();
    let address = listener.address().unwrap().to_string();
    let stranger = Device::generate().unwrap().fingerprint;
    let server = tls();
    let accepting = async {
        let (io, _) = listener.accept().await;
        server.accept(io, Expect::Pinned(stranger)).await.unwrap_err()
    };
    let connecting = async {
        let io = tcp::dial(&address, LONG).await.unwrap();
        let link = tls().connect(io, Expect::Anyone).await.unwrap();
        let (sender, mut inbox) = mpsc::channel(4);
        let handle = pump(link, 0, sender);
        for number in 0..10 {
            let _ = handle.send(numbered(number, 100_000)).await;
        }
        inbox.recv().await
    };
    let (at_server, at_client) = tokio::join!(accepting, connecting);
    assert!(matches!(at_server, LinkError::Identity { expected, .. } if expected == stranger));
    assert_eq!(at_client, Some((0, Err(LinkError::Refused))));
}

#[tokio::test]
async fn the_age_limit_is_told_on_both_sides() {
    let short = tls().living_for(Duration::from_millis(20));
    let (left, right) = over_tcp(tls(), short, Expect::Anyone).await;
    let (sender, mut inbox) = mpsc::channel(4);
    let _left = pump(left, 0, sender.clone());
    let _right = pump(right, 1, sender);
    let mut ends = [inbox.recv().await.unwrap(), inbox.recv().await.unwrap()];
    ends.sort_by_key(|(id, _)| *id);
    assert_eq!(ends, [(0, Err(LinkError::Expired)), (1, Err(LinkError::Expired))]);
}

#[tokio::test]
async fn the_first_address_that_answers_wins() {
    let nobody = tcp::Listener::bind(Some([127, 0, 0, 1].into()), 0).await.unwrap();
    let closed = nobody.address().unwrap();
    drop(nobody);
    let listener = tcp::Listener::bind(Some([127, 0, 0, 1].into()), 0).await.unwrap();
    let open = listener.address().unwrap();
    assert!(tcp::dial_any(&[closed, open], LONG).await.is_ok());
    let closed = tcp::dial_any(&[closed], LONG).await;
    assert!(matches!(closed.err(), Some(LinkError::Deaf(_))));
    for dialled in [tcp::dial_any(&[], LONG).await, tcp::dial("no-such-host.invalid:1", LONG).await]
    {
        assert!(matches!(dialled.err(), Some(LinkError::Unreachable(_))));
    }
}

/// What arrives of `count` frames under `conditions`, and how it ended.
async fn arriving(seed: u64, conditions: Conditions, count: u32) -> (u32, LinkError) {
    let (mut left, mut right) = pair(seed, conditions);
    let sending = async move {
        for number in 0..count {
            // The other side stops listening once it has noticed something.
            if left.send(numbered(number, 4)).await.is_err() {
                break;
            }
        }
        left.close().await;
    };
    let receiving = async move {
        let mut next = 0;
        loop {
            match right.recv().await {
                Ok(frame) => assert_eq!(frame, numbered(next, 4), "wrongly delivered"),
                Err(error) => return (next, error),
            }
            next += 1;
        }
    };
    tokio::join!(sending, receiving).1
}

#[tokio::test]
async fn a_fair_link_in_memory_delivers_everything_late_or_not() {
    let slow = Conditions { delay: Duration::from_millis(2), ..Conditions::default() };
    for conditions in [Conditions::default(), slow] {
        assert_eq!(arriving(7, conditions, 50).await, (50, LinkError::Closed));
    }
}

#[tokio::test]
async fn a_foul_link_in_memory_ends_early_and_never_delivers_wrongly() {
    let foul = [
        Conditions { loss: 10, ..Conditions::default() },
        Conditions { reorder: 10, ..Conditions::default() },
        Conditions { duplicate: 10, ..Conditions::default() },
        Conditions { loss: 5, reorder: 5, duplicate: 5, delay: Duration::from_micros(10) },
    ];
    for conditions in foul {
        let mut early = 0;
        for seed in 0..20 {
            let (delivered, end) = arriving(seed, conditions, 100).await;
            if delivered < 100 {
                early += 1;
            }
            assert!(matches!(end, LinkError::Closed | LinkError::Malformed(_)), "{end:?}");
            assert_eq!(arriving(seed, conditions, 100).await, (delivered, end), "not repeatable");
        }
        assert!(early > 15);
    }
}
