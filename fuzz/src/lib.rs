//! The functions of `core/tests/support/decoders.rs` and, with the feature `program`, of
//! `tests/support/decoders.rs`, one for each fuzz target.

#[allow(dead_code, reason = "each program uses a part of it")]
#[path = "../../core/tests/support/ceremony.rs"]
mod ceremony;
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
    /// A stored confirmation and what others say of it.
    confirmation,
    /// One message of a signature, changed; the first byte says of which type.
    message,
    /// One message of a key generation or refresh, changed; the first byte says of which.
    dealing,
    /// What is done to a machine, one thing after another.
    operations,
}

#[cfg(feature = "program")]
targets! { program:
    /// The bytes of a link.
    frame,
    /// A control message.
    control,
    /// What another device calls itself.
    label,
    /// What a relay and its clients say, and invitations.
    relay,
    /// A device's certificate.
    certificate,
    /// What an announcement on the local network says.
    announcement,
    /// What a relay hears from the others of its cluster.
    cluster,
    /// A file of a device, raw and changed; the first byte says which.
    home,
    /// What another device says of the epochs that it has.
    said,
    /// What lies where a new vault is made.
    found,
    /// The settings of a device.
    config,
    /// A policy file and its list of digests.
    policy,
    /// A request that somebody asks a policy about.
    request,
    /// A file with a passphrase, a PIN or age identities.
    given,
    /// A file with a key or a signature, and a digest.
    key_file,
    /// A key, a signature or a digest as another tool writes it.
    pasted,
    /// What travels with a request.
    payload,
    /// A picture with a QR code.
    picture,
    /// A frame of the process that holds a token's module.
    token_frame,
    /// What is sealed to a key on a token.
    stanza,
    /// A `pkcs11:` URI.
    uri,
    /// A module file of p11-kit.
    module_file,
}
