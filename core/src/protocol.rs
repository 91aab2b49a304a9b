//! What the devices say to one another, without any I/O.
//!
//! A ceremony (key generation, refresh, signature) is a [`machine::Machine`], which says what its
//! driver must do. It reads no clock, owns no random number generator and never waits.
//!
//! Sections (§) here and below are those of docs/protocol.md.
//!
//! Inside, every round is a type that is consumed by going on to the next, so no round can run
//! twice. Who is to blame for a failure, and what follows, is in [`fault`].

pub mod event;
pub mod fault;
pub mod key;
pub mod keygen;
pub mod local;
pub mod machine;
pub mod pair;
pub mod sign;
pub mod wire;
