//! The frame of a message, and the strict decoder of its body (docs/protocol.md §2.4, §2.5).
//!
//! ```text
//! offset  length
//!      0       1  version = 1
//!      1       1  type
//!      2       1  sender's index
//!      3       1  receiver's index; 0: the same bytes go to everybody
//!      4      32  session id
//!     36       …  body, of exactly the length its type has in this ceremony
//! ```

use std::fmt;

use k256::elliptic_curve::consts::U33;
use k256::elliptic_curve::generic_array::GenericArray;
use k256::elliptic_curve::group::GroupEncoding;

use crate::crypto::curve::{Encoded, POINT, SCALAR, decode_point, decode_scalar};
use crate::crypto::dlog::PROOF;
use crate::crypto::mul;
use crate::crypto::ot::{base, extension, tree};
use crate::party::{MAX_PARTIES, PartyId};
use crate::protocol::fault::{Check, Fault};
use crate::secret::Secret;

/// The version in every message.
pub const VERSION: u8 = 1;

/// Length of the frame in front of the body.
pub const HEADER: usize = 36;

/// The fewest items of a batch: one is a single signature.
pub const MIN_BATCH: usize = 2;

/// The most items of a batch.
pub const MAX_BATCH: usize = 256;

/// Length of one item's part of an opening: nonce point, public share, `Gamma_u`, `Gamma_v`, `psi`.
pub(crate) const OPENING: usize = 4 * POINT + SCALAR;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Key generation, round 1: commitment.
    Kg1 = 0x01,
    /// Key generation, round 2, to everybody: opening and proofs.
    Kg2b = 0x02,
    /// Key generation, round 2, to one party: its share and the first transfer message.
    Kg2p = 0x03,
    /// Key generation, round 3, to everybody: what was derived, and proof of the final share.
    Kg3b = 0x04,
    /// Key generation, round 3, to one party: the second transfer message and the trees.
    Kg3p = 0x05,
    /// Key generation, round 4: the share is stored.
    Kg4b = 0x06,
    /// Signing, round 1: commitment and transfer extension.
    Sg1 = 0x11,
    /// Signing, round 2: opening and multiplication.
    Sg2 = 0x12,
    /// Signing, round 3: partial signature.
    Sg3 = 0x13,
    /// Signing several, round 1: commitment and transfer extensions.
    Sb1 = 0x14,
    /// Signing several, round 2: openings.
    Sb2 = 0x15,
    /// Signing several, round 2: multiplication of one item.
    Sb2r = 0x16,
    /// Signing several, round 3: partial signatures.
    Sb3 = 0x17,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Kg1,
        Self::Kg2b,
        Self::Kg2p,
        Self::Kg3b,
        Self::Kg3p,
        Self::Kg4b,
        Self::Sg1,
        Self::Sg2,
        Self::Sg3,
        Self::Sb1,
        Self::Sb2,
        Self::Sb2r,
        Self::Sb3,
    ];

    /// The type with this tag.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// Its byte in the frame.
    pub fn tag(self) -> u8 {
        self as u8
    }

    /// Its name in faults and logs, such as `KG2B`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kg1 => "KG1",
            Self::Kg2b => "KG2B",
            Self::Kg2p => "KG2P",
            Self::Kg3b => "KG3B",
            Self::Kg3p => "KG3P",
            Self::Kg4b => "KG4B",
            Self::Sg1 => "SG1",
            Self::Sg2 => "SG2",
            Self::Sg3 => "SG3",
            Self::Sb1 => "SB1",
            Self::Sb2 => "SB2",
            Self::Sb2r => "SB2R",
            Self::Sb3 => "SB3",
        }
    }

    /// The round it is sent in, from 1.
    pub fn round(self) -> u8 {
        match self {
            Self::Kg1 | Self::Sg1 | Self::Sb1 => 1,
            Self::Kg2b | Self::Kg2p | Self::Sg2 | Self::Sb2 | Self::Sb2r => 2,
            Self::Kg3b | Self::Kg3p | Self::Sg3 | Self::Sb3 => 3,
            Self::Kg4b => 4,
        }
    }

    /// Whether it belongs to a batch, so that lengths depend on how many items it has.
    pub(crate) fn is_of_batch(self) -> bool {
        matches!(self, Self::Sb1 | Self::Sb2 | Self::Sb2r | Self::Sb3)
    }

    /// Length of a body in which the repeated part stands `count` times: a coefficient in KG2B, an
    /// item in a batch. Other types have one length.
    pub(crate) fn length(self, count: usize) -> usize {
        match self {
            Self::Kg1 => 32 + 32,
            Self::Kg2b => count * (POINT + PROOF) + 32 + 32,
            Self::Kg2p => SCALAR + 32 + base::MESSAGE,
            Self::Kg3b => 32 + POINT + 32 + PROOF,
            Self::Kg3p => base::MESSAGE + tree::MESSAGE,
            Self::Kg4b => 32,
            Self::Sg1 => Self::Sb1.length(1),
            Self::Sg2 => Self::Sb2.length(1) + mul::MESSAGE,
            Self::Sg3 => Self::Sb3.length(1),
            Self::Sb1 => 32 + 32 + count * extension::MESSAGE,
            Self::Sb2 => 32 + 32 + count * OPENING,
            Self::Sb2r => 2 + mul::MESSAGE,
            Self::Sb3 => count * (POINT + 2 * SCALAR),
        }
    }

    /// Whether a body of this type has `length` bytes in some ceremony.
    pub(crate) fn has_length(self, length: usize) -> bool {
        let counts = match self {
            Self::Kg2b => 0..=usize::from(MAX_PARTIES),
            Self::Sb1 | Self::Sb2 | Self::Sb3 => MIN_BATCH..=MAX_BATCH,
            _ => 1..=1,
        };
        // A dealer that leaves sends a share and nothing else.
        let share_alone = self == Self::Kg2p && length == SCALAR;
        share_alone || counts.into_iter().any(|count| self.length(count) == length)
    }
}

/// Encodes a message. `to` is `None` for a broadcast. It may hold a share or another secret of a pair,
/// so it is wiped like them.
pub fn pack(
    kind: Kind,
    from: PartyId,
    to: Option<PartyId>,
    session: &[u8; 32],
    body: &[&[u8]],
) -> Secret<Vec<u8>> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    Secret::made(|message: &mut Vec<u8>| {
        message.reserve_exact(HEADER + length);
        message.extend_from_slice(&[VERSION, kind.tag(), from.get(), to.map_or(0, PartyId::get)]);
        message.extend_from_slice(session);
        body.iter().for_each(|part| message.extend_from_slice(part));
    })
}

/// The session id of a message, if it is long enough to have one.
pub fn session(message: &[u8]) -> Option<&[u8]> {
    message.get(4..HEADER)
}

/// A message whose frame was checked.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The sender, as the channel and the frame name it.
    pub from: PartyId,
    /// Its type.
    pub kind: Kind,
    /// Frame and body.
    pub bytes: &'a [u8],
}

impl fmt::Debug for Received<'_> {
    /// Messages hold secrets of a pair, so only their length is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({} of {} bytes from {})", self.kind.name(), self.bytes.len(), self.from)
    }
}

impl<'a> Received<'a> {
    /// The bytes behind the frame.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// A decoder of the body.
    pub fn reader(&self) -> Reader<'a> {
        Reader { rest: self.body(), from: self.from, at: self.kind.name() }
    }

    /// A fault of the sender, found in this message.
    pub fn fault(&self, check: Check) -> Fault {
        Fault::by(self.from, check, self.kind.name())
    }
}

/// Decodes fields from the front of a body. A malformed one is a fault of the sender.
pub struct Reader<'a> {
    rest: &'a [u8],
    from: PartyId,
    at: &'static str,
}

impl<'a> Reader<'a> {
    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (front, rest) = self.rest.split_at_checked(length).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(front)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Fault> {
        let (front, rest) = self.rest.split_first_chunk().ok_or(self.malformed())?;
        self.rest = rest;
        Ok(front)
    }

    /// A decoder of the next `length` bytes alone.
    pub fn part(&mut self, length: usize) -> Result<Self, Fault> {
        Ok(Self { rest: self.bytes(length)?, ..*self })
    }

    /// The next point; the identity has no encoding.
    pub fn point<P: GroupEncoding<Repr = GenericArray<u8, U33>>>(&mut self) -> Result<P, Fault> {
        let bytes = self.bytes(POINT)?;
        decode_point(bytes).map_err(|_| self.malformed())
    }

    /// The next scalar, below the group order.
    pub fn scalar<S: Encoded>(&mut self) -> Result<S, Fault> {
        let bytes = self.bytes(SCALAR)?;
        decode_scalar(bytes).map_err(|_| self.malformed())
    }

    /// The remaining bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A fault of the sender, found in this message.
    pub fn fault(&self, check: Check) -> Fault {
        Fault::by(self.from, check, self.at)
    }

    fn malformed(&self) -> Fault {
        self.fault(Check::Malformed)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left of {})", self.rest.len(), self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::machine::Output;

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    #[test]
    fn a_message_is_a_frame_and_a_body() {
        let message = pack(Kind::Sg1, party(2), Some(party(1)), &[7; 32], &[b"ab", b"c"]);
        let message = message.expose();
        assert_eq!(message[..4], [1, 0x11, 2, 1]);
        assert_eq!(session(message), Some(&[7; 32][..]));
        assert_eq!(&message[HEADER..], b"abc");
        assert_eq!(message.capacity(), message.len(), "grown, and so copied");
        assert_eq!(pack(Kind::Kg1, party(2), None, &[7; 32], &[]).expose()[3], 0);
    }

    #[test]
    fn every_type_is_found_by_its_tag() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_tag(kind.tag()), Some(kind));
        }
        assert_eq!(Kind::from_tag(0), None);
        assert_eq!(Kind::from_tag(0x21), None);
    }

    #[test]
    fn what_a_message_holds_is_not_printed() {
        let bytes = pack(Kind::Kg2p, party(3), None, &[0; 32], &[&[171; 31]]);
        let received = Received { from: party(3), kind: Kind::Kg2p, bytes: bytes.expose() };
        let printed = format!("{received:?} {:?}", received.reader());
        let output = Output::<()>::Send { to: party(1), bytes };
        let printed = format!("{printed} {output:?}");
        assert!(!printed.contains("171"), "{printed}");
    }

    #[test]
    fn a_short_body_is_the_senders_fault() {
        let bytes = pack(Kind::Kg2p, party(3), None, &[0; 32], &[&[0; 31]]);
        let received = Received { from: party(3), kind: Kind::Kg2p, bytes: bytes.expose() };
        let fault = Fault::by(party(3), Check::Malformed, "KG2P");
        assert_eq!(received.reader().array::<32>(), Err(fault));
        assert_eq!(received.reader().scalar::<k256::Scalar>(), Err(fault));
        assert_eq!(received.reader().point::<k256::AffinePoint>(), Err(fault));
        assert_eq!(received.reader().rest().len(), 31);
    }
}
