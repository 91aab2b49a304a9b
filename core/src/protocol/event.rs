//! Events of a ceremony, for screens and logs. They hold no secrets and no bytes of a peer.

use std::time::Duration;

use crate::party::PartyId;

/// The kinds of ceremonies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ceremony {
    /// Making a key.
    Keygen,
    /// Replacing the shares of a key.
    Refresh,
    /// Sharing a key, which others or one party had, among parties anew.
    Reshare,
    /// Signing a digest.
    Sign,
}

impl Ceremony {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Refresh => "refresh",
            Self::Reshare => "reshare",
            Self::Sign => "sign",
        }
    }

    /// What each round exchanges, first round first.
    pub fn rounds(self) -> &'static [&'static str] {
        match self {
            Self::Keygen | Self::Refresh | Self::Reshare => {
                &["commitments", "shares and proofs", "oblivious transfers", "confirmation"]
            }
            Self::Sign => &["nonce commitments", "multiplication", "partial signatures"],
        }
    }
}

/// An event of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A round began.
    Round {
        /// The ceremony.
        ceremony: Ceremony,
        /// The round, from 1.
        round: u8,
        /// How many rounds there are.
        of: u8,
        /// What the round exchanges.
        name: &'static str,
    },
    /// A round ended: all its messages arrived and were valid.
    RoundDone {
        /// The ceremony.
        ceremony: Ceremony,
        /// The round, from 1.
        round: u8,
        /// How many rounds there are.
        of: u8,
        /// What the round exchanged.
        name: &'static str,
        /// The time from its beginning to its end.
        elapsed: Duration,
    },
    /// All messages of a party in this round have arrived.
    Received {
        /// The round, from 1.
        round: u8,
        /// The party.
        from: PartyId,
    },
    /// These parties have not sent everything for this round yet; never empty.
    Waiting {
        /// The round, from 1.
        round: u8,
        /// The parties, in index order.
        for_: Vec<PartyId>,
    },
}
