//! What a signature costs: one party's whole work, all parties' work, and bytes sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints sizes"
)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/secp256k1.rs"]
mod curve;
#[path = "../tests/support/replay.rs"]
mod replay;

use ceremony::{
    batch_machine, batch_machines, batch_setup, keygen, parties, sha, sign_machines, sign_setup,
    signer,
};
use cosign_core::PartyId;
use criterion::{Criterion, criterion_group, criterion_main};
use replay::Script;

fn signing(c: &mut Criterion, name: &str, count: u8, signers: &[PartyId]) {
    let shares = keygen("bench", 2, count);
    let setup = sign_setup(name, signers, sha("digest"));
    let machines = || sign_machines(&shares, name, &setup);
    let script = Script::record(machines());
    script.print_sizes(&format!("sign {name}"));

    let mut group = c.benchmark_group("sign");
    let me = signers[0];
    group.bench_function(format!("{name}/party"), |b| {
        // Construction is part of the work: it makes the first message.
        b.iter(|| script.play(signer(&shares[&me], name, &setup).expect("a valid setup")));
    });
    group.bench_function(format!("{name}/all"), |b| {
        b.iter(|| machines().into_iter().for_each(|machine| script.play(machine)));
    });
}

/// Several digests in one session; one is `signing`.
fn batch(c: &mut Criterion, count: usize) {
    let shares = keygen("bench", 2, 2);
    let name = format!("2-of-2, {count} digests");
    let digests: Vec<_> = (0..count).map(|l| sha(format!("digest {l}"))).collect();
    let signers = parties([1, 2]);
    let setup = batch_setup(&name, &signers, &digests);
    let script = Script::record(batch_machines(&shares, &name, &setup));
    script.print_sizes(&format!("sign {name}"));
    c.benchmark_group("sign").bench_function(format!("{name}/party"), |b| {
        b.iter(|| script.play(batch_machine(&shares[&signers[0]], &name, &setup)));
    });
}

fn benches(c: &mut Criterion) {
    signing(c, "2-of-2", 2, &parties([1, 2]));
    signing(c, "2-of-3", 3, &parties([1, 3]));
    batch(c, 5);
    batch(c, 25);
}

criterion_group!(all, benches);
criterion_main!(all);
