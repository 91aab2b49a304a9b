//! `cosign git-sign`: what git calls to sign a commit or a tag, in place of gpg (`git config gpg.program`).
//!
//! It understands what git says to gpg when something is to be signed, and hands everything else to gpg itself: signatures are
//! checked by that, under the certificate of `keys export --format openpgp`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::args::{GitSignArgs, KeyName, PayloadArgs, PaymentArgs, SignArgs};
use super::digest::Digest;
use super::output::Body;
use super::sign::{Formed, made};
use super::{Global, Output, certificate, digest};
use crate::device::Label;
use crate::payload::Summary;
use crate::payload::curve::Curve;
use crate::payload::openpgp::Key;
use crate::report::{self, Code, Failure};
use crate::vault::keys;

/// The name by which git calls the program where no subcommand can be given.
pub(super) const CALLED: &str = "cosign-git";

/// What gpg is called.
const GPG: &str = "gpg";

/// `cosign git-sign`
pub(super) fn run_git_sign(global: &Global, args: GitSignArgs) -> Result<Output, Failure> {
    let Some(asked) = Asked::read(&args.gpg)? else {
        let error = Command::new(GPG).args(&args.gpg).exec();
        return Err(Failure::new(Code::System, format!("cannot start {GPG}: {error}"))
            .hint(format!("install it: signatures that git asks about are checked by {GPG}")));
    };
    let key = asked.key(global)?;
    let digest = Digest::of_git(digest::content(Path::new("-"), global.deadline)?)?;
    let sign = SignArgs {
        digest: None,
        payload: PayloadArgs::default(),
        payment: PaymentArgs::default(),
        finalize: false,
        key: Some(key),
        path: None,
        with: args.with,
        purpose: args.purpose,
        deliver_to: None,
        format: None,
        detached: false,
        output: None,
        force: false,
        request_id: None,
        wait: false,
        port: None,
        bind: None,
        reach: args.reach,
    };
    let outcome = made(global, sign, digest)?;
    let signature = outcome.signatures.first().and_then(|made| Formed::of(&outcome, made));
    let signed = outcome.payload.as_ref().map(|payload| payload.summary());
    let (Some(Formed::OpenPgp(armour)), Some(Summary::Git(git))) = (signature, signed) else {
        return Err(report::bug("an object of git was signed and cannot be written"));
    };
    asked.tell(&format!("SIG_CREATED D 19 8 00 {} {}", git.time, git.fingerprint))?;
    let result = json!({ "key": outcome.key, "openpgp": armour, "payload": signed });
    Output::with_body(result, Body::Raw(armour.into_bytes()))
}

/// Whether git asks for a signature, and not for what gpg does alone.
pub(super) fn signs(args: &[String]) -> bool {
    !matches!(Asked::read(args), Ok(None))
}

/// What git asks of gpg: an armoured, detached signature of standard input.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// By whose key, as `user.signingKey` says, or else the committer.
    by: String,
    /// The file descriptor for what is done.
    status: Option<u32>,
}

impl Asked {
    /// Reads the arguments; `None` if nothing is to be signed.
    ///
    /// # Errors
    /// It is to be signed in a way that git does not use.
    fn read(args: &[String]) -> Result<Option<Self>, Failure> {
        let (mut by, mut status) = (None, None);
        let (mut signs, mut is_detached, mut is_armoured) = (false, false, false);
        let mut unknown = None;
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match (arg.strip_prefix("--"), arg.strip_prefix('-')) {
                (Some("sign"), _) => signs = true,
                (Some("detach-sign"), _) => (signs, is_detached) = (true, true),
                (Some("armor"), _) => is_armoured = true,
                (Some("local-user"), _) => by = rest.next().cloned(),
                (Some("status-fd"), _) => status = rest.next().cloned(),
                (Some(long), _) => match long.strip_prefix("status-fd=") {
                    Some(number) => status = Some(number.to_owned()),
                    None => unknown = Some(arg),
                },
                (None, Some(letters)) if !letters.is_empty() => {
                    let (letters, user) =
                        letters.split_once('u').map_or((letters, None), |(l, u)| (l, Some(u)));
                    for letter in letters.chars() {
                        match letter {
                            's' => signs = true,
                            'b' => (signs, is_detached) = (true, true),
                            'a' => is_armoured = true,
                            _ => unknown = Some(arg),
                        }
                    }
                    match user {
                        Some("") => by = rest.next().cloned(),
                        Some(user) => by = Some(user.to_owned()),
                        None => {}
                    }
                }
                _ => unknown = Some(arg),
            }
        }
        if !signs {
            return Ok(None);
        }
        let usage = |why: String| {
            Failure::new(Code::Usage, why)
                .hint("git signs with `-bsau KEY`, and nothing else is understood here")
        };
        if let Some(arg) = unknown {
            return Err(usage(format!("{:?} is not understood", Label::new(arg).as_str())));
        }
        if !is_detached || !is_armoured {
            return Err(usage("only detached signatures in armour are made".to_owned()));
        }
        let by = by.ok_or_else(|| usage("no key is named".to_owned()))?;
        let number = |text: String| {
            text.parse().map_err(|_| usage(format!("--status-fd {text:?} is no number")))
        };
        Ok(Some(Self { by, status: status.map(number).transpose()? }))
    }

    /// The key that is meant: by its name here, the fingerprint or id that it has in OpenPGP, or the user id of a certificate
    /// that this device has asked for.
    fn key(&self, global: &Global) -> Result<KeyName, Failure> {
        let home = super::given::home(global)?;
        let mut records = keys::list(&home)?;
        records.dedup_by(|one, other| one.name == other.name);
        let whole =
            |name: &str| KeyName { name: name.to_owned(), steps: super::args::Steps::default() };
        if let Ok(named) = self.by.parse::<KeyName>()
            && records.iter().any(|record| record.name == named.name)
        {
            return Ok(named);
        }
        // As gpg takes them: with 0x before, and with an exclamation mark behind for just this key.
        let id = self.by.trim_end_matches('!');
        let id = id.strip_prefix("0x").unwrap_or(id).to_uppercase();
        let is_id = id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        for record in &records {
            let Some(key) = Key::new(Curve::named(record.curve), &record.public_key) else {
                continue;
            };
            let is_meant = is_id && key.hex().ends_with(&id)
                || certificate::is_kept(
                    global,
                    &key,
                    (record.curve, &record.public_key),
                    &self.by,
                )?;
            if is_meant {
                return Ok(whole(&record.name));
            }
        }
        let by = Label::new(&self.by);
        let failure = Failure::new(
            Code::NotFound,
            format!("git wants to sign as {:?}, which is no key on this device", by.as_str()),
        );
        Err(failure.hint("git config user.signingKey NAME, of one in `cosign keys`"))
    }

    /// Says a line to git.
    fn tell(&self, line: &str) -> Result<(), Failure> {
        let Some(descriptor) = self.status else { return Ok(()) };
        // Older versions of git look for a line that is not the first one.
        let text = format!("[GNUPG:] BEGIN_SIGNING H8\n[GNUPG:] {line}\n");
        let written = match descriptor {
            1 => io::stdout().write_all(text.as_bytes()),
            2 => io::stderr().write_all(text.as_bytes()),
            other => {
                let path = Path::new("/dev/fd").join(other.to_string());
                OpenOptions::new()
                    .append(true)
                    .open(path)
                    .and_then(|mut file| file.write_all(text.as_bytes()))
            }
        };
        let why = |error| format!("cannot write to --status-fd {descriptor}: {error}");
        written.map_err(|error| Failure::new(Code::System, why(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Asked>, Failure> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Asked::read(&args)
    }

    #[test]
    fn what_git_says_to_gpg_is_understood() {
        let asked = |by: &str, status| Some(Asked { by: by.into(), status });
        assert_eq!(read("--status-fd=2 -bsau release").unwrap(), asked("release", Some(2)));
        assert_eq!(read("--status-fd 3 -bsaurelease").unwrap(), asked("release", Some(3)));
        assert_eq!(read("--detach-sign --armor --local-user a").unwrap(), asked("a", None));
        for other in ["--keyid-format=long --status-fd=1 --verify a -", "--list-keys", "", "-"] {
            assert_eq!(read(other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn another_way_to_sign_is_refused() {
        for line in [
            "-sau a",
            "-bsu a",
            "-bsa",
            "-bsau",
            "-bsau a --clearsign",
            "-bseau a",
            "-bsau a file",
            "--status-fd=x -bsau a",
        ] {
            assert_eq!(read(line).unwrap_err().code, Code::Usage, "{line}");
        }
    }
}
