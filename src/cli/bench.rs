//! `cosign bench`: measures key generation and signing on this machine.

mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k256::Secp256k1;
use k256::elliptic_curve::Field as _;
use p256::NistP256;
use serde::Serialize;

use crate::cli::args::BenchArgs;
use crate::cli::{Global, Output};
use crate::crypto::curve::{Curve, Scalar};
use crate::driver::{ROUND, clock};
use crate::party::PartyId;
use crate::protocol::fault::Fault;
use crate::protocol::key::KeyShare;
use crate::protocol::keygen::{KeygenSetup, keygen};
use crate::protocol::machine::{Machine, Output as Out, Persist, Protocol};
use crate::protocol::sign::{SignSetup, sign};
use crate::report::{self, Failure};

const KEYGENS: u32 = 5;
const SIGNATURES: u32 = 100;

#[derive(Debug, Serialize)]
struct BenchResult {
    rows: Vec<Row>,
}

/// The cost of one ceremony, run in one thread and in memory.
#[derive(Debug, Serialize)]
struct Row {
    ceremony: &'static str,
    curve: &'static str,
    threshold: u8,
    parties: u8,
    runs: u32,
    /// Milliseconds of one party's work: the median run, divided by the number of parties.
    ms_per_party: f64,
    /// Bytes that one party sends.
    bytes_per_party: usize,
}

/// `cosign bench`
pub(super) fn run_bench(global: &Global, args: BenchArgs) -> Result<Output, Failure> {
    if args.load {
        return load::run(global);
    }
    let mut rows = Vec::new();
    for parties in [2, 3] {
        rows.extend(measured::<Secp256k1>(global, parties)?);
    }
    for parties in [2, 3] {
        rows.extend(measured::<NistP256>(global, parties)?);
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{:<9} {:<7} {} of {}   {:>8.3} ms per party   {:>6} bytes sent per party",
                row.curve,
                row.ceremony,
                row.threshold,
                row.parties,
                row.ms_per_party,
                row.bytes_per_party
            )
        })
        .collect();
    Output::new(BenchResult { rows }, lines.join("\n"))
}

/// Key generations and signatures of one curve.
fn measured<C: Curve>(global: &Global, parties: u8) -> Result<[Row; 2], Failure> {
    global.screen.note(format!("measuring 2-of-{parties} on {}, a few seconds", C::NAME));
    let (row, shares) = keygens::<C>(parties)?;
    Ok([row, signatures(&shares, parties)?])
}

fn keygens<C: Curve>(parties: u8) -> Result<(Row, Vec<KeyShare<C>>), Failure> {
    let mut times = Vec::new();
    let mut last = (0, Vec::new());
    for _ in 0..KEYGENS {
        let instance = clock::nonce()?;
        let identities: Vec<Vec<u8>> = (1..=parties).map(|i| vec![i]).collect();
        let machines = PartyId::all(parties)
            .map(|me| {
                let identities = identities.clone();
                let setup = KeygenSetup { instance, threshold: 2, me, identities };
                keygen::<C>(setup, &clock::random()?, &[], ROUND).map_err(|fault| broken(&fault))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let since = clock::now();
        last = exchange(machines)?;
        times.push(clock::now().saturating_duration_since(since));
    }
    let (bytes, shares) = last;
    Ok((row::<C>("keygen", parties, parties, KEYGENS, times, bytes), shares))
}

fn signatures<C: Curve>(shares: &[KeyShare<C>], parties: u8) -> Result<Row, Failure> {
    let signers: Vec<PartyId> = PartyId::all(2).collect();
    let shares: Vec<Arc<KeyShare<C>>> = shares
        .iter()
        .take(2)
        .map(|share| KeyShare::from_bytes(share.to_bytes().expose()).map(Arc::new))
        .collect::<Result<_, _>>()
        .map_err(|_| report::bug("a share does not read back"))?;
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..SIGNATURES {
        let (sign_id, digest) = (clock::nonce()?, clock::nonce()?);
        let since = clock::now();
        let machines = shares
            .iter()
            .map(|share| {
                let setup = SignSetup {
                    signers: signers.clone(),
                    sign_id,
                    digest,
                    tweak: Scalar::<C>::ZERO,
                    recipient: None,
                };
                sign(Arc::clone(share), setup, &clock::random()?, ROUND)
                    .map_err(|fault| broken(&fault))
            })
            .collect::<Result<Vec<_>, _>>()?;
        (bytes, _) = exchange(machines)?;
        times.push(clock::now().saturating_duration_since(since));
    }
    Ok(row::<C>("sign", parties, 2, SIGNATURES, times, bytes))
}

/// The bytes that party 1 sent, and the shares that were made.
type Exchanged<C> = (usize, Vec<KeyShare<C>>);

/// Runs all machines against one another.
fn exchange<P: Protocol>(machines: Vec<Machine<P>>) -> Result<Exchanged<P::Curve>, Failure> {
    let mut machines: BTreeMap<PartyId, Machine<P>> =
        machines.into_iter().map(|machine| (machine.me(), machine)).collect();
    let mut bytes_sent = 0;
    let mut shares = Vec::new();
    let now = clock::now();
    for machine in machines.values_mut() {
        machine.start(now);
    }
    loop {
        let mut mail = Vec::new();
        for (from, machine) in &mut machines {
            while let Some(output) = machine.poll() {
                match output {
                    Out::Send { to, bytes } => {
                        bytes_sent += if from.get() == 1 { bytes.expose().len() } else { 0 };
                        mail.push((*from, to, bytes));
                    }
                    Out::Persist(Persist::PendingShare(pending)) => shares.push(pending.share),
                    Out::Failed(fault) => return Err(broken(&fault)),
                    Out::Persist(_) | Out::Event(_) | Out::Done(_) => {}
                }
            }
        }
        if mail.is_empty() {
            return Ok((bytes_sent, shares));
        }
        for (from, to, bytes) in mail {
            if let Some(machine) = machines.get_mut(&to) {
                machine.handle(now, from, bytes.expose());
            }
        }
    }
}

fn row<C: Curve>(
    ceremony: &'static str,
    parties: u8,
    taking_part: u8,
    runs: u32,
    mut times: Vec<Duration>,
    bytes: usize,
) -> Row {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Row {
        ceremony,
        curve: C::NAME,
        threshold: 2,
        parties,
        runs,
        ms_per_party: median.as_secs_f64() * 1000.0 / f64::from(taking_part),
        bytes_per_party: bytes,
    }
}

fn broken(fault: &Fault) -> Failure {
    report::fault(fault, &[], |party| format!("party {party}"))
}
