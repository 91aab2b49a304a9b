//! `cosign pair`: six digits on two screens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::args::PairArgs;
use crate::cli::ceremony::{Setup, label, pick, with_node};
use crate::cli::{Global, Output};
use crate::device::Fingerprint;
use crate::net::mdns::{self, Seen};
use crate::progress::Event;
use crate::report::{self, Failure};
use crate::run::pairing::{self, Pairing};
use crate::run::reach::{Route, Target, ping};
use crate::run::{Node, REACH, clock};
use crate::ui::Need;
use crate::vault::attempts;

/// How long `pair` looks around at a time.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Result_ {
    peer: String,
    fingerprint: String,
    expires: Option<String>,
}

/// `cosign pair`
pub(super) fn run_pair(global: &Global, args: PairArgs) -> Result<Output, Failure> {
    let PairArgs { name, peer, via, remember, reset_attempts, interface } = args;
    let asks_for_nothing_else = name.is_none() && peer.is_none() && via.is_none();
    if reset_attempts {
        attempts::reset(&crate::cli::unlock::home(global)?)?;
        if asks_for_nothing_else {
            return Output::new(
                serde_json::json!({ "reset": true }),
                "pairing attempts were reset",
            );
        }
    }
    global.prompter.demand(&Need::Code)?;
    // The command of --via may want the terminal for itself, to ask for a password.
    let setup = Setup { interface, keep: remember, lines: via.is_some() };
    with_node(global, None, setup, |node| async move {
        let deadline = node.until(REACH);
        let shown =
            name.clone().or_else(|| peer.clone()).unwrap_or_else(|| "the device".to_owned());
        let target = |route| Target { name: label(&shown), fingerprint: None, route };
        let pairing = match (via, peer) {
            (Some(command), _) => {
                pairing::request(&node, &target(Route::Via(command)), deadline).await?
            }
            (None, Some(address)) => {
                pairing::request(&node, &target(Route::Address(address)), deadline).await?
            }
            (None, None) => nearby(global, &node, name.as_deref()).await?,
        };
        output(&pairing)
    })
}

/// What a pairing is as a result.
pub(super) fn output(pairing: &Pairing) -> Result<Output, Failure> {
    let expires = pairing.expires.map(clock::rfc3339);
    let until = expires.as_ref().map_or_else(
        || "until `cosign peers forget`".to_owned(),
        |moment| format!("until {moment}; --remember keeps it"),
    );
    let text = format!(
        "paired with {} {until}\nnext: cosign keygen --key vault --with {}",
        pairing.peer, pairing.peer
    );
    let result =
        Result_ { peer: pairing.peer.clone(), fingerprint: pairing.fingerprint.to_hex(), expires };
    Output::new(result, text)
}

/// Pairs with a device that is found on the network, or that finds this one: people may run
/// `cosign pair` on both devices at once.
async fn nearby(global: &Global, node: &Arc<Node>, name: Option<&str>) -> Result<Pairing, Failure> {
    let mut visits = pairing::doorbell(node).await?;
    let deadline = node.patience(Duration::from_secs(60));
    let target = tokio::select! {
        biased;
        pairing = pairing::wait(&mut visits, deadline) => return pairing,
        target = choose(global, node, name, deadline) => target?,
    };
    pairing::meet(node, &target, &mut visits, deadline).await
}

/// Looks until a device is there that can be meant.
async fn choose(
    global: &Global,
    node: &Arc<Node>,
    name: Option<&str>,
    deadline: Instant,
) -> Result<Target, Failure> {
    node.tell(Event::Waiting {
        what: "a device to pair with".to_owned(),
        peers: name.iter().map(ToString::to_string).collect(),
    });
    let own_id = node.info.fingerprint.device_id();
    loop {
        let mut found: Vec<(Seen, Fingerprint)> = Vec::new();
        for seen in mdns::browse(LOOK, &own_id, node.interface.as_deref()).await {
            if let Some((fingerprint, announced, _)) = ping(node, &seen).await
                && fingerprint != node.info.fingerprint
                && name.is_none_or(|name| meant(name, &seen, &fingerprint))
            {
                found.push((Seen { name: announced, ..seen }, fingerprint));
            }
        }
        let chosen = match found.as_slice() {
            [] if clock::now() >= deadline => return Err(report::nobody_to_pair()),
            [] => continue,
            [_] => 0,
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|(seen, fingerprint)| {
                        format!("{} ({})", seen.name, fingerprint.device_id())
                    })
                    .collect();
                pick(global, "peer", "PEER (a device id)", &names).await?
            }
        };
        if let Some((seen, fingerprint)) = found.get(chosen)
            && let Some(address) = seen.addresses.first()
        {
            return Ok(Target {
                name: seen.name.clone(),
                fingerprint: Some(*fingerprint),
                route: Route::Address(address.to_string()),
            });
        }
    }
}

/// Whether `name` is what a device announces, or its id or fingerprint.
fn meant(name: &str, seen: &Seen, fingerprint: &Fingerprint) -> bool {
    seen.name.as_str().eq_ignore_ascii_case(name)
        || fingerprint.device_id() == name.to_lowercase()
        || name.parse() == Ok(*fingerprint)
}
