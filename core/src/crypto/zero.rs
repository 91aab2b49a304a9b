//! Shares of zero from pairwise seeds (docs/protocol.md §3.4, §7.3), which mask a share within one
//! signature.

use crate::crypto::curve::{Curve, Scalar};
use crate::crypto::tags;
use crate::party::PartyId;
use crate::secret::Secret;

/// The common seed of two parties, from a contribution of each.
///
/// `mine` and `theirs` are the 32-byte contributions; both sides get the same seed.
pub fn seed<C: Curve>(
    session: &[u8; 32],
    (me, mine): (PartyId, &Secret<[u8; 32]>),
    (peer, theirs): (PartyId, &[u8; 32]),
) -> Secret<[u8; 32]> {
    let mine = mine.expose();
    let (pair, low, high) = if me < peer {
        ([me.get(), peer.get()], mine, theirs)
    } else {
        ([peer.get(), me.get()], theirs, mine)
    };
    Secret::made(|seed: &mut [u8; 32]| {
        *seed = tags::ZERO_SEED.hash::<C>(&[session, &pair, low, high])
    })
}

/// The share of zero of `me`: the terms in common with each peer, added by the party with the lower
/// index and subtracted by the other. The shares of a whole signer set add up to zero.
///
/// `context` has every part that tells this use of the seeds from all others.
pub fn share<'a, C: Curve>(
    me: PartyId,
    seeds: impl IntoIterator<Item = (PartyId, &'a Secret<[u8; 32]>)>,
    context: &[&[u8]],
) -> Secret<Scalar<C>> {
    Secret::made(|sum: &mut Scalar<C>| {
        for (peer, seed) in seeds {
            let start = tags::ZERO_SHARE.start::<C>().part(seed.expose());
            let term = context.iter().fold(start, |hash, part| hash.part(part)).scalar();
            *sum += if me < peer { term } else { -term };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::{Scalar, Secp256k1};

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    #[test]
    fn both_sides_make_the_same_seed_and_order_matters() {
        let (low, high) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let here = seed::<Secp256k1>(&[0; 32], (party(1), &low), (party(2), high.expose()));
        let there = seed::<Secp256k1>(&[0; 32], (party(2), &high), (party(1), low.expose()));
        let swapped = seed::<Secp256k1>(&[0; 32], (party(1), &high), (party(2), low.expose()));
        assert_eq!(here.expose(), there.expose());
        assert_ne!(here.expose(), swapped.expose());
    }

    #[test]
    fn shares_of_three_parties_add_up_to_zero() {
        let seeds = [Secret::new([12; 32]), Secret::new([13; 32]), Secret::new([23; 32])];
        let [s12, s13, s23] = &seeds;
        let zeta = |me, with: [(u8, &Secret<[u8; 32]>); 2]| {
            *share::<Secp256k1>(
                party(me),
                with.map(|(peer, seed)| (party(peer), seed)),
                &[&[9; 32]],
            )
            .expose()
        };
        let shares = [
            zeta(1, [(2, s12), (3, s13)]),
            zeta(2, [(1, s12), (3, s23)]),
            zeta(3, [(1, s13), (2, s23)]),
        ];
        assert_eq!(shares.iter().sum::<Scalar>(), Scalar::ZERO);
        assert!(shares.iter().all(|share| *share != Scalar::ZERO));
    }
}
