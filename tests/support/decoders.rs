//! Everything that takes bytes from outside, as functions of bytes: none may panic, whatever the
//! bytes are, and what is accepted must be the only encoding of what it means.
//!
//! The tests call them with random bytes, the fuzz targets with chosen ones. Where random bytes
//! would never get past a length or a version, they are taken as changes to bytes that are right.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cosign::crypto::bip32::parse_path;
use cosign::crypto::curve::{decode_point, decode_scalar, encode_point, encode_scalar};
use cosign::crypto::ecdsa::{from_der, to_der};
use cosign::crypto::ot::tree::{ReceiverTrees, SenderTrees};
use cosign::device::{Fingerprint, Label, hex, unhex};
use cosign::party::PartyId;
use cosign::protocol::fault::Fault;
use cosign::protocol::key::{Confirmation, KeyShare};
use cosign::protocol::machine::{Machine, Output, Persist, Protocol};
use cosign::protocol::wire::Kind;

use crate::ceremony::{
    TIMEOUT, keygen, keygen_machines, now, party, run_with, sha, sign_machines, sign_setup,
};

/// `honest` after the changes that `bytes` ask for, three each: where, and what.
fn changed(honest: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut out = honest.to_vec();
    for [low, high, what] in bytes.as_chunks::<3>().0 {
        let place = usize::from(u16::from_le_bytes([*low, *high])) % (out.len() + 1);
        match (*what, out.get_mut(place)) {
            (0, _) => out.truncate(place),
            (1, Some(byte)) => *byte = 0,
            (2, Some(byte)) => *byte = 0xff,
            (mask, Some(byte)) => *byte ^= mask,
            (more, None) => out.push(more),
        }
    }
    out
}

// ---------------------------------------------------------------------------------------------
// Small things
// ---------------------------------------------------------------------------------------------

/// Points, scalars, signatures, paths, texts.
pub(crate) fn values(bytes: &[u8]) {
    if let Ok(point) = decode_point(bytes) {
        assert_eq!(encode_point(&point).map(Vec::from).as_deref(), Some(bytes));
    }
    if let Ok(scalar) = decode_scalar(bytes) {
        assert_eq!(encode_scalar(&scalar), *bytes);
    }
    if let Ok((r, s)) = from_der(bytes) {
        assert_eq!(to_der(&r, &s), bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(path) = parse_path(&text) {
        let steps = path.iter().map(u32::to_string);
        assert_eq!(["m".to_owned()].into_iter().chain(steps).collect::<Vec<_>>().join("/"), text);
    }
    if let Some(bytes) = unhex(&text) {
        assert_eq!(hex(&bytes), text.to_lowercase());
    }
    let label = Label::new(&text);
    assert_eq!(Label::new(label.as_str()), label);
    let _ = text.parse::<Fingerprint>();
}

/// A signature in DER, changed.
pub(crate) fn der(bytes: &[u8]) {
    static HONEST: OnceLock<Vec<u8>> = OnceLock::new();
    let scalar = |name| cosign::crypto::transcript::reduce(&sha(name));
    let bytes = changed(HONEST.get_or_init(|| to_der(&scalar("r"), &scalar("s"))), bytes);
    if let Ok((r, s)) = from_der(&bytes) {
        assert_eq!(to_der(&r, &s), bytes);
    }
}

// ---------------------------------------------------------------------------------------------
// Storage
// ---------------------------------------------------------------------------------------------

/// A stored share, raw and changed. What is read is written back as it was.
pub(crate) fn share(bytes: &[u8]) {
    static HONEST: OnceLock<Vec<u8>> = OnceLock::new();
    let honest = HONEST
        .get_or_init(|| keygen("a stored share", 2, 3)[&party(2)].to_bytes().expose().clone());
    for stored in [bytes, &changed(honest, bytes)] {
        if let Ok(share) = KeyShare::from_bytes(stored) {
            assert_eq!(share.to_bytes().expose(), stored);
        }
        if let Ok(confirmation) = Confirmation::from_bytes(stored) {
            assert_eq!(confirmation.to_bytes(), *stored);
        }
        let _ = SenderTrees::from_bytes(stored);
        let _ = ReceiverTrees::from_bytes(stored);
    }
}

/// A stored confirmation, changed.
pub(crate) fn confirmation(bytes: &[u8]) {
    let mut honest = [7; Confirmation::STORED];
    honest[64..].copy_from_slice(&[2, 3]);
    let stored = changed(&honest, bytes);
    if let Ok(confirmation) = Confirmation::from_bytes(&stored) {
        assert_eq!(confirmation.to_bytes(), *stored);
        assert!(PartyId::all(16).all(|from| !confirmation.verify(from, &[0; 32])));
    }
}

// ---------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------

/// What party 2 says to party 1 in an honest ceremony, by type.
type Said = BTreeMap<u8, Vec<u8>>;

fn said<P: Protocol>(machines: Vec<Machine<P>>) -> Said {
    let mut said = Said::new();
    run_with(machines, |parcel| {
        if parcel.from == party(2) && parcel.to == party(1) {
            said.insert(parcel.bytes[1], parcel.bytes.clone());
        }
        vec![parcel]
    });
    said
}

fn keygen_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(keygen_machines("decoded", 2, 2)))
}

fn keygen_victim() -> Machine<cosign::protocol::keygen::Keygen> {
    keygen_machines("decoded", 2, 2).swap_remove(0)
}

fn sign_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(signers()))
}

fn signers() -> Vec<Machine<cosign::protocol::sign::Signing>> {
    static STORED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let stored = STORED.get_or_init(|| {
        keygen("decoded signatures", 2, 2).values().map(|s| s.to_bytes().expose().clone()).collect()
    });
    let read = |bytes: &Vec<u8>| Arc::new(KeyShare::from_bytes(bytes).unwrap());
    let shares = stored.iter().map(read).map(|share| (share.me(), share)).collect();
    let parties = [party(1), party(2)];
    sign_machines(&shares, "decoded", &sign_setup("decoded", &parties, sha("decoded")))
}

/// One message, changed: the first byte says of which type.
pub(crate) fn message(bytes: &[u8]) {
    let Some((first, changes)) = bytes.split_first() else { return };
    const KINDS: [Kind; 9] = [
        Kind::Kg1,
        Kind::Kg2b,
        Kind::Kg2p,
        Kind::Kg3b,
        Kind::Kg3p,
        Kind::Kg4b,
        Kind::Sg1,
        Kind::Sg2,
        Kind::Sg3,
    ];
    let kind = KINDS[usize::from(*first) % KINDS.len()].tag();
    let lie = |said: &Said| {
        let mut heard = said.clone();
        heard.insert(kind, changed(&said[&kind], changes));
        heard
    };
    if kind < Kind::Sg1.tag() {
        hear(keygen_victim(), lie(keygen_said()).into_values());
    } else {
        hear(signers().swap_remove(0), lie(sign_said()).into_values());
    }
}

/// A party that hears `messages` from party 2.
fn hear<P: Protocol>(mut machine: Machine<P>, messages: impl Iterator<Item = Vec<u8>>) {
    let mut heard = Heard::default();
    machine.start(now());
    for bytes in messages {
        heard.drain(&mut machine);
        machine.handle(now(), party(2), &bytes);
    }
    heard.drain(&mut machine);
}

/// What came out of a machine, as far as it matters here.
#[derive(Default)]
struct Heard {
    retired: bool,
    failed: Option<Fault>,
}

impl Heard {
    fn drain<P: Protocol>(&mut self, machine: &mut Machine<P>) {
        while let Some(output) = machine.poll() {
            assert!(self.failed.is_none(), "not silent after a failure");
            match output {
                Output::Persist(Persist::Retired { .. }) => self.retired = true,
                Output::Failed(fault) => {
                    assert_eq!(fault.burns(), self.retired, "{fault}");
                    self.failed = Some(fault);
                }
                Output::Send { .. } | Output::Done(_) => assert!(!self.retired),
                Output::Persist(_) | Output::Event(_) => {}
            }
        }
    }
}

/// What is done to a machine, one thing after another: called early, late, twice, with messages of
/// any type from anybody, changed or not, while time passes or stands still.
pub(crate) fn operations(bytes: &[u8]) {
    let Some((ceremony, operations)) = bytes.split_first() else { return };
    if ceremony % 8 == 0 {
        operate(keygen_victim(), keygen_said(), operations);
    } else {
        operate(signers().swap_remove(0), sign_said(), operations);
    }
}

fn operate<P: Protocol>(mut machine: Machine<P>, said: &Said, operations: &[u8]) {
    let mut heard = Heard::default();
    let mut time = now();
    let messages: Vec<&Vec<u8>> = said.values().collect();
    for [operation, a, b, c] in operations.as_chunks::<4>().0 {
        let honest = messages[usize::from(*a) % messages.len()];
        match operation % 8 {
            0 => machine.start(time),
            1..=3 => machine.handle(time, party(2), honest),
            4 => machine.handle(time, party(2), &changed(honest, &[*b, *c, *operation])),
            5 => machine.handle(time, party(b % 16 + 1), honest),
            6 => machine.handle(time, party(2), &operations[..usize::from(*c) % operations.len()]),
            _ => {
                time += TIMEOUT / u32::from(b % 4 + 1);
                machine.tick(time);
            }
        }
        heard.drain(&mut machine);
        assert!(machine.awaiting().len() <= 1);
    }
}

// ---------------------------------------------------------------------------------------------
// Frames and control messages
// ---------------------------------------------------------------------------------------------

/// The bytes of a link, raw and changed, in pieces: what is accepted is what was sent.
#[cfg(feature = "cli")]
pub(crate) fn frame(bytes: &[u8]) {
    use cosign::net::frame::{Decoder, Encoder};
    use cosign::net::{Frame, Kind};

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

/// A control message, raw and changed: what is read means the same when it is written and read.
#[cfg(feature = "cli")]
pub(crate) fn control(bytes: &[u8]) {
    use cosign::progress::Source;
    use cosign::talk::{Held, Hex, Kind, Message, Proposal};

    let honest = Message::Propose(Box::new(Proposal {
        kind: Kind::Sign,
        request_id: "request".into(),
        key: "key".into(),
        parties: vec![Hex([2; 32]), Hex([3; 32])],
        signers: vec![1, 2],
        threshold: 2,
        public_key: Hex([2; 33]),
        epochs: vec![Held { epoch: Hex([4; 32]), generation: 2, height: 3 }],
        digest: Hex([5; 32]),
        source: Source::File { name: Label::new("file"), size: 7, hash: "sha256".into() },
        purpose: Label::new("purpose"),
        recipient: 0,
        path: vec![0, 7],
        nonce: Hex([6; 32]),
        seconds: 60,
    }));
    for message in [bytes, &changed(&honest.to_bytes(), bytes)] {
        if let Ok(message) = Message::from_bytes(message) {
            assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message));
        }
    }
}

/// A policy file.
#[cfg(feature = "cli")]
pub(crate) fn policy(bytes: &[u8]) {
    use cosign::cli::policy::Policy;
    use cosign::vault::Home;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    let honest = b"[[rule]]\nceremony = \"sign\"\nkey = \"k\"\npeer = \"bob\"\npurpose = \"release .*\"\n\
        max_count = 3\nnot_after = \"2030-01-01T00:00:00Z\"\nhours = \"09:00-17:00\"\naction = \"allow\"\n";
    for text in [bytes, &changed(honest, bytes)] {
        std::fs::write(&path, text).unwrap();
        let _ = Policy::load(&path, &Home::at(directory.path()));
    }
}

/// What a relay and its clients say, and invitations: what is read is what would be written.
#[cfg(feature = "cli")]
pub(crate) fn relay(bytes: &[u8]) {
    use cosign::net::relay::invite::Invite;
    use cosign::net::relay::{Role, Room, Said, addressee, join, parcel, read_join};

    let honest = [
        join(Role::Guest, &Room([1; 16])),
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
    for text in [bytes.to_vec(), changed(honest, bytes)] {
        if let Ok(invite) = String::from_utf8_lossy(&text).parse::<Invite>() {
            assert_eq!(invite.to_string().parse(), Ok(invite));
        }
    }
}

/// A `pkcs11:` URI, raw and changed: what is understood reads back from what it prints.
#[cfg(feature = "cli")]
pub(crate) fn uri(bytes: &[u8]) {
    use cosign::token::Uri;
    let honest = b"pkcs11:token=My%20token;serial=0a;id=%01%ff;type=private?module-path=/lib/a.so&\
                   pin-source=file:/etc/pin";
    for bytes in [bytes.to_vec(), changed(honest, bytes)] {
        if let Ok(uri) = String::from_utf8_lossy(&bytes).parse::<Uri>() {
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }
}
