//! The extension and the multiplication a second time, bit by bit from docs/protocol.md §5.2 and
//! §6.2: a dishonest party computes with them, and the core is compared with them.
//!
//! Slow and with branches on secrets, so that each line is a line of the specification.

use crate::curve::{Curve, Scalar};
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::reduce;
use cosign_core::hazmat::crypto::curve::{Arithmetic, decode_scalar, encode_scalar};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::tags;
use sha2::{Digest, Sha256};

use crate::group::Key;

/// Transfers per multiplication.
pub(crate) const XI: usize = 416;
const TREES: usize = 32;
const LEAVES: usize = 16;
const ROW: usize = (XI + 128) / 8;

type Leaf = [u8; 32];
type Row = [u8; ROW];

/// The part of a stored share for one peer (§3.6).
pub(crate) struct Pair {
    pub(crate) zero_seed: [u8; 32],
    /// All leaves, for the pair in which the peer is Alice.
    pub(crate) leaves: Vec<Leaf>,
    /// The position of each tree's hole, for the pair in which the peer is Bob.
    pub(crate) holes: [u8; TREES],
    /// All leaves but those in the holes.
    pub(crate) punctured: Vec<Leaf>,
}

impl Pair {
    /// Reads what `me` keeps for `peer`. Pairs are the end of a stored share, in index order.
    pub(crate) fn read(key: &Key, me: PartyId, peer: PartyId) -> Self {
        const LENGTH: usize = 32 + TREES * LEAVES * 32 + TREES + TREES * LEAVES * 32;
        let behind = PartyId::all(key.count()).filter(|p| *p != me && *p > peer).count();
        let stored = key.stored(me);
        let end = stored.len() - behind * LENGTH;
        let (zero_seed, rest) = stored[end - LENGTH..end].split_first_chunk().unwrap();
        let (leaves, rest) = rest.split_at(TREES * LEAVES * 32);
        let (holes, punctured) = rest.split_first_chunk().unwrap();
        let leaves_of = |bytes: &[u8]| bytes.as_chunks::<32>().0.to_vec();
        Self {
            zero_seed: *zero_seed,
            leaves: leaves_of(leaves),
            holes: *holes,
            punctured: leaves_of(punctured),
        }
    }
}

// ---------------------------------------------------------------------------------------------
// §5.2
// ---------------------------------------------------------------------------------------------

/// A lie of Bob: one bit of one correction row is wrong, and he bets on where Alice's hole is.
#[derive(Clone, Copy)]
pub(crate) struct Guess {
    pub(crate) tree: usize,
    pub(crate) bit: usize,
    pub(crate) hole: u8,
}

/// Bob's half.
pub(crate) struct Bob {
    pub(crate) beta: Row,
    pub(crate) columns: Vec<u128>,
    pub(crate) h_u: [u8; 32],
    pub(crate) chi: Scalar,
}

/// Alice's half.
pub(crate) struct Alice {
    pub(crate) columns: Vec<u128>,
    pub(crate) delta: u128,
    pub(crate) h_u: [u8; 32],
}

/// Bob's choices of the label, `xi` bits and then the mask.
pub(crate) fn beta(seed: &SessionSeed, peer: PartyId) -> Row {
    seed.bytes(&format!("beta/{peer}"))
}

/// Bob's message `u || xbar || h_t`.
pub(crate) fn extend(
    pair_session: &[u8; 32],
    leaves: &[Leaf],
    beta: Row,
    guess: Option<Guess>,
) -> (Bob, Vec<u8>) {
    let rows = expand(pair_session, leaves);
    let (mut u, mut v) = (vec![beta; TREES], vec![[0; ROW]; 128]);
    for (j, rows) in rows.chunks(LEAVES).enumerate() {
        for (y, row) in rows.iter().enumerate() {
            add(&mut u[j], row);
            (0..4).filter(|b| y >> b & 1 == 1).for_each(|b| add(&mut v[4 * j + b], row));
        }
    }
    let mut error = [0; ROW];
    if let Some(Guess { tree, bit, .. }) = guess {
        error[bit / 8] = 1 << (bit % 8);
        add(&mut u[tree], &error);
    }
    let mut message = u.concat();
    let h_u = tags::OTE_U.hash::<Curve>(&[pair_session, &message]);
    let chi = combination(&h_u);
    let xbar = linear(&chi, &beta).to_le_bytes();
    let mut t: Vec<u128> = v.iter().map(|row| linear(&chi, row)).collect();
    if let Some(Guess { tree, hole, .. }) = guess {
        let error = linear(&chi, &error);
        (0..4).filter(|b| hole >> b & 1 == 1).for_each(|b| t[4 * tree + b] ^= error);
    }
    message.extend(xbar);
    message.extend(verdict(pair_session, &h_u, &xbar, &t));
    let mut columns = columns(&v);
    if let Some(Guess { tree, bit, hole }) = guess {
        // If the bet is won, this is what the error does to Alice's column.
        columns[bit] ^= u128::from(hole) << (4 * tree);
    }
    let chi = (0..XI).filter(|j| bit(&beta, *j)).map(gadget).sum();
    (Bob { beta, columns, h_u, chi }, message)
}

/// Alice's half from Bob's message. She does not look at `xbar` and `h_t`: she believes him.
pub(crate) fn answer(pair_session: &[u8; 32], pair: &Pair, message: &[u8]) -> Alice {
    let u = &message[..TREES * ROW];
    let rows = expand(pair_session, &pair.punctured);
    let (mut w, mut delta) = (vec![[0; ROW]; 128], 0_u128);
    for (j, rows) in rows.chunks(LEAVES).enumerate() {
        let hole = usize::from(pair.holes[j]);
        let correction: &Row = u[j * ROW..].first_chunk().unwrap();
        for b in 0..4 {
            let known = rows.iter().enumerate().filter(|(y, _)| *y != hole);
            known
                .filter(|(y, _)| (hole ^ y) >> b & 1 == 1)
                .for_each(|(_, r)| add(&mut w[4 * j + b], r));
            if hole >> b & 1 == 1 {
                add(&mut w[4 * j + b], correction);
                delta |= 1 << (4 * j + b);
            }
        }
    }
    Alice { columns: columns(&w), delta, h_u: tags::OTE_U.hash::<Curve>(&[pair_session, u]) }
}

fn expand(pair_session: &[u8; 32], leaves: &[Leaf]) -> Vec<Row> {
    let key = tags::OTE_PRG_KEY.hash_twice::<Curve>(&[pair_session]);
    let row = |(place, leaf): (usize, &Leaf)| {
        let (j, y) = ((place / LEAVES) as u16, (place % LEAVES) as u16);
        let block = |counter: u8| {
            let parts = [&key[..], leaf, &j.to_be_bytes(), &y.to_be_bytes(), &[counter]];
            Sha256::digest(parts.concat())
        };
        let bytes = [block(0), block(1), block(2)].concat();
        *bytes.first_chunk().unwrap()
    };
    leaves.iter().enumerate().map(row).collect()
}

fn combination(h_u: &[u8; 32]) -> [u128; 4] {
    [0, 1, 2, 3].map(|m| {
        let hash = tags::OTE_CHI.hash::<Curve>(&[h_u, &[m]]);
        u128::from_le_bytes(*hash.first_chunk().unwrap())
    })
}

/// `lin(row)`: the blocks of 128 bits times `chi`, plus the mask block.
fn linear(chi: &[u128; 4], row: &Row) -> u128 {
    let (choices, mask) = row.split_at(XI / 8);
    let mask = u128::from_le_bytes(mask.try_into().unwrap());
    choices.chunks(16).zip(chi).fold(mask, |sum, (block, chi)| {
        let mut whole = [0; 16];
        whole[..block.len()].copy_from_slice(block);
        sum ^ product(*chi, u128::from_le_bytes(whole))
    })
}

/// In GF(2^128), modulus `X^128 + X^7 + X^2 + X + 1`.
fn product(mut a: u128, b: u128) -> u128 {
    (0..128).fold(0, |sum, i| {
        let term = if b >> i & 1 == 1 { a } else { 0 };
        a = a << 1 ^ if a >> 127 == 1 { 0x87 } else { 0 };
        sum ^ term
    })
}

fn verdict(pair_session: &[u8; 32], h_u: &[u8; 32], xbar: &[u8; 16], t: &[u128]) -> [u8; 32] {
    let t: Vec<u8> = t.iter().flat_map(|t| t.to_le_bytes()).collect();
    tags::OTE_CHECK.hash::<Curve>(&[pair_session, h_u, xbar, &t])
}

/// Bit `i` of element `j` is bit `j` of row `i`.
fn columns(rows: &[Row]) -> Vec<u128> {
    let column = |j| (0..128).fold(0, |sum, i| sum | u128::from(bit(&rows[i], j)) << i);
    (0..XI).map(column).collect()
}

pub(crate) fn bit(bytes: &[u8], j: usize) -> bool {
    bytes[j / 8] >> (j % 8) & 1 == 1
}

fn add(row: &mut Row, other: &Row) {
    row.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
}

// ---------------------------------------------------------------------------------------------
// §6
// ---------------------------------------------------------------------------------------------

/// A lie of Alice: one correction of one transfer is one too high.
#[derive(Clone, Copy)]
pub(crate) struct Raised {
    pub(crate) transfer: usize,
    pub(crate) input: usize,
}

/// Alice's message `atilde || eta || muhat`, and her summands.
pub(crate) fn multiply(
    pair_session: &[u8; 32],
    alice_nonce: &[u8; 32],
    alice: &Alice,
    inputs: [Scalar; 2],
    ahat: Scalar,
    raised: Option<Raised>,
) -> (Vec<u8>, [Scalar; 2]) {
    let Alice { columns, delta, h_u, .. } = alice;
    let key = tags::OTE_PAD_KEY.hash_twice::<Curve>(&[pair_session, alice_nonce, h_u]);
    let alpha = |j: usize, column| pads(&key, j, column);
    let zeros: Vec<_> = (0..XI).map(|j| alpha(j, columns[j])).collect();
    let mut message = Vec::new();
    for (j, zero) in zeros.iter().enumerate() {
        let one = alpha(j, columns[j] ^ delta);
        for (c, value) in [inputs[0], inputs[1], ahat].into_iter().enumerate() {
            let here = raised.is_some_and(|r| (r.transfer, r.input) == (j, c));
            let lie = if here { Scalar::ONE } else { Scalar::ZERO };
            message.extend(encode_scalar(&(zero[c] - one[c] + value + lie)));
        }
    }
    let transcript = Transcript::new(pair_session, alice_nonce, h_u, &message);
    let eta = transcript.combine(&[inputs[0], inputs[1], ahat]);
    let mu: Vec<Scalar> = zeros.iter().map(|zero| transcript.combine(zero)).collect();
    message.extend(encode_scalar(&eta));
    message.extend(transcript.verdict(&eta, &mu));
    (message, sums(&zeros).map(|sum| -sum))
}

/// Bob's summands. He does not look at `muhat`: he believes her.
pub(crate) fn receive(
    pair_session: &[u8; 32],
    alice_nonce: &[u8; 32],
    bob: &Bob,
    message: &[u8],
) -> [Scalar; 2] {
    let key = tags::OTE_PAD_KEY.hash_twice::<Curve>(&[pair_session, alice_nonce, &bob.h_u]);
    let chosen = |j: usize| if bit(&bob.beta, j) { Scalar::ONE } else { Scalar::ZERO };
    let rows: Vec<[Scalar; 3]> = (0..XI)
        .map(|j| {
            let gamma = pads(&key, j, bob.columns[j]);
            std::array::from_fn(|c| {
                let place = 96 * j + 32 * c;
                gamma[c] + chosen(j) * decode_scalar::<Scalar>(&message[place..place + 32]).unwrap()
            })
        })
        .collect();
    sums(&rows)
}

fn pads(key: &[u8; 64], j: usize, column: u128) -> [Scalar; 3] {
    let j = (j as u16).to_be_bytes();
    let hash = |c: u8| -> [u8; 32] {
        Sha256::digest([&key[..], &j, &[c], &column.to_le_bytes()].concat()).into()
    };
    let half = Scalar::from(u64::MAX) + Scalar::ONE;
    [0, 1, 2].map(|c| match Curve::HASHED {
        32 => reduce(&hash(c)),
        // 16 bytes more.
        _ => {
            let mut more = [0; 32];
            more[16..].copy_from_slice(&hash(c | 0x80)[..16]);
            reduce::<Scalar>(&hash(c)) * half * half + reduce::<Scalar>(&more)
        }
    })
}

fn gadget(j: usize) -> Scalar {
    tags::RVOLE_GADGET
        .hash_to_scalar::<Curve>(&[&(XI as u16).to_be_bytes(), &(j as u16).to_be_bytes()])
}

fn sums(rows: &[[Scalar; 3]]) -> [Scalar; 2] {
    let zero = [Scalar::ZERO; 2];
    rows.iter().enumerate().fold(zero, |[first, second], (j, row)| {
        let element = gadget(j);
        [first + element * row[0], second + element * row[1]]
    })
}

struct Transcript {
    context: [u8; 32],
    h_a: [u8; 32],
    theta: [Scalar; 2],
}

impl Transcript {
    fn new(
        pair_session: &[u8; 32],
        alice_nonce: &[u8; 32],
        h_u: &[u8; 32],
        corrections: &[u8],
    ) -> Self {
        let context = tags::RVOLE_CTX.hash::<Curve>(&[pair_session, alice_nonce, h_u]);
        let h_a = tags::RVOLE_ATILDE.hash::<Curve>(&[&context, corrections]);
        let theta = [0, 1].map(|i| tags::RVOLE_THETA.hash_to_scalar::<Curve>(&[&h_a, &[i]]));
        Self { context, h_a, theta }
    }

    fn combine(&self, row: &[Scalar; 3]) -> Scalar {
        row[2] + self.theta[0] * row[0] + self.theta[1] * row[1]
    }

    fn verdict(&self, eta: &Scalar, mu: &[Scalar]) -> [u8; 32] {
        let mu: Vec<u8> = mu.iter().flat_map(encode_scalar).collect();
        tags::RVOLE_MU.hash::<Curve>(&[&self.context, &self.h_a, &encode_scalar(eta), &mu])
    }
}
