//! `cosign bench --load`: many requesters against one listener, all of them processes of this program.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::cli::runtime::ask;
use crate::cli::{Global, Output};
use crate::device::hex;
use crate::driver::clock;
use crate::report::{self, Code, Failure};

/// How many requesters run at once.
const REQUESTERS: [u32; 3] = [1, 8, 32];
/// How many signatures they make together.
const SIGNATURES: u32 = 96;

#[derive(Debug, Serialize)]
struct LoadResult {
    rows: Vec<Row>,
}

/// The result for a number of requesters at once. A signature is a whole `cosign sign`, from its
/// start to its end.
#[derive(Debug, Serialize)]
struct Row {
    requesters: u32,
    signatures: u32,
    failures: u32,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures, and removes the two devices afterwards.
pub(super) fn run(global: &Global) -> Result<Output, Failure> {
    ask(async {
        let folder = tempfile::Builder::new()
            .prefix("cosign-bench-")
            .tempdir()
            .map_err(|e| failed("a temporary folder", &e))?;
        let [ann, bob] = ["ann", "bob"].map(|name| Device::new(folder.path(), name));
        let (ann, bob) = (Arc::new(ann?), bob?);
        for device in [&*ann, &bob] {
            device.run(&["init", "--name", &device.name]).await?;
        }
        introduce(&ann, &bob).await?;
        introduce(&bob, &ann).await?;
        let listener = bob.listen().await?;
        let to = format!("bob={}", listener.address);
        let keygen = ["keygen", "--key", "load", "--with", "bob", "--peer", &to];
        ann.run(&keygen).await?;
        let mut rows = Vec::new();
        for requesters in REQUESTERS {
            let message = format!("{SIGNATURES} signatures, {requesters} at once");
            global.screen.note(message);
            rows.push(measure(&ann, &to, requesters).await);
        }
        let lines: Vec<String> = rows.iter().map(line).collect();
        Output::new(LoadResult { rows }, lines.join("\n"))
    })
}

fn line(row: &Row) -> String {
    format!(
        "{:>2} at once   {:>7.1} signatures a second   p50 {:>7.1} ms   p99 {:>7.1} ms   {} of {} failed",
        row.requesters, row.per_second, row.p50_ms, row.p99_ms, row.failures, row.signatures
    )
}

async fn measure(ann: &Arc<Device>, to: &str, requesters: u32) -> Row {
    let left = Arc::new(AtomicU32::new(SIGNATURES));
    let begun = clock::now();
    let mut tasks = JoinSet::new();
    for _ in 0..requesters {
        let (ann, to, left) = (Arc::clone(ann), to.to_owned(), Arc::clone(&left));
        tasks.spawn(async move {
            let mut took: Vec<Option<Duration>> = Vec::new();
            let less = |left: u32| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                let since = clock::now();
                took.push(ann.signs(&to).await.ok().map(|()| span_since(since)));
            }
            took
        });
    }
    let all: Vec<Option<Duration>> = tasks.join_all().await.into_iter().flatten().collect();
    let seconds = span_since(begun).as_secs_f64();
    let mut times: Vec<Duration> = all.iter().copied().flatten().collect();
    times.sort_unstable();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Row {
        requesters,
        signatures: count(all.len()),
        failures: count(all.len().saturating_sub(times.len())),
        per_second: f64::from(count(times.len())) / seconds,
        p50_ms: at(&times, 50),
        p99_ms: at(&times, 99),
    }
}

fn span_since(moment: Instant) -> Duration {
    clock::now().saturating_duration_since(moment)
}

/// The percentile of the sorted `times`, in milliseconds.
fn at(times: &[Duration], percent: usize) -> f64 {
    let place = times.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default().as_secs_f64() * 1000.0
}

/// A device with a home of its own, sealed to an identity file since that opens at once.
struct Device {
    name: String,
    home: PathBuf,
    identity: PathBuf,
}

/// A device that listens until this is dropped.
struct Listening {
    address: String,
    _child: Child,
}

impl Device {
    fn new(folder: &Path, name: &str) -> Result<Self, Failure> {
        let identity = folder.join(format!("{name}.key"));
        let secret = age::x25519::Identity::generate().to_string();
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&identity)
            .and_then(|mut file| file.write_all(secret.expose_secret().as_bytes()))
            .map_err(|e| failed("an identity file", &e))?;
        Ok(Self { name: name.to_owned(), home: folder.join(name), identity })
    }

    fn command(&self, args: &[&str]) -> Result<Command, Failure> {
        let program = std::env::current_exe().map_err(|e| failed("this program", &e))?;
        let mut command = Command::new(program);
        command
            .args(["--json", "--no-input", "--home"])
            .arg(&self.home)
            .arg("--identity")
            .arg(&self.identity)
            .args(args)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, args: &[&str]) -> Result<Value, Failure> {
        let output = self.command(args)?.output().await.map_err(|e| failed("a device", &e))?;
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() {
            return Ok(document.get("result").cloned().unwrap_or_default());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        let why = document.pointer("/error/message").and_then(Value::as_str).unwrap_or(&why);
        Err(Failure::new(Code::Aborted, format!("{}: {}", self.name, why.trim())))
    }

    async fn signs(&self, to: &str) -> Result<(), Failure> {
        let digest = hex(&clock::nonce()?);
        self.run(&["sign", &digest, "--key", "load", "--with", "bob", "--peer", to]).await.map(drop)
    }

    async fn listen(&self) -> Result<Listening, Failure> {
        let policy = self.home.with_extension("toml");
        let rule = "[[rule]]\npeer = \"ann\"\naction = \"allow\"\n";
        fs::write(&policy, rule).map_err(|e| failed("a policy", &e))?;
        let policy = policy.display().to_string();
        let args =
            ["--events", "listen", "--bind", "127.0.0.1", "--port", "0", "--policy", &policy];
        let mut child = self
            .command(&args)?
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed("a listener", &e))?;
        let events = child.stderr.take().ok_or_else(|| report::bug("a listener has no pipe"))?;
        let mut events = BufReader::new(events).lines();
        while let Ok(Some(line)) = events.next_line().await {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event.get("event").and_then(Value::as_str) == Some("listening") {
                let port = event.get("port").and_then(Value::as_u64).unwrap_or_default();
                // Its events are read and dropped, so that it does not block on a full pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = events.next_line().await {} });
                return Ok(Listening { address: format!("127.0.0.1:{port}"), _child: child });
            }
        }
        Err(Failure::new(Code::Aborted, "the listener ended too early"))
    }
}

/// Makes `peer` known to `device`, as its owner would.
async fn introduce(device: &Device, peer: &Device) -> Result<(), Failure> {
    let id = peer.run(&["id"]).await?;
    let fingerprint = id.get("fingerprint").and_then(Value::as_str).unwrap_or_default();
    device.run(&["peers", "add", &peer.name, "--fingerprint", fingerprint]).await.map(drop)
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Code::System, format!("{what} cannot be used: {error}"))
}
