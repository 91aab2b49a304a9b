//! The messages of an honest run, for one party: measures its work without that of the others.

use cosign_core::PartyId;
use cosign_core::hazmat::protocol::local::{Local, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Output, Protocol};

use crate::ceremony::now;

/// Everything that was sent in one run, in order.
pub(crate) struct Script(Vec<Parcel>);

impl Script {
    /// Runs machines with fixed seeds to their end.
    pub(crate) fn record<P: Protocol>(machines: Vec<Machine<P>>) -> Self {
        let mut parcels = Vec::new();
        let outcomes = Local::start(machines, now()).run_with(|parcel| {
            parcels.push(parcel.clone());
            vec![parcel]
        });
        assert!(outcomes.values().all(|outcome| matches!(outcome.result, Some(Ok(_)))));
        Self(parcels)
    }

    /// Runs one machine, made with the same seed, against the recorded messages. It must end well.
    pub(crate) fn play<P: Protocol>(&self, mut machine: Machine<P>) {
        let now = now();
        machine.start(now);
        let me = machine.me();
        for parcel in self.0.iter().filter(|parcel| parcel.to == me) {
            machine.handle(now, parcel.from, &parcel.bytes);
        }
        let mut done = false;
        while let Some(output) = machine.poll() {
            done |= matches!(output, Output::Done(_));
        }
        assert!(done);
    }

    /// Bytes that one party sends.
    pub(crate) fn sent_by(&self, party: PartyId) -> usize {
        self.0.iter().filter(|p| p.from == party).map(|p| p.bytes.len()).sum()
    }

    /// Bytes per party, in all and by message type.
    pub(crate) fn print_sizes(&self, name: &str) {
        let mut parties: Vec<PartyId> = self.0.iter().map(|parcel| parcel.from).collect();
        parties.sort_unstable();
        parties.dedup();
        for party in parties {
            println!("{name}: party {party} sends {} bytes", self.sent_by(party));
        }
        let mut kinds: Vec<(u8, usize)> =
            self.0.iter().map(|p| (p.bytes[1], p.bytes.len())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for (kind, length) in kinds {
            println!("{name}: message {kind:02x} has {length} bytes");
        }
    }
}
