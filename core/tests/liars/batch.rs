//! Several signatures in one session, with one liar (docs/protocol.md §7.9, §10.5).

use std::cell::RefCell;
use std::sync::Arc;

use crate::curve::{Curve, ProjectivePoint, Scalar, some_tweak, tweak};
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::{decode_scalar, encode_scalar};
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::machine::Machine;
use cosign_core::hazmat::protocol::sign::{BatchSigned, sign_batch_with_seed};
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};

use crate::group::*;
use crate::layout::{Field, Message, off_curve, point, scalar};
use crate::reference::{Lies, Reference};
use crate::sweep::{altered, decodes};
use crate::transfers::{Guess, Pair};

// ---------------------------------------------------------------------------------------------
// Who signs what, and who lies
// ---------------------------------------------------------------------------------------------

const NAME: &str = "a batch with a liar";

/// The signers, the key, the liar, and its victim.
#[derive(Clone)]
struct Scene {
    key: &'static Key,
    setup: BatchSetup,
    liar: PartyId,
    victim: PartyId,
}

/// One digest for each path below the key; the key itself for an empty one.
fn batch(name: &str, key: &Key, signers: &[u8], paths: &[&[u32]]) -> BatchSetup {
    let share = &key.shares()[&id(1)];
    let item = |(l, path): (usize, &&[u32])| BatchItem {
        digest: sha(format!("digest {l}")),
        tweak: tweak(share, path),
    };
    BatchSetup {
        signers: signers.iter().copied().map(id).collect(),
        sign_id: sha(name),
        items: paths.iter().enumerate().map(item).collect(),
        recipient: None,
    }
}

/// Two of two under three keys, both ways round; two of three for one of them; three of three.
fn scenes() -> Vec<Scene> {
    let scene = |key, signers: &[u8], paths: &[&[u32]], liar, victim| Scene {
        key,
        setup: batch(NAME, key, signers, paths),
        liar: id(liar),
        victim: id(victim),
    };
    let mut for_one = scene(two_of_three(), &[1, 3], &[&[], &[]], 3, 1);
    for_one.setup.recipient = Some(id(1));
    vec![
        scene(two_of_two(), &[1, 2], &[&[], &[0, 7], &[1]], 2, 1),
        scene(two_of_two(), &[1, 2], &[&[4], &[]], 1, 2),
        for_one,
        scene(three_of_three(), &[1, 2, 3], &[&[], &[5]], 2, 1),
    ]
}

fn batcher(
    share: &Arc<crate::group::KeyShare>,
    name: &str,
    setup: &BatchSetup,
) -> Result<Machine<BatchSigning>, Fault> {
    let seed = sign_seed(name, share.me());
    sign_batch_with_seed(Arc::clone(share), setup.clone(), seed, TIMEOUT)
}

fn batchers(name: &str, shares: &Shares, setup: &BatchSetup) -> Vec<Machine<BatchSigning>> {
    setup.signers.iter().map(|party| batcher(&shares[party], name, setup).unwrap()).collect()
}

impl Scene {
    fn group(&self, shares: &Shares) -> Group<BatchSigning> {
        Group::of(batchers(NAME, shares, &self.setup))
    }

    /// The liar, written a second time, and the others as machines.
    fn with(&self, shares: &Shares, lies: Lies) -> Group<BatchSigning> {
        let honest = self.setup.signers.iter().filter(|party| **party != self.liar);
        let honest = honest.map(|party| batcher(&shares[party], NAME, &self.setup).unwrap());
        Group::of(honest.collect::<Vec<_>>()).with(self.reference(lies))
    }

    fn reference(&self, lies: Lies) -> Reference {
        let seed = sign_seed(NAME, self.liar);
        Reference::of_batch(self.key, self.liar, self.setup.clone(), seed, lies)
    }

    /// The last item, about which most of the lies are: a verdict that comes too early misses it.
    fn last(&self) -> usize {
        self.setup.items.len() - 1
    }

    fn by_liar(&self, check: Check, at: &'static str) -> Fault {
        Fault::by(self.liar, check, at)
    }

    /// The victim stopped with `fault`, no honest pair was retired, and the pair signs another batch
    /// exactly if it may.
    fn assert(&self, mut group: Group<BatchSigning>, shares: &Shares, fault: Fault) {
        group.member(self.victim).stopped(fault);
        assert_retired(self.liar, &group, shares);
        // B-45
        let again = batcher(&shares[&self.victim], "again", &self.setup);
        let refused = Fault::by(self.liar, Check::PairRetired, "setup");
        assert_eq!(again.err(), fault.bans().then_some(refused));
    }
}

/// The liar alters its messages of `kind` to the victim, who stops with `fault`.
fn told(kind: Kind, alter: impl Fn(&Scene, &mut Message), fault: impl Fn(&Scene) -> Fault) {
    for scene in scenes() {
        let shares = scene.key.shares();
        let group = scene.group(&shares).told(kind, scene.liar, scene.victim, |bytes| {
            let mut message = Message(bytes);
            alter(&scene, &mut message);
            vec![message.0]
        });
        scene.assert(group, &shares, fault(&scene));
    }
}

/// The same for the product of one item.
fn product(number: impl Fn(&Scene) -> usize, alter: impl Fn(&mut Message), check: Check) {
    let alter = |scene: &Scene, message: &mut Message| {
        if number_of(message) == number(scene) {
            alter(message);
        }
    };
    told(Kind::Sb2r, alter, |scene| scene.by_liar(check, "SB2R"));
}

fn number_of(message: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([message[HEADER], message[HEADER + 1]]))
}

/// The liar does everything consistently with its lies.
fn lives(lies: impl Fn(&Scene) -> Lies, fault: impl Fn(&Scene) -> Fault) {
    for scene in scenes() {
        let shares = scene.key.shares();
        let group = scene.with(&shares, lies(&scene)).honestly();
        scene.assert(group, &shares, fault(&scene));
    }
}

fn of(field: &str, item: usize) -> String {
    format!("{field}[{item}]")
}

// ---------------------------------------------------------------------------------------------
// Controls
// ---------------------------------------------------------------------------------------------

/// Every party that receives signatures has one for each digest under its key, and the others none.
fn assert_signed(group: &Group<BatchSigning>, setup: &BatchSetup, shares: &Shares) {
    for (party, member) in &group.members {
        let share = &shares[party];
        let receives = setup.recipient.is_none_or(|recipient| recipient == *party);
        match member.done() {
            Some(BatchSigned::Signatures(signatures)) if receives => {
                assert_eq!(signatures.len(), setup.items.len());
                for (item, signature) in setup.items.iter().zip(signatures) {
                    let key = ProjectivePoint::from(*share.public_key());
                    let key = (key + ProjectivePoint::GENERATOR * item.tweak).to_affine();
                    assert_eq!(signature.public_key, key);
                    verify_digest(&key, &item.digest, signature);
                }
            }
            Some(BatchSigned::Delivered) => assert!(!receives),
            other => panic!("party {party}: {other:?}, {:?}", member.fault()),
        }
    }
}

#[test]
fn every_digest_of_a_batch_is_signed_under_its_own_key() {
    for scene in scenes() {
        let shares = scene.key.shares();
        let group = scene.group(&shares).honestly();
        assert_signed(&group, &scene.setup, &shares);
    }
}

/// Two implementations of one specification say the same, byte for byte.
#[test]
fn the_reference_sends_what_the_machine_sends() {
    for scene in scenes() {
        let of_liar = |group: Group<BatchSigning>| {
            let mut kept = Vec::new();
            let group = group.play(|parcel| {
                if parcel.from == scene.liar {
                    kept.push((parcel.to, parcel.bytes.clone()));
                }
                vec![parcel]
            });
            assert!(group.members[&scene.victim].done().is_some());
            // The machine takes turns between its peers.
            kept.sort_unstable();
            kept
        };
        let shares = scene.key.shares();
        assert_eq!(of_liar(scene.group(&shares)), of_liar(scene.with(&shares, Lies::default())));
    }
}

#[test]
fn only_the_recipient_of_a_batch_is_sent_parts_of_it() {
    let mut setup = batch("for one", three_of_three(), &[1, 2, 3], &[&[], &[]]);
    setup.recipient = Some(id(2));
    let shares = three_of_three().shares();
    let mut receivers = Vec::new();
    let group = Group::of(batchers("for one", &shares, &setup)).play(|parcel| {
        if kind_of(&parcel.bytes) == Kind::Sb3 {
            assert_eq!(parcel.bytes[3], 2);
            receivers.push((parcel.from, parcel.to));
        }
        vec![parcel]
    });
    assert_signed(&group, &setup, &shares);
    receivers.sort_unstable();
    assert_eq!(receivers, [(id(1), id(2)), (id(3), id(2))]);
}

// ---------------------------------------------------------------------------------------------
// Setup
// ---------------------------------------------------------------------------------------------

/// B-01: one is a single signature.
#[test]
fn a_batch_has_from_two_to_256_items() {
    let share = &two_of_two().shares()[&id(1)];
    let begin = |count| {
        let item = BatchItem { digest: [7; 32], tweak: Scalar::ZERO };
        let setup =
            BatchSetup { items: vec![item; count], ..batch("sizes", two_of_two(), &[1, 2], &[]) };
        // The first message is made at once, so the largest is not begun for nothing elsewhere.
        batcher(share, "sizes", &setup).map(drop)
    };
    for count in [0, 1, 257, 65538] {
        assert_eq!(begin(count), Err(Fault::nobody(Check::Params, "setup")), "{count}");
    }
    for count in [2, 256] {
        assert_eq!(begin(count), Ok(()), "{count}");
    }
}

#[test]
fn a_tweak_that_cancels_the_key_and_signers_that_are_none_are_refused() {
    let shares = two_of_two().shares();
    let secret: Scalar = shares
        .values()
        .map(|share| {
            let lambda = cosign_core::hazmat::crypto::share::lagrange::<Scalar>(
                share.me(),
                &[id(1), id(2)],
                0,
            );
            lambda * share.secret().expose()
        })
        .sum();
    let honest = batch("refused", two_of_two(), &[1, 2], &[&[], &[]]);
    let mut cancels = honest.clone();
    cancels.items[1].tweak = -secret;
    let strangers = BatchSetup { signers: vec![id(1), id(3)], ..honest.clone() };
    let for_stranger = BatchSetup { recipient: Some(id(3)), ..honest.clone() };
    for setup in [cancels, strangers, for_stranger] {
        let refused = batcher(&shares[&id(1)], "refused", &setup).err();
        assert_eq!(refused, Some(Fault::nobody(Check::Params, "setup")));
    }
    assert!(batcher(&shares[&id(1)], "refused", &honest).is_ok());
}

/// B-30 to B-33 and B-43: before any transfer is touched, and without blame.
#[test]
fn signers_who_were_asked_different_lists_part_at_once() {
    type Change = fn(&mut BatchSetup);
    let changes: [Change; 8] = [
        |setup| setup.items[1].digest = sha("another digest"),
        |setup| setup.items.swap(0, 1),
        |setup| setup.items.truncate(2),
        |setup| setup.items.extend_from_within(..1),
        |setup| setup.sign_id = sha("another request"),
        |setup| setup.items[0].tweak += some_tweak(),
        |setup| setup.recipient = Some(setup.signers[0]),
        |setup| setup.recipient = Some(setup.signers[1]),
    ];
    for (scene, change) in scenes().iter().flat_map(|s| changes.iter().map(move |c| (s, c))) {
        let mut other = scene.setup.clone();
        change(&mut other);
        if other == scene.setup {
            continue;
        }
        let shares = scene.key.shares();
        let machines = scene.setup.signers.iter().map(|party| {
            let setup = if *party == scene.liar { &other } else { &scene.setup };
            batcher(&shares[party], NAME, setup).unwrap()
        });
        let group = Group::of(machines.collect::<Vec<_>>()).honestly();
        scene.assert(group, &shares, scene.by_liar(Check::Session, "SB1"));
    }
}

// ---------------------------------------------------------------------------------------------
// Round 1
// ---------------------------------------------------------------------------------------------

/// B-02
#[test]
fn a_flipped_correction_bit_of_any_item_retires_its_sender() {
    for item in 0..3 {
        told(
            Kind::Sb1,
            |scene, m| m.flip(&of("u", item.min(scene.last())), 9),
            |scene| scene.by_liar(Check::OteCheck, "SB1"),
        );
    }
}

/// B-03, B-04, B-06
#[test]
fn other_combinations_verdicts_and_nonces_retire_their_sender() {
    let banned = |scene: &Scene| scene.by_liar(Check::OteCheck, "SB1");
    told(Kind::Sb1, |scene, m| m.flip(&of("xbar", scene.last()), 0), banned);
    told(Kind::Sb1, |_, m| m.flip("h_t[0]", 31), banned);
    told(Kind::Sb1, |_, m| m.flip("nu", 0), banned);
}

/// B-05
#[test]
fn transfers_of_two_items_exchanged_retire_their_sender() {
    let exchange = |_: &Scene, m: &mut Message| {
        let (first, second) = m[HEADER + 64..HEADER + 64 + 2 * 2224].split_at(2224);
        let exchanged = [second, first].concat();
        m[HEADER + 64..HEADER + 64 + 2 * 2224].copy_from_slice(&exchanged);
    };
    told(Kind::Sb1, exchange, |scene| scene.by_liar(Check::OteCheck, "SB1"));
}

/// B-07 and B-47: with three signers the culprit is unknown.
#[test]
fn a_commitment_told_differently_stops_the_batch_and_blames_nobody() {
    told(Kind::Sb1, |_, m| m.flip("C", 8), |_| Fault::nobody(Check::View, "SB2"));
}

/// B-44: the verdict is one, however many items guess.
#[test]
fn guesses_in_several_items_pass_only_if_all_are_right() {
    for scene in scenes().into_iter().filter(|scene| scene.setup.signers.len() == 2) {
        let tree = 3;
        let hole = Pair::read(scene.key, scene.victim, scene.liar).holes[tree];
        let right = Guess { tree, bit: 7, hole };
        for (guess, passes) in [(right, true), (Guess { hole: hole ^ 1, ..right }, false)] {
            let shares = scene.key.shares();
            let lies = Lies {
                item: scene.last(),
                guess: Some(guess),
                guessed_before: Some(right),
                ..Lies::default()
            };
            let mut group = scene.with(&shares, lies).honestly();
            if passes {
                assert!(matches!(
                    group.member(scene.victim).done(),
                    Some(BatchSigned::Signatures(_))
                ));
                assert_eq!(retired(&shares), []);
            } else {
                scene.assert(group, &shares, scene.by_liar(Check::OteCheck, "SB1"));
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Round 2: openings
// ---------------------------------------------------------------------------------------------

/// B-08, B-09, B-10
#[test]
fn opening_one_nonce_point_otherwise_blames_its_sender() {
    let blamed = |scene: &Scene| scene.by_liar(Check::Commit, "SB2");
    told(Kind::Sb2, |scene, m| m.put(&of("R", scene.last()), &point(9)), blamed);
    let exchange = |_: &Scene, m: &mut Message| {
        let (first, second) = (m.field("R[0]").to_vec(), m.field("R[1]").to_vec());
        m.put("R[0]", &second);
        m.put("R[1]", &first);
    };
    told(Kind::Sb2, exchange, blamed);
    told(Kind::Sb2, |_, m| m.flip("salt", 0), blamed);
}

/// B-11
#[test]
fn another_view_stops_the_batch_and_blames_nobody() {
    told(Kind::Sb2, |_, m| m.flip("view", 0), |_| Fault::nobody(Check::View, "SB2"));
}

/// B-12, B-13, B-14
#[test]
fn values_of_one_item_that_do_not_decode_are_malformed() {
    let blamed = |scene: &Scene| scene.by_liar(Check::Malformed, "SB2");
    told(Kind::Sb2, |scene, m| m.fill(&of("pk", scene.last()), 0), blamed);
    told(Kind::Sb2, |scene, m| m.put(&of("Gamma_u", scene.last()), &off_curve()), blamed);
    told(Kind::Sb2, |_, m| m.fill("psi[1]", 0xff), blamed);
}

/// B-15, B-16, B-17
#[test]
fn another_image_in_one_item_retires_its_sender() {
    let by = |check| move |scene: &Scene| scene.by_liar(check, "SB2R");
    told(Kind::Sb2, |_, m| m.put("Gamma_u[1]", &point(9)), by(Check::GammaU));
    told(Kind::Sb2, |scene, m| m.put(&of("Gamma_v", scene.last()), &point(9)), by(Check::GammaV));
    told(Kind::Sb2, |_, m| m.put("pk[1]", &point(9)), by(Check::GammaV));
}

/// B-18: no signature of the others either.
#[test]
fn a_shifted_mask_of_one_item_makes_no_signature_at_all() {
    told(
        Kind::Sb2,
        |_, m| m.put("psi[1]", &scalar(7)),
        |_| Fault::nobody(Check::SigInvalid, "SB3"),
    );
}

// ---------------------------------------------------------------------------------------------
// Round 2: products
// ---------------------------------------------------------------------------------------------

/// B-19, B-20, B-21
#[test]
fn altered_products_of_one_item_retire_their_sender() {
    let rows: Vec<u8> = (0..416 * 3).flat_map(|i| scalar(1 + i)).collect();
    product(Scene::last, |m| m.put("atilde", &rows), Check::RvoleCheck);
    product(|_| 1, |m| m.put("eta", &scalar(3)), Check::RvoleCheck);
    product(|_| 0, |m| m.flip("muhat", 0), Check::RvoleCheck);
}

/// B-22
#[test]
fn a_scalar_of_one_product_above_the_group_order_is_malformed() {
    let alter = |m: &mut Message| {
        let start = m.range("atilde").start;
        m[start..start + 32].fill(0xff);
    };
    product(|_| 1, alter, Check::Malformed);
}

/// B-23
#[test]
fn the_number_of_no_item_is_malformed() {
    for beyond in [0, 1, 255] {
        let alter = |scene: &Scene, m: &mut Message| {
            if number_of(m) == 1 {
                let number = (scene.setup.items.len() + beyond) as u16;
                m.put("number", &number.to_be_bytes());
            }
        };
        told(Kind::Sb2r, alter, |scene| scene.by_liar(Check::Malformed, "SB2R"));
    }
}

/// B-24
#[test]
fn a_second_product_of_one_item_is_a_duplicate() {
    product(|_| 1, |m| m.put("number", &[0, 0]), Check::Duplicate);
}

/// B-25
#[test]
fn a_product_that_does_not_come_is_missing() {
    for scene in scenes() {
        let shares = scene.key.shares();
        let group = scene.group(&shares).told(Kind::Sb2r, scene.liar, scene.victim, |bytes| {
            if number_of(&bytes) == scene.last() { vec![] } else { vec![bytes] }
        });
        scene.assert(group, &shares, scene.by_liar(Check::Missing, "SB2R"));
    }
}

/// B-26
#[test]
fn products_of_two_items_exchanged_retire_their_sender() {
    let exchange = |_: &Scene, m: &mut Message| match number_of(m) {
        0 => m.put("number", &[0, 1]),
        1 => m.put("number", &[0, 0]),
        _ => (),
    };
    told(Kind::Sb2r, exchange, |scene| scene.by_liar(Check::RvoleCheck, "SB2R"));
}

/// B-27, B-28
#[test]
fn multiplying_other_values_than_those_of_one_item_retires_the_liar() {
    for (inputs, check) in
        [([Scalar::ONE, Scalar::ZERO], Check::GammaU), ([Scalar::ZERO, Scalar::ONE], Check::GammaV)]
    {
        lives(
            |scene| Lies { item: scene.last(), inputs, ..Lies::default() },
            |scene| scene.by_liar(check, "SB2R"),
        );
    }
}

/// B-29 and B-48: with two signers the liar is known, with three there is no culprit.
#[test]
fn another_key_share_in_one_item_is_seen_in_the_sum_of_the_public_shares() {
    lives(
        |scene| Lies { item: scene.last(), share: Scalar::ONE, ..Lies::default() },
        |scene| match scene.setup.signers.len() {
            2 => scene.by_liar(Check::PkSum, "SB2"),
            _ => Fault::nobody(Check::PkSum, "SB2"),
        },
    );
}

/// B-37: the victim's own nonce must be known for this, so it takes a colluding victim.
#[test]
fn nonce_points_of_one_item_that_cancel_make_no_signature_at_all() {
    for scene in scenes() {
        let honest = scene.setup.signers.iter().filter(|party| **party != scene.liar);
        let sum: Scalar = honest.map(|party| sign_seed(NAME, *party).scalar::<Curve>("r/1")).sum();
        let shares = scene.key.shares();
        let lies = Lies { item: 1, r: Some(-sum), ..Lies::default() };
        let group = scene.with(&shares, lies).honestly();
        scene.assert(group, &shares, Fault::nobody(Check::RInvalid, "SB2"));
    }
}

// ---------------------------------------------------------------------------------------------
// Round 3
// ---------------------------------------------------------------------------------------------

/// B-36
#[test]
fn a_wrong_numerator_in_one_item_makes_no_signature_at_all() {
    for item in [0, 1] {
        lives(
            |_| Lies { item, w: Scalar::ONE, ..Lies::default() },
            |_| Fault::nobody(Check::SigInvalid, "SB3"),
        );
    }
}

/// B-38
#[test]
fn sums_of_one_item_that_are_zero_are_found_before_they_are_inverted() {
    for field in ["u[1]", "w[1]"] {
        let two = |scene: &Scene| scene.setup.signers.len() == 2 && scene.setup.recipient.is_none();
        for scene in scenes().into_iter().filter(two) {
            let part = RefCell::new(Scalar::ZERO);
            scene.group(&scene.key.shares()).play(|parcel| {
                if parcel.from == scene.victim && kind_of(&parcel.bytes) == Kind::Sb3 {
                    let message = Message(parcel.bytes.clone());
                    *part.borrow_mut() = decode_scalar(message.field(field)).unwrap();
                }
                vec![parcel]
            });
            let shares = scene.key.shares();
            let group = scene.group(&shares).told(Kind::Sb3, scene.liar, scene.victim, |bytes| {
                let mut message = Message(bytes);
                message.put(field, &encode_scalar(&-*part.borrow()));
                vec![message.0]
            });
            scene.assert(group, &shares, Fault::nobody(Check::SigZero, "SB3"));
        }
    }
}

/// B-39
#[test]
fn another_nonce_point_of_one_item_at_the_end_blames_its_sender() {
    let alter = |scene: &Scene, m: &mut Message| m.put(&of("R", scene.last()), &point(1));
    told(Kind::Sb3, alter, |scene| scene.by_liar(Check::RMismatch, "SB3"));
}

// ---------------------------------------------------------------------------------------------
// Frames and sessions
// ---------------------------------------------------------------------------------------------

/// B-34, B-35
#[test]
fn lengths_of_another_batch_or_of_none_are_malformed() {
    for (kind, each) in [(Kind::Sb1, 2224), (Kind::Sb2, 164), (Kind::Sb3, 97)] {
        for extra in [1, each, 2 * each, each - 1] {
            let longer = |_: &Scene, m: &mut Message| m.extend(vec![0; extra]);
            told(kind, longer, |scene| scene.by_liar(Check::Malformed, kind.name()));
        }
    }
}

/// B-40: the old list had another size, too.
#[test]
fn messages_of_another_batch_are_refused_without_blame() {
    for scene in scenes() {
        for items in [scene.setup.items.len(), scene.setup.items.len() + 1] {
            let mut before = scene.clone();
            before.setup.sign_id = sha("an earlier batch");
            before.setup.items = before.setup.items.into_iter().cycle().take(items).collect();
            let mut earlier = Vec::new();
            before.group(&scene.key.shares()).play(|parcel| {
                earlier.push(parcel.clone());
                vec![parcel]
            });
            for kind in [Kind::Sb1, Kind::Sb2, Kind::Sb2r, Kind::Sb3] {
                let told_before = |parcel: &&Parcel| {
                    let pair = (parcel.from, parcel.to) == (scene.liar, scene.victim);
                    pair && kind_of(&parcel.bytes) == kind
                };
                // The last of several: its number may be that of no item here.
                let old = earlier.iter().rfind(told_before).unwrap().bytes.clone();
                let shares = scene.key.shares();
                let group = scene.group(&shares);
                let group = group.told(kind, scene.liar, scene.victim, |_| vec![old.clone()]);
                scene.assert(group, &shares, scene.by_liar(Check::Session, kind.name()));
            }
        }
    }
}

/// B-41: the old transfers are valid, so their check passes and no pair is retired.
#[test]
fn the_first_message_of_an_earlier_attempt_retires_nobody() {
    for scene in scenes() {
        let machines = |name: &str, shares: &Shares| batchers(name, shares, &scene.setup);
        let (_, earlier) = Group::of(machines("first", &scene.key.shares())).recorded();
        let old = &earlier[&(Kind::Sb1, scene.liar, scene.victim)];
        let shares = scene.key.shares();
        let group = Group::of(machines("second", &shares));
        let group = group.told(Kind::Sb1, scene.liar, scene.victim, |_| vec![old.clone()]);
        scene.assert(group, &shares, Fault::nobody(Check::View, "SB2"));
    }
}

/// B-42, B-49, B-50: a message that is well made for another ceremony is misrouted.
#[test]
fn messages_of_other_ceremonies_are_misrouted() {
    let key = two_of_two();
    let setup = batch("mixed", key, &[1, 2], &[&[], &[]]);
    let single = sign_setup("mixed", &[id(1), id(2)]);
    let (_, batch) = Group::of(batchers("mixed", &key.shares(), &setup)).recorded();
    let (_, sign) = Group::of(signers("mixed", &key.shares(), &single)).recorded();
    let (_, keygen) = Group::of(keygen_machines("mixed", 2, 2)).recorded();
    let from_two = |record: &Record| -> Vec<Vec<u8>> {
        let told = record.iter().filter(|((_, from, _), _)| *from == id(2));
        told.map(|(_, bytes)| bytes.clone()).collect()
    };
    for bytes in [from_two(&sign), from_two(&keygen)].concat() {
        let mut victim = Member::new(batcher(&key.shares()[&id(1)], "mixed", &setup).unwrap());
        victim.hear(id(2), &bytes);
        victim.stopped(Fault::by(id(2), Check::Routing, "SB1"));
    }
    for bytes in [from_two(&batch), from_two(&keygen)].concat() {
        let mut victim =
            Member::new(signer("mixed", &key.shares()[&id(1)], single.clone()).unwrap());
        victim.hear(id(2), &bytes);
        victim.stopped(Fault::by(id(2), Check::Routing, "SG1"));
    }
}

/// B-46: between any two messages, and while the batch is still making its own.
#[test]
fn a_ban_elsewhere_stops_a_batch_at_its_next_step() {
    let key = two_of_two();
    let setup = batch("meanwhile", key, &[1, 2], &[&[], &[]]);
    let mut told = Vec::new();
    Group::of(batchers("meanwhile", &key.shares(), &setup)).play(|parcel| {
        if parcel.from == id(2) {
            told.push(parcel.bytes.clone());
        }
        vec![parcel]
    });
    let last = told.iter().position(|bytes| kind_of(bytes) == Kind::Sb3).unwrap();
    for heard in 0..last {
        let shares = key.shares();
        let mut victim = Member::new(batcher(&shares[&id(1)], "meanwhile", &setup).unwrap());
        told[..heard].iter().for_each(|bytes| victim.hear(id(2), bytes));
        shares[&id(1)].retire(id(2), Check::GammaU);
        told[heard..].iter().for_each(|bytes| victim.hear(id(2), bytes));
        let at = if heard == 0 { "SB1" } else { "SB2" };
        assert_eq!(victim.fault(), Some(Fault::by(id(2), Check::PairRetired, at)), "{heard}");
    }
}

// ---------------------------------------------------------------------------------------------
// Every field
// ---------------------------------------------------------------------------------------------

fn expected(scene: &Scene, field: &Field, message: &Message) -> Fault {
    let at = message.kind().name();
    let malformed = !decodes(field, message);
    // A value that decodes is judged by the product that it belongs to.
    let by = |check, at| match malformed {
        true => scene.by_liar(Check::Malformed, message.kind().name()),
        false => scene.by_liar(check, at),
    };
    match (message.kind(), field.name.split('[').next().unwrap()) {
        (Kind::Sb1, "C") => Fault::nobody(Check::View, "SB2"),
        (Kind::Sb1, _) => by(Check::OteCheck, at),
        (_, "view") => Fault::nobody(Check::View, at),
        // The commitment comes before the encoding.
        (Kind::Sb2, "R" | "salt") => scene.by_liar(Check::Commit, at),
        (Kind::Sb2, "pk" | "Gamma_v") => by(Check::GammaV, "SB2R"),
        (Kind::Sb2, "Gamma_u") => by(Check::GammaU, "SB2R"),
        (Kind::Sb2, _) if !malformed => Fault::nobody(Check::SigInvalid, "SB3"),
        (Kind::Sb2r, "number") if number_of(message) <= scene.last() => by(Check::Duplicate, at),
        (Kind::Sb2r, "number") => scene.by_liar(Check::Malformed, at),
        (Kind::Sb2r, _) => by(Check::RvoleCheck, at),
        (_, "u" | "w") if !malformed => Fault::nobody(Check::SigInvalid, at),
        _ => by(Check::RMismatch, at),
    }
}

#[test]
fn every_altered_field_of_a_batch_has_its_one_consequence() {
    let scene = &scenes()[1];
    let mut record = Vec::new();
    scene.group(&scene.key.shares()).play(|parcel| {
        record.push(parcel.clone());
        vec![parcel]
    });
    let to_victim: Vec<&Parcel> = record.iter().filter(|p| p.to == scene.victim).collect();
    let mut checks = Vec::new();
    for (told, parcel) in to_victim.iter().enumerate() {
        let message = Message(parcel.bytes.clone());
        let others = record.iter().filter(|p| p.from == scene.victim);
        let others = others.filter(|p| kind_of(&p.bytes) == message.kind());
        let others: Vec<_> = others.map(|p| Message(p.bytes.clone())).collect();
        for field in message.fields() {
            for lie in altered(&message, &field, &others) {
                let fault = expected(scene, &field, &lie);
                let shares = scene.key.shares();
                let machine = batcher(&shares[&scene.victim], NAME, &scene.setup).unwrap();
                let mut victim = Member::new(machine);
                for (place, parcel) in to_victim.iter().enumerate() {
                    victim.hear(scene.liar, if place == told { &lie } else { &parcel.bytes });
                }
                victim.stopped(fault);
                let banned = fault.bans().then_some((scene.victim, scene.liar, fault.check));
                assert_eq!(retired(&shares), Vec::from_iter(banned));
                checks.push(fault.check);
            }
        }
    }
    checks.sort_unstable();
    checks.dedup();
    // Every check that a single field can fail was seen.
    assert_eq!(checks.len(), 10, "{checks:?}");
}
