//! The invited side of a proposal: asks the owner of this device, answers, and opens the links to
//! the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::device::{Fingerprint, Label};
use crate::driver::approver::backoff::Admission;
use crate::driver::approver::queue::Moved;
use crate::driver::approver::{Charge, Verdict};
use crate::driver::ceremony::epochs;
use crate::driver::ceremony::refuse::{decline, declined, leave};
use crate::driver::ceremony::started::Started;
use crate::driver::connect::hello::{hang_up, hear, read, say};
use crate::driver::connect::peer_links::{PeerLinks, party_label};
use crate::driver::error::{Activity, Awaited, Error};
use crate::driver::{HELLO, Node, clock};
use crate::net::resumable::ResumableLink;
use crate::net::{Frame, Link, LinkError};
use crate::party::PartyId;
use crate::progress::QueuedRequest;
use crate::request::{Agreed, Held, Hex, Question, Request};
use crate::wire::{BUSY, Message, Reason, Terms};

/// The longest that a requester is waited for. No link lives longer.
const LINK_LIFE: Duration = Duration::from_secs(30 * 60);

/// How long the requester may take to start after everybody has said yes.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// What the owner of an invited device is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: the owner approved it before, and this only finishes it.
    Nothing,
    /// Whether to take part.
    Approval,
    /// Whether to take part with these devices, which are banned, and new shares end that.
    Pardon(Vec<Label>),
}

/// The invited side: asks the owner of this device, says yes, and opens the links to the others.
///
/// `offer` are those of the requester's epochs that this device offers, the newest first.
///
/// # Errors
/// The owner says no, the requester withdraws, or another participant does not appear. A no has
/// been sent by then.
pub async fn accept(
    node: &Arc<Node>,
    mut link: ResumableLink,
    question: &Question,
    terms: &Terms,
    offer: Vec<Held>,
    ask: Ask,
) -> Result<Started, Error> {
    let request = &question.request;
    let name = node.name_of(&link.peer());
    let Some(me) = request.signer(&node.info.fingerprint) else {
        return Err(decline(link, &name, Reason::NotPaired).await);
    };
    let requester = request.requester;
    // With `require_log` an unwritable log ends the request before the owner is asked.
    if let Err(error) = node.can_record() {
        decline(link, &name, Reason::Aborted).await;
        return Err(error);
    }
    // Capped at the link's lifetime: `seconds` is the requester's word.
    let answer_within = Duration::from_secs(u64::from(terms.seconds)).min(LINK_LIFE);
    let charge = match approve(node, &mut link, question, &ask, answer_within).await {
        Ok(charge) => charge,
        Err(error) => {
            decline(link, &name, Reason::from(&error)).await;
            return Err(error);
        }
    };
    if let Err(error) = node.begin(question) {
        decline(link, &name, Reason::Aborted).await;
        return Err(error);
    }
    let nonce = Hex(clock::nonce()?);
    let mine = epochs::names(&offer);
    // Read again: sessions may have been spent while the owner was asked.
    let ledger = match node.ledger() {
        Ok(ledger) => ledger,
        Err(error) => {
            decline(link, &name, Reason::Aborted).await;
            return Err(error);
        }
    };
    let (held, asked) = (epochs::counted_anew(ledger, &offer), ledger.heights());
    say(&mut link, &Message::Accept { nonce, held }).await.map_err(|e| Error::link(&name, e))?;
    // With two signers nobody else is awaited, so the requester starts at once.
    let others = request.signers.len() > 2;
    let start_within =
        if others { answer_within.saturating_add(START_TIMEOUT) } else { START_TIMEOUT };
    let start = tokio::select! {
        start = hear(&mut link, node.deadline_within(start_within)) => start,
        () = node.interrupted() => return Err(leave(link, &name).await),
    };
    let agreed = match start {
        Ok(Message::Start(agreed)) => agreed,
        Ok(Message::Refuse { reason: Reason::Left { party } }) => {
            return Err(left(question, party));
        }
        Ok(Message::Refuse { reason }) => {
            return Err(Error::refused_in(&name, reason, request.ceremony(), &request.key));
        }
        Ok(_) => return Err(Error::nonsense(&name)),
        Err(LinkError::Closed | LinkError::Lost | LinkError::Io(_)) => {
            return Err(Error::Withdrawn { peer: name });
        }
        Err(LinkError::TimedOut) => {
            decline(link, &name, Reason::TimedOut).await;
            return Err(Error::timed_out(&name, Awaited::Start));
        }
        Err(error) => {
            hang_up(link).await;
            return Err(Error::link(&name, error));
        }
    };
    if !is_sound(request, terms, (me, &nonce, &mine), &agreed) {
        return Err(Error::nonsense(&name));
    }
    let now = |held: &Held| match held.epoch == agreed.epoch {
        true => Held { height: agreed.height, ..*held },
        false => *held,
    };
    let held: Vec<Held> = request.epochs().iter().map(now).collect();
    // Only the agreed epoch's height is fresh; the others are from the proposal and are not
    // compared.
    let answers: Vec<Held> =
        held.iter().filter(|held| held.epoch == agreed.epoch).copied().collect();
    if request.signing().is_some() && epochs::is_rolled_back(&asked, requester, &answers) {
        decline(link, &name, Reason::RolledBack).await;
        return Err(Error::RolledBackThere { peer: name, key: request.key.clone() });
    }
    let mut links = PeerLinks::new(me, requester);
    links.add(node, requester, name, link);
    let others: BTreeMap<PartyId, (Label, Fingerprint)> = request
        .signers
        .iter()
        .filter(|party| **party != me && **party != requester)
        .filter_map(|party| Some((*party, (question.name(*party), request.fingerprint(*party)?))))
        .collect();
    let held = BTreeMap::from([(requester, held)]);
    if let Err(error) = links.connect_others(node, &others, node.deadline_within(HELLO)).await {
        links.abort().await;
        return Err(error);
    }
    let id = question.ceremony_id(&agreed);
    Ok(Started { links, id, agreed, held, charge })
}

/// Whether the requester's summary of all answers is valid: it has every signer, it repeats what
/// this device and the requester said, and it names the newest epoch that all have in common.
fn is_sound(
    request: &Request,
    terms: &Terms,
    (me, nonce, mine): (PartyId, &Hex<32>, &[Hex<32>]),
    agreed: &Agreed,
) -> bool {
    let Agreed { nonces, held, epoch, height } = agreed;
    let announced = request.epochs().iter().find(|held| held.epoch == *epoch);
    let position = |party: PartyId| request.signers.iter().position(|signer| *signer == party);
    let said = |party: PartyId| position(party).and_then(|i| nonces.get(i).zip(held.get(i)));
    let theirs = epochs::names(request.epochs());
    nonces.len() == request.signers.len()
        && held.len() == request.signers.len()
        && said(me).is_some_and(|(n, h)| n == nonce && h == mine)
        && said(request.requester).is_some_and(|(n, h)| *n == terms.nonce && *h == theirs)
        && epochs::agreed(request.ceremony(), mine, held) == Some(*epoch)
        && announced.is_none_or(|held| held.height <= *height)
}

/// Asks the owner if `ask` says so. Stops when the requester is gone or the time is up.
async fn approve(
    node: &Node,
    link: &mut ResumableLink,
    question: &Question,
    ask: &Ask,
    answer_within: Duration,
) -> Result<Charge, Error> {
    let until = node.deadline_within(answer_within);
    let verdict = match ask {
        Ask::Nothing => return Ok(Charge::default()),
        Ask::Approval if node.queue.is_closed() => {
            return Err(declined(&question.name(question.request.requester), BUSY));
        }
        Ask::Approval => {
            let asked = node.approver.approve(with_time(question, until));
            answered(node, link, question, until, asked).await?
        }
        Ask::Pardon(_) => Verdict::Ask,
    };
    match verdict {
        Verdict::Ask => ask_a_person(node, link, question, ask, until).await,
        verdict => charged(question, verdict),
    }
}

/// Puts the request before the owner when its turn has come. Until then the requester is told its
/// place in the queue.
async fn ask_a_person(
    node: &Node,
    link: &mut ResumableLink,
    question: &Question,
    ask: &Ask,
    until: Instant,
) -> Result<Charge, Error> {
    let (ceremony, requester) = (question.request.ceremony(), question.request.requester);
    let (mut is_told, name) = (false, question.name(requester));
    let (peer, key) = (name.to_string(), question.key.clone());
    let request_id = question.request.id.clone();
    let waiting = QueuedRequest { peer, ceremony, key, request_id };
    let mut place = node.queue.join(link.peer(), waiting);
    admitted(&name, node.approver.admit(&link.peer()))?;
    loop {
        loop {
            let moved = answered(node, link, question, until, place.moved()).await;
            let told = match moved {
                Ok(Moved::Shown) => break,
                Ok(Moved::Behind(before)) => tell_place(link, &name, before).await,
                Ok(Moved::Closed) => return Err(declined(&name, BUSY)),
                // The request timed out in the queue, so the owner has not seen it.
                Err(Error::Unanswered(_)) => Err(declined(&name, Reason::TimedOut)),
                Err(error) => Err(error),
            };
            is_told = true;
            // Leaving the queue counts as a withdrawn request, so that it starts the same back-off
            // as on the screen.
            told.inspect_err(|_| node.approver.withdrawn(&link.peer()))?;
        }
        // Checked again: the owner may have said no to an earlier request of this device meanwhile.
        admitted(&name, node.approver.admit_waiting(&link.peer()))?;
        // A request that never waited sends no place.
        if std::mem::take(&mut is_told) {
            tell_place(link, &name, 0).await?;
        }
        let asked = with_time(question, until);
        let answer = match ask {
            Ask::Pardon(banned) => node.approver.pardon(asked, banned),
            Ask::Approval | Ask::Nothing => node.approver.ask(asked),
        };
        match answered(node, link, question, until, answer).await? {
            Verdict::Later => place.let_others_first(),
            verdict => return charged(question, verdict),
        }
    }
}

/// Tells the requester, called `name`, how many requests are before this one.
async fn tell_place(link: &mut ResumableLink, name: &Label, before: usize) -> Result<(), Error> {
    let before = u16::try_from(before).unwrap_or(u16::MAX);
    say(link, &Message::Queued { before }).await.map_err(|error| Error::link(name, error))
}

/// Whether the owner may be asked about a request of the device `name` now.
fn admitted(name: &Label, admission: Admission) -> Result<(), Error> {
    match admission.refusal() {
        None => Ok(()),
        Some((reason, first)) => Err(Error::TurnedAway { peer: name.clone(), reason, first }),
    }
}

/// `question`, with the seconds left until the moment `until`.
fn with_time(question: &Question, until: Instant) -> Question {
    let seconds = until.saturating_duration_since(clock::now()).as_secs();
    Question { seconds, ..question.clone() }
}

/// The outcome of `answer`, unless the requester is gone or the time is up before.
async fn answered<T>(
    node: &Node,
    link: &mut ResumableLink,
    question: &Question,
    until: Instant,
    answer: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::select! {
        answer = timeout_at(until.into(), answer) => {
            let activity = Activity::Ceremony(question.request.ceremony());
            answer.map_err(|_| Error::Unanswered(activity))
        }
        word = link.recv() => Err(gone(question, word)),
        () = node.interrupted() => Err(Error::Interrupted),
    }
}

/// The charge of a yes, or the error for any other verdict.
fn charged(question: &Question, verdict: Verdict) -> Result<Charge, Error> {
    let ceremony = question.request.ceremony();
    match verdict {
        Verdict::Yes => Ok(Charge::default()),
        Verdict::Charged(charge) => Ok(charge),
        Verdict::No => Err(Error::Denied(ceremony)),
        Verdict::Policy(refusal) => {
            let requester = question.name(question.request.requester);
            Err(Error::Policy { ceremony, requester, refusal })
        }
        Verdict::Nobody => Err(Error::NobodyToAsk),
        Verdict::Late | Verdict::Ask | Verdict::Later => {
            Err(Error::Unanswered(Activity::Ceremony(ceremony)))
        }
    }
}

/// The error for what the requester sends, or for its broken link, before its request is answered.
/// Only a withdrawal is valid then.
fn gone(question: &Question, word: Result<Frame, LinkError>) -> Error {
    let requester = question.name(question.request.requester);
    match word.and_then(|frame| read(&frame)) {
        Err(error @ (LinkError::Lost | LinkError::NotUnderstood(_))) => {
            Error::link(&requester, error)
        }
        Ok(Message::Refuse { reason: Reason::Left { party } }) => left(question, party),
        _ => Error::Withdrawn { peer: requester },
    }
}

/// The requester says that this party has left.
fn left(question: &Question, party: PartyId) -> Error {
    let signer = question.request.signers.iter().find(|signer| **signer == party);
    let who = signer.map_or_else(|| party_label(party), |party| question.name(*party));
    Error::Left { peer: question.name(question.request.requester), who }
}
