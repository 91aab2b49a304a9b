//! Requests to take part in a ceremony, and the questions to owners about them.
//!
//! A [`Request`] is made in two places: by the requester, and by `wire` from a proposal. Both make
//! only sound ones ([`Request::is_sound`]). Consent, policies, screens, the log and the ids of
//! ceremonies follow from it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::tags;
use crate::crypto::transcript::length_prefixed;
use crate::curve::CurveName;
use crate::device::{Fingerprint, Label, hex, unhex};
use crate::party::{MAX_PARTIES, PartyId};
use crate::payload::{Payload, Source};

/// Most epochs of a key that a device offers: the active one and the pending ones.
pub const MAX_EPOCHS: usize = 32;

/// Most steps of a derivation path.
pub const MAX_PATH: usize = 16;

/// Bytes of fixed length, as lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

/// The kinds of ceremonies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceremony {
    /// Make a key.
    Keygen,
    /// Make shares of a private key that one party has.
    Import,
    /// Give every party a new share of the same key.
    Refresh,
    /// Give other parties, or with another threshold, new shares of the same key.
    Reshare,
    /// Exchange the confirmations of a pending key.
    Resume,
    /// Sign a digest.
    Sign,
}

impl Ceremony {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Keygen, Self::Import, Self::Refresh, Self::Reshare, Self::Resume, Self::Sign];

    /// The name on the wire, in events and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Import => "import",
            Self::Refresh => "refresh",
            Self::Reshare => "reshare",
            Self::Resume => "resume",
            Self::Sign => "sign",
        }
    }

    /// The ceremony of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ceremony| ceremony.name() == name)
    }
}

impl fmt::Display for Ceremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The beginning of the ids of requests for certificates of OpenPGP.
pub const CERTIFICATE: &str = "openpgp-";

/// The id of a request in logs and results: 1 to 64 letters, digits, `.`, `_` and `-`, and neither
/// a dot nor a dash first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// The id `text`, if it is valid.
    pub fn new(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }

    /// Whether it is one under which certificates are kept, so that no other request may have it.
    pub fn is_of_certificate(&self) -> bool {
        self.0.starts_with(CERTIFICATE)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether `text` is valid as the id of a request, and as the name of a key.
pub fn is_name(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&text.len()) && text.chars().all(sound) && !text.starts_with(['.', '-'])
}

/// One epoch of a key, as a device with a share of it announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The generation of shares.
    pub epoch: Hex<32>,
    /// 1 for the shares of a new key, one more after each refresh or reshare.
    pub generation: u64,
    /// How many sessions the device has spent under this epoch, at most [`MAX_HEIGHT`].
    #[serde(deserialize_with = "height")]
    pub height: u64,
}

/// The greatest height. A ledger with as many sessions would be more than eight times as long as one that is opened, so a
/// greater height is none that an honest device announces. It is not remembered: whatever the device announced later
/// would look like older data.
pub const MAX_HEIGHT: u64 = 1 << 24;

fn height<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let height = u64::deserialize(deserializer)?;
    (height <= MAX_HEIGHT)
        .then_some(height)
        .ok_or_else(|| <D::Error as serde::de::Error>::custom("no such height"))
}

/// What all participants have agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// The contributions to the session id, in index order.
    pub nonces: Vec<Hex<32>>,
    /// The epochs that each offered, in index order, the newest first.
    pub held: Vec<Vec<Hex<32>>>,
    /// The newest of the epochs that all have; all zeros if none is used.
    pub epoch: Hex<32>,
    /// How many sessions the requester has spent under that epoch at the start, at most [`MAX_HEIGHT`].
    #[serde(deserialize_with = "height")]
    pub height: u64,
}

/// An existing key, and the requester's shares of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The key, SEC1 compressed.
    pub public_key: [u8; 33],
    /// The epochs that the requester has a share of, the newest first.
    pub epochs: Vec<Held>,
}

/// The parameters of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The key.
    pub shares: Shares,
    /// Non-hardened BIP-32 indices from the key to the one that signs.
    pub path: Vec<u32>,
    /// The digest.
    pub digest: [u8; 32],
    /// The origin of the digest.
    pub source: Source,
    /// The payload, once it has arrived: it has this digest.
    pub payload: Option<Arc<Payload>>,
    /// The receiver of the signature; `None` for all signers.
    pub recipient: Option<PartyId>,
}

/// The parameters of a reshare.
///
/// Participants are numbered anew: the parties that the key has then, and after them the devices that
/// deal and leave, in the order of their old indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resharing {
    /// The key, and the one epoch whose shares are dealt.
    pub shares: Shares,
    /// How many parties the key has then: the first of the participants.
    pub count: u8,
    /// The parties of the key so far, party 1 first.
    pub old: Vec<Fingerprint>,
    /// Those of them that deal, as many as had to sign so far, ascending.
    pub dealers: Vec<PartyId>,
    /// The public data of the old shares (docs/protocol.md §8.1).
    pub origin: Vec<u8>,
}

/// The greatest generation of the shares that a reshare begins with. A new device takes the next one from the
/// requester's word, and must be able to count on.
const MAX_GENERATION: u64 = 1 << 32;

/// The most bytes of [`Resharing::origin`]: those of 16 parties are fewer.
pub const MAX_ORIGIN: usize = 1024;

/// A key that the requester has whole, as the others hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Importing {
    /// The key, SEC1 compressed.
    pub public_key: [u8; 33],
    /// The chain code, from which keys below it are derived.
    pub chain_code: [u8; 32],
}

/// The ceremony and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a key.
    Keygen,
    /// Make shares of a private key that the requester has.
    Import(Importing),
    /// Give every party a new share of the same key.
    Refresh(Shares),
    /// Give new shares to other parties, or with another threshold.
    Reshare(Resharing),
    /// Exchange the confirmations of a pending key.
    Resume(Shares),
    /// The same with a device that has left the key, which is the last of the participants.
    Leave(Shares),
    /// Sign.
    Sign(Signing),
}

/// A request to take part in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name in logs and results.
    pub id: RequestId,
    /// The requester's name for the key; a new key is stored under it.
    pub key: String,
    /// The curve that the key is on.
    pub curve: CurveName,
    /// The parties of the key, party 1 first; after them those that leave it.
    pub parties: Vec<Fingerprint>,
    /// How many parties must sign.
    pub threshold: u8,
    /// The parties that take part, ascending.
    pub signers: Vec<PartyId>,
    /// The requester.
    pub requester: PartyId,
    /// What it is for, in the requester's words.
    pub purpose: Label,
    /// The ceremony and its parameters.
    pub action: Action,
}

impl Signing {
    /// The digests that are signed, in their order; none before several files or a payment have
    /// arrived.
    pub fn list(&self) -> &[[u8; 32]] {
        match (&self.source, &self.payload) {
            (Source::Files { .. } | Source::Psbt { .. }, Some(payload)) => payload.list(),
            (Source::Files { .. } | Source::Psbt { .. }, None) => &[],
            _ => std::slice::from_ref(&self.digest),
        }
    }
}

impl Resharing {
    /// The old parties that deal, in the order of their indices.
    pub fn dealing(&self) -> impl Iterator<Item = &Fingerprint> {
        let old = |party: &PartyId| self.old.get(usize::from(party.get()).checked_sub(1)?);
        self.dealers.iter().filter_map(old)
    }

    /// Whether this fits `parties`, the participants, which are at most as many as a key may have.
    fn is_sound(&self, parties: &[Fingerprint]) -> bool {
        let Some((then, leaving)) = parties.split_at_checked(self.count.into()) else {
            return false;
        };
        let gone = self.dealing().filter(|dealer| !then.contains(dealer));
        let generation = |held: &Held| held.generation <= MAX_GENERATION;
        matches!(self.shares.epochs.as_slice(), [held] if generation(held))
            && (2..=usize::from(MAX_PARTIES)).contains(&self.old.len())
            && self.old.is_sorted_by(|a, b| a < b)
            && (2..=self.old.len()).contains(&self.dealers.len())
            && self.dealers.is_sorted_by(|a, b| a < b)
            && self.dealing().count() == self.dealers.len()
            && gone.eq(leaving)
            && self.origin.len() <= MAX_ORIGIN
    }
}

impl Request {
    /// Whether sizes, order and participants are valid.
    pub fn is_sound(&self) -> bool {
        let (count, participants) = (self.remaining().len(), self.parties.len());
        let all = usize::from(MAX_PARTIES);
        let takes_part = |party: &PartyId| self.signers.contains(party);
        (2..=all).contains(&count)
            && participants <= all
            && self.remaining().is_sorted_by(|a, b| a < b)
            && (2..=count).contains(&usize::from(self.threshold))
            && self.signers.is_sorted_by(|a, b| a < b)
            && self.signers.iter().all(|party| usize::from(party.get()) <= participants)
            && takes_part(&self.requester)
            && is_name(&self.key)
            && (self.curve.has_wallets() || !self.is_of_wallets())
            && self.epochs().len() <= MAX_EPOCHS
            && (!self.id.is_of_certificate() || matches!(self.source(), Source::OpenPgpKey { .. }))
            && match &self.action {
                Action::Keygen | Action::Import(_) => self.signers.len() == count,
                Action::Refresh(shares) => self.signers.len() == count && !shares.epochs.is_empty(),
                Action::Reshare(resharing) => {
                    self.signers.len() == participants
                        && resharing.is_sound(&self.parties)
                        && resharing.old.contains(&self.asked_by())
                }
                Action::Leave(shares) => {
                    !shares.epochs.is_empty()
                        && self.signers.last().is_some_and(|p| usize::from(p.get()) == participants)
                        && self.parties.last().is_some_and(|p| !self.remaining().contains(p))
                }
                Action::Resume(shares) => !shares.epochs.is_empty(),
                Action::Sign(Signing { shares, path, source, recipient, .. }) => {
                    self.signers.len() == usize::from(self.threshold)
                        && !shares.epochs.is_empty()
                        && path.len() <= MAX_PATH
                        && path.iter().all(|index| *index < 1 << 31)
                        && source.is_within_limits()
                        // A payment says its own paths.
                        && (path.is_empty() || !matches!(source, Source::Psbt { .. }))
                        && recipient.as_ref().is_none_or(takes_part)
                }
            }
    }

    /// Whether it is for a signature that wallets alone make: of a key below the key, or of what they sign.
    fn is_of_wallets(&self) -> bool {
        !self.path().is_empty() || self.source().kind().is_of_wallets()
    }

    /// The ceremony.
    pub fn ceremony(&self) -> Ceremony {
        match self.action {
            Action::Keygen => Ceremony::Keygen,
            Action::Import(_) => Ceremony::Import,
            Action::Refresh(_) => Ceremony::Refresh,
            Action::Reshare(_) => Ceremony::Reshare,
            Action::Resume(_) | Action::Leave(_) => Ceremony::Resume,
            Action::Sign(_) => Ceremony::Sign,
        }
    }

    /// The key and the requester's shares of it; `None` for a new key.
    pub fn shares(&self) -> Option<&Shares> {
        match &self.action {
            Action::Keygen | Action::Import(_) => None,
            Action::Refresh(shares) | Action::Resume(shares) | Action::Leave(shares) => {
                Some(shares)
            }
            Action::Reshare(resharing) => Some(&resharing.shares),
            Action::Sign(signing) => Some(&signing.shares),
        }
    }

    /// The key that the requester has whole, if it is that.
    pub fn importing(&self) -> Option<&Importing> {
        match &self.action {
            Action::Import(importing) => Some(importing),
            _ => None,
        }
    }

    /// The key, SEC1 compressed; `None` for a new one.
    pub fn public_key(&self) -> Option<&[u8; 33]> {
        let shared = self.shares().map(|shares| &shares.public_key);
        shared.or(self.importing().map(|importing| &importing.public_key))
    }

    /// The epochs of the key that the requester offers, the newest first.
    pub fn epochs(&self) -> &[Held] {
        self.shares().map_or(&[], |shares| &shares.epochs)
    }

    /// The parameters of the signature, if it is one.
    pub fn signing(&self) -> Option<&Signing> {
        match &self.action {
            Action::Sign(signing) => Some(signing),
            _ => None,
        }
    }

    /// The parameters of the reshare, if it is one.
    pub fn resharing(&self) -> Option<&Resharing> {
        match &self.action {
            Action::Reshare(resharing) => Some(resharing),
            _ => None,
        }
    }

    /// The parties that the key has when it is done: those that do not leave.
    pub fn remaining(&self) -> &[Fingerprint] {
        let count = match &self.action {
            Action::Reshare(resharing) => resharing.count.into(),
            Action::Leave(_) => self.parties.len().saturating_sub(1),
            _ => self.parties.len(),
        };
        self.parties.get(..count).unwrap_or_default()
    }

    /// The parties and the threshold of the shares that it begins with.
    pub fn holders(&self) -> (&[Fingerprint], usize) {
        match &self.action {
            Action::Reshare(resharing) => (&resharing.old, resharing.dealers.len()),
            _ => (self.remaining(), self.threshold.into()),
        }
    }

    /// The digest to be signed, if there is one.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.signing().map(|signing| &signing.digest)
    }

    /// The origin of the digest; [`Source::Digest`] if nothing is signed.
    pub fn source(&self) -> &Source {
        self.signing().map_or(&Source::Digest, |signing| &signing.source)
    }

    /// The payload, once it has arrived.
    pub fn payload(&self) -> Option<&Arc<Payload>> {
        self.signing()?.payload.as_ref()
    }

    /// The steps from the key to the one that signs.
    pub fn path(&self) -> &[u32] {
        self.signing().map_or(&[], |signing| &signing.path)
    }

    /// Who receives a signature.
    pub fn receivers(&self) -> Vec<PartyId> {
        match self.signing().map(|signing| signing.recipient) {
            None => Vec::new(),
            Some(None) => self.signers.clone(),
            Some(Some(only)) => vec![only],
        }
    }

    /// The party with this fingerprint.
    pub fn party_of(&self, fingerprint: &Fingerprint) -> Option<PartyId> {
        let all = PartyId::all(MAX_PARTIES).zip(&self.parties);
        all.into_iter().find(|(_, party)| *party == fingerprint).map(|(party, _)| party)
    }

    /// The party with this fingerprint, if it is among the signers.
    pub fn signer(&self, fingerprint: &Fingerprint) -> Option<PartyId> {
        self.party_of(fingerprint).filter(|party| self.signers.contains(party))
    }

    /// The fingerprint of a party.
    pub fn fingerprint(&self, party: PartyId) -> Option<Fingerprint> {
        self.parties.get(usize::from(party.get()).checked_sub(1)?).copied()
    }

    /// The fingerprint of the requester. All zeros, which no device has, if the request is not
    /// sound.
    pub fn asked_by(&self) -> Fingerprint {
        self.fingerprint(self.requester).unwrap_or_else(|| Fingerprint::new([0; 32]))
    }
}

/// The name of the key at the end of `path` below the key `name`, such as `vault/0/7`.
pub fn below(name: &str, path: &[u32]) -> String {
    path.iter().fold(name.to_owned(), |name, index| format!("{name}/{index}"))
}

/// A request with what this device knows of it, for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The request.
    pub request: Request,
    /// The key's name here, with the path to the key that signs: `vault/0/7`.
    pub key: String,
    /// The key that signs, at the end of the path, SEC1 compressed; `None` for a new key.
    pub public_key: Option<[u8; 33]>,
    /// The parties' names here, party 1 first.
    pub names: Vec<Label>,
    /// In a reshare, the names here of the parties so far, party 1 first.
    pub old_names: Vec<Label>,
    /// Seconds left to answer.
    pub seconds: u64,
}

impl Question {
    /// The name of a party here.
    pub fn name(&self, party: PartyId) -> Label {
        let position = usize::from(party.get()).checked_sub(1);
        position.and_then(|position| self.names.get(position)).cloned().unwrap_or_default()
    }

    /// The facts that must be the same on every device, in an unambiguous encoding (docs/wire.md
    /// §4). Local names of the key and its parties, and the time left, differ between devices and
    /// are left out.
    pub fn facts(&self) -> Vec<u8> {
        let request = &self.request;
        let names = match request.source() {
            Source::Files { files, .. } => {
                let parts = files.iter().flat_map(|file| {
                    [file.name.as_str().as_bytes().to_vec(), file.size.to_be_bytes().to_vec()]
                });
                let parts: Vec<Vec<u8>> = parts.collect();
                length_prefixed(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
            }
            _ => Vec::new(),
        };
        let made = match request.source() {
            Source::OpenPgp { form, time, .. } => format!("{} {time}", form.name()),
            Source::OpenPgpKey { time, expires, .. } => {
                format!("{time} {}", expires.unwrap_or_default())
            }
            Source::Git { time, .. } => format!("openpgp {time}"),
            _ => String::new(),
        };
        let (kind, file, size, hash): (&[u8], &[u8], u64, &[u8]) = match request.source() {
            Source::Digest => (b"digest", b"", 0, b""),
            Source::File { name, size, hash, .. } => {
                (b"file", name.as_str().as_bytes(), *size, hash.name().as_bytes())
            }
            Source::Message { format, size } => (b"message", b"", *size, format.name().as_bytes()),
            source @ Source::Files { hash, .. } => {
                (b"files", &names, source.travels().unwrap_or_default(), hash.name().as_bytes())
            }
            Source::EthTx { size } => (b"eth-tx", b"", *size, b""),
            Source::TypedData { size } => (b"typed-data", b"", *size, b""),
            Source::Psbt { network, size } => (b"psbt", b"", *size, network.name().as_bytes()),
            Source::Jws { name, size } => (b"jws", name.as_str().as_bytes(), *size, b""),
            Source::OpenPgp { name, size, .. } => {
                (b"openpgp", name.as_str().as_bytes(), *size, made.as_bytes())
            }
            Source::OpenPgpKey { size, .. } => (b"openpgp-key", b"", *size, made.as_bytes()),
            Source::Git { size, .. } => (b"git", b"", *size, made.as_bytes()),
        };
        let fingerprints = |parties: &[PartyId]| {
            let known = parties.iter().filter_map(|party| request.fingerprint(*party));
            let list: Vec<String> = known.map(|fingerprint| fingerprint.to_hex()).collect();
            length_prefixed(&list.iter().map(String::as_bytes).collect::<Vec<_>>())
        };
        let mut facts: Vec<Vec<u8>> = [
            request.ceremony().name().as_bytes(),
            request.id.as_str().as_bytes(),
            self.public_key.map(|key| hex(&key)).unwrap_or_default().as_bytes(),
            &[request.threshold, u8::try_from(request.parties.len()).unwrap_or(u8::MAX)],
            &fingerprints(&request.signers),
            request.digest().map(|digest| hex(digest)).unwrap_or_default().as_bytes(),
            kind,
            file,
            &size.to_be_bytes(),
            hash,
            request.purpose.as_str().as_bytes(),
            request.asked_by().to_hex().as_bytes(),
            &fingerprints(&request.receivers()),
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        facts.extend(request.payload().map(|payload| payload.sha256().to_vec()));
        if let Some(Importing { public_key, chain_code }) = request.importing() {
            facts.extend([public_key.to_vec(), chain_code.to_vec()]);
        }
        if let Some(resharing) = request.resharing() {
            let Resharing { count, old, dealers, origin, .. } = resharing;
            let old: Vec<String> = old.iter().map(|fingerprint| fingerprint.to_hex()).collect();
            let old = length_prefixed(&old.iter().map(String::as_bytes).collect::<Vec<_>>());
            let dealers = dealers.iter().map(|party| party.get()).collect();
            facts.extend([vec![*count], old, dealers, origin.clone()]);
        }
        if !request.curve.is_unnamed() {
            facts.push(request.curve.name().into());
        }
        length_prefixed(&facts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The first four bytes of a hash of the facts, by which people tell requests apart.
    pub fn hash(&self) -> Hex<4> {
        let [a, b, c, d, ..] = tags::REQUEST_HASH.hash(&[&self.facts()]);
        Hex([a, b, c, d])
    }

    /// The id of the ceremony: a hash of all facts, the epochs that everybody offered, the one that
    /// is used, and a fresh nonce of every participant, in index order. Devices that disagree about
    /// any of these get different sessions and stop at the first message, before a secret is used.
    pub fn ceremony_id(&self, agreed: &Agreed) -> [u8; 32] {
        let request = &self.request;
        let parties: Vec<u8> = request.parties.iter().flat_map(|p| *p.as_bytes()).collect();
        let signers: Vec<u8> = request.signers.iter().map(|party| party.get()).collect();
        let recipient = request.signing().and_then(|signing| signing.recipient);
        let path: Vec<u8> = request.path().iter().flat_map(|index| index.to_be_bytes()).collect();
        let nonces: Vec<u8> = agreed.nonces.iter().flat_map(|nonce| nonce.0).collect();
        let held: Vec<Vec<u8>> = agreed
            .held
            .iter()
            .map(|of_one| of_one.iter().flat_map(|epoch| epoch.0).collect())
            .collect();
        tags::CEREMONY_ID.hash(&[
            &self.facts(),
            &agreed.epoch.0,
            &length_prefixed(&held.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            &parties,
            &signers,
            &[recipient.map_or(0, PartyId::get)],
            &path,
            &nonces,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::bitcoin::Network;
    use crate::payload::curve::Signer;
    use crate::payload::{HashFunction, MessageFormat, NamedFile};

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    fn epochs(list: &[u8]) -> Vec<Hex<32>> {
        list.iter().map(|epoch| Hex([*epoch; 32])).collect()
    }

    fn shares() -> Shares {
        let mut public_key = [0xab; 33];
        public_key[0] = 2;
        let epochs = vec![Held { epoch: Hex([7; 32]), generation: 1, height: 0 }];
        Shares { public_key, epochs }
    }

    fn signing() -> Signing {
        Signing {
            shares: shares(),
            path: Vec::new(),
            digest: [0x5d; 32],
            source: Source::Digest,
            payload: None,
            recipient: None,
        }
    }

    /// A request of party `requester` of three to `signers`.
    fn request(id: &str, action: Action, signers: &[u8], requester: u8) -> Request {
        Request {
            id: RequestId::new(id).unwrap(),
            key: "vault".into(),
            curve: CurveName::default(),
            parties: [0x11, 0x22, 0x33].map(|digit| Fingerprint::new([digit; 32])).to_vec(),
            threshold: 2,
            signers: signers.iter().map(|index| party(*index)).collect(),
            requester: party(requester),
            purpose: Label::default(),
            action,
        }
    }

    /// `request` as a question, and what all agree on.
    fn asked(request: Request, held: &[&[u8]], epoch: u8) -> (Question, Agreed) {
        let nonces = request.signers.iter().map(|party| Hex([0xa0 + party.get(); 32])).collect();
        let held = held.iter().map(|list| epochs(list)).collect();
        let agreed = Agreed { nonces, held, epoch: Hex([epoch; 32]), height: 0 };
        let public_key = request.shares().map(|shares| shares.public_key);
        let names = vec![Label::new("anything"); 3];
        let (key, old_names) = ("anything".into(), Vec::new());
        (Question { request, key, public_key, names, old_names, seconds: 60 }, agreed)
    }

    #[test]
    fn facts_and_ceremony_ids_have_the_bytes_of_the_specification() {
        let source = Source::File {
            name: Label::new("résumé.pdf"),
            size: 70_000,
            hash: HashFunction::Keccak256,
            attached: false,
        };
        let file = Signing { path: vec![0, 7], source, recipient: Some(party(1)), ..signing() };
        let file = Request {
            purpose: Label::new("pay the printer"),
            ..request("release-7", Action::Sign(file), &[1, 3], 3)
        };
        let digest = request("release-7", Action::Sign(signing()), &[1, 3], 1);
        let mut generator = [0; 33];
        generator.copy_from_slice(
            &unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap(),
        );
        let signer = Signer::new(CurveName::Secp256k1, &generator, [7; 32]).unwrap();
        let of_payload = |source: Source, bytes: &[u8]| {
            let payload = Payload::read_for(&source, bytes.to_vec(), &signer, &[]).unwrap();
            let digest = *payload.digest();
            let payload = Some(Arc::new(payload));
            let signing = Signing { digest, source, payload, ..signing() };
            asked(request("release-7", Action::Sign(signing), &[1, 3], 1), &[&[7], &[7]], 7)
        };
        let text = Source::Message { format: MessageFormat::Ethereum, size: 7 };
        let transaction = unhex(
            "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008001\
             8080",
        );
        let typed = br#"{"types":{"Note":[{"name":"text","type":"string"}]},"primaryType":"Note","domain":{},"message":{"text":"hi"}}"#;
        let files = request("release-7", Action::Sign(files("a", &[3, 4])), &[1, 3], 1);
        let typed_source = Source::TypedData { size: typed.len() as u64 };
        let keygen = request("r-1", Action::Keygen, &[1, 2, 3], 2);
        let refresh = request("r-1", Action::Refresh(shares()), &[1, 2, 3], 2);
        let resume = request("r-1", Action::Resume(shares()), &[2, 3], 2);
        for ((question, agreed), hash, id) in [
            (
                asked(file, &[&[7, 6], &[8, 7]], 7),
                "399db907",
                "f6b679a09b7f812a2a485b677aa6993ce146755be73df332e75701966fe4f12d",
            ),
            (
                asked(digest, &[&[7], &[7]], 7),
                "30dc871d",
                "ece5b3c744841d609ee9a87623ae314cf1bd442f157dd3acecd1799a30ffa6eb",
            ),
            (
                of_payload(text, b"I agree"),
                "fb81f855",
                "37c2020b3d7a38f9c6051c41c03fe0a14c7f133a8edbe6698f6ea622051bba16",
            ),
            (
                asked(files, &[&[7], &[7]], 7),
                "b18bbc6d",
                "46878478d1166fb03f8509827cf3dc93d7ba212ae8a448a9300874c71be3725f",
            ),
            (
                of_payload(Source::EthTx { size: 45 }, &transaction.unwrap()),
                "f755e5c1",
                "430cb13ee442ca86c6f4237c730e40199a8fddd96c0bab213747d3af9fcb450f",
            ),
            (
                of_payload(typed_source, typed),
                "82b4a13d",
                "cbc6823271b1f72f4efffc6800e12d2b5715f87debc1803adae6d586dfa4c570",
            ),
            (
                of_payload(Source::Jws { name: Label::new("notes"), size: 7 }, b"I agree"),
                "2180db2a",
                "d3a0c63b767311b521b08906751365f90bbed84a36c5512f75b23803125e2f76",
            ),
            (
                asked(keygen, &[&[], &[], &[]], 0),
                "282745d1",
                "c40c159916465cf6be5af322186016408307263477f591fdd465a4c35bf59e5d",
            ),
            (
                asked(refresh, &[&[7], &[7], &[7]], 7),
                "d0b32f6b",
                "658c837ee6ca5a24208787551f9c7e142cdc1335b1e2fdd8a53e24f2d7be3b16",
            ),
            (
                asked(resume, &[&[7, 6], &[7]], 0),
                "aa6895dd",
                "8b37b6f56a04f80857f2bc22cf1ab0e26904a52b0515235c18147dfeaad97ae0",
            ),
        ] {
            let ceremony = question.request.ceremony();
            assert!(question.request.is_sound(), "{ceremony}");
            assert_eq!(question.hash().to_string(), hash, "{ceremony}");
            assert_eq!(hex(&question.ceremony_id(&agreed)), id, "{ceremony}");
        }
    }

    #[test]
    fn the_curve_is_the_last_fact_of_a_key_that_is_not_on_secp256k1() {
        let on =
            |curve, action, signers: &[u8]| Request { curve, ..request("r-1", action, signers, 2) };
        let facts = |curve, action, signers: &[u8]| {
            asked(on(curve, action, signers), &[&[], &[], &[]], 0).0.facts()
        };
        let all = |curve| facts(curve, Action::Keygen, &[1, 2, 3]);
        let last = [&[0, 0, 0, 4][..], b"p256"].concat();
        assert_eq!(all(CurveName::P256), [all(CurveName::Secp256k1), last].concat());
        let known = |(question, agreed): (Question, Agreed)| {
            [question.hash().to_string(), hex(&question.ceremony_id(&agreed))]
        };
        let keygen = on(CurveName::P256, Action::Keygen, &[1, 2, 3]);
        let sign = on(CurveName::P256, Action::Sign(signing()), &[1, 2]);
        assert_eq!(
            [known(asked(keygen, &[&[], &[], &[]], 0)), known(asked(sign, &[&[7], &[7]], 7))],
            [
                ["cf012c7c", "9f795410eb48e38506fdebe8e3aad778df53f385e2c2f7a45a20428c1a5e00c1"],
                ["d09e47ff", "c7afb60b2da2174a5590809799d2a7bd6e1a0f8bce16007aae4fe8db97b4544d"],
            ]
        );
    }

    #[test]
    fn a_request_of_a_key_on_p256_for_what_wallets_sign_is_not_sound() {
        let is_sound = |curve, alter: &dyn Fn(&mut Signing)| {
            let mut signing = signing();
            alter(&mut signing);
            Request { curve, ..request("r-1", Action::Sign(signing), &[1, 3], 1) }.is_sound()
        };
        let message = Source::Message { format: MessageFormat::Bitcoin, size: 7 };
        let psbt = Source::Psbt { network: Network::Main, size: 7 };
        let of_wallets: [&dyn Fn(&mut Signing); 5] = [
            &|s| s.path = vec![0],
            &|s| s.source = message.clone(),
            &|s| s.source = psbt.clone(),
            &|s| s.source = Source::EthTx { size: 7 },
            &|s| s.source = Source::TypedData { size: 7 },
        ];
        for alter in of_wallets {
            assert!(is_sound(CurveName::Secp256k1, alter));
            assert!(!is_sound(CurveName::P256, alter));
        }
        let hash = HashFunction::Sha256;
        let file = Source::File { name: Label::new("a"), size: 7, hash, attached: true };
        for source in [Source::Digest, file, Source::Jws { name: Label::new("a"), size: 7 }] {
            assert!(is_sound(CurveName::P256, &|s| s.source = source.clone()));
        }
    }

    /// Two files that hold `pay bob`, cut in two.
    fn files(name: &str, sizes: &[u64]) -> Signing {
        let file = |size: &u64| NamedFile { name: Label::new(name), size: *size };
        let files = sizes.iter().map(file).collect();
        let source = Source::Files { files, hash: HashFunction::Sha256 };
        let payload = Payload::read(&source, b"pay bob".to_vec()).unwrap();
        Signing { digest: *payload.digest(), source, payload: Some(Arc::new(payload)), ..signing() }
    }

    #[test]
    fn several_files_are_other_facts_where_one_is_another() {
        let hash = |signing| {
            let request = request("r-1", Action::Sign(signing), &[1, 3], 1);
            asked(request, &[&[7], &[7]], 7).0.hash()
        };
        let honest = hash(files("a", &[3, 4]));
        assert_eq!(hash(files("a", &[3, 4])), honest);
        for other in [files("b", &[3, 4]), files("a", &[4, 3]), files("a", &[3, 4, 0])] {
            assert_ne!(hash(other), honest);
        }
    }

    #[test]
    fn the_facts_of_an_object_of_git_are_its_size_and_time() {
        let facts = |time| {
            let source = Source::Git { size: 232, time };
            let signing = Signing { source, ..signing() };
            asked(request("r-1", Action::Sign(signing), &[1, 3], 1), &[&[7], &[7]], 7).0.facts()
        };
        let part = [
            &[0, 0, 0, 3][..],
            b"git",
            &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 232, 0, 0, 0, 18],
            b"openpgp 1790000000",
        ]
        .concat();
        let is_in = |facts: &[u8]| facts.windows(part.len()).any(|bytes| bytes == part);
        assert!(is_in(&facts(1_790_000_000)) && !is_in(&facts(1_790_000_001)));
    }

    #[test]
    fn ids_of_certificates_are_for_certificates_alone() {
        let sound = |id: &str, source| {
            request(id, Action::Sign(Signing { source, ..signing() }), &[1, 3], 1).is_sound()
        };
        let certificate = Source::OpenPgpKey { size: 1, time: 1_790_000_000, expires: None };
        assert!(sound("openpgp-1", certificate.clone()) && sound("r-1", certificate));
        assert!(sound("openpgp", Source::Digest) && !sound("openpgp-1", Source::Digest));
    }

    #[test]
    fn before_several_files_have_arrived_there_is_nothing_to_sign() {
        let arrived = files("a", &[3, 4]);
        assert_eq!(arrived.list().len(), 2);
        assert!(Signing { payload: None, ..arrived }.list().is_empty());
        assert_eq!(signing().list(), [signing().digest]);
    }

    #[test]
    fn a_request_that_makes_no_sense_is_not_sound() {
        let sign = |alter: &dyn Fn(&mut Request)| {
            let mut request = request("r-1", Action::Sign(signing()), &[1, 3], 1);
            alter(&mut request);
            request.is_sound()
        };
        assert!(sign(&|_| ()));
        assert!(!sign(&|r| r.parties.reverse()));
        assert!(!sign(&|r| r.parties = vec![Fingerprint::new([1; 32]); 3]));
        assert!(!sign(&|r| r.parties.truncate(1)));
        assert!(!sign(&|r| r.threshold = 1));
        assert!(!sign(&|r| r.threshold = 4));
        assert!(!sign(&|r| r.threshold = 3));
        assert!(!sign(&|r| r.signers.reverse()));
        assert!(!sign(&|r| r.signers = vec![party(1), party(4)]));
        assert!(!sign(&|r| r.signers = vec![party(1), party(1)]));
        assert!(!sign(&|r| r.requester = party(2)));
        assert!(!sign(&|r| r.key = "../vault".into()));
        let action = |alter: &dyn Fn(&mut Signing)| {
            let mut signing = signing();
            alter(&mut signing);
            sign(&|r| r.action = Action::Sign(signing.clone()))
        };
        assert!(action(&|s| s.recipient = Some(party(3))));
        assert!(!action(&|s| s.recipient = Some(party(2))));
        assert!(!action(&|s| s.path = vec![1 << 31]));
        assert!(!action(&|s| s.path = vec![0; 17]));
        assert!(!action(&|s| s.shares.epochs.clear()));
        assert!(!action(&|s| s.shares.epochs = vec![s.shares.epochs[0]; MAX_EPOCHS + 1]));
        let all = |action, signers: &[u8]| request("r-1", action, signers, 1).is_sound();
        assert!(!all(Action::Keygen, &[1, 2]));
        assert!(!all(Action::Refresh(shares()), &[1, 2]));
        assert!(all(Action::Resume(shares()), &[1, 2]));
    }

    #[test]
    fn an_id_is_one_plain_word() {
        for text in ["", ".a", "-a", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(RequestId::new(text), None, "{text:?}");
        }
        assert!(RequestId::new(&"a".repeat(64)).is_some());
    }
}
