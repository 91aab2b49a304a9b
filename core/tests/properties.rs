//! Properties of all keys, signer sets and messages (docs/protocol.md §12.3).
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/ceremony.rs"]
mod ceremony;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/secp256k1.rs"]
mod curve;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use ceremony::{
    Outcome, Shares, SignSetup, Signature, fault, keygen, keygen_machines, now, parties, party,
    refresh, reloaded, retired, run_with, seed, sha, shares, sign_machines, sign_setup, signature,
    signer,
};
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::bip32::derive;
use cosign_core::hazmat::crypto::ecdsa::{is_low_s, verify};
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::protocol::fault::{Blame, Check, Fault};
use cosign_core::hazmat::protocol::keygen::refresh_with_seed;
use cosign_core::hazmat::protocol::local::{Local, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::sign_with_seed;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use curve::Curve;
use k256::elliptic_curve::ops::MulByGenerator;
use k256::{AffinePoint, ProjectivePoint, Scalar};
use proptest::prelude::*;

static KEY: LazyLock<Shares> = LazyLock::new(|| keygen("properties", 2, 2));
static THREE: LazyLock<Shares> = LazyLock::new(|| keygen("properties of three", 2, 3));

/// Failures are reported with their input, and leave no file behind.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// All sets of `size` parties out of `count`.
fn subsets(size: u8, count: u8) -> Vec<Vec<PartyId>> {
    let members = |mask: u32| PartyId::all(count).filter(move |p| mask >> p.get() & 1 == 1);
    let all = (0..1_u32 << (count + 1)).filter(|mask| mask & 1 == 0);
    all.map(|mask| members(mask).collect::<Vec<_>>())
        .filter(|set| set.len() == usize::from(size))
        .collect()
}

/// The key as another implementation finds it from the signature alone.
fn recovered(signature: &Signature, digest: &[u8; 32]) -> AffinePoint {
    let id = k256::ecdsa::RecoveryId::from_byte(signature.recovery_id).unwrap();
    let pair = k256::ecdsa::Signature::from_scalars(signature.r, signature.s).unwrap();
    *k256::ecdsa::VerifyingKey::recover_from_prehash(digest, &pair, id).unwrap().as_affine()
}

fn interpolate(shares: &Shares, set: &[PartyId]) -> AffinePoint {
    let term = |p: &PartyId| lagrange::<Scalar>(*p, set, 0) * shares[p].secret().expose();
    ProjectivePoint::mul_by_generator(&set.iter().map(term).sum::<Scalar>()).to_affine()
}

proptest! {
#![proptest_config(cases(2))]

#[test]
fn every_set_of_threshold_size_signs(count in 2_u8..=5, pick: u8, name: u64, digest: [u8; 32]) {
    let threshold = 2 + pick % (count - 1);
    let shares = keygen(&format!("any {name}"), threshold, count);
    let key = *shares[&party(1)].public_key();
    for (index, set) in subsets(threshold, count).into_iter().enumerate() {
        prop_assert_eq!(interpolate(&shares, &set), key);
        let name = format!("any {name} {index}");
        let signature = signature(&shares, &name, &sign_setup(&name, &set, digest));
        prop_assert!(verify::<Curve>(&key, &digest, &signature.r, &signature.s));
        prop_assert!(is_low_s(&signature.s));
        prop_assert_eq!(recovered(&signature, &digest), key);
    }
}

#[test]
fn a_refresh_keeps_the_key_and_changes_every_share(name: u64) {
    let old = keygen(&format!("old {name}"), 2, 3);
    let new = refresh(&format!("new {name}"), &old);
    for (party, share) in &new {
        let before = &old[party];
        prop_assert_eq!(share.public_key(), before.public_key());
        prop_assert_eq!(share.chain_code(), before.chain_code());
        prop_assert_eq!(share.identities(), before.identities());
        prop_assert_ne!(share.secret().expose(), before.secret().expose());
        prop_assert_ne!(share.public_shares(), before.public_shares());
        prop_assert_ne!(share.epoch(), before.epoch());
    }
    let setup = sign_setup("after", &parties([1, 3]), sha("digest"));
    prop_assert_eq!(&signature(&new, "after", &setup).public_key, old[&party(1)].public_key());

    let mut mixed = new;
    mixed.insert(party(1), Arc::clone(&old[&party(1)]));
    prop_assert_ne!(&interpolate(&mixed, &parties([1, 3])), old[&party(1)].public_key());
    let outcomes = run_with(sign_machines(&mixed, "mixed", &setup), |parcel| vec![parcel]);
    prop_assert_eq!(fault(&outcomes, 1), Fault::by(party(3), Check::Session, "SG1"));
    prop_assert_eq!(fault(&outcomes, 3), Fault::by(party(1), Check::Session, "SG1"));
    prop_assert!(retired(&mixed).is_empty());
}

}

proptest! {
    #![proptest_config(cases(4))]

    /// `stay` says which of the old parties are parties of the key then, `come` how many come.
    #[test]
    fn a_reshare_keeps_the_key_and_every_quorum_of_it_signs(
        stay in 0_u8..8, come in 0_u8..3, threshold: u8, dealers in 0_usize..3, name: u64,
    ) {
        let old = &THREE[&party(1)];
        let stays = old.identities().iter().zip(0..).filter(|(_, bit)| stay >> bit & 1 == 1);
        let comes = (0..come.max(2 - stay.count_ones().min(2) as u8)).map(|n| vec![b'z', n]);
        let new: Vec<Vec<u8>> = stays.map(|(identity, _)| identity.clone()).chain(comes).collect();
        let threshold = 2 + threshold % (new.len() as u8 - 1);
        let dealers = [[1, 2], [1, 3], [2, 3]][dealers];
        let name = format!("reshare {name}");
        let shares = ceremony::remaining_shares(ceremony::run(ceremony::reshare_machines(&name, &THREE, &dealers, threshold, &new)));
        prop_assert_eq!(shares.len(), new.len());
        for share in shares.values() {
            prop_assert_eq!(share.public_key(), old.public_key());
            prop_assert_eq!(share.chain_code(), old.chain_code());
            prop_assert_eq!(share.identities(), &new[..]);
            prop_assert_ne!(share.epoch(), old.epoch());
        }
        for set in subsets(threshold, new.len() as u8) {
            prop_assert_eq!(&interpolate(&shares, &set), old.public_key());
            let signature = signature(&shares, &name, &sign_setup(&name, &set, sha("digest")));
            prop_assert_eq!(&signature.public_key, old.public_key());
        }
        // Those who stayed have shares that do not go with the new ones.
        let mut mixed = shares;
        mixed.insert(party(1), Arc::clone(old));
        if threshold == 2 {
            prop_assert_ne!(&interpolate(&mixed, &parties([1, 2])), old.public_key());
        }
    }
}

/// 3-of-4 becomes 2-of-3: two of the three dealers leave, and one device comes.
#[test]
fn three_dealers_keep_the_key() {
    let old = keygen("three deal", 3, 4);
    let identities = old[&party(1)].identities();
    let new = [identities[1].clone(), b"another".to_vec(), identities[2].clone()];
    let machines = ceremony::reshare_machines("three deal", &old, &[1, 2, 4], 2, &new);
    let shares = ceremony::remaining_shares(ceremony::run(machines));
    assert_eq!(shares.len(), 3);
    for set in subsets(2, 3) {
        assert_eq!(&interpolate(&shares, &set), old[&party(1)].public_key());
        let setup = sign_setup("three dealt", &set, sha("digest"));
        signature(&shares, "three dealt", &setup);
    }
}

#[test]
fn a_refresh_brings_a_retired_pair_back() {
    let old = reloaded(&KEY);
    old[&party(1)].retire(party(2), Check::OteCheck);
    let new = refresh("back", &old);
    let setup = sign_setup("back", &parties([1, 2]), sha("digest"));
    assert!(signer(&old[&party(1)], "back", &setup).is_err());
    signature(&new, "back", &setup);
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn derived_keys_sign_with_low_s_and_recover(
        path in prop::collection::vec(0_u32..1 << 31, 0..4), name: u64, digest: [u8; 32],
    ) {
        let share = &KEY[&party(1)];
        let child = derive(share.public_key(), share.chain_code(), &path).unwrap();
        let setup = SignSetup {
            tweak: child.tweak,
            ..sign_setup(&format!("child {name}"), &parties([1, 2]), digest)
        };
        let signature = signature(&KEY, &format!("child {name}"), &setup);
        prop_assert_eq!(signature.public_key, child.public_key);
        prop_assert!(is_low_s(&signature.s));
        prop_assert_eq!(recovered(&signature, &digest), child.public_key);
    }
}

/// Messages of an honest signature by type and sender; `salt` makes the seeds.
fn messages(salt: &str) -> BTreeMap<(u8, PartyId), Vec<u8>> {
    let setup = sign_setup("twice", &parties([1, 2]), sha("digest"));
    let machine = |me: &PartyId| {
        let seed = seed(&format!("{salt}|{me}"));
        sign_with_seed(Arc::clone(&KEY[me]), setup.clone(), seed, ceremony::TIMEOUT).unwrap()
    };
    let mut seen = BTreeMap::new();
    run_with(setup.signers.iter().map(machine).collect(), |parcel| {
        seen.insert((parcel.bytes[1], parcel.from), parcel.bytes.clone());
        vec![parcel]
    });
    seen
}

#[test]
fn two_runs_of_one_session_share_nothing_but_frames() {
    let (first, second) = (messages("first"), messages("second"));
    for (key, here) in &first {
        let there = &second[key];
        assert_eq!(here[..HEADER], there[..HEADER]);
        let blocks = |bytes: &[u8]| -> BTreeSet<Vec<u8>> {
            bytes[HEADER..].windows(8).map(<[u8]>::to_vec).collect()
        };
        assert!(blocks(here).is_disjoint(&blocks(there)), "{key:?}");
    }
    // With the same session id, the correction rows differ in about half of their bits.
    let rows = |run: &BTreeMap<(u8, PartyId), Vec<u8>>| {
        run[&(Kind::Sg1.tag(), party(2))][HEADER + 64..][..2176].to_vec()
    };
    let differing: u32 =
        rows(&first).iter().zip(rows(&second)).map(|(a, b)| (a ^ b).count_ones()).sum();
    let half = 2176 * 8 / 2;
    assert!(differing.abs_diff(half) < 500, "{differing} of {} bits", 2 * half);
}

// ---------------------------------------------------------------------------------------------
// Damaged messages (§12.3 items 3 and 4)
// ---------------------------------------------------------------------------------------------

/// A change to one message from party 2 to party 1.
#[derive(Clone, Debug)]
enum Damage {
    /// One bit is flipped; the position is taken modulo the length.
    Flip(usize, u8),
    Cut(usize),
    Extend(Vec<u8>),
    /// The body is replaced by bytes that are drawn from this seed.
    Noise(u64),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (0_usize..300, 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        6 => (any::<usize>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Damage::Extend),
        2 => any::<u64>().prop_map(Damage::Noise),
    ]
}

impl Damage {
    /// The damaged message, and the place of a single flipped bit.
    fn apply(&self, mut bytes: Vec<u8>) -> (Vec<u8>, Option<usize>) {
        match self {
            Self::Flip(at, bit) => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
                return (bytes, Some(at));
            }
            Self::Cut(length) => bytes.truncate(length % bytes.len()),
            Self::Extend(tail) => bytes.extend(tail),
            Self::Noise(noise) => seed(&noise.to_string()).fill("noise", &mut bytes[HEADER..]),
        }
        (bytes, None)
    }
}

/// Runs machines in which the messages of this type from party 2 to party 1 are damaged.
fn damaged<P: Protocol<Curve = Curve>>(
    machines: Vec<Machine<P>>,
    kind: Kind,
    damage: &Damage,
) -> (BTreeMap<PartyId, Outcome<P::Done>>, Option<usize>) {
    let mut place = None;
    let outcomes = Local::start(machines, now()).run_with(|parcel| {
        if parcel.bytes[1] != kind.tag() || parcel.from != party(2) || parcel.to != party(1) {
            return vec![parcel];
        }
        let (bytes, at) = damage.apply(parcel.bytes);
        place = at;
        vec![Parcel { bytes, ..parcel }]
    });
    (outcomes, place)
}

fn in_any(place: usize, ranges: &[Range<usize>]) -> bool {
    ranges.iter().any(|range| range.contains(&place))
}

/// Whether a check that bans may notice a bit of this place: nonce, u, xbar, h_t; pk, Gamma,
/// atilde, eta, muhat.
fn may_ban(kind: Kind, place: usize) -> bool {
    match kind {
        Kind::Sg1 => in_any(place, &[HEADER..HEADER + 32, HEADER + 64..usize::MAX]),
        Kind::Sg2 => in_any(place, &[HEADER + 97..HEADER + 196, HEADER + 228..usize::MAX]),
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_damaged_signing_message_yields_nothing_and_bans_only_where_it_may(
        kind in prop::sample::select(vec![Kind::Sg1, Kind::Sg2, Kind::Sg3]),
        damage in damage(),
    ) {
        let shares = reloaded(&KEY);
        let setup = sign_setup("damaged", &parties([1, 2]), sha("digest"));
        let (outcomes, place) = damaged(sign_machines(&shares, "damaged", &setup), kind, &damage);
        let fault = fault(&outcomes, 1);
        let banned = fault.blame() == Blame::Ban;
        prop_assert!(!banned || place.is_none_or(|place| may_ban(kind, place)), "{fault}");
        let expected = if banned { vec![(1, 2)] } else { vec![] };
        prop_assert_eq!(retired(&shares), expected);
        let stored = |p: &Persist| matches!(p, Persist::Retired { .. });
        prop_assert_eq!(outcomes[&party(1)].persisted.iter().any(stored), banned);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_damaged_key_generation_message_makes_no_other_key(
        kind in prop::sample::select(
            vec![Kind::Kg1, Kind::Kg2b, Kind::Kg2p, Kind::Kg3b, Kind::Kg3p, Kind::Kg4b],
        ),
        damage in damage(),
        refreshing: bool,
    ) {
        let machines = || if refreshing {
            ceremony::refresh_machines("damaged", &KEY)
        } else {
            keygen_machines("damaged", 2, 2)
        };
        let (outcomes, place) = damaged(machines(), kind, &damage);
        if let Some(Err(fault)) = &outcomes[&party(1)].result {
            prop_assert!(!fault.bans(), "{fault}");
            return Ok(());
        }
        match kind {
            // The peer's contribution to the zero seed is used only in signing: the seeds differ,
            // so no signature is made, and no pair is retired.
            Kind::Kg2p => {
                prop_assert!(place.is_some_and(|p| (HEADER + 32..HEADER + 64).contains(&p)));
                let shares = shares(outcomes);
                let setup = sign_setup("unequal", &parties([1, 2]), sha("digest"));
                let outcomes = run_with(sign_machines(&shares, "unequal", &setup), |p| vec![p]);
                prop_assert_eq!(fault(&outcomes, 1), Fault::by(party(2), Check::PkSum, "SG2"));
                prop_assert!(retired(&shares).is_empty());
            }
            // Half of the transfers are not chosen. A flipped bit in those has no effect, and the
            // share is the honest one.
            Kind::Kg3p => {
                let stored = |shares: Shares| shares[&party(1)].to_bytes();
                let honest = shares(run_with(machines(), |p| vec![p]));
                let (damaged, honest) = (stored(shares(outcomes)), stored(honest));
                prop_assert_eq!(damaged.expose(), honest.expose());
            }
            _ => prop_assert!(false, "a damaged {} was accepted", kind.name()),
        }
    }
}

#[test]
fn a_refresh_among_parties_with_different_shares_of_the_key_stops_at_once() {
    let other = keygen("other", 2, 2);
    let machine = |shares: &Shares, index| {
        refresh_with_seed(
            &shares[&party(index)],
            sha("r"),
            seed(&index.to_string()),
            ceremony::TIMEOUT,
        )
    };
    let machines = vec![machine(&KEY, 1).unwrap(), machine(&other, 2).unwrap()];
    let outcomes = run_with(machines, |parcel| vec![parcel]);
    assert_eq!(fault(&outcomes, 1), Fault::by(party(2), Check::Session, "KG1"));
}
