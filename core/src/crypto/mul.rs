//! Two-party multiplication: a product becomes a sum (docs/protocol.md §6, DKLs23 protocol 5.2).
//!
//! A holds two scalars `a_0`, `a_1`, B the factor `chi`, which his choices fix. In the end A has
//! `c_i`, B has `d_i`, and `c_i + d_i = a_i chi`. Neither learns anything else.
//!
//! Per transfer A sends her inputs, and one random scalar, masked by the difference of her two pads.
//! A hash over a random combination, whose coefficients depend on everything sent, convinces B that
//! all transfers carry the same inputs.

use std::marker::PhantomData;

use cosign_sha256::{LANES, State};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::crypto::curve::{
    Curve, InvalidScalar, SCALAR, Scalar, decode_scalar, encode_scalar, reduce, reduce_wide,
};
use crate::crypto::ot::extension::{Checked, Extended};
use crate::crypto::ot::{CHOICES, ShortHash};
use crate::crypto::tags;
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;
use sum::Sum;

pub(crate) mod gadget;
mod sum;

/// Length of A's message: three corrections per transfer, the combined inputs, the verdict.
pub const MESSAGE: usize = CORRECTIONS + SCALAR + 32;

/// Length of the corrections.
const CORRECTIONS: usize = CHOICES * WIDTH * SCALAR;

/// Scalars per transfer: the two inputs and one that masks the check.
const WIDTH: usize = 3;

/// The scalars one party has of all transfers.
type Table<C> = Secret<Vec<[Scalar<C>; WIDTH]>>;

/// Why A's message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MulError {
    /// Wrong length, or a scalar at or above the group order. Nothing secret was touched.
    Malformed,
    /// The transfers do not carry the same inputs. The pair must be retired (§5.4).
    Check,
}

impl From<InvalidScalar> for MulError {
    fn from(_: InvalidScalar) -> Self {
        Self::Malformed
    }
}

/// A's step: the message for B (40000 bytes) and her summands `c`.
///
/// `pair_session` (`sid_p`) names session, ordered pair and B's nonce, `alice_nonce` is A's (`nu_A`), `ahat` a fresh random
/// scalar.
pub fn multiply<C: Curve>(
    pair_session: &[u8; 32],
    alice_nonce: &[u8; 32],
    checked: Checked,
    inputs: [&Scalar<C>; 2],
    ahat: Secret<Scalar<C>>,
) -> (Vec<u8>, Secret<[Scalar<C>; 2]>) {
    let session = Session::<C> { pair_session, alice_nonce, h_u: &checked.h_u, curve: PhantomData };
    let inputs = Zeroizing::new([*inputs[0], *inputs[1], *ahat.expose()]);
    let (zeros, corrections) = session.correct(&checked, &inputs);
    let message = session.prove(&inputs, &zeros, corrections);
    let mut summands = gadget_sums::<C>(&zeros);
    summands.expose_mut().iter_mut().for_each(|summand: &mut Scalar<C>| *summand = -*summand);
    (message, summands)
}

/// B's step: checks A's message (40000 bytes) and returns his summands `d`.
pub fn receive<C: Curve>(
    pair_session: &[u8; 32],
    alice_nonce: &[u8; 32],
    extended: &Extended<C>,
    message: &[u8],
) -> Result<Secret<[Scalar<C>; 2]>, MulError> {
    let message = Message::<C>::parse(message)?;
    let session =
        Session::<C> { pair_session, alice_nonce, h_u: &extended.h_u, curve: PhantomData };
    let chosen = session.choose(extended, &message.scalars);
    let transcript = session.transcript(message.corrections);
    let mus = chosen.expose().iter().enumerate().map(|(j, chosen)| {
        transcript.combine(chosen) - masked::<C>(&message.eta, extended.choices.bit(j))
    });
    let verdict = transcript.verdict(&encode_scalar(&message.eta), mus);
    if bool::from(verdict.ct_eq(message.verdict)) {
        Ok(gadget_sums::<C>(&chosen))
    } else {
        Err(MulError::Check)
    }
}

/// The context of one multiplication, different from all others: the pair's session with B's nonce,
/// A's nonce, the hash of B's corrections.
#[derive(Clone, Copy)]
struct Session<'a, C> {
    pair_session: &'a [u8; 32],
    alice_nonce: &'a [u8; 32],
    h_u: &'a [u8; 32],
    curve: PhantomData<C>,
}

impl<C: Curve> Session<'_, C> {
    /// A's pads for choice zero, and the corrections that add her inputs where B chose one.
    fn correct(&self, checked: &Checked, inputs: &[Scalar<C>; WIDTH]) -> (Table<C>, Vec<u8>) {
        let mut pads = Pads::<C>::new(self);
        let mut zeros = Secret::new(vec![[Scalar::<C>::ZERO; WIDTH]; CHOICES]);
        let mut ones = Zeroizing::new([[Scalar::<C>::ZERO; WIDTH]; LANES]);
        let mut message = Vec::with_capacity(MESSAGE);
        let columns = checked.columns.expose().as_chunks::<LANES>().0;
        let transfers = zeros.expose_mut().as_chunks_mut::<LANES>().0.iter_mut().zip(columns);
        for (first, (zeros, columns)) in (0_u16..).step_by(LANES).zip(transfers) {
            pads.fill(first, columns, zeros);
            let columns = Zeroizing::new(columns.map(|column| column ^ checked.delta.expose()));
            pads.fill(first, &columns, &mut ones);
            for (zeros, ones) in zeros.iter().zip(ones.iter()) {
                for ((zero, one), input) in zeros.iter().zip(ones).zip(inputs) {
                    message.extend_from_slice(&encode_scalar(&(*zero - one + input)));
                }
            }
        }
        (zeros, message)
    }

    /// A's message: the corrections, and the proof that all of them carry the same inputs.
    fn prove(
        &self,
        inputs: &[Scalar<C>; WIDTH],
        zeros: &Table<C>,
        corrections: Vec<u8>,
    ) -> Vec<u8> {
        let mut message = corrections;
        let transcript = self.transcript(&message);
        let eta = encode_scalar(&transcript.combine(inputs));
        let mus = zeros.expose().iter().map(|zeros| transcript.combine(zeros));
        let verdict = transcript.verdict(&eta, mus);
        message.extend_from_slice(&eta);
        message.extend_from_slice(&verdict);
        message
    }

    /// B's scalars of each transfer: A's pad for choice zero, plus her input if he chose one.
    fn choose(&self, extended: &Extended<C>, corrections: &[[Scalar<C>; WIDTH]]) -> Table<C> {
        let mut pads = Pads::<C>::new(self);
        let mut chosen = Secret::new(vec![[Scalar::<C>::ZERO; WIDTH]; CHOICES]);
        let columns = extended.columns.expose().as_chunks::<LANES>().0;
        let transfers = chosen.expose_mut().as_chunks_mut::<LANES>().0.iter_mut().zip(columns);
        for (first, (chosen, columns)) in (0_u16..).step_by(LANES).zip(transfers) {
            pads.fill(first, columns, chosen);
        }
        for (j, (chosen, corrections)) in
            chosen.expose_mut().iter_mut().zip(corrections).enumerate()
        {
            let choice = extended.choices.bit(j);
            for (chosen, correction) in chosen.iter_mut().zip(corrections) {
                *chosen += masked::<C>(correction, choice);
            }
        }
        chosen
    }

    /// Hashes the corrections into the coefficients; otherwise A could fit the corrections to them
    /// (§6.3).
    fn transcript(&self, corrections: &[u8]) -> Transcript<C> {
        let context = tags::RVOLE_CTX.hash::<C>(&[self.pair_session, self.alice_nonce, self.h_u]);
        let h_a = tags::RVOLE_ATILDE.hash::<C>(&[&context, corrections]);
        let theta = [0, 1].map(|i| tags::RVOLE_THETA.hash_to_scalar::<C>(&[&h_a, &[i]]));
        Transcript { context, h_a, theta }
    }
}

/// Turns columns into pads: `SHA256(K2 || BE16(j) || [c] || column) mod q`; where 32 bytes are too few for a
/// scalar, with 16 bytes more, of a second hash with `c | 0x80`.
struct Pads<C> {
    hash: ShortHash<19>,
    curve: PhantomData<C>,
}

impl<C: Curve> Pads<C> {
    /// The key hashes a fresh nonce of each party, so pads never repeat (§5.2).
    fn new(session: &Session<'_, C>) -> Self {
        let parts =
            [session.pair_session, session.alice_nonce, session.h_u].map(|part| part.as_slice());
        let hash = ShortHash::new(&tags::OTE_PAD_KEY.hash_twice::<C>(&parts));
        Self { hash, curve: PhantomData }
    }

    /// The three pads of each of the transfers `first`, `first + 1` ..
    fn fill(
        &mut self,
        first: u16,
        columns: &[u128; LANES],
        pads: &mut [[Scalar<C>; WIDTH]; LANES],
    ) {
        for ((j, input), column) in (first..).zip(self.hash.inputs()).zip(columns) {
            input[..2].copy_from_slice(&j.to_be_bytes());
            input[3..].copy_from_slice(&column.to_le_bytes());
        }
        for c in 0..WIDTH {
            let hashes = self.hashes(c as u8);
            if C::HASHED == 32 {
                for (pads, hash) in pads.iter_mut().zip(hashes) {
                    pads[c] = reduce(&bytes(hash));
                }
                continue;
            }
            for ((pads, hash), more) in pads.iter_mut().zip(hashes).zip(self.hashes(c as u8 | 0x80))
            {
                let mut wide = [0; 48];
                wide[..32].copy_from_slice(&bytes(hash));
                wide[32..].copy_from_slice(&bytes(more)[..16]);
                pads[c] = reduce_wide::<C>(&wide);
            }
        }
    }

    /// The hashes of the present inputs with this byte.
    fn hashes(&mut self, byte: u8) -> [State; LANES] {
        self.hash.inputs().for_each(|input| input[2] = byte);
        self.hash.words()
    }
}

/// The bytes of a hash.
fn bytes(words: State) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.as_chunks_mut().0.iter_mut().zip(words).for_each(|(b, w)| *b = w.to_be_bytes());
    hash
}

/// The hashed messages, and the coefficients that follow from them.
struct Transcript<C: Curve> {
    context: [u8; 32],
    h_a: [u8; 32],
    theta: [Scalar<C>; 2],
}

impl<C: Curve> Transcript<C> {
    /// The random combination of one transfer's scalars.
    fn combine(&self, [first, second, mask]: &[Scalar<C>; WIDTH]) -> Scalar<C> {
        let mut sum = Sum::<C>::of(mask);
        sum.add_product(&self.theta[0], first);
        sum.add_product(&self.theta[1], second);
        sum.reduce()
    }

    /// The hash over the combinations of all transfers, which both parties must compute alike.
    fn verdict(&self, eta: &[u8; SCALAR], mus: impl Iterator<Item = Scalar<C>>) -> [u8; 32] {
        tags::RVOLE_MU
            .start::<C>()
            .part(&self.context)
            .part(&self.h_a)
            .part(eta)
            .part_in_pieces(CHOICES * SCALAR, |add| mus.for_each(|mu| add(&encode_scalar(&mu))))
            .finish()
    }
}

/// A's message, decoded.
struct Message<'a, C: Curve> {
    corrections: &'a [u8],
    /// The corrections by transfer.
    scalars: Vec<[Scalar<C>; WIDTH]>,
    eta: Scalar<C>,
    verdict: &'a [u8; 32],
}

impl<'a, C: Curve> Message<'a, C> {
    fn parse(message: &'a [u8]) -> Result<Self, MulError> {
        let (corrections, rest) =
            message.split_first_chunk::<CORRECTIONS>().ok_or(MulError::Malformed)?;
        let (eta, rest) = rest.split_first_chunk::<SCALAR>().ok_or(MulError::Malformed)?;
        let verdict = rest.try_into().map_err(|_| MulError::Malformed)?;
        let mut scalars = vec![[Scalar::<C>::ZERO; WIDTH]; CHOICES];
        let encoded = corrections.as_chunks::<SCALAR>().0;
        for (scalar, bytes) in scalars.as_flattened_mut().iter_mut().zip(encoded) {
            *scalar = decode_scalar(bytes)?;
        }
        Ok(Self { corrections, scalars, eta: decode_scalar(eta)?, verdict })
    }
}

/// `sum_j g_j table_{j,i}` for both inputs `i`.
fn gadget_sums<C: Curve>(table: &Table<C>) -> Secret<[Scalar<C>; 2]> {
    let mut sums = Zeroizing::new([Sum::<C>::ZERO; 2]);
    for (element, row) in C::gadget().iter().zip(table.expose()) {
        for (sum, scalar) in sums.iter_mut().zip(row) {
            sum.add_product(element, scalar);
        }
    }
    Secret::new([sums[0].reduce(), sums[1].reduce()])
}

/// `scalar` if `choice`, else zero.
fn masked<C: Curve>(scalar: &Scalar<C>, choice: Choice) -> Scalar<C> {
    Scalar::<C>::conditional_select(&Scalar::<C>::ZERO, scalar, choice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ot::fixture::{base_keys, dealt_trees, seed, sha, sha_hex, sid_ot};
    use crate::crypto::ot::{extension, tree};
    use crate::crypto::seed::SessionSeed;
    use crate::device::hex;
    use k256::{Scalar, Secp256k1};
    use proptest::prelude::*;

    #[test]
    fn the_message_and_both_summands_match_the_known_answers() {
        let (chosen, both) = base_keys();
        let (sender, message) = tree::build::<Secp256k1>(&sid_ot(), both);
        let receiver = tree::evaluate::<Secp256k1>(&sid_ot(), chosen, &message).unwrap();
        let (extended, message) =
            extension::extend::<Secp256k1>(&sha(b"sid_p"), &sender, &seed("bob"), "beta/1");
        let checked = extension::check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).unwrap();

        let alice = seed("alice");
        let inputs = [alice.scalar::<Secp256k1>("r"), alice.scalar::<Secp256k1>("sk")];
        let ahat = Secret::new(alice.scalar::<Secp256k1>("ahat/2"));
        let (message, c) = multiply::<Secp256k1>(
            &sha(b"sid_p"),
            &sha(b"nu_a"),
            checked,
            [&inputs[0], &inputs[1]],
            ahat,
        );
        assert_eq!(message.len(), MESSAGE);
        assert_eq!(
            sha_hex(&message),
            "06a6f6831e02266e7e27df431ec20a6697e6c35b0b5ecb5546bfa737bd1db516"
        );
        let text = |s: &Secret<[Scalar; 2]>| s.expose().map(|scalar| hex(&scalar.to_bytes()));
        assert_eq!(
            text(&c),
            [
                "1e32f18e9bcb5ce76699b67c273a75452b5312875604c7de6edeef31d44304f1",
                "628cdef2159d621be202989069b3a192f68253f94b7ce6e29b20132dd5c869d2"
            ]
        );
        let d = receive(&sha(b"sid_p"), &sha(b"nu_a"), &extended, &message).unwrap();
        assert_eq!(
            text(&d),
            [
                "c9655e30716cb9d7fb4ad340e437049f674f7f391d966babbd01bbe7bc1e9fb8",
                "74d0563e693fc50c5a43054c747b6679017d06c980c43616719db4975ce3eb83"
            ]
        );
    }

    #[test]
    fn pads_match_the_known_answer() {
        let column = u128::from_le_bytes(std::array::from_fn(|i| i as u8));
        let mut pads = [[Scalar::ZERO; WIDTH]; LANES];
        let hash = ShortHash::new(&[0; 64]);
        Pads::<Secp256k1> { hash, curve: PhantomData }.fill(0, &[column; LANES], &mut pads);
        assert_eq!(
            hex(&pads[1][2].to_bytes()),
            "cd73d7d655a6dfbc2d0ee73d142389ef5a6f586b481e2944167d71940eb79444"
        );
    }

    /// Both halves of an honest extension.
    fn halves(bits: [u8; 16], bob: &SessionSeed) -> (Extended<Secp256k1>, Checked) {
        let (receiver, sender) = dealt_trees(bits);
        let (extended, message) = extension::extend(&sha(b"sid_p"), &sender, bob, "beta/1");
        (extended, extension::check::<Secp256k1>(&sha(b"sid_p"), &receiver, &message).unwrap())
    }

    /// B's half and an honest message of A.
    fn exchange() -> (Extended<Secp256k1>, Vec<u8>) {
        let (extended, checked) = halves([0x3c; 16], &seed("bob"));
        let inputs = [Scalar::from(2_u64), Scalar::from(3_u64)];
        let ahat = Secret::new(Scalar::from(5_u64));
        let (message, _) = multiply::<Secp256k1>(
            &sha(b"sid_p"),
            &sha(b"nu_a"),
            checked,
            [&inputs[0], &inputs[1]],
            ahat,
        );
        (extended, message)
    }

    fn received(extended: &Extended<Secp256k1>, message: &[u8]) -> Result<(), MulError> {
        receive(&sha(b"sid_p"), &sha(b"nu_a"), extended, message).map(drop)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_summands_add_up_to_the_products(
            bits: [u8; 16],
            bob: [u8; 32],
            inputs: [[u8; 32]; 2],
            ahat: [u8; 32],
        ) {
            let (extended, checked) = halves(bits, &SessionSeed::from_bytes(bob));
            let inputs = [reduce::<Scalar>(&inputs[0]), reduce::<Scalar>(&inputs[1])];
            let ahat = Secret::new(reduce::<Scalar>(&ahat));
            let (message, c) =
                multiply::<Secp256k1>(&sha(b"sid_p"), &sha(b"nu_a"), checked, [&inputs[0], &inputs[1]], ahat);
            let d = receive(&sha(b"sid_p"), &sha(b"nu_a"), &extended, &message).unwrap();
            for (i, input) in inputs.iter().enumerate() {
                prop_assert_eq!(c.expose()[i] + d.expose()[i], *input * extended.chi());
            }
        }

        #[test]
        fn every_flipped_bit_is_found(bit in 0..MESSAGE * 8) {
            let (extended, mut message) = exchange();
            message[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(received(&extended, &message).is_err());
        }

        #[test]
        fn anything_else_is_refused(message: Vec<u8>, fill: u8) {
            let (extended, _) = exchange();
            prop_assert_eq!(received(&extended, &message), Err(MulError::Malformed));
            prop_assert!(received(&extended, &[fill; MESSAGE]).is_err());
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let (extended, message) = exchange();
        let longer = [&message[..], &[0]].concat();
        for bad in [&[][..], &message[1..], &message[..CORRECTIONS], &longer] {
            assert_eq!(received(&extended, bad), Err(MulError::Malformed));
        }
    }

    #[test]
    fn scalars_above_the_order_are_malformed_wherever_they_are() {
        let (extended, message) = exchange();
        for place in [0, 1, WIDTH * CHOICES - 1, WIDTH * CHOICES] {
            let mut bad = message.clone();
            bad[place * SCALAR..][..SCALAR].fill(0xff);
            assert_eq!(received(&extended, &bad), Err(MulError::Malformed), "{place}");
        }
    }

    #[test]
    fn altered_corrections_combinations_and_verdicts_fail_the_check() {
        let (extended, message) = exchange();
        for place in [0, WIDTH * CHOICES - 1, WIDTH * CHOICES, WIDTH * CHOICES + 1] {
            let mut bad = message.clone();
            bad[place * SCALAR + 31] ^= 1;
            assert_eq!(received(&extended, &bad), Err(MulError::Check), "{place}");
        }
    }

    #[test]
    fn a_message_under_another_nonce_fails_the_check() {
        let (extended, message) = exchange();
        let other = receive(&sha(b"sid_p"), &sha(b"other"), &extended, &message);
        assert_eq!(other.unwrap_err(), MulError::Check);
        let other = receive(&sha(b"other"), &sha(b"nu_a"), &extended, &message);
        assert_eq!(other.unwrap_err(), MulError::Check);
    }

    /// A lie tells A one choice bit (§6.4), which the spare transfers make worthless.
    #[test]
    fn an_altered_transfer_aborts_exactly_if_one_was_chosen() {
        let (extended, checked) = halves([0x3c; 16], &seed("bob"));
        let (pair_session, alice_nonce) = (&sha(b"sid_p"), &sha(b"nu_a"));
        let session = Session::<Secp256k1> {
            pair_session,
            alice_nonce,
            h_u: &checked.h_u,
            curve: PhantomData,
        };
        let inputs = [2_u64, 3, 5].map(Scalar::from);
        for j in 0..16 {
            let (zeros, mut corrections) = session.correct(&checked, &inputs);
            let altered = &mut corrections[j * WIDTH * SCALAR..][..SCALAR];
            let scalar = decode_scalar::<Scalar>(altered).unwrap() + Scalar::ONE;
            altered.copy_from_slice(&encode_scalar(&scalar));
            let message = session.prove(&inputs, &zeros, corrections);
            let aborts = received(&extended, &message).is_err();
            assert_eq!(aborts, bool::from(extended.choices.bit(j)), "{j}");
        }
    }
}
