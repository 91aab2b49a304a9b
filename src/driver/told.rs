//! What the driver tells while it works: events as they are, and what the command line has to word.

use crate::device::Label;
use crate::driver::error::{Activity, Error};
use crate::party::PartyId;
use crate::progress::Event;
use crate::request::{Ceremony, Hex, RequestId};
use crate::vault;

/// Something that people are told.
#[derive(Debug)]
pub enum Told<'a> {
    /// Something happened.
    Event(Box<Event>),
    /// Something that people should know, and that ends nothing.
    Note(Note),
    /// What devices do together has ended without a result.
    Aborted {
        /// What they did.
        activity: Activity,
        /// The request's id; a pairing has none.
        request: Option<&'a RequestId>,
        /// Why it ended.
        error: &'a Error,
    },
}

/// Something that people should know, and that ends nothing.
#[derive(Debug)]
pub enum Note {
    /// A file of this device does not fit, and nothing depends on it now.
    Misfit(vault::Error),
    /// A file beside the vault could not be read or written.
    File(vault::Error),
    /// Something else failed, and what goes on does so without it.
    Failed(Error),
    /// The log could not be written.
    Unlogged(String),
    /// The signature could not be kept.
    NotKept(vault::Error),
    /// mDNS does not work, and says why.
    NotAnnounced(String),
    /// A device asks again too soon after a no, or is muted.
    TurnedAway {
        /// The device.
        peer: Label,
        /// What it asks for.
        ceremony: Ceremony,
        /// Whether it is muted.
        muted: bool,
    },
    /// What the others see of the request of this device, and approve by how it begins.
    Asking {
        /// The digest, where something is signed.
        digest: Option<Hex<32>>,
        /// The beginning of the hash of the facts.
        hash: Hex<4>,
    },
    /// A device calls itself something else than before.
    Renamed {
        /// What it was called.
        was: Label,
        /// What it is called now.
        now: Label,
    },
    /// A device does not answer yet.
    NotThere {
        /// The device.
        peer: Label,
        /// For how many seconds more it is waited for.
        seconds: u64,
    },
    /// The request is made again after so many seconds: another device is busy, or the key was changed meanwhile.
    AsksAgain {
        /// How many.
        seconds: u64,
    },
    /// The key is used for something that has to end first.
    KeyAwaited {
        /// Its name.
        key: String,
        /// What it is used for.
        by: vault::Use,
    },
    /// The relay has no room to wait in, because no device is known.
    NoRooms,
    /// A confirmation on the disk does not verify.
    WrongConfirmation {
        /// The party that it is said to be of.
        party: PartyId,
        /// The key.
        key: String,
    },
    /// A line that the command of `--via` wrote to its standard error.
    Via(Label),
    /// Pairing waits for the owner of this device, after so many failures.
    PairingPaused {
        /// How many pairings in a row have failed.
        failed: u32,
    },
    /// A device says that it has deleted its share.
    Deleted {
        /// The device.
        peer: Label,
        /// The key.
        key: String,
        /// When, in seconds since 1970.
        time: i64,
    },
}

impl From<Event> for Told<'_> {
    fn from(event: Event) -> Self {
        Self::Event(Box::new(event))
    }
}

impl From<Note> for Told<'_> {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}
