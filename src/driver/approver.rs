//! Who answers questions that only the owner of a device may answer.

pub mod backoff;
pub mod queue;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::device::{Fingerprint, Label};
use crate::driver::approver::backoff::Admission;
use crate::request::{Question, Request};

/// An answer that may take a person's time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Six digits, and whom they are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The digits as shown: `385 721`.
    pub code: String,
    /// The other device's name for itself.
    pub peer: Label,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// That the name or the fingerprint was known otherwise, if so.
    pub warning: Option<String>,
    /// How long there is to answer.
    pub within: std::time::Duration,
}

/// A yes or a no, and from whom.
#[derive(Debug)]
pub enum Verdict {
    /// Yes.
    Yes,
    /// Yes, by a rule that is good for so many uses.
    Charged(Charge),
    /// A person said no.
    No,
    /// The policy said no.
    Policy(Refusal),
    /// There is nobody to ask.
    Nobody,
    /// Nobody answered in time.
    Late,
    /// A person is to be asked, as soon as nothing else is on the screen.
    Ask,
    /// A person was asked, and takes another request first.
    Later,
}

/// Why a policy says no. Rules count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This rule denies it.
    Rule(usize),
    /// This rule would allow it but has been used as often as it may be.
    UsedUp(usize),
    /// No rule allows it.
    NoRule,
    /// It is not the one signature that is approved here, or that was approved before.
    NotThisOne,
}

/// A use of a rule that was charged for a yes. It is given back when this is dropped, unless
/// something was spent by then; a process that dies in between leaves it charged.
#[derive(Default)]
pub struct Charge(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Charge {
    /// A use that `give_back` takes back.
    pub fn new(give_back: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }

    /// From here on it counts, whatever becomes of the ceremony.
    pub fn spend(&mut self) {
        self.0 = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Charge(..)")
    }
}

/// Answers for the owner of this device: a person at a terminal, a policy file, a digest given
/// ahead of time.
pub trait Approver: Send + Sync {
    /// Whether both screens show the same six digits. Never answered by a policy.
    fn compare(&self, comparison: Comparison) -> Answer<'_>;

    /// Whether to take part. One yes is one ceremony. [`Verdict::Ask`] where that is for a person.
    fn approve(&self, question: Question) -> Answer<'_>;

    /// The person's own answer to that. One is asked at a time.
    fn ask(&self, _question: Question) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }

    /// Whether what this device asks for, a pairing too, is put before the person now.
    fn admit(&self, _requester: &Fingerprint) -> Admission {
        Admission::Asked
    }

    /// The same where it has waited for the screen.
    fn admit_waiting(&self, requester: &Fingerprint) -> Admission {
        self.admit(requester)
    }

    /// A request of this device ended while it waited to be put before the person.
    fn withdrawn(&self, _requester: &Fingerprint) {}

    /// Who answered this request, for the log: a person, or the rule that decided. It is said once; `None`
    /// where nobody was asked.
    fn answered_by(&self, _request: &Request) -> Option<String> {
        None
    }

    /// Whether a person is here who can compare digits.
    fn is_attended(&self) -> bool {
        true
    }

    /// Whether a person is asked about every request, so that who has to wait is turned away at once.
    fn asks_a_person(&self) -> bool {
        true
    }

    /// Whether to take part in a refresh that brings back a device which this one no longer signs
    /// with. Never answered by a policy.
    fn pardon(&self, _question: Question) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }
}
