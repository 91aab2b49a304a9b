//! `cosign init` and `cosign id`

use serde::Serialize;
use serde_json::json;

use super::args::InitArgs;
use super::ceremony::unopened;
use super::runtime::ask;
use super::unlock;
use super::{Global, Output, token};
use crate::report::Failure;
use crate::vault::{DeviceInfo, Error, Home, Vault};

#[derive(Serialize)]
struct Identity<'a> {
    name: &'a str,
    id: String,
    fingerprint: String,
    /// Whether the open vault authenticated this.
    checked: bool,
}

/// Makes this device.
pub(super) fn run_init(global: &Global, args: InitArgs) -> Result<Output, Failure> {
    let InitArgs { name, recipient, token, recovery_passphrase } = args;
    let home = crate::cli::given::home(global)?;
    // Checked before a passphrase is asked for.
    match Vault::lock(&home) {
        Err(Error::NoVault { .. }) => {}
        Err(error) if !Vault::exists(&home) => return Err(error.into()),
        _ => return Err(Error::Exists { path: home.data }.into()),
    }
    let vault = ask(async {
        // If the flags say what opens the vault, nothing is asked.
        let asks = token.is_none() && !token::is_settled(global);
        let token = token.map(|text| token::uri("--token", &text)).transpose()?;
        let name = unlock::chosen_name(global, name.as_deref(), asks).await?;
        let seals = match token {
            Some(uri) => unlock::token_seals(global, &uri, recovery_passphrase).await?,
            None => unlock::chosen_seals(global).await?,
        };
        unlock::create(global, &home, &name, &seals, &recipient)
    })?;
    show(vault.home())
}

/// Prints this device's name, id and fingerprint.
pub(super) fn run_id(global: &Global) -> Result<Output, Failure> {
    match Vault::exists(&crate::cli::given::home(global)?) {
        true => show(&unlock::look(global)?.0),
        false => show(&ask(unlock::open_or_make(global))?.0),
    }
}

/// Gives this device another name.
pub(super) fn run_rename(global: &Global, name: &str) -> Result<Output, Failure> {
    Vault::check_name(name)?;
    unopened(global)?;
    let (home, vault) = ask(unlock::open_naming(global))?;
    let was = Vault::device(&home)?.name;
    vault.rename(name)?;
    let text = format!("this device is {name:?} now, and others see it when they meet it again");
    Output::new(json!({ "name": name, "was": was }), text)
}

fn show(home: &Home) -> Result<Output, Failure> {
    let DeviceInfo { name, fingerprint, .. } = Vault::device(home)?;
    let checked = home.checks();
    let id = fingerprint.device_id();
    let text = format!("name         {name}\nid           {id}\nfingerprint  {fingerprint}");
    Output::new(Identity { name: &name, id, fingerprint: fingerprint.to_hex(), checked }, text)
}
