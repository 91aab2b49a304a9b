//! Signatures as text and files: every form that `sign` writes, `verify` reads.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k256::Scalar;
use serde::Serialize;
use serde_json::Value;

use super::args::SignatureFormat;
use crate::crypto::curve::decode_scalar;
use crate::crypto::ecdsa::{Signature, from_der};
use crate::device::{hex, unhex};
use crate::report::unreadable;
use crate::report::{self, Failure};
use crate::vault::given::{self, Guard};

/// The most bytes that are read of a signature file; the longest signature is far shorter.
const MAX_FILE: u64 = 4096;

/// What PEM armour around a signature says.
const PEM_LABEL: &str = "ECDSA SIGNATURE";

/// Writes a signature in the chosen form; `result` is what the form `json` prints. Without a form:
/// DER in hexadecimal for standard output, plain DER for a file (`to_file`).
pub fn encode(
    signature: &Signature,
    format: Option<SignatureFormat>,
    to_file: bool,
    result: &impl Serialize,
) -> Result<Vec<u8>, Failure> {
    let der = signature.der();
    Ok(match format {
        None if to_file => der,
        None => format!("{}\n", hex(&der)).into_bytes(),
        Some(SignatureFormat::Der) => der,
        Some(SignatureFormat::Compact) => signature.compact().to_vec(),
        Some(SignatureFormat::Recoverable) => signature.recoverable().to_vec(),
        Some(SignatureFormat::Pem) => pem(PEM_LABEL, &der).into_bytes(),
        Some(SignatureFormat::Json) => {
            let text =
                serde_json::to_string(result).map_err(|_| report::bug("a signature is no JSON"))?;
            format!("{text}\n").into_bytes()
        }
    })
}

/// Whether the form is not for a terminal.
pub fn is_binary(format: Option<SignatureFormat>) -> bool {
    use SignatureFormat::{Compact, Der, Recoverable};
    matches!(format, Some(Der | Compact | Recoverable))
}

/// PEM armour around `bytes`.
pub(super) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// What is inside PEM armour, whatever its label.
pub(super) fn from_pem(text: &str) -> Option<Vec<u8>> {
    let (label, rest) = text.trim().strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let body = rest.strip_suffix(&format!("-----END {label}-----"))?;
    BASE64.decode(body.split_whitespace().collect::<String>()).ok()
}

/// A signature as read: in range, not yet checked against anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// One half.
    pub r: Scalar,
    /// The other half.
    pub s: Scalar,
    /// Where 65 bytes were read.
    pub recovery_id: Option<u8>,
}

impl Parsed {
    /// Strict DER, 64 bytes `r || s`, or 65 bytes `r || s || recovery id` (also as Ethereum counts it, from 27).
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
        let half = |bytes| decode_scalar(bytes).ok().filter(|half| *half != Scalar::ZERO);
        Some(Self { r: half(r)?, s: half(s)?, recovery_id })
    }
}

/// The bytes that a signature argument stands for: hexadecimal digits, or a file (`-` is standard
/// input) that holds them raw, in hexadecimal, in PEM armour or in our JSON. `None`: no signature.
pub fn read(argument: &str) -> Result<Option<Vec<u8>>, Failure> {
    if argument.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(unhex(argument));
    }
    let content = read_file(argument, "signature", MAX_FILE)?;
    Ok(match std::str::from_utf8(&content).map(str::trim) {
        Ok(text) if text.starts_with("-----BEGIN ") => from_pem(text),
        Ok(text) if text.starts_with('{') => {
            let object = serde_json::from_str::<Value>(text).ok();
            object.as_ref().and_then(|o| o.get("der")?.as_str()).and_then(unhex)
        }
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit()) => unhex(text),
        _ => Some(content),
    })
}

/// Reads the file that an argument names, of at most `limit` bytes.
pub(super) fn read_file(path: &str, what: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let place = Path::new(if path == "-" { "/dev/stdin" } else { path });
    match given::read(place, Guard::Open, limit) {
        Ok(content) => Ok(content.expose().clone()),
        Err(error) => Err(unreadable(error, &format!("{what} file {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::crypto::curve::encode_scalar;
    use k256::ProjectivePoint;
    use k256::elliptic_curve::ops::MulByGenerator;

    fn signature() -> Signature {
        Signature {
            r: Scalar::from(0x80_u64),
            s: Scalar::from(7_u64),
            recovery_id: 1,
            public_key: ProjectivePoint::mul_by_generator(&Scalar::from(5_u64)).to_affine(),
        }
    }

    #[test]
    fn every_form_that_is_written_reads_back() {
        use SignatureFormat::{Compact, Der, Json, Pem, Recoverable};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signature");
        let expected = Parsed { r: signature().r, s: signature().s, recovery_id: None };
        for format in [None, Some(Der), Some(Compact), Some(Recoverable), Some(Pem), Some(Json)] {
            for to_file in [true, false] {
                let result = serde_json::json!({ "der": hex(&signature().der()) });
                let bytes = encode(&signature(), format, to_file, &result).unwrap();
                fs::write(&path, bytes).unwrap();
                let bytes = read(path.to_str().unwrap()).unwrap().unwrap();
                let recovery_id = (format == Some(Recoverable)).then_some(1);
                let expected = Parsed { recovery_id, ..expected };
                assert_eq!(Parsed::from_bytes(&bytes), Some(expected), "{format:?}");
            }
        }
    }

    #[test]
    fn halves_out_of_range_are_no_signature() {
        let order = unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        let order = order.unwrap();
        let one = encode_scalar(&Scalar::ONE);
        for (r, s) in [(&order[..], &one[..]), (&one, &order), (&[0; 32], &one), (&one, &[0; 32])] {
            assert_eq!(Parsed::from_bytes(&[r, s].concat()), None);
        }
        assert!(Parsed::from_bytes(&[one, one].concat()).is_some());
        assert_eq!(Parsed::from_bytes(&[&one[..], &one, &[4]].concat()), None);
        assert_eq!(Parsed::from_bytes(&[]), None);
    }

    #[test]
    fn pem_armour_must_close() {
        assert_eq!(from_pem(&pem("X", &[7; 100])), Some(vec![7; 100]));
        assert_eq!(from_pem("-----BEGIN X-----\nBw==\n-----END Y-----"), None);
        assert_eq!(from_pem("-----BEGIN X-----\nBw=\n-----END X-----"), None);
        assert_eq!(from_pem("-----BEGIN X-----"), None);
    }
}
