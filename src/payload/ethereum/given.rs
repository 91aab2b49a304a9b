//! Transactions as people give them: the payload in hexadecimal, or a JSON object as ethers, viem
//! and `eth_fillTransaction` write it.

use alloy_primitives::U256;
use serde_json::{Map, Value};

use super::transaction::{Access, Authorization, Envelope, Transaction};
use super::{Account, Refused, unhex};

/// Members that say nothing about what is signed.
const IGNORED: [&str; 8] =
    ["from", "hash", "sig", "blockHash", "blockNumber", "blockTimestamp", "transactionIndex", "v"];

/// The members that are read.
const READ: [&str; 18] = [
    "type",
    "chainId",
    "nonce",
    "gasPrice",
    "maxPriorityFeePerGas",
    "maxFeePerGas",
    "gas",
    "gasLimit",
    "to",
    "value",
    "data",
    "input",
    "accessList",
    "maxFeePerBlobGas",
    "blobVersionedHashes",
    "authorizationList",
    "r",
    "s",
];

/// The transaction in `text`, and the account that the text says it is from.
///
/// # Errors
/// It is none, or a field is missing, unknown, or not in its range; the field is named.
pub fn read(text: &str) -> Result<(Transaction, Option<Account>), Refused> {
    let text = text.trim();
    if !text.starts_with('{') {
        let bytes = unhex(text).ok_or_else(|| {
            Refused("a transaction is 0x and the hexadecimal digits of its RLP, or JSON".to_owned())
        })?;
        return Ok((Transaction::decode(&bytes)?, None));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| Refused(format!("JSON: {e}")))?;
    let Value::Object(object) = &value else { return Err(Refused("no JSON object".to_owned())) };
    // `eth_fillTransaction` gives it twice, and the one in `tx` has all fields by name.
    let fields = match object.get("tx") {
        Some(Value::Object(inner)) => Fields(inner),
        _ => Fields(object),
    };
    let from = fields.parsed("from", account)?;
    Ok((fields.transaction()?, from))
}

/// The members of a JSON object.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn transaction(&self) -> Result<Transaction, Refused> {
        let known = |name: &str| READ.contains(&name) || IGNORED.contains(&name);
        let unknown = self.0.iter().find(|(name, value)| !known(name) && !is_nothing(value));
        if let Some((name, _)) = unknown.filter(|(name, _)| *name != "yParity") {
            return Err(Refused(format!("{name:?}: not a field of a transaction")));
        }
        for name in ["r", "s"] {
            if self.parsed(name, number)?.is_some_and(|part| !part.is_zero()) {
                return Err(Refused::at(name, "it is signed already"));
            }
        }
        let envelope = self.envelope()?;
        let (tip, price) = self.prices(envelope)?;
        let data = self.either("data", "input", bytes)?.unwrap_or_default();
        let only = |name: &str, of: Envelope| match self.get(name) {
            Some(_) if envelope != of => {
                let why = format!("{name}: not a field of type {}", envelope.name());
                Err(Refused(why))
            }
            _ => Ok(()),
        };
        only("maxFeePerBlobGas", Envelope::Blob)?;
        only("blobVersionedHashes", Envelope::Blob)?;
        only("authorizationList", Envelope::SetCode)?;
        let blob_price = match envelope {
            Envelope::Blob => self.needed("maxFeePerBlobGas", integer)?,
            _ => 0,
        };
        let accesses = self.list("accessList", access)?;
        if envelope == Envelope::Legacy && !accesses.is_empty() {
            return Err(Refused::at("accessList", "not a field of a legacy transaction"));
        }
        let transaction = Transaction {
            envelope,
            chain: self.parsed("chainId", integer)?.unwrap_or(0),
            nonce: self.needed("nonce", integer)?,
            tip,
            price,
            gas: self
                .either("gas", "gasLimit", integer)?
                .ok_or_else(|| Refused::at("gas", "missing"))?,
            to: self.parsed("to", account)?,
            value: self.parsed("value", number)?.unwrap_or_default(),
            data,
            accesses,
            blob_price,
            blobs: self.list("blobVersionedHashes", word)?,
            authorizations: self.list("authorizationList", authorization)?,
        };
        transaction.check()?;
        Ok(transaction)
    }

    /// The type that it says, or else the one whose fields it has.
    fn envelope(&self) -> Result<Envelope, Refused> {
        let has = |name: &str| self.get(name).is_some();
        let Some(given) = self.get("type") else {
            return Ok(if has("authorizationList") {
                Envelope::SetCode
            } else if has("blobVersionedHashes") {
                Envelope::Blob
            } else if has("maxFeePerGas") {
                Envelope::DynamicFee
            } else if has("accessList") {
                Envelope::AccessList
            } else {
                Envelope::Legacy
            });
        };
        match given.as_str() {
            Some("legacy") => return Ok(Envelope::Legacy),
            Some("eip2930") => return Ok(Envelope::AccessList),
            Some("eip1559") => return Ok(Envelope::DynamicFee),
            Some("eip4844") => return Ok(Envelope::Blob),
            Some("eip7702") => return Ok(Envelope::SetCode),
            _ => {}
        }
        let byte: u8 = integer(given).map_err(|e| Refused::at("type", &e.0))?;
        let envelope = Envelope::ALL.get(usize::from(byte));
        envelope.copied().ok_or_else(|| Refused::at("type", "no type from 0 to 4"))
    }

    /// The tip and the price of gas.
    fn prices(&self, envelope: Envelope) -> Result<(u128, u128), Refused> {
        if !envelope.has_tip() {
            for name in ["maxFeePerGas", "maxPriorityFeePerGas"] {
                if self.get(name).is_some() {
                    return Err(Refused::at(name, "this type has only gasPrice"));
                }
            }
            let price = self.needed("gasPrice", integer)?;
            return Ok((price, price));
        }
        let price = self.needed("maxFeePerGas", integer)?;
        // Nodes repeat the price here.
        if self.parsed::<u128>("gasPrice", integer)?.is_some_and(|again| again != price) {
            return Err(Refused::at("gasPrice", "this type has maxFeePerGas"));
        }
        Ok((self.needed("maxPriorityFeePerGas", integer)?, price))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn parsed<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, Refused>,
    ) -> Result<Option<T>, Refused> {
        self.get(name).map(read).transpose().map_err(|e| Refused::at(name, &e.0))
    }

    fn needed<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.parsed(name, read)?.ok_or_else(|| Refused::at(name, "missing"))
    }

    /// One of two names for the same; both must say the same.
    fn either<T: PartialEq>(
        &self,
        one: &str,
        other: &str,
        read: impl Fn(&Value) -> Result<T, Refused>,
    ) -> Result<Option<T>, Refused> {
        match (self.parsed(one, &read)?, self.parsed(other, &read)?) {
            (Some(a), Some(b)) if a != b => Err(Refused(format!("{one} and {other} differ"))),
            (one, other) => Ok(one.or(other)),
        }
    }

    fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, Refused>,
    ) -> Result<Vec<T>, Refused> {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(Refused::at(name, "no list")),
        };
        let read = items
            .iter()
            .enumerate()
            .map(|(n, item)| read(item).map_err(|e| Refused(format!("{name}[{n}]: {}", e.0))));
        read.collect()
    }
}

/// Whether a member says nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A number: as JSON has it, in decimal or hexadecimal digits, or as ethers 5 writes it.
fn number(value: &Value) -> Result<U256, Refused> {
    let text = match value {
        Value::Number(number) => return number.as_u64().map(U256::from).ok_or_else(no_number),
        Value::String(text) => text,
        Value::Object(object) if object.get("type") == Some(&"BigNumber".into()) => {
            return number(object.get("hex").unwrap_or(&Value::Null));
        }
        _ => return Err(no_number()),
    };
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text.as_str(), 10),
    };
    let is_plain = !digits.is_empty() && digits.len() <= 78;
    if !is_plain || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(no_number());
    }
    U256::from_str_radix(digits, radix.into()).map_err(|_| no_number())
}

fn no_number() -> Refused {
    Refused("no whole number of at most 256 bits; large ones are written in quotes".to_owned())
}

fn integer<T: TryFrom<U256>>(value: &Value) -> Result<T, Refused> {
    T::try_from(number(value)?).map_err(|_| Refused("too large".to_owned()))
}

fn account(value: &Value) -> Result<Account, Refused> {
    value.as_str().ok_or_else(|| Refused("no text".to_owned()))?.parse()
}

fn bytes(value: &Value) -> Result<Vec<u8>, Refused> {
    let bytes = value.as_str().and_then(unhex);
    bytes.ok_or_else(|| Refused("no 0x and an even number of hexadecimal digits".to_owned()))
}

fn word(value: &Value) -> Result<[u8; 32], Refused> {
    bytes(value)?.try_into().map_err(|_| Refused("not 32 bytes".to_owned()))
}

/// `{address, storageKeys}`, or ethers' pair of them.
fn access(value: &Value) -> Result<Access, Refused> {
    let (address, keys) = match value {
        Value::Object(object) => (object.get("address"), object.get("storageKeys")),
        Value::Array(pair) => (pair.first(), pair.get(1)),
        _ => (None, None),
    };
    let (Some(address), Some(Value::Array(keys))) = (address, keys) else {
        return Err(Refused("no address with storageKeys".to_owned()));
    };
    let slots = keys.iter().map(word).collect::<Result<_, _>>()?;
    Ok(Access { account: account(address)?, slots })
}

/// An authorisation with its signature: `yParity`, `r` and `s`, or these in `signature`.
fn authorization(value: &Value) -> Result<Authorization, Refused> {
    let Value::Object(object) = value else { return Err(Refused("no object".to_owned())) };
    let fields = Fields(object);
    let signature = match object.get("signature") {
        Some(Value::Object(signature)) => Fields(signature),
        _ => Fields(object),
    };
    Ok(Authorization {
        chain: fields.needed("chainId", number)?,
        delegate: fields.needed("address", account)?,
        nonce: fields.needed("nonce", integer)?,
        parity: match signature.parsed("yParity", integer)? {
            Some(parity) => parity,
            None => match signature.needed("v", integer::<u8>)? {
                27 => 0,
                28 => 1,
                parity => parity,
            },
        },
        r: signature.needed("r", number)?,
        s: signature.needed("s", number)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TO: &str = "0x1111111111111111111111111111111111111111";

    fn encoded(given: &Value) -> Result<String, String> {
        let read = read(&given.to_string());
        read.map(|(read, _)| super::super::hex(&read.encode())).map_err(|refused| refused.0)
    }

    /// A plain payment.
    fn payment() -> Value {
        json!({
            "chainId": 1, "nonce": 0, "maxFeePerGas": "30000000000",
            "maxPriorityFeePerGas": "0x3b9aca00", "gas": "0x5208", "to": TO,
            "value": "1500000000000000000",
        })
    }

    fn with(members: &Value) -> Value {
        let mut given = payment();
        for (name, value) in members.as_object().unwrap() {
            given[name] = value.clone();
        }
        given
    }

    #[test]
    fn libraries_write_the_same_transaction_in_their_own_ways() {
        let plain = encoded(&payment()).unwrap();
        let big = json!({"type": "BigNumber", "hex": "0x3b9aca00"});
        for other in [
            // viem
            with(&json!({"type": "eip1559", "data": "0x", "accessList": []})),
            // ethers 6
            with(&json!({
                "type": 2, "gas": null, "gasLimit": "21000", "gasPrice": null, "sig": null,
                "hash": null, "accessList": [], "blobVersionedHashes": null, "from": TO,
            })),
            // ethers 5
            with(&json!({"type": 2, "maxPriorityFeePerGas": big})),
            // eth_fillTransaction
            json!({"raw": "0x02", "tx": with(&json!({
                "type": "0x2", "chainId": "0x1", "nonce": "0x0", "gasPrice": null, "input": "0x",
                "accessList": [], "v": "0x0", "r": "0x0", "s": "0x0", "yParity": "0x0",
                "hash": "0x5a",
            }))}),
        ] {
            assert_eq!(encoded(&other).as_ref(), Ok(&plain), "{other}");
        }
        assert_eq!(read(&format!("{plain}\n")).unwrap().0.encode(), unhex(&plain).unwrap());
        let from = read(&with(&json!({"from": TO})).to_string()).unwrap().1;
        assert_eq!(from, Some(TO.parse().unwrap()));
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (members, why) in [
            (json!({"chainId": null}), "chainId: 0 or missing"),
            (json!({"chainId": 0}), "chainId: 0 or missing"),
            (json!({"chainId": "1e3"}), "chainId: no whole number"),
            (json!({"nonce": null}), "nonce: missing"),
            (json!({"nonce": 1.0}), "nonce: no whole number"),
            (json!({"nonce": "0x10000000000000000"}), "nonce: too large"),
            (json!({"gas": null}), "gas: missing"),
            (json!({"gas": 21000, "gasLimit": 21001}), "gas and gasLimit differ"),
            (json!({"data": "0x00", "input": "0x01"}), "data and input differ"),
            (json!({"data": "0x0"}), "data: no 0x"),
            (json!({"gasPrice": 7}), "gasPrice: this type has maxFeePerGas"),
            (json!({"type": 0}), "maxFeePerGas: this type has only gasPrice"),
            (json!({"type": 5}), "type: no type"),
            (json!({"type": 3}), "maxFeePerBlobGas: missing"),
            (json!({"type": 4}), "authorizationList: none"),
            (json!({"type": 2, "authorizationList": []}), "authorizationList: not a field"),
            (json!({"to": null}), "to: missing"),
            (json!({"to": "vitalik.eth"}), "to: no address"),
            (json!({"value": "0x1".to_owned() + &"0".repeat(64)}), "value: no whole number"),
            (json!({"r": "0x1"}), "r: it is signed already"),
            (json!({"customData": {}}), "\"customData\": not a field"),
            (json!({"accessList": [{"address": TO}]}), "accessList[0]: no address with"),
            (json!({"maxPriorityFeePerGas": "30000000001"}), "maxPriorityFeePerGas: above"),
        ] {
            let refused = encoded(&with(&members)).unwrap_err();
            assert!(refused.starts_with(why), "{members}: {refused}");
        }
        for text in ["", "0x", "02", "0xzz", "[]", "{"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
