//! The guarantees for a program that embeds the core, besides the ceremonies.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use ceremony::{
    Shares, keygen, keygen_setup, parties, party, refresh, seed, sha, sign_setup, signature,
};
use cosign_core::curve::decode_scalar;
use cosign_core::hazmat::crypto::ecdsa::Signature;
use cosign_core::hazmat::protocol::keygen::keygen_with_seed;
use cosign_core::{Blame, Check, Fault, Fingerprint, MAX_IDENTITY, ecdsa, hex, unhex};
use curve::Curve;

static KEY: LazyLock<Shares> = LazyLock::new(|| keygen("interface 2-of-3", 2, 3));

fn signed(name: &str) -> (Signature, [u8; 32]) {
    let digest = sha(name);
    (signature(&KEY, name, &sign_setup(name, &parties([1, 3]), digest)), digest)
}

#[test]
fn a_signature_verifies_for_its_key_and_digest_alone() {
    let (made, digest) = signed("verified");
    let key = *KEY[&party(1)].public_key();
    assert_eq!(made.public_key, key);
    assert!(ecdsa::verify::<Curve>(&key, &digest, &made.r, &made.s));
    assert!(ecdsa::is_low_s(&made.s));
    assert!(
        ecdsa::verify::<Curve>(&key, &digest, &made.r, &-made.s),
        "the other form is a signature, too"
    );
    assert!(!ecdsa::is_low_s(&-made.s));
    assert!(!ecdsa::verify::<Curve>(&key, &sha("another"), &made.r, &made.s));
    assert!(!ecdsa::verify::<Curve>(&-key, &digest, &made.r, &made.s));
    assert!(!ecdsa::verify::<Curve>(&key, &digest, &made.s, &made.r));
    assert!(!ecdsa::verify::<Curve>(&key, &digest, &(made.r - made.r), &made.s));
}

/// With the key `-m/r` the point that verification computes is the identity, whose x-coordinate is none.
#[test]
fn a_signature_whose_nonce_point_is_the_identity_is_none() {
    let (made, digest) = signed("identity");
    let message: k256::Scalar = decode_scalar(&digest).unwrap();
    let key = k256::ProjectivePoint::GENERATOR * (-message * made.r.invert().unwrap());
    assert!(!ecdsa::verify::<Curve>(&key.to_affine(), &digest, &made.r, &made.s));
}

#[test]
fn other_implementations_read_every_form_of_a_signature() {
    // Both lengths of an integer in DER and both parities of the nonce point.
    let mut seen = BTreeSet::new();
    for n in 0_u8..=255 {
        let (made, digest) = signed(&format!("form {n}"));
        let compact = k256::ecdsa::Signature::from_slice(&made.compact()).unwrap();
        assert_eq!((*compact.r(), *compact.s()), (made.r, made.s));
        assert_eq!(k256::ecdsa::Signature::from_der(&made.der()).unwrap(), compact);
        let recoverable = made.recoverable();
        let (front, id) = recoverable.split_first_chunk::<64>().unwrap();
        assert_eq!(*front, made.compact());
        let id = k256::ecdsa::RecoveryId::from_byte(id[0]).unwrap();
        let key = k256::ecdsa::VerifyingKey::recover_from_prehash(&digest, &compact, id).unwrap();
        assert_eq!(*key.as_affine(), made.public_key);
        seen.insert((made.der().len(), id.to_byte()));
        if seen.len() >= 4 {
            return;
        }
    }
    panic!("only {seen:?}");
}

/// docs/protocol.md §9 has every code once, or twice where it depends on how many there are.
#[test]
fn every_check_has_the_code_and_proves_what_the_specification_says() {
    const CHECKS: [Check; 31] = [
        Check::Params,
        Check::PairRetired,
        Check::PublicData,
        Check::Malformed,
        Check::Version,
        Check::Routing,
        Check::Session,
        Check::UnexpectedSender,
        Check::Duplicate,
        Check::Missing,
        Check::Commit,
        Check::Pok,
        Check::DealerConstant,
        Check::Feldman,
        Check::BaseOtPoint,
        Check::Pprf,
        Check::View,
        Check::QMismatch,
        Check::ChainCode,
        Check::Identity,
        Check::Confirm,
        Check::OteCheck,
        Check::RvoleCheck,
        Check::GammaU,
        Check::GammaV,
        Check::PkSum,
        Check::RInvalid,
        Check::RMismatch,
        Check::SigZero,
        Check::SigInvalid,
        Check::Bug,
    ];
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    let text = fs::read_to_string(text).unwrap();
    let (_, section) = text.split_once("## 9. Blame").unwrap();
    let (section, _) = section.split_once("\n---").unwrap();
    let rows = [
        "our own call",
        "nothing",
        "some party deviated",
        "that party deviated |",
        "that party deviated where",
    ];
    let mut written = BTreeSet::new();
    for row in section.lines() {
        let row_of = rows.iter().position(|start| row.starts_with(&format!("| {start}")));
        let codes = row.split('`').filter(|word| word.starts_with("E_"));
        written.extend(codes.map(|code| (code.to_owned(), row_of.unwrap())));
    }
    let proves = |fault: Fault| match fault.blame() {
        Blame::Local => 0,
        Blame::NotProof => 1,
        Blame::Somebody => 2,
        Blame::Malice => 3,
        Blame::Ban => 4,
    };
    // The blame of these depends on whether a party is named.
    let by_name = [Check::Confirm, Check::PkSum, Check::Identity];
    let mut coded = BTreeSet::new();
    for check in CHECKS {
        let named = Fault::by(party(2), check, "SG2");
        let nobody = Fault::nobody(check, "SG2");
        let code = check.code().to_owned();
        assert_eq!(named.to_string(), format!("{code} at SG2, party 2"));
        assert_eq!(nobody.to_string(), format!("{code} at SG2"));
        assert_eq!(named.bans(), proves(named) == 4);
        assert_eq!(Check::from_ban_code(&code), named.bans().then_some(check));
        if !by_name.contains(&check) {
            assert_eq!(named.blame(), nobody.blame());
        }
        coded.extend([named, nobody].map(|fault| (code.clone(), proves(fault))));
    }
    assert_eq!(coded, written);
    let codes: BTreeSet<_> = coded.into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), CHECKS.len(), "two checks of one code");
}

#[test]
fn a_device_is_known_by_the_digits_of_its_fingerprint() {
    let bytes: [u8; 32] = std::array::from_fn(|n| n as u8 * 8 + 1);
    let digits = "0109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f9";
    let fingerprint = Fingerprint::new(bytes);
    assert_eq!(*fingerprint.as_bytes(), bytes);
    assert_eq!(fingerprint.to_hex(), digits);
    assert_eq!(fingerprint.device_id(), digits[..16]);
    assert_eq!(serde_json::to_value(fingerprint).unwrap(), digits);
    let shown = fingerprint.to_string();
    assert!(shown.starts_with("0109 1119 2129 ") && shown.ends_with(" e1e9 f1f9"), "{shown}");
    let separated = |by: &str| shown.replace(' ', by);
    for text in [digits.to_owned(), digits.to_uppercase(), shown.clone(), separated(":")] {
        assert_eq!(text.parse(), Ok(fingerprint), "{text}");
    }
    let others = [separated("-"), digits[2..].to_owned(), format!("{digits}00"), String::new()];
    assert!(others.iter().all(|text| text.parse::<Fingerprint>().is_err()));
}

#[test]
fn digits_stand_for_bytes_and_nothing_else_does() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(unhex(&hex(&all)), Some(all.clone()));
    assert_eq!(unhex(&hex(&all).to_uppercase()), Some(all));
    assert_eq!(unhex(""), Some(vec![]));
    for text in ["0", "012", "0g", "g0", "+1", " 1", "0x", "é"] {
        assert_eq!(unhex(text), None, "{text}");
    }
}

#[test]
fn parties_agree_on_what_they_know_of_a_key_until_it_is_refreshed() {
    let newer = refresh("interface newer", &KEY);
    let known = |shares: &Shares| -> BTreeSet<Vec<u8>> {
        shares.values().map(|share| share.public_data()).collect()
    };
    let (old, new, other) = (known(&KEY), known(&newer), known(&keygen("another", 2, 3)));
    assert_eq!((old.len(), new.len(), other.len()), (1, 1, 1));
    assert!(old.is_disjoint(&new) && old.is_disjoint(&other));
}

#[test]
fn two_parties_of_an_epoch_and_nobody_else_have_a_secret_to_meet_by() {
    let newer = refresh("interface meeting", &KEY);
    let mut secrets: BTreeMap<[u8; 32], Vec<(bool, u8, u8)>> = BTreeMap::new();
    for (refreshed, shares) in [(false, &*KEY), (true, &newer)] {
        for (me, share) in shares {
            assert!(share.meeting_secret(*me).is_none());
            assert!(share.meeting_secret(party(4)).is_none());
            for peer in shares.keys().filter(|peer| *peer != me) {
                let secret = *share.meeting_secret(*peer).unwrap().expose();
                let pair = (refreshed, (*me).min(*peer).get(), (*me).max(*peer).get());
                secrets.entry(secret).or_default().push(pair);
            }
        }
    }
    assert_eq!(secrets.len(), 6, "three pairs, twice");
    assert!(secrets.values().all(|pairs| pairs.len() == 2 && pairs[0] == pairs[1]));
}

#[test]
fn an_identity_may_have_255_bytes_and_no_twin() {
    let made = |change: fn(&mut Vec<Vec<u8>>)| {
        let mut setup = keygen_setup("identities", 2, 3, party(1));
        change(&mut setup.identities);
        keygen_with_seed::<Curve>(setup, seed("identities"), ceremony::TIMEOUT).is_ok()
    };
    assert_eq!(MAX_IDENTITY, 255);
    assert!(made(|ids| ids[2] = vec![7; 255]));
    assert!(made(|ids| ids[2] = vec![]));
    assert!(!made(|ids| ids[2] = vec![7; 256]));
    assert!(!made(|ids| ids[2] = ids[0].clone()));
    let expected = [b"party-1", b"party-2", b"party-3"].map(|identity| identity.to_vec());
    assert!(KEY.values().all(|share| share.identities() == expected));
}

/// A buffer that grows leaves copies of secrets behind.
#[test]
fn a_share_is_written_into_a_buffer_of_its_length() {
    for shares in [&*KEY, &keygen("two", 2, 2)] {
        for share in shares.values() {
            let stored = share.to_bytes();
            assert_eq!(stored.expose().capacity(), stored.expose().len());
        }
    }
}

#[test]
fn errors_are_one_lower_case_phrase() {
    use cosign_core::pair::PairError;
    let errors: [&dyn std::error::Error; 7] = [
        &cosign_core::bip32::InvalidPath,
        &ecdsa::InvalidSignature,
        &cosign_core::InvalidShare,
        &cosign_core::InvalidOrigin,
        &PairError::Oneself,
        &PairError::Opening,
        &PairError::Confirmation,
    ];
    let texts: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), errors.len());
    for text in texts {
        assert!(
            text.starts_with(char::is_lowercase) && text.ends_with(char::is_lowercase),
            "{text}"
        );
    }
}
