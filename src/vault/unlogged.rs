//! The log entries of sessions in which this device has given its last message, kept in case its process is killed
//! before it logs them.
//!
//! `unlogged/SESSION.json` is the entry. It is written without waiting for the disk, since a power failure stops the
//! message as well, or comes too late to lose it; it is locked while its process lives, and removed once the session
//! is logged. One that is left behind is logged when the vault is opened next.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::authentic;
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{Entry, Home, Log};
use crate::device::hex;

/// The entry of a session, until this is dropped.
#[derive(Debug)]
pub struct Unlogged {
    path: PathBuf,
    /// Locked until the file is removed.
    _file: File,
}

impl Drop for Unlogged {
    fn drop(&mut self) {
        // If the file cannot be removed, the entry is found in the log when the file is.
        let _ = file::remove_file(&self.path);
    }
}

/// Keeps the entry of a session.
///
/// # Errors
///
/// [`Error::Closed`], [`Error::Io`].
pub fn keep(home: &Home, session: &[u8; 32], entry: &Entry) -> Result<Unlogged, Error> {
    let path = folder(home).join(format!("{}.json", hex(session)));
    let text = serde_json::to_vec(entry).map_err(|e| Error::io(&path)(e.into()))?;
    let text = authentic::sign(home, &path, text)?;
    // Nobody looks for entries that were left behind before this one is locked.
    let writer = Writer::lock(home)?;
    writer.replace(&path, &text, Durability::Lazy)?;
    match taken(&path)? {
        Some(_file) => Ok(Unlogged { path, _file }),
        None => Err(Error::Waited { path }),
    }
}

/// Logs the entries whose processes have ended without logging them, and returns them. A file that this device did
/// not write stays where it is.
pub fn log_left(home: &Home) -> Vec<Result<Entry, Error>> {
    let left = || {
        let paths = file::list(&folder(home))?;
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let _writer = Writer::lock(home)?;
        let locked = paths.into_iter().map(|path| Ok(taken(&path)?.map(|file| (path, file))));
        locked.filter_map(Result::transpose).collect::<Result<Vec<_>, Error>>()
    };
    match left() {
        Ok(left) => {
            left.into_iter().filter_map(|(path, _lock)| log(home, &path).transpose()).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

/// Logs the entry in the file at `path`, which is then removed; `None` if it was logged before.
fn log(home: &Home, path: &Path) -> Result<Option<Entry>, Error> {
    let Some(bytes) = file::read(path)? else { return Ok(None) };
    authentic::check(home, path, &bytes)?;
    let mut entry: Entry =
        serde_json::from_slice(&bytes).map_err(|_| Error::corrupt(path, "no entry of the log"))?;
    entry.extra.remove("mac");
    // The process may have been killed after it had logged the session.
    let is_same = |logged: &Entry| {
        let id = |entry: &Entry| entry.extra.get(REQUEST).cloned();
        let says_so = logged.outcome == entry.outcome || logged.outcome == SIGNED;
        says_so && logged.digest == entry.digest && id(logged) == id(&entry)
    };
    let is_logged = Log::latest(home, LOOKED_THROUGH)?.iter().any(is_same);
    if !is_logged {
        entry.extra.insert(KILLED.to_owned(), true.into());
        Log::append(home, &entry)?;
    }
    file::remove_file(path)?;
    Ok((!is_logged).then_some(entry))
}

/// The file at `path`, locked, if no living process has it.
fn taken(path: &Path) -> Result<Option<File>, Error> {
    let Some(file) = file::open(path)? else { return Ok(None) };
    Ok(file
        .try_lock()
        .is_ok()
        .then_some(file)
        .filter(|file| file::is_at(file, path).unwrap_or(false)))
}

fn folder(home: &Home) -> PathBuf {
    home.state.join("unlogged")
}

/// The field of an entry with the id of the request.
const REQUEST: &str = "request_id";
/// The field of an entry that was logged for a process that had been killed.
const KILLED: &str = "killed";
/// The outcome of a session whose signature is here.
const SIGNED: &str = "signed";
/// How many of the last entries of the log are looked through for one that was kept.
const LOOKED_THROUGH: usize = 1000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::fixture;

    fn entry(request: &str) -> Entry {
        let extra = [(REQUEST.to_owned(), request.into())].into_iter().collect();
        Entry {
            time: 7,
            digest: "5a".repeat(32),
            outcome: "given".into(),
            extra,
            ..Entry::default()
        }
    }

    /// As a killed process leaves it.
    fn killed(unlogged: Unlogged) {
        let content = fs::read(&unlogged.path).unwrap();
        let path = unlogged.path.clone();
        drop(unlogged);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    #[test]
    fn what_a_killed_process_did_not_log_is_logged_once() {
        let home = fixture::home();
        killed(keep(&home, &[1; 32], &entry("r-1")).unwrap());
        let alive = keep(&home, &[2; 32], &entry("r-2")).unwrap();
        let logged = log_left(&home);
        let mut expected = entry("r-1");
        expected.extra.insert(KILLED.to_owned(), true.into());
        assert_eq!(logged.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [expected.clone()]);
        assert_eq!(Log::entries(&home).unwrap(), [expected]);
        assert!(log_left(&home).is_empty());
        drop(alive);
        assert_eq!(fs::read_dir(folder(&home)).unwrap().count(), 0);
    }

    #[test]
    fn a_session_that_was_logged_is_not_logged_again() {
        let home = fixture::home();
        for outcome in ["signed", "given"] {
            let kept = keep(&home, &[1; 32], &entry(outcome)).unwrap();
            Log::append(&home, &Entry { time: 8, outcome: outcome.into(), ..entry(outcome) })
                .unwrap();
            killed(kept);
            assert!(log_left(&home).is_empty());
        }
        assert_eq!(Log::entries(&home).unwrap().len(), 2);
        assert_eq!(fs::read_dir(folder(&home)).unwrap().count(), 0);
    }

    #[test]
    fn what_the_log_says_of_another_session_does_not_stand_for_this_one() {
        let home = fixture::home();
        let logged = [
            Entry { digest: "00".repeat(32), ..entry("r-1") },
            entry("r-2"),
            Entry { outcome: "denied".into(), ..entry("r-1") },
        ];
        logged.iter().for_each(|entry| Log::append(&home, entry).unwrap());
        killed(keep(&home, &[1; 32], &entry("r-1")).unwrap());
        assert_eq!(log_left(&home).len(), 1);
        assert_eq!(Log::entries(&home).unwrap().len(), 4);
    }

    #[test]
    fn what_this_device_did_not_write_is_named_and_stays() {
        let home = fixture::home();
        let kept = keep(&home, &[1; 32], &entry("r-1")).unwrap();
        let path = kept.path.clone();
        killed(kept);
        fs::write(&path, "{}").unwrap();
        assert!(matches!(
            log_left(&home)[..],
            [Err(Error::Corrupt { .. } | Error::Tampered { .. })]
        ));
        assert!(path.exists() && Log::entries(&home).unwrap().is_empty());
    }
}
