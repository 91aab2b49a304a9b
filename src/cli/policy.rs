//! `listen --policy FILE`: rules that decide requests where no person does.
//!
//! Rules are tried in order; the first whose every given field matches decides, and where none
//! matches the answer is no. What cannot be read or understood is an error, never a match.
//! A rule with `max_count` is charged on disk before its answer leaves.

mod check;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, Time};

use crate::crypto::transcript::length_prefixed;
use crate::device::{Fingerprint, hex, unhex};
use crate::progress::RequestView;
use crate::report::{Code, Failure};
use crate::run::clock;
use crate::vault::{Home, Peers};
pub(super) use check::run_policy;

/// The rules of one file, for the device in one home.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Where digest files are.
    folder: PathBuf,
    home: Home,
}

/// What the rules say to a request. Rules count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This rule allows it.
    Allow(usize),
    /// This rule denies it, or no rule matches.
    Deny(Option<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    peer: String,
    ceremony: Option<Ceremony>,
    key: Option<String>,
    purpose: Option<Purpose>,
    digest: Option<Vec<Digest>>,
    digest_file: Option<PathBuf>,
    max_count: Option<u64>,
    not_after: Option<Moment>,
    hours: Option<Hours>,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Allow,
    Deny,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ceremony {
    Sign,
    Keygen,
    Refresh,
}

impl Ceremony {
    fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Keygen => "keygen",
            Self::Refresh => "refresh",
        }
    }
}

impl Policy {
    /// Reads the rules in the file at `path`.
    pub fn load(path: &Path, home: &Home) -> Result<Self, Failure> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(Code::NotFound, format!("there is no policy file {shown}"))
            }
            io::ErrorKind::InvalidData => {
                Failure::new(Code::Usage, format!("policy file {shown}: not UTF-8 text"))
            }
            _ => Failure::new(Code::Internal, format!("cannot read policy file {shown}: {e}")),
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let policy = Self::parse(&text, folder, home.clone())
            .map_err(|e| Failure::new(Code::Usage, format!("policy file {shown}: {e}")))?;
        for rule in &policy.rules {
            policy.listed(rule)?;
        }
        Ok(policy)
    }

    fn parse(text: &str, folder: PathBuf, home: Home) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|e| in_one_line(text, &e))?;
        Ok(Self { rules: document.rule, folder, home })
    }

    /// What the rules say to `request`, now. What a counting rule decided is charged durably
    /// before this returns.
    ///
    /// # Errors
    ///
    /// What the rules refer to cannot be read, or the count cannot be kept: nothing is allowed.
    pub fn decide(&self, request: &RequestView) -> Result<Decision, Failure> {
        let peers = Peers::load(&self.home)?;
        let now = clock::local_now();
        let peer = |name: &str| peers.named(name).map(|record| record.fingerprint);
        self.decide_at(now, peer, request)
    }

    fn decide_at(
        &self,
        now: OffsetDateTime,
        peer: impl Fn(&str) -> Option<Fingerprint>,
        request: &RequestView,
    ) -> Result<Decision, Failure> {
        let mut counters = Counters::lock(&self.home.state).map_err(broken)?;
        let case = Case { request, peer: &peer, now, counters: &counters };
        let decision = self.judge(&case)?;
        if let Decision::Allow(n) | Decision::Deny(Some(n)) = decision
            && let Some(rule) = self.rules.get(n.saturating_sub(1))
            && rule.max_count.is_some()
        {
            counters.charge(self.counter(rule)).map_err(broken)?;
        }
        Ok(decision)
    }

    /// The rules alone.
    fn judge(&self, case: &Case<'_>) -> Result<Decision, Failure> {
        for (n, rule) in (1..).zip(&self.rules) {
            if self.fits(rule, case)? {
                return Ok(match rule.action {
                    Action::Allow => Decision::Allow(n),
                    Action::Deny => Decision::Deny(Some(n)),
                });
            }
        }
        Ok(Decision::Deny(None))
    }

    /// Whether every given field fits. What comes after the first that does not is not looked at:
    /// a digest file that cannot be read matters only to the requests that it is about.
    fn fits(&self, rule: &Rule, case: &Case<'_>) -> Result<bool, Failure> {
        for field in FIELDS {
            if self.finding(field, rule, case)?.is_some_and(|finding| !finding.fits) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A field of a rule held against a request; `None` if the rule does not give it.
    fn finding(
        &self,
        field: Field,
        rule: &Rule,
        case: &Case<'_>,
    ) -> Result<Option<Finding>, Failure> {
        let Case { request, now, .. } = case;
        let held = match field {
            Field::Peer => {
                let named = rule.peer.parse().ok().or_else(|| (case.peer)(&rule.peer));
                let asks =
                    named.is_some_and(|f: Fingerprint| f.to_hex() == request.requester.fingerprint);
                let why = match (named, asks) {
                    (_, true) => format!("{:?} asks", rule.peer),
                    (None, _) => format!("no device called {:?} is paired", rule.peer),
                    (Some(_), _) => format!("{:?} does not ask", rule.peer),
                };
                Some((asks, why))
            }
            Field::Ceremony => rule.ceremony.map(|ceremony| {
                let fits = ceremony.name() == request.ceremony;
                (
                    fits,
                    format!("{} is asked for, {} is ruled on", request.ceremony, ceremony.name()),
                )
            }),
            Field::Key => rule.key.as_ref().map(|key| {
                (*key == request.key, format!("the key is {:?}, the rule's {key:?}", request.key))
            }),
            Field::Purpose => rule.purpose.as_ref().map(|purpose| {
                let text = request.purpose.as_str();
                let fits = purpose.expression.is_match(text);
                let verb = if fits { "matches" } else { "does not match" };
                (fits, format!("all of {text:?} {verb} '{}'", purpose.text))
            }),
            Field::NotAfter => rule.not_after.map(|end| {
                let fits = *now <= end.0;
                let verb = if fits { "ends" } else { "ended" };
                (fits, format!("the rule {verb} at {}", clock::rfc3339(end.0.unix_timestamp())))
            }),
            Field::Hours => rule.hours.map(|hours| {
                let time = now.time();
                let shown = format!("{:02}:{:02}", time.hour(), time.minute());
                (hours.contain(time), format!("it is {shown}, the rule is for {}", hours.text()))
            }),
            Field::MaxCount => rule.max_count.map(|max| {
                let count = case.counters.count(&self.counter(rule));
                (count < max, format!("used {count} of {max} times"))
            }),
            Field::Digest => self.named(rule)?.map(|named| {
                let fits = named.iter().any(|digest| digest.0 == request.digest);
                let among = if fits { "is" } else { "is not" };
                (fits, format!("the digest {among} one of {} that are named", named.len()))
            }),
        };
        Ok(held.map(|(fits, why)| Finding { field: field.name(), fits, why }))
    }

    /// The digests that a rule names, in either way; `None` if it is for any.
    fn named(&self, rule: &Rule) -> Result<Option<Vec<Digest>>, Failure> {
        let listed = self.listed(rule)?;
        Ok(match (&rule.digest, listed) {
            (None, listed) => listed,
            (Some(given), listed) => {
                Some(given.iter().cloned().chain(listed.into_iter().flatten()).collect())
            }
        })
    }

    /// The digests in the rule's file, read anew each time: it may change from day to day.
    fn listed(&self, rule: &Rule) -> Result<Option<Vec<Digest>>, Failure> {
        let Some(path) = rule.digest_file.as_ref().map(|name| self.folder.join(name)) else {
            return Ok(None);
        };
        let shown = path.display();
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(Code::NotFound, format!("there is no digest file {shown}"))
            }
            io::ErrorKind::InvalidData => {
                Failure::new(Code::Usage, format!("digest file {shown}: not UTF-8 text"))
            }
            _ => Failure::new(Code::Internal, format!("cannot read digest file {shown}: {e}")),
        })?;
        let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
        let digests = lines.map(|(n, line)| {
            Digest::parse(line).ok_or_else(|| {
                Failure::new(Code::Usage, format!("digest file {shown}, line {n}: {NO_DIGEST}"))
            })
        });
        digests.collect::<Result<_, _>>().map(Some)
    }

    /// What the rule is counted under: what it matches, and not how often or until when, so that
    /// raising `max_count` does not start from nothing. Rules that match alike differ by position.
    fn counter(&self, rule: &Rule) -> String {
        let same = self.rules.iter().take_while(|other| !std::ptr::eq(*other, rule));
        let position = same.filter(|other| other.identity() == rule.identity()).count();
        hex(&Sha256::digest(length_prefixed(&[&rule.identity(), &(position as u64).to_be_bytes()])))
    }
}

impl Rule {
    fn identity(&self) -> Vec<u8> {
        let digests: Vec<&[u8]> =
            self.digest.iter().flatten().map(|digest| digest.0.as_bytes()).collect();
        let file = self.digest_file.as_ref().map(|f| f.to_string_lossy().into_owned());
        length_prefixed(&[
            self.peer.as_bytes(),
            self.ceremony.map_or("", Ceremony::name).as_bytes(),
            self.key.as_deref().unwrap_or_default().as_bytes(),
            self.purpose.as_ref().map_or("", |p| p.expression.as_str()).as_bytes(),
            &length_prefixed(&digests),
            file.unwrap_or_default().as_bytes(),
            &[u8::from(self.action == Action::Allow)],
        ])
    }
}

/// What the rules are held against.
struct Case<'c> {
    request: &'c RequestView,
    /// The fingerprint of the paired device of this name.
    peer: &'c dyn Fn(&str) -> Option<Fingerprint>,
    now: OffsetDateTime,
    counters: &'c Counters,
}

/// What a rule may say, in the order in which it is looked at.
#[derive(Clone, Copy)]
enum Field {
    Peer,
    Ceremony,
    Key,
    Purpose,
    NotAfter,
    Hours,
    MaxCount,
    Digest,
}

const FIELDS: [Field; 8] = [
    Field::Peer,
    Field::Ceremony,
    Field::Key,
    Field::Purpose,
    Field::NotAfter,
    Field::Hours,
    Field::MaxCount,
    Field::Digest,
];

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Ceremony => "ceremony",
            Self::Key => "key",
            Self::Purpose => "purpose",
            Self::NotAfter => "not_after",
            Self::Hours => "hours",
            Self::MaxCount => "max_count",
            Self::Digest => "digest",
        }
    }
}

/// Whether a field of a rule fits a request, and why.
#[derive(Debug, Serialize)]
struct Finding {
    field: &'static str,
    fits: bool,
    why: String,
}

fn broken(error: io::Error) -> Failure {
    Failure::new(Code::Internal, format!("cannot keep the policy's counts: {error}"))
}

/// A regular expression over the whole purpose.
#[derive(Debug)]
struct Purpose {
    text: String,
    expression: Regex,
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let complain = |e: regex::Error| {
            let why = e.to_string();
            D::Error::custom(format!(
                "not a regular expression: {}",
                why.lines().last().unwrap_or_default().trim_start_matches("error: ")
            ))
        };
        // On its own first: `a)|(b` would otherwise step out of the anchors.
        Regex::new(&text).map_err(complain)?;
        let expression = Regex::new(&format!(r"\A(?:{text})\z")).map_err(complain)?;
        Ok(Self { text, expression })
    }
}

/// 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digest(String);

const NO_DIGEST: &str = "a digest has 64 hexadecimal digits";

impl Digest {
    fn parse(text: &str) -> Option<Self> {
        unhex(text).filter(|bytes| bytes.len() == 32).map(|bytes| Self(hex(&bytes)))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(NO_DIGEST))
    }
}

/// A moment that means the same everywhere.
#[derive(Clone, Copy, Debug)]
struct Moment(OffsetDateTime);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use time::format_description::well_known::Rfc3339;
        let text = toml::value::Datetime::deserialize(deserializer)?.to_string();
        OffsetDateTime::parse(&text, &Rfc3339).map(Self).map_err(|_| {
            D::Error::custom("needs date, time and offset, such as 2026-12-31T00:00:00Z")
        })
    }
}

/// From a time of day until before another; over midnight where the first is the later.
#[derive(Clone, Copy, Debug)]
struct Hours {
    from: Time,
    until: Time,
}

impl Hours {
    fn contain(self, time: Time) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }

    fn text(self) -> String {
        let Self { from, until } = self;
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        format!("{}-{}", time(from), time(until))
    }

    fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').filter(|(_, m)| m.len() == 2)?;
            Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
        };
        Some(Self { from: time(from)?, until: time(until)? })
    }
}

const NO_HOURS: &str = "hours are two times from 00:00 to 23:59, such as \"08:00-18:00\"; for the \
                        whole day leave them out";

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(NO_HOURS))
    }
}

/// How often each rule has decided. Holding it holds the lock.
struct Counters {
    path: PathBuf,
    counts: BTreeMap<String, u64>,
    /// `None` where they are only read.
    _lock: Option<File>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CounterFile {
    v: u8,
    counts: BTreeMap<String, u64>,
}

impl Counters {
    fn lock(state: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(state.join("policy.lock"))?;
        lock.lock()?;
        Ok(Self { _lock: Some(lock), ..Self::read(state)? })
    }

    /// The counts as they are now, to look at.
    fn read(state: &Path) -> io::Result<Self> {
        let path = state.join("policy.json");
        let file = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<CounterFile>(&bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => CounterFile::default(),
            Err(e) => return Err(e),
        };
        Ok(Self { path, counts: file.counts, _lock: None })
    }

    fn count(&self, counter: &str) -> u64 {
        self.counts.get(counter).copied().unwrap_or_default()
    }

    fn charge(&mut self, counter: String) -> io::Result<()> {
        let count = self.counts.entry(counter).or_default();
        *count = count.saturating_add(1);
        let file = CounterFile { v: 1, counts: self.counts.clone() };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec(&file)?)?;
        new.as_file().sync_all()?;
        new.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }
}

/// A complaint about TOML as `line 3, column 5: …`.
pub(super) fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message;
    };
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    format!("line {line}, column {column}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Label;
    use crate::progress::{PartyView, Source};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-06-15 12:00 +2);

    fn request(purpose: &str) -> RequestView {
        let alice = PartyView { name: Label::new("anything"), fingerprint: "aa".repeat(32) };
        RequestView {
            ceremony: "sign".into(),
            request_id: String::new(),
            key: "vault".into(),
            public_key: String::new(),
            threshold: 2,
            parties: 2,
            signers: Vec::new(),
            digest: "5a".repeat(32),
            source: Source::Digest,
            purpose: Label::new(purpose),
            requester: alice,
            receivers: Vec::new(),
            seconds: 60,
        }
    }

    fn paired(name: &str) -> Option<Fingerprint> {
        (name == "alice").then(|| Fingerprint::new([0xaa; 32]))
    }

    /// The rules in `text`, with digest files and counts in `folder`.
    fn policy(text: &str, folder: &Path) -> Policy {
        Policy::parse(text, folder.to_owned(), Home::at(folder)).unwrap()
    }

    /// What is wrong with `text`.
    fn mistake(text: &str) -> Option<String> {
        Policy::parse(text, PathBuf::new(), Home::at("")).err()
    }

    /// Decides one request by `text`, with fresh counts.
    fn decide(text: &str, request: &RequestView, now: OffsetDateTime) -> Decision {
        let folder = tempfile::tempdir().unwrap();
        policy(text, folder.path()).decide_at(now, paired, request).unwrap()
    }

    fn allow(fields: &str) -> String {
        format!("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n{fields}\n")
    }

    #[test]
    fn without_a_matching_rule_the_answer_is_no() {
        assert_eq!(decide("", &request(""), NOW), Decision::Deny(None));
        let other = allow("").replace("alice", "bob");
        assert_eq!(decide(&other, &request(""), NOW), Decision::Deny(None));
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let deny = allow("key = \"vault\"").replace("allow", "deny");
        let text = format!("{}{deny}{}", allow("key = \"other\""), allow(""));
        assert_eq!(decide(&text, &request(""), NOW), Decision::Deny(Some(2)));
    }

    #[test]
    fn a_peer_is_matched_by_fingerprint_and_never_by_the_name_it_claims() {
        let mut claims = request("");
        claims.requester.fingerprint = "bb".repeat(32);
        claims.requester.name = Label::new("alice");
        assert_eq!(decide(&allow(""), &claims, NOW), Decision::Deny(None));
        let by_fingerprint = allow("").replace("alice", &"aa".repeat(32));
        assert_eq!(decide(&by_fingerprint, &request(""), NOW), Decision::Allow(1));
    }

    #[test]
    fn a_purpose_must_match_from_end_to_end() {
        let rule = allow(r"purpose = 'release \d+|test'");
        assert_eq!(decide(&rule, &request("release 12"), NOW), Decision::Allow(1));
        assert_eq!(decide(&rule, &request("test"), NOW), Decision::Allow(1));
        for purpose in ["release 12 and more", "a release 12", "a test", "", "testrelease 1"] {
            assert_eq!(decide(&rule, &request(purpose), NOW), Decision::Deny(None), "{purpose:?}");
        }
    }

    #[test]
    fn an_expression_cannot_step_out_of_its_anchors() {
        for purpose in [r"a)|(b", r"(", r"(?x) a # comment"] {
            assert!(mistake(&allow(&format!("purpose = '{purpose}'"))).is_some(), "{purpose}");
        }
    }

    #[test]
    fn digests_may_be_listed_here_or_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("today.txt"), format!("{}\n\n", "5A".repeat(32))).unwrap();
        let decide = |fields: &str| {
            policy(&allow(fields), folder.path()).decide_at(NOW, paired, &request(""))
        };
        assert_eq!(decide("digest_file = \"today.txt\"").unwrap(), Decision::Allow(1));
        let here = format!("digest = [\"{}\", \"{}\"]", "00".repeat(32), "5a".repeat(32));
        assert_eq!(decide(&here).unwrap(), Decision::Allow(1));
        let other = format!("digest = [\"{}\"]", "00".repeat(32));
        assert_eq!(decide(&other).unwrap(), Decision::Deny(None));
        assert_eq!(decide("digest = []").unwrap(), Decision::Deny(None));
        assert_eq!(decide("digest_file = \"gone.txt\"").unwrap_err().code, Code::NotFound);
        fs::write(folder.path().join("bad.txt"), "5a7f\n").unwrap();
        assert_eq!(decide("digest_file = \"bad.txt\"").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_count_survives_a_restart_and_a_raised_limit() {
        let folder = tempfile::tempdir().unwrap();
        let decide = |max: u32| {
            policy(&allow(&format!("max_count = {max}")), folder.path())
                .decide_at(NOW, paired, &request(""))
                .unwrap()
        };
        assert_eq!(decide(2), Decision::Allow(1));
        assert_eq!(decide(2), Decision::Allow(1));
        assert_eq!(decide(2), Decision::Deny(None));
        assert_eq!(decide(3), Decision::Allow(1));
        assert_eq!(decide(3), Decision::Deny(None));
    }

    #[test]
    fn two_rules_that_match_alike_are_counted_apart() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy(&allow("max_count = 1").repeat(2), folder.path());
        let decide = || policy.decide_at(NOW, paired, &request("")).unwrap();
        assert_eq!(
            [decide(), decide(), decide()],
            [Decision::Allow(1), Decision::Allow(2), Decision::Deny(None)]
        );
    }

    #[test]
    fn unreadable_counts_allow_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(folder.path().join("state/policy.json"), "{").unwrap();
        let policy = policy(&allow("max_count = 1"), folder.path());
        assert!(policy.decide_at(NOW, paired, &request("")).is_err());
    }

    #[test]
    fn time_limits_hold_to_the_minute() {
        let until = allow("not_after = 2026-06-15T10:00:00Z");
        assert_eq!(decide(&until, &request(""), NOW), Decision::Allow(1));
        let later = NOW + time::Duration::seconds(1);
        assert_eq!(decide(&until, &request(""), later), Decision::Deny(None));

        let at = |hour, minute| NOW.replace_time(Time::from_hms(hour, minute, 0).unwrap());
        let day = allow("hours = \"08:00-18:00\"");
        assert_eq!(decide(&day, &request(""), at(8, 0)), Decision::Allow(1));
        assert_eq!(decide(&day, &request(""), at(18, 0)), Decision::Deny(None));
        let night = allow("hours = \"22:00-06:00\"");
        assert_eq!(decide(&night, &request(""), at(23, 0)), Decision::Allow(1));
        assert_eq!(decide(&night, &request(""), at(5, 59)), Decision::Allow(1));
        assert_eq!(decide(&night, &request(""), at(12, 0)), Decision::Deny(None));
    }

    #[test]
    fn mistakes_are_named_with_line_and_column() {
        for (fields, expected) in [
            ("pupose = 'x'", "line 4, column 1: unknown field `pupose`"),
            ("hours = \"8-18\"", "line 4, column 9: hours are two times"),
            ("digest = [\"00\"]", "line 4, column 10: a digest has 64"),
            ("not_after = 2026-12-31", "line 4, column 13: needs date, time and offset"),
            ("purpose = '('", "line 4, column 11: not a regular expression"),
            ("max_count = -1", "line 4, column 13: "),
        ] {
            let error = mistake(&allow(fields)).unwrap();
            assert!(error.starts_with(expected), "{fields}: {error}");
        }
        let error = mistake("[[rule]]\naction = \"allow\"\n").unwrap();
        assert!(error.contains("missing field `peer`"), "{error}");
    }
}
