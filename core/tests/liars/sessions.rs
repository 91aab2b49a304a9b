//! Many sessions of one key: mixed up, replayed, at once, and after a ban (docs/protocol.md §5.4,
//! §10.2).

use std::sync::{Arc, Mutex};

use crate::curve::some_tweak;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::machine::Machine;
use cosign_core::hazmat::protocol::sign::sign_with_seed;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};

use crate::group::*;
use crate::layout::Message;
use crate::scene::scenes;

// ---------------------------------------------------------------------------------------------
// Inputs that differ
// ---------------------------------------------------------------------------------------------

/// S-23, S-24, S-43, S-44: before any transfer is touched, and without blame.
#[test]
fn signers_who_were_asked_different_things_part_at_once() {
    type Change = fn(&mut SignSetup);
    let changes: [Change; 5] = [
        |setup| setup.digest = sha("another digest"),
        |setup| setup.sign_id = sha("another request"),
        |setup| setup.tweak = some_tweak(),
        |setup| setup.recipient = Some(setup.signers[1]),
        |setup| setup.recipient = Some(setup.signers[0]),
    ];
    for (scene, change) in scenes().iter().flat_map(|s| changes.iter().map(move |c| (s, c))) {
        let shares = scene.key.shares();
        let mut other = scene.setup.clone();
        change(&mut other);
        if other == scene.setup {
            continue;
        }
        let machines = scene.setup.signers.iter().map(|party| {
            let setup = if *party == scene.liar { &other } else { &scene.setup };
            signer("asked", &shares[party], setup.clone()).unwrap()
        });
        let group = Group::of(machines).honestly();
        scene.assert(group, &shares, scene.by_liar(Check::Session, "SG1"));
    }
}

/// A signer that believes in another set of signers. With two of three, the third is a stranger.
#[test]
fn signers_of_different_sets_part_at_once() {
    let shares = two_of_three().shares();
    let one = signer("sets", &shares[&id(1)], sign_setup("sets", &[id(1), id(2)])).unwrap();
    let two = signer("sets", &shares[&id(2)], sign_setup("sets", &[id(2), id(3)])).unwrap();
    let (mut one, mut two) = (Member::new(one), Member::new(two));
    two.hear(id(1), &one.sent(Kind::Sg1, id(2)));
    two.stopped(Fault::by(id(1), Check::UnexpectedSender, "SG1"));
    let mut misled = two.sent(Kind::Sg1, id(3));
    misled[3] = 1;
    one.hear(id(2), &misled);
    one.stopped(Fault::by(id(2), Check::Session, "SG1"));
    assert_eq!(retired(&shares), []);
}

/// S-38, S-39: index 0 cannot even be written down.
#[test]
fn signer_sets_that_are_none_are_refused() {
    assert_eq!(cosign_core::PartyId::new(0), None);
    let share = &two_of_two().shares()[&id(1)];
    for signers in [&[1, 1][..], &[2, 1], &[1], &[1, 2, 3], &[1, 3], &[2, 2], &[]] {
        let signers: Vec<_> = signers.iter().copied().map(id).collect();
        let refused = signer("sets", share, sign_setup("sets", &signers)).err();
        assert_eq!(refused, Some(Fault::nobody(Check::Params, "setup")));
    }
    let setup = SignSetup { recipient: Some(id(3)), ..sign_setup("sets", &[id(1), id(2)]) };
    let refused = signer("sets", share, setup).err();
    assert_eq!(refused, Some(Fault::nobody(Check::Params, "setup")));
}

// ---------------------------------------------------------------------------------------------
// Replays
// ---------------------------------------------------------------------------------------------

/// S-28, S-29: every message of a session that ended well, in place of the one of this session.
#[test]
fn messages_of_another_session_are_refused_without_blame() {
    for scene in scenes() {
        let mut before = scene.clone();
        before.setup.sign_id = sha("an earlier session");
        let (_, earlier) = before.group(&scene.key.shares()).recorded();
        for kind in [Kind::Sg1, Kind::Sg2, Kind::Sg3] {
            let old = &earlier[&(kind, scene.liar, scene.victim)];
            let shares = scene.key.shares();
            let group = scene.group(&shares);
            let group = group.told(kind, scene.liar, scene.victim, |_| vec![old.clone()]);
            scene.assert(group, &shares, scene.by_liar(Check::Session, kind.name()));
        }
    }
}

/// U-05: transfers that were extended for another session, under this one's id.
#[test]
fn transfers_of_another_session_retire_their_sender() {
    for scene in scenes() {
        let mut before = scene.clone();
        before.setup.sign_id = sha("an earlier session");
        let (_, earlier) = before.group(&scene.key.shares()).recorded();
        let old = &earlier[&(Kind::Sg1, scene.liar, scene.victim)];
        let shares = scene.key.shares();
        let group = scene.group(&shares).told(Kind::Sg1, scene.liar, scene.victim, |bytes| {
            vec![[&bytes[..HEADER], &old[HEADER..]].concat()]
        });
        scene.assert(group, &shares, scene.by_liar(Check::OteCheck, "SG1"));
    }
}

/// The liar's machine of the session, with the randomness of an earlier attempt.
fn attempt(name: &str, share: &Arc<KeyShare>, setup: &SignSetup) -> Machine<Signing> {
    let seed: SessionSeed = seed(format!("{name}|{}", share.me()));
    sign_with_seed(Arc::clone(share), setup.clone(), seed, TIMEOUT).unwrap()
}

/// S-30: an attempt with the same request and so the same session id. The old transfers are valid,
/// so their check passes and no pair is retired; then the parties' views differ. Later messages of
/// the old attempt do not fit either.
#[test]
fn messages_of_an_earlier_attempt_at_the_same_session_retire_nobody() {
    for scene in scenes() {
        let machines = |name: &str, shares: &Shares| -> Vec<_> {
            scene.setup.signers.iter().map(|p| attempt(name, &shares[p], &scene.setup)).collect()
        };
        let (_, earlier) = Group::of(machines("first", &scene.key.shares())).recorded();
        for (kind, fault) in [
            (Kind::Sg1, Fault::nobody(Check::View, "SG2")),
            (Kind::Sg2, Fault::nobody(Check::View, "SG2")),
            (Kind::Sg3, scene.by_liar(Check::RMismatch, "SG3")),
        ] {
            let shares = scene.key.shares();
            let old = earlier[&(kind, scene.liar, scene.victim)].clone();
            let group = Group::of(machines("second", &shares));
            let group = group.told(kind, scene.liar, scene.victim, |_| vec![old.clone()]);
            scene.assert(group, &shares, fault);
        }
    }
}

/// Key generations: another attempt with the same instance id, and messages of another instance.
#[test]
fn messages_of_another_key_generation_make_no_key() {
    let kinds = [Kind::Kg1, Kind::Kg2b, Kind::Kg2p, Kind::Kg3b, Kind::Kg3p, Kind::Kg4b];
    let machines = |name: &str, attempt: &str| -> Vec<Machine<Keygen>> {
        let machine = |me| {
            let seed = seed(format!("{attempt}|{me}"));
            let setup = keygen_setup(name, 2, 2, me);
            cosign_core::hazmat::protocol::keygen::keygen_with_seed(setup, seed, TIMEOUT).unwrap()
        };
        [id(1), id(2)].map(machine).into_iter().collect()
    };
    let (_, now) = Group::of(machines("replayed", "second")).recorded();
    let (_, before) = Group::of(machines("replayed", "first")).recorded();
    let (_, elsewhere) = Group::of(machines("another", "first")).recorded();
    for (old, kind) in [&before, &elsewhere].iter().flat_map(|old| kinds.map(|kind| (*old, kind))) {
        let mut victim = Member::new(machines("replayed", "second").remove(0));
        for at in kinds {
            let record = if at == kind { old } else { &now };
            victim.hear(id(2), &record[&(at, id(2), id(1))]);
        }
        // The first message of the same instance is taken for a new one; the session it makes is
        // not the one that the rest of the messages belong to.
        let same = std::ptr::eq(old, &before);
        let at = if kind == Kind::Kg1 && same { "KG2B" } else { kind.name() };
        victim.stopped(Fault::by(id(2), Check::Session, at));
    }
}

// ---------------------------------------------------------------------------------------------
// After a ban
// ---------------------------------------------------------------------------------------------

/// Makes party 1 retire its pair with party 2 in a session of its own.
fn ban(shares: &Shares) {
    let machines = signers("banned", shares, &sign_setup("banned", &[id(1), id(2)]));
    Group::of(machines).told(Kind::Sg1, id(2), id(1), |mut bytes| {
        bytes[200] ^= 1;
        vec![bytes]
    });
    assert_eq!(retired(shares), [(id(1), id(2), Check::OteCheck)]);
}

/// S-45: between any two steps of another session.
#[test]
fn a_ban_stops_every_other_session_of_the_pair_at_its_next_step() {
    let setup = sign_setup("meanwhile", &[id(1), id(2)]);
    let (_, record) = Group::of(signers("meanwhile", &two_of_two().shares(), &setup)).recorded();
    let from_two = |kind| record[&(kind, id(2), id(1))].clone();
    let fresh = || {
        let shares = two_of_two().shares();
        let member = Member::new(signer("meanwhile", &shares[&id(1)], setup.clone()).unwrap());
        (shares, member)
    };

    let (shares, mut victim) = fresh();
    ban(&shares);
    victim.hear(id(2), &from_two(Kind::Sg1));
    victim.stopped(Fault::by(id(2), Check::PairRetired, "SG1"));

    let (shares, mut victim) = fresh();
    victim.hear(id(2), &from_two(Kind::Sg1));
    ban(&shares);
    victim.hear(id(2), &from_two(Kind::Sg2));
    victim.stopped(Fault::by(id(2), Check::PairRetired, "SG2"));

    // By the last round the pair's secrets are used up; what is left is an addition.
    let (shares, mut victim) = fresh();
    victim.hear(id(2), &from_two(Kind::Sg1));
    victim.hear(id(2), &from_two(Kind::Sg2));
    ban(&shares);
    victim.hear(id(2), &from_two(Kind::Sg3));
    assert!(victim.done().is_some());
}

/// A message that is ready when another session bans the pair is not sent any more.
#[test]
fn a_ban_holds_back_messages_that_were_not_taken_yet() {
    let setup = sign_setup("meanwhile", &[id(1), id(2)]);
    let (_, record) = Group::of(signers("meanwhile", &two_of_two().shares(), &setup)).recorded();
    for heard in [&[][..], &[Kind::Sg1], &[Kind::Sg1, Kind::Sg2]] {
        let shares = two_of_two().shares();
        let mut machine = signer("meanwhile", &shares[&id(1)], setup.clone()).unwrap();
        machine.start(noon());
        for kind in heard {
            while machine.poll().is_some() {}
            machine.handle(noon(), id(2), &record[&(*kind, id(2), id(1))]);
        }
        ban(&shares);
        let out: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
        assert!(!out.iter().any(|output| matches!(output, Output::Send { .. } | Output::Done(_))));
        let Some(Output::Failed(fault)) = out.last() else { panic!("{out:?}") };
        assert_eq!((fault.culprit, fault.check), (Some(id(2)), Check::PairRetired));
    }
}

/// A ban is about one pair: among three, sessions of the other pairs go on.
#[test]
fn a_ban_does_not_touch_sessions_of_other_pairs() {
    let shares = two_of_three().shares();
    let (_, record) = {
        let setup = sign_setup("others", &[id(1), id(3)]);
        Group::of(signers("others", &two_of_three().shares(), &setup)).recorded()
    };
    let setup = sign_setup("others", &[id(1), id(3)]);
    let mut going = Member::new(signer("others", &shares[&id(1)], setup).unwrap());
    going.hear(id(3), &record[&(Kind::Sg1, id(3), id(1))]);
    ban(&shares);
    for kind in [Kind::Sg2, Kind::Sg3] {
        going.hear(id(3), &record[&(kind, id(3), id(1))]);
    }
    assert!(going.done().is_some(), "{:?}", going.fault());
    sign_honestly("others", &shares, &[id(2), id(3)]);
}

/// The first reason stays, whatever comes later.
#[test]
fn a_pair_is_retired_for_its_first_failure() {
    let shares = two_of_two().shares();
    ban(&shares);
    shares[&id(1)].retire(id(2), Check::GammaV);
    assert_eq!(shares[&id(1)].retired(id(2)), Some(Check::OteCheck));
    assert_eq!(shares[&id(1)].retired(id(1)), None);
    shares[&id(1)].retire(id(9), Check::GammaV);
    assert_eq!(retired(&shares).len(), 1);
}

/// S-50: 100 sessions of one pair at once, on several threads, all with a wrong message of the
/// same peer. One check fails; no other is evaluated, and its answer would be the same for a right
/// and a wrong message. No second message is sent.
#[test]
fn of_a_hundred_lies_at_once_one_is_looked_at() {
    let liars = two_of_two().shares();
    let shares = two_of_two().shares();
    let faults = Mutex::new(Vec::new());
    let session = |number: usize| {
        let name = format!("concurrent {number}");
        let setup = sign_setup(&name, &[id(1), id(2)]);
        let liar = Member::new(signer(&name, &liars[&id(2)], setup.clone()).unwrap());
        let mut lie = Message(liar.sent(Kind::Sg1, id(1)));
        if !number.is_multiple_of(10) {
            lie.flip("u", number);
        }
        Some((Member::new(signer(&name, &shares[&id(1)], setup).ok()?), lie))
    };
    let ready: Vec<_> = (1..=100).filter_map(session).collect();
    assert_eq!(ready.len(), 100);
    // A wrong one first, so that no right one is answered before.
    let mut ready = ready.into_iter();
    let (mut first, lie) = ready.next().unwrap();
    first.hear(id(2), &lie);
    first.stopped(Fault::by(id(2), Check::OteCheck, "SG1"));
    let rest = Mutex::new(ready);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((mut member, lie)) = rest.lock().unwrap().next() else { return };
                    member.hear(id(2), &lie);
                    member.keeps_its_contract();
                    faults.lock().unwrap().push(member.fault().unwrap());
                }
            });
        }
    });
    let refused = Fault::by(id(2), Check::PairRetired, "SG1");
    assert_eq!(faults.into_inner().unwrap(), vec![refused; 99]);
    assert_eq!(retired(&shares), [(id(1), id(2), Check::OteCheck)]);
    assert_eq!(retired(&liars), []);
}

/// Without a head start: whichever thread is first, exactly one lie is checked.
#[test]
fn of_lies_that_race_one_is_looked_at() {
    let liars = two_of_two().shares();
    let shares = two_of_two().shares();
    let ready: Vec<_> = (0..16)
        .map(|number| {
            let name = format!("racing {number}");
            let setup = sign_setup(&name, &[id(1), id(2)]);
            let liar = Member::new(signer(&name, &liars[&id(2)], setup.clone()).unwrap());
            let mut lie = Message(liar.sent(Kind::Sg1, id(1)));
            lie.flip("u", number);
            (Member::new(signer(&name, &shares[&id(1)], setup).unwrap()), lie)
        })
        .collect();
    let barrier = std::sync::Barrier::new(ready.len());
    let members: Vec<Member<Signing>> = std::thread::scope(|scope| {
        let threads = ready.into_iter().map(|(mut member, lie)| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                member.hear(id(2), &lie);
                member
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let banned = |member: &&Member<Signing>| member.fault().is_some_and(|fault| fault.bans());
    assert_eq!(members.iter().filter(banned).count(), 1);
    let told = |o: &Output<_>| matches!(o, Output::Persist(Persist::Retired { .. }));
    assert_eq!(members.iter().flat_map(|member| &member.log).filter(|o| told(o)).count(), 1);
    for mut member in members {
        member.keeps_its_contract();
        let check = member.fault().unwrap().check;
        assert!(matches!(check, Check::OteCheck | Check::PairRetired));
    }
}

// ---------------------------------------------------------------------------------------------
// Rounds
// ---------------------------------------------------------------------------------------------

/// S-51: rounds are consumed by going on, so none can be called twice or out of order; what is
/// left to try is starting twice, and copying what must exist once.
#[test]
fn a_machine_starts_once() {
    let shares = two_of_two().shares();
    let setup = sign_setup("twice", &[id(1), id(2)]);
    let mut machine = signer("twice", &shares[&id(1)], setup).unwrap();
    machine.start(noon());
    let first: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
    assert!(first.iter().any(|output| matches!(output, Output::Send { .. })));
    machine.start(noon());
    assert!(machine.poll().is_none());
}

/// Compiles only for types that are not `Clone`: for those that are, `_` could be two things.
macro_rules! cannot_be_cloned {
    ($($type:ty),*) => {{
        trait Ambiguous<A> { fn name() {} }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + Clone> Ambiguous<u8> for T {}
        $(let _ = <$type as Ambiguous<_>>::name;)*
    }};
}

/// S-51: a copied session would sign twice with one nonce, a copied share would hold two opinions
/// on who is retired.
#[test]
fn what_may_exist_only_once_cannot_be_cloned() {
    cannot_be_cloned!(Machine<Signing>, Machine<BatchSigning>, Machine<Keygen>);
    cannot_be_cloned!(Signing, BatchSigning, Keygen, KeyShare, SessionSeed);
}
