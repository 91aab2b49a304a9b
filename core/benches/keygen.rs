//! What a key costs: one party's whole work, all parties' work, and bytes sent.
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

use ceremony::{keygen_machine, keygen_machines, party};
use criterion::{Criterion, criterion_group, criterion_main};
use replay::Script;

fn keygen(c: &mut Criterion, threshold: u8, count: u8) {
    let name = format!("{threshold}-of-{count}");
    let machines = || keygen_machines(&name, threshold, count);
    let script = Script::record(machines());
    script.print_sizes(&format!("keygen {name}"));

    let mut group = c.benchmark_group("keygen");
    group.sample_size(20);
    group.bench_function(format!("{name}/party"), |b| {
        b.iter(|| script.play(keygen_machine(&name, threshold, count, party(1))));
    });
    group.bench_function(format!("{name}/all"), |b| {
        b.iter(|| machines().into_iter().for_each(|machine| script.play(machine)));
    });
}

fn benches(c: &mut Criterion) {
    keygen(c, 2, 2);
    keygen(c, 2, 3);
}

criterion_group!(all, benches);
criterion_main!(all);
