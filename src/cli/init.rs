//! `cosign init` and `cosign id`

use serde::Serialize;

use super::args::InitArgs;
use super::unlock::{self, ask};
use super::{Global, Output, token};
use crate::report::Failure;
use crate::vault::{DeviceInfo, Error, Vault};

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    id: String,
    fingerprint: String,
}

/// Makes this device.
pub(super) fn run_init(global: &Global, args: InitArgs) -> Result<Output, Failure> {
    let InitArgs { name, recipient, token, recovery_passphrase } = args;
    let home = unlock::home(global)?;
    // Before anybody is asked for a passphrase.
    if Vault::exists(&home) {
        return Err(Error::Exists { path: home.data }.into());
    }
    ask(async {
        let token = match token {
            None => token::offer(global).await?,
            Some(text) => Some(token::uri("--token", &text)?),
        };
        let seals = match token {
            Some(uri) => unlock::token_seals(global, &uri, recovery_passphrase).await?,
            None => unlock::seals(global).await?,
        };
        unlock::create(global, &home, name.as_deref(), &seals, &recipient)
    })?;
    show(&Vault::device(&home)?)
}

/// Prints who this device is.
pub(super) fn run_id(global: &Global) -> Result<Output, Failure> {
    let (_, device) = ask(unlock::device(global))?;
    show(&device)
}

fn show(device: &DeviceInfo) -> Result<Output, Failure> {
    let DeviceInfo { name, fingerprint, .. } = device;
    let id = fingerprint.device_id();
    let text = format!("name         {name}\nid           {id}\nfingerprint  {fingerprint}");
    Output::new(Identity { name, id, fingerprint: fingerprint.to_hex() }, text)
}
