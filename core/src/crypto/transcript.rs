//! The only way to hash: a tag, then length-prefixed parts.
//!
//! ```text
//! T(tag)            = SHA256(PROTO || "/" || tag)
//! TH(tag, p1 .. pn) = SHA256(T(tag) || T(tag) || BE32(|p1|) || p1 || .. || BE32(|pn|) || pn)
//! ```
//!
//! `PROTO` is that of the curve ([`Curve::PROTOCOL`]), so what is hashed for a key on one curve is never what
//! is hashed for one on another. The doubled tag hash fills one SHA-256 block, so every tag keeps the state
//! after it and starts from there. Every part is length-prefixed, so two different lists of parts never give
//! the same input (attack A8 of the α-shuffle family).

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

use k256::Secp256k1;
use sha2::{Digest, Sha256};

use crate::crypto::curve::{CURVES, Curve, Scalar, reduce, reduce_wide};

/// Name and version of the protocol on secp256k1; part of every tag that is about no key of another curve.
pub const PROTOCOL: &str = Secp256k1::PROTOCOL;

/// A domain-separation tag. All of them are in `crypto/tags.rs`.
pub struct Tag {
    name: &'static str,
    /// By curve.
    states: [OnceLock<Sha256>; CURVES],
}

impl Tag {
    /// A tag named `name`; for [`crate::crypto::tags`] only.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, states: [const { OnceLock::new() }; CURVES] }
    }

    /// The tag's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts a hash whose parts are added one by one.
    pub fn start<C: Curve>(&self) -> Hasher<C> {
        let state = self.states[const { C::IDENT as usize - 1 }].get_or_init(|| {
            let tag = Sha256::digest([C::PROTOCOL, "/", self.name].concat());
            Sha256::new().chain_update(tag).chain_update(tag)
        });
        Hasher { state: state.clone(), curve: PhantomData }
    }

    /// `TH(tag, parts)`.
    pub fn hash<C: Curve>(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.of_parts::<C>(parts).finish()
    }

    /// `HS(tag, parts)`: a scalar that is uniform but for a bias below 2^-127.
    pub fn hash_to_scalar<C: Curve>(&self, parts: &[&[u8]]) -> Scalar<C> {
        self.of_parts::<C>(parts).scalar()
    }

    /// `two(tag, parts)`: 64 bytes, `TH(tag, parts, 0) || TH(tag, parts, 1)`.
    pub fn hash_twice<C: Curve>(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.of_parts::<C>(parts).finish_twice()
    }

    fn of_parts<C: Curve>(&self, parts: &[&[u8]]) -> Hasher<C> {
        parts.iter().fold(self.start(), |hasher, part| hasher.part(part))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.name)
    }
}

/// A domain-separation tag of what belongs to no curve, such as a request: as a [`Tag`] on secp256k1.
#[derive(Debug)]
pub struct CommonTag(Tag);

impl CommonTag {
    /// A tag named `name`; for [`crate::crypto::tags`] only.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(Tag::new(name))
    }

    /// The tag's name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// `TH(tag, parts)`.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.hash::<Secp256k1>(parts)
    }
}

/// A tagged hash in the making.
#[derive(Clone)]
pub struct Hasher<C> {
    state: Sha256,
    curve: PhantomData<C>,
}

impl<C: Curve> Hasher<C> {
    /// Adds one length-prefixed part.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.state.update(length(part.len()));
        self.state.update(part);
        self
    }

    /// Adds one part of `len` bytes that `write` passes in pieces.
    ///
    /// The pieces must add up to `len`; otherwise the hash differs from every honest party's, and
    /// the check that uses it fails.
    #[must_use]
    pub fn part_in_pieces(mut self, len: usize, write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        self.state.update(length(len));
        write(&mut |piece| self.state.update(piece));
        self
    }

    /// The 32-byte hash.
    pub fn finish(self) -> [u8; 32] {
        self.state.finalize().into()
    }

    /// The hash as a scalar: all of it as a big-endian integer modulo the group order or, where that would
    /// not be uniform, the first 48 bytes of [`finish_twice`](Self::finish_twice).
    pub fn scalar(self) -> Scalar<C> {
        if C::HASHED == 32 {
            return reduce(&self.finish());
        }
        reduce_wide::<C>(self.finish_twice().first_chunk().unwrap_or(&[0; 48]))
    }

    /// Two hashes, of the parts and a further one: a zero, a one.
    fn finish_twice(self) -> [u8; 64] {
        let mut out = [0; 64];
        let (low, high) = out.split_at_mut(32);
        low.copy_from_slice(&self.clone().part(&[0]).finish());
        high.copy_from_slice(&self.part(&[1]).finish());
        out
    }
}

impl<C> fmt::Debug for Hasher<C> {
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

/// Every length hashed here is that of a message or name far below 4 GiB.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;
    use k256::Secp256k1;

    static KAT: Tag = Tag::new("kat");

    #[test]
    fn tagged_hashes_match_the_known_answers() {
        assert_eq!(
            hex(&KAT.hash::<Secp256k1>(&[b"abc", b""])),
            "f2688d33720758ded4fbac169643cddeb187c5c5d221ed0d6bab9c4536b2b2cc"
        );
        assert_eq!(
            hex(&KAT.hash_to_scalar::<Secp256k1>(&[b"abc"]).to_bytes()),
            "599c373d9188cd9eac47236a57cc58bd23de7ce770c2669c392cb1e7d789f962"
        );
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_hash() {
        assert_ne!(KAT.hash::<Secp256k1>(&[b"a", b"bc"]), KAT.hash::<Secp256k1>(&[b"ab", b"c"]));
        assert_ne!(length_prefixed(&[b"a", b"bc"]), length_prefixed(&[b"ab", b"c"]));
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let pieces = KAT.start::<Secp256k1>().part_in_pieces(5, |add| {
            add(b"ab");
            add(b"cde");
        });
        assert_eq!(pieces.finish(), KAT.hash::<Secp256k1>(&[b"abcde"]));
    }
}
