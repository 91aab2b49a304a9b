//! `cosign keys combine`: the whole private key, for those who leave.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use k256::elliptic_curve::SecretKey;
use k256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::args::{CombineArgs, PrivateFormat};
use super::backup::{content, is_free, log_of, unreadable};
use super::runtime::ask;
use super::{Global, Output, unlock};
use crate::curve::CurveName;
use crate::device::hex;
use crate::driver::backup::{Backup, Unreadable};
use crate::driver::on_curve::{Share, on_curve, revealed};
use crate::report::{self, Code, Failure};
use crate::secret::Secret;
use crate::ui::Need;
use crate::vault::{Error, KeyRecord, Vault, backup, keys};

/// A share from a file, and what its device calls the key, if the file says so.
struct Part {
    share: Share,
    key: Option<String>,
}

/// `cosign keys combine`
pub(super) fn run_combine(global: &Global, args: &CombineArgs) -> Result<Output, Failure> {
    let CombineArgs { shares, out_format, output, opener, yes_the_key_will_exist } = args;
    is_free(output)?;
    let parts = shares
        .iter()
        .map(|path| part(path, &content(global, path, opener)?))
        .collect::<Result<Vec<Part>, Failure>>()?;
    let shares: Vec<&Share> = parts.iter().map(|part| &part.share).collect();
    let first = *shares.first().ok_or_else(|| report::bug("no share was given"))?;
    go_together(&shares)?;
    let public_key = hex(&first.public_key_bytes());
    let name = name(global, &parts, first);
    if matches!(out_format, PrivateFormat::Wif | PrivateFormat::Xprv)
        && !first.curve().has_wallets()
    {
        return Err(report::no_wallet(first.curve()));
    }
    if !yes_the_key_will_exist {
        agreed(global, &name, &public_key, output)?;
    }
    let key = revealed(&shares).ok_or_else(|| report::bug("these shares make another key"))?;
    let text = written((*out_format, first.curve()), key.expose(), first.chain_code())?;
    backup::write_open(output, &text)?;
    let file = output.display().to_string();
    let says = format!(
        "the private key of {public_key} is in {file}\nfrom now on it exists: whoever has that file signs \
         alone, and no other device is asked"
    );
    log(global, first, shares.len());
    let parties: BTreeSet<u8> = shares.iter().map(|share| share.me().get()).collect();
    let result = json!({ "key": name, "public_key": public_key, "parties": parties, "file": file });
    Output::new(result, says)
}

/// Logs on the device here, if it has the key, that the whole key was made. That nobody can open its vault now is no
/// reason to keep the key from its owners.
fn log(global: &Global, share: &Share, count: usize) {
    let Some(home) = global.home.as_ref().filter(|home| Vault::exists(home)) else { return };
    let is_it = |key: &KeyRecord| key.public_key == share.public_key_bytes();
    let Some(key) = keys::list(home).unwrap_or_default().into_iter().find(is_it) else { return };
    match unlock::opened(global, home) {
        Ok(Some(vault)) => {
            let of = (key.name.as_str(), &key.public_key, share.epoch());
            log_of(global, vault.home(), of, ("combine", "made"), &[("shares", json!(count))]);
        }
        _ => global.screen.note("the log was not written: the vault of this device is locked"),
    }
}

fn part(path: &Path, content: &Secret<Vec<u8>>) -> Result<Part, Failure> {
    let Some(format) = Share::stored_format(content.expose()) else {
        let Backup { share, record, .. } =
            Backup::from_text(content).map_err(|error| unreadable(path, error))?;
        return Ok(Part { share, key: Some(record.name) });
    };
    if format > Share::LATEST_FORMAT {
        let (path, known) = (path.to_owned(), Share::LATEST_FORMAT);
        return Err(Error::Unsupported { path, version: format, known }.into());
    }
    let share =
        Share::from_bytes(content.expose()).ok_or_else(|| unreadable(path, Unreadable::Broken))?;
    Ok(Part { share, key: None })
}

/// Fails unless these are shares of different parties of one epoch, and enough of them.
fn go_together(shares: &[&Share]) -> Result<(), Failure> {
    let parties: BTreeSet<u8> = shares.iter().map(|share| share.me().get()).collect();
    let data = |share: &&Share| (share.curve().name(), share.public_data());
    let epochs: BTreeSet<(&str, Vec<u8>)> = shares.iter().map(data).collect();
    let needed = shares.first().map_or(0, |share| usize::from(share.threshold()));
    let wrong = if epochs.len() > 1 {
        "these are not shares of one epoch of one key: a refresh makes those of before worthless"
            .to_owned()
    } else if parties.len() < shares.len() {
        "two of these are of the same device".to_owned()
    } else if shares.len() < needed {
        format!("the shares of {needed} devices are needed, and here are {}", shares.len())
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::Usage, wrong).hint("nothing was combined"))
}

/// What the owner calls the key; the beginning of its public key where nothing says so.
fn name(global: &Global, parts: &[Part], first: &Share) -> String {
    let public_key = first.public_key_bytes();
    let said = parts.iter().find_map(|part| part.key.clone());
    let here = || {
        let home = global.home.as_ref()?;
        keys::of_public_key(home, &public_key).ok()?.map(|key| key.name)
    };
    said.or_else(here).unwrap_or_else(|| hex(&public_key).chars().take(8).collect())
}

/// Fails unless the owner types the key's name.
fn agreed(global: &Global, name: &str, public_key: &str, output: &Path) -> Result<(), Failure> {
    let card = [
        "THIS MAKES THE WHOLE PRIVATE KEY, for ever:".to_owned(),
        format!("  key          {name}"),
        format!("  public key   {public_key}"),
        format!("  file         {}", output.display()),
        "  afterwards   whoever has that file, or a copy of it, signs alone: no threshold, no other".to_owned(),
        "               device and no policy guards this key any more, and no refresh helps".to_owned(),
    ];
    let need = Need::Confirmation {
        what: format!("making the private key of {name:?}"),
        flag: "--yes-the-key-will-exist, after reading `cosign keys combine --help`".to_owned(),
    };
    match ask(async { Ok(global.prompter.retype(need, &card, name).await?) })? {
        true => Ok(()),
        false => Err(Failure::new(Code::Denied, "the key was not made")),
    }
}

/// The private key `x` on `curve`, 32 bytes, in a format, with a line end.
fn written(
    (format, curve): (PrivateFormat, CurveName),
    x: &[u8; 32],
    chain_code: &[u8; 32],
) -> Result<Secret<String>, Failure> {
    let mut text = Secret::new(String::with_capacity(ROOM));
    let out = text.expose_mut();
    match format {
        PrivateFormat::Hex => {
            for byte in x {
                // Writing to a string does not fail.
                let _ = write!(out, "{byte:02x}");
            }
        }
        // For the main network, of a compressed public key.
        PrivateFormat::Wif => base58(&[&[0x80], x, &[0x01]], out)?,
        // Version, depth 0, no parent, child 0.
        PrivateFormat::Xprv => {
            base58(&[&[0x04, 0x88, 0xad, 0xe4], &[0; 9], chain_code, &[0], x], out)?;
        }
        PrivateFormat::Pem => {
            let failed = |_| report::bug("a private key has no encoding");
            let pem = on_curve!(curve, C => {
                let key = SecretKey::<C>::from_slice(x).map_err(|_| failed(()))?;
                key.to_pkcs8_pem(LineEnding::LF).map_err(|_| failed(()))?
            });
            out.push_str(pem.trim_end());
        }
    }
    out.push('\n');
    Ok(text)
}

/// Appends these bytes and the beginning of their hash, in base58.
fn base58(parts: &[&[u8]], out: &mut String) -> Result<(), Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    let check = Sha256::digest(Sha256::digest(&*bytes));
    bytes.extend(check.iter().take(4));
    let written = bs58::encode(&*bytes).onto(out);
    written.map(drop).map_err(|_| report::bug("a private key has no encoding"))
}

/// More than any format needs, so that no copy of the key stays behind where a text grows.
const ROOM: usize = 512;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac as _};
    use k256::{AffinePoint, ProjectivePoint, Scalar};
    use sha2::Sha512;

    use super::*;
    use crate::crypto::bip32;
    use crate::crypto::curve::{decode_scalar, encode_point, encode_scalar};

    const ONE: [u8; 32] = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };

    fn text(format: PrivateFormat, x: &[u8; 32]) -> String {
        written((format, CurveName::Secp256k1), x, &[7; 32]).unwrap().expose().clone()
    }

    #[test]
    fn known_private_keys_are_written_as_other_wallets_write_them() {
        assert_eq!(text(PrivateFormat::Hex, &ONE), format!("{}1\n", "0".repeat(63)));
        // The key 1, as every Bitcoin wallet knows it.
        let wif = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n";
        assert_eq!(text(PrivateFormat::Wif, &ONE), wif);
        assert!(text(PrivateFormat::Pem, &ONE).starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn no_text_of_the_key_grows_and_leaves_a_copy_behind() {
        for format in
            [PrivateFormat::Hex, PrivateFormat::Pem, PrivateFormat::Wif, PrivateFormat::Xprv]
        {
            let text = written((format, CurveName::Secp256k1), &ONE, &[7; 32]).unwrap();
            assert_eq!(text.expose().capacity(), ROOM, "{format:?}");
        }
    }

    /// BIP-32, test vector 1: its master key.
    #[test]
    fn an_extended_private_key_is_that_of_bip_32() {
        let bytes =
            |text: &str| -> [u8; 32] { crate::device::unhex(text).unwrap().try_into().unwrap() };
        let x = bytes("e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35");
        let chain_code = bytes("873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508");
        let xprv = written((PrivateFormat::Xprv, CurveName::Secp256k1), &x, &chain_code).unwrap();
        let known = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi\n";
        assert_eq!(xprv.expose(), known);
    }

    /// A child private key as BIP-32 derives it from an xprv.
    fn child(xprv: &str, index: u32) -> ([u8; 32], [u8; 32]) {
        let bytes = bs58::decode(xprv.trim_end()).with_check(None).into_vec().unwrap();
        let (chain_code, x): (_, Scalar) = (&bytes[13..45], decode_scalar(&bytes[46..78]).unwrap());
        let public = (ProjectivePoint::GENERATOR * x).to_affine();
        let mut mac = <Hmac<Sha512> as hmac::Mac>::new_from_slice(chain_code).unwrap();
        mac.update(&encode_point(&public).unwrap());
        mac.update(&index.to_be_bytes());
        let out = mac.finalize().into_bytes();
        let (left, right) = out.split_at(32);
        let x: Scalar = x + decode_scalar::<Scalar>(left).unwrap();
        (encode_scalar(&x), right.try_into().unwrap())
    }

    #[test]
    fn a_key_below_the_xprv_is_the_one_that_its_path_signs_for() {
        let chain_code = [9; 32];
        let xprv = |x: &[u8; 32], chain_code: &[u8; 32]| {
            written((PrivateFormat::Xprv, CurveName::Secp256k1), x, chain_code)
                .unwrap()
                .expose()
                .clone()
        };
        let (x, code) = child(&xprv(&ONE, &chain_code), 0);
        let (x, _) = child(&xprv(&x, &code), 7);
        let derived = bip32::derive(&AffinePoint::GENERATOR, &chain_code, &[0, 7]).unwrap();
        let public = ProjectivePoint::GENERATOR * decode_scalar::<Scalar>(&x).unwrap();
        assert_eq!(public.to_affine(), derived.public_key);
    }
}
