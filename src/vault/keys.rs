//! Key shares: one directory for each key, one sealed file for each epoch, or a note of where on a
//! token the sealed share is.
//!
//! A key has an **active** epoch, which every party is known to hold, or **pending** ones, which
//! wait until every party has said that it has stored its share, or after a refresh both. They are
//! in the order in which they were stored; the active one is the oldest. `key.json` says which is
//! which. It is replaced in one step, after the files it names were written and before those it no
//! longer names are destroyed. A share that it does not name was never announced to anybody.
//!
//! The note is written before the object on the token and removed after it, so that there is never
//! an object without a note. If file and note are both there, the file counts.

mod rename;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

use super::document::{self, digits, fingerprint};
use super::editions::{Editions, MISSING};
use super::error::{Error, Use};
use super::file::{self, Durability, Writer};
use super::home::{NOTE, RECORD};
use super::{Header, Home, Vault, authentic, check_file_name, format};
use crate::curve::CurveName;
use crate::device::{Fingerprint, hex};
use crate::party::PartyId;
use crate::secret::Secret;
use crate::token::{self, Kind, Uri};

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
    pub index: PartyId,
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
    /// The curve that the key is on.
    #[serde(default, skip_serializing_if = "CurveName::is_unnamed")]
    pub curve: CurveName,
    /// The public key, SEC1 compressed.
    #[serde(with = "digits")]
    pub public_key: [u8; 33],
    /// How many parties must sign.
    pub threshold: u8,
    /// This device's index.
    pub me: PartyId,
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
    /// Whether the share came from a backup, and signs only after a refresh. The share itself says so
    /// as well, and that counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

/// What a device that leaves a key waits for: that every party of an epoch, of which it has no share, says
/// that it has stored its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingRecord {
    /// The curve of the key.
    #[serde(default, skip_serializing_if = "CurveName::is_unnamed")]
    pub curve: CurveName,
    /// The epoch.
    #[serde(with = "digits")]
    pub epoch: [u8; 32],
    /// What the confirmations of its parties are held against; no secret.
    #[serde(with = "digits")]
    pub expects: Vec<u8>,
    /// How many of its parties must sign.
    pub threshold: u8,
    /// Its parties, in index order.
    pub parties: Vec<PartyRecord>,
    /// Its generation.
    pub generation: u64,
    /// The newest epoch that this device had a share of by then. Shares stored later are not given up.
    #[serde(with = "digits")]
    pub after: [u8; 32],
    /// When the other parties made their shares.
    pub created: i64,
}

/// What this device has said to one that leaves a key by one of its epochs: that its own share of that epoch is
/// stored. It stays true, and may be asked for again, when newer shares have taken its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parting {
    /// The epoch.
    #[serde(with = "digits")]
    pub epoch: [u8; 32],
    /// This device's confirmation of it; no secret.
    #[serde(with = "digits")]
    pub statement: [u8; 32],
    /// The device that leaves by it.
    #[serde(with = "fingerprint")]
    pub leaver: Fingerprint,
}

/// How many epochs of one key may be pending at a time. An epoch that one party never stored stays
/// pending with the others until all have confirmed a later one, so a network that cuts each refresh at
/// its end uses them up.
pub const MAX_PENDING: usize = 31;

/// `key.json`.
#[derive(Default, Serialize, Deserialize)]
struct KeyFile {
    active: Option<KeyRecord>,
    /// The oldest first.
    #[serde(default, deserialize_with = "one_or_several")]
    pending: Vec<KeyRecord>,
    /// The key's name of before, until nothing is left of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<String>,
    /// The epochs by which this device leaves the key, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<LeavingRecord>,
    /// The epochs by which others leave it, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partings: Vec<Parting>,
}

/// `pending` of [`KeyFile`], also where it is the only record or `null`.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeyRecord>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Pending {
        One(Option<KeyRecord>),
        Several(Vec<KeyRecord>),
    }
    Ok(match Pending::deserialize(deserializer)? {
        Pending::One(record) => record.into_iter().collect(),
        Pending::Several(records) => records,
    })
}

/// A party's word that it has stored its share of an epoch, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The party's index.
    pub party: PartyId,
    /// What it said.
    #[serde(with = "digits")]
    pub statement: [u8; 32],
}

/// `EPOCH.confirmed`: which parties have confirmed an epoch.
#[derive(Default, Serialize, Deserialize)]
struct ConfirmedFile {
    confirmed: Vec<Confirmed>,
}

/// Where a sealed share is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this file.
    File(PathBuf),
    /// On a token: the token and the object on it.
    Token(Box<Uri>),
}

/// `EPOCH.token`: the note of where on a token a share is.
#[derive(Serialize, Deserialize)]
struct Note {
    uri: Uri,
}

/// The lock on a key. It is held until this is dropped or the process ends.
#[derive(Debug)]
pub struct KeyLock(Vec<File>);

/// The first record of the key with this public key, SEC1 compressed, under whichever name, in the order of [`list`];
/// `None` if this device has none.
///
/// # Errors
///
/// As for [`list`].
pub fn of_public_key(home: &Home, public_key: &[u8; 33]) -> Result<Option<KeyRecord>, Error> {
    Ok(list(home)?.into_iter().find(|record| record.public_key == *public_key))
}

/// All keys that this version understands, by name: the active record of each first, then the
/// pending ones, the oldest first. Keys that a later version wrote and stray folders are left out
/// ([`aside`]).
///
/// # Errors
///
/// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Io`].
pub fn list(home: &Home) -> Result<Vec<KeyRecord>, Error> {
    let mut all = Vec::new();
    for (_, records) in each(home)? {
        match records {
            Err(error) if is_aside(&error) => {}
            records => all.extend(records?),
        }
    }
    Ok(all)
}

/// An error for each folder of a key that is left out, by name: a later version wrote it, or it was
/// never a key of this device. No other key depends on it.
pub fn aside(home: &Home) -> Vec<Error> {
    let all = each(home).unwrap_or_default().into_iter();
    all.filter_map(|(_, records)| records.err()).filter(is_aside).collect()
}

/// Fails if a later version wrote a key of this device: it may be the one that is looked for by its
/// public key, which this version cannot read.
///
/// # Errors
///
/// [`Error::Unsupported`].
pub fn all_are_read(home: &Home) -> Result<(), Error> {
    let newer = |error: &Error| matches!(error, Error::Unsupported { .. });
    aside(home).into_iter().find(newer).map_or(Ok(()), Err)
}

/// Adds `newest`. As many are kept as may be pending; the oldest go.
fn keep<T>(all: &mut Vec<T>, newest: T) {
    let surplus = all.len().saturating_add(1).saturating_sub(MAX_PENDING);
    all.drain(..surplus);
    all.push(newest);
}

fn is_aside(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. } | Error::Stray { .. })
}

/// Whether there is a key of this name that a later version wrote.
pub fn is_newer(home: &Home, name: &str) -> bool {
    matches!(find(home, name), Err(Error::Unsupported { .. }))
}

/// The records of a key, or why they cannot be read.
pub type Records = Result<Vec<KeyRecord>, Error>;

/// All keys by name, also those whose records cannot be read. A key that an interrupted
/// [`Vault::store_pending`] left has no records.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Tampered`] if the list of keys itself cannot be trusted.
pub fn each(home: &Home) -> Result<Vec<(String, Records)>, Error> {
    let records = |name: &str| {
        Ok(KeyFile::read(home, name)?.unwrap_or_default().into_records().collect::<Vec<_>>())
    };
    let named = |name: String| {
        let records = records(&name);
        (name, records)
    };
    Ok(names(home)?.into_iter().map(named).collect())
}

/// Whether there is a key of this name, also one whose records cannot be read. A folder without a
/// record, which an interrupted process left, is none.
///
/// # Errors
///
/// As [`each`].
pub fn is_taken(home: &Home, name: &str) -> Result<bool, Error> {
    let mut of_name = each(home)?.into_iter().filter(|(taken, _)| taken == name);
    Ok(of_name.any(|(_, records)| records.map_or(true, |records| !records.is_empty())))
}

/// The records of one key: the active one first, then the pending ones, the oldest first.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key, and as [`list`].
pub fn find(home: &Home, name: &str) -> Result<Vec<KeyRecord>, Error> {
    Ok(KeyFile::existing(home, name)?.into_records().collect())
}

/// The epochs by which this device leaves a key, the oldest first; none if there is no such key.
///
/// # Errors
///
/// As for [`list`].
pub fn leaving(home: &Home, name: &str) -> Result<Vec<LeavingRecord>, Error> {
    check_file_name(name)?;
    Ok(KeyFile::read(home, name)?.unwrap_or_default().leaving)
}

/// What this device has said to devices that leave a key, the oldest first; none if there is no such key.
///
/// # Errors
///
/// As for [`list`].
pub fn partings(home: &Home, name: &str) -> Result<Vec<Parting>, Error> {
    check_file_name(name)?;
    Ok(KeyFile::read(home, name)?.unwrap_or_default().partings)
}

/// The file of the sealed share of an epoch, where it is on no token.
pub fn share_path(home: &Home, name: &str, epoch: &[u8; 32]) -> PathBuf {
    epoch_file(home, name, epoch, SHARE)
}

/// Where the sealed share of an epoch is.
///
/// # Errors
///
/// [`Error::Corrupt`] if the note of the share on a token cannot be read.
pub fn location(home: &Home, name: &str, epoch: &[u8; 32]) -> Result<Location, Error> {
    let path = share_path(home, name, epoch);
    if !file::is_there(&path)?
        && let Some(Note { uri }) = document::read(home, &epoch_file(home, name, epoch, NOTE))?
    {
        return Ok(Location::Token(Box::new(uri)));
    }
    Ok(Location::File(path))
}

/// Fails if a record, or a note of where on a token a share is, is not what this device wrote.
pub(super) fn check(home: &Home) -> Result<(), Error> {
    for name in names(home)? {
        let records = match KeyFile::read(home, &name) {
            // The other files of a key that is left out are not checked either.
            Err(error) if is_aside(&error) => continue,
            records => records?.unwrap_or_default(),
        };
        for record in records.records() {
            let path = epoch_file(home, &name, &record.epoch, CONFIRMATION);
            match confirmation(home, &name, &record.epoch) {
                Err(Error::NotFound { .. }) => return Err(Error::tampered(&path, MISSING)),
                found => found.map(drop)?,
            }
        }
        for path in file::list(&home.keys().join(&name))?.iter().filter(|path| is_note(path)) {
            existing_note(home, path)?;
        }
    }
    Ok(())
}

/// Fails for the first file of confirmations that this device did not write. Only `doctor` reports
/// it: such confirmations are ignored and asked for again.
pub(super) fn check_confirmed(home: &Home) -> Result<(), Error> {
    for name in names(home)? {
        // A record that does not fit is named by `check`.
        let Ok(Some(file)) = KeyFile::read(home, &name) else { continue };
        for epoch in file.confirmable() {
            confirmed(home, &name, epoch)?;
        }
    }
    Ok(())
}

/// The names of all keys, finished or not, and of those that `editions.json` lists and whose folder
/// is missing.
pub(super) fn names(home: &Home) -> Result<Vec<String>, Error> {
    let mut dirs = file::list(&home.keys())?;
    let demanded = known(home)?.demanded(home).into_iter();
    let records = demanded.filter(|path| path.ends_with(RECORD));
    dirs.extend(records.filter_map(|path| path.parent().map(Path::to_owned)));
    dirs.sort();
    dirs.dedup();
    let name = |dir: PathBuf| dir.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let names = dirs.into_iter().filter_map(name);
    Ok(names.filter(|name| check_file_name(name).is_ok()).collect())
}

/// The editions; without an open vault those in the file, unauthenticated.
fn known(home: &Home) -> Result<Editions, Error> {
    if home.checks() { Editions::load(home) } else { Ok(Editions::unchecked(home)) }
}

/// Whether `editions.json` lists a key whose folder is missing.
///
/// # Errors
///
/// [`Error::BadName`]; [`Error::Tampered`]; [`Error::Io`] if the folder cannot be looked for.
pub fn is_gone(home: &Home, name: &str) -> Result<bool, Error> {
    check_file_name(name)?;
    let known = Editions::load(home)?.demand(home, &KeyFile::path(home, name));
    Ok(known && !file::is_there(&home.keys().join(name))?)
}

/// The paths of all documents of all keys.
pub(super) fn documents(home: &Home) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for dir in file::list(&home.keys())? {
        let files = file::list(&dir)?.into_iter();
        let is_document = |path: &PathBuf| {
            is_note(path)
                || path.ends_with(RECORD)
                || is_confirmation(path)
                || path.extension().is_some_and(|e| e == CONFIRMED)
        };
        paths.extend(files.filter(is_document));
    }
    Ok(paths)
}

/// A party of an epoch and a secret that this device has with it.
pub type MeetingSecret = (PartyId, Secret<[u8; 32]>);

/// What [`Vault::store_pending`] stored beside the share.
///
/// # Errors
///
/// [`Error::NotFound`] if there is no such key or epoch; [`Error::Tampered`].
pub fn confirmation(home: &Home, name: &str, epoch: &[u8; 32]) -> Result<Vec<u8>, Error> {
    check_file_name(name)?;
    let path = epoch_file(home, name, epoch, CONFIRMATION);
    let bytes = file::read(&path)?.ok_or_else(|| Error::not_found("confirmation", name))?;
    authentic::open_bytes(home, &path, bytes)
}

/// The confirmations of an epoch that [`Vault::store_confirmed`] stored. They are not verified
/// here.
///
/// # Errors
///
/// [`Error::Corrupt`] if the file is not one, [`Error::LooseMode`], [`Error::Io`].
pub fn confirmed(home: &Home, name: &str, epoch: &[u8; 32]) -> Result<Vec<Confirmed>, Error> {
    check_file_name(name)?;
    let file = document::read::<ConfirmedFile>(home, &epoch_file(home, name, epoch, CONFIRMED))?;
    Ok(file.unwrap_or_default().confirmed)
}

/// Locks a key, which need not exist yet, to make or change its shares. Others that change it are
/// refused; signatures go on with the shares they have in memory.
///
/// # Errors
///
/// [`Error::InUse`] at once if the shares are being changed already.
pub fn lock_to_change(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let gate = file::try_lock_shared(&lock_file(home, name, GATE)?)?;
    let _gate = gate.ok_or_else(|| in_use(name, Use::Changing))?;
    changing(home, name)
}

fn changing(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let held = file::try_lock(&lock_file(home, name, CHANGING)?)?;
    Ok(KeyLock(vec![held.ok_or_else(|| in_use(name, Use::Changing))?]))
}

/// Locks a key to sign with it. It cannot be removed or moved meanwhile; others may sign too.
///
/// # Errors
///
/// [`Error::InUse`] at once if the key is being removed or moved, or is [closed](close) for that.
pub fn lock_to_sign(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let held = |what| file::try_lock_shared(&lock_file(home, name, what)?);
    let _gate = held(GATE)?.ok_or_else(|| in_use(name, Use::Changing))?;
    let held = held(SIGNING)?.ok_or_else(|| in_use(name, Use::Changing))?;
    Ok(KeyLock(vec![held]))
}

/// Refuses new signatures and new shares of a key, so that it can be [locked alone](lock_alone)
/// once those under way have ended.
///
/// # Errors
///
/// [`Error::InUse`] at once if it is closed already.
pub fn close(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let gate = file::try_lock(&lock_file(home, name, GATE)?)?;
    Ok(KeyLock(vec![gate.ok_or_else(|| in_use(name, Use::Changing))?]))
}

/// Locks a key to remove or move it. Everything else is refused meanwhile.
///
/// # Errors
///
/// [`Error::InUse`] at once, with what uses it.
pub fn lock_alone(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let KeyLock(mut held) = changing(home, name)?;
    let signing = file::try_lock(&lock_file(home, name, SIGNING)?)?;
    held.push(signing.ok_or_else(|| in_use(name, Use::Signing))?);
    Ok(KeyLock(held))
}

/// A key's name has no `@`, so no lock file of another kind can be taken for the lock of a key.
fn lock_file(home: &Home, name: &str, what: &str) -> Result<PathBuf, Error> {
    check_file_name(name)?;
    Ok(home.data.join("locks").join(format!("{name}{what}")))
}

/// Held alone by what makes, changes, moves or removes shares.
const CHANGING: &str = "";
/// Held by every signature together, and alone by what moves or removes shares.
const SIGNING: &str = "@sign";
/// Held for a moment by everything that begins, and alone by [`close`].
const GATE: &str = "@gate";

fn in_use(name: &str, by: Use) -> Error {
    Error::InUse { name: name.to_owned(), by }
}

impl Vault {
    /// Destroys all shares of a key on this device, also those on the token that opened the vault.
    /// The other parties keep theirs.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key, [`Error::InUse`] during a ceremony with it,
    /// [`Error::Elsewhere`] if a share is on a token that did not open the vault, [`Error::Token`].
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let (home, token) = (&self.home, self.token.as_deref());
        let _held = lock_alone(home, name)?;
        let writer = Writer::lock(home)?;
        KeyFile::existing(home, name)?;
        for path in file::list(&home.keys().join(name))? {
            reach(home, &path, token)?;
        }
        remove_key(&writer, home, name, token)
    }

    /// Notes that a key is deleted, if all its files are missing.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if it [is there](is_gone).
    pub fn forget_missing(&self, name: &str) -> Result<(), Error> {
        let writer = Writer::lock(&self.home)?;
        if !is_gone(&self.home, name)? {
            return Err(Error::conflict("key", name));
        }
        Editions::deleted(&writer, &KeyFile::path(&self.home, name))
    }

    /// Stores the share of a new epoch, durably: of a new key, or of a refresh beside the active
    /// epoch of the same key. `confirmation` is kept unsealed beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the name is taken by another key, if [`MAX_PENDING`] epochs are pending
    /// already, if there is a share of this epoch, or if the key is here under another name. Nothing is overwritten.
    pub fn store_pending(
        &self,
        record: &KeyRecord,
        share: &Secret<Vec<u8>>,
        confirmation: &[u8],
    ) -> Result<(), Error> {
        let (home, name) = (&self.home, record.name.as_str());
        check_file_name(name)?;
        let writer = Writer::lock(home)?;
        remove_tombstones(&writer, home, self.token.as_deref())?;
        let mut file = KeyFile::read(home, name)?.unwrap_or_default();
        if file.pending.len() >= MAX_PENDING || file.records().any(|held| !record.follows(held)) {
            let what = if file.active.is_some() { "key" } else { "pending key" };
            return Err(Error::conflict(what, name));
        }
        // Two requesters may call one key differently.
        if file.records().next().is_none()
            && let Some(same) = of_public_key(home, &record.public_key)?
        {
            return Err(Error::conflict("key", &same.name));
        }
        self.place(&writer, record, share, confirmation)?;
        file.pending.push(KeyRecord { state: KeyState::Pending, ..record.clone() });
        file.write(&writer, home, name)
    }

    /// Stores the share of a backup as the active epoch of a key that is not here.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the name is taken, or if the key is here under any name.
    pub fn restore(
        &self,
        record: &KeyRecord,
        share: &Secret<Vec<u8>>,
        confirmation: &[u8],
        meeting: &[MeetingSecret],
    ) -> Result<(), Error> {
        let (home, name) = (&self.home, record.name.as_str());
        check_file_name(name)?;
        let writer = Writer::lock(home)?;
        remove_tombstones(&writer, home, self.token.as_deref())?;
        if KeyFile::read(home, name)?.is_some() {
            return Err(Error::conflict("key", name));
        }
        if let Some(same) = of_public_key(home, &record.public_key)? {
            return Err(Error::conflict("key", &same.name));
        }
        if file::is_there(&home.keys().join(name))? {
            // What a process that was killed here has left.
            sweep(&writer, home, name, &KeyFile::default(), self.token.as_deref())?;
        }
        self.place(&writer, record, share, confirmation)?;
        // Before the record: a share that cannot sign has nothing to derive them from again.
        self.place_meeting(&writer, name, &record.epoch, meeting)?;
        let active = KeyRecord { state: KeyState::Active, restored: true, ..record.clone() };
        KeyFile { active: Some(active), ..KeyFile::default() }.write(&writer, home, name)
    }

    /// Writes a share and what the confirmations of its epoch are checked against, and reads the share back.
    fn place(
        &self,
        writer: &Writer<'_>,
        record: &KeyRecord,
        share: &Secret<Vec<u8>>,
        confirmation: &[u8],
    ) -> Result<(), Error> {
        let (home, name) = (&self.home, record.name.as_str());
        let path = epoch_file(home, name, &record.epoch, SHARE);
        let sealed = self.keyring.seal(share.expose()).map_err(Error::io(&path))?;
        let placed = match self.token_for_shares()? {
            Some(token) => self.put_on(token, writer, name, &record.epoch, &sealed)?,
            None => false,
        };
        if !placed {
            writer.create(&path, &sealed)?;
            // The share fell back to a file, so the note of the token is removed.
            writer.destroy(&path.with_extension(NOTE))?;
        }
        let beside = epoch_file(home, name, &record.epoch, CONFIRMATION);
        writer.create(&beside, &authentic::sign_bytes(home, &beside, confirmation)?)?;
        match bool::from(self.share(name, &record.epoch)?.ct_eq(share)) {
            true => Ok(()),
            false => Err(Error::corrupt(&path, "reads back differently")),
        }
    }

    /// Stores, durably, that this device leaves a key by an epoch that the others have stored. At most as
    /// many are kept as may be pending; the oldest go.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key.
    pub fn store_leaving(&self, name: &str, leaving: &LeavingRecord) -> Result<(), Error> {
        let writer = Writer::lock(&self.home)?;
        let mut file = KeyFile::existing(&self.home, name)?;
        keep(&mut file.leaving, leaving.clone());
        file.write(&writer, &self.home, name)
    }

    /// Stores what this device says to one that leaves the key by an epoch, durably. The newest are kept, as many as
    /// may be pending.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key.
    pub fn store_parting(&self, name: &str, parting: &Parting) -> Result<(), Error> {
        let writer = Writer::lock(&self.home)?;
        let mut file = KeyFile::existing(&self.home, name)?;
        keep(&mut file.partings, parting.clone());
        file.write(&writer, &self.home, name)
    }

    /// Stores what a party said when it confirmed an epoch, durably. A file of confirmations that
    /// cannot be read is replaced: all of it can be asked for again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key or epoch.
    pub fn store_confirmed(
        &self,
        name: &str,
        epoch: &[u8; 32],
        said: &Confirmed,
    ) -> Result<(), Error> {
        let home = &self.home;
        let writer = Writer::lock(home)?;
        if !KeyFile::existing(home, name)?.confirmable().any(|confirmable| confirmable == epoch) {
            return Err(Error::not_found("key", name));
        }
        let mut confirmed = match confirmed(home, name, epoch) {
            Err(Error::Corrupt { .. } | Error::Tampered { .. }) => Vec::new(),
            read => read?,
        };
        if confirmed.contains(said) {
            return Ok(());
        }
        confirmed.retain(|other| other.party != said.party);
        confirmed.push(said.clone());
        let path = epoch_file(home, name, epoch, CONFIRMED);
        let bytes = format::to_bytes(home, &path, ConfirmedFile { confirmed })?;
        writer.replace(&path, &bytes, Durability::Synced)
    }

    /// Stores, sealed, the secrets by which this device and each of these parties of an epoch find
    /// each other at a relay, so that no share is opened for that.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such key or epoch.
    pub fn store_meeting(
        &self,
        name: &str,
        epoch: &[u8; 32],
        secrets: &[MeetingSecret],
    ) -> Result<(), Error> {
        let home = &self.home;
        let writer = Writer::lock(home)?;
        if !KeyFile::existing(home, name)?.holds(epoch) {
            return Err(Error::not_found("key", name));
        }
        self.place_meeting(&writer, name, epoch, secrets)
    }

    /// Writes the secrets of [`Vault::store_meeting`].
    fn place_meeting(
        &self,
        writer: &Writer<'_>,
        name: &str,
        epoch: &[u8; 32],
        secrets: &[MeetingSecret],
    ) -> Result<(), Error> {
        let mut plain = Secret::new(Vec::with_capacity(secrets.len().saturating_mul(ENTRY)));
        for (party, secret) in secrets {
            plain.expose_mut().push(party.get());
            plain.expose_mut().extend_from_slice(secret.expose());
        }
        let path = epoch_file(&self.home, name, epoch, MEETING);
        let sealed = self.keyring.seal(plain.expose()).map_err(Error::io(&path))?;
        writer.replace(&path, &sealed, Durability::Synced)
    }

    /// The secrets that [`Vault::store_meeting`] stored; `None` if there are none or they do not
    /// open. The caller then derives them from the share again.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`], [`Error::LooseMode`], [`Error::Io`].
    pub fn meeting(
        &self,
        name: &str,
        epoch: &[u8; 32],
    ) -> Result<Option<Vec<MeetingSecret>>, Error> {
        check_file_name(name)?;
        let path = epoch_file(&self.home, name, epoch, MEETING);
        let Some(sealed) = file::read(&path)? else { return Ok(None) };
        let Ok(plain) = self.unseal_bytes(&path, &sealed) else { return Ok(None) };
        let entries = plain.expose().chunks_exact(ENTRY);
        let secrets = entries.filter_map(|entry| {
            let (party, secret) = entry.split_first()?;
            Some((PartyId::new(*party)?, Secret::new(*secret.first_chunk()?)))
        });
        Ok(Some(secrets.collect()))
    }

    /// Makes a pending epoch the active one, in one step, then destroys the shares of all older ones.
    /// Newer ones stay pending. Doing it again is harmless, and finishes what an error or a crash
    /// interrupted.
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
        if let Some(position) = file.pending.iter().position(|record| record.epoch == *epoch) {
            let newest_done = file.pending.drain(..=position).next_back();
            file.active = newest_done.map(|record| KeyRecord { state: KeyState::Active, ..record });
            // What this device leaves from this epoch or a later one it still leaves. From an older one it
            // does not: it has a new share of all parties.
            let epochs: Vec<[u8; 32]> = file.records().map(|record| record.epoch).collect();
            file.leaving.retain(|leaving| epochs.contains(&leaving.after));
            file.write(&writer, home, name)?;
        }
        match &file.active {
            Some(active) if active.epoch == *epoch => {
                sweep(&writer, home, name, &file, self.token.as_deref())
            }
            _ => Err(Error::not_found("pending key", name)),
        }
    }

    /// The share of an epoch, as it was stored. If a token opened the vault, it must still be there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none, [`Error::Corrupt`] if it does not open,
    /// [`Error::Token`], [`Error::Elsewhere`] if it is on another token than the open one,
    /// [`Error::Gone`] if it is no longer on the token.
    pub fn share(&self, name: &str, epoch: &[u8; 32]) -> Result<Secret<Vec<u8>>, Error> {
        check_file_name(name)?;
        match location(&self.home, name, epoch)? {
            Location::File(path) => {
                if let Some(token) = &self.token {
                    token.check()?;
                }
                match self.unseal(&path)? {
                    Some(share) => Ok(share),
                    None if KeyFile::existing(&self.home, name)?.holds(epoch) => {
                        Err(Error::tampered(&path, MISSING))
                    }
                    None => Err(Error::not_found("key", name)),
                }
            }
            Location::Token(uri) => {
                let sealed = fetch(&uri, self.token.as_deref())?;
                self.unseal_bytes(&epoch_file(&self.home, name, epoch, NOTE), &sealed)
            }
        }
    }

    /// The token for new shares; `None` if they go to the disk. The header is read each time, since
    /// another process may have sealed the vault with something else.
    fn token_for_shares(&self) -> Result<Option<&token::Session>, Error> {
        let Some(token) = &self.token else { return Ok(None) };
        let header = Header::read(&self.home)?;
        let ours = header.token().is_some_and(|record| token.is(&record.uri));
        Ok(Some(token.as_ref()).filter(|_| ours && header.keeps_shares_on_token()))
    }

    /// Puts a sealed share onto the token and reads it back; `false` if the token cannot hold it.
    fn put_on(
        &self,
        token: &token::Session,
        writer: &Writer<'_>,
        name: &str,
        epoch: &[u8; 32],
        sealed: &[u8],
    ) -> Result<bool, Error> {
        let device = Self::device(&self.home)?.fingerprint.device_id();
        let (start, _) = epoch.split_at(8);
        let label = format!("cosign {name} {} {device}", hex(start));
        let (object, kind) = (Some(label.clone()), Some(Kind::Data));
        let note = epoch_file(&self.home, name, epoch, NOTE);
        let uri = Uri { object, kind, ..Uri::of(token.info()) };
        writer.create(&note, &format::to_bytes(&self.home, &note, Note { uri })?)?;
        match token.put(&label, sealed) {
            // A session that cannot write cannot delete either: if other shares of the key are on
            // the token, the one that this share replaces would stay there, so that is an error.
            Err(error) if error.does_not_fit() && (error.is_full() || !others_on_token(&note)?) => {
                return Ok(false);
            }
            put => put?,
        }
        match token.fetch(&label) {
            Ok(Some(back)) if back == sealed => Ok(true),
            Err(error) if !error.does_not_fit() => Err(error.into()),
            // The token stored something else than it was given.
            _ => Ok(token.destroy(&label).map(|()| false)?),
        }
    }

    /// Brings the shares of a key from the token to the disk.
    pub(super) fn shares_to_disk(&self, writer: &Writer<'_>, name: &str) -> Result<(), Error> {
        for note in file::list(&self.home.keys().join(name))? {
            if !is_note(&note) {
                continue;
            }
            let path = note.with_extension(SHARE);
            // The share on the token is removed only if the file opens.
            let whole = match self.unseal(&path) {
                Ok(share) => share.is_some(),
                Err(Error::Corrupt { .. }) => false,
                Err(error) => return Err(error),
            };
            if !whole {
                let Note { uri } = existing_note(&self.home, &note)?;
                match fetch(&uri, self.token.as_deref()) {
                    Ok(sealed) => {
                        self.unseal_bytes(&note, &sealed)?;
                        writer.replace(&path, &sealed, Durability::Synced)?;
                        self.unseal(&path)?;
                    }
                    // A note that no record names is left over from an interrupted store; its
                    // object may be missing.
                    Err(Error::Gone { .. }) if !KeyFile::names_epoch(&self.home, name, &note)? => {}
                    Err(error) => return Err(error),
                }
            }
            drop_note(writer, &note, self.token.as_deref())?;
        }
        Ok(())
    }

    /// Puts the shares of a key onto the token, as far as they fit.
    pub(super) fn shares_to_token(&self, writer: &Writer<'_>, name: &str) -> Result<(), Error> {
        let Some(token) = self.token.as_deref() else { return Ok(()) };
        for record in KeyFile::read(&self.home, name)?.unwrap_or_default().records() {
            let path = epoch_file(&self.home, name, &record.epoch, SHARE);
            let Some(sealed) = file::read(&path)? else { continue };
            // A share that does not open stays as it is.
            if self.unseal_bytes(&path, &sealed).is_err() {
                continue;
            }
            if self.put_on(token, writer, name, &record.epoch, &sealed)? {
                writer.destroy(&path)?;
                file::sync_dir(&self.home.keys().join(name))?;
            } else {
                writer.destroy(&path.with_extension(NOTE))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Token(uri) => write!(f, "{uri}"),
        }
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl KeyRecord {
    /// Whether both are of the same parties, of which as many must sign.
    pub fn has_parties_of(&self, other: &Self) -> bool {
        let fingerprints = |record: &Self| {
            record.parties.iter().map(|party| party.fingerprint).collect::<Vec<_>>()
        };
        self.threshold == other.threshold && fingerprints(self) == fingerprints(other)
    }

    /// Whether this can be stored beside `held`, which is older. Two refreshes of one epoch have
    /// the same generation if the first was left pending, and so have two imports.
    fn follows(&self, held: &Self) -> bool {
        (self.curve, self.public_key) == (held.curve, held.public_key)
            && self.epoch != held.epoch
            && (self.generation > held.generation || held.state == KeyState::Pending)
    }
}

impl KeyFile {
    fn path(home: &Home, name: &str) -> PathBuf {
        home.keys().join(name).join(RECORD)
    }

    fn read(home: &Home, name: &str) -> Result<Option<Self>, Error> {
        match Self::read_known(home, name) {
            Err(error @ (Error::Tampered { .. } | Error::Corrupt { .. })) => {
                Err(Self::stray(home, name)?.unwrap_or(error))
            }
            read => read,
        }
    }

    fn read_known(home: &Home, name: &str) -> Result<Option<Self>, Error> {
        let path = Self::path(home, name);
        let Some(file) = document::read::<Self>(home, &path)? else {
            return match Editions::unchecked(home).demand(home, &path) {
                true => Err(Error::tampered(&path, MISSING)),
                false => Ok(None),
            };
        };
        let named = file.records().all(|record| record.name == name);
        if named { Ok(Some(file)) } else { Err(Error::corrupt(&path, "of another key")) }
    }

    /// The error for a folder whose record is refused, if this device never had a key of that name:
    /// somebody copied the folder there, or renamed it.
    fn stray(home: &Home, name: &str) -> Result<Option<Error>, Error> {
        let (dir, path) = (home.keys().join(name), Self::path(home, name));
        if !known(home)?.is_stranger(home, &path) {
            return Ok(None);
        }
        // Unauthenticated, and only for the message.
        let said = document::read::<Self>(&home.locked(), &path).ok().flatten();
        let of = said.and_then(|file| file.into_records().next()).map(|record| record.name);
        let of = of.filter(|of| of != name && check_file_name(of).is_ok());
        Ok(Some(Error::Stray { path: dir, of }))
    }

    fn existing(home: &Home, name: &str) -> Result<Self, Error> {
        check_file_name(name)?;
        Self::read(home, name)?.ok_or_else(|| Error::not_found("key", name))
    }

    /// Whether a file of a key belongs to an epoch that the key's record names.
    fn names_epoch(home: &Home, name: &str, path: &Path) -> Result<bool, Error> {
        let file = Self::read(home, name)?.unwrap_or_default();
        let belongs = |record: &KeyRecord| {
            epoch_file(home, name, &record.epoch, SHARE) == path.with_extension(SHARE)
        };
        Ok(file.records().any(belongs))
    }

    fn write(&self, writer: &Writer<'_>, home: &Home, name: &str) -> Result<(), Error> {
        let is_unnamed = self.records().all(|record| record.curve.is_unnamed());
        let version = if is_unnamed { format::VERSION } else { format::NAMES_CURVE };
        document::write_in(writer, &Self::path(home, name), version, self)
    }

    fn records(&self) -> impl Iterator<Item = &KeyRecord> {
        self.active.iter().chain(&self.pending)
    }

    /// The epochs that parties confirm to this device.
    fn confirmable(&self) -> impl Iterator<Item = &[u8; 32]> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.epoch);
        self.records().map(|record| &record.epoch).chain(leaving)
    }

    /// Whether it has a record of this epoch.
    fn holds(&self, epoch: &[u8; 32]) -> bool {
        self.records().any(|record| record.epoch == *epoch)
    }

    fn into_records(self) -> impl Iterator<Item = KeyRecord> {
        self.active.into_iter().chain(self.pending)
    }
}

/// Destroys the files, and the objects on the token, of all epochs that `file` does not name.
fn sweep(
    writer: &Writer<'_>,
    home: &Home,
    name: &str,
    file: &KeyFile,
    token: Option<&token::Session>,
) -> Result<(), Error> {
    let dir = home.keys().join(name);
    let kept: Vec<PathBuf> = file
        .records()
        .flat_map(|record| {
            [SHARE, NOTE, CONFIRMATION, CONFIRMED, MEETING].map(|ending| (record.epoch, ending))
        })
        .chain(file.leaving.iter().map(|leaving| (leaving.epoch, CONFIRMED)))
        .map(|(epoch, ending)| epoch_file(home, name, &epoch, ending))
        .chain([KeyFile::path(home, name)])
        .collect();
    for path in file::list(&dir)? {
        if !kept.contains(&path) {
            destroy(writer, &path, token)?;
        }
    }
    file::sync_dir(&dir)
}

/// Removes a key from the list in one step, then destroys its files. Its objects on the token are
/// destroyed before: if the token refuses, the share must not stay there without a note.
fn remove_key(
    writer: &Writer<'_>,
    home: &Home,
    name: &str,
    token: Option<&token::Session>,
) -> Result<(), Error> {
    remove_tombstones(writer, home, token)?;
    let dir = home.keys().join(name);
    for note in file::list(&dir)?.iter().filter(|path| is_note(path)) {
        clear(home, note, token)?;
    }
    let record = KeyFile::path(home, name);
    Editions::deleting(writer, &record, format::edition(home, &record)?)?;
    file::rename_dir(&dir, &home.keys().join(TOMBSTONES))?;
    Editions::deleted(writer, &record)?;
    remove_tombstones(writer, home, token)
}

/// Destroys what an interrupted deletion left.
pub(super) fn remove_tombstones(
    writer: &Writer<'_>,
    home: &Home,
    token: Option<&token::Session>,
) -> Result<(), Error> {
    let tombstones = home.keys().join(TOMBSTONES);
    if !tombstones.exists() {
        return Ok(());
    }
    for path in file::list(&tombstones)? {
        destroy(writer, &path, token)?;
    }
    writer.destroy_dir(&tombstones)
}

/// Destroys a file of a key. For a note, the object on the token first.
fn destroy(writer: &Writer<'_>, path: &Path, token: Option<&token::Session>) -> Result<(), Error> {
    if is_note(path) { drop_note(writer, path, token) } else { writer.destroy(path) }
}

/// Destroys the object that a note names, then the note.
fn drop_note(
    writer: &Writer<'_>,
    note: &Path,
    token: Option<&token::Session>,
) -> Result<(), Error> {
    clear(writer.home(), note, token)?;
    writer.destroy(note)
}

/// Destroys the object that a note names.
fn clear(home: &Home, note: &Path, token: Option<&token::Session>) -> Result<(), Error> {
    let Note { uri } = existing_note(home, note)?;
    Ok(on(&uri, token)?.destroy(uri.object.as_deref().unwrap_or_default())?)
}

/// Whether there are notes beside this one.
fn others_on_token(note: &Path) -> Result<bool, Error> {
    let files = file::list(note.parent().unwrap_or(note))?;
    Ok(files.iter().any(|path| is_note(path) && path != note))
}

/// The sealed share that is where `uri` says.
fn fetch(uri: &Uri, token: Option<&token::Session>) -> Result<Vec<u8>, Error> {
    let sealed = on(uri, token)?.fetch(uri.object.as_deref().unwrap_or_default())?;
    sealed.ok_or_else(|| Error::Gone { uri: uri.to_string() })
}

/// The open token, if it is the one that `uri` means.
fn on<'t>(uri: &Uri, token: Option<&'t token::Session>) -> Result<&'t token::Session, Error> {
    token.filter(|token| token.is(uri)).ok_or_else(|| Error::Elsewhere { uri: uri.to_string() })
}

/// Fails if a file is a note of a share on a token that is not open.
fn reach(home: &Home, path: &Path, token: Option<&token::Session>) -> Result<(), Error> {
    if is_note(path) { on(&existing_note(home, path)?.uri, token).map(|_| ()) } else { Ok(()) }
}

fn is_note(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == NOTE)
}

pub(super) fn is_confirmation(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == CONFIRMATION)
}

fn existing_note(home: &Home, path: &Path) -> Result<Note, Error> {
    document::read(home, path)?.ok_or_else(|| Error::corrupt(path, "missing"))
}

fn epoch_file(home: &Home, name: &str, epoch: &[u8; 32], ending: &str) -> PathBuf {
    let (start, _) = epoch.split_at(8);
    home.keys().join(name).join(Path::new(&hex(start)).with_extension(ending))
}

const SHARE: &str = "age";
const CONFIRMATION: &str = "confirmation";
const CONFIRMED: &str = "confirmed";
const MEETING: &str = "meeting";
/// Bytes of one entry in a file of meeting secrets: the party's index and the secret.
const ENTRY: usize = 33;
/// No key can have this name.
const TOMBSTONES: &str = ".deleted";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::editions;
    use crate::vault::fixture::{self, TestHome};

    fn record(name: &str, epoch: u8, generation: u64) -> KeyRecord {
        let party = |index: u8, name: &str| PartyRecord {
            index: fixture::party(index),
            name: name.into(),
            fingerprint: Fingerprint::new([index; 32]),
        };
        KeyRecord {
            name: name.into(),
            curve: crate::curve::CurveName::default(),
            // Each name is one of another key.
            public_key: [name.bytes().fold(2, u8::wrapping_add); 33],
            threshold: 2,
            me: fixture::party(1),
            parties: vec![party(1, "alice"), party(2, "bob")],
            epoch: [epoch; 32],
            generation,
            created: 1_790_000_000,
            state: KeyState::Pending,
            restored: false,
        }
    }

    fn share_file(home: &Home, name: &str, epoch: &[u8; 32]) -> PathBuf {
        epoch_file(home, name, epoch, SHARE)
    }

    fn active(record: KeyRecord) -> KeyRecord {
        KeyRecord { state: KeyState::Active, ..record }
    }

    /// A share of the size that a real one has.
    fn share(epoch: u8) -> Secret<Vec<u8>> {
        Secret::new(vec![epoch; 70_000])
    }

    fn vault() -> (TestHome, Vault) {
        let (home, vault, _) = fixture::vault();
        (home, vault)
    }

    fn store(vault: &Vault, record: &KeyRecord) -> Result<(), Error> {
        let [epoch, ..] = record.epoch;
        vault.store_pending(record, &share(epoch), &[epoch; 40])
    }

    /// A vault with an active key `k` of epoch 1.
    fn vault_with_key() -> (TestHome, Vault) {
        let (home, vault) = vault();
        store(&vault, &record("k", 1, 1)).unwrap();
        vault.activate("k", &[1; 32]).unwrap();
        (home, vault)
    }

    fn files(home: &Home, name: &str) -> Vec<String> {
        let files = file::list(&home.keys().join(name)).unwrap();
        files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_new_key_is_pending_until_it_is_activated() {
        let (home, vault) = vault();
        assert_eq!(list(&home).unwrap(), []);
        store(&vault, &active(record("k", 1, 1))).unwrap();
        assert_eq!(list(&home).unwrap(), [record("k", 1, 1)]);
        assert_eq!(confirmation(&home, "k", &[1; 32]).unwrap(), [1; 40]);
        assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());

        for _ in 0..2 {
            vault.activate("k", &[1; 32]).unwrap();
            assert_eq!(list(&home).unwrap(), [active(record("k", 1, 1))]);
            assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        }
        // A peer that missed our confirmation may still ask for it.
        assert_eq!(confirmation(&home, "k", &[1; 32]).unwrap(), [1; 40]);
    }

    #[test]
    fn meeting_secrets_are_sealed_and_go_with_their_epoch() {
        let (home, vault) = vault_with_key();
        let kept = |epoch: u8| {
            let secrets = vault.meeting("k", &[epoch; 32]).unwrap();
            secrets.map(|all| all.iter().map(|(p, s)| (*p, *s.expose())).collect::<Vec<_>>())
        };
        assert_eq!(kept(1), None);
        vault.store_meeting("k", &[1; 32], &[(fixture::party(2), Secret::new([7; 32]))]).unwrap();
        assert_eq!(kept(1), Some(vec![(fixture::party(2), [7; 32])]));
        let path = epoch_file(&home, "k", &[1; 32], MEETING);
        let sealed = fs::read(&path).unwrap();
        assert!(!sealed.windows(8).any(|bytes| bytes == [7; 8]));
        assert!(vault.store_meeting("k", &[2; 32], &[]).is_err(), "there is no such epoch");

        store(&vault, &record("k", 2, 2)).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        assert!(!path.exists());
        assert_eq!(kept(2), None);
    }

    #[test]
    fn meeting_secrets_that_do_not_open_are_made_anew() {
        let (home, vault) = vault_with_key();
        vault.store_meeting("k", &[1; 32], &[(fixture::party(2), Secret::new([7; 32]))]).unwrap();
        let path = epoch_file(&home, "k", &[1; 32], MEETING);
        fs::write(&path, b"age-encryption.org/v1\n").unwrap();
        assert!(vault.meeting("k", &[1; 32]).unwrap().is_none());
        vault.store_meeting("k", &[1; 32], &[(fixture::party(2), Secret::new([8; 32]))]).unwrap();
        assert!(vault.meeting("k", &[1; 32]).unwrap().is_some());
    }

    #[test]
    fn a_share_is_never_overwritten() {
        let (home, vault) = vault();
        store(&vault, &record("k", 1, 1)).unwrap();
        let result = vault.store_pending(&record("k", 1, 1), &share(9), b"");
        assert!(matches!(result, Err(Error::Conflict { what: "pending key", .. })));
        vault.activate("k", &[1; 32]).unwrap();
        for (epoch, generation) in [(1, 2), (2, 1)] {
            let result = store(&vault, &record("k", epoch, generation));
            assert!(matches!(result, Err(Error::Conflict { what: "key", .. })));
        }
        let other_key = KeyRecord { public_key: [3; 33], ..record("k", 2, 2) };
        assert!(matches!(store(&vault, &other_key), Err(Error::Conflict { .. })));
        assert_eq!(list(&home).unwrap(), [active(record("k", 1, 1))]);
        assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        // Nor is there a second epoch of a generation that has an active one.
        store(&vault, &record("k", 2, 2)).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        assert!(matches!(store(&vault, &record("k", 3, 2)), Err(Error::Conflict { .. })));
        // What was imported and never confirmed stands beside what is imported again.
        for epoch in [4, 5] {
            store(&vault, &record("imported", epoch, 1)).unwrap();
        }
        vault.activate("imported", &[5; 32]).unwrap();
        assert!(matches!(vault.share("imported", &[4; 32]), Err(Error::NotFound { .. })));
    }

    #[test]
    fn a_share_that_was_taken_away_is_named_and_no_unknown_one() {
        let (home, vault) = vault_with_key();
        let path = share_file(&home, "k", &[1; 32]);
        fs::remove_file(&path).unwrap();
        let taken = vault.share("k", &[1; 32]);
        assert!(matches!(taken, Err(Error::Tampered { path: p, .. }) if p == path));
        assert!(matches!(vault.share("k", &[2; 32]), Err(Error::NotFound { .. })));
    }

    #[test]
    fn a_refreshed_share_waits_beside_the_old_one_and_then_replaces_it() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 1, 1)), record("k", 2, 2)]);
        assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        assert_eq!(vault.share("k", &[2; 32]).unwrap().expose(), share(2).expose());

        vault.activate("k", &[2; 32]).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 2, 2))]);
        assert!(matches!(vault.share("k", &[1; 32]), Err(Error::NotFound { .. })));
        assert!(matches!(vault.activate("k", &[1; 32]), Err(Error::NotFound { .. })));
        assert_eq!(
            files(&home, "k"),
            ["0202020202020202.age", "0202020202020202.confirmation", "key.json"]
        );
    }

    #[test]
    fn a_key_has_one_name() {
        let (_home, vault) = vault();
        store(&vault, &record("k", 1, 2)).unwrap();
        let same = record("k", 1, 2).public_key;
        let other = store(&vault, &KeyRecord { public_key: same, ..record("j", 2, 2) });
        assert!(matches!(other, Err(Error::Conflict { name, .. }) if name == "k"));
        store(&vault, &record("j", 2, 2)).unwrap();
    }

    #[test]
    fn an_older_epoch_that_is_confirmed_later_does_not_keep_a_device_that_leaves() {
        let (home, vault) = vault_with_key();
        let leaves = |epoch: u8, after: u8| LeavingRecord {
            curve: CurveName::default(),
            epoch: [epoch; 32],
            expects: Vec::new(),
            threshold: 2,
            parties: Vec::new(),
            generation: 2,
            after: [after; 32],
            created: 0,
        };
        store(&vault, &record("k", 2, 2)).unwrap();
        vault.store_leaving("k", &leaves(8, 1)).unwrap();
        vault.store_leaving("k", &leaves(9, 2)).unwrap();
        // What it left from epoch 1 it has a newer share than.
        vault.activate("k", &[2; 32]).unwrap();
        assert_eq!(leaving(&home, "k").unwrap(), [leaves(9, 2)]);
        store(&vault, &record("k", 3, 3)).unwrap();
        vault.activate("k", &[3; 32]).unwrap();
        assert_eq!(leaving(&home, "k").unwrap(), []);
    }

    #[test]
    fn a_crash_while_storing_leaves_no_key_and_the_next_one_stores() {
        let (home, vault) = vault();
        let editions = editions::path(&home);
        let before = fs::read(&editions).unwrap();
        store(&vault, &record("k", 1, 1)).unwrap();
        // As if killed before key.json was written.
        fs::remove_file(home.keys().join("k/key.json")).unwrap();
        fs::write(&editions, before).unwrap();
        assert_eq!(list(&home).unwrap(), []);
        assert!(matches!(find(&home, "k"), Err(Error::NotFound { .. })));
        assert!(matches!(vault.activate("k", &[1; 32]), Err(Error::NotFound { .. })));

        store(&vault, &record("k", 2, 1)).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        assert_eq!(list(&home).unwrap(), [active(record("k", 2, 1))]);
        assert!(!share_file(&home, "k", &[1; 32]).exists());
    }

    #[test]
    fn a_crash_while_activating_is_finished_by_activating_again() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let old = fs::read(share_file(&home, "k", &[1; 32])).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        // As if killed after the switch: the old share is whole, or overwritten, but there.
        for left in [&old, &vec![0; old.len()]] {
            let path = share_file(&home, "k", &[1; 32]);
            Writer::lock(&home).unwrap().create(&path, left).unwrap();
            assert_eq!(find(&home, "k").unwrap(), [active(record("k", 2, 2))]);
            assert!(vault.activate("k", &[1; 32]).is_err(), "what was replaced stays replaced");
            vault.activate("k", &[2; 32]).unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn an_epoch_whose_share_does_not_open_never_replaces_one_that_does() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let path = share_file(&home, "k", &[2; 32]);
        let sealed = fs::read(&path).unwrap();
        for damaged in [&sealed[..sealed.len() - 1], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(vault.activate("k", &[2; 32]), Err(Error::Corrupt { .. })));
            assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        }
    }

    #[test]
    fn an_epoch_that_becomes_active_replaces_the_older_ones_and_no_newer_one() {
        let (home, vault) = vault_with_key();
        for (epoch, generation) in [(2, 2), (3, 2), (4, 3)] {
            store(&vault, &record("k", epoch, generation)).unwrap();
        }
        vault.activate("k", &[3; 32]).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 3, 2)), record("k", 4, 3)]);
        for (epoch, kept) in [(1, false), (2, false), (3, true), (4, true)] {
            assert_eq!(vault.share("k", &[epoch; 32]).is_ok(), kept, "{epoch}");
        }
        assert!(matches!(vault.activate("k", &[2; 32]), Err(Error::NotFound { .. })));
    }

    #[test]
    fn a_refresh_too_many_is_refused_and_nothing_is_lost() {
        let (home, vault) = vault_with_key();
        let last = u8::try_from(MAX_PENDING).unwrap() + 1;
        for epoch in 2..=last {
            store(&vault, &record("k", epoch, 2)).unwrap();
        }
        let result = store(&vault, &record("k", last + 1, 2));
        assert!(matches!(result, Err(Error::Conflict { what: "key", .. })));
        assert_eq!(find(&home, "k").unwrap().len(), MAX_PENDING + 1);
        (1..=last).for_each(|epoch| drop(vault.share("k", &[epoch; 32]).unwrap()));
    }

    #[test]
    fn a_key_file_with_one_pending_record_or_none_still_reads() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let path = home.keys().join("k/key.json");
        let mut file: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        file["pending"] = file["pending"][0].take();
        fs::write(&path, file.to_string()).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 1, 1)), record("k", 2, 2)]);
        file["pending"] = serde_json::Value::Null;
        fs::write(&path, file.to_string()).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 1, 1))]);
    }

    #[test]
    fn what_parties_confirmed_is_kept_for_as_long_as_the_epoch() {
        let (home, vault) = vault_with_key();
        let said = |party, byte| Confirmed { party: fixture::party(party), statement: [byte; 32] };
        assert_eq!(confirmed(&home, "k", &[1; 32]).unwrap(), []);
        for of in [said(2, 7), said(3, 8), said(2, 9)] {
            vault.store_confirmed("k", &[1; 32], &of).unwrap();
        }
        assert_eq!(confirmed(&home, "k", &[1; 32]).unwrap(), [said(3, 8), said(2, 9)]);
        let missing = vault.store_confirmed("k", &[2; 32], &said(2, 7));
        assert!(matches!(missing, Err(Error::NotFound { .. })));

        let path = epoch_file(&home, "k", &[1; 32], CONFIRMED);
        fs::write(&path, b"{}").unwrap();
        let unreadable = confirmed(&home, "k", &[1; 32]);
        assert!(matches!(unreadable, Err(Error::Corrupt { path: p, .. }) if p == path));
        vault.store_confirmed("k", &[1; 32], &said(2, 7)).unwrap();
        assert_eq!(confirmed(&home, "k", &[1; 32]).unwrap(), [said(2, 7)]);

        store(&vault, &record("k", 2, 2)).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_renamed_key_has_all_that_it_had() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let said = Confirmed { party: fixture::party(2), statement: [7; 32] };
        vault.store_confirmed("k", &[2; 32], &said).unwrap();
        vault.store_meeting("k", &[1; 32], &[(fixture::party(2), Secret::new([7; 32]))]).unwrap();
        store(&vault, &record("l", 3, 1)).unwrap();
        assert!(matches!(vault.rename_key("k", "l"), Err(Error::Conflict { what: "key", .. })));
        assert!(matches!(vault.rename_key("m", "n"), Err(Error::NotFound { .. })));
        vault.rename_key("k", "m").unwrap();
        let named = |key: KeyRecord| KeyRecord { name: "m".into(), ..key };
        let expected = [named(active(record("k", 1, 1))), named(record("k", 2, 2))];
        assert_eq!(find(vault.home(), "m").unwrap(), expected);
        assert!(matches!(find(vault.home(), "k"), Err(Error::NotFound { .. })));
        for epoch in [1, 2] {
            let found = vault.share("m", &[epoch; 32]).unwrap();
            assert_eq!(found.expose(), share(epoch).expose());
        }
        assert_eq!(confirmed(vault.home(), "m", &[2; 32]).unwrap(), [said]);
        assert!(vault.meeting("m", &[1; 32]).unwrap().is_some());
        check(vault.home()).unwrap();
        assert!(!home.keys().join("k").exists());
        // And back, and the name that it had is free for another one.
        vault.rename_key("m", "k").unwrap();
        vault.rename_key("k", "m").unwrap();
        let other = KeyRecord { public_key: [7; 33], ..record("k", 4, 1) };
        store(&vault, &other).unwrap();
        vault.activate("m", &[2; 32]).unwrap();
        check(vault.home()).unwrap();
    }

    #[test]
    fn a_name_that_a_key_had_takes_no_record_of_before_however_often_the_renaming_is_finished() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let copy = fs::read(KeyFile::path(&home, "k")).unwrap();
        vault.rename_key("k", "m").unwrap();
        // As a process leaves it that was killed when the last file of `k` was gone.
        let home = vault.home();
        let unfinished = KeyFile { was: Some("k".into()), ..KeyFile::existing(home, "m").unwrap() };
        unfinished.write(&Writer::lock(home).unwrap(), home, "m").unwrap();
        file::make_dir(&home.keys().join("k")).unwrap();
        vault.finish_renames().unwrap();
        file::make_dir(&home.keys().join("k")).unwrap();
        file::create_outside(&KeyFile::path(home, "k"), &copy).unwrap();
        assert!(matches!(find(home, "k"), Err(Error::Tampered { .. })));
    }

    #[test]
    fn a_share_that_a_power_cut_left_in_both_folders_is_kept() {
        let (_dir, vault) = vault_with_key();
        vault.rename_key("k", "m").unwrap();
        let home = vault.home();
        let unfinished = KeyFile { was: Some("k".into()), ..KeyFile::existing(home, "m").unwrap() };
        unfinished.write(&Writer::lock(home).unwrap(), home, "m").unwrap();
        file::make_dir(&home.keys().join("k")).unwrap();
        let path = |name| epoch_file(home, name, &[1; 32], SHARE);
        fs::hard_link(path("m"), path("k")).unwrap();
        vault.finish_renames().unwrap();
        assert_eq!(vault.share("m", &[1; 32]).unwrap().expose(), share(1).expose());
        assert!(!home.keys().join("k").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_restored_has_its_meeting_secrets_before_it_is_a_key() {
        let (home, vault) = vault();
        let folder = home.keys().join("k");
        file::make_dir(&folder).unwrap();
        let secrets = [(fixture::party(2), Secret::new([7; 32]))];
        let names = fixture::names(&folder, || {
            vault.restore(&record("k", 1, 1), &share(1), b"", &secrets).unwrap();
        });
        let place = |ending: &str| names.iter().position(|name| name.ends_with(ending)).unwrap();
        assert!(place(MEETING) < place("key.json"), "{names:?}");
        let found = vault.meeting("k", &[1; 32]).unwrap().unwrap();
        assert_eq!((found.len(), found[0].1.expose()), (1, &[7; 32]));
        check(vault.home()).unwrap();
    }

    #[test]
    fn a_folder_without_a_record_takes_no_name() {
        let (home, vault) = vault_with_key();
        let left = home.keys().join("m");
        file::make_dir(&left).unwrap();
        file::create_outside(&left.join("0101010101010101.confirmation"), b"of before").unwrap();
        let taken = |name| is_taken(vault.home(), name).unwrap();
        assert!(taken("k") && !taken("m") && !taken("n"));
        vault.rename_key("k", "m").unwrap();
        assert!(taken("m") && !taken("k"));
        check(vault.home()).unwrap();
    }

    #[test]
    fn a_deleted_key_is_gone_and_its_name_is_free() {
        let (home, vault) = vault_with_key();
        vault.delete("k").unwrap();
        assert_eq!(list(&home).unwrap(), []);
        assert_eq!(file::list(&home.keys()).unwrap(), Vec::<PathBuf>::new());
        assert!(matches!(vault.delete("k"), Err(Error::NotFound { what: "key", .. })));
        store(&vault, &record("k", 2, 1)).unwrap();
    }

    #[test]
    fn what_an_interrupted_deletion_left_is_destroyed_later() {
        let (home, vault) = vault_with_key();
        let record_of_k = KeyFile::path(&home, "k");
        Editions::deleting(&Writer::lock(vault.home()).unwrap(), &record_of_k, 2).unwrap();
        fs::rename(home.keys().join("k"), home.keys().join(TOMBSTONES)).unwrap();
        assert_eq!(list(vault.home()).unwrap(), []);
        store(&vault, &record("k", 2, 1)).unwrap();
        assert!(!home.keys().join(TOMBSTONES).exists());
    }

    fn user<T: fmt::Debug>(lock: Result<T, Error>) -> Use {
        match lock {
            Err(Error::InUse { name, by }) if name == "k" => by,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn signatures_go_side_by_side_and_beside_what_changes_shares() {
        let (home, _vault) = vault_with_key();
        let changing = lock_to_change(&home, "k").unwrap();
        let signing = [lock_to_sign(&home, "k").unwrap(), lock_to_sign(&home, "k").unwrap()];
        assert_eq!(user(lock_to_change(&home, "k")), Use::Changing);
        lock_to_change(&home, "other").unwrap();
        drop((changing, signing));
        lock_to_change(&home, "k").unwrap();
    }

    #[test]
    fn a_key_in_use_is_not_deleted() {
        let (home, vault) = vault_with_key();
        let changing = lock_to_change(&home, "k").unwrap();
        assert_eq!(user(vault.delete("k")), Use::Changing);
        drop(changing);
        let signing = lock_to_sign(&home, "k").unwrap();
        assert_eq!(user(vault.delete("k")), Use::Signing);
        drop(signing);
        let alone = lock_alone(&home, "k").unwrap();
        assert_eq!(user(lock_to_sign(&home, "k")), Use::Changing);
        assert_eq!(user(lock_to_change(&home, "k")), Use::Changing);
        drop(alone);
        vault.delete("k").unwrap();
    }

    #[test]
    fn who_waits_for_signatures_to_end_lets_no_other_begin() {
        let (home, _vault) = vault_with_key();
        let signing = lock_to_sign(&home, "k").unwrap();
        let gate = close(&home, "k").unwrap();
        assert_eq!(user(lock_to_sign(&home, "k")), Use::Changing);
        assert_eq!(user(lock_to_change(&home, "k")), Use::Changing);
        assert_eq!(user(close(&home, "k")), Use::Changing);
        assert_eq!(user(lock_alone(&home, "k")), Use::Signing);
        drop(signing);
        lock_alone(&home, "k").unwrap();
        drop(gate);
        lock_to_sign(&home, "k").unwrap();
    }

    #[test]
    fn a_share_on_a_token_is_found_by_its_note_and_out_of_reach_without_it() {
        let (home, vault) = vault_with_key();
        let note = epoch_file(&home, "k", &[1; 32], NOTE);
        let uri = "pkcs11:token=cosign%20test;object=cosign%20k%200101010101010101%20a1;type=data";
        let frozen = format!("{{\n  \"version\": 1,\n  \"uri\": \"{uri}\"\n}}\n");
        let frozen = authentic::sign(vault.home(), &note, frozen.into_bytes()).unwrap();
        Writer::lock(&home).unwrap().create(&note, &frozen).unwrap();
        // If both exist, as in the middle of a move, the file counts.
        assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        let moved = home.data.join("moved");
        fs::rename(share_file(&home, "k", &[1; 32]), &moved).unwrap();
        assert_eq!(location(&home, "k", &[1; 32]).unwrap().to_string(), uri);
        let elsewhere = |e: Error| assert!(matches!(e, Error::Elsewhere { uri: u } if u == uri));
        elsewhere(vault.share("k", &[1; 32]).unwrap_err());
        // Nothing is destroyed that could not be destroyed on the token too.
        elsewhere(vault.delete("k").unwrap_err());
        assert_eq!(list(&home).unwrap(), [active(record("k", 1, 1))]);
        fs::write(&note, b"{}").unwrap();
        assert!(
            matches!(vault.share("k", &[1; 32]), Err(Error::Tampered { path, .. }) if path == note)
        );
    }

    #[test]
    fn a_record_of_another_key_or_home_is_named() {
        let ((_home, vault), (_other, elsewhere)) = (vault_with_key(), vault_with_key());
        store(&vault, &record("l", 2, 1)).unwrap();
        let path = |vault: &Vault, name: &str| KeyFile::path(vault.home(), name);
        let whole = fs::read_to_string(path(&vault, "k")).unwrap();
        let posing = fs::read_to_string(path(&vault, "l")).unwrap().replace("\"l\"", "\"k\"");
        for other in [posing, fs::read_to_string(path(&elsewhere, "k")).unwrap()] {
            assert_ne!(other, whole);
            fs::write(path(&vault, "k"), other).unwrap();
            let found = find(vault.home(), "k");
            assert!(
                matches!(found, Err(Error::Tampered { path: p, .. }) if p == path(&vault, "k"))
            );
        }
        fs::write(path(&vault, "k"), whole).unwrap();
        assert_eq!(find(vault.home(), "k").unwrap(), [active(record("k", 1, 1))]);
    }

    #[test]
    fn an_older_record_is_not_taken() {
        let (_home, vault) = vault_with_key();
        let path = KeyFile::path(vault.home(), "k");
        let older = fs::read(&path).unwrap();
        store(&vault, &record("k", 2, 2)).unwrap();
        let newest = fs::read(&path).unwrap();
        fs::write(&path, &older).unwrap();
        assert!(matches!(vault.activate("k", &[1; 32]), Err(Error::Tampered { .. })));
        assert!(vault.share("k", &[2; 32]).is_ok(), "what the newest record names was destroyed");
        fs::write(&path, newest).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
    }

    #[test]
    fn a_key_that_was_taken_away_is_missed_until_its_owner_lets_it_go() {
        let (home, vault) = vault_with_key();
        let (folder, away) = (home.keys().join("k"), home.data.join("away"));
        assert!(matches!(vault.forget_missing("k"), Err(Error::Conflict { .. })));
        fs::rename(&folder, &away).unwrap();
        for missed in
            [list(vault.home()).err(), find(vault.home(), "k").err(), check(vault.home()).err()]
        {
            assert!(matches!(missed, Some(Error::Tampered { path, .. }) if path.ends_with(RECORD)));
        }
        assert!(is_gone(vault.home(), "k").unwrap());
        // A folder that cannot be looked for is not one that is missing.
        let (keys, aside) = (home.keys(), home.data.join("aside"));
        fs::rename(&keys, &aside).unwrap();
        std::os::unix::fs::symlink(&keys, &keys).unwrap();
        assert!(matches!(vault.forget_missing("k"), Err(Error::Io { .. })));
        fs::remove_file(&keys).unwrap();
        fs::rename(&aside, &keys).unwrap();
        vault.forget_missing("k").unwrap();
        assert_eq!(list(vault.home()).unwrap(), []);
        // It does not come back, and its name is free.
        fs::rename(&away, &folder).unwrap();
        assert!(matches!(list(vault.home()), Err(Error::Tampered { .. })));
        fs::rename(&folder, &away).unwrap();
        store(&vault, &record("k", 2, 1)).unwrap();
        assert_eq!(list(vault.home()).unwrap(), [record("k", 2, 1)]);
        fs::copy(away.join(RECORD), folder.join(RECORD)).unwrap();
        assert!(matches!(list(vault.home()), Err(Error::Tampered { .. })));
    }

    #[test]
    fn a_deleted_key_does_not_come_back() {
        let (home, vault) = vault_with_key();
        let (folder, copy) = (home.keys().join("k"), home.data.join("copy"));
        file::make_dir(&copy).unwrap();
        for path in file::list(&folder).unwrap() {
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        vault.delete("k").unwrap();
        assert_eq!(list(vault.home()).unwrap(), []);
        fs::rename(&copy, &folder).unwrap();
        assert!(matches!(list(vault.home()), Err(Error::Tampered { .. })));
    }

    #[test]
    fn what_confirmations_are_held_against_is_authenticated() {
        let (_home, vault) = vault_with_key();
        let path = epoch_file(vault.home(), "k", &[1; 32], CONFIRMATION);
        let whole = fs::read(&path).unwrap();
        let named = |vault: &Vault| matches!(check(vault.home()), Err(Error::Tampered { path: p, .. }) if p == path);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            assert!(named(&vault), "bit {bit}");
        }
        fs::remove_file(&path).unwrap();
        assert!(named(&vault));
    }

    #[test]
    fn a_key_name_cannot_point_elsewhere() {
        let (home, vault) = vault();
        let long = "k".repeat(65);
        for name in ["", ".", "..", "../k", "a/b", ".k", "-k", "k\0", "k k", "ключ", &long] {
            let bad =
                |e: Option<Error>| assert!(matches!(e, Some(Error::BadName { .. })), "{name:?}");
            bad(store(&vault, &record(name, 1, 1)).err());
            bad(vault.share(name, &[1; 32]).err());
            bad(vault.activate(name, &[1; 32]).err());
            bad(confirmation(&home, name, &[1; 32]).err());
            bad(find(&home, name).err());
            bad(lock_to_change(&home, name).err());
            bad(lock_to_sign(&home, name).err());
            bad(vault.delete(name).err());
            bad(confirmed(&home, name, &[1; 32]).err());
            bad(vault
                .store_confirmed(
                    name,
                    &[1; 32],
                    &Confirmed { party: fixture::party(2), statement: [0; 32] },
                )
                .err());
        }
        let longest = "k".repeat(64);
        for name in ["k", "Vault_2.old-1", &longest] {
            store(&vault, &record(name, 1, 1)).unwrap();
        }
    }

    #[test]
    fn a_key_file_that_is_not_one_is_named() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("l", 2, 1)).unwrap();
        let path = home.keys().join("k/key.json");
        fs::copy(home.keys().join("l/key.json"), &path).unwrap();
        assert!(matches!(list(&home), Err(Error::Corrupt { path: p, .. }) if p == path));
        fs::write(&path, b"").unwrap();
        assert!(matches!(find(&home, "k"), Err(Error::Corrupt { path: p, .. }) if p == path));
    }
}
