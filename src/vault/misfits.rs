//! What does not fit among the files of an open vault.

use super::editions::MISSING;
use super::error::Error;
use super::{Ledger, Log, Peers, RECOVERY, Uses, Vault};
use super::{addresses, attempts, deleted, file, keys, signatures};

/// A file, or a line of one, that this device did not write, that cannot be read, or that a later
/// version wrote.
#[derive(Debug)]
pub struct Misfit {
    /// Which, and how that shows.
    pub error: Error,
    /// Whether no ceremony may run: with whom this device signs, with which key, and whom it has
    /// banned is not known then. What the other files decide, such as whether pairing goes on, is
    /// refused where they are read.
    pub stops: bool,
}

impl Vault {
    /// Everything that does not fit among the files that decide something, but for kept
    /// signatures.
    pub fn misfits(&self) -> Vec<Misfit> {
        let home = &self.home;
        let stopping = [
            Self::device(home).map(drop),
            Peers::load(home).map(drop),
            keys::check(home),
            // From its beginning, whatever was read of it before.
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
        let newer = keys::newer(home).into_iter().map(|error| Misfit { error, stops: false });
        stopping.chain(others).filter_map(misfit).chain(newer).collect()
    }

    /// Fails for the first kept signature that this device did not store, or that was taken away.
    ///
    /// # Errors
    ///
    /// [`Error::Tampered`]; [`Error::LooseMode`], [`Error::BadLine`], [`Error::Io`].
    pub fn check_signatures(&self) -> Result<(), Error> {
        signatures::check(&self.home)
    }

    /// Fails if a sealed file that nothing opens from day to day is gone.
    fn check_recovery(&self) -> Result<(), Error> {
        let path = self.home.data.join(RECOVERY);
        match self.keyring.recovery().next() {
            Some(_) if file::read(&path)?.is_none() => Err(Error::tampered(&path, MISSING)),
            _ => Ok(()),
        }
    }
}
