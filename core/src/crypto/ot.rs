//! Oblivious transfer: 128 base transfers per ordered pair, once; many per signature from them.
//!
//! Every ordered pair of parties (A, B) holds one correlation (docs/protocol.md §1.2). A chose 128
//! secret bits and knows one key of each base transfer; B knows both. From it, [`extension`]
//! derives with a few hash calls per signature [`CHOICES`] transfers in the other direction: B
//! chooses, A holds both pads.
//!
//! | step | A | B |
//! |---|---|---|
//! | [`base`], §4 | [`base::Receiver::start`], [`base::Receiver::finish`] | [`base::send`] |
//! | [`tree`], §5.1 | [`tree::evaluate`] | [`tree::build`] |
//! | [`extension`], §5.2 | [`extension::check`] | [`extension::extend`] |
//!
//! Bit strings are numbered from the least significant bit of the first byte, here and in §2.4.

mod bits;
mod choices;
mod combination;
mod short_hash;

pub mod base;
pub mod extension;
pub mod tree;

#[cfg(test)]
pub(crate) mod fixture;

pub(crate) use bits::{Columns, ROW_BYTES};
pub(crate) use choices::Choices;
pub(crate) use short_hash::ShortHash;

/// Base transfers per ordered pair, and so the rows of an extension (`lambda_c`, §1.3).
pub const BASE: usize = 128;
/// Levels of a tree (`k`).
pub const DEPTH: usize = 4;
/// Transfers that one extension yields (`xi`).
pub const CHOICES: usize = 416;

/// Leaves of a tree.
const LEAVES: usize = 1 << DEPTH;
/// Trees per ordered pair.
const TREES: usize = BASE / DEPTH;
