//! How often pairing failed.
//!
//! An attempt is charged before the exchange begins and given back only when it succeeds, so that
//! guessing cannot be spread over restarts and broken connections.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Home;
use super::document;
use super::error::Error;
use super::file::{Durability, Writer};

/// How many attempts may fail in a row.
pub const LIMIT: u32 = 5;

#[derive(Default, Serialize, Deserialize)]
struct Attempts {
    charged: u32,
}

/// Charges one attempt, durably, and says how many are charged now.
///
/// # Errors
///
/// [`Error::NoAttemptsLeft`] if [`LIMIT`] are charged already.
pub fn charge(home: &Home) -> Result<u32, Error> {
    let writer = Writer::lock(home)?;
    match charged(home)? {
        charged if charged >= LIMIT => Err(Error::NoAttemptsLeft { limit: LIMIT }),
        charged => write(&writer, home, charged.saturating_add(1)),
    }
}

/// Forgets all charged attempts: after a success, or when the user of this device asks for it.
///
/// # Errors
///
/// [`Error::Io`].
pub fn reset(home: &Home) -> Result<(), Error> {
    write(&Writer::lock(home)?, home, 0).map(|_| ())
}

/// How many attempts are charged.
///
/// # Errors
///
/// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`].
pub fn charged(home: &Home) -> Result<u32, Error> {
    document::read::<Attempts>(&path(home)).map(|attempts| attempts.unwrap_or_default().charged)
}

fn write(writer: &Writer<'_>, home: &Home, charged: u32) -> Result<u32, Error> {
    let path = path(home);
    let bytes = document::to_bytes(&path, Attempts { charged })?;
    writer.replace(&path, &bytes, Durability::Synced)?;
    Ok(charged)
}

fn path(home: &Home) -> PathBuf {
    home.state.join("attempts.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fixture;

    #[test]
    fn the_sixth_attempt_in_a_row_is_refused_until_somebody_resets() {
        let home = fixture::home();
        for count in 1..=LIMIT {
            assert_eq!(charge(&home).unwrap(), count);
        }
        for _ in 0..2 {
            assert!(matches!(charge(&home), Err(Error::NoAttemptsLeft { limit: LIMIT })));
            assert_eq!(charged(&home).unwrap(), LIMIT);
        }
        reset(&home).unwrap();
        assert_eq!(charge(&home).unwrap(), 1);
    }

    #[test]
    fn a_damaged_counter_grants_no_attempt() {
        let home = fixture::home();
        charge(&home).unwrap();
        let writer = Writer::lock(&home).unwrap();
        writer.replace(&path(&home), b"{}", Durability::Synced).unwrap();
        drop(writer);
        assert!(matches!(charge(&home), Err(Error::Corrupt { .. })));
        reset(&home).unwrap();
        assert_eq!(charge(&home).unwrap(), 1);
    }
}
