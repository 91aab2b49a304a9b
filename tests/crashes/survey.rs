//! The state of a home after an accident.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cosign::vault::Home;
use rustix::process::Signal;
use serde_json::Value;

use crate::device::{Device, Running, text};

pub(crate) const DIGEST: &str = "5a7f8d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a998877665544332211";

/// A key in `cosign keys list`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) public_key: String,
    pub(crate) confirmed: bool,
    pub(crate) refresh_pending: bool,
}

/// The key `name` on `device`, if there is one.
pub(crate) fn key(device: &Device, name: &str) -> Option<Key> {
    let listed = device.run(["keys", "list"]).succeeds();
    let row = listed["keys"].as_array().unwrap().iter().find(|row| row["name"] == name)?;
    Some(Key {
        public_key: text(&row["public_key"]),
        confirmed: row["confirmed"] == true,
        refresh_pending: row["refresh_pending"] == true,
    })
}

/// The parties that `device` does not sign with under the key `vault`, and why.
pub(crate) fn banned(device: &Device) -> Vec<String> {
    let shown = device.run(["keys", "show", "vault"]).succeeds();
    shown["banned"].as_array().unwrap().iter().map(|ban| text(&ban["check"])).collect()
}

/// The ledger's lines.
pub(crate) fn ledger(device: &Device) -> Vec<Value> {
    let path = Home::at(device.home()).state.join("ledger.jsonl");
    let content = fs::read_to_string(path).unwrap();
    content.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// How many lines of the ledger are of this kind.
pub(crate) fn count(device: &Device, kind: &str) -> usize {
    ledger(device).iter().filter(|line| line.get(kind).is_some()).count()
}

/// How many sessions were cut short while their checks were evaluated.
pub(crate) fn unresolved(device: &Device) -> usize {
    count(device, "check") - count(device, "resolve")
}

/// Checks that everything in the home is whole, and for its owner alone, and that the log's chain
/// is unbroken.
#[track_caller]
pub(crate) fn whole(device: &Device) {
    owned(&device.home());
    for (path, content) in device.files() {
        // The next writer removes a killed writer's file, which is never read.
        let scratch = path.file_name().unwrap().to_string_lossy().starts_with('.');
        if path.extension().is_some_and(|ending| ending == "json") && !scratch {
            let read = serde_json::from_slice::<Value>(&content);
            assert!(read.is_ok(), "{} is damaged", path.display());
        }
    }
    device.run(["log", "--verify"]).succeeds();
}

#[track_caller]
fn owned(path: &Path) {
    // A scratch file may be gone by now.
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(mode, expected, "{} has mode {mode:o}", path.display());
    if metadata.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| owned(&entry.unwrap().path()));
    }
}

/// Kills the program when it has told its `n`-th event from now. False if it has ended before that.
pub(crate) fn killed_at(running: &mut Running, n: usize) -> bool {
    let reached = (0..n).all(|_| running.next_event().is_some());
    if reached {
        running.signal(Signal::KILL);
    }
    reached
}

/// Checks that `device` and the listener at `address` sign with the key `name`.
#[track_caller]
pub(crate) fn signs(device: &Device, address: &str, name: &str) {
    let signed = device.run(["sign", DIGEST, "--key", name, "--peer", address]).succeeds();
    let der = text(&signed["der"]);
    device.run(["verify", DIGEST, &der, "--key", name]).succeeds();
}
