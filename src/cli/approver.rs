//! The approvers: a person, a policy file, or digests that were approved in advance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cli::builds::{self, Builds};
use crate::cli::digest::Digest;
use crate::device::{Fingerprint, Label};
use crate::driver::approver::backoff::{Admission, Backoff};
use crate::driver::approver::{Answer, Approver, Charge, Comparison, Refusal, Verdict};
use crate::driver::clock;
use crate::payload::Source;
use crate::policy::{self, Asked, Decision, Policy, SetBack};
use crate::progress::{Event, RequestView};
use crate::report::{self, Failure};
use crate::request::{Question, Request};
use crate::ui::prompt::Consent;
use crate::ui::{NoAnswer, Prompter, Screen};

/// The answerer of each request, until it is logged. The requester may give two requests one id, so
/// the whole request is the key.
#[derive(Debug, Default)]
struct Answered(Mutex<Vec<(Request, String)>>);

impl Answered {
    fn note(&self, request: &Request, by: String) {
        self.all().push((request.clone(), by));
    }

    fn take(&self, request: &Request) -> Option<String> {
        let mut all = self.all();
        let at = all.iter().position(|(answered, _)| answered == request)?;
        Some(all.swap_remove(at).1)
    }

    // Each change is one call, so the value is whole even if a holder of the lock panicked.
    fn all(&self) -> MutexGuard<'_, Vec<(Request, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The person at this terminal decides about everything.
#[derive(Debug)]
pub(super) struct Person {
    prompter: Prompter,
    builds: Option<Builds>,
    backoff: Mutex<Backoff>,
    answered: Answered,
}

impl Person {
    /// Asks through `prompter`, and tells which files are among `builds`.
    pub(super) fn new(prompter: Prompter, builds: Option<Builds>) -> Self {
        Self { prompter, builds, backoff: Mutex::default(), answered: Answered::default() }
    }

    async fn decide(&self, question: Question, warning: Option<&str>) -> Verdict {
        let within = Duration::from_secs(question.seconds);
        let requester = Some(question.request.asked_by());
        let mut pending = Pending { person: self, requester, approved: false };
        let view = builds::view(&question, self.builds.as_ref()).await;
        let said = self.prompter.approve(&view, warning, within).await;
        let verdict = match said {
            Ok(Consent::Later) => Verdict::Later,
            said => verdict(said.map(|said| said == Consent::Yes)),
        };
        pending.approved = matches!(verdict, Verdict::Yes);
        if matches!(verdict, Verdict::Yes | Verdict::No) {
            self.answered.note(&question.request, "a person".to_owned());
        }
        if matches!(verdict, Verdict::Nobody | Verdict::Later) {
            pending.requester = None;
        }
        verdict
    }

    // Each change is one call, so the value is whole even if a holder of the lock panicked.
    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that counts as refused unless it is approved, also if its future is dropped.
struct Pending<'a> {
    person: &'a Person,
    requester: Option<Fingerprint>,
    approved: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(requester) = &self.requester else { return };
        if self.approved {
            self.person.backoff().approved(requester);
        } else {
            self.person.backoff().refused(requester, clock::now());
        }
    }
}

impl Approver for Person {
    fn compare(&self, comparison: Comparison) -> Answer<'_> {
        Box::pin(async move {
            let within = comparison.within;
            verdict(self.prompter.compare(&shown(comparison), within).await)
        })
    }

    fn approve(&self, _: Question) -> Answer<'_> {
        Box::pin(async { Verdict::Ask })
    }

    fn ask(&self, question: Question) -> Answer<'_> {
        Box::pin(self.decide(question, None))
    }

    fn admit(&self, requester: &Fingerprint) -> Admission {
        let muted = self.prompter.is_muted(requester);
        self.backoff().admit(requester, muted, clock::now())
    }

    fn admit_waiting(&self, requester: &Fingerprint) -> Admission {
        let muted = self.prompter.is_muted(requester);
        self.backoff().admit_waiting(requester, muted, clock::now())
    }

    fn withdrawn(&self, requester: &Fingerprint) {
        self.backoff().withdrawn(requester, clock::now());
    }

    fn answered_by(&self, request: &Request) -> Option<String> {
        self.answered.take(request)
    }

    fn is_attended(&self) -> bool {
        self.prompter.can_ask()
    }

    fn pardon(&self, question: Question, banned: &[Label]) -> Answer<'_> {
        let warning = report::ends_bans(&banned.iter().map(Label::as_str).collect::<Vec<_>>());
        Box::pin(async move { self.decide(question, Some(&warning)).await })
    }
}

/// The event that shows a comparison.
pub(super) fn shown(comparison: Comparison) -> Event {
    Event::Code {
        code: comparison.code,
        with: comparison.with,
        lasts: comparison.lasts,
        warning: comparison.warning,
        seconds: comparison.within.as_secs(),
    }
}

fn verdict(answer: Result<bool, NoAnswer>) -> Verdict {
    match answer {
        Ok(true) => Verdict::Yes,
        Ok(false) => Verdict::No,
        Err(NoAnswer::Nobody(_)) => Verdict::Nobody,
        Err(NoAnswer::Late(_)) => Verdict::Late,
        Err(
            NoAnswer::Closed(_) | NoAnswer::NotText | NoAnswer::Interrupted | NoAnswer::Broken(_),
        ) => Verdict::No,
    }
}

/// A policy file decides about requests; a person still compares digits.
#[derive(Debug)]
pub(super) struct Rules {
    policy: Policy,
    person: Person,
    screen: Screen,
    answered: Answered,
}

impl Rules {
    /// Applies `policy`, and shows its decisions on `screen`. `person` decides what it leaves open.
    pub(super) fn new(policy: Policy, person: Person, screen: Screen) -> Self {
        Self { policy, person, screen, answered: Answered::default() }
    }

    /// Checks the clock, and tells if it was set back.
    ///
    /// # Errors
    /// The time cannot be stored.
    pub(super) fn watched(&self) -> Result<(), policy::Error> {
        if let Some(SetBack { now, latest }) = self.policy.watch_clock()? {
            let (now, latest) = (clock::rfc3339(now), clock::rfc3339(latest));
            self.screen.note(format!(
                "the clock says {now} and was set back from {latest}: not_after goes by that"
            ));
        }
        Ok(())
    }

    /// Tells what decided, on the screen and for the log.
    fn decided(&self, question: &Question, allowed: bool, by: String) {
        let Question { request, key, .. } = question;
        self.screen.show(&Event::Decided {
            request_id: request.id.clone(),
            peer: question.name(request.requester).to_string(),
            ceremony: request.ceremony(),
            key: key.clone(),
            allowed,
            by: by.clone(),
        });
        self.answered.note(request, by);
    }

    /// A yes by this rule, with the refund of its use.
    fn yes(&self, rule: usize, question: &Question) -> Verdict {
        let refund = self.policy.refund(rule, &Asked::from(question));
        let Some(refund) = refund else { return Verdict::Yes };
        let screen = self.screen.clone();
        Verdict::Charged(Charge::new(move || {
            screen.note(match refund() {
                Ok(()) => format!("nothing was signed: the use of rule {rule} is given back"),
                Err(error) => {
                    let why = Failure::from(error).message;
                    format!("the use of rule {rule} stays counted: {why}")
                }
            });
        }))
    }
}

impl Approver for Rules {
    fn compare(&self, comparison: Comparison) -> Answer<'_> {
        self.person.compare(comparison)
    }

    fn approve(&self, question: Question) -> Answer<'_> {
        Box::pin(async move {
            let decision = self.watched().and_then(|()| self.policy.decide(&question));
            // A request that a person decides is shown when it is on the screen.
            if !matches!(decision, Ok(Decision::Ask(_))) {
                // Not shown as the last card: only a card that a person has seen is compared with
                // the next.
                let view = builds::view(&question, self.person.builds.as_ref()).await;
                self.screen.show(&Event::Request(Box::new(view)));
            }
            match decision {
                Ok(Decision::Ask(_)) => Verdict::Ask,
                Ok(Decision::Allow(rule)) => {
                    self.decided(&question, true, format!("rule {rule}"));
                    self.yes(rule, &question)
                }
                Ok(Decision::Deny(refusal)) => {
                    let by = match refusal {
                        Refusal::Rule(rule) | Refusal::UsedUp(rule) => format!("rule {rule}"),
                        Refusal::NoRule | Refusal::NotThisOne => "no rule".to_owned(),
                    };
                    self.decided(&question, false, by);
                    Verdict::Policy(refusal)
                }
                Err(error) => {
                    self.screen.note(Failure::from(error).message);
                    Verdict::Policy(Refusal::NoRule)
                }
            }
        })
    }

    fn ask(&self, question: Question) -> Answer<'_> {
        self.person.ask(question)
    }

    fn admit(&self, requester: &Fingerprint) -> Admission {
        self.person.admit(requester)
    }

    fn admit_waiting(&self, requester: &Fingerprint) -> Admission {
        self.person.admit_waiting(requester)
    }

    fn withdrawn(&self, requester: &Fingerprint) {
        self.person.withdrawn(requester);
    }

    fn answered_by(&self, request: &Request) -> Option<String> {
        self.answered.take(request).or_else(|| self.person.answered_by(request))
    }

    fn is_attended(&self) -> bool {
        self.person.is_attended()
    }

    fn asks_a_person(&self) -> bool {
        false
    }

    fn pardon(&self, question: Question, banned: &[Label]) -> Answer<'_> {
        self.person.pardon(question, banned)
    }
}

/// Approves one digest under one key, or those of several files together, once, and nothing else.
#[derive(Debug)]
pub(super) struct OneDigest {
    /// The digests that are signed, in their order; none of a payment, which its own digest stands
    /// for.
    list: Vec<[u8; 32]>,
    /// The payment's digest, and its source.
    payment: Option<([u8; 32], Source)>,
    /// The public key of the key of this device, below which the signing key is derived.
    public_key: [u8; 33],
    path: Vec<u32>,
    screen: Screen,
    approved: Arc<AtomicBool>,
}

impl OneDigest {
    /// Approves `digest` under the key at the end of `path` below the one with this public key.
    pub(super) fn new(
        digest: &Digest,
        public_key: &[u8; 33],
        path: Vec<u32>,
        screen: Screen,
    ) -> Self {
        let payment = digest.payment.as_ref().map(|_| (digest.bytes, digest.source.clone()));
        let list = if payment.is_some() { Vec::new() } else { digest.list().to_vec() };
        let public_key = *public_key;
        Self { list, payment, public_key, path, screen, approved: Arc::default() }
    }
}

impl Approver for OneDigest {
    fn compare(&self, _: Comparison) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }

    fn is_attended(&self) -> bool {
        false
    }

    fn asks_a_person(&self) -> bool {
        false
    }

    fn approve(&self, question: Question) -> Answer<'_> {
        Box::pin(async move {
            let view = RequestView::of(&question);
            self.screen.show(&Event::Request(Box::new(self.screen.compared(view))));
            let Question { request, .. } = &question;
            let key = request.shares().map(|shares| shares.public_key);
            let same = request.signing().is_some_and(|signing| match &self.payment {
                Some((payment, source)) => {
                    signing.source == *source
                        && signing.payload.is_some()
                        && signing.digest == *payment
                }
                None => {
                    let is_payment = matches!(signing.source, Source::Psbt { .. });
                    !is_payment && signing.list() == self.list
                }
            }) && key == Some(self.public_key)
                && request.path() == self.path;
            // One approval is one signature.
            if !same || self.approved.swap(true, Ordering::Relaxed) {
                return Verdict::Policy(Refusal::NotThisOne);
            }
            // The approval is returned if the requester never starts.
            let approved = Arc::clone(&self.approved);
            Verdict::Charged(Charge::new(move || approved.store(false, Ordering::Relaxed)))
        })
    }
}
