//! Requests that wait for the owner of this device: one is on the screen, the others wait.
//!
//! Devices take turns, and the oldest request of each comes first, so a device with many requests
//! delays the others by one at a time.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::device::Fingerprint;
use crate::progress::QueuedRequest;

/// The screen and the requests that wait for it. An entry that takes the screen at once, such as
/// six digits to compare, has no request.
#[derive(Debug, Default)]
pub struct Queue(watch::Sender<Entries>);

/// Notifies of changes in a queue.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Entries>);

impl Changes {
    /// Waits for the next change, or for ever if the queue is gone. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[derive(Debug, Default)]
struct Entries {
    all: Vec<Entry>,
    /// How many entries there have been.
    numbered: u64,
    turns: Turns,
    /// Whether only requests that were shown before may still be shown.
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    request: Option<(Fingerprint, QueuedRequest)>,
    is_shown: bool,
}

/// When each device last had the screen.
#[derive(Clone, Debug, Default)]
struct Turns {
    last: BTreeMap<Fingerprint, u64>,
    taken: u64,
}

impl Turns {
    fn of(&self, entry: &Entry) -> u64 {
        let requester = entry.request.as_ref().map(|(requester, _)| requester);
        requester.and_then(|requester| self.last.get(requester)).copied().unwrap_or_default()
    }

    fn take(&mut self, entry: &Entry) {
        self.taken = self.taken.saturating_add(1);
        if let Some((requester, _)) = &entry.request {
            self.last.insert(*requester, self.taken);
        }
    }
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub struct Place<'q> {
    queue: &'q Queue,
    number: u64,
    /// How many were before it when [`Moved::Behind`] was last returned.
    behind: Option<usize>,
    was_shown: bool,
}

/// The next change of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is on the screen now.
    Shown,
    /// So many are before it, including the one on the screen.
    Behind(usize),
    /// The queue was closed, and it will not be shown.
    Closed,
}

impl Queue {
    /// The place on the screen, if the queue is empty.
    pub fn try_screen(&self) -> Option<Place<'_>> {
        let mut number = None;
        self.0.send_if_modified(|entries| {
            if entries.all.is_empty() && !entries.is_closed {
                number = Some(entries.add(None));
                entries.advance();
            }
            number.is_some()
        });
        Some(Place { queue: self, number: number?, behind: None, was_shown: true })
    }

    /// A place for a request of the device `requester`.
    pub fn join(&self, requester: Fingerprint, request: QueuedRequest) -> Place<'_> {
        let mut number = 0;
        self.0.send_modify(|entries| number = entries.add(Some((requester, request))));
        Place { queue: self, number, behind: None, was_shown: false }
    }

    /// From now on only requests that were shown before may be shown.
    pub fn close(&self) {
        self.0.send_modify(|entries| entries.is_closed = true);
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_closed
    }

    /// Whether the screen is free and no request waits.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().all.is_empty()
    }

    /// The requests that wait, in order.
    pub fn waiting(&self) -> Vec<QueuedRequest> {
        let entries = self.0.borrow();
        let requests = entries.waiting().into_iter().filter_map(|entry| entry.request.as_ref());
        requests.map(|(_, request)| request.clone()).collect()
    }

    /// Notifies of all changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

impl Entries {
    fn add(&mut self, request: Option<(Fingerprint, QueuedRequest)>) -> u64 {
        let number = self.numbered;
        self.numbered = number.wrapping_add(1);
        self.all.push(Entry { number, request, is_shown: false });
        number
    }

    /// The entries that wait, in the order in which they will be shown.
    fn waiting(&self) -> Vec<&Entry> {
        let mut left: Vec<&Entry> = self.all.iter().filter(|entry| !entry.is_shown).collect();
        let (mut turns, mut order) = (self.turns.clone(), Vec::new());
        let first = |left: &[&Entry], turns: &Turns| {
            (0..left.len()).min_by_key(|at| left.get(*at).map(|e| (turns.of(e), e.number)))
        };
        while let Some(at) = first(&left, &turns) {
            let next = left.swap_remove(at);
            turns.take(next);
            order.push(next);
        }
        order
    }

    /// How many come before the entry with this number; `None` if it is on the screen or gone.
    fn before(&self, number: u64) -> Option<usize> {
        let place = self.waiting().iter().position(|entry| entry.number == number)?;
        let shown = self.all.iter().filter(|entry| entry.is_shown).count();
        Some(place.saturating_add(shown))
    }

    /// Shows the first entry if the screen is free. Whether that changed anything.
    fn advance(&mut self) -> bool {
        if self.all.iter().any(|entry| entry.is_shown) {
            return false;
        }
        let first = self.waiting().first().map(|entry| entry.number);
        let Some(entry) = self.all.iter_mut().find(|entry| Some(entry.number) == first) else {
            return false;
        };
        entry.is_shown = true;
        self.turns.take(entry);
        true
    }
}

impl Place<'_> {
    /// The next change of this place: how many are before it, at first and whenever that changes,
    /// and finally that it is shown. Cancel-safe.
    pub async fn moved(&mut self) -> Moved {
        let mut changes = self.queue.0.subscribe();
        loop {
            self.queue.0.send_if_modified(Entries::advance);
            let (before, is_closed) = {
                let entries = changes.borrow_and_update();
                (entries.before(self.number), entries.is_closed)
            };
            // A request that the owner has put off may still be shown.
            if is_closed && !self.was_shown {
                return Moved::Closed;
            }
            let Some(before) = before else {
                self.was_shown = true;
                return Moved::Shown;
            };
            if self.behind != Some(before) {
                self.behind = Some(before);
                return Moved::Behind(before);
            }
            // The queue is borrowed, so its sender exists.
            let _ = changes.changed().await;
        }
    }

    /// Gives the screen to the next request, and goes to the end of the queue.
    pub fn let_others_first(&mut self) {
        self.behind = None;
        self.queue.0.send_modify(|entries| {
            if let Some(at) = entries.all.iter().position(|entry| entry.number == self.number) {
                let entry = entries.all.remove(at);
                entries.advance();
                self.number = entries.add(entry.request);
            }
        });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.0.send_modify(|entries| {
            entries.all.retain(|entry| entry.number != self.number);
            entries.advance();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::request::{Ceremony, RequestId};

    /// A place for a request of `peer`.
    fn join<'q>(queue: &'q Queue, peer: &str) -> Place<'q> {
        let request = QueuedRequest {
            peer: peer.into(),
            ceremony: Ceremony::Sign,
            key: "vault".into(),
            request_id: RequestId::new("r-1").unwrap(),
        };
        queue.join(Fingerprint::new([peer.as_bytes()[0]; 32]), request)
    }

    fn peers(queue: &Queue) -> Vec<String> {
        queue.waiting().into_iter().map(|request| request.peer).collect()
    }

    /// The change of a place, if there is one now.
    fn now(place: &mut Place<'_>) -> Option<Moved> {
        match pin!(place.moved()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(moved) => Some(moved),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_oldest_comes_next_and_each_is_told_its_place_once() {
        let queue = Queue::default();
        let mut places = ["alice", "bob", "carol"].map(|peer| join(&queue, peer));
        assert_eq!(now(&mut places[2]), Some(Moved::Behind(2)));
        assert_eq!(now(&mut places[2]), None);
        assert_eq!(now(&mut places[0]), Some(Moved::Shown));
        assert_eq!(peers(&queue), ["bob", "carol"]);
        let [alice, mut bob, mut carol] = places;
        drop(alice);
        assert_eq!(now(&mut carol), Some(Moved::Behind(1)));
        assert_eq!(now(&mut bob), Some(Moved::Shown));
        // A request that is withdrawn in the queue has taken no turn.
        drop(carol);
        assert_eq!((peers(&queue).len(), queue.is_empty()), (0, false));
        drop(bob);
        assert!(queue.is_empty());
    }

    #[test]
    fn devices_take_turns_however_many_requests_one_of_them_has() {
        let queue = Queue::default();
        let mut of_alice: Vec<_> = (0..4).map(|_| join(&queue, "alice")).collect();
        assert_eq!(now(&mut of_alice[0]), Some(Moved::Shown));
        let (mut bob, mut carol) = (join(&queue, "bob"), join(&queue, "carol"));
        assert_eq!(
            (now(&mut bob), now(&mut carol)),
            (Some(Moved::Behind(1)), Some(Moved::Behind(2)))
        );
        assert_eq!(peers(&queue), ["bob", "carol", "alice", "alice", "alice"]);
        of_alice.remove(0);
        assert_eq!(
            (now(&mut bob), now(&mut of_alice[0])),
            (Some(Moved::Shown), Some(Moved::Behind(2)))
        );
        // A device that had its turn comes after one that waits for its first.
        let _again = join(&queue, "bob");
        drop(bob);
        assert_eq!(now(&mut carol), Some(Moved::Shown));
        assert_eq!(peers(&queue), ["alice", "bob", "alice", "alice"]);
    }

    #[test]
    fn one_that_lets_others_first_is_asked_after_them() {
        let queue = Queue::default();
        let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|p| join(&queue, p));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        alice.let_others_first();
        assert_eq!(now(&mut alice), Some(Moved::Behind(2)));
        assert_eq!((now(&mut bob), now(&mut carol)), (Some(Moved::Shown), Some(Moved::Behind(1))));
        drop((bob, carol));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        // Without others it stays.
        alice.let_others_first();
        assert_eq!(now(&mut alice), Some(Moved::Shown));
    }

    #[test]
    fn when_it_is_closed_only_what_was_shown_comes_back() {
        let queue = Queue::default();
        let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|p| join(&queue, p));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        alice.let_others_first();
        assert_eq!(now(&mut bob), Some(Moved::Shown));
        assert_eq!(now(&mut carol), Some(Moved::Behind(1)));
        queue.close();
        assert_eq!(now(&mut carol), Some(Moved::Closed));
        assert_eq!(now(&mut join(&queue, "dave")), Some(Moved::Closed));
        drop((bob, carol));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        drop(alice);
        assert!(queue.is_empty() && queue.try_screen().is_none());
    }

    #[test]
    fn what_does_not_wait_is_shown_only_where_nothing_is() {
        let queue = Queue::default();
        let screen = queue.try_screen().unwrap();
        assert!(queue.try_screen().is_none());
        let mut bob = join(&queue, "bob");
        assert_eq!(now(&mut bob), Some(Moved::Behind(1)));
        drop(screen);
        assert!(queue.try_screen().is_none(), "bob comes first");
        assert_eq!(now(&mut bob), Some(Moved::Shown));
    }
}
