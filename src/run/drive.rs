//! The loop: a machine on one side, the links on the other, the vault in between.
//!
//! What the machine wants persisted is durable before anything it says afterwards is sent.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::time::sleep_until;

use crate::device::Label;
use crate::party::PartyId;
use crate::progress::Event;
use crate::protocol::event::Event as Step;
use crate::protocol::machine::{Machine, Output, Persist, Protocol};
use crate::report::{self, Failure};
use crate::request::Ceremony;
use crate::run::table::{Incoming, Table};
use crate::run::{Node, clock};
use crate::talk::{Message, Reason};

/// Runs `machine`, a ceremony with a key, to its end over the links of `table`; `keep` makes durable what
/// must be.
///
/// # Errors
/// What the machine finds, what `keep` cannot store, and a participant that is gone or gives up.
pub async fn drive<P: Protocol>(
    node: &Node,
    (ceremony, key): (Ceremony, &str),
    machine: &mut Machine<P>,
    table: &mut Table,
    keep: &mut (dyn FnMut(Persist) -> Result<(), Failure> + Send),
) -> Result<P::Done, Failure> {
    let names: BTreeMap<u8, Label> = table.names();
    let name = |party: PartyId| {
        names.get(&party.get()).map_or_else(|| format!("party {party}"), ToString::to_string)
    };
    let mut since = clock::now();
    machine.start(since);
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { to, bytes } => table.send(to.get(), bytes).await?,
                Output::Persist(what) => keep(what)?,
                Output::Event(step) => {
                    if matches!(step, Step::Round { .. }) {
                        since = clock::now();
                    }
                    node.tell(told(ceremony, &step, since, name));
                }
                Output::Done(done) => return Ok(done),
                Output::Failed(fault) => return Err(report::fault(&fault, &[key], name)),
            }
        }
        let wake = machine.wake_at().unwrap_or_else(|| node.until(super::ROUND));
        let wake = node.deadline.map_or(wake, |deadline| wake.min(deadline));
        tokio::select! {
            () = sleep_until(wake.into()) => {
                if node.deadline.is_some_and(|deadline| clock::now() >= deadline) {
                    let awaited: Vec<String> = machine.awaiting().into_iter().map(name).collect();
                    return Err(report::slow(&awaited.join(" and "), "--timeout"));
                }
                machine.tick(clock::now());
            }
            (party, incoming) = table.recv() => match incoming {
                Incoming::Protocol(bytes) => {
                    if let Some(from) = PartyId::new(party) {
                        machine.handle(clock::now(), from, &bytes);
                    }
                }
                Incoming::Control(Message::Finished) => {}
                Incoming::Control(Message::Refuse { reason: Reason::Left { party: who } }) => {
                    return Err(report::left(&label(&names, party), &label(&names, who)));
                }
                Incoming::Control(Message::Refuse { reason }) => {
                    return Err(report::refused_with(&label(&names, party), reason, key));
                }
                Incoming::Control(_) => return Err(report::nonsense(&label(&names, party))),
                // Whoever said it is done may leave: all it had to say has arrived.
                Incoming::Lost(_) if table.has_finished(party) => {}
                Incoming::Lost(error) => return Err(report::link(&label(&names, party), &error)),
            },
        }
    }
}

fn label(names: &BTreeMap<u8, Label>, party: u8) -> String {
    names.get(&party).map_or_else(|| format!("party {party}"), ToString::to_string)
}

/// What people are told of `step`, in a round that began at `since`.
fn told(
    ceremony: Ceremony,
    step: &Step,
    since: Instant,
    name: impl Fn(PartyId) -> String,
) -> Event {
    match step {
        Step::Round { round, of, name, .. } => {
            Event::Round { ceremony, round: *round, of: *of, name: (*name).to_owned(), ms: None }
        }
        Step::RoundDone { round, of, name, elapsed, .. } => Event::Round {
            ceremony,
            round: *round,
            of: *of,
            name: (*name).to_owned(),
            ms: Some(clock::millis(*elapsed)),
        },
        Step::Waiting { round, for_ } => Event::Waiting {
            what: format!("round {round}"),
            peers: for_.iter().copied().map(name).collect(),
            seconds: None,
        },
        Step::Received { round, from } => Event::Received {
            ceremony,
            round: *round,
            from: name(*from),
            ms: clock::millis(clock::now().saturating_duration_since(since)),
        },
    }
}
