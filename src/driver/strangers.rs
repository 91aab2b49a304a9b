//! Unknown devices that are refused. They are counted, reported at intervals, and noted in a file of bounded
//! size.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::device::{Fingerprint, Label};
use crate::driver::connect::target::Source;
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::progress::Event;
use crate::vault::attempts;
use crate::vault::strangers::{self, Stranger};
use crate::wire::Reason;

/// How often people are told.
const TELL: Duration = Duration::from_secs(30);
/// How often the owner is told that pairing is paused.
const REMIND: Duration = Duration::from_secs(10 * 60);
/// How often one is noted.
const NOTE: Duration = Duration::from_secs(1);
/// The most characters of a stranger's name that are kept.
const NAME: usize = 32;

/// How many strangers there were.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    told: Option<Instant>,
    /// When the owner was told last that pairing waits for a word of theirs.
    paused: Option<Instant>,
    noted: Option<Instant>,
    /// How many were not noted since.
    others: u64,
}

impl Tally {
    /// Counts one more: whether it is told, and whether it is noted with so many others.
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

/// Whether something that was done `last` is to be done again at `now`, which is then the last time.
fn due(last: &mut Option<Instant>, now: Instant, pause: Duration) -> bool {
    let due = last.is_none_or(|last| now >= last + pause);
    if due {
        *last = Some(now);
    }
    due
}

/// A stranger that wanted something.
#[derive(Debug)]
pub struct Visitor<'a> {
    /// Where it came from.
    pub source: Source,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its name for itself.
    pub name: &'a Label,
    /// `pair` or `ceremony`.
    pub wanted: &'static str,
}

/// Counts a stranger that was turned away for this reason.
pub fn turned_away(node: &Node, visitor: &Visitor<'_>, why: Reason) {
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
            wanted: visitor.wanted.to_owned(),
        });
    }
    let Some(others) = note else { return };
    let stranger = Stranger {
        time: clock::unix_now(),
        source: visitor.source.to_string(),
        fingerprint: visitor.fingerprint.to_hex(),
        name: Label::capped(visitor.name.as_str(), NAME).as_str().to_owned(),
        wanted: visitor.wanted.to_owned(),
        outcome: why.word().to_owned(),
        others,
    };
    // What cannot be noted was counted.
    let _ = strangers::note(&node.home, &stranger);
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
