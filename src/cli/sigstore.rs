//! The container signer of the same name: command lines meant for it get a hint, not a puzzle.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::Cli;
use crate::report::{Code, Failure};

/// Its commands that are not ours.
const COMMANDS: &[&str] = &[
    "attach",
    "attest",
    "attest-blob",
    "bundle",
    "clean",
    "copy",
    "dockerfile",
    "download",
    "env",
    "generate",
    "generate-key-pair",
    "import-key-pair",
    "initialize",
    "load",
    "login",
    "manifest",
    "piv-tool",
    "pkcs11-tool",
    "public-key",
    "save",
    "sign-blob",
    "signing-config",
    "tree",
    "triangulate",
    "trusted-root",
    "upload",
    "verify-attestation",
    "verify-blob",
    "verify-blob-attestation",
];

/// How its flags that are not ours begin.
const FLAGS: &[&str] = &[
    "--certificate",
    "--rekor-url",
    "--fulcio-url",
    "--oidc-",
    "--tlog-upload",
    "--bundle",
    "--insecure-ignore-",
    "--identity-token",
    "--upload",
    "--annotations",
    "--allow-insecure-registry",
    "--trusted-root",
    "--attachment",
    "--output-signature",
    "--output-certificate",
    "--signing-config",
    "--new-bundle-format",
];

/// A failure with a hint, if this looks like a command line for sigstore's cosign.
pub(super) fn recognise(argv: &[OsString]) -> Option<Failure> {
    let words: Vec<&str> = argv.iter().skip(1).filter_map(|a| a.to_str()).collect();
    let mut arguments = arguments(&words);
    let command = arguments.next()?;
    let sign = command == "sign";
    let theirs = COMMANDS.contains(&command)
        || (sign || command == "verify")
            && (words.iter().any(|w| is_flag(w) || is_key_service(w))
                || arguments.any(|w| is_image(w, sign)));
    theirs.then(|| {
        Failure::new(
            Code::Usage,
            "this looks like a command line for sigstore's cosign, the container signer",
        )
        .hint("this cosign signs digests and files with a key shared by devices: `cosign --help`")
    })
}

/// The words that are neither flags nor the values of ours: the command and what it is given.
fn arguments<'a>(words: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let cli = Cli::command();
    let takes_value = |word: &str| {
        let ours = cli.get_subcommands().flat_map(|c| c.get_arguments()).chain(cli.get_arguments());
        let named = |arg: &clap::Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => {
                word.chars().nth(1).is_some_and(|c| word.len() == 2 && arg.get_short() == Some(c))
            }
        };
        ours.filter(|arg| named(arg)).any(|arg| arg.get_action().takes_values())
    };
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            found.push(*word);
        } else if takes_value(word) {
            words.next();
        }
    }
    found.into_iter()
}

fn is_flag(word: &str) -> bool {
    FLAGS.iter().any(|flag| word.starts_with(flag))
}

/// `registry.example/app@sha256:…`, `ghcr.io/owner/app:1.0`; to `sign`, whose only argument is a
/// digest, also `app:1.0`. A file of that name is a file.
fn is_image(word: &str, sign: bool) -> bool {
    if Path::new(word).exists() {
        return false;
    }
    let host = word.split_once('/').map(|(host, _)| host);
    let registry = host.is_some_and(|h| {
        h.len() > 1
            && !h.starts_with('.')
            && (h.contains('.') || h.contains(':') || h == "localhost")
    });
    word.contains("@sha256:") || registry && !word.contains(' ') || sign && is_tagged(word)
}

/// `alpine:3.20`: a lower-case name and a tag, which is no port.
fn is_tagged(word: &str) -> bool {
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    word.split_once(':').is_some_and(|(image, tag)| {
        !image.is_empty() && image.chars().all(name) && !tag.is_empty() && !tag.contains([':', ' '])
    })
}

fn is_key_service(word: &str) -> bool {
    ["awskms://", "gcpkms://", "azurekms://", "hashivault://", "k8s://"]
        .iter()
        .any(|scheme| word.trim_start_matches("--key=").starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(line: &str) -> bool {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        recognise(&argv).is_some()
    }

    #[test]
    fn command_lines_for_the_container_signer_are_recognised() {
        for line in [
            "cosign sign ghcr.io/owner/app:1.0",
            "cosign sign --key cosign.key registry.example/app@sha256:00ff",
            "cosign sign alpine:3.20",
            "cosign sign --key awskms://alias/x app",
            "cosign verify --key cosign.pub ghcr.io/owner/app",
            "cosign verify --certificate-identity me@example.org app",
            "cosign generate-key-pair",
            "cosign verify-blob --key k --signature s file",
            "cosign attest --predicate p image",
            "cosign login ghcr.io",
        ] {
            assert!(recognised(line), "{line}");
        }
    }

    #[test]
    fn our_own_command_lines_are_not() {
        for line in [
            "cosign",
            "cosign sign --key vault 5a7f8d",
            "cosign sign --key vault --file release.tar -o out/release.tar.sig",
            "cosign sign 00ff --wait --timeout 90s --home /tmp/a.b/c",
            "cosign verify --key vault 00ff ./out/release.tar.sig",
            "cosign verify --public-key ../keys/key.pem 00ff 3045",
            "cosign sign 00ff --peer localhost:7700 -o out.d/sig --purpose a.b/c",
            "cosign pair --peer bob.local:7700",
            "cosign --json demo",
        ] {
            assert!(!recognised(line), "{line}");
        }
    }
}
