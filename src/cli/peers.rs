//! `cosign peers`

use serde::Serialize;
use serde_json::json;

use super::args::PeersCommand;
use super::ceremony::{unopened, with_port};
use super::output::Table;
use super::{Global, Output, unlock};
use crate::device::{Fingerprint, Label, visible};
use crate::driver::clock;
use crate::report::{Code, Failure, here};
use crate::vault::{Error, Home, KeyRecord, PeerRecord, Peers, Vault, addresses, keys};

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    /// The name that rules of a policy mean it by, where it has given itself another since.
    #[serde(skip_serializing_if = "Option::is_none")]
    paired_as: Option<&'a str>,
    fingerprint: String,
    paired: String,
    expires: Option<String>,
    status: &'static str,
    /// For people.
    #[serde(skip)]
    ends: String,
    /// The keys that this device shares with it, which sign whether it is paired or not.
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    /// The version of its program, as it last told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
}

/// Runs one of `cosign peers`.
pub(super) fn run_peers(global: &Global, command: PeersCommand) -> Result<Output, Failure> {
    let home = match &command {
        PeersCommand::List => unlock::look(global)?.0,
        command => {
            possible(command, &unopened(global)?)?;
            unlock::to_change(global)?
        }
    };
    match command {
        PeersCommand::List => list(&home),
        PeersCommand::Add { name, fingerprint, address } => add(&home, name, &fingerprint, address),
        PeersCommand::Rename { old, new } => {
            Peers::rename(&home, &old, &new)?;
            Output::new(json!({ "name": new, "was": old }), format!("{old:?} is now {new:?}"))
        }
        PeersCommand::Forget { name } => {
            let PeerRecord { name, fingerprint, .. } = Peers::forget(&home, &name)?;
            let mut text = format!("{name:?} is forgotten: new keys with it need a new pairing");
            let keys = shared(&keys::list(&home)?, &fingerprint);
            if !keys.is_empty() {
                text += &format!("\nit still signs with this device under {}", keys.join(", "));
            }
            let result = json!({ "name": name, "fingerprint": fingerprint.to_hex(), "keys": keys });
            Output::new(result, text)
        }
    }
}

/// Fails if the command cannot succeed even with the vault open.
fn possible(command: &PeersCommand, home: &Home) -> Result<(), Failure> {
    match command {
        PeersCommand::List => Ok(()),
        PeersCommand::Add { name, fingerprint, address } => {
            is_new(home, name, fingerprint, address.as_deref()).map(drop)
        }
        PeersCommand::Rename { old: name, .. } | PeersCommand::Forget { name } => {
            match Peers::load(home)?.named(name) {
                Some(_) => Ok(()),
                None => Err(Error::NotFound { what: "peer", name: name.clone() }.into()),
            }
        }
    }
}

fn list(home: &Home) -> Result<Output, Failure> {
    let peers = Peers::load(home)?;
    let now = clock::unix_now();
    // `keys list` reports keys that cannot be read.
    let all: Vec<KeyRecord> = keys::each(home)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(_, key)| key.unwrap_or_default())
        .collect();
    let rows: Vec<Row<'_>> = peers.iter().map(|peer| row(home, &all, peer, now)).collect();
    let mut table = Table::new(["NAME", "STATUS", "ID", "ENDS", "VERSION", "ADDRESS"]);
    for row in &rows {
        let name = match row.paired_as {
            Some(was) => format!("{} (paired as {})", visible(row.name), visible(was)),
            None => visible(row.name),
        };
        table.row([
            &name,
            &row.state(),
            row.fingerprint.get(..16).unwrap_or_default(),
            &row.ends,
            row.program.as_deref().unwrap_or("-"),
            row.address.unwrap_or("-"),
        ]);
    }
    let text = if rows.is_empty() {
        "no devices are paired\nnext: cosign pair, while the other device runs cosign listen"
            .to_owned()
    } else {
        table.text()
    };
    Output::new(json!({ "peers": rows, "checked": home.checks() }), text)
}

impl Row<'_> {
    fn state(&self) -> String {
        match (self.status, self.keys.as_slice()) {
            ("expired", [key]) => format!("shares key {key}"),
            ("expired", [_, ..]) => format!("shares keys {}", self.keys.join(", ")),
            (status, _) => status.to_owned(),
        }
    }
}

fn row<'a>(home: &Home, all: &[KeyRecord], peer: &'a PeerRecord, now: i64) -> Row<'a> {
    Row {
        name: &peer.name,
        paired_as: peer.paired_as.as_deref(),
        fingerprint: peer.fingerprint.to_hex(),
        paired: clock::rfc3339(peer.paired_at),
        expires: peer.expires.map(clock::rfc3339),
        status: if peer.is_expired(now) { "expired" } else { "paired" },
        ends: ends(peer.expires, now),
        keys: shared(all, &peer.fingerprint),
        address: peer.address.as_deref(),
        program: addresses::program(home, &peer.fingerprint).ok().flatten(),
    }
}

/// The end of a pairing, for people.
fn ends(expires: Option<i64>, now: i64) -> String {
    let Some(end) = expires else { return "never".to_owned() };
    match end.saturating_sub(now) {
        ..=0 => "over".to_owned(),
        left @ ..60 => format!("{left} s left"),
        left => format!("{} min left", left / 60),
    }
}

/// The names of the keys that the device with this fingerprint is a party of.
fn shared(all: &[KeyRecord], fingerprint: &Fingerprint) -> Vec<String> {
    let is_party = |key: &&KeyRecord| key.parties.iter().any(|p| p.fingerprint == *fingerprint);
    let mut names: Vec<String> = all.iter().filter(is_party).map(|key| key.name.clone()).collect();
    names.dedup();
    names
}

fn add(
    home: &Home,
    name: String,
    fingerprint: &str,
    address: Option<String>,
) -> Result<Output, Failure> {
    let fingerprint = is_new(home, &name, fingerprint, address.as_deref())?;
    let paired_at = clock::unix_now();
    let record = PeerRecord {
        name: name.clone(),
        fingerprint,
        address,
        paired_at,
        expires: None,
        paired_as: None,
    };
    Peers::add(home, &record)?;
    let text = format!("{name:?} is pinned to fingerprint {fingerprint}");
    Output::new(json!({ "name": name, "fingerprint": fingerprint.to_hex() }), text)
}

/// The fingerprint, if a device with it can get `name` here.
fn is_new(
    home: &Home,
    name: &str,
    fingerprint: &str,
    address: Option<&str>,
) -> Result<Fingerprint, Failure> {
    let fingerprint: Fingerprint = fingerprint.parse().map_err(|_| {
        let shown = Label::capped(fingerprint, 80);
        Failure::new(Code::Usage, format!("--fingerprint {shown}: not a fingerprint"))
            .hint("64 hexadecimal digits, as `cosign id` prints on the other device")
    })?;
    if let Some(text) = address {
        with_port("--address", text)?;
    }
    if Vault::exists(home) && Vault::device(home)?.fingerprint == fingerprint {
        return Err(Failure::new(Code::Usage, "this is the fingerprint of this very device")
            .hint("run `cosign id` on the other one"));
    }
    if let Some(old) = Peers::load(home)?.known(&fingerprint).filter(|old| !old.is_called(name)) {
        // The rules of a policy file name devices: none may stop to apply unnoticed.
        let why = format!("the device with this fingerprint is known as {:?}", old.name);
        return Err(Failure::new(Code::Conflict, why).hint(format!(
            "for another name run {}",
            here(&["peers", "rename"], &[&old.name, name])
        )));
    }
    Ok(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_pairing_is_said_in_minutes() {
        let left = |seconds: i64| ends(Some(1_790_000_000 + seconds), 1_790_000_000);
        assert_eq!(left(30 * 60 - 1), "29 min left");
        assert_eq!((left(60), left(59)), ("1 min left".to_owned(), "59 s left".to_owned()));
        assert_eq!((left(0), left(-1)), ("over".to_owned(), "over".to_owned()));
        assert_eq!(ends(None, 0), "never");
    }
}
