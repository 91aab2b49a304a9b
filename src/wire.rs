//! The control messages of two devices around a protocol, as JSON objects.
//!
//! Each is at most one frame, and every text for people is read as a [`Label`]. Unknown fields are
//! refused, except in `hello`, `welcome` and `refuse`: a later version may add fields there, and
//! this one ignores them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::curve::CurveName;
pub use crate::device::Word;
use crate::device::{Fingerprint, Label, hex, unhex};
use crate::party::PartyId;
use crate::payload::bitcoin::Network;
use crate::payload::openpgp::Form;
use crate::payload::{self, HashFunction, Kind, MAX_FILES, MessageFormat, NamedFile};
use crate::request::{
    Action, Agreed, Ceremony, Held, Hex, Importing, Request, RequestId, Resharing, Shares, Signing,
};

/// The version of the control messages.
pub const VERSION: u8 = 1;
/// The versions that this program speaks.
pub const VERSIONS: Versions = Versions { from: VERSION, to: VERSION };

/// The longest control message, in bytes.
pub const MAX_CONTROL: usize = 64 * 1024;

/// A range of versions of the control messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The lowest.
    pub from: u8,
    /// The highest.
    pub to: u8,
}

impl Versions {
    /// The highest that both have.
    pub fn common(self, other: Self) -> Option<u8> {
        let to = self.to.min(other.to);
        (to >= self.from.max(other.from)).then_some(to)
    }
}

/// The introduction of a device's program in its greeting. It tells people early what the other
/// program does not support; the proposal decides what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version of the program, such as `0.1.0`.
    pub program: Label,
    /// The versions of the control messages that it speaks.
    pub versions: Versions,
    /// What it supports: the names of ceremonies, and of the kinds of payloads that it shows.
    /// Every version has the curve secp256k1; others are named here as well.
    pub can: Vec<Label>,
    /// How much of it at once.
    #[serde(default)]
    pub limits: Limits,
    /// Whether its owner wants to keep a pairing that is made now until it is forgotten. Both
    /// devices keep it if one of them wants to; a version without this field decides for itself
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<bool>,
    /// Whether it gathers a group to pair, which others may join.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gathers: bool,
}

/// The ability to join the pairing of a group.
const GROUP: &str = "group";

/// How much a program does at once. A limit that it does not tell is that of the first version that
/// has what is limited. Limits of later versions are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The most files that it signs in one session.
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 32 }
    }
}

/// The kinds of payloads that this program receives and shows.
const SHOWS: [Kind; 10] = [
    Kind::File,
    Kind::Message,
    Kind::Files,
    Kind::EthTx,
    Kind::TypedData,
    Kind::Psbt,
    Kind::Jws,
    Kind::OpenPgp,
    Kind::OpenPgpKey,
    Kind::Git,
];

impl About {
    /// The introduction of this program. `keeps`: whether its owner wants to keep pairings.
    pub fn this_program(keeps: bool) -> Self {
        let ceremonies = Ceremony::ALL.map(Ceremony::name);
        let curves = CurveName::ALL.into_iter().filter(|curve| !curve.is_unnamed());
        let can = ceremonies.into_iter().chain(SHOWS.map(Kind::name)).chain([GROUP]);
        let can = can.chain(curves.map(CurveName::name));
        Self {
            program: Label::new(env!("CARGO_PKG_VERSION")),
            versions: VERSIONS,
            can: can.map(Label::new).collect(),
            limits: Limits { files: u32::try_from(MAX_FILES).unwrap_or(u32::MAX) },
            keeps: Some(keeps),
            gathers: false,
        }
    }

    /// Whether it supports `ceremony`.
    pub fn can(&self, ceremony: Ceremony) -> bool {
        self.has(ceremony.name())
    }

    /// Whether it receives and shows payloads of this kind.
    pub fn shows(&self, kind: Kind) -> bool {
        self.has(kind.name())
    }

    /// Whether it has keys on this curve. Every version has those on secp256k1.
    pub fn has_curve(&self, curve: CurveName) -> bool {
        curve.is_unnamed() || self.has(curve.name())
    }

    /// Whether it joins the pairing of a group.
    pub fn joins(&self) -> bool {
        self.has(GROUP)
    }

    fn has(&self, ability: &str) -> bool {
        self.can.iter().any(|word| word.as_str() == ability)
    }
}

/// What the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// To test whether this device answers.
    Ping,
    /// To compare six digits.
    Pair,
    /// To join a group that this device gathers.
    Group,
    /// To make, refresh or use a key.
    Ceremony,
    /// To resume a link whose connection broke.
    Resume {
        /// The session of the link's first connection.
        session: Hex<16>,
        /// How many frames of the other side have arrived.
        received: u64,
    },
    /// A request of a later version.
    #[serde(untagged)]
    Unknown(Word),
}

/// Why a device refuses or ends a ceremony. It is one word; details are only in its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is busy, or the key is in use.
    Busy {
        /// After how many seconds to ask again.
        seconds: u32,
    },
    /// Both devices called each other, and this call is dropped in favour of the other.
    Crossed,
    /// A person refused.
    Denied,
    /// Its owner has muted the caller, or refused a request of it just before.
    Declining,
    /// Too many pairings in a row have failed there.
    Locked,
    /// No person is present to compare digits.
    Unattended,
    /// Its policy refuses.
    Policy,
    /// It does not sign a digest alone.
    Blind,
    /// The payload does not match the request.
    Payload,
    /// The time in what is to be signed is more than a day off its clock.
    Clock,
    /// There was no answer in time.
    TimedOut,
    /// It does not know the caller, or another participant.
    NotPaired,
    /// Its pairing with the caller has expired.
    Expired,
    /// It has no share of that key.
    UnknownKey,
    /// It had a share of that key, and its owner has deleted it.
    Deleted {
        /// When, in seconds since 1970.
        time: i64,
    },
    /// The key's name is taken, the key is in use or not in the state the request needs.
    Conflict,
    /// The caller's copy of the key is older than what this device has seen.
    RolledBack,
    /// It no longer signs with the caller under that key.
    Banned,
    /// Too many signatures with the caller under that key were cut short; nobody failed a check.
    Worn,
    /// It does not support this version.
    Version,
    /// The ceremony failed.
    Aborted,
    /// It was interrupted.
    Interrupted,
    /// Another participant takes no part.
    Left {
        /// Its index.
        party: PartyId,
    },
    /// It does not have the session that the caller wants to resume.
    Gone,
    /// It gathers a group, and pairs with nobody alone meanwhile.
    Gathering,
    /// It gathers no group that could be joined.
    NoGroup,
    /// The group that it gathers is complete.
    GroupClosed,
    /// It does not understand a message, which is malformed or of a later version.
    NotUnderstood {
        /// The message's name.
        message: Word,
    },
    /// A reason of a later version.
    #[serde(untagged)]
    Unknown(Word),
}

/// Busy, and soon free again.
pub const BUSY: Reason = Reason::Busy { seconds: 1 };

impl Reason {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Crossed => "crossed",
            Self::Denied => "denied",
            Self::Declining => "declining",
            Self::Locked => "locked",
            Self::Unattended => "unattended",
            Self::Policy => "policy",
            Self::Blind => "blind",
            Self::Payload => "payload",
            Self::Clock => "clock",
            Self::TimedOut => "timed_out",
            Self::NotPaired => "not_paired",
            Self::Expired => "expired",
            Self::UnknownKey => "unknown_key",
            Self::Deleted { .. } => "deleted",
            Self::Conflict => "conflict",
            Self::RolledBack => "rolled_back",
            Self::Banned => "banned",
            Self::Worn => "worn",
            Self::Version => "version",
            Self::Aborted => "aborted",
            Self::Interrupted => "interrupted",
            Self::Left { .. } => "left",
            Self::Gone => "gone",
            Self::Gathering => "gathering",
            Self::NoGroup => "no_group",
            Self::GroupClosed => "group_closed",
            Self::NotUnderstood { .. } => "not_understood",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The requester's claim about the origin of the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The digest was given as such. With braces, since a unit variant here would take unknown fields.
    Digest {},
    /// A file was hashed.
    File {
        /// The file's name.
        name: Label,
        /// Its size in bytes.
        size: u64,
        /// The name of a [`HashFunction`].
        hash: String,
        /// Whether its content follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        attached: bool,
    },
    /// A message, which follows.
    Message {
        /// The name of a [`MessageFormat`].
        format: String,
        /// Its size in bytes.
        size: u64,
    },
    /// Several files, which follow one behind the other.
    Files {
        /// The files, in the order in which they are signed.
        files: Vec<NamedFile>,
        /// The name of a [`HashFunction`].
        hash: String,
    },
    /// A transaction of Ethereum, which follows.
    #[serde(rename = "eth-tx")]
    EthTx {
        /// Its size in bytes.
        size: u64,
    },
    /// Typed data, which follow.
    #[serde(rename = "typed-data")]
    TypedData {
        /// Their size in bytes.
        size: u64,
    },
    /// A payment of Bitcoin, which follows.
    Psbt {
        /// The name of a [`Network`].
        network: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A file to be signed as JWS, which follows.
    Jws {
        /// The file's name.
        name: Label,
        /// Its size in bytes.
        size: u64,
    },
    /// A file to be signed in OpenPGP, which follows.
    #[serde(rename = "openpgp")]
    OpenPgp {
        /// The file's name.
        name: Label,
        /// Its size in bytes.
        size: u64,
        /// The name of a [`Form`].
        form: String,
        /// When it is signed, in seconds since 1970.
        time: u32,
    },
    /// A user id of OpenPGP, which follows.
    #[serde(rename = "openpgp-key")]
    OpenPgpKey {
        /// Its size in bytes.
        size: u64,
        /// When it is signed, in seconds since 1970.
        time: u32,
        /// When the key expires, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<u32>,
    },
    /// A commit or tag of git to be signed in OpenPGP, which follows.
    Git {
        /// Its size in bytes.
        size: u64,
        /// When it is signed, in seconds since 1970.
        time: u32,
    },
}

/// What a proposal of a reshare has besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshare {
    /// How many of `parties` the key has then; the others deal and leave.
    pub count: u8,
    /// The fingerprints of the parties so far, party 1 first.
    pub old: Vec<Hex<32>>,
    /// The indices among them of those that deal, ascending.
    pub dealers: Vec<u8>,
    /// The public data of the old shares, in hexadecimal.
    pub origin: String,
}

/// A [`Request`] on the wire: one flat object, in which fields that a ceremony does not use are
/// zero or empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The ceremony.
    pub kind: Ceremony,
    /// Names the request in logs and results.
    pub request_id: String,
    /// The requester's name for the key; a new key is stored under it.
    pub key: String,
    /// The curve that the key is on.
    #[serde(default, skip_serializing_if = "CurveName::is_unnamed")]
    pub curve: CurveName,
    /// The parties' fingerprints, party 1 first.
    pub parties: Vec<Hex<32>>,
    /// The indices of the signers, ascending.
    pub signers: Vec<u8>,
    /// How many parties must sign.
    pub threshold: u8,
    /// The key, SEC1 compressed; all zeros for a new key that no device has.
    pub public_key: Hex<33>,
    /// The epochs of the key that the requester offers, the newest first; none for a new key.
    pub epochs: Vec<Held>,
    /// The digest to sign; all zeros if nothing is signed.
    pub digest: Hex<32>,
    /// The requester's claim about the origin of the digest.
    pub source: Source,
    /// What it is for.
    pub purpose: Label,
    /// The index of the party that receives the signature; 0 for all signers.
    pub recipient: u8,
    /// Non-hardened BIP-32 indices from the key to the one that signs.
    pub path: Vec<u32>,
    /// The requester's contribution to the session id.
    pub nonce: Hex<32>,
    /// How many seconds the requester waits for an answer, from when it asks.
    pub seconds: u32,
    /// The parameters of a reshare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshare: Option<Reshare>,
    /// In an import, the chain code of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_code: Option<Hex<32>>,
    /// Whether the last of `parties` has left the key, and only confirmations are exchanged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

/// The rest of a proposal, besides its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its contribution to the session id.
    pub nonce: Hex<32>,
    /// How many seconds it waits for an answer.
    pub seconds: u32,
}

/// A proposal that is malformed or not sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRequest;

impl Proposal {
    /// The proposal for `request`.
    pub fn new(request: &Request, Terms { nonce, seconds }: Terms) -> Self {
        let signing = request.signing();
        Self {
            kind: request.ceremony(),
            request_id: request.id.as_str().to_owned(),
            key: request.key.clone(),
            curve: request.curve,
            parties: request.parties.iter().map(|party| Hex(*party.as_bytes())).collect(),
            signers: request.signers.iter().map(|party| party.get()).collect(),
            threshold: request.threshold,
            public_key: request.public_key().map_or(NO_KEY, |key| Hex(*key)),
            epochs: request.epochs().to_vec(),
            digest: signing.map_or(NO_DIGEST, |signing| Hex(signing.digest)),
            source: Source::from(request.source()),
            purpose: request.purpose.clone(),
            recipient: signing.and_then(|signing| signing.recipient).map_or(0, PartyId::get),
            path: request.path().to_vec(),
            nonce,
            seconds,
            reshare: request.resharing().map(Reshare::from),
            chain_code: request.importing().map(|importing| Hex(importing.chain_code)),
            leaves: matches!(request.action, Action::Leave(_)),
        }
    }

    /// The request of the device with the fingerprint `requester` to the device with the
    /// fingerprint `me`.
    ///
    /// # Errors
    /// It is malformed or not sound, or one of them does not take part.
    pub fn request(
        &self,
        requester: &Fingerprint,
        me: &Fingerprint,
    ) -> Result<(Request, Terms), NoRequest> {
        let request = self.read(requester).filter(|request| {
            request.is_sound() && me != requester && request.signer(me).is_some()
        });
        let terms = Terms { nonce: self.nonce, seconds: self.seconds };
        Ok((request.ok_or(NoRequest)?, terms))
    }

    fn read(&self, requester: &Fingerprint) -> Option<Request> {
        let parties: Vec<Fingerprint> =
            self.parties.iter().map(|party| Fingerprint::new(party.0)).collect();
        let position = parties.iter().position(|party| party == requester)?;
        let requester = PartyId::new(u8::try_from(position).ok()?.checked_add(1)?)?;
        let shares = Shares { public_key: self.public_key.0, epochs: self.epochs.clone() };
        let is_new = self.public_key == NO_KEY && self.epochs.is_empty();
        if self.reshare.is_some() != (self.kind == Ceremony::Reshare)
            || self.chain_code.is_some() != (self.kind == Ceremony::Import)
            || self.leaves && self.kind != Ceremony::Resume
        {
            return None;
        }
        let action = match self.kind {
            Ceremony::Keygen if is_new => Action::Keygen,
            Ceremony::Import if self.epochs.is_empty() => Action::Import(Importing {
                public_key: self.public_key.0,
                chain_code: self.chain_code?.0,
            }),
            Ceremony::Keygen | Ceremony::Import => return None,
            Ceremony::Refresh => Action::Refresh(shares),
            Ceremony::Reshare => Action::Reshare(self.reshare.as_ref()?.read(shares)?),
            Ceremony::Resume if self.leaves => Action::Leave(shares),
            Ceremony::Resume => Action::Resume(shares),
            Ceremony::Sign => Action::Sign(Signing {
                shares,
                path: self.path.clone(),
                digest: self.digest.0,
                source: self.source.read()?,
                payload: None,
                recipient: match self.recipient {
                    0 => None,
                    index => Some(PartyId::new(index)?),
                },
            }),
        };
        Some(Request {
            id: RequestId::new(&self.request_id)?,
            key: self.key.clone(),
            curve: self.curve,
            parties,
            threshold: self.threshold,
            signers: indices(&self.signers)?,
            requester,
            purpose: self.purpose.clone(),
            action,
        })
    }
}

impl Reshare {
    fn read(&self, shares: Shares) -> Option<Resharing> {
        Some(Resharing {
            shares,
            count: self.count,
            old: self.old.iter().map(|party| Fingerprint::new(party.0)).collect(),
            dealers: indices(&self.dealers)?,
            origin: unhex(&self.origin)?,
        })
    }
}

impl From<&Resharing> for Reshare {
    fn from(resharing: &Resharing) -> Self {
        Self {
            count: resharing.count,
            old: resharing.old.iter().map(|party| Hex(*party.as_bytes())).collect(),
            dealers: resharing.dealers.iter().map(|party| party.get()).collect(),
            origin: hex(&resharing.origin),
        }
    }
}

fn indices(parties: &[u8]) -> Option<Vec<PartyId>> {
    parties.iter().map(|index| PartyId::new(*index)).collect()
}

/// In place of a new key.
const NO_KEY: Hex<33> = Hex([0; 33]);
/// In place of a digest if nothing is signed.
const NO_DIGEST: Hex<32> = Hex([0; 32]);

impl Source {
    /// The source; `None` if its function or format is unknown.
    pub fn read(&self) -> Option<payload::Source> {
        Some(match self {
            Self::Digest {} => payload::Source::Digest,
            Self::File { name, size, hash, attached } => payload::Source::File {
                name: name.clone(),
                size: *size,
                hash: HashFunction::named(hash)?,
                attached: *attached,
            },
            Self::Message { format, size } => {
                payload::Source::Message { format: MessageFormat::named(format)?, size: *size }
            }
            Self::Files { files, hash } => {
                payload::Source::Files { files: files.clone(), hash: HashFunction::named(hash)? }
            }
            Self::EthTx { size } => payload::Source::EthTx { size: *size },
            Self::TypedData { size } => payload::Source::TypedData { size: *size },
            Self::Psbt { network, size } => {
                payload::Source::Psbt { network: Network::named(network)?, size: *size }
            }
            Self::Jws { name, size } => payload::Source::Jws { name: name.clone(), size: *size },
            Self::OpenPgp { name, size, form, time } => payload::Source::OpenPgp {
                name: name.clone(),
                size: *size,
                form: Form::named(form)?,
                time: *time,
            },
            Self::OpenPgpKey { size, time, expires } => {
                payload::Source::OpenPgpKey { size: *size, time: *time, expires: *expires }
            }
            Self::Git { size, time } => payload::Source::Git { size: *size, time: *time },
        })
    }
}

impl From<&payload::Source> for Source {
    fn from(source: &payload::Source) -> Self {
        match source {
            payload::Source::Digest => Self::Digest {},
            payload::Source::File { name, size, hash, attached } => Self::File {
                name: name.clone(),
                size: *size,
                hash: hash.name().to_owned(),
                attached: *attached,
            },
            payload::Source::Message { format, size } => {
                Self::Message { format: format.name().to_owned(), size: *size }
            }
            payload::Source::Files { files, hash } => {
                Self::Files { files: files.clone(), hash: hash.name().to_owned() }
            }
            payload::Source::EthTx { size } => Self::EthTx { size: *size },
            payload::Source::TypedData { size } => Self::TypedData { size: *size },
            payload::Source::Psbt { network, size } => {
                Self::Psbt { network: network.name().to_owned(), size: *size }
            }
            payload::Source::Jws { name, size } => Self::Jws { name: name.clone(), size: *size },
            payload::Source::OpenPgp { name, size, form, time } => Self::OpenPgp {
                name: name.clone(),
                size: *size,
                form: form.name().to_owned(),
                time: *time,
            },
            payload::Source::OpenPgpKey { size, time, expires } => {
                Self::OpenPgpKey { size: *size, time: *time, expires: *expires }
            }
            payload::Source::Git { size, time } => Self::Git { size: *size, time: *time },
        }
    }
}

/// A device of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMember {
    /// Its fingerprint.
    pub fingerprint: Hex<32>,
    /// Its name for itself.
    pub name: Label,
}

/// The commitments of a device of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupCommitment {
    /// To its nonce.
    pub nonce: Hex<32>,
    /// To its yes.
    pub yes: Hex<32>,
}

/// A step of the pairing of a group, between the device that gathers it and one that has joined.
/// Members are counted from 1, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupStep {
    /// Who the group is; from the device that gathers it.
    List {
        /// All devices, by ascending fingerprint.
        members: Vec<GroupMember>,
        /// Whether the pairings are kept until they are forgotten.
        kept: bool,
    },
    /// What a member commits to.
    Commit(GroupCommitment),
    /// What all members have committed to, in the order of the list.
    Commitments {
        /// One of each member.
        all: Vec<GroupCommitment>,
    },
    /// The opening of a member's commitment.
    Open {
        /// Its nonce.
        nonce: Hex<32>,
    },
    /// The openings of all members, in the order of the list.
    Openings {
        /// One of each member.
        nonces: Vec<Hex<32>>,
    },
    /// A member's yes, which the device that gathers the group passes on.
    Yes {
        /// The member.
        member: u8,
        /// What only that member can have sent.
        opening: Hex<32>,
    },
    /// The pairing has ended because of a member; from the device that gathers the group.
    Ended {
        /// The member.
        member: u8,
        /// Why.
        reason: Reason,
    },
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// The caller's first message.
    Hello {
        /// [`VERSION`].
        version: u8,
        /// The caller's name for itself.
        name: Label,
        /// What it asks for.
        want: Want,
        /// The introduction of its program, if both sides support that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<About>,
    },
    /// The answer to an accepted caller.
    Welcome {
        /// The device's name for itself.
        name: Label,
        /// The introduction of its program, if both sides support that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<About>,
    },
    /// The answer to a caller that resumes a link.
    Resumed {
        /// How many frames of the caller have arrived.
        received: u64,
    },
    /// A refusal, as the answer or at any later point.
    Refuse {
        /// Why.
        reason: Reason,
    },
    /// One step of the pairing protocol.
    Pair {
        /// A commitment, a nonce, an opening or a confirmation, by position.
        step: Hex<32>,
    },
    /// One step of the pairing of a group.
    Group(GroupStep),
    /// The caller has deleted its share of a key that both have, or had.
    Deleted {
        /// The key, SEC1 compressed.
        public_key: Hex<33>,
        /// When, in seconds since 1970.
        time: i64,
    },
    /// A request to take part.
    Propose(Box<Proposal>),
    /// The request waits until this device's owner can be asked. It may be sent again.
    Queued {
        /// How many requests are before it, including the one on the screen.
        before: u16,
    },
    /// Yes to a request.
    Accept {
        /// This party's contribution to the session id.
        nonce: Hex<32>,
        /// The epochs of the requester that this party offers too, the newest first.
        held: Vec<Held>,
    },
    /// A refusal: this party has a share of none of the requester's epochs.
    Apart {
        /// The epochs of the key that it has, the newest first.
        held: Vec<Held>,
    },
    /// Everybody has agreed, and the ceremony starts.
    Start(Agreed),
    /// This party has finished; from the requester: all have.
    Finished,
}

/// Bytes that this version cannot read as a control message, and the name of the message, if they have
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMessage(pub Option<Word>);

impl Message {
    /// Encodes the message.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// It is too long or malformed, or of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoMessage> {
        if bytes.len() > MAX_CONTROL {
            return Err(NoMessage(None));
        }
        serde_json::from_slice(bytes).or_else(|_| {
            let name = serde_json::from_slice(bytes).map_err(|_| NoMessage(None))?;
            Self::without_unknown_fields(name, bytes).ok_or(NoMessage(Some(name)))
        })
    }

    /// Decodes the message `name`, ignoring fields that a later version may have added.
    fn without_unknown_fields(name: Word, bytes: &[u8]) -> Option<Self> {
        let lenient = LENIENT.into_iter().find(|(lenient, _)| *lenient == name.as_str());
        let (name, known) = lenient?;
        let mut message: Value = serde_json::from_slice(bytes).ok()?;
        if let Some(Value::Object(fields)) = message.get_mut(name) {
            fields.retain(|field, _| known.contains(&field.as_str()));
        }
        serde_json::from_value(message).ok()
    }
}

/// The messages whose unknown fields are ignored, and the known ones.
const LENIENT: [(&str, &[&str]); 3] = [
    ("hello", &["version", "name", "want", "about"]),
    ("welcome", &["name", "about"]),
    ("refuse", &["reason"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(epoch: u8) -> Held {
        Held { epoch: Hex([epoch; 32]), generation: 2, height: 3 }
    }

    #[test]
    fn every_message_reads_back() {
        let proposal = Proposal {
            kind: Ceremony::Sign,
            request_id: "r-1".into(),
            key: "vault".into(),
            curve: CurveName::P256,
            parties: vec![Hex([2; 32]), Hex([3; 32])],
            signers: vec![1, 2],
            threshold: 2,
            public_key: Hex([2; 33]),
            epochs: vec![held(4), held(5)],
            digest: Hex([5; 32]),
            source: Source::File {
                name: Label::new("a.tar"),
                size: 7,
                hash: "sha256".into(),
                attached: true,
            },
            purpose: Label::new("release"),
            recipient: 1,
            path: vec![0, 7],
            nonce: Hex([6; 32]),
            seconds: 60,
            reshare: Some(Reshare {
                count: 2,
                old: vec![Hex([2; 32])],
                dealers: vec![1],
                origin: "00ff".into(),
            }),
            chain_code: Some(Hex([8; 32])),
            leaves: true,
        };
        for message in [
            Message::Hello {
                version: VERSION,
                name: Label::new("alice"),
                want: Want::Pair,
                about: Some(About::this_program(false)),
            },
            Message::Welcome { name: Label::new("bob"), about: Some(About::this_program(true)) },
            Message::Hello {
                version: VERSION,
                name: Label::new("alice"),
                want: Want::Resume { session: Hex([8; 16]), received: 3 },
                about: None,
            },
            Message::Resumed { received: u64::MAX },
            Message::Refuse { reason: Reason::RolledBack },
            Message::Refuse { reason: Reason::Deleted { time: 1_790_000_000 } },
            Message::Refuse { reason: Reason::NotUnderstood { message: Word::new("propose") } },
            Message::Deleted { public_key: Hex([2; 33]), time: -1 },
            Message::Pair { step: Hex([9; 32]) },
            Message::Group(GroupStep::List {
                members: vec![GroupMember { fingerprint: Hex([2; 32]), name: Label::new("alice") }],
                kept: true,
            }),
            Message::Group(GroupStep::Commitments {
                all: vec![GroupCommitment { nonce: Hex([1; 32]), yes: Hex([2; 32]) }],
            }),
            Message::Group(GroupStep::Yes { member: 8, opening: Hex([3; 32]) }),
            Message::Group(GroupStep::Ended { member: 1, reason: Reason::Denied }),
            Message::Propose(Box::new(proposal)),
            Message::Accept { nonce: Hex([1; 32]), held: vec![held(4)] },
            Message::Apart { held: vec![held(8)] },
            Message::Start(Agreed {
                nonces: vec![Hex([1; 32])],
                held: vec![vec![Hex([4; 32])], vec![]],
                epoch: Hex([4; 32]),
                height: 3,
            }),
            Message::Finished,
        ] {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message));
        }
    }

    #[test]
    fn a_proposal_names_a_curve_that_is_not_secp256k1_and_no_other() {
        let fingerprint = |digit: u8| Fingerprint::new([digit; 32]);
        let request = |curve| Request {
            id: RequestId::new("r-1").unwrap(),
            key: "release".into(),
            curve,
            parties: vec![fingerprint(1), fingerprint(2)],
            threshold: 2,
            signers: PartyId::all(2).collect(),
            requester: PartyId::all(1).next().unwrap(),
            purpose: Label::default(),
            action: Action::Keygen,
        };
        let said = |curve| {
            let terms = Terms { nonce: Hex([0xa1; 32]), seconds: 60 };
            let proposal = Proposal::new(&request(curve), terms);
            let read = proposal.request(&fingerprint(1), &fingerprint(2)).unwrap().0;
            assert_eq!(read, request(curve));
            String::from_utf8(Message::Propose(Box::new(proposal)).to_bytes()).unwrap()
        };
        let (ones, twos, nonce) = ("01".repeat(32), "02".repeat(32), "a1".repeat(32));
        let (no_key, no_digest) = ("00".repeat(33), "00".repeat(32));
        let expected = |curve: &str| {
            format!(
                r#"{{"propose":{{"kind":"keygen","request_id":"r-1","key":"release",{curve}"parties":["{ones}","{twos}"],"signers":[1,2],"threshold":2,"public_key":"{no_key}","epochs":[],"digest":"{no_digest}","source":{{"kind":"digest"}},"purpose":"","recipient":0,"path":[],"nonce":"{nonce}","seconds":60}}}}"#
            )
        };
        assert_eq!(said(CurveName::Secp256k1), expected(""));
        assert_eq!(said(CurveName::P256), expected(r#""curve":"p256","#));
        let later = expected(r#""curve":"p384","#);
        let refused = Message::from_bytes(later.as_bytes());
        assert_eq!(refused, Err(NoMessage(Some(Word::new("propose")))));
    }

    #[test]
    fn the_longest_lists_of_epochs_of_the_most_parties_fit_in_one_message() {
        let parties = usize::from(crate::party::MAX_PARTIES);
        let start = Message::Start(Agreed {
            nonces: vec![Hex([255; 32]); parties],
            held: vec![vec![Hex([255; 32]); crate::request::MAX_EPOCHS]; parties],
            epoch: Hex([255; 32]),
            height: crate::request::MAX_HEIGHT,
        });
        assert_eq!(Message::from_bytes(&start.to_bytes()), Ok(start));
    }

    #[test]
    fn unknown_fields_wrong_lengths_and_absurd_heights_are_refused() {
        let told = |height: &str| {
            let epoch = "04".repeat(32);
            format!(
                r#"{{"apart":{{"held":[{{"epoch":"{epoch}","generation":2,"height":{height}}}]}}}}"#
            )
        };
        assert!(Message::from_bytes(told("16777216").as_bytes()).is_ok());
        for bad in [
            r#"{"hello":{"version":1,"want":"pair","extra":1}}"#,
            r#"{"resumed":{"received":1,"extra":1}}"#,
            r#"{"resumed":{"received":1,"received":1}}"#,
            r#"{"queued":{"before":1,"extra":1}}"#,
            r#"{"pair":{"step":"abcd"}}"#,
            r#"{"group":{"open":{"nonce":"abcd"}}}"#,
            r#"{"group":{"yes":{"member":256,"opening":"00"}}}"#,
            r#"{"group":{"list":{"members":[],"kept":true,"extra":1}}}"#,
            &told("16777217"),
            &told("18446744073709551615"),
            r#"{"refuse":{"reason":7}}"#,
            r#"{"refuse":{"reason":{}}}"#,
            r#""finish""#,
        ] {
            // What has a name is refused by it.
            assert!(
                matches!(Message::from_bytes(bad.as_bytes()), Err(NoMessage(Some(_)))),
                "{bad}"
            );
        }
        for bad in ["", "7", "{}", "garbage"] {
            assert_eq!(Message::from_bytes(bad.as_bytes()), Err(NoMessage(None)), "{bad}");
        }
    }

    #[test]
    fn an_object_of_git_has_these_bytes() {
        let source = payload::Source::Git { size: 232, time: 1_790_000_000 };
        let bytes = r#"{"kind":"git","size":232,"time":1790000000}"#;
        assert_eq!(serde_json::to_string(&Source::from(&source)).unwrap(), bytes);
        assert_eq!(serde_json::from_str::<Source>(bytes).unwrap().read(), Some(source));
        assert!(About::this_program(false).shows(Kind::Git));
        for bad in
            [r#"{"kind":"git","size":232}"#, r#"{"kind":"git","size":1,"time":1,"form":"ssh"}"#]
        {
            assert!(serde_json::from_str::<Source>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_fields_of_a_source_are_refused() {
        let digest = r#"{"kind":"digest"}"#;
        assert_eq!(serde_json::to_string(&Source::Digest {}).unwrap(), digest);
        assert_eq!(serde_json::from_str::<Source>(digest).unwrap(), Source::Digest {});
        for more in [
            r#"{"kind":"digest","of":"psbt","name":"x"}"#,
            r#"{"kind":"message","format":"ethereum","size":1,"of":"psbt"}"#,
            r#"{"kind":"file","name":"a","size":1,"hash":"sha256","of":"psbt"}"#,
            r#"{"kind":"psbt"}"#,
        ] {
            assert!(serde_json::from_str::<Source>(more).is_err(), "{more}");
        }
    }

    #[test]
    fn a_name_with_escapes_arrives_clean() {
        let bytes = br#"{"welcome":{"name":"b\u001b[2Job\u202e"}}"#;
        let name = Label::new("b[2Job");
        assert_eq!(Message::from_bytes(bytes), Ok(Message::Welcome { name, about: None }));
    }

    #[test]
    fn what_a_later_version_adds_to_a_greeting_or_a_refusal_is_ignored() {
        let hello = br#"{"hello":{"version":1,"name":"a","want":"pair","extra":[1],"about":
            {"program":"9.0","versions":{"from":1,"to":9,"beta":10},"can":["sign","fly"],"x":{}}}}"#;
        let Ok(Message::Hello { want: Want::Pair, about: Some(about), .. }) =
            Message::from_bytes(hello)
        else {
            panic!()
        };
        assert_eq!(about.versions.common(VERSIONS), Some(1));
        assert!(about.can(Ceremony::Sign) && !about.can(Ceremony::Keygen));
        let refuse = |text: &str| match Message::from_bytes(text.as_bytes()) {
            Ok(Message::Refuse { reason }) => reason,
            other => panic!("{other:?}"),
        };
        let later = |word| Reason::Unknown(Word::new(word));
        assert_eq!(refuse(r#"{"refuse":{"reason":"denied","why":"x"}}"#), Reason::Denied);
        assert_eq!(refuse(r#"{"refuse":{"reason":"because"}}"#), later("because"));
        assert_eq!(refuse(r#"{"refuse":{"reason":{"because":{"of":1}}}}"#), later("because"));
        assert_eq!(refuse(r#"{"refuse":{"reason":{"be-cause":{},"of":2}}}"#), later("be-cause"));
        assert_eq!(refuse(r#"{"refuse":{"reason":"Because\u001b of"}}"#), later("Because-of"));
        assert_eq!(refuse(r#"{"refuse":{"reason":{"busy":{"seconds":3},"of":2}}}"#), later("busy"));
        let busy = Reason::Busy { seconds: 3 };
        assert_eq!(refuse(r#"{"refuse":{"reason":{"busy":{"seconds":3,"at":4}}}}"#), busy);
    }

    #[test]
    fn versions_have_the_highest_of_both_in_common() {
        let range = |from, to| Versions { from, to };
        assert_eq!(range(1, 3).common(range(2, 9)), Some(3));
        assert_eq!(range(4, 4).common(range(1, 4)), Some(4));
        assert_eq!(range(1, 2).common(range(3, 4)), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::from_bytes(&bytes);
        }
    }
}
