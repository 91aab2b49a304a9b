//! What depends on the curve ([`Curve`]), and the encoding of points and scalars: canonical, and
//! without the identity.
//!
//! Everything else is written once, for any curve of a prime order of 256 bits.

use k256::elliptic_curve::bigint::U256;
use k256::elliptic_curve::consts::{U32, U33};
use k256::elliptic_curve::generic_array::GenericArray;
use k256::elliptic_curve::group::prime::PrimeCurveAffine;
use k256::elliptic_curve::group::{Group as _, GroupEncoding};
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::AffineCoordinates;
pub use k256::elliptic_curve::{AffinePoint, ProjectivePoint, Scalar};
use k256::elliptic_curve::{CurveArithmetic, PrimeCurve, PrimeField};
use subtle::ConditionallySelectable;
use zeroize::{Zeroize, Zeroizing};

mod p256;
mod secp256k1;

/// Length of an encoded point: SEC1, compressed.
pub const POINT: usize = 33;
/// Length of an encoded scalar: big-endian, below the group order.
pub const SCALAR: usize = 32;

/// How many curves there are; their numbers are those from 1 to this one.
pub(crate) const CURVES: usize = 2;

/// A curve that keys are made on: secp256k1 or P-256.
pub trait Curve: Arithmetic {
    /// Its name for people.
    const NAME: &'static str;
    /// Its number, where data say of which curve they are.
    const IDENT: u8;
    /// Name and version of the protocol on this curve; part of every tag.
    const PROTOCOL: &'static str;
    /// Whether wallets derive keys from a key on this curve (BIP-32). Else every tweak but zero is
    /// refused.
    const DERIVES: bool;
}

/// The part of [`Curve`] that nobody else implements or calls.
pub trait Arithmetic:
    PrimeCurve<Uint = U256, FieldBytesSize = U32>
    + CurveArithmetic<
        Scalar: Sync,
        AffinePoint: PrimeCurveAffine<
            Curve = <Self as CurveArithmetic>::ProjectivePoint,
            Scalar = <Self as CurveArithmetic>::Scalar,
        > + GroupEncoding<Repr = GenericArray<u8, U33>>,
    >
{
    /// Bytes of hash that become a scalar, 32 or 48. With 32 the bias is that of `2^256 mod q`, which only
    /// an order close to 2^256 makes small.
    const HASHED: usize;

    /// Separates the base transfers' hash to the curve from all others.
    const TRANSFERS: &'static str;

    /// A point in the form in which [`multiples`](Self::multiples) takes it.
    type Base: Copy + ConditionallySelectable + Zeroize;

    /// `high 2^256 + low` modulo the group order.
    fn wide(high: &U256, low: &U256) -> Scalar<Self>;

    /// `scalar G`, from tables.
    fn of_generator(scalar: &Scalar<Self>) -> ProjectivePoint<Self>;

    /// `scalar G` of one or a few secret scalars that were drawn at random.
    fn few_of_generator<'a>(
        scalars: impl Iterator<Item = &'a Scalar<Self>>,
    ) -> Zeroizing<Vec<AffinePoint<Self>>>;

    /// `scalar G` of hundreds of secret scalars that were drawn at random.
    fn many_of_generator(scalars: &[Scalar<Self>]) -> Zeroizing<Vec<AffinePoint<Self>>>;

    /// The form of a public point.
    fn base(point: &AffinePoint<Self>) -> Self::Base;

    /// `scalar base` of hundreds of points and secret scalars that were drawn at random.
    fn multiples(
        bases: &[Self::Base],
        scalars: &[Scalar<Self>],
    ) -> Zeroizing<Vec<AffinePoint<Self>>>;

    /// Whether `scalar point_i - summand_i G` is `claimed_i`. All points are public; the first that is not
    /// claimed ends it.
    fn are_differences(
        points: [AffinePoint<Self>; 2],
        scalar: &Scalar<Self>,
        summands: &[Scalar<Self>; 2],
        claimed: &[AffinePoint<Self>; 2],
    ) -> [bool; 2];

    /// Affine coordinates of at least one point, none of which is the identity.
    fn to_affine_all(points: &[ProjectivePoint<Self>]) -> Vec<AffinePoint<Self>>;

    /// Affine coordinates of many points with few field inversions; `None` if one of them is the identity.
    fn normalize(points: &[ProjectivePoint<Self>]) -> Option<Vec<AffinePoint<Self>>>;

    /// Hashes every message to a point with unknown discrete logarithm, in constant time (RFC 9380), under
    /// `domain`.
    fn hash_all(
        messages: impl Iterator<Item = Zeroizing<Vec<u8>>>,
        domain: &[u8],
    ) -> Zeroizing<Vec<ProjectivePoint<Self>>>;

    /// The gadget vector, made once ([`crate::crypto::mul::gadget`]).
    fn gadget() -> &'static [Scalar<Self>];
}

/// Digits of four bits in a scalar.
const DIGITS: usize = 64;

/// The multiples of `16^i G` by 1, 3 .. 15, for every place `i` of a digit: eight for each.
fn odd_multiples<C: Curve>() -> Vec<ProjectivePoint<C>> {
    let mut points = Vec::with_capacity(8 * DIGITS);
    let mut place = ProjectivePoint::<C>::generator();
    for _ in 0..DIGITS {
        let twice = place.double();
        points.extend(std::iter::successors(Some(place), |odd| Some(*odd + twice)).take(8));
        place = twice.double().double().double();
    }
    points
}

/// Bytes that do not encode a point of the curve, or encode the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPoint;

/// Bytes that do not encode a scalar below the group order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScalar;

/// Decodes a compressed point. The identity has no encoding.
///
/// The curves' own `GroupEncoding` decodes 33 zero bytes to the identity, and SEC1's compact form, so the
/// first byte is checked here.
pub fn decode_point<P>(bytes: &[u8]) -> Result<P, InvalidPoint>
where
    P: GroupEncoding<Repr = GenericArray<u8, U33>>,
{
    let bytes: &[u8; POINT] = bytes.try_into().map_err(|_| InvalidPoint)?;
    if !matches!(bytes[0], 2 | 3) {
        return Err(InvalidPoint);
    }
    Option::<P>::from(P::from_bytes(bytes.into())).ok_or(InvalidPoint)
}

/// Encodes a point; `None` for the identity, which has no encoding.
///
/// Points may be secret here, and the curves' own encoding branches on the first byte, and so on the
/// parity of y.
pub fn encode_point<P>(point: &P) -> Option<[u8; POINT]>
where
    P: PrimeCurveAffine + AffineCoordinates<FieldRepr = GenericArray<u8, U32>>,
{
    if bool::from(point.is_identity()) {
        return None;
    }
    let mut encoded = [0; POINT];
    let [first, x @ ..] = &mut encoded;
    *first = 2 + point.y_is_odd().unwrap_u8();
    x.copy_from_slice(&point.x());
    Some(encoded)
}

/// Encodes many points with few field inversions; `None` if one of them is the identity.
pub fn encode_points<C: Curve>(points: &[ProjectivePoint<C>]) -> Option<Vec<[u8; POINT]>> {
    C::normalize(points)?.iter().map(encode_point).collect()
}

/// A scalar, by how it is encoded.
pub trait Encoded: PrimeField<Repr = GenericArray<u8, U32>> {}

impl<S: PrimeField<Repr = GenericArray<u8, U32>>> Encoded for S {}

/// Decodes a scalar. A value that is not below the group order is refused, not reduced.
pub fn decode_scalar<S: Encoded>(bytes: &[u8]) -> Result<S, InvalidScalar> {
    let bytes: [u8; SCALAR] = bytes.try_into().map_err(|_| InvalidScalar)?;
    Option::<S>::from(S::from_repr(bytes.into())).ok_or(InvalidScalar)
}

/// Encodes a scalar as 32 big-endian bytes.
pub fn encode_scalar<S: Encoded>(scalar: &S) -> [u8; SCALAR] {
    scalar.to_repr().into()
}

/// A big-endian 256-bit integer modulo the group order. For digests, never for input, nor for what must be
/// a uniform scalar.
pub fn reduce<S>(digest: &[u8; 32]) -> S
where
    S: Reduce<U256, Bytes = GenericArray<u8, U32>>,
{
    S::reduce_bytes(digest.into())
}

/// A big-endian 384-bit integer modulo the group order, with a bias of about 2^-130.
pub(crate) fn reduce_wide<C: Curve>(hash: &[u8; 48]) -> Scalar<C> {
    let (high, low) = hash.split_at(16);
    let mut wide = [0; 32];
    wide[16..].copy_from_slice(high);
    let scalar = C::wide(&U256::from_be_slice(&wide), &U256::from_be_slice(low));
    wide.zeroize();
    scalar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::transcript::length_prefixed;
    use crate::device::{hex, unhex};
    use ::p256::NistP256;
    use k256::elliptic_curve::group::Curve as _;
    use k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1};

    fn hash<C: Curve>(message: &[u8], domain: &str) -> String {
        let hashed = C::hash_all([message.to_vec().into()].into_iter(), domain.as_bytes());
        hex(&encode_point(&hashed[0].to_affine()).unwrap())
    }

    #[test]
    fn hash_to_curve_matches_rfc_9380() {
        let x = |message: &[u8]| {
            hash::<Secp256k1>(message, "QUUX-V01-CS02-with-secp256k1_XMD:SHA-256_SSWU_RO_")
        };
        assert_eq!(
            x(b"")[2..],
            *"c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346"
        );
        assert_eq!(
            x(b"abc")[2..],
            *"3377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b"
        );
        let x = |message: &[u8]| {
            hash::<NistP256>(message, "QUUX-V01-CS02-with-P256_XMD:SHA-256_SSWU_RO_")
        };
        assert_eq!(
            x(b"")[2..],
            *"2c15230b26dbc6fc9a37051158c95b79656e17a1a920b11394ca91c44247d3e4"
        );
        assert_eq!(
            x(b"abc")[2..],
            *"0bb8b87485551aa43ed54f009230450b492fead5f1cc91658775dac4a3388a0f"
        );
    }

    #[test]
    fn hash_to_curve_matches_our_own_known_answer() {
        assert_eq!(
            hash::<Secp256k1>(&length_prefixed(&[b"kat"]), Secp256k1::TRANSFERS),
            "02ac7f79350e45207ffa2c459336ad608bf36f7a7756c8bd52ef86d9dc8b387f37"
        );
    }

    #[test]
    fn points_that_are_no_points_are_refused() {
        let mut off_curve = [0; 33];
        off_curve[0] = 2;
        off_curve[32] = 5;
        let mut x_is_p =
            unhex("02fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f").unwrap();
        let uncompressed_prefix = [4; 33];
        for bad in
            [&[0; 33][..], &off_curve, &x_is_p, &uncompressed_prefix, &[2; 32], &[], &[2; 65]]
        {
            assert_eq!(decode_point::<AffinePoint>(bad), Err(InvalidPoint));
        }
        x_is_p.truncate(0);
        let generator: AffinePoint = ProjectivePoint::GENERATOR.into();
        let encoded = encode_point(&generator).unwrap();
        assert_eq!(decode_point(&encoded), Ok(generator));
        // SEC1's compact form, 05 and x, which `k256` decodes: a second encoding of one point.
        for prefix in (0..=255).filter(|prefix| !matches!(prefix, 2 | 3)) {
            let mut bad = encoded;
            bad[0] = prefix;
            assert_eq!(decode_point::<AffinePoint>(&bad), Err(InvalidPoint), "{prefix}");
        }
        assert_eq!(encode_point(&AffinePoint::IDENTITY), None);
    }

    #[test]
    fn a_point_is_encoded_as_others_encode_it() {
        use k256::elliptic_curve::sec1::ToEncodedPoint;

        let mut point = ProjectivePoint::GENERATOR;
        for _ in 0..64 {
            point += ProjectivePoint::GENERATOR;
            let point = point.to_affine();
            assert_eq!(encode_point(&point).unwrap(), point.to_encoded_point(true).as_bytes());
        }
    }

    fn finds_an_identity<C: Curve>() {
        let generator = super::ProjectivePoint::<C>::generator();
        let identity = super::ProjectivePoint::<C>::identity();
        let sum = generator.double() + generator;
        let cancelled = sum - generator - generator.double();
        for identity in [identity, cancelled, generator * super::Scalar::<C>::from(0_u64)] {
            assert_eq!(C::normalize(&[generator, identity]), None);
            assert_eq!(encode_points::<C>(&[identity, sum]), None);
        }
        assert_eq!(C::normalize(&[sum]), Some(vec![sum.into()]));
        assert_eq!(C::normalize(&[]), Some(vec![]));
    }

    #[test]
    fn an_identity_among_many_points_is_found_wherever_it_came_from() {
        finds_an_identity::<Secp256k1>();
        finds_an_identity::<NistP256>();
    }

    #[test]
    fn scalars_at_and_above_the_order_are_refused() {
        let order =
            unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
        for bad in [&order[..], &[0xff; 32], &[1; 31], &[]] {
            assert_eq!(decode_scalar::<Scalar>(bad), Err(InvalidScalar));
        }
        assert_eq!(decode_scalar(&[0; 32]), Ok(Scalar::ZERO));
    }
}
