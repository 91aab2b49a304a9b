//! Key generation, refresh, and resuming either one if its last messages were lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::device::{Fingerprint, Label, hex};
use crate::driver::ceremony::accept::{Ask, accept};
use crate::driver::ceremony::again::Attempts;
use crate::driver::ceremony::drive::{Record, drive, fault_with};
use crate::driver::ceremony::epochs::{Bans, HeldKey, OpenKey};
use crate::driver::ceremony::propose::{announce, propose, propose_and_start};
use crate::driver::ceremony::refuse::{decline, part};
use crate::driver::ceremony::started::Started;
use crate::driver::ceremony::{begin, confirmations, deletions, epochs};
use crate::driver::connect::peer_links::{PeerLinks, party_label};
use crate::driver::connect::rendezvous;
use crate::driver::connect::target::Target;
use crate::driver::error::{Activity, Error, Wanted};
use crate::driver::told::{Note, Told};
use crate::driver::{ANSWER, Node, ROUND, clock, records};
use crate::net::resumable::ResumableLink;
use crate::party::{MAX_PARTIES, PartyId};
use crate::progress::{Event, PartyView};
use crate::protocol::key::KeyShare;
use crate::protocol::keygen::{Keygen, KeygenSetup};
use crate::protocol::machine::{Machine, Persist};
use crate::request::{Action, Ceremony, Held, Hex, Question, Request, RequestId, Shares, is_name};
use crate::vault::{
    self, Entry, Home, KeyLock, KeyRecord, KeyState, Ledger, PartyRecord, Peers, keys,
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
}

/// Makes the key `name` with the devices in `with`, any `threshold` of which sign later.
///
/// # Errors
/// The name is taken, a device cannot be reached or refuses, or the protocol fails. If it fails
/// after this device has stored its share, the key stays pending ([`Error::LeftPending`]).
pub async fn request(
    node: &Arc<Node>,
    name: &str,
    threshold: u8,
    with: &[Target],
) -> Result<Made, Error> {
    is_free(&node.home, name, threshold, with)?;
    let others = with.iter().filter_map(|target| target.fingerprint);
    let mut parties: Vec<Fingerprint> = others.chain([node.info.fingerprint]).collect();
    parties.sort_unstable();
    let request = asked(node, name, threshold, parties, Action::Keygen)?;
    let invitees = invitees(&request, with)?;
    let question = node.question(request, name.to_owned(), None);
    announce(node, &question);
    let mut attempts = Attempts::new(node);
    let result = loop {
        let made = async {
            let accepted = propose(node, &question.request, invitees.clone()).await?;
            let (_lock, accepted) = accepted.or_decline(free(node, name)).await?;
            let started = accepted.start(node, &question).await?;
            make(node, name, &question.request, started).await
        }
        .await;
        match made {
            Err(error) if attempts.again(node, &error).await => {}
            made => break made,
        }
    };
    let result = result.map_err(|error| {
        if !matches!(error, Error::Refused { reason: Reason::Conflict, .. }) {
            return error;
        }
        let others = with.iter().filter_map(|target| target.fingerprint);
        let wanted = wanted(&node.home, name, threshold, others);
        Error::KeyExistsThere { error: Box::new(error), wanted }
    });
    conclude(node, &question.request, result)
}

/// Fails if the name is taken. The error has what is needed to propose another name.
///
/// # Errors
/// This device has a key `name`, or `name` cannot be the name of a key.
pub fn is_free(home: &Home, name: &str, threshold: u8, with: &[Target]) -> Result<(), Error> {
    if !is_name(name) {
        return Err(
            vault::Error::BadName { name: Label::capped(name, 80).as_str().to_owned() }.into()
        );
    }
    let Some(record) = records::find(home, name)? else { return Ok(()) };
    let wanted = wanted(home, name, threshold, with.iter().filter_map(|t| t.fingerprint));
    Err(Error::KeyExists { wanted, pending: record.state == KeyState::Pending })
}

/// Gives every party of the key `name` a new share; the public key stays.
///
/// # Errors
/// As for [`request`]; the old shares stay in use until every party has stored its new one.
pub async fn refresh(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Error> {
    let held = records::held(&node.home, name)?;
    if held.first().is_some_and(|record| record.state == KeyState::Pending) {
        match resume(node, name, with).await {
            // A party has no share of the pending epoch, so it cannot be finished. It stays: others
            // may have no older one.
            Err(error)
                if cannot_be_finished(&error) && records::active(&node.home, name).is_ok() => {}
            finished => return finished,
        }
    }
    records::active(&node.home, name)?;
    let (mut question, bans) = to_refresh(node, name).await?;
    announce(node, &question);
    let mut attempts = Attempts::new(node);
    let result = loop {
        let made = async {
            let request = &question.request;
            let accepted = propose(node, request, invitees(request, with)?).await?;
            let epoch = accepted.epoch();
            let same = same(node, name, request, &epoch, &bans);
            let ((key, bans), accepted) = accepted.or_decline(same).await?;
            let started = accepted.start(node, &question).await?;
            renew(node, &key, (started, &request.id), &bans).await
        }
        .await;
        match made {
            Err(error) if attempts.again(node, &error).await => {}
            made => break made,
        }
        match to_refresh(node, name).await {
            Ok((next, _)) => question = next,
            Err(error) => break Err(error),
        }
    };
    conclude(node, &question.request, result)
}

/// The question for a refresh of the key `name`, and the bans that it lifts. Waits until no other
/// process changes the key.
async fn to_refresh(node: &Node, name: &str) -> Result<(Question, Bans), Error> {
    let waits = |by| node.tell(Note::KeyAwaited { key: name.to_owned(), by });
    records::unchanging(&node.home, name, node.deadline_or(ANSWER), waits).await?;
    let key = HeldKey::open(node, name)?;
    if key.is_full() {
        return Err(Error::TooManyPending(name.to_owned()));
    }
    let request = of_key(node, key.record(), key.held(), Action::Refresh)?;
    Ok((about(node, request, key.record()), key.bans()))
}

/// Finishes the pending key `name`: gets the missing confirmations from their parties. If none is
/// missing, all parties are asked, so that they get this device's.
///
/// # Errors
/// A party cannot be reached or has no share; a pending key stays pending.
pub async fn resume(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Error> {
    let record = newest(node, name)?;
    let everybody: BTreeSet<PartyId> =
        record.parties.iter().map(|p| p.index).filter(|index| *index != record.me).collect();
    let missing = match record.state {
        KeyState::Pending => missing(node, name)?,
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
            let others = newest.parties.iter().filter(|party| party.index != newest.me);
            let others = others.map(|party| party.fingerprint);
            Error::NeverStored { error, wanted: wanted(&node.home, name, newest.threshold, others) }
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
    name: &str,
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
    Wanted { key: name.to_owned(), threshold, with: others.map(word).collect(), taken }
}

/// The newest epoch of the key `name`.
fn newest(node: &Node, name: &str) -> Result<KeyRecord, Error> {
    records::held(&node.home, name)?.into_iter().next().ok_or_else(|| Error::NoKey(name.to_owned()))
}

/// The parties whose confirmation of a pending epoch of the key `name` is missing here.
fn missing(node: &Node, name: &str) -> Result<BTreeSet<PartyId>, Error> {
    let mut missing = BTreeSet::new();
    for record in records::held(&node.home, name)? {
        if record.state == KeyState::Pending {
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
    let mut invitees = invitees(&request, with)?;
    invitees.retain(|(party, _)| parties.contains(party));
    let question = about(node, request, record);
    let Started { mut links, .. } = propose_and_start(node, &question, invitees).await?;
    let exchanged = confirmations::exchange(node, &record.name, &mut links).await;
    part_after(node, exchanged, links).await
}

/// The request to these `parties` for their confirmations of every epoch that both have.
fn resumption(
    node: &Node,
    record: &KeyRecord,
    parties: &BTreeSet<PartyId>,
) -> Result<Request, Error> {
    let request = of_key(node, record, held(node, &record.name)?, Action::Resume)?;
    let takes_part = |party: &PartyId| *party == record.me || parties.contains(party);
    let signers = request.signers.iter().copied().filter(takes_part).collect();
    Ok(Request { signers, ..request })
}

/// The epochs of the key `name` that this device has a share of, the newest first.
fn held(node: &Node, name: &str) -> Result<Vec<Held>, Error> {
    let ledger = node.ledger()?;
    let records = records::held(&node.home, name)?;
    Ok(records.iter().map(|record| epochs::held_of(ledger, record)).collect())
}

/// The names of these parties.
fn named(node: &Node, record: &KeyRecord, parties: &BTreeSet<PartyId>) -> Vec<Label> {
    let parties = record.parties.iter().filter(|party| parties.contains(&party.index));
    parties.map(|party| node.name_of(&party.fingerprint)).collect()
}

/// Takes part in a key generation, refresh or resume that the device at the other end of `link`
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
            let key = request.key.clone();
            node.question(request, key, None)
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
                let started =
                    accept(node, link, &question, &terms, Vec::new(), Ask::Approval).await?;
                let (lock, started) = started.or_abort(free(node, key)).await?;
                *begun = true;
                let made = make(node, key, request, started).await;
                drop(lock);
                made
            }
            Some(record) => {
                let open = match HeldKey::open(node, &record.name) {
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
                let bans = open.bans();
                let ask = if bans.is_empty() { Ask::Approval } else { Ask::Pardon };
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
                renew(node, &open, (started, &request.id), &bans).await
            }
        }
    }
    .await;
    conclude(node, request, result)
}

/// Locks the name of a new key, and checks that it is still free.
async fn free(node: &Node, name: &str) -> Result<KeyLock, Error> {
    let lock = records::hold(&node.home, name).await?;
    match records::find(&node.home, name)? {
        None => Ok(lock),
        Some(_) => Err(vault::Error::Conflict { what: "key", name: name.to_owned() }.into()),
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
    let open = HeldKey::open(node, name)?;
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
    if request.ceremony() == Ceremony::Keygen {
        paired_with_all(node, request)?;
        return match records::find(&node.home, &request.key) {
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(Error::Vault(vault::Error::Unsupported { .. })) => {
                Err(Reason::Conflict)
            }
            Err(_) => Err(Reason::Aborted),
        };
    }
    let known = records::of_key(&node.home, request).ok().flatten();
    known.map(Some).ok_or_else(|| deletions::reason(node, request, requester))
}

/// Every two parties of a key must be paired: this device checks its own pairs.
fn paired_with_all(node: &Node, request: &Request) -> Result<(), Reason> {
    let peers = node.peers().map_err(|_| Reason::NotPaired)?;
    for fingerprint in request.parties.iter().filter(|party| **party != node.info.fingerprint) {
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
) -> Result<KeyRecord, Error> {
    let me = request.party_of(&node.info.fingerprint).ok_or(Error::NotAParty)?;
    let setup = KeygenSetup {
        instance: started.id,
        threshold: request.threshold,
        me,
        identities: request.parties.iter().map(|party| party.as_bytes().to_vec()).collect(),
    };
    let fault = |fault| fault_with(fault, name, party_label);
    let begun = async { begin::keygen(&node.vault, setup)?.map_err(fault) };
    let (machine, mut started) = started.or_abort(begun).await?;
    let parties: Vec<PartyRecord> = PartyId::all(MAX_PARTIES)
        .zip(&request.parties)
        .map(|(index, party)| PartyRecord {
            index,
            name: node.name_of(party).as_str().to_owned(),
            fingerprint: *party,
        })
        .collect();
    started.charge.spend();
    let new = NewShare { node, name, generation: 1, parties, stored: None, refreshes: None };
    run((Ceremony::Keygen, &request.id), machine, new, started.links).await
}

/// Runs a refresh that lifts `bans` and no others.
async fn renew(
    node: &Arc<Node>,
    key: &OpenKey,
    (started, request): (Started, &RequestId),
    bans: &Bans,
) -> Result<KeyRecord, Error> {
    let fault = |fault| fault_with(fault, &key.record.name, party_label);
    let id = started.id;
    let begun = async { begin::refresh(&key.share, id)?.map_err(fault) };
    let (machine, mut started) = started.or_abort(begun).await?;
    let generation = key.record.generation.saturating_add(1);
    let parties = key.record.parties.clone();
    started.charge.spend();
    let (name, refreshes) = (key.record.name.as_str(), Some((&key.ledger, bans)));
    let new = NewShare { node, name, generation, parties, stored: None, refreshes };
    run((Ceremony::Refresh, request), machine, new, started.links).await
}

/// Runs a key generation or refresh. The new share is stored as pending before this device confirms
/// it, and becomes the active one when every party has confirmed.
async fn run(
    (ceremony, request): (Ceremony, &RequestId),
    mut machine: Machine<Keygen>,
    mut new: NewShare<'_>,
    mut links: PeerLinks,
) -> Result<KeyRecord, Error> {
    let (node, name) = (new.node, new.name);
    let driven = drive(node, (ceremony, name, request), &mut machine, &mut links, &mut new).await;
    drop(machine);
    match (driven, new.stored) {
        (Ok(_), Some(record)) => {
            confirmations::settle(node, &record.name)?;
            // The key is complete; a lost farewell changes nothing.
            let _ = links.finish(node.deadline_within(ROUND)).await;
            let newest = newest(node, &record.name)?;
            match newest.state {
                KeyState::Active => Ok(newest),
                KeyState::Pending => {
                    let missing = confirmations::missing(node, &newest)?;
                    let missing = named(node, &newest, &missing);
                    Err(Error::Unconfirmed {
                        key: name.to_owned(),
                        missing,
                        signs: ceremony == Ceremony::Refresh,
                    })
                }
            }
        }
        (Ok(_), None) => Err(Error::Bug("a key was made and no share was stored")),
        (Err(error), stored) => {
            links.abort().await;
            Err(if stored.is_some() {
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
    generation: u64,
    parties: Vec<PartyRecord>,
    /// Its record, once it is in the vault.
    stored: Option<KeyRecord>,
    /// For a refresh: the ledger, and the bans that the new share lifts.
    refreshes: Option<(&'a Ledger, &'a Bans)>,
}

impl NewShare<'_> {
    fn record(&self, share: &KeyShare) -> KeyRecord {
        KeyRecord {
            name: self.name.to_owned(),
            public_key: share.public_key_bytes(),
            threshold: share.threshold(),
            me: share.me(),
            parties: self.parties.clone(),
            epoch: *share.epoch(),
            generation: self.generation,
            created: clock::unix_now(),
            state: KeyState::Pending,
            restored: false,
        }
    }
}

impl Record for NewShare<'_> {
    /// A party banned after the approval must not get a new share. Checked before storing.
    fn look_up(&mut self) -> Result<(), Error> {
        let Some((ledger, bans)) = self.refreshes.filter(|_| self.stored.is_none()) else {
            return Ok(());
        };
        ledger.update()?;
        let Some(banned) = bans.new_in(ledger) else { return Ok(()) };
        let party = self.parties.iter().find(|party| party.index.get() == banned);
        let party = party.ok_or(Error::Bug("somebody was banned who has no share"))?;
        let (peer, key) = (self.node.name_of(&party.fingerprint), self.name.to_owned());
        Err(Error::Banned { party: party.index, peer, key })
    }

    fn persist(&mut self, what: Persist) -> Result<(), Error> {
        match what {
            Persist::PendingShare(pending) => {
                // Another session may have found a ban while this device computed.
                self.look_up()?;
                let record = self.record(&pending.share);
                self.node.vault.store_pending(
                    &record,
                    &pending.share.to_bytes(),
                    &pending.confirmation.to_bytes(),
                )?;
                rendezvous::store_meeting_secrets(self.node, &record, &pending.share);
                self.stored = Some(record);
                Ok(())
            }
            Persist::Confirmed { peer, statement } => match &self.stored {
                Some(record) => confirmations::store(self.node, record, peer, statement),
                None => Err(Error::Bug("a share was confirmed before it was stored")),
            },
            Persist::Leaving(_) => Err(Error::Bug("a dealer left, and nobody leaves here")),
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
    let mine = held(node, &record.name)?;
    let offer = epochs::common(&mine, request);
    if offer.is_empty() {
        let name = node.name_of(&link.peer());
        return Err(part(link, &name, &record.name, request, mine).await);
    }
    let requester = link.peer();
    let Started { mut links, .. } =
        accept(node, link, question, terms, offer, Ask::Nothing).await?;
    deletions::refuted(node, &requester, request);
    let exchanged = confirmations::exchange(node, &record.name, &mut links).await;
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

/// Says goodbye after an exchange of confirmations. A lost goodbye does not matter.
async fn part_after(
    node: &Node,
    exchanged: Result<(), Error>,
    links: PeerLinks,
) -> Result<(), Error> {
    match exchanged {
        Ok(()) => drop(links.finish(node.deadline_within(ROUND)).await),
        Err(_) => links.abort().await,
    }
    exchanged
}

/// A request of this device to all `parties` of a key.
fn asked(
    node: &Node,
    key: &str,
    threshold: u8,
    parties: Vec<Fingerprint>,
    action: Action,
) -> Result<Request, Error> {
    let count = u8::try_from(parties.len()).unwrap_or(u8::MAX);
    let mut all = PartyId::all(count).zip(&parties);
    let me = all.find(|(_, party)| **party == node.info.fingerprint);
    Ok(Request {
        id: clock::request_id()?,
        key: key.to_owned(),
        threshold,
        signers: PartyId::all(count).collect(),
        requester: me.map(|(me, _)| me).ok_or(Error::NotAParty)?,
        parties,
        purpose: Label::default(),
        action,
    })
}

/// A request of this device to all parties of the key of `record`.
fn of_key(
    node: &Node,
    record: &KeyRecord,
    epochs: Vec<Held>,
    action: impl FnOnce(Shares) -> Action,
) -> Result<Request, Error> {
    let parties = record.parties.iter().map(|party| party.fingerprint).collect();
    let action = action(Shares { public_key: record.public_key, epochs });
    asked(node, &record.name, record.threshold, parties, action)
}

/// The question to the owner about `request`, with this device's `record` of the key.
fn about(node: &Node, request: Request, record: &KeyRecord) -> Question {
    node.question(request, record.name.clone(), Some(record.public_key))
}

/// The party index of each target.
fn invitees(request: &Request, with: &[Target]) -> Result<Vec<(PartyId, Target)>, Error> {
    with.iter()
        .map(|target| {
            target
                .fingerprint
                .and_then(|fingerprint| request.party_of(&fingerprint))
                .map(|party| (party, target.clone()))
                .ok_or_else(|| Error::NoShareThere {
                    peer: target.name.clone(),
                    key: request.key.clone(),
                })
        })
        .collect()
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
    Made { record, parties, unlogged: None, changed: true }
}

fn conclude(
    node: &Node,
    request: &Request,
    result: Result<KeyRecord, Error>,
) -> Result<Made, Error> {
    match result {
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
