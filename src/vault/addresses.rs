//! Where other devices answered last: a hint, lost without harm. Whoever answers there must still show
//! the certificate of the device that is meant.

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
}

/// Where a device answered last.
///
/// # Errors
///
/// [`Error::Tampered`], [`Error::Corrupt`]: then nothing is known.
pub fn of(home: &Home, device: &Fingerprint) -> Result<Option<SocketAddr>, Error> {
    Ok(read(home)?.addresses.get(&device.to_hex()).copied())
}

/// Notes where a device answered. A file that this device did not write is replaced.
///
/// # Errors
///
/// [`Error::Io`].
pub fn note(home: &Home, device: &Fingerprint, address: SocketAddr) -> Result<(), Error> {
    if of(home, device).is_ok_and(|known| known == Some(address)) {
        return Ok(());
    }
    let writer = Writer::lock(home)?;
    let mut file = read(home).unwrap_or_default();
    file.addresses.insert(device.to_hex(), address);
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
        assert_eq!(of(home, &bob).unwrap(), None);
        note(home, &bob, at).unwrap();
        assert_eq!(of(home, &bob).unwrap(), Some(at));
        let text = fs::read_to_string(path(home)).unwrap();
        fs::write(path(home), text.replace("192.0.2.7", "203.0.113.9")).unwrap();
        assert!(matches!(of(home, &bob), Err(Error::Tampered { .. })));
        assert!(vault.misfits().iter().any(|misfit| !misfit.stops));
        note(home, &bob, at).unwrap();
        assert_eq!(of(home, &bob).unwrap(), Some(at));
    }
}
