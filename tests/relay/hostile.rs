//! A dishonest relay: a proxy between a device and the real relay flips, drops, doubles, reorders,
//! replays, cuts and lengthens messages. A ceremony succeeds or fails with a clear error; it never
//! ends in a half-made key, a ban, or an invalid signature.

use std::sync::{Arc, Mutex};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::device::{Device, Ended, two};
use crate::far_apart::{exported, fresh_digest};
use crate::openssl;
use crate::relays::{Relay, through, waits};

/// A change to one message, or to each.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Flip,
    Drop,
    Double,
    /// After its successor.
    Late,
    /// The first of all once more.
    Replay,
    Cut,
    /// As much again behind it.
    Lengthen,
    /// A message that is longer than any.
    Oversize,
    /// Nothing that is known.
    Nonsense,
    /// The connection ends.
    HangUp,
}

const LIES: [Lie; 10] = [
    Lie::Flip,
    Lie::Drop,
    Lie::Double,
    Lie::Late,
    Lie::Replay,
    Lie::Cut,
    Lie::Lengthen,
    Lie::Oversize,
    Lie::Nonsense,
    Lie::HangUp,
];

/// Which messages are lied about, counted over all connections, and whether those to the client.
#[derive(Clone, Copy, Debug)]
struct Plan {
    lie: Lie,
    at: usize,
    to_client: bool,
}

/// Only messages that carry something are counted: what the relay itself says stays true.
fn carries(message: &Message) -> bool {
    matches!(message, Message::Binary(bytes) if bytes.first() == Some(&2) && bytes.len() > 9)
}

/// The replacement of `message`; `None` ends the connection.
fn lied(
    lie: Lie,
    message: Message,
    first: &Option<Message>,
    held: &mut Option<Message>,
) -> Option<Vec<Message>> {
    let bytes = message.clone().into_data().to_vec();
    let half = 9 + (bytes.len() - 9) / 2;
    Some(match lie {
        Lie::Flip => {
            let mut bytes = bytes;
            bytes[half] ^= 1;
            vec![Message::binary(bytes)]
        }
        Lie::Drop => vec![],
        Lie::Double => vec![message.clone(), message],
        Lie::Late => {
            *held = Some(message);
            vec![]
        }
        Lie::Replay => vec![message, first.clone().unwrap()],
        Lie::Cut => vec![Message::binary(bytes[..half].to_vec())],
        Lie::Lengthen => vec![Message::binary([&bytes[..], &bytes[9..]].concat())],
        Lie::Oversize => vec![Message::binary(vec![2; 3 << 20])],
        Lie::Nonsense => vec![Message::binary(vec![9, 9, 9]), Message::text("hello"), message],
        Lie::HangUp => return None,
    })
}

/// A relay in front of the real one that carries out a plan.
struct Liar {
    url: String,
    told: Arc<Mutex<usize>>,
    _runtime: Runtime,
}

impl Liar {
    fn before(relay: &Relay, plan: Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let told = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&told);
        let to = relay.address();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (to, told) = (to.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let _ = between(stream, &to, plan, told).await;
                });
            }
        });
        Self { url, told, _runtime: runtime }
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn between(
    stream: TcpStream,
    to: &str,
    plan: Plan,
    told: Arc<Mutex<usize>>,
) -> Result<(), Error> {
    let (to_client, from_client) = accept_async(stream).await?.split();
    let relay = TcpStream::connect(to).await?;
    let (relay, _) = client_async(format!("ws://{to}"), relay).await?;
    let (to_relay, from_relay) = relay.split();
    tokio::select! {
        end = pass(from_client, to_relay, (!plan.to_client).then_some(plan), &told) => end,
        end = pass(from_relay, to_client, plan.to_client.then_some(plan), &told) => end,
    }
}

async fn pass(
    mut from: SplitStream<Socket>,
    mut to: SplitSink<Socket, Message>,
    plan: Option<Plan>,
    told: &Mutex<usize>,
) -> Result<(), Error> {
    let (mut first, mut held) = (None, None);
    while let Some(message) = from.next().await {
        let message = message?;
        if !carries(&message) {
            to.send(message).await?;
            continue;
        }
        first.get_or_insert_with(|| message.clone());
        let late: Option<Message> = held.take();
        let due = plan.filter(|plan| {
            let mut told = told.lock().unwrap();
            *told += 1;
            *told == plan.at
        });
        let passed = match due {
            None => vec![message],
            Some(plan) => match lied(plan.lie, message, &first, &mut held) {
                Some(messages) => messages,
                None => return Ok(()),
            },
        };
        for message in passed.into_iter().chain(late) {
            to.send(message).await?;
        }
    }
    Ok(())
}

/// It has succeeded, or has failed with a code that calls for another try.
#[track_caller]
fn is_clean(plan: Plan, ended: &Ended) {
    assert!(matches!(ended.code, Some(0 | 4 | 5 | 6)), "{plan:?}: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{plan:?}: {ended:?}");
}

#[test]
fn a_lying_relay_costs_a_pause_and_never_a_signature() {
    let relay = Relay::start(&[]);
    let (alice, bob) = two();
    let mut listener = waits(&bob, &relay.url, &[&alice]);
    alice.run(through(&relay.url, &["keygen", "--key", "vault", "--with", "bob"])).succeeds();
    let pem = exported(&bob, "vault");
    let mut ends = Vec::new();
    for (n, lie) in LIES.into_iter().enumerate() {
        // Within the handshake, the request, and the rounds, in either direction.
        for (at, to_client) in [(1 + n % 3, n % 2 == 0), (4 + n % 4, n % 2 == 1)] {
            let plan = Plan { lie, at, to_client };
            let liar = Liar::before(&relay, plan);
            let digest = fresh_digest();
            let ended = alice.run(through(&liar.url, &["sign", &digest, "--key", "vault"]));
            is_clean(plan, &ended);
            assert!(*liar.told.lock().unwrap() >= at, "{plan:?} was never carried out: {ended:?}");
            ends.push((plan, ended.code));
            if ended.code == Some(0) {
                openssl::is_satisfied(&ended.succeeds(), &pem, &digest);
            }
        }
    }
    let good = ends.iter().filter(|(_, code)| *code == Some(0)).count();
    assert!(good * 10 >= ends.len() * 9, "one lie ends too many ceremonies: {ends:?}");
    // No device is banned, nothing is left over, and the other side has not panicked.
    let digest = fresh_digest();
    let signed = alice.run(through(&relay.url, &["sign", &digest, "--key", "vault"]));
    openssl::is_satisfied(&signed.succeeds(), &pem, &digest);
    listener.signal(rustix::process::Signal::TERM);
    while listener.next_event().is_some() {}
    let ended = listener.ends();
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_key_made_through_a_lying_relay_is_whole_or_is_none() {
    let relay = Relay::start(&[]);
    let (alice, bob) = two();
    let _listener = waits(&bob, &relay.url, &[&alice]);
    for (n, lie) in LIES.into_iter().enumerate() {
        let plan = Plan { lie, at: 5 + n * 2 % 9, to_client: n % 2 == 0 };
        let liar = Liar::before(&relay, plan);
        let name = format!("k{n}");
        let ended = alice.run(through(&liar.url, &["keygen", "--key", &name, "--with", "bob"]));
        is_clean(plan, &ended);
        if ended.code == Some(0) {
            let here = alice.run(["keys", "show", &name]).succeeds();
            let there = bob.run(["keys", "show", &name]).succeeds();
            assert_eq!(here["public_key"], there["public_key"]);
            assert_eq!((&here["confirmed"], &there["confirmed"]), (&true.into(), &true.into()));
        } else {
            unfinished(&alice, &name);
        }
    }
}

/// Whatever there is of the key, it does not count as one that can be used.
#[track_caller]
fn unfinished(device: &Device, name: &str) {
    let shown = device.run(["keys", "show", name]);
    if shown.code == Some(0) {
        assert_eq!(shown.succeeds()["confirmed"], false);
    }
}
