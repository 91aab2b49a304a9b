//! Which record of a key is meant.

use std::time::Duration;

use tokio::time::sleep;

use crate::report::{self, Code, Failure};
use crate::run::clock;
use crate::talk::Reason;
use crate::vault::{Error, Home, KeyLock, KeyRecord, KeyState, keys};

/// What the other side is told where this device cannot use a key. The rest is for its own owner.
pub fn unusable(failure: &Failure) -> Reason {
    if failure.code == Code::Conflict { Reason::Conflict } else { Reason::Aborted }
}

/// The record of the key `name`: the active one, or the pending one of a key that was never
/// finished.
///
/// # Errors
/// `name` cannot be the name of a key, or the records cannot be read.
pub fn find(home: &Home, name: &str) -> Result<Option<KeyRecord>, Failure> {
    Ok(all(home, name)?.into_iter().next())
}

/// The pending record of the key `name`: of a new key, or of a refresh beside the active one.
///
/// # Errors
/// As for [`find`].
pub fn pending(home: &Home, name: &str) -> Result<Option<KeyRecord>, Failure> {
    Ok(all(home, name)?.into_iter().find(|record| record.state == KeyState::Pending))
}

/// The active record of the key `name`.
///
/// # Errors
/// There is no such key, or it is pending.
pub fn active(home: &Home, name: &str) -> Result<KeyRecord, Failure> {
    match find(home, name)? {
        None => Err(report::no_key(name)),
        Some(record) if record.state == KeyState::Pending => Err(report::pending_key(name)),
        Some(record) => Ok(record),
    }
}

/// The record of the generation of shares called `epoch`.
///
/// # Errors
/// The records cannot be read.
pub fn of_epoch(home: &Home, epoch: &[u8; 32]) -> Result<Option<KeyRecord>, Failure> {
    Ok(keys::list(home)?.into_iter().find(|record| record.epoch == *epoch))
}

/// Holds the key `name` for one ceremony. Another process of this home may just be saying goodbye
/// in a ceremony with the same key: that is waited for.
///
/// # Errors
/// The key is still in use after five seconds.
pub async fn hold(home: &Home, name: &str) -> Result<KeyLock, Failure> {
    let give_up = clock::now() + PATIENCE;
    loop {
        match keys::lock(home, name) {
            Err(Error::InUse { .. }) if clock::now() < give_up => sleep(PAUSE).await,
            lock => return Ok(lock?),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

fn all(home: &Home, name: &str) -> Result<Vec<KeyRecord>, Failure> {
    match keys::find(home, name) {
        Err(Error::NotFound { .. }) => Ok(Vec::new()),
        found => Ok(found?),
    }
}
