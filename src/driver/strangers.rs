//! Unknown devices that are refused. They are counted, reported at intervals, and noted in a file of bounded
//! size.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::device::{Fingerprint, Label};
use crate::driver::connect::target::Source;
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::progress::{Event, StrangerRequest};
use crate::vault::attempts;
use crate::vault::strangers::{self, Stranger};
use crate::wire::Reason;

/// Shortest time between two reports on the screen.
const TELL: Duration = Duration::from_secs(30);
/// How often the owner is told that pairing is paused.
const REMIND: Duration = Duration::from_secs(10 * 60);
/// Shortest time between two notes in the file.
const NOTE: Duration = Duration::from_secs(1);
/// Most characters of a stranger's name that are stored.
const NAME: usize = 32;

/// The counts of unknown devices.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    told: Option<Instant>,
    /// When the owner was last told that pairing is paused.
    paused: Option<Instant>,
    noted: Option<Instant>,
    /// How many were not noted since the last note.
    others: u64,
}

impl Tally {
    /// Counts one more. Returns whether to report it, and, if it is to be noted, how many before it
    /// were not.
    fn count(&mut self, now: Instant) -> (bool, Option<u64>) {
        self.count = self.count.saturating_add(1);
        let tell = due(&mut self.told, now, TELL);
        if due(&mut self.noted, now, NOTE) {
            return (tell, Some(std::mem::take(&mut self.others)));
        }
        self.others = self.others.saturating_add(1);
        (tell, None)
    }
}

/// Whether `pause` has passed since `last`; then `last` becomes `now`.
fn due(last: &mut Option<Instant>, now: Instant, pause: Duration) -> bool {
    let due = last.is_none_or(|last| now >= last + pause);
    if due {
        *last = Some(now);
    }
    due
}

/// An unknown device with a request.
#[derive(Debug)]
pub struct Visitor<'a> {
    /// Where it came from.
    pub source: Source,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its name for itself.
    pub name: &'a Label,
    /// Its request.
    pub wanted: StrangerRequest,
}

/// Counts an unknown device that was refused for this reason. Returns whether the owner was told,
/// which happens now and then.
pub fn turned_away(node: &Node, visitor: &Visitor<'_>, why: Reason) -> bool {
    let now = clock::now();
    let (count, tell, remind, note) = {
        let mut tally = node.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tell, note) = tally.count(now);
        let remind = why == Reason::Locked && due(&mut tally.paused, now, REMIND);
        (tally.count, tell, remind, note)
    };
    if remind {
        let failed = attempts::charged(&node.home).map_or(attempts::LIMIT, |all| all.charged);
        node.tell(Note::PairingPaused { failed });
    }
    if tell {
        node.tell(Event::Strangers {
            count,
            source: visitor.source.to_string(),
            wanted: visitor.wanted,
        });
    }
    let Some(others) = note else { return tell };
    let stranger = Stranger {
        time: clock::unix_now(),
        source: visitor.source.to_string(),
        fingerprint: visitor.fingerprint.to_hex(),
        name: Label::capped(visitor.name.as_str(), NAME).as_str().to_owned(),
        wanted: visitor.wanted.name().to_owned(),
        outcome: why.word().to_owned(),
        others,
    };
    // A failed note is ignored: the stranger was counted.
    let _ = strangers::note(&node.home, &stranger);
    tell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_and_noted_now_and_then() {
        let mut tally = Tally::default();
        let began = clock::now();
        let at = |millis| began + Duration::from_millis(millis);
        assert_eq!(tally.count(at(0)), (true, Some(0)));
        for millis in 1..1000 {
            assert_eq!(tally.count(at(millis)), (false, None));
        }
        assert_eq!(tally.count(at(1000)), (false, Some(999)));
        assert_eq!(tally.count(at(30_000)), (true, Some(0)));
        assert_eq!(tally.count, 1002);
    }
}
