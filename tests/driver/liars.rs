//! A member of a group that stalls, floods and lies: it has its device key and its share, and speaks the wire
//! format.

use std::sync::Arc;
use std::time::Duration;

use cosign::device::Label;
use cosign::driver::ceremony::epochs::{HeldKey, OpenKey};
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::on_curve::OnCurve;
use cosign::driver::{Node, ROUND, clock};
use cosign::net::tls::{Expect, TlsLink};
use cosign::net::{Frame, Kind, Link as _};
use cosign::party::PartyId;
use cosign::payload::Source;
use cosign::protocol::key::KeyShare;
use cosign::protocol::machine::Output;
use cosign::protocol::sign::{SignSetup, sign};
use cosign::request::{Action, Held, Hex, MAX_HEIGHT, Question, Request, Shares, Signing};
use cosign::vault::{KeyRecord, PartyRecord, keys};
use cosign::wire::{self, Message, Proposal, Terms, VERSION, Want};
use k256::Scalar;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::network::place;
use crate::seed::Seed;
use crate::world::{KEY, NAMES, World};

/// A liar's misbehaviour, which it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vice {
    /// Comes for a ceremony and says nothing.
    Silence,
    /// Asks, hears a yes and does not start.
    NoStart,
    /// Begins to sign, and says nothing where its message with this number is due.
    Stall(usize),
    /// Begins to sign, and sends something else.
    Nonsense,
    /// Asks and is gone.
    Flood,
}

pub(crate) const VICES: [Vice; 7] = [
    Vice::Silence,
    Vice::NoStart,
    Vice::Stall(0),
    Vice::Stall(1),
    Vice::Stall(2),
    Vice::Nonsense,
    Vice::Flood,
];

/// How many tasks of a liar misbehave at once, and how often each of them does.
const AT_ONCE: usize = 4;
const TIMES: usize = 10;

/// Device `number` misbehaves towards all others, until the returned task is dropped.
pub(crate) fn misbehave(world: &World, number: usize, vice: Vice, seed: &mut Seed) -> JoinSet<()> {
    let node = Arc::new(world.another(number));
    let record = world.record(KEY);
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (node, record, mut seed) = (Arc::clone(&node), record.clone(), seed.split());
        let others = world.others(number);
        tasks.spawn(async move {
            for _ in 0..TIMES {
                let victim = seed.one_of(&others);
                let question = question(&node, &record, victim);
                let work = once(&node, &record, &question, victim, vice);
                let _ = timeout(Duration::from_secs(60), work).await;
                sleep(Duration::from_millis(seed.one_of(&[1, 20, 400]))).await;
            }
        });
    }
    tasks
}

/// A request to `victim`, and to as many others as are needed.
fn question(node: &Node, record: &KeyRecord, victim: usize) -> Question {
    let party = |name: &str| {
        let known = |party: &&PartyRecord| node.name_of(&party.fingerprint).as_str() == name;
        record.parties.iter().find(known).unwrap().index
    };
    let own = party(&node.info.name);
    let mut signers = vec![own, party(NAMES[victim])];
    let others = record.parties.iter().map(|party| party.index);
    let rest: Vec<PartyId> = others.filter(|other| !signers.contains(other)).collect();
    signers.extend(rest.into_iter().take(usize::from(record.threshold) - 2));
    signers.sort_unstable();
    let KeyRecord { epoch, generation, .. } = *record;
    let held = Held { epoch: Hex(epoch), generation, height: MAX_HEIGHT / 2 };
    let request = Request {
        id: clock::request_id().unwrap(),
        key: record.name.clone(),
        curve: record.curve,
        parties: record.parties.iter().map(|party| party.fingerprint).collect(),
        threshold: record.threshold,
        signers,
        requester: own,
        purpose: Label::default(),
        action: Action::Sign(Signing {
            shares: Shares { public_key: record.public_key, epochs: vec![held] },
            path: Vec::new(),
            digest: [7; 32],
            source: Source::Digest,
            payload: None,
            recipient: None,
        }),
    };
    node.question(request, record.name.clone(), Some(record.public_key))
}

/// Device `number` announces a message to `victim` and sends a byte of it every few seconds: the answer.
pub(crate) async fn trickle_a_message(world: &World, number: usize, victim: usize) -> Message {
    let node = world.another(number);
    let request = question(&node, &world.record(KEY), victim).request;
    let terms = Terms { nonce: Hex(clock::nonce().unwrap()), seconds: 1800 };
    let source = wire::Source::Message { format: "ethereum".into(), size: 700 };
    let proposal = Proposal { source, ..Proposal::new(&request, terms) };
    let mut link = enter(&node, victim).await.unwrap();
    say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
    loop {
        let frame = link.recv().await.unwrap();
        if frame.kind == Kind::Control {
            return Message::from_bytes(&frame.payload).unwrap();
        }
        // The other side said that it is there.
        link.send(Frame::new(Kind::Payload, b"m".to_vec())).await.unwrap();
    }
}

async fn once(
    node: &Arc<Node>,
    record: &KeyRecord,
    question: &Question,
    victim: usize,
    vice: Vice,
) -> Option<()> {
    match vice {
        Vice::Silence => until_closed(enter(node, victim).await?).await,
        Vice::NoStart | Vice::Flood => {
            let mut link = enter(node, victim).await?;
            let terms = Terms { nonce: Hex(clock::nonce().unwrap()), seconds: 1800 };
            let proposal = Proposal::new(&question.request, terms);
            say(&mut link, &Message::Propose(Box::new(proposal))).await.ok()?;
            if vice == Vice::NoStart {
                until_closed(link).await;
            }
        }
        Vice::Stall(n) => begin(node, record, question, n, false).await?,
        Vice::Nonsense => begin(node, record, question, 1, true).await?,
    }
    Some(())
}

/// A link on which this device was let in.
async fn enter(node: &Node, victim: usize) -> Option<TlsLink> {
    let io = node.dialer.dial(place(victim), Duration::from_secs(10)).await.ok()?;
    let mut link = node.tls.connect(io, Expect::Anyone).await.ok()?;
    let hello = Message::Hello {
        version: VERSION,
        name: Label::new("liar"),
        want: Want::Ceremony,
        about: None,
    };
    say(&mut link, &hello).await.ok()?;
    let soon = clock::now() + Duration::from_secs(10);
    matches!(hear(&mut link, soon).await, Ok(Message::Welcome { .. })).then_some(link)
}

async fn until_closed(mut link: TlsLink) {
    while link.recv().await.is_ok() {}
}

/// Signs as an honest device does, but for all messages from number `n` on: none where `lies` is false, else
/// others.
async fn begin(
    node: &Arc<Node>,
    record: &KeyRecord,
    question: &Question,
    n: usize,
    lies: bool,
) -> Option<()> {
    let request = &question.request;
    let targets = request.signers.iter().filter(|party| **party != request.requester);
    let invitees = targets.map(|party| {
        let fingerprint = request.fingerprint(*party).unwrap();
        let name = node.name_of(&fingerprint);
        let number = NAMES.iter().position(|known| *known == name.as_str()).unwrap();
        (*party, World::target_of(number, fingerprint))
    });
    let invitees = invitees.collect();
    let lock = keys::lock_to_sign(&node.home, &record.name).ok()?;
    let key = HeldKey::open(node, &record.name).ok()?.choose(&Hex(record.epoch), lock).ok()?;
    let mut started = propose_and_start(node, question, invitees).await.ok()?;
    let setup = SignSetup {
        signers: request.signers.clone(),
        sign_id: started.id,
        digest: [7; 32],
        tweak: Scalar::ZERO,
        recipient: None,
    };
    let mut machine = sign(share_of(&key), setup, &clock::random().ok()?, ROUND).ok()?;
    machine.start(clock::now());
    let mut due = 0;
    loop {
        while let Some(output) = machine.poll() {
            let Output::Send { to, mut bytes } = output else { continue };
            let is_honest = due < n * (request.signers.len() - 1);
            due += 1;
            if !is_honest {
                bytes.expose_mut().iter_mut().skip(40).for_each(|byte| *byte ^= 0x55);
            }
            if is_honest || lies {
                started.links.send(to, bytes).await.ok()?;
            }
        }
        match started.links.recv().await {
            (party, Incoming::Protocol(bytes)) => machine.handle(clock::now(), party, &bytes),
            (_, Incoming::Lost(_) | Incoming::Control(_)) => return Some(()),
        }
    }
}

/// The share of a key on secp256k1.
fn share_of(key: &OpenKey) -> Arc<KeyShare> {
    match &key.share {
        OnCurve::Secp256k1(share) => Arc::clone(share),
        OnCurve::P256(_) => panic!("a key on P-256"),
    }
}
