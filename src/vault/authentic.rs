//! Authentication of the files beside the vault: each must be one that this device wrote.
//!
//! A key that only the open vault has authenticates every file that decides something. The key is
//! derived from the identity at the centre of the vault, so it stays the same when the vault is
//! sealed anew. A JSON file ends with `mac`, HMAC-SHA256 over what the file is to this device
//! ([`Home::role`]), a zero byte and everything before the last comma. Lines of the ledger are
//! chained ([`Chain`]).
//!
//! An older copy of a file is authentic too; [`Editions`](super::editions::Editions) tells it from the
//! last one. A whole older state that is put back is consistent. Peers notice that (docs/vault.md §5).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::error::Error;
use super::{Home, Vault};
use crate::device::hex;
use crate::secret::Secret;

/// The key with which the files of one vault are authenticated.
#[derive(Clone)]
pub(super) struct StateKey(Arc<Secret<[u8; 32]>>);

impl StateKey {
    /// Derived from the identity of a vault.
    pub(super) fn of_identity(identity: &[u8]) -> Self {
        let mut mac = keyed(DERIVATION);
        mac.update(identity);
        Self(Arc::new(Secret::new(mac.finalize().into_bytes().into())))
    }

    fn mac(&self, role: &str) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose());
        mac.update(role.as_bytes());
        mac.update(b"\0");
        mac
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(..)")
    }
}

impl PartialEq for StateKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for StateKey {}

/// Adds the MAC to a JSON object that will be stored in `path`, if the vault is open.
///
/// # Errors
///
/// [`Error::Closed`] if there is a vault, and it is not open.
pub(super) fn sign(home: &Home, path: &Path, text: Vec<u8>) -> Result<Vec<u8>, Error> {
    let Some(key) = home.key() else {
        return match Vault::exists(home) {
            true => Err(Error::Closed { path: path.to_owned() }),
            false => Ok(text),
        };
    };
    let body = text.trim_ascii_end().strip_suffix(b"}");
    let body = body.ok_or_else(|| Error::corrupt(path, "not an object"))?.trim_ascii_end();
    let mac = object_mac(key, home, path, body);
    let comma: &[u8] = if body == b"{" { b"" } else { b"," };
    Ok([body, comma, MEMBER, mac.as_bytes(), END].concat())
}

/// Refuses the content of `path` if the vault is open and did not write it.
///
/// # Errors
///
/// [`Error::Tampered`].
pub(super) fn check(home: &Home, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let Some(key) = home.key() else { return Ok(()) };
    let (body, mac) = split(bytes).ok_or_else(|| Error::tampered(path, UNSIGNED))?;
    let expected = object_mac(key, home, path, body);
    match bool::from(expected.as_bytes().ct_eq(mac)) {
        true => Ok(()),
        false => Err(Error::tampered(path, CHANGED)),
    }
}

/// The body of a JSON object and its MAC; `None` if it has no MAC.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8; 64])> {
    let (rest, mac) = bytes.strip_suffix(END)?.split_last_chunk()?;
    let rest = rest.strip_suffix(MEMBER)?;
    match rest {
        b"{" => Some((rest, mac)),
        _ => Some((rest.strip_suffix(b",")?, mac)),
    }
}

/// Adds the MAC to bytes that will be stored in `path`, if the vault is open.
///
/// # Errors
///
/// As [`sign`].
pub(super) fn sign_bytes(home: &Home, path: &Path, body: &[u8]) -> Result<Vec<u8>, Error> {
    match home.key() {
        Some(key) => {
            Ok([body, BEFORE, object_mac(key, home, path, body).as_bytes(), b"\n"].concat())
        }
        None if Vault::exists(home) => Err(Error::Closed { path: path.to_owned() }),
        None => Ok(body.to_owned()),
    }
}

/// The body that [`sign_bytes`] authenticated. Without an open vault it is not checked.
///
/// # Errors
///
/// As [`check`].
pub(super) fn open_bytes(home: &Home, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let Some((body, mac)) = split_bytes(&bytes) else {
        return if home.checks() { Err(Error::tampered(path, UNSIGNED)) } else { Ok(bytes) };
    };
    let genuine =
        home.key().is_none_or(|key| object_mac(key, home, path, body).as_bytes().ct_eq(mac).into());
    if genuine { Ok(body.to_owned()) } else { Err(Error::tampered(path, CHANGED)) }
}

/// The bytes that [`sign_bytes`] was given, and their MAC; `None` if there is none.
pub(super) fn split_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8; 64])> {
    let (rest, mac) = bytes.strip_suffix(b"\n")?.split_last_chunk()?;
    Some((rest.strip_suffix(BEFORE)?, mac))
}

fn object_mac(key: &StateKey, home: &Home, path: &Path, body: &[u8]) -> String {
    let mut mac = key.mac(&home.role(path));
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

/// The running MAC of a file of lines: each link authenticates its line and all lines before it.
#[derive(Clone)]
pub(super) struct Chain {
    keyed: Hmac<Sha256>,
    last: Link,
}

/// The end of a chain: 128 bits.
pub(super) type Link = [u8; 16];

impl Chain {
    /// The chain before the first line of the file that is called `role`.
    pub(super) fn new(key: &StateKey, role: &str) -> Self {
        Self { keyed: key.mac(role), last: [0; 16] }
    }

    /// Takes in the next line.
    pub(super) fn push(&mut self, line: &[u8]) -> Link {
        let mut mac = self.keyed.clone();
        mac.update(&self.last);
        mac.update(line);
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        if let Some(link) = mac.first_chunk() {
            self.last = *link;
        }
        self.last
    }

    /// Where the chain ends now.
    pub(super) fn last(&self) -> Link {
        self.last
    }
}

/// HMAC-SHA256 with a key of 32 bytes, which it fills up with zeros itself.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    let (start, _) = block.split_at_mut(key.len());
    start.copy_from_slice(key);
    Hmac::new((&*block).into())
}

const DERIVATION: &[u8; 32] = b"cosign: state files of one vault";
const MEMBER: &[u8] = b"\n  \"mac\": \"";
const END: &[u8] = b"\"\n}\n";
/// Stands before the MAC in a file that is not JSON.
const BEFORE: &[u8] = b"\nmac ";
/// Why a file with another MAC is refused.
const CHANGED: &str = "it is not what this device wrote there";
/// Why a file without a MAC is refused.
pub(super) const UNSIGNED: &str = "nothing shows that this device wrote it";

/// Which kind of files are taken over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// This vault's, from a version that authenticated none. What is authenticated already must fit.
    Earlier,
    /// This vault's, from a version that authenticated them and did not count their editions.
    Unnumbered,
    /// Those that lie where a new vault is made. What authenticated them is gone.
    Before,
}
