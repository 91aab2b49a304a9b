//! How often each rule of a policy was used, and the latest time at which one was.
//!
//! A use is charged before the answer that it allows is sent, and given back only by a ceremony
//! that ended before anything was spent: a crash in between leaves it charged. The latest time is
//! stored so that a clock set back does not revive a rule that has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Home;
use super::document;
use super::error::Error;
use super::file::Writer;

/// The uses of every rule that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// By the rule's name in the policy.
    counts: BTreeMap<String, u64>,
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

/// Charges one use of `rule`, durably, unless `limit` are charged already; says whether it did.
///
/// # Errors
///
/// As [`Uses::load`], and [`Error::Io`]: the rule must not allow anything then.
pub fn charge(home: &Home, rule: &str, limit: u64) -> Result<bool, Error> {
    let mut charged = false;
    change(home, |uses| {
        let count = uses.counts.entry(rule.to_owned()).or_default();
        charged = *count < limit;
        *count = count.saturating_add(u64::from(charged));
        charged
    })?;
    Ok(charged)
}

/// Gives one charged use of `rule` back.
///
/// # Errors
///
/// As [`charge`]: the use stays charged then.
pub fn give_back(home: &Home, rule: &str) -> Result<(), Error> {
    change(home, |uses| {
        let count = uses.counts.get_mut(rule).filter(|count| **count > 0);
        count.map(|count| *count = count.saturating_sub(1)).is_some()
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

    #[test]
    fn a_rule_is_used_up_to_its_limit_and_a_use_can_be_given_back() {
        let home = fixture::home();
        let count = || Uses::load(&home).unwrap().count("a");
        assert_eq!([charge(&home, "a", 2), charge(&home, "a", 2)].map(Result::unwrap), [true; 2]);
        assert!(!charge(&home, "a", 2).unwrap());
        assert_eq!(count(), 2);
        assert!(charge(&home, "b", 1).unwrap());
        give_back(&home, "a").unwrap();
        assert_eq!(count(), 1);
        assert!(charge(&home, "a", 2).unwrap());
        assert_eq!(Uses::load(&home).unwrap().count("b"), 1);
    }

    #[test]
    fn no_more_is_given_back_than_was_charged() {
        let home = fixture::home();
        give_back(&home, "a").unwrap();
        assert_eq!(Uses::load(&home).unwrap(), Uses::default());
        assert!(charge(&home, "a", 1).unwrap());
        give_back(&home, "a").unwrap();
        give_back(&home, "a").unwrap();
        assert!(charge(&home, "a", 1).unwrap());
        assert!(!charge(&home, "a", 1).unwrap());
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
        assert!(matches!(charge(&home, "a", 9), Err(Error::Corrupt { .. })));
        assert!(matches!(give_back(&home, "a"), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn counts_of_the_first_form_still_open() {
        let home = fixture::home();
        let writer = Writer::lock(&home).unwrap();
        let first = br#"{"v":1,"counts":{"a":3}}"#;
        writer.replace(&path(&home), first, Durability::Synced).unwrap();
        drop(writer);
        assert_eq!(Uses::load(&home).unwrap().count("a"), 3);
        assert!(!charge(&home, "a", 3).unwrap());
        assert!(charge(&home, "a", 4).unwrap());
    }
}
