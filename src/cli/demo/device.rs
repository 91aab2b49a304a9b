//! One device of the demo, with a vault of its own. The process at the other end of standard input
//! answers its questions.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::sync::Mutex;

use super::{failed, line};
use crate::cli::runtime::block_on;
use crate::cli::{Output, sign as signing};
use crate::curve::CurveName;
use crate::device::{Label, hex, unhex};
use crate::driver::approver::{Answer, Approver, Comparison, Verdict};
use crate::driver::ceremony::{keygen, pairing, sign};
use crate::driver::connect::target::{Route, Target};
use crate::driver::listen::{self, Listener, Place};
use crate::driver::{Node, clock};
use crate::net::mdns;
use crate::net::tls::{self, TlsVersion};
use crate::payload::Source;
use crate::progress::RequestView;
use crate::report::{self, Code, Failure};
use crate::request::Question;
use crate::vault::{DeviceInfo, Home, Seal, Vault};

/// The name of the demo's key.
const KEY: &str = "demo";
/// The interface that the demo uses.
const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
/// How long bob is looked for by mDNS.
const LOOK: Duration = Duration::from_secs(3);

/// Plays the device `name` in `folder`, which must not exist: the demo never touches a vault that
/// it did not make.
pub(super) fn run(name: &str, folder: &Path) -> Result<Output, Failure> {
    if folder.exists() {
        return Err(Failure::new(Code::Conflict, format!("{} exists already", folder.display())));
    }
    block_on(async {
        let people = Arc::new(People::default());
        let node = Arc::new(node(name, folder, Arc::clone(&people))?);
        match name {
            "bob" => listen(&node, &people).await?,
            _ => act(&node, &people).await?,
        }
        Output::new(json!({}), "")
    })
}

fn node(name: &str, folder: &Path, people: Arc<People>) -> Result<Node, Failure> {
    std::fs::create_dir_all(folder).map_err(|e| failed("cannot make a home", &e))?;
    let key_file = folder.join("key.txt");
    let identity = age::x25519::Identity::generate();
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&key_file)
        .and_then(|mut file| file.write_all(identity.to_string().expose_secret().as_bytes()))
        .map_err(|e| failed("cannot write the age identity", &e))?;
    let home = Home::at(folder.join("home"));
    let device = tls::Device::generate().map_err(|e| report::link("this device", &e))?;
    let info = DeviceInfo {
        name: name.to_owned(),
        fingerprint: device.fingerprint,
        certificate: device.certificate.clone(),
        created: clock::unix_now(),
    };
    let vault = Vault::create(&home, &info, &device.key, &Seal::Identity(key_file), &[])?;
    let mut node = Node::new(vault, TlsVersion::Any, people, Arc::new(|_| {}))?;
    node.interface = Some(LOOPBACK.to_owned());
    Ok(node)
}

/// The process that plays the people, at the other end of standard input and output.
struct People {
    input: Mutex<Lines<BufReader<Stdin>>>,
}

impl Default for People {
    fn default() -> Self {
        Self { input: Mutex::new(BufReader::new(tokio::io::stdin()).lines()) }
    }
}

impl People {
    async fn hear(&self) -> Option<String> {
        self.input.lock().await.next_line().await.ok().flatten()
    }

    async fn ask(&self, kind: &str, fields: Value) -> Verdict {
        tell(kind, fields);
        match self.hear().await.as_deref() {
            Some("yes") => Verdict::Yes,
            _ => Verdict::No,
        }
    }
}

impl Approver for People {
    fn compare(&self, comparison: Comparison) -> Answer<'_> {
        Box::pin(async move { self.ask("code", json!({ "code": comparison.code })).await })
    }

    fn approve(&self, question: Question) -> Answer<'_> {
        let request = RequestView::of(&question);
        Box::pin(async move { self.ask("approve", json!({ "request": request })).await })
    }
}

fn tell(kind: &str, fields: Value) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is ignored: the process that plays the people has ended.
    let _ = writeln!(out, "{}", line(kind, fields));
    let _ = out.flush();
}

fn fail(failure: &Failure) {
    tell("failed", json!({ "message": failure.message }));
}

/// Bob: listens, and reports the result of each visit.
async fn listen(node: &Arc<Node>, people: &People) -> Result<(), Failure> {
    let bind = Some(Ipv4Addr::LOCALHOST.into());
    let place = Place { bind, port: Some(0), stdio: false };
    let listener = Listener::open(node, &place).await?;
    tell("listening", json!({ "port": listener.port, "id": node.info.fingerprint.device_id() }));
    let mut visits = listener.serve(node);
    while let Some(visit) = visits.recv().await {
        match visit.result {
            Ok(listen::Done::Paired(_)) => tell("paired", json!({})),
            Ok(listen::Done::Key(_)) => tell("key", json!({})),
            Ok(listen::Done::Signed(_)) => {
                tell("signed", json!({}));
                // The last step; standard input ends now.
                people.hear().await;
                return Ok(());
            }
            Err(failure) => {
                fail(&failure.into());
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Alice: runs the commands from standard input one after the other.
async fn act(node: &Arc<Node>, people: &People) -> Result<(), Failure> {
    tell("ready", json!({}));
    let mut bob = None;
    while let Some(command) = people.hear().await {
        let words: Vec<&str> = command.split(' ').collect();
        let done = match (words.as_slice(), &bob) {
            (["discover", id, port], _) => {
                let (target, found) = discover(node, id, port).await;
                bob = Some(target);
                Ok(("discovered", found))
            }
            (["pair"], Some(bob)) => pair(node, bob).await,
            (["keygen"], Some(bob)) => make(node, bob).await,
            (["sign", digest], Some(bob)) => ask(node, bob, digest).await,
            _ => Err(report::bug("the demo does not know what to do")),
        };
        match done {
            Ok((kind, fields)) => tell(kind, fields),
            Err(failure) => fail(&failure),
        }
    }
    Ok(())
}

type Done = Result<(&'static str, Value), Failure>;

async fn discover(node: &Node, id: &str, port: &str) -> (Target, Value) {
    let seen = mdns::find(id, LOOK, node.interface.as_deref()).await;
    let address = seen.and_then(|seen| seen.addresses.first().copied());
    let (route, address) = match address {
        Some(address) => ("mdns", address.to_string()),
        None => ("peer", format!("127.0.0.1:{port}")),
    };
    let found = json!({ "route": route, "address": address });
    let target =
        Target { name: Label::new("bob"), fingerprint: None, route: Route::Address(address) };
    (target, found)
}

async fn pair(node: &Arc<Node>, bob: &Target) -> Done {
    pairing::request(node, bob, node.deadline_within(LOOK)).await?;
    Ok(("paired", json!({})))
}

/// Bob's record after pairing.
fn pinned(node: &Node, bob: &Target) -> Result<Target, Failure> {
    let peers = node.peers()?;
    let record = peers.named("bob").ok_or_else(|| report::bug("bob was not stored"))?;
    Ok(Target { fingerprint: Some(record.fingerprint), ..bob.clone() })
}

async fn make(node: &Arc<Node>, bob: &Target) -> Done {
    let made = keygen::request(node, (KEY, CurveName::default()), 2, &[pinned(node, bob)?]).await?;
    Ok(("key", json!({ "public_key": hex(&made.record.public_key) })))
}

async fn ask(node: &Arc<Node>, bob: &Target, digest: &str) -> Done {
    let digest = unhex(digest)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| report::bug("the demo's digest is none"))?;
    let wanted = sign::ToSign {
        key: KEY.to_owned(),
        digest,
        source: Source::Digest,
        payload: None,
        from: None,
        purpose: Label::new("demo"),
        with: vec![pinned(node, bob)?],
        recipient: Some(node.info.fingerprint),
        request_id: clock::request_id()?,
        path: Vec::new(),
    };
    let outcome = sign::request(node, &wanted).await?;
    Ok(("signed", json!({ "result": signing::view(&outcome) })))
}
