//! The parts of key generation and signing whose cost is oblivious transfer.
//!
//! One signature of two parties costs each of them `extend`, `check`, `multiply` and `receive` once;
//! key generation costs each of them both sides of `base` and `tree` per peer.
#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

use std::hint::black_box;

use cosign_core::Secret;
use cosign_core::hazmat::crypto::mul;
use cosign_core::hazmat::crypto::ot::{base, extension, tree};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::k256::Secp256k1;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const SESSION: [u8; 32] = [1; 32];
const NONCE: [u8; 32] = [2; 32];

fn setup(c: &mut Criterion) {
    let (alice, bob) = (SessionSeed::from_bytes([3; 32]), SessionSeed::from_bytes([4; 32]));
    let start = || base::Receiver::start(&SESSION, &alice, 2);
    let (_, ot1) = start();
    let send = || base::send::<Secp256k1>(&SESSION, &bob, 1, &ot1).expect("an honest message");
    let (ot2, _) = send();
    let (_, corrections) = tree::build::<Secp256k1>(&SESSION, send().1);
    let finish =
        |receiver: base::Receiver<Secp256k1>| receiver.finish(&ot2).expect("an honest message");

    let mut group = c.benchmark_group("ot/setup");
    group.bench_function("base/start", |b| b.iter(start));
    group.bench_function("base/send", |b| b.iter(send));
    group.bench_function("base/finish", |b| {
        b.iter_batched(|| start().0, finish, BatchSize::LargeInput);
    });
    group.bench_function("tree/build", |b| {
        b.iter_batched(
            || send().1,
            |keys| tree::build::<Secp256k1>(&SESSION, keys),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("tree/evaluate", |b| {
        let evaluate = |keys| tree::evaluate::<Secp256k1>(&SESSION, keys, black_box(&corrections));
        b.iter_batched(|| finish(start().0), evaluate, BatchSize::LargeInput);
    });
}

fn signing(c: &mut Criterion) {
    let (alice, bob) = (SessionSeed::from_bytes([3; 32]), SessionSeed::from_bytes([4; 32]));
    let (receiver, ot1) = base::Receiver::<Secp256k1>::start(&SESSION, &alice, 2);
    let (ot2, both) = base::send::<Secp256k1>(&SESSION, &bob, 1, &ot1).expect("an honest message");
    let (theirs, corrections) = tree::build::<Secp256k1>(&SESSION, both);
    let chosen = receiver.finish(&ot2).expect("an honest message");
    let ours =
        tree::evaluate::<Secp256k1>(&SESSION, chosen, &corrections).expect("an honest message");

    let extend = || extension::extend::<Secp256k1>(&SESSION, &theirs, &bob, "beta/1");
    let (extended, message) = extend();
    let check =
        || extension::check::<Secp256k1>(&SESSION, &ours, black_box(&message)).expect("honest");
    let inputs = [alice.scalar::<Secp256k1>("a"), alice.scalar::<Secp256k1>("b")];
    let multiply = |checked| {
        let ahat = Secret::new(alice.scalar::<Secp256k1>("ahat"));
        mul::multiply::<Secp256k1>(&SESSION, &NONCE, checked, [&inputs[0], &inputs[1]], ahat)
    };
    let (product, _) = multiply(check());
    let receive = || mul::receive(&SESSION, &NONCE, &extended, black_box(&product));

    let mut group = c.benchmark_group("ot/sign");
    group.bench_function("extend", |b| b.iter(extend));
    group.bench_function("check", |b| b.iter(check));
    group.bench_function("multiply", |b| {
        b.iter_batched(check, multiply, BatchSize::SmallInput);
    });
    group.bench_function("receive", |b| b.iter(receive));
    group.bench_function("all", |b| {
        b.iter(|| (extend(), multiply(check()), receive().is_ok()));
    });
}

criterion_group!(benches, setup, signing);
criterion_main!(benches);
