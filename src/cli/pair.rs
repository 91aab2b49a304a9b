//! `cosign pair`: six digits on two screens.

use std::cell::RefCell;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::args::{PairArgs, ReachArgs};
use crate::cli::ceremony::{Setup, address, label, pick, targets, with_node};
use crate::cli::runtime::block_on;
use crate::cli::{Global, Output, keygen, qr, unlock};
use crate::curve::CurveName;
use crate::device::Label;
use crate::driver::ceremony::group::{self, Gathering, PairedAll};
use crate::driver::ceremony::pairing::{self, Pairing};
use crate::driver::ceremony::{invitation, keygen as ceremony};
use crate::driver::connect::search::{Met, look_around};
use crate::driver::connect::target::{Route, Target};
use crate::driver::error::{Ability, Error};
use crate::driver::listen::Visits;
use crate::driver::{Node, clock};
use crate::net::relay::invite::Invite;
use crate::progress::{Event, PartyView};
use crate::report::{self, Code, Failure, Near};
use crate::ui::{Need, keygen_with};
use crate::vault::{PeerRecord, Peers, attempts};
use crate::wire::{About, Reason};

/// How long one search for devices takes.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct PairResult {
    peer: String,
    fingerprint: String,
    expires: Option<String>,
}

impl PairResult {
    fn of(Pairing { peer, fingerprint, expires }: &Pairing) -> Self {
        Self {
            peer: peer.clone(),
            fingerprint: fingerprint.to_hex(),
            expires: expires.map(clock::rfc3339),
        }
    }
}

#[derive(Debug, Serialize)]
struct GroupResult<'a> {
    peers: Vec<PairResult>,
    /// Those that have not said that they stored it, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsure: Vec<String>,
    /// The key that was made with all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<keygen::KeyResult<'a>>,
}

impl GroupResult<'_> {
    fn of(paired: &PairedAll) -> Self {
        Self {
            peers: paired.pairings.iter().map(PairResult::of).collect(),
            unsure: paired.unsure.iter().map(ToString::to_string).collect(),
            key: None,
        }
    }
}

/// The kind of device that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Any.
    Any,
    /// One that gathers a group.
    Gathering,
}

impl Wanted {
    fn suits(self, device: &Met) -> bool {
        self == Self::Any || device.gathers()
    }
}

/// `cosign pair`
pub(super) fn run_pair(global: &Global, args: PairArgs) -> Result<Output, Failure> {
    let PairArgs {
        name,
        peer,
        via,
        remember,
        relay,
        qr_image,
        qr_out,
        group,
        then_keygen,
        threshold,
        join,
        reset_attempts,
        interface,
    } = args;
    let names_nobody = name.is_none() && peer.is_none() && via.is_none() && qr_image.is_none();
    if reset_attempts {
        attempts::reset(&unlock::to_change(global)?)?;
        if names_nobody && relay.is_none() && !group && !join {
            return Output::new(
                serde_json::json!({ "reset": true }),
                "pairing attempts were reset",
            );
        }
    }
    let invite = match (&qr_image, &name) {
        (Some(path), _) => Some(invitation(&qr::read(path, Invite::is_meant)?)?),
        (None, Some(text)) if Invite::is_meant(text) => Some(invitation(text)?),
        (None, _) => None,
    };
    if join && invite.as_ref().is_some_and(|invite| !invite.group) {
        return Err(Failure::new(Code::Usage, "the invitation is to pair with one device alone")
            .hint("leave --join out"));
    }
    let join = join || invite.as_ref().is_some_and(|invite| invite.group);
    let peer = peer.as_deref().map(address).transpose()?;
    if qr_out.is_some() && relay.is_none() && global.relay.is_none() {
        return Err(Failure::new(Code::Usage, "--qr-out needs a relay to invite to")
            .hint("add --relay URL"));
    }
    if let Some(path) = &qr_out {
        qr::kind(path)?;
    }
    global.prompter.demand(&Need::Code)?;
    after_failures(global, group.then_some(group::SOURCE))?;
    // The command of --via may need the terminal, to ask for a password.
    let lines = via.is_some();
    // With --relay only the relay is used; the relay of config.toml is a further way.
    let only_there = relay.is_some();
    let setup = Setup { interface, relay, remember, lines, makes: true, ..Setup::default() };
    with_node(global, None, setup, |node| async move {
        let deadline = node.reach_by();
        let shown =
            name.clone().or_else(|| peer.clone()).unwrap_or_else(|| "the device".to_owned());
        let target = |route| Target { name: label(&shown), fingerprint: None, route };
        let save_code = |invite: &Invite| match &qr_out {
            Some(path) => qr::write(path, &invite.to_string()),
            None => Ok(()),
        };
        if group {
            let threshold = threshold.unwrap_or(2);
            if let Some(name) = &then_keygen {
                // Nobody is gathered for a key that cannot be made.
                ceremony::is_free(&node.home, (name, CurveName::default()), threshold, &[])?;
            }
            let gathering = Gathering::open(&node, node.relay.as_ref(), save_code).await?;
            let paired = gather(global, gathering).await?;
            return match &then_keygen {
                None => output_of_all(&paired),
                Some(name) => keygen_with_all(&node, name, threshold, &paired).await,
            };
        }
        if join {
            let joined = match (invite, peer) {
                (Some(invite), _) => {
                    group::join(&node, &pairing::inviter(&node, &invite)?, deadline).await?
                }
                (None, Some(address)) => {
                    group::join(&node, &target(Route::Address(address)), deadline).await?
                }
                (None, None) => {
                    let host = find_gathering(global, &node, name.as_deref(), deadline).await?;
                    group::join(&node, &host, deadline).await?
                }
            };
            return output_of_all(&joined);
        }
        let pairing = match (invite, via, peer) {
            (Some(invite), ..) => pairing::accept(&node, &invite).await?,
            (None, Some(command), _) => {
                pairing::request(&node, &target(Route::Via(command)), deadline).await?
            }
            (None, None, Some(address)) => {
                pairing::request(&node, &target(Route::Address(address)), deadline).await?
            }
            (None, None, None) => match node.relay.clone().filter(|_| names_nobody) {
                Some(relay) => {
                    let (mut visits, until) =
                        invitation::invite(&node, &relay, None, save_code).await?;
                    if only_there {
                        invitation::wait(&mut visits, until).await?
                    } else {
                        nearby(global, &node, None, &mut visits, until).await?
                    }
                }
                None => {
                    let mut visits = invitation::listen_for_pairing(&node).await?;
                    let until = node.deadline_or(Duration::from_secs(60));
                    nearby(global, &node, name.as_deref(), &mut visits, until).await?
                }
            },
        };
        output(&pairing)
    })
}

/// After too many failed pairings, asks the owner before the next one, since an attacker may be
/// guessing. Those of `source` alone may be too many.
fn after_failures(global: &Global, source: Option<&str>) -> Result<(), Failure> {
    let home = crate::cli::given::home(global)?;
    let Err(used_up) = attempts::charged(&home)?.check(source) else { return Ok(()) };
    let failure = Failure::from(used_up);
    let what =
        format!("{}, and somebody may be guessing codes: pair all the same", failure.message);
    if !block_on(async { Ok(global.prompter.confirm(&what, "--reset-attempts").await?) })? {
        return Err(failure);
    }
    Ok(attempts::reset(&unlock::to_change(global)?)?)
}

fn invitation(text: &str) -> Result<Invite, Failure> {
    text.parse().map_err(|why: String| {
        Failure::new(Code::Usage, why)
            .hint("it is the whole text that `cosign pair` with --relay shows, in quotes")
    })
}

/// The result for a pairing.
pub(super) fn output(pairing: &Pairing) -> Result<Output, Failure> {
    let expires = pairing.expires.map(clock::rfc3339);
    let until = expires.as_ref().map_or_else(
        || "until it is forgotten".to_owned(),
        |moment| format!("until {moment}; pairing with --remember keeps it, on both devices"),
    );
    let next = keygen_with([pairing.peer.as_str()]);
    let text = format!("paired with {} {until}\nnext: {next}", pairing.peer);
    Output::new(PairResult::of(pairing), text)
}

/// Makes the key `name` with all devices of a group that has just been paired.
async fn keygen_with_all(
    node: &Arc<Node>,
    name: &str,
    threshold: u8,
    paired: &PairedAll,
) -> Result<Output, Failure> {
    let count = paired.pairings.len().saturating_add(1);
    if usize::from(threshold) > count {
        return Err(keygen::too_few(threshold, count));
    }
    let peers = Peers::load(&node.home)?;
    let records: Vec<PeerRecord> = paired
        .pairings
        .iter()
        .filter_map(|pairing| peers.known(&pairing.fingerprint).cloned())
        .collect();
    let others = targets(&records, &ReachArgs::default())?;
    let made = ceremony::request(node, (name, CurveName::default()), threshold, &others).await?;
    let (key, text) = keygen::result(&made);
    let result = GroupResult { key: Some(key), ..GroupResult::of(paired) };
    Output::new(result, format!("{text}\nnext: cosign sign --key {name} <digest>"))
}

/// The result for a group.
fn output_of_all(paired: &PairedAll) -> Result<Output, Failure> {
    let names: Vec<&str> = paired.pairings.iter().map(|pairing| pairing.peer.as_str()).collect();
    let text = format!(
        "paired with {}, and every two of them with one another\nnext, on one device: {}",
        names.join(", "),
        keygen_with(names.iter().copied())
    );
    Output::new(GroupResult::of(paired), text)
}

/// An answer this soon after a question took the place of another one was meant for that.
const CALM: Duration = Duration::from_secs(1);

/// Lets devices join until the person says that everybody is here, and pairs them.
async fn gather(global: &Global, mut gathering: Gathering) -> Result<PairedAll, Failure> {
    let mut shown = Vec::new();
    loop {
        let replaces = !std::mem::replace(&mut shown, gathering.joined()).is_empty();
        let names: Vec<String> = shown.iter().map(|one| format!("{:?}", one.name)).collect();
        let without =
            |one: &PartyView| format!("without {:?} ({})", one.name, one.fingerprint.device_id());
        let choices: Vec<String> =
            iter::once(format!("everybody is here: pair this device and {}", names.join(", ")))
                .chain(["end it: pair nobody".to_owned()])
                .chain(shown.iter().map(without))
                .collect();
        let put = clock::now();
        let answer = async {
            match names.is_empty() {
                true => std::future::pending().await,
                false => pick(global, "next", "--group", &choices).await,
            }
        };
        let ended = tokio::select! {
            changed = gathering.changed() => match changed {
                Ok(()) => continue,
                Err(error) => error.into(),
            },
            answer = answer => match answer {
                Ok(_) if replaces && clock::now() < put + CALM => {
                    global.screen.note("the list has just changed: look at it and choose again");
                    continue;
                }
                Ok(0) => return Ok(gathering.begin(&shown).await?),
                Ok(number) => match number.checked_sub(2).and_then(|place| shown.get(place)) {
                    Some(one) => {
                        gathering.remove(&one.fingerprint);
                        continue;
                    }
                    None => report::denied_here("pairing"),
                },
                Err(failure) => failure,
            },
        };
        gathering.dismiss(Reason::Interrupted).await;
        return Err(ended);
    }
}

/// Looks until there is a device that gathers a group, and that `name` can mean.
async fn find_gathering(
    global: &Global,
    node: &Arc<Node>,
    name: Option<&str>,
    deadline: Instant,
) -> Result<Target, Failure> {
    let others = RefCell::new(Vec::new());
    tokio::select! {
        target = choose(global, node, name, Wanted::Gathering, &others) => target,
        () = tokio::time::sleep_until(deadline.into()) => Err(report::nobody_gathers(name)),
        () = node.interrupted() => Err(report::interrupted()),
    }
}

/// Pairs with a device that is found on the network, or that finds this one: people may run
/// `cosign pair` on both devices at once.
async fn nearby(
    global: &Global,
    node: &Arc<Node>,
    name: Option<&str>,
    visits: &mut Visits,
    deadline: Instant,
) -> Result<Pairing, Failure> {
    let others = RefCell::new(Vec::<Near>::new());
    let target = tokio::select! {
        biased;
        pairing = invitation::wait(visits, deadline) => {
            return pairing.map_err(|error| match error {
                Error::NobodyToPair => report::nobody_to_pair(name, &others.borrow()),
                error => error.into(),
            });
        }
        target = choose(global, node, name, Wanted::Any, &others) => target?,
    };
    Ok(invitation::meet(node, &target, visits, deadline).await?)
}

/// Looks until there is a device that `name` can mean. The others are put into `others`.
async fn choose(
    global: &Global,
    node: &Arc<Node>,
    name: Option<&str>,
    wanted: Wanted,
    others: &RefCell<Vec<Near>>,
) -> Result<Target, Failure> {
    node.tell(Event::Waiting {
        what: match wanted {
            Wanted::Any => "a device to pair with".to_owned(),
            Wanted::Gathering => "a group to join".to_owned(),
        },
        peers: name.iter().map(ToString::to_string).collect(),
        seconds: None,
        request_id: None,
    });
    let (mut found, mut seen) = look(node, name, wanted).await?;
    loop {
        let chosen = match found.as_slice() {
            [] => {
                let told = others.replace(seen.clone());
                if let Some(name) = name
                    && wanted == Wanted::Any
                    && seen != told
                    && !seen.is_empty()
                {
                    node.tell(Event::Note { message: report::not_among(name, &seen) });
                }
                (found, seen) = look(node, name, wanted).await?;
                continue;
            }
            [_] => 0,
            several => {
                let names: Vec<String> = several.iter().map(shown).collect();
                tokio::select! {
                    chosen = pick(global, "peer", "PEER (a device id)", &names) => chosen?,
                    newcomers = newcomers(node, name, wanted, several) => {
                        // New devices are appended, so that numbers already shown stay valid.
                        found.extend(newcomers?);
                        continue;
                    }
                }
            }
        };
        if let Some(device) = found.get(chosen)
            && let Some(address) = device.addresses.first()
        {
            return Ok(Target {
                name: device.name.clone(),
                fingerprint: Some(device.fingerprint),
                route: Route::Address(address.to_string()),
            });
        }
    }
}

/// `bob (1fc6799fff5e6fbe)`
fn shown(device: &Met) -> String {
    format!("{} ({})", device.name, device.fingerprint.device_id())
}

fn near(device: &Met) -> Near {
    Near { name: device.name.clone(), id: device.fingerprint.device_id() }
}

/// The devices nearby that are `wanted` and that `name` can mean, and the names of the others. Each
/// is reported.
///
/// # Errors
/// The program of the device called `name` cannot pair a group, which is wanted.
async fn look(
    node: &Node,
    name: Option<&str>,
    wanted: Wanted,
) -> Result<(Vec<Met>, Vec<Near>), Failure> {
    let found = look_around(node, LOOK).await.unwrap_or_default();
    for device in &found {
        node.tell(Event::Peer {
            name: device.name.to_string(),
            id: device.fingerprint.device_id(),
            fingerprint: Some(device.fingerprint),
            status: if device.busy { "busy" } else { "available" }.to_owned(),
            address: device.addresses.first().map(ToString::to_string).unwrap_or_default(),
        });
    }
    let is_meant = |device: &Met| name.is_none_or(|name| meant(name, device));
    let older = |device: &&Met| {
        name.is_some() && is_meant(device) && !device.about.as_ref().is_some_and(About::joins)
    };
    if wanted == Wanted::Gathering
        && let Some(device) = found.iter().find(older)
    {
        let program = device.program().map(Label::as_str);
        return Err(report::unsupported(device.name.as_str(), program, Ability::Group));
    }
    let (meant, others): (Vec<Met>, Vec<Met>) =
        found.into_iter().partition(|device| is_meant(device) && wanted.suits(device));
    Ok((meant, others.iter().map(near).collect()))
}

/// Waits for devices that are not among `known`.
async fn newcomers(
    node: &Node,
    name: Option<&str>,
    wanted: Wanted,
    known: &[Met],
) -> Result<Vec<Met>, Failure> {
    loop {
        let (mut found, _) = look(node, name, wanted).await?;
        found.retain(|new| known.iter().all(|old| old.fingerprint != new.fingerprint));
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// Whether `name` is the name, id or fingerprint of a device.
fn meant(name: &str, device: &Met) -> bool {
    device.name.as_str().eq_ignore_ascii_case(name)
        || device.fingerprint.device_id() == name.to_lowercase()
        || name.parse() == Ok(device.fingerprint)
}
