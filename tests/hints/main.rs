//! What the program advises: every command in a hint can be typed, and nothing is advised that gives
//! something up on the word of somebody else.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod failures;
mod giving_up;
mod said;
mod typed;
