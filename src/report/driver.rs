//! Errors, notes and events of the driver, in words.

use std::net::SocketAddr;

use super::*;
use crate::driver::clock::{self, NoTimeZone};
use crate::driver::error::{About, Activity, Awaited, Error};
use crate::driver::told::{Note, Told};
use crate::progress::Event;
use crate::request::RequestId;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        // The kind comes from the error, so that the log and the exit code agree.
        Self { code: error.kind(), ..worded(error) }
    }
}

impl From<NoTimeZone> for Failure {
    fn from(NoTimeZone { named }: NoTimeZone) -> Self {
        no_time_zone(named.as_deref())
    }
}

/// The event for `told`.
pub fn event(told: Told<'_>) -> Event {
    match told {
        Told::Event(event) => *event,
        Told::Note(note) => Event::Note { message: noted(&note) },
        Told::Aborted { activity, request, error } => {
            let Failure { code, message, hint } = error.into();
            let (ceremony, code) = (activity.name().to_owned(), code.name().to_owned());
            let request_id = request.map(RequestId::to_string);
            Event::Aborted { ceremony, request_id, code, message, hint }
        }
    }
}

/// The log was not written, and why.
pub fn unlogged(why: &str) -> String {
    format!("the log was not written: {why}")
}

/// A note as one line.
pub fn noted(note: &Note) -> String {
    match note {
        Note::Misfit(error) => Failure::from(error).message,
        Note::File(error) => error.to_string(),
        Note::Failed(error) => Failure::from(error).message,
        Note::Unlogged(why) => unlogged(why),
        Note::GivenBefore(entry) => {
            given_before(&entry.key, &entry.digest, &clock::rfc3339(entry.time))
        }
        Note::NotKept(error) => format!("the signature was not kept: {error}"),
        Note::NotAttached { peer, program } => {
            not_attached(peer.as_str(), program.as_ref().map(Label::as_str))
        }
        Note::NotAnnounced(why) => format!("this device is not announced on the network: {why}"),
        Note::TurnedAway { peer, ceremony, muted } => {
            turned_away(peer.as_str(), ceremony.name(), *muted)
        }
        Note::Asking { digest: Some(digest), .. } => asking("digest", &digest.to_string()),
        Note::Asking { digest: None, hash } => asking("hash", &hash.to_string()),
        Note::Resharing(view) => resharing(view),
        Note::Left { key } => left_key(key),
        Note::Unfinished { key, error } => unfinished(key, &error.into()),
        Note::EndsBans { peers } => ends_bans(&peers.iter().map(Label::as_str).collect::<Vec<_>>()),
        Note::NotThere { peer, seconds } => not_there(peer.as_str(), *seconds),
        Note::Renamed { was, now } => renamed(was.as_str(), now.as_str()),
        Note::AsksAgain { seconds } => asks_again(*seconds),
        Note::KeyAwaited { key, by } => key_awaited(key, *by),
        Note::NoRooms => "no device is known yet that could call through the relay: pair with one \
                          first, as by `cosign pair` with --relay"
            .to_owned(),
        Note::WrongConfirmation { party, key } => wrong_stored_confirmation(key, *party),
        Note::Via(line) => said_by_via(line),
        Note::PairingPaused { failed } => pairing_paused(*failed),
        Note::NotSaidStored { peer } => not_said_stored(peer.as_str()),
        Note::Deleted { peer, key, time } => deletion(peer.as_str(), key, &clock::rfc3339(*time)),
    }
}

fn worded(error: &Error) -> Failure {
    match error {
        Error::Nobody { peer } => nobody(peer.as_str()),
        Error::OthersAnswer { peer, pinned, others } => {
            others_answer(peer.as_str(), pinned, *others)
        }
        Error::BadAddress { address, source } => Failure::new(
            Code::Unreachable,
            format!("{address} is no address that can be reached: {source}"),
        )
        .hint("expected HOST:PORT, such as 192.168.1.20:46737"),
        Error::Command(error) => {
            Failure::new(Code::Unreachable, format!("the command of --via cannot be run: {error}"))
        }
        Error::Relay { relay, error } => super::relay(relay.as_str(), error),
        Error::NotAtRelay { peer, relay } => nobody_at_relay(peer.as_str(), relay.as_str()),
        Error::NobodyInvites { relay } => nobody_invites(relay.as_str()),
        Error::NotTheInviter { got } => not_the_inviter(got),
        Error::Link { peer, error } => link(peer.as_str(), error),
        Error::TimedOut { peers, awaited } => {
            let names: Vec<&str> = peers.iter().map(Label::as_str).collect();
            slow(&names.join(" and "), awaited_of(*awaited))
        }
        Error::Nonsense { peer } => nonsense(peer.as_str()),
        Error::NotUnderstood { peer, message } => not_understood(peer.as_str(), message.as_str()),
        Error::Refused { peer, reason, about: None } => refused(peer.as_str(), *reason),
        Error::Refused { peer, reason, about: Some(About { key, ceremony, others }) } => {
            let others: Vec<&str> = others.iter().map(Label::as_str).collect();
            refused_in(peer.as_str(), *reason, *ceremony, key, &others)
        }
        Error::DeletedThere { peer, time, key, others_suffice } => {
            deleted_there(peer.as_str(), &clock::rfc3339(*time), key, *others_suffice)
        }
        Error::Withdrawn { peer } => withdrawn(peer.as_str()),
        Error::Left { peer, who } => left(peer.as_str(), who.as_str()),
        Error::Declined { peer, reason } | Error::TurnedAway { peer, reason, .. } => {
            declined(peer.as_str(), *reason)
        }
        Error::Denied(ceremony) => denied_here(ceremony.name()),
        Error::Policy { ceremony, requester, refusal } => {
            policy_here(ceremony.name(), requester.as_str(), *refusal)
        }
        Error::NobodyToAsk => nobody_to_ask(),
        Error::Unanswered(Activity::Pairing) => unanswered("pairing"),
        Error::Unanswered(activity) => unanswered(activity.name()),
        Error::Interrupted => interrupted(),
        Error::NoCaller => no_caller(),
        Error::Port { ip: None, port, source } => {
            cannot_listen(&format!("port {port}"), source, "--port")
        }
        Error::Port { ip: Some(ip), port, source } => {
            let flag = match source.kind() {
                std::io::ErrorKind::AddrNotAvailable => "--bind",
                _ => "--port",
            };
            cannot_listen(&SocketAddr::new(*ip, *port).to_string(), source, flag)
        }
        Error::Vault(error) => error.into(),
        Error::NoKey(key) => no_key(key),
        Error::PendingKey(key) => pending_key(key),
        Error::Restored(key) => restored_key(key),
        Error::KeyExists { wanted, pending } => key_exists(wanted, *pending),
        Error::ImportExists { key, pending } => import_exists(key, *pending),
        Error::KeyExistsThere { error, wanted } => key_exists_there(error.as_ref().into(), wanted),
        Error::DamagedShare(key) => damaged_share(key),
        Error::Unsupported { peer, program, ability } => {
            unsupported(peer.as_str(), program.as_ref().map(Label::as_str), *ability)
        }
        Error::NoShareThere { peer, key } => no_share_there(peer.as_str(), key),
        Error::Apart { key, mine, theirs } => {
            let theirs: Vec<(&str, &[Held])> =
                theirs.iter().map(|(peer, held)| (peer.as_str(), held.as_slice())).collect();
            apart(key, mine, &theirs)
        }
        Error::RolledBackThere { peer, key } => rolled_back_there(peer.as_str(), key),
        Error::ChangedMeanwhile(key) => changed_meanwhile(key),
        Error::TooManyPending(key) => too_many_pending(key),
        Error::Unfit(unfit) => super::unfit(unfit),
        Error::Unsettled(key) => unsettled(key),
        Error::Unconfirmed { key, missing, signs } => {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            unconfirmed(key, &missing, *signs)
        }
        Error::WrongConfirmation { peer, key } => wrong_confirmation(peer.as_str(), key),
        Error::LeftPending { error, ceremony, key } => {
            left_pending(error.as_ref().into(), *ceremony, key)
        }
        Error::NeverStored { error, wanted } => never_stored(&error.as_ref().into(), wanted),
        Error::LeavingUnknown { error, key } => leaving_unknown(&error.as_ref().into(), key),
        Error::JoiningUnfinished { error, key } => joining_unfinished(&error.as_ref().into(), key),
        Error::RefreshNeverStored { error, key } => {
            refresh_never_stored(&error.as_ref().into(), key)
        }
        Error::NewerThere { error, key, lost } => newer_there(error.as_ref().into(), key, lost),
        Error::ShareMissingThere { error, key } => share_missing_there(&error.as_ref().into(), key),
        Error::BadPath => bad_path(),
        Error::NoWallet(curve) => no_wallet(*curve),
        Error::OtherAccount { key, account, from } => other_account(key, *account, *from),
        Error::SignedAlready(id) => signed_already(id.as_str()),
        Error::Fault { fault, culprit, key } => {
            let culprit = culprit.as_ref().map(ToString::to_string).unwrap_or_default();
            super::fault(fault, &[key], |_| culprit.clone())
        }
        Error::Given { error, receivers } => {
            let receivers: Vec<String> = receivers.iter().map(ToString::to_string).collect();
            given(&error.as_ref().into(), &receivers)
        }
        Error::Banned { peer, key, .. } => banned(peer.as_str(), key),
        Error::Worn { peer, key, .. } => worn(peer.as_str(), &[key]),
        Error::NoRecord(error) => no_record(error),
        Error::NobodyToPair => nobody_to_pair(None, &[]),
        Error::NobodyJoined => nobody_joined(),
        Error::GroupUnconfirmed { error, missing } => {
            let missing: Vec<&str> = missing.iter().map(Label::as_str).collect();
            group_unconfirmed(&error.as_ref().into(), &missing)
        }
        Error::Oneself => oneself(),
        Error::CodesDiffer => codes_differ(),
        Error::CodesDifferThere { peer } => denied_there(peer.as_str()),
        Error::BrokenCommitment { peer } => tampered(peer.as_str()),
        Error::PairingNeedsAPerson => pairing_needs_a_person(),
        Error::InvitationOver { expired } => invitation_over(&clock::rfc3339(*expired)),
        Error::DeviceKey(error) => Failure::new(
            Code::Tampered,
            format!("the device key does not fit the device certificate: {error}"),
        ),
        Error::NoRandomness(why) => {
            Failure::new(Code::System, format!("the system gives no randomness: {why}"))
        }
        Error::NotAParty => not_a_party(),
        Error::Bug(what) => bug(what),
    }
}

/// What was awaited, as a time-out names it.
fn awaited_of(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Approval => "approval",
        Awaited::Payload => "what is to be signed",
        Awaited::Start => "start",
        Awaited::Tunnel => "connection through the requester",
        Awaited::Reading => "taking a message",
        Awaited::Confirmation => "confirmation",
        Awaited::Farewell => "last confirmation",
        Awaited::Pairing => "pairing",
        Awaited::Deadline => "--timeout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::CurveName;
    use crate::driver::error::Awaited;
    use crate::net::relay::RelayUrl;
    use crate::vault;
    use crate::wire::Word;

    fn bob() -> Label {
        Label::new("bob")
    }

    fn key() -> String {
        "vault".to_owned()
    }

    fn wanted() -> Wanted {
        Wanted {
            key: key(),
            curve: CurveName::default(),
            threshold: 2,
            with: vec!["bob".to_owned()],
            taken: Vec::new(),
        }
    }

    fn no_key() -> Box<Error> {
        Box::new(Error::Refused { peer: bob(), reason: Reason::UnknownKey, about: None })
    }

    fn reasons() -> Vec<Reason> {
        vec![
            Reason::Busy { seconds: 2 },
            Reason::Crossed,
            Reason::Denied,
            Reason::Declining,
            Reason::Left { party: PartyId::new(3).unwrap() },
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
            Reason::Deleted { time: 0 },
            Reason::Conflict,
            Reason::RolledBack,
            Reason::Banned,
            Reason::Worn,
            Reason::Version,
            Reason::Aborted,
            Reason::Interrupted,
            Reason::Gone,
            Reason::Gathering,
            Reason::NoGroup,
            Reason::GroupClosed,
        ]
    }

    fn links() -> Vec<LinkError> {
        let print = || Fingerprint::new([7; 32]);
        vec![
            LinkError::Unreachable(String::new()),
            LinkError::NotListening(String::new()),
            LinkError::Closed,
            LinkError::Lost,
            LinkError::TimedOut,
            LinkError::Identity { expected: print(), got: print() },
            LinkError::Refused,
            LinkError::Malformed("frame"),
            LinkError::NotUnderstood(Word::new("accept")),
            LinkError::Expired,
            LinkError::Tls(String::new()),
            LinkError::Io(String::new()),
        ]
    }

    fn faults() -> Vec<Fault> {
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
        let culprits = [None, PartyId::new(2)];
        let of = |check| culprits.map(|culprit| Fault { check, culprit, at: "round 2" });
        checks.into_iter().flat_map(of).collect()
    }

    fn samples() -> Vec<Error> {
        let relay = || Box::new("wss://relay.example".parse::<RelayUrl>().unwrap());
        let print = Fingerprint::new([7; 32]);
        let kinds = [Ceremony::Keygen, Ceremony::Refresh, Ceremony::Reshare];
        let about = || Some(About { key: key(), ceremony: Ceremony::Sign, others: Vec::new() });
        let mut all = vec![
            Error::Nobody { peer: bob() },
            Error::OthersAnswer { peer: bob(), pinned: print, others: 2 },
            Error::BadAddress { address: "x".into(), source: std::io::Error::other("no") },
            Error::NotAtRelay { peer: bob(), relay: relay() },
            Error::NobodyInvites { relay: relay() },
            Error::NotTheInviter { got: print },
            Error::TimedOut { peers: vec![bob()], awaited: Awaited::Start },
            Error::Nonsense { peer: bob() },
            Error::NotUnderstood { peer: bob(), message: Word::new("accept") },
            Error::DeletedThere { peer: bob(), time: 0, key: key(), others_suffice: true },
            Error::Withdrawn { peer: bob() },
            Error::Left { peer: bob(), who: Label::new("carol") },
            Error::Denied(Ceremony::Sign),
            Error::Policy {
                ceremony: Ceremony::Sign,
                requester: bob(),
                refusal: crate::driver::approver::Refusal::NoRule,
            },
            Error::NobodyToAsk,
            Error::Unanswered(Activity::Pairing),
            Error::Interrupted,
            Error::NoCaller,
            Error::Port { ip: None, port: 1, source: std::io::ErrorKind::AddrInUse.into() },
            Error::NoKey(key()),
            Error::PendingKey(key()),
            Error::Restored(key()),
            Error::KeyExists { wanted: wanted(), pending: true },
            Error::ImportExists { key: key(), pending: true },
            Error::KeyExistsThere { error: no_key(), wanted: wanted() },
            Error::DamagedShare(key()),
            Error::Unsupported {
                peer: bob(),
                program: Some(Label::new("0.0.1")),
                ability: Ability::Ceremony(Ceremony::Sign),
            },
            Error::Unsupported {
                peer: bob(),
                program: None,
                ability: Ability::Payload(Kind::Message),
            },
            Error::Unsupported { peer: bob(), program: None, ability: Ability::Group },
            Error::NoShareThere { peer: bob(), key: key() },
            Error::Apart { key: key(), mine: Vec::new(), theirs: Vec::new() },
            Error::RolledBackThere { peer: bob(), key: key() },
            Error::ChangedMeanwhile(key()),
            Error::TooManyPending(key()),
            Error::Unfit(Unfit::Nothing),
            Error::Unfit(Unfit::IsParty(bob())),
            Error::Unfit(Unfit::NoParty(bob())),
            Error::Unfit(Unfit::Asker),
            Error::Unfit(Unfit::TooFew { left: 1, needed: 2 }),
            Error::Unfit(Unfit::TooManyLeave { dealers: 2 }),
            Error::Unfit(Unfit::Sizes { threshold: 3, parties: 2 }),
            Error::Unsettled(key()),
            Error::Unconfirmed { key: key(), missing: vec![bob()], signs: false },
            Error::WrongConfirmation { peer: bob(), key: key() },
            Error::NeverStored { error: no_key(), wanted: wanted() },
            Error::RefreshNeverStored { error: no_key(), key: key() },
            Error::NewerThere { error: no_key(), key: key(), lost: vec!["bob".to_owned()] },
            Error::LeavingUnknown { error: no_key(), key: key() },
            Error::JoiningUnfinished { error: no_key(), key: key() },
            Error::ShareMissingThere { error: no_key(), key: key() },
            Error::BadPath,
            Error::NoWallet(CurveName::P256),
            Error::OtherAccount {
                key: key(),
                account: Account::new([1; 20]),
                from: Account::new([2; 20]),
            },
            Error::SignedAlready(crate::request::RequestId::new("r-1").unwrap()),
            Error::Given { error: no_key(), receivers: vec![bob()] },
            Error::Banned { party: PartyId::new(2).unwrap(), peer: bob(), key: key() },
            Error::Worn { party: PartyId::new(2).unwrap(), peer: bob(), key: key() },
            Error::NoRecord(vault::Error::Spent),
            Error::NobodyToPair,
            Error::NobodyJoined,
            Error::GroupUnconfirmed { error: no_key(), missing: vec![bob()] },
            Error::Oneself,
            Error::CodesDiffer,
            Error::CodesDifferThere { peer: bob() },
            Error::BrokenCommitment { peer: bob() },
            Error::PairingNeedsAPerson,
            Error::InvitationOver { expired: 0 },
            Error::DeviceKey(LinkError::Lost),
            Error::NoRandomness(String::new()),
            Error::NotAParty,
            Error::Bug("something"),
        ];
        for error in links() {
            all.push(Error::Command(error.clone()));
            all.push(Error::Relay { relay: relay(), error: error.clone() });
            all.push(Error::Link { peer: bob(), error });
        }
        for reason in reasons() {
            all.push(Error::Refused { peer: bob(), reason, about: None });
            all.push(Error::Refused { peer: bob(), reason, about: about() });
            all.push(Error::Declined { peer: bob(), reason });
        }
        for reason in [Reason::Busy { seconds: 2 }, Reason::Declining] {
            all.push(Error::TurnedAway { peer: bob(), reason, first: true });
        }
        for ceremony in kinds {
            all.push(Error::LeftPending { error: no_key(), ceremony, key: key() });
        }
        all.extend(faults().into_iter().map(|fault| Error::Fault {
            culprit: fault.culprit.map(|_| bob()),
            fault,
            key: key(),
        }));
        all
    }

    #[test]
    fn the_log_and_the_exit_code_say_the_same_of_every_error() {
        for error in samples() {
            assert_eq!(worded(&error).code, error.kind(), "{error:?}");
        }
    }

    #[test]
    fn every_error_is_worded() {
        for error in samples() {
            let said = worded(&error).message;
            let is_bug = matches!(error, Error::Bug(_));
            assert_eq!(said.contains("please report"), is_bug, "{error:?}: {said}");
        }
    }
}
