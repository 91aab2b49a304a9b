//! What people and scripts are told while a ceremony runs, and what an approver must see.
//!
//! One event, three renderings: a prose line, a line of NDJSON (`--events`), a screen. An event
//! never holds a secret and never raw text of a peer: that is a [`Label`] by the time it gets here.

use serde::Serialize;

use crate::device::{Fingerprint, Label};
use crate::party::PartyId;
use crate::request::{Ceremony, Hex, Question, RequestId, Source};

/// Something happened.
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
        /// Its full fingerprint, once it has proved who it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// `ready`, `available`, `busy` or `offline`.
        status: String,
        /// Where it is, as `HOST:PORT`.
        address: String,
    },
    /// Six digits to compare with the other screen.
    Code {
        /// As shown: `385 721`.
        code: String,
        /// The other device's name.
        peer: String,
        /// Its full fingerprint.
        fingerprint: String,
        /// A warning about a name or fingerprint that was known otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
        /// Seconds left to answer.
        seconds: u64,
    },
    /// Somebody asks this device to take part.
    Request(RequestView),
    /// A round began (`ms` absent) or ended.
    Round {
        /// What is done.
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
        /// Whether this goes on where an earlier connection broke.
        resumed: bool,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// The connection to a device broke; the ceremony goes on if it comes back.
    Disconnected {
        /// Its name.
        peer: String,
        /// Seconds that it is waited for.
        seconds: u64,
    },
    /// An invitation to pair through a relay: to be shown as a QR code and as text.
    Invite {
        /// What the QR code says: `cosign://pair?…`.
        uri: String,
        /// The relay's URL.
        relay: String,
        /// When it ends, RFC 3339.
        expires: String,
    },
    /// A relay was reached, or is out of reach.
    Relay {
        /// Its URL.
        url: String,
        /// Whether this device can be reached through it now.
        connected: bool,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Everything that a device sends in a round is here.
    Received {
        /// What is done.
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
    /// What a relay has to say about itself. It never names a room.
    Serving {
        /// `listening`, `joined`, `left`, `refused`, `cluster`, `stopping`.
        what: String,
        /// The client's address, where it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// More about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The other devices are awaited.
    Waiting {
        /// What for.
        what: String,
        /// The names of the devices that have not answered.
        #[serde(rename = "for")]
        peers: Vec<String>,
        /// Seconds that they are waited for, where a person is to answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<RequestId>,
    },
    /// The requests that wait for the owner of this device, behind the one on the screen, have changed.
    Queued {
        /// They, the next one first.
        waiting: Vec<QueuedRequest>,
    },
    /// A request of this device waits there for the owner.
    Behind {
        /// The device's name.
        peer: String,
        /// How many requests are before it, with the one on the screen there.
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
    /// A key was made or refreshed.
    Key {
        /// Its name here.
        key: String,
        /// 33-byte public key in hexadecimal.
        public_key: String,
        /// Whether every party said that its share is stored.
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
        /// The signature in hexadecimal DER, where this device received it.
        #[serde(skip_serializing_if = "Option::is_none")]
        der: Option<String>,
        /// The names of the devices that received it.
        delivered_to: Vec<String>,
        /// The request's id.
        request_id: String,
    },
    /// A ceremony ended without a result.
    Aborted {
        /// `pair`, `keygen`, `refresh` or `sign`.
        ceremony: String,
        /// The request's id; a pairing has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// The error's name, as in the exit code table.
        code: String,
        /// What happened.
        message: String,
        /// What can be done about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// What this device has, told when it begins to listen and whenever that changes.
    Inventory {
        /// The devices it is paired with.
        peers: Vec<KnownPeer>,
        /// Its keys.
        keys: Vec<KnownKey>,
        /// Its latest ceremonies, the newest first.
        recent: Vec<PastCeremony>,
    },
    /// The policy has answered a request: no person was asked.
    Decided {
        /// The request's id.
        request_id: RequestId,
        /// The requester's name.
        peer: String,
        /// What it asks for.
        ceremony: Ceremony,
        /// The key's name here.
        key: String,
        /// Whether the answer is yes.
        allowed: bool,
        /// What decided: `rule 2`, or `no rule` where none fits.
        by: String,
    },
    /// Devices that nobody here knows were turned away.
    Strangers {
        /// How many so far.
        count: u64,
        /// Where the latest came from: an address or a network, `relay` or `command`.
        source: String,
        /// What the latest wanted: `pair` or `ceremony`.
        wanted: String,
    },
    /// Something people should know that stops nothing.
    Note {
        /// What.
        message: String,
    },
}

/// A request that waits for the owner of this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueuedRequest {
    /// The requester's name.
    pub peer: String,
    /// What it asks for.
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
    /// Whether every party said that its share is stored.
    pub confirmed: bool,
}

/// A ceremony in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PastCeremony {
    /// When it ended, RFC 3339.
    pub time: String,
    /// `pair`, `keygen`, `refresh`, `resume` or `sign`.
    pub ceremony: String,
    /// The key's name; empty where there is none.
    pub key: String,
    /// The other devices, by the names they have here.
    pub with: String,
    /// What it was for, in the requester's words.
    pub purpose: String,
    /// How it ended: `signed`, `stored`, `paired`, or an error's name.
    pub outcome: String,
}

/// A party as an approver sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyView {
    /// The name this device knows it by, or that it announces.
    pub name: Label,
    /// Its full fingerprint.
    pub fingerprint: Fingerprint,
}

/// What the approver sees of a [`Question`]: the same facts on every device, on screen, in plain text and
/// as event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// What is to be done.
    pub ceremony: Ceremony,
    /// The request's id.
    pub request_id: RequestId,
    /// The key's name here.
    pub key: String,
    /// Its public key; empty for a key that is to be made.
    #[serde(serialize_with = "or_empty")]
    pub public_key: Option<Hex<33>>,
    /// How many parties must sign.
    pub threshold: u8,
    /// How many parties there are.
    pub parties: u8,
    /// The devices that take part, in the order of their indices in the key.
    pub signers: Vec<PartyView>,
    /// The digest; empty unless something is signed.
    #[serde(serialize_with = "or_empty")]
    pub digest: Option<Hex<32>>,
    /// How the requester came by the digest.
    pub source: Source,
    /// What it is for, in the requester's words.
    pub purpose: Label,
    /// Who asks.
    pub requester: PartyView,
    /// The devices that receive the signature.
    pub receivers: Vec<PartyView>,
    /// Seconds left to answer. Not part of the hash.
    pub seconds: u64,
    /// The fields, by the names they have in the event, that are not what they were on the last request of
    /// the same requester for the same key that this process showed. Not part of the hash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<&'static str>,
    /// The beginning of a hash of the facts ([`Question::hash`]).
    #[serde(skip)]
    pub hash: Hex<4>,
}

impl RequestView {
    /// What the owner of this device sees of `question`.
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
            threshold: request.threshold,
            parties: u8::try_from(request.parties.len()).unwrap_or(u8::MAX),
            signers: views(&request.signers),
            digest: request.digest().map(|digest| Hex(*digest)),
            source: request.source().clone(),
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

    /// The digits that stand for this very request: those of the digest, or of a hash of all facts
    /// where nothing is signed. The word that approves it is where they begin.
    pub fn digits(&self) -> String {
        self.digest.map_or_else(|| self.hash.to_string(), |digest| digest.to_string())
    }

    /// The fields, by the names they have in the event, in which `self` is not what `last` was. What
    /// `self` does not have is not on its card.
    pub fn differs_from(&self, last: &Self) -> Vec<&'static str> {
        [
            ("ceremony", self.ceremony != last.ceremony),
            ("key", self.key != last.key),
            ("public_key", self.public_key.is_some() && self.public_key != last.public_key),
            ("threshold", self.threshold != last.threshold),
            ("parties", self.parties != last.parties),
            ("digest", self.digest.is_some() && self.digest != last.digest),
            ("source", self.digest.is_some() && self.source != last.source),
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

/// Bytes that may be missing, which is an empty text.
fn or_empty<const N: usize, S: serde::Serializer>(
    bytes: &Option<Hex<N>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => bytes.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}
