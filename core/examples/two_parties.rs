//! Two parties make a key and sign with it, all in memory.
//!
//! `Local` carries the messages here; an application drives each `Machine` itself and puts a
//! network and a disk between them.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign_core::k256::Scalar;
use cosign_core::k256::Secp256k1;
use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
use cosign_core::local::Local;
use cosign_core::{KeygenSetup, PartyId, Persist, Secret, SignSetup, Signed, hex, keygen, sign};

const TIMEOUT: Duration = Duration::from_secs(30);

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "an application has a clock")]
fn main() -> Result<(), Box<dyn Error>> {
    let (instance, identities) = (random(), vec![b"alice".to_vec(), b"bob".to_vec()]);
    let mut machines = Vec::new();
    for me in PartyId::all(2) {
        let setup = KeygenSetup { instance, threshold: 2, me, identities: identities.clone() };
        machines.push(keygen::<Secp256k1>(setup, &Secret::new(random()), &[], TIMEOUT)?);
    }
    let mut shares = Vec::new();
    for outcome in Local::start(machines, Instant::now()).run().into_values() {
        outcome.result.ok_or("key generation did not end")??;
        for persist in outcome.persisted {
            if let Persist::PendingShare(pending) = persist {
                shares.push(Arc::new(pending.share));
            }
        }
    }

    let (sign_id, digest, signers) = (random(), random(), PartyId::all(2).collect());
    let recipient = PartyId::new(1);
    let setup = SignSetup { signers, sign_id, digest, tweak: Scalar::ZERO, recipient };
    let mut machines = Vec::new();
    for share in shares {
        machines.push(sign(share, setup.clone(), &Secret::new(random()), TIMEOUT)?);
    }
    for (party, outcome) in Local::start(machines, Instant::now()).run() {
        let line = match outcome.result.ok_or("signing did not end")?? {
            Signed::Signature(signature) => hex(&signature.der()),
            Signed::Delivered => "has sent its part".to_owned(),
        };
        writeln!(std::io::stdout(), "party {party}: {line}")?;
    }
    Ok(())
}
