//! Round 2 (docs/protocol.md §3.4): open the commitments, check every share, derive the key.

use k256::elliptic_curve::ops::MulByGenerator;
use k256::{AffinePoint, ProjectivePoint, Scalar};

use super::round1::Dealt;
use super::round3::{PeerTrees, Round3};
use super::{Dealer, Keygen, Round, Terms, bug, from_constant, transfer_session};
use crate::crypto::curve::{POINT, decode_point, normalize};
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

/// Awaits all openings, proofs, shares and first transfer messages.
#[derive(Debug)]
pub(super) struct Round2 {
    pub(super) dealer: Dealer,
    pub(super) dealt: Dealt,
    pub(super) session: [u8; 32],
    /// KG2B, as sent.
    pub(super) own: Vec<u8>,
    /// In index order.
    pub(super) transfers: Vec<PeerTransfers>,
}

/// The state of the transfers with one peer.
#[derive(Debug)]
pub(super) struct PeerTransfers {
    pub(super) peer: PartyId,
    /// The peer's commitment in KG1.
    pub(super) commitment: [u8; 32],
    /// This party's contribution to the zero seed.
    pub(super) zero: Secret<[u8; 32]>,
    pub(super) receiver: base::Receiver,
}

/// The opened values of a dealer.
struct Opened {
    /// From the constant term on.
    images: Vec<ProjectivePoint>,
    chain_code: [u8; 32],
}

/// The values that a dealer sent only to this party.
struct Private<'a> {
    share: Secret<Scalar>,
    /// The dealer's contribution to the zero seed.
    zero: &'a [u8; 32],
    ot1: &'a [u8],
}

/// The values derived from all openings and shares.
pub(super) struct Derived {
    pub(super) secret: Secret<Scalar>,
    pub(super) point: AffinePoint,
    /// Of party 1 first.
    pub(super) shares: Vec<AffinePoint>,
}

impl Round2 {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// Checks all openings and shares, derives the key, and answers the transfers.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Keygen>, Fault> {
        let Self { dealer, dealt, session, own, transfers } = *self;
        let Dealer { terms, seed } = &dealer;

        let mut opened = Vec::with_capacity(transfers.len());
        for (transfer, message) in transfers.iter().zip(messages.of(Kind::Kg2b)) {
            opened.push(open(terms, &session, &transfer.commitment, &message)?);
        }
        let mut secret = dealt.polynomial.share_of(terms.me);
        let mut received = Vec::with_capacity(transfers.len());
        for (opened, message) in opened.iter().zip(messages.of(Kind::Kg2p)) {
            let private = receive(terms.me, opened, &message)?;
            *secret.expose_mut() += private.share.expose();
            received.push((message, private));
        }
        let derived = derive(terms, &dealt.images, &opened, secret)?;

        // All parties must see the same KG2B: this hash is compared in the next round.
        let all = messages.with_own(Kind::Kg2b, terms.me, &own);
        let start = tags::KEYGEN_VIEW.start().part(&session);
        let view = all.iter().fold(start, |hash, message| hash.part(message.bytes)).finish();
        let chain_code = match &terms.refreshed {
            Some(old) => old.chain_code,
            None => joint_chain_code(terms.me, &session, dealt.chain_code(), &transfers, &opened),
        };

        let own = announce(&dealer, &session, &view, &derived, &chain_code)?;
        let mut sends: Vec<_> = terms.to_all(&own).collect();
        let mut trees = Vec::with_capacity(transfers.len());
        for (transfer, (message, private)) in transfers.into_iter().zip(received) {
            let PeerTransfers { peer, receiver, zero, .. } = transfer;
            let sid_ot = transfer_session(&session, peer, terms.me);
            let (ot2, keys) = base::send(&sid_ot, seed, peer.get(), private.ot1)
                .map_err(|_| message.fault(Check::BaseOtPoint))?;
            let (as_sender, corrections) = tree::build(&sid_ot, keys);
            let body: [&[u8]; 2] = [&ot2, &corrections];
            sends.push((peer, pack(Kind::Kg3p, terms.me, Some(peer), &session, &body)));
            let zero_seed = zero::seed(&session, (terms.me, &zero), (peer, private.zero));
            trees.push(PeerTrees { peer, zero_seed, as_sender, receiver });
        }
        let next = Round3 { terms: dealer.terms, session, own, view, derived, chain_code, trees };
        Ok(Step::round(Keygen(Round::Three(Box::new(next))), sends))
    }
}

/// KG2B of one peer: points, commitment, proofs, in this order.
fn open(
    terms: &Terms,
    session: &[u8; 32],
    commitment: &[u8; 32],
    message: &Received<'_>,
) -> Result<Opened, Fault> {
    let mut reader = message.reader();
    let encoded = reader.bytes(POINT * terms.powers().len())?;
    let points: Vec<AffinePoint> = encoded
        .chunks_exact(POINT)
        .map(|bytes| decode_point(bytes).map_err(|_| message.fault(Check::Malformed)))
        .collect::<Result<_, _>>()?;
    let (chain_code, salt) = (reader.array()?, reader.array::<32>()?);
    let dealer = [message.from.get()];
    let opening = tags::KEYGEN_COMMIT.hash(&[&terms.session, &dealer, encoded, chain_code, salt]);
    if opening != *commitment {
        return Err(message.fault(Check::Commit));
    }
    for (k, statement) in terms.powers().zip(&points) {
        let context: [&[u8]; 2] = [session, &[message.from.get(), k]];
        let claim = Claim { tag: &tags::KEYGEN_POK, context: &context, statement };
        claim.verify(reader.array()?).map_err(|reason| message.fault(proof_fault(reason)))?;
    }
    let images = from_constant(terms, points.into_iter().map(ProjectivePoint::from));
    Ok(Opened { images, chain_code: *chain_code })
}

/// The check for a refused proof.
pub(super) fn proof_fault(reason: InvalidProof) -> Check {
    match reason {
        InvalidProof::Malformed => Check::Malformed,
        InvalidProof::Wrong => Check::Pok,
    }
}

/// Decodes KG2P of one peer. Its share must lie on the polynomial that it opened.
fn receive<'a>(me: PartyId, opened: &Opened, message: &Received<'a>) -> Result<Private<'a>, Fault> {
    let mut reader = message.reader();
    let share = Secret::new(reader.scalar()?);
    if ProjectivePoint::mul_by_generator(share.expose()) != image_of_share(&opened.images, me) {
        return Err(message.fault(Check::Feldman));
    }
    Ok(Private { share, zero: reader.array()?, ot1: reader.rest() })
}

/// The key and all public shares, from the sum of all polynomials.
fn derive(
    terms: &Terms,
    own: &[ProjectivePoint],
    opened: &[Opened],
    mut secret: Secret<Scalar>,
) -> Result<Derived, Fault> {
    let mut sum = own.to_vec();
    for opened in opened {
        sum.iter_mut().zip(&opened.images).for_each(|(sum, image)| *sum += image);
    }
    let mut images: Vec<ProjectivePoint> =
        PartyId::all(terms.count()).map(|party| image_of_share(&sum, party)).collect();
    if let Some(old) = &terms.refreshed {
        *secret.expose_mut() += old.secret.expose();
        images.iter_mut().zip(&old.shares).for_each(|(image, old)| *image += old);
        images.push(old.point.into());
    } else {
        images.extend(sum.first());
    }
    // A public share or key that is the identity is refused.
    let identity = || Fault::nobody(Check::Identity, Kind::Kg2b.name());
    let mut shares = normalize(&images).ok_or_else(identity)?;
    let point = shares.pop().ok_or_else(identity)?;
    Ok(Derived { secret, point, shares })
}

fn joint_chain_code(
    me: PartyId,
    session: &[u8; 32],
    own: &[u8; 32],
    transfers: &[PeerTransfers],
    opened: &[Opened],
) -> [u8; 32] {
    let peers = transfers.iter().map(|transfer| transfer.peer);
    let mut shares: Vec<_> = peers.zip(opened.iter().map(|o| &o.chain_code)).collect();
    shares.push((me, own));
    shares.sort_unstable();
    let start = tags::KEYGEN_CHAINCODE.start().part(session);
    shares.into_iter().fold(start, |hash, (_, share)| hash.part(share)).finish()
}

/// KG3B: the hash of what this party saw, what it derived, and a proof that it knows its final
/// share.
fn announce(
    dealer: &Dealer,
    session: &[u8; 32],
    view: &[u8; 32],
    derived: &Derived,
    chain_code: &[u8; 32],
) -> Result<Vec<u8>, Fault> {
    let Dealer { terms, seed } = dealer;
    let statement = derived.share_of(terms.me).ok_or(bug(Kind::Kg3b))?;
    let nonce = Secret::new(seed.scalar("pokshare"));
    let context: [&[u8]; 3] = [session, view, &[terms.me.get()]];
    let claim = Claim { tag: &tags::KEYGEN_POK_SHARE, context: &context, statement };
    let proof = claim.prove(derived.secret.expose(), nonce.expose()).ok_or(bug(Kind::Kg3b))?;
    let body: [&[u8]; 4] = [view, &encoded(&derived.point), chain_code, &proof];
    Ok(pack(Kind::Kg3b, terms.me, None, session, &body))
}

impl Derived {
    pub(super) fn share_of(&self, party: PartyId) -> Option<&AffinePoint> {
        self.shares.get(usize::from(party.get()) - 1)
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").field("point", &self.point).finish_non_exhaustive()
    }
}
