//! Ceremonies: pairing, key generation, refresh and signing. Each is the same on every device:
//! *propose* it or *accept* it, open the links between all participants, *drive* the machine,
//! *finish*.
//!
//! Whatever must be durable before a message leaves is made durable in [`drive`], nowhere else.

pub mod accept;
mod again;
mod begin;
pub mod confirmations;
pub mod deletions;
pub mod drive;
pub mod epochs;
pub mod group;
pub mod invitation;
pub mod keygen;
mod leaving;
pub mod pairing;
mod payload;
pub mod propose;
pub mod refuse;
mod requests;
pub mod reshare;
pub mod sign;
pub mod started;
