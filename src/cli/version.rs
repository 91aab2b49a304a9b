//! `cosign version`

use serde_json::json;

use super::Output;
use crate::crypto::transcript::PROTOCOL;
use crate::report::Failure;
use crate::wire::VERSIONS;

/// Prints the versions of the program and of its protocol.
pub(super) fn run_version() -> Result<Output, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    Output::new(
        json!({ "version": version, "protocol": PROTOCOL, "wire": VERSIONS }),
        format!("cosign {version} (protocol {PROTOCOL})"),
    )
}
