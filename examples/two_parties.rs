//! Two parties make a key and sign with it, all in memory.
//!
//! `Local` carries the messages here; an application drives each `Machine` itself and puts a
//! network and a disk between them (see `cosign::protocol`).

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign::device::hex;
use cosign::party::PartyId;
use cosign::protocol::keygen::{KeygenSetup, keygen};
use cosign::protocol::local::Local;
use cosign::protocol::machine::Persist;
use cosign::protocol::sign::{SignSetup, Signed, sign};
use cosign::secret::Secret;
use k256::Scalar;
use k256::elliptic_curve::rand_core::{OsRng, RngCore};

const TIMEOUT: Duration = Duration::from_secs(30);

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "an application has a clock")]
fn main() -> Result<(), Box<dyn Error>> {
    let identities = vec![b"alice".to_vec(), b"bob".to_vec()];
    let instance = random();
    let machines = PartyId::all(2).map(|me| {
        let setup = KeygenSetup { instance, threshold: 2, me, identities: identities.clone() };
        keygen(setup, &Secret::new(random()), TIMEOUT)
    });
    let mut shares = Vec::new();
    for outcome in
        Local::start(machines.collect::<Result<Vec<_>, _>>()?, Instant::now()).run().into_values()
    {
        outcome.result.ok_or("keygen did not end")??;
        shares.extend(outcome.persisted.into_iter().filter_map(|persist| match persist {
            Persist::PendingShare(pending) => Some(Arc::new(pending.share)),
            Persist::CheckResolved { .. } | Persist::Retired { .. } => None,
        }));
    }

    let setup = SignSetup {
        signers: PartyId::all(2).collect(),
        sign_id: random(),
        digest: random(),
        tweak: Scalar::ZERO,
        recipient: PartyId::new(1),
    };
    let signer = |share| sign(share, setup.clone(), &Secret::new(random()), TIMEOUT);
    let machines = shares.into_iter().map(signer).collect::<Result<Vec<_>, _>>()?;
    for (party, outcome) in Local::start(machines, Instant::now()).run() {
        let line = match outcome.result.ok_or("signing did not end")?? {
            Signed::Signature(signature) => hex(&signature.der()),
            Signed::Delivered => "has sent its part".to_owned(),
        };
        writeln!(std::io::stdout(), "party {party}: {line}")?;
    }
    Ok(())
}
