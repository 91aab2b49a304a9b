//! The frames between the program and the process with a module.
//!
//! A frame has a header in JSON, and content, which may be secret and so is not in the JSON. Each
//! follows its length, 4 bytes, big-endian.

use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{TokenInfo, Trouble};
use crate::secret::Secret;

/// A request to the module's process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// To load the module. It is a request of its own, so that a file that crashes the process
    /// while loading is told from a module that crashes later.
    Load,
    /// The tokens in all slots.
    Tokens,
    /// To open a session and log in. Content: the PIN; none if the reader asks for it.
    Open {
        /// The slot that the token is in.
        slot: u64,
    },
    /// To make a key.
    MakeKey {
        /// Its `CKA_ID`.
        id: Vec<u8>,
        /// Its label.
        label: String,
    },
    /// The one key with this id and label, as far as they are given.
    FindKey {
        /// Its `CKA_ID`.
        id: Option<Vec<u8>>,
        /// Its label.
        label: Option<String>,
    },
    /// To destroy both halves of a key.
    DestroyKey {
        /// Its `CKA_ID`.
        id: Vec<u8>,
    },
    /// ECDH with a point.
    Derive {
        /// The `CKA_ID` of the key.
        id: Vec<u8>,
        /// The point, SEC1 uncompressed.
        point: Vec<u8>,
    },
    /// Whether the session still works.
    Check,
    /// To store a data object. Content: its value.
    Put {
        /// Its label.
        label: String,
    },
    /// The value of a data object.
    Fetch {
        /// Its label.
        label: String,
    },
    /// To destroy a data object.
    Destroy {
        /// Its label.
        label: String,
    },
}

/// The answer to a request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The tokens in all slots.
    Tokens(Vec<TokenInfo>),
    /// The key that was made or found.
    Key {
        /// Its `CKA_ID`.
        id: Vec<u8>,
        /// Its public point, SEC1 uncompressed.
        point: Vec<u8>,
    },
    /// The result is the content.
    Content,
    /// It is done.
    Done,
    /// It failed.
    Failed(Trouble),
}

/// The bytes of one frame, in one allocation that is wiped.
///
/// # Errors
///
/// A part is too long.
pub fn encode(header: &impl Serialize, content: &[u8]) -> io::Result<Secret<Vec<u8>>> {
    let header = serde_json::to_vec(header)?;
    let lengths = [header.len(), content.len()].map(u32::try_from);
    let [Ok(first), Ok(second)] = lengths else {
        return Err(io::Error::other("a frame is too long"));
    };
    let mut frame = Secret::new(Vec::with_capacity(header.len() + content.len() + 8));
    for (length, part) in [(first, header.as_slice()), (second, content)] {
        frame.expose_mut().extend_from_slice(&length.to_be_bytes());
        frame.expose_mut().extend_from_slice(part);
    }
    Ok(frame)
}

/// Reads one frame: its header and its content.
///
/// # Errors
///
/// It ends early or is too long, or its header is malformed.
pub fn read<H: DeserializeOwned>(mut from: impl Read) -> io::Result<(H, Secret<Vec<u8>>)> {
    let header = part(&mut from, MAX_HEADER)?;
    let content = part(&mut from, MAX_CONTENT)?;
    Ok((serde_json::from_slice(header.expose())?, content))
}

fn part(mut from: impl Read, limit: usize) -> io::Result<Secret<Vec<u8>>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut bytes = Secret::new(vec![0; length]);
    from.read_exact(bytes.expose_mut())?;
    Ok(bytes)
}

const MAX_HEADER: usize = 1 << 20;
/// Far above a share of a key of 16 parties.
const MAX_CONTENT: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back() {
        let bytes = encode(&Request::Put { label: "x".into() }, b"content").unwrap();
        assert_eq!(bytes.expose().len(), bytes.expose().capacity());
        let (request, content) = read::<Request>(bytes.expose().as_slice()).unwrap();
        assert!(matches!(request, Request::Put { label } if label == "x"));
        assert_eq!(content.expose(), b"content");
    }

    #[test]
    fn the_longest_header_is_read() {
        let mut longest = serde_json::to_string(&Reply::Done).unwrap();
        longest += &" ".repeat(MAX_HEADER.saturating_sub(longest.len()));
        let length = u32::try_from(MAX_HEADER).unwrap().to_be_bytes();
        let frame = [&length, longest.as_bytes(), &[0; 4]].concat();
        assert!(matches!(read::<Reply>(frame.as_slice()), Ok((Reply::Done, _))));
    }

    #[test]
    fn cut_off_overlong_and_meaningless_frames_are_errors() {
        let frame = encode(&Reply::Done, b"12").unwrap();
        for length in 0..frame.expose().len() {
            assert!(read::<Reply>(&frame.expose()[..length]).is_err(), "{length}");
        }
        for bytes in [[0xff; 16].as_slice(), b"\0\0\0\x02{}\0\0\0\0", b"\0\x10\0\x01"] {
            assert!(read::<Reply>(bytes).is_err());
        }
    }
}
