//! Devices that are driven from here and need not be honest: the library with its own vault.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use cosign::crypto::curve::Curve;
use cosign::device::Label;
use cosign::driver::approver::{Answer, Approver, Comparison, Verdict};
use cosign::driver::ceremony::accept::{Ask, accept};
use cosign::driver::ceremony::drive::{Record, drive};
use cosign::driver::ceremony::epochs::{HeldKey, OpenKey};
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::ceremony::started::Started;
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::connect::resume;
use cosign::driver::connect::target::{Route, Target, Way};
use cosign::driver::error::Error;
use cosign::driver::on_curve::OnCurve;
use cosign::driver::{Node, ROUND, clock, records};
use cosign::net::tls::{Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Link, tcp};
use cosign::party::PartyId;
use cosign::payload::Source;
use cosign::protocol::key::KeyShare;
use cosign::protocol::machine::Persist;
use cosign::protocol::sign::{SignSetup, Signed, sign};
use cosign::request::{Action, Agreed, Ceremony, Held, Hex, Question, Request, Shares, Signing};
use cosign::vault::{Home, KeyRecord, Ledger, Unlock, Vault};
use cosign::wire::{Message, Proposal, Terms, VERSION, Want};
use k256::Scalar;

use crate::device::{Device, PATIENCE};

/// Runs `work` on a thread's own runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it never ended") })
}

/// When an answer of the other side is overdue.
pub(crate) fn soon() -> Instant {
    clock::now() + PATIENCE
}

/// Says yes to everything.
struct Yes;

impl Approver for Yes {
    fn compare(&self, _: Comparison) -> Answer<'_> {
        Box::pin(async { Verdict::Yes })
    }

    fn approve(&self, _: Question) -> Answer<'_> {
        Box::pin(async { Verdict::Yes })
    }
}

/// The device, opened by this process.
pub(crate) fn opened(device: &Device) -> Arc<Node> {
    let home = Home::at(device.home());
    let vault = Vault::open(&home, &Unlock::Identity(device.path("key.txt"))).unwrap();
    let node = Node::new(vault, TlsVersion::Any, Arc::new(Yes), Arc::new(|_| {}));
    Arc::new(node.unwrap())
}

/// Calls the device that listens at `address`, and says nothing yet.
pub(crate) async fn call(tls: &Tls, address: &str) -> TlsLink {
    let io = tcp::dial(address, PATIENCE).await.unwrap();
    tls.connect(io, Expect::Anyone).await.unwrap()
}

/// Calls, greets and is let in.
pub(crate) async fn enter(tls: &Tls, address: &str) -> TlsLink {
    let mut link = call(tls, address).await;
    say(&mut link, &hello(VERSION, Want::Ceremony)).await.unwrap();
    assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Welcome { .. })));
    link
}

pub(crate) fn hello(version: u8, want: Want) -> Message {
    Message::Hello { version, name: Label::new("alice"), want, about: None }
}

/// Waits until the other side has nothing more to say.
pub(crate) async fn until_closed(mut link: TlsLink) {
    while link.recv().await.is_ok() {}
}

/// The key of `record` and the one epoch that `node` offers of it.
pub(crate) fn shares(node: &Node, record: &KeyRecord) -> Shares {
    Shares { public_key: record.public_key, epochs: vec![held(node, record)] }
}

/// An honest requester's signing action with `record`, delivered to itself.
pub(crate) fn signing(node: &Node, record: &KeyRecord) -> Signing {
    Signing {
        shares: shares(node, record),
        path: Vec::new(),
        digest: [7; 32],
        source: Source::Digest,
        payload: None,
        recipient: Some(record.me),
    }
}

/// The question of `node` to all parties of `record`.
pub(crate) fn asked(node: &Node, record: &KeyRecord, action: Action) -> Question {
    let parties = || record.parties.iter();
    let request = Request {
        id: clock::request_id().unwrap(),
        key: record.name.clone(),
        curve: record.curve,
        parties: parties().map(|party| party.fingerprint).collect(),
        threshold: record.threshold,
        signers: parties().map(|party| party.index).collect(),
        requester: record.me,
        purpose: Label::new("invoice 7"),
        action,
    };
    node.question(request, record.name.clone(), Some(record.public_key))
}

/// An honest requester's proposal of a signature with `record`.
pub(crate) fn proposal(node: &Node, record: &KeyRecord) -> Proposal {
    let asked = asked(node, record, Action::Sign(signing(node, record)));
    Proposal::new(&asked.request, Terms { nonce: Hex(clock::nonce().unwrap()), seconds: 100 })
}

/// A device's claim about its share of `record`.
pub(crate) fn held(node: &Node, KeyRecord { epoch, generation, .. }: &KeyRecord) -> Held {
    let height = Ledger::open(&node.home).unwrap().height(epoch);
    Held { epoch: Hex(*epoch), generation: *generation, height }
}

/// The key of `record`, taken for one ceremony in the epoch of `record`.
pub(crate) async fn take_key(node: &Node, record: &KeyRecord) -> Result<OpenKey, Error> {
    let lock = records::hold_to_sign(&node.home, &record.name).await?;
    HeldKey::open(node, &record.name)?.choose(&Hex(record.epoch), lock)
}

/// The requester's message once all have accepted with these nonces, in index order.
pub(crate) fn start(nonces: Vec<Hex<32>>, epochs: &[Hex<32>]) -> Message {
    let held = nonces.iter().map(|_| epochs.to_vec()).collect();
    let epoch = epochs.first().copied().unwrap_or(Hex([0; 32]));
    Message::Start(Agreed { nonces, held, epoch, height: 0 })
}

/// The only key of `node`.
pub(crate) fn only_key(node: &Node) -> KeyRecord {
    records::find(&node.home, "vault").unwrap().unwrap()
}

/// Notes that a session was spent, as an honest device does before its first message.
pub(crate) fn note_session(node: &Node, record: &KeyRecord) {
    let ledger = Ledger::open(&node.home).unwrap();
    ledger.spend(&record.epoch, &rand::random(), &[]).unwrap();
}

/// The other party of `record`, at `address`.
pub(crate) fn other(record: &KeyRecord, address: &str) -> (PartyId, Target) {
    let party = record.parties.iter().find(|party| party.index != record.me).unwrap();
    let target = Target {
        name: Label::new(&party.name),
        fingerprint: Some(party.fingerprint),
        route: Route::Address(address.to_owned()),
    };
    (party.index, target)
}

/// Asks the device at `address` to sign, with another question in mind than it asks, and signs
/// something else than was agreed.
pub(crate) async fn ask(
    node: &Arc<Node>,
    address: &str,
    see: impl FnOnce(&mut Question),
    alter: impl FnOnce(&mut SignSetup),
) -> Result<Signed, Error> {
    let record = only_key(node);
    let key = take_key(node, &record).await?;
    let mut question = asked(node, &record, Action::Sign(signing(node, &record)));
    let mut started = propose_and_start(node, &question, vec![other(&record, address)]).await?;
    let request = question.request.clone();
    see(&mut question);
    started.id = question.ceremony_id(&started.agreed);
    take_part(node, key, &request, started, alter).await
}

/// Waits for a request for a signature, accepts it and waits for the start; `see` alters the question, and so the ceremony id.
pub(crate) async fn accept_signing(
    node: &Arc<Node>,
    port: &tcp::Listener,
    see: impl FnOnce(&mut Question),
) -> (OpenKey, Request, Started) {
    let (io, _) = port.accept().await;
    let mut link = node.tls.accept(io, Expect::Anyone).await.unwrap();
    assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Hello { .. })));
    say(&mut link, &Message::Welcome { name: Label::new("bob"), about: None }).await.unwrap();
    let mut link = resume::answer(node, Label::new("alice"), link, &Way::Command);
    let Ok(Message::Propose(proposal)) = hear(&mut link, soon()).await else { panic!() };
    let record = only_key(node);
    let key = take_key(node, &record).await.unwrap();
    let (request, terms) = proposal.request(&link.peer(), &node.info.fingerprint).unwrap();
    let offer = request.epochs().to_vec();
    let mut question = node.question(request.clone(), record.name.clone(), Some(record.public_key));
    let mut started = accept(node, link, &question, &terms, offer, Ask::Nothing).await.unwrap();
    see(&mut question);
    started.id = question.ceremony_id(&started.agreed);
    (key, request, started)
}

/// The setup of an honest session for a party of `request`.
pub(crate) fn setup(request: &Request, started: &Started) -> SignSetup {
    let signing = request.signing().unwrap();
    SignSetup {
        signers: request.signers.clone(),
        sign_id: started.id,
        digest: signing.digest,
        tweak: Scalar::ZERO,
        recipient: signing.recipient,
    }
}

/// The share of a key on secp256k1.
pub(crate) fn share(key: &OpenKey) -> Arc<KeyShare> {
    match &key.share {
        OnCurve::Secp256k1(share) => Arc::clone(share),
        OnCurve::P256(_) => panic!("a key on P-256"),
    }
}

/// Keeps nothing, and looks nothing up.
struct Nothing;

impl<C: Curve> Record<C> for Nothing {
    fn persist(&mut self, _: Persist<C>) -> Result<(), Error> {
        Ok(())
    }
}

/// The protocol, with altered terms.
pub(crate) async fn take_part(
    node: &Arc<Node>,
    key: OpenKey,
    request: &Request,
    mut started: Started,
    alter: impl FnOnce(&mut SignSetup),
) -> Result<Signed, Error> {
    let mut setup = setup(request, &started);
    alter(&mut setup);
    let mut machine = sign(share(&key), setup, &clock::random()?, ROUND)
        .map_err(|fault| Error::Fault { fault, culprit: None, key: String::new() })?;
    key.ledger.spend(&key.record.epoch, machine.session_id(), &[]).unwrap();
    let what = (Ceremony::Sign, "vault", &request.id);
    let links = &mut started.links;
    let signed = drive(node, what, &mut machine, links, &mut Nothing).await;
    match &signed {
        Ok(_) => started.links.finish(soon()).await?,
        Err(_) => started.links.abort().await,
    }
    signed
}

/// A port of this process on the loopback interface, and its address.
pub(crate) async fn port() -> (tcp::Listener, String) {
    let port = tcp::Listener::bind("127.0.0.1".parse().ok(), 0).await.unwrap();
    let address = port.address().unwrap().to_string();
    (port, address)
}
