//! Another name for a key on this device.
//!
//! The new name's folder gets what is authenticated by its place, then a record that says which key it
//! was: from that moment the key has the new name. What is sealed follows, and the old folder goes. A
//! process that is killed in between leaves the rest to the next that opens the vault. At no moment is
//! there a second copy of a share.

use std::path::Path;

use super::{
    CONFIRMATION, CONFIRMED, ConfirmedFile, KeyFile, MEETING, SHARE, confirmation, confirmed, each,
    epoch_file, is_note, lock_alone, lock_to_change, remove_tombstones,
};
use crate::vault::editions::Editions;
use crate::vault::error::Error;
use crate::vault::file::{self, Durability, Writer};
use crate::vault::home::NOTE;
use crate::vault::{Home, Vault, authentic, check_file_name, format};

impl Vault {
    /// Calls the key `old` `new` from now on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key; [`Error::Conflict`] if the new name is taken;
    /// [`Error::InUse`] during a ceremony; [`Error::BadName`].
    pub fn rename_key(&self, old: &str, new: &str) -> Result<(), Error> {
        check_file_name(new)?;
        let home = self.home();
        let _held = (lock_alone(home, old)?, lock_to_change(home, new)?);
        let writer = Writer::lock(home)?;
        remove_tombstones(&writer, home, self.token.as_deref())?;
        let file = KeyFile::existing(home, old)?;
        if KeyFile::read(home, new)?.is_some() {
            return Err(Error::conflict("key", new));
        }
        clear(&writer, &home.keys().join(new))?;
        let file = called(file, old, new);
        bring(&writer, home, (old, new), &file)?;
        file.write(&writer, home, new)?;
        finish(&writer, home, new, file)
    }

    /// Finishes what a process that was killed while it renamed a key has left.
    pub(in crate::vault) fn finish_renames(&self) -> Result<(), Error> {
        let home = self.home();
        for (name, _) in each(home)? {
            let unfinished = |file: &KeyFile| file.was.is_some();
            if !matches!(KeyFile::read(home, &name), Ok(Some(file)) if unfinished(&file)) {
                continue;
            }
            let writer = Writer::lock(home)?;
            // Another process may have done it meanwhile.
            if let Some(file) = KeyFile::read(home, &name)?.filter(unfinished) {
                finish(&writer, home, &name, file)?;
            }
        }
        Ok(())
    }
}

/// The record of the key `old` under the name `new`.
fn called(file: KeyFile, old: &str, new: &str) -> KeyFile {
    let KeyFile { active, pending, leaving, partings, .. } = file;
    let named = |mut record: super::KeyRecord| {
        record.name = new.to_owned();
        record
    };
    KeyFile {
        active: active.map(named),
        pending: pending.into_iter().map(named).collect(),
        was: Some(old.to_owned()),
        leaving,
        partings,
    }
}

/// Writes beside the new record what the old folder has that is authenticated by its place.
fn bring(
    writer: &Writer<'_>,
    home: &Home,
    (old, new): (&str, &str),
    file: &KeyFile,
) -> Result<(), Error> {
    for record in file.records() {
        let beside = epoch_file(home, new, &record.epoch, CONFIRMATION);
        if file::is_there(&beside)? {
            continue;
        }
        let said = confirmation(home, old, &record.epoch)?;
        writer.create(&beside, &authentic::sign_bytes(home, &beside, &said)?)?;
    }
    for epoch in file.confirmable() {
        // Those that cannot be read are asked for again.
        let confirmed = confirmed(home, old, epoch).unwrap_or_default();
        if !confirmed.is_empty() {
            let path = epoch_file(home, new, epoch, CONFIRMED);
            let bytes = format::to_bytes(home, &path, ConfirmedFile { confirmed })?;
            writer.replace(&path, &bytes, Durability::Synced)?;
        }
    }
    Ok(())
}

/// Brings what is sealed from the old folder to the new one, and removes the old key. Since the process
/// was killed, the old name may have got new shares of this key, which are brought along, or have been
/// given to another key, which is left alone.
fn finish(writer: &Writer<'_>, home: &Home, new: &str, mut file: KeyFile) -> Result<(), Error> {
    let Some(old) = file.was.clone() else { return Ok(()) };
    // One that does not verify is what a power cut left of a record that was being removed.
    if let Ok(Some(current)) = KeyFile::read(home, &old) {
        let key = |file: &KeyFile| file.records().map(|record| record.public_key).next();
        if key(&current) != key(&file) {
            file.was = None;
            return file.write(writer, home, new);
        }
        file = called(current, &old, new);
        bring(writer, home, (&old, new), &file)?;
        file.write(writer, home, new)?;
    }
    file.was = None;
    let (from, to) = (home.keys().join(&old), home.keys().join(new));
    for path in file::list(&from)? {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if let Some(name) = path.file_name().filter(|_| [SHARE, NOTE, MEETING].contains(&ending)) {
            file::rename_file(&path, &to.join(name))?;
            // A power cut may have left the file both names; it keeps them when it is renamed again, and what is
            // cleared below is overwritten.
            file::remove_file(&path)?;
        }
    }
    file::sync_dir(&to)?;
    let record = KeyFile::path(home, &old);
    if file::is_there(&from)? {
        file::sync_dir(&from)?;
        // What is left is no share, and no note of one: the token keeps what it has.
        // One that does not verify was noted before it was overwritten.
        let edition = format::edition(home, &record).unwrap_or_default();
        Editions::deleting(writer, &record, edition)?;
        clear(writer, &from)?;
        writer.destroy_dir(&from)?;
    }
    Editions::deleted(writer, &record)?;
    file.write(writer, home, new)
}

/// Destroys what is in a folder that holds no share.
fn clear(writer: &Writer<'_>, dir: &Path) -> Result<(), Error> {
    for path in file::list(dir)? {
        if !is_note(&path) {
            writer.destroy(&path)?;
        }
    }
    Ok(())
}
