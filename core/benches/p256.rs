//! What a key and a signature cost on P-256: one party's whole work.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise, and others print sizes"
)]

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/p256.rs"]
mod curve;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/replay.rs"]
mod replay;

use ceremony::{
    keygen, keygen_machine, keygen_machines, parties, party, sha, sign_machines, sign_setup, signer,
};
use criterion::{Criterion, criterion_group, criterion_main};
use replay::Script;

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("P-256");
    group.sample_size(20);
    let script = Script::record(keygen_machines("2-of-2", 2, 2));
    group.bench_function("keygen 2-of-2/party", |b| {
        b.iter(|| script.play(keygen_machine("2-of-2", 2, 2, party(1))));
    });
    let shares = keygen("bench", 2, 2);
    let setup = sign_setup("2-of-2", &parties([1, 2]), sha("digest"));
    let script = Script::record(sign_machines(&shares, "2-of-2", &setup));
    group.bench_function("sign 2-of-2/party", |b| {
        b.iter(|| {
            script.play(signer(&shares[&party(1)], "2-of-2", &setup).expect("a valid setup"))
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
