//! Asking again by itself where that mends it: the other device takes no more for a moment, or the key was
//! changed while everybody was asked.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::driver::error::Error;
use crate::driver::told::Note;
use crate::driver::{ANSWER, Node, clock};
use crate::vault;
use crate::wire::Reason;

/// How often one is asked at most: each time others may be asked, too.
const MOST: u32 = 40;
/// Devices that were in each other's way come back at different moments within so many milliseconds.
const APART: usize = 300;

/// How often, and until when, one command asks.
#[derive(Debug)]
pub(super) struct Attempts {
    give_up: Instant,
    made: u32,
}

impl Attempts {
    /// Until the overall deadline of `node`.
    pub(super) fn new(node: &Node) -> Self {
        Self::until(node.deadline_or(ANSWER))
    }

    /// Until the moment `give_up`.
    pub(super) fn until(give_up: Instant) -> Self {
        Self { give_up, made: 0 }
    }

    /// Whether to ask again now, after waiting as long as it takes.
    pub(super) async fn again(&mut self, node: &Node, error: &Error) -> bool {
        let Some(wait) = wait(error) else { return false };
        self.made = self.made.saturating_add(1);
        let apart = u64::try_from(clock::any_of(APART).unwrap_or_default()).unwrap_or_default();
        let wait = wait.saturating_add(Duration::from_millis(apart));
        if self.made >= MOST || clock::now() + wait >= self.give_up {
            return false;
        }
        node.tell(Note::AsksAgain { seconds: wait.as_secs() });
        tokio::select! {
            () = sleep(wait) => true,
            () = node.interrupted() => false,
        }
    }
}

/// After how long what failed with `error` may succeed.
fn wait(error: &Error) -> Option<Duration> {
    match error {
        Error::Refused { reason: Reason::Busy { seconds }, .. } => {
            // Whoever says less is not asked more often for that.
            Some(Duration::from_secs((*seconds).max(1).into()))
        }
        Error::Vault(vault::Error::InUse { .. }) => Some(Duration::from_secs(1)),
        Error::ChangedMeanwhile(_) => Some(Duration::ZERO),
        _ => None,
    }
}
