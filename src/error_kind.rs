//! What kind of end an error is. Log lines, JSON documents and exit codes share the kinds, so that a
//! script that knows one of them knows all.

use serde::Serialize;

/// The kind of an error: its name is in the log and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
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
    /// Another device, or this one, runs a version that cannot do it.
    Unsupported,
    /// The peer failed a check that leaks: peer banned, pair state retired.
    Banned,
    /// Too many signatures of a pair were cut short; nobody failed a check.
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
    /// The system refuses: no permission, disk full, a file or socket that cannot be used.
    System,
    /// What cannot happen: a bug.
    Internal,
    /// A file of this device is not what this device wrote there.
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
