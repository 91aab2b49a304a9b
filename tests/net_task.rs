//! The task of a link: no deadlock, no lost frame, every end reported.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use cosign::device::Fingerprint;
use cosign::net::memory::{Conditions, pair};
use cosign::net::resumable::ResumableLink;
use cosign::net::tls::{Device, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Frame, Kind, Link, LinkError, Receiver, Sender, tcp};
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

/// A link with a task over this connection alone.
fn over(link: impl Link) -> ResumableLink {
    ResumableLink::over(Fingerprint::new([7; 32]), link)
}

#[tokio::test]
async fn two_sides_that_send_much_at_once_do_not_wait_for_each_other() {
    const COUNT: u32 = 100;
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let busy = |link: TlsLink| async move {
        let (mut sender, mut receiver) = over(link).split();
        let receiving = tokio::spawn(async move {
            for number in 0..COUNT {
                assert_eq!(receiver.recv().await, Ok(numbered(number, 500_000)));
            }
            receiver
        });
        for number in 0..COUNT {
            sender.send(numbered(number, 500_000)).await.unwrap();
        }
        let receiver = receiving.await.unwrap();
        sender.close().await;
        drop(receiver);
    };
    timeout(LONG, async { tokio::join!(busy(left), busy(right)) }).await.expect("a deadlock");
}

#[tokio::test]
async fn what_was_queued_arrives_before_the_end() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (mut left, mut right) = (over(left), over(right));
    for number in 0..50 {
        left.send(numbered(number, 1000)).await.unwrap();
    }
    let receiving = async {
        for number in 0..50 {
            assert_eq!(right.recv().await, Ok(numbered(number, 1000)));
        }
        assert_eq!(right.recv().await, Err(LinkError::Closed));
        assert_eq!(right.recv().await, Err(LinkError::Closed));
    };
    tokio::join!(left.close(), receiving);
}

#[tokio::test]
async fn a_dropped_link_is_closed() {
    let (left, right) = pair(1, Conditions::default());
    let mut kept = over(left);
    drop(over(right));
    assert_eq!(kept.recv().await, Err(LinkError::Closed));
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_a_peer_that_takes_nothing() {
    let (left, _right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let mut link = over(left);
    for number in 0..8 {
        link.send(numbered(number, 1_000_000)).await.unwrap();
    }
    timeout(LONG, link.close()).await.expect("closing hangs");
}

#[tokio::test]
async fn a_peer_that_dies_is_told_and_sending_fails() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let mut link = over(left);
    drop(right);
    assert_eq!(link.recv().await, Err(LinkError::Lost));
    while link.send(numbered(0, 4)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_nobody_reads_does_not_stop_what_is_sent() {
    let (left, right) = over_tcp(tls(), tls(), Expect::Anyone).await;
    let (mut flooded, mut flooding) = (over(left), over(right));
    for number in 0..40 {
        flooding.send(numbered(number, 1000)).await.unwrap();
    }
    flooded.send(numbered(7, 100_000)).await.unwrap();
    let arrived = timeout(LONG, flooding.recv()).await.expect("nothing came");
    assert_eq!(arrived, Ok(numbered(7, 100_000)));
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
        let mut link = over(link);
        for number in 0..10 {
            let _ = link.send(numbered(number, 100_000)).await;
        }
        link.recv().await
    };
    let (at_server, at_client) = tokio::join!(accepting, connecting);
    assert!(matches!(at_server, LinkError::Identity { expected, .. } if expected == stranger));
    assert_eq!(at_client, Err(LinkError::Refused));
}

#[tokio::test]
async fn the_age_limit_is_told_on_both_sides() {
    let short = tls().living_for(Duration::from_millis(20));
    let (left, right) = over_tcp(tls(), short, Expect::Anyone).await;
    let (mut left, mut right) = (over(left), over(right));
    assert_eq!(
        tokio::join!(left.recv(), right.recv()),
        (Err(LinkError::Expired), Err(LinkError::Expired))
    );
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
    assert!(matches!(closed.err(), Some(LinkError::NotListening(_))));
    for dialled in [tcp::dial_any(&[], LONG).await, tcp::dial("no-such-host.invalid:1", LONG).await]
    {
        assert!(matches!(dialled.err(), Some(LinkError::Unreachable(_))));
    }
}

/// How many of `count` frames arrive under `conditions`, and the final error.
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
