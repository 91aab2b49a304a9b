//! Whether times tell secrets: Welch's t-test between a fixed and a random secret, as dudect does.
//!
//! The extension's check with `Delta`, the multiplication with `beta`. In both, the message is wrong
//! for either class, so that the public verdict is the same. |t| above 10 is a leak or a disturbed
//! machine: repeat it on an idle one. The control leaks, and must be found. `tests/ct` looks for causes
//! and is exact; this looks for effects.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark that prints")]

use std::hint::black_box;
use std::time::Instant;

use cosign_core::hazmat::crypto::mul;
use cosign_core::hazmat::crypto::ot::extension;
use cosign_core::hazmat::crypto::ot::tree::{ReceiverTrees, SenderTrees};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::k256::Secp256k1;

const SESSION: [u8; 32] = [1; 32];
const NONCE: [u8; 32] = [2; 32];
/// Measurements of both classes together.
const RUNS: u32 = 20_000;
/// The slowest of these are the machine's, not the program's.
const KEPT: f64 = 0.9;
/// From this |t| on there is a difference.
const LEAK: f64 = 10.0;

fn main() {
    // `cargo test --benches` only wants to see it run.
    let runs = if std::env::args().any(|argument| argument == "--test") { 200 } else { RUNS };
    report(
        "extension check, Delta",
        &measured(runs, trees, |trees| {
            assert!(
                extension::check::<Secp256k1>(
                    &SESSION,
                    &trees,
                    black_box(&[3; extension::MESSAGE])
                )
                .is_err()
            );
        }),
    );
    report(
        "multiplication, beta",
        &measured(runs, extended, |extended| {
            let refused = mul::receive(&SESSION, &NONCE, &extended, black_box(&[5; mul::MESSAGE]));
            assert!(refused.is_err());
        }),
    );
    let t = report(
        "control, a check and then a branch on Delta",
        &measured(
            runs,
            |secret| (trees(0), holes(secret)),
            |(trees, holes)| {
                let refused = extension::check::<Secp256k1>(
                    &SESSION,
                    &trees,
                    black_box(&[3; extension::MESSAGE]),
                );
                assert!(refused.is_err());
                leak(&holes);
            },
        ),
    );
    assert!(runs < RUNS || t.abs() > LEAK, "the control went unnoticed");
}

/// What a careless edit may do: a little more for each hole that is where it was expected.
fn leak(holes: &[u8; 32]) {
    for (hole, expected) in holes.iter().zip(self::holes(0)) {
        if black_box(hole & 15) == expected & 15 {
            black_box(seed(1).bytes::<32>("more"));
        }
    }
}

fn holes(secret: u32) -> [u8; 32] {
    seed(secret).bytes("holes")
}

/// A's trees with holes that follow from `secret`; the leaves are the same for all.
fn trees(secret: u32) -> ReceiverTrees {
    let mut stored = vec![7; 32 + 16_384];
    let (first, leaves) = stored.split_at_mut(32);
    for (tree, (hole, drawn)) in first.iter_mut().zip(holes(secret)).enumerate() {
        *hole = drawn & 15;
        let start = (tree * 16 + usize::from(*hole)) * 32;
        leaves.get_mut(start..start + 32).expect("a leaf").fill(0);
    }
    ReceiverTrees::from_bytes(&stored).expect("trees")
}

/// B's half of an extension with choices that follow from `secret`.
fn extended(secret: u32) -> extension::Extended<Secp256k1> {
    let trees = SenderTrees::from_bytes(&[7; 16_384]).expect("trees");
    extension::extend(&SESSION, &trees, &seed(secret), "beta/1").0
}

fn seed(secret: u32) -> SessionSeed {
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&secret.to_be_bytes());
    SessionSeed::from_bytes(bytes)
}

/// Nanoseconds with the fixed and with random secrets, in an order that does not follow the time. Both
/// classes are made anew for each run, in the same way.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn measured<T>(runs: u32, make: impl Fn(u32) -> T, run: impl Fn(T)) -> [Vec<f64>; 2] {
    let order: Vec<u8> = {
        let mut bytes = vec![0; runs as usize];
        seed(0xffff_ffff).fill("order", &mut bytes);
        bytes
    };
    let mut times = [Vec::new(), Vec::new()];
    for (number, order) in (1..).zip(order) {
        let class = usize::from(order & 1);
        let secret = make(if class == 0 { 0 } else { number });
        let begun = Instant::now();
        run(secret);
        times[class].push(begun.elapsed().as_nanos() as f64);
    }
    times
}

/// Prints the means of both classes and hands back t.
fn report(what: &str, times: &[Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let limit = all[(all.len() as f64 * KEPT) as usize];
    let [fixed, random] = [0, 1].map(|class: usize| {
        let kept: Vec<f64> = times[class].iter().copied().filter(|time| *time <= limit).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    let t = (fixed.0 - random.0) / (fixed.1 + random.1).sqrt();
    println!("{what}: fixed {:.1} us, random {:.1} us, t = {t:.1}", fixed.0 / 1e3, random.0 / 1e3);
    t
}
