//! `/healthz` and `/metrics` of a relay, on an address of their own: HTTP/1.1, one answer a connection.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, sleep, timeout};

use super::Refusal;
use super::hub::Hub;

/// Answers requests for ever; the caller's task is dropped with the relay.
pub async fn serve(hub: Arc<Hub>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let hub = Arc::clone(&hub);
                tokio::spawn(async move { timeout(ANSWER_TIMEOUT, answer(&hub, stream)).await });
            }
            Err(_) => sleep(BREATH).await,
        }
    }
}

async fn answer(hub: &Hub, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let (status, body) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(&request) {
            Ok(httparse::Status::Complete(_)) => break reply(hub, parsed.method, parsed.path),
            Ok(httparse::Status::Partial) if request.len() < LONGEST => {}
            Ok(httparse::Status::Partial) | Err(_) => {
                break ("400 Bad Request", "not a request\n".to_owned());
            }
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

fn reply(hub: &Hub, method: Option<&str>, path: Option<&str>) -> (&'static str, String) {
    let path = path.and_then(|path| path.split('?').next());
    match (method, path) {
        (Some("GET" | "HEAD"), Some("/healthz")) => ("200 OK", "ok\n".to_owned()),
        (Some("GET" | "HEAD"), Some("/metrics")) => ("200 OK", metrics(hub)),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "/healthz or /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET only\n".to_owned()),
    }
}

/// The figures in Prometheus's text format.
fn metrics(hub: &Hub) -> String {
    let (rooms, members, connections) = hub.sizes();
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let counts = &hub.counts;
    let mut text = String::new();
    let figures = [
        ("rooms", "gauge", "Rooms with at least one member here.", size(rooms)),
        ("members", "gauge", "Members of rooms.", size(members)),
        ("connections", "gauge", "Connections.", size(connections)),
        ("waiting_bytes", "gauge", "Bytes that wait for members.", size(hub.waiting())),
        ("joins_total", "counter", "Rooms joined.", count(&counts.joins)),
        ("frames_total", "counter", "Messages from members.", count(&counts.frames)),
        ("bytes_total", "counter", "Bytes of messages from members.", count(&counts.bytes)),
        (
            "undeliverable_total",
            "counter",
            "Messages whose addressee was gone.",
            count(&counts.undeliverable),
        ),
    ];
    for (name, kind, help, value) in figures {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# HELP cosign_relay_{name} {help}\n# TYPE cosign_relay_{name} {kind}\n\
             cosign_relay_{name} {value}\n"
        );
    }
    text.push_str(
        "# HELP cosign_relay_refused_total Clients turned away or let go.\n\
         # TYPE cosign_relay_refused_total counter\n",
    );
    for (why, refused) in Refusal::ALL.iter().zip(&counts.refused) {
        let _ = writeln!(
            text,
            "cosign_relay_refused_total{{reason=\"{}\"}} {}",
            why.name(),
            count(refused)
        );
    }
    text
}

const LONGEST: usize = 8 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(50);
