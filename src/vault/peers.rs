//! The devices this one is paired with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::document::{self, fingerprint};
use super::error::Error;
use super::file::Writer;
use super::{Home, bad_name, check_label};
use crate::device::Fingerprint;

/// A paired device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// What this device calls it. No other peer has the same name.
    pub name: String,
    /// Its fingerprint. No other record has the same.
    #[serde(with = "fingerprint")]
    pub fingerprint: Fingerprint,
    /// Where to find it without discovery, as `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it was paired or pinned.
    pub paired_at: i64,
    /// When the pairing ends; `None` if it was remembered or pinned.
    pub expires: Option<i64>,
}

impl PeerRecord {
    /// Whether the pairing has ended at the time `now`.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// All paired devices, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    peers: Vec<PeerRecord>,
}

impl Peers {
    /// Reads all records; none if there is no file.
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn load(home: &Home) -> Result<Self, Error> {
        document::read(home, &path(home)).map(Option::unwrap_or_default)
    }

    /// Adds a record. One with the same fingerprint is renewed: it takes the new name, keeps its
    /// address unless there is a new one, and ends no sooner than it would have.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if another device has the name, [`Error::BadName`].
    pub fn add(home: &Home, record: &PeerRecord) -> Result<(), Error> {
        check_name(&record.name)?;
        Self::update(home, |peers| {
            if peers.named(&record.name).is_some_and(|p| p.fingerprint != record.fingerprint) {
                return Err(Error::conflict("peer", &record.name));
            }
            let mut record = record.clone();
            if let Some(old) = peers.remove(|peer| peer.fingerprint == record.fingerprint) {
                record.address = record.address.or(old.address);
                record.expires = record.expires.zip(old.expires).map(|(new, old)| new.max(old));
            }
            peers.peers.push(record);
            Ok(())
        })
    }

    /// Gives a peer another name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] if another device has the name; [`Error::BadName`].
    pub fn rename(home: &Home, name: &str, new: &str) -> Result<(), Error> {
        check_name(new)?;
        Self::update(home, |peers| {
            if name != new && peers.named(new).is_some() {
                return Err(Error::conflict("peer", new));
            }
            let peer = peers.peers.iter_mut().find(|peer| peer.name == name);
            peer.ok_or_else(|| Error::not_found("peer", name))?.name = new.to_owned();
            Ok(())
        })
    }

    /// Removes a record and hands it back.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn forget(home: &Home, name: &str) -> Result<PeerRecord, Error> {
        Self::update(home, |peers| {
            let record = peers.remove(|peer| peer.name == name);
            record.ok_or_else(|| Error::not_found("peer", name))
        })
    }

    /// All records, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PeerRecord> {
        self.peers.iter()
    }

    /// The record with this name.
    pub fn named(&self, name: &str) -> Option<&PeerRecord> {
        self.peers.iter().find(|peer| peer.name == name)
    }

    /// The record with this fingerprint.
    pub fn known(&self, fingerprint: &Fingerprint) -> Option<&PeerRecord> {
        self.peers.iter().find(|peer| peer.fingerprint == *fingerprint)
    }

    /// Changes the records with nobody else changing them meanwhile.
    fn update<T>(
        home: &Home,
        change: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let writer = Writer::lock(home)?;
        let mut peers = Self::load(home)?;
        let result = change(&mut peers)?;
        peers.peers.sort_by(|a, b| a.name.cmp(&b.name));
        peers.write(&writer)?;
        Ok(result)
    }

    /// Puts these records in the place of all others.
    pub(super) fn write(&self, writer: &Writer<'_>) -> Result<(), Error> {
        document::write(writer, &path(writer.home()), self)
    }

    fn remove(&mut self, which: impl Fn(&PeerRecord) -> bool) -> Option<PeerRecord> {
        self.peers.iter().position(which).map(|place| self.peers.remove(place))
    }
}

/// A peer's name is a label that cannot be taken for a fingerprint.
fn check_name(name: &str) -> Result<(), Error> {
    check_label(name)?;
    if name.parse::<Fingerprint>().is_ok() { Err(bad_name(name)) } else { Ok(()) }
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.config.join("peers.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fixture;

    fn record(name: &str, device: u8) -> PeerRecord {
        PeerRecord {
            name: name.into(),
            fingerprint: Fingerprint::new([device; 32]),
            address: None,
            paired_at: 1_000,
            expires: Some(2_800),
        }
    }

    fn names(home: &Home) -> Vec<String> {
        Peers::load(home).unwrap().iter().map(|peer| peer.name.clone()).collect()
    }

    #[test]
    fn records_read_back_in_the_order_of_their_names() {
        let home = fixture::home();
        assert_eq!(Peers::load(&home).unwrap(), Peers::default());
        Peers::add(&home, &record("carol", 3)).unwrap();
        Peers::add(&home, &record("bob", 2)).unwrap();
        let peers = Peers::load(&home).unwrap();
        assert_eq!(names(&home), ["bob", "carol"]);
        assert_eq!(peers.named("bob"), Some(&record("bob", 2)));
        assert_eq!(peers.known(&Fingerprint::new([3; 32])), Some(&record("carol", 3)));
    }

    #[test]
    fn a_name_never_moves_to_another_device() {
        let home = fixture::home();
        Peers::add(&home, &record("bob", 2)).unwrap();
        assert!(matches!(Peers::add(&home, &record("bob", 3)), Err(Error::Conflict { .. })));
        Peers::add(&home, &record("carol", 3)).unwrap();
        assert!(matches!(Peers::rename(&home, "carol", "bob"), Err(Error::Conflict { .. })));
        assert_eq!(Peers::load(&home).unwrap().named("bob"), Some(&record("bob", 2)));
    }

    #[test]
    fn pairing_again_never_shortens_what_was_remembered() {
        let home = fixture::home();
        let pinned =
            PeerRecord { address: Some("10.0.0.2:7000".into()), expires: None, ..record("bob", 2) };
        Peers::add(&home, &pinned).unwrap();
        Peers::add(&home, &record("bobby", 2)).unwrap();
        let peers = Peers::load(&home).unwrap();
        assert_eq!(names(&home), ["bobby"]);
        assert_eq!(peers.named("bobby"), Some(&PeerRecord { name: "bobby".into(), ..pinned }));
        assert!(!peers.named("bobby").unwrap().is_expired(i64::MAX));
    }

    #[test]
    fn a_session_expires_at_its_end() {
        let bob = record("bob", 2);
        assert!(!bob.is_expired(2_799));
        assert!(bob.is_expired(2_800));
    }

    #[test]
    fn renaming_and_forgetting_name_an_unknown_peer() {
        let home = fixture::home();
        Peers::add(&home, &record("bob", 2)).unwrap();
        Peers::rename(&home, "bob", "robert").unwrap();
        assert_eq!(names(&home), ["robert"]);
        assert_eq!(Peers::forget(&home, "robert").unwrap(), record("robert", 2));
        assert!(names(&home).is_empty());
        for result in [Peers::rename(&home, "bob", "x"), Peers::forget(&home, "bob").map(|_| ())] {
            assert!(matches!(result, Err(Error::NotFound { what: "peer", .. })));
        }
    }

    #[test]
    fn names_that_would_mislead_are_refused() {
        let home = fixture::home();
        let like_a_fingerprint = "ab".repeat(32);
        let too_long = "é".repeat(32);
        for name in ["", " bob", "b\u{202e}ob", "b\nob", &like_a_fingerprint, &too_long] {
            let result = Peers::add(&home, &record(name, 2));
            assert!(matches!(result, Err(Error::BadName { .. })), "{name:?}");
        }
        assert!(names(&home).is_empty());
    }
}
