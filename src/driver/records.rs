//! Finds the record of a key that is meant, and locks keys for ceremonies.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::driver::error::Error;
use crate::driver::on_curve::Share;
use crate::driver::{ROUND, clock};
use crate::request::{Request, RequestId};
use crate::vault::signatures::{self, Claim};
use crate::vault::{self, Home, KeyLock, KeyRecord, KeyState, Peers, Use, Vault, keys};

/// The record of the key `name`: the active one, or the pending one of a key that was never
/// finished.
///
/// # Errors
/// `name` cannot be the name of a key, or the records cannot be read.
pub fn find(home: &Home, name: &str) -> Result<Option<KeyRecord>, Error> {
    Ok(all(home, name)?.into_iter().next())
}

/// All epochs of the key `name` that this device has a share of, the newest first; none if there is
/// no such key.
///
/// # Errors
/// As for [`find`].
pub fn held(home: &Home, name: &str) -> Result<Vec<KeyRecord>, Error> {
    let mut records = all(home, name)?;
    records.reverse();
    Ok(records)
}

/// The newest epoch of the key `name` that this device has a share of; `None` if there is none, or if that
/// cannot be read.
pub fn newest(home: &Home, name: &str) -> Option<[u8; 32]> {
    held(home, name).ok()?.first().map(|record| record.epoch)
}

/// Gives the parties of these keys the names that they have now, where this device knows them. Where that cannot be
/// read, they keep those that they had when the key was made: nothing rests on them.
pub fn name_parties(home: &Home, records: &mut [KeyRecord]) {
    let (peers, own) = (Peers::load(home).unwrap_or_default(), Vault::device(home).ok());
    for party in records.iter_mut().flat_map(|record| &mut record.parties) {
        let own = own.as_ref().filter(|own| own.fingerprint == party.fingerprint);
        let peer = peers.known(&party.fingerprint).map(|peer| &peer.name);
        if let Some(name) = own.map(|own| &own.name).or(peer) {
            party.name.clone_from(name);
        }
    }
}

/// The active record of the key `name`.
///
/// # Errors
/// There is no such key, or it is pending.
pub fn active(home: &Home, name: &str) -> Result<KeyRecord, Error> {
    match find(home, name)? {
        None => Err(Error::NoKey(name.to_owned())),
        Some(record) if record.state == KeyState::Pending => {
            Err(Error::PendingKey(name.to_owned()))
        }
        Some(record) => Ok(record),
    }
}

/// A record of the key that `request` is about, if this device has a share of it, and if it has the
/// parties and the threshold that the request says.
///
/// # Errors
/// The records cannot be read.
pub fn of_key(home: &Home, request: &Request) -> Result<Option<KeyRecord>, Error> {
    Ok(keys::list(home)?.into_iter().find(|record| is_of(record, request)))
}

/// Whether `record` is of the key, its curve, the parties and the threshold with which `request` begins.
pub fn is_of(record: &KeyRecord, request: &Request) -> bool {
    let (parties, threshold) = request.holders();
    request.shares().is_some_and(|shares| shares.public_key == record.public_key)
        && record.curve == request.curve
        && usize::from(record.threshold) == threshold
        && record.parties.iter().map(|party| &party.fingerprint).eq(parties)
}

/// The share that a record is about.
///
/// # Errors
/// It does not open, or it is not the one that the record names.
pub fn share(vault: &Vault, record: &KeyRecord) -> Result<Share, Error> {
    let damaged = || Error::DamagedShare(record.name.clone());
    let bytes = vault.share(&record.name, &record.epoch)?;
    let (format, known) = (Share::stored_format(bytes.expose()), Share::LATEST_FORMAT);
    if let Some(version) = format.filter(|format| *format > known) {
        let path = keys::share_path(vault.home(), &record.name, &record.epoch);
        return Err(vault::Error::Unsupported { path, version, known }.into());
    }
    let share = Share::from_bytes(bytes.expose()).ok_or_else(damaged)?;
    let identities = record.parties.iter().map(|party| party.fingerprint.as_bytes().as_slice());
    let fits = share.curve() == record.curve
        && *share.epoch() == record.epoch
        && share.public_key_bytes() == record.public_key
        && share.me() == record.me
        && share.threshold() == record.threshold
        && share.identities().iter().map(Vec::as_slice).eq(identities);
    if fits { Ok(share) } else { Err(damaged()) }
}

/// Fails if a record does not fit its share. A share on a token that is not open is not checked.
///
/// # Errors
/// As for [`share`].
pub fn check(vault: &Vault, record: &KeyRecord) -> Result<(), Error> {
    match vault.share(&record.name, &record.epoch) {
        Err(vault::Error::Elsewhere { .. }) => Ok(()),
        _ => share(vault, record).map(drop),
    }
}

/// Locks the key `name` for a ceremony that makes or changes its shares. Waits for one that is just
/// ending.
///
/// # Errors
/// Its shares are still being changed after five seconds.
pub async fn hold(home: &Home, name: &str) -> Result<KeyLock, Error> {
    hold_until(home, name, home.no_later_than(clock::now() + LOCK_TIMEOUT)).await
}

/// As [`hold`], with another deadline.
///
/// # Errors
/// Its shares are still being changed at `give_up`.
pub async fn hold_until(home: &Home, name: &str, give_up: Instant) -> Result<KeyLock, Error> {
    once_free(give_up, |_| {}, || keys::lock_to_change(home, name)).await
}

/// Waits until the shares of the key `name` are not being changed, before a refresh is proposed.
/// `waits` is called once if they are.
///
/// # Errors
/// They still are at `give_up`.
pub async fn unchanging(
    home: &Home,
    name: &str,
    give_up: Instant,
    waits: impl FnMut(Use),
) -> Result<(), Error> {
    once_free(give_up, waits, || keys::lock_to_change(home, name)).await.map(drop)
}

/// Locks the key `name` for a signature. Waits while it is being removed or moved.
///
/// # Errors
/// It is still being removed or moved after five minutes, or when the home's deadline is over.
pub async fn hold_to_sign(home: &Home, name: &str) -> Result<KeyLock, Error> {
    let give_up = home.deadline_or(clock::now() + QUIET_TIMEOUT);
    once_free(give_up, |_| {}, || keys::lock_to_sign(home, name)).await
}

/// Claims the request `id` for this process. Waits while another process has claimed it.
///
/// # Errors
/// It is still claimed after five minutes, or when the home's deadline is over.
pub async fn claim(home: &Home, id: &RequestId) -> Result<Claim, Error> {
    let give_up = home.deadline_or(clock::now() + QUIET_TIMEOUT);
    once_free(give_up, |_| {}, || signatures::claim(home, id.as_str())).await
}

/// Waits until the keys `names` are not in use, and refuses new signatures with them until the
/// returned value is dropped. `waits` is called once for each key, with its use.
///
/// # Errors
/// One of them is still in use after five minutes, or when the home's deadline is over.
pub async fn quiet(
    home: &Home,
    names: &[String],
    mut waits: impl FnMut(&str, Use),
) -> Result<Vec<KeyLock>, Error> {
    let give_up = home.deadline_or(clock::now() + QUIET_TIMEOUT);
    let mut closed = Vec::new();
    for name in names {
        let mut told = |by| waits(name, by);
        closed.push(once_free(give_up, &mut told, || keys::close(home, name)).await?);
        once_free(give_up, &mut told, || keys::lock_alone(home, name)).await?;
    }
    Ok(closed)
}

async fn once_free<T>(
    give_up: Instant,
    mut waits: impl FnMut(Use),
    lock: impl Fn() -> Result<T, vault::Error>,
) -> Result<T, Error> {
    let mut told = false;
    loop {
        match lock() {
            Err(vault::Error::InUse { by, .. }) if clock::now() < give_up => {
                if !std::mem::replace(&mut told, true) {
                    waits(by);
                }
                sleep(PAUSE).await;
            }
            Err(vault::Error::Waited { .. }) if clock::now() < give_up => sleep(PAUSE).await,
            lock => return Ok(lock?),
        }
    }
}

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time a ceremony may take: a refresh has four rounds, and each party waits for the
/// messages of one.
const QUIET_TIMEOUT: Duration = ROUND.saturating_mul(5);
const PAUSE: Duration = Duration::from_millis(20);

fn all(home: &Home, name: &str) -> Result<Vec<KeyRecord>, Error> {
    match keys::find(home, name) {
        Err(vault::Error::NotFound { .. }) => Ok(Vec::new()),
        found => Ok(found?),
    }
}
