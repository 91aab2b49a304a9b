//! `cosign relay`: runs a relay, which forwards ciphertext between devices.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use crate::cli::args::RelayArgs;
use crate::cli::{Global, Output};
use crate::driver::clock;
use crate::net::relay::cluster::{self, Weather};
use crate::net::relay::hub::{Hub, KEEPING, Limits};
use crate::net::relay::server::{self, Entrance, Notice};
use crate::net::relay::status;
use crate::progress::Event;
use crate::report::{self, Code, Failure, unreadable};
use crate::sandbox::{self, Files, Sockets, confine_calls, confine_files};
use crate::ui::{Ending, Screen};
use crate::vault::given::{self, Guard};

/// The port of a relay unless another is named.
const PORT: u16 = 46738;
/// Most bytes that are read of a file of certificates or of their key.
const MAX_PEM: u64 = 1 << 20;
/// The longest message of a device, with the relay's overhead.
const LONGEST: usize = 33 << 10;

#[derive(Debug, Serialize)]
struct RelayResult {
    joins: u64,
    frames: u64,
    bytes: u64,
}

/// `cosign relay`
pub(super) fn run_relay(global: &Global, args: RelayArgs) -> Result<Output, Failure> {
    let limits = limits(&args)?;
    let tls = tls(&args)?;
    // Confined first, since threads inherit it from the thread that starts them.
    confine_files(&reach(&args));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Code::System, format!("the runtime cannot start: {e}")))?;
    raise_file_limit();
    runtime.block_on(serve(&global.screen, &args, tls, limits))
}

fn limits(args: &RelayArgs) -> Result<Limits, Failure> {
    let wrong = |why: &str| Err(Failure::new(Code::Usage, why));
    if args.max_frame < LONGEST {
        return wrong(
            "--max-frame: devices send messages of up to 33 KiB, so it is 33K at the least",
        );
    }
    if args.max_members < 2 {
        return wrong("--max-members: one device meets another, so it is 2 at the least");
    }
    let counts = [
        ("--max-rooms", args.max_rooms),
        ("--max-connections", args.max_connections),
        ("--max-per-source", args.max_per_source),
        ("--joins-per-minute", args.joins_per_minute as usize),
    ];
    if let Some((flag, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
        return wrong(&format!("{flag}: with 0 nobody is let in"));
    }
    let longest = args.max_frame.saturating_add(KEEPING);
    if args.max_waiting < longest || args.max_waiting_in_all < args.max_waiting {
        return wrong("a message must fit into --max-waiting, and that into --max-waiting-in-all");
    }
    if args.idle < Duration::from_secs(1) {
        return wrong("--idle: a connection is given a second at the least");
    }
    Ok(Limits {
        frame: args.max_frame,
        members: args.max_members,
        rooms: args.max_rooms,
        waiting: args.max_waiting,
        waiting_in_all: args.max_waiting_in_all,
        connections: args.max_connections,
        connections_per_source: args.max_per_source,
        joins_per_minute: args.joins_per_minute,
        idle: args.idle,
    })
}

/// The certificates and their key, if there are any.
fn tls(args: &RelayArgs) -> Result<Option<Arc<ServerConfig>>, Failure> {
    let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let read = |path: &Path, what: &str| {
        given::read(path, Guard::Open, MAX_PEM)
            .map_err(|error| unreadable(error, &format!("{what} {}", path.display())))
    };
    let chain = read(certificates, "certificate file")?;
    let secret = read(key, "key file")?;
    let chain = (certificates.as_path(), chain.expose().as_slice());
    let config = server::tls(chain, (key, secret.expose())).map_err(|why| {
        Failure::new(Code::Usage, why)
            .hint("--tls-cert takes the chain and --tls-key its unencrypted key, both in PEM")
    })?;
    Ok(Some(config))
}

/// The files that a relay still reads after its certificates: the system's settings, and in a
/// cluster those for looking up the servers and checking their certificates.
fn reach(args: &RelayArgs) -> Files<PathBuf> {
    let mut read: Vec<PathBuf> = SETTINGS.iter().map(PathBuf::from).collect();
    if args.cluster.is_some() {
        read.extend(LOOK_UPS.iter().map(PathBuf::from));
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
        read.extend(named.map(PathBuf::from));
    }
    Files { read, write: Vec::new() }
}

const SETTINGS: &[&str] = &["/proc", "/sys", "/usr/share/zoneinfo", "/etc/localtime"];
const LOOK_UPS: &[&str] = &["/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/nscd"];

async fn serve(
    screen: &Screen,
    args: &RelayArgs,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
) -> Result<Output, Failure> {
    let mut ending =
        Ending::new().map_err(|e| Failure::new(Code::System, format!("signals: {e}")))?;
    let place = endpoint("--bind", &args.bind, true)?;
    let watched =
        args.metrics.as_ref().map(|text| endpoint("--metrics", text, false)).transpose()?;
    let random = clock::nonce()?;
    let hub = Arc::new(Hub::new(limits, random.first_chunk().copied().unwrap_or_default()));
    if let Some(servers) = &args.cluster {
        let screen = screen.clone();
        let watch = move |weather| screen.show(&forecast(weather));
        cluster::join(&hub, servers, watch).await.map_err(|why| {
            let (code, hint) = match why {
                cluster::Trouble::Servers(_) => {
                    (Code::Usage, "expected nats://HOST:PORT, several with commas")
                }
                cluster::Trouble::Unreachable(_) => {
                    (Code::Unreachable, "is nats-server running there?")
                }
                cluster::Trouble::NotBuilt => (Code::Usage, "build it with --features nats"),
            };
            Failure::new(code, format!("--cluster: {why}")).hint(hint)
        })?;
    }
    let listener = listen("--bind", place).await?;
    let figures = match watched {
        Some(place) => Some(listen("--metrics", place).await?),
        None => None,
    };
    // The servers of a cluster are looked up and connected to again when a connection breaks.
    confine_calls(if args.cluster.is_some() { Sockets::Local } else { Sockets::Open });
    let missing = sandbox::missing();
    if !missing.is_empty() {
        tell(screen, "unconfined", None, Some(format!("no {} here", missing.join(" and no "))));
    }
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    tell(screen, "listening", None, Some(url(scheme, &listener)));
    if let Some(listener) = figures {
        tell(screen, "metrics", None, Some(url("http", &listener)));
        tokio::spawn(status::serve(Arc::clone(&hub), listener));
    }
    let (closing, closed) = watch::channel(false);
    let entrance = Entrance {
        tls,
        forwarded: args.behind_proxy,
        tell: {
            let screen = screen.clone();
            Arc::new(move |notice| screen.show(&noticed(notice)))
        },
    };
    let serving = server::serve(Arc::clone(&hub), listener, entrance, closed);
    tokio::pin!(serving);
    let interrupted = tokio::select! {
        () = &mut serving => false,
        signal = ending.comes() => signal == SignalKind::interrupt(),
    };
    tell(screen, "stopping", None, None);
    closing.send_replace(true);
    // A second signal ends it at once.
    tokio::select! {
        () = &mut serving => {}
        _ = ending.comes() => {}
    }
    if interrupted {
        return Err(Failure::new(Code::Interrupted, "interrupted"));
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let result = RelayResult {
        joins: count(&hub.counts.joins),
        frames: count(&hub.counts.frames),
        bytes: count(&hub.counts.bytes),
    };
    let text = format!(
        "relay stopped: {} joins, {} messages, {} bytes",
        result.joins, result.frames, result.bytes
    );
    Output::new(result, text)
}

/// Parses `IP:PORT`, `IP`, `:PORT` or `PORT`. Without an IP it is all addresses if `open`, else
/// loopback.
fn endpoint(flag: &str, text: &str, open: bool) -> Result<SocketAddr, Failure> {
    let everywhere =
        if open { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok();
    text.parse::<SocketAddr>()
        .ok()
        .or_else(|| port.map(|port| SocketAddr::new(everywhere, port)))
        .or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)))
        .ok_or_else(|| {
            Failure::new(Code::Usage, format!("{flag} {text}: no address"))
                .hint("expected IP:PORT, such as 127.0.0.1:46738 or [::]:46738, or a port")
        })
}

async fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = match TcpListener::bind(address).await {
        // The machine has no IPv6.
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|error| report::cannot_listen(&address.to_string(), &error, flag))
}

fn url(scheme: &str, listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| String::new(), |address| format!("{scheme}://{address}"))
}

fn tell(screen: &Screen, what: &str, source: Option<IpAddr>, detail: Option<String>) {
    let source = source.map(|source| source.to_string());
    screen.show(&Event::Serving { what: what.to_owned(), source, detail });
}

fn noticed(notice: Notice) -> Event {
    let (what, source, detail) = match notice {
        Notice::Joined { source } => ("joined", source, None),
        Notice::Left { source } => ("left", source, None),
        Notice::Refused { source, why } => ("refused", source, Some(why.name().to_owned())),
    };
    Event::Serving { what: what.to_owned(), source: Some(source.to_string()), detail }
}

fn forecast(weather: Weather) -> Event {
    let detail = match weather {
        Weather::Connected => "connected".to_owned(),
        Weather::Disconnected => "disconnected; tried again".to_owned(),
        Weather::Trouble(what) => what,
    };
    Event::Serving { what: "cluster".to_owned(), source: None, detail: Some(detail) }
}

/// Raises the limit of open files: every client is a file descriptor, and the usual soft limit is
/// 1024.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If that is refused, connections over the limit are refused.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
