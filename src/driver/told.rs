//! What the driver tells people while it works: events, and data for which the command line has the
//! texts.

use crate::device::Label;
use crate::driver::error::{Activity, Error};
use crate::party::PartyId;
use crate::progress::{Event, RequestView};
use crate::request::{Ceremony, Hex, RequestId};
use crate::vault;

/// Something that people are told.
#[derive(Debug)]
pub enum Told<'a> {
    /// Something happened.
    Event(Box<Event>),
    /// Something that people should know and that ends nothing.
    Note(Note),
    /// A pairing or a ceremony has failed.
    Aborted {
        /// Which of them.
        activity: Activity,
        /// The request's id; a pairing has none.
        request: Option<&'a RequestId>,
        /// Why it failed.
        error: &'a Error,
    },
}

/// Something that people should know and that ends nothing.
#[derive(Debug)]
pub enum Note {
    /// A file of this device is damaged, and nothing depends on it now.
    Misfit(vault::Error),
    /// A file beside the vault could not be read or written.
    File(vault::Error),
    /// Something else failed, and the ceremony goes on without it.
    Failed(Error),
    /// The log could not be written.
    Unlogged(String),
    /// A process of this home was killed before it could log that it had given its part of a signature. This entry of
    /// the log says so now.
    GivenBefore(vault::Entry),
    /// The signature could not be stored.
    NotKept(vault::Error),
    /// mDNS does not work, for this reason.
    NotAnnounced(String),
    /// The program of a device shows no files, so it is asked for the digest alone.
    NotAttached {
        /// The device.
        peer: Label,
        /// The version of its program, if it tells it.
        program: Option<Label>,
    },
    /// A device is in its back-off after a refused request, or is muted.
    TurnedAway {
        /// The device.
        peer: Label,
        /// The ceremony that it asks for.
        ceremony: Ceremony,
        /// Whether it is muted.
        muted: bool,
    },
    /// What identifies this device's request on the screens of the others.
    Asking {
        /// The digest of a signature.
        digest: Option<Hex<32>>,
        /// The beginning of the hash of the facts.
        hash: Hex<4>,
    },
    /// What the reshare changes that this device asks for, as the others see it.
    Resharing(Box<RequestView>),
    /// Pending shares of a key cannot be finished now, and those of before are used.
    Unfinished {
        /// The key.
        key: String,
        /// Why not.
        error: Error,
    },
    /// The new shares that this device asks for end the bans of devices that failed a check.
    EndsBans {
        /// The devices.
        peers: Vec<Label>,
    },
    /// This device has left a key and destroyed its share.
    Left {
        /// The key.
        key: String,
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
        /// How many seconds longer it is waited for.
        peer: Label,
        /// For how many seconds more it is waited for.
        seconds: u64,
    },
    /// The request is repeated: another device was busy, or the key changed meanwhile.
    AsksAgain {
        /// After how many seconds.
        seconds: u64,
    },
    /// The key is in use, and the command waits for it.
    KeyAwaited {
        /// Its name.
        key: String,
        /// What it is used for.
        by: vault::Use,
    },
    /// The relay has no room for this device, because it knows no other device.
    NoRooms,
    /// A stored confirmation does not verify.
    WrongConfirmation {
        /// The party that it names as its sender.
        party: PartyId,
        /// The key.
        key: String,
    },
    /// A line that the command of `--via` wrote to its standard error.
    Via(Label),
    /// Pairing is paused until the owner resumes it, after too many failures.
    PairingPaused {
        /// How many pairings in a row have failed.
        failed: u32,
    },
    /// A device of a group has not said that it has stored the pairings.
    NotSaidStored {
        /// The device.
        peer: Label,
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
