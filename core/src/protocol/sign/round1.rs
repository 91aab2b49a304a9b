//! Round 1 (docs/protocol.md §7.2): commit to a nonce point, and extend the transfers towards every
//! signer.

use k256::{AffinePoint, Scalar};

use super::round2::{PeerProducts, Round2};
use super::{Round, Signer, Signing, Terms};
use crate::crypto::curve::{POINT, encode_point, encode_scalar};
use crate::crypto::ot::extension::{self, Checked, Extended};
use crate::crypto::points::few::multiples_of_generator;
use crate::crypto::share::lagrange;
use crate::crypto::{mul, tags, zero};
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::{Kind, Received, pack};
use crate::secret::Secret;

/// Awaits the commitments and transfer extensions of all signers.
#[derive(Debug)]
pub(super) struct Round1 {
    signer: Signer,
    nonce: Nonce,
    /// `nu` and commitment of SG1, as sent to everybody.
    own: ([u8; 32], [u8; 32]),
    /// In index order.
    masks: Vec<Mask>,
}

/// This party's part of the signature's nonce, and of the product that inverts it.
#[derive(Debug)]
pub(super) struct Nonce {
    pub(super) r: Secret<Scalar>,
    pub(super) phi: Secret<Scalar>,
    pub(super) point: AffinePoint,
    pub(super) encoded: [u8; POINT],
    pub(super) salt: [u8; 32],
}

/// The mask of the multiplication with one peer, who is A and multiplies; this party is B (§1.2).
#[derive(Debug)]
pub(super) struct Mask {
    pub(super) pair_session: [u8; 32],
    pub(super) extended: Extended,
}

/// The committed values of one peer in SG1, whose transfers were checked.
pub(super) struct Committed {
    pub(super) peer: PartyId,
    pub(super) nonce: [u8; 32],
    pub(super) commitment: [u8; 32],
    pair_session: [u8; 32],
    checked: Checked,
}

/// Draws this party's nonce and commits to it.
pub(super) fn start(signer: Signer) -> Result<Step<Signing>, Fault> {
    let Signer { terms, seed } = &signer;
    let (nu, salt): ([u8; 32], [u8; 32]) = (seed.bytes("nonce"), seed.bytes("salt"));
    let (r, phi) = (Secret::new(seed.scalar("r")), Secret::new(seed.scalar("phi")));
    let point = *multiples_of_generator([r.expose()].into_iter()).first().ok_or(bug(Kind::Sg1))?;
    let encoded = encode_point(&point).ok_or(bug(Kind::Sg1))?;
    let commitment = commit(terms, terms.me(), &nu, &encoded, &salt);

    let (mut masks, mut sends) = (Vec::new(), Vec::new());
    for peer in terms.peers() {
        let pair_session = terms.pair_session(peer, terms.me(), &nu);
        let trees = &terms.pair(peer, Kind::Sg1)?.as_sender;
        let (extended, message) = extension::extend(&pair_session, trees, seed, peer.get());
        let body: [&[u8]; 3] = [&nu, &commitment, &message];
        sends.push((peer, pack(Kind::Sg1, terms.me(), Some(peer), &terms.session, &body)));
        masks.push(Mask { pair_session, extended });
    }
    let nonce = Nonce { r, phi, point, encoded, salt };
    let round = Round1 { signer, nonce, own: (nu, commitment), masks };
    Ok(Step::round(Signing(Round::One(Box::new(round))), sends))
}

/// `C_i`: binds a party to its nonce point before it sees the others.
pub(super) fn commit(
    terms: &Terms,
    party: PartyId,
    nu: &[u8; 32],
    nonce_point: &[u8],
    salt: &[u8; 32],
) -> [u8; 32] {
    tags::SIGN_COMMIT.hash(&[&terms.session, &[party.get()], nu, nonce_point, salt])
}

impl Round1 {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.signer.terms.session
    }

    /// Checks all transfers, then multiplies with every peer.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Signing>, Fault> {
        let Self { signer, nonce, own, masks } = *self;
        let Signer { terms, seed } = &signer;

        // §7.3: all checks come before the first product; if one fails, nothing is sent.
        let committed: Vec<Committed> =
            messages.of(Kind::Sg1).map(|m| check_transfers(terms, &m)).collect::<Result<_, _>>()?;

        let view = view(terms, own, &committed);
        let share = key_share(terms, &view)?;
        let mut products = Vec::with_capacity(committed.len());
        let mut parts = Vec::with_capacity(committed.len());
        for (peer, mask) in committed.into_iter().zip(masks) {
            let mask_of_sum = Secret::new(seed.scalar(&format!("ahat/{}", peer.peer)));
            let inputs = [nonce.r.expose(), share.expose()];
            let (message, summands) =
                mul::multiply(&peer.pair_session, &own.0, peer.checked, inputs, mask_of_sum);
            let psi = *nonce.phi.expose() - mask.extended.chi();
            parts.push((peer.peer, encode_scalar(&psi), message));
            products.push(PeerProducts {
                peer: peer.peer,
                nonce: peer.nonce,
                commitment: peer.commitment,
                mask,
                summands,
            });
        }

        let summands = products.iter().flat_map(|product| product.summands.expose());
        let points = multiples_of_generator(std::iter::once(share.expose()).chain(summands));
        let encoded: Option<Vec<_>> = points.iter().map(encode_point).collect();
        let encoded = encoded.ok_or(bug(Kind::Sg2))?;
        let (public_share, gammas) = encoded.split_first().ok_or(bug(Kind::Sg2))?;
        let sends =
            parts.into_iter().zip(gammas.chunks_exact(2)).map(|((peer, psi, product), g)| {
                let gammas = g.concat();
                let body: [&[u8]; 7] =
                    [&view, &nonce.encoded, &nonce.salt, public_share, &gammas, &psi, &product];
                (peer, pack(Kind::Sg2, terms.me(), Some(peer), &terms.session, &body))
            });
        let sends = sends.collect();
        let public_share = points.first().copied().ok_or(bug(Kind::Sg2))?;
        let next = Round2 { terms: signer.terms, nonce, view, share, public_share, products };
        Ok(Step::round(Signing(Round::Two(Box::new(next))), sends))
    }
}

/// Decodes SG1 of one peer and evaluates its transfer check, which retires the pair if it fails
/// (§5.4).
fn check_transfers(terms: &Terms, message: &Received<'_>) -> Result<Committed, Fault> {
    let peer = message.from;
    let mut reader = message.reader();
    let (nonce, commitment) = (*reader.array()?, *reader.array()?);
    let pair_session = terms.pair_session(terms.me(), peer, &nonce);
    let checked = terms
        .share
        .evaluate(peer, |trees| extension::check(&pair_session, trees, reader.rest()))
        .map_err(|check| message.fault(check))?;
    Ok(Committed { peer, nonce, commitment, pair_session, checked })
}

/// Hash of all nonces and commitments, for the signers to compare (D6).
fn view(terms: &Terms, own: ([u8; 32], [u8; 32]), committed: &[Committed]) -> [u8; 32] {
    let mut all: Vec<(PartyId, &[u8; 32], &[u8; 32])> =
        committed.iter().map(|c| (c.peer, &c.nonce, &c.commitment)).collect();
    all.push((terms.me(), &own.0, &own.1));
    all.sort_unstable();
    let entry = |(party, nonce, commitment): (PartyId, &[u8; 32], &[u8; 32])| {
        [&[party.get()], &nonce[..], commitment].concat()
    };
    let start = tags::SIGN_VIEW.start().part(&terms.session);
    all.into_iter().map(entry).fold(start, |hash, entry| hash.part(&entry)).finish()
}

/// `sk_i`: this party's summand of the (derived) key in this session.
fn key_share(terms: &Terms, view: &[u8; 32]) -> Result<Secret<Scalar>, Fault> {
    let mut seeds = Vec::new();
    for peer in terms.peers() {
        seeds.push((peer, &terms.pair(peer, Kind::Sg2)?.zero_seed));
    }
    let mut share = zero::share(terms.me(), seeds, view);
    let coefficient = lagrange(terms.me(), &terms.setup.signers, 0);
    // The coefficients of all signers add up to 1, so the tweak enters the sum once.
    *share.expose_mut() += coefficient * (*terms.share.secret.expose() + terms.setup.tweak);
    Ok(share)
}

/// A state that is believed to be impossible, while sending `kind`.
pub(super) fn bug(kind: Kind) -> Fault {
    Fault::nobody(Check::Bug, kind.name())
}
