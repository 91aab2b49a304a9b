//! Sentences, hints and exit codes for failures. Only this module has the table of exit codes.

mod command;
mod driver;
mod policy;
mod prompt;
mod token;
mod vault;

use std::fmt;

use crate::curve::CurveName;
use crate::device::{Fingerprint, Label, grouped, hex};
use crate::driver::approver::Refusal;
use crate::driver::error::{Ability, Unfit, Wanted, kind_of_bind};
use crate::error_kind::ErrorKind;
use crate::net::LinkError;
use crate::party::PartyId;
use crate::payload::Kind;
use crate::payload::ethereum::Account;
use crate::progress::{PartyView, RequestView};
use crate::protocol::fault::{Blame, Check, Fault};
use crate::protocol::pair::group::MOST;
use crate::request::{Ceremony, Held, Hex};
use crate::vault::Use;
use crate::wire::Reason;
pub(crate) use command::here;
use command::there;
pub use command::{Flags, called_with};
pub use driver::{event, noted, unlogged};
pub(crate) use vault::unreadable;

/// The kind of a failure: its name in JSON and, with [`exit`], its exit code.
pub type Code = ErrorKind;

/// The process exit code.
pub fn exit(code: Code) -> u8 {
    match code {
        Code::Invalid => 1,
        Code::Usage => 2,
        Code::Denied => 3,
        Code::Unreachable => 4,
        Code::Identity => 5,
        Code::Aborted | Code::Unsupported => 6,
        Code::Banned => 7,
        Code::Locked => 8,
        Code::Policy => 9,
        Code::NotFound => 10,
        Code::Interaction => 11,
        Code::Conflict => 12,
        Code::Worn => 13,
        Code::Given => 14,
        Code::Internal => 70,
        Code::Tampered => 71,
        Code::System => 74,
        Code::Interrupted => 130,
    }
}

/// What the kind means, in the words of the manual.
pub fn meaning(code: Code) -> &'static str {
    match code {
        Code::Invalid => "the signature or the log's chain is invalid",
        Code::Usage => "the command line is wrong",
        Code::Denied => "a person said no, here or there",
        Code::Unreachable => "time-out, nobody there, or the link was lost; may be retried",
        Code::Identity => "codes differ, a fingerprint changed, or the session expired",
        Code::Aborted => "the ceremony was aborted and nobody is to blame; safe to retry",
        Code::Unsupported => "another device runs a version of cosign that cannot do it",
        Code::Banned => "the peer failed a check that leaks: it is banned under this key",
        Code::Locked => "wrong passphrase, PIN or identity, or no token",
        Code::Policy => "refused by a policy",
        Code::NotFound => "no such key, peer or file",
        Code::Interaction => "a person is needed and --no-input was given",
        Code::Conflict => "exists already, in use, rolled back, or of a later version of cosign",
        Code::Worn => "too many signatures of two devices were cut short; a refresh mends it",
        Code::Given => {
            "this device gave its part of a signature, which may exist: count it as signed"
        }
        Code::Internal => "what cannot happen: a bug of this program, to be reported",
        Code::Tampered => "a file of this device is not what this device wrote there",
        Code::System => {
            "the system refuses: no permission, disk full, a file or socket that cannot be used"
        }
        Code::Interrupted => "interrupted",
    }
}

/// A failure for people: what happened and, if something can be done, what to do.
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

    /// Adds a hint.
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

/// The device `name` could not be found or did not answer.
pub fn nobody(name: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("{name} cannot be reached")).hint(
        "is `cosign listen` running there? where multicast does not pass (VPN, container, guest \
         network), name it with --peer HOST:PORT",
    )
}

/// The link to `name` was lost before the ceremony ended.
pub fn lost(name: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("the connection to {name} was lost"))
        .hint("run the command again; nothing half made is kept")
}

/// `name` did not send something in time; `what` says what.
pub fn slow(name: &str, what: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("{name} did not answer in time ({what})"))
        .hint("try again, or give it longer with --timeout")
}

/// `name` has another fingerprint than the pinned one, at an address from its record or the command
/// line, or through a command.
pub fn changed(name: &str, expected: &Fingerprint, got: &Fingerprint) -> Failure {
    Failure::new(
        Code::Identity,
        format!(
            "{name} is pinned to device {}, but device {} answered",
            expected.device_id(),
            got.device_id()
        ),
    )
    .hint(in_its_place(name, expected))
}

/// Only `others` other devices answered where `name` was looked for on the network. Announcements
/// there are not authenticated, so this says nothing about `name`.
pub fn others_answer(name: &str, expected: &Fingerprint, others: usize) -> Failure {
    let who = match others {
        1 => "another device answers".to_owned(),
        many => format!("{many} other devices answer"),
    };
    Failure::new(Code::Unreachable, format!("{name} was not found: {who} in its place"))
        .hint(in_its_place(name, expected))
}

/// What to do if another device answers for `name`. Only its owner can say whether it has a new
/// device.
fn in_its_place(name: &str, expected: &Fingerprint) -> String {
    format!(
        "somebody uses its name or address; go to {name} in person: while {} there shows {}, it is \
         the same device, and --peer HOST:PORT or --via reaches it; only if its owner has replaced \
         it, {} says what to do",
        there(&["id"], &[]),
        expected.device_id(),
        here(&["peers", "forget", "--help"], &[]),
    )
}

/// `name` refused, for this reason.
pub fn refused(name: &str, reason: Reason) -> Failure {
    refused_about(name, reason, &[])
}

/// `name` refused in a ceremony with the key `key`, for this reason.
pub fn refused_with(name: &str, reason: Reason, key: &str) -> Failure {
    refused_about(name, reason, &[key])
}

fn refused_about(name: &str, reason: Reason, key: &[&str]) -> Failure {
    let (code, message, hint) = match reason {
        Reason::Busy { .. } => (
            Code::Unreachable,
            format!("{name} is busy with another request"),
            Some("wait a moment and run the command again".to_owned()),
        ),
        Reason::Crossed => (Code::Unreachable, format!("{name} called at the same time"), None),
        Reason::Denied => (Code::Denied, format!("{name} said no"), None),
        Reason::Declining => (
            Code::Denied,
            format!("{name} takes no requests of this device for now"),
            Some(format!(
                "its owner has muted this device there, until they take that back or end {}: ask them",
                there(&["listen"], &[])
            )),
        ),
        Reason::Locked => (
            Code::Identity,
            format!("{name} takes no more pairings: too many in a row have failed"),
            Some(format!(
                "its owner finds out why, and then runs {} there",
                there(&["pair", "--reset-attempts"], &[])
            )),
        ),
        Reason::Unattended if !key.is_empty() => (
            Code::Interaction,
            format!("{name} asks a person about this, and nobody is there"),
            Some(format!("run {} in a terminal on {name}", there(&["listen"], &[]))),
        ),
        Reason::Unattended => (
            Code::Interaction,
            format!("nobody is at {name} who could compare two codes"),
            Some(format!(
                "run {} in a terminal on {name}; machines pin each other: {}",
                there(&["listen"], &[]),
                here(&["peers", "add", "--help"], &[])
            )),
        ),
        Reason::Policy => (
            Code::Policy,
            format!("the policy of {name} does not allow this"),
            Some(format!(
                "a rule there denies it, or none allows it: {} there says how to find out which",
                there(&["policy", "check", "--help"], &[])
            )),
        ),
        Reason::Blind => (
            Code::Policy,
            format!("{name} signs only what it can see, and this is a digest alone"),
            Some(format!(
                "give the file or the message itself ({}), or its owner listens without --no-blind",
                here(&["sign", "--help"], &[])
            )),
        ),
        Reason::Clock => (
            Code::Conflict,
            format!(
                "{name} refused the time in what is to be signed: it is more than a day off its clock"
            ),
            Some("compare the clocks of both devices, and set the one that is wrong".to_owned()),
        ),
        Reason::Payload => (
            Code::Aborted,
            format!("{name} received something else than what was to be signed"),
            Some("it is safe to try again; update the older of the two programs".to_owned()),
        ),
        Reason::TimedOut => (
            Code::Unreachable,
            format!("nobody answered on {name} in time"),
            Some("ask again when somebody is there, or give them longer with --timeout".to_owned()),
        ),
        Reason::NotPaired => (
            Code::Identity,
            format!("{name} is not paired with this device or with another participant"),
            Some(format!(
                "every two parties of a key must be paired: this device with {name} by {}, and {name} \
                 with each of the others by {} there",
                here(&["pair"], &[name]),
                there(&["pair"], &[])
            )),
        ),
        Reason::Expired => (
            Code::Identity,
            format!("the pairing with {name} is over"),
            Some(format!("run {} again, with --remember to keep it", here(&["pair"], &[name]))),
        ),
        Reason::UnknownKey => (
            Code::NotFound,
            format!("{name} has no share of this key"),
            Some(format!("{} here and on {name} say what each has", here(&["keys", "list"], &[]))),
        ),
        Reason::Deleted { .. } => (
            Code::NotFound,
            format!("{name} says that it has deleted its share of this key"),
            Some(ITS_WORD.to_owned()),
        ),
        Reason::Conflict => (
            Code::Conflict,
            format!("{name} has a key of that name, or the key is in use or not ready there"),
            Some(format!("{} on {name} shows its keys", there(&["keys", "list"], &[]))),
        ),
        Reason::RolledBack => (
            Code::Conflict,
            format!(
                "{name} says that it has seen newer: the data here was rolled back, or the key was given to other \
                 devices without this one"
            ),
            Some(rolled_back_here(key)),
        ),
        Reason::Banned => (
            Code::Banned,
            format!("{name} says that this device is banned there under this key"),
            Some(format!(
                "that is its word alone: it says that a check failed that may leak the key; find out why, \
                 then its owner runs {} there",
                there(&["keys", "refresh"], key)
            )),
        ),
        Reason::Worn => (
            Code::Worn,
            format!("{name} says that too many signatures with this device were cut short"),
            Some(format!(
                "that is its word alone; {} makes new shares, with which both count from zero",
                here(&["keys", "refresh"], key)
            )),
        ),
        Reason::Version => (
            Code::Unsupported,
            format!("{name} runs a version that this one cannot talk to"),
            Some("update the older of the two".to_owned()),
        ),
        Reason::NotUnderstood { message } => (
            Code::Unsupported,
            format!("{name} does not understand the message {:?}", message.as_str()),
            Some("the two devices may run different versions; update the older one".to_owned()),
        ),
        Reason::Unknown(word) => (
            Code::Aborted,
            format!("{name} refused: {}", word.as_str()),
            Some("it may run a later version, which says why in its log".to_owned()),
        ),
        Reason::Aborted => (
            Code::Aborted,
            format!("{name} stopped the ceremony"),
            Some(format!("the reason is in the log of {name}; it is safe to try again")),
        ),
        Reason::Interrupted => (Code::Denied, format!("{name} was interrupted by its owner"), None),
        Reason::Left { party } => return left(name, &format!("party {party}")),
        Reason::Gone => return lost(name),
        Reason::Gathering => (
            Code::Conflict,
            format!("{name} pairs a group now, and with no device alone"),
            Some(format!("join it with {}", here(&["pair", "--join"], &[name]))),
        ),
        Reason::NoGroup => (
            Code::NotFound,
            format!("{name} gathers no group"),
            Some(format!(
                "run {} there first; for two devices {} will do",
                there(&["pair", "--group"], &[]),
                here(&["pair"], &[name])
            )),
        ),
        Reason::GroupClosed => (
            Code::Conflict,
            format!("the group of {name} has begun without this device, or is full"),
            Some(format!(
                "nothing was stored here; begin again with {} there, and say that everybody is \
                 here once all have joined: {MOST} devices at most",
                there(&["pair", "--group"], &[])
            )),
        ),
    };
    Failure { code, message, hint }
}

/// `name` refused to take part in `ceremony` with the key `key`, for `reason`. `others` were
/// invited too.
pub fn refused_in(
    name: &str,
    reason: Reason,
    ceremony: Ceremony,
    key: &str,
    others: &[&str],
) -> Failure {
    let failure = refused_with(name, reason, key);
    match (reason, ceremony) {
        (Reason::NotPaired, _) if !others.is_empty() => Failure {
            message: format!("{name} is not paired with {}", others.join(" or ")),
            ..failure
        }
        .hint(format!(
            "every two parties of a key must be paired. On {name}: {}; or {name} has forgotten this \
             device: {} here",
            others.iter().map(|o| there(&["pair"], &[o])).collect::<Vec<_>>().join(" and "),
            here(&["pair"], &[name]),
        )),
        (Reason::UnknownKey, Ceremony::Sign | Ceremony::Refresh | Ceremony::Reshare) => Failure {
            message: format!(
                "{name} says that it has no share of key {key:?} that fits this one's"
            ),
            ..failure
        }
        .hint(format!("{}; {}", generations(name, key), brought_together(key))),
        (Reason::Conflict, Ceremony::Keygen) => {
            Failure { message: format!("{name} has a key {key:?}, or is making one"), ..failure }
        }
        (Reason::Conflict, Ceremony::Import) => Failure {
            message: format!(
                "{name} has another key {key:?}, or a share of this private key that is in use or of another import"
            ),
            ..failure
        }
        .hint(format!(
            "{} there says which; what was cut off is finished by the same command as at first, or by {} on the \
             devices that have a share",
            there(&["keys", "list"], &[]),
            there(&["keygen", "--key", key, "--resume"], &[]),
        )),
        (Reason::Conflict, Ceremony::Reshare) => Failure {
            message: format!("{name} cannot take a share of the key {key:?} now"),
            ..failure
        }
        .hint(format!(
            "it has another key of that name, an old share of this one, too many unfinished ones, or uses it: \
             {} there says which, and {} there gives that one another name",
            there(&["keys", "list"], &[]),
            there(&["keys", "rename"], &[key, &format!("{key}-before")]),
        )),
        (Reason::Conflict, _) => Failure {
            message: format!(
                "{name} cannot use the key {key:?}: it is in use there, unfinished, or restored from a \
                 backup"
            ),
            ..failure
        }
        .hint(format!(
            "{}; {}, if every party has stored its share of it; one that was restored signs after {}",
            generations(name, key),
            brought_together(key),
            here(&["keys", "refresh"], &[key])
        )),
        _ => failure,
    }
}

/// `name` claims to have deleted its share of the key `key` at the time `when`. `others_suffice`:
/// the other parties can sign without it.
pub fn deleted_there(name: &str, when: &str, key: &str, others_suffice: bool) -> Failure {
    let failure = Failure::new(Code::NotFound, deletion(name, key, when));
    if others_suffice {
        failure.hint(format!("{ITS_WORD}; without it others sign, whom --with names"))
    } else {
        failure.hint(ITS_WORD)
    }
}

/// The claim of `name` about its share of the key `key`.
pub fn deletion(name: &str, key: &str, when: &str) -> String {
    format!("{name} says that it deleted its share of {key:?} at {when}")
}

const ITS_WORD: &str =
    "that is its word alone: this device keeps its share; ask its owner in person whether it is so";

/// What to do if another device says that this one was rolled back. It may be wrong, and then the
/// shares here are the newest.
fn rolled_back_here(key: &[&str]) -> String {
    format!(
        "that is its word alone: leave what is here as it is, and ask its owner in person, unless you yourself have \
         put an old copy of it back; {} makes new shares of those that all devices have",
        here(&["keys", "refresh"], key)
    )
}

/// How to see the generation of the shares on each side.
fn generations(name: &str, key: &str) -> String {
    format!(
        "{} here and on {name} say which generation of shares each has",
        here(&["keys", "show"], &[key])
    )
}

/// The command that finishes a key generation or refresh which one side has not finished.
fn brought_together(key: &str) -> String {
    format!(
        "what was left unfinished is finished with {}",
        here(&["keygen", "--key", key, "--resume"], &[])
    )
}

/// The protocol of a ceremony with the key `key` failed; `key` is empty if there is none. `name`
/// gives the label of a party.
pub fn fault(fault: &Fault, key: &[&str], name: impl Fn(PartyId) -> String) -> Failure {
    let detail = format!("{} at {}", fault.check.code(), fault.at);
    let culprit = fault.culprit.map(name);
    let who = culprit.as_deref().unwrap_or("a participant");
    match fault.blame() {
        Blame::Local if fault.check == Check::PairRetired => Failure::new(
            Code::Banned,
            format!("{who} is banned under this key: a check failed earlier"),
        )
        .hint(trust_again(key)),
        Blame::Local => Failure::new(Code::Internal, format!("the ceremony cannot run: {detail}")),
        Blame::NotProof if fault.check == Check::Missing => slow(who, &detail),
        Blame::NotProof => Failure::new(
            Code::Aborted,
            format!("the devices do not agree on what they are doing ({detail}, {who})"),
        )
        .hint("the devices saw different requests or versions; it is safe to try again"),
        Blame::Somebody => Failure::new(Code::Aborted, format!("the ceremony failed ({detail})"))
            .hint("somebody deviated and cannot be named; it is safe to try again"),
        Blame::Malice => Failure::new(
            Code::Aborted,
            format!("{who} sent something no honest device sends ({detail})"),
        )
        .hint("do not retry before you know why; nothing was signed"),
        Blame::Ban => Failure::new(
            Code::Banned,
            format!("{who} failed a check that may leak the key ({detail}) and is banned"),
        )
        .hint(trust_again(key)),
    }
}

/// This device no longer signs with `name` under the key `key`.
pub fn banned(name: &str, key: &str) -> Failure {
    Failure::new(
        Code::Banned,
        format!("{name} is banned under key {key:?}: a check failed earlier"),
    )
    .hint(trust_again(&[key]))
}

/// How to lift a ban; `key` is empty if the key's name is unknown.
fn trust_again(key: &[&str]) -> String {
    format!(
        "find out why; {} makes new shares once you trust it again",
        here(&["keys", "refresh"], key)
    )
}

/// Too many sessions with `name` were cut short for the key `key`, which is empty if its name is
/// unknown.
pub fn worn(name: &str, key: &[&str]) -> Failure {
    Failure::new(
        Code::Worn,
        format!("too many signatures with {name} were cut short, and each may have leaked a bit"),
    )
    .hint(format!(
        "nobody failed a check; {} makes new shares, which start afresh",
        here(&["keys", "refresh"], key)
    ))
}

/// A frame or message of `name` is malformed or out of place.
pub fn nonsense(name: &str) -> Failure {
    Failure::new(Code::Aborted, format!("{name} sent a message that makes no sense here"))
        .hint("the two devices may run different versions")
}

/// The device `name` sent a message that this version cannot read.
pub fn not_understood(name: &str, message: &str) -> Failure {
    Failure::new(
        Code::Unsupported,
        format!("{name} sent a message {message:?} that this version does not understand"),
    )
    .hint(format!("this one is cosign {}; update the older of the two", env!("CARGO_PKG_VERSION")))
}

/// The version of a program that does not tell it: later ones do.
const FIRST: &str = "0.1.0";

/// The program of the device `name`, whose version is `program` if it tells it, shows no files.
pub fn not_attached(name: &str, program: Option<&str>) -> String {
    let program = program.unwrap_or(FIRST);
    format!(
        "{name}'s cosign {program} shows no files: every signer is asked for the digest alone, and sees nothing of \
         the file"
    )
}

/// The program of the device `name`, whose version is `program` if it tells it, lacks the ability.
pub fn unsupported(name: &str, program: Option<&str>, ability: Ability) -> Failure {
    let what = match ability {
        Ability::Ceremony(Ceremony::Keygen) => "make keys with this one",
        Ability::Ceremony(Ceremony::Import) => "take a share of a key that exists whole",
        Ability::Ceremony(Ceremony::Refresh) => "make new shares of a key with this one",
        Ability::Ceremony(Ceremony::Reshare) => "give a key to other devices",
        Ability::Ceremony(Ceremony::Resume) => "finish a key with this one",
        Ability::Ceremony(Ceremony::Sign) => "sign with this one",
        Ability::Files(count) => &format!("sign {count} files at once"),
        Ability::Curve(curve) => &format!("have keys on {}", curve.title()),
        Ability::Payload(Kind::Digest) => "show digests",
        Ability::Payload(Kind::File) => "show files",
        Ability::Payload(Kind::Message) => "show messages",
        Ability::Payload(Kind::Files) => "sign several files at once",
        Ability::Payload(Kind::EthTx) => "show Ethereum transactions",
        Ability::Payload(Kind::TypedData) => "show typed data",
        Ability::Group => "pair a group",
        Ability::Payload(Kind::Psbt) => "show Bitcoin payments",
        Ability::Payload(Kind::Jws) => "sign files as JWS",
        Ability::Payload(Kind::OpenPgp) => "sign files in OpenPGP",
        Ability::Payload(Kind::OpenPgpKey) => "sign user ids of OpenPGP",
        Ability::Payload(Kind::Git) => "sign commits and tags of git",
    };
    let (theirs, here) = (program.unwrap_or(FIRST), env!("CARGO_PKG_VERSION"));
    let message = format!("{name}'s cosign {theirs} cannot {what}; {here} can");
    Failure::new(Code::Unsupported, message)
        .hint(format!("update the program on {name} to {here} or later"))
}

/// What was asked of a key on `curve` is done with keys of wallets alone.
pub fn no_wallet(curve: CurveName) -> Failure {
    let message = format!("the key is on {}, and wallets have keys on secp256k1", curve.title());
    Failure::new(Code::Usage, message).hint(
        "such a key signs digests and files; it has no keys below it, no addresses, and signs no payments, \
         transactions, typed data or messages of wallets",
    )
}

/// The private key in the file `shown` is on the curve `said`, and another was asked for.
pub fn other_curve(shown: &str, said: CurveName, asked: CurveName) -> Failure {
    let message =
        format!("the private key in {shown} is on {}, not on {}", said.title(), asked.title());
    Failure::new(Code::Usage, message).hint(format!("give --curve {}", said.name()))
}

/// A key below another was named for a payment, which says itself what signs it.
pub fn payment_with_path() -> Failure {
    Failure::new(Code::Usage, "a payment says itself which keys below the key sign it")
        .hint("name the key alone, without a path")
}

/// The invitation has expired.
pub fn invitation_over(moment: &str) -> Failure {
    Failure::new(Code::Identity, format!("the invitation was good until {moment}"))
        .hint("make another on the other device, as this one was made there: each is good once")
}

/// `name` does not wait at the relay.
pub fn nobody_at_relay(name: &str, relay: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("{name} does not wait at the relay {relay}"))
        .hint(format!("run {} on that device", there(&["listen", "--relay", relay], &[])))
}

/// The device that invites is not in the room of its invitation.
pub fn nobody_invites(relay: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("the device that invites is not at the relay {relay}"))
        .hint(format!(
            "{} must be running there; each run makes a new invitation",
            there(&["pair", "--relay", relay], &[])
        ))
}

/// Another device than the inviter is in the room of the invitation.
pub fn not_the_inviter(got: &Fingerprint) -> Failure {
    Failure::new(
        Code::Identity,
        format!("device {} answered, and the invitation is of another one", got.device_id()),
    )
    .hint("the invitation was altered, or somebody else uses it: make another")
}

/// The relay itself cannot be used.
pub fn relay(relay: &str, error: &LinkError) -> Failure {
    let why = match error {
        LinkError::TimedOut => format!("the relay {relay} does not answer"),
        LinkError::Closed | LinkError::Lost => format!("the relay {relay} hung up"),
        other => other.to_string(),
    };
    Failure::new(Code::Unreachable, why).hint(match error {
        LinkError::Tls(_) => {
            "the relay's certificate must be of an authority that this system trusts; one of your \
             own is named in SSL_CERT_FILE"
        }
        _ => "is `cosign relay` running there, and is the URL right?",
    })
}

/// A link error with `name` at the other end.
pub fn link(name: &str, error: &LinkError) -> Failure {
    match error {
        LinkError::Identity { expected, got } => changed(name, expected, got),
        LinkError::Expired => Failure::new(
            Code::Identity,
            format!("the session with {name} is over after 30 minutes"),
        )
        .hint("run the command again"),
        LinkError::Refused => Failure::new(
            Code::Identity,
            format!("{name} does not accept this device's certificate"),
        )
        .hint(format!("pair again: {}", here(&["pair"], &[name]))),
        LinkError::Malformed(_) => nonsense(name),
        LinkError::NotUnderstood(message) => not_understood(name, message.as_str()),
        LinkError::TimedOut => slow(name, "handshake"),
        LinkError::Tls(detail) => {
            Failure::new(Code::Unreachable, format!("no secure connection to {name}: {detail}"))
        }
        LinkError::Unreachable(_) | LinkError::NotListening(_) => nobody(name),
        LinkError::Closed | LinkError::Lost | LinkError::Io(_) => lost(name),
    }
}

/// The request was signed before.
pub fn signed_already(id: &str) -> Failure {
    let message = format!("the request {id} was signed before, for another digest or key");
    Failure::new(Code::Conflict, message)
        .hint("one request is one signature: give this one an id of its own with --request-id")
}

/// A session failed for `failure` after this device had given its part of the signature. `receivers` are the
/// other devices that receive it, and may tell lies about its end.
pub fn given(failure: &Failure, receivers: &[String]) -> Failure {
    let message = format!(
        "{}; this device had given its part by then: {} may have the signature",
        failure.message,
        receivers.join(" and ")
    );
    Failure::new(Code::Given, message)
        .hint("count the digest as signed, whatever is said of the end: this device cannot know that it was not")
}

/// A process was killed at the time `when` before it could log that this device had given its part.
pub fn given_before(key: &str, digest: &str, when: &str) -> String {
    format!(
        "a process of this device was killed before it logged that it had given its part of a signature of {digest} \
         with the key {key:?}, at {when}: others may have that signature; the log says so now"
    )
}

/// This device is none of the parties.
pub fn not_a_party() -> Failure {
    Failure::new(Code::Internal, "this device takes no part in the ceremony it asks for")
}

/// A state that is believed to be impossible.
pub fn bug(what: &str) -> Failure {
    Failure::new(Code::Internal, format!("{what}; please report this"))
}

/// The requester left before the ceremony began.
pub fn withdrawn(name: &str) -> Failure {
    Failure::new(Code::Aborted, format!("{name} withdrew the request"))
}

/// The requester `name` ended it and says that `who`, another participant, takes no part.
pub fn left(name: &str, who: &str) -> Failure {
    Failure::new(Code::Aborted, format!("{name} ended the request: {who} takes no part in it"))
        .hint(format!("nothing was signed or made; that it was {who} is the word of {name}"))
}

/// The time zone of this machine is unknown, or `TZ` names one that does not exist.
pub fn no_time_zone(named: Option<&str>) -> Failure {
    let why = match named {
        Some(zone) => format!("there is no time zone {:?}, which TZ names", Label::new(zone)),
        None => "the time zone of this machine is not known".to_owned(),
    };
    Failure::new(Code::Usage, why)
        .hint("set TZ to one that exists, such as TZ=Europe/Zurich or TZ=UTC")
}

/// The log is required and cannot be written.
pub fn no_record(error: &crate::vault::Error) -> Failure {
    Failure::new(Code::System, format!("the log cannot be written and is required: {error}"))
        .hint("mend that, or leave --require-log (require_log in config.toml) out")
}

/// What is said to whoever imports a private key, before anybody is asked. A wrong file shows by this alone.
pub fn importing(public_key: &str, address: Option<Account>) -> String {
    let address = address.map(|address| format!(" with address {address}")).unwrap_or_default();
    format!(
        "importing the private key of public key {public_key}{address}: compare that with what you know. Every copy of \
         it from before signs alone, now and later"
    )
}

/// What is said when all devices have their share of a private key that was imported.
pub const IMPORTED: &str = "imported: every device has its share, and every copy of the private key still signs alone: \
     destroy the file and every other copy";

/// The warning before a refresh or reshare that ends the bans of these devices.
pub fn ends_bans(names: &[&str]) -> String {
    format!("failed a check and banned here, which new shares end: {}", names.join(", "))
}

/// What is asked of whoever asks for such a reshare.
pub fn pardons(names: &[&str]) -> String {
    format!("{}; find out why it failed. Give them new shares all the same", ends_bans(names))
}

/// Pending shares of the key `name` cannot be finished now, and those of before are used.
pub fn unfinished(name: &str, why: &Failure) -> String {
    format!(
        "{}: newer shares of the key {name:?} stay unfinished, and those of before are used",
        why.message
    )
}

/// The owner of this device said no.
pub fn denied_here(ceremony: &str) -> Failure {
    Failure::new(Code::Denied, format!("{ceremony} was denied on this device"))
}

/// What identifies this device's request for the others: its digest, or the hash of the facts.
pub fn asking(what: &str, digits: &str) -> String {
    format!("the others see the {what} {}, and type how it begins", grouped(digits))
}

/// A line that the command of `--via` wrote to its standard error.
pub fn said_by_via(line: &Label) -> String {
    format!("the command of --via says: {line}")
}

/// A device is in its back-off after a refused request, or is muted.
pub fn turned_away(name: &str, ceremony: &str, muted: bool) -> String {
    match muted {
        true => format!("{name:?} asks ({ceremony}) and is told that you decline: you muted it"),
        false => format!(
            "{name:?} asks again ({ceremony}) and is answered \"busy\": you were just asked"
        ),
    }
}

/// The policy of this device refused: which rule, or that none allows it.
pub fn policy_here(ceremony: &str, requester: &str, refusal: Refusal) -> Failure {
    let (why, what) = match refusal {
        Refusal::Rule(n) => {
            (format!("rule {n} of the policy denies"), format!("put one before rule {n}"))
        }
        Refusal::UsedUp(n) => (
            format!("rule {n} of the policy is used up and no other rule allows"),
            format!("raise max_count in rule {n}, or add a rule,"),
        ),
        Refusal::NoRule => ("no rule of the policy allows".to_owned(), "add one".to_owned()),
        Refusal::NotThisOne => {
            let why = "another digest or key is approved here than that of this";
            return Failure::new(Code::Policy, format!("{why} {ceremony} by {requester}"))
                .hint("this device waits on: compare the digest with whoever asks");
        }
    };
    Failure::new(Code::Policy, format!("{why} this {ceremony} by {requester}")).hint(format!(
        "the first rule whose every field matches decides; {what} if this should pass"
    ))
}

/// Only a person may answer the question, and none is present.
pub fn nobody_to_ask() -> Failure {
    Failure::new(Code::Interaction, "somebody must answer on this device, and nobody can be asked")
        .hint(
            "run it in a terminal, or give `cosign listen` a --policy file for signing and keygen",
        )
}

/// The question on this device's screen was not answered.
pub fn unanswered(ceremony: &str) -> Failure {
    Failure::new(Code::Unreachable, format!("nobody answered the {ceremony} request in time"))
}

/// This device refused a request, in the words of its own log.
pub fn declined(name: &str, reason: Reason) -> Failure {
    let (code, why) = match reason {
        Reason::Busy { .. } => (Code::Unreachable, "this device takes no more for now"),
        Reason::Crossed => (Code::Unreachable, "both devices called at once"),
        Reason::Denied => (Code::Denied, "it was denied"),
        Reason::Declining => (Code::Denied, "it is muted here"),
        Reason::Locked => (Code::Identity, "too many pairings in a row have failed"),
        Reason::Unattended => (Code::Interaction, "nobody is here to answer"),
        Reason::Policy => (Code::Policy, "the policy does not allow it"),
        Reason::Blind => (Code::Policy, "it is for a digest alone, which --no-blind refuses"),
        Reason::Clock => {
            (Code::Conflict, "the time in what is to be signed is more than a day off this clock")
        }
        Reason::Payload => (Code::Aborted, "what came with it is not what it says"),
        Reason::TimedOut => (Code::Unreachable, "nobody answered in time"),
        Reason::NotPaired => {
            (Code::Identity, "it or another participant is not paired with this device")
        }
        Reason::Expired => (Code::Identity, "the pairing is over"),
        Reason::UnknownKey => (Code::NotFound, "this device has no share of that key"),
        Reason::Deleted { .. } => (Code::NotFound, "its share of that key was deleted here"),
        Reason::Conflict => {
            (Code::Conflict, "a key of that name exists, or the key is in use or not ready")
        }
        Reason::RolledBack => {
            (Code::Conflict, "its copy of the key is older than what was seen of it")
        }
        Reason::Banned => (Code::Banned, "it is banned under that key"),
        Reason::Worn => (Code::Worn, "too many signatures with it were cut short"),
        Reason::Version => (Code::Unsupported, "it speaks another version"),
        Reason::NotUnderstood { .. } => (Code::Unsupported, "this device does not understand it"),
        Reason::Unknown(_) => (Code::Aborted, "the reason is not known here"),
        Reason::Aborted => (Code::Aborted, "the request makes no sense"),
        Reason::Interrupted => (Code::Interrupted, "this device was interrupted"),
        Reason::Left { .. } => (Code::Aborted, "another participant takes no part"),
        Reason::Gone => (Code::Unreachable, "its line is not known here"),
        Reason::Gathering => (Code::Conflict, "a group is paired here now"),
        Reason::NoGroup => (Code::NotFound, "no group is gathered here"),
        Reason::GroupClosed => (Code::Conflict, "the group has begun, or is full"),
    };
    Failure::new(code, format!("a request of {name} was refused: {why}"))
}

/// There is no key `name`.
pub fn no_key(name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("there is no key {name:?} here")).hint(format!(
        "{} shows the keys; {} makes one",
        here(&["keys", "list"], &[]),
        here(&["keygen", "--key", name], &[])
    ))
}

/// A device does not answer yet.
pub fn not_there(peer: &str, seconds: u64) -> String {
    format!(
        "{peer} does not answer yet: run `cosign listen` there; it is waited for {seconds} s more"
    )
}

/// A device calls itself something else than before.
pub fn renamed(was: &str, now: &str) -> String {
    format!(
        "{was:?} calls itself {now:?} now; rules of a policy mean it by the name it was paired with"
    )
}

/// Another device is busy, or the key was changed meanwhile.
pub fn asks_again(seconds: u64) -> String {
    match seconds {
        0 => "the key was changed, or another device is busy: asking again".to_owned(),
        seconds => format!("another device is busy: asking again in {seconds} s"),
    }
}

/// The key `name` is in use, and the command waits for it.
pub fn key_awaited(name: &str, by: Use) -> String {
    format!("waiting for the end of what key {name:?} is used for here: {by}")
}

/// The command that makes the key under the next free name. It deletes nothing: only its owner may
/// give up a share.
fn under_another_name(wanted: &Wanted) -> String {
    let mut name = next_name(&wanted.key);
    while wanted.taken.contains(&name) {
        name = next_name(&name);
    }
    let threshold = wanted.threshold.to_string();
    let mut words = vec!["keygen", "--key", &name, "--threshold", &threshold, "--with"];
    words.extend(wanted.with.iter().map(String::as_str));
    if !wanted.curve.is_unnamed() {
        words.extend(["--curve", wanted.curve.name()]);
    }
    here(&words, &[])
}

/// The name after `name`: `vault-2` after `vault`, `vault-3` after `vault-2`.
fn next_name(name: &str) -> String {
    let counted = name.rsplit_once('-').and_then(|(stem, n)| Some((stem, n.parse::<u32>().ok()?)));
    let (stem, number) = counted.unwrap_or((name, 1));
    let ending = format!("-{}", number.saturating_add(1));
    let room = MAX_NAME.saturating_sub(ending.len());
    stem.chars().take(room).chain(ending.chars()).collect()
}

/// The longest name of a key.
const MAX_NAME: usize = 64;

/// A key of the wanted name exists here.
pub fn key_exists(wanted: &Wanted, pending: bool) -> Failure {
    let name = wanted.key.as_str();
    if pending {
        return Failure::new(Code::Conflict, format!("the key {name:?} was left unfinished here"))
            .hint(format!(
                "finish it with {}, which also says what to do where it cannot be finished",
                here(&["keygen", "--key", name, "--resume"], &[])
            ));
    }
    Failure::new(Code::Conflict, format!("a key {name:?} exists already"))
        .hint(format!("choose another name: {}", under_another_name(wanted)))
}

/// This device has a share of the private key that is imported, called `name`, and not as it was asked for.
pub fn import_exists(name: &str, pending: bool) -> Failure {
    let failure = Failure::new(
        Code::Conflict,
        format!("this device has a share of that private key already: the key {name:?}"),
    );
    match pending {
        true => failure.hint(format!(
            "it was left unfinished: the same command as at first finishes it, with that name, the same file, devices \
             and threshold, or {} does",
            here(&["keygen", "--key", name, "--resume"], &[])
        )),
        false => failure.hint(format!(
            "{} says which devices have shares; {} gives it to others",
            here(&["keys", "show"], &[name]),
            here(&["keys", "reshare", "--help"], &[])
        )),
    }
}

/// Another device has a key of the wanted name.
pub fn key_exists_there(failure: Failure, wanted: &Wanted) -> Failure {
    failure.hint(format!("choose another name: {}", under_another_name(wanted)))
}

/// The key `name` cannot sign yet.
pub fn pending_key(name: &str) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("the key {name:?} is pending: not every party has said that its share is stored"),
    )
    .hint(format!("finish it with {}", here(&["keygen", "--key", name, "--resume"], &[])))
}

/// The share of the key `name` came from a backup.
pub fn restored_key(name: &str) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("the share of key {name:?} was restored from a backup, and does not sign as it is"),
    )
    .hint(format!(
        "{} with all of its devices makes new shares, which sign",
        here(&["keys", "refresh"], &[name])
    ))
}

/// The share of `name` does not fit its record.
pub fn damaged_share(name: &str) -> Failure {
    Failure::new(Code::Tampered, format!("the share of key {name:?} is damaged or was exchanged"))
        .hint(
            "keep this home as it is: the other devices' shares are not affected, and this one's \
             file can be put back from any copy of it that was made since the last refresh",
        )
}

/// `peer` is no party of the key `name`.
pub fn no_share_there(peer: &str, name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("{peer} is no signer of the key {name:?}"))
        .hint(format!("{} lists its parties", here(&["keys", "show"], &[name])))
}

/// `name` announces fewer sessions than it was known to have spent.
pub fn rolled_back_there(name: &str, key: &str) -> Failure {
    Failure::new(
        Code::Conflict,
        format!(
            "{name} counts fewer sessions of this key than before: its data was rolled back, or one of the two \
             counts is not true"
        ),
    )
    .hint(format!(
        "ask its owner, who puts its newest data back; where that is gone, or nothing was rolled back, {} makes \
         new shares, with which both count from zero",
        here(&["keys", "refresh"], &[key])
    ))
}

/// The key `name` has changed since its owner agreed.
pub fn changed_meanwhile(name: &str) -> Failure {
    Failure::new(
        Code::Aborted,
        format!("the key {name:?} was changed here while the others were awaited"),
    )
    .hint("nothing was spent; it is safe to try again")
}

/// A derivation path that leads to no key.
pub fn bad_path() -> Failure {
    Failure::new(Code::Usage, "the path does not lead to a key")
        .hint("hardened steps need the whole key, which is nowhere; use steps below 2147483648")
}

/// A transaction is from another account than the key's.
pub fn other_account(key: &str, account: Account, from: Account) -> Failure {
    let shown = Label::new(key);
    let message =
        format!("the transaction is from {from}, and the key {:?} is of {account}", shown.as_str());
    Failure::new(Code::Usage, message)
        .hint("name the key, or the path below it, that has that account: --key, --path")
}

/// A ceremony failed after this device had stored its share.
pub fn left_pending(failure: Failure, ceremony: Ceremony, name: &str) -> Failure {
    let finish = here(&["keygen", "--key", name, "--resume"], &[]);
    let next = match ceremony {
        Ceremony::Refresh => {
            format!("the key still signs; run {} again", here(&["keys", "refresh"], &[name]))
        }
        Ceremony::Reshare => {
            format!("nothing of before is given up until all have confirmed: finish with {finish}")
        }
        Ceremony::Import => format!(
            "this device has stored its share: the same command again finishes it, or {finish} where all have theirs"
        ),
        _ => format!("this device has stored its share: finish with {finish}"),
    };
    // The cause of an abort, such as a full disk, is only in the log of the device that stopped, and
    // would stop the next attempt as well.
    let hint = match failure.code {
        Code::Aborted => format!("the logs of the devices say what stopped it; {next}"),
        _ => next,
    };
    Failure { hint: Some(hint), ..failure }
}

/// A party says that it has no share of those by which this device leaves the key `name`. Whether they
/// failed, or newer ones took their place, this device cannot tell.
pub fn leaving_unknown(failure: &Failure, name: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("{}: this device cannot tell whether it has left the key {name:?}", failure.message),
    )
    .hint(format!(
        "its share stays here: the change may have failed on the others. {} on each of them says which devices the key \
         has: where this one is among them on none, it has left, and its owner ends it by giving up this share; {} says how",
        there(&["keys", "show"], &[name]),
        here(&["keys", "delete", "--help"], &[])
    ))
}

/// A device that was to become a party of a key has a share that another party says it has not stored.
/// The key exists on others.
pub fn joining_unfinished(failure: &Failure, name: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("{}: this device's share of the key {name:?} cannot be finished now", failure.message),
    )
    .hint(
        "the key is in use on the devices that had it before: one of them asks for the same reshare again, and \
         this share stays until then",
    )
}

/// A party of a new key says that it has no share of it. This is unverified, so the share here
/// stays: another device may have received all confirmations, and the key's address may be in use.
pub fn never_stored(failure: &Failure, wanted: &Wanted) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("{}: the key {:?} cannot be finished now", failure.message, wanted.key),
    )
    .hint(format!(
        "either it never stored its share, as where it was cut off, or it lost it: {} there says what it \
         has. This device keeps its share. Where the key was imported, the same command as at first, on the device that \
         has the private key, finishes it; a new key is made again with {}",
        there(&["keys", "list"], &[]),
        under_another_name(wanted)
    ))
}

/// A party says that it has no share of a refresh that is pending here. The shares before it stay
/// in use.
pub fn refresh_never_stored(failure: &Failure, name: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("{}: the newest shares of key {name:?} cannot be finished", failure.message),
    )
    .hint(format!(
        "those of before stay in use; where it was a refresh, {} makes new ones, and a reshare is asked for \
         again as it was",
        here(&["keys", "refresh"], &[name])
    ))
}

/// Newer shares of the key `name` are in use on another device, and wait here for the devices `lost`.
pub fn newer_there(failure: Failure, name: &str, lost: &[String]) -> Failure {
    let without: Vec<String> = lost.iter().map(|device| format!("--lost={device}")).collect();
    let words: Vec<&str> =
        ["keys", "reshare", name].into_iter().chain(without.iter().map(String::as_str)).collect();
    failure.hint(format!(
        "newer shares wait here for {}, which may have confirmed them to others alone: {} when it listens; \
         if it is gone, or does not tell the truth, {} goes on from those shares without it",
        lost.join(" and "),
        here(&["keygen", "--key", name, "--resume"], &[]),
        here(&words, &[])
    ))
}

/// A party says that it has no share of a key that is in use here.
pub fn share_missing_there(failure: &Failure, name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("{}: this one's is in use", failure.message)).hint(format!(
        "nothing was changed here, and nothing is to be: does that device use the right home, with \
         its newest data? {} there says which keys it has, {} which generation this one has",
        there(&["keys", "list"], &[]),
        here(&["keys", "show"], &[name])
    ))
}

/// The devices hold no common epoch of the key `name`: the epochs that this device has, and those
/// that the others have.
pub fn apart(name: &str, mine: &[Held], others: &[(&str, &[Held])]) -> Failure {
    let theirs: Vec<String> =
        others.iter().map(|(name, held)| format!("{name} has {}", listed(held))).collect();
    let message = format!(
        "the devices have no shares of one generation in common: this device has {}, {}",
        listed(mine),
        theirs.join(", ")
    );
    Failure::new(Code::NotFound, message).hint(format!(
        "a device whose home was put back from an old copy needs its newest copy again: {} says what \
         each has; nothing is to be given up on either",
        here(&["keys", "show"], &[name])
    ))
}

/// A list of epochs, each as `generation 2 (0123abcd)`.
fn listed(held: &[Held]) -> String {
    let one = |Held { epoch: Hex(epoch), generation, .. }: &Held| {
        let (start, _) = epoch.split_at(4);
        format!("generation {generation} ({})", hex(start))
    };
    match held {
        [] => "none".to_owned(),
        _ => held.iter().map(one).collect::<Vec<_>>().join(" and "),
    }
}

/// The parties in `missing` have not confirmed the newest epoch of the key `name`.
pub fn unconfirmed(name: &str, missing: &[String], active: bool) -> Failure {
    let failure = Failure::new(
        Code::Conflict,
        format!("the key {name:?} is unfinished: not confirmed by {}", missing.join(", ")),
    );
    if active {
        failure.hint(
            "it signs meanwhile, with the newest shares that all signers have; what one of them never \
             stored stays unfinished until a later refresh takes its place",
        )
    } else {
        failure.hint(format!("{}, when they can be reached", brought_together(name)))
    }
}

/// A backup of the key `name` may be worthless already: newer shares are not confirmed by all.
pub fn unsettled(name: &str) -> Failure {
    let message = format!(
        "newer shares of the key {name:?} are unfinished: a backup of these may be worthless"
    );
    Failure::new(Code::Conflict, message).hint(format!(
        "{}, when the others can be reached; then make the backup",
        here(&["keygen", "--key", name, "--resume"], &[])
    ))
}

/// The most refreshes of the key `name` that may be pending are, after an attempt to finish them.
pub fn too_many_pending(name: &str) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("too many refreshes or reshares of the key {name:?} are unfinished"),
    )
    .hint(format!(
        "it signs as before; {} says who has not confirmed: where one of them was away, ask \
             again when every party listens; what one of them never stored cannot be finished, and \
             only another key then has new shares",
        here(&["keys", "show"], &[name])
    ))
}

/// A key cannot be given to other devices, or another threshold, in this way.
pub fn unfit(unfit: &Unfit) -> Failure {
    let usage = |message: String| Failure::new(Code::Usage, message);
    match unfit {
        Unfit::Nothing => usage("nothing would change: no device and no other threshold is named".into())
            .hint(format!("{} makes new shares for the same devices", here(&["keys", "refresh"], &[]))),
        Unfit::IsParty(name) => usage(format!("{name} has a share of this key already")),
        Unfit::NoParty(name) => usage(format!("{name} has no share of this key")),
        Unfit::Asker => usage("the device that asks keeps a share".into())
            .hint("to remove this device, ask from one of the others"),
        Unfit::TooFew { left, needed } => usage(format!(
            "{needed} devices with a share must take part, and {left} would be left"
        ))
        .hint("what so few hold makes no key: only a lost device that is found again can help"),
        Unfit::TooManyLeave { dealers } => usage(format!(
            "at most {dealers} devices can be removed at once: those that leave take part to the end"
        ))
        .hint("remove some of them now, and the others afterwards"),
        Unfit::Sizes { threshold, parties } => {
            usage(format!("{threshold} of {parties} devices cannot sign"))
                .hint("--threshold is from 2 to the number of devices then, which is 16 at most")
        }
    }
}

/// What a reshare cannot promise. So many old shares make the key; these devices were lost.
pub fn after_reshare(old_threshold: u8, lost: &[&str]) -> String {
    let whose = match lost {
        [] => "keep none of them".to_owned(),
        lost => format!(
            "that of {} makes nothing only while fewer than that are in the wrong hands",
            lost.join(" and ")
        ),
    };
    format!(
        "the public key and its addresses are as before; backups of before restore nothing any more, and are \
         old shares: destroy them\nold shares of {old_threshold} devices, backups among them, still make the \
         key: {whose}"
    )
}

/// What a reshare changes, for the device that asks for it.
pub fn resharing(view: &RequestView) -> String {
    let Some(reshare) = &view.reshare else { return String::new() };
    let named = |parties: &[PartyView], does: &str| {
        let names: Vec<&str> = parties.iter().map(|party| party.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("; {does} {}", names.join(", ")))
    };
    let changes = [
        named(&reshare.dealers, "dealt by"),
        named(&reshare.joining, "joined by"),
        named(&reshare.leaving, "left by"),
        named(&reshare.left_out, "without"),
    ];
    let of = match (&reshare.address, &view.public_key) {
        (Some(address), _) => address.clone(),
        (None, key) => key.map(|key| key.to_string()).unwrap_or_default(),
    };
    format!(
        "the key {:?} of {of} becomes {} of {}, and was {} of {}{}",
        view.key,
        view.threshold,
        view.parties,
        reshare.old_threshold,
        reshare.old_parties.len(),
        changes.into_iter().flatten().collect::<String>()
    )
}

/// This device has left the key `name`.
pub fn left_key(name: &str) -> String {
    format!(
        "this device has left the key {name:?}, and its share is destroyed; a backup of it restores nothing \
         any more, and with those of others it still makes the key: destroy it"
    )
}

/// A stored confirmation that does not verify.
pub fn wrong_stored_confirmation(name: &str, party: PartyId) -> String {
    format!(
        "the stored confirmation of party {party} for the key {name:?} does not verify and is ignored"
    )
}

/// A confirmation does not verify.
pub fn wrong_confirmation(peer: &str, name: &str) -> Failure {
    Failure::new(
        Code::Aborted,
        format!("{peer} sent a confirmation for the key {name:?} that does not fit this device's"),
    )
    .hint(
        "nothing was changed here; a file of one of the two is damaged, or a device of the key does not tell \
         the truth: find out which, and until then give nobody an address of a key that is unfinished",
    )
}

/// Nobody greeted over standard input and output.
pub fn no_caller() -> Failure {
    Failure::new(Code::Unreachable, "no device spoke on standard input and output")
        .hint("`cosign listen --stdio` is what the command of --via runs on the other device")
}

/// No device to pair with was found or came. `wanted` is the typed name; `found` are the devices
/// nearby.
pub fn nobody_to_pair(wanted: Option<&str>, found: &[Near]) -> Failure {
    let what = match wanted {
        Some(name) => format!("no device called {:?} was found", Label::new(name)),
        None => "no device to pair with was found".to_owned(),
    };
    let failure = Failure::new(Code::Unreachable, what);
    if found.is_empty() {
        failure.hint(
            "run `cosign listen` or `cosign pair` on the other device; where multicast does not \
             pass (VPN, container, guest network), use --peer HOST:PORT",
        )
    } else {
        failure.hint(format!(
            "there is {}; or run `cosign listen` on the other device",
            with_commands(found)
        ))
    }
}

/// No device joined the group that this one gathered.
pub fn nobody_joined() -> Failure {
    Failure::new(Code::Unreachable, "no device joined the group").hint(format!(
        "run {} on the other devices; where multicast does not pass (VPN, container, guest \
         network), with --peer HOST:PORT, or gather the group through a relay",
        there(&["pair", "--join"], &[])
    ))
}

/// No device nearby gathers a group, or not the one that is `wanted`.
pub fn nobody_gathers(wanted: Option<&str>) -> Failure {
    let what = match wanted {
        Some(name) => format!("no device called {:?} gathers a group", Label::new(name)),
        None => "no device that gathers a group was found".to_owned(),
    };
    Failure::new(Code::Unreachable, what).hint(format!(
        "run {} on one of the devices; where multicast does not pass (VPN, container, guest \
         network), use --peer HOST:PORT",
        there(&["pair", "--group"], &[])
    ))
}

/// The pairing of a group failed after the person here had said yes; the yes of `missing` had not
/// arrived.
pub fn group_unconfirmed(failure: &Failure, missing: &[&str]) -> Failure {
    let message = format!(
        "{}; the yes of {} did not arrive here, so nothing was stored on this device",
        failure.message,
        missing.join(" and ")
    );
    Failure::new(failure.code, message).hint(
        "others of the group may have stored this device; pairing the group again is safe, and \
         repairs that",
    )
}

/// The device `name` has not said that it has stored the pairings of a group.
pub fn not_said_stored(name: &str) -> String {
    format!(
        "{name} has not said that it stored the pairings, which all had confirmed: if {} does not \
         list the others there, pair the group again",
        there(&["peers", "list"], &[])
    )
}

/// A device nearby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The name that it gives itself.
    pub name: Label,
    /// Its device id.
    pub id: String,
}

/// The devices nearby, with the command that pairs with each. If several have one name, the command
/// has the id.
fn with_commands(found: &[Near]) -> String {
    let one = |near: &Near| {
        let others = found.iter().filter(|other| other.name.as_str() == near.name.as_str());
        let word = match others.count() {
            1 if !near.name.as_str().is_empty() => near.name.as_str(),
            _ => near.id.as_str(),
        };
        format!("{} ({}): {}", near.name, near.id, here(&["pair"], &[word]))
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// There are devices nearby, but none is `wanted`.
pub fn not_among(wanted: &str, found: &[Near]) -> String {
    format!(
        "{:?} is not among the devices found: {}; looking on",
        Label::new(wanted),
        with_commands(found)
    )
}

/// The other device has the fingerprint of this one.
pub fn oneself() -> Failure {
    Failure::new(Code::Identity, "the other device is this device itself")
        .hint("homes that were copied from one another are one device: each needs a home of its own, which `cosign init` makes where --home says")
}

/// The person at this device did not confirm the digits.
pub fn codes_differ() -> Failure {
    Failure::new(Code::Denied, "the codes were not confirmed on this device; nothing was stored")
        .hint("if they differed, somebody is between the devices: do not pair on this network")
}

/// The person at the other device did not confirm the digits.
pub fn denied_there(name: &str) -> Failure {
    Failure::new(
        Code::Denied,
        format!("the codes were not confirmed on {name}; nothing was stored"),
    )
    .hint("if they differed, somebody is between the devices: do not pair on this network")
}

/// Pairing is paused until the owner resumes it, after too many failures.
pub fn pairing_paused(failed: u32) -> String {
    format!(
        "a device that is not known wants to pair, and was refused: {failed} pairings in a row have \
         failed; find out why, then {} lets others try",
        here(&["pair", "--reset-attempts"], &[])
    )
}

/// Only a person may compare digits.
pub fn pairing_needs_a_person() -> Failure {
    Failure::new(Code::Interaction, "pairing needs a person who compares the two codes")
        .hint("run it in a terminal; machines pin each other by fingerprint, as `cosign peers add --help` says")
}

/// The other device, or an attacker between the two, violated the pairing protocol.
pub fn tampered(name: &str) -> Failure {
    Failure::new(
        Code::Identity,
        format!("{name} did not keep to its commitment: somebody may be between the devices"),
    )
    .hint("nothing was stored; do not pair on this network")
}

/// A person interrupted this device.
pub fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
}

/// `place` cannot be listened on; `flag` would name another one.
pub fn cannot_listen(place: &str, error: &std::io::Error, flag: &str) -> Failure {
    use std::io::ErrorKind;
    let (why, hint) = match error.kind() {
        ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!("choose another one with {flag}, or stop it"),
        ),
        ErrorKind::AddrNotAvailable => (
            "this machine does not have that address".to_owned(),
            format!("name one that it has with {flag}, or leave {flag} out"),
        ),
        ErrorKind::PermissionDenied => (
            "the system does not allow it".to_owned(),
            format!("ports below 1024 are for privileged programs: name a higher one with {flag}"),
        ),
        _ => (error.to_string(), format!("choose another one with {flag}")),
    };
    Failure::new(kind_of_bind(error), format!("cannot listen on {place}: {why}")).hint(hint)
}

/// No device called before the deadline.
pub fn nobody_came() -> Failure {
    Failure::new(Code::Unreachable, "no device called before the time was up")
        .hint("give it longer with --timeout")
}
