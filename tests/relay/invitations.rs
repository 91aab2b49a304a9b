//! Invitations: QR codes, their text, and which devices can use them.

use std::fs::File;
use std::process::Command;

use cosign::device::Label;
use cosign::driver::clock;
use cosign::driver::connect::hello::{hear, say};
use cosign::net::relay::Role;
use cosign::net::relay::client::enter;
use cosign::net::relay::invite::Invite;
use cosign::net::tls::{self, Expect, Tls, TlsVersion};
use cosign::wire::{Message, VERSION, Want};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::device::{Device, PATIENCE, arg};
use crate::relays::Relay;
use crate::terminal::Terminal;

const QUESTION: &str = "do both screens show the same code? [y/N] ";

/// Alice shows an invitation; her screen and its text.
fn inviting(alice: &Device, relay: &Relay, more: &[&str]) -> (Terminal, String) {
    let mut screen = alice.terminal(["pair", "--relay", &relay.url].iter().chain(more));
    screen.shows("  cosign pair '");
    let uri = screen.shown_before("'");
    (screen, uri)
}

fn strangers() -> (Device, Device) {
    (Device::new("alice"), Device::new("bob"))
}

/// Both say yes.
#[track_caller]
fn both_agree(mut at_alice: Terminal, mut at_bob: Terminal) {
    assert_eq!(at_alice.code(), at_bob.code());
    for screen in [&mut at_alice, &mut at_bob] {
        screen.shows(QUESTION).types("y\n");
    }
    assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(0), Some(0)));
}

#[test]
fn the_saved_code_is_read_by_others_and_what_it_says_joins() {
    let relay = Relay::start(&[]);
    for file in ["code.png", "code.svg"] {
        let (alice, bob) = strangers();
        let (at_alice, uri) = inviting(&alice, &relay, &["--qr-out", file]);
        let picture = match file {
            "code.png" => alice.path(file),
            svg => {
                let png = alice.path("drawn.png");
                let mut drawing = Command::new("rsvg-convert");
                let drawn = drawing.arg(alice.path(svg)).arg("-o").arg(&png).status();
                assert!(drawn.expect("rsvg-convert is installed").success());
                png
            }
        };
        let scanned = Command::new("zbarimg").args(["-q", "--raw"]).arg(&picture).output();
        let scanned = String::from_utf8(scanned.expect("zbarimg is installed").stdout).unwrap();
        assert_eq!(scanned.trim(), uri);
        let at_bob = if file == "code.png" {
            bob.terminal(["pair", "--qr-image", arg(&picture)])
        } else {
            bob.terminal(["pair", scanned.trim()])
        };
        both_agree(at_alice, at_bob);
        assert_eq!((alice.peers(), bob.peers()), (vec!["bob".into()], vec!["alice".into()]));
    }
}

#[test]
fn an_edited_invitation_fails_in_the_handshake_and_stores_nothing() {
    let relay = Relay::start(&[]);
    let (alice, bob) = strangers();
    let mallory = Device::new("mallory");
    let (at_alice, uri) = inviting(&alice, &relay, &[]);
    let mut edited: Invite = uri.parse().unwrap();
    edited.fingerprint = mallory.fingerprint().parse().unwrap();
    let mut at_bob = bob.terminal(["pair", &edited.to_string()]);
    at_bob.shows("error");
    assert_eq!(at_bob.ends().0, Some(5));
    assert!(alice.peers().is_empty() && bob.peers().is_empty());
    // The one who was meant can still come.
    both_agree(at_alice, bob.terminal(["pair", &uri]));
}

#[test]
fn an_invitation_that_is_over_is_refused_before_anybody_is_called() {
    let relay = Relay::start(&[]);
    let (alice, bob) = strangers();
    let (_at_alice, uri) = inviting(&alice, &relay, &[]);
    let invite: Invite = uri.parse().unwrap();
    let over = Invite { expires: invite.expires - 20 * 60, ..invite };
    let mut at_bob = bob.terminal(["pair", &over.to_string()]);
    at_bob.shows("the invitation was good until");
    assert_eq!(at_bob.ends().0, Some(5));
}

#[test]
fn strangers_in_the_room_keep_nobody_from_pairing() {
    let relay = Relay::start(&[]);
    let (alice, bob) = strangers();
    let (at_alice, uri) = inviting(&alice, &relay, &[]);
    let invite: Invite = uri.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let squatter = runtime.block_on(async {
        let mut calling = enter(&invite.relay, &invite.room, Role::Caller, PATIENCE).await.unwrap();
        let mut to_alice = calling.next().await.unwrap();
        to_alice.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // One who knows the protocol, comes to pair, and walks away before there are digits.
        let stranger = tls::Device::generate().unwrap();
        let stranger = Tls::new(&stranger, TlsVersion::Any).unwrap();
        let mut passing = enter(&invite.relay, &invite.room, Role::Caller, PATIENCE).await.unwrap();
        let stream = passing.next().await.unwrap();
        let mut link = stranger.connect(stream, Expect::Anyone).await.unwrap();
        let hello = Message::Hello {
            version: VERSION,
            name: Label::new("bob"),
            want: Want::Pair,
            about: None,
        };
        say(&mut link, &hello).await.unwrap();
        let welcome = hear(&mut link, clock::now() + PATIENCE).await;
        assert!(matches!(welcome, Ok(Message::Welcome { .. })), "{welcome:?}");
        drop((link, passing));
        // And one who waits for Bob in Alice's place.
        let mut waiting =
            enter(&invite.relay, &invite.room, Role::Listener, PATIENCE).await.unwrap();
        tokio::spawn(async move {
            let mut streams = Vec::new();
            while let Some(mut stream) = waiting.next().await {
                let mut bytes = [0; 100];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(&bytes).await;
                streams.push(stream);
            }
        });
        (calling, to_alice)
    });
    both_agree(at_alice, bob.terminal(["pair", &uri]));
    drop(squatter);
}

#[test]
fn what_is_no_invitation_is_told_from_what_is_no_picture() {
    let bob = Device::new("bob");
    let fails = |args: &[&str], exit, what: &str| {
        let args = [&["pair"], args].concat();
        bob.run(args).fails(exit, what);
    };
    fails(&["cosign://pair?relay=ws://a"], 2, "the room is missing");
    fails(&["--qr-image", "none.png"], 10, "none.png");
    bob.write("text.png", "no picture");
    fails(&["--qr-image", "text.png"], 2, "text.png is no picture");
    let blank = File::create(bob.path("blank.png")).unwrap();
    let mut blank = png::Encoder::new(blank, 200, 200).write_header().unwrap();
    blank.write_image_data(&[255; 200 * 200]).unwrap();
    blank.finish().unwrap();
    fails(&["--qr-image", "blank.png"], 10, "no QR code");
    fails(&["--qr-out", "code.gif", "--relay", "ws://127.0.0.1:1"], 2, ".png or .svg");
    fails(&["--qr-out", "code.png"], 2, "--relay");
}

#[test]
fn the_code_fits_a_small_terminal_with_its_quiet_zone() {
    let invite = "cosign://pair?relay=wss://relay.example.com&room=AEAQCAIBAEAQCAIBAEAQCAIBAE\
                  &fp=AIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBA&exp=1800000000";
    let rows = cosign::ui::qr::rows(invite).unwrap();
    assert!(rows.len() <= 23, "{} rows", rows.len());
    assert!(rows.iter().all(|row| row.chars().count() <= 80));
    assert!(rows.iter().all(|row| row.starts_with("  ") && row.ends_with("  ")));
    assert!(rows[0].chars().all(|c| c == ' '));
}

#[test]
fn an_invitation_is_shown_however_quiet_one_wants_it() {
    let relay = Relay::start(&[]);
    let alice = Device::new("alice");
    let command = alice.command(["--quiet", "pair", "--relay", &relay.url]);
    let mut screen = Terminal::start(&command);
    screen.shows("cosign pair 'cosign://").shows("\u{2580}").interrupts();
    assert_eq!(screen.ends().0, Some(130));
}

#[test]
fn a_script_gets_the_invitation_as_an_event() {
    let relay = Relay::start(&[]);
    let alice = Device::new("alice");
    // Digits need a person, so a script cannot pair; it is told before anything is shown.
    alice.run(["pair", "--relay", &relay.url]).fails(11, "pair");
    let command = alice.command(["--events", "pair", "--relay", &relay.url]);
    let mut screen = Terminal::start(&command);
    screen.shows("{\"event\":\"invite\",\"uri\":\"");
    let uri = screen.shown_before("\"");
    let invite: Invite = uri.parse().unwrap();
    assert_eq!(invite.relay.as_str(), relay.url);
    assert_eq!(invite.fingerprint.to_hex(), alice.fingerprint());
    screen.interrupts();
    assert_eq!(screen.ends().0, Some(130));
}
