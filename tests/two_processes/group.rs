//! A group: several screens, six digits, one yes each.

use std::time::Duration;

use cosign::device::{Fingerprint, Label};
use cosign::driver::connect::hello::{hear, say};
use cosign::net::tls::{self, Expect, Tls, TlsLink, TlsVersion};
use cosign::net::{Link, tcp};
use cosign::protocol::pair::group::{Commitment, Committed, Compare, Member, Roster};
use cosign::request::Hex;
use cosign::secret::Secret;
use cosign::vault::{Home, attempts};
use cosign::wire::{GroupCommitment, GroupMember, GroupStep, Message, Reason, VERSION, Want};
use serde_json::{Value, json};

use crate::device::{Device, text};
use crate::insider::{block_on, call, opened, soon, until_closed};
use crate::terminal::Terminal;

const BEGIN: &str = "which next? [1-";
const QUESTION: &str = " screens show the same code and names? [y/N] ";

fn devices<const N: usize>(names: [&str; N]) -> [Device; N] {
    names.map(Device::new)
}

/// Alice's device gathers a group in a terminal.
fn gathering(alice: &Device) -> (Terminal, String) {
    let mut screen = alice.terminal(["pair", "--group", "--interface", "lo"]);
    let address = screen.address();
    (screen, address)
}

fn joining(device: &Device, address: &str) -> Terminal {
    device.terminal(["pair", "--join", "--peer", address])
}

/// The person at the gathering device waits for these, in the order in which they came, and begins.
fn begin(host: &mut Terminal, joined: &[&str]) {
    let names: Vec<String> = joined.iter().map(|name| format!("{name:?}")).collect();
    host.shows(&format!("pair this device and {}", names.join(", "))).shows(BEGIN);
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(Duration::from_millis(1200));
    host.types("1\n");
}

/// All devices, the first of which gathers, with the question about the code on each screen.
fn comparing(devices: &[Device]) -> Vec<Terminal> {
    let (first, others) = devices.split_first().unwrap();
    let (mut host, address) = gathering(first);
    let mut screens = Vec::new();
    for device in others {
        screens.push(joining(device, &address));
        host.shows(&format!("connected to {:?}", device.name));
    }
    let names: Vec<&str> = others.iter().map(|device| device.name.as_str()).collect();
    begin(&mut host, &names);
    screens.insert(0, host);
    ask_all(&mut screens);
    screens
}

/// All screens show the same names in the same order, and one code.
fn ask_all(screens: &mut [Terminal]) {
    let seen: Vec<(String, String)> = screens
        .iter_mut()
        .map(|screen| {
            screen.shows("pairing of ");
            (screen.shown_before("  lasts"), screen.code())
        })
        .collect();
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    screens.iter_mut().for_each(|screen| {
        screen.shows(QUESTION);
    });
}

/// Everybody ended with this code.
#[track_caller]
fn all_end(screens: Vec<Terminal>, code: i32) -> Vec<String> {
    let ended: Vec<_> = screens.into_iter().map(Terminal::ends).collect();
    assert!(ended.iter().all(|(ended, _)| *ended == Some(code)), "{ended:?}");
    ended.into_iter().map(|(_, said)| said).collect()
}

/// All people say yes, and every two devices are paired.
#[track_caller]
fn all_agree(mut screens: Vec<Terminal>, devices: &[Device]) {
    screens.iter_mut().for_each(|screen| {
        screen.types("y\n");
    });
    all_end(screens, 0);
    all_paired(devices);
}

/// No record on any device, and no log that says so.
#[track_caller]
fn nothing_stored(devices: &[Device]) {
    for device in devices {
        assert!(device.peers().is_empty(), "{} stored a record", device.name);
        assert!(!device.outcomes().contains(&"paired".to_owned()));
    }
}

/// Every two have each other, by the right fingerprint.
#[track_caller]
fn all_paired(devices: &[Device]) {
    let prints: Vec<String> = devices.iter().map(Device::fingerprint).collect();
    for (device, own) in devices.iter().zip(&prints) {
        let listed = device.run(["peers", "list"]).succeeds();
        let mut known: Vec<String> = listed["peers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|peer| text(&peer["fingerprint"]))
            .collect();
        let mut others: Vec<String> =
            prints.iter().filter(|print| *print != own).cloned().collect();
        known.sort();
        others.sort();
        assert_eq!(known, others, "{}", device.name);
        assert_eq!(device.outcomes().last().unwrap(), "paired");
    }
}

#[test]
fn three_screens_show_one_code_and_one_yes_each_pairs_every_two() {
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let names = ["alice", "bob", "carol"].map(|name| format!("{name}-{tag}"));
    let devices = [&names[0], &names[1], &names[2]].map(|name| Device::new(name));
    let [alice, bob, carol] = &devices;
    // They find one another by mDNS, and Bob is there before there is a group.
    let join =
        |device: &Device| device.terminal(["pair", "--join", &alice.name, "--interface", "lo"]);
    let at_bob = join(bob);
    let (mut at_alice, _) = gathering(alice);
    at_alice.shows("connected to");
    let at_carol = join(carol);
    begin(&mut at_alice, &[&bob.name, &carol.name]);
    let mut screens = vec![at_alice, at_bob, at_carol];
    ask_all(&mut screens);
    for screen in &mut screens[..2] {
        screen.types("y\n").shows(&carol.name);
    }
    assert!(devices.iter().all(|device| device.peers().is_empty()), "two of three are not enough");
    screens[2].types("y\n");
    for said in all_end(screens, 0) {
        assert!(said.contains("next, on one device: cosign keygen --key vault --with "), "{said}");
    }
    all_paired(&devices);
    for device in &devices {
        let listed = device.run(["peers", "list"]).succeeds();
        let is_temporary = |peer: &Value| peer["expires"].is_string();
        assert!(listed["peers"].as_array().unwrap().iter().all(is_temporary), "{listed}");
    }
    // Any of them makes a key with the others at once.
    let (at_alice, at_carol) = (alice.serve(&[bob]), carol.serve(&[bob]));
    let to = [(alice, &at_alice), (carol, &at_carol)]
        .map(|(device, listener)| format!("{}={}", device.name, listener.address()));
    let with = ["keygen", "--key", "vault", "--with", &alice.name, &carol.name];
    bob.run(with.iter().copied().chain(["--threshold", "2", "--peer", &to[0], "--peer", &to[1]]))
        .succeeds();
}

#[test]
fn a_key_is_made_with_the_group_at_once() {
    let tag = hex::encode(rand::random::<[u8; 4]>());
    let names = ["alice", "bob", "carol"].map(|name| format!("{name}-{tag}"));
    let devices = [&names[0], &names[1], &names[2]].map(|name| Device::new(name));
    let [alice, bob, carol] = &devices;
    let group = ["pair", "--group", "--interface", "lo", "--then-keygen", "vault", "--threshold"];
    // A threshold that no group has, and a name that is none, before anybody is asked.
    for (flags, says) in [(&["9"][..], "9"), (&["2", "--join"], "--join")] {
        alice.run(group.iter().chain(flags)).fails(2, says);
    }
    let mut host = alice.terminal(group.iter().chain(&["3"]));
    let address = host.address();
    let mut screens = Vec::new();
    for device in [bob, carol] {
        screens.push(joining(device, &address));
        host.shows(&format!("connected to {:?}", device.name));
    }
    begin(&mut host, &[&bob.name, &carol.name]);
    screens.insert(0, host);
    ask_all(&mut screens);
    screens.iter_mut().for_each(|screen| {
        screen.types("y\n");
    });
    let host = screens.remove(0);
    all_end(screens, 0);
    // They listen now, and say yes to the key.
    let mut others = [bob, carol]
        .map(|device| device.terminal(["listen", "--interface", "lo", "--port", "0", "--once"]));
    others.iter_mut().for_each(|other| {
        other.shows("\"vault\", 3 of 3").approves();
    });
    let (code, said) = host.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("key \"vault\": any 3 of "), "{said}");
    for device in &devices {
        let shown = device.run(["keys", "show", "vault"]).succeeds();
        assert_eq!((&shown["threshold"], &shown["confirmed"]), (&3.into(), &true.into()));
    }
    // The name is taken now, and nobody is gathered.
    let mut again = alice.terminal(group.iter().chain(&["2"]));
    again.shows("a key \"vault\" exists already");
    assert_eq!(again.ends().0, Some(12));
}

#[test]
fn eight_devices_are_a_group_and_a_ninth_is_not_let_in() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let (devices, ninth) = (names.map(Device::new), Device::new("i"));
    let (mut host, address) = gathering(&devices[0]);
    let mut screens = Vec::new();
    for device in &devices[1..] {
        screens.push(joining(device, &address));
        host.shows(&format!("connected to {:?}", device.name));
    }
    let (code, said) = joining(&ninth, &address).ends();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("8 devices at most"), "{said}");
    begin(&mut host, &names[1..]);
    screens.insert(0, host);
    ask_all(&mut screens);
    all_agree(screens, &devices);
}

#[test]
fn what_one_wants_to_keep_all_keep() {
    let devices = devices(["alice", "bob"]);
    let (mut host, address) = gathering(&devices[0]);
    let bob = devices[1].terminal(["pair", "--join", "--peer", &address, "--remember"]);
    begin(&mut host, &["bob"]);
    let mut screens = vec![host, bob];
    for screen in &mut screens {
        screen.shows("until it is forgotten, on both devices").shows(QUESTION).types("y\n");
    }
    all_end(screens, 0);
    for device in &devices {
        let listed = device.run(["peers", "list"]).succeeds();
        assert!(listed["peers"][0]["expires"].is_null(), "{listed}");
    }
}

#[test]
fn scripts_get_the_group_as_events_and_as_a_document() {
    let devices = devices(["alice", "bob"]);
    let (mut host, address) = gathering(&devices[0]);
    let mut command = devices[1].command(["--json", "--events", "pair", "--join", "--peer"]);
    let mut bob = Terminal::start(command.arg(&address));
    begin(&mut host, &["bob"]);
    let (code, print) = (host.code(), devices[0].fingerprint());
    bob.shows("\"event\":\"code\"").shows(&code).shows(&print).shows(QUESTION).types("y\n");
    host.shows(QUESTION).types("y\n");
    bob.shows("\"event\":\"paired_group\"").shows(&print);
    let (ended, said) = bob.ends();
    assert_eq!(ended, Some(0));
    let document = said.lines().find(|line| line.starts_with("{\"v\":1")).expect(&said);
    let document: Value = serde_json::from_str(document.trim()).unwrap();
    assert_eq!(document["result"]["peers"][0]["fingerprint"], json!(print));
    assert_eq!(host.ends().0, Some(0));
}

#[test]
fn one_no_ends_it_for_all_and_nothing_is_stored() {
    let devices = devices(["alice", "bob", "carol"]);
    for denier in [0, 2] {
        let mut screens = comparing(&devices);
        for (place, screen) in screens.iter_mut().enumerate() {
            if place != denier {
                screen.types("y\n").shows("waiting for");
            }
        }
        screens[denier].types("n\n");
        let said = all_end(screens, 3);
        assert!(said.iter().all(|said| said.contains("nothing was stored")), "{said:?}");
        let name = &devices[denier].name;
        let named = said.iter().filter(|said| said.contains(&format!("confirmed on {name}")));
        assert_eq!(named.count(), 2, "{said:?}");
        nothing_stored(&devices);
        for device in &devices {
            let charged = attempts::charged(&Home::at(device.home())).unwrap().charged;
            assert!(charged > 0, "{} did not count it", device.name);
            device.run(["pair", "--reset-attempts"]).succeeds();
        }
    }
}

#[test]
fn who_comes_late_is_refused_and_the_group_goes_on() {
    let devices = devices(["alice", "bob"]);
    let late = Device::new("carol");
    let (mut host, address) = gathering(&devices[0]);
    let bob = joining(&devices[1], &address);
    begin(&mut host, &["bob"]);
    let mut screens = vec![host, bob];
    ask_all(&mut screens);
    let (code, said) = joining(&late, &address).ends();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("the group of 127.0.0.1") && said.contains("has begun"), "{said}");
    all_agree(screens, &devices);
    assert!(late.peers().is_empty());
}

#[test]
fn who_leaves_before_it_begins_is_not_in_the_list() {
    let devices = devices(["alice", "bob"]);
    let gone = Device::new("carol");
    let (mut host, address) = gathering(&devices[0]);
    let carol = joining(&gone, &address);
    host.shows("pair this device and \"carol\"");
    carol.kill();
    let bob = joining(&devices[1], &address);
    begin(&mut host, &["bob"]);
    let mut screens = vec![host, bob];
    ask_all(&mut screens);
    all_agree(screens, &devices);
}

#[test]
fn the_person_at_the_gathering_device_can_put_one_out_and_answers_the_list_that_is_shown() {
    let devices = devices(["alice", "bob"]);
    let stranger = Device::new("mallory");
    let (mut host, address) = gathering(&devices[0]);
    let bob = joining(&devices[1], &address);
    host.shows("pair this device and \"bob\"").shows(BEGIN);
    let mallory = joining(&stranger, &address);
    // The answer was for the list without her.
    host.shows("pair this device and \"bob\", \"mallory\"").shows(BEGIN).types("1\n");
    host.shows("the list has just changed").shows(BEGIN);
    std::thread::sleep(Duration::from_millis(1200));
    host.types("4\n");
    let (code, said) = mallory.ends();
    assert_eq!(code, Some(12), "{said}");
    begin(&mut host, &["bob"]);
    // She is not let in again.
    let (code, said) = joining(&stranger, &address).ends();
    assert_eq!(code, Some(12), "{said}");
    let mut screens = vec![host, bob];
    ask_all(&mut screens);
    all_agree(screens, &devices);
    assert!(stranger.peers().is_empty());
}

#[test]
fn who_is_there_and_joins_again_changes_nothing_on_the_screen_of_the_host() {
    let devices = devices(["alice", "bob"]);
    let (mut host, address) = gathering(&devices[0]);
    let first = joining(&devices[1], &address);
    host.shows("pair this device and \"bob\"").shows(BEGIN);
    std::thread::sleep(Duration::from_millis(1200));
    let mut bob = joining(&devices[1], &address);
    // His first link is ended when he is in over the second one.
    assert_ne!(first.ends().0, Some(0));
    host.types("1\n");
    let since = host.shown_before("pairing of ");
    assert!(!since.contains("connected to") && !since.contains(BEGIN), "{since}");
    assert_eq!(host.code(), bob.code());
    let mut screens = vec![host, bob];
    for screen in &mut screens {
        screen.shows(QUESTION);
    }
    all_agree(screens, &devices);
}

#[test]
fn who_leaves_and_comes_again_and_again_is_no_longer_let_in() {
    let devices = devices(["alice", "bob"]);
    let stranger = Device::new("mallory");
    let (mut host, address) = gathering(&devices[0]);
    let bob = joining(&devices[1], &address);
    host.shows("pair this device and \"bob\"").shows(BEGIN);
    for _ in 0..5 {
        let mallory = joining(&stranger, &address);
        host.shows("pair this device and \"bob\", \"mallory\"").shows(BEGIN);
        mallory.kill();
        host.shows("pair this device and \"bob\"").shows(BEGIN);
    }
    let (code, said) = joining(&stranger, &address).ends();
    assert_eq!(code, Some(12), "{said}");
    std::thread::sleep(Duration::from_millis(1200));
    host.types("1\n");
    let mut screens = vec![host, bob];
    ask_all(&mut screens);
    all_agree(screens, &devices);
}

#[test]
fn a_device_that_dies_ends_it_for_all_and_nothing_is_stored() {
    let devices = devices(["alice", "bob", "carol"]);
    for dead in [0, 2] {
        let mut screens = comparing(&devices);
        screens[1].types("y\n").shows("waiting for");
        screens[dead].kill();
        let dying = screens.remove(dead);
        drop(dying);
        let said: Vec<(Option<i32>, String)> = screens.into_iter().map(Terminal::ends).collect();
        assert!(said.iter().all(|(code, _)| !matches!(code, Some(0) | None)), "{said:?}");
        nothing_stored(&devices);
        for device in &devices {
            device.run(["pair", "--reset-attempts"]).succeeds();
        }
    }
}

#[test]
fn ending_a_gathering_ends_it_for_those_who_joined() {
    let devices = devices(["alice", "bob"]);
    for by_choice in [true, false] {
        let (mut host, address) = gathering(&devices[0]);
        let bob = joining(&devices[1], &address);
        host.shows("pair this device and \"bob\"").shows(BEGIN);
        match by_choice {
            true => host.types("2\n"),
            false => host.interrupts(),
        };
        assert_eq!(host.ends().0, Some(if by_choice { 3 } else { 130 }));
        let (code, said) = bob.ends();
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("was interrupted by its owner"), "{said}");
        nothing_stored(&devices);
        assert_eq!(attempts::charged(&Home::at(devices[1].home())).unwrap().charged, 0);
    }
}

#[test]
fn who_pairs_with_one_device_is_told_of_the_group_and_the_other_way_round() {
    let [alice, bob] = devices(["alice", "bob"]);
    let (_host, address) = gathering(&alice);
    let (code, said) = bob.terminal(["pair", "--peer", &address]).ends();
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("pairs a group now") && said.contains("pair --join"), "{said}");
    let mut at_alice = alice.terminal(["listen", "--bind", "127.0.0.1", "--port", "0"]);
    let (code, said) = joining(&bob, &at_alice.address()).ends();
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains("gathers no group") && said.contains("pair --group"), "{said}");
    for device in [&alice, &bob] {
        assert_eq!(attempts::charged(&Home::at(device.home())).unwrap().charged, 0);
    }
}

#[test]
fn a_program_without_groups_is_named_before_anybody_is_asked() {
    let [bob] = devices(["bob"]);
    block_on(async {
        let (_, tls) = mallory();
        let (port, address) = listening().await;
        let at_bob = joining(&bob, &address);
        let (io, _) = port.accept().await;
        let mut link = tls.accept(io, Expect::Anyone).await.unwrap();
        assert!(matches!(
            hear(&mut link, soon()).await,
            Ok(Message::Hello { want: Want::Group, .. })
        ));
        let reason = json!({"refuse": {"reason": {"not_understood": {"message": "group"}}}});
        let Ok(refusal) = Message::from_bytes(reason.to_string().as_bytes()) else { panic!() };
        say(&mut link, &refusal).await.unwrap();
        let (code, said) = at_bob.ends();
        assert_eq!(code, Some(6), "{said}");
        assert!(said.contains("cosign 0.1.0 cannot pair a group"), "{said}");
    });
}

fn mallory() -> (Fingerprint, Tls) {
    let device = tls::Device::generate().unwrap();
    let own = Tls::new(&device, TlsVersion::Any).unwrap();
    (device.fingerprint, own)
}

async fn listening() -> (tcp::Listener, String) {
    let port = tcp::Listener::bind("127.0.0.1".parse().ok(), 0).await.unwrap();
    let address = port.address().unwrap().to_string();
    (port, address)
}

/// A member that is computed here.
struct Seat {
    member: Member,
    secrets: [[u8; 32]; 2],
}

impl Seat {
    fn of(fingerprint: Fingerprint, name: &str) -> Self {
        let member = Member { fingerprint, name: name.into() };
        Self { member, secrets: rand::random() }
    }

    fn committed(&self, roster: &Roster) -> (Committed, Commitment) {
        let [nonce, yes] = self.secrets.map(Secret::new);
        Committed::start(roster.clone(), &self.member.fingerprint, nonce, yes).unwrap()
    }
}

async fn send(link: &mut TlsLink, step: GroupStep) {
    say(link, &Message::Group(step)).await.unwrap();
}

async fn step(link: &mut TlsLink) -> GroupStep {
    match hear(link, soon()).await.unwrap() {
        Message::Group(step) => step,
        other => panic!("{other:?}"),
    }
}

/// Joins the group that is gathered at `address`, as "bob".
async fn joined(tls: &Tls, address: &str) -> TlsLink {
    let mut link = call(tls, address).await;
    let name = Label::new("bob");
    let hello = Message::Hello { version: VERSION, name, want: Want::Group, about: None };
    say(&mut link, &hello).await.unwrap();
    assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Welcome { .. })));
    link
}

/// Lets the next caller join a group that is gathered here.
async fn let_in(tls: &Tls, port: &tcp::Listener, name: &str) -> TlsLink {
    let (io, _) = port.accept().await;
    let mut link = tls.accept(io, Expect::Anyone).await.unwrap();
    let hello = hear(&mut link, soon()).await.unwrap();
    assert!(matches!(hello, Message::Hello { want: Want::Group, .. }));
    say(&mut link, &Message::Welcome { name: Label::new(name), about: None }).await.unwrap();
    link
}

fn list(roster: &Roster) -> GroupStep {
    let member = |member: &Member| GroupMember {
        fingerprint: Hex(*member.fingerprint.as_bytes()),
        name: Label::new(std::str::from_utf8(&member.name).unwrap()),
    };
    GroupStep::List { members: roster.members().iter().map(member).collect(), kept: false }
}

fn commitment(own: Commitment) -> GroupCommitment {
    GroupCommitment { nonce: Hex(own.nonce), yes: Hex(own.yes) }
}

/// Brings the device at `link` to its code, as the one that gathers: all others of its list are
/// `seats`. The first seat's view of the code is returned, and the yes of each.
async fn show(link: &mut TlsLink, name: &str, seats: &[Seat]) -> Compare {
    let mut members: Vec<Member> = seats.iter().map(|seat| seat.member.clone()).collect();
    members.push(Member { fingerprint: link.peer(), name: name.into() });
    members.sort_by_key(|member| member.fingerprint);
    let roster = Roster::new(members, false).unwrap();
    let victim = roster.place_of(&link.peer()).unwrap();
    send(link, list(&roster)).await;
    let GroupStep::Commit(theirs) = step(link).await else { panic!() };
    let theirs = Commitment { nonce: theirs.nonce.0, yes: theirs.yes.0 };
    let mut own: Vec<(Committed, Commitment)> =
        seats.iter().map(|seat| seat.committed(&roster)).collect();
    let in_order = |of_seat: &dyn Fn(usize) -> Commitment| -> Vec<Commitment> {
        let place = |member: &Member| seats.iter().position(|seat| seat.member == *member);
        roster.members().iter().map(|m| place(m).map_or(theirs, of_seat)).collect()
    };
    let all = in_order(&|seat| own[seat].1);
    let steps = all.iter().map(|one| commitment(*one)).collect();
    send(link, GroupStep::Commitments { all: steps }).await;
    let GroupStep::Open { nonce } = step(link).await else { panic!() };
    let place = |seat: &Seat| roster.place_of(&seat.member.fingerprint).unwrap();
    let mut nonces = vec![nonce.0; roster.members().len()];
    for seat in seats {
        nonces[place(seat)] = seat.secrets[0];
    }
    assert_eq!(nonces[victim], nonce.0);
    send(link, GroupStep::Openings { nonces: nonces.iter().copied().map(Hex).collect() }).await;
    own.remove(0).0.open(all).unwrap().0.compare(&nonces).unwrap()
}

async fn says_yes(link: &mut TlsLink, compare: &Compare, seat: &Seat) {
    let place = compare.roster().place_of(&seat.member.fingerprint).unwrap();
    let member = u8::try_from(place).unwrap() + 1;
    send(link, GroupStep::Yes { member, opening: Hex(seat.secrets[1]) }).await;
}

#[test]
fn somebody_between_two_of_them_makes_the_codes_differ() {
    let devices = devices(["alice", "bob"]);
    let [alice, bob] = &devices;
    let (mut at_alice, address) = gathering(alice);
    block_on(async {
        let (me, tls) = mallory();
        // To Alice, who gathers, it is Bob.
        let mut left = joined(&tls, &address).await;
        begin(&mut at_alice, &["bob"]);
        let GroupStep::List { members, kept } = step(&mut left).await else { panic!() };
        let member = |one: &GroupMember| Member {
            fingerprint: Fingerprint::new(one.fingerprint.0),
            name: one.name.as_str().into(),
        };
        let roster = Roster::new(members.iter().map(member).collect(), kept).unwrap();
        let seat = Seat::of(me, "bob");
        let (committed, own) = seat.committed(&roster);
        send(&mut left, GroupStep::Commit(commitment(own))).await;
        let GroupStep::Commitments { all } = step(&mut left).await else { panic!() };
        let all: Vec<Commitment> =
            all.iter().map(|one| Commitment { nonce: one.nonce.0, yes: one.yes.0 }).collect();
        let (opened, own) = committed.open(all).unwrap();
        send(&mut left, GroupStep::Open { nonce: Hex(own) }).await;
        let GroupStep::Openings { nonces } = step(&mut left).await else { panic!() };
        let nonces: Vec<[u8; 32]> = nonces.iter().map(|nonce| nonce.0).collect();
        let with_alice = opened.compare(&nonces).unwrap();
        says_yes(&mut left, &with_alice, &seat).await;
        // To Bob, who joins, it is Alice.
        let (port, here) = listening().await;
        let mut at_bob = joining(bob, &here);
        let mut right = let_in(&tls, &port, "alice").await;
        let with_bob = show(&mut right, "bob", &[Seat::of(me, "alice")]).await;
        let (seen_by_alice, seen_by_bob) = (at_alice.code(), at_bob.code());
        assert_eq!(
            (&seen_by_alice, &seen_by_bob),
            (&with_alice.code().to_string(), &with_bob.code().to_string())
        );
        assert_ne!(seen_by_alice, seen_by_bob);
        for screen in [&mut at_alice, &mut at_bob] {
            screen.shows(QUESTION).types("n\n");
        }
        assert_eq!((at_alice.ends().0, at_bob.ends().0), (Some(3), Some(3)));
        drop((left, right));
    });
    nothing_stored(&devices);
}

#[test]
fn a_gathering_device_that_shows_two_lists_shows_two_codes() {
    let devices = devices(["bob", "carol"]);
    block_on(async {
        let (me, tls) = mallory();
        let (port, here) = listening().await;
        let (mut screens, mut links, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        for (device, other) in devices.iter().zip(["carol", "bob"]) {
            // Each is shown another key in place of the other one.
            screens.push(joining(device, &here));
            let mut link = let_in(&tls, &port, "mallory").await;
            let seats = [Seat::of(me, "mallory"), Seat::of(mallory().0, other)];
            let compare = show(&mut link, &device.name, &seats).await;
            for seat in &seats {
                says_yes(&mut link, &compare, seat).await;
            }
            codes.push(compare.code().to_string());
            links.push(link);
        }
        let seen: Vec<String> = screens.iter_mut().map(Terminal::code).collect();
        assert_eq!(seen, codes);
        assert_ne!(seen[0], seen[1]);
        for screen in &mut screens {
            screen.shows(QUESTION).types("n\n");
        }
        all_end(screens, 3);
    });
    nothing_stored(&devices);
}

#[test]
fn lists_and_steps_that_are_not_those_of_a_group_end_it_before_a_code() {
    let bob = Device::new("bob");
    let own: Fingerprint = bob.fingerprint().parse().unwrap();
    block_on(async {
        let (me, tls) = mallory();
        let (port, here) = listening().await;
        let seat = |fingerprint, name: &str| Seat::of(fingerprint, name).member;
        let roster = |members: Vec<Member>| {
            let mut members = members;
            members.sort_by_key(|member| member.fingerprint);
            Roster::new(members, false).unwrap()
        };
        let honest = roster(vec![seat(me, "alice"), seat(own, "bob")]);
        let GroupStep::List { members, .. } = list(&honest) else { panic!() };
        let wrong = [
            // Bob under another name, or without the one that he is connected to, or without him.
            list(&roster(vec![seat(me, "alice"), seat(own, "rob")])),
            list(&roster(vec![seat(mallory().0, "alice"), seat(own, "bob")])),
            list(&roster(vec![seat(me, "alice"), seat(mallory().0, "bob")])),
            list(&roster(vec![seat(me, "eve"), seat(own, "bob")])),
            GroupStep::List { members: members.iter().rev().cloned().collect(), kept: false },
            GroupStep::List { members: vec![members[0].clone(); 2], kept: false },
            GroupStep::List { members: Vec::new(), kept: false },
            GroupStep::Open { nonce: Hex([1; 32]) },
            GroupStep::Ended { member: 2, reason: Reason::Denied },
        ];
        for wrong in wrong {
            let at_bob = joining(&bob, &here);
            let mut link = let_in(&tls, &port, "alice").await;
            send(&mut link, wrong.clone()).await;
            let (code, said) = at_bob.ends();
            assert_eq!(code, Some(6), "{wrong:?}: {said}");
            assert!(!said.contains("  code  "), "{said}");
            until_closed(link).await;
        }
        // His own commitment, or a nonce, is another one.
        for altered in [true, false] {
            let at_bob = joining(&bob, &here);
            let mut link = let_in(&tls, &port, "alice").await;
            send(&mut link, list(&honest)).await;
            let GroupStep::Commit(mut theirs) = step(&mut link).await else { panic!() };
            let mine = commitment(Seat::of(me, "alice").committed(&honest).1);
            theirs.yes.0[0] ^= u8::from(altered);
            let mut all = vec![mine, theirs];
            if own < me {
                all.reverse();
            }
            send(&mut link, GroupStep::Commitments { all }).await;
            if !altered {
                let GroupStep::Open { nonce } = step(&mut link).await else { panic!() };
                let nonces = vec![nonce; 2];
                send(&mut link, GroupStep::Openings { nonces }).await;
            }
            let (code, said) = at_bob.ends();
            assert_eq!(code, Some(5), "{said}");
            assert!(said.contains("did not keep to its commitment"), "{said}");
            assert!(!said.contains("  code  "), "{said}");
        }
    });
    nothing_stored(&[bob]);
}

#[test]
fn a_second_list_or_a_yes_that_is_none_ends_it() {
    let bob = Device::new("bob");
    block_on(async {
        let (me, tls) = mallory();
        let (port, here) = listening().await;
        for second_list in [true, false] {
            let mut at_bob = joining(&bob, &here);
            let mut link = let_in(&tls, &port, "alice").await;
            let seat = Seat::of(me, "alice");
            let compare = show(&mut link, "bob", std::slice::from_ref(&seat)).await;
            at_bob.shows(QUESTION);
            match second_list {
                true => send(&mut link, list(compare.roster())).await,
                false => {
                    let other = Seat::of(me, "alice");
                    says_yes(&mut link, &compare, &other).await;
                }
            }
            let (code, said) = at_bob.ends();
            assert_eq!(code, Some(if second_list { 6 } else { 5 }), "{said}");
            until_closed(link).await;
        }
    });
    nothing_stored(&[bob]);
}

#[test]
fn a_last_yes_that_is_withheld_stores_nothing_and_can_be_repaired() {
    let devices = devices(["alice", "bob"]);
    let bob = &devices[1];
    block_on(async {
        let (me, tls) = mallory();
        let (port, here) = listening().await;
        let mut at_bob = joining(bob, &here);
        let mut link = let_in(&tls, &port, "alice").await;
        show(&mut link, "bob", &[Seat::of(me, "alice"), Seat::of(mallory().0, "carol")]).await;
        at_bob.shows(QUESTION).types("y\n").shows("waiting for");
        // Whoever gathers holds every yes, and could have stored Bob by now.
        assert!(matches!(step(&mut link).await, GroupStep::Yes { .. }));
        link.close().await;
        let (code, said) = at_bob.ends();
        assert_eq!(code, Some(4), "{said}");
        for part in ["the yes of ", "alice", "carol", "nothing was stored", "again is safe"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    });
    nothing_stored(&devices);
    let screens = comparing(&devices);
    all_agree(screens, &devices);
    // And once more: what is stored stays.
    let screens = comparing(&devices);
    all_agree(screens, &devices);
}

#[test]
fn a_device_that_does_not_say_that_it_stored_is_named() {
    let alice = Device::new("alice");
    let (mut at_alice, address) = gathering(&alice);
    block_on(async {
        let (me, tls) = mallory();
        let mut link = joined(&tls, &address).await;
        begin(&mut at_alice, &["bob"]);
        let GroupStep::List { members, .. } = step(&mut link).await else { panic!() };
        let members = members.iter().map(|one| Member {
            fingerprint: Fingerprint::new(one.fingerprint.0),
            name: one.name.as_str().into(),
        });
        let roster = Roster::new(members.collect(), false).unwrap();
        let seat = Seat::of(me, "bob");
        let (_, own) = seat.committed(&roster);
        send(&mut link, GroupStep::Commit(commitment(own))).await;
        assert!(matches!(step(&mut link).await, GroupStep::Commitments { .. }));
        send(&mut link, GroupStep::Open { nonce: Hex(seat.secrets[0]) }).await;
        assert!(matches!(step(&mut link).await, GroupStep::Openings { .. }));
        let member = u8::try_from(roster.place_of(&me).unwrap()).unwrap() + 1;
        send(&mut link, GroupStep::Yes { member, opening: Hex(seat.secrets[1]) }).await;
        at_alice.shows(QUESTION).types("y\n");
        assert!(matches!(step(&mut link).await, GroupStep::Yes { .. }));
        link.close().await;
        at_alice.shows("bob has not said that it stored the pairings");
        assert_eq!(at_alice.ends().0, Some(0));
    });
    assert_eq!(alice.peers(), ["bob"]);
}

#[test]
fn a_lying_member_is_named_to_the_others() {
    let devices = devices(["alice", "carol"]);
    let [alice, carol] = &devices;
    let (mut at_alice, address) = gathering(alice);
    block_on(async {
        let (_, tls) = mallory();
        let mut link = joined(&tls, &address).await;
        at_alice.shows("connected to \"bob\"");
        let at_carol = joining(carol, &address);
        begin(&mut at_alice, &["bob", "carol"]);
        assert!(matches!(step(&mut link).await, GroupStep::List { .. }));
        let one = GroupCommitment { nonce: Hex([1; 32]), yes: Hex([2; 32]) };
        send(&mut link, GroupStep::Commit(one)).await;
        assert!(matches!(step(&mut link).await, GroupStep::Commitments { .. }));
        send(&mut link, GroupStep::Open { nonce: Hex([3; 32]) }).await;
        for said in all_end(vec![at_alice], 5) {
            assert!(said.contains("bob did not keep to its commitment"), "{said}");
        }
        let (code, said) = at_carol.ends();
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("bob") && !said.contains("  code  "), "{said}");
    });
    nothing_stored(&devices);
}

#[test]
fn failed_groups_use_up_attempts_until_the_owner_resets_them() {
    let [alice] = devices(["alice"]);
    let node = opened(&alice);
    for _ in 0..3 {
        attempts::charge(&node.home, "group").unwrap();
    }
    // The owner is asked before anybody joins.
    let mut screen = alice.terminal(["pair", "--group", "--interface", "lo"]);
    screen.shows("somebody may be guessing codes: pair all the same?").types("n\n");
    let (code, said) = screen.ends();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("--reset-attempts"), "{said}");
    // Pairing with one device is not held up by them.
    attempts::charge(&node.home, "10.0.0.1").unwrap();
    let mut screen = alice.terminal(["pair", "--group", "--interface", "lo"]);
    screen.shows("somebody may be guessing codes: pair all the same?").types("y\n");
    let _ = screen.address();
    assert_eq!(attempts::charged(&node.home).unwrap().charged, 0);
}
