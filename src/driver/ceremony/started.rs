//! A ceremony that has started and has not run yet.

use std::collections::BTreeMap;

use crate::driver::approver::Charge;
use crate::driver::connect::peer_links::PeerLinks;
use crate::driver::error::Error;
use crate::party::PartyId;
use crate::request::{Agreed, Held};
use crate::wire::Reason;

/// A ceremony to which all have agreed, with links to all.
#[derive(Debug)]
pub struct Started {
    /// The links.
    pub links: PeerLinks,
    /// The id of this ceremony, the same for all.
    pub id: [u8; 32],
    /// The agreed epochs.
    pub agreed: Agreed,
    /// The epochs that each of the others announced, by party.
    pub held: BTreeMap<PartyId, Vec<Held>>,
    /// The charge for the owner's yes.
    pub charge: Charge,
}

impl Started {
    /// As [`Accepted::or_decline`](super::propose::Accepted::or_decline), after the start.
    ///
    /// # Errors
    /// `taking` failed. Everybody was told why.
    pub async fn or_abort<T>(
        self,
        taking: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Self), Error> {
        match taking.await {
            Ok(taken) => Ok((taken, self)),
            Err(error) => {
                self.links.abort_with(|_| Reason::from(&error)).await;
                Err(error)
            }
        }
    }

    /// How many sessions each of the others has spent in the epoch that is used, by party index.
    pub fn heights(&self) -> BTreeMap<PartyId, u64> {
        let height = |held: &Vec<Held>| {
            held.iter().find(|held| held.epoch == self.agreed.epoch).map(|held| held.height)
        };
        self.held.iter().filter_map(|(party, held)| Some((*party, height(held)?))).collect()
    }
}
