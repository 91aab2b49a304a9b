//! Files outside of the home: backups, which are age files that a stock `age -d` opens, and what is made of
//! them.
//!
//! What is sealed to recipients says in clear what it is and of when. A file that a passphrase opens cannot:
//! the format allows nothing beside that one stanza, and no text before it.

use std::path::Path;

use super::error::Error;
use super::seal::{self, Unopened};
use super::{file, given};
use crate::secret::Secret;
use given::Guard;

/// What opens a backup.
#[derive(Debug)]
pub enum Protection {
    /// A passphrase.
    Passphrase(Secret<String>),
    /// The identity of any of these age recipients.
    Recipients(Vec<String>),
}

/// A file that may be a backup, as it is.
#[derive(Debug)]
pub struct Found(Secret<Vec<u8>>);

/// What opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A passphrase.
    Passphrase,
    /// An age identity.
    Identity,
    /// Nothing: it is no age file.
    Nothing,
}

/// Fails unless all are age recipients.
///
/// # Errors
///
/// [`Error::BadRecipient`].
pub fn check_recipients(recipients: &[String]) -> Result<(), Error> {
    seal::parse_recipients(recipients).map(drop)
}

/// Seals `content` and writes it to `path`, durably, for its owner alone. `made` is the time that stands in
/// clear in what is sealed to recipients.
///
/// # Errors
///
/// [`Error::Conflict`] if there is a file already; [`Error::BadRecipient`]; [`Error::Io`].
pub fn write(
    path: &Path,
    content: &Secret<Vec<u8>>,
    protection: &Protection,
    made: &str,
) -> Result<(), Error> {
    let sealed = match protection {
        Protection::Passphrase(passphrase) => {
            seal::seal_with_passphrase(passphrase, content.expose()).map_err(Error::io(path))?
        }
        Protection::Recipients(recipients) => {
            seal::seal_to_recipients(recipients, &[TITLE, made], content.expose())?
        }
    };
    file::create_outside(path, &sealed)
}

/// Writes a secret that is not sealed to `path`, durably, for its owner alone.
///
/// # Errors
///
/// [`Error::Conflict`] if there is a file already; [`Error::Io`].
pub fn write_open(path: &Path, content: &Secret<String>) -> Result<(), Error> {
    file::create_outside(path, content.expose().as_bytes())
}

impl Found {
    /// Reads the file at `path`. One that is not sealed must be for its owner alone.
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::TooLong`], [`Error::Io`] and the like.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let found = Self(given::read(path, Guard::Open, MAX)?);
        match found.opener() {
            Opener::Nothing if found.0.expose().starts_with(b"cosign-") => {
                Ok(Self(given::read(path, Guard::Secret, MAX)?))
            }
            _ => Ok(found),
        }
    }

    /// What opens it.
    pub fn opener(&self) -> Opener {
        match seal::is_by_passphrase(self.0.expose()) {
            Some(true) => Opener::Passphrase,
            Some(false) => Opener::Identity,
            None => Opener::Nothing,
        }
    }

    /// The content, opened with a passphrase.
    ///
    /// # Errors
    ///
    /// [`Unopened`].
    pub fn with_passphrase(
        &self,
        passphrase: &Secret<String>,
    ) -> Result<Secret<Vec<u8>>, Unopened> {
        seal::open_with_passphrase(passphrase, self.0.expose())
    }

    /// The content, opened with the identities in the file `identity`.
    ///
    /// # Errors
    ///
    /// Those of the identity file; inside, [`Unopened`].
    pub fn with_identity(
        &self,
        identity: &Path,
    ) -> Result<Result<Secret<Vec<u8>>, Unopened>, Error> {
        Ok(seal::open_with_identities(&seal::identities(identity)?, self.0.expose()))
    }

    /// What is in a file that is not sealed.
    pub fn into_content(self) -> Secret<Vec<u8>> {
        self.0
    }
}

/// The first word in clear of a backup that is sealed to recipients.
const TITLE: &str = "cosign-backup";
/// The most that is read of a file. A share of 16 parties with all that signs has half a megabyte.
const MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::vault::fixture;

    fn content() -> Secret<Vec<u8>> {
        Secret::new(b"cosign-backup/1\nmade 5\n".to_vec())
    }

    #[test]
    fn a_backup_is_for_its_owner_alone_and_never_replaces_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let (identity, recipient) = fixture::identity_file(dir.path(), "key.txt");
        let protection = Protection::Recipients(vec![recipient]);
        write(&path, &content(), &protection, "2026-11-30T18:00:00Z").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&path).unwrap();
        assert!(
            String::from_utf8_lossy(&first).contains("-> cosign-backup 2026-11-30T18:00:00Z\n")
        );
        let found = Found::read(&path).unwrap();
        assert_eq!(found.opener(), Opener::Identity);
        assert_eq!(found.with_identity(&identity).unwrap().unwrap().expose(), content().expose());

        let again = write(&path, &content(), &protection, "");
        assert!(matches!(again, Err(Error::Conflict { what: "file", .. })));
        let open = write_open(&path, &Secret::new("x".to_owned()));
        assert!(matches!(open, Err(Error::Conflict { what: "file", .. })));
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "a scratch file was left");
    }

    #[test]
    fn every_flipped_bit_of_a_backup_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let (identity, recipient) = fixture::identity_file(dir.path(), "key.txt");
        write(&path, &content(), &Protection::Recipients(vec![recipient]), "now").unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = Found(Secret::new(flipped));
            assert!(found.with_identity(&identity).unwrap().is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_share_that_is_not_sealed_is_refused_where_others_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("share");
        fs::write(&path, b"cosign-share/2 and so on").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Found::read(&path), Err(Error::LooseMode { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Found::read(&path).unwrap().opener(), Opener::Nothing);
    }
}
