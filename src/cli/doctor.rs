//! `cosign doctor`: finds what keeps devices from working together, and says what to do.
//!
//! It asks nothing and repairs nothing. The vault is opened only if that needs no person.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::args::DoctorArgs;
use super::runtime::{self, block_on};
use super::{Global, Output, backup, log, token, unlock, vault};
use crate::device::shown_on_one_line;
use crate::driver::connect::dial::PORT;
use crate::driver::{clock, records};
use crate::net::relay::client::enter;
use crate::net::relay::{RelayUrl, Role, Room};
use crate::net::{mdns, tcp};
use crate::report::{Code, Failure, here};
use crate::sandbox;
use crate::token::{TokenInfo, Tries};
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{
    Error, Home, KeyRecord, KeyState, Ledger, Lock, Log, Peers, TokenRecord, Unlock, Uses, Vault,
    addresses, attempts, check_modes, keys, memory_can_be_locked,
};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    /// It works, with a remark.
    Warn,
    /// It does not work.
    Fail,
}

/// A check and its result.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The exit code if it fails.
    #[serde(skip)]
    code: Code,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), hint: None, code: Code::System }
    }

    fn warn(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Warn, hint: Some(hint.into()), ..Self::ok(name, found) }
    }

    fn fail(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(name, found, hint) }
    }

    /// A check that failed with `failure`.
    fn of(name: &'static str, Failure { code, message, hint }: Failure) -> Self {
        Self { name, status: Status::Fail, found: message, hint, code }
    }
}

/// `cosign doctor`
pub(super) fn run_doctor(global: &Global, args: DoctorArgs) -> Result<Output, Failure> {
    let home = crate::cli::given::home(global)?;
    let (device, opened) = device(global, &home);
    let (tokens, on_token) = tokens(global, &home);
    let vault = on_token.or(opened);
    // With an open vault, its home authenticates the files.
    let home = vault.as_ref().map_or(home, |vault| vault.home().clone());
    let mut checks = vec![device, permissions(&home), space(&home), chain(&home), tokens];
    checks.extend(state(vault.as_ref()));
    checks.extend(known(&home, vault.as_ref()));
    checks.extend([pairing(&home), clock_stands(&home), random(), memory(), confinement()]);
    checks.push(multicast());
    let url = args.relay.as_ref().or(global.relay.as_ref());
    let network = block_on(async {
        let mut checks = network(&home, &args).await;
        if let Some(url) = url {
            checks.push(relay(url).await);
        }
        Ok(checks)
    })?;
    checks.extend(network);

    let broken: Vec<Code> = checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .map(|check| check.code)
        .collect();
    let mut text = String::new();
    for Check { name, status, found, hint, .. } in &checks {
        let word = match status {
            Status::Ok => "ok",
            Status::Warn => "note",
            Status::Fail => "FAIL",
        };
        // It may hold a path with line breaks.
        text += &format!("{word:<5} {name:<12} {}\n", shown_on_one_line(found));
        let hint = hint.iter().map(|hint| format!("{:19}{}\n", "", shown_on_one_line(hint)));
        text += &hint.collect::<String>();
    }
    let result = json!({ "healthy": broken.is_empty(), "checks": checks });
    let output = Output::new(result, text)?;
    let Some(first) = broken.first() else { return Ok(output) };
    let what = if broken.len() == 1 { "one thing is" } else { "several things are" };
    Ok(output.but(Failure::new(*first, format!("{what} broken: see FAIL above"))))
}

/// Whether there is a device, and whether the given secret opens it.
fn device(global: &Global, home: &Home) -> (Check, Option<Vault>) {
    const NAME: &str = "device";
    let (locks, device) = match Vault::locks(home).and_then(|l| Ok((l, Vault::device(home)?))) {
        Ok(found) => found,
        Err(Error::NoVault { path }) => {
            let found = format!("none in {} yet", path.display());
            let hint =
                format!("{} makes one; --home or COSIGN_HOME says where", here(&["init"], &[]));
            return (Check::warn(NAME, found, hint), None);
        }
        Err(e) => return (Check::of(NAME, e.into()), None),
    };
    let found = format!("{:?}, id {}", device.name, device.fingerprint.device_id());
    match unlock::given_unlock(global, home) {
        Err(failure) => return (Check::of(NAME, failure), None),
        Ok(None) => {}
        Ok(Some(unlock)) => {
            return match Vault::open(home, &unlock) {
                Ok(vault) => {
                    let by = match unlock {
                        Unlock::Identity(file) => file.display().to_string(),
                        _ => "the passphrase that was given".to_owned(),
                    };
                    (Check::ok(NAME, format!("{found}; {by} opens it")), Some(vault))
                }
                Err(e) => (Check::of(NAME, e.into()), None),
            };
        }
    }
    let check = if locks == [Lock::Identity] {
        let hint = "give it with --identity FILE or COSIGN_IDENTITY, or in config.toml";
        Check::warn(NAME, format!("{found}; its identity file was not named"), hint)
    } else {
        let names: Vec<&str> = locks.iter().map(|lock| vault::name(*lock)).collect();
        Check::ok(NAME, format!("{found}; opened by {}", names.join(", or ")))
    };
    (check, None)
}

/// Whether pairing works, or is paused after too many failures.
fn pairing(home: &Home) -> Check {
    const NAME: &str = "pairing";
    let failed = match attempts::charged(home) {
        Ok(failed) => failed,
        Err(e) => return Check::of(NAME, e.into()),
    };
    let locked: Vec<String> = failed
        .sources
        .iter()
        .filter(|(_, count)| **count >= attempts::OF_ONE_SOURCE)
        .map(|(source, count)| format!("{count} with {source}"))
        .collect();
    let found = format!("{} pairings in a row have failed", failed.charged);
    let hint = format!("find out why, then {}", here(&["pair", "--reset-attempts"], &[]));
    match (failed.are_used_up(), locked.as_slice()) {
        (true, _) => Check::warn(NAME, format!("{found}: no device can pair with this one"), hint),
        (false, [_, ..]) => {
            let found = format!("{found}, {}: no more with that", locked.join(" and "));
            Check::warn(NAME, found, hint)
        }
        (false, []) => {
            Check::ok(NAME, format!("{} of {} attempts failed", failed.charged, attempts::LIMIT))
        }
    }
}

/// Whether the modules answer, the token that opens the vault is present, and the vault's key is on
/// it. The last needs the PIN, and is checked only if the command line has it.
fn tokens(global: &Global, home: &Home) -> (Check, Option<Vault>) {
    const NAME: &str = "token";
    let mut infos = Vec::new();
    let mut failed = None;
    for seen in token::survey(global) {
        match seen.tokens {
            Ok(tokens) => infos.extend(tokens),
            Err(e) => failed = failed.or(Some(Failure::from(e))),
        }
    }
    let record = Vault::token(home).ok().flatten();
    let others: Vec<&str> = Vault::locks(home)
        .unwrap_or_default()
        .into_iter()
        .filter(|lock| *lock != Lock::Token)
        .map(vault::name)
        .collect();
    let there = record.as_ref().and_then(|r| infos.iter().find(|info| r.uri.matches(info)));
    let check = match (record.as_ref().zip(there), &record, failed) {
        (Some((record, info)), ..) => match look_into(global, home, record, info) {
            Some(Ok(vault)) => {
                let found = format!("{} is there, and so is the vault's key", record.uri);
                return (Check::ok(NAME, found), Some(vault));
            }
            Some(Err(failure)) => Check::of(NAME, failure),
            None => {
                let found = format!("{} is there; with --pin-file it is looked into", record.uri);
                Check::ok(NAME, found)
            }
        },
        (None, _, Some(Failure { message, hint, .. })) => {
            Check { status: Status::Warn, hint, ..Check::ok(NAME, message) }
        }
        (None, Some(record), None) if others.is_empty() => Check {
            code: Code::Locked,
            ..Check::fail(
                NAME,
                format!("{} opens the vault and is not there", record.uri),
                "plug it in, or name its module with --module",
            )
        },
        (None, Some(record), None) => Check::warn(
            NAME,
            format!(
                "{} is not there; the vault is opened by {} too",
                record.uri,
                others.join(" or ")
            ),
            "plug it in, or name its module with --module",
        ),
        (None, None, None) if infos.is_empty() => {
            Check::ok(NAME, "none is plugged in, and none is needed")
        }
        (None, None, None) => {
            Check::ok(NAME, format!("{} plugged in, and none is needed", infos.len()))
        }
    };
    (check, None)
}

/// Opens the vault with its token, if the PIN need not be asked for.
fn look_into(
    global: &Global,
    home: &Home,
    record: &TokenRecord,
    info: &TokenInfo,
) -> Option<Result<Vault, Failure>> {
    let told = record.uri.pin_source.is_some() || token::pin_is_told(global);
    if !told || info.tries == Tries::Last {
        return None;
    }
    Some(runtime::ask(async {
        let found = token::find_again(global, record).await??;
        let session = token::log_in_again(global, record, found).await?;
        Ok(Vault::open(home, &Unlock::Token(Arc::new(session)))?)
    }))
}

/// Whether others can read or change the files.
fn permissions(home: &Home) -> Check {
    const NAME: &str = "permissions";
    match check_modes(home) {
        Ok(0) => Check::ok(NAME, "there are no files yet"),
        Ok(count) => Check::ok(NAME, format!("{count} files and folders, for their owner alone")),
        Err(e) => Check::of(NAME, e.into()),
    }
}

/// Whether files can be written, with space for a share, a log line and a ledger line.
fn space(home: &Home) -> Check {
    const NAME: &str = "disk";
    for folder in [&home.config, &home.data, &home.state] {
        let there = folder.ancestors().find(|dir| dir.is_dir()).unwrap_or(folder);
        // An unnamed file, which disappears when it is closed.
        if let Err(e) = tempfile::tempfile_in(there) {
            return Check::fail(
                NAME,
                format!("{} cannot be written: {e}", there.display()),
                "who owns it, and is the disk mounted for reading only?",
            );
        }
    }
    let there = home.state.ancestors().find(|dir| dir.is_dir());
    let free = there.and_then(|dir| rustix::fs::statvfs(dir).ok());
    match free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) {
        Some(bytes) if bytes < MIN_SPACE => Check::fail(
            NAME,
            format!("{} kB are free where {} is", bytes / 1000, home.state.display()),
            "make room: what cannot be recorded is not done",
        ),
        Some(bytes) => Check::ok(NAME, format!("{} MB are free", bytes / 1_000_000)),
        None => Check::warn(NAME, "free space is not known", "is the folder on a network?"),
    }
}

/// Whether the log is whole.
fn chain(home: &Home) -> Check {
    match Log::verify(home) {
        Ok(chain) => {
            let found = format!("the chain of {} entries is whole", chain.entries);
            match log::remarks(&chain).as_slice() {
                [] => Check::ok("log", found),
                [remark, ..] => Check::warn("log", found, remark.clone()),
            }
        }
        Err(e) => Check::of("log", e.into()),
    }
}

/// Whether every file that decides something is the one that this device wrote.
fn state(vault: Option<&Vault>) -> Vec<Check> {
    const NAME: &str = "state";
    let Some(vault) = vault else {
        let found = "not checked: the vault is locked";
        let hint = "give --identity, --passphrase-file or --pin-file, and it is checked";
        return vec![Check::warn(NAME, found, hint)];
    };
    // Keys of a later version and stray folders are reported with the other keys.
    let is_aside = |error: &Error| match error {
        Error::Unsupported { path, .. } => path.ends_with("key.json"),
        error => matches!(error, Error::Stray { .. }),
    };
    let misfits = vault.misfits().into_iter().map(|misfit| misfit.error);
    let misfits = misfits.filter(|error| !is_aside(error));
    let misfits = misfits.chain(vault.check_signatures().err());
    let mut checks: Vec<Check> = misfits.map(|error| Check::of(NAME, error.into())).collect();
    if checks.is_empty() && keys::all_are_read(vault.home()).is_err() {
        let found =
            "not all of it could be checked: a later version wrote a key, or somebody says so";
        checks.push(Check::warn(NAME, found, "check it with that version"));
    }
    match checks.is_empty() {
        true => vec![Check::ok(
            NAME,
            "every file that decides something is the one that this device wrote",
        )],
        false => checks,
    }
}

/// Pending keys, banned peers and expired pairings. With an open vault also shares that do not
/// open.
fn known(home: &Home, vault: Option<&Vault>) -> Vec<Check> {
    let mut checks = Vec::new();
    match keys::each(home) {
        Err(e) => checks.push(Check::of("keys", e.into())),
        Ok(all) => {
            let mut records = Vec::new();
            for (_, found) in all {
                match found {
                    Ok(found) => records.extend(found),
                    Err(e) => checks.push(Check::of("keys", e.into())),
                }
            }
            let unreadable = checks.len();
            let pending = records.iter().find(|key| key.state == KeyState::Pending);
            let ledger = Vault::exists(home).then(|| Ledger::open(home)).transpose();
            let retired = match &ledger {
                Ok(Some(ledger)) => records.iter().find_map(|key| {
                    let retired = ledger.retired(&key.epoch);
                    let worn = retired.iter().all(|(_, code)| code == UNRESOLVED);
                    (!retired.is_empty()).then_some((key, worn))
                }),
                _ => None,
            };
            let broken = |key: &KeyRecord| {
                let failure = Failure::from(records::share(vault?, key).err()?);
                let message = format!("key {:?}: {}", key.name, failure.message);
                Some(Check::of("keys", Failure { message, ..failure }))
            };
            checks.extend(records.iter().filter_map(broken));
            let broken = checks.len().saturating_sub(unreadable);
            let whole = records.len().saturating_sub(broken);
            checks.push(match (ledger, retired, pending) {
                (Err(e), ..) => Check::of("keys", e.into()),
                (_, Some((key, true)), _) => Check::warn(
                    "keys",
                    format!("too many signatures with key {:?} were cut short", key.name),
                    format!("{} makes new shares", here(&["keys", "refresh"], &[&key.name])),
                ),
                (_, Some((key, false)), _) => Check::warn(
                    "keys",
                    format!("a device is banned under key {:?}", key.name),
                    format!(
                        "{} says which; find out why first",
                        here(&["keys", "show"], &[&key.name])
                    ),
                ),
                (_, None, Some(key)) => Check::warn(
                    "keys",
                    format!("key {:?} is unfinished", key.name),
                    format!(
                        "finish it with {}",
                        here(&["keygen", "--key", &key.name, "--resume"], &[])
                    ),
                ),
                (_, None, None) => match records.iter().find(|key| key.restored) {
                    Some(key) => Check::warn(
                        "keys",
                        format!(
                            "the share of key {:?} came from a backup and does not sign yet",
                            key.name
                        ),
                        format!("{} makes new shares", here(&["keys", "refresh"], &[&key.name])),
                    ),
                    None => Check::ok("keys", format!("{whole} ready")),
                },
            });
            checks.extend(backups(home, &records));
        }
    }
    checks.push(match Peers::load(home) {
        Err(e) => Check::of("peers", e.into()),
        Ok(peers) => {
            let now = clock::unix_now();
            match peers.iter().find(|peer| peer.is_expired(now)) {
                Some(peer) => Check::warn(
                    "peers",
                    format!("the pairing with {:?} is over", peer.name),
                    format!("{} again, with --remember to keep it", here(&["pair"], &[&peer.name])),
                ),
                None => Check::ok("peers", {
                    let versions = peers.iter().filter_map(|peer| {
                        let program = addresses::program(home, &peer.fingerprint).ok().flatten()?;
                        Some(format!("; {:?} runs cosign {program}", peer.name))
                    });
                    format!("{} paired{}", peers.iter().count(), versions.collect::<String>())
                }),
            }
        }
    });
    checks
}

/// Whether each key has a backup of the epoch in use.
fn backups(home: &Home, records: &[KeyRecord]) -> Option<Check> {
    const NAME: &str = "backups";
    let mut active = records.iter().filter(|key| key.state == KeyState::Active && !key.restored);
    let count = active.clone().count();
    Some(match active.find(|key| backup::latest(home, &key.epoch).is_none()) {
        Some(key) => Check::warn(
            NAME,
            format!("key {:?} has no backup of generation {}", key.name, key.generation),
            format!("{} writes one", backup::command(key)),
        ),
        None if count == 0 => return None,
        None => Check::ok(NAME, format!("of {count} as they are now")),
    })
}

/// Whether the clock is not behind earlier records.
fn clock_stands(home: &Home) -> Check {
    let now = clock::unix_now();
    let logged = Log::entries(home).unwrap_or_default().iter().map(|entry| entry.time).max();
    let made = Vault::device(home).ok().map(|device| device.created);
    let decided = Uses::load(home).ok().map(|uses| uses.latest(i64::MIN));
    let latest = logged.max(made).max(decided);
    let shown = clock::rfc3339(now);
    let hint = "set it, or let NTP do so: sessions end and policies decide by it";
    match latest {
        Some(latest) if latest > now.saturating_add(SKEW) => {
            let found =
                format!("it is {shown}, but something was recorded at {}", clock::rfc3339(latest));
            Check::fail("clock", found, hint)
        }
        _ if now < BUILT => {
            Check::fail("clock", format!("it is {shown}, before this was made"), hint)
        }
        _ => match clock::local_now() {
            Ok(local) => Check::ok("clock", format!("{shown}, local offset {}", local.offset())),
            Err(unknown) => {
                let failure = Failure::from(unknown);
                let hint = failure.hint.unwrap_or_default();
                Check::warn("clock", format!("{shown}; {}", failure.message), hint)
            }
        },
    }
}

/// Whether the operating system's random bytes differ.
fn random() -> Check {
    match (clock::nonce(), clock::nonce()) {
        (Ok(one), Ok(other)) if one != other => {
            Check::ok("random", "the operating system's generator answers")
        }
        (Ok(_), Ok(_)) => Check::fail(
            "random",
            "the operating system gave the same bytes twice",
            "sign nothing here: a nonce that repeats gives the key away",
        ),
        (Err(error), _) | (_, Err(error)) => Check::of("random", error.into()),
    }
}

/// Whether an opened vault is kept out of swap.
fn memory() -> Check {
    const NAME: &str = "memory";
    if memory_can_be_locked() {
        return Check::ok(NAME, "an opened vault is locked in memory");
    }
    Check::warn(
        NAME,
        "the system locks no memory for this user: an opened vault may reach swap",
        "raise `ulimit -l`, or encrypt the swap",
    )
}

/// Whether the kernel confines the relay and the modules of tokens.
fn confinement() -> Check {
    const NAME: &str = "sandbox";
    let missing = sandbox::missing();
    if missing.is_empty() {
        return Check::ok(NAME, "Landlock and seccomp confine relays and the modules of tokens");
    }
    Check::warn(
        NAME,
        format!("this kernel has no {}", missing.join(" and no ")),
        "relays and the modules of tokens run without it; a newer kernel has both",
    )
}

/// Whether a multicast packet of this machine is received by it.
fn multicast() -> Check {
    const NAME: &str = "multicast";
    let heard = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_multicast_loop_v4(true)?;
        // The packet must not leave this machine.
        socket.set_multicast_ttl_v4(0)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(WORD, (GROUP, socket.local_addr()?.port()))?;
        let mut bytes = [0; WORD.len()];
        socket.recv_from(&mut bytes).map(|_| bytes == *WORD)
    };
    let hint = "name devices with --peer HOST:PORT; is there a network, and does a firewall pass UDP 5353?";
    match heard() {
        Ok(true) => Check::ok(NAME, "a packet to this machine's own group comes back"),
        Ok(false) => Check::warn(NAME, "something else came back", hint),
        Err(e) => Check::warn(NAME, format!("no packet comes back: {e}"), hint),
    }
}

/// The devices nearby, the usual port, and whether known addresses answer.
async fn network(home: &Home, args: &DoctorArgs) -> Vec<Check> {
    let own = Vault::device(home).map(|device| device.fingerprint.device_id());
    let seen = mdns::browse(args.wait, &own.unwrap_or_default(), args.interface.as_deref()).await;
    let mut checks = vec![match seen.len() {
        0 => Check::warn(
            "devices",
            format!("nobody was seen in {}", humantime::format_duration(args.wait)),
            "is `cosign listen` running there? guest networks, VPNs and containers do not pass \
             multicast: use --peer HOST:PORT",
        ),
        count => Check::ok("devices", format!("{count} near; `cosign discover` lists them")),
    }];
    checks.push(match tcp::Listener::bind(None, PORT).await {
        Ok(_) => Check::ok("port", format!("TCP {PORT} is free for `cosign listen`")),
        Err(e) => Check::warn(
            "port",
            format!("TCP {PORT} cannot be had: {e}"),
            "a `cosign listen` may hold it; another one takes a free port, or --port N",
        ),
    });
    let peers = Peers::load(home).unwrap_or_default();
    for peer in peers.iter() {
        let Some(address) = &peer.address else { continue };
        checks.push(match tcp::dial(address, PROBE_TIMEOUT).await {
            Ok(_) => Check::ok("reach", format!("{:?} answers at {address}", peer.name)),
            Err(e) => Check::warn(
                "reach",
                format!("{:?} does not answer at {address}: {e}", peer.name),
                "is `cosign listen` running there, and does a firewall let that port through?",
            ),
        });
    }
    checks
}

/// Whether the relay admits this device to a room.
async fn relay(url: &RelayUrl) -> Check {
    const NAME: &str = "relay";
    let room = match clock::random() {
        Ok(bytes) => Room(bytes.expose().first_chunk().copied().unwrap_or_default()),
        Err(error) => return Check::of(NAME, error.into()),
    };
    match enter(url, &room, Role::Listener, PROBE_TIMEOUT).await {
        Ok(_) => Check::ok(NAME, format!("{} lets this device in", url.as_str())),
        Err(e) => Check {
            code: Code::Unreachable,
            ..Check::fail(
                NAME,
                format!("{}: {e}", url.as_str()),
                "is `cosign relay` running there, and is its certificate valid where the URL is wss://?",
            )
        },
    }
}

/// From the block for use within one machine or site (RFC 2365).
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 46, 73);
const WORD: &[u8; 13] = b"cosign doctor";
/// How long a known address may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// With less free space a refresh may not fit.
const MIN_SPACE: u64 = 10_000_000;
/// How many seconds ahead of now a record may be, since clocks are set while a program runs.
const SKEW: i64 = 60;
/// 2026-01-01, the year of this program: an earlier clock is wrong.
const BUILT: i64 = 1_767_225_600;
