//! Pairing of a group: one device gathers the others and passes on what they say, all screens show
//! the same six digits, and every two are paired once all people have said yes.
//!
//! What passes is computed and checked in [`crate::protocol::pair::group`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::device::{Fingerprint, Label};
use crate::driver::approver::Comparison;
use crate::driver::ceremony::invitation::{INVITATION, invite};
use crate::driver::ceremony::pairing::{
    Pairing, answered, attempts_left, known_otherwise, log_pairing, record,
};
use crate::driver::ceremony::refuse::decline;
use crate::driver::connect::dial::reach;
use crate::driver::connect::hello::{HANDSHAKE, hang_up, hear, read, say};
use crate::driver::connect::search::remember;
use crate::driver::connect::target::{Reached, Source, Target};
use crate::driver::error::{Ability, Activity, Awaited, Error};
use crate::driver::listen::{Listener, Place, Visits};
use crate::driver::told::{Note, Told};
use crate::driver::{ANSWER, Node, clock};
use crate::net::relay::RelayUrl;
use crate::net::relay::invite::Invite;
use crate::net::tls::TlsLink;
use crate::net::{Link as _, LinkError};
use crate::progress::{Compared, Event, KnownPeer, Lasts, PartyView};
use crate::protocol::pair::group::{
    Commitment, Committed, Compare, GroupError, MOST, Member, PairedGroup, Roster,
};
use crate::request::Hex;
use crate::vault::attempts;
use crate::wire::{GroupCommitment, GroupMember, GroupStep, Message, Reason, Want, Word};

/// A group that has been paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairedAll {
    /// The other devices, in the order of the list.
    pub pairings: Vec<Pairing>,
    /// Those that have not said that they stored it, too.
    pub unsure: Vec<Label>,
}

/// Where attempts of a group are charged on the device that gathers it.
pub const SOURCE: &str = "group";
/// How long the other devices may take to say that they have stored the pairings.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a member waits for what the slowest one has to send first.
const SLOWEST: Duration = Duration::from_secs(20);

/// A group in the making, on the device that gathers it.
#[derive(Debug)]
pub struct Gathering {
    node: Arc<Node>,
    joiners: mpsc::Receiver<Reached>,
    /// Ends the listener when it is dropped.
    _visits: Visits,
    hub: Hub,
    deadline: Instant,
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.node.gathers.store(false, Ordering::Relaxed);
    }
}

impl Gathering {
    /// Lets devices join, also through `relay` if one is given: `store` gets the invitation before
    /// it is shown.
    ///
    /// # Errors
    /// No port can be used, too many pairings have failed, or `store` fails.
    pub async fn open<E: From<Error>>(
        node: &Arc<Node>,
        relay: Option<&RelayUrl>,
        store: impl FnOnce(&Invite) -> Result<(), E>,
    ) -> Result<Self, E> {
        attempts::charged(&node.home)
            .and_then(|charged| charged.check(Some(SOURCE)))
            .map_err(Error::from)?;
        let (sender, joiners) = mpsc::channel(1);
        let (visits, deadline) = match relay {
            Some(relay) => invite(node, relay, Some(sender), store).await?,
            None => {
                let listener = Listener::open(node, &Place::default()).await?;
                (listener.only_to_join(sender).serve(node), node.deadline_or(INVITATION))
            }
        };
        node.gathers.store(true, Ordering::Relaxed);
        node.tell(Event::Waiting {
            what: "devices to join".to_owned(),
            peers: Vec::new(),
            seconds: None,
            request_id: None,
        });
        Ok(Self { node: Arc::clone(node), joiners, _visits: visits, hub: Hub::new(), deadline })
    }

    /// The devices that have joined, in the order in which they came.
    pub fn joined(&self) -> Vec<PartyView> {
        let view =
            |spoke: &Spoke| PartyView { name: spoke.name.clone(), fingerprint: spoke.fingerprint };
        self.hub.spokes.iter().map(view).collect()
    }

    /// Puts a device out, which is not let in again.
    pub fn remove(&mut self, who: &Fingerprint) {
        let out = self.hub.spokes.extract_if(.., |spoke| spoke.fingerprint == *who);
        out.for_each(|spoke| spoke.say(&Message::Refuse { reason: Reason::GroupClosed }));
        self.hub.removed.push(*who);
    }

    /// Waits until the devices that have joined are others than before. Cancel-safe.
    ///
    /// # Errors
    /// This device is interrupted, or nobody joined or began in time.
    pub async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            () = async {
                loop {
                    let is_changed = tokio::select! {
                        Some(joiner) = self.joiners.recv() => self.hub.admit(&self.node, joiner),
                        // Nobody has anything to say before the list: whoever speaks leaves.
                        Some((number, _)) = self.hub.heard.recv() => self.hub.is_gone(number),
                        else => std::future::pending().await,
                    };
                    if is_changed {
                        break;
                    }
                }
            } => Ok(()),
            () = self.node.interrupted() => Err(Error::Interrupted),
            () = sleep_until(self.deadline.into()) => Err(Error::NobodyJoined),
        }
        .map_err(|error| match error {
            Error::NobodyJoined if !self.hub.spokes.is_empty() => {
                Error::Unanswered(Activity::Pairing)
            }
            error => error,
        })
    }

    /// Ends it before the list was sent.
    pub async fn dismiss(mut self, reason: Reason) {
        self.hub.say_all(&Message::Refuse { reason });
        self.hub.close().await;
    }

    /// Pairs the devices that have joined and are among `shown`, which the person has seen. No others are let in
    /// from now on.
    ///
    /// # Errors
    /// A person says no, somebody is between the devices, or a device is lost. Nothing is stored
    /// then.
    pub async fn begin(mut self, shown: &[PartyView]) -> Result<PairedAll, Error> {
        self.joiners.close();
        self.node.gathers.store(false, Ordering::Relaxed);
        while let Ok(late) = self.joiners.try_recv() {
            self.hub.refuse(late);
        }
        let is_shown = |who: &PartyView| shown.iter().any(|one| one.fingerprint == who.fingerprint);
        let late = self.joined().into_iter().filter(|who| !is_shown(who));
        late.for_each(|who| self.remove(&who.fingerprint));
        let node = Arc::clone(&self.node);
        let Some(_turn) = node.queue.try_screen() else {
            self.dismiss(Reason::Aborted).await;
            return Err(Error::Bug("another question was on the screen of a gathering"));
        };
        let paired = self.pair().await;
        let others: Vec<Fingerprint> =
            self.hub.spokes.iter().map(|spoke| spoke.fingerprint).collect();
        match paired {
            Ok(pairings) => {
                let unsure = self.hub.farewell().await;
                for peer in &unsure {
                    node.tell(Note::NotSaidStored { peer: peer.clone() });
                }
                self.hub.close().await;
                Ok(finish(&node, &others, PairedAll { pairings, unsure }))
            }
            Err(Fallen { member, error }) => {
                self.hub.call_off(member, reason_of(&error));
                self.hub.close().await;
                Err(fail(&node, &others, error))
            }
        }
    }

    async fn pair(&mut self) -> Result<Vec<Pairing>, Fallen> {
        let (node, hub) = (&self.node, &mut self.hub);
        let mut members: Vec<GroupMember> = hub.spokes.iter().map(Spoke::member).collect();
        members.push(me(node));
        members.sort_unstable_by_key(|member| member.fingerprint.0);
        let kept = node.remember_pairings || hub.spokes.iter().any(|spoke| spoke.keeps);
        // A device that has joined twice has one place, so this is a list.
        let roster = roster(&members, kept).map_err(|_| Error::Bug("no list"))?;
        hub.seat(&roster);
        attempts::charge(&node.home, SOURCE).map_err(Error::from)?;
        let group = Group::new(node, roster)?;
        let (committed, own) = group.commit()?;
        hub.say_all(&Message::Group(GroupStep::List { members, kept }));
        let all = hub.collect(group.me, own, |step| match step {
            GroupStep::Commit(GroupCommitment { nonce, yes }) => {
                Some(Commitment { nonce: nonce.0, yes: yes.0 })
            }
            _ => None,
        });
        let all = unless_interrupted(node, all).await?;
        hub.say_all(&Message::Group(GroupStep::Commitments {
            all: all.iter().map(GroupCommitment::from).collect(),
        }));
        let (opened, own) = committed.open(all).map_err(|error| group.broken(error))?;
        let nonces = hub.collect(group.me, own, |step| match step {
            GroupStep::Open { nonce } => Some(nonce.0),
            _ => None,
        });
        let nonces = unless_interrupted(node, nonces).await?;
        let compare = opened.compare(&nonces).map_err(|error| group.broken(error))?;
        let nonces = nonces.into_iter().map(Hex).collect();
        hub.say_all(&Message::Group(GroupStep::Openings { nonces }));
        let paired = group.agree(node, compare, hub).await?;
        Ok(store(node, &paired)?)
    }
}

/// Joins the group that the device at `target` gathers, and takes part until it is paired.
///
/// # Errors
/// The device cannot be reached or gathers no group, and as for [`Gathering::begin`].
pub async fn join(
    node: &Arc<Node>,
    target: &Target,
    deadline: Instant,
) -> Result<PairedAll, Error> {
    attempts_left(node)?;
    let reached =
        reach(node, target, Want::Group, deadline).await.map_err(|error| match error {
            // A version without groups does not understand what it is asked for.
            Error::Refused { peer, reason: Reason::NotUnderstood { message }, .. }
                if message == Word::new("group") =>
            {
                Error::Unsupported { peer, program: None, ability: Ability::Group }
            }
            error => error,
        })?;
    let Reached { mut link, name, way, .. } = reached;
    let (host, mut others) = (link.peer(), vec![link.peer()]);
    let joined = take_part(node, &mut link, &name, Source::of(&way), &mut others).await;
    match joined {
        Ok(pairings) => {
            remember(&node.home, &host, &way);
            // The pairing is stored, whether the other device hears of it or not.
            let _ = say(&mut link, &Message::Finished).await;
            hang_up(link).await;
            Ok(finish(node, &others, PairedAll { pairings, unsure: Vec::new() }))
        }
        Err(error) => {
            decline(link, &name, reason_of(&error)).await;
            Err(fail(node, &others, error))
        }
    }
}

/// What a device does that has joined. `others` becomes the fingerprints of all others once they
/// are known.
async fn take_part(
    node: &Arc<Node>,
    link: &mut TlsLink,
    host: &Label,
    source: Source,
    others: &mut Vec<Fingerprint>,
) -> Result<Vec<Pairing>, Error> {
    if link.peer() == node.info.fingerprint {
        return Err(Error::Oneself);
    }
    let Some(_turn) = node.queue.try_screen() else {
        return Err(Error::Bug("another question was on the screen of a device that joins"));
    };
    node.tell(Event::Waiting {
        what: "the group to be complete".to_owned(),
        peers: vec![host.to_string()],
        seconds: None,
        request_id: None,
    });
    let peer = link.peer();
    let mut line = Line { link, host, names: Vec::new() };
    let GroupStep::List { members, kept } =
        unless_interrupted(node, line.hear(node.deadline_or(INVITATION + SLOWEST))).await?
    else {
        return Err(Error::nonsense(host));
    };
    let known = |fingerprint: &Fingerprint, name: &Label| {
        let same = |member: &&GroupMember| member.fingerprint.0 == *fingerprint.as_bytes();
        members.iter().find(same).is_some_and(|member| member.name == *name)
    };
    let GroupMember { name: own, .. } = me(node);
    if !known(&peer, host)
        || !known(&node.info.fingerprint, &own)
        || (node.remember_pairings && !kept)
    {
        return Err(Error::nonsense(host));
    }
    let roster = roster(&members, kept).map_err(|_| Error::nonsense(host))?;
    line.names = members.into_iter().map(|member| member.name).collect();
    let group = Group::new(node, roster)?;
    *others = group.others().map(|(_, fingerprint)| fingerprint).collect();
    attempts::charge(&node.home, &source.to_string())?;
    let (committed, own) = group.commit()?;
    line.say(GroupStep::Commit(GroupCommitment::from(&own))).await?;
    let GroupStep::Commitments { all } =
        unless_interrupted(node, line.hear(clock::now() + SLOWEST)).await?
    else {
        return Err(Error::nonsense(host));
    };
    let all = all.iter().map(|one| Commitment { nonce: one.nonce.0, yes: one.yes.0 }).collect();
    let (opened, own) = committed.open(all).map_err(|error| line.broken(error))?;
    line.say(GroupStep::Open { nonce: Hex(own) }).await?;
    let GroupStep::Openings { nonces } =
        unless_interrupted(node, line.hear(clock::now() + SLOWEST)).await?
    else {
        return Err(Error::nonsense(host));
    };
    let nonces: Vec<[u8; 32]> = nonces.iter().map(|nonce| nonce.0).collect();
    let compare = opened.compare(&nonces).map_err(|error| line.broken(error))?;
    let paired = group.agree(node, compare, &mut line).await.map_err(|fallen| fallen.error)?;
    store(node, &paired)
}

/// This device in a list.
fn me(node: &Node) -> GroupMember {
    let fingerprint = Hex(*node.info.fingerprint.as_bytes());
    GroupMember { fingerprint, name: Label::new(&node.info.name) }
}

fn roster(members: &[GroupMember], kept: bool) -> Result<Roster, GroupError> {
    let member = |member: &GroupMember| Member {
        fingerprint: Fingerprint::new(member.fingerprint.0),
        name: member.name.as_str().as_bytes().to_vec(),
    };
    Roster::new(members.iter().map(member).collect(), kept)
}

impl From<&Commitment> for GroupCommitment {
    fn from(Commitment { nonce, yes }: &Commitment) -> Self {
        Self { nonce: Hex(*nonce), yes: Hex(*yes) }
    }
}

/// Why a pairing of a group fails, and the place of the member that it fails by, if it is another
/// one's doing.
#[derive(Debug)]
struct Fallen {
    member: Option<usize>,
    error: Error,
}

impl From<Error> for Fallen {
    fn from(error: Error) -> Self {
        Self { member: None, error }
    }
}

async fn unless_interrupted<T, E: From<Error>>(
    node: &Node,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        done = work => done,
        () = node.interrupted() => Err(Error::Interrupted.into()),
    }
}

/// The reason that the others are told for an error.
fn reason_of(error: &Error) -> Reason {
    match error {
        Error::GroupUnconfirmed { error, .. } => reason_of(error),
        Error::Refused { reason, .. } => *reason,
        error => Reason::from(error),
    }
}

/// The error on this device if `name` ended the pairing for `reason`.
fn ended_by(name: &Label, reason: Reason) -> Error {
    match reason {
        Reason::Denied => Error::CodesDifferThere { peer: name.clone() },
        reason => Error::refused(name, reason),
    }
}

/// A list that all devices have, and this device's place in it.
struct Group {
    roster: Roster,
    names: Vec<Label>,
    me: usize,
}

impl Group {
    fn new(node: &Node, roster: Roster) -> Result<Self, Error> {
        let me = roster.place_of(&node.info.fingerprint).ok_or(Error::NotAParty)?;
        Ok(Self { names: roster.members().iter().map(name_of).collect(), roster, me })
    }

    fn commit(&self) -> Result<(Committed, Commitment), Error> {
        let me = self.roster.members().get(self.me).ok_or(Error::NotAParty)?.fingerprint;
        let (nonce, yes) = (clock::random()?, clock::random()?);
        Committed::start(self.roster.clone(), &me, nonce, yes).map_err(|_| Error::NotAParty)
    }

    fn name(&self, place: usize) -> Label {
        self.names.get(place).cloned().unwrap_or_default()
    }

    /// The other members.
    fn others(&self) -> impl Iterator<Item = (&Label, Fingerprint)> {
        let all = self.names.iter().zip(self.roster.members()).enumerate();
        let others = all.filter(|(place, _)| *place != self.me);
        others.map(|(_, (name, member))| (name, member.fingerprint))
    }

    /// A failed check, on the device that gathers the group.
    fn broken(&self, error: GroupError) -> Fallen {
        match error {
            GroupError::Opening { member } | GroupError::Yes { member } => Fallen {
                member: Some(member),
                error: Error::BrokenCommitment { peer: self.name(member) },
            },
            GroupError::List
            | GroupError::NotAMember
            | GroupError::Count
            | GroupError::OwnCommitment => Error::Bug("its own list").into(),
        }
    }

    /// All people compare the digits, and each device hears the yes of every other one.
    async fn agree(
        &self,
        node: &Arc<Node>,
        mut compare: Compare,
        circle: &mut impl Circle,
    ) -> Result<PairedGroup, Fallen> {
        let until = node.deadline_within(ANSWER);
        let members = self.names.iter().zip(self.roster.members());
        let member = |(name, member): (&Label, &Member)| PartyView {
            name: name.clone(),
            fingerprint: member.fingerprint,
        };
        let warnings: Vec<String> = self
            .others()
            .filter_map(|(name, fingerprint)| {
                let warning = known_otherwise(node, name, &fingerprint)?;
                Some(format!("{name:?} ({}): {warning}", fingerprint.device_id()))
            })
            .collect();
        let comparison = Comparison {
            code: compare.code().to_string(),
            with: Compared::Group { members: members.map(member).collect() },
            lasts: lasts(&self.roster),
            warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
            within: until.saturating_duration_since(clock::now()),
        };
        let answer = timeout_at(until.into(), node.approver.compare(comparison));
        tokio::pin!(answer);
        // The time for the answer is up first.
        let later = until + Duration::from_secs(1);
        let verdict = loop {
            tokio::select! {
                verdict = &mut answer => break verdict,
                heard = circle.next(later) => {
                    let (member, yes) = heard?;
                    if compare.heard(member, &yes).map_err(|_| circle.no_yes(member))? {
                        circle.pass_on(member, yes);
                    }
                }
                () = node.interrupted() => return Err(Error::Interrupted.into()),
            }
        };
        answered(verdict.ok())?;
        let (mut confirmed, mine) = compare.confirm();
        let said = circle.say_yes(self.me, mine).await;
        if let Err(fallen) = said {
            return Err(self.unconfirmed(fallen, &confirmed.awaited()));
        }
        let mut is_new = true;
        loop {
            confirmed = match confirmed.finish() {
                Ok(paired) => return Ok(paired),
                Err(confirmed) => confirmed,
            };
            let awaited = confirmed.awaited();
            if is_new {
                node.tell(Event::Waiting {
                    what: "their yes".to_owned(),
                    peers: awaited.iter().map(|place| self.name(*place).to_string()).collect(),
                    seconds: None,
                    request_id: None,
                });
            }
            let heard = unless_interrupted(node, circle.next(until)).await;
            let (member, yes) = heard.map_err(|fallen| self.unconfirmed(fallen, &awaited))?;
            let said = confirmed.heard(member, &yes);
            is_new = said.map_err(|_| self.unconfirmed(circle.no_yes(member), &awaited))?;
            if is_new {
                circle.pass_on(member, yes);
            }
        }
    }

    /// The failure `fallen` after this device has said yes, while some were awaited.
    fn unconfirmed(&self, Fallen { member, error }: Fallen, awaited: &[usize]) -> Fallen {
        let missing: Vec<Label> = awaited.iter().map(|place| self.name(*place)).collect();
        let error = match error {
            Error::TimedOut { .. } => {
                Error::TimedOut { peers: missing.clone(), awaited: Awaited::Pairing }
            }
            error => error,
        };
        Fallen { member, error: Error::GroupUnconfirmed { error: Box::new(error), missing } }
    }
}

fn name_of(member: &Member) -> Label {
    Label::new(&String::from_utf8_lossy(&member.name))
}

fn lasts(roster: &Roster) -> Lasts {
    if roster.is_kept() { Lasts::Kept } else { Lasts::Session }
}

/// Stores the other devices of a group that all people have confirmed.
fn store(node: &Node, paired: &PairedGroup) -> Result<Vec<Pairing>, Error> {
    let roster = paired.roster();
    let mut pairings = Vec::new();
    for member in roster.members() {
        if member.fingerprint != node.info.fingerprint {
            let pairing = record(node, &name_of(member), member.fingerprint, lasts(roster))?;
            pairings.push(pairing);
        }
    }
    Ok(pairings)
}

/// The way to the others of the group.
trait Circle {
    /// The next yes, and the place of its member. Cancel-safe.
    async fn next(&mut self, until: Instant) -> Result<(usize, [u8; 32]), Fallen>;

    /// Tells all others this device's yes.
    async fn say_yes(&mut self, me: usize, yes: [u8; 32]) -> Result<(), Fallen>;

    /// Passes the yes of a member on to those who have not heard it.
    fn pass_on(&mut self, member: usize, yes: [u8; 32]);

    /// What came as the yes of a member is not.
    fn no_yes(&self, member: usize) -> Fallen;
}

/// The message for a yes of the member at this place.
fn yes_of(member: usize, yes: [u8; 32]) -> GroupStep {
    GroupStep::Yes { member: number(member), opening: Hex(yes) }
}

/// The number of a member on the wire, from 1.
fn number(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX).saturating_add(1)
}

/// The place of the member with this number.
fn place(number: u8) -> Option<usize> {
    usize::from(number).checked_sub(1)
}

/// The link of a device that has joined, to the one that gathers.
struct Line<'a> {
    link: &'a mut TlsLink,
    host: &'a Label,
    /// Of all members, once there is a list.
    names: Vec<Label>,
}

impl Line<'_> {
    async fn say(&mut self, step: GroupStep) -> Result<(), Error> {
        say(self.link, &Message::Group(step)).await.map_err(|e| Error::link(self.host, e))
    }

    async fn hear(&mut self, until: Instant) -> Result<GroupStep, Error> {
        match hear(self.link, until).await {
            Ok(Message::Group(GroupStep::Ended { member, reason })) => {
                let name = place(member).and_then(|place| self.names.get(place));
                Err(name.map_or_else(|| Error::nonsense(self.host), |name| ended_by(name, reason)))
            }
            Ok(Message::Group(step)) => Ok(step),
            Ok(Message::Refuse { reason }) => Err(ended_by(self.host, reason)),
            Ok(_) => Err(Error::nonsense(self.host)),
            Err(LinkError::TimedOut) => Err(Error::timed_out(self.host, Awaited::Pairing)),
            Err(error) => Err(Error::link(self.host, error)),
        }
    }

    /// A failed check: of the member, or of the device that passes everything on.
    fn broken(&self, error: GroupError) -> Error {
        let name = match error {
            GroupError::Opening { member } | GroupError::Yes { member } => self.names.get(member),
            GroupError::List
            | GroupError::NotAMember
            | GroupError::Count
            | GroupError::OwnCommitment => None,
        };
        Error::BrokenCommitment { peer: name.unwrap_or(self.host).clone() }
    }
}

impl Circle for Line<'_> {
    async fn next(&mut self, until: Instant) -> Result<(usize, [u8; 32]), Fallen> {
        match self.hear(until).await? {
            GroupStep::Yes { member, opening } => {
                let place = place(member).ok_or_else(|| Error::nonsense(self.host))?;
                Ok((place, opening.0))
            }
            _ => Err(Error::nonsense(self.host).into()),
        }
    }

    async fn say_yes(&mut self, me: usize, yes: [u8; 32]) -> Result<(), Fallen> {
        Ok(self.say(yes_of(me, yes)).await?)
    }

    fn pass_on(&mut self, _: usize, _: [u8; 32]) {}

    fn no_yes(&self, member: usize) -> Fallen {
        self.broken(GroupError::Yes { member }).into()
    }
}

/// A message of a spoke, by its number.
type Heard = (u64, Result<Message, LinkError>);

/// The links to all devices that have joined, on the one that gathers them.
#[derive(Debug)]
struct Hub {
    spokes: Vec<Spoke>,
    numbered: u64,
    said: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
    tasks: JoinSet<()>,
    /// The devices that were put out.
    removed: Vec<Fingerprint>,
    /// Each device that was new in the list when it came, as often as it was, and where from.
    arrivals: Vec<(Fingerprint, Source)>,
}

/// Most devices of one group from one address on the network, so that one machine does not take all places. A
/// relay lets in only whoever has the invitation.
const OF_ONE_SOURCE: usize = 3;

/// How often one device may leave and come again: each time the person at this device has another list to look at.
const RETURNS: usize = 4;

/// How often devices may come from one address on the network, however they call themselves.
const ARRIVALS: usize = 16;

/// A device that has joined.
#[derive(Debug)]
struct Spoke {
    number: u64,
    fingerprint: Fingerprint,
    name: Label,
    source: Source,
    keeps: bool,
    /// Its place in the list, once there is one.
    place: usize,
    orders: mpsc::UnboundedSender<Message>,
}

impl Spoke {
    fn member(&self) -> GroupMember {
        GroupMember { fingerprint: Hex(*self.fingerprint.as_bytes()), name: self.name.clone() }
    }

    /// Sends a message. One that is gone is noticed when its link is read.
    fn say(&self, message: &Message) {
        let _ = self.orders.send(message.clone());
    }
}

impl Hub {
    fn new() -> Self {
        let (said, heard) = mpsc::channel(1);
        Self {
            spokes: Vec::new(),
            numbered: 0,
            said,
            heard,
            tasks: JoinSet::new(),
            removed: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// Lets a device in, and says whether the list is another one then. One that is there already, and comes again under
    /// the same name, has its place over the new link; one too many, or one that comes too often, is refused.
    fn admit(&mut self, node: &Node, joiner: Reached) -> bool {
        while self.tasks.try_join_next().is_some() {}
        let fingerprint = joiner.link.peer();
        let source = Source::of(&joiner.way);
        let is_other = |spoke: &&Spoke| spoke.fingerprint != fingerprint;
        let others = self.spokes.iter().filter(is_other);
        let beside = others.clone().filter(|spoke| spoke.source == source).count();
        let is_limited = matches!(source, Source::Net(ip) if !ip.is_loopback());
        let before = self.spokes.iter().position(|spoke| spoke.fingerprint == fingerprint);
        let is_same = before
            .and_then(|before| self.spokes.get(before))
            .is_some_and(|spoke| spoke.name == joiner.name);
        let came = |is_it: &dyn Fn(&(Fingerprint, Source)) -> bool| {
            self.arrivals.iter().filter(|arrival| is_it(arrival)).count()
        };
        let is_too_often = came(&|(who, _)| *who == fingerprint) > RETURNS
            || (is_limited && came(&|(_, from)| *from == source) >= ARRIVALS);
        if others.count() + 1 >= MOST
            || (is_limited && beside >= OF_ONE_SOURCE)
            || self.removed.contains(&fingerprint)
            || (!is_same && is_too_often)
        {
            self.refuse(joiner);
            return false;
        }
        if !is_same {
            self.arrivals.push((fingerprint, source));
            node.tell(Event::Connected {
                peer: joiner.name.to_string(),
                via: joiner.way.to_string(),
                resumed: false,
                request_id: None,
            });
        }
        let Reached { link, name, about, .. } = joiner;
        let keeps = about.and_then(|about| about.keeps).unwrap_or_default();
        self.numbered = self.numbered.saturating_add(1);
        let (orders, taken) = mpsc::unbounded_channel();
        self.tasks.spawn(carry(link, self.numbered, taken, self.said.clone()));
        let number = self.numbered;
        let spoke = Spoke { number, fingerprint, name, source, keeps, place: 0, orders };
        match before.and_then(|before| self.spokes.get_mut(before)) {
            Some(before) => *before = spoke,
            None => self.spokes.push(spoke),
        }
        !is_same
    }

    /// Forgets the device of this number, whose link has ended; says whether it was there.
    fn is_gone(&mut self, number: u64) -> bool {
        let before = self.spokes.len();
        self.spokes.retain(|spoke| spoke.number != number);
        self.spokes.len() < before
    }

    fn refuse(&mut self, Reached { link, name, .. }: Reached) {
        self.tasks.spawn(async move {
            decline(link, &name, Reason::GroupClosed).await;
        });
    }

    /// Gives each device its place in the list.
    fn seat(&mut self, roster: &Roster) {
        for spoke in &mut self.spokes {
            spoke.place = roster.place_of(&spoke.fingerprint).unwrap_or_default();
        }
    }

    fn say_all(&self, message: &Message) {
        self.spokes.iter().for_each(|spoke| spoke.say(message));
    }

    /// Tells all that it has ended; `member` is the place of the one to blame, who knows.
    fn call_off(&self, member: Option<usize>, reason: Reason) {
        let message = member.map_or(Message::Refuse { reason }, |member| {
            Message::Group(GroupStep::Ended { member: number(member), reason })
        });
        let others = self.spokes.iter().filter(|spoke| Some(spoke.place) != member);
        others.for_each(|spoke| spoke.say(&message));
    }

    /// The next message of a device in the list, and its place. Cancel-safe.
    async fn hear(&mut self, until: Instant) -> Result<(usize, Message), Fallen> {
        loop {
            let heard = timeout_at(until.into(), self.heard.recv()).await;
            // This value holds a sender, so the channel does not close.
            let Ok(Some((number, heard))) = heard else {
                let nobody = Error::TimedOut { peers: Vec::new(), awaited: Awaited::Pairing };
                return Err(nobody.into());
            };
            let Some(spoke) = self.spokes.iter().find(|spoke| spoke.number == number) else {
                continue;
            };
            let error = match heard {
                Ok(Message::Refuse { reason }) => ended_by(&spoke.name, reason),
                Ok(message) => return Ok((spoke.place, message)),
                Err(error) => Error::link(&spoke.name, error),
            };
            return Err(Fallen { member: Some(spoke.place), error });
        }
    }

    /// One value of every member, in the order of the list; `own` is this device's.
    async fn collect<T: Copy>(
        &mut self,
        me: usize,
        own: T,
        read: impl Fn(&GroupStep) -> Option<T>,
    ) -> Result<Vec<T>, Fallen> {
        let until = clock::now() + HANDSHAKE;
        let mut all: Vec<Option<T>> = vec![None; self.spokes.len() + 1];
        if let Some(place) = all.get_mut(me) {
            *place = Some(own);
        }
        while all.iter().any(Option::is_none) {
            let heard = self.hear(until).await;
            let (place, message) = heard.map_err(|fallen| self.slow(fallen, &all))?;
            let value = match &message {
                Message::Group(step) => read(step),
                _ => None,
            };
            match (value, all.get_mut(place)) {
                (Some(value), Some(empty @ None)) => *empty = Some(value),
                _ => return Err(self.nonsense(place)),
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// Names those who kept the others waiting, if the time was up.
    fn slow<T>(&self, fallen: Fallen, all: &[Option<T>]) -> Fallen {
        if !matches!(fallen.error, Error::TimedOut { .. }) {
            return fallen;
        }
        let silent = |spoke: &&Spoke| matches!(all.get(spoke.place), Some(None));
        let silent: Vec<&Spoke> = self.spokes.iter().filter(silent).collect();
        let member = silent.first().map(|spoke| spoke.place);
        let peers = silent.iter().map(|spoke| spoke.name.clone()).collect();
        Fallen { member, error: Error::TimedOut { peers, awaited: Awaited::Pairing } }
    }

    fn at(&self, place: usize) -> Label {
        let spoke = self.spokes.iter().find(|spoke| spoke.place == place);
        spoke.map(|spoke| spoke.name.clone()).unwrap_or_default()
    }

    fn nonsense(&self, place: usize) -> Fallen {
        Fallen { member: Some(place), error: Error::nonsense(&self.at(place)) }
    }

    /// Waits until all have said that they have stored the pairings. Returns those who have not.
    async fn farewell(&mut self) -> Vec<Label> {
        let until = clock::now() + FAREWELL;
        let mut awaited: Vec<usize> = self.spokes.iter().map(|spoke| spoke.place).collect();
        let mut unsure = Vec::new();
        while !awaited.is_empty() {
            let place = match self.hear(until).await {
                Ok((place, Message::Finished)) => place,
                Ok((place, _)) | Err(Fallen { member: Some(place), .. }) => {
                    if awaited.contains(&place) {
                        unsure.push(self.at(place));
                    }
                    place
                }
                Err(Fallen { member: None, .. }) => {
                    unsure.extend(awaited.drain(..).map(|place| self.at(place)));
                    break;
                }
            };
            awaited.retain(|one| *one != place);
        }
        unsure
    }

    /// Ends all links once their last messages have been written.
    async fn close(&mut self) {
        self.spokes.clear();
        self.heard.close();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(Duration::from_secs(1), all).await;
    }
}

impl Circle for Hub {
    async fn next(&mut self, until: Instant) -> Result<(usize, [u8; 32]), Fallen> {
        match self.hear(until).await? {
            (place, Message::Group(GroupStep::Yes { member, opening }))
                if member == number(place) =>
            {
                Ok((place, opening.0))
            }
            (place, _) => Err(self.nonsense(place)),
        }
    }

    async fn say_yes(&mut self, me: usize, yes: [u8; 32]) -> Result<(), Fallen> {
        self.say_all(&Message::Group(yes_of(me, yes)));
        Ok(())
    }

    fn pass_on(&mut self, member: usize, yes: [u8; 32]) {
        let message = Message::Group(yes_of(member, yes));
        let others = self.spokes.iter().filter(|spoke| spoke.place != member);
        others.for_each(|spoke| spoke.say(&message));
    }

    fn no_yes(&self, member: usize) -> Fallen {
        let error = Error::BrokenCommitment { peer: self.at(member) };
        Fallen { member: Some(member), error }
    }
}

/// Reads and writes the link of a device that has joined, until it breaks or there are no more
/// orders.
async fn carry(
    mut link: TlsLink,
    number: u64,
    mut orders: mpsc::UnboundedReceiver<Message>,
    heard: mpsc::Sender<Heard>,
) {
    loop {
        let message = tokio::select! {
            frame = link.recv() => frame.and_then(|frame| read(&frame)),
            order = orders.recv() => match order {
                Some(message) => match say(&mut link, &message).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                None => return hang_up(link).await,
            },
        };
        let over = message.is_err();
        let is_heard = heard.send((number, message)).await.is_ok();
        if over {
            return;
        }
        if !is_heard {
            break;
        }
    }
    // The group has ended: what this device was to be told, such as why, is told first.
    while let Some(message) = orders.recv().await {
        if say(&mut link, &message).await.is_err() {
            return;
        }
    }
    hang_up(link).await;
}

/// Logs and tells that the group is paired.
fn finish(node: &Node, others: &[Fingerprint], paired: PairedAll) -> PairedAll {
    log_pairing(node, others, "paired");
    let peer = |pairing: &Pairing| KnownPeer {
        name: pairing.peer.clone(),
        fingerprint: pairing.fingerprint,
        expires: pairing.expires.map(clock::rfc3339),
    };
    node.tell(Event::PairedGroup { peers: paired.pairings.iter().map(peer).collect() });
    paired
}

/// Logs and tells that the pairing of the group has failed.
fn fail(node: &Node, others: &[Fingerprint], error: Error) -> Error {
    log_pairing(node, others, error.kind().name());
    node.tell(Told::Aborted { activity: Activity::Pairing, request: None, error: &error });
    error
}
