//! Loads relays: `relay_load [--idle N] [--rooms N] [--seconds N] [--pid PID] URL [URL]`.
//!
//! Idle rooms hold one listener each, as a waiting device does. Active rooms hold a listener that
//! echoes and a caller that sends 64 KiB and waits for them. With two URLs the callers use the
//! second. Latency is measured in one room alone, and on a TCP connection for comparison. Then all
//! rooms run at once, and every message must come back unchanged. With `--pid` the memory of that
//! relay is printed.
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program of its own")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cosign::net::relay::{Member, Role, Room, Said, join, parcel};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const SIZE: usize = 64 * 1024;

type Socket = WebSocketStream<TcpStream>;
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Plan {
    idle: u32,
    rooms: u32,
    seconds: u64,
    pid: Option<u32>,
    urls: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = plan().and_then(|plan| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(load(plan))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("relay_load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Outcome<Plan> {
    let mut plan = Plan { idle: 10_000, rooms: 1_000, seconds: 10, pid: None, urls: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or("a number is missing");
        match word.as_str() {
            "--idle" => plan.idle = value()?.parse()?,
            "--rooms" => plan.rooms = value()?.parse()?,
            "--seconds" => plan.seconds = value()?.parse()?,
            "--pid" => plan.pid = Some(value()?.parse()?),
            url => plan.urls.push(url.to_owned()),
        }
    }
    match plan.urls.len() {
        1 | 2 => Ok(plan),
        _ => Err("name one relay or two: ws://127.0.0.1:46738".into()),
    }
}

async fn load(plan: Plan) -> Outcome<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let at_callers = plan.urls.last().ok_or("no relay")?;
    let at_listeners = plan.urls.first().ok_or("no relay")?;

    let before = plan.pid.and_then(memory);
    let mut idle = Vec::new();
    for number in 0..plan.idle {
        idle.push(enter(at_listeners, Role::Listener, number).await?.0);
    }
    println!("idle rooms            {}", idle.len());
    if let Some((before, after)) = before.zip(plan.pid.and_then(memory)) {
        println!("memory of the relay   {} MB, {} MB before", after / 1024, before / 1024);
        if plan.idle > 0 {
            let each = after.saturating_sub(before) * 1024 / u64::from(plan.idle);
            println!("memory of a room      {each} bytes");
        }
    }

    let direct = direct().await?;
    let relayed = through(at_listeners, at_callers, plan.idle).await?;
    for (what, times) in [("direct TCP", &direct), ("one room", &relayed)] {
        let (p50, p99) = (percentile(times, 50), percentile(times, 99));
        println!(
            "{what:<22}p50 {p50:.3} ms, p99 {p99:.3} ms there and back, {} times",
            times.len()
        );
    }
    let added = |of| percentile(&relayed, of) - percentile(&direct, of);
    println!("added                 p50 {:.3} ms, p99 {:.3} ms", added(50), added(99));

    let count = Arc::new(AtomicU64::new(0));
    let mut ready = Vec::new();
    for number in 0..plan.rooms {
        ready.push(room(at_listeners, at_callers, plan.idle + 1 + number).await?);
    }
    let begun = Instant::now();
    let until = begun + Duration::from_secs(plan.seconds);
    let mut rooms = JoinSet::new();
    for (number, (listener, caller, to)) in (0..).zip(ready) {
        rooms.spawn(echo(listener));
        let count = Arc::clone(&count);
        rooms.spawn(async move {
            let mut caller = caller;
            let mut times = Vec::new();
            while times.is_empty() || Instant::now() < until {
                times.push(there_and_back(&mut caller, &to, number).await?);
                count.fetch_add(1, Ordering::Relaxed);
            }
            caller.close(None).await?;
            Ok(times)
        });
    }
    let mut times = Vec::new();
    let mut done = 0;
    while done < plan.rooms {
        match rooms.join_next().await.ok_or("rooms are missing")?? {
            Ok(some) if some.is_empty() => {}
            Ok(some) => {
                done += 1;
                times.extend(some);
            }
            Err(why) => return Err(why),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let frames = 2 * count.load(Ordering::Relaxed);
    println!("active rooms          {}, none lost a message", plan.rooms);
    println!(
        "messages              {:.0} a second of 64 KiB, {frames} in all",
        frames as f64 / seconds
    );
    println!(
        "under that load       p50 {:.1} ms, p99 {:.1} ms there and back",
        percentile(&times, 50),
        percentile(&times, 99)
    );
    if let Some(after) = plan.pid.and_then(memory) {
        println!("memory of the relay   {} MB", after / 1024);
    }
    Ok(())
}

/// A member of the room with this number.
async fn enter(url: &str, role: Role, number: u32) -> Outcome<(Socket, Member)> {
    let address = url.strip_prefix("ws://").ok_or("only ws:// is loaded")?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(url, stream).await?;
    let mut name = [0; 16];
    name[..4].copy_from_slice(&number.to_be_bytes());
    socket.send(Message::binary(join(role, &Room(name)))).await?;
    match Said::from_bytes(&hear(&mut socket).await?) {
        Some(Said::Joined(me)) => Ok((socket, me)),
        other => {
            Err(format!("the relay says {other:?}; see --max-per-source and --joins-per-minute")
                .into())
        }
    }
}

async fn hear(socket: &mut Socket) -> Outcome<Vec<u8>> {
    loop {
        match socket.next().await.ok_or("the relay hung up")?? {
            Message::Binary(bytes) => return Ok(bytes.into()),
            Message::Close(_) => return Err("the relay hung up".into()),
            _ => {}
        }
    }
}

/// A listener, a caller, and the listener's member id, once the caller has heard of it.
async fn room(at_host: &str, at_guest: &str, number: u32) -> Outcome<(Socket, Socket, Member)> {
    let (listener, _) = enter(at_host, Role::Listener, number).await?;
    let (mut caller, _) = enter(at_guest, Role::Caller, number).await?;
    match Said::from_bytes(&hear(&mut caller).await?) {
        Some(Said::Here(host_name)) => Ok((listener, caller, host_name)),
        other => Err(format!("no listener, but {other:?}").into()),
    }
}

/// Sends everything back until the caller is gone.
async fn echo(mut listener: Socket) -> Outcome<Vec<f64>> {
    loop {
        let bytes = hear(&mut listener).await?;
        match Said::from_bytes(&bytes) {
            Some(Said::Data(from, payload)) => {
                listener.send(Message::binary(parcel(&from, payload))).await?;
            }
            Some(Said::Gone(_)) => return Ok(Vec::new()),
            other => return Err(format!("the relay says {other:?}").into()),
        }
    }
}

/// Sends a message, checks that it comes back whole, and gives the milliseconds.
async fn there_and_back(caller: &mut Socket, listener: &Member, number: u32) -> Outcome<f64> {
    let payload = vec![number.to_be_bytes()[3]; SIZE];
    let begun = Instant::now();
    caller.send(Message::binary(parcel(listener, &payload))).await?;
    loop {
        let back = hear(caller).await?;
        let time = begun.elapsed().as_secs_f64() * 1000.0;
        match Said::from_bytes(&back) {
            Some(Said::Data(_, same)) if same == payload => return Ok(time),
            Some(Said::Data(..)) => {
                return Err("a message did not come back as it was sent".into());
            }
            // In a cluster two processes may both tell of the listener.
            Some(Said::Here(_)) => {}
            other => return Err(format!("no message came back, but {other:?}").into()),
        }
    }
}

async fn through(at_listeners: &str, at_callers: &str, number: u32) -> Outcome<Vec<f64>> {
    let (listener, mut caller, to) = room(at_listeners, at_callers, number).await?;
    let echoing = tokio::spawn(echo(listener));
    let mut times = Vec::new();
    for _ in 0..TIMES {
        times.push(there_and_back(&mut caller, &to, number).await?);
    }
    caller.close(None).await?;
    echoing.await??;
    Ok(times)
}

/// The same echo over one TCP connection, for comparison.
async fn direct() -> Outcome<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut caller = TcpStream::connect(listener.local_addr()?).await?;
    let (mut listener, _) = listener.accept().await?;
    caller.set_nodelay(true)?;
    listener.set_nodelay(true)?;
    tokio::spawn(async move {
        let mut bytes = vec![0; SIZE];
        while listener.read_exact(&mut bytes).await.is_ok()
            && listener.write_all(&bytes).await.is_ok()
        {}
    });
    let mut times = Vec::new();
    let mut bytes = vec![7; SIZE];
    for _ in 0..TIMES {
        let begun = Instant::now();
        caller.write_all(&bytes).await?;
        caller.read_exact(&mut bytes).await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

const TIMES: usize = 2000;

fn percentile(times: &[f64], of: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len() * of / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Resident memory in KiB.
fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
