//! Public keys as text and files.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use k256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use k256::{AffinePoint, PublicKey};
use serde_json::json;
use sha3::{Digest as _, Keccak256};

use super::args::KeyFormat;
use super::signature::{from_pem, pem, read_file};
use crate::crypto::curve::{InvalidPoint, decode_point};
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

/// Writes a compressed public key (33 bytes) in the chosen form, with a line end.
pub fn encode(key: &[u8], format: KeyFormat) -> Result<String, InvalidPoint> {
    let point = decode_point(key)?;
    Ok(match format {
        KeyFormat::Hex => format!("{}\n", hex(key)),
        KeyFormat::Pem => {
            let key = PublicKey::from_affine(point).map_err(|_| InvalidPoint)?;
            pem("PUBLIC KEY", key.to_public_key_der().map_err(|_| InvalidPoint)?.as_bytes())
        }
        KeyFormat::Jwk => {
            let (x, y) = coordinates(&point);
            let field = |bytes| BASE64_URL.encode(bytes);
            format!("{}\n", json!({"kty": "EC", "crv": "secp256k1", "x": field(x), "y": field(y)}))
        }
        KeyFormat::AddressEth => format!("{}\n", ethereum_address(&point)),
    })
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
        encode(&unhex(ONE).unwrap(), format).unwrap()
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
