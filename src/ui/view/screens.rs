//! Whole screens, drawn from events: each is compared with a file in `tests/screens`.
//!
//! `UPDATE_SCREENS=1 cargo test screens` writes them anew; review the changes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::fixture::{party, request};
use super::{Scene, draw};
use crate::device::{Fingerprint, Label};
use crate::payload::{HashFunction, Source};
use crate::progress::{
    Compared, Event, KnownKey, KnownPeer, Lasts, PartyView, PastCeremony, RequestView,
};
use crate::request::Ceremony;
use crate::ui::model::Model;
use crate::ui::stage::{CALM, Consent, Question, Stage};

const SIZES: [(u16, u16); 3] = [(80, 24), (200, 60), (60, 18)];

/// A screen after `events`, one a second, with the question that the last one is, if `asked`.
struct Screen {
    model: Model,
    stage: Stage,
    now: Duration,
}

impl Screen {
    fn after(events: &[Event]) -> Self {
        let mut model = Model::default();
        let mut now = Duration::ZERO;
        for event in events {
            model.fold(event, now);
            now += Duration::from_secs(1);
        }
        Self { model, stage: Stage::default(), now }
    }

    fn asked(events: &[Event]) -> Self {
        let mut screen = Self::after(events);
        let code = screen.model.code.clone().map(Question::Code);
        let request = screen
            .model
            .request
            .clone()
            .map(|card| Question::Approval { card: Box::new(card), word: "5a".into() });
        screen.stage.ask(code.or(request).unwrap());
        screen.stage.consent = Consent::Open;
        screen
    }

    /// The characters of the screen, and how many lines do not fit.
    fn drawn(&mut self, (columns, rows): (u16, u16), color: bool) -> (String, usize) {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let mut overflow = 0;
        for _ in 0..2 {
            // The second frame shows the effect of the first one on the stage.
            let scene = Scene { model: &self.model, stage: &self.stage, now: self.now, color };
            terminal.draw(|frame| overflow = draw(frame, scene)).unwrap();
            self.stage.drawn(self.now, overflow);
            assert!(self.stage.may_arm(self.now + CALM) || self.stage.is_armed());
            self.stage.arm(self.now + CALM);
        }
        let mut text = String::new();
        let buffer = terminal.backend().buffer();
        for y in 0..rows {
            let mut line = String::new();
            let mut x = 0;
            while x < columns {
                let symbol = buffer[(x, y)].symbol();
                line += symbol;
                x += u16::try_from(super::width(symbol)).unwrap().max(1);
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        (text, overflow)
    }

    /// The whole text, by scrolling down line by line.
    fn read(&mut self, size: (u16, u16)) -> String {
        use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let (mut all, overflow) = self.drawn(size, false);
        for _ in 0..overflow {
            self.stage.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE), self.now);
            all += &self.drawn(size, false).0;
        }
        assert!(self.stage.is_read());
        all
    }
}

#[track_caller]
fn check(name: &str, mut screen: impl FnMut() -> Screen) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    for (columns, rows) in SIZES {
        let (drawn, _) = screen().drawn((columns, rows), true);
        let path = folder.join(format!("{name}-{columns}x{rows}.txt"));
        if std::env::var_os("UPDATE_SCREENS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &drawn).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(drawn == expected, "{} is now:\n{drawn}", path.display());
    }
}

fn listening() -> Event {
    Event::Listening {
        name: "bob".into(),
        id: "b".repeat(16),
        fingerprint: "b".repeat(64),
        port: 46737,
    }
}

fn inventory() -> Event {
    Event::Inventory {
        peers: vec![
            KnownPeer {
                name: "alice".into(),
                fingerprint: Fingerprint::new([0xaa; 32]),
                expires: None,
            },
            KnownPeer {
                name: "carol".into(),
                fingerprint: Fingerprint::new([0xcc; 32]),
                expires: None,
            },
        ],
        keys: vec![KnownKey {
            name: "vault".into(),
            public_key: format!("02{}", "9".repeat(64)),
            threshold: 2,
            parties: vec!["alice".into(), "bob".into(), "carol".into()],
            confirmed: true,
        }],
        recent: vec![
            past("sign", "release 1.2", "signed"),
            past("sign", "release 1.1\u{301}", "denied"),
            past("keygen", "", "stored"),
        ],
    }
}

fn past(ceremony: &str, purpose: &str, outcome: &str) -> PastCeremony {
    PastCeremony {
        time: "2026-06-15T10:00:00Z".into(),
        ceremony: ceremony.into(),
        key: "vault".into(),
        with: "alice".into(),
        purpose: purpose.into(),
        outcome: outcome.into(),
    }
}

fn near(name: &str, byte: u8, status: &str) -> Event {
    let fingerprint = Fingerprint::new([byte; 32]);
    Event::Peer {
        name: name.into(),
        id: fingerprint.device_id(),
        fingerprint: Some(fingerprint),
        status: status.into(),
        address: "192.0.2.7:46737".into(),
    }
}

fn code() -> Event {
    Event::Code {
        code: "385 721".into(),
        with: Compared::Device { peer: "alice".into(), fingerprint: "a".repeat(64) },
        lasts: Lasts::Kept,
        warning: Some("another device is known here as \"alice\": cccccccccccccccc".into()),
        seconds: 120,
    }
}

fn round(round: u8, name: &str, ms: Option<u64>) -> Event {
    Event::Round { ceremony: Ceremony::Sign, round, of: 3, name: name.into(), ms, request_id: None }
}

fn received(round: u8, from: &str, ms: u64) -> Event {
    Event::Received { ceremony: Ceremony::Sign, round, from: from.into(), ms, request_id: None }
}

fn rounds() -> Vec<Event> {
    vec![
        round(1, "nonce commitments", None),
        Event::Waiting {
            what: "round 1".into(),
            peers: vec!["alice".into(), "carol".into()],
            seconds: None,
            request_id: None,
        },
        received(1, "carol", 4),
        received(1, "alice", 12),
        round(1, "nonce commitments", Some(13)),
        round(2, "multiplication", None),
        Event::Waiting {
            what: "round 2".into(),
            peers: vec!["alice".into(), "carol".into()],
            seconds: None,
            request_id: None,
        },
        received(2, "carol", 7),
        Event::Waiting {
            what: "round 2".into(),
            peers: vec!["alice".into()],
            seconds: None,
            request_id: None,
        },
    ]
}

fn signed(der: Option<String>) -> Event {
    Event::Signed {
        key: "vault".into(),
        public_key: format!("02{}", "9".repeat(64)),
        digest: "5a7f".repeat(16),
        der,
        signatures: Vec::new(),
        certifies: None,
        delivered_to: vec!["alice".into()],
        request_id: "77".repeat(16),
    }
}

fn aborted() -> Event {
    Event::Aborted {
        ceremony: "sign".into(),
        request_id: Some("77".repeat(16)),
        code: "unreachable".into(),
        message: "the connection to alice is lost".into(),
        hint: Some("ask her to run `cosign listen` again".into()),
    }
}

#[test]
fn a_device_that_has_nothing_says_what_to_do_next() {
    let empty = Event::Inventory { peers: vec![], keys: vec![], recent: vec![] };
    check("empty", || Screen::after(&[listening(), empty.clone()]));
}

#[test]
fn a_dashboard_shows_devices_keys_and_what_happened() {
    let events = [
        listening(),
        inventory(),
        near("alice", 0xaa, "ready"),
        near("mallory", 0xee, "available"),
        Event::Note { message: "the log was not written: no space".into() },
    ];
    check("dashboard", || Screen::after(&events));
}

#[test]
fn long_names_are_cut_and_nothing_beside_them() {
    let long = "W".repeat(64);
    let own = Event::Listening {
        name: long.clone(),
        id: "b".repeat(16),
        fingerprint: "b".repeat(64),
        port: 46737,
    };
    let mut key = inventory();
    if let Event::Inventory { keys, .. } = &mut key {
        keys[0].name = long.clone();
    }
    for size in SIZES {
        let (drawn, _) = Screen::after(&[own.clone(), key.clone()]).drawn(size, false);
        assert!(drawn.contains("bbbbbbbbbbbbbbbb  port 46737"), "{drawn}");
        assert!(drawn.contains("W…  2 of 3") || size.0 == 200, "{drawn}");
    }
    let waits =
        Event::Waiting { what: String::new(), peers: vec![long], seconds: None, request_id: None };
    let (drawn, _) = Screen::after(&[round(1, "nonces", None), waits]).drawn((80, 24), false);
    assert!(drawn.contains(" \"WWWWWWWWWWWWWW…\" … awaited"), "{drawn}");
}

#[test]
fn devices_that_are_here_are_listed_before_those_that_are_not() {
    let paired = |digit: u8| KnownPeer {
        name: format!("paired{digit}"),
        fingerprint: Fingerprint::new([digit; 32]),
        expires: None,
    };
    let many =
        Event::Inventory { peers: (0..12).map(paired).collect(), keys: vec![], recent: vec![] };
    let events =
        [listening(), many, near("mallory", 0x77, "available"), near("paired9", 9, "ready")];
    let (drawn, _) = Screen::after(&events).drawn((80, 24), false);
    let at = |name: &str| drawn.find(name).unwrap_or_else(|| panic!("{name}:\n{drawn}"));
    assert!(at("paired9") < at("mallory") && at("mallory") < at("paired0"), "{drawn}");
}

#[test]
fn headings_break_between_words() {
    let names = ["commitments", "shares and proofs", "oblivious transfers", "confirmation"];
    let begun = |(number, name): (u8, &str)| Event::Round {
        ceremony: Ceremony::Keygen,
        round: number,
        of: 4,
        name: name.into(),
        ms: None,
        request_id: None,
    };
    let events: Vec<Event> = (1..).zip(names).map(begun).collect();
    let (drawn, _) = Screen::after(&events).drawn((60, 18), false);
    let heads: Vec<&str> = drawn.lines().skip(3).take(3).map(str::trim).collect();
    let expected = [
        "1         2 shares  3         4",
        "commitme… and       oblivious confirma…",
        "proofs    transfers",
    ];
    assert_eq!(heads, expected, "{drawn}");
}

#[test]
fn looking_for_a_device_to_pair_with_lists_who_is_near() {
    let waiting = Event::Waiting {
        what: "a device to pair with".into(),
        peers: vec![],
        seconds: None,
        request_id: None,
    };
    check("pair", || {
        Screen::after(&[listening(), waiting.clone(), near("alice", 0xaa, "available")])
    });
}

#[test]
fn several_candidates_are_a_list() {
    check("pick", || {
        let mut screen = Screen::after(&[listening()]);
        let candidates = vec!["alice (aaaaaaaaaaaaaaaa)".into(), "carol (cccccccccccccccc)".into()];
        screen.stage.ask(Question::Pick { what: "peer".into(), candidates });
        screen
    });
}

#[test]
fn six_digits_are_large_and_have_both_names() {
    check("code", || Screen::asked(&[listening(), code()]));
}

fn group(size: u8) -> Event {
    let names = ["alice", "bob", "carol", "the laptop in the office"];
    let member = |byte: u8| PartyView {
        name: Label::new(names[usize::from(byte) % names.len()]),
        fingerprint: Fingerprint::new([0x10 * byte; 32]),
    };
    Event::Code {
        code: "385 721".into(),
        with: Compared::Group { members: (1..=size).map(member).collect() },
        lasts: Lasts::Session,
        warning: None,
        seconds: 120,
    }
}

#[test]
fn a_group_is_six_digits_and_a_list_of_names() {
    check("group", || Screen::asked(&[listening(), group(3)]));
    check("group-of-8", || Screen::asked(&[listening(), group(8)]));
}

#[test]
fn an_invitation_of_a_group_stays_while_the_person_is_asked_whether_all_are_here() {
    let invite = Event::Invite {
        uri: format!("cosign://group?relay=ws://relay.example&room={}", "A".repeat(26)),
        relay: "ws://relay.example".into(),
        expires: "2026-06-15T10:10:00Z".into(),
    };
    check("gathering", || {
        let mut screen = Screen::after(&[listening(), invite.clone()]);
        let candidates = vec![
            "everybody is here: pair this device and \"alice\"".to_owned(),
            "end it: pair nobody".to_owned(),
        ];
        screen.stage.ask(Question::Pick { what: "next".into(), candidates });
        screen
    });
}

#[test]
fn a_paired_group_is_listed_with_the_next_command() {
    let peer = |(byte, name): (u8, &str)| KnownPeer {
        name: name.into(),
        fingerprint: Fingerprint::new([byte; 32]),
        expires: Some("2026-06-15T10:30:00Z".into()),
    };
    let peers = [(0xaa, "alice"), (0xcc, "carol's laptop")].map(peer).into();
    check("paired-group", || {
        Screen::after(&[listening(), group(3), Event::PairedGroup { peers: Vec::clone(&peers) }])
    });
}

#[test]
fn a_request_has_every_fact() {
    check("request", || {
        Screen::asked(&[listening(), inventory(), Event::Request(Box::new(request()))])
    });
}

#[test]
fn what_is_new_about_a_request_is_marked() {
    let view = RequestView { changed: vec!["digest", "receivers"], ..request() };
    check("changed", || Screen::asked(&[listening(), Event::Request(Box::new(view.clone()))]));
}

#[test]
fn a_request_that_is_gone_leaves_a_page() {
    check("gone", || {
        let mut screen =
            Screen::after(&[listening(), inventory(), Event::Request(Box::new(request()))]);
        screen.stage.gone(Event::Request(Box::new(request())), true);
        let id = request().request_id.to_string();
        screen.stage.gone_because("sign", Some(&id), "alice withdrew the request");
        screen.stage.gone(Event::Request(Box::new(request())), false);
        screen.stage.await_page();
        screen
    });
}

#[test]
fn a_code_that_is_gone_leaves_a_page() {
    check("page-code", || {
        let mut screen = Screen::after(&[listening()]);
        screen.stage.gone(code(), true);
        screen.stage.gone_because("sign", None, "what became of another ceremony");
        screen.stage.gone_because("pair", None, "the connection to alice was lost");
        screen.stage.await_page();
        screen
    });
}

#[test]
fn a_request_to_make_a_key_shows_the_hash_that_is_typed() {
    let view = RequestView { ceremony: Ceremony::Keygen, digest: None, ..request() };
    let hash = crate::device::grouped(&view.hash.to_string());
    let (drawn, _) = Screen::asked(&[Event::Request(Box::new(view))]).drawn((80, 24), false);
    assert!(drawn.contains(&format!("  hash         {hash}")), "{drawn}");
}

#[test]
fn what_was_typed_and_what_is_wrong_with_it_is_shown() {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    let mut screen = Screen::asked(&[Event::Request(Box::new(request()))]);
    let mut typed = |codes: &[KeyCode]| {
        screen.drawn((80, 24), false);
        for code in codes {
            screen.stage.key(KeyEvent::new(*code, KeyModifiers::NONE), screen.now);
        }
        screen.drawn((80, 24), false).0
    };
    let drawn = typed(&[KeyCode::Char('5')]);
    assert!(drawn.contains("type 5a and Enter [5 ] · n deny · m mute"), "{drawn}");
    let drawn = typed(&[KeyCode::Char('5'), KeyCode::Enter]);
    assert!(drawn.contains("55 approves nothing: type 5a and Enter [  ]"), "{drawn}");
}

#[test]
fn a_muted_device_and_the_cursor_are_on_the_dashboard() {
    let mut screen = Screen::after(&[listening(), inventory()]);
    screen.stage.toggle(&Fingerprint::new([0xcc; 32]));
    let (drawn, _) = screen.drawn((80, 24), false);
    assert!(drawn.lines().any(|row| row.contains("\"carol\"") && row.contains("muted")), "{drawn}");
    assert!(drawn.contains("m mutes a device"), "{drawn}");
    screen.stage.cursor = Some(1);
    let (drawn, _) = screen.drawn((80, 24), false);
    assert!(drawn.contains("> \"carol\"") && drawn.contains("m mutes or unmutes"), "{drawn}");
}

#[test]
fn a_requester_sees_who_is_asked_and_for_how_long() {
    let events = [
        Event::Waiting {
            what: "connection".into(),
            peers: vec!["bob".into()],
            seconds: None,
            request_id: None,
        },
        Event::Connected {
            peer: "bob".into(),
            via: "lan 192.0.2.7:46737".into(),
            resumed: false,
            request_id: None,
        },
        Event::Waiting {
            what: "approval".into(),
            peers: vec!["bob".into()],
            seconds: Some(100),
            request_id: None,
        },
    ];
    let (drawn, _) = Screen::after(&events).drawn((80, 24), false);
    assert!(drawn.contains("… waiting for \"bob\": approval, 1 min 39 s left"), "{drawn}");
}

#[test]
fn what_was_said_about_a_request_stands_on_it() {
    let banned = "failed a check and banned here, which new shares end: bob";
    let events = [Event::Note { message: banned.into() }, Event::Request(Box::new(request()))];
    let (drawn, overflow) = Screen::asked(&events).drawn((80, 24), false);
    assert!(drawn.contains(&format!("! {banned}")) && overflow == 0, "{drawn}");
}

#[test]
fn rounds_say_who_sent_what_and_who_is_awaited() {
    check("rounds", || Screen::after(&rounds()));
}

#[test]
fn a_signature_is_shown_whole_and_says_where_it_went() {
    let mut events = rounds();
    events.push(signed(Some("3045".to_owned() + &"ab".repeat(69))));
    check("signed", || Screen::after(&events));
}

#[test]
fn an_abort_says_what_is_missing_and_what_to_do() {
    let mut events = rounds();
    events.push(aborted());
    check("aborted", || Screen::after(&events));
}

#[test]
fn an_invitation_is_a_code_that_fits() {
    let invite = Event::Invite {
        uri: "cosign://pair?relay=wss://relay.example.org:8443&room=4RTWJYJTYCIRXN3MDJ2YXO5KMI&fp=\
              NVQW4Y3PMQQGC3TEEBTWK3TFOJQXI33SEBXWMIDSMFXGI33N&exp=1781517600"
            .into(),
        relay: "wss://relay.example.org:8443".into(),
        expires: "2026-06-15T10:00:00Z".into(),
    };
    let waiting = Event::Waiting {
        what: "a device to pair with".into(),
        peers: vec![],
        seconds: None,
        request_id: None,
    };
    check("invitation", || Screen::after(&[listening(), waiting.clone(), invite.clone()]));
}

/// A request with the worst text that a requester can send.
fn vicious() -> RequestView {
    let name = |text: &str| Label::new(&text.repeat(300));
    RequestView {
        purpose: name("\u{1b}[2J\u{202e}日本語\u{200b}e\u{301}\n"),
        source: Source::File {
            name: name("/\u{7}x\u{9b}31m "),
            size: u64::MAX,
            hash: HashFunction::Sha256,
            attached: false,
        },
        signers: (b'a'..=b'f')
            .map(|c| party(&char::from(c).to_string().repeat(60), 0x11 * (c - b'a' + 10)))
            .collect(),
        parties: 16,
        ..request()
    }
}

#[test]
fn at_80_by_24_an_ordinary_request_fits_and_nothing_of_any_request_is_cut() {
    let (text, overflow) =
        Screen::asked(&[Event::Request(Box::new(request()))]).drawn((80, 24), false);
    assert_eq!(overflow, 0, "{text}");
    for size in SIZES {
        for view in [request(), vicious()] {
            let all = Screen::asked(&[Event::Request(Box::new(view.clone()))]).read(size);
            let digits: String = all.split_whitespace().collect();
            let joined = digits.replace(['"'], "");
            assert!(
                joined.contains(&view.digits())
                    && joined.contains(&view.public_key.unwrap().to_string())
            );
            for signer in view.signers.iter().chain([&view.requester]).chain(&view.receivers) {
                assert!(joined.contains(&signer.fingerprint.to_hex()), "{}", signer.fingerprint);
                assert!(joined.contains(signer.name.as_str()));
            }
            // The requester's text is complete, with unprintable characters spelled out.
            let spelled = format!("{:?}", view.purpose).replace([' ', '"'], "");
            assert!(joined.contains(&spelled), "{size:?}\n{all}");
            assert!(
                all.contains("time left") && all.contains("by the requester, unseen: sha256 of")
            );
        }
    }
}

#[test]
fn nothing_that_another_device_says_reaches_the_terminal_raw() {
    let text = "a\u{1b}[31m\u{202e}\u{200b}\u{e000}e\u{301}\u{9b}b\r\n\t";
    let mut events = rounds();
    events.push(near(text, 0xaa, text));
    events.push(Event::Note { message: text.into() });
    events.push(Event::Waiting {
        what: text.into(),
        peers: vec![text.into()],
        seconds: None,
        request_id: None,
    });
    let mut hostile = vec![events];
    hostile.push(vec![listening(), inventory(), near(text, 0xee, text)]);
    hostile.push(vec![Event::Aborted {
        ceremony: text.into(),
        request_id: Some(text.into()),
        code: text.into(),
        message: text.into(),
        hint: Some(text.into()),
    }]);
    hostile.push(vec![Event::Code {
        code: text.into(),
        with: Compared::Device { peer: text.into(), fingerprint: text.into() },
        lasts: Lasts::KeptHere,
        warning: Some(text.into()),
        seconds: u64::MAX,
    }]);
    for events in hostile {
        for size in SIZES {
            let (drawn, _) = Screen::after(&events).drawn(size, false);
            let raw = drawn.chars().find(|c| {
                (c.is_control() && *c != '\n')
                    || matches!(c, '\u{200b}' | '\u{202e}' | '\u{301}' | '\u{e000}')
            });
            assert_eq!(raw, None, "{drawn}");
        }
    }
}

#[test]
fn no_size_makes_it_panic() {
    let scripts = [
        vec![listening(), inventory(), near("alice", 0xaa, "ready")],
        rounds(),
        vec![signed(None)],
        vec![aborted()],
    ];
    for columns in [1, 2, 3, 9, 16, 17, 39, 60, 200] {
        for rows in [1, 2, 3, 5, 9, 18] {
            for events in &scripts {
                Screen::after(events).drawn((columns, rows), true);
            }
            Screen::asked(&[code()]).drawn((columns, rows), true);
            Screen::asked(&[Event::Request(Box::new(vicious()))]).drawn((columns, rows), true);
        }
    }
}

#[test]
fn without_colour_the_same_is_said() {
    let mut events = rounds();
    events.push(aborted());
    let plain = Screen::after(&events).drawn((80, 24), false).0;
    assert_eq!(plain, Screen::after(&events).drawn((80, 24), true).0);
    assert!(plain.contains("✗ missing") && plain.contains("✓ 7 ms"));
}
