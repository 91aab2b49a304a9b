//! Test data for the transfers: two parties with fixed seeds, and their keys.

use k256::Secp256k1;
use sha2::{Digest, Sha256};

use super::base::{self, BothKeys, ChosenKeys};
use super::tree::{self, ReceiverTrees, SenderTrees};
use super::{BASE, Choices};
use crate::crypto::seed::SessionSeed;
use crate::device::hex;
use crate::secret::Secret;

/// SHA-256, for fixed inputs and fingerprints of long answers.
pub(crate) fn sha(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The fingerprint of a long answer.
pub(crate) fn sha_hex(bytes: &[u8]) -> String {
    hex(&sha(bytes))
}

/// The seed of a named party.
pub(crate) fn seed(name: &str) -> SessionSeed {
    SessionSeed::from_bytes(sha(name.as_bytes()))
}

/// The session of all base transfers here.
pub(crate) fn sid_ot() -> [u8; 32] {
    sha(b"sid_ot")
}

/// Real base transfers between Alice (party 1, receiver) and Bob (party 2).
pub(crate) fn base_keys() -> (ChosenKeys, BothKeys) {
    let (receiver, ot1) = base::Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
    let (ot2, both) = base::send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &ot1).unwrap();
    (receiver.finish(&ot2).unwrap(), both)
}

/// Base transfers that are simply dealt: quick, and with given choices.
pub(crate) fn dealt_keys(bits: [u8; BASE / 8]) -> (ChosenKeys, BothKeys) {
    let key = |i: usize, branch: u8| sha(&[i as u8, branch]);
    let choices = Choices::from_bytes(bits);
    let chosen = std::array::from_fn(|i| key(i, choices.bit(i).unwrap_u8()));
    let both = std::array::from_fn(|i| [key(i, 0), key(i, 1)]);
    (ChosenKeys { choices, keys: Secret::new(chosen) }, BothKeys(Secret::new(both)))
}

/// Trees over dealt keys.
pub(crate) fn dealt_trees(bits: [u8; BASE / 8]) -> (ReceiverTrees, SenderTrees) {
    let (chosen, both) = dealt_keys(bits);
    let (sender, message) = tree::build::<Secp256k1>(&sid_ot(), both);
    (tree::evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap(), sender)
}
