//! Who answers for the owner of this device: a person, a policy file, a digest given ahead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::device::Fingerprint;
use crate::driver::approver::backoff::{Admission, Backoff};
use crate::driver::approver::{Answer, Approver, Charge, Comparison, Refusal, Verdict};
use crate::driver::clock;
use crate::policy::{self, Decision, Policy, SetBack};
use crate::progress::{Event, RequestView};
use crate::report::{self, Failure};
use crate::request::{Question, Request};
use crate::ui::prompt::Consent;
use crate::ui::{NoAnswer, Prompter, Screen};

/// Who answered which requests, until the log says so. A device may give two requests one id, so an answer
/// belongs to the whole request.
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

    // A panic while the lock was held leaves nothing half done.
    fn all(&self) -> MutexGuard<'_, Vec<(Request, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The person at this terminal decides about everything.
#[derive(Debug)]
pub(super) struct Person {
    prompter: Prompter,
    backoff: Mutex<Backoff>,
    answered: Answered,
}

impl Person {
    /// Asks through `prompter`.
    pub(super) fn new(prompter: Prompter) -> Self {
        Self { prompter, backoff: Mutex::default(), answered: Answered::default() }
    }

    async fn decide(&self, question: Question, warning: Option<&str>) -> Verdict {
        let within = Duration::from_secs(question.seconds);
        let requester = Some(question.request.asked_by());
        let mut pending = Pending { person: self, requester, approved: false };
        let view = RequestView::of(&question);
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

    // A panic while the lock was held leaves nothing half done.
    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that counts as refused unless it is approved: whoever asked may drop the question.
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

    fn pardon(&self, question: Question) -> Answer<'_> {
        Box::pin(self.decide(question, Some(report::ENDS_A_BAN)))
    }
}

/// What a comparison looks like as an event.
pub(super) fn shown(comparison: Comparison) -> Event {
    Event::Code {
        code: comparison.code,
        peer: comparison.peer.to_string(),
        fingerprint: comparison.fingerprint.to_hex(),
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

/// A policy file decides about requests; codes are still for a person.
#[derive(Debug)]
pub(super) struct Rules {
    policy: Policy,
    person: Person,
    screen: Screen,
    answered: Answered,
}

impl Rules {
    /// Applies `policy`, and shows on `screen` what was asked.
    pub(super) fn new(policy: Policy, prompter: Prompter, screen: Screen) -> Self {
        Self { policy, person: Person::new(prompter), screen, answered: Answered::default() }
    }

    /// Looks at the clock, and says so if it was set back.
    ///
    /// # Errors
    /// The time cannot be remembered.
    pub(super) fn watched(&self) -> Result<(), policy::Error> {
        if let Some(SetBack { now, latest }) = self.policy.watch_clock()? {
            let (now, latest) = (clock::rfc3339(now), clock::rfc3339(latest));
            self.screen.note(format!(
                "the clock says {now} and was set back from {latest}: not_after goes by that"
            ));
        }
        Ok(())
    }

    /// Says what decided, here and in the log.
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

    /// A yes by this rule, with what takes its use back.
    fn yes(&self, rule: usize) -> Verdict {
        let Some(refund) = self.policy.refund(rule) else { return Verdict::Yes };
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
            // What a person is asked about is shown when it is.
            if !matches!(decision, Ok(Decision::Ask(_))) {
                // Only a card that a person has seen is compared with the next.
                self.screen.show(&Event::Request(RequestView::of(&question)));
            }
            match decision {
                Ok(Decision::Ask(_)) => Verdict::Ask,
                Ok(Decision::Allow(rule)) => {
                    self.decided(&question, true, format!("rule {rule}"));
                    self.yes(rule)
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

    fn pardon(&self, question: Question) -> Answer<'_> {
        self.person.pardon(question)
    }
}

/// Approves one digest under one key, once, and nothing else.
#[derive(Debug)]
pub(super) struct OneDigest {
    digest: [u8; 32],
    /// Of the key of this device that the one that signs is below.
    public_key: [u8; 33],
    path: Vec<u32>,
    screen: Screen,
    approved: Arc<AtomicBool>,
}

impl OneDigest {
    /// Approves `digest` under the key at the end of `path` below the one with this public key.
    pub(super) fn new(
        digest: &[u8; 32],
        public_key: &[u8; 33],
        path: Vec<u32>,
        screen: Screen,
    ) -> Self {
        let (digest, public_key) = (*digest, *public_key);
        Self { digest, public_key, path, screen, approved: Arc::default() }
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
            self.screen.show(&Event::Request(self.screen.compared(view)));
            let Question { request, .. } = &question;
            let key = request.shares().map(|shares| shares.public_key);
            let same = request.digest() == Some(&self.digest)
                && key == Some(self.public_key)
                && request.path() == self.path;
            // One approval is one signature.
            if !same || self.approved.swap(true, Ordering::Relaxed) {
                return Verdict::Policy(Refusal::NotThisOne);
            }
            // Who asks and then begins nothing uses it up for nobody.
            let approved = Arc::clone(&self.approved);
            Verdict::Charged(Charge::new(move || approved.store(false, Ordering::Relaxed)))
        })
    }
}
