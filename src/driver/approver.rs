//! The interface to whoever answers for the owner of a device.

pub mod backoff;
pub mod queue;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::device::{Fingerprint, Label};
use crate::driver::approver::backoff::Admission;
use crate::progress::{Compared, Lasts};
use crate::request::{Question, Request};

/// An answer, which may take minutes if a person gives it.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// The six digits of a pairing, and the devices they are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The digits as shown: `385 721`.
    pub code: String,
    /// The other device, or all of a group.
    pub with: Compared,
    /// How long the pairing will last.
    pub lasts: Lasts,
    /// A warning, if a name or a fingerprint is known already.
    pub warning: Option<String>,
    /// How long there is to answer.
    pub within: std::time::Duration,
}

/// An answer to a question.
#[derive(Debug)]
pub enum Verdict {
    /// Yes.
    Yes,
    /// Yes, by a rule of limited uses, of which one was charged.
    Charged(Charge),
    /// A person said no.
    No,
    /// The policy said no.
    Policy(Refusal),
    /// There is nobody to ask.
    Nobody,
    /// Nobody answered in time.
    Late,
    /// The policy leaves it to a person. [`Approver::ask`] is to be called once the screen is free.
    Ask,
    /// A person was asked, and wants to answer another request first.
    Later,
}

/// Why a policy says no. Rules count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This rule denies it.
    Rule(usize),
    /// This rule would allow it, but its uses are spent.
    UsedUp(usize),
    /// No rule allows it.
    NoRule,
    /// Only one signature is approved here, and it is another one, or was approved already.
    NotThisOne,
}

/// A use of a rule that was charged for a yes. It is given back when this is dropped, unless
/// [`spend`](Self::spend) was called; if the process dies in between, it stays charged.
#[derive(Default)]
pub struct Charge(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Charge {
    /// A use that `give_back` returns to the rule.
    pub fn new(give_back: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }

    /// Keeps the use charged, whatever becomes of the ceremony.
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

/// Answers for the owner of this device: a person at a terminal, a policy file, or a digest that
/// was approved in advance.
pub trait Approver: Send + Sync {
    /// Whether all screens show the same six digits. Never answered by a policy.
    fn compare(&self, comparison: Comparison) -> Answer<'_>;

    /// Whether to take part in one ceremony. [`Verdict::Ask`] if a person decides.
    fn approve(&self, question: Question) -> Answer<'_>;

    /// The answer of a person, after [`Verdict::Ask`]. Questions are put one at a time.
    fn ask(&self, _question: Question) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }

    /// Whether a request of `requester`, or a pairing with it, may be put before the owner now.
    fn admit(&self, _requester: &Fingerprint) -> Admission {
        Admission::Asked
    }

    /// As [`admit`](Self::admit), for a request that has waited for the screen.
    fn admit_waiting(&self, requester: &Fingerprint) -> Admission {
        self.admit(requester)
    }

    /// A request of this device ended before it reached the screen.
    fn withdrawn(&self, _requester: &Fingerprint) {}

    /// Who answered this request, for the log: a person, or the rule that decided. It is returned
    /// once; `None` if nobody was asked.
    fn answered_by(&self, _request: &Request) -> Option<String> {
        None
    }

    /// Whether a person is present to compare digits.
    fn is_attended(&self) -> bool {
        true
    }

    /// Whether a person decides about every request, so that a device in its back-off is refused at
    /// once.
    fn asks_a_person(&self) -> bool {
        true
    }

    /// Whether to take part in a refresh or reshare that ends the bans of these devices. Never answered by a
    /// policy.
    fn pardon(&self, _question: Question, _banned: &[Label]) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }
}
