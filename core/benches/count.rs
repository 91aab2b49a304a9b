//! One party's work, once, for valgrind to count (benches/README.md).
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
#[path = "../tests/support/secp256k1.rs"]
mod curve;
#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "../tests/support/replay.rs"]
mod replay;

use ceremony::{keygen, keygen_machine, keygen_machines, parties, party, sha, sign_machines};
use ceremony::{sign_setup, signer};
use replay::Script;

fn main() {
    let ceremony = std::env::args().nth(1);
    let run: Box<dyn Fn()> = match ceremony.as_deref() {
        Some("sign") => {
            let shares = keygen("bench", 2, 2);
            let setup = sign_setup("2-of-2", &parties([1, 2]), sha("digest"));
            let script = Script::record(sign_machines(&shares, "2-of-2", &setup));
            Box::new(move || script.play(signer(&shares[&party(1)], "2-of-2", &setup).unwrap()))
        }
        Some("keygen") => {
            let script = Script::record(keygen_machines("2-of-2", 2, 2));
            Box::new(move || script.play(keygen_machine("2-of-2", 2, 2, party(1))))
        }
        // `cargo test --benches` only wants to see it run.
        _ => return,
    };
    // Tables and constants are made once in a process.
    run();
    counted(&*run);
}

/// The work that is counted, by name.
#[inline(never)]
fn counted(run: &dyn Fn()) {
    run();
}
