//! `cosign complete`, which the completion scripts call: the candidates at the cursor.
//!
//! It reads only names that are readable while the vault is locked. It asks nothing and writes
//! nothing, and on an error it offers nothing. A name that another device chose is inserted only if
//! the shell takes it for one word.

mod line;
mod scripts;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use serde_json::json;

use super::Output;
use super::args::{Cli, CompleteArgs};
use super::output::Body;
use crate::device::Label;
use crate::driver::{clock, records};
use crate::report::Failure;
use crate::vault::{Home, KeyRecord, KeyState, PeerRecord, Peers, keys};
use line::Line;
pub(super) use scripts::script;

/// `cosign complete`
pub(super) fn run_complete(args: &CompleteArgs) -> Result<Output, Failure> {
    let text = candidates(args);
    Output::with_body(json!({}), Body::Raw(text.into_bytes()))
}

/// The candidates at the cursor, one a line: the text, a tab, a description.
fn candidates(args: &CompleteArgs) -> String {
    // Bash passes the line as typed, and expects text as it is to be typed.
    let line = match (args.shell, args.words.as_slice()) {
        (Shell::Bash, [breaks, line]) => Some(Line::parse(line, breaks)),
        _ => None,
    };
    let words = line.as_ref().map_or_else(|| args.words.clone(), Line::words);
    let typed = |text: &str| match (&line, args.shell) {
        (Some(line), _) => line.typed(text),
        (None, Shell::PowerShell) => Some(line::powershell(text)),
        // The other shells quote what they insert, which would break `~/`, so such paths are left
        // to them.
        (None, _) => (!text.starts_with("~/")).then(|| text.to_owned()),
    };
    let offered = offered(&words);
    let lines = offered.iter().filter_map(|candidate| {
        let text = candidate.get_value().to_str().filter(|text| is_one_line(text))?;
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = Label::new(help.lines().next().unwrap_or_default());
        Some(format!("{}\t{help}\n", typed(text)?))
    });
    lines.collect()
}

/// The candidates for the last of `words`, the first of which is the program.
fn offered(words: &[String]) -> Vec<CompletionCandidate> {
    let Some(last) = words.len().checked_sub(1) else { return Vec::new() };
    let mut cli = with_names(Cli::command(), "", &Names::of(home(words)));
    let folder = std::env::current_dir().ok();
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let wanted_flag = words.last().is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let mut found = complete(&mut cli, words, last, folder.as_deref()).unwrap_or_default();
    // Flags are offered only after a dash, or if there are no other candidates.
    let is_flag = |c: &CompletionCandidate| c.get_value().as_encoded_bytes().starts_with(b"-");
    if !wanted_flag && found.iter().any(|c| !is_flag(c)) {
        found.retain(|c| !is_flag(c));
    }
    found
}

/// The home that the command line names.
fn home(words: &[String]) -> Option<Home> {
    let flag = words.iter().zip(words.iter().skip(1)).find_map(|(word, next)| {
        let same = word.strip_prefix("--home=");
        same.or_else(|| (word == "--home").then_some(next.as_str()))
    });
    let variable = || std::env::var_os("COSIGN_HOME").filter(|value| !value.is_empty());
    match flag.map(PathBuf::from).or_else(|| variable().map(PathBuf::from)) {
        Some(dir) => std::path::absolute(dir).ok().map(Home::at),
        None => Home::xdg().ok(),
    }
}

/// The names on this device.
#[derive(Clone, Default)]
struct Names {
    keys: Vec<KeyRecord>,
    peers: Vec<PeerRecord>,
}

impl Names {
    fn of(home: Option<Home>) -> Self {
        let Some(home) = home else { return Self::default() };
        let all = keys::each(&home).unwrap_or_default();
        let mut keys: Vec<KeyRecord> =
            all.into_iter().flat_map(|(_, key)| key.unwrap_or_default()).collect();
        keys.dedup_by(|a, b| a.name == b.name);
        records::name_parties(&home, &mut keys);
        let peers = Peers::load(&home).unwrap_or_default().iter().cloned().collect();
        Self { keys, peers }
    }

    fn keys(&self) -> Vec<(String, String)> {
        self.keys.iter().map(|key| (key.name.clone(), key_note(key))).collect()
    }

    fn pending(&self) -> Vec<(String, String)> {
        let pending = self.keys.iter().filter(|key| key.state == KeyState::Pending);
        pending.map(|key| (key.name.clone(), key_note(key))).collect()
    }

    fn peers(&self) -> Vec<(String, String)> {
        let now = clock::unix_now();
        let note = |peer: &PeerRecord| match peer.is_expired(now) {
            true => "expired".to_owned(),
            false => format!("device {}", peer.fingerprint.device_id()),
        };
        self.peers.iter().map(|peer| (peer.name.clone(), note(peer))).collect()
    }

    fn receivers(&self) -> Vec<(String, String)> {
        let words = [
            ("requester", "the device that asks"),
            ("cosigner", "the other signers"),
            ("both", "every signer"),
        ];
        let words = words.map(|(word, note)| (word.to_owned(), note.to_owned()));
        words.into_iter().chain(self.peers()).collect()
    }

    fn addresses(&self) -> Vec<(String, String)> {
        let known = self.peers.iter().filter_map(|peer| Some((peer, peer.address.as_ref()?)));
        known.map(|(peer, address)| (format!("{}={address}", peer.name), String::new())).collect()
    }
}

fn key_note(key: &KeyRecord) -> String {
    let others = key.parties.iter().filter(|party| party.index != key.me);
    let names: Vec<&str> = others.map(|party| party.name.as_str()).collect();
    let state = if key.state == KeyState::Pending { ", pending" } else { "" };
    format!("{} of {} with {}{state}", key.threshold, key.parties.len(), names.join(", "))
}

/// Tells the engine which arguments take names.
fn with_names(command: Command, path: &str, names: &Names) -> Command {
    let command = command.mut_args(|arg| {
        let known = known(path, &arg, names);
        if known.is_empty() { arg } else { arg.add(completer(known)) }
    });
    command.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name());
        with_names(sub, path.trim(), names)
    })
}

/// The names that fit `arg` of the command `path`.
fn known(path: &str, arg: &Arg, names: &Names) -> Vec<(String, String)> {
    match (path, arg.get_id().as_str()) {
        ("keygen", "key") => names.pending(),
        ("sign" | "verify", "key") => names.keys(),
        (path, "name") if path.starts_with("keys ") => names.keys(),
        ("keys rename", "old") => names.keys(),
        ("keygen" | "sign", "with") | ("keys reshare", "add" | "lost" | "remove") => names.peers(),
        ("pair" | "peers forget", "name") | ("peers rename", "old") => names.peers(),
        ("sign", "deliver_to") => names.receivers(),
        ("keygen" | "sign" | "keys refresh" | "keys reshare", "peers") => names.addresses(),
        _ => Vec::new(),
    }
}

fn completer(known: Vec<(String, String)>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy();
        let fitting = known.iter().filter(|(name, _)| name.starts_with(&*current));
        let candidate = |(name, note): &(String, String)| {
            let help = (!note.is_empty()).then(|| StyledStr::from(note.clone()));
            CompletionCandidate::new(name).help(help)
        };
        fitting.filter(|(name, _)| is_one_line(name)).map(candidate).collect()
    })
}

/// Whether a text can be offered: one line without characters that are cleaned away.
fn is_one_line(text: &str) -> bool {
    !text.is_empty() && Label::capped(text, usize::MAX).as_str() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    fn texts(line: &[&str]) -> Vec<String> {
        let found = offered(&words(line));
        found.iter().map(|c| c.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn commands_come_first_and_flags_where_one_is_begun() {
        let commands = texts(&["cosign", ""]);
        assert!(commands.contains(&"sign".to_owned()));
        assert!(commands.iter().all(|text| !text.starts_with('-') && text != "complete"));
        let flags = texts(&["cosign", "sign", "--"]);
        assert!(flags.contains(&"--key".to_owned()) && flags.contains(&"--purpose".to_owned()));
    }

    #[test]
    fn the_home_of_the_command_line_is_the_one_that_is_read() {
        let at = |line: &[&str]| home(&words(line));
        assert_eq!(at(&["cosign", "--home", "/a", "sign", ""]), Some(Home::at("/a")));
        assert_eq!(at(&["cosign", "sign", "--home=/b", ""]), Some(Home::at("/b")));
    }

    #[test]
    fn what_would_mislead_is_not_offered() {
        for text in ["", "a\nb", "a\u{1b}[1m", "b\u{202e}ob", " bob"] {
            assert!(!is_one_line(text), "{text:?}");
        }
        assert!(is_one_line("Bob's phone"));
    }
}
