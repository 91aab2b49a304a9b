//! Signing: lies with which all messages of the liar are consistent (docs/protocol.md §10.2).

use crate::curve::{Curve, Scalar};
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::wire::Kind;

use crate::group::*;
use crate::reference::Lies;
use crate::scene::{lives, scenes};

/// Two implementations of one specification say the same, byte for byte.
#[test]
fn the_reference_sends_what_the_machine_sends() {
    for scene in scenes() {
        let of_liar = |group: Group<_>, kept: &mut Vec<_>| {
            let group = group.play(|parcel| {
                if parcel.from == scene.liar {
                    kept.push(parcel.clone());
                }
                vec![parcel]
            });
            let victim = group.members[&scene.victim].done();
            assert!(victim.is_some());
        };
        let (mut machine, mut reference) = (Vec::new(), Vec::new());
        of_liar(scene.group(&scene.key.shares()), &mut machine);
        let liar = scene.reference(Lies::default());
        of_liar(scene.honest(&scene.key.shares()).with(liar), &mut reference);
        assert_eq!(machine, reference);
    }
}

/// S-20
#[test]
fn multiplying_another_nonce_than_the_committed_one_retires_the_liar() {
    let lies = Lies { inputs: [Scalar::ONE, Scalar::ZERO], ..Lies::default() };
    lives(lies, |scene| scene.by_liar(Check::GammaU, "SG2"));
}

/// S-21
#[test]
fn multiplying_another_share_than_the_public_one_retires_the_liar() {
    let lies = Lies { inputs: [Scalar::ZERO, Scalar::ONE], ..Lies::default() };
    lives(lies, |scene| scene.by_liar(Check::GammaV, "SG2"));
}

/// S-22 and S-42: with two signers the liar is known, with three there is no culprit.
#[test]
fn signing_with_another_key_share_is_seen_in_the_sum_of_the_public_shares() {
    let lies = Lies { share: Scalar::ONE, ..Lies::default() };
    lives(lies, |scene| match scene.setup.signers.len() {
        2 => scene.by_liar(Check::PkSum, "SG2"),
        _ => Fault::nobody(Check::PkSum, "SG2"),
    });
}

/// S-25, with the same lie to all.
#[test]
fn a_wrong_numerator_makes_no_signature_for_anybody() {
    let lies = Lies { w: Scalar::ONE, ..Lies::default() };
    lives(lies, |_| Fault::nobody(Check::SigInvalid, "SG3"));
}

/// The session, and with it the epoch, is part of the view: a party that computes it for another
/// epoch is detected before any check that could ban.
#[test]
fn a_view_of_another_epoch_stops_the_session_and_blames_nobody() {
    let lies = Lies { epoch: Some([5; 32]), ..Lies::default() };
    lives(lies, |_| Fault::nobody(Check::View, "SG2"));
}

/// S-47: the victim's own nonce must be known for this, so it takes a colluding victim.
#[test]
fn nonce_points_that_cancel_make_no_signature() {
    for scene in scenes() {
        let honest = scene.setup.signers.iter().filter(|party| **party != scene.liar);
        let sum: Scalar = honest.map(|party| scene.seed(*party).scalar::<Curve>("r")).sum();
        let shares = scene.key.shares();
        let liar = scene.reference(Lies { r: Some(-sum), ..Lies::default() });
        let group = scene.honest(&shares).with(liar).honestly();
        scene.assert(group, &shares, Fault::nobody(Check::RInvalid, "SG2"));
    }
}

/// A liar that commits to the victim's own nonce point, which it must not have seen, cannot open
/// it any better than its owner: the point alone is no use.
#[test]
fn a_nonce_point_without_its_logarithm_cannot_be_multiplied() {
    for scene in scenes() {
        let r = scene.seed(scene.victim).scalar::<Curve>("r");
        let lies = Lies { r: Some(r), inputs: [Scalar::ONE - r, Scalar::ZERO], ..Lies::default() };
        let shares = scene.key.shares();
        let liar = scene.reference(lies);
        let group = scene.honest(&shares).with(liar).honestly();
        scene.assert(group, &shares, scene.by_liar(Check::GammaU, "SG2"));
    }
}

/// One lie to several victims retires each victim's pair with the liar, and no other.
#[test]
fn every_victim_retires_the_liar_and_nobody_else() {
    for scene in scenes() {
        let shares = scene.key.shares();
        let group = scene.group(&shares).play(|mut parcel| {
            if parcel.from == scene.liar && kind_of(&parcel.bytes) == Kind::Sg1 {
                parcel.bytes[200] ^= 1;
            }
            vec![parcel]
        });
        let honest = scene.setup.signers.iter().filter(|party| **party != scene.liar);
        let expected: Vec<_> = honest.map(|p| (*p, scene.liar, Check::OteCheck)).collect();
        assert_eq!(retired(&shares), expected);
        scene.assert(group, &shares, scene.by_liar(Check::OteCheck, "SG1"));
    }
}
