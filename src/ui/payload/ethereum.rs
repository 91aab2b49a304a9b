//! Transactions of Ethereum and typed data as rows of a card.

use super::lines_of;
use crate::payload::ethereum::call::{Argument, Call, Value};
use crate::payload::ethereum::transaction::{Authorized, Summary};
use crate::payload::ethereum::typed_data::{self, Field, Protocol};
use crate::payload::ethereum::{Account, Chain, Data, Number, Warning};

type Row = (&'static str, String);

/// An address in full, in groups of four digits.
pub(super) fn grouped(account: Account) -> String {
    let text = account.to_string();
    let (prefix, digits) = text.split_at_checked(2).unwrap_or_default();
    let digits: Vec<char> = digits.chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    format!("{prefix}{}", groups.join(" "))
}

fn chain(chain: Chain) -> String {
    match chain.name {
        Some(name) => format!("{}, {name}", chain.id),
        None => format!("{}, which is not among those that this device knows", chain.id),
    }
}

pub(super) fn transaction(summary: &Summary) -> Vec<Row> {
    let coin = summary.chain.coin;
    let amount = |wei: Number| format!("{} {coin}", wei.ether());
    let mut rows: Vec<Row> = warnings(&summary.warnings);
    rows.push(("chain", chain(summary.chain)));
    rows.push((
        "to",
        match summary.to {
            Some(to) => grouped(to),
            None => "no account: IT CREATES A CONTRACT".to_owned(),
        },
    ));
    rows.push(("value", amount(summary.value)));
    rows.push(("fee", format!("at most {}", amount(summary.max_fee))));
    let (gas, price) = (Number::from(summary.gas).grouped(), summary.price.grouped());
    rows.push(("gas", format!("at most {gas}, at most {price} wei for each")));
    rows.push(("nonce", summary.nonce.to_string()));
    rows.push(("form", summary.envelope.name().to_owned()));
    if summary.accesses > 0 {
        rows.push(("", format!("with an access list of {} accounts", summary.accesses)));
    }
    if summary.blobs > 0 {
        rows.push(("blobs", format!("{}, of which only the hashes are here", summary.blobs)));
    }
    rows.extend(summary.authorizations.iter().flat_map(authorized));
    if let Some(code) = &summary.code {
        rows.extend(data("code", code));
    }
    if let Some(call) = &summary.call {
        rows.push(("calls", method(call)));
        rows.extend(within(call, coin, 0));
    }
    rows
}

fn authorized(given: &Authorized) -> Vec<Row> {
    let place = match (given.chain.0.is_zero(), given.chain_name) {
        (true, _) => "every chain".to_owned(),
        (false, Some(name)) => format!("chain {}, {name}", given.chain),
        (false, None) => format!("chain {}", given.chain),
    };
    let who = match given.authority {
        Some(account) => grouped(account),
        None => "no account: its signature is invalid".to_owned(),
    };
    vec![
        ("gives away", format!("the code of the account {who}")),
        ("", format!("to the code of {}", grouped(given.delegate))),
        ("", format!("on {place}, at nonce {}", given.nonce)),
    ]
}

/// The method of a call, or that it is not known.
fn method(call: &Call) -> String {
    match (&call.selector, call.method) {
        (None, _) => "nothing: it is a payment".to_owned(),
        (Some(_), Some(method)) if call.data.is_none() => method.to_owned(),
        (Some(selector), Some(method)) => {
            format!("{selector}, as {method}, but the arguments are not read")
        }
        (Some(selector), None) => {
            format!("{selector}: this device does not know what this calls")
        }
    }
}

/// The arguments of a call, and the calls in it.
fn within(call: &Call, coin: &str, level: usize) -> Vec<Row> {
    let indent = "  ".repeat(level);
    let mut rows: Vec<Row> = Vec::new();
    for Argument { name, value } in &call.arguments {
        let shown = match value {
            Value::Account(account) => grouped(*account),
            Value::Number(number) if call.amount == Some(*number) && *name == "amount" => {
                format!("{} base units (or the number of a token)", number.grouped())
            }
            Value::Number(number) => number.grouped(),
            Value::Numbers(numbers) => {
                let all: Vec<String> = numbers.iter().map(|number| number.grouped()).collect();
                format!("[{}]", all.join("; "))
            }
            Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Value::Word(digits) => digits.clone(),
            Value::Bytes(None) => "no bytes".to_owned(),
            Value::Bytes(Some(bytes)) => {
                rows.extend(data("", bytes).into_iter().enumerate().map(|(n, (_, row))| {
                    let name = if n == 0 { format!("{name}: ") } else { String::new() };
                    ("", format!("{indent}{name}{row}"))
                }));
                continue;
            }
        };
        rows.push(("", format!("{indent}{name}: {shown}")));
    }
    if let Some(bytes) = &call.data {
        rows.extend(data("", bytes).into_iter().map(|(_, row)| ("", format!("{indent}{row}"))));
    }
    for (n, inner) in call.calls.iter().enumerate() {
        let n = n.saturating_add(1);
        let how = if inner.delegate { "DELEGATECALL to" } else { "to" };
        rows.push(("", format!("{indent}{n}. {how} {}", grouped(inner.to))));
        rows.push(("", format!("{indent}   value: {} {coin}", inner.value.ether())));
        rows.push(("", format!("{indent}   calls: {}", method(inner))));
        rows.extend(within(inner, coin, level.saturating_add(2)));
    }
    rows
}

fn data(label: &'static str, data: &Data) -> Vec<Row> {
    let size = Number::from(data.size).grouped();
    let shown = if data.is_complete() { "" } else { "; they begin with" };
    vec![
        (label, format!("{size} bytes, Keccak-256 {}{shown}", data.keccak256)),
        ("", data.bytes.clone()),
    ]
}

pub(super) fn typed(summary: &typed_data::Summary) -> Vec<Row> {
    let mut rows = warnings(&summary.warnings);
    if let Some(protocol) = summary.protocol {
        rows.push(("looks like", looks_like(protocol).to_owned()));
    }
    if let Some(id) = summary.chain {
        rows.push(("chain", chain(id)));
    }
    if let Some(contract) = summary.contract {
        rows.push(("contract", grouped(contract)));
    }
    rows.extend(labelled("domain", fields(&summary.domain, 0)));
    rows.push(("message", summary.primary_type.clone()));
    rows.extend(fields(&summary.message, 1));
    if let Some(call) = &summary.call {
        let how = if call.delegate { "DELEGATECALL to" } else { "to" };
        rows.push(("calls", method(call)));
        rows.push(("", format!("{how} {}", grouped(call.to))));
        let coin = summary.chain.map_or("coins", |chain| chain.coin);
        rows.push(("", format!("value: {} {coin}", call.value.ether())));
        rows.extend(within(call, coin, 0));
    }
    rows
}

fn looks_like(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Permit => "a permit: the spender may spend this token of the owner (EIP-2612)",
        Protocol::Permit2 => "a permit: the spender may spend tokens of this account (Permit2)",
        Protocol::SafeTx => "a transaction of a Safe, by one of its owners",
        Protocol::Seaport => "an order of Seaport: what is offered for what is considered",
    }
}

/// `rows`, the first with a label.
fn labelled(label: &'static str, rows: Vec<Row>) -> Vec<Row> {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    labels.zip(rows).map(|(label, (_, row))| (label, row)).collect()
}

fn fields(fields: &[Field], level: usize) -> Vec<Row> {
    let indent = "  ".repeat(level);
    let mut rows: Vec<Row> = Vec::new();
    for Field { name, kind, value } in fields {
        let start = format!("{indent}{name} ({kind})");
        let shown = match value {
            typed_data::Value::Text(text) => {
                for (n, (_, line)) in lines_of("", text).into_iter().enumerate() {
                    let start = if n == 0 { format!("{start}: ") } else { format!("{indent}  ") };
                    rows.push(("", start + &line));
                }
                continue;
            }
            typed_data::Value::Fields(inner) => {
                let none = if inner.is_empty() { ": none" } else { "" };
                rows.push(("", start + none));
                rows.extend(self::fields(inner, level.saturating_add(1)));
                continue;
            }
            typed_data::Value::Bytes(Some(bytes)) => {
                rows.push(("", start));
                let bytes = data("", bytes).into_iter();
                rows.extend(bytes.map(|(_, row)| ("", format!("{indent}  {row}"))));
                continue;
            }
            typed_data::Value::Account(account) => grouped(*account),
            typed_data::Value::Number(number) => number.grouped(),
            typed_data::Value::Signed(digits) | typed_data::Value::Word(digits) => digits.clone(),
            typed_data::Value::Flag(flag) => flag.to_string(),
            typed_data::Value::Bytes(None) => "no bytes".to_owned(),
        };
        rows.push(("", format!("{start}: {shown}")));
    }
    rows
}

fn warnings(warnings: &[Warning]) -> Vec<Row> {
    warnings.iter().map(|warning| ("warning", text(*warning).to_owned())).collect()
}

fn text(warning: Warning) -> &'static str {
    match warning {
        Warning::CreatesContract => "it creates a contract, whose code nobody here has read",
        Warning::GivesCodeAway => "it gives the code of an account away (EIP-7702)",
        Warning::AnyChain => "an account's code is given away on every chain",
        Warning::Unlimited => "an approval without a limit: all tokens of this kind, for ever",
        Warning::Approval => {
            "an approval: whether a contract or a person is behind the spender is not known here"
        }
        Warning::ApprovalForAll => "every token of this contract is put into another's hands",
        Warning::DelegateCall => "foreign code runs with all rights of the Safe (delegatecall)",
        Warning::Refund => {
            "the Safe also pays for gas (gasPrice): baseGas and gasPrice say how much, refundReceiver to whom"
        }
        Warning::ValueWithCall => "coins are sent along with a call",
        Warning::UnknownCall => "this device does not know what this calls",
        Warning::OddEncoding => "the arguments are not encoded as its method demands",
        Warning::TooDeep => "calls within calls are deeper than is shown",
        Warning::NoChain => "it names no chain: it may be valid on every chain",
        Warning::NoContract => "it names no contract: it may be valid for several",
    }
}
