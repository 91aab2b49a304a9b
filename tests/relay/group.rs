//! A group whose devices meet at a relay.

use cosign::net::relay::invite::Invite;

use crate::device::{Device, arg};
use crate::relays::Relay;
use crate::terminal::Terminal;

/// Alice gathers a group at `relay`; her screen and the invitation.
fn gathering(alice: &Device, relay: &Relay, more: &[&str]) -> (Terminal, String) {
    let mut screen = alice.terminal(["pair", "--group", "--relay", &relay.url].iter().chain(more));
    screen.shows("  cosign pair '");
    let uri = screen.shown_before("'");
    (screen, uri)
}

/// All three screens show one code, and all people say yes.
#[track_caller]
fn all_agree(mut screens: [Terminal; 3]) {
    let [host, ..] = &mut screens;
    host.shows("pair this device and \"bob\", \"carol\"").shows("which next? [1-4] ");
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    host.types("1\n");
    let codes: Vec<String> = screens.iter_mut().map(Terminal::code).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    for screen in &mut screens {
        screen.shows("do all 3 screens show the same code and names? [y/N] ").types("y\n");
    }
    for screen in screens {
        let (code, said) = screen.ends();
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn an_invitation_of_a_group_is_good_for_all_who_join_by_its_text_or_its_picture() {
    let relay = Relay::start(&[]);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    let (mut at_alice, uri) = gathering(&alice, &relay, &["--qr-out", "code.png"]);
    assert!(uri.starts_with("cosign://group?"), "{uri}");
    let at_bob = bob.terminal(["pair", &uri]);
    at_alice.shows("connected to \"bob\" (relay ");
    let picture = alice.path("code.png");
    let at_carol = carol.terminal(["pair", "--join", "--qr-image", arg(&picture)]);
    all_agree([at_alice, at_bob, at_carol]);
    assert_eq!(alice.peers(), ["bob", "carol"]);
    assert_eq!(bob.peers(), ["alice", "carol"]);
    assert_eq!(carol.peers(), ["alice", "bob"]);
    // Those who have only met through Alice find each other there, without her.
    carol.policy("[[rule]]\npeer = \"bob\"\naction = \"allow\"\n");
    let at_relay = ["--relay", &relay.url];
    let listen = ["listen", "--bind", "127.0.0.1", "--port", "0", "--policy", "policy.toml"];
    let mut listener = carol.start(listen.iter().chain(&at_relay));
    listener.event_where("relay", |event| event["connected"] == true);
    let keygen = ["keygen", "--key", "vault", "--with", "carol", "--interface", "lo"];
    bob.run(keygen.iter().chain(&at_relay)).succeeds();
}

#[test]
fn an_edited_invitation_of_a_group_fails_in_the_handshake() {
    let relay = Relay::start(&[]);
    let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(Device::new);
    let (_at_alice, uri) = gathering(&alice, &relay, &[]);
    let mut edited: Invite = uri.parse().unwrap();
    edited.fingerprint = mallory.fingerprint().parse().unwrap();
    assert_eq!(bob.terminal(["pair", &edited.to_string()]).ends().0, Some(5));
    // As an invitation to pair alone it leads to a device that gathers a group.
    let alone = uri.replace("group?", "pair?");
    let (code, said) = bob.terminal(["pair", &alone]).ends();
    assert_eq!(code, Some(12), "{said}");
    let (code, said) = bob.terminal(["pair", "--join", &alone]).ends();
    assert_eq!(code, Some(2), "{said}");
    assert!(alice.peers().is_empty() && bob.peers().is_empty());
}

#[test]
fn a_relay_that_dies_while_codes_are_compared_leaves_nothing_stored() {
    let relay = Relay::start(&[]);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    let (mut at_alice, uri) = gathering(&alice, &relay, &[]);
    let at_bob = bob.terminal(["pair", &uri]);
    at_alice.shows("connected to \"bob\"");
    let at_carol = carol.terminal(["pair", &uri]);
    at_alice.shows("\"bob\", \"carol\"").shows("which next? [1-4] ");
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    at_alice.types("1\n");
    let mut screens = [at_alice, at_bob, at_carol];
    for screen in &mut screens {
        screen.shows("code and names? [y/N] ");
    }
    screens[1].types("y\n").shows("waiting for");
    drop(relay);
    for screen in screens {
        let (code, said) = screen.ends();
        assert!(!matches!(code, Some(0) | None), "{said}");
    }
    assert!([alice, bob, carol].iter().all(|device| device.peers().is_empty()));
}
