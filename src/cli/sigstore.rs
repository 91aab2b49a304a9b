//! Recognises command lines for sigstore's program of the same name, and gives a hint.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::Cli;
use crate::report::{Code, Failure};

/// Its commands that are not commands of this program.
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

/// The beginnings of its flags that are not flags of this program.
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
    "--offline",
];

/// An error with a hint, if this looks like a command line for sigstore's cosign.
pub(super) fn recognise(argv: &[OsString]) -> Option<Failure> {
    let words: Vec<&str> = argv.iter().skip(1).filter_map(|a| a.to_str()).collect();
    let arguments = arguments(&words);
    let (command, arguments) = arguments.split_first()?;
    let has_file = words.iter().any(|w| *w == "--file" || w.starts_with("--file="));
    let theirs = match (*command, arguments) {
        ("sign" | "verify", _) if words.iter().any(|w| is_flag(w) || is_key_service(w)) => true,
        ("sign" | "verify", arguments) if arguments.iter().any(|w| is_image(w)) => true,
        // Here the only argument is a digest, which has no letter beyond f.
        ("sign", [only]) => !has_file && (is_tagged(only) || is_name(only)),
        // Here a digest, or a file, precedes the signature.
        ("verify", [only]) => {
            !has_file && (is_tagged(only) || has_key_file(&words) && is_name(only))
        }
        (command, _) => COMMANDS.contains(&command),
    };
    theirs.then(|| {
        Failure::new(
            Code::Usage,
            "this looks like a command line for sigstore's cosign, the container signer",
        )
        .hint("this cosign signs digests and files with a key shared by devices: `cosign --help`")
    })
}

/// The words that are neither flags nor values of our flags: the command and its arguments.
fn arguments<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let cli = Cli::command();
    // The most values that a flag of ours takes.
    let values = |word: &str| {
        let ours = cli.get_subcommands().flat_map(|c| c.get_arguments()).chain(cli.get_arguments());
        let named = |arg: &clap::Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => {
                word.chars().nth(1).is_some_and(|c| word.len() == 2 && arg.get_short() == Some(c))
            }
        };
        let takers = ours.filter(|arg| named(arg) && arg.get_action().takes_values());
        takers.map(|arg| arg.get_num_args().map_or(1, |range| range.max_values())).max()
    };
    let mut found = Vec::new();
    let mut left = 0;
    for word in words {
        if word.starts_with('-') {
            left = values(word).unwrap_or(0);
        } else if left > 0 {
            left -= 1;
        } else {
            found.push(*word);
        }
    }
    found
}

fn is_flag(word: &str) -> bool {
    FLAGS.iter().any(|flag| word.starts_with(flag))
}

/// `registry.example/app@sha256:…`, `ghcr.io/owner/app:1.0`. An existing file of that name is not
/// an image.
fn is_image(word: &str) -> bool {
    if Path::new(word).exists() {
        return false;
    }
    let host = word.split_once('/').map(|(host, _)| host);
    let registry = host.is_some_and(|h| {
        h.len() > 1
            && h.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_[]".contains(c))
            && !h.starts_with('.')
            && (h.contains('.') || h.contains(':') || h == "localhost")
    });
    word.contains("@sha256:") || registry && !word.contains(' ')
}

/// `alpine:3.20`: a lower-case name and a tag.
fn is_tagged(word: &str) -> bool {
    word.split_once(':').is_some_and(|(image, tag)| {
        !image.is_empty()
            && image.chars().all(in_name)
            && !tag.is_empty()
            && !tag.contains([':', ' '])
            && !Path::new(word).exists()
    })
}

/// `alpine`: a lower-case name that is neither hexadecimal digits nor a file.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(in_name)
        && !word.chars().all(|c| c.is_ascii_hexdigit())
        && !Path::new(word).exists()
}

fn in_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_')
}

/// `--key cosign.pub`
fn has_key_file(words: &[&str]) -> bool {
    let named = words.windows(2).filter_map(|pair| match pair {
        ["--key", file] => Some(*file),
        _ => None,
    });
    let joined = words.iter().filter_map(|word| word.strip_prefix("--key="));
    named.chain(joined).any(|file| [".pub", ".key", ".pem"].iter().any(|end| file.ends_with(end)))
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
            "cosign sign alpine",
            "cosign sign --key cosign.key image",
            "cosign sign --yes img",
            "cosign verify --key cosign.pub ghcr.io/owner/app",
            "cosign verify --key cosign.pub alpine:3.18",
            "cosign verify --key cosign.pub image",
            "cosign verify --key=cosign.pub image",
            "cosign verify --offline img",
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
            "cosign sign --key vault --with bob carol",
            "cosign sign --with bob carol --file release",
            "cosign sign --key vault --with bob,carol -- 00ff",
            "cosign sign --deliver-to bob --request-id r-1 --purpose x feed",
            "cosign sign --key vault --file alpine --purpose x",
            "cosign verify --key vault image",
            "cosign verify --file release signature",
            "cosign verify --key backup.key --file release signature",
            "cosign verify --key backup.key 00ff signature",
            "cosign verify --key vault 00ff ./out/release.tar.sig",
            "cosign verify --public-key ../keys/key.pem 00ff 3045",
            "cosign sign 00ff --peer localhost:7700 -o out.d/sig --purpose a.b/c",
            "cosign pair --peer bob.local:7700",
            "cosign --json demo",
            r#"cosign verify --key vault/0/7 00ff {"key":"vault/0/7","der":"3045"}"#,
        ] {
            assert!(!recognised(line), "{line}");
        }
    }
}
