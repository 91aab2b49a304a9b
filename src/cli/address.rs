//! `keys address`: where coins for a key are received, computed here from the share, so that what a
//! wallet shows can be compared with it.

use std::io::{self, IsTerminal as _};

use serde::Serialize;
use serde_json::json;

use super::args::AddressArgs;
use super::chosen::{Chosen, chain_code, chosen};
use super::output::Body;
use super::{Global, Output, public_key};
use crate::payload::bitcoin::{Network, as_address};
use crate::report::{self, Code, Failure};
use crate::request::below;
use crate::ui::qr;

/// An address, and where below the key it is.
#[derive(Serialize)]
struct Shown {
    path: String,
    address: String,
}

/// `cosign keys address`
pub(super) fn run_address(global: &Global, args: &AddressArgs) -> Result<Output, Failure> {
    let AddressArgs { name, index, count, change, network, is, qr } = args;
    let Chosen { record, mut vault } = chosen(global, name.as_deref(), "NAME")?;
    if !record.curve.has_wallets() {
        return Err(report::no_wallet(record.curve));
    }
    // One opening serves all of them.
    let chain_code = chain_code(global, &mut vault, &record)?;
    let at = |branch: u32, index: u32| -> Result<Shown, Failure> {
        let path = [branch, index];
        let named = (record.curve, &record.public_key);
        let key = public_key::derived(named, &path, || Ok(chain_code))?;
        let key = key.compressed().ok_or_else(report::bad_path)?;
        let address = public_key::p2wpkh(&key, *network).ok_or_else(report::bad_path)?;
        Ok(Shown { path: below(&record.name, &path), address })
    };
    if let Some(claimed) = is {
        return compared(claimed, *network, &record.name, at);
    }
    let last = index.saturating_add(u32::from(*count));
    let all = (*index..last).map(|index| at(u32::from(*change), index));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for Shown { path, address } in &all {
        text += &format!("{path}  {address}\n");
        if *qr {
            text += &code(address);
        }
    }
    let result = json!({ "name": record.name, "addresses": all, "checked": vault.is_some() });
    match qr {
        true => Output::with_body(result, Body::Raw(text.into_bytes())),
        false => Output::new(result, text),
    }
}

/// Whether `claimed` is an address of the key, and which.
fn compared(
    claimed: &str,
    network: Network,
    name: &str,
    at: impl Fn(u32, u32) -> Result<Shown, Failure>,
) -> Result<Output, Failure> {
    // What a QR code of a payment says (BIP-21) is taken as well.
    let plain = match claimed.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bitcoin") => rest,
        _ => claimed,
    };
    let plain = plain.split('?').next().unwrap_or_default();
    let address = as_address(plain).ok_or_else(|| {
        Failure::new(Code::Usage, format!("--is {claimed}: no address of Bitcoin"))
    })?;
    for index in 0..SEARCHED {
        for branch in [0, 1] {
            let own = at(branch, index)?;
            if own.address == address {
                let text = format!("yes: {} is {address}", own.path);
                return Output::new(
                    json!({ "name": name, "addresses": [own], "checked": true }),
                    text,
                );
            }
        }
    }
    let network = network.name();
    let why = format!(
        "{address} is none of the first {SEARCHED} addresses (P2WPKH) of {name:?}, to receive or for change ({network})"
    );
    let result = json!({ "name": name, "addresses": [], "checked": true });
    let hint = "do not send coins there: the wallet that shows it may be another key's, or lie";
    Ok(Output::new(result, String::new())?.but(Failure::new(Code::Invalid, why).hint(hint)))
}

/// A QR code of a payment to `address` (BIP-21), with line ends. Its colours are for terminals.
fn code(address: &str) -> String {
    let rows = qr::rows(&format!("bitcoin:{address}")).unwrap_or_default();
    let line = |row: &String| match io::stdout().is_terminal() {
        true => format!("{}{row}\x1b[0m\n", qr::COLORS),
        false => format!("{row}\n"),
    };
    rows.iter().map(line).collect()
}

/// How many addresses of each branch are looked through.
const SEARCHED: u32 = 1000;
