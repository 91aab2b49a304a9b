//! Two or three parties make one ECDSA key (secp256k1) that exists with none of them, and sign with it.
//!
//! Nothing here does I/O, reads a clock or owns a random number generator: see [`protocol`] for what the
//! parties say to one another, and [`crypto`] for the arithmetic below it.

pub mod crypto;
pub mod device;
pub mod party;
pub mod protocol;
pub mod secret;
