//! Round 3 (docs/protocol.md §7.5): add up the partial signatures, and return only a signature that
//! verifies.

use k256::{AffinePoint, Scalar};

use super::{Signed, Signing, Terms};
use crate::crypto::curve::{POINT, decode_point};
use crate::crypto::ecdsa::Signature;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::encoded;
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::Kind;
use crate::secret::Secret;

/// Awaits all partial signatures; none if another party receives the signature.
#[derive(Debug)]
pub(super) struct Round3 {
    pub(super) terms: Terms,
    pub(super) own: Partial,
}

/// One party's part of a signature.
#[derive(Debug)]
pub(super) struct Partial {
    /// The joint nonce point, the same on all signers.
    pub(super) nonce_point: AffinePoint,
    /// Part of the denominator.
    pub(super) u: Secret<Scalar>,
    /// Part of the numerator.
    pub(super) w: Secret<Scalar>,
}

impl Round3 {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.terms.session
    }

    /// Makes the signature, if it is for this party.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Signing>, Fault> {
        if !self.terms.receives() {
            return Ok(Step::done(Signed::Delivered));
        }
        let Partial { nonce_point, u, w } = &self.own;
        let nonce_bytes = encoded(nonce_point);
        let (mut denominator, mut numerator) = (*u.expose(), *w.expose());
        for message in messages.of(Kind::Sg3) {
            let mut reader = message.reader();
            let theirs = reader.bytes(POINT)?;
            if *theirs != nonce_bytes {
                let is_point = decode_point(theirs).is_ok();
                let check = if is_point { Check::RMismatch } else { Check::Malformed };
                return Err(message.fault(check));
            }
            denominator += reader.scalar()?;
            numerator += reader.scalar()?;
        }
        let nobody = |check| Fault::nobody(check, Kind::Sg3.name());
        // A party that sends last can make either sum zero.
        if denominator == Scalar::ZERO || numerator == Scalar::ZERO {
            return Err(nobody(Check::SigZero));
        }
        let Terms { setup, public_key, .. } = &self.terms;
        let s = [&numerator, &denominator];
        let signature = Signature::assemble(public_key, &setup.digest, nonce_point, s)
            .map_err(|_| nobody(Check::SigInvalid))?;
        Ok(Step::done(Signed::Signature(signature)))
    }
}
