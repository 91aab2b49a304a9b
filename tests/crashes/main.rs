//! kill -9, cheating peers, old copies, several processes at once: no state is lost or half
//! written, and the next command works or says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "../two_processes/insider.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod insider;
#[path = "../two_processes/openssl.rs"]
mod openssl;
#[path = "../two_processes/parties.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod parties;
#[path = "../two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

#[path = "../support/authentic.rs"]
mod authentic;
mod survey;

mod advice;
mod bans;
mod import;
mod kills;
mod load;
mod memory;
mod pairing;
mod reshare;
mod stranded;
mod strangers;
mod unfinished;
