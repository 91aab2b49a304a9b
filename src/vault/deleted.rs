//! Deleted shares: those of this device, kept so that the other parties can be told, and those that
//! other devices say they deleted. Such a claim is unverified and decides nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::document::{self, digits, fingerprint};
use super::error::Error;
use super::file::Writer;
use super::{Home, KeyRecord, keys};
use crate::device::Fingerprint;

/// A key whose share this device has deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// What the key was called here.
    pub name: String,
    /// The public key, SEC1 compressed.
    #[serde(with = "digits")]
    pub public_key: [u8; 33],
    /// The epochs of which there were shares, in hexadecimal.
    pub epochs: Vec<String>,
    /// Who else had a share.
    others: Vec<Party>,
    /// When it was deleted, in seconds since 1970.
    pub time: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Party(#[serde(with = "fingerprint")] Fingerprint);

/// Another party's claim that it has deleted its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The key, SEC1 compressed.
    #[serde(with = "digits")]
    pub public_key: [u8; 33],
    /// The party that says so.
    #[serde(with = "fingerprint")]
    pub party: Fingerprint,
    /// When it deleted the share, as it says.
    pub time: i64,
}

/// `deleted.json`.
#[derive(Default, Serialize, Deserialize)]
struct File {
    here: Vec<Tombstone>,
    elsewhere: Vec<Claim>,
}

/// Records, durably, that the shares in `records`, all of one key, are deleted. [`shared_with`]
/// leaves the key out until its files are gone.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Corrupt`] if the file cannot be read.
pub fn remember(home: &Home, records: &[KeyRecord], time: i64) -> Result<(), Error> {
    let Some(key) = records.first() else { return Ok(()) };
    let others = key.parties.iter().filter(|party| party.index != key.me);
    let stone = Tombstone {
        name: key.name.clone(),
        public_key: key.public_key,
        epochs: records.iter().map(|record| crate::device::hex(&record.epoch)).collect(),
        others: others.map(|party| Party(party.fingerprint)).collect(),
        time,
    };
    change(home, |file| {
        file.here.retain(|old| old.public_key != stone.public_key);
        file.here.push(stone);
    })
}

/// The keys that `peer` is a party of, and whose shares here are deleted.
///
/// # Errors
///
/// [`Error::Corrupt`], and as for [`keys::list`].
pub fn shared_with(home: &Home, peer: &Fingerprint) -> Result<Vec<Tombstone>, Error> {
    let file = read(home)?;
    if file.here.is_empty() {
        return Ok(Vec::new());
    }
    // A key that is still listed was not deleted to the end, so the other parties are not told.
    let kept = keys::list(home)?;
    let gone = |stone: &Tombstone| {
        !kept.iter().any(|key| key.public_key == stone.public_key)
            && !keys::is_newer(home, &stone.name)
    };
    let shared = |stone: &Tombstone| stone.others.iter().any(|Party(other)| other == peer);
    Ok(file.here.into_iter().filter(|stone| shared(stone) && gone(stone)).collect())
}

/// The key whose share this device deleted, or destroyed as it left the key.
///
/// # Errors
///
/// [`Error::Corrupt`].
pub fn here(home: &Home, public_key: &[u8; 33]) -> Result<Option<Tombstone>, Error> {
    Ok(read(home)?.here.into_iter().find(|stone| stone.public_key == *public_key))
}

/// Stores the claim of `party` that it has deleted its share of `key`; false if it is stored
/// already, or if the device is no party of that key.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Corrupt`].
pub fn claim(home: &Home, key: &KeyRecord, party: &Fingerprint, time: i64) -> Result<bool, Error> {
    let takes_part =
        key.parties.iter().any(|other| other.fingerprint == *party && other.index != key.me);
    let said = |old: &Claim| old.public_key == key.public_key && old.party == *party;
    if !takes_part || read(home)?.elsewhere.iter().any(said) {
        return Ok(false);
    }
    change(home, |file| {
        file.elsewhere.push(Claim { public_key: key.public_key, party: *party, time });
    })?;
    Ok(true)
}

/// Removes the claim of `party` about a key: it has just taken part with a share.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Corrupt`].
pub fn refute(home: &Home, public_key: &[u8; 33], party: &Fingerprint) -> Result<(), Error> {
    let said = |old: &Claim| old.public_key == *public_key && old.party == *party;
    if !read(home)?.elsewhere.iter().any(said) {
        return Ok(());
    }
    change(home, |file| file.elsewhere.retain(|old| !said(old)))
}

/// The parties that claim to have deleted their share of this key.
///
/// # Errors
///
/// [`Error::Corrupt`].
pub fn claims(home: &Home, public_key: &[u8; 33]) -> Result<Vec<Claim>, Error> {
    let claims = read(home)?.elsewhere.into_iter();
    Ok(claims.filter(|claim| claim.public_key == *public_key).collect())
}

fn change(home: &Home, how: impl FnOnce(&mut File)) -> Result<(), Error> {
    let writer = Writer::lock(home)?;
    let mut file = read(home)?;
    how(&mut file);
    document::write(&writer, &path(home), file)
}

/// Fails unless this device wrote the file.
pub(super) fn check(home: &Home) -> Result<(), Error> {
    read(home).map(drop)
}

fn read(home: &Home) -> Result<File, Error> {
    document::read(home, &path(home)).map(Option::unwrap_or_default)
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.data.join("deleted.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KeyState, PartyRecord, fixture};

    fn party(index: u8) -> PartyRecord {
        let fingerprint = Fingerprint::new([index; 32]);
        PartyRecord { index: fixture::party(index), name: format!("party {index}"), fingerprint }
    }

    fn record() -> KeyRecord {
        KeyRecord {
            name: "vault".into(),
            curve: crate::curve::CurveName::default(),
            public_key: [2; 33],
            threshold: 2,
            me: fixture::party(1),
            parties: vec![party(1), party(2)],
            epoch: [7; 32],
            generation: 1,
            created: 1_790_000_000,
            state: KeyState::Active,
            restored: false,
        }
    }

    #[test]
    fn a_deleted_share_is_told_to_its_parties_alone() {
        let home = fixture::home();
        remember(&home, &[record()], 5).unwrap();
        remember(&home, &[record()], 6).unwrap();
        let [me, bob, stranger] = [1, 2, 3].map(|n| Fingerprint::new([n; 32]));
        let told = shared_with(&home, &bob).unwrap();
        assert_eq!(told.iter().map(|stone| stone.time).collect::<Vec<_>>(), [6]);
        for other in [me, stranger] {
            assert_eq!(shared_with(&home, &other).unwrap(), []);
        }
    }

    #[test]
    fn a_deletion_that_was_cut_off_is_told_to_nobody() {
        let (_dir, vault, _) = fixture::vault();
        let home = vault.home().clone();
        let share = crate::secret::Secret::new(vec![1; 100]);
        vault.store_pending(&record(), &share, b"").unwrap();
        remember(&home, &[record()], 5).unwrap();
        assert_eq!(shared_with(&home, &Fingerprint::new([2; 32])).unwrap(), []);
        vault.delete("vault").unwrap();
        assert_eq!(shared_with(&home, &Fingerprint::new([2; 32])).unwrap().len(), 1);
    }

    #[test]
    fn a_party_is_believed_about_itself_alone_until_it_takes_part_again() {
        let home = fixture::home();
        let [me, bob, stranger] = [1, 2, 3].map(|n| Fingerprint::new([n; 32]));
        assert!(claim(&home, &record(), &bob, 5).unwrap());
        assert!(!claim(&home, &record(), &bob, 6).unwrap(), "told twice");
        assert!(!claim(&home, &record(), &stranger, 5).unwrap());
        assert!(!claim(&home, &record(), &me, 5).unwrap());
        let said = claims(&home, &[2; 33]).unwrap();
        assert_eq!(said.iter().map(|claim| claim.party).collect::<Vec<_>>(), [bob]);
        assert_eq!(claims(&home, &[3; 33]).unwrap(), []);
        refute(&home, &[2; 33], &bob).unwrap();
        assert_eq!(claims(&home, &[2; 33]).unwrap(), []);
    }
}
