//! The whole key from its shares (docs/protocol.md §8.3): the way out.

use crate::crypto::curve::{Curve, ProjectivePoint, Scalar};
use crate::crypto::share::lagrange;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::KeyShare;
use crate::secret::Secret;

/// The private key, from the shares of at least `threshold` parties of one epoch.
///
/// From then on the key exists, and whoever has it signs alone: for leaving this protocol, and for
/// nothing else. It reveals the private keys of all derived keys as well, which are `x` and the
/// tweak of [`bip32::derive`](crate::crypto::bip32::derive), added.
///
/// # Errors
/// [`Check::Params`] for fewer shares, two of one party, or shares of different epochs or keys.
///
/// ```
/// # use std::fs;
/// # use cosign_core::{KeyShare, reveal_private_key};
/// # use cosign_core::k256::ProjectivePoint;
/// # let share = |party| -> Result<KeyShare, Box<dyn std::error::Error>> {
/// #     Ok(KeyShare::from_bytes(&fs::read(format!("tests/support/shares/party-{party}"))?)?)
/// # };
/// let (first, second) = (share(1)?, share(2)?);
/// let key = reveal_private_key(&[&first, &second])?;
/// assert_eq!(ProjectivePoint::GENERATOR * key.expose(), *first.public_key());
/// assert!(reveal_private_key(&[&first]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reveal_private_key<C: Curve>(shares: &[&KeyShare<C>]) -> Result<Secret<Scalar<C>>, Fault> {
    let params = Fault::nobody(Check::Params, "combine");
    let mut shares = shares.to_vec();
    shares.sort_unstable_by_key(|share| share.me());
    let alike = shares.windows(2).all(|pair| match pair {
        [one, next] => one.me() != next.me() && one.public_data() == next.public_data(),
        _ => false,
    });
    let first = *shares.first().ok_or(params)?;
    let enough = shares.get(..usize::from(first.threshold())).filter(|_| alike).ok_or(params)?;
    let parties: Vec<PartyId> = enough.iter().map(|share| share.me()).collect();
    let key = Secret::made(|sum: &mut Scalar<C>| {
        for share in enough {
            *sum += lagrange::<Scalar<C>>(share.me(), &parties, 0) * share.secret.expose();
        }
    });
    if C::of_generator(key.expose()) == ProjectivePoint::<C>::from(*first.public_key()) {
        Ok(key)
    } else {
        Err(params)
    }
}
