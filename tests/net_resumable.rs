//! A link whose connections break and are replaced: no frame is lost or doubled, every end is
//! reported.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cosign::device::Fingerprint;
use cosign::net::resumable::{Reconnect, ResumableLink};
use cosign::net::{Frame, Kind, Link, LinkError, Receiver, Sender};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);
/// The fingerprint of the other end.
fn peer() -> Fingerprint {
    Fingerprint::new([7; 32])
}

/// A connection that breaks after so many frames, wherever they are then.
struct Wire {
    to: mpsc::Sender<Frame>,
    from: mpsc::Receiver<Frame>,
    left: Arc<AtomicI64>,
}

impl Wire {
    fn pair(breaks_after: i64) -> (Self, Self) {
        let left = Arc::new(AtomicI64::new(breaks_after));
        let ((a, from_a), (b, from_b)) = (mpsc::channel(8), mpsc::channel(8));
        (Self { to: a, from: from_b, left: Arc::clone(&left) }, Self { to: b, from: from_a, left })
    }
}

struct WireSender(Option<mpsc::Sender<Frame>>, Arc<AtomicI64>);

impl Sender for WireSender {
    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        if self.1.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.0 = None;
        }
        let Some(to) = &self.0 else { return Err(LinkError::Lost) };
        to.send(frame).await.map_err(|_| LinkError::Lost)
    }

    async fn close(&mut self) {
        let _ = self.send(Frame::new(Kind::Close, Vec::new())).await;
        self.0 = None;
    }
}

struct WireReceiver(mpsc::Receiver<Frame>, Arc<AtomicI64>);

impl Receiver for WireReceiver {
    async fn recv(&mut self) -> Result<Frame, LinkError> {
        let frame = self.0.recv().await.ok_or(LinkError::Lost)?;
        match frame.kind {
            Kind::Close => Err(LinkError::Closed),
            // Bytes in flight when it broke may be lost.
            _ if self.1.load(Ordering::Relaxed) < 0 => Err(LinkError::Lost),
            _ => Ok(frame),
        }
    }
}

impl Link for Wire {
    type Sender = WireSender;
    type Receiver = WireReceiver;

    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.to.send(frame).await.map_err(|_| LinkError::Lost)
    }

    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.from.recv().await.ok_or(LinkError::Lost)
    }

    async fn close(self) {}

    fn split(self) -> (WireSender, WireReceiver) {
        (WireSender(Some(self.to), Arc::clone(&self.left)), WireReceiver(self.from, self.left))
    }
}

/// A connection, and how many frames the other side says it has.
type Next = (Wire, u64);

/// Reconnects by taking the connections that the test hands out.
struct Handed {
    next: mpsc::Receiver<Next>,
    told: mpsc::UnboundedSender<u64>,
}

impl Reconnect for Handed {
    type Link = Wire;

    fn replaced(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    async fn reconnect(&mut self, received: u64) -> Result<Next, LinkError> {
        let _ = self.told.send(received);
        self.next.recv().await.ok_or(LinkError::Lost)
    }
}

/// One side: its link, where it takes connections from, and where it tells how much it has.
struct Side {
    link: ResumableLink,
    next: mpsc::Sender<Next>,
    told: mpsc::UnboundedReceiver<u64>,
}

impl Side {
    fn new(wire: Wire) -> Self {
        let (next, taken) = mpsc::channel(1);
        let (tells, told) = mpsc::unbounded_channel();
        Self {
            link: ResumableLink::new(peer(), wire, Handed { next: taken, told: tells }),
            next,
            told,
        }
    }
}

/// A link whose other side is a bare connection that the test speaks on.
fn against_the_test() -> (Side, Wire) {
    let (ours, theirs) = Wire::pair(i64::MAX);
    (Side::new(ours), theirs)
}

fn numbered(number: u32) -> Frame {
    let mut payload = vec![0; number as usize % 5000];
    payload.extend(number.to_be_bytes());
    Frame::new(Kind::Protocol, payload)
}

fn receipt(count: u64) -> Frame {
    Frame::new(Kind::Receipt, count.to_be_bytes().to_vec())
}

#[tokio::test]
async fn every_frame_arrives_once_and_in_order_however_often_connections_break() {
    const COUNT: u32 = 600;
    let (a, b) = Wire::pair(3);
    let (mut left, mut right) = (Side::new(a), Side::new(b));
    let operator = tokio::spawn(async move {
        let mut breaks = 0;
        while let (Some(left_has), Some(right_has)) =
            tokio::join!(left.told.recv(), right.told.recv())
        {
            breaks += 1;
            let (a, b) = Wire::pair(breaks * 7 % 50);
            let _ = tokio::join!(left.next.send((a, right_has)), right.next.send((b, left_has)));
        }
        breaks
    });
    let talk = |link: ResumableLink| async move {
        let (mut sender, mut receiver) = link.split();
        let sending = async {
            for number in 0..COUNT {
                sender.send(numbered(number)).await.unwrap();
            }
        };
        let hearing = async {
            for number in 0..COUNT {
                assert_eq!(receiver.recv().await, Ok(numbered(number)));
            }
        };
        tokio::join!(sending, hearing);
        (sender, receiver)
    };
    let both = async { tokio::join!(talk(left.link), talk(right.link)) };
    drop(timeout(LONG, both).await.expect("a link hangs"));
    let breaks = timeout(LONG, operator).await.expect("a link does not end").unwrap();
    assert!(breaks > 10, "the connections were too good to show anything: {breaks}");
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives_before_it() {
    let (a, b) = Wire::pair(i64::MAX);
    let (mut left, mut right) = (Side::new(a).link, Side::new(b).link);
    for number in 0..40 {
        left.send(numbered(number)).await.unwrap();
    }
    let hearing = async {
        for number in 0..40 {
            assert_eq!(right.recv().await, Ok(numbered(number)));
        }
        assert_eq!(right.recv().await, Err(LinkError::Closed));
        assert_eq!(right.recv().await, Err(LinkError::Closed));
    };
    timeout(LONG, async { tokio::join!(left.close(), hearing) }).await.expect("no end");
}

#[tokio::test]
async fn a_side_that_says_goodbye_is_not_called_again() {
    let (mut ours, mut theirs) = against_the_test();
    theirs.send(Frame::new(Kind::Close, Vec::new())).await.unwrap();
    assert_eq!(ours.link.recv().await, Err(LinkError::Closed));
    assert!(ours.told.try_recv().is_err());
}

#[tokio::test]
async fn a_link_that_finds_no_other_connection_is_lost() {
    let (mut ours, theirs) = against_the_test();
    drop((theirs, ours.next));
    assert_eq!(ours.link.recv().await, Err(LinkError::Lost));
    timeout(LONG, ours.link.close()).await.expect("closing hangs");
}

#[tokio::test]
async fn a_link_that_is_closed_while_broken_does_not_keep_its_owner() {
    let (mut ours, theirs) = against_the_test();
    drop(theirs);
    assert_eq!(ours.told.recv().await, Some(0));
    timeout(LONG, ours.link.close()).await.expect("closing hangs");
}

#[tokio::test]
async fn a_receipt_for_what_was_not_sent_ends_the_link() {
    for lie in [receipt(2), Frame::new(Kind::Receipt, vec![1]), receipt(u64::MAX)] {
        let (mut ours, mut theirs) = against_the_test();
        ours.link.send(numbered(1)).await.unwrap();
        assert_eq!(theirs.recv().await, Ok(numbered(1)));
        theirs.send(receipt(1)).await.unwrap();
        theirs.send(lie).await.unwrap();
        assert!(matches!(ours.link.recv().await, Err(LinkError::Malformed(_))));
    }
}

#[tokio::test]
async fn a_receipt_taken_back_ends_the_link() {
    let (mut ours, mut theirs) = against_the_test();
    for number in 0..2 {
        ours.link.send(numbered(number)).await.unwrap();
        theirs.recv().await.unwrap();
    }
    theirs.send(receipt(2)).await.unwrap();
    theirs.send(receipt(1)).await.unwrap();
    assert!(matches!(ours.link.recv().await, Err(LinkError::Malformed(_))));
}

#[tokio::test]
async fn a_side_that_comes_back_with_less_than_it_confirmed_or_more_than_it_got_is_refused() {
    for (confirmed, claims) in [(1, 0), (0, 2), (1, u64::MAX)] {
        let (mut ours, mut theirs) = against_the_test();
        ours.link.send(numbered(1)).await.unwrap();
        theirs.recv().await.unwrap();
        theirs.send(receipt(confirmed)).await.unwrap();
        theirs.send(numbered(9)).await.unwrap();
        assert_eq!(ours.link.recv().await, Ok(numbered(9)));
        drop(theirs);
        let (next, _kept) = Wire::pair(i64::MAX);
        ours.next.send((next, claims)).await.unwrap();
        assert!(matches!(ours.link.recv().await, Err(LinkError::Malformed(_))));
    }
}

#[tokio::test]
async fn a_peer_that_confirms_nothing_fills_no_memory() {
    let (ours, mut theirs) = against_the_test();
    let (mut sender, _receiver) = ours.link.split();
    let long = Frame::new(Kind::Protocol, vec![0; 1 << 20]);
    let swallowing = tokio::spawn(async move {
        let mut taken = 0_u64;
        while timeout(Duration::from_millis(500), theirs.recv()).await.is_ok_and(|r| r.is_ok()) {
            taken += 1;
        }
        taken
    });
    let sending = async { while sender.send(long.clone()).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(3), sending).await.is_err(), "sending never waits");
    assert!(swallowing.await.unwrap() <= 9);
}
