//! The vault: a device's secrets, and the state that must not be forgotten.
//!
//! At the centre of a vault is an age identity, itself sealed by a passphrase, to an age identity
//! file, to a hardware token, or by several of these of which any opens it. The device key and
//! every key share are age files sealed to that identity and to the recovery recipients, so the
//! slow unlock happens once. What may be known while the vault is locked lies beside them as JSON:
//!
//! ```text
//! data/   vault.json  identity.age  identity.recovery.age  device.json  device.age
//!         keys/NAME/key.json  keys/NAME/EPOCH.age or EPOCH.token  keys/NAME/EPOCH.confirmation
//! config/ peers.json
//! state/  ledger.jsonl  log.jsonl  log.head  attempts.json  policy.json  editions.json
//!         addresses.json  strangers.jsonl  signatures/ID.json
//! ```
//!
//! The vault knows no protocol type: shares are bytes to it. Time is an argument, in seconds since
//! 1970; randomness is age's, which takes it from the operating system.

pub mod addresses;
pub mod attempts;
pub mod backup;
pub mod deleted;
pub mod given;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod peers;
pub mod signatures;
pub mod strangers;
pub mod tag;
pub mod unlogged;
pub mod uses;

mod adopt;
mod authentic;
mod document;
mod editions;
mod error;
mod file;
#[cfg(test)]
mod fixture;
mod format;
mod home;
mod locked;
mod marks;
mod misfits;
mod reseal;
mod seal;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::device::{Fingerprint, Label};
use crate::secret::Secret;
use crate::token::{self, Uri};
use authentic::Found;
use document::{digits, fingerprint};
use editions::Editions;
pub use error::{Altered, Error, Use};
use file::{Durability, Writer};
pub use file::{Effect, check_modes, observe};
pub use home::{Deadline, Home};
pub use keys::{Confirmed, KeyLock, KeyRecord, KeyState, LeavingRecord, Parting, PartyRecord};
pub use ledger::Ledger;
pub use locked::memory_can_be_locked;
pub use log::{Chain, Entry, Log};
pub use misfits::Misfit;
pub use peers::{PeerRecord, Peers, with_id};
pub use reseal::Resealed;
use seal::Keyring;
pub use seal::Unopened;
pub use unlogged::Unlogged;
pub use uses::{Limits, PerDay, Uses};

/// Something to seal a new vault with.
#[derive(Debug)]
pub enum Seal {
    /// A passphrase.
    Passphrase(Secret<String>),
    /// The identities in an age identity file.
    Identity(PathBuf),
    /// A key on a token.
    Token(token::Key),
}

/// Something to open a vault with.
#[derive(Debug)]
pub enum Unlock {
    /// The passphrase.
    Passphrase(Secret<String>),
    /// An age identity file: the one that the vault is sealed to, or that of a recovery recipient.
    Identity(PathBuf),
    /// The token that it is sealed to, as [`Vault::token`] says.
    Token(Arc<token::Session>),
}

/// The kind of secret that opens an existing vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// A passphrase.
    Passphrase,
    /// An age identity file.
    Identity,
    /// A key on a token.
    Token,
}

/// The key on a token that a vault is sealed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The token, the key on it, and the file that holds the PIN, where one was named.
    pub uri: Uri,
    /// The module that it was last reached through.
    pub module: PathBuf,
    /// The age recipient of the key, `age1tag1…`.
    recipient: String,
    /// Whether the key was made for this vault.
    made: bool,
}

/// What can be read about this device while its vault is locked.
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

/// `vault.json`: written last, so its presence says that the other files are complete.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    first: Sealed,
    /// Other seals of the same identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<Sealed>,
    recovery: Vec<String>,
    /// Keys that were made on a token for this vault, and that are to be destroyed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaving: Vec<TokenRecord>,
}

/// One seal of the vault's identity.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    lock: Lock,
    /// The number in the name of its file: see [`Sealed::path`].
    #[serde(default = "first_number", skip_serializing_if = "is_first_number")]
    number: u64,
    /// Only with [`Lock::Token`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenRecord>,
}

/// An open vault.
pub struct Vault {
    home: Home,
    keyring: Keyring,
    /// The token that opened it.
    token: Option<Arc<token::Session>>,
    /// The files that were taken over, unauthenticated, when it was opened.
    adopted: Vec<PathBuf>,
    /// Its ledger, once it was read.
    ledger: OnceLock<Ledger>,
}

impl Vault {
    /// Whether there is a vault.
    pub fn exists(home: &Home) -> bool {
        header_path(home).exists()
    }

    /// The kind of secret that opens the vault; if there are several seals, the first.
    ///
    /// # Errors
    ///
    /// [`Error::NoVault`], [`Error::LooseMode`], [`Error::Unsupported`], [`Error::Corrupt`].
    pub fn lock(home: &Home) -> Result<Lock, Error> {
        Header::read(home).map(|header| header.first.lock)
    }

    /// Everything that opens the vault. An age identity may also be that of a recovery recipient.
    ///
    /// # Errors
    ///
    /// As [`Vault::lock`].
    pub fn locks(home: &Home) -> Result<Vec<Lock>, Error> {
        let header = Header::read(home)?;
        let recovery = (!header.recovery.is_empty()).then_some(Lock::Identity);
        let mut locks: Vec<Lock> = header.seals().map(|sealed| sealed.lock).collect();
        locks.extend(recovery.filter(|lock| !locks.contains(lock)));
        Ok(locks)
    }

    /// The token that the vault is sealed to, if it is.
    ///
    /// # Errors
    ///
    /// As [`Vault::lock`].
    pub fn token(home: &Home) -> Result<Option<TokenRecord>, Error> {
        Ok(Header::read(home)?.token().cloned())
    }

    /// The device, without opening the vault.
    ///
    /// # Errors
    ///
    /// As [`Vault::lock`].
    pub fn device(home: &Home) -> Result<DeviceInfo, Error> {
        Header::read(home)?;
        let path = home.data.join(DEVICE);
        document::read(home, &path)?.ok_or_else(|| Error::corrupt(&path, "missing"))
    }

    /// Makes a vault for a new device whose private key is `device_key` (PKCS#8, DER). Any of
    /// `seals`, of each kind at most one, opens it. `recovery` are age recipients that every file
    /// will be sealed to as well.
    ///
    /// The vault exists once all of it is on the disk. Files of a process that was killed on the
    /// way are replaced; no key can be lost by that, since none is stored before.
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
        seals: &(impl AsRef<[Seal]> + ?Sized),
        recovery: &[String],
    ) -> Result<Self, Error> {
        let seals = seals.as_ref();
        let made = Self::make(home, device, device_key, seals, recovery);
        if made.is_err() {
            reseal::take_back(home, seals);
        }
        made
    }

    fn make(
        home: &Home,
        device: &DeviceInfo,
        device_key: &Secret<Vec<u8>>,
        seals: &[Seal],
        recovery: &[String],
    ) -> Result<Self, Error> {
        check_label(&device.name)?;
        refuse_existing(home)?;
        let keyring = Keyring::generate(recovery)?;
        let header = Header::new(seals, FIRST, recovery)?;
        let home = &home.with_key(keyring.state_key());
        let files = files_of_a_new_vault(home, device, device_key, seals, &keyring)?;

        let writer = Writer::lock(home)?;
        refuse_existing(home)?;
        for (path, content) in files {
            writer.replace(&path, &content, Durability::Synced)?;
        }
        let adopted = adopt::everything(&writer, home, Found::Before)?;
        let path = header_path(home);
        writer.create(&path, &format::to_bytes(home, &path, header)?)?;
        Editions::note(&writer, &path, 0)?;
        let token = seals.iter().find_map(Seal::session);
        Ok(Self { home: home.clone(), keyring, token, adopted, ledger: OnceLock::new() })
    }

    /// Opens the vault. An identity file may also be that of a recovery recipient.
    ///
    /// # Errors
    ///
    /// [`Error::WrongSecret`]; [`Error::Token`]; [`Error::NoVault`]; [`Error::NotFound`] or
    /// [`Error::NotAnIdentity`] for an identity file; [`Error::LooseMode`]; [`Error::Corrupt`].
    pub fn open(home: &Home, unlock: &Unlock) -> Result<Self, Error> {
        for root in home.roots() {
            file::check_dir(root)?;
        }
        let header = Header::read(home)?;
        let (path, text) = match unlock {
            Unlock::Passphrase(passphrase) => {
                let path = header.by(Lock::Passphrase)?.path(home);
                let text = seal::open_with_passphrase(passphrase, &existing(&path)?);
                (path, text)
            }
            Unlock::Identity(identity) => {
                let identities = seal::identities(identity)?;
                let opened = header.by(Lock::Identity).and_then(|sealed| {
                    let path = sealed.path(home);
                    let text = seal::open_with_identities(&identities, &existing(&path)?);
                    Ok((path, text))
                });
                let recovery = home.data.join(RECOVERY);
                match (opened, file::read(&recovery)?) {
                    (Err(Error::WrongSecret) | Ok((_, Err(Unopened::NotOurs))), Some(sealed)) => {
                        (recovery, seal::open_with_identities(&identities, &sealed))
                    }
                    (opened, _) => opened?,
                }
            }
            Unlock::Token(session) => {
                let sealed = header.by(Lock::Token)?;
                let path = sealed.path(home);
                let key = sealed.key(home, session)?;
                let text = open_with_key(&key, &existing(&path)?)?;
                (path, text)
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
        let token = match unlock {
            Unlock::Token(session) => Some(session.clone()),
            Unlock::Passphrase(_) | Unlock::Identity(_) => None,
        };
        let home = home.with_key(keyring.state_key());
        let (adopted, ledger) = (Vec::new(), OnceLock::new());
        let mut vault = Self { home, keyring, token, adopted, ledger };
        vault.adopt()?;
        // Left-over seals are destroyed only after `adopt` has found `vault.json` authentic.
        reseal::clean_up(&vault.home)?;
        // Whatever stands in the way is named where it is used; the next process tries again.
        let _ = vault.finish_renames();
        Ok(vault)
    }

    /// Gives this device another name.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`]; [`Error::Corrupt`] and the like where it cannot be read or written.
    pub fn rename(&self, name: &str) -> Result<(), Error> {
        check_label(name)?;
        let writer = Writer::lock(&self.home)?;
        let device = DeviceInfo { name: name.to_owned(), ..Self::device(&self.home)? };
        document::write(&writer, &self.home.data.join(DEVICE), device)
    }

    /// Fails where `name` cannot be the name of a device.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn check_name(name: &str) -> Result<(), Error> {
        check_label(name)
    }

    /// The device's private key (PKCS#8, DER).
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::Corrupt`].
    pub fn device_key(&self) -> Result<Secret<Vec<u8>>, Error> {
        let mut sealed = self.device_file()?;
        let mut lines = [NUMBERED, NUMBERING, UNNUMBERED, BEGUN].into_iter();
        if let Some(line) = lines.find(|line| sealed.expose().ends_with(line)) {
            let length = sealed.expose().len().saturating_sub(line.len());
            sealed.expose_mut().truncate(length);
        }
        Ok(sealed)
    }

    /// The content of `device.age`: the device key and, if every other file is authenticated, a
    /// line that says so. Removing that line takes the open vault.
    fn device_file(&self) -> Result<Secret<Vec<u8>>, Error> {
        let path = self.home.data.join(DEVICE_KEY);
        self.unseal(&path)?.ok_or_else(|| Error::corrupt(&path, "missing"))
    }

    /// The files that were not authenticated yet when the vault was opened, and were taken as they
    /// were: those of a home that an earlier version made.
    pub fn adopted(&self) -> &[PathBuf] {
        &self.adopted
    }

    /// The session with the token that opened the vault, if one did.
    pub fn session(&self) -> Option<Arc<token::Session>> {
        self.token.clone()
    }

    /// The home of the vault. Files read through it are authenticated.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its ledger. It is read from the beginning once.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn ledger(&self) -> Result<&Ledger, Error> {
        match self.ledger.get() {
            Some(ledger) => ledger.update().map(|()| ledger),
            None => {
                let ledger = Ledger::open(&self.home)?;
                Ok(self.ledger.get_or_init(|| ledger))
            }
        }
    }

    /// Opens a file of this vault, `None` if it does not exist.
    fn unseal(&self, path: &Path) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let Some(sealed) = file::read(path)? else { return Ok(None) };
        self.unseal_bytes(path, &sealed).map(Some)
    }

    /// Opens sealed bytes from the file `path`, or from the token that it points to.
    fn unseal_bytes(&self, path: &Path, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        self.keyring.open(sealed).map_err(|e| match e {
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
            Self::Token(_) => Lock::Token,
        }
    }

    fn session(&self) -> Option<Arc<token::Session>> {
        match self {
            Self::Token(key) => Some(key.session.clone()),
            Self::Passphrase(_) | Self::Identity(_) => None,
        }
    }

    /// Seals `text`, an identity that will be stored in `path`.
    fn seal(&self, path: &Path, text: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Passphrase(passphrase) => {
                seal::seal_with_passphrase(passphrase, text).map_err(Error::io(path))
            }
            Self::Identity(file) => seal::seal_to_file(file, text),
            Self::Token(key) => {
                let recipient = tag::recipient(&public_key(key)?);
                seal::seal_to_recipient(&recipient, text).map_err(Error::io(path))
            }
        }
    }

    /// Fails unless `sealed` opens to `text` again.
    fn verify(&self, path: &Path, sealed: &[u8], text: &Secret<Vec<u8>>) -> Result<(), Error> {
        let opened = match self {
            Self::Passphrase(passphrase) => seal::open_with_passphrase(passphrase, sealed),
            Self::Identity(file) => seal::open_with_identities(&seal::identities(file)?, sealed),
            Self::Token(key) => open_with_key(key, sealed)?,
        };
        match opened {
            Ok(opened) if bool::from(opened.ct_eq(text)) => Ok(()),
            _ => Err(Error::corrupt(path, "reads back differently")),
        }
    }
}

impl AsRef<[Self]> for Seal {
    fn as_ref(&self) -> &[Self] {
        std::slice::from_ref(self)
    }
}

impl Header {
    /// Names these seals, in files numbered from `number`.
    fn new(seals: &[Seal], number: u64, recovery: &[String]) -> Result<Self, Error> {
        let mut sealed = seals.iter().zip(number..).map(|(seal, number)| Sealed::by(seal, number));
        let first = sealed.next().ok_or(Error::NoSeal)?;
        let (also, recovery) = (sealed.collect(), recovery.to_vec());
        Ok(Self { first, also, recovery, leaving: Vec::new() })
    }

    fn write(&self, writer: &Writer<'_>, home: &Home) -> Result<(), Error> {
        document::write(writer, &header_path(home), self)
    }

    fn read(home: &Home) -> Result<Self, Error> {
        let path = header_path(home);
        let header: Option<Self> = document::read(home, &path)?;
        let Some(header) = header else {
            refuse_remains(home)?;
            return Err(Error::NoVault { path: home.data.clone() });
        };
        // `TokenRecord::module` has the module, so the URI must not name one as well.
        let plain = |record: &TokenRecord| {
            record.uri.module_path.is_none() && record.uri.module_name.is_none()
        };
        let fits = |s: &Sealed| match &s.token {
            Some(record) => s.lock == Lock::Token && plain(record),
            None => s.lock != Lock::Token,
        };
        if header.seals().all(fits) && header.leaving.iter().all(plain) {
            Ok(header)
        } else {
            Err(Error::corrupt(&path, "says nothing of the token"))
        }
    }

    fn seals(&self) -> impl Iterator<Item = &Sealed> {
        std::iter::once(&self.first).chain(&self.also)
    }

    fn by(&self, lock: Lock) -> Result<&Sealed, Error> {
        self.seals().find(|sealed| sealed.lock == lock).ok_or(Error::WrongSecret)
    }

    fn token(&self) -> Option<&TokenRecord> {
        self.seals().find_map(|sealed| sealed.token.as_ref())
    }

    /// Whether shares are kept on the token: only if it is the sole seal. Any other seal must be
    /// able to sign without the token.
    fn keeps_shares_on_token(&self) -> bool {
        self.first.lock == Lock::Token && self.also.is_empty() && self.recovery.is_empty()
    }
}

impl Sealed {
    fn by(seal: &Seal, number: u64) -> Self {
        let token = match seal {
            Seal::Token(key) => Some(TokenRecord::of(key)),
            Seal::Passphrase(_) | Seal::Identity(_) => None,
        };
        Self { lock: seal.lock(), number, token }
    }

    fn path(&self, home: &Home) -> PathBuf {
        identity_path(home, self.number)
    }

    /// The key in an open session with the token.
    fn key(&self, home: &Home, session: &Arc<token::Session>) -> Result<token::Key, Error> {
        let damaged = || Error::corrupt(&header_path(home), "says nothing of the token");
        let record = self.token.as_ref().ok_or_else(damaged)?;
        let public = tag::public_key(&record.recipient).ok_or_else(damaged)?;
        let id = record.uri.id.clone().ok_or_else(damaged)?;
        let (session, made) = (session.clone(), record.made);
        let pin_source = record.uri.pin_source.clone();
        Ok(token::Key { session, id, point: tag::point(&public), made, pin_source })
    }
}

impl TokenRecord {
    fn of(key: &token::Key) -> Self {
        let (id, pin_source) = (Some(key.id.clone()), key.pin_source.clone());
        let uri = Uri { id, pin_source, ..Uri::of(key.session.info()) };
        let module = key.session.module().to_owned();
        let recipient = public_key(key).map(|public| tag::recipient(&public)).unwrap_or_default();
        Self { uri, module, recipient, made: key.made }
    }
}

fn public_key(key: &token::Key) -> Result<p256::PublicKey, Error> {
    p256::PublicKey::from_sec1_bytes(&key.point)
        .map_err(|_| key.session.wrong_key("it is not on the curve P-256").into())
}

/// Opens what is sealed to a key on a token.
fn open_with_key(
    key: &token::Key,
    sealed: &[u8],
) -> Result<Result<Secret<Vec<u8>>, Unopened>, Error> {
    let identity = tag::Identity::new(public_key(key)?, |point| key.session.derive(&key.id, point));
    let opened = seal::open_with_identity(&identity, sealed);
    match (opened, identity.failure()) {
        (_, Some(error)) => Err(error.into()),
        (Err(Unopened::NotOurs), None) => {
            Err(key.session.wrong_key("it is not the one that this vault was sealed to").into())
        }
        (opened, None) => Ok(opened),
    }
}

/// The files of the vault itself, but for the header, which is written last.
fn files_of_a_new_vault(
    home: &Home,
    device: &DeviceInfo,
    device_key: &Secret<Vec<u8>>,
    seals: &[Seal],
    keyring: &Keyring,
) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let in_data = |name| home.data.join(name);
    let recovery = in_data(RECOVERY);
    let (info, key) = (in_data(DEVICE), in_data(DEVICE_KEY));
    let text = Secret::new(keyring.to_text().expose().clone().into_bytes());
    let mut files = Vec::new();
    for (seal, number) in seals.iter().zip(FIRST..) {
        let path = identity_path(home, number);
        let sealed = seal.seal(&path, text.expose())?;
        if let Seal::Token(_) = seal {
            // The seal is opened once before it counts: a token that fails here would lock the
            // owner out.
            seal.verify(&path, &sealed, &text)?;
        }
        files.push((path, sealed));
    }
    let for_recovery = keyring.seal_for_recovery(text.expose()).map_err(Error::io(&recovery))?;
    let kept_key = marked(device_key, NUMBERED);
    let sealed_key = keyring.seal(kept_key.expose()).map_err(Error::io(&key))?;
    let info_bytes = format::to_bytes(home, &info, device)?;

    files.extend([(key, sealed_key), (info, info_bytes)]);
    files.extend(for_recovery.map(|sealed| (recovery, sealed)));
    Ok(files)
}

/// The content of `device.age` with one of the lines behind the key.
fn marked(device_key: &Secret<Vec<u8>>, line: &[u8]) -> Secret<Vec<u8>> {
    Secret::made(|content: &mut Vec<u8>| {
        // One allocation: growing would leave parts of the secret behind.
        content.reserve_exact(device_key.expose().len().saturating_add(line.len()));
        content.extend_from_slice(device_key.expose());
        content.extend_from_slice(line);
    })
}

/// Fails if there is a vault, or was one.
fn refuse_existing(home: &Home) -> Result<(), Error> {
    refuse_remains(home)?;
    match Vault::exists(home) {
        true => Err(Error::Exists { path: home.data.clone() }),
        false => Ok(()),
    }
}

/// Fails if the header is missing and other files of a finished vault are here. A new vault could
/// not open them, and would be another device with this one's past. An unfinished vault leaves no
/// such files.
fn refuse_remains(home: &Home) -> Result<(), Error> {
    let header = header_path(home);
    let locked = home.locked();
    let lines = file::read_lines(&ledger::path(home))?.unwrap_or_default();
    let why = if !file::list(&home.keys())?.is_empty() {
        "missing, but there are keys"
    } else if !file::list(&signatures::folder(home))?.is_empty() {
        "missing, but there are signatures"
    } else if !lines.is_empty() {
        "missing, but there is its ledger"
    } else if Editions::unchecked(&locked).demand(&locked, &header) {
        editions::MISSING
    } else {
        return Ok(());
    };
    // Another process may have just created it.
    if header.exists() { Ok(()) } else { Err(Error::tampered(&header, why)) }
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

/// The content of a file that must be there.
fn existing(path: &Path) -> Result<Vec<u8>, Error> {
    file::read(path)?.ok_or_else(|| Error::corrupt(path, "missing"))
}

/// `identity.age`, and `identity.2.age` and so on after a vault was sealed anew.
fn identity_path(home: &Home, number: u64) -> PathBuf {
    match number {
        FIRST => home.data.join(IDENTITY),
        later => home.data.join(format!("identity.{later}.age")),
    }
}

fn first_number() -> u64 {
    FIRST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_first_number(number: &u64) -> bool {
    *number == FIRST
}

fn header_path(home: &Home) -> PathBuf {
    home.data.join("vault.json")
}

const FIRST: u64 = 1;
const IDENTITY: &str = "identity.age";
const RECOVERY: &str = "identity.recovery.age";
const DEVICE: &str = "device.json";
const DEVICE_KEY: &str = "device.age";
/// Follows the device key while the files of an earlier version are taken over.
const BEGUN: &[u8] = b"\ncosign: state is being authenticated\n";
/// Follows the device key where every file is authenticated, and editions were not counted yet.
const UNNUMBERED: &[u8] = b"\ncosign: state is authenticated\n";
/// Follows the device key while the documents are being numbered.
const NUMBERING: &[u8] = b"\ncosign: state is being numbered\n";
/// Follows the device key once every file that decides something is authenticated, and every
/// document has an edition.
const NUMBERED: &[u8] = b"\ncosign: state is authenticated and numbered\n";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn passphrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn same(a: &Secret<Vec<u8>>, b: &Secret<Vec<u8>>) -> bool {
        a.expose() == b.expose()
    }

    #[test]
    fn a_passphrase_opens_the_vault_it_sealed_and_no_other_does() {
        let home = fixture::home();
        let seal = Seal::Passphrase(passphrase("correct horse"));
        assert!(!Vault::exists(&home));
        assert!(matches!(Vault::lock(&home), Err(Error::NoVault { .. })));
        Vault::create(&home, &fixture::device(), &fixture::device_key(), &seal, &[]).unwrap();

        assert!(Vault::exists(&home));
        assert_eq!(Vault::lock(&home).unwrap(), Lock::Passphrase);
        assert_eq!(Vault::device(&home).unwrap(), fixture::device());
        let vault = Vault::open(&home, &Unlock::Passphrase(passphrase("correct horse"))).unwrap();
        assert!(same(&vault.device_key().unwrap(), &fixture::device_key()));

        for wrong in ["correct house", ""] {
            let opened = Vault::open(&home, &Unlock::Passphrase(passphrase(wrong)));
            assert!(matches!(opened, Err(Error::WrongSecret)));
        }
        let (file, _) = fixture::identity_file(home.dir.path(), "other.txt");
        assert!(matches!(Vault::open(&home, &Unlock::Identity(file)), Err(Error::WrongSecret)));
    }

    #[test]
    fn an_identity_file_opens_the_vault_it_sealed_and_no_other_does() {
        let (home, _, file) = fixture::vault();
        assert_eq!(Vault::lock(&home).unwrap(), Lock::Identity);
        let vault = Vault::open(&home, &Unlock::Identity(file)).unwrap();
        assert!(same(&vault.device_key().unwrap(), &fixture::device_key()));

        let (other, _) = fixture::identity_file(home.dir.path(), "other.txt");
        assert!(matches!(Vault::open(&home, &Unlock::Identity(other)), Err(Error::WrongSecret)));
        let opened = Vault::open(&home, &Unlock::Passphrase(passphrase("x")));
        assert!(matches!(opened, Err(Error::WrongSecret)));
    }

    #[test]
    fn an_identity_file_that_is_none_is_named() {
        let (home, _, file) = fixture::vault();
        let missing = file.with_file_name("missing.txt");
        match Vault::open(&home, &Unlock::Identity(missing.clone())) {
            Err(Error::NotFound { name, .. }) => assert_eq!(name, missing.display().to_string()),
            other => panic!("{other:?}"),
        }
        for content in ["", "# only a comment\n", "hello\n"] {
            fs::write(&missing, content).unwrap();
            fs::set_permissions(&missing, fs::Permissions::from_mode(0o600)).unwrap();
            let opened = Vault::open(&home, &Unlock::Identity(missing.clone()));
            assert!(matches!(opened, Err(Error::NotAnIdentity { .. })), "{content}");
            let new = fixture::home();
            let seal = Seal::Identity(missing.clone());
            let made = Vault::create(&new, &fixture::device(), &fixture::device_key(), &seal, &[]);
            assert!(matches!(made, Err(Error::NotAnIdentity { .. })), "{content}");
            assert!(!Vault::exists(&new));
        }
    }

    #[test]
    fn a_recovery_identity_opens_the_vault_too() {
        let home = fixture::home();
        let (file, _) = fixture::identity_file(home.dir.path(), "daily.txt");
        let (spare, recipient) = fixture::identity_file(home.dir.path(), "spare.txt");
        let (device, key) = (fixture::device(), fixture::device_key());
        Vault::create(&home, &device, &key, &Seal::Identity(file), &[recipient]).unwrap();
        let vault = Vault::open(&home, &Unlock::Identity(spare)).unwrap();
        assert!(same(&vault.device_key().unwrap(), &key));
    }

    #[test]
    fn a_recovery_recipient_cannot_be_slipped_in_from_outside() {
        let (home, _, file) = fixture::vault();
        let (_, recipient) = fixture::identity_file(home.dir.path(), "thief.txt");
        let header = header_path(&home);
        let text = fs::read_to_string(&header).unwrap();
        let altered = text.replace("[]", &format!("[\"{recipient}\"]"));
        assert_ne!(altered, text);
        fs::write(&header, altered).unwrap();
        let opened = Vault::open(&home, &Unlock::Identity(file));
        assert!(matches!(opened, Err(Error::Corrupt { path, .. }) if path == header));
    }

    #[test]
    fn the_header_of_a_vault_on_a_token_is_still_read() {
        let (home, ..) = fixture::vault();
        fs::write(header_path(&home), ON_A_TOKEN).unwrap();
        assert_eq!(Vault::locks(&home).unwrap(), [Lock::Token, Lock::Passphrase]);
        let record = Vault::token(&home).unwrap().unwrap();
        assert_eq!(record.uri.id, Some(vec![0x43, 0xeb]));
        assert_eq!(record.module, Path::new("/usr/lib/softhsm/libsofthsm2.so"));
        let with_pin = ON_A_TOKEN.replacen("id=%43%EB", "id=%43%EB?pin-source=/etc/pin", 1);
        fs::write(header_path(&home), with_pin).unwrap();
        let record = Vault::token(&home).unwrap().unwrap();
        assert_eq!(record.uri.pin_source, Some("/etc/pin".into()));
        // Refused: no token, another lock, a module in the token's URI.
        for (from, to) in [
            ("\"token\": {", "\"tokens\": {"),
            ("\"lock\": \"token\"", "\"lock\": \"identity\""),
            ("id=%43%EB", "id=%43%EB?module-path=/lib/other.so"),
        ] {
            let altered = ON_A_TOKEN.replacen(from, to, 1);
            assert_ne!(altered, ON_A_TOKEN);
            fs::write(header_path(&home), altered).unwrap();
            assert!(matches!(Vault::token(&home), Err(Error::Corrupt { .. })), "{to}");
        }
    }

    const ON_A_TOKEN: &str = r#"{
  "version": 1,
  "lock": "token",
  "number": 2,
  "token": {
    "uri": "pkcs11:token=cosign%20test;serial=9c1a07fc58068f9c;id=%43%EB",
    "module": "/usr/lib/softhsm/libsofthsm2.so",
    "recipient": "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e",
    "made": true
  },
  "also": [{ "lock": "passphrase", "number": 3 }],
  "recovery": []
}"#;

    #[test]
    fn a_vault_can_have_several_seals_and_get_others() {
        let home = fixture::home();
        let (file, _) = fixture::identity_file(home.dir.path(), "identity.txt");
        let (other, _) = fixture::identity_file(home.dir.path(), "other.txt");
        let (device, key) = (fixture::device(), fixture::device_key());
        let seals = [Seal::Passphrase(passphrase("one")), Seal::Identity(file.clone())];
        Vault::create(&home, &device, &key, seals.as_slice(), &[]).unwrap();
        assert_eq!(Vault::locks(&home).unwrap(), [Lock::Passphrase, Lock::Identity]);
        Vault::open(&home, &Unlock::Passphrase(passphrase("one"))).unwrap();
        let mut vault = Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();

        assert!(matches!(vault.reseal(&[]), Err(Error::NoSeal)));
        let missing = Seal::Identity(home.dir.path().join("missing"));
        assert!(matches!(vault.reseal(&[missing]), Err(Error::NotFound { .. })));
        Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();

        vault.reseal(&[Seal::Identity(other.clone())]).unwrap();
        assert!(matches!(Vault::open(&home, &Unlock::Identity(file)), Err(Error::WrongSecret)));
        let vault = Vault::open(&home, &Unlock::Identity(other)).unwrap();
        assert!(same(&vault.device_key().unwrap(), &key));
        let named = |path: &PathBuf| path.to_string_lossy().contains("identity");
        assert_eq!(file::list(&home.data).unwrap().iter().filter(|path| named(path)).count(), 1);
    }

    #[test]
    fn a_new_passphrase_replaces_the_old_one_and_nothing_else() {
        let home = fixture::home();
        let (file, _) = fixture::identity_file(home.dir.path(), "identity.txt");
        let (device, key) = (fixture::device(), fixture::device_key());
        let seals = [Seal::Passphrase(passphrase("one")), Seal::Identity(file.clone())];
        let vault = Vault::create(&home, &device, &key, seals.as_slice(), &[]).unwrap();
        vault.change_passphrase(passphrase("two")).unwrap();
        assert_eq!(Vault::locks(&home).unwrap(), [Lock::Passphrase, Lock::Identity]);
        let old = Vault::open(&home, &Unlock::Passphrase(passphrase("one")));
        assert!(matches!(old, Err(Error::WrongSecret)));
        for unlock in [Unlock::Passphrase(passphrase("two")), Unlock::Identity(file)] {
            let vault = Vault::open(&home, &unlock).unwrap();
            assert!(same(&vault.device_key().unwrap(), &key));
            assert!(vault.misfits().is_empty());
        }
        let named = |path: &PathBuf| path.to_string_lossy().contains("identity");
        let data = file::list(&home.data).unwrap();
        assert_eq!(data.iter().filter(|path| named(path)).count(), 2);

        let (_home, vault, _) = fixture::vault();
        let none = vault.change_passphrase(passphrase("two"));
        assert!(matches!(none, Err(Error::NotFound { what: "seal", .. })));
    }

    #[test]
    fn an_identity_that_nothing_names_goes_unless_a_named_one_is_missing() {
        let (home, _, file) = fixture::vault();
        let (named, stray) = (identity_path(&home, 1), identity_path(&home, 7));
        fs::copy(&named, &stray).unwrap();
        fs::rename(&named, home.data.join("away")).unwrap();
        assert!(Vault::open(&home, &Unlock::Identity(file.clone())).is_err());
        assert!(stray.exists());
        fs::rename(home.data.join("away"), &named).unwrap();
        Vault::open(&home, &Unlock::Identity(file)).unwrap();
        assert!(named.exists() && !stray.exists());
    }

    #[test]
    fn a_second_vault_is_refused_and_the_first_stays() {
        let (home, _, file) = fixture::vault();
        let other = DeviceInfo { name: "Mallory".into(), ..fixture::device() };
        let seal = Seal::Identity(file.clone());
        let made = Vault::create(&home, &other, &fixture::device_key(), &seal, &[]);
        assert!(matches!(made, Err(Error::Exists { .. })));
        assert_eq!(Vault::device(&home).unwrap(), fixture::device());
        Vault::open(&home, &Unlock::Identity(file)).unwrap();
    }

    #[test]
    fn of_two_that_make_a_vault_at_once_one_wins() {
        let home = fixture::home();
        let (file, _) = fixture::identity_file(home.dir.path(), "identity.txt");
        let make = |name: &str| {
            let device = DeviceInfo { name: name.to_owned(), ..fixture::device() };
            let seal = Seal::Identity(file.clone());
            Vault::create(&home, &device, &fixture::device_key(), &seal, &[])
        };
        let names = ["a", "b", "c", "d"];
        let made = std::thread::scope(|scope| {
            let threads = names.map(|name| scope.spawn(move || make(name)));
            threads.map(|thread| thread.join().unwrap())
        });
        let winners: Vec<&str> =
            names.iter().zip(&made).filter(|(_, m)| m.is_ok()).map(|(n, _)| *n).collect();
        assert_eq!(winners, [Vault::device(&home).unwrap().name]);
        let losers = made.iter().filter(|m| matches!(m, Err(Error::Exists { .. }))).count();
        assert_eq!(losers, names.len() - 1);
        let vault = Vault::open(&home, &Unlock::Identity(file)).unwrap();
        assert!(same(&vault.device_key().unwrap(), &fixture::device_key()));
    }

    #[test]
    fn a_vault_that_was_never_finished_is_made_anew() {
        let (home, _, file) = fixture::vault();
        let seal = || Seal::Identity(file.clone());
        let whole = file::list(&home.data).unwrap();
        fs::remove_file(header_path(&home)).unwrap();
        // What is there is noted after the header.
        let noted = fs::read_to_string(editions::path(&home)).unwrap();
        fs::write(editions::path(&home), noted.replace("data/vault.json", "data/other")).unwrap();
        fs::write(home.data.join(".new"), b"half a head").unwrap();
        fs::write(home.data.join(DEVICE), b"").unwrap();
        assert!(!Vault::exists(&home));
        assert!(matches!(Vault::device(&home), Err(Error::NoVault { .. })));

        let (device, key) = (fixture::device(), fixture::device_key());
        Vault::create(&home, &device, &key, &seal(), &[]).unwrap();
        assert_eq!(file::list(&home.data).unwrap(), whole);
        let vault = Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();
        assert!(same(&vault.device_key().unwrap(), &key));
        assert_eq!(Vault::device(&home).unwrap(), device);
    }

    #[test]
    fn keys_without_their_vault_are_never_overwritten_by_a_new_one() {
        let (home, _, file) = fixture::vault();
        fs::create_dir_all(home.keys().join("vault")).unwrap();
        let identity = fs::read(home.data.join(IDENTITY)).unwrap();
        fs::remove_file(header_path(&home)).unwrap();
        let (device, key) = (fixture::device(), fixture::device_key());
        let made = Vault::create(&home, &device, &key, &Seal::Identity(file), &[]);
        assert!(matches!(made, Err(Error::Tampered { .. })));
        assert_eq!(fs::read(home.data.join(IDENTITY)).unwrap(), identity);
    }

    #[test]
    fn a_vault_whose_header_was_taken_away_is_not_made_anew() {
        let (home, _, file) = fixture::vault();
        let identity = fs::read(home.data.join(IDENTITY)).unwrap();
        fs::remove_file(header_path(&home)).unwrap();
        let refused = |error: Result<(), Error>| {
            assert!(
                matches!(&error, Err(Error::Tampered { path, .. }) if *path == header_path(&home)),
                "{error:?}"
            );
        };
        let (device, key) = (fixture::device(), fixture::device_key());
        refused(Vault::create(&home, &device, &key, &Seal::Identity(file), &[]).map(drop));
        refused(Vault::locks(&home).map(drop));
        assert_eq!(fs::read(home.data.join(IDENTITY)).unwrap(), identity);
        // Nor where only what it signed and whom it banned is left.
        fs::remove_file(editions::path(&home)).unwrap();
        assert!(matches!(Vault::locks(&home), Err(Error::NoVault { .. })));
        fs::write(ledger::path(&home), b"cosign ledger 1\n").unwrap();
        refused(Vault::locks(&home).map(drop));
    }

    #[test]
    fn loose_modes_are_refused_until_they_are_put_right() {
        let (home, _, file) = fixture::vault();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let everything = [
            (home.data.clone(), 0o700),
            (home.state.clone(), 0o700),
            (home.data.join(IDENTITY), 0o600),
            (header_path(&home), 0o600),
        ];
        for (path, tight) in everything {
            set(&path, tight | 0o040);
            match Vault::open(&home, &Unlock::Identity(file.clone())) {
                Err(Error::LooseMode { path: loose, chmod }) => {
                    assert_eq!(loose, path);
                    let status = Command::new("sh").args(["-c", &chmod]).status().unwrap();
                    assert!(status.success(), "{chmod}");
                }
                other => panic!("{path:?}: {other:?}"),
            }
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, tight);
            Vault::open(&home, &Unlock::Identity(file.clone())).unwrap();
        }
    }

    #[test]
    fn nothing_in_a_vault_is_open_to_others() {
        let (home, _, _) = fixture::vault();
        for root in [&home.data, &home.state] {
            assert_eq!(fs::metadata(root).unwrap().permissions().mode() & 0o777, 0o700);
            for path in file::list(root).unwrap() {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{path:?}");
            }
        }
    }

    #[test]
    fn a_damaged_identity_is_corrupt_and_not_a_wrong_secret() {
        let (home, _, file) = fixture::vault();
        let path = home.data.join(IDENTITY);
        let mut sealed = fs::read(&path).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        fs::write(&path, &sealed).unwrap();
        let opened = Vault::open(&home, &Unlock::Identity(file.clone()));
        assert!(matches!(opened, Err(Error::Corrupt { .. })));
        fs::remove_file(&path).unwrap();
        let opened = Vault::open(&home, &Unlock::Identity(file));
        assert!(matches!(opened, Err(Error::Corrupt { why: "missing", .. })));
    }

    #[test]
    fn a_device_key_of_another_vault_is_not_taken() {
        let (home, vault, _) = fixture::vault();
        let (other, _, _) = fixture::vault();
        fs::copy(other.data.join(DEVICE_KEY), home.data.join(DEVICE_KEY)).unwrap();
        assert!(matches!(vault.device_key(), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_device_name_must_be_fit_to_be_announced() {
        let (long, home) = ("é".repeat(32), fixture::home());
        for name in ["", " ", "a\u{1b}[1m", "a\nb", &long] {
            let device = DeviceInfo { name: name.to_owned(), ..fixture::device() };
            let seal = Seal::Passphrase(passphrase("never used"));
            let made = Vault::create(&home, &device, &fixture::device_key(), &seal, &[]);
            assert!(matches!(made, Err(Error::BadName { .. })), "{name:?}");
        }
    }

    #[test]
    fn an_open_vault_prints_nothing_of_itself() {
        let (_home, vault, _) = fixture::vault();
        assert_eq!(format!("{vault:?}"), "Vault(..)");
    }
}
