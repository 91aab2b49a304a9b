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

use std::sync::Arc;
use std::time::Duration;

use k256::elliptic_curve::ops::MulByGenerator;
use k256::{AffinePoint, ProjectivePoint, Scalar};

use crate::crypto::curve::{POINT, encode_point, encode_scalar};
pub use crate::crypto::ecdsa::Signature;
use crate::crypto::ot::extension;
use crate::crypto::seed::SessionSeed;
use crate::crypto::{mul, tags};
use crate::party::PartyId;
use crate::protocol::event::Ceremony;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{KeyShare, Pair};
use crate::protocol::machine::{Expected, Gathered, Machine, Plan, Protocol, Step};
use crate::protocol::wire::Kind;
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
/// # let share = Arc::new(KeyShare::from_bytes(&fs::read("tests/support/shares/party-1")?)?);
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
pub struct SignSetup {
    /// Exactly `threshold` parties, in strictly ascending order.
    pub signers: Vec<PartyId>,
    /// 32 bytes, fresh for every signature and equal on all signers.
    pub sign_id: [u8; 32],
    /// The digest, which this device computed itself or showed to a person.
    pub digest: [u8; 32],
    /// The summand of BIP-32 derivation (§3.7); zero for the key itself.
    pub tweak: Scalar,
    /// Who receives the signature; `None` for all signers.
    pub recipient: Option<PartyId>,
}

/// Signing as a [`Protocol`]: its present round.
#[derive(Debug)]
pub struct Signing(Round);

#[derive(Debug)]
enum Round {
    One(Box<round1::Round1>),
    Two(Box<round2::Round2>),
    Three(Box<round3::Round3>),
}

/// The result of signing for this party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// This party receives the signature.
    Signature(Signature),
    /// Another party receives it; this party's part is sent.
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
/// # use cosign_core::{KeyShare, PartyId, Secret, SignSetup, Signed, ecdsa, k256::Scalar, local::Local, sign};
/// # fn random() -> [u8; 32] {
/// #     let mut bytes = [0; 32];
/// #     OsRng.fill_bytes(&mut bytes);
/// #     bytes
/// # }
/// # let stored = |party| fs::read(format!("tests/support/shares/party-{party}"));
/// let shares = [1, 2].map(|party| Ok::<_, Box<dyn std::error::Error>>(KeyShare::from_bytes(&stored(party)?)?));
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
///     assert!(ecdsa::verify(&signature.public_key, &setup.digest, &signature.r, &signature.s));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign(
    share: Arc<KeyShare>,
    setup: SignSetup,
    random: &Secret<[u8; 32]>,
    round_timeout: Duration,
) -> Result<Machine<Signing>, Fault> {
    let terms = Terms::new(share, setup)?;
    let secret = Secret::new(encode_scalar(terms.share.secret.expose()));
    let me = terms.share.me().get();
    let seed = SessionSeed::hedged(random, &terms.session, me, secret.expose());
    machine(Signer { terms, seed }, round_timeout)
}

/// As [`sign`], with a given seed, to repeat known answers. A seed must never be used twice: two
/// signatures with one seed reveal the share.
pub fn sign_with_seed(
    share: Arc<KeyShare>,
    setup: SignSetup,
    seed: SessionSeed,
    round_timeout: Duration,
) -> Result<Machine<Signing>, Fault> {
    let terms = Terms::new(share, setup)?;
    machine(Signer { terms, seed }, round_timeout)
}

fn machine(signer: Signer, round_timeout: Duration) -> Result<Machine<Signing>, Fault> {
    let plan = signer.terms.plan();
    Ok(Machine::new(plan, round1::start(signer)?, round_timeout))
}

impl Protocol for Signing {
    type Done = Signed;

    fn session(&self) -> &[u8; 32] {
        match &self.0 {
            Round::One(round) => round.session(),
            Round::Two(round) => round.session(),
            Round::Three(round) => round.session(),
        }
    }

    fn checks_transfers(&self) -> bool {
        matches!(self.0, Round::One(_))
    }

    fn advance(self, messages: &Gathered) -> Result<Step<Self>, Fault> {
        match self.0 {
            Round::One(round) => round.finish(messages),
            Round::Two(round) => round.finish(messages),
            Round::Three(round) => round.finish(messages),
        }
    }
}

/// This party's input: the agreed terms and its own randomness.
#[derive(Debug)]
struct Signer {
    terms: Terms,
    seed: SessionSeed,
}

/// The agreed terms, and this party's share.
#[derive(Debug)]
struct Terms {
    share: Arc<KeyShare>,
    setup: SignSetup,
    /// `Q' = Q + tweak G`.
    public_key: AffinePoint,
    /// `sid_sign`.
    session: [u8; 32],
}

impl Terms {
    /// §7.1: refuses invalid parameters and retired pairs.
    fn new(share: Arc<KeyShare>, setup: SignSetup) -> Result<Self, Fault> {
        let invalid = Fault::nobody(Check::Params, "setup");
        let SignSetup { signers, recipient, .. } = &setup;
        let ascending = signers.is_sorted_by(|a, b| a < b);
        let known = signers.iter().all(|party| party.get() <= share.count());
        if !ascending
            || !known
            || signers.len() != usize::from(share.threshold())
            || !signers.contains(&share.me())
            || recipient.is_some_and(|recipient| !signers.contains(&recipient))
        {
            return Err(invalid);
        }
        let public_key = tweaked(share.public_key(), &setup.tweak);
        let encoded = encode_point(&public_key).ok_or(invalid)?;
        let session = session(&share, &setup, &encoded);
        let terms = Self { share, setup, public_key, session };
        terms.check_pairs("setup")?;
        Ok(terms)
    }

    fn me(&self) -> PartyId {
        self.share.me()
    }

    /// The other signers, in index order.
    fn peers(&self) -> impl Iterator<Item = PartyId> {
        self.setup.signers.iter().copied().filter(|party| *party != self.me())
    }

    /// Whether this party receives the signature.
    fn receives(&self) -> bool {
        self.setup.recipient.is_none_or(|recipient| recipient == self.me())
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

    /// `pair_session` of the ordered pair in which `bob` masks with `nonce`.
    fn pair_session(&self, alice: PartyId, bob: PartyId, nonce: &[u8; 32]) -> [u8; 32] {
        tags::SIGN_PAIR.hash(&[&self.session, &[alice.get(), bob.get()], nonce])
    }

    fn plan(&self) -> Plan {
        let expected = |kind, body| Expected { kind, body, broadcast: false };
        let mut all = vec![
            expected(Kind::Sg1, 64 + extension::MESSAGE),
            expected(Kind::Sg2, 32 + 4 * POINT + 2 * 32 + mul::MESSAGE),
        ];
        if self.receives() {
            let broadcast = self.setup.recipient.is_none();
            all.push(Expected { kind: Kind::Sg3, body: POINT + 2 * 32, broadcast });
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

/// `Q + tweak G`. The tweak is public, so zero is handled separately.
fn tweaked(public_key: &AffinePoint, tweak: &Scalar) -> AffinePoint {
    if *tweak == Scalar::ZERO {
        return *public_key;
    }
    (ProjectivePoint::mul_by_generator(tweak) + public_key).to_affine()
}

/// `sid_sign` (§7.1).
fn session(share: &KeyShare, setup: &SignSetup, public_key: &[u8; POINT]) -> [u8; 32] {
    let signers: Vec<u8> = setup.signers.iter().map(|party| party.get()).collect();
    let recipient = setup.recipient.map_or(0, PartyId::get);
    tags::SIGN_SID.hash(&[
        share.epoch(),
        &[0],
        &setup.sign_id,
        &signers,
        public_key,
        &encode_scalar(&setup.tweak),
        &setup.digest,
        &[recipient],
    ])
}
