//! Round 2 (docs/protocol.md §3.4): open the commitments, check every share, derive the key.

use super::round1::Dealt;
use super::round3::{Own, PeerTrees, Round3};
use super::{Keygen, Participant, Round, Source, Terms, bug, from_constant, transfer_session};
use crate::crypto::curve::{AffinePoint, Curve, POINT, ProjectivePoint, Scalar, decode_point};
use crate::crypto::dlog::{Claim, InvalidProof};
use crate::crypto::ot::{base, tree};
use crate::crypto::share::image_of_share;
use crate::crypto::tags;
use crate::crypto::zero;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::encoded;
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::{Kind, Received, pack};
use crate::secret::Secret;
use k256::elliptic_curve::group::Group as _;

/// Awaits all openings, proofs, shares and first transfer messages.
#[derive(Debug)]
pub(super) struct Round2<C: Curve> {
    pub(super) participant: Participant<C>,
    pub(super) dealt: Dealt<C>,
    pub(super) session: [u8; 32],
    /// KG2B, as sent.
    pub(super) own: Secret<Vec<u8>>,
    /// In KG1, in index order.
    pub(super) commitments: Vec<(PartyId, [u8; 32])>,
    /// In index order. Those that leave have none and come last, and have none with anybody.
    pub(super) transfers: Vec<PeerTransfers<C>>,
}

/// The state of the transfers with one peer.
#[derive(Debug)]
pub(super) struct PeerTransfers<C: Curve> {
    pub(super) peer: PartyId,
    /// This party's contribution to the zero seed.
    pub(super) zero: Secret<[u8; 32]>,
    pub(super) receiver: base::Receiver<C>,
}

/// The opened values of a participant.
struct Opened<C: Curve> {
    /// From the constant term on; none if it is no dealer.
    images: Vec<ProjectivePoint<C>>,
    chain_code: [u8; 32],
}

/// The values derived from all openings: public ones.
#[derive(Debug)]
pub(super) struct Derived<C: Curve> {
    /// Hash of all KG2B.
    pub(super) view: [u8; 32],
    pub(super) point: AffinePoint<C>,
    /// Of party 1 first.
    pub(super) shares: Vec<AffinePoint<C>>,
    pub(super) chain_code: [u8; 32],
}

impl<C: Curve> Round2<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// Checks all openings and shares, derives the key, and answers the transfers.
    pub(super) fn finish(self, messages: &Gathered) -> Result<Step<Keygen<C>>, Fault> {
        let Self { participant, dealt, session, own, commitments, transfers } = self;
        let Participant { terms, seed, own: old } = &participant;

        let mut opened = Vec::with_capacity(commitments.len());
        for ((_, commitment), message) in commitments.iter().zip(messages.of(Kind::Kg2b)) {
            opened.push(open(terms, &session, commitment, &message)?);
        }
        let mut secret = dealt.polynomial.share_of(terms.me);
        let mut received = Vec::with_capacity(commitments.len());
        for (opened, message) in opened.iter().zip(messages.of(Kind::Kg2p)) {
            let mut reader = message.reader();
            let share = Secret::<Scalar<C>>::new(reader.scalar()?);
            let image = image_of_share(&opened.images, terms.me);
            if C::of_generator(share.expose()) != image {
                return Err(message.fault(Check::Feldman));
            }
            *secret.expose_mut() += share.expose();
            received.push((message, reader));
        }
        if let (Source::Zero(_), Some(old)) = (&terms.source, old) {
            *secret.expose_mut() += old.expose();
        }
        let (point, shares) = derive(terms, &dealt.images, &opened)?;

        // All parties must see the same KG2B: this hash is compared in the next round.
        let all = messages.with_own(Kind::Kg2b, terms.me, own.expose());
        let start = tags::KEYGEN_VIEW.start::<C>().part(&session);
        let view = all.iter().fold(start, |hash, message| hash.part(message.bytes)).finish();
        let chain_code = match terms.kept() {
            Some((_, chain_code)) => *chain_code,
            None => joint_chain_code(terms.me, &session, dealt.chain_code(), &commitments, &opened),
        };
        let derived = Derived { view, point, shares, chain_code };
        if !terms.receives(terms.me) {
            let next = Round3 { terms: participant.terms, session, derived, own: None };
            return Ok(Step::round(Keygen(Round::Three(Box::new(next))), Vec::new()));
        }

        let own = announce(&participant, &session, &derived, &secret)?;
        let mut sends: Vec<_> = terms.to_all(own.expose()).collect();
        let mut trees = Vec::with_capacity(transfers.len());
        for (transfer, (message, mut reader)) in transfers.into_iter().zip(received) {
            let PeerTransfers { peer, receiver, zero } = transfer;
            let zero_seed = zero::seed::<C>(&session, (terms.me, &zero), (peer, reader.array()?));
            let sid_ot = transfer_session::<C>(&session, peer, terms.me);
            let (ot2, keys) = base::send::<C>(&sid_ot, seed, peer.get(), reader.rest())
                .map_err(|_| message.fault(Check::BaseOtPoint))?;
            let (as_sender, corrections) = tree::build::<C>(&sid_ot, keys);
            let body: [&[u8]; 2] = [&ot2, &corrections];
            sends.push((peer, pack(Kind::Kg3p, terms.me, Some(peer), &session, &body)));
            trees.push(PeerTrees { peer, zero_seed, as_sender, receiver });
        }
        let own = Some(Own { message: own, secret, trees });
        let next = Round3 { terms: participant.terms, session, derived, own };
        Ok(Step::round(Keygen(Round::Three(Box::new(next))), sends))
    }
}

/// KG2B of one peer: points, commitment, proofs, in this order.
fn open<C: Curve>(
    terms: &Terms<C>,
    session: &[u8; 32],
    commitment: &[u8; 32],
    message: &Received<'_>,
) -> Result<Opened<C>, Fault> {
    let powers = terms.powers(message.from);
    let mut reader = message.reader();
    let encoded = reader.bytes(POINT * powers.len())?;
    let points: Vec<AffinePoint<C>> = encoded
        .chunks_exact(POINT)
        .map(|bytes| decode_point(bytes).map_err(|_| message.fault(Check::Malformed)))
        .collect::<Result<_, _>>()?;
    let (chain_code, salt) = (reader.array()?, reader.array::<32>()?);
    let dealer = [message.from.get()];
    let opening =
        tags::KEYGEN_COMMIT.hash::<C>(&[&terms.session, &dealer, encoded, chain_code, salt]);
    if opening != *commitment {
        return Err(message.fault(Check::Commit));
    }
    for (k, statement) in powers.zip(&points) {
        let context: [&[u8]; 2] = [session, &[message.from.get(), k]];
        let claim = Claim::<C> { tag: &tags::KEYGEN_POK, context: &context, statement };
        claim.verify(reader.array()?).map_err(|reason| message.fault(proof_fault(reason)))?;
    }
    if let (Source::Held(held), Some(constant)) = (&terms.source, points.first())
        && held.constants.get(&message.from) != Some(constant)
    {
        return Err(message.fault(Check::DealerConstant));
    }
    let images = from_constant(terms, points.into_iter().map(ProjectivePoint::<C>::from));
    Ok(Opened { images, chain_code: *chain_code })
}

/// The check for a refused proof.
pub(super) fn proof_fault(reason: InvalidProof) -> Check {
    match reason {
        InvalidProof::Malformed => Check::Malformed,
        InvalidProof::Wrong => Check::Pok,
    }
}

/// The key and all public shares, from the sum of all polynomials. None of them, nor the highest
/// coefficient of the sum, may be the identity, which only dealers that all lie can bring about.
fn derive<C: Curve>(
    terms: &Terms<C>,
    own: &[ProjectivePoint<C>],
    opened: &[Opened<C>],
) -> Result<(AffinePoint<C>, Vec<AffinePoint<C>>), Fault> {
    let mut sum = own.to_vec();
    sum.resize(usize::from(terms.threshold), ProjectivePoint::<C>::identity());
    for opened in opened {
        sum.iter_mut().zip(&opened.images).for_each(|(sum, image)| *sum += image);
    }
    let mut images: Vec<ProjectivePoint<C>> =
        PartyId::all(terms.count).map(|party| image_of_share(&sum, party)).collect();
    if let Source::Zero(old) = &terms.source {
        images.iter_mut().zip(&old.shares).for_each(|(image, old)| *image += old);
    }
    match terms.kept() {
        Some((point, _)) => images.push((*point).into()),
        None => images.extend(sum.first()),
    }
    // Without the highest power fewer parties could sign.
    images.extend(sum.last());
    let identity = || match terms.only_dealer() {
        Some(dealer) if dealer != terms.me => Fault::by(dealer, Check::Identity, Kind::Kg2b.name()),
        _ => Fault::nobody(Check::Identity, Kind::Kg2b.name()),
    };
    let mut points = C::normalize(&images).ok_or_else(identity)?;
    points.pop();
    let point = points.pop().ok_or_else(identity)?;
    Ok((point, points))
}

fn joint_chain_code<C: Curve>(
    me: PartyId,
    session: &[u8; 32],
    own: &[u8; 32],
    commitments: &[(PartyId, [u8; 32])],
    opened: &[Opened<C>],
) -> [u8; 32] {
    let peers = commitments.iter().map(|(peer, _)| *peer);
    let mut shares: Vec<_> = peers.zip(opened.iter().map(|o| &o.chain_code)).collect();
    shares.push((me, own));
    shares.sort_unstable();
    let start = tags::KEYGEN_CHAINCODE.start::<C>().part(session);
    shares.into_iter().fold(start, |hash, (_, share)| hash.part(share)).finish()
}

/// KG3B: the hash of what this party saw, what it derived, and a proof that it knows its final
/// share.
fn announce<C: Curve>(
    participant: &Participant<C>,
    session: &[u8; 32],
    derived: &Derived<C>,
    secret: &Secret<Scalar<C>>,
) -> Result<Secret<Vec<u8>>, Fault> {
    let Participant { terms, seed, .. } = participant;
    let Derived { view, point, chain_code, .. } = derived;
    let statement = derived.share_of(terms.me).ok_or(bug(Kind::Kg3b))?;
    let nonce = Secret::new(seed.scalar::<C>("pokshare"));
    let context: [&[u8]; 3] = [session, view, &[terms.me.get()]];
    let claim = Claim::<C> { tag: &tags::KEYGEN_POK_SHARE, context: &context, statement };
    let proof = claim.prove(secret.expose(), nonce.expose()).ok_or(bug(Kind::Kg3b))?;
    let body: [&[u8]; 4] = [view, &encoded(point), chain_code, &proof];
    Ok(pack(Kind::Kg3b, terms.me, None, session, &body))
}

impl<C: Curve> Derived<C> {
    pub(super) fn share_of(&self, party: PartyId) -> Option<&AffinePoint<C>> {
        self.shares.get(usize::from(party.get()) - 1)
    }
}
