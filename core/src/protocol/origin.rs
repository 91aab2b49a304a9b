//! The public data of a key from which a reshare or an import starts (docs/protocol.md §8.1, §8.2,
//! §8.4).
//!
//! A device that becomes a party of a key learns them from the requester alone.

use std::fmt;

use k256::Secp256k1;

use crate::crypto::curve::{AffinePoint, Curve, decode_point};
use crate::crypto::transcript::length_prefixed;
use crate::protocol::key::{are_valid_sizes, encoded, public_data, share_the_key};

/// The first part of the public data of a key that one party has.
const IMPORT: &[u8] = b"import";

/// A key that parties share, or that one party has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin<C: Curve = Secp256k1> {
    pub(crate) point: AffinePoint<C>,
    pub(crate) chain_code: [u8; 32],
    /// `None` for a key that is imported.
    pub(crate) shared: Option<Shared<C>>,
}

/// The shares of a key that parties share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared<C: Curve> {
    pub(crate) threshold: u8,
    epoch: [u8; 32],
    /// That of party 1 first.
    pub(crate) shares: Vec<AffinePoint<C>>,
}

/// Bytes that are not the public data of a key, or contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the public data of a key")
    }
}

impl std::error::Error for InvalidOrigin {}

impl<C: Curve> Origin<C> {
    /// The public data of a key that one party has and imports: `LP("import", X, cc)`.
    pub fn of_import(public_key: &AffinePoint<C>, chain_code: &[u8; 32]) -> Vec<u8> {
        length_prefixed(&[IMPORT, &encoded(public_key), chain_code])
    }

    /// Decodes [`KeyShare::public_data`](crate::protocol::key::KeyShare::public_data), or the public
    /// data of an import.
    ///
    /// The sizes must be allowed, and the public shares must be shares of the key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidOrigin> {
        match parts(bytes).ok_or(InvalidOrigin)?.as_slice() {
            [IMPORT, key, chain_code] => {
                Ok(Self { point: point::<C>(key)?, chain_code: array(chain_code)?, shared: None })
            }
            [sizes, epoch, key, chain_code, shares @ ..] => {
                let [threshold, count] = array(sizes)?;
                let count = usize::from(count);
                if !are_valid_sizes(threshold, count) || shares.len() != count {
                    return Err(InvalidOrigin);
                }
                let (key, shares) = (
                    point::<C>(key)?,
                    shares.iter().map(|share| point::<C>(share)).collect::<Result<Vec<_>, _>>()?,
                );
                if !share_the_key::<C>(threshold, &key, &shares) {
                    return Err(InvalidOrigin);
                }
                Ok(Self {
                    point: key,
                    chain_code: array(chain_code)?,
                    shared: Some(Shared { threshold, epoch: array(epoch)?, shares }),
                })
            }
            _ => Err(InvalidOrigin),
        }
    }

    /// The bytes that are decoded to this.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.shared {
            None => Self::of_import(&self.point, &self.chain_code),
            Some(Shared { threshold, epoch, shares }) => {
                public_data::<C>(*threshold, epoch, &self.point, &self.chain_code, shares)
            }
        }
    }

    /// The key.
    pub fn public_key(&self) -> &AffinePoint<C> {
        &self.point
    }

    /// The BIP-32 chain code.
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }

    /// How many parties must sign, and how many there are; `None` for a key that is imported.
    pub fn sizes(&self) -> Option<(u8, u8)> {
        // At most `MAX_PARTIES`.
        self.shared.as_ref().map(|shared| (shared.threshold, shared.shares.len() as u8))
    }

    /// The generation of shares; `None` for a key that is imported.
    pub fn epoch(&self) -> Option<&[u8; 32]> {
        self.shared.as_ref().map(|shared| &shared.epoch)
    }
}

/// The parts of an `LP`, if it has no byte over.
fn parts(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part);
        bytes = rest;
    }
    Some(parts)
}

fn array<const N: usize>(part: &[u8]) -> Result<[u8; N], InvalidOrigin> {
    part.try_into().map_err(|_| InvalidOrigin)
}

fn point<C: Curve>(part: &[u8]) -> Result<AffinePoint<C>, InvalidOrigin> {
    decode_point(part).map_err(|_| InvalidOrigin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::POINT;
    use k256::ProjectivePoint;
    use k256::{AffinePoint, Secp256k1};

    #[test]
    fn an_import_has_one_encoding_and_no_shares() {
        let key = ProjectivePoint::GENERATOR.to_affine();
        let bytes = Origin::<Secp256k1>::of_import(&key, &[7; 32]);
        assert_eq!(bytes.len(), 3 * 4 + IMPORT.len() + POINT + 32);
        let origin = Origin::<Secp256k1>::from_bytes(&bytes).unwrap();
        assert_eq!((origin.public_key(), origin.chain_code()), (&key, &[7; 32]));
        assert_eq!((origin.sizes(), origin.epoch()), (None, None));
        assert_eq!(origin.to_bytes(), bytes);
        let nothing = Origin::<Secp256k1>::of_import(&AffinePoint::IDENTITY, &[7; 32]);
        assert_eq!(Origin::<Secp256k1>::from_bytes(&nothing), Err(InvalidOrigin));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let bytes =
            Origin::<Secp256k1>::of_import(&ProjectivePoint::GENERATOR.to_affine(), &[7; 32]);
        for place in [0, 3, 10, 47] {
            let mut long = bytes.clone();
            long[place] = 0xff;
            assert_eq!(Origin::<Secp256k1>::from_bytes(&long), Err(InvalidOrigin), "{place}");
        }
        for length in 0..bytes.len() {
            assert_eq!(
                Origin::<Secp256k1>::from_bytes(&bytes[..length]),
                Err(InvalidOrigin),
                "{length}"
            );
        }
    }
}
