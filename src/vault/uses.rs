//! How often each rule of a policy was used, what it let leave, and the latest time at which one
//! was.
//!
//! A use is charged before the answer that it allows is sent, and given back only by a ceremony
//! that ended before anything was spent: a crash in between leaves it charged. The latest time is
//! stored so that a clock set back does not revive a rule that has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::Home;
use super::document;
use super::error::Error;
use super::file::Writer;

/// A rolling day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// What a rule let leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    /// When, in seconds since 1970.
    time: i64,
    /// How much, in decimal digits.
    amount: String,
}

impl Spent {
    /// The amount; the largest one if it is none, so that a damaged entry allows nothing.
    fn amount(&self) -> U256 {
        U256::from_str_radix(&self.amount, 10).unwrap_or(U256::MAX)
    }
}

/// The limits of a rule for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How often it may be used.
    pub count: Option<u64>,
    /// What it may let leave within a day.
    pub day: Option<PerDay>,
}

/// What leaves with a request, and what a rule may let leave within a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerDay {
    /// What leaves now.
    pub amount: U256,
    /// The most within 24 hours.
    pub most: U256,
    /// The time now, in seconds since 1970.
    pub now: i64,
}

/// The uses of every rule that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// By the rule's name in the policy.
    counts: BTreeMap<String, u64>,
    /// What each rule with a limit per day let leave, the oldest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    spent: BTreeMap<String, Vec<Spent>>,
    /// The latest time seen, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest: Option<i64>,
}

impl Uses {
    /// The uses as they are now.
    ///
    /// # Errors
    ///
    /// [`Error::LooseMode`], [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn load(home: &Home) -> Result<Self, Error> {
        document::read(home, &path(home)).map(Option::unwrap_or_default)
    }

    /// Replaces all uses.
    pub(super) fn write(&self, writer: &Writer<'_>) -> Result<(), Error> {
        document::write(writer, &path(writer.home()), self)
    }

    /// How often `rule` was used.
    pub fn count(&self, rule: &str) -> u64 {
        self.counts.get(rule).copied().unwrap_or_default()
    }

    /// What `rule` let leave in the 24 hours before `now`, and later if the clock was set back.
    pub fn spent(&self, rule: &str, now: i64) -> U256 {
        let spent = self.spent.get(rule).into_iter().flatten();
        let recent = spent.filter(|spent| is_recent(spent, now));
        recent.fold(U256::ZERO, |sum, spent| sum.saturating_add(spent.amount()))
    }

    /// Whether `rule` may be used once more.
    fn allows(&self, rule: &str, limits: &Limits) -> bool {
        limits.count.is_none_or(|most| self.count(rule) < most)
            && limits.day.is_none_or(|day| {
                let sum = self.spent(rule, day.now).checked_add(day.amount);
                sum.is_some_and(|sum| sum <= day.most)
            })
    }

    /// The same counts, as if no time had been seen yet.
    #[must_use]
    pub fn without_latest(self) -> Self {
        Self { latest: None, ..self }
    }

    /// The later of `now` and the latest time seen.
    pub fn latest(&self, now: i64) -> i64 {
        self.latest.map_or(now, |latest| latest.max(now))
    }
}

fn is_recent(spent: &Spent, now: i64) -> bool {
    spent.time > now.saturating_sub(DAY)
}

/// Charges one use of `rule`, durably, unless that is beyond its `limits`; says whether it did.
///
/// # Errors
///
/// As [`Uses::load`], and [`Error::Io`]: the rule must not allow anything then.
pub fn charge(home: &Home, rule: &str, limits: &Limits) -> Result<bool, Error> {
    let mut charged = false;
    change(home, |uses| {
        charged = uses.allows(rule, limits);
        if charged && limits.count.is_some() {
            let count = uses.counts.entry(rule.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        if let Some(day) = limits.day.filter(|_| charged) {
            let spent = uses.spent.entry(rule.to_owned()).or_default();
            spent.retain(|spent| is_recent(spent, day.now));
            spent.push(Spent { time: day.now, amount: day.amount.to_string() });
        }
        charged
    })?;
    Ok(charged)
}

/// Gives one use of `rule` back that was charged with these `limits`.
///
/// # Errors
///
/// As [`charge`]: the use stays charged then.
pub fn give_back(home: &Home, rule: &str, limits: &Limits) -> Result<(), Error> {
    change(home, |uses| {
        let count = uses.counts.get_mut(rule).filter(|count| **count > 0 && limits.count.is_some());
        let counted = count.map(|count| *count = count.saturating_sub(1)).is_some();
        let spent = limits.day.zip(uses.spent.get_mut(rule)).and_then(|(day, spent)| {
            let last = spent.iter().rposition(|spent| spent.amount() == day.amount)?;
            Some(spent.remove(last))
        });
        counted || spent.is_some()
    })
}

/// Records the time `now`, durably, if it is the latest so far.
///
/// # Errors
///
/// As [`charge`].
pub fn saw(home: &Home, now: i64) -> Result<(), Error> {
    change(home, |uses| {
        let later = uses.latest.is_none_or(|latest| latest < now);
        if later {
            uses.latest = Some(now);
        }
        later
    })
}

/// Applies `change` to the stored uses, and writes them if it changed anything.
fn change(home: &Home, change: impl FnOnce(&mut Uses) -> bool) -> Result<(), Error> {
    let writer = Writer::lock(home)?;
    let mut uses = Uses::load(home)?;
    if !change(&mut uses) {
        return Ok(());
    }
    uses.write(&writer)
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.state.join("policy.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::file::Durability;
    use crate::vault::fixture;

    fn count(most: u64) -> Limits {
        Limits { count: Some(most), day: None }
    }

    #[test]
    fn what_leaves_within_a_day_is_limited_and_frees_itself_after_it() {
        let home = fixture::home();
        let day = |amount: u64, now| {
            let (amount, most) = (U256::from(amount), U256::from(10));
            Limits { count: None, day: Some(PerDay { amount, most, now }) }
        };
        let charge = |amount, now| charge(&home, "a", &day(amount, now)).unwrap();
        assert!(charge(6, 1000));
        assert!(!charge(5, 1000));
        assert!(charge(4, 1000 + DAY - 1));
        assert!(!charge(1, 1000 + DAY - 1));
        // The first is a day old now. A clock that is set back frees nothing.
        assert!(charge(6, 1000 + DAY));
        assert!(!charge(1, 1000 + DAY));
        assert!(!charge(1, 500));
        give_back(&home, "a", &day(6, 1000 + DAY)).unwrap();
        assert_eq!(Uses::load(&home).unwrap().spent("a", 1000 + DAY), U256::from(4));
        assert!(charge(6, 1000 + DAY));
        assert_eq!(Uses::load(&home).unwrap().count("a"), 0);
    }

    #[test]
    fn a_use_beyond_one_of_two_limits_charges_neither() {
        let home = fixture::home();
        let limits = |amount: u64, count| {
            let day = PerDay { amount: U256::from(amount), most: U256::from(10), now: 1000 };
            Limits { count: Some(count), day: Some(day) }
        };
        assert!(charge(&home, "a", &limits(4, 2)).unwrap());
        assert!(!charge(&home, "a", &limits(7, 2)).unwrap());
        assert!(!charge(&home, "a", &limits(4, 1)).unwrap());
        let uses = Uses::load(&home).unwrap();
        assert_eq!((uses.count("a"), uses.spent("a", 1000)), (1, U256::from(4)));
    }

    #[test]
    fn a_rule_is_used_up_to_its_limit_and_a_use_can_be_given_back() {
        let home = fixture::home();
        let used = || Uses::load(&home).unwrap().count("a");
        assert_eq!(
            [charge(&home, "a", &count(2)), charge(&home, "a", &count(2))].map(Result::unwrap),
            [true; 2]
        );
        assert!(!charge(&home, "a", &count(2)).unwrap());
        assert_eq!(used(), 2);
        assert!(charge(&home, "b", &count(1)).unwrap());
        give_back(&home, "a", &count(1)).unwrap();
        assert_eq!(used(), 1);
        assert!(charge(&home, "a", &count(2)).unwrap());
        assert_eq!(Uses::load(&home).unwrap().count("b"), 1);
    }

    #[test]
    fn no_more_is_given_back_than_was_charged() {
        let home = fixture::home();
        give_back(&home, "a", &count(1)).unwrap();
        assert_eq!(Uses::load(&home).unwrap(), Uses::default());
        assert!(charge(&home, "a", &count(1)).unwrap());
        give_back(&home, "a", &count(1)).unwrap();
        give_back(&home, "a", &count(1)).unwrap();
        assert!(charge(&home, "a", &count(1)).unwrap());
        assert!(!charge(&home, "a", &count(1)).unwrap());
    }

    #[test]
    fn the_latest_time_never_goes_back() {
        let home = fixture::home();
        saw(&home, 100).unwrap();
        saw(&home, 50).unwrap();
        let uses = Uses::load(&home).unwrap();
        assert_eq!((uses.latest(50), uses.latest(101)), (100, 101));
        assert_eq!(Uses::default().latest(-7), -7);
    }

    #[test]
    fn damaged_counts_charge_nothing() {
        let home = fixture::home();
        let writer = Writer::lock(&home).unwrap();
        writer.replace(&path(&home), b"{", Durability::Synced).unwrap();
        drop(writer);
        assert!(matches!(charge(&home, "a", &count(9)), Err(Error::Corrupt { .. })));
        assert!(matches!(give_back(&home, "a", &count(1)), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn counts_of_the_first_form_still_open() {
        let home = fixture::home();
        let writer = Writer::lock(&home).unwrap();
        let first = br#"{"v":1,"counts":{"a":3}}"#;
        writer.replace(&path(&home), first, Durability::Synced).unwrap();
        drop(writer);
        assert_eq!(Uses::load(&home).unwrap().count("a"), 3);
        assert!(!charge(&home, "a", &count(3)).unwrap());
        assert!(charge(&home, "a", &count(4)).unwrap());
    }
}
