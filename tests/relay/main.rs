//! Devices that meet through a relay: the real program as devices and as relays, a real nats-server, and
//! relays that are not honest.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../two_processes/device.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod device;
#[path = "../two_processes/openssl.rs"]
mod openssl;
#[path = "../two_processes/terminal.rs"]
#[allow(dead_code, reason = "shared with the tests of two processes")]
mod terminal;

mod relays;

mod far_apart;
mod group;
mod hostile;
mod invitations;
mod server;
