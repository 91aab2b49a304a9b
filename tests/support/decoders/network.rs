//! Messages of other devices, relays and neighbours.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cosign::curve::CurveName;
use cosign::device::{Fingerprint, Label};
use cosign::net::frame::{Decoder, Encoder};
use cosign::net::mdns;
use cosign::net::relay::cluster::Weather;
use cosign::net::relay::hub::{Hub, Limits};
use cosign::net::relay::invite::Invite;
use cosign::net::relay::{Role, Room, Said, addressee, cluster, join, parcel, read_join};
use cosign::net::tls::Device;
use cosign::net::{Frame, Kind};
use cosign::protocol::pair::group::{Commitment, Committed, Compare, Member, Roster};
use cosign::request::{Agreed, Ceremony, Held, Hex};
use cosign::secret::Secret;
use cosign::wire::{
    self, GroupCommitment, GroupMember, GroupStep, Message, Proposal, Reason, Reshare, Source, Want,
};
use mdns_sd::{ServiceInfo, TxtProperties};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::changes::changed;

/// The bytes of a link, raw and changed, in pieces: what is accepted is what was sent.
pub(crate) fn frame(bytes: &[u8]) {
    let (mut encoder, mut honest) = (Encoder::new([3; 16]), Vec::new());
    for (kind, payload) in
        [(Kind::Control, &b"one"[..]), (Kind::Protocol, b""), (Kind::Tunnel, b"2")]
    {
        encoder.encode(&Frame::new(kind, payload.to_vec()), &mut honest).unwrap();
    }
    for stream in [bytes, &changed(&honest, bytes)] {
        let mut decoder = Decoder::new([3; 16]);
        let mut again = (Encoder::new([3; 16]), Vec::new());
        'stream: for piece in stream.chunks(7) {
            decoder.feed(piece);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => again.0.encode(&frame, &mut again.1).unwrap(),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
        assert!(stream.starts_with(&again.1));
    }
}

/// Another device's name or purpose: cleaning is idempotent.
pub(crate) fn label(bytes: &[u8]) {
    let label = Label::new(&String::from_utf8_lossy(bytes));
    assert_eq!(Label::new(label.as_str()), label);
}

/// A control message, raw and changed, the first byte says of which shape: what is read means the same
/// when it is written and read.
pub(crate) fn control(bytes: &[u8]) {
    let Some((first, changes)) = bytes.split_first() else { return };
    let honest = control_messages();
    let honest = &honest[usize::from(*first) % honest.len()];
    for message in [bytes, changes, &changed(&honest.to_bytes(), changes)] {
        if let Ok(message) = Message::from_bytes(message) {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message.clone()));
            if let Message::Propose(proposal) = message {
                requested(&proposal);
            }
        }
    }
}

/// The request of a proposal to party 2 is valid, and the same when it is proposed again.
fn requested(proposal: &Proposal) {
    let [requester, me] = [2, 3].map(|byte| Fingerprint::new([byte; 32]));
    let Ok((request, terms)) = proposal.request(&requester, &me) else { return };
    assert!(request.is_sound());
    let again = Proposal::new(&request, terms).request(&requester, &me);
    assert_eq!(again, Ok((request, terms)));
}

fn control_messages() -> Vec<Message> {
    let held = |epoch| Held { epoch: Hex([epoch; 32]), generation: 2, height: 3 };
    let name = Label::new("alice");
    let resume = Want::Resume { session: Hex([8; 16]), received: 3 };
    let proposal = Proposal {
        kind: Ceremony::Sign,
        request_id: "request".into(),
        key: "key".into(),
        curve: CurveName::P256,
        parties: vec![Hex([2; 32]), Hex([3; 32])],
        signers: vec![1, 2],
        threshold: 2,
        public_key: Hex([2; 33]),
        epochs: vec![held(4), held(5)],
        digest: Hex([5; 32]),
        source: Source::File {
            name: Label::new("file"),
            size: 7,
            hash: "sha256".into(),
            attached: true,
        },
        purpose: Label::new("purpose"),
        recipient: 0,
        path: vec![0, 7],
        nonce: Hex([6; 32]),
        seconds: 60,
        reshare: None,
        chain_code: None,
        leaves: false,
    };
    let import = Proposal {
        kind: Ceremony::Import,
        epochs: Vec::new(),
        chain_code: Some(Hex([7; 32])),
        ..proposal.clone()
    };
    // Party 1 leaves, party 2 stays and a third comes.
    let reshare = Proposal {
        kind: Ceremony::Reshare,
        parties: vec![Hex([3; 32]), Hex([4; 32]), Hex([2; 32])],
        signers: vec![1, 2, 3],
        epochs: vec![held(4)],
        reshare: Some(Reshare {
            count: 2,
            old: vec![Hex([2; 32]), Hex([3; 32])],
            dealers: vec![1, 2],
            origin: "00".into(),
        }),
        ..proposal.clone()
    };
    vec![
        Message::Propose(Box::new(proposal)),
        Message::Propose(Box::new(import)),
        Message::Hello {
            version: wire::VERSION,
            name: name.clone(),
            want: Want::Pair,
            about: None,
        },
        Message::Hello { version: wire::VERSION, name: name.clone(), want: resume, about: None },
        Message::Welcome { name, about: None },
        Message::Resumed { received: u64::MAX },
        Message::Refuse { reason: Reason::Busy { seconds: 2 } },
        Message::Refuse { reason: Reason::Deleted { time: 1_790_000_000 } },
        Message::Queued { before: 3 },
        Message::Pair { step: Hex([9; 32]) },
        Message::Deleted { public_key: Hex([2; 33]), time: -1 },
        Message::Accept { nonce: Hex([1; 32]), held: vec![held(4)] },
        Message::Apart { held: vec![held(8)] },
        Message::Start(Agreed {
            nonces: vec![Hex([1; 32])],
            held: vec![vec![Hex([4; 32])], vec![]],
            epoch: Hex([4; 32]),
            height: 3,
        }),
        Message::Finished,
        Message::Group(GroupStep::Ended { member: 1, reason: Reason::Denied }),
        Message::Propose(Box::new(reshare)),
    ]
}

/// The steps of a group for its second device, one of them changed, the first byte says which: digits
/// are shown, and a yes counts, only if it means what was sent.
pub(crate) fn group(bytes: &[u8]) {
    static HONEST: OnceLock<[Message; 4]> = OnceLock::new();
    let honest = HONEST.get_or_init(group_steps);
    let Some((first, changes)) = bytes.split_first() else { return };
    let step = usize::from(*first) % honest.len();
    for other in [changes.to_vec(), changed(&honest[step].to_bytes(), changes)] {
        let Ok(other) = Message::from_bytes(&other) else { continue };
        let mut heard = honest.clone();
        heard[step] = other;
        let is_whole = |until: usize| heard[..until] == honest[..until];
        let Some(mut compare) = compared(&heard) else { continue };
        assert!(is_whole(3));
        if let Message::Group(GroupStep::Yes { member, opening }) = &heard[3]
            && let Some(place) = usize::from(*member).checked_sub(1)
        {
            assert_eq!(compare.heard(place, &opening.0).is_ok(), is_whole(4));
        }
    }
}

fn group_roster(members: &[GroupMember], kept: bool) -> Option<Roster> {
    let member = |one: &GroupMember| Member {
        fingerprint: Fingerprint::new(one.fingerprint.0),
        name: one.name.as_str().into(),
    };
    Roster::new(members.iter().map(member).collect(), kept).ok()
}

/// The device whose fingerprint and secrets are made of this byte.
fn group_member(roster: Roster, byte: u8) -> Option<(Committed, Commitment)> {
    let [nonce, yes] = [byte, !byte].map(|byte| Secret::new([byte; 32]));
    Committed::start(roster, &Fingerprint::new([byte; 32]), nonce, yes).ok()
}

fn group_steps() -> [Message; 4] {
    let member = |byte| GroupMember { fingerprint: Hex([byte; 32]), name: Label::new("a") };
    let members: Vec<GroupMember> = [1, 2, 3].map(member).into();
    let roster = group_roster(&members, false).unwrap();
    let all = [1, 2, 3].map(|byte| group_member(roster.clone(), byte).unwrap().1);
    let commitment = |one: Commitment| GroupCommitment { nonce: Hex(one.nonce), yes: Hex(one.yes) };
    [
        GroupStep::List { members, kept: false },
        GroupStep::Commitments { all: all.map(commitment).into() },
        GroupStep::Openings { nonces: [1, 2, 3].map(|byte| Hex([byte; 32])).into() },
        GroupStep::Yes { member: 3, opening: Hex([!3; 32]) },
    ]
    .map(Message::Group)
}

/// The digits of the second device, if what it heard leads to any.
fn compared(heard: &[Message; 4]) -> Option<Compare> {
    let [
        Message::Group(GroupStep::List { members, kept }),
        Message::Group(GroupStep::Commitments { all }),
        Message::Group(GroupStep::Openings { nonces }),
        _,
    ] = heard
    else {
        return None;
    };
    let (committed, _) = group_member(group_roster(members, *kept)?, 2)?;
    let all = all.iter().map(|one| Commitment { nonce: one.nonce.0, yes: one.yes.0 });
    let (opened, _) = committed.open(all.collect()).ok()?;
    let nonces: Vec<[u8; 32]> = nonces.iter().map(|nonce| nonce.0).collect();
    opened.compare(&nonces).ok()
}

/// Messages of relays and their clients, and invitations: each that decodes encodes to the same.
pub(crate) fn relay(bytes: &[u8]) {
    let honest = [
        join(Role::Caller, &Room([1; 16])),
        parcel(&[2; 8], b"payload"),
        Said::Here([3; 8]).to_bytes(),
    ];
    for message in honest.iter().map(|honest| changed(honest, bytes)).chain([bytes.to_vec()]) {
        if let Some(said) = Said::from_bytes(&message) {
            assert_eq!(said.to_bytes(), message);
        }
        if let Some((role, room)) = read_join(&message) {
            assert_eq!(join(role, &room), message);
        }
        if let Some(member) = addressee(&message) {
            assert_eq!(parcel(member, &message[9..]), message);
        }
    }
    let honest = b"cosign://pair?relay=ws://a:1&room=AEAQCAIBAEAQCAIBAEAQCAIBAE&\
        fp=AIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBA&exp=1800000000";
    String::from_utf8_lossy(honest).parse::<Invite>().unwrap();
    for text in [bytes.to_vec(), changed(honest, bytes)] {
        if let Ok(invite) = String::from_utf8_lossy(&text).parse::<Invite>() {
            assert_eq!(invite.to_string().parse(), Ok(invite));
        }
    }
}

/// A certificate, raw and changed: what is read as a device's is one, under one fingerprint.
pub(crate) fn certificate(bytes: &[u8]) {
    static HONEST: OnceLock<Device> = OnceLock::new();
    let honest = HONEST.get_or_init(|| Device::generate().unwrap());
    for certificate in [bytes.to_vec(), changed(&honest.certificate, bytes)] {
        let key = Secret::new(honest.key.expose().clone());
        if let Ok(device) = Device::from_parts(certificate, key) {
            assert_eq!(device.fingerprint, honest.fingerprint);
        }
    }
}

/// The text record of an announcement on the local network, raw and changed.
pub(crate) fn announcement(bytes: &[u8]) {
    let honest = b"\x03v=1\x13id=0123456789abcdef\x0aname=alice\x0cstatus=ready";
    assert!(announced(honest).is_some());
    for text in [bytes, &changed(honest, bytes)] {
        let Some(seen) = announced(text) else { continue };
        assert!(seen.port == 4711 && seen.addresses.len() == 1 && seen.id.len() == 16);
        assert_eq!(Label::new(seen.name.as_str()), seen.name);
    }
}

fn announced(text: &[u8]) -> Option<mdns::Seen> {
    let (kind, none) = ("_cosign._tcp.local.", &[] as &[(&str, &str)]);
    let service = ServiceInfo::new(kind, "x", "x.local.", "192.0.2.1", 4711, none).unwrap();
    let mut service = service.as_resolved_service();
    service.txt_properties = TxtProperties::from(text);
    mdns::read(&service)
}

/// Messages from the other processes of a relay's cluster, raw and changed.
pub(crate) fn cluster(bytes: &[u8]) {
    let carried = [[1; 1].as_slice(), &[2; 16], &[3; 8], &[4; 8], b"message"].concat();
    let news = [[1, 1].as_slice(), &[2; 16], &[3; 8]].concat();
    let said =
        [(1, &changed(&carried, bytes)[..]), (2, &changed(&news, bytes)), (1, bytes), (2, bytes)];
    let message = |(subscription, payload): (u8, &[u8])| {
        let head = format!("MSG cosign.relay.1.rooms {subscription} {}\r\n", payload.len());
        [head.as_bytes(), payload, b"\r\n"].concat()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(hear(&said.map(message).concat()));
    runtime.shutdown_background();
}

/// A relay joins a cluster whose server sends `frames`.
async fn hear(frames: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = format!("nats://{}", listener.local_addr().unwrap());
    let hub = Arc::new(Hub::new(Limits::default(), [3; 4]));
    let gone = Arc::new(Notify::new());
    let tell = Arc::clone(&gone);
    let watch = move |weather| {
        if weather == Weather::Disconnected {
            tell.notify_one();
        }
    };
    let joined = async { cluster::join(&hub, &servers, watch).await.unwrap() };
    let ((), mut stream) = tokio::join!(joined, greet(&listener));
    // The relay has read all of it when it misses its server.
    let _ = stream.write_all(frames).await;
    let _ = stream.shutdown().await;
    assert!(tokio::time::timeout(Duration::from_secs(9), gone.notified()).await.is_ok(), "hangs");
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    let (rooms, members, _) = hub.sizes();
    assert!(rooms <= 1 << 10 && members <= 1 << 10);
}

/// The server's side of joining, which was not the client's last word.
async fn greet(listener: &TcpListener) -> TcpStream {
    let (mut stream, _): (_, SocketAddr) = listener.accept().await.unwrap();
    let info = "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"go\":\"go\",\"host\":\"127.0.0.1\",\
        \"port\":4222,\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n";
    stream.write_all(info.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    // After CONNECT comes a ping, and one more when the subscriptions are flushed.
    for pings in 1..=2 {
        while heard.windows(6).filter(|word| word == b"PING\r\n").count() < pings {
            assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
        }
        stream.write_all(b"PONG\r\n").await.unwrap();
    }
    stream
}
