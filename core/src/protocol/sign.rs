//! Signing (docs/protocol.md §7): three rounds in which exactly `t` parties make one ECDSA
//! signature.
//!
//! | round | to each signer | then has |
//! |---|---|---|
//! | `round1` | SG1: commitment to a nonce point, transfer extension | everybody's commitment |
//! | `round2` | SG2: opening, multiplication | the joint nonce point |
//! | `round3` | SG3: partial signature, to whoever receives the signature | the signature |
//!
//! Digest, signers, derivation, epoch and recipient are in the session id, so parties that were
//! asked to sign different things stop before any secret is touched.
//!
//! The rounds sign a list of digests (§7.9). A single signature is a list of one with message types,
//! a session id and labels of its own ([`Form`]).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use k256::Secp256k1;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::Curve as _;

use crate::crypto::curve::{AffinePoint, Curve, POINT, Scalar, encode_point, encode_scalar};
pub use crate::crypto::ecdsa::Signature;
use crate::crypto::seed::SessionSeed;
use crate::crypto::tags;
use crate::party::PartyId;
use crate::protocol::event::Ceremony;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{KeyShare, Pair};
use crate::protocol::machine::{Expected, Gathered, Machine, Messages, Plan, Protocol, Step};
use crate::protocol::wire::{Kind, MAX_BATCH, MIN_BATCH};
use crate::secret::Secret;

mod round1;
mod round2;
mod round3;

/// The input that the signers agree on.
///
/// All of it is in the session id, so parties that were asked to sign different things, or under
/// different ids, stop before a secret is touched. `sign_id` is made once, from a contribution of
/// every signer, and must be recorded as spent before a machine is made with it.
///
/// ```
/// # use std::{fs, sync::Arc, time::Duration};
/// # use cosign_core::{Fault, KeyShare, PartyId, Secret, SignSetup, k256::Scalar, sign};
/// # let share = Arc::new(KeyShare::<cosign_core::k256::Secp256k1>::from_bytes(&fs::read("tests/support/shares/party-1")?)?);
/// # let setup = SignSetup {
/// #     signers: PartyId::all(2).collect(),
/// #     sign_id: [7; 32],
/// #     digest: [1; 32],
/// #     tweak: Scalar::ZERO,
/// #     recipient: None,
/// # };
/// # let random = || Secret::new([3; 32]);
/// let session = |setup: &SignSetup| {
///     let machine = sign(Arc::clone(&share), setup.clone(), &random(), Duration::from_secs(30))?;
///     Ok::<_, Fault>(*machine.session_id())
/// };
/// let fresh = SignSetup { sign_id: [8; 32], ..setup.clone() };
/// assert_eq!(session(&setup)?, session(&setup)?);
/// assert_ne!(session(&setup)?, session(&fresh)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignSetup<C: Curve = Secp256k1> {
    /// Exactly `threshold` parties, in strictly ascending order.
    pub signers: Vec<PartyId>,
    /// 32 bytes, fresh for every signature and equal on all signers.
    pub sign_id: [u8; 32],
    /// The digest, which this device computed itself or showed to a person.
    pub digest: [u8; 32],
    /// The summand of BIP-32 derivation (§3.7); zero for the key itself.
    pub tweak: Scalar<C>,
    /// Who receives the signature; `None` for all signers.
    pub recipient: Option<PartyId>,
}

/// One of the digests that are signed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem<C: Curve = Secp256k1> {
    /// The digest, which this device computed itself or showed to a person.
    pub digest: [u8; 32],
    /// The summand of BIP-32 derivation (§3.7); zero for the key itself.
    pub tweak: Scalar<C>,
}

/// The input that the signers of several digests agree on: as [`SignSetup`], with a list.
///
/// The list is in the session id in its order, so one agreement covers all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSetup<C: Curve = Secp256k1> {
    /// Exactly `threshold` parties, in strictly ascending order.
    pub signers: Vec<PartyId>,
    /// 32 bytes, fresh for every batch and equal on all signers.
    pub sign_id: [u8; 32],
    /// 2 to 256 digests.
    pub items: Vec<BatchItem<C>>,
    /// Who receives the signatures; `None` for all signers.
    pub recipient: Option<PartyId>,
}

/// Signing as a [`Protocol`]: its present round.
#[derive(Debug)]
pub struct Signing<C: Curve = Secp256k1>(Round<C>);

/// Signing several digests as a [`Protocol`]: its present round.
#[derive(Debug)]
pub struct BatchSigning<C: Curve = Secp256k1>(Round<C>);

/// The present round, for any number of digests.
#[derive(Debug)]
enum Round<C: Curve> {
    One(Box<round1::Round1<C>>),
    Two(Box<round2::Round2<C>>),
    Three(Box<round3::Round3<C>>),
}

/// The result of signing for this party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed<C: Curve = Secp256k1> {
    /// This party receives the signature.
    Signature(Signature<C>),
    /// Another party receives it; this party's part is sent.
    Delivered,
}

/// The result of signing several digests for this party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSigned<C: Curve = Secp256k1> {
    /// This party receives the signatures: one for each digest, in their order, all of which verify.
    Signatures(Vec<Signature<C>>),
    /// Another party receives them; this party's part is sent.
    Delivered,
}

/// Takes part in a signature.
///
/// `random` is 32 bytes of the operating system's randomness. A fault at `setup` if the parameters
/// are out of range or a pair with one of the signers is retired.
///
/// ```
/// # use std::{fs, sync::Arc, time::{Duration, Instant}};
/// # use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
/// # use cosign_core::{KeyShare, PartyId, Secret, SignSetup, Signed, ecdsa, k256::{Scalar, Secp256k1}, local::Local, sign};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
/// # let stored = |party| fs::read(format!("tests/support/shares/party-{party}"));
/// let shares = [1, 2].map(|party| Ok::<KeyShare, Box<dyn std::error::Error>>(KeyShare::from_bytes(&stored(party)?)?));
/// let setup = SignSetup {
///     signers: PartyId::all(2).collect(),
///     sign_id: random(),
///     digest: [0xd1; 32],
///     tweak: Scalar::ZERO,
///     recipient: None,
/// };
/// let mut machines = Vec::new();
/// for share in shares {
///     machines.push(sign(Arc::new(share?), setup.clone(), &Secret::new(random()), Duration::from_secs(30))?);
/// }
/// for outcome in Local::start(machines, Instant::now()).run().into_values() {
///     let Signed::Signature(signature) = outcome.result.ok_or("it did not end")?? else { panic!() };
///     assert!(ecdsa::verify::<Secp256k1>(&signature.public_key, &setup.digest, &signature.r, &signature.s));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign<C: Curve>(
    share: Arc<KeyShare<C>>,
    setup: SignSetup<C>,
    random: &Secret<[u8; 32]>,
    round_timeout: Duration,
) -> Result<Machine<Signing<C>>, Fault> {
    let terms = Terms::single(share, setup)?;
    let seed = terms.hedged(random);
    machine(Signer { terms, seed }, round_timeout, Signing)
}

/// As [`sign`], with a given seed, to repeat known answers. A seed must never be used twice: two
/// signatures with one seed reveal the share.
pub fn sign_with_seed<C: Curve>(
    share: Arc<KeyShare<C>>,
    setup: SignSetup<C>,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Signing<C>>, Fault> {
    let terms = Terms::single(share, setup)?;
    machine(Signer { terms, seed }, round_timeout, Signing)
}

/// Takes part in 2 to 256 signatures at once: all of them are made, or none.
///
/// As [`sign`]. The products of round 2 (40 kB for each digest and signer) are made one by one, as the
/// machine is polled, so a driver that waits before it polls never holds more than one of its own.
///
/// ```
/// # use std::{fs, sync::Arc, time::{Duration, Instant}};
/// # use cosign_core::k256::elliptic_curve::rand_core::{OsRng, RngCore};
/// # use cosign_core::{BatchItem, BatchSetup, BatchSigned, KeyShare, PartyId, Secret, ecdsa, k256::{Scalar, Secp256k1}, local::Local, sign_batch};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
/// # let stored = |party| fs::read(format!("tests/support/shares/party-{party}"));
/// let shares = [1, 2].map(|party| Ok::<KeyShare, Box<dyn std::error::Error>>(KeyShare::from_bytes(&stored(party)?)?));
/// let items = [[0xd1; 32], [0xd2; 32]].map(|digest| BatchItem { digest, tweak: Scalar::ZERO });
/// let setup = BatchSetup {
///     signers: PartyId::all(2).collect(),
///     sign_id: random(),
///     items: items.to_vec(),
///     recipient: None,
/// };
/// let mut machines = Vec::new();
/// for share in shares {
///     machines.push(sign_batch(Arc::new(share?), setup.clone(), &Secret::new(random()), Duration::from_secs(30))?);
/// }
/// for outcome in Local::start(machines, Instant::now()).run().into_values() {
///     let BatchSigned::Signatures(signatures) = outcome.result.ok_or("it did not end")?? else { panic!() };
///     for (item, signature) in items.iter().zip(&signatures) {
///         assert!(ecdsa::verify::<Secp256k1>(&signature.public_key, &item.digest, &signature.r, &signature.s));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign_batch<C: Curve>(
    share: Arc<KeyShare<C>>,
    setup: BatchSetup<C>,
    random: &Secret<[u8; 32]>,
    round_timeout: Duration,
) -> Result<Machine<BatchSigning<C>>, Fault> {
    let terms = Terms::batch(share, setup)?;
    let seed = terms.hedged(random);
    machine(Signer { terms, seed }, round_timeout, BatchSigning)
}

/// As [`sign_batch`], with a given seed, of which the same must be said as of that of
/// [`sign_with_seed`].
pub fn sign_batch_with_seed<C: Curve>(
    share: Arc<KeyShare<C>>,
    setup: BatchSetup<C>,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<BatchSigning<C>>, Fault> {
    let terms = Terms::batch(share, setup)?;
    machine(Signer { terms, seed }, round_timeout, BatchSigning)
}

fn machine<C: Curve, P: Protocol<Curve = C>>(
    signer: Signer<C>,
    round_timeout: Duration,
    form: fn(Round<C>) -> P,
) -> Result<Machine<P>, Fault> {
    let plan = signer.terms.plan();
    let (round, messages) = round1::start(signer)?;
    Ok(Machine::new(plan, Step::round(form(round), messages), round_timeout))
}

impl<C: Curve> Protocol for Signing<C> {
    type Done = Signed<C>;
    type Curve = C;

    fn session(&self) -> &[u8; 32] {
        self.0.session()
    }

    fn checks_transfers(&self) -> bool {
        self.0.checks_transfers()
    }

    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault> {
        let one = |signatures: Vec<Signature<C>>| signatures.first().copied();
        let done = |signatures: Option<_>| {
            signatures.and_then(one).map_or(Signed::Delivered, Signed::Signature)
        };
        Ok(self.0.advance(messages)?.map(Self, done))
    }
}

impl<C: Curve> Protocol for BatchSigning<C> {
    type Done = BatchSigned<C>;
    type Curve = C;

    fn session(&self) -> &[u8; 32] {
        self.0.session()
    }

    fn checks_transfers(&self) -> bool {
        self.0.checks_transfers()
    }

    fn has_more(&self) -> bool {
        self.0.has_more()
    }

    fn more(&mut self) -> Result<Messages, Fault> {
        self.0.more()
    }

    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault> {
        let done = |signatures: Option<_>| {
            signatures.map_or(BatchSigned::Delivered, BatchSigned::Signatures)
        };
        Ok(self.0.advance(messages)?.map(Self, done))
    }
}

impl<C: Curve> Protocol for Round<C> {
    /// `None` if another party receives the signatures.
    type Done = Option<Vec<Signature<C>>>;
    type Curve = C;

    fn session(&self) -> &[u8; 32] {
        match self {
            Self::One(round) => round.session(),
            Self::Two(round) => round.session(),
            Self::Three(round) => round.session(),
        }
    }

    fn checks_transfers(&self) -> bool {
        matches!(self, Self::One(_))
    }

    fn has_more(&self) -> bool {
        matches!(self, Self::Two(round) if round.has_more())
    }

    fn more(&mut self) -> Result<Messages, Fault> {
        match self {
            Self::Two(round) => round.more(),
            Self::One(_) | Self::Three(_) => Ok(Vec::new()),
        }
    }

    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault> {
        match self {
            Self::One(round) => round.finish(messages),
            Self::Two(round) => round.finish(messages),
            Self::Three(round) => (*round).finish(messages),
        }
    }
}

/// This party's input: the agreed terms and its own randomness.
#[derive(Debug)]
struct Signer<C: Curve> {
    terms: Terms<C>,
    seed: SessionSeed,
}

/// The agreed terms, and this party's share.
#[derive(Debug)]
struct Terms<C: Curve> {
    share: Arc<KeyShare<C>>,
    signers: Vec<PartyId>,
    recipient: Option<PartyId>,
    form: Form,
    /// `sid_sign` or `sid_batch`.
    session: [u8; 32],
    /// One, or as many as the batch has.
    items: Vec<Item<C>>,
}

/// One digest, and everything that follows from it.
#[derive(Debug)]
struct Item<C: Curve> {
    digest: [u8; 32],
    tweak: Scalar<C>,
    /// `Q' = Q + tweak G`.
    public_key: AffinePoint<C>,
    /// The id in the sessions of its pairs: `sid_sign` or `item_l`.
    session: [u8; 32],
    /// `BE16(l)`, in a batch.
    number: Option<[u8; 2]>,
}

/// The differences between a single signature and a batch, besides the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Single,
    Batch,
}

impl Form {
    fn commitment(self) -> Kind {
        match self {
            Self::Single => Kind::Sg1,
            Self::Batch => Kind::Sb1,
        }
    }

    fn opening(self) -> Kind {
        match self {
            Self::Single => Kind::Sg2,
            Self::Batch => Kind::Sb2,
        }
    }

    fn partial(self) -> Kind {
        match self {
            Self::Single => Kind::Sg3,
            Self::Batch => Kind::Sb3,
        }
    }
}

impl<C: Curve> Item<C> {
    /// The label of this item's randomness called `name`.
    fn label(&self, name: &'static str) -> Cow<'static, str> {
        match self.number {
            None => name.into(),
            Some(number) => format!("{name}/{}", u16::from_be_bytes(number)).into(),
        }
    }

    /// As [`label`](Self::label), of randomness towards one peer.
    fn label_towards(&self, name: &'static str, peer: PartyId) -> String {
        format!("{}/{peer}", self.label(name))
    }

    /// `pair_session` of the ordered pair in which `bob` masks with `nonce`.
    fn pair_session(&self, alice: PartyId, bob: PartyId, nonce: &[u8; 32]) -> [u8; 32] {
        tags::SIGN_PAIR.hash::<C>(&[&self.session, &[alice.get(), bob.get()], nonce])
    }
}

impl<C: Curve> Terms<C> {
    /// §7.1: refuses invalid parameters and retired pairs.
    fn single(share: Arc<KeyShare<C>>, setup: SignSetup<C>) -> Result<Self, Fault> {
        check_signers(&share, &setup.signers, setup.recipient)?;
        let (public_key, encoded) = tweaked::<C>(share.public_key(), &setup.tweak)?;
        let session = session(&share, &setup, &encoded);
        let SignSetup { signers, digest, tweak, recipient, .. } = setup;
        let item = Item { digest, tweak, public_key, session, number: None };
        Self { share, signers, recipient, form: Form::Single, session, items: vec![item] }.checked()
    }

    /// §7.9: as [`single`](Self::single), of a list.
    fn batch(share: Arc<KeyShare<C>>, setup: BatchSetup<C>) -> Result<Self, Fault> {
        check_signers(&share, &setup.signers, setup.recipient)?;
        let BatchSetup { signers, sign_id, items, recipient } = setup;
        if !(MIN_BATCH..=MAX_BATCH).contains(&items.len()) {
            return Err(invalid());
        }
        let keys = items.iter().map(|item| tweaked::<C>(share.public_key(), &item.tweak));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let mut hash = tags::BATCH_SID
            .start::<C>()
            .part(share.epoch())
            .part(&[0])
            .part(&sign_id)
            .part(&indices(&signers))
            .part(&[recipient.map_or(0, PartyId::get)])
            .part(&number(items.len()));
        for (item, (_, key)) in items.iter().zip(&keys) {
            hash = hash.part(key).part(&encode_scalar(&item.tweak)).part(&item.digest);
        }
        let session = hash.finish();
        let item = |(l, (BatchItem { digest, tweak }, (public_key, _)))| {
            let number = number(l);
            let session = tags::BATCH_ITEM.hash::<C>(&[&session, &number]);
            Item { digest, tweak, public_key, session, number: Some(number) }
        };
        let items = items.into_iter().zip(keys).enumerate().map(item).collect();
        Self { share, signers, recipient, form: Form::Batch, session, items }.checked()
    }

    fn checked(self) -> Result<Self, Fault> {
        if !self.share.can_sign() {
            return Err(invalid());
        }
        self.check_pairs("setup")?;
        Ok(self)
    }

    fn hedged(&self, random: &Secret<[u8; 32]>) -> SessionSeed {
        let secret = Secret::new(encode_scalar(self.share.secret.expose()));
        SessionSeed::hedged(random, &self.session, self.me().get(), secret.expose())
    }

    fn me(&self) -> PartyId {
        self.share.me()
    }

    /// The other signers, in index order.
    fn peers(&self) -> impl Iterator<Item = PartyId> {
        self.signers.iter().copied().filter(|party| *party != self.me())
    }

    /// Whether this party receives the signatures.
    fn receives(&self) -> bool {
        self.recipient.is_none_or(|recipient| recipient == self.me())
    }

    fn check_pairs(&self, at: &'static str) -> Result<(), Fault> {
        self.peers().try_for_each(|peer| self.check_pair(peer, at))
    }

    /// §5.4 rule 3: a pair that was retired meanwhile ends this session too.
    fn check_pair(&self, peer: PartyId, at: &'static str) -> Result<(), Fault> {
        match self.share.retired(peer) {
            None => Ok(()),
            Some(_) => Err(Fault::by(peer, Check::PairRetired, at)),
        }
    }

    /// The data of the share for `peer`, a party of the key.
    fn pair(&self, peer: PartyId, at: Kind) -> Result<&Pair, Fault> {
        self.share.pair(peer).ok_or(Fault::nobody(Check::Bug, at.name()))
    }

    fn plan(&self) -> Plan<C> {
        let count = self.items.len();
        let expected = |kind: Kind, broadcast| Expected::one(kind, kind.length(count), broadcast);
        let mut all =
            vec![expected(self.form.commitment(), false), expected(self.form.opening(), false)];
        if self.form == Form::Batch {
            // At most 256, so the number of items fits.
            all.push(Expected { count: count as u16, ..expected(Kind::Sb2r, false) });
        }
        if self.receives() {
            all.push(expected(self.form.partial(), self.recipient.is_none()));
        }
        Plan {
            ceremony: Ceremony::Sign,
            me: self.me(),
            peers: self.peers().collect(),
            session: self.session,
            expected: all,
            share: Some(Arc::clone(&self.share)),
        }
    }
}

fn invalid() -> Fault {
    Fault::nobody(Check::Params, "setup")
}

fn check_signers<C: Curve>(
    share: &KeyShare<C>,
    signers: &[PartyId],
    recipient: Option<PartyId>,
) -> Result<(), Fault> {
    let ascending = signers.is_sorted_by(|a, b| a < b);
    let known = signers.iter().all(|party| party.get() <= share.count());
    if !ascending
        || !known
        || signers.len() != usize::from(share.threshold())
        || !signers.contains(&share.me())
        || recipient.is_some_and(|recipient| !signers.contains(&recipient))
    {
        return Err(invalid());
    }
    Ok(())
}

/// `Q + tweak G`, and its encoding. The tweak is public, so zero is handled separately.
fn tweaked<C: Curve>(
    public_key: &AffinePoint<C>,
    tweak: &Scalar<C>,
) -> Result<(AffinePoint<C>, [u8; POINT]), Fault> {
    let key = if *tweak == Scalar::<C>::ZERO {
        *public_key
    } else if !C::DERIVES {
        return Err(invalid());
    } else {
        (C::of_generator(tweak) + public_key).to_affine()
    };
    Ok((key, encode_point(&key).ok_or(invalid())?))
}

/// `BE16` of a count or a number of items.
fn number(count: usize) -> [u8; 2] {
    (count as u16).to_be_bytes()
}

fn indices(parties: &[PartyId]) -> Vec<u8> {
    parties.iter().map(|party| party.get()).collect()
}

/// `sid_sign` (§7.1).
fn session<C: Curve>(
    share: &KeyShare<C>,
    setup: &SignSetup<C>,
    public_key: &[u8; POINT],
) -> [u8; 32] {
    let recipient = setup.recipient.map_or(0, PartyId::get);
    tags::SIGN_SID.hash::<C>(&[
        share.epoch(),
        &[0],
        &setup.sign_id,
        &indices(&setup.signers),
        public_key,
        &encode_scalar(&setup.tweak),
        &setup.digest,
        &[recipient],
    ])
}
