//! What can go wrong with files and secrets, for people.

use super::{Code, Failure, here};
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{Altered, Error};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match error {
            Error::WrongSecret => Self::new(Code::Locked, "wrong passphrase or identity")
                .hint("nothing was changed; try again"),
            Error::NoSeal => Self::new(Code::Internal, said),
            Error::Token(error) => error.into(),
            Error::Elsewhere { uri } => Self::new(
                Code::Locked,
                format!("the share is on a token that did not open this vault: {uri}"),
            )
            .hint(
                "open the vault with that token; a `cosign listen` from before must be restarted",
            ),
            Error::Gone { uri } => {
                Self::new(Code::NotFound, format!("the share is no longer on the token: {uri}"))
                    .hint(
                        "is it the right token? keep what is here: if the share is gone, the other \
                         devices may be enough to sign without this one",
                    )
            }
            Error::NotAnIdentity { path } => {
                Self::new(Code::Locked, format!("{} holds no age identity", path.display()))
                    .hint("`age-keygen -o FILE` makes one")
            }
            Error::BadRecipient { .. } => {
                Self::new(Code::Usage, said).hint("a recipient begins with age1")
            }
            Error::NoVault { path } => {
                Self::new(Code::NotFound, format!("there is no device in {}", path.display()))
                    .hint("`cosign init` makes one; --home or COSIGN_HOME says where")
            }
            Error::Exists { path } => Self::new(
                Code::Conflict,
                format!("there is a device in {} already", path.display()),
            )
            .hint("`cosign id` shows it; for another one use another --home"),
            Error::NotFound { what, name } => not_found(what, &name),
            Error::Conflict { what, name } => conflict(what, &name),
            Error::InUse { name } => {
                Self::new(Code::Conflict, format!("key {name:?} is in use by another ceremony"))
                    .hint("wait until it has ended")
            }
            Error::BadName { name } => {
                Self::new(Code::Usage, format!("{name:?} is not a usable name")).hint(
                    "1 to 63 printable characters; for a key 1 to 64 letters, digits, '.', '_' and \
                     '-', and a letter or digit first",
                )
            }
            Error::Spent => Self::new(Code::Conflict, "this session was run before")
                .hint("start the request again: every session is used once"),
            Error::Retired { peer, code } if code == UNRESOLVED => {
                super::worn(&format!("party {peer}"), &[])
            }
            Error::Retired { peer, code } => Self::new(
                Code::Banned,
                format!(
                    "party {peer} failed a check earlier ({code}) and is banned under this key"
                ),
            )
            .hint("find out why; a refresh of the key makes new shares"),
            Error::RolledBack { peer, seen, announced } => Self::new(
                Code::Conflict,
                format!("party {peer} was at session {seen} and is back at {announced}"),
            )
            .hint("an old copy of its vault was restored there; a refresh of the key makes new shares"),
            Error::NoAttemptsLeft { limit, source } => {
                let with =
                    source.iter().map(|source| format!(" with {source}")).collect::<String>();
                Self::new(Code::Identity, format!("{limit} pairings in a row{with} have failed"))
                    .hint(format!(
                        "find out why, then {}",
                        here(&["pair", "--reset-attempts"], &[])
                    ))
            }
            Error::LooseMode { path, chmod } => {
                Self::new(Code::Internal, format!("others can read or change {}", path.display()))
                    .hint(format!("run `{chmod}`"))
            }
            Error::NotAFile { .. } => Self::new(Code::Usage, said),
            Error::TooLong { .. } => Self::new(Code::Usage, said)
                .hint("nothing that belongs there is that long: is it the right file?"),
            Error::Waited { .. } => Self::new(
                Code::Unreachable,
                format!("another process writes in this home and does not end: {said}"),
            )
            .hint("see which one it is, or give it longer with --timeout"),
            Error::Unsupported { path, version } => Self::new(
                Code::Internal,
                format!("{} was written by a newer cosign (format {version})", path.display()),
            )
            .hint("update this cosign"),
            Error::Corrupt { .. } => Self::new(Code::Internal, said)
                .hint("restore the file from a backup; nothing was changed"),
            Error::Tampered { .. } => Self::new(Code::Tampered, said).hint(format!(
                "something other than this program changed it: find out what. The shares are sealed \
                 and not affected; {} names every file that does not fit. Put back what was there, or \
                 let the other devices sign without this one",
                here(&["doctor"], &[])
            )),
            Error::Closed { .. } => Self::new(Code::Locked, said)
                .hint("give --passphrase-file FILE or --identity FILE"),
            Error::BadLine { line, why } => bad_line(line, why, said),
            Error::Io { .. } => Self::new(Code::Internal, said),
        }
    }
}

fn not_found(what: &str, name: &str) -> Failure {
    let failure = Failure::new(Code::NotFound, format!("there is no {what} {name:?}"));
    match what {
        "key" => {
            failure.hint(format!("{} shows the keys of this device", here(&["keys", "list"], &[])))
        }
        "peer" => {
            failure.hint(format!("{} shows the known devices", here(&["peers", "list"], &[])))
        }
        "home directory" => {
            Failure::new(Code::NotFound, "HOME is not set").hint("use --home DIR or COSIGN_HOME")
        }
        _ => failure,
    }
}

fn conflict(what: &str, name: &str) -> Failure {
    let failure = Failure::new(Code::Conflict, format!("there is a {what} {name:?} already"));
    match what {
        "key" => failure.hint("choose another name; a share is never overwritten"),
        "pending key" => {
            let finish = here(&["keygen", "--key", name, "--resume"], &[]);
            failure.hint(format!("finish it with {finish}"))
        }
        "peer" => failure.hint(format!(
            "choose another name; if its owner has said in person that the old device is no more, \
             {} says what to do",
            here(&["peers", "forget", "--help"], &[])
        )),
        _ => failure,
    }
}

fn bad_line(line: u64, why: Altered, said: String) -> Failure {
    let hint = match why {
        Altered::Unreadable | Altered::Changed | Altered::Added => {
            format!("look at line {line} of log.jsonl")
        }
        Altered::Unchained | Altered::Missing => "lines were removed, added or moved".to_owned(),
    };
    Failure::new(Code::Invalid, said).hint(hint)
}
