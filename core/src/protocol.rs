//! The protocols between the devices, without I/O.
//!
//! A ceremony (key generation, refresh, reshare, signature) is a [`machine::Machine`], which tells its
//! driver what to do. It reads no clock, owns no random number generator and never waits.
//!
//! Sections (§) here and below are those of docs/protocol.md.
//!
//! Each round is a type that is consumed by the step to the next, so no round can run twice.
//! [`fault`] has who is to blame for a failure, and what follows.

pub mod combine;
pub mod event;
pub mod fault;
pub mod key;
pub mod keygen;
pub mod local;
pub mod machine;
pub mod origin;
pub mod pair;
pub mod sign;
pub mod wire;
