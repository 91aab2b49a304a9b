//! Confirmations: each party says that it has stored its share of an epoch (docs/protocol.md §3.4
//! round 4, §3.5).
//!
//! A confirmation is a hash that every party can compute for every other one. So it counts only if
//! it comes from its own party, over the link with that party. It is stored before anything rests
//! on it, and verified whenever it is read. When all confirmations of an epoch are here, the epoch
//! becomes the active one, and only then are older shares destroyed.

use std::collections::BTreeSet;

use crate::device::Label;
use crate::driver::connect::peer_links::{Incoming, PeerLinks, name_in};
use crate::driver::error::{Awaited, Error};
use crate::driver::on_curve::{Awaited as Expected, Statements};
use crate::driver::told::Note;
use crate::driver::{Node, ROUND, records};
use crate::net::LinkError;
use crate::party::PartyId;
use crate::request::{Ceremony, Request};
use crate::secret::Secret;
use crate::vault::{self, Confirmed, Home, KeyRecord, KeyState, Parting, keys};
use crate::wire::Message;

/// Bytes of an epoch and a party's confirmation of it.
const ENTRY: usize = 64;

/// Which confirmations of an epoch are stored here.
#[derive(Debug)]
pub struct Stored {
    /// The parties whose confirmation is not here, by index.
    pub missing: BTreeSet<PartyId>,
    /// Notes about confirmations that do not verify.
    pub wrong: Vec<Note>,
}

/// Which confirmations of `record` are stored here. Those that do not verify are ignored.
///
/// # Errors
/// The file that they are checked against is missing, or is of another epoch.
pub fn stored(home: &Home, record: &KeyRecord) -> Result<Stored, Error> {
    let confirmation = of_epoch(home, record)?;
    let mut missing: BTreeSet<PartyId> = confirmation.peers().into_iter().collect();
    let mut wrong = Vec::new();
    let statements = match keys::confirmed(home, &record.name, &record.epoch) {
        Err(error @ vault::Error::Corrupt { .. }) => {
            wrong.push(Note::Misfit(error));
            Vec::new()
        }
        read => read?,
    };
    for Confirmed { party, statement } in statements {
        if confirmation.verify(party, &statement) {
            missing.remove(&party);
        } else {
            wrong.push(Note::WrongConfirmation { party, key: record.name.clone() });
        }
    }
    Ok(Stored { missing, wrong })
}

/// The parties whose confirmation of `record` is not here. A note is told for each that does not
/// verify.
///
/// # Errors
/// As for [`stored`].
pub fn missing(node: &Node, record: &KeyRecord) -> Result<BTreeSet<PartyId>, Error> {
    let Stored { missing, wrong } = stored(&node.home, record)?;
    wrong.into_iter().for_each(|note| node.tell(note));
    Ok(missing)
}

/// The value that the confirmations of `record` are checked against.
fn of_epoch(home: &Home, record: &KeyRecord) -> Result<Statements, Error> {
    let bytes = keys::confirmation(home, &record.name, &record.epoch)?;
    let confirmation = Statements::from_bytes(record.curve, &bytes);
    let fits = |confirmation: &Statements| {
        *confirmation.epoch() == record.epoch
            && confirmation.me() == record.me
            && confirmation.peers().len().saturating_add(1) == record.parties.len()
    };
    confirmation.filter(fits).ok_or_else(|| Error::DamagedShare(record.name.clone()))
}

/// Makes the newest epoch that everybody has confirmed the active one, if it is not yet.
///
/// # Errors
/// The share does not open, or the disk fails.
pub fn settle(node: &Node, name: &str) -> Result<(), Error> {
    let pending = |record: &KeyRecord| record.state == KeyState::Pending;
    for record in records::held(&node.home, name)?.iter().filter(|record| pending(record)) {
        if missing(node, record)?.is_empty() {
            return Ok(node.vault.activate(name, &record.epoch)?);
        }
    }
    Ok(())
}

/// Exchanges confirmations with all participants of `request`: each sends those of every epoch of these
/// parties that it has.
///
/// # Errors
/// A party is gone or sends nonsense. The confirmations of the others are stored.
pub async fn exchange(
    node: &Node,
    name: &str,
    request: &Request,
    links: &mut PeerLinks,
) -> Result<(), Error> {
    let mut records = records::held(&node.home, name)?;
    // Before and after a reshare the parties have other indices.
    records.retain(|record| records::is_of(record, request));
    let mut own = Vec::new();
    for record in &records {
        // A confirmation that is damaged here is skipped; the others are sent.
        let Ok(confirmation) = of_epoch(&node.home, record) else { continue };
        own.extend_from_slice(confirmation.epoch());
        own.extend_from_slice(&confirmation.message());
    }
    let takes = |party, name: &Label, bytes: &[u8]| take(node, &records, party, name, bytes);
    swap(node, name, own, links, takes).await
}

/// Hears the confirmations of all participants for a device that leaves, and has none. `expected` is what
/// they are held against.
///
/// # Errors
/// As for [`exchange`].
pub(super) async fn hear(
    node: &Node,
    name: &str,
    expected: &Expected,
    links: &mut PeerLinks,
) -> Result<(), Error> {
    let takes = |party, from: &Label, bytes: &[u8]| {
        let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(Error::nonsense(from)) };
        for entry in entries {
            let Some((epoch, said)) = entry.split_first_chunk::<32>() else { continue };
            let Some(statement) = said.first_chunk::<32>().filter(|_| epoch == expected.epoch())
            else {
                continue;
            };
            if !expected.verify(party, statement) {
                let (peer, key) = (from.clone(), name.to_owned());
                return Err(Error::WrongConfirmation { peer, key });
            }
            store(node, (name, epoch), party, *statement)?;
        }
        Ok(())
    };
    swap(node, name, Vec::new(), links, takes).await
}

/// Says once more to a device that leaves that this device's share is stored, of an epoch that it has no more.
///
/// # Errors
/// As for [`exchange`].
pub(super) async fn tell_again(
    node: &Node,
    name: &str,
    Parting { epoch, statement, .. }: &Parting,
    links: &mut PeerLinks,
) -> Result<(), Error> {
    let own = [*epoch, *statement].concat();
    let takes = |_, from: &Label, bytes: &[u8]| match bytes {
        // Who leaves has none.
        [] => Ok(()),
        _ => Err(Error::nonsense(from)),
    };
    swap(node, name, own, links, takes).await
}

/// Sends `own` to all participants, and takes what each of them sends.
async fn swap(
    node: &Node,
    name: &str,
    own: Vec<u8>,
    links: &mut PeerLinks,
    takes: impl Fn(PartyId, &Label, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let names = links.names();
    let name_of = |party: PartyId| name_in(&names, party);
    let mut awaited: BTreeSet<PartyId> = names.keys().copied().collect();
    let mut outcome = Ok(());
    for party in names.keys() {
        let sent = links.send(*party, Secret::new(own.clone())).await;
        outcome = outcome.and(sent);
    }
    let deadline = node.deadline_within(ROUND);
    while let Some(slow) = awaited.first() {
        let Some((party, incoming)) = links.recv_before(deadline).await else {
            return outcome.and(Err(Error::timed_out(&name_of(*slow), Awaited::Confirmation)));
        };
        let taken = match incoming {
            Incoming::Protocol(bytes) => takes(party, &name_of(party), &bytes),
            Incoming::Lost(_) | Incoming::Control(Message::Finished)
                if !awaited.contains(&party) =>
            {
                continue;
            }
            Incoming::Control(Message::Finished) => {
                Err(Error::link(&name_of(party), LinkError::Closed))
            }
            Incoming::Control(Message::Refuse { reason }) => {
                Err(Error::refused_in(&name_of(party), reason, Ceremony::Resume, name))
            }
            Incoming::Control(_) => Err(Error::nonsense(&name_of(party))),
            Incoming::Lost(error) => Err(Error::link(&name_of(party), error)),
        };
        awaited.remove(&party);
        outcome = outcome.and(taken);
    }
    outcome
}

/// Stores the confirmations of `party` for those of its epochs that this device has too.
fn take(
    node: &Node,
    records: &[KeyRecord],
    party: PartyId,
    name: &Label,
    bytes: &[u8],
) -> Result<(), Error> {
    for said in read(&node.home, records, party, name, bytes)? {
        let (record, statement) = said?;
        store(node, (&record.name, &record.epoch), party, statement)?;
    }
    Ok(())
}

/// The epochs of `records` that `party` confirms, with its statements, one after another as they
/// were sent. Entries of other epochs are ignored.
///
/// # Errors
/// The message of `party`, called `name`, is malformed, or a statement is not the one that it must
/// have for its epoch.
pub fn read<'a>(
    home: &'a Home,
    records: &'a [KeyRecord],
    party: PartyId,
    name: &'a Label,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = Result<(&'a KeyRecord, [u8; 32]), Error>> + use<'a>, Error> {
    let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(Error::nonsense(name)) };
    Ok(entries.iter().filter_map(move |entry| {
        let (epoch, said) = entry.split_first_chunk::<32>()?;
        let statement = *said.first_chunk::<32>()?;
        let record = records.iter().find(|record| record.epoch == *epoch)?;
        let checked = of_epoch(home, record).and_then(|confirmation| {
            if confirmation.verify(party, &statement) {
                return Ok((record, statement));
            }
            Err(Error::WrongConfirmation { peer: name.clone(), key: record.name.clone() })
        });
        Some(checked)
    }))
}

/// Stores a confirmation that was checked, durably.
///
/// # Errors
/// The disk fails.
pub fn store(
    node: &Node,
    (key, epoch): (&str, &[u8; 32]),
    party: PartyId,
    statement: [u8; 32],
) -> Result<(), Error> {
    let said = Confirmed { party, statement };
    Ok(node.vault.store_confirmed(key, epoch, &said)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::device::Fingerprint;
    use crate::vault::PartyRecord;

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    fn record() -> KeyRecord {
        let record = |index: u8| PartyRecord {
            index: party(index),
            name: format!("party {index}"),
            fingerprint: Fingerprint::new([index; 32]),
        };
        KeyRecord {
            name: "k".to_owned(),
            curve: crate::curve::CurveName::default(),
            public_key: [2; 33],
            threshold: 2,
            me: party(1),
            parties: (1..=3).map(record).collect(),
            epoch: [1; 32],
            generation: 1,
            created: 0,
            state: KeyState::Pending,
            restored: false,
        }
    }

    #[test]
    fn no_share_is_held_against_what_belongs_to_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let folder = home.data.join("keys/k");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let path = folder.join("0101010101010101.confirmation");
        let beside = |epoch: u8, me: u8, parties: u8| {
            fs::write(&path, [&[epoch; 32][..], &[9; 32], &[me, parties]].concat()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            stored(&home, &record())
        };
        assert_eq!(beside(1, 1, 3).unwrap().missing, BTreeSet::from([party(2), party(3)]));
        for (epoch, me, parties) in [(2, 1, 3), (1, 2, 3), (1, 1, 2)] {
            let found = beside(epoch, me, parties);
            assert!(matches!(&found, Err(Error::DamagedShare(name)) if name == "k"), "{found:?}");
        }
    }
}
