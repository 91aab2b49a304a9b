//! Indices of parties, validated once.

use std::fmt;
use std::num::NonZeroU8;

/// The most parties a key can have.
pub const MAX_PARTIES: u8 = 16;

/// The index of a party of one key, from 1 to [`MAX_PARTIES`].
///
/// It is the evaluation point of the party's share, so it belongs to the key, not to a position in
/// a list. In a reshare it is the number of a participant, of which those of the parties of the key
/// then are their indices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(NonZeroU8);

impl PartyId {
    /// The party with this index, if that is from 1 to [`MAX_PARTIES`].
    pub fn new(index: u8) -> Option<Self> {
        NonZeroU8::new(index).filter(|i| i.get() <= MAX_PARTIES).map(Self)
    }

    /// The index, from 1 to [`MAX_PARTIES`].
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// The parties of a key with `count` parties, in index order.
    pub fn all(count: u8) -> impl Iterator<Item = Self> {
        (1..=count.min(MAX_PARTIES)).filter_map(Self::new)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for PartyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.get())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for PartyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = <u8 as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(index).ok_or_else(|| serde::de::Error::custom("the index of no party"))
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_zero_and_seventeen_name_nobody() {
        assert_eq!(PartyId::new(0), None);
        assert_eq!(PartyId::new(17), None);
        assert_eq!(PartyId::new(16).map(PartyId::get), Some(16));
    }
}
