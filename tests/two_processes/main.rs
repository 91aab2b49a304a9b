//! The real program as two or three processes: what people and scripts see of whole ceremonies.
//!
//! Every device has a home of its own and listens on a port that the system picks, so that tests
//! run in parallel. `openssl` verifies the signatures. If a person answers, the program runs in a
//! terminal of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../support/authentic.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod authentic;
mod backup;
mod device;
mod import;
mod insider;
mod openssl;
mod parties;
mod scissors;
mod terminal;
#[path = "../support/wallet.rs"]
mod wallet;

mod bitcoin;
mod curves;
mod deletion;
mod discovery;
mod ethereum;
mod failures;
mod formats;
mod git;
mod given;
mod group;
mod hostile;
mod newer;
mod pairing;
mod payloads;
mod reshare;
mod resume;
mod routes;
mod schema;
mod siege;
mod signing;
mod story;
mod together;
mod versions;
