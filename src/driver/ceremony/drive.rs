//! The loop that runs a machine: messages to and from the links, and records into the vault.
//!
//! Whatever the machine wants persisted is durable before it is polled again. Bans found by other
//! sessions are looked up before each step.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::crypto::curve::Curve;
use crate::device::Label;
use crate::driver::connect::peer_links::{Incoming, PeerLinks, name_in};
use crate::driver::error::{Awaited, Error};
use crate::driver::{Node, clock};
use crate::party::PartyId;
use crate::progress::Event;
use crate::protocol::event::Event as Step;
use crate::protocol::fault::Fault;
use crate::protocol::machine::{Machine, Output, Persist, Protocol};
use crate::protocol::wire::Kind;
use crate::request::{Ceremony, RequestId};
use crate::wire::{Message, Reason};

/// How long to wait for a refusal that was sent before the link broke.
const LAST_WORD: Duration = Duration::from_millis(500);

/// The vault's side of a ceremony.
pub trait Record<C: Curve>: Send {
    /// Makes `what` durable.
    ///
    /// # Errors
    /// It cannot be stored.
    fn persist(&mut self, what: Persist<C>) -> Result<(), Error>;

    /// A message of this kind is about to be handed to the link of the party it is for.
    fn sending(&mut self, _kind: Kind) {}

    /// Takes in what other sessions have found out. Called before each step.
    ///
    /// # Errors
    /// It cannot be read.
    fn look_up(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Runs `machine`, a ceremony with a key, to its end over `links`. `record` stores what the machine
/// wants persisted.
///
/// # Errors
/// The machine fails, `record` cannot store, or a participant is gone or gives up.
pub async fn drive<P: Protocol>(
    node: &Node,
    (ceremony, key, request): (Ceremony, &str, &RequestId),
    machine: &mut Machine<P>,
    links: &mut PeerLinks,
    record: &mut dyn Record<P::Curve>,
) -> Result<P::Done, Error> {
    let names = links.names();
    let label = |party: PartyId| name_in(&names, party);
    let name = |party: PartyId| label(party).to_string();
    let mut since = clock::now();
    machine.start(since);
    loop {
        loop {
            record.look_up()?;
            let Some(output) = machine.poll() else { break };
            match output {
                Output::Send { to, bytes } => {
                    let kind = bytes.expose().get(1).copied().and_then(Kind::from_tag);
                    // A send that fails may have delivered the message all the same.
                    if let Some(kind) = kind {
                        record.sending(kind);
                    }
                    if let Err(error) = links.send(to, bytes).await {
                        return Err(last_word(links, (ceremony, key), label)
                            .await
                            .unwrap_or(error));
                    }
                }
                Output::Persist(what) => record.persist(what)?,
                Output::Event(step) => {
                    if matches!(step, Step::Round { .. }) {
                        since = clock::now();
                    }
                    node.tell(told((ceremony, request), &step, since, name));
                }
                Output::Done(done) => return Ok(done),
                Output::Failed(fault) => {
                    return Err(fault_with(fault, key, label));
                }
            }
        }
        let wake = machine.wake_at().unwrap_or_else(|| node.deadline_within(crate::driver::ROUND));
        let wake = node.deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            () = sleep_until(wake.into()) => {
                if node.deadline.is_some_and(|deadline| clock::now() >= deadline) {
                    let peers = machine.awaiting().into_iter().map(label);
                    let (peers, awaited) = (peers.collect(), Awaited::Deadline);
                    return Err(Error::TimedOut { peers, awaited });
                }
                machine.tick(clock::now());
            }
            (party, incoming) = links.recv() => match incoming {
                Incoming::Protocol(bytes) => {
                    links.flush().await;
                    record.look_up()?;
                    machine.handle(clock::now(), party, &bytes);
                }
                incoming => {
                    if let Some(end) = end_by(links, party, incoming, (ceremony, key), label) {
                        return Err(end);
                    }
                }
            },
        }
    }
}

/// The error for a message from `party`, or for its broken link, if that ends the ceremony.
fn end_by(
    links: &PeerLinks,
    party: PartyId,
    incoming: Incoming,
    (ceremony, key): (Ceremony, &str),
    label: impl Fn(PartyId) -> Label,
) -> Option<Error> {
    Some(match incoming {
        Incoming::Protocol(_) | Incoming::Control(Message::Finished) => return None,
        Incoming::Control(Message::Refuse { reason: Reason::Left { party: who } }) => {
            Error::Left { peer: label(party), who: label(who) }
        }
        // After the first protocol message `busy` would make the requester retry a spent session,
        // so it is treated as an abort.
        Incoming::Control(Message::Refuse { reason: Reason::Busy { .. } })
            if links.has_spoken(party) =>
        {
            Error::refused_in(&label(party), Reason::Aborted, ceremony, key)
        }
        Incoming::Control(Message::Refuse { reason }) => {
            Error::refused_in(&label(party), reason, ceremony, key)
        }
        Incoming::Control(_) => Error::nonsense(&label(party)),
        // A party that has said it is done may close its link: all its messages have arrived.
        Incoming::Lost(_) if links.has_finished(party) => return None,
        Incoming::Lost(error) => Error::link(&label(party), error),
    })
}

/// The refusal that a party sent before its link broke, if one arrives.
async fn last_word(
    links: &mut PeerLinks,
    what: (Ceremony, &str),
    label: impl Fn(PartyId) -> Label + Copy,
) -> Option<Error> {
    let until = clock::now() + LAST_WORD;
    loop {
        let (party, incoming) = links.recv_before(until).await?;
        if let Some(end) = end_by(links, party, incoming, what, label) {
            return Some(end);
        }
    }
}

/// The error for `fault` in a ceremony with the key `key`; `name` gives the label of a party.
pub(super) fn fault_with(fault: Fault, key: &str, name: impl Fn(PartyId) -> Label) -> Error {
    Error::Fault { culprit: fault.culprit.map(name), fault, key: key.to_owned() }
}

/// The event for `step`, in a round that began at `since`.
fn told(
    (ceremony, request): (Ceremony, &RequestId),
    step: &Step,
    since: Instant,
    name: impl Fn(PartyId) -> String,
) -> Event {
    let request_id = Some(request.clone());
    match step {
        Step::Round { round, of, name, .. } => Event::Round {
            ceremony,
            round: *round,
            of: *of,
            name: (*name).to_owned(),
            ms: None,
            request_id,
        },
        Step::RoundDone { round, of, name, elapsed, .. } => Event::Round {
            ceremony,
            round: *round,
            of: *of,
            name: (*name).to_owned(),
            ms: Some(clock::millis(*elapsed)),
            request_id,
        },
        Step::Waiting { round, for_ } => Event::Waiting {
            what: format!("round {round}"),
            peers: for_.iter().copied().map(name).collect(),
            seconds: None,
            request_id,
        },
        Step::Received { round, from } => Event::Received {
            ceremony,
            round: *round,
            from: name(*from),
            ms: clock::millis(clock::now().saturating_duration_since(since)),
            request_id,
        },
    }
}
