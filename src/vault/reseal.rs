//! Sealing an existing vault with something else.
//!
//! The identity at the centre stays, so nothing that is sealed to it changes. A new seal is a new
//! file beside the old one. It is read back and opened before `vault.json` names it instead, in one
//! step; the old file is destroyed after that. If the process is killed, the vault opens with the
//! old seal or with the new one, and the next process that opens it destroys the file that
//! `vault.json` does not name.
//!
//! Shares that are on a token come back to the disk before the token is given up, and go onto a
//! token after the vault is sealed to it.

use std::path::PathBuf;

use super::error::Error;
use super::file::{self, Durability, Writer};
use super::keys;
use super::{FIRST, Header, Home, Lock, RECOVERY, Seal, Sealed, TokenRecord, Vault, identity_path};
use crate::secret::Secret;
use crate::token::Uri;

/// The result of sealing a vault anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Keys made for this vault on a token that it no longer needs, and that could not be destroyed
    /// there.
    pub left_behind: Vec<TokenRecord>,
}

impl Vault {
    /// Seals the vault with `seals`, of each kind at most one, any of which opens it from now on;
    /// the old seals are destroyed. With a token as the only seal, and no recovery recipients, the
    /// shares go onto it as far as they fit.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] during a ceremony; [`Error::Unsupported`] if a later version wrote one of the
    /// keys; [`Error::Elsewhere`] if shares are on a token that did not
    /// open this vault; [`Error::Token`]. The vault opens with its old seals, or with the new ones if
    /// the error came while shares were moved onto the token: doing it again goes on.
    pub fn reseal(&mut self, seals: &[Seal]) -> Result<Resealed, Error> {
        let resealed = self.try_reseal(seals);
        if resealed.is_err() {
            take_back(&self.home, seals);
        }
        resealed
    }

    /// Puts another passphrase in the place of the one that opens the vault. What else opens it stays, and
    /// nothing that it seals changes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no passphrase opens it.
    pub fn change_passphrase(&self, passphrase: Secret<String>) -> Result<(), Error> {
        let writer = Writer::lock(&self.home)?;
        let mut header = Header::read(&self.home)?;
        let number = header.next_number();
        let is_passphrase = |sealed: &&mut Sealed| sealed.lock == Lock::Passphrase;
        let mut seals = std::iter::once(&mut header.first).chain(&mut header.also);
        let old =
            seals.find(is_passphrase).ok_or_else(|| Error::not_found("seal", "passphrase"))?;
        old.number = number;
        self.put(&writer, &Seal::Passphrase(passphrase), number)?;
        header.write(&writer, &self.home)?;
        destroy_strays(&writer, &header)
    }

    fn try_reseal(&mut self, seals: &[Seal]) -> Result<Resealed, Error> {
        let home = self.home.clone();
        let names = keys::names(&home)?;
        let _held = names
            .iter()
            .map(|name| keys::lock_alone(&home, name))
            .collect::<Result<Vec<_>, _>>()?;
        // Shares move all or not at all, so a key that this version does not understand stops it
        // here.
        keys::aside(&home).into_iter().try_for_each(Err)?;
        let writer = Writer::lock(&home)?;
        let old = Header::read(&home)?;
        keys::remove_tombstones(&writer, &home, self.token.as_deref())?;
        for name in &names {
            self.shares_to_disk(&writer, name)?;
        }
        let new = self.switch(&writer, &old, seals)?;
        let keeps_shares_on_token = new.keeps_shares_on_token();
        let left_behind = self.give_up(&writer, new)?;
        self.token = seals.iter().find_map(Seal::session);
        if keeps_shares_on_token {
            for name in &names {
                self.shares_to_token(&writer, name)?;
            }
        }
        Ok(Resealed { left_behind })
    }

    /// Writes the new seals, opens each once, and replaces the old ones.
    fn switch(&self, writer: &Writer<'_>, old: &Header, seals: &[Seal]) -> Result<Header, Error> {
        let home = &self.home;
        let number = old.next_number();
        let mut header = Header::new(seals, number, &old.recovery)?;
        // They stay named until they are destroyed, so that a crash forgets none.
        let given_up = old.token().filter(|record| record.made).into_iter().chain(&old.leaving);
        // The same key with another PIN file is still the same key.
        let key = |record: &TokenRecord| Uri { pin_source: None, ..record.uri.clone() };
        let needed = header.token().map(key);
        let unneeded = |record: &&TokenRecord| Some(key(record)) != needed;
        header.leaving = given_up.filter(unneeded).cloned().collect();
        for (seal, number) in seals.iter().zip(number..) {
            self.put(writer, seal, number)?;
        }
        header.write(writer, home)?;
        destroy_strays(writer, &header)?;
        Ok(header)
    }

    /// Writes a seal, and opens it once.
    fn put(&self, writer: &Writer<'_>, seal: &Seal, number: u64) -> Result<(), Error> {
        let text = Secret::new(self.keyring.to_text().expose().clone().into_bytes());
        let path = identity_path(&self.home, number);
        let sealed = seal.seal(&path, text.expose())?;
        writer.replace(&path, &sealed, Durability::Synced)?;
        seal.verify(&path, &super::existing(&path)?, &text)
    }

    /// Destroys the keys on a token that the vault no longer needs; hands back those that are still
    /// there.
    fn give_up(&self, writer: &Writer<'_>, mut header: Header) -> Result<Vec<TokenRecord>, Error> {
        let mut left = std::mem::take(&mut header.leaving);
        if left.is_empty() {
            return Ok(left);
        }
        left.retain(|record| {
            let session = self.token.as_ref().filter(|session| session.is(&record.uri));
            let id = record.uri.id.as_deref().unwrap_or_default();
            !matches!(session.map(|session| session.destroy_key(id)), Some(Ok(())))
        });
        header.write(writer, &self.home)?;
        Ok(left)
    }
}

impl Header {
    /// The number of the next seal.
    fn next_number(&self) -> u64 {
        self.seals().map(|sealed| sealed.number).max().unwrap_or(FIRST).saturating_add(1)
    }
}

/// Destroys keys that were made on a token for seals that failed. A key stays if the vault may need
/// it.
pub(super) fn take_back(home: &Home, seals: &[Seal]) {
    for seal in seals {
        let Seal::Token(key) = seal else { continue };
        let unneeded = match Header::read(home) {
            Ok(header) => {
                header.token().is_none_or(|record| record.uri.id.as_ref() != Some(&key.id))
            }
            Err(error) => matches!(error, Error::NoVault { .. }),
        };
        if key.made && unneeded {
            // Best effort: if the token failed before, it may fail again.
            let _ = key.session.destroy_key(&key.id);
        }
    }
}

/// Destroys identities that `vault.json` does not name: seals that were never finished, or that
/// were replaced.
pub(super) fn clean_up(home: &Home) -> Result<(), Error> {
    // Checked without the lock first: nearly always there is nothing to do.
    if strays(home, &Header::read(home)?)?.is_empty() {
        return Ok(());
    }
    destroy_strays(&Writer::lock(home)?, &Header::read(home)?)
}

fn destroy_strays(writer: &Writer<'_>, header: &Header) -> Result<(), Error> {
    for path in strays(writer.home(), header)? {
        writer.destroy(&path)?;
    }
    file::sync_dir(&writer.home().data)
}

fn strays(home: &Home, header: &Header) -> Result<Vec<PathBuf>, Error> {
    let mut named: Vec<PathBuf> = header.seals().map(|sealed| sealed.path(home)).collect();
    for path in &named {
        if !file::is_there(path)? {
            // An old `vault.json` may not name the current seals, so nothing is destroyed.
            return Ok(Vec::new());
        }
    }
    named.push(home.data.join(RECOVERY));
    let is_identity = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("identity.") && name.ends_with(".age")
    };
    let files = file::list(&home.data)?.into_iter();
    Ok(files.filter(|path| is_identity(path) && !named.contains(path)).collect())
}
