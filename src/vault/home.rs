//! The directories in which a device keeps its files.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::authentic::StateKey;
use super::error::Error;
use super::marks::LastRead;

/// The three directories of a device. Each is made when first written to, mode 0700.
#[derive(Clone, Debug)]
pub struct Home {
    /// What the user sets and may edit: peers and settings.
    pub config: PathBuf,
    /// What must not be lost: the vault.
    pub data: PathBuf,
    /// What happened: ledger, log, signatures.
    pub state: PathBuf,
    /// The key that authenticates the files; `None` while the vault is locked.
    key: Option<StateKey>,
    /// How long its locks are waited for; `None` for no limit.
    deadline: Option<Deadline>,
    /// Cache of `editions.json`, as read with this key.
    editions: Arc<LastRead>,
}

/// A moment after which nothing is waited for, and the clock that says whether it has come.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    moment: Instant,
    now: fn() -> Instant,
}

impl Deadline {
    /// `moment` on the clock that `now` reads.
    pub fn new(moment: Instant, now: fn() -> Instant) -> Self {
        Self { moment, now }
    }

    /// The time left until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.moment.saturating_duration_since((self.now)())
    }
}

impl PartialEq for Home {
    fn eq(&self, other: &Self) -> bool {
        self.roots() == other.roots()
    }
}

impl Home {
    /// Everything under one directory: `config`, `data` and `state` in it.
    pub fn at(dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref();
        let [config, data, state] = ROOTS.map(|name| dir.join(name));
        Self { config, data, state, key: None, deadline: None, editions: Arc::default() }
    }

    /// The same home with a deadline for its locks.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Deadline>) -> Self {
        Self { deadline, ..self }
    }

    /// `moment`, or the home's deadline if that comes first.
    pub fn no_later_than(&self, moment: Instant) -> Instant {
        self.deadline.map_or(moment, |deadline| deadline.moment.min(moment))
    }

    /// The home's deadline, or `moment` where it has none.
    pub fn deadline_or(&self, moment: Instant) -> Instant {
        self.deadline.map_or(moment, |deadline| deadline.moment)
    }

    /// The deadline for its locks.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// `cosign` in each of the XDG base directories. Relative XDG variables are ignored, as the
    /// XDG specification demands.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if neither the XDG variables nor `HOME` say where.
    pub fn xdg() -> Result<Self, Error> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let base = |name, default| {
            absolute(name)
                .or_else(|| home.as_ref().map(|home| home.join(default)))
                .map(|base| base.join("cosign"))
                .ok_or_else(|| Error::not_found("home directory", "HOME"))
        };
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config")?,
            data: base("XDG_DATA_HOME", ".local/share")?,
            state: base("XDG_STATE_HOME", ".local/state")?,
            key: None,
            deadline: None,
            editions: Arc::default(),
        })
    }

    /// Whether files are authenticated when they are read: whether this came from an open vault.
    pub fn checks(&self) -> bool {
        self.key.is_some()
    }

    /// The same directories, with the key that authenticates their files.
    pub(super) fn with_key(&self, key: StateKey) -> Self {
        Self { key: Some(key), editions: Arc::default(), ..self.clone() }
    }

    /// The same directories as they are seen while the vault is locked.
    pub(super) fn locked(&self) -> Self {
        Self { key: None, editions: Arc::default(), ..self.clone() }
    }

    /// The key that authenticates the files here.
    pub(super) fn key(&self) -> Option<&StateKey> {
        self.key.as_ref()
    }

    /// The cache of `editions.json`.
    pub(super) fn editions(&self) -> &LastRead {
        &self.editions
    }

    /// The place of a file in the home, wherever its directories are: `state/attempts.json`. It is
    /// authenticated together with the content, so that no file can take another one's place.
    pub(super) fn role(&self, path: &Path) -> String {
        // The note of a share that is on a token belongs to its epoch, also while its key is
        // deleted and the folder has another name.
        if path.extension().is_some_and(|ending| ending == NOTE) {
            return path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        }
        let within = ROOTS.into_iter().zip(self.roots()).find_map(|(name, root)| {
            path.strip_prefix(root).ok().map(|rest| format!("{name}/{}", rest.display()))
        });
        within.unwrap_or_else(|| path.display().to_string())
    }

    /// The file that has this role.
    pub(super) fn path_of(&self, role: &str) -> Option<PathBuf> {
        let (root, rest) = role.split_once('/')?;
        let (_, root) = ROOTS.into_iter().zip(self.roots()).find(|(name, _)| *name == root)?;
        Some(root.join(rest))
    }

    /// The three directories.
    pub(super) fn roots(&self) -> [&Path; 3] {
        [&self.config, &self.data, &self.state]
    }

    /// The directory of the keys; one directory for each in it.
    pub(crate) fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }
}

/// The names of the directories under one directory.
const ROOTS: [&str; 3] = ["config", "data", "state"];

/// The ending of a note that a share is on a token, in the folder of its key.
pub(super) const NOTE: &str = "token";
/// The record of a key, in the folder of its name.
pub(super) const RECORD: &str = "key.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xdg_variables_win_over_home_unless_they_are_relative() {
        let home = Home::from_variables(|name| match name {
            "HOME" => Some("/home/alice".into()),
            "XDG_DATA_HOME" => Some("/big/disk".into()),
            "XDG_STATE_HOME" => Some("relative".into()),
            _ => None,
        });
        let expected =
            ["/home/alice/.config/cosign", "/big/disk/cosign", "/home/alice/.local/state/cosign"];
        assert_eq!(home.unwrap().roots(), expected.map(Path::new));
    }

    #[test]
    fn without_any_variable_there_is_no_home() {
        assert!(matches!(Home::from_variables(|_| None), Err(Error::NotFound { .. })));
    }
}
