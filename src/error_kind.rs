//! The kinds of errors. Log lines, JSON documents and exit codes share them.

use serde::Serialize;

/// The kind of an error. Its name is in the log and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A signature or the log chain is invalid.
    Invalid,
    /// The command line is wrong.
    Usage,
    /// A person refused, here or there.
    Denied,
    /// Time-out, no answer, or a lost link.
    Unreachable,
    /// Codes differ, fingerprint changed, session expired.
    Identity,
    /// The protocol was aborted and no device is to blame; safe to retry.
    Aborted,
    /// The program of a device does not support it.
    Unsupported,
    /// The peer failed a check that leaks: peer banned, pair state retired.
    Banned,
    /// Too many signatures with a device were cut short; no check failed.
    Worn,
    /// This device gave its part of a signature, and was not told that it was made: it may exist.
    Given,
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
    /// The system refused: no permission, disk full, a file or socket that cannot be used.
    System,
    /// A bug.
    Internal,
    /// A file of this device differs from what this device wrote.
    Tampered,
    /// Interrupted by Ctrl-C or a signal.
    Interrupted,
}

impl ErrorKind {
    /// The name in JSON and in the log, such as `not_found`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Usage => "usage",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Identity => "identity",
            Self::Aborted => "aborted",
            Self::Unsupported => "unsupported",
            Self::Banned => "banned",
            Self::Locked => "locked",
            Self::Policy => "policy",
            Self::NotFound => "not_found",
            Self::Interaction => "interaction",
            Self::Conflict => "conflict",
            Self::Worn => "worn",
            Self::Given => "given",
            Self::System => "system",
            Self::Internal => "internal",
            Self::Tampered => "tampered",
            Self::Interrupted => "interrupted",
        }
    }
}
