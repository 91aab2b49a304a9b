//! The only way to hash: a tag, then length-prefixed parts.
//!
//! ```text
//! T(tag)            = SHA256("DKLS23-SECP256K1-SHA256-V1" || "/" || tag)
//! TH(tag, p1 .. pn) = SHA256(T(tag) || T(tag) || BE32(|p1|) || p1 || .. || BE32(|pn|) || pn)
//! ```
//!
//! The doubled tag hash fills one SHA-256 block, so every tag keeps the state after it and starts
//! from there. Every part is length-prefixed, so two different lists of parts never give the same
//! input (attack A8 of the α-shuffle family).

use std::fmt;
use std::sync::OnceLock;

use k256::elliptic_curve::ops::Reduce;
use k256::{Scalar, U256};
use sha2::{Digest, Sha256};

/// Name and version of the protocol; part of every tag.
pub const PROTOCOL: &str = "DKLS23-SECP256K1-SHA256-V1";

/// A domain-separation tag. All of them are in `crypto/tags.rs`.
pub struct Tag {
    name: &'static str,
    state: OnceLock<Sha256>,
}

impl Tag {
    /// A tag named `name`; for [`crate::crypto::tags`] only.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, state: OnceLock::new() }
    }

    /// The tag's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts a hash whose parts are added one by one.
    pub fn start(&self) -> Hasher {
        let state = self.state.get_or_init(|| {
            let tag = Sha256::digest([PROTOCOL, "/", self.name].concat());
            Sha256::new().chain_update(tag).chain_update(tag)
        });
        Hasher(state.clone())
    }

    /// `TH(tag, parts)`.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        parts.iter().fold(self.start(), |hasher, part| hasher.part(part)).finish()
    }

    /// `HS(tag, parts)`: the hash as a big-endian integer modulo the group order (bias below 2^-127).
    pub fn hash_to_scalar(&self, parts: &[&[u8]]) -> Scalar {
        reduce(&self.hash(parts))
    }

    /// `two(tag, parts)`: 64 bytes, `TH(tag, parts, 0) || TH(tag, parts, 1)`.
    pub fn hash_twice(&self, parts: &[&[u8]]) -> [u8; 64] {
        let hasher = parts.iter().fold(self.start(), |hasher, part| hasher.part(part));
        let mut out = [0; 64];
        let (low, high) = out.split_at_mut(32);
        low.copy_from_slice(&hasher.clone().part(&[0]).finish());
        high.copy_from_slice(&hasher.part(&[1]).finish());
        out
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.name)
    }
}

/// A tagged hash in the making.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds one length-prefixed part.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.0.update(length(part.len()));
        self.0.update(part);
        self
    }

    /// Adds one part of `len` bytes that `write` passes in pieces.
    ///
    /// The pieces must add up to `len`; otherwise the hash differs from every honest party's, and
    /// the check that uses it fails.
    #[must_use]
    pub fn part_in_pieces(mut self, len: usize, write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        self.0.update(length(len));
        write(&mut |piece| self.0.update(piece));
        self
    }

    /// The 32-byte hash.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

/// `LP(parts)`: each part behind its length as four big-endian bytes.
pub fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.len().saturating_add(4)).sum());
    for part in parts {
        out.extend_from_slice(&length(part.len()));
        out.extend_from_slice(part);
    }
    out
}

/// A big-endian 256-bit integer modulo the group order. For hashes, never for input.
pub fn reduce(hash: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<U256>>::reduce_bytes(hash.into())
}

/// Every length hashed here is that of a message or name far below 4 GiB.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    static KAT: Tag = Tag::new("kat");

    #[test]
    fn tagged_hashes_match_the_known_answers() {
        assert_eq!(
            hex(&KAT.hash(&[b"abc", b""])),
            "f2688d33720758ded4fbac169643cddeb187c5c5d221ed0d6bab9c4536b2b2cc"
        );
        assert_eq!(
            hex(&KAT.hash_to_scalar(&[b"abc"]).to_bytes()),
            "599c373d9188cd9eac47236a57cc58bd23de7ce770c2669c392cb1e7d789f962"
        );
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_hash() {
        assert_ne!(KAT.hash(&[b"a", b"bc"]), KAT.hash(&[b"ab", b"c"]));
        assert_ne!(length_prefixed(&[b"a", b"bc"]), length_prefixed(&[b"ab", b"c"]));
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let pieces = KAT.start().part_in_pieces(5, |add| {
            add(b"ab");
            add(b"cde");
        });
        assert_eq!(pieces.finish(), KAT.hash(&[b"abcde"]));
    }
}
