//! What every command is given: the global flags, the screen and the prompter.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::args::{Color, GlobalArgs};
use super::config::Config;
use super::output::unwritable;
use crate::driver::clock;
use crate::net::relay::RelayUrl;
use crate::progress::Event;
use crate::report::{Code, Failure};
use crate::ui::{Format, Prompter, Recorder, Screen, Style};
use crate::vault::{Deadline, Home};

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Global {
    /// The global flags and variables, completed by `config.toml`.
    pub args: GlobalArgs,
    /// Where this device keeps things; `None` where not even the XDG directories are known.
    pub home: Option<Home>,
    /// What `config.toml` calls a new device.
    pub name: Option<String>,
    /// The relay that `config.toml` names.
    pub relay: Option<RelayUrl>,
    /// Where progress is shown.
    pub screen: Screen,
    /// Who is asked.
    pub prompter: Prompter,
    /// When the whole command is to end.
    pub deadline: Option<Instant>,
}

impl Global {
    /// Reads the settings, opens the log file and decides how to speak.
    pub fn new(mut args: GlobalArgs) -> Result<Self, Failure> {
        let home = match &args.home {
            Some(dir) => Some(std::path::absolute(dir).map(Home::at).map_err(|e| {
                Failure::new(Code::Usage, format!("--home {}: {e}", dir.display()))
            })?),
            None => Home::xdg().ok(),
        };
        let config = home.as_ref().map(Config::load).transpose()?.unwrap_or_default();
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
        let screen = Screen::new(format, style, recorder, clock::now);
        let deadline = args.timeout.map(|timeout| clock::now() + timeout);
        let home = home.map(|home| {
            home.with_deadline(deadline.map(|moment| Deadline::new(moment, clock::now)))
        });
        let prompter = Prompter::new(screen.clone(), args.no_input).with_deadline(deadline);
        Ok(Self { args, home, name: config.name, relay: config.relay, screen, prompter, deadline })
    }

    /// Whether a full screen is wanted and there is somebody to see it.
    pub fn fills(&self) -> bool {
        let GlobalArgs { json, events, plain, no_input, quiet, .. } = self.args;
        !(json || events || plain || no_input || quiet) && Screen::can_fill()
    }

    /// The deadline for the whole command, from now.
    pub fn timeout(&self) -> Option<Duration> {
        self.args.timeout
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

/// Appends every event to `path` with the time, without the digits of a pairing code.
fn recorder(path: &Path) -> Result<Recorder, Failure> {
    // A pipe that nobody reads is an error now, and a full one later loses lines: neither is waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(flags);
    let opened = options.open(path);
    let mut file =
        opened.map_err(|e| unwritable(&format!("the log file {}", path.display()), &e))?;
    Ok(Box::new(move |event| {
        let Ok(mut line) = serde_json::to_value(without_code(event)) else { return };
        line["time"] = clock::rfc3339(clock::unix_now()).into();
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
