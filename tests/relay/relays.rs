//! Relays and NATS as processes, and proxies between a device and its relay.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::device::{Device, Listener, Running, text};

/// A program that is killed when the test ends.
pub(crate) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A free port, which the system gives to no outgoing connection while it is unused.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A relay on loopback.
pub(crate) struct Relay {
    pub(crate) running: Running,
    pub(crate) url: String,
    _home: Device,
}

impl Relay {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::on(free_port(), flags)
    }

    /// As above, on this port.
    pub(crate) fn on(port: u16, flags: &[&str]) -> Self {
        let home = Device::blank("relay");
        let bind = format!("127.0.0.1:{port}");
        let mut running = home.start(["relay", "--bind", &bind].iter().chain(flags));
        let listening = running.event_where("serving", |event| event["what"] == "listening");
        let url = text(&listening["detail"]);
        Self { running, url, _home: home }
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

/// A real nats-server, and its URL.
pub(crate) fn nats() -> (Killed, String) {
    let port = free_port();
    (nats_on(port), format!("nats://127.0.0.1:{port}"))
}

/// As above, on this port.
pub(crate) fn nats_on(port: u16) -> Killed {
    nats_with(port, &[])
}

/// As [`nats_on`], with these flags.
pub(crate) fn nats_with(port: u16, flags: &[&str]) -> Killed {
    let child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server is installed");
    let server = Killed(child);
    for _ in 0..1000 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nats-server does not listen");
}

/// Nothing on the local network: mDNS has no interface to speak on.
pub(crate) const ALONE: [&str; 2] = ["--interface", "no-such-interface"];

/// `device` waits at `relay` alone, and allows whatever `peers` ask for.
pub(crate) fn waits(device: &Device, relay: &str, peers: &[&Device]) -> Listener {
    let flags = [&ALONE[..], &["--relay", relay]].concat();
    let mut listener = device.serve_with(peers, &flags);
    listener.event_where("relay", |event| event["connected"] == true);
    listener
}

/// The command, which finds others through `relay` alone.
pub(crate) fn through<'a>(relay: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [args, &ALONE, &["--relay", relay]].concat()
}

/// Passes every connection on to `to` and keeps what was said on all of them.
pub(crate) struct Tap {
    pub(crate) address: String,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    pub(crate) fn before(to: String) -> Self {
        Self::far_from(to, Duration::ZERO)
    }

    /// A tunnel with a delay in each direction.
    pub(crate) fn far_from(to: String, delay: Duration) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        thread::spawn(move || {
            while let Ok((caller, _)) = port.accept() {
                let Ok(called) = TcpStream::connect(&to) else { continue };
                for (from, to) in [(&caller, &called), (&called, &caller)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let kept = Arc::clone(&kept);
                    let wire = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(Vec::new());
                        kept.len() - 1
                    };
                    thread::spawn(move || {
                        let mut bytes = [0; 16384];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            kept.lock().unwrap()[wire].extend(&bytes[..count]);
                            thread::sleep(delay);
                            if to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, said }
    }

    /// The bytes that have passed, by connection and direction.
    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        self.said.lock().unwrap().clone()
    }
}

/// One direction of a WebSocket connection without the mask that hides them from proxies.
pub(crate) fn unmasked(mut wire: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    if let Some(end) = wire.windows(4).position(|four| four == b"\r\n\r\n") {
        plain.extend(&wire[..end]);
        wire = &wire[end + 4..];
    }
    while let [_, second, rest @ ..] = wire {
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(*a) << 8 | usize::from(*b), rest),
            (127, [_, _, _, _, a, b, c, d, rest @ ..]) => {
                (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest)
            }
            (short, rest) => (usize::from(short), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 { (&[0; 4][..], rest) } else { rest.split_at(4) };
        let (body, after) = rest.split_at(length.min(rest.len()));
        plain.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        wire = after;
    }
    plain
}
