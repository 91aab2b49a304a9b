//! Stored signatures, so that one can be delivered again after a crash.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::editions::MISSING;
use super::error::Error;
use super::file::{self, Writer};
use super::{Home, Log, authentic, check_file_name};

/// Stores the signature made for a request, a JSON object, durably, and returns its path.
///
/// # Errors
///
/// [`Error::Conflict`] if another one is stored for this request; storing the same again is fine.
/// [`Error::BadName`] for an id that cannot be the name of a file.
pub fn store(home: &Home, request_id: &str, signature: &[u8]) -> Result<PathBuf, Error> {
    let path = path(home, request_id)?;
    let signature = authentic::sign(home, &path, signature.to_vec())?;
    let writer = Writer::lock(home)?;
    match file::read(&path)? {
        None => writer.create(&path, &signature)?,
        Some(stored) if stored == signature => {}
        Some(_) => return Err(Error::conflict("signature", request_id)),
    }
    Ok(path)
}

/// The signature made for a request.
///
/// # Errors
///
/// [`Error::LooseMode`], [`Error::BadName`], [`Error::Io`]; with an open vault [`Error::Tampered`] if
/// this device did not store it; [`Error::Unsupported`] if a later version did.
pub fn load(home: &Home, request_id: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = path(home, request_id)?;
    let Some(signature) = file::read(&path)? else { return Ok(None) };
    authenticate(home, &path, &signature)?;
    Ok(Some(signature))
}

/// Fails if this device did not store these bytes in `path`, or if a later version did, which may
/// authenticate its files in another way. What says no format has format 1.
fn authenticate(home: &Home, path: &Path, signature: &[u8]) -> Result<(), Error> {
    match serde_json::from_slice(signature) {
        Ok(Format { version }) if version > FORMAT => {
            Err(Error::Unsupported { path: path.to_owned(), version, known: FORMAT })
        }
        _ => authentic::check(home, path, signature),
    }
}

/// The ids of the requests whose signatures are stored.
///
/// # Errors
/// [`Error::Io`].
pub fn ids(home: &Home) -> Result<Vec<String>, Error> {
    let paths = file::list(&folder(home))?;
    let id = |path: &PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned());
    Ok(paths.iter().filter_map(id).collect())
}

/// The latest format of a stored signature that this version reads.
const FORMAT: u64 = 1;

#[derive(Deserialize)]
struct Format {
    version: u64,
}

/// The right to sign one request as the device that asks, until this is dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Locked until the file is removed.
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // If the file cannot be removed, it stays without a lock, which the next claim accepts.
        let _ = file::remove_file(&self.path);
    }
}

/// Claims a request, so that no two processes of this home sign it.
///
/// # Errors
///
/// [`Error::Waited`] if another one has claimed it. [`Error::BadName`] for an id that cannot be the name
/// of a file.
pub fn claim(home: &Home, request_id: &str) -> Result<Claim, Error> {
    check_file_name(request_id)?;
    let path = home.state.join("locks").join(format!("{request_id}@request"));
    match file::try_lock(&path)? {
        // The previous owner may have removed the file that is locked now.
        Some(file) if file::is_at(&file, &path)? => Ok(Claim { path, _file: file }),
        _ => Err(Error::Waited { path }),
    }
}

/// Fails if a stored signature is not the one that this device wrote, or if the log names one that
/// is missing.
pub(super) fn check(home: &Home) -> Result<(), Error> {
    for path in file::list(&folder(home))? {
        if let Some(bytes) = file::read(&path)? {
            authenticate(home, &path, &bytes)?;
        }
    }
    for entry in Log::entries(home)? {
        let Some(id) = entry.extra.get(KEPT).and_then(Value::as_str) else { continue };
        if load(home, id)?.is_none() {
            return Err(Error::tampered(&path(home, id)?, MISSING));
        }
    }
    Ok(())
}

pub(super) const FOLDER: &str = "signatures";

/// The field of a log entry that names the request whose signature is stored here.
pub const KEPT: &str = "kept";

/// Where they are.
pub(super) fn folder(home: &Home) -> PathBuf {
    home.state.join(FOLDER)
}

fn path(home: &Home, request_id: &str) -> Result<PathBuf, Error> {
    check_file_name(request_id)?;
    Ok(folder(home).join(format!("{request_id}.json")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::fixture;

    #[test]
    fn a_stored_signature_is_never_replaced_by_another() {
        let home = fixture::home();
        assert_eq!(load(&home, "0a1b").unwrap(), None);
        let path = store(&home, "0a1b", b"first").unwrap();
        assert_eq!(store(&home, "0a1b", b"first").unwrap(), path);
        assert!(matches!(store(&home, "0a1b", b"other"), Err(Error::Conflict { .. })));
        assert_eq!(load(&home, "0a1b").unwrap().unwrap(), b"first");
    }

    #[test]
    fn a_signature_that_a_later_version_stored_is_named_and_stays() {
        let home = fixture::home();
        let path = store(&home, "0a1b", br#"{"version":2}"#).unwrap();
        let newer = Error::Unsupported { path: path.clone(), version: 2, known: 1 };
        assert_eq!(load(&home, "0a1b").unwrap_err().to_string(), newer.to_string());
        assert_eq!(fs::read(&path).unwrap(), br#"{"version":2}"#);
    }

    #[test]
    fn a_request_is_claimed_by_one_process_at_a_time() {
        let home = fixture::home();
        let first = claim(&home, "0a1b").unwrap();
        assert!(matches!(claim(&home, "0a1b"), Err(Error::Waited { .. })));
        claim(&home, "0a1c").unwrap();
        drop(first);
        assert_eq!(fs::read_dir(home.state.join("locks")).unwrap().count(), 0);
        // One that was killed has left its file.
        fs::write(home.state.join("locks/0a1b@request"), "").unwrap();
        claim(&home, "0a1b").unwrap();
    }

    #[test]
    fn a_request_id_cannot_point_elsewhere() {
        let home = fixture::home();
        for id in ["", "../x", "a/b", ".new", "-x", "a\0b", &"x".repeat(65)] {
            assert!(matches!(store(&home, id, b"x"), Err(Error::BadName { .. })), "{id:?}");
        }
    }
}
