//! A device that leaves a key by a reshare (docs/protocol.md §8.5).
//!
//! It keeps what the confirmations of the parties then are held against, and destroys its share when it
//! has them all. Until then its share does all that it did: one party's confirmation does not show that
//! the others have new shares, and the reshare may have failed. The parties keep what they said, and say it again
//! when newer shares have taken the place of those; where one of them is gone, only the owner can end it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::device::Fingerprint;
use crate::driver::ceremony::accept::{Ask, accept};
use crate::driver::ceremony::confirmations;
use crate::driver::ceremony::propose::propose_and_start;
use crate::driver::ceremony::requests::{about, asked, invitees, part_after};
use crate::driver::ceremony::started::Started;
use crate::driver::connect::target::Target;
use crate::driver::error::Error;
use crate::driver::on_curve::Awaited;
use crate::driver::{Node, clock, records};
use crate::net::resumable::ResumableLink;
use crate::party::PartyId;
use crate::request::{Action, Held, Hex, Question, Request, Shares};
use crate::vault::{Confirmed, Home, KeyRecord, LeavingRecord, Parting, deleted, keys};
use crate::wire::Terms;

/// Destroys this device's share of the key `name` if it has left that key and all parties of then have
/// confirmed; says whether it did. Waits for running signatures.
///
/// # Errors
/// The disk fails, or the key stays in use.
pub(super) async fn settle(node: &Node, name: &str) -> Result<bool, Error> {
    if !is_complete(&node.home, name)? {
        return Ok(false);
    }
    let _closed = records::quiet(&node.home, &[name.to_owned()], |_, _| {}).await?;
    // While others used the key they may have stored newer shares, which are not given up.
    if !is_complete(&node.home, name)? {
        return Ok(false);
    }
    let records = keys::find(&node.home, name)?;
    deleted::remember(&node.home, &records, clock::unix_now())?;
    node.vault.delete(name)?;
    Ok(true)
}

/// Whether this device leaves the key `name`, has stored no share of it since, and has the confirmation
/// of every party of then.
fn is_complete(home: &Home, name: &str) -> Result<bool, Error> {
    let Some(leaves) = newest(home, name)? else { return Ok(false) };
    Ok(missing(home, name, &leaves)?.is_empty())
}

/// The newest epoch by which this device leaves the key `name`, unless it has stored a share since: it
/// may have promised to keep that one.
pub(super) fn newest(home: &Home, name: &str) -> Result<Option<LeavingRecord>, Error> {
    let held = records::held(home, name)?;
    let is_last = |leaves: &LeavingRecord| held.first().is_some_and(|r| r.epoch == leaves.after);
    Ok(keys::leaving(home, name)?.pop().filter(is_last))
}

/// The parties whose confirmation is not here. Those that do not verify are ignored.
fn missing(home: &Home, name: &str, leaves: &LeavingRecord) -> Result<BTreeSet<PartyId>, Error> {
    let expected = expected(name, leaves)?;
    let mut missing: BTreeSet<PartyId> = expected.parties().into_iter().collect();
    for Confirmed { party, statement } in
        keys::confirmed(home, name, &leaves.epoch).unwrap_or_default()
    {
        if expected.verify(party, &statement) {
            missing.remove(&party);
        }
    }
    Ok(missing)
}

fn expected(name: &str, leaves: &LeavingRecord) -> Result<Awaited, Error> {
    let expected = Awaited::from_bytes(leaves.curve, &leaves.expects);
    let fits = |expected: &Awaited| {
        *expected.epoch() == leaves.epoch && expected.parties().len() == leaves.parties.len()
    };
    expected.filter(fits).ok_or_else(|| Error::DamagedShare(name.to_owned()))
}

/// Gets the missing confirmations from their parties, and destroys this device's share of the key of
/// `record` if they are all here then. Returns the request for the log.
///
/// # Errors
/// The request cannot be made. The inner one: a party cannot be reached, or has no new share.
pub(super) async fn resume(
    node: &Arc<Node>,
    record: &KeyRecord,
    leaves: &LeavingRecord,
    with: &[Target],
) -> Result<(Request, Result<KeyRecord, Error>), Error> {
    let name = record.name.as_str();
    let all: Vec<PartyId> = leaves.parties.iter().map(|party| party.index).collect();
    let everybody = asking(node, record, leaves, &all)?;
    let mut outcome = Ok(());
    for party in missing(&node.home, name, leaves)? {
        let visited = visit(node, record, leaves, party, with).await;
        outcome = outcome.and(visited);
    }
    let result = async {
        // Another process may have destroyed it.
        if settle(node, name).await? || records::find(&node.home, name)?.is_none() {
            return Ok(());
        }
        outcome.map_err(|error| match error.is_about_epochs() {
            true => Error::LeavingUnknown { error: Box::new(error), key: name.to_owned() },
            false => error,
        })?;
        // Nobody refused, and yet not all is here: one said nothing.
        let absent = missing(&node.home, name, leaves)?;
        let of = leaves.parties.iter().filter(|party| absent.contains(&party.index));
        let absent = of.map(|party| node.name_of(&party.fingerprint)).collect();
        Err(Error::Unconfirmed { key: name.to_owned(), missing: absent, signs: true })
    };
    let result = result.await.map(|()| record.clone());
    Ok((everybody, result))
}

/// Gets the confirmation of one party.
async fn visit(
    node: &Arc<Node>,
    record: &KeyRecord,
    leaves: &LeavingRecord,
    party: PartyId,
    with: &[Target],
) -> Result<(), Error> {
    let request = asking(node, record, leaves, &[party])?;
    let invitees = invitees(&request, with)?;
    let question = about(node, request, record);
    let Started { mut links, .. } = propose_and_start(node, &question, invitees).await?;
    let expected = expected(&record.name, leaves)?;
    let heard = confirmations::hear(node, &record.name, &expected, &mut links).await;
    part_after(node, heard, links).await
}

/// What this device has said to `requester`, if the request is to hear again that its share is stored, of an epoch that
/// newer shares have taken the place of; and its record of the key. Where the epoch is here, it is answered as any other
/// exchange of confirmations.
pub(super) fn parted(
    node: &Node,
    request: &Request,
    requester: &Fingerprint,
) -> Option<(KeyRecord, Parting)> {
    let Action::Leave(Shares { public_key, epochs }) = &request.action else { return None };
    let [Held { epoch: Hex(epoch), .. }] = epochs.as_slice() else { return None };
    // It is said to the requester alone: no other device is called for it.
    let is_between_us = |party: &PartyId| {
        let who = request.fingerprint(*party);
        who == Some(*requester) || who == Some(node.info.fingerprint)
    };
    if request.signers.len() != 2 || !request.signers.iter().all(is_between_us) {
        return None;
    }
    let record = keys::of_public_key(&node.home, public_key).ok().flatten()?;
    let held = records::held(&node.home, &record.name).ok()?;
    if held.iter().any(|record| record.epoch == *epoch) {
        return None;
    }
    let mut partings = keys::partings(&node.home, &record.name).ok()?.into_iter();
    let is_theirs = |parting: &Parting| parting.epoch == *epoch && parting.leaver == *requester;
    Some((record, partings.find(is_theirs)?))
}

/// Says to a device that leaves what it was told before.
///
/// # Errors
/// The link is down, or the other side sends nonsense.
pub(super) async fn tell(
    node: &Arc<Node>,
    link: ResumableLink,
    question: Question,
    terms: &Terms,
    parting: &Parting,
) -> Result<(), Error> {
    let offer = question.request.epochs().to_vec();
    let accepted = accept(node, link, &question, terms, offer, Ask::Nothing).await?;
    let mut links = accepted.links;
    let told = confirmations::tell_again(node, &question.key, parting, &mut links).await;
    part_after(node, told, links).await
}

/// The request to these `parties` for their confirmations.
fn asking(
    node: &Node,
    record: &KeyRecord,
    leaves: &LeavingRecord,
    parties: &[PartyId],
) -> Result<Request, Error> {
    let LeavingRecord { epoch, generation, .. } = *leaves;
    let held = Held { epoch: Hex(epoch), generation, height: 0 };
    let participants = leaves.parties.iter().map(|party| party.fingerprint);
    let participants = participants.chain([node.info.fingerprint]).collect();
    let action = Action::Leave(Shares { public_key: record.public_key, epochs: vec![held] });
    let all = asked(node, (&record.name, record.curve), leaves.threshold, participants, action)?;
    let takes_part = |party: &PartyId| *party == all.requester || parties.contains(party);
    let signers = all.signers.iter().copied().filter(takes_part).collect();
    Ok(Request { signers, ..all })
}
