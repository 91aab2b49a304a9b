//! `cosign setup`: from nothing to a key, one question after another.

use std::sync::Arc;

use serde_json::json;

use super::args::{KeygenArgs, ListenArgs, PairArgs, ReachArgs, SetupArgs};
use super::runtime::ask;
use super::{Global, Output, given, keygen, listen, pair, unlock};
use crate::driver::clock;
use crate::report::{Code, Failure, here};
use crate::vault::{Home, Peers, Vault, keys};

/// Makes the missing parts: the device, a pairing, a key. Each step runs the command of that name.
pub(super) fn run_setup(global: &Global, args: SetupArgs) -> Result<Output, Failure> {
    if !global.prompter.can_ask() {
        return Err(Failure::new(
            Code::Interaction,
            "setup asks a person, and nobody can be asked",
        )
        .hint(format!(
            "scripts run {}, {} and {}",
            here(&["init", "--help"], &[]),
            here(&["peers", "add", "--help"], &[]),
            here(&["keygen", "--help"], &[])
        )));
    }
    // Each step opens the vault, but its passphrase is typed once.
    let global = &Global { typed: Some(Arc::default()), ..global.clone() };
    let home = given::home(global)?;
    if !Vault::exists(&home) {
        ask(unlock::make(global, &home))?;
    }
    meet(global, &home, &args)?;
    if keys::list(&home)?.is_empty() {
        make_key(global, &home, &args)?;
    }
    let peers = live(&home)?;
    let mut keys: Vec<String> = keys::list(&home)?.into_iter().map(|key| key.name).collect();
    keys.dedup();
    let next = match keys.first() {
        Some(key) => format!("cosign sign --key {key} --file FILE"),
        None => "cosign keygen".to_owned(),
    };
    let next = format!("next: {next}, while the other devices run cosign listen");
    Output::new(json!({ "peers": peers, "keys": keys }), next)
}

/// Pairs with at least one device, and with as many more as the person wants.
fn meet(global: &Global, home: &Home, args: &SetupArgs) -> Result<(), Failure> {
    let mut name = args.name.clone();
    loop {
        let peers = live(home)?;
        match peers.as_slice() {
            [] => global
                .screen
                .note("now a second device: run `cosign setup` or `cosign listen` there as well"),
            [only] if keys::list(home)?.is_empty() => {
                global.screen.note(format!(
                    "paired with {only:?}. A key of two devices is lost with either of them; of three, any two can \
                     sign and one may be lost: that is what we recommend"
                ));
                if !confirm(global, "pair a third device now")? {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        let args = PairArgs {
            name: name.take(),
            peer: None,
            via: None,
            remember: false,
            relay: None,
            qr_image: None,
            qr_out: None,
            group: false,
            then_keygen: None,
            threshold: None,
            join: false,
            reset_attempts: false,
            interface: args.interface.clone(),
        };
        pair::run_pair(global, args)?;
    }
}

/// Makes a key with all paired devices, any two of which sign, or waits for another device to make it.
fn make_key(global: &Global, home: &Home, args: &SetupArgs) -> Result<(), Failure> {
    let names = live(home)?;
    global.screen.note(format!(
        "now a key with {}: one device makes it, and the others wait for that",
        names.join(" and ")
    ));
    if confirm(global, "make it here")? {
        let reach = ReachArgs { interface: args.interface.clone(), ..ReachArgs::default() };
        let with = names;
        let keygen = KeygenArgs {
            key: None,
            with,
            curve: None,
            threshold: Some(2),
            import: None,
            resume: false,
            reach,
        };
        keygen::run_keygen(global, keygen)?;
    } else {
        let listen =
            ListenArgs { once: true, interface: args.interface.clone(), ..ListenArgs::default() };
        listen::run_listen(global, listen)?;
    }
    Ok(())
}

fn confirm(global: &Global, what: &str) -> Result<bool, Failure> {
    ask(async { Ok(global.prompter.confirm(what, "cosign keygen").await?) })
}

/// The names of the devices with a valid pairing.
fn live(home: &Home) -> Result<Vec<String>, Failure> {
    let now = clock::unix_now();
    let peers = Peers::load(home)?;
    Ok(peers.iter().filter(|peer| !peer.is_expired(now)).map(|peer| peer.name.clone()).collect())
}
