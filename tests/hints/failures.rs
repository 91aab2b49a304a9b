//! One failure of every kind that `report.rs` words.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cosign::curve::CurveName;
use cosign::device::{Fingerprint, Label};
use cosign::driver::approver::Refusal;
use cosign::driver::error::{Ability, Unfit, Wanted};
use cosign::net::LinkError;
use cosign::party::PartyId;
use cosign::payload::ethereum::Account;
use cosign::payload::{Kind, Source};
use cosign::protocol::fault::{Check, Fault};
use cosign::report::{self, Code, Failure};
use cosign::request::{
    Action, Ceremony, Held, Hex, Request, RequestId, Resharing, Shares, Signing,
};
use cosign::token::{self, Tries, Trouble};
use cosign::vault::{Altered, Error, Use};
use cosign::wire::{Reason, Word};

/// What devices may be called.
pub(crate) const NAMES: [&str; 5] = ["bob", "-rf", "x; touch y", "Bob's $(phone)", "--help"];

const KEY: &str = "vault";

fn reasons() -> Vec<Reason> {
    vec![
        Reason::Busy { seconds: 2 },
        Reason::Crossed,
        Reason::Denied,
        Reason::Declining,
        Reason::Locked,
        Reason::Unattended,
        Reason::Policy,
        Reason::Blind,
        Reason::Payload,
        Reason::Clock,
        Reason::TimedOut,
        Reason::NotPaired,
        Reason::Expired,
        Reason::UnknownKey,
        Reason::Deleted { time: 1_790_000_000 },
        Reason::Conflict,
        Reason::RolledBack,
        Reason::Banned,
        Reason::Worn,
        Reason::Left { party: PartyId::new(2).unwrap() },
        Reason::Version,
        Reason::Aborted,
        Reason::Interrupted,
        Reason::Gone,
        Reason::Gathering,
        Reason::NoGroup,
        Reason::GroupClosed,
        Reason::NotUnderstood { message: Word::new("propose") },
        Reason::Unknown(Word::new("because")),
    ]
}

fn requests() -> [Request; 5] {
    let epochs = vec![Held { epoch: Hex([4; 32]), generation: 2, height: 3 }];
    let shares = Shares { public_key: [2; 33], epochs };
    let signing = Signing {
        shares: shares.clone(),
        path: Vec::new(),
        digest: [5; 32],
        source: Source::Digest,
        payload: None,
        recipient: None,
    };
    let all = [
        Action::Keygen,
        Action::Refresh(shares.clone()),
        Action::Reshare(Resharing {
            shares: shares.clone(),
            count: 2,
            old: vec![Fingerprint::new([2; 32]), Fingerprint::new([3; 32])],
            dealers: PartyId::all(2).collect(),
            origin: Vec::new(),
        }),
        Action::Resume(shares),
        Action::Sign(signing),
    ];
    all.map(|action| Request {
        id: RequestId::new("r-1").unwrap(),
        key: KEY.into(),
        curve: CurveName::default(),
        parties: vec![Fingerprint::new([2; 32]), Fingerprint::new([3; 32])],
        threshold: 2,
        signers: PartyId::all(2).collect(),
        requester: PartyId::new(1).unwrap(),
        purpose: Label::new("rent"),
        action,
    })
}

fn errors(name: &str) -> Vec<Error> {
    let path = || PathBuf::from("/home/a b/key.json");
    let found = |what| Error::NotFound { what, name: name.to_owned() };
    let conflict = |what| Error::Conflict { what, name: name.to_owned() };
    vec![
        Error::WrongSecret,
        Error::NoSeal,
        Error::Elsewhere { uri: "pkcs11:token=t".into() },
        Error::Gone { uri: "pkcs11:token=t".into() },
        Error::NotAnIdentity { path: path() },
        Error::BadRecipient { recipient: "age2".into() },
        Error::NoVault { path: path() },
        Error::Exists { path: path() },
        found("key"),
        found("peer"),
        found("home directory"),
        conflict("key"),
        Error::Conflict { what: "pending key", name: KEY.into() },
        conflict("peer"),
        Error::InUse { name: KEY.into(), by: Use::Signing },
        Error::InUse { name: KEY.into(), by: Use::Changing },
        Error::BadName { name: name.to_owned() },
        Error::Spent,
        Error::Retired { peer: 2, code: "E_OTE_CHECK".into() },
        Error::NoAttemptsLeft { limit: 5, source: None },
        Error::NoAttemptsLeft { limit: 3, source: Some("192.0.2.7".into()) },
        Error::LooseMode { path: path(), chmod: "chmod 600 '/home/a b/key.json'".into() },
        Error::Foreign { path: path(), owner: 1000 },
        Error::Unsupported { path: path(), version: 9, known: 1 },
        Error::Corrupt { path: path(), line: None, why: "empty" },
        Error::Tampered { path: path(), line: Some(3), why: "missing" },
        Error::Stray { path: PathBuf::from("/home/a b/keys/copy"), of: None },
        Error::Stray { path: PathBuf::from("/home/a b/keys/copy"), of: Some(KEY.into()) },
        Error::Closed { path: path() },
        Error::BadLine { line: 3, why: Altered::Changed },
        Error::BadLine { line: 3, why: Altered::Missing },
        Error::Io { path: path(), source: io::Error::other("full") },
    ]
}

fn troubles() -> Vec<Trouble> {
    let text = || "text".to_owned();
    let no_token = |seen: &[&str], failed: &[&str]| Trouble::NoToken {
        wanted: "pkcs11:".into(),
        seen: seen.iter().map(|s| (*s).to_owned()).collect(),
        failed: failed.iter().map(PathBuf::from).collect(),
    };
    let refused =
        |function: &str| Trouble::Refused { function: function.to_owned(), value: text() };
    vec![
        Trouble::NoModule,
        Trouble::Missing,
        Trouble::Unloadable(text()),
        Trouble::NotAModule,
        Trouble::NotBuilt,
        Trouble::Unready(text()),
        Trouble::Crashed(Some(11)),
        Trouble::Silent,
        Trouble::Nonsense,
        no_token(&[], &[]),
        no_token(&["pkcs11:token=a"], &[]),
        no_token(&[], &["/lib/p.so"]),
        Trouble::Several { uris: vec![text()] },
        Trouble::Uninitialised,
        Trouble::NoUserPin,
        Trouble::NoLogin,
        Trouble::WrongPin(Tries::Last),
        Trouble::WrongPin(Tries::Few),
        Trouble::LockedPin,
        Trouble::ExpiredPin,
        Trouble::Removed,
        Trouble::NoKey,
        Trouble::NoSuchKey,
        Trouble::SeveralKeys,
        Trouble::WrongKey(text()),
        Trouble::Taken,
        Trouble::Sessions,
        Trouble::ReadOnly,
        Trouble::Full,
        refused("C_GenerateKeyPair"),
        refused("C_DestroyObject"),
        refused("C_Sign"),
    ]
}

fn links() -> Vec<LinkError> {
    let prints = || (Fingerprint::new([1; 32]), Fingerprint::new([2; 32]));
    let (expected, got) = prints();
    vec![
        LinkError::Unreachable("no route".into()),
        LinkError::NotListening("refused".into()),
        LinkError::Closed,
        LinkError::Lost,
        LinkError::TimedOut,
        LinkError::Identity { expected, got },
        LinkError::Refused,
        LinkError::Malformed("frame"),
        LinkError::NotUnderstood(Word::new("accept")),
        LinkError::Expired,
        LinkError::Tls("alert".into()),
        LinkError::Io("broken".into()),
    ]
}

/// The functions of `report.rs` that word a failure, each with one that it words about the device
/// `name`.
fn worded(name: &str) -> Vec<(&'static str, Vec<Failure>)> {
    let print = || Fingerprint::new([7; 32]);
    let failure = || Failure::new(Code::NotFound, "it is not there");
    let wanted = || Wanted {
        key: KEY.into(),
        curve: CurveName::P256,
        threshold: 2,
        with: vec!["bob".into(), "carol".into()],
        taken: vec!["vault-2".into()],
    };
    let relay = "wss://relay.example";
    let party = |_: PartyId| name.to_owned();
    // One of each kind of blame, and those that are worded apart.
    let checks = [
        Check::Params,
        Check::PairRetired,
        Check::Missing,
        Check::Session,
        Check::View,
        Check::Commit,
        Check::OteCheck,
        Check::Bug,
    ];
    let faults = checks.into_iter().flat_map(|check| {
        [None, PartyId::new(2)].map(|culprit| Fault { check, culprit, at: "round 2" })
    });
    let requests = requests();
    let held = requests[1].epochs();
    let one = |failure| vec![failure];
    vec![
        ("nobody", one(report::nobody(name))),
        ("changed_meanwhile", one(report::changed_meanwhile(KEY))),
        ("lost", one(report::lost(name))),
        ("slow", one(report::slow(name, "approval"))),
        ("changed", one(report::changed(name, &print(), &print()))),
        (
            "others_answer",
            [1, 3].map(|others| report::others_answer(name, &print(), others)).into(),
        ),
        ("refused", reasons().into_iter().map(|reason| report::refused(name, reason)).collect()),
        (
            "refused_with",
            reasons().into_iter().map(|reason| report::refused_with(name, reason, KEY)).collect(),
        ),
        (
            "refused_in",
            reasons()
                .into_iter()
                .flat_map(|reason| {
                    requests.iter().flat_map(move |p| {
                        [&[][..], &["carol", name]].map(|others| {
                            report::refused_in(name, reason, p.ceremony(), &p.key, others)
                        })
                    })
                })
                .collect(),
        ),
        (
            "deleted_there",
            [true, false].map(|p| report::deleted_there(name, "2026-01-01", KEY, p)).into(),
        ),
        ("fault", faults.map(|fault| report::fault(&fault, &[KEY], party)).collect()),
        ("banned", one(report::banned(name, KEY))),
        ("worn", one(report::worn(name, &[KEY]))),
        ("given", one(report::given(&report::lost(name), &[name.to_owned()]))),
        ("nonsense", one(report::nonsense(name))),
        ("not_understood", one(report::not_understood(name, "accept"))),
        ("unsupported", {
            let of = |program, ability| report::unsupported(name, program, ability);
            vec![
                of(Some("0.0.9"), Ability::Ceremony(Ceremony::Sign)),
                of(None, Ability::Payload(Kind::Message)),
                of(None, Ability::Group),
            ]
        }),
        ("invitation_over", one(report::invitation_over("2026-01-01T00:00:00Z"))),
        ("unsettled", one(report::unsettled(KEY))),
        ("payment_with_path", one(report::payment_with_path())),
        ("nobody_at_relay", one(report::nobody_at_relay(name, relay))),
        ("nobody_invites", one(report::nobody_invites(relay))),
        ("not_the_inviter", one(report::not_the_inviter(&print()))),
        ("relay", links().iter().map(|error| report::relay(relay, error)).collect()),
        ("link", links().iter().map(|error| report::link(name, error)).collect()),
        ("signed_already", one(report::signed_already("r-1"))),
        ("not_a_party", one(report::not_a_party())),
        ("bug", one(report::bug("something"))),
        ("withdrawn", one(report::withdrawn(name))),
        ("denied_here", one(report::denied_here("sign"))),
        (
            "policy_here",
            [Refusal::Rule(2), Refusal::UsedUp(2), Refusal::NoRule]
                .map(|refusal| report::policy_here("sign", name, refusal))
                .into(),
        ),
        ("no_time_zone", [None, Some("x")].map(report::no_time_zone).into()),
        ("nobody_to_ask", one(report::nobody_to_ask())),
        ("unanswered", one(report::unanswered("sign"))),
        ("declined", reasons().into_iter().map(|reason| report::declined(name, reason)).collect()),
        ("no_key", one(report::no_key(KEY))),
        ("key_exists", [true, false].map(|p| report::key_exists(&wanted(), p)).into()),
        ("import_exists", [true, false].map(|p| report::import_exists(KEY, p)).into()),
        ("key_exists_there", one(report::key_exists_there(failure(), &wanted()))),
        ("pending_key", one(report::pending_key(KEY))),
        ("restored_key", one(report::restored_key(KEY))),
        ("damaged_share", one(report::damaged_share(KEY))),
        ("no_share_there", one(report::no_share_there(name, KEY))),
        ("rolled_back_there", one(report::rolled_back_there(name, KEY))),
        ("bad_path", one(report::bad_path())),
        ("no_wallet", one(report::no_wallet(CurveName::P256))),
        (
            "other_curve",
            CurveName::ALL.map(|said| report::other_curve("key.pem", said, CurveName::P256)).into(),
        ),
        ("other_account", {
            let [account, from] = [[1; 20], [2; 20]].map(Account::new);
            one(report::other_account(KEY, account, from))
        }),
        (
            "left_pending",
            [Ceremony::Keygen, Ceremony::Import, Ceremony::Refresh, Ceremony::Reshare]
                .map(|c| report::left_pending(failure(), c, KEY))
                .into(),
        ),
        ("never_stored", one(report::never_stored(&failure(), &wanted()))),
        ("refresh_never_stored", one(report::refresh_never_stored(&failure(), KEY))),
        ("newer_there", {
            let lost = [name, "carol"].map(str::to_owned);
            one(report::newer_there(failure(), KEY, &lost))
        }),
        ("leaving_unknown", one(report::leaving_unknown(&failure(), KEY))),
        ("joining_unfinished", one(report::joining_unfinished(&failure(), KEY))),
        ("share_missing_there", one(report::share_missing_there(&failure(), KEY))),
        ("apart", one(report::apart(KEY, held, &[(name, &[])]))),
        (
            "unconfirmed",
            [true, false].map(|a| report::unconfirmed(KEY, &[name.to_owned()], a)).into(),
        ),
        ("unfit", {
            let device = || Label::new(name);
            let all = [
                Unfit::Nothing,
                Unfit::IsParty(device()),
                Unfit::NoParty(device()),
                Unfit::Asker,
                Unfit::TooFew { left: 1, needed: 2 },
                Unfit::TooManyLeave { dealers: 2 },
                Unfit::Sizes { threshold: 3, parties: 2 },
            ];
            all.iter().map(report::unfit).collect()
        }),
        ("too_many_pending", one(report::too_many_pending(KEY))),
        ("wrong_confirmation", one(report::wrong_confirmation(name, KEY))),
        ("no_caller", one(report::no_caller())),
        ("no_record", errors(name).iter().map(report::no_record).collect()),
        (
            "nobody_to_pair",
            vec![
                report::nobody_to_pair(None, &[]),
                report::nobody_to_pair(Some(name), &[]),
                report::nobody_to_pair(
                    Some("dora"),
                    &[
                        report::Near { name: Label::new(name), id: "01".into() },
                        report::Near { name: Label::new("vm"), id: "02".into() },
                        report::Near { name: Label::new("vm"), id: "03".into() },
                    ],
                ),
            ],
        ),
        ("nobody_joined", one(report::nobody_joined())),
        ("nobody_gathers", vec![report::nobody_gathers(None), report::nobody_gathers(Some(name))]),
        (
            "group_unconfirmed",
            one(report::group_unconfirmed(&report::lost(name), &[name, "carol"])),
        ),
        ("left", one(report::left(name, "carol"))),
        ("oneself", one(report::oneself())),
        ("codes_differ", one(report::codes_differ())),
        ("denied_there", one(report::denied_there(name))),
        ("pairing_needs_a_person", one(report::pairing_needs_a_person())),
        ("tampered", one(report::tampered(name))),
        ("interrupted", one(report::interrupted())),
        ("nobody_came", one(report::nobody_came())),
        (
            "cannot_listen",
            [
                io::ErrorKind::AddrInUse,
                io::ErrorKind::AddrNotAvailable,
                io::ErrorKind::PermissionDenied,
            ]
            .map(|kind| report::cannot_listen("port 1", &kind.into(), "--port"))
            .to_vec(),
        ),
    ]
}

/// One of every failure, about the device `name`.
pub(crate) fn all(name: &str) -> Vec<Failure> {
    let of_tokens = troubles().into_iter().map(|trouble| {
        token::Error { module: None, token: Some(Label::new("keys")), trouble }.into()
    });
    let of_vault = errors(name).into_iter().map(Failure::from);
    let worded = worded(name).into_iter().flat_map(|(_, failures)| failures);
    worded.chain(of_vault).chain(of_tokens).collect()
}

#[test]
fn every_function_that_words_a_failure_is_looked_at() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report.rs");
    let source = fs::read_to_string(source).unwrap();
    let functions: BTreeSet<&str> = source
        .split("\npub fn ")
        .skip(1)
        .filter(|rest| rest.split(" {\n").next().unwrap().ends_with("-> Failure"))
        .map(|rest| rest.split(['(', '<']).next().unwrap())
        .collect();
    let looked_at: BTreeSet<&str> = worded("bob").into_iter().map(|(name, _)| name).collect();
    assert_eq!(functions, looked_at);
}
