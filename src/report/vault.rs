//! Errors of files and secrets, in words.

use std::io;
use std::path::Path;

use super::{Code, Failure, here};
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{Altered, Error};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (code, said) = (error.kind(), error.to_string());
        match error {
            Error::WrongSecret => Self::new(code, "wrong passphrase or identity")
                .hint("nothing was changed; try again"),
            Error::NoSeal => Self::new(code, said),
            Error::Token(error) => error.as_ref().into(),
            Error::Elsewhere { uri } => Self::new(
                code,
                format!("the share is on a token that did not open this vault: {uri}"),
            )
            .hint(
                "open the vault with that token; a `cosign listen` from before must be restarted",
            ),
            Error::Gone { uri } => {
                Self::new(code, format!("the share is no longer on the token: {uri}")).hint(
                    "is it the right token? keep what is here: if the share is gone, the other \
                         devices may be enough to sign without this one",
                )
            }
            Error::NotAnIdentity { path } => {
                Self::new(code, format!("{} holds no age identity", path.display()))
                    .hint("`age-keygen -o FILE` makes one")
            }
            Error::BadRecipient { .. } => {
                Self::new(code, said).hint("a recipient begins with age1")
            }
            Error::NoVault { path } => Self::new(
                code,
                format!("there is no device in {}", path.display()),
            )
            .hint(format!("is --home or COSIGN_HOME right? {} makes one", here(&["init"], &[]))),
            Error::Exists { path } => {
                Self::new(code, format!("there is a device in {} already", path.display())).hint(
                    format!("{} shows it; for another one use another --home", here(&["id"], &[])),
                )
            }
            Error::NotFound { what, name } => not_found(what, name),
            Error::Conflict { what, name } => conflict(what, name),
            Error::InUse { name, by } => {
                Self::new(code, format!("key {name:?} is in use: {by} is under way on this device"))
                    .hint("wait until it has ended; --timeout says how long to wait")
            }
            Error::BadName { name } => Self::new(code, format!("{name:?} is not a usable name"))
                .hint(
                    "1 to 63 printable characters; for a key 1 to 64 letters, digits, '.', '_' and \
                     '-', and a letter or digit first",
                ),
            Error::Spent => Self::new(code, "this session was run before")
                .hint("start the request again: every session is used once"),
            Error::Retired { peer, code: check } if check == UNRESOLVED => {
                super::worn(&format!("party {peer}"), &[])
            }
            Error::Retired { peer, code: check } => Self::new(
                code,
                format!(
                    "party {peer} failed a check earlier ({check}) and is banned under this key"
                ),
            )
            .hint("find out why; a refresh of the key makes new shares"),
            Error::NoAttemptsLeft { limit, source } => {
                let with =
                    source.iter().map(|source| format!(" with {source}")).collect::<String>();
                Self::new(code, format!("{limit} pairings in a row{with} have failed")).hint(
                    format!("find out why, then {}", here(&["pair", "--reset-attempts"], &[])),
                )
            }
            Error::LooseMode { path, chmod } => {
                Self::new(code, format!("others can read or change {}", path.display()))
                    .hint(format!("run `{chmod}`"))
            }
            Error::Foreign { .. } => Self::new(code, said)
                .hint("use a copy that is yours, in a folder of yours, or change the owner"),
            Error::NotAFile { .. } => Self::new(code, said),
            Error::TooLong { .. } => Self::new(code, said)
                .hint("nothing that belongs there is that long: is it the right file?"),
            Error::Waited { .. } => Self::new(
                code,
                format!("another process writes in this home and does not end: {said}"),
            )
            .hint("see which one it is, or give it longer with --timeout"),
            Error::Unsupported { .. } => Self::new(code, said)
                .hint("a later cosign wrote it, and it stays as it is: update this one"),
            Error::Corrupt { path, .. } | Error::Tampered { path, .. } => {
                Self::new(code, said).hint(remedy(path))
            }
            Error::Stray { of: None, .. } => {
                Self::new(code, said).hint("nothing rests on it: move that folder elsewhere")
            }
            Error::Stray { of: Some(key), .. } => Self::new(code, said).hint(format!(
                "nothing rests on it: move that folder elsewhere; if it was called {key} and no folder is \
                 called so now, that is its place"
            )),
            Error::Closed { .. } => {
                Self::new(code, said).hint("give --passphrase-file FILE or --identity FILE")
            }
            Error::BadLine { line, why } => bad_line(*line, *why, said),
            Error::Io { .. } => Self::new(code, said),
        }
    }
}

/// What the owner can do about a file of this device that is missing or was changed: a command if
/// one helps, else to restore a copy.
fn remedy(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_in = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
    let then = match name {
        "attempts.json" => format!(
            "{} counts failed pairings from zero again",
            here(&["pair", "--reset-attempts"], &[])
        ),
        "policy.json" => format!(
            "put its newest copy back; until then no policy decides here, and {} without --policy asks \
             you about every request",
            here(&["listen"], &[])
        ),
        "log.head" => format!(
            "the log goes on: its next entry says that the head was lost, and {} names that line from \
             then on",
            here(&["log", "--verify"], &[])
        ),
        "addresses.json" => {
            "nothing rests on it: it is written anew when a device answers".to_owned()
        }
        "deleted.json" => "put its newest copy back; until then the other devices are not told which \
                           keys are gone here"
            .to_owned(),
        "identity.recovery.age" => {
            "put a copy of it back: until then no recovery identity opens this vault".to_owned()
        }
        _ if is_in("signatures") => "nothing else rests on it: a request that is made again, without \
                                     --request-id, gets another signature"
            .to_owned(),
        "key.json" => format!(
            "{COPY}; {} says how this device's other keys sign again",
            here(&["keys", "delete", "--help"], &[])
        ),
        "vault.json" => format!("{COPY}; a new device needs another --home"),
        _ if name.ends_with(".age") && is_in("keys") => {
            "put back a copy of it that was made since the last refresh: nothing else replaces this \
             share; the other keys and the other devices are not affected"
                .to_owned()
        }
        _ => COPY.to_owned(),
    };
    format!("find out what changed it; {then}")
}

/// What to do about a file without which this device must not sign.
const COPY: &str = "put its newest copy back, from a backup of this device (an older one is refused): \
                    until then this device signs nothing; without a copy only those keys can sign that \
                    enough other devices have, and they do so without this one";

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

/// Why the file that people know as `name` cannot be read.
pub(crate) fn unreadable(error: Error, name: &str) -> Failure {
    match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::new(Code::NotFound, format!("there is no {name}"))
        }
        Error::Io { source, .. } => {
            // What the caller named cannot be a file, or the system refuses to read it.
            let code = match source.kind() {
                io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::InvalidInput => Code::Usage,
                _ => Code::System,
            };
            Failure::new(code, format!("cannot read {name}: {source}"))
        }
        error => {
            let failure = Failure::from(error);
            Failure { message: format!("{name}: {}", failure.message), ..failure }
        }
    }
}
