//! Signed payments: the signatures in the PSBT, and the transaction once it is complete.

use bitcoin::consensus::serialize;
use bitcoin::script::{Builder, PushBytes, Script, ScriptBuf};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{PublicKey, Witness};

use super::Refused;
use super::maps::Maps;
use super::payment::{Item, Lock, Several, Signing, Spent, verifies};

/// The PSBT with signatures, in DER, of its items. Nothing else in it changes but the flags by which
/// more could be added (BIP-370).
///
/// # Errors
/// It is none.
pub fn signed(bytes: &[u8], signatures: &[(&Item, Vec<u8>)]) -> Result<Vec<u8>, Refused> {
    let mut maps = Maps::read(bytes)?;
    for (item, der) in signatures {
        let all = u8::try_from(EcdsaSighashType::All.to_u32()).unwrap_or_default();
        maps.sign(item.input, &item.public_key, &[der.as_slice(), &[all]].concat());
    }
    Ok(maps.write())
}

/// The transaction of a PSBT as the network takes it; `None` if an input is not complete. What the
/// signers of other inputs have finished is taken as it is.
///
/// # Errors
/// It is none, or an amount is missing or contradicted.
pub fn finalized(bytes: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
    let psbt = Maps::read(bytes)?.meaning()?;
    let mut cache = SighashCache::new(&psbt.unsigned_tx);
    let mut tx = psbt.unsigned_tx.clone();
    for (at, (claims, input)) in psbt.inputs.iter().zip(&mut tx.input).enumerate() {
        let spent = Spent::read(&psbt, at)?;
        if claims.final_script_sig.is_some() || claims.final_script_witness.is_some() {
            input.script_sig = claims.final_script_sig.clone().unwrap_or_default();
            input.witness = claims.final_script_witness.clone().unwrap_or_default();
            continue;
        }
        let lock = Lock::of(&spent, claims);
        let signing = Signing { at, lock: &lock, spent: &spent, claims };
        let Some(key) = signing.opened(&mut cache) else { return Ok(None) };
        (input.script_sig, input.witness) = key;
    }
    Ok(Some(serialize(&tx)))
}

impl Signing<'_> {
    /// The script and the witness that spend the output, if the signatures are there.
    fn opened(
        &self,
        cache: &mut SighashCache<&bitcoin::Transaction>,
    ) -> Option<(ScriptBuf, Witness)> {
        if self.claims.partial_sigs.is_empty() {
            return None;
        }
        let digest = self.digest(cache)?;
        // The signature of a key, with the byte of its kind.
        let by = |key: &[u8; 33]| {
            let signature = self.present(key)?;
            verifies(key, &digest, signature).then(|| signature.to_vec())
        };
        let single = || {
            let keys = self.claims.partial_sigs.keys().map(|key| key.inner);
            let script = &self.spent.output.script_pubkey;
            let key = keys.into_iter().find(|key| self.lock.fits(script, &PublicKey::new(*key)))?;
            let key = key.serialize();
            Some(vec![by(&key)?, key.to_vec()])
        };
        // CHECKMULTISIG pops one element more than it needs.
        let several = |script: &Script| {
            let Several { needed, keys } = Several::read(script)?;
            let signatures: Vec<_> = keys.iter().filter_map(by).take(needed).collect();
            let parts = std::iter::once(Vec::new()).chain(signatures);
            let parts: Vec<_> = parts.chain([script.to_bytes()]).collect();
            (parts.len() == needed.checked_add(2)?).then_some(parts)
        };
        let within = |parts: Vec<Vec<u8>>| Witness::from_slice(&parts);
        Some(match self.lock {
            Lock::Pkh => (pushed(&single()?)?, Witness::new()),
            Lock::Sh(script) => (pushed(&several(script)?)?, Witness::new()),
            Lock::Wpkh => (ScriptBuf::new(), within(single()?)),
            Lock::Wsh(script) => (ScriptBuf::new(), within(several(script)?)),
            Lock::ShWpkh(redeem) => (pushed(&[redeem.to_bytes()])?, within(single()?)),
            Lock::ShWsh(script) => {
                (pushed(&[script.to_p2wsh().to_bytes()])?, within(several(script)?))
            }
            Lock::Taproot | Lock::Other => return None,
        })
    }
}

/// A script that pushes each of `parts`.
fn pushed(parts: &[Vec<u8>]) -> Option<ScriptBuf> {
    let push = |builder: Builder, part: &Vec<u8>| {
        let part: &PushBytes = part.as_slice().try_into().ok()?;
        Some(builder.push_slice(part))
    };
    parts.iter().try_fold(Builder::new(), push).map(Builder::into_script)
}
