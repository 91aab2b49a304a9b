//! A private key from a file of another program, as `keys combine` writes it too.

use std::path::Path;

use k256::SecretKey;
use k256::pkcs8::DecodePrivateKey as _;
use zeroize::Zeroizing;

use crate::driver::ceremony::keygen::Whole;
use crate::driver::clock;
use crate::report::{self, Code, Failure};
use crate::secret::Secret;
use crate::vault::given::{self, Guard};

/// The most bytes of a file with a private key.
const LIMIT: u64 = 64 << 10;

/// A private key, 32 bytes big-endian, and the chain code if the file has one.
struct Found {
    key: Secret<[u8; 32]>,
    chain_code: Option<[u8; 32]>,
}

/// The private key in a file that only its owner can read. A new chain code is made for one that has none.
pub(super) fn read(path: &Path) -> Result<Whole, Failure> {
    let shown = path.display().to_string();
    let content = given::read(path, Guard::Secret, LIMIT)
        .map_err(|error| report::unreadable(error, &format!("private key {shown}")))?;
    let text = std::str::from_utf8(content.expose()).ok();
    let whole = text.and_then(found).map(|Found { key, chain_code }| {
        let chain_code = match chain_code {
            Some(chain_code) => chain_code,
            None => *clock::random()?.expose(),
        };
        Ok(Whole::new(&key, chain_code))
    });
    whole.transpose().map_err(|error: crate::driver::error::Error| Failure::from(error))?.flatten().ok_or_else(|| {
        Failure::new(Code::Usage, format!("{shown} has no private key of secp256k1"))
            .hint("it is 64 hexadecimal digits, WIF, an xprv, or PEM (SEC1 or PKCS#8), and unencrypted")
    })
}

/// The private key that is in `text`, in whichever format.
fn found(text: &str) -> Option<Found> {
    if let Some(key) = pem(text) {
        return Some(Found { key, chain_code: None });
    }
    let word = text.trim_start_matches('\u{feff}').trim();
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if digits.len() == 64 && digits.is_ascii() {
        return Some(Found { key: of_digits(digits)?, chain_code: None });
    }
    let bytes = Zeroizing::new(bs58::decode(word).with_check(None).into_vec().ok()?);
    match bytes.as_slice() {
        // WIF, of the main network or a test one, with or without the mark of a compressed key.
        [0x80 | 0xef, key @ ..] => {
            let key = key.strip_suffix(&[1]).filter(|key| key.len() == 32).unwrap_or(key);
            Some(Found { key: Secret::new(key.try_into().ok()?), chain_code: None })
        }
        // BIP-32: version, depth, parent and index, chain code, 0, key.
        [0x04, 0x88, 0xad, 0xe4, rest @ ..] | [0x04, 0x35, 0x83, 0x94, rest @ ..] => {
            let (chain_code, key) = rest.get(9..)?.split_first_chunk::<32>()?;
            let key = key.strip_prefix(&[0])?.try_into().ok()?;
            Some(Found { key: Secret::new(key), chain_code: Some(*chain_code) })
        }
        _ => None,
    }
}

/// The first private key in PEM, wherever it is in the text: `openssl ecparam -genkey` writes parameters before it.
fn pem(text: &str) -> Option<Secret<[u8; 32]>> {
    let block = |label: &str| {
        let end = format!("-----END {label}-----");
        let from = text.find(&format!("-----BEGIN {label}-----"))?;
        let (block, _) = text.get(from..)?.split_once(&end)?;
        let mut whole = Zeroizing::new(String::with_capacity(block.len() + end.len() + 1));
        for line in block.lines() {
            whole.push_str(line.trim_end());
            whole.push('\n');
        }
        whole.push_str(&end);
        Some(whole)
    };
    let sec1 = || SecretKey::from_sec1_pem(&block("EC PRIVATE KEY")?).ok();
    let pkcs8 = || SecretKey::from_pkcs8_pem(&block("PRIVATE KEY")?).ok();
    let key = sec1().or_else(pkcs8)?;
    Some(Secret::new(key.to_bytes().into()))
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
        let mut one = [0; 32];
        one[31] = 1;
        found(text).is_some_and(|found| *found.key.expose() == one && found.chain_code.is_none())
    }

    #[test]
    fn keys_of_other_programs_are_read() {
        let digits = format!("{}1", "0".repeat(63));
        assert!(is_one(&digits) && is_one(&format!("\u{feff}0x{digits}\r\n")));
        assert!(is_one("KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n"));
        assert!(is_one("5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDf"));
        // BIP-32, test vector 1: its master key.
        let xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
        let read = found(xprv).unwrap();
        assert_eq!(
            crate::device::hex(read.key.expose()),
            "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"
        );
        assert_eq!(
            crate::device::hex(&read.chain_code.unwrap()),
            "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508"
        );
    }

    #[test]
    fn what_is_no_private_key_is_none() {
        let xpub = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
        let no_check = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWm";
        let digits = "0g".repeat(32);
        for text in
            ["", "0x", xpub, no_check, &digits, "-----BEGIN PRIVATE KEY-----", &"é".repeat(32)]
        {
            assert!(found(text).is_none(), "{text:?}");
        }
        assert!(found(&"0".repeat(64)).is_some_and(|f| Whole::new(&f.key, [0; 32]).is_none()));
    }
}
