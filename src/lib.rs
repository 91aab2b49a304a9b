//! Two or three devices co-sign with one ECDSA key (on secp256k1 or P-256) that exists on none of them.
//!
//! This crate is the program: it stores shares, finds devices, carries messages and talks to
//! people. The computation is in the crate `cosign-core`, which does no I/O, reads no clock and
//! owns no random number generator.

pub mod crypto {
    //! The core's arithmetic, as far as the program uses it.
    pub use cosign_core::{bip32, curve, ecdsa, tags, transcript};
}

pub mod party {
    //! Parties.
    pub use cosign_core::{MAX_PARTIES, PartyId};
}

pub mod protocol {
    //! The core's machines.
    pub use cosign_core::{local, pair, wire};

    pub mod event {
        //! Events of a ceremony.
        pub use cosign_core::{Ceremony, Event};
    }
    pub mod fault {
        //! Failures of a ceremony, and who is to blame.
        pub use cosign_core::{Blame, Check, Fault};
    }
    pub mod key {
        //! Results of a ceremony.
        pub use cosign_core::{
            Confirmation, InvalidShare, KeyShare, Leaving, Origin, Pending, reveal_private_key,
        };
    }
    pub mod keygen {
        //! Key generation, refresh and reshare.
        pub use cosign_core::{
            Confirmed, Dealer, Keygen, KeygenSetup, ReshareSetup, import, join, keygen, refresh,
            reshare,
        };
    }
    pub mod machine {
        //! Driving a ceremony.
        pub use cosign_core::{Machine, Output, Persist, Protocol};
    }
    pub mod sign {
        //! Signing.
        pub use cosign_core::{
            BatchItem, BatchSetup, BatchSigned, BatchSigning, SignSetup, Signature, Signed,
            Signing, sign, sign_batch,
        };
    }
}

pub mod secret {
    //! The wrapper of secrets.
    pub use cosign_core::Secret;
}

pub mod cli;
pub mod curve;
pub mod device;
pub mod driver;
pub mod error_kind;
pub mod net;
pub mod pasted;
pub mod payload;
pub mod policy;
pub mod progress;
pub mod report;
pub mod request;
pub mod sandbox;
pub mod token;
pub mod ui;
pub mod vault;
pub mod wire;
