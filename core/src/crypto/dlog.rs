//! Proof of knowledge of a discrete logarithm: Schnorr with a hashed challenge (docs/protocol.md
//! §3.2).
//!
//! The statement, the prover's index and the session are all inside the challenge, so a proof
//! copied from another party or session does not verify.

use crate::crypto::curve::{
    AffinePoint, Curve, POINT, ProjectivePoint, SCALAR, Scalar, decode_point, decode_scalar,
    encode_point, encode_scalar,
};
use crate::crypto::transcript::Tag;
use k256::elliptic_curve::group::Curve as _;

/// Length of a proof: the nonce point, then the response.
pub const PROOF: usize = POINT + SCALAR;

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidProof {
    /// The bytes do not encode a point and a scalar.
    Malformed,
    /// The equation does not hold.
    Wrong,
}

/// The statement of a proof, and its context.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a, C: Curve> {
    /// Separates proofs of different purposes.
    pub tag: &'a Tag,
    /// Session, prover's index and everything else that binds the proof to its place.
    pub context: &'a [&'a [u8]],
    /// The point whose logarithm is known.
    pub statement: &'a AffinePoint<C>,
}

impl<C: Curve> Claim<'_, C> {
    /// Proves knowledge of `secret`, the logarithm of the statement. `nonce` must not be used
    /// anywhere else.
    ///
    /// `None` if the statement or the nonce is zero, which has no encoding.
    pub fn prove(&self, secret: &Scalar<C>, nonce: &Scalar<C>) -> Option<[u8; PROOF]> {
        let commitment = encode_point(&C::of_generator(nonce).to_affine())?;
        let response = *nonce + self.challenge(&commitment)? * secret;
        let mut proof = [0; PROOF];
        let (left, right) = proof.split_at_mut(POINT);
        left.copy_from_slice(&commitment);
        right.copy_from_slice(&encode_scalar(&response));
        Some(proof)
    }

    /// Checks `z G = T + e X`.
    pub fn verify(&self, proof: &[u8; PROOF]) -> Result<(), InvalidProof> {
        let (commitment, response) = proof.split_at(POINT);
        let nonce: AffinePoint<C> =
            decode_point(commitment).map_err(|_| InvalidProof::Malformed)?;
        let response: Scalar<C> = decode_scalar(response).map_err(|_| InvalidProof::Malformed)?;
        let challenge = self.challenge(commitment).ok_or(InvalidProof::Malformed)?;
        let expected = ProjectivePoint::<C>::from(*self.statement) * challenge + nonce;
        if C::of_generator(&response) == expected { Ok(()) } else { Err(InvalidProof::Wrong) }
    }

    fn challenge(&self, commitment: &[u8]) -> Option<Scalar<C>> {
        let statement = encode_point(self.statement)?;
        let parts: Vec<&[u8]> =
            self.context.iter().copied().chain([&statement[..], commitment]).collect();
        Some(self.tag.hash_to_scalar::<C>(&parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tags;
    use k256::elliptic_curve::ops::MulByGenerator;
    use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1};

    fn public(secret: u64) -> AffinePoint {
        ProjectivePoint::mul_by_generator(&Scalar::from(secret)).to_affine()
    }

    fn claim<'a>(statement: &'a AffinePoint, context: &'a [&'a [u8]]) -> Claim<'a, Secp256k1> {
        Claim::<Secp256k1> { tag: &tags::KEYGEN_POK, context, statement }
    }

    #[test]
    fn a_proof_holds_only_for_its_statement_context_and_tag() {
        let (seven, eight) = (public(7), public(8));
        let honest = claim(&seven, &[b"sid", &[1]]);
        let proof = honest.prove(&Scalar::from(7_u64), &Scalar::from(99_u64)).unwrap();
        assert_eq!(honest.verify(&proof), Ok(()));
        assert_eq!(claim(&eight, &[b"sid", &[1]]).verify(&proof), Err(InvalidProof::Wrong));
        assert_eq!(claim(&seven, &[b"sid", &[2]]).verify(&proof), Err(InvalidProof::Wrong));
        assert_eq!(claim(&seven, &[b"dis", &[1]]).verify(&proof), Err(InvalidProof::Wrong));
        let other = Claim::<Secp256k1> { tag: &tags::KEYGEN_POK_SHARE, ..honest };
        assert_eq!(other.verify(&proof), Err(InvalidProof::Wrong));
    }

    #[test]
    fn nonce_points_and_responses_outside_the_group_are_malformed() {
        let seven = public(7);
        let honest = claim(&seven, &[]);
        let proof = honest.prove(&Scalar::from(7_u64), &Scalar::from(99_u64)).unwrap();
        let (mut bad_point, mut bad_scalar) = (proof, proof);
        bad_point[0] = 0;
        bad_scalar[POINT..].fill(0xff);
        assert_eq!(honest.verify(&bad_point), Err(InvalidProof::Malformed));
        assert_eq!(honest.verify(&bad_scalar), Err(InvalidProof::Malformed));
    }
}
