//! What can go wrong with a token: data only, worded for people elsewhere.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Tries;
use crate::device::Label;
use crate::error_kind::ErrorKind;

/// Why a token could not be used, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The module, where one was asked.
    pub module: Option<PathBuf>,
    /// The token, where one was found.
    pub token: Option<Label>,
    /// What went wrong.
    pub trouble: Trouble,
}

/// What went wrong with a token or its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// No module was named, and the system knows none.
    NoModule,
    /// The module's file does not exist.
    Missing,
    /// The file is no library for this machine. What the system says of it.
    Unloadable(String),
    /// The file is a library, but no PKCS#11 module.
    NotAModule,
    /// This program was built without PKCS#11.
    NotBuilt,
    /// The module cannot start. What it says.
    Unready(String),
    /// The module ended its process; by this signal, if by one.
    Crashed(Option<i32>),
    /// The module did not answer in time.
    Silent,
    /// What the module's process said makes no sense.
    Nonsense,
    /// No token is what was looked for.
    NoToken {
        /// What was looked for, as a URI.
        wanted: String,
        /// What is there instead, as URIs.
        seen: Vec<String>,
        /// Modules that could not be asked.
        failed: Vec<PathBuf>,
    },
    /// Several tokens are what was looked for.
    Several {
        /// All of them, as URIs.
        uris: Vec<String>,
    },
    /// The token was never initialised.
    Uninitialised,
    /// The token has no user PIN yet.
    NoUserPin,
    /// The token wants no PIN at all.
    NoLogin,
    /// The PIN is wrong.
    WrongPin(Tries),
    /// The PIN is locked.
    LockedPin,
    /// The PIN must be changed first.
    ExpiredPin,
    /// The token is gone, or was put in anew.
    Removed,
    /// The key that the vault is sealed to is not on the token.
    NoKey,
    /// No key on the token is what was looked for.
    NoSuchKey,
    /// Several keys are what was looked for.
    SeveralKeys,
    /// A key cannot be used, and why not.
    WrongKey(String),
    /// There is a data object of that name already.
    Taken,
    /// The token gives out no more sessions.
    Sessions,
    /// Nothing can be written to the token.
    ReadOnly,
    /// The token is full.
    Full,
    /// The module refused.
    Refused {
        /// The PKCS#11 function.
        function: String,
        /// The return value.
        value: String,
    },
}

impl Error {
    /// Its kind, by which the log and JSON know it.
    pub fn kind(&self) -> ErrorKind {
        match self.trouble {
            Trouble::NoModule
            | Trouble::Missing
            | Trouble::Unloadable(_)
            | Trouble::NotAModule
            | Trouble::NotBuilt => ErrorKind::NotFound,
            _ => ErrorKind::Locked,
        }
    }

    /// Whether the token works and only this object was refused: too large, of a kind that it does
    /// not keep, or no place left.
    pub fn does_not_fit(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Full | Trouble::ReadOnly | Trouble::Sessions | Trouble::Refused { .. }
        )
    }

    /// Whether no place is left, which says nothing against deleting.
    pub fn is_full(&self) -> bool {
        self.trouble == Trouble::Full
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.trouble)
    }
}

impl std::error::Error for Error {}
