//! `cosign discover`: the devices nearby, by their certificates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::cli::args::DiscoverArgs;
use crate::cli::ceremony::{Setup, with_node};
use crate::cli::{Global, Output};
use crate::device::Fingerprint;
use crate::driver::connect::search;
use crate::driver::connect::search::look_around;
use crate::driver::connect::target::Way;
use crate::driver::{Node, clock};
use crate::progress::Event;
use crate::report::Failure;
use crate::vault::{PeerRecord, addresses};

/// How long a dashboard looks for devices, and pauses afterwards.
const LOOK: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(3);

/// A device, as `discover` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    name: String,
    id: String,
    fingerprint: Fingerprint,
    status: String,
    addresses: Vec<String>,
    port: u16,
    paired: bool,
    /// The version of its program, as it last told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listing {
    peers: Vec<Found>,
}

/// `cosign discover`
pub(super) fn run_discover(global: &Global, args: DiscoverArgs) -> Result<Output, Failure> {
    let DiscoverArgs { wait, watch, interface } = args;
    let setup = Setup { interface, lines: true, ..Setup::default() };
    with_node(global, None, setup, |node| async move {
        if watch {
            return keep_looking(&node, wait).await;
        }
        let peers = look(&node, wait).await?;
        let text = table(&peers);
        Output::new(Listing { peers }, text)
    })
}

/// Looks once. Every announced device is asked for its certificate, since announcements prove
/// nothing.
pub(super) async fn look(node: &Arc<Node>, wait: Duration) -> Result<Vec<Found>, Failure> {
    let wait = node.deadline_within(wait).saturating_duration_since(clock::now());
    let met = look_around(node, wait).await?;
    for device in &met {
        search::remember_name(node, &device.fingerprint, &device.name);
    }
    let peers = node.peers()?;
    let now = clock::unix_now();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for device in met {
        let record = peers.known(&device.fingerprint);
        let paired = record.is_some_and(|record| !record.is_expired(now));
        let status = match (device.busy, paired) {
            (true, _) => "busy",
            (false, true) => "ready",
            (false, false) => "available",
        };
        let first = device.addresses.first();
        if let Some(address) = first {
            search::remember(&node.home, &device.fingerprint, &Way::Lan(*address));
        }
        if record.is_some() {
            search::remember_program(&node.home, &device.fingerprint, device.program());
        }
        let id = device.fingerprint.device_id();
        let known = Found {
            name: record.map_or_else(|| device.name.to_string(), |record| record.name.clone()),
            id: id.clone(),
            fingerprint: device.fingerprint,
            status: status.to_owned(),
            addresses: device.addresses.iter().map(host).collect(),
            port: first.map_or(0, SocketAddr::port),
            paired,
            program: device.program().map(ToString::to_string),
        };
        found.insert(id, known);
    }
    for record in peers.iter() {
        let id = record.fingerprint.device_id();
        found.entry(id.clone()).or_insert_with(|| away(node, record, id, now));
    }
    Ok(found.into_values().collect())
}

/// A known device that does not answer now.
fn away(node: &Node, record: &PeerRecord, id: String, now: i64) -> Found {
    Found {
        name: record.name.clone(),
        id,
        fingerprint: record.fingerprint,
        status: "offline".to_owned(),
        addresses: Vec::new(),
        port: 0,
        paired: !record.is_expired(now),
        program: addresses::program(&node.home, &record.fingerprint).ok().flatten(),
    }
}

/// Looks again and again, and reports every change.
async fn keep_looking(node: &Arc<Node>, wait: Duration) -> Result<Output, Failure> {
    let mut last: BTreeMap<String, Found> = BTreeMap::new();
    loop {
        let now: BTreeMap<String, Found> =
            look(node, wait).await?.into_iter().map(|found| (found.id.clone(), found)).collect();
        for (id, found) in &now {
            if last.get(id) != Some(found) {
                tell(node, found, &found.status);
            }
        }
        for (id, found) in &last {
            if !now.contains_key(id) {
                tell(node, found, "offline");
            }
        }
        last = now;
        if node.deadline.is_some_and(|deadline| clock::now() >= deadline) {
            let peers: Vec<Found> = last.into_values().collect();
            let text = table(&peers);
            return Output::new(Listing { peers }, text);
        }
    }
}

/// Looks again and again while this is polled, and reports the devices each time.
pub(super) async fn watch(node: &Arc<Node>) {
    let mut there: BTreeMap<String, Found> = BTreeMap::new();
    loop {
        let found = look(node, LOOK).await.unwrap_or_default();
        let now: BTreeMap<String, Found> = found
            .into_iter()
            .filter(|found| found.status != "offline")
            .map(|found| (found.id.clone(), found))
            .collect();
        for found in now.values() {
            tell(node, found, &found.status);
        }
        for (id, found) in &there {
            if !now.contains_key(id) {
                tell(node, found, "offline");
            }
        }
        there = now;
        sleep(REST).await;
    }
}

fn tell(node: &Node, found: &Found, status: &str) {
    let address = found.addresses.first().map(|ip| whole(ip, found.port));
    node.tell(Event::Peer {
        name: found.name.clone(),
        id: found.id.clone(),
        fingerprint: Some(found.fingerprint),
        status: status.to_owned(),
        address: address.unwrap_or_default(),
    });
}

/// The address without its port, with the zone if it has one.
fn host(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        address => address.ip().to_string(),
    }
}

/// The address as `--peer` takes it.
fn whole(ip: &str, port: u16) -> String {
    match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    }
}

fn table(peers: &[Found]) -> String {
    if peers.is_empty() {
        return "no device was found\n\
                run `cosign listen` on the other device; multicast is often blocked by VPNs, \
                containers and guest networks: there, use --peer HOST:PORT with pair, keygen and sign"
            .to_owned();
    }
    let mut rows = vec![["NAME", "STATUS", "ID", "VERSION", "ADDRESS"].map(str::to_owned)];
    for peer in peers {
        let address = peer.addresses.iter().find(|a| !a.contains(':')).or(peer.addresses.first());
        let address = address.map_or_else(|| "-".to_owned(), |ip| whole(ip, peer.port));
        let program = peer.program.clone().unwrap_or_else(|| "-".to_owned());
        rows.push([peer.name.clone(), peer.status.clone(), peer.id.clone(), program, address]);
    }
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
