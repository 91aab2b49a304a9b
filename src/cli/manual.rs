//! The manual pages, one for each command, generated from the definition of the command line.

use std::io::Write as _;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::args::Cli;
use crate::report::{Code, exit, meaning};

/// File name and content of every page, the program's own first.
pub(super) fn pages() -> Vec<(String, String)> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let globals: Vec<clap::Arg> =
        cli.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let mut pages = Vec::new();
    collect(&cli, "cosign", &globals, &mut pages);
    pages
}

fn collect(
    command: &Command,
    name: &str,
    globals: &[clap::Arg],
    pages: &mut Vec<(String, String)>,
) {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = render(command, name, globals, &mut out);
    pages.push((format!("{name}.1"), String::from_utf8_lossy(&out).into_owned()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, &format!("{name}-{}", sub.get_name()), globals, pages);
    }
}

fn render(
    command: &Command,
    name: &str,
    globals: &[clap::Arg],
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let shown = command.clone().after_help("");
    let man = Man::new(shown);
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (literal, prose): (Vec<&str>, Vec<&str>) = help
        .strip_prefix("Examples:\n")
        .unwrap_or(&help)
        .split("\n\n")
        .filter(|paragraph| !paragraph.is_empty() && !paragraph.starts_with("Exit codes:"))
        .partition(|paragraph| paragraph.starts_with("  "));
    // An empty date; `Man` cannot leave it out.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH {name} 1 \"\" \"cosign {version}\" \"User Commands\"")?;
    man.render_name_section(out)?;
    synopsis(command, out)?;
    man.render_description_section(out)?;
    paragraphs(&prose, out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(out)?;
    }
    examples(&literal, out)?;
    exit_status(name, out)?;
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    environment(globals.iter().chain(own), out)?;
    files(name, out)?;
    see_also(command, name, out)
}

/// The synopsis as in the help, without the many global flags.
fn synopsis(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.trim_start_matches("Usage: ").trim())]);
    roff.to_writer(out)
}

/// The prose below the examples of the help.
fn paragraphs(prose: &[&str], out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    for paragraph in prose {
        roff.control("PP", []);
        roff.text([roman(paragraph.replace('\n', " "))]);
    }
    roff.to_writer(out)
}

/// The examples of the help, unwrapped.
fn examples(literal: &[&str], out: &mut Vec<u8>) -> std::io::Result<()> {
    if literal.is_empty() {
        return Ok(());
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for (i, paragraph) in literal.iter().enumerate() {
        if i > 0 {
            roff.text([roman("")]);
        }
        for line in paragraph.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    roff.control("fi", []);
    roff.to_writer(out)
}

/// The exit codes that the command can end with.
fn exit_status(name: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    let valid = if name == "cosign-verify" { "the signature is valid" } else { "done" };
    let rows = std::iter::once((0, valid))
        .chain(exits(name).into_iter().map(|code| (exit(code), meaning(code))));
    for (exit, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(exit.to_string())]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(out)
}

fn exits(name: &str) -> Vec<Code> {
    use crate::error_kind::ErrorKind::{
        Aborted, Banned, Conflict, Denied, Given, Identity, Interaction, Internal, Interrupted,
        Invalid, Locked, NotFound, Policy, System, Tampered, Unreachable, Unsupported, Usage, Worn,
    };
    // Commands that open the vault and may ask for its secret.
    let vault = [Locked, NotFound, Interaction, Conflict, Tampered, Interrupted];
    // Commands that open the vault only with a secret from the command line.
    let look = [Usage, Locked, NotFound, Conflict, Tampered];
    let ceremony =
        [Usage, Denied, Unreachable, Identity, Aborted, Unsupported, Banned, Policy, Worn];
    let mut codes = match name.strip_prefix("cosign-").unwrap_or_default() {
        "" => [&[Invalid, Given][..], &ceremony, &vault].concat(),
        "listen" | "sign" => [&ceremony[..], &[Given], &vault].concat(),
        "pair" | "keygen" | "keys-refresh" | "keys-reshare" => [&ceremony[..], &vault].concat(),
        "demo" => [&ceremony[..], &[Interrupted]].concat(),
        "init" | "id" | "discover" | "keys-export" | "keys-backup" | "keys-rename" => {
            [&[Usage][..], &vault].concat()
        }
        "doctor" => [&[Invalid, Unreachable, Interrupted][..], &look].concat(),
        "keys-verify-backup" => [&[Invalid, Interaction, Interrupted][..], &look].concat(),
        "keys-restore" => [&[Invalid, Usage][..], &vault].concat(),
        "keys-combine" => {
            vec![Invalid, Usage, Denied, Locked, NotFound, Interaction, Conflict, Interrupted]
        }
        "bench" => vec![Usage, Aborted, Interrupted],
        "verify" => [&[Invalid][..], &look].concat(),
        "log" => [&[Invalid][..], &look].concat(),
        "token" | "token-list" => vec![Usage, Locked, NotFound],
        "vault" | "vault-move" | "vault-passphrase" | "keys-delete" => {
            [&[Usage, Denied][..], &vault].concat()
        }
        "peers" | "peers-add" | "peers-rename" | "peers-forget" => [&[Usage][..], &vault].concat(),
        "peers-list" | "keys-list" | "keys-show" => look.to_vec(),
        "keys" => [&[Invalid][..], &ceremony, &vault].concat(),
        "policy" | "policy-check" => [&[Policy, Interaction][..], &look].concat(),
        "relay" => vec![Usage, NotFound, Conflict, Interrupted],
        _ => vec![Usage],
    };
    codes.extend([System, Internal]);
    codes.sort_by_key(|code| exit(*code));
    codes
}

/// The variables of the flags, and other variables that are read.
fn environment<'a>(
    flags: impl Iterator<Item = &'a clap::Arg>,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    let mut row = |name: &str, text: Vec<Inline>| {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text(text);
    };
    for flag in flags {
        if let (Some(name), Some(long)) = (flag.get_env(), flag.get_long()) {
            let text = vec![roman("as "), bold(format!("--{long}")), roman(", which comes first")];
            row(&name.to_string_lossy(), text);
        }
    }
    for (name, text) in [
        ("NO_COLOR", "no colour, whatever the terminal can do"),
        ("TERM", "no styling where it is dumb or missing"),
        ("XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME", "where the folders below are"),
    ] {
        row(name, vec![roman(text)]);
    }
    roff.to_writer(out)
}

/// The files that the command reads or writes.
fn files(name: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    let alone =
        ["cosign-completions", "cosign-man", "cosign-version", "cosign-bench", "cosign-demo"];
    let all: &[(&str, &str)] = if alone.contains(&name) { &[SETTINGS] } else { FILES };
    for (path, text) in all {
        roff.control("TP", []);
        roff.text([italic(*path)]);
        roff.text([roman(*text)]);
    }
    roff.control("PP", []);
    roff.text([
        roman("With "),
        bold("--home"),
        roman(" or "),
        bold("COSIGN_HOME"),
        roman(" these are "),
        italic("DIR/config"),
        roman(", "),
        italic("DIR/data"),
        roman(" and "),
        italic("DIR/state"),
        roman(". Files are mode 0600 in folders of mode 0700; looser ones are refused."),
    ]);
    roff.to_writer(out)
}

const SETTINGS: (&str, &str) =
    ("~/.config/cosign/config.toml", "settings that no flag and no variable gives");

const FILES: &[(&str, &str)] = &[
    SETTINGS,
    ("~/.config/cosign/peers.json", "the paired devices"),
    ("~/.local/share/cosign/", "the vault: device key and key shares, sealed with age"),
    (
        "~/.local/state/cosign/log.jsonl",
        "the record of every ceremony, each line chained to the last",
    ),
    (
        "~/.local/state/cosign/ledger.jsonl",
        "spent sessions and banned devices; never restore an old one",
    ),
];

fn see_also(command: &Command, name: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let parent = name.rsplit_once('-').map(|(parent, _)| parent.to_owned());
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let subs = subs.map(|sub| format!("{name}-{}", sub.get_name()));
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (i, page) in parent.into_iter().chain(subs).enumerate() {
        if i > 0 {
            line.push(roman(", "));
        }
        line.extend([bold(page), roman("(1)")]);
    }
    if line.is_empty() {
        return Ok(());
    }
    roff.text(line);
    roff.to_writer(out)
}
