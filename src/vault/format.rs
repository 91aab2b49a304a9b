//! Small JSON files with the version of their format and, in the home of an open vault, a MAC.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Error;
use super::file::{self, Durability, Writer};
use super::home::RECORD;
use super::{Home, authentic};

/// The version of every document but those that need a later one.
pub(super) const VERSION: u64 = 1;

/// The version of the record of a key that names its curve. A program that knows secp256k1 alone reads no such
/// version.
pub(super) const NAMES_CURVE: u64 = 2;

/// The latest version of the document `path` that is read.
fn latest(path: &Path) -> u64 {
    if path.ends_with(RECORD) { NAMES_CURVE } else { VERSION }
}

#[derive(Serialize, Deserialize)]
struct Document<T> {
    #[serde(alias = "v")]
    version: u64,
    /// How often it was written, where that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edition: Option<u64>,
    #[serde(flatten)]
    content: T,
}

#[derive(Deserialize)]
struct Version {
    #[serde(alias = "v")]
    version: u64,
}

/// Reads a document and its edition, without comparing the edition with `editions.json`.
pub(super) fn read_any<T: DeserializeOwned>(
    home: &Home,
    path: &Path,
) -> Result<Option<(T, u64)>, Error> {
    let Some(bytes) = file::read(path)? else { return Ok(None) };
    // A later version may authenticate its files in another way.
    refuse_later(path, &bytes)?;
    authentic::check(home, path, &bytes)?;
    let Document { content, edition, .. } = parse(path, &bytes)?;
    Ok(Some((content, edition.unwrap_or_default())))
}

/// The edition of a stored document; 0 if there is none.
pub(super) fn edition(home: &Home, path: &Path) -> Result<u64, Error> {
    Ok(read_any::<Map<String, Value>>(home, path)?.map_or(0, |(_, edition)| edition))
}

/// Replaces a document by this edition, without noting it in `editions.json`.
pub(super) fn put<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    edition: u64,
    content: T,
    durability: Durability,
) -> Result<(), Error> {
    put_in(writer, path, (edition, VERSION), content, durability)
}

/// As [`put`], in this version.
pub(super) fn put_in<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    (edition, version): (u64, u64),
    content: T,
    durability: Durability,
) -> Result<(), Error> {
    let home = writer.home();
    let edition = home.checks().then_some(edition);
    let bytes = bytes_of(home, path, &Document { version, edition, content })?;
    writer.replace(path, &bytes, durability)
}

/// Fails if a later version wrote these bytes.
fn refuse_later(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let known = latest(path);
    match serde_json::from_slice(bytes) {
        Ok(Version { version }) if version > known => {
            Err(Error::Unsupported { path: path.to_owned(), version, known })
        }
        _ => Ok(()),
    }
}

/// The document in these bytes.
fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Document<T>, Error> {
    let corrupt = |_| Error::corrupt(path, "not a document of this program");
    let Version { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
    let known = latest(path);
    if !(VERSION..=known).contains(&version) {
        return Err(Error::Unsupported { path: path.to_owned(), version, known });
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

/// The bytes of a document that will be stored in `path`, and whose editions are not counted.
///
/// # Errors
///
/// [`Error::Closed`] if there is a vault, and it is not open.
pub(super) fn to_bytes<T: Serialize>(
    home: &Home,
    path: &Path,
    content: T,
) -> Result<Vec<u8>, Error> {
    to_bytes_in(home, path, VERSION, content)
}

/// As [`to_bytes`], in this version.
///
/// # Errors
///
/// As [`to_bytes`].
pub(super) fn to_bytes_in<T: Serialize>(
    home: &Home,
    path: &Path,
    version: u64,
    content: T,
) -> Result<Vec<u8>, Error> {
    bytes_of(home, path, &Document { version, edition: None, content })
}

fn bytes_of<T: Serialize>(
    home: &Home,
    path: &Path,
    document: &Document<T>,
) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(|e| Error::io(path)(e.into()))?;
    bytes.push(b'\n');
    authentic::sign(home, path, bytes)
}
