//! What the devices say to one another, without any I/O.
//!
//! A ceremony (key generation, refresh, signature) is a [`machine::Machine`]: messages and the time
//! go in through `start`, `handle` and `tick`, and what is to be done comes out of `poll`, in
//! order. The machine reads no clock, owns no random number generator and never waits.
//!
//! ```text
//!             start, handle, tick            poll
//!   driver ───────────────────────▶ machine ──────▶ Send | Persist | Event | Done | Failed
//! ```
//!
//! The driver's part of the contract:
//!
//! 1. It drains `poll` after every call, and acts on the outputs in the order in which they come.
//! 2. A [`machine::Persist`] is durable before any later output is acted on. This is what makes a
//!    retired pair stay retired and a confirmed share exist, whenever the power goes.
//! 3. It hands over a message only with the party that the authenticated channel names. What fails
//!    the channel's own checks never gets here.
//! 4. It calls `tick` when the time of `wake_at` has come.
//! 5. After `Done` or `Failed` the machine is silent, and its secrets are gone.
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
