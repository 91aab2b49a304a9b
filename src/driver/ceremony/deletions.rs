//! Deleted shares: the other parties are told at the next contact, and their own claims are stored
//! as unverified.

use std::time::Instant;

use crate::device::{Fingerprint, Label};
use crate::driver::connect::hello::{hear, say};
use crate::driver::error::{About, Error};
use crate::driver::told::Note;
use crate::driver::{Node, clock};
use crate::net::LinkError;
use crate::net::resumable::ResumableLink;
use crate::request::{Hex, Request};
use crate::vault::{Entry, KeyRecord, KeyState, deleted, keys};
use crate::wire::{Message, Proposal, Reason};

/// Most deletions that a caller may report before its proposal.
const AT_MOST: usize = 16;

/// Tells the device at the other end for which common keys this device has deleted its share.
///
/// # Errors
/// The link is down.
pub async fn tell(node: &Node, link: &mut ResumableLink) -> Result<(), LinkError> {
    // If the file cannot be read, nothing is told and the ceremony goes on.
    let deleted = deleted::shared_with(&node.home, &link.peer()).unwrap_or_default();
    for stone in deleted.into_iter().rev().take(AT_MOST) {
        say(link, &Message::Deleted { public_key: Hex(stone.public_key), time: stone.time })
            .await?;
    }
    Ok(())
}

/// The caller's proposal. Before it the caller may report deleted shares.
pub async fn hear_proposal(
    node: &Node,
    link: &mut ResumableLink,
    within: Instant,
) -> Option<Proposal> {
    for _ in 0..=AT_MOST {
        match hear(link, within).await.ok()? {
            Message::Propose(proposal) => return Some(*proposal),
            Message::Deleted { public_key, time } => {
                heard(node, &link.peer(), &public_key.0, time);
            }
            _ => return None,
        }
    }
    None
}

/// Stores and reports the claim of `peer` that it has deleted its share of a key.
pub fn heard(node: &Node, peer: &Fingerprint, public_key: &[u8; 33], time: i64) {
    let Ok(Some(key)) = keys::of_public_key(&node.home, public_key) else { return };
    match deleted::claim(&node.home, &key, peer, time) {
        Ok(false) => {}
        Ok(true) => {
            node.log(Entry {
                time: clock::unix_now(),
                ceremony: "delete".to_owned(),
                key: key.name.clone(),
                peer: peer.to_hex(),
                outcome: "told".to_owned(),
                ..Entry::default()
            });
            node.tell(Note::Deleted { peer: node.name_of(peer), key: key.name, time });
        }
        Err(error) => node.tell(Note::File(error)),
    }
}

/// The reason for `requester` if no share here fits `request`.
pub fn reason(node: &Node, request: &Request, requester: &Fingerprint) -> Reason {
    // The key may be here, in a format of a later version.
    if keys::is_newer(&node.home, &request.key) {
        return Reason::Version;
    }
    let stones = deleted::shared_with(&node.home, requester).unwrap_or_default();
    let stone = stones.into_iter().find(|stone| Some(&stone.public_key) == public_key(request));
    match stone {
        Some(stone) => Reason::Deleted { time: stone.time },
        None if is_outdated(node, request) => Reason::RolledBack,
        None => Reason::UnknownKey,
    }
}

/// Whether this device has shares of the key of `request` that are newer than all that the requester
/// offers: a reshare was made without the requester, or its data was rolled back.
fn is_outdated(node: &Node, request: &Request) -> bool {
    let newest = request.epochs().iter().map(|held| held.generation).max().unwrap_or_default();
    // Of two changes of one epoch, which have one generation, the requester may have the other one.
    let is_without = |record: &KeyRecord| {
        let requester = request.asked_by();
        record.generation == newest
            && record.state == KeyState::Active
            && !record.parties.iter().any(|party| party.fingerprint == requester)
    };
    let is_newer = |record: &KeyRecord| {
        Some(&record.public_key) == public_key(request)
            && (record.generation > newest || is_without(record))
    };
    keys::list(&node.home).is_ok_and(|records| records.iter().any(is_newer))
}

/// The error if `peer`, called `name`, refuses `request`.
pub fn refused(
    node: &Node,
    peer: &Fingerprint,
    name: &Label,
    reason: Reason,
    request: &Request,
) -> Error {
    let Reason::Deleted { time } = reason else {
        let others =
            request.parties.iter().filter(|who| *who != peer && **who != node.info.fingerprint);
        let others = others.map(|who| node.name_of(who)).collect();
        let about = About { key: request.key.clone(), ceremony: request.ceremony(), others };
        return Error::Refused { peer: name.clone(), reason, about: Some(about) };
    };
    if let Some(public_key) = public_key(request) {
        heard(node, peer, public_key, time);
    }
    let others_suffice = request.parties.len() > usize::from(request.threshold);
    Error::DeletedThere { peer: name.clone(), time, key: request.key.clone(), others_suffice }
}

/// Removes the claim of `peer` that its share is deleted: it takes part with it.
pub fn refuted(node: &Node, peer: &Fingerprint, request: &Request) {
    if let Some(public_key) = public_key(request) {
        // A failure is ignored: the note is only for people.
        let _ = deleted::refute(&node.home, public_key, peer);
    }
}

fn public_key(request: &Request) -> Option<&[u8; 33]> {
    request.shares().map(|shares| &shares.public_key)
}
