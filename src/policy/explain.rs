//! Explains the rules of a file to its author.

use serde::Serialize;

use super::expression::Purpose;
use super::{Action, Case, Decision, Error, FIELDS, Policy, Rule};
use crate::device::Fingerprint;
use crate::driver::approver::Refusal;
use crate::driver::clock;
use crate::request::Ceremony;

/// Whether a field of a rule fits a request, and why.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its name in the file.
    pub field: &'static str,
    /// Whether it fits.
    pub fits: bool,
    /// Why, for people.
    pub why: String,
}

/// A rule compared with a request.
#[derive(Debug)]
pub struct Explained {
    /// Its action.
    pub action: Action,
    /// Whether all its fields fit.
    pub fits: bool,
    /// Whether it decides.
    pub decides: bool,
    /// Its fields, in the order in which they are evaluated.
    pub findings: Vec<Finding>,
}

/// A rule as it was read.
#[derive(Debug)]
pub struct Described {
    /// Its action.
    pub action: Action,
    /// The device that it is about.
    pub peer: String,
    /// Warnings about it, for people.
    pub warnings: Vec<String>,
}

impl Policy {
    /// The decision about a request, and how each rule compares with it.
    ///
    /// # Errors
    /// A digest file cannot be read.
    pub(crate) fn explain(&self, case: &Case<'_>) -> Result<(Decision, Vec<Explained>), Error> {
        let decision = self.evaluate(case)?;
        let decided = match decision {
            Decision::Allow(n) | Decision::Deny(Refusal::Rule(n)) | Decision::Ask(Some(n)) => {
                Some(n)
            }
            Decision::Deny(_) | Decision::Ask(None) => None,
        };
        let explained = (1..).zip(&self.rules).map(|(n, rule)| {
            let findings =
                FIELDS.into_iter().map(|field| self.finding(field, rule, case).transpose());
            let findings = findings.flatten().collect::<Result<Vec<_>, _>>()?;
            let fits = findings.iter().all(|finding| finding.fits);
            Ok(Explained { action: rule.action, fits, decides: decided == Some(n), findings })
        });
        Ok((decision, explained.collect::<Result<_, Error>>()?))
    }

    /// The rules as they were read, with warnings; `keys` are the keys of this device.
    ///
    /// # Errors
    /// A digest file cannot be read.
    pub fn describe(
        &self,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
        keys: &[String],
    ) -> Result<Vec<Described>, Error> {
        let described = self.rules.iter().map(|rule| {
            let warnings = self.warnings(rule, peer, keys)?;
            Ok(Described { action: rule.action, peer: rule.peer.clone(), warnings })
        });
        described.collect()
    }

    fn warnings(
        &self,
        rule: &Rule,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
        keys: &[String],
    ) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        if rule.peer.parse::<Fingerprint>().is_err() && peer(&rule.peer).is_none() {
            warnings.push(format!("no device called {:?} is paired: it never fits", rule.peer));
        }
        let is_here = |key: &str| {
            // A key below a known one can be derived.
            let parent = key.split_once('/').map_or(key, |(parent, _)| parent);
            keys.iter().any(|known| known == parent)
        };
        if let Some(key) = rule.key.as_ref().filter(|key| !is_here(key))
            && !matches!(
                rule.ceremony,
                Some(Ceremony::Keygen | Ceremony::Import | Ceremony::Reshare)
            )
        {
            warnings.push(format!("there is no key {key:?} here yet: only keygen can fit"));
        }
        if rule.action == Action::Allow && rule.to.is_some() && rule.method.is_some() {
            warnings.push(
                "`to` is about who is called: whom a token goes to is not limited by it".to_owned(),
            );
        }
        if rule.max_count.as_ref().is_some_and(|max| *max.get_ref() == 0) {
            warnings.push("max_count is 0: it never fits".to_owned());
        }
        if rule.hours.is_some_and(|hours| hours.from == hours.until) {
            warnings.push("hours begin when they end: it never fits".to_owned());
        }
        let named = self.named(rule)?;
        if named.as_ref().is_some_and(Vec::is_empty) {
            warnings.push("it names no digest: it never fits".to_owned());
        }
        let purpose = rule.purpose.as_ref().filter(|_| rule.action == Action::Allow);
        if purpose.is_some_and(Purpose::is_open) {
            warnings.push(
                "the purpose may hold anything: `.*` or its like fits whatever the requester writes"
                    .to_owned(),
            );
        } else if purpose.is_some_and(Purpose::has_wild_dot) {
            warnings.push(
                "the purpose is a regular expression: a dot fits any character, `\\.` only a dot"
                    .to_owned(),
            );
        }
        if rule.action == Action::Allow && rule.ceremony.is_none() && named.is_none() {
            warnings.push(
                "any ceremony: it also lets keys be made and refreshed; `ceremony = \"sign\"` does not"
                    .to_owned(),
            );
        }
        if rule.action == Action::Allow && named.is_none() {
            if rule.to.is_none() && rule.max_amount.is_none() {
                warnings.push("any digest: the purpose is the requester's word for it".to_owned());
            }
            if rule.max_count.is_none() && rule.not_after.is_none() {
                warnings.push("no end: neither max_count nor not_after".to_owned());
            }
        }
        if rule.not_after.is_some_and(|end| end.0 < clock::utc_now()) {
            warnings.push("not_after is past: it never fits again".to_owned());
        }
        Ok(warnings)
    }
}
