//! Calls of contracts: the methods that move tokens and rights, by a table of their selectors.
//!
//! Arguments are read from the one canonical encoding alone, in which parts neither overlap nor
//! leave gaps. So reading takes no more time and memory than the data are long.

use alloy_primitives::{Address, U256};
use alloy_sol_types::abi::token::{DynSeqToken, PackedSeqToken, TokenSeq, WordToken};
use alloy_sol_types::abi::{AbiDecoderConfig, decode_params_with_config};
use serde::Serialize;

use super::{Account, Data, Number, Warning, hex};

/// How deep calls within calls are read.
const MAX_LEVEL: u8 = 4;

/// A selector, which is the beginning of the Keccak-256 of the signature, and the signature.
const METHODS: [(u32, &str); 16] = [
    (0xa905_9cbb, "transfer(address,uint256)"),
    (0x23b8_72dd, "transferFrom(address,address,uint256)"),
    (0x095e_a7b3, "approve(address,uint256)"),
    (0x3950_9351, "increaseAllowance(address,uint256)"),
    (0xd505_accf, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
    (0x4284_2e0e, "safeTransferFrom(address,address,uint256)"),
    (0xb88d_4fde, "safeTransferFrom(address,address,uint256,bytes)"),
    (0xf242_432a, "safeTransferFrom(address,address,uint256,uint256,bytes)"),
    (0x2eb2_c2d6, "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)"),
    (0xa22c_b465, "setApprovalForAll(address,bool)"),
    (0xd0e3_0db0, "deposit()"),
    (0x2e1a_7d4d, "withdraw(uint256)"),
    (
        0x6a76_1202,
        "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    ),
    (0xd4d9_bdcd, "approveHash(bytes32)"),
    (0x8d80_ff0a, "multiSend(bytes)"),
    (0x82ad_56cb, "aggregate3((address,bool,bytes)[])"),
];

/// A call, or a payment if it has no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Who is called.
    pub to: Account,
    /// The wei that are sent along.
    pub value: Number,
    /// Whether the code runs in the place of the caller.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delegate: bool,
    /// The first four bytes of the data in hexadecimal, or all if there are fewer; none for a
    /// payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The signature of the method, if it is in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Argument>,
    /// The calls that it makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// The data, if they are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// How many units of the token `to` it moves or lets move.
    #[serde(skip)]
    pub amount: Option<Number>,
    #[serde(skip)]
    own_warnings: Vec<Warning>,
}

/// An argument of a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// The value of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// An account.
    Account(Account),
    /// An unsigned number.
    Number(Number),
    /// Several numbers.
    Numbers(Vec<Number>),
    /// Yes or no.
    Flag(bool),
    /// 32 bytes in hexadecimal.
    Word(String),
    /// Bytes; `None` if there are none.
    Bytes(Option<Data>),
}

impl Call {
    /// The method's name, such as `transfer`, if it is known and its arguments are read.
    pub fn name(&self) -> Option<&'static str> {
        let method = self.method.filter(|_| self.data.is_none())?;
        method.split('(').next()
    }

    /// All warnings, those of inner calls included, each once.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut all = self.own_warnings.clone();
        all.extend(self.calls.iter().flat_map(Self::warnings));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// This call and all within it.
    pub fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.calls.iter().flat_map(Self::all)).collect()
    }
}

/// The call that `data` make of `to`.
pub(super) fn decode(to: Account, value: Number, data: &[u8]) -> Call {
    at_level(0, to, value, data, false)
}

/// The call of a Safe, by its four parts; `None` if the operation is neither 0 nor 1.
pub(super) fn of_safe(to: Account, value: Number, data: &[u8], operation: U256) -> Option<Call> {
    inner(0, to, value, data, operation)
}

fn at_level(level: u8, to: Account, value: Number, data: &[u8], delegate: bool) -> Call {
    let mut call = Call {
        to,
        value,
        delegate,
        selector: None,
        method: None,
        arguments: Vec::new(),
        calls: Vec::new(),
        data: None,
        amount: None,
        own_warnings: Vec::new(),
    };
    if delegate {
        call.own_warnings.push(Warning::DelegateCall);
    }
    if data.is_empty() {
        return call;
    }
    let (selector, arguments) = data.split_at_checked(4).unwrap_or((data, &[]));
    call.selector = Some(hex(selector));
    let selector = <[u8; 4]>::try_from(selector).map(u32::from_be_bytes).ok();
    let known = METHODS.iter().find(|(known, _)| Some(*known) == selector);
    call.method = known.map(|(_, signature)| *signature);
    // What lies deeper is not read at all, so the nesting of hostile bytes is bounded.
    let is_read = level <= MAX_LEVEL;
    let read = known.filter(|_| is_read).and_then(|(known, _)| read(level, *known, arguments));
    match read {
        _ if !is_read => call.own_warnings.push(Warning::TooDeep),
        Some(read) => {
            call.own_warnings.extend(read.warnings);
            (call.arguments, call.calls, call.amount) = (read.arguments, read.calls, read.amount);
            return call;
        }
        None if known.is_some() => call.own_warnings.push(Warning::OddEncoding),
        None => call.own_warnings.push(Warning::UnknownCall),
    }
    call.data = Data::of(data);
    call
}

/// What the arguments of a known method say.
#[derive(Default)]
struct Read {
    arguments: Vec<Argument>,
    calls: Vec<Call>,
    amount: Option<Number>,
    warnings: Vec<Warning>,
}

impl Read {
    fn of(arguments: impl Into<Vec<Option<Argument>>>) -> Option<Self> {
        let arguments = arguments.into().into_iter().collect::<Option<_>>()?;
        Some(Self { arguments, ..Self::default() })
    }

    fn moving(self, amount: WordToken) -> Self {
        Self { amount: Some(number(amount)), ..self }
    }

    /// Of an approval of `amount`.
    fn approving(self, amount: WordToken) -> Self {
        let unlimited = number(amount).is_unlimited().then_some(Warning::Unlimited);
        let approval = (number(amount) != Number::default()).then_some(Warning::Approval);
        let warnings = unlimited.into_iter().chain(approval).collect();
        Self { warnings, ..self.moving(amount) }
    }
}

type Word = WordToken;
type Bytes<'a> = PackedSeqToken<'a>;
type Words = DynSeqToken<WordToken>;

/// The arguments of a method; `None` if they are not in its encoding.
fn read(level: u8, selector: u32, data: &[u8]) -> Option<Read> {
    match selector {
        0xa905_9cbb => {
            let (to, amount): (Word, Word) = params(data)?;
            Some(Read::of([account("to", to), amount_of(amount)])?.moving(amount))
        }
        0x23b8_72dd => {
            let (from, to, amount): (Word, Word, Word) = params(data)?;
            let arguments = [account("from", from), account("to", to), amount_of(amount)];
            Some(Read::of(arguments)?.moving(amount))
        }
        0x095e_a7b3 | 0x3950_9351 => {
            let (spender, amount): (Word, Word) = params(data)?;
            let read = Read::of([account("spender", spender), amount_of(amount)])?;
            Some(read.approving(amount))
        }
        0xd505_accf => {
            let (owner, spender, amount, deadline, v, r, s): (
                Word,
                Word,
                Word,
                Word,
                Word,
                Word,
                Word,
            ) = params(data)?;
            let arguments = [
                account("owner", owner),
                account("spender", spender),
                amount_of(amount),
                Some(numeric("deadline", deadline)),
                byte("v", v),
                Some(word("r", r)),
                Some(word("s", s)),
            ];
            Some(Read::of(arguments)?.approving(amount))
        }
        0x4284_2e0e => {
            let (from, to, id): (Word, Word, Word) = params(data)?;
            Read::of([account("from", from), account("to", to), Some(numeric("token", id))])
        }
        0xb88d_4fde => {
            let (from, to, id, rest): (Word, Word, Word, Bytes<'_>) = params(data)?;
            let id = Some(numeric("token", id));
            Read::of([account("from", from), account("to", to), id, Some(bytes("data", rest))])
        }
        0xf242_432a => {
            let (from, to, id, amount, rest): (Word, Word, Word, Word, Bytes<'_>) = params(data)?;
            Read::of([
                account("from", from),
                account("to", to),
                Some(numeric("token", id)),
                amount_of(amount),
                Some(bytes("data", rest)),
            ])
        }
        0x2eb2_c2d6 => {
            let (from, to, ids, amounts, rest): (Word, Word, Words, Words, Bytes<'_>) =
                params(data)?;
            Read::of([
                account("from", from),
                account("to", to),
                Some(numbers("tokens", &ids)),
                Some(numbers("amounts", &amounts)),
                Some(bytes("data", rest)),
            ])
        }
        0xa22c_b465 => {
            let (operator, approved): (Word, Word) = params(data)?;
            let approved = flag(approved)?;
            let flag = Argument { name: "approved", value: Value::Flag(approved) };
            let read = Read::of([account("operator", operator), Some(flag)])?;
            let warnings = if approved { vec![Warning::ApprovalForAll] } else { Vec::new() };
            Some(Read { warnings, ..read })
        }
        0xd0e3_0db0 => data.is_empty().then(Read::default),
        0x2e1a_7d4d => {
            let (amount,): (Word,) = params(data)?;
            Read::of([amount_of(amount)])
        }
        0x6a76_1202 => safe(level, data),
        0xd4d9_bdcd => {
            let (hash,): (Word,) = params(data)?;
            Read::of([Some(word("hash", hash))])
        }
        0x8d80_ff0a => {
            let (Bytes { 0: packed },): (Bytes<'_>,) = params(data)?;
            Some(Read { calls: unpacked(level, packed)?, ..Read::default() })
        }
        0x82ad_56cb => {
            let (calls,): (DynSeqToken<(Word, Word, Bytes<'_>)>,) = params(data)?;
            let calls = calls.0.iter().map(|(to, may_fail, data)| {
                flag(*may_fail)?;
                inner(level, address(*to)?, Number::default(), data.0, U256::ZERO)
            });
            Some(Read { calls: calls.collect::<Option<_>>()?, ..Read::default() })
        }
        _ => None,
    }
}

/// A transaction of a Safe.
fn safe(level: u8, data: &[u8]) -> Option<Read> {
    type Parameters<'a> = (Word, Word, Bytes<'a>, Word, Word, Word, Word, Word, Word, Bytes<'a>);
    let (to, value, call, operation, gas, base_gas, price, token, refund, signatures): Parameters<
        '_,
    > = params(data)?;
    let read = Read::of([
        Some(numeric("safeTxGas", gas)),
        Some(numeric("baseGas", base_gas)),
        Some(numeric("gasPrice", price)),
        account("gasToken", token),
        account("refundReceiver", refund),
        Some(bytes("signatures", signatures)),
    ])?;
    let call = inner(level, address(to)?, number(value), call.0, number(operation).0)?;
    let refunds = number(price) != Number::default();
    let warnings = refunds.then_some(Warning::Refund).into_iter().collect();
    Some(Read { calls: vec![call], warnings, ..read })
}

/// A call by another call; `operation` is 0, or 1 for one in the place of the caller.
fn inner(level: u8, to: Account, value: Number, data: &[u8], operation: U256) -> Option<Call> {
    let delegate = match u8::try_from(operation) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return None,
    };
    Some(at_level(level.saturating_add(1), to, value, data, delegate))
}

/// The calls of `multiSend`: operation, receiver, value, length and data of each, without padding.
fn unpacked(level: u8, mut packed: &[u8]) -> Option<Vec<Call>> {
    let mut calls = Vec::new();
    while !packed.is_empty() {
        let (operation, rest) = packed.split_first()?;
        let (to, rest) = rest.split_first_chunk::<20>()?;
        let (value, rest) = rest.split_first_chunk::<32>()?;
        let (length, rest) = rest.split_first_chunk::<32>()?;
        let length = usize::try_from(U256::from_be_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        let value = Number(U256::from_be_bytes(*value));
        calls.push(inner(level, Account::new(*to), value, data, U256::from(*operation))?);
        packed = rest;
    }
    Some(calls)
}

fn params<'a, T: TokenSeq<'a>>(data: &'a [u8]) -> Option<T> {
    decode_params_with_config(data, AbiDecoderConfig::new().strict(true)).ok()
}

fn address(word: Word) -> Option<Account> {
    let (padding, address) = word.0.split_first_chunk::<12>()?;
    (*padding == [0; 12]).then(|| Account(Address::from_slice(address)))
}

fn account(name: &'static str, word: Word) -> Option<Argument> {
    Some(Argument { name, value: Value::Account(address(word)?) })
}

fn number(word: Word) -> Number {
    Number(U256::from_be_bytes(word.0.0))
}

fn numeric(name: &'static str, word: Word) -> Argument {
    Argument { name, value: Value::Number(number(word)) }
}

fn amount_of(word: Word) -> Option<Argument> {
    Some(numeric("amount", word))
}

fn numbers(name: &'static str, words: &Words) -> Argument {
    let numbers = words.0.iter().map(|word| number(*word)).collect();
    Argument { name, value: Value::Numbers(numbers) }
}

fn byte(name: &'static str, word: Word) -> Option<Argument> {
    (number(word).0 <= U256::from(u8::MAX)).then(|| numeric(name, word))
}

fn flag(word: Word) -> Option<bool> {
    match u8::try_from(number(word).0) {
        Ok(0) => Some(false),
        Ok(1) => Some(true),
        _ => None,
    }
}

fn word(name: &'static str, word: Word) -> Argument {
    Argument { name, value: Value::Word(hex(word.0.as_slice())) }
}

fn bytes(name: &'static str, bytes: Bytes<'_>) -> Argument {
    Argument { name, value: Value::Bytes(Data::of(bytes.0)) }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const TOKEN: [u8; 20] = [0x33; 20];

    /// Calls that eth-abi encoded.
    fn known() -> Vec<(Vec<u8>, Value)> {
        let known = include_str!("../../../tests/ethereum/calls.json");
        let known: Vec<Value> = serde_json::from_str(known).unwrap();
        let read = |known: &Value| {
            let data = super::super::unhex(known["data"].as_str().unwrap()).unwrap();
            (data, known["call"].clone())
        };
        known.iter().map(read).collect()
    }

    fn call(data: &[u8]) -> Call {
        decode(Account::new(TOKEN), Number::default(), data)
    }

    #[test]
    fn every_selector_is_that_of_its_signature() {
        for (selector, signature) in METHODS {
            assert_eq!(keccak256(signature)[..4], selector.to_be_bytes(), "{signature}");
        }
    }

    #[test]
    fn calls_say_what_other_encoders_put_into_them() {
        let mut methods = std::collections::BTreeSet::new();
        for (data, expected) in known() {
            let to: Account = expected["to"].as_str().unwrap().parse().unwrap();
            let read = decode(to, Number::default(), &data);
            assert_eq!(json!(read), expected);
            methods.extend(read.all().iter().filter_map(|call| call.method));
        }
        assert_eq!(methods.len(), METHODS.len());
    }

    #[test]
    fn arguments_that_are_not_as_the_method_demands_are_not_read() {
        for (data, _) in known() {
            for changed in [[&data[..], &[0]].concat(), data[..data.len() - 1].to_vec()] {
                let read = call(&changed);
                assert_eq!(read.name(), None, "{read:?}");
                let odd = [Warning::OddEncoding];
                let unknown = [Warning::UnknownCall];
                assert!(read.warnings() == odd || read.warnings() == unknown, "{read:?}");
                assert!(read.data.is_some());
            }
        }
        // A word that is no address.
        let mut data = known()[0].0.clone();
        data[4] = 1;
        assert_eq!(call(&data).warnings(), [Warning::OddEncoding]);
        assert_eq!(call(&[1, 2, 3, 4]).warnings(), [Warning::UnknownCall]);
        assert_eq!(call(&[1]).selector.as_deref(), Some("0x01"));
        assert_eq!(call(&[]).warnings(), []);
    }

    #[test]
    fn approvals_and_foreign_code_are_pointed_out() {
        let warnings = |n: usize| call(&known()[n].0).warnings();
        assert_eq!(warnings(0), []);
        assert_eq!(warnings(2), [Warning::Unlimited, Warning::Approval]);
        assert_eq!(warnings(9), [Warning::ApprovalForAll]);
        assert_eq!(warnings(15), [Warning::DelegateCall, Warning::Refund]);
    }

    /// A call of `aggregate3` around `data`.
    fn around(data: &[u8]) -> Vec<u8> {
        use alloy_sol_types::abi::encode_sequence;
        let to = WordToken(Account::new(TOKEN).0.into_word());
        let no = WordToken(alloy_primitives::B256::ZERO);
        let calls = DynSeqToken(vec![(to, no, PackedSeqToken(data))]);
        [&0x82ad_56cb_u32.to_be_bytes()[..], &encode_sequence(&(calls,))].concat()
    }

    #[test]
    fn calls_within_calls_are_read_four_deep() {
        let mut data = known()[0].0.clone();
        for level in 0..8 {
            let read = call(&data);
            let warnings = if level > 4 { vec![Warning::TooDeep] } else { Vec::new() };
            assert_eq!(read.warnings(), warnings, "{level}");
            assert_eq!(read.all().len(), 1 + level.min(5));
            data = around(&data);
        }
    }

    /// Reading stops at the depth that is shown, however deep hostile bytes go on.
    #[test]
    fn calls_within_calls_without_end_do_not_exhaust_the_stack() {
        let mut data = known()[0].0.clone();
        for _ in 0..300 {
            data = around(&data);
        }
        assert_eq!(call(&data).warnings(), [Warning::TooDeep]);
        assert_eq!(call(&data).all().len(), 6);
    }

    #[test]
    fn parts_that_overlap_are_not_read_again_and_again() {
        // 3,000 calls, all of which point to the same bytes.
        let word = |number: usize| {
            let mut word = [0; 32];
            word[24..].copy_from_slice(&(number as u64).to_be_bytes());
            word
        };
        let mut data = 0x82ad_56cb_u32.to_be_bytes().to_vec();
        data.extend([word(32), word(3000)].concat());
        (0..3000).for_each(|_| data.extend(word(3000 * 32)));
        data.extend([word(1), word(0), word(96), word(20_000)].concat());
        data.extend([0; 20_000]);
        assert_eq!(call(&data).warnings(), [Warning::OddEncoding]);
    }

    proptest! {
        #[test]
        fn any_data_are_a_call(n in 0..METHODS.len(), rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let data = [&METHODS[n].0.to_be_bytes()[..], &rest].concat();
            prop_assert!(call(&data).selector.is_some());
        }

        #[test]
        fn a_changed_call_is_read_or_not(n in 0..16_usize, at: u16, byte: u8) {
            let (mut data, _) = known().swap_remove(n);
            let at = usize::from(at) % data.len();
            data[at] = byte;
            let read = call(&data);
            prop_assert!(read.name().is_some() != read.data.is_some());
        }
    }
}
