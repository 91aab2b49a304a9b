//! How often each document was written.
//!
//! A document that this device wrote may still be an older one that was put back. So each says which
//! edition it is, and `editions.json` says which edition there is at least, and which documents
//! there must be. It is written after the document: a process that is killed in between leaves a
//! newer one, which is fine. What is to be deleted is noted before it goes, and again when it is
//! gone, so that it cannot come back.
//!
//! Without an open vault nothing is known of editions. That the header of the vault or the record of a
//! key must be there is taken from the file unchecked: who put that in hides nothing by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::file::{self, Durability, Stamp, Writer};
use super::{Home, format};

/// What is known of the documents of a home, by their roles ([`Home::role`]).
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Editions {
    editions: BTreeMap<String, Mark>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The edition that it has at least, where it is there.
    least: u64,
    /// It need not be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

/// What was read last, and of which file.
#[derive(Debug, Default)]
pub(super) struct LastRead(Mutex<Option<(Stamp, Arc<Editions>)>>);

impl Editions {
    /// What is known, for readers: every document is read with it, so the file is only read where it was
    /// replaced since. A writer takes [`Editions::load`].
    ///
    /// # Errors
    ///
    /// As for [`Editions::load`].
    pub(super) fn read(home: &Home) -> Result<Arc<Self>, Error> {
        let now = file::stamp(&path(home))?;
        // A panic while the lock was held leaves nothing half done.
        let mut last = home.editions().0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stamp, editions)) = &*last
            && now.as_ref() == Some(stamp)
        {
            return Ok(Arc::clone(editions));
        }
        let editions = Arc::new(Self::load(home)?);
        *last = now.map(|stamp| (stamp, Arc::clone(&editions)));
        Ok(editions)
    }

    /// What is known; nothing without an open vault.
    ///
    /// # Errors
    ///
    /// [`Error::Tampered`], also if the file is missing.
    pub(super) fn load(home: &Home) -> Result<Self, Error> {
        if !home.checks() {
            return Ok(Self::default());
        }
        let path = path(home);
        let (editions, _) =
            format::read_any(home, &path)?.ok_or_else(|| Error::tampered(&path, MISSING))?;
        Ok(editions)
    }

    /// What the file says, where the vault is locked and nobody can tell whether it is true; nothing
    /// where it is open, or the file cannot be read.
    pub(super) fn unchecked(home: &Home) -> Self {
        let read = || format::read_any(home, &path(home)).ok().flatten();
        let said = (!home.checks()).then(read).flatten();
        said.map_or_else(Self::default, |(editions, _)| editions)
    }

    /// The edition that a document has at least.
    pub(super) fn least(&self, home: &Home, path: &Path) -> u64 {
        self.editions.get(&home.role(path)).map_or(0, |mark| mark.least)
    }

    /// Whether a document must be there.
    pub(super) fn demand(&self, home: &Home, path: &Path) -> bool {
        self.editions.get(&home.role(path)).is_some_and(|mark| !mark.deleted)
    }

    /// The documents that must be there.
    pub(super) fn demanded(&self, home: &Home) -> Vec<PathBuf> {
        let demanded = self.editions.iter().filter(|(_, mark)| !mark.deleted);
        demanded.filter_map(|(role, _)| home.path_of(role)).collect()
    }

    /// Notes that a document is there, in this edition.
    pub(super) fn note(writer: &Writer<'_>, path: &Path, edition: u64) -> Result<(), Error> {
        let noted = Mark { least: edition, deleted: false };
        Self::change(writer, path, |mark| *mark = noted, Durability::Synced)
    }

    /// The same for a document that was there before. A power failure may undo it: what was noted
    /// before is less than what is there, and fits.
    pub(super) fn raise(writer: &Writer<'_>, path: &Path, edition: u64) -> Result<(), Error> {
        let noted = Mark { least: edition, deleted: false };
        Self::change(writer, path, |mark| *mark = noted, Durability::Whole)
    }

    /// Notes that a document, which is there in this edition, is about to be deleted.
    pub(super) fn deleting(writer: &Writer<'_>, path: &Path, edition: u64) -> Result<(), Error> {
        let doomed = Mark { least: edition, deleted: true };
        Self::change(writer, path, |mark| *mark = doomed, Durability::Synced)
    }

    /// Notes that a document is deleted: no edition that there was may come back.
    pub(super) fn deleted(writer: &Writer<'_>, path: &Path) -> Result<(), Error> {
        let gone =
            |mark: &mut Mark| *mark = Mark { least: mark.least.saturating_add(1), deleted: true };
        Self::change(writer, path, gone, Durability::Synced)
    }

    /// Begins to number the documents of a home; with `anew` also where that was begun.
    pub(super) fn begin(writer: &Writer<'_>, anew: bool) -> Result<(), Error> {
        let home = writer.home();
        if !anew && format::read_any::<Self>(home, &path(home))?.is_some() {
            return Ok(());
        }
        Self::default().write(writer, Durability::Synced)
    }

    /// Notes the documents that are there and of which nothing is known yet.
    pub(super) fn take_in(writer: &Writer<'_>, found: &[(PathBuf, u64)]) -> Result<(), Error> {
        let home = writer.home();
        let mut all = Self::load(home)?;
        for (path, edition) in found {
            let new = Mark { least: *edition, deleted: false };
            all.editions.entry(home.role(path)).or_insert(new);
        }
        all.write(writer, Durability::Synced)
    }

    fn change(
        writer: &Writer<'_>,
        path: &Path,
        change: impl FnOnce(&mut Mark),
        durability: Durability,
    ) -> Result<(), Error> {
        let home = writer.home();
        if !home.checks() {
            return Ok(());
        }
        let mut all = Self::load(home)?;
        let mark = all.editions.entry(home.role(path)).or_default();
        let before = *mark;
        change(mark);
        // A mark that is new says that the document must be there.
        let is_new = before == Mark::default();
        if before == *mark && !is_new {
            return Ok(());
        }
        all.write(writer, if is_new { Durability::Synced } else { durability })
    }

    fn write(&self, writer: &Writer<'_>, durability: Durability) -> Result<(), Error> {
        let (home, path) = (writer.home(), path(writer.home()));
        writer.replace(&path, &format::to_bytes(home, &path, self)?, durability)
    }
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.state.join("editions.json")
}

/// Why a document that must be there is refused.
pub(super) const MISSING: &str = "missing";
/// Why an older edition of a document is refused.
pub(super) const OLDER: &str = "it is an older one, which was put back";
