//! One party lies, and it must be found out: the named check, in the named place, naming the right
//! party or nobody, retiring the pair or not (docs/protocol.md §9, §10).
//!
//! A row id of §10 stands above the test that shows the row. What holds of every liar is asserted
//! for each of them in `group` and `scene`: nothing is sent after the lie was seen, no share and no
//! signature comes of it, no honest pair is retired, and an honest run works afterwards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bets;
mod consistent;
mod dealer;
mod frames;
mod group;
mod keygen;
mod layout;
mod reference;
mod refresh;
mod scene;
mod sessions;
mod sign;
mod sweep;
mod transfers;
