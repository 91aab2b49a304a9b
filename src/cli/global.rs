//! The environment of every command: the global flags, the screen and the prompter.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, OFlags};

use super::args::{Color, GlobalArgs};
use super::config::Config;
use super::given::Heard;
use super::output::unwritable;
use super::unlock::Misfits;
use crate::driver::clock;
use crate::net::relay::RelayUrl;
use crate::progress::Event;
use crate::report::{Code, Failure};
use crate::ui::{Clock, Format, Prompter, Recorder, Screen, Stamped, Style};
use crate::vault::{Deadline, Home};

/// The environment of every command.
#[derive(Clone, Debug)]
pub struct Global {
    /// The global flags and variables, completed by `config.toml`.
    pub args: GlobalArgs,
    /// The home of this device; `None` if the XDG directories are unknown.
    pub home: Option<Home>,
    /// The name of a new device in `config.toml`.
    pub name: Option<String>,
    /// The relay in `config.toml`.
    pub relay: Option<RelayUrl>,
    /// Shows progress.
    pub screen: Screen,
    /// Asks the person.
    pub prompter: Prompter,
    /// The secrets that were read from descriptors.
    pub heard: Arc<Heard>,
    /// The files that do not fit, until they are reported.
    pub misfits: Arc<Misfits>,
    /// The typed passphrase, for a command that opens the vault several times.
    pub typed: Option<Arc<Heard>>,
    /// The deadline of the whole command.
    pub deadline: Option<Instant>,
}

impl Global {
    /// Reads the settings, opens the log file and chooses the output format.
    pub fn new(args: GlobalArgs) -> Result<Self, Failure> {
        let home = home(&args)?;
        let config = home.as_ref().map(Config::load).transpose()?.unwrap_or_default();
        Self::with(args, home, config)
    }

    /// As [`Global::new`], for a command that needs no device: unreadable settings are ignored.
    pub fn without_settings(args: GlobalArgs) -> Result<Self, Failure> {
        let home = home(&args)?;
        let config = home.as_ref().and_then(|home| Config::load(home).ok()).unwrap_or_default();
        Self::with(args, home, config)
    }

    fn with(mut args: GlobalArgs, home: Option<Home>, config: Config) -> Result<Self, Failure> {
        config.complete(&mut args);
        let format = match (args.events, args.quiet) {
            (true, _) => Format::Events,
            (false, true) => Format::Quiet,
            (false, false) => Format::Prose,
        };
        let style = Style {
            color: colored(&args),
            terminal: io::stderr().is_terminal(),
            verbose: args.verbose,
            ..Style::default()
        };
        let recorder = args.log_file.as_deref().map(recorder).transpose()?;
        let screen =
            Screen::new(format, style, recorder, Clock { now: clock::now, stamp: clock::stamp });
        let deadline = args.timeout.map(|timeout| clock::now() + timeout);
        let home = home.map(|home| {
            home.with_deadline(deadline.map(|moment| Deadline::new(moment, clock::now)))
        });
        let prompter = Prompter::new(screen.clone(), args.no_input).with_deadline(deadline);
        // A pipe at standard input is data, so questions go to the terminal.
        let prompter = if is_a_pipe() { prompter.at("/dev/tty") } else { prompter };
        let heard = Arc::default();
        Ok(Self {
            args,
            home,
            name: config.name,
            relay: config.relay,
            screen,
            prompter,
            heard,
            misfits: Arc::default(),
            typed: None,
            deadline,
        })
    }

    /// Whether a full screen is wanted and possible.
    pub fn fills(&self) -> bool {
        let GlobalArgs { json, events, plain, no_input, quiet, .. } = self.args;
        !(json || events || plain || no_input || quiet) && Screen::can_fill()
    }

    /// Whether the output is for a person who can be asked.
    pub fn is_for_people(&self) -> bool {
        !self.args.json && !self.args.events && self.prompter.can_ask()
    }

    /// The time limit of the whole command.
    pub fn timeout(&self) -> Option<Duration> {
        self.args.timeout
    }
}

/// The home that `args`, or else the environment, name.
fn home(args: &GlobalArgs) -> Result<Option<Home>, Failure> {
    match &args.home {
        Some(dir) => std::path::absolute(dir)
            .map(|dir| Some(Home::at(dir)))
            .map_err(|e| Failure::new(Code::Usage, format!("--home {}: {e}", dir.display()))),
        None => Ok(Home::xdg().ok()),
    }
}

/// Whether standard error gets escape sequences. An empty `NO_COLOR` counts as unset.
fn colored(args: &GlobalArgs) -> bool {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    match args.color.unwrap_or_default() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            !args.plain
                && io::stderr().is_terminal()
                && variable("NO_COLOR").is_none()
                && variable("TERM").is_some_and(|term| term != "dumb")
        }
    }
}

/// Whether standard input is a pipe.
fn is_a_pipe() -> bool {
    let status = rustix::fs::fstat(io::stdin());
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo)
}

/// Appends every event to `path` with the time, without the digits of a pairing code.
fn recorder(path: &Path) -> Result<Recorder, Failure> {
    // Opened without blocking: a pipe without a reader is an error now, and a full one loses lines
    // later.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(flags);
    let opened = options.open(path);
    let mut file =
        opened.map_err(|e| unwritable(&format!("the log file {}", path.display()), &e))?;
    Ok(Box::new(move |event| {
        let line = Stamped { event: &without_code(event), time: clock::stamp() };
        let Ok(line) = serde_json::to_string(&line) else { return };
        // A full disk must not end a ceremony.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }))
}

fn without_code(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::Code { code, .. } = &mut event {
        "*** ***".clone_into(code);
    }
    event
}
