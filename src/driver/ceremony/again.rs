//! Repeats a request by itself if that may help: the other device was busy, or the key changed
//! while the devices were asked.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::driver::error::Error;
use crate::driver::told::Note;
use crate::driver::{ANSWER, Node, clock};
use crate::vault;
use crate::wire::Reason;

/// Most attempts of one command. Other devices may be asked anew each time.
const MOST: u32 = 40;
/// Random extra delay below so many milliseconds, so that two devices that were in each other's way
/// do not meet again.
const APART: usize = 300;

/// Counts the attempts of one command, up to a deadline.
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

    /// Waits as long as `error` asks for, and returns whether to ask again.
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

/// How long to wait before the request may succeed; `None` if waiting does not help.
fn wait(error: &Error) -> Option<Duration> {
    match error {
        Error::Refused { reason: Reason::Busy { seconds }, .. } => {
            // Lower bound, so that a peer cannot ask for a busy loop.
            Some(Duration::from_secs((*seconds).max(1).into()))
        }
        Error::Vault(vault::Error::InUse { .. }) => Some(Duration::from_secs(1)),
        Error::ChangedMeanwhile(_) => Some(Duration::ZERO),
        _ => None,
    }
}
