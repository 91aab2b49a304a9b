//! The key that a command is about, and what of it only the open vault has.

use super::Global;
use super::runtime::ask;
use super::unlock;
use crate::driver::records;
use crate::payload::curve::Signer;
use crate::report::{self, Code, Failure};
use crate::vault::{KeyRecord, Vault, keys};

/// The key of this name, or the only one: its active record, else its pending one. `flag` is the
/// flag for the key on this command line.
pub(super) fn chosen(
    global: &Global,
    name: Option<&str>,
    flag: &'static str,
) -> Result<Chosen, Failure> {
    let (home, vault) = unlock::look(global)?;
    let records = match name {
        Some(name) => keys::find(&home, name)?,
        None => {
            let mut records = keys::list(&home)?;
            let mut names: Vec<String> = records.iter().map(|key| key.name.clone()).collect();
            names.dedup();
            if names.len() > 1 {
                let i = ask(async { Ok(global.prompter.pick("key", flag, &names).await?) })?;
                records.retain(|key| Some(&key.name) == names.get(i));
            }
            records
        }
    };
    let record = records.into_iter().next().ok_or_else(|| {
        Failure::new(Code::NotFound, "there is no key on this device").hint(format!(
            "{} makes one; --public-key takes a key from elsewhere",
            report::here(&["keygen"], &[])
        ))
    })?;
    check(vault.as_ref(), std::slice::from_ref(&record))?;
    Ok(Chosen { record, vault })
}

/// A key, and the open vault that authenticated it.
pub(super) struct Chosen {
    pub(super) record: KeyRecord,
    pub(super) vault: Option<Vault>,
}

/// With an open vault, fails if a record does not fit its share.
pub(super) fn check(vault: Option<&Vault>, records: &[KeyRecord]) -> Result<(), Failure> {
    let Some(vault) = vault else { return Ok(()) };
    Ok(records.iter().try_for_each(|record| records::check(vault, record))?)
}

/// What the key of this name, or the only one, signs with. The vault is opened for its chain code.
pub(super) fn signer(
    global: &Global,
    name: Option<&str>,
    flag: &'static str,
) -> Result<Signer, Failure> {
    let Chosen { record, mut vault } = chosen(global, name, flag)?;
    let chain_code = chain_code(global, &mut vault, &record)?;
    Signer::new(record.curve, &record.public_key, chain_code)
        .ok_or_else(|| report::bug("a key is no point"))
}

/// The chain code is stored with the share, so the vault is opened.
pub(super) fn chain_code(
    global: &Global,
    vault: &mut Option<Vault>,
    key: &KeyRecord,
) -> Result<[u8; 32], Failure> {
    let vault = match vault {
        Some(vault) => vault,
        None => vault.insert(ask(unlock::open_naming(global))?.1),
    };
    Ok(*records::share(vault, key)?.chain_code())
}
