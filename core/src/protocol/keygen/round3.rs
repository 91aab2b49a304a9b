//! Round 3 (docs/protocol.md §3.4): compare the derived values, finish the transfers, store the
//! share.

use std::marker::PhantomData;

use super::round2::{Derived, proof_fault};
use super::round4::Round4;
use super::{Keygen, Round, Terms, bug, transfer_session};
use crate::crypto::curve::{AffinePoint, Curve, Scalar};
use crate::crypto::dlog::Claim;
use crate::crypto::ot::base;
use crate::crypto::ot::tree::{self, SenderTrees};
use crate::crypto::tags;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::{
    Confirmation, KeyShare, Leaving, Pair, Pending, PublicKey, Statements, Status, encoded,
};
use crate::protocol::machine::{Gathered, Persist, Step};
use crate::protocol::wire::{Kind, Received, pack};
use crate::secret::Secret;

/// Awaits the derived values of all parties, and the trees.
#[derive(Debug)]
pub(super) struct Round3<C: Curve> {
    pub(super) terms: Terms<C>,
    pub(super) session: [u8; 32],
    pub(super) derived: Derived<C>,
    /// `None` for a dealer that leaves.
    pub(super) own: Option<Own<C>>,
}

/// The part of a party of the key.
#[derive(Debug)]
pub(super) struct Own<C: Curve> {
    /// KG3B, as sent.
    pub(super) message: Secret<Vec<u8>>,
    pub(super) secret: Secret<Scalar<C>>,
    /// In index order.
    pub(super) trees: Vec<PeerTrees<C>>,
}

/// The state of the trees with one peer.
#[derive(Debug)]
pub(super) struct PeerTrees<C: Curve> {
    pub(super) peer: PartyId,
    pub(super) zero_seed: Secret<[u8; 32]>,
    pub(super) as_sender: SenderTrees,
    pub(super) receiver: base::Receiver<C>,
}

impl<C: Curve> Round3<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// Compares, finishes the transfers, and makes the share. It is stored before this party
    /// confirms it. A dealer that leaves compares, and waits for the confirmations of the others.
    pub(super) fn finish(self, messages: &Gathered) -> Result<Step<Keygen<C>>, Fault> {
        messages.of(Kind::Kg3b).try_for_each(|message| self.compare(&message))?;
        let Self { terms, session, derived, own } = self;
        let Derived { view, point, shares, chain_code } = derived;

        let encoded_point = encoded(&point);
        let epoch = tags::KEYGEN_EPOCH.hash::<C>(&[&session, &view, &encoded_point, &chain_code]);
        let all = match &own {
            Some(own) => messages.with_own(Kind::Kg3b, terms.me, own.message.expose()),
            None => messages.of(Kind::Kg3b).collect(),
        };
        let start = tags::KEYGEN_VIEW3.start::<C>().part(&session);
        let view = all.iter().fold(start, |hash, message| hash.part(message.bytes)).finish();
        let statements = Statements { epoch, view, count: terms.count, curve: PhantomData };

        let Some(Own { secret, trees, .. }) = own else {
            let next = Round4 { session, statements, of_two: false };
            let leaving = Persist::Leaving(Leaving(statements));
            return Ok(Step::round(Keygen(Round::Four(next)), Vec::new()).after(vec![leaving]));
        };
        let mut pairs = Vec::with_capacity(trees.len());
        for (peer, message) in trees.into_iter().zip(messages.of(Kind::Kg3p)) {
            pairs.push(finish_transfers(&session, terms.me, peer, &message)?);
        }
        let confirmation = Confirmation { statements, me: terms.me };
        let own = pack(Kind::Kg4b, terms.me, None, &session, &[&confirmation.message()]);
        let sends = terms.to_all(own.expose()).collect();
        let Terms { threshold, count, me, mut identities, .. } = terms;
        identities.truncate(usize::from(count));
        let public = PublicKey { threshold, epoch, point, shares, chain_code, identities };
        let share = KeyShare::new(public, me, secret, pairs).map_err(|_| bug(Kind::Kg4b))?;
        let next = Round4 { session, statements, of_two: count == 2 };
        let pending = Persist::PendingShare(Box::new(Pending { share, confirmation }));
        Ok(Step::round(Keygen(Round::Four(next)), sends).after(vec![pending]))
    }

    /// Compares KG3B of one peer with what this party saw and derived.
    fn compare(&self, message: &Received<'_>) -> Result<(), Fault> {
        let mut reader = message.reader();
        if reader.array::<32>()? != &self.derived.view {
            // A party sent the two of us different messages; it need not be this peer.
            return Err(Fault::nobody(Check::View, Kind::Kg3b.name()));
        }
        if reader.point::<AffinePoint<C>>()? != self.derived.point {
            return Err(message.fault(Check::QMismatch));
        }
        if reader.array::<32>()? != &self.derived.chain_code {
            return Err(message.fault(Check::ChainCode));
        }
        let statement = self.derived.share_of(message.from).ok_or(bug(Kind::Kg3b))?;
        let context: [&[u8]; 3] = [&self.session, &self.derived.view, &[message.from.get()]];
        let claim = Claim::<C> { tag: &tags::KEYGEN_POK_SHARE, context: &context, statement };
        claim.verify(reader.array()?).map_err(|reason| message.fault(proof_fault(reason)))
    }
}

/// KG3P of one peer: the chosen keys, then the trees below them.
fn finish_transfers<C: Curve>(
    session: &[u8; 32],
    me: PartyId,
    peer: PeerTrees<C>,
    message: &Received<'_>,
) -> Result<Pair, Fault> {
    let mut reader = message.reader();
    let ot2 = reader.bytes(base::MESSAGE)?;
    let keys = peer.receiver.finish(ot2).map_err(|_| message.fault(Check::BaseOtPoint))?;
    let sid_ot = transfer_session::<C>(session, me, peer.peer);
    let as_receiver = tree::evaluate::<C>(&sid_ot, keys, reader.rest())
        .map_err(|_| message.fault(Check::Pprf))?;
    Ok(Pair {
        zero_seed: peer.zero_seed,
        as_sender: peer.as_sender,
        as_receiver,
        status: Status::default(),
    })
}
