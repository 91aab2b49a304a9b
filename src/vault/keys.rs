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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::fixture::{self, TestHome};

    fn record(name: &str, epoch: u8, generation: u64) -> KeyRecord {
        let party = |index: u8, name: &str| PartyRecord {
            index,
            name: name.into(),
            fingerprint: Fingerprint::new([index; 32]),
        };
        KeyRecord {
            name: name.into(),
            public_key: [2; 33],
            threshold: 2,
            me: 1,
            parties: vec![party(1, "alice"), party(2, "bob")],
            epoch: [epoch; 32],
            generation,
            created: 1_790_000_000,
            state: KeyState::Pending,
        }
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
    fn a_share_is_never_overwritten() {
        let (home, vault) = vault();
        store(&vault, &record("k", 1, 1)).unwrap();
        for epoch in [1, 2] {
            let result = vault.store_pending(&record("k", epoch, 1), &share(9), b"");
            assert!(matches!(result, Err(Error::Conflict { what: "pending key", .. })));
        }
        vault.activate("k", &[1; 32]).unwrap();
        for (epoch, generation) in [(1, 2), (2, 1)] {
            let result = store(&vault, &record("k", epoch, generation));
            assert!(matches!(result, Err(Error::Conflict { what: "key", .. })));
        }
        let other_key = KeyRecord { public_key: [3; 33], ..record("k", 2, 2) };
        assert!(matches!(store(&vault, &other_key), Err(Error::Conflict { .. })));
        assert_eq!(list(&home).unwrap(), [active(record("k", 1, 1))]);
        assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
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
    fn a_crash_while_storing_leaves_no_key_and_the_next_one_stores() {
        let (home, vault) = vault();
        store(&vault, &record("k", 1, 1)).unwrap();
        // As if killed before key.json was written.
        fs::remove_file(home.keys().join("k/key.json")).unwrap();
        assert_eq!(list(&home).unwrap(), []);
        assert!(matches!(find(&home, "k"), Err(Error::NotFound { .. })));
        assert!(matches!(vault.activate("k", &[1; 32]), Err(Error::NotFound { .. })));

        store(&vault, &record("k", 2, 1)).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        assert_eq!(list(&home).unwrap(), [active(record("k", 2, 1))]);
        assert!(!location(&home, "k", &[1; 32]).exists());
    }

    #[test]
    fn a_crash_while_activating_is_finished_by_activating_again() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let old = fs::read(location(&home, "k", &[1; 32])).unwrap();
        vault.activate("k", &[2; 32]).unwrap();
        // As if killed after the switch: the old share is whole, or overwritten, but there.
        for left in [&old, &vec![0; old.len()]] {
            let path = location(&home, "k", &[1; 32]);
            Writer::lock(&home).unwrap().create(&path, left).unwrap();
            assert_eq!(find(&home, "k").unwrap(), [active(record("k", 2, 2))]);
            vault.activate("k", &[2; 32]).unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn an_epoch_whose_share_does_not_open_never_replaces_one_that_does() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let path = location(&home, "k", &[2; 32]);
        let sealed = fs::read(&path).unwrap();
        for damaged in [&sealed[..sealed.len() - 1], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(vault.activate("k", &[2; 32]), Err(Error::Corrupt { .. })));
            assert_eq!(vault.share("k", &[1; 32]).unwrap().expose(), share(1).expose());
        }
    }

    #[test]
    fn discarding_a_pending_epoch_leaves_the_active_one() {
        let (home, vault) = vault_with_key();
        store(&vault, &record("k", 2, 2)).unwrap();
        let wrong = discard_pending(&home, "k", &[1; 32]);
        assert!(matches!(wrong, Err(Error::NotFound { what: "pending key", .. })));
        discard_pending(&home, "k", &[2; 32]).unwrap();
        assert_eq!(find(&home, "k").unwrap(), [active(record("k", 1, 1))]);
        assert!(!location(&home, "k", &[2; 32]).exists());

        store(&vault, &record("new", 3, 1)).unwrap();
        discard_pending(&home, "new", &[3; 32]).unwrap();
        assert!(!home.keys().join("new").exists());
    }

    #[test]
    fn a_deleted_key_is_gone_and_its_name_is_free() {
        let (home, vault) = vault_with_key();
        delete(&home, "k").unwrap();
        assert_eq!(list(&home).unwrap(), []);
        assert_eq!(file::list(&home.keys()).unwrap(), Vec::<PathBuf>::new());
        assert!(matches!(delete(&home, "k"), Err(Error::NotFound { what: "key", .. })));
        store(&vault, &record("k", 2, 1)).unwrap();
    }

    #[test]
    fn what_an_interrupted_deletion_left_is_destroyed_later() {
        let (home, vault) = vault_with_key();
        fs::rename(home.keys().join("k"), home.keys().join(GRAVE)).unwrap();
        assert_eq!(list(&home).unwrap(), []);
        store(&vault, &record("k", 2, 1)).unwrap();
        assert!(!home.keys().join(GRAVE).exists());
    }

    #[test]
    fn a_key_in_use_is_in_use_at_once_and_cannot_be_deleted() {
        let (home, _vault) = vault_with_key();
        let held = lock(&home, "k").unwrap();
        assert!(matches!(lock(&home, "k"), Err(Error::InUse { name }) if name == "k"));
        assert!(matches!(delete(&home, "k"), Err(Error::InUse { .. })));
        lock(&home, "other").unwrap();
        drop(held);
        delete(&home, "k").unwrap();
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
            bad(lock(&home, name).err());
            bad(delete(&home, name).err());
            bad(discard_pending(&home, name, &[1; 32]).err());
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
