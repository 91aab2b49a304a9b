//! Discovery by real multicast on the loopback interface.

use cosign::net::mdns::{Advert, AdvertInfo, Status};
use rustix::process::Signal;
use serde_json::Value;

use crate::device::{Device, Listener, introduce, two_with_key};
use crate::parties::rules;
use crate::signing::fresh_digest;

/// Alice's finding of the device with this fingerprint.
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
fn a_name_that_nobody_has_is_answered_with_who_is_there() {
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let (alice, bob) = (Device::new("alice"), Device::new(&format!("bob-{tag}")));
    let mut at_bob = bob.terminal(["listen", "--interface", "lo", "--port", "0"]);
    at_bob.shows("listening as");
    let pair = ["pair", "carl", "--interface", "lo", "--timeout", "9s"];
    let mut at_alice = alice.terminal(pair);
    at_alice.shows("\"carl\" is not among the devices found").shows(&bob.name);
    at_alice.shows("no device called \"carl\" was found").shows(&bob.name);
    assert_eq!(at_alice.ends().0, Some(4));
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

    // He sent no goodbye, so only asking him shows that he is gone.
    listener.signal(Signal::KILL);
    drop(listener);
    assert_eq!(seen_by(&alice, &bobs).unwrap()["status"], "offline");
}

#[test]
fn the_devices_of_a_reshare_are_found_by_multicast() {
    let devices = ["alice", "bob", "carol"].map(Device::new);
    let [alice, bob, carol] = &devices;
    introduce(&[alice, bob, carol]);
    let listens = |device: &Device, peers: &[&str]| {
        device.policy(&rules(peers));
        device.listen(&["--policy", "policy.toml", "--interface", "lo"])
    };
    let _listening = [listens(bob, &["alice", "carol"]), listens(carol, &["alice", "bob"])];
    let found = ["--interface", "lo"];
    alice.run(["keygen", "--key", "vault", "--with", "bob"].iter().chain(&found)).succeeds();
    let reshare = ["keys", "reshare", "vault", "--add", "carol"];
    let made = alice.run(reshare.iter().chain(&found)).succeeds();
    assert_eq!(made["parties"].as_array().unwrap().len(), 3);
    let lost = ["keys", "reshare", "vault", "--lost", "bob"];
    let made = alice.run(lost.iter().chain(&found)).succeeds();
    assert_eq!(made["parties"].as_array().unwrap().len(), 2);
    let digest = fresh_digest();
    alice.run(["sign", &digest, "--with", "carol"].iter().chain(&found)).succeeds();
}

/// Others that announce themselves under `id`, some of whom answer as devices of their own, some of whom
/// take a connection and say nothing, and some of whom are not there.
pub(crate) struct Impostors {
    adverts: Vec<Advert>,
    status: Status,
    _silent: Vec<std::net::TcpListener>,
    _others: Vec<Listener>,
}

impl Impostors {
    pub(crate) fn of(id: &str, others: &[&Device]) -> Self {
        let place = ["--interface", "lo"];
        let others: Vec<Listener> = others
            .iter()
            .map(|other| {
                other.policy("");
                other.listen(&[&["--policy", "policy.toml"], &place[..]].concat())
            })
            .collect();
        let silent: Vec<std::net::TcpListener> =
            (0..8).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = others.iter().map(|other| u16::try_from(other.port).unwrap());
        let silent_ports = silent.iter().map(|silent| silent.local_addr().unwrap().port());
        let adverts = ports
            .chain(silent_ports)
            .chain(1..20)
            .map(|port| {
                let (id, name) = (id.to_owned(), "bob".to_owned());
                let info = AdvertInfo { id, name, port, status: Status::Available };
                Advert::start(info, Some("lo")).unwrap()
            })
            .collect();
        Self { adverts, status: Status::Available, _silent: silent, _others: others }
    }

    /// Says something new in every announcement.
    pub(crate) fn announce_again(&mut self) {
        self.status = match self.status {
            Status::Busy => Status::Available,
            Status::Available | Status::Ready => Status::Busy,
        };
        for advert in &mut self.adverts {
            // Faster than they can be sent, some are not.
            let _ = advert.set_status(self.status);
        }
    }
}

#[test]
fn announcements_in_another_devices_name_hide_it_from_nobody() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let (bobs, carol, dave) = (bob.fingerprint(), Device::new("carol"), Device::new("dave"));
    let impostors = Impostors::of(&bobs[..16], &[&carol, &dave]);
    let forgotten = alice.home().join("state/addresses.json");

    // If he was not reached, nothing was proved about him.
    let sign = |digest: &str| {
        let _ = std::fs::remove_file(&forgotten);
        let place = ["--interface", "lo", "--timeout", "60s"];
        alice.run(["sign", digest].iter().chain(&place))
    };
    let _ = std::fs::remove_file(&forgotten);
    let nowhere = ["sign", &fresh_digest(), "--interface", "lo", "--timeout", "4s"];
    let failed = alice.run(nowhere).fails(4, "other devices answer in its place");
    assert!(!String::from_utf8_lossy(&failed.stdout).contains("peers forget bob"));

    let listener = bob.serve_with(&[&alice], &["--interface", "lo"]);
    for _ in 0..3 {
        sign(&fresh_digest()).succeeds();
    }
    let seen = seen_by(&alice, &bobs).unwrap();
    assert_eq!((&seen["status"], &seen["port"]), (&"ready".into(), &listener.port.into()));
    drop(impostors);
}

#[test]
fn another_device_at_an_address_that_the_owner_named_is_exit_5() {
    let (alice, _bob, listener) = two_with_key();
    let carol = Device::new("carol");
    carol.policy("");
    let other = carol.listen(&["--policy", "policy.toml"]);
    alice.run(["sign", &fresh_digest(), "--peer", &other.address()]).fails(5, "pinned to device");
    drop(listener);
}
