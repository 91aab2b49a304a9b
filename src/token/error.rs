//! Errors of tokens, as data. The texts for people are in `report`.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Tries;
use crate::device::Label;
use crate::error_kind::ErrorKind;

/// Why a token could not be used, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The module, if one was asked.
    pub module: Option<PathBuf>,
    /// The token, if one was found.
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
    /// The file is no library for this machine, with the system's message.
    Unloadable(String),
    /// The file is a library, but no PKCS#11 module.
    NotAModule,
    /// This program was built without PKCS#11.
    NotBuilt,
    /// The module cannot start, with its message.
    Unready(String),
    /// The module's process ended; by this signal, if there was one.
    Crashed(Option<i32>),
    /// The module did not answer in time.
    Silent,
    /// The answer of the module's process is malformed.
    Nonsense,
    /// No token matches.
    NoToken {
        /// The URI that was looked for.
        wanted: String,
        /// The URIs of the tokens that are present.
        seen: Vec<String>,
        /// Modules that could not be asked.
        failed: Vec<PathBuf>,
    },
    /// Several tokens match.
    Several {
        /// Their URIs.
        uris: Vec<String>,
    },
    /// The token was never initialised.
    Uninitialised,
    /// The token has no user PIN yet.
    NoUserPin,
    /// The token has no login.
    NoLogin,
    /// The PIN is wrong.
    WrongPin(Tries),
    /// The PIN is locked.
    LockedPin,
    /// The PIN must be changed first.
    ExpiredPin,
    /// The token was removed, or inserted anew.
    Removed,
    /// The key that the vault is sealed to is not on the token.
    NoKey,
    /// No key on the token matches.
    NoSuchKey,
    /// Several keys match.
    SeveralKeys,
    /// A key cannot be used, with the reason.
    WrongKey(String),
    /// There is a data object of that name already.
    Taken,
    /// The token has no more sessions.
    Sessions,
    /// The token cannot be written to.
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
    /// Its kind, for the log and JSON.
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

    /// Whether the token works and only refused this object: too large, of an unsupported kind, or
    /// no space left.
    pub fn does_not_fit(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Full | Trouble::ReadOnly | Trouble::Sessions | Trouble::Refused { .. }
        )
    }

    /// Whether the token has no space left, in which case deleting still works.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_works_and_refuses_an_object_leaves_it_on_the_disk() {
        let refused = || Trouble::Refused { function: "C_CreateObject".into(), value: "x".into() };
        let error = |trouble| Error { module: None, token: None, trouble };
        for trouble in [Trouble::Full, Trouble::ReadOnly, Trouble::Sessions, refused()] {
            assert!(error(trouble.clone()).does_not_fit(), "{trouble:?}");
        }
        for trouble in [Trouble::Removed, Trouble::LockedPin, Trouble::NoModule] {
            assert!(!error(trouble.clone()).does_not_fit(), "{trouble:?}");
        }
        assert!(error(Trouble::Full).is_full() && !error(Trouble::ReadOnly).is_full());
    }

    #[test]
    fn what_is_not_there_is_told_from_what_does_not_open() {
        let kind = |trouble| Error { module: None, token: None, trouble }.kind();
        assert_eq!(kind(Trouble::NoModule), ErrorKind::NotFound);
        assert_eq!(kind(Trouble::Missing), ErrorKind::NotFound);
        assert_eq!(kind(Trouble::Removed), ErrorKind::Locked);
    }
}
