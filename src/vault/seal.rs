//! age files: the seals of the vault, and the files that the vault seals.
//!
//! Everything is an ordinary age file that a stock `age -d` opens.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, IdentityFile};
use age_core::format::{FileKey, Stanza};

use super::authentic::StateKey;
use super::error::Error;
use super::given::{self, Guard};
use super::locked::Locked;
use crate::device::Label;
use crate::secret::Secret;

/// Something to seal to.
pub(super) type Recipient = Box<dyn age::Recipient + Send + Sync>;

/// Why a sealed file did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// It is sealed to another identity, or the passphrase is wrong.
    NotOurs,
    /// It is not what was written.
    Broken,
}

/// The identity at the centre of a vault, and the recovery recipients that every file of the vault
/// is sealed to as well.
/// The recipients are stored inside the sealed text, so nobody can add one without opening the
/// vault.
pub(super) struct Keyring {
    identity: Locked<age::x25519::Identity>,
    recovery: Vec<(String, Recipient)>,
}

impl Keyring {
    /// A new identity with these recovery recipients.
    pub(super) fn generate(recovery: &[String]) -> Result<Self, Error> {
        Ok(Self {
            identity: Locked::new(age::x25519::Identity::generate()),
            recovery: recovery
                .iter()
                .map(|text| parse_recipient(text))
                .collect::<Result<_, _>>()?,
        })
    }

    /// An age identity file: a comment for each recovery recipient, then the identity.
    pub(super) fn to_text(&self) -> Secret<String> {
        let identity = self.identity.expose().to_string();
        let length = self.recovery.iter().map(|(text, _)| text.len() + RECOVERY.len() + 1);
        Secret::made(|text: &mut String| {
            // One allocation: growing would leave parts of the secret behind.
            text.reserve_exact(TITLE.len() + length.sum::<usize>() + 1 + IDENTITY_LENGTH);
            text.push_str(TITLE);
            for (recipient, _) in &self.recovery {
                text.extend([RECOVERY, recipient, "\n"]);
            }
            text.extend([identity.expose_secret(), "\n"]);
        })
    }

    /// Reads what [`Keyring::to_text`] wrote; `None` if it is something else.
    pub(super) fn from_text(text: &Secret<Vec<u8>>) -> Option<Self> {
        let mut lines = std::str::from_utf8(text.expose()).ok()?.strip_prefix(TITLE)?.lines();
        let mut recovery = Vec::new();
        let mut line = lines.next()?;
        while let Some(recipient) = line.strip_prefix(RECOVERY) {
            recovery.push(parse_recipient(recipient).ok()?);
            line = lines.next()?;
        }
        let identity = Locked::new(line.parse().ok()?);
        lines.next().is_none().then_some(Self { identity, recovery })
    }

    /// The recovery recipients as they were given.
    pub(super) fn recovery(&self) -> impl Iterator<Item = &str> {
        self.recovery.iter().map(|(text, _)| text.as_str())
    }

    /// The key that authenticates the files of this vault.
    pub(super) fn state_key(&self) -> StateKey {
        StateKey::of_identity(self.identity.expose().to_string().expose_secret().as_bytes())
    }

    /// Seals to the vault's identity and all recovery recipients.
    pub(super) fn seal(&self, content: &[u8]) -> io::Result<Vec<u8>> {
        let own = self.identity.expose().to_public();
        let recovery = self.recovery.iter().map(|(_, recipient)| recipient.as_ref() as _);
        seal_to(std::iter::once(&own as &dyn age::Recipient).chain(recovery), content)
    }

    /// Seals to the recovery recipients alone; `None` if there are none.
    pub(super) fn seal_for_recovery(&self, content: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if self.recovery.is_empty() {
            return Ok(None);
        }
        let recovery = self.recovery.iter().map(|(_, recipient)| recipient.as_ref() as _);
        seal_to(recovery, content).map(Some)
    }

    /// Opens what [`Keyring::seal`] sealed.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Unopened> {
        open_with(std::iter::once(self.identity.expose() as _), sealed)
    }
}

/// Seals with a passphrase.
pub(super) fn seal_with_passphrase(
    passphrase: &Secret<String>,
    content: &[u8],
) -> io::Result<Vec<u8>> {
    let mut recipient = age::scrypt::Recipient::new(secret_string(passphrase));
    recipient.set_work_factor(WORK_FACTOR);
    seal_to(std::iter::once(&recipient as _), content)
}

/// Opens what a passphrase sealed.
pub(super) fn open_with_passphrase(
    passphrase: &Secret<String>,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Unopened> {
    let mut identity = age::scrypt::Identity::new(secret_string(passphrase));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    open_with(std::iter::once(&identity as _), sealed)
}

/// Seals to all identities in an age identity file.
pub(super) fn seal_to_file(path: &Path, content: &[u8]) -> Result<Vec<u8>, Error> {
    let recipients = identity_file(path)?.to_recipients().unwrap_or_default();
    if recipients.is_empty() {
        return Err(not_an_identity(path));
    }
    let recipients = recipients.iter().map(|recipient| recipient.as_ref() as _);
    seal_to(recipients, content).map_err(Error::io(path))
}

/// Seals to one recipient, `age1…` or `age1tag1…`.
pub(super) fn seal_to_recipient(recipient: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let (_, recipient) = parse_recipient(recipient).map_err(io::Error::other)?;
    seal_to(std::iter::once(recipient.as_ref() as _), content)
}

/// Seals to these recipients. `title` stands in clear in the header, as a stanza that opens nothing: every age
/// ignores those that it does not know.
pub(super) fn seal_to_recipients(
    recipients: &[String],
    title: &[&str],
    content: &[u8],
) -> Result<Vec<u8>, Error> {
    let recipients = parse_recipients(recipients)?;
    let title = Title(title.iter().map(|word| (*word).to_owned()).collect());
    let all = recipients.iter().map(|recipient| recipient.as_ref() as _);
    seal_to(std::iter::once(&title as _).chain(all), content).map_err(Error::io(Path::new("age")))
}

/// These recipients, parsed.
pub(super) fn parse_recipients(recipients: &[String]) -> Result<Vec<Recipient>, Error> {
    recipients.iter().map(|text| Ok(parse_recipient(text)?.1)).collect()
}

/// Words in clear at the head of an age file.
struct Title(Vec<String>);

impl age::Recipient for Title {
    fn wrap_file_key(&self, _: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (tag, args) = self
            .0
            .split_first()
            .map_or_else(Default::default, |(tag, args)| (tag.clone(), args.to_vec()));
        Ok((vec![Stanza { tag, args, body: Vec::new() }], HashSet::new()))
    }
}

/// Whether a passphrase opens this file; `None` if it is no age file.
pub(super) fn is_by_passphrase(sealed: &[u8]) -> Option<bool> {
    Decryptor::new_buffered(sealed).ok().map(|decryptor| decryptor.is_scrypt())
}

/// The identities in an age identity file, at least one.
pub(super) fn identities(path: &Path) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, Error> {
    let identities = identity_file(path)?.into_identities().unwrap_or_default();
    if identities.is_empty() { Err(not_an_identity(path)) } else { Ok(identities) }
}

/// Opens with any of these identities.
pub(super) fn open_with_identities(
    identities: &[Box<dyn age::Identity + Send + Sync>],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Unopened> {
    open_with(identities.iter().map(|identity| identity.as_ref() as _), sealed)
}

/// Opens with this one identity.
pub(super) fn open_with_identity(
    identity: &dyn age::Identity,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Unopened> {
    open_with(std::iter::once(identity), sealed)
}

fn seal_to<'a>(
    recipients: impl Iterator<Item = &'a dyn age::Recipient>,
    content: &[u8],
) -> io::Result<Vec<u8>> {
    let encryptor = Encryptor::with_recipients(recipients)
        .map_err(|_| io::Error::other("recipients do not go together"))?;
    let mut sealed = Vec::with_capacity(content.len() + 1024);
    let mut writer = encryptor.wrap_output(&mut sealed)?;
    writer.write_all(content)?;
    writer.finish()?;
    Ok(sealed)
}

fn open_with<'a>(
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Unopened> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(|_| Unopened::Broken)?;
    let mut reader = decryptor.decrypt(identities).map_err(|e| match e {
        DecryptError::DecryptionFailed
        | DecryptError::KeyDecryptionFailed
        | DecryptError::NoMatchingKeys => Unopened::NotOurs,
        _ => Unopened::Broken,
    })?;
    // The content is shorter than the file, so it is read into one allocation and no copy stays.
    let mut content = Secret::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(content.expose_mut()).map_err(|_| Unopened::Broken)?;
    Ok(content)
}

fn identity_file(path: &Path) -> Result<IdentityFile<impl age::Callbacks>, Error> {
    let text = given::read(path, Guard::Secret, MAX_IDENTITY_FILE).map_err(|e| match e {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Error::not_found("identity file", path.display().to_string())
        }
        error => error,
    })?;
    IdentityFile::from_buffer(text.expose().as_slice()).map_err(|_| not_an_identity(path))
}

fn not_an_identity(path: &Path) -> Error {
    Error::NotAnIdentity { path: path.to_owned() }
}

/// `age1…` as age-keygen prints it, or `age1tag1…` for a hardware key.
fn parse_recipient(text: &str) -> Result<(String, Recipient), Error> {
    let x25519 = age::x25519::Recipient::from_str(text).map(|r| Box::new(r) as Recipient);
    x25519
        .or_else(|_| age::tag::Recipient::from_str(text).map(|r| Box::new(r) as Recipient))
        .map(|recipient| (text.to_owned(), recipient))
        .map_err(|_| {
            let shown = if text.starts_with("age1") { text } else { "(not age1…)" };
            Error::BadRecipient { recipient: Label::new(shown).as_str().to_owned() }
        })
}

/// A copy in the type that age wipes.
fn secret_string(secret: &Secret<String>) -> SecretString {
    SecretString::from(secret.expose().as_str())
}

/// The most that is read of a file of identities.
const MAX_IDENTITY_FILE: u64 = 1 << 20;
/// scrypt takes 2^18 KiB and about a second. By default age measures this machine, which gives a
/// weak file on a busy one.
const WORK_FACTOR: u8 = 18;
/// The most that is accepted, whatever this machine's speed.
const MAX_WORK_FACTOR: u8 = 20;

const TITLE: &str = "# cosign vault identity, version 1\n";
const RECOVERY: &str = "# recovery: ";
/// `AGE-SECRET-KEY-1` and 58 characters.
const IDENTITY_LENGTH: usize = 74;

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient() -> (age::x25519::Identity, String) {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        (identity, recipient)
    }

    fn bytes(text: &Secret<String>) -> Secret<Vec<u8>> {
        Secret::new(text.expose().clone().into_bytes())
    }

    #[test]
    fn a_keyring_reads_back_from_its_text() {
        let (_, recovery) = recipient();
        let keyring = Keyring::generate(std::slice::from_ref(&recovery)).unwrap();
        let text = keyring.to_text();
        assert_eq!(text.expose().len(), text.expose().capacity());
        let again = Keyring::from_text(&bytes(&text)).unwrap();
        assert_eq!(again.recovery().collect::<Vec<_>>(), [recovery.as_str()]);
        assert_eq!(again.open(&keyring.seal(b"content").unwrap()).unwrap().expose(), b"content");
    }

    #[test]
    fn a_keyring_is_read_from_its_own_text_only() {
        let text = Keyring::generate(&[]).unwrap().to_text();
        let identity = text.expose().strip_prefix(TITLE).unwrap();
        for other in ["", TITLE, identity, &format!("{}x", text.expose())] {
            assert!(Keyring::from_text(&Secret::new(other.into())).is_none(), "{other}");
        }
    }

    #[test]
    fn a_recovery_recipient_opens_what_the_vault_seals() {
        let (identity, recovery) = recipient();
        let keyring = Keyring::generate(&[recovery]).unwrap();
        let identities: Vec<Box<dyn age::Identity + Send + Sync>> = vec![Box::new(identity)];
        let sealed = keyring.seal(b"content").unwrap();
        assert_eq!(open_with_identities(&identities, &sealed).unwrap().expose(), b"content");
        let sealed = keyring.seal_for_recovery(b"identity").unwrap().unwrap();
        assert_eq!(open_with_identities(&identities, &sealed).unwrap().expose(), b"identity");
        assert_eq!(keyring.open(&sealed).err(), Some(Unopened::NotOurs));
    }

    #[test]
    fn what_is_sealed_to_a_recipient_opens_with_its_identity_alone() {
        let (identity, recipient) = recipient();
        let sealed = seal_to_recipient(&recipient, b"content").unwrap();
        assert_eq!(open_with_identity(&identity, &sealed).unwrap().expose(), b"content");
        let other = age::x25519::Identity::generate();
        assert_eq!(open_with_identity(&other, &sealed).err(), Some(Unopened::NotOurs));
        assert!(seal_to_recipient("age1", b"content").is_err());
    }

    #[test]
    fn an_altered_file_is_broken_and_never_half_read() {
        let keyring = Keyring::generate(&[]).unwrap();
        let sealed = keyring.seal(&[7; 100_000]).unwrap();
        for position in [0, 30, sealed.len() - 70_000, sealed.len() - 1] {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(keyring.open(&altered).is_err(), "{position}");
        }
        for length in [0, 100, sealed.len() - 1, sealed.len() - 34_500] {
            assert_eq!(keyring.open(&sealed[..length]).err(), Some(Unopened::Broken), "{length}");
        }
        assert_eq!(Keyring::generate(&[]).unwrap().open(&sealed).err(), Some(Unopened::NotOurs));
    }

    #[test]
    fn a_passphrase_file_states_its_work_and_opens_with_that_passphrase_only() {
        let passphrase = Secret::new("correct horse".to_owned());
        let sealed = seal_with_passphrase(&passphrase, b"content").unwrap();
        let stanza = String::from_utf8_lossy(&sealed).lines().nth(1).unwrap().to_owned();
        assert!(stanza.starts_with("-> scrypt ") && stanza.ends_with(" 18"), "{stanza}");
        assert_eq!(open_with_passphrase(&passphrase, &sealed).unwrap().expose(), b"content");
        let wrong = Secret::new("correct house".to_owned());
        assert_eq!(open_with_passphrase(&wrong, &sealed).err(), Some(Unopened::NotOurs));
    }

    #[test]
    fn a_hardware_recipient_is_accepted() {
        let tag = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e";
        let keyring = Keyring::generate(&[tag.to_owned(), recipient().1]).unwrap();
        assert_eq!(keyring.open(&keyring.seal(b"content").unwrap()).unwrap().expose(), b"content");
    }

    #[test]
    fn a_secret_given_as_recipient_is_not_repeated() {
        let secret = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
        let Err(Error::BadRecipient { recipient }) = Keyring::generate(&[secret]) else {
            panic!("accepted")
        };
        assert_eq!(recipient, "(not age1…)");
    }
}
