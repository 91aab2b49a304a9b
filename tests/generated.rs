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
fn every_page_has_the_sections_that_people_look_for() {
    for name in names(&committed("man")) {
        let page = fs::read_to_string(committed("man").join(&name)).unwrap();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
        ] {
            let head = format!("\n.SH {section}\n");
            assert!(page.contains(&head), "{name} has no {section}");
        }
    }
}

#[test]
fn man_renders_every_page_without_a_warning() {
    for name in names(&committed("man")) {
        let mut man = Command::new("man");
        man.args(["--warnings", "--local-file"]).arg(committed("man").join(&name));
        let output = man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").output().unwrap();
        assert!(output.status.success(), "{name}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let command = name.trim_end_matches(".1").replace('-', " ");
        let named = text.replace('-', " ").contains(&command);
        assert!(text.contains("EXIT STATUS") && named, "{name}: {text}");
    }
}

#[test]
fn a_page_names_the_variable_of_every_flag_that_it_has() {
    for (name, variable) in [
        ("cosign-sign.1", "COSIGN_RELAY"),
        ("cosign-pair.1", "COSIGN_RELAY"),
        ("cosign-relay.1", "COSIGN_RELAY_CLUSTER"),
        ("cosign-id.1", "COSIGN_HOME"),
    ] {
        let page = fs::read_to_string(committed("man").join(name)).unwrap();
        let (_, environment) = page.split_once(".SH ENVIRONMENT").unwrap();
        assert!(environment.contains(&format!("\\fB{variable}\\fR")), "{name}");
    }
}
