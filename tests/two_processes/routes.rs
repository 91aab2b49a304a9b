//! Ways to another device, and what can be seen on the wire.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::device::{Device, holds, introduce, two, two_with_key};
use crate::openssl;
use crate::signing::{exported, fresh_digest};

/// The command whose standard input and output reach `device`.
fn over_stdio(device: &Device) -> String {
    format!(
        "COSIGN_HOME='{}' COSIGN_IDENTITY='{}' exec '{}' listen --stdio --no-input --policy '{}'",
        device.home().display(),
        device.path("key.txt").display(),
        env!("CARGO_BIN_EXE_cosign"),
        device.path("policy.toml").display(),
    )
}

const ALLOW_ALICE: &str = "[[rule]]\npeer = \"alice\"\naction = \"allow\"\n";

#[test]
fn a_command_carries_a_whole_ceremony() {
    let (alice, bob) = two();
    bob.policy(ALLOW_ALICE);
    let via = over_stdio(&bob);
    alice.run(["keygen", "--key", "vault", "--via", &via]).succeeds();
    let digest = fresh_digest();
    let sign = ["sign", &digest, "--key", "vault", "--via", &via];
    openssl::is_satisfied(&alice.run(sign).succeeds(), &exported(&alice, "vault"), &digest);
    assert_eq!(bob.outcomes(), ["stored", "signed"]);
    alice.run(["keys", "refresh", "vault", "--via", &via]).succeeds();
}

#[test]
fn three_devices_of_which_two_only_speak_through_the_requester() {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    introduce(&[&alice, &bob, &carol]);
    for device in [&bob, &carol] {
        device.policy(ALLOW_ALICE);
    }
    let routes = [("bob", &bob), ("carol", &carol)]
        .map(|(name, device)| format!("{name}={}", over_stdio(device)));
    let [to_bob, to_carol] = &routes;
    let all = ["--via", to_bob, "--via", to_carol];
    let keygen = ["keygen", "--key", "all", "--threshold", "3", "--with", "bob,carol"];
    alice.run(keygen.iter().chain(&all)).succeeds();
    let digest = fresh_digest();
    let result = alice.run(["sign", &digest].iter().chain(&all)).succeeds();
    openssl::is_satisfied(&result, &exported(&carol, "all"), &digest);
}

#[test]
fn a_command_that_leads_nowhere_is_exit_4_and_named() {
    let (alice, _bob) = two();
    let within = |timeout: &str, command: &str| {
        alice.run(["keygen", "--via", command, "--timeout", timeout])
    };
    let via = |command: &str| within("20s", command);
    via("exit 1").fails(4, "bob");
    via("cat").fails(4, "bob");
    via("/no/such/program").fails(4, "bob");
    via("echo this is no device").fails(4, "bob");
    within("1s", "sleep 100").fails(4, "bob");
    let said = via("printf 'no\\033]0;owned\\007 route\\n' >&2; exit 1").fails(4, "bob");
    let notes = said.events("note");
    assert!(notes.iter().any(|n| n["message"] == "the command of --via says: no]0;owned route"));
}

/// Passes one connection on to `to`, and keeps what either side said.
struct Tap {
    address: String,
    wires: thread::JoinHandle<[Arc<Mutex<Vec<u8>>>; 2]>,
}

impl Tap {
    fn into(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let wires = thread::spawn(move || {
            let (caller, _) = listener.accept().unwrap();
            let called = TcpStream::connect(to).unwrap();
            let there = pass(caller.try_clone().unwrap(), called.try_clone().unwrap());
            let back = pass(called, caller);
            [there, back].map(|(wire, thread)| {
                thread.join().unwrap();
                wire
            })
        });
        Self { address, wires }
    }

    /// The bytes of the caller, and those of the callee.
    fn said(self) -> [Vec<u8>; 2] {
        self.wires.join().unwrap().map(|wire| std::mem::take(&mut *wire.lock().unwrap()))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) -> (Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>) {
    let wire = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&wire);
    let thread = thread::spawn(move || {
        let mut bytes = [0; 16384];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            copy.lock().unwrap().extend(&bytes[..n]);
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    (wire, thread)
}

/// The records of a TLS connection: content type and body. Anything else fails the test.
#[track_caller]
fn records(mut wire: &[u8]) -> Vec<(u8, &[u8])> {
    let mut records = Vec::new();
    while let [kind, 3, 1 | 3, high, low, rest @ ..] = wire {
        let (body, after) = rest.split_at(usize::from(*high) << 8 | usize::from(*low));
        assert!((20..=23).contains(kind));
        records.push((*kind, body));
        wire = after;
    }
    assert!(wire.is_empty(), "not TLS: {wire:?}");
    records
}

/// The cipher suites that the ClientHello offers, without the renegotiation marker.
fn offered(records: &[(u8, &[u8])]) -> Vec<u16> {
    let (22, [1, _, _, _, 3, 3, hello @ ..]) = records[0] else { panic!("no ClientHello") };
    let suites = &hello[32..];
    let suites = &suites[1 + usize::from(suites[0])..];
    let length = usize::from(suites[0]) << 8 | usize::from(suites[1]);
    let pairs = suites[2..2 + length].chunks(2);
    let suites = pairs.map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]));
    suites.filter(|suite| *suite != 0x00ff).collect()
}

/// The cipher suite that the ServerHello chose.
fn chosen(records: &[(u8, &[u8])]) -> u16 {
    let (22, [2, _, _, _, 3, 3, hello @ ..]) = records[0] else { panic!("no ServerHello") };
    let suite = &hello[32 + 1 + usize::from(hello[32])..];
    u16::from(suite[0]) << 8 | u16::from(suite[1])
}

const TLS13_AES_256_GCM_SHA384: u16 = 0x1302;
const TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: u16 = 0xc02c;

#[test]
fn nothing_but_tls_with_the_two_suites_is_on_the_wire() {
    let (alice, bob, listener) = two_with_key();
    let only12 = bob.serve_with(&[&alice], &["--tls", "1.2"]);
    let cases = [
        (&listener, "1.3", TLS13_AES_256_GCM_SHA384),
        (&listener, "1.2", TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        (&only12, "1.3", TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ];
    for (listener, version, suite) in cases {
        let tap = Tap::into(listener.address());
        let digest = fresh_digest();
        let purpose = "a purpose that nobody overhears";
        let sign = ["sign", &digest, "--purpose", purpose, "--tls", version];
        alice.run(sign.iter().chain(&["--peer", &tap.address])).succeeds();
        let wires = tap.said();
        for wire in &wires {
            let bare = hex::decode(&digest).unwrap();
            for secret in [purpose.as_bytes(), digest.as_bytes(), &bare, b"alice", b"vault"] {
                assert!(!holds(wire, secret));
            }
        }
        let [caller, called] = wires.each_ref().map(|wire| records(wire));
        let mut expected = vec![TLS13_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384];
        if version == "1.2" {
            expected.remove(0);
        }
        assert_eq!(offered(&caller), expected);
        assert_eq!(chosen(&called), suite);
    }
}
