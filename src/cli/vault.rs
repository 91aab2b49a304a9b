//! `cosign vault`

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::args::MoveArgs;
use super::delete::alone;
use super::given::{given, given_passphrase};
use super::keys::in_a_line;
use super::runtime::ask;
use super::unlock;
use super::{Global, Output, passphrase, token};
use crate::report::{Code, Failure, here};
use crate::token::Uri;
use crate::vault::keys::{self, Location};
use crate::vault::{Lock, Resealed, Seal, TokenRecord, Vault};

#[derive(Serialize)]
struct Moved {
    sealed_by: Vec<Lock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Uri>,
    shares: Vec<Share>,
}

#[derive(Serialize)]
struct Share {
    name: String,
    location: Location,
}

/// Seals the vault anew.
pub(super) fn run_move(global: &Global, args: MoveArgs) -> Result<Output, Failure> {
    let home = crate::cli::given::home(global)?;
    let locks = Vault::locks(&home)?;
    let to_identity = args.to_identity;
    // Parsed before any secret is asked for.
    let to_token = args.to_token.map(|text| token::uri("--to-token", &text)).transpose()?;
    let given = match &args.new_passphrase_file {
        Some(path) => given(global, "passphrase", None, Some(path))?,
        // If a passphrase opens the vault, the flags have given that one already.
        None if !args.to_passphrase || locks.contains(&Lock::Passphrase) => None,
        None => given_passphrase(global)?,
    };
    if args.to_passphrase && given.is_none() && !global.prompter.can_ask() {
        return Err(nowhere_to_ask());
    }
    let resealed = ask(async {
        let (home, mut vault) = unlock::open_naming(global).await?;
        // Checked before anything is asked, and before a token makes a key.
        keys::aside(&home).into_iter().try_for_each(Err)?;
        let mut seals = Vec::new();
        if args.to_passphrase {
            seals.push(Seal::Passphrase(passphrase::new(global, given, passphrase::DEVICE).await?));
        }
        seals.extend(to_identity.clone().map(Seal::Identity));
        // Last, so that no question follows that could be refused after a key was made.
        if let Some(uri) = &to_token {
            let key = token::new_key(global, uri, vault.session()).await?;
            seals.insert(0, Seal::Token(key));
        }
        let names: Vec<String> =
            keys::each(vault.home())?.into_iter().map(|(name, _)| name).collect();
        // If a key stays in use, `reseal` reports it and destroys the key that was made on the
        // token.
        let _closed = alone(global, vault.home(), &names).await;
        token::aside(move || Ok(vault.reseal(&seals)?)).await
    })?;
    let Resealed { left_behind } = resealed;
    for TokenRecord { uri, .. } in left_behind {
        global.screen.note(format!("the vault's old key may still be on its token: {uri}"));
    }
    let token = Vault::token(&home)?.map(|record| record.uri);
    let sealed_by = [
        to_token.is_some().then_some(Lock::Token),
        args.to_passphrase.then_some(Lock::Passphrase),
        to_identity.is_some().then_some(Lock::Identity),
    ];
    let sealed_by: Vec<Lock> = sealed_by.into_iter().flatten().collect();
    let shares = keys::list(&home)?
        .into_iter()
        .map(|key| {
            let location = keys::location(&home, &key.name, &key.epoch)?;
            Ok(Share { name: key.name, location })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let names: Vec<&str> = sealed_by.iter().map(|lock| name(*lock)).collect();
    let mut text = format!("opened by    {}\n", names.join(", or "));
    if let Some(uri) = &token {
        text += &format!("token        {uri}\n");
    }
    for Share { name, location } in &shares {
        text += &format!("share        {name}: {}\n", in_a_line(location));
    }
    Output::new(Moved { sealed_by, token, shares }, text)
}

/// Changes the passphrase that opens the vault.
pub(super) fn run_passphrase(global: &Global, new: Option<&Path>) -> Result<Output, Failure> {
    let home = crate::cli::given::home(global)?;
    let locks = Vault::locks(&home)?;
    if !locks.contains(&Lock::Passphrase) {
        return Err(Failure::new(Code::Usage, "no passphrase opens this vault").hint(format!(
            "{} seals it with one, in the place of what it has",
            here(&["vault", "move", "--to-passphrase"], &[])
        )));
    }
    let given = given(global, "passphrase", None, new)?;
    if given.is_none() && !global.prompter.can_ask() {
        return Err(nowhere_to_ask());
    }
    ask(async {
        let (_, vault) = unlock::open_naming(global).await?;
        let new = passphrase::new(global, given, passphrase::DEVICE).await?;
        token::aside(move || Ok(vault.change_passphrase(new)?)).await
    })?;
    let text = "the vault opens with the new passphrase; a copy of this home from before still opens with the \
                old one, and a `cosign listen` that runs need not be restarted";
    Output::new(json!({ "sealed_by": locks }), text)
}

fn nowhere_to_ask() -> Failure {
    Failure::new(Code::Interaction, "the vault needs a new passphrase")
        .hint("use --new-passphrase-file FILE")
}

/// The name of a kind of seal.
pub(super) fn name(lock: Lock) -> &'static str {
    match lock {
        Lock::Passphrase => "a passphrase",
        Lock::Identity => "an age identity",
        Lock::Token => "a token",
    }
}
