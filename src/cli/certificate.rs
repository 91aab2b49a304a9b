//! `cosign keys export --format openpgp`: a certificate, which the key signs once.
//!
//! The signature is kept as every other one, under the id of its request. That id says of which key and user id it is,
//! when it was made and until when the key is used, so that the certificate can be written again.

use serde_json::json;

use super::args::{ExportArgs, KeyName, PayloadArgs, PaymentArgs, SignArgs};
use super::chosen::{Chosen, chain_code, chosen};
use super::digest::{self, Digest};
use super::output::Sink;
use super::sign::{Formed, made};
use super::{Global, Output, public_key};
use crate::curve::CurveName;
use crate::device::hex;
use crate::driver::ceremony::sign;
use crate::payload::HashFunction;
use crate::payload::curve::Curve;
use crate::payload::openpgp::Key;
use crate::report::{self, Failure};
use crate::request::{CERTIFICATE, RequestId, below};
use crate::vault::signatures;

/// Exports a certificate, and has it signed if there is none yet.
pub(super) fn run_certificate(global: &Global, args: ExportArgs) -> Result<Output, Failure> {
    let ExportArgs { name, path, uid, expires, with, output, reach, .. } = args;
    let (uid, expires) = (uid.unwrap_or_default(), expires.map(|day| day.0));
    let sink = Sink::new(output.as_deref(), false, global.args.json)?;
    let (name, path) = KeyName::with(name.as_ref(), path.as_ref())?;
    let Chosen { record, mut vault } = chosen(global, name.as_deref(), "NAME")?;
    let chain_code = || chain_code(global, &mut vault, &record);
    let child = public_key::derived((record.curve, &record.public_key), &path, chain_code)?;
    let child = child.compressed().ok_or_else(report::bad_path)?;
    let key = Key::new(Curve::named(record.curve), &child).ok_or_else(report::bad_path)?;
    drop(vault);

    let kept = Made::kept(global, &key, (record.curve, &child), &uid)?;
    let kept = kept.into_iter().filter(|made| expires.is_none() || made.expires == expires);
    let made_at = match kept.max_by_key(|made| made.time) {
        Some(made) => made,
        None => Made { time: digest::now()?, expires },
    };
    let digest = Digest::of_user_id(&uid, made_at.time, made_at.expires)?;
    let sign = SignArgs {
        digest: None,
        payload: PayloadArgs::default(),
        payment: PaymentArgs::default(),
        finalize: false,
        key: Some(KeyName { name: record.name.clone(), steps: super::args::Steps(path.clone()) }),
        path: None,
        with,
        purpose: None,
        deliver_to: None,
        format: None,
        detached: false,
        output: None,
        force: false,
        request_id: Some(made_at.id(&key, &uid)),
        wait: false,
        port: None,
        bind: None,
        reach,
    };
    let outcome = made(global, sign, digest)?;
    let signature = outcome.signatures.first();
    let Some(Formed::OpenPgp(text)) = signature.and_then(|made| Formed::of(&outcome, made)) else {
        return Err(report::bug("a certificate was signed and cannot be written"));
    };
    let result = json!({
        "name": below(&record.name, &path),
        "public_key": hex(&child),
        "exported": text.trim_end(),
        "checked": true,
    });
    Output::with_body(result, sink.put(text.into_bytes())?)
}

/// Whether a certificate of a key and this user id is kept.
pub(super) fn is_kept(
    global: &Global,
    key: &Key,
    public_key: (CurveName, &[u8; 33]),
    uid: &str,
) -> Result<bool, Failure> {
    Ok(!Made::kept(global, key, public_key, uid)?.is_empty())
}

/// When a certificate was made, and until when its key is used, in seconds since 1970.
struct Made {
    time: u32,
    expires: Option<u32>,
}

impl Made {
    /// Those that are kept of a key and this user id. The id of a request is its requester's word, so each
    /// is compared with what it says.
    fn kept(
        global: &Global,
        key: &Key,
        public_key: (CurveName, &[u8; 33]),
        uid: &str,
    ) -> Result<Vec<Self>, Failure> {
        let home = super::given::home(global)?;
        let prefix = stem(key, uid);
        let read = |id: &str| {
            let (time, expires) = id.strip_prefix(&prefix)?.split_once('-')?;
            let expires = expires.parse().ok().filter(|expires| *expires != 0);
            Some(Self { time: time.parse().ok()?, expires })
        };
        let mut all = Vec::new();
        for id in signatures::ids(&home)? {
            let Some((made, id)) = read(&id).zip(RequestId::new(&id)) else { continue };
            let certified = key.certify(uid.as_bytes(), made.time, made.expires);
            let Ok((digest, _)) = certified else { continue };
            if sign::keeps(&home, &id, public_key, &digest)? {
                all.push(made);
            }
        }
        Ok(all)
    }

    /// The id of the request for it.
    fn id(&self, key: &Key, uid: &str) -> String {
        format!("{}{}-{}", stem(key, uid), self.time, self.expires.unwrap_or_default())
    }
}

/// The beginning of the ids of requests for certificates of `key` and this user id.
fn stem(key: &Key, uid: &str) -> String {
    let fingerprint = hex(key.fingerprint.get(12..).unwrap_or_default());
    let user_id = hex(&HashFunction::Sha256.of(uid.as_bytes()));
    format!("{CERTIFICATE}{fingerprint}-{}-", user_id.get(..8).unwrap_or_default())
}
