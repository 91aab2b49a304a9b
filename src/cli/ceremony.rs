//! What the ceremony commands have in common: the runtime, signals, the node, and the devices to
//! reach.

use std::future::Future;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::Global;
use crate::cli::approver::Person;
use crate::cli::args::{ReachArgs, Route as Named, Tls};
use crate::cli::runtime::block_on;
use crate::cli::{given, unlock};
use crate::device::{Fingerprint, Label, shell_word};
use crate::driver::approver::Approver;
use crate::driver::connect::dial::PORT;
use crate::driver::connect::target::{Route, Target};
use crate::driver::told::Told;
use crate::driver::{Node, REACH_OF_PEOPLE, clock, records};
use crate::net::address::Address;
use crate::net::relay::RelayUrl;
use crate::net::tls::TlsVersion;
use crate::report::{self, Code, Failure, here};
use crate::ui::{Need, ending};
use crate::vault::{Home, KeyRecord, PartyRecord, PeerRecord, Peers, Vault, keys};

/// The settings of a command for its node.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// The only network interface to use.
    pub(super) interface: Option<String>,
    /// The relay of the command line.
    pub(super) relay: Option<RelayUrl>,
    /// Whether pairings are kept until they are forgotten.
    pub(super) remember: bool,
    /// Whether the full screen is off, also in a terminal.
    pub(super) lines: bool,
    /// Whether a device is made if there is none.
    pub(super) makes: bool,
    /// Whether requests for a digest alone are refused.
    pub(super) refuses_blind: bool,
}

impl From<Option<String>> for Setup {
    /// A node on `interface`.
    fn from(interface: Option<String>) -> Self {
        Self { interface, ..Self::default() }
    }
}

impl From<&ReachArgs> for Setup {
    /// A node for these routes. The command of `--via` may need the terminal, to ask for a
    /// password, so the full screen is off.
    fn from(reach: &ReachArgs) -> Self {
        let (interface, relay) = (reach.interface.clone(), reach.relay.url.clone());
        Self { interface, relay, lines: !reach.vias.is_empty(), ..Self::default() }
    }
}

/// Makes the approver once the vault is open.
pub(super) type Choice = Box<dyn FnOnce(&Home) -> Result<Arc<dyn Approver>, Failure>>;

/// Opens the device of this home and runs `work` with it. A signal to end is passed on to the
/// devices with open links.
///
/// # Errors
/// The error of `work`, or `interrupted`.
pub(super) fn with_node<T, W, F>(
    global: &Global,
    approver: Option<Choice>,
    setup: impl Into<Setup>,
    work: W,
) -> Result<T, Failure>
where
    W: FnOnce(Arc<Node>) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    until_ended(global, approver, setup, work)?.ok_or_else(report::interrupted)
}

/// As [`with_node`]; `None` for a signal to end while no other device is here.
///
/// # Errors
/// The error of `work`, or `interrupted`.
pub(super) fn until_ended<T, W, F>(
    global: &Global,
    approver: Option<Choice>,
    setup: impl Into<Setup>,
    work: W,
) -> Result<Option<T>, Failure>
where
    W: FnOnce(Arc<Node>) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    block_on(async {
        let setup = setup.into();
        let deadline = global.timeout().map(|timeout| clock::now() + timeout);
        let (home, vault) = match setup.makes {
            true => unlock::open_or_make(global).await?,
            false => unlock::open(global).await?,
        };
        let version = match global.args.tls {
            Some(Tls::Only12) => TlsVersion::Only12,
            Some(Tls::Any) | None => TlsVersion::Any,
        };
        let approver = match approver {
            Some(choose) => choose(&home)?,
            None => Arc::new(Person::new(global.prompter.clone(), None)),
        };
        let screen = global.screen.clone();
        let sink = Arc::new(move |told: Told<'_>| screen.show(&report::event(told)));
        let mut node = Node::new(vault, version, approver, sink)?;
        node.deadline = deadline;
        if global.is_for_people() {
            node.reach = REACH_OF_PEOPLE;
        }
        node.interface = setup.interface;
        node.relay = setup.relay.or_else(|| global.relay.clone());
        node.remember_pairings = setup.remember;
        node.require_log = global.args.require_log;
        node.refuses_blind = setup.refuses_blind;
        let node = Arc::new(node);
        let screen = &global.screen;
        screen.introduce(
            &node.info.name,
            &node.info.fingerprint.device_id(),
            &node.info.fingerprint.to_hex(),
        );
        let fills = !setup.lines && global.fills();
        let filled = async {
            match fills {
                true => screen.fill().await,
                false => std::future::pending().await,
            }
        };
        let work = work(Arc::clone(&node));
        tokio::pin!(work, filled);
        let result = tokio::select! {
            // Polled first: signal handlers are installed before `listening` is printed.
            biased;
            () = ending() => {
                // The work goes on meanwhile: it owns the links over which peers are told.
                let is_idle = node.is_idle();
                let word = node.interrupt();
                tokio::pin!(word);
                tokio::select! {
                    () = &mut word => {}
                    _ = &mut work => word.await,
                }
                if is_idle { Ok(None) } else { Err(report::interrupted()) }
            }
            never = &mut filled => match never {},
            result = &mut work => result.map(Some),
        };
        // With a full screen on a terminal the result stays visible for a while. A script that
        // reads standard output gets it at once.
        if fills && matches!(result, Ok(Some(_))) && std::io::stdout().is_terminal() {
            tokio::select! {
                () = screen.linger(LINGER) => {}
                never = &mut filled => match never {},
                () = ending() => {}
            }
        }
        result
    })
}

/// How long a result stays on a full screen if no key is pressed.
const LINGER: Duration = Duration::from_secs(10);

/// The home with its vault locked, for checks before it is opened: a command line that cannot
/// succeed should not ask for a passphrase. The state of a ceremony is checked again afterwards.
///
/// # Errors
/// There is no device.
pub(super) fn unopened(global: &Global) -> Result<Home, Failure> {
    let home = given::home(global)?;
    Vault::lock(&home)?;
    Ok(home)
}

/// The peer that `text` means: its name, its fingerprint or its device id.
///
/// # Errors
/// `not_found`, with the names of the known peers.
pub(super) fn peer<'a>(peers: &'a [PeerRecord], text: &str) -> Result<&'a PeerRecord, Failure> {
    let by_id = |record: &&PeerRecord| record.fingerprint.device_id() == text.to_lowercase();
    let fingerprint = text.parse::<Fingerprint>().ok();
    peers
        .iter()
        .find(|record| fingerprint == Some(record.fingerprint))
        .or_else(|| peers.iter().find(|record| record.is_called(text)))
        .or_else(|| peers.iter().find(by_id))
        .ok_or_else(|| {
            let names: Vec<&str> = peers.iter().map(|p| p.name.as_str()).collect();
            let hint = if names.is_empty() {
                format!("no device is paired yet: run {}", here(&["pair"], &[text]))
            } else {
                format!("the paired devices are: {}", names.join(", "))
            };
            Failure::new(Code::NotFound, format!("no device called {text:?} is paired")).hint(hint)
        })
}

/// Fails if the pairing with `record` is over.
///
/// # Errors
/// `identity`, with what to run.
pub(super) fn unexpired(record: &PeerRecord) -> Result<(), Failure> {
    if record.is_expired(clock::unix_now()) {
        return Err(crate::report::refused(&record.name, crate::wire::Reason::Expired));
    }
    Ok(())
}

/// The routes to `records`, from `--peer`, `--via` and the records.
///
/// # Errors
/// A route for an unknown device, or one without a name if there are several devices.
pub(super) fn targets(records: &[PeerRecord], reach: &ReachArgs) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> =
        records.iter().map(|record| Target::paired(record, None)).collect();
    let known = |route: &Named| {
        route.name.as_ref().is_some_and(|name| records.iter().any(|r| r.is_called(name)))
    };
    let all = reach.peers.iter().map(|r| (r, false)).chain(reach.vias.iter().map(|r| (r, true)));
    for (route, via) in all {
        if let Some(name) = route.name.as_ref().filter(|_| !via && !known(route)) {
            return Err(takes_no_part(name, &route.whole(), records));
        }
        let to = if known(route) { route.to.clone() } else { route.whole() };
        let named = route.name.as_ref().filter(|_| known(route));
        let found = match (named, targets.as_mut_slice()) {
            (Some(name), all) => {
                let place = records.iter().position(|record| record.is_called(name));
                place.and_then(|place| all.get_mut(place))
            }
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let flag = if via { "--via" } else { "--peer" };
        let target = found.ok_or_else(|| {
            let names = records.iter().map(|r| shell_word(format!("{}={to}", r.name)));
            let names: Vec<String> = names.map(|word| format!("{flag} {word}")).collect();
            Failure::new(Code::Usage, format!("{flag} {to} does not say which device it leads to"))
                .hint(format!("write {}", names.join(", or ")))
        })?;
        target.route = if via { Route::Via(to) } else { Route::Address(address(&to)?) };
    }
    Ok(targets)
}

/// A `--peer NAME=HOST:PORT` whose device is not among `records`.
fn takes_no_part(name: &str, given: &str, records: &[PeerRecord]) -> Failure {
    let message = format!("--peer {given} is for {name:?}, which takes no part in this");
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    Failure::new(Code::Usage, message)
        .hint(format!("the other devices that take part: {}", names.join(", ")))
}

/// An address that `--peer` names, with its port.
///
/// # Errors
/// `usage` if it is none.
pub(super) fn address(text: &str) -> Result<String, Failure> {
    with_port("--peer", text)
}

/// `text`, which `flag` names, as an address with a port.
///
/// # Errors
/// `usage` if it is none.
pub(super) fn with_port(flag: &str, text: &str) -> Result<String, Failure> {
    text.parse::<Address>().map(|address| address.or_port(PORT).to_string()).map_err(|_| {
        let message = format!("{flag} {} is not HOST:PORT", Label::capped(text, 80));
        Failure::new(Code::Usage, message).hint(
            "such as bob.local:7700, 192.0.2.7 or [fe80::1%eth0]:7700; a port is a number from 1 to 65535",
        )
    })
}

/// The key that a command line means: the named one, or the only one.
///
/// # Errors
/// `not_found`, or `usage` with the names if there are several.
pub(super) async fn key(
    global: &Global,
    home: &Home,
    name: Option<&str>,
    flag: &'static str,
) -> Result<KeyRecord, Failure> {
    if let Some(name) = name {
        return records::find(home, name)?.ok_or_else(|| crate::report::no_key(name));
    }
    let mut names: Vec<String> = keys::list(home)?.into_iter().map(|k| k.name).collect();
    names.dedup();
    let chosen = match names.as_slice() {
        [] => {
            return Err(Failure::new(Code::NotFound, "there is no key on this device yet")
                .hint(format!("make one with {}", here(&["keygen"], &[]))));
        }
        [only] => only.clone(),
        several => {
            let index = global.prompter.pick("key", flag, several).await?;
            several.get(index).cloned().unwrap_or_default()
        }
    };
    records::find(home, &chosen)?.ok_or_else(|| crate::report::no_key(&chosen))
}

/// The other parties of a key as peers, with the name and address in `peers.json`, or else with the
/// name in the key's record.
pub(super) fn parties(home: &Home, record: &KeyRecord) -> Result<Vec<PeerRecord>, Failure> {
    let peers = Peers::load(home)?;
    let others = record.parties.iter().filter(|party| party.index != record.me);
    Ok(others.map(|party| as_peer(&peers, party, record.created)).collect())
}

fn as_peer(peers: &Peers, party: &PartyRecord, paired_at: i64) -> PeerRecord {
    peers.known(&party.fingerprint).cloned().unwrap_or_else(|| PeerRecord {
        name: party.name.clone(),
        fingerprint: party.fingerprint,
        address: None,
        paired_at,
        expires: None,
        paired_as: None,
    })
}

/// The other parties of all epochs of the key `name`, as [`parties`] has them, also of those by which this
/// device leaves it. Before a reshare is confirmed there are epochs of different parties.
pub(super) fn holders(home: &Home, name: &str) -> Result<Vec<PeerRecord>, Failure> {
    let held = records::held(home, name)?;
    let Some(newest) = held.first() else { return Err(report::no_key(name)) };
    let (peers, own) = (Peers::load(home)?, Vault::device(home)?.fingerprint);
    let leaving = keys::leaving(home, name)?;
    let of_leaving = leaving.iter().flat_map(|leaving| &leaving.parties);
    let mut all: Vec<PeerRecord> = Vec::new();
    for party in held.iter().flat_map(|record| &record.parties).chain(of_leaving) {
        let is_known = all.iter().any(|known| known.fingerprint == party.fingerprint);
        if party.fingerprint != own && !is_known {
            all.push(as_peer(&peers, party, newest.created));
        }
    }
    Ok(all)
}

/// Asks which of `names` is meant; `flag` would have said it.
///
/// # Errors
/// `usage` with the names, if there is nobody to ask.
pub(super) async fn pick(
    global: &Global,
    what: &'static str,
    flag: &'static str,
    names: &[String],
) -> Result<usize, Failure> {
    if !global.prompter.can_ask() {
        return Err((&Need::Choice { what, flag, candidates: names.to_vec() }).into());
    }
    Ok(global.prompter.pick(what, flag, names).await?)
}

/// A label for a device, from typed text.
pub(super) fn label(text: &str) -> Label {
    Label::new(text)
}
