//! `cosign policy check`: what the rules of a file would say to a request, and why. Nothing is
//! counted and nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Action, Asked, Case, Decision, Digest, FIELDS, Finding, Policy, Purpose, Rule};
use crate::cli::args::{PolicyCheckArgs, PolicyCommand};
use crate::cli::output::Table;
use crate::cli::signature::read_file;
use crate::cli::{Global, Output, unlock};
use crate::device::{Fingerprint, Label};
use crate::driver::approver::Refusal;
use crate::driver::clock;
use crate::report::{Code, Failure, here};
use crate::request::Ceremony;
use crate::vault::{Peers, Uses, keys};

/// `cosign policy`
pub(in crate::cli) fn run_policy(
    global: &Global,
    command: PolicyCommand,
) -> Result<Output, Failure> {
    let PolicyCommand::Check(PolicyCheckArgs { file, request }) = command;
    let home = unlock::look(global)?.0;
    let policy = Policy::load(&file, &home)?;
    let peers = Peers::load(&home)?;
    let uses = Uses::load(&home)?;
    let peer = |name: &str| peers.named(name).map(|record| record.fingerprint);
    if request.is_empty() {
        let mut keys: Vec<String> =
            keys::list(&home)?.into_iter().map(|record| record.name).collect();
        keys.dedup();
        return policy.described(&peer, &keys);
    }
    let given = Given::read(&request)?;
    let (asked, time) = given.asked(&peer)?;
    let local = policy.now()?;
    // A moment that is asked about is taken as it is, whatever the clock said before.
    let (now, uses) = match time {
        Some(time) => (time.to_offset(local.offset()), uses.without_latest()),
        None => (local, uses),
    };
    policy.explained(&Case { asked: &asked, peer: &peer, now, uses: &uses })
}

impl Policy {
    /// Every rule held against a request, and what comes of it.
    fn explained(&self, case: &Case<'_>) -> Result<Output, Failure> {
        let decision = self.evaluate(case)?;
        let (allowed, decided) = match decision {
            Decision::Allow(n) => (true, Some(n)),
            Decision::Deny(Refusal::Rule(n)) => (false, Some(n)),
            Decision::Deny(_) => (false, None),
        };
        let (mut rules, mut text) = (Vec::new(), String::new());
        for (n, rule) in (1..).zip(&self.rules) {
            let findings = self.findings(rule, case)?;
            let fits = findings.iter().all(|finding| finding.fits);
            let verdict = match (fits, decided) {
                (_, Some(decisive)) if decisive == n => "fits, and decides",
                (true, _) => "fits, but an earlier rule decides",
                (false, _) => "does not fit",
            };
            text += &format!("rule {n}, {}: {verdict}\n", rule.action.name());
            let mut table = Table::new([""; 4]);
            for Finding { field, fits, why } in &findings {
                table.row(["", field, if *fits { "yes" } else { "no" }, why]);
            }
            text += table.text().trim_start_matches('\n');
            rules.push(json!({
                "rule": n, "action": rule.action.name(), "fits": fits,
                "decides": decided == Some(n), "fields": findings,
            }));
        }
        let verdict = match decision {
            Decision::Allow(n) => format!("the answer is yes, by rule {n}"),
            Decision::Deny(Refusal::Rule(n)) => format!("the answer is no, by rule {n}"),
            Decision::Deny(Refusal::UsedUp(n)) => {
                format!("the answer is no: rule {n} is used up, and no other rule fits")
            }
            Decision::Deny(_) => "the answer is no: no rule fits".to_owned(),
        };
        let word = if allowed { Action::Allow } else { Action::Deny };
        let checked = self.home.checks();
        let result = json!({
            "decision": word.name(), "rule": decided, "rules": rules, "checked": checked,
        });
        if allowed {
            return Output::new(result, text + &verdict);
        }
        Ok(Output::new(result, text)?.but(Failure::new(Code::Policy, verdict)))
    }

    fn findings(&self, rule: &Rule, case: &Case<'_>) -> Result<Vec<Finding>, Failure> {
        let findings = FIELDS.into_iter().map(|field| self.finding(field, rule, case).transpose());
        findings.flatten().collect()
    }

    /// The rules as they were read, and what is odd about them.
    fn described(
        &self,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
        keys: &[String],
    ) -> Result<Output, Failure> {
        let (mut rules, mut text) = (Vec::new(), String::new());
        for (n, rule) in (1..).zip(&self.rules) {
            let warnings = self.warnings(rule, peer, keys)?;
            text += &format!("rule {n}, {}: {:?}", rule.action.name(), rule.peer);
            if warnings.is_empty() {
                text += "\n";
            }
            text += &match warnings.as_slice() {
                [] => String::new(),
                all => format!("\n  {}\n", all.join("\n  ")),
            };
            rules.push(json!({
                "rule": n, "action": rule.action.name(), "peer": rule.peer, "warnings": warnings,
            }));
        }
        text += &format!("{} rules; what none of them fits is refused", self.rules.len());
        let checked = self.home.checks();
        Output::new(json!({ "valid": true, "rules": rules, "checked": checked }), text)
    }

    fn warnings(
        &self,
        rule: &Rule,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
        keys: &[String],
    ) -> Result<Vec<String>, Failure> {
        let mut warnings = Vec::new();
        if rule.peer.parse::<Fingerprint>().is_err() && peer(&rule.peer).is_none() {
            warnings.push(format!("no device called {:?} is paired: it never fits", rule.peer));
        }
        if let Some(key) = rule.key.as_ref().filter(|key| !keys.contains(key))
            && rule.ceremony != Some(Ceremony::Keygen)
        {
            warnings.push(format!("there is no key {key:?} here yet: only keygen can fit"));
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
            warnings.push("any digest: the purpose is the requester's word for it".to_owned());
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

/// A request as `--request` gives it: fields, or a JSON object such as a `request` event or a line
/// of the log. What it has more is not looked at.
#[derive(Default, Deserialize)]
struct Given {
    #[serde(default)]
    ceremony: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    peer: String,
    requester: Option<Requester>,
    #[serde(default)]
    time: String,
}

#[derive(Deserialize)]
struct Requester {
    fingerprint: String,
}

impl Given {
    fn read(arguments: &[String]) -> Result<Self, Failure> {
        if let [only] = arguments
            && (only.starts_with('{') || only == "-" || Path::new(only).is_file())
        {
            let text = match only.starts_with('{') {
                true => only.clone().into_bytes(),
                false => read_file(only, "request", MAX_REQUEST)?,
            };
            return serde_json::from_slice(&text)
                .map_err(|e| Failure::new(Code::Usage, format!("--request: {e}")));
        }
        let mut asked = Self::default();
        let mut given = BTreeSet::new();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| wrong(argument))?;
            if !given.insert(name) {
                let why = format!("--request {}: given twice", Label::capped(argument, 80));
                return Err(Failure::new(Code::Usage, why).hint("a request has each field once"));
            }
            let field = match name {
                "ceremony" => &mut asked.ceremony,
                "key" => &mut asked.key,
                "digest" => &mut asked.digest,
                "purpose" => &mut asked.purpose,
                "peer" => &mut asked.peer,
                "time" => &mut asked.time,
                _ => return Err(wrong(argument)),
            };
            value.clone_into(field);
        }
        Ok(asked)
    }

    /// The request as a policy sees it, and the moment that it names.
    fn asked(
        &self,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
    ) -> Result<(Asked<'_>, Option<OffsetDateTime>), Failure> {
        let usage = |why: String| Failure::new(Code::Usage, format!("--request: {why}"));
        let who = self.requester.as_ref().map_or(&self.peer, |requester| &requester.fingerprint);
        if who.is_empty() {
            return Err(usage("it does not say who asks".to_owned()).hint("add peer=NAME"));
        }
        let requester = who.parse().ok().or_else(|| peer(who)).ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                format!("no device called {:?} is paired", Label::new(who)),
            )
            .hint(format!(
                "name a paired device or a fingerprint: {} shows them",
                here(&["peers", "list"], &[])
            ))
        })?;
        let ceremony = match self.ceremony.as_str() {
            "" | "sign" => Ceremony::Sign,
            "keygen" => Ceremony::Keygen,
            "refresh" => Ceremony::Refresh,
            other => return Err(usage(format!("{other:?} is no ceremony that a policy decides"))),
        };
        let time = match self.time.as_str() {
            "" => None,
            text => Some(OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                usage("time is not of the form 2026-12-31T12:00:00+01:00".to_owned())
            })?),
        };
        let digest = match self.digest.as_str() {
            "" => None,
            text => Some(Digest::parse(text).ok_or_else(|| usage(super::NO_DIGEST.to_owned()))?.0),
        };
        let purpose = Label::new(&self.purpose);
        Ok((Asked { requester, ceremony, key: &self.key, purpose, digest }, time))
    }
}

fn wrong(argument: &str) -> Failure {
    let shown = Label::capped(argument, 80);
    Failure::new(Code::Usage, format!("--request {shown}: not a field of a request"))
        .hint("use peer=, ceremony=, key=, digest=, purpose=, time=, or a JSON object or its file")
}

/// The most bytes that are read of a request.
const MAX_REQUEST: u64 = 1 << 16;
