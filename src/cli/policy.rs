//! `cosign policy check`: how the rules of a file decide about a request, and why. No use is
//! charged and nothing is written.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::args::{PayloadArgs, PaymentArgs, PolicyCheckArgs, PolicyCommand, absolute};
use crate::cli::chosen;
use crate::cli::output::Table;
use crate::cli::signature::read_file;
use crate::cli::{Global, Output, digest, given, unlock};
use crate::device::{Fingerprint, Label};
use crate::driver::approver::Refusal;
use crate::payload::Source;
use crate::payload::ethereum::Account;
use crate::policy::{
    Action, Asked, Case, Decision, Described, Digest, Explained, Finding, NO_DIGEST, Policy,
};
use crate::report::{Code, Failure, here};
use crate::request::Ceremony;
use crate::vault::{Home, Peers, Uses, keys};
use crate::wire;

/// `cosign policy`
pub(super) fn run_policy(global: &Global, command: PolicyCommand) -> Result<Output, Failure> {
    let PolicyCommand::Check(PolicyCheckArgs { file, request }) = command;
    let Known { home, peers, uses, keys, accounts } = Known::of(global)?;
    let policy = Policy::load(&file, &home)?;
    let peer = |name: &str| peers.pinned(name);
    if request.is_empty() {
        return described(&policy.describe(&peer, &keys)?, policy.asks_otherwise(), &home);
    }
    let mut given = Given::read(&request)?;
    given.read_payload(global)?;
    let known = accounts.into_iter().find(|(name, _)| *name == given.key);
    given.account = known.map(|(_, account)| account);
    let (decision, explanation) = given.explained(&policy, &peer, uses)?;
    explained(decision, &explanation, &home)
}

/// The names that the rules of a file may refer to.
struct Known {
    home: Home,
    peers: Peers,
    uses: Uses,
    keys: Vec<String>,
    /// The accounts of the keys on Ethereum, without those of keys below them.
    accounts: Vec<(String, Account)>,
}

impl Known {
    /// The records of this device. If the home cannot be read, such as that of another user, there
    /// are none, and the file can still be checked.
    fn of(global: &Global) -> Result<Self, Failure> {
        match Self::read(global) {
            Err(failure) if failure.code == Code::System => {
                global.screen.note(format!(
                    "the devices, keys and uses of this home are not known: {}",
                    failure.message
                ));
                let (peers, uses) = (Peers::default(), Uses::default());
                let (keys, accounts) = (Vec::new(), Vec::new());
                Ok(Self { home: given::home(global)?, peers, uses, keys, accounts })
            }
            known => known,
        }
    }

    fn read(global: &Global) -> Result<Self, Failure> {
        let home = unlock::look(global)?.0;
        let records = keys::list(&home)?;
        let accounts = records
            .iter()
            .filter_map(|record| Some((record.name.clone(), Account::of_key(&record.public_key)?)));
        let accounts = accounts.collect();
        let mut keys: Vec<String> = records.into_iter().map(|record| record.name).collect();
        keys.dedup();
        let (peers, uses) = (Peers::load(&home)?, Uses::load(&home)?);
        Ok(Self { home, peers, uses, keys, accounts })
    }
}

/// The result for a request: what each rule says, and the decision.
fn explained(decision: Decision, explained: &[Explained], home: &Home) -> Result<Output, Failure> {
    let (mut rules, mut text) = (Vec::new(), String::new());
    for (n, Explained { action, fits, decides, findings }) in (1..).zip(explained) {
        let verdict = match (fits, decides) {
            (_, true) => "fits, and decides",
            (true, false) => "fits, but an earlier rule decides",
            (false, false) => "does not fit",
        };
        text += &format!("rule {n}, {}: {verdict}\n", action.name());
        let mut table = Table::new([""; 4]);
        for Finding { field, fits, why } in findings {
            table.row(["", field, if *fits { "yes" } else { "no" }, why]);
        }
        text += table.text().trim_start_matches('\n');
        rules.push(json!({
            "rule": n, "action": action.name(), "fits": fits, "decides": decides, "fields": findings,
        }));
    }
    let (word, by, verdict) = match decision {
        Decision::Allow(n) => (Action::Allow, Some(n), format!("the answer is yes, by rule {n}")),
        Decision::Deny(Refusal::Rule(n)) => {
            (Action::Deny, Some(n), format!("the answer is no, by rule {n}"))
        }
        Decision::Deny(Refusal::UsedUp(n)) => {
            let verdict = format!("the answer is no: rule {n} is used up, and no other rule fits");
            (Action::Deny, None, verdict)
        }
        Decision::Deny(_) => (Action::Deny, None, "the answer is no: no rule fits".to_owned()),
        Decision::Ask(Some(n)) => {
            (Action::Ask, Some(n), format!("the person at this device is asked, by rule {n}"))
        }
        Decision::Ask(None) => {
            let verdict = "the person at this device is asked: no rule fits".to_owned();
            (Action::Ask, None, verdict)
        }
    };
    let checked = home.checks();
    let result = json!({ "decision": word.name(), "rule": by, "rules": rules, "checked": checked });
    match word {
        Action::Allow => Output::new(result, text + &verdict),
        Action::Deny => Ok(Output::new(result, text)?.but(Failure::new(Code::Policy, verdict))),
        Action::Ask => Ok(Output::new(result, text)?.but(Failure::new(Code::Interaction, verdict))),
    }
}

/// The result without a request: the rules as they were read, and warnings.
fn described(all: &[Described], asks: bool, home: &Home) -> Result<Output, Failure> {
    let (mut rules, mut text) = (Vec::new(), String::new());
    for (n, Described { action, peer, warnings }) in (1..).zip(all) {
        text += &format!("rule {n}, {}: {peer:?}\n", action.name());
        text.extend(warnings.iter().map(|warning| format!("  {warning}\n")));
        rules.push(json!({
            "rule": n, "action": action.name(), "peer": peer, "warnings": warnings,
        }));
    }
    let otherwise = if asks { "put before the person" } else { "refused" };
    text += &format!("{} rules; what none of them fits is {otherwise}", all.len());
    let checked = home.checks();
    let otherwise = if asks { Action::Ask } else { Action::Deny }.name();
    Output::new(
        json!({ "valid": true, "rules": rules, "otherwise": otherwise, "checked": checked }),
        text,
    )
}

/// A request as `--request` gives it: fields, or a JSON object such as a `request` event or a line
/// of the log. Further members are ignored.
#[derive(Debug, Default, Deserialize)]
pub struct Given {
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
    /// A payload, of which the digest and the facts are used.
    #[serde(skip)]
    given: PayloadArgs,
    #[serde(skip)]
    payment: PaymentArgs,
    /// What was read of it.
    #[serde(skip)]
    read: Option<digest::Digest>,
    /// The account of the key, if it is known.
    #[serde(skip)]
    account: Option<Account>,
    source: Option<wire::Source>,
    /// The same in an entry of the log; in an event, what is shown of it.
    payload: Option<serde_json::Value>,
    #[serde(default)]
    time: String,
}

#[derive(Debug, Deserialize)]
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
            return Self::from_json(&text);
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
                _ => {
                    asked.take(name, value, argument)?;
                    continue;
                }
            };
            value.clone_into(field);
        }
        Ok(asked)
    }

    /// A field of the payload.
    fn take(&mut self, name: &str, value: &str, argument: &str) -> Result<(), Failure> {
        let path = || absolute(Path::new(value));
        let has_payload = self.has_payload();
        let given = &mut self.given;
        match name {
            "hash" => given.hash = Some(one_of(value, argument)?),
            "message-format" => given.message_format = Some(one_of(value, argument)?),
            "network" => self.payment.network = Some(one_of(value, argument)?),
            _ if PAYLOADS.contains(&name) && has_payload => {
                let why = format!("--request {}: a second payload", Label::capped(argument, 80));
                return Err(Failure::new(Code::Usage, why).hint("a request has one payload"));
            }
            "file" => given.file = vec![path()],
            "message" => given.message = Some(value.to_owned()),
            "message-file" => given.message_file = Some(path()),
            "eth-tx" => given.eth_tx = Some(value.to_owned()),
            "typed-data" => given.typed_data = Some(path()),
            "psbt" => self.payment.psbt = Some(path()),
            _ => return Err(wrong(argument)),
        }
        Ok(())
    }

    fn has_payload(&self) -> bool {
        self.given.is_given() || self.payment.psbt.is_some()
    }

    /// Reads the payload, if there is one. What a payment pays depends on the key, whose chain code is
    /// stored with the share, so that the vault is opened for it.
    fn read_payload(&mut self, global: &Global) -> Result<(), Failure> {
        if !self.has_payload() {
            return Ok(());
        }
        let read = digest::of_any(None, &self.given, &self.payment, global.deadline)?;
        let read = read.signed_by(&[], || {
            let name = Some(self.key.as_str()).filter(|name| !name.is_empty());
            chosen::signer(global, name, "--request key=NAME")
        })?;
        self.read = Some(read);
        Ok(())
    }

    /// The fields of a JSON object.
    ///
    /// # Errors
    /// It is not an object, or a field is not a string.
    pub fn from_json(text: &[u8]) -> Result<Self, Failure> {
        // serde would accept an array for a struct, so only objects pass.
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(Failure::new(Code::Usage, "--request: no JSON object"));
        }
        serde_json::from_slice(text)
            .map_err(|e| Failure::new(Code::Usage, format!("--request: {e}")))
    }

    /// What each rule says about this request. `peer` maps names of devices to fingerprints.
    ///
    /// # Errors
    /// The request is malformed, or a file that a rule names cannot be read.
    pub fn explained(
        &self,
        policy: &Policy,
        peer: &dyn Fn(&str) -> Option<Fingerprint>,
        uses: Uses,
    ) -> Result<(Decision, Vec<Explained>), Failure> {
        let (asked, time) = self.asked(peer)?;
        let local = policy.now()?;
        // A given time is used as it is, even if it is before the latest time seen.
        let (now, uses) = match time {
            Some(time) => {
                let here = time.checked_to_offset(local.offset()).ok_or_else(|| {
                    let why = "--request: time is in no year from -9999 to 9999 here";
                    Failure::new(Code::Usage, why)
                })?;
                (here, uses.without_latest())
            }
            None => (local, uses),
        };
        Ok(policy.explain(&Case { asked: &asked, peer, now, uses: &uses })?)
    }

    /// The request in the policy's terms, and its time.
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
        let ceremony = match (self.ceremony.as_str(), Ceremony::named(&self.ceremony)) {
            ("", _) => Ceremony::Sign,
            (other, None | Some(Ceremony::Resume)) => {
                return Err(usage(format!("{other:?} is no ceremony that a policy decides")));
            }
            (_, Some(ceremony)) => ceremony,
        };
        let time = match self.time.as_str() {
            "" => None,
            text => Some(OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                usage("time is not of the form 2026-12-31T12:00:00+01:00".to_owned())
            })?),
        };
        let digest = match self.digest.as_str() {
            "" => None,
            text => Some(Digest::parse(text).ok_or_else(|| usage(NO_DIGEST.to_owned()))?.0),
        };
        // Of an event `payload` is the summary, which is no source.
        let logged = self.payload.clone().and_then(|logged| serde_json::from_value(logged).ok());
        let said = self.source.clone().or(logged).filter(|_| ceremony == Ceremony::Sign);
        let (digest, source, payload) = match (&self.read, &said) {
            (Some(read), _) => (Some(read.bytes), Some(read.source.clone()), read.payload.clone()),
            (None, None) => (digest, digest.map(|_| Source::Digest), None),
            (None, Some(source)) => {
                let source = source.read().ok_or_else(|| usage("source is none".to_owned()))?;
                (digest, Some(source), None)
            }
        };
        let (key, purpose) = (self.key.as_str(), Label::new(&self.purpose));
        let account = self.account;
        let asked = Asked { requester, ceremony, key, purpose, digest, source, payload, account };
        Ok((asked, time))
    }
}

/// A value of a field that has few.
fn one_of<V: ValueEnum>(value: &str, argument: &str) -> Result<V, Failure> {
    V::from_str(value, false).map_err(|_| {
        let all = V::value_variants().iter().filter_map(V::to_possible_value);
        let all: Vec<_> = all.map(|value| value.get_name().to_owned()).collect();
        let shown = Label::capped(argument, 80);
        Failure::new(
            Code::Usage,
            format!("--request {shown}: the value is none of {}", all.join(", ")),
        )
    })
}

fn wrong(argument: &str) -> Failure {
    let shown = Label::capped(argument, 80);
    Failure::new(Code::Usage, format!("--request {shown}: not a field of a request")).hint(
        "use peer=, ceremony=, key=, digest=, purpose=, time=, one of file=, message=, message-file=, eth-tx=, \
         typed-data= and psbt=, hash=, message-format= or network= beside it, or a JSON object or its file",
    )
}

/// The fields of which a request has one.
const PAYLOADS: [&str; 6] = ["file", "message", "message-file", "eth-tx", "typed-data", "psbt"];

/// The most bytes that are read of a request.
const MAX_REQUEST: u64 = 1 << 18;
