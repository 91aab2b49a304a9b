//! Why there is no answer of a policy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::driver::clock::NoTimeZone;
use crate::error_kind::ErrorKind;
use crate::vault;

/// A file that rules are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// The policy itself.
    Policy(PathBuf),
    /// Digests that one of its rules names.
    Digests(PathBuf),
}

impl File {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Policy(path) | Self::Digests(path) => path,
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Policy(_) => "policy file",
            Self::Digests(_) => "digest file",
        };
        write!(f, "{what} {}", self.path().display())
    }
}

/// What keeps a policy from being read or applied.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read, or others may change it.
    Unreadable {
        /// Which.
        file: File,
        /// Why.
        error: vault::Error,
    },
    /// A file is not UTF-8 text.
    NotText(File),
    /// The policy file is none.
    Invalid {
        /// Which.
        file: File,
        /// Where and why.
        complaint: String,
    },
    /// A line of a digest file is no digest. Lines count from 1.
    NoDigest {
        /// Which.
        file: File,
        /// The line.
        line: usize,
    },
    /// A rule is about hours, and the time zone is not known.
    NoTimeZone(NoTimeZone),
    /// What this device keeps about peers or uses cannot be read or written.
    Vault(vault::Error),
}

impl Error {
    /// What kind of failure it is.
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
