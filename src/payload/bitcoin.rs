//! Bitcoin: payments in PSBTs (BIP-174, BIP-370).
//!
//! Transactions, scripts, addresses and the pairs of a PSBT are decoded by the library `bitcoin`.

pub mod finish;
mod maps;
pub mod payment;

use std::fmt;

use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::{Hash as _, hash160};
use k256::{AffinePoint, Scalar};
use serde::{Deserialize, Serialize};

pub use super::Refused;
use crate::crypto::bip32::{self, Derived};
use crate::crypto::curve::{decode_point, encode_point};

/// A network of Bitcoin, which decides how addresses are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The one whose coins are worth something.
    #[default]
    Main,
    /// The test networks 3 and 4.
    Test,
    /// The test network with signed blocks.
    Signet,
    /// A network of one's own.
    Regtest,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Main, Self::Test, Self::Signet, Self::Regtest];

    /// The name on the command line, on the wire, in policies and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The network of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.name() == name)
    }

    fn params(self) -> bitcoin::Network {
        match self {
            Self::Main => bitcoin::Network::Bitcoin,
            Self::Test => bitcoin::Network::Testnet,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An amount in satoshis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Satoshis(pub u64);

impl Satoshis {
    /// All digits, in BTC: `1,234.05000000`.
    pub fn btc(self) -> String {
        let (whole, rest) = (self.0 / COIN, self.0 % COIN);
        format!("{}.{rest:08}", super::grouped(&whole.to_string()))
    }
}

/// The satoshis of one BTC.
pub const COIN: u64 = 100_000_000;

/// An address as this program writes it; `None` if `text` is none, on whichever network.
pub fn as_address(text: &str) -> Option<String> {
    let address: Address<NetworkUnchecked> = text.parse().ok()?;
    Some(address.assume_checked().to_string())
}

/// A key from which others are derived: the public key and its chain code (BIP-32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xpub {
    point: AffinePoint,
    chain_code: [u8; 32],
    fingerprint: [u8; 4],
}

/// The longest path below a key that a payment may name.
const MAX_DEPTH: usize = 8;

impl Xpub {
    /// The key; `None` if `public_key` is none, SEC1 compressed.
    pub fn new(public_key: &[u8; 33], chain_code: [u8; 32]) -> Option<Self> {
        let point = decode_point(public_key).ok()?;
        let hash = hash160::Hash::hash(public_key).to_byte_array();
        let [a, b, c, d, ..] = hash;
        Some(Self { point, chain_code, fingerprint: [a, b, c, d] })
    }

    /// The key at the end of `path` below it, SEC1 compressed; `None` if there is none.
    pub fn child(&self, path: &[u32]) -> Option<[u8; 33]> {
        let child = bip32::derive(&self.point, &self.chain_code, path).ok()?;
        encode_point(&child.public_key)
    }

    fn as_derived(&self) -> Derived {
        Derived { tweak: Scalar::ZERO, public_key: self.point, chain_code: self.chain_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_all_their_digits() {
        assert_eq!(Satoshis(0).btc(), "0.00000000");
        assert_eq!(Satoshis(1).btc(), "0.00000001");
        assert_eq!(Satoshis(123_456_789_012_345).btc(), "1,234,567.89012345");
    }

    #[test]
    fn every_network_has_one_name() {
        for network in Network::ALL {
            assert_eq!(Network::named(network.name()), Some(network));
            assert_eq!(serde_json::to_value(network).unwrap(), network.name());
        }
    }
}
