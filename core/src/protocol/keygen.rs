//! Key generation, refresh, reshare and import (docs/protocol.md §3, §8): four rounds after which
//! every party has a share of a key, and the transfers of every pair.
//!
//! | round | everybody sends to everybody | and to each | then has |
//! |---|---|---|---|
//! | `round1` | KG1: commitment | | the session id |
//! | `round2` | KG2B: opening, proofs | KG2P: share, transfers | its share, the key |
//! | `round3` | KG3B: what it derived, proof | KG3P: transfers, trees | the trees |
//! | `round4` | KG4B: "my share is stored" | | a key |
//!
//! What differs is where the constant terms of the polynomials come from, whose sum is the key: in a
//! key generation every party draws one; in a refresh they are zero, and every party adds what it
//! receives to its old share; in a reshare some of those who have shares, the dealers, deal what the
//! key is made of; in an import one party deals the key. Dealers of a reshare that are no parties of
//! the new key leave: they take part and receive nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use k256::Secp256k1;
use k256::elliptic_curve::group::Group as _;

use crate::crypto::curve::{
    AffinePoint, Curve, POINT, ProjectivePoint, SCALAR, Scalar, encode_scalar,
};
use crate::crypto::dlog::PROOF;
use crate::crypto::ot::{base, tree};
use crate::crypto::seed::SessionSeed;
use crate::crypto::tags;
use crate::crypto::transcript::Tag;
use crate::party::PartyId;
use crate::protocol::event::Ceremony;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{KeyShare, are_valid_identities, are_valid_sizes, parameters, peers};
use crate::protocol::machine::{Expected, Gathered, Machine, Persist, Plan, Protocol, Step};
use crate::protocol::wire::{Kind, Received};
use crate::secret::Secret;

pub mod reshare;
mod round1;
mod round2;
mod round3;
mod round4;

/// The input that the parties of a new key agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeygenSetup {
    /// 32 random bytes, fresh for every attempt and equal on all parties.
    pub instance: [u8; 32],
    /// How many parties must sign: at least 2, at most all of them.
    pub threshold: u8,
    /// This party.
    pub me: PartyId,
    /// The identity of each party on its channel, that of party 1 first: all different, at most
    /// [`MAX_IDENTITY`](crate::protocol::key::MAX_IDENTITY) bytes each. Their number is the number
    /// of parties.
    pub identities: Vec<Vec<u8>>,
}

/// Key generation, refresh, reshare or import as a [`Protocol`]: its present round.
#[derive(Debug)]
pub struct Keygen<C: Curve = Secp256k1>(Round<C>);

#[derive(Debug)]
enum Round<C: Curve> {
    One(Box<round1::Round1<C>>),
    Two(Box<round2::Round2<C>>),
    Three(Box<round3::Round3<C>>),
    Four(round4::Round4<C>),
}

/// The result: every party has confirmed that its share is stored. The share itself was output
/// before, as a [`Persist::PendingShare`]; a dealer that leaves has none, and destroys its old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The epoch of the shares that may now be used.
    pub epoch: [u8; 32],
}

/// Takes part in a key generation.
///
/// `random` is 32 bytes of the operating system's randomness. `hedge` is a long-term secret of this
/// device, which keeps the share secret where `random` is known; empty if there is none. A fault at
/// `setup` if the parameters are out of range.
///
/// The share comes out before the end, as a [`Persist::PendingShare`]; nobody may use or fund the key
/// before `Done`.
///
/// ```
/// use std::time::{Duration, Instant};
/// use cosign_core::k256::Secp256k1;
/// # use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
/// use cosign_core::local::Local;
/// use cosign_core::{KeygenSetup, PartyId, Persist, Secret, keygen};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
///
/// let (instance, device_secret) = (random(), b"of a file of this device");
/// let mut machines = Vec::new();
/// for me in PartyId::all(3) {
///     let identities = vec![b"alice".to_vec(), b"bob".to_vec(), b"carol".to_vec()];
///     let setup = KeygenSetup { instance, threshold: 2, me, identities };
///     machines.push(keygen::<Secp256k1>(setup, &Secret::new(random()), device_secret, Duration::from_secs(30))?);
/// }
/// let outcomes = Local::start(machines, Instant::now()).run();
/// let mut keys = outcomes.values().flat_map(|outcome| &outcome.persisted).filter_map(|p| match p {
///     Persist::PendingShare(pending) => Some(pending.share.public_key_bytes()),
///     _ => None,
/// });
/// let first = keys.next().ok_or("no share")?;
/// assert_eq!(keys.collect::<Vec<_>>(), [first, first]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn keygen<C: Curve>(
    setup: KeygenSetup,
    random: &Secret<[u8; 32]>,
    hedge: &[u8],
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let session = keygen_session::<C>(&setup);
    let seed = SessionSeed::hedged(random, &session, setup.me.get(), hedge);
    keygen_with_seed(setup, seed, round_timeout)
}

/// As [`keygen`], with a given seed, to repeat known answers. A seed must never be used twice.
pub fn keygen_with_seed<C: Curve>(
    setup: KeygenSetup,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let session = keygen_session::<C>(&setup);
    let KeygenSetup { threshold, me, identities, .. } = setup;
    let valid = are_valid_sizes(threshold, identities.len())
        && usize::from(me.get()) <= identities.len()
        && are_valid_identities(&identities, identities.len());
    if !valid {
        return Err(Fault::nobody(Check::Params, "setup"));
    }
    let terms = Terms {
        threshold,
        count: identities.len() as u8,
        me,
        identities,
        session,
        source: Source::Drawn,
    };
    machine(Participant { terms, seed, own: None }, round_timeout)
}

/// Takes part in a refresh (§8.1); all parties of the key must.
///
/// `instance` is as in [`KeygenSetup`]. The old share stays valid until the new one is confirmed.
/// Retired pairs are allowed, since a refresh restores them.
///
/// ```
/// # use std::{fs, time::{Duration, Instant}};
/// # use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
/// # use cosign_core::{KeyShare, Persist, Secret, local::Local, refresh};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
/// # let old = |party| -> Result<KeyShare, Box<dyn std::error::Error>> {
/// #     Ok(KeyShare::from_bytes(&fs::read(format!("tests/support/shares/party-{party}"))?)?)
/// # };
/// let old = [old(1)?, old(2)?];
/// let instance = random();
/// let mut machines = Vec::new();
/// for share in &old {
///     machines.push(refresh(share, instance, &Secret::new(random()), Duration::from_secs(30))?);
/// }
/// for outcome in Local::start(machines, Instant::now()).run().into_values() {
///     let confirmed = outcome.result.ok_or("it did not end")??;
///     for persist in outcome.persisted {
///         let Persist::PendingShare(pending) = persist else { continue };
///         assert_eq!(pending.share.public_key_bytes(), old[0].public_key_bytes());
///         assert_eq!(pending.share.epoch(), &confirmed.epoch);
///         assert_ne!(pending.share.epoch(), old[0].epoch());
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn refresh<C: Curve>(
    share: &KeyShare<C>,
    instance: [u8; 32],
    random: &Secret<[u8; 32]>,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let secret =
        Secret::made(|bytes: &mut [u8; SCALAR]| *bytes = encode_scalar(share.secret.expose()));
    let session = refresh_session(share, &instance);
    let seed = SessionSeed::hedged(random, &session, share.me().get(), secret.expose());
    refresh_with_seed(share, instance, seed, round_timeout)
}

/// As [`refresh`], with a given seed, to repeat known answers. A seed must never be used twice.
pub fn refresh_with_seed<C: Curve>(
    share: &KeyShare<C>,
    instance: [u8; 32],
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let refreshed = Refreshed {
        point: *share.public_key(),
        shares: share.public_shares().to_vec(),
        chain_code: *share.chain_code(),
    };
    let terms = Terms {
        threshold: share.threshold(),
        count: share.count(),
        me: share.me(),
        identities: share.identities().to_vec(),
        session: refresh_session(share, &instance),
        source: Source::Zero(refreshed),
    };
    let own = Secret::made(|own: &mut Scalar<C>| *own = *share.secret.expose());
    machine(Participant { terms, seed, own: Some(own) }, round_timeout)
}

fn machine<C: Curve>(
    participant: Participant<C>,
    round_timeout: Duration,
) -> Result<Machine<Keygen<C>>, Fault> {
    let plan = participant.terms.plan();
    Ok(Machine::new(plan, round1::start(participant)?, round_timeout))
}

impl<C: Curve> Protocol for Keygen<C> {
    type Done = Confirmed;
    type Curve = C;

    fn session(&self) -> &[u8; 32] {
        match &self.0 {
            Round::One(round) => round.session(),
            Round::Two(round) => round.session(),
            Round::Three(round) => round.session(),
            Round::Four(round) => round.session(),
        }
    }

    fn arrived(&self, message: &Received<'_>) -> Option<Persist<C>> {
        match &self.0 {
            Round::Four(round) => round.arrived(message),
            Round::One(_) | Round::Two(_) | Round::Three(_) => None,
        }
    }

    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault> {
        match self.0 {
            Round::One(round) => (*round).finish(messages),
            Round::Two(round) => (*round).finish(messages),
            Round::Three(round) => (*round).finish(messages),
            Round::Four(round) => round.finish(messages),
        }
    }
}

/// The input of this participant: the agreed terms and its secrets, which are wiped when the last
/// thing is made from them, in round 2.
#[derive(Debug)]
struct Participant<C: Curve> {
    terms: Terms<C>,
    seed: SessionSeed,
    /// Its part of the key: the share that a refresh replaces, or what it deals in a reshare.
    own: Option<Secret<Scalar<C>>>,
}

/// The agreed terms, and this participant's index.
#[derive(Debug)]
struct Terms<C: Curve> {
    threshold: u8,
    /// How many parties the key has then: the first of the participants. Those above leave.
    count: u8,
    me: PartyId,
    /// Of all participants.
    identities: Vec<Vec<u8>>,
    /// `sid0`.
    session: [u8; 32],
    source: Source<C>,
}

/// Where the constant terms of the polynomials come from.
#[derive(Debug)]
enum Source<C: Curve> {
    /// Every participant draws one: a new key.
    Drawn,
    /// They are zero: the old shares remain below the new ones.
    Zero(Refreshed<C>),
    /// The dealers have parts of a key.
    Held(Held<C>),
}

/// The key whose shares a refresh replaces.
#[derive(Debug)]
struct Refreshed<C: Curve> {
    point: AffinePoint<C>,
    shares: Vec<AffinePoint<C>>,
    chain_code: [u8; 32],
}

/// A key of which the dealers have parts.
#[derive(Debug)]
struct Held<C: Curve> {
    point: AffinePoint<C>,
    chain_code: [u8; 32],
    /// The constant term of each dealer, times the generator.
    constants: BTreeMap<PartyId, AffinePoint<C>>,
}

impl<C: Curve> Terms<C> {
    fn peers(&self) -> impl Iterator<Item = PartyId> {
        // At most `MAX_PARTIES`, as checked at setup.
        peers(self.me, self.identities.len() as u8)
    }

    /// Whether `participant` is a party of the key then, and does not leave.
    fn receives(&self, participant: PartyId) -> bool {
        participant.get() <= self.count
    }

    /// The lowest power with a published coefficient: 1 in a refresh, whose constant term is zero.
    fn first_power(&self) -> u8 {
        u8::from(matches!(self.source, Source::Zero(_)))
    }

    /// The powers with a coefficient that `participant` publishes: none, unless it is a dealer.
    fn powers(&self, participant: PartyId) -> Range<u8> {
        match &self.source {
            Source::Held(held) if !held.constants.contains_key(&participant) => 0..0,
            _ => self.first_power()..self.threshold,
        }
    }

    /// The one that deals an import. In all else there are several dealers.
    fn only_dealer(&self) -> Option<PartyId> {
        let Source::Held(held) = &self.source else { return None };
        held.constants.keys().copied().next().filter(|_| held.constants.len() == 1)
    }

    /// The key and its chain code, unless they are new.
    fn kept(&self) -> Option<(&AffinePoint<C>, &[u8; 32])> {
        match &self.source {
            Source::Drawn => None,
            Source::Zero(old) => Some((&old.point, &old.chain_code)),
            Source::Held(old) => Some((&old.point, &old.chain_code)),
        }
    }

    fn plan(&self) -> Plan<C> {
        let peers: Vec<PartyId> = self.peers().collect();
        let (dealers, others) = peers.iter().partition(|peer| !self.powers(**peer).is_empty());
        let (parties, leaving): (Vec<_>, Vec<_>) = peers.iter().partition(|p| self.receives(**p));
        let broadcast = |kind, body, from| Expected::one(kind, body, true).from(from);
        // To a party of the key, and to nobody else.
        let private = |kind, body, from: &[PartyId]| {
            let from = if self.receives(self.me) { from.to_vec() } else { Vec::new() };
            Expected::one(kind, body, false).from(from)
        };
        let coefficients = (self.first_power()..self.threshold).len();
        Plan {
            ceremony: match self.source {
                Source::Drawn => Ceremony::Keygen,
                Source::Zero(_) => Ceremony::Refresh,
                Source::Held(_) => Ceremony::Reshare,
            },
            me: self.me,
            session: self.session,
            expected: vec![
                broadcast(Kind::Kg1, 64, peers.clone()),
                broadcast(Kind::Kg2b, coefficients * (POINT + PROOF) + 64, dealers),
                broadcast(Kind::Kg2b, 64, others),
                private(Kind::Kg2p, 64 + base::MESSAGE, &parties),
                private(Kind::Kg2p, SCALAR, &leaving),
                broadcast(Kind::Kg3b, 32 + POINT + 32 + PROOF, parties.clone()),
                private(Kind::Kg3p, base::MESSAGE + tree::MESSAGE, &parties),
                broadcast(Kind::Kg4b, 32, parties),
            ],
            peers,
            share: None,
        }
    }

    /// `bytes` as a message to every peer.
    fn to_all(&self, bytes: &[u8]) -> impl Iterator<Item = (PartyId, Secret<Vec<u8>>)> {
        self.peers().map(|peer| (peer, Secret::new(bytes.to_vec())))
    }
}

/// `sid0` of a key generation: the hash of the agreed input (§3.3).
fn keygen_session<C: Curve>(setup: &KeygenSetup) -> [u8; 32] {
    let KeygenSetup { instance, threshold, identities, .. } = setup;
    let count = u8::try_from(identities.len()).unwrap_or(u8::MAX);
    let dealers: Vec<u8> = (1..=count).collect();
    session::<C>(&tags::KEYGEN_SID0, instance, [*threshold, count], &dealers, &[], identities)
}

fn refresh_session<C: Curve>(share: &KeyShare<C>, instance: &[u8; 32]) -> [u8; 32] {
    let (sizes, old) = ([share.threshold(), share.count()], share.public_data());
    let dealers: Vec<u8> = (1..=share.count()).collect();
    session::<C>(&tags::REFRESH_SID0, instance, sizes, &dealers, &old, share.identities())
}

/// `sizes` are the threshold and the number of parties of the key then.
fn session<C: Curve>(
    tag: &Tag,
    instance: &[u8; 32],
    sizes: [u8; 2],
    dealers: &[u8],
    old: &[u8],
    identities: &[Vec<u8>],
) -> [u8; 32] {
    let [depth, choices @ ..] = parameters();
    let start = tag.start::<C>().part(instance).part(&sizes).part(dealers);
    let start = start.part(&[depth]).part(&choices).part(old);
    identities.iter().fold(start, |hash, identity| hash.part(identity)).finish()
}

/// The session id of the base transfers in which `receiver` receives.
fn transfer_session<C: Curve>(session: &[u8; 32], receiver: PartyId, sender: PartyId) -> [u8; 32] {
    tags::BASEOT_SID.hash::<C>(&[session, &[receiver.get(), sender.get()]])
}

/// A state that is believed to be impossible, while sending `kind`.
fn bug(kind: Kind) -> Fault {
    Fault::nobody(Check::Bug, kind.name())
}

/// The images of a dealer's coefficients from the constant term on, with the identity for zero.
fn from_constant<C: Curve>(
    terms: &Terms<C>,
    published: impl IntoIterator<Item = ProjectivePoint<C>>,
) -> Vec<ProjectivePoint<C>> {
    let zeros =
        std::iter::repeat_n(ProjectivePoint::<C>::identity(), usize::from(terms.first_power()));
    zeros.chain(published).collect()
}
