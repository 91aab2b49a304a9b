//! `cosign log`

use serde_json::json;

use super::args::LogArgs;
use super::output::Body;
use super::{Global, Output, unlock};
use crate::device::Fingerprint;
use crate::report::Failure;
use crate::run::clock;
use crate::vault::{Entry, Error, Log, Peers};

/// Prints the log, or checks its chain.
pub(super) fn run_log(global: &Global, args: LogArgs) -> Result<Output, Failure> {
    let home = unlock::home(global)?;
    if args.verify {
        return match Log::verify(&home) {
            Ok(count) => {
                let text = format!("the chain of {count} entries is whole");
                Output::new(json!({ "valid": true, "entries": count }), text)
            }
            Err(Error::BadLine { line, why }) => {
                let altered = Error::BadLine { line, why };
                let result = json!({ "valid": false, "line": line });
                Ok(Output::with_body(result, Body::Nothing)?.but(altered.into()))
            }
            Err(e) => Err(e.into()),
        };
    }
    let entries = Log::entries(&home)?;
    let peers = Peers::load(&home)?;
    let text: String = if entries.is_empty() {
        "nothing happened on this device yet\nnext: cosign pair, or cosign demo".to_owned()
    } else {
        entries.iter().map(|entry| line(entry, &peers) + "\n").collect()
    };
    Output::new(json!({ "entries": entries }), text)
}

/// `2026-06-15T10:00:00Z  sign  done  key "vault"  with "bob"  5a7f…  for "release 1.2"`
fn line(entry: &Entry, peers: &Peers) -> String {
    let Entry { time, ceremony, key, digest, peer, purpose, outcome, .. } = entry;
    let mut line = format!("{}  {ceremony}  {outcome}", clock::rfc3339(*time));
    let who = peer.split(", ").map(|peer| name(peer, peers)).collect::<Vec<_>>().join(", ");
    for (word, text) in [("key", key), ("with", &who), ("for", purpose)] {
        if !text.is_empty() {
            line += &format!("  {word} {text:?}");
        }
    }
    if !digest.is_empty() {
        line += &format!("  digest {digest}");
    }
    line
}

/// What a device is called here now; its id if it is not known.
fn name(fingerprint: &str, peers: &Peers) -> String {
    let parsed = fingerprint.parse::<Fingerprint>().ok();
    let known = parsed.as_ref().and_then(|fingerprint| peers.known(fingerprint));
    match (known, parsed) {
        (Some(peer), _) => peer.name.clone(),
        (None, Some(fingerprint)) => fingerprint.device_id(),
        (None, None) => fingerprint.to_owned(),
    }
}
