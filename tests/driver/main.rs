//! The driver in virtual time: two to five whole devices in one process, on a network whose faults
//! follow from a seed.
//!
//! `COSIGN_SEED=7` runs one world alone, `COSIGN_SEEDS=5000` runs so many. A seed fixes the faults,
//! but not the order in which tasks of one moment run.

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
