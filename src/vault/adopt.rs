//! Taking over files that nothing authenticates yet: those of a home that an earlier version made,
//! and what lies where a new vault is made.
//!
//! The files are taken as they are, so the caller is given the list of them. A line inside
//! `device.age` says that this was begun, and later that it was done; from then on a file without a
//! MAC, or a missing one, is an error. If the process is killed on the way, the next one goes on.
//! If the line is missing although some file has a MAC, an older `device.age` was put back to have
//! forged files taken over, and nothing is taken over.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::attempts::Attempts;
use super::authentic::{Found, UNSIGNED};
use super::editions::{self, Editions, OLDER};
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{
    BEGUN, DEVICE, DEVICE_KEY, Home, Ledger, Log, NUMBERED, NUMBERING, Peers, UNNUMBERED, Uses,
    Vault,
};
use super::{addresses, attempts, authentic, deleted, header_path, keys, ledger, log};
use super::{format, marked, peers, signatures, uses};

impl Vault {
    /// Takes over the files of this home, unless that was done.
    pub(super) fn adopt(&mut self) -> Result<(), Error> {
        if self.says(NUMBERED)? {
            return Ok(());
        }
        let home = self.home.clone();
        let writer = Writer::lock(&home)?;
        // Checked again under the lock: another process may have finished it.
        if self.says(NUMBERED)? {
            return Ok(());
        }
        let found = match self.says(UNNUMBERED)? || self.says(NUMBERING)? {
            true => Found::Unnumbered,
            false => Found::Earlier,
        };
        if !self.says(BEGUN)? && !self.says(NUMBERING)? {
            let (later, line) = match found {
                Found::Unnumbered => (are_numbered(&home)?, NUMBERING),
                _ => (is_authenticated(&home)?, BEGUN),
            };
            if later {
                return Err(Error::tampered(&home.data.join(DEVICE_KEY), OLDER));
            }
            self.mark(&writer, line)?;
        }
        let adopted = everything(&writer, &home, found)?;
        self.mark(&writer, NUMBERED)?;
        self.adopted = adopted;
        Ok(())
    }

    fn says(&self, line: &[u8]) -> Result<bool, Error> {
        Ok(self.device_file()?.expose().ends_with(line))
    }

    /// Seals the device key again, with this line behind it.
    fn mark(&self, writer: &Writer<'_>, line: &[u8]) -> Result<(), Error> {
        let path = self.home.data.join(DEVICE_KEY);
        let content = marked(&self.device_key()?, line);
        let sealed = self.keyring.seal(content.expose()).map_err(Error::io(&path))?;
        if !bool::from(self.unseal_bytes(&path, &sealed)?.ct_eq(&content)) {
            return Err(Error::corrupt(&path, "reads back differently"));
        }
        writer.replace(&path, &sealed, Durability::Synced)
    }
}

/// Whether the editions of a file here are counted.
fn are_numbered(home: &Home) -> Result<bool, Error> {
    for path in objects(home)?.into_iter().chain([ledger::head_path(home)]) {
        let content = file::read(&path)?.unwrap_or_default();
        let object = serde_json::from_slice::<Map<String, Value>>(&content);
        if is_numbered(&path) && object.is_ok_and(|object| object.contains_key("edition")) {
            return Ok(true);
        }
    }
    Ok(file::read(&editions::path(home))?.is_some())
}

/// Whether a file here says that it is authenticated, which none of an earlier version does.
fn is_authenticated(home: &Home) -> Result<bool, Error> {
    for path in objects(home)?.into_iter().chain([editions::path(home), ledger::head_path(home)]) {
        if file::read(&path)?.is_some_and(|bytes| is_signed(&path, &bytes)) {
            return Ok(true);
        }
    }
    Ledger::is_linked(home)
}

fn is_signed(path: &Path, bytes: &[u8]) -> bool {
    match keys::is_confirmation(path) {
        true => authentic::split_bytes(bytes).is_some(),
        false => authentic::split(bytes).is_some(),
    }
}

/// Authenticates every file that decides something, and makes those that there must be. Hands back
/// the files that were there before.
pub(super) fn everything(
    writer: &Writer<'_>,
    home: &Home,
    found: Found,
) -> Result<Vec<PathBuf>, Error> {
    let (mut adopted, mut numbered) = (Vec::new(), Vec::new());
    Editions::begin(writer, found == Found::Before)?;
    for path in objects(home)? {
        let Some(bytes) = file::read(&path)? else { continue };
        if let Some(signed) = signed(home, &path, bytes, found)? {
            writer.replace(&path, &signed, Durability::Synced)?;
            adopted.push(path.clone());
        }
        // A file that cannot be read is named when it is needed.
        if is_numbered(&path)
            && let Ok(edition) = format::edition(home, &path)
        {
            numbered.push((path, edition));
        }
    }
    Editions::take_in(writer, &numbered)?;
    if !file::is_there(&peers::path(home))? {
        Peers::default().write(writer)?;
    }
    if !file::is_there(&attempts::path(home))? {
        attempts::write(writer, &Attempts::default())?;
    }
    if !file::is_there(&uses::path(home))? {
        Uses::default().write(writer)?;
    }
    // Dropped: the addresses are learned again when the devices answer.
    writer.destroy(&addresses::path(home))?;
    Log::begin(writer, home)?;
    adopted.extend(Ledger::adopt(writer, home, found)?);
    Ok(adopted)
}

/// The JSON files that there may be.
fn objects(home: &Home) -> Result<Vec<PathBuf>, Error> {
    let mut paths = vec![header_path(home), home.data.join(DEVICE), peers::path(home)];
    paths.extend([attempts::path(home), uses::path(home), log::head_path(home)]);
    paths.push(deleted::path(home));
    paths.extend(keys::documents(home)?);
    paths.extend(file::list(&signatures::folder(home))?);
    Ok(paths)
}

/// Whether the editions of a file are counted. Notes and confirmations never change, and confirmed
/// parties and signatures can be asked for again, so their editions are not.
fn is_numbered(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json" || ending == "head")
        && path.parent().is_some_and(|folder| !folder.ends_with(signatures::FOLDER))
}

/// The content of a file that is to be authenticated; `None` if it is authenticated already, or if
/// it is not a file of this program, which then stays without a MAC and is refused when it is read.
fn signed(
    home: &Home,
    path: &Path,
    bytes: Vec<u8>,
    found: Found,
) -> Result<Option<Vec<u8>>, Error> {
    if keys::is_confirmation(path) {
        return match is_signed(path, &bytes) {
            true => authentic::open_bytes(home, path, bytes).map(|_| None),
            false => authentic::sign_bytes(home, path, &bytes).map(Some),
        };
    }
    let is_object = serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok();
    let Some((body, _)) = authentic::split(&bytes).filter(|_| is_object) else {
        return match found {
            Found::Unnumbered => Err(Error::tampered(path, UNSIGNED)),
            _ => is_object.then(|| authentic::sign(home, path, bytes)).transpose(),
        };
    };
    match (authentic::check(home, path, &bytes), found) {
        (Ok(()), _) => Ok(None),
        (Err(error), Found::Earlier | Found::Unnumbered) => Err(error),
        (Err(_), Found::Before) => authentic::sign(home, path, [body, b"\n}\n"].concat()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::secret::Secret;
    use crate::vault::fixture::{self, TestHome};
    use crate::vault::{KeyRecord, KeyState, Unlock};

    /// A vault with a pending key, and what opens it.
    fn vault_with_key() -> (TestHome, Vault, PathBuf) {
        let (home, vault, file) = fixture::vault();
        let record = KeyRecord {
            name: "k".into(),
            curve: crate::curve::CurveName::default(),
            public_key: [2; 33],
            threshold: 2,
            me: fixture::party(1),
            parties: Vec::new(),
            epoch: [1; 32],
            generation: 1,
            created: 0,
            state: KeyState::Pending,
            restored: false,
        };
        vault.store_pending(&record, &Secret::new(vec![1; 100]), b"confirmation").unwrap();
        (home, vault, file)
    }

    /// Takes what authenticates it from every file, as if an earlier version had made them, but for
    /// `device.age`, which then says `line`.
    fn strip(home: &TestHome, vault: &Vault, line: &[u8]) {
        for path in objects(home).unwrap() {
            let Ok(bytes) = fs::read(&path) else { continue };
            let body = match keys::is_confirmation(&path) {
                true => authentic::open_bytes(home, &path, bytes).unwrap(),
                false => [authentic::split(&bytes).unwrap().0, b"\n}\n"].concat(),
            };
            fs::write(&path, body).unwrap();
        }
        for path in [editions::path(home), ledger::head_path(home)] {
            fs::remove_file(path).unwrap();
        }
        say(vault, line);
    }

    fn say(vault: &Vault, line: &[u8]) {
        let content = marked(&fixture::device_key(), line);
        let sealed = vault.keyring.seal(content.expose()).unwrap();
        fs::write(vault.home.data.join(DEVICE_KEY), sealed).unwrap();
    }

    #[test]
    fn an_older_device_file_does_not_have_files_taken_over_again() {
        let (home, vault, file) = vault_with_key();
        let open = || Vault::open(&home, &Unlock::Identity(file.clone()));
        let old = |opened: Result<Vault, Error>| {
            let path = home.data.join(DEVICE_KEY);
            assert!(matches!(opened, Err(Error::Tampered { path: p, .. }) if p == path));
        };
        say(&vault, b"");
        old(open());
        // A home that an earlier version made is taken over; one that has any sign of it is not.
        let whole: Vec<_> = objects(&home)
            .unwrap()
            .into_iter()
            .filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes)))
            .collect();
        assert!(whole.len() >= 7, "{}", whole.len());
        strip(&home, &vault, b"");
        for (path, bytes) in whole {
            let bare = fs::read(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            old(open());
            fs::write(&path, bare).unwrap();
        }
        let ledger = ledger::path(&home);
        fs::write(&ledger, "{\"ledger\":2}\n").unwrap();
        old(open());
        fs::write(&ledger, "").unwrap();
        assert!(open().unwrap().adopted().len() >= 7);
        assert!(open().unwrap().adopted().is_empty());
    }

    #[test]
    fn what_was_taken_over_in_part_is_taken_over_to_the_end() {
        let (home, vault, file) = vault_with_key();
        let peers = peers::path(&home);
        let whole = fs::read(&peers).unwrap();
        strip(&home, &vault, BEGUN);
        // As it is right before the last step, and halfway.
        let opened = Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();
        assert!(opened.adopted().contains(&peers) && opened.misfits().is_empty());
        say(&vault, BEGUN);
        assert!(Vault::open(&home, &Unlock::Identity(file.clone())).unwrap().adopted().is_empty());
        say(&vault, BEGUN);
        let bare = [authentic::split(&whole).unwrap().0, b"\n}\n"].concat();
        fs::write(&peers, bare).unwrap();
        let opened = Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();
        assert_eq!(opened.adopted(), std::slice::from_ref(&peers));
        assert!(opened.misfits().is_empty());
        // A file with a tag must match it.
        say(&vault, BEGUN);
        let text = fs::read_to_string(&peers).unwrap();
        let open = || Vault::open(&home, &Unlock::Identity(file.clone()));
        let named =
            |file: &Path| matches!(open(), Err(Error::Tampered { path, .. }) if path == file);
        fs::write(&peers, text.replace("\"version\": 1", "\"version\":  1")).unwrap();
        assert!(named(&peers));
        fs::write(&peers, text).unwrap();
        Ledger::open(open().unwrap().home()).unwrap().spend(&[1; 32], &[2; 32], &[2]).unwrap();
        say(&vault, BEGUN);
        let ledger = ledger::path(&home);
        let lines = fs::read_to_string(&ledger).unwrap();
        fs::write(&ledger, lines.replacen("\"spend\":\"02", "\"spend\":\"03", 1)).unwrap();
        assert!(named(&ledger));
        fs::write(&ledger, lines).unwrap();
        assert!(open().unwrap().adopted().is_empty());
    }
}
