//! Two homes without a common network.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::device::{Device, Listener, Running, arg, holds, introduce, two, two_with_key};
use crate::openssl;
use crate::relays::{ALONE, Relay, Tap, nats, nats_on, through, unmasked, waits};

pub(crate) fn fresh_digest() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

pub(crate) fn exported(device: &Device, key: &str) -> PathBuf {
    let pem = device.path(&format!("{key}.pem"));
    device.run(["keys", "export", key, "-o", arg(&pem)]).succeeds();
    pem
}

/// A key and a signature of `alice` and `bob`, each at the relay that is named.
fn key_and_signature(alice: &Device, bob: &Device, at_alice: &str, at_bob: &str) {
    let _listener = waits(bob, at_bob, &[alice]);
    let made = alice.run(through(at_alice, &["keygen", "--key", "vault", "--with", "bob"]));
    let ways = made.events("connected");
    assert!(ways.iter().all(|way| way["via"] == format!("relay {at_alice}")), "{ways:?}");
    assert_eq!(made.succeeds()["confirmed"], true);
    for _ in 0..2 {
        let digest = fresh_digest();
        let signed = alice.run(through(at_alice, &["sign", &digest, "--key", "vault"]));
        openssl::is_satisfied(&signed.succeeds(), &exported(bob, "vault"), &digest);
    }
}

#[test]
fn two_homes_make_a_key_and_sign_through_a_relay_that_reads_nothing() {
    let relay = Relay::start(&[]);
    // Three letters turn up in ciphertext by chance, six do not.
    let [alice, bob] = ["alice", "robert"].map(Device::new);
    introduce(&[&alice, &bob]);
    let taps = [0, 1].map(|_| Tap::before(relay.address()));
    let [at_alice, at_bob] = [0, 1].map(|i| format!("ws://{}", taps[i].address));
    let _listener = waits(&bob, &at_bob, &[&alice]);
    let keygen = ["keygen", "--key", "vault", "--with", "robert"];
    alice.run(through(&at_alice, &keygen)).succeeds();
    let digest = fresh_digest();
    let sign = ["sign", &digest, "--key", "vault", "--purpose", "invoice four hundred and two"];
    let signed = alice.run(through(&at_alice, &sign)).succeeds();
    openssl::is_satisfied(&signed, &exported(&bob, "vault"), &digest);
    for tap in taps {
        let wires = tap.said();
        assert!(wires.iter().map(Vec::len).sum::<usize>() > 10_000, "nothing went this way");
        for seen in wires.into_iter().flat_map(|wire| [unmasked(&wire), wire]) {
            for plain in [
                &b"alice"[..],
                b"robert",
                b"vault",
                b"invoice",
                digest.as_bytes(),
                &hex::decode(&digest).unwrap(),
                &hex::decode(alice.fingerprint()).unwrap(),
                &hex::decode(bob.fingerprint()).unwrap(),
            ] {
                assert!(!holds(&seen, plain), "{:?}", String::from_utf8_lossy(plain));
            }
        }
    }
}

#[test]
fn a_key_is_given_to_other_devices_at_a_relay() {
    let relay = Relay::start(&[]);
    let devices = ["alice", "bob", "carol", "dave"].map(Device::new);
    let [alice, bob, carol, dave] = &devices;
    introduce(&[alice, bob, carol, dave]);
    let allow = |device: &Device| {
        let rule = |peer: &Device| {
            let name = &peer.name;
            format!(
                "[[rule]]\npeer = {name:?}\naction = \"allow\"\n\
                 [[rule]]\npeer = {name:?}\nceremony = \"reshare\"\naction = \"allow\"\n"
            )
        };
        let others = devices.iter().filter(|other| other.name != device.name);
        device.policy(&others.map(rule).collect::<String>());
        let flags = [&["--policy", "policy.toml"], &ALONE[..], &["--relay", &relay.url]].concat();
        let mut listener = device.listen(&flags);
        listener.event_where("relay", |event| event["connected"] == true);
        listener
    };
    let mut listening: Vec<Option<Listener>> =
        [bob, carol, dave].map(|device| Some(allow(device))).into();
    let run = |device: &Device, args: &[&str]| device.run(through(&relay.url, args)).succeeds();
    let keygen = ["keygen", "--key", "vault", "--threshold", "2", "--with", "bob,carol"];
    let made = run(alice, &keygen);
    // Bob's laptop is gone.
    listening[0] = None;
    let reshare = ["keys", "reshare", "vault", "--lost", "bob", "--add", "dave"];
    let reshared = run(alice, &reshare);
    assert_eq!(reshared["public_key"], made["public_key"]);
    let digest = fresh_digest();
    let signed = alice.run(through(&relay.url, &["sign", &digest, "--with", "dave"]));
    openssl::is_satisfied(&signed.succeeds(), &exported(carol, "vault"), &digest);
}

#[test]
fn two_relays_joined_by_nats_are_one() {
    let (_nats, bus) = nats();
    let relays = [0, 1].map(|_| Relay::start(&["--cluster", &bus]));
    let (alice, bob) = two();
    key_and_signature(&alice, &bob, &relays[0].url, &relays[1].url);
}

#[test]
fn a_relay_without_its_nats_says_so() {
    let nobody = Device::blank("relay");
    let relay = ["relay", "--bind", "127.0.0.1:0", "--cluster", "nats://127.0.0.1:1"];
    nobody.run(relay).fails(4, "nats-server");
}

#[cfg(feature = "nats")]
#[test]
fn nats_is_told_the_password_and_no_error_is() {
    let port = crate::relays::free_port();
    let _server = crate::relays::nats_with(port, &["--user", "relay", "--pass", "open sesame"]);
    let _relay =
        Relay::start(&["--cluster", &format!("nats://relay:open%20sesame@127.0.0.1:{port}")]);
    let stranger = Device::blank("relay");
    let cluster = format!("nats://relay:close%20sesame@127.0.0.1:{port}");
    let relay = ["relay", "--bind", "127.0.0.1:0", "--cluster", &cluster];
    let refused = stranger.run(relay).fails(4, "uthorization");
    assert!(!refused.document().to_string().contains("sesame"));
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_relay_that_was_built_without_nats_says_so() {
    let nobody = Device::blank("relay");
    let relay = ["relay", "--bind", "127.0.0.1:0", "--cluster", "nats://127.0.0.1:1"];
    nobody.run(relay).fails(2, "without NATS");
}

#[test]
fn a_cluster_goes_on_after_nats_was_gone() {
    let (server, bus) = nats();
    let mut relays = [0, 1].map(|_| Relay::start(&["--cluster", &bus]));
    let (alice, bob) = two();
    let _listener = waits(&bob, &relays[1].url, &[&alice]);
    drop(server);
    let disconnected = |event: &serde_json::Value| {
        event["what"] == "cluster" && event["detail"].as_str().unwrap().starts_with("disconnected")
    };
    relays[0].running.event_where("serving", disconnected);
    let port = bus.rsplit(':').next().unwrap().parse().unwrap();
    let _again = nats_on(port);
    for relay in &mut relays {
        relay.running.event_where("serving", |event| event["detail"] == "connected");
    }
    let keygen = ["keygen", "--key", "vault", "--with", "bob"];
    alice.run(through(&relays[0].url, &keygen)).succeeds();
}

#[test]
fn a_relay_that_is_killed_in_the_middle_of_keygen_and_started_again_costs_a_pause() {
    let (alice, bob) = two();
    for (name, ends) in [("killed", Signal::KILL), ("stopped", Signal::TERM)] {
        let relay = Relay::start(&[]);
        let (url, port) = (relay.url.clone(), relay.port());
        let mut listener = waits(&bob, &url, &[&alice]);
        let keygen = ["keygen", "--key", name, "--with", "bob"];
        let mut asking = alice.start(through(&url, &keygen));
        asking.event("round");
        relay.running.signal(ends);
        drop(relay);
        asking.event("disconnected");
        let _relay = Relay::on(port, &[]);
        assert_eq!(asking.ends().succeeds()["confirmed"], true);
        listener.event_where("key", |event| event["confirmed"] == true);
        let keys = bob.run(["keys", "show", name]).succeeds();
        assert_eq!(keys["confirmed"], true);
        // The listener is back in its rooms as well.
        let digest = fresh_digest();
        let signed = alice.run(through(&url, &["sign", &digest, "--key", name]));
        openssl::is_satisfied(&signed.succeeds(), &exported(&bob, name), &digest);
    }
}

#[test]
fn devices_that_share_many_keys_are_back_by_one_of_their_rooms() {
    let (alice, bob) = two();
    let relay = Relay::start(&[]);
    let (url, port) = (relay.url.clone(), relay.port());
    let _listener = waits(&bob, &url, &[&alice]);
    for name in ["one", "two", "three", "four", "five"] {
        alice.run(through(&url, &["keygen", "--key", name, "--with", "bob"])).succeeds();
    }
    // At a distance several rooms lead to the device at the same moment.
    let way = Tap::far_from(relay.address(), Duration::from_millis(60));
    let far = format!("ws://{}", way.address);
    let mut asking = alice.start(through(&far, &["keygen", "--key", "six", "--with", "bob"]));
    asking.event("round");
    relay.running.signal(Signal::KILL);
    drop(relay);
    let _relay = Relay::on(port, &[]);
    let made = asking.ends();
    assert_eq!(made.events("disconnected").len(), 1, "{}", made.stderr);
    assert_eq!(made.succeeds()["confirmed"], true);
}

/// Its share does not open, and devices that are not paired meet by their key alone.
#[test]
fn a_listener_is_found_by_its_key_and_no_share_is_opened_for_that() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let relay = Relay::start(&[]);
    alice.run(["peers", "forget", "bob"]).succeeds();
    for (path, _) in bob.files() {
        if path.parent().is_some_and(|folder| folder.ends_with("keys/vault"))
            && path.extension().is_some_and(|ending| ending == "age")
        {
            std::fs::write(path, "damaged").unwrap();
        }
    }
    let _listener = waits(&bob, &relay.url, &[&alice]);
    bob.run(["peers", "forget", "alice"]).succeeds();
    let sign = ["sign", &fresh_digest(), "--key", "vault"];
    alice.run(through(&relay.url, &sign)).fails(6, "bob stopped the ceremony");
}

#[test]
fn a_requester_waits_for_a_relay_that_is_being_started() {
    let (alice, bob) = two();
    let port = crate::relays::free_port();
    let url = format!("ws://127.0.0.1:{port}");
    let flags = [&ALONE[..], &["--relay", &url]].concat();
    let _listener = bob.serve_with(&[&alice], &flags);
    let asking = alice.start(through(&url, &["keygen", "--key", "vault", "--with", "bob"]));
    thread::sleep(Duration::from_millis(700));
    let _relay = Relay::on(port, &[]);
    asking.ends().succeeds();
}

#[test]
fn three_devices_of_which_each_is_somewhere_else() {
    let relay = Relay::start(&[]);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    introduce(&[&alice, &bob, &carol]);
    let _listeners = [&bob, &carol].map(|device| waits(device, &relay.url, &[&alice]));
    let keygen = ["keygen", "--key", "all", "--threshold", "2", "--with", "bob,carol"];
    alice.run(through(&relay.url, &keygen)).succeeds();
    for cosigner in ["bob", "carol"] {
        let digest = fresh_digest();
        let sign = ["sign", &digest, "--key", "all", "--with", cosigner];
        let signed = alice.run(through(&relay.url, &sign)).succeeds();
        openssl::is_satisfied(&signed, &exported(&carol, "all"), &digest);
    }
}

#[test]
fn with_both_at_hand_the_local_network_is_taken_and_named() {
    let relay = Relay::start(&[]);
    let (alice, bob) = two();
    let listener = bob.serve_with(&[&alice], &["--relay", &relay.url]);
    let made = alice.run(["keygen", "--peer", &listener.address(), "--relay", &relay.url]);
    let ways = made.events("connected");
    assert_eq!(ways[0]["via"], format!("lan {}", listener.address()));
    made.succeeds();
    // An outdated address does not prevent the way through the relay.
    let digest = fresh_digest();
    let sign = ["sign", &digest, "--peer", "127.0.0.1:1", "--relay", &relay.url];
    let signed = alice.run(sign);
    assert_eq!(signed.events("connected")[0]["via"], format!("relay {}", relay.url));
    signed.succeeds();
}

#[test]
fn a_relay_with_tls_is_trusted_by_its_certificate() {
    let (alice, bob) = two();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = bob.write("relay.pem", certified.cert.pem());
    let key = bob.write("relay.key", certified.signing_key.serialize_pem());
    let relay = Relay::start(&["--tls-cert", arg(&certificate), "--tls-key", arg(&key)]);
    let url = format!("wss://localhost:{}", relay.port());
    let keygen = through(&url, &["keygen", "--key", "vault", "--with", "bob"]);
    alice.run(keygen.iter().chain(&["--timeout", "6s"])).fails(4, "certificate");

    bob.policy("[[rule]]\npeer = \"alice\"\naction = \"allow\"\n");
    let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
    let trusting = |mut command: std::process::Command| {
        Running::start(command.env("SSL_CERT_FILE", &certificate))
    };
    let _listener = Listener::on(trusting(bob.script(through(&url, &listen))));
    trusting(alice.script(keygen)).ends().succeeds();
}

#[test]
fn nobody_at_the_relay_and_no_relay_are_told_apart() {
    let relay = Relay::start(&[]);
    let (alice, _bob) = two();
    let keygen = ["keygen", "--key", "vault", "--with", "bob", "--timeout", "6s"];
    alice.run(through(&relay.url, &keygen)).fails(4, "does not wait at the relay");
    alice.run(through("ws://127.0.0.1:1", &keygen)).fails(4, "cosign relay");
    alice.run(through("http://127.0.0.1:1", &keygen)).fails(2, "ws://");
}
