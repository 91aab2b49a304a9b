#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(feature = "hazmat"),
    allow(unreachable_pub, dead_code, reason = "some of it is only seen through `hazmat`")
)]

mod crypto;
mod device;
mod party;
mod protocol;
mod secret;

pub use k256;

pub use device::{Fingerprint, NotAFingerprint, grouped, hex, unhex};
pub use party::{MAX_PARTIES, PartyId};
pub use protocol::event::{Ceremony, Event};
pub use protocol::fault::{Blame, Check, Fault};
pub use protocol::key::{
    Confirmation, InvalidShare, KeyShare, MAX_IDENTITY, MIN_THRESHOLD, Pending,
};
pub use protocol::keygen::{Confirmed, Keygen, KeygenSetup, keygen, refresh};
pub use protocol::machine::{Machine, Output, Persist, Protocol};
pub use protocol::sign::{SignSetup, Signature, Signed, Signing, sign};
pub use secret::Secret;

/// Derivation of public keys (BIP-32).
pub mod bip32 {
    pub use crate::crypto::bip32::{Derived, HARDENED, InvalidPath, MAX_DEPTH, derive, parse_path};
}

/// Points and scalars as bytes: one encoding each.
pub mod curve {
    pub use crate::crypto::curve::{
        InvalidPoint, InvalidScalar, POINT, SCALAR, decode_point, decode_scalar, encode_point,
        encode_scalar,
    };
}

/// What a signature is checked with, by anybody.
pub mod ecdsa {
    pub use crate::crypto::ecdsa::{
        InvalidSignature, Signature, from_der, is_low_s, to_der, verify,
    };
}

/// All parties in one process: for examples, benchmarks and tests.
pub mod local {
    pub use crate::protocol::local::{Local, Outcome, Parcel};
}

/// How two people make sure that their devices talk to each other.
pub mod pair {
    pub use crate::protocol::pair::{
        Code, Compare, Confirmed, EXPORTER, PairError, Paired, Requester, Responder, Side,
    };
}

/// Tags of what surrounds the protocol: requests, meetings, devices.
pub mod tags {
    pub use crate::crypto::tags::{
        CEREMONY_ID, DEVICE_HEDGE, MEETING_ROOM, MEETING_SECRET, REQUEST_HASH,
    };
}

/// Hashes of lists: tagged, every part with its length.
pub mod transcript {
    pub use crate::crypto::transcript::{PROTOCOL, Tag, length_prefixed};
}

/// What a message says of itself before it is looked into.
pub mod wire {
    pub use crate::protocol::wire::{HEADER, Kind, VERSION};
}

/// What gives shares away when it is used wrongly: chosen seeds, the secret of a share, the parts of
/// the protocol one by one. For known answers, liars and measurements.
#[cfg(feature = "hazmat")]
pub mod hazmat {
    /// The arithmetic.
    pub mod crypto {
        pub use crate::crypto::*;
    }
    /// The rounds.
    pub mod protocol {
        pub use crate::protocol::*;
    }
}
