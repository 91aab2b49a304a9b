//! `cosign show`: prints what would be signed, as the signers see it.

use serde::Serialize;

use super::args::{KeyName, ShowArgs};
use super::chosen::{self, Chosen, chain_code, chosen};
use super::digest::Digest;
use super::{Global, Output, digest, public_key};
use crate::payload::ethereum::Account;
use crate::payload::{Source, Summary};
use crate::report::{self, Failure};
use crate::request::below;
use crate::ui::{lines, terminal};

#[derive(Serialize)]
struct Shown<'a> {
    digest: String,
    source: &'a Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Summary>,
    /// The account that would sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Account>,
}

/// `cosign show`
pub(super) fn run_show(global: &Global, args: &ShowArgs) -> Result<Output, Failure> {
    let digest =
        digest::of_any(args.digest.as_deref(), &args.payload, &args.payment, global.deadline)?;
    let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
    let digest =
        digest.signed_by(&path, || chosen::signer(global, name.as_deref(), "--key NAME"))?;
    let payload = digest.payload.as_ref().map(|payload| payload.summary());
    let signer = match args.key {
        Some(_) if digest.payment.is_none() => signer(global, args, &digest)?,
        _ => None,
    };
    let columns = terminal::output_columns();
    let card =
        lines::payload_card(&digest.bytes, &digest.source, payload, signer.as_ref(), columns);
    let from = signer.as_ref().and_then(Account::of_key);
    let shown = Shown { digest: digest.hex(), source: &digest.source, payload, from };
    Output::new(shown, card.join("\n"))
}

/// The public key that would sign, if wallets have such keys. A transaction that says it is `from` an account must be
/// that key's.
fn signer(global: &Global, args: &ShowArgs, digest: &Digest) -> Result<Option<[u8; 33]>, Failure> {
    let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
    let Chosen { record, mut vault } = chosen(global, name.as_deref(), "--key NAME")?;
    digest.fits(record.curve, &path)?;
    if !record.curve.has_wallets() {
        return Ok(None);
    }
    let chain_code = || chain_code(global, &mut vault, &record);
    let key = public_key::derived((record.curve, &record.public_key), &path, chain_code)?;
    let key = key.compressed().ok_or_else(report::bad_path)?;
    match (Account::of_key(&key), digest.from) {
        (Some(account), Some(from)) if account != from => {
            Err(report::other_account(&below(&record.name, &path), account, from))
        }
        _ => Ok(Some(key)),
    }
}
