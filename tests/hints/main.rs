//! The hints of the program: every command in a hint can be run, and no hint advises to give
//! something up on the claim of another device.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod failures;
mod giving_up;
mod said;
mod typed;
