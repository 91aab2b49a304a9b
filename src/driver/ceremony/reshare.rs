//! A reshare: other devices, or another threshold, for the same key (docs/protocol.md §8.2).
//!
//! As many of the parties as must sign deal, and every party then receives a new share. Those that are
//! removed deal if they can be reached, so that they hear when they may destroy their share; those that are
//! lost hear nothing. Whoever has a share compares all of it with what it has; a new device knows nothing of
//! the key but what the requester says, and its owner compares that.

use crate::curve::CurveName;
use crate::device::{Fingerprint, Label};
use crate::driver::Node;
use crate::driver::ceremony::epochs::HeldKey;
use crate::driver::ceremony::requests::asked;
use crate::driver::error::{Error, Unfit};
use crate::driver::on_curve::{Share, Start};
use crate::party::{MAX_PARTIES, PartyId};
use crate::protocol::keygen::{Dealer, ReshareSetup};
use crate::request::{Action, Importing, Request, Resharing, Shares};
use crate::vault::KeyRecord;
use crate::wire::Reason;

/// The difference that a reshare makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The devices that become parties.
    pub add: Vec<Fingerprint>,
    /// The parties that take no part any more, and are not asked.
    pub lost: Vec<Fingerprint>,
    /// The parties that leave: they take part and destroy their share.
    pub remove: Vec<Fingerprint>,
    /// How many parties must sign then; as many as before if it is not given.
    pub threshold: Option<u8>,
}

/// Who takes part in a reshare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The parties of the key then, in index order, and those that leave.
    pub participants: Vec<Fingerprint>,
    /// How many of them are parties then.
    count: u8,
    threshold: u8,
    /// The parties so far that deal.
    dealers: Vec<PartyId>,
}

impl Change {
    /// Who takes part in this change of the key of `record`. `name` gives a device's name.
    ///
    /// # Errors
    /// The change does not fit the key.
    pub fn plan(
        &self,
        record: &KeyRecord,
        name: impl Fn(&Fingerprint) -> Label,
    ) -> Result<Plan, Unfit> {
        let old = || record.parties.iter().map(|party| party.fingerprint);
        let is_party = |who: &Fingerprint| old().any(|party| party == *who);
        if let Some(there) = self.add.iter().find(|who| is_party(who)) {
            return Err(Unfit::IsParty(name(there)));
        }
        let gone = || self.lost.iter().chain(&self.remove);
        if let Some(stranger) = gone().find(|who| !is_party(who)) {
            return Err(Unfit::NoParty(name(stranger)));
        }
        let own = record.parties.iter().find(|party| party.index == record.me);
        let Some(own) = own.map(|party| party.fingerprint).filter(|own| !gone().any(|g| g == own))
        else {
            return Err(Unfit::Asker);
        };
        let threshold = self.threshold.unwrap_or(record.threshold);
        if self.add.is_empty() && gone().next().is_none() && threshold == record.threshold {
            return Err(Unfit::Nothing);
        }
        let stays = |who: &Fingerprint| !gone().any(|gone| gone == who);
        let mut parties: Vec<Fingerprint> =
            old().filter(stays).chain(self.add.iter().copied()).collect();
        parties.sort_unstable();
        let count = u8::try_from(parties.len()).ok().filter(|count| *count <= MAX_PARTIES);
        let sizes = Unfit::Sizes { threshold, parties: parties.len() };
        let Some(count) = count.filter(|count| (2..=*count).contains(&threshold)) else {
            return Err(sizes);
        };
        // Those that leave first, so that they hear the confirmations; then this device.
        let rank = |who: &Fingerprint| match who {
            who if self.remove.contains(who) => 0,
            who if *who == own => 1,
            _ => 2,
        };
        let needed = usize::from(record.threshold);
        let mut dealers: Vec<&_> =
            record.parties.iter().filter(|p| !self.lost.contains(&p.fingerprint)).collect();
        if dealers.len() < needed {
            return Err(Unfit::TooFew { left: dealers.len(), needed });
        }
        if self.remove.len() > needed {
            return Err(Unfit::TooManyLeave { dealers: needed });
        }
        dealers.sort_by_key(|party| (rank(&party.fingerprint), party.index));
        dealers.truncate(needed);
        dealers.sort_by_key(|party| party.index);
        let leaving = dealers.iter().map(|party| party.fingerprint).filter(|who| !stays(who));
        parties.extend(leaving);
        if parties.len() > usize::from(MAX_PARTIES) {
            return Err(sizes);
        }
        let dealers = dealers.into_iter().map(|party| party.index).collect();
        Ok(Plan { participants: parties, count, threshold, dealers })
    }

    /// The newest epoch of `held`, which are the newest first, that this change fits, and who takes part in
    /// it. While a reshare is pending, a device may be a party of one epoch and not of another.
    ///
    /// # Errors
    /// The change fits none. It is said of the newest epoch that has the devices that are named.
    pub fn planned<'a>(
        &self,
        held: &'a [KeyRecord],
        name: impl Fn(&Fingerprint) -> Label,
    ) -> Result<(&'a KeyRecord, Plan), Unfit> {
        let mut why = Unfit::Nothing;
        for record in held {
            match (self.plan(record, &name), &why) {
                (Ok(plan), _) => return Ok((record, plan)),
                (Err(unfit), Unfit::Nothing | Unfit::NoParty(_)) => why = unfit,
                (Err(_), _) => {}
            }
        }
        Err(why)
    }

    /// Whether the key of `record` is as this change makes it of one that `before` devices sign with.
    pub fn is_made(&self, record: &KeyRecord, before: u8) -> bool {
        let is_party = |who: &Fingerprint| record.parties.iter().any(|p| p.fingerprint == *who);
        self.add.iter().all(is_party)
            && !self.lost.iter().chain(&self.remove).any(is_party)
            && self.threshold.unwrap_or(before) == record.threshold
    }
}

/// [`Change::planned`], with the names that this device has.
pub(super) fn planned<'a>(
    node: &Node,
    held: &'a [KeyRecord],
    change: &Change,
) -> Result<(&'a KeyRecord, Plan), Error> {
    change.planned(held, |who| node.name_of(who)).map_err(Error::Unfit)
}

/// The request for `change` of the newest epoch of `key`.
pub(super) fn asking(node: &Node, key: &HeldKey, change: &Change) -> Result<Request, Error> {
    let record = key.record();
    let plan = change.plan(record, |who| node.name_of(who));
    let Plan { participants, count, threshold, dealers } = plan.map_err(Error::Unfit)?;
    let shares =
        Shares { public_key: record.public_key, epochs: key.held().into_iter().take(1).collect() };
    let old = record.parties.iter().map(|party| party.fingerprint).collect();
    let origin = key.share().public_data();
    let action = Action::Reshare(Resharing { shares, count, old, dealers, origin });
    asked(node, (&record.name, record.curve), threshold, participants, action)
}

/// Whether what a new device cannot check agrees with itself: what its owner is shown is what is dealt.
///
/// # Errors
/// It does not.
pub(super) fn is_acceptable(request: &Request, resharing: &Resharing) -> Result<(), Reason> {
    let origin = Start::from_bytes(request.curve, &resharing.origin).ok_or(Reason::Aborted)?;
    let sizes = (resharing.dealers.len(), resharing.old.len());
    let fits = origin.sizes().map(|(t, n)| (usize::from(t), usize::from(n))) == Some(sizes)
        && origin.public_key() == Some(resharing.shares.public_key)
        && request.epochs().iter().all(|held| origin.epoch() == Some(&held.epoch.0));
    fits.then_some(()).ok_or(Reason::Aborted)
}

/// The public data of a key that is imported; `None` if it is none on this curve.
pub(super) fn origin_of(curve: CurveName, importing: &Importing) -> Option<Vec<u8>> {
    Start::of_import(curve, &importing.public_key, &importing.chain_code)
}

/// Shares of this generation and later ones are joined by no new device: it has the number from the requester
/// alone, and must be able to count on from it.
pub(super) const MAX_JOINED: u64 = 1 << 31;

/// Whether the keys derived from that of `request` are those derived from that of `share`.
pub(super) fn derives_as(request: &Request, share: &Share) -> bool {
    if let Some(importing) = request.importing() {
        return importing.chain_code == *share.chain_code();
    }
    let origin = request.resharing().and_then(|r| Start::from_bytes(request.curve, &r.origin));
    origin.is_some_and(|origin| origin.chain_code() == share.chain_code())
}

/// The input of this device's part of the reshare that `request` asks for.
///
/// # Errors
/// This device takes no part in it.
pub(super) fn setup(
    node: &Node,
    request: &Request,
    instance: [u8; 32],
) -> Result<ReshareSetup, Error> {
    let resharing = request.resharing().ok_or(Error::Bug("nothing is to be reshared"))?;
    let dealers = resharing.dealers.iter().zip(resharing.dealing());
    let dealer = |(old, who): (&PartyId, &Fingerprint)| {
        Some(Dealer { participant: request.party_of(who)?, old: old.get() })
    };
    Ok(ReshareSetup {
        instance,
        threshold: request.threshold,
        count: resharing.count,
        me: request.party_of(&node.info.fingerprint).ok_or(Error::NotAParty)?,
        identities: request.parties.iter().map(|party| party.as_bytes().to_vec()).collect(),
        dealers: dealers.map(dealer).collect::<Option<_>>().ok_or(Error::NotAParty)?,
        origin: resharing.origin.clone(),
        requester: request.requester,
    })
}
