//! `man/` and `completions/` are what the program prints.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "cosign.bash"),
    ("elvish", "cosign.elv"),
    ("fish", "cosign.fish"),
    ("powershell", "_cosign.ps1"),
    ("zsh", "_cosign"),
];

fn cosign(args: &[&str]) -> Vec<u8> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_cosign")).args(args).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn committed(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn manual_pages_are_current() {
    let fresh = tempfile::tempdir().unwrap();
    cosign(&["man", fresh.path().to_str().unwrap()]);
    assert_eq!(names(&committed("man")), names(fresh.path()), "run `cosign man man`");
    for name in names(fresh.path()) {
        let (old, new) = (committed("man").join(&name), fresh.path().join(&name));
        assert!(fs::read(old).unwrap() == fs::read(new).unwrap(), "{name}: run `cosign man man`");
    }
}

#[test]
fn completions_are_current() {
    let expected: BTreeSet<String> = COMPLETIONS.map(|(_, name)| name.to_owned()).into();
    assert_eq!(names(&committed("completions")), expected);
    for (shell, name) in COMPLETIONS {
        assert!(
            fs::read(committed("completions").join(name)).unwrap()
                == cosign(&["completions", shell]),
            "run `cosign completions {shell} > completions/{name}`"
        );
    }
}

#[test]
fn the_bash_completion_is_valid_bash() {
    let script = committed("completions").join("cosign.bash");
    let Ok(status) = Command::new("bash").arg("-n").arg(script).status() else { return };
    assert!(status.success());
}
