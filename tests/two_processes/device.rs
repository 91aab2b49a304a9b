//! Devices: the real program in homes of their own, with nothing from the environment around them.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use age::secrecy::ExposeSecret;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::terminal::Terminal;

/// The signals that end a program. One that is to ignore HUP from the start, as under `nohup`, passes that on.
#[allow(dead_code, reason = "not all test programs look at it")]
pub(crate) fn ending_signals() -> Vec<Signal> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let all = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
    all.into_iter().filter(|signal| *signal != Signal::HUP || ignored & 1 == 0).collect()
}

/// Long enough for a loaded machine; no test waits for it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// Copies what is in a folder, but for locks, with the modes that git does not keep.
#[allow(dead_code, reason = "not all test programs open frozen homes")]
pub(crate) fn copy_home(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "lock" || entry.file_name() == "locks" {
            continue;
        }
        if from.is_dir() {
            copy_home(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
        }
    }
    std::fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
}

/// A device's home, the age identity that opens its vault, and whatever files a test needs.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    folder: tempfile::TempDir,
}

impl Device {
    /// A device called `name`, sealed with an age identity.
    pub(crate) fn new(name: &str) -> Self {
        Self::running(env!("CARGO_BIN_EXE_cosign").into(), name)
    }

    /// A device that runs another program.
    pub(crate) fn running(program: PathBuf, name: &str) -> Self {
        let device = Self { program, ..Self::blank(name) };
        device.run(["init", "--name", name]).succeeds();
        device
    }

    /// A home in which nothing is yet.
    pub(crate) fn blank(name: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_cosign").into();
        let device = Self { name: name.to_owned(), program, folder: tempfile::tempdir().unwrap() };
        device.write("key.txt", age::x25519::Identity::generate().to_string().expose_secret());
        device
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The program as it is, run in the device's folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("COSIGN_HOME", self.home());
        let passphrase = self.path("passphrase.txt");
        match passphrase.exists() {
            true => command.env("COSIGN_PASSPHRASE_FILE", passphrase),
            false => command.env("COSIGN_IDENTITY", self.path("key.txt")),
        };
        command
    }

    /// The program for a script: one JSON document, progress as events, no questions.
    pub(crate) fn script<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(["--json", "--events", "--no-input"]);
        command.args(args);
        command
    }

    /// A script's command, run to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        self.start(args).ends()
    }

    /// A script's command, begun.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(&mut self.script(args))
    }

    /// The program in a terminal.
    pub(crate) fn terminal<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Terminal {
        Terminal::start(&self.command(args))
    }

    pub(crate) fn fingerprint(&self) -> String {
        text(&self.run(["id"]).succeeds()["fingerprint"])
    }

    /// The names of the paired devices.
    pub(crate) fn peers(&self) -> Vec<String> {
        let listed = self.run(["peers", "list"]).succeeds();
        listed["peers"].as_array().unwrap().iter().map(|p| text(&p["name"])).collect()
    }

    /// A policy file with these rules.
    pub(crate) fn policy(&self, rules: &str) -> PathBuf {
        self.write("policy.toml", rules)
    }

    /// Listens, and allows whatever these peers ask for.
    pub(crate) fn serve(&self, peers: &[&Device]) -> Listener {
        self.serve_with(peers, &[])
    }

    /// As [`Self::serve`], with more flags.
    pub(crate) fn serve_with(&self, peers: &[&Device], flags: &[&str]) -> Listener {
        let rule =
            |peer: &&Device| format!("[[rule]]\npeer = {:?}\naction = \"allow\"\n", peer.name);
        self.policy(&peers.iter().map(rule).collect::<String>());
        self.listen(&[&["--policy", "policy.toml"], flags].concat())
    }

    /// Listens on a free port of the loopback interface, with these flags.
    pub(crate) fn listen(&self, flags: &[&str]) -> Listener {
        let place = ["listen", "--bind", "127.0.0.1", "--port", "0"];
        Listener::on(self.start(place.iter().chain(flags)))
    }

    /// The outcomes in the log, in order.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let log = self.run(["log"]).succeeds();
        log["entries"].as_array().unwrap().iter().map(|entry| text(&entry["outcome"])).collect()
    }

    /// The files below the home, with their content. A process that runs may replace or remove
    /// files meanwhile; those are left out.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in unless_gone(std::fs::read_dir(&folder)).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(content) = unless_gone(std::fs::read(&path)) {
                    found.push((path, content));
                }
            }
        }
        found
    }
}

/// The result, unless the file or folder was removed or renamed after it had been listed.
#[track_caller]
fn unless_gone<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        read => Some(read.unwrap()),
    }
}

/// Makes every two of `devices` known to each other by fingerprint.
pub(crate) fn introduce(devices: &[&Device]) {
    let prints: Vec<String> = devices.iter().map(|device| device.fingerprint()).collect();
    for device in devices {
        for (peer, print) in devices.iter().zip(&prints) {
            if peer.name != device.name {
                device.run(["peers", "add", &peer.name, "--fingerprint", print]).succeeds();
            }
        }
    }
}

/// All listen, allow what the others ask for, and know where they are.
pub(crate) fn all_listen(devices: &[&Device], flags: &[&str]) -> Vec<Listener> {
    introduce(devices);
    let serve = |device: &&Device| {
        let others: Vec<&Device> =
            devices.iter().copied().filter(|other| other.name != device.name).collect();
        device.serve_with(&others, flags)
    };
    let listeners: Vec<Listener> = devices.iter().map(serve).collect();
    for (peer, listener) in devices.iter().zip(&listeners) {
        let print = peer.fingerprint();
        for device in devices.iter().filter(|device| device.name != peer.name) {
            let to = listener.address();
            let add = ["peers", "add", &peer.name, "--fingerprint", &print, "--address", &to];
            device.run(add).succeeds();
        }
    }
    listeners
}

/// Alice and Bob, who know each other.
pub(crate) fn two() -> (Device, Device) {
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    introduce(&[&alice, &bob]);
    (alice, bob)
}

/// The question under the six digits.
pub(crate) const QUESTION: &str = "do both screens show the same code? [y/N] ";

/// Two people compare the codes of two devices, and both say yes.
pub(crate) fn pair(alice: &Device, bob: &Device) {
    let mut at_bob = bob.terminal(["listen", "--bind", "127.0.0.1", "--port", "0", "--once"]);
    let address = at_bob.address();
    let mut at_alice = alice.terminal(["pair", "--peer", &address]);
    assert_eq!(at_alice.code(), at_bob.code());
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
}

/// Alice and Bob, who made the key `vault` together; Bob listens and allows what Alice asks for.
pub(crate) fn two_with_key() -> (Device, Device, Listener) {
    let (alice, bob) = two();
    let listener = bob.serve(&[&alice]);
    let to = listener.address();
    alice.run(["keygen", "--key", "vault", "--with", "bob", "--peer", &to]).succeeds();
    (alice, bob, listener)
}

/// The text of a JSON string.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stdout: Receiver<Vec<u8>>,
    said: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (to_stdout, stdout) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.read_to_end(&mut bytes);
            let _ = to_stdout.send(bytes);
        });
        let (to_lines, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(err).split(b'\n').map_while(Result::ok);
            for line in lines {
                let _ = to_lines.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { child, lines, stdout, said: String::new() }
    }

    /// The next event of this kind.
    #[track_caller]
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.event_where(kind, |_| true)
    }

    /// The next event of this kind that is `right`.
    #[track_caller]
    pub(crate) fn event_where(&mut self, kind: &str, right: impl Fn(&Value) -> bool) -> Value {
        while let Some(event) = self.next_event() {
            if event["event"] == kind && right(&event) {
                return event;
            }
        }
        panic!("no event {kind:?} came; it said:\n{}", self.said);
    }

    /// The next event of any kind; `None` once it has ended.
    #[track_caller]
    pub(crate) fn next_event(&mut self) -> Option<Value> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said += &format!("{line}\n");
                    if let Ok(event) = serde_json::from_str(&line) {
                        return Some(event);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("it fell silent:\n{}", self.said),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its limits, as the kernel tells them.
    #[allow(dead_code, reason = "not all test programs look at it")]
    pub(crate) fn limits(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap()
    }

    /// A field of `/proc/PID/status` for each of its threads, such as `Seccomp`.
    #[allow(dead_code, reason = "not all test programs look at it")]
    pub(crate) fn statuses(&self, field: &str) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of = |thread: std::fs::DirEntry| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.unwrap().trim().to_owned()
        };
        threads.map(|thread| of(thread.unwrap())).collect()
    }

    #[allow(dead_code, reason = "not all test programs kill at a certain moment")]
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Ended {
        let Ok(stdout) = self.stdout.recv_timeout(PATIENCE) else {
            self.said.extend(self.lines.try_iter().map(|line| line + "\n"));
            panic!("it never ended; it said:\n{}", self.said);
        };
        let code = self.child.wait().unwrap().code();
        // A command of --via may keep standard error open for a moment longer than the program.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.said += &format!("{line}\n");
        }
        Ended { code, stdout, stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cosign listen`, ready for callers.
pub(crate) struct Listener {
    running: Running,
    pub(crate) port: u64,
}

impl Listener {
    /// Waits until `running` can be called.
    #[track_caller]
    pub(crate) fn on(mut running: Running) -> Self {
        let port = running.event("listening")["port"].as_u64().unwrap();
        Self { running, port }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl std::ops::Deref for Listener {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl std::ops::DerefMut for Listener {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Listener {
    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ends(self) -> Ended {
        self.running.ends()
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!(stdout.lines().count(), 1, "{stdout:?}\n{}", self.stderr);
        let document: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(document["v"], 1);
        document
    }

    /// The result of a success.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Value {
        assert_eq!(
            self.code,
            Some(0),
            "{}\n{}",
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        let mut document = self.document();
        assert_eq!(document["ok"], true);
        document["result"].take()
    }

    /// Checks that it failed with this exit code, and that message or hint say `what`.
    #[track_caller]
    pub(crate) fn fails(self, exit: i32, what: &str) -> Self {
        assert_eq!(
            self.code,
            Some(exit),
            "{}\n{}",
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        let document = self.document();
        let error = &document["error"];
        assert_eq!(document["ok"], false);
        assert_eq!(error["exit"], exit);
        let is_named = |n: &&(i32, &str)| n.0 == exit && error["code"] == n.1;
        assert!(NAMES.iter().any(|name| is_named(&name)), "{error}");
        let said = format!("{} {}", error["message"], error["hint"]);
        assert!(said.contains(what), "{what:?} is not named: {said}");
        self
    }

    /// The events of this kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.stderr.lines().filter_map(|line| serde_json::from_str(line).ok());
        events.filter(|event: &Value| event["event"] == kind).collect()
    }
}

/// The table of exit codes.
const NAMES: [(i32, &str); 19] = [
    (1, "invalid"),
    (2, "usage"),
    (3, "denied"),
    (4, "unreachable"),
    (5, "identity"),
    (6, "aborted"),
    (6, "unsupported"),
    (7, "banned"),
    (8, "locked"),
    (9, "policy"),
    (10, "not_found"),
    (11, "interaction"),
    (12, "conflict"),
    (13, "worn"),
    (14, "given"),
    (70, "internal"),
    (71, "tampered"),
    (74, "system"),
    (130, "interrupted"),
];

/// Whether `needle` is somewhere in `haystack`.
pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
