//! Keys and signatures among parties in memory, everything derived from names (docs/protocol.md §12.2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::fault::Fault;
use cosign_core::hazmat::protocol::keygen::reshare::{
    Dealer, ReshareSetup, import_with_seed, join_with_seed, reshare_with_seed,
};
use cosign_core::hazmat::protocol::keygen::{KeygenSetup, keygen_with_seed, refresh_with_seed};
use cosign_core::hazmat::protocol::local::{Local, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::{sign_batch_with_seed, sign_with_seed};
use cosign_core::{PartyId, Secret};
use sha2::{Digest, Sha256};

use super::curve::{Curve, ProjectivePoint, Scalar};

pub(crate) type BatchItem = cosign_core::BatchItem<Curve>;
pub(crate) type BatchSetup = cosign_core::BatchSetup<Curve>;
pub(crate) type BatchSigning = cosign_core::BatchSigning<Curve>;
pub(crate) type Confirmation = cosign_core::Confirmation<Curve>;
pub(crate) type Keygen = cosign_core::Keygen<Curve>;
pub(crate) type KeyShare = cosign_core::KeyShare<Curve>;
pub(crate) type Leaving = cosign_core::Leaving<Curve>;
pub(crate) type Origin = cosign_core::Origin<Curve>;
pub(crate) type Outcome<D> = cosign_core::local::Outcome<D, Curve>;
pub(crate) type Output<D> = cosign_core::Output<D, Curve>;
pub(crate) type SignSetup = cosign_core::SignSetup<Curve>;
pub(crate) type Signature = cosign_core::Signature<Curve>;
pub(crate) type Signed = cosign_core::Signed<Curve>;
pub(crate) type Signing = cosign_core::Signing<Curve>;

/// Longer than any test takes; time stands still anyway.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The shares of a key, by party.
pub(crate) type Shares = BTreeMap<PartyId, Arc<KeyShare>>;

pub(crate) fn party(index: u8) -> PartyId {
    PartyId::new(index).unwrap()
}

pub(crate) fn parties<const N: usize>(indices: [u8; N]) -> Vec<PartyId> {
    indices.map(party).to_vec()
}

pub(crate) fn sha(name: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(name).into()
}

pub(crate) fn seed(name: &str) -> SessionSeed {
    SessionSeed::from_bytes(sha(format!("model-seed|{name}")))
}

/// The time at which everything happens.
#[expect(clippy::disallowed_methods, reason = "there is no other way to get hold of an instant")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn keygen_setup(name: &str, threshold: u8, count: u8, me: PartyId) -> KeygenSetup {
    let identities = (1..=count).map(|i| format!("party-{i}").into_bytes()).collect();
    KeygenSetup { instance: sha(name), threshold, me, identities }
}

pub(crate) fn keygen_machines(name: &str, threshold: u8, count: u8) -> Vec<Machine<Keygen>> {
    PartyId::all(count).map(|me| keygen_machine(name, threshold, count, me)).collect()
}

/// One party of the key generation `name`.
pub(crate) fn keygen_machine(name: &str, threshold: u8, count: u8, me: PartyId) -> Machine<Keygen> {
    let setup = keygen_setup(name, threshold, count, me);
    keygen_with_seed(setup, seed(&format!("{name}|{me}")), TIMEOUT).unwrap()
}

pub(crate) fn refresh_machines(name: &str, shares: &Shares) -> Vec<Machine<Keygen>> {
    let machine = |share: &Arc<KeyShare>| {
        let seed = seed(&format!("{name}|{}", share.me()));
        refresh_with_seed(share, sha(name), seed, TIMEOUT).unwrap()
    };
    shares.values().map(machine).collect()
}

/// A reshare: `dealers` are old indices, `new` are the identities of the parties of the key then.
/// Dealers that are not among them leave.
pub(crate) fn reshare_machines(
    name: &str,
    shares: &Shares,
    dealers: &[u8],
    threshold: u8,
    new: &[Vec<u8>],
) -> Vec<Machine<Keygen>> {
    let old = &shares[&party(dealers[0])];
    let identity = |index: u8| &old.identities()[usize::from(index) - 1];
    let mut identities = new.to_vec();
    let leaving =
        dealers.iter().map(|old| identity(*old)).filter(|identity| !new.contains(identity));
    identities.extend(leaving.cloned());
    let participant = |of: &Vec<u8>| identities.iter().position(|known| known == of).unwrap() + 1;
    let dealer =
        |old: &u8| Dealer { participant: party(participant(identity(*old)) as u8), old: *old };
    let machine = |(me, who): (PartyId, &Vec<u8>)| {
        let setup = ReshareSetup {
            instance: sha(name),
            threshold,
            count: new.len() as u8,
            me,
            identities: identities.clone(),
            dealers: dealers.iter().map(dealer).collect(),
            origin: old.public_data(),
            requester: me,
        };
        let seed = seed(&format!("{name}|{me}"));
        match shares.values().find(|share| identity(share.me().get()) == who) {
            Some(share) => reshare_with_seed(setup, share, seed, TIMEOUT).unwrap(),
            None => join_with_seed(setup, seed, TIMEOUT).unwrap(),
        }
    };
    PartyId::all(16).zip(&identities).map(machine).collect()
}

/// A key generation in which `dealer` deals `key`.
pub(crate) fn import_machines(
    name: &str,
    threshold: u8,
    count: u8,
    dealer: PartyId,
    key: Scalar,
    chain_code: [u8; 32],
) -> Vec<Machine<Keygen>> {
    let public_key = (ProjectivePoint::GENERATOR * key).to_affine();
    let machine = |me: PartyId| {
        let KeygenSetup { instance, identities, .. } = keygen_setup(name, threshold, count, me);
        let setup = ReshareSetup {
            instance,
            threshold,
            count,
            me,
            identities,
            dealers: vec![Dealer { participant: dealer, old: 0 }],
            origin: Origin::of_import(&public_key, &chain_code),
            requester: dealer,
        };
        let seed = seed(&format!("{name}|{me}"));
        if me == dealer {
            import_with_seed(setup, &Secret::new(key), seed, TIMEOUT).unwrap()
        } else {
            join_with_seed(setup, seed, TIMEOUT).unwrap()
        }
    };
    PartyId::all(count).map(machine).collect()
}

/// A signature of `digest` by `signers`, delivered to all, without derivation.
pub(crate) fn sign_setup(name: &str, signers: &[PartyId], digest: [u8; 32]) -> SignSetup {
    SignSetup {
        signers: signers.to_vec(),
        sign_id: sha(name),
        digest,
        tweak: Scalar::ZERO,
        recipient: None,
    }
}

/// One party of the signature `name`.
pub(crate) fn signer(
    share: &Arc<KeyShare>,
    name: &str,
    setup: &SignSetup,
) -> Result<Machine<Signing>, Fault> {
    let seed = seed(&format!("sign|{name}|{}", share.me()));
    sign_with_seed(Arc::clone(share), setup.clone(), seed, TIMEOUT)
}

pub(crate) fn sign_machines(
    shares: &Shares,
    name: &str,
    setup: &SignSetup,
) -> Vec<Machine<Signing>> {
    setup.signers.iter().map(|me| signer(&shares[me], name, setup).unwrap()).collect()
}

/// Signatures of `digests` by `signers`, delivered to all, without derivation.
pub(crate) fn batch_setup(name: &str, signers: &[PartyId], digests: &[[u8; 32]]) -> BatchSetup {
    let item = |digest: &[u8; 32]| BatchItem { digest: *digest, tweak: Scalar::ZERO };
    BatchSetup {
        signers: signers.to_vec(),
        sign_id: sha(name),
        items: digests.iter().map(item).collect(),
        recipient: None,
    }
}

/// One party of the batch `name`.
pub(crate) fn batch_machine(
    share: &Arc<KeyShare>,
    name: &str,
    setup: &BatchSetup,
) -> Machine<BatchSigning> {
    let seed = seed(&format!("sign|{name}|{}", share.me()));
    sign_batch_with_seed(Arc::clone(share), setup.clone(), seed, TIMEOUT).unwrap()
}

pub(crate) fn batch_machines(
    shares: &Shares,
    name: &str,
    setup: &BatchSetup,
) -> Vec<Machine<BatchSigning>> {
    setup.signers.iter().map(|me| batch_machine(&shares[me], name, setup)).collect()
}

/// Runs machines that all reach their end.
pub(crate) fn run<P: Protocol<Curve = Curve>>(
    machines: Vec<Machine<P>>,
) -> BTreeMap<PartyId, Outcome<P::Done>> {
    Local::start(machines, now()).run()
}

/// Runs machines, and delivers what `tamper` makes of each message.
pub(crate) fn run_with<P: Protocol<Curve = Curve>>(
    machines: Vec<Machine<P>>,
    tamper: impl FnMut(Parcel) -> Vec<Parcel>,
) -> BTreeMap<PartyId, Outcome<P::Done>> {
    Local::start(machines, now()).run_with(tamper)
}

/// The share that a party was told to store.
pub(crate) fn pending<D>(outcome: Outcome<D>) -> Option<KeyShare> {
    outcome.persisted.into_iter().find_map(|persist| match persist {
        Persist::PendingShare(pending) => Some(pending.share),
        _ => None,
    })
}

/// As [`shares`], where parties may leave the key.
pub(crate) fn remaining_shares<D: std::fmt::Debug>(
    outcomes: BTreeMap<PartyId, Outcome<D>>,
) -> Shares {
    let share = |(party, outcome): (PartyId, Outcome<D>)| {
        assert!(matches!(outcome.result, Some(Ok(_))), "{:?}", outcome.result);
        Some((party, Arc::new(pending(outcome)?)))
    };
    outcomes.into_iter().filter_map(share).collect()
}

/// The shares of an honest ceremony.
pub(crate) fn shares<D: std::fmt::Debug>(outcomes: BTreeMap<PartyId, Outcome<D>>) -> Shares {
    let share = |(party, outcome): (PartyId, Outcome<D>)| {
        assert!(matches!(outcome.result, Some(Ok(_))), "{:?}", outcome.result);
        (party, Arc::new(pending(outcome).unwrap()))
    };
    outcomes.into_iter().map(share).collect()
}

pub(crate) fn keygen(name: &str, threshold: u8, count: u8) -> Shares {
    shares(run(keygen_machines(name, threshold, count)))
}

pub(crate) fn refresh(name: &str, old: &Shares) -> Shares {
    shares(run(refresh_machines(name, old)))
}

/// The shares as decoded anew: pairs that were retired in memory are usable again.
pub(crate) fn reloaded(shares: &Shares) -> Shares {
    let reload = |(party, share): (&PartyId, &Arc<KeyShare>)| {
        (*party, Arc::new(KeyShare::from_bytes(share.to_bytes().expose()).unwrap()))
    };
    shares.iter().map(reload).collect()
}

/// Every pair that was retired, as the party that did it and its peer.
pub(crate) fn retired(shares: &Shares) -> Vec<(u8, u8)> {
    let of = |share: &Arc<KeyShare>| {
        let peers: Vec<PartyId> =
            PartyId::all(share.count()).filter(|peer| share.retired(*peer).is_some()).collect();
        peers.into_iter().map(|peer| (share.me().get(), peer.get())).collect::<Vec<_>>()
    };
    shares.values().flat_map(of).collect()
}

/// Signs with parties of which none lies; what each of them has in the end.
pub(crate) fn sign(shares: &Shares, name: &str, setup: &SignSetup) -> BTreeMap<PartyId, Signed> {
    let outcomes = run(sign_machines(shares, name, setup));
    outcomes.into_iter().map(|(party, o)| (party, o.result.unwrap().unwrap())).collect()
}

/// The one signature that all signers have.
pub(crate) fn signature(shares: &Shares, name: &str, setup: &SignSetup) -> Signature {
    let signed: Vec<Signed> = sign(shares, name, setup).into_values().collect();
    assert!(signed.windows(2).all(|pair| pair[0] == pair[1]));
    match signed[0] {
        Signed::Signature(signature) => signature,
        Signed::Delivered => panic!("nobody received the signature"),
    }
}

/// The fault of a party that stopped.
pub(crate) fn fault<D>(outcomes: &BTreeMap<PartyId, Outcome<D>>, index: u8) -> Fault {
    match &outcomes[&party(index)].result {
        Some(Err(fault)) => *fault,
        Some(Ok(_)) => panic!("party {index} was content"),
        None => panic!("party {index} did not end"),
    }
}
