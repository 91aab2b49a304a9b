//! Every decoder of the program as a function of bytes: none may panic, and accepted bytes must be
//! the only encoding of their meaning. The decoders of the core are in
//! `core/tests/support/decoders.rs`.

#[path = "decoders/device.rs"]
mod device;
#[path = "decoders/given.rs"]
mod given;
#[path = "decoders/network.rs"]
mod network;
#[path = "decoders/payment.rs"]
mod payment;
#[path = "decoders/token.rs"]
mod token;

pub(crate) use {device::*, given::*, network::*, payment::*, token::*};
