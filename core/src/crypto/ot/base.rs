//! Base transfers: endemic oblivious transfer over the curve (docs/protocol.md §4, after Masny and
//! Rindal 2019/706).
//!
//! ```text
//! A  R[1-b] = o G,  R[b] = t G - h(b, R[1-b])        OT1: R[0], R[1]    per transfer, b secret
//! B  S[x] = s[x] G,  key[x] = H(.., s[x] (R[x] + h(x, R[1-x])))        OT2: S[0], S[1]
//! A  key[b] = H(.., t S[b])
//! ```
//!
//! `h` must hash to points with unknown logarithms: with `hash * G` instead A would learn both
//! keys.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::bits::select;
use super::{BASE, Choices};
use crate::crypto::curve::{
    AffinePoint, Curve, InvalidPoint, POINT, ProjectivePoint, Scalar, decode_point, encode_point,
};
use crate::crypto::seed::SessionSeed;
use crate::crypto::tags;
use crate::crypto::transcript::length_prefixed;
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;

/// Length of OT1 and of OT2: two points per transfer.
pub const MESSAGE: usize = BASE * 2 * POINT;

/// An encoded point.
type Point = [u8; POINT];
/// The key of one branch of one transfer.
type Key = [u8; 32];

/// A between OT1 and OT2.
#[derive(Debug)]
pub struct Receiver<C: Curve> {
    session: [u8; 32],
    choices: Choices<{ BASE / 8 }>,
    /// `t` of every transfer.
    exponents: Secret<[Scalar<C>; BASE]>,
    /// OT1, both branches of every transfer.
    sent: Vec<[Point; 2]>,
}

/// A's result: 128 choice bits and the key of the chosen branch of each transfer.
#[derive(Debug)]
pub struct ChosenKeys {
    pub(super) choices: Choices<{ BASE / 8 }>,
    pub(super) keys: Secret<[Key; BASE]>,
}

/// B's result: both keys of each of the 128 transfers.
#[derive(Debug)]
pub struct BothKeys(pub(super) Secret<[[Key; 2]; BASE]>);

impl<C: Curve> Receiver<C> {
    /// A's first step: draws the choices and returns OT1 (8448 bytes).
    ///
    /// `sid_ot` names session and ordered pair. The seed's labels are `ot1/<peer>/bits`,
    /// `ot1/<peer>/t/<i>` and `ot1/<peer>/o/<i>`.
    pub fn start(sid_ot: &[u8; 32], seed: &SessionSeed, peer: u8) -> (Self, Vec<u8>) {
        let choices = Choices::draw(seed, &format!("ot1/{peer}/bits"));
        let scalar = |name, i| seed.scalar::<C>(&format!("ot1/{peer}/{name}/{i}"));
        let mut exponents = Secret::new([Scalar::<C>::ZERO; BASE]);
        exponents.expose_mut().iter_mut().enumerate().for_each(|(i, t)| *t = scalar("t", i));

        // Room for all: a vector that grows leaves a copy behind that nobody wipes.
        let mut scalars = Zeroizing::new(Vec::with_capacity(2 * BASE));
        scalars.extend_from_slice(exponents.expose());
        scalars.extend((0..BASE).map(|i| scalar("o", i)));
        let multiples = C::many_of_generator(&scalars);
        let (masks, others) = multiples.split_at(BASE);
        let others = encode_affine::<C>(others);

        let branch = |(i, other)| (i, choices.bit(i).unwrap_u8(), other);
        let mut mine = oracle::<C>(sid_ot, others.iter().enumerate().map(branch));
        for (mine, mask) in mine.iter_mut().zip(masks) {
            *mine = -*mine + mask;
        }

        let mut sent = Vec::with_capacity(BASE);
        for (i, (mine, other)) in encode_all::<C>(&mine).iter().zip(others.iter()).enumerate() {
            // The choice decides which of the two points was hashed.
            let choice = choices.bit(i);
            sent.push([select(mine, other, choice), select(other, mine, choice)]);
        }
        let message = sent.as_flattened().as_flattened().to_vec();
        (Self { session: *sid_ot, choices, exponents, sent }, message)
    }

    /// A's last step: the chosen keys from OT2 (8448 bytes).
    ///
    /// Both points of every transfer are decoded: an invalid encoding in the branch that was not
    /// chosen must fail too, or a failure would tell B the choice (§4.3 check 4).
    pub fn finish(self, ot2: &[u8]) -> Result<ChosenKeys, InvalidPoint> {
        let answers = Points::<C>::parse(ot2)?;
        let coordinates = |pair: &[AffinePoint<C>; 2]| pair.each_ref().map(C::base);
        let chosen: Zeroizing<Vec<C::Base>> = Zeroizing::new(
            (answers.decoded.iter().map(coordinates).enumerate())
                .map(|(i, [zero, one])| {
                    C::Base::conditional_select(&zero, &one, self.choices.bit(i))
                })
                .collect(),
        );
        let shared = encode_shared::<C>(&C::multiples(&chosen, self.exponents.expose()))?;

        let mut keys = Secret::new([[0; 32]; BASE]);
        for (i, slot) in keys.expose_mut().iter_mut().enumerate() {
            let choice = self.choices.bit(i);
            let [zero, one] = &answers.encoded[i];
            let answer = Zeroizing::new(select(zero, one, choice));
            *slot =
                key::<C>(&self.session, i, choice.unwrap_u8(), &self.sent[i], &answer, &shared[i]);
        }
        Ok(ChosenKeys { choices: self.choices, keys })
    }
}

/// B's only step: both keys of every transfer, and OT2 (8448 bytes), from OT1 (8448 bytes).
///
/// The seed's labels are `ot2/<peer>/s/<i>/<branch>`. Fails if a point does not decode, or if a sum
/// `R[x] + h(x, R[1-x])` is the identity: the key would not depend on B's exponent.
pub fn send<C: Curve>(
    sid_ot: &[u8; 32],
    seed: &SessionSeed,
    peer: u8,
    ot1: &[u8],
) -> Result<(Vec<u8>, BothKeys), InvalidPoint> {
    let received = Points::<C>::parse(ot1)?;
    let other = |place: usize| &received.encoded.as_flattened()[place ^ 1];
    let branches = (0..2 * BASE).map(|place| (place / 2, (place % 2) as u8, other(place)));
    let oracles = oracle::<C>(sid_ot, branches);
    let points = received.decoded.as_flattened().iter().zip(oracles.iter());
    let bases: Vec<ProjectivePoint<C>> = points.map(|(point, oracle)| *oracle + point).collect();
    let bases: Vec<C::Base> =
        C::normalize(&bases).ok_or(InvalidPoint)?.iter().map(C::base).collect();
    let exponent = |place| seed.scalar::<C>(&format!("ot2/{peer}/s/{}/{}", place / 2, place % 2));
    let exponents: Zeroizing<Vec<Scalar<C>>> =
        Zeroizing::new((0..2 * BASE).map(exponent).collect());

    let answers = encode_affine::<C>(&C::many_of_generator(&exponents));
    let shared = encode_shared::<C>(&C::multiples(&bases, &exponents))?;
    let mut keys = Secret::new([[[0; 32]; 2]; BASE]);
    for (place, slot) in keys.expose_mut().as_flattened_mut().iter_mut().enumerate() {
        let (i, branch) = (place / 2, (place % 2) as u8);
        let sent = &received.encoded[i];
        *slot = key::<C>(sid_ot, i, branch, sent, &answers[place], &shared[place]);
    }
    Ok((answers.as_flattened().to_vec(), BothKeys(keys)))
}

/// A message: both points of every transfer.
struct Points<'a, C: Curve> {
    encoded: &'a [[Point; 2]; BASE],
    decoded: Vec<[AffinePoint<C>; 2]>,
}

impl<'a, C: Curve> Points<'a, C> {
    /// Every point must be valid, and the length exact.
    fn parse(message: &'a [u8]) -> Result<Self, InvalidPoint> {
        if message.len() != MESSAGE {
            return Err(InvalidPoint);
        }
        let encoded: &[[Point; 2]; BASE] =
            message.as_chunks().0.as_chunks().0.try_into().map_err(|_| InvalidPoint)?;
        let decode = |[zero, one]: &[Point; 2]| Ok([decode_point(zero)?, decode_point(one)?]);
        Ok(Self { encoded, decoded: encoded.iter().map(decode).collect::<Result<_, _>>()? })
    }
}

/// `h(i, branch, point)` of every input: points with unknown logarithms. In constant time, since
/// A's branches and points are secret.
fn oracle<'a, C: Curve>(
    sid_ot: &[u8; 32],
    inputs: impl Iterator<Item = (usize, u8, &'a Point)>,
) -> Zeroizing<Vec<ProjectivePoint<C>>> {
    let message = |(index, branch, point): (usize, u8, &Point)| {
        Zeroizing::new(length_prefixed(&[sid_ot, &number(index), &[branch], point]))
    };
    C::hash_all(inputs.map(message), C::TRANSFERS.as_bytes())
}

/// The key of one branch: bound to session, pair, index, branch and both messages.
fn key<C: Curve>(
    sid_ot: &[u8; 32],
    index: usize,
    branch: u8,
    sent: &[Point; 2],
    answer: &Point,
    shared: &Point,
) -> Key {
    let [zero, one] = sent;
    tags::BASEOT_KEY.hash::<C>(&[sid_ot, &number(index), &[branch], zero, one, answer, shared])
}

/// Encodes all points with one inversion.
fn encode_all<C: Curve>(points: &[ProjectivePoint<C>]) -> Zeroizing<Vec<Point>> {
    encode_affine::<C>(&C::to_affine_all(points))
}

/// Encodes all points.
///
/// The identity, which honest exponents give with probability 2^-256, becomes zeros, which no party
/// accepts.
fn encode_affine<C: Curve>(points: &[AffinePoint<C>]) -> Zeroizing<Vec<Point>> {
    Zeroizing::new(points.iter().map(|point| encode_point(point).unwrap_or([0; POINT])).collect())
}

/// Encodes the points that are hashed to keys. Fails at the identity: a key of it is known to everybody, and one
/// inversion that goes wrong makes all of a batch the identity.
fn encode_shared<C: Curve>(
    points: &[AffinePoint<C>],
) -> Result<Zeroizing<Vec<Point>>, InvalidPoint> {
    let encoded = encode_affine::<C>(points);
    let identity: Choice = encoded
        .iter()
        .fold(Choice::from(0), |found, point| found | point.as_slice().ct_eq(&[0; POINT]));
    if bool::from(identity) { Err(InvalidPoint) } else { Ok(encoded) }
}

/// A transfer's number as two big-endian bytes.
fn number(index: usize) -> [u8; 2] {
    (index as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{base_keys, seed, sha_hex, sid_ot};
    use super::*;
    use crate::device::hex;
    use k256::{AffinePoint, Secp256k1};
    use p256::NistP256;

    #[test]
    fn messages_and_keys_match_the_known_answers() {
        let (receiver, ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        assert_eq!(ot1.len(), MESSAGE);
        assert_eq!(
            sha_hex(&ot1),
            "efd62316277d4292b30cc0c08e2cfbdcaec64d690e0b71c2558b8cb6b719edbb"
        );
        let (ot2, both) = send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &ot1).unwrap();
        assert_eq!(ot2.len(), MESSAGE);
        assert_eq!(
            sha_hex(&ot2),
            "453915facf8a40b9aa85ecdc4b6749c38dc1cfb50742c7295cc932a02eea5372"
        );
        assert_eq!(
            sha_hex(both.0.expose().as_flattened().as_flattened()),
            "23278d7d83f1c2ef2676a1625e1ac03d8f5bdd11dabf13f7d25c7c731b88620c"
        );
        let chosen = receiver.finish(&ot2).unwrap();
        assert_eq!(hex(chosen.choices.bytes()), "83ba0605b56370088a34a63ac65ac7a4");
        assert_eq!(
            sha_hex(chosen.keys.expose().as_flattened()),
            "1c899a01bf89328f82933383688cea88fdbc88c54a4197b52d510eec71f01ef5"
        );
    }

    #[test]
    fn the_receiver_knows_the_chosen_key_and_not_the_other() {
        let (chosen, both) = base_keys();
        for (i, (key, both)) in chosen.keys.expose().iter().zip(both.0.expose()).enumerate() {
            let choice = usize::from(chosen.choices.bit(i).unwrap_u8());
            assert_eq!(*key, both[choice]);
            assert_ne!(*key, both[1 - choice]);
        }
    }

    #[test]
    fn the_hash_to_the_curve_is_bound_to_the_protocol() {
        fn is_bound<C: Curve>() -> bool {
            C::TRANSFERS.starts_with(&format!("{}/", C::PROTOCOL))
        }
        assert!(is_bound::<Secp256k1>() && is_bound::<NistP256>());
    }

    #[test]
    fn an_invalid_point_anywhere_in_ot1_is_refused() {
        let (_, ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        for place in [0, 1, 100, 255] {
            let mut off_curve = [0; POINT];
            (off_curve[0], off_curve[32]) = (2, 5);
            for bad in [[0; POINT], off_curve, [0xff; POINT]] {
                let mut message = ot1.clone();
                message[place * POINT..][..POINT].copy_from_slice(&bad);
                let sent = send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &message);
                assert_eq!(sent.unwrap_err(), InvalidPoint, "{place} {bad:?}");
            }
        }
    }

    #[test]
    fn an_invalid_point_in_ot2_is_refused_whatever_was_chosen() {
        let (receiver, ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        let (ot2, _) = send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &ot1).unwrap();
        let choices: Vec<u8> = (0..4).map(|i| receiver.choices.bit(i).unwrap_u8()).collect();
        assert!(choices.contains(&0) && choices.contains(&1));
        for place in 0..8 {
            let mut message = ot2.clone();
            message[place * POINT] = 0;
            let (receiver, _) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
            assert_eq!(receiver.finish(&message).unwrap_err(), InvalidPoint, "{place}");
        }
    }

    #[test]
    fn no_key_is_made_of_the_identity() {
        let [one, none] = [AffinePoint::GENERATOR, AffinePoint::IDENTITY];
        assert!(encode_shared::<Secp256k1>(&[one, one]).is_ok());
        assert_eq!(encode_shared::<Secp256k1>(&[one, none]).unwrap_err(), InvalidPoint);
    }

    #[test]
    fn points_that_add_up_to_the_identity_are_refused() {
        let (_, mut ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        let one: Point = ot1[POINT..2 * POINT].try_into().unwrap();
        let zero = -oracle::<Secp256k1>(&sid_ot(), [(0, 0, &one)].into_iter())[0];
        ot1[..POINT].copy_from_slice(&encode_point(&zero.to_affine()).unwrap());
        assert_eq!(send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, &ot1).unwrap_err(), InvalidPoint);
    }

    #[test]
    fn other_lengths_are_refused() {
        let (_, ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        let longer = [&ot1[..], &[2]].concat();
        for bad in [&[][..], &ot1[1..], &ot1[..MESSAGE - POINT], &longer] {
            assert!(send::<Secp256k1>(&sid_ot(), &seed("bob"), 1, bad).is_err());
            let (receiver, _) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
            assert!(receiver.finish(bad).is_err());
        }
    }

    #[test]
    fn another_session_gives_other_keys() {
        let (receiver, ot1) = Receiver::<Secp256k1>::start(&sid_ot(), &seed("alice"), 2);
        let (ot2, both) = send::<Secp256k1>(&[9; 32], &seed("bob"), 1, &ot1).unwrap();
        let chosen = receiver.finish(&ot2).unwrap();
        for (key, both) in chosen.keys.expose().iter().zip(both.0.expose()) {
            assert!(!both.contains(key));
        }
    }
}
