//! Errors of hardware tokens, in words.

use super::{Code, Failure};
use crate::device::Label;
use crate::token::{Error, Tries, Trouble};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let module = error.module.as_ref().map_or_else(
            || "the PKCS#11 module".to_owned(),
            |path| format!("the PKCS#11 module {}", path.display()),
        );
        let token =
            error.token.as_ref().map_or_else(|| "the token".to_owned(), |t| format!("token {t:?}"));
        match &error.trouble {
            trouble @ (Trouble::NoModule
            | Trouble::Missing
            | Trouble::Unloadable(_)
            | Trouble::NotAModule
            | Trouble::NotBuilt
            | Trouble::Unready(_)
            | Trouble::Crashed(_)
            | Trouble::Silent
            | Trouble::Nonsense) => of_module(&module, trouble),
            trouble @ (Trouble::NoToken { .. } | Trouble::Several { .. }) => choice(trouble),
            trouble @ (Trouble::Uninitialised
            | Trouble::NoUserPin
            | Trouble::NoLogin
            | Trouble::WrongPin(_)
            | Trouble::LockedPin
            | Trouble::ExpiredPin) => pin(&token, trouble),
            trouble => of_token(&token, trouble),
        }
    }
}

fn of_module(module: &str, trouble: &Trouble) -> Failure {
    let (code, message, hint) = match trouble {
        Trouble::NoModule => (
            Code::NotFound,
            "no PKCS#11 module is known on this system".to_owned(),
            "install the token's, such as opensc or softhsm2, or name it with --module PATH",
        ),
        Trouble::Missing => (
            Code::NotFound,
            format!("{module} does not exist"),
            "--module PATH or COSIGN_TOKEN_MODULE names the library of the token's maker",
        ),
        Trouble::Unloadable(why) => (
            Code::NotFound,
            format!("{module} cannot be loaded: {}", clean(why)),
            "it must be a library for this kind of machine, with all that it needs installed",
        ),
        Trouble::NotAModule => (
            Code::NotFound,
            format!("{module} is a library but no PKCS#11 module"),
            "its documentation names the file with `pkcs11` or `libsofthsm2` in it",
        ),
        Trouble::NotBuilt => (
            Code::NotFound,
            "this cosign was built without PKCS#11".to_owned(),
            "build it with the feature `pkcs11`",
        ),
        Trouble::Unready(why) => (
            Code::Locked,
            format!("{module} does not start: {}", clean(why)),
            "check its configuration, for SoftHSM2 the variable SOFTHSM2_CONF",
        ),
        Trouble::Crashed(signal) => {
            let by = signal.map_or_else(String::new, |signal| format!(" (signal {signal})"));
            (
                Code::Locked,
                format!("{module} crashed{by}"),
                "nothing was lost; see whether there is an update of it",
            )
        }
        Trouble::Silent => (
            Code::Locked,
            format!("{module} did not answer in time"),
            "nothing was lost; take the token out and put it in again; --timeout waits for less or more",
        ),
        _ => (
            Code::Locked,
            format!("{module} gave an answer that makes no sense"),
            "nothing was lost; see whether there is an update of it",
        ),
    };
    Failure::new(code, message).hint(hint)
}

fn choice(trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Several { uris } => {
            Failure::new(Code::Locked, format!("several tokens match: {}", all(uris)))
                .hint("name one by its serial or slot-id")
        }
        Trouble::NoToken { wanted, seen, failed } => {
            let failure = Failure::new(
                Code::Locked,
                if wanted == "pkcs11:" {
                    "no token is plugged in".to_owned()
                } else {
                    format!("the token is not there: {}", clean(wanted))
                },
            );
            let failed: Vec<String> =
                failed.iter().map(|path| path.display().to_string()).collect();
            match (seen.is_empty(), failed.is_empty()) {
                (false, _) => failure.hint(format!("there is: {}", all(seen))),
                (true, false) => {
                    failure.hint(format!("these modules failed: {}", failed.join(", ")))
                }
                (true, true) => failure.hint("plug it in; `cosign token list` shows what is there"),
            }
        }
        _ => Failure::new(Code::Locked, "no token"),
    }
}

fn pin(token: &str, trouble: &Trouble) -> Failure {
    let failure = |message: String| Failure::new(Code::Locked, message);
    match trouble {
        Trouble::WrongPin(tries) => {
            let wrong = failure(format!("wrong PIN for {token}{}", left(*tries)));
            match tries {
                Tries::Last => wrong.hint("it was tried once; the next wrong PIN locks the token"),
                _ => wrong.hint("it was tried once; nothing was changed"),
            }
        }
        Trouble::LockedPin => failure(format!("the PIN of {token} is locked"))
            .hint("its maker's tool unlocks it with the PUK or the security officer's PIN"),
        Trouble::ExpiredPin => {
            failure(format!("the PIN of {token} has to be changed before it can be used"))
                .hint("`pkcs11-tool --login --change-pin` changes it")
        }
        Trouble::NoUserPin => failure(format!("{token} has no user PIN yet"))
            .hint("`pkcs11-tool --login --login-type so --init-pin` sets one"),
        Trouble::NoLogin => failure(format!("{token} asks for no PIN, so it protects nothing"))
            .hint("choose another one; `cosign token list` shows what is there"),
        _ => failure(format!("{token} was never initialised"))
            .hint("`pkcs11-tool --init-token --label NAME`, then `--init-pin`; for SoftHSM2 `softhsm2-util --init-token`"),
    }
}

fn of_token(token: &str, trouble: &Trouble) -> Failure {
    let (message, hint) = match trouble {
        Trouble::Removed => (
            format!("{token} was removed, or locked itself"),
            "put it back and start the command again; nothing was lost",
        ),
        Trouble::NoKey => (
            format!("the key is not on {token}"),
            "it is gone from there; only a recovery passphrase, identity or recipient still opens the vault",
        ),
        Trouble::NoSuchKey => (
            format!("the key that was named is not on {token}"),
            "`pkcs11-tool --login --list-objects` shows its keys; without id and object a new one is made",
        ),
        Trouble::SeveralKeys => (
            format!("several keys on {token} match"),
            "name one by its id; `pkcs11-tool --login --list-objects` shows them",
        ),
        Trouble::WrongKey(why) => (
            format!("the key on {token} cannot be used: {}", clean(why)),
            "it must be a P-256 key for key agreement that cannot leave the token",
        ),
        Trouble::Taken => (
            format!("{token} holds an object of that name already"),
            "another copy of this device put it there; a share is never overwritten",
        ),
        Trouble::Sessions => (
            format!("{token} gives out no more sessions"),
            "another program uses it; close that one",
        ),
        Trouble::ReadOnly => (
            format!("{token} is read-only"),
            "make the key with its maker's tool and name it: pkcs11:…;id=%01",
        ),
        Trouble::Full => (
            format!("{token} is full"),
            "take another token, or make room with its maker's tool; objects \
              whose label begins with cosign hold shares that are in use",
        ),
        Trouble::Refused { function, value } => {
            let hint = match function.as_str() {
                "C_GenerateKeyPair" => {
                    "a key can also be made with its maker's tool and named: pkcs11:…;id=%01"
                }
                "C_CreateObject" | "C_DestroyObject" => {
                    "it may be read-only, for SoftHSM2 its files: nothing was lost; let it be written \
                     to, then run the command again"
                }
                _ => "nothing was lost; take it out and put it in again, or ask its maker",
            };
            let message = format!("{token} refused: {}: {}", clean(function), clean(value));
            return Failure::new(Code::Locked, message).hint(hint);
        }
        _ => (format!("{token} cannot be used"), "see `cosign token list`"),
    };
    Failure::new(Code::Locked, message).hint(hint)
}

fn left(tries: Tries) -> &'static str {
    match tries {
        Tries::Untold => "",
        Tries::Few => "; the token says that few tries are left",
        Tries::Last => "; the token says that one try is left",
        Tries::None => "; the token says that no try is left",
    }
}

/// These URIs as a list. Each is short, since PKCS#11 limits its parts.
fn all(uris: &[String]) -> String {
    let shown: Vec<String> = uris.iter().map(|uri| clean(uri).to_string()).collect();
    shown.join(", ")
}

/// Text of a module, cleaned.
fn clean(text: &str) -> Label {
    Label::capped(text, 600)
}
