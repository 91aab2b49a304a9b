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
pub use p256;

pub use device::{Fingerprint, NotAFingerprint, grouped, hex, unhex};
pub use party::{MAX_PARTIES, PartyId};
pub use protocol::combine::reveal_private_key;
pub use protocol::event::{Ceremony, Event};
pub use protocol::fault::{Blame, Check, Fault};
pub use protocol::key::{
    Confirmation, InvalidShare, KeyShare, Leaving, MAX_IDENTITY, MIN_THRESHOLD, Pending,
};
pub use protocol::keygen::reshare::{Dealer, ReshareSetup, import, join, reshare};
pub use protocol::keygen::{Confirmed, Keygen, KeygenSetup, keygen, refresh};
pub use protocol::machine::{Machine, Output, Persist, Protocol};
pub use protocol::origin::{InvalidOrigin, Origin};
pub use protocol::sign::{
    BatchItem, BatchSetup, BatchSigned, BatchSigning, SignSetup, Signature, Signed, Signing, sign,
    sign_batch,
};
pub use secret::Secret;

/// Derivation of public keys (BIP-32).
pub mod bip32 {
    pub use crate::crypto::bip32::{Derived, HARDENED, InvalidPath, MAX_DEPTH, derive, parse_path};
}

/// Points and scalars as bytes: one encoding each.
pub mod curve {
    pub use crate::crypto::curve::{
        AffinePoint, Curve, Encoded, InvalidPoint, InvalidScalar, POINT, SCALAR, Scalar,
        decode_point, decode_scalar, encode_point, encode_scalar,
    };
}

/// ECDSA signatures: encoding and verification.
pub mod ecdsa {
    pub use crate::crypto::ecdsa::{
        InvalidSignature, Signature, from_der, is_low_s, to_der, verify,
    };
}

/// All parties in one process: for examples, benchmarks and tests.
pub mod local {
    pub use crate::protocol::local::{Local, Outcome, Parcel};
}

/// The pairing of two devices by six digits.
pub mod pair {
    pub use crate::protocol::pair::{
        Code, Compare, Confirmed, EXPORTER, PairError, Paired, Requester, Responder, Side,
    };

    /// The pairing of a group by one comparison.
    pub mod group {
        pub use crate::protocol::pair::group::{
            Commitment, Committed, Compare, Confirmed, FEWEST, GroupError, MOST, Member, Opened,
            PairedGroup, Roster,
        };
    }
}

/// Hash tags around the protocol: for requests, meetings and devices.
pub mod tags {
    pub use crate::crypto::tags::{
        CEREMONY_ID, DEVICE_HEDGE, IMPORT_CHAINCODE, MEETING_ROOM, MEETING_SECRET, REQUEST_HASH,
    };
}

/// Hashes of lists: tagged, every part with its length.
pub mod transcript {
    pub use crate::crypto::transcript::{CommonTag, PROTOCOL, Tag, length_prefixed};
}

/// The frame of a message, which can be read before its body.
pub mod wire {
    pub use crate::protocol::wire::{HEADER, Kind, VERSION};
}

/// Functions that reveal shares if they are misused: chosen seeds, the secret of a share, single
/// steps of the protocol. For known answers, dishonest test parties and measurements.
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
