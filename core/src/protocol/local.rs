//! All parties of one ceremony in one process: for examples, benchmarks and tests.
//!
//! Time stands still until nothing is left to deliver, and then jumps to the next time-out.

use std::collections::BTreeMap;
use std::mem;
use std::time::Instant;

use k256::Secp256k1;

use crate::crypto::curve::Curve;
use crate::party::PartyId;
use crate::protocol::event::Event;
use crate::protocol::fault::Fault;
use crate::protocol::machine::{Machine, Output, Persist, Protocol};

/// A message that was sent and not delivered. It is not wiped: where all parties are one process,
/// nothing is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The sender, as the channel names it.
    pub from: PartyId,
    /// The receiver.
    pub to: PartyId,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// The result of a ceremony for one party.
#[derive(Debug)]
pub struct Outcome<D, C: Curve = Secp256k1> {
    /// Its result; `None` if the machine has not ended.
    pub result: Option<Result<D, Fault>>,
    /// Its outputs to be stored, in order.
    pub persisted: Vec<Persist<C>>,
    /// Its events, in order.
    pub events: Vec<Event>,
}

/// Machines of one ceremony, and the messages between them.
#[derive(Debug)]
pub struct Local<P: Protocol> {
    machines: BTreeMap<PartyId, Machine<P>>,
    outcomes: BTreeMap<PartyId, Outcome<P::Done, P::Curve>>,
    /// Messages that were sent and not delivered, oldest first. They may be changed, removed, added
    /// and reordered.
    pub parcels: Vec<Parcel>,
    now: Instant,
}

impl<P: Protocol> Local<P> {
    /// Starts all machines at `now`.
    pub fn start(machines: impl IntoIterator<Item = Machine<P>>, now: Instant) -> Self {
        let machines: BTreeMap<_, _> = machines.into_iter().map(|m| (m.me(), m)).collect();
        let empty = || Outcome { result: None, persisted: Vec::new(), events: Vec::new() };
        let outcomes = machines.keys().map(|party| (*party, empty())).collect();
        let mut local = Self { machines, outcomes, parcels: Vec::new(), now };
        for machine in local.machines.values_mut() {
            machine.start(now);
        }
        local.drain();
        local
    }

    /// Delivers all messages in the order in which they were sent, until all machines have ended.
    pub fn run(self) -> BTreeMap<PartyId, Outcome<P::Done, P::Curve>> {
        self.run_with(|parcel| vec![parcel])
    }

    /// As [`run`](Self::run), delivering what `tamper` returns for each message: nothing, the
    /// message, another one, or several.
    pub fn run_with(
        mut self,
        mut tamper: impl FnMut(Parcel) -> Vec<Parcel>,
    ) -> BTreeMap<PartyId, Outcome<P::Done, P::Curve>> {
        loop {
            while !self.parcels.is_empty() {
                let parcel = self.parcels.remove(0);
                tamper(parcel).iter().for_each(|parcel| self.deliver(parcel));
            }
            if !self.wait() {
                return self.outcomes;
            }
        }
    }

    /// Delivers one message and collects the outputs.
    pub fn deliver(&mut self, parcel: &Parcel) {
        if let Some(machine) = self.machines.get_mut(&parcel.to) {
            machine.handle(self.now, parcel.from, &parcel.bytes);
        }
        self.drain();
    }

    /// Lets time pass until the next machine times out. `false` if no machine waits.
    pub fn wait(&mut self) -> bool {
        let Some(next) = self.machines.values().filter_map(Machine::wake_at).min() else {
            return false;
        };
        self.now = next;
        for machine in self.machines.values_mut() {
            machine.tick(next);
        }
        self.drain();
        true
    }

    /// The outcomes so far.
    pub fn outcomes(&self) -> &BTreeMap<PartyId, Outcome<P::Done, P::Curve>> {
        &self.outcomes
    }

    fn drain(&mut self) {
        for (from, machine) in &mut self.machines {
            let Some(outcome) = self.outcomes.get_mut(from) else { continue };
            while let Some(output) = machine.poll() {
                match output {
                    Output::Send { to, mut bytes } => {
                        let bytes = mem::take(bytes.expose_mut());
                        self.parcels.push(Parcel { from: *from, to, bytes });
                    }
                    Output::Persist(persist) => outcome.persisted.push(persist),
                    Output::Event(event) => outcome.events.push(event),
                    Output::Done(done) => outcome.result = Some(Ok(done)),
                    Output::Failed(fault) => outcome.result = Some(Err(fault)),
                }
            }
        }
    }
}
