//! What does not fit among the files of an open vault.

use super::error::Error;
use super::{Ledger, Log, Peers, Uses, Vault};
use super::{attempts, authentic, file, keys, signatures};

/// A file, or a line of one, that this device did not write, or that cannot be read.
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
            Ledger::open(home).map(drop),
        ];
        let others =
            [attempts::charged(home).map(drop), Uses::load(home).map(drop), Log::check_end(home)];
        let stopping = stopping.into_iter().map(|result| (result, true));
        let others = others.into_iter().map(|result| (result, false));
        let misfit = |(result, stops): (Result<(), Error>, bool)| {
            result.err().map(|error| Misfit { error, stops })
        };
        stopping.chain(others).filter_map(misfit).collect()
    }

    /// The first kept signature that this device did not store.
    ///
    /// # Errors
    ///
    /// [`Error::Tampered`]; [`Error::LooseMode`], [`Error::Io`].
    pub fn check_signatures(&self) -> Result<(), Error> {
        for path in file::list(&signatures::folder(&self.home))? {
            if let Some(bytes) = file::read(&path)? {
                authentic::check(&self.home, &path, &bytes)?;
            }
        }
        Ok(())
    }
}
