//! Refresh (docs/protocol.md §8.1, §10.3).

use std::sync::Arc;

use crate::curve::{Curve, Scalar};
use cosign_core::PartyId;
use cosign_core::curve::Curve as _;
use cosign_core::hazmat::crypto::curve::{decode_scalar, encode_scalar};
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::wire::Kind;

use crate::group::*;
use crate::layout::{Message, point, scalar};

const NAME: &str = "a refresh with a liar";

/// Party 2 lies to all.
fn two_lies(kind: Kind, alter: impl Fn(&mut Message)) -> Group<Keygen> {
    Group::of(refresh_machines(NAME, &two_of_three().shares())).play(|mut parcel| {
        if parcel.from == id(2) && kind_of(&parcel.bytes) == kind {
            let mut message = Message(parcel.bytes);
            alter(&mut message);
            parcel.bytes = message.0;
        }
        vec![parcel]
    })
}

fn both_name_it(mut group: Group<Keygen>, check: Check, at: &'static str) {
    for party in [1, 3] {
        group.member(id(party)).stopped(Fault::by(id(2), check, at));
    }
}

/// all shares are off by one and the same constant, so they lie on a polynomial. It is not
/// the one that was committed to, which has no constant term to commit to.
#[test]
fn a_polynomial_with_a_constant_term_blames_its_dealer() {
    let shift = |m: &mut Message| {
        let share = decode_scalar::<Scalar>(m.field("share")).unwrap() + Scalar::from(5_u64);
        m.put("share", &encode_scalar(&share));
    };
    both_name_it(two_lies(Kind::Kg2p, shift), Check::Feldman, "KG2P");
}

/// A constant term that is published, and proved, does not fit in.
#[test]
fn a_published_constant_term_is_a_wrong_length() {
    let publish = |m: &mut Message| {
        m.splice(36..36, point(5));
        m.extend([0; 65]);
    };
    both_name_it(two_lies(Kind::Kg2b, publish), Check::Malformed, "KG2B");
}

#[test]
fn openings_proofs_and_announcements_are_checked_as_in_a_key_generation() {
    both_name_it(two_lies(Kind::Kg2b, |m| m.flip("salt", 0)), Check::Commit, "KG2B");
    both_name_it(two_lies(Kind::Kg2b, |m| m.put("z0", &scalar(1))), Check::Pok, "KG2B");
    both_name_it(two_lies(Kind::Kg3b, |m| m.put("Q", &point(1))), Check::QMismatch, "KG3B");
    both_name_it(two_lies(Kind::Kg3b, |m| m.flip("cc", 0)), Check::ChainCode, "KG3B");
    both_name_it(two_lies(Kind::Kg3p, |m| m.flip("dig[0]", 0)), Check::Pprf, "KG3P");
}

/// A party that has lost its old share cannot prove that it knows the new one.
#[test]
fn a_party_without_its_old_share_cannot_slip_through() {
    both_name_it(two_lies(Kind::Kg3b, |m| m.put("z", &scalar(1))), Check::Pok, "KG3B");
}

/// R-01, after a refresh that all finished: no two parties sign across epochs, no pair is retired
/// for it, and both epochs still sign.
#[test]
fn signers_of_different_epochs_part_at_once() {
    let old = two_of_three().shares();
    let new = Key::of(Group::of(refresh_machines(NAME, &old)).honestly()).shares();
    for (stale, fresh) in [(1, 3), (3, 1), (2, 3)].map(|(a, b)| (id(a), id(b))) {
        let mut pair = [stale, fresh];
        pair.sort_unstable();
        let setup = sign_setup("mixed", &pair);
        let machine = |shares: &Shares, party: PartyId| {
            signer("mixed", &shares[&party], setup.clone()).unwrap()
        };
        let mut group = Group::of([machine(&old, stale), machine(&new, fresh)]).honestly();
        group.member(stale).stopped(Fault::by(fresh, Check::Session, "SG1"));
        group.member(fresh).stopped(Fault::by(stale, Check::Session, "SG1"));
    }
    for shares in [&old, &new] {
        assert_eq!(retired(shares), []);
        sign_honestly("one epoch", shares, &[id(1), id(3)]);
    }
}

/// The stored share of `party` with one byte altered, as a liar has it who wants to pass for a
/// holder of another epoch or chain code: nothing that the share checks about itself is touched.
fn altered(key: &Key, party: PartyId, place: usize) -> Arc<KeyShare> {
    let mut bytes = key.stored(party).to_vec();
    bytes[place] ^= 1;
    Arc::new(KeyShare::from_bytes(&bytes).unwrap())
}

/// The offsets of the epoch and of the chain code in a stored share of three parties.
const EPOCH: usize = if Curve::IDENT == 1 { 20 } else { 21 };
const CHAIN_CODE: usize = EPOCH + 32 + 32 + 33 + 3 * 33;

/// R-01, with everything alike but the epoch's name: it is part of the session by itself, not only
/// through shares that do not fit.
#[test]
fn the_same_shares_under_another_epochs_name_do_not_sign_together() {
    let honest = two_of_three().shares();
    let setup = sign_setup("renamed", &[id(1), id(2)]);
    let liar = altered(two_of_three(), id(2), EPOCH);
    let machines = [
        signer("renamed", &honest[&id(1)], setup.clone()).unwrap(),
        signer("renamed", &liar, setup).unwrap(),
    ];
    let mut group = Group::of(machines).honestly();
    group.member(id(1)).stopped(Fault::by(id(2), Check::Session, "SG1"));
    assert_eq!(retired(&honest), []);
    sign_honestly("renamed", &honest, &[id(1), id(2)]);
}

/// Each part of the old key's public data is in the session id of a refresh: epoch, chain code, and
/// the public shares, here those of another sharing of the same key under the old epoch's name.
#[test]
fn a_refresh_of_anything_but_the_same_shares_stops_at_the_first_message() {
    let key = two_of_three();
    let newer = Key::of(Group::of(refresh_machines(NAME, &key.shares())).honestly());
    let mut relabelled = newer.stored(id(2)).to_vec();
    relabelled[EPOCH..EPOCH + 32].copy_from_slice(&key.stored(id(2))[EPOCH..EPOCH + 32]);
    let relabelled = Arc::new(KeyShare::from_bytes(&relabelled).unwrap());
    assert_eq!(relabelled.public_key(), key.shares()[&id(2)].public_key());
    let lies = [altered(key, id(2), EPOCH), altered(key, id(2), CHAIN_CODE), relabelled];
    for lie in lies {
        let mut shares = key.shares();
        shares.insert(id(2), lie);
        let mut group = Group::of(refresh_machines(NAME, &shares)).honestly();
        for party in [1, 3] {
            group.member(id(party)).stopped(Fault::by(id(2), Check::Session, "KG1"));
        }
    }
}

/// a party that misses a confirmation keeps both epochs, and each of them signs.
#[test]
fn a_withheld_confirmation_leaves_two_epochs_that_sign() {
    let old = two_of_three().shares();
    let mut group =
        Group::of(refresh_machines(NAME, &old)).told(Kind::Kg4b, id(2), id(1), |_| Vec::new());
    group.member(id(1)).stopped(Fault::by(id(2), Check::Missing, "KG4B"));
    assert!(group.member(id(3)).done().is_some());
    let pending = group.members.values().map(|member| member.pending().unwrap().to_bytes());
    let new: Shares = read(pending);
    sign_honestly("old", &old, &[id(1), id(2)]);
    sign_honestly("new", &new, &[id(1), id(2)]);
}
