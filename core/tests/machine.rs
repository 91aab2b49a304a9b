//! The guarantees of the machine to its driver: order, bounds, time, silence.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;

use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use ceremony::{
    BatchSetup, BatchSigning, Confirmation, KeyShare, Keygen, Output, Shares, SignSetup, Signed,
    Signing, TIMEOUT, batch_machine, batch_machines, batch_setup, fault, keygen, keygen_machines,
    keygen_setup, now, parties, party, reloaded, retired, run, run_with, seed, sha, sign,
    sign_machines, sign_setup, signer,
};
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::encode_point;
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::protocol::event::{Ceremony, Event};
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::keygen::keygen_with_seed;
use cosign_core::hazmat::protocol::local::{Local, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::BatchSigned;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind, pack};
use curve::Curve;
use k256::{ProjectivePoint, Scalar};
use proptest::prelude::*;

static TWO_OF_TWO: LazyLock<Shares> = LazyLock::new(|| keygen("machine 2-of-2", 2, 2));
static TWO_OF_THREE: LazyLock<Shares> = LazyLock::new(|| keygen("machine 2-of-3", 2, 3));
static THREE_OF_THREE: LazyLock<Shares> = LazyLock::new(|| keygen("machine 3-of-3", 3, 3));

fn everything<P: Protocol<Curve = Curve>>(machine: &mut Machine<P>) -> Vec<Output<P::Done>> {
    std::iter::from_fn(|| machine.poll()).collect()
}

fn sent<D>(outputs: &[Output<D>]) -> Vec<(PartyId, Vec<u8>)> {
    let send = |output: &Output<D>| match output {
        Output::Send { to, bytes } => Some((*to, bytes.expose().clone())),
        _ => None,
    };
    outputs.iter().filter_map(send).collect()
}

fn failure<D: std::fmt::Debug>(outputs: &[Output<D>]) -> Fault {
    match outputs.last() {
        Some(Output::Failed(fault)) => *fault,
        other => panic!("no failure but {other:?}"),
    }
}

/// Party 1 of a signature of two, started, and party 2's honest SG1.
fn signing() -> (Machine<Signing>, Vec<u8>) {
    let shares = reloaded(&TWO_OF_TWO);
    let setup = sign_setup("machine", &parties([1, 2]), sha("digest"));
    let mut machines = sign_machines(&shares, "machine", &setup);
    machines.iter_mut().for_each(|machine| machine.start(now()));
    let bytes = sent(&everything(&mut machines[1])).remove(0).1;
    everything(&mut machines[0]);
    (machines.swap_remove(0), bytes)
}

/// Party 1's fault for a changed message from party `from`.
fn reply(from: u8, change: impl FnOnce(&mut Vec<u8>)) -> Fault {
    let (mut machine, mut bytes) = signing();
    change(&mut bytes);
    machine.handle(now(), party(from), &bytes);
    failure(&everything(&mut machine))
}

#[test]
fn frames_are_judged_in_the_order_of_the_specification() {
    let second = |check, at| Fault::by(party(2), check, at);
    // Everything wrong at once is a wrong length; then one thing less at a time.
    let ruin = |bytes: &mut Vec<u8>| bytes[..HEADER].fill(0xff);
    let cut = |bytes: &mut Vec<u8>| {
        ruin(bytes);
        bytes.pop();
    };
    let version_right = |bytes: &mut Vec<u8>| {
        ruin(bytes);
        bytes[0] = 1;
    };
    let routing_right = |bytes: &mut Vec<u8>| bytes[4..HEADER].fill(0xff);
    assert_eq!(reply(2, cut), second(Check::Malformed, "SG1"));
    assert_eq!(reply(2, ruin), second(Check::Version, "SG1"));
    assert_eq!(reply(2, version_right), second(Check::Routing, "SG1"));
    assert_eq!(reply(2, |b| b[2] = 1), second(Check::Routing, "SG1"));
    assert_eq!(reply(2, |b| b[3] = 0), second(Check::Routing, "SG1"));
    assert_eq!(reply(2, |b| b[1] = Kind::Kg1.tag()), second(Check::Routing, "SG1"));
    assert_eq!(reply(2, routing_right), second(Check::Session, "SG1"));
    assert_eq!(reply(2, Vec::clear), second(Check::Malformed, "SG1"));
    assert_eq!(reply(2, |b| b[1] = Kind::Sg2.tag()), second(Check::Malformed, "SG2"));
}

#[test]
fn strangers_and_reflections_are_told_apart() {
    assert_eq!(reply(3, |_| ()), Fault::by(party(3), Check::UnexpectedSender, "SG1"));
    assert_eq!(reply(1, |_| ()), Fault::by(party(1), Check::UnexpectedSender, "SG1"));
}

#[test]
fn a_second_message_of_one_type_is_a_duplicate_early_or_late() {
    let (mut machine, bytes) = signing();
    machine.handle(now(), party(2), &bytes);
    machine.handle(now(), party(2), &bytes);
    assert_eq!(failure(&everything(&mut machine)), Fault::by(party(2), Check::Duplicate, "SG1"));

    let (mut machine, bytes) = signing();
    let session: [u8; 32] = bytes[4..HEADER].try_into().unwrap();
    let body = vec![0; 40264 - HEADER];
    let early = pack(Kind::Sg2, party(2), Some(party(1)), &session, &[&body]);
    machine.handle(now(), party(2), early.expose());
    assert!(everything(&mut machine).is_empty());
    machine.handle(now(), party(2), early.expose());
    assert_eq!(failure(&everything(&mut machine)), Fault::by(party(2), Check::Duplicate, "SG2"));
}

#[test]
fn an_early_message_of_another_session_is_found_when_its_round_begins() {
    let (mut machine, bytes) = signing();
    let body = vec![0; 40264 - HEADER];
    let early = pack(Kind::Sg2, party(2), Some(party(1)), &[9; 32], &[&body]);
    machine.handle(now(), party(2), early.expose());
    assert!(everything(&mut machine).is_empty());
    machine.handle(now(), party(2), &bytes);
    let outputs = everything(&mut machine);
    assert_eq!(failure(&outputs), Fault::by(party(2), Check::Session, "SG2"));
    assert!(sent(&outputs).is_empty());
}

#[test]
fn a_missing_party_is_named_when_its_time_is_over_and_not_before() {
    let mut machines = keygen_machines("late", 2, 3);
    let start = now();
    machines.iter_mut().for_each(|machine| machine.start(start));
    let from_two = sent(&everything(&mut machines[1])).remove(0).1;
    let machine = &mut machines[0];
    machine.handle(start, party(2), &from_two);
    assert_eq!(machine.awaiting(), parties([3]));
    assert_eq!(machine.wake_at(), Some(start + TIMEOUT));
    everything(machine);

    machine.tick(start + TIMEOUT - Duration::from_millis(1));
    assert!(everything(machine).is_empty());
    machine.tick(start + TIMEOUT);
    let outputs = everything(machine);
    let waiting = Event::Waiting { round: 1, for_: parties([3]) };
    assert!(matches!(&outputs[0], Output::Event(event) if *event == waiting));
    assert_eq!(failure(&outputs), Fault::by(party(3), Check::Missing, "KG1"));
}

#[test]
fn nothing_comes_out_after_the_end() {
    let (mut machine, bytes) = signing();
    machine.handle(now(), party(2), &[]);
    everything(&mut machine);
    assert!(machine.is_over());
    machine.start(now());
    machine.handle(now(), party(2), &bytes);
    machine.tick(now() + 2 * TIMEOUT);
    assert!(everything(&mut machine).is_empty());
    assert_eq!(machine.wake_at(), None);
    assert!(machine.awaiting().is_empty());
}

#[test]
fn messages_that_come_before_the_start_are_kept() {
    let mut machines = keygen_machines("eager", 2, 2);
    machines[1].start(now());
    let early = sent(&everything(&mut machines[1])).remove(0).1;
    machines[0].handle(now(), party(2), &early);
    assert!(everything(&mut machines[0]).is_empty());
    machines[0].start(now());
    assert_eq!(sent(&everything(&mut machines[0])).len(), 3, "KG1, KG2B and KG2P");
}

#[test]
fn a_share_is_to_be_stored_before_anybody_is_told() {
    let mut stored = false;
    let mut machines = keygen_machines("durable", 2, 2);
    drive(&mut machines, |output| match output {
        Output::Persist(Persist::PendingShare(_)) => stored = true,
        Output::Send { bytes, .. } if bytes.expose()[1] == Kind::Kg4b.tag() => assert!(stored),
        _ => (),
    });
    assert!(stored);
}

/// Carries all messages between machines; `watch` sees what comes out of party 1.
fn drive(
    machines: &mut [Machine<Keygen>],
    mut watch: impl FnMut(&Output<<Keygen as Protocol>::Done>),
) {
    machines.iter_mut().for_each(|machine| machine.start(now()));
    loop {
        let mut parcels = Vec::new();
        for machine in machines.iter_mut() {
            let (me, outputs) = (machine.me(), everything(machine));
            if me == party(1) {
                outputs.iter().for_each(&mut watch);
            }
            parcels.extend(sent(&outputs).into_iter().map(|(to, bytes)| (me, to, bytes)));
        }
        if parcels.is_empty() {
            return;
        }
        for (from, to, bytes) in parcels {
            let receiver = machines.iter_mut().find(|machine| machine.me() == to).unwrap();
            receiver.handle(now(), from, &bytes);
        }
    }
}

#[test]
fn a_pair_is_to_be_retired_before_the_failure_is_known() {
    let (mut machine, mut bytes) = signing();
    *bytes.last_mut().unwrap() ^= 1;
    machine.handle(now(), party(2), &bytes);
    let outputs = everything(&mut machine);
    assert!(sent(&outputs).is_empty());
    let [.., retired, _, failed] = &outputs[..] else { panic!("too little: {outputs:?}") };
    let Output::Persist(Persist::Retired { peer, check, session }) = retired else {
        panic!("not retired: {retired:?}")
    };
    assert_eq!((*peer, *check, session), (party(2), Check::OteCheck, machine.session_id()));
    assert!(matches!(failed, Output::Failed(fault) if fault.bans()));
}

/// A lie about the transfers, up to where the machine says that it is about to look at it.
fn about_to_check() -> (Shares, Machine<Signing>) {
    let shares = reloaded(&TWO_OF_TWO);
    let setup = sign_setup("about to", &parties([1, 2]), sha("digest"));
    let mut machines = sign_machines(&shares, "about to", &setup);
    machines.iter_mut().for_each(|machine| machine.start(now()));
    let mut lie = sent(&everything(&mut machines[1])).remove(0).1;
    *lie.last_mut().unwrap() ^= 1;
    let mut machine = machines.swap_remove(0);
    everything(&mut machine);
    machine.handle(now(), party(2), &lie);
    loop {
        match machine.poll() {
            Some(Output::Event(_)) => {}
            Some(Output::Persist(Persist::ChecksBegin { peers, session })) => {
                assert_eq!((&peers[..], &session), (&[party(2)][..], machine.session_id()));
                return (shares, machine);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_check_is_not_evaluated_before_whoever_was_told_that_it_begins_is_back() {
    let (shares, machine) = about_to_check();
    assert_eq!(retired(&shares), []);
    drop(machine);
    assert_eq!(retired(&shares), []);

    let (shares, mut machine) = about_to_check();
    let outputs = everything(&mut machine);
    assert_eq!(retired(&shares), [(1, 2)]);
    let [retired, resolved, failed] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(matches!(retired, Output::Persist(Persist::Retired { .. })));
    assert!(matches!(resolved, Output::Persist(Persist::ChecksResolved)));
    assert!(matches!(failed, Output::Failed(fault) if fault.check == Check::OteCheck));
}

#[test]
fn a_check_that_was_said_to_begin_and_never_will_is_resolved() {
    let (shares, mut machine) = about_to_check();
    machine.handle(now(), party(2), b"nothing of the kind");
    let outputs = everything(&mut machine);
    let [resolved, failed] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(matches!(resolved, Output::Persist(Persist::ChecksResolved)));
    assert!(matches!(failed, Output::Failed(fault) if fault.check == Check::Malformed));
    assert_eq!(retired(&shares), []);
}

#[test]
fn time_and_messages_of_later_rounds_change_nothing_about_a_check_that_begins() {
    let (shares, mut machine) = about_to_check();
    machine.tick(now() + 10 * TIMEOUT);
    machine.start(now());
    assert!(!machine.is_over() && machine.wake_at().is_some());
    assert_eq!(retired(&shares), []);
    assert_eq!(failure(&everything(&mut machine)).check, Check::OteCheck);
}

#[test]
fn one_failed_check_among_three_signers_stops_every_message_of_round_two() {
    let shares = reloaded(&THREE_OF_THREE);
    let setup = sign_setup("one bad", &parties([1, 2, 3]), sha("digest"));
    let mut from_one = 0;
    let outcomes = run_with(sign_machines(&shares, "one bad", &setup), |mut parcel| {
        let [kind, from, to] = [parcel.bytes[1], parcel.from.get(), parcel.to.get()];
        if kind == Kind::Sg1.tag() && from == 3 && to == 1 {
            *parcel.bytes.last_mut().unwrap() ^= 1;
        }
        from_one += u32::from(kind == Kind::Sg2.tag() && from == 1);
        vec![parcel]
    });
    assert_eq!(fault(&outcomes, 1), Fault::by(party(3), Check::OteCheck, "SG1"));
    assert_eq!(from_one, 0);
    assert_eq!(retired(&shares), [(1, 3)]);
}

#[test]
fn a_pair_retired_meanwhile_stops_messages_that_were_ready() {
    let shares = reloaded(&TWO_OF_TWO);
    let setup = sign_setup("ready", &parties([1, 2]), sha("digest"));
    let mut machines = sign_machines(&shares, "ready", &setup);
    machines.iter_mut().for_each(|machine| machine.start(now()));
    let sg1 = sent(&everything(&mut machines[1])).remove(0).1;
    let machine = &mut machines[0];
    everything(machine);
    machine.handle(now(), party(2), &sg1);
    let resolved = |output| matches!(output, Output::Persist(Persist::ChecksResolved));
    assert!(std::iter::from_fn(|| machine.poll()).any(resolved));
    shares[&party(1)].retire(party(2), Check::GammaU);
    let outputs = everything(machine);
    assert!(sent(&outputs).is_empty());
    assert_eq!(failure(&outputs), Fault::by(party(2), Check::PairRetired, "SG2"));
}

#[test]
fn of_a_hundred_wrong_checks_at_once_one_is_evaluated() {
    let shares = reloaded(&TWO_OF_TWO);
    let attack = |index: u32| {
        let name = format!("attack {index}");
        let setup = sign_setup(&name, &parties([1, 2]), sha("digest"));
        let mut machines = sign_machines(&shares, &name, &setup);
        machines.iter_mut().for_each(|machine| machine.start(now()));
        let mut sg1 = sent(&everything(&mut machines[1])).remove(0).1;
        sg1[HEADER + 64] ^= 1;
        everything(&mut machines[0]);
        (machines.swap_remove(0), sg1)
    };
    let sessions: Vec<_> = (0..100).map(attack).collect();
    let victims = sessions.into_iter().map(|(mut machine, sg1)| {
        thread::spawn(move || {
            machine.handle(now(), party(2), &sg1);
            failure(&everything(&mut machine)).check
        })
    });
    let victims: Vec<_> = victims.collect();
    let checks: Vec<Check> = victims.into_iter().map(|victim| victim.join().unwrap()).collect();
    let count = |check| checks.iter().filter(|c| **c == check).count();
    assert_eq!((count(Check::OteCheck), count(Check::PairRetired)), (1, 99));
}

#[test]
fn a_retired_pair_cannot_start_another_signature() {
    let shares = reloaded(&TWO_OF_TWO);
    let share = &shares[&party(1)];
    share.retire(party(2), Check::RvoleCheck);
    share.retire(party(2), Check::GammaV);
    assert_eq!(share.retired(party(2)), Some(Check::RvoleCheck), "the first reason stays");
    let setup = sign_setup("again", &parties([1, 2]), sha("digest"));
    let refused = signer(share, "again", &setup).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::by(party(2), Check::PairRetired, "setup"));
}

#[test]
fn rounds_are_told_by_name_in_order() {
    let line = |event: &Event| match event {
        Event::Round { ceremony, round, of, name } => {
            Some(format!("{} {round} of {of}: {name}", ceremony.name()))
        }
        Event::RoundDone { round, .. } => Some(format!("{round} is done")),
        Event::Received { round, from } => Some(format!("{round} has {from}")),
        Event::Waiting { .. } => None,
    };
    let outcomes = run(keygen_machines("told", 2, 2));
    let told: Vec<String> = outcomes[&party(1)].events.iter().filter_map(line).collect();
    let expected: Vec<String> = (1..)
        .zip(Ceremony::Keygen.rounds())
        .flat_map(|(round, name)| {
            let begun = format!("keygen {round} of 4: {name}");
            [begun, format!("{round} has 2"), format!("{round} is done")]
        })
        .collect();
    assert_eq!(told, expected);
}

/// Party 2 has everything for round 2 and is ahead; party 3's message of round 1 comes last.
#[test]
fn a_party_that_was_ahead_is_told_of_when_its_round_begins() {
    let setup = sign_setup("ahead", &parties([1, 2, 3]), sha("digest"));
    let mut machines = sign_machines(&THREE_OF_THREE, "ahead", &setup);
    machines.iter_mut().for_each(|machine| machine.start(now()));
    assert_eq!(machines[0].peers(), parties([2, 3]));
    let to = |machine: &mut Machine<Signing>, index: u8| {
        let mut sent = sent(&everything(machine));
        sent.retain(|(to, _)| to.get() == index);
        sent.remove(0).1
    };
    let [first, second, third] = machines.as_mut_slice() else { panic!("three") };
    let of_first = to(first, 2);
    let of_second = sent(&everything(second)).into_iter().find(|(to, _)| to.get() == 1).unwrap().1;
    let of_third = sent(&everything(third));
    let [for_first, for_second] = of_third.as_slice() else { panic!("two messages") };
    second.handle(now(), party(1), &of_first);
    second.handle(now(), party(3), &for_second.1);
    let ahead = to(second, 1);

    first.handle(now(), party(2), &of_second);
    first.handle(now(), party(2), &ahead);
    everything(first);
    first.handle(now(), party(3), &for_first.1);
    let told: Vec<Event> = everything(first)
        .into_iter()
        .filter_map(|output| match output {
            Output::Event(event @ (Event::Received { .. } | Event::Waiting { .. })) => Some(event),
            _ => None,
        })
        .collect();
    let [.., received, waiting] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*received, Event::Received { round: 2, from: party(2) });
    assert!(
        matches!(waiting, Event::Waiting { round: 2, for_ } if *for_ == [party(3)]),
        "{told:?}"
    );
}

#[test]
fn only_the_recipient_is_sent_partial_signatures_and_has_the_signature() {
    let setup = SignSetup {
        recipient: Some(party(2)),
        ..sign_setup("for two", &parties([1, 2, 3]), sha("digest"))
    };
    let mut receivers = Vec::new();
    let outcomes = run_with(sign_machines(&THREE_OF_THREE, "for two", &setup), |parcel| {
        if parcel.bytes[1] == Kind::Sg3.tag() {
            assert_eq!(parcel.bytes[3], 2);
            receivers.push((parcel.from.get(), parcel.to.get()));
        }
        vec![parcel]
    });
    receivers.sort_unstable();
    assert_eq!(receivers, [(1, 2), (3, 2)]);
    for (party, outcome) in outcomes {
        let signed = outcome.result.unwrap().unwrap();
        assert_eq!(matches!(signed, Signed::Signature(_)), party.get() == 2);
    }
}

// ---------------------------------------------------------------------------------------------
// Batches
// ---------------------------------------------------------------------------------------------

fn five() -> BatchSetup {
    let digests: Vec<_> = (0..5).map(|l| sha(format!("digest {l}"))).collect();
    batch_setup("five", &parties([1, 2]), &digests)
}

/// Party 1 of a batch of five, started, and everything that party 2 sends it.
fn batch() -> (Machine<BatchSigning>, Vec<Vec<u8>>) {
    let shares = reloaded(&TWO_OF_TWO);
    let mut heard = Vec::new();
    run_with(batch_machines(&reloaded(&TWO_OF_TWO), "five", &five()), |parcel| {
        if parcel.from == party(2) {
            heard.push(parcel.bytes.clone());
        }
        vec![parcel]
    });
    let mut machine = batch_machine(&shares[&party(1)], "five", &five());
    machine.start(now());
    everything(&mut machine);
    (machine, heard)
}

fn has_all<D: std::fmt::Debug>(outputs: &[Output<D>], are: impl Fn(&D) -> bool) -> bool {
    matches!(outputs.last(), Some(Output::Done(done)) if are(done))
}

fn are_five(signed: &BatchSigned) -> bool {
    matches!(signed, BatchSigned::Signatures(signatures) if signatures.len() == 5)
}

/// A driver that is slow to send does not poll, and a machine that is not polled makes nothing.
#[test]
fn products_of_a_batch_are_made_one_by_one_as_they_are_asked_for() {
    let (mut machine, heard) = batch();
    machine.handle(now(), party(2), &heard[0]);
    let next = |machine: &mut Machine<BatchSigning>| loop {
        match machine.poll() {
            Some(Output::Send { bytes, .. }) => return bytes.expose().clone(),
            Some(_) => (),
            None => panic!("nothing to send"),
        }
    };
    for number in 0..5 {
        let bytes = next(&mut machine);
        assert_eq!((bytes[1], bytes[HEADER + 1]), (Kind::Sb2r.tag(), number));
        // What the other one sends meanwhile is taken, and ends nothing early.
        machine.handle(now(), party(2), &heard[1 + usize::from(number)]);
        assert!(!machine.is_over());
    }
    machine.handle(now(), party(2), &heard[6]);
    assert!(!machine.is_over());
    assert_eq!(machine.awaiting(), []);
    assert_eq!(next(&mut machine)[1], Kind::Sb2.tag());
    assert_eq!(next(&mut machine)[1], Kind::Sb3.tag());
    machine.handle(now(), party(2), &heard[7]);
    assert!(has_all(&everything(&mut machine), are_five));
}

#[test]
fn products_of_a_batch_may_come_in_any_order_and_ahead_of_their_round() {
    for order in [[0, 6, 5, 4, 3, 2, 1], [3, 5, 6, 1, 0, 2, 4], [6, 1, 2, 3, 4, 5, 0]] {
        let (mut machine, heard) = batch();
        machine.handle(now(), party(2), &heard[7]);
        for place in order {
            machine.handle(now(), party(2), &heard[place]);
        }
        assert!(has_all(&everything(&mut machine), are_five), "{order:?}");
    }
}

#[test]
fn a_product_is_held_once_however_early_it_comes() {
    let (mut machine, heard) = batch();
    machine.handle(now(), party(2), &heard[2]);
    machine.handle(now(), party(2), &heard[2]);
    let duplicate = Fault::by(party(2), Check::Duplicate, "SB2R");
    assert_eq!(failure(&everything(&mut machine)), duplicate);
}

#[test]
fn early_messages_of_a_larger_batch_are_not_held() {
    let six = BatchSetup { items: five().items.into_iter().cycle().take(6).collect(), ..five() };
    let mut larger = Vec::new();
    run_with(batch_machines(&reloaded(&TWO_OF_TWO), "five", &six), |parcel| {
        if parcel.from == party(2) {
            larger.push(parcel.bytes.clone());
        }
        vec![parcel]
    });
    let (_, heard) = batch();
    // The last product, the openings, the partial signatures.
    for early in &larger[6..] {
        for (session, check) in
            [(&early[4..HEADER], Check::Session), (&heard[0][4..HEADER], Check::Malformed)]
        {
            let (mut machine, _) = batch();
            let bytes = [&early[..4], session, &early[HEADER..]].concat();
            machine.handle(now(), party(2), &bytes);
            let failed = failure(&everything(&mut machine));
            assert_eq!((failed.check, failed.culprit), (check, Some(party(2))));
        }
    }
}

/// A poll knows no time, so a round that begins in one counts from the next tick.
#[test]
fn a_round_that_begins_while_messages_are_made_has_all_of_its_time() {
    let (mut machine, heard) = batch();
    heard[..7].iter().for_each(|bytes| machine.handle(now(), party(2), bytes));
    everything(&mut machine);
    let late = now() + 10 * TIMEOUT;
    machine.tick(late);
    assert_eq!(machine.wake_at(), Some(late + TIMEOUT));
    machine.tick(late + TIMEOUT);
    let missing = Fault::by(party(2), Check::Missing, "SB3");
    assert_eq!(failure(&everything(&mut machine)), missing);
}

#[test]
fn a_batch_names_who_has_not_sent_all_products() {
    let (mut machine, heard) = batch();
    for place in [0, 1, 2, 4, 5, 6] {
        machine.handle(now(), party(2), &heard[place]);
        everything(&mut machine);
    }
    assert_eq!(machine.awaiting(), [party(2)]);
    machine.tick(machine.wake_at().unwrap());
    let missing = Fault::by(party(2), Check::Missing, "SB2R");
    assert_eq!(failure(&everything(&mut machine)), missing);
}

#[test]
fn signer_sets_that_cannot_sign_are_refused() {
    let share = &TWO_OF_TWO[&party(1)];
    let refused = |signers: &[u8], recipient: Option<u8>| {
        let signers: Vec<PartyId> = signers.iter().copied().map(party).collect();
        let setup = SignSetup {
            recipient: recipient.map(party),
            ..sign_setup("refused", &signers, sha("digest"))
        };
        signer(share, "refused", &setup).map(|_| ()).unwrap_err()
    };
    let params = Fault::nobody(Check::Params, "setup");
    assert_eq!(refused(&[1, 1], None), params);
    assert_eq!(refused(&[2, 1], None), params);
    assert_eq!(refused(&[1], None), params);
    assert_eq!(refused(&[1, 3], None), params);
    assert_eq!(refused(&[2, 3], None), params);
    assert_eq!(refused(&[], None), params);
    assert_eq!(refused(&[1, 2], Some(3)), params);
    assert_eq!(PartyId::new(0), None, "no signer has index 0");
}

#[test]
fn a_signer_set_without_this_party_is_refused_although_it_could_sign() {
    let begin = |me| {
        let setup = sign_setup("without", &parties([2, 3]), sha("digest"));
        signer(&TWO_OF_THREE[&party(me)], "without", &setup).map(|_| ())
    };
    assert_eq!(begin(1), Err(Fault::nobody(Check::Params, "setup")));
    assert_eq!((begin(2), begin(3)), (Ok(()), Ok(())));
}

#[test]
fn a_tweak_that_cancels_the_key_is_refused() {
    let signers = parties([1, 2]);
    let part = |p: &PartyId| lagrange::<Scalar>(*p, &signers, 0) * TWO_OF_TWO[p].secret().expose();
    let key: Scalar = signers.iter().map(part).sum();
    let setup = SignSetup { tweak: -key, ..sign_setup("cancel", &signers, sha("digest")) };
    let refused = signer(&TWO_OF_TWO[&party(1)], "cancel", &setup).map(|_| ()).unwrap_err();
    assert_eq!(refused, Fault::nobody(Check::Params, "setup"));
}

#[test]
fn keys_that_cannot_be_made_are_refused() {
    let refused = |threshold, count, me, change: fn(&mut Vec<Vec<u8>>)| {
        let mut setup = keygen_setup("refused", threshold, count, party(me));
        change(&mut setup.identities);
        keygen_with_seed::<Curve>(setup, seed("refused"), TIMEOUT).map(|_| ()).unwrap_err()
    };
    let params = Fault::nobody(Check::Params, "setup");
    assert_eq!(refused(3, 2, 1, |_| ()), params);
    assert_eq!(refused(1, 2, 1, |_| ()), params);
    assert_eq!(refused(2, 17, 1, |_| ()), params);
    assert_eq!(refused(2, 2, 3, |_| ()), params);
    assert_eq!(refused(2, 2, 1, |ids| ids[1] = ids[0].clone()), params);
    assert_eq!(refused(2, 2, 1, |ids| ids[1] = vec![0; 256]), params);
    assert_eq!(refused(2, 2, 1, Vec::clear), params);
}

#[test]
fn a_confirmation_can_be_finished_later_from_its_stored_form() {
    let outcomes = run(keygen_machines("later", 2, 2));
    let confirmations: Vec<Confirmation> = outcomes
        .into_values()
        .map(|outcome| match &outcome.persisted[..] {
            [Persist::PendingShare(pending), Persist::Confirmed { .. }] => {
                assert_eq!(pending.confirmation.epoch(), pending.share.epoch());
                pending.confirmation.clone()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let stored = confirmations[0].to_bytes();
    let read = Confirmation::from_bytes(&stored).unwrap();
    assert_eq!(read, confirmations[0]);
    let theirs = confirmations[1].message();
    assert!(read.verify(party(2), &theirs));
    assert!(!read.verify(party(1), &read.message()), "one's own says nothing");
    assert!(!read.verify(party(3), &theirs));
    assert!(!read.verify(party(2), &[0; 32]));
    assert!(Confirmation::from_bytes(&stored[1..]).is_err());
    assert!(Confirmation::from_bytes(&[&stored[..], &[0]].concat()).is_err());
}

#[test]
fn a_confirmation_counts_as_it_arrives_whatever_becomes_of_the_others() {
    // Party 3 confirms to no other party; party 1 receives party 2's confirmation early.
    let mut early = Vec::new();
    let outcomes = ceremony::run_with(keygen_machines("withheld", 2, 3), |parcel| {
        let (last, to_one) = (parcel.bytes[1] == Kind::Kg4b.tag(), parcel.to == party(1));
        match parcel.from {
            from if last && from == party(3) => vec![],
            // Party 3's message of round 3 arrives after the confirmation of party 2.
            from if !last && to_one && from == party(3) && parcel.bytes[1] == Kind::Kg3p.tag() => {
                early.push(parcel);
                vec![]
            }
            from if last && to_one && from == party(2) => {
                let mut both = vec![parcel];
                both.append(&mut early);
                both
            }
            _ => vec![parcel],
        }
    });
    for (me, other) in [(1, 2), (2, 1)] {
        let outcome = &outcomes[&party(me)];
        let fault = outcome.result.as_ref().unwrap().as_ref().unwrap_err();
        assert_eq!((fault.check, fault.culprit), (Check::Missing, Some(party(3))));
        let [Persist::PendingShare(pending), Persist::Confirmed { peer, statement }] =
            &outcome.persisted[..]
        else {
            panic!("{:?}", outcome.persisted)
        };
        assert_eq!(*peer, party(other));
        assert!(pending.confirmation.verify(*peer, statement));
    }
}

#[test]
fn a_wrong_confirmation_is_not_kept() {
    let outcomes = ceremony::run_with(keygen_machines("wrong", 2, 2), |mut parcel| {
        if parcel.bytes[1] == Kind::Kg4b.tag() && parcel.to == party(1) {
            parcel.bytes[HEADER] ^= 1;
        }
        vec![parcel]
    });
    let persisted = &outcomes[&party(1)].persisted;
    assert!(matches!(persisted[..], [Persist::PendingShare(_)]), "{persisted:?}");
}

#[test]
fn a_stored_confirmation_of_a_party_that_is_none_is_refused() {
    let of = |me: u8, count: u8| {
        let stored = [&[7; 64][..], &[me, count]].concat();
        Confirmation::from_bytes(&stored).map(|read| read.peers().count())
    };
    assert_eq!((of(2, 2), of(3, 3), of(1, 16)), (Ok(1), Ok(2), Ok(15)));
    for (me, count) in [(3, 2), (0, 2), (16, 15), (255, 2), (1, 1), (1, 0), (1, 17), (17, 17)] {
        assert!(of(me, count).is_err(), "party {me} of {count}");
    }
}

#[test]
fn a_stored_share_signs_again_and_does_not_know_of_retired_pairs() {
    let share = &TWO_OF_TWO[&party(1)];
    let copy = KeyShare::from_bytes(share.to_bytes().expose()).unwrap();
    copy.retire(party(2), Check::OteCheck);
    assert_eq!(copy.to_bytes().expose(), share.to_bytes().expose());
    let mut shares = reloaded(&TWO_OF_TWO);
    shares.insert(party(1), Arc::new(KeyShare::from_bytes(copy.to_bytes().expose()).unwrap()));
    let setup = sign_setup("reloaded", &parties([1, 2]), sha("digest"));
    assert_eq!(sign(&shares, "reloaded", &setup).len(), 2);
}

#[test]
fn a_share_from_a_backup_is_refreshed_and_does_not_sign() {
    let mut old = reloaded(&TWO_OF_TWO);
    let backup = old[&party(1)].to_backup();
    assert_eq!(KeyShare::stored_format(backup.expose()), Some(KeyShare::LATEST_FORMAT));
    let restored = KeyShare::from_bytes(backup.expose()).unwrap();
    assert_eq!(restored.to_bytes().expose(), backup.expose());
    assert!(!restored.can_sign() && restored.meeting_secret(party(2)).is_none());
    for other in
        [&backup.expose()[..backup.expose().len() - 1], &[backup.expose(), &[0][..]].concat()]
    {
        assert!(KeyShare::from_bytes(other).is_err());
    }
    old.insert(party(1), Arc::new(restored));
    let setup = sign_setup("restored", &parties([1, 2]), sha("digest"));
    let refused = signer(&old[&party(1)], "restored", &setup).err();
    assert_eq!(refused, Some(Fault::nobody(Check::Params, "setup")));

    let new = ceremony::shares(run(ceremony::refresh_machines("restored", &old)));
    assert!(new.values().all(|share| share.can_sign()));
    let setup = sign_setup("refreshed", &parties([1, 2]), sha("digest"));
    assert_eq!(sign(&new, "refreshed", &setup).len(), 2);
}

#[test]
fn the_format_of_a_stored_share_is_told_from_damage() {
    let stored = THREE_OF_THREE[&party(2)].to_bytes();
    assert_eq!(KeyShare::stored_format(stored.expose()), Some(1));
    let later = [b"cosign-share/13".as_slice(), &stored.expose()[14..]].concat();
    assert_eq!(KeyShare::stored_format(&later), Some(13));
    assert!(KeyShare::from_bytes(&later).is_err());
    let endless = [b"cosign-share/".as_slice(), &[b'9'; 99]].concat();
    for other in [&b"cosign-share/"[..], b"cosign-shard/1", b"", &endless] {
        assert_eq!(KeyShare::stored_format(other), None);
    }
}

#[test]
fn a_stored_share_that_does_not_fit_together_is_refused() {
    let stored = THREE_OF_THREE[&party(2)].to_bytes();
    let stored = stored.expose();
    let refused = |bytes: &[u8]| KeyShare::from_bytes(bytes).is_err();
    // Magic, sizes, index and parameters; then the secret, the key and the public shares.
    let (secret, chain_code) = (20 + 32, 20 + 32 + 32 + 33 + 3 * 33);
    for position in (0..20).chain(secret..chain_code) {
        let mut bytes = stored.clone();
        bytes[position] ^= 1;
        assert!(refused(&bytes), "a change at {position}");
    }
    for length in [0, 13, 19, 100, stored.len() - 1] {
        assert!(refused(&stored[..length]), "cut to {length}");
    }
    assert!(refused(&[&stored[..], &[0]].concat()));
}

/// Offsets in a stored share of three parties (docs/protocol.md §3.6).
const PUBLIC_SHARES: usize = 20 + 32 + 32 + 33;
const PAIR: usize = 32832;

#[test]
fn a_stored_share_of_two_parties_with_one_identity_is_refused() {
    let stored = TWO_OF_THREE[&party(1)].to_bytes();
    let mut bytes = stored.expose().clone();
    let identities = PUBLIC_SHARES + 3 * 33 + 32;
    let length = 1 + usize::from(bytes[identities]);
    let second = identities + length;
    assert_eq!(bytes[second], bytes[identities], "identities of one length");
    bytes.copy_within(identities..second, second);
    assert!(KeyShare::from_bytes(&bytes).is_err());
}

#[test]
fn a_stored_share_whose_public_shares_lie_on_no_common_line_is_refused() {
    let stored = TWO_OF_THREE[&party(1)].to_bytes();
    let stored = stored.expose();
    assert!(KeyShare::from_bytes(stored).is_ok());
    // Valid points all of them, and the own one is right: only the common polynomial is missing.
    let other = encode_point(&ProjectivePoint::GENERATOR.to_affine()).unwrap();
    for peer in [2, 3] {
        let mut bytes = stored.clone();
        let place = PUBLIC_SHARES + (peer - 1) * 33;
        bytes[place..place + 33].copy_from_slice(&other);
        assert!(KeyShare::from_bytes(&bytes).is_err(), "the public share of party {peer}");
    }
    let mut exchanged = stored.clone();
    let (two, three) = exchanged[PUBLIC_SHARES + 33..PUBLIC_SHARES + 99].split_at_mut(33);
    two.swap_with_slice(three);
    assert!(KeyShare::from_bytes(&exchanged).is_err(), "two public shares exchanged");
    let mut key = stored.clone();
    key[PUBLIC_SHARES - 33..PUBLIC_SHARES].copy_from_slice(&other);
    assert!(KeyShare::from_bytes(&key).is_err(), "another key");
}

#[test]
fn a_stored_share_that_fewer_than_the_threshold_have_is_refused() {
    // Everything fits a constant polynomial: any one party has the key.
    let mut bytes = TWO_OF_THREE[&party(1)].to_bytes().expose().clone();
    let generator = encode_point(&ProjectivePoint::GENERATOR.to_affine()).unwrap();
    let secret = PUBLIC_SHARES - 33 - 32;
    bytes[secret..secret + 32].copy_from_slice(&[&[0; 31][..], &[1]].concat());
    for place in (PUBLIC_SHARES - 33..).step_by(33).take(4) {
        bytes[place..place + 33].copy_from_slice(&generator);
    }
    assert!(KeyShare::from_bytes(&bytes).is_err());
}

#[test]
fn a_stored_share_with_a_pair_too_many_or_too_few_is_refused() {
    for (shares, index) in [(&TWO_OF_TWO, 1), (&TWO_OF_THREE, 2)] {
        let stored = shares[&party(index)].to_bytes();
        let stored = stored.expose();
        let last = &stored[stored.len() - PAIR..];
        assert!(KeyShare::from_bytes(&[&stored[..], last].concat()).is_err());
        assert!(KeyShare::from_bytes(&stored[..stored.len() - PAIR]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delivery_in_any_order_makes_the_same_key(picks in prop::collection::vec(any::<usize>(), 64)) {
        let mut local = Local::start(keygen_machines("shuffled", 2, 3), now());
        let mut picks = picks.into_iter().cycle();
        while !local.parcels.is_empty() {
            let pick = picks.next().unwrap() % local.parcels.len();
            let parcel: Parcel = local.parcels.remove(pick);
            local.deliver(&parcel);
        }
        let done: Vec<_> = local.outcomes().values().map(|o| *o.result.as_ref().unwrap()).collect();
        prop_assert_eq!(done.len(), 3);
        prop_assert!(done.windows(2).all(|pair| pair[0].is_ok() && pair[0] == pair[1]));
    }

    #[test]
    fn no_sequence_of_calls_makes_a_machine_panic(
        calls in prop::collection::vec((0_u8..5, any::<u8>(), any::<[u8; 40]>()), 1..30),
    ) {
        let (mut machine, honest) = signing();
        for (call, from, bytes) in calls {
            let from = party(from % 16 + 1);
            match call {
                0 => machine.start(now()),
                1 => machine.handle(now(), from, &bytes),
                2 => machine.tick(now()),
                3 => machine.handle(now(), party(2), &[&honest[..HEADER], &bytes].concat()),
                _ => drop(machine.poll()),
            }
        }
    }
}
