//! Objects of git, which it signs in OpenPGP as they are.

/// Whether `bytes` begin as a commit, a tag or the certificate of a push, which git takes for signed if there is an OpenPGP signature of
/// them. Line ends may be those of OpenPGP.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let names = |bytes: &[u8], word: &[u8]| {
        let rest = bytes.strip_prefix(word)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let behind = rest.get(digits..)?;
        let ends = matches!(behind, [] | [b'\n', ..] | [b'\r', b'\n', ..]);
        Some(matches!(digits, 40 | 64) && ends)
    };
    names(bytes, b"tree ").or_else(|| names(bytes, b"object ")).unwrap_or_default()
        || bytes.starts_with(b"certificate version ")
}
