//! A device with SoftHSM2 tokens of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::device::{Device, Ended, Listener, Running, text};
use crate::terminal::Terminal;

pub(crate) const PIN: &str = "123456";
pub(crate) const TOKEN: &str = "pkcs11:token=cosign%20test";

/// A device, SoftHSM2 with a folder of tokens beside its home, and files with PINs and passphrases.
pub(crate) struct Holder {
    pub(crate) device: Device,
    module: PathBuf,
    env: Vec<(String, String)>,
}

impl std::ops::Deref for Holder {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl Holder {
    /// A blank device with one token, `cosign test`.
    pub(crate) fn new(name: &str) -> Self {
        let holder = Self::without_token(name);
        holder.make_token("cosign test");
        holder
    }

    /// A blank device whose token was never initialised.
    pub(crate) fn without_token(name: &str) -> Self {
        let device = Device::blank(name);
        std::fs::create_dir(device.path("tokens")).unwrap();
        let tokens = device.path("tokens").display().to_string();
        let config = format!("directories.tokendir = {tokens}\nobjectstore.backend = file\n");
        device.write("softhsm2.conf", config + "log.level = ERROR\n");
        device.write("pin", PIN);
        device.write("wrong-pin", "654321");
        device.write("passphrase", "correct horse battery staple");
        device.write("other-passphrase", "wrong mule socket nail");
        Self { device, module: softhsm(), env: Vec::new() }
    }

    /// A device with its vault on the token.
    pub(crate) fn sealed(name: &str) -> Self {
        let holder = Self::new(name);
        holder.run(["init", "--name", name, "--token", TOKEN]).succeeds();
        holder
    }

    /// A device with its vault under a passphrase.
    pub(crate) fn with_passphrase(name: &str) -> Self {
        let holder = Self::new(name);
        let flags = ["--passphrase-file", "passphrase"];
        holder.run(["init", "--name", name].into_iter().chain(flags)).succeeds();
        holder
    }

    pub(crate) fn make_token(&self, label: &str) {
        let mut command = Command::new("softhsm2-util");
        command.args(["--init-token", "--free", "--label", label]);
        command.args(["--so-pin", "12345678", "--pin", PIN]);
        self.succeeds(&mut command);
    }

    /// From now on everything goes through the module that misbehaves.
    pub(crate) fn through_stub(&mut self) {
        self.env.push(("STUB_REAL".into(), softhsm().display().to_string()));
        // A folder that a variable about HSMs names is one that modules may write to.
        std::fs::create_dir(self.path("stub")).unwrap();
        self.env.push(("STUB_HSM".into(), self.path("stub").display().to_string()));
        self.env.push(("STUB_LOG".into(), self.path("stub/calls").display().to_string()));
        self.module = stub();
    }

    /// How the module misbehaves from now on.
    pub(crate) fn misbehave(&mut self, how: &[(&str, &str)]) {
        self.env.retain(|(name, _)| {
            let how = [
                "STUB_FAIL",
                "STUB_FLAGS",
                "STUB_LABEL",
                "STUB_WHEN",
                "STUB_AFTER",
                "STUB_FDS",
                "STUB_TRY",
            ];
            !how.contains(&name.as_str())
        });
        self.env.extend(how.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// The functions of the module that were called since this was asked last.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("stub/calls")).unwrap_or_default();
        let _ = std::fs::remove_file(self.path("stub/calls"));
        calls.lines().map(str::to_owned).collect()
    }

    /// A script's command, with the token and its PIN at hand.
    pub(crate) fn script<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.equip(self.device.script(args))
    }

    /// A script's command without any PIN.
    pub(crate) fn pinless<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.script(args);
        command.env_remove("COSIGN_TOKEN_PIN_FILE");
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        self.start(args).ends()
    }

    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(&mut self.script(args))
    }

    /// The program in a terminal, without the PIN.
    pub(crate) fn terminal<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Terminal {
        let mut command = self.equip(self.device.command(args));
        command.env_remove("COSIGN_TOKEN_PIN_FILE");
        Terminal::start(&command)
    }

    pub(crate) fn equip(&self, mut command: Command) -> Command {
        command.env_remove("COSIGN_IDENTITY").env("HOME", self.path("."));
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command.env("COSIGN_TOKEN_MODULE", &self.module);
        command.env("COSIGN_TOKEN_PIN_FILE", self.path("pin"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn fingerprint(&self) -> String {
        text(&self.run(["id"]).succeeds()["fingerprint"])
    }

    /// The place of a key's share.
    pub(crate) fn location(&self, key: &str) -> String {
        text(&self.run(["keys", "show", key]).succeeds()["location"])
    }

    /// The output of `pkcs11-tool`, logged in if `login`.
    pub(crate) fn pkcs11_tool(&self, login: bool, args: &[&str]) -> String {
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(softhsm()).args(args);
        if login {
            command.args(["--login", "--pin", PIN]);
        }
        self.succeeds(&mut command)
    }

    /// The objects on the token: `Private Key Object`, `Data object`, …
    pub(crate) fn objects(&self) -> Vec<String> {
        let listed = self.pkcs11_tool(true, &["--list-objects"]);
        let kinds = listed
            .lines()
            .filter(|line| line.contains(" Object;") || line.starts_with("Data object"));
        kinds
            .map(|line| {
                line.split(';')
                    .next()
                    .unwrap()
                    .trim_end_matches(|c: char| c.is_numeric() || c == ' ')
                    .to_owned()
            })
            .collect()
    }

    fn succeeds(&self, command: &mut Command) -> String {
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        let output = command.output().expect("apt-get install softhsm2 opensc");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

/// Makes a device on a token and another one known to each other.
pub(crate) fn introduce(holder: &Holder, other: &Device) {
    introduce_with(holder, &[], other, None);
}

/// The same, where `unlock` opens the vault of the one and the passphrase in a file that of the other.
pub(crate) fn introduce_with(
    holder: &Holder,
    unlock: &[&str],
    other: &Device,
    passphrase: Option<&Path>,
) {
    let (ours, theirs) = (holder.fingerprint(), other.fingerprint());
    let add = ["peers", "add", &other.name, "--fingerprint", &theirs];
    holder.run(add.iter().chain(unlock)).succeeds();
    let mut add = other.script(["peers", "add", &holder.name, "--fingerprint", &ours]);
    if let Some(file) = passphrase {
        add.env_remove("COSIGN_IDENTITY").env("COSIGN_PASSPHRASE_FILE", file);
    }
    Running::start(&mut add).ends().succeeds();
}

/// Listens, and allows whatever the device of this name asks for.
pub(crate) fn serve(device: &Device, peer: &str) -> Listener {
    device.policy(&format!("[[rule]]\npeer = {peer:?}\naction = \"allow\"\n"));
    device.listen(&["--policy", "policy.toml"])
}

/// The one SoftHSM2 module of this system.
pub(crate) fn softhsm() -> PathBuf {
    let folders = [
        "/usr/lib/softhsm",
        "/usr/lib/x86_64-linux-gnu/softhsm",
        "/usr/lib/aarch64-linux-gnu/softhsm",
        "/usr/lib64/pkcs11",
        "/usr/local/lib/softhsm",
    ];
    let found = folders.iter().map(|folder| Path::new(folder).join("libsofthsm2.so"));
    found.into_iter().find(|path| path.exists()).expect("apt-get install softhsm2")
}

/// The module that misbehaves, built once.
fn stub() -> PathBuf {
    static STUB: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = STUB.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokens/module.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"])
            .arg(folder.path().join("stub.so"))
            .arg(source)
            .arg("-ldl");
        assert!(cc.status().expect("apt-get install gcc").success());
        folder
    });
    folder.path().join("stub.so")
}

/// The one string of a JSON list.
#[track_caller]
pub(crate) fn only(list: &Value) -> String {
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    text(&list[0])
}
