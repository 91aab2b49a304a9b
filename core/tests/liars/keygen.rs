//! Key generation (docs/protocol.md §10.1).

use std::sync::OnceLock;

use crate::curve::{AffinePoint, Curve, ProjectivePoint, Scalar};
use cosign_core::hazmat::crypto::curve::{Arithmetic, decode_point, encode_point};
use cosign_core::hazmat::crypto::dlog::Claim;
use cosign_core::hazmat::crypto::tags;
use cosign_core::hazmat::crypto::transcript::length_prefixed;
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::keygen::keygen_with_seed;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use k256::elliptic_curve::ops::MulByGenerator;

use crate::dealer::Dealer;
use crate::group::*;
use crate::layout::{Message, off_curve, point, scalar};

const NAME: &str = "a key with a liar";

/// The messages of two honest parties.
fn record() -> &'static Record {
    static RECORD: OnceLock<Record> = OnceLock::new();
    RECORD.get_or_init(|| Group::of(keygen_machines(NAME, 2, 2)).recorded().1)
}

/// Party 1 receives party 2's messages, with those of `kind` altered.
///
/// The messages are recorded, so party 2 need not run.
fn told(kind: Kind, alter: impl Fn(&mut Message)) -> Member<Keygen> {
    let mut victim = Member::new(keygen_machine(NAME, 2, 2, id(1)));
    for ((at, from, _), bytes) in record().iter().filter(|((_, from, _), _)| *from == id(2)) {
        let mut message = Message(bytes.clone());
        if *at == kind {
            alter(&mut message);
        }
        victim.hear(*from, &message);
    }
    victim
}

/// Parties of a 2-of-`count` key, one of whom lies to one other.
fn among(
    count: u8,
    kind: Kind,
    liar: u8,
    victim: u8,
    alter: impl Fn(&mut Message),
) -> Group<Keygen> {
    Group::of(keygen_machines(NAME, 2, count)).told(kind, id(liar), id(victim), |bytes| {
        let mut message = Message(bytes);
        alter(&mut message);
        vec![message.0]
    })
}

/// The victim stopped and named party 2.
#[track_caller]
fn blames(mut victim: Member<Keygen>, check: Check, at: &'static str) {
    victim.stopped(Fault::by(id(2), check, at));
}

// ---------------------------------------------------------------------------------------------
// Round 2: openings
// ---------------------------------------------------------------------------------------------

/// K-01: the liar wants the key to be one it knows, and chooses its part after the victim's.
#[test]
fn opening_to_a_constant_chosen_after_the_victims_blames_its_sender() {
    let opening = Message(record()[&(Kind::Kg2b, id(1), id(2))].clone());
    let victims = ProjectivePoint::from(decode_point::<AffinePoint>(opening.field("A0")).unwrap());
    let wanted = ProjectivePoint::GENERATOR * Scalar::from(9_u64) - victims;
    let rogue = encode_point(&wanted.to_affine()).unwrap();
    blames(told(Kind::Kg2b, |m| m.put("A0", &rogue)), Check::Commit, "KG2B");
}

/// K-02
#[test]
fn opening_to_another_chain_code_blames_its_sender() {
    blames(told(Kind::Kg2b, |m| m.flip("cc", 0)), Check::Commit, "KG2B");
}

/// K-03
#[test]
fn opening_with_another_salt_blames_its_sender() {
    blames(told(Kind::Kg2b, |m| m.flip("salt", 0)), Check::Commit, "KG2B");
}

/// K-04
#[test]
fn a_wrong_proof_of_a_coefficient_blames_its_sender() {
    for field in ["z0", "z1"] {
        blames(told(Kind::Kg2b, |m| m.put(field, &scalar(1))), Check::Pok, "KG2B");
    }
}

/// K-05
#[test]
fn a_proof_that_is_no_scalar_is_malformed() {
    blames(told(Kind::Kg2b, |m| m.fill("z0", 0xff)), Check::Malformed, "KG2B");
}

/// K-06: with one coefficient more, two shares would no longer sign.
#[test]
fn a_raised_threshold_is_a_wrong_length() {
    let raise = |m: &mut Message| {
        m.splice(HEADER..HEADER, point(1));
        m.extend([0; 65]);
    };
    blames(told(Kind::Kg2b, raise), Check::Malformed, "KG2B");
}

/// K-07
#[test]
fn a_lowered_threshold_is_a_wrong_length() {
    let lower = |m: &mut Message| {
        m.drain(HEADER..HEADER + 33);
        let length = m.len() - 65;
        m.truncate(length);
    };
    blames(told(Kind::Kg2b, lower), Check::Malformed, "KG2B");
}

/// K-08
#[test]
fn the_identity_and_other_points_that_are_none_are_malformed() {
    for field in ["A0", "A1"] {
        blames(told(Kind::Kg2b, |m| m.fill(field, 0)), Check::Malformed, "KG2B");
        blames(told(Kind::Kg2b, |m| m.put(field, &off_curve())), Check::Malformed, "KG2B");
    }
    blames(told(Kind::Kg2b, |m| m.fill("T1", 0)), Check::Malformed, "KG2B");
}

/// K-20
#[test]
fn a_nonce_told_differently_makes_another_session() {
    blames(told(Kind::Kg1, |m| m.flip("nonce", 0)), Check::Session, "KG2B");
    blames(told(Kind::Kg1, |m| m.flip("C", 0)), Check::Session, "KG2B");
}

/// K-21: the index of the party is inside the commitment, and a rushing party gains nothing by
/// repeating what it hears.
#[test]
fn a_copied_commitment_cannot_be_opened_with_the_copied_opening() {
    let mut victim = Member::new(keygen_machine(NAME, 2, 2, id(1)));
    for kind in [Kind::Kg1, Kind::Kg2b, Kind::Kg2p] {
        let mut copy = victim.sent(kind, id(2));
        let receiver = if kind == Kind::Kg2p { 1 } else { 0 };
        copy[2..4].copy_from_slice(&[2, receiver]);
        victim.hear(id(2), &copy);
    }
    victim.stopped(Fault::by(id(2), Check::Commit, "KG2B"));
}

/// K-27: a liar alone cannot do this, because it must know the victim's polynomial before it
/// commits to its own. The first sum is the key, the second the victim's own public share.
#[test]
fn contributions_that_cancel_make_no_key() {
    let victims = keygen_seed(NAME, id(1));
    let [a, b] = ["poly/0", "poly/1"].map(|label| victims.scalar::<Curve>(label));
    let five = Scalar::from(5_u64);
    for polynomial in [[-a, b], [five - a, -five - b]] {
        let dealer = Dealer::new(id(2), 2, keygen_seed(NAME, id(2)), polynomial.to_vec());
        let mut group = Group::of([keygen_machine(NAME, 2, 2, id(1))]).with(dealer).honestly();
        group.member(id(1)).stopped(Fault::nobody(Check::Identity, "KG2B"));
    }
}

/// The dealer above is honest if its polynomial is: the victim waits for its next message.
#[test]
fn a_dealer_with_a_polynomial_of_its_choice_is_believed() {
    let polynomial = vec![Scalar::from(7_u64), Scalar::from(8_u64)];
    let dealer = Dealer::new(id(2), 2, keygen_seed(NAME, id(2)), polynomial);
    let mut group = Group::of([keygen_machine(NAME, 2, 2, id(1))]).with(dealer).honestly();
    group.member(id(1)).stopped(Fault::by(id(2), Check::Missing, "KG3B"));
}

// ---------------------------------------------------------------------------------------------
// Round 2: shares and transfers
// ---------------------------------------------------------------------------------------------

/// K-09
#[test]
fn a_share_off_the_committed_polynomial_blames_its_dealer() {
    blames(told(Kind::Kg2p, |m| m.put("share", &scalar(77))), Check::Feldman, "KG2P");
}

/// K-10
#[test]
fn a_share_that_is_no_scalar_is_malformed() {
    blames(told(Kind::Kg2p, |m| m.fill("share", 0xff)), Check::Malformed, "KG2P");
}

/// K-11
#[test]
fn invalid_points_in_the_first_transfer_message_blame_its_sender() {
    for field in ["R[0].0", "R[0].1", "R[127].1"] {
        blames(told(Kind::Kg2p, |m| m.fill(field, 0)), Check::BaseOtPoint, "KG2P");
    }
}

/// K-26: with the identity as base, the key would not depend on the victim's exponent.
#[test]
fn transfer_points_that_cancel_the_hash_blame_their_sender() {
    for branch in [0, 1] {
        let cancel = |m: &mut Message| {
            let pair = tags::BASEOT_SID.hash::<Curve>(&[&m.session(), &[2, 1]]);
            let (mine, other) = (format!("R[5].{branch}"), format!("R[5].{}", 1 - branch));
            let parts: [&[u8]; 4] = [&pair, &[0, 5], &[branch], m.field(&other)];
            let message = length_prefixed(&parts).into();
            let domain = Curve::TRANSFERS.as_bytes();
            let hash = Curve::hash_all([message].into_iter(), domain)[0];
            m.put(&mine, &encode_point(&(-hash).to_affine()).unwrap());
        };
        blames(told(Kind::Kg2p, cancel), Check::BaseOtPoint, "KG2P");
    }
}

/// A wrong contribution to the zero seed cannot be detected here, since no other party knows it. It
/// is detected when the two sign: the signature fails, and no pair is retired.
#[test]
fn a_zero_seed_told_wrongly_is_found_when_the_pair_signs() {
    let mut group = among(2, Kind::Kg2p, 2, 1, |m| m.flip("zero", 0));
    assert!(group.member(id(1)).done().is_some() && group.member(id(2)).done().is_some());
    let shares = Key::of(group).shares();
    let machines = signers("zero", &shares, &sign_setup("zero", &[id(1), id(2)]));
    let mut group = Group::of(machines).honestly();
    group.member(id(1)).stopped(Fault::by(id(2), Check::PkSum, "SG2"));
    assert_eq!(retired(&shares), []);
}

/// A party that alters its own transfer points spoils what it holds itself.
#[test]
fn transfer_points_altered_by_their_owner_hurt_nobody_else() {
    let mut group = among(2, Kind::Kg2p, 2, 1, |m| m.put("R[0].0", &point(3)));
    group.member(id(2)).stopped(Fault::by(id(1), Check::Pprf, "KG3P"));
    let victim = group.member(id(1));
    assert_eq!(victim.fault(), Some(Fault::by(id(2), Check::Missing, "KG4B")));
    assert!(victim.pending().is_some(), "stored, and never confirmed");
}

// ---------------------------------------------------------------------------------------------
// Rounds 3 and 4
// ---------------------------------------------------------------------------------------------

/// Whether the victim chose branch 1 in a base transfer with the liar.
fn choice(transfer: usize) -> bool {
    let bits: [u8; 16] = keygen_seed(NAME, id(1)).bytes("ot1/2/bits");
    bits[transfer / 8] >> (transfer % 8) & 1 == 1
}

/// Transfers in which the victim chose branch 0, branch 1.
fn one_of_each_choice() -> [usize; 2] {
    [false, true].map(|wanted| (0..128).find(|i| choice(*i) == wanted).unwrap())
}

/// K-12 and K-13: if only the chosen point were decoded, the liar would learn the choice.
#[test]
fn invalid_points_in_either_branch_are_refused_whatever_was_chosen() {
    for transfer in one_of_each_choice() {
        for branch in [0, 1] {
            let field = format!("S[{transfer}].{branch}");
            let victim = told(Kind::Kg3p, |m| m.fill(&field, 0));
            blames(victim, Check::BaseOtPoint, "KG3P");
        }
    }
}

/// K-14
#[test]
fn other_points_in_the_second_transfer_message_blame_its_sender() {
    let other = |m: &mut Message| {
        m.put("S[0].0", &point(3));
        m.put("S[0].1", &point(4));
    };
    blames(told(Kind::Kg3p, other), Check::Pprf, "KG3P");
}

/// K-15, U-04
#[test]
fn flipped_tree_corrections_blame_their_sender() {
    let both = |m: &mut Message| {
        m.flip("t1.0[0]", 0);
        m.flip("t1.1[0]", 0);
    };
    blames(told(Kind::Kg3p, both), Check::Pprf, "KG3P");
    for field in ["tt[31]", "dig[31]"] {
        blames(told(Kind::Kg3p, |m| m.flip(field, 31)), Check::Pprf, "KG3P");
    }
}

/// SoftSpokenOT allows this (§5.1): a wrong point in one branch is a guess of the choice bit. A
/// wrong guess ends the setup with nothing stored; a right one changes nothing.
#[test]
fn a_bet_on_a_choice_bit_is_lost_with_everything() {
    for transfer in one_of_each_choice() {
        for branch in [false, true] {
            let field = format!("S[{transfer}].{}", u8::from(branch));
            let victim = told(Kind::Kg3p, |m| m.put(&field, &point(3)));
            if branch == choice(transfer) {
                blames(victim, Check::Pprf, "KG3P");
            } else {
                let share = |member: &Member<Keygen>| member.pending().unwrap().to_bytes();
                assert!(victim.done().is_some());
                let honest = told(Kind::Kg3p, |_| ());
                assert_eq!(share(&victim).expose(), share(&honest).expose());
            }
        }
    }
}

/// K-16
#[test]
fn a_wrong_proof_of_the_final_share_blames_its_sender() {
    blames(told(Kind::Kg3b, |m| m.put("z", &scalar(1))), Check::Pok, "KG3B");
    blames(told(Kind::Kg3b, |m| m.fill("z", 0xff)), Check::Malformed, "KG3B");
}

/// K-17
#[test]
fn another_announced_key_blames_its_sender() {
    blames(told(Kind::Kg3b, |m| m.put("Q", &point(1))), Check::QMismatch, "KG3B");
    blames(told(Kind::Kg3b, |m| m.fill("Q", 0)), Check::Malformed, "KG3B");
}

/// K-18
#[test]
fn another_announced_chain_code_blames_its_sender() {
    blames(told(Kind::Kg3b, |m| m.flip("cc", 0)), Check::ChainCode, "KG3B");
}

#[test]
fn another_announced_view_blames_nobody() {
    let mut victim = told(Kind::Kg3b, |m| m.flip("view", 0));
    victim.stopped(Fault::nobody(Check::View, "KG3B"));
}

/// K-19: the share is stored by then, but it is not active until all have confirmed.
#[test]
fn a_wrong_confirmation_leaves_the_share_unconfirmed() {
    let victim = told(Kind::Kg4b, |m| m.flip("confirm", 0));
    assert!(victim.pending().is_some());
    blames(victim, Check::Confirm, "KG4B");
    let mut group = among(3, Kind::Kg4b, 2, 1, |m| m.flip("confirm", 0));
    // A third party may have told the two of them different things.
    group.member(id(1)).stopped(Fault::nobody(Check::Confirm, "KG4B"));
}

/// K-22
#[test]
fn the_victims_own_messages_reflected_blame_their_sender() {
    for kind in [Kind::Kg1, Kind::Kg2b, Kind::Kg2p, Kind::Kg3b, Kind::Kg3p, Kind::Kg4b] {
        let own = record()[&(kind, id(1), id(2))].clone();
        blames(told(kind, |m| m.0.clone_from(&own)), Check::Routing, kind.name());
    }
}

// ---------------------------------------------------------------------------------------------
// Parameters
// ---------------------------------------------------------------------------------------------

/// K-23, K-24, K-25
#[test]
fn sizes_and_identities_that_make_no_key_are_refused() {
    let refused = |change: &dyn Fn(&mut cosign_core::hazmat::protocol::keygen::KeygenSetup)| {
        let mut setup = keygen_setup(NAME, 2, 2, id(1));
        change(&mut setup);
        let fault = keygen_with_seed::<Curve>(setup, seed("refused"), TIMEOUT).err();
        assert_eq!(fault, Some(Fault::nobody(Check::Params, "setup")));
    };
    refused(&|setup| setup.threshold = 3);
    refused(&|setup| setup.identities[1] = setup.identities[0].clone());
    refused(&|setup| setup.threshold = 1);
    refused(&|setup| setup.threshold = 0);
    refused(&|setup| setup.me = id(3));
    refused(&|setup| setup.identities.clear());
    refused(&|setup| setup.identities = (0..17).map(|i| vec![i]).collect());
    refused(&|setup| setup.identities = (0..=255_u8).cycle().take(258).map(|i| vec![i]).collect());
    refused(&|setup| setup.identities[1] = vec![0; 256]);
}

/// Parties with other parameters are in other sessions from the first message.
#[test]
fn parties_with_different_parameters_part_at_once() {
    type Change = fn(&mut cosign_core::hazmat::protocol::keygen::KeygenSetup);
    let changes: [Change; 3] = [
        |setup| setup.instance[0] ^= 1,
        |setup| setup.identities[0].push(0),
        |setup| setup.identities.swap(0, 1),
    ];
    for change in changes {
        let mut setup = keygen_setup(NAME, 2, 2, id(2));
        change(&mut setup);
        let other = keygen_with_seed(setup, keygen_seed(NAME, id(2)), TIMEOUT).unwrap();
        let mut group = Group::of([keygen_machine(NAME, 2, 2, id(1)), other]).honestly();
        group.member(id(1)).stopped(Fault::by(id(2), Check::Session, "KG1"));
        group.member(id(2)).stopped(Fault::by(id(1), Check::Session, "KG1"));
    }
    let other = keygen_machine(NAME, 3, 3, id(2));
    let mut member = Member::new(keygen_machine(NAME, 2, 3, id(1)));
    member.hear(id(2), &Member::new(other).sent(Kind::Kg1, id(1)));
    member.stopped(Fault::by(id(2), Check::Session, "KG1"));
}

// ---------------------------------------------------------------------------------------------
// Three parties, told different things
// ---------------------------------------------------------------------------------------------

/// Party 3 tells party 2 something else than party 1.
fn two_faced(kind: Kind, alter: impl Fn(&mut Message)) -> Group<Keygen> {
    among(3, kind, 3, 2, alter)
}

fn leaves_no_key(group: &Group<Keygen>) {
    assert!(group.members.values().all(|member| member.done().is_none()));
}

/// K-30
#[test]
fn another_opening_for_one_party_is_no_opening() {
    let mut group = two_faced(Kind::Kg2b, |m| m.flip("salt", 0));
    group.member(id(2)).stopped(Fault::by(id(3), Check::Commit, "KG2B"));
    leaves_no_key(&group);
}

/// K-31
#[test]
fn another_proof_for_one_party_must_be_one() {
    let mut group = two_faced(Kind::Kg2b, |m| m.put("z0", &scalar(1)));
    group.member(id(2)).stopped(Fault::by(id(3), Check::Pok, "KG2B"));
    leaves_no_key(&group);
}

/// K-32: both copies hold, so it takes the comparison to find that there are two.
#[test]
fn a_second_valid_proof_for_one_party_is_found_by_comparing() {
    let mut group = two_faced(Kind::Kg2b, |m| {
        let secret = keygen_seed(NAME, id(3)).scalar::<Curve>("poly/0");
        let statement = ProjectivePoint::mul_by_generator(&secret).to_affine();
        let (session, place) = (m.session(), [3, 0]);
        let context: [&[u8]; 2] = [&session, &place];
        let claim =
            Claim::<Curve> { tag: &tags::KEYGEN_POK, context: &context, statement: &statement };
        let proof = claim.prove(&secret, &Scalar::from(424_242_u64)).unwrap();
        m.put("T0", &proof[..33]);
        m.put("z0", &proof[33..]);
    });
    for party in [id(1), id(2)] {
        group.member(party).stopped(Fault::nobody(Check::View, "KG3B"));
        assert!(group.member(party).pending().is_none());
    }
}

/// A different valid proof to each in round 3, which is compared last, by the confirmation.
#[test]
fn a_second_valid_proof_of_the_final_share_is_found_by_confirming() {
    let honest = Group::of(keygen_machines(NAME, 2, 3)).honestly();
    let share = honest.members[&id(3)].pending().unwrap();
    let mut group = two_faced(Kind::Kg3b, |m| {
        let (session, statement) = (m.session(), share.public_shares()[2]);
        let context: [&[u8]; 3] = [&session, m.field("view"), &[3]];
        let claim = Claim::<Curve> {
            tag: &tags::KEYGEN_POK_SHARE,
            context: &context,
            statement: &statement,
        };
        let proof = claim.prove(share.secret().expose(), &Scalar::from(424_242_u64)).unwrap();
        m.put("T", &proof[..33]);
        m.put("z", &proof[33..]);
    });
    for party in [id(1), id(2)] {
        group.member(party).stopped(Fault::nobody(Check::Confirm, "KG4B"));
    }
}

/// K-33
#[test]
fn another_first_message_for_one_party_makes_another_session() {
    let mut group = two_faced(Kind::Kg1, |m| m.flip("nonce", 0));
    let fault = group.member(id(2)).fault().unwrap();
    assert_eq!((fault.check, fault.at), (Check::Session, "KG2B"));
    leaves_no_key(&group);
    assert!(group.members.values().all(|member| member.pending().is_none()));
}

/// The culprit is named by its index in the key, wherever it sits.
#[test]
fn among_three_the_one_who_lied_is_named() {
    for (liar, victim) in [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
        let mut group = among(3, Kind::Kg2p, liar, victim, |m| m.put("share", &scalar(77)));
        group.member(id(victim)).stopped(Fault::by(id(liar), Check::Feldman, "KG2P"));
        leaves_no_key(&group);
    }
}

/// After all the lies, an honest run with the same randomness still makes a key.
#[test]
fn without_a_lie_the_key_signs() {
    let shares = Key::of(Group::of(keygen_machines(NAME, 2, 2)).honestly()).shares();
    sign_honestly("control", &shares, &[id(1), id(2)]);
}
