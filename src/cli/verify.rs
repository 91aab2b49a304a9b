//! `cosign verify`

use k256::Secp256k1;
use p256::NistP256;
use serde::Serialize;

use super::args::{KeyName, VerifyArgs};
use super::chosen::{Chosen, chain_code, chosen};
use super::digest::Digest;
use super::{Global, Output, digest, public_key, signature};
use crate::crypto::curve::{AffinePoint, Curve, encode_point};
use crate::crypto::ecdsa;
use crate::device::hex;
use crate::pasted::{PublicKey, Signature};
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
    let (key, checked, point) = match &args.public_key {
        Some(argument) => (None, None, public_key::read(argument, args.curve)?),
        None => {
            let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
            let Chosen { record, mut vault } = chosen(global, name.as_deref(), "--key NAME")?;
            let chain_code = || chain_code(global, &mut vault, &record);
            let key = public_key::derived((record.curve, &record.public_key), &path, chain_code)?;
            (Some(below(&record.name, &path)), Some(vault.is_some()), key)
        }
    };
    let named = Named { key, checked };
    match point {
        PublicKey::Secp256k1(point) => judged::<Secp256k1>(named, &point, &digest, &args),
        PublicKey::P256(_) if !is_of_every_curve(&digest.source) => {
            Err(Failure::new(Code::Usage, "a key on P-256 signs nothing of a wallet")
                .hint("wallets have keys on secp256k1; --file and a digest go with both curves"))
        }
        PublicKey::P256(point) => judged::<NistP256>(named, &point, &digest, &args),
    }
}

/// What is known of a key besides its point.
struct Named {
    key: Option<String>,
    checked: Option<bool>,
}

/// Whether keys on any curve sign such things; the rest is of wallets.
fn is_of_every_curve(source: &Source) -> bool {
    matches!(source, Source::Digest | Source::File { .. })
}

fn judged<C: Curve>(
    Named { key, checked }: Named,
    point: &AffinePoint<C>,
    digest: &Digest,
    args: &VerifyArgs,
) -> Result<Output, Failure> {
    let signature = signature::read::<C>(&args.signature, &digest.source)?;
    let fault = fault::<C>(signature.as_ref().ok(), point, &digest.bytes, args.require_low_s);
    let public_key = encode_point(point).map(|bytes| hex(&bytes)).unwrap_or_default();
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
fn fault<C: Curve>(
    signature: Option<&Signature<C>>,
    key: &AffinePoint<C>,
    digest: &[u8; 32],
    require_low_s: bool,
) -> Option<&'static str> {
    let Some(signature) = signature else {
        return Some("it is neither strict DER nor 64 or 65 bytes in range");
    };
    if !ecdsa::verify::<C>(key, digest, &signature.r, &signature.s) {
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
fn recovers<C: Curve>(
    signature: &Signature<C>,
    id: u8,
    key: &AffinePoint<C>,
    digest: &[u8; 32],
) -> bool {
    // The id is computed for low s alone; negating s mirrors the nonce point.
    let (s, id) = match ecdsa::is_low_s(&signature.s) {
        true => (signature.s, id),
        false => (-signature.s, id ^ 1),
    };
    let made = ecdsa::Signature::<C>::recover(key, digest, &signature.r, &s);
    made.is_some_and(|made| made.recovery_id == id)
}
