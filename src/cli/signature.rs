//! Signatures as text and files.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use super::args::{SignatureFormat, absolute};
use crate::crypto::curve::Curve;
use crate::device::hex;
use crate::driver::on_curve::Signature as Made;
use crate::pasted::{self, Malformed, Signature};
use crate::payload::ethereum::transaction::Transaction;
use crate::payload::{MessageFormat, Source};
use crate::report::{self, Code, Failure, unreadable};
use crate::vault::given::{self, Guard};

/// Most bytes that are read of a signature file; the longest signature is far shorter.
const MAX_FILE: u64 = 4096;

/// The first value of the last byte of an Ethereum signature.
const ETHEREUM_V: u8 = 27;
/// The first value of the header of a Bitcoin signature with a compressed key.
const BITCOIN_COMPRESSED: u8 = 31;

/// The label of PEM armour around a signature.
const PEM_LABEL: &str = "ECDSA SIGNATURE";

/// Encodes a signature in the chosen format; `result` is what the format `json` prints. Without a
/// format: DER in hexadecimal for standard output, plain DER for a file (`to_file`).
pub fn encode(
    signature: &Made,
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
        Some(SignatureFormat::Base64) => format!("{}\n", BASE64.encode(&der)).into_bytes(),
        Some(SignatureFormat::Ethereum) => format!("{}\n", ethereum(signature)).into_bytes(),
        Some(SignatureFormat::Bitcoin) => {
            let header = signature.recovery_id.saturating_add(BITCOIN_COMPRESSED);
            let all = [&[header][..], &signature.compact()].concat();
            format!("{}\n", BASE64.encode(all)).into_bytes()
        }
        // It is made of the file, which only a request for it has.
        Some(SignatureFormat::Jws | SignatureFormat::OpenPgp | SignatureFormat::OpenPgpClear) => {
            return Err(report::bug("there is no file in the signature"));
        }
        Some(SignatureFormat::Json) => {
            let text =
                serde_json::to_string(result).map_err(|_| report::bug("a signature is no JSON"))?;
            format!("{text}\n").into_bytes()
        }
    })
}

/// As wallets of Ethereum write it: `0x`, `r`, `s`, and 27 or 28.
pub(super) fn ethereum(signature: &Made) -> String {
    let parity = signature.recovery_id & 1;
    let v = parity.saturating_add(ETHEREUM_V);
    format!("0x{}{v:02x}", hex(&signature.compact()))
}

/// The signed transaction, as a node takes it.
pub(super) fn raw(transaction: &Transaction, signature: &Made) -> Vec<u8> {
    let compact = signature.compact();
    let (r, s) = compact.split_at(32);
    let part = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or_default();
    transaction.signed(part(r), part(s), signature.recovery_id & 1 == 1)
}

/// The default format of a signature for a message.
pub fn format_of(message: MessageFormat) -> SignatureFormat {
    match message {
        MessageFormat::Ethereum => SignatureFormat::Ethereum,
        MessageFormat::Bitcoin => SignatureFormat::Bitcoin,
    }
}

/// Whether the format must not be written to a terminal.
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

/// The signature for `source` in an argument, or in the file that it names (`-` is standard input).
///
/// # Errors
/// Neither is a signature, or the file cannot be read.
pub fn read<C: Curve>(
    argument: &str,
    source: &Source,
) -> Result<Result<Signature<C>, Malformed>, Failure> {
    let understood = |content: &[u8]| match source {
        Source::Message { format: MessageFormat::Bitcoin, .. } => {
            let of_bitcoin = pasted::bitcoin_signature(content).map(Ok);
            of_bitcoin.or_else(|| pasted::signature(content))
        }
        _ => pasted::signature(content),
    };
    let given = understood(argument.as_bytes());
    let is_hex = argument.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(Ok(signature)) = given
        && (is_hex || !names_a_file(argument))
    {
        return Ok(Ok(signature));
    }
    match given {
        Some(malformed) if !names_a_file(argument) => return Ok(malformed),
        None if is_no_name(argument) => return Err(not_understood("the signature")),
        _ => {}
    }
    let content = read_file(argument, "signature", MAX_FILE)?;
    understood(&content)
        .ok_or_else(|| not_understood(&absolute(Path::new(argument)).display().to_string()))
}

fn not_understood(what: &str) -> Failure {
    Failure::new(Code::Usage, format!("{what} is not understood as a signature")).hint(
        "DER, r and s (64 bytes), or these and a recovery id (65), as they are, in hexadecimal, base64 or PEM, \
         or JSON with der, or with r and s",
    )
}

/// Whether such a file exists, or standard input is meant.
pub(super) fn names_a_file(argument: &str) -> bool {
    argument == "-" || Path::new(argument).exists()
}

/// Whether the argument must be the value itself, and cannot be the name of a file.
pub(super) fn is_no_name(argument: &str) -> bool {
    let is_text = argument.contains(['\n', '{']) || argument.contains("-----BEGIN");
    let digits = argument.strip_prefix("0x").unwrap_or(argument);
    let is_digits = digits.chars().all(|c| c.is_ascii_hexdigit() || c.is_whitespace());
    (is_text || is_digits) && !names_a_file(argument)
}

/// Reads the file that an argument names, of at most `limit` bytes.
pub(super) fn read_file(path: &str, what: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let place = absolute(Path::new(if path == "-" { "/dev/stdin" } else { path }));
    match given::read(&place, Guard::Open, limit) {
        Ok(content) => Ok(content.expose().clone()),
        Err(error) => Err(unreadable(error, &format!("{what} file {}", place.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::crypto::ecdsa;
    use k256::elliptic_curve::ops::MulByGenerator;
    use k256::{ProjectivePoint, Scalar};

    fn signature() -> ecdsa::Signature {
        ecdsa::Signature {
            r: Scalar::from(0x80_u64),
            s: Scalar::from(7_u64),
            recovery_id: 1,
            public_key: ProjectivePoint::mul_by_generator(&Scalar::from(5_u64)).to_affine(),
        }
    }

    #[test]
    fn every_form_that_is_written_reads_back() {
        use SignatureFormat::{Base64, Compact, Der, Json, Pem, Recoverable};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signature");
        let name = path.to_str().unwrap();
        let ecdsa::Signature { r, s, .. } = signature();
        let made = Made::from(signature());
        let expected = pasted::Signature::<k256::Secp256k1> { r, s, recovery_id: None };
        let formats = [Der, Compact, Recoverable, Pem, Base64, Json].map(Some);
        for format in formats.into_iter().chain([None]) {
            for to_file in [true, false] {
                let result = serde_json::json!({ "der": hex(&made.der()) });
                let bytes = encode(&made, format, to_file, &result).unwrap();
                let recovery_id = (format == Some(Recoverable)).then_some(1);
                let expected = pasted::Signature::<k256::Secp256k1> { recovery_id, ..expected };
                fs::write(&path, &bytes).unwrap();
                assert_eq!(read(name, &Source::Digest).unwrap(), Ok(expected), "{format:?}");
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    assert_eq!(read(text, &Source::Digest).unwrap(), Ok(expected), "{format:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_told_from_a_file_that_is_not_there() {
        for (argument, code) in [
            ("", Code::Usage),
            ("00", Code::Usage),
            ("0xzz", Code::NotFound),
            ("two\nlines", Code::Usage),
            ("{}", Code::Usage),
            ("gone.sig", Code::NotFound),
            ("/dev/null", Code::Usage),
        ] {
            assert_eq!(
                read::<k256::Secp256k1>(argument, &Source::Digest).unwrap_err().code,
                code,
                "{argument:?}"
            );
        }
        assert_eq!(
            read::<k256::Secp256k1>(&"00".repeat(64), &Source::Digest).unwrap(),
            Err(Malformed)
        );
    }
}
