//! Reshare and import (docs/protocol.md §8.2 to §8.4): what the participants agree on, and all that
//! is checked before the first message.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Held, Keygen, Participant, Source, Terms, machine, session};
use crate::crypto::curve::{AffinePoint, Curve, ProjectivePoint, SCALAR, Scalar, encode_scalar};
use crate::crypto::seed::SessionSeed;
use crate::crypto::share::lagrange;
use crate::crypto::tags;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{KeyShare, are_valid_identities, are_valid_sizes};
use crate::protocol::machine::Machine;
use crate::protocol::origin::Origin;
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::Curve as _;

/// The input that the participants of a reshare or an import agree on.
///
/// Participants are numbered anew: first the parties of the key then, of which each has its number
/// as its index; after them the dealers that leave, in the order of their old indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReshareSetup {
    /// 32 random bytes, fresh for every attempt and equal on all participants.
    pub instance: [u8; 32],
    /// How many parties must sign then: at least 2, at most all of them.
    pub threshold: u8,
    /// How many parties the key has then.
    pub count: u8,
    /// This participant.
    pub me: PartyId,
    /// The identity of each participant on its channel, that of participant 1 first: all different,
    /// at most [`MAX_IDENTITY`](crate::protocol::key::MAX_IDENTITY) bytes each.
    pub identities: Vec<Vec<u8>>,
    /// In the order of their old indices: as many as had to sign so far; in an import the one that
    /// has the key.
    pub dealers: Vec<Dealer>,
    /// [`KeyShare::public_data`] of the old shares, or [`Origin::of_import`].
    ///
    /// A participant without a share cannot know whether it is that of the right key: a person must
    /// compare the key with what is known of it.
    pub origin: Vec<u8>,
    /// The participant whose word `origin` and `dealers` are.
    pub requester: PartyId,
}

/// A participant that deals its part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealer {
    /// Its number among the participants.
    pub participant: PartyId,
    /// Its index in the old key; 0 in an import.
    pub old: u8,
}

/// Takes part in a reshare with a share of the key, as a dealer or not (§8.2).
///
/// Key and chain code stay, and all shares are new. A dealer that is no party of the key then
/// leaves: it outputs a [`Persist::Leaving`](crate::protocol::machine::Persist::Leaving) instead of
/// a share. The old share stays valid until all parties have confirmed. Retired pairs are allowed,
/// since a reshare restores them: whoever has retired a pair must ask a person before.
///
/// `hedge` is as in [`keygen`](super::keygen). The share hedges as well, but it may be why there is a
/// reshare: somebody else may know it.
///
/// # Errors
/// A fault at `setup`: [`Check::Params`] if the input does not fit together or is not about this
/// share. Two faults name the requester, unless it is this participant: [`Check::PublicData`] if
/// `origin` contradicts itself, the dealers or the share; [`Check::Session`] if it is about other
/// shares of the same key, which happens among honest devices after a refresh that one of them
/// missed.
///
/// ```
/// # use std::{fs, time::{Duration, Instant}};
/// # use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
/// # use cosign_core::local::Local;
/// # use cosign_core::{Dealer, KeyShare, PartyId, Persist, ReshareSetup, Secret, join, reshare};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
/// # let old = |party| -> Result<KeyShare, Box<dyn std::error::Error>> {
/// #     Ok(KeyShare::from_bytes(&fs::read(format!("tests/support/shares/party-{party}"))?)?)
/// # };
/// // Two devices have a key of which both must sign. Carol comes third.
/// let (alice, bob, timeout) = (old(1)?, old(2)?, Duration::from_secs(30));
/// let mut identities = alice.identities().to_vec();
/// identities.push(b"carol".to_vec());
/// let parties: Vec<PartyId> = PartyId::all(3).collect();
/// let setup = |me| ReshareSetup {
///     instance: [5; 32],
///     threshold: 2,
///     count: 3,
///     me,
///     identities: identities.clone(),
///     dealers: vec![
///         Dealer { participant: parties[0], old: 1 },
///         Dealer { participant: parties[1], old: 2 },
///     ],
///     origin: alice.public_data(),
///     requester: parties[0],
/// };
/// let machines = [
///     reshare(setup(parties[0]), &alice, &Secret::new(random()), b"of her device", timeout)?,
///     reshare(setup(parties[1]), &bob, &Secret::new(random()), b"of his device", timeout)?,
///     join(setup(parties[2]), &Secret::new(random()), b"of a file of her device", timeout)?,
/// ];
/// let outcomes = Local::start(machines, Instant::now()).run();
/// let mut new = outcomes.values().flat_map(|outcome| &outcome.persisted).filter_map(|p| match p {
///     Persist::PendingShare(pending) => Some(&pending.share),
///     _ => None,
/// });
/// assert!(new.clone().all(|share| share.public_key_bytes() == alice.public_key_bytes()));
/// assert!(new.all(|share| (share.threshold(), share.count()) == (2, 3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reshare<C: Curve>(
    setup: ReshareSetup,
    share: &KeyShare<C>,
    random: &Secret<[u8; 32]>,
    hedge: &[u8],
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let both = Secret::made(|both: &mut Vec<u8>| {
        both.reserve_exact(SCALAR + hedge.len());
        both.extend_from_slice(&encode_scalar(share.secret.expose()));
        both.extend_from_slice(hedge);
    });
    let seed = seed::<C>(&setup, random, both.expose());
    reshare_with_seed(setup, share, seed, round_timeout)
}

/// As [`reshare`], with a given seed, to repeat known answers. A seed must never be used twice.
pub fn reshare_with_seed<C: Curve>(
    setup: ReshareSetup,
    share: &KeyShare<C>,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    start(setup, Part::Share(share), seed, round_timeout)
}

/// Takes part in a reshare or an import and has no part of the key so far.
///
/// `hedge` is as in [`keygen`](super::keygen), and faults are as in [`reshare`].
pub fn join<C: Curve>(
    setup: ReshareSetup,
    random: &Secret<[u8; 32]>,
    hedge: &[u8],
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let seed = seed::<C>(&setup, random, hedge);
    join_with_seed(setup, seed, round_timeout)
}

/// As [`join`], with a given seed, to repeat known answers. A seed must never be used twice.
pub fn join_with_seed<C: Curve>(
    setup: ReshareSetup,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    start(setup, Part::Nothing, seed, round_timeout)
}

/// Deals a key that this participant has (§8.4). All others [`join`].
///
/// Whoever has a copy of the key signs alone with it, now and later: the caller wipes its own when
/// all parties have confirmed. Faults are as in [`reshare`], and [`Check::Params`] if `key` is not
/// that of `origin`.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use cosign_core::k256::{ProjectivePoint, Scalar, Secp256k1};
/// # use cosign_core::local::Local;
/// # use cosign_core::{Dealer, Origin, PartyId, Persist, ReshareSetup, Secret, import, join};
/// let (key, timeout) = (Secret::new(Scalar::from(7_u64)), Duration::from_secs(30));
/// let public_key = (ProjectivePoint::GENERATOR * key.expose()).to_affine();
/// let parties: Vec<PartyId> = PartyId::all(2).collect();
/// let setup = |me| ReshareSetup {
///     instance: [6; 32],
///     threshold: 2,
///     count: 2,
///     me,
///     identities: vec![b"alice".to_vec(), b"bob".to_vec()],
///     dealers: vec![Dealer { participant: parties[0], old: 0 }],
///     origin: Origin::<Secp256k1>::of_import(&public_key, &[9; 32]),
///     requester: parties[0],
/// };
/// # let random = || Secret::new([1; 32]);
/// let machines = [
///     import::<Secp256k1>(setup(parties[0]), &key, &random(), timeout)?,
///     join(setup(parties[1]), &random(), b"of a file of his device", timeout)?,
/// ];
/// for outcome in Local::start(machines, Instant::now()).run().into_values() {
///     outcome.result.ok_or("it did not end")??;
///     for persist in outcome.persisted {
///         let Persist::PendingShare(pending) = persist else { continue };
///         assert_eq!(pending.share.public_key(), &public_key);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import<C: Curve>(
    setup: ReshareSetup,
    key: &Secret<Scalar<C>>,
    random: &Secret<[u8; 32]>,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let secret = Secret::made(|bytes: &mut [u8; SCALAR]| *bytes = encode_scalar(key.expose()));
    let seed = seed::<C>(&setup, random, secret.expose());
    import_with_seed(setup, key, seed, round_timeout)
}

/// As [`import`], with a given seed, to repeat known answers. A seed must never be used twice.
pub fn import_with_seed<C: Curve>(
    setup: ReshareSetup,
    key: &Secret<Scalar<C>>,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    start(setup, Part::Key(key), seed, round_timeout)
}

/// What a participant has of the key.
enum Part<'a, C: Curve> {
    Share(&'a KeyShare<C>),
    Key(&'a Secret<Scalar<C>>),
    Nothing,
}

fn start<C: Curve>(
    setup: ReshareSetup,
    part: Part<'_, C>,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let (held, own) = held(&setup, part)?;
    let session = reshare_session::<C>(&setup);
    let ReshareSetup { threshold, count, me, identities, .. } = setup;
    let terms = Terms { threshold, count, me, identities, session, source: Source::Held(held) };
    machine(Participant { terms, seed, own }, round_timeout)
}

/// The constant term that this participant deals.
type Constant<C> = Option<Secret<Scalar<C>>>;

/// Checks the setup; the key and the constant terms that the dealers must have, and that of this
/// participant if it deals.
fn held<C: Curve>(
    setup: &ReshareSetup,
    part: Part<'_, C>,
) -> Result<(Held<C>, Constant<C>), Fault> {
    let params = Fault::nobody(Check::Params, "setup");
    let all = setup.identities.len();
    let valid = are_valid_sizes(setup.threshold, usize::from(setup.count))
        && usize::from(setup.count) <= all
        && usize::from(setup.me.get().max(setup.requester.get())) <= all
        && are_valid_identities(&setup.identities, all);
    if !valid {
        return Err(params);
    }
    // Of a requester that is this participant it is our own call that is wrong.
    let says = |check| match check {
        Check::Params => params,
        _ if setup.requester == setup.me => params,
        _ => Fault::by(setup.requester, check, "setup"),
    };
    let origin = Origin::from_bytes(&setup.origin).map_err(|_| says(Check::PublicData))?;
    if let Part::Share(share) = &part {
        is_of_key(&origin, share).map_err(says)?;
    }
    let dealt = dealt(setup, &origin).map_err(says)?;
    let own = match (part, dealt.get(&setup.me)) {
        (Part::Share(share), own) if is_about(setup, share) => own.map(|dealt| {
            Secret::made(|own: &mut Scalar<C>| *own = dealt.factor * share.secret.expose())
        }),
        (Part::Key(key), Some(dealt)) if origin.shared.is_none() && dealt.is_constant(key) => {
            Some(Secret::made(|own: &mut Scalar<C>| *own = *key.expose()))
        }
        (Part::Nothing, None) => None,
        _ => return Err(params),
    };
    let constants = dealt.into_iter().map(|(party, dealt)| (party, dealt.constant)).collect();
    Ok((Held { point: origin.point, chain_code: origin.chain_code, constants }, own))
}

/// The part of the key that a dealer deals.
struct Dealt<C: Curve> {
    /// Of its share.
    factor: Scalar<C>,
    /// The constant term of its polynomial, times the generator.
    constant: AffinePoint<C>,
}

impl<C: Curve> Dealt<C> {
    fn is_constant(&self, key: &Secret<Scalar<C>>) -> bool {
        C::of_generator(key.expose()) == ProjectivePoint::<C>::from(self.constant)
    }
}

/// Whether `origin` is what `share` says about its key. Other shares of the same key are no lie:
/// one of the two devices may have missed a refresh, or come from a backup.
fn is_of_key<C: Curve>(origin: &Origin<C>, share: &KeyShare<C>) -> Result<(), Check> {
    let same_key =
        (origin.public_key(), origin.chain_code()) == (share.public_key(), share.chain_code());
    match origin.epoch() {
        Some(epoch) if same_key && epoch != share.epoch() => Err(Check::Session),
        _ if origin.to_bytes() != share.public_data() => Err(Check::PublicData),
        _ => Ok(()),
    }
}

/// What each dealer deals. [`Check::PublicData`] unless there are as many as `origin` asks for, and
/// it has their indices; [`Check::Params`] unless they are in order, each is one participant, and
/// those above the parties of the key then are exactly the participants that leave.
fn dealt<C: Curve>(
    setup: &ReshareSetup,
    origin: &Origin<C>,
) -> Result<BTreeMap<PartyId, Dealt<C>>, Check> {
    let dealers = &setup.dealers;
    // So there are no more participants than there can be numbers of them.
    let leaving = dealers.iter().map(|dealer| usize::from(dealer.participant.get()));
    let leaving = leaving.filter(|participant| *participant > usize::from(setup.count));
    if !leaving.eq(usize::from(setup.count) + 1..=setup.identities.len()) {
        return Err(Check::Params);
    }
    let dealt: BTreeMap<PartyId, Dealt<C>> = match (&origin.shared, dealers.as_slice()) {
        (None, [Dealer { participant, old: 0 }]) => {
            if participant.get() > setup.count {
                return Err(Check::Params);
            }
            let whole = Dealt { factor: Scalar::<C>::ONE, constant: origin.point };
            BTreeMap::from([(*participant, whole)])
        }
        (None, _) => return Err(Check::PublicData),
        (Some(shared), _) => {
            if !dealers.is_sorted_by(|one, next| one.old < next.old) {
                return Err(Check::Params);
            }
            if dealers.len() != usize::from(shared.threshold) {
                return Err(Check::PublicData);
            }
            let known = |dealer: &Dealer| {
                let old = PartyId::new(dealer.old)?;
                Some((old, *shared.shares.get(usize::from(old.get()) - 1)?))
            };
            let known: Option<Vec<_>> = dealers.iter().map(known).collect();
            let (olds, shares): (Vec<PartyId>, Vec<AffinePoint<C>>) =
                known.ok_or(Check::PublicData)?.into_iter().unzip();
            let of = |((dealer, old), share): ((&Dealer, &PartyId), AffinePoint<C>)| {
                let factor: Scalar<C> = lagrange(*old, &olds, 0);
                (
                    dealer.participant,
                    Dealt {
                        factor,
                        constant: (ProjectivePoint::<C>::from(share) * factor).to_affine(),
                    },
                )
            };
            dealers.iter().zip(&olds).zip(shares).map(of).collect()
        }
    };
    if dealt.len() == dealers.len() { Ok(dealt) } else { Err(Check::Params) }
}

/// Whether this participant and the dealers are the devices that they were in the old key.
fn is_about<C: Curve>(setup: &ReshareSetup, share: &KeyShare<C>) -> bool {
    let is = |participant: PartyId, old: u8| {
        let now = setup.identities.get(usize::from(participant.get()) - 1);
        let then = usize::from(old).checked_sub(1).and_then(|old| share.identities().get(old));
        now.is_some() && now == then
    };
    is(setup.me, share.me().get())
        && setup.dealers.iter().all(|dealer| is(dealer.participant, dealer.old))
}

/// `sid0` of a reshare or an import: the hash of the agreed input.
fn reshare_session<C: Curve>(setup: &ReshareSetup) -> [u8; 32] {
    let ReshareSetup { instance, threshold, count, identities, dealers, origin, .. } = setup;
    let dealers: Vec<u8> =
        dealers.iter().flat_map(|dealer| [dealer.participant.get(), dealer.old]).collect();
    session::<C>(&tags::RESHARE_SID0, instance, [*threshold, *count], &dealers, origin, identities)
}

fn seed<C: Curve>(setup: &ReshareSetup, random: &Secret<[u8; 32]>, secret: &[u8]) -> SessionSeed {
    SessionSeed::hedged(random, &reshare_session::<C>(setup), setup.me.get(), secret)
}
