//! The functions of `tests/support/decoders.rs`, one for each fuzz target.

#[allow(dead_code, reason = "each program uses a part of it")]
#[path = "../../tests/support/ceremony.rs"]
mod ceremony;
#[path = "../../tests/support/decoders.rs"]
mod decoders;

macro_rules! targets {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        $($(#[$attribute])* pub fn $name(bytes: &[u8]) {
            decoders::$name(bytes);
        })*
    };
}

targets! {
    /// Points, scalars, signatures, paths, texts.
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
    /// The bytes of a link.
    #[cfg(feature = "cli")]
    frame,
    /// A control message.
    #[cfg(feature = "cli")]
    control,
    /// What a relay and its clients say, and invitations.
    #[cfg(feature = "cli")]
    relay,
    /// A device's certificate.
    #[cfg(feature = "cli")]
    certificate,
    /// What an announcement on the local network says.
    #[cfg(feature = "cli")]
    announcement,
    /// What a relay hears from the NATS server of its cluster.
    #[cfg(feature = "cli")]
    cluster,
    /// A file of a device, raw and changed; the first byte says which.
    #[cfg(feature = "cli")]
    home,
    /// What lies where a new vault is made.
    #[cfg(feature = "cli")]
    found,
    /// The settings of a device.
    #[cfg(feature = "cli")]
    config,
    /// A policy file and its list of digests.
    #[cfg(feature = "cli")]
    policy,
    /// A file with a passphrase, a PIN or age identities.
    #[cfg(feature = "cli")]
    given,
    /// A file with a key or a signature, and a digest.
    #[cfg(feature = "cli")]
    key_file,
    /// A picture with a QR code.
    #[cfg(feature = "cli")]
    picture,
    /// A frame of the process that holds a token's module.
    #[cfg(feature = "cli")]
    token_frame,
    /// What is sealed to a key on a token.
    #[cfg(feature = "cli")]
    stanza,
    /// A `pkcs11:` URI.
    #[cfg(feature = "cli")]
    uri,
}
