//! The state that the lines of the ledger give.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};

use super::line::{Line, PeerSet};
use super::{Error, Id, MAX_UNRESOLVED, UNRESOLVED};

/// The state after the lines read so far.
#[derive(Default)]
pub(super) struct State {
    /// In the order of their first line. Few, and lines mostly belong to the last.
    epochs: Vec<Epoch>,
    /// Every spent session and its number, from 1.
    pub(super) sessions: HashMap<Id, u64>,
    /// The place in `epochs` of every spent session, in the order of their numbers.
    places: Vec<usize>,
    /// The sessions with unresolved checks, by their number: place in `epochs` and peers.
    pub(super) open: BTreeMap<u64, (usize, PeerSet)>,
}

pub(super) struct Epoch {
    pub(super) id: Id,
    pub(super) height: u64,
    /// By the index of the other party.
    pub(super) pairs: BTreeMap<u8, Pair>,
}

#[derive(Default)]
pub(super) struct Pair {
    pub(super) unresolved: u32,
    pub(super) height: u64,
    pub(super) retired: Option<String>,
}

impl State {
    pub(super) fn epoch(&self, id: &Id) -> Option<&Epoch> {
        self.epochs.iter().rfind(|epoch| epoch.id == *id)
    }

    pub(super) fn pair(&self, epoch: &Id, peer: u8) -> Option<&Pair> {
        self.epoch(epoch)?.pairs.get(&peer)
    }

    /// How many sessions each party was known to have spent in each epoch.
    pub(super) fn heights(&self) -> impl Iterator<Item = ((Id, u8), u64)> {
        self.epochs.iter().flat_map(|epoch| {
            epoch.pairs.iter().map(|(peer, pair)| ((epoch.id, *peer), pair.height))
        })
    }

    /// Adds a line, or says how it contradicts those before it.
    pub(super) fn fold(&mut self, line: Line) -> Result<(), &'static str> {
        match line {
            Line::Spend { session, epoch, peers } => {
                let place = self.place(&epoch);
                let number = self.sessions.len() as u64 + 1;
                let Entry::Vacant(vacant) = self.sessions.entry(session) else {
                    return Err("session spent twice");
                };
                vacant.insert(number);
                self.places.push(place);
                if let Some(epoch) = self.epochs.get_mut(place) {
                    epoch.height = epoch.height.saturating_add(1);
                }
                if !peers.is_empty() {
                    self.begin_checks(number, place, peers);
                }
            }
            Line::Check { spent, peers } => {
                let place = self.place_of(spent).ok_or("no such session")?;
                if self.open.contains_key(&spent) {
                    return Err("checks begun twice");
                }
                self.begin_checks(spent, place, peers);
            }
            Line::Resolve { spent } => {
                let (place, peers) = self.open.remove(&spent).ok_or("no such open session")?;
                if let Some(epoch) = self.epochs.get_mut(place) {
                    for peer in peers.iter() {
                        epoch.pairs.entry(peer).or_default().resolve_check();
                    }
                }
            }
            Line::Retire { peer, epoch, code, .. } => {
                self.pair_mut(&epoch, peer, |pair| {
                    pair.retired.get_or_insert(code);
                });
            }
            Line::Height { height, epoch, peer } => {
                self.pair_mut(&epoch, peer, |pair| pair.height = pair.height.max(height));
            }
        }
        Ok(())
    }

    fn begin_checks(&mut self, spent: u64, place: usize, peers: PeerSet) {
        self.open.insert(spent, (place, peers));
        if let Some(epoch) = self.epochs.get_mut(place) {
            for peer in peers.iter() {
                epoch.pairs.entry(peer).or_default().begin_check();
            }
        }
    }

    /// The place in `epochs` of a spent session.
    fn place_of(&self, spent: u64) -> Option<usize> {
        let index = usize::try_from(spent.checked_sub(1)?).ok()?;
        self.places.get(index).copied()
    }

    /// The epoch of a spent session.
    pub(super) fn epoch_of(&self, spent: u64) -> Option<&Epoch> {
        self.epochs.get(self.place_of(spent)?)
    }

    fn pair_mut(&mut self, epoch: &Id, peer: u8, change: impl FnOnce(&mut Pair)) {
        let place = self.place(epoch);
        if let Some(epoch) = self.epochs.get_mut(place) {
            change(epoch.pairs.entry(peer).or_default());
        }
    }

    /// Where the epoch is in `epochs`, appending it if it is new.
    fn place(&mut self, id: &Id) -> usize {
        if let Some(place) = self.epochs.iter().rposition(|epoch| epoch.id == *id) {
            return place;
        }
        self.epochs.push(Epoch { id: *id, height: 0, pairs: BTreeMap::new() });
        self.epochs.len().saturating_sub(1)
    }
}

impl Epoch {
    /// Fails if the pair with one of `peers` is retired.
    pub(super) fn retired(&self, peers: PeerSet) -> Result<(), Error> {
        let code = |peer| Some((peer, self.pairs.get(&peer)?.retired.clone()?));
        match peers.iter().find_map(code) {
            Some((peer, code)) => Err(Error::Retired { peer, code }),
            None => Ok(()),
        }
    }

    /// Whether another unresolved check retires the pair with `peer`.
    pub(super) fn is_worn(&self, peer: u8) -> bool {
        self.pairs.get(&peer).is_some_and(|pair| pair.unresolved >= MAX_UNRESOLVED)
    }
}

impl Pair {
    /// Once over the limit the pair stays retired, whatever is resolved later.
    fn begin_check(&mut self) {
        self.unresolved = self.unresolved.saturating_add(1);
        if self.unresolved > MAX_UNRESOLVED {
            self.retired.get_or_insert_with(|| UNRESOLVED.to_owned());
        }
    }

    fn resolve_check(&mut self) {
        self.unresolved = self.unresolved.saturating_sub(1);
    }
}
