//! Random command lines: the program always ends by itself and says why, without a byte that could
//! move a cursor or forge a line.
//!
//! `COSIGN_SEED=7 COSIGN_LINES=2000 cargo test --test cmd command_lines` throws other lines, and more.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::CommandFactory as _;
use cosign::cli::args::Cli;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::Sandbox;

/// How many lines there are, each with another seed, where nothing else is said.
const LINES: u64 = 240;
const THREADS: u64 = 4;
/// The time limit in each line.
const TIME: &str = "1s";
/// How long a command may take that is not ended from outside; its own limits are far below.
const PATIENCE: Duration = Duration::from_secs(60);
/// The beginning of a forged line of output.
const FORGED: &str = "FORGED";

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.roll(times) == 0
    }
}

/// A command and its arguments.
struct Known {
    words: Vec<String>,
    /// With whether a value follows.
    flags: Vec<(String, bool)>,
    positionals: usize,
}

fn known(command: &clap::Command, words: &[String], all: &mut Vec<Known>) {
    let flags = command.get_arguments().filter_map(|arg| {
        let takes_value = arg.get_action().takes_values();
        Some((format!("--{}", arg.get_long()?), takes_value))
    });
    all.push(Known {
        words: words.to_vec(),
        flags: flags.collect(),
        positionals: command.get_positionals().count(),
    });
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        known(sub, &[words, &[sub.get_name().to_owned()]].concat(), all);
    }
}

fn commands() -> Vec<Known> {
    let mut command = Cli::command();
    command.build();
    let mut all = Vec::new();
    known(&command, &[], &mut all);
    all
}

/// A value, sensible or hostile. It cannot make the program write outside the sandbox.
fn value(dice: &mut Dice) -> OsString {
    const FIT: [&str; 34] = [
        "alice",
        "bob",
        "vault",
        "default",
        "0",
        "1",
        "2",
        "7",
        "65535",
        "90s",
        "1ms",
        "sha256",
        "json",
        "pem",
        "never",
        "bash",
        "zsh",
        "127.0.0.1:1",
        "127.0.0.1",
        "lo",
        "ws://127.0.0.1:1",
        "true",
        "identity.txt",
        "policy.toml",
        "message",
        "folder",
        "home/state/log.jsonl",
        "vault/0/7",
        "peer=bob",
        "key=vault",
        "hex",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "cosign:1:AAAA",
    ];
    const ODD: [&str; 38] = [
        "",
        " ",
        "-",
        "--",
        "-1",
        "-x",
        ".",
        "..",
        "/",
        "/dev/null",
        "/dev/full",
        "/dev/zero",
        "/proc/nobody",
        "missing",
        "fifo",
        "closed",
        "a\u{1b}[2Jb",
        "\u{1b}]0;title\u{7}",
        "x\nFORGED y",
        "x\r\nFORGED y",
        "tab\there",
        "\u{202e}gpj.exe",
        "\u{200b}",
        "é́",
        "\u{fffd}",
        "%s%n",
        "$(touch here)",
        "'\"\\",
        "{\"peer\":\"bob\"}",
        "{",
        "[[rule]]",
        "=",
        "a=b=c",
        "18446744073709551616",
        "1e309",
        "99999999999999y",
        "NaN",
        "pkcs11:token=\u{1b}[31m",
    ];
    match dice.roll(10) {
        0 => OsStr::from_bytes(b"not \xff\xfe text \x1b[5m").to_owned(),
        1 => "long\u{1b}".repeat(1 << dice.roll(12)).into(),
        2..=5 => OsString::from(*dice.pick(&ODD)),
        _ => OsString::from(*dice.pick(&FIT)),
    }
}

/// The command line that a seed makes.
fn line(seed: u64, commands: &[Known]) -> Vec<OsString> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    dice.roll(2);
    let command = dice.pick(commands);
    let mut line: Vec<OsString> = command.words.iter().map(OsString::from).collect();
    for _ in 0..dice.roll(5) {
        let (flag, takes_value) = dice.pick(&command.flags);
        // They answer whatever else is there.
        if matches!(flag.as_str(), "--help" | "--version") && !dice.once_in(8) {
            continue;
        }
        line.push(flag.into());
        if *takes_value && !dice.once_in(12) {
            line.push(value(&mut dice));
        }
    }
    let count = match dice.once_in(6) {
        true => dice.roll(4),
        false => command.positionals,
    };
    for _ in 0..count {
        line.push(value(&mut dice));
    }
    if dice.once_in(10) {
        let place = dice.roll(line.len() + 1);
        line.insert(place, value(&mut dice));
    }
    line
}

/// A folder with a device that knows another one, and files of each kind that is named.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_device();
    sandbox.write("policy.toml", "[[rule]]\npeer = 'bob'\naction = 'allow'\n");
    sandbox.write("message", "abc");
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    let fifo = Command::new("mkfifo").arg(sandbox.path("fifo")).status().unwrap();
    assert!(fifo.success());
    sandbox.write("closed", "");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(sandbox.path("closed"), closed).unwrap();
    let fingerprint = "2".repeat(64);
    let open = ["--identity", "identity.txt", "peers", "add", "bob", "--fingerprint"];
    sandbox.run(open.iter().chain([&fingerprint.as_str()])).exits(0);
    sandbox
}

/// The result of a run.
struct Came {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
    /// It went on, and ended when it was told to.
    was_ended: bool,
}

fn run(sandbox: &Sandbox, line: &[OsString]) -> Option<Came> {
    let mut command = sandbox.command(line);
    command.env("COSIGN_TIMEOUT", TIME).env("COSIGN_NO_INPUT", "1").env("PATH", "/usr/bin:/bin");
    command.env("COSIGN_IDENTITY", "identity.txt").env("TZ", "UTC");
    command.env("HOME", sandbox.path("."));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let drain = |mut from: Box<dyn std::io::Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            bytes
        })
    };
    let out = drain(Box::new(child.stdout.take().unwrap()));
    let err = drain(Box::new(child.stderr.take().unwrap()));
    let (status, was_ended) = match ends(&mut child, PATIENCE / 10) {
        Some(status) => (status, false),
        None => {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let status = ends(&mut child, PATIENCE);
            if status.is_none() {
                child.kill().unwrap();
            }
            (status?, true)
        }
    };
    Some(Came { status, out: out.join().unwrap(), err: err.join().unwrap(), was_ended })
}

/// How it ended, unless it goes on all that time.
fn ends(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..limit.as_millis() / STEP.as_millis() {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(STEP);
    }
    None
}

/// The fault in the result of a run, if there is one.
fn complaint(line: &[OsString], came: Option<Came>) -> Option<String> {
    let Some(Came { status, out, err, was_ended }) = came else {
        return Some("it does not end".to_owned());
    };
    let said = String::from_utf8_lossy(&err).into_owned();
    let is = |word: &str| line.iter().any(|arg| arg == word);
    match status.code() {
        // It computes, and has nothing to tidy up.
        None if was_ended && is("bench") => return None,
        None => return Some(format!("signal {:?}: {said}", status.signal())),
        Some(101) => return Some(format!("a panic: {said}")),
        Some(70) => return Some(format!("exit 70: {said}")),
        Some(0..=14 | 71 | 74 | 130) => {}
        Some(other) => return Some(format!("exit {other}: {said}")),
    }
    // These run until they are ended, whatever time they are given.
    if was_ended && !["relay", "discover", "bench"].into_iter().any(is) {
        return Some(format!("it went on after its time: {said}"));
    }
    // Raw output need not be UTF-8.
    let is_raw = is("der") || is("raw");
    for bytes in [(!is_raw).then_some(&out), Some(&err)].into_iter().flatten() {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Some(format!("no UTF-8: {}", String::from_utf8_lossy(bytes)));
        };
        let moves = |c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}')
        };
        if let Some(c) = text.chars().find(|c| moves(*c)) {
            return Some(format!("{c:?} is said: {text:?}"));
        }
        if text.lines().any(|line| line.starts_with(FORGED)) {
            return Some(format!("a line is forged: {text}"));
        }
    }
    None
}

fn set(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().unwrap())
}

#[test]
fn whatever_is_typed_ends_with_a_reason_and_moves_no_cursor() {
    let first = set("COSIGN_SEED").unwrap_or(1);
    let end = first + set("COSIGN_LINES").unwrap_or(LINES);
    println!("command lines of the seeds {first} to {end}");
    let (commands, next) = (commands(), AtomicU64::new(first));
    let complaints: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut complaints = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return complaints;
                }
                let line = line(seed, &commands);
                let sandbox = sandbox();
                let complaint = complaint(&line, run(&sandbox, &line));
                complaints
                    .extend(complaint.map(|what| format!("COSIGN_SEED={seed} {line:?}: {what}")));
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(complaints.is_empty(), "{}:\n{}", complaints.len(), complaints.join("\n\n"));
}
