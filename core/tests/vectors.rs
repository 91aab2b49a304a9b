//! Known answers: published ones, and our own of docs/protocol.md §12.2, message by message.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;
#[path = "support/runs.rs"]
mod runs;

use std::collections::BTreeMap;

use ceremony::{
    keygen_machines, parties, party, reshare_machines, run_with, sha, shares, sign_machines,
    sign_setup,
};
use cosign_core::hazmat::crypto::bip32::{derive, parse_path};
use cosign_core::hazmat::crypto::curve::{Arithmetic, decode_point, encode_point, encode_scalar};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::share::{Polynomial, lagrange};
use cosign_core::hazmat::crypto::transcript::length_prefixed;
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::machine::Persist;
use cosign_core::hazmat::protocol::sign::Signed;
use cosign_core::hex;
use curve::Curve;
use k256::elliptic_curve::ops::MulByGenerator;
use k256::{ProjectivePoint, Scalar};
use runs::{bytes, read, repeat, scalar};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Messages by type, sender and receiver, as the list of known answers has them.
fn sorted(parcels: Vec<Parcel>) -> BTreeMap<[u8; 3], Vec<u8>> {
    let key = |p: &Parcel| match p.bytes[1] {
        0x13 => [0x13, p.from.get(), 0],
        kind => [kind, p.from.get(), p.to.get()],
    };
    parcels.into_iter().map(|parcel| (key(&parcel), parcel.bytes)).collect()
}

fn lines(messages: &BTreeMap<[u8; 3], Vec<u8>>) -> Vec<String> {
    let line = |([kind, from, to], bytes): (&[u8; 3], &Vec<u8>)| {
        let (length, hash) = (bytes.len(), hex(&Sha256::digest(bytes)));
        format!("{kind:02x} {from}->{to} len={length} sha256={hash}")
    };
    messages.iter().map(line).collect()
}

/// One hash over all messages and their frames.
fn transcript(messages: &BTreeMap<[u8; 3], Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (key, bytes) in messages {
        hash.update(key);
        hash.update((bytes.len() as u32).to_be_bytes());
        hash.update(bytes);
    }
    hex(&hash.finalize())
}

#[test]
fn key_generation_and_signing_repeat_the_known_answers_message_by_message() {
    let known = read(include_str!("vectors/dkls.json"));
    let mut seen = Vec::new();
    let mut record = |parcel: Parcel| {
        seen.push(parcel.clone());
        vec![parcel]
    };
    let shares = shares(run_with(keygen_machines("kat22", 2, 2), &mut record));
    let setup = sign_setup("katsign", &parties([1, 2]), sha("kat"));
    let outcomes = run_with(sign_machines(&shares, "katsign", &setup), &mut record);

    let (signing, keygen) = seen.into_iter().partition(|parcel| parcel.bytes[1] > 0x10);
    let (keygen, signing) = (sorted(keygen), sorted(signing));
    let all: Vec<String> = lines(&keygen).into_iter().chain(lines(&signing)).collect();
    assert_eq!(Value::from(all), known["messages"]);
    assert_eq!(known["kat22 keygen transcript"], transcript(&keygen));
    assert_eq!(known["katsign transcript"], transcript(&signing));

    let share = |index| &shares[&party(index)];
    assert_eq!(known["kat22 Q"], hex(&share(1).public_key_bytes()));
    assert_eq!(known["kat22 chain code"], hex(share(2).chain_code()));
    assert_eq!(known["kat22 epoch"], hex(share(2).epoch()));
    for index in [1, 2] {
        let secret = hex(&encode_scalar(share(index).secret().expose()));
        assert_eq!(known[format!("kat22 y_{index}")], secret);
    }
    // The last thing that is stored are the trees as receiver, and they begin with the holes.
    let stored = share(1).to_bytes();
    let holes = stored.expose().len() - 16416;
    assert_eq!(known["kat22 Delta trees (A=1,B=2)"], hex(&stored.expose()[holes..][..32]));

    for outcome in outcomes.into_values() {
        let Some(Ok(Signed::Signature(signature))) = outcome.result else { panic!("no signature") };
        assert_eq!(known["katsign r"], hex(&encode_scalar(&signature.r)));
        assert_eq!(known["katsign s"], hex(&encode_scalar(&signature.s)));
        assert_eq!(known["katsign recid"], signature.recovery_id);
    }
}

#[test]
fn the_stored_form_of_a_share_stays_as_it_is() {
    let shares = shares(run_with(keygen_machines("kat22", 2, 2), |parcel| vec![parcel]));
    let hash = |index| hex(&Sha256::digest(shares[&party(index)].to_bytes().expose()));
    assert_eq!(hash(1), "7b08b6bf25a83a29ade23a89702479e5dbd8ea481a297a473384e1f596252d83");
    assert_eq!(hash(2), "5a78e7f9b44d2e83bec686b7f0969d804a4e1d97ef103873ff52a829ec3b61c7");
}

/// `epoch`, `view3` and `n'`, of which the run that is named has the first.
#[test]
fn what_a_dealer_that_leaves_stores_stays_as_it_is() {
    let old = shares(run_with(keygen_machines("kat-rs23", 2, 3), |parcel| vec![parcel]));
    let new = [b"party-2", b"party-4"].map(|identity| identity.to_vec());
    let machines = reshare_machines("kat-leave", &old, &[1, 3], 2, &new);
    let outcomes = run_with(machines, |parcel| vec![parcel]);
    let known = read(include_str!("vectors/runs/reshare_leave.json"));
    let epoch = known["output"]["epoch"].as_str().unwrap();
    let view = "a42bc6a5df2bd6460d112d9d70a92fafaadccc155cd756404531721dbec03367";
    for leaver in [3, 4] {
        let leaving = outcomes[&party(leaver)].persisted.iter().find_map(|persist| match persist {
            Persist::Leaving(leaving) => Some(leaving.to_bytes()),
            _ => None,
        });
        assert_eq!(hex(&leaving.unwrap()), format!("{epoch}{view}02"));
    }
}

#[test]
fn randomness_and_hash_to_curve_repeat_the_known_answers() {
    let known = read(include_str!("vectors/dkls.json"));
    let seed = SessionSeed::from_bytes(std::array::from_fn(|i| i as u8));
    assert_eq!(known["Rnd(00..1f).bytes('x',48)"], hex(&seed.bytes::<48>("x")));
    assert_eq!(known["Rnd(00..1f).scalar('r')"], hex(&encode_scalar(&seed.scalar::<Curve>("r"))));
    let message = length_prefixed(&[b"kat"]).into();
    let point = Curve::hash_all([message].into_iter(), Curve::TRANSFERS.as_bytes())[0];
    assert_eq!(known["h2c(lp('kat'))"], hex(&encode_point(&point.to_affine()).unwrap()));
}

#[test]
fn named_runs_repeat_the_known_answers_message_by_message() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/runs");
    assert!(repeat(folder) >= 7);
}

#[test]
fn no_known_answer_is_left_out() {
    // Those about inner functions are repeated beside them, in the library.
    let inner = [
        "TH('kat', 'abc', '')",
        "HS('kat', 'abc')",
        "gfmul(le(00..0f), le(10..1f))",
        "pad(K2=0^64, j=1, c=2, row=le(00..0f))",
        "ote_expand(K1=0^64, leaf=00..1f, j=3, y=5), xi=416",
        "gadget xi=416 [0]",
        "gadget xi=416 [415]",
    ];
    let here = include_str!("vectors.rs");
    let known = read(include_str!("vectors/dkls.json"));
    for name in known.as_object().unwrap().keys() {
        let tested = name.replace("y_1", "y_{index}").replace("y_2", "y_{index}");
        assert!(inner.contains(&name.as_str()) || here.contains(&tested), "{name}");
    }
}

#[test]
fn shares_and_interpolation_match_rfc_9591() {
    let known = read(include_str!("vectors/shamir.json"));
    let polynomial =
        Polynomial::<Curve>::new(vec![scalar(&known["secret"]), scalar(&known["coefficient"])]);
    for (index, share) in (1..).zip(known["shares"].as_array().unwrap()) {
        assert_eq!(*polynomial.share_of(party(index)).expose(), scalar(share));
    }
    for (signers, positions) in [([1, 2], [0, 1]), ([1, 3], [0, 2]), ([2, 3], [1, 2])] {
        let signers = parties(signers);
        let terms = signers.iter().zip(positions).map(|(signer, position)| {
            lagrange::<Scalar>(*signer, &signers, 0) * scalar(&known["shares"][position])
        });
        let secret: Scalar = terms.sum();
        assert_eq!(secret, scalar(&known["secret"]));
        let public = ProjectivePoint::mul_by_generator(&secret).to_affine();
        assert_eq!(known["public_key"], hex(&encode_point(&public).unwrap()));
    }
}

#[test]
fn public_derivation_matches_bip_32() {
    let known = read(include_str!("vectors/bip32.json"));
    let parent = decode_point(&bytes::<33>(&known["parent"]["public_key"])).unwrap();
    let chain_code = bytes(&known["parent"]["chain_code"]);
    let path = parse_path(known["path"].as_str().unwrap()).unwrap();
    let child = derive(&parent, &chain_code, &path).unwrap();
    assert_eq!(known["child"]["public_key"], hex(&encode_point(&child.public_key).unwrap()));
    assert_eq!(known["child"]["chain_code"], hex(&child.chain_code));
}
