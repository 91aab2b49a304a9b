//! Ethereum: transactions, calls of contracts, and typed data (EIP-712).
//!
//! RLP, the ABI and wide integers are decoded by the `alloy` libraries, in their strict modes.

pub mod call;
pub mod given;
pub mod transaction;
pub mod typed_data;

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, U256, keccak256};
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use serde::{Serialize, Serializer};

pub use super::Refused;

/// An account: 20 bytes, written with the checksum of EIP-55.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account(Address);

impl Account {
    /// The account with this address.
    pub fn new(address: [u8; 20]) -> Self {
        Self(Address::new(address))
    }

    /// The account of a public key, SEC1 compressed; `None` if it is none.
    pub fn of_key(public_key: &[u8; 33]) -> Option<Self> {
        Some(Self::of_point(&k256::PublicKey::from_sec1_bytes(public_key).ok()?))
    }

    fn of_point(point: &k256::PublicKey) -> Self {
        let point = point.to_encoded_point(false);
        let coordinates = point.as_bytes().get(1..).unwrap_or_default();
        Self(Address::from_word(keccak256(coordinates)))
    }

    /// The 20 bytes.
    pub fn bytes(&self) -> [u8; 20] {
        self.0.into_array()
    }
}

impl FromStr for Account {
    type Err = Refused;

    /// Reads `0x` and 40 digits. Digits in both cases must have the checksum of EIP-55.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let refused = |why: &str| Refused(why.to_owned());
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
        let bytes = digits.and_then(crate::device::unhex).and_then(|bytes| bytes.try_into().ok());
        let account = Self::new(bytes.ok_or_else(|| refused("no address of 0x and 40 digits"))?);
        let has = |case: fn(&char) -> bool| text.chars().skip(2).any(|c| case(&c));
        let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        if is_mixed && account.to_string() != text {
            return Err(refused("the checksum of the address is wrong (EIP-55)"));
        }
        Ok(account)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_checksum(None))
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An integer of up to 256 bits; decimal digits in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub U256);

impl Number {
    /// As wei: all digits in units of 10^18, such as `1,234.5`.
    pub fn ether(self) -> String {
        let (whole, rest) = self.0.div_rem(U256::from(10_u64.pow(18)));
        let rest = u64::try_from(rest).unwrap_or_default();
        let digits = format!("{rest:018}");
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}", Self(whole).grouped())
    }

    /// In groups of three digits: `1,234,567`.
    pub fn grouped(self) -> String {
        super::grouped(&self.0.to_string())
    }

    /// Whether it is at least 2^255, as the limit of an approval that has none.
    fn is_unlimited(self) -> bool {
        self.0.bit(255)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(U256::from(number))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A chain, by its number (EIP-155).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Its number.
    pub id: u64,
    /// Its well-known name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// The name of its own coin, which pays for transactions.
    #[serde(skip)]
    pub coin: &'static str,
}

/// The names and coins of the chains that are widely known.
const CHAINS: [(u64, &str, &str); 15] = [
    (1, "Ethereum", "ETH"),
    (10, "OP Mainnet", "ETH"),
    (56, "BNB Smart Chain", "BNB"),
    (100, "Gnosis", "xDAI"),
    (137, "Polygon", "POL"),
    (324, "ZKsync Era", "ETH"),
    (8453, "Base", "ETH"),
    (17_000, "Holesky, a test network", "ETH"),
    (42_161, "Arbitrum One", "ETH"),
    (42_220, "Celo", "CELO"),
    (43_114, "Avalanche C-Chain", "AVAX"),
    (59_144, "Linea", "ETH"),
    (534_352, "Scroll", "ETH"),
    (560_048, "Hoodi, a test network", "ETH"),
    (11_155_111, "Sepolia, a test network", "ETH"),
];

impl Chain {
    /// The chain with this number.
    pub fn new(id: u64) -> Self {
        match CHAINS.iter().find(|(known, ..)| *known == id) {
            Some((_, name, coin)) => Self { id, name: Some(name), coin },
            None => Self { id, name: None, coin: "coins of this chain" },
        }
    }
}

/// A warning about what a signature allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// It creates a contract.
    CreatesContract,
    /// An authorisation gives the code of an account away (EIP-7702).
    GivesCodeAway,
    /// An authorisation holds on every chain.
    AnyChain,
    /// An approval without a limit that matters.
    Unlimited,
    /// An approval: whether code or a person is behind the account cannot be told from here.
    Approval,
    /// All tokens of a contract are given into another account's hands.
    ApprovalForAll,
    /// Code of another contract runs with all rights of a Safe.
    DelegateCall,
    /// A Safe pays for gas, in coins or tokens, on top of what it sends.
    Refund,
    /// Coins go to a contract along with a call.
    ValueWithCall,
    /// This device does not know what the bytes call.
    UnknownCall,
    /// The arguments of a known method are not in its encoding.
    OddEncoding,
    /// Calls within calls go deeper than is shown.
    TooDeep,
    /// The typed data names no chain.
    NoChain,
    /// The typed data names no contract.
    NoContract,
}

/// Bytes, shown in hexadecimal up to a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Data {
    /// How many there are.
    pub size: u64,
    /// The Keccak-256 of all of them, in hexadecimal.
    pub keccak256: String,
    /// The first [`Data::SHOWN`] of them, in hexadecimal.
    pub bytes: String,
}

impl Data {
    /// Most bytes that are shown.
    pub const SHOWN: usize = 512;

    /// `bytes`; `None` if there are none.
    fn of(bytes: &[u8]) -> Option<Self> {
        let shown = bytes.get(..Self::SHOWN).unwrap_or(bytes);
        (!bytes.is_empty()).then(|| Self {
            size: bytes.len() as u64,
            keccak256: hex(keccak256(bytes).as_slice()),
            bytes: hex(shown),
        })
    }

    /// Whether `bytes` are all of them.
    pub fn is_complete(&self) -> bool {
        self.size <= Self::SHOWN as u64
    }
}

/// `0x` and the digits of `bytes`.
fn hex(bytes: &[u8]) -> String {
    format!("0x{}", crate::device::hex(bytes))
}

/// The bytes of `0x` and an even number of digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    crate::device::unhex(text.strip_prefix("0x")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_both_cases_has_its_checksum() {
        // From EIP-55.
        let text = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
        let account: Account = text.parse().unwrap();
        assert_eq!(account.to_string(), text);
        assert_eq!(text.to_lowercase().parse(), Ok(account));
        assert!(text.replace("fB", "fb").parse::<Account>().is_err());
        for bad in
            ["", "0x", &text[2..], &text[..41], &format!("{text}00"), &text.replace('9', "g")]
        {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_account_of_a_key_is_that_of_wallets() {
        // The private key 1.
        let key = crate::device::unhex(
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        );
        let account = Account::of_key(&key.unwrap().try_into().unwrap()).unwrap();
        assert_eq!(account.to_string(), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
        assert_eq!(Account::of_key(&[5; 33]), None);
    }

    #[test]
    fn amounts_have_all_their_digits() {
        let ether = |wei: u128| Number(U256::from(wei)).ether();
        assert_eq!(ether(0), "0");
        assert_eq!(ether(1), "0.000000000000000001");
        assert_eq!(ether(1_500_000_000_000_000_000), "1.5");
        assert_eq!(ether(1_234_567_000_000_000_000_000_001), "1,234,567.000000000000000001");
        assert_eq!(Number(U256::from(100)).grouped(), "100");
        assert_eq!(Number(U256::MAX).ether().len(), 60 + 19 + 19);
    }
}
