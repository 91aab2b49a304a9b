//! Everything of the program that takes bytes from outside, as functions of bytes: none may panic,
//! whatever the bytes are, and what is accepted must be the only encoding of what it means. Those of the
//! core are in `core/tests/support/decoders.rs`.

#[path = "decoders/device.rs"]
mod device;
#[path = "decoders/given.rs"]
mod given;
#[path = "decoders/network.rs"]
mod network;
#[path = "decoders/token.rs"]
mod token;

pub(crate) use {device::*, given::*, network::*, token::*};
