//! Begins the core's ceremonies. The core takes randomness as an argument; it is drawn here and
//! nowhere else. A key generation gets a secret of the device as well, since there is no share yet
//! that could serve (docs/protocol.md §2.3).

use std::sync::Arc;

use crate::crypto::curve::{Curve, Scalar};
use crate::crypto::tags;
use crate::driver::error::Error;
use crate::driver::{ROUND, clock};
use crate::protocol::fault::Fault;
use crate::protocol::key::KeyShare;
use crate::protocol::keygen::{self, Keygen, KeygenSetup, ReshareSetup};
use crate::protocol::machine::Machine;
use crate::protocol::sign::{self, BatchSetup, BatchSigning, SignSetup, Signing};
use crate::secret::Secret;
use crate::vault::Vault;

/// A ceremony that was begun, or what its setup lacks.
pub(super) type Begun<P> = Result<Machine<P>, Fault>;

/// Begins a key generation.
///
/// # Errors
/// No randomness, or no device key.
pub(super) fn keygen<C: Curve>(
    vault: &Vault,
    setup: KeygenSetup,
) -> Result<Begun<Keygen<C>>, Error> {
    hedged(vault, setup, &clock::random()?)
}

/// Begins a refresh.
///
/// # Errors
/// No randomness.
pub(super) fn refresh<C: Curve>(
    share: &KeyShare<C>,
    instance: [u8; 32],
) -> Result<Begun<Keygen<C>>, Error> {
    Ok(keygen::refresh(share, instance, &clock::random()?, ROUND))
}

/// Begins a reshare of a key that this device has a share of.
///
/// # Errors
/// No randomness, or no device key.
pub(super) fn reshare<C: Curve>(
    vault: &Vault,
    share: &KeyShare<C>,
    setup: ReshareSetup,
) -> Result<Begun<Keygen<C>>, Error> {
    let hedge = hedge(vault)?;
    Ok(keygen::reshare(setup, share, &clock::random()?, hedge.expose(), ROUND))
}

/// Begins an import of the private key `key`.
///
/// # Errors
/// No randomness.
pub(super) fn import<C: Curve>(
    setup: ReshareSetup,
    key: &Secret<Scalar<C>>,
) -> Result<Begun<Keygen<C>>, Error> {
    Ok(keygen::import(setup, key, &clock::random()?, ROUND))
}

/// Begins a reshare or an import of a key that this device has no share of.
///
/// # Errors
/// No randomness, or no device key.
pub(super) fn join<C: Curve>(
    vault: &Vault,
    setup: ReshareSetup,
) -> Result<Begun<Keygen<C>>, Error> {
    let hedge = hedge(vault)?;
    Ok(keygen::join(setup, &clock::random()?, hedge.expose(), ROUND))
}

/// Begins a signature.
///
/// # Errors
/// No randomness.
pub(super) fn sign<C: Curve>(
    share: &Arc<KeyShare<C>>,
    setup: SignSetup<C>,
) -> Result<Begun<Signing<C>>, Error> {
    Ok(sign::sign(Arc::clone(share), setup, &clock::random()?, ROUND))
}

/// Begins several signatures.
///
/// # Errors
/// No randomness.
pub(super) fn sign_batch<C: Curve>(
    share: &Arc<KeyShare<C>>,
    setup: BatchSetup<C>,
) -> Result<Begun<BatchSigning<C>>, Error> {
    Ok(sign::sign_batch(Arc::clone(share), setup, &clock::random()?, ROUND))
}

/// Mixes in a secret of the open vault, which protects the new share even if `random` is known.
fn hedged<C: Curve>(
    vault: &Vault,
    setup: KeygenSetup,
    random: &Secret<[u8; 32]>,
) -> Result<Begun<Keygen<C>>, Error> {
    Ok(keygen::keygen(setup, random, hedge(vault)?.expose(), ROUND))
}

fn hedge(vault: &Vault) -> Result<Secret<[u8; 32]>, Error> {
    let device_key = vault.device_key()?;
    Ok(Secret::new(tags::DEVICE_HEDGE.hash(&[device_key.expose()])))
}

#[cfg(test)]
mod tests {
    use k256::Secp256k1;

    use super::*;
    use crate::device::Fingerprint;
    use crate::party::PartyId;
    use crate::protocol::local::Local;
    use crate::protocol::machine::{Output, Persist, Protocol};
    use crate::protocol::wire::HEADER;
    use crate::vault::{DeviceInfo, Home, Seal, Unlock};

    /// A vault with this device key, sealed to an identity file because that is quick.
    fn vault(dir: &std::path::Path, device_key: &[u8]) -> Vault {
        use age::secrecy::ExposeSecret;

        let file = dir.join("identity");
        let identity = age::x25519::Identity::generate();
        std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
        let owners = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, owners).unwrap();
        let home = Home::at(dir.join(crate::device::hex(device_key)));
        let device = DeviceInfo {
            name: "alice".into(),
            fingerprint: Fingerprint::new([1; 32]),
            certificate: vec![0x30],
            created: 1_790_000_000,
        };
        let key = Secret::new(device_key.to_vec());
        Vault::create(&home, &device, &key, &Seal::Identity(file.clone()), &[]).unwrap();
        Vault::open(&home, &Unlock::Identity(file)).unwrap()
    }

    fn party(index: u8) -> PartyId {
        PartyId::new(index).unwrap()
    }

    fn setup(me: u8) -> KeygenSetup {
        let identities = vec![vec![1], vec![2]];
        KeygenSetup { instance: [1; 32], threshold: 2, me: party(me), identities }
    }

    /// A share of a key of two.
    fn share() -> Arc<KeyShare> {
        let machines =
            [1, 2].map(|me| keygen::keygen(setup(me), &Secret::new([me; 32]), &[], ROUND).unwrap());
        let mut outcomes = Local::start(machines, clock::now()).run();
        let persisted = outcomes.remove(&party(1)).unwrap().persisted;
        let share = persisted.into_iter().find_map(|persist| match persist {
            Persist::PendingShare(pending) => Some(pending.share),
            _ => None,
        });
        Arc::new(share.unwrap())
    }

    /// The body of the first message, which begins with a nonce of 32 bytes that follows from the
    /// seed.
    fn nonce<P: Protocol>(begun: Begun<P>) -> Vec<u8> {
        let mut machine = begun.unwrap();
        machine.start(clock::now());
        let sent = std::iter::from_fn(|| machine.poll()).find_map(|output| match output {
            Output::Send { bytes, .. } => {
                bytes.expose().get(HEADER..HEADER + 32).map(<[u8]>::to_vec)
            }
            _ => None,
        });
        sent.unwrap()
    }

    #[test]
    fn a_new_share_stays_secret_with_the_device_key_where_randomness_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let known = Secret::new([0; 32]);
        let by = |key: &[u8]| {
            nonce(hedged::<Secp256k1>(&vault(dir.path(), key), setup(1), &known).unwrap())
        };
        let guess =
            |hedge: &[u8]| nonce(keygen::keygen::<Secp256k1>(setup(1), &known, hedge, ROUND));
        let one = by(b"one");
        assert_ne!(one, by(b"another"));
        assert_eq!(one, guess(&tags::DEVICE_HEDGE.hash(&[b"one"])));
        for public in [&[][..], &[0; 32], &tags::DEVICE_HEDGE.hash(&[])] {
            assert_ne!(one, guess(public));
        }
    }

    #[test]
    fn randomness_is_drawn_anew_for_each_ceremony() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, share) = (vault(dir.path(), b"one"), share());
        let new_key = || nonce(keygen::<Secp256k1>(&vault, setup(1)).unwrap());
        assert_ne!(new_key(), new_key());
        let new_shares = || nonce(refresh(&share, [2; 32]).unwrap());
        assert_ne!(new_shares(), new_shares());
        let signature = || {
            nonce(
                sign(
                    &share,
                    SignSetup {
                        signers: vec![party(1), party(2)],
                        sign_id: [3; 32],
                        digest: [4; 32],
                        tweak: k256::Scalar::ZERO,
                        recipient: None,
                    },
                )
                .unwrap(),
            )
        };
        assert_ne!(signature(), signature());
    }
}
