//! What `cosign version` says of how the program was built; the same for the same source, wherever it lies.
//!
//! The commit is `COSIGN_COMMIT`, else the one that is checked out, where the program is built to be used: one that is
//! being worked on would be built anew for each commit.
#![allow(clippy::print_stdout, reason = "that is how a build script speaks to cargo")]

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=COSIGN_COMMIT");
    let given = |name: &str| env::var(name).unwrap_or_default();
    let is_for_use = given("PROFILE") == "release";
    let commit = env::var("COSIGN_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| if is_for_use { checked_out() } else { None });
    say("COMMIT", commit.as_deref().unwrap_or("unknown"));
    say("TARGET", &given("TARGET"));
    say("PROFILE", &given("PROFILE"));
    let features = ["nats", "pkcs11"].into_iter().filter(|feature| {
        env::var_os(format!("CARGO_FEATURE_{}", feature.to_uppercase())).is_some()
    });
    say("FEATURES", &features.collect::<Vec<_>>().join(" "));
    // Where the source was is nobody's business.
    let flags = given("CARGO_ENCODED_RUSTFLAGS");
    let flags = flags.split('\x1f').filter(|flag| !flag.starts_with("--remap-path-prefix="));
    say("FLAGS", &flags.collect::<Vec<_>>().join(" "));
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    say("RUSTC", &output(rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned()));
}

fn say(what: &str, value: &str) {
    println!("cargo::rustc-env=COSIGN_BUILD_{what}={value}");
}

/// The commit of the repository that this source is, if it is one.
fn checked_out() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let log = output("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={log}");
    output("git", &["rev-parse", "HEAD"])
}

fn output(program: impl Into<OsString>, args: &[&str]) -> Option<String> {
    let output = Command::new(program.into()).args(args).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
