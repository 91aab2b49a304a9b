//! Signing a digest, as the requester and as an approver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::crypto::curve::{Curve, Scalar, decode_scalar};
use crate::curve::CurveName;
use crate::device::{Fingerprint, Label, hex, unhex};
use crate::driver::ceremony::accept::{Ask, accept};
use crate::driver::ceremony::again::Attempts;
use crate::driver::ceremony::begin::{self, Begun};
use crate::driver::ceremony::deletions;
use crate::driver::ceremony::drive::{Record, drive, fault_with};
use crate::driver::ceremony::epochs::{
    HeldKey, NoOffer, OpenKey, indices, is_rolled_back, retired,
};
use crate::driver::ceremony::payload::{Failed, TRANSFER, receive as take_payload};
use crate::driver::ceremony::propose::{announce, propose};
use crate::driver::ceremony::refuse::{decline, part};
use crate::driver::ceremony::started::Started;
use crate::driver::connect::peer_links::{PeerLinks, name_in};
use crate::driver::connect::target::Target;
use crate::driver::error::{Ability, Activity, Awaited, Error};
use crate::driver::on_curve::{Signature, of_either};
use crate::driver::told::{Note, Told};
use crate::driver::{Names, Node, ROUND, clock, curve_of, id_of, records};
use crate::error_kind::ErrorKind;
use crate::net::resumable::ResumableLink;
use crate::party::PartyId;
use crate::payload::bitcoin::payment::Item;
use crate::payload::curve::Signer;
use crate::payload::ethereum::Account;
use crate::payload::file::OneOf;
use crate::payload::{self, Payload, Source, Summary};
use crate::progress::{Event, PartyView, RequestView, SignedPart};
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::KeyShare;
use crate::protocol::machine::{Persist, Protocol};
use crate::protocol::sign::{BatchItem, BatchSetup, BatchSigned, SignSetup, Signed};
use crate::protocol::wire::Kind;
use crate::request::{Action, Ceremony, Hex, Question, Request, RequestId, Shares, Signing, below};
use crate::vault::ledger::{Heights, OpenChecks, UNRESOLVED};
use crate::vault::{self, Entry, Home, KeyRecord, Ledger, signatures};
use crate::wire::{Reason, Terms};

/// The parameters of a signature.
#[derive(Clone, Debug)]
pub struct ToSign {
    /// The key's name.
    pub key: String,
    /// The 32-byte digest.
    pub digest: [u8; 32],
    /// Its origin.
    pub source: Source,
    /// The payload, which is sent with the request.
    pub payload: Option<Arc<Payload>>,
    /// The account that a transaction says it is from.
    pub from: Option<Account>,
    /// The purpose.
    pub purpose: Label,
    /// The other signers and how to reach them.
    pub with: Vec<Target>,
    /// The receiver of the signature; `None` for all signers.
    pub recipient: Option<Fingerprint>,
    /// The request's id.
    pub request_id: RequestId,
    /// Non-hardened BIP-32 indices.
    pub path: Vec<u32>,
}

impl ToSign {
    /// The request without its payload: the others see the digest, and what this device says of the
    /// file.
    fn by_digest(&self) -> Self {
        let mut alone = Self { payload: None, ..self.clone() };
        if let Source::File { attached, .. } = &mut alone.source {
            *attached = false;
        }
        alone
    }
}

/// The result on this device.
#[derive(Debug)]
pub struct Outcome {
    /// The key's name here, with the path to the key that has signed: `vault/0/7`.
    pub key: String,
    /// The curve that it is on.
    pub curve: CurveName,
    /// The public key the signature verifies under, SEC1 compressed.
    pub public_key: [u8; 33],
    /// The digest.
    pub digest: [u8; 32],
    /// The payload that the digest was computed from, if there was one.
    pub payload: Option<Arc<Payload>>,
    /// The signatures, if this device receives them: one, or one for each of several files.
    pub signatures: Vec<Signature>,
    /// The signers, in index order.
    pub parties: Vec<PartyView>,
    /// The devices that received it.
    pub delivered_to: Vec<PartyView>,
    /// The request's id.
    pub request_id: RequestId,
    /// Whether it was made for an earlier request with this id.
    pub repeated: bool,
    /// Why the log could not be written, if so.
    pub unlogged: Option<String>,
}

impl Outcome {
    /// Each of several files with its signature, if this device receives them.
    pub fn files(&self) -> impl Iterator<Item = (&OneOf, &Signature)> {
        let files = match self.payload.as_ref().map(|payload| payload.summary()) {
            Some(Summary::Files(several)) => several.files.as_slice(),
            _ => &[],
        };
        files.iter().zip(&self.signatures)
    }

    /// What the key signs in a payment, with its signature, if this device receives them.
    pub fn inputs(&self) -> impl Iterator<Item = (&Item, &Signature)> {
        let items = self.payload.as_ref().map_or(&[][..], |payload| payload.items());
        items.iter().zip(&self.signatures)
    }

    /// The signatures of several files, or of a payment's inputs.
    fn parts(&self) -> Vec<SignedPart> {
        let files = self.files().map(|(file, signature)| SignedPart {
            name: file.name.clone(),
            digest: file.digest.clone(),
            der: hex(&signature.der()),
            public_key: None,
        });
        let inputs = self.inputs().map(|(item, signature)| SignedPart {
            name: Label::new(&format!("input {}", item.input)),
            digest: hex(&item.digest),
            der: hex(&signature.der()),
            public_key: Some(hex(&item.public_key)),
        });
        files.chain(inputs).collect()
    }
}

/// Asks the others to sign, and signs with them. A stored signature for the same id and digest is
/// returned without asking.
///
/// # Errors
/// Any failure. Only after [`Error::Given`] another device may have the signature.
pub async fn request(node: &Arc<Node>, wanted: &ToSign) -> Result<Outcome, Error> {
    records::active(&node.home, &wanted.key)?;
    match sign(node, wanted).await {
        Err(Error::SignedAlready(_)) => repeat(node, wanted),
        outcome => outcome,
    }
}

async fn sign(node: &Arc<Node>, wanted: &ToSign) -> Result<Outcome, Error> {
    let mut wanted = wanted.clone();
    let mut tried = Vec::new();
    let mut attempt = Attempt::of(node, &wanted, &tried)?;
    announce(node, &attempt.question);
    let mut attempts = Attempts::new(node);
    let mut kept = None;
    let result = loop {
        let result = attempt.make(node, &mut kept).await;
        match result {
            // A device that cannot show files is asked to sign the digest alone, which all versions
            // can.
            Err(Error::Unsupported {
                ability: Ability::Payload(payload::Kind::File),
                peer,
                program,
            }) => {
                node.tell(Note::NotAttached { peer, program });
                wanted = wanted.by_digest();
            }
            Err(error) if attempts.again(node, &error).await => {}
            // A reshare is unconfirmed here, and another signer has not stored its share: those of before
            // sign.
            Err(error) if error.is_about_epochs() && attempt.has_older => {
                tried.push(attempt.record.clone());
            }
            Err(error @ Error::SignedAlready(_)) => return Err(error),
            result => break result,
        }
        match Attempt::of(node, &wanted, &tried) {
            Ok(next) => attempt = next,
            Err(error @ Error::SignedAlready(_)) => return Err(error),
            Err(error) => break Err(error),
        }
    };
    let Attempt { record, child, question, .. } = attempt;
    let result = result.map(|made| (question.clone(), child.public_key, made));
    let outcome = conclude(node, &record, &question.request, result);
    drop(kept);
    outcome
}

/// The result of a session.
struct Made {
    /// The signatures, if this device receives them.
    signatures: Vec<Signature>,
    /// Whether this device has stored them.
    is_kept: bool,
}

/// One request for a signature, in the epochs that this device has now.
struct Attempt {
    record: KeyRecord,
    /// Whether the signers are parties of other epochs, before a reshare, that were not tried.
    has_older: bool,
    /// The newest epoch that this device had.
    newest: Option<[u8; 32]>,
    child: Child,
    question: Question,
    invitees: Vec<(PartyId, Target)>,
}

impl Attempt {
    /// The request for `wanted`, and its invitees; not with the parties of the records `tried`.
    fn of(node: &Node, wanted: &ToSign, tried: &[KeyRecord]) -> Result<Self, Error> {
        let signs = |record: &KeyRecord| {
            let is_party = |target: &Target| {
                let who = target.fingerprint.unwrap_or(node.info.fingerprint);
                record.parties.iter().any(|party| party.fingerprint == who)
            };
            wanted.with.len().saturating_add(1) == usize::from(record.threshold)
                && wanted.with.iter().all(is_party)
                && !tried.iter().any(|other| other.has_parties_of(record))
        };
        let held = records::held(&node.home, &wanted.key)?;
        let any = held.iter().any(signs);
        let key = HeldKey::open_where(node, &wanted.key, |record| !any || signs(record))?;
        let record = key.record().clone();
        let kind = wanted.source.kind();
        if !record.curve.has_wallets() && (!wanted.path.is_empty() || kind.is_of_wallets()) {
            return Err(Error::NoWallet(record.curve));
        }
        let has_older = held.iter().any(|other| signs(other) && !record.has_parties_of(other));
        is_new(node, &wanted.request_id)?;
        if key.is_restored() {
            return Err(Error::Restored(wanted.key.clone()));
        }
        let no_share_there =
            |peer: &Label| Error::NoShareThere { peer: peer.clone(), key: record.name.clone() };
        let party = |who: &Fingerprint, name: &Label| {
            let party = record.parties.iter().find(|party| party.fingerprint == *who);
            party.map(|party| party.index).ok_or_else(|| no_share_there(name))
        };
        let me = party(&node.info.fingerprint, &Label::new(&node.info.name))?;
        let mut others = BTreeMap::new();
        for target in &wanted.with {
            let who = target.fingerprint.unwrap_or(node.info.fingerprint);
            others.insert(party(&who, &target.name)?, target.clone());
        }
        let mut signers: Vec<PartyId> = others.keys().copied().chain([me]).collect();
        signers.sort_unstable();
        let epochs = key.offer(&signers).map_err(|error| {
            let names = others.iter().map(|(party, target)| (*party, target.name.clone()));
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
            curve: record.curve,
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
                payload: wanted.payload.clone(),
                recipient,
            }),
        };
        let child = Child::of(&key, &wanted.path)?;
        let account = Account::of_key(&child.public_key);
        if let (Some(from), Some(account)) = (wanted.from, account)
            && from != account
        {
            return Err(Error::OtherAccount { key: child.name, account, from });
        }
        let question = child.question(node, asked);
        let invitees = others.into_iter().collect();
        let newest = held.first().map(|record| record.epoch);
        Ok(Self { record, has_older, newest, child, question, invitees })
    }

    /// `error` of an invitation, or that the key was changed since the request was made. The others may
    /// have removed the epochs that it offers.
    fn why(&self, node: &Node, error: Error) -> Error {
        let newest = records::newest(&node.home, &self.record.name);
        match error.is_about_epochs() && newest != self.newest {
            true => Error::ChangedMeanwhile(self.record.name.clone()),
            false => error,
        }
    }

    /// Proposes the signature and makes it. `kept` is to be dropped when the session has been logged.
    async fn make(
        &self,
        node: &Arc<Node>,
        kept: &mut Option<vault::Unlogged>,
    ) -> Result<Made, Error> {
        let Self { record, child, question, invitees, .. } = self;
        let request = &question.request;
        let accepted = propose(node, request, invitees.clone()).await;
        let accepted = accepted.map_err(|error| self.why(node, error))?;
        let epoch = accepted.epoch();
        let begun = async {
            let claim = records::claim(&node.home, &request.id).await?;
            // Another process may have just signed this request.
            is_new(node, &request.id)?;
            Ok((claim, begin(node, &record.name, request, &epoch).await?))
        };
        let ((claim, key), accepted) = accepted.or_decline(begun).await?;
        let started = accepted.start(node, question).await?;
        let made = perform(node, key, child, request, started, (&mut false, kept)).await;
        drop(claim);
        made
    }
}

/// Takes part in a signature that the device at the other end of `link` asks for; `asked` are the
/// heights known before its proposal arrived. `begun` is set once the session is spent.
///
/// # Errors
/// Any failure, refusals included. The other side has been told by then. Only after
/// [`Error::Given`] the signature may exist.
pub async fn respond(
    node: &Arc<Node>,
    mut link: ResumableLink,
    mut request: Request,
    terms: Terms,
    asked: &Heights,
    begun: &mut bool,
) -> Result<Outcome, Error> {
    let requester = link.peer();
    let name = node.name_of(&requester);
    let record = match records::of_key(&node.home, &request) {
        Ok(Some(record)) => record,
        none => {
            let reason = match &none {
                Ok(_) => deletions::reason(node, &request, &requester),
                Err(error) => Reason::from(error),
            };
            let declined = decline(link, &name, reason).await;
            let error = none.err().unwrap_or(declined);
            log(node, "", &request, error.kind().name(), false);
            return Err(error);
        }
    };
    let mut kept = None;
    let result = async {
        let key = match HeldKey::open_for(node, &record.name, &request) {
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
            Err(NoOffer::Restored) => {
                let error = Error::Restored(record.name.clone());
                decline(link, &name, Reason::from(&error)).await;
                return Err(error);
            }
            Err(NoOffer::Apart) => {
                return Err(part(link, &name, &record.name, &request, key.held()).await);
            }
        };
        if is_rolled_back(asked, request.requester, request.epochs()) {
            return Err(decline(link, &name, Reason::RolledBack).await);
        }
        let child = Child::of(&key, request.path());
        let (Ok(child), Ok(signer)) = (child, signer(&key)) else {
            return Err(decline(link, &name, Reason::Aborted).await);
        };
        // A peer or the owner may take minutes, so the share is closed and opened again afterwards.
        drop(key);
        if node.refuses_blind && request.source().travels().is_none() {
            node.approver.withdrawn(&requester);
            return Err(decline(link, &name, Reason::Blind).await);
        }
        if is_untimely(request.source()) {
            node.approver.withdrawn(&requester);
            return Err(decline(link, &name, Reason::Clock).await);
        }
        match receive(node, &mut link, &mut request, &signer).await {
            Ok(()) => {}
            Err(Failed::Differs) => {
                node.approver.withdrawn(&requester);
                return Err(decline(link, &name, Reason::Payload).await);
            }
            Err(Failed::Late) => {
                decline(link, &name, Reason::Aborted).await;
                return Err(Error::timed_out(&name, Awaited::Payload));
            }
            Err(Failed::Link(error)) => return Err(Error::link(&name, error)),
        }
        let question = child.question(node, request.clone());
        let started = accept(node, link, &question, &terms, offer, Ask::Approval).await?;
        deletions::refuted(node, &requester, &request);
        let epoch = started.agreed.epoch;
        let taking = begin(node, &record.name, &request, &epoch);
        let (key, started) = started.or_abort(taking).await?;
        let made = perform(node, key, &child, &request, started, (begun, &mut kept)).await?;
        Ok((question, child.public_key, made))
    }
    .await;
    let outcome = conclude(node, &record, &request, result);
    drop(kept);
    outcome
}

/// The most seconds that the time in what is signed may be off this device's clock.
const MOST_OFF: u64 = 24 * 60 * 60;

/// Whether the time in what is signed is too far off.
fn is_untimely(source: &Source) -> bool {
    let off = |time: u32| clock::unix_now().abs_diff(time.into());
    source.time().is_some_and(|time| off(time) > MOST_OFF)
}

/// Receives the payload of `request`, a signature of `signer`.
async fn receive(
    node: &Node,
    link: &mut ResumableLink,
    request: &mut Request,
    signer: &Signer,
) -> Result<(), Failed> {
    let Action::Sign(signing) = &mut request.action else { return Ok(()) };
    let within = node.deadline_within(TRANSFER);
    let Signing { source, digest, path, .. } = &*signing;
    signing.payload = take_payload(link, source, digest, (signer, path), within).await?;
    Ok(())
}

/// The key `name`, as it reads payloads.
///
/// # Errors
/// It cannot be opened.
pub fn reads(node: &Node, name: &str) -> Result<Signer, Error> {
    signer(&HeldKey::open(node, name)?)
}

fn signer(key: &HeldKey) -> Result<Signer, Error> {
    let (record, share) = (key.record(), key.share());
    Signer::new(record.curve, &record.public_key, *share.chain_code())
        .ok_or(Error::Bug("the key is no point"))
}

/// Fails if the request `id` was signed before with another digest.
///
/// # Errors
/// It was, or its stored signature cannot be read.
pub fn is_free(home: &Home, id: &RequestId, digest: &[u8; 32]) -> Result<(), Error> {
    match Kept::load(home, id)? {
        Some(kept) if kept.digest.0 != *digest => Err(Error::SignedAlready(id.clone())),
        _ => Ok(()),
    }
}

/// Whether a signature of `digest` by `public_key`, which is on `curve`, is stored for the request `id`.
///
/// # Errors
/// What is stored cannot be read.
pub fn keeps(
    home: &Home,
    id: &RequestId,
    (curve, public_key): (CurveName, &[u8; 33]),
    digest: &[u8; 32],
) -> Result<bool, Error> {
    let kept = Kept::load(home, id)?;
    let kept = kept.filter(|kept| kept.digest.0 == *digest && kept.public_key.0 == *public_key);
    Ok(kept.is_some_and(|kept| kept.signatures(curve, None).is_some()))
}

/// The stored signature for the same request id, digest and key.
fn repeat(node: &Node, wanted: &ToSign) -> Result<Outcome, Error> {
    let id = &wanted.request_id;
    let key = HeldKey::open(node, &wanted.key)?;
    let (child, curve) = (Child::of(&key, &wanted.path)?, key.record().curve);
    let kept = Kept::load(&node.home, id)?;
    let same =
        kept.filter(|kept| kept.digest.0 == wanted.digest && kept.public_key.0 == child.public_key);
    let again =
        same.and_then(|kept| Some((kept.signatures(curve, wanted.payload.as_deref())?, kept)));
    let Some((signatures, kept)) = again else { return Err(Error::SignedAlready(id.clone())) };
    let views = |parties: &[Hex<32>]| {
        let fingerprints = parties.iter().map(|who| Fingerprint::new(who.0));
        fingerprints.map(|who| PartyView { name: node.name_of(&who), fingerprint: who }).collect()
    };
    Ok(Outcome {
        key: child.name,
        curve,
        public_key: child.public_key,
        digest: wanted.digest,
        payload: wanted.payload.clone(),
        signatures,
        parties: views(&kept.signers),
        delivered_to: views(&kept.receivers),
        request_id: id.clone(),
        repeated: true,
        unlogged: None,
    })
}

/// Fails if the request `id` was signed before.
fn is_new(node: &Node, id: &RequestId) -> Result<(), Error> {
    match signatures::load(&node.home, id.as_str())? {
        Some(_) => Err(Error::SignedAlready(id.clone())),
        None => Ok(()),
    }
}

/// Takes the key's signing lock and checks that the agreed epoch is still offered: the key may have
/// changed while the others answered. With the lock the key is not removed; other signatures and
/// refreshes go on.
async fn begin(
    node: &Node,
    name: &str,
    request: &Request,
    epoch: &Hex<32>,
) -> Result<OpenKey, Error> {
    let lock = records::hold_to_sign(&node.home, name).await?;
    let key = HeldKey::open_for(node, name, request)?;
    let offer = key.answer(request).unwrap_or_default();
    if !offer.iter().any(|held| held.epoch == *epoch) {
        return Err(Error::ChangedMeanwhile(name.to_owned()));
    }
    key.choose(epoch, lock)
}

/// The indices of the other signers.
fn peers(record: &KeyRecord, request: &Request) -> Vec<u8> {
    let mut peers = indices(&request.signers);
    peers.retain(|party| *party != record.me.get());
    peers
}

/// The key at the end of the request's path, which signs. Approvers see its public key and its name
/// with the path.
struct Child {
    name: String,
    public_key: [u8; 33],
    /// Its difference to the key, 32 bytes big-endian.
    tweak: [u8; 32],
}

impl Child {
    fn of(key: &HeldKey, path: &[u32]) -> Result<Self, Error> {
        let (public_key, tweak) = key.share().derived(path).ok_or(Error::BadPath)?;
        Ok(Self { name: below(&key.record().name, path), public_key, tweak })
    }

    /// The question to the owner about `request`.
    fn question(&self, node: &Node, request: Request) -> Question {
        node.question(request, self.name.clone(), Some(self.public_key))
    }
}

/// The protocol itself, once all links are open. `kept` is to be dropped when the session has been logged.
async fn perform(
    node: &Arc<Node>,
    key: OpenKey,
    child: &Child,
    request: &Request,
    started: Started,
    told: (&mut bool, &mut Option<vault::Unlogged>),
) -> Result<Made, Error> {
    of_either!(key.share.clone(), share => {
        perform_on(node, (key, &share), child, request, started, told).await
    })
}

async fn perform_on<C: Curve>(
    node: &Arc<Node>,
    (key, share): (OpenKey, &Arc<KeyShare<C>>),
    child: &Child,
    request: &Request,
    started: Started,
    told: (&mut bool, &mut Option<vault::Unlogged>),
) -> Result<Made, Error> {
    let signing = request.signing().ok_or(Error::Bug("nothing is to be signed"))?;
    let (signers, sign_id) = (request.signers.clone(), started.id);
    let recipient = signing.recipient;
    let read = |tweak: &[u8; 32]| decode_scalar::<Scalar<C>>(tweak).map_err(|_| Error::BadPath);
    // A payment says for each input which key below this one signs.
    let paths = signing.payload.iter().flat_map(|payload| payload.items());
    let tweaks = paths.map(|item| {
        let (_, tweak) = key.share.derived(&item.path).ok_or(Error::BadPath)?;
        read(&tweak)
    });
    let tweaks = tweaks.collect::<Result<Vec<Scalar<C>>, Error>>();
    let (tweak, mut tweaks) = match tweaks.and_then(|tweaks| Ok((read(&child.tweak)?, tweaks))) {
        Ok((tweak, tweaks)) => (tweak, tweaks.into_iter()),
        Err(error) => {
            started.links.abort().await;
            return Err(error);
        }
    };
    let is_payment = matches!(signing.source, Source::Psbt { .. });
    if is_payment && tweaks.len() != signing.list().len() {
        started.links.abort().await;
        return Err(Error::Bug("a payment has other digests than keys"));
    }
    let mut tweak = || tweaks.next().unwrap_or(tweak);
    if let [digest] = *signing.list() {
        let setup = SignSetup { signers, sign_id, digest, tweak: tweak(), recipient };
        let machine = begin::sign(share, setup);
        let made = |signed| match signed {
            Signed::Signature(signature) => vec![Signature::from(signature)],
            Signed::Delivered => Vec::new(),
        };
        return run(node, (key, share), child, request, started, told, (machine, made)).await;
    }
    let items = signing.list().iter();
    let items = items.map(|digest| BatchItem { digest: *digest, tweak: tweak() }).collect();
    let setup = BatchSetup { signers, sign_id, items, recipient };
    let machine = begin::sign_batch(share, setup);
    let made = |signed| match signed {
        BatchSigned::Signatures(signatures) => {
            signatures.into_iter().map(Signature::from).collect()
        }
        BatchSigned::Delivered => Vec::new(),
    };
    run(node, (key, share), child, request, started, told, (machine, made)).await
}

/// Runs the `machine` of one signature or of several; `made` has the signatures of its result.
async fn run<P: Protocol>(
    node: &Arc<Node>,
    (key, share): (OpenKey, &KeyShare<P::Curve>),
    child: &Child,
    request: &Request,
    mut started: Started,
    (begun, kept): (&mut bool, &mut Option<vault::Unlogged>),
    (machine, made): (Result<Begun<P>, Error>, impl FnOnce(P::Done) -> Vec<Signature>),
) -> Result<Made, Error> {
    let names = started.links.names();
    let (epoch, key_name) = (key.record.epoch, key.record.name.clone());
    let signing = request.signing().ok_or(Error::Bug("nothing is to be signed"))?;
    let fault = |fault| fault_with(fault, &key_name, |party| name_in(&names, party));
    let mut machine = match machine.and_then(|begun| begun.map_err(fault)) {
        Ok(machine) => machine,
        Err(error) => return Err(give_up(started.links, error, &key, &names).await),
    };
    let peers = peers(&key.record, request);
    // Spent before the first message is sent, so that this session never runs again.
    if let Err(error) = key.ledger.spend(&epoch, machine.session_id(), &peers) {
        // After a failed write the line may be there or not, so it counts as spent.
        if !matches!(error, vault::Error::Retired { .. } | vault::Error::Spent) {
            started.charge.spend();
            *begun = true;
        }
        let error = refusal(error, &names, &key_name);
        return Err(give_up(started.links, error, &key, &names).await);
    }
    started.charge.spend();
    *begun = true;
    let OpenKey { record, ledger, .. } = &key;
    let mut unlogged =
        Unlogged { node, key: &key_name, request, given: false.into(), is_kept: false };
    let session = *machine.session_id();
    let give = Box::new(|| {
        if !unlogged.given.swap(true, Ordering::Relaxed) {
            let entry = entry(node, &key_name, request, ErrorKind::Given.name());
            *kept = vault::unlogged::keep(&node.home, &session, &entry)
                .inspect_err(|error| node.tell(Note::Unlogged(error.to_string())))
                .ok();
        }
    });
    let mut notes = Notes { ledger, share, record, names: &names, open: None, give };
    let what = (Ceremony::Sign, key_name.as_str(), &request.id);
    let driven = drive(node, what, &mut machine, &mut started.links, &mut notes).await;
    drop((machine, notes));
    let me = record.me;
    let may_exist = |error| {
        let others = request.receivers().into_iter().filter(|party| *party != me);
        let receivers = others.map(|party| name_in(&names, party)).collect();
        Error::Given { error: Box::new(error), receivers }
    };
    // A device that has sent a message of this session has spent it, even if the session failed. So
    // an older copy of that device is noticed from now on.
    for (party, height) in started.heights() {
        let spoken = u64::from(started.links.has_spoken(party));
        let height = height.saturating_add(spoken);
        if let Err(error) = key.ledger.saw_height(&epoch, party.get(), height) {
            node.tell(Note::File(error));
        }
    }
    let signatures = match driven {
        Ok(signed) => made(signed),
        Err(error) => {
            let error = give_up(started.links, error, &key, &names).await;
            return Err(if unlogged.settle() { may_exist(error) } else { error });
        }
    };
    let stored = Kept::of(request, signing, &child.public_key, &signatures)
        .map(|kept| kept.store(&node.home));
    let is_kept = matches!(stored, Some(Ok(())));
    unlogged.is_kept = is_kept;
    if let Some(Err(error)) = stored {
        // The signature is in memory and can still be delivered.
        node.tell(Note::NotKept(error));
    }
    drop(key);
    let finished = started.links.finish(node.deadline_within(ROUND)).await;
    unlogged.settle();
    // With a signature the farewell's outcome is ignored.
    if signatures.is_empty() {
        finished.map_err(may_exist)?;
    }
    Ok(Made { signatures, is_kept })
}

/// A session that has no entry in the log yet. If this is dropped after the device's part was given, as where
/// the process is interrupted, the entry is written: the signature may exist.
struct Unlogged<'a> {
    node: &'a Node,
    key: &'a str,
    request: &'a Request,
    given: AtomicBool,
    /// Whether this device has stored the signature.
    is_kept: bool,
}

impl Unlogged<'_> {
    /// Leaves the entry to the caller; says whether this device's part was given.
    fn settle(&self) -> bool {
        self.given.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Unlogged<'_> {
    fn drop(&mut self) {
        if self.settle() {
            let outcome = if self.is_kept { "signed" } else { ErrorKind::Given.name() };
            log(self.node, self.key, self.request, outcome, self.is_kept);
        }
    }
}

/// `error`, or the ban behind it if another session has retired a pair of this one meanwhile.
fn why_retired(error: Error, key: &OpenKey, names: &Names) -> Error {
    let Error::Fault {
        fault: Fault { check: Check::PairRetired, culprit: Some(party), .. }, ..
    } = &error
    else {
        return error;
    };
    let mut retired = key.ledger.retired(&key.record.epoch).into_iter();
    match retired.find(|(peer, _)| *peer == party.get()) {
        Some((peer, code)) => {
            refusal(vault::Error::Retired { peer, code }, names, &key.record.name)
        }
        None => error,
    }
}

/// Ends a session for `error`. A party whose pair is retired is told that reason, as it would be at
/// its next request.
async fn give_up(links: PeerLinks, error: Error, key: &OpenKey, names: &Names) -> Error {
    let error = why_retired(error, key, names);
    match error {
        Error::Worn { party: retired, .. } | Error::Banned { party: retired, .. } => {
            let reason = Reason::from(&error);
            links.abort_with(|party| if party == retired { reason } else { Reason::Aborted }).await;
        }
        _ => links.abort().await,
    }
    error
}

/// The ledger's side of a session.
struct Notes<'k, C: Curve> {
    ledger: &'k Ledger,
    share: &'k KeyShare<C>,
    record: &'k KeyRecord,
    names: &'k Names,
    /// The checks that are being evaluated. If this is dropped before they are resolved, for
    /// instance by a panic, they count against their pairs.
    open: Option<OpenChecks>,
    /// Called when this device's part of the signature is about to leave for a device that receives it.
    give: Box<dyn FnMut() + Send + 'k>,
}

impl<C: Curve> Record<C> for Notes<'_, C> {
    fn persist(&mut self, what: Persist<C>) -> Result<(), Error> {
        let ledger = self.ledger;
        let kept = match what {
            Persist::ChecksBegin { peers, session } => {
                let begun = ledger.begin_checks(&session, &indices(&peers));
                begun.map(|open| self.open = Some(open))
            }
            Persist::ChecksResolved => {
                // If that cannot be written they stay unresolved, which is safe.
                let _ = self.open.take().map(|open| ledger.resolve(open));
                Ok(())
            }
            Persist::Retired { peer, check, session } => self.retire(peer, check, &session),
            Persist::PendingShare(_) | Persist::Leaving(_) | Persist::Confirmed { .. } => {
                return Err(Error::Bug("a signature came with a new share"));
            }
        };
        kept.map_err(|error| refusal(error, self.names, &self.record.name))
    }

    fn sending(&mut self, kind: Kind) {
        if matches!(kind, Kind::Sg3 | Kind::Sb3) {
            (self.give)();
        }
    }

    /// A pair that another session retired meanwhile, in any process, ends this session too.
    fn look_up(&mut self) -> Result<(), Error> {
        self.ledger.update()?;
        for (peer, check) in retired(self.ledger, self.record) {
            self.share.retire(peer, check);
        }
        Ok(())
    }
}

impl<C: Curve> Notes<'_, C> {
    fn retire(
        &mut self,
        peer: PartyId,
        check: Check,
        session: &[u8; 32],
    ) -> Result<(), vault::Error> {
        let record = self.record;
        let party = record.parties.iter().find(|party| party.index == peer);
        let fingerprint = party.map_or(Fingerprint::new([0; 32]), |party| party.fingerprint);
        let (epoch, code, now) = (&record.epoch, check.code(), clock::unix_now());
        self.ledger.retire(epoch, peer.get(), &fingerprint, code, session, now)
    }
}

/// The error for a session with the key `key` that must not begin or go on, with the party's label.
fn refusal(error: vault::Error, names: &Names, key: &str) -> Error {
    let vault::Error::Retired { peer, .. } = error else { return error.into() };
    let Some((party, name)) = names.iter().find(|(party, _)| party.get() == peer) else {
        return error.into();
    };
    let (party, peer, key) = (*party, name.clone(), key.to_owned());
    match is_worn(&error) {
        true => Error::Worn { party, peer, key },
        false => Error::Banned { party, peer, key },
    }
}

/// Whether a pair is retired only for its unresolved checks, without a failed one.
fn is_worn(error: &vault::Error) -> bool {
    matches!(error, vault::Error::Retired { code, .. } if code == UNRESOLVED)
}

/// The name of the payload in an entry of the log.
const SEEN: &str = "payload";

/// The name of a user id that is certified in an entry of the log.
const USER_ID: &str = "user_id";

/// The name of the digests of several files in an entry of the log.
const LIST: &str = "digests";

/// A signature as it is stored, so that it is not lost with the terminal.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    request_id: String,
    digest: Hex<32>,
    public_key: Hex<33>,
    /// The first of them, if they are several.
    der: String,
    /// All of them, if they are several, in the order of the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ders: Vec<String>,
    /// The signers, in index order; version 0.1.0 did not store them.
    #[serde(default)]
    signers: Vec<Hex<32>>,
    /// The devices that received it.
    #[serde(default)]
    receivers: Vec<Hex<32>>,
}

impl Kept {
    /// `None` if this device receives no signature.
    fn of(
        request: &Request,
        signing: &Signing,
        public_key: &[u8; 33],
        made: &[Signature],
    ) -> Option<Self> {
        let known = |parties: &[PartyId]| {
            let known = parties.iter().filter_map(|party| request.fingerprint(*party));
            known.map(|who| Hex(*who.as_bytes())).collect()
        };
        let ders: Vec<String> = made.iter().map(|signature| hex(&signature.der())).collect();
        Some(Self {
            request_id: request.id.to_string(),
            digest: Hex(signing.digest),
            public_key: Hex(*public_key),
            der: ders.first()?.clone(),
            ders: if ders.len() == 1 { Vec::new() } else { ders },
            signers: known(&request.signers),
            receivers: known(&request.receivers()),
        })
    }

    fn store(&self, home: &Home) -> Result<(), vault::Error> {
        let document = serde_json::json!(self).to_string();
        signatures::store(home, &self.request_id, document.as_bytes()).map(drop)
    }

    /// The stored signature of the request `id`.
    fn load(home: &Home, id: &RequestId) -> Result<Option<Self>, Error> {
        let Some(bytes) = signatures::load(home, id.as_str())? else { return Ok(None) };
        let kept = serde_json::from_slice(&bytes);
        Ok(Some(kept.map_err(|_| Error::SignedAlready(id.clone()))?))
    }

    /// The signatures, if they are of `payload`, or else of the digest, and verify under the key, or
    /// those below it that a payment names, which are all on `curve`.
    fn signatures(&self, curve: CurveName, payload: Option<&Payload>) -> Option<Vec<Signature>> {
        let items = payload.map_or(&[][..], Payload::items).iter().map(|item| item.public_key);
        let mut keys = items.chain(std::iter::repeat(self.public_key.0));
        let digests = payload.map_or(std::slice::from_ref(&self.digest.0), Payload::list);
        let ders = if self.ders.is_empty() { std::slice::from_ref(&self.der) } else { &self.ders };
        let mut signature = |(der, digest): (&String, &[u8; 32])| {
            Signature::recover(curve, &keys.next()?, digest, &unhex(der)?)
        };
        let signatures: Vec<_> =
            ders.iter().zip(digests).map(&mut signature).collect::<Option<_>>()?;
        (ders.len() == digests.len()).then_some(signatures)
    }
}

fn conclude(
    node: &Node,
    record: &KeyRecord,
    request: &Request,
    result: Result<(Question, [u8; 33], Made), Error>,
) -> Result<Outcome, Error> {
    match result {
        Ok((question, public_key, Made { signatures, is_kept })) => {
            let unlogged = log(node, &record.name, request, "signed", is_kept);
            let view = RequestView::of(&question);
            let outcome = Outcome {
                key: question.key.clone(),
                curve: record.curve,
                public_key,
                digest: request.digest().copied().unwrap_or_default(),
                payload: request.payload().cloned(),
                signatures,
                parties: view.signers,
                delivered_to: view.receivers,
                request_id: request.id.clone(),
                repeated: false,
                unlogged,
            };
            let parts = outcome.parts();
            node.tell(Event::Signed {
                key: outcome.key.clone(),
                public_key: hex(&outcome.public_key),
                digest: hex(&outcome.digest),
                der: match outcome.signatures.as_slice() {
                    [only] if parts.is_empty() => Some(hex(&only.der())),
                    _ => None,
                },
                signatures: parts,
                certifies: request.payload().and_then(|payload| payload.certificate()).cloned(),
                delivered_to: outcome.delivered_to.iter().map(|r| r.name.to_string()).collect(),
                request_id: outcome.request_id.to_string(),
            });
            Ok(outcome)
        }
        // Only the first refusal of a back-off is logged.
        Err(error @ Error::TurnedAway { first: false, .. }) => Err(error),
        Err(error) => {
            log(node, &record.name, request, error.kind().name(), false);
            let activity = Activity::Ceremony(request.ceremony());
            let asked = Some(&request.id);
            node.tell(Told::Aborted { activity, request: asked, error: &error });
            Err(error)
        }
    }
}

fn log(node: &Node, key: &str, request: &Request, outcome: &str, is_kept: bool) -> Option<String> {
    let kept = is_kept.then(|| (signatures::KEPT.to_owned(), request.id.as_str().into()));
    let mut entry = entry(node, key, request, outcome);
    entry.extra.extend(kept.into_iter().chain(node.answered(request)));
    node.log(entry)
}

/// The entry of a session of which the log says nothing yet.
fn entry(node: &Node, key: &str, request: &Request, outcome: &str) -> Entry {
    let seen = request.payload().map(|_| (SEEN.to_owned(), serde_json::json!(request.source())));
    // The digest of several files, and of a payment, is not what is signed.
    let several = request.signing().filter(|signing| signing.list() != [signing.digest]);
    let list = several.map(|signing| signing.list()).filter(|list| !list.is_empty());
    let list = list.map(|list| list.iter().map(|digest| hex(digest)).collect::<Vec<_>>());
    let list = list.map(|list| (LIST.to_owned(), serde_json::json!(list)));
    let user_id = request.payload().and_then(|payload| payload.certificate());
    let user_id =
        user_id.map(|certificate| (USER_ID.to_owned(), certificate.user_id.as_str().into()));
    Entry {
        time: clock::unix_now(),
        ceremony: request.ceremony().name().to_owned(),
        // A refused request may have any path.
        key: Label::capped(&below(key, request.path()), 256).as_str().to_owned(),
        digest: request.digest().map(|digest| hex(digest)).unwrap_or_default(),
        peer: node.others(request),
        purpose: request.purpose.as_str().to_owned(),
        outcome: outcome.to_owned(),
        extra: seen
            .into_iter()
            .chain(user_id)
            .chain(list)
            .chain([id_of(request)])
            .chain(curve_of(request))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, LazyLock, Mutex};

    use k256::{Scalar, Secp256k1};

    use super::*;
    use crate::driver::clock;
    use crate::protocol::keygen::{KeygenSetup, keygen};
    use crate::protocol::local::Local;
    use crate::protocol::machine::{Machine, Output};
    use crate::protocol::sign::{Signing, sign};
    use crate::secret::Secret;
    use crate::vault::{Home, KeyState, PartyRecord};

    const ALICE: u8 = 1;
    const BOB: u8 = 2;
    /// The offset of `u` in SG1.
    const U: usize = 100;

    fn id(party: u8) -> PartyId {
        PartyId::new(party).unwrap()
    }

    /// The shares of a key of two, as they are stored.
    fn shares() -> [Vec<u8>; 2] {
        let machine = |me: u8| {
            let identities = vec![vec![ALICE], vec![BOB]];
            let setup = KeygenSetup { instance: [7; 32], threshold: 2, me: id(me), identities };
            keygen::<k256::Secp256k1>(setup, &Secret::new([me; 32]), &[], ROUND).unwrap()
        };
        let mut made = Local::start([ALICE, BOB].map(machine), clock::now()).run();
        [ALICE, BOB].map(|party| {
            let persisted = made.remove(&id(party)).unwrap().persisted;
            let share = persisted.into_iter().find_map(|persist| match persist {
                Persist::PendingShare(pending) => Some(pending.share),
                _ => None,
            });
            share.unwrap().to_bytes().expose().clone()
        })
    }

    fn signer(share: &[u8], session: u8) -> Machine<Signing> {
        with(Arc::new(KeyShare::from_bytes(share).unwrap()), session)
    }

    fn with(share: Arc<KeyShare>, session: u8) -> Machine<Signing> {
        let setup = SignSetup {
            signers: vec![id(ALICE), id(BOB)],
            sign_id: [session; 32],
            digest: [1; 32],
            tweak: Scalar::ZERO,
            recipient: None,
        };
        let random = Secret::new([session ^ share.me().get(); 32]);
        let mut machine = sign(share, setup, &random, ROUND).unwrap();
        machine.start(clock::now());
        machine
    }

    /// Bob's first message of a session, with one bit of `u` changed.
    fn lie(share: &[u8], session: u8) -> Vec<u8> {
        let mut machine = signer(share, session);
        let sent = std::iter::from_fn(|| machine.poll()).find_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes.expose().clone()),
            _ => None,
        });
        let mut sent = sent.unwrap();
        sent[U + usize::from(session)] ^= 1;
        sent
    }

    fn record(share: &KeyShare) -> KeyRecord {
        let party = |index: u8| {
            let fingerprint = Fingerprint::new([index; 32]);
            PartyRecord { index: id(index), name: format!("party {index}"), fingerprint }
        };
        KeyRecord {
            name: "vault".into(),
            curve: crate::curve::CurveName::default(),
            public_key: share.public_key_bytes(),
            threshold: 2,
            me: id(ALICE),
            parties: vec![party(ALICE), party(BOB)],
            epoch: *share.epoch(),
            generation: 1,
            created: 0,
            state: KeyState::Active,
            restored: false,
        }
    }

    fn notes<'k>(
        ledger: &'k Ledger,
        share: &'k KeyShare,
        record: &'k KeyRecord,
    ) -> Notes<'k, Secp256k1> {
        static NAMES: LazyLock<Names> =
            LazyLock::new(|| Names::from([(id(BOB), Label::new("bob"))]));
        Notes { ledger, share, record, names: &NAMES, open: None, give: Box::new(|| ()) }
    }

    /// The error of a session whose other signer sends `lie`.
    fn end(machine: &mut Machine<Signing>, notes: &mut Notes<'_, Secp256k1>, lie: &[u8]) -> Error {
        machine.handle(clock::now(), id(BOB), lie);
        while let Some(output) = machine.poll() {
            match output {
                Output::Persist(what) => match notes.persist(what) {
                    Ok(()) => {}
                    Err(error) => return error,
                },
                Output::Failed(fault) => return fault_with(fault, "vault", |_| Label::new("bob")),
                Output::Send { bytes, .. } => assert_eq!(bytes.expose()[1], 0x11, "it went on"),
                Output::Event(_) => {}
                Output::Done(_) => panic!("it signed"),
            }
        }
        panic!("it did not end")
    }

    /// S-50, with a share and a ledger of its own for each session, as processes have them.
    #[test]
    fn of_a_hundred_lies_in_parallel_sessions_one_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let home = &Home::at(dir.path());
        let [alice, bob] = &shares();
        let share = &KeyShare::from_bytes(alice).unwrap();
        let record = &record(share);
        let spent = (0..100_u8).map(|session| {
            let machine = signer(alice, session);
            let ledger = Ledger::open(home).unwrap();
            ledger.spend(&record.epoch, machine.session_id(), &[BOB]).unwrap();
            (machine, ledger, lie(bob, session))
        });
        let spent = Mutex::new(spent.collect::<Vec<_>>());
        let ends = Mutex::new(Vec::new());
        let begin = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    begin.wait();
                    loop {
                        let Some(next) = spent.lock().unwrap().pop() else { return };
                        let (mut machine, ledger, lie) = next;
                        let mut notes = notes(&ledger, share, record);
                        ends.lock().unwrap().push(end(&mut machine, &mut notes, &lie));
                    }
                });
            }
        });
        let ends = ends.into_inner().unwrap();
        let failed = |end: &&Error| matches!(end, Error::Fault { fault, .. } if fault.check == Check::OteCheck);
        let refused = |end: &&Error| matches!(end, Error::Banned { .. });
        assert_eq!(
            (ends.iter().filter(failed).count(), ends.iter().filter(refused).count()),
            (1, 99)
        );
        let lines = std::fs::read_to_string(home.state.join("ledger.jsonl")).unwrap();
        let count = |kind: &str| lines.matches(&format!("{{\"{kind}\"")).count();
        assert_eq!(
            [count("spend"), count("check"), count("retire"), count("resolve")],
            [100, 1, 1, 1]
        );
    }

    #[test]
    fn a_session_ends_at_its_next_step_once_another_process_has_retired_the_pair() {
        let dir = tempfile::tempdir().unwrap();
        let home = &Home::at(dir.path());
        let [alice, bob] = &shares();
        let share = Arc::new(KeyShare::from_bytes(alice).unwrap());
        let record = &record(&share);
        let ledger = Ledger::open(home).unwrap();
        let mut machines = [with(Arc::clone(&share), 1), signer(bob, 1)];
        ledger.spend(&record.epoch, machines[0].session_id(), &[BOB]).unwrap();
        let mut notes = notes(&ledger, &share, record);
        let said = |machine: &mut Machine<Signing>, notes: &mut dyn FnMut(Persist)| {
            let mut sent = Vec::new();
            loop {
                match machine.poll() {
                    Some(Output::Send { bytes, .. }) => sent.push(bytes.expose().clone()),
                    Some(Output::Persist(what)) => notes(what),
                    Some(Output::Event(_)) => {}
                    Some(Output::Failed(fault)) => return Err(fault.check),
                    Some(Output::Done(_)) | None => return Ok(sent),
                }
            }
        };
        let mut keep = |what| notes.persist(what).unwrap();
        let (mut from, mut to) = (Vec::new(), Vec::new());
        // Both have checked what the other sent, and multiplied with it.
        for _ in 0..2 {
            from = said(&mut machines[0], &mut keep).unwrap();
            to = said(&mut machines[1], &mut drop).unwrap();
            if from[0][1] == 0x12 {
                break;
            }
            to.iter().for_each(|bytes| machines[0].handle(clock::now(), id(BOB), bytes));
            from.iter().for_each(|bytes| machines[1].handle(clock::now(), id(ALICE), bytes));
        }
        assert_eq!([from[0][1], to[0][1]], [0x12; 2]);
        let elsewhere = Ledger::open(home).unwrap();
        let bob = Fingerprint::new([BOB; 32]);
        elsewhere.retire(&record.epoch, BOB, &bob, "E_OTE_CHECK", &[9; 32], 0).unwrap();
        notes.look_up().unwrap();
        to.iter().for_each(|bytes| machines[0].handle(clock::now(), id(BOB), bytes));
        let ended = said(&mut machines[0], &mut |what| notes.persist(what).unwrap());
        assert_eq!(ended, Err(Check::PairRetired));
    }

    #[test]
    fn a_session_that_panics_in_a_check_leaves_it_unresolved() {
        let dir = tempfile::tempdir().unwrap();
        let home = &Home::at(dir.path());
        let [alice, _] = &shares();
        let share = &KeyShare::from_bytes(alice).unwrap();
        let record = &record(share);
        let ledger = Ledger::open(home).unwrap();
        ledger.spend(&record.epoch, &[1; 32], &[BOB]).unwrap();
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let mut notes = notes(&ledger, share, record);
                let begin = Persist::ChecksBegin { peers: vec![id(BOB)], session: [1; 32] };
                notes.persist(begin).unwrap();
                panic!("in the middle of a check");
            });
            assert!(panicking.join().is_err());
        });
        let lines = std::fs::read_to_string(home.state.join("ledger.jsonl")).unwrap();
        assert!(lines.contains("check") && !lines.contains("resolve"), "{lines}");
        // The lock of the pair is free.
        let ledger = Ledger::open(home).unwrap();
        ledger.spend(&record.epoch, &[2; 32], &[BOB]).unwrap();
        let checks = ledger.begin_checks(&[2; 32], &[BOB]).unwrap();
        ledger.resolve(checks).unwrap();
    }
}
