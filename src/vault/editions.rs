//! How often each document was written, by which an older one that was put back is recognised.
//!
//! The MAC of an old document is valid too. So each document has an edition number, and
//! `editions.json` says the least edition of each, and which documents must exist. It is written
//! after the document: if the process is killed in between, the document is newer than noted, which
//! is accepted. A deletion is noted before the document is removed and once more afterwards, so
//! that no copy of it is accepted again.
//!
//! Without an open vault editions are not checked. Only the list of documents that must exist is
//! read, unauthenticated: a forged entry can only make a missing file be reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::file::{Durability, Writer};
pub(super) use super::marks::Editions;
use super::marks::Mark;
use super::{Home, format};

impl Editions {
    /// The editions, for readers. Every document is read with them, so the file is only read again
    /// after it was replaced. A writer takes [`Editions::load`].
    ///
    /// # Errors
    ///
    /// As for [`Editions::load`].
    pub(super) fn read(home: &Home) -> Result<Arc<Self>, Error> {
        home.editions().of(&path(home), || Self::load(home))
    }

    /// The editions in the file; none without an open vault.
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

    /// The editions in the file while the vault is locked, unauthenticated; none if the vault is
    /// open or the file cannot be read.
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

    /// Whether a document is not listed, though others are: it was never written here.
    pub(super) fn is_stranger(&self, home: &Home, path: &Path) -> bool {
        !self.editions.is_empty() && !self.editions.contains_key(&home.role(path))
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

    /// As [`Editions::note`], for a document that was there before. A power failure may undo it:
    /// the edition noted before is then lower than the document's, which is accepted.
    pub(super) fn raise(writer: &Writer<'_>, path: &Path, edition: u64) -> Result<(), Error> {
        let noted = Mark { least: edition, deleted: false };
        Self::change(writer, path, |mark| *mark = noted, Durability::Whole)
    }

    /// Notes that a document, which is there in this edition or gone already, is about to be deleted.
    pub(super) fn deleting(writer: &Writer<'_>, path: &Path, edition: u64) -> Result<(), Error> {
        // One that is gone has no edition, and its copies are refused as before.
        let doomed = |mark: &mut Mark| {
            *mark = Mark { least: mark.least.max(edition), deleted: true };
        };
        Self::change(writer, path, doomed, Durability::Synced)
    }

    /// Notes that a document is deleted: no edition up to now is accepted again.
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

    /// Notes the documents that are there and have no entry yet.
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
        // A new entry is written even if it equals the default: it says that the document must
        // exist.
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
