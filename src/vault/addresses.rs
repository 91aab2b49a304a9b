//! The address at which each other device answered last, and the version of its program. These are
//! hints: the TLS handshake checks the device's certificate, so a wrong address does no harm, and a
//! lost one is found again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Home;
use super::error::Error;
use super::file::{Durability, Writer};
use super::{document, format};
use crate::device::Fingerprint;

/// `addresses.json`, by fingerprint.
#[derive(Default, Serialize, Deserialize)]
struct File {
    addresses: BTreeMap<String, SocketAddr>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    relays: BTreeMap<String, MetAt>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    programs: BTreeMap<String, String>,
}

/// Where a device answered last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// The address at which it answered last.
    pub address: Option<SocketAddr>,
    /// The relay through which it was reached since.
    pub relay: Option<MetAt>,
}

/// A relay through which a device was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetAt {
    /// The URL of the relay.
    pub relay: String,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// Where a device answered last.
///
/// # Errors
///
/// [`Error::Tampered`], [`Error::Corrupt`]: then nothing is known.
pub fn of(home: &Home, device: &Fingerprint) -> Result<LastSeen, Error> {
    let (mut file, device) = (read(home)?, device.to_hex());
    Ok(LastSeen {
        address: file.addresses.get(&device).copied(),
        relay: file.relays.remove(&device),
    })
}

/// Notes that a device answered at `address`. A file that this device did not write is replaced.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Unsupported`] for one of a later version, which stays.
pub fn note(home: &Home, device: &Fingerprint, address: SocketAddr) -> Result<(), Error> {
    let seen = LastSeen { address: Some(address), relay: None };
    if of(home, device).is_ok_and(|known| known == seen) {
        return Ok(());
    }
    change(home, |file| {
        file.addresses.insert(device.to_hex(), address);
        file.relays.remove(&device.to_hex());
    })
}

/// Notes that a device was reached through a relay. Its last address stays.
///
/// # Errors
///
/// As for [`note`].
pub fn note_relay(home: &Home, device: &Fingerprint, met: MetAt) -> Result<(), Error> {
    change(home, |file| {
        file.relays.insert(device.to_hex(), met);
    })
}

/// The version of a device's program, as it said when it answered last.
///
/// # Errors
///
/// As for [`of`].
pub fn program(home: &Home, device: &Fingerprint) -> Result<Option<String>, Error> {
    Ok(read(home)?.programs.remove(&device.to_hex()))
}

/// Notes which version of the program a device says that it runs; `None` where it says nothing.
///
/// # Errors
///
/// As for [`note`].
pub fn note_program(home: &Home, device: &Fingerprint, says: Option<&str>) -> Result<(), Error> {
    if program(home, device).is_ok_and(|known| known.as_deref() == says) {
        return Ok(());
    }
    change(home, |file| {
        match says {
            Some(version) => file.programs.insert(device.to_hex(), version.to_owned()),
            None => file.programs.remove(&device.to_hex()),
        };
    })
}

fn change(home: &Home, edit: impl FnOnce(&mut File)) -> Result<(), Error> {
    let writer = Writer::lock(home)?;
    let mut file = match read(home) {
        Err(Error::Corrupt { .. } | Error::Tampered { .. }) => File::default(),
        read => read?,
    };
    edit(&mut file);
    let path = path(home);
    writer.replace(&path, &format::to_bytes(home, &path, file)?, Durability::Synced)
}

/// Fails unless this device wrote the file.
pub(super) fn check(home: &Home) -> Result<(), Error> {
    read(home).map(drop)
}

fn read(home: &Home) -> Result<File, Error> {
    document::read(home, &path(home)).map(Option::unwrap_or_default)
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.state.join("addresses.json")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::fixture;

    #[test]
    fn an_address_that_this_device_did_not_note_is_not_called() {
        let (_home, vault, _) = fixture::vault();
        let home = vault.home();
        let (bob, at) = (Fingerprint::new([2; 32]), "192.0.2.7:4711".parse().unwrap());
        let known = |address| LastSeen { address, relay: None };
        assert_eq!(of(home, &bob).unwrap(), known(None));
        note(home, &bob, at).unwrap();
        assert_eq!(of(home, &bob).unwrap(), known(Some(at)));
        let text = fs::read_to_string(path(home)).unwrap();
        fs::write(path(home), text.replace("192.0.2.7", "203.0.113.9")).unwrap();
        assert!(matches!(of(home, &bob), Err(Error::Tampered { .. })));
        assert!(vault.misfits().iter().any(|misfit| !misfit.stops));
        note(home, &bob, at).unwrap();
        assert_eq!(of(home, &bob).unwrap(), known(Some(at)));
    }

    #[test]
    fn a_program_that_was_updated_or_says_nothing_is_not_told_as_it_was() {
        let (_home, vault, _) = fixture::vault();
        let (home, bob) = (vault.home(), Fingerprint::new([2; 32]));
        note(home, &bob, "192.0.2.7:4711".parse().unwrap()).unwrap();
        for says in [None, Some("0.1.0"), Some("0.2.0"), None] {
            note_program(home, &bob, says).unwrap();
            assert_eq!(program(home, &bob).unwrap().as_deref(), says);
        }
        assert!(of(home, &bob).unwrap().address.is_some());
    }

    #[test]
    fn a_device_that_is_met_at_a_relay_is_there_until_it_answers_at_an_address() {
        let (_home, vault, _) = fixture::vault();
        let home = vault.home();
        let (bob, at) = (Fingerprint::new([2; 32]), "192.0.2.7:4711".parse().unwrap());
        note(home, &bob, at).unwrap();
        let met = MetAt { relay: "ws://relay.example".to_owned(), at: 1_790_000_000 };
        note_relay(home, &bob, met.clone()).unwrap();
        assert_eq!(of(home, &bob).unwrap(), LastSeen { address: Some(at), relay: Some(met) });
        note(home, &bob, at).unwrap();
        assert_eq!(of(home, &bob).unwrap(), LastSeen { address: Some(at), relay: None });
    }
}
