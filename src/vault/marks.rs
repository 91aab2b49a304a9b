//! The content of `editions.json`, and the cache of it in every [`Home`](super::Home).
//!
//! `editions.rs` reads and writes it. That needs files, which need the home, so the home can only depend on
//! this file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::Error;

/// The editions of the documents of a home, by their roles ([`Home::role`](super::Home::role)).
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Editions {
    pub(super) editions: BTreeMap<String, Mark>,
}

/// The edition of one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The least edition that is accepted.
    pub(super) least: u64,
    /// Whether the document was deleted, and so may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
}

/// The editions that were read last, and the stamp of the file they were read from.
#[derive(Debug, Default)]
pub(super) struct LastRead(Mutex<Option<(Stamp, Arc<Editions>)>>);

impl LastRead {
    /// The editions in the file at `path`. They are `read` only if the file was replaced since the last
    /// time.
    ///
    /// # Errors
    ///
    /// The file cannot be looked at; what `read` returns.
    pub(super) fn of(
        &self,
        path: &Path,
        read: impl FnOnce() -> Result<Editions, Error>,
    ) -> Result<Arc<Editions>, Error> {
        let now = stamp(path)?;
        // The value is replaced in one assignment, so it is whole even if a holder of the lock
        // panicked.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stamp, editions)) = &*last
            && now.as_ref() == Some(stamp)
        {
            return Ok(Arc::clone(editions));
        }
        let editions = Arc::new(read()?);
        *last = now.map(|stamp| (stamp, Arc::clone(&editions)));
        Ok(editions)
    }
}

/// Distinguishes a file from one that replaced it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([u64; 3], [i64; 4]);

/// The stamp of a file as it is now, `None` if it does not exist.
fn stamp(path: &Path) -> Result<Option<Stamp>, Error> {
    let file = match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io(path))?,
    };
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    Ok(Some(Stamp([file.dev(), file.ino(), file.len()], times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editions_are_read_again_only_when_their_file_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("editions.json");
        let editions = |least| {
            let mark = Mark { least, deleted: false };
            Ok(Editions { editions: BTreeMap::from([("role".to_owned(), mark)]) })
        };
        let last = LastRead::default();
        let least = |read: &dyn Fn() -> Result<Editions, Error>| {
            last.of(&path, read).unwrap().editions["role"].least
        };
        // There is no file yet, so nothing is remembered.
        assert_eq!(least(&|| editions(1)), 1);
        fs::write(&path, "one").unwrap();
        assert_eq!(least(&|| editions(2)), 2);
        assert_eq!(least(&|| panic!("it was not replaced")), 2);
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(least(&|| editions(3)), 3);
        fs::remove_file(&path).unwrap();
        assert_eq!(least(&|| editions(4)), 4);
        let no_folder = path.join("below");
        fs::write(&path, "").unwrap();
        assert!(last.of(&no_folder, || editions(5)).is_err());
    }
}
