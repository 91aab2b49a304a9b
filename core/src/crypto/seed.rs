//! Labelled randomness: one seed per party and session, expanded by label.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::curve::{Curve, Scalar, reduce_wide};
use crate::crypto::transcript::length_prefixed;
use crate::secret::Secret;

/// The 32-byte seed of one party in one session.
///
/// `bytes(label, L)` is the first `L` bytes of `HMAC(seed, LP(label) || BE32(0)) || HMAC(seed,
/// LP(label) || BE32(1)) || ..`, so a value depends on the seed and its label alone and not on
/// the order in which values are drawn.
#[derive(Debug)]
pub struct SessionSeed(Secret<[u8; 32]>);

impl SessionSeed {
    /// A seed given from outside, for examples and tests that repeat known answers.
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self(Secret::new(seed))
    }

    /// A seed hedged against a weak generator: `HMAC(random, LP("session-seed", session, [party], share))`.
    ///
    /// `random` is 32 bytes of the operating system's randomness, `share` the party's long-term
    /// share or, where there is none yet, another secret of the device. Where `random` repeats,
    /// another session or share still gives another seed; where it is known, the seed is as hard to
    /// guess as the share.
    pub fn hedged(random: &Secret<[u8; 32]>, session: &[u8; 32], party: u8, share: &[u8]) -> Self {
        let input = Zeroizing::new(length_prefixed(&[b"session-seed", session, &[party], share]));
        Self(Secret::made(|seed: &mut [u8; 32]| {
            *seed = mac(random.expose(), &[&input]);
        }))
    }

    /// Fills `out` with the bytes for `label`.
    pub fn fill(&self, label: &str, out: &mut [u8]) {
        let label = length_prefixed(&[label.as_bytes()]);
        for (counter, chunk) in (0_u32..).zip(out.chunks_mut(32)) {
            let mut block = mac(self.0.expose(), &[&label, &counter.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
            block.zeroize();
        }
    }

    /// The `L` bytes for `label`.
    pub fn bytes<const L: usize>(&self, label: &str) -> [u8; L] {
        let mut out = [0; L];
        self.fill(label, &mut out);
        out
    }

    /// The scalar for `label`: 48 bytes, big-endian, modulo the group order.
    ///
    /// Zero (probability 2^-256) is returned like any other value; the identity point that results
    /// from it is refused when it is decoded.
    pub fn scalar<C: Curve>(&self, label: &str) -> Scalar<C> {
        let mut wide = [0; 48];
        self.fill(label, &mut wide);
        let scalar = reduce_wide::<C>(&wide);
        wide.zeroize();
        scalar
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length; for one of 32 bytes this cannot fail.
    let Ok(keyed) = <Hmac<Sha256> as Mac>::new_from_slice(key) else { return [0; 32] };
    parts.iter().fold(keyed, |mac, part| mac.chain_update(part)).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    fn counting() -> SessionSeed {
        SessionSeed::from_bytes(std::array::from_fn(|i| i as u8))
    }

    #[test]
    fn labelled_randomness_matches_the_known_answers() {
        assert_eq!(
            hex(&counting().bytes::<48>("x")),
            "ec0482890eaeea4c3be2c1d94f497937629a42c47e9c2e2cd40a5d7700af66023b2de9d2c42b133093d3272a2d3bf2e9"
        );
        assert_eq!(
            hex(&counting().scalar::<k256::Secp256k1>("r").to_bytes()),
            "abef581ae85273c676cf4d40762da1eaa7cde3a92cd7f18336ef028c34422c0b"
        );
    }

    #[test]
    fn a_hedged_seed_depends_on_session_party_and_share() {
        let random = Secret::new([7; 32]);
        let seed = |session: u8, party, share: &[u8]| {
            SessionSeed::hedged(&random, &[session; 32], party, share).bytes::<32>("x")
        };
        assert_ne!(seed(1, 1, b""), seed(2, 1, b""));
        assert_ne!(seed(1, 1, b""), seed(1, 2, b""));
        assert_ne!(seed(1, 1, b""), seed(1, 1, b"share"));
    }
}
