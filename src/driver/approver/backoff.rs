//! The back-off after a refused request: without it, a peer could put one request after another on
//! the screen until the owner approves the wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::device::Fingerprint;
use crate::wire::Reason;

/// The wait after the first refused request.
const FIRST: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether a request may be put before the owner now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Asked,
    /// The peer has to wait.
    TurnedAway {
        /// How long, in seconds.
        seconds: u32,
        /// Whether this is the first request in this wait, which is told and logged.
        first: bool,
    },
    /// The peer is muted.
    Muted {
        /// Whether this is its first request since it was muted.
        first: bool,
    },
}

impl Admission {
    /// The reason for a refused peer, and whether this is the first request in its wait.
    pub fn refusal(self) -> Option<(Reason, bool)> {
        match self {
            Self::Asked => None,
            Self::TurnedAway { seconds, first } => Some((Reason::Busy { seconds }, first)),
            Self::Muted { first } => Some((Reason::Declining, first)),
        }
    }
}

/// The waits of all peers.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    waits: BTreeMap<Fingerprint, Wait>,
    /// The muted peers whose first request since then was reported.
    muted: BTreeSet<Fingerprint>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    span: Duration,
    until: Instant,
    told: bool,
    /// Its request left the queue before it reached the screen.
    unasked: bool,
}

impl Backoff {
    /// Whether a request of `peer`, which may be `muted`, may be put before the owner at `now`.
    pub fn admit(&mut self, peer: &Fingerprint, muted: bool, now: Instant) -> Admission {
        if muted {
            return Admission::Muted { first: self.muted.insert(*peer) };
        }
        self.muted.remove(peer);
        match self.waits.get_mut(peer) {
            Some(wait) if now < wait.until => {
                let left = wait.until.saturating_duration_since(now).as_secs_f64().ceil();
                let first = !std::mem::replace(&mut wait.told, true);
                Admission::TurnedAway { seconds: left as u32, first }
            }
            Some(_) | None => Admission::Asked,
        }
    }

    /// A request of `peer` ended at `now` without a yes: it was denied, withdrawn or not answered.
    /// Requests that end together count as one.
    pub fn refused(&mut self, peer: &Fingerprint, now: Instant) {
        self.begin(peer, now, false);
    }

    /// A request of `peer` left the queue at `now`.
    pub fn withdrawn(&mut self, peer: &Fingerprint, now: Instant) {
        self.begin(peer, now, true);
    }

    /// As [`admit`](Self::admit), for a request that has waited for the screen. Requests that left
    /// the queue meanwhile do not count against it.
    pub fn admit_waiting(&mut self, peer: &Fingerprint, muted: bool, now: Instant) -> Admission {
        match self.waits.get(peer) {
            Some(wait) if wait.unasked && !muted => Admission::Asked,
            _ => self.admit(peer, muted, now),
        }
    }

    fn begin(&mut self, peer: &Fingerprint, now: Instant, unasked: bool) {
        let running = self.waits.get(peer).filter(|wait| now < wait.until);
        if running.is_some_and(|wait| unasked || !wait.unasked) {
            return;
        }
        let span = self.waits.get(peer).map_or(FIRST, |wait| (wait.span * 2).min(LONGEST));
        self.waits.insert(*peer, Wait { span, until: now + span, told: false, unasked });
    }

    /// A request of `peer` was approved, so the next one is admitted at once.
    pub fn approved(&mut self, peer: &Fingerprint) {
        self.waits.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock;

    fn bob() -> Fingerprint {
        Fingerprint::new([1; 32])
    }

    /// The whole seconds after which `peer` is asked again.
    fn seconds(backoff: &Backoff, peer: &Fingerprint, now: Instant) -> u64 {
        let asked = |seconds: &u64| {
            let then = now + Duration::from_secs(*seconds);
            backoff.clone().admit(peer, false, then) == Admission::Asked
        };
        (0..1000).find(asked).unwrap()
    }

    #[test]
    fn each_denial_doubles_the_wait_up_to_a_minute() {
        let (mut backoff, mut now) = (Backoff::default(), clock::now());
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.refused(&bob(), now);
            let wait = seconds(&backoff, &bob(), now);
            waits.push(wait);
            now += Duration::from_secs(wait);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(
            seconds(&backoff, &Fingerprint::new([2; 32]), now),
            0,
            "another peer does not pay for it"
        );
    }

    #[test]
    fn twelve_denials_take_minutes_and_not_seconds() {
        let (mut backoff, begun) = (Backoff::default(), clock::now());
        let mut now = begun;
        for _ in 0..12 {
            backoff.refused(&bob(), now);
            now += Duration::from_secs(seconds(&backoff, &bob(), now));
        }
        assert_eq!((now - begun).as_secs(), 2 + 4 + 8 + 16 + 32 + 7 * 60);
    }

    #[test]
    fn an_approval_ends_the_wait() {
        let (mut backoff, now) = (Backoff::default(), clock::now());
        backoff.refused(&bob(), now);
        backoff.refused(&bob(), now);
        backoff.approved(&bob());
        assert_eq!(backoff.admit(&bob(), false, now), Admission::Asked);
        backoff.refused(&bob(), now);
        assert_eq!(seconds(&backoff, &bob(), now), 2);
    }

    #[test]
    fn what_left_the_queue_is_held_against_new_requests_alone() {
        let (mut backoff, now) = (Backoff::default(), clock::now());
        backoff.withdrawn(&bob(), now);
        backoff.withdrawn(&bob(), now);
        assert_eq!(seconds(&backoff, &bob(), now), 2, "two that leave together are one");
        assert_eq!(backoff.admit_waiting(&bob(), false, now), Admission::Asked);
        assert_eq!(backoff.admit_waiting(&bob(), true, now), Admission::Muted { first: true });
        // A no counts against both.
        backoff.refused(&bob(), now);
        let away = Admission::TurnedAway { seconds: 4, first: true };
        assert_eq!(backoff.admit_waiting(&bob(), false, now), away);
    }

    #[test]
    fn only_the_first_request_of_a_wait_is_told() {
        let (mut backoff, now) = (Backoff::default(), clock::now());
        backoff.refused(&bob(), now);
        assert_eq!(
            backoff.admit(&bob(), false, now),
            Admission::TurnedAway { seconds: 2, first: true }
        );
        assert_eq!(
            backoff.admit(&bob(), false, now),
            Admission::TurnedAway { seconds: 2, first: false }
        );
        backoff.refused(&bob(), now + FIRST);
        assert_eq!(
            backoff.admit(&bob(), false, now + FIRST),
            Admission::TurnedAway { seconds: 4, first: true }
        );
    }

    #[test]
    fn a_muted_peer_is_turned_away_until_it_is_unmuted() {
        let (mut backoff, now) = (Backoff::default(), clock::now());
        for first in [true, false] {
            assert_eq!(backoff.admit(&bob(), true, now), Admission::Muted { first });
        }
        assert_eq!(backoff.admit(&bob(), false, now), Admission::Asked);
        assert_eq!(backoff.admit(&bob(), true, now), Admission::Muted { first: true });
    }
}
