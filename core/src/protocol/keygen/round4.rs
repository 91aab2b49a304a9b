//! Round 4 (docs/protocol.md §3.4): the key exists once every party has confirmed that its share is
//! stored.

use super::{Confirmed, Keygen};
use crate::crypto::curve::Curve;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::Statements;
use crate::protocol::machine::{Gathered, Persist, Step};
use crate::protocol::wire::{Kind, Received};

/// Awaits all confirmations.
#[derive(Debug)]
pub(super) struct Round4<C> {
    pub(super) session: [u8; 32],
    pub(super) statements: Statements<C>,
    /// Whether this party and one other are all that there are.
    pub(super) of_two: bool,
}

impl<C: Curve> Round4<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// A confirmation counts at once, even if another one never arrives.
    pub(super) fn arrived(&self, message: &Received<'_>) -> Option<Persist<C>> {
        let statement = *message.reader().array().ok()?;
        let (peer, sound) = (message.from, self.statements.verify(message.from, &statement));
        sound.then_some(Persist::Confirmed { peer, statement })
    }

    /// Checks that all parties confirmed the same key.
    pub(super) fn finish(self, messages: &Gathered) -> Result<Step<Keygen<C>>, Fault> {
        for message in messages.of(Kind::Kg4b) {
            if !self.statements.verify(message.from, message.reader().array()?) {
                return Err(self.mismatch(&message));
            }
        }
        Ok(Step::done(Confirmed { epoch: self.statements.epoch }))
    }

    /// With three participants or more that send or hear KG3B, another one may have sent the two of
    /// us different ones (§9).
    fn mismatch(&self, message: &Received<'_>) -> Fault {
        if self.of_two {
            message.fault(Check::Confirm)
        } else {
            Fault::nobody(Check::Confirm, Kind::Kg4b.name())
        }
    }
}
