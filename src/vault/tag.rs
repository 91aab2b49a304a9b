//! Opening files for age's hardware recipient (`age1tag1…`, stanza `p256tag`) with ECDH done inside
//! a token. age itself only seals to it.
//!
//! The stanza is HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305. All that is needed of its key schedule is one expansion step of at most 32
//! bytes at a time, so HKDF is two HMACs here.

use std::cell::RefCell;
use std::fmt;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::Hrp;
use bech32::primitives::decode::ByteIter;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hmac::{Hmac, Mac as _};
use p256::PublicKey;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;
use crate::token;

/// A P-256 key outside this process: its public half, and a function that does ECDH with it.
pub struct Identity<F> {
    public: PublicKey,
    ecdh: F,
    failed: RefCell<Option<token::Error>>,
}

impl<F> Identity<F>
where
    F: Fn(&[u8]) -> Result<Secret<Vec<u8>>, token::Error>,
{
    /// `ecdh` takes a point on the curve, SEC1 uncompressed, and gives an x coordinate.
    pub fn new(public: PublicKey, ecdh: F) -> Self {
        Self { public, ecdh, failed: RefCell::new(None) }
    }

    /// The error of the token, if it was asked and failed.
    pub fn failure(self) -> Option<token::Error> {
        self.failed.into_inner()
    }

    fn open(&self, encapsulated: &[u8], body: &[u8]) -> Option<FileKey> {
        // Checked to be on the curve: a token that does not check could reveal its key.
        let theirs = PublicKey::from_sec1_bytes(encapsulated).ok()?.to_encoded_point(false);
        if theirs.as_bytes() != encapsulated {
            return None;
        }
        let shared = match (self.ecdh)(encapsulated) {
            Ok(shared) => shared,
            Err(error) => {
                self.failed.replace(Some(error));
                return None;
            }
        };
        let ours = self.public.to_encoded_point(false);
        let (key, nonce) = schedule(&shared, encapsulated, ours.as_bytes());
        let cipher = ChaCha20Poly1305::new(key.expose().into());
        let opened = Secret::new(cipher.decrypt(&Nonce::from(nonce), body).ok()?);
        (opened.expose().len() == FILE_KEY)
            .then(|| FileKey::init_with_mut(|key| key.copy_from_slice(opened.expose())))
    }
}

impl<F> fmt::Debug for Identity<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl<F> age::Identity for Identity<F>
where
    F: Fn(&[u8]) -> Result<Secret<Vec<u8>>, token::Error>,
{
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != "p256tag" {
            return None;
        }
        let broken = || Some(Err(DecryptError::InvalidHeader));
        let [tag, encapsulated] = stanza.args.as_slice() else { return broken() };
        let decode = |text: &str| BASE64_STANDARD_NO_PAD.decode(text);
        let (Ok(tag), Ok(encapsulated)) = (decode(tag), decode(encapsulated)) else {
            return broken();
        };
        if tag != stanza_tag(&encapsulated, &self.public) {
            return None;
        }
        Some(self.open(&encapsulated, &stanza.body).ok_or(DecryptError::DecryptionFailed))
    }
}

/// The recipient that a vault is sealed to for `public`: `age1tag1…`.
pub(super) fn recipient(public: &PublicKey) -> String {
    bech32_encode(PREFIX, public.to_encoded_point(true).as_bytes())
}

/// The public key that [`recipient`] made `text` of.
pub(super) fn public_key(text: &str) -> Option<PublicKey> {
    let key = |hrp, bytes: ByteIter<'_>| {
        let bytes: Vec<u8> = bytes.collect();
        (hrp == PREFIX).then(|| PublicKey::from_sec1_bytes(&bytes).ok()).flatten().ok_or(())
    };
    bech32_decode(text, |_| (), |_| Ok(()), key).ok()
}

/// Its point, SEC1 uncompressed.
pub(super) fn point(public: &PublicKey) -> Vec<u8> {
    public.to_encoded_point(false).as_bytes().to_vec()
}

/// The tag by which a stanza names its recipient, so that no token is asked to open what is for
/// another.
fn stanza_tag(encapsulated: &[u8], public: &PublicKey) -> Vec<u8> {
    let static_tag = Sha256::digest(public.to_encoded_point(true));
    let (static_tag, _) = static_tag.split_at(4);
    let tag = hmac(INFO, &[encapsulated, static_tag]);
    let (tag, _) = tag.expose().split_at(4);
    tag.to_vec()
}

/// RFC 9180, 4.1 and 5.1: key and nonce of the first message.
fn schedule(
    shared: &Secret<Vec<u8>>,
    encapsulated: &[u8],
    public: &[u8],
) -> (Secret<[u8; 32]>, [u8; 12]) {
    let prk = extract(KEM, &[], b"eae_prk", shared.expose());
    let shared = expand(KEM, &prk, b"shared_secret", &[encapsulated, public], 32);
    let psk_id = extract(HPKE, &[], b"psk_id_hash", &[]);
    let info = extract(HPKE, &[], b"info_hash", INFO);
    let context: [&[u8]; 3] = [&[0], psk_id.expose(), info.expose()];
    let secret = extract(HPKE, shared.expose(), b"secret", &[]);
    let key = expand(HPKE, &secret, b"key", &context, 32);
    let nonce = expand(HPKE, &secret, b"base_nonce", &context, 12);
    let mut first = [0; 12];
    first.iter_mut().zip(nonce.expose()).for_each(|(to, from)| *to = *from);
    (key, first)
}

fn extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Secret<[u8; 32]> {
    hmac(salt, &[b"HPKE-v1", suite, label, ikm])
}

/// The first 32 bytes of an expansion to `length`, which is at most that.
fn expand(
    suite: &[u8],
    prk: &Secret<[u8; 32]>,
    label: &[u8],
    info: &[&[u8]],
    length: u8,
) -> Secret<[u8; 32]> {
    let start: [&[u8]; 4] = [&[0, length], b"HPKE-v1", suite, label];
    hmac(prk.expose(), &[&start, info, &[&[1]]].concat())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Secret<[u8; 32]> {
    // HMAC takes keys of any length; the empty one stands in for an error that cannot be.
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key)
        .unwrap_or_else(|_| <Hmac<Sha256> as hmac::Mac>::new(&Default::default()));
    parts.iter().for_each(|part| mac.update(part));
    Secret::made(|out: &mut [u8; 32]| out.copy_from_slice(&mac.finalize().into_bytes()))
}

const PREFIX: Hrp = Hrp::parse_unchecked("age1tag");
/// Salt of the tag and info of HPKE.
const INFO: &[u8] = b"age-encryption.org/p256tag";
/// `suite_id` of DHKEM(P-256, HKDF-SHA256).
const KEM: &[u8] = b"KEM\x00\x10";
/// `suite_id` of that with HKDF-SHA256 and ChaCha20-Poly1305.
const HPKE: &[u8] = b"HPKE\x00\x10\x00\x01\x00\x03";
const FILE_KEY: usize = 16;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use p256::elliptic_curve::sec1::FromEncodedPoint as _;
    use p256::{EncodedPoint, SecretKey};

    use super::*;
    use crate::token::Trouble;

    /// `content`, sealed to the key of 32 sevens.
    const FROZEN: &str = "\
        YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHAyNTZ0YWcgcXIrbi9nIEJDZytXdWNaSVVYdFlTVFo4MUVMN0dEZU9D\
        NmFhd3pudDhMWHUxMHZycFplb0hXUHE1L1prQ2Z6SlJMd2thNkFqQlRsbE1kUW16NGQ3Z1BOR2xsNlB6cwpHYnRT\
        U3Z4NW45d0Nock1QcURJcmJEOUFNS09JQ1gxTktXRVpBYlNHK1F3Ci0+IFJRcHJyXiNVLWdyZWFzZSA7fl05SyBG\
        USA8MGNPfSArYCE2cVNMCnVuaXF2bkxvQ3QydEVnQUxnNnBxQXdYYXNxWkphRmdDSGRwVWVFNVUyOHkxQzJETTFF\
        ajR5MUpJaG42dU50Ri8KeHcKLS0tIGxJc040UzNINUhReEY2MWgzejdBUHordm5kd0oydnU3TEVUMzF6NjZ1S28K\
        qRQol/acq7seRs3sM8y4zWsj4yqP14B0X9RO6s7ZPWfYEFQWynDK";

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_slice(&[seed; 32]).unwrap()
    }

    /// ECDH as a token does it, with the arithmetic of the crate.
    fn ecdh(key: SecretKey) -> impl Fn(&[u8]) -> Result<Secret<Vec<u8>>, token::Error> {
        move |point| {
            let encoded = EncodedPoint::from_bytes(point).unwrap();
            let point = PublicKey::from_encoded_point(&encoded).unwrap();
            let shared = point.to_projective() * *key.to_nonzero_scalar();
            let shared = shared.to_affine().to_encoded_point(false);
            Ok(Secret::new(shared.x().unwrap().to_vec()))
        }
    }

    fn sealed(recipient: &str) -> Vec<u8> {
        let recipient: age::tag::Recipient = recipient.parse().unwrap();
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).unwrap();
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
        writer.write_all(b"content").unwrap();
        writer.finish().unwrap();
        sealed
    }

    fn open(identity: &dyn age::Identity, sealed: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let decryptor = age::Decryptor::new_buffered(sealed).unwrap();
        let mut content = Vec::new();
        decryptor.decrypt(std::iter::once(identity))?.read_to_end(&mut content).unwrap();
        Ok(content)
    }

    #[test]
    fn what_age_seals_to_a_hardware_recipient_is_opened() {
        let public = key(7).public_key();
        let text = recipient(&public);
        assert_eq!(public_key(&text), Some(public));
        let identity = Identity::new(public, ecdh(key(7)));
        assert_eq!(open(&identity, &sealed(&text)).unwrap(), b"content");
        assert_eq!(identity.failure(), None);
    }

    #[test]
    fn a_file_of_the_first_version_is_still_opened() {
        let sealed = BASE64_STANDARD_NO_PAD.decode(FROZEN).unwrap();
        assert_eq!(
            open(&Identity::new(key(7).public_key(), ecdh(key(7))), &sealed).unwrap(),
            b"content"
        );
    }

    #[test]
    fn what_is_for_another_key_never_reaches_the_token() {
        let sealed = sealed(&recipient(&key(7).public_key()));
        let asked = |_: &[u8]| panic!("asked");
        let identity = Identity::new(key(8).public_key(), asked);
        assert!(matches!(open(&identity, &sealed), Err(DecryptError::NoMatchingKeys)));
    }

    #[test]
    fn a_point_off_the_curve_never_reaches_the_token() {
        let public = key(7).public_key();
        let identity = Identity::new(public, |_: &[u8]| panic!("asked"));
        let mut off = public.to_encoded_point(false).as_bytes().to_vec();
        off[64] ^= 1;
        let compressed = public.to_encoded_point(true).as_bytes().to_vec();
        for point in [off, compressed, vec![0], vec![]] {
            let args =
                [stanza_tag(&point, &public), point].map(|b| BASE64_STANDARD_NO_PAD.encode(b));
            let stanza = Stanza { tag: "p256tag".into(), args: args.to_vec(), body: vec![0; 32] };
            let opened = age::Identity::unwrap_stanza(&identity, &stanza);
            assert!(matches!(opened, Some(Err(DecryptError::DecryptionFailed))));
        }
    }

    #[test]
    fn why_the_token_failed_is_kept() {
        let error = || token::Error { module: None, token: None, trouble: Trouble::Removed };
        let public = key(7).public_key();
        let identity = Identity::new(public, |_: &[u8]| Err(error()));
        assert!(open(&identity, &sealed(&recipient(&public))).is_err());
        assert_eq!(identity.failure(), Some(error()));
    }

    #[test]
    fn only_a_hardware_recipient_is_one() {
        for text in [
            "",
            "age1tag1",
            "age1tag1qqqq",
            &age::x25519::Identity::generate().to_public().to_string(),
        ] {
            assert_eq!(public_key(text), None, "{text}");
        }
    }
}
