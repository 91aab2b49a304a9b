//! Public keys as text and files.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use k256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use k256::{AffinePoint, PublicKey};
use ripemd::Ripemd160;
use serde_json::json;
use sha2::Sha256;
use sha3::{Digest as _, Keccak256};

use super::args::KeyFormat;
use super::signature::{from_pem, pem, read_file};
use crate::crypto::curve::decode_point;
use crate::device::{hex, unhex};
use crate::report::{Code, Failure};

/// The most bytes that are read of a key file.
const MAX_FILE: u64 = 16384;

/// Reads a public key from the command line: SEC1 (33 or 65 bytes) or SPKI in hexadecimal, or a
/// file (`-` is standard input) that holds either raw, in hexadecimal or as PEM.
pub fn read(argument: &str) -> Result<AffinePoint, Failure> {
    let refused = || {
        Failure::new(Code::Usage, format!("{argument}: not a secp256k1 public key")).hint(
            "33 or 65 bytes (SEC1) or SPKI in hexadecimal, or a file with either, or with PEM",
        )
    };
    if argument.chars().all(|c| c.is_ascii_hexdigit()) {
        return unhex(argument).and_then(|bytes| from_bytes(&bytes)).ok_or_else(refused);
    }
    let content = read_file(argument, "public key", MAX_FILE)?;
    let bytes = match std::str::from_utf8(&content).map(str::trim) {
        Ok(text) if text.starts_with("-----BEGIN PUBLIC KEY-----") => from_pem(text),
        Ok(text) if text.chars().all(|c| c.is_ascii_hexdigit()) => unhex(text),
        _ => Some(content),
    };
    bytes.and_then(|bytes| from_bytes(&bytes)).ok_or_else(refused)
}

fn from_bytes(bytes: &[u8]) -> Option<AffinePoint> {
    let key = match bytes.first()? {
        0x02..=0x04 => PublicKey::from_sec1_bytes(bytes).ok()?,
        _ => PublicKey::from_public_key_der(bytes).ok()?,
    };
    Some(*key.as_affine())
}

/// Writes a compressed public key (33 bytes) in the chosen form, with a line end. `chain_code` is
/// asked for where the form has one.
pub fn encode(
    key: &[u8; 33],
    format: KeyFormat,
    chain_code: impl FnOnce() -> Result<[u8; 32], Failure>,
) -> Result<String, Failure> {
    let damaged = || Failure::new(Code::Tampered, "the recorded public key is damaged");
    let point = decode_point(key).map_err(|_| damaged())?;
    let text = match format {
        KeyFormat::Hex => hex(key),
        KeyFormat::Pem => {
            let key = PublicKey::from_affine(point).map_err(|_| damaged())?;
            let spki = key.to_public_key_der().map_err(|_| damaged())?;
            return Ok(pem("PUBLIC KEY", spki.as_bytes()));
        }
        KeyFormat::Jwk => {
            let (x, y) = coordinates(&point);
            let field = |bytes| BASE64_URL.encode(bytes);
            json!({"kty": "EC", "crv": "secp256k1", "x": field(x), "y": field(y)}).to_string()
        }
        KeyFormat::AddressEth => ethereum_address(&point),
        KeyFormat::AddressBtc => bitcoin_address(key).ok_or_else(damaged)?,
        KeyFormat::Xpub => extended(key, &chain_code()?),
    };
    Ok(text + "\n")
}

/// The Ethereum address with the checksum of EIP-55.
pub fn ethereum_address(point: &AffinePoint) -> String {
    let (x, y) = coordinates(point);
    let hash = Keccak256::digest([x, y].concat());
    let address = hex(hash.get(12..).unwrap_or_default());
    let checksum = hex(&Keccak256::digest(&address));
    let digits = address.chars().zip(checksum.chars());
    let cased =
        digits.map(|(digit, check)| if check >= '8' { digit.to_ascii_uppercase() } else { digit });
    format!("0x{}", cased.collect::<String>())
}

/// The address that pays to this key alone on Bitcoin's main network: P2WPKH (BIP-141), Bech32 (BIP-173).
fn bitcoin_address(key: &[u8; 33]) -> Option<String> {
    let hash = Ripemd160::digest(Sha256::digest(key));
    bech32::segwit::encode_v0(bech32::hrp::BC, &hash).ok()
}

/// The extended public key of BIP-32, as of a master key: depth 0, no parent, main network.
fn extended(key: &[u8; 33], chain_code: &[u8; 32]) -> String {
    let version = [0x04, 0x88, 0xb2, 0x1e];
    let no_parent = [0; 1 + 4 + 4];
    let bytes = [&version[..], &no_parent, chain_code, key].concat();
    bs58::encode(bytes).with_check().into_string()
}

/// Both coordinates, 32 bytes each. A point that was decoded is not the identity and has them.
fn coordinates(point: &AffinePoint) -> ([u8; 32], [u8; 32]) {
    let encoded = point.to_encoded_point(false);
    let bytes = |field: Option<&k256::FieldBytes>| field.copied().unwrap_or_default().into();
    (bytes(encoded.x()), bytes(encoded.y()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator: the public key of the private key 1.
    const ONE: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn encoded(format: KeyFormat) -> String {
        written(ONE, format)
    }

    fn written(key: &str, format: KeyFormat) -> String {
        // The chain code of BIP-32's test vector 2.
        let chain_code = "60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689";
        let chain_code = unhex(chain_code).unwrap().try_into().unwrap();
        let key = unhex(key).unwrap().try_into().unwrap();
        encode(&key, format, || Ok(chain_code)).unwrap()
    }

    #[test]
    fn the_bitcoin_address_is_that_of_bip_84() {
        let key = "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c";
        let address = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu\n";
        assert_eq!(written(key, KeyFormat::AddressBtc), address);
    }

    #[test]
    fn the_extended_public_key_is_that_of_bip_32() {
        let key = "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7";
        let expected = "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc\
                        4a6mr8BDzTJY47LJhkJ8UB7WEGuduB\n";
        assert_eq!(written(key, KeyFormat::Xpub), expected);
    }

    #[test]
    fn the_ethereum_address_of_the_private_key_1_is_the_known_one() {
        assert_eq!(encoded(KeyFormat::AddressEth), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n");
    }

    #[test]
    fn a_jwk_names_its_curve() {
        let jwk: serde_json::Value = serde_json::from_str(&encoded(KeyFormat::Jwk)).unwrap();
        assert_eq!(jwk["crv"], "secp256k1");
        assert_eq!(jwk["x"], "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g");
    }

    #[test]
    fn what_is_exported_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let point = decode_point(&unhex(ONE).unwrap()).unwrap();
        let shown = path.to_str().unwrap();
        for format in [KeyFormat::Pem, KeyFormat::Hex] {
            std::fs::write(&path, encoded(format)).unwrap();
            assert_eq!(read(shown).unwrap(), point);
        }
        let spki = from_pem(&encoded(KeyFormat::Pem)).unwrap();
        let sec1 = point.to_encoded_point(false);
        assert_eq!(read(&hex(&spki)).unwrap(), point);
        assert_eq!(read(&hex(sec1.as_bytes())).unwrap(), point);
        std::fs::write(&path, spki).unwrap();
        assert_eq!(read(shown).unwrap(), point);
    }

    #[test]
    fn what_is_no_key_is_a_usage_error_and_a_missing_file_is_not_found() {
        for bad in ["", "00", &ONE[..64], &format!("05{}", &ONE[2..]), &format!("{ONE}00")] {
            assert_eq!(read(bad).unwrap_err().code, Code::Usage, "{bad}");
        }
        assert_eq!(read("/nonexistent/key.pem").unwrap_err().code, Code::NotFound);
    }
}
