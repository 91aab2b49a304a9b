//! Verifies signatures with `openssl`, an independent implementation.

use std::path::Path;
use std::process::Command;

use k256::ecdsa::Signature;
use serde_json::Value;

use crate::device::text;

/// Whether `der` is a signature of `digest` under the public key in the PEM file.
pub(crate) fn accepts(pem: &Path, digest: &[u8], der: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (message, signature) = (folder.path().join("digest"), folder.path().join("signature"));
    std::fs::write(&message, digest).unwrap();
    std::fs::write(&signature, der).unwrap();
    let output = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-inkey"])
        .arg(pem)
        .arg("-in")
        .arg(message)
        .arg("-sigfile")
        .arg(signature)
        .output()
        .expect("openssl is installed");
    output.status.success()
}

/// Checks everything a result of `sign` promises about the signature of `digest`.
#[track_caller]
pub(crate) fn is_satisfied(result: &Value, pem: &Path, digest: &str) {
    assert_eq!(result["digest"], digest);
    let der = hex::decode(text(&result["der"])).unwrap();
    assert!((67..=72).contains(&der.len()), "{} bytes", der.len());
    let signature = Signature::from_der(&der).unwrap();
    assert!(signature.normalize_s().is_none(), "s is high");
    assert_eq!(result["low_s"], true);
    let compact = format!("{}{}", text(&result["r"]), text(&result["s"]));
    assert_eq!(hex::encode(signature.to_bytes()), compact);
    assert!(accepts(pem, &hex::decode(digest).unwrap(), &der), "openssl refuses {result}");
}
