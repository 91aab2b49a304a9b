//! A private key from a file of another program, as `keys combine` writes it too.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k256::elliptic_curve::SecretKey;
use k256::pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use k256::pkcs8::der::{Decode as _, Reader as _, SliceReader, TagMode, TagNumber};
use k256::pkcs8::{AssociatedOid as _, DecodePrivateKey as _, ObjectIdentifier};
use zeroize::Zeroizing;

use crate::crypto::tags;
use crate::curve::CurveName;
use crate::driver::ceremony::keygen::Whole;
use crate::driver::on_curve::on_curve;
use crate::report::{self, Code, Failure};
use crate::secret::Secret;
use crate::vault::given::{self, Guard};

/// The most bytes of a file with a private key.
const LIMIT: u64 = 64 << 10;

/// A private key, 32 bytes big-endian, its curve if the file says it, and the chain code if the file has one.
struct Found {
    key: Secret<[u8; 32]>,
    curve: Option<CurveName>,
    chain_code: Option<[u8; 32]>,
}

/// Bytes that hold what any base58 text of a private key says, with its checksum: an xprv has 82.
const LONGEST_BASE58: usize = 128;

/// The private key on `curve` in a file that only its owner can read. One without a chain code gets that which is a
/// hash of it: whoever imports it again has the same derived keys.
///
/// # Errors
/// There is none in the file, or one on another curve.
pub(super) fn read(path: &Path, curve: CurveName) -> Result<Whole, Failure> {
    let shown = path.display().to_string();
    let content = given::read(path, Guard::Secret, LIMIT)
        .map_err(|error| report::unreadable(error, &format!("private key {shown}")))?;
    let none = || {
        let forms = if curve.has_wallets() { ", WIF, an xprv," } else { "" };
        Failure::new(Code::Usage, format!("{shown} has no private key of {}", curve.title())).hint(format!(
            "it is 64 hexadecimal digits{forms} or PEM (SEC1 or PKCS#8) that says its curve, and unencrypted"
        ))
    };
    let text = std::str::from_utf8(content.expose()).ok();
    let found = text.and_then(|text| found(text, curve)).ok_or_else(none)?;
    let Found { key, curve: said, chain_code } = found;
    if let Some(said) = said.filter(|said| *said != curve) {
        return Err(report::other_curve(&shown, said, curve));
    }
    let chain_code = chain_code.unwrap_or_else(|| tags::IMPORT_CHAINCODE.hash(&[key.expose()]));
    Whole::new(curve, key, chain_code).ok_or_else(none)
}

/// The private key that is in `text`, in whichever format, one on `curve` before one on another.
fn found(text: &str, curve: CurveName) -> Option<Found> {
    if let Some((key, curve)) = pem(text, curve) {
        return Some(Found { key, curve: Some(curve), chain_code: None });
    }
    let word = text.trim_start_matches('\u{feff}').trim();
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if digits.len() == 64 && digits.is_ascii() {
        return Some(Found { key: of_digits(digits)?, curve: None, chain_code: None });
    }
    // Wiped also where the checksum is wrong, as of a key that was copied by hand.
    let mut bytes = Zeroizing::new([0; LONGEST_BASE58]);
    let length = bs58::decode(word).with_check(None).onto(bytes.as_mut_slice()).ok()?;
    // Wallets have keys on no other curve.
    let curve = Some(CurveName::Secp256k1);
    match bytes.get(..length)? {
        // WIF, of the main network or a test one, with or without the mark of a compressed key.
        [0x80 | 0xef, key @ ..] => {
            let key = key.strip_suffix(&[1]).filter(|key| key.len() == 32).unwrap_or(key);
            Some(Found { key: Secret::new(key.try_into().ok()?), curve, chain_code: None })
        }
        // BIP-32: version, depth, parent and index, chain code, 0, key.
        [0x04, 0x88, 0xad, 0xe4, rest @ ..] | [0x04, 0x35, 0x83, 0x94, rest @ ..] => {
            let (chain_code, key) = rest.get(9..)?.split_first_chunk::<32>()?;
            let key = key.strip_prefix(&[0])?.try_into().ok()?;
            Some(Found { key: Secret::new(key), curve, chain_code: Some(*chain_code) })
        }
        _ => None,
    }
}

/// The first private key in PEM, wherever it is in the text: `openssl ecparam -genkey` writes parameters before it. It
/// is read as one on `curve` first.
fn pem(text: &str, curve: CurveName) -> Option<(Secret<[u8; 32]>, CurveName)> {
    let block = |label: &str| {
        let end = format!("-----END {label}-----");
        let from = text.split_once(&format!("-----BEGIN {label}-----"))?.1;
        let (block, _) = from.split_once(&end)?;
        let mut digits = Zeroizing::new(Vec::with_capacity(block.len()));
        digits.extend(block.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        // Wiped also where a digit is none.
        let mut der = Zeroizing::new(vec![0; digits.len()]);
        let length = STANDARD.decode_slice(digits.as_slice(), &mut der).ok()?;
        der.truncate(length);
        Some(der)
    };
    let (sec1, pkcs8) = (block("EC PRIVATE KEY"), block("PRIVATE KEY"));
    let mut curves = CurveName::ALL;
    curves.sort_by_key(|other| *other != curve);
    curves.into_iter().find_map(|curve| {
        let key = on_curve!(curve, C => {
            let of_sec1 = || {
                let key = SecretKey::<C>::from_sec1_der(sec1.as_ref()?).ok();
                key.filter(|_| sec1.as_ref().is_some_and(|der| is_on(der, C::OID)))
            };
            let of_pkcs8 = || SecretKey::<C>::from_pkcs8_der(pkcs8.as_ref()?).ok();
            let bytes = Zeroizing::new(of_sec1().or_else(of_pkcs8)?.to_bytes());
            let mut key = Secret::new([0; 32]);
            key.expose_mut().copy_from_slice(&bytes);
            key
        });
        Some((key, curve))
    })
}

/// Whether a private key of SEC1 that was read as one on a curve is one: it names that curve, or has the public key on
/// it, which was compared. The numbers alone may be meant for another curve.
fn is_on(der: &[u8], oid: ObjectIdentifier) -> bool {
    let read = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|reader| {
            u8::decode(reader)?;
            OctetStringRef::decode(reader)?;
            let curve =
                reader.context_specific::<ObjectIdentifier>(TagNumber::N0, TagMode::Explicit)?;
            let public =
                reader.context_specific::<BitStringRef<'_>>(TagNumber::N1, TagMode::Explicit)?;
            Ok((curve, public.is_some()))
        })
    });
    match read {
        Ok((Some(curve), _)) => curve == oid,
        Ok((None, has_public)) => has_public,
        Err(_) => false,
    }
}

fn of_digits(digits: &str) -> Option<Secret<[u8; 32]>> {
    let mut key = Secret::new([0; 32]);
    for (byte, pair) in key.expose_mut().iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key 1.
    fn is_one(text: &str) -> bool {
        let one = |found: Found| *found.key.expose() == the_one() && found.chain_code.is_none();
        found(text, CurveName::Secp256k1).is_some_and(one)
    }

    #[test]
    fn keys_of_other_programs_are_read() {
        let digits = format!("{}1", "0".repeat(63));
        assert!(is_one(&digits) && is_one(&format!("\u{feff}0x{digits}\r\n")));
        assert!(is_one("KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n"));
        assert!(is_one("5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDf"));
        // BIP-32, test vector 1: its master key.
        let xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
        let read = found(xprv, CurveName::Secp256k1).unwrap();
        assert_eq!(
            crate::device::hex(read.key.expose()),
            "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"
        );
        assert_eq!(
            crate::device::hex(&read.chain_code.unwrap()),
            "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508"
        );
    }

    /// What `openssl` says of a new key, with these words.
    fn openssl(words: &[&str], input: &str) -> String {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let mut run = Command::new("openssl")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        run.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_private_key_is_on_the_curve_that_it_says_whatever_it_leaves_out() {
        let assert_is = |text: &str, ours: Option<CurveName>| {
            for asked in CurveName::ALL {
                let curve = found(text, asked).map(|found| found.curve);
                assert_eq!(curve, ours.map(Some), "{asked:?}");
            }
        };
        for (curve, ours) in [
            ("secp256k1", Some(CurveName::Secp256k1)),
            ("prime256v1", Some(CurveName::P256)),
            ("brainpoolP256r1", None),
        ] {
            let key = openssl(&["ecparam", "-name", curve, "-genkey"], "");
            assert!(key.contains("BEGIN EC PRIVATE KEY"), "{curve}");
            assert_is(&key, ours);
            let pkcs8 = openssl(&["pkey"], &key);
            assert!(pkcs8.contains("BEGIN PRIVATE KEY"), "{curve}");
            assert_is(&pkcs8, ours);
            let short = openssl(&["ec", "-no_public"], &key);
            assert!(short.len() < key.len() && !short.is_empty(), "{curve}");
            assert_is(&short, ours);
        }
        // 1, without a curve: with its public key on secp256k1, and without.
        let sec1 = |rest: &[u8]| {
            let mut one = vec![2, 1, 1, 4, 32];
            one.extend([0; 31]);
            one.push(1);
            one.extend(rest);
            let length = u8::try_from(one.len()).unwrap();
            let der = [&[0x30, length][..], &one].concat();
            format!(
                "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
                STANDARD.encode(der)
            )
        };
        let public = k256::SecretKey::from_slice(&the_one()).unwrap().public_key().to_sec1_bytes();
        let public = [&[0xa1, 36, 3, 34, 0][..], &public].concat();
        assert!(is_one(&sec1(&public)));
        assert_is(&sec1(&[]), None);
        // Of P-256, by its name alone.
        let p256 = [0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        assert_is(&sec1(&p256), Some(CurveName::P256));
        let k256 = [0xa0, 7, 6, 5, 0x2b, 0x81, 4, 0, 10];
        assert!(is_one(&sec1(&k256)));
        assert_is(&sec1(&[&p256[..], &public].concat()), None);
    }

    fn the_one() -> [u8; 32] {
        let mut one = [0; 32];
        one[31] = 1;
        one
    }

    #[test]
    fn what_is_no_private_key_is_none() {
        let xpub = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
        let no_check = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWm";
        let digits = "0g".repeat(32);
        for text in
            ["", "0x", xpub, no_check, &digits, "-----BEGIN PRIVATE KEY-----", &"é".repeat(32)]
        {
            assert!(found(text, CurveName::Secp256k1).is_none(), "{text:?}");
        }
        for curve in CurveName::ALL {
            let zero = found(&"0".repeat(64), curve).unwrap();
            assert!(Whole::new(curve, zero.key, [0; 32]).is_none());
        }
    }
}
