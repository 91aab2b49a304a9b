//! Taking over files that nothing authenticates yet: those of a home that an earlier version made,
//! and what lies where a new vault is made.
//!
//! They are taken as they are found, so whoever opens the vault is told which they were. When all of
//! them are authenticated, a line inside `device.age` says so; from then on a file without a MAC, or
//! one that is missing, is an error. A process that is killed on the way leaves a home that the
//! next one goes on with.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::attempts::Attempts;
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{DEVICE, DEVICE_KEY, Home, KEPT, Ledger, Log, Peers, Uses, Vault};
use super::{attempts, authentic, header_path, kept, keys, log, peers, signatures, uses};

/// Whose files are taken over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// This vault's, from an earlier version. What is authenticated already must fit.
    Earlier,
    /// Those that lie where a new vault is made. What authenticated them is gone.
    Before,
}

impl Vault {
    /// Takes over the files of this home, unless that was done.
    pub(super) fn adopt(&mut self) -> Result<(), Error> {
        if self.is_kept()? {
            return Ok(());
        }
        let home = self.home.clone();
        let writer = Writer::lock(&home)?;
        // Another process may have been quicker.
        if self.is_kept()? {
            return Ok(());
        }
        let adopted = everything(&writer, &home, Found::Earlier)?;
        let path = home.data.join(DEVICE_KEY);
        let content = kept(&self.device_key()?);
        let sealed = self.keyring.seal(content.expose()).map_err(Error::io(&path))?;
        if !bool::from(self.unseal_bytes(&path, &sealed)?.ct_eq(&content)) {
            return Err(Error::corrupt(&path, "reads back differently"));
        }
        writer.replace(&path, &sealed, Durability::Synced)?;
        self.adopted = adopted;
        Ok(())
    }

    fn is_kept(&self) -> Result<bool, Error> {
        Ok(self.device_file()?.expose().ends_with(KEPT))
    }
}

/// Authenticates every file that decides something, and makes those that there must be. Hands back
/// the files that were there before.
pub(super) fn everything(
    writer: &Writer<'_>,
    home: &Home,
    found: Found,
) -> Result<Vec<PathBuf>, Error> {
    let mut adopted = Vec::new();
    for path in objects(home)? {
        let Some(bytes) = file::read(&path)? else { continue };
        if let Some(text) = unsigned(home, &path, bytes, found)? {
            writer.replace(&path, &authentic::sign(home, &path, text)?, Durability::Synced)?;
            adopted.push(path);
        }
    }
    if !peers::path(home).exists() {
        Peers::default().write(writer, home)?;
    }
    if !attempts::path(home).exists() {
        attempts::write(writer, home, &Attempts::default())?;
    }
    if !uses::path(home).exists() {
        Uses::default().write(writer, home)?;
    }
    Log::begin(writer, home)?;
    adopted.extend(Ledger::adopt(writer, home, found)?);
    Ok(adopted)
}

/// The JSON files that there may be.
fn objects(home: &Home) -> Result<Vec<PathBuf>, Error> {
    let mut paths = vec![header_path(home), home.data.join(DEVICE), peers::path(home)];
    paths.extend([attempts::path(home), uses::path(home), log::head_path(home)]);
    paths.extend(keys::documents(home)?);
    paths.extend(file::list(&signatures::folder(home))?);
    Ok(paths)
}

/// The text of a file that is to be authenticated; `None` if it is already, or if it is none of
/// ours, which then nothing will take for one.
fn unsigned(
    home: &Home,
    path: &Path,
    bytes: Vec<u8>,
    found: Found,
) -> Result<Option<Vec<u8>>, Error> {
    let Some((body, _)) = authentic::split(&bytes) else {
        let is_object = serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok();
        return Ok(is_object.then_some(bytes));
    };
    match (authentic::check(home, path, &bytes), found) {
        (Ok(()), _) => Ok(None),
        (Err(error), Found::Earlier) => Err(error),
        (Err(_), Found::Before) => Ok(Some([body, b"\n}\n"].concat())),
    }
}
