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
    /// A stored confirmation, changed.
    confirmation,
    /// One message of any type, changed; the first byte says of which.
    message,
    /// What is done to a machine, one thing after another.
    operations,
    /// The bytes of a link.
    #[cfg(feature = "cli")]
    frame,
    /// A control message.
    #[cfg(feature = "cli")]
    control,
    /// A policy file.
    #[cfg(feature = "cli")]
    policy,
    /// What a relay and its clients say, and invitations.
    #[cfg(feature = "cli")]
    relay,
    /// A `pkcs11:` URI.
    #[cfg(feature = "cli")]
    uri,
}
