//! `cosign verify`

use k256::{AffinePoint, Scalar};
use serde::Serialize;

use super::args::{KeyName, VerifyArgs};
use super::keys::Chosen;
use super::{Global, Output, digest, keys, public_key, signature};
use crate::crypto::curve::encode_point;
use crate::crypto::ecdsa;
use crate::device::hex;
use crate::pasted::Signature;
use crate::payload::Source;
use crate::report::{Code, Failure};
use crate::request::below;

#[derive(Serialize)]
struct Verdict {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whether the record was compared with its share in the open vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<bool>,
    public_key: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    low_s: Option<bool>,
}

/// Checks one signature. Exit code 0: valid; 1: invalid; 2: malformed.
pub(super) fn run_verify(global: &Global, args: VerifyArgs) -> Result<Output, Failure> {
    let digest = digest::of(args.digest.as_deref(), &args.payload, global.deadline)?;
    if matches!(digest.source, Source::Files { .. }) {
        return Err(Failure::new(Code::Usage, "one file has one signature")
            .hint("check the files one by one"));
    }
    let signature = signature::read(&args.signature, &digest.source)?;
    let (key, checked, point) = match args.public_key {
        Some(argument) => (None, None, public_key::read(&argument)?),
        None => {
            let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
            let Chosen { record, mut vault } = keys::chosen(global, name.as_deref(), "--key NAME")?;
            let chain_code = || keys::chain_code(global, &mut vault, &record);
            let child = public_key::derived(&record.public_key, &path, chain_code)?;
            (Some(below(&record.name, &path)), Some(vault.is_some()), child)
        }
    };
    let fault = fault(signature.as_ref().ok(), &point, &digest.bytes, args.require_low_s);
    let public_key = encode_point(&point).map(|bytes| hex(&bytes)).unwrap_or_default();
    let by = key.as_ref().map_or_else(|| public_key.clone(), |name| format!("key {name:?}"));
    let verdict = Verdict {
        valid: fault.is_none(),
        key,
        checked,
        public_key,
        digest: digest.hex(),
        low_s: signature.ok().map(|signature| ecdsa::is_low_s(&signature.s)),
    };
    match fault {
        None => Output::new(verdict, format!("valid signature by {by}")),
        Some(why) => {
            let failure = Failure::new(Code::Invalid, format!("invalid signature for {by}: {why}"));
            Ok(Output::new(verdict, "")?.but(failure))
        }
    }
}

/// The fault of the signature; `None` if it is valid.
fn fault(
    signature: Option<&Signature>,
    key: &AffinePoint,
    digest: &[u8; 32],
    require_low_s: bool,
) -> Option<&'static str> {
    let Some(signature) = signature else {
        return Some("it is neither strict DER nor 64 or 65 bytes in range");
    };
    if !ecdsa::verify::<k256::Secp256k1>(key, digest, &signature.r, &signature.s) {
        Some("it does not fit the digest and the key")
    } else if require_low_s && !ecdsa::is_low_s(&signature.s) {
        Some("its s is in the upper half")
    } else if signature.recovery_id.is_some_and(|id| !recovers(signature, id, key, digest)) {
        Some("its recovery id leads to another key")
    } else {
        None
    }
}

/// Whether the recovery id gives `key`.
fn recovers(signature: &Signature, id: u8, key: &AffinePoint, digest: &[u8; 32]) -> bool {
    // The library recovers only from low s; negating s mirrors the nonce point.
    let (s, id) = match ecdsa::is_low_s(&signature.s) {
        true => (signature.s, id),
        false => (-signature.s, id ^ 1),
    };
    recovered(&signature.r, &s, id, digest).is_some_and(|point| point == *key)
}

fn recovered(r: &Scalar, s: &Scalar, id: u8, digest: &[u8; 32]) -> Option<AffinePoint> {
    use k256::ecdsa::{RecoveryId, VerifyingKey};
    let signature = k256::ecdsa::Signature::from_scalars(*r, *s).ok()?;
    let id = RecoveryId::from_byte(id)?;
    VerifyingKey::recover_from_prehash(digest, &signature, id).ok().map(|key| *key.as_affine())
}
