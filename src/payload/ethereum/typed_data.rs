//! Typed data (EIP-712): a JSON object with types, a domain and a message.
//!
//! What is shown and what is hashed come from one walk over the same values, in the order in which
//! the types declare them. Only values that have one meaning are accepted: members that the type
//! declares and no others, whole numbers in range, bytes of the declared length. Its size bounds
//! the number of types and members, so a message takes no more time than it is long.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use alloy_primitives::{I256, Sign, U256, keccak256};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use super::call::{self, Call};
use super::{Account, Chain, Data, Number, Refused, Warning, hex, unhex};

/// Most bytes of typed data: its signer reads all of it.
pub const MAX_TYPED_DATA: u64 = 64 << 10;

/// Most types.
const MAX_TYPES: usize = 64;
/// Most members of all types together, and most rows of domain and message.
const MAX_MEMBERS: usize = 1024;
/// Most dimensions of an array.
const MAX_DIMENSIONS: usize = 4;
/// Most levels of a message.
const MAX_LEVELS: usize = 16;

/// The members of a domain, in the order of the standard.
const DOMAIN: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];
const DOMAIN_TYPE: &str = "EIP712Domain";

/// What is shown of typed data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it is, if its form is that of a well-known protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The chain of its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// The contract of its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Account>,
    /// Its domain.
    pub domain: Vec<Field>,
    /// The name of the message's type.
    pub primary_type: String,
    /// The message.
    pub message: Vec<Field>,
    /// The call that the transaction of a Safe makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// Warnings about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A well-known form of typed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// EIP-2612: another account may spend a token.
    Permit,
    /// Permit2: another account may spend tokens.
    Permit2,
    /// A transaction of a Safe.
    SafeTx,
    /// An order of Seaport: what is offered for what.
    Seaport,
}

/// A member of a domain or a message, or an item of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name, or its position such as `[0]`.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value.
    pub value: Value,
}

/// A value. Texts are raw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A text (`string`).
    Text(String),
    /// An account (`address`).
    Account(Account),
    /// An unsigned number.
    Number(Number),
    /// A signed number, in decimal digits.
    Signed(String),
    /// Yes or no.
    Flag(bool),
    /// Bytes of a fixed length, in hexadecimal.
    Word(String),
    /// Bytes; `None` if there are none.
    Bytes(Option<Data>),
    /// A structure or an array.
    Fields(Vec<Field>),
}

/// Typed data, read and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedData {
    /// What is signed: the Keccak-256 of `\x19\x01`, the hash of the domain, and that of the
    /// message.
    pub digest: [u8; 32],
    /// What is shown.
    pub summary: Summary,
}

impl TypedData {
    /// Reads the JSON object in `bytes`.
    ///
    /// # Errors
    /// It is none, or not valid; the path to the fault is named.
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let Strict(json) =
            serde_json::from_slice(bytes).map_err(|e| Refused(format!("JSON: {e}")))?;
        let Json::Object(object) = json else { return Err(Refused("no JSON object".to_owned())) };
        let parts = ["types", "primaryType", "domain", "message"];
        if let Some(name) = object.keys().find(|name| !parts.contains(&name.as_str())) {
            return Err(Refused(format!("{name:?}: not a part of typed data")));
        }
        let part = |name: &str| object.get(name).ok_or_else(|| Refused::at(name, "missing"));
        let domain = members(part("domain")?, "domain")?;
        let message = members(part("message")?, "message")?;
        let primary = text(part("primaryType")?, "primaryType")?;
        let types = Types::read(members(part("types")?, "types")?, domain)?;
        if primary == DOMAIN_TYPE || !types.0.contains_key(primary) {
            return Err(Refused::at("primaryType", "not among the types"));
        }
        let mut walk = Walk { types: &types, hashes: BTreeMap::new(), rows: 0 };
        let (domain, domain_hash) = walk.structure(domain, DOMAIN_TYPE, "domain", 0)?;
        let (fields, message_hash) = walk.structure(message, primary, "message", 0)?;
        let signed = [&[0x19, 0x01], &domain_hash[..], &message_hash[..]].concat();
        let digest = keccak256(signed).0;
        let data = message.get("data").and_then(Json::as_str).and_then(unhex);
        let summary = Summary::of(domain, primary, fields, &data.unwrap_or_default());
        Ok(Self { digest, summary })
    }
}

impl Summary {
    /// `data` are the bytes of the message's member of that name.
    fn of(domain: Vec<Field>, primary: &str, message: Vec<Field>, data: &[u8]) -> Self {
        let chain = match get(&domain, "chainId") {
            Some(Value::Number(id)) => u64::try_from(id.0).ok().map(Chain::new),
            _ => None,
        };
        let contract = account(&domain, "verifyingContract");
        let mut warnings = Vec::new();
        if chain.is_none_or(|chain| chain.id == 0) {
            warnings.push(Warning::NoChain);
        }
        if contract.is_none() {
            warnings.push(Warning::NoContract);
        }
        let protocol = protocol(&domain, primary, &message);
        let is_safe = protocol == Some(Protocol::SafeTx);
        let call = if is_safe { safe(&message, data) } else { None };
        warnings.extend(call.iter().flat_map(Call::warnings));
        if is_safe && call.is_none() {
            warnings.push(Warning::OddEncoding);
        }
        if is_safe && number(&message, "gasPrice").is_some_and(|price| price != Number::default()) {
            warnings.push(Warning::Refund);
        }
        if let Some(Protocol::Permit | Protocol::Permit2) = protocol {
            warnings.push(Warning::Approval);
            if spends_without_limit(&message) {
                warnings.push(Warning::Unlimited);
            }
        }
        Self {
            protocol,
            chain,
            contract,
            domain,
            primary_type: primary.to_owned(),
            message,
            call,
            warnings,
        }
    }

    /// Whether it has bytes of any length that are not read as a call.
    pub fn has_unread_bytes(&self) -> bool {
        fn within(fields: &[Field]) -> bool {
            fields.iter().any(|field| match &field.value {
                Value::Bytes(bytes) => bytes.is_some(),
                Value::Fields(fields) => within(fields),
                _ => false,
            })
        }
        self.call.is_none() && within(&self.message)
    }

    /// The accounts anywhere in the message.
    pub fn accounts(&self) -> Vec<Account> {
        fn within(fields: &[Field], found: &mut Vec<Account>) {
            for field in fields {
                match &field.value {
                    Value::Account(account) => found.push(*account),
                    Value::Fields(fields) => within(fields, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        within(&self.message, &mut found);
        found
    }
}

fn get<'a>(fields: &'a [Field], name: &str) -> Option<&'a Value> {
    fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

fn account(fields: &[Field], name: &str) -> Option<Account> {
    match get(fields, name)? {
        Value::Account(account) => Some(*account),
        _ => None,
    }
}

fn number(fields: &[Field], name: &str) -> Option<Number> {
    match get(fields, name)? {
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// The protocol whose form this is. The name of a type alone is anybody's choice, so its members
/// must be there as well.
fn protocol(domain: &[Field], primary: &str, message: &[Field]) -> Option<Protocol> {
    let is = |names: &[&str]| names.iter().all(|name| get(message, name).is_some());
    let named = |name: &str| get(domain, "name") == Some(&Value::Text(name.to_owned()));
    match primary {
        "Permit" if is(&["owner", "spender", "value", "nonce", "deadline"]) => {
            Some(Protocol::Permit)
        }
        _ if named("Permit2") && primary.starts_with("Permit") && is(&["spender"]) => {
            Some(Protocol::Permit2)
        }
        _ if primary.starts_with("Permit") && is(&["spender"]) => Some(Protocol::Permit),
        "SafeTx" if is(&["to", "value", "data", "operation", "nonce"]) => Some(Protocol::SafeTx),
        "OrderComponents" if named("Seaport") && is(&["offerer", "offer", "consideration"]) => {
            Some(Protocol::Seaport)
        }
        _ => None,
    }
}

/// Whether an amount that may be spent is in the upper half of its type's range, or has no limit at all.
fn spends_without_limit(fields: &[Field]) -> bool {
    let most = |kind: &str| match kind {
        "uint160" => U256::ONE << 159,
        _ => U256::ONE << 255,
    };
    fields.iter().any(|field| match &field.value {
        Value::Number(amount) => {
            matches!(field.name.as_str(), "value" | "amount") && amount.0 >= most(&field.kind)
        }
        // As DAI has it.
        Value::Flag(allowed) => *allowed && field.name == "allowed",
        Value::Fields(fields) => spends_without_limit(fields),
        _ => false,
    })
}

/// The call of a Safe's transaction; `None` if its members are of other types than a Safe's.
fn safe(message: &[Field], data: &[u8]) -> Option<Call> {
    let to = account(message, "to")?;
    let (value, operation) = (number(message, "value")?, number(message, "operation")?);
    match get(message, "data")? {
        Value::Bytes(_) => call::of_safe(to, value, data, operation.0),
        _ => None,
    }
}

/// A member of a type.
struct Member {
    name: String,
    kind: String,
}

/// The structures that are declared, by name.
struct Types(BTreeMap<String, Vec<Member>>);

impl Types {
    fn read(declared: &Map<String, Json>, domain: &Map<String, Json>) -> Result<Self, Refused> {
        let (mut types, mut count) = (BTreeMap::new(), 0_usize);
        for (name, list) in declared {
            let place = format!("types.{name}");
            if !is_identifier(name) || Basic::named(name).is_some() {
                return Err(Refused::at(&place, "no name of a structure"));
            }
            let Json::Array(list) = list else { return Err(Refused::at(&place, "no list")) };
            let mut read: Vec<Member> = Vec::new();
            for member in list {
                let object = members(member, &place)?;
                let part = |key: &str| {
                    let value = object.get(key).filter(|_| object.len() == 2);
                    text(value.unwrap_or(&Json::Null), &place)
                };
                let (name, kind) = (part("name")?, part("type")?);
                if !is_identifier(name) || read.iter().any(|other| other.name == name) {
                    return Err(Refused::at(&format!("{place}.{name}"), "no name, or one twice"));
                }
                read.push(Member { name: name.to_owned(), kind: kind.to_owned() });
            }
            count = count.saturating_add(read.len());
            types.insert(name.clone(), read);
        }
        if types.len() > MAX_TYPES || count > MAX_MEMBERS {
            return Err(Refused::at("types", "more than a person reads"));
        }
        // Libraries leave it out and take the members that the domain has.
        let standard = DOMAIN.into_iter().filter(|(name, _)| domain.contains_key(*name));
        let standard: Vec<_> = standard
            .map(|(name, kind)| Member { name: name.to_owned(), kind: kind.to_owned() })
            .collect();
        let given = types.entry(DOMAIN_TYPE.to_owned()).or_insert(standard);
        let is_standard = |member: &Member| DOMAIN.contains(&(&member.name, &member.kind));
        let position = |member: &Member| DOMAIN.iter().position(|(name, _)| *name == member.name);
        if !given.iter().all(is_standard) || !given.is_sorted_by_key(position) {
            let why = "not the members of the standard, in its order";
            return Err(Refused::at("types.EIP712Domain", why));
        }
        let types = Self(types);
        for (name, list) in &types.0 {
            for member in list {
                let place = format!("types.{name}.{}", member.name);
                types.kind(&member.kind).map_err(|e| Refused::at(&place, &e.0))?;
            }
        }
        Ok(types)
    }

    /// The type in `text`: a basic type or a declared structure, and the dimensions of an array,
    /// the outermost last.
    fn kind<'a>(&self, text: &'a str) -> Result<Kind<'a>, Refused> {
        let (base, mut rest) = match text.find('[') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let mut dimensions = Vec::new();
        while !rest.is_empty() {
            let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let (length, after) = inner.ok_or_else(|| Refused(format!("{text:?}: no type")))?;
            dimensions.push(match length {
                "" => None,
                digits => {
                    let length = digits.parse::<usize>().ok();
                    let length = length.filter(|length| length.to_string() == digits);
                    Some(length.ok_or_else(|| Refused(format!("{text:?}: no type")))?)
                }
            });
            rest = after;
        }
        if dimensions.len() > MAX_DIMENSIONS {
            return Err(Refused(format!("{text:?}: too many dimensions")));
        }
        if Basic::named(base).is_none() && !self.0.contains_key(base) {
            return Err(Refused(format!("{base:?}: a type that is not declared")));
        }
        Ok(Kind { text, base, dimensions })
    }

    /// The types that `name` refers to, itself included.
    fn closure<'a>(&'a self, name: &'a str, found: &mut BTreeSet<&'a str>) {
        if let Some((name, list)) = self.0.get_key_value(name)
            && found.insert(name)
        {
            for member in list {
                let base = member.kind.split('[').next().unwrap_or_default();
                self.closure(base, found);
            }
        }
    }

    /// The Keccak-256 of the type and those that it refers to, in the order of their names.
    fn hash(&self, name: &str) -> [u8; 32] {
        let mut others = BTreeSet::new();
        self.closure(name, &mut others);
        others.remove(name);
        let mut text = String::new();
        for name in std::iter::once(name).chain(others) {
            let list = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
            let list: Vec<_> =
                list.iter().map(|member| format!("{} {}", member.kind, member.name)).collect();
            text += &format!("{name}({})", list.join(","));
        }
        keccak256(text).0
    }
}

/// A type as it is written in a declaration.
struct Kind<'a> {
    text: &'a str,
    base: &'a str,
    /// The lengths of an array's dimensions, the outermost last; `None` for any length.
    dimensions: Vec<Option<usize>>,
}

/// A type that is no structure.
#[derive(Clone, Copy)]
enum Basic {
    Text,
    Bytes,
    Flag,
    Account,
    Word(usize),
    Unsigned(usize),
    Signed(usize),
}

impl Basic {
    fn named(name: &str) -> Option<Self> {
        let sized = |prefix: &str| {
            let digits = name.strip_prefix(prefix)?;
            digits.parse::<usize>().ok().filter(|size| size.to_string() == digits)
        };
        let is_width = |bits: &usize| (8..=256).contains(bits) && bits.is_multiple_of(8);
        match name {
            "string" => Some(Self::Text),
            "bytes" => Some(Self::Bytes),
            "bool" => Some(Self::Flag),
            "address" => Some(Self::Account),
            _ => None,
        }
        .or_else(|| sized("uint").filter(is_width).map(Self::Unsigned))
        .or_else(|| sized("int").filter(is_width).map(Self::Signed))
        .or_else(|| sized("bytes").filter(|size| (1..=32).contains(size)).map(Self::Word))
    }

    /// The value in `json`, and its 32 bytes in the encoding of a structure.
    fn read(self, json: &Json) -> Result<(Value, [u8; 32]), Refused> {
        let refused = |why: String| Err(Refused(why));
        match (self, json) {
            (Self::Text, Json::String(text)) => Ok((Value::Text(text.clone()), keccak256(text).0)),
            (Self::Bytes, Json::String(digits)) => match unhex(digits) {
                Some(bytes) => Ok((Value::Bytes(Data::of(&bytes)), keccak256(&bytes).0)),
                None => refused("no 0x and an even number of hexadecimal digits".to_owned()),
            },
            (Self::Word(size), Json::String(digits)) => {
                let bytes = unhex(digits).filter(|bytes| bytes.len() == size);
                let Some(bytes) = bytes else {
                    return refused(format!("not 0x and {size} bytes in hexadecimal"));
                };
                let mut word = [0; 32];
                word.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
                Ok((Value::Word(hex(&bytes)), word))
            }
            (Self::Flag, Json::Bool(flag)) => {
                let mut word = [0; 32];
                word[31] = u8::from(*flag);
                Ok((Value::Flag(*flag), word))
            }
            (Self::Account, Json::String(text)) => {
                let account: Account = text.parse()?;
                Ok((Value::Account(account), account.0.into_word().0))
            }
            (Self::Unsigned(bits), Json::String(_) | Json::Number(_)) => match whole(json) {
                Some((false, number)) if number.bit_len() <= bits => {
                    Ok((Value::Number(Number(number)), number.to_be_bytes()))
                }
                _ => refused(format!("no whole number of uint{bits}")),
            },
            (Self::Signed(bits), Json::String(_) | Json::Number(_)) => {
                let read = whole(json).and_then(|(is_negative, magnitude)| {
                    let sign = if is_negative { Sign::Negative } else { Sign::Positive };
                    I256::checked_from_sign_and_abs(sign, magnitude)
                });
                // One bit is the sign's.
                match read.filter(|number| number.bits() as usize <= bits) {
                    Some(number) => Ok((Value::Signed(number.to_string()), number.to_be_bytes())),
                    None => refused(format!("no whole number of int{bits}")),
                }
            }
            _ => refused("a value of another type".to_owned()),
        }
    }
}

/// A whole number: whether it is negative, and its magnitude.
fn whole(json: &Json) -> Option<(bool, U256)> {
    let given = match json {
        Json::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Json::String(text) => text.clone(),
        _ => return None,
    };
    let (is_negative, digits) = match given.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, given.as_str()),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let is_plain = !digits.is_empty() && digits.len() <= 78;
    let is_plain = is_plain && digits.chars().all(|digit| digit.is_digit(radix));
    let magnitude = U256::from_str_radix(digits, radix.into()).ok().filter(|_| is_plain)?;
    Some((is_negative, magnitude))
}

/// A walk over domain and message.
struct Walk<'a> {
    types: &'a Types,
    /// The hashes of the types that were met.
    hashes: BTreeMap<String, [u8; 32]>,
    rows: usize,
}

impl Walk<'_> {
    /// The members of a structure, and its hash.
    fn structure(
        &mut self,
        given: &Map<String, Json>,
        name: &str,
        path: &str,
        level: usize,
    ) -> Result<(Vec<Field>, [u8; 32]), Refused> {
        let types = self.types;
        let list = types.0.get(name).map(Vec::as_slice).unwrap_or_default();
        if let Some(unused) =
            given.keys().find(|key| !list.iter().any(|member| member.name == **key))
        {
            let place = format!("{path}.{unused}");
            return Err(Refused(format!("{place}: not a member of {name}: it is not signed")));
        }
        let hash = *self.hashes.entry(name.to_owned()).or_insert_with(|| types.hash(name));
        let (mut fields, mut encoded) = (Vec::new(), hash.to_vec());
        for member in list {
            let path = format!("{path}.{}", member.name);
            let json = given.get(&member.name).ok_or_else(|| Refused::at(&path, "missing"))?;
            let kind = types.kind(&member.kind)?;
            let (value, word) = self.value(json, &kind, kind.dimensions.len(), &path, level)?;
            encoded.extend_from_slice(&word);
            fields.push(Field { name: member.name.clone(), kind: member.kind.clone(), value });
        }
        Ok((fields, keccak256(encoded).0))
    }

    /// A value of `kind` with only the innermost `dimensions` of an array.
    fn value(
        &mut self,
        json: &Json,
        kind: &Kind<'_>,
        dimensions: usize,
        path: &str,
        level: usize,
    ) -> Result<(Value, [u8; 32]), Refused> {
        let lines = json.as_str().map_or(0, |text| text.matches('\n').count());
        self.rows = self.rows.saturating_add(lines).saturating_add(1);
        if self.rows > MAX_MEMBERS || level > MAX_LEVELS {
            return Err(Refused::at(path, "more or deeper than a person reads"));
        }
        if let Some(inner) = dimensions.checked_sub(1) {
            let Json::Array(items) = json else { return Err(Refused::at(path, "no list")) };
            let length = kind.dimensions.get(inner).copied().flatten();
            if length.is_some_and(|length| length != items.len()) {
                return Err(Refused(format!("{path}: not as long as {} says", kind.text)));
            }
            let (mut fields, mut encoded) = (Vec::new(), Vec::new());
            let shown = item_type(kind, inner);
            for (n, item) in items.iter().enumerate() {
                let name = format!("[{n}]");
                let path = format!("{path}{name}");
                let (value, word) =
                    self.value(item, kind, inner, &path, level.saturating_add(1))?;
                encoded.extend_from_slice(&word);
                fields.push(Field { name, kind: shown.clone(), value });
            }
            return Ok((Value::Fields(fields), keccak256(encoded).0));
        }
        match Basic::named(kind.base) {
            Some(basic) => basic.read(json).map_err(|e| Refused::at(path, &e.0)),
            None => {
                let given = members(json, path)?;
                let (fields, hash) =
                    self.structure(given, kind.base, path, level.saturating_add(1))?;
                Ok((Value::Fields(fields), hash))
            }
        }
    }
}

/// The type of the items of an array with `inner` further dimensions.
fn item_type(kind: &Kind<'_>, inner: usize) -> String {
    let lengths = kind.dimensions.iter().take(inner);
    lengths.fold(kind.base.to_owned(), |text, length| match length {
        None => text + "[]",
        Some(length) => format!("{text}[{length}]"),
    })
}

fn members<'a>(json: &'a Json, place: &str) -> Result<&'a Map<String, Json>, Refused> {
    json.as_object().ok_or_else(|| Refused::at(place, "no JSON object"))
}

fn text<'a>(json: &'a Json, place: &str) -> Result<&'a str, Refused> {
    json.as_str().ok_or_else(|| Refused::at(place, "no text where one belongs"))
}

/// A name as Solidity has them.
fn is_identifier(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
    let is_plain = name.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    is_plain && name.len() <= 64 && name.starts_with(is_letter)
}

/// JSON in which no object has a member twice.
struct Strict(Json);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Json::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Strict, E> {
        Ok(Strict(flag.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Strict, E> {
        Ok(Strict(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Strict, E> {
        Ok(Strict(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Strict, E> {
        Err(E::custom("a number that is not whole, or too large without quotes"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Strict, E> {
        Ok(Strict(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Strict(items.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if object.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("{name:?} is there twice")));
            }
        }
        Ok(Strict(object.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Given, json};

    use super::*;

    /// Typed data with the hashes that eth-account gives them.
    fn known() -> Vec<Given> {
        serde_json::from_str(include_str!("../../../tests/ethereum/typed_data.json")).unwrap()
    }

    fn read(given: &Given) -> Result<TypedData, Refused> {
        TypedData::read(given.to_string().as_bytes())
    }

    fn summary(n: usize) -> Summary {
        read(&known()[n]["given"]).unwrap().summary
    }

    #[test]
    fn typed_data_have_the_hash_of_other_wallets() {
        for known in known() {
            let digest = hex(&read(&known["given"]).unwrap().digest);
            assert_eq!(digest, known["digest"], "{}", known["name"]);
        }
    }

    #[test]
    fn a_message_is_shown_in_the_order_of_its_types() {
        let shown = json!(summary(0));
        let person = |name: &str, at: &str| {
            json!([
                {"name": "name", "type": "string", "value": name},
                {"name": "wallet", "type": "address", "value": at},
            ])
        };
        let cow = person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
        let bob = person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB");
        assert_eq!(
            shown["message"],
            json!([
                {"name": "from", "type": "Person", "value": cow},
                {"name": "to", "type": "Person", "value": bob},
                {"name": "contents", "type": "string", "value": "Hello, Bob!"},
            ])
        );
        assert_eq!(shown["chain"], json!({"id": 1, "name": "Ethereum"}));
        let kinds = json!(summary(5))["message"].clone();
        assert_eq!(
            kinds[5]["value"][1],
            json!({"name": "[1]", "type": "uint8[2]", "value": [
                {"name": "[0]", "type": "uint8", "value": "3"},
                {"name": "[1]", "type": "uint8", "value": "4"},
            ]})
        );
        assert_eq!(kinds[0]["value"], "-128");
    }

    #[test]
    fn well_known_forms_have_a_name_and_their_warnings() {
        let of = |n: usize| (summary(n).protocol, summary(n).warnings);
        let spends = vec![Warning::Approval, Warning::Unlimited];
        assert_eq!(of(0), (None, Vec::new()));
        assert_eq!(of(1), (Some(Protocol::Permit), spends.clone()));
        assert_eq!(of(2), (Some(Protocol::Permit2), spends));
        assert_eq!(of(3), (Some(Protocol::SafeTx), vec![Warning::DelegateCall]));
        assert_eq!(of(4), (Some(Protocol::Seaport), Vec::new()));
        assert_eq!(of(6), (None, vec![Warning::NoChain, Warning::NoContract]));
        let call = summary(3).call.unwrap();
        assert_eq!(call.name(), Some("multiSend"));
        assert_eq!(call.calls[0].name(), Some("transfer"));
    }

    /// The refusal of the known typed data `n` with `alter`ed parts.
    fn refusal(n: usize, alter: impl Fn(&mut Given)) -> String {
        let mut given = known()[n]["given"].clone();
        alter(&mut given);
        read(&given).unwrap_err().0
    }

    #[test]
    fn a_refusal_names_the_place() {
        let mail = |path: &'static [&'static str], value: Given| {
            refusal(0, move |given| {
                let place = path.iter().fold(given, |at, key| match key.parse::<usize>() {
                    Ok(n) => &mut at[n],
                    Err(_) => &mut at[*key],
                });
                *place = value.clone();
            })
        };
        let bad = "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbb";
        for (refused, why) in [
            (
                mail(&["message", "from", "age"], json!(3)),
                "message.from.age: not a member of Person",
            ),
            (mail(&["message", "to"], json!({"name": "Bob"})), "message.to.wallet: missing"),
            (mail(&["message", "to", "wallet"], json!(bad)), "message.to.wallet: the checksum"),
            (mail(&["message", "contents"], json!(3)), "message.contents: a value of another type"),
            (
                mail(&["types", "Mail", "0", "type"], json!("Human")),
                "types.Mail.from: \"Human\": a type",
            ),
            (
                mail(&["types", "Mail", "0", "type"], json!("uint")),
                "types.Mail.from: \"uint\": a type",
            ),
            (
                mail(&["types", "Mail", "0", "type"], json!("Person[")),
                "types.Mail.from: \"Person[\"",
            ),
            (
                mail(&["types", "Mail", "0", "name"], json!("to")),
                "types.Mail.to: no name, or one twice",
            ),
            (mail(&["types", "uint8"], json!([])), "types.uint8: no name of a structure"),
            (mail(&["types", "EIP712Domain", "0", "name"], json!("nom")), "types.EIP712Domain"),
            (mail(&["primaryType"], json!("Letter")), "primaryType: not among the types"),
            (mail(&["domain", "salt"], json!("0x")), "domain.salt: not a member"),
            (mail(&["domain", "chainId"], json!(-1)), "domain.chainId: no whole number of uint256"),
            (mail(&["domain", "chainId"], json!(1.5)), "JSON: a number that is not whole"),
            (mail(&["more"], json!(1)), "\"more\": not a part"),
            (mail(&["message"], json!([])), "message: no JSON object"),
        ] {
            assert!(refused.starts_with(why), "{refused}");
        }
        let kinds = |name: &'static str, value: Given| {
            refusal(5, move |given| given["message"][name] = value.clone())
        };
        for (refused, why) in [
            (kinds("a", json!(128)), "message.a: no whole number of int8"),
            (kinds("a", json!(-129)), "message.a: no whole number of int8"),
            (kinds("d", json!("0xdeadbe")), "message.d: not 0x and 4 bytes"),
            (kinds("c", json!("0xabc")), "message.c: no 0x"),
            (kinds("f", json!([[1, 2], [3]])), "message.f[1]: not as long as uint8[2][] says"),
            (kinds("f", json!([[1, 256]])), "message.f[0][1]: no whole number of uint8"),
            (kinds("g", json!([{"x": 1, "y": {}}])), "message.g[0].y.z: missing"),
            (kinds("e", json!(["true"])), "message.e[0]: a value of another type"),
        ] {
            assert!(refused.starts_with(why), "{refused}");
        }
        let twice = r#"{"types":{},"types":{},"primaryType":"A","domain":{},"message":{}}"#;
        assert!(TypedData::read(twice.as_bytes()).unwrap_err().0.contains("is there twice"));
    }

    #[test]
    fn types_within_types_take_no_more_time_than_they_are_long() {
        // Each has the next one twice: two to the power of 60 members, if somebody counted.
        let mut types = serde_json::Map::new();
        for n in 0..60 {
            let next = format!("T{}", n + 1);
            types.insert(
                format!("T{n}"),
                json!([{"name": "a", "type": next}, {"name": "b", "type": next}]),
            );
        }
        types.insert("T60".into(), json!([]));
        let given = json!({"types": types, "primaryType": "T0", "domain": {}, "message": {"a": {}, "b": {}}});
        assert!(read(&given).unwrap_err().0.starts_with("message.a.a: missing"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(TypedData::read(deep.as_bytes()).is_err());
        let mut lines = known()[0]["given"].clone();
        lines["message"]["contents"] = "\n".repeat(2000).into();
        assert!(read(&lines).unwrap_err().0.starts_with("message.contents: more"));
    }

    #[test]
    fn a_type_may_refer_to_itself_as_deep_as_is_shown() {
        let given = |depth: usize| {
            let message = (0..depth).fold(json!({"next": []}), |inner, _| json!({"next": [inner]}));
            json!({
                "types": {"Node": [{"name": "next", "type": "Node[]"}]},
                "primaryType": "Node", "domain": {}, "message": message,
            })
        };
        assert!(read(&given(3)).is_ok());
        assert!(read(&given(20)).unwrap_err().0.contains("deeper than a person reads"));
    }

    proptest! {
        #[test]
        fn changed_typed_data_are_read_or_not(n in 0..8_usize, at: u16, byte: u8) {
            let mut bytes = known()[n]["given"].to_string().into_bytes();
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
            let _ = TypedData::read(&bytes);
        }
    }
}
