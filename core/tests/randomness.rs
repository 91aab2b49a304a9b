//! The inputs of first messages: the system's randomness, the session, and a secret of the device
//! (docs/protocol.md §2.3). Each of them alone changes the message.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;

use std::sync::{Arc, LazyLock};

use ceremony::{
    KeyShare, Origin, Output, Shares, SignSetup, TIMEOUT, keygen, keygen_setup, now, parties,
    party, refresh, sha, sign_setup,
};
use cosign_core::Secret;
use cosign_core::hazmat::crypto::curve::encode_scalar;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::keygen::reshare::{self, Dealer, ReshareSetup};
use cosign_core::hazmat::protocol::keygen::{self, KeygenSetup};
use cosign_core::hazmat::protocol::machine::{Machine, Protocol};
use cosign_core::hazmat::protocol::sign;
use cosign_core::hazmat::protocol::wire::HEADER;
use curve::Curve;
use k256::{ProjectivePoint, Scalar};

static KEY: LazyLock<Shares> = LazyLock::new(|| keygen("randomness", 2, 2));

fn random(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

/// The body of the first message: the session id in the header differs on its own.
fn first<P: Protocol<Curve = Curve>>(mut machine: Machine<P>) -> Vec<u8> {
    machine.start(now());
    let sent = std::iter::from_fn(|| machine.poll()).find_map(|output| match output {
        Output::Send { bytes, .. } => Some(bytes.expose()[HEADER..].to_vec()),
        _ => None,
    });
    sent.unwrap()
}

/// The nonce, which is drawn and not computed from the session: equal exactly if the seed is.
fn nonce<P: Protocol<Curve = Curve>>(machine: Machine<P>) -> [u8; 32] {
    first(machine)[..32].try_into().unwrap()
}

fn all_differ(nonces: &[[u8; 32]]) {
    for (at, nonce) in nonces.iter().enumerate() {
        assert!(!nonces[..at].contains(nonce), "message {at} repeats an earlier one");
    }
}

#[test]
fn a_key_generation_begins_otherwise_with_other_randomness_session_or_device() {
    let begin = |setup: &KeygenSetup, byte, hedge: &[u8]| {
        nonce(keygen::keygen::<Curve>(setup.clone(), &random(byte), hedge, TIMEOUT).unwrap())
    };
    let setup = keygen_setup("one", 2, 2, party(1));
    let same = begin(&setup, 0, b"device");
    assert_eq!(same, begin(&setup, 0, b"device"));
    all_differ(&[
        same,
        begin(&setup, 1, b"device"),
        begin(&setup, 0, b"another device"),
        begin(&setup, 0, b""),
        begin(&keygen_setup("another", 2, 2, party(1)), 0, b"device"),
        begin(&keygen_setup("one", 2, 3, party(1)), 0, b"device"),
        begin(&keygen_setup("one", 2, 2, party(2)), 0, b"device"),
    ]);
}

#[test]
fn a_refresh_begins_otherwise_with_other_randomness_session_or_share() {
    let begin = |share: &Arc<KeyShare>, name: &str, byte| {
        nonce(keygen::refresh(share, sha(name), &random(byte), TIMEOUT).unwrap())
    };
    let share = &KEY[&party(1)];
    let same = begin(share, "one", 0);
    assert_eq!(same, begin(share, "one", 0));
    all_differ(&[
        same,
        begin(share, "one", 1),
        begin(share, "another", 0),
        begin(&KEY[&party(2)], "one", 0),
        begin(&refresh("randomness", &KEY)[&party(1)], "one", 0),
    ]);
}

#[test]
fn a_signature_begins_otherwise_with_other_randomness_session_or_share() {
    let begin = |share: &Arc<KeyShare>, setup: &SignSetup, byte| {
        nonce(sign::sign(Arc::clone(share), setup.clone(), &random(byte), TIMEOUT).unwrap())
    };
    let (share, signers) = (&KEY[&party(1)], parties([1, 2]));
    let setup = sign_setup("one", &signers, sha("digest"));
    let same = begin(share, &setup, 0);
    assert_eq!(same, begin(share, &setup, 0));
    all_differ(&[
        same,
        begin(share, &setup, 1),
        begin(share, &sign_setup("another", &signers, sha("digest")), 0),
        begin(share, &sign_setup("one", &signers, sha("another digest")), 0),
        begin(&KEY[&party(2)], &setup, 0),
        begin(&refresh("randomness", &KEY)[&party(1)], &setup, 0),
    ]);
}

/// The nonce if `share` were hashed into the seed of a session.
fn guess(session: &[u8; 32], share: &[u8]) -> [u8; 32] {
    SessionSeed::hedged(&random(0), session, 1, share).bytes("nonce")
}

/// The share itself is hashed, not only what is public about it and part of the session: an
/// attacker who knows the randomness and the session still needs the share.
#[test]
fn where_randomness_is_known_the_nonces_follow_from_the_secret_share() {
    let setup = sign_setup("known", &parties([1, 2]), sha("digest"));
    let share = &KEY[&party(1)];
    let secret = encode_scalar(share.secret().expose());
    let signature = || sign::sign(Arc::clone(share), setup.clone(), &random(0), TIMEOUT).unwrap();
    let refresh = || keygen::refresh(share, sha("known"), &random(0), TIMEOUT).unwrap();
    for (session, begun) in [
        (*signature().session_id(), nonce(signature())),
        (*refresh().session_id(), nonce(refresh())),
    ] {
        assert_eq!(guess(&session, &secret), begun);
        assert_ne!(guess(&session, &[]), begun);
        assert_ne!(guess(&session, &[0; 32]), begun);
    }
}

/// As above, of those who take part in a reshare or an import. A dealer needs the secret of its device,
/// too: a share that somebody else knows may be why there is a reshare.
#[test]
fn where_randomness_is_known_a_reshare_follows_from_the_share_and_the_device() {
    let (share, key, device) = (&KEY[&party(1)], Secret::new(Scalar::from(7_u64)), b"device");
    let setup = |dealers: &[(u8, u8)], origin| ReshareSetup {
        instance: sha("known"),
        threshold: 2,
        count: 2,
        me: party(1),
        identities: share.identities().to_vec(),
        dealers: dealers
            .iter()
            .map(|(participant, old)| Dealer { participant: party(*participant), old: *old })
            .collect(),
        origin,
        requester: party(2),
    };
    let import = |dealer| {
        let public_key = (ProjectivePoint::GENERATOR * key.expose()).to_affine();
        setup(&[(dealer, 0)], Origin::of_import(&public_key, &[9; 32]))
    };
    let holds = || {
        let setup = setup(&[(1, 1), (2, 2)], share.public_data());
        reshare::reshare(setup, share, &random(0), device, TIMEOUT).unwrap()
    };
    let joins = || reshare::join(import(2), &random(0), device, TIMEOUT).unwrap();
    let imports = || reshare::import(import(1), &key, &random(0), TIMEOUT).unwrap();
    let secret = encode_scalar(share.secret().expose());
    for (machine, hashed) in [
        (&holds as &dyn Fn() -> Machine<_>, [&secret[..], device].concat()),
        (&joins, device.to_vec()),
        (&imports, encode_scalar(key.expose()).to_vec()),
    ] {
        let (session, begun) = (*machine().session_id(), nonce(machine()));
        assert_eq!(guess(&session, &hashed), begun);
        assert_ne!(guess(&session, &[]), begun);
    }
}
