//! The devices this one is paired with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::document::{self, fingerprint};
use super::error::Error;
use super::file::Writer;
use super::{Home, bad_name, check_label};
use crate::device::{Fingerprint, Label};

/// A paired device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// Its name here. No other peer has the same name.
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
    /// The name that people gave it, by comparing a code beside it or by renaming it, where it has given itself
    /// another since. It is still meant by that.
    #[serde(skip)]
    pub paired_as: Option<String>,
}

impl PeerRecord {
    /// Whether the pairing has ended at the time `now`.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether it has this name, or had it when it was paired.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.paired_as.as_deref() == Some(name)
    }
}

/// A record as it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// Its name is the one that two people compared, or that the owner of this device gave: no device changes that
    /// by calling itself something else.
    #[serde(flatten)]
    record: PeerRecord,
    /// Its own name for itself. `None` if its name here does not follow that: the owner gave the
    /// name here, or an older version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls_itself: Option<String>,
    /// Whether the owner of this device gave the name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    given: bool,
}

/// `peers.json`
#[derive(Default, Serialize, Deserialize)]
struct File {
    peers: Vec<Stored>,
}

/// All paired devices, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    stored: Vec<Stored>,
    /// The same, each with the name it has now.
    shown: Vec<PeerRecord>,
}

impl Peers {
    /// Reads all records; none if there is no file.
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn load(home: &Home) -> Result<Self, Error> {
        let file: Option<File> = document::read(home, &path(home))?;
        Ok(Self::of(file.unwrap_or_default().peers))
    }

    fn of(stored: Vec<Stored>) -> Self {
        let mut shown: Vec<PeerRecord> = stored
            .iter()
            .map(|peer| {
                let (name, pinned) = (shown_name(peer, &stored), &peer.record.name);
                let paired_as = (name != *pinned).then(|| pinned.clone());
                PeerRecord { name, paired_as, ..peer.record.clone() }
            })
            .collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        Self { stored, shown }
    }

    /// Adds a record with a name that the owner of this device gives. One with the same fingerprint is renewed: it
    /// takes the new name, keeps its address unless there is a new one, and ends no sooner than it would have.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if another device has the name, [`Error::BadName`].
    pub fn add(home: &Home, record: &PeerRecord) -> Result<(), Error> {
        Self::renew(home, record, |name, _| Naming { name, calls_itself: None, given: true })
    }

    /// Adds the record of a device that was paired, and that calls itself `says`. Where it is known already, the name
    /// stays that it has.
    ///
    /// # Errors
    ///
    /// As for [`Peers::add`].
    pub fn paired(home: &Home, record: &PeerRecord, says: &Label) -> Result<(), Error> {
        let says = says.as_str().to_owned();
        Self::renew(home, record, |name, old| match old {
            None => Naming { name, calls_itself: Some(says), given: false },
            Some(old) => {
                let follows = !old.given && (old.calls_itself.is_some() || says == old.record.name);
                Naming {
                    calls_itself: follows.then_some(says),
                    name: old.record.name,
                    given: old.given,
                }
            }
        })
    }

    fn renew(
        home: &Home,
        record: &PeerRecord,
        name: impl FnOnce(String, Option<Stored>) -> Naming,
    ) -> Result<(), Error> {
        check_name(&record.name)?;
        Self::update(home, |peers| {
            if peers.is_taken(&record.name, &record.fingerprint) {
                return Err(Error::conflict("peer", &record.name));
            }
            let mut record = record.clone();
            let old = peers.remove(&record.fingerprint);
            if let Some(Stored { record: old, .. }) = &old {
                record.address = record.address.or_else(|| old.address.clone());
                record.expires = record.expires.zip(old.expires).map(|(new, old)| new.max(old));
            }
            let Naming { name, calls_itself, given } = name(record.name, old);
            let record = PeerRecord { name, ..record };
            peers.stored.push(Stored { record, calls_itself, given });
            Ok(())
        })
    }

    /// Notes what a device calls itself, once it has proved who it is. If it has another name here by that, gives what
    /// it was called before and what it is called now.
    ///
    /// # Errors
    ///
    /// The records cannot be read or written.
    pub fn heard(
        home: &Home,
        fingerprint: &Fingerprint,
        says: &Label,
    ) -> Result<Option<(String, String)>, Error> {
        let says = says.as_str();
        let is_news = |peer: &Stored| match &peer.calls_itself {
            _ if peer.given => false,
            // It was paired by a version that did not note it, and nobody has renamed it since.
            None => says == peer.record.name,
            Some(said) => said != says,
        };
        let is_this = |peer: &&Stored| peer.record.fingerprint == *fingerprint;
        if !Self::load(home)?.stored.iter().find(is_this).is_some_and(is_news) {
            return Ok(None);
        }
        let name = |peers: &Self| peers.known(fingerprint).map(|peer| peer.name.clone());
        let (before, after) = Self::update(home, |peers| {
            let before = name(peers);
            let found =
                peers.stored.iter_mut().find(|peer| peer.record.fingerprint == *fingerprint);
            if let Some(peer) = found.filter(|peer| !peer.given) {
                peer.calls_itself = Some(says.to_owned());
            }
            Ok((before, name(&Self::of(peers.stored.clone()))))
        })?;
        Ok(before.zip(after).filter(|(before, after)| before != after))
    }

    /// Gives a peer another name, which stays whatever it calls itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] if another device has the name; [`Error::BadName`].
    pub fn rename(home: &Home, name: &str, new: &str) -> Result<(), Error> {
        check_name(new)?;
        Self::update(home, |peers| {
            let missing = || Error::not_found("peer", name);
            let fingerprint = peers.named(name).ok_or_else(missing)?.fingerprint;
            if peers.is_taken(new, &fingerprint) {
                return Err(Error::conflict("peer", new));
            }
            let mut peer = peers.remove(&fingerprint).ok_or_else(missing)?;
            peer.record.name = new.to_owned();
            peers.stored.push(Stored { calls_itself: None, given: true, ..peer });
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
            let record = peers.named(name).cloned();
            let record = record.ok_or_else(|| Error::not_found("peer", name))?;
            peers.remove(&record.fingerprint);
            Ok(record)
        })
    }

    /// All records, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PeerRecord> {
        self.shown.iter()
    }

    /// The record with this name: the one that it has now, or that it was paired with.
    pub fn named(&self, name: &str) -> Option<&PeerRecord> {
        self.shown.iter().find(|peer| peer.is_called(name))
    }

    /// The device to which people have given this name, by comparing a code beside it or by renaming it. What a device
    /// calls itself since does not count: rules that say who may do what go by this.
    pub fn pinned(&self, name: &str) -> Option<Fingerprint> {
        let peer = self.stored.iter().find(|peer| peer.record.name == name);
        peer.map(|peer| peer.record.fingerprint)
    }

    /// The record with this fingerprint.
    pub fn known(&self, fingerprint: &Fingerprint) -> Option<&PeerRecord> {
        self.shown.iter().find(|peer| peer.fingerprint == *fingerprint)
    }

    /// Whether another device than this one has the name, or had it when it was paired: it may be meant by both.
    fn is_taken(&self, name: &str, by: &Fingerprint) -> bool {
        self.shown.iter().any(|peer| peer.is_called(name) && peer.fingerprint != *by)
    }

    /// Changes the records under the writer's lock.
    fn update<T>(
        home: &Home,
        change: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let writer = Writer::lock(home)?;
        let mut peers = Self::load(home)?;
        let result = change(&mut peers)?;
        peers.stored.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        peers.write(&writer)?;
        Ok(result)
    }

    /// Replaces all records.
    pub(super) fn write(&self, writer: &Writer<'_>) -> Result<(), Error> {
        let file = File { peers: self.stored.clone() };
        document::write(writer, &path(writer.home()), file)
    }

    fn remove(&mut self, fingerprint: &Fingerprint) -> Option<Stored> {
        let place = self.stored.iter().position(|peer| peer.record.fingerprint == *fingerprint);
        place.map(|place| self.stored.remove(place))
    }
}

/// The names of a record.
struct Naming {
    name: String,
    calls_itself: Option<String>,
    given: bool,
}

/// The name that a device gives itself, if its name here follows that and it is a valid name.
fn followed(peer: &Stored) -> Option<&str> {
    let says = peer.calls_itself.as_deref().filter(|_| !peer.given)?;
    check_name(says).is_ok().then_some(says)
}

/// The name of `peer` among `all`. Where another device has or had the name that it follows, its id tells them apart.
fn shown_name(peer: &Stored, all: &[Stored]) -> String {
    let own = &peer.record.name;
    // A suffix that this device has put there is part of the name that people compared.
    let says = followed(peer).filter(|says| *says != own && !is_with_id(own, says, peer));
    let Some(says) = says else { return own.clone() };
    let mut others = all.iter().filter(|other| other.record.fingerprint != peer.record.fingerprint);
    match others.any(|other| other.record.name == says || followed(other) == Some(says)) {
        false => says.to_owned(),
        true => with_id(says, &peer.record.fingerprint),
    }
}

fn is_with_id(name: &str, says: &str, peer: &Stored) -> bool {
    with_id(says, &peer.record.fingerprint) == name
}

/// A name that tells a device apart from others of that name: `bob-1fc6799f`.
pub fn with_id(name: &str, fingerprint: &Fingerprint) -> String {
    let id: String = fingerprint.device_id().chars().take(8).collect();
    // It must fit into a service announcement.
    let end = (0..=54).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("{}-{id}", name.get(..end).unwrap_or(name))
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
            paired_as: None,
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

    fn paired(home: &Home, name: &str, device: u8) {
        Peers::paired(home, &record(name, device), &Label::new(name)).unwrap();
    }

    fn heard(home: &Home, device: u8, says: &str) -> Option<(String, String)> {
        Peers::heard(home, &Fingerprint::new([device; 32]), &Label::new(says)).unwrap()
    }

    fn two(was: &str, now: &str) -> Option<(String, String)> {
        Some((was.to_owned(), now.to_owned()))
    }

    #[test]
    fn a_device_that_renames_itself_is_called_so_and_found_by_both_names() {
        let home = fixture::home();
        paired(&home, "bob", 2);
        assert_eq!(heard(&home, 2, "bob"), None);
        assert_eq!(heard(&home, 2, "robert"), two("bob", "robert"));
        assert_eq!(heard(&home, 2, "robert"), None);
        let peers = Peers::load(&home).unwrap();
        assert_eq!(names(&home), ["robert"]);
        let bob = PeerRecord { paired_as: Some("bob".into()), ..record("robert", 2) };
        for name in ["bob", "robert"] {
            assert_eq!(peers.named(name), Some(&bob), "{name}");
        }
        // No other peer can have either name.
        for name in ["bob", "robert"] {
            let other = Peers::add(&home, &record(name, 3));
            assert!(matches!(other, Err(Error::Conflict { .. })), "{name}");
        }
        assert_eq!(heard(&home, 2, "bob"), two("robert", "bob"));
        assert_eq!(names(&home), ["bob"]);
    }

    #[test]
    fn no_device_gets_by_a_new_name_what_a_rule_allows_to_that_name() {
        let home = fixture::home();
        paired(&home, "bob", 2);
        heard(&home, 2, "carol");
        let peers = Peers::load(&home).unwrap();
        assert_eq!(peers.pinned("carol"), None);
        assert_eq!(peers.pinned("bob"), Some(Fingerprint::new([2; 32])));
        Peers::rename(&home, "carol", "carol").unwrap();
        assert_eq!(Peers::load(&home).unwrap().pinned("carol"), Some(Fingerprint::new([2; 32])));
    }

    #[test]
    fn a_name_that_the_owner_gave_stays() {
        let home = fixture::home();
        paired(&home, "bob", 2);
        Peers::rename(&home, "bob", "laptop").unwrap();
        Peers::add(&home, &record("carol", 3)).unwrap();
        for device in [2, 3] {
            assert_eq!(heard(&home, device, "robert"), None);
        }
        paired(&home, "robert", 2);
        assert_eq!(names(&home), ["carol", "laptop"]);
    }

    #[test]
    fn of_two_devices_that_take_one_name_each_has_its_id_behind_it() {
        let home = fixture::home();
        paired(&home, "bob", 2);
        paired(&home, "carol", 3);
        assert_eq!(heard(&home, 3, "bob"), two("carol", "bob-03030303"));
        assert_eq!(heard(&home, 2, "vm"), two("bob", "vm"));
        assert_eq!(heard(&home, 3, "vm"), two("bob-03030303", "vm-03030303"));
        assert_eq!(names(&home), ["vm-02020202", "vm-03030303"]);
    }

    #[test]
    fn what_cannot_be_a_name_changes_none() {
        let home = fixture::home();
        paired(&home, "bob", 2);
        for says in ["", &"ab".repeat(32), &"é".repeat(40)] {
            assert_eq!(heard(&home, 2, says), None);
            assert_eq!(names(&home), ["bob"]);
        }
        assert_eq!(heard(&home, 9, "stranger"), None);
        assert!(with_id(&"é".repeat(40), &Fingerprint::new([2; 32])).len() <= 63);
    }

    /// As 0.1.0 wrote it: nothing says who gave the name.
    #[test]
    fn a_record_of_an_earlier_version_follows_only_if_its_name_is_the_devices_own() {
        for (own, says, now) in [("bob", "robert", "robert"), ("laptop", "robert", "laptop")] {
            let home = fixture::home();
            let old = Stored { record: record(own, 2), calls_itself: None, given: false };
            let writer = Writer::lock(&home).unwrap();
            Peers::of(vec![old]).write(&writer).unwrap();
            drop(writer);
            heard(&home, 2, "bob");
            heard(&home, 2, says);
            assert_eq!(names(&home), [now]);
        }
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
