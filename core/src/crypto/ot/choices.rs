//! Secret choice bits.

use subtle::Choice;

use crate::crypto::seed::SessionSeed;
use crate::secret::Secret;

/// A string of `8 N` secret bits.
#[derive(Debug)]
pub(crate) struct Choices<const N: usize>(Secret<[u8; N]>);

impl<const N: usize> Choices<N> {
    /// The bits for `label`.
    pub(super) fn draw(seed: &SessionSeed, label: &str) -> Self {
        let mut bits = Secret::new([0; N]);
        seed.fill(label, bits.expose_mut());
        Self(bits)
    }

    /// Bit `index` (public, below `8 N`).
    pub(crate) fn bit(&self, index: usize) -> Choice {
        Choice::from(self.0.expose()[index / 8] >> (index % 8) & 1)
    }

    /// All bits, from the least significant of the first byte.
    pub(super) fn bytes(&self) -> &[u8; N] {
        self.0.expose()
    }

    /// Given bits.
    #[cfg(test)]
    pub(crate) fn from_bytes(bits: [u8; N]) -> Self {
        Self(Secret::new(bits))
    }
}
