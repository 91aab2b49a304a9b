//! Making a key, making new shares of it, and finishing what a lost last message left pending.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::device::{Fingerprint, Label, hex};
use crate::net::line::Line;
use crate::party::PartyId;
use crate::progress::{Event, PartyView, RequestView, Source};
use crate::protocol::key::KeyShare;
use crate::protocol::keygen::{Keygen, KeygenSetup};
use crate::protocol::machine::{Machine, Persist};
use crate::report::{self, Code, Failure, Wanted};
use crate::run::convene::{
    Ask, Convened, Gathered, attend, convene, decline, gather, index_of, part, well_formed,
};
use crate::run::drive::drive;
use crate::run::epochs::{HeldKey, OpenKey};
use crate::run::reach::Target;
use crate::run::table::Table;
use crate::run::{Node, ROUND, begin, clock, confirmations, deletions, epochs, records, view_of};
use crate::talk::{Held, Hex, Kind, Proposal, Reason};
use crate::vault::{Entry, KeyLock, KeyRecord, KeyState, Ledger, PartyRecord};

/// A key that every party holds a share of.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its record.
    pub record: KeyRecord,
    /// Its parties, party 1 first.
    pub parties: Vec<PartyView>,
    /// That the log could not be written, if so.
    pub warning: Option<String>,
}

/// Makes the key `name` with the devices in `with`, any `threshold` of which sign later.
///
/// # Errors
/// The name is taken, somebody cannot be reached or says no, or the protocol fails. Where it
/// fails after this device has stored its share, the key is left pending and the hint says how to
/// finish it.
pub async fn request(
    node: &Arc<Node>,
    name: &str,
    threshold: u8,
    with: &[Target],
) -> Result<Made, Failure> {
    if let Some(record) = records::find(&node.home, name)? {
        let wanted = wanted(node, name, threshold, with.iter().filter_map(|t| t.fingerprint));
        return Err(report::key_exists(&wanted, record.state == KeyState::Pending));
    }
    let mut parties: Vec<Hex<32>> = with
        .iter()
        .filter_map(|target| target.fingerprint)
        .chain([node.info.fingerprint])
        .map(|fingerprint| Hex(*fingerprint.as_bytes()))
        .collect();
    parties.sort_unstable();
    let proposal = Proposal { kind: Kind::Keygen, threshold, ..blank(name, parties)? };
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, "", name);
    let guests = guests(&proposal, with)?;
    let result = async {
        let gathered = gather(node, &proposal, guests).await.map_err(|failure| {
            if failure.code == Code::Conflict {
                let others = with.iter().filter_map(|target| target.fingerprint);
                report::key_exists_there(failure, &wanted(node, name, threshold, others))
            } else {
                failure
            }
        })?;
        let (lock, gathered) = in_hand(gathered, free(node, name)).await?;
        let convened = gathered.start(node, &proposal, &view, 0).await?;
        let made = make(node, name, &proposal, convened).await;
        drop(lock);
        made
    }
    .await;
    conclude(node, &proposal, &me, &view, result)
}

/// Gives every party of the key `name` a new share; the public key stays.
///
/// # Errors
/// As for [`request`]; the old shares stay in use until every party has stored its new one.
pub async fn refresh(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Failure> {
    let held = records::held(&node.home, name)?;
    if held.first().is_some_and(|record| record.state == KeyState::Pending) {
        match resume(node, name, with).await {
            // Somebody has no share of what is pending here, so it cannot be finished. It stays:
            // others may hold nothing older.
            Err(failure)
                if matches!(failure.code, Code::NotFound | Code::Conflict)
                    && records::active(&node.home, name).is_ok() => {}
            finished => return finished,
        }
    }
    records::active(&node.home, name)?;
    let key = HeldKey::open(node, name)?;
    if key.is_full() {
        return Err(report::too_many_pending(name));
    }
    let proposal = of_key(Kind::Refresh, key.record(), key.held())?;
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, &hex(&key.record().public_key), name);
    let guests = guests(&proposal, with)?;
    let result = async {
        let gathered = gather(node, &proposal, guests).await?;
        let epoch = gathered.epoch();
        let (key, gathered) = in_hand(gathered, same(node, name, &proposal, &epoch)).await?;
        let height = key.ledger.height(&epoch.0);
        let convened = gathered.start(node, &proposal, &view, height).await?;
        renew(node, &key, convened).await
    }
    .await;
    conclude(node, &proposal, &me, &view, result)
}

/// Finishes the pending key `name`: gets the confirmations that are missing here from their parties.
/// Where none is missing here, it is for the others that everybody is asked.
///
/// # Errors
/// A party cannot be reached or has no share; a pending key stays pending.
pub async fn resume(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Failure> {
    let record = newest(node, name)?;
    let everybody: BTreeSet<u8> =
        record.parties.iter().map(|p| p.index).filter(|index| *index != record.me).collect();
    let missing = match record.state {
        KeyState::Pending => missing(node, name)?,
        KeyState::Active => BTreeSet::new(),
    };
    // Whoever has heard everybody was perhaps killed before everybody had heard it.
    let parties = if missing.is_empty() { everybody } else { missing };
    let proposal = resumption(node, &record, &parties)?;
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, &hex(&record.public_key), name);
    let result = async {
        let outcome = visit(node, &record, &parties, with).await;
        // Who is out of reach keeps nobody from hearing the others.
        if outcome.is_err() && parties.len() > 1 {
            for party in &parties {
                let _ = visit(node, &record, &BTreeSet::from([*party]), with).await;
            }
        }
        if record.state == KeyState::Active {
            return outcome.map(|()| record).map_err(|failure| match failure.code {
                Code::NotFound => report::share_missing_there(&failure, name),
                _ => failure,
            });
        }
        settle(node, name).await?;
        let newest = newest(node, name)?;
        if newest.state == KeyState::Active {
            return Ok(newest);
        }
        let signs = records::active(&node.home, name).is_ok();
        outcome.map_err(|failure| match failure.code {
            Code::NotFound if signs => report::refresh_never_stored(&failure, name),
            Code::NotFound => {
                let others = newest.parties.iter().filter(|party| party.index != newest.me);
                let others = others.map(|party| party.fingerprint);
                report::never_stored(&failure, &wanted(node, name, newest.threshold, others))
            }
            _ => failure,
        })?;
        let missing = confirmations::missing(node, &newest)?;
        Err(report::unconfirmed(name, &named(node, &newest, &missing), signs))
    }
    .await;
    conclude(node, &proposal, &me, &view, result)
}

/// A key of this name with `others`, as a command line asks for it.
fn wanted(
    node: &Node,
    name: &str,
    threshold: u8,
    others: impl Iterator<Item = Fingerprint>,
) -> Wanted {
    let peers = node.peers().unwrap_or_default();
    let word = |fingerprint: Fingerprint| {
        let known = peers.known(&fingerprint).map(|peer| peer.name.clone());
        // `--with` takes a comma for the end of a name, and a dash for that of its names.
        let fits = known.filter(|name| !name.contains(',') && !name.starts_with('-'));
        fits.unwrap_or_else(|| fingerprint.device_id())
    };
    Wanted { key: name.to_owned(), threshold, with: others.map(word).collect() }
}

/// The newest epoch of the key `name`.
fn newest(node: &Node, name: &str) -> Result<KeyRecord, Failure> {
    records::held(&node.home, name)?.into_iter().next().ok_or_else(|| report::no_key(name))
}

/// The parties of whom a confirmation of one of the pending epochs of the key `name` is missing here.
fn missing(node: &Node, name: &str) -> Result<BTreeSet<u8>, Failure> {
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
    parties: &BTreeSet<u8>,
    with: &[Target],
) -> Result<(), Failure> {
    let proposal = resumption(node, record, parties)?;
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, &hex(&record.public_key), &record.name);
    let mut guests = guests(&proposal, with)?;
    guests.retain(|(party, _)| parties.contains(party));
    let Convened { mut table, .. } = convene(node, &proposal, &view, guests).await?;
    let exchanged = confirmations::exchange(node, &record.name, &mut table).await;
    part_after(node, exchanged, table).await
}

/// What is asked of these `parties`: their confirmations of every epoch that both have.
fn resumption(
    node: &Node,
    record: &KeyRecord,
    parties: &BTreeSet<u8>,
) -> Result<Proposal, Failure> {
    let mut signers = parties.clone();
    signers.insert(record.me);
    let signers = signers.into_iter().collect();
    Ok(Proposal { signers, ..of_key(Kind::Resume, record, held(node, &record.name)?)? })
}

/// The epochs of the key `name` that this device has a share of, the newest first.
fn held(node: &Node, name: &str) -> Result<Vec<Held>, Failure> {
    let ledger = Ledger::open(&node.home)?;
    let records = records::held(&node.home, name)?;
    Ok(records.iter().map(|record| epochs::held_of(&ledger, record)).collect())
}

/// The names of these parties.
fn named(node: &Node, record: &KeyRecord, parties: &BTreeSet<u8>) -> Vec<String> {
    let parties = record.parties.iter().filter(|party| parties.contains(&party.index));
    parties.map(|party| node.name_of(&party.fingerprint).to_string()).collect()
}

/// Takes part in making a key that the device at the other end of `link` asks for.
///
/// # Errors
/// Everything that can go wrong, refusals included; the other side has been told by then.
pub async fn respond(node: &Arc<Node>, link: Line, proposal: Proposal) -> Result<Made, Failure> {
    let requester = link.peer();
    let name = node.name_of(&requester);
    let found = acceptable(node, &proposal, &requester);
    let known = match found {
        Ok(known) => known,
        Err(reason) => {
            let failure = decline(link, &name, reason).await;
            log(node, &proposal, &requester, failure.code.name());
            return Err(failure);
        }
    };
    let key = known.as_ref().map_or(proposal.key.clone(), |record| record.name.clone());
    let public_key = known.as_ref().map_or(String::new(), |record| hex(&record.public_key));
    let view = view_of(node, &proposal, &requester, &public_key, &key);
    let result = async {
        match known {
            None => {
                let convened =
                    attend(node, link, &proposal, &view, Vec::new(), Ask::Approval).await?;
                let (lock, convened) = seated(convened, free(node, &key)).await?;
                let made = make(node, &key, &proposal, convened).await;
                drop(lock);
                made
            }
            Some(record) if proposal.kind == Kind::Resume => {
                confirm(node, link, &proposal, &view, &record).await
            }
            Some(record) => {
                let open = match HeldKey::open(node, &record.name) {
                    Ok(open) => open,
                    Err(failure) => {
                        decline(link, &name, records::unusable(&failure)).await;
                        return Err(failure);
                    }
                };
                let offer = open.common(&proposal);
                if offer.is_empty() {
                    return Err(part(link, &name, &record.name, &proposal, open.held()).await);
                }
                if open.is_full() {
                    decline(link, &name, Reason::Conflict).await;
                    return Err(report::too_many_pending(&record.name));
                }
                let ask = if open.has_bans() { Ask::Pardon } else { Ask::Approval };
                let convened = attend(node, link, &proposal, &view, offer, ask).await?;
                let epoch = convened.epoch;
                let same = same(node, &record.name, &proposal, &epoch);
                let (open, convened) = seated(convened, same).await?;
                renew(node, &open, convened).await
            }
        }
    }
    .await;
    conclude(node, &proposal, &requester, &view, result)
}

/// The name of a new key, which is still free.
async fn free(node: &Node, name: &str) -> Result<KeyLock, Failure> {
    let lock = records::hold(&node.home, name).await?;
    match records::find(&node.home, name)? {
        None => Ok(lock),
        Some(_) => Err(report::changed_meanwhile(name)),
    }
}

/// The key that is to be refreshed, which is still what it was.
async fn same(
    node: &Node,
    name: &str,
    proposal: &Proposal,
    epoch: &Hex<32>,
) -> Result<OpenKey, Failure> {
    let lock = records::hold(&node.home, name).await?;
    let open = HeldKey::open(node, name)?;
    let offers = open.common(proposal);
    if open.is_full() || !offers.iter().any(|held| held.epoch == *epoch) {
        return Err(report::changed_meanwhile(name));
    }
    open.choose(epoch, lock)
}

/// What is `taken` now that everybody has said yes: it was anybody's until then. Where it cannot be had, the
/// others are let go.
async fn in_hand<T>(
    gathered: Gathered,
    taken: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Gathered), Failure> {
    match taken.await {
        Ok(taken) => Ok((taken, gathered)),
        Err(failure) => {
            gathered.dismiss(records::taken(&failure)).await;
            Err(failure)
        }
    }
}

/// The same once everybody has started.
async fn seated<T>(
    convened: Convened,
    taken: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Convened), Failure> {
    match taken.await {
        Ok(taken) => Ok((taken, convened)),
        Err(failure) => {
            convened.table.abort_with(|_| records::taken(&failure)).await;
            Err(failure)
        }
    }
}

/// Whether this device can take part: the record of the key it is about, if there is one.
fn acceptable(
    node: &Node,
    proposal: &Proposal,
    requester: &Fingerprint,
) -> Result<Option<KeyRecord>, Reason> {
    let everybody: Vec<u8> = (1_u8..).take(proposal.parties.len()).collect();
    let complete = proposal.kind == Kind::Resume || proposal.signers == everybody;
    if !well_formed(proposal, &node.info.fingerprint, requester) || !complete {
        return Err(Reason::Aborted);
    }
    if proposal.kind == Kind::Keygen {
        if proposal.public_key != Hex([0; 33]) {
            return Err(Reason::Aborted);
        }
        paired_with_all(node, proposal)?;
        return match records::find(&node.home, &proposal.key) {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err(Reason::Conflict),
            Err(_) => Err(Reason::Aborted),
        };
    }
    let known = records::of_key(&node.home, proposal).ok().flatten();
    known.map(Some).ok_or_else(|| deletions::reason(node, proposal, requester))
}

/// Every two parties of a key must be paired: this device checks its own pairs.
fn paired_with_all(node: &Node, proposal: &Proposal) -> Result<(), Reason> {
    let peers = node.peers().map_err(|_| Reason::NotPaired)?;
    for party in &proposal.parties {
        let fingerprint = party.fingerprint();
        if fingerprint == node.info.fingerprint {
            continue;
        }
        let record = peers.known(&fingerprint).ok_or(Reason::NotPaired)?;
        if record.is_expired(clock::unix_now()) {
            return Err(Reason::Expired);
        }
    }
    Ok(())
}

async fn make(
    node: &Arc<Node>,
    name: &str,
    proposal: &Proposal,
    mut convened: Convened,
) -> Result<KeyRecord, Failure> {
    let me = index_of(proposal, &node.info.fingerprint)
        .and_then(PartyId::new)
        .ok_or_else(report::not_a_party)?;
    let setup = KeygenSetup {
        instance: convened.id,
        threshold: proposal.threshold,
        me,
        identities: proposal.parties.iter().map(|p| p.0.to_vec()).collect(),
    };
    let machine = begin::keygen(&node.vault, setup)?
        .map_err(|fault| report::fault(&fault, &[name], |party| format!("party {party}")))?;
    let parties: Vec<PartyRecord> = (1_u8..)
        .zip(&proposal.parties)
        .map(|(index, party)| PartyRecord {
            index,
            name: node.name_of(&party.fingerprint()).as_str().to_owned(),
            fingerprint: party.fingerprint(),
        })
        .collect();
    convened.charge.spend();
    run(node, "keygen", machine, name, 1, parties, convened.table).await
}

async fn renew(
    node: &Arc<Node>,
    key: &OpenKey,
    mut convened: Convened,
) -> Result<KeyRecord, Failure> {
    let machine = begin::refresh(&key.share, convened.id)?.map_err(|fault| {
        report::fault(&fault, &[&key.record.name], |party| format!("party {party}"))
    })?;
    let generation = key.record.generation.saturating_add(1);
    let parties = key.record.parties.clone();
    convened.charge.spend();
    run(node, "refresh", machine, &key.record.name, generation, parties, convened.table).await
}

/// Runs key generation or refresh: the new share is stored as pending before this device says so,
/// and becomes the active one when every party has said so.
async fn run(
    node: &Arc<Node>,
    ceremony: &str,
    mut machine: Machine<Keygen>,
    name: &str,
    generation: u64,
    parties: Vec<PartyRecord>,
    mut table: Table,
) -> Result<KeyRecord, Failure> {
    let mut stored: Option<KeyRecord> = None;
    let mut keep = |what: Persist| match what {
        Persist::PendingShare(pending) => {
            let record = record(&pending.share, name, generation, &parties);
            node.vault.store_pending(
                &record,
                &pending.share.to_bytes(),
                &pending.confirmation.to_bytes(),
            )?;
            stored = Some(record);
            Ok(())
        }
        Persist::Confirmed { peer, statement } => match &stored {
            Some(record) => confirmations::keep(node, record, peer.get(), statement),
            None => Err(report::bug("a share was confirmed before it was stored")),
        },
        Persist::CheckResolved { .. } => Ok(()),
        Persist::Retired { .. } => Err(report::bug("a pair was retired while making a key")),
    };
    let driven = drive(node, (ceremony, name), &mut machine, &mut table, &mut keep).await;
    drop(machine);
    match (driven, stored) {
        (Ok(_), Some(record)) => {
            confirmations::settle(node, &record.name)?;
            // The key is whole; a goodbye that gets lost changes nothing.
            let _ = table.finish(node.until(ROUND)).await;
            let newest = newest(node, &record.name)?;
            match newest.state {
                KeyState::Active => Ok(newest),
                KeyState::Pending => {
                    let missing = confirmations::missing(node, &newest)?;
                    let missing = named(node, &newest, &missing);
                    Err(report::unconfirmed(name, &missing, ceremony == "refresh"))
                }
            }
        }
        (Ok(_), None) => Err(report::bug("a key was made and no share was stored")),
        (Err(failure), stored) => {
            table.abort().await;
            Err(if stored.is_some() {
                // A resume may have brought what was missing, and waits for the key.
                if let Err(Failure { message, .. }) = confirmations::settle(node, name) {
                    node.tell(Event::Note { message });
                }
                report::left_pending(failure, ceremony, name)
            } else {
                failure
            })
        }
    }
}

fn record(share: &KeyShare, name: &str, generation: u64, parties: &[PartyRecord]) -> KeyRecord {
    KeyRecord {
        name: name.to_owned(),
        public_key: share.public_key_bytes(),
        threshold: share.threshold(),
        me: share.me().get(),
        parties: parties.to_vec(),
        epoch: *share.epoch(),
        generation,
        created: clock::unix_now(),
        state: KeyState::Pending,
    }
}

/// Exchanges confirmations with those who ask for it. What is complete then is active.
async fn confirm(
    node: &Arc<Node>,
    link: Line,
    proposal: &Proposal,
    view: &RequestView,
    record: &KeyRecord,
) -> Result<KeyRecord, Failure> {
    let mine = held(node, &record.name)?;
    let offer = epochs::common(&mine, proposal);
    if offer.is_empty() {
        let name = node.name_of(&link.peer());
        return Err(part(link, &name, &record.name, proposal, mine).await);
    }
    let Convened { mut table, .. } =
        attend(node, link, proposal, view, offer, Ask::Nothing).await?;
    let exchanged = confirmations::exchange(node, &record.name, &mut table).await;
    // Until here nothing was changed but what is kept of the others' words.
    let settled = settle(node, &record.name).await;
    part_after(node, exchanged.and(settled), table).await?;
    newest(node, &record.name)
}

/// Takes what is confirmed into use. The key is held only where there is something to finish. A ceremony
/// whose other side is gone may still hold it, for as long as its last step takes: that is outlasted, or the
/// key would be finished on one side alone.
async fn settle(node: &Node, name: &str) -> Result<(), Failure> {
    if newest(node, name)?.state == KeyState::Active {
        return Ok(());
    }
    let _lock = records::hold_until(&node.home, name, node.until(ROUND)).await?;
    confirmations::settle(node, name)
}

/// Says goodbye after an exchange of confirmations, which no lost goodbye undoes.
async fn part_after(
    node: &Node,
    exchanged: Result<(), Failure>,
    table: Table,
) -> Result<(), Failure> {
    match exchanged {
        Ok(()) => drop(table.finish(node.until(ROUND)).await),
        Err(_) => table.abort().await,
    }
    exchanged
}

fn blank(name: &str, parties: Vec<Hex<32>>) -> Result<Proposal, Failure> {
    Ok(Proposal {
        kind: Kind::Keygen,
        request_id: clock::request_id()?,
        key: name.to_owned(),
        signers: (1_u8..).take(parties.len()).collect(),
        parties,
        threshold: 2,
        public_key: Hex([0; 33]),
        epochs: Vec::new(),
        digest: Hex([0; 32]),
        source: Source::Digest,
        purpose: Label::default(),
        recipient: 0,
        path: Vec::new(),
        nonce: Hex(clock::nonce()?),
        seconds: 0,
    })
}

fn of_key(kind: Kind, record: &KeyRecord, held: Vec<Held>) -> Result<Proposal, Failure> {
    let parties = record.parties.iter().map(|p| Hex(*p.fingerprint.as_bytes())).collect();
    Ok(Proposal {
        kind,
        threshold: record.threshold,
        public_key: Hex(record.public_key),
        epochs: held,
        ..blank(&record.name, parties)?
    })
}

/// Which party each of the targets is.
fn guests(proposal: &Proposal, with: &[Target]) -> Result<Vec<(u8, Target)>, Failure> {
    with.iter()
        .map(|target| {
            target
                .fingerprint
                .and_then(|fingerprint| index_of(proposal, &fingerprint))
                .map(|party| (party, target.clone()))
                .ok_or_else(|| report::no_share_there(target.name.as_str(), &proposal.key))
        })
        .collect()
}

fn made(node: &Node, record: KeyRecord) -> Made {
    let parties = record
        .parties
        .iter()
        .map(|party| PartyView {
            name: node.name_of(&party.fingerprint),
            fingerprint: party.fingerprint.to_hex(),
        })
        .collect();
    Made { record, parties, warning: None }
}

fn conclude(
    node: &Node,
    proposal: &Proposal,
    requester: &Fingerprint,
    view: &RequestView,
    result: Result<KeyRecord, Failure>,
) -> Result<Made, Failure> {
    match result {
        Ok(record) => {
            let warning = log(node, proposal, requester, "stored");
            node.tell(Event::Key {
                key: record.name.clone(),
                public_key: hex(&record.public_key),
                confirmed: record.state == KeyState::Active,
            });
            Ok(Made { warning, ..made(node, record) })
        }
        Err(failure) => {
            log(node, proposal, requester, failure.code.name());
            node.tell(Event::Aborted {
                ceremony: view.ceremony.clone(),
                code: failure.code.name().to_owned(),
                message: failure.message.clone(),
                hint: failure.hint.clone(),
            });
            Err(failure)
        }
    }
}

fn log(node: &Node, proposal: &Proposal, requester: &Fingerprint, outcome: &str) -> Option<String> {
    let peers: Vec<String> = proposal
        .parties
        .iter()
        .map(Hex::fingerprint)
        .filter(|f| *f != node.info.fingerprint)
        .map(|f| f.to_hex())
        .collect();
    let peer =
        if *requester == node.info.fingerprint { peers.join(",") } else { requester.to_hex() };
    node.log(Entry {
        time: clock::unix_now(),
        ceremony: proposal.kind.name().to_owned(),
        key: Label::capped(&proposal.key, 64).as_str().to_owned(),
        digest: String::new(),
        peer,
        purpose: String::new(),
        outcome: outcome.to_owned(),
        ..Entry::default()
    })
}
