//! The minimum Rust is declared in Cargo.toml; everything that depends on it or repeats it agrees.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// `major.minor`, as Cargo.toml has it.
const MINIMUM: &str = env!("CARGO_PKG_RUST_VERSION");

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_dependency_needs_a_newer_rust_than_cargo_toml_says() {
    let about = output("rustc", &["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Dependencies of other platforms need not be downloaded.
    let arguments =
        ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&output(env!("CARGO"), &arguments)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    let newer: Vec<&str> = packages
        .iter()
        .filter(|package| {
            let needed = package["rust_version"].as_str();
            needed.is_some_and(|needed| version(needed) > version(MINIMUM))
        })
        .filter_map(|package| package["name"].as_str())
        .collect();
    assert!(newer.is_empty(), "need more than Rust {MINIMUM}: {newer:?}");
}

#[test]
fn documents_name_the_minimum_that_cargo_toml_says() {
    for (document, before, after) in
        [("README.md", "(Rust ", " or later"), ("CHANGELOG.md", "Needs Rust ", ".\n")]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("{before}{MINIMUM}{after}")), "{document}");
    }
}
