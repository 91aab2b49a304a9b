//! Policies: rules in a file that decide about requests without a person.
//!
//! Rules are tried in order; the first whose every given field matches decides. If none matches the
//! answer is no, or what `otherwise` says. Anything unreadable or malformed is an error, never a
//! match. A use of a rule with `max_count` is stored before its answer leaves.

mod error;
mod explain;
mod expression;
mod facts;
pub mod folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, Time};
use toml::Spanned;

use crate::crypto::transcript::length_prefixed;
use crate::device::{Fingerprint, Label, hex};
use crate::driver::approver::Refusal;
use crate::driver::clock;
use crate::pasted;
use crate::payload::bitcoin::Network;
use crate::payload::ethereum::{Account, Number};
use crate::payload::{HashFunction, Kind, Payload, Source, Summary};
use crate::request::{Ceremony, Question, below};
use crate::vault::given::{self, Guard};
use crate::vault::{Home, Limits, Peers, PerDay, Uses, uses};
pub use error::{Error, File};
pub use explain::{Described, Explained, Finding};
use expression::Purpose;
use facts::{Amount, Facts, Fee, Target};

/// The rules of one file, for the device in one home.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    otherwise: Otherwise,
    /// The folder of digest files.
    folder: PathBuf,
    home: Home,
}

/// The clock was set back: `not_after` is compared with the latest time that it has shown. Seconds
/// since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// The time now.
    pub now: i64,
    /// The latest time.
    pub latest: i64,
}

/// The decision about a request. Rules count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This rule allows it.
    Allow(usize),
    /// It is denied.
    Deny(Refusal),
    /// A person decides: by this rule, or by `otherwise` if it is `None`.
    Ask(Option<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rule: Vec<Rule>,
    #[serde(default)]
    otherwise: Otherwise,
}

/// The answer if no rule fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Otherwise {
    /// No.
    #[default]
    Deny,
    /// A person decides.
    Ask,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    peer: String,
    #[serde(default, deserialize_with = "ruled_on")]
    ceremony: Option<Ceremony>,
    key: Option<String>,
    #[serde(default, deserialize_with = "kind")]
    payload: Option<Kind>,
    chain: Option<u64>,
    #[serde(default, deserialize_with = "network")]
    network: Option<Network>,
    to: Option<Vec<Target>>,
    method: Option<Vec<String>>,
    max_amount: Option<Amount>,
    max_fee: Option<Fee>,
    max_per_day: Option<Spanned<Amount>>,
    purpose: Option<Purpose>,
    digest: Option<Vec<Digest>>,
    digest_file: Option<PathBuf>,
    file_in: Option<PathBuf>,
    max_count: Option<Spanned<u64>>,
    not_after: Option<Moment>,
    hours: Option<Hours>,
    action: Action,
}

/// The effect of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// A person decides.
    Ask,
}

impl Action {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

impl Policy {
    /// Reads the rules in the file at `path`.
    ///
    /// # Errors
    /// The file, or a digest file that it names, is unreadable, malformed, or one that others may
    /// change; or the local time zone is unknown and a rule needs it.
    pub fn load(path: &Path, home: &Home) -> Result<Self, Error> {
        let file = File::Policy(path.to_owned());
        let text = read_text(&file)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let policy = Self::parse(&text, folder, home.clone())
            .map_err(|complaint| Error::Invalid { file, complaint })?;
        for rule in &policy.rules {
            policy.listed(rule)?;
        }
        // Checked now: without a time zone a rule about hours cannot decide.
        policy.now()?;
        Ok(policy)
    }

    /// The same rules with the home of the open vault.
    #[must_use]
    pub fn at(self, home: &Home) -> Self {
        Self { home: home.clone(), ..self }
    }

    fn parse(text: &str, folder: PathBuf, home: Home) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|e| in_one_line(text, &e))?;
        for (n, rule) in (1..).zip(&document.rule) {
            let does = match rule.action {
                Action::Allow => continue,
                Action::Deny => "denies",
                Action::Ask => "asks",
            };
            let limits = [
                ("network", rule.network.is_some()),
                ("method", rule.method.is_some()),
                ("to", rule.to.is_some()),
                ("max_amount", rule.max_amount.is_some()),
                ("max_fee", rule.max_fee.is_some()),
            ];
            if let Some((name, _)) = limits.into_iter().find(|(_, is_there)| *is_there) {
                return Err(format!(
                    "rule {n} {does}, and {name} would let what it cannot tell pass: leave it out, and allow by {name}"
                ));
            }
            let ending = [
                ("max_count", rule.max_count.as_ref().map(Spanned::span)),
                ("max_per_day", rule.max_per_day.as_ref().map(Spanned::span)),
            ];
            for (name, span) in ending {
                let Some(span) = span else { continue };
                return Err(format!(
                    "{}: rule {n} {does}, and {name} would end that: leave it out",
                    position(text, span.start)
                ));
            }
        }
        Ok(Self { rules: document.rule, otherwise: document.otherwise, folder, home })
    }

    /// Now: in the local time zone if a rule is about hours.
    ///
    /// # Errors
    /// The time zone is not known.
    pub fn now(&self) -> Result<OffsetDateTime, Error> {
        match self.rules.iter().any(|rule| rule.hours.is_some()) {
            true => Ok(clock::local_now()?),
            false => Ok(clock::utc_now()),
        }
    }

    /// Whether a person decides if no rule fits.
    pub fn asks_otherwise(&self) -> bool {
        self.otherwise == Otherwise::Ask
    }

    /// Whether a rule has an end.
    fn ends(&self) -> bool {
        self.rules.iter().any(|rule| rule.not_after.is_some())
    }

    /// Stores the time, so that a clock set back does not revive a rule that has ended. Returns
    /// whether it was set back.
    ///
    /// # Errors
    /// The time cannot be stored.
    pub fn watch_clock(&self) -> Result<Option<SetBack>, Error> {
        if !self.ends() {
            return Ok(None);
        }
        let now = clock::unix_now();
        let latest = Uses::load(&self.home)?.latest(now);
        uses::saw(&self.home, now)?;
        Ok((latest > now).then_some(SetBack { now, latest }))
    }

    /// The decision about `question` now. If a rule with `max_count` or `max_per_day` allows it, a
    /// use is stored before this returns.
    ///
    /// # Errors
    ///
    /// Something that the rules refer to is unreadable, or the use cannot be stored. The request is
    /// then not allowed.
    pub fn decide(&self, question: &Question) -> Result<Decision, Error> {
        let peers = Peers::load(&self.home)?;
        let peer = |name: &str| peers.pinned(name);
        self.decide_at(self.now()?, peer, &Asked::from(question))
    }

    fn decide_at(
        &self,
        now: OffsetDateTime,
        peer: impl Fn(&str) -> Option<Fingerprint>,
        asked: &Asked<'_>,
    ) -> Result<Decision, Error> {
        loop {
            let uses = Uses::load(&self.home)?;
            let decision = self.evaluate(&Case { asked, peer: &peer, now, uses: &uses })?;
            let Decision::Allow(n) = decision else { return Ok(decision) };
            let Some((counter, limits)) = self.limits(n, asked, now) else { return Ok(decision) };
            // If another request took the last use in between, a further rule may still fit.
            if uses::charge(&self.home, &counter, &limits)? {
                return Ok(decision);
            }
        }
    }

    /// Gives back the use that was charged when rule `n` allowed the request `asked`; `None` if the
    /// rule has neither `max_count` nor `max_per_day`.
    pub fn refund(
        &self,
        n: usize,
        asked: &Asked<'_>,
    ) -> Option<impl FnOnce() -> Result<(), Error> + use<>> {
        let (counter, limits) = self.limits(n, asked, clock::utc_now())?;
        let home = self.home.clone();
        Some(move || Ok(uses::give_back(&home, &counter, &limits)?))
    }

    /// The counter of rule `n`, and its limits for `asked`; `None` if it has none.
    fn limits(&self, n: usize, asked: &Asked<'_>, now: OffsetDateTime) -> Option<(String, Limits)> {
        let rule = self.rules.get(n.checked_sub(1)?)?;
        let count = rule.max_count.as_ref().map(|max| *max.get_ref());
        let day = rule.max_per_day.as_ref().and_then(|most| {
            let (amount, most) = asked.facts().daily?.of_one_kind(*most.get_ref())?;
            Some(PerDay { amount: amount.0, most: most.0, now: now.unix_timestamp() })
        });
        let limits = Limits { count, day };
        (limits != Limits::default()).then(|| (self.counter(rule), limits))
    }

    /// Applies the rules to a request.
    fn evaluate(&self, case: &Case<'_>) -> Result<Decision, Error> {
        let mut used_up = None;
        for (n, rule) in (1..).zip(&self.rules) {
            match self.misfit(rule, case)? {
                None => {
                    return Ok(match rule.action {
                        Action::Allow => Decision::Allow(n),
                        Action::Deny => Decision::Deny(Refusal::Rule(n)),
                        Action::Ask => Decision::Ask(Some(n)),
                    });
                }
                Some(Field::MaxCount) => used_up = used_up.or(Some(n)),
                Some(_) => {}
            }
        }
        Ok(match self.otherwise {
            Otherwise::Ask => Decision::Ask(None),
            Otherwise::Deny => Decision::Deny(used_up.map_or(Refusal::NoRule, Refusal::UsedUp)),
        })
    }

    /// The first field that does not fit. Later fields are not evaluated, so an unreadable digest
    /// file matters only to requests that reach it.
    fn misfit(&self, rule: &Rule, case: &Case<'_>) -> Result<Option<Field>, Error> {
        for field in FIELDS {
            if self.finding(field, rule, case)?.is_some_and(|finding| !finding.fits) {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    /// Whether a field of a rule fits a request; `None` if the rule does not have it.
    fn finding(
        &self,
        field: Field,
        rule: &Rule,
        case: &Case<'_>,
    ) -> Result<Option<Finding>, Error> {
        let Case { asked, now, .. } = case;
        let held = match field {
            Field::Peer => {
                let named = rule.peer.parse().ok().or_else(|| (case.peer)(&rule.peer));
                let asks = named.is_some_and(|f: Fingerprint| f == asked.requester);
                let why = match (named, asks) {
                    (_, true) => format!("{:?} asks", rule.peer),
                    (None, _) => format!("no device called {:?} is paired", rule.peer),
                    (Some(_), _) => format!("{:?} does not ask", rule.peer),
                };
                Some((asks, why))
            }
            // Who has the key is never decided by a rule that may have been written for something else.
            Field::Ceremony
                if rule.ceremony.is_none()
                    && rule.action == Action::Allow
                    && matches!(asked.ceremony, Ceremony::Reshare | Ceremony::Import) =>
            {
                let ceremony = asked.ceremony;
                Some((false, format!("a rule that allows it says ceremony = \"{ceremony}\"")))
            }
            Field::Ceremony => rule.ceremony.map(|ceremony| {
                let fits = ceremony == asked.ceremony;
                (fits, format!("{} is asked for, {ceremony} is ruled on", asked.ceremony))
            }),
            Field::Key => rule.key.as_ref().map(|key| {
                // Keys below it sign the inputs of a payment: what denies one of them denies that.
                let items = asked.payload.iter().flat_map(|payload| payload.items());
                let signs = rule.action != Action::Allow
                    && items.into_iter().any(|item| below(asked.key, &item.path) == *key);
                let fits = key == asked.key || signs;
                (fits, format!("the key is {:?}, the rule's {key:?}", asked.key))
            }),
            Field::Payload
                if rule.action == Action::Allow
                    // A rule that names no payload allows digests that nobody sees.
                    && rule.payload.is_some()
                    && asked.is_ambiguous()
                    && rule.digest.is_none()
                    && rule.digest_file.is_none()
                    && rule.file_in.is_none() =>
            {
                let why =
                    "the file is valid as something else too, so a rule names its digest or folder";
                Some((false, why.to_owned()))
            }
            // What programs elsewhere act on is never allowed by a rule that was written for files.
            Field::Payload
                if rule.action == Action::Allow
                    && rule.payload.is_none()
                    && asked.source.as_ref().is_some_and(Source::is_formed) =>
            {
                let kind = asked.source.as_ref().map_or("nothing", |source| source.kind().name());
                Some((false, format!("a rule that allows this says payload = \"{kind}\"")))
            }
            Field::Payload => rule.payload.map(|kind| {
                let source = asked.source.as_ref();
                // A file that does not travel is the requester's word, unless file_in finds it here.
                let is_found = rule.file_in.is_some() && kind == Kind::File;
                let asked = source.map(if is_found { Source::kind } else { Source::seen });
                let shown = asked.map_or("nothing", Kind::name);
                (asked == Some(kind), format!("{shown} is to be signed, {kind} is ruled on"))
            }),
            Field::Chain
            | Field::Network
            | Field::To
            | Field::Method
            | Field::MaxAmount
            | Field::MaxFee => rule.about_payment(field, asked),
            Field::FileIn => match &rule.file_in {
                None => None,
                Some(name) => Some(self.built(name, asked)?),
            },
            Field::Purpose => rule.purpose.as_ref().map(|purpose| {
                let text = asked.purpose.as_str();
                let fits = purpose.matches(text);
                let verb = if fits { "matches" } else { "does not match" };
                (fits, format!("all of {text:?} {verb} '{}'", purpose.text()))
            }),
            Field::NotAfter => rule.not_after.map(|end| {
                let (now, end) = (now.unix_timestamp(), end.0.unix_timestamp());
                // Compared with the latest time, so that a clock set back revives nothing.
                let latest = case.uses.latest(now);
                let verb = if latest <= end { "ends" } else { "ended" };
                let set_back = if latest > now {
                    format!("; it was {} before the clock was set back", clock::rfc3339(latest))
                } else {
                    String::new()
                };
                let why = format!("the rule {verb} at {}{set_back}", clock::rfc3339(end));
                (latest <= end, why)
            }),
            Field::Hours => rule.hours.map(|hours| {
                let time = now.time();
                let shown = format!("{:02}:{:02}", time.hour(), time.minute());
                (hours.contain(time), format!("it is {shown}, the rule is for {}", hours.text()))
            }),
            Field::MaxPerDay => rule.max_per_day.as_ref().map(|most| {
                let (most, amount) = (*most.get_ref(), asked.facts().daily);
                match amount.and_then(|amount| amount.of_one_kind(most)) {
                    Some((amount, limit)) => {
                        let spent = case.uses.spent(&self.counter(rule), now.unix_timestamp());
                        let sum = spent.checked_add(amount.0);
                        let shown = most.with(Number(spent)).text();
                        let why = format!("{shown} went within a day, of at most {}", most.text());
                        (sum.is_some_and(|sum| sum <= limit.0), why)
                    }
                    None => (false, "what leaves is not known".to_owned()),
                }
            }),
            Field::MaxCount => rule.max_count.as_ref().map(|max| {
                let (count, max) = (case.uses.count(&self.counter(rule)), *max.get_ref());
                (count < max, format!("used {count} of {max} times"))
            }),
            Field::Digest if rule.action != Action::Allow => self.named(rule)?.map(|named| {
                let fits = asked.digests().iter().any(|digest| named.contains(digest));
                let among = if fits { "is" } else { "is not" };
                (fits, format!("what is signed {among} one of {} that are named", named.len()))
            }),
            Field::Digest => self.named(rule)?.map(|named| {
                let list = asked.list();
                // The inputs of a payment are signed by keys below the one that was thought of.
                let is_meant = asked.source.as_ref().map(Source::kind) != Some(Kind::Psbt)
                    || rule.payload.is_some();
                let is_named = |digest: &[u8; 32]| named.contains(&Digest(*digest));
                let fits = is_meant && !list.is_empty() && list.iter().all(is_named);
                let among = if fits { "is" } else { "is not" };
                (fits, format!("the digest {among} one of {} that are named", named.len()))
            }),
        };
        Ok(held.map(|(fits, why)| Finding { field: field.name(), fits, why }))
    }

    /// Whether the request is for a file that is in the folder `name`, and why.
    fn built(&self, name: &Path, asked: &Asked<'_>) -> Result<(bool, String), Error> {
        let Some(files) = asked.files() else {
            return Ok((false, "no file is to be signed".to_owned()));
        };
        let path = self.folder.join(name);
        let mut fits = !files.is_empty();
        for FileAsked { size, hash, digest } in files {
            let found = || folder::find(&path, size, hash, &digest);
            let unreadable = |error| Error::Unreadable { file: File::Folder(path.clone()), error };
            fits = fits && found().map_err(unreadable)?.is_some();
        }
        let is = if fits { "is" } else { "is not" };
        Ok((fits, format!("each file {is} one of {}", path.display())))
    }

    /// The digests that a rule names, inline or in a file; `None` if it is for any digest.
    fn named(&self, rule: &Rule) -> Result<Option<Vec<Digest>>, Error> {
        let listed = self.listed(rule)?;
        Ok(match (&rule.digest, listed) {
            (None, listed) => listed,
            (Some(given), listed) => {
                Some(given.iter().cloned().chain(listed.into_iter().flatten()).collect())
            }
        })
    }

    /// The digests in the rule's file, read each time since it may change.
    fn listed(&self, rule: &Rule) -> Result<Option<Vec<Digest>>, Error> {
        let Some(path) = rule.digest_file.as_ref().map(|name| self.folder.join(name)) else {
            return Ok(None);
        };
        let file = File::Digests(path);
        let text = read_text(&file)?;
        let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
        let digests = lines.map(|(n, line)| {
            Digest::parse(line).ok_or_else(|| Error::NoDigest { file: file.clone(), line: n })
        });
        digests.collect::<Result<_, _>>().map(Some)
    }

    /// The name of the rule's counter: what the rule matches, without `max_count` and `not_after`,
    /// so that raising the limit keeps the count. Rules that match the same are told apart by
    /// position.
    fn counter(&self, rule: &Rule) -> String {
        let same = self.rules.iter().take_while(|other| !std::ptr::eq(*other, rule));
        let position = same.filter(|other| other.identity() == rule.identity()).count();
        hex(&Sha256::digest(length_prefixed(&[&rule.identity(), &(position as u64).to_be_bytes()])))
    }
}

impl Rule {
    fn identity(&self) -> Vec<u8> {
        let digests: Vec<String> =
            self.digest.iter().flatten().map(|digest| hex(&digest.0)).collect();
        let file = self.digest_file.as_ref().map(|f| f.to_string_lossy().into_owned());
        let folder = self.file_in.as_ref().map(|f| format!("in {}", f.to_string_lossy()));
        let purpose = self.purpose.as_ref().map(Purpose::anchored).unwrap_or_default();
        let digests = length_prefixed(&digests.iter().map(String::as_bytes).collect::<Vec<_>>());
        let file = file.unwrap_or_default();
        let first = [
            self.peer.as_bytes(),
            self.ceremony.map_or("", Ceremony::name).as_bytes(),
            self.key.as_deref().unwrap_or_default().as_bytes(),
            purpose.as_bytes(),
            &digests,
            file.as_bytes(),
            &[u8::from(self.action == Action::Allow)],
        ];
        // Rules without the newer fields keep their counter's name.
        let to: Option<Vec<String>> =
            self.to.as_ref().map(|all| all.iter().map(|target| target.text()).collect());
        let later = [
            self.payload.map(|kind| kind.name().to_owned()),
            folder,
            self.chain.map(|chain| format!("chain {chain}")),
            to.map(|to| format!("to {}", to.join(" "))),
            self.method.as_ref().map(|all| format!("method {}", all.join(" "))),
            self.max_amount.map(|most| format!("max_amount {}", most.text())),
            self.max_fee.map(|most| format!("max_fee {}", most.identity())),
            self.network.map(|network| format!("network {network}")),
            // A limit that is raised keeps what was spent.
            self.max_per_day.as_ref().map(|most| {
                let none = most.get_ref().with(Number::default());
                format!("max_per_day {}", none.text())
            }),
        ];
        let later = later.iter().flatten().map(String::as_bytes);
        length_prefixed(&first.into_iter().chain(later).collect::<Vec<_>>())
    }

    /// Whether a field about coins fits, and why; `None` if the rule does not have it.
    fn about_payment(&self, field: Field, asked: &Asked<'_>) -> Option<(bool, String)> {
        let facts = asked.facts();
        let kind = asked.source.as_ref().map(Source::kind);
        let is_named = kind != Some(Kind::TypedData) || self.payload == kind;
        let found = match field {
            Field::Chain => self.chain.map(|chain| match facts.chain {
                Some(asked) => {
                    (asked == chain, format!("the chain is {asked}, the rule's {chain}"))
                }
                None => (false, "it names no chain".to_owned()),
            }),
            Field::Network => self.network.map(|network| match facts.network {
                Some(asked) => {
                    (asked == network, format!("the network is {asked}, the rule's {network}"))
                }
                None => (false, "it is of no network of Bitcoin".to_owned()),
            }),
            Field::To => self.to.as_ref().map(|allowed| {
                let Some(targets) = &facts.targets else {
                    return (false, "who is paid or called is not known".to_owned());
                };
                let is_allowed = |target: &&Target| {
                    allowed.iter().any(|allowed| match (allowed, target) {
                        // A call of one's own account runs code that was given to it (EIP-7702).
                        (Target::Own, Target::Account(account)) => {
                            asked.account == Some(*account) && !facts.called.contains(account)
                        }
                        (Target::Nameless, _) => false,
                        (allowed, target) => allowed == *target,
                    })
                };
                match targets.iter().find(|target| !is_allowed(target)) {
                    None => (true, "all that are paid or called are in the list".to_owned()),
                    Some(target) => (false, format!("{} is not in the list", target.text())),
                }
            }),
            Field::Method => self.method.as_ref().map(|allowed| {
                let outside = facts
                    .methods
                    .iter()
                    .find(|name| !name.as_ref().is_some_and(|name| allowed.contains(name)));
                match outside {
                    None if facts.methods.is_empty() => (false, "nothing is called".to_owned()),
                    None => (true, "all that is called is in the list".to_owned()),
                    Some(None) => (false, "coins leave, or an unknown method is called".to_owned()),
                    Some(Some(name)) => (false, format!("{name} is not in the list")),
                }
            }),
            Field::MaxAmount => self.max_amount.map(|most| match facts.amount {
                Some(amount) => {
                    let why = format!("{} would leave, of at most {}", amount.text(), most.text());
                    let both = amount.of_one_kind(most);
                    (both.is_some_and(|(amount, most)| amount <= most), why)
                }
                None => (false, "what leaves is not known".to_owned()),
            }),
            Field::MaxFee => self.max_fee.map(|Fee(most)| match facts.fee {
                Some(fee) => {
                    let fits = fee.of_one_kind(most).is_some_and(|(fee, most)| fee <= most);
                    (fits, format!("it costs up to {}, of at most {}", fee.text(), most.text()))
                }
                None => (false, "what it costs is not known".to_owned()),
            }),
            _ => None,
        };
        // A payment may give everything to whoever finds the block.
        let found = match (field, found) {
            (Field::MaxFee, None) if facts.has_doubtful_fee && self.action == Action::Allow => {
                let why = "the fee is high or not proven, and the rule has no max_fee";
                Some((false, why.to_owned()))
            }
            (_, found) => found,
        };
        // What moves nothing now may move everything later.
        let unnamed =
            || (false, "a rule about typed data says payload = \"typed-data\"".to_owned());
        found.map(|found| if is_named { found } else { unnamed() })
    }
}

/// The ceremony of a rule. There are no rules about a resume, which needs no approval.
fn ruled_on<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ceremony>, D::Error> {
    match Ceremony::deserialize(deserializer)? {
        Ceremony::Resume => {
            Err(D::Error::custom("a rule is about sign, keygen, refresh or reshare"))
        }
        ceremony => Ok(Some(ceremony)),
    }
}

/// The network that a rule is about.
fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Network>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let network = Network::named(&name);
    network.map(Some).ok_or_else(|| D::Error::custom("network is main, test, signet or regtest"))
}

/// The kind of payload that a rule is about.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Kind>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let kind = Kind::named(&name);
    kind.map(Some).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        D::Error::custom(format!("payload is one of {names}"))
    })
}

/// The parts of a request that rules refer to.
#[derive(Clone, Debug)]
pub struct Asked<'q> {
    /// The requester.
    pub requester: Fingerprint,
    /// The ceremony.
    pub ceremony: Ceremony,
    /// The key's name here.
    pub key: &'q str,
    /// What it is for, in the requester's words.
    pub purpose: Label,
    /// The digest to be signed.
    pub digest: Option<[u8; 32]>,
    /// Its origin; `None` if nothing is to be signed.
    pub source: Option<Source>,
    /// The payload, if there is one.
    pub payload: Option<Arc<Payload>>,
    /// The account of the key on Ethereum.
    pub account: Option<Account>,
}

impl Asked<'_> {
    /// What rules about coins are compared with.
    fn facts(&self) -> Facts {
        Facts::of(self.payload.as_ref().map(|payload| payload.summary()))
    }
}

impl Asked<'_> {
    /// Whether the signature of a file is one of something else as well.
    fn is_ambiguous(&self) -> bool {
        match self.payload.as_ref().map(|payload| payload.summary()) {
            Some(Summary::File(file)) => file.warning.is_some(),
            Some(Summary::Files(several)) => {
                several.files.iter().any(|file| file.summary.warning.is_some())
            }
            Some(Summary::OpenPgp(signed)) => signed.file.warning.is_some(),
            _ => false,
        }
    }

    /// The files that are to be signed; `None` if something else is, and empty if they are several that
    /// are not here.
    pub fn files(&self) -> Option<Vec<FileAsked>> {
        let (sizes, hash): (Vec<u64>, _) = match &self.source {
            Some(Source::File { size, hash, .. }) => (vec![*size], *hash),
            Some(Source::Files { files, hash }) => {
                (files.iter().map(|file| file.size).collect(), *hash)
            }
            Some(Source::Jws { size, .. } | Source::OpenPgp { size, .. }) => {
                (vec![*size], HashFunction::Sha256)
            }
            _ => return None,
        };
        let digests = match (&self.source, &self.payload) {
            // The file that a signature in another form is for is in no hash that is signed.
            (Some(source), Some(payload)) if source.is_formed() => vec![*payload.sha256()],
            _ => self.list(),
        };
        if digests.len() != sizes.len() {
            return Some(Vec::new());
        }
        let files = sizes.into_iter().zip(digests);
        Some(files.map(|(size, digest)| FileAsked { size, hash, digest }).collect())
    }

    /// All digests by which what is signed is known: those that are signed, and the SHA-256 of what travels and
    /// of each file in it, in whichever form that is signed.
    fn digests(&self) -> Vec<Digest> {
        let payload = self.payload.as_deref();
        let files = payload.map(Payload::files).into_iter().flatten();
        let files = files.map(|file| HashFunction::Sha256.of(file));
        let whole = payload.map(|payload| *payload.sha256());
        self.list().into_iter().chain(self.digest).chain(whole).chain(files).map(Digest).collect()
    }

    /// The digests that are signed; none of several files or a payment that are not here, since the
    /// digest stands for them and is not signed.
    fn list(&self) -> Vec<[u8; 32]> {
        match (&self.payload, &self.source) {
            (Some(payload), _) => payload.list().to_vec(),
            (None, Some(Source::Files { .. } | Source::Psbt { .. })) => Vec::new(),
            (None, _) => self.digest.into_iter().collect(),
        }
    }
}

impl<'q> From<&'q Question> for Asked<'q> {
    fn from(question: &'q Question) -> Self {
        let request = &question.request;
        Self {
            requester: request.asked_by(),
            ceremony: request.ceremony(),
            key: &question.key,
            purpose: request.purpose.clone(),
            digest: request.digest().copied(),
            source: request.signing().map(|signing| signing.source.clone()),
            payload: request.payload().cloned(),
            account: question
                .public_key
                .as_ref()
                .filter(|_| question.request.curve.has_wallets())
                .and_then(Account::of_key),
        }
    }
}

/// A file to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAsked {
    /// Its size in bytes. The requester's word, unless it travels.
    pub size: u64,
    /// How it was hashed.
    pub hash: HashFunction,
    /// Its hash.
    pub digest: [u8; 32],
}

/// A request with everything that rules are compared with.
pub(crate) struct Case<'c> {
    /// The request.
    pub asked: &'c Asked<'c>,
    /// Maps the name of a paired device to its fingerprint.
    pub peer: &'c dyn Fn(&str) -> Option<Fingerprint>,
    /// The time, in the time zone that the rules are for.
    pub now: OffsetDateTime,
    /// The uses of each rule.
    pub uses: &'c Uses,
}

/// The fields of a rule, in the order in which they are evaluated.
#[derive(Clone, Copy)]
enum Field {
    Peer,
    Ceremony,
    Key,
    Payload,
    Chain,
    Network,
    To,
    Method,
    MaxAmount,
    MaxFee,
    Purpose,
    NotAfter,
    Hours,
    Digest,
    FileIn,
    MaxPerDay,
    MaxCount,
}

const FIELDS: [Field; 17] = [
    Field::Peer,
    Field::Ceremony,
    Field::Key,
    Field::Payload,
    Field::Chain,
    Field::Network,
    Field::To,
    Field::Method,
    Field::MaxAmount,
    Field::MaxFee,
    Field::Purpose,
    Field::NotAfter,
    Field::Hours,
    Field::Digest,
    Field::FileIn,
    Field::MaxPerDay,
    Field::MaxCount,
];

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Ceremony => "ceremony",
            Self::Key => "key",
            Self::Payload => "payload",
            Self::Chain => "chain",
            Self::Network => "network",
            Self::To => "to",
            Self::Method => "method",
            Self::MaxAmount => "max_amount",
            Self::MaxFee => "max_fee",
            Self::MaxPerDay => "max_per_day",
            Self::Purpose => "purpose",
            Self::NotAfter => "not_after",
            Self::Hours => "hours",
            Self::MaxCount => "max_count",
            Self::Digest => "digest",
            Self::FileIn => "file_in",
        }
    }
}

/// A digest that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(
    /// Its bytes.
    pub [u8; 32],
);

/// Describes the form of a digest.
pub const NO_DIGEST: &str =
    "a digest has 64 hexadecimal digits, or stands on a line of sha256sum: this is not understood";

impl Digest {
    /// Parses any form that [`pasted::digest`] reads.
    pub fn parse(text: &str) -> Option<Self> {
        pasted::digest(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(NO_DIGEST))
    }
}

/// A point in time with its offset.
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

/// From one time of day to before another; past midnight if the first is later.
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

/// The text of a file, which must not be writable by others.
fn read_text(file: &File) -> Result<String, Error> {
    let bytes = given::read(file.path(), Guard::Unaltered, MAX_FILE)
        .map_err(|error| Error::Unreadable { file: file.clone(), error })?;
    String::from_utf8(bytes.expose().clone()).map_err(|_| Error::NotText(file.clone()))
}

/// The most that is read of a policy or a digest file.
const MAX_FILE: u64 = 16 << 20;

/// An error of TOML as `line 3, column 5: …`.
pub fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    match error.span() {
        Some(span) => format!("{}: {message}", position(text, span.start)),
        None => message,
    }
}

/// The place of the byte at `offset` of `text`, as `line 3, column 5`.
fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error_kind::ErrorKind;
    use crate::payload::NamedFile;
    use crate::payload::curve::SECP256K1;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-06-15 12:00 +2);

    fn request(purpose: &str) -> Asked<'static> {
        Asked {
            requester: Fingerprint::new([0xaa; 32]),
            ceremony: Ceremony::Sign,
            key: "vault",
            purpose: Label::new(purpose),
            digest: Some([0x5a; 32]),
            source: Some(Source::Digest),
            payload: None,
            account: Some(Account::new([0xee; 20])),
        }
    }

    fn paired(name: &str) -> Option<Fingerprint> {
        (name == "alice").then(|| Fingerprint::new([0xaa; 32]))
    }

    /// The rules in `text`, with digest files and counts in `folder`.
    fn policy(text: &str, folder: &Path) -> Policy {
        Policy::parse(text, folder.to_owned(), Home::at(folder)).unwrap()
    }

    /// The error in `text`.
    fn mistake(text: &str) -> Option<String> {
        Policy::parse(text, PathBuf::new(), Home::at("")).err()
    }

    /// Decides one request by `text`, with fresh counts.
    fn decide(text: &str, request: &Asked<'_>, now: OffsetDateTime) -> Decision {
        let folder = tempfile::tempdir().unwrap();
        policy(text, folder.path()).decide_at(now, paired, request).unwrap()
    }

    fn allow(fields: &str) -> String {
        format!("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n{fields}\n")
    }

    #[test]
    fn a_rule_about_files_fits_one_that_this_device_has() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        std::fs::write(folder.path().join("dist/built"), "built").unwrap();
        let rule = allow("payload = \"file\"\nfile_in = \"dist\"");
        let home = Home::at(folder.path().join("home"));
        let policy = Policy::parse(&rule, folder.path().to_owned(), home).unwrap();
        let hash = crate::payload::HashFunction::Sha256;
        let asked = |content: &[u8]| Asked {
            digest: Some(hash.of(content)),
            source: Some(Source::File {
                name: Label::new("any"),
                size: content.len() as u64,
                hash,
                attached: false,
            }),
            ..request("")
        };
        let decide = |asked: &Asked<'_>| policy.decide_at(NOW, paired, asked).unwrap();
        assert_eq!(decide(&asked(b"built")), Decision::Allow(1));
        assert_eq!(decide(&asked(b"swapt")), Decision::Deny(Refusal::NoRule));
        // Without the folder a file that does not travel is a digest.
        let rules =
            allow("payload = \"digest\"").replace("allow", "deny") + &allow("payload = \"file\"");
        let home = Home::at(folder.path().join("home"));
        let unseen = Policy::parse(&rules, folder.path().to_owned(), home).unwrap();
        let decided = unseen.decide_at(NOW, paired, &asked(b"built")).unwrap();
        assert_eq!(decided, Decision::Deny(Refusal::Rule(1)));
        let digest = Asked { digest: asked(b"built").digest, ..request("") };
        assert_eq!(decide(&digest), Decision::Deny(Refusal::NoRule));
        std::fs::remove_dir_all(folder.path().join("dist")).unwrap();
        assert!(policy.decide_at(NOW, paired, &asked(b"built")).is_err());
    }

    #[test]
    fn a_rule_about_files_fits_several_if_it_fits_each() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        for name in ["one", "two"] {
            std::fs::write(folder.path().join("dist").join(name), name).unwrap();
        }
        let hash = crate::payload::HashFunction::Sha256;
        let asked = |contents: [&str; 2]| {
            let file = |text: &str| NamedFile { name: Label::new(text), size: text.len() as u64 };
            let source = Source::Files { files: contents.map(file).to_vec(), hash };
            let payload = Payload::read(&source, contents.concat().into_bytes()).unwrap();
            let (digest, payload) = (Some(*payload.digest()), Some(Arc::new(payload)));
            Asked { digest, source: Some(source), payload, ..request("") }
        };
        let fits = |fields: &str, asked: &Asked<'_>| {
            let decision = policy(&allow(fields), folder.path()).decide_at(NOW, paired, asked);
            decision.unwrap() == Decision::Allow(1)
        };
        let digests = |contents: &[&str]| {
            let list: Vec<_> = contents
                .iter()
                .map(|text| format!("\"{}\"", hex(&hash.of(text.as_bytes()))))
                .collect();
            format!("digest = [{}]", list.join(", "))
        };
        let (both, other) = (asked(["one", "two"]), asked(["one", "new"]));
        assert!(fits("file_in = \"dist\"", &both) && !fits("file_in = \"dist\"", &other));
        let named = digests(&["two", "one"]);
        assert!(fits(&named, &both) && !fits(&named, &other));
        // What stands for the digests is not signed, and is not what a rule names.
        let stands = format!("digest = [\"{}\"]", hex(&both.digest.unwrap()));
        assert!(!fits(&stands, &both) && !fits(&stands, &Asked { payload: None, ..both }));
    }

    /// A request to sign one of the known transactions, or one of the known typed data.
    fn ethereum(file: &str, n: usize) -> Asked<'static> {
        let known: serde_json::Value = serde_json::from_str(file).unwrap();
        let list = known.get("transactions").unwrap_or(&known);
        let given = list[n]["given"].to_string();
        let (source, bytes) = match crate::payload::ethereum::given::read(&given) {
            Ok((transaction, _)) => {
                let bytes = transaction.encode();
                (Source::EthTx { size: bytes.len() as u64 }, bytes)
            }
            Err(_) => (Source::TypedData { size: given.len() as u64 }, given.into_bytes()),
        };
        let payload = Payload::read(&source, bytes).unwrap();
        let digest = Some(*payload.digest());
        Asked { digest, source: Some(source), payload: Some(Arc::new(payload)), ..request("") }
    }

    /// A request to sign what `bytes` are as `source` says.
    fn of_payload(source: Source, bytes: &[u8]) -> Asked<'static> {
        let bytes = bytes.to_vec();
        let payload = match &source {
            Source::Jws { .. } => Payload::of_jws(&source, bytes, &SECP256K1),
            _ => Payload::read(&source, bytes),
        };
        let payload = payload.unwrap();
        let digest = Some(*payload.digest());
        Asked { digest, source: Some(source), payload: Some(Arc::new(payload)), ..request("") }
    }

    fn typed(json: &str) -> Asked<'static> {
        of_payload(Source::TypedData { size: json.len() as u64 }, json.as_bytes())
    }

    fn fits(fields: &str, asked: &Asked<'_>) -> bool {
        decide(&allow(fields), asked, NOW) == Decision::Allow(1)
    }

    #[test]
    fn typed_data_fit_no_rule_that_is_written_for_transactions() {
        let moves = |domain: &str| {
            format!(
                r#"{{"types":{{"Burn":[{{"name":"to","type":"bytes32"}}]}},"primaryType":"Burn","domain":{domain},"message":{{"to":"0x{}"}}}}"#,
                "aa".repeat(32)
            )
        };
        // Whoever is paid is in no member that is an account.
        let nowhere = typed(&moves(r#"{"name":"Bridge"}"#));
        let contract = "0x3333333333333333333333333333333333333333";
        let somewhere =
            typed(&moves(&format!(r#"{{"chainId":1,"verifyingContract":"{contract}"}}"#)));
        let named = "payload = \"typed-data\"\n";
        for to in ["to = []", "to = [\"own\"]"] {
            assert!(!fits(to, &nowhere) && !fits(&format!("{named}{to}"), &nowhere));
        }
        for field in ["chain = 1", "method = [\"Burn\"]", &format!("to = [\"{contract}\"]")] {
            assert!(!fits(field, &somewhere), "{field}");
            assert!(fits(&format!("{named}{field}"), &somewhere), "{field}");
        }
    }

    #[test]
    fn what_a_safe_pays_for_gas_or_runs_in_its_place_fits_no_rule() {
        let account = |byte: &str| format!("0x{}", byte.repeat(20));
        let safe = |operation: u8, price: u8| {
            let fields = [
                ("to", "address"),
                ("value", "uint256"),
                ("data", "bytes"),
                ("operation", "uint8"),
                ("gasPrice", "uint256"),
                ("nonce", "uint256"),
            ];
            let types: Vec<_> =
                fields.iter().map(|(n, t)| format!(r#"{{"name":"{n}","type":"{t}"}}"#)).collect();
            typed(&format!(
                r#"{{"types":{{"SafeTx":[{}]}},"primaryType":"SafeTx","domain":{{"chainId":1,"verifyingContract":"{}"}},"message":{{"to":"{}","value":0,"data":"0xd0e30db0","operation":{operation},"gasPrice":{price},"nonce":0}}}}"#,
                types.join(","),
                account("55"),
                account("33")
            ))
        };
        let method = "payload = \"typed-data\"\nmethod = [\"SafeTx\", \"deposit\"]";
        let to = format!(
            "payload = \"typed-data\"\nto = [\"{}\", \"{}\"]",
            account("55"),
            account("33")
        );
        assert!(fits(method, &safe(0, 0)) && fits(&to, &safe(0, 0)));
        assert!(!fits(method, &safe(0, 1)) && !fits(&to, &safe(0, 1)));
        assert!(!fits(method, &safe(1, 0)));
        assert!(!fits(method, &safe(2, 0)) && !fits(&to, &safe(2, 0)));
    }

    #[test]
    fn coins_that_go_along_with_a_transfer_fit_no_rule_about_methods() {
        let mut known: serde_json::Value = serde_json::from_str(TRANSACTIONS).unwrap();
        let given = &mut known["transactions"][1]["given"];
        let asked = |given: &serde_json::Value| {
            let (read, _) = crate::payload::ethereum::given::read(&given.to_string()).unwrap();
            let bytes = read.encode();
            of_payload(Source::EthTx { size: bytes.len() as u64 }, &bytes)
        };
        assert!(fits("method = [\"transfer\"]", &asked(given)));
        given["value"] = "0x1".into();
        assert!(!fits("method = [\"transfer\"]", &asked(given)));
    }

    #[test]
    fn a_file_that_is_a_transaction_too_fits_only_a_rule_that_names_it() {
        let hash = crate::payload::HashFunction::Keccak256;
        let file = |bytes: &[u8]| {
            let (name, size) = (Label::new("any"), bytes.len() as u64);
            of_payload(Source::File { name, size, hash, attached: true }, bytes)
        };
        // An authorisation of EIP-7702: chain 1, an account, nonce 0.
        let gives_code = [&[0x05, 0xd7, 0x01, 0x94][..], &[0xaa; 20], &[0x80]].concat();
        let asked = file(&gives_code);
        let named = format!("digest = [\"{}\"]", hex(&asked.digest.unwrap()));
        assert!(fits("payload = \"file\"", &file(b"a note")));
        assert!(!fits("payload = \"file\"", &asked) && fits("", &asked));
        assert!(fits(&named, &asked) && fits(&format!("payload = \"file\"\n{named}"), &asked));
    }

    #[test]
    fn a_file_that_another_format_hashes_fits_only_a_rule_that_names_it_or_has_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dist")).unwrap();
        let made: serde_json::Value =
            serde_json::from_str(include_str!("../tests/preimages.json")).unwrap();
        let hash = HashFunction::Sha256;
        let decide = |fields: &str, asked: &Asked<'_>| {
            let decision = policy(&allow(fields), folder.path()).decide_at(NOW, paired, asked);
            decision.unwrap() == Decision::Allow(1)
        };
        for (name, made) in made["preimages"].as_object().unwrap() {
            let bytes = crate::device::unhex(made["bytes"].as_str().unwrap()).unwrap();
            let size = bytes.len() as u64;
            let one = Source::File { name: Label::new("a"), size, hash, attached: true };
            let of_two = NamedFile { name: Label::new("a"), size };
            let small = NamedFile { name: Label::new("b"), size: 0 };
            let two = Source::Files { files: vec![of_two, small], hash };
            let one = of_payload(one, &bytes);
            let two = of_payload(two, &bytes);
            assert!(!decide("payload = \"file\"", &one), "{name}");
            assert!(!decide("payload = \"files\"", &two), "{name}");
            let digest = hex(&hash.of(&bytes));
            let named = format!("payload = \"file\"\ndigest = [\"{digest}\"]");
            assert!(decide(&named, &one), "{name}");
            let built = "payload = \"file\"\nfile_in = \"dist\"";
            assert!(!decide(built, &one), "{name}");
            fs::write(folder.path().join("dist").join(name), &bytes).unwrap();
            assert!(decide(built, &one), "{name}");
        }
    }

    #[test]
    fn a_digest_that_is_denied_is_denied_in_every_form() {
        let hash = HashFunction::Sha256;
        let size = 3;
        let name = || Label::new("a");
        let files = |hash| {
            let two = ["a", "b"].map(|name| NamedFile { name: Label::new(name), size: 3 });
            Source::Files { files: two.to_vec(), hash }
        };
        let file = |hash| Source::File { name: name(), size, hash, attached: true };
        let denied = of_payload(file(hash), b"bad");
        for (asked, is_denied) in [
            (denied, true),
            (of_payload(file(hash), b"new"), false),
            (of_payload(file(HashFunction::Keccak256), b"bad"), true),
            (of_payload(Source::Jws { name: name(), size }, b"bad"), true),
            (of_payload(Source::Jws { name: name(), size }, b"new"), false),
            (of_payload(files(hash), b"newbad"), true),
            (of_payload(files(HashFunction::Keccak256), b"badnew"), true),
            (of_payload(files(hash), b"newnew"), false),
        ] {
            let digest = hex(&hash.of(b"bad"));
            let rules = format!(
                "[[rule]]\npeer = \"alice\"\naction = \"deny\"\ndigest = [\"{digest}\"]\n{}{}",
                allow("payload = \"jws\""),
                allow("")
            );
            let decision = decide(&rules, &asked, NOW);
            assert_eq!(decision == Decision::Deny(Refusal::Rule(1)), is_denied, "{asked:?}");
        }
    }

    #[test]
    fn rules_that_deny_or_ask_are_about_no_amounts_and_methods() {
        for field in
            ["method = [\"approve\"]", "to = []", "max_amount = \"1 ETH\"", "max_fee = \"1 ETH\""]
        {
            for action in ["deny", "ask"] {
                let said = mistake(&allow(field).replace("allow", action)).unwrap();
                assert!(said.contains("leave it out"), "{said}");
            }
        }
    }

    const TRANSACTIONS: &str = include_str!("../tests/ethereum/transactions.json");
    const TYPED_DATA: &str = include_str!("../tests/ethereum/typed_data.json");

    #[test]
    fn a_rule_about_a_transaction_fits_only_what_it_names() {
        let (legacy, token) = (ethereum(TRANSACTIONS, 0), ethereum(TRANSACTIONS, 1));
        let fits = |fields: &str, asked: &Asked<'_>| {
            decide(&allow(fields), asked, NOW) == Decision::Allow(1)
        };
        // One coin to 0x3535…, at 0.00042 for gas; 250 units of a token by its `transfer`.
        let of_legacy = [
            ("payload = \"eth-tx\"", true),
            ("payload = \"typed-data\"", false),
            ("chain = 1", true),
            ("chain = 5", false),
            ("to = [\"0x3535353535353535353535353535353535353535\"]", true),
            ("to = [\"own\", \"0x1111111111111111111111111111111111111111\"]", false),
            ("to = []", false),
            ("max_amount = \"1 ETH\"", true),
            ("max_amount = \"0.999999999999999999 ETH\"", false),
            ("max_amount = \"9@0x3535353535353535353535353535353535353535\"", false),
            ("max_fee = \"0.00042 ETH\"", true),
            ("max_fee = \"0.000419999999999999 ETH\"", false),
            ("method = [\"transfer\"]", false),
        ];
        let of_token = [
            ("method = [\"transfer\"]", true),
            ("method = [\"approve\"]", false),
            ("max_amount = \"250@0x1111111111111111111111111111111111111111\"", true),
            ("max_amount = \"249@0x1111111111111111111111111111111111111111\"", false),
            ("max_amount = \"250@0x2222222222222222222222222222222222222222\"", false),
            // No coin leaves, but a token does.
            ("max_amount = \"1 ETH\"", false),
            ("to = [\"0x1111111111111111111111111111111111111111\"]", true),
            ("chain = 5\nmax_fee = \"0.1 ETH\"\nmethod = [\"transfer\"]", true),
        ];
        for (fields, expected) in of_legacy {
            assert_eq!(fits(fields, &legacy), expected, "{fields}");
        }
        for (fields, expected) in of_token {
            assert_eq!(fits(fields, &token), expected, "{fields}");
        }
        let own = Asked { account: Some(Account::new([0x35; 20])), ..legacy };
        assert!(fits("to = [\"own\"]", &own));
    }

    #[test]
    fn a_rule_about_amounts_fits_nothing_whose_amount_is_not_known() {
        let most = "max_amount = \"1000000000000 ETH\"\nmax_fee = \"1000000000000 ETH\"";
        // An authorisation, a new contract, and a call with coins.
        for n in [4, 5, 7] {
            let decided = decide(&allow(most), &ethereum(TRANSACTIONS, n), NOW);
            assert_eq!(decided, Decision::Deny(Refusal::NoRule), "{n}");
        }
        let created = decide(&allow("to = [\"own\"]"), &ethereum(TRANSACTIONS, 5), NOW);
        assert_eq!(created, Decision::Deny(Refusal::NoRule));
        for fields in ["chain = 1", "to = []", most, "method = []"] {
            let decided = decide(&allow(fields), &request(""), NOW);
            assert_eq!(decided, Decision::Deny(Refusal::NoRule), "{fields}");
        }
    }

    #[test]
    fn what_leaves_within_a_day_is_kept_and_freed_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let decide = |most: &str, now| {
            // Each is a new start of the program. One coin leaves.
            policy(&allow(&format!("max_per_day = \"{most}\"")), folder.path())
                .decide_at(now, paired, &ethereum(TRANSACTIONS, 0))
                .unwrap()
        };
        let later = NOW + time::Duration::hours(23);
        assert_eq!(decide("2 ETH", NOW), Decision::Allow(1));
        assert_eq!(decide("2 ETH", later), Decision::Allow(1));
        assert_eq!(decide("2 ETH", later), Decision::Deny(Refusal::NoRule));
        assert_eq!(decide("3 ETH", later), Decision::Allow(1));
        assert_eq!(decide("3 ETH", later + time::Duration::hours(1)), Decision::Allow(1));
        assert_eq!(decide("3 ETH", NOW - time::Duration::days(9)), Decision::Deny(Refusal::NoRule));
        let token = allow("max_per_day = \"250@0x1111111111111111111111111111111111111111\"");
        let rules = policy(&token, folder.path());
        let asked = ethereum(TRANSACTIONS, 1);
        let decide = || rules.decide_at(NOW, paired, &asked).unwrap();
        assert_eq!(decide(), Decision::Allow(1));
        assert_eq!(decide(), Decision::Deny(Refusal::NoRule));
        rules.refund(1, &asked).unwrap()().unwrap();
        assert_eq!(decide(), Decision::Allow(1));
        let coins = rules.decide_at(NOW, paired, &ethereum(TRANSACTIONS, 0)).unwrap();
        assert_eq!(coins, Decision::Deny(Refusal::NoRule));
    }

    #[test]
    fn a_rule_about_typed_data_goes_by_chain_accounts_and_type() {
        let permit = ethereum(TYPED_DATA, 1);
        let [owner, spender, token] = [0x11, 0x22, 0x33].map(|byte| Account::new([byte; 20]));
        let fits = |fields: &str, asked: &Asked<'_>| {
            let named = fields.replace("payload = \"typed-data\"", "");
            let named = format!("payload = \"typed-data\"\n{named}");
            decide(&allow(&named), asked, NOW) == Decision::Allow(1)
        };
        let all = format!("to = [\"{owner}\", \"{spender}\", \"{token}\"]");
        for (fields, expected) in [
            ("payload = \"typed-data\"", true),
            ("chain = 1", true),
            ("method = [\"Permit\"]", true),
            ("method = [\"Mail\"]", false),
            (&*all, true),
            (&all.replace(&spender.to_string(), "own"), false),
            ("max_amount = \"1 ETH\"", false),
            ("max_fee = \"1 ETH\"", false),
        ] {
            assert_eq!(fits(fields, &permit), expected, "{fields}");
        }
        let own = Asked { account: Some(spender), ..permit };
        assert!(fits(&all.replace(&spender.to_string(), "own"), &own));
        // Of a Safe's transaction everything that it calls is named.
        let safe = ethereum(TYPED_DATA, 3);
        assert!(!fits("method = [\"SafeTx\"]", &safe));
        // Foreign code in its place has no name.
        assert!(!fits("method = [\"SafeTx\", \"multiSend\", \"transfer\"]", &safe));
    }

    #[test]
    fn without_a_matching_rule_the_answer_is_no() {
        assert_eq!(decide("", &request(""), NOW), Decision::Deny(Refusal::NoRule));
        let other = allow("").replace("alice", "bob");
        assert_eq!(decide(&other, &request(""), NOW), Decision::Deny(Refusal::NoRule));
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let deny = allow("key = \"vault\"").replace("allow", "deny");
        let text = format!("{}{deny}{}", allow("key = \"other\""), allow(""));
        assert_eq!(decide(&text, &request(""), NOW), Decision::Deny(Refusal::Rule(2)));
    }

    #[test]
    fn a_peer_is_matched_by_fingerprint() {
        let other = Asked { requester: Fingerprint::new([0xbb; 32]), ..request("") };
        assert_eq!(decide(&allow(""), &other, NOW), Decision::Deny(Refusal::NoRule));
        let by_fingerprint = allow("").replace("alice", &"aa".repeat(32));
        assert_eq!(decide(&by_fingerprint, &request(""), NOW), Decision::Allow(1));
    }

    #[test]
    fn a_purpose_must_match_from_end_to_end() {
        let rule = allow(r"purpose = 'release \d+|test'");
        assert_eq!(decide(&rule, &request("release 12"), NOW), Decision::Allow(1));
        assert_eq!(decide(&rule, &request("test"), NOW), Decision::Allow(1));
        for purpose in ["release 12 and more", "a release 12", "a test", "", "testrelease 1"] {
            assert_eq!(
                decide(&rule, &request(purpose), NOW),
                Decision::Deny(Refusal::NoRule),
                "{purpose:?}"
            );
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
        assert_eq!(decide(&other).unwrap(), Decision::Deny(Refusal::NoRule));
        assert_eq!(decide("digest = []").unwrap(), Decision::Deny(Refusal::NoRule));
        assert_eq!(decide("digest_file = \"gone.txt\"").unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(folder.path().join("bad.txt"), "5a7f\n").unwrap();
        assert_eq!(decide("digest_file = \"bad.txt\"").unwrap_err().kind(), ErrorKind::Usage);
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
        assert_eq!(decide(2), Decision::Deny(Refusal::UsedUp(1)));
        assert_eq!(decide(3), Decision::Allow(1));
        assert_eq!(decide(3), Decision::Deny(Refusal::UsedUp(1)));
    }

    #[test]
    fn a_use_that_is_taken_back_can_be_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy(&allow("max_count = 1"), folder.path());
        let decide = || policy.decide_at(NOW, paired, &request("")).unwrap();
        assert_eq!(decide(), Decision::Allow(1));
        assert_eq!(decide(), Decision::Deny(Refusal::UsedUp(1)));
        policy.refund(1, &request("")).unwrap()().unwrap();
        assert_eq!(decide(), Decision::Allow(1));
        assert!(policy.refund(2, &request("")).is_none());
    }

    #[test]
    fn a_rule_that_denies_without_end_has_no_count() {
        let deny = allow("key = \"vault\"\nmax_count = 3").replace("allow", "deny");
        let error = mistake(&(allow("") + &deny)).unwrap();
        assert!(error.starts_with("line 9, column 13: rule 2 denies"), "{error}");
        let deny = allow("max_per_day = \"1 ETH\"").replace("allow", "ask");
        assert!(mistake(&deny).unwrap().starts_with("line 4, column 15: rule 1 asks"));
    }

    #[test]
    fn a_clock_that_is_set_back_revives_no_rule() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy(&allow("not_after = 2026-06-15T10:00:00Z"), folder.path());
        let decide = |now| policy.decide_at(now, paired, &request("")).unwrap();
        uses::saw(&policy.home, NOW.unix_timestamp()).unwrap();
        assert_eq!(decide(NOW), Decision::Allow(1));
        uses::saw(&policy.home, NOW.unix_timestamp() + 1).unwrap();
        let before = NOW - time::Duration::days(30);
        assert_eq!(decide(before), Decision::Deny(Refusal::NoRule));
    }

    #[test]
    fn the_time_is_remembered_where_a_rule_ends_and_a_clock_behind_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let ends = policy(&allow("not_after = 2026-06-15T10:00:00Z"), folder.path());
        policy(&allow(""), folder.path()).watch_clock().unwrap();
        assert_eq!(Uses::load(&ends.home).unwrap(), Uses::default());
        assert_eq!(ends.watch_clock().unwrap(), None);
        let later = clock::unix_now() + 3600;
        uses::saw(&ends.home, later).unwrap();
        assert_eq!(ends.watch_clock().unwrap().unwrap().latest, later);
    }

    #[test]
    fn two_rules_that_match_alike_are_counted_apart() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy(&allow("max_count = 1").repeat(2), folder.path());
        let decide = || policy.decide_at(NOW, paired, &request("")).unwrap();
        assert_eq!(
            [decide(), decide(), decide()],
            [Decision::Allow(1), Decision::Allow(2), Decision::Deny(Refusal::UsedUp(1))]
        );
    }

    #[test]
    fn unreadable_counts_allow_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let policy = policy(&allow("max_count = 1"), folder.path());
        assert_eq!(policy.decide_at(NOW, paired, &request("")).unwrap(), Decision::Allow(1));
        fs::write(folder.path().join("state/policy.json"), "{").unwrap();
        let error = policy.decide_at(NOW, paired, &request("")).unwrap_err();
        assert!(
            matches!(&error, Error::Vault(e) if e.to_string().contains("policy.json")),
            "{error:?}"
        );
    }

    #[test]
    fn time_limits_hold_to_the_minute() {
        let until = allow("not_after = 2026-06-15T10:00:00Z");
        assert_eq!(decide(&until, &request(""), NOW), Decision::Allow(1));
        let later = NOW + time::Duration::seconds(1);
        assert_eq!(decide(&until, &request(""), later), Decision::Deny(Refusal::NoRule));

        let at = |hour, minute| NOW.replace_time(Time::from_hms(hour, minute, 0).unwrap());
        let day = allow("hours = \"08:00-18:00\"");
        assert_eq!(decide(&day, &request(""), at(8, 0)), Decision::Allow(1));
        assert_eq!(decide(&day, &request(""), at(18, 0)), Decision::Deny(Refusal::NoRule));
        let night = allow("hours = \"22:00-06:00\"");
        assert_eq!(decide(&night, &request(""), at(23, 0)), Decision::Allow(1));
        assert_eq!(decide(&night, &request(""), at(5, 59)), Decision::Allow(1));
        assert_eq!(decide(&night, &request(""), at(12, 0)), Decision::Deny(Refusal::NoRule));
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
            ("to = [\"bob\"]", "line 4, column 6: `to` lists addresses"),
            ("to = [\"0xbob\"]", "line 4, column 6: no address"),
            ("network = \"mainnet\"", "line 4, column 11: network is main"),
            ("max_amount = \"1\"", "line 4, column 14: an amount is such as"),
            (
                "max_fee = \"1@0x1111111111111111111111111111111111111111\"",
                "line 4, column 11: a fee",
            ),
            ("payload = \"tx\"", "line 4, column 11: payload is one of digest, file, message"),
        ] {
            let error = mistake(&allow(fields)).unwrap();
            assert!(error.starts_with(expected), "{fields}: {error}");
        }
        let error = mistake("[[rule]]\naction = \"allow\"\n").unwrap();
        assert!(error.contains("missing field `peer`"), "{error}");
    }
}
