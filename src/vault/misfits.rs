//! Files of an open vault that this device did not write, or that cannot be read.

use super::editions::MISSING;
use super::error::Error;
use super::{Ledger, Log, Peers, RECOVERY, Uses, Vault};
use super::{addresses, attempts, deleted, file, keys, signatures};

/// A file, a line of a file or the folder of a key that this device did not write, cannot read, or
/// that a later version wrote.
#[derive(Debug)]
pub struct Misfit {
    /// The file, and how it shows.
    pub error: Error,
    /// Whether no ceremony may run. Without this file it is not known with whom this device signs,
    /// with which key, or whom it has banned. Other files stop only what they decide, such as
    /// pairing, where they are read.
    pub stops: bool,
}

impl Vault {
    /// All such files among those that decide something, except stored signatures.
    pub fn misfits(&self) -> Vec<Misfit> {
        let home = &self.home;
        let stopping = [
            Self::device(home).map(drop),
            Peers::load(home).map(drop),
            keys::check(home),
            // A new ledger is read from its beginning; the one in memory may have read the old
            // file.
            Ledger::open(home).map(|ledger| drop(self.ledger.set(ledger))),
        ];
        let others = [
            attempts::charged(home).map(drop),
            Uses::load(home).map(drop),
            Log::check_end(home),
            deleted::check(home),
            keys::check_confirmed(home),
            addresses::check(home),
            self.check_recovery(),
        ];
        let stopping = stopping.into_iter().map(|result| (result, true));
        let others = others.into_iter().map(|result| (result, false));
        let misfit = |(result, stops): (Result<(), Error>, bool)| {
            result.err().map(|error| Misfit { error, stops })
        };
        let aside = keys::aside(home).into_iter().map(|error| Misfit { error, stops: false });
        stopping.chain(others).filter_map(misfit).chain(aside).collect()
    }

    /// Fails for the first stored signature that this device did not write, or that is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Tampered`]; [`Error::LooseMode`], [`Error::BadLine`], [`Error::Io`].
    pub fn check_signatures(&self) -> Result<(), Error> {
        signatures::check(&self.home)
    }

    /// Fails if the recovery file, which is not opened in daily use, is missing.
    fn check_recovery(&self) -> Result<(), Error> {
        let path = self.home.data.join(RECOVERY);
        match self.keyring.recovery().next() {
            Some(_) if file::read(&path)?.is_none() => Err(Error::tampered(&path, MISSING)),
            _ => Ok(()),
        }
    }
}
