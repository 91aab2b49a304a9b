//! Making a key, making new shares of it, and finishing what a lost last message left pending.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::tags;
use crate::device::{Fingerprint, Label, hex};
use crate::net::line::Line;
use crate::party::PartyId;
use crate::progress::{Event, PartyView, RequestView, Source};
use crate::protocol::key::{Confirmation, KeyShare};
use crate::protocol::keygen::{self, Keygen, KeygenSetup};
use crate::protocol::machine::{Machine, Persist};
use crate::report::{self, Code, Failure, Wanted};
use crate::run::convene::{Ask, Convened, attend, convene, decline, index_of, well_formed};
use crate::run::drive::drive;
use crate::run::reach::Target;
use crate::run::sign::OpenKey;
use crate::run::table::{Incoming, Table};
use crate::run::{Node, ROUND, clock, records, view_of};
use crate::secret::Secret;
use crate::talk::{Hex, Kind, Message, Proposal, Reason};
use crate::vault::{Entry, KeyRecord, KeyState, PartyRecord, Vault, keys};

/// A key that every party holds a share of.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its record.
    pub record: KeyRecord,
    /// Its parties, party 1 first.
    pub parties: Vec<PartyView>,
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
    let proposal = Proposal {
        kind: Kind::Keygen,
        threshold,
        epoch: Hex([0; 32]),
        height: 0,
        ..blank(name, parties)?
    };
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, "", name);
    let guests = guests(&proposal, with)?;
    let result = async {
        let lock = records::hold(&node.home, name).await?;
        let convened = convene(node, &proposal, &view, guests).await.map_err(|failure| {
            if failure.code == Code::Conflict {
                let others = with.iter().filter_map(|target| target.fingerprint);
                report::key_exists_there(failure, &wanted(node, name, threshold, others))
            } else {
                failure
            }
        })?;
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
    if let Some(pending) = records::pending(&node.home, name)? {
        match finish(node, &pending, with).await {
            // One party never stored its share, or says so. What is pending here is given up
            // only when all parties have made newer shares from the active ones.
            Err(failure)
                if failure.code == Code::NotFound && records::active(&node.home, name).is_ok() => {}
            finished => return finished,
        }
    }
    let record = records::active(&node.home, name)?;
    let key = OpenKey::take(node, &record).await?;
    let proposal = of_key(Kind::Refresh, &record, key.ledger.height(&record.epoch))?;
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, &hex(&record.public_key), name);
    let guests = guests(&proposal, with)?;
    let result = async {
        let convened = convene(node, &proposal, &view, guests).await?;
        renew(node, &key, convened).await
    }
    .await;
    conclude(node, &proposal, &me, &view, result)
}

/// Finishes the pending key `name`: asks every party whether its share is stored. Where it is
/// finished here, it is for the others that it is done again.
///
/// # Errors
/// A party cannot be reached or has no share; a pending key stays pending.
pub async fn resume(node: &Arc<Node>, name: &str, with: &[Target]) -> Result<Made, Failure> {
    let record = match records::pending(&node.home, name)? {
        Some(record) => record,
        None => records::active(&node.home, name)?,
    };
    finish(node, &record, with).await
}

async fn finish(node: &Arc<Node>, record: &KeyRecord, with: &[Target]) -> Result<Made, Failure> {
    let proposal = of_key(Kind::Resume, record, 0)?;
    let me = node.info.fingerprint;
    let view = view_of(node, &proposal, &me, &hex(&record.public_key), &record.name);
    let guests = guests(&proposal, with)?;
    let result = async {
        let lock = records::hold(&node.home, &record.name).await?;
        let convened = convene(node, &proposal, &view, guests).await.map_err(|failure| {
            if failure.code == Code::NotFound {
                unfinished(node, &failure, record)
            } else {
                failure
            }
        })?;
        let record = confirm(node, record, convened).await?;
        drop(lock);
        Ok(record)
    }
    .await;
    conclude(node, &proposal, &me, &view, result)
}

/// What to do where a party says that it has no share of the epoch of `record`.
fn unfinished(node: &Node, failure: &Failure, record: &KeyRecord) -> Failure {
    let others = record.parties.iter().filter(|party| party.index != record.me);
    let others = others.map(|party| party.fingerprint);
    match record.state {
        KeyState::Active => report::share_missing_there(failure, &record.name),
        KeyState::Pending if records::active(&node.home, &record.name).is_ok() => {
            report::refresh_never_stored(failure, &record.name)
        }
        KeyState::Pending => {
            let wanted = wanted(node, &record.name, record.threshold, others);
            report::never_stored(failure, &wanted)
        }
    }
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
        match (proposal.kind, known) {
            (Kind::Refresh, Some(record)) => {
                let open = match OpenKey::take(node, &record).await {
                    Ok(open) => open,
                    Err(failure) => {
                        decline(link, &name, records::unusable(&failure)).await;
                        return Err(failure);
                    }
                };
                let height = open.ledger.height(&record.epoch);
                let ask = if open.has_bans() { Ask::Pardon } else { Ask::Approval };
                let convened = attend(node, link, &proposal, &view, height, ask).await?;
                renew(node, &open, convened).await
            }
            (kind, known) => {
                let lock = match records::hold(&node.home, &key).await {
                    Ok(lock) => lock,
                    Err(failure) => {
                        decline(link, &name, records::unusable(&failure)).await;
                        return Err(failure);
                    }
                };
                let ask = if kind == Kind::Keygen { Ask::Approval } else { Ask::Nothing };
                let convened = attend(node, link, &proposal, &view, 0, ask).await?;
                let made = match known {
                    Some(record) => confirm(node, &record, convened).await,
                    None => make(node, &key, &proposal, convened).await,
                };
                drop(lock);
                made
            }
        }
    }
    .await;
    conclude(node, &proposal, &requester, &view, result)
}

/// Whether this device can take part: the record of the key it is about, if there is one.
fn acceptable(
    node: &Node,
    proposal: &Proposal,
    requester: &Fingerprint,
) -> Result<Option<KeyRecord>, Reason> {
    let everybody: Vec<u8> = (1_u8..).take(proposal.parties.len()).collect();
    if !well_formed(proposal, &node.info.fingerprint, requester) || proposal.signers != everybody {
        return Err(Reason::Aborted);
    }
    if proposal.kind == Kind::Keygen {
        if proposal.epoch != Hex([0; 32]) {
            return Err(Reason::Aborted);
        }
        paired_with_all(node, proposal)?;
        return match records::find(&node.home, &proposal.key) {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err(Reason::Conflict),
            Err(_) => Err(Reason::Aborted),
        };
    }
    let record = records::of_epoch(&node.home, &proposal.epoch.0)
        .ok()
        .flatten()
        .ok_or(Reason::UnknownKey)?;
    let same_parties = record
        .parties
        .iter()
        .map(|p| p.fingerprint.as_bytes())
        .eq(proposal.parties.iter().map(|p| &p.0));
    if !same_parties || record.threshold != proposal.threshold {
        return Err(Reason::UnknownKey);
    }
    if proposal.kind == Kind::Refresh && record.state == KeyState::Pending {
        return Err(Reason::Conflict);
    }
    Ok(Some(record))
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
    let machine = keygen::keygen(setup, &clock::random()?, hedge(&node.vault)?.expose(), ROUND)
        .map_err(|fault| report::fault(&fault, |party| format!("party {party}")))?;
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

/// What keeps a new share secret should the system's randomness be known: a secret that only the
/// opened vault has.
fn hedge(vault: &Vault) -> Result<Secret<[u8; 32]>, Failure> {
    let key = vault.device_key()?;
    Ok(Secret::new(tags::DEVICE_HEDGE.hash(&[key.expose()])))
}

async fn renew(
    node: &Arc<Node>,
    key: &OpenKey,
    mut convened: Convened,
) -> Result<KeyRecord, Failure> {
    let machine = keygen::refresh(&key.share, convened.id, &clock::random()?, ROUND)
        .map_err(|fault| report::fault(&fault, |party| format!("party {party}")))?;
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
        Persist::CheckResolved { .. } => Ok(()),
        Persist::Retired { .. } => Err(report::bug("a pair was retired while making a key")),
    };
    let driven = drive(node, ceremony, &mut machine, &mut table, &mut keep).await;
    drop(machine);
    match (driven, stored) {
        (Ok(_), Some(record)) => {
            node.vault.activate(&record.name, &record.epoch)?;
            // The key is whole; a goodbye that gets lost changes nothing.
            let _ = table.finish(node.until(ROUND)).await;
            Ok(KeyRecord { state: KeyState::Active, ..record })
        }
        (Ok(_), None) => Err(report::bug("a key was made and no share was stored")),
        (Err(failure), stored) => {
            table.abort().await;
            Err(if stored.is_some() {
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

/// Exchanges confirmations with every party; with all of them in hand the key is active.
async fn confirm(
    node: &Arc<Node>,
    record: &KeyRecord,
    convened: Convened,
) -> Result<KeyRecord, Failure> {
    let Convened { mut table, .. } = convened;
    let bytes = keys::confirmation(&node.home, &record.name, &record.epoch)?;
    let confirmation =
        Confirmation::from_bytes(&bytes).map_err(|_| report::damaged_share(&record.name))?;
    let exchanged = exchange(node, record, &confirmation, &mut table).await;
    if let Err(failure) = exchanged {
        table.abort().await;
        return Err(failure);
    }
    if record.state == KeyState::Pending {
        node.vault.activate(&record.name, &record.epoch)?;
    }
    let _ = table.finish(node.until(ROUND)).await;
    Ok(KeyRecord { state: KeyState::Active, ..record.clone() })
}

async fn exchange(
    node: &Node,
    record: &KeyRecord,
    confirmation: &Confirmation,
    table: &mut Table,
) -> Result<(), Failure> {
    let names = table.names();
    let name = |party: u8| names.get(&party).map(ToString::to_string).unwrap_or_default();
    for party in names.keys() {
        table.send(*party, confirmation.message().to_vec()).await?;
    }
    let mut awaited: BTreeMap<u8, ()> = names.keys().map(|party| (*party, ())).collect();
    let deadline = node.until(ROUND);
    while let Some((slow, ())) = awaited.first_key_value() {
        let Some((party, incoming)) = table.recv_before(deadline).await else {
            return Err(report::slow(&name(*slow), "confirmation"));
        };
        match incoming {
            Incoming::Protocol(bytes) => {
                let sound = <[u8; 32]>::try_from(bytes.as_slice()).is_ok_and(|body| {
                    PartyId::new(party).is_some_and(|from| confirmation.verify(from, &body))
                });
                if !sound {
                    return Err(report::wrong_confirmation(&name(party), &record.name));
                }
                awaited.remove(&party);
            }
            Incoming::Control(Message::Finished) => {}
            Incoming::Control(Message::Refuse { reason }) => {
                return Err(report::refused(&name(party), reason));
            }
            Incoming::Control(_) => return Err(report::nonsense(&name(party))),
            Incoming::Lost(_) if !awaited.contains_key(&party) => {}
            Incoming::Lost(error) => return Err(report::link(&name(party), &error)),
        }
    }
    Ok(())
}

fn blank(name: &str, parties: Vec<Hex<32>>) -> Result<Proposal, Failure> {
    Ok(Proposal {
        kind: Kind::Keygen,
        request_id: clock::request_id()?,
        key: name.to_owned(),
        signers: (1_u8..).take(parties.len()).collect(),
        parties,
        threshold: 2,
        epoch: Hex([0; 32]),
        digest: Hex([0; 32]),
        source: Source::Digest,
        purpose: Label::default(),
        recipient: 0,
        path: Vec::new(),
        nonce: Hex(clock::nonce()?),
        height: 0,
        seconds: 0,
    })
}

fn of_key(kind: Kind, record: &KeyRecord, height: u64) -> Result<Proposal, Failure> {
    let parties = record.parties.iter().map(|p| Hex(*p.fingerprint.as_bytes())).collect();
    Ok(Proposal {
        kind,
        threshold: record.threshold,
        epoch: Hex(record.epoch),
        height,
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
    Made { record, parties }
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
            log(node, proposal, requester, "stored");
            node.tell(Event::Key {
                key: record.name.clone(),
                public_key: hex(&record.public_key),
                confirmed: record.state == KeyState::Active,
            });
            Ok(made(node, record))
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

fn log(node: &Node, proposal: &Proposal, requester: &Fingerprint, outcome: &str) {
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
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{DeviceInfo, Home, Seal, Unlock};

    /// A vault with this device key, sealed to an identity file because that is quick.
    fn vault(dir: &std::path::Path, device_key: &[u8]) -> Vault {
        use age::secrecy::ExposeSecret;

        let file = dir.join("identity");
        let identity = age::x25519::Identity::generate();
        std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
        let home = Home::at(dir.join(crate::device::hex(device_key)));
        let device = DeviceInfo {
            name: "alice".into(),
            fingerprint: Fingerprint::new([1; 32]),
            certificate: vec![0x30],
            created: 1_790_000_000,
        };
        let key = Secret::new(device_key.to_vec());
        Vault::create(&home, &device, &key, &Seal::Identity(file.clone()), &[]).unwrap();
        Vault::open(&home, &Unlock::Identity(file)).unwrap()
    }

    #[test]
    fn the_hedge_of_a_new_share_follows_from_the_device_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let hedge = |key: &[u8]| *hedge(&vault(dir.path(), key)).unwrap().expose();
        let one = hedge(b"one");
        assert_ne!(one, hedge(b"another"));
        assert_eq!(one, tags::DEVICE_HEDGE.hash(&[b"one"]));
    }
}
