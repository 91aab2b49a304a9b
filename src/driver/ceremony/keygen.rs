//! Key generation, refresh, and resuming either one, or a reshare, if its last messages were lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crypto::curve::{Curve, Scalar, decode_scalar, encode_point};
use crate::curve::CurveName;
use crate::device::{Fingerprint, Label, hex};
use crate::driver::ceremony::accept::{Ask, accept};
use crate::driver::ceremony::again::Attempts;
use crate::driver::ceremony::drive::{Record, drive, fault_with};
use crate::driver::ceremony::epochs::{Bans, HeldKey, OpenKey};
use crate::driver::ceremony::propose::{announce, propose, propose_and_start};
use crate::driver::ceremony::refuse::{decline, part};
use crate::driver::ceremony::requests::{about, asked, invitees, of_key, part_after};
use crate::driver::ceremony::reshare::Change;
use crate::driver::ceremony::started::Started;
use crate::driver::ceremony::{begin, confirmations, deletions, epochs, leaving, reshare};
use crate::driver::connect::peer_links::{PeerLinks, party_label};
use crate::driver::connect::rendezvous;
use crate::driver::connect::target::Target;
use crate::driver::error::{Activity, Error, Wanted};
use crate::driver::on_curve::{name_of, of_either, on_curve};
use crate::driver::told::{Note, Told};
use crate::driver::{ANSWER, Node, ROUND, clock, records};
use crate::net::resumable::ResumableLink;
use crate::party::{MAX_PARTIES, PartyId};
use crate::progress::{Event, PartyView};
use crate::protocol::key::KeyShare;
use crate::protocol::keygen::{Dealer, Keygen, KeygenSetup, ReshareSetup};
use crate::protocol::machine::{Machine, Persist};
use crate::request::{Action, Ceremony, Held, Hex, Importing, Question, Request, is_name};
use crate::secret::Secret;
use crate::vault::{
    self, Entry, Home, KeyLock, KeyRecord, KeyState, LeavingRecord, Ledger, Parting, PartyRecord,
    Peers, keys,
};
use crate::wire::{Reason, Terms};

/// A key that every party holds a share of.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its record.
    pub record: KeyRecord,
    /// Its parties, party 1 first.
    pub parties: Vec<PartyView>,
    /// Why the log could not be written, if so.
    pub unlogged: Option<String>,
    /// Whether this device's share or its state changed.
    pub changed: bool,
    /// Whether this device has left the key, and its share is destroyed.
    pub left: bool,
}

/// A private key that exists on this device, to be dealt into shares.
#[derive(Debug)]
pub struct Whole {
    key: Secret<[u8; 32]>,
    curve: CurveName,
    public: Importing,
}

impl Whole {
    /// The private key `key` on `curve`, 32 bytes big-endian, whose derived keys follow from `chain_code`; `None` if
    /// the bytes are no private key.
    pub fn new(curve: CurveName, key: Secret<[u8; 32]>, chain_code: [u8; 32]) -> Option<Self> {
        let public_key = on_curve!(curve, C => public_of::<C>(&key))?;
        Some(Self { key, curve, public: Importing { public_key, chain_code } })
    }

    /// The curve that it is on.
    pub fn curve(&self) -> CurveName {
        self.curve
    }

    /// Its public key, SEC1 compressed.
    pub fn public_key(&self) -> &[u8; 33] {
        &self.public.public_key
    }

    fn scalar<C: Curve>(&self) -> Result<Secret<Scalar<C>>, Error> {
        scalar_of::<C>(&self.key).ok_or(Error::Bug("the imported key is on another curve"))
    }
}

fn scalar_of<C: Curve>(key: &Secret<[u8; 32]>) -> Option<Secret<Scalar<C>>> {
    decode_scalar(key.expose()).ok().map(Secret::new)
}

/// The public key of a private one, SEC1 compressed; `None` if that is none.
fn public_of<C: Curve>(key: &Secret<[u8; 32]>) -> Option<[u8; 33]> {
    let point = C::of_generator(scalar_of::<C>(key)?.expose());
    encode_point(&point.into())
}

/// Makes the key `name` on `curve` with the devices in `with`, any `threshold` of which sign later.
///
/// # Errors
/// The name is taken, a device cannot be reached or refuses, or the protocol fails. If it fails
/// after this device has stored its share, the key stays pending ([`Error::LeftPending`]).
pub async fn request(
    node: &Arc<Node>,
    (name, curve): (&str, CurveName),
    threshold: u8,
    with: &[Target],
) -> Result<Made, Error> {
    shared_out(node, (name, curve), threshold, with, None).await
}

/// Makes shares of the private key `whole`, as [`request`] makes those of a new key. Whoever has a copy of it signs
/// alone, now and later.
///
/// The same import again finishes one that was cut off: it gets the confirmations that are missing, and where a device
/// has no share it deals the key anew, beside what is pending, until all have confirmed.
///
/// # Errors
/// As for [`request`], and this device has a share of that key already, of another import.
pub async fn import(
    node: &Arc<Node>,
    name: &str,
    threshold: u8,
    with: &[Target],
    whole: &Whole,
) -> Result<Made, Error> {
    if let Some(record) =
        imported(&node.home, (name, whole.curve), threshold, with, whole.public_key())?
    {
        match resume(node, name, with).await {
            // A device that has nothing of it gets a share like all others.
            Err(Error::NeverStored { .. }) if record.state == KeyState::Pending => {}
            resumed => return resumed,
        }
        let held = HeldKey::open(node, name)?;
        if held.is_full() {
            return Err(Error::TooManyPending(name.to_owned()));
        }
        if *held.share().chain_code() != whole.public.chain_code {
            return Err(Error::ImportExists { key: name.to_owned(), pending: true });
        }
    }
    shared_out(node, (name, whole.curve), threshold, with, Some(whole)).await
}

/// What there is here of an import of the private key with this `public_key`, as it is asked for: shares under this
/// name, of these devices, and none of a later change. `None` if there is nothing.
///
/// # Errors
/// The name is that of another key, or the key is here otherwise.
pub fn imported(
    home: &Home,
    (name, curve): (&str, CurveName),
    threshold: u8,
    with: &[Target],
    public_key: &[u8; 33],
) -> Result<Option<KeyRecord>, Error> {
    keys::all_are_read(home)?;
    let Some(same) = keys::of_public_key(home, public_key)? else {
        // The command that is named for a new key makes another one than that which is imported.
        return match is_free(home, (name, curve), threshold, with) {
            Err(Error::KeyExists { .. }) => Err(taken(name)),
            free => free.map(|()| None),
        };
    };
    let mut others: Vec<_> = with.iter().filter_map(|target| target.fingerprint).collect();
    others.sort_unstable();
    let is_asked = |record: &KeyRecord| {
        let parties = record.parties.iter().filter(|party| party.index != record.me);
        record.curve == curve
            && record.generation == 1
            && !record.restored
            && record.threshold == threshold
            && parties.map(|party| party.fingerprint).eq(others.iter().copied())
    };
    if same.name != name || !records::held(home, name)?.iter().all(is_asked) {
        let pending = same.state == KeyState::Pending;
        return Err(Error::ImportExists { key: same.name, pending });
    }
    Ok(Some(same))
}

async fn shared_out(
    node: &Arc<Node>,
    (name, curve): (&str, CurveName),
    threshold: u8,
    with: &[Target],
    whole: Option<&Whole>,
) -> Result<Made, Error> {
    let action = match whole {
        None => {
            is_free(&node.home, (name, curve), threshold, with)?;
            Action::Keygen
        }
        Some(Whole { public, .. }) => Action::Import(*public),
    };
    let others = with.iter().filter_map(|target| target.fingerprint);
    let mut parties: Vec<Fingerprint> = others.chain([node.info.fingerprint]).collect();
    parties.sort_unstable();
    let request = asked(node, (name, curve), threshold, parties, action)?;
    let invitees = invitees(&request, with)?;
    let public_key = request.public_key().copied();
    let question = node.question(request, name.to_owned(), public_key);
    announce(node, &question);
    let mut attempts = Attempts::new(node);
    let result = loop {
        let made = async {
            let accepted = propose(node, &question.request, invitees.clone()).await?;
            let taking = async {
                match whole {
                    None => free(node, name).await,
                    Some(whole) => to_import(node, name, threshold, with, whole).await,
                }
            };
            let (_lock, accepted) = accepted.or_decline(taking).await?;
            let started = accepted.start(node, &question).await?;
            make(node, name, &question.request, started, whole).await
        }
        .await;
        match made {
            Err(error) if attempts.again(node, &error).await => {}
            made => break made,
        }
    };
    let result = result.map_err(|error| {
        if !matches!(error, Error::Refused { reason: Reason::Conflict, .. }) || whole.is_some() {
            return error;
        }
        let others = with.iter().filter_map(|target| target.fingerprint);
        let wanted = wanted(&node.home, (name, curve), threshold, others);
        Error::KeyExistsThere { error: Box::new(error), wanted }
    });
    conclude(node, &question.request, result)
}

/// Fails if the name is taken. The error has what is needed to propose another name.
///
/// # Errors
/// This device has a key `name`, or `name` cannot be the name of a key.
pub fn is_free(
    home: &Home,
    (name, curve): (&str, CurveName),
    threshold: u8,
    with: &[Target],
) -> Result<(), Error> {
    if !is_name(name) {
        return Err(
            vault::Error::BadName { name: Label::capped(name, 80).as_str().to_owned() }.into()
        );
    }
    let Some(record) = records::find(home, name)? else { return Ok(()) };
    let others = with.iter().filter_map(|target| target.fingerprint);
    let wanted = wanted(home, (name, curve), threshold, others);
    Err(Error::KeyExists { wanted, pending: record.state == KeyState::Pending })
}

/// Gives every party of the key `name` a new share; the public key stays.
///
/// # Errors
/// As for [`request`]; the old shares stay in use until every party has stored its new one.
pub async fn refresh(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Error> {
    let of_active = |_: &[KeyRecord], active: &KeyRecord| Ok(devices(active));
    let unfinished = match finish_pending(node, name, with, of_active).await? {
        Pending::Finished(finished) => return Ok(*finished),
        Pending::Unfinished(records) => records,
    };
    let renewal = Renewal {
        alike: KeyRecord::has_parties_of,
        fits: &|record| !unfinished.contains(record),
        asks: &|key| of_key(node, key.record(), key.held(), Action::Refresh),
        unfinished: &unfinished,
        pardons: None,
    };
    renewed(node, name, with, Vec::new(), &renewal).await
}

/// What to say where another device has none of the older shares any more: it may have heard from those that
/// are awaited here for the `unfinished` ones, which are then in use there and can be reshared without them.
fn beyond(node: &Node, unfinished: &[KeyRecord], error: Error) -> Error {
    let is_refused = matches!(error, Error::Refused { reason: Reason::RolledBack, .. });
    let Some(newest) = unfinished.first().filter(|_| is_refused) else { return error };
    let Ok(missing) = confirmations::missing(node, newest) else { return error };
    let awaited = newest.parties.iter().filter(|party| missing.contains(&party.index));
    let lost: Vec<Fingerprint> = awaited.map(|party| party.fingerprint).collect();
    let without = Change { lost: lost.clone(), ..Change::default() };
    if without.plan(newest, |who| node.name_of(who)).is_err() {
        return error;
    }
    let peers = Peers::load(&node.home).unwrap_or_default();
    // `--lost` splits at commas.
    let word = |who: &Fingerprint| match peers.known(who).map(|peer| &peer.name) {
        Some(name) if !name.contains(',') => name.clone(),
        _ => who.device_id(),
    };
    let lost = lost.iter().map(word).collect();
    Error::NewerThere { error: Box::new(error), key: newest.name.clone(), lost }
}

/// What became of the pending epochs of a key.
enum Pending {
    /// The newest one is the active one now.
    Finished(Box<Made>),
    /// There are none, or they wait. These wait for devices that are not needed for what is asked.
    Unfinished(Vec<KeyRecord>),
}

/// Finishes what is pending of the key `name`. It is left unfinished, and stays stored, if an older epoch is
/// in use and a party has no share of it, or if it waits for a device that is not among those that are
/// `needed` for what is asked: a device that is gone, or lies, stops nobody else.
async fn finish_pending(
    node: &Arc<Node>,
    name: &str,
    with: &[Target],
    needed: impl Fn(&[KeyRecord], &KeyRecord) -> Result<Vec<Fingerprint>, Error>,
) -> Result<Pending, Error> {
    let is_pending = |record: &KeyRecord| record.state == KeyState::Pending;
    let held = records::held(&node.home, name)?;
    if held.first().is_some_and(is_pending) {
        let error = match resume(node, name, with).await {
            Ok(finished) => return Ok(Pending::Finished(Box::new(finished))),
            Err(error) => error,
        };
        // It stays stored: others may have no older one.
        let Ok(active) = records::active(&node.home, name) else { return Err(error) };
        if cannot_be_finished(&error) {
            return Ok(Pending::Unfinished(Vec::new()));
        }
        let held = records::held(&node.home, name)?;
        let needed = needed(&held, &active)?;
        let mut unfinished = Vec::new();
        for record in held.into_iter().filter(is_pending) {
            let missing = confirmations::missing(node, &record)?;
            let awaited = record.parties.iter().filter(|party| missing.contains(&party.index));
            if awaited.into_iter().any(|party| !needed.contains(&party.fingerprint)) {
                unfinished.push(record);
            }
        }
        // A device that the owner calls lost is not asked, and that needs no note.
        let is_left_out = matches!(error, Error::NoShareThere { .. });
        if unfinished.is_empty() || !(is_left_out || error.is_about_a_peer()) {
            return Err(error);
        }
        if !is_left_out {
            node.tell(Note::Unfinished { key: name.to_owned(), error });
        }
        return Ok(Pending::Unfinished(unfinished));
    }
    records::active(&node.home, name)?;
    Ok(Pending::Unfinished(Vec::new()))
}

/// The parties of `record`.
fn devices(record: &KeyRecord) -> Vec<Fingerprint> {
    record.parties.iter().map(|party| party.fingerprint).collect()
}

/// Which new shares of a key are asked for.
struct Renewal<'a> {
    /// Whether one request is about both epochs.
    alike: fn(&KeyRecord, &KeyRecord) -> bool,
    /// Whether they can be made of this epoch.
    fits: &'a (dyn Fn(&KeyRecord) -> bool + Sync),
    /// The request for them.
    asks: &'a (dyn Fn(&HeldKey) -> Result<Request, Error> + Sync),
    /// Newer epochs that are left aside, since they wait for devices.
    unfinished: &'a [KeyRecord],
    /// The devices whose bans the owner ends by it; all if it is not given.
    pardons: Option<&'a [Fingerprint]>,
}

/// Makes new shares of the key `name` by `renewal`, of the newest epoch that fits, that all have, and that is
/// not alike to those `tried`.
///
/// # Errors
/// As for [`refresh`].
async fn renewed(
    node: &Arc<Node>,
    name: &str,
    with: &[Target],
    mut tried: Vec<KeyRecord>,
    renewal: &Renewal<'_>,
) -> Result<Made, Error> {
    let mut asking = Asking::of(node, name, &tried, renewal).await?;
    asking.announce(node);
    let mut attempts = Attempts::new(node);
    let result = loop {
        let made = async {
            let Asking { question, bans, .. } = &asking;
            let request = &question.request;
            let accepted = propose(node, request, invitees(request, with)?).await?;
            let epoch = accepted.epoch();
            let same = same(node, name, request, &epoch, bans);
            let ((key, bans), accepted) = accepted.or_decline(same).await?;
            let started = accepted.start(node, question).await?;
            renew(node, key, request, started, &bans).await
        }
        .await;
        match made {
            Err(error) if attempts.again(node, &error).await => {}
            // It is unconfirmed here, and another party has not stored its share: those of before are older.
            Err(error) if error.is_about_shares() && asking.has_others => {
                tried.push(asking.record.clone());
                node.tell(Note::Unfinished { key: name.to_owned(), error });
            }
            made => break made,
        }
        match Asking::of(node, name, &tried, renewal).await {
            // The bans are those of when it was begun.
            Ok(next) if next.record.has_parties_of(&asking.record) => {
                asking = Asking { bans: asking.bans, ..next };
            }
            // Other devices take part, so the owner sees the request anew.
            Ok(next) => {
                next.announce(node);
                asking = next;
            }
            Err(error) => break Err(error),
        }
    };
    let result = result.map_err(|error| beyond(node, renewal.unfinished, error));
    conclude(node, &asking.question.request, result)
}

/// A request for new shares of a key.
struct Asking {
    /// The epoch that it begins with.
    record: KeyRecord,
    question: Question,
    /// The bans that the new shares lift.
    bans: Bans,
    /// Whether there are epochs that are not like those that were tried.
    has_others: bool,
}

impl Asking {
    /// The request for `renewal` of the newest epoch of the key `name` that fits and is not alike to one of
    /// `tried`. Waits until no other process changes the key.
    async fn of(
        node: &Node,
        name: &str,
        tried: &[KeyRecord],
        Renewal { alike, fits, asks, pardons, .. }: &Renewal<'_>,
    ) -> Result<Self, Error> {
        let waits = |by| node.tell(Note::KeyAwaited { key: name.to_owned(), by });
        records::unchanging(&node.home, name, node.deadline_or(ANSWER), waits).await?;
        let may = |record: &KeyRecord| fits(record) && !tried.iter().any(|t| alike(t, record));
        let key = HeldKey::open_where(node, name, may)?;
        if key.is_full() {
            return Err(Error::TooManyPending(name.to_owned()));
        }
        let (request, record) = (asks(&key)?, key.record().clone());
        let has_others = key.has_epoch(|other| may(other) && !alike(other, &record));
        let bans = key.bans(&request.parties);
        let is_pardoned = |who: &Fingerprint| pardons.is_none_or(|all| all.contains(who));
        if let Some(who) = bans.known().find(|who| !is_pardoned(who)) {
            let party = request.party_of(&who).ok_or(Error::NotAParty)?;
            return Err(Error::Banned { party, peer: node.name_of(&who), key: name.to_owned() });
        }
        Ok(Self { question: about(node, request, &record), bans, has_others, record })
    }

    /// Shows the owner of this device what is asked for, and whose bans it lifts.
    fn announce(&self, node: &Node) {
        if !self.bans.is_empty() {
            node.tell(Note::EndsBans { peers: self.bans.names(node) });
        }
        announce(node, &self.question);
    }
}

/// The devices that take part in `change` of the key `name` and are banned here, which new shares end.
///
/// # Errors
/// The key cannot be opened.
pub fn banned_in(node: &Node, name: &str, change: &Change) -> Result<Vec<Fingerprint>, Error> {
    let held = records::held(&node.home, name)?;
    // A change that fits no epoch may be one that is unfinished, and its owners have agreed to that.
    let Ok((_, plan)) = reshare::planned(node, &held, change) else { return Ok(Vec::new()) };
    let banned = HeldKey::open(node, name)?.bans(&plan.participants);
    let banned: BTreeSet<Fingerprint> = banned.known().collect();
    Ok(banned.into_iter().collect())
}

/// Changes the parties or the threshold of the key `name`; `with` are at least the others that take part.
/// The public key stays. It ends the bans of the devices that it `pardons`, as the owner has said.
///
/// # Errors
/// Another device that takes part is banned here, the change does not fit the key, a device cannot be reached or refuses, or the protocol fails. The shares of before
/// stay in use until every party then has stored its new one.
pub async fn reshare(
    node: &Arc<Node>,
    name: &str,
    change: &Change,
    with: &[Target],
    pardons: &[Fingerprint],
) -> Result<Made, Error> {
    let planned = |held: &[KeyRecord], active: &KeyRecord| {
        // What is unfinished of this very change needs all of its devices.
        match held.first().filter(|newest| change.is_made(newest, active.threshold)) {
            Some(newest) => Ok(devices(newest)),
            None => reshare::planned(node, held, change).map(|(_, plan)| plan.participants),
        }
    };
    let finished = finish_pending(node, name, with, planned).await?;
    let threshold = records::active(&node.home, name)?.threshold;
    if let Pending::Finished(finished) = finished
        && change.is_made(&finished.record, threshold)
    {
        return Ok(*finished);
    }
    // What cannot be finished of this very change is made again from the shares before it.
    let held = records::held(&node.home, name)?;
    let fits = |record: &KeyRecord| {
        let is_futile = record.state == KeyState::Pending && change.is_made(record, threshold);
        !is_futile && change.plan(record, |who| node.name_of(who)).is_ok()
    };
    if !held.iter().any(fits) {
        reshare::planned(node, &held, change)?;
    }
    let renewal = Renewal {
        alike: |one, other| one.epoch == other.epoch,
        fits: &fits,
        asks: &|key| reshare::asking(node, key, change),
        unfinished: &[],
        pardons: Some(pardons),
    };
    renewed(node, name, with, Vec::new(), &renewal).await
}

/// Finishes the pending key `name`: gets the missing confirmations from their parties. If none is
/// missing, all parties are asked, so that they get this device's.
///
/// # Errors
/// A party cannot be reached or has no share; a pending key stays pending.
pub async fn resume(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Error> {
    let record = newest(node, name)?;
    if let Some(leaves) = leaving::newest(&node.home, name)? {
        let (request, result) = leaving::resume(node, &record, &leaves, with).await?;
        return conclude(node, &request, result);
    }
    let everybody: BTreeSet<PartyId> =
        record.parties.iter().map(|p| p.index).filter(|index| *index != record.me).collect();
    let missing = match record.state {
        KeyState::Pending => missing(node, &record)?,
        KeyState::Active => BTreeSet::new(),
    };
    // All confirmations are here, but this device may have been killed before the others got its
    // own, so all are asked.
    let parties = if missing.is_empty() { everybody } else { missing };
    let request = resumption(node, &record, &parties)?;
    let result = async {
        let outcome = visit(node, &record, &parties, with).await;
        // One unreachable party must not block the rest, so each is visited alone.
        if outcome.is_err() && parties.len() > 1 {
            for party in &parties {
                let _ = visit(node, &record, &BTreeSet::from([*party]), with).await;
            }
        }
        if record.state == KeyState::Active {
            return outcome.map(|()| record).map_err(|error| match error.is_about_shares() {
                true => Error::ShareMissingThere { error: Box::new(error), key: name.to_owned() },
                false => error,
            });
        }
        settle(node, name).await?;
        let newest = newest(node, name)?;
        if newest.state == KeyState::Active {
            return Ok(newest);
        }
        let signs = records::active(&node.home, name).is_ok();
        outcome.map_err(|error| {
            if !error.is_about_shares() {
                return error;
            }
            let error = Box::new(error);
            if signs {
                return Error::RefreshNeverStored { error, key: name.to_owned() };
            }
            // Others had this key before this device.
            if newest.generation > 1 {
                return Error::JoiningUnfinished { error, key: name.to_owned() };
            }
            let others = newest.parties.iter().filter(|party| party.index != newest.me);
            let others = others.map(|party| party.fingerprint);
            let key = (name, newest.curve);
            Error::NeverStored { error, wanted: wanted(&node.home, key, newest.threshold, others) }
        })?;
        let missing = confirmations::missing(node, &newest)?;
        Err(Error::Unconfirmed {
            key: name.to_owned(),
            missing: named(node, &newest, &missing),
            signs,
        })
    }
    .await;
    conclude(node, &request, result)
}

/// Whether a pending epoch stays pending, whichever party is asked.
fn cannot_be_finished(error: &Error) -> bool {
    matches!(error, Error::RefreshNeverStored { .. } | Error::Unconfirmed { .. })
        || matches!(error, Error::Refused { reason: Reason::Conflict | Reason::RolledBack, .. })
        || matches!(error, Error::Vault(vault::Error::InUse { .. }))
}

/// A description of a new key called `name` with `others`, as a command line would give it.
fn wanted(
    home: &Home,
    (name, curve): (&str, CurveName),
    threshold: u8,
    others: impl Iterator<Item = Fingerprint>,
) -> Wanted {
    let peers = Peers::load(home).unwrap_or_default();
    let word = |fingerprint: Fingerprint| {
        let known = peers.known(&fingerprint).map(|peer| peer.name.clone());
        // `--with` splits at commas, and takes a leading dash for an option.
        let fits = known.filter(|name| !name.contains(',') && !name.starts_with('-'));
        fits.unwrap_or_else(|| fingerprint.device_id())
    };
    let keys = keys::each(home).unwrap_or_default();
    let taken = keys.into_iter().map(|(name, _)| name).collect();
    Wanted { key: name.to_owned(), curve, threshold, with: others.map(word).collect(), taken }
}

/// The newest epoch of the key `name`.
fn newest(node: &Node, name: &str) -> Result<KeyRecord, Error> {
    records::held(&node.home, name)?.into_iter().next().ok_or_else(|| Error::NoKey(name.to_owned()))
}

/// The parties whose confirmation of a pending epoch of the parties of `newest` is missing here.
fn missing(node: &Node, newest: &KeyRecord) -> Result<BTreeSet<PartyId>, Error> {
    let mut missing = BTreeSet::new();
    for record in records::held(&node.home, &newest.name)? {
        if record.state == KeyState::Pending && record.has_parties_of(newest) {
            missing.extend(confirmations::missing(node, &record)?);
        }
    }
    Ok(missing)
}

/// Exchanges confirmations with these `parties`.
async fn visit(
    node: &Arc<Node>,
    record: &KeyRecord,
    parties: &BTreeSet<PartyId>,
    with: &[Target],
) -> Result<(), Error> {
    let request = resumption(node, record, parties)?;
    let invitees = invitees(&request, with)?;
    let question = about(node, request, record);
    let Started { mut links, .. } = propose_and_start(node, &question, invitees).await?;
    let request = &question.request;
    let exchanged = confirmations::exchange(node, &record.name, request, &mut links).await;
    part_after(node, exchanged, links).await
}

/// The request to these `parties` for their confirmations of every epoch that both have.
fn resumption(
    node: &Node,
    record: &KeyRecord,
    parties: &BTreeSet<PartyId>,
) -> Result<Request, Error> {
    let request = of_key(node, record, held(node, record)?, Action::Resume)?;
    let takes_part = |party: &PartyId| *party == record.me || parties.contains(party);
    let signers = request.signers.iter().copied().filter(takes_part).collect();
    Ok(Request { signers, ..request })
}

/// The epochs of the parties of `of` that this device has a share of, the newest first.
fn held(node: &Node, of: &KeyRecord) -> Result<Vec<Held>, Error> {
    let ledger = node.ledger()?;
    let mut records = records::held(&node.home, &of.name)?;
    records.retain(|record| record.has_parties_of(of));
    Ok(records.iter().map(|record| epochs::held_of(ledger, record)).collect())
}

/// The names of these parties.
fn named(node: &Node, record: &KeyRecord, parties: &BTreeSet<PartyId>) -> Vec<Label> {
    let parties = record.parties.iter().filter(|party| parties.contains(&party.index));
    parties.map(|party| node.name_of(&party.fingerprint)).collect()
}

/// Takes part in a key generation, refresh, reshare or resume that the device at the other end of `link`
/// asks for. `begun` is set when all have said yes and new shares are made.
///
/// # Errors
/// Any failure, refusals included. The other side has been told by then.
pub async fn respond(
    node: &Arc<Node>,
    link: ResumableLink,
    request: Request,
    terms: Terms,
    begun: &mut bool,
) -> Result<Made, Error> {
    let requester = link.peer();
    let name = node.name_of(&requester);
    if let Some((record, parting)) = leaving::parted(node, &request, &requester) {
        let told = leaving::tell(node, link, about(node, request, &record), &terms, &parting).await;
        return told.map(|()| Made { changed: false, ..made(node, record) });
    }
    let known = match acceptable(node, &request, &requester) {
        Ok(known) => known,
        Err(reason) => {
            let error = decline(link, &name, reason).await;
            log(node, &request, error.kind().name());
            return Err(error);
        }
    };
    let question = match &known {
        Some(record) => about(node, request, record),
        None => {
            let key = new_name(node, &request).unwrap_or_else(|_| request.key.clone());
            let public_key = request.public_key().copied();
            node.question(request, key, public_key)
        }
    };
    let request = &question.request;
    if let Some(record) = known.as_ref().filter(|_| request.ceremony() == Ceremony::Resume) {
        let before = newest(node, &record.name);
        return match confirm(node, link, &question, &terms, record).await {
            // Nothing changed here, so no log line is written.
            Ok(now) if before.is_ok_and(|before| before == now) => {
                Ok(Made { changed: false, ..made(node, now) })
            }
            confirmed => conclude(node, request, confirmed),
        };
    }
    let result = async {
        match known {
            None => {
                let key = &question.key;
                let lifts = match Lifts::of(node, key, request) {
                    Ok(lifts) => lifts,
                    Err(error) => {
                        decline(link, &name, Reason::from(&error)).await;
                        return Err(error);
                    }
                };
                let ask =
                    lifts.as_ref().map_or(Ask::Approval, |lifts| asking_for(node, &lifts.bans));
                let started = accept(node, link, &question, &terms, Vec::new(), ask).await?;
                let taking = async {
                    let lock = records::hold(&node.home, key).await?;
                    if new_name(node, request)? != *key {
                        return Err(taken(key));
                    }
                    match (Lifts::of(node, key, request)?, lifts) {
                        (None, _) => Ok((lock, None)),
                        (Some(now), Some(then)) => Ok((lock, Some(now.agreed_as(then)))),
                        (Some(_), None) => Err(Error::ChangedMeanwhile(key.clone())),
                    }
                };
                let ((lock, lifts), started) = started.or_abort(taking).await?;
                *begun = true;
                let made = match request.resharing() {
                    None => make(node, key, request, started, None).await,
                    Some(_) => join(node, key, request, started, lifts).await,
                };
                drop(lock);
                made
            }
            Some(record) => {
                let open = match HeldKey::open_for(node, &record.name, request) {
                    Ok(open) => open,
                    Err(error) => {
                        decline(link, &name, Reason::from(&error)).await;
                        return Err(error);
                    }
                };
                let offer = open.common(request);
                if offer.is_empty() {
                    return Err(part(link, &name, &record.name, request, open.held()).await);
                }
                if open.is_full() {
                    decline(link, &name, Reason::Conflict).await;
                    return Err(Error::TooManyPending(record.name.clone()));
                }
                let bans = open.bans(&request.parties);
                let ask = asking_for(node, &bans);
                // The owner may take minutes, so the share is closed and opened again afterwards.
                drop(open);
                let started = accept(node, link, &question, &terms, offer, ask).await?;
                deletions::refuted(node, &requester, request);
                let epoch = started.agreed.epoch;
                let same = async {
                    let (open, bans) = same(node, &record.name, request, &epoch, &bans).await?;
                    // A ban since the approval was not part of it: the ceremony ends and the owner
                    // is asked anew.
                    match bans.new_in(&open.ledger) {
                        None => Ok((open, bans)),
                        Some(_) => Err(Error::ChangedMeanwhile(record.name.clone())),
                    }
                };
                let ((open, bans), started) = started.or_abort(same).await?;
                *begun = true;
                renew(node, open, request, started, &bans).await
            }
        }
    }
    .await;
    conclude(node, request, result)
}

/// What the owner is asked about new shares that end these bans.
fn asking_for(node: &Node, bans: &Bans) -> Ask {
    match bans.is_empty() {
        true => Ask::Approval,
        false => Ask::Pardon(bans.names(node)),
    }
}

/// Locks the name of a new key, and checks that it is still free.
async fn free(node: &Node, name: &str) -> Result<KeyLock, Error> {
    let lock = records::hold(&node.home, name).await?;
    match records::find(&node.home, name)? {
        None => Ok(lock),
        Some(_) => Err(taken(name)),
    }
}

/// Locks the name of a key that is imported, and checks that it is as free as it was.
async fn to_import(
    node: &Node,
    name: &str,
    threshold: u8,
    with: &[Target],
    whole: &Whole,
) -> Result<KeyLock, Error> {
    let lock = records::hold(&node.home, name).await?;
    match imported(&node.home, (name, whole.curve), threshold, with, whole.public_key())? {
        Some(record) if record.state == KeyState::Active => {
            Err(Error::ChangedMeanwhile(name.to_owned()))
        }
        _ => Ok(lock),
    }
}

fn taken(name: &str) -> Error {
    vault::Error::Conflict { what: "key", name: name.to_owned() }.into()
}

/// What the key of `request` is to be called here, of which this device has no share. Where an earlier
/// reshare of it was cut off, or an import for the same devices, there is a pending one, beside which another is
/// stored.
///
/// # Errors
/// The name is taken, or this device has a share that is in use.
fn new_name(node: &Node, request: &Request) -> Result<String, Error> {
    let public_key = request.public_key();
    if public_key.is_some() {
        keys::all_are_read(&node.home)?;
    }
    let all = keys::list(&node.home)?;
    let same: Vec<&KeyRecord> =
        all.iter().filter(|record| Some(&record.public_key) == public_key).collect();
    let is_imported = |record: &KeyRecord| {
        let parties = record.parties.iter().map(|party| &party.fingerprint);
        record.generation == 1
            && record.threshold == request.threshold
            && parties.eq(&request.parties)
    };
    let is_joined = match request.importing() {
        None => request.resharing().is_some(),
        Some(_) => same.iter().all(|record| is_imported(record)),
    };
    let is_pending = same.iter().all(|record| record.state == KeyState::Pending);
    match same.first() {
        Some(record) if is_joined && is_pending => Ok(record.name.clone()),
        Some(record) => Err(taken(&record.name)),
        None => match records::find(&node.home, &request.key)? {
            None => Ok(request.key.clone()),
            Some(_) => Err(taken(&request.key)),
        },
    }
}

/// Locks the key that is to be refreshed, checks that it has not changed, and returns `bans` for
/// its epochs of now.
async fn same(
    node: &Node,
    name: &str,
    request: &Request,
    epoch: &Hex<32>,
    bans: &Bans,
) -> Result<(OpenKey, Bans), Error> {
    let lock = records::hold(&node.home, name).await?;
    let open = HeldKey::open_for(node, name, request)?;
    let offers = open.common(request);
    let is_same = offers.iter().any(|held| held.epoch == *epoch);
    if open.is_full() || !is_same {
        return Err(Error::ChangedMeanwhile(name.to_owned()));
    }
    let bans = bans.in_epochs_of(&open);
    Ok((open.choose(epoch, lock)?, bans))
}

/// The record of the key that `request` is about, if there is one; an error if this device cannot
/// take part.
fn acceptable(
    node: &Node,
    request: &Request,
    requester: &Fingerprint,
) -> Result<Option<KeyRecord>, Reason> {
    if let Some(resharing) = request.resharing() {
        reshare::is_acceptable(request, resharing)?;
    }
    if request
        .importing()
        .is_some_and(|importing| reshare::origin_of(request.curve, importing).is_none())
    {
        return Err(Reason::Aborted);
    }
    let me = &node.info.fingerprint;
    if matches!(request.ceremony(), Ceremony::Keygen | Ceremony::Import)
        || request.resharing().is_some_and(|r| !r.old.contains(me))
    {
        paired_with_all(node, &request.parties)?;
        if !request.epochs().iter().all(|held| held.generation < reshare::MAX_JOINED) {
            return Err(Reason::Aborted);
        }
        return match new_name(node, request) {
            Ok(_) => Ok(None),
            Err(Error::Vault(vault::Error::Conflict { .. } | vault::Error::Unsupported { .. })) => {
                Err(Reason::Conflict)
            }
            Err(_) => Err(Reason::Aborted),
        };
    }
    let known = records::of_key(&node.home, request).ok().flatten();
    if let Some(resharing) = request.resharing().filter(|_| known.is_some()) {
        let new = request.parties.iter().filter(|party| !resharing.old.contains(party));
        paired_with_all(node, new)?;
    }
    known.map(Some).ok_or_else(|| deletions::reason(node, request, requester))
}

/// Every two parties of a key must be paired: this device checks its own pairs.
fn paired_with_all<'a>(
    node: &Node,
    parties: impl IntoIterator<Item = &'a Fingerprint>,
) -> Result<(), Reason> {
    let peers = node.peers().map_err(|_| Reason::NotPaired)?;
    for fingerprint in parties.into_iter().filter(|party| **party != node.info.fingerprint) {
        let record = peers.known(fingerprint).ok_or(Reason::NotPaired)?;
        if record.is_expired(clock::unix_now()) {
            return Err(Reason::Expired);
        }
    }
    Ok(())
}

async fn make(
    node: &Arc<Node>,
    name: &str,
    request: &Request,
    started: Started,
    whole: Option<&Whole>,
) -> Result<KeyRecord, Error> {
    on_curve!(request.curve, C => make_on::<C>(node, name, request, started, whole).await)
}

async fn make_on<C: Curve>(
    node: &Arc<Node>,
    name: &str,
    request: &Request,
    started: Started,
    whole: Option<&Whole>,
) -> Result<KeyRecord, Error> {
    let me = request.party_of(&node.info.fingerprint).ok_or(Error::NotAParty)?;
    let instance = started.id;
    let identities = request.parties.iter().map(|party| party.as_bytes().to_vec()).collect();
    let threshold = request.threshold;
    let fault = |fault| fault_with(fault, name, party_label);
    let begun = async {
        let begun = match request.importing() {
            None => {
                let setup = KeygenSetup { instance, threshold, me, identities };
                begin::keygen::<C>(&node.vault, setup)?
            }
            Some(importing) => {
                let requester = request.requester;
                let setup = ReshareSetup {
                    instance,
                    threshold,
                    count: u8::try_from(request.parties.len()).unwrap_or(u8::MAX),
                    me,
                    identities,
                    dealers: vec![Dealer { participant: requester, old: 0 }],
                    origin: reshare::origin_of(request.curve, importing)
                        .ok_or(Error::Bug("an import of no key"))?,
                    requester,
                };
                match whole {
                    Some(whole) => begin::import(setup, &whole.scalar::<C>()?)?,
                    None => begin::join(&node.vault, setup)?,
                }
            }
        };
        begun.map_err(fault)
    };
    let (machine, mut started) = started.or_abort(begun).await?;
    started.charge.spend();
    let new = NewShare::new(node, name, request, 1);
    run(machine, new, started.links).await.map(|(record, _)| record)
}

/// Runs a reshare of a key that this device has no share of.
async fn join(
    node: &Arc<Node>,
    name: &str,
    request: &Request,
    started: Started,
    lifts: Option<Lifts>,
) -> Result<KeyRecord, Error> {
    on_curve!(request.curve, C => join_on::<C>(node, name, request, started, lifts).await)
}

async fn join_on<C: Curve>(
    node: &Arc<Node>,
    name: &str,
    request: &Request,
    started: Started,
    lifts: Option<Lifts>,
) -> Result<KeyRecord, Error> {
    let fault = |fault| fault_with(fault, name, party_label);
    let setup = reshare::setup(node, request, started.id)?;
    let begun = async { begin::join::<C>(&node.vault, setup)?.map_err(fault) };
    let (machine, mut started) = started.or_abort(begun).await?;
    started.charge.spend();
    let before = request.epochs().iter().map(|held| held.generation).max().unwrap_or_default();
    let new = NewShare::new(node, name, request, before.saturating_add(1));
    let new = NewShare { lifts: lifts.as_ref(), ..new };
    run(machine, new, started.links).await.map(|(record, _)| record)
}

/// Runs a refresh or reshare that lifts `bans` and no others.
async fn renew(
    node: &Arc<Node>,
    key: OpenKey,
    request: &Request,
    started: Started,
    bans: &Bans,
) -> Result<KeyRecord, Error> {
    let lifts = Lifts { ledger: key.ledger.clone(), bans: bans.clone() };
    let (name, record) = (key.record.name.clone(), &key.record);
    let ran = of_either!(&key.share, share => {
        renew_on(node, (record, share), request, started, &lifts).await
    });
    // A device that leaves destroys its share, for which nothing may use it.
    drop(key);
    let settled = leaving::settle(node, &name).await;
    let (record, links) = ran?;
    settled?;
    if let Some(links) = links {
        let _ = links.finish(node.deadline_within(ROUND)).await;
    }
    Ok(record)
}

async fn renew_on<C: Curve>(
    node: &Arc<Node>,
    (record, share): (&KeyRecord, &KeyShare<C>),
    request: &Request,
    started: Started,
    lifts: &Lifts,
) -> Result<(KeyRecord, Option<PeerLinks>), Error> {
    let fault = |fault| fault_with(fault, &record.name, party_label);
    let id = started.id;
    let begun = async {
        let begun = match request.resharing() {
            None => begin::refresh(share, id)?,
            Some(_) => begin::reshare(&node.vault, share, reshare::setup(node, request, id)?)?,
        };
        begun.map_err(fault)
    };
    let (machine, mut started) = started.or_abort(begun).await?;
    started.charge.spend();
    let new = NewShare::new(node, &record.name, request, record.generation.saturating_add(1));
    let new = NewShare { renews: Some(record), lifts: Some(lifts), ..new };
    run(machine, new, started.links).await
}

/// Runs a key generation, refresh or reshare. The new share is stored as pending before this device
/// confirms it, and becomes the active one when every party has confirmed. A device that leaves has the
/// old record, and says goodbye over the links when its share is destroyed.
async fn run<C: Curve>(
    mut machine: Machine<Keygen<C>>,
    mut new: NewShare<'_>,
    mut links: PeerLinks,
) -> Result<(KeyRecord, Option<PeerLinks>), Error> {
    let (node, name, ceremony) = (new.node, new.name, new.request.ceremony());
    let about = (ceremony, name, &new.request.id);
    let driven = drive(node, about, &mut machine, &mut links, &mut new).await;
    drop(machine);
    match (driven, new.stored) {
        (Ok(_), Some(record)) => {
            confirmations::settle(node, &record.name)?;
            // The key is complete; a lost farewell changes nothing.
            let _ = links.finish(node.deadline_within(ROUND)).await;
            let newest = newest(node, &record.name)?;
            match newest.state {
                KeyState::Active => Ok((newest, None)),
                KeyState::Pending => {
                    let missing = confirmations::missing(node, &newest)?;
                    let missing = named(node, &newest, &missing);
                    Err(Error::Unconfirmed {
                        key: name.to_owned(),
                        missing,
                        signs: new.renews.is_some(),
                    })
                }
            }
        }
        (Ok(_), None) => match new.renews.filter(|_| new.leaves.is_some()) {
            Some(record) => Ok((record.clone(), Some(links))),
            None => Err(Error::Bug("a key was made and no share was stored")),
        },
        (Err(error), stored) => {
            links.abort().await;
            Err(if stored.is_some() || new.leaves.is_some() {
                // A resume may have brought the missing confirmations while this ceremony held the
                // lock.
                if let Err(error) = confirmations::settle(node, name) {
                    node.tell(Note::Failed(error));
                }
                Error::LeftPending { error: Box::new(error), ceremony, key: name.to_owned() }
            } else {
                error
            })
        }
    }
}

/// The vault's side of a ceremony that makes a share.
struct NewShare<'a> {
    node: &'a Node,
    name: &'a str,
    request: &'a Request,
    generation: u64,
    /// Its record, once it is in the vault.
    stored: Option<KeyRecord>,
    /// Where this device leaves the key instead: what it waits for, once that is in the vault.
    leaves: Option<LeavingRecord>,
    /// The share that is replaced.
    renews: Option<&'a KeyRecord>,
    /// The bans that the new share lifts.
    lifts: Option<&'a Lifts>,
}

/// The bans that new shares lift, and where it is looked up whether there are more of them now.
struct Lifts {
    ledger: Ledger,
    bans: Bans,
}

impl Lifts {
    /// Those of the pending shares that this device, which is to join, has of the key of `request` already;
    /// `None` if it has none.
    ///
    /// # Errors
    /// They do not open, are too many, or are of a key with other derived keys than the requester says.
    fn of(node: &Node, name: &str, request: &Request) -> Result<Option<Self>, Error> {
        if records::find(&node.home, name)?.is_none() {
            return Ok(None);
        }
        let held = HeldKey::open(node, name)?;
        if held.is_full() {
            return Err(Error::TooManyPending(name.to_owned()));
        }
        if !reshare::derives_as(request, held.share()) {
            return Err(taken(name));
        }
        Ok(Some(Self { bans: held.bans(&request.parties), ledger: node.ledger()?.clone() }))
    }

    /// With the bans that the owner was told of, for the epochs of now.
    fn agreed_as(self, then: Self) -> Self {
        Self { bans: self.bans.with_known_of(then.bans), ..self }
    }
}

impl<'a> NewShare<'a> {
    fn new(node: &'a Node, name: &'a str, request: &'a Request, generation: u64) -> Self {
        Self {
            node,
            name,
            request,
            generation,
            stored: None,
            leaves: None,
            renews: None,
            lifts: None,
        }
    }

    /// The parties of the key then. In a refresh they keep the names that they had.
    fn parties(&self) -> Vec<PartyRecord> {
        if let Some(record) = self.renews.filter(|_| self.request.resharing().is_none()) {
            return record.parties.clone();
        }
        PartyId::all(MAX_PARTIES)
            .zip(self.request.remaining())
            .map(|(index, party)| PartyRecord {
                index,
                name: self.node.name_of(party).as_str().to_owned(),
                fingerprint: *party,
            })
            .collect()
    }

    /// A party banned after the approval must not get a new share. Checked before storing.
    fn unbanned(&self) -> Result<(), Error> {
        let is_stored = self.stored.is_some() || self.leaves.is_some();
        let Some(Lifts { ledger, bans }) = self.lifts.filter(|_| !is_stored) else { return Ok(()) };
        ledger.update()?;
        let Some(banned) = bans.new_in(ledger) else { return Ok(()) };
        let party = self.request.party_of(&banned);
        let party = party.ok_or(Error::Bug("somebody was banned who takes no part"))?;
        let (peer, key) = (self.node.name_of(&banned), self.name.to_owned());
        Err(Error::Banned { party, peer, key })
    }

    fn record<C: Curve>(&self, share: &KeyShare<C>) -> KeyRecord {
        KeyRecord {
            name: self.name.to_owned(),
            curve: name_of::<C>(),
            public_key: share.public_key_bytes(),
            threshold: share.threshold(),
            me: share.me(),
            parties: self.parties(),
            epoch: *share.epoch(),
            generation: self.generation,
            created: clock::unix_now(),
            state: KeyState::Pending,
            restored: false,
        }
    }
}

impl<C: Curve> Record<C> for NewShare<'_> {
    fn look_up(&mut self) -> Result<(), Error> {
        self.unbanned()
    }

    fn persist(&mut self, what: Persist<C>) -> Result<(), Error> {
        match what {
            Persist::PendingShare(pending) => {
                // Another session may have found a ban while this device computed.
                self.unbanned()?;
                let record = self.record(&pending.share);
                self.node.vault.store_pending(
                    &record,
                    &pending.share.to_bytes(),
                    &pending.confirmation.to_bytes(),
                )?;
                for leaver in self.request.parties.iter().skip(record.parties.len()).copied() {
                    let (epoch, statement) = (record.epoch, pending.confirmation.message());
                    let parting = Parting { epoch, statement, leaver };
                    self.node.vault.store_parting(self.name, &parting)?;
                }
                let secret = |peer| pending.share.meeting_secret(peer);
                rendezvous::store_meeting_secrets(self.node, &record, secret);
                self.stored = Some(record);
                Ok(())
            }
            Persist::Confirmed { peer, statement } => {
                let stored = self.stored.as_ref().map(|record| &record.epoch);
                match stored.or(self.leaves.as_ref().map(|leaves| &leaves.epoch)) {
                    Some(epoch) => {
                        confirmations::store(self.node, (self.name, epoch), peer, statement)
                    }
                    None => Err(Error::Bug("a share was confirmed before it was stored")),
                }
            }
            Persist::Leaving(leaving) => {
                self.unbanned()?;
                let record = LeavingRecord {
                    curve: name_of::<C>(),
                    epoch: *leaving.epoch(),
                    expects: leaving.to_bytes().to_vec(),
                    threshold: self.request.threshold,
                    parties: self.parties(),
                    generation: self.generation,
                    after: newest(self.node, self.name)?.epoch,
                    created: clock::unix_now(),
                };
                self.node.vault.store_leaving(self.name, &record)?;
                self.leaves = Some(record);
                Ok(())
            }
            Persist::ChecksBegin { .. } | Persist::ChecksResolved | Persist::Retired { .. } => {
                Err(Error::Bug("transfers were checked while making a key"))
            }
        }
    }
}

/// Exchanges confirmations with the requester, then activates what is complete.
async fn confirm(
    node: &Arc<Node>,
    link: ResumableLink,
    question: &Question,
    terms: &Terms,
    record: &KeyRecord,
) -> Result<KeyRecord, Error> {
    let request = &question.request;
    let mine = held(node, record)?;
    let offer = epochs::common(&mine, request);
    if offer.is_empty() {
        let name = node.name_of(&link.peer());
        return Err(part(link, &name, &record.name, request, mine).await);
    }
    let requester = link.peer();
    let Started { mut links, .. } =
        accept(node, link, question, terms, offer, Ask::Nothing).await?;
    deletions::refuted(node, &requester, request);
    let exchanged = confirmations::exchange(node, &record.name, request, &mut links).await;
    // Up to here only confirmations of others were stored.
    let settled = settle(node, &record.name).await;
    part_after(node, exchanged.and(settled), links).await?;
    newest(node, &record.name)
}

/// Activates the newest epoch that all have confirmed. Waits for the key's lock up to one round: a
/// ceremony whose peer is gone may still hold it, and without waiting the key would be finished on
/// the other devices only.
async fn settle(node: &Node, name: &str) -> Result<(), Error> {
    if newest(node, name)?.state == KeyState::Active {
        return Ok(());
    }
    let _lock = records::hold_until(&node.home, name, node.deadline_within(ROUND)).await?;
    confirmations::settle(node, name)
}

fn made(node: &Node, record: KeyRecord) -> Made {
    let parties = record
        .parties
        .iter()
        .map(|party| PartyView {
            name: node.name_of(&party.fingerprint),
            fingerprint: party.fingerprint,
        })
        .collect();
    Made { record, parties, unlogged: None, changed: true, left: false }
}

fn conclude(
    node: &Node,
    request: &Request,
    result: Result<KeyRecord, Error>,
) -> Result<Made, Error> {
    match result {
        // A device that leaves has no key to tell of.
        Ok(record) if !request.remaining().contains(&node.info.fingerprint) => {
            let unlogged = log(node, request, "left");
            node.tell(Note::Left { key: record.name.clone() });
            Ok(Made { unlogged, left: true, ..made(node, record) })
        }
        Ok(record) => {
            let unlogged = log(node, request, "stored");
            node.tell(Event::Key {
                key: record.name.clone(),
                public_key: hex(&record.public_key),
                confirmed: record.state == KeyState::Active,
                request_id: Some(request.id.clone()),
            });
            Ok(Made { unlogged, ..made(node, record) })
        }
        // Only the first refusal of a back-off is logged.
        Err(error @ Error::TurnedAway { first: false, .. }) => Err(error),
        Err(error) => {
            log(node, request, error.kind().name());
            let activity = Activity::Ceremony(request.ceremony());
            let asked = Some(&request.id);
            node.tell(Told::Aborted { activity, request: asked, error: &error });
            Err(error)
        }
    }
}

fn log(node: &Node, request: &Request, outcome: &str) -> Option<String> {
    node.log(Entry {
        time: clock::unix_now(),
        ceremony: request.ceremony().name().to_owned(),
        key: Label::capped(&request.key, 64).as_str().to_owned(),
        peer: node.others(request),
        outcome: outcome.to_owned(),
        extra: node.about(request).collect(),
        ..Entry::default()
    })
}
