//! Counts failed pairings, in total and by source.
//!
//! An attempt is charged before the exchange begins and given back only when it succeeds, so that
//! guessing cannot be spread over restarts and broken connections. [`LIMIT`] bounds an attacker
//! with many addresses; [`OF_ONE_SOURCE`] keeps one address from using up the total.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Home;
use super::document;
use super::error::Error;
use super::file::Writer;

/// How many attempts may fail in a row, wherever they come from.
pub const LIMIT: u32 = 5;

/// How many of them may be of one source.
pub const OF_ONE_SOURCE: u32 = 3;

/// The failed attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// How many.
    pub charged: u32,
    /// How many of each source, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, u32>,
}

impl Attempts {
    /// Whether pairing is refused until the owner of this device resets the count.
    pub fn are_used_up(&self) -> bool {
        self.charged >= LIMIT
    }

    /// Whether one more may be charged, to this source if one is given.
    ///
    /// # Errors
    ///
    /// [`Error::NoAttemptsLeft`].
    pub fn check(&self, source: Option<&str>) -> Result<(), Error> {
        if self.are_used_up() {
            return Err(Error::NoAttemptsLeft { limit: LIMIT, source: None });
        }
        match source.filter(|source| self.sources.get(*source) >= Some(&OF_ONE_SOURCE)) {
            Some(source) => {
                let source = Some(source.to_owned());
                Err(Error::NoAttemptsLeft { limit: OF_ONE_SOURCE, source })
            }
            None => Ok(()),
        }
    }
}

/// Charges one attempt to its source, durably.
///
/// # Errors
///
/// [`Error::NoAttemptsLeft`] if [`LIMIT`] are charged already, or [`OF_ONE_SOURCE`] to this one.
pub fn charge(home: &Home, source: &str) -> Result<Attempts, Error> {
    let writer = Writer::lock(home)?;
    let mut attempts = charged(home)?;
    attempts.check(Some(source))?;
    let of_source = attempts.sources.entry(source.to_owned()).or_default();
    *of_source = of_source.saturating_add(1);
    attempts.charged = attempts.charged.saturating_add(1);
    write(&writer, &attempts)?;
    Ok(attempts)
}

/// Forgets all charged attempts: after a success, or when the owner of this device says so.
///
/// # Errors
///
/// [`Error::Io`].
pub fn reset(home: &Home) -> Result<(), Error> {
    write(&Writer::lock(home)?, &Attempts::default())
}

/// The charged attempts.
///
/// # Errors
///
/// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`].
pub fn charged(home: &Home) -> Result<Attempts, Error> {
    document::read(home, &path(home)).map(Option::unwrap_or_default)
}

/// Puts these attempts in the place of the others.
pub(super) fn write(writer: &Writer<'_>, attempts: &Attempts) -> Result<(), Error> {
    document::write(writer, &path(writer.home()), attempts)
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.state.join("attempts.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fixture;

    #[test]
    fn one_source_cannot_use_up_the_attempts_of_others() {
        let home = fixture::home();
        for count in 1..=OF_ONE_SOURCE {
            assert_eq!(charge(&home, "192.0.2.7").unwrap().charged, count);
        }
        for _ in 0..9 {
            let refused = charge(&home, "192.0.2.7");
            assert!(matches!(refused, Err(Error::NoAttemptsLeft { source: Some(_), .. })));
        }
        assert!(charge(&home, "192.0.2.8").is_ok());
    }

    #[test]
    fn all_sources_together_have_five_attempts_until_somebody_resets() {
        let home = fixture::home();
        for count in 1..=LIMIT {
            assert_eq!(charge(&home, &count.to_string()).unwrap().charged, count);
        }
        for source in ["1", "new"] {
            let refused = charge(&home, source);
            assert!(matches!(refused, Err(Error::NoAttemptsLeft { limit: LIMIT, source: None })));
            assert!(charged(&home).unwrap().are_used_up());
        }
        reset(&home).unwrap();
        assert_eq!(charge(&home, "1").unwrap().charged, 1);
    }

    #[test]
    fn a_damaged_counter_grants_no_attempt() {
        let home = fixture::home();
        charge(&home, "relay").unwrap();
        std::fs::write(path(&home), b"{}").unwrap();
        assert!(matches!(charge(&home, "relay"), Err(Error::Corrupt { .. })));
        reset(&home).unwrap();
        assert_eq!(charge(&home, "relay").unwrap().charged, 1);
    }
}
