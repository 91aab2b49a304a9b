//! Getting everybody to the table: propose, approve, start.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::device::{Fingerprint, Label, hex};
use crate::net::line::Line;
use crate::net::{Frame, Link, LinkError};
use crate::party::PartyId;
use crate::progress::Event;
use crate::report::{self, Code, Failure};
use crate::request::{Agreed, Held, Hex, Question, Request};
use crate::run::judge::{Charge, Verdict};
use crate::run::patience::Admission;
use crate::run::reach::{Target, hear, reach, say};
use crate::run::table::Table;
use crate::run::{ANSWER, HELLO, Node, REACH, clock, deletions, epochs, lines};
use crate::talk::{Message, Proposal, Reason, Terms, Want};
use crate::vault::Ledger;

/// The longest a requester can be waited for: a link lives no longer.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How long a request waits while another one is on the screen.
const TURN: Duration = Duration::from_secs(15);

/// How long a requester to whom everybody has said yes may take to start.
const START: Duration = Duration::from_secs(15);

/// How long it may take to tell the others that somebody takes no part.
const FAREWELL: Duration = Duration::from_secs(1);

/// Everybody has agreed and is linked to everybody else.
#[derive(Debug)]
pub struct Convened {
    /// The links.
    pub table: Table,
    /// The id of this ceremony, the same for all.
    pub id: [u8; 32],
    /// What all have agreed on.
    pub agreed: Agreed,
    /// What each of the others says of the epochs it offered, by party index.
    pub held: BTreeMap<u8, Vec<Held>>,
    /// What the owner's yes was charged.
    pub charge: Charge,
}

impl Convened {
    /// How many sessions each of the others has spent in the epoch that is used, by party index.
    pub fn heights(&self) -> BTreeMap<u8, u64> {
        let height = |held: &Vec<Held>| {
            held.iter().find(|held| held.epoch == self.agreed.epoch).map(|held| held.height)
        };
        self.held.iter().filter_map(|(party, held)| Some((*party, height(held)?))).collect()
    }
}

/// What the owner of an invited device is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: the owner has said yes before, and this only finishes it.
    Nothing,
    /// Whether to take part.
    Approval,
    /// Whether to take part with a device that was banned.
    Pardon,
}

/// Everybody has said yes, and nothing has begun.
#[derive(Debug)]
pub struct Gathered {
    me: u8,
    accepted: Vec<Guest>,
    agreed: Agreed,
}

/// One invited party that said yes.
#[derive(Debug)]
struct Guest {
    party: u8,
    name: Label,
    link: Line,
    nonce: Hex<32>,
    held: Vec<Held>,
}

/// The requester's side where it holds nothing that others of its ceremonies wait for: reaches everybody in
/// `guests`, asks, and starts when all said yes.
///
/// # Errors
/// As for [`gather`] and [`Gathered::start`].
pub async fn convene(
    node: &Arc<Node>,
    question: &Question,
    guests: Vec<(u8, Target)>,
) -> Result<Convened, Failure> {
    let gathered = gather(node, &question.request, guests).await?;
    let epoch = gathered.epoch();
    let height = Ledger::open(&node.home)?.height(&epoch.0);
    gathered.start(node, question, height).await
}

/// Tells the owner of this device, which asks, what the others see: they approve by how it begins.
pub fn announce(node: &Node, question: &Question) {
    let message = match question.request.digest() {
        Some(digest) => report::asking("digest", &hex(digest)),
        None => report::asking("hash", &question.hash().to_string()),
    };
    node.tell(Event::Note { message });
}

/// The requester's side: reaches everybody in `guests` and asks. Until all have said yes this device holds no
/// key, so that who does not answer keeps nobody from one.
///
/// # Errors
/// Who cannot be reached, does not answer or says no is named; the others are let go.
pub async fn gather(
    node: &Arc<Node>,
    request: &Request,
    guests: Vec<(u8, Target)>,
) -> Result<Gathered, Failure> {
    node.can_record()?;
    let nonce = Hex(clock::nonce()?);
    let mut called: BTreeMap<u8, String> =
        guests.iter().map(|(party, target)| (*party, target.name.to_string())).collect();
    tell_awaited(node, "connection", called.values(), None);
    let (proposed, mut at_table) = mpsc::channel(guests.len().max(1));
    let (leaver, has_left) = watch::channel(None);
    let mut tasks = JoinSet::new();
    for (party, target) in guests {
        let (node, request, proposed) = (Arc::clone(node), request.clone(), proposed.clone());
        let others = has_left.clone();
        tasks.spawn(async move {
            (party, invite(&node, party, target, request, nonce, proposed, others).await)
        });
    }
    // Who has the proposal and has not answered, and until when it may.
    let mut asked: BTreeMap<u8, (String, Instant)> = BTreeMap::new();
    let mut accepted: Vec<Guest> = Vec::new();
    drop(proposed);
    loop {
        tokio::select! {
            biased;
            Some((party, until)) = at_table.recv() => {
                asked.extend(called.remove(&party).map(|name| (party, (name, until))));
            }
            (party, word) = first_word(&mut accepted) => {
                let guest = accepted.iter().find(|guest| guest.party == party);
                let failure = guest.map_or_else(report::not_a_party, |g| spoken(node, g, word, request));
                accepted.retain(|guest| guest.party != party);
                return Err(let_go(party, failure, leaver, tasks, accepted).await);
            }
            joined = tasks.join_next() => {
                let Some(joined) = joined else { break };
                let (party, invited) =
                    joined.map_err(|_| report::bug("an invitation ended without an answer"))?;
                match invited {
                    Ok(guest) => {
                        asked.remove(&guest.party);
                        accepted.push(guest);
                    }
                    Err(failure) => {
                        return Err(let_go(party, failure, leaver, tasks, accepted).await);
                    }
                }
            }
        }
        let until = asked.values().map(|(_, until)| *until).min();
        tell_awaited(node, "approval", asked.values().map(|(name, _)| name), until);
        tell_awaited(node, "connection", called.values(), None);
    }
    let agreed = agree(request, nonce, &accepted)?;
    Ok(Gathered { me: request.requester.get(), accepted, agreed })
}

/// An invitation under way, and whose.
type Invitations = JoinSet<(u8, Result<Guest, Failure>)>;

/// `party` takes no part, which `failure` says. The others are told who it was, and not that this device
/// has thought better of it; unless it was interrupted, and has.
async fn let_go(
    party: u8,
    failure: Failure,
    leaver: watch::Sender<Option<u8>>,
    mut tasks: Invitations,
    accepted: Vec<Guest>,
) -> Failure {
    let reason = match failure.code {
        Code::Interrupted => Reason::Interrupted,
        _ => Reason::Left { party },
    };
    if let Reason::Left { .. } = reason {
        let _ = leaver.send(Some(party));
    }
    let mut goodbyes = JoinSet::new();
    for guest in accepted {
        goodbyes.spawn(async move { decline(guest.link, &guest.name, reason).await });
    }
    let told = async {
        while goodbyes.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    };
    // Who is still being called hears nothing.
    let _ = timeout(FAREWELL, told).await;
    failure
}

/// What one of those who said yes says before it is started. It has nothing to say but that it leaves.
async fn first_word(accepted: &mut [Guest]) -> (u8, Result<Frame, LinkError>) {
    let mut words: Vec<_> = accepted
        .iter_mut()
        .map(|guest| Box::pin(async move { (guest.party, guest.link.recv().await) }))
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

/// Why there is no ceremony with a guest that spoke too early.
fn spoken(
    node: &Node,
    guest: &Guest,
    word: Result<Frame, LinkError>,
    request: &Request,
) -> Failure {
    match word.map(|frame| Message::from_bytes(&frame.payload)) {
        Ok(Ok(Message::Refuse { reason })) => {
            deletions::refused(node, &guest.link.peer(), &guest.name, reason, request)
        }
        Ok(_) => report::nonsense(guest.name.as_str()),
        Err(error) => report::link(guest.name.as_str(), &error),
    }
}

impl Gathered {
    /// The epoch that all use; all zeros where none is used.
    pub fn epoch(&self) -> Hex<32> {
        self.agreed.epoch
    }

    /// Begins, now that this device, which has spent `height` sessions under the epoch, has in hand what it
    /// needs.
    ///
    /// # Errors
    /// A link is down, or the beginning cannot be written down and must be.
    pub async fn start(
        self,
        node: &Node,
        question: &Question,
        height: u64,
    ) -> Result<Convened, Failure> {
        let Self { me, mut accepted, agreed } = self;
        node.begin(question)?;
        let agreed = Agreed { height, ..agreed };
        let mut table = Table::new(me, me);
        let mut held = BTreeMap::new();
        for guest in &mut accepted {
            say(&mut guest.link, &Message::Start(agreed.clone()))
                .await
                .map_err(|e| report::link(guest.name.as_str(), &e))?;
        }
        for guest in accepted {
            held.insert(guest.party, guest.held);
            table.seat(node, guest.party, guest.name, guest.link);
        }
        let id = question.ceremony_id(&agreed);
        Ok(Convened { table, id, agreed, held, charge: Charge::default() })
    }

    /// Lets everybody go.
    pub async fn dismiss(self, reason: Reason) {
        for guest in self.accepted {
            decline(guest.link, &guest.name, reason).await;
        }
    }
}

/// What all have in common once everybody has said yes.
fn agree(request: &Request, nonce: Hex<32>, accepted: &[Guest]) -> Result<Agreed, Failure> {
    let mine = epochs::names(request.epochs());
    let mut all: BTreeMap<u8, (Hex<32>, Vec<Hex<32>>)> =
        accepted.iter().map(|g| (g.party, (g.nonce, epochs::names(&g.held)))).collect();
    all.insert(request.requester.get(), (nonce, mine.clone()));
    let (nonces, held): (Vec<_>, Vec<_>) = all.into_values().unzip();
    let epoch = epochs::agreed(request.ceremony(), &mine, &held).ok_or_else(|| {
        let theirs = accepted.iter().map(|guest| (guest.name.as_str(), guest.held.as_slice()));
        report::apart(&request.key, request.epochs(), &theirs.collect::<Vec<_>>())
    })?;
    Ok(Agreed { nonces, held, epoch, height: 0 })
}

/// Tells that `names` are awaited, if anybody is, and for how long.
fn tell_awaited<'a>(
    node: &Node,
    what: &str,
    names: impl Iterator<Item = &'a String>,
    until: Option<Instant>,
) {
    let peers: Vec<String> = names.cloned().collect();
    if !peers.is_empty() {
        let seconds = until.map(seconds_until);
        node.tell(Event::Waiting { what: what.to_owned(), peers, seconds });
    }
}

fn seconds_until(moment: Instant) -> u64 {
    moment.saturating_duration_since(clock::now()).as_secs()
}

async fn invite(
    node: &Arc<Node>,
    party: u8,
    target: Target,
    request: Request,
    nonce: Hex<32>,
    proposed: mpsc::Sender<(u8, Instant)>,
    mut others: watch::Receiver<Option<u8>>,
) -> Result<Guest, Failure> {
    let name = target.name.to_string();
    let reached = reach(node, &target, Want::Ceremony, node.until(REACH)).await?;
    node.tell(Event::Connected {
        peer: name.clone(),
        via: reached.way.to_string(),
        resumed: false,
    });
    let mut link = lines::call(node, &target, reached);
    // Whoever was busy until now has less time left than there was at the beginning.
    let answer_by = node.patience(ANSWER);
    let seconds = u32::try_from(seconds_until(answer_by)).unwrap_or(u32::MAX);
    let mut proposal = Proposal::new(&request, Terms { nonce, seconds });
    // And more sessions may be spent.
    proposal.epochs = epochs::counted_anew(&Ledger::open(&node.home)?, request.epochs());
    deletions::tell(node, &mut link).await.map_err(|e| report::link(&name, &e))?;
    say(&mut link, &Message::Propose(Box::new(proposal)))
        .await
        .map_err(|e| report::link(&name, &e))?;
    let _ = proposed.send((party, answer_by)).await;
    let answer = tokio::select! {
        answer = hear(&mut link, answer_by) => answer,
        () = node.interrupted() => return Err(leave(link, &target.name).await),
        party = who_left(&mut others) => {
            return Err(decline(link, &target.name, Reason::Left { party }).await);
        }
    };
    match answer {
        Ok(Message::Accept { nonce, held }) if is_answer(&held, request.epochs()) => {
            // What it has spent is looked at while it is news: with other sessions it grows. New shares
            // are what mends it.
            let signs = request.signing().is_some();
            if signs && epochs::is_rolled_back(&Ledger::open(&node.home)?, party, &held) {
                decline(link, &target.name, Reason::Aborted).await;
                return Err(report::rolled_back_there(&name, &request.key));
            }
            deletions::refuted(node, &link.peer(), &request);
            Ok(Guest { party, name: target.name, link, nonce, held })
        }
        Ok(Message::Apart { held }) => {
            Err(report::apart(&request.key, request.epochs(), &[(name.as_str(), held.as_slice())]))
        }
        Ok(Message::Refuse { reason }) => {
            Err(deletions::refused(node, &link.peer(), &target.name, reason, &request))
        }
        Ok(_) => Err(report::nonsense(&name)),
        Err(LinkError::TimedOut) => Err(report::slow(&name, "approval")),
        Err(error) => Err(report::link(&name, &error)),
    }
}

/// Waits until a party is known to take no part, and says which.
async fn who_left(others: &mut watch::Receiver<Option<u8>>) -> u8 {
    let left = others.wait_for(Option::is_some).await.ok().and_then(|party| *party);
    match left {
        Some(party) => party,
        None => std::future::pending().await,
    }
}

/// Whether `held` are some of the epochs that were `offered`: none for a new key.
fn is_answer(held: &[Held], offered: &[Held]) -> bool {
    let offers = |held: &Held| offered.iter().any(|other| other.epoch == held.epoch);
    held.is_empty() == offered.is_empty() && held.len() <= offered.len() && held.iter().all(offers)
}

/// The invited side: asks the owner of this device, says yes, and takes its seat.
///
/// `offer` are those of the requester's epochs that this device offers, the newest first.
///
/// # Errors
/// The owner says no, the requester withdraws, or another participant does not appear. A no has
/// been sent by then.
pub async fn attend(
    node: &Arc<Node>,
    mut link: Line,
    question: &Question,
    terms: &Terms,
    offer: Vec<Held>,
    ask: Ask,
) -> Result<Convened, Failure> {
    let request = &question.request;
    let name = node.name_of(&link.peer());
    let Some(me) = request.signer(&node.info.fingerprint).map(PartyId::get) else {
        return Err(decline(link, &name, Reason::NotPaired).await);
    };
    let host = request.requester.get();
    // Nobody is asked for what may not begin.
    if let Err(failure) = node.can_record() {
        decline(link, &name, Reason::Aborted).await;
        return Err(failure);
    }
    // The link itself lives no longer, whatever the requester says.
    let patience = Duration::from_secs(u64::from(terms.seconds)).min(PATIENCE);
    let charge = match approve(node, &mut link, question, ask, patience).await {
        Ok(charge) => charge,
        Err((failure, reason)) => {
            decline(link, &name, reason).await;
            return Err(failure);
        }
    };
    if let Err(failure) = node.begin(question) {
        decline(link, &name, Reason::Aborted).await;
        return Err(failure);
    }
    let nonce = Hex(clock::nonce()?);
    let mine = epochs::names(&offer);
    say(&mut link, &Message::Accept { nonce, held: offer })
        .await
        .map_err(|e| report::link(name.as_str(), &e))?;
    // A requester that awaits nobody else starts at once.
    let others = request.signers.len() > 2;
    let start_within = if others { patience.saturating_add(START) } else { START };
    let start = tokio::select! {
        start = hear(&mut link, node.until(start_within)) => start,
        () = node.interrupted() => return Err(leave(link, &name).await),
    };
    let agreed = match start {
        Ok(Message::Start(agreed)) => agreed,
        Ok(Message::Refuse { reason: Reason::Left { party } }) => {
            return Err(left(question, party));
        }
        Ok(Message::Refuse { reason }) => {
            return Err(report::refused_with(name.as_str(), reason, &request.key));
        }
        Ok(_) => return Err(report::nonsense(name.as_str())),
        Err(LinkError::Closed | LinkError::Lost | LinkError::Io(_)) => {
            return Err(report::withdrawn(name.as_str()));
        }
        Err(LinkError::TimedOut) => {
            decline(link, &name, Reason::TimedOut).await;
            return Err(report::slow(name.as_str(), "start"));
        }
        Err(error) => return Err(report::link(name.as_str(), &error)),
    };
    if !is_sound(request, terms, (me, &nonce, &mine), &agreed) {
        return Err(report::nonsense(name.as_str()));
    }
    let mut table = Table::new(me, host);
    table.seat(node, host, name, link);
    let others: BTreeMap<u8, (Label, Fingerprint)> = request
        .signers
        .iter()
        .filter(|party| party.get() != me && party.get() != host)
        .filter_map(|party| {
            Some((party.get(), (question.name(*party), request.fingerprint(*party)?)))
        })
        .collect();
    let now = |held: &Held| match held.epoch == agreed.epoch {
        true => Held { height: agreed.height, ..*held },
        false => *held,
    };
    let held = BTreeMap::from([(host, request.epochs().iter().map(now).collect())]);
    if let Err(failure) = table.complete(node, &others, node.until(HELLO)).await {
        table.abort().await;
        return Err(failure);
    }
    let id = question.ceremony_id(&agreed);
    Ok(Convened { table, id, agreed, held, charge })
}

/// Whether what the requester says all agreed on has everybody in it, has what this device and the
/// requester said in it, and names the newest epoch that all have in common.
fn is_sound(
    request: &Request,
    terms: &Terms,
    (me, nonce, mine): (u8, &Hex<32>, &[Hex<32>]),
    agreed: &Agreed,
) -> bool {
    let Agreed { nonces, held, epoch, height } = agreed;
    let announced = request.epochs().iter().find(|held| held.epoch == *epoch);
    let seat = |party: u8| request.signers.iter().position(|signer| signer.get() == party);
    let said = |party: u8| seat(party).and_then(|i| nonces.get(i).zip(held.get(i)));
    let theirs = epochs::names(request.epochs());
    nonces.len() == request.signers.len()
        && held.len() == request.signers.len()
        && said(me).is_some_and(|(n, h)| n == nonce && h == mine)
        && said(request.requester.get()).is_some_and(|(n, h)| *n == terms.nonce && *h == theirs)
        && epochs::agreed(request.ceremony(), mine, held) == Some(*epoch)
        && announced.is_none_or(|held| held.height <= *height)
}

/// Asks the owner if there is anything to ask, and stops when the requester is gone or the time is up.
async fn approve(
    node: &Node,
    link: &mut Line,
    question: &Question,
    ask: Ask,
    patience: Duration,
) -> Result<Charge, (Failure, Reason)> {
    let ceremony = question.request.ceremony();
    let name = question.name(question.request.requester);
    let name = name.as_str();
    let until = node.until(patience);
    // Held until there is an answer, and no longer: what is agreed to needs no screen.
    let asks = match ask {
        Ask::Nothing => false,
        Ask::Approval => node.judge.asks_a_person(),
        Ask::Pardon => true,
    };
    let _turn = if asks {
        tokio::select! {
            turn = timeout(TURN, node.turn()) => {
                Some(turn.map_err(|_| (report::declined(name, Reason::Busy), Reason::Busy))?)
            }
            word = link.recv() => return Err((gone(question, word), Reason::Aborted)),
            () = node.interrupted() => return Err((report::interrupted(), Reason::Interrupted)),
        }
    } else {
        None
    };
    // What waited for the screen was let in before the owner said no to the request ahead of it.
    if asks {
        let reason = match node.judge.admit(&link.peer(), ceremony) {
            Admission::Asked => None,
            Admission::TurnedAway { .. } => Some(Reason::Busy),
            Admission::Muted { .. } => Some(Reason::Declining),
        };
        if let Some(reason) = reason {
            return Err((report::declined(name, reason), reason));
        }
    }
    let left = until.saturating_duration_since(clock::now());
    let asked = Question { seconds: left.as_secs(), ..question.clone() };
    let answer = match ask {
        Ask::Nothing => return Ok(Charge::default()),
        Ask::Pardon => node.judge.pardon(asked),
        Ask::Approval => node.judge.approve(asked),
    };
    let verdict = tokio::select! {
        verdict = timeout(left, answer) => verdict,
        word = link.recv() => return Err((gone(question, word), Reason::Aborted)),
        () = node.interrupted() => return Err((report::interrupted(), Reason::Interrupted)),
    };
    match verdict {
        Ok(Verdict::Yes) => Ok(Charge::default()),
        Ok(Verdict::Charged(charge)) => Ok(charge),
        Ok(Verdict::No) => Err((report::denied_here(ceremony.name()), Reason::Denied)),
        Ok(Verdict::Policy(refusal)) => {
            Err((report::policy_here(ceremony.name(), name, refusal), Reason::Policy))
        }
        Ok(Verdict::Nobody) => Err((report::nobody_to_ask(), Reason::TimedOut)),
        Ok(Verdict::Late) | Err(_) => Err((report::unanswered(ceremony.name()), Reason::TimedOut)),
    }
}

/// Nothing is due from a requester whose request is not answered but a withdrawal, or who has left.
fn gone(question: &Question, word: Result<Frame, LinkError>) -> Failure {
    let requester = question.name(question.request.requester);
    let said = word.map(|frame| Message::from_bytes(&frame.payload));
    match said {
        Err(LinkError::Lost) => report::lost(requester.as_str()),
        Ok(Ok(Message::Refuse { reason: Reason::Left { party } })) => left(question, party),
        _ => report::withdrawn(requester.as_str()),
    }
}

/// The requester says that this party has left.
fn left(question: &Question, party: u8) -> Failure {
    let signer = question.request.signers.iter().find(|signer| signer.get() == party);
    let who = signer.map_or_else(|| format!("party {party}"), |p| question.name(*p).to_string());
    report::left(question.name(question.request.requester).as_str(), &who)
}

/// Says that this device was interrupted.
async fn leave(link: Line, name: &Label) -> Failure {
    decline(link, name, Reason::Interrupted).await;
    report::interrupted()
}

/// Says which epochs of `key` this device has, of which the requester has none, and gives the failure for this
/// device's own log.
pub async fn part(
    mut link: impl Link,
    name: &Label,
    key: &str,
    request: &Request,
    held: Vec<Held>,
) -> Failure {
    let failure = report::apart(key, &held, &[(name.as_str(), request.epochs())]);
    let _ = say(&mut link, &Message::Apart { held }).await;
    let _ = timeout(Duration::from_millis(500), link.close()).await;
    failure
}

/// Says no to a request and gives the failure for this device's own log.
pub async fn decline(mut link: impl Link, name: &Label, reason: Reason) -> Failure {
    let _ = say(&mut link, &Message::Refuse { reason }).await;
    let _ = timeout(Duration::from_millis(500), link.close()).await;
    report::declined(name.as_str(), reason)
}
