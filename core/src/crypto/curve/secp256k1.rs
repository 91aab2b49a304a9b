//! secp256k1: `k256`, with faster multiples and hashes than its own.

use std::sync::LazyLock;

use k256::elliptic_curve::BatchNormalize;
use k256::elliptic_curve::bigint::{U256, U512};
use k256::elliptic_curve::ops::{MulByGenerator, Reduce};
use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1};
use zeroize::Zeroizing;

use super::{Arithmetic, Curve};
use crate::crypto::mul::gadget;
use points::{Affine, few, lockstep};

mod oracle;
mod points;

impl Curve for Secp256k1 {
    const NAME: &'static str = "secp256k1";
    const IDENT: u8 = 1;
    const PROTOCOL: &'static str = "DKLS23-SECP256K1-SHA256-V1";
    const DERIVES: bool = true;
}

static GADGET: LazyLock<Box<[Scalar]>> = LazyLock::new(gadget::elements::<Secp256k1>);

impl Arithmetic for Secp256k1 {
    const HASHED: usize = 32;
    const TRANSFERS: &'static str =
        "DKLS23-SECP256K1-SHA256-V1/baseot-h-with-secp256k1_XMD:SHA-256_SSWU_RO_";

    type Base = Affine;

    #[inline]
    fn wide(high: &U256, low: &U256) -> Scalar {
        <Scalar as Reduce<U512>>::reduce(high.concat(low))
    }

    #[inline]
    fn of_generator(scalar: &Scalar) -> ProjectivePoint {
        ProjectivePoint::mul_by_generator(scalar)
    }

    fn few_of_generator<'a>(
        scalars: impl Iterator<Item = &'a Scalar>,
    ) -> Zeroizing<Vec<AffinePoint>> {
        few::multiples_of_generator(scalars)
    }

    fn many_of_generator(scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
        lockstep::multiples_of_generator(scalars)
    }

    fn base(point: &AffinePoint) -> Affine {
        Affine::of_public(point)
    }

    fn multiples(bases: &[Affine], scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
        lockstep::multiples(bases, scalars)
    }

    fn are_differences(
        points: [AffinePoint; 2],
        scalar: &Scalar,
        summands: &[Scalar; 2],
        claimed: &[AffinePoint; 2],
    ) -> [bool; 2] {
        let differences = few::differences(points, scalar, summands);
        let [first, second] = &*differences;
        let is_first = first.is(&claimed[0]);
        [is_first, is_first && second.is(&claimed[1])]
    }

    fn to_affine_all(points: &[ProjectivePoint]) -> Vec<AffinePoint> {
        <ProjectivePoint as BatchNormalize<[ProjectivePoint]>>::batch_normalize(points)
    }

    /// `k256` documents that the identity is allowed here, but panics on one that resulted from an
    /// addition: it compares the third coordinate with zero before reducing it. It panics on no points,
    /// too.
    fn normalize(points: &[ProjectivePoint]) -> Option<Vec<AffinePoint>> {
        if points.is_empty() {
            return Some(Vec::new());
        }
        if points.contains(&ProjectivePoint::IDENTITY) {
            return None;
        }
        Some(Self::to_affine_all(points))
    }

    fn hash_all(
        messages: impl Iterator<Item = Zeroizing<Vec<u8>>>,
        domain: &[u8],
    ) -> Zeroizing<Vec<ProjectivePoint>> {
        oracle::hash_all(messages, domain)
    }

    fn gadget() -> &'static [Scalar] {
        &GADGET
    }
}
