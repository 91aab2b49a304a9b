//! Oblivious transfer: 128 base transfers per ordered pair, once; many per signature from them.

pub mod base;
pub mod extension;
pub mod tree;
