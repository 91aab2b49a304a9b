//! The inventory of a device that listens: its peers, its keys, and recent ceremonies.

use crate::device::Fingerprint;
use crate::driver::{Node, clock, records};
use crate::progress::{Event, KnownKey, KnownPeer, PastCeremony};
use crate::report::Failure;
use crate::vault::{KeyRecord, KeyState, Log, Peers, keys};

/// How many recent ceremonies are listed.
const RECENT: usize = 20;

/// The inventory of now.
///
/// # Errors
/// The files cannot be read.
pub(super) fn inventory(node: &Node) -> Result<Event, Failure> {
    let peers = node.peers()?;
    let now = clock::unix_now();
    let known = peers.iter().filter(|peer| !peer.is_expired(now)).map(|peer| KnownPeer {
        name: peer.name.clone(),
        fingerprint: peer.fingerprint,
        expires: peer.expires.map(clock::rfc3339),
    });
    let latest = Log::latest(&node.home, RECENT)?;
    let recent = latest.iter().rev().map(|entry| PastCeremony {
        time: clock::rfc3339(entry.time),
        ceremony: entry.ceremony.clone(),
        key: entry.key.clone(),
        with: names(&entry.peer, &peers),
        purpose: entry.purpose.clone(),
        outcome: entry.outcome.clone(),
    });
    let mut all: Vec<KnownKey> = Vec::new();
    let mut records = keys::list(&node.home)?;
    records::name_parties(&node.home, &mut records);
    for record in records {
        // A refresh that was begun has a record beside the one that signs.
        if !all.iter().any(|key| key.name == record.name) {
            all.push(key(&record));
        }
    }
    Ok(Event::Inventory { peers: known.collect(), keys: all, recent: recent.collect() })
}

fn key(record: &KeyRecord) -> KnownKey {
    KnownKey {
        name: record.name.clone(),
        public_key: crate::device::hex(&record.public_key),
        threshold: record.threshold,
        parties: record.parties.iter().map(|party| party.name.clone()).collect(),
        confirmed: record.state == KeyState::Active,
    }
}

/// The names of the devices with these fingerprints in `peers.json`; the id of one that is not
/// there.
pub(super) fn names(fingerprints: &str, peers: &Peers) -> String {
    let name = |text: &str| match text.trim().parse::<Fingerprint>() {
        Ok(fingerprint) => peers
            .known(&fingerprint)
            .map_or_else(|| fingerprint.device_id(), |peer| peer.name.clone()),
        Err(_) => text.to_owned(),
    };
    fingerprints.split(',').map(name).collect::<Vec<_>>().join(", ")
}
