//! Key shares: one directory for each key, one sealed file for each epoch.
//!
//! A key has an **active** epoch, which signs, or a **pending** one, which waits until every party
//! has stored its share, or after a refresh both. `key.json` says which is which; it is replaced in
//! one step, after the files it names were written and before those it no longer names are
//! destroyed. A share that it does not name was never announced to anybody.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::document::{self, digits, fingerprint};
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{Home, Vault, check_file_name};
use crate::device::{Fingerprint, hex};
use crate::secret::Secret;

/// Whether a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Not every party has said that it has stored its share.
    Pending,
    /// Every party has stored its share.
    Active,
}

/// A party of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyRecord {
    /// Its index in the key.
    pub index: u8,
    /// The name it had when the key was made.
    pub name: String,
    /// Its fingerprint.
    #[serde(with = "fingerprint")]
    pub fingerprint: Fingerprint,
}

/// What is known of one epoch of a key while the vault is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's name on this device.
    pub name: String,
    /// The public key, SEC1 compressed.
    #[serde(with = "digits")]
    pub public_key: [u8; 33],
    /// How many parties must sign.
    pub threshold: u8,
    /// This device's index.
    pub me: u8,
    /// All parties, in index order.
    pub parties: Vec<PartyRecord>,
    /// The epoch.
    #[serde(with = "digits")]
    pub epoch: [u8; 32],
    /// 1 for a new key, one more after each refresh.
    pub generation: u64,
    /// When the share was made.
    pub created: i64,
    /// Whether it may sign.
    pub state: KeyState,
}

/// `key.json`.
#[derive(Default, Serialize, Deserialize)]
struct KeyFile {
    active: Option<KeyRecord>,
    pending: Option<KeyRecord>,
}

/// A ceremony's hold on a key, until it is dropped or the process ends.
#[derive(Debug)]
pub struct KeyLock(#[expect(dead_code, reason = "holds the lock for as long as it is open")] File);

/// All keys, by name: the active record of each first, then the pending one.
///
/// # Errors
///
/// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`], [`Error::Io`].
pub fn list(home: &Home) -> Result<Vec<KeyRecord>, Error> {
    let mut records = Vec::new();
    for dir in file::list(&home.keys())? {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if check_file_name(name).is_ok() {
            let KeyFile { active, pending } = KeyFile::read(home, name)?.unwrap_or_default();
            records.extend(active.into_iter().chain(pending));
        }
    }
    Ok(records)
}

/// The records of one key: the active one first, then the pending one.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key, and as [`list`].
pub fn find(home: &Home, name: &str) -> Result<Vec<KeyRecord>, Error> {
    let KeyFile { active, pending } = KeyFile::existing(home, name)?;
    Ok(active.into_iter().chain(pending).collect())
}

/// Where the sealed share of an epoch is.
pub fn location(home: &Home, name: &str, epoch: &[u8; 32]) -> PathBuf {
    epoch_file(home, name, epoch, SHARE)
}

/// What [`Vault::store_pending`] stored beside the share.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key or epoch.
pub fn confirmation(home: &Home, name: &str, epoch: &[u8; 32]) -> Result<Vec<u8>, Error> {
    check_file_name(name)?;
    let path = epoch_file(home, name, epoch, CONFIRMATION);
    file::read(&path)?.ok_or_else(|| Error::not_found("confirmation", name))
}

/// Keeps every other ceremony off a key, which need not exist yet.
///
/// # Errors
///
/// [`Error::InUse`] at once if another ceremony holds it.
pub fn lock(home: &Home, name: &str) -> Result<KeyLock, Error> {
    check_file_name(name)?;
    let held = file::try_lock(&home.data.join("locks").join(name))?;
    held.map(KeyLock).ok_or_else(|| Error::InUse { name: name.to_owned() })
}

/// Forgets a pending epoch and destroys its share. A key that was never active goes with it.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key, or if this is not its pending epoch.
pub fn discard_pending(home: &Home, name: &str, epoch: &[u8; 32]) -> Result<(), Error> {
    let writer = Writer::lock(home)?;
    let mut file = KeyFile::existing(home, name)?;
    if file.pending.take_if(|record| record.epoch == *epoch).is_none() {
        return Err(Error::not_found("pending key", name));
    }
    if file.active.is_none() {
        return bury(&writer, home, name);
    }
    file.write(&writer, home, name)?;
    sweep(&writer, home, name, &file)
}

/// Destroys all shares of a key on this device. The other parties keep theirs.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key, [`Error::InUse`] during a ceremony with it.
pub fn delete(home: &Home, name: &str) -> Result<(), Error> {
    let _held = lock(home, name)?;
    let writer = Writer::lock(home)?;
    KeyFile::existing(home, name)?;
    bury(&writer, home, name)
}

impl Vault {
    /// Stores the share of a new epoch, durably: of a new key, or of a refresh beside the active
    /// epoch of the same key. `confirmation` is kept unsealed beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the name is taken by another key, if an epoch is pending already, or
    /// if there is a share of this epoch. Nothing is overwritten.
    pub fn store_pending(
        &self,
        record: &KeyRecord,
        share: &Secret<Vec<u8>>,
        confirmation: &[u8],
    ) -> Result<(), Error> {
        let (home, name) = (&self.home, record.name.as_str());
        check_file_name(name)?;
        let writer = Writer::lock(home)?;
        bury_the_dead(&writer, home)?;
        let mut file = KeyFile::read(home, name)?.unwrap_or_default();
        if file.pending.is_some() {
            return Err(Error::conflict("pending key", name));
        }
        if file.active.as_ref().is_some_and(|active| !record.follows(active)) {
            return Err(Error::conflict("key", name));
        }
        let path = location(home, name, &record.epoch);
        let sealed = self.keyring.seal(share.expose()).map_err(Error::io(&path))?;
        writer.create(&path, &sealed)?;
        writer.create(&epoch_file(home, name, &record.epoch, CONFIRMATION), confirmation)?;
        if !bool::from(self.share(name, &record.epoch)?.ct_eq(share)) {
            return Err(Error::corrupt(&path, "reads back differently"));
        }
        file.pending = Some(KeyRecord { state: KeyState::Pending, ..record.clone() });
        file.write(&writer, home, name)
    }

    /// Makes a pending epoch the active one, in one step, then destroys the shares of all others.
    /// Doing it again is harmless, and finishes what an error or a crash interrupted.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key or epoch; [`Error::Corrupt`] if its share does
    /// not open, and then the old epoch stays. After [`Error::Io`] the epoch may be active while
    /// an old share is still there.
    pub fn activate(&self, name: &str, epoch: &[u8; 32]) -> Result<(), Error> {
        let home = &self.home;
        let writer = Writer::lock(home)?;
        let mut file = KeyFile::existing(home, name)?;
        self.share(name, epoch)?;
        if let Some(pending) = file.pending.take_if(|record| record.epoch == *epoch) {
            file.active = Some(KeyRecord { state: KeyState::Active, ..pending });
            file.write(&writer, home, name)?;
        }
        match &file.active {
            Some(active) if active.epoch == *epoch => sweep(&writer, home, name, &file),
            _ => Err(Error::not_found("pending key", name)),
        }
    }

    /// The share of an epoch, as it was stored.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::Corrupt`] if it does not open.
    pub fn share(&self, name: &str, epoch: &[u8; 32]) -> Result<Secret<Vec<u8>>, Error> {
        check_file_name(name)?;
        let share = self.unseal(&location(&self.home, name, epoch))?;
        share.ok_or_else(|| Error::not_found("key", name))
    }
}

impl KeyRecord {
    /// Whether this can be a refresh of `active`.
    fn follows(&self, active: &Self) -> bool {
        self.public_key == active.public_key
            && self.epoch != active.epoch
            && self.generation > active.generation
    }
}

impl KeyFile {
    fn path(home: &Home, name: &str) -> PathBuf {
        home.keys().join(name).join("key.json")
    }

    fn read(home: &Home, name: &str) -> Result<Option<Self>, Error> {
        let path = Self::path(home, name);
        let Some(file) = document::read::<Self>(&path)? else { return Ok(None) };
        let named = file.records().all(|record| record.name == name);
        if named { Ok(Some(file)) } else { Err(Error::corrupt(&path, "of another key")) }
    }

    fn existing(home: &Home, name: &str) -> Result<Self, Error> {
        check_file_name(name)?;
        Self::read(home, name)?.ok_or_else(|| Error::not_found("key", name))
    }

    fn write(&self, writer: &Writer<'_>, home: &Home, name: &str) -> Result<(), Error> {
        let path = Self::path(home, name);
        writer.replace(&path, &document::to_bytes(&path, self)?, Durability::Synced)
    }

    fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.active.iter().chain(&self.pending)
    }
}

/// Destroys the files of all epochs that `file` does not name.
fn sweep(writer: &Writer<'_>, home: &Home, name: &str, file: &KeyFile) -> Result<(), Error> {
    let dir = home.keys().join(name);
    let kept: Vec<PathBuf> = file
        .records()
        .flat_map(|record| [SHARE, CONFIRMATION].map(|ending| (record.epoch, ending)))
        .map(|(epoch, ending)| epoch_file(home, name, &epoch, ending))
        .chain([KeyFile::path(home, name)])
        .collect();
    for path in file::list(&dir)? {
        if !kept.contains(&path) {
            writer.destroy(&path)?;
        }
    }
    file::sync_dir(&dir)
}

/// Takes a key out of sight in one step, then destroys its files.
fn bury(writer: &Writer<'_>, home: &Home, name: &str) -> Result<(), Error> {
    bury_the_dead(writer, home)?;
    file::rename_dir(&home.keys().join(name), &home.keys().join(GRAVE))?;
    bury_the_dead(writer, home)
}

/// Destroys what an interrupted deletion left.
fn bury_the_dead(writer: &Writer<'_>, home: &Home) -> Result<(), Error> {
    let grave = home.keys().join(GRAVE);
    if grave.exists() { writer.destroy_dir(&grave) } else { Ok(()) }
}

fn epoch_file(home: &Home, name: &str, epoch: &[u8; 32], ending: &str) -> PathBuf {
    let (start, _) = epoch.split_at(8);
    home.keys().join(name).join(Path::new(&hex(start)).with_extension(ending))
}

const SHARE: &str = "age";
const CONFIRMATION: &str = "confirmation";
/// No key can have this name.
const GRAVE: &str = ".deleted";
