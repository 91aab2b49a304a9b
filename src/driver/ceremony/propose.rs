//! The requester's side of a proposal: reaches all devices, asks, and starts when all have said
//! yes. No device is asked before all were reached and their programs have what the request needs.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::device::Label;
use crate::driver::approver::Charge;
use crate::driver::ceremony::again::Attempts;
use crate::driver::ceremony::refuse::{apart, decline, declined, leave};
use crate::driver::ceremony::started::Started;
use crate::driver::ceremony::{deletions, epochs, payload};
use crate::driver::connect::dial::reach;
use crate::driver::connect::hello::{hang_up, hear, read, say};
use crate::driver::connect::peer_links::PeerLinks;
use crate::driver::connect::resume;
use crate::driver::connect::target::{Reached, Target};
use crate::driver::error::{Ability, Awaited, Error};
use crate::driver::told::Note;
use crate::driver::{ANSWER, Node, clock, records};
use crate::net::resumable::ResumableLink;
use crate::net::{Frame, Link, LinkError};
use crate::party::PartyId;
use crate::payload::Source;
use crate::progress::{Event, RequestView};
use crate::request::{Agreed, Ceremony, Held, Hex, Question, Request};
use crate::wire::{About, Limits, Message, Proposal, Reason, Terms, Want};

/// How long to wait until the others are told that a party takes no part.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a device that was reached is kept on the line while others are not reached yet. It is
/// shorter than a device waits for a proposal.
const ON_THE_LINE: Duration = Duration::from_secs(5);

/// Shortest time between two reports of the place in another device's queue.
const BETWEEN_PLACES: Duration = Duration::from_millis(250);

/// A proposal that everybody has accepted and that is not started.
#[derive(Debug)]
pub struct Accepted {
    me: PartyId,
    accepted: Vec<Invitee>,
    agreed: Agreed,
}

/// The values that are the same for all invitees.
#[derive(Clone, Copy)]
struct Asking {
    /// The requester's contribution to the session id.
    nonce: Hex<32>,
    /// Deadline for all answers.
    answer_by: Instant,
    /// The newest epoch of the key that this device has.
    newest: Option<[u8; 32]>,
}

impl Asking {
    /// Whether the newest epoch is still the one that was proposed.
    fn is_current(&self, node: &Node, request: &Request) -> bool {
        self.newest == records::newest(&node.home, &request.key)
    }

    /// The error where no epoch is common to all. If a new epoch was stored here since, the key was
    /// changed meanwhile and the request can be repeated; else it is `error`.
    fn why_apart(&self, node: &Node, request: &Request, error: Error) -> Error {
        match self.is_current(node, request) {
            true => error,
            false => Error::ChangedMeanwhile(request.key.clone()),
        }
    }
}

/// What the task of one invitation tells about its invitee.
enum News {
    /// It was reached, and its program has what the request needs.
    Reached(PartyId),
    /// It has the proposal, and is to answer by this moment.
    Asked(PartyId, Instant),
}

/// What the task of one invitation has to do with the others.
struct Others {
    /// How many invitees there are.
    all: usize,
    /// How many of them were reached.
    reached: Arc<watch::Sender<usize>>,
    /// The party that takes no part.
    has_left: watch::Receiver<Option<PartyId>>,
    tells: mpsc::Sender<News>,
}

impl Others {
    /// Waits until a party takes no part, and returns it.
    async fn who_left(&mut self) -> PartyId {
        let left = self.has_left.wait_for(Option::is_some).await.ok().and_then(|party| *party);
        match left {
            Some(party) => party,
            None => std::future::pending().await,
        }
    }
}

/// One invited party that said yes.
#[derive(Debug)]
struct Invitee {
    party: PartyId,
    name: Label,
    link: ResumableLink,
    nonce: Hex<32>,
    held: Vec<Held>,
}

/// [`propose`] and [`Accepted::start`] together, for a requester that takes no lock in between.
///
/// # Errors
/// As for [`propose`] and [`Accepted::start`].
pub async fn propose_and_start(
    node: &Arc<Node>,
    question: &Question,
    invitees: Vec<(PartyId, Target)>,
) -> Result<Started, Error> {
    let accepted = propose(node, &question.request, invitees).await?;
    accepted.start(node, question).await
}

/// Reaches all `invitees` and asks them. No key is locked until all have said yes, so that an
/// invitee that does not answer blocks no other ceremony.
///
/// # Errors
/// Names the invitee that cannot be reached, does not answer or refuses. The others have been told.
pub async fn propose(
    node: &Arc<Node>,
    request: &Request,
    invitees: Vec<(PartyId, Target)>,
) -> Result<Accepted, Error> {
    node.can_record()?;
    let asking = Asking {
        nonce: Hex(clock::nonce()?),
        answer_by: node.deadline_or(ANSWER),
        newest: records::newest(&node.home, &request.key),
    };
    let mut called: BTreeMap<PartyId, String> =
        invitees.iter().map(|(party, target)| (*party, target.name.to_string())).collect();
    let reach_by = node.reach_by();
    tell_awaited(node, request, "connection", called.values(), Some(reach_by));
    let (tells, mut news) = mpsc::channel(invitees.len().max(1));
    let reached = Arc::new(watch::Sender::new(0));
    let all = invitees.len();
    let (leaver, has_left) = watch::channel(None);
    let mut tasks = JoinSet::new();
    for (party, target) in invitees {
        let (node, request) = (Arc::clone(node), request.clone());
        let others = Others {
            all,
            reached: Arc::clone(&reached),
            has_left: has_left.clone(),
            tells: tells.clone(),
        };
        tasks.spawn(async move {
            let invited = invite(&node, party, target, request, asking, others).await;
            (party, invited)
        });
    }
    // The invitees that have the proposal and have not answered, and the deadline of each.
    let mut asked: BTreeMap<PartyId, (String, Instant)> = BTreeMap::new();
    let mut accepted: Vec<Invitee> = Vec::new();
    let mut on_the_line: BTreeMap<PartyId, String> = BTreeMap::new();
    drop(tells);
    loop {
        tokio::select! {
            biased;
            Some(new) = news.recv() => match new {
                News::Reached(party) => {
                    on_the_line.extend(called.remove(&party).map(|name| (party, name)));
                }
                News::Asked(party, until) => {
                    asked.extend(on_the_line.remove(&party).map(|name| (party, (name, until))));
                }
            },
            (party, word) = first_word(&mut accepted) => {
                let position = accepted.iter().position(|invitee| invitee.party == party);
                let error = match position.map(|position| accepted.remove(position)) {
                    Some(invitee) => spoken(node, invitee, word, request).await,
                    None => Error::NotAParty,
                };
                return Err(dismiss_all(party, error, leaver, tasks, accepted).await);
            }
            joined = tasks.join_next() => {
                let Some(joined) = joined else { break };
                let (party, invited) =
                    joined.map_err(|_| Error::Bug("an invitation ended without an answer"))?;
                match invited {
                    Ok(invitee) => {
                        asked.remove(&invitee.party);
                        accepted.push(invitee);
                    }
                    Err(error) => {
                        return Err(dismiss_all(party, error, leaver, tasks, accepted).await);
                    }
                }
            }
        }
        let until = asked.values().map(|(_, until)| *until).min();
        tell_awaited(node, request, "approval", asked.values().map(|(name, _)| name), until);
        tell_awaited(node, request, "connection", called.values(), Some(reach_by));
    }
    let agreed = agree(request, asking.nonce, &accepted)
        .map_err(|error| asking.why_apart(node, request, error))?;
    Ok(Accepted { me: request.requester, accepted, agreed })
}

/// The invitations under way, each with its party.
type Invitations = JoinSet<(PartyId, Result<Invitee, Error>)>;

/// Ends all invitations because of `error` of `party`. The others are told which party takes no
/// part, or that this device was interrupted.
async fn dismiss_all(
    party: PartyId,
    error: Error,
    leaver: watch::Sender<Option<PartyId>>,
    mut tasks: Invitations,
    accepted: Vec<Invitee>,
) -> Error {
    let reason = match error {
        Error::Interrupted => Reason::Interrupted,
        _ => Reason::Left { party },
    };
    if let Reason::Left { .. } = reason {
        let _ = leaver.send(Some(party));
    }
    let mut goodbyes = JoinSet::new();
    let dismiss = |goodbyes: &mut JoinSet<Error>, invitee: Invitee| {
        goodbyes.spawn(async move { decline(invitee.link, &invitee.name, reason).await });
    };
    accepted.into_iter().for_each(|invitee| dismiss(&mut goodbyes, invitee));
    let told = async {
        while let Some(joined) = tasks.join_next().await {
            // An invitee that accepted at the same moment is told as well.
            if let Ok((_, Ok(invitee))) = joined {
                dismiss(&mut goodbyes, invitee);
            }
        }
        while goodbyes.join_next().await.is_some() {}
    };
    // An invitee that was not reached yet is told nothing.
    let _ = timeout(FAREWELL_TIMEOUT, told).await;
    error
}

/// The first frame of an invitee that accepted and was not started. Only a refusal is valid there.
async fn first_word(accepted: &mut [Invitee]) -> (PartyId, Result<Frame, LinkError>) {
    let mut words: Vec<_> = accepted
        .iter_mut()
        .map(|invitee| Box::pin(async move { (invitee.party, invitee.link.recv().await) }))
        .collect();
    poll_fn(|context| {
        let spoken = words.iter_mut().find_map(|word| match word.as_mut().poll(context) {
            Poll::Ready(word) => Some(word),
            Poll::Pending => None,
        });
        spoken.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The error for a frame that [`first_word`] returned. A message that is not understood is refused.
async fn spoken(
    node: &Node,
    invitee: Invitee,
    word: Result<Frame, LinkError>,
    request: &Request,
) -> Error {
    let Invitee { name, link, .. } = invitee;
    match word.and_then(|frame| read(&frame)) {
        Ok(Message::Refuse { reason }) => {
            deletions::refused(node, &link.peer(), &name, reason, request)
        }
        Ok(_) => Error::nonsense(&name),
        Err(error) => {
            let error = Error::link(&name, error);
            if let Error::NotUnderstood { .. } = error {
                decline(link, &name, Reason::from(&error)).await;
            }
            error
        }
    }
}

impl Accepted {
    /// The epoch that all use; all zeros where none is used.
    pub fn epoch(&self) -> Hex<32> {
        self.agreed.epoch
    }

    /// Starts the ceremony. All are told how many sessions this device has spent by now; this
    /// session is spent only afterwards.
    ///
    /// # Errors
    /// A link is down, the ledger cannot be read, or a required log entry cannot be written.
    pub async fn start(self, node: &Node, question: &Question) -> Result<Started, Error> {
        let Self { me, accepted, agreed } = self;
        node.begin(question)?;
        let ledger = node.ledger()?;
        let agreed = Agreed { height: ledger.height(&agreed.epoch.0), ..agreed };
        let mut links = PeerLinks::new(me, me);
        let mut held = BTreeMap::new();
        let mut told = Vec::new();
        for mut invitee in accepted {
            let start = Message::Start(agreed.clone());
            if say(&mut invitee.link, &start).await.is_err() {
                // A refusal may have arrived before the link broke.
                let word = invitee.link.recv().await;
                return Err(spoken(node, invitee, word, &question.request).await);
            }
            told.push(invitee);
        }
        for invitee in told {
            let known = epochs::at_least_known(ledger, invitee.party, &invitee.held);
            held.insert(invitee.party, known);
            links.add(node, invitee.party, invitee.name, invitee.link);
        }
        // Flushed now, since this device computes and writes to the disk next.
        links.flush().await;
        let id = question.ceremony_id(&agreed);
        Ok(Started { links, id, agreed, held, charge: Charge::default() })
    }

    /// Awaits `taking`, which takes this device's locks, and declines if it fails. Locks are taken
    /// only after everybody has said yes, so that other ceremonies need not wait for the answers.
    ///
    /// # Errors
    /// `taking` failed. Everybody was told why.
    pub async fn or_decline<T>(
        self,
        taking: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Self), Error> {
        match taking.await {
            Ok(taken) => Ok((taken, self)),
            Err(error) => {
                let reason = Reason::from(&error);
                let told = self.accepted.into_iter().map(|invitee| async move {
                    decline(invitee.link, &invitee.name, reason).await
                });
                join_all(told).await;
                Err(error)
            }
        }
    }
}

/// The agreed epochs, once all have accepted.
fn agree(request: &Request, nonce: Hex<32>, accepted: &[Invitee]) -> Result<Agreed, Error> {
    let mine = epochs::names(request.epochs());
    let mut all: BTreeMap<PartyId, (Hex<32>, Vec<Hex<32>>)> =
        accepted.iter().map(|g| (g.party, (g.nonce, epochs::names(&g.held)))).collect();
    all.insert(request.requester, (nonce, mine.clone()));
    let (nonces, held): (Vec<_>, Vec<_>) = all.into_values().unzip();
    let epoch = epochs::agreed(request.ceremony(), &mine, &held).ok_or_else(|| {
        let theirs = accepted.iter().map(|invitee| (invitee.name.clone(), invitee.held.clone()));
        apart(&request.key, request.epochs(), theirs.collect())
    })?;
    Ok(Agreed { nonces, held, epoch, height: 0 })
}

/// Tells that answers of `names` are awaited, and for how long; nothing if there are none.
fn tell_awaited<'a>(
    node: &Node,
    request: &Request,
    what: &str,
    names: impl Iterator<Item = &'a String>,
    until: Option<Instant>,
) {
    let peers: Vec<String> = names.cloned().collect();
    if !peers.is_empty() {
        let seconds = until.map(seconds_until);
        let (what, request_id) = (what.to_owned(), Some(request.id.clone()));
        node.tell(Event::Waiting { what, peers, seconds, request_id });
    }
}

/// Asks one device, and repeats it if the device is busy. The answers of the others stay valid
/// meanwhile.
async fn invite(
    node: &Arc<Node>,
    party: PartyId,
    target: Target,
    request: Request,
    mut asking: Asking,
    mut others: Others,
) -> Result<Invitee, Error> {
    let mut attempts = Attempts::until(asking.answer_by);
    let mut is_met = false;
    loop {
        let reached = match is_met {
            false => meet(node, party, &target, &request, &mut others).await,
            true => call(node, &target, &request).await.map(Some),
        };
        if !is_met && reached.is_ok() {
            is_met = true;
            // The time to answer begins when everybody can be asked.
            asking.answer_by = node.deadline_or(ANSWER);
        }
        let answer = match reached {
            Ok(Some(reached)) => {
                ask(node, party, &target, reached, &request, asking, &mut others).await
            }
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        let busy = match answer {
            Err(busy @ Error::Refused { reason: Reason::Busy { .. }, .. }) => busy,
            answered => return answered,
        };
        let again = tokio::select! {
            biased;
            () = node.interrupted() => return Err(Error::Interrupted),
            again = attempts.again(node, &busy) => again && asking.is_current(node, &request),
            _ = others.who_left() => false,
        };
        if !again {
            return Err(busy);
        }
    }
}

/// Reaches one device, and waits until the others were reached as well. Returns the connection, if it
/// did not have to be given up meanwhile.
async fn meet(
    node: &Arc<Node>,
    party: PartyId,
    target: &Target,
    request: &Request,
    others: &mut Others,
) -> Result<Option<Reached>, Error> {
    let reached = call(node, target, request).await?;
    let _ = others.tells.send(News::Reached(party)).await;
    others.reached.send_modify(|count| *count = count.saturating_add(1));
    let (mut count, all) = (others.reached.subscribe(), others.all);
    let everybody = async move {
        // The sender is in `others`, so this cannot fail.
        let _ = count.wait_for(|count| *count >= all).await;
    };
    tokio::pin!(everybody);
    tokio::select! {
        biased;
        () = node.interrupted() => return Err(leave(reached.link, &target.name).await),
        () = &mut everybody => return Ok(Some(reached)),
        party = others.who_left() => {
            return Err(decline(reached.link, &target.name, Reason::Left { party }).await);
        }
        () = sleep(ON_THE_LINE) => hang_up(reached.link).await,
    }
    tokio::select! {
        biased;
        () = node.interrupted() => Err(Error::Interrupted),
        () = &mut everybody => Ok(None),
        party = others.who_left() => Err(declined(&target.name, Reason::Left { party })),
    }
}

/// Reaches one device, and checks that its program has what `request` needs.
async fn call(node: &Arc<Node>, target: &Target, request: &Request) -> Result<Reached, Error> {
    let reached = reach(node, target, Want::Ceremony, node.reach_by()).await?;
    node.tell(Event::Connected {
        peer: target.name.to_string(),
        via: reached.way.to_string(),
        resumed: false,
        request_id: Some(request.id.clone()),
    });
    if let Some(ability) = lacking(reached.about.as_ref(), request) {
        let program = reached.about.map(|about| about.program);
        let peer = target.name.clone();
        decline(reached.link, &peer, Reason::Aborted).await;
        return Err(Error::Unsupported { peer, program, ability });
    }
    Ok(reached)
}

/// Asks the device that was reached, and waits for its answer.
async fn ask(
    node: &Arc<Node>,
    party: PartyId,
    target: &Target,
    reached: Reached,
    request: &Request,
    asking: Asking,
    others: &mut Others,
) -> Result<Invitee, Error> {
    let Asking { nonce, answer_by, .. } = asking;
    let name = target.name.to_string();
    let mut link = resume::call(node, target, reached);
    let seconds = u32::try_from(seconds_until(answer_by)).unwrap_or(u32::MAX);
    let mut proposal = Proposal::new(request, Terms { nonce, seconds });
    // Counted again: other sessions may have been spent meanwhile.
    let ledger = node.ledger()?;
    proposal.epochs = epochs::counted_anew(ledger, request.epochs());
    let asked = ledger.heights();
    deletions::tell(node, &mut link).await.map_err(|e| Error::link(&target.name, e))?;
    say(&mut link, &Message::Propose(Box::new(proposal)))
        .await
        .map_err(|e| Error::link(&target.name, e))?;
    if let Some(payload) = request.payload() {
        // A failure is ignored: the answer has the reason.
        let _ = payload::send(&mut link, payload).await;
    }
    let _ = others.tells.send(News::Asked(party, answer_by)).await;
    let answer = tokio::select! {
        answer = answer(node, &mut link, &name, request, answer_by) => answer,
        () = node.interrupted() => return Err(leave(link, &target.name).await),
        party = others.who_left() => {
            return Err(decline(link, &target.name, Reason::Left { party }).await);
        }
    };
    match answer {
        Ok(Message::Accept { nonce, held }) if is_answer(&held, request) => {
            // A refresh is allowed: it is the remedy for a device that was rolled back.
            let signs = request.signing().is_some();
            if signs && epochs::is_rolled_back(&asked, party, &held) {
                decline(link, &target.name, Reason::Aborted).await;
                let (peer, key) = (target.name.clone(), request.key.clone());
                return Err(Error::RolledBackThere { peer, key });
            }
            deletions::refuted(node, &link.peer(), request);
            Ok(Invitee { party, name: target.name.clone(), link, nonce, held })
        }
        Ok(Message::Apart { held }) => {
            let error = apart(&request.key, request.epochs(), vec![(target.name.clone(), held)]);
            Err(asking.why_apart(node, request, error))
        }
        Ok(Message::Refuse { reason }) => {
            Err(deletions::refused(node, &link.peer(), &target.name, reason, request))
        }
        Ok(_) => Err(Error::nonsense(&target.name)),
        Err(LinkError::TimedOut) => Err(Error::timed_out(&target.name, Awaited::Approval)),
        Err(error) => {
            hang_up(link).await;
            Err(Error::link(&target.name, error))
        }
    }
}

/// The ability that `request` needs and the program lacks. A program without an introduction has
/// those of the first version.
fn lacking(about: Option<&About>, request: &Request) -> Option<Ability> {
    let (ceremony, kind) = (request.ceremony(), request.source().kind());
    let shows = about.is_some_and(|about| about.shows(kind));
    let at_once = about.map_or_else(Limits::default, |about| about.limits).files;
    let files = match request.source() {
        Source::Files { files, .. } => files.len(),
        _ => 0,
    };
    let can = about.map_or(!matches!(ceremony, Ceremony::Reshare | Ceremony::Import), |about| {
        about.can(ceremony)
    });
    let has_curve =
        about.map_or(request.curve.is_unnamed(), |about| about.has_curve(request.curve));
    if !can {
        Some(Ability::Ceremony(ceremony))
    } else if !has_curve {
        Some(Ability::Curve(request.curve))
    } else if request.payload().is_some() && !shows {
        Some(Ability::Payload(kind))
    } else if u32::try_from(files).is_ok_and(|files| files > at_once) {
        Some(Ability::Files(files))
    } else {
        None
    }
}

/// Waits for the answer to a proposal. Before its owner is asked, the device may send how many
/// requests are before this one.
async fn answer(
    node: &Node,
    link: &mut ResumableLink,
    name: &str,
    request: &Request,
    answer_by: Instant,
) -> Result<Message, LinkError> {
    let (mut told, mut place, mut quiet_until) = (None, None, clock::now());
    loop {
        // Reports of the place are throttled; the latest is always shown.
        let untold = place.filter(|_| place != told);
        let message = tokio::select! {
            message = hear(link, answer_by) => message?,
            () = sleep_until(quiet_until.into()), if untold.is_some() => {
                quiet_until = clock::now() + BETWEEN_PLACES;
                told = untold;
                if let Some(before) = untold {
                    let (peer, request_id) = (name.to_owned(), Some(request.id.clone()));
                    node.tell(Event::Behind { peer, before, request_id });
                }
                continue;
            }
        };
        match message {
            Message::Queued { before } => place = Some(before),
            answer => return Ok(answer),
        }
    }
}

/// Whether `held` are some of the epochs that `request` offers: none for a new key. In a reshare a new
/// party has none.
fn is_answer(held: &[Held], request: &Request) -> bool {
    let offered = request.epochs();
    let is_new = held.is_empty() && request.resharing().is_some();
    let offers = |held: &Held| offered.iter().any(|other| other.epoch == held.epoch);
    (held.is_empty() == offered.is_empty() || is_new)
        && held.len() <= offered.len()
        && held.iter().all(offers)
}

fn seconds_until(moment: Instant) -> u64 {
    moment.saturating_duration_since(clock::now()).as_secs()
}

/// Shows the owner of this device, the requester, the hash that the others see and compare with.
pub fn announce(node: &Node, question: &Question) {
    if question.request.resharing().is_some() {
        node.tell(Note::Resharing(Box::new(RequestView::of(question))));
    }
    let digest = question.request.digest().map(|digest| Hex(*digest));
    node.tell(Note::Asking { digest, hash: question.hash() });
}
