//! What two devices say to each other around a protocol: control messages, as JSON objects.
//!
//! Each is at most one frame, unknown fields are refused, and every text a person may see is a
//! [`Label`] from the moment it is read.

use serde::{Deserialize, Serialize};

use crate::device::{Fingerprint, Label, hex, unhex};
use crate::progress::Source;

/// The version of the control messages.
pub const VERSION: u8 = 1;

/// The longest control message, in bytes.
pub const MAX_CONTROL: usize = 64 * 1024;

/// Bytes of fixed length, as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> std::fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected hexadecimal digits of fixed length"))
    }
}

impl Hex<32> {
    /// The fingerprint with these bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.0)
    }
}

/// Why the caller is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// To see whether this device is there.
    Ping,
    /// To compare six digits.
    Pair,
    /// To make, refresh or use a key.
    Ceremony,
    /// To go on with a ceremony whose connection broke.
    Resume {
        /// The name of the first connection.
        session: Hex<16>,
        /// How many frames of the other side have arrived.
        received: u64,
    },
}

/// Why a device will not go on. One word: details stay in its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Something else is on its screen.
    Busy,
    /// Both devices called each other; this call gives way to the other one.
    Crossed,
    /// A person said no.
    Denied,
    /// Too many pairings in a row have failed there.
    Locked,
    /// There is nobody who could compare digits.
    Unattended,
    /// Its policy says no.
    Policy,
    /// Nobody answered in time.
    TimedOut,
    /// It does not know the caller, or another participant.
    NotPaired,
    /// Its pairing with the caller is over.
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
    /// It does not speak this version.
    Version,
    /// The ceremony failed.
    Aborted,
    /// A person interrupted it.
    Interrupted,
    /// It knows nothing of what the caller wants to go on with.
    Gone,
}

impl Reason {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Crossed => "crossed",
            Self::Denied => "denied",
            Self::Locked => "locked",
            Self::Unattended => "unattended",
            Self::Policy => "policy",
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
            Self::Gone => "gone",
        }
    }
}

/// What a ceremony is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Make a key.
    Keygen,
    /// Give every party a new share of the same key.
    Refresh,
    /// Exchange the confirmations of a key that was left pending.
    Resume,
    /// Sign a digest.
    Sign,
}

impl Kind {
    /// The name people see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Refresh => "refresh",
            Self::Resume => "resume",
            Self::Sign => "sign",
        }
    }
}

/// One epoch of a key, as a device that has a share of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The generation of shares.
    pub epoch: Hex<32>,
    /// 1 for the shares of a new key, one more after each refresh.
    pub generation: u64,
    /// How many sessions this device has spent under this epoch.
    pub height: u64,
}

/// What the requester asks the others to take part in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What it is.
    pub kind: Kind,
    /// Names the request in logs and results.
    pub request_id: String,
    /// The name the requester gives the key; a new key is stored under it.
    pub key: String,
    /// The parties' fingerprints, party 1 first.
    pub parties: Vec<Hex<32>>,
    /// The indices of those who take part, ascending.
    pub signers: Vec<u8>,
    /// How many parties must sign.
    pub threshold: u8,
    /// The key, SEC1 compressed; all zeros for a key that is to be made.
    pub public_key: Hex<33>,
    /// The epochs of the key that the requester offers, the newest first; none for a key that is to
    /// be made.
    pub epochs: Vec<Held>,
    /// The digest to sign; all zeros otherwise.
    pub digest: Hex<32>,
    /// How the requester came by the digest.
    pub source: Source,
    /// What it is for.
    pub purpose: Label,
    /// The index of the party that receives the signature; 0 for all who take part.
    pub recipient: u8,
    /// Non-hardened BIP-32 indices from the key to the one that signs.
    pub path: Vec<u32>,
    /// The requester's contribution to the session id.
    pub nonce: Hex<32>,
    /// Seconds until the requester gives up waiting for an answer, set when it asks.
    pub seconds: u32,
}

/// Whether `id` can name a request: 1 to 64 letters, digits, `.`, `_` and `-`, neither dot nor dash first.
pub fn is_request_id(id: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&id.len()) && id.chars().all(sound) && !id.starts_with(['.', '-'])
}

/// What everybody who takes part has agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// The contributions to the session id, in index order.
    pub nonces: Vec<Hex<32>>,
    /// The epochs that each offered, in index order, the newest first.
    pub held: Vec<Vec<Hex<32>>>,
    /// The newest of the epochs that all have; all zeros where no epoch is used.
    pub epoch: Hex<32>,
    /// How many sessions the requester has spent under that epoch, now that it begins.
    pub height: u64,
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
        /// What it came for.
        want: Want,
    },
    /// The answer: the caller was let in.
    Welcome {
        /// The device's name for itself.
        name: Label,
    },
    /// The answer to a caller that is back: it goes on.
    Resumed {
        /// How many frames of the caller have arrived.
        received: u64,
    },
    /// The answer, or the end at any later point: no.
    Refuse {
        /// Why.
        reason: Reason,
    },
    /// One step of the six-digit exchange.
    Pair {
        /// A commitment, a nonce, an opening or a confirmation, by position.
        step: Hex<32>,
    },
    /// The caller has deleted its share of a key that both have, or had.
    Deleted {
        /// The key, SEC1 compressed.
        public_key: Hex<33>,
        /// When, in seconds since 1970.
        time: i64,
    },
    /// A request to take part.
    Propose(Box<Proposal>),
    /// Yes to a request.
    Accept {
        /// This party's contribution to the session id.
        nonce: Hex<32>,
        /// Those of the requester's epochs that this party offers too, the newest first.
        held: Vec<Held>,
    },
    /// No to a request: this party has no share of any of the requester's epochs.
    Apart {
        /// The epochs of the key that it has, the newest first.
        held: Vec<Held>,
    },
    /// Everybody said yes: begin.
    Start(Agreed),
    /// This party is done; from the requester: everybody is.
    Finished,
}

/// Bytes that are no control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMessage;

impl Message {
    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoMessage> {
        if bytes.len() > MAX_CONTROL {
            return Err(NoMessage);
        }
        serde_json::from_slice(bytes).map_err(|_| NoMessage)
    }
}

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
            kind: Kind::Sign,
            request_id: "r-1".into(),
            key: "vault".into(),
            parties: vec![Hex([2; 32]), Hex([3; 32])],
            signers: vec![1, 2],
            threshold: 2,
            public_key: Hex([2; 33]),
            epochs: vec![held(4), held(5)],
            digest: Hex([5; 32]),
            source: Source::File { name: Label::new("a.tar"), size: 7, hash: "sha256".into() },
            purpose: Label::new("release"),
            recipient: 1,
            path: vec![0, 7],
            nonce: Hex([6; 32]),
            seconds: 60,
        };
        for message in [
            Message::Hello { version: VERSION, name: Label::new("alice"), want: Want::Pair },
            Message::Hello {
                version: VERSION,
                name: Label::new("alice"),
                want: Want::Resume { session: Hex([8; 16]), received: 3 },
            },
            Message::Resumed { received: u64::MAX },
            Message::Refuse { reason: Reason::RolledBack },
            Message::Refuse { reason: Reason::Deleted { time: 1_790_000_000 } },
            Message::Deleted { public_key: Hex([2; 33]), time: -1 },
            Message::Pair { step: Hex([9; 32]) },
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
    fn unknown_fields_and_wrong_lengths_are_refused() {
        for bad in [
            r#"{"hello":{"version":1,"name":"a","want":"pair","extra":1}}"#,
            r#"{"pair":{"step":"abcd"}}"#,
            r#"{"refuse":{"reason":"because"}}"#,
            r#""finish""#,
            "",
        ] {
            assert_eq!(Message::from_bytes(bad.as_bytes()), Err(NoMessage), "{bad}");
        }
    }

    #[test]
    fn a_name_with_escapes_arrives_clean() {
        let bytes = br#"{"welcome":{"name":"b\u001b[2Job\u202e"}}"#;
        assert_eq!(Message::from_bytes(bytes), Ok(Message::Welcome { name: Label::new("b[2Job") }));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::from_bytes(&bytes);
        }
    }
}
