//! Keys on P-256: known answers, and what differs from secp256k1.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/p256.rs"]
mod curve;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/runs.rs"]
mod runs;

use ceremony::{
    KeyShare, TIMEOUT, fault, keygen, keygen_machine, keygen_setup, now, parties, party, seed, sha,
    sign_setup, signature, signer,
};
use cosign_core::curve::{Curve as _, decode_point};
use cosign_core::hazmat::crypto::curve::reduce;
use cosign_core::hazmat::crypto::ecdsa::{Signature, verify, x_mod_order};
use cosign_core::hazmat::protocol::keygen::keygen_with_seed;
use cosign_core::hazmat::protocol::local::Local;
use cosign_core::k256::Secp256k1;
use cosign_core::p256::{AffinePoint, NistP256, ProjectivePoint, Scalar};
use cosign_core::{Check, Fault, hex, unhex};
use curve::is_signature;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// Key generations of 2 of 2 and 2 of 3, a refresh, one signature and several.
#[test]
fn named_runs_repeat_the_known_answers_message_by_message() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/p256");
    assert!(runs::repeat(folder) >= 4);
}

#[test]
fn another_implementation_verifies_the_signature() {
    let shares = keygen("p256", 2, 3);
    let setup = sign_setup("p256 sign", &parties([2, 3]), sha("digest"));
    let made = signature(&shares, "p256 sign", &setup);
    assert!(is_signature(shares[&party(1)].public_key(), &sha("digest"), made.r, made.s));
}

/// From the first message on: nothing that is secret has been used.
#[test]
fn parties_on_different_curves_part_at_the_first_message() {
    let other = keygen_setup("crossed", 2, 2, party(1));
    let other = keygen_with_seed::<Secp256k1>(other, seed("crossed|1"), TIMEOUT).unwrap();
    let stranger = Local::start([other], now());
    let mut group = Local::start([keygen_machine("crossed", 2, 2, party(2))], now());
    stranger.parcels.iter().for_each(|parcel| group.deliver(parcel));
    assert_eq!(fault(group.outcomes(), 2), Fault::by(party(1), Check::Session, "KG1"));
}

#[test]
fn a_tweak_is_refused() {
    let shares = keygen("p256", 2, 2);
    let mut setup = sign_setup("tweaked", &parties([1, 2]), sha("digest"));
    assert!(signer(&shares[&party(1)], "tweaked", &setup).is_ok());
    setup.tweak = Scalar::ONE;
    let refused = signer(&shares[&party(1)], "tweaked", &setup).err();
    assert_eq!(refused, Some(Fault::nobody(Check::Params, "setup")));
}

#[test]
fn a_stored_share_names_its_curve_and_stays_as_it_is() {
    let shares = keygen("kat-p256", 2, 2);
    let share = &shares[&party(1)];
    for (stored, format) in [(share.to_bytes(), 3), (share.to_backup(), 4)] {
        let stored = stored.expose();
        assert_eq!(cosign_core::KeyShare::stored_format(stored), Some(format));
        assert_eq!(stored[13..15], [b'0' + format as u8, NistP256::IDENT]);
        let read = KeyShare::from_bytes(stored).unwrap();
        assert_eq!(read.public_key(), share.public_key());
        assert!(cosign_core::KeyShare::<Secp256k1>::from_bytes(stored).is_err());
        let mut other = stored.clone();
        for curve in [0, Secp256k1::IDENT, 3] {
            other[14] = curve;
            assert!(KeyShare::from_bytes(&other).is_err(), "{curve}");
        }
        assert_eq!(stored.capacity(), stored.len(), "grown, and so copied");
    }
    let of_secp256k1 = include_bytes!("support/shares/party-1");
    assert!(KeyShare::from_bytes(of_secp256k1).is_err());
    let hash = hex(&Sha256::digest(share.to_bytes().expose()));
    assert_eq!(hash, "56a50037cb9f88b11b90f299497b7d4c931bc3b92bc2d159aa6be879f700f0f3");
}

/// About one x in 2^32 is one, so the point is chosen first and the key computed from it.
#[test]
fn a_nonce_point_with_x_above_the_order_sets_the_second_bit() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut x = unhex(order).unwrap();
    let point: AffinePoint = loop {
        x[31] += 1;
        if let Ok(point) = decode_point(&[&[2], &x[..]].concat()) {
            break point;
        }
    };
    let digest = [3; 32];
    for nonce_point in [point, -point] {
        let r = x_mod_order::<NistP256>(&nonce_point);
        assert!(r.to_bytes()[..31].iter().all(|byte| *byte == 0), "not reduced");
        for s in [Scalar::from(9_u64), -Scalar::from(9_u64)] {
            // Q = (s R - m G) / r, so that (m/s) G + (r/s) Q = R.
            let sum = ProjectivePoint::from(nonce_point) * s
                - ProjectivePoint::GENERATOR * reduce::<Scalar>(&digest);
            let key = (sum * r.invert().unwrap()).to_affine();
            let made =
                Signature::<NistP256>::assemble(&key, &digest, &nonce_point, [&s, &Scalar::ONE])
                    .unwrap();
            assert_eq!(made.recovery_id & 2, 2);
            assert!(verify::<NistP256>(&key, &digest, &made.r, &made.s));
            assert!(is_signature(&key, &digest, made.r, made.s));
            let again = Signature::<NistP256>::recover(&key, &digest, &made.r, &made.s);
            assert_eq!(again, Some(made));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn every_pair_of_three_signs_with_random_seeds(name: [u8; 8], digest: [u8; 32]) {
        let name = hex(&name);
        let shares = keygen(&name, 2, 3);
        for pair in [[1, 2], [1, 3], [2, 3]] {
            let setup = sign_setup(&name, &parties(pair), digest);
            let made = signature(&shares, &name, &setup);
            prop_assert!(is_signature(shares[&party(1)].public_key(), &digest, made.r, made.s));
        }
    }
}
