//! Who is near, by real multicast on the loopback interface.

use rustix::process::Signal;
use serde_json::Value;

use crate::device::{Device, Listener, introduce};

/// What Alice sees of the device with this fingerprint.
fn seen_by(alice: &Device, fingerprint: &str) -> Option<Value> {
    let found = alice.run(["discover", "--interface", "lo", "--wait", "2s"]).succeeds();
    let peers = found["peers"].as_array().unwrap().clone();
    peers.into_iter().find(|peer| peer["fingerprint"] == fingerprint)
}

#[test]
fn a_device_that_listens_is_found_by_its_name() {
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let (alice, bob) = (Device::new("alice"), Device::new(&format!("bob-{tag}")));
    let mut at_bob = bob.terminal(["listen", "--interface", "lo", "--port", "0", "--once"]);
    at_bob.shows("listening as");
    let mut at_alice = alice.terminal(["pair", &bob.name, "--interface", "lo"]);
    assert_eq!(at_alice.code(), at_bob.code());
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows("[y/N] ").types("y\n");
    }
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
    assert_eq!(alice.peers(), [bob.name]);
}

#[test]
fn a_device_is_available_then_ready_then_offline() {
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    let bobs = bob.fingerprint();
    let policy = bob.policy("");
    let place = ["listen", "--interface", "lo", "--port", "0", "--policy"];
    let listener =
        Listener::on(bob.start(place.iter().copied().chain([crate::device::arg(&policy)])));

    let seen = seen_by(&alice, &bobs).expect("bob is announced");
    assert_eq!(seen["status"], "available");
    assert_eq!(seen["name"], "bob");
    assert_eq!(seen["port"], listener.port);
    assert_eq!(seen["paired"], false);
    assert!(seen["addresses"].as_array().unwrap().contains(&"127.0.0.1".into()));

    introduce(&[&alice, &bob]);
    let seen = seen_by(&alice, &bobs).unwrap();
    assert_eq!((&seen["status"], &seen["paired"]), (&"ready".into(), &true.into()));

    // No goodbye: only asking it tells that nobody is there any more.
    listener.signal(Signal::KILL);
    drop(listener);
    assert_eq!(seen_by(&alice, &bobs).unwrap()["status"], "offline");
}
