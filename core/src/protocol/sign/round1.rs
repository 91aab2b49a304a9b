//! Round 1 (docs/protocol.md §7.2): commit to nonce points, and extend the transfers towards every
//! signer.

use super::round2::{PeerProducts, Round2, Unmade};
use super::{Form, Item, Round, Signer, Terms};
use crate::crypto::curve::{AffinePoint, Curve, POINT, Scalar, encode_point};
use crate::crypto::ot::extension::{self, Checked, Extended};
use crate::crypto::share::lagrange;
use crate::crypto::{tags, zero};
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::machine::{Gathered, Messages, Step};
use crate::protocol::wire::{Kind, Received, pack};
use crate::secret::Secret;

/// Awaits the commitments and transfer extensions of all signers.
#[derive(Debug)]
pub(super) struct Round1<C: Curve> {
    signer: Signer<C>,
    nonces: Vec<Nonce<C>>,
    own: Own,
    /// By peer, and then by item.
    masks: Vec<Vec<Mask<C>>>,
}

/// This party's part of a signature's nonce, and of the product that inverts it.
#[derive(Debug)]
pub(super) struct Nonce<C: Curve> {
    pub(super) r: Secret<Scalar<C>>,
    pub(super) phi: Secret<Scalar<C>>,
    pub(super) point: AffinePoint<C>,
    pub(super) encoded: [u8; POINT],
}

/// This party's values of the whole session.
#[derive(Debug)]
pub(super) struct Own {
    /// `nu`.
    pub(super) nonce: [u8; 32],
    pub(super) salt: [u8; 32],
    /// `C`, over all nonce points.
    commitment: [u8; 32],
}

/// The mask of the multiplication with one peer, who is A and multiplies; this party is B (§1.2).
#[derive(Debug)]
pub(super) struct Mask<C: Curve> {
    pub(super) pair_session: [u8; 32],
    pub(super) extended: Extended<C>,
}

/// The committed values of one peer, whose transfers were checked.
struct Committed {
    peer: PartyId,
    nonce: [u8; 32],
    commitment: [u8; 32],
    /// By item.
    transfers: Vec<([u8; 32], Checked)>,
}

/// Draws this party's nonces and commits to them.
pub(super) fn start<C: Curve>(signer: Signer<C>) -> Result<(Round<C>, Messages), Fault> {
    let Signer { terms, seed } = &signer;
    let kind = terms.form.commitment();
    let (nonce, salt): ([u8; 32], [u8; 32]) = (seed.bytes("nonce"), seed.bytes("salt"));
    let draw =
        |name| terms.items.iter().map(move |item| Secret::new(seed.scalar::<C>(&item.label(name))));
    let rs: Vec<_> = draw("r").collect();
    let points = C::few_of_generator(rs.iter().map(Secret::expose));
    let encoded: Vec<_> =
        points.iter().map(encode_point).collect::<Option<_>>().ok_or(bug(kind))?;
    let commitment = commit(terms, terms.me(), &nonce, encoded.as_flattened(), &salt);
    let nonces = rs.into_iter().zip(draw("phi")).zip(points.iter().zip(encoded));
    let nonces = nonces
        .map(|((r, phi), (point, encoded))| Nonce { r, phi, point: *point, encoded })
        .collect();

    let (mut masks, mut sends) = (Vec::new(), Vec::new());
    for peer in terms.peers() {
        let trees = &terms.pair(peer, kind)?.as_sender;
        let extend = |item: &Item<C>| {
            let pair_session = item.pair_session(peer, terms.me(), &nonce);
            let label = item.label_towards("beta", peer);
            let (extended, message) = extension::extend(&pair_session, trees, seed, &label);
            (Mask { pair_session, extended }, message)
        };
        let (extended, messages): (_, Vec<_>) = terms.items.iter().map(extend).unzip();
        let body: Vec<&[u8]> =
            [&nonce[..], &commitment].into_iter().chain(messages.iter().map(|m| &m[..])).collect();
        sends.push((peer, pack(kind, terms.me(), Some(peer), &terms.session, &body)));
        masks.push(extended);
    }
    let own = Own { nonce, salt, commitment };
    Ok((Round::One(Box::new(Round1 { signer, nonces, own, masks })), sends))
}

/// `C_i`: binds a party to its nonce points before it sees the others.
pub(super) fn commit<C: Curve>(
    terms: &Terms<C>,
    party: PartyId,
    nonce: &[u8; 32],
    nonce_points: &[u8],
    salt: &[u8; 32],
) -> [u8; 32] {
    tags::SIGN_COMMIT.hash::<C>(&[&terms.session, &[party.get()], nonce, nonce_points, salt])
}

impl<C: Curve> Round1<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.signer.terms.session
    }

    /// Checks all transfers, then goes on to multiply with every peer.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Round<C>>, Fault> {
        let Self { signer: Signer { terms, seed }, nonces, own, masks } = *self;

        // §7.3: all checks come before the first product; if one fails, nothing is sent.
        let committed = messages.of(terms.form.commitment()).map(|m| check_transfers(&terms, &m));
        let committed: Vec<Committed> = committed.collect::<Result<_, _>>()?;

        let view = view(&terms, &own, &committed);
        let shares = terms.items.iter().map(|item| key_share(&terms, item, &view));
        let shares = shares.collect::<Result<_, _>>()?;
        let products = committed.into_iter().zip(masks).map(|(peer, masks)| {
            let unmade = terms.items.iter().zip(peer.transfers).zip(masks);
            let unmade = unmade.map(|((item, (pair_session, checked)), mask)| {
                let mask_of_sum = seed.scalar::<C>(&item.label_towards("ahat", peer.peer));
                Unmade { pair_session, checked, mask_of_sum: Secret::new(mask_of_sum), mask }
            });
            PeerProducts {
                peer: peer.peer,
                nonce: peer.nonce,
                commitment: peer.commitment,
                unmade: unmade.collect(),
                made: Vec::new(),
            }
        });
        let products = products.collect();
        let public_shares = Vec::new();
        let form = terms.form;
        let mut next = Round2 { terms, nonces, own, view, shares, public_shares, products };
        let sends = match form {
            Form::Single => next.multiplied_at_once()?,
            Form::Batch => Vec::new(),
        };
        Ok(Step::round(Round::Two(Box::new(next)), sends))
    }
}

/// Decodes the first message of one peer and evaluates its transfer checks, which retire the pair if
/// one fails (§5.4).
fn check_transfers<C: Curve>(terms: &Terms<C>, message: &Received<'_>) -> Result<Committed, Fault> {
    let peer = message.from;
    let mut reader = message.reader();
    let (nonce, commitment) = (*reader.array()?, *reader.array()?);
    let extended = terms.items.iter().map(|item| {
        let pair_session = item.pair_session(terms.me(), peer, &nonce);
        Ok((pair_session, reader.bytes(extension::MESSAGE)?))
    });
    let extended: Vec<_> = extended.collect::<Result<_, Fault>>()?;
    let transfers = terms.share.evaluate(peer, |trees| {
        extension::check_all::<C>(
            trees,
            extended.iter().map(|(session, message)| (session, *message)),
        )
    });
    let transfers = transfers.map_err(|check| message.fault(check))?;
    let transfers = extended.into_iter().map(|(session, _)| session).zip(transfers).collect();
    Ok(Committed { peer, nonce, commitment, transfers })
}

/// Hash of all nonces and commitments, for the signers to compare (D6).
fn view<C: Curve>(terms: &Terms<C>, own: &Own, committed: &[Committed]) -> [u8; 32] {
    let mut all: Vec<(PartyId, &[u8; 32], &[u8; 32])> =
        committed.iter().map(|c| (c.peer, &c.nonce, &c.commitment)).collect();
    all.push((terms.me(), &own.nonce, &own.commitment));
    all.sort_unstable();
    let entry = |(party, nonce, commitment): (PartyId, &[u8; 32], &[u8; 32])| {
        [&[party.get()], &nonce[..], commitment].concat()
    };
    let start = tags::SIGN_VIEW.start::<C>().part(&terms.session);
    all.into_iter().map(entry).fold(start, |hash, entry| hash.part(&entry)).finish()
}

/// `sk_i`: this party's summand of the (derived) key of one item in this session.
fn key_share<C: Curve>(
    terms: &Terms<C>,
    item: &Item<C>,
    view: &[u8; 32],
) -> Result<Secret<Scalar<C>>, Fault> {
    let mut seeds = Vec::new();
    for peer in terms.peers() {
        seeds.push((peer, &terms.pair(peer, terms.form.opening())?.zero_seed));
    }
    let mut share = match &item.number {
        None => zero::share::<C>(terms.me(), seeds, &[view]),
        Some(number) => zero::share::<C>(terms.me(), seeds, &[view, number]),
    };
    let coefficient: Scalar<C> = lagrange(terms.me(), &terms.signers, 0);
    // The coefficients of all signers add up to 1, so the tweak enters the sum once.
    *share.expose_mut() += coefficient * (*terms.share.secret.expose() + item.tweak);
    Ok(share)
}

/// A state that is believed to be impossible, while sending `kind`.
pub(super) fn bug(kind: Kind) -> Fault {
    Fault::nobody(Check::Bug, kind.name())
}
