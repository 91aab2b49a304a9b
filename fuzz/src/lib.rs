//! The functions of `core/tests/support/decoders.rs` and, with the feature `program`, of
//! `tests/support/decoders.rs`, one for each fuzz target.

#[allow(dead_code, reason = "each program uses a part of it")]
#[path = "../../core/tests/support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each program uses a part of it")]
#[path = "../../core/tests/support/secp256k1.rs"]
mod curve;
#[path = "../../core/tests/support/changes.rs"]
mod changes;
#[path = "../../core/tests/support/decoders.rs"]
mod core;
#[cfg(feature = "program")]
#[path = "../../tests/support/decoders.rs"]
mod program;

macro_rules! targets {
    ($decoders:ident: $($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $($(#[$attribute])* pub fn $name(bytes: &[u8]) {
            $decoders::$name(bytes);
        })*
    };
}

targets! { core:
    /// Points, scalars, signatures, paths, digits.
    values,
    /// A signature in DER, changed.
    der,
    /// A stored share, raw and changed.
    share,
    /// A stored confirmation and the others' claims about it.
    confirmation,
    /// The public data of a key to be reshared or imported.
    origin,
    /// A changed message of a signature; the first byte selects its type.
    message,
    /// A changed message of a key generation, refresh or reshare; the first byte selects its type.
    dealing,
    /// A sequence of operations on a machine.
    operations,
}

#[cfg(feature = "program")]
targets! { program:
    /// The bytes of a link.
    frame,
    /// A control message.
    control,
    /// The steps of the pairing of a group.
    group,
    /// The name that another device gives itself.
    label,
    /// Messages of relays and their clients, and invitations.
    relay,
    /// A device's certificate.
    certificate,
    /// The content of an announcement on the local network.
    announcement,
    /// Messages from the other processes of a relay's cluster.
    cluster,
    /// A file of a device, raw and changed; the first byte selects it.
    home,
    /// The text of a backup.
    backup,
    /// Another device's claims about its epochs.
    said,
    /// Files in the place of a new vault.
    found,
    /// The settings of a device.
    config,
    /// A policy file and its list of digests.
    policy,
    /// A request for `policy check`.
    request,
    /// A file with a passphrase, a PIN or age identities.
    given,
    /// A file with a key or a signature, and a digest.
    key_file,
    /// A key, a signature or a digest as another tool writes it.
    pasted,
    /// The payload of a request.
    payload,
    /// A commit or tag of git.
    git_object,
    /// A payment of Bitcoin.
    payment,
    /// A picture with a QR code.
    picture,
    /// A frame of the process that holds a token's module.
    token_frame,
    /// A file key that is sealed to a key on a token.
    stanza,
    /// A `pkcs11:` URI.
    uri,
    /// A module file of p11-kit.
    module_file,
}
