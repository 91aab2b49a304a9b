//! The limits of a relay: clients that speak its protocol directly.

use std::io::{Read, Write};
use std::net::TcpStream as Plain;
use std::time::Duration;

use cosign::net::relay::{Member, Refusal, Role, Room, Said, join, parcel};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::device::{Device, PATIENCE, arg};
use crate::relays::{Relay, nats};

type Socket = WebSocketStream<TcpStream>;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn connect(relay: &Relay) -> Socket {
    let stream = TcpStream::connect(relay.address()).await.unwrap();
    client_async(relay.url.as_str(), stream).await.unwrap().0
}

/// The next thing that the relay says; `None` once it has hung up.
async fn hear(socket: &mut Socket) -> Option<Vec<u8>> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("it says nothing") {
            Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    }
}

async fn say(socket: &mut Socket, bytes: Vec<u8>) {
    socket.send(Message::binary(bytes)).await.unwrap();
}

/// A member of a room, and its name.
async fn member(relay: &Relay, role: Role, room: u8) -> (Socket, Member) {
    let mut socket = connect(relay).await;
    say(&mut socket, join(role, &Room([room; 16]))).await;
    let bytes = hear(&mut socket).await.unwrap();
    match Said::from_bytes(&bytes) {
        Some(Said::Joined(me)) => (socket, me),
        other => panic!("{other:?}"),
    }
}

/// The relay says no for this reason, and hangs up.
async fn is_refused(mut socket: Socket, why: Refusal) {
    let said = hear(&mut socket).await.unwrap();
    assert_eq!(Said::from_bytes(&said), Some(Said::Refused(why)));
    assert_eq!(hear(&mut socket).await, None);
}

async fn joining(relay: &Relay, role: Role, room: u8) -> Socket {
    let mut socket = connect(relay).await;
    say(&mut socket, join(role, &Room([room; 16]))).await;
    socket
}

#[test]
fn members_of_a_room_hear_of_each_other_and_of_nobody_else() {
    let (_nats, bus) = nats();
    let alone = Relay::start(&[]);
    let cluster = [0, 1].map(|_| Relay::start(&["--cluster", &bus]));
    for (first, second) in [(&alone, &alone), (&cluster[0], &cluster[1])] {
        run(async {
            let (mut listener, listener_name) = member(first, Role::Listener, 1).await;
            let (_elsewhere, stranger) = member(second, Role::Listener, 2).await;
            let (mut caller, guest_name) = member(second, Role::Caller, 1).await;
            let said = hear(&mut caller).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Here(listener_name)));
            say(&mut caller, parcel(&stranger, b"out of the room")).await;
            say(&mut caller, parcel(&[9; 8], b"to nobody")).await;
            say(&mut caller, parcel(&listener_name, b"hello")).await;
            let said = hear(&mut listener).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Data(guest_name, b"hello")));
            say(&mut listener, parcel(&guest_name, b"yes?")).await;
            let said = hear(&mut caller).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Data(listener_name, b"yes?")));
            // A listener that comes later is told to the caller, and one that goes to it as well.
            let (late, late_name) = member(first, Role::Listener, 1).await;
            let said = hear(&mut caller).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Here(late_name)));
            drop(late);
            let said = hear(&mut caller).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Gone(late_name)));
            drop(caller);
            let said = hear(&mut listener).await.unwrap();
            assert_eq!(Said::from_bytes(&said), Some(Said::Gone(guest_name)));
        });
    }
}

#[test]
fn what_is_not_of_the_protocol_is_refused() {
    let relay = Relay::start(&["--max-frame", "33K"]);
    run(async {
        for first in [
            vec![],
            vec![1],
            vec![1, 2, 0],
            vec![0; 19],
            join(Role::Listener, &Room([0; 16]))[..18].to_vec(),
        ] {
            let mut socket = connect(&relay).await;
            say(&mut socket, first).await;
            is_refused(socket, Refusal::Malformed).await;
        }
        let mut socket = connect(&relay).await;
        socket.send(Message::text("hello")).await.unwrap();
        is_refused(socket, Refusal::Malformed).await;
        for later in [vec![2, 1], vec![7; 30], vec![], join(Role::Listener, &Room([5; 16]))] {
            let (mut socket, _) = member(&relay, Role::Caller, 1).await;
            say(&mut socket, later).await;
            is_refused(socket, Refusal::Malformed).await;
        }
        let (mut socket, _) = member(&relay, Role::Caller, 1).await;
        let _ = socket.send(Message::binary(parcel(&[1; 8], &[0; 34_000]))).await;
        is_refused(socket, Refusal::Malformed).await;
    });
}

#[test]
fn rooms_members_connections_and_joins_are_limited() {
    let few = ["--max-members", "2", "--max-rooms", "2", "--max-per-source", "4"];
    let relay = Relay::start(&few);
    run(async {
        let (_a, _) = member(&relay, Role::Listener, 1).await;
        let (_b, _) = member(&relay, Role::Caller, 1).await;
        is_refused(joining(&relay, Role::Caller, 1).await, Refusal::RoomFull).await;
        let (_c, _) = member(&relay, Role::Listener, 2).await;
        is_refused(joining(&relay, Role::Listener, 3).await, Refusal::TooManyRooms).await;
        let _d = connect(&relay).await;
        let fifth = TcpStream::connect(relay.address()).await.unwrap();
        assert!(client_async(relay.url.as_str(), fifth).await.is_err());
    });
    let relay = Relay::start(&["--joins-per-minute", "3"]);
    run(async {
        for room in 0..3 {
            member(&relay, Role::Listener, room).await;
        }
        is_refused(joining(&relay, Role::Listener, 9).await, Refusal::TooManyJoins).await;
    });
}

#[test]
fn one_that_does_not_read_makes_its_sender_wait_and_is_let_go() {
    let small = ["--max-frame", "64K", "--max-waiting", "256K", "--max-waiting-in-all", "1M"];
    let relay = Relay::start(&small);
    run(async {
        let (_slow, slow) = member(&relay, Role::Listener, 1).await;
        let (caller, _) = member(&relay, Role::Caller, 1).await;
        let (mut to_relay, mut from_relay) = caller.split();
        let flooding = async {
            loop {
                let bytes = parcel(&slow, &[0; 60_000]);
                if to_relay.send(Message::binary(bytes)).await.is_err() {
                    return;
                }
            }
        };
        let until_gone = async {
            while let Some(Ok(message)) = from_relay.next().await {
                let bytes = message.into_data();
                if Said::from_bytes(&bytes) == Some(Said::Gone(slow)) {
                    return;
                }
            }
            panic!("the sender was let go in its place");
        };
        tokio::select! {
            kept = timeout(PATIENCE, until_gone) => kept.expect("a slow reader is kept for ever"),
            () = flooding => panic!("the sender lost its connection"),
        }
    });
}

#[test]
fn a_connection_that_gives_no_sign_of_life_ends() {
    let relay = Relay::start(&["--idle", "1s"]);
    // One sends nothing, one stops after WebSocket's handshake, one has joined. None is read here,
    // so none answers a ping.
    let mut half_open = Plain::connect(relay.address()).unwrap();
    run(async {
        let (listener, name) = member(&relay, Role::Listener, 1).await;
        let (mut caller, _) = member(&relay, Role::Caller, 1).await;
        hear(&mut caller).await.unwrap();
        let gone = async {
            while let Some(bytes) = hear(&mut caller).await {
                if Said::from_bytes(&bytes) == Some(Said::Gone(name)) {
                    return true;
                }
            }
            false
        };
        assert!(gone.await, "the silent one was kept");
        drop(listener);
    });
    half_open.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(half_open.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn what_would_let_nobody_in_is_no_limit() {
    let home = Device::blank("relay");
    for (flag, value) in [
        ("--max-frame", "32K"),
        ("--max-members", "1"),
        ("--max-rooms", "0"),
        ("--max-connections", "0"),
        ("--max-per-source", "0"),
        ("--joins-per-minute", "0"),
        ("--max-waiting", "64K"),
        ("--idle", "1ms"),
        ("--metrics", "nowhere"),
        ("--cluster", "http://127.0.0.1"),
    ] {
        home.run(["relay", "--bind", "127.0.0.1:0", flag, value]).fails(2, flag);
    }
}

#[test]
fn files_that_are_no_certificate_are_told_from_those_that_are_not_there() {
    let home = Device::blank("relay");
    let [one, other] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let certificate = home.write("cert.pem", one.cert.pem());
    let key = home.write("key.pem", other.signing_key.serialize_pem());
    let garbage = home.write("garbage.pem", "garbage");
    let gone = home.path("gone.pem");
    for (certificate, key, exit, named) in [
        (&certificate, &key, 2, "cert.pem"),
        (&garbage, &key, 2, "garbage.pem"),
        (&certificate, &garbage, 2, "garbage.pem"),
        (&gone, &key, 10, "gone.pem"),
        (&certificate, &gone, 10, "gone.pem"),
    ] {
        let tls = ["--tls-cert", arg(certificate), "--tls-key", arg(key)];
        home.run(["relay", "--bind", "127.0.0.1:0"].iter().chain(&tls)).fails(exit, named);
    }
}

#[test]
fn health_and_figures_are_on_an_address_of_their_own() {
    let port = crate::relays::free_port();
    let place = format!("127.0.0.1:{port}");
    let relay = Relay::start(&["--metrics", &place]);
    let ask = |request: &str| {
        let mut stream = loop {
            match Plain::connect(&place) {
                Ok(stream) => break stream,
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let health = ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"));
    run(async {
        let (mut listener, listener_name) = member(&relay, Role::Listener, 1).await;
        let (mut caller, _) = member(&relay, Role::Caller, 1).await;
        say(&mut caller, parcel(&listener_name, &[1; 100])).await;
        hear(&mut listener).await.unwrap();
        let figures = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        for line in [
            "cosign_relay_rooms 1\n",
            "cosign_relay_members 2\n",
            "cosign_relay_joins_total 2\n",
            "cosign_relay_frames_total 1\n",
            "cosign_relay_bytes_total 109\n",
            "# TYPE cosign_relay_joins_total counter\n",
            "cosign_relay_refused_total{reason=\"room_full\"} 0\n",
        ] {
            assert!(figures.contains(line), "{line} is missing in\n{figures}");
        }
    });
    assert!(ask("GET /rooms HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let endless = ask(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)));
    // Unread bytes may have reset the connection before the answer arrived.
    assert!(endless.is_empty() || endless.starts_with("HTTP/1.1 400 "), "{endless}");
}

#[test]
fn sigterm_says_goodbye_to_everybody_and_ends_with_0() {
    let relay = Relay::start(&[]);
    run(async {
        let (socket, _) = member(&relay, Role::Listener, 1).await;
        relay.running.signal(rustix::process::Signal::TERM);
        is_refused(socket, Refusal::Closing).await;
    });
    let result = relay.running.ends().succeeds();
    assert_eq!(result["joins"], 1);
}

#[test]
fn every_thread_of_a_relay_is_confined() {
    let (_nats, cluster) = nats();
    for flags in [&[][..], &["--metrics", "0"], &["--cluster", &cluster]] {
        let relay = Relay::start(flags);
        for (field, value) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
            let found = relay.running.statuses(field);
            assert!(found.len() > 1 && found.iter().all(|f| f == value), "{field}: {found:?}");
        }
    }
}

#[test]
fn logs_name_no_rooms() {
    let mut relay = Relay::start(&["-v"]);
    run(async {
        let (socket, _) = member(&relay, Role::Listener, 0x5a).await;
        relay.running.event_where("serving", |event| event["what"] == "joined");
        drop(socket);
        relay.running.event_where("serving", |event| event["what"] == "left");
    });
    relay.running.signal(rustix::process::Signal::TERM);
    let ended = relay.running.ends();
    for name in ["5a5a5a5a", "LJNFUWS2", "WlpaWlpa", "ZZZZ"] {
        assert!(!ended.stderr.contains(name), "{}", ended.stderr);
    }
}

#[test]
fn behind_a_proxy_the_last_address_counts() {
    let relay = Relay::start(&["--behind-proxy", "--max-per-source", "1"]);
    run(async {
        let from = async |forwarded: &'static str| {
            use tokio_tungstenite::tungstenite::client::IntoClientRequest;
            let stream = TcpStream::connect(relay.address()).await.unwrap();
            let mut request = relay.url.as_str().into_client_request().unwrap();
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
            client_async(request, stream).await.unwrap().0
        };
        let (mut a, mut b) = (from("10.0.0.1").await, from("10.0.0.1, 10.0.0.2").await);
        for (room, socket) in [(1, &mut a), (2, &mut b)] {
            say(socket, join(Role::Listener, &Room([room; 16]))).await;
            assert_eq!(hear(socket).await.unwrap()[0], 3);
        }
        // The client's own claim is the first address and does not count.
        is_refused(from("10.9.9.9, 10.0.0.1").await, Refusal::TooManyConnections).await;
    });
}
