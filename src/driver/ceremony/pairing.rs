//! Pairing two devices: commit, reveal, two people compare six digits, two confirmations. Only then
//! does either side store a record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::device::{Fingerprint, Label};
use crate::driver::approver::{Comparison, Verdict};
use crate::driver::ceremony::refuse::decline;
use crate::driver::connect::dial::reach;
use crate::driver::connect::hello::{HANDSHAKE, hear, say, welcome};
use crate::driver::connect::search::remember;
use crate::driver::connect::target::Source;
use crate::driver::connect::target::{Reached, Route, Target};
use crate::driver::error::{Activity, Awaited, Error};
use crate::driver::strangers::{Visitor, turned_away};
use crate::driver::told::{Note, Told};
use crate::driver::{ANSWER, Node, SESSION, clock};
use crate::net::relay::invite::Invite;
use crate::net::tls::TlsLink;
use crate::net::{Link, LinkError};
use crate::progress::{Compared, Event, Lasts, StrangerRequest};
use crate::protocol::pair::{Compare, EXPORTER, PairError, Requester, Responder, Side};
use crate::request::Hex;
use crate::vault::{Entry, PeerRecord, Peers, attempts, with_id};
use crate::wire::{About, BUSY, Message, Reason, Want};

/// A device that has been paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Its name here.
    pub peer: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When the pairing ends, in seconds since 1970; `None` if it is kept.
    pub expires: Option<i64>,
}

/// Pairs with the device at `target`.
///
/// # Errors
/// It cannot be reached, one of the two people says no, or somebody is between the devices.
pub async fn request(
    node: &Arc<Node>,
    target: &Target,
    deadline: Instant,
) -> Result<Pairing, Error> {
    attempts_left(node)?;
    let _dialing = Dialing::new(node);
    let reached = reach(node, target, Want::Pair, deadline).await?;
    let name = reached.name.clone();
    match node.queue.try_screen() {
        Some(_turn) => converse(node, reached).await,
        None => Err(decline(reached.link, &name, BUSY).await),
    }
}

/// Whether a further attempt to pair is allowed.
///
/// # Errors
/// Too many have failed, or the count cannot be read.
pub(super) fn attempts_left(node: &Node) -> Result<(), Error> {
    Ok(attempts::charged(&node.home)?.check(None)?)
}

/// Marks, while it exists, that this device is calling another one.
struct Dialing<'a>(&'a Node);

impl<'a> Dialing<'a> {
    fn new(node: &'a Node) -> Self {
        node.dialing.store(true, Ordering::Relaxed);
        Self(node)
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.dialing.store(false, Ordering::Relaxed);
    }
}

/// Whether this device refuses a call of `peer` because it is calling too. Of two devices that call
/// each other at once, the call of the one with the lower fingerprint goes on.
pub fn crossed(node: &Node, peer: &Fingerprint) -> bool {
    node.dialing.load(Ordering::Relaxed) && node.info.fingerprint < *peer
}

/// Accepts an invitation: pairs with the device that made it, and with no other.
///
/// # Errors
/// The invitation has expired, and as for [`request`].
pub async fn accept(node: &Arc<Node>, invite: &Invite) -> Result<Pairing, Error> {
    request(node, &inviter(node, invite)?, node.reach_by()).await
}

/// The device that made an invitation.
///
/// # Errors
/// The invitation has expired.
pub fn inviter(node: &Node, invite: &Invite) -> Result<Target, Error> {
    if clock::unix_now() > invite.expires.saturating_add(CLOCKS) {
        return Err(Error::InvitationOver { expired: invite.expires });
    }
    Ok(Target {
        name: node.name_of(&invite.fingerprint),
        fingerprint: Some(invite.fingerprint),
        route: Route::Room(invite.relay.clone(), invite.room),
    })
}

/// How many seconds late an invitation is accepted, since the clocks of two devices differ.
const CLOCKS: i64 = 60;

/// The caller's side of the protocol.
async fn converse(node: &Arc<Node>, reached: Reached) -> Result<Pairing, Error> {
    let Reached { mut link, name, way, about } = reached;
    let source = Source::of(&way);
    let lasts = lasts(node, about.as_ref());
    let result = async {
        let (exporter, random) = begin(node, &link, source)?;
        let (me, them) = sides(node, &link, &name);
        let (requester, commitment) = Requester::start(&exporter, me.side(), them.side(), random)
            .map_err(|e| broken(&name, e))?;
        step(&mut link, &name, commitment).await?;
        let theirs = hear_step(&mut link, &name, clock::now() + HANDSHAKE).await?;
        let (compare, opening) = requester.reveal(&theirs);
        step(&mut link, &name, opening).await?;
        agree(node, &mut link, &name, lasts, compare).await
    }
    .await;
    if let Ok(pairing) = &result {
        remember(&node.home, &pairing.fingerprint, &way);
    }
    close(node, link, &name, result).await
}

/// The called side. The caller has greeted, and keeps a place among the unverified callers, which
/// resolves `unverified` when it is needed for another, until its commitment is opened. Only then
/// is the screen taken.
///
/// Returns `None` for a caller that ends before the digits are shown, so that a stranger does not
/// end the wait for the expected device.
///
/// # Errors
/// As for [`request`].
pub async fn respond(
    node: &Arc<Node>,
    mut link: TlsLink,
    name: Label,
    about: Option<About>,
    source: Source,
    unverified: oneshot::Receiver<()>,
) -> Option<Result<Pairing, Error>> {
    let exchanged = tokio::select! {
        exchanged = exchange(node, &mut link, &name, source) => exchanged,
        _ = unverified => return None,
    };
    let taken = exchanged.and_then(|compare| match node.queue.try_screen() {
        Some(turn) => Ok((compare, turn)),
        None => Err(BUSY),
    });
    let (compare, _turn) = match taken {
        Ok(taken) => taken,
        Err(reason) => {
            let fingerprint = link.peer();
            decline(link, &name, reason).await;
            // A crossed call is not refused for anything the caller did, so it is not noted.
            if reason != Reason::Crossed {
                let stranger =
                    Visitor { source, fingerprint, name: &name, wanted: StrangerRequest::Pair };
                turned_away(node, &stranger, reason);
            }
            return None;
        }
    };
    let lasts = lasts(node, about.as_ref());
    let result = agree(node, &mut link, &name, lasts, compare).await;
    Some(close(node, link, &name, result).await)
}

/// Lets the caller in, and runs the protocol up to the digits. The error is the reason that the
/// caller gets.
async fn exchange(
    node: &Node,
    link: &mut TlsLink,
    name: &Label,
    source: Source,
) -> Result<Compare, Reason> {
    if !node.approver.is_attended() {
        return Err(Reason::Unattended);
    }
    if crossed(node, &link.peer()) {
        return Err(Reason::Crossed);
    }
    if let Some((reason, _)) = node.approver.admit(&link.peer()).refusal() {
        return Err(reason);
    }
    // Checked early; the screen may still be taken before the digits are shown.
    if !node.queue.is_empty() {
        return Err(BUSY);
    }
    let exchange = async {
        welcome(node, link).await.map_err(|e| Error::link(name, e))?;
        not_oneself(node, link)?;
        let commitment = hear_step(link, name, clock::now() + HANDSHAKE).await?;
        let (exporter, random) = begin(node, link, source)?;
        let (me, them) = sides(node, link, name);
        let (responder, nonce) =
            Responder::start(&exporter, me.side(), them.side(), random, commitment)
                .map_err(|e| broken(name, e))?;
        step(link, name, nonce).await?;
        let opening = hear_step(link, name, clock::now() + HANDSHAKE).await?;
        responder.open(&opening).map_err(|e| {
            // The limit on attempts bounds how often this is told.
            node.tell(Note::Failed(broken(name, e)));
            broken(name, e)
        })
    };
    exchange.await.map_err(|error: Error| Reason::from(&error))
}

/// A device in a pairing: its fingerprint, and its name as both screens show it.
struct Named {
    fingerprint: Fingerprint,
    name: Label,
}

impl Named {
    fn side(&self) -> Side<'_> {
        Side { fingerprint: self.fingerprint, name: self.name.as_str().as_bytes() }
    }
}

fn sides(node: &Node, link: &TlsLink, name: &Label) -> (Named, Named) {
    (
        Named { fingerprint: node.info.fingerprint, name: Label::new(&node.info.name) },
        Named { fingerprint: link.peer(), name: name.clone() },
    )
}

type Inputs = (crate::secret::Secret<[u8; 32]>, crate::secret::Secret<[u8; 32]>);

fn not_oneself(node: &Node, link: &TlsLink) -> Result<(), Error> {
    if link.peer() == node.info.fingerprint {
        return Err(Error::Oneself);
    }
    Ok(())
}

/// Charges the attempt to its source, before this device sends anything that depends on a secret.
fn begin(node: &Node, link: &TlsLink, source: Source) -> Result<Inputs, Error> {
    not_oneself(node, link)?;
    attempts::charge(&node.home, &source.to_string())?;
    let exporter =
        link.exporter(EXPORTER).map_err(|e| Error::link(&Label::new("the other device"), e))?;
    Ok((exporter, clock::random()?))
}

/// Both people compare the digits. Each device sends its confirmation when its person says yes, and
/// stores the record when it has both.
async fn agree(
    node: &Arc<Node>,
    link: &mut TlsLink,
    name: &Label,
    lasts: Lasts,
    compare: Compare,
) -> Result<Pairing, Error> {
    let peer = link.peer();
    let until = node.deadline_within(ANSWER);
    let warning = known_otherwise(node, name, &peer);
    let comparison = Comparison {
        code: compare.code().to_string(),
        with: Compared::Device { peer: name.to_string(), fingerprint: peer.to_hex() },
        lasts,
        warning,
        within: until.saturating_duration_since(clock::now()),
    };
    let mut theirs = None;
    let answer = tokio::time::timeout_at(until.into(), node.approver.compare(comparison));
    tokio::pin!(answer);
    let verdict = loop {
        tokio::select! {
            verdict = &mut answer => break verdict,
            // The other person may answer first, refuse, or leave after a yes.
            heard = hear_step(link, name, until) => {
                if theirs.replace(heard?).is_some() {
                    return Err(Error::nonsense(name));
                }
            }
            () = node.interrupted() => return Err(Error::Interrupted),
        }
    };
    answered(verdict.ok())?;
    let (confirmed, mine) = compare.confirm();
    step(link, name, mine).await?;
    let theirs = match theirs {
        Some(theirs) => theirs,
        None => {
            node.tell(Event::Waiting {
                what: "the other person's answer".to_owned(),
                peers: vec![name.to_string()],
                seconds: None,
                request_id: None,
            });
            tokio::select! {
                heard = hear_step(link, name, until) => heard?,
                () = node.interrupted() => return Err(Error::Interrupted),
            }
        }
    };
    let proof = confirmed.finish(&theirs).map_err(|e| broken(name, e))?;
    Ok(record(node, name, proof.peer(), lasts)?)
}

/// Whether the person at this device has confirmed the digits; `None` if nobody answered in time.
pub(super) fn answered(verdict: Option<Verdict>) -> Result<(), Error> {
    match verdict {
        Some(Verdict::Yes) => Ok(()),
        Some(Verdict::No) => Err(Error::CodesDiffer),
        // Digits are never confirmed by a policy.
        Some(Verdict::Policy(_) | Verdict::Charged(_) | Verdict::Nobody) => {
            Err(Error::PairingNeedsAPerson)
        }
        Some(Verdict::Late | Verdict::Ask | Verdict::Later) | None => {
            Err(Error::Unanswered(Activity::Pairing))
        }
    }
}

/// The duration of a pairing with a device whose introduction is `about`. The introduction came
/// over the link that the digits authenticate, so both screens show the same.
fn lasts(node: &Node, about: Option<&About>) -> Lasts {
    match (node.remember_pairings, about.and_then(|about| about.keeps)) {
        (true, Some(_)) | (false, Some(true)) => Lasts::Kept,
        (true, None) => Lasts::KeptHere,
        (false, Some(false) | None) => Lasts::Session,
    }
}

/// Stores a device that all people have confirmed.
pub(super) fn record(
    node: &Node,
    name: &Label,
    fingerprint: Fingerprint,
    lasts: Lasts,
) -> Result<Pairing, crate::vault::Error> {
    let now = clock::unix_now();
    let peers = Peers::load(&node.home)?;
    let known = peers.known(&fingerprint).cloned();
    // Pairing again never makes a permanent pairing temporary.
    let kept =
        lasts != Lasts::Session || known.as_ref().is_some_and(|record| record.expires.is_none());
    let expires = (!kept).then(|| now.saturating_add(SESSION));
    let peer = match &known {
        Some(record) => record.name.clone(),
        None => free_name(&peers, name, &fingerprint),
    };
    let address = known.and_then(|record| record.address);
    let record = PeerRecord {
        name: peer.clone(),
        fingerprint,
        address,
        paired_at: now,
        expires,
        paired_as: None,
    };
    Peers::paired(&node.home, &record, name)?;
    attempts::reset(&node.home)?;
    Ok(Pairing { peer, fingerprint, expires })
}

/// The name under which a device that calls itself `name` is stored: that name, or one with its id
/// if the name is taken or empty.
fn free_name(peers: &Peers, name: &Label, fingerprint: &Fingerprint) -> String {
    match name.as_str() {
        "" => fingerprint.device_id().chars().take(8).collect(),
        taken if peers.named(taken).is_some() => with_id(taken, fingerprint),
        free => free.to_owned(),
    }
}

/// A warning for the person who compares the digits, if the name or the fingerprint is known
/// already.
pub(super) fn known_otherwise(
    node: &Node,
    name: &Label,
    fingerprint: &Fingerprint,
) -> Option<String> {
    let peers = Peers::load(&node.home).ok()?;
    if let Some(record) = peers.known(fingerprint) {
        return (record.name != name.as_str())
            .then(|| format!("this device is known here as {:?}", record.name));
    }
    peers.named(name.as_str()).map(|record| {
        format!(
            "another device is known here as {:?}: {}",
            record.name,
            record.fingerprint.device_id()
        )
    })
}

async fn step(link: &mut TlsLink, name: &Label, bytes: [u8; 32]) -> Result<(), Error> {
    say(link, &Message::Pair { step: Hex(bytes) }).await.map_err(|e| Error::link(name, e))
}

async fn hear_step(link: &mut TlsLink, name: &Label, until: Instant) -> Result<[u8; 32], Error> {
    match hear(link, until).await {
        Ok(Message::Pair { step }) => Ok(step.0),
        Ok(Message::Refuse { reason: Reason::Denied }) => {
            Err(Error::CodesDifferThere { peer: name.clone() })
        }
        Ok(Message::Refuse { reason }) => Err(Error::refused(name, reason)),
        Ok(_) => Err(Error::nonsense(name)),
        Err(LinkError::TimedOut) => Err(Error::timed_out(name, Awaited::Pairing)),
        Err(error) => Err(Error::link(name, error)),
    }
}

fn broken(name: &Label, error: PairError) -> Error {
    match error {
        PairError::Oneself => Error::Oneself,
        PairError::Opening | PairError::Confirmation => {
            Error::BrokenCommitment { peer: name.clone() }
        }
    }
}

/// Logs how a pairing with `others` has ended.
pub(super) fn log_pairing(node: &Node, others: &[Fingerprint], outcome: &str) {
    let others: Vec<String> = others.iter().map(Fingerprint::to_hex).collect();
    node.log(Entry {
        time: clock::unix_now(),
        ceremony: "pair".to_owned(),
        peer: others.join(","),
        outcome: outcome.to_owned(),
        ..Entry::default()
    });
}

async fn close(
    node: &Node,
    link: TlsLink,
    name: &Label,
    result: Result<Pairing, Error>,
) -> Result<Pairing, Error> {
    let outcome = match &result {
        Ok(_) => "paired",
        Err(error) => error.kind().name(),
    };
    log_pairing(node, &[link.peer()], outcome);
    match &result {
        Ok(pairing) => {
            node.tell(Event::Paired {
                peer: pairing.peer.clone(),
                fingerprint: pairing.fingerprint.to_hex(),
                expires: pairing.expires.map(clock::rfc3339),
            });
            // Closed slowly: the other side may still be reading our confirmation.
            let _ = tokio::time::timeout(Duration::from_millis(500), link.close()).await;
        }
        Err(error) => {
            node.tell(Told::Aborted { activity: Activity::Pairing, request: None, error });
            decline(link, name, Reason::from(error)).await;
        }
    }
    result
}
