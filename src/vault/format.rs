//! Small JSON files with the version of their format and, in the home of an open vault, a MAC.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{Home, authentic};

/// The version of every document so far.
const VERSION: u64 = 1;

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
    let home = writer.home();
    let edition = home.checks().then_some(edition);
    let bytes = bytes_of(home, path, &Document { version: VERSION, edition, content })?;
    writer.replace(path, &bytes, durability)
}

/// Fails if a later version wrote these bytes.
fn refuse_later(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match serde_json::from_slice(bytes) {
        Ok(Version { version }) if version > VERSION => {
            Err(Error::Unsupported { path: path.to_owned(), version, known: VERSION })
        }
        _ => Ok(()),
    }
}

/// The document in these bytes.
fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Document<T>, Error> {
    let corrupt = |_| Error::corrupt(path, "not a document of this program");
    let Version { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if version != VERSION {
        return Err(Error::Unsupported { path: path.to_owned(), version, known: VERSION });
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
    bytes_of(home, path, &Document { version: VERSION, edition: None, content })
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
