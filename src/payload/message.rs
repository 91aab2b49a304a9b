//! Messages, hashed as Ethereum or Bitcoin wallets do.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::Content;

/// How a message is hashed to 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageFormat {
    /// EIP-191, version `E` ("personal message"): the Keccak-256 of `\x19Ethereum Signed Message:\n`, the length of the
    /// message in decimal digits, and the message.
    #[default]
    Ethereum,
    /// A Bitcoin signed message (BIP-137): SHA-256 twice of the length-prefixed `Bitcoin Signed Message:\n` and the
    /// length-prefixed message.
    Bitcoin,
}

impl MessageFormat {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ethereum, Self::Bitcoin];

    /// The name on the command line, on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethereum => "ethereum",
            Self::Bitcoin => "bitcoin",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The digest of `message`.
    pub fn digest(self, message: &[u8]) -> [u8; 32] {
        match self {
            Self::Ethereum => Keccak256::new()
                .chain_update(b"\x19Ethereum Signed Message:\n")
                .chain_update(message.len().to_string())
                .chain_update(message)
                .finalize()
                .into(),
            Self::Bitcoin => {
                let once = Sha256::new()
                    .chain_update(b"\x18Bitcoin Signed Message:\n")
                    .chain_update(compact_size(message.len()))
                    .chain_update(message)
                    .finalize();
                Sha256::digest(once).into()
            }
        }
    }
}

impl fmt::Display for MessageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A length in Bitcoin's encoding: one byte, or a prefix and two or four bytes, little-endian.
fn compact_size(length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let [a, b, c, d] = length.to_le_bytes();
    match length {
        0..=0xfc => vec![a],
        0xfd..=0xffff => vec![0xfd, a, b],
        _ => vec![0xfe, a, b, c, d],
    }
}

/// The summary of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its format.
    pub format: MessageFormat,
    /// The whole message.
    pub content: Content,
    /// Warnings about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A warning about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// It is empty.
    Empty,
    /// It is 32 bytes, raw or in hexadecimal, so it may be the hash of something else.
    LooksLikeAHash,
    /// It has the form of an Ethereum transaction.
    LooksLikeATransaction,
}

pub(super) fn summary(format: MessageFormat, message: &[u8]) -> Summary {
    let content = Content::of(message);
    let warnings = [
        (message.is_empty(), Warning::Empty),
        (is_hash(message), Warning::LooksLikeAHash),
        (is_transaction(message), Warning::LooksLikeATransaction),
    ];
    let warnings = warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning));
    Summary { format, content, warnings: warnings.collect() }
}

fn is_hash(message: &[u8]) -> bool {
    let text = message.trim_ascii();
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    message.len() == 32 || digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether it is one list in RLP, or a typed envelope around one (EIP-2718).
pub(super) fn is_transaction(message: &[u8]) -> bool {
    let list = match message {
        [0x00..=0x7f, rest @ ..] => rest,
        all => all,
    };
    let [first, rest @ ..] = list else { return false };
    let length = match first {
        0xc0..=0xf7 => Some(usize::from(first - 0xc0)),
        0xf8..=0xff => {
            let digits = rest.get(..usize::from(first - 0xf7)).unwrap_or_default();
            let length = digits.iter().try_fold(0_usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            });
            length.and_then(|length| length.checked_add(digits.len()))
        }
        _ => None,
    };
    length.is_some_and(|length| length > 0 && length == rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    #[test]
    fn an_ethereum_message_has_the_hash_of_eip_191() {
        // Values from ethers.js and `cast hash-message`.
        assert_eq!(
            hex(&MessageFormat::Ethereum.digest(b"hello world")),
            "d9eba16ed0ecae432b71fe008c98cc872bb4cc214d3220a36f365326cf807d68"
        );
        assert_eq!(
            hex(&MessageFormat::Ethereum.digest(b"")),
            "5f35dce98ba4fba25530a026ed80b2cecdaa31091ba4958b99b52ea1d068adad"
        );
    }

    #[test]
    fn lengths_are_written_as_bitcoin_does() {
        assert_eq!(compact_size(0), [0]);
        assert_eq!(compact_size(0xfc), [0xfc]);
        assert_eq!(compact_size(0xfd), [0xfd, 0xfd, 0]);
        assert_eq!(compact_size(0xffff), [0xfd, 0xff, 0xff]);
        assert_eq!(compact_size(0x1_0000), [0xfe, 0, 0, 1, 0]);
    }

    #[test]
    fn what_may_be_the_hash_of_something_else_is_pointed_out() {
        let warnings = |message: &[u8]| summary(MessageFormat::Ethereum, message).warnings;
        assert_eq!(warnings(b"I agree"), []);
        assert_eq!(warnings(b""), [Warning::Empty]);
        assert_eq!(warnings(&[0xaa; 32]), [Warning::LooksLikeAHash]);
        for prefix in ["", "0x"] {
            let digits = format!("{prefix}{}\n", "5a".repeat(32));
            assert_eq!(warnings(digits.as_bytes()), [Warning::LooksLikeAHash]);
        }
        // A legacy transaction and a typed one, each of one empty field.
        assert_eq!(warnings(&[0xc1, 0x80]), [Warning::LooksLikeATransaction]);
        assert_eq!(warnings(&[0x02, 0xc1, 0x80]), [Warning::LooksLikeATransaction]);
        let long = [&[0xf8, 60][..], &[0x80; 60]].concat();
        assert_eq!(warnings(&long), [Warning::LooksLikeATransaction]);
        assert_eq!(warnings(&long[..61]), []);
        assert_eq!(warnings(&[0xff; 9]), []);
    }
}
