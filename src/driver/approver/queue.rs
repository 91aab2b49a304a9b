//! Requests that wait for the owner of this device: one is on the screen, and the others come after it, the
//! oldest first.

use tokio::sync::watch;

use crate::progress::QueuedRequest;

/// What is put before the owner, in this order. What is put there without waiting, such as six digits to
/// compare, has no request.
#[derive(Debug, Default)]
pub struct Queue(watch::Sender<Entries>);

/// What changes in a queue.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Entries>);

impl Changes {
    /// Waits for the next change, or for ever where the queue is gone. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[derive(Debug, Default)]
struct Entries {
    all: Vec<Entry>,
    /// How many there were so far.
    numbered: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    request: Option<QueuedRequest>,
    is_shown: bool,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub struct Place<'q> {
    queue: &'q Queue,
    number: u64,
    /// How many were before it when that was given last.
    behind: Option<usize>,
}

/// What a place comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is put before the owner now.
    Shown,
    /// So many are before it, with the one that is on the screen.
    Behind(usize),
}

impl Queue {
    /// The place on the screen, if nothing is there and nothing waits for it.
    pub fn try_screen(&self) -> Option<Place<'_>> {
        let mut number = None;
        self.0.send_if_modified(|entries| {
            if entries.all.is_empty() {
                number = Some(entries.add(None));
                entries.advance();
            }
            number.is_some()
        });
        Some(Place { queue: self, number: number?, behind: None })
    }

    /// A place behind those that are here.
    pub fn join(&self, request: QueuedRequest) -> Place<'_> {
        let mut number = 0;
        self.0.send_modify(|entries| number = entries.add(Some(request)));
        Place { queue: self, number, behind: None }
    }

    /// Whether nothing is on the screen and nothing waits for it.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().all.is_empty()
    }

    /// The requests that wait, in order.
    pub fn waiting(&self) -> Vec<QueuedRequest> {
        let entries = self.0.borrow();
        let waiting = entries.all.iter().filter(|entry| !entry.is_shown);
        waiting.filter_map(|entry| entry.request.clone()).collect()
    }

    /// Tells of all that changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

impl Entries {
    fn add(&mut self, request: Option<QueuedRequest>) -> u64 {
        let number = self.numbered;
        self.numbered = number.wrapping_add(1);
        self.all.push(Entry { number, request, is_shown: false });
        number
    }

    /// Puts the first on the screen where nothing is there. Whether that changed anything.
    fn advance(&mut self) -> bool {
        let is_free = self.all.iter().all(|entry| !entry.is_shown);
        match self.all.first_mut().filter(|_| is_free) {
            Some(first) => {
                first.is_shown = true;
                true
            }
            None => false,
        }
    }
}

impl Place<'_> {
    /// What becomes of this place next: how many are before it, at first and whenever that changes, and at last
    /// that it is shown. Cancel-safe.
    pub async fn moved(&mut self) -> Moved {
        let mut changes = self.queue.0.subscribe();
        loop {
            self.queue.0.send_if_modified(Entries::advance);
            let (place, is_shown) = {
                let all = &changes.borrow_and_update().all;
                let place = all.iter().position(|entry| entry.number == self.number);
                (place, place.and_then(|at| all.get(at)).is_none_or(|entry| entry.is_shown))
            };
            if is_shown {
                return Moved::Shown;
            }
            if place != self.behind {
                self.behind = place;
                return Moved::Behind(place.unwrap_or_default());
            }
            // The sender is the queue, which is borrowed.
            let _ = changes.changed().await;
        }
    }

    /// Gives the screen to the next one and goes to the end.
    pub fn let_others_first(&mut self) {
        self.behind = None;
        self.queue.0.send_modify(|entries| {
            if let Some(at) = entries.all.iter().position(|entry| entry.number == self.number) {
                let entry = entries.all.remove(at);
                entries.advance();
                entries.all.push(Entry { is_shown: false, ..entry });
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
    use crate::request::Ceremony;

    fn of(peer: &str) -> QueuedRequest {
        QueuedRequest { peer: peer.into(), ceremony: Ceremony::Sign, key: "vault".into() }
    }

    fn peers(queue: &Queue) -> Vec<String> {
        queue.waiting().into_iter().map(|request| request.peer).collect()
    }

    /// What a place comes to now.
    fn now(place: &mut Place<'_>) -> Option<Moved> {
        match pin!(place.moved()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(moved) => Some(moved),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_oldest_comes_next_and_each_is_told_its_place_once() {
        let queue = Queue::default();
        let mut places = ["alice", "bob", "carol"].map(|peer| queue.join(of(peer)));
        assert_eq!(now(&mut places[2]), Some(Moved::Behind(2)));
        assert_eq!(now(&mut places[2]), None);
        assert_eq!(now(&mut places[0]), Some(Moved::Shown));
        assert_eq!(peers(&queue), ["bob", "carol"]);
        let [alice, mut bob, mut carol] = places;
        drop(alice);
        assert_eq!(now(&mut carol), Some(Moved::Behind(1)));
        assert_eq!(now(&mut bob), Some(Moved::Shown));
        // One that is withdrawn while it waits takes nobody's place.
        drop(carol);
        assert_eq!((peers(&queue).len(), queue.is_empty()), (0, false));
        drop(bob);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_that_lets_others_first_is_asked_after_them() {
        let queue = Queue::default();
        let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|p| queue.join(of(p)));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        alice.let_others_first();
        assert_eq!(now(&mut alice), Some(Moved::Behind(2)));
        assert_eq!((now(&mut bob), now(&mut carol)), (Some(Moved::Shown), Some(Moved::Behind(1))));
        drop((bob, carol));
        assert_eq!(now(&mut alice), Some(Moved::Shown));
        // Alone it stays where it is.
        alice.let_others_first();
        assert_eq!(now(&mut alice), Some(Moved::Shown));
    }

    #[test]
    fn what_does_not_wait_is_shown_only_where_nothing_is() {
        let queue = Queue::default();
        let screen = queue.try_screen().unwrap();
        assert!(queue.try_screen().is_none());
        let mut bob = queue.join(of("bob"));
        assert_eq!(now(&mut bob), Some(Moved::Behind(1)));
        drop(screen);
        assert!(queue.try_screen().is_none(), "bob comes first");
        assert_eq!(now(&mut bob), Some(Moved::Shown));
    }
}
