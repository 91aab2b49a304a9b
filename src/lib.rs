//! Two or three devices co-sign with one ECDSA key (secp256k1) that exists on none of them.
//!
//! The crate has two halves. The **core** (`secret`, `party`, `device`, `crypto`, `protocol`) is
//! always built; it does no I/O, reads no clock and owns no random number generator. The
//! **application** (feature `cli`, on by default) stores shares, finds devices, carries messages
//! and talks to people.
//!
//! Start reading at [`protocol`] for what the devices say to one another, and at [`crypto`] for
//! the arithmetic below it.

pub mod crypto;
pub mod device;
pub mod party;
pub mod protocol;
pub mod secret;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod net;
#[cfg(feature = "cli")]
pub mod progress;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod request;
#[cfg(feature = "cli")]
pub mod run;
#[cfg(feature = "cli")]
pub mod sandbox;
#[cfg(feature = "cli")]
pub mod talk;
#[cfg(feature = "cli")]
pub mod token;
#[cfg(feature = "cli")]
pub mod ui;
#[cfg(feature = "cli")]
pub mod vault;
