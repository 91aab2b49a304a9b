//! `cosign log`

use serde_json::json;

use super::args::LogArgs;
use super::{Global, Output, unlock};
use crate::report::Failure;
use crate::run::clock;
use crate::vault::{Entry, Log};

/// Prints the log, or checks its chain.
pub(super) fn run_log(global: &Global, args: LogArgs) -> Result<Output, Failure> {
    let home = unlock::home(global)?;
    if args.verify {
        let count = Log::verify(&home)?;
        let text = format!("the chain of {count} entries is whole");
        return Output::new(json!({ "valid": true, "entries": count }), text);
    }
    let entries = Log::entries(&home)?;
    let text: String = entries.iter().map(|entry| line(entry) + "\n").collect();
    Output::new(json!({ "entries": entries }), text)
}

/// `2026-06-15T10:00:00Z  sign  done  key "vault"  with "bob"  5a7f…  for "release 1.2"`
fn line(entry: &Entry) -> String {
    let Entry { time, ceremony, key, digest, peer, purpose, outcome, .. } = entry;
    let mut line = format!("{}  {ceremony}  {outcome}", clock::rfc3339(*time));
    for (word, text) in [("key", key), ("with", peer), ("for", purpose)] {
        if !text.is_empty() {
            line += &format!("  {word} {text:?}");
        }
    }
    if !digest.is_empty() {
        line += &format!("  digest {digest}");
    }
    line
}
