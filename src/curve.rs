//! The curves on which keys are, by name.

use serde::{Deserialize, Serialize};

/// A curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CurveName {
    /// secp256k1.
    #[default]
    Secp256k1,
    /// P-256.
    P256,
}

impl CurveName {
    /// All curves.
    pub const ALL: [Self; 2] = [Self::Secp256k1, Self::P256];

    /// The name in lower case: on the command line, on the wire, in files and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "p256",
        }
    }

    /// The name as standards write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "P-256",
        }
    }

    /// Whether it is the curve that files and messages do not name, since there was no other in the first
    /// version.
    pub fn is_unnamed(&self) -> bool {
        *self == Self::Secp256k1
    }

    /// Whether its keys are those of wallets, which have addresses and keys derived from them (BIP-32).
    pub fn has_wallets(self) -> bool {
        self == Self::Secp256k1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_has_one_name() {
        for curve in CurveName::ALL {
            assert_eq!(serde_json::to_value(curve).unwrap(), curve.name());
            assert_eq!(curve.is_unnamed(), curve == CurveName::default());
        }
    }
}
