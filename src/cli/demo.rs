//! `cosign demo`: two devices in two processes. Only the two people are simulated.
//!
//! This process plays the people: it starts both devices, compares the digits they show, and
//! answers their questions. The devices find each other, pair, make a key and sign as they would on
//! two machines.

mod device;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use base64::Engine as _;
use k256::pkcs8::EncodePublicKey as _;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::cli::args::DemoArgs;
use crate::cli::runtime::block_on;
use crate::cli::{Global, Output};
use crate::crypto::{curve, ecdsa};
use crate::device::{hex, shell_word, unhex};
use crate::driver::clock;
use crate::report::{self, Code, Failure};
use crate::ui::ending;

/// A step of the demo and how long it took.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    ms: u64,
}

#[derive(Debug, Serialize)]
struct DemoResult {
    sign: Value,
    steps: Vec<Step>,
    files: String,
    check: String,
}

/// `cosign demo`
pub(super) fn run_demo(global: &Global, args: DemoArgs) -> Result<Output, Failure> {
    match args.device {
        Some(name) => device::run(&name, args.folder.as_deref().unwrap_or(Path::new("."))),
        None => block_on(async {
            tokio::select! {
                result = show(global) => result,
                () = ending() => Err(Failure::new(Code::Interrupted, "interrupted")),
            }
        }),
    }
}

async fn show(global: &Global) -> Result<Output, Failure> {
    let homes = tempfile::Builder::new()
        .prefix("cosign-demo-homes-")
        .tempdir()
        .map_err(|e| failed("cannot make a temporary folder", &e))?;
    let mut stage = Stage { global, steps: Vec::new(), since: clock::now() };
    stage.say("two devices, alice and bob, as two processes on this machine");
    stage.say(
        "skipped: the two people. This demo compares the codes and approves the requests for them",
    );

    stage.begin();
    let mut bob = Device::start("bob", homes.path())?;
    let mut alice = Device::start("alice", homes.path())?;
    let at_bob = bob.answer("listening").await?;
    alice.answer("ready").await?;
    let port = text(&at_bob, "port");
    stage.end(
        "start",
        &format!("bob listens on port {port}; two new device keys, two sealed vaults"),
    );

    stage.begin();
    alice.ask(&format!("discover {} {port}", text(&at_bob, "id"))).await?;
    let found = alice.answer("discovered").await?;
    let route = text(&found, "route");
    stage.end(
        "discover",
        &match route.as_str() {
            "mdns" => format!("alice found bob by mDNS at {}", text(&found, "address")),
            _ => "multicast does not pass here; alice uses --peer 127.0.0.1 instead".to_owned(),
        },
    );

    stage.begin();
    alice.ask("pair").await?;
    let (here, there) = tokio::try_join!(alice.answer("code"), bob.answer("code"))?;
    let (here, there) = (text(&here, "code"), text(&there, "code"));
    if here != there {
        return Err(Failure::new(
            Code::Identity,
            format!("the codes differ: alice shows {here}, bob shows {there}"),
        ));
    }
    alice.ask("yes").await?;
    bob.ask("yes").await?;
    tokio::try_join!(alice.answer("paired"), bob.answer("paired"))?;
    stage.end("pair", &format!("both screens show {here}; both say yes"));

    stage.begin();
    alice.ask("keygen").await?;
    bob.answer("approve").await?;
    bob.ask("yes").await?;
    let (made, _) = tokio::try_join!(alice.answer("key"), bob.answer("key"))?;
    let public_key = text(&made, "public_key");
    stage.end("keygen", &format!("any 2 of 2; public key {public_key}"));

    stage.begin();
    let digest = hex(&clock::nonce()?);
    alice.ask(&format!("sign {digest}")).await?;
    bob.answer("approve").await?;
    bob.ask("yes").await?;
    let signed = alice.answer("signed").await?;
    bob.answer("signed").await?;
    let sign = signed.get("result").cloned().unwrap_or_default();
    stage.end("sign", &format!("a random digest: {digest}"));

    stage.begin();
    let der = text(&sign, "der");
    check(&public_key, &digest, &der)?;
    stage.end("verify", "the signature is valid on secp256k1 under the public key");
    alice.end().await;
    bob.end().await;

    let folder = export(&public_key, &digest, &der)?;
    let shown = folder.display().to_string();
    let file = |name: &str| shell_word(folder.join(name));
    let command = format!(
        "openssl pkeyutl -verify -pubin -inkey {} -in {} -sigfile {}",
        file("public.pem"),
        file("digest.bin"),
        file("signature.der")
    );
    let body = format!("signature  {der}\ncheck it   {command}");
    Output::new(DemoResult { sign, steps: stage.steps, files: shown, check: command }, body)
}

/// The output of a running demo.
struct Stage<'a> {
    global: &'a Global,
    steps: Vec<Step>,
    since: Instant,
}

impl Stage<'_> {
    fn say(&self, text: &str) {
        self.global.screen.note(text);
    }

    fn begin(&mut self) {
        self.since = clock::now();
    }

    fn end(&mut self, name: &'static str, what: &str) {
        let ms = clock::millis(clock::now().saturating_duration_since(self.since));
        self.say(&format!("{name:<9} {ms:>5} ms  {what}"));
        self.steps.push(Step { name, ms });
    }
}

/// A device: a process of this program with a home of its own.
struct Device {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Device {
    fn start(name: &'static str, homes: &Path) -> Result<Self, Failure> {
        let program =
            std::env::current_exe().map_err(|e| failed("cannot find this program", &e))?;
        let mut child = Command::new(program)
            .args(["demo", "--device", name, "--folder"])
            .arg(homes.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed("cannot start a device", &e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(report::bug("a device has no pipes"));
        };
        Ok(Self { name, child, input, output: BufReader::new(output).lines() })
    }

    async fn ask(&mut self, line: &str) -> Result<(), Failure> {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|_| self.gone())
    }

    /// The next line of the device, which must be of this `kind`.
    async fn answer(&mut self, kind: &str) -> Result<Value, Failure> {
        let line = self.output.next_line().await.ok().flatten().ok_or_else(|| self.gone())?;
        let value: Value = serde_json::from_str(&line).map_err(|_| self.gone())?;
        if value.get("kind").and_then(Value::as_str) == Some(kind) {
            return Ok(value);
        }
        let why = value.get("message").and_then(Value::as_str).unwrap_or(&line);
        Err(Failure::new(Code::Aborted, format!("{}: {why}", self.name)))
    }

    async fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        // A device that does not end is killed when it is dropped.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), child.wait()).await;
    }

    fn gone(&self) -> Failure {
        Failure::new(Code::Aborted, format!("the device {} ended too early", self.name))
    }
}

fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn check(public_key: &str, digest: &str, der: &str) -> Result<(), Failure> {
    let valid = || {
        let key: k256::AffinePoint = curve::decode_point(&unhex(public_key)?).ok()?;
        let digest: [u8; 32] = unhex(digest)?.try_into().ok()?;
        let (r, s) = ecdsa::from_der::<k256::Scalar>(&unhex(der)?).ok()?;
        Some(ecdsa::verify::<k256::Secp256k1>(&key, &digest, &r, &s))
    };
    match valid() {
        Some(true) => Ok(()),
        _ => Err(Failure::new(Code::Invalid, "the signature does not verify")),
    }
}

/// Writes the public key, the digest and the signature to files for openssl.
fn export(public_key: &str, digest: &str, der: &str) -> Result<PathBuf, Failure> {
    let wrong = || report::bug("the demo's key cannot be written");
    let point = curve::decode_point(&unhex(public_key).ok_or_else(wrong)?).map_err(|_| wrong())?;
    let key = k256::PublicKey::from_affine(point).map_err(|_| wrong())?;
    let spki = key.to_public_key_der().map_err(|_| wrong())?;
    let base64 = base64::engine::general_purpose::STANDARD.encode(spki.as_bytes());
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let write = || {
        let folder = tempfile::Builder::new().prefix("cosign-demo-").tempdir()?.keep();
        fs::write(folder.join("public.pem"), &pem)?;
        fs::write(folder.join("digest.bin"), unhex(digest).unwrap_or_default())?;
        fs::write(folder.join("signature.der"), unhex(der).unwrap_or_default())?;
        Ok(folder)
    };
    write().map_err(|e: std::io::Error| failed("cannot write the demo's result", &e))
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Code::System, format!("{what}: {error}"))
}

/// One line from a device to the process that plays the people.
fn line(kind: &str, fields: Value) -> String {
    let mut value = json!({ "kind": kind });
    if let (Value::Object(all), Value::Object(more)) = (&mut value, fields) {
        all.extend(more);
    }
    value.to_string()
}
