//! A party's share of a key in memory and in storage (docs/protocol.md §3.6), and the confirmation
//! that turns a stored share into a key (§3.4 round 4, §8.5).
//!
//! A [`KeyShare`] cannot be cloned: the retirement of a pair (§5.4) belongs to the epoch and the
//! pair, and two objects could disagree about it. Concurrent sessions share one object.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k256::Secp256k1;

use crate::crypto::curve::{
    AffinePoint, Curve, POINT, ProjectivePoint, Scalar, decode_point, decode_scalar, encode_point,
    encode_scalar,
};
use crate::crypto::ot::extension::CheckFailed;
use crate::crypto::ot::tree::{ReceiverTrees, SenderTrees};
use crate::crypto::ot::{CHOICES, DEPTH};
use crate::crypto::share::lagrange;
use crate::crypto::tags;
use crate::crypto::transcript::length_prefixed;
use crate::party::{MAX_PARTIES, PartyId};
use crate::protocol::fault::Check;
use crate::secret::Secret;
use k256::elliptic_curve::consts::{U32, U33};
use k256::elliptic_curve::generic_array::GenericArray;
use k256::elliptic_curve::group::GroupEncoding;
use k256::elliptic_curve::group::prime::PrimeCurveAffine;
use k256::elliptic_curve::point::AffineCoordinates;

/// The most bytes of a party's identity.
pub const MAX_IDENTITY: usize = 255;

/// The least parties that a threshold may ask for.
pub const MIN_THRESHOLD: u8 = 2;

/// One party's share of a key. By construction the secret fits the public shares, and these fit the
/// key.
pub struct KeyShare<C: Curve = Secp256k1> {
    public: PublicKey<C>,
    me: PartyId,
    pub(crate) secret: Secret<Scalar<C>>,
    /// None in a share from a backup.
    pairs: Vec<Pair>,
}

/// The public data of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PublicKey<C: Curve> {
    pub(crate) threshold: u8,
    pub(crate) epoch: [u8; 32],
    pub(crate) point: AffinePoint<C>,
    /// That of party 1 first.
    pub(crate) shares: Vec<AffinePoint<C>>,
    pub(crate) chain_code: [u8; 32],
    /// That of party 1 first.
    pub(crate) identities: Vec<Vec<u8>>,
}

/// The data of a share for one peer: both correlations of §1.2 and the seed of the zero shares.
pub(crate) struct Pair {
    pub(crate) zero_seed: Secret<[u8; 32]>,
    /// For the pair in which the peer is A and this party B.
    pub(crate) as_sender: SenderTrees,
    /// For the pair in which this party is A and the peer B.
    pub(crate) as_receiver: ReceiverTrees,
    pub(crate) status: Status,
}

/// Whether a pair was retired, and by which check. Locked while a transfer check is evaluated.
#[derive(Default)]
pub(crate) struct Status(Mutex<Option<Check>>);

impl Status {
    fn lock(&self) -> MutexGuard<'_, Option<Check>> {
        // An `Option<Check>` is written in one step, so it is whole even if a holder of the lock
        // panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes or values that do not form a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidShare;

impl fmt::Display for InvalidShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid key share")
    }
}

impl std::error::Error for InvalidShare {}

impl<C: Curve> KeyShare<C> {
    /// A share of these parts, if they are consistent. `pairs` are in index order, without `me`.
    pub(crate) fn new(
        public: PublicKey<C>,
        me: PartyId,
        secret: Secret<Scalar<C>>,
        pairs: Vec<Pair>,
    ) -> Result<Self, InvalidShare> {
        let count = public.count();
        let own = public.share_of(me).ok_or(InvalidShare)?;
        let fits = C::of_generator(secret.expose()) == ProjectivePoint::<C>::from(own);
        let paired = pairs.is_empty() || pairs.len() == usize::from(count) - 1;
        if !fits || !paired || !public.is_consistent() {
            return Err(InvalidShare);
        }
        Ok(Self { public, me, secret, pairs })
    }

    /// Whether it has what is needed to sign with the other parties. A share from a backup has not, and
    /// is good for a refresh or a reshare alone: nobody knows which transfers it had spent.
    pub fn can_sign(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// How many parties must sign.
    pub fn threshold(&self) -> u8 {
        self.public.threshold
    }

    /// How many parties there are.
    pub fn count(&self) -> u8 {
        self.public.count()
    }

    /// The party whose share this is.
    pub fn me(&self) -> PartyId {
        self.me
    }

    /// The id of this generation of shares; a refresh changes it.
    pub fn epoch(&self) -> &[u8; 32] {
        &self.public.epoch
    }

    /// The key.
    pub fn public_key(&self) -> &AffinePoint<C> {
        &self.public.point
    }

    /// The key as a compressed SEC1 point.
    pub fn public_key_bytes(&self) -> [u8; POINT] {
        encoded(&self.public.point)
    }

    /// The BIP-32 chain code.
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.public.chain_code
    }

    /// Every party's public share, that of party 1 first.
    pub fn public_shares(&self) -> &[AffinePoint<C>] {
        &self.public.shares
    }

    /// Every party's identity, that of party 1 first.
    pub fn identities(&self) -> &[Vec<u8>] {
        &self.public.identities
    }

    /// The secret share `y_i`. `threshold` of these give the private key.
    #[cfg(feature = "hazmat")]
    pub fn secret(&self) -> &Secret<Scalar<C>> {
        &self.secret
    }

    /// The data of the key that all parties must agree on: `LP([t, n], epoch, Q, cc, Y_1, .., Y_n)`
    /// (§8.1).
    pub fn public_data(&self) -> Vec<u8> {
        let PublicKey { threshold, epoch, point, shares, chain_code, .. } = &self.public;
        public_data::<C>(*threshold, epoch, point, chain_code, shares)
    }

    /// 32 bytes that only this party and `peer` know, not even the key's other parties. The two
    /// find each other by them. A refresh changes them.
    pub fn meeting_secret(&self, peer: PartyId) -> Option<Secret<[u8; 32]>> {
        let seed = &self.pair(peer)?.zero_seed;
        Some(Secret::new(tags::MEETING_SECRET.hash(&[seed.expose(), self.epoch()])))
    }

    /// Retires the pair with `peer` in memory: no session of this share uses it again. A reason
    /// that is set already stays.
    pub fn retire(&self, peer: PartyId, check: Check) {
        if let Some(pair) = self.pair(peer) {
            pair.status.lock().get_or_insert(check);
        }
    }

    /// The check by which the pair with `peer` was retired, if it was.
    pub fn retired(&self, peer: PartyId) -> Option<Check> {
        self.pair(peer).and_then(|pair| *pair.status.lock())
    }

    /// Evaluates a transfer check of the pair with `peer`, which retires the pair if it fails.
    ///
    /// The checks of a pair run one after the other, and none runs after a failed one (§5.4 rule
    /// 4): however many sessions a dishonest peer opens, it learns the outcome of one wrong guess.
    pub(crate) fn evaluate<T>(
        &self,
        peer: PartyId,
        check: impl FnOnce(&ReceiverTrees) -> Result<T, CheckFailed>,
    ) -> Result<T, Check> {
        let pair = self.pair(peer).ok_or(Check::Bug)?;
        let mut retired = pair.status.lock();
        if retired.is_some() {
            return Err(Check::PairRetired);
        }
        check(&pair.as_receiver).map_err(|CheckFailed| {
            *retired = Some(Check::OteCheck);
            Check::OteCheck
        })
    }

    /// The data of this share for `peer`.
    pub(crate) fn pair(&self, peer: PartyId) -> Option<&Pair> {
        peers(self.me, self.count()).zip(&self.pairs).find(|(id, _)| *id == peer).map(|(_, p)| p)
    }
}

impl<C: Curve> fmt::Debug for KeyShare<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyShare")
            .field("me", &self.me)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl<C: Curve> PublicKey<C> {
    pub(crate) fn count(&self) -> u8 {
        // Made from at most `MAX_PARTIES` shares.
        self.shares.len() as u8
    }

    pub(crate) fn share_of(&self, party: PartyId) -> Option<AffinePoint<C>> {
        self.shares.get(usize::from(party.get()) - 1).copied()
    }

    /// Whether the sizes are allowed, and the public shares are shares of the key. With a smaller
    /// degree fewer than `t` parties could sign.
    fn is_consistent(&self) -> bool {
        let count = self.shares.len();
        are_valid_sizes(self.threshold, count)
            && are_valid_identities(&self.identities, count)
            && share_the_key::<C>(self.threshold, &self.point, &self.shares)
    }
}

/// Whether these public shares, that of party 1 first and at least `threshold` of them, lie on one
/// polynomial of degree exactly `threshold - 1` whose value at 0 is the key.
pub(crate) fn share_the_key<C: Curve>(
    threshold: u8,
    key: &AffinePoint<C>,
    shares: &[AffinePoint<C>],
) -> bool {
    let all: Vec<(PartyId, &AffinePoint<C>)> = PartyId::all(MAX_PARTIES).zip(shares).collect();
    let Some((basis, others)) = all.split_at_checked(usize::from(threshold)) else { return false };
    let at = |basis: &[(PartyId, &AffinePoint<C>)], target: u8| -> ProjectivePoint<C> {
        let parties: Vec<PartyId> = basis.iter().map(|(party, _)| *party).collect();
        let terms = basis
            .iter()
            .map(|(party, share)| **share * lagrange::<Scalar<C>>(*party, &parties, target));
        terms.sum()
    };
    let fits = |basis: &[_], (party, share): &(PartyId, &AffinePoint<C>)| {
        at(basis, party.get()) == ProjectivePoint::<C>::from(**share)
    };
    let Some((last, fewer)) = basis.split_last() else { return false };
    at(basis, 0) == ProjectivePoint::<C>::from(*key)
        && !fits(fewer, last)
        && others.iter().all(|other| fits(basis, other))
}

/// `LP([t, n], epoch, Q, cc, Y_1, .., Y_n)`.
pub(crate) fn public_data<C: Curve>(
    threshold: u8,
    epoch: &[u8; 32],
    key: &AffinePoint<C>,
    chain_code: &[u8; 32],
    shares: &[AffinePoint<C>],
) -> Vec<u8> {
    let (key, shares) = (encoded(key), shares.iter().map(encoded).collect::<Vec<_>>());
    let sizes = [threshold, shares.len() as u8];
    let mut parts: Vec<&[u8]> = vec![&sizes, epoch, &key, chain_code];
    parts.extend(shares.iter().map(|share| &share[..]));
    length_prefixed(&parts)
}

/// Whether a key of `count` parties may have this threshold.
pub(crate) fn are_valid_sizes(threshold: u8, count: usize) -> bool {
    threshold >= MIN_THRESHOLD
        && usize::from(threshold) <= count
        && count <= usize::from(MAX_PARTIES)
}

/// Whether there is one identity for each of `count` parties, none too long and no two alike.
pub(crate) fn are_valid_identities(identities: &[Vec<u8>], count: usize) -> bool {
    let mut sorted: Vec<&[u8]> = identities.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() == count
        && identities.len() == count
        && identities.iter().all(|identity| identity.len() <= MAX_IDENTITY)
}

/// The other parties of a key, in index order.
pub(crate) fn peers(me: PartyId, count: u8) -> impl Iterator<Item = PartyId> {
    PartyId::all(count).filter(move |party| *party != me)
}

/// Encodes a point that cannot be the identity: it was decoded, or compared with the identity.
pub(crate) fn encoded<P>(point: &P) -> [u8; POINT]
where
    P: PrimeCurveAffine + AffineCoordinates<FieldRepr = GenericArray<u8, U32>>,
{
    encode_point(point).unwrap_or([0; POINT])
}

// ---------------------------------------------------------------------------------------------
// Storage
// ---------------------------------------------------------------------------------------------

/// The first bytes of a stored share, without the digit of its format.
const MAGIC: &[u8; 13] = b"cosign-share/";

impl<C: Curve> KeyShare<C> {
    /// The latest number that [`stored_format`](KeyShare::stored_format) gives for what this version reads.
    pub const LATEST_FORMAT: u64 = Self::FORMATS[1] as u64;

    /// The formats of a share, and of one that cannot sign.
    const FORMATS: [u8; 2] = if Self::NAMES_CURVE { [3, 4] } else { [1, 2] };

    /// Whether the stored form has the number of the curve. The first two formats are from when there was
    /// one curve.
    const NAMES_CURVE: bool = C::IDENT != Secp256k1::IDENT;

    /// The stored form. It holds secrets in the clear: seal it.
    ///
    /// ```text
    /// "cosign-share/1" | t | n | i | k | BE16(xi) | epoch 32 | y 32 | Q 33 | Y_1 .. Y_n 33 each | cc 32
    /// n times: length 1 | identity
    /// n-1 times, peers in index order: zero seed 32 | trees as sender 16384 | trees as receiver 16416
    /// ```
    ///
    /// That of a share which [cannot sign](Self::can_sign) begins with `cosign-share/2` and ends with the
    /// identities. On another curve than secp256k1 they begin with `cosign-share/3` and `cosign-share/4`,
    /// and [`Curve::IDENT`] follows.
    ///
    /// Retired pairs are not in it but in the ledger: otherwise restoring an old copy would bring
    /// them back.
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        self.written(&self.pairs)
    }

    /// The stored form without what signs: for a backup. The transfers and the seeds of zero shares
    /// are spent from one signature to the next, and must not come back.
    pub fn to_backup(&self) -> Secret<Vec<u8>> {
        self.written(&[])
    }

    fn written(&self, pairs: &[Pair]) -> Secret<Vec<u8>> {
        let mut out = Secret::new(Vec::with_capacity(self.stored_length(pairs.len())));
        let bytes = out.expose_mut();
        let PublicKey { threshold, epoch, point, shares, chain_code, identities } = &self.public;
        let [format, of_backup] = Self::FORMATS;
        bytes.extend_from_slice(MAGIC);
        bytes.push(b'0' + if pairs.is_empty() { of_backup } else { format });
        if Self::NAMES_CURVE {
            bytes.push(C::IDENT);
        }
        bytes.extend_from_slice(&[*threshold, self.count(), self.me.get()]);
        bytes.extend_from_slice(&parameters());
        bytes.extend_from_slice(epoch);
        bytes.extend_from_slice(&encode_scalar(self.secret.expose()));
        bytes.extend_from_slice(&encoded(point));
        shares.iter().for_each(|share| bytes.extend_from_slice(&encoded(share)));
        bytes.extend_from_slice(chain_code);
        for identity in identities {
            bytes.push(identity.len() as u8);
            bytes.extend_from_slice(identity);
        }
        for pair in pairs {
            bytes.extend_from_slice(pair.zero_seed.expose());
            bytes.extend_from_slice(pair.as_sender.to_bytes().expose());
            bytes.extend_from_slice(pair.as_receiver.to_bytes().expose());
        }
        out
    }

    /// Decodes the stored form, and checks that its parts are consistent.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidShare> {
        let mut input = Input(bytes);
        if input.array()? != MAGIC {
            return Err(InvalidShare);
        }
        let [format, of_backup] = Self::FORMATS.map(|format| b'0' + format);
        let has_pairs = match *input.array()? {
            [written] if written == format => true,
            [written] if written == of_backup => false,
            _ => return Err(InvalidShare),
        };
        if Self::NAMES_CURVE && *input.array()? != [C::IDENT] {
            return Err(InvalidShare);
        }
        let [threshold, count, me] = *input.array::<3>()?;
        if *input.array()? != parameters() || !are_valid_sizes(threshold, usize::from(count)) {
            return Err(InvalidShare);
        }
        let me = PartyId::new(me).filter(|me| me.get() <= count).ok_or(InvalidShare)?;
        let epoch = *input.array()?;
        let secret = Secret::new(decode_scalar(input.take(32)?).map_err(|_| InvalidShare)?);
        let point = input.point()?;
        let shares = (0..count).map(|_| input.point()).collect::<Result<_, _>>()?;
        let chain_code = *input.array()?;
        let identities = (0..count).map(|_| input.identity()).collect::<Result<_, _>>()?;
        let peers = if has_pairs { count } else { 1 };
        let pairs = (1..peers).map(|_| input.pair()).collect::<Result<_, _>>()?;
        if !input.0.is_empty() {
            return Err(InvalidShare);
        }
        let public = PublicKey { threshold, epoch, point, shares, chain_code, identities };
        Self::new(public, me, secret, pairs)
    }

    /// The length of the stored form, for a buffer that is never reallocated and so leaves no
    /// copies behind.
    fn stored_length(&self, pairs: usize) -> usize {
        let points = 1 + self.public.shares.len();
        let identities = self.public.identities.iter().map(|identity| 1 + identity.len());
        FIXED
            + usize::from(Self::NAMES_CURVE)
            + points * POINT
            + identities.sum::<usize>()
            + pairs * (32 + TREES_AS_SENDER + TREES_AS_RECEIVER)
    }
}

impl KeyShare {
    /// The number of the format that `bytes` are stored in, if they are a stored share; this version
    /// reads 1 to 4.
    pub fn stored_format(bytes: &[u8]) -> Option<u64> {
        let number = bytes.strip_prefix(MAGIC)?;
        // The threshold, which follows, is no digit.
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(number.get(..digits)?).ok()?.parse().ok()
    }
}

/// Magic, sizes and index, parameters, epoch, secret share and chain code.
const FIXED: usize = MAGIC.len() + 1 + 3 + 3 + 32 + 32 + 32;
const TREES_AS_SENDER: usize = 16384;
const TREES_AS_RECEIVER: usize = 32 + TREES_AS_SENDER;

/// The constants that the trees depend on: `k` and `BE16(xi)`.
pub(crate) fn parameters() -> [u8; 3] {
    let [high, low] = (CHOICES as u16).to_be_bytes();
    [DEPTH as u8, high, low]
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidShare> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(InvalidShare)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], InvalidShare> {
        let (front, rest) = self.0.split_first_chunk().ok_or(InvalidShare)?;
        self.0 = rest;
        Ok(front)
    }

    fn point<P: GroupEncoding<Repr = GenericArray<u8, U33>>>(&mut self) -> Result<P, InvalidShare> {
        decode_point(self.take(POINT)?).map_err(|_| InvalidShare)
    }

    fn identity(&mut self) -> Result<Vec<u8>, InvalidShare> {
        let [length] = *self.array::<1>()?;
        Ok(self.take(usize::from(length))?.to_vec())
    }

    fn pair(&mut self) -> Result<Pair, InvalidShare> {
        let invalid = |_| InvalidShare;
        Ok(Pair {
            zero_seed: Secret::new(*self.array()?),
            as_sender: SenderTrees::from_bytes(self.take(TREES_AS_SENDER)?).map_err(invalid)?,
            as_receiver: ReceiverTrees::from_bytes(self.take(TREES_AS_RECEIVER)?)
                .map_err(invalid)?,
            status: Status::default(),
        })
    }
}

// ---------------------------------------------------------------------------------------------
// Confirmation
// ---------------------------------------------------------------------------------------------

/// Length of a stored [`Confirmation`].
const CONFIRMATION: usize = 66;
/// Length of a stored [`Leaving`].
const LEAVING: usize = 65;

/// A share that waits for all confirmations. Its key must not be used or funded before.
#[derive(Debug)]
pub struct Pending<C: Curve = Secp256k1> {
    /// The share, to be stored as pending.
    pub share: KeyShare<C>,
    /// The value that the confirmations of all parties are checked against; to be stored beside the
    /// share.
    pub confirmation: Confirmation<C>,
}

/// The statements by which the parties of a key tell one another that their shares are stored (§3.4
/// round 4).
///
/// It holds no secret, and lets parties that were cut off in the last round finish later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation<C = Secp256k1> {
    pub(crate) statements: Statements<C>,
    pub(crate) me: PartyId,
}

/// The statements of all parties of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statements<C> {
    pub(crate) epoch: [u8; 32],
    /// `view3`.
    pub(crate) view: [u8; 32],
    /// How many parties there are.
    pub(crate) count: u8,
    pub(crate) curve: PhantomData<C>,
}

impl<C: Curve> Statements<C> {
    fn of(&self, party: PartyId) -> [u8; 32] {
        tags::KEYGEN_CONFIRM.hash::<C>(&[&self.epoch, &self.view, &[party.get()]])
    }

    /// Whether `body` is the statement of `from`, a party of the epoch.
    pub(crate) fn verify(&self, from: PartyId, body: &[u8; 32]) -> bool {
        // All compared values are public.
        from.get() <= self.count && self.of(from) == *body
    }
}

impl<C: Curve> Confirmation<C> {
    /// Length of the stored form.
    pub const STORED: usize = CONFIRMATION;

    /// The statement of this party, sent to all others once its share is stored.
    pub fn message(&self) -> [u8; 32] {
        self.statements.of(self.me)
    }

    /// Whether `body` is the confirmation of `from`, another party of this key.
    pub fn verify(&self, from: PartyId, body: &[u8; 32]) -> bool {
        from != self.me && self.statements.verify(from, body)
    }

    /// The party that sends [`message`](Self::message).
    pub fn me(&self) -> PartyId {
        self.me
    }

    /// The generation of shares it is about.
    pub fn epoch(&self) -> &[u8; 32] {
        &self.statements.epoch
    }

    /// The parties whose confirmation is needed, in index order.
    pub fn peers(&self) -> impl Iterator<Item = PartyId> {
        peers(self.me, self.statements.count)
    }

    /// The stored form: `epoch 32 | view 32 | i | n`.
    pub fn to_bytes(&self) -> [u8; CONFIRMATION] {
        let mut out = [0; CONFIRMATION];
        let Statements { epoch, view, count, .. } = &self.statements;
        let parts = epoch.iter().chain(view).copied().chain([self.me.get(), *count]);
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        out
    }

    /// Decodes the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidShare> {
        let mut input = Input(bytes);
        let (epoch, view) = (*input.array()?, *input.array()?);
        let [me, count] = *input.array()?;
        let me = PartyId::new(me).filter(|me| me.get() <= count).ok_or(InvalidShare)?;
        if !input.0.is_empty() || !are_valid_sizes(MIN_THRESHOLD, usize::from(count)) {
            return Err(InvalidShare);
        }
        Ok(Self { statements: Statements { epoch, view, count, curve: PhantomData }, me })
    }
}

/// The statements that a dealer waits for which leaves the key (§8.5): when it has heard those of
/// all parties of the new epoch, it destroys its old share, and not before.
///
/// It holds no secret, and lets a dealer that was cut off in the last round finish later. It does not
/// hold who the parties are: the driver stores their identities beside it, in the order of their new
/// indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving<C = Secp256k1>(pub(crate) Statements<C>);

impl<C: Curve> Leaving<C> {
    /// Length of the stored form.
    pub const STORED: usize = LEAVING;

    /// The generation of shares that the others have from then on.
    pub fn epoch(&self) -> &[u8; 32] {
        &self.0.epoch
    }

    /// The parties whose confirmation is needed, in index order.
    pub fn parties(&self) -> impl Iterator<Item = PartyId> {
        PartyId::all(self.0.count)
    }

    /// Whether `body` is the confirmation of `from`, a party of the new epoch.
    pub fn verify(&self, from: PartyId, body: &[u8; 32]) -> bool {
        self.0.verify(from, body)
    }

    /// The stored form: `epoch 32 | view 32 | n`.
    pub fn to_bytes(&self) -> [u8; LEAVING] {
        let mut out = [0; LEAVING];
        let Statements { epoch, view, count, .. } = &self.0;
        let parts = epoch.iter().chain(view).copied().chain([*count]);
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        out
    }

    /// Decodes the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidShare> {
        let mut input = Input(bytes);
        let (epoch, view) = (*input.array()?, *input.array()?);
        let [count] = *input.array()?;
        if !input.0.is_empty() || !are_valid_sizes(MIN_THRESHOLD, usize::from(count)) {
            return Err(InvalidShare);
        }
        Ok(Self(Statements { epoch, view, count, curve: PhantomData }))
    }
}
