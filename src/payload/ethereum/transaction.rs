//! Transactions before they are signed: legacy ones with a chain (EIP-155), and the envelopes of
//! EIP-2718 with the types 1 to 4 (EIP-2930, 1559, 4844, 7702).
//!
//! The payload is what is hashed and signed: the list of a legacy transaction with its chain and
//! two empty fields, or the type and its list without a signature. Only the shortest encoding is
//! accepted, so a transaction has one payload.

use alloy_primitives::{Address, U256, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use serde::Serialize;

use super::call::{self, Call};
use super::{Account, Chain, Data, Number, Refused, Warning};

/// The type of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Envelope {
    /// Without a type, for one chain (EIP-155).
    #[serde(rename = "EIP-155")]
    Legacy,
    /// With a list of what it accesses.
    #[serde(rename = "EIP-2930")]
    AccessList,
    /// With a base fee and a tip.
    #[serde(rename = "EIP-1559")]
    DynamicFee,
    /// With blobs.
    #[serde(rename = "EIP-4844")]
    Blob,
    /// With authorisations of accounts.
    #[serde(rename = "EIP-7702")]
    SetCode,
}

/// The most authorisations of one transaction.
const MAX_AUTHORIZATIONS: usize = 32;

impl Envelope {
    /// The types, by number.
    pub const ALL: [Self; 5] =
        [Self::Legacy, Self::AccessList, Self::DynamicFee, Self::Blob, Self::SetCode];

    /// The proposal that it is from.
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "EIP-155",
            Self::AccessList => "EIP-2930",
            Self::DynamicFee => "EIP-1559",
            Self::Blob => "EIP-4844",
            Self::SetCode => "EIP-7702",
        }
    }

    /// The byte before its list; `None` for a legacy transaction.
    fn byte(self) -> Option<u8> {
        match self {
            Self::Legacy => None,
            Self::AccessList => Some(1),
            Self::DynamicFee => Some(2),
            Self::Blob => Some(3),
            Self::SetCode => Some(4),
        }
    }

    /// Whether the price of gas has two parts.
    pub(super) fn has_tip(self) -> bool {
        matches!(self, Self::DynamicFee | Self::Blob | Self::SetCode)
    }
}

/// An account and slots of its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) account: Account,
    pub(super) slots: Vec<[u8; 32]>,
}

/// An account's signed consent that its code be that of another (EIP-7702).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    pub(super) chain: U256,
    pub(super) delegate: Account,
    pub(super) nonce: u64,
    pub(super) parity: u8,
    pub(super) r: U256,
    pub(super) s: U256,
}

/// A transaction without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub(super) envelope: Envelope,
    pub(super) chain: u64,
    pub(super) nonce: u64,
    /// Most that is paid to the block's producer per gas; the price of gas without a tip.
    pub(super) tip: u128,
    /// Most that is paid per gas.
    pub(super) price: u128,
    pub(super) gas: u64,
    pub(super) to: Option<Account>,
    pub(super) value: U256,
    pub(super) data: Vec<u8>,
    pub(super) accesses: Vec<Access>,
    /// Most that is paid per gas of blobs.
    pub(super) blob_price: u128,
    pub(super) blobs: Vec<[u8; 32]>,
    pub(super) authorizations: Vec<Authorization>,
}

/// The gas of a blob.
const GAS_PER_BLOB: u64 = 1 << 17;

impl Transaction {
    /// Reads a payload.
    ///
    /// # Errors
    /// It is no such transaction, or not in its shortest encoding; the field is named.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let envelope = match bytes.first() {
            Some(0xc0..) => Envelope::Legacy,
            Some(byte) => Envelope::ALL
                .into_iter()
                .find(|envelope| envelope.byte() == Some(*byte))
                .ok_or_else(|| Refused::at("type", "no type from 0 to 4"))?,
            None => return Err(Refused::at("transaction", "empty")),
        };
        let mut rest = match envelope {
            Envelope::Legacy => bytes,
            _ => bytes.get(1..).unwrap_or_default(),
        };
        let fields = Header::decode_bytes(&mut rest, true).map_err(|e| malformed("list", e))?;
        if !rest.is_empty() {
            return Err(Refused::at("transaction", "bytes follow its end"));
        }
        let read = Self::fields(envelope, &mut Fields(fields))?;
        read.check()?;
        if read.encode() != bytes {
            return Err(Refused::at("transaction", "not in the shortest encoding"));
        }
        Ok(read)
    }

    fn fields(envelope: Envelope, fields: &mut Fields<'_>) -> Result<Self, Refused> {
        let is_legacy = envelope == Envelope::Legacy;
        let mut chain = if is_legacy { 0 } else { fields.next("chainId")? };
        let nonce = fields.next("nonce")?;
        let (tip, price) = if envelope.has_tip() {
            (fields.next("maxPriorityFeePerGas")?, fields.next("maxFeePerGas")?)
        } else {
            let price = fields.next("gasPrice")?;
            (price, price)
        };
        let gas = fields.next("gas")?;
        let to = fields.to()?;
        let value = fields.next("value")?;
        let data = fields.bytes("data")?.to_vec();
        if is_legacy {
            if fields.0.is_empty() {
                return Err(Refused::at("chainId", NO_CHAIN));
            }
            chain = fields.next("chainId")?;
            let (r, s): (U256, U256) = (fields.next("r")?, fields.next("s")?);
            if !r.is_zero() || !s.is_zero() {
                return Err(Refused::at("transaction", SIGNED));
            }
        }
        let accesses = if is_legacy { Vec::new() } else { fields.list("accessList", access)? };
        let (blob_price, blobs) = match envelope {
            Envelope::Blob => {
                let price = fields.next("maxFeePerBlobGas")?;
                (price, fields.list("blobVersionedHashes", |blobs| blobs.next("hash"))?)
            }
            _ => (0, Vec::new()),
        };
        let authorizations = match envelope {
            Envelope::SetCode => fields.list("authorizationList", authorization)?,
            _ => Vec::new(),
        };
        fields.end()?;
        Ok(Self {
            envelope,
            chain,
            nonce,
            tip,
            price,
            gas,
            to,
            value,
            data,
            accesses,
            blob_price,
            blobs,
            authorizations,
        })
    }

    /// Refuses what no chain executes.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let needs_target = matches!(self.envelope, Envelope::Blob | Envelope::SetCode);
        let is_creation = self.to.is_none();
        let kzg = |blob: &[u8; 32]| blob.first() == Some(&1);
        let faults = [
            (self.chain == 0, "chainId", NO_CHAIN),
            (self.tip > self.price, "maxPriorityFeePerGas", "above maxFeePerGas"),
            (self.nonce == u64::MAX, "nonce", "the last nonce cannot be used"),
            (is_creation && needs_target, "to", "missing: this type creates no contract"),
            (is_creation && self.data.is_empty(), "to", "missing, and no contract is created"),
            (
                self.envelope == Envelope::Blob && self.blobs.is_empty(),
                "blobVersionedHashes",
                "none",
            ),
            (!self.blobs.iter().all(kzg), "blobVersionedHashes", "a hash is not of version 1"),
            (
                self.envelope == Envelope::SetCode && self.authorizations.is_empty(),
                "authorizationList",
                "none",
            ),
            (
                self.authorizations.len() > MAX_AUTHORIZATIONS,
                "authorizationList",
                "more of them than are shown",
            ),
            (self.authorizations.iter().any(|a| a.parity > 1), "yParity", "neither 0 nor 1"),
        ];
        match faults.into_iter().find(|(is_there, ..)| *is_there) {
            Some((_, field, why)) => Err(Refused::at(field, why)),
            None => Ok(()),
        }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = self.encoded_fields();
        if self.envelope == Envelope::Legacy {
            for field in [self.chain, 0, 0] {
                field.encode(&mut fields);
            }
        }
        self.enveloped(&fields)
    }

    /// The signed transaction, as a node takes it: with `r`, `s` and whether the y of the nonce
    /// point is odd.
    pub fn signed(&self, r: [u8; 32], s: [u8; 32], is_odd: bool) -> Vec<u8> {
        let mut fields = self.encoded_fields();
        match self.envelope {
            Envelope::Legacy => {
                let v = u128::from(self.chain).saturating_mul(2).saturating_add(35);
                v.saturating_add(is_odd.into()).encode(&mut fields);
            }
            _ => is_odd.encode(&mut fields),
        }
        for number in [r, s] {
            U256::from_be_bytes(number).encode(&mut fields);
        }
        self.enveloped(&fields)
    }

    /// The fields in order, without chain and signature of a legacy transaction.
    fn encoded_fields(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let is_legacy = self.envelope == Envelope::Legacy;
        if !is_legacy {
            self.chain.encode(&mut out);
        }
        self.nonce.encode(&mut out);
        if self.envelope.has_tip() {
            self.tip.encode(&mut out);
        }
        self.price.encode(&mut out);
        self.gas.encode(&mut out);
        match &self.to {
            Some(to) => to.0.encode(&mut out),
            None => [0_u8; 0].as_slice().encode(&mut out),
        }
        self.value.encode(&mut out);
        self.data.as_slice().encode(&mut out);
        if !is_legacy {
            list(&mut out, &self.accesses, |access, out| {
                access.account.0.encode(out);
                words(out, &access.slots);
            });
        }
        if self.envelope == Envelope::Blob {
            self.blob_price.encode(&mut out);
            words(&mut out, &self.blobs);
        }
        if self.envelope == Envelope::SetCode {
            list(&mut out, &self.authorizations, |given, out| {
                given.chain.encode(out);
                given.delegate.0.encode(out);
                given.nonce.encode(out);
                given.parity.encode(out);
                given.r.encode(out);
                given.s.encode(out);
            });
        }
        out
    }

    fn enveloped(&self, fields: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = self.envelope.byte().into_iter().collect();
        in_list(&mut out, fields);
        out
    }

    /// What is shown of it.
    pub fn summary(&self) -> Summary {
        let blob_gas = U256::from(GAS_PER_BLOB).saturating_mul(U256::from(self.blobs.len()));
        let fee = U256::from(self.gas).saturating_mul(U256::from(self.price));
        let blob_fee = blob_gas.saturating_mul(U256::from(self.blob_price));
        let call = self.to.and_then(|to| {
            (!self.data.is_empty()).then(|| call::decode(to, Number(self.value), &self.data))
        });
        let authorizations: Vec<_> = self.authorizations.iter().map(Authorization::view).collect();
        let mut warnings = Vec::new();
        if self.to.is_none() {
            warnings.push(Warning::CreatesContract);
        }
        if !authorizations.is_empty() {
            warnings.push(Warning::GivesCodeAway);
        }
        if self.authorizations.iter().any(|given| given.chain.is_zero()) {
            warnings.push(Warning::AnyChain);
        }
        if let Some(call) = &call {
            if !self.value.is_zero() {
                warnings.push(Warning::ValueWithCall);
            }
            warnings.extend(call.warnings());
        }
        Summary {
            envelope: self.envelope,
            chain: Chain::new(self.chain),
            to: self.to,
            value: Number(self.value),
            nonce: self.nonce,
            gas: self.gas,
            price: Number(U256::from(self.price)),
            max_fee: Number(fee.saturating_add(blob_fee)),
            blobs: self.blobs.len() as u64,
            accesses: self.accesses.len() as u64,
            authorizations,
            call,
            code: if self.to.is_none() { Data::of(&self.data) } else { None },
            warnings,
        }
    }
}

const NO_CHAIN: &str = "0 or missing: the signature would be valid on every chain";
const SIGNED: &str = "it is signed already";

/// The fields of a list that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next<T: Decodable>(&mut self, field: &str) -> Result<T, Refused> {
        self.is_there(field)?;
        T::decode(&mut self.0).map_err(|e| malformed(field, e))
    }

    fn bytes(&mut self, field: &str) -> Result<&'a [u8], Refused> {
        self.is_there(field)?;
        Header::decode_bytes(&mut self.0, false).map_err(|e| malformed(field, e))
    }

    fn is_there(&self, field: &str) -> Result<(), Refused> {
        if self.0.is_empty() { Err(Refused::at(field, "missing")) } else { Ok(()) }
    }

    fn to(&mut self) -> Result<Option<Account>, Refused> {
        match self.bytes("to")? {
            [] => Ok(None),
            bytes => {
                let address = Address::try_from(bytes);
                let account = address.map_err(|_| Refused::at("to", "not 20 bytes"))?;
                Ok(Some(Account(account)))
            }
        }
    }

    fn list<T>(
        &mut self,
        field: &str,
        item: impl Fn(&mut Fields<'a>) -> Result<T, Refused>,
    ) -> Result<Vec<T>, Refused> {
        self.is_there(field)?;
        let items = Header::decode_bytes(&mut self.0, true).map_err(|e| malformed(field, e))?;
        let (mut rest, mut read) = (Fields(items), Vec::new());
        while !rest.0.is_empty() {
            read.push(item(&mut rest).map_err(|e| Refused::at(field, &e.0))?);
        }
        Ok(read)
    }

    /// The fields of the list that is next.
    fn inner(&mut self, field: &str) -> Result<Fields<'a>, Refused> {
        Header::decode_bytes(&mut self.0, true).map(Fields).map_err(|e| malformed(field, e))
    }

    fn end(&self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::at("transaction", TOO_MANY)) }
    }
}

const TOO_MANY: &str = "it has too many fields: it may be signed already";

fn access(items: &mut Fields<'_>) -> Result<Access, Refused> {
    let mut fields = items.inner("access")?;
    let account = Account(fields.next("address")?);
    let slots = fields.list("storageKeys", |slots| slots.next("key"))?;
    fields.end()?;
    Ok(Access { account, slots })
}

fn authorization(items: &mut Fields<'_>) -> Result<Authorization, Refused> {
    let mut fields = items.inner("authorization")?;
    let read = Authorization {
        chain: fields.next("chainId")?,
        delegate: Account(fields.next("address")?),
        nonce: fields.next("nonce")?,
        parity: fields.next("yParity")?,
        r: fields.next("r")?,
        s: fields.next("s")?,
    };
    fields.end()?;
    Ok(read)
}

fn malformed(field: &str, error: alloy_rlp::Error) -> Refused {
    Refused(format!("{field}: {error} (RLP)"))
}

/// A list of the encoded `items`.
fn in_list(out: &mut Vec<u8>, items: &[u8]) {
    Header { list: true, payload_length: items.len() }.encode(out);
    out.put_slice(items);
}

/// A list of words.
fn words(out: &mut Vec<u8>, words: &[[u8; 32]]) {
    let mut all = Vec::new();
    words.iter().for_each(|word| word.encode(&mut all));
    in_list(out, &all);
}

/// A list of lists, each with the fields that `encode` writes.
fn list<T>(out: &mut Vec<u8>, items: &[T], encode: impl Fn(&T, &mut Vec<u8>)) {
    let mut all = Vec::new();
    for item in items {
        let mut fields = Vec::new();
        encode(item, &mut fields);
        in_list(&mut all, &fields);
    }
    in_list(out, &all);
}

impl Authorization {
    fn view(&self) -> Authorized {
        let chain = u64::try_from(self.chain).ok().map(Chain::new);
        Authorized {
            authority: self.authority(),
            delegate: self.delegate,
            chain: Number(self.chain),
            chain_name: chain.and_then(|chain| chain.name),
            nonce: self.nonce,
        }
    }

    /// The account that signed it; `None` if the signature is invalid.
    fn authority(&self) -> Option<Account> {
        let mut fields = Vec::new();
        self.chain.encode(&mut fields);
        self.delegate.0.encode(&mut fields);
        self.nonce.encode(&mut fields);
        let mut signed = vec![5];
        in_list(&mut signed, &fields);
        let (r, s) = (self.r.to_be_bytes::<32>(), self.s.to_be_bytes::<32>());
        let signature = Signature::from_scalars(r, s).ok()?;
        // A signature with a high s does not count on any chain.
        let is_low = signature.normalize_s().is_none();
        let id = RecoveryId::from_byte(self.parity).filter(|_| is_low)?;
        let hash = keccak256(&signed);
        let key = VerifyingKey::recover_from_prehash(hash.as_slice(), &signature, id).ok()?;
        Some(Account::of_point(&key.into()))
    }
}

/// What is shown of a transaction. Amounts are in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its type.
    pub envelope: Envelope,
    /// The chain that it is for.
    pub chain: Chain,
    /// Who receives the value, or is called; `None` if a contract is created.
    pub to: Option<Account>,
    /// The coins that are sent.
    pub value: Number,
    /// How many transactions of the account came before.
    pub nonce: u64,
    /// Most gas that it may use.
    pub gas: u64,
    /// Most that is paid per gas.
    pub price: Number,
    /// Most that it costs besides the value: gas and blobs at their highest prices.
    pub max_fee: Number,
    /// How many blobs it has.
    #[serde(skip_serializing_if = "is_zero")]
    pub blobs: u64,
    /// How many accounts its access list has, which costs nothing but gas.
    #[serde(skip_serializing_if = "is_zero")]
    pub accesses: u64,
    /// Consents to run the code of other accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<Authorized>,
    /// The call, if there are data and a receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The code of the contract that is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Data>,
    /// Warnings about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is shown of an authorisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorized {
    /// The account that signed it; `None` if its signature is invalid, and then it has no effect.
    pub authority: Option<Account>,
    /// The account whose code it will run.
    pub delegate: Account,
    /// The chain that it holds on; 0 is every chain.
    pub chain: Number,
    /// The well-known name of that chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_name: Option<&'static str>,
    /// How many transactions of the account came before.
    pub nonce: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::given;
    use super::*;
    use crate::device::unhex;

    /// Transactions with the hashes and signatures that eth-account gives them.
    fn known() -> Value {
        serde_json::from_str(include_str!("../../../tests/ethereum/transactions.json")).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        unhex(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
    }

    fn read(value: &Value) -> Transaction {
        given::read(&value["given"].to_string()).unwrap().0
    }

    fn all() -> Vec<Value> {
        known()["transactions"].as_array().unwrap().clone()
    }

    #[test]
    fn a_transaction_has_the_hash_and_the_signed_form_of_other_wallets() {
        for known in all() {
            let transaction = read(&known);
            let payload = transaction.encode();
            assert_eq!(keccak256(&payload).to_vec(), bytes(&known["digest"]), "{}", known["name"]);
            assert_eq!(Transaction::decode(&payload), Ok(transaction.clone()));
            let part = |name: &str| bytes(&known[name]).try_into().unwrap();
            let raw = transaction.signed(part("r"), part("s"), known["odd"].as_bool().unwrap());
            assert_eq!(raw, bytes(&known["raw"]), "{}", known["name"]);
            assert!(Transaction::decode(&raw).unwrap_err().0.contains("signed already"));
        }
    }

    #[test]
    fn only_all_bytes_of_a_transaction_are_one() {
        for known in all() {
            let payload = read(&known).encode();
            for end in 0..payload.len() {
                assert!(Transaction::decode(&payload[..end]).is_err(), "{} {end}", known["name"]);
            }
            let longer = [&payload[..], &[0]].concat();
            assert!(Transaction::decode(&longer).unwrap_err().0.contains("follow its end"));
        }
    }

    #[test]
    fn what_is_valid_on_any_chain_or_on_none_is_refused() {
        let refusal = |digits: &str| Transaction::decode(&unhex(digits).unwrap()).unwrap_err().0;
        let to = "3535353535353535353535353535353535353535";
        let rest = format!("8504a817c80082520894{to}880de0b6b3a764000080");
        for (digits, why) in [
            (format!("e909{rest}"), "chainId: 0 or missing"),
            (format!("ec09{rest}808080"), "chainId: 0 or missing"),
            (format!("f82c09{rest}018080"), "list: "),
            (format!("ee820009{rest}018080"), "nonce: "),
            (format!("ed8109{rest}018080"), "nonce: "),
            (format!("ed09{rest}01808080"), "transaction: it has too many fields"),
            ("05c0".to_owned(), "type: no type from 0 to 4"),
            (String::new(), "transaction: empty"),
            ("c0".to_owned(), "nonce: missing"),
        ] {
            let refused = refusal(&digits);
            assert!(refused.starts_with(why), "{digits}: {refused}");
        }
        assert!(Transaction::decode(&unhex(&format!("ec09{rest}018080")).unwrap()).is_ok());
        let mut transaction = read(&all()[2]);
        transaction.tip = transaction.price + 1;
        assert!(transaction.check().unwrap_err().0.contains("maxPriorityFeePerGas"));
    }

    #[test]
    fn an_authorisation_names_the_account_that_gave_it() {
        let summary = read(&all()[4]).summary();
        let [given] = &summary.authorizations[..] else { panic!() };
        assert_eq!(given.authority.unwrap().to_string(), known()["authority"].as_str().unwrap());
        assert_eq!(given.nonce, 7);
        assert_eq!(summary.warnings, [Warning::GivesCodeAway]);
        let mut invalid = read(&all()[4]);
        invalid.authorizations[0].r = U256::ZERO;
        invalid.authorizations[0].chain = U256::ZERO;
        let summary = invalid.summary();
        assert_eq!(summary.authorizations[0].authority, None);
        assert_eq!(summary.warnings, [Warning::GivesCodeAway, Warning::AnyChain]);
    }

    #[test]
    fn the_fee_counts_all_gas_at_its_highest_price() {
        let fees = all().into_iter().map(|known| read(&known).summary().max_fee.to_string());
        let fees: Vec<String> = fees.collect();
        assert_eq!(fees[0], (21_000_u128 * 20_000_000_000).to_string());
        assert_eq!(fees[2], (21_000_u128 * 30_000_000_000).to_string());
        assert_eq!(fees[3], (21_000_u64 * 30 + 131_072 * 9).to_string());
    }

    #[test]
    fn what_a_person_must_know_is_a_warning() {
        let warnings = |n: usize| read(&all()[n]).summary().warnings;
        assert_eq!(warnings(0), []);
        assert_eq!(warnings(5), [Warning::CreatesContract]);
        let approval = [Warning::ValueWithCall, Warning::Unlimited, Warning::Approval];
        assert_eq!(warnings(7), approval);
    }

    proptest! {
        #[test]
        fn a_changed_transaction_is_refused_or_another(n in 0..8_usize, at: u16, byte: u8) {
            let payload = read(&all()[n]).encode();
            let mut changed = payload.clone();
            let at = usize::from(at) % changed.len();
            changed[at] = byte;
            if let Ok(read) = Transaction::decode(&changed) {
                prop_assert_eq!(read.encode(), changed);
                let _ = read.summary();
            }
        }
    }
}
