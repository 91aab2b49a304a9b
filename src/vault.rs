//! Where a device keeps its secrets, and what it must not forget.
//!
//! At the centre of a vault is an age identity, itself sealed by a passphrase or to an age identity
//! file. The device key and every key share are age files sealed to that identity and to the
//! recovery recipients, so the slow unlock happens once. What may be known while the vault is
//! locked lies beside them as JSON:
//!
//! ```text
//! data/   vault.json  identity.age  identity.recovery.age  device.json  device.age
//!         keys/NAME/key.json  keys/NAME/EPOCH.age  keys/NAME/EPOCH.confirmation
//! config/ peers.json
//! state/  ledger.jsonl  log.jsonl  log.head  attempts.json  signatures/ID.json
//! ```
//!
//! The vault knows no protocol type: shares are bytes to it. Time is an argument, in seconds since
//! 1970; randomness is age's, which takes it from the operating system.

pub mod attempts;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod peers;
pub mod signatures;

mod document;
mod error;
mod file;
mod home;
mod seal;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::{Fingerprint, Label};
use crate::secret::Secret;
use document::{digits, fingerprint};
pub use error::{Altered, Error};
use file::{Durability, Writer};
pub use home::Home;
pub use keys::{KeyLock, KeyRecord, KeyState, PartyRecord};
pub use ledger::Ledger;
pub use log::{Entry, Log};
pub use peers::{PeerRecord, Peers};
use seal::{Keyring, Unopened};

/// What a new vault is sealed with.
#[derive(Debug)]
pub enum Seal {
    /// A passphrase.
    Passphrase(Secret<String>),
    /// The identities in an age identity file.
    Identity(PathBuf),
}

/// What opens a vault.
#[derive(Debug)]
pub enum Unlock {
    /// The passphrase.
    Passphrase(Secret<String>),
    /// An age identity file: the one that the vault is sealed to, or that of a recovery recipient.
    Identity(PathBuf),
}

/// What an existing vault wants to be opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// A passphrase.
    Passphrase,
    /// An age identity file.
    Identity,
}

/// What is known of this device while its vault is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Its name, as it announces itself.
    pub name: String,
    /// Its fingerprint.
    #[serde(with = "fingerprint")]
    pub fingerprint: Fingerprint,
    /// Its self-signed certificate, DER.
    #[serde(with = "digits")]
    pub certificate: Vec<u8>,
    /// When it was made.
    pub created: i64,
}

/// `vault.json`: the last file of a vault to be written, so its presence says that the rest is there.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    lock: Lock,
    recovery: Vec<String>,
}

/// An open vault.
pub struct Vault {
    home: Home,
    keyring: Keyring,
}

impl Vault {
    /// Whether there is a vault.
    pub fn exists(home: &Home) -> bool {
        header_path(home).exists()
    }

    /// What opens the vault.
    ///
    /// # Errors
    ///
    /// [`Error::NoVault`], [`Error::LooseMode`], [`Error::Unsupported`], [`Error::Corrupt`].
    pub fn lock(home: &Home) -> Result<Lock, Error> {
        Header::read(home).map(|header| header.lock)
    }

    /// The device, without opening the vault.
    ///
    /// # Errors
    ///
    /// As [`Vault::lock`].
    pub fn device(home: &Home) -> Result<DeviceInfo, Error> {
        Header::read(home)?;
        let path = home.data.join(DEVICE);
        document::read(&path)?.ok_or_else(|| Error::corrupt(&path, "missing"))
    }

    /// Makes a vault for a new device whose private key is `device_key` (PKCS#8, DER). `recovery`
    /// are age recipients that every file will be sealed to as well.
    ///
    /// The vault exists once all of it is on the disk. What a process that was killed on the way
    /// left behind is replaced; no key can be lost by that, since none is stored before.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], also for the loser of two processes that make a vault at once.
    /// [`Error::BadName`], [`Error::BadRecipient`], [`Error::NotAnIdentity`].
    /// [`Error::Corrupt`] if keys are there but the vault they belong to is not.
    pub fn create(
        home: &Home,
        device: &DeviceInfo,
        device_key: &Secret<Vec<u8>>,
        seal: &Seal,
        recovery: &[String],
    ) -> Result<Self, Error> {
        check_label(&device.name)?;
        refuse_existing(home)?;
        let keyring = Keyring::generate(recovery)?;
        let files = files_of_a_new_vault(home, device, device_key, seal, &keyring)?;

        let writer = Writer::lock(home)?;
        refuse_existing(home)?;
        for (path, content) in files {
            writer.replace(&path, &content, Durability::Synced)?;
        }
        Ledger::create(&writer, home)?;
        let path = header_path(home);
        let recovery = recovery.to_vec();
        let header = document::to_bytes(&path, Header { lock: seal.lock(), recovery })?;
        writer.create(&path, &header)?;
        Ok(Self { home: home.clone(), keyring })
    }

    /// Opens the vault. An identity file may also be that of a recovery recipient.
    ///
    /// # Errors
    ///
    /// [`Error::WrongSecret`]; [`Error::NoVault`]; [`Error::NotFound`] or [`Error::NotAnIdentity`]
    /// for an identity file; [`Error::LooseMode`]; [`Error::Corrupt`].
    pub fn open(home: &Home, unlock: &Unlock) -> Result<Self, Error> {
        let header = Header::read(home)?;
        for root in home.roots() {
            file::check_dir(root)?;
        }
        let path = home.data.join(IDENTITY);
        let sealed = file::read(&path)?.ok_or_else(|| Error::corrupt(&path, "missing"))?;
        let text = match unlock {
            Unlock::Passphrase(passphrase) => seal::open_with_passphrase(passphrase, &sealed),
            Unlock::Identity(identity) => {
                let identities = seal::identities(identity)?;
                match seal::open_with_identities(&identities, &sealed) {
                    Err(Unopened::NotOurs) => match file::read(&home.data.join(RECOVERY))? {
                        Some(sealed) => seal::open_with_identities(&identities, &sealed),
                        None => Err(Unopened::NotOurs),
                    },
                    opened => opened,
                }
            }
        };
        let text = text.map_err(|e| match e {
            Unopened::NotOurs => Error::WrongSecret,
            Unopened::Broken => Error::corrupt(&path, "damaged"),
        })?;
        let keyring = Keyring::from_text(&text).ok_or_else(|| Error::corrupt(&path, "damaged"))?;
        if !keyring.recovery().eq(header.recovery.iter().map(String::as_str)) {
            let why = "recovery recipients are not those of the sealed identity";
            return Err(Error::corrupt(&header_path(home), why));
        }
        Ok(Self { home: home.clone(), keyring })
    }

    /// The device's private key (PKCS#8, DER).
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::Corrupt`].
    pub fn device_key(&self) -> Result<Secret<Vec<u8>>, Error> {
        let path = self.home.data.join(DEVICE_KEY);
        self.unseal(&path)?.ok_or_else(|| Error::corrupt(&path, "missing"))
    }

    /// Where the vault is.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Opens a file of this vault, `None` if it does not exist.
    fn unseal(&self, path: &Path) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let Some(sealed) = file::read(path)? else { return Ok(None) };
        self.keyring.open(&sealed).map(Some).map_err(|e| match e {
            Unopened::NotOurs => Error::corrupt(path, "sealed to another vault"),
            Unopened::Broken => Error::corrupt(path, "damaged"),
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Seal {
    fn lock(&self) -> Lock {
        match self {
            Self::Passphrase(_) => Lock::Passphrase,
            Self::Identity(_) => Lock::Identity,
        }
    }
}

impl Header {
    fn read(home: &Home) -> Result<Self, Error> {
        let header = document::read(&header_path(home))?;
        header.ok_or_else(|| Error::NoVault { path: home.data.clone() })
    }
}

/// All files but the header, which is written last, and the ledger.
fn files_of_a_new_vault(
    home: &Home,
    device: &DeviceInfo,
    device_key: &Secret<Vec<u8>>,
    seal: &Seal,
    keyring: &Keyring,
) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let in_data = |name| home.data.join(name);
    let (identity, recovery) = (in_data(IDENTITY), in_data(RECOVERY));
    let (info, key) = (in_data(DEVICE), in_data(DEVICE_KEY));
    let text = keyring.to_text();
    let text = text.expose().as_bytes();
    let sealed = match seal {
        Seal::Passphrase(passphrase) => {
            seal::seal_with_passphrase(passphrase, text).map_err(Error::io(&identity))?
        }
        Seal::Identity(file) => seal::seal_to_file(file, text)?,
    };
    let for_recovery = keyring.seal_for_recovery(text).map_err(Error::io(&recovery))?;
    let sealed_key = keyring.seal(device_key.expose()).map_err(Error::io(&key))?;
    let info_bytes = document::to_bytes(&info, device)?;

    let mut files = vec![(identity, sealed), (key, sealed_key), (info, info_bytes)];
    files.extend(for_recovery.map(|sealed| (recovery, sealed)));
    Ok(files)
}

/// Fails if there is a vault, or keys that a new vault could not open.
fn refuse_existing(home: &Home) -> Result<(), Error> {
    if Vault::exists(home) {
        return Err(Error::Exists { path: home.data.clone() });
    }
    if file::list(&home.keys())?.is_empty() {
        return Ok(());
    }
    Err(Error::corrupt(&header_path(home), "missing, but there are keys"))
}

/// A device or peer name: what a [`Label`] would leave as it is, and at most 63 bytes, which is
/// what fits into a service announcement.
fn check_label(name: &str) -> Result<(), Error> {
    let clean = Label::new(name).as_str() == name && !name.is_empty();
    if clean && name.len() <= 63 { Ok(()) } else { Err(bad_name(name)) }
}

/// The name of a file made from a key's name or a request's id: 1 to 64 of `A-Z a-z 0-9 . _ -`, and
/// neither a dot nor a dash first.
fn check_file_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = (1..=64).contains(&name.len()) && !name.starts_with(['.', '-']);
    if fits && name.chars().all(plain) { Ok(()) } else { Err(bad_name(name)) }
}

fn bad_name(name: &str) -> Error {
    Error::BadName { name: Label::capped(name, 80).as_str().to_owned() }
}

fn header_path(home: &Home) -> PathBuf {
    home.data.join("vault.json")
}

const IDENTITY: &str = "identity.age";
const RECOVERY: &str = "identity.recovery.age";
const DEVICE: &str = "device.json";
const DEVICE_KEY: &str = "device.age";
