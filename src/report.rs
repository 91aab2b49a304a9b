//! Failure to sentence, hint and exit code: the only place that knows the exit code table.

mod vault;

use std::fmt;

use serde::Serialize;

/// The kind of a failure: its name in JSON and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A signature or the log chain is invalid.
    Invalid,
    /// The command line.
    Usage,
    /// A person said no, here or there.
    Denied,
    /// Time-out, nobody there, link lost.
    Unreachable,
    /// Codes differ, fingerprint changed, session expired.
    Identity,
    /// Protocol abort with nobody to blame; safe to retry.
    Aborted,
    /// The peer failed a check that leaks: peer banned, pair state retired.
    Banned,
    /// Wrong passphrase, PIN or identity, or no token.
    Locked,
    /// Refused by local policy.
    Policy,
    /// No such key, peer or file.
    NotFound,
    /// Needs a person and `--no-input` was given.
    Interaction,
    /// Exists already, in use, rolled back.
    Conflict,
    /// Anything else: disk full, permission, bug.
    Internal,
    /// Interrupted by Ctrl-C or a signal.
    Interrupted,
}

impl Code {
    /// The process exit code.
    pub fn exit(self) -> u8 {
        match self {
            Self::Invalid => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Unreachable => 4,
            Self::Identity => 5,
            Self::Aborted => 6,
            Self::Banned => 7,
            Self::Locked => 8,
            Self::Policy => 9,
            Self::NotFound => 10,
            Self::Interaction => 11,
            Self::Conflict => 12,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }

    /// The name in JSON, such as `not_found`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Usage => "usage",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Identity => "identity",
            Self::Aborted => "aborted",
            Self::Banned => "banned",
            Self::Locked => "locked",
            Self::Policy => "policy",
            Self::NotFound => "not_found",
            Self::Interaction => "interaction",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failure as people see it: what happened and, where something can be done, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub code: Code,
    /// One line, lower case, naming the file, peer or flag.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of kind `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
