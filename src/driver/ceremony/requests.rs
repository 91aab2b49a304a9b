//! Requests to all parties of a key, or to some of them, about the key itself.

use crate::curve::CurveName;
use crate::device::{Fingerprint, Label};
use crate::driver::connect::peer_links::PeerLinks;
use crate::driver::connect::target::Target;
use crate::driver::error::Error;
use crate::driver::{Node, ROUND, clock};
use crate::party::PartyId;
use crate::request::{Action, Held, Question, Request, Shares};
use crate::vault::KeyRecord;

/// A request of this device to all `parties` of a key on this curve.
pub(super) fn asked(
    node: &Node,
    (key, curve): (&str, CurveName),
    threshold: u8,
    parties: Vec<Fingerprint>,
    action: Action,
) -> Result<Request, Error> {
    let count = u8::try_from(parties.len()).unwrap_or(u8::MAX);
    let mut all = PartyId::all(count).zip(&parties);
    let me = all.find(|(_, party)| **party == node.info.fingerprint);
    Ok(Request {
        id: clock::request_id()?,
        key: key.to_owned(),
        curve,
        threshold,
        signers: PartyId::all(count).collect(),
        requester: me.map(|(me, _)| me).ok_or(Error::NotAParty)?,
        parties,
        purpose: Label::default(),
        action,
    })
}

/// A request of this device to all parties of the key of `record`.
pub(super) fn of_key(
    node: &Node,
    record: &KeyRecord,
    epochs: Vec<Held>,
    action: impl FnOnce(Shares) -> Action,
) -> Result<Request, Error> {
    let parties = record.parties.iter().map(|party| party.fingerprint).collect();
    let action = action(Shares { public_key: record.public_key, epochs });
    asked(node, (&record.name, record.curve), record.threshold, parties, action)
}

/// The question to the owner about `request`, with this device's `record` of the key.
pub(super) fn about(node: &Node, request: Request, record: &KeyRecord) -> Question {
    node.question(request, record.name.clone(), Some(record.public_key))
}

/// The target of each party that this device asks.
pub(super) fn invitees(
    request: &Request,
    with: &[Target],
) -> Result<Vec<(PartyId, Target)>, Error> {
    let asked = request.signers.iter().filter(|party| **party != request.requester);
    let invitee = |party: &PartyId| {
        let who = request.fingerprint(*party);
        let target = with.iter().find(|target| target.fingerprint == who);
        let peer = who.map(|who| Label::new(&who.device_id())).unwrap_or_default();
        let missing = Error::NoShareThere { peer, key: request.key.clone() };
        Ok((*party, target.ok_or(missing)?.clone()))
    };
    asked.map(invitee).collect()
}

/// Says goodbye after an exchange of confirmations. A lost goodbye does not matter.
pub(super) async fn part_after(
    node: &Node,
    exchanged: Result<(), Error>,
    links: PeerLinks,
) -> Result<(), Error> {
    match exchanged {
        Ok(()) => drop(links.finish(node.deadline_within(ROUND)).await),
        Err(_) => links.abort().await,
    }
    exchanged
}
