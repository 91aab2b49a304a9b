//! Asking again by itself where that mends it: the other device takes no more for a moment, or the key was
//! changed while everybody was asked.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::driver::error::Error;
use crate::driver::told::Note;
use crate::driver::{ANSWER, Node, clock};
use crate::party::PartyId;
use crate::wire::Reason;

/// How often, and until when, one command asks.
#[derive(Debug)]
pub(super) struct Attempts {
    give_up: Instant,
    me: u64,
    made: u64,
}

impl Attempts {
    /// Until the overall deadline of `node`, where `me` asks.
    pub(super) fn new(node: &Node, me: PartyId) -> Self {
        Self { give_up: node.deadline_or(ANSWER), me: me.get().into(), made: 0 }
    }

    /// Whether to ask again now, after waiting as long as it takes.
    pub(super) async fn again(&mut self, node: &Node, error: &Error) -> bool {
        let Some(wait) = wait(error) else { return false };
        self.made = self.made.saturating_add(1);
        // Devices that were in each other's way do not come back at the same moment.
        let apart =
            Duration::from_millis(self.me.saturating_mul(self.made.min(20)).saturating_mul(11));
        let wait = wait.saturating_add(apart);
        if clock::now() + wait >= self.give_up {
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
        Error::ChangedMeanwhile(_) => Some(Duration::ZERO),
        _ => None,
    }
}
