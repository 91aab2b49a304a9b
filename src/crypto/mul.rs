//! Two-party multiplication: a product becomes a sum (docs/protocol.md §6, DKLs23 protocol 5.2).
//!
//! A holds two scalars `a_0`, `a_1`, B the factor `chi` that his choices fixed. In the end A has
//! `c_i`, B has `d_i`, and `c_i + d_i = a_i chi`. Neither learns anything else.
//!
//! Per transfer A sends her inputs, and one random scalar, masked by the difference of her two pads.
//! A hash over a random combination, whose coefficients depend on everything sent, convinces B that
//! all transfers carry the same inputs.

use k256::Scalar;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::crypto::curve::{InvalidScalar, SCALAR, decode_scalar, encode_scalar};
use crate::crypto::ot::extension::{Checked, Extended};
use crate::crypto::ot::{CHOICES, ShortHash};
use crate::crypto::tags;
use crate::crypto::transcript::reduce;
use crate::secret::Secret;
use gadget::GADGET;

pub(crate) mod gadget;

/// Length of A's message: three corrections per transfer, the combined inputs, the verdict.
pub const MESSAGE: usize = CORRECTIONS + SCALAR + 32;

/// Length of the corrections.
const CORRECTIONS: usize = CHOICES * WIDTH * SCALAR;

/// Scalars per transfer: the two inputs and one that masks the check.
const WIDTH: usize = 3;

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
/// `nu_a` is A's fresh nonce, `ahat` a fresh random scalar.
pub fn multiply(
    sid_p: &[u8; 32],
    nu_a: &[u8; 32],
    checked: Checked,
    inputs: [&Scalar; 2],
    ahat: Secret<Scalar>,
) -> (Vec<u8>, Secret<[Scalar; 2]>) {
    let mut pads = Pads::new(sid_p, nu_a, &checked.h_u);
    let values = [inputs[0], inputs[1], ahat.expose()];
    let mut zeros = Secret::new(Vec::with_capacity(CHOICES));
    let mut message = Vec::with_capacity(MESSAGE);
    for (j, column) in (0_u16..).zip(checked.columns.expose().iter().take(CHOICES)) {
        let zero = pads.row(j, *column);
        let one = pads.row(j, column ^ checked.delta.expose());
        for ((zero, one), value) in zero.iter().zip(&one).zip(values) {
            message.extend_from_slice(&encode_scalar(&(zero - one + value)));
        }
        zeros.expose_mut().push(zero);
    }

    let transcript = Transcript::new(sid_p, nu_a, &checked.h_u, &message);
    let eta = encode_scalar(&transcript.combine(&[*values[0], *values[1], *values[2]]));
    let mus = zeros.expose().iter().map(|zero| transcript.combine(zero));
    let verdict = transcript.verdict(&eta, mus);
    message.extend_from_slice(&eta);
    message.extend_from_slice(&verdict);

    let mut sums = gadget_sums(zeros.expose());
    sums.expose_mut().iter_mut().for_each(|sum| *sum = -*sum);
    (message, sums)
}

/// B's step: checks A's message (40000 bytes) and returns his summands `d`.
pub fn receive(
    sid_p: &[u8; 32],
    nu_a: &[u8; 32],
    extended: &Extended,
    message: &[u8],
) -> Result<Secret<[Scalar; 2]>, MulError> {
    let (corrections, rest) =
        message.split_first_chunk::<CORRECTIONS>().ok_or(MulError::Malformed)?;
    let (eta_bytes, rest) = rest.split_first_chunk::<SCALAR>().ok_or(MulError::Malformed)?;
    let claimed: &[u8; 32] = rest.try_into().map_err(|_| MulError::Malformed)?;
    let eta = decode_scalar(eta_bytes)?;
    let corrections_by_scalar = corrections.as_chunks::<SCALAR>().0;
    let scalars: Vec<Scalar> =
        corrections_by_scalar.iter().map(|bytes| decode_scalar(bytes)).collect::<Result<_, _>>()?;

    let mut pads = Pads::new(sid_p, nu_a, &extended.h_u);
    let mut chosen = Secret::new(Vec::with_capacity(CHOICES));
    let columns = extended.columns.expose().iter().zip(scalars.as_chunks::<WIDTH>().0);
    for (j, (column, corrections)) in (0_u16..).zip(columns) {
        let choice = extended.choices.bit(usize::from(j));
        let mut pads = pads.row(j, *column);
        for (pad, correction) in pads.iter_mut().zip(corrections) {
            *pad += masked(correction, choice);
        }
        chosen.expose_mut().push(pads);
    }

    let transcript = Transcript::new(sid_p, nu_a, &extended.h_u, corrections);
    let mus = chosen
        .expose()
        .iter()
        .enumerate()
        .map(|(j, chosen)| transcript.combine(chosen) - masked(&eta, extended.choices.bit(j)));
    if bool::from(transcript.verdict(eta_bytes, mus).ct_eq(claimed)) {
        Ok(gadget_sums(chosen.expose()))
    } else {
        Err(MulError::Check)
    }
}

/// Turns columns into pads: `SHA256(K2 || BE16(j) || [c] || column) mod q`.
struct Pads(ShortHash<19>);

impl Pads {
    /// Both parties' fresh nonces are in the key, so pads never repeat (§5.2).
    fn new(sid_p: &[u8; 32], nu_a: &[u8; 32], h_u: &[u8; 32]) -> Self {
        Self(ShortHash::new(&tags::OTE_PAD_KEY.hash_twice(&[sid_p, nu_a, h_u])))
    }

    /// The three pads of transfer `j`.
    fn row(&mut self, j: u16, column: u128) -> [Scalar; WIDTH] {
        let input = self.0.input();
        input[..2].copy_from_slice(&j.to_be_bytes());
        input[3..].copy_from_slice(&column.to_le_bytes());
        [0, 1, 2].map(|c| {
            self.0.input()[2] = c;
            reduce(&self.0.bytes())
        })
    }
}

/// What the check depends on, and the coefficients that follow from it.
struct Transcript {
    context: [u8; 32],
    h_a: [u8; 32],
    theta: [Scalar; 2],
}

impl Transcript {
    /// The coefficients must hash the corrections, or A could fit the corrections to them (§6.3).
    fn new(sid_p: &[u8; 32], nu_a: &[u8; 32], h_u: &[u8; 32], corrections: &[u8]) -> Self {
        let context = tags::RVOLE_CTX.hash(&[sid_p, nu_a, h_u]);
        let h_a = tags::RVOLE_ATILDE.hash(&[&context, corrections]);
        let theta = [0, 1].map(|i| tags::RVOLE_THETA.hash_to_scalar(&[&h_a, &[i]]));
        Self { context, h_a, theta }
    }

    /// The random combination of one transfer's scalars.
    fn combine(&self, [first, second, mask]: &[Scalar; WIDTH]) -> Scalar {
        mask + self.theta[0] * first + self.theta[1] * second
    }

    /// The hash both parties must compute alike: over the combinations of all transfers.
    fn verdict(&self, eta: &[u8; SCALAR], mus: impl Iterator<Item = Scalar>) -> [u8; 32] {
        tags::RVOLE_MU
            .start()
            .part(&self.context)
            .part(&self.h_a)
            .part(eta)
            .part_in_pieces(CHOICES * SCALAR, |add| mus.for_each(|mu| add(&encode_scalar(&mu))))
            .finish()
    }
}

/// `sum_j g_j row_{j,i}` for both inputs `i`.
fn gadget_sums(rows: &[[Scalar; WIDTH]]) -> Secret<[Scalar; 2]> {
    Secret::made(|sums: &mut [Scalar; 2]| {
        for (element, row) in GADGET.iter().zip(rows) {
            for (sum, scalar) in sums.iter_mut().zip(row) {
                *sum += *element * scalar;
            }
        }
    })
}

/// `scalar` if `choice`, else zero.
fn masked(scalar: &Scalar, choice: Choice) -> Scalar {
    Scalar::conditional_select(&Scalar::ZERO, scalar, choice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::ot::fixture::{base_keys, seed, sha, sha_hex, sid_ot};
    use crate::crypto::ot::{extension, tree};
    use crate::device::hex;

    #[test]
    fn the_message_and_both_summands_match_the_known_answers() {
        let (chosen, both) = base_keys();
        let (sender, message) = tree::build(&sid_ot(), both);
        let receiver = tree::evaluate(&sid_ot(), chosen, &message).unwrap();
        let (extended, message) = extension::extend(&sha(b"sid_p"), &sender, &seed("bob"), 1);
        let checked = extension::check(&sha(b"sid_p"), &receiver, &message).unwrap();

        let alice = seed("alice");
        let inputs = [alice.scalar("r"), alice.scalar("sk")];
        let ahat = Secret::new(alice.scalar("ahat/2"));
        let (message, c) =
            multiply(&sha(b"sid_p"), &sha(b"nu_a"), checked, [&inputs[0], &inputs[1]], ahat);
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
        assert_eq!(
            hex(&Pads(ShortHash::new(&[0; 64])).row(1, column)[2].to_bytes()),
            "cd73d7d655a6dfbc2d0ee73d142389ef5a6f586b481e2944167d71940eb79444"
        );
    }
}
