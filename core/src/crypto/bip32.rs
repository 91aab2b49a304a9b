//! Non-hardened BIP-32 derivation (docs/protocol.md §3.7) of child public keys.
//!
//! Hardened children need the whole private key, which does not exist, and are refused. A leaked
//! child *private* key and the parent's chain code give the parent private key.

use std::fmt;

use hmac::{Hmac, Mac};
use k256::elliptic_curve::ops::MulByGenerator;
use k256::{AffinePoint, ProjectivePoint, Scalar};
use sha2::Sha512;

use crate::crypto::curve::{decode_scalar, encode_point};

/// The first hardened index.
pub const HARDENED: u32 = 1 << 31;

/// The most steps of a path.
pub const MAX_DEPTH: usize = 255;

/// A child key, and its difference to the key it was derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The sum of the path's tweaks: `public_key = parent + tweak G`.
    pub tweak: Scalar,
    /// The child key.
    pub public_key: AffinePoint,
    /// The child's chain code.
    pub chain_code: [u8; 32],
}

/// A path that cannot be derived: hardened, malformed, too long, or (probability 2^-127) unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPath;

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a non-hardened derivation path")
    }
}

impl std::error::Error for InvalidPath {}

/// Reads a path such as `m/0/7`. `m` alone is the empty path.
pub fn parse_path(text: &str) -> Result<Vec<u32>, InvalidPath> {
    let mut steps = text.split('/');
    if steps.next() != Some("m") {
        return Err(InvalidPath);
    }
    let path: Vec<u32> = steps.map(parse_step).collect::<Result<_, _>>()?;
    if path.len() > MAX_DEPTH { Err(InvalidPath) } else { Ok(path) }
}

fn parse_step(text: &str) -> Result<u32, InvalidPath> {
    // `u32::from_str` alone would accept "+7" and "007".
    let canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let index: u32 = text.parse().map_err(|_| InvalidPath)?;
    if canonical && index < HARDENED { Ok(index) } else { Err(InvalidPath) }
}

/// Derives along `path` from a public key and its chain code.
pub fn derive(
    public_key: &AffinePoint,
    chain_code: &[u8; 32],
    path: &[u32],
) -> Result<Derived, InvalidPath> {
    let start = Derived { tweak: Scalar::ZERO, public_key: *public_key, chain_code: *chain_code };
    path.iter().try_fold(start, |parent, index| step(&parent, *index))
}

fn step(parent: &Derived, index: u32) -> Result<Derived, InvalidPath> {
    if index >= HARDENED {
        return Err(InvalidPath);
    }
    let key = encode_point(&parent.public_key).ok_or(InvalidPath)?;
    let mac = <Hmac<Sha512> as Mac>::new_from_slice(&parent.chain_code).map_err(|_| InvalidPath)?;
    let output = mac.chain_update(key).chain_update(index.to_be_bytes()).finalize().into_bytes();
    let (left, right) = output.split_at(32);
    let tweak = decode_scalar(left).map_err(|_| InvalidPath)?;
    let child = ProjectivePoint::mul_by_generator(&tweak) + parent.public_key;
    if child == ProjectivePoint::IDENTITY {
        return Err(InvalidPath);
    }
    Ok(Derived {
        tweak: parent.tweak + tweak,
        public_key: child.to_affine(),
        chain_code: right.try_into().map_err(|_| InvalidPath)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::elliptic_curve::ops::MulByGenerator;

    #[test]
    fn paths_are_read_strictly() {
        assert_eq!(parse_path("m"), Ok(vec![]));
        assert_eq!(parse_path("m/0/7"), Ok(vec![0, 7]));
        assert_eq!(parse_path("m/2147483647"), Ok(vec![HARDENED - 1]));
        for bad in ["", "0/7", "m/", "m//1", "m/0'", "m/0h", "m/+1", "m/01", "m/2147483648", "m/-1"]
        {
            assert_eq!(parse_path(bad), Err(InvalidPath), "{bad}");
        }
        assert_eq!(parse_path(&format!("m{}", "/1".repeat(MAX_DEPTH))), Ok(vec![1; 255]));
        assert_eq!(parse_path(&format!("m{}", "/1".repeat(256))), Err(InvalidPath));
    }

    #[test]
    fn a_hardened_index_is_refused() {
        let key = AffinePoint::GENERATOR;
        assert_eq!(derive(&key, &[0; 32], &[0, HARDENED]), Err(InvalidPath));
    }

    #[test]
    fn the_tweak_of_a_path_leads_from_the_parent_to_the_child() {
        let parent = AffinePoint::GENERATOR;
        let child = derive(&parent, &[7; 32], &[1, 2, 3]).unwrap();
        let expected = ProjectivePoint::mul_by_generator(&child.tweak) + parent;
        assert_eq!(expected.to_affine(), child.public_key);
        assert_eq!(derive(&parent, &[7; 32], &[]).unwrap().tweak, Scalar::ZERO);
    }
}
