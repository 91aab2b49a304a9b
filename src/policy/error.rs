//! Errors of policies, as data.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::driver::clock::NoTimeZone;
use crate::error_kind::ErrorKind;
use crate::vault;

/// A file of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// The policy itself.
    Policy(PathBuf),
    /// A digest file that one of its rules names.
    Digests(PathBuf),
    /// A folder that one of its rules names.
    Folder(PathBuf),
}

impl File {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Policy(path) | Self::Digests(path) | Self::Folder(path) => path,
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Policy(_) => "policy file",
            Self::Digests(_) => "digest file",
            Self::Folder(_) => "folder",
        };
        write!(f, "{what} {}", self.path().display())
    }
}

/// Why a policy cannot be read or applied.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read, or others may change it.
    Unreadable {
        /// The file.
        file: File,
        /// Why.
        error: vault::Error,
    },
    /// A file is not UTF-8 text.
    NotText(File),
    /// The policy file is malformed.
    Invalid {
        /// The file.
        file: File,
        /// Where and why.
        complaint: String,
    },
    /// A line of a digest file is not a digest. Lines count from 1.
    NoDigest {
        /// The file.
        file: File,
        /// The line.
        line: usize,
    },
    /// A rule is about hours, and the time zone is unknown.
    NoTimeZone(NoTimeZone),
    /// The peers or uses of this device cannot be read or written.
    Vault(vault::Error),
}

impl Error {
    /// Its kind, for the log and JSON.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable { error: vault::Error::Io { source, .. }, .. } => {
                match source.kind() {
                    io::ErrorKind::NotFound => ErrorKind::NotFound,
                    _ => ErrorKind::Usage,
                }
            }
            Self::Unreadable { error, .. } | Self::Vault(error) => error.kind(),
            Self::NotText(_)
            | Self::Invalid { .. }
            | Self::NoDigest { .. }
            | Self::NoTimeZone(_) => ErrorKind::Usage,
        }
    }
}

impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Self {
        Self::Vault(error)
    }
}

impl From<NoTimeZone> for Error {
    fn from(error: NoTimeZone) -> Self {
        Self::NoTimeZone(error)
    }
}
