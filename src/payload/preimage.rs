//! What other formats hash with SHA-256. The signature of a file with such bytes is valid in that format as
//! well: for a document, a certificate, a login or a payment that nobody was shown.
//!
//! Bytes are recognised by what the format says of them and its readers insist on, no more strictly, so that
//! something odd is named rather than passed over. Formats that put nothing of their own into what is hashed, or are not here,
//! are not recognised.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use serde::Serialize;

/// The creation time of every key, 1 January 2025, in seconds since 1970. OpenPGP counts it into a key's fingerprint. As it is always
/// the same, the fingerprint follows from the key alone: on every device, and after a reshare.
pub const KEY_TIME: u32 = 1_735_689_600;

/// A file whose signature is valid for something else as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A message of Ethereum or typed data (EIP-191, EIP-712), as it is hashed.
    EthereumMessage,
    /// A transaction of Ethereum, as it is hashed.
    EthereumTransaction,
    /// A message of Bitcoin, as it is hashed.
    BitcoinMessage,
    /// Hashed as transactions of Bitcoin are.
    BitcoinHash,
    /// 32 bytes, which may be a hash themselves: what is hashed twice, as a transaction of Bitcoin.
    Hash,
    /// A document and the end of a signature in OpenPGP, as they are hashed.
    #[serde(rename = "openpgp_signature")]
    OpenPgpSignature,
    /// A key and more, as OpenPGP hashes them to say whose it is or which key belongs to it.
    #[serde(rename = "openpgp_certification")]
    OpenPgpCertification,
    /// The signing input of a JSON Web Signature.
    Jws,
    /// What is signed in COSE.
    Cose,
    /// An envelope of DSSE, as in-toto and sigstore hash it.
    Dsse,
    /// A signature of a document, as `ssh-keygen -Y` hashes it.
    SshSignature,
    /// A certificate of OpenSSH.
    SshCertificate,
    /// A login over SSH.
    SshLogin,
    /// A certificate of X.509.
    X509Certificate,
    /// A request for a certificate of X.509.
    X509Request,
    /// A list of revoked certificates of X.509.
    X509RevocationList,
    /// A response of OCSP about a certificate.
    OcspResponse,
    /// The attributes of a signature in CMS, as in S/MIME, PDF and signed programs.
    CmsAttributes,
    /// A structure of ASN.1 whose length is not said, so that it is not read further.
    Asn1,
    /// A step by which a server or client of TLS proves who it is.
    TlsHandshake,
    /// `SignedInfo` of a signature in XML.
    XmlSignature,
    /// A transaction of a chain of Cosmos.
    CosmosTransaction,
    /// A transaction of Tron.
    TronTransaction,
}

/// The format whose signature a signature of the SHA-256 of `bytes` is as well.
pub(super) fn of(bytes: &[u8]) -> Option<Warning> {
    openpgp(bytes).or_else(|| besides_openpgp(bytes))
}

/// The same of what is hashed in OpenPGP, as which it is signed.
pub(super) fn besides_openpgp(bytes: &[u8]) -> Option<Warning> {
    of_text(bytes)
        .or_else(|| by_start(bytes))
        .or_else(|| ssh(bytes))
        .or_else(|| asn1(bytes))
        .or_else(|| tls_exchange(bytes))
        .or_else(|| protobuf(bytes))
        .or_else(|| (bytes.len() == 32).then_some(Warning::Hash))
}

/// What signatures of OpenPGP hash: a key and more, or a document, before the signature's own fields (RFC 4880
/// §5.2.4, RFC 9580 §5.2.4, and LibrePGP).
fn openpgp(bytes: &[u8]) -> Option<Warning> {
    let is_key = match bytes {
        [0x99, high, low, 2..=4, ..] => {
            let said = u16::from_be_bytes([*high, *low]);
            usize::from(said).saturating_add(3) <= bytes.len()
        }
        // Versions 5 and 6.
        [0x9a, a, b, c, d, 5, ..] | [0x9b, a, b, c, d, 6, ..] => {
            let said = u32::from_be_bytes([*a, *b, *c, *d]);
            u64::from(said).saturating_add(5) <= bytes.len() as u64
        }
        _ => false,
    };
    let is_signed = |types| has_trailer(bytes) || has_old_trailer(bytes, types);
    if is_key && is_signed(0x10..=0x50) {
        return Some(Warning::OpenPgpCertification);
    }
    is_signed(0x00..=0x02).then_some(Warning::OpenPgpSignature)
}

/// Whether the end is the fields of a signature of version 4 to 6, its version, 0xff and the length of the fields.
fn has_trailer(bytes: &[u8]) -> bool {
    let fields = |length: u64, behind: usize, version: u8| {
        let end = bytes.len().saturating_sub(behind);
        let start = usize::try_from(length).ok().and_then(|length| end.checked_sub(length));
        length >= 6 && start.and_then(|start| bytes.get(start)) == Some(&version)
    };
    let four = match bytes {
        [.., version @ (4 | 6), 0xff, a, b, c, d] => {
            fields(u32::from_be_bytes([*a, *b, *c, *d]).into(), 6, *version)
        }
        _ => false,
    };
    let five = match bytes {
        [.., 5, 0xff, a, b, c, d, e, f, g, h] => {
            fields(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10, 5)
        }
        _ => false,
    };
    four || five
}

/// Whether the end is a signature's type, one of these, and a time, all that a signature of version 3 puts behind what it is of
/// (RFC 4880 §5.2.2). The time is not before that of the key, on which programs insist.
fn has_old_trailer(bytes: &[u8], types: RangeInclusive<u8>) -> bool {
    match bytes {
        [.., kind, a, b, c, d] => {
            types.contains(kind) && u32::from_be_bytes([*a, *b, *c, *d]) >= KEY_TIME
        }
        _ => false,
    }
}

/// Formats that begin as text.
fn of_text(bytes: &[u8]) -> Option<Warning> {
    // The bytes before the first point are a header of JSON in base64url (RFC 7515 §5.1). What is behind it may be anything (RFC 7797).
    let header = bytes.iter().position(|byte| *byte == b'.').and_then(|point| bytes.get(..point));
    if header.is_some_and(is_json_in_base64) {
        return Some(Warning::Jws);
    }
    let starts: [(&[u8], Warning); 3] = [
        (b"DSSEv1 ", Warning::Dsse),
        (b"{\"account_number\":", Warning::CosmosTransaction),
        (b"SSHSIG", Warning::SshSignature),
    ];
    let known = starts.into_iter().find(|(start, _)| bytes.starts_with(start));
    if let Some((_, warning)) = known {
        return Some(warning);
    }
    // The element SignedInfo, with or without a prefix, of a signature in XML.
    let name = bytes.strip_prefix(b"<")?.split(|byte| b" \t\r\n/>".contains(byte)).next()?;
    let local = name.rsplit(|byte| *byte == b':').next()?;
    (local == b"SignedInfo").then_some(Warning::XmlSignature)
}

/// Whether `text` in base64url, of which decoders skip what is no digit, begins as an object of JSON with a member.
fn is_json_in_base64(text: &[u8]) -> bool {
    let digit = |byte: &u8| match byte {
        b'+' => Some(b'-'),
        b'/' => Some(b'_'),
        other => (other.is_ascii_alphanumeric() || b"-_".contains(other)).then_some(*other),
    };
    let digits: Vec<u8> = text.iter().filter_map(digit).take(64).collect();
    let whole = digits.len() & !3;
    let json = BASE64URL.decode(digits.get(..whole).unwrap_or_default()).unwrap_or_default();
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&json).trim_ascii_start();
    json.strip_prefix(b"{").is_some_and(|members| members.trim_ascii_start().starts_with(b"\""))
}

/// Formats that begin with bytes of their own.
fn by_start(bytes: &[u8]) -> Option<Warning> {
    // RFC 8446 §4.4.3.
    if bytes.strip_prefix(&[b' '; 64]).is_some_and(|rest| rest.starts_with(b"TLS 1.3, ")) {
        return Some(Warning::TlsHandshake);
    }
    // An array of four to six, and a text (RFC 9052 §4.4).
    let [0x84..=0x86, 0x60..=0x77, name @ ..] = bytes else { return None };
    let is_cose = name.starts_with(b"Signature") || name.starts_with(b"CounterSignature");
    is_cose.then_some(Warning::Cose)
}

/// A certificate of OpenSSH, or what a login signs (RFC 4252 §7).
fn ssh(bytes: &[u8]) -> Option<Warning> {
    let (first, rest) = string(bytes)?;
    if first.ends_with(b"@openssh.com") && first.windows(6).any(|part| part == b"-cert-") {
        return Some(Warning::SshCertificate);
    }
    let (_user, rest) = string(rest.strip_prefix(&[50])?)?;
    let (_service, rest) = string(rest)?;
    let (method, _) = string(rest)?;
    let is_login = method.starts_with(b"publickey") || method == b"hostbased";
    is_login.then_some(Warning::SshLogin)
}

/// A string behind its length (RFC 4251 §5), and what is behind it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// One structure of ASN.1 that is signed: of X.509 (RFC 5280), PKCS#10 (RFC 2986), OCSP (RFC 6960) or CMS (RFC 5652 §5.4).
fn asn1(bytes: &[u8]) -> Option<Warning> {
    let Element { tag: outer, content, behind } = element(bytes)?;
    if !behind.is_empty() || !matches!(outer, 0x30 | 0x31) {
        return None;
    }
    let Some(content) = content else { return Some(Warning::Asn1) };
    let mut tags = Vec::new();
    let mut rest = content;
    while !rest.is_empty() && tags.len() < 7 {
        let Element { tag, content, behind } = element(rest)?;
        if content.is_none() {
            return Some(Warning::Asn1);
        }
        tags.push(tag);
        rest = behind;
    }
    let is_time = |tag: u8| matches!(tag, 0x17 | 0x18);
    match (outer, tags.as_slice()) {
        // Attributes, the first of which has the name of one.
        (0x31, [0x30, ..]) => {
            let first = element(content)?.content?;
            first.first().is_some_and(|tag| *tag == 0x06).then_some(Warning::CmsAttributes)
        }
        (0x30, [0xa0, 0x02, 0x30, ..]) => Some(Warning::X509Certificate),
        // Version 1, and a certificate of attributes (RFC 5755).
        (0x30, [0x02, 0x30, 0x30, 0x30, 0x30, 0x30, ..] | [0x02, 0x30, 0xa0, 0x30, 0x02, ..]) => {
            Some(Warning::X509Certificate)
        }
        (0x30, [0x02, 0x30, 0x30, time, ..] | [0x30, 0x30, time, ..]) if is_time(*time) => {
            Some(Warning::X509RevocationList)
        }
        (0x30, [0x02, 0x30, 0x30] | [0x02, 0x30, 0x30, 0xa0]) => Some(Warning::X509Request),
        (0x30, [0xa0, 0xa1 | 0xa2, 0x18, 0x30, ..] | [0xa1 | 0xa2, 0x18, 0x30, ..]) => {
            Some(Warning::OcspResponse)
        }
        _ => None,
    }
}

/// An element of BER.
struct Element<'b> {
    tag: u8,
    /// `None` if its length is not said.
    content: Option<&'b [u8]>,
    /// The bytes behind it.
    behind: &'b [u8],
}

/// The first element of `bytes`.
fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let [tag, first, rest @ ..] = bytes else { return None };
    let (length, rest) = match first {
        0x80 => return Some(Element { tag: *tag, content: None, behind: &[] }),
        0x81..=0x88 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().try_fold(0_usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
        0x89.. => return None,
        short => (usize::from(*short), rest),
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some(Element { tag: *tag, content: Some(content), behind })
}

/// What the server of TLS 1.2 signs: two random numbers of 32 bytes, a curve by its number, and a point on it (RFC 8422 §5.4).
fn tls_exchange(bytes: &[u8]) -> Option<Warning> {
    let [3, _, _, length, point @ ..] = bytes.get(64..)? else { return None };
    (point.len() == usize::from(*length)).then_some(Warning::TlsHandshake)
}

/// A transaction of Cosmos (`SignDoc`) or Tron, in the one order of fields in which they are hashed.
fn protobuf(bytes: &[u8]) -> Option<Warning> {
    if let [0x0a, 2, _, _, rest @ ..] = bytes {
        let rest = rest.strip_prefix(&[0x18]).and_then(varint).map_or(rest, |(_, rest)| rest);
        if rest.starts_with(&[0x22, 8]) {
            return Some(Warning::TronTransaction);
        }
    }
    let mut rest = bytes;
    for field in [0x0a, 0x12, 0x1a] {
        let (length, behind) = varint(rest.strip_prefix(&[field])?)?;
        rest = behind.get(usize::try_from(length).ok()?..)?;
    }
    let is_whole = match rest.strip_prefix(&[0x20]) {
        Some(number) => varint(number)?.1.is_empty(),
        None => rest.is_empty(),
    };
    is_whole.then_some(Warning::CosmosTransaction)
}

/// A number in groups of seven bits, the lowest first, and what is behind it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (digits, rest) = bytes.split_at_checked(end.checked_add(1)?)?;
    let number = digits
        .iter()
        .rev()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(128)?.checked_add(u64::from(digit & 0x7f)))?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::device::unhex;

    /// What other programs hashed.
    const MADE: &str = include_str!("../../tests/preimages.json");

    fn made() -> Vec<(String, Vec<u8>)> {
        let document: Value = serde_json::from_str(MADE).unwrap();
        let all = document["preimages"].as_object().unwrap();
        let one = |(name, made): (&String, &Value)| {
            let name = name.trim_end_matches("_of_version_3").to_owned();
            (name, unhex(made["bytes"].as_str().unwrap()).unwrap())
        };
        all.iter().map(one).collect()
    }

    fn name(bytes: &[u8]) -> Value {
        serde_json::json!(of(bytes))
    }

    #[test]
    fn what_other_programs_hash_is_named_and_a_byte_less_of_it_is_not() {
        let made = made();
        assert_eq!(made.len(), 10);
        for (name_of, bytes) in made {
            assert_eq!(name(&bytes), name_of.as_str());
            let is_by_start = matches!(name_of.as_str(), "ssh_certificate" | "ssh_signature");
            let cut = bytes.get(..bytes.len() - 1).unwrap();
            assert_eq!(of(cut).is_some(), is_by_start, "{name_of}");
        }
    }

    #[test]
    fn what_is_in_base64url_before_a_point_is_a_header_of_jws() {
        // From RFC 7515, appendix A.3, and RFC 7797 §4.2.
        let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0";
        let plain = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.$.02";
        let spaced = format!("{}.", BASE64URL.encode(" {\n \"alg\":\"ES256\"}"));
        let padded = "eyJhbGciOiJFUzI1NiJ9==\n.e30";
        for input in [input, plain, &spaced, padded] {
            assert_eq!(of(input.as_bytes()), Some(Warning::Jws), "{input}");
        }
        for text in ["example. And more.", "eyJhbGciOiJFUzI1NiJ9", "hello. world", ".", "e30.e30"] {
            assert_eq!(of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn formats_that_begin_with_their_name_are_recognised() {
        let tls = [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat();
        let exchange = [&[9; 64][..], &[3, 0, 0x1d, 32], &[5; 32]].concat();
        let string = |text: &[u8]| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&length[..], text].concat()
        };
        let login = [
            string(&[7; 20]),
            vec![50],
            string(b"root"),
            string(b"ssh-connection"),
            string(b"publickey"),
            vec![1],
        ]
        .concat();
        // Of a transfer on Cosmos: body, authorisations, chain and account.
        let direct = b"\x0a\x04\x0a\x02\x0a\x00\x12\x02\x0a\x00\x1a\x0bcosmoshub-4\x20\x81\x01";
        let tron = b"\x0a\x02\xab\xcd\x22\x08\x01\x02\x03\x04\x05\x06\x07\x08\x40\x80\x01";
        for (bytes, warning) in [
            (&tls[..], Warning::TlsHandshake),
            (&exchange, Warning::TlsHandshake),
            (&login, Warning::SshLogin),
            (direct, Warning::CosmosTransaction),
            (b"{\"account_number\":\"1\",\"chain_id\":\"x\"}", Warning::CosmosTransaction),
            (tron, Warning::TronTransaction),
            (b"\x84\x6aSignature1\x43\xa1\x01\x26\x40\x41a", Warning::Cose),
            (b"DSSEv1 28 application/vnd.in-toto+json 2 {}", Warning::Dsse),
            (b"<SignedInfo>", Warning::XmlSignature),
            (
                b"<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
                Warning::XmlSignature,
            ),
            (&[7; 32], Warning::Hash),
            (b"\x30\x80\xa0\x03\x02\x01\x02\x00\x00", Warning::Asn1),
            (b"\x30\x05\xa0\x80\x02\x01\x02", Warning::Asn1),
        ] {
            assert_eq!(of(bytes), Some(warning), "{}", crate::device::hex(bytes));
        }
    }

    #[test]
    fn later_signatures_of_openpgp_and_all_their_types_are_recognised() {
        let six =
            [&b"salt and document"[..], &[6, 0, 27, 8, 0, 0, 0, 0, 6, 0xff, 0, 0, 0, 8]].concat();
        let five =
            [&b"document"[..], &[5, 0, 19, 8, 0, 0, 5, 0xff, 0, 0, 0, 0, 0, 0, 0, 6]].concat();
        // All that a timestamp hashes.
        let alone = [4, 0x40, 19, 8, 0, 0, 4, 0xff, 0, 0, 0, 6];
        for bytes in [&six[..], &five, &alone] {
            assert_eq!(of(bytes), Some(Warning::OpenPgpSignature));
        }
        // A key and a signature of version 3 that binds another one to it.
        let old =
            [&[0x99, 0, 2, 4, 7, 0x99, 0, 2, 4, 8, 0x18][..], &KEY_TIME.to_be_bytes()].concat();
        assert_eq!(of(&old), Some(Warning::OpenPgpCertification));
    }

    #[test]
    fn files_that_people_sign_are_only_themselves() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in ["Cargo.lock", "README.md", "docs/cli.md", "docs/schema/event.json", "build.rs"]
        {
            let content = std::fs::read(folder.join(file)).unwrap();
            assert_eq!(of(&content), None, "{file}");
        }
        let list = format!("{}  notes\n", "5a".repeat(32));
        // A number, an archive, a signature, a private key (RFC 5958) and a whole certificate in DER.
        let signature = [&[0x30, 6, 2, 1, 5, 2, 1, 7][..]].concat();
        let private = b"\x30\x0c\x02\x01\x00\x30\x03\x06\x01\x2a\x04\x02\x30\x00";
        let whole = b"\x30\x0b\x30\x03\x02\x01\x01\x30\x00\x03\x02\x00\x07";
        for bytes in
            [list.as_bytes(), b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &signature, private, whole, b""]
        {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
    }
}
