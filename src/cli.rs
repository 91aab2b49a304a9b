//! The command line: parse, call, print. One file per command.

pub mod args;
pub mod config;
pub mod digest;
pub mod given;
pub mod global;
pub mod output;
pub mod policy;
mod private_key;
pub mod public_key;
pub mod qr;
pub mod signature;
mod sigstore;
pub mod unlock;

mod address;
mod approver;
mod backup;
mod bench;
mod builds;
mod ceremony;
mod certificate;
mod chosen;
mod combine;
mod complete;
mod delete;
mod demo;
mod discover;
mod doctor;
mod generate;
mod git_sign;
mod init;
mod inventory;
mod keygen;
mod keys;
mod listen;
mod log;
mod manual;
mod pair;
mod passphrase;
mod peers;
mod refresh;
mod relay;
mod reshare;
mod runtime;
mod setup;
mod show;
mod sign;
mod start;
mod token;
mod vault;
mod verify;
mod version;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::report::{Code, Failure, Flags};
use crate::token::host;
use args::{
    Cli, Command, KeyFormat, KeysArgs, KeysCommand, PeersArgs, PeersCommand, PolicyCommand,
    TokenCommand, VaultCommand,
};
pub use global::Global;
pub use output::{Output, Voice};

/// Runs the program with `argv` (its own name first) and returns the exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    harden();
    let argv = as_git_calls(argv.into_iter().collect());
    if let Some(module) = host::asked_for(&argv) {
        return host::serve(module);
    }
    let voice = Voice { json: has(&argv, "--json"), events: has(&argv, "--events") };
    match parse(&argv) {
        Ok(cli) => {
            let name = name(&cli.command);
            let outcome = match &cli.command {
                // Settings and log file are not touched: pressing Tab must have no effect.
                Command::Complete(args) => complete::run_complete(args),
                command if needs_no_device(command) => Global::without_settings(cli.global)
                    .and_then(|global| run(&global, cli.command)),
                _ => Global::new(cli.global).and_then(|global| run(&global, cli.command)),
            };
            output::finish(name, outcome, voice)
        }
        Err(Unparsed::Help(help)) => {
            // A closed standard output is not an error here.
            let _ = help.print();
            ExitCode::SUCCESS
        }
        Err(Unparsed::Start(failure)) => {
            if !voice.json && !voice.events {
                // A closed standard error is not a further error.
                let _ = io::stderr().write_all(start::text().as_bytes());
            }
            output::finish("", Err(failure), voice)
        }
        Err(Unparsed::Wrong(failure)) => output::finish(&command_of(&argv), Err(failure), voice),
    }
}

/// The command line of `cosign git-sign` where git has called the program by a name for that.
fn as_git_calls(argv: Vec<OsString>) -> Vec<OsString> {
    let name = argv.first().and_then(|name| Path::new(name).file_name());
    if name != Some(OsStr::new(git_sign::CALLED)) {
        return argv;
    }
    let command = ["cosign", "git-sign", "--"].map(OsString::from);
    command.into_iter().chain(argv.into_iter().skip(1)).collect()
}

/// Keeps the memory of this process out of core dumps and away from other processes of the same
/// user, and keeps inherited descriptors, one of which may hold the passphrase, from programs that
/// it starts. Neither it nor they can gain privileges, as by sudo. If the system refuses any of
/// this, the program still runs.
fn harden() {
    close_fds::set_fds_cloexec(3, &[]);
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = rustix::thread::set_no_new_privs(true);
    }
}

/// Whether the command works without a device, and if the settings of one cannot be read.
fn needs_no_device(command: &Command) -> bool {
    match command {
        Command::Verify(args) => args.public_key.is_some(),
        Command::GitSign(args) => !git_sign::signs(&args.gpg),
        Command::Version
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Relay(_)
        | Command::Policy(_)
        | Command::Show(_) => true,
        _ => false,
    }
}

/// Calls the command.
fn run(global: &Global, command: Command) -> Result<Output, Failure> {
    let outcome = result(global, command);
    let failure = outcome.as_ref().map_or_else(Some, Output::verdict);
    global.misfits.tell(&global.screen, failure);
    outcome
}

fn result(global: &Global, command: Command) -> Result<Output, Failure> {
    match command {
        Command::Setup(args) => setup::run_setup(global, args),
        Command::Init(args) => init::run_init(global, args),
        Command::Id => init::run_id(global),
        Command::Rename { name } => init::run_rename(global, &name),
        Command::Discover(args) => discover::run_discover(global, args),
        Command::Listen(args) => listen::run_listen(global, args),
        Command::Pair(args) => pair::run_pair(global, args),
        Command::Peers(args) => peers::run_peers(global, args.command.unwrap_or_default()),
        Command::Keygen(args) => keygen::run_keygen(global, args),
        Command::Sign(args) => sign::run_sign(global, *args),
        Command::GitSign(args) => git_sign::run_git_sign(global, *args),
        Command::Verify(args) => verify::run_verify(global, args),
        Command::Show(args) => show::run_show(global, &args),
        Command::Keys(KeysArgs { command: Some(KeysCommand::Export(args)) })
            if args.format == KeyFormat::OpenPgp =>
        {
            certificate::run_certificate(global, *args)
        }
        Command::Keys(args) => keys::run_keys(global, args.command.unwrap_or_default()),
        Command::Vault(VaultCommand::Move(args)) => vault::run_move(global, args),
        Command::Vault(VaultCommand::Passphrase { new_passphrase_file }) => {
            vault::run_passphrase(global, new_passphrase_file.as_deref())
        }
        Command::Token(TokenCommand::List) => token::run_list(global),
        Command::Policy(command) => policy::run_policy(global, command),
        Command::Log(args) => log::run_log(global, args),
        Command::Demo(args) => demo::run_demo(global, args),
        Command::Relay(args) => relay::run_relay(global, args),
        Command::Bench(args) => bench::run_bench(global, args),
        Command::Completions(args) => generate::run_completions(&args),
        Command::Complete(args) => complete::run_complete(&args),
        Command::Man(args) => generate::run_man(args),
        Command::Config => config::run_config(global),
        Command::Doctor(args) => doctor::run_doctor(global, args),
        Command::Version => version::run_version(),
    }
}

/// The command's name in the JSON document.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Setup(_) => "setup",
        Command::Init(_) => "init",
        Command::Id => "id",
        Command::Rename { .. } => "rename",
        Command::Discover(_) => "discover",
        Command::Listen(_) => "listen",
        Command::Pair(_) => "pair",
        Command::Peers(PeersArgs { command: None | Some(PeersCommand::List) }) => "peers list",
        Command::Peers(PeersArgs { command: Some(PeersCommand::Add { .. }) }) => "peers add",
        Command::Peers(PeersArgs { command: Some(PeersCommand::Rename { .. }) }) => "peers rename",
        Command::Peers(PeersArgs { command: Some(PeersCommand::Forget { .. }) }) => "peers forget",
        Command::Keygen(_) => "keygen",
        Command::Sign(_) => "sign",
        Command::GitSign(_) => "git-sign",
        Command::Verify(_) => "verify",
        Command::Show(_) => "show",
        Command::Keys(KeysArgs { command: None | Some(KeysCommand::List) }) => "keys list",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Show { .. }) }) => "keys show",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Export(_)) }) => "keys export",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Address(_)) }) => "keys address",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Refresh(_)) }) => "keys refresh",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Backup(_)) }) => "keys backup",
        Command::Keys(KeysArgs { command: Some(KeysCommand::VerifyBackup(_)) }) => {
            "keys verify-backup"
        }
        Command::Keys(KeysArgs { command: Some(KeysCommand::Restore(_)) }) => "keys restore",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Combine(_)) }) => "keys combine",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Rename { .. }) }) => "keys rename",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Reshare(_)) }) => "keys reshare",
        Command::Keys(KeysArgs { command: Some(KeysCommand::Delete { .. }) }) => "keys delete",
        Command::Vault(VaultCommand::Move(_)) => "vault move",
        Command::Vault(VaultCommand::Passphrase { .. }) => "vault passphrase",
        Command::Token(TokenCommand::List) => "token list",
        Command::Policy(PolicyCommand::Check(_)) => "policy check",
        Command::Log(_) => "log",
        Command::Demo(_) => "demo",
        Command::Relay(_) => "relay",
        Command::Bench(_) => "bench",
        Command::Completions(_) => "completions",
        Command::Complete(_) => "complete",
        Command::Man(_) => "man",
        Command::Config => "config",
        Command::Doctor(_) => "doctor",
        Command::Version => "version",
    }
}

/// A command line that runs no command.
enum Unparsed {
    /// Help or the version.
    Help(clap::Error),
    /// The command is missing, so what to type first is printed.
    Start(Failure),
    /// The command line is wrong.
    Wrong(Failure),
}

fn parse(argv: &[OsString]) -> Result<Cli, Unparsed> {
    use clap::error::ErrorKind;
    if let Some(failure) = sigstore::recognise(argv) {
        return Err(Unparsed::Wrong(failure));
    }
    let parsed = without_empty(Cli::command()).try_get_matches_from(argv).and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        cli.global.settings = config::settings(&matches);
        crate::report::called_with(repeated(&matches));
        Ok(cli)
    });
    parsed.map_err(without_hidden).map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Unparsed::Help(e),
        // `cosign peers` alone lacks a subcommand as well, but needs no introduction.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
            if command_of(argv).is_empty() =>
        {
            Unparsed::Start(usage(&e, argv))
        }
        _ => Unparsed::Wrong(usage(&e, argv)),
    })
}

/// The flags of this command line that commands in hints have to repeat.
fn repeated(matches: &clap::ArgMatches) -> Flags {
    let (mut leaf, mut command) = (matches, Cli::command());
    command.build();
    while let Some((name, sub)) = leaf.subcommand() {
        leaf = sub;
        command = command.find_subcommand(name).cloned().unwrap_or_default();
    }
    let given = |names: &[&str]| {
        let flags = command.get_arguments().filter(|arg| {
            arg.get_long().is_some_and(|long| names.contains(&long))
                && leaf.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        });
        let words = flags.flat_map(|arg| {
            let values = leaf.get_raw(arg.get_id().as_str()).into_iter().flatten();
            let flag = format!("--{}", arg.get_long().unwrap_or_default());
            values.flat_map(move |value| [OsString::from(&flag), value.to_owned()])
        });
        words.collect()
    };
    Flags {
        global: given(&["home", "identity", "passphrase-file", "module", "pin-file", "tls"]),
        meeting: given(&["relay", "interface"]),
        // For commands without `--via NAME=...`, such as `pair`, `--peer` is the other device's
        // address.
        routes: if leaf.try_contains_id("vias").is_ok() {
            given(&["peer", "via"])
        } else {
            Vec::new()
        },
    }
}

/// The command, with empty environment variables taken for unset.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(
            |arg| {
                if arg.get_env().is_some_and(is_empty) { arg.env(None::<&str>) } else { arg }
            },
        )
        .mut_subcommands(without_empty)
}

/// Removes hidden commands from what clap suggests.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
        let cli = Cli::command();
        let hidden = |name: &String| cli.find_subcommand(name).is_some_and(|c| c.is_hide_set());
        let shown = names.iter().filter(|name| !hidden(name)).cloned().collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
    }
    error
}

/// Clap's error in our form: what is wrong on one line, what to do on another.
fn usage(error: &clap::Error, argv: &[OsString]) -> Failure {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        let commands = meant(argv);
        if commands.get_name() == "cosign" {
            return Failure::new(Code::Usage, "no command was given")
                .hint("`cosign --help` lists the commands, `cosign demo` shows them at work");
        }
        let shown = commands.get_subcommands().filter(|sub| sub.get_name() != "help");
        let name = commands.get_bin_name().unwrap_or_default();
        let next: Vec<String> = shown.map(|sub| format!("`{name} {}`", sub.get_name())).collect();
        return Failure::new(Code::Usage, format!("{name}: no command was given"))
            .hint(format!("{}; see `{name} --help`", next.join(", ")));
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(one_line);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let hint = paragraphs
        .find_map(|p| {
            p.strip_prefix("tip: ")
                .map(str::to_owned)
                // Clap's own usage line lists flags with variables as required ones.
                .or_else(|| p.starts_with("Usage: ").then(|| one_line(&usage_line(argv))))
        })
        .unwrap_or_else(|| "see `cosign --help`".to_owned());
    Failure::new(Code::Usage, message).hint(hint)
}

fn usage_line(argv: &[OsString]) -> String {
    meant(argv).render_usage().to_string().replace("Usage: ", "usage: ")
}

/// The innermost command of a command line that does not parse.
fn meant(argv: &[OsString]) -> clap::Command {
    let mut cli = Cli::command();
    cli.build();
    let words = argv.iter().skip(1).filter_map(|word| word.to_str());
    words.fold(cli, |command, word| command.find_subcommand(word).cloned().unwrap_or(command))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The command of a command line that does not parse; empty if there is none.
fn command_of(argv: &[OsString]) -> String {
    let commands = Cli::command();
    let known = |word: &&str| commands.get_subcommands().any(|c| c.get_name() == *word);
    argv.iter().skip(1).filter_map(|a| a.to_str()).find(known).unwrap_or_default().to_owned()
}

/// Whether a flag is there, also on a command line that does not parse.
fn has(argv: &[OsString], flag: &str) -> bool {
    argv.iter().skip(1).take_while(|a| *a != "--").any(|a| a == flag)
}
