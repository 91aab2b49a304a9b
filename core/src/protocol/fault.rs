//! Failures of a ceremony: the check, the culprit, and the consequence.
//!
//! The codes are those of the specification (docs/protocol.md). Only a bare abort is sent; the code
//! and the culprit stay in the local log.

use std::fmt;

use crate::party::PartyId;

/// The check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A parameter of our own call is out of range.
    Params,
    /// The pair with this party was retired after a failed check.
    PairRetired,
    /// What the requester says about the key to be reshared contradicts itself, its dealers or this
    /// party's share.
    PublicData,
    /// Wrong length, or bytes that do not decode.
    Malformed,
    /// A message of another protocol version.
    Version,
    /// Type, sender or receiver do not fit the channel or the round.
    Routing,
    /// The message belongs to another session: the parties' inputs differ. At the setup of a reshare:
    /// the requester means other shares of the key than this party has.
    Session,
    /// A message from a party that takes no part.
    UnexpectedSender,
    /// A second message of one kind from one party.
    Duplicate,
    /// A message did not arrive in time.
    Missing,
    /// An opening does not fit its commitment.
    Commit,
    /// A proof of knowledge does not verify.
    Pok,
    /// The constant term of a dealer's polynomial is not its part of the key.
    DealerConstant,
    /// A share is not on the committed polynomial.
    Feldman,
    /// A base oblivious transfer message holds an invalid point.
    BaseOtPoint,
    /// The tree corrections do not fit the base oblivious transfers.
    Pprf,
    /// The parties saw different broadcasts.
    View,
    /// Another public key was announced.
    QMismatch,
    /// Another chain code was announced.
    ChainCode,
    /// The key, a public share or the sum of the highest coefficients is the identity.
    Identity,
    /// A confirmation is wrong.
    Confirm,
    /// The oblivious transfer extension check failed.
    OteCheck,
    /// The multiplication check failed.
    RvoleCheck,
    /// The first consistency check of the multiplication inputs failed.
    GammaU,
    /// The second consistency check of the multiplication inputs failed.
    GammaV,
    /// The public shares do not add up to the key.
    PkSum,
    /// The joint nonce point is unusable.
    RInvalid,
    /// Two parties announce different nonce points.
    RMismatch,
    /// A sum that must be inverted is zero.
    SigZero,
    /// The assembled signature does not verify.
    SigInvalid,
    /// A state that is believed to be impossible.
    Bug,
}

/// The consequence of a failed check for people and for the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The local call was wrong.
    Local,
    /// No proof against anybody: a mismatch, a loss, a delay.
    NotProof,
    /// A party deviated, and this party cannot tell which.
    Somebody,
    /// The culprit deviated from the protocol.
    Malice,
    /// The culprit deviated in a way that may leak: the pair must be retired, durably.
    Ban,
}

impl Check {
    /// The code in the specification.
    pub fn code(self) -> &'static str {
        match self {
            Self::Params => "E_PARAMS",
            Self::PairRetired => "E_PAIR_RETIRED",
            Self::PublicData => "E_PUBDATA",
            Self::Malformed => "E_MALFORMED",
            Self::Version => "E_VERSION",
            Self::Routing => "E_ROUTING",
            Self::Session => "E_SESSION",
            Self::UnexpectedSender => "E_UNEXPECTED_SENDER",
            Self::Duplicate => "E_DUPLICATE",
            Self::Missing => "E_MISSING",
            Self::Commit => "E_COMMIT",
            Self::Pok => "E_POK",
            Self::DealerConstant => "E_DEALER_CONST",
            Self::Feldman => "E_FELDMAN",
            Self::BaseOtPoint => "E_BASEOT_POINT",
            Self::Pprf => "E_PPRF",
            Self::View => "E_VIEW",
            Self::QMismatch => "E_Q_MISMATCH",
            Self::ChainCode => "E_CHAINCODE",
            Self::Identity => "E_IDENTITY",
            Self::Confirm => "E_CONFIRM",
            Self::OteCheck => "E_OTE_CHECK",
            Self::RvoleCheck => "E_RVOLE_CHECK",
            Self::GammaU => "E_GAMMA_U",
            Self::GammaV => "E_GAMMA_V",
            Self::PkSum => "E_PK_SUM",
            Self::RInvalid => "E_R_INVALID",
            Self::RMismatch => "E_R_MISMATCH",
            Self::SigZero => "E_SIG_ZERO",
            Self::SigInvalid => "E_SIG_INVALID",
            Self::Bug => "E_BUG",
        }
    }

    /// The check with this code, if it retires a pair.
    pub fn from_ban_code(code: &str) -> Option<Self> {
        [Self::OteCheck, Self::RvoleCheck, Self::GammaU, Self::GammaV]
            .into_iter()
            .find(|check| check.code() == code)
    }

    /// Whether the pair with the culprit must be retired before this device sends anything.
    pub fn bans(self) -> bool {
        matches!(self, Self::OteCheck | Self::RvoleCheck | Self::GammaU | Self::GammaV)
    }
}

/// A failed ceremony: the check, the party it points at, and the round it fired in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The check that failed.
    pub check: Check,
    /// The culprit, by its index in the key; in a reshare or an import by its number among the
    /// participants, which is no index of the old key and may be above those of the new one. `None`
    /// if no party can be named.
    pub culprit: Option<PartyId>,
    /// The message type at which this party stopped, such as `"KG2B"`; `"setup"` before the first.
    pub at: &'static str,
}

impl Fault {
    /// A fault of a party.
    pub fn by(culprit: PartyId, check: Check, at: &'static str) -> Self {
        Self { check, culprit: Some(culprit), at }
    }

    /// A fault of no party in particular.
    pub fn nobody(check: Check, at: &'static str) -> Self {
        Self { check, culprit: None, at }
    }

    /// Whether the pair with the culprit must be retired.
    pub fn bans(&self) -> bool {
        self.check.bans()
    }

    /// What the failure proves.
    pub fn blame(&self) -> Blame {
        match self.check {
            Check::Params | Check::PairRetired | Check::Bug => Blame::Local,
            Check::Session
            | Check::Version
            | Check::Routing
            | Check::Duplicate
            | Check::Missing
            | Check::UnexpectedSender => Blame::NotProof,
            Check::View | Check::SigZero | Check::SigInvalid | Check::RInvalid => Blame::Somebody,
            Check::Confirm | Check::PkSum | Check::Identity => {
                if self.culprit.is_some() {
                    Blame::Malice
                } else {
                    Blame::Somebody
                }
            }
            Check::PublicData
            | Check::Malformed
            | Check::Commit
            | Check::Pok
            | Check::DealerConstant
            | Check::Feldman
            | Check::BaseOtPoint
            | Check::Pprf
            | Check::QMismatch
            | Check::ChainCode
            | Check::RMismatch => Blame::Malice,
            Check::OteCheck | Check::RvoleCheck | Check::GammaU | Check::GammaV => Blame::Ban,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.check.code(), self.at)?;
        match self.culprit {
            Some(party) => write!(f, ", party {party}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
