//! Four compressions at once, and the same four in turn.

use std::hint::black_box;

use cosign_sha256::{LANES, compress};
use criterion::{Criterion, criterion_group, criterion_main};

fn four(c: &mut Criterion) {
    let (mut states, blocks) = ([[1; 8]; LANES], [[2; 64]; LANES]);
    let mut group = c.benchmark_group("sha256/four");
    group.bench_function("at once", |b| {
        b.iter(|| compress(black_box(&mut states), black_box(&blocks)));
    });
    group.bench_function("in turn", |b| {
        b.iter(|| {
            for (state, block) in black_box(&mut states).iter_mut().zip(black_box(&blocks)) {
                sha2::compress256(state, &[(*block).into()]);
            }
        });
    });
}

criterion_group!(all, four);
criterion_main!(all);
