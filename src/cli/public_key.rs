//! Public keys as text and files.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use k256::elliptic_curve::sec1::{ModulusSize, ToEncodedPoint};
use k256::elliptic_curve::{Curve, FieldBytes, FieldBytesSize};
use k256::pkcs8::EncodePublicKey;
use k256::{AffinePoint, Secp256k1};
use p256::NistP256;
use ripemd::Ripemd160;
use serde_json::json;
use sha2::Sha256;
use sha3::{Digest as _, Keccak256};

use super::args::{KeyFormat, absolute};
use super::signature::{is_no_name, pem, read_file};
use crate::crypto::bip32::{self, Derived};
use crate::crypto::curve::{Curve as _, decode_point, encode_point};
use crate::curve::CurveName;
use crate::device::hex;
use crate::pasted::{self, PublicKey};
use crate::payload::bitcoin::Network;
use crate::report::{self, Code, Failure};
use crate::request::below;

/// The most bytes that are read of a key file.
const MAX_FILE: u64 = 16384;

/// The public key in an argument, or in the file that it names (`-` is standard input).
///
/// `curve` is what it is on if it does not say so itself; secp256k1, if it is `None`.
///
/// # Errors
/// Neither is a public key, it says that it is on another curve, or the file cannot be read.
pub fn read(argument: &str, curve: Option<CurveName>) -> Result<PublicKey, Failure> {
    let not_understood = |what: &str| {
        let on = curve.unwrap_or_default().name();
        Failure::new(Code::Usage, format!("{what} is not understood as a {on} public key")).hint(
            "SEC1 (33 or 65 bytes) or SubjectPublicKeyInfo, as they are, in hexadecimal, base64 or PEM, or a \
             JSON Web Key",
        )
    };
    let understood = |content: &[u8]| {
        let key = pasted::public_key(content, curve.unwrap_or_default())?;
        let is_it = match key {
            PublicKey::Secp256k1(_) => curve != Some(CurveName::P256),
            PublicKey::P256(_) => curve != Some(CurveName::Secp256k1),
        };
        is_it.then_some(key)
    };
    if let Some(key) = understood(argument.as_bytes()) {
        return Ok(key);
    }
    if is_no_name(argument) {
        return Err(not_understood("--public-key"));
    }
    let content = read_file(argument, "public key", MAX_FILE)?;
    understood(&content)
        .ok_or_else(|| not_understood(&absolute(Path::new(argument)).display().to_string()))
}

/// The key at the end of `path` below `key`, SEC1 compressed, on `curve`. `chain_code` is called if there is a path.
///
/// # Errors
/// The stored key is damaged, the path leads to no key or keys on its curve have none below them, or there is no
/// chain code.
pub fn derived(
    (curve, key): (CurveName, &[u8; 33]),
    path: &[u32],
    chain_code: impl FnOnce() -> Result<[u8; 32], Failure>,
) -> Result<PublicKey, Failure> {
    match curve {
        CurveName::Secp256k1 => below_point(key, path, chain_code).map(PublicKey::Secp256k1),
        CurveName::P256 if path.is_empty() => {
            decode_point(key).map(PublicKey::P256).map_err(|_| damaged())
        }
        CurveName::P256 => Err(report::no_wallet(curve)),
    }
}

/// The key at the end of `path` below the public key `key` on secp256k1.
fn below_point(
    key: &[u8; 33],
    path: &[u32],
    chain_code: impl FnOnce() -> Result<[u8; 32], Failure>,
) -> Result<AffinePoint, Failure> {
    let point = decode_point(key).map_err(|_| damaged())?;
    match path {
        [] => Ok(point),
        path => Ok(child(&point, &chain_code()?, path)?.public_key),
    }
}

fn child(parent: &AffinePoint, chain_code: &[u8; 32], path: &[u32]) -> Result<Derived, Failure> {
    bip32::derive(parent, chain_code, path).map_err(|_| report::bad_path())
}

fn damaged() -> Failure {
    Failure::new(Code::Tampered, "the recorded public key is damaged")
}

/// Encodes the key at the end of `path` below `key`, SEC1 compressed, on `curve`, in the chosen format, with a line end. `chain_code` is
/// called if there is a path, or if the format contains it.
///
/// # Errors
/// As for [`derived`], or keys on its curve have no such format.
pub fn encode(
    (curve, key): (CurveName, &[u8; 33]),
    path: &[u32],
    format: KeyFormat,
    chain_code: impl FnOnce() -> Result<[u8; 32], Failure>,
) -> Result<String, Failure> {
    match curve {
        CurveName::Secp256k1 => encode_of_wallets(key, path, format, chain_code),
        CurveName::P256 => {
            let PublicKey::P256(point) = derived((curve, key), path, chain_code)? else {
                return Err(damaged());
            };
            let text = match format {
                KeyFormat::Pem => {
                    let key = p256::PublicKey::from_affine(point).map_err(|_| damaged())?;
                    return spki(&key);
                }
                KeyFormat::Jwk => jwk(NistP256::NAME, &point),
                KeyFormat::Hex => hex(key),
                // A certificate is signed, so that others take part.
                KeyFormat::OpenPgp => return Err(report::bug("a certificate was not signed")),
                KeyFormat::AddressEth
                | KeyFormat::AddressBtc
                | KeyFormat::Xpub
                | KeyFormat::Descriptor => {
                    return Err(report::no_wallet(curve));
                }
            };
            Ok(text + "\n")
        }
    }
}

/// SubjectPublicKeyInfo in PEM.
fn spki(key: &impl EncodePublicKey) -> Result<String, Failure> {
    let spki = key.to_public_key_der().map_err(|_| damaged())?;
    Ok(pem("PUBLIC KEY", spki.as_bytes()))
}

/// A JSON Web Key (RFC 7518 §6.2) on the curve that is called `name` there.
fn jwk<C: Curve>(name: &str, point: &impl ToEncodedPoint<C>) -> String
where
    FieldBytesSize<C>: ModulusSize,
{
    let (x, y) = coordinates(point);
    let field = |bytes| BASE64_URL.encode(bytes);
    json!({"kty": "EC", "crv": name, "x": field(x), "y": field(y)}).to_string()
}

fn encode_of_wallets(
    key: &[u8; 33],
    path: &[u32],
    format: KeyFormat,
    chain_code: impl FnOnce() -> Result<[u8; 32], Failure>,
) -> Result<String, Failure> {
    let text = match format {
        KeyFormat::Xpub => extended(key, &chain_code()?, path)?,
        KeyFormat::Descriptor => descriptor(key, &chain_code()?, path)?,
        format => {
            let point = below_point(key, path, chain_code)?;
            let key = encode_point(&point).ok_or_else(damaged)?;
            match format {
                KeyFormat::Pem => {
                    let key = k256::PublicKey::from_affine(point).map_err(|_| damaged())?;
                    return spki(&key);
                }
                KeyFormat::Jwk => jwk(Secp256k1::NAME, &point),
                KeyFormat::AddressEth => ethereum_address(&point),
                KeyFormat::AddressBtc => bitcoin_address(&key).ok_or_else(damaged)?,
                // A certificate is signed, so that others take part.
                KeyFormat::OpenPgp => return Err(report::bug("a certificate was not signed")),
                KeyFormat::Hex | KeyFormat::Xpub | KeyFormat::Descriptor => hex(&key),
            }
        }
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

/// The address of this key on Bitcoin's main network.
fn bitcoin_address(key: &[u8; 33]) -> Option<String> {
    p2wpkh(key, Network::Main)
}

/// The address of this key: P2WPKH (BIP-141), Bech32 (BIP-173).
pub(super) fn p2wpkh(key: &[u8; 33], network: Network) -> Option<String> {
    let prefix = match network {
        Network::Main => bech32::hrp::BC,
        Network::Test | Network::Signet => bech32::hrp::TB,
        Network::Regtest => bech32::hrp::BCRT,
    };
    bech32::segwit::encode_v0(prefix, &hash160(key)).ok()
}

fn hash160(key: &[u8; 33]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(key)).into()
}

/// The fingerprint of a key in BIP-32.
fn key_id(key: &[u8; 33]) -> [u8; 4] {
    let [a, b, c, d, ..] = hash160(key);
    [a, b, c, d]
}

/// The extended public key (BIP-32) on the main network, at the end of `path` below the key `key`,
/// which counts as a master key: depth 0, no parent.
fn extended(key: &[u8; 33], chain_code: &[u8; 32], path: &[u32]) -> Result<String, Failure> {
    let master = decode_point(key).map_err(|_| damaged())?;
    let whole = child(&master, chain_code, path)?;
    let (parent, index) = match path {
        [] => ([0; 4], 0),
        [steps @ .., last] => {
            let parent = child(&master, chain_code, steps)?.public_key;
            (key_id(&encode_point(&parent).ok_or_else(damaged)?), *last)
        }
    };
    let depth = u8::try_from(path.len()).map_err(|_| report::bad_path())?;
    let key = encode_point(&whole.public_key).ok_or_else(damaged)?;
    let version = [0x04, 0x88, 0xb2, 0x1e];
    let index = index.to_be_bytes();
    let bytes = [&version[..], &[depth], &parent, &index, &whole.chain_code, &key].concat();
    Ok(bs58::encode(bytes).with_check().into_string())
}

/// The output descriptor (BIP-380, BIP-389) of the P2WPKH addresses below the key at the end of
/// `path`: 0/* to receive, 1/* for change.
fn descriptor(key: &[u8; 33], chain_code: &[u8; 32], path: &[u32]) -> Result<String, Failure> {
    let origin = below(&hex(&key_id(key)), path);
    let text = format!("wpkh([{origin}]{}/<0;1>/*)", extended(key, chain_code, path)?);
    let checksum = checksum(&text).ok_or_else(damaged)?;
    Ok(format!("{text}#{checksum}"))
}

/// The checksum of a descriptor (BIP-380); `None` if it has an invalid character.
fn checksum(descriptor: &str) -> Option<String> {
    const CHARACTERS: &str = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~\
                              ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
    const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u64; 5] =
        [0xf5_dee5_1989, 0xa9_fdca_3312, 0x1b_ab10_e32d, 0x37_06b1_677a, 0x64_4d62_6ffd];
    let step = |sum: u64, value: u64| {
        let top = sum >> 35;
        let moved = (sum & 0x7_ffff_ffff) << 5 ^ value;
        (0..).zip(GENERATOR).fold(
            moved,
            |sum, (bit, term)| {
                if top >> bit & 1 == 1 { sum ^ term } else { sum }
            },
        )
    };
    let positions = descriptor.chars().map(|c| u64::try_from(CHARACTERS.find(c)?).ok());
    let positions: Vec<u64> = positions.collect::<Option<_>>()?;
    let mut sum = 1;
    for three in positions.chunks(3) {
        sum = three.iter().fold(sum, |sum, position| step(sum, position & 31));
        sum = step(sum, three.iter().fold(0, |groups, position| groups * 3 + (position >> 5)));
    }
    let sum = (0..8).fold(sum, |sum, _| step(sum, 0)) ^ 1;
    let digit = |place: u32| {
        let at = usize::try_from(sum >> (5 * (7 - place)) & 31).ok()?;
        DIGITS.get(at).map(|digit| char::from(*digit))
    };
    (0..8).map(digit).collect()
}

/// Both coordinates, 32 bytes each. A decoded point is not the identity, so it has them.
fn coordinates<C: Curve>(point: &impl ToEncodedPoint<C>) -> ([u8; 32], [u8; 32])
where
    FieldBytesSize<C>: ModulusSize,
{
    let encoded = point.to_encoded_point(false);
    let bytes = |field: Option<&FieldBytes<C>>| {
        field.and_then(|field| field.as_slice().try_into().ok()).unwrap_or_default()
    };
    (bytes(encoded.x()), bytes(encoded.y()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::unhex;

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
        encode((CurveName::Secp256k1, &key), &[], format, || Ok(chain_code)).unwrap()
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
    fn a_child_is_exported_as_bip_32_does_in_its_test_vector_2() {
        let key = "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7";
        let key = unhex(key).unwrap().try_into().unwrap();
        let chain_code = "60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689";
        let chain_code = unhex(chain_code).unwrap().try_into().unwrap();
        let child =
            encode((CurveName::Secp256k1, &key), &[0], KeyFormat::Xpub, || Ok(chain_code)).unwrap();
        let expected = "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDzne\
                        zpbZb7ap6r1D3tgFxHmwMkQTPH\n";
        assert_eq!(child, expected);
    }

    /// The account of BIP-84's test vector: its key, its chain code, and its first addresses.
    #[test]
    fn the_addresses_below_an_account_are_those_of_bip_84() {
        let zpub = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUk\
                    gDKf31mGDtKsAYz2oz2AGutZYs";
        let bytes = bs58::decode(zpub).with_check(None).into_vec().unwrap();
        let (chain_code, key) = bytes.split_at(13).1.split_at(32);
        let (chain_code, key): ([u8; 32], [u8; 33]) =
            (chain_code.try_into().unwrap(), key.try_into().unwrap());
        for (path, address) in [
            ([0, 0], "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
            ([0, 1], "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"),
            ([1, 0], "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"),
        ] {
            let text = encode((CurveName::Secp256k1, &key), &path, KeyFormat::AddressBtc, || {
                Ok(chain_code)
            })
            .unwrap();
            assert_eq!(text.trim_end(), address);
        }
    }

    #[test]
    fn a_descriptor_has_the_checksum_of_bip_380() {
        assert_eq!(checksum("raw(deadbeef)").as_deref(), Some("89f8spxm"));
        assert_ne!(checksum("raw(deedbeef)").as_deref(), Some("89f8spxm"));
        assert_eq!(checksum("raw(Ü)"), None);
        let text = encoded(KeyFormat::Descriptor);
        let (descriptor, sum) = text.trim_end().split_once('#').unwrap();
        let xpub = encoded(KeyFormat::Xpub);
        assert_eq!(descriptor, format!("wpkh([751e76e8]{}/<0;1>/*)", xpub.trim_end()));
        assert_eq!(checksum(descriptor).as_deref(), Some(sum));
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
        let point: AffinePoint = decode_point(&unhex(ONE).unwrap()).unwrap();
        let shown = path.to_str().unwrap();
        for format in [KeyFormat::Pem, KeyFormat::Hex, KeyFormat::Jwk] {
            std::fs::write(&path, encoded(format)).unwrap();
            assert_eq!(read(shown, None).unwrap(), PublicKey::Secp256k1(point));
            assert_eq!(read(&encoded(format), None).unwrap(), PublicKey::Secp256k1(point));
        }
    }

    #[test]
    fn what_is_no_key_is_a_usage_error_and_a_missing_file_is_not_found() {
        for bad in ["", "00", &ONE[..64], &format!("05{}", &ONE[2..]), &format!("{ONE}00")] {
            assert_eq!(read(bad, None).unwrap_err().code, Code::Usage, "{bad}");
        }
        let pem = encoded(KeyFormat::Pem);
        assert!(read(&pem, Some(CurveName::Secp256k1)).is_ok());
        let other = read(&pem, Some(CurveName::P256)).unwrap_err();
        assert!(other.message.contains("p256"), "{}", other.message);
        assert_eq!(read("/nonexistent/key.pem", None).unwrap_err().code, Code::NotFound);
    }
}
