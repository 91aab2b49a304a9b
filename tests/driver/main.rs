//! The driver in virtual time: two to five whole devices in one process, on a network that misbehaves by a
//! seed.
//!
//! `COSIGN_SEED=7` runs one world alone, `COSIGN_SEEDS=5000` so many of them. A seed gives the same
//! misfortunes to the same pieces; the order in which tasks of one moment run is not part of it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a failing seed is named")]
#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

mod crowds;
mod liars;
mod network;
mod seed;
mod timers;
mod world;
mod worlds;
