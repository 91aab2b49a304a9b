//! A file as the payload of a JSON Web Signature (RFC 7515) in its compact form: the header and the file,
//! each in base64url, are what is hashed. The header says the algorithm and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::Serialize;

use super::curve::Curve;
use super::{HashFunction, file};
use crate::device::hex;

/// The summary of a file that is signed as JWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The header, in JSON.
    pub header: String,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What the file is.
    #[serde(flatten)]
    pub file: file::Summary,
}

/// The digest that is signed, and the summary.
pub(super) fn read(curve: &Curve, file: &[u8]) -> ([u8; 32], Summary) {
    let sha256 = hex(&HashFunction::Sha256.of(file));
    let summary = Summary { header: header(curve), sha256, file: file::content(file) };
    (HashFunction::Sha256.of(signing_input(curve, file).as_bytes()), summary)
}

/// The signature in its compact form, with the file in it. `signature` is r and s.
pub fn compact(curve: &Curve, file: &[u8], signature: &[u8; 64]) -> String {
    format!("{}.{}", signing_input(curve, file), BASE64URL.encode(signature))
}

/// The same without the file (RFC 7515, appendix F).
pub fn detached(curve: &Curve, signature: &[u8; 64]) -> String {
    format!("{}..{}", BASE64URL.encode(header(curve)), BASE64URL.encode(signature))
}

fn header(curve: &Curve) -> String {
    format!(r#"{{"alg":"{}"}}"#, curve.jws)
}

fn signing_input(curve: &Curve, file: &[u8]) -> String {
    format!("{}.{}", BASE64URL.encode(header(curve)), BASE64URL.encode(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::curve::SECP256K1;

    #[test]
    fn what_is_hashed_is_the_header_and_the_file_in_base64url() {
        let input = "eyJhbGciOiJFUzI1NksifQ.SSBhZ3JlZQ";
        assert_eq!(signing_input(&SECP256K1, b"I agree"), input);
        let (digest, summary) = read(&SECP256K1, b"I agree");
        assert_eq!(digest, HashFunction::Sha256.of(input.as_bytes()));
        assert_eq!(summary.header, r#"{"alg":"ES256K"}"#);
        assert_eq!(summary.sha256, hex(&HashFunction::Sha256.of(b"I agree")));
        let made = compact(&SECP256K1, b"I agree", &[0; 64]);
        assert_eq!(made, format!("{input}.{}", "A".repeat(86)));
        let without = detached(&SECP256K1, &[0; 64]);
        assert_eq!(without, format!("eyJhbGciOiJFUzI1NksifQ..{}", "A".repeat(86)));
    }
}
