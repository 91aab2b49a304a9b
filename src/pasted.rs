//! Pasted text: keys, signatures and digests in the forms that other tools write.
//!
//! A text is tried as PEM, JSON, hexadecimal and base64, ignoring what surrounds it; the first
//! reading that gives the wanted value counts. Content that is not text is read as bytes.

use std::cell::Cell;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use k256::elliptic_curve::Field as _;
use k256::pkcs8::spki::SubjectPublicKeyInfoRef;
use k256::pkcs8::{DecodePublicKey as _, ObjectIdentifier};
use k256::{AffinePoint, Secp256k1};
use p256::NistP256;
use serde_json::Value;

use crate::crypto::curve::{Curve, Scalar, decode_scalar, encode_point};
use crate::crypto::ecdsa::from_der;
use crate::curve::CurveName;
use crate::device::unhex;

/// A signature with both halves in range. It has not been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<C: Curve = Secp256k1> {
    /// One half.
    pub r: Scalar<C>,
    /// The other half.
    pub s: Scalar<C>,
    /// The recovery id, if there were 65 bytes.
    pub recovery_id: Option<u8>,
}

/// Has the form of a signature and is invalid: non-canonical DER, or a half that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<C: Curve> Signature<C> {
    /// Parses strict DER, 64 bytes `r || s`, or 65 bytes `r || s || recovery id` (also from 27, as
    /// in Ethereum).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok((r, s)) = from_der(bytes) {
            return Some(Self { r, s, recovery_id: None });
        }
        let (compact, tail) = bytes.split_first_chunk::<64>()?;
        let recovery_id = match tail {
            [] => None,
            [id @ 0..=3] => Some(*id),
            [id @ 27..=30] => id.checked_sub(27),
            _ => return None,
        };
        let (r, s) = compact.split_at(32);
        let half = |bytes| {
            decode_scalar::<Scalar<C>>(bytes).ok().filter(|half| !bool::from(half.is_zero()))
        };
        Some(Self { r: half(r)?, s: half(s)?, recovery_id })
    }
}

/// A public key on one of the curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// On secp256k1.
    Secp256k1(AffinePoint),
    /// On P-256.
    P256(p256::AffinePoint),
}

impl PublicKey {
    /// Its encoding, SEC1 compressed; `None` for the identity, which is no key.
    pub fn compressed(&self) -> Option<[u8; 33]> {
        match self {
            Self::Secp256k1(point) => encode_point(point),
            Self::P256(point) => encode_point(point),
        }
    }
}

/// The signature in `content`: DER, 64 or 65 bytes, or a JSON object with `der`, or with `r` and
/// `s`. `None` if it has none of these forms.
pub fn signature<C: Curve>(content: &[u8]) -> Option<Result<Signature<C>, Malformed>> {
    let readings = readings(content, &|object| {
        let bytes = |name: &str| bytes_of(object.get(name)?.as_str()?);
        let half = |name: &str| {
            let digits = bytes(name)?;
            let mut half = [0; 32];
            let start = half.len().checked_sub(digits.len())?;
            half.get_mut(start..)?.copy_from_slice(&digits);
            Some(half)
        };
        bytes("der").or_else(|| Some([half("r")?, half("s")?].concat()))
    });
    if let Some(signature) = readings.iter().find_map(|bytes| Signature::from_bytes(bytes)) {
        return Some(Ok(signature));
    }
    let is_shaped = |bytes: &Vec<u8>| match bytes.as_slice() {
        [0x30, _, 2, ..] => true,
        bytes => [64, 65].contains(&bytes.len()),
    };
    readings.iter().any(is_shaped).then_some(Err(Malformed))
}

/// The signature of a Bitcoin message (BIP-137) in `content`: a header and 64 bytes, in base64 or
/// another form. `None` if it is none.
pub fn bitcoin_signature<C: Curve>(content: &[u8]) -> Option<Signature<C>> {
    let readings = readings(content, &|_| None);
    let signature = |bytes: &Vec<u8>| match bytes.as_slice() {
        [header @ 27..=42, compact @ ..] if compact.len() == 64 => {
            let recovery_id = header.checked_sub(27)? & 3;
            Some(Signature { recovery_id: Some(recovery_id), ..Signature::from_bytes(compact)? })
        }
        _ => None,
    };
    readings.iter().find_map(signature)
}

/// The public key in `content`: SEC1 (33 or 65 bytes), SubjectPublicKeyInfo, or a JSON Web Key.
///
/// SEC1 does not say its curve, and is read as a key on `bare`.
pub fn public_key(content: &[u8], bare: CurveName) -> Option<PublicKey> {
    let curve = Cell::new(None);
    let readings = readings(content, &|object| {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let coordinate = |name| bytes_of(text(name)?).filter(|bytes| bytes.len() == 32);
        match (text("kty"), text("crv")) {
            (Some("EC"), Some(name @ (Secp256k1::NAME | NistP256::NAME))) => {
                let is_p256 = name == NistP256::NAME;
                curve.set(Some(if is_p256 { CurveName::P256 } else { CurveName::Secp256k1 }));
                Some([vec![4], coordinate("x")?, coordinate("y")?].concat())
            }
            _ => bytes_of(text("public_key")?),
        }
    });
    let bare = curve.get().unwrap_or(bare);
    readings.iter().find_map(|bytes| point(bytes, bare))
}

fn point(bytes: &[u8], bare: CurveName) -> Option<PublicKey> {
    let sec1 = |bytes| k256::PublicKey::from_sec1_bytes(bytes).ok();
    let of_secp256k1 = |key: k256::PublicKey| PublicKey::Secp256k1(*key.as_affine());
    let of_p256 = |key: p256::PublicKey| PublicKey::P256(*key.as_affine());
    match bytes.first()? {
        0x02..=0x04 if bare == CurveName::P256 => {
            p256::PublicKey::from_sec1_bytes(bytes).ok().map(of_p256)
        }
        0x02..=0x04 => sec1(bytes).map(of_secp256k1),
        _ => match k256::PublicKey::from_public_key_der(bytes) {
            Ok(key) => Some(of_secp256k1(key)),
            Err(_) => match p256::PublicKey::from_public_key_der(bytes) {
                Ok(key) => Some(of_p256(key)),
                Err(_) => sec1(with_explicit_parameters(bytes)?).map(of_secp256k1),
            },
        },
    }
}

/// The point in a SubjectPublicKeyInfo with explicit parameters, if they are those of secp256k1.
fn with_explicit_parameters(bytes: &[u8]) -> Option<&[u8]> {
    const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    let info = SubjectPublicKeyInfoRef::try_from(bytes).ok()?;
    let parameters = info.algorithm.parameters?.value();
    let is_ours =
        info.algorithm.oid == EC_PUBLIC_KEY && spellings().iter().any(|s| s == parameters);
    is_ours.then(|| info.subject_public_key.raw_bytes())
}

/// The encodings of secp256k1 as explicit parameters (SEC 1, C.2): coefficients short or in full,
/// the generator compressed or not, with or without the cofactor.
fn spellings() -> Vec<Vec<u8>> {
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, length][..], content].concat()
    };
    let number = |digits: &str| element(2, &[vec![0], unhex(digits).unwrap_or_default()].concat());
    let field = [&PRIME_FIELD[..], &number(P)].concat();
    let full = |value: u8| [[0; 31].as_slice(), &[value]].concat();
    let curves = [
        [element(4, &[0]), element(4, &[7])].concat(),
        [element(4, &full(0)), element(4, &full(7))].concat(),
    ];
    let [x, y] = GENERATOR.map(|digits| unhex(digits).unwrap_or_default());
    let bases = [[vec![4], x.clone(), y].concat(), [vec![2], x].concat()];
    let mut spellings = Vec::new();
    for curve in &curves {
        for base in &bases {
            for cofactor in [&[][..], &[2, 1, 1]] {
                let parts = [
                    &[2, 1, 1][..],
                    &element(0x30, &field),
                    &element(0x30, curve),
                    &element(4, base),
                    &number(N),
                    cofactor,
                ];
                spellings.push(parts.concat());
            }
        }
    }
    spellings
}

/// The object identifier 1.2.840.10045.1.1.
const PRIME_FIELD: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 1];
const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const GENERATOR: [&str; 2] = [
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
];

/// The 32 bytes in `text`: in hexadecimal or base64, or on a line of `sha256sum`, of its BSD style,
/// or of `openssl dgst`.
pub fn digest(text: &str) -> Option<[u8; 32]> {
    let text = bare(text);
    let of = |text: &str| bytes_of(text).and_then(|bytes| bytes.try_into().ok());
    of(text).or_else(|| of(listed(text)?))
}

/// The digest of `HASH  name`, `HASH *name`, `\HASH  name`, `SHA256 (name) = HASH` or `SHA2-256(name)= HASH`.
fn listed(line: &str) -> Option<&str> {
    if line.contains('\n') {
        return None;
    }
    // If the name has a line break or a backslash, the line begins with a backslash.
    let line = line.strip_prefix('\\').unwrap_or(line);
    for tag in ["SHA256", "SHA2-256"] {
        if let Some(rest) = line.strip_prefix(tag) {
            let (name, hash) = rest.rsplit_once(")= ").or_else(|| rest.rsplit_once(") = "))?;
            return name.trim_start().starts_with('(').then_some(hash);
        }
    }
    let (hash, name) = line.split_at_checked(64)?;
    let is_name =
        ["  ", " *"].iter().any(|mark| name.strip_prefix(mark).is_some_and(|n| !n.is_empty()));
    is_name.then_some(hash)
}

/// The possible readings of `content`, the most likely first. `object` reads a JSON object.
fn readings(content: &[u8], object: &dyn Fn(&Value) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let Some(text) = text(content) else { return vec![content.to_vec()] };
    let text = bare(&text);
    let mut readings = armoured(text);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        // The document of --json has the result inside.
        let inner = value.get("result").filter(|inner| inner.is_object()).unwrap_or(&value);
        readings.extend(object(inner));
    }
    readings.extend(bytes_of(text));
    // Bytes that begin like UTF-16 may be something else.
    if content.starts_with(&[0xff, 0xfe]) || content.starts_with(&[0xfe, 0xff]) {
        readings.push(content.to_vec());
    }
    readings
}

/// `content` as text, if it is one: UTF-8, or UTF-16 with its mark, without control characters.
fn text(content: &[u8]) -> Option<String> {
    let text = match content {
        [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes)?,
        [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes)?,
        content => std::str::from_utf8(content).ok()?.to_owned(),
    };
    (!text.contains(|c: char| c.is_control() && !c.is_whitespace())).then_some(text)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
    text.collect::<Result<_, _>>().ok().filter(|_| rest.is_empty())
}

/// `text` without a byte order mark and without blanks around it.
fn bare(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The contents of all PEM armours in `text`.
fn armoured(text: &str) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        rest = begun;
        let Some((label, body)) = begun.split_once("-----") else { break };
        let Some((body, after)) = body.split_once(&format!("-----END {label}-----")) else {
            continue;
        };
        found.extend(from_base64(body));
        rest = after;
    }
    found
}

/// The bytes that `text` is in hexadecimal, or else in base64, with blanks and line breaks anywhere.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let plain = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(&digits);
    if plain.is_empty() {
        return None;
    }
    unhex(plain).or_else(|| from_base64(text))
}

/// The bytes that `text` is in base64 or base64url, padded or not.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = |c| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).map(standard).collect();
    GeneralPurpose::new(&STANDARD, EITHER).decode(digits).ok().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::{decode_point, encode_scalar};
    use crate::crypto::ecdsa::to_der;
    use crate::device::hex;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
    use k256::Scalar;
    use k256::elliptic_curve::sec1::ToEncodedPoint as _;
    use k256::pkcs8::EncodePublicKey as _;

    /// A key on secp256k1.
    fn key(content: &[u8]) -> Option<AffinePoint> {
        match public_key(content, CurveName::default())? {
            PublicKey::Secp256k1(point) => Some(point),
            PublicKey::P256(_) => None,
        }
    }

    fn halves() -> (Scalar, Scalar) {
        (Scalar::from(0x80_u64), -Scalar::from(7_u64))
    }

    /// Texts that stand for these bytes.
    fn spelled(bytes: &[u8]) -> Vec<String> {
        let digits = hex(bytes);
        let spaced: Vec<&str> =
            digits.as_bytes().chunks(8).map(|c| std::str::from_utf8(c).unwrap()).collect();
        let base64 = PADDED.encode(bytes);
        vec![
            format!(" {digits}\n"),
            digits.to_uppercase(),
            format!("0x{digits}"),
            format!("0X{}", digits.to_uppercase()),
            spaced.join(" "),
            spaced.join("\r\n"),
            format!("\u{feff}{digits}\r\n"),
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            URL_SAFE_NO_PAD.encode(bytes),
            format!("{}\n{}", &base64[..20], &base64[20..]),
        ]
    }

    /// Files with the bytes in PEM armour.
    fn armours(label: &str, bytes: &[u8]) -> Vec<String> {
        let body = PADDED.encode(bytes);
        let (first, second) = body.split_at(64.min(body.len()));
        let pem = format!("-----BEGIN {label}-----\n{first}\n{second}\n-----END {label}-----");
        let parameters = "-----BEGIN EC PARAMETERS-----\nBgUrgQQACg==\n-----END EC PARAMETERS-----";
        vec![
            pem.clone(),
            pem.replace('\n', "\r\n") + "\r\n",
            format!("\u{feff}{pem}\n"),
            format!(
                "this is the key of the release:\n\n  {}\nthat was it",
                pem.replace('\n', "\n  ")
            ),
            format!("{parameters}\n{pem}\n"),
        ]
    }

    #[test]
    fn a_signature_is_read_in_every_form_that_tools_write() {
        let (r, s) = halves();
        let (r32, s32) = (encode_scalar(&r), encode_scalar(&s));
        let expected = Some(Ok(Signature::<Secp256k1> { r, s, recovery_id: None }));
        let der = to_der(&r, &s);
        let compact = [r32, s32].concat();
        for bytes in [&der, &compact] {
            assert_eq!(signature(bytes), expected);
            for text in spelled(bytes).iter().chain(&armours("ECDSA SIGNATURE", bytes)) {
                assert_eq!(signature(text.as_bytes()), expected, "{text}");
                let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes);
                let file: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
                assert_eq!(signature(&file), expected, "{text}");
            }
        }
        let url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for object in [
            format!(r#"{{"der":"{}"}}"#, hex(&der)),
            format!(
                r#"{{"v":1,"ok":true,"command":"sign","result":{{"key":"k","der":"{}"}}}}"#,
                hex(&der)
            ),
            format!(r#"{{"r":"{}","s":"{}"}}"#, hex(&r32), hex(&s32)),
            format!(r#"{{ "s": "0x{}", "r": "0x80" }}"#, hex(&s32).to_uppercase()),
            format!(r#"{{"r":"{}","s":"{}"}}"#, url(&r32), url(&s32)),
        ] {
            assert_eq!(signature(object.as_bytes()), expected, "{object}");
        }
        for (id, byte) in [(0, 0), (1, 28), (3, 3)] {
            let recoverable = [&compact[..], &[byte]].concat();
            let expected = Some(Ok(Signature::<Secp256k1> { r, s, recovery_id: Some(id) }));
            assert_eq!(signature(&recoverable), expected);
            assert_eq!(signature(hex(&recoverable).as_bytes()), expected);
        }
    }

    #[test]
    fn what_is_no_signature_is_told_from_one_that_is_wrong() {
        let order = unhex(N).unwrap();
        let one = encode_scalar(&Scalar::ONE);
        for (r, s) in [(&order[..], &one[..]), (&one, &order), (&[0; 32], &one), (&one, &[0; 32])] {
            assert_eq!(signature::<Secp256k1>(&[r, s].concat()), Some(Err(Malformed)));
            assert_eq!(
                signature::<Secp256k1>(hex(&[r, s].concat()).as_bytes()),
                Some(Err(Malformed))
            );
        }
        assert_eq!(signature::<Secp256k1>(&[&one[..], &one, &[4]].concat()), Some(Err(Malformed)));
        let mut long_form = to_der(&Scalar::ONE, &Scalar::ONE);
        long_form.push(0);
        assert_eq!(signature::<Secp256k1>(hex(&long_form).as_bytes()), Some(Err(Malformed)));
        for nothing in [
            &b""[..],
            b"00",
            b"hello",
            b"no signature at all, but a sentence.",
            b"{}",
            b"{\"der\":7}",
            b"{\"r\":\"01\"}",
            b"-----BEGIN X-----",
            b"-----BEGIN X-----\nBw==\n-----END Y-----",
            b"\xff\xfe\x00",
            &[7; 63],
            // A digest as text has 64 characters, and is no signature for that.
            "5a".repeat(32).as_bytes(),
        ] {
            assert_eq!(signature::<Secp256k1>(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_public_key_says_its_curve_or_is_on_the_one_that_is_named() {
        use p256::elliptic_curve::sec1::ToEncodedPoint as _;

        let point = p256::AffinePoint::GENERATOR;
        let key = p256::PublicKey::from_affine(point).unwrap();
        let spki = key.to_public_key_der().unwrap();
        let whole = point.to_encoded_point(false);
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (coordinate(whole.x().unwrap()), coordinate(whole.y().unwrap()));
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
        for curve in CurveName::ALL {
            assert_eq!(public_key(spki.as_bytes(), curve), Some(PublicKey::P256(point)));
            assert_eq!(public_key(jwk.as_bytes(), curve), Some(PublicKey::P256(point)));
        }
        for bytes in [whole.as_bytes(), point.to_encoded_point(true).as_bytes()] {
            assert_eq!(public_key(bytes, CurveName::P256), Some(PublicKey::P256(point)));
            // That x is no point of the other curve's, or of another one.
            assert_ne!(public_key(bytes, CurveName::Secp256k1), Some(PublicKey::P256(point)));
        }
        let other = encode_point(&k256::AffinePoint::GENERATOR).unwrap();
        assert!(!matches!(public_key(&other, CurveName::P256), Some(PublicKey::Secp256k1(_))));
    }

    #[test]
    fn a_public_key_is_read_in_every_form_that_tools_write() {
        let point: AffinePoint =
            decode_point(&unhex(&format!("02{}", GENERATOR[0])).unwrap()).unwrap();
        let compressed = encode_point(&point).unwrap();
        let whole = point.to_encoded_point(false);
        let spki = k256::PublicKey::from_affine(point).unwrap().to_public_key_der().unwrap();
        for bytes in [&compressed[..], whole.as_bytes(), spki.as_bytes()] {
            assert_eq!(key(bytes), Some(point));
            for text in spelled(bytes) {
                assert_eq!(key(text.as_bytes()), Some(point), "{text}");
            }
        }
        for text in armours("PUBLIC KEY", spki.as_bytes()) {
            assert_eq!(key(text.as_bytes()), Some(point), "{text}");
        }
        let [x, y] = GENERATOR.map(|digits| URL_SAFE_NO_PAD.encode(unhex(digits).unwrap()));
        let jwk = |kty: &str, crv: &str| {
            key(format!(r#"{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}"}}"#).as_bytes())
        };
        assert_eq!(jwk("EC", "secp256k1"), Some(point));
        assert_eq!((jwk("EC", "P-256"), jwk("OKP", "secp256k1")), (None, None));
        let ours =
            format!(r#"{{"v":1,"ok":true,"result":{{"public_key":"{}"}}}}"#, hex(&compressed));
        assert_eq!(key(ours.as_bytes()), Some(point));
    }

    #[test]
    fn parameters_that_are_spelled_out_are_those_of_our_curve_or_refused() {
        let point: AffinePoint =
            decode_point(&unhex(&format!("02{}", GENERATOR[0])).unwrap()).unwrap();
        let whole = point.to_encoded_point(false);
        for parameters in spellings() {
            let wrapped = |tag: u8, content: &[u8]| {
                let length = match content.len() {
                    length @ 0..=127 => vec![u8::try_from(length).unwrap()],
                    length @ 128..=255 => vec![0x81, u8::try_from(length).unwrap()],
                    length => [&[0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
                };
                [&[tag][..], &length, content].concat()
            };
            let oid = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
            let spki = |parameters: &[u8]| {
                let algorithm = [&oid[..], &wrapped(0x30, parameters)].concat();
                let key = wrapped(3, &[&[0], whole.as_bytes()].concat());
                wrapped(0x30, &[wrapped(0x30, &algorithm), key].concat())
            };
            assert_eq!(key(&spki(&parameters)), Some(point));
            for at in 0..parameters.len() {
                let mut other = parameters.clone();
                other[at] ^= 1;
                assert_eq!(key(&spki(&other)), None, "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_no_key_of_the_curve_is_none() {
        let x = GENERATOR[0];
        for bad in
            ["", "00", x, &format!("05{x}"), &format!("02{x}00"), &format!("04{x}{x}"), "{}", "bob"]
        {
            assert_eq!(key(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_is_read_alone_and_on_the_lines_that_tools_print() {
        let bytes = [0xba; 32];
        let digits = hex(&bytes);
        for text in spelled(&bytes) {
            assert_eq!(digest(&text), Some(bytes), "{text}");
        }
        for line in [
            format!("{digits}  release.tar\n"),
            format!("{digits} *release.tar"),
            format!("{}  beef cafe", digits.to_uppercase()),
            format!("\\{digits}  two\\nlines"),
            format!("SHA256 (a (1) = b.tar) = {digits}"),
            format!("SHA256 (release.tar) = {}", PADDED.encode(bytes)),
            format!("SHA256(release.tar)= {digits}"),
            format!("SHA2-256(release.tar)= {digits}\n"),
        ] {
            assert_eq!(digest(&line), Some(bytes), "{line}");
        }
        for bad in [
            "",
            "0x",
            &digits[2..],
            &format!("{digits}00"),
            &format!("{digits} release.tar"),
            &format!("{digits}  a\n{digits}  b"),
            &format!("SHA256 (a) = {digits}\nSHA256 (b) = {digits}"),
            &format!("SHA2-256(a)= {digits}\nSHA2-256(b)= {digits}"),
            &format!("SHA512 (a) = {digits}"),
            &format!("SHA256 = {digits}"),
            &format!("{digits}{digits}  a"),
        ] {
            assert_eq!(digest(bad), None, "{bad}");
        }
    }
}
