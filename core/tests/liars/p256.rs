//! The liars of `main.rs`, among parties of a key on P-256.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/p256.rs"]
mod curve;

mod batch;
mod bets;
mod consistent;
mod dealer;
mod frames;
mod group;
mod keygen;
mod layout;
mod reference;
mod refresh;
mod reshare;
mod scene;
mod sessions;
mod sign;
mod sweep;
mod transfers;
