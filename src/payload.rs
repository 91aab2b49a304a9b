//! Payloads: files, messages, payments, transactions and typed data to sign, with their digests
//! and summaries.
//!
//! A payload is sent to every device that signs it. Each computes the digest and the [`Summary`]
//! from the bytes itself, so neither depends on the requester's word. The name of a file does: the
//! bytes do not contain it. Time and memory are bounded by the size of the payload, and nothing is
//! unpacked.

pub mod bitcoin;
pub mod curve;
pub mod ethereum;
pub mod file;
pub mod git;
pub mod jws;
pub mod message;
pub mod openpgp;
mod preimage;

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::device::Label;
use bitcoin::payment::{self, Item, MAX_PAYMENT, Payment};
use bitcoin::{Network, Xpub};
use curve::{Curve, Signer};
use ethereum::transaction::{self, Transaction};
use ethereum::typed_data::{self, MAX_TYPED_DATA, TypedData};
use git::MAX_OBJECT;
pub use message::MessageFormat;
use openpgp::MAX_USER_ID;

/// The largest payload, in bytes; a larger file is signed by its digest alone.
pub const MAX_PAYLOAD: u64 = 1 << 20;

/// The largest message, in bytes: its signer reads all of it.
pub const MAX_MESSAGE: u64 = 16 << 10;

/// The most files that are signed together, each of which is sent.
pub const MAX_FILES: usize = 32;

/// The largest transaction, in bytes: nodes pass no larger ones on.
pub const MAX_TRANSACTION: u64 = 128 << 10;

/// How a file is hashed to 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HashFunction {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-256 of SHA-256, as Bitcoin does.
    Sha256d,
    /// Keccak-256, as Ethereum does.
    Keccak256,
}

impl HashFunction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha256d, Self::Keccak256];

    /// The name on the command line, on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha256d => "sha256d",
            Self::Keccak256 => "keccak256",
        }
    }

    /// The function of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// The hash of `bytes`.
    pub fn of(self, bytes: &[u8]) -> [u8; 32] {
        match self {
            Self::Sha256 => Sha256::digest(bytes).into(),
            Self::Sha256d => Sha256::digest(Sha256::digest(bytes)).into(),
            Self::Keccak256 => Keccak256::digest(bytes).into(),
        }
    }

    /// The hash of `input`, read in pieces, and its length.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_all(self, mut input: impl io::Read) -> io::Result<([u8; 32], u64)> {
        fn fill<D: sha2::Digest + io::Write>(input: &mut impl io::Read) -> io::Result<(D, u64)> {
            let mut digest = D::new();
            let size = io::copy(&mut io::BufReader::with_capacity(1 << 16, input), &mut digest)?;
            Ok((digest, size))
        }
        Ok(match self {
            Self::Sha256 => {
                let (digest, size) = fill::<Sha256>(&mut input)?;
                (digest.finalize().into(), size)
            }
            Self::Sha256d => {
                let (digest, size) = fill::<Sha256>(&mut input)?;
                (Sha256::digest(digest.finalize()).into(), size)
            }
            Self::Keccak256 => {
                let (digest, size) = fill::<Keccak256>(&mut input)?;
                (digest.finalize().into(), size)
            }
        })
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The origin of the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// The digest was given as such, so nothing can be shown of what it is the hash of.
    Digest,
    /// The hash of a file.
    File {
        /// The file's name, as the requester says.
        name: Label,
        /// Its size in bytes.
        size: u64,
        /// How it was hashed.
        hash: HashFunction,
        /// Whether the content is sent with the request; otherwise size and digest are the
        /// requester's word.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        attached: bool,
    },
    /// A message, which is sent with the request.
    Message {
        /// How it is signed.
        format: MessageFormat,
        /// Its size in bytes.
        size: u64,
    },
    /// The hashes of several files, which are sent with the request; each is signed.
    Files {
        /// The files, in the order in which they are signed.
        files: Vec<NamedFile>,
        /// How each was hashed.
        hash: HashFunction,
    },
    /// A transaction of Ethereum, which is sent with the request.
    #[serde(rename = "eth-tx")]
    EthTx {
        /// Its size in bytes.
        size: u64,
    },
    /// Typed data (EIP-712), which are sent with the request.
    #[serde(rename = "typed-data")]
    TypedData {
        /// Their size in bytes.
        size: u64,
    },
    /// A payment of Bitcoin, a PSBT, which is sent with the request.
    Psbt {
        /// The network in whose form addresses are shown.
        network: Network,
        /// Its size in bytes.
        size: u64,
    },
    /// A file that is sent with the request and signed as JWS.
    Jws {
        /// The file's name, as the requester says.
        name: Label,
        /// Its size in bytes.
        size: u64,
    },
    /// A file that is sent with the request and signed in OpenPGP.
    #[serde(rename = "openpgp")]
    OpenPgp {
        /// The file's name, as the requester says.
        name: Label,
        /// Its size in bytes.
        size: u64,
        /// How it is signed.
        form: openpgp::Form,
        /// When, in seconds since 1970.
        time: u32,
    },
    /// A user id of OpenPGP, which is sent with the request: the key is said to be somebody's.
    #[serde(rename = "openpgp-key")]
    OpenPgpKey {
        /// Its size in bytes.
        size: u64,
        /// When this is said, in seconds since 1970.
        time: u32,
        /// Until when, in seconds since 1970; for ever if it is `None`.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<u32>,
    },
    /// A commit or tag of git that is sent with the request and signed in OpenPGP.
    Git {
        /// Its size in bytes.
        size: u64,
        /// When, in seconds since 1970.
        time: u32,
    },
}

/// One of several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// Its name, as the requester says.
    pub name: Label,
    /// Its size in bytes.
    pub size: u64,
}

impl Source {
    /// The kind of what is signed.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Digest => Kind::Digest,
            Self::File { .. } => Kind::File,
            Self::Message { .. } => Kind::Message,
            Self::Files { .. } => Kind::Files,
            Self::EthTx { .. } => Kind::EthTx,
            Self::TypedData { .. } => Kind::TypedData,
            Self::Psbt { .. } => Kind::Psbt,
            Self::Jws { .. } => Kind::Jws,
            Self::OpenPgp { .. } => Kind::OpenPgp,
            Self::OpenPgpKey { .. } => Kind::OpenPgpKey,
            Self::Git { .. } => Kind::Git,
        }
    }

    /// Bytes of the payload that is sent with the request; `None` if there is none.
    pub fn travels(&self) -> Option<u64> {
        match self {
            Self::Digest | Self::File { attached: false, .. } => None,
            Self::File { size, .. }
            | Self::Message { size, .. }
            | Self::EthTx { size }
            | Self::TypedData { size }
            | Self::Psbt { size, .. }
            | Self::Jws { size, .. }
            | Self::OpenPgp { size, .. }
            | Self::OpenPgpKey { size, .. }
            | Self::Git { size, .. } => Some(*size),
            Self::Files { files, .. } => {
                Some(files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size)))
            }
        }
    }

    /// Whether what travels is small enough.
    pub fn is_within_limits(&self) -> bool {
        let limit = match self {
            Self::Message { .. } => MAX_MESSAGE,
            Self::EthTx { .. } => MAX_TRANSACTION,
            Self::TypedData { .. } => MAX_TYPED_DATA,
            Self::Psbt { .. } => MAX_PAYMENT,
            Self::Files { files, .. } if !(2..=MAX_FILES).contains(&files.len()) => return false,
            Self::OpenPgpKey { .. } => MAX_USER_ID,
            Self::Git { .. } => MAX_OBJECT,
            Self::Digest
            | Self::File { .. }
            | Self::Files { .. }
            | Self::Jws { .. }
            | Self::OpenPgp { .. } => MAX_PAYLOAD,
        };
        self.travels().is_none_or(|size| size <= limit)
    }

    /// Whether it is signed in a form of its own, which programs elsewhere know and act on.
    pub fn is_formed(&self) -> bool {
        matches!(
            self,
            Self::Jws { .. } | Self::OpenPgp { .. } | Self::OpenPgpKey { .. } | Self::Git { .. }
        )
    }

    /// The time in what is signed, as the requester says, in seconds since 1970.
    pub fn time(&self) -> Option<u32> {
        match self {
            Self::OpenPgp { time, .. } | Self::OpenPgpKey { time, .. } | Self::Git { time, .. } => {
                Some(*time)
            }
            _ => None,
        }
    }

    /// The kind of what a signer sees: of what does not travel, a digest.
    pub fn seen(&self) -> Kind {
        self.travels().map_or(Kind::Digest, |_| self.kind())
    }
}

/// The kind of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A digest alone.
    Digest,
    /// A file.
    File,
    /// A message.
    Message,
    /// Several files.
    Files,
    /// A transaction of Ethereum.
    EthTx,
    /// Typed data (EIP-712).
    TypedData,
    /// A payment of Bitcoin.
    Psbt,
    /// A file that is signed as JWS.
    Jws,
    /// A file that is signed in OpenPGP.
    OpenPgp,
    /// A user id of OpenPGP.
    #[serde(rename = "openpgp-key")]
    OpenPgpKey,
    /// A commit or tag of git.
    Git,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Digest,
        Self::File,
        Self::Message,
        Self::Files,
        Self::EthTx,
        Self::TypedData,
        Self::Psbt,
        Self::Jws,
        Self::OpenPgp,
        Self::OpenPgpKey,
        Self::Git,
    ];

    /// The name in policies, events, the log and the list of abilities.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::File => "file",
            Self::Message => "message",
            Self::Files => "files",
            Self::EthTx => "eth-tx",
            Self::TypedData => "typed-data",
            Self::Psbt => "psbt",
            Self::Jws => "jws",
            Self::OpenPgp => "openpgp",
            Self::OpenPgpKey => "openpgp-key",
            Self::Git => "git",
        }
    }

    /// Whether wallets alone sign it, whose keys are on secp256k1.
    pub fn is_of_wallets(self) -> bool {
        matches!(self, Self::Message | Self::EthTx | Self::TypedData | Self::Psbt)
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The bytes of a payload, and what this device computed from them.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Vec<u8>,
    digest: [u8; 32],
    /// What is signed, where it is several.
    list: Vec<[u8; 32]>,
    /// Where each of the list is signed, if it is a payment.
    items: Vec<Item>,
    sha256: [u8; 32],
    summary: Summary,
}

impl Payload {
    /// Reads the bytes that came with a request. What a payment pays, and what is hashed in JWS and OpenPGP,
    /// depends on the key, so that it is read by [`read_for`](Self::read_for) alone.
    ///
    /// # Errors
    /// They do not match `source`, or such a request has no payload.
    pub fn read(source: &Source, bytes: Vec<u8>) -> Result<Self, NoPayload> {
        Self::read_with(source, bytes, None)
    }

    /// Reads the bytes that came with a request for a signature of the key at the end of `path` below
    /// `signer`, or of a payment of the keys below that.
    ///
    /// # Errors
    /// As [`read`](Self::read), or it is nothing that the key signs.
    pub fn read_for(
        source: &Source,
        bytes: Vec<u8>,
        signer: &Signer,
        path: &[u32],
    ) -> Result<Self, NoPayload> {
        Self::read_with(source, bytes, Some((signer, path)))
    }

    fn read_with(
        source: &Source,
        bytes: Vec<u8>,
        by: Option<(&Signer, &[u32])>,
    ) -> Result<Self, NoPayload> {
        if source.travels() != Some(bytes.len() as u64) || !source.is_within_limits() {
            return Err(NoPayload);
        }
        let mut list = Vec::new();
        let (digest, summary) = match source {
            Source::Digest => return Err(NoPayload),
            Source::File { hash, .. } => {
                (hash.of(&bytes), Summary::File(file::summary(*hash, &bytes)))
            }
            Source::Message { format, .. } => {
                (format.digest(&bytes), Summary::Message(message::summary(*format, &bytes)))
            }
            Source::Files { files, hash } => {
                let (digests, summary) = file::several(files, *hash, &bytes).ok_or(NoPayload)?;
                list = digests;
                (HashFunction::Sha256.of(list.as_flattened()), Summary::Files(summary))
            }
            Source::EthTx { .. } => {
                let read = Transaction::decode(&bytes).map_err(|_| NoPayload)?;
                let digest = HashFunction::Keccak256.of(&bytes);
                (digest, Summary::EthTx(Box::new(read.summary())))
            }
            Source::TypedData { .. } => {
                let TypedData { digest, summary } =
                    TypedData::read(&bytes).map_err(|_| NoPayload)?;
                (digest, Summary::TypedData(Box::new(summary)))
            }
            Source::Jws { .. } => {
                let (signer, _) = by.ok_or(NoPayload)?;
                return Self::of_jws(source, bytes, signer.curve());
            }
            Source::OpenPgp { .. } | Source::OpenPgpKey { .. } | Source::Git { .. } => {
                let (signer, path) = by.ok_or(NoPayload)?;
                return Self::of_openpgp(source, bytes, signer, path).map_err(|_| NoPayload);
            }
            Source::Psbt { network, .. } => {
                let xpub = by.and_then(|(signer, _)| signer.xpub()).ok_or(NoPayload)?;
                return Self::of_payment(*network, bytes, xpub).map_err(|_| NoPayload);
            }
        };
        let sha256 = match source {
            Source::File { hash: HashFunction::Sha256, .. } => digest,
            _ => HashFunction::Sha256.of(&bytes),
        };
        Ok(Self { bytes, digest, list, items: Vec::new(), sha256, summary })
    }

    /// A file that a key on `curve` signs as JWS: `source` is of that kind.
    ///
    /// # Errors
    /// It is not, or is of another size.
    pub fn of_jws(source: &Source, bytes: Vec<u8>, curve: &Curve) -> Result<Self, NoPayload> {
        let Source::Jws { size, .. } = source else { return Err(NoPayload) };
        if *size != bytes.len() as u64 || !source.is_within_limits() {
            return Err(NoPayload);
        }
        let (digest, summary) = jws::read(curve, &bytes);
        let (sha256, summary) = (HashFunction::Sha256.of(&bytes), Summary::Jws(summary));
        Ok(Self { bytes, digest, list: Vec::new(), items: Vec::new(), sha256, summary })
    }

    /// What is signed in OpenPGP by the key at the end of `path` below `signer`: `source` is of such a kind.
    ///
    /// # Errors
    /// It makes no sense; the reason names what.
    pub fn of_openpgp(
        source: &Source,
        bytes: Vec<u8>,
        signer: &Signer,
        path: &[u32],
    ) -> Result<Self, Refused> {
        let key = signer.child(path).and_then(|key| openpgp::Key::new(signer.curve(), &key));
        let key = key.ok_or_else(|| Refused::at("path", "it leads to no key"))?;
        let (digest, summary) = match source {
            Source::OpenPgp { form, time, .. } => {
                let (digest, summary) = key.read(*form, *time, &bytes)?;
                (digest, Summary::OpenPgp(summary))
            }
            Source::OpenPgpKey { time, expires, .. } => {
                let (digest, summary) = key.certify(&bytes, *time, *expires)?;
                (digest, Summary::OpenPgpKey(summary))
            }
            Source::Git { time, .. } => {
                let (digest, summary) = key.git(*time, &bytes)?;
                (digest, Summary::Git(Box::new(summary)))
            }
            _ => return Err(Refused::at("kind", "it is not of OpenPGP")),
        };
        let sha256 = HashFunction::Sha256.of(&bytes);
        Ok(Self { bytes, digest, list: Vec::new(), items: Vec::new(), sha256, summary })
    }

    /// The payment in `bytes`, a PSBT in binary, as the key `xpub` signs it.
    ///
    /// # Errors
    /// As [`Payment::read`].
    pub fn of_payment(network: Network, bytes: Vec<u8>, xpub: &Xpub) -> Result<Self, Refused> {
        let Payment { items, summary } = Payment::read(&bytes, network, xpub)?;
        let digest = HashFunction::Sha256.of(&bytes);
        let list = items.iter().map(|item| item.digest).collect();
        let summary = Summary::Psbt(Box::new(summary));
        Ok(Self { bytes, digest, list, items, sha256: digest, summary })
    }

    /// The bytes, at most [`MAX_PAYLOAD`] of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the payload, which is signed; of several files, the SHA-256 of their digests,
    /// and of a payment its own, which stand for them and are not signed.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Where each digest of the list is signed, if it is a payment.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The digests that are signed, in their order: one, one for each of several files, or as many
    /// as a payment needs.
    pub fn list(&self) -> &[[u8; 32]] {
        match self.list.as_slice() {
            [] => std::slice::from_ref(&self.digest),
            list => list,
        }
    }

    /// The SHA-256 of the bytes, one of the facts on which all signers must agree.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Each of several files, if it is that.
    pub fn files(&self) -> Vec<&[u8]> {
        let Summary::Files(several) = &self.summary else { return Vec::new() };
        let mut rest = self.bytes.as_slice();
        let file = |of: &file::OneOf| {
            let (file, behind) = rest.split_at_checked(usize::try_from(of.size).ok()?)?;
            rest = behind;
            Some(file)
        };
        several.files.iter().map_while(file).collect()
    }

    /// The certificate of OpenPGP, if it is one.
    pub fn certificate(&self) -> Option<&openpgp::Certificate> {
        match &self.summary {
            Summary::OpenPgpKey(certificate) => Some(certificate),
            _ => None,
        }
    }

    /// The transaction, if it is one.
    pub fn transaction(&self) -> Option<Transaction> {
        match self.summary {
            Summary::EthTx(_) => Transaction::decode(&self.bytes).ok(),
            _ => None,
        }
    }

    /// What is shown to a person and to a policy.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes.len())
    }
}

/// Why something is refused, in words, with the place: `message.to: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl Refused {
    fn at(place: &str, why: &str) -> Self {
        Self(format!("{place}: {why}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decimal digits in groups of three: `1,234,567`.
pub fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(n);
        if n > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The bytes do not match the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPayload;

/// What is shown of a payload to a person and to a policy, computed from its bytes. Texts are raw
/// and must be cleaned for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Summary {
    /// Of a file.
    File(file::Summary),
    /// Of a message.
    Message(message::Summary),
    /// Of several files.
    Files(file::Several),
    /// Of a transaction of Ethereum.
    #[serde(rename = "eth-tx")]
    EthTx(Box<transaction::Summary>),
    /// Of typed data.
    #[serde(rename = "typed-data")]
    TypedData(Box<typed_data::Summary>),
    /// Of a payment.
    Psbt(Box<payment::Summary>),
    /// Of a file that is signed as JWS.
    Jws(jws::Summary),
    /// Of a file that is signed in OpenPGP.
    #[serde(rename = "openpgp")]
    OpenPgp(openpgp::Summary),
    /// Of a user id of OpenPGP.
    #[serde(rename = "openpgp-key")]
    OpenPgpKey(openpgp::Certificate),
    /// Of a commit or tag of git.
    Git(Box<openpgp::Git>),
}

/// The content of a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text in UTF-8 without control characters but for tabs and line ends.
    Text(String),
    /// Anything else, in hexadecimal.
    Hex(String),
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        match as_text(bytes) {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Hex(crate::device::hex(bytes)),
        }
    }
}

/// `bytes` as text, if they are plain text.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(size: u64) -> Source {
        Source::Message { format: MessageFormat::Ethereum, size }
    }

    #[test]
    fn a_payload_is_exactly_as_long_as_was_said() {
        assert!(Payload::read(&message(2), b"ok".to_vec()).is_ok());
        assert_eq!(Payload::read(&message(3), b"ok".to_vec()), Err(NoPayload));
        assert_eq!(Payload::read(&message(1), b"ok".to_vec()), Err(NoPayload));
        let long = vec![b'a'; usize::try_from(MAX_PAYLOAD).unwrap() + 1];
        assert_eq!(Payload::read(&message(MAX_PAYLOAD + 1), long), Err(NoPayload));
    }

    #[test]
    fn nothing_travels_with_a_digest_or_a_file_that_is_not_attached() {
        let file = |attached| Source::File {
            name: Label::new("a"),
            size: 2,
            hash: HashFunction::Sha256,
            attached,
        };
        assert_eq!(Payload::read(&Source::Digest, Vec::new()), Err(NoPayload));
        assert_eq!(Payload::read(&file(false), b"ok".to_vec()), Err(NoPayload));
        let read = Payload::read(&file(true), b"ok".to_vec()).unwrap();
        assert_eq!(*read.digest(), HashFunction::Sha256.of(b"ok"));
        assert_eq!(*read.sha256(), HashFunction::Sha256.of(b"ok"));
    }

    fn files(sizes: &[u64]) -> Source {
        let file = |size: &u64| NamedFile { name: Label::new("a"), size: *size };
        Source::Files { files: sizes.iter().map(file).collect(), hash: HashFunction::Sha256 }
    }

    #[test]
    fn of_several_files_each_is_signed_and_their_digest_stands_for_all() {
        let read = Payload::read(&files(&[3, 0, 4]), b"pay bob".to_vec()).unwrap();
        let list = [&b"pay"[..], b"", b" bob"].map(|file| HashFunction::Sha256.of(file));
        assert_eq!(read.list(), list);
        assert_eq!(*read.digest(), HashFunction::Sha256.of(list.as_flattened()));
        assert_eq!(*read.sha256(), HashFunction::Sha256.of(b"pay bob"));
        let one = Payload::read(&message(2), b"ok".to_vec()).unwrap();
        assert_eq!(one.list(), [*one.digest()]);
    }

    #[test]
    fn several_files_are_from_two_to_32_and_small_together() {
        let fits = |sizes: &[u64]| files(sizes).is_within_limits();
        assert!(fits(&[0, 0]) && fits(&[1; MAX_FILES]) && fits(&[MAX_PAYLOAD, 0]));
        assert!(!fits(&[]) && !fits(&[1]) && !fits(&[1; MAX_FILES + 1]));
        assert!(!fits(&[MAX_PAYLOAD, 1]) && !fits(&[u64::MAX, 1]));
        assert_eq!(Payload::read(&files(&[2]), b"ok".to_vec()), Err(NoPayload));
        assert_eq!(Payload::read(&files(&[1, 2]), b"ok".to_vec()), Err(NoPayload));
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_in_hexadecimal() {
        assert_eq!(Content::of(b"a\tb\r\nc"), Content::Text("a\tb\r\nc".into()));
        assert_eq!(Content::of(b"a\x1b[2J"), Content::Hex("611b5b324a".into()));
        assert_eq!(Content::of(b"\xff"), Content::Hex("ff".into()));
    }

    #[test]
    fn every_name_is_that_of_one_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        for function in HashFunction::ALL {
            assert_eq!(HashFunction::named(function.name()), Some(function));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_summed_up(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let size = bytes.len() as u64;
            let name = Label::new("x");
            let file = Source::File { name, size, hash: HashFunction::Sha256d, attached: true };
            for source in [message(size), file] {
                prop_assert!(Payload::read(&source, bytes.clone()).is_ok());
            }
        }
    }
}
