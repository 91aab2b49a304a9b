//! Signing: lies in one message (docs/protocol.md §10.2).

use std::cell::RefCell;

use crate::curve::Scalar;
use cosign_core::hazmat::crypto::curve::{decode_scalar, encode_scalar};
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::wire::Kind;

use crate::group::*;
use crate::layout::{Message, off_curve, point, scalar};
use crate::scene::{scenes, told};

// ---------------------------------------------------------------------------------------------
// Round 1
// ---------------------------------------------------------------------------------------------

/// S-01
#[test]
fn a_flipped_correction_bit_retires_its_sender() {
    told(Kind::Sg1, |m| m.flip("u", 5)).bans(Check::OteCheck, "SG1");
}

/// S-02
#[test]
fn another_combination_of_choices_retires_its_sender() {
    told(Kind::Sg1, |m| m.flip("xbar", 0)).bans(Check::OteCheck, "SG1");
}

/// S-03
#[test]
fn another_verdict_of_the_extension_retires_its_sender() {
    told(Kind::Sg1, |m| m.flip("h_t", 31)).bans(Check::OteCheck, "SG1");
}

/// S-04
#[test]
fn a_nonce_that_does_not_belong_to_the_corrections_retires_its_sender() {
    told(Kind::Sg1, |m| m.flip("nu", 0)).bans(Check::OteCheck, "SG1");
}

/// S-05 and S-41: with three signers the culprit is unknown.
#[test]
fn a_commitment_told_differently_stops_the_session_and_blames_nobody() {
    told(Kind::Sg1, |m| m.flip("C", 1)).blames_nobody(Check::View, "SG2");
}

// ---------------------------------------------------------------------------------------------
// Round 2
// ---------------------------------------------------------------------------------------------

/// S-06
#[test]
fn opening_another_nonce_point_blames_its_sender() {
    told(Kind::Sg2, |m| m.put("R", &point(9))).blames(Check::Commit, "SG2");
}

/// S-07
#[test]
fn opening_with_another_salt_blames_its_sender() {
    told(Kind::Sg2, |m| m.flip("salt", 0)).blames(Check::Commit, "SG2");
}

/// S-08
#[test]
fn the_identity_as_nonce_point_does_not_fit_any_commitment() {
    told(Kind::Sg2, |m| m.fill("R", 0)).blames(Check::Commit, "SG2");
}

/// S-09
#[test]
fn the_identity_as_public_share_is_malformed() {
    told(Kind::Sg2, |m| m.fill("pk", 0)).blames(Check::Malformed, "SG2");
}

/// S-10
#[test]
fn points_off_the_curve_are_malformed() {
    for field in ["pk", "Gamma_u", "Gamma_v"] {
        told(Kind::Sg2, |m| m.put(field, &off_curve())).blames(Check::Malformed, "SG2");
    }
}

/// S-11
#[test]
fn another_image_of_the_first_summand_retires_its_sender() {
    told(Kind::Sg2, |m| m.put("Gamma_u", &point(9))).bans(Check::GammaU, "SG2");
}

/// S-12
#[test]
fn another_image_of_the_second_summand_retires_its_sender() {
    told(Kind::Sg2, |m| m.put("Gamma_v", &point(9))).bans(Check::GammaV, "SG2");
}

/// S-13
#[test]
fn another_public_share_retires_its_sender() {
    told(Kind::Sg2, |m| m.put("pk", &point(9))).bans(Check::GammaV, "SG2");
}

/// S-14 and U-01: an invalid scalar reveals nothing about secrets, so no pair is retired for it.
#[test]
fn scalars_at_or_above_the_group_order_are_malformed() {
    for field in ["psi", "eta"] {
        told(Kind::Sg2, |m| m.fill(field, 0xff)).blames(Check::Malformed, "SG2");
    }
    for transfer in [0, 777, 1247] {
        let alter = |m: &mut Message| {
            let start = m.range("atilde").start + 32 * transfer;
            m[start..start + 32].fill(0xff);
        };
        told(Kind::Sg2, alter).blames(Check::Malformed, "SG2");
    }
}

/// S-15
#[test]
fn a_shifted_mask_makes_an_invalid_signature_and_blames_nobody() {
    told(Kind::Sg2, |m| m.put("psi", &scalar(7))).blames_nobody(Check::SigInvalid, "SG3");
}

/// S-16
#[test]
fn altered_products_retire_their_sender() {
    let alter = |m: &mut Message| {
        let rows: Vec<u8> = (0..416 * 3).flat_map(|i| scalar(1 + i)).collect();
        m.put("atilde", &rows);
    };
    told(Kind::Sg2, alter).bans(Check::RvoleCheck, "SG2");
}

/// S-17
#[test]
fn an_altered_combination_of_inputs_retires_its_sender() {
    told(Kind::Sg2, |m| m.put("eta", &scalar(3))).bans(Check::RvoleCheck, "SG2");
}

/// S-18
#[test]
fn another_verdict_of_the_multiplication_retires_its_sender() {
    told(Kind::Sg2, |m| m.flip("muhat", 0)).bans(Check::RvoleCheck, "SG2");
}

/// S-19
#[test]
fn another_view_stops_the_session_and_blames_nobody() {
    told(Kind::Sg2, |m| m.flip("view", 0)).blames_nobody(Check::View, "SG2");
}

// ---------------------------------------------------------------------------------------------
// Round 3
// ---------------------------------------------------------------------------------------------

/// S-25
#[test]
fn a_wrong_part_of_the_signature_is_never_returned() {
    let shift = |m: &mut Message, field: &str| {
        let value = decode_scalar::<Scalar>(m.field(field)).unwrap() + Scalar::ONE;
        m.put(field, &encode_scalar(&value));
    };
    told(Kind::Sg3, |m| shift(m, "w")).blames_nobody(Check::SigInvalid, "SG3");
    told(Kind::Sg3, |m| shift(m, "u")).blames_nobody(Check::SigInvalid, "SG3");
}

/// S-26: a party that sends last can make either sum zero.
#[test]
fn sums_that_are_zero_are_found_before_they_are_inverted() {
    for field in ["u", "w"] {
        for scene in scenes().into_iter().filter(|scene| scene.setup.recipient.is_none()) {
            // Everything repeats, so the others' parts can be had from a run before.
            let sum = RefCell::new(Scalar::ZERO);
            let overheard = scene.group(&scene.key.shares()).play(|parcel| {
                if parcel.from != scene.liar && parcel.to != parcel.from && is_sg3(&parcel) {
                    let first = scene.setup.signers.iter().find(|p| **p != parcel.from);
                    if first == Some(&parcel.to) {
                        let part = Message(parcel.bytes.clone());
                        *sum.borrow_mut() += decode_scalar::<Scalar>(part.field(field)).unwrap();
                    }
                }
                vec![parcel]
            });
            assert!(overheard.members.values().all(|member| member.done().is_some()));
            let shares = scene.key.shares();
            let group = scene.group(&shares).told(Kind::Sg3, scene.liar, scene.victim, |bytes| {
                let mut message = Message(bytes);
                message.put(field, &encode_scalar(&-*sum.borrow()));
                vec![message.0]
            });
            scene.assert(group, &shares, Fault::nobody(Check::SigZero, "SG3"));
        }
    }
}

fn is_sg3(parcel: &Parcel) -> bool {
    kind_of(&parcel.bytes) == Kind::Sg3
}

/// S-27
#[test]
fn another_nonce_point_at_the_end_blames_its_sender() {
    told(Kind::Sg3, |m| m.put("R", &point(1))).blames(Check::RMismatch, "SG3");
}

#[test]
fn parts_of_a_signature_that_do_not_decode_blame_their_sender() {
    told(Kind::Sg3, |m| m.fill("R", 0)).blames(Check::Malformed, "SG3");
    told(Kind::Sg3, |m| m.fill("u", 0xff)).blames(Check::Malformed, "SG3");
    told(Kind::Sg3, |m| m.fill("w", 0xff)).blames(Check::Malformed, "SG3");
}
