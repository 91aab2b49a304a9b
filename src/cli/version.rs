//! `cosign version`

use serde_json::json;

use super::Output;
use crate::crypto::transcript::PROTOCOL;
use crate::report::Failure;
use crate::wire::VERSIONS;

/// Prints the versions of the program and of its protocol, and how the program was built.
pub(super) fn run_version() -> Result<Output, Failure> {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("COSIGN_BUILD_COMMIT"));
    let words = |text: &'static str| text.split(' ').filter(|word| !word.is_empty());
    let build = json!({
        "target": env!("COSIGN_BUILD_TARGET"),
        "profile": env!("COSIGN_BUILD_PROFILE"),
        "features": words(env!("COSIGN_BUILD_FEATURES")).collect::<Vec<_>>(),
        "flags": words(env!("COSIGN_BUILD_FLAGS")).collect::<Vec<_>>(),
        "rustc": env!("COSIGN_BUILD_RUSTC"),
    });
    Output::new(
        json!({
            "version": version, "commit": commit, "build": build, "protocol": PROTOCOL, "wire": VERSIONS
        }),
        format!("cosign {version} (protocol {PROTOCOL}, commit {commit})"),
    )
}
