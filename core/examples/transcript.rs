//! Makes a key and a signature among parties in memory, everything derived from names, and prints
//! every message's hash: what another implementation of docs/protocol.md is compared with (§12.2).
//!
//! ```text
//! cargo run --release --example transcript -- --instance NAME --t 2 --n 3 --sign NAME \
//!     --signers 1,3 --digest HEX
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::{encode_point, encode_scalar};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::key::KeyShare;
use cosign_core::hazmat::protocol::keygen::{KeygenSetup, keygen_with_seed};
use cosign_core::hazmat::protocol::local::{Local, Outcome, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::{SignSetup, Signature, Signed, sign_with_seed};
use cosign_core::{hex, unhex};
use k256::Scalar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TIMEOUT: Duration = Duration::from_secs(60);

struct Arguments {
    instance: String,
    threshold: u8,
    count: u8,
    sign: String,
    signers: Vec<PartyId>,
    digest: [u8; 32],
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let mut parcels = Vec::new();
    let shares = keygen(&arguments, &mut parcels)?;
    let signature = sign(&arguments, &shares, &mut parcels)?;
    let first = shares.values().next().ok_or("no parties")?;
    let secrets: BTreeMap<String, String> = shares
        .values()
        .map(|share| (share.me().to_string(), hex(&encode_scalar(share.secret().expose()))))
        .collect();
    let report = json!({
        "Q": hex(&encode_point(first.public_key()).ok_or("the key is the identity")?),
        "cc": hex(first.chain_code()),
        "epoch": hex(first.epoch()),
        "y": secrets,
        "r": hex(&encode_scalar(&signature.r)),
        "s": hex(&encode_scalar(&signature.s)),
        "recid": signature.recovery_id,
        "messages": listing(parcels),
    });
    writeln!(std::io::stdout(), "{report:#}")?;
    Ok(())
}

fn keygen(
    arguments: &Arguments,
    parcels: &mut Vec<Parcel>,
) -> Result<BTreeMap<PartyId, Arc<KeyShare>>, Box<dyn Error>> {
    let Arguments { instance, threshold, count, .. } = arguments;
    let identities: Vec<_> = (1..=*count).map(|i| format!("party-{i}").into_bytes()).collect();
    let machines = PartyId::all(*count).map(|me| {
        let setup = KeygenSetup {
            instance: sha256(instance),
            threshold: *threshold,
            me,
            identities: identities.clone(),
        };
        keygen_with_seed(setup, seed(&format!("{instance}|{me}")), TIMEOUT)
    });
    let mut shares = BTreeMap::new();
    for (party, outcome) in run(machines.collect::<Result<_, _>>()?, parcels) {
        outcome.result.ok_or("a party did not end")??;
        for persist in outcome.persisted {
            if let Persist::PendingShare(pending) = persist {
                shares.insert(party, Arc::new(pending.share));
            }
        }
    }
    Ok(shares)
}

fn sign(
    arguments: &Arguments,
    shares: &BTreeMap<PartyId, Arc<KeyShare>>,
    parcels: &mut Vec<Parcel>,
) -> Result<Signature, Box<dyn Error>> {
    let mut machines = Vec::new();
    for me in &arguments.signers {
        let share = shares.get(me).ok_or("a signer that has no share")?;
        let setup = SignSetup {
            signers: arguments.signers.clone(),
            sign_id: sha256(&arguments.sign),
            digest: arguments.digest,
            tweak: Scalar::ZERO,
            recipient: None,
        };
        let seed = seed(&format!("sign|{}|{me}", arguments.sign));
        machines.push(sign_with_seed(Arc::clone(share), setup, seed, TIMEOUT)?);
    }
    for outcome in run(machines, parcels).into_values() {
        if let Signed::Signature(signature) = outcome.result.ok_or("a party did not end")?? {
            return Ok(signature);
        }
    }
    Err("nobody received the signature".into())
}

fn run<P: Protocol>(
    machines: Vec<Machine<P>>,
    parcels: &mut Vec<Parcel>,
) -> BTreeMap<PartyId, Outcome<P::Done>> {
    #[expect(clippy::disallowed_methods, reason = "an example drives its own machines")]
    let now = Instant::now();
    Local::start(machines, now).run_with(|parcel| {
        parcels.push(parcel.clone());
        vec![parcel]
    })
}

/// The messages by type, sender and receiver; the partial signatures, which are the same for
/// everybody, once and to 0.
fn listing(parcels: Vec<Parcel>) -> Vec<Value> {
    const PARTIAL_SIGNATURE: u8 = 0x13;
    let mut messages: BTreeMap<[u8; 3], Vec<u8>> = BTreeMap::new();
    for Parcel { from, to, bytes } in parcels {
        let kind = bytes.get(1).copied().unwrap_or_default();
        let to = if kind == PARTIAL_SIGNATURE { 0 } else { to.get() };
        messages.insert([kind, from.get(), to], bytes);
    }
    let line = |([kind, from, to], bytes): (&[u8; 3], &Vec<u8>)| {
        json!({
            "type": hex(&[*kind]),
            "from": from,
            "to": to,
            "len": bytes.len(),
            "sha256": hex(&Sha256::digest(bytes)),
        })
    };
    messages.iter().map(line).collect()
}

fn sha256(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

fn seed(name: &str) -> SessionSeed {
    SessionSeed::from_bytes(sha256(&format!("model-seed|{name}")))
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut given = BTreeMap::new();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            given.insert(flag, value);
        }
        let mut take = |flag: &str| given.remove(flag).ok_or_else(|| format!("{flag} is missing"));
        let signer = |text: &str| text.trim().parse().ok().and_then(PartyId::new);
        let arguments = Self {
            instance: take("--instance")?,
            threshold: take("--t")?.parse()?,
            count: take("--n")?.parse()?,
            sign: take("--sign")?,
            signers: take("--signers")?
                .split(',')
                .map(signer)
                .collect::<Option<_>>()
                .ok_or("--signers takes indices such as 1,2")?,
            digest: unhex(&take("--digest")?)
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or("--digest takes 64 hexadecimal digits")?,
        };
        match given.into_keys().next() {
            None => Ok(arguments),
            Some(flag) => Err(format!("{flag} is not known here").into()),
        }
    }
}
