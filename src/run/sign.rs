//! Signing a digest, on the side that asks and on the side that is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k256::Scalar;

use crate::crypto::bip32;
use crate::crypto::curve::encode_point;
use crate::crypto::ecdsa::Signature;
use crate::device::{Fingerprint, Label, hex};
use crate::net::line::Line;
use crate::party::PartyId;
use crate::progress::{Event, PartyView, RequestView, Source};
use crate::protocol::fault::Check;
use crate::protocol::machine::Persist;
use crate::protocol::sign::{SignSetup, Signed};
use crate::report::{self, Failure};
use crate::run::convene::{self, Ask, Convened, attend, decline, gather, part, well_formed};
use crate::run::drive::drive;
use crate::run::epochs::{HeldKey, NoOffer, OpenKey, is_rolled_back};
use crate::run::reach::Target;
use crate::run::{Names, Node, ROUND, begin, clock, deletions, records, view_of};
use crate::talk::{Hex, Kind, Proposal, Reason};
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{Entry, Error, KeyRecord, signatures};

/// What is to be signed, by whom and for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The key's name.
    pub key: String,
    /// The 32-byte digest.
    pub digest: [u8; 32],
    /// How it was come by.
    pub source: Source,
    /// What it is for.
    pub purpose: Label,
    /// The other signers and how to reach them.
    pub with: Vec<Target>,
    /// Who receives the signature: `None` for all signers.
    pub recipient: Option<Fingerprint>,
    /// Names the request.
    pub request_id: String,
    /// Non-hardened BIP-32 indices.
    pub path: Vec<u32>,
}

/// What came of it, on this device.
#[derive(Debug)]
pub struct Outcome {
    /// The key's name here.
    pub key: String,
    /// The public key the signature verifies under, SEC1 compressed.
    pub public_key: [u8; 33],
    /// The digest.
    pub digest: [u8; 32],
    /// The signature, if this device receives it.
    pub signature: Option<Signature>,
    /// Who took part, in index order.
    pub parties: Vec<PartyView>,
    /// Who received it.
    pub delivered_to: Vec<PartyView>,
    /// The request's id.
    pub request_id: String,
    /// That the log could not be written, if so.
    pub warning: Option<String>,
}

/// Asks the others to sign, and signs with them.
///
/// # Errors
/// Everything that can go wrong; nothing is signed then.
pub async fn request(node: &Arc<Node>, request: &Request) -> Result<Outcome, Failure> {
    records::active(&node.home, &request.key)?;
    let key = HeldKey::open(node, &request.key)?;
    let record = key.record().clone();
    is_new(node, &request.request_id)?;
    let mut others = BTreeMap::new();
    for target in &request.with {
        let party = record
            .parties
            .iter()
            .find(|p| Some(p.fingerprint) == target.fingerprint)
            .ok_or_else(|| report::no_share_there(target.name.as_str(), &record.name))?;
        others.insert(party.index, target.clone());
    }
    let mut signers: Vec<u8> = others.keys().copied().chain([record.me]).collect();
    signers.sort_unstable();
    let epochs = key.offer(&signers).map_err(|error| {
        let names = others.iter().map(|(party, target)| (*party, target.name.clone())).collect();
        refusal(error, &names, &record.name)
    })?;
    let recipient = match request.recipient {
        None => 0,
        Some(who) => record
            .parties
            .iter()
            .find(|p| p.fingerprint == who && signers.contains(&p.index))
            .map(|p| p.index)
            .ok_or_else(|| report::no_share_there(node.name_of(&who).as_str(), &record.name))?,
    };
    let proposal = Proposal {
        kind: Kind::Sign,
        request_id: request.request_id.clone(),
        key: record.name.clone(),
        parties: record.parties.iter().map(|p| Hex(*p.fingerprint.as_bytes())).collect(),
        signers,
        threshold: record.threshold,
        public_key: Hex(record.public_key),
        epochs,
        digest: Hex(request.digest),
        source: request.source.clone(),
        purpose: request.purpose.clone(),
        recipient,
        path: request.path.clone(),
        nonce: Hex(clock::nonce()?),
        seconds: 0,
    };
    let me = node.info.fingerprint;
    let child = Child::of(&key, &request.path)?;
    let view = view_of(node, &proposal, &me, &hex(&child.public_key), &child.name);
    let result = async {
        let gathered = gather(node, &proposal, others.into_iter().collect()).await?;
        let begun = async {
            let key = begin(node, &record, &proposal, &gathered.epoch()).await?;
            // With the key in hand: another process may have just signed this very request.
            is_new(node, &request.request_id)?;
            Ok(key)
        };
        let key = match begun.await {
            Ok(key) => key,
            Err(failure) => {
                gathered.dismiss(records::taken(&failure)).await;
                return Err(failure);
            }
        };
        let height = key.ledger.height(&key.record.epoch);
        let convened = gathered.start(node, &proposal, &view, height).await?;
        perform(node, key, &child, &proposal, convened).await
    }
    .await;
    conclude(
        node,
        &record,
        &proposal,
        &me,
        result.map(|signature| (view, child.public_key, signature)),
    )
}

/// Takes part in a signature that the device at the other end of `link` asks for.
///
/// # Errors
/// Everything that can go wrong, refusals included; the other side has been told by then.
pub async fn respond(node: &Arc<Node>, link: Line, proposal: Proposal) -> Result<Outcome, Failure> {
    let requester = link.peer();
    let name = node.name_of(&requester);
    let Some(record) = records::of_key(&node.home, &proposal)? else {
        let reason = deletions::reason(node, &proposal, &requester);
        let failure = decline(link, &name, reason).await;
        log(node, "", &proposal, &requester, failure.code.name(), false);
        return Err(failure);
    };
    let complete = proposal.signers.len() == usize::from(record.threshold);
    if !complete || !well_formed(&proposal, &node.info.fingerprint, &requester) {
        let failure = decline(link, &name, Reason::Aborted).await;
        log(node, &record.name, &proposal, &requester, failure.code.name(), false);
        return Err(failure);
    }
    let result = async {
        let key = match HeldKey::open(node, &record.name) {
            Ok(key) => key,
            Err(failure) => {
                decline(link, &name, records::unusable(&failure)).await;
                return Err(failure);
            }
        };
        let offer = match key.answer(&proposal) {
            Ok(offer) => offer,
            Err(NoOffer::Banned) => return Err(decline(link, &name, Reason::Banned).await),
            Err(NoOffer::Worn) => return Err(decline(link, &name, Reason::Worn).await),
            Err(NoOffer::Apart) => {
                return Err(part(link, &name, &record.name, &proposal, key.held()).await);
            }
        };
        let host = convene::index_of(&proposal, &requester).unwrap_or_default();
        if key.is_rolled_back(host, &proposal.epochs) {
            return Err(decline(link, &name, Reason::RolledBack).await);
        }
        let Ok(child) = Child::of(&key, &proposal.path) else {
            return Err(decline(link, &name, Reason::Aborted).await);
        };
        let view = view_of(node, &proposal, &requester, &hex(&child.public_key), &child.name);
        let convened = attend(node, link, &proposal, &view, offer, Ask::Approval).await?;
        let begun = async {
            let key = begin(node, &record, &proposal, &convened.epoch).await?;
            let now =
                convened.held.get(&host).is_some_and(|h| is_rolled_back(&key.ledger, host, h));
            if now { Err(report::rolled_back_there(name.as_str(), &record.name)) } else { Ok(key) }
        };
        let key = match begun.await {
            Ok(key) => key,
            Err(failure) => {
                convened.table.abort_with(|_| records::taken(&failure)).await;
                return Err(failure);
            }
        };
        let signature = perform(node, key, &child, &proposal, convened).await?;
        Ok((view, child.public_key, signature))
    }
    .await;
    conclude(node, &record, &proposal, &requester, result)
}

/// Fails if the request `id` was signed before.
fn is_new(node: &Node, id: &str) -> Result<(), Failure> {
    match signatures::load(&node.home, id)? {
        Some(_) => Err(report::signed_already(id)),
        None => Ok(()),
    }
}

/// The key, now that everybody has said yes. Until then it was anybody's, so what was offered is looked at
/// again. From now on its shares stay as they are, and nobody else in this home signs with one of these
/// signers.
async fn begin(
    node: &Node,
    record: &KeyRecord,
    proposal: &Proposal,
    epoch: &Hex<32>,
) -> Result<OpenKey, Failure> {
    let name = &record.name;
    let lock = records::hold_with(&node.home, name, &peers(record, proposal)).await?;
    let key = HeldKey::open(node, name)?;
    let offer = key.answer(proposal).unwrap_or_default();
    if !offer.iter().any(|held| held.epoch == *epoch) {
        return Err(report::changed_meanwhile(name));
    }
    key.choose(epoch, lock)
}

/// The indices of the other signers.
fn peers(record: &KeyRecord, proposal: &Proposal) -> Vec<u8> {
    proposal.signers.iter().copied().filter(|party| *party != record.me).collect()
}

/// The key that signs: the one at the end of the request's path. Approvers see its public key, and
/// a name that says how it is derived.
struct Child {
    name: String,
    public_key: [u8; 33],
    tweak: Scalar,
}

/// The name of the key at the end of `path` below the key `name`, such as `vault/0/7`.
fn below(name: &str, path: &[u32]) -> String {
    path.iter().fold(name.to_owned(), |name, index| format!("{name}/{index}"))
}

impl Child {
    fn of(key: &HeldKey, path: &[u32]) -> Result<Self, Failure> {
        let (record, share) = (key.record(), key.share());
        let child = bip32::derive(share.public_key(), share.chain_code(), path)
            .map_err(|_| report::bad_path())?;
        Ok(Self {
            name: below(&record.name, path),
            public_key: encode_point(&child.public_key).ok_or_else(report::bad_path)?,
            tweak: child.tweak,
        })
    }
}

/// The protocol itself, once everybody sits at the table.
async fn perform(
    node: &Arc<Node>,
    mut key: OpenKey,
    child: &Child,
    proposal: &Proposal,
    mut convened: Convened,
) -> Result<Option<Signature>, Failure> {
    let names = convened.table.names();
    let name = |party: PartyId| {
        names.get(&party.get()).map_or_else(|| format!("party {party}"), ToString::to_string)
    };
    let (epoch, key_name) = (key.record.epoch, key.record.name.clone());
    let setup = SignSetup {
        signers: proposal.signers.iter().filter_map(|i| PartyId::new(*i)).collect(),
        sign_id: convened.id,
        digest: proposal.digest.0,
        tweak: child.tweak,
        recipient: PartyId::new(proposal.recipient),
    };
    let mut machine = begin::sign(&key.share, setup)?
        .map_err(|fault| report::fault(&fault, &[&key_name], name))?;
    let peers = peers(&key.record, proposal);
    // Before the first message leaves: this session can never be run again, and a crash from here
    // on counts against the pair.
    let mut spent = match Spent::begin(&mut key, machine.session_id(), &peers) {
        Ok(spent) => {
            convened.charge.spend();
            spent
        }
        Err(error) => {
            // Whether a line that could not be written is there is not known.
            if !matches!(error, Error::Retired { .. } | Error::Spent) {
                convened.charge.spend();
            }
            let worn = match &error {
                Error::Retired { peer, .. } if is_worn(&error) => Some(*peer),
                _ => None,
            };
            let reason = |party| if worn == Some(party) { Reason::Worn } else { Reason::Aborted };
            convened.table.abort_with(reason).await;
            return Err(refusal(error, &names, &key_name));
        }
    };
    let mut keep = |what: Persist| match what {
        Persist::Retired { peer, check, session } => spent.retire(peer, check, &session),
        // Said once, after the last check: until then a crash counts against the pair.
        Persist::CheckResolved { .. } => Ok(()),
        Persist::PendingShare(_) | Persist::Confirmed { .. } => {
            Err(report::bug("a signature came with a new share"))
        }
    };
    let driven =
        drive(node, ("sign", &key_name), &mut machine, &mut convened.table, &mut keep).await;
    drop((machine, spent));
    // Whoever has sent a message of this session has spent it, however it ended: a copy of that
    // device from before is noticed from now on.
    for (party, height) in convened.heights() {
        let begun = u64::from(convened.table.has_spoken(party));
        // Between its yes and now it may have spent others with this device.
        let known = key.ledger.peer_height(&epoch, party);
        let height = height.saturating_add(begun).max(known);
        if let Err(error) = key.ledger.saw_height(&epoch, party, height) {
            node.tell(Event::Note { message: error.to_string() });
        }
    }
    let signed = match driven {
        Ok(signed) => signed,
        Err(failure) => {
            convened.table.abort().await;
            return Err(failure);
        }
    };
    let signature = match signed {
        Signed::Signature(signature) => Some(signature),
        Signed::Delivered => None,
    };
    if let Some(signature) = &signature
        && let Err(error) = keep_signature(node, proposal, &child.public_key, signature)
    {
        // It is in hand and can still be delivered.
        node.tell(Event::Note { message: format!("the signature was not kept: {error}") });
    }
    let finished = convened.table.finish(node.until(ROUND)).await;
    // A signature in hand is a signature, whatever becomes of the goodbyes.
    if signature.is_none() {
        finished?;
    }
    Ok(signature)
}

/// A session that was spent: it counts as unresolved until this is dropped, so a crash before that
/// counts against its pairs, and an interrupt does not.
struct Spent<'k> {
    key: &'k mut OpenKey,
    session: [u8; 32],
    /// A failed check is not on the disk.
    forgotten: bool,
}

impl<'k> Spent<'k> {
    fn begin(key: &'k mut OpenKey, session: &[u8; 32], peers: &[u8]) -> Result<Self, Error> {
        key.ledger.spend(&key.record.epoch, session, peers)?;
        Ok(Self { key, session: *session, forgotten: false })
    }

    fn retire(&mut self, peer: PartyId, check: Check, session: &[u8; 32]) -> Result<(), Failure> {
        let OpenKey { record, ledger, .. } = &mut *self.key;
        let party = record.parties.iter().find(|party| party.index == peer.get());
        let fingerprint = party.map_or(Fingerprint::new([0; 32]), |party| party.fingerprint);
        let (epoch, code, now) = (&record.epoch, check.code(), clock::unix_now());
        let stored = ledger.retire(epoch, peer.get(), &fingerprint, code, session, now);
        self.forgotten |= stored.is_err();
        Ok(stored?)
    }
}

impl Drop for Spent<'_> {
    /// No check of this session will be evaluated any more. Where that cannot be written it stays
    /// unresolved, which is safe.
    fn drop(&mut self) {
        if !self.forgotten && !std::thread::panicking() {
            let _ = self.key.ledger.resolve(&self.session);
        }
    }
}

/// Why a session with the key `key` could not be spent, with the people's name of the party.
fn refusal(error: Error, names: &Names, key: &str) -> Failure {
    let name = |peer: &u8| names.get(peer).map(ToString::to_string).unwrap_or_default();
    match &error {
        Error::Retired { peer, .. } if is_worn(&error) => report::worn(&name(peer), &[key]),
        Error::Retired { peer, .. } => report::banned(&name(peer), key),
        _ => error.into(),
    }
}

/// Whether a pair is retired for its unresolved checks alone: nobody failed one.
fn is_worn(error: &Error) -> bool {
    matches!(error, Error::Retired { code, .. } if code == UNRESOLVED)
}

/// A delivered signature is kept, so that losing the terminal does not lose it.
fn keep_signature(
    node: &Node,
    proposal: &Proposal,
    public_key: &[u8; 33],
    signature: &Signature,
) -> Result<(), Error> {
    let id = proposal.request_id.clone();
    let document = serde_json::json!({
        "request_id": id,
        "digest": hex(&proposal.digest.0),
        "public_key": hex(public_key),
        "der": hex(&signature.der()),
    });
    signatures::store(&node.home, &id, document.to_string().as_bytes()).map(drop)
}

fn conclude(
    node: &Node,
    record: &KeyRecord,
    proposal: &Proposal,
    requester: &Fingerprint,
    result: Result<(RequestView, [u8; 33], Option<Signature>), Failure>,
) -> Result<Outcome, Failure> {
    match result {
        Ok((view, public_key, signature)) => {
            let kept = signature.is_some();
            let warning = log(node, &record.name, proposal, requester, "signed", kept);
            let outcome = Outcome {
                key: record.name.clone(),
                public_key,
                digest: proposal.digest.0,
                signature,
                parties: view.signers,
                delivered_to: view.receivers,
                request_id: proposal.request_id.clone(),
                warning,
            };
            node.tell(Event::Signed {
                key: outcome.key.clone(),
                public_key: hex(&outcome.public_key),
                digest: hex(&outcome.digest),
                der: outcome.signature.as_ref().map(|s| hex(&s.der())),
                delivered_to: outcome.delivered_to.iter().map(|r| r.name.to_string()).collect(),
                request_id: outcome.request_id.clone(),
            });
            Ok(outcome)
        }
        Err(failure) => {
            log(node, &record.name, proposal, requester, failure.code.name(), false);
            node.tell(Event::Aborted {
                ceremony: "sign".to_owned(),
                code: failure.code.name().to_owned(),
                message: failure.message.clone(),
                hint: failure.hint.clone(),
            });
            Err(failure)
        }
    }
}

fn log(
    node: &Node,
    key: &str,
    proposal: &Proposal,
    requester: &Fingerprint,
    outcome: &str,
    is_kept: bool,
) -> Option<String> {
    let id = &proposal.request_id;
    // Whether it could be kept is known by now.
    let is_kept = is_kept && matches!(signatures::load(&node.home, id), Ok(Some(_)));
    let kept = is_kept.then(|| (signatures::KEPT.to_owned(), id.as_str().into()));
    let peer = if *requester == node.info.fingerprint {
        let signers = proposal.signers.iter();
        let others = signers
            .filter_map(|i| convene::fingerprint_of(proposal, *i))
            .filter(|f| f != requester)
            .map(|f| f.to_hex());
        others.collect::<Vec<_>>().join(",")
    } else {
        requester.to_hex()
    };
    node.log(Entry {
        time: clock::unix_now(),
        ceremony: "sign".to_owned(),
        // What is refused may have any path.
        key: Label::capped(&below(key, &proposal.path), 256).as_str().to_owned(),
        digest: hex(&proposal.digest.0),
        peer,
        purpose: proposal.purpose.as_str().to_owned(),
        outcome: outcome.to_owned(),
        extra: kept.into_iter().collect(),
    })
}
