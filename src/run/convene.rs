//! Getting everybody to the table: propose, approve, start.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::device::{Fingerprint, Label};
use crate::net::line::Line;
use crate::net::{Frame, Link, LinkError};
use crate::party::PartyId;
use crate::progress::Event;
use crate::request::{Agreed, Held, Hex, Question, Request};
use crate::run::error::{Activity, Awaited, Error};
use crate::run::judge::{Charge, Verdict};
use crate::run::patience::Admission;
use crate::run::reach::{Target, hear, reach, say};
use crate::run::table::{Table, party_label};
use crate::run::told::Note;
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
    /// As [`Gathered::holding`], once everybody has started.
    ///
    /// # Errors
    /// It cannot be had, and everybody was told.
    pub async fn holding<T>(
        self,
        taken: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Self), Error> {
        match taken.await {
            Ok(taken) => Ok((taken, self)),
            Err(error) => {
                self.table.abort_with(|_| Reason::from(&error)).await;
                Err(error)
            }
        }
    }

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
) -> Result<Convened, Error> {
    let gathered = gather(node, &question.request, guests).await?;
    let epoch = gathered.epoch();
    let height = Ledger::open(&node.home)?.height(&epoch.0);
    gathered.start(node, question, height).await
}

/// Tells the owner of this device, which asks, what the others see: they approve by how it begins.
pub fn announce(node: &Node, question: &Question) {
    let digest = question.request.digest().map(|digest| Hex(*digest));
    node.tell(Note::Asking { digest, hash: question.hash() });
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
) -> Result<Gathered, Error> {
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
                let error = guest.map_or(Error::NotAParty, |g| spoken(node, g, word, request));
                accepted.retain(|guest| guest.party != party);
                return Err(let_go(party, error, leaver, tasks, accepted).await);
            }
            joined = tasks.join_next() => {
                let Some(joined) = joined else { break };
                let (party, invited) =
                    joined.map_err(|_| Error::Bug("an invitation ended without an answer"))?;
                match invited {
                    Ok(guest) => {
                        asked.remove(&guest.party);
                        accepted.push(guest);
                    }
                    Err(error) => {
                        return Err(let_go(party, error, leaver, tasks, accepted).await);
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
type Invitations = JoinSet<(u8, Result<Guest, Error>)>;

/// `party` takes no part, which `error` says. The others are told who it was, and not that this device
/// has thought better of it; unless it was interrupted, and has.
async fn let_go(
    party: u8,
    error: Error,
    leaver: watch::Sender<Option<u8>>,
    mut tasks: Invitations,
    accepted: Vec<Guest>,
) -> Error {
    let reason = match error {
        Error::Interrupted => Reason::Interrupted,
        _ => Reason::Left { party },
    };
    if let Reason::Left { .. } = reason {
        let _ = leaver.send(Some(party));
    }
    let mut goodbyes = JoinSet::new();
    let dismiss = |goodbyes: &mut JoinSet<Error>, guest: Guest| {
        goodbyes.spawn(async move { decline(guest.link, &guest.name, reason).await });
    };
    accepted.into_iter().for_each(|guest| dismiss(&mut goodbyes, guest));
    let told = async {
        while let Some(joined) = tasks.join_next().await {
            // A yes that came at the same moment is answered, too.
            if let Ok((_, Ok(guest))) = joined {
                dismiss(&mut goodbyes, guest);
            }
        }
        while goodbyes.join_next().await.is_some() {}
    };
    // Who is still being called hears nothing.
    let _ = timeout(FAREWELL, told).await;
    error
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
fn spoken(node: &Node, guest: &Guest, word: Result<Frame, LinkError>, request: &Request) -> Error {
    match word.map(|frame| Message::from_bytes(&frame.payload)) {
        Ok(Ok(Message::Refuse { reason })) => {
            deletions::refused(node, &guest.link.peer(), &guest.name, reason, request)
        }
        Ok(_) => Error::nonsense(&guest.name),
        Err(error) => Error::link(&guest.name, error),
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
    ) -> Result<Convened, Error> {
        let Self { me, mut accepted, agreed } = self;
        node.begin(question)?;
        let agreed = Agreed { height, ..agreed };
        let mut table = Table::new(me, me);
        let mut held = BTreeMap::new();
        for guest in &mut accepted {
            say(&mut guest.link, &Message::Start(agreed.clone()))
                .await
                .map_err(|e| Error::link(&guest.name, e))?;
        }
        for guest in accepted {
            held.insert(guest.party, guest.held);
            table.seat(node, guest.party, guest.name, guest.link);
        }
        let id = question.ceremony_id(&agreed);
        Ok(Convened { table, id, agreed, held, charge: Charge::default() })
    }

    /// With what is `taken` now that everybody has said yes: it was anybody's until then.
    ///
    /// # Errors
    /// It cannot be had, and everybody was let go.
    pub async fn holding<T>(
        self,
        taken: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Self), Error> {
        match taken.await {
            Ok(taken) => Ok((taken, self)),
            Err(error) => {
                for guest in self.accepted {
                    decline(guest.link, &guest.name, Reason::from(&error)).await;
                }
                Err(error)
            }
        }
    }
}

/// What all have in common once everybody has said yes.
fn agree(request: &Request, nonce: Hex<32>, accepted: &[Guest]) -> Result<Agreed, Error> {
    let mine = epochs::names(request.epochs());
    let mut all: BTreeMap<u8, (Hex<32>, Vec<Hex<32>>)> =
        accepted.iter().map(|g| (g.party, (g.nonce, epochs::names(&g.held)))).collect();
    all.insert(request.requester.get(), (nonce, mine.clone()));
    let (nonces, held): (Vec<_>, Vec<_>) = all.into_values().unzip();
    let epoch = epochs::agreed(request.ceremony(), &mine, &held).ok_or_else(|| {
        let theirs = accepted.iter().map(|guest| (guest.name.clone(), guest.held.clone()));
        apart(&request.key, request.epochs(), theirs.collect())
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
) -> Result<Guest, Error> {
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
    deletions::tell(node, &mut link).await.map_err(|e| Error::link(&target.name, e))?;
    say(&mut link, &Message::Propose(Box::new(proposal)))
        .await
        .map_err(|e| Error::link(&target.name, e))?;
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
                return Err(Error::RolledBackThere { peer: target.name, key: request.key });
            }
            deletions::refuted(node, &link.peer(), &request);
            Ok(Guest { party, name: target.name, link, nonce, held })
        }
        Ok(Message::Apart { held }) => {
            Err(apart(&request.key, request.epochs(), vec![(target.name, held)]))
        }
        Ok(Message::Refuse { reason }) => {
            Err(deletions::refused(node, &link.peer(), &target.name, reason, &request))
        }
        Ok(_) => Err(Error::nonsense(&target.name)),
        Err(LinkError::TimedOut) => Err(Error::timed_out(&target.name, Awaited::Approval)),
        Err(error) => Err(Error::link(&target.name, error)),
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
) -> Result<Convened, Error> {
    let request = &question.request;
    let name = node.name_of(&link.peer());
    let Some(me) = request.signer(&node.info.fingerprint).map(PartyId::get) else {
        return Err(decline(link, &name, Reason::NotPaired).await);
    };
    let host = request.requester.get();
    // Nobody is asked for what may not begin.
    if let Err(error) = node.can_record() {
        decline(link, &name, Reason::Aborted).await;
        return Err(error);
    }
    // The link itself lives no longer, whatever the requester says.
    let patience = Duration::from_secs(u64::from(terms.seconds)).min(PATIENCE);
    let charge = match approve(node, &mut link, question, ask, patience).await {
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
    say(&mut link, &Message::Accept { nonce, held: offer })
        .await
        .map_err(|e| Error::link(&name, e))?;
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
        Err(error) => return Err(Error::link(&name, error)),
    };
    if !is_sound(request, terms, (me, &nonce, &mine), &agreed) {
        return Err(Error::nonsense(&name));
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
    if let Err(error) = table.complete(node, &others, node.until(HELLO)).await {
        table.abort().await;
        return Err(error);
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
) -> Result<Charge, Error> {
    let ceremony = question.request.ceremony();
    let name = &question.name(question.request.requester);
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
                Some(turn.map_err(|_| declined(name, Reason::Busy))?)
            }
            word = link.recv() => return Err(gone(question, word)),
            () = node.interrupted() => return Err(Error::Interrupted),
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
            return Err(declined(name, reason));
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
        word = link.recv() => return Err(gone(question, word)),
        () = node.interrupted() => return Err(Error::Interrupted),
    };
    match verdict {
        Ok(Verdict::Yes) => Ok(Charge::default()),
        Ok(Verdict::Charged(charge)) => Ok(charge),
        Ok(Verdict::No) => Err(Error::Denied(ceremony)),
        Ok(Verdict::Policy(refusal)) => {
            Err(Error::Policy { ceremony, requester: name.clone(), refusal })
        }
        Ok(Verdict::Nobody) => Err(Error::NobodyToAsk),
        Ok(Verdict::Late) | Err(_) => Err(Error::Unanswered(Activity::Ceremony(ceremony))),
    }
}

/// Nothing is due from a requester whose request is not answered but a withdrawal, or who has left.
fn gone(question: &Question, word: Result<Frame, LinkError>) -> Error {
    let requester = question.name(question.request.requester);
    let said = word.map(|frame| Message::from_bytes(&frame.payload));
    match said {
        Err(LinkError::Lost) => Error::link(&requester, LinkError::Lost),
        Ok(Ok(Message::Refuse { reason: Reason::Left { party } })) => left(question, party),
        _ => Error::Withdrawn { peer: requester },
    }
}

/// The requester says that this party has left.
fn left(question: &Question, party: u8) -> Error {
    let signer = question.request.signers.iter().find(|signer| signer.get() == party);
    let who = signer.map_or_else(|| party_label(party), |party| question.name(*party));
    Error::Left { peer: question.name(question.request.requester), who }
}

/// Says that this device was interrupted.
async fn leave(link: Line, name: &Label) -> Error {
    decline(link, name, Reason::Interrupted).await;
    Error::Interrupted
}

/// Says which epochs of `key` this device has, of which the requester has none, and gives the error for this
/// device's own log.
pub async fn part(
    mut link: impl Link,
    name: &Label,
    key: &str,
    request: &Request,
    held: Vec<Held>,
) -> Error {
    let error = apart(key, &held, vec![(name.clone(), request.epochs().to_vec())]);
    let _ = say(&mut link, &Message::Apart { held }).await;
    let _ = timeout(Duration::from_millis(500), link.close()).await;
    error
}

/// Says no to a request and gives the error for this device's own log.
pub async fn decline(mut link: impl Link, name: &Label, reason: Reason) -> Error {
    let _ = say(&mut link, &Message::Refuse { reason }).await;
    let _ = timeout(Duration::from_millis(500), link.close()).await;
    declined(name, reason)
}

fn declined(name: &Label, reason: Reason) -> Error {
    Error::Declined { peer: name.clone(), reason }
}

fn apart(key: &str, mine: &[Held], theirs: Vec<(Label, Vec<Held>)>) -> Error {
    Error::Apart { key: key.to_owned(), mine: mine.to_vec(), theirs }
}
