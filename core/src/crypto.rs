//! The arithmetic: curve, hashing, proofs, sharing, oblivious transfer, multiplication.
//!
//! Nothing here does I/O, reads a clock or owns a random number generator. Every function that
//! takes bytes from another party checks them and returns an error; none panics on them.

pub mod bip32;
pub mod curve;
pub mod dlog;
pub mod ecdsa;
pub mod mul;
pub mod ot;
pub mod seed;
pub mod share;
pub mod tags;
pub mod transcript;
pub mod zero;
