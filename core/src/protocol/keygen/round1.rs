//! Round 1 (docs/protocol.md §3.4): commit to the polynomial and the chain-code share before seeing
//! those of the others.

use super::round2::{PeerTransfers, Round2};
use super::{Keygen, Participant, Round, Source, bug, from_constant, transfer_session};
use crate::crypto::curve::{Curve, ProjectivePoint, SCALAR, Scalar, encode_points, encode_scalar};
use crate::crypto::dlog::Claim;
use crate::crypto::ot::base;
use crate::crypto::share::Polynomial;
use crate::crypto::tags;
use crate::protocol::fault::Fault;
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::{Kind, pack};
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::Curve as _;

/// Awaits all commitments.
#[derive(Debug)]
pub(super) struct Round1<C: Curve> {
    participant: Participant<C>,
    dealt: Dealt<C>,
    /// KG1, as sent.
    own: Secret<Vec<u8>>,
}

/// The committed values of this participant.
#[derive(Debug)]
pub(super) struct Dealt<C: Curve> {
    /// Without coefficients if it is no dealer, and then all shares are zero.
    pub(super) polynomial: Polynomial<C>,
    /// From the constant term on.
    pub(super) images: Vec<ProjectivePoint<C>>,
    /// The published images, encoded one after the other.
    encoded: Vec<u8>,
    chain_code: [u8; 32],
    salt: [u8; 32],
}

/// Draws this party's polynomial and chain-code share and commits to them.
pub(super) fn start<C: Curve>(participant: Participant<C>) -> Result<Step<Keygen<C>>, Fault> {
    let Participant { terms, seed, .. } = &participant;
    let polynomial = polynomial(&participant);
    let published: Vec<ProjectivePoint<C>> = polynomial
        .coefficients()
        .iter()
        .skip(usize::from(terms.first_power()))
        .map(C::of_generator)
        .collect();
    let dealt = Dealt {
        polynomial,
        encoded: encode_points::<C>(&published).ok_or(bug(Kind::Kg1))?.concat(),
        images: from_constant(terms, published),
        chain_code: seed.bytes("cc"),
        salt: seed.bytes("salt"),
    };
    let commitment = tags::KEYGEN_COMMIT.hash::<C>(&[
        &terms.session,
        &[terms.me.get()],
        &dealt.encoded,
        &dealt.chain_code,
        &dealt.salt,
    ]);
    let nonce: [u8; 32] = seed.bytes("nonce");
    let own = pack(Kind::Kg1, terms.me, None, &terms.session, &[&nonce, &commitment]);
    let messages = terms.to_all(own.expose()).collect();
    Ok(Step::round(Keygen(Round::One(Box::new(Round1 { participant, dealt, own }))), messages))
}

fn polynomial<C: Curve>(participant: &Participant<C>) -> Polynomial<C> {
    let Participant { terms, seed, own } = participant;
    let drawn = |k: u8| seed.scalar::<C>(&format!("poly/{k}"));
    // Of one length, so that it leaves no copies behind.
    let mut coefficients = Vec::with_capacity(usize::from(terms.threshold));
    match (&terms.source, own) {
        (Source::Drawn, _) => coefficients.push(drawn(0)),
        (Source::Zero(_), _) => coefficients.push(Scalar::<C>::ZERO),
        (Source::Held(_), Some(constant)) => coefficients.push(*constant.expose()),
        (Source::Held(_), None) => return Polynomial::new(coefficients),
    }
    coefficients.extend((1..terms.threshold).map(drawn));
    Polynomial::new(coefficients)
}

impl<C: Curve> Round1<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.participant.terms.session
    }

    /// Opens this party's commitment, proves knowledge of the coefficients, and deals the shares.
    pub(super) fn finish(self, messages: &Gathered) -> Result<Step<Keygen<C>>, Fault> {
        let Self { participant, dealt, own } = self;
        let Participant { terms, seed, .. } = &participant;
        // A party that saw another KG1 gets another session from here on.
        let all = messages.with_own(Kind::Kg1, terms.me, own.expose());
        let start = tags::KEYGEN_SID.start::<C>().part(&terms.session);
        let session = all.iter().fold(start, |hash, message| hash.part(message.body())).finish();

        let own = open(&participant, &dealt, &session)?;
        let mut sends: Vec<_> = terms.to_all(own.expose()).collect();
        let mut commitments = Vec::new();
        for message in messages.of(Kind::Kg1) {
            let mut reader = message.reader();
            let (_nonce, commitment) = (reader.array::<32>()?, *reader.array()?);
            commitments.push((message.from, commitment));
        }
        let mut transfers = Vec::new();
        for peer in terms.peers().filter(|peer| terms.receives(*peer)) {
            let share = dealt.polynomial.share_of(peer);
            let share =
                Secret::made(|bytes: &mut [u8; SCALAR]| *bytes = encode_scalar(share.expose()));
            let to_peer = |body: &[&[u8]]| pack(Kind::Kg2p, terms.me, Some(peer), &session, body);
            if !terms.receives(terms.me) {
                sends.push((peer, to_peer(&[share.expose()])));
                continue;
            }
            let zero = Secret::new(seed.bytes(&format!("zero/{peer}")));
            let sid_ot = transfer_session::<C>(&session, terms.me, peer);
            let (receiver, ot1) = base::Receiver::start(&sid_ot, seed, peer.get());
            sends.push((peer, to_peer(&[share.expose(), zero.expose(), &ot1])));
            transfers.push(PeerTransfers { peer, zero, receiver });
        }
        let next = Round2 { participant, dealt, session, own, commitments, transfers };
        Ok(Step::round(Keygen(Round::Two(Box::new(next))), sends))
    }
}

/// KG2B: coefficients, chain-code share, salt, and a proof for each coefficient (§3.2).
fn open<C: Curve>(
    participant: &Participant<C>,
    dealt: &Dealt<C>,
    session: &[u8; 32],
) -> Result<Secret<Vec<u8>>, Fault> {
    let Participant { terms, seed, .. } = participant;
    let mut body = [&dealt.encoded[..], &dealt.chain_code, &dealt.salt].concat();
    for k in terms.powers(terms.me) {
        let (Some(secret), Some(image)) =
            (dealt.polynomial.coefficients().get(usize::from(k)), dealt.images.get(usize::from(k)))
        else {
            return Err(bug(Kind::Kg2b));
        };
        let nonce = Secret::new(seed.scalar::<C>(&format!("pok/{k}")));
        let context: [&[u8]; 2] = [session, &[terms.me.get(), k]];
        let statement = image.to_affine();
        let claim = Claim::<C> { tag: &tags::KEYGEN_POK, context: &context, statement: &statement };
        body.extend(claim.prove(secret, nonce.expose()).ok_or(bug(Kind::Kg2b))?);
    }
    Ok(pack(Kind::Kg2b, terms.me, None, session, &[&body]))
}

impl<C: Curve> Dealt<C> {
    /// This party's chain-code share.
    pub(super) fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }
}
