//! The device behind a command: where it lives, made where there is none, opened where it must be.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::Path;

use super::Global;
use super::ceremony::block_on;
use crate::device::Label;
use crate::net::tls::Device;
use crate::report::{Code, Failure};
use crate::run::clock;
use crate::secret::Secret;
use crate::vault::{DeviceInfo, Error, Home, Lock, Seal, Unlock, Vault};

/// The most bytes of a device's name, which are what a service announcement can hold.
const MAX_NAME: usize = 63;
/// The longest passphrase.
const MAX_PASSPHRASE: u64 = 1024;
/// How often a person may mistype the passphrase.
const TRIES: usize = 3;

/// Runs a question or two to the end; Ctrl-C takes them back.
pub(super) fn ask<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    block_on(async {
        tokio::select! {
            result = work => result,
            Ok(()) = tokio::signal::ctrl_c() => Err(Failure::new(Code::Interrupted, "interrupted")),
        }
    })
}

/// Where this device keeps things.
pub fn home(global: &Global) -> Result<Home, Failure> {
    Ok(global.home.clone().map_or_else(Home::xdg, Ok)?)
}

/// The device, made now if there is none. It stays locked.
pub async fn device(global: &Global) -> Result<(Home, DeviceInfo), Failure> {
    let home = home(global)?;
    if !Vault::exists(&home) {
        make(global, &home).await?;
    }
    let device = Vault::device(&home)?;
    Ok((home, device))
}

/// The device's vault, open; made now if there is none.
pub async fn open(global: &Global) -> Result<(Home, Vault), Failure> {
    let home = home(global)?;
    let vault = match Vault::lock(&home) {
        Err(Error::NoVault { .. }) => match make(global, &home).await? {
            Some(vault) => vault,
            None => unlock(global, &home, Vault::lock(&home)?).await?,
        },
        lock => unlock(global, &home, lock?).await?,
    };
    Ok((home, vault))
}

/// Makes a device of this name, or of the host's, sealed with what the global flags say or a
/// passphrase that a person chooses.
pub(super) async fn create(
    global: &Global,
    home: &Home,
    name: Option<&str>,
    recovery: &[String],
) -> Result<Vault, Failure> {
    let seal = match (&global.args.identity, given_passphrase(global)?) {
        (Some(_), Some(_)) => {
            return Err(Failure::new(Code::Usage, "both an identity and a passphrase were given")
                .hint("a new vault is sealed with one of them"));
        }
        (Some(path), None) => Seal::Identity(path.clone()),
        (None, Some(passphrase)) if passphrase.expose().is_empty() => {
            return Err(Failure::new(Code::Usage, "the passphrase is empty"));
        }
        (None, Some(passphrase)) => Seal::Passphrase(passphrase),
        (None, None) => Seal::Passphrase(global.prompter.new_passphrase().await?),
    };
    let device = Device::generate()
        .map_err(|e| Failure::new(Code::Internal, format!("cannot make a device key: {e}")))?;
    let info = DeviceInfo {
        name: name.or(global.name.as_deref()).map_or_else(host_name, str::to_owned),
        fingerprint: device.fingerprint,
        certificate: device.certificate,
        created: clock::unix_now(),
    };
    Ok(Vault::create(home, &info, &device.key, &seal, recovery)?)
}

/// [`create`] for a command that needs a device; `None` if another process was quicker.
async fn make(global: &Global, home: &Home) -> Result<Option<Vault>, Failure> {
    global.screen.note("there is no device here yet: making one");
    match create(global, home, None, &[]).await {
        Ok(vault) => Ok(Some(vault)),
        Err(failure) if failure.code == Code::Conflict && Vault::exists(home) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn unlock(global: &Global, home: &Home, lock: Lock) -> Result<Vault, Failure> {
    let identity = global.args.identity.clone().map(Unlock::Identity);
    let passphrase = match lock {
        Lock::Passphrase => given_passphrase(global)?.map(Unlock::Passphrase),
        Lock::Identity => None,
    };
    // An identity opens a vault with a passphrase too, if it is that of a recovery recipient.
    if let Some(unlock) = passphrase.or(identity) {
        return Ok(Vault::open(home, &unlock)?);
    }
    if lock == Lock::Identity {
        return Err(Failure::new(Code::Interaction, "the vault needs its age identity file")
            .hint("use --identity FILE or COSIGN_IDENTITY"));
    }
    for _ in 1..TRIES {
        let passphrase = global.prompter.passphrase().await?;
        match Vault::open(home, &Unlock::Passphrase(passphrase)) {
            Err(Error::WrongSecret) => global.screen.note("wrong passphrase, try again"),
            opened => return Ok(opened?),
        }
    }
    Ok(Vault::open(home, &Unlock::Passphrase(global.prompter.passphrase().await?))?)
}

/// The passphrase that `--passphrase-fd` or `--passphrase-file` names, if either was given.
fn given_passphrase(global: &Global) -> Result<Option<Secret<String>>, Failure> {
    let (name, file) = match (&global.args.passphrase_fd, &global.args.passphrase_file) {
        (Some(fd), _) => (format!("--passphrase-fd {fd}"), descriptor(*fd)),
        (None, Some(path)) => (format!("passphrase file {}", path.display()), File::open(path)),
        (None, None) => return Ok(None),
    };
    file.and_then(first_line).map(Some).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::new(Code::NotFound, format!("there is no {name}")),
        _ => Failure::new(Code::Usage, format!("cannot read {name}: {e}")),
    })
}

/// Opens what a file descriptor stands for.
fn descriptor(fd: u32) -> io::Result<File> {
    File::open(Path::new("/dev/fd").join(fd.to_string()))
}

/// The first line without its end. It never leaves memory that is wiped.
fn first_line(file: impl Read) -> io::Result<Secret<String>> {
    let mut bytes = Secret::new(Vec::with_capacity(MAX_PASSPHRASE as usize));
    let mut file = file.take(MAX_PASSPHRASE);
    // `read_to_end` would probe with a buffer of its own and grow this one.
    let mut byte = [0];
    while file.read(&mut byte)? == 1 && byte != *b"\n" {
        bytes.expose_mut().extend_from_slice(&byte);
    }
    let line = bytes.expose().strip_suffix(b"\r").unwrap_or(bytes.expose());
    let text = std::str::from_utf8(line).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

/// The host's name, as far as it can be shown.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut name = Label::new(&name).as_str().to_owned();
    while name.len() > MAX_NAME {
        name.pop();
    }
    if name.is_empty() { "device".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line() {
        let read = |bytes: &[u8]| first_line(bytes).map(|s| s.expose().clone());
        assert_eq!(read(b"one two\nthree\n").unwrap(), "one two");
        assert_eq!(read(b"windows\r\n").unwrap(), "windows");
        assert_eq!(read(b"no end").unwrap(), "no end");
        assert_eq!(read(b"").unwrap(), "");
        assert!(read(b"\xff\n").is_err());
    }
}
