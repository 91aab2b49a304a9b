//! Errors of the driver, as data. The reason that the other side is told follows from them here;
//! the texts for people are in `report`.

use std::io;
use std::net::IpAddr;

use crate::curve::CurveName;
use crate::device::{Fingerprint, Label};
use crate::driver::approver::Refusal;
use crate::error_kind::ErrorKind;
use crate::net::LinkError;
use crate::net::relay::RelayUrl;
use crate::party::PartyId;
use crate::payload::Kind;
use crate::payload::ethereum::Account;
use crate::protocol::fault::{Blame, Check, Fault};
use crate::request::{Ceremony, Held, RequestId};
use crate::vault;
use crate::wire::{BUSY, Reason, Word};

/// An ability that a program may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// To take part in this ceremony.
    Ceremony(Ceremony),
    /// To show payloads of this kind.
    Payload(Kind),
    /// To join the pairing of a group.
    Group,
    /// To sign this many files in one session.
    Files(usize),
    /// To have keys on this curve.
    Curve(CurveName),
}

/// Why a pairing or a ceremony failed.
#[derive(Debug)]
pub enum Error {
    /// No device answers where `peer` was looked for.
    Nobody {
        /// The device that was looked for.
        peer: Label,
    },
    /// Only other devices answer where `peer` was looked for on the network. Announcements there
    /// are not authenticated, so this says nothing about `peer`.
    OthersAnswer {
        /// The device that was looked for.
        peer: Label,
        /// Its fingerprint.
        pinned: Fingerprint,
        /// How many others answered.
        others: usize,
    },
    /// An address cannot be resolved.
    BadAddress {
        /// The address as it was given.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The command of `--via` cannot be run.
    Command(LinkError),
    /// The relay cannot be used.
    Relay {
        /// The relay.
        relay: Box<RelayUrl>,
        /// Why not.
        error: LinkError,
    },
    /// The relay works, and `peer` does not wait in its rooms.
    NotAtRelay {
        /// The device that was looked for.
        peer: Label,
        /// The relay.
        relay: Box<RelayUrl>,
    },
    /// The room of an invitation is empty.
    NobodyInvites {
        /// The relay.
        relay: Box<RelayUrl>,
    },
    /// The device in the room of the invitation is not the one that invites.
    NotTheInviter {
        /// The device that is there.
        got: Fingerprint,
    },
    /// The link to `peer` could not be made, or broke.
    Link {
        /// The device at its other end.
        peer: Label,
        /// The error of the link.
        error: LinkError,
    },
    /// Nothing arrived from `peers` in time.
    TimedOut {
        /// The devices that were awaited.
        peers: Vec<Label>,
        /// What was awaited of them.
        awaited: Awaited,
    },
    /// `peer` sent a message that is malformed, or that is not valid at that point.
    Nonsense {
        /// The device that sent it.
        peer: Label,
    },
    /// `peer` sent a message that this version cannot read.
    NotUnderstood {
        /// The device that sent it.
        peer: Label,
        /// The message's name.
        message: Word,
    },
    /// `peer` refused.
    Refused {
        /// The device that refused.
        peer: Label,
        /// The reason that it gave.
        reason: Reason,
        /// What it refused to take part in; `None` before anything was proposed.
        about: Option<About>,
    },
    /// The program of `peer` does not support the ceremony.
    Unsupported {
        /// The device.
        peer: Label,
        /// The version of its program, if it tells it.
        program: Option<Label>,
        /// The ability that it lacks.
        ability: Ability,
    },
    /// `peer` says that it has deleted its share.
    DeletedThere {
        /// The device that says so.
        peer: Label,
        /// When, in seconds since 1970.
        time: i64,
        /// The key.
        key: String,
        /// Whether the key has enough other parties to sign without `peer`.
        others_suffice: bool,
    },
    /// The requester left before the ceremony began.
    Withdrawn {
        /// The requester.
        peer: Label,
    },
    /// The requester says that another participant takes no part.
    Left {
        /// The requester.
        peer: Label,
        /// The participant.
        who: Label,
    },
    /// The owner was not asked: the requester is in its back-off after a refused request, or is
    /// muted.
    TurnedAway {
        /// The requester.
        peer: Label,
        /// The reason that it was sent.
        reason: Reason,
        /// Whether this is the first request in the back-off. Only that one is told and logged.
        first: bool,
    },
    /// This device refused a request of `peer`.
    Declined {
        /// The requester.
        peer: Label,
        /// The reason that it was sent.
        reason: Reason,
    },
    /// The owner of this device said no.
    Denied(Ceremony),
    /// The policy of this device said no.
    Policy {
        /// What was asked for.
        ceremony: Ceremony,
        /// The requester.
        requester: Label,
        /// Which rule, or that none allows it.
        refusal: Refusal,
    },
    /// Only a person may answer the question, and none is present.
    NobodyToAsk,
    /// Nobody answered the question on this device's screen.
    Unanswered(Activity),
    /// A person or a signal interrupted this device.
    Interrupted,
    /// Nobody greeted over standard input and output.
    NoCaller,
    /// The port or address cannot be listened on.
    Port {
        /// The address, where one was named.
        ip: Option<IpAddr>,
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },

    /// There is no key of this name.
    NoKey(String),
    /// The key cannot sign yet: it is pending.
    PendingKey(String),
    /// A key of the wanted name exists here.
    KeyExists {
        /// The key that was wanted.
        wanted: Wanted,
        /// Whether it was left unfinished.
        pending: bool,
    },
    /// This device has a share of the private key that is imported, and not as it was asked for.
    ImportExists {
        /// What the key is called here.
        key: String,
        /// Whether it was left unfinished.
        pending: bool,
    },
    /// Another device has a key of the wanted name.
    KeyExistsThere {
        /// What that device said.
        error: Box<Error>,
        /// The key that was wanted.
        wanted: Wanted,
    },
    /// The share of the key came from a backup, and signs only after a refresh.
    Restored(String),
    /// The share does not fit its record.
    DamagedShare(String),
    /// A device is no party of the key.
    NoShareThere {
        /// The device.
        peer: Label,
        /// The key.
        key: String,
    },
    /// The devices hold no common epoch of the key.
    Apart {
        /// The key.
        key: String,
        /// The epochs that this device has.
        mine: Vec<Held>,
        /// The epochs that each of the others has.
        theirs: Vec<(Label, Vec<Held>)>,
    },
    /// `peer` announces fewer sessions than it was known to have spent.
    RolledBackThere {
        /// The device.
        peer: Label,
        /// The key.
        key: String,
    },
    /// The key has changed since its owner agreed.
    ChangedMeanwhile(String),
    /// The most refreshes of the key that may be pending are.
    TooManyPending(String),
    /// A key cannot be changed as it was asked for.
    Unfit(Unfit),
    /// Newer shares of the key may be in use elsewhere, so that a backup of these may be worthless.
    Unsettled(String),
    /// Not every party has confirmed the newest epoch of the key.
    Unconfirmed {
        /// The key.
        key: String,
        /// The parties that have not.
        missing: Vec<Label>,
        /// Whether an older epoch signs meanwhile.
        signs: bool,
    },
    /// `peer` sent a confirmation that does not verify.
    WrongConfirmation {
        /// The device.
        peer: Label,
        /// The key.
        key: String,
    },
    /// A ceremony failed after this device had stored its share.
    LeftPending {
        /// Why it failed.
        error: Box<Error>,
        /// [`Ceremony::Keygen`], [`Ceremony::Refresh`] or [`Ceremony::Reshare`].
        ceremony: Ceremony,
        /// The key.
        key: String,
    },
    /// A party of a new key says that it has no share of it.
    NeverStored {
        /// What it said.
        error: Box<Error>,
        /// The key, as it was requested.
        wanted: Wanted,
    },
    /// A party says that it has no share of a refresh that is pending here.
    RefreshNeverStored {
        /// What it said.
        error: Box<Error>,
        /// The key.
        key: String,
    },
    /// A party has none of the shares that all others have confirmed, and newer ones, which wait here for
    /// devices.
    NewerThere {
        /// What it said.
        error: Box<Error>,
        /// The key.
        key: String,
        /// The devices that are awaited: names or ids that `--lost` takes.
        lost: Vec<String>,
    },
    /// A party says that it has no share of those by which this device leaves the key.
    LeavingUnknown {
        /// What it said.
        error: Box<Error>,
        /// The key.
        key: String,
    },
    /// This device has a share of a key that others had before, and a party says that it has none.
    JoiningUnfinished {
        /// What it said.
        error: Box<Error>,
        /// The key.
        key: String,
    },
    /// A party says that it has no share of a key that is in use here.
    ShareMissingThere {
        /// What it said.
        error: Box<Error>,
        /// The key.
        key: String,
    },
    /// The derivation path below the key leads to no key.
    BadPath,
    /// What was asked of a key on this curve is done with keys of wallets alone.
    NoWallet(CurveName),
    /// A transaction says that it is from an account, which is not that of the key.
    OtherAccount {
        /// The key that was to sign.
        key: String,
        /// The account of that key.
        account: Account,
        /// The account that the transaction is from.
        from: Account,
    },
    /// The request was signed before.
    SignedAlready(RequestId),
    /// The protocol failed.
    Fault {
        /// The check that failed, and where.
        fault: Fault,
        /// The party that it blames.
        culprit: Option<Label>,
        /// The key.
        key: String,
    },
    /// A session failed after this device had given its part of the signature: it may exist, whatever `error`
    /// says.
    Given {
        /// Why the session failed.
        error: Box<Error>,
        /// The other devices that receive the signature.
        receivers: Vec<Label>,
    },
    /// `peer` is banned under the key: it failed a check earlier.
    Banned {
        /// Its index in the key.
        party: PartyId,
        /// The device.
        peer: Label,
        /// The key.
        key: String,
    },
    /// The pair with `peer` has too many unresolved checks.
    Worn {
        /// Its index in the key.
        party: PartyId,
        /// The device.
        peer: Label,
        /// The key.
        key: String,
    },
    /// The log cannot be written, and `require_log` is set.
    NoRecord(vault::Error),

    /// No device to pair with was found or came.
    NobodyToPair,
    /// No device joined the group that this one gathered.
    NobodyJoined,
    /// The pairing of a group failed after the person here had said yes. Others may have stored it.
    GroupUnconfirmed {
        /// Why it failed.
        error: Box<Error>,
        /// The devices whose yes had not arrived here.
        missing: Vec<Label>,
    },
    /// The other device has the fingerprint of this one.
    Oneself,
    /// The person at this device did not confirm the digits.
    CodesDiffer,
    /// The person at `peer` did not confirm the digits.
    CodesDifferThere {
        /// The device.
        peer: Label,
    },
    /// `peer` broke its commitment: an attacker may be between the two devices.
    BrokenCommitment {
        /// The device.
        peer: Label,
    },
    /// Only a person may compare digits, and none is present.
    PairingNeedsAPerson,
    /// The invitation has expired.
    InvitationOver {
        /// When, in seconds since 1970.
        expired: i64,
    },

    /// The vault, or a file beside it, cannot be used.
    Vault(vault::Error),
    /// The device key cannot be used for TLS.
    DeviceKey(LinkError),
    /// The operating system gives no randomness.
    NoRandomness(String),
    /// This device is not a party of its own request.
    NotAParty,
    /// A state that is believed to be impossible.
    Bug(&'static str),
}

/// Why a key cannot be changed in this way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing would change.
    Nothing,
    /// The device is a party already.
    IsParty(Label),
    /// The device is no party.
    NoParty(Label),
    /// The device that asks stays a party.
    Asker,
    /// Fewer parties are left than must deal.
    TooFew {
        /// How many are left.
        left: usize,
        /// How many must deal.
        needed: usize,
    },
    /// More parties leave than deal.
    TooManyLeave {
        /// How many deal.
        dealers: usize,
    },
    /// So many parties cannot have this threshold, or are too many.
    Sizes {
        /// The threshold.
        threshold: u8,
        /// How many parties there would be.
        parties: usize,
    },
}

/// What a device was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Its owner's yes.
    Approval,
    /// The payload of its request.
    Payload,
    /// The requester's word to begin.
    Start,
    /// The secure connection through the requester.
    Tunnel,
    /// Space for one more message.
    Reading,
    /// Its confirmation that its share is stored.
    Confirmation,
    /// Its word that it has finished.
    Farewell,
    /// The next step of a pairing.
    Pairing,
    /// Anything, before the overall deadline.
    Deadline,
}

/// The ceremony that a device refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The key's name here.
    pub key: String,
    /// The ceremony.
    pub ceremony: Ceremony,
    /// The other invited devices.
    pub others: Vec<Label>,
}

/// What devices do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// They pair.
    Pairing,
    /// They make or use a key.
    Ceremony(Ceremony),
}

impl Activity {
    /// Its name in log lines and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairing => "pair",
            Self::Ceremony(ceremony) => ceremony.name(),
        }
    }
}

/// The kind of an error to listen on a port.
pub fn kind_of_bind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::AddrInUse => ErrorKind::Conflict,
        io::ErrorKind::AddrNotAvailable => ErrorKind::Usage,
        _ => ErrorKind::System,
    }
}

/// The parameters of a key generation, to show the command with another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The key's name.
    pub key: String,
    /// The curve that it is to be on.
    pub curve: CurveName,
    /// How many devices must sign.
    pub threshold: u8,
    /// The other devices: names or ids that `--with` takes.
    pub with: Vec<String>,
    /// The names of all keys on this device.
    pub taken: Vec<String>,
}

impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Self {
        Self::Vault(error)
    }
}

impl Error {
    /// The link to `peer` could not be made, or broke. A frame that is malformed is nonsense, and one
    /// with a message that is not understood has its own error.
    pub(super) fn link(peer: &Label, error: LinkError) -> Self {
        match error {
            LinkError::Malformed(_) => Self::Nonsense { peer: peer.clone() },
            LinkError::NotUnderstood(message) => {
                Self::NotUnderstood { peer: peer.clone(), message }
            }
            error => Self::Link { peer: peer.clone(), error },
        }
    }

    /// Nothing came from `peer` before the time was up.
    pub(super) fn timed_out(peer: &Label, awaited: Awaited) -> Self {
        Self::TimedOut { peers: vec![peer.clone()], awaited }
    }

    /// `peer` sent a message that is malformed, or that is not valid at that point.
    pub(super) fn nonsense(peer: &Label) -> Self {
        Self::Nonsense { peer: peer.clone() }
    }

    /// `peer` refused before anything was proposed.
    pub(super) fn refused(peer: &Label, reason: Reason) -> Self {
        Self::Refused { peer: peer.clone(), reason, about: None }
    }

    /// `peer` refused to take part in `ceremony` with the key `key`.
    pub(super) fn refused_in(peer: &Label, reason: Reason, ceremony: Ceremony, key: &str) -> Self {
        let about = Some(About { key: key.to_owned(), ceremony, others: Vec::new() });
        Self::Refused { peer: peer.clone(), reason, about }
    }

    /// Whether the other device, or its shares as it reports them, make it impossible to finish a
    /// key. An unreachable device does not.
    pub(super) fn is_about_shares(&self) -> bool {
        matches!(
            self,
            Self::Refused { reason: Reason::UnknownKey | Reason::Deleted { .. }, .. }
                | Self::DeletedThere { .. }
                | Self::Apart { .. }
        )
    }

    /// Whether a device has no share that fits this one's, or says that it has newer ones.
    pub(super) fn is_about_epochs(&self) -> bool {
        self.is_about_shares() || matches!(self, Self::Refused { reason: Reason::RolledBack, .. })
    }

    /// Whether it is another device that is gone, refuses, or sends what makes no sense.
    pub(super) fn is_about_a_peer(&self) -> bool {
        self.is_about_shares()
            || matches!(
                self,
                Self::WrongConfirmation { .. } | Self::Nonsense { .. } | Self::Refused { .. }
            )
            || matches!(
                self.kind(),
                ErrorKind::Unreachable | ErrorKind::Identity | ErrorKind::Unsupported
            )
    }

    /// Whether the cause is on this device: its owner or a rule refused, nobody answered here, or
    /// something here is damaged.
    pub(super) fn is_from_here(&self) -> bool {
        // The requester got `busy`, and asks again.
        let is_for_now = matches!(self, Self::Vault(vault::Error::InUse { .. }));
        !is_for_now
            && matches!(
                self,
                Self::Denied(_)
                    | Self::Policy { .. }
                    | Self::Declined { reason: Reason::Blind, .. }
                    | Self::NobodyToAsk
                    | Self::Unanswered(_)
                    | Self::Interrupted
                    | Self::NoRecord(_)
                    | Self::DamagedShare(_)
                    | Self::Vault(_)
                    | Self::NoRandomness(_)
                    | Self::Bug(_)
            )
    }

    /// Its kind, by which the log and JSON know it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Nobody { .. }
            | Self::OthersAnswer { .. }
            | Self::BadAddress { .. }
            | Self::Command(_)
            | Self::Relay { .. }
            | Self::NotAtRelay { .. }
            | Self::NobodyInvites { .. }
            | Self::TimedOut { .. }
            | Self::Unanswered(_)
            | Self::NoCaller
            | Self::NobodyToPair
            | Self::NobodyJoined => ErrorKind::Unreachable,
            Self::Link { error, .. } => of_link(error),
            Self::Unsupported { .. } | Self::NotUnderstood { .. } => ErrorKind::Unsupported,
            Self::Refused { reason, .. } => of_reason(*reason),
            // Here the peer was interrupted, not this device.
            Self::Declined { reason: Reason::Interrupted, .. } | Self::Interrupted => {
                ErrorKind::Interrupted
            }
            Self::Declined { reason, .. } | Self::TurnedAway { reason, .. } => of_reason(*reason),
            Self::NotTheInviter { .. }
            | Self::Oneself
            | Self::BrokenCommitment { .. }
            | Self::InvitationOver { .. } => ErrorKind::Identity,
            Self::Denied(_) | Self::CodesDiffer | Self::CodesDifferThere { .. } => {
                ErrorKind::Denied
            }
            Self::Policy { .. } => ErrorKind::Policy,
            Self::NobodyToAsk | Self::PairingNeedsAPerson => ErrorKind::Interaction,
            Self::Nonsense { .. }
            | Self::Withdrawn { .. }
            | Self::Left { .. }
            | Self::ChangedMeanwhile(_)
            | Self::WrongConfirmation { .. } => ErrorKind::Aborted,
            Self::NoKey(_)
            | Self::DeletedThere { .. }
            | Self::NoShareThere { .. }
            | Self::Apart { .. }
            | Self::NeverStored { .. }
            | Self::RefreshNeverStored { .. }
            | Self::LeavingUnknown { .. }
            | Self::JoiningUnfinished { .. }
            | Self::ShareMissingThere { .. } => ErrorKind::NotFound,
            Self::Port { source, .. } => kind_of_bind(source),
            Self::PendingKey(_)
            | Self::Restored(_)
            | Self::KeyExists { .. }
            | Self::ImportExists { .. }
            | Self::RolledBackThere { .. }
            | Self::TooManyPending(_)
            | Self::Unsettled(_)
            | Self::Unconfirmed { .. }
            | Self::SignedAlready(_) => ErrorKind::Conflict,
            Self::KeyExistsThere { error, .. }
            | Self::LeftPending { error, .. }
            | Self::NewerThere { error, .. }
            | Self::GroupUnconfirmed { error, .. } => error.kind(),
            Self::BadPath | Self::NoWallet(_) | Self::OtherAccount { .. } | Self::Unfit(_) => {
                ErrorKind::Usage
            }
            Self::Fault { fault, .. } => of_fault(fault),
            Self::Banned { .. } => ErrorKind::Banned,
            Self::Worn { .. } => ErrorKind::Worn,
            Self::Given { .. } => ErrorKind::Given,
            Self::Vault(error) => error.kind(),
            Self::DamagedShare(_) | Self::DeviceKey(_) => ErrorKind::Tampered,
            Self::NoRecord(_) | Self::NoRandomness(_) => ErrorKind::System,
            Self::NotAParty | Self::Bug(_) => ErrorKind::Internal,
        }
    }
}

fn of_link(error: &LinkError) -> ErrorKind {
    match error {
        LinkError::Identity { .. } | LinkError::Expired | LinkError::Refused => ErrorKind::Identity,
        LinkError::Malformed(_) => ErrorKind::Aborted,
        LinkError::NotUnderstood(_) => ErrorKind::Unsupported,
        LinkError::TimedOut
        | LinkError::Tls(_)
        | LinkError::Unreachable(_)
        | LinkError::NotListening(_)
        | LinkError::Closed
        | LinkError::Lost
        | LinkError::Io(_) => ErrorKind::Unreachable,
    }
}

fn of_reason(reason: Reason) -> ErrorKind {
    match reason {
        Reason::Busy { .. } | Reason::Crossed | Reason::TimedOut | Reason::Gone => {
            ErrorKind::Unreachable
        }
        Reason::Denied | Reason::Declining | Reason::Interrupted => ErrorKind::Denied,
        Reason::Locked | Reason::NotPaired | Reason::Expired => ErrorKind::Identity,
        Reason::Unattended => ErrorKind::Interaction,
        Reason::Policy | Reason::Blind => ErrorKind::Policy,
        Reason::UnknownKey | Reason::Deleted { .. } => ErrorKind::NotFound,
        Reason::Conflict | Reason::RolledBack | Reason::Clock => ErrorKind::Conflict,
        Reason::Banned => ErrorKind::Banned,
        Reason::Worn => ErrorKind::Worn,
        Reason::Version | Reason::NotUnderstood { .. } => ErrorKind::Unsupported,
        Reason::Gathering | Reason::GroupClosed => ErrorKind::Conflict,
        Reason::NoGroup => ErrorKind::NotFound,
        Reason::Aborted | Reason::Payload | Reason::Left { .. } | Reason::Unknown(_) => {
            ErrorKind::Aborted
        }
    }
}

fn of_fault(fault: &Fault) -> ErrorKind {
    match fault.blame() {
        Blame::Local if fault.check == Check::PairRetired => ErrorKind::Banned,
        Blame::Local => ErrorKind::Internal,
        Blame::NotProof if fault.check == Check::Missing => ErrorKind::Unreachable,
        Blame::NotProof | Blame::Somebody | Blame::Malice => ErrorKind::Aborted,
        Blame::Ban => ErrorKind::Banned,
    }
}

impl From<&Error> for Reason {
    /// The reason that the other side is sent for an error. It says no more than the other side can
    /// use.
    fn from(error: &Error) -> Self {
        match error {
            Error::Declined { reason, .. } | Error::TurnedAway { reason, .. } => *reason,
            Error::NotUnderstood { message, .. } => Self::NotUnderstood { message: *message },
            Error::Denied(_)
            | Error::CodesDiffer
            | Error::CodesDifferThere { .. }
            | Error::Oneself
            | Error::BrokenCommitment { .. } => Self::Denied,
            Error::Policy { .. } => Self::Policy,
            Error::NobodyToAsk => Self::Unattended,
            Error::Unanswered(_) | Error::PairingNeedsAPerson | Error::TimedOut { .. } => {
                Self::TimedOut
            }
            Error::Interrupted => Self::Interrupted,
            Error::Vault(vault::Error::NoAttemptsLeft { .. }) => Self::Locked,
            // The key is in use, or was a moment ago.
            Error::Vault(vault::Error::InUse { .. }) | Error::ChangedMeanwhile(_) => BUSY,
            Error::KeyExists { .. }
            | Error::ImportExists { .. }
            | Error::TooManyPending(_)
            | Error::Unsettled(_)
            | Error::PendingKey(_)
            | Error::Restored(_)
            | Error::Vault(vault::Error::Conflict { .. }) => Self::Conflict,
            Error::RolledBackThere { .. } => Self::RolledBack,
            Error::Banned { .. } => Self::Banned,
            Error::Worn { .. } => Self::Worn,
            Error::KeyExistsThere { error, .. }
            | Error::LeftPending { error, .. }
            | Error::Given { error, .. }
            | Error::NeverStored { error, .. }
            | Error::RefreshNeverStored { error, .. }
            | Error::NewerThere { error, .. }
            | Error::LeavingUnknown { error, .. }
            | Error::JoiningUnfinished { error, .. }
            | Error::ShareMissingThere { error, .. } => Self::from(error.as_ref()),
            Error::Nobody { .. }
            | Error::OthersAnswer { .. }
            | Error::BadAddress { .. }
            | Error::Command(_)
            | Error::Relay { .. }
            | Error::NotAtRelay { .. }
            | Error::NobodyInvites { .. }
            | Error::NotTheInviter { .. }
            | Error::Link { .. }
            | Error::Nonsense { .. }
            | Error::Refused { .. }
            | Error::Unsupported { .. }
            | Error::DeletedThere { .. }
            | Error::Withdrawn { .. }
            | Error::Left { .. }
            | Error::NoCaller
            | Error::Port { .. }
            | Error::NoKey(_)
            | Error::DamagedShare(_)
            | Error::NoShareThere { .. }
            | Error::Apart { .. }
            | Error::Unfit(_)
            | Error::Unconfirmed { .. }
            | Error::WrongConfirmation { .. }
            | Error::BadPath
            | Error::NoWallet(_)
            | Error::OtherAccount { .. }
            | Error::SignedAlready(_)
            | Error::Fault { .. }
            | Error::NoRecord(_)
            | Error::NobodyToPair
            | Error::NobodyJoined
            | Error::GroupUnconfirmed { .. }
            | Error::InvitationOver { .. }
            | Error::Vault(_)
            | Error::DeviceKey(_)
            | Error::NoRandomness(_)
            | Error::NotAParty
            | Error::Bug(_) => Self::Aborted,
        }
    }
}
