//! The epochs of a key that this device holds, and which of them a ceremony uses.
//!
//! If the last messages of a refresh are lost, one device has the old and the new shares, and
//! another only the new ones. Every ceremony uses the newest epoch that all its participants hold
//! (docs/protocol.md §3.5).
//!
//! A reshare changes the parties, and so their indices. Until it is confirmed a device may hold epochs of
//! different parties; a ceremony is always about the epochs of the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use crate::device::{Fingerprint, Label};
use crate::driver::error::Error;
use crate::driver::on_curve::Share;
use crate::driver::told::Note;
use crate::driver::{Node, records};
use crate::party::PartyId;
use crate::protocol::fault::Check;
use crate::request::{Ceremony, Held, Hex, MAX_EPOCHS, Request};
use crate::vault::keys::MAX_PENDING;
use crate::vault::ledger::{Heights, UNRESOLVED};
use crate::vault::{self, KeyLock, KeyRecord, KeyState, Ledger};

/// One active epoch and the pending ones.
const _: () = assert!(MAX_PENDING + 1 == MAX_EPOCHS);

/// All epochs of one key, with the same parties and threshold, whose shares open here.
pub struct HeldKey {
    newest: Opened,
    /// The newest first.
    older: Vec<Opened>,
    /// The records of all epochs, the newest first, also of other parties, and of those whose share does
    /// not open.
    records: Vec<KeyRecord>,
    ledger: Ledger,
}

struct Opened {
    record: KeyRecord,
    share: Share,
}

/// A key that this process has taken for one ceremony, in the epoch that all signers hold.
pub struct OpenKey {
    /// Its record.
    pub record: KeyRecord,
    /// The share, with the retired pairs of the ledger.
    pub share: Share,
    /// The ledger.
    pub ledger: Ledger,
    _lock: KeyLock,
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldKey").field("records", &self.records).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenKey").field("record", &self.record).finish_non_exhaustive()
    }
}

/// The bans of a key that its owner was told of when agreeing to new shares, which lift them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bans {
    /// The devices that the bans are about: those that take part.
    among: Vec<Fingerprint>,
    /// Which of them is which party of which epoch.
    parties: BTreeMap<([u8; 32], u8), Fingerprint>,
    /// The epoch and the banned party.
    known: BTreeSet<([u8; 32], u8)>,
}

impl Bans {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The same bans, for the epochs that the key has now. A ban in a newer epoch counts as new.
    #[must_use]
    pub fn in_epochs_of(&self, key: &HeldKey) -> Self {
        Self { known: self.known.clone(), ..Self::of(&key.records, &self.among, &key.ledger) }
    }

    /// These, where the owner was told only of those of `then`.
    #[must_use]
    pub fn with_known_of(self, then: Self) -> Self {
        Self { known: then.known, ..self }
    }

    /// Those of the devices `among` under the epochs of `records`.
    fn of(records: &[KeyRecord], among: &[Fingerprint], ledger: &Ledger) -> Self {
        let parties = records.iter().flat_map(|record| {
            let known = record.parties.iter().filter(|party| among.contains(&party.fingerprint));
            known.map(|party| ((record.epoch, party.index.get()), party.fingerprint))
        });
        let parties = parties.collect();
        Self { among: among.to_vec(), known: banned(ledger, &parties), parties }
    }

    /// The devices that they are about.
    pub fn known(&self) -> impl Iterator<Item = Fingerprint> {
        self.known.iter().filter_map(|party| self.parties.get(party)).copied()
    }

    /// The names of these devices, each once.
    pub fn names(&self, node: &Node) -> Vec<Label> {
        let names: BTreeSet<Label> = self.known().map(|who| node.name_of(&who)).collect();
        names.into_iter().collect()
    }

    /// A device that was banned after that, if there is one.
    pub fn new_in(&self, ledger: &Ledger) -> Option<Fingerprint> {
        let now = banned(ledger, &self.parties);
        now.difference(&self.known).find_map(|party| self.parties.get(party)).copied()
    }
}

/// Which of these parties failed a check. Pairs with only too many unresolved checks are left out.
fn banned(
    ledger: &Ledger,
    parties: &BTreeMap<([u8; 32], u8), Fingerprint>,
) -> BTreeSet<([u8; 32], u8)> {
    let epochs: BTreeSet<&[u8; 32]> = parties.keys().map(|(epoch, _)| epoch).collect();
    let failed = |epoch: &[u8; 32]| {
        let retired = ledger.retired(epoch).into_iter().filter(|(_, code)| code != UNRESOLVED);
        retired.map(|(party, _)| (*epoch, party)).collect::<Vec<_>>()
    };
    let failed = epochs.into_iter().flat_map(failed);
    failed.filter(|party| parties.contains_key(party)).collect()
}

/// Why this device offers a requester no epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOffer {
    /// It has a share of none of them.
    Apart,
    /// A signer failed a check, and this device no longer signs with it.
    Banned,
    /// Too many signatures with a signer were cut short, and this device no longer signs with it.
    Worn,
    /// Its share came from a backup, and signs only after a refresh.
    Restored,
}

impl HeldKey {
    /// Opens the shares of the key `name`: of the newest epoch that opens, and of others with the same
    /// parties. If one does not open, a note is told and the others are used.
    ///
    /// # Errors
    /// There is no such key, or no share of it opens, or none is the one that its record names.
    pub fn open(node: &Node, name: &str) -> Result<Self, Error> {
        Self::open_where(node, name, |_| true)
    }

    /// As [`open`](Self::open), of the parties whose shares `request` begins with.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_for(node: &Node, name: &str, request: &Request) -> Result<Self, Error> {
        Self::open_where(node, name, |record| records::is_of(record, request))
    }

    /// As [`open`](Self::open), of the newest epoch that is `wanted` and of others with the same parties.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_where(
        node: &Node,
        name: &str,
        wanted: impl Fn(&KeyRecord) -> bool,
    ) -> Result<Self, Error> {
        let ledger = node.ledger()?.clone();
        let mut records = records::held(&node.home, name)?;
        let (opened, closed) = loop {
            let (mut opened, mut closed) = (Vec::new(), Vec::new());
            for record in &records {
                match Opened::of(node, &ledger, record) {
                    Ok(share) => opened.push(share),
                    Err(error) => closed.push(error),
                }
            }
            if closed.is_empty() {
                break (opened, closed);
            }
            let now = records::held(&node.home, name)?;
            if records == now {
                break (opened, closed);
            }
            // Another epoch became the active one meanwhile, and older shares were destroyed.
            records = now;
        };
        let mut opened = opened.into_iter().skip_while(|opened| !wanted(&opened.record));
        let Some(newest) = opened.next() else {
            return Err(closed.into_iter().next().unwrap_or_else(|| Error::NoKey(name.to_owned())));
        };
        let older = opened.filter(|opened| newest.record.has_parties_of(&opened.record)).collect();
        closed.into_iter().for_each(|f| node.tell(Note::Failed(f)));
        Ok(Self { newest, older, records, ledger })
    }

    /// The record of the newest epoch that can be used.
    pub fn record(&self) -> &KeyRecord {
        &self.newest.record
    }

    /// The newest share that can be used.
    pub fn share(&self) -> &Share {
        &self.newest.share
    }

    /// The epochs that this device has, the newest first.
    pub fn held(&self) -> Vec<Held> {
        self.opened().map(|opened| self.held_of(&opened.record)).collect()
    }

    /// The epochs in which this device signs with `signers`, the newest first; none if all came from
    /// a backup. If one of the signers is banned in an epoch, neither it nor any older one is offered:
    /// an old epoch would be a way around the ban.
    ///
    /// # Errors
    /// [`vault::Error::Retired`] if there is none for that.
    pub fn offer(&self, signers: &[PartyId]) -> Result<Vec<Held>, vault::Error> {
        let signers = self.fingerprints(signers);
        let ban_in = |record: &KeyRecord| self.retired_in(record, &signers);
        let free: Vec<&KeyRecord> =
            self.records.iter().take_while(|record| ban_in(record).is_none()).collect();
        let is_free = |opened: &&Opened| {
            opened.share.can_sign() && free.iter().any(|r| r.epoch == opened.record.epoch)
        };
        let offer: Vec<Held> =
            self.opened().filter(is_free).map(|opened| self.held_of(&opened.record)).collect();
        match self.records.iter().find_map(ban_in) {
            Some((peer, code)) if offer.is_empty() => {
                let here = self.record().parties.iter().find(|party| party.fingerprint == peer);
                let peer = here.map_or(0, |party| party.index.get());
                Err(vault::Error::Retired { peer, code })
            }
            _ => Ok(offer),
        }
    }

    /// The first of `signers` that this device no longer signs with in an epoch, and why.
    fn retired_in(
        &self,
        record: &KeyRecord,
        signers: &[Fingerprint],
    ) -> Option<(Fingerprint, String)> {
        self.ledger.retired(&record.epoch).into_iter().find_map(|(peer, code)| {
            let peer = record.parties.iter().find(|party| party.index.get() == peer)?;
            signers.contains(&peer.fingerprint).then_some((peer.fingerprint, code))
        })
    }

    /// The devices that are these parties.
    fn fingerprints(&self, parties: &[PartyId]) -> Vec<Fingerprint> {
        let all = self.record().parties.iter();
        all.filter(|p| parties.contains(&p.index)).map(|p| p.fingerprint).collect()
    }

    /// The epochs of `request` in which this device signs with its signers.
    ///
    /// # Errors
    /// The reason if there is none.
    pub fn answer(&self, request: &Request) -> Result<Vec<Held>, NoOffer> {
        let all = self.common(request);
        let signs = |held: &Held| {
            self.opened().any(|o| o.record.epoch == held.epoch.0 && o.share.can_sign())
        };
        if !all.is_empty() && !all.iter().any(signs) {
            return Err(NoOffer::Restored);
        }
        let signers = &self.fingerprints(&request.signers);
        let mut retired = self.records.iter().filter_map(|r| self.retired_in(r, signers));
        let no_longer = match retired.next() {
            Some((_, code)) if code == UNRESOLVED => NoOffer::Worn,
            _ => NoOffer::Banned,
        };
        let offer = self.offer(&request.signers).map_err(|_| no_longer)?;
        let common: Vec<Held> =
            offer.into_iter().filter(|held| all.iter().any(|h| h.epoch == held.epoch)).collect();
        match (common.is_empty(), all.is_empty()) {
            (false, _) => Ok(common),
            (true, false) => Err(no_longer),
            (true, true) => Err(NoOffer::Apart),
        }
    }

    /// Whether no share of this key signs, since all came from a backup.
    pub fn is_restored(&self) -> bool {
        self.opened().all(|opened| !opened.share.can_sign())
    }

    /// The epochs of `request` that this device has, the newest first.
    pub fn common(&self, request: &Request) -> Vec<Held> {
        common(&self.held(), request)
    }

    /// The bans of the devices `among` under this key, in all its epochs.
    pub fn bans(&self, among: &[Fingerprint]) -> Bans {
        Bans::of(&self.records, among, &self.ledger)
    }

    /// Whether there is an epoch of the key, of whichever parties, that is `wanted`.
    pub fn has_epoch(&self, wanted: impl Fn(&KeyRecord) -> bool) -> bool {
        self.records.iter().any(wanted)
    }

    /// How many sessions this device has spent under `epoch`.
    pub fn height(&self, epoch: &Hex<32>) -> u64 {
        self.ledger.height(&epoch.0)
    }

    /// Whether no further epoch may be stored beside those that are pending.
    pub fn is_full(&self) -> bool {
        let pending = self.records.iter().filter(|record| record.state == KeyState::Pending);
        pending.count() >= MAX_PENDING
    }

    /// The key in the epoch `epoch`, which everybody agreed on.
    ///
    /// # Errors
    /// This device has no such share.
    pub fn choose(self, epoch: &Hex<32>, lock: KeyLock) -> Result<OpenKey, Error> {
        let Self { newest, older, ledger, .. } = self;
        let mut opened = iter::once(newest).chain(older);
        let Opened { record, share } = opened
            .find(|opened| opened.record.epoch == epoch.0)
            .ok_or(Error::Bug("an epoch was agreed on that this device has not"))?;
        Ok(OpenKey { record, share, ledger, _lock: lock })
    }

    fn opened(&self) -> impl Iterator<Item = &Opened> {
        iter::once(&self.newest).chain(&self.older)
    }

    fn held_of(&self, record: &KeyRecord) -> Held {
        held_of(&self.ledger, record)
    }
}

impl Opened {
    fn of(node: &Node, ledger: &Ledger, record: &KeyRecord) -> Result<Self, Error> {
        let share = records::share(&node.vault, record)?;
        retire_in(&share, ledger, record);
        Ok(Self { record: record.clone(), share })
    }
}

/// Marks in `share`, which is that of `record`, the pairs that are retired in the ledger.
fn retire_in(share: &Share, ledger: &Ledger, record: &KeyRecord) {
    for (peer, check) in retired(ledger, record) {
        share.retire(peer, check);
    }
}

/// The parties of `record` whose pair with this device is retired in the ledger, and why.
pub fn retired(ledger: &Ledger, record: &KeyRecord) -> Vec<(PartyId, Check)> {
    let retired = ledger.retired(&record.epoch).into_iter().filter_map(|(peer, code)| {
        let peer = record.parties.iter().find(|party| party.index.get() == peer)?;
        Some((peer.index, Check::from_ban_code(&code).unwrap_or(Check::PairRetired)))
    });
    retired.collect()
}

/// This device's announcement of the epoch of `record`.
pub fn held_of(ledger: &Ledger, record: &KeyRecord) -> Held {
    let KeyRecord { epoch, generation, .. } = record;
    Held { epoch: Hex(*epoch), generation: *generation, height: ledger.height(epoch) }
}

/// The epochs of `mine` that are in `request` too.
pub fn common(mine: &[Held], request: &Request) -> Vec<Held> {
    let theirs = |held: &&Held| request.epochs().iter().any(|other| other.epoch == held.epoch);
    mine.iter().filter(theirs).copied().collect()
}

/// Whether `party` announces fewer sessions in one of `held` than it was known to have spent when
/// it was asked. Heights learned after the question are not compared: announcements of parallel
/// sessions arrive out of order.
pub fn is_rolled_back(asked: &Heights, party: PartyId, held: &[Held]) -> bool {
    held.iter().any(|held| held.height < asked.of(&held.epoch.0, party.get()))
}

/// `held` by `party`, with each height raised to the one in `ledger`.
pub fn at_least_known(ledger: &Ledger, party: PartyId, held: &[Held]) -> Vec<Held> {
    let known = |held: &Held| ledger.peer_height(&held.epoch.0, party.get());
    held.iter().map(|held| Held { height: held.height.max(known(held)), ..*held }).collect()
}

/// `held` by this device, with the heights of now.
pub fn counted_anew(ledger: &Ledger, held: &[Held]) -> Vec<Held> {
    let anew = |held: &Held| Held { height: ledger.height(&held.epoch.0), ..*held };
    held.iter().map(anew).collect()
}

/// The indices of `parties`.
pub fn indices(parties: &[PartyId]) -> Vec<u8> {
    parties.iter().map(|party| party.get()).collect()
}

/// The epochs of `held`.
pub fn names(held: &[Held]) -> Vec<Hex<32>> {
    held.iter().map(|held| held.epoch).collect()
}

/// The epoch that a ceremony of this kind uses: the first of `mine`, which are the newest first,
/// that everybody offers. In a reshare it is the one of the requester. A key generation and an exchange of
/// confirmations use none, which is all zeros.
pub fn agreed(ceremony: Ceremony, mine: &[Hex<32>], everybody: &[Vec<Hex<32>>]) -> Option<Hex<32>> {
    match ceremony {
        // New parties have none.
        Ceremony::Reshare => {
            let mut all = everybody.iter().flatten();
            all.next().copied().filter(|epoch| all.all(|other| other == epoch))
        }
        Ceremony::Keygen | Ceremony::Import | Ceremony::Resume => Some(Hex([0; 32])),
        Ceremony::Sign | Ceremony::Refresh => {
            mine.iter().copied().find(|epoch| everybody.iter().all(|held| held.contains(epoch)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Fingerprint;
    use crate::vault::Home;

    const EPOCHS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

    fn announced(heights: [u64; 2]) -> Vec<Held> {
        let held = |(epoch, height)| Held { epoch: Hex(epoch), generation: 1, height };
        EPOCHS.into_iter().zip(heights).map(held).collect()
    }

    #[test]
    fn a_ban_is_new_in_an_epoch_that_came_since_the_owner_was_asked() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Home::at(dir.path())).unwrap();
        let bob = Fingerprint::new([2; 32]);
        let bans = |epoch| ledger.retire(&epoch, 2, &bob, "E_OTE_CHECK", &[7; 32], 0).unwrap();
        let [old, new] = EPOCHS;
        let of = |epochs: &[[u8; 32]], known| Bans {
            among: vec![bob],
            parties: epochs.iter().map(|epoch| ((*epoch, 2), bob)).collect(),
            known,
        };
        let known = of(&[old], BTreeSet::new());
        bans(new);
        assert_eq!(known.new_in(&ledger), None);
        let now = of(&EPOCHS, known.known);
        assert_eq!(now.new_in(&ledger), Some(bob));
        // The bans that the owner knew of are lifted.
        let known = Bans { known: BTreeSet::from([(new, 2)]), ..now };
        assert_eq!(known.new_in(&ledger), None);
        bans(old);
        assert_eq!(known.new_in(&ledger), Some(bob));
    }

    #[test]
    fn the_heights_of_this_device_are_those_of_now_whatever_was_announced() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Home::at(dir.path())).unwrap();
        for (epoch, session) in [(EPOCHS[0], [3; 32]), (EPOCHS[1], [4; 32]), (EPOCHS[1], [5; 32])] {
            ledger.spend(&epoch, &session, &[2]).unwrap();
        }
        assert_eq!(counted_anew(&ledger, &announced([0, 9])), announced([1, 2]));
    }

    #[test]
    fn who_announces_less_than_was_known_when_it_was_asked_was_rolled_back() {
        let [bob, carol] = [2, 3].map(|index| PartyId::new(index).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Home::at(dir.path())).unwrap();
        let sees = |height| {
            ledger.saw_height(&EPOCHS[1], bob.get(), height).unwrap();
            ledger.heights()
        };
        let (asked, later) = (sees(5), sees(9));
        assert!(!is_rolled_back(&asked, bob, &announced([0, 5])));
        assert!(is_rolled_back(&asked, bob, &announced([7, 4])));
        assert!(!is_rolled_back(&asked, carol, &announced([0, 0])));
        // A height learned after it was asked would say so wrongly, and is not compared.
        assert!(is_rolled_back(&later, bob, &announced([0, 5])));
        assert_eq!(at_least_known(&ledger, bob, &announced([3, 5])), announced([3, 9]));
        assert_eq!(at_least_known(&ledger, bob, &announced([0, 12])), announced([0, 12]));
    }
}
