//! What can go wrong with files and secrets. Data only: the texts for people are in `report`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error_kind::ErrorKind;
use crate::token;

/// The code of a pair that was retired for too many unresolved checks.
pub const UNRESOLVED: &str = "unresolved";

/// Why the vault, or a file beside it, could not be used.
#[derive(Debug)]
pub enum Error {
    /// The passphrase or identity does not open this vault.
    WrongSecret,
    /// A vault was to be sealed with nothing.
    NoSeal,
    /// The token did not do its part.
    Token(Box<token::Error>),
    /// A share is on a token that is not open.
    Elsewhere {
        /// The token, and the object on it, as a URI.
        uri: String,
    },
    /// A share was on the open token and is gone.
    Gone {
        /// The token, and the object that was on it, as a URI.
        uri: String,
    },
    /// The file holds no age identity that this program can use.
    NotAnIdentity {
        /// The file.
        path: PathBuf,
    },
    /// Not an age recipient that a vault can be sealed to.
    BadRecipient {
        /// The text, unless it might be a secret that was pasted by mistake.
        recipient: String,
    },
    /// There is no vault here.
    NoVault {
        /// Where it would be.
        path: PathBuf,
    },
    /// There is a vault here already.
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// A thing that was named does not exist.
    NotFound {
        /// Its kind, such as `key`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A thing exists already, or one with the same name is in the way.
    Conflict {
        /// Its kind, such as `key`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something with this key is under way that must end first.
    InUse {
        /// The key's name.
        name: String,
        /// What uses the key.
        by: Use,
    },
    /// Not a name for a key, peer, device or request.
    BadName {
        /// The name.
        name: String,
    },
    /// The session was spent before.
    Spent,
    /// The pair with this party is retired for this epoch of the key.
    Retired {
        /// The party's index in the key.
        peer: u8,
        /// The check that failed, or `unresolved`.
        code: String,
    },
    /// Pairing failed too often.
    NoAttemptsLeft {
        /// How many failures are allowed.
        limit: u32,
        /// Where they were, if only that counts.
        source: Option<String>,
    },
    /// Others may read or change a file or directory.
    LooseMode {
        /// The file or directory.
        path: PathBuf,
        /// The command that puts it right.
        chmod: String,
    },
    /// A file or its folder belongs to another user, who can change it.
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// Something is there that is no regular file.
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is, such as `a folder`.
        kind: &'static str,
    },
    /// A file is longer than anything that belongs there.
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// A lock was not free before the time was up.
    Waited {
        /// The lock.
        path: PathBuf,
    },
    /// A file has a format of a later version of this program.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u64,
        /// The latest format that this version reads.
        known: u64,
    },
    /// A file is not what was written to it.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, in a file of lines.
        line: Option<u64>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file, or a line of one, is not what this device wrote there.
    Tampered {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, in a file of lines.
        line: Option<u64>,
        /// How that shows.
        why: &'static str,
    },
    /// A folder among the keys was never a key of this device.
    Stray {
        /// The folder.
        path: PathBuf,
        /// The key of the record in it, if its name differs.
        of: Option<String>,
    },
    /// A file can be changed only with the vault open.
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// The log was altered.
    BadLine {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: Altered,
    },
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How a log line shows that the log was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Altered {
    /// The line is no log entry.
    Unreadable,
    /// The line does not follow from the line before it.
    Unchained,
    /// The line is not the one that was written here: changed, or put in.
    Changed,
    /// The line stands behind the last one that was written.
    Added,
    /// The line was written and is gone.
    Missing,
}

impl Error {
    /// Its kind, by which the log and JSON know it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongSecret
            | Self::Elsewhere { .. }
            | Self::NotAnIdentity { .. }
            | Self::Closed { .. } => ErrorKind::Locked,
            Self::Token(error) => error.kind(),
            Self::Gone { .. } | Self::NoVault { .. } | Self::NotFound { .. } => ErrorKind::NotFound,
            Self::BadRecipient { .. }
            | Self::BadName { .. }
            | Self::NotAFile { .. }
            | Self::TooLong { .. } => ErrorKind::Usage,
            Self::Exists { .. }
            | Self::Conflict { .. }
            | Self::InUse { .. }
            | Self::Spent
            | Self::Unsupported { .. } => ErrorKind::Conflict,
            Self::Retired { code, .. } if code == UNRESOLVED => ErrorKind::Worn,
            Self::Retired { .. } => ErrorKind::Banned,
            Self::NoAttemptsLeft { .. } => ErrorKind::Identity,
            Self::Waited { .. } => ErrorKind::Unreachable,
            Self::Corrupt { .. } | Self::Tampered { .. } | Self::Stray { .. } => {
                ErrorKind::Tampered
            }
            Self::BadLine { .. } => ErrorKind::Invalid,
            Self::LooseMode { .. } | Self::Foreign { .. } | Self::Io { .. } => ErrorKind::System,
            Self::NoSeal => ErrorKind::Internal,
        }
    }

    /// Wraps what the operating system said about `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// A file that is not what was written to it.
    pub(super) fn corrupt(path: &Path, why: &'static str) -> Self {
        Self::Corrupt { path: path.to_owned(), line: None, why }
    }

    /// A file that is not what this device wrote there.
    pub(super) fn tampered(path: &Path, why: &'static str) -> Self {
        Self::Tampered { path: path.to_owned(), line: None, why }
    }

    /// A thing that was named and does not exist.
    pub(super) fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { what, name: name.into() }
    }

    /// A thing that exists already.
    pub(super) fn conflict(what: &'static str, name: impl Into<String>) -> Self {
        Self::Conflict { what, name: name.into() }
    }
}

impl From<token::Error> for Error {
    fn from(error: token::Error) -> Self {
        Self::Token(Box::new(error))
    }
}

/// What a key is used for, when a request for its lock is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Signatures are made.
    Signing,
    /// Shares are made, moved or removed.
    Changing,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signing => "a signature",
            Self::Changing => "a ceremony or command that changes its shares",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSecret => f.write_str("wrong passphrase or identity"),
            Self::NoSeal => f.write_str("sealed with nothing"),
            Self::Token(error) => write!(f, "token: {error}"),
            Self::Elsewhere { uri } => write!(f, "the share is on a token that is not open: {uri}"),
            Self::Gone { uri } => write!(f, "the share is no longer on the token: {uri}"),
            Self::NotAnIdentity { path } => write!(f, "no age identity in {}", path.display()),
            Self::BadRecipient { recipient } => write!(f, "not an age recipient: {recipient}"),
            Self::NoVault { path } => write!(f, "no vault in {}", path.display()),
            Self::Exists { path } => write!(f, "a vault exists in {}", path.display()),
            Self::NotFound { what, name } => write!(f, "no such {what}: {name}"),
            Self::Conflict { what, name } => write!(f, "{what} exists already: {name}"),
            Self::InUse { name, by } => write!(f, "{by} with key {name} is under way"),
            Self::BadName { name } => write!(f, "not a usable name: {name:?}"),
            Self::Spent => f.write_str("session spent already"),
            Self::Retired { peer, code } => write!(f, "pair with party {peer} retired: {code}"),
            Self::NoAttemptsLeft { limit, .. } => write!(f, "{limit} failed pairings"),
            Self::LooseMode { path, .. } => write!(f, "others can get at {}", path.display()),
            Self::Foreign { path, owner } => {
                write!(f, "{} belongs to user {owner}, who can change it", path.display())
            }
            Self::NotAFile { path, kind } => {
                write!(f, "{} is {kind}, not a regular file", path.display())
            }
            Self::TooLong { path, limit } => {
                write!(f, "{} is longer than {}", path.display(), size(*limit))
            }
            Self::Waited { path } => write!(f, "{} was not free in time", path.display()),
            Self::Unsupported { path, version, known } => {
                let program = env!("CARGO_PKG_VERSION");
                let path = path.display();
                write!(
                    f,
                    "{path} has format {version}; cosign {program} reads formats up to {known}"
                )
            }
            Self::Corrupt { path, line: Some(line), why }
            | Self::Tampered { path, line: Some(line), why } => {
                write!(f, "{} line {line}: {why}", path.display())
            }
            Self::Corrupt { path, line: None, why } | Self::Tampered { path, line: None, why } => {
                write!(f, "{}: {why}", path.display())
            }
            Self::Stray { path, of: None } => {
                write!(f, "{} was never a key of this device", path.display())
            }
            Self::Stray { path, of: Some(key) } => {
                write!(f, "{} was never a key of this device: in it is key {key}", path.display())
            }
            Self::Closed { path } => {
                write!(f, "{} is changed with the vault open", path.display())
            }
            Self::BadLine { line, why } => why.describe(*line, f),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match (bytes >> 20, bytes.trailing_zeros() >= 20) {
        (mebibytes @ 1.., true) => format!("{mebibytes} MiB"),
        _ => format!("{bytes} bytes"),
    }
}

impl Altered {
    fn describe(self, line: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => write!(f, "log line {line} is no entry"),
            Self::Unchained if line > 1 => {
                write!(f, "log line {line} does not follow line {}", line.saturating_sub(1))
            }
            Self::Unchained => write!(f, "log line {line} is not the first that was written"),
            Self::Changed => write!(f, "log line {line} was changed or put in"),
            Self::Added => write!(
                f,
                "log line {line} was put in: log.head attests {} lines",
                line.saturating_sub(1)
            ),
            Self::Missing => write!(f, "log line {line} is missing"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
