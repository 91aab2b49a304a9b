//! `config.toml`, which sets what no flag and no variable sets, and `cosign config`, which prints
//! the result.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::json;

use super::args::{Cli, Color, GlobalArgs, Origin, Setting, Tls, absolute, duration};
use super::output::Table;
use super::{Global, Output};
use crate::device::{Label, shown_on_one_line};
use crate::net::relay::RelayUrl;
use crate::policy::in_one_line;
use crate::report::{Code, Failure};
use crate::vault::given::{self, Guard};
use crate::vault::{Error, Home, Vault};

/// The settings. All are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A new device's name.
    pub(super) name: Option<String>,
    /// The relay to meet at.
    #[serde(default, deserialize_with = "url")]
    pub(super) relay: Option<RelayUrl>,
    identity: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    module: Option<PathBuf>,
    pin_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "time")]
    timeout: Option<Duration>,
    tls: Option<Tls>,
    color: Option<Color>,
    #[serde(default)]
    require_log: bool,
    blind: Option<bool>,
}

impl Config {
    /// Reads the settings of the device in `home`; without a file there are none.
    pub fn load(home: &Home) -> Result<Self, Failure> {
        let path = home.config.join("config.toml");
        let shown = path.display();
        let text = match given::read(&path, Guard::Unaltered, MAX_FILE) {
            Ok(text) => String::from_utf8(text.expose().clone())
                .map_err(|_| Failure::new(Code::Usage, format!("{shown}: not UTF-8 text")))?,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(crate::report::unreadable(error, &shown.to_string())),
        };
        let config: Self = toml::from_str(&text).map_err(|e| {
            let why = format!("{}: {}", path.display(), in_one_line(&text, &e));
            Failure::new(Code::Usage, why)
        })?;
        Ok(config.with_whole_paths())
    }

    /// The settings with absolute paths, as those of the command line.
    fn with_whole_paths(mut self) -> Self {
        let Self { identity, passphrase_file, module, pin_file, .. } = &mut self;
        for path in [identity, passphrase_file, module, pin_file].into_iter().flatten() {
            *path = absolute(path);
        }
        self
    }

    /// Fills in what the command line and the environment leave unset.
    pub(super) fn complete(&self, args: &mut GlobalArgs) {
        // If the command line names what unlocks the vault, config.toml's is ignored.
        let named = args.identity.is_some()
            || args.passphrase_file.is_some()
            || args.passphrase_fd.is_some();
        let GlobalArgs { settings, .. } = args;
        let shown = |path: &PathBuf| path.display().to_string();
        if !named {
            fill(&mut args.identity, &self.identity, settings, "identity", shown);
            fill(
                &mut args.passphrase_file,
                &self.passphrase_file,
                settings,
                "passphrase_file",
                shown,
            );
        }
        if args.pin_fd.is_none() && args.pin_file.is_none() {
            fill(&mut args.pin_file, &self.pin_file, settings, "pin_file", shown);
        }
        fill(&mut args.module, &self.module, settings, "module", shown);
        let span = |time: &Duration| humantime::format_duration(*time).to_string();
        fill(&mut args.timeout, &self.timeout, settings, "timeout", span);
        fill(&mut args.tls, &self.tls, settings, "tls", word);
        fill(&mut args.color, &self.color, settings, "color", word);
        let mut record = args.require_log.then_some(true);
        let given = self.require_log.then_some(true);
        fill(&mut record, &given, settings, "require_log", bool::to_string);
        args.require_log = record.is_some();
        args.no_blind = self.blind == Some(false);
    }
}

/// Takes a value from the file if it is unset, and notes where it comes from.
fn fill<T: Clone>(
    open: &mut Option<T>,
    given: &Option<T>,
    settings: &mut [Setting],
    name: &str,
    shown: impl Fn(&T) -> String,
) {
    let (None, Some(value)) = (&open, given) else { return };
    *open = Some(value.clone());
    if let Some(setting) = settings.iter_mut().find(|setting| setting.name == name) {
        setting.value = Some(shown(value));
        setting.source = Origin::File;
    }
}

fn word(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The global flags of a command line, with their values and origins.
pub(super) fn settings(matches: &ArgMatches) -> Vec<Setting> {
    // The innermost command knows all global flags, whichever command they were given to.
    let mut leaf = matches;
    while let Some((_, sub)) = leaf.subcommand() {
        leaf = sub;
    }
    let cli = Cli::command();
    let flags = cli.get_arguments().filter(|arg| arg.is_global_set());
    let setting = |arg: &clap::Arg| {
        let source = match leaf.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Variable,
            _ => Origin::Default,
        };
        let id = arg.get_id().as_str();
        let value = match arg.get_action() {
            ArgAction::SetTrue => Some(leaf.get_flag(id).to_string()),
            ArgAction::Count => Some(leaf.get_count(id).to_string()),
            _ => leaf.get_raw(id).map(|values| {
                let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                values.join(" ")
            }),
        };
        let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
        Setting { name: id.to_owned(), value, source, variable }
    };
    flags.map(setting).collect()
}

/// `cosign config`
pub(super) fn run_config(global: &Global) -> Result<Output, Failure> {
    let home = crate::cli::given::home(global)?;
    let file = home.config.join("config.toml");
    let name = match (Vault::device(&home), &global.name) {
        (Ok(device), _) => (Some(device.name), Origin::Device),
        (Err(_), Some(name)) => (Some(name.clone()), Origin::File),
        (Err(_), None) => (None, Origin::Default),
    };
    let mut settings = global.args.settings.clone();
    for setting in settings.iter_mut().filter(|setting| setting.value.is_none()) {
        setting.value = match setting.name.as_str() {
            "color" => Some(word(&Color::default())),
            "tls" => Some(word(&Tls::Any)),
            _ => None,
        };
    }
    settings.push(Setting { name: "name".into(), value: name.0, source: name.1, variable: None });
    let of_variable = std::env::var(RELAY).ok().filter(|url| !url.is_empty());
    let relay = match (of_variable, &global.relay) {
        (Some(url), _) => (Some(url), Origin::Variable),
        (None, Some(url)) => (Some(url.to_string()), Origin::File),
        (None, None) => (None, Origin::Default),
    };
    let variable = Some(RELAY.to_owned());
    settings.push(Setting { name: "relay".into(), value: relay.0, source: relay.1, variable });
    settings.sort_by(|a, b| a.name.cmp(&b.name));

    let mut table = Table::new(["NAME", "VALUE", "SOURCE", "VARIABLE"]);
    for Setting { name, value, source, variable } in &settings {
        let variable = variable.as_deref().unwrap_or_default();
        let source = serde_json::to_value(source).unwrap_or_default();
        table.row([
            name,
            &Label::capped(value.as_deref().unwrap_or("-"), 200).to_string(),
            source.as_str().unwrap_or_default(),
            variable,
        ]);
    }
    let folders = [("config", &home.config), ("data", &home.data), ("state", &home.state)];
    let mut text = table.text() + "\n";
    for (what, folder) in folders {
        text += &format!("{what:<7}{}\n", in_a_line(folder));
    }
    let there = if file.exists() { "" } else { " (not there)" };
    text += &format!("file   {}{there}\n", in_a_line(&file));
    let result = json!({
        "settings": settings,
        "config": home.config.to_string_lossy(), "data": home.data.to_string_lossy(),
        "state": home.state.to_string_lossy(), "file": file.to_string_lossy(), "file_exists": file.exists(),
    });
    Output::new(result, text)
}

/// A path as one line of text.
fn in_a_line(path: &Path) -> String {
    shown_on_one_line(&path.to_string_lossy())
}

/// The most that is read of `config.toml`.
const MAX_FILE: u64 = 1 << 20;
/// The variable of `--relay`, which only some commands have.
const RELAY: &str = "COSIGN_RELAY";

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RelayUrl>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).map_err(D::Error::custom)
}
