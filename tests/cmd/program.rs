//! Runs the real binary once, in a home of its own, with a clean environment.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use age::secrecy::ExposeSecret;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::Value;

/// Long enough for a loaded machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with one device's home and whatever files a test needs.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One with a device that opens with the identity file `identity.txt`.
    pub(crate) fn with_device() -> Self {
        let sandbox = Self::new();
        let identity = age::x25519::Identity::generate().to_string();
        sandbox.write("identity.txt", identity.expose_secret());
        sandbox.run(["init", "--name", "alice", "--identity", "identity.txt"]).exits(0);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// The program with these arguments, run in the folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosign"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("COSIGN_HOME", self.path("home")).stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        Ended::of(&mut self.command(args))
    }

    /// The program in a terminal.
    pub(crate) fn terminal<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Terminal {
        Terminal::start(&self.command(args))
    }
}

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) output: Output,
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self { output: command.output().unwrap() }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let ended = self.output.status.code();
        assert_eq!(ended, Some(code), "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let stdout = self.stdout();
        assert!(stdout.ends_with('\n') && stdout.lines().count() == 1, "{stdout:?}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The code of the JSON error document, checked against the exit code.
    #[track_caller]
    pub(crate) fn error_code(&self) -> String {
        let document = self.json();
        assert_eq!(document["v"], 1);
        assert_eq!(document["ok"], false);
        assert_eq!(document["error"]["exit"], self.output.status.code().unwrap());
        document["error"]["code"].as_str().unwrap().to_owned()
    }

    /// Checks that the error and its hint say these things.
    #[track_caller]
    pub(crate) fn complains(self, error: &str, hint: &str) -> Self {
        let stderr = self.stderr();
        let line = |prefix: &str| stderr.lines().find(|line| line.starts_with(prefix));
        let found = line("cosign: error: ").unwrap_or_default();
        assert!(found.contains(error), "{stderr}");
        assert!(
            hint.is_empty() || line("cosign: hint: ").unwrap_or_default().contains(hint),
            "{stderr}"
        );
        self
    }
}

/// The program in a terminal of its own, which is its controlling one.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub(crate) fn start(command: &Command) -> Self {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let path = ptsname(&pty, Vec::new()).unwrap().into_string().unwrap();
        let end = || Stdio::from(File::options().read(true).write(true).open(&path).unwrap());
        // `setsid --ctty` makes it the controlling terminal, so that Ctrl-C is a signal.
        let mut session = Command::new("/usr/bin/setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.env("TERM", "xterm");
        if let Some(folder) = command.get_current_dir() {
            session.current_dir::<&Path>(folder);
        }
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keyboard = File::from(pty);
        let screen = watch(keyboard.try_clone().unwrap());
        Self { child, keyboard, screen, seen: String::new() }
    }

    /// Waits until `text` is on the screen, and forgets all up to its end.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> &mut Self {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return self;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(_) => panic!("{text:?} never came; on the screen: {:?}", self.seen),
            }
        }
    }

    /// The text on the screen up to the end of the line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        while !self.seen.contains('\n') {
            let bytes = self.screen.recv_timeout(PATIENCE).unwrap();
            self.seen += &String::from_utf8_lossy(&bytes);
        }
        let line = self.seen.lines().next().unwrap_or_default().to_owned();
        self.shows("\n");
        line
    }

    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self
    }

    /// Waits for the end and gives the exit code and what else was shown.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        // The screen's other end closed with the program.
        loop {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Disconnected) => return (status.code(), self.seen.clone()),
                Err(RecvTimeoutError::Timeout) => panic!("the terminal was never let go"),
            }
        }
    }

    /// Whether what is typed is shown.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(self.keyboard.as_fd()).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands over what appears on the screen until the program lets go of it.
fn watch(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = screen.read(&mut bytes) {
            if sender.send(bytes[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
