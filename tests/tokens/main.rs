//! Vaults on hardware tokens: the real program, SoftHSM2 as the token, `pkcs11-tool` as a second
//! reader of its objects, and a module that misbehaves on demand.
#![cfg(feature = "pkcs11")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "not all of it is for these tests")]
#[path = "../two_processes/device.rs"]
mod device;
#[allow(dead_code, reason = "not all of it is for these tests")]
#[path = "../two_processes/openssl.rs"]
mod openssl;
#[allow(dead_code, reason = "not all of it is for these tests")]
#[path = "../two_processes/terminal.rs"]
mod terminal;

mod faults;
mod frozen;
mod holder;
mod kills;
mod life;

fn fresh_digest() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
