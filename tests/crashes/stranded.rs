//! Refreshes whose last messages were withheld: whichever party is gone or lies afterwards, the
//! others sign as they would have without the refresh (§3.5).

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use cosign::device::{Fingerprint, Label, hex};
use cosign::driver::ceremony::propose::propose_and_start;
use cosign::driver::ceremony::started::Started;
use cosign::driver::ceremony::{confirmations, epochs};
use cosign::driver::connect::hello::{hear, say};
use cosign::driver::connect::peer_links::Incoming;
use cosign::driver::connect::target::{Route, Target};
use cosign::driver::{Node, ROUND, clock, records};
use cosign::net::tls::Expect;
use cosign::party::PartyId;
use cosign::protocol::key::Confirmation;
use cosign::protocol::keygen::refresh;
use cosign::protocol::machine::Output;
use cosign::protocol::wire::Kind as Step;
use cosign::request::{Action, Agreed, Ceremony, Held, Hex};
use cosign::secret::Secret;
use cosign::vault::{Confirmed, KeyRecord, KeyState, Ledger, PartyRecord, keys};
use cosign::wire::{Message, Proposal};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::device::{Device, Ended, Listener, introduce, two_with_key};
use crate::insider::{
    asked, block_on, enter, held, only_key, opened, port, proposal, shares as offered, soon,
    take_key, until_closed,
};
use crate::survey::{DIGEST, whole};
use crate::unfinished::{Before, folder};

/// The key `vault` of two of three, and everybody listening.
fn three() -> ([Device; 3], [Listener; 3]) {
    let devices = ["alice", "bob", "carol"].map(Device::new);
    let [alice, bob, carol] = &devices;
    introduce(&[alice, bob, carol]);
    let listeners =
        [alice.serve(&[bob, carol]), bob.serve(&[alice, carol]), carol.serve(&[alice, bob])];
    let routes = [route(bob, &listeners[1]), route(carol, &listeners[2])];
    let keygen = ["keygen", "--key", "vault", "--threshold", "2", "--with", "bob,carol"];
    let peers = ["--peer", &routes[0], "--peer", &routes[1]];
    alice.run(keygen.iter().chain(&peers)).succeeds();
    (devices, listeners)
}

fn route(device: &Device, listener: &Listener) -> String {
    format!("{}={}", device.name, listener.address())
}

/// `alice` makes new shares with all the others.
#[track_caller]
fn refreshes(alice: &Device, others: &[(&Device, &Listener)]) {
    let routes: Vec<String> = others.iter().map(|(who, at)| route(who, at)).collect();
    let peers = routes.iter().flat_map(|route| ["--peer", route]);
    alice.run(["keys", "refresh", "vault"].into_iter().chain(peers)).succeeds();
}

/// `asker` and `other` sign, and the signature is one of the key `vault`.
#[track_caller]
fn sign(asker: &Device, other: &Device, at: &Listener) {
    let to = route(other, at);
    let signed =
        asker.run(["sign", DIGEST, "--key", "vault", "--with", &other.name, "--peer", &to]);
    let der = signed.succeeds()["der"].as_str().unwrap().to_owned();
    asker.run(["verify", DIGEST, &der, "--key", "vault"]).succeeds();
}

/// Both of them, killed before and after, sign with each other whoever asks.
#[track_caller]
fn both_sign(alice: &Device, bob: &Device) {
    let (at_alice, at_bob) = (alice.serve(&[bob]), bob.serve(&[alice]));
    sign(alice, bob, &at_bob);
    sign(bob, alice, &at_alice);
}

fn shown(device: &Device) -> Value {
    device.run(["keys", "show", "vault"]).succeeds()
}

/// The sealed shares of the key `vault`, and what is in them.
fn shares(device: &Device) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder(device)).unwrap().map(|file| file.unwrap().path());
    let mut shares: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "age"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    shares.sort();
    shares
}

/// The parties that have not confirmed each pending epoch on `device`, the oldest epoch first.
fn missing(device: &Device) -> Vec<Vec<String>> {
    let names = |epoch: &Value| {
        assert_eq!(epoch["signs"], true);
        let missing = epoch["missing"].as_array().unwrap().iter();
        missing.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    shown(device)["pending"].as_array().into_iter().flatten().map(names).collect()
}

/// The shares that a device holds after a refresh.
pub(crate) struct New {
    record: KeyRecord,
    share: Secret<Vec<u8>>,
    confirmation: Confirmation,
}

impl New {
    pub(crate) fn of(device: &Device) -> Self {
        let node = opened(device);
        let record = only_key(&node);
        let stored = keys::confirmation(&node.home, "vault", &record.epoch).unwrap();
        Self {
            share: node.vault.share("vault", &record.epoch).unwrap(),
            confirmation: Confirmation::from_bytes(&stored).unwrap(),
            record,
        }
    }

    /// Stores it in `node` as pending, with what was heard from others.
    pub(crate) fn stored_in(&self, node: &Node, heard: &[&New]) {
        let New { record, share, confirmation } = self;
        let record = KeyRecord { state: KeyState::Pending, ..record.clone() };
        node.vault.store_pending(&record, share, &confirmation.to_bytes()).unwrap();
        for other in heard {
            node.vault.store_confirmed("vault", &record.epoch, &other.said()).unwrap();
        }
        confirmations::settle(node, "vault").unwrap();
    }

    /// What the party said to the others.
    fn said(&self) -> Confirmed {
        Confirmed { party: self.record.me, statement: self.confirmation.message() }
    }
}

/// Leaves `device` as it is when it has stored each of these shares and has heard what is listed
/// beside it, and nothing else.
pub(crate) fn arrange(device: &Device, before: &Before, stored: &[(&New, &[&New])]) {
    before.restore(device);
    let node = opened(device);
    stored.iter().for_each(|(new, heard)| new.stored_in(&node, heard));
    whole(device);
}

/// Those of `all` whose bit is set.
fn chosen(bits: u8, all: [&New; 2]) -> Vec<&New> {
    all.into_iter().zip(0..).filter(|(_, i)| bits >> i & 1 == 1).map(|(new, _)| new).collect()
}

#[test]
fn whichever_last_messages_are_withheld_two_of_three_sign_without_the_third() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    refreshes(&alice, &[(&bob, &at_bob), (&carol, &at_carol)]);
    let [a, b, c] = [&alice, &bob, &carol].map(New::of);
    drop((at_alice, at_bob, at_carol, carol));
    for bits in 0..16 {
        let (by_alice, by_bob) = (chosen(bits & 3, [&b, &c]), chosen(bits >> 2, [&a, &c]));
        arrange(&alice, &of_alice, &[(&a, &by_alice)]);
        arrange(&bob, &of_bob, &[(&b, &by_bob)]);
        // The old shares go with the last confirmation, and not before.
        for (device, heard) in [(&alice, by_alice.len()), (&bob, by_bob.len())] {
            let pending = missing(device);
            assert_eq!(pending.is_empty(), heard == 2, "{bits:04b}");
            assert!(pending.iter().all(|missing| missing.len() == 2 - heard), "{bits:04b}");
        }
        both_sign(&alice, &bob);
    }
}

#[test]
fn whichever_last_messages_are_lost_two_of_two_sign_and_finish_when_either_comes_back() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    refreshes(&alice, &[(&bob, &listener)]);
    drop(listener);
    let (a, b) = (New::of(&alice), New::of(&bob));
    for (bits, asker_is_alice) in (0..4).flat_map(|bits| [(bits, true), (bits, false)]) {
        let heard = |bit: u8, other| if bits & bit == 0 { vec![] } else { vec![other] };
        arrange(&alice, &of_alice, &[(&a, &heard(1, &b))]);
        arrange(&bob, &of_bob, &[(&b, &heard(2, &a))]);
        both_sign(&alice, &bob);
        let (asker, other) = if asker_is_alice { (&alice, &bob) } else { (&bob, &alice) };
        let at_other = other.serve(&[asker]);
        let to = at_other.address();
        asker.run(["keygen", "--resume", "--key", "vault", "--peer", &to]).succeeds();
        drop(at_other);
        assert!(missing(&alice).is_empty() && missing(&bob).is_empty(), "{bits:02b}");
        both_sign(&alice, &bob);
    }
}

/// Alice was killed when she had heard Bob, and before he heard her.
#[test]
fn who_was_killed_with_every_confirmation_in_hand_finishes_it_for_the_others_too() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    refreshes(&alice, &[(&bob, &listener)]);
    drop(listener);
    let (a, b) = (New::of(&alice), New::of(&bob));
    for bob_is_there in [true, false] {
        arrange(&alice, &of_alice, &[(&a, &[])]);
        arrange(&bob, &of_bob, &[(&b, &[])]);
        let node = opened(&alice);
        node.vault.store_confirmed("vault", &a.record.epoch, &b.said()).unwrap();
        drop(node);
        assert_eq!(missing(&alice), [Vec::<String>::new()]);
        let at_bob = bob_is_there.then(|| bob.serve(&[&alice]));
        let nowhere = "127.0.0.1:1".to_owned();
        let to = at_bob.as_ref().map_or(nowhere, Listener::address);
        alice.run(["keygen", "--resume", "--key", "vault", "--peer", &to]).succeeds();
        assert!(missing(&alice).is_empty());
        assert_eq!(missing(&bob).is_empty(), bob_is_there);
        drop(at_bob);
        both_sign(&alice, &bob);
    }
}

/// Carol asks for a refresh, takes part in it, says nothing to `withheld_from` in the end, and is gone when the
/// others have what she gave.
async fn withholds(carol: &Arc<Node>, invitees: Vec<(PartyId, Target)>, withheld_from: &[u8]) {
    let record = only_key(carol);
    let key = take_key(carol, &record).await.unwrap();
    let question = asked(carol, &record, Action::Refresh(offered(carol, &record)));
    let others: Vec<PartyId> = invitees.iter().map(|(party, _)| *party).collect();
    let Started { mut links, id, .. } =
        propose_and_start(carol, &question, invitees).await.unwrap();
    let mut machine =
        refresh(&crate::insider::share(&key), id, &clock::random().unwrap(), ROUND).unwrap();
    machine.start(clock::now());
    let mut awaited: Vec<PartyId> =
        others.iter().copied().filter(|p| !withheld_from.contains(&p.get())).collect();
    let mut confirmed = Vec::new();
    while !awaited.is_empty() || confirmed.len() < others.len() {
        while let Some(output) = machine.poll() {
            if let Output::Send { to, bytes } = output {
                let last = bytes.expose()[1] == Step::Kg4b.tag();
                if !(last && withheld_from.contains(&to.get())) {
                    links.send(to, bytes).await.unwrap();
                }
            }
        }
        let (party, incoming) = links.recv().await;
        match incoming {
            Incoming::Protocol(bytes) => {
                if bytes[1] == Step::Kg4b.tag() {
                    confirmed.push(party);
                }
                machine.handle(clock::now(), party, &bytes);
            }
            Incoming::Control(Message::Finished) => awaited.retain(|other| *other != party),
            other => panic!("{other:?}"),
        }
    }
}

/// The other parties, where they listen.
fn invitees(record: &KeyRecord, at: &[(&str, &Listener)]) -> Vec<(PartyId, Target)> {
    let find = |name: &str| record.parties.iter().find(|party| party.name == name).unwrap();
    let invitee = |(name, listener): &(&str, &Listener)| {
        let party = find(name);
        let route = Route::Address(listener.address());
        let fingerprint = Some(party.fingerprint);
        (party.index, Target { name: Label::new(name), fingerprint, route })
    };
    at.iter().map(invitee).collect()
}

#[test]
fn a_liar_that_confirms_to_one_and_is_gone_strands_nobody_and_ends_it_when_it_is_back() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    drop(at_carol);
    let node = opened(&carol);
    let record = only_key(&node);
    let party = |name: &str| record.parties.iter().find(|p| p.name == name).unwrap().index;
    let invitees = invitees(&record, &[("alice", &at_alice), ("bob", &at_bob)]);
    block_on(withholds(&node, invitees, &[party("bob").get()]));
    drop((node, at_alice, at_bob));
    assert_eq!(missing(&alice), Vec::<Vec<String>>::new());
    // Carol is awaited, and Alice too where Bob heard that Carol was gone first.
    assert!(missing(&bob).concat().contains(&"carol".to_owned()));
    both_sign(&alice, &bob);
    let nowhere = "carol=127.0.0.1:1";
    let resume = ["keygen", "--resume", "--key", "vault", "--timeout", "1s", "--peer"];
    bob.run(resume.iter().chain(&[nowhere])).fails(4, "carol");
    let again = ["keys", "refresh", "vault", "--timeout", "1s", "--peer", nowhere];
    bob.run(again).fails(4, "carol");
    both_sign(&alice, &bob);
    // She has nothing of the new shares, since she never stored them: a refresh of what all have.
    let (at_bob, at_carol) = (bob.serve(&[&alice, &carol]), carol.serve(&[&alice, &bob]));
    let apart = alice.run([
        "keys",
        "refresh",
        "vault",
        "--peer",
        &route(&bob, &at_bob),
        "--peer",
        &route(&carol, &at_carol),
    ]);
    apart.fails(10, "carol has generation 1");
    drop((at_bob, at_carol));
    both_sign(&alice, &bob);
}

#[test]
fn a_liar_that_confirms_to_nobody_and_is_gone_strands_nobody() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    drop(at_carol);
    let node = opened(&carol);
    let record = only_key(&node);
    let invitees = invitees(&record, &[("alice", &at_alice), ("bob", &at_bob)]);
    let withheld_from: Vec<u8> = invitees.iter().map(|(party, _)| party.get()).collect();
    block_on(withholds(&node, invitees, &withheld_from));
    drop((node, carol, at_alice, at_bob));
    for device in [&alice, &bob] {
        assert!(missing(device).concat().contains(&"carol".to_owned()), "{}", device.name);
        assert_eq!(shares(device).len(), 2, "{}", device.name);
    }
    both_sign(&alice, &bob);
}

#[test]
fn confirmations_that_arrived_survive_kills_and_only_the_missing_party_is_needed() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    let of_bob = Before::of(&bob);
    refreshes(&alice, &[(&bob, &at_bob), (&carol, &at_carol)]);
    let [a, b] = [&alice, &bob].map(New::of);
    drop((at_alice, at_bob));
    arrange(&bob, &of_bob, &[(&b, &[&a])]);
    assert!(missing(&bob).concat().contains(&"carol".to_owned()));
    drop(alice);
    let to = route(&carol, &at_carol);
    bob.run(["keygen", "--resume", "--key", "vault", "--peer", &to]).succeeds();
    assert!(missing(&bob).is_empty());
    sign(&bob, &carol, &at_carol);
}

#[test]
fn a_refresh_after_a_stuck_one_begins_with_the_newest_shares_that_all_have() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    let of_bob = Before::of(&bob);
    refreshes(&alice, &[(&bob, &at_bob), (&carol, &at_carol)]);
    let b = New::of(&bob);
    arrange(&bob, &of_bob, &[(&b, &[])]);
    refreshes(&alice, &[(&bob, &at_bob), (&carol, &at_carol)]);
    for device in [&alice, &bob, &carol] {
        assert_eq!(shown(device)["generation"], 3, "on {}", device.name);
        assert!(missing(device).is_empty());
        assert_eq!(shares(device).len(), 1, "on {}", device.name);
    }
    drop((at_alice, at_bob));
    both_sign(&alice, &bob);
    sign(&bob, &carol, &at_carol);
}

/// What a command that failed advises.
fn advice(ended: &Ended) -> String {
    ended.document()["error"]["hint"].as_str().unwrap().to_owned()
}

/// A network that cuts every refresh at its end: Alice stored all of them, and Bob none.
#[test]
fn as_many_refreshes_cut_short_as_may_be_leave_a_key_that_signs_and_no_hint_that_leads_back() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    let stored: Vec<New> = (0..keys::MAX_PENDING)
        .map(|_| {
            refreshes(&alice, &[(&bob, &listener)]);
            New::of(&alice)
        })
        .collect();
    drop(listener);
    of_bob.restore(&bob);
    let unheard: Vec<(&New, &[&New])> = stored.iter().map(|new| (new, &[][..])).collect();
    arrange(&alice, &of_alice, &unheard);
    both_sign(&alice, &bob);
    let (at_alice, at_bob) = (alice.serve(&[&bob]), bob.serve(&[&alice]));
    for (device, to) in [(&alice, at_bob.address()), (&bob, at_alice.address())] {
        let refresh = ["keys", "refresh", "vault", "--peer", &to];
        // Alice tried to finish them before, which cannot help; Bob has nothing to finish.
        let hint = advice(&device.run(refresh).fails(12, "unfinished"));
        assert!(hint.contains("cosign keys show vault"), "{hint}");
        assert_eq!(hint.contains("--resume"), device.name == "bob", "{hint}");
        let resume = ["keygen", "--resume", "--key", "vault", "--peer", &to];
        match device.name.as_str() {
            "alice" => {
                let hint = advice(&device.run(resume).fails(12, "bob"));
                assert!(!hint.contains('`'), "{hint}");
            }
            _ => drop(device.run(resume).succeeds()),
        }
    }
    drop((at_alice, at_bob));
    both_sign(&alice, &bob);
}

#[test]
fn a_confirmation_that_comes_after_another_refresh_strands_nobody() {
    let ([alice, bob, carol], [at_alice, at_bob, at_carol]) = three();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    let mut shares = Vec::new();
    for _ in 0..2 {
        refreshes(&alice, &[(&bob, &at_bob), (&carol, &at_carol)]);
        shares.push([&alice, &bob, &carol].map(New::of));
    }
    drop((at_alice, at_bob, at_carol));
    let [[a1, b1, c1], [a2, b2, c2]] = <[_; 2]>::try_from(shares).ok().unwrap();
    // Carol confirms the older of two stuck refreshes to Alice alone, then the newer to Bob alone.
    let cases: [[&[&New]; 4]; 4] = [
        [&[&b1], &[&b2], &[&a1], &[&a2]],
        [&[&b1, &c1], &[&b2], &[&a1], &[&a2]],
        [&[&b1, &c1], &[&b2], &[&a1], &[&a2, &c2]],
        [&[&b1, &c1], &[&b2, &c2], &[], &[]],
    ];
    for [a_hears, a_hears_later, b_hears, b_hears_later] in cases {
        arrange(&alice, &of_alice, &[(&a1, a_hears), (&a2, a_hears_later)]);
        arrange(&bob, &of_bob, &[(&b1, b_hears), (&b2, b_hears_later)]);
        both_sign(&alice, &bob);
    }
}

/// Alice with old and new shares, and Bob, who has confirmed the new ones to nobody and will lie.
fn alice_and_a_liar() -> ([Device; 2], Arc<Node>, [Held; 2]) {
    let (alice, bob, listener) = two_with_key();
    let of_alice = Before::of(&alice);
    let old = opened(&bob);
    let old = held(&old, &only_key(&old));
    refreshes(&alice, &[(&bob, &listener)]);
    drop(listener);
    let a = New::of(&alice);
    arrange(&alice, &of_alice, &[(&a, &[])]);
    let node = opened(&bob);
    let new = held(&node, &only_key(&node));
    ([alice, bob], node, [new, old])
}

#[test]
fn a_start_that_names_an_older_epoch_than_all_have_is_refused() {
    let ([alice, device], bob, [new, old]) = alice_and_a_liar();
    let mut listener = alice.serve(&[&device]);
    let record = only_key(&bob);
    block_on(async {
        let all = vec![new.epoch, old.epoch];
        let wrong: [(Hex<32>, Vec<Hex<32>>, Vec<Hex<32>>); 4] = [
            (old.epoch, all.clone(), all.clone()),
            (old.epoch, all.clone(), vec![old.epoch]),
            (old.epoch, vec![old.epoch], all.clone()),
            (Hex([9; 32]), all.clone(), all.clone()),
        ];
        for (epoch, mine, theirs) in wrong {
            let mut link = enter(&bob.tls, &listener.address()).await;
            let asked = Proposal { epochs: vec![new, old], ..proposal(&bob, &record) };
            let nonce = asked.nonce;
            say(&mut link, &Message::Propose(Box::new(asked))).await.unwrap();
            let Ok(Message::Accept { nonce: hers, held }) = hear(&mut link, soon()).await else {
                panic!()
            };
            assert_eq!(held.len(), 2);
            let mut offers = vec![(nonce, mine), (hers, theirs)];
            if record.me.get() == 2 {
                offers.reverse();
            }
            let (nonces, held) = offers.into_iter().unzip();
            let height = new.height.max(old.height);
            let start = Message::Start(Agreed { nonces, held, epoch, height });
            say(&mut link, &start).await.unwrap();
            until_closed(link).await;
            assert_eq!(listener.event("aborted")["code"], "aborted");
        }
    });
}

/// Alice asks for a signature, and Bob answers her proposal with `answer`.
#[track_caller]
fn answered(alice: &Device, bob: &Arc<Node>, answer: Message) -> crate::device::Ended {
    block_on(async {
        let (port, address) = port().await;
        let asking = alice.start(["sign", DIGEST, "--key", "vault", "--peer", &address]);
        let (io, _) = port.accept().await;
        let mut link = bob.tls.accept(io, Expect::Anyone).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Hello { .. })));
        say(&mut link, &Message::Welcome { name: Label::new("bob"), about: None }).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Propose(_))));
        say(&mut link, &answer).await.unwrap();
        until_closed(link).await;
        asking.ends()
    })
}

#[test]
fn a_party_that_leaves_without_a_confirmation_is_not_waited_for() {
    let ([alice, _device], bob, [new, _]) = alice_and_a_liar();
    block_on(async {
        let (port, address) = port().await;
        let resume = ["keygen", "--resume", "--key", "vault", "--peer", &address];
        let asking = alice.start(resume);
        let (io, _) = port.accept().await;
        let mut link = bob.tls.accept(io, Expect::Anyone).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Hello { .. })));
        say(&mut link, &Message::Welcome { name: Label::new("bob"), about: None }).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Propose(_))));
        let accept = Message::Accept { nonce: Hex([1; 32]), held: vec![new] };
        say(&mut link, &accept).await.unwrap();
        assert!(matches!(hear(&mut link, soon()).await, Ok(Message::Start(_))));
        say(&mut link, &Message::Finished).await.unwrap();
        until_closed(link).await;
        asking.ends().fails(4, "the connection to bob was lost");
    });
    assert_eq!(missing(&alice), [["bob"]]);
}

#[test]
fn a_liar_that_denies_or_invents_epochs_loses_nobody_a_share() {
    let ([alice, _device], bob, [_, old]) = alice_and_a_liar();
    let before = shares(&alice);
    let never = Held { epoch: Hex([9; 32]), ..old };
    let accept = |held| Message::Accept { nonce: Hex([1; 32]), held };
    answered(&alice, &bob, Message::Apart { held: vec![never] }).fails(10, "bob has generation 1");
    for held in [vec![never], vec![], vec![old; 3]] {
        answered(&alice, &bob, accept(held)).fails(6, "makes no sense");
    }
    assert_eq!(before, shares(&alice));
    assert_eq!(missing(&alice), [["bob"]]);
}

#[test]
fn no_older_epoch_is_a_way_around_a_ban_and_a_newer_one_ends_it() {
    let (alice, bob, listener) = two_with_key();
    let (of_alice, of_bob) = (Before::of(&alice), Before::of(&bob));
    let old = only_key(&opened(&alice)).epoch;
    refreshes(&alice, &[(&bob, &listener)]);
    let (a, b) = (New::of(&alice), New::of(&bob));
    arrange(&alice, &of_alice, &[(&a, &[])]);
    arrange(&bob, &of_bob, &[(&b, &[])]);
    let ban = |epoch: &[u8; 32]| {
        let ledger = Ledger::open(&opened(&alice).home).unwrap();
        let who = opened(&bob).info.fingerprint;
        let me = b.record.me.get();
        ledger.retire(epoch, me, &who, "E_OTE_CHECK", &[7; 32], clock::unix_now()).unwrap();
    };
    ban(&old);
    drop(listener);
    both_sign(&alice, &bob);
    ban(&a.record.epoch);
    let (at_alice, at_bob) = (alice.serve(&[&bob]), bob.serve(&[&alice]));
    let ask = ["sign", DIGEST, "--key", "vault", "--peer"];
    alice.run(ask.iter().chain(&[&*at_bob.address()])).fails(7, "bob is banned");
    bob.run(ask.iter().chain(&[&*at_alice.address()]))
        .fails(7, "alice says that this device is banned");
}

#[test]
fn a_forged_confirmation_on_the_disk_activates_nothing() {
    let ([alice, _device], bob, [new, _]) = alice_and_a_liar();
    let epoch = hex(&new.epoch.0);
    let path = folder(&alice).join(&epoch[..16]).with_extension("confirmed");
    let me = only_key(&bob).me.get();
    let said = |party: u8| {
        let zeros = "00".repeat(32);
        format!(r#"{{"version":1,"confirmed":[{{"party":{party},"statement":"{zeros}"}}]}}"#)
    };
    for content in [said(me), said(3 - me), said(200), "{}".to_owned()] {
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        file.as_mut().unwrap().write_all(content.as_bytes()).unwrap();
        let resume = ["keygen", "--resume", "--key", "vault", "--timeout", "3s", "--peer"];
        alice.run(resume.iter().chain(&["127.0.0.1:1"])).fails(71, ".confirmed");
        assert_eq!(shares(&alice).len(), 2);
    }
    // It holds nothing that cannot be asked for again.
    fs::remove_file(&path).unwrap();
    assert_eq!(missing(&alice), [["bob"]]);
    assert_eq!(shares(&alice).len(), 2);
}

/// Two honest devices and a liar: which epochs one of the honest ones has of a key.
fn epochs_of(node: &Node, name: &str) -> Vec<Hex<32>> {
    let records = records::held(&node.home, name).unwrap();
    records.iter().for_each(|record| drop(node.vault.share(name, &record.epoch).unwrap()));
    records.iter().map(|record| Hex(record.epoch)).collect()
}

/// What `party` of three stores and checks in the epoch `epoch`.
fn confirmation_of(epoch: [u8; 32], party: u8) -> Confirmation {
    let view = epoch.map(|byte| byte ^ 0xff);
    Confirmation::from_bytes(&[&epoch[..], &view, &[party, 3]].concat()).unwrap()
}

#[test]
fn in_whatever_order_messages_are_lost_honest_devices_keep_an_epoch_in_common() {
    let devices = [Device::new("alice"), Device::new("bob")];
    let nodes = [opened(&devices[0]), opened(&devices[1])];
    let parties: Vec<PartyRecord> = (1_u8..=3)
        .map(|index| PartyRecord {
            index: PartyId::new(index).unwrap(),
            name: format!("party {index}"),
            fingerprint: Fingerprint::new([index; 32]),
        })
        .collect();
    for case in 0..24_u8 {
        let name = format!("k{case}");
        let mut random = StdRng::seed_from_u64(u64::from(case));
        let mut post: Vec<(usize, [u8; 32], u8)> = Vec::new();
        for step in 0..7_u8 {
            let epoch = [case, step].repeat(16).try_into().unwrap();
            for (node, me) in nodes.iter().zip(1_u8..) {
                // A new key is made by both. Later, one may be killed before it has stored its share.
                if step > 0 && random.gen_ratio(1, 4) {
                    continue;
                }
                let record = KeyRecord {
                    name: name.clone(),
                    curve: cosign::curve::CurveName::default(),
                    // A key has one name.
                    public_key: [case.saturating_add(2); 33],
                    threshold: 2,
                    me: PartyId::new(me).unwrap(),
                    parties: parties.clone(),
                    epoch,
                    generation: u64::from(step) + 1,
                    created: 0,
                    state: KeyState::Pending,
                    restored: false,
                };
                let stored = confirmation_of(epoch, me).to_bytes();
                node.vault.store_pending(&record, &Secret::new(vec![step; 100]), &stored).unwrap();
                post.push((usize::from(me == 1), epoch, me));
            }
            // The liar confirms what it likes.
            post.extend([(0, epoch, 3), (1, epoch, 3)]);
            post.shuffle(&mut random);
            let delivered = if step == 0 { post.len() } else { random.gen_range(0..=post.len()) };
            for (to, epoch, from) in post.drain(..delivered) {
                let statement = confirmation_of(epoch, from).message();
                let said = Confirmed { party: PartyId::new(from).unwrap(), statement };
                // What is about an epoch that was given up, or never stored, is skipped.
                let _ = nodes[to].vault.store_confirmed(&name, &epoch, &said);
                confirmations::settle(&nodes[to], &name).unwrap();
            }
            let held = nodes.each_ref().map(|node| epochs_of(node, &name));
            let common = epochs::agreed(Ceremony::Sign, &held[0], &held);
            assert!(common.is_some(), "case {case}, step {step}: {held:?}");
            assert_eq!(common, epochs::agreed(Ceremony::Sign, &held[1], &held));
        }
    }
}
