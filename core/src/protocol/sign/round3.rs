//! Round 3 (docs/protocol.md §7.5): add up the partial signatures, and return only signatures that
//! verify: all of them, or none.

use super::{Item, Round, Terms};
use crate::crypto::curve::{AffinePoint, Curve, POINT, Scalar, decode_point};
use crate::crypto::ecdsa::Signature;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::encoded;
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::Reader;
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;

/// Awaits all partial signatures; none if another party receives the signatures.
#[derive(Debug)]
pub(super) struct Round3<C: Curve> {
    pub(super) terms: Terms<C>,
    /// By item.
    pub(super) own: Vec<Partial<C>>,
}

/// One party's part of a signature.
#[derive(Debug)]
pub(super) struct Partial<C: Curve> {
    /// The joint nonce point, the same on all signers.
    pub(super) nonce_point: AffinePoint<C>,
    /// Part of the denominator.
    pub(super) u: Secret<Scalar<C>>,
    /// Part of the numerator.
    pub(super) w: Secret<Scalar<C>>,
}

impl<C: Curve> Round3<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.terms.session
    }

    /// Makes the signatures, if they are for this party.
    pub(super) fn finish(self, messages: &Gathered) -> Result<Step<Round<C>>, Fault> {
        if !self.terms.receives() {
            return Ok(Step::done(None));
        }
        let mut theirs: Vec<_> =
            messages.of(self.terms.form.partial()).map(|message| message.reader()).collect();
        let items = self.terms.items.iter().zip(&self.own);
        let signatures = items.map(|(item, own)| self.assemble(item, own, &mut theirs));
        Ok(Step::done(Some(signatures.collect::<Result<_, _>>()?)))
    }

    /// Makes one signature; reads the next part of every peer.
    fn assemble(
        &self,
        item: &Item<C>,
        Partial { nonce_point, u, w }: &Partial<C>,
        theirs: &mut [Reader<'_>],
    ) -> Result<Signature<C>, Fault> {
        let nonce_bytes = encoded(nonce_point);
        let (mut denominator, mut numerator) = (*u.expose(), *w.expose());
        for reader in theirs {
            let theirs = reader.bytes(POINT)?;
            if *theirs != nonce_bytes {
                let is_point = decode_point::<AffinePoint<C>>(theirs).is_ok();
                let check = if is_point { Check::RMismatch } else { Check::Malformed };
                return Err(reader.fault(check));
            }
            denominator += reader.scalar::<Scalar<C>>()?;
            numerator += reader.scalar::<Scalar<C>>()?;
        }
        let nobody = |check| Fault::nobody(check, self.terms.form.partial().name());
        // A party that sends last can make either sum zero.
        if denominator == Scalar::<C>::ZERO || numerator == Scalar::<C>::ZERO {
            return Err(nobody(Check::SigZero));
        }
        let s = [&numerator, &denominator];
        Signature::assemble(&item.public_key, &item.digest, nonce_point, s)
            .map_err(|_| nobody(Check::SigInvalid))
    }
}
