//! Two or three devices co-sign with one ECDSA key (secp256k1) that exists on none of them.
//!
//! The program: it stores shares, finds devices, carries messages and talks to people. What the
//! devices compute is in the crate `cosign-core`, which does no I/O, reads no clock and owns no random
//! number generator; its modules are named here as if they were of this crate.

pub use cosign_core::{crypto, party, protocol, secret};

pub mod cli;
pub mod device;
pub mod net;
pub mod progress;
pub mod report;
pub mod request;
pub mod run;
pub mod sandbox;
pub mod talk;
pub mod token;
pub mod ui;
pub mod vault;
