//! Errors of policies, in words.

use super::{Code, Failure, unreadable};
use crate::policy::{Error, NO_DIGEST};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreadable { file, error } => unreadable(error, &file.to_string()),
            Error::NotText(file) => Self::new(Code::Usage, format!("{file}: not UTF-8 text")),
            Error::Invalid { file, complaint } => {
                Self::new(Code::Usage, format!("{file}: {complaint}"))
            }
            Error::NoDigest { file, line } => {
                Self::new(Code::Usage, format!("{file}, line {line}: {NO_DIGEST}"))
            }
            Error::NoTimeZone(error) => error.into(),
            Error::Vault(error) => error.into(),
        }
    }
}
