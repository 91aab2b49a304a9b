//! Signing a digest, on the side that asks and on the side that is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use k256::Scalar;

use crate::crypto::bip32;
use crate::crypto::curve::encode_point;
use crate::crypto::ecdsa::Signature;
use crate::device::{Fingerprint, Label, hex};
use crate::driver::ceremony::accept::{Ask, accept};
use crate::driver::ceremony::drive::{drive, fault_with};
use crate::driver::ceremony::epochs::{HeldKey, NoOffer, OpenKey, indices, is_rolled_back};
use crate::driver::ceremony::propose::{announce, propose};
use crate::driver::ceremony::refuse::{decline, part};
use crate::driver::ceremony::started::Started;
use crate::driver::ceremony::{begin, deletions};
use crate::driver::connect::peer_links::name_in;
use crate::driver::connect::target::Target;
use crate::driver::error::{Activity, Error};
use crate::driver::told::{Note, Told};
use crate::driver::{Names, Node, ROUND, clock, records};
use crate::net::line::Line;
use crate::party::PartyId;
use crate::progress::{Event, PartyView, RequestView};
use crate::protocol::fault::Check;
use crate::protocol::machine::Persist;
use crate::protocol::sign::{SignSetup, Signed};
use crate::request::{
    Action, Ceremony, Hex, Question, Request, RequestId, Shares, Signing, Source,
};
use crate::talk::{Reason, Terms};
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{self, Entry, KeyRecord, signatures};

/// What is to be signed, by whom and for whom.
#[derive(Clone, Debug)]
pub struct ToSign {
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
    pub request_id: RequestId,
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
    pub request_id: RequestId,
    /// Why the log could not be written, if so.
    pub unlogged: Option<String>,
}

/// Asks the others to sign, and signs with them.
///
/// # Errors
/// Everything that can go wrong; nothing is signed then.
pub async fn request(node: &Arc<Node>, wanted: &ToSign) -> Result<Outcome, Error> {
    records::active(&node.home, &wanted.key)?;
    let key = HeldKey::open(node, &wanted.key)?;
    let record = key.record().clone();
    is_new(node, &wanted.request_id)?;
    let no_share_there =
        |peer: &Label| Error::NoShareThere { peer: peer.clone(), key: record.name.clone() };
    let party = |who: &Fingerprint, name: &Label| {
        let party = record.parties.iter().find(|party| party.fingerprint == *who);
        let party = party.and_then(|party| PartyId::new(party.index));
        party.ok_or_else(|| no_share_there(name))
    };
    let me = party(&node.info.fingerprint, &Label::new(&node.info.name))?;
    let mut others = BTreeMap::new();
    for target in &wanted.with {
        let who = target.fingerprint.unwrap_or(node.info.fingerprint);
        others.insert(party(&who, &target.name)?, target.clone());
    }
    let mut signers: Vec<PartyId> = others.keys().copied().chain([me]).collect();
    signers.sort_unstable();
    let epochs = key.offer(&indices(&signers)).map_err(|error| {
        let names = others.iter().map(|(party, target)| (party.get(), target.name.clone()));
        refusal(error, &names.collect(), &record.name)
    })?;
    let recipient = match wanted.recipient {
        None => None,
        Some(who) => {
            let name = node.name_of(&who);
            let found = party(&who, &name)?;
            let takes_part = signers.contains(&found);
            let recipient = takes_part.then_some(found);
            Some(recipient.ok_or_else(|| no_share_there(&name))?)
        }
    };
    let asked = Request {
        id: wanted.request_id.clone(),
        key: record.name.clone(),
        parties: record.parties.iter().map(|party| party.fingerprint).collect(),
        threshold: record.threshold,
        signers,
        requester: me,
        purpose: wanted.purpose.clone(),
        action: Action::Sign(Signing {
            shares: Shares { public_key: record.public_key, epochs },
            path: wanted.path.clone(),
            digest: wanted.digest,
            source: wanted.source.clone(),
            recipient,
        }),
    };
    let child = Child::of(&key, &wanted.path)?;
    let question = child.question(node, asked);
    let invitees = others.into_iter().map(|(party, target)| (party.get(), target)).collect();
    announce(node, &question);
    let result = async {
        let request = &question.request;
        let accepted = propose(node, request, invitees).await?;
        let epoch = accepted.epoch();
        let begun = async {
            let key = begin(node, &record, request, &epoch).await?;
            // With the key in hand: another process may have just signed this very request.
            is_new(node, &request.id)?;
            Ok(key)
        };
        let (key, accepted) = accepted.holding(begun).await?;
        let height = key.ledger.height(&key.record.epoch);
        let started = accepted.start(node, &question, height).await?;
        perform(node, key, &child, request, started).await
    }
    .await;
    let result = result.map(|signature| (question.clone(), child.public_key, signature));
    conclude(node, &record, &question.request, result)
}

/// Takes part in a signature that the device at the other end of `link` asks for.
///
/// # Errors
/// Everything that can go wrong, refusals included; the other side has been told by then.
pub async fn respond(
    node: &Arc<Node>,
    link: Line,
    request: Request,
    terms: Terms,
) -> Result<Outcome, Error> {
    let requester = link.peer();
    let name = node.name_of(&requester);
    let Some(record) = records::of_key(&node.home, &request)? else {
        let reason = deletions::reason(node, &request, &requester);
        let error = decline(link, &name, reason).await;
        log(node, "", &request, error.kind().name(), false);
        return Err(error);
    };
    let result = async {
        let key = match HeldKey::open(node, &record.name) {
            Ok(key) => key,
            Err(error) => {
                decline(link, &name, Reason::from(&error)).await;
                return Err(error);
            }
        };
        let offer = match key.answer(&request) {
            Ok(offer) => offer,
            Err(NoOffer::Banned) => return Err(decline(link, &name, Reason::Banned).await),
            Err(NoOffer::Worn) => return Err(decline(link, &name, Reason::Worn).await),
            Err(NoOffer::Apart) => {
                return Err(part(link, &name, &record.name, &request, key.held()).await);
            }
        };
        if key.is_rolled_back(request.requester.get(), request.epochs()) {
            return Err(decline(link, &name, Reason::RolledBack).await);
        }
        let Ok(child) = Child::of(&key, request.path()) else {
            return Err(decline(link, &name, Reason::Aborted).await);
        };
        let question = child.question(node, request.clone());
        let started = accept(node, link, &question, &terms, offer, Ask::Approval).await?;
        let host = request.requester.get();
        let (epoch, held) = (started.agreed.epoch, started.held.get(&host).cloned());
        let begun = async {
            let key = begin(node, &record, &request, &epoch).await?;
            let now = held.is_some_and(|held| is_rolled_back(&key.ledger, host, &held));
            match now {
                true => {
                    Err(Error::RolledBackThere { peer: name.clone(), key: record.name.clone() })
                }
                false => Ok(key),
            }
        };
        let (key, started) = started.holding(begun).await?;
        let signature = perform(node, key, &child, &request, started).await?;
        Ok((question, child.public_key, signature))
    }
    .await;
    conclude(node, &record, &request, result)
}

/// Fails if the request `id` was signed before.
fn is_new(node: &Node, id: &RequestId) -> Result<(), Error> {
    match signatures::load(&node.home, id.as_str())? {
        Some(_) => Err(Error::SignedAlready(id.clone())),
        None => Ok(()),
    }
}

/// The key, now that everybody has said yes. Until then it was anybody's, so what was offered is looked at
/// again. From now on its shares stay as they are, and nobody else in this home signs with one of these
/// signers.
async fn begin(
    node: &Node,
    record: &KeyRecord,
    request: &Request,
    epoch: &Hex<32>,
) -> Result<OpenKey, Error> {
    let name = &record.name;
    let lock = records::hold_with(&node.home, name, &peers(record, request)).await?;
    let key = HeldKey::open(node, name)?;
    let offer = key.answer(request).unwrap_or_default();
    if !offer.iter().any(|held| held.epoch == *epoch) {
        return Err(Error::ChangedMeanwhile(name.to_owned()));
    }
    key.choose(epoch, lock)
}

/// The indices of the other signers.
fn peers(record: &KeyRecord, request: &Request) -> Vec<u8> {
    let mut peers = indices(&request.signers);
    peers.retain(|party| *party != record.me);
    peers
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
    fn of(key: &HeldKey, path: &[u32]) -> Result<Self, Error> {
        let (record, share) = (key.record(), key.share());
        let child = bip32::derive(share.public_key(), share.chain_code(), path)
            .map_err(|_| Error::BadPath)?;
        Ok(Self {
            name: below(&record.name, path),
            public_key: encode_point(&child.public_key).ok_or(Error::BadPath)?,
            tweak: child.tweak,
        })
    }

    /// `request` as the owner of this device is asked about it.
    fn question(&self, node: &Node, request: Request) -> Question {
        node.question(request, self.name.clone(), Some(self.public_key))
    }
}

/// The protocol itself, once all links are open.
async fn perform(
    node: &Arc<Node>,
    mut key: OpenKey,
    child: &Child,
    request: &Request,
    mut started: Started,
) -> Result<Option<Signature>, Error> {
    let names = started.links.names();
    let (epoch, key_name) = (key.record.epoch, key.record.name.clone());
    let signing = request.signing().ok_or(Error::Bug("nothing is to be signed"))?;
    let setup = SignSetup {
        signers: request.signers.clone(),
        sign_id: started.id,
        digest: signing.digest,
        tweak: child.tweak,
        recipient: signing.recipient,
    };
    let mut machine = begin::sign(&key.share, setup)?
        .map_err(|fault| fault_with(fault, &key_name, |party| name_in(&names, party.get())))?;
    let peers = peers(&key.record, request);
    // Before the first message leaves: this session can never be run again, and a crash from here
    // on counts against the pair.
    let mut spent = match Spent::begin(&mut key, machine.session_id(), &peers) {
        Ok(spent) => {
            started.charge.spend();
            spent
        }
        Err(error) => {
            // Whether a line that could not be written is there is not known.
            if !matches!(error, vault::Error::Retired { .. } | vault::Error::Spent) {
                started.charge.spend();
            }
            let worn = match &error {
                vault::Error::Retired { peer, .. } if is_worn(&error) => Some(*peer),
                _ => None,
            };
            let reason = |party| if worn == Some(party) { Reason::Worn } else { Reason::Aborted };
            started.links.abort_with(reason).await;
            return Err(refusal(error, &names, &key_name));
        }
    };
    let mut keep = |what: Persist| match what {
        Persist::Retired { peer, check, session } => spent.retire(peer, check, &session),
        // Said once, after the last check: until then a crash counts against the pair.
        Persist::CheckResolved { .. } => Ok(()),
        Persist::PendingShare(_) | Persist::Confirmed { .. } => {
            Err(Error::Bug("a signature came with a new share"))
        }
    };
    let what = (Ceremony::Sign, key_name.as_str());
    let driven = drive(node, what, &mut machine, &mut started.links, &mut keep).await;
    drop((machine, spent));
    // Whoever has sent a message of this session has spent it, however it ended: a copy of that
    // device from before is noticed from now on.
    for (party, height) in started.heights() {
        let begun = u64::from(started.links.has_spoken(party));
        // Between its yes and now it may have spent others with this device.
        let known = key.ledger.peer_height(&epoch, party);
        let height = height.saturating_add(begun).max(known);
        if let Err(error) = key.ledger.saw_height(&epoch, party, height) {
            node.tell(Note::File(error));
        }
    }
    let signed = match driven {
        Ok(signed) => signed,
        Err(error) => {
            started.links.abort().await;
            return Err(error);
        }
    };
    let signature = match signed {
        Signed::Signature(signature) => Some(signature),
        Signed::Delivered => None,
    };
    if let Some(signature) = &signature
        && let Err(error) = keep_signature(node, &request.id, signing, &child.public_key, signature)
    {
        // It is in hand and can still be delivered.
        node.tell(Note::NotKept(error));
    }
    let finished = started.links.finish(node.until(ROUND)).await;
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
    fn begin(key: &'k mut OpenKey, session: &[u8; 32], peers: &[u8]) -> Result<Self, vault::Error> {
        key.ledger.spend(&key.record.epoch, session, peers)?;
        Ok(Self { key, session: *session, forgotten: false })
    }

    fn retire(&mut self, peer: PartyId, check: Check, session: &[u8; 32]) -> Result<(), Error> {
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
fn refusal(error: vault::Error, names: &Names, key: &str) -> Error {
    let vault::Error::Retired { peer, .. } = error else { return error.into() };
    let (peer, key) = (name_in(names, peer), key.to_owned());
    if is_worn(&error) { Error::Worn { peer, key } } else { Error::Banned { peer, key } }
}

/// Whether a pair is retired for its unresolved checks alone: nobody failed one.
fn is_worn(error: &vault::Error) -> bool {
    matches!(error, vault::Error::Retired { code, .. } if code == UNRESOLVED)
}

/// A delivered signature is kept, so that losing the terminal does not lose it.
fn keep_signature(
    node: &Node,
    id: &RequestId,
    signing: &Signing,
    public_key: &[u8; 33],
    signature: &Signature,
) -> Result<(), vault::Error> {
    let document = serde_json::json!({
        "request_id": id,
        "digest": hex(&signing.digest),
        "public_key": hex(public_key),
        "der": hex(&signature.der()),
    });
    signatures::store(&node.home, id.as_str(), document.to_string().as_bytes()).map(drop)
}

fn conclude(
    node: &Node,
    record: &KeyRecord,
    request: &Request,
    result: Result<(Question, [u8; 33], Option<Signature>), Error>,
) -> Result<Outcome, Error> {
    match result {
        Ok((question, public_key, signature)) => {
            let kept = signature.is_some();
            let unlogged = log(node, &record.name, request, "signed", kept);
            let view = RequestView::of(&question);
            let outcome = Outcome {
                key: record.name.clone(),
                public_key,
                digest: request.digest().copied().unwrap_or_default(),
                signature,
                parties: view.signers,
                delivered_to: view.receivers,
                request_id: request.id.clone(),
                unlogged,
            };
            node.tell(Event::Signed {
                key: outcome.key.clone(),
                public_key: hex(&outcome.public_key),
                digest: hex(&outcome.digest),
                der: outcome.signature.as_ref().map(|s| hex(&s.der())),
                delivered_to: outcome.delivered_to.iter().map(|r| r.name.to_string()).collect(),
                request_id: outcome.request_id.to_string(),
            });
            Ok(outcome)
        }
        Err(error) => {
            log(node, &record.name, request, error.kind().name(), false);
            let activity = Activity::Ceremony(request.ceremony());
            node.tell(Told::Aborted { activity, error: &error });
            Err(error)
        }
    }
}

fn log(node: &Node, key: &str, request: &Request, outcome: &str, is_kept: bool) -> Option<String> {
    let id = request.id.as_str();
    // Whether it could be kept is known by now.
    let is_kept = is_kept && matches!(signatures::load(&node.home, id), Ok(Some(_)));
    let kept = is_kept.then(|| (signatures::KEPT.to_owned(), id.into()));
    node.log(Entry {
        time: clock::unix_now(),
        ceremony: request.ceremony().name().to_owned(),
        // What is refused may have any path.
        key: Label::capped(&below(key, request.path()), 256).as_str().to_owned(),
        digest: request.digest().map(|digest| hex(digest)).unwrap_or_default(),
        peer: node.others(request),
        purpose: request.purpose.as_str().to_owned(),
        outcome: outcome.to_owned(),
        extra: kept.into_iter().chain(node.answered_by(request)).collect(),
    })
}
