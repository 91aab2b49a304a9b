//! Limits on callers at once, before and after their certificate is verified.
//!
//! A stranger can only take the place of another stranger. A known device gives up that place as
//! soon as its certificate is verified, and takes one of a few places of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::device::Fingerprint;
use crate::driver::connect::target::Source;

/// Most unverified callers at once, on the local network and through a relay each.
const PLACES: usize = 128;
/// Most connections of one known device at once.
const CONNECTIONS: usize = 16;

/// Callers whose certificate is not verified yet. Where there are too many, the source with the most of them
/// loses its oldest: an honest caller completes the handshake at once.
#[derive(Debug, Default)]
pub struct UnverifiedCallers(Vec<(Source, oneshot::Sender<()>)>);

impl UnverifiedCallers {
    /// A place, which is held until the receiver is dropped. It resolves when the place is needed
    /// for another caller.
    pub fn admit(&mut self, source: Source) -> oneshot::Receiver<()> {
        self.0.retain(|(_, place)| !place.is_closed());
        if self.0.len() >= PLACES {
            let mut crowd = source;
            for (other, _) in &self.0 {
                if self.count(*other) > self.count(crowd) {
                    crowd = *other;
                }
            }
            if let Some(oldest) = self.0.iter().position(|(source, _)| *source == crowd) {
                self.0.remove(oldest);
            }
        }
        let (place, unverified) = oneshot::channel();
        self.0.push((source, place));
        unverified
    }

    fn count(&self, source: Source) -> usize {
        self.0.iter().filter(|(other, _)| *other == source).count()
    }
}

/// The number of connections of each known device.
#[derive(Debug, Default)]
pub struct PeerConnections(Mutex<BTreeMap<Fingerprint, usize>>);

/// A connection of a known device, counted until this is dropped.
#[derive(Debug)]
pub struct PeerConnection<'a> {
    connections: &'a PeerConnections,
    peer: Fingerprint,
}

impl PeerConnections {
    /// Counts one more connection of `peer`; `None` at the limit.
    pub fn admit(&self, peer: Fingerprint) -> Option<PeerConnection<'_>> {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = here.entry(peer).or_default();
        if *connections >= CONNECTIONS {
            return None;
        }
        *connections = connections.saturating_add(1);
        Some(PeerConnection { connections: self, peer })
    }
}

impl Drop for PeerConnection<'_> {
    fn drop(&mut self) {
        let mut here = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = here.get_mut(&self.peer) {
            *connections = connections.saturating_sub(1);
            if *connections == 0 {
                here.remove(&self.peer);
            }
        }
    }
}

/// How many fruitless visits a known device has at most, and the time after which it gets one back.
const FRUITLESS: u32 = 250;
const FRUITLESS_EVERY: Duration = Duration::from_secs(1);

/// Counts fruitless visits of known devices: refused, failed, or without any change here. Each
/// costs a line of the log and of the screen, so a device with many has to wait.
#[derive(Debug, Default)]
pub struct FruitlessVisits(Mutex<BTreeMap<Fingerprint, Instant>>);

impl FruitlessVisits {
    /// Counts a fruitless visit of `peer`.
    pub fn count(&self, peer: Fingerprint, now: Instant) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, paid| *paid > now);
        let paid = made.entry(peer).or_insert(now);
        *paid += FRUITLESS_EVERY;
    }

    /// How many seconds `peer` has to wait, if it has to.
    pub fn wait(&self, peer: &Fingerprint, now: Instant) -> Option<u32> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = made.get(peer)?.saturating_duration_since(now);
        let wait = owed.checked_sub(FRUITLESS_EVERY.saturating_mul(FRUITLESS.saturating_sub(1)))?;
        u32::try_from(wait.as_millis().div_ceil(1000)).ok().filter(|seconds| *seconds > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock;
    use crate::driver::connect::target::Way;

    fn lan(address: &str) -> Source {
        Source::of(&Way::Lan(address.parse().unwrap()))
    }

    #[test]
    fn a_crowd_makes_room_out_of_its_own() {
        let mut callers = UnverifiedCallers::default();
        let (honest, crowd) = (lan("192.0.2.7:1"), lan("192.0.2.8:1"));
        let mut first = callers.admit(honest);
        let mut many: Vec<_> = (0..4 * PLACES).map(|_| callers.admit(crowd)).collect();
        assert!(first.try_recv() == Err(oneshot::error::TryRecvError::Empty), "it was put out");
        let mut here = |i: usize| many[i].try_recv() == Err(oneshot::error::TryRecvError::Empty);
        assert!(!here(0) && here(4 * PLACES - 1));
        assert_eq!((0..4 * PLACES).filter(|i| here(*i)).count(), PLACES - 1);
    }

    #[test]
    fn whoever_left_takes_no_place() {
        let mut callers = UnverifiedCallers::default();
        let mut first = callers.admit(Source::Relay);
        for _ in 0..4 * PLACES {
            drop(callers.admit(Source::Relay));
        }
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn whoever_comes_for_nothing_again_and_again_waits_and_others_do_not() {
        let visits = FruitlessVisits::default();
        let [alice, bob] = [1, 2].map(|byte| Fingerprint::new([byte; 32]));
        let now = clock::now();
        for _ in 1..FRUITLESS {
            visits.count(alice, now);
            assert_eq!(visits.wait(&alice, now), None);
        }
        visits.count(alice, now);
        assert_eq!((visits.wait(&alice, now), visits.wait(&bob, now)), (Some(1), None));
        assert_eq!(visits.wait(&alice, now + FRUITLESS_EVERY), None);
        // Without visits all of them come back.
        let later = now + FRUITLESS_EVERY * FRUITLESS;
        visits.count(bob, later);
        assert_eq!(visits.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_known_device_has_a_few_connections_and_takes_nobody_elses() {
        let connections = PeerConnections::default();
        let [alice, bob] = [1, 2].map(|byte| Fingerprint::new([byte; 32]));
        let mut all: Vec<_> = (0..CONNECTIONS).map(|_| connections.admit(alice).unwrap()).collect();
        assert!(connections.admit(alice).is_none());
        assert!(connections.admit(bob).is_some());
        all.pop();
        assert!(connections.admit(alice).is_some());
    }
}
