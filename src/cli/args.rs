//! The command line, declared once: parser, help, manual pages and completions all come from here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{FalseyValueParser, PathBufValueParser, PossibleValue, TypedValueParser};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::crypto::bip32;
use crate::curve::CurveName;
use crate::device::{Label, MAX_LABEL_CHARS};
use crate::net::relay::RelayUrl;
use crate::payload::bitcoin::Network;
use crate::payload::{HashFunction, MessageFormat};
use crate::report::{Code, Failure};
use crate::request::MAX_PATH;

/// Two or three devices co-sign with one ECDSA key that exists on none of them
#[derive(Debug, Parser)]
#[command(
    name = "cosign",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  cosign demo                                   two devices on this machine run all of it
  cosign listen                                 this device waits; requests appear here
  cosign pair bob                               both screens show six digits; both say y
  cosign keygen --key vault --with bob          make a key that exists on neither device
  cosign sign --key vault --file release.tar    ask bob to co-sign

Exit codes: 0 done or valid, 1 invalid, 2 usage, 3 denied, 4 unreachable, 5 identity,
6 aborted, 7 banned, 8 locked, 9 policy, 10 not found, 11 needs a person, 12 conflict,
13 worn, 14 given, 70 internal, 71 tampered, 74 system, 130 interrupted."
)]
pub struct Cli {
    /// The global flags.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Keep everything under DIR instead of the XDG directories
    #[arg(long, global = true, value_name = "DIR", env = "COSIGN_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,

    /// Print exactly one JSON document on standard output, result or error
    #[arg(long, global = true)]
    pub json: bool,

    /// Report progress as NDJSON on standard error
    #[arg(long, global = true)]
    pub events: bool,

    /// Plain lines without any styling
    #[arg(long, global = true)]
    pub plain: bool,

    /// Never ask: fail with exit code 11 and name the flag that would have answered
    #[arg(
        long, global = true, env = "COSIGN_NO_INPUT", hide_env_values = true,
        value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue
    )]
    pub no_input: bool,

    /// One deadline for the whole command, such as 90s or 5m
    #[arg(
        long, global = true, value_name = "TIME", value_parser = duration,
        env = "COSIGN_TIMEOUT", hide_env_values = true
    )]
    pub timeout: Option<Duration>,

    /// Unlock the vault with the passphrase on the first line of FILE
    #[arg(
        value_parser = path(),
        long,
        global = true,
        value_name = "FILE",
        env = "COSIGN_PASSPHRASE_FILE",
        hide_env_values = true
    )]
    pub passphrase_file: Option<PathBuf>,

    /// Unlock the vault with the passphrase read from file descriptor N
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,

    /// Unlock the vault with an age identity file
    #[arg(
        value_parser = path(),
        long,
        global = true,
        value_name = "FILE",
        env = "COSIGN_IDENTITY",
        hide_env_values = true
    )]
    pub identity: Option<PathBuf>,

    /// The PKCS#11 module of the token; default: those that p11-kit knows
    #[arg(
        value_parser = path(),
        long,
        global = true,
        value_name = "PATH",
        env = "COSIGN_TOKEN_MODULE",
        hide_env_values = true
    )]
    pub module: Option<PathBuf>,

    /// Unlock the token with the PIN on the first line of FILE
    #[arg(
        value_parser = path(),
        long,
        global = true,
        value_name = "FILE",
        env = "COSIGN_TOKEN_PIN_FILE",
        hide_env_values = true
    )]
    pub pin_file: Option<PathBuf>,

    /// Unlock the token with the PIN read from file descriptor N
    #[arg(long, global = true, value_name = "N")]
    pub pin_fd: Option<u32>,

    /// TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3
    #[arg(long, global = true, value_name = "VERSION")]
    pub tls: Option<Tls>,

    /// Say only what needs a person
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Append what happens to FILE as NDJSON; never codes, nonces or secrets
    #[arg(value_parser = path(), long, global = true, value_name = "FILE", env = "COSIGN_LOG", hide_env_values = true)]
    pub log_file: Option<PathBuf>,

    /// Begin no ceremony that cannot be written to the log
    #[arg(long, global = true)]
    pub require_log: bool,

    /// Whether requests for a digest alone are refused; `blind = false` in config.toml says so.
    #[arg(skip)]
    pub no_blind: bool,

    /// Colour on standard error; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<Color>,

    /// All settings, with their origins.
    #[arg(skip)]
    pub settings: Vec<Setting>,
}

/// A setting and its origin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Its name, as in `config.toml`.
    pub name: String,
    /// Its value; `None` if it is not set.
    pub value: Option<String>,
    /// The origin of the value.
    pub source: Origin,
    /// The variable that may set it.
    pub variable: Option<String>,
}

/// The origin of a setting. Each has precedence over those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A flag.
    Flag,
    /// An environment variable.
    Variable,
    /// `config.toml`.
    #[serde(rename = "config.toml")]
    File,
    /// The device, for its name.
    Device,
    /// The default.
    Default,
}

/// The TLS version to insist on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
pub enum Tls {
    /// TLS 1.2 and nothing else
    #[value(name = "1.2")]
    #[serde(rename = "1.2")]
    Only12,
    /// TLS 1.3, and 1.2 for a peer that insists on it
    #[value(name = "1.3")]
    #[serde(rename = "1.3")]
    Any,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// In a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// From nothing to a key: make this device, pair it, make a key
    Setup(SetupArgs),
    /// Make this device: its key and its vault
    Init(InitArgs),
    /// Print this device's name, id and fingerprint
    #[command(after_help = "Examples:
  cosign id
  cosign id --json | jq -r .result.fingerprint")]
    Id,
    /// Give this device another name
    #[command(after_help = "Examples:
  cosign rename kitchen

Other devices call it so once they have met it again, unless their owners gave it a name of their own.
What runs meanwhile keeps the old name until it is started again.")]
    Rename {
        /// The new name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the devices nearby and their status
    Discover(DiscoverArgs),
    /// Wait for pairing, key generation and signing requests
    Listen(ListenArgs),
    /// Pair with another device by comparing six digits
    Pair(PairArgs),
    /// List, add, rename or forget paired devices
    #[command(after_help = "Examples:
  cosign peers
  cosign peers add bob --fingerprint 3f2a… --address 192.0.2.7:7700
  cosign peers forget bob")]
    Peers(PeersArgs),
    /// Make a key together with other devices
    Keygen(KeygenArgs),
    /// Sign a digest or a file together with the key's other devices
    Sign(Box<SignArgs>),
    /// Sign a commit or a tag for git, which calls this in place of gpg
    GitSign(Box<GitSignArgs>),
    /// Check a signature
    Verify(VerifyArgs),
    /// Show what would be signed, as the signers see it
    Show(ShowArgs),
    /// List, show, export, refresh, reshare or delete keys
    #[command(after_help = "Examples:
  cosign keys
  cosign keys export vault > vault.pem
  cosign keys refresh vault
  cosign keys reshare vault --lost bob --add dave")]
    Keys(KeysArgs),
    /// Change what seals the vault
    #[command(
        subcommand,
        after_help = "Examples:
  cosign vault passphrase
  cosign vault move --to-token 'pkcs11:token=My%20token'"
    )]
    Vault(VaultCommand),
    /// List the hardware tokens that are plugged in
    #[command(
        subcommand,
        after_help = "Examples:
  cosign token list"
    )]
    Token(TokenCommand),
    /// Check the rules of `listen --policy`
    #[command(
        subcommand,
        after_help = "Examples:
  cosign policy check policy.toml
  cosign policy check policy.toml --request peer=alice key=vault 'purpose=release 1.2'"
    )]
    Policy(PolicyCommand),
    /// Print or check the record of every ceremony
    Log(LogArgs),
    /// Two devices on this machine discover, pair, make a key, sign and verify
    Demo(DemoArgs),
    /// Run a relay for devices on different networks
    Relay(RelayArgs),
    /// Measure key generation and signing on this machine
    Bench(BenchArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print the candidates at the cursor; the completion scripts call this
    #[command(
        hide = true,
        after_help = "Examples:
  cosign complete zsh -- cosign sign --key ''

One candidate a line: the text, a tab, what it is."
    )]
    Complete(CompleteArgs),
    /// Write the manual pages to a folder, or print the first one
    Man(ManArgs),
    /// Print the settings, and where each comes from
    #[command(after_help = "Examples:
  cosign config
  COSIGN_TIMEOUT=5m cosign config --json | jq '.result.settings[] | select(.source != \"default\")'")]
    Config,
    /// Check for problems that keep devices from finding, trusting and reaching each other
    Doctor(DoctorArgs),
    /// Print the version
    #[command(after_help = "Examples:
  cosign version
  cosign version --json")]
    Version,
}

/// `cosign setup`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign setup                  on each device; they find each other
  cosign setup bob              pair with bob, where several are near

Asks at a terminal for what is missing, step by step: the name, what opens the device, the pairing, the
key. Each step is a command of its own: init, pair, keygen or listen. What is there already is left as it
is, so it can be run again.")]
pub struct SetupArgs {
    /// The device to pair with first; default: the one that is near
    #[arg(value_name = "PEER")]
    pub name: Option<String>,
    /// Use this network interface only
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// `cosign init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign init --name kitchen
  cosign init --name ci --identity key.txt            unlocks without a passphrase
  cosign init --token 'pkcs11:token=My%20token'         a hardware token; asks for its PIN
  cosign init --token pkcs11: --recovery-passphrase    the one token there is, or a passphrase
  cosign init --recipient age1…                       a recovery key, kept offline

Without --identity and --token the vault is sealed with a passphrase, asked for twice; left empty, one
is made and shown once. One that a thief would soon guess is refused. Where a token is plugged in, it is
offered first.")]
pub struct InitArgs {
    /// This device's name, as others will see it; default: the host name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// An age recipient that can also open every file of the vault; may be repeated
    #[arg(long, value_name = "AGE")]
    pub recipient: Vec<String>,
    /// Seal the vault to a key on this token (RFC 7512); with an id or object, to that key
    #[arg(long, value_name = "URI", conflicts_with = "identity")]
    pub token: Option<String>,
    /// Let a passphrase open the vault as well
    #[arg(long, requires = "token")]
    pub recovery_passphrase: bool,
}

/// `cosign discover`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign discover
  cosign discover --wait 10s --json
  cosign discover --watch

ready: paired and listening; available: listening, not paired; offline: known, not seen now.")]
pub struct DiscoverArgs {
    /// How long to look
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "3s")]
    pub wait: Duration,
    /// Keep looking and print every change until interrupted
    #[arg(long)]
    pub watch: bool,
    /// Use this network interface only
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// `cosign listen`
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  cosign listen
  cosign listen --port 7700 --policy policy.toml --identity key.txt --no-input
  cosign listen --builds dist               says of each file to be signed whether it was built here
  cosign listen --stdio                     for the other side's --via 'ssh host cosign listen --stdio'")]
pub struct ListenArgs {
    /// Listen on this TCP port; default: 46737, or a free one if that is taken
    #[arg(long, value_name = "N", conflicts_with = "stdio")]
    pub port: Option<u16>,
    /// Listen on this address only
    #[arg(long, value_name = "IP", conflicts_with = "stdio")]
    pub bind: Option<IpAddr>,
    /// End after the first request that is answered
    #[arg(long)]
    pub once: bool,
    /// Let the rules in FILE decide requests instead of a person
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Refuse to sign what this device cannot see: a digest alone, a file too large to travel
    #[arg(long)]
    pub no_blind: bool,
    /// Say of each file to be signed whether this folder has it: what this device has built itself
    #[arg(value_parser = path(), long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub builds: Option<PathBuf>,
    /// Speak on standard input and output instead of a socket
    #[arg(long)]
    pub stdio: bool,
    /// Announce on this network interface only
    #[arg(long, value_name = "NAME", conflicts_with = "stdio")]
    pub interface: Option<String>,
    /// The relay.
    #[command(flatten)]
    pub relay: AtRelay,
}

/// `cosign pair`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign pair                               pick from the devices nearby
  cosign pair bob
  cosign pair --peer 192.0.2.7:7700 --remember
  cosign pair --via 'ssh bob cosign listen --stdio'
  cosign pair --relay wss://relay.example   shows a QR code for a device that is far away
  cosign pair 'cosign://pair?relay=…'       the other device: what the QR code says
  cosign pair --qr-image photo.png          the same from a picture of it
  cosign pair --group                       three devices or more: on one of them
  cosign pair --join alice                  on the others: joins the group that alice gathers

All screens show the same six digits; all people say y. Nothing types a code in.")]
pub struct PairArgs {
    /// The other device's name, id or fingerprint, or the text of an invitation: cosign://pair?…
    #[arg(value_name = "PEER|URI")]
    pub name: Option<String>,
    /// Its address, where multicast does not reach
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "via")]
    pub peer: Option<String>,
    /// Reach it through a command's standard input and output
    #[arg(long, value_name = "COMMAND")]
    pub via: Option<String>,
    /// Keep the pairing until `cosign peers forget`, on both devices; default: 30 minutes
    #[arg(long)]
    pub remember: bool,
    /// Invite a device from anywhere through this relay: shows a QR code. With a PEER, or where the
    /// other device is nearby, only a fallback
    #[arg(long, value_name = "URL", env = "COSIGN_RELAY", hide_env_values = true)]
    pub relay: Option<RelayUrl>,
    /// Accept the invitation in this picture, a photo or a screenshot of its QR code
    #[arg(value_parser = path(), long, value_name = "FILE", conflicts_with_all = ["name", "peer", "via"])]
    pub qr_image: Option<PathBuf>,
    /// Also save the QR code of the invitation, as .png or .svg
    #[arg(value_parser = path(), long, value_name = "FILE", conflicts_with_all = ["name", "peer", "via", "qr_image"])]
    pub qr_out: Option<PathBuf>,
    /// Pair several devices by one code: gather those that join, 8 with this one at most, and pair
    /// every two of them
    #[arg(long, conflicts_with_all = ["name", "peer", "via", "qr_image", "join"])]
    pub group: bool,
    /// Make this key with all of them at once, when the group is paired and they listen
    #[arg(long, value_name = "NAME", requires = "group")]
    pub then_keygen: Option<String>,
    /// How many devices must sign with that key; default: two
    #[arg(long, value_name = "T", requires = "then_keygen", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub threshold: Option<u8>,
    /// Join the group that another device gathers; without a PEER the one that is found
    #[arg(long, conflicts_with_all = ["via", "qr_out"])]
    pub join: bool,
    /// Allow pairing again after five failed attempts
    #[arg(long)]
    pub reset_attempts: bool,
    /// Use this network interface only
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// `cosign peers`
#[derive(Debug, Args)]
pub struct PeersArgs {
    /// The subcommand; without it they are listed.
    #[command(subcommand)]
    pub command: Option<PeersCommand>,
}

/// The subcommands of `cosign peers`.
#[derive(Debug, Default, Subcommand)]
pub enum PeersCommand {
    /// List the known devices
    #[command(after_help = "Examples:
  cosign peers list
  cosign peers list --json | jq -r '.result.peers[].name'")]
    #[default]
    List,
    /// Pin a device by its fingerprint, without comparing digits
    #[command(after_help = "Examples:
  cosign peers add bob --fingerprint 3f2a… --address 192.0.2.7:7700

Do it on both devices; `cosign id` prints the fingerprint that the other one needs.")]
    Add {
        /// What to call it here
        #[arg(value_name = "NAME")]
        name: String,
        /// Its full fingerprint: 64 hexadecimal digits
        #[arg(long, value_name = "HEX")]
        fingerprint: String,
        /// Where it listens
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// Call a device something else
    #[command(after_help = "Examples:
  cosign peers rename bob robert")]
    Rename {
        /// Its name now
        #[arg(value_name = "OLD")]
        old: String,
        /// Its new name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Forget a device: new keys need a new pairing, and keys made with it still sign
    #[command(after_help = "Examples:
  cosign peers forget bob

Only after its owner has told you in person that the old device is no more: who answers in its place, or
announces its name, proves nothing. Then pair with the new one. Keys made with the old device go on
working with that one alone: they hold its fingerprint themselves.")]
    Forget {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// The relay to meet at.
#[derive(Clone, Debug, Default, Args)]
pub struct AtRelay {
    /// Also meet at this relay, where the local network does not reach: ws://HOST:PORT or wss://HOST
    #[arg(long = "relay", value_name = "URL", env = "COSIGN_RELAY", hide_env_values = true)]
    pub url: Option<RelayUrl>,
}

/// How to reach the other devices of a ceremony.
#[derive(Clone, Debug, Default, Args)]
pub struct ReachArgs {
    /// Where a device listens; with several devices NAME=HOST:PORT; may be repeated
    #[arg(long = "peer", value_name = "[NAME=]HOST:PORT")]
    pub peers: Vec<Route>,
    /// Reach a device through a command's standard input and output; may be repeated
    #[arg(long = "via", value_name = "[NAME=]COMMAND")]
    pub vias: Vec<Route>,
    /// The relay.
    #[command(flatten)]
    pub relay: AtRelay,
    /// Use this network interface only
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// An address or a command, and the device that it belongs to where one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The part before `=`, if it looks like a name. A command may begin with a variable
    /// (`LANG=C ssh …`), so this is a device's name only if there is such a device: see [`Route::whole`].
    pub name: Option<String>,
    /// The part after `=`.
    pub to: String,
}

impl Route {
    /// The argument as it was given, name and all.
    pub fn whole(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}={}", self.to),
            None => self.to.clone(),
        }
    }
}

impl std::str::FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        match text.split_once('=') {
            _ if text.is_empty() => Err("is empty".to_owned()),
            Some((_, "")) => Err("nothing follows the '='".to_owned()),
            Some((name, to)) if named(name) => {
                Ok(Self { name: Some(name.to_owned()), to: to.to_owned() })
            }
            _ => Ok(Self { name: None, to: text.to_owned() }),
        }
    }
}

/// `cosign keygen`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign keygen                                           with the one paired device
  cosign keygen --key vault --with bob                    2-of-2
  cosign keygen --key team --with bob carol --threshold 2   2-of-3
  cosign keygen --key vault --resume                      finish one that was cut off
  cosign keygen --key old --import key.pem --with bob     shares of a private key that you have

A key that is imported was whole: whoever has a copy of it from before signs alone, now and later. Its file is
not changed, and is to be destroyed with every other copy when all devices have their share.")]
pub struct KeygenArgs {
    /// The new key's name; a first key is called `default`
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// The other devices: paired names or fingerprints
    #[arg(long = "with", value_name = "PEER", num_args = 1.., value_delimiter = ',')]
    pub with: Vec<String>,
    /// How many devices must sign; default: two
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub threshold: Option<u8>,
    /// The key's curve; default: secp256k1
    #[arg(long, value_name = "CURVE")]
    pub curve: Option<CurveName>,
    /// Share the private key in this file: hexadecimal, WIF, xprv, or PEM (SEC1, PKCS#8)
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// Finish a key generation whose last message was lost
    #[arg(long, conflicts_with_all = ["with", "threshold", "curve", "import"])]
    pub resume: bool,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// The flags for a payload; they exclude each other.
const PAYLOADS: [&str; 5] = ["file", "message", "message_file", "eth_tx", "typed_data"];

/// The payload that is signed instead of a digest.
#[derive(Clone, Debug, Default, Args)]
pub struct PayloadArgs {
    /// A file; the signers see it if it is at most 1 MiB; - is standard input
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// How to hash the file; default: sha256
    #[arg(long, value_name = "HASH", requires = "file")]
    pub hash: Option<HashFunction>,
    /// A message, which the signers see
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "file")]
    pub message: Option<String>,
    /// The message in this file, with all its line ends; - is standard input
    #[arg(value_parser = path(), long, value_name = "FILE", conflicts_with_all = ["file", "message"])]
    pub message_file: Option<PathBuf>,
    /// How the message is signed; default: ethereum
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["file", "digest", "eth_tx", "typed_data"])]
    pub message_format: Option<MessageFormat>,
    /// An unsigned Ethereum transaction, or a file with it: RLP in hexadecimal, or JSON
    #[arg(long, value_name = "FILE|0x…", value_hint = ValueHint::AnyPath, conflicts_with_all = ["file", "message", "message_file"])]
    pub eth_tx: Option<String>,
    /// Typed data (EIP-712) in this JSON file; - is standard input
    #[arg(value_parser = path(), long, value_name = "FILE", conflicts_with_all = ["file", "message", "message_file", "eth_tx"])]
    pub typed_data: Option<PathBuf>,
}

impl PayloadArgs {
    /// Whether a payload is given.
    pub(super) fn is_given(&self) -> bool {
        !self.file.is_empty()
            || self.message.is_some()
            || self.message_file.is_some()
            || self.eth_tx.is_some()
            || self.typed_data.is_some()
    }
}

/// A payment that is signed instead of a digest.
#[derive(Clone, Debug, Default, Args)]
pub struct PaymentArgs {
    /// A payment of Bitcoin: a PSBT of version 0 or 2, binary or base64; - is standard input
    #[arg(value_parser = path(), long, value_name = "FILE", conflicts_with_all = ["digest", "path"])]
    #[arg(conflicts_with_all = PAYLOADS)]
    pub psbt: Option<PathBuf>,
    /// The network of the payment, in whose form addresses are shown; default: main
    #[arg(long, value_name = "NETWORK", requires = "psbt")]
    pub network: Option<Network>,
}

/// `cosign show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign show --message 'I agree'
  cosign show --psbt payment.psbt --key vault
  cosign show --file SHA256SUMS
  cosign show --eth-tx tx.json --key vault

The signers are shown the same. No device is asked, and nothing is signed.")]
pub struct ShowArgs {
    /// The digest: 64 hexadecimal digits, or as other tools write it
    #[arg(value_name = "DIGEST", conflicts_with_all = PAYLOADS)]
    #[arg(required_unless_present_any = PAYLOADS.into_iter().chain(["psbt"]))]
    pub digest: Option<String>,
    /// The payload that is shown instead.
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// The payment that is shown instead.
    #[command(flatten)]
    pub payment: PaymentArgs,
    /// The key that would sign, or one below it: its Ethereum account, or what of a payment is its
    #[arg(long, value_name = "NAME[/PATH]", conflicts_with_all = ["digest", "file", "message", "message_file"])]
    pub key: Option<KeyName>,
    /// The key at the end of this path below the key, such as 0/7
    #[arg(long, value_name = "PATH", requires = "key")]
    pub path: Option<Steps>,
}

/// `cosign sign`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign sign --key vault 5a7f8d…                          a 32-byte digest in hexadecimal
  cosign sign --key vault --file release.tar --purpose 'release 1.2' -o release.tar.sig
  cosign sign --key vault --file a --file b -o signatures  several files at once: all are signed, or none
  cosign sign --key vault --file notes.txt --format jws     a file as JWS, which other programs check
  cosign sign --key vault --file notes.txt --format openpgp -o notes.txt.asc     what gpg checks
  cosign sign --key vault --message 'I agree'              a message, as Ethereum wallets sign it
  cosign sign --key vault --eth-tx tx.json                 an Ethereum transaction; prints it signed
  cosign sign --key vault --psbt payment.psbt -o signed.psbt   a payment of Bitcoin
  cosign sign 5a7f8d… --key vault --wait                   the other device, scripted: that digest only
  cosign sign 5a7f8d… --key vault/0/7                      a key below it, as of `keys export --path 0/7`
  cosign sign --key vault 5a7f8d… --deliver-to cosigner    the signature goes to the other device")]
pub struct SignArgs {
    /// The digest: 64 hexadecimal digits, or as other tools write it
    #[arg(value_name = "DIGEST", conflicts_with_all = PAYLOADS)]
    pub digest: Option<String>,
    /// The payload that is signed instead.
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// The payment that is signed instead.
    #[command(flatten)]
    pub payment: PaymentArgs,
    /// Write the transaction as the network takes it, in hexadecimal, and not the PSBT
    #[arg(long, requires = "psbt")]
    pub finalize: bool,
    /// The key, or one below it, such as vault/0/7; default: the only one
    #[arg(long, value_name = "NAME[/PATH]")]
    pub key: Option<KeyName>,
    /// Sign with the key at the end of this path below the key, such as 0/7
    #[arg(long, value_name = "PATH")]
    pub path: Option<Steps>,
    /// Who signs with this device; default: the key's other devices in reach
    #[arg(long = "with", value_name = "PEER", num_args = 1.., value_delimiter = ',')]
    pub with: Vec<String>,
    /// What it is for; the approver sees it
    #[arg(long, value_name = "TEXT", value_parser = purpose)]
    pub purpose: Option<String>,
    /// Who receives the signature: requester, cosigner, both, or a device's name; default: requester
    #[arg(long, value_name = "WHO")]
    pub deliver_to: Option<Deliver>,
    /// How to write the signature; default: DER in hexadecimal on screen, plain DER to a file
    #[arg(long, value_name = "FORMAT", conflicts_with = "psbt")]
    pub format: Option<SignatureFormat>,
    /// Leave the file out of the JWS; whoever checks it has it already
    #[arg(long, requires = "format")]
    pub detached: bool,
    /// Write the signature to FILE, which is not there yet, or those of several files into a folder; - is standard output
    #[arg(value_parser = path(), short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file of -o where it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Name the request; with the id and digest of an earlier one, its signature is given again
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Wait for the other device's request for exactly this digest, approve it, and end
    #[arg(long, conflicts_with_all = ["deliver_to", "peers", "vias"])]
    pub wait: bool,
    /// Listen on this TCP port while waiting; default: 46737, or a free one if that is taken
    #[arg(long, value_name = "N", requires = "wait")]
    pub port: Option<u16>,
    /// Listen on this address only while waiting
    #[arg(long, value_name = "IP", requires = "wait")]
    pub bind: Option<IpAddr>,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// `cosign git-sign`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign git-sign --with bob -- -bsau release <commit      as git calls gpg
  ln -s \"$(command -v cosign)\" ~/bin/cosign-git            a name by which git can call it
  git config gpg.program cosign-git
  git config user.signingKey release
  git tag -s v1.2

Each signer sees the commit or tag, not its hash. For more flags, a script in the place of cosign-git says
exec cosign git-sign --with bob -- \"$@\". What is not about signing, such as git verify-tag, is handed to gpg, which knows the
key by the certificate of cosign keys export --format openpgp.")]
pub struct GitSignArgs {
    /// Who signs with this device; default: the key's other devices in reach
    #[arg(long = "with", value_name = "PEER", value_delimiter = ',')]
    pub with: Vec<String>,
    /// What it is for; the approver sees it
    #[arg(long, value_name = "TEXT", value_parser = purpose)]
    pub purpose: Option<String>,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
    /// What git says to gpg
    #[arg(last = true, value_name = "ARGUMENT", required = true, num_args = 1..)]
    pub gpg: Vec<String>,
}

/// Parses a path and makes it absolute, so that a message about it is unambiguous.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| absolute(&path))
}

/// `path` from the root. `-`, which is standard input or output, stays.
pub(super) fn absolute(path: &Path) -> PathBuf {
    match path == Path::new("-") {
        true => path.to_owned(),
        // Without a working folder the name as it was given is the best there is.
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// Parses a purpose, which must reach the approver as it was typed.
fn purpose(text: &str) -> Result<String, String> {
    let shown = Label::capped(text, usize::MAX);
    if text.chars().count() > MAX_LABEL_CHARS {
        Err(format!("a purpose has at most {MAX_LABEL_CHARS} characters"))
    } else if shown.as_str() != text.trim() {
        Err("a purpose is one line without control or invisible characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// The steps from a key to one below it, each below 2147483648.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<u32>);

impl std::str::FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = if text == "m" || text.starts_with("m/") { text } else { &format!("m/{text}") };
        let steps = bip32::parse_path(whole).ok().filter(|steps| steps.len() <= MAX_PATH);
        steps.map(Self).ok_or_else(|| {
            format!(
                "a path is at most {MAX_PATH} numbers below 2147483648 with a slash between them, such as \
                 0/7; hardened steps need the whole key, which is nowhere"
            )
        })
    }
}

/// A key of this device, or one below it: `vault/0/7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// The key's name.
    pub name: String,
    /// The steps that follow it.
    pub steps: Steps,
}

impl KeyName {
    /// The name and the steps of a command line that may also have steps apart from it.
    ///
    /// # Errors
    /// Together they are too many.
    pub fn with(
        key: Option<&Self>,
        path: Option<&Steps>,
    ) -> Result<(Option<String>, Vec<u32>), Failure> {
        let of_name = key.map(|key| key.steps.0.as_slice()).unwrap_or_default();
        let more = path.map(|path| path.0.as_slice()).unwrap_or_default();
        let steps = [of_name, more].concat();
        match steps.len() <= MAX_PATH {
            true => Ok((key.map(|key| key.name.clone()), steps)),
            false => Err(Failure::new(
                Code::Usage,
                format!("the path has {} steps, and {MAX_PATH} at most can be signed", steps.len()),
            )),
        }
    }
}

impl std::str::FromStr for KeyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('/') {
            Some((name, steps)) => Self { name: name.to_owned(), steps: steps.parse()? },
            None => Self { name: text.to_owned(), steps: Steps::default() },
        })
    }
}

/// The receivers of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// The requester.
    Requester,
    /// The other signer; where there are several, all of them.
    Cosigner,
    /// Every signer.
    Both,
    /// One device, by name or fingerprint.
    Peer(String),
}

impl std::str::FromStr for Deliver {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "requester" => Self::Requester,
            "cosigner" => Self::Cosigner,
            "both" => Self::Both,
            name => Self::Peer(name.to_owned()),
        })
    }
}

impl ValueEnum for MessageFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Ethereum => "EIP-191, as Ethereum wallets do",
            Self::Bitcoin => "BIP-137, as Bitcoin wallets do",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for Network {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Main => "the one whose coins are worth something",
            Self::Test => "the test networks 3 and 4",
            Self::Signet => "the test network with signed blocks",
            Self::Regtest => "a network of one's own",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for CurveName {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Secp256k1 => "that of Bitcoin and Ethereum",
            Self::P256 => "NIST P-256, also called secp256r1 and prime256v1",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for HashFunction {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Sha256 => "SHA-256",
            Self::Sha256d => "SHA-256 of SHA-256, as Bitcoin does",
            Self::Keccak256 => "Keccak-256, as Ethereum does",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// The formats of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignatureFormat {
    /// ASN.1 DER, as openssl reads it
    Der,
    /// r and s, 64 bytes
    Compact,
    /// r, s and the recovery id, 65 bytes
    Recoverable,
    /// DER in PEM armour
    Pem,
    /// DER in base64, as sigstore reads it
    Base64,
    /// 0x, r, s and 27 or 28 in hexadecimal, as Ethereum wallets write it; default for such messages
    Ethereum,
    /// A header, r and s in base64, as Bitcoin wallets write it; default for such messages
    Bitcoin,
    /// A file as JWS (RFC 7515), compact; each signer hashes it as such
    Jws,
    /// A file in OpenPGP, detached and armoured, as gpg reads it; each signer hashes it as such
    #[value(name = "openpgp")]
    OpenPgp,
    /// A text in OpenPGP, with the signature below it; each signer hashes it as such
    #[value(name = "openpgp-clear")]
    OpenPgpClear,
    /// A JSON object: the result as --json has it
    Json,
}

/// `cosign verify`
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Examples:
  cosign verify --key vault 5a7f8d… 3045…
  cosign verify --key vault --file release.tar release.tar.sig
  cosign verify --public-key key.pem 5a7f8d… sig.der && echo good

Exit code 0: valid; 1: not; 2: not understood. Keys, signatures and digests are taken as other tools write
them: raw, in hexadecimal, base64 or PEM, as JSON; digests also as lines of sha256sum."
)]
pub struct VerifyArgs {
    /// The digest: 64 hexadecimal digits, or as other tools write it
    #[arg(value_name = "DIGEST", conflicts_with_all = PAYLOADS, required_unless_present_any = PAYLOADS)]
    pub digest: Option<String>,
    /// The signature, or a file with it; - is standard input
    #[arg(value_name = "SIG", value_hint = ValueHint::AnyPath)]
    pub signature: String,
    /// The payload that was signed instead.
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// A key of this device, or one below it, such as vault/0/7; default: the only one
    #[arg(long, value_name = "NAME[/PATH]", conflicts_with = "public_key")]
    pub key: Option<KeyName>,
    /// The signature is by the key at the end of this path below the key, such as 0/7
    #[arg(long, value_name = "PATH", conflicts_with = "public_key")]
    pub path: Option<Steps>,
    /// A public key, or a file with it: SEC1, SPKI or JWK; - is standard input
    #[arg(long, value_name = "KEY|FILE", allow_hyphen_values = true, value_hint = ValueHint::AnyPath)]
    pub public_key: Option<String>,
    /// The curve of --public-key, which SEC1 alone does not say; default: secp256k1
    #[arg(long, value_name = "CURVE", requires = "public_key", hide_possible_values = true)]
    pub curve: Option<CurveName>,
    /// Also demand s in the lower half, as Bitcoin does
    #[arg(long)]
    pub require_low_s: bool,
}

/// `cosign keys`
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// The subcommand; without it they are listed.
    #[command(subcommand)]
    pub command: Option<KeysCommand>,
}

/// The subcommands of `cosign keys`.
#[derive(Debug, Default, Subcommand)]
pub enum KeysCommand {
    /// List the keys this device has a share of
    #[command(after_help = "Examples:
  cosign keys list
  cosign keys list --json | jq -r '.result.keys[].name'")]
    #[default]
    List,
    /// Show one key: its parties, threshold and state
    #[command(after_help = "Examples:
  cosign keys show vault")]
    Show {
        /// The key
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print a key's public half
    Export(Box<ExportArgs>),
    /// Show where coins for a key are received, to compare with what a wallet shows
    #[command(after_help = "Examples:
  cosign keys address family                                the first one, family/0/0
  cosign keys address family --index 3 --qr                 the one that the wallet gives out next
  cosign keys address family --is bc1q…                     whether an address is one of this key's, and which

A watch-only wallet with `cosign keys export family --format descriptor` gives out addresses. A wallet that was broken
into may show another's: two devices that show the same one here cannot both be wrong. The vault is opened for it.")]
    Address(AddressArgs),
    /// Give every party a new share of the same key; old shares become useless
    Refresh(RefreshArgs),
    /// Write a sealed copy of this device's share, for the day when the device is lost
    #[command(after_help = "Examples:
  cosign keys backup vault -o vault.backup                  asks twice for a passphrase of its own
  cosign keys backup vault -o vault.backup --recipient age1…

It is an age file, which `age -d` opens too. It holds the share of the epoch in use, the parties, and the key
by which the others know this device; nothing that signs at once. Restored, the share first takes part in
`cosign keys refresh`. Every refresh makes the backups of before worthless: make a new one after it, on each
device. Never keep as many backups in one place as devices must sign.")]
    Backup(BackupArgs),
    /// Check that a backup can be restored; writes nothing
    #[command(after_help = "Examples:
  cosign keys verify-backup vault.backup
  cosign keys verify-backup vault.backup --backup-identity recovery.txt --json

Exit code 0: it would restore; 1: it is damaged, or no backup; 8: not opened; 12: it is older than what this
device has, and worthless.")]
    VerifyBackup(BackupFileArgs),
    /// Put a share back from a backup, on a new or emptied device
    #[command(after_help = "Examples:
  cosign keys restore vault.backup                          asks for the backup's passphrase and a new one
  cosign keys restore vault.backup --backup-identity recovery.txt --identity key.txt
  cosign keys refresh vault                                 afterwards: the share signs from then on

It makes this device the one that was backed up, and overwrites nothing. Only where that one is lost or
emptied: two devices with one key are taken for one, and the one that refreshes first remains.")]
    Restore(RestoreArgs),
    /// Make the whole private key of enough backups or shares, and leave cosign
    #[command(after_help = "Examples:
  cosign keys combine alice.backup bob.backup --out-format xprv -o key.xprv
  cosign keys combine share-1 share-2 --out-format pem -o key.pem --yes-the-key-will-exist

Off line. It asks for the key's name before it does so: from then on the key exists, which is what cosign is
there to avoid, and whoever has the file signs alone. Each backup opens with its own passphrase or identity.
examples/combine.py does the same without cosign.")]
    Combine(CombineArgs),
    /// Call a key something else on this device
    #[command(after_help = "Examples:
  cosign keys rename vault treasury

The others call it what they did. Rules of a policy that name it must be changed: they no longer fit.")]
    Rename {
        /// Its name now
        #[arg(value_name = "OLD")]
        old: String,
        /// Its new name
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Give the same key to other devices, as when one is lost; or change how many must sign
    Reshare(ReshareArgs),
    /// Delete this device's share for ever
    #[command(after_help = "Examples:
  cosign keys delete old
  cosign keys delete old --yes-delete old             for scripts: the name once more

It says what the key can still do afterwards, and asks for the key's name. The other devices keep their
shares; with too few left the key can never sign again, and whatever it guards is lost. They are told at
the next contact.

A key that is pending here may be in use elsewhere: another device may have received all confirmations,
and an address of the key may have been given away. Look at `cosign keys list` on each of them first.

While the record of a key is gone or is not what this device wrote, no key signs here. Put the newest copy of
its folder back. Only where there is none: move away what is left of the folder, and delete the key by
its name. The other keys sign again then.")]
    Delete {
        /// The key
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask: NAME is the key's name once more
        #[arg(long, value_name = "NAME")]
        yes_delete: Option<String>,
    },
}

/// `cosign vault`
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Seal the vault with a token, a passphrase, an identity file, or several of them
    Move(MoveArgs),
    /// Change the passphrase that opens the vault
    #[command(after_help = "Examples:
  cosign vault passphrase                                   asks for the old one, and twice for the new one
  cosign vault passphrase --passphrase-file old.txt --new-passphrase-file new.txt

What else opens the vault stays as it is, and so do keys and backups: a backup has a passphrase of its own. A
copy of this home from before still opens with the old one.")]
    Passphrase {
        /// The new passphrase is on the first line of FILE
        #[arg(value_parser = path(), long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// `cosign vault move`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("to").required(true).multiple(true),
    after_help = "Examples:
  cosign vault move --to-token 'pkcs11:token=My%20token'
  cosign vault move --to-token pkcs11: --to-passphrase      either opens it from now on
  cosign vault move --to-passphrase                         away from the token
  cosign vault move --to-identity key.txt

The new seal is read back and opened before the old one goes. With several, any of them opens the
vault. Keys stay as they are; no other device notices. Restart a `cosign listen` afterwards. Only to change a
passphrase: `cosign vault passphrase`."
)]
pub struct MoveArgs {
    /// To a key on this token (RFC 7512); with an id or object, to that key
    #[arg(long, value_name = "URI", group = "to")]
    pub to_token: Option<String>,
    /// To a passphrase, asked for twice
    #[arg(long, group = "to")]
    pub to_passphrase: bool,
    /// To an age identity file
    #[arg(value_parser = path(), long, value_name = "FILE", group = "to")]
    pub to_identity: Option<PathBuf>,
    /// The new passphrase is on the first line of FILE; without it, where a passphrase does not
    /// open the vault already, --passphrase-file or --passphrase-fd says the new one
    #[arg(value_parser = path(), long, value_name = "FILE", requires = "to_passphrase")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// `cosign token`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List the tokens that are plugged in, and how they are named
    #[command(after_help = "Examples:
  cosign token list
  cosign token list --module /usr/lib/softhsm/libsofthsm2.so
  cosign token list --json | jq -r '.result.tokens[].uri'

No PIN is needed. The last column is what --token takes.")]
    List,
}

/// The formats of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// SubjectPublicKeyInfo in PEM, as openssl reads it
    Pem,
    /// 33 bytes, SEC1 compressed, in hexadecimal
    Hex,
    /// JSON Web Key, curve secp256k1
    Jwk,
    /// Ethereum address with its checksum
    AddressEth,
    /// Bitcoin address: P2WPKH on the main network
    AddressBtc,
    /// Extended public key of BIP-32; opens the vault for the chain code
    Xpub,
    /// Output descriptor of the P2WPKH addresses below the key; opens the vault for the chain code
    Descriptor,
    /// OpenPGP certificate with the user id of --uid; the key signs it, so the other devices are asked
    #[value(name = "openpgp")]
    OpenPgp,
}

/// `cosign keys export`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign keys export vault > vault.pem
  cosign keys export vault --format address-eth
  cosign keys export vault --format address-btc --path 0/7
  cosign keys export vault --format descriptor     watch-only wallets derive from it
  cosign keys export vault --format openpgp --uid 'Release <release@example.org>' -o vault.asc

What was paid to a key below this one is signed for with `cosign sign --key vault/0/7`.

An OpenPGP certificate is signed by the key itself, once: it is kept, and the next export of the same user id
asks nobody, unless --expires says something new.

Whoever has the xpub and one child's private key can compute the parent's private key.")]
pub struct ExportArgs {
    /// The key, or one below it, such as vault/0/7; default: the only one
    #[arg(value_name = "NAME")]
    pub name: Option<KeyName>,
    /// The key at the end of this path below the key, such as 0/7; opens the vault for the chain code
    #[arg(long, value_name = "PATH")]
    pub path: Option<Steps>,
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "pem")]
    pub format: KeyFormat,
    /// Whose key it is, in OpenPGP: a name, and an address in angle brackets
    #[arg(long, value_name = "TEXT", required_if_eq("format", "openpgp"))]
    pub uid: Option<String>,
    /// Until when it is used, in OpenPGP; the date begins in UTC; default: for ever
    #[arg(long, value_name = "YYYY-MM-DD", requires = "uid")]
    pub expires: Option<Day>,
    /// Who signs the certificate with this device; default: the key's other devices in reach
    #[arg(long = "with", value_name = "PEER", num_args = 1.., value_delimiter = ',', requires = "uid")]
    pub with: Vec<String>,
    /// Write it to FILE; - is standard output
    #[arg(value_parser = path(), short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// `cosign keys address`
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// The key; default: the only one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Which one, from 0
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..1 << 31))]
    pub index: u32,
    /// How many, from that one on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub count: u8,
    /// Those to which a wallet sends change
    #[arg(long)]
    pub change: bool,
    /// The network, in whose form they are written
    #[arg(long, value_name = "NETWORK", default_value = "main")]
    pub network: Network,
    /// Say whether this address is one of the key's
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["index", "count", "change", "qr"])]
    pub is: Option<String>,
    /// Draw a QR code below each
    #[arg(long)]
    pub qr: bool,
}

/// The beginning of a day in UTC, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub u32);

impl std::str::FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = time::macros::format_description!("[year]-[month]-[day]");
        let day = time::Date::parse(text, &format).ok();
        let begins = day.map(|day| day.midnight().assume_utc().unix_timestamp());
        let begins = begins.and_then(|begins| u32::try_from(begins).ok());
        begins.map(Self).ok_or_else(|| "a day is YYYY-MM-DD, up to 2106".to_owned())
    }
}

/// `cosign keys refresh`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign keys refresh vault
  cosign keys refresh vault --peer 192.0.2.7:7700

A refresh whose last message was lost is finished by running it again.")]
pub struct RefreshArgs {
    /// The key; default: the only one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// `cosign keys backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The key; default: the only one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write it to FILE, which is not there yet
    #[arg(value_parser = path(), short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Seal it to this age recipient instead of a passphrase; may be repeated
    #[arg(long, value_name = "AGE", conflicts_with = "backup_passphrase_file")]
    pub recipient: Vec<String>,
    /// Seal it with the passphrase on the first line of FILE
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub backup_passphrase_file: Option<PathBuf>,
}

/// `cosign keys restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup.
    #[command(flatten)]
    pub backup: BackupFileArgs,
    /// An age recipient that can also open every file of the new vault; may be repeated
    #[arg(long, value_name = "AGE")]
    pub recipient: Vec<String>,
}

/// A backup, and what opens it
#[derive(Debug, Args)]
pub struct BackupFileArgs {
    /// The backup
    #[arg(value_parser = path(), value_name = "FILE")]
    pub file: PathBuf,
    /// What opens it.
    #[command(flatten)]
    pub opener: BackupOpener,
}

/// What opens backups.
#[derive(Clone, Debug, Default, Args)]
pub struct BackupOpener {
    /// Open a backup with the passphrase on the first line of FILE; may be repeated
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub backup_passphrase_file: Vec<PathBuf>,
    /// Open a backup with an age identity file; may be repeated
    #[arg(value_parser = path(), long, value_name = "FILE")]
    pub backup_identity: Vec<PathBuf>,
}

/// `cosign keys combine`
#[derive(Debug, Args)]
pub struct CombineArgs {
    /// Backups, or shares as `age -d` takes them out of a home, of as many devices as must sign
    #[arg(value_parser = path(), value_name = "SHARE", required = true)]
    pub shares: Vec<PathBuf>,
    /// How to write the private key
    #[arg(long, value_name = "FORMAT")]
    pub out_format: PrivateFormat,
    /// Write it to FILE, which is not there yet
    #[arg(value_parser = path(), short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What opens the backups.
    #[command(flatten)]
    pub opener: BackupOpener,
    /// Do not ask: from then on the key exists, and whoever has it signs alone
    #[arg(long)]
    pub yes_the_key_will_exist: bool,
}

/// The formats of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrivateFormat {
    /// 32 bytes in hexadecimal
    Hex,
    /// PKCS#8 in PEM, as openssl reads it
    Pem,
    /// As Bitcoin wallets import one key: base58, compressed
    Wif,
    /// Extended private key of BIP-32; the keys below it are those of `sign --path`
    Xprv,
}

/// `cosign keys reshare`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign keys reshare vault --add carol               carol becomes a party; as many sign as before
  cosign keys reshare vault --lost bob --add dave     bob's laptop is gone: dave's takes its place
  cosign keys reshare vault --remove bob              bob takes part, and his share is destroyed
  cosign keys reshare vault --add erin --threshold 3

The public key and all addresses stay; every share is new, and backups of before restore nothing any more. As many of
the devices so far as must sign take part, and all that have the key then. Every two of them must be
paired. A new device cannot check the key: its owner compares the public key on its screen with one that is
known.

Old shares of as many devices as had to sign before still make the key, backups of before among them: destroy
those. A lost share makes nothing only while fewer than that are in the wrong hands.

What was cut off is finished by the same command, or by `cosign keygen --resume` on any of the devices.")]
pub struct ReshareArgs {
    /// The key; default: the only one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// A paired device that gets a share
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub add: Vec<String>,
    /// A device that is gone: it is not asked, and its share is not destroyed
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub lost: Vec<String>,
    /// A device that takes part and destroys its share
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub remove: Vec<String>,
    /// How many devices must sign; default: as many as before
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub threshold: Option<u8>,
    /// A device that failed a check and is banned here, and gets new shares all the same; a person is asked otherwise
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub pardon: Vec<String>,
    /// How to reach the others.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// `cosign policy`
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show what the rules of a file would answer, and why
    Check(PolicyCheckArgs),
}

/// `cosign policy check`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign policy check policy.toml
  cosign policy check policy.toml --request peer=alice key=vault 'purpose=release 1.2'
  cosign policy check policy.toml --request peer=alice digest=5a7f8d… time=2026-12-31T23:00:00+01:00
  cosign policy check policy.toml --request peer=alice key=vault psbt=payment.psbt
  cosign log --json | jq -c '.result.entries[-1]' | cosign policy check policy.toml --request -

Exit code 0: the file is in order and the request would be allowed; 9: it would be refused. No use of a rule is counted.")]
pub struct PolicyCheckArgs {
    /// The policy file
    #[arg(value_parser = path(), value_name = "FILE")]
    pub file: PathBuf,
    /// A request: FIELD=VALUE for peer, ceremony, key, digest, purpose, time and a payload (file,
    /// message, message-file, eth-tx, typed-data, psbt; hash, message-format, network), or a JSON object
    /// such as a request event or a log entry, or a file with one; - is standard input
    #[arg(long, value_name = "FIELD=VALUE|JSON", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub request: Vec<String>,
}

/// `cosign log`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign log
  cosign log --verify
  cosign log --json | jq '.result.entries[-1]'")]
pub struct LogArgs {
    /// Check that no line was changed, removed or put in between
    #[arg(long)]
    pub verify: bool,
}

/// `cosign doctor`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign doctor
  cosign doctor --json | jq '.result.checks[] | select(.status != \"ok\")'

Exit code 0: nothing is broken, warnings apart; 70: something is. It asks nothing and repairs nothing.")]
pub struct DoctorArgs {
    /// How long to listen for other devices
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    pub wait: Duration,
    /// Use this network interface only
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Also check that this relay admits the device
    #[arg(long, value_name = "URL", env = "COSIGN_RELAY", hide_env_values = true)]
    pub relay: Option<RelayUrl>,
}

/// `cosign demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign demo
  cosign demo --json")]
pub struct DemoArgs {
    /// Play one of the devices; the demo starts itself like this
    #[arg(long, value_name = "NAME", hide = true, requires = "folder")]
    pub device: Option<String>,
    /// Where that device lives
    #[arg(value_parser = path(), long, value_name = "DIR", hide = true)]
    pub folder: Option<PathBuf>,
}

/// `cosign relay`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign relay                                              ws:// on every address, port 46738
  cosign relay --tls-cert fullchain.pem --tls-key key.pem --bind 443
  cosign relay --bind 127.0.0.1:46738 --behind-proxy        a proxy in front does TLS
  cosign relay --cluster nats://10.0.0.5 --metrics 127.0.0.1:9100

A relay passes on what it cannot read: devices run their own mutual TLS through it. It stores
nothing. SIGTERM lets what waits go out and ends it with exit code 0; devices come back to the
next one and go on.")]
pub struct RelayArgs {
    /// Where to listen: IP:PORT, PORT or IP
    #[arg(long, value_name = "ADDR", default_value = "46738")]
    pub bind: String,
    /// The certificate chain for wss://, PEM
    #[arg(value_parser = path(), long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(value_parser = path(), long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Make one relay of all that name this NATS: nats://HOST:PORT, several with commas; a URL with a
    /// password belongs into the variable, since others see arguments
    #[arg(long, value_name = "NATS_URL", env = "COSIGN_RELAY_CLUSTER", hide_env_values = true)]
    pub cluster: Option<String>,
    /// Answer /healthz and /metrics (Prometheus) here: IP:PORT, or PORT on loopback
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// Take the last X-Forwarded-For as the client, for limits per address
    #[arg(long)]
    pub behind_proxy: bool,
    /// Bytes of one message
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "128K")]
    pub max_frame: usize,
    /// Members of one room
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_members: usize,
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub max_rooms: usize,
    /// Bytes that may be queued for one member
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4M")]
    pub max_waiting: usize,
    /// Bytes that may be queued for all members
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256M")]
    pub max_waiting_in_all: usize,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub max_connections: usize,
    /// Connections from one address (of IPv6: one /64)
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_per_source: usize,
    /// Rooms that one address may join in a minute
    #[arg(long, value_name = "N", default_value_t = 240)]
    pub joins_per_minute: u32,
    /// How long a connection may be silent
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub idle: Duration,
}

/// A number of bytes: `65536`, `64K`, `4M`, `1G`, in powers of 1024.
fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (text.get(..at), 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 30),
        _ => (Some(text), 0),
    };
    digits
        .and_then(|digits| digits.parse::<usize>().ok())
        .and_then(|number| number.checked_mul(1 << unit))
        .ok_or_else(|| "expected a number of bytes, such as 65536 or 64K".to_owned())
}

/// `cosign bench`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign bench
  cosign bench --json
  cosign bench --load             1, 8 and 32 commands at once against one listener")]
pub struct BenchArgs {
    /// Measure whole `cosign sign` commands, many at once, against a listener on this machine
    #[arg(long)]
    pub load: bool,
}

/// `cosign completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign completions bash > ~/.local/share/bash-completion/completions/cosign
  cosign completions zsh > ~/.zfunc/_cosign
  cosign completions fish > ~/.config/fish/completions/cosign.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `cosign complete`
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// Whose command line it is
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
    /// The words up to the cursor; for bash COMP_WORDBREAKS and the line
    #[arg(value_name = "WORD", last = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `cosign man`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cosign man | man -l -
  cosign man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Where to write one page per command
    #[arg(value_parser = path(), value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Parses a length of time: `90s`, `5m`, `1h 30m`. Zero is an error.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("must be longer than nothing".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("must be a number with a unit, such as 90s, 5m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Examples:\n  cosign "), "{}: {help}", sub.get_name());
                check(sub);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn a_route_may_name_its_device() {
        let named: Route = "bob=192.0.2.7:7700".parse().unwrap();
        assert_eq!(named, Route { name: Some("bob".into()), to: "192.0.2.7:7700".into() });
        let command: Route = "ssh -o A=b host".parse().unwrap();
        assert_eq!(command, Route { name: None, to: "ssh -o A=b host".into() });
        assert_eq!("LANG=C ssh host".parse::<Route>().unwrap().whole(), "LANG=C ssh host");
        assert!("".parse::<Route>().is_err());
        assert!("bob=".parse::<Route>().is_err());
    }

    #[test]
    fn a_key_below_another_one_is_named_with_its_path() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.0);
        for text in ["0/7", "m/0/7"] {
            assert_eq!(steps(text), Ok(vec![0, 7]));
        }
        assert_eq!(steps("m"), Ok(vec![]));
        for bad in ["", "/", "0/", "0'/7", "0h", "-1", "2147483648", "0//7", &["1"; 17].join("/")] {
            assert!(steps(bad).is_err(), "{bad:?}");
        }
        let key: KeyName = "vault/0/7".parse().unwrap();
        assert_eq!((key.name.as_str(), key.steps.0.as_slice()), ("vault", &[0, 7][..]));
        let more = Steps(vec![9]);
        let named = KeyName::with(Some(&key), Some(&more)).unwrap();
        assert_eq!(named, (Some("vault".to_owned()), vec![0, 7, 9]));
        assert_eq!(KeyName::with(None, Some(&more)).unwrap(), (None, vec![9]));
        let long = Steps(vec![1; 15]);
        assert!(KeyName::with(Some(&key), Some(&long)).is_err());
        assert!("vault/".parse::<KeyName>().is_err());
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["90", "0s", "soon", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
