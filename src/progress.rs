//! Events for people and scripts, and the facts that an approver must see.
//!
//! An event has three forms: a prose line, a line of NDJSON (`--events`), and the full screen. It
//! never holds a secret, and text of a peer only as a [`Label`].

use std::fmt;

use serde::Serialize;

use crate::curve::CurveName;
use crate::device::{Fingerprint, Label};
use crate::party::PartyId;
use crate::payload::ethereum::Account;
use crate::payload::openpgp::Certificate;
use crate::payload::{Source, Summary};
use crate::request::{Ceremony, Hex, Question, RequestId};

/// The duration of a pairing, which two people confirm with the digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasts {
    /// For 30 minutes.
    Session,
    /// Until it is forgotten, on both devices.
    Kept,
    /// Until it is forgotten here. The other device runs a version that does not tell.
    KeptHere,
}

impl fmt::Display for Lasts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "30 minutes",
            Self::Kept => "until it is forgotten, on both devices",
            Self::KeptHere => "until it is forgotten, on this device alone",
        })
    }
}

/// With whom six digits are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Compared {
    /// Another device.
    Device {
        /// Its name for itself.
        peer: String,
        /// Its full fingerprint.
        fingerprint: String,
    },
    /// A group.
    Group {
        /// All its devices, this one too, in the order that all screens have.
        members: Vec<PartyView>,
    },
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// This device can be reached.
    Listening {
        /// This device's name.
        name: String,
        /// Its device id.
        id: String,
        /// Its full fingerprint.
        fingerprint: String,
        /// The TCP port; 0 on standard input and output.
        port: u16,
    },
    /// A device was seen, or its status changed.
    Peer {
        /// The name it announces.
        name: String,
        /// Its device id.
        id: String,
        /// Its full fingerprint, once its certificate is verified.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// `ready`, `available`, `busy` or `offline`.
        status: String,
        /// Its address, as `HOST:PORT`.
        address: String,
    },
    /// Six digits to compare with the other screens.
    Code {
        /// As shown: `385 721`.
        code: String,
        /// The other device, or all of a group.
        #[serde(flatten)]
        with: Compared,
        /// How long the pairing will last.
        lasts: Lasts,
        /// A warning about a name or fingerprint that is known already.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
        /// Seconds left to answer.
        seconds: u64,
    },
    /// Another device asks this one to take part in a ceremony.
    Request(Box<RequestView>),
    /// A round began (`ms` absent) or ended.
    Round {
        /// The ceremony.
        ceremony: Ceremony,
        /// The round, from 1.
        round: u8,
        /// How many rounds there are.
        of: u8,
        /// What the round exchanges.
        name: String,
        /// Milliseconds it took, once it is over.
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<u64>,
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// A device was reached.
    Connected {
        /// Its name.
        peer: String,
        /// The way there: `lan HOST:PORT`, `relay URL` or `command`.
        via: String,
        /// Whether this resumes a link whose connection broke.
        resumed: bool,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// The connection to a device broke. The ceremony goes on if the device connects again.
    Disconnected {
        /// Its name.
        peer: String,
        /// How many seconds it is waited for.
        seconds: u64,
    },
    /// An invitation to pair through a relay: to be shown as a QR code and as text.
    Invite {
        /// The content of the QR code: `cosign://pair?…`.
        uri: String,
        /// The relay's URL.
        relay: String,
        /// When it expires, RFC 3339.
        expires: String,
    },
    /// A relay was reached, or cannot be reached.
    Relay {
        /// Its URL.
        url: String,
        /// Whether this device can be reached through it now.
        connected: bool,
        /// Why not, if it cannot.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// All messages of a device in a round have arrived.
    Received {
        /// The ceremony.
        ceremony: Ceremony,
        /// The round, from 1.
        round: u8,
        /// The device's name.
        from: String,
        /// Milliseconds since the round began here.
        ms: u64,
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// A report of a relay about itself. It never names a room.
    Serving {
        /// `listening`, `joined`, `left`, `refused`, `cluster`, `stopping`.
        what: String,
        /// The client's address, if it is about a client.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// Details.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Other devices are awaited.
    Waiting {
        /// What they are waited for.
        what: String,
        /// The names of the devices that have not answered.
        #[serde(rename = "for")]
        peers: Vec<String>,
        /// How many seconds they are waited for, if a person has to answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// The requests that wait behind the one on this device's screen have changed.
    Queued {
        /// The requests, the next one first.
        waiting: Vec<QueuedRequest>,
    },
    /// A request of this device waits for the owner of another one.
    Behind {
        /// The device's name.
        peer: String,
        /// How many requests are before it, including the one on the screen.
        before: u16,
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// A device was paired.
    Paired {
        /// Its name.
        peer: String,
        /// Its full fingerprint.
        fingerprint: String,
        /// When the pairing ends, RFC 3339; absent if it is kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<String>,
    },
    /// A group was paired.
    PairedGroup {
        /// The other devices.
        peers: Vec<KnownPeer>,
    },
    /// A key was made, refreshed or reshared.
    Key {
        /// Its name here.
        key: String,
        /// 33-byte public key in hexadecimal.
        public_key: String,
        /// Whether every party confirmed that its share is stored.
        confirmed: bool,
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// A signature was made.
    Signed {
        /// The key's name here.
        key: String,
        /// The 33-byte public key that it verifies under, in hexadecimal.
        public_key: String,
        /// The digest in hexadecimal.
        digest: String,
        /// The signature in hexadecimal DER, if this device received it.
        #[serde(skip_serializing_if = "Option::is_none")]
        der: Option<String>,
        /// The signatures of several files, or of a payment's inputs, if this device received them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        signatures: Vec<SignedPart>,
        /// The certificate of OpenPGP that was signed, if it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        certifies: Option<Certificate>,
        /// The names of the devices that received it.
        delivered_to: Vec<String>,
        /// The request's id.
        request_id: String,
    },
    /// A ceremony ended without a result.
    Aborted {
        /// `pair`, `keygen`, `refresh`, `reshare` or `sign`.
        ceremony: String,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// The name of the error's kind, as in the exit code table.
        code: String,
        /// What happened.
        message: String,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// What this device holds, told when it begins to listen and after every change.
    Inventory {
        /// The devices it is paired with.
        peers: Vec<KnownPeer>,
        /// Its keys.
        keys: Vec<KnownKey>,
        /// Its latest ceremonies, the newest first.
        recent: Vec<PastCeremony>,
    },
    /// The policy has answered a request; no person was asked.
    Decided {
        /// The request's id.
        request_id: RequestId,
        /// The requester's name.
        peer: String,
        /// The ceremony that it asks for.
        ceremony: Ceremony,
        /// The key's name here.
        key: String,
        /// Whether it was allowed.
        allowed: bool,
        /// The rule that decided, as `rule 2`, or `no rule`.
        by: String,
    },
    /// Unknown devices were refused.
    Strangers {
        /// How many so far.
        count: u64,
        /// Where the latest came from: an address or a network, `relay` or `command`.
        source: String,
        /// The request of the latest.
        wanted: StrangerRequest,
    },
    /// A note for people. Nothing ends by it.
    Note {
        /// Its text.
        message: String,
    },
}

/// One of several files, or an input of a payment, that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedPart {
    /// The file's name, as the requester says, or `input` and its number.
    pub name: Label,
    /// Its digest in hexadecimal.
    pub digest: String,
    /// The signature in hexadecimal DER.
    pub der: String,
    /// The public key that an input's verifies under, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

/// The request of an unknown device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrangerRequest {
    /// To pair.
    Pair,
    /// To take part in a ceremony.
    Ceremony,
}

impl StrangerRequest {
    /// Its name in events and in the file of strangers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Ceremony => "ceremony",
        }
    }
}

/// A request that waits for the owner of this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueuedRequest {
    /// The requester's name.
    pub peer: String,
    /// The ceremony that it asks for.
    pub ceremony: Ceremony,
    /// The key's name here.
    pub key: String,
    /// The request's id.
    pub request_id: RequestId,
}

/// A device that this one is paired with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownPeer {
    /// What it is called here.
    pub name: String,
    /// Its full fingerprint.
    pub fingerprint: Fingerprint,
    /// When the pairing ends, RFC 3339; absent if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A key that this device has a share of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownKey {
    /// Its name here.
    pub name: String,
    /// Its 33-byte public key in hexadecimal.
    pub public_key: String,
    /// How many parties must sign.
    pub threshold: u8,
    /// The names of all parties, in index order.
    pub parties: Vec<String>,
    /// Whether every party confirmed that its share is stored.
    pub confirmed: bool,
}

/// A ceremony in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PastCeremony {
    /// When it ended, RFC 3339.
    pub time: String,
    /// `pair`, `keygen`, `refresh`, `reshare`, `resume` or `sign`.
    pub ceremony: String,
    /// The key's name; empty if there is none.
    pub key: String,
    /// The other devices, by the names they have here.
    pub with: String,
    /// What it was for, in the requester's words.
    pub purpose: String,
    /// How it ended: `signed`, `stored`, `paired`, or an error's name.
    pub outcome: String,
}

/// A party in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyView {
    /// The name this device knows it by, or that it announces.
    pub name: Label,
    /// Its full fingerprint.
    pub fingerprint: Fingerprint,
}

/// The Ethereum address of a key on `curve`; `None` if no wallet has such keys.
fn address(curve: CurveName, public_key: &[u8; 33]) -> Option<String> {
    let account = curve.has_wallets().then(|| Account::of_key(public_key)).flatten();
    account.map(|account| account.to_string())
}

/// What a reshare changes, and who makes the new shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReshareView {
    /// The Ethereum address of the key, which stays; `None` for a key that no wallet has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many parties have to sign so far. So many old shares make the key, also afterwards.
    pub old_threshold: u8,
    /// The parties so far.
    pub old_parties: Vec<PartyView>,
    /// Those of them that deal.
    pub dealers: Vec<PartyView>,
    /// The devices that become parties.
    pub joining: Vec<PartyView>,
    /// The parties that take part and destroy their share.
    pub leaving: Vec<PartyView>,
    /// The parties that are left out and not asked: their share is where it was.
    pub left_out: Vec<PartyView>,
}

impl ReshareView {
    fn of(question: &Question) -> Option<Self> {
        let request = &question.request;
        let resharing = request.resharing()?;
        let all = || resharing.old.iter().zip(&question.old_names);
        let view = |(fingerprint, name): (&Fingerprint, &Label)| PartyView {
            name: name.clone(),
            fingerprint: *fingerprint,
        };
        let of = |wanted: &dyn Fn(&Fingerprint) -> bool| -> Vec<PartyView> {
            all().filter(|(who, _)| wanted(who)).map(view).collect()
        };
        let new = request.parties.iter().zip(&question.names);
        let address = address(request.curve, &resharing.shares.public_key);
        Some(Self {
            address,
            old_threshold: u8::try_from(resharing.dealers.len()).unwrap_or(u8::MAX),
            old_parties: of(&|_| true),
            dealers: of(&|who| resharing.dealing().any(|dealer| dealer == who)),
            joining: new.filter(|(who, _)| !resharing.old.contains(who)).map(view).collect(),
            leaving: of(&|who| request.parties.contains(who) && !request.remaining().contains(who)),
            left_out: of(&|who| !request.parties.contains(who)),
        })
    }
}

/// Whether a file is in the folder of what this device built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Built {
    /// It is, with the same bytes.
    Here {
        /// The path of the file there.
        path: String,
    },
    /// No file of the folder has these bytes.
    Missing {
        /// The path of the folder.
        not_in: String,
    },
    /// The folder cannot be searched.
    Unknown {
        /// Why not.
        unknown: String,
    },
}

/// What the approver sees of a [`Question`]: the same facts on every device, on screen, in plain
/// text and as an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// The ceremony.
    pub ceremony: Ceremony,
    /// The request's id.
    pub request_id: RequestId,
    /// The key's name here.
    pub key: String,
    /// Its public key; empty for a new key.
    #[serde(serialize_with = "or_empty")]
    pub public_key: Option<Hex<33>>,
    /// The curve that the key is on.
    pub curve: CurveName,
    /// The Ethereum address of a key that the requester has whole and imports, if wallets have such keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imports: Option<String>,
    /// What a reshare changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reshare: Option<Box<ReshareView>>,
    /// How many parties must sign.
    pub threshold: u8,
    /// How many parties there are.
    pub parties: u8,
    /// The devices that take part, in the order of their indices in the key.
    pub signers: Vec<PartyView>,
    /// The digest; empty if nothing is signed.
    #[serde(serialize_with = "or_empty")]
    pub digest: Option<Hex<32>>,
    /// The requester's claim about the origin of the digest.
    pub source: Source,
    /// The summary that this device computed from the payload, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<Summary>>,
    /// Where the files are in the folder of what this device built, in their order, if the request is
    /// for files and there is such a folder. Not part of the hash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub built: Vec<Built>,
    /// What it is for, in the requester's words.
    pub purpose: Label,
    /// The requester.
    pub requester: PartyView,
    /// The devices that receive the signature.
    pub receivers: Vec<PartyView>,
    /// Seconds left to answer. Not part of the hash.
    pub seconds: u64,
    /// The names of the fields that differ from the last request of the same requester for the same
    /// key in this process. Not part of the hash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<&'static str>,
    /// The beginning of a hash of the facts ([`Question::hash`]).
    #[serde(skip)]
    pub hash: Hex<4>,
}

impl RequestView {
    /// The view of `question`.
    pub fn of(question: &Question) -> Self {
        let request = &question.request;
        let view = |party: &PartyId| {
            let fingerprint = request.fingerprint(*party)?;
            Some(PartyView { name: question.name(*party), fingerprint })
        };
        let views = |parties: &[PartyId]| parties.iter().filter_map(view).collect();
        Self {
            ceremony: request.ceremony(),
            request_id: request.id.clone(),
            key: question.key.clone(),
            public_key: question.public_key.map(Hex),
            curve: request.curve,
            imports: request
                .importing()
                .and_then(|importing| address(request.curve, &importing.public_key)),
            reshare: ReshareView::of(question).map(Box::new),
            threshold: request.threshold,
            parties: u8::try_from(request.remaining().len()).unwrap_or(u8::MAX),
            signers: views(&request.signers),
            digest: request.digest().map(|digest| Hex(*digest)),
            source: request.source().clone(),
            payload: request.payload().map(|payload| Box::new(payload.summary().clone())),
            built: Vec::new(),
            purpose: request.purpose.clone(),
            requester: PartyView {
                name: question.name(request.requester),
                fingerprint: request.asked_by(),
            },
            receivers: views(&request.receivers()),
            seconds: question.seconds,
            changed: Vec::new(),
            hash: question.hash(),
        }
    }

    /// The digits that identify this request: those of the digest, or of the hash of all facts if
    /// nothing is signed. The word that approves it is a prefix of them.
    pub fn digits(&self) -> String {
        self.digest.map_or_else(|| self.hash.to_string(), |digest| digest.to_string())
    }

    /// The names of the fields in which `self` differs from `last`. Fields that `self` does not
    /// have are left out.
    pub fn differs_from(&self, last: &Self) -> Vec<&'static str> {
        [
            ("ceremony", self.ceremony != last.ceremony),
            ("key", self.key != last.key),
            ("curve", self.curve != last.curve),
            ("public_key", self.public_key.is_some() && self.public_key != last.public_key),
            ("reshare", self.reshare.is_some() && self.reshare != last.reshare),
            ("threshold", self.threshold != last.threshold),
            ("parties", self.parties != last.parties),
            ("digest", self.digest.is_some() && self.digest != last.digest),
            ("source", self.digest.is_some() && self.source != last.source),
            ("payload", self.payload.is_some() && self.payload != last.payload),
            ("built", !self.built.is_empty() && self.built != last.built),
            ("purpose", self.purpose != last.purpose),
            ("requester", self.requester != last.requester),
            ("signers", self.signers != last.signers),
            ("receivers", self.receivers != last.receivers),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

/// Writes optional bytes, `None` as an empty text.
fn or_empty<const N: usize, S: serde::Serializer>(
    bytes: &Option<Hex<N>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => bytes.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}
