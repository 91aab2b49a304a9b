//! Every domain-separation tag of the protocol, in one place.

use crate::crypto::transcript::{CommonTag, Tag};

macro_rules! tags {
    ($all:ident: $type:ident = $($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub static $name: $type = $type::new($text);)*
        /// All tags of this type, for the test that no two are alike.
        #[cfg(test)]
        static $all: &[&$type] = &[$(&$name),*];
    };
}

tags! { ALL: Tag =
    /// Input that the parties of a key generation agree on before its first message.
    KEYGEN_SID0 = "keygen/sid0";
    /// Input that the parties of a refresh agree on before its first message.
    REFRESH_SID0 = "refresh/sid0";
    /// Input that the parties of a reshare or an import agree on before its first message.
    RESHARE_SID0 = "reshare/sid0";
    /// Commitment to a dealer's coefficients and chain-code share.
    KEYGEN_COMMIT = "keygen/commit";
    /// Session id after round 1.
    KEYGEN_SID = "keygen/sid";
    /// Proof of knowledge of a coefficient.
    KEYGEN_POK = "keygen/pok";
    /// Proof of knowledge of the final share.
    KEYGEN_POK_SHARE = "keygen/pok-share";
    /// Joint BIP-32 chain code.
    KEYGEN_CHAINCODE = "keygen/chaincode";
    /// Hash of all round-2 broadcasts.
    KEYGEN_VIEW = "keygen/view";
    /// Hash of all round-3 broadcasts.
    KEYGEN_VIEW3 = "keygen/view3";
    /// Name of one generation of shares.
    KEYGEN_EPOCH = "keygen/epoch";
    /// A party's statement that its share is stored.
    KEYGEN_CONFIRM = "keygen/confirm";
    /// Pairwise seed of the zero shares.
    ZERO_SEED = "zero/seed";
    /// Pairwise term of a zero share.
    ZERO_SHARE = "zero/share";
    /// Session id of the base oblivious transfers of an ordered pair.
    BASEOT_SID = "baseot/sid";
    /// Key of one base oblivious transfer.
    BASEOT_KEY = "baseot/key";
    /// Child of a tree node.
    PPRF_NODE = "pprf/node";
    /// Proof of a tree leaf.
    PPRF_LEAF = "pprf/leaf";
    /// Digest of a tree's leaf proofs.
    PPRF_DIGEST = "pprf/digest";
    /// Key that expands leaves into rows.
    OTE_PRG_KEY = "ote/prg-key";
    /// Hash of the correction rows.
    OTE_U = "ote/u";
    /// Coefficients of the consistency check.
    OTE_CHI = "ote/chi";
    /// Verdict of the consistency check.
    OTE_CHECK = "ote/check";
    /// Key that turns columns into pads.
    OTE_PAD_KEY = "ote/pad-key";
    /// Gadget vector.
    RVOLE_GADGET = "rvole/gadget";
    /// Context of one multiplication.
    RVOLE_CTX = "rvole/ctx";
    /// Hash of the corrections.
    RVOLE_ATILDE = "rvole/atilde";
    /// Coefficients of the multiplication check.
    RVOLE_THETA = "rvole/theta";
    /// Verdict of the multiplication check.
    RVOLE_MU = "rvole/mu";
    /// Session id of a signature.
    SIGN_SID = "sign/sid";
    /// Session id of an ordered pair within a signature.
    SIGN_PAIR = "sign/pair";
    /// Commitment to a nonce point.
    SIGN_COMMIT = "sign/commit";
    /// Hash of all nonces and commitments.
    SIGN_VIEW = "sign/view";
    /// Session id of a batch of signatures.
    BATCH_SID = "batch/sid";
    /// Id of one item within a batch.
    BATCH_ITEM = "batch/item";
}

tags! { COMMON: CommonTag =
    /// Secret of two parties of a key by which they find each other.
    MEETING_SECRET = "meeting/secret";
    /// Name of the room where two devices meet on one day.
    MEETING_ROOM = "meeting/room";
    /// Secret of a device that hedges its randomness in a key generation.
    DEVICE_HEDGE = "device/hedge";
    /// Chain code of a private key that is imported and has none.
    IMPORT_CHAINCODE = "import/chaincode";
    /// Id of a ceremony: what its approvers saw and a nonce of every participant.
    CEREMONY_ID = "ceremony/id";
    /// Short hash of a request, which its approver types.
    REQUEST_HASH = "request/hash";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_tags_are_alike() {
        let common = COMMON.iter().map(|tag| tag.name());
        let names: BTreeSet<_> = ALL.iter().map(|tag| tag.name()).chain(common).collect();
        assert_eq!(names.len(), ALL.len() + COMMON.len());
    }
}
