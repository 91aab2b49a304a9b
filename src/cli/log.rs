//! `cosign log`

use serde_json::{Value, json};

use super::args::LogArgs;
use super::inventory::names;
use super::output::Body;
use super::{Global, Output, unlock};
use crate::device::visible;
use crate::driver::clock;
use crate::report::{Code, Failure};
use crate::vault::{Chain, Entry, Error, Log, Peers, Vault};

/// Prints the log, or checks its chain.
pub(super) fn run_log(global: &Global, args: LogArgs) -> Result<Output, Failure> {
    let (home, _) = unlock::look(global)?;
    let checked = home.checks();
    if args.verify {
        return match Log::verify(&home) {
            Ok(Chain { entries: 0, .. }) if !Vault::exists(&home) => {
                let why = format!("there is no log in {}", home.state.display());
                Err(Failure::new(Code::NotFound, why).hint("is --home or COSIGN_HOME right?"))
            }
            Ok(chain) => {
                let Chain { entries, attested, head_lost } = &chain;
                let result = json!({
                    "valid": true, "entries": entries, "attested": attested, "head_lost": head_lost,
                    "checked": checked,
                });
                let remarks: String =
                    remarks(&chain).iter().map(|remark| format!("\nnote: {remark}")).collect();
                Output::new(result, format!("the chain of {entries} entries is whole{remarks}"))
            }
            Err(Error::BadLine { line, why }) => {
                let altered = Error::BadLine { line, why };
                let result = json!({ "valid": false, "line": line, "checked": checked });
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
    if checked {
        Log::verify(&home)?;
    }
    Output::new(json!({ "entries": entries, "checked": checked }), text)
}

/// Remarks on a whole log: where lines may be missing unnoticed.
pub(super) fn remarks(chain: &Chain) -> Vec<String> {
    let unknown = |place: String| format!("{place}: lines may have been cut off there");
    let lost = chain.head_lost.iter().map(|line| format!("log.head was lost before line {line}"));
    let end = format!("log.head is missing, which attests that line {} is the last", chain.entries);
    lost.chain((!chain.attested).then_some(end)).map(unknown).collect()
}

/// `2026-06-15T10:00:00Z  sign  done  key "vault"  with "bob"  5a7f…  for "release 1.2"`
fn line(entry: &Entry, peers: &Peers) -> String {
    let Entry { time, ceremony, key, digest, peer, purpose, outcome, extra } = entry;
    let mut line = format!("{}  {ceremony}  {outcome}", clock::rfc3339(*time));
    if let Some(by) = extra.get("by").and_then(Value::as_str) {
        line += &format!("  by {}", visible(by));
    }
    let who = names(peer, peers);
    for (word, text) in [("key", key), ("with", &who), ("for", purpose)] {
        if !text.is_empty() {
            line += &format!("  {word} {}", visible(&format!("{text:?}")));
        }
    }
    if let Some(user_id) = extra.get("user_id").and_then(Value::as_str) {
        line += &format!("  user id {}", visible(&format!("{user_id:?}")));
    }
    if !digest.is_empty() {
        line += &format!("  digest {digest}");
    }
    line
}
