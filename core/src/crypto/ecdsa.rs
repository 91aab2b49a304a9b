//! ECDSA signatures: verification, low-S form, recovery id, encodings (docs/protocol.md §7.5).

use std::fmt;

use k256::Secp256k1;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::{Curve as _, Group as _};
use k256::elliptic_curve::ops::Invert;
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::scalar::IsHigh;

use crate::crypto::curve::{
    AffinePoint, Curve, Encoded, ProjectivePoint, SCALAR, Scalar, decode_scalar, encode_scalar,
    reduce,
};

/// A signature that was verified when it was made: low-S, with its recovery id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<C: Curve = Secp256k1> {
    /// The nonce point's x-coordinate modulo the group order.
    pub r: Scalar<C>,
    /// The other half, at most half the group order.
    pub s: Scalar<C>,
    /// Bit 0: the nonce point's y is odd. Bit 1: its x is at or above the group order.
    pub recovery_id: u8,
    /// The key it verifies under: the derived one, if there was a derivation.
    pub public_key: AffinePoint<C>,
}

/// Bytes that are not a signature: of another form, or with a value outside `1 .. q-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSignature;

impl fmt::Display for InvalidSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a signature")
    }
}

impl std::error::Error for InvalidSignature {}

impl<C: Curve> Signature<C> {
    /// Makes the signature `(R.x, s)` of `digest`, in low-S form; `s` is a fraction, numerator first.
    ///
    /// An error unless it verifies under `public_key` and recovers to it. Both at once: the point
    /// `(m/s) G + (r/s) Q` that verification computes must be the nonce point itself, not merely
    /// share its x-coordinate modulo the group order.
    pub fn assemble(
        public_key: &AffinePoint<C>,
        digest: &[u8; 32],
        nonce_point: &AffinePoint<C>,
        [numerator, denominator]: [&Scalar<C>; 2],
    ) -> Result<Self, InvalidSignature> {
        let r = x_mod_order::<C>(nonce_point);
        // In constant time: before the check, `s` may not be the value that the signers agreed to publish. One
        // inversion serves `s` and its inverse.
        let inverse = Option::<Scalar<C>>::from(Invert::invert(&(*numerator * denominator)))
            .ok_or(InvalidSignature)?;
        let s = numerator.square() * inverse;
        let inverse = denominator.square() * inverse;
        let flipped = bool::from(s.is_high());
        let (s, inverse, nonce_point) =
            if flipped { (-s, -inverse, -*nonce_point) } else { (s, inverse, *nonce_point) };
        let seen =
            verification_point::<C>(public_key, digest, &r, &inverse).ok_or(InvalidSignature)?;
        if seen != ProjectivePoint::<C>::from(nonce_point) {
            return Err(InvalidSignature);
        }
        let reduced = encode_scalar(&r) != <[u8; SCALAR]>::from(nonce_point.x());
        let recovery_id = nonce_point.y_is_odd().unwrap_u8() | u8::from(reduced) << 1;
        Ok(Self { r, s, recovery_id, public_key: *public_key })
    }

    /// The signature `(r, s)` of `digest` under `public_key`, with its recovery id, which is
    /// computed. `None` unless it verifies and is in low-S form.
    pub fn recover(
        public_key: &AffinePoint<C>,
        digest: &[u8; 32],
        r: &Scalar<C>,
        s: &Scalar<C>,
    ) -> Option<Self> {
        let inverse = Option::<Scalar<C>>::from(Invert::invert(s))?;
        let nonce_point = verification_point::<C>(public_key, digest, r, &inverse)?.to_affine();
        let signature =
            Self::assemble(public_key, digest, &nonce_point, [s, &Scalar::<C>::ONE]).ok()?;
        (signature.r == *r && signature.s == *s).then_some(signature)
    }

    /// ASN.1 DER, 8 to 72 bytes.
    pub fn der(&self) -> Vec<u8> {
        to_der(&self.r, &self.s)
    }

    /// `r || s`.
    pub fn compact(&self) -> [u8; 64] {
        let mut out = [0; 64];
        let (left, right) = out.split_at_mut(SCALAR);
        left.copy_from_slice(&encode_scalar(&self.r));
        right.copy_from_slice(&encode_scalar(&self.s));
        out
    }

    /// `r || s || recovery id`.
    pub fn recoverable(&self) -> [u8; 65] {
        let mut out = [self.recovery_id; 65];
        if let Some((front, _)) = out.split_first_chunk_mut::<64>() {
            *front = self.compact();
        }
        out
    }
}

/// Whether `(r, s)` is a signature of `digest` under `public_key`. A high `s` is valid here.
///
/// ```
/// use cosign_core::curve::{decode_point, decode_scalar};
/// use cosign_core::k256::{Scalar, Secp256k1};
/// use cosign_core::{ecdsa, unhex};
///
/// let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
/// let bytes = unhex(generator).ok_or("no digits")?;
/// let public_key = decode_point(&bytes).map_err(|_| "no point")?;
/// // With the private key 1 and the nonce 1, both halves of the signature of 0 are the same.
/// let half: Scalar = decode_scalar(&bytes[1..]).map_err(|_| "no scalar")?;
/// let (r, s) = ecdsa::from_der::<Scalar>(&ecdsa::to_der(&half, &half))?;
/// let digest = [0; 32];
/// assert!(ecdsa::verify::<Secp256k1>(&public_key, &digest, &r, &s));
/// assert!(!ecdsa::verify::<Secp256k1>(&public_key, &[1; 32], &r, &s));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify<C: Curve>(
    public_key: &AffinePoint<C>,
    digest: &[u8; 32],
    r: &Scalar<C>,
    s: &Scalar<C>,
) -> bool {
    let inverse = Option::<Scalar<C>>::from(Invert::invert(s));
    inverse
        .and_then(|inverse| verification_point::<C>(public_key, digest, r, &inverse))
        .is_some_and(|point: ProjectivePoint<C>| {
            point != ProjectivePoint::<C>::identity() && x_mod_order::<C>(&point.to_affine()) == *r
        })
}

/// Whether `s` is at most half the group order.
pub fn is_low_s<S: IsHigh>(s: &S) -> bool {
    !bool::from(s.is_high())
}

/// A point's x-coordinate modulo the group order.
pub fn x_mod_order<C: Curve>(point: &AffinePoint<C>) -> Scalar<C> {
    reduce(&point.x().into())
}

/// `(m/s) G + (r/s) Q` from the inverse of `s`; `None` if `r` is zero.
fn verification_point<C: Curve>(
    public_key: &AffinePoint<C>,
    digest: &[u8; 32],
    r: &Scalar<C>,
    inverse: &Scalar<C>,
) -> Option<ProjectivePoint<C>> {
    if *r == Scalar::<C>::ZERO {
        return None;
    }
    // Two multiplications: the generator's tables make this faster than a linear combination.
    let of_generator = C::of_generator(&(reduce::<Scalar<C>>(digest) * inverse));
    Some(of_generator + ProjectivePoint::<C>::from(*public_key) * (*r * inverse))
}

/// Encodes `(r, s)` as ASN.1 DER: `SEQUENCE { INTEGER r, INTEGER s }`.
pub fn to_der<S: Encoded>(r: &S, s: &S) -> Vec<u8> {
    let body = [der_integer(r), der_integer(s)].concat();
    // Two integers of at most 35 bytes: the length always fits the short form.
    [&[0x30, body.len() as u8][..], &body].concat()
}

fn der_integer<S: Encoded>(value: &S) -> Vec<u8> {
    let bytes = encode_scalar(value);
    let zeros = bytes.iter().take_while(|b| **b == 0).count().min(SCALAR - 1);
    let digits = bytes.get(zeros..).unwrap_or_default();
    let pad: &[u8] = if digits.first().is_some_and(|b| *b >= 0x80) { &[0] } else { &[] };
    [&[0x02, (pad.len() + digits.len()) as u8][..], pad, digits].concat()
}

/// Decodes strict DER: no other length form, no superfluous zero, no negative value, nothing after
/// the end, both values from 1 to `q - 1`.
pub fn from_der<S: Encoded>(bytes: &[u8]) -> Result<(S, S), InvalidSignature> {
    let (body, rest) = element(0x30, bytes)?;
    let (r, tail) = element(0x02, body)?;
    let (s, end) = element(0x02, tail)?;
    if !rest.is_empty() || !end.is_empty() {
        return Err(InvalidSignature);
    }
    Ok((integer(r)?, integer(s)?))
}

/// Splits a short-form element with this tag off the front.
fn element(tag: u8, bytes: &[u8]) -> Result<(&[u8], &[u8]), InvalidSignature> {
    let (head, tail) = bytes.split_first_chunk::<2>().ok_or(InvalidSignature)?;
    if head[0] != tag || head[1] >= 0x80 {
        return Err(InvalidSignature);
    }
    tail.split_at_checked(usize::from(head[1])).ok_or(InvalidSignature)
}

fn integer<S: Encoded>(bytes: &[u8]) -> Result<S, InvalidSignature> {
    let digits = match bytes {
        [0, next, ..] if *next < 0x80 => return Err(InvalidSignature),
        [0, digits @ ..] => digits,
        [first, ..] if *first >= 0x80 => return Err(InvalidSignature),
        digits => digits,
    };
    let mut wide = [0; SCALAR];
    let start = SCALAR.checked_sub(digits.len()).ok_or(InvalidSignature)?;
    wide.get_mut(start..).ok_or(InvalidSignature)?.copy_from_slice(digits);
    decode_scalar(&wide).ok().filter(|v: &S| *v != S::ZERO).ok_or(InvalidSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::decode_point;
    use k256::U256;
    use k256::elliptic_curve::bigint::ArrayEncoding;
    use k256::elliptic_curve::ops::MulByGenerator;
    use k256::{AffinePoint, ProjectivePoint, Scalar};
    use proptest::prelude::*;

    /// A single-key signer, for comparison.
    fn sign(key: u64, nonce: u64, digest: &[u8; 32]) -> (AffinePoint, AffinePoint, Scalar) {
        let (key, nonce) = (Scalar::from(key), Scalar::from(nonce));
        let nonce_point = ProjectivePoint::mul_by_generator(&nonce).to_affine();
        let r = x_mod_order::<Secp256k1>(&nonce_point);
        let s = nonce.invert().unwrap() * (reduce::<Scalar>(digest) + r * key);
        (ProjectivePoint::mul_by_generator(&key).to_affine(), nonce_point, s)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn assembled_signatures_are_low_and_recover_to_the_key(
            key in 1_u64.., nonce in 1_u64.., digest: [u8; 32],
        ) {
            let (public_key, nonce_point, s) = sign(key, nonce, &digest);
            let signature = Signature::<Secp256k1>::assemble(&public_key, &digest, &nonce_point, [&s, &Scalar::ONE]).unwrap();
            prop_assert!(is_low_s(&signature.s));
            prop_assert!(verify::<Secp256k1>(&public_key, &digest, &signature.r, &signature.s));
            let recovered = k256::ecdsa::VerifyingKey::recover_from_prehash(
                &digest,
                &k256::ecdsa::Signature::from_scalars(signature.r, signature.s).unwrap(),
                k256::ecdsa::RecoveryId::from_byte(signature.recovery_id).unwrap(),
            ).unwrap();
            prop_assert_eq!(*recovered.as_affine(), public_key);
            let again = |digest, s| Signature::<Secp256k1>::recover(&public_key, digest, &signature.r, &s);
            prop_assert_eq!(again(&digest, signature.s), Some(signature));
            prop_assert_eq!(again(&digest, -signature.s), None);
            prop_assert_eq!(again(&[!digest[0]; 32], signature.s), None);
        }

        #[test]
        fn der_is_what_other_implementations_write(key in 1_u64.., nonce in 1_u64.., digest: [u8; 32]) {
            let (public_key, nonce_point, s) = sign(key, nonce, &digest);
            let signature = Signature::<Secp256k1>::assemble(&public_key, &digest, &nonce_point, [&s, &Scalar::ONE]).unwrap();
            let theirs = k256::ecdsa::Signature::from_scalars(signature.r, signature.s).unwrap().to_der();
            prop_assert_eq!(signature.der(), theirs.as_bytes());
            prop_assert_eq!(from_der(&signature.der()), Ok((signature.r, signature.s)));
        }

        #[test]
        fn no_bytes_make_the_der_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((r, s)) = from_der::<Scalar>(&bytes) {
                prop_assert_eq!(to_der(&r, &s), bytes);
            }
        }
    }

    #[test]
    fn a_signature_of_another_digest_key_or_nonce_is_not_assembled() {
        let (public_key, nonce_point, s) = sign(5, 7, &[1; 32]);
        let (other, other_nonce, _) = sign(6, 8, &[1; 32]);
        assert!(
            Signature::<Secp256k1>::assemble(
                &public_key,
                &[2; 32],
                &nonce_point,
                [&s, &Scalar::ONE]
            )
            .is_err()
        );
        assert!(
            Signature::<Secp256k1>::assemble(&other, &[1; 32], &nonce_point, [&s, &Scalar::ONE])
                .is_err()
        );
        assert!(
            Signature::<Secp256k1>::assemble(
                &public_key,
                &[1; 32],
                &other_nonce,
                [&s, &Scalar::ONE]
            )
            .is_err()
        );
        assert!(
            Signature::<Secp256k1>::assemble(
                &public_key,
                &[1; 32],
                &nonce_point,
                [&Scalar::ZERO, &s]
            )
            .is_err()
        );
        assert!(
            Signature::<Secp256k1>::assemble(
                &public_key,
                &[1; 32],
                &-nonce_point,
                [&s, &Scalar::ONE]
            )
            .is_err()
        );
    }

    /// No search finds such a nonce, so the point is chosen first and the key computed from it.
    #[test]
    fn a_nonce_point_with_x_above_the_order_sets_the_second_bit() {
        let order =
            U256::from_be_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        let decoded = (1_u32..).find_map(|above| {
            let x = order.wrapping_add(&U256::from_u32(above)).to_be_byte_array();
            decode_point::<AffinePoint>(&[&[2], &x[..]].concat()).ok()
        });
        let digest = [3; 32];
        for nonce_point in [decoded.unwrap(), -decoded.unwrap()] {
            let r = x_mod_order::<Secp256k1>(&nonce_point);
            for s in [Scalar::from(9_u64), -Scalar::from(9_u64)] {
                // Q = (s R - m G) / r, so that (m/s) G + (r/s) Q = R.
                let sum = ProjectivePoint::from(nonce_point) * s
                    - ProjectivePoint::mul_by_generator(&reduce(&digest));
                let public_key = (sum * r.invert().unwrap()).to_affine();
                let made = Signature::<Secp256k1>::assemble(
                    &public_key,
                    &digest,
                    &nonce_point,
                    [&s, &Scalar::ONE],
                )
                .unwrap();
                assert_eq!(made.recovery_id & 2, 2);
                let recovered = k256::ecdsa::VerifyingKey::recover_from_prehash(
                    &digest,
                    &k256::ecdsa::Signature::from_scalars(made.r, made.s).unwrap(),
                    k256::ecdsa::RecoveryId::from_byte(made.recovery_id).unwrap(),
                );
                assert_eq!(*recovered.unwrap().as_affine(), public_key);
            }
        }
    }

    #[test]
    fn der_that_is_not_canonical_is_refused() {
        let good = to_der(&Scalar::from(0x80_u64), &Scalar::from(1_u64));
        assert_eq!(good, [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
        assert!(from_der::<Scalar>(&good).is_ok());
        let zero = to_der(&Scalar::ZERO, &Scalar::from(1_u64));
        assert_eq!(zero, [0x30, 6, 2, 1, 0, 2, 1, 1], "an integer has a digit");
        assert_eq!(from_der::<Scalar>(&zero), Err(InvalidSignature));
        for bad in [
            &[0x30, 8, 2, 2, 0, 0x80, 2, 1, 1, 0][..], // something after s
            &[0x30, 7, 2, 2, 0, 0x80, 2, 1, 1, 0],     // something after the end
            &[0x30, 0x81, 7, 2, 2, 0, 0x80, 2, 1, 1],  // long form
            &[0x30, 6, 2, 1, 0x80, 2, 1, 1],           // negative
            &[0x30, 8, 2, 3, 0, 0, 0x80, 2, 1, 1],     // superfluous zero
            &[0x30, 7, 2, 2, 0, 0x80, 2, 1, 0],        // zero
            &[0x30, 6, 2, 2, 0, 0x80, 2, 0],           // empty integer
            &[0x31, 7, 2, 2, 0, 0x80, 2, 1, 1],        // no sequence
            &[0x30],
            &[],
        ] {
            assert_eq!(from_der::<Scalar>(bad), Err(InvalidSignature), "{bad:?}");
        }
    }
}
