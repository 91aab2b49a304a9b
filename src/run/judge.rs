//! Who answers questions that only the owner of a device may answer.

use std::future::Future;
use std::pin::Pin;

use crate::device::{Fingerprint, Label};
use crate::progress::RequestView;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Yes,
    /// A person said no.
    No,
    /// The policy said no: this rule, counted from 1, or none that would allow it.
    Policy(Option<usize>),
    /// There is nobody to ask.
    Nobody,
    /// Nobody answered in time.
    Late,
}

/// Answers for the owner of this device: a person at a terminal, a policy file, a digest given
/// ahead of time.
pub trait Judge: Send + Sync {
    /// Whether both screens show the same six digits. Never answered by a policy.
    fn compare(&self, comparison: Comparison) -> Answer<'_>;

    /// Whether to take part. One yes is one ceremony.
    fn approve(&self, request: RequestView) -> Answer<'_>;

    /// Whether to take part in a refresh that brings back a device which this one no longer signs
    /// with. Never answered by a policy.
    fn pardon(&self, _request: RequestView) -> Answer<'_> {
        Box::pin(async { Verdict::Nobody })
    }
}
