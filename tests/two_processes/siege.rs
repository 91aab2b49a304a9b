//! Attacks that hold, flood or mislead a listener, one by one and all at once, while honest
//! signatures are made.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cosign::device::Label;
use cosign::driver::ceremony::epochs::HeldKey;
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::connect::target::{Route, Target};
use cosign::driver::{Node, ROUND, clock};
use cosign::net::tls::{self, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Frame, Kind as FrameKind, Link, tcp};
use cosign::party::PartyId;
use cosign::protocol::machine::Output;
use cosign::protocol::pair::{EXPORTER, Requester, Side};
use cosign::protocol::sign::sign;
use cosign::request::{Action, Ceremony, Hex, Signing};
use cosign::secret::Secret;
use cosign::vault::{Home, KeyRecord, Log, attempts, keys, strangers};
use cosign::wire::{Message, Proposal, Reason, VERSION, Want};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::device::{Device, PATIENCE, introduce};
use crate::discovery::Impostors;
use crate::insider::{
    self, block_on, hello, note_session, only_key, opened, port, proposal, setup, signing, soon,
    until_closed,
};
use crate::signing::fresh_digest;
use crate::terminal::Terminal;

/// How many messages a signer sends to another.
const ROUNDS: usize = 3;

/// Alice and Bob, who are honest, and Carol, who is not. They have a key that any two sign with. Bob is at
/// his terminal, and his policy answers for him.
struct Scene {
    alice: Device,
    bob: Device,
    carol: Arc<Node>,
    address: String,
    at_bob: Terminal,
    carols: Device,
}

impl Scene {
    fn new() -> Self {
        let [alice, bob, carols] = ["alice", "bob", "carol"].map(Device::new);
        introduce(&[&alice, &bob, &carols]);
        let near = ["--interface", "lo"];
        let listeners =
            [bob.serve_with(&[&alice, &carols], &near), carols.serve_with(&[&alice, &bob], &near)];
        let keygen = ["keygen", "--key", "vault", "--threshold", "2", "--with", "bob", "carol"];
        alice.run(keygen.iter().chain(&near)).succeeds();
        drop(listeners);
        let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
        let mut at_bob = bob.terminal(listen.iter().chain(&near));
        let address = at_bob.address();
        let carol = opened(&carols);
        Self { alice, bob, carol, address, at_bob, carols }
    }

    /// Honest signatures, for each of which Bob has to be found first.
    #[track_caller]
    fn signs(&self, times: u32) {
        for _ in 0..times {
            // His last address is forgotten.
            let _ = std::fs::remove_file(self.alice.home().join("state/addresses.json"));
            let digest = fresh_digest();
            let sign = ["sign", &digest, "--with", "bob", "--interface", "lo", "--timeout", "90s"];
            self.alice.run(sign).succeeds();
        }
    }

    /// A signature that Carol asks Bob for.
    fn asked_by_carol(&self) -> Proposal {
        let record = only_key(&self.carol);
        let bobs = self.bob.fingerprint();
        let bob = record.parties.iter().find(|party| party.fingerprint.to_hex() == bobs).unwrap();
        let mut signers = vec![record.me.get(), bob.index.get()];
        signers.sort_unstable();
        Proposal { signers, recipient: 0, seconds: 1800, ..proposal(&self.carol, &record) }
    }

    /// A stranger that sends its proposal, and then nothing.
    fn silent_strangers(&self) -> Attack {
        let address = self.address.clone();
        Attack::begin(8, move |hits| {
            let address = address.clone();
            async move {
                let mut link = reach(&stranger(), &address).await?;
                say(&mut link, &hello(VERSION, Want::Pair)).await.ok()?;
                welcomed(&mut link, &hits).await?;
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Carol, who says that she has come for a ceremony, and then nothing.
    fn silent_peer(&self) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        Attack::begin(8, move |hits| {
            let (carol, address) = (Arc::clone(&carol), address.clone());
            async move {
                let mut link = reach(&carol.tls, &address).await?;
                say(&mut link, &hello(VERSION, Want::Ceremony)).await.ok()?;
                welcomed(&mut link, &hits).await?;
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Carol, who asks for this, hears a yes and never starts.
    fn never_starts(&self, asked: Proposal) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        Attack::begin(4, move |hits| {
            let (carol, address, asked) = (Arc::clone(&carol), address.clone(), asked.clone());
            async move {
                let mut link = reach(&carol.tls, &address).await?;
                say(&mut link, &hello(VERSION, Want::Ceremony)).await.ok()?;
                let Message::Welcome { .. } = hear(&mut link, soon()).await.ok()? else {
                    return None;
                };
                say(&mut link, &Message::Propose(Box::new(asked))).await.ok()?;
                let Message::Accept { .. } = hear(&mut link, soon()).await.ok()? else {
                    return None;
                };
                hits.fetch_add(1, Ordering::Relaxed);
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Carol, who begins as an honest device does and falls silent where her message number `n` is due.
    fn stalls(&self, n: usize) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        let (asked, bob) = (self.asked_by_carol(), self.bob.fingerprint());
        Attack::begin(2, move |hits| {
            let (carol, asked) = (Arc::clone(&carol), asked.clone());
            let at = party_at(&only_key(&carol), &bob, &address);
            async move { stall(&carol, asked, at, n, &hits).await }
        })
    }

    /// Carol, who proposes, hears what comes of it or that Bob is busy, is gone, and proposes again.
    fn floods(&self, asked: Proposal) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        Attack::begin(24, move |hits| {
            let (carol, address, asked) = (Arc::clone(&carol), address.clone(), asked.clone());
            async move {
                let mut link = reach(&carol.tls, &address).await?;
                hits.fetch_add(1, Ordering::Relaxed);
                say(&mut link, &hello(VERSION, Want::Ceremony)).await.ok()?;
                let Message::Welcome { .. } = hear(&mut link, soon()).await.ok()? else {
                    return None;
                };
                say(&mut link, &Message::Propose(Box::new(asked))).await.ok()?;
                hear(&mut link, soon()).await.ok().map(drop)
            }
        })
    }

    /// Carol, who says that she is still there at every stage, and nothing else.
    fn chatters(&self, asked: Proposal) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        Attack::begin(2, move |hits| {
            let (carol, address, asked) = (Arc::clone(&carol), address.clone(), asked.clone());
            async move {
                for proposes in [false, true] {
                    let mut link = reach(&carol.tls, &address).await?;
                    say(&mut link, &hello(VERSION, Want::Ceremony)).await.ok()?;
                    welcomed(&mut link, &hits).await?;
                    if proposes {
                        say(&mut link, &Message::Propose(Box::new(asked.clone()))).await.ok()?;
                    }
                    let receipt = || Frame::new(FrameKind::Receipt, vec![0; 8]);
                    while link.send(receipt()).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
                Some(())
            }
        })
    }

    /// Carol, who asks for one thing after the other and waits for no answer.
    fn asks_for_all(&self, asked: Proposal) -> Attack {
        let (carol, address) = (Arc::clone(&self.carol), self.address.clone());
        Attack::begin(4, move |hits| {
            let (carol, address, asked) = (Arc::clone(&carol), address.clone(), asked.clone());
            async move {
                let mut link = reach(&carol.tls, &address).await?;
                say(&mut link, &hello(VERSION, Want::Ceremony)).await.ok()?;
                welcomed(&mut link, &hits).await?;
                for _ in 0..100 {
                    say(&mut link, &Message::Propose(Box::new(asked.clone()))).await.ok()?;
                }
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Connections from many addresses: some say nothing, some begin TLS, some say one byte after the other.
    fn half_open(&self) -> Attack {
        let address: std::net::SocketAddr = self.address.parse().unwrap();
        let next = Arc::new(AtomicUsize::new(0));
        Attack::begin(64, move |hits| {
            let n = next.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let socket = tokio::net::TcpSocket::new_v4().ok()?;
                let from = [127, 0, 0, u8::try_from(2 + n % 60).ok()?];
                socket.bind((from, 0).into()).ok()?;
                let mut io = socket.connect(address).await.ok()?;
                hits.fetch_add(1, Ordering::Relaxed);
                // The beginning of a TLS record that never ends.
                let record = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 400]].concat();
                let bytes = match n % 3 {
                    0 => &[][..],
                    1 => &record[..],
                    _ => {
                        for byte in &record {
                            io.write_all(&[*byte]).await.ok()?;
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                        &[][..]
                    }
                };
                io.write_all(bytes).await.ok()?;
                let _ = io.read(&mut [0]).await;
                Some(())
            }
        })
    }

    /// Strangers who go as far as a pairing goes without a person.
    fn pairing_strangers(&self) -> Attack {
        let address = self.address.clone();
        Attack::begin(4, move |hits| {
            let address = address.clone();
            async move {
                let device = tls::Device::generate().unwrap();
                let own = Tls::new(&device, TlsVersion::Any).unwrap();
                let mut link = reach(&own, &address).await?;
                say(&mut link, &hello(VERSION, Want::Pair)).await.ok()?;
                let Message::Welcome { name, .. } = hear(&mut link, soon()).await.ok()? else {
                    return None;
                };
                let me = Side { fingerprint: device.fingerprint, name: b"alice" };
                let bob = Side { fingerprint: link.peer(), name: name.as_str().as_bytes() };
                let (exporter, nonce) = (link.exporter(EXPORTER).ok()?, Secret::new([7; 32]));
                let (requester, commitment) = Requester::start(&exporter, me, bob, nonce).ok()?;
                say(&mut link, &Message::Pair { step: Hex(commitment) }).await.ok()?;
                hits.fetch_add(1, Ordering::Relaxed);
                let Message::Pair { step } = hear(&mut link, soon()).await.ok()? else {
                    return None;
                };
                let (_, opening) = requester.reveal(&step.0);
                say(&mut link, &Message::Pair { step: Hex(opening) }).await.ok()?;
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Strangers who ask for signatures, with much to read.
    fn asking_strangers(&self, asked: Proposal) -> Attack {
        let address = self.address.clone();
        let text = Label::new(&"read this! ".repeat(20));
        let asked = Proposal { purpose: text.clone(), ..asked };
        Attack::begin(8, move |hits| {
            let (address, asked, name) = (address.clone(), asked.clone(), text.clone());
            async move {
                let mut link = reach(&stranger(), &address).await?;
                let hello =
                    Message::Hello { version: VERSION, name, want: Want::Ceremony, about: None };
                say(&mut link, &hello).await.ok()?;
                let _ = say(&mut link, &Message::Propose(Box::new(asked))).await;
                let refused = Message::Refuse { reason: Reason::NotPaired };
                if hear(&mut link, soon()).await.ok()? == refused {
                    hits.fetch_add(1, Ordering::Relaxed);
                }
                until_closed(link).await;
                Some(())
            }
        })
    }

    /// Others who announce themselves under Bob's id, over and over.
    fn impostors(&self, others: &[&Device]) -> Attack {
        let impostors = Impostors::of(&self.bob.fingerprint()[..16], others);
        let impostors = Arc::new(Mutex::new(impostors));
        Attack::begin(1, move |hits| {
            let impostors = Arc::clone(&impostors);
            async move {
                impostors.lock().unwrap().announce_again();
                hits.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some(())
            }
        })
    }

    /// A proposal of Carol to finish a key that is finished.
    fn finished_already(&self) -> Proposal {
        let record = only_key(&self.carol);
        Proposal {
            kind: Ceremony::Resume,
            signers: record.parties.iter().map(|party| party.index.get()).collect(),
            digest: Hex([0; 32]),
            purpose: Label::default(),
            ..self.asked_by_carol()
        }
    }

    /// Strangers left nothing in the log and little elsewhere, and did not use up the attempts of others.
    #[track_caller]
    fn is_unmoved(&self) {
        let home = Home::at(self.bob.home());
        let known = [self.alice.fingerprint(), self.carol.info.fingerprint.to_hex()];
        for entry in Log::entries(&home).unwrap() {
            assert!(entry.peer.split(',').all(|peer| known.iter().any(|k| k == peer)), "{entry:?}");
        }
        let noted = std::fs::metadata(home.state.join("strangers.jsonl")).map_or(0, |m| m.len());
        assert!(noted <= strangers::LIMIT as u64);
        assert!(attempts::charged(&home).unwrap().charged <= attempts::OF_ONE_SOURCE);
    }
}

/// The party of `record` with this fingerprint, at `address`.
fn party_at(record: &KeyRecord, fingerprint: &str, address: &str) -> (PartyId, Target) {
    let mut parties = record.parties.iter();
    let party = parties.find(|party| party.fingerprint.to_hex() == fingerprint).unwrap();
    let target = Target {
        name: Label::new(&party.name),
        fingerprint: Some(party.fingerprint),
        route: Route::Address(address.to_owned()),
    };
    (party.index, target)
}

/// Signs with the device `at` and keeps back its messages from number `n` on, until the other side has enough.
async fn stall(
    carol: &Arc<Node>,
    asked: Proposal,
    at: (PartyId, Target),
    n: usize,
    hits: &AtomicUsize,
) -> Option<()> {
    let record = only_key(carol);
    let lock = keys::lock_to_sign(&carol.home, &record.name).ok()?;
    let key = HeldKey::open(carol, &record.name).ok()?.choose(&Hex(record.epoch), lock).ok()?;
    let signing = Signing { recipient: None, ..signing(carol, &record) };
    let mut question = insider::asked(carol, &record, Action::Sign(signing));
    question.request.signers = asked.signers.iter().filter_map(|i| PartyId::new(*i)).collect();
    let mut started = propose_and_start(carol, &question, vec![at]).await.ok()?;
    note_session(carol, &record);
    let setup = setup(&question.request, &started);
    let mut machine = sign(insider::share(&key), setup, &clock::random().ok()?, ROUND).ok()?;
    machine.start(clock::now());
    let mut due = 0;
    loop {
        while let Some(output) = machine.poll() {
            if let Output::Send { to, bytes } = output {
                if due < n {
                    started.links.send(to, bytes).await.ok()?;
                } else {
                    hits.fetch_add(1, Ordering::Relaxed);
                }
                due += 1;
            }
        }
        match started.links.recv().await {
            (party, Incoming::Protocol(bytes)) => {
                machine.handle(clock::now(), party, &bytes);
            }
            (_, Incoming::Lost(_) | Incoming::Control(_)) => return Some(()),
        }
    }
}

fn stranger() -> Tls {
    Tls::new(&tls::Device::generate().unwrap(), TlsVersion::Any).unwrap()
}

/// A connection, unless the listener has no room for it.
async fn reach(tls: &Tls, address: &str) -> Option<TlsLink> {
    let io = tcp::dial(address, PATIENCE).await.ok()?;
    tls.connect(io, Expect::Anyone).await.ok()
}

async fn welcomed(link: &mut TlsLink, hits: &AtomicUsize) -> Option<()> {
    let Message::Welcome { .. } = hear(link, soon()).await.ok()? else { return None };
    hits.fetch_add(1, Ordering::Relaxed);
    Some(())
}

type Hits = Arc<AtomicUsize>;

/// An attack that goes on until it is called off.
struct Attack {
    hits: Hits,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Attack {
    /// Runs `attack` again and again, so many at once. It counts each time that it got where it wanted to.
    fn begin<F>(at_once: usize, attack: impl Fn(Hits) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let hits = Hits::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let attack = Arc::new(attack);
        for _ in 0..at_once {
            let (attack, hits) = (Arc::clone(&attack), Arc::clone(&hits));
            runtime.spawn(async move {
                loop {
                    if attack(Arc::clone(&hits)).await.is_none() {
                        // Refused attempts are repeated, at a rate that leaves the machine to
                        // others.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
        let attack = Self { hits, runtime: Some(runtime) };
        attack.wait();
        attack
    }

    /// Waits until it has got where it wanted to.
    fn wait(&self) {
        let until = clock::now() + PATIENCE;
        while self.hits.load(Ordering::Relaxed) == 0 {
            assert!(clock::now() < until, "the attack never got anywhere");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[test]
fn silent_strangers_hold_nobody_up() {
    let scene = Scene::new();
    let _attack = scene.silent_strangers();
    scene.signs(3);
    scene.is_unmoved();
}

#[test]
fn a_silent_peer_holds_nobody_up() {
    let scene = Scene::new();
    let _attack = scene.silent_peer();
    scene.signs(3);
}

#[test]
fn a_peer_that_never_starts_holds_nobody_up() {
    let scene = Scene::new();
    let _attack = scene.never_starts(scene.asked_by_carol());
    scene.signs(3);
}

/// `COSIGN_SOAK=1` makes it 10,000 proposals.
#[test]
fn a_peer_that_floods_with_proposals_holds_nobody_up_and_costs_no_memory() {
    let scene = Scene::new();
    scene.signs(1);
    let before = scene.at_bob.memory();
    let attack = scene.floods(scene.asked_by_carol());
    let flood = if std::env::var_os("COSIGN_SOAK").is_some() { 10_000 } else { 51 };
    let hits = || attack.hits.load(Ordering::Relaxed);
    for n in 1.. {
        scene.signs(1);
        if n >= 10 && hits() >= flood {
            break;
        }
    }
    let after = scene.at_bob.memory();
    assert!(after < before + (32 << 10), "{before} KiB, and {after} after {} proposals", hits());
}

#[test]
fn a_peer_that_stalls_in_any_round_holds_nobody_but_itself_up() {
    let scene = Scene::new();
    for n in 0..ROUNDS {
        let _attack = scene.stalls(n);
        scene.signs(2);
        let asks = ["sign", &fresh_digest(), "--with", "bob", "--peer", &scene.address];
        scene.carols.run(asks).succeeds();
    }
    assert!(scene.bob.outcomes().iter().all(|outcome| !["banned", "worn"].contains(&&**outcome)));
}

#[test]
fn a_peer_that_does_not_answer_keeps_the_others_from_no_key() {
    let scene = Scene::new();
    let (tell, told) = std::sync::mpsc::channel();
    let carol = Arc::clone(&scene.carol);
    std::thread::spawn(move || {
        block_on(async {
            let (port, here) = port().await;
            tell.send(here).unwrap();
            let (io, _) = port.accept().await;
            let mut link = carol.tls.accept(io, Expect::Anyone).await.unwrap();
            hear(&mut link, soon()).await.unwrap();
            say(&mut link, &Message::Welcome { name: Label::new("carol"), about: None })
                .await
                .unwrap();
            until_closed(link).await;
        });
    });
    let silent = told.recv().unwrap();
    let asks = ["sign", &fresh_digest(), "--with", "carol", "--peer", &silent];
    let mut asking = scene.bob.start(asks);
    asking.event_where("waiting", |event| event["what"] == "approval");
    scene.signs(2);
    assert!(!asking.is_over());
    asking.signal(rustix::process::Signal::INT);
    asking.ends().fails(130, "interrupted");
}

#[test]
fn half_open_connections_from_many_places_hold_nobody_up() {
    let scene = Scene::new();
    let _attack = scene.half_open();
    scene.signs(3);
    scene.is_unmoved();
}

#[test]
fn a_peer_that_chatters_or_asks_for_everything_holds_nobody_up() {
    let scene = Scene::new();
    let _attacks =
        [scene.chatters(scene.asked_by_carol()), scene.asks_for_all(scene.asked_by_carol())];
    scene.signs(3);
}

#[test]
fn a_peer_that_never_finishes_a_resume_holds_nobody_up() {
    let scene = Scene::new();
    let _attack = scene.never_starts(scene.finished_already());
    scene.signs(3);
}

#[test]
fn pairing_strangers_hold_nobody_up_and_use_up_their_own_attempts() {
    let scene = Scene::new();
    let _attack = scene.pairing_strangers();
    scene.signs(3);
    scene.is_unmoved();
}

#[test]
fn asking_strangers_hold_nobody_up_and_leave_no_trace_in_the_log() {
    let scene = Scene::new();
    let _attack = scene.asking_strangers(scene.asked_by_carol());
    scene.signs(3);
    scene.is_unmoved();
}

#[test]
fn with_all_of_them_at_once_honest_devices_sign() {
    let scene = Scene::new();
    scene.signs(10);
    let other = Device::new("mallory");
    // Those of Carol's attacks that need a place of hers that is free begin first.
    let _attacks = [
        scene.stalls(1),
        scene.silent_strangers(),
        scene.pairing_strangers(),
        scene.asking_strangers(scene.asked_by_carol()),
        scene.never_starts(scene.asked_by_carol()),
        scene.never_starts(scene.finished_already()),
        scene.silent_peer(),
        scene.chatters(scene.asked_by_carol()),
        scene.asks_for_all(scene.asked_by_carol()),
        scene.impostors(&[&other]),
    ];
    scene.signs(10);
    scene.is_unmoved();
}
