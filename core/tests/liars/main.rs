//! One party lies, and the lie must be detected: by the named check, at the named message, with the
//! right culprit or none, and with the pair retired or not (docs/protocol.md §9, §10).
//!
//! A row id of §10 stands above the test of that row. Assertions that hold for every liar are in
//! `group` and `scene`: nothing is sent after the lie was seen, no share and no signature results
//! from it, no honest pair is retired, and an honest run works afterwards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/secp256k1.rs"]
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
