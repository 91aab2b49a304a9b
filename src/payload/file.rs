//! Files: their type, guessed from the first bytes, and the beginning of a text.

use serde::Serialize;

pub use super::preimage::Warning;
use super::{HashFunction, NamedFile, as_text, message, preimage};
use crate::device::{Label, hex};

/// The part of a text that is shown, which is more than a person reads before answering.
const MOST_LINES: usize = 200;
const MOST_CHARS: usize = 16 << 10;

/// The summary of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its type by its first bytes, such as `gzip archive`.
    pub looks_like: &'static str,
    /// What else its signature is valid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
    /// How many lines it has, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Its text, or the beginning of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether `text` is the whole file.
    pub complete: bool,
}

/// The summary of several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Several {
    /// Of each, in the order in which they are signed.
    pub files: Vec<OneOf>,
}

/// The summary of one of several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OneOf {
    /// Its name, as the requester says.
    pub name: Label,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, which is signed, in hexadecimal.
    pub digest: String,
    /// What it is.
    #[serde(flatten)]
    pub summary: Summary,
}

/// The digests and the summary of `files`, which lie one behind the other in `bytes`; `None` if they
/// do not.
pub(super) fn several(
    files: &[NamedFile],
    hash: HashFunction,
    bytes: &[u8],
) -> Option<(Vec<[u8; 32]>, Several)> {
    let mut rest = bytes;
    let one_of = |NamedFile { name, size }: &NamedFile| {
        let (file, behind) = rest.split_at_checked(usize::try_from(*size).ok()?)?;
        rest = behind;
        let (name, size, digest) = (name.clone(), *size, hash.of(file));
        let (digits, summary) = (hex(&digest), summary(hash, file));
        Some((digest, OneOf { name, size, digest: digits, summary }))
    };
    let (list, files) = files.iter().map(one_of).collect::<Option<(Vec<_>, Vec<_>)>>()?;
    rest.is_empty().then_some((list, Several { files }))
}

/// The type of a file by the bytes at an offset.
const SIGNATURES: [(usize, &[u8], &str); 17] = [
    (0, b"\x7fELF", "program (ELF)"),
    (0, b"MZ", "program (Windows)"),
    (0, b"\xcf\xfa\xed\xfe", "program (macOS)"),
    (0, b"\xca\xfe\xba\xbe", "program (macOS) or Java class"),
    (0, b"\0asm", "WebAssembly"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"\xfd7zXZ\0", "xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "zstd archive"),
    (0, b"BZh", "bzip2 archive"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"!<arch>\ndebian-binary", "Debian package"),
    (0, b"!<arch>\n", "ar archive"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG picture"),
    (0, b"\xff\xd8\xff", "JPEG picture"),
    (0, b"psbt\xff", "Bitcoin transaction (PSBT)"),
    (257, b"ustar", "tar archive"),
];

/// What else the signature of the hash of `bytes` is valid for.
fn warning(hash: HashFunction, bytes: &[u8]) -> Option<Warning> {
    match hash {
        HashFunction::Sha256 => preimage::of(bytes),
        HashFunction::Keccak256 if bytes.first() == Some(&0x19) => Some(Warning::EthereumMessage),
        HashFunction::Keccak256 if message::is_transaction(bytes) => {
            Some(Warning::EthereumTransaction)
        }
        HashFunction::Keccak256 => None,
        HashFunction::Sha256d if bytes.starts_with(b"\x18Bitcoin Signed Message:\n") => {
            Some(Warning::BitcoinMessage)
        }
        HashFunction::Sha256d => Some(Warning::BitcoinHash),
    }
}

/// The summary of a file whose hash is signed.
pub(super) fn summary(hash: HashFunction, bytes: &[u8]) -> Summary {
    Summary { warning: warning(hash, bytes), ..content(bytes) }
}

/// The summary of a file that is a part of what is hashed.
pub(super) fn content(bytes: &[u8]) -> Summary {
    let begins = |(at, start, _): &&(usize, &[u8], &str)| {
        bytes.get(*at..).is_some_and(|rest| rest.starts_with(start))
    };
    let known = SIGNATURES.iter().find(begins).map(|(_, _, name)| *name);
    let text = as_text(bytes).filter(|text| !text.is_empty());
    let shown = text.map(beginning);
    Summary {
        looks_like: match (text, known) {
            // A text may begin like anything, and is shown.
            (Some(_), _) => "text",
            (None, Some(known)) => known,
            (None, None) if bytes.is_empty() => "empty",
            (None, None) => "not known",
        },
        warning: None,
        lines: text.map(|text| text.lines().count() as u64),
        complete: shown.zip(text).is_some_and(|(shown, text)| shown.len() == text.len()),
        text: shown.map(str::to_owned),
    }
}

/// The beginning of `text` that is shown.
fn beginning(text: &str) -> &str {
    let lines = text.split_inclusive('\n').take(MOST_LINES).map(str::len).sum::<usize>();
    let chars = text.char_indices().nth(MOST_CHARS).map_or(text.len(), |(at, _)| at);
    text.get(..lines.min(chars)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        assert_eq!(summary(HashFunction::Sha256, b"\x1f\x8b\x08\0").looks_like, "gzip archive");
        assert_eq!(summary(HashFunction::Sha256, b"").looks_like, "empty");
        assert_eq!(summary(HashFunction::Sha256, b"\x01\x02").looks_like, "not known");
        let tar = [&[0; 257][..], b"ustar\x0000"].concat();
        assert_eq!(summary(HashFunction::Sha256, &tar).looks_like, "tar archive");
    }

    #[test]
    fn a_text_that_begins_like_an_archive_is_shown() {
        let script = format!("#!/bin/sh\n{}ustar\n", " ".repeat(257 - 10));
        let read = summary(HashFunction::Sha256, script.as_bytes());
        assert_eq!((read.looks_like, read.text), ("text", Some(script)));
    }

    #[test]
    fn a_file_whose_signature_is_valid_for_something_else_is_marked() {
        use HashFunction::{Keccak256, Sha256, Sha256d};
        let message = b"\x19Ethereum Signed Message:\n2gm";
        let transaction = [0x02, 0xc1, 0x80];
        let of = |hash, bytes: &[u8]| summary(hash, bytes).warning;
        assert_eq!(of(Sha256, message), None);
        assert_eq!(of(Keccak256, message), Some(Warning::EthereumMessage));
        assert_eq!(of(Keccak256, b"\x19\x01"), Some(Warning::EthereumMessage));
        assert_eq!(of(Keccak256, &transaction), Some(Warning::EthereumTransaction));
        assert_eq!(of(Keccak256, b"notes"), None);
        assert_eq!(of(Sha256d, b"\x18Bitcoin Signed Message:\n"), Some(Warning::BitcoinMessage));
        assert_eq!(of(Sha256d, b"\x01\0\0\0"), Some(Warning::BitcoinHash));
    }

    #[test]
    fn text_is_shown_whole_unless_nobody_would_read_it() {
        let short = summary(HashFunction::Sha256, b"one\ntwo\n");
        assert_eq!((short.looks_like, short.lines, short.complete), ("text", Some(2), true));
        assert_eq!(short.text.as_deref(), Some("one\ntwo\n"));
        let many = summary(HashFunction::Sha256, "x\n".repeat(1000).as_bytes());
        assert_eq!((many.lines, many.complete), (Some(1000), false));
        assert_eq!(many.text.map(|text| text.lines().count()), Some(MOST_LINES));
        let long = summary(HashFunction::Sha256, "é".repeat(MOST_CHARS + 1).as_bytes());
        assert_eq!(long.text.map(|text| text.chars().count()), Some(MOST_CHARS));
        assert!(!long.complete);
    }
}
