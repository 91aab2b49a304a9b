//! `config.toml`: what no flag and no variable says.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::args::{Color, GlobalArgs, Tls, duration};
use super::policy::in_one_line;
use crate::report::{Code, Failure};
use crate::vault::Home;

/// The settings. All are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// A new device's name.
    pub(super) name: Option<String>,
    identity: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    module: Option<PathBuf>,
    pin_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "time")]
    timeout: Option<Duration>,
    tls: Option<Tls>,
    color: Option<Color>,
}

impl Config {
    /// Reads the settings of the device in `home`; without a file there are none.
    pub(super) fn load(home: &Home) -> Result<Self, Failure> {
        let path = home.config.join("config.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let why = format!("cannot read {}: {e}", path.display());
                return Err(Failure::new(Code::Internal, why));
            }
        };
        toml::from_str(&text).map_err(|e| {
            let why = format!("{}: {}", path.display(), in_one_line(&text, &e));
            Failure::new(Code::Usage, why)
        })
    }

    /// Fills in what the command line and the environment leave open.
    pub(super) fn complete(&self, args: &mut GlobalArgs) {
        // A way to unlock that was named is not joined by another one from here.
        let named = args.identity.is_some()
            || args.passphrase_file.is_some()
            || args.passphrase_fd.is_some();
        if !named {
            args.identity.clone_from(&self.identity);
            args.passphrase_file.clone_from(&self.passphrase_file);
        }
        if args.pin_fd.is_none() && args.pin_file.is_none() {
            args.pin_file.clone_from(&self.pin_file);
        }
        if args.module.is_none() {
            args.module.clone_from(&self.module);
        }
        args.timeout = args.timeout.or(self.timeout);
        args.tls = args.tls.or(self.tls);
        args.color = args.color.or(self.color);
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration(&text).map(Some).map_err(D::Error::custom)
}
