//! `cosign completions` and `cosign man`: what the definition of the command line says, in other forms.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::json;

use super::Output;
use super::args::{Cli, CompletionsArgs, ManArgs};
use super::output::Body;
use crate::report::{Code, Failure};

/// Prints a completion script.
pub(super) fn run_completions(args: CompletionsArgs) -> Result<Output, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cosign", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let result = json!({ "shell": args.shell.to_string(), "script": text });
    Output::with_body(result, Body::Raw(script))
}

/// Writes the manual pages into a folder, or prints the first.
pub(super) fn run_man(args: ManArgs) -> Result<Output, Failure> {
    let pages = pages();
    match args.dir {
        None => {
            let (_, first) = pages.into_iter().next().unwrap_or_default();
            Output::with_body(json!({ "page": first }), Body::Raw(first.into_bytes()))
        }
        Some(dir) => {
            for (name, page) in &pages {
                write(&dir, name, page).map_err(|e| {
                    let path = dir.join(name);
                    Failure::new(Code::Internal, format!("cannot write {}: {e}", path.display()))
                })?;
            }
            let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
            let text = format!("{} pages written to {}", names.len(), dir.display());
            Output::new(json!({ "pages": names }), text)
        }
    }
}

fn write(dir: &Path, name: &str, page: &str) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join(name), page)
}

/// File name and content of every page, the program's own first.
fn pages() -> Vec<(String, String)> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    collect(&cli, "cosign", &mut pages);
    pages
}

fn collect(command: &Command, name: &str, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{name}.1"), page(command, name)));
    for sub in command.get_subcommands() {
        collect(sub, &format!("{name}-{}", sub.get_name()), pages);
    }
}

fn page(command: &Command, name: &str) -> String {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = render(command, name, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn render(command: &Command, name: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let shown = command.clone().after_help("");
    let man = Man::new(shown).title(name).source(format!("cosign {}", env!("CARGO_PKG_VERSION")));
    man.render_title(out)?;
    man.render_name_section(out)?;
    synopsis(command, out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(out)?;
    }
    if name == "cosign" {
        environment(command, out)?;
    }
    examples(command, out)?;
    see_also(command, name, out)
}

/// The line that the help begins with: the global flags would bury the others.
fn synopsis(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.trim_start_matches("Usage: ").trim())]);
    roff.to_writer(out)
}

/// The variables that stand for flags.
fn environment(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for flag in command.get_arguments() {
        if let (Some(name), Some(long)) = (flag.get_env(), flag.get_long()) {
            roff.control("TP", []);
            roff.text([bold(name.to_string_lossy())]);
            roff.text([roman(format!("as --{long}, which comes first"))]);
        }
    }
    roff.control("TP", []);
    roff.text([bold("NO_COLOR")]);
    roff.text([roman("no colour, whatever the terminal can do")]);
    roff.to_writer(out)
}

/// What stands below the help, with its line breaks.
fn examples(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return Ok(()) };
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for paragraph in text.strip_prefix("Examples:\n").unwrap_or(&text).split("\n\n") {
        let literal = paragraph.starts_with("  ");
        roff.control(if literal { "nf" } else { "PP" }, []);
        for line in paragraph.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        if literal {
            roff.control("fi", []);
        }
    }
    roff.to_writer(out)
}

fn see_also(command: &Command, name: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    let parent = name.rsplit_once('-').map(|(parent, _)| parent.to_owned());
    let subs = command.get_subcommands().map(|sub| format!("{name}-{}", sub.get_name()));
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
