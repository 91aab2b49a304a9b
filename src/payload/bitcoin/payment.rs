//! A payment: what it spends, whom it pays, and what of it a key signs.
//!
//! A path in a PSBT is a claim. An input or an output is the key's only where the path leads from
//! the key to a public key that spends the script.

use bitcoin::bip32::{ChildNumber, KeySource};
use bitcoin::hashes::Hash as _;
use bitcoin::psbt::Input;
use bitcoin::relative;
use bitcoin::script::{Instruction, Script, ScriptBuf};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::{InputWeightPrediction, Sequence, predict_weight};
use bitcoin::{Address, Psbt, Transaction, TxOut};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

use super::maps::Maps;
use super::{COIN, MAX_DEPTH, Network, Refused, Satoshis, Xpub};
use crate::crypto::bip32::{self, Derived};
use crate::crypto::curve::{decode_point, encode_point};
use crate::crypto::ecdsa;
use crate::payload::Content;

/// The largest payment, in bytes.
pub const MAX_PAYMENT: u64 = 1 << 20;

/// The most signatures of one payment.
pub const MAX_SIGNATURES: usize = 256;

/// The most that a node passes on, in weight units; here of what is not witness.
const MAX_WEIGHT: u64 = 400_000;

/// The index below which wallets look for coins.
const MAX_INDEX: u32 = 100_000;

/// All coins there will ever be.
const MAX_MONEY: u64 = 21_000_000 * COIN;

/// What the key signs: an input, or its part in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The number of the input, from 0.
    pub input: usize,
    /// The steps from the key to the one that signs.
    pub path: Vec<u32>,
    /// The key that signs, SEC1 compressed.
    pub public_key: [u8; 33],
    /// What is signed: the hash of the whole payment for this input (`SIGHASH_ALL`).
    pub digest: [u8; 32],
}

/// What is shown of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The network in whose form the addresses are.
    pub network: Network,
    /// The outputs, in their order.
    pub outputs: Vec<Output>,
    /// The sum of the outputs that do not return to the key.
    pub leaves: Satoshis,
    /// The sum of those that do.
    pub returns: Satoshis,
    /// The rest of the inputs.
    pub fee: Satoshis,
    /// The size of the signed transaction in virtual bytes, at most; `None` where others sign inputs
    /// too, whose size cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
    /// The sum of the inputs. It is what leaves, what returns and the fee.
    pub spends: Satoshis,
    /// How many inputs there are.
    pub inputs: usize,
    /// How many of them the key signs.
    pub signs: usize,
    /// The block height or the time (seconds since 1970) before which it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_time: Option<LockTime>,
    /// How many blocks must follow those that what it spends is in (BIP-68), at most; 0 if none.
    #[serde(skip_serializing_if = "is_zero")]
    pub blocks_after: u64,
    /// How many seconds must have passed since then (BIP-68), at most; 0 if none.
    #[serde(skip_serializing_if = "is_zero")]
    pub seconds_after: u64,
    /// Whether it says that it may be replaced by another before it is in a block (BIP-125).
    pub replaceable: bool,
    /// What its signer should know.
    pub warnings: Vec<Warning>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// When a payment becomes valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LockTime {
    /// After the block of this height.
    Height(u32),
    /// After this moment, in seconds since 1970.
    Time(u32),
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The amount.
    pub amount: Satoshis,
    /// Who may spend it.
    pub to: To,
    /// The steps from the key to the one that spends it, if it returns to the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<u32>>,
}

/// Who may spend an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// Whoever owns the address.
    Address(String),
    /// Nobody: it carries data (`OP_RETURN`).
    Data(Content),
    /// Whoever satisfies the script, in hexadecimal, which has no address.
    Script(String),
}

/// A warning about a payment. Inputs and outputs are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// The network is what the requester says: the same signatures are valid on the main one.
    NotMain,
    /// The output is said to return to the key, and does not.
    FalseReturn {
        /// The output.
        output: usize,
    },
    /// The output goes to a key below this one, at a path or in a form where no wallet looks: it
    /// counts as leaving.
    OddReturn {
        /// The output.
        output: usize,
    },
    /// The output is paid to several keys, of which one is below this one: it counts as leaving.
    SharedReturn {
        /// The output.
        output: usize,
    },
    /// The input is said to be the key's, and is not.
    FalseInput {
        /// The input.
        input: usize,
    },
    /// As many inputs prove their amounts by the requester's word alone: if others sign them, or
    /// sign twice, the fee may be higher than shown.
    UnprovenAmounts {
        /// How many.
        inputs: usize,
    },
    /// The fee is more than a twentieth of what the key pays to others, or of what returns if it pays
    /// nothing.
    HighFee,
    /// The fee may be more than 500 satoshis for each virtual byte.
    HighRate,
    /// The output is worth less than what it costs to spend it.
    Dust {
        /// The output.
        output: usize,
    },
    /// The output pays an address that an output before it pays.
    PaidTwice {
        /// The output.
        output: usize,
    },
    /// As many inputs are not known to be the key's.
    ForeignInputs {
        /// How many.
        inputs: usize,
    },
    /// As many inputs of the key have its signature already, or are complete.
    SignedAlready {
        /// How many.
        inputs: usize,
    },
}

/// A payment that was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// What the key signs, by input: from one to [`MAX_SIGNATURES`].
    pub items: Vec<Item>,
    /// What is shown of it.
    pub summary: Summary,
}

/// The highest rate without a warning, in satoshis for each virtual byte.
const HIGH_RATE: u64 = 500;

impl Payment {
    /// Reads a PSBT, in binary, as the key `xpub` signs it.
    ///
    /// # Errors
    /// It is none, or one that the key does not sign; the input is named.
    pub fn read(bytes: &[u8], network: Network, xpub: &Xpub) -> Result<Self, Refused> {
        let psbt = Maps::read(bytes)?.meaning()?;
        let tx = &psbt.unsigned_tx;
        if tx.input.is_empty() || tx.output.is_empty() {
            return Err(Refused::at("payment", "it has no inputs or no outputs"));
        }
        if tx.weight().to_wu() > MAX_WEIGHT {
            return Err(Refused::at("payment", "it is larger than nodes pass on"));
        }
        let mut spent = HashSet::new();
        if let Some(twice) = tx.input.iter().position(|input| !spent.insert(input.previous_output))
        {
            return Err(Refused::at(&input(twice), "it spends what an input before it spends"));
        }
        let spent =
            (0..tx.input.len()).map(|at| Spent::read(&psbt, at)).collect::<Result<Vec<_>, _>>()?;
        let mut cache = SighashCache::new(tx);
        let mut paths = Paths::new(xpub);
        let (mut items, mut own, mut signed_already) = (Vec::new(), Vec::new(), 0);
        let mut false_inputs = Vec::new();
        let locks: Vec<Lock> =
            spent.iter().zip(&psbt.inputs).map(|(of, claims)| Lock::of(of, claims)).collect();
        let inputs = locks.iter().zip(spent.iter().zip(&psbt.inputs));
        for (at, (lock, (of, claims))) in inputs.enumerate() {
            let keys = own_keys(lock, of, claims, &mut paths)
                .map_err(|why| Refused::at(&input(at), why))?;
            if keys.is_empty() {
                if claims.bip32_derivation.values().any(|source| paths.begin(source)) {
                    false_inputs.push(Warning::FalseInput { input: at });
                }
                continue;
            }
            own.push(at);
            if items.len() + keys.len() > MAX_SIGNATURES {
                return Err(Refused::at("payment", "the key would sign more than 256 times"));
            }
            let signing = Signing { at, lock, spent: of, claims };
            let new = signing.items(keys, &mut cache)?;
            if new.is_empty() {
                signed_already += 1;
            }
            items.extend(new);
        }
        if items.is_empty() {
            let why = match signed_already {
                0 => "no input is of this key, by a path in the PSBT that leads to it",
                _ => "every input of this key is signed already",
            };
            return Err(Refused::at("payment", why));
        }
        let signs: HashSet<usize> = items.iter().map(|item| item.input).collect();
        let forms = own.iter().filter_map(|at| locks.get(*at)).filter_map(Lock::form).collect();
        let mut summary = summed(&psbt, network, &mut paths, forms, &spent)?;
        summary.signs = signs.len();
        // What others sign is at least its reference and its sequence, so that it lowers no rate.
        let nothing = InputWeightPrediction::from_slice(0, &[]);
        let weights = locks.iter().enumerate().map(|(at, lock)| match own.contains(&at) {
            true => lock.weight().unwrap_or(nothing),
            false => nothing,
        });
        let scripts = tx.output.iter().map(|output| output.script_pubkey.len());
        let certain = predict_weight(weights, scripts).to_vbytes_ceil();
        summary.virtual_size = (own.len() == tx.input.len()).then_some(certain);
        let of_key = own.iter().filter_map(|at| spent.get(*at));
        let of_key = of_key.map(|spent| spent.output.value.to_sat()).sum();
        summary.warnings.extend(false_inputs);
        summary.warn(&spent, (own.len(), signed_already), of_key, certain);
        Ok(Self { items, summary })
    }
}

impl Summary {
    /// Warns about the whole of it: the key has `own` inputs of `of_key` satoshis together, of which
    /// `signed` are signed, and the signed transaction has `certain` virtual bytes at least.
    fn warn(&mut self, spent: &[Spent], (own, signed): (usize, usize), of_key: u64, certain: u64) {
        let foreign = spent.len().saturating_sub(own);
        let unproven = spent.iter().filter(|spent| !spent.is_proven).count();
        // The signature of a single input is over its amount.
        if unproven > 0 && spent.len() > 1 {
            self.warnings.push(Warning::UnprovenAmounts { inputs: unproven });
        }
        if foreign > 0 {
            self.warnings.push(Warning::ForeignInputs { inputs: foreign });
        }
        if signed > 0 {
            self.warnings.push(Warning::SignedAlready { inputs: signed });
        }
        let given = of_key.saturating_sub(self.returns.0).saturating_sub(self.fee.0);
        let given = given.min(self.leaves.0);
        let compared = if self.leaves.0 > 0 { given } else { self.returns.0 };
        if self.fee.0 > compared / 20 {
            self.warnings.push(Warning::HighFee);
        }
        if self.fee.0 > certain.saturating_mul(HIGH_RATE) {
            self.warnings.push(Warning::HighRate);
        }
    }

    /// Whether the fee is high, or not known for sure.
    pub fn is_fee_doubtful(&self) -> bool {
        self.warnings.iter().any(|warning| {
            matches!(
                warning,
                Warning::HighFee | Warning::HighRate | Warning::UnprovenAmounts { .. }
            )
        })
    }
}

/// The name of an input in complaints.
fn input(at: usize) -> String {
    format!("input {at}")
}

/// The output that an input spends.
pub(super) struct Spent {
    pub(super) output: TxOut,
    /// Whether the amount is proven by the whole transaction, whose hash the input names.
    is_proven: bool,
}

impl Spent {
    pub(super) fn read(psbt: &Psbt, at: usize) -> Result<Self, Refused> {
        let refused = |why: &str| Refused::at(&input(at), why);
        let (Some(claims), Some(spending)) = (psbt.inputs.get(at), psbt.unsigned_tx.input.get(at))
        else {
            return Err(refused("it has no map"));
        };
        let point = spending.previous_output;
        let proven =
            match &claims.non_witness_utxo {
                Some(before) if before.compute_txid() != point.txid => {
                    return Err(refused(
                        "non_witness_utxo is another transaction than the one it spends",
                    ));
                }
                Some(before) => {
                    let output =
                        usize::try_from(point.vout).ok().and_then(|vout| before.output.get(vout));
                    Some(output.ok_or_else(|| {
                        refused("the transaction that it spends has no such output")
                    })?)
                }
                None => None,
            };
        match (proven, &claims.witness_utxo) {
            (Some(proven), Some(said)) if proven != said => {
                Err(refused("witness_utxo contradicts non_witness_utxo"))
            }
            (Some(proven), _) => Ok(Self { output: proven.clone(), is_proven: true }),
            (None, Some(said)) => Ok(Self { output: said.clone(), is_proven: false }),
            (None, None) => {
                Err(refused("what it spends is missing (non_witness_utxo or witness_utxo)"))
            }
        }
    }
}

/// What a key must sign to spend a script.
pub(super) enum Lock {
    /// One key, before segregated witness.
    Pkh,
    /// One key.
    Wpkh,
    /// One key, in a script hash.
    ShWpkh(ScriptBuf),
    /// Several keys, before segregated witness.
    Sh(ScriptBuf),
    /// Several keys.
    Wsh(ScriptBuf),
    /// Several keys, in a script hash.
    ShWsh(ScriptBuf),
    /// Taproot, which this kind of key does not sign.
    Taproot,
    /// Anything else.
    Other,
}

impl Lock {
    pub(super) fn of(spent: &Spent, claims: &Input) -> Self {
        let script = &spent.output.script_pubkey;
        let within = |claimed: &Option<ScriptBuf>, fits: &dyn Fn(&Script) -> bool| {
            claimed.clone().filter(|claimed| fits(claimed))
        };
        let several = |outer: &Script| {
            let witness = within(&claims.witness_script, &|claimed| claimed.to_p2wsh() == *outer);
            witness.filter(|script| Several::read(script).is_some())
        };
        if script.is_p2pkh() {
            return Self::Pkh;
        }
        if script.is_p2wpkh() {
            return Self::Wpkh;
        }
        if script.is_p2tr() {
            return Self::Taproot;
        }
        if script.is_p2wsh() {
            return several(script).map_or(Self::Other, Self::Wsh);
        }
        if !script.is_p2sh() {
            return Self::Other;
        }
        match within(&claims.redeem_script, &|claimed| claimed.to_p2sh() == *script) {
            Some(redeem) if redeem.is_p2wpkh() => Self::ShWpkh(redeem),
            Some(redeem) if redeem.is_p2wsh() => several(&redeem).map_or(Self::Other, Self::ShWsh),
            Some(redeem) if redeem.len() <= MAX_REDEEM && Several::read(&redeem).is_some() => {
                Self::Sh(redeem)
            }
            _ => Self::Other,
        }
    }

    /// Whether the hash that is signed covers no amount.
    fn is_before_witness(&self) -> bool {
        matches!(self, Self::Pkh | Self::Sh(_))
    }

    /// Whether a signature of the key is needed, or one of those that may sign.
    pub(super) fn fits(&self, script: &Script, key: &bitcoin::PublicKey) -> bool {
        let Ok(compressed) = bitcoin::CompressedPublicKey::try_from(*key) else { return false };
        match self {
            Self::Pkh => *script == ScriptBuf::new_p2pkh(&key.pubkey_hash()),
            Self::Wpkh => *script == ScriptBuf::new_p2wpkh(&compressed.wpubkey_hash()),
            Self::ShWpkh(redeem) => *redeem == ScriptBuf::new_p2wpkh(&compressed.wpubkey_hash()),
            Self::Sh(several) | Self::Wsh(several) | Self::ShWsh(several) => {
                Several::read(several).is_some_and(|of| of.keys.contains(&compressed.to_bytes()))
            }
            Self::Taproot | Self::Other => false,
        }
    }

    /// The form of an address of a single key.
    fn form(&self) -> Option<Form> {
        match self {
            Self::Pkh => Some(Form::Pkh),
            Self::Wpkh => Some(Form::Wpkh),
            Self::ShWpkh(_) => Some(Form::ShWpkh),
            _ => None,
        }
    }

    /// The weight of the input once it is signed; `None` if it cannot be told.
    fn weight(&self) -> Option<InputWeightPrediction> {
        // The witness script, as many signatures as it needs, and what CHECKMULTISIG pops too many.
        let several = |script: &Script| {
            let needed = Several::read(script)?.needed;
            let signatures = std::iter::repeat_n(72, needed);
            Some(std::iter::once(0).chain(signatures).chain([script.len()]).collect::<Vec<usize>>())
        };
        Some(match self {
            Self::Pkh => InputWeightPrediction::P2PKH_COMPRESSED_MAX,
            Self::Wpkh => InputWeightPrediction::P2WPKH_MAX,
            Self::ShWpkh(_) => InputWeightPrediction::new(23, [72, 33]),
            // Each part of the script is pushed by one to three bytes.
            Self::Sh(script) => {
                let push = |part: usize| match part {
                    0 => 0,
                    1..=75 => 1,
                    76..=255 => 2,
                    _ => 3,
                };
                let parts = several(script)?.into_iter();
                let length = parts.fold(1, |sum: usize, part| {
                    sum.saturating_add(part).saturating_add(push(part))
                });
                InputWeightPrediction::from_slice(length, &[])
            }
            Self::Wsh(script) => InputWeightPrediction::new(0, several(script)?),
            Self::ShWsh(script) => InputWeightPrediction::new(35, several(script)?),
            Self::Taproot | Self::Other => return None,
        })
    }
}

/// The longest script whose hash a script of before segregated witness may name, in bytes.
const MAX_REDEEM: usize = 520;

/// The form of an address of a single key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Pkh,
    Wpkh,
    ShWpkh,
}

/// A script of several compressed keys of which some must sign: `OP_m key .. OP_n CHECKMULTISIG`.
pub(super) struct Several {
    /// How many must sign.
    pub(super) needed: usize,
    /// The keys, in their order.
    pub(super) keys: Vec<[u8; 33]>,
}

impl Several {
    /// The script, if it is one.
    pub(super) fn read(script: &Script) -> Option<Self> {
        let number = |byte: u8| byte.checked_sub(0x50).filter(|number| (1..=16).contains(number));
        let (first, rest) = script.as_bytes().split_first()?;
        let (keys, [all, CHECKMULTISIG]) = rest.split_last_chunk::<2>()? else { return None };
        let pushed = keys.chunks(34).map(|push| match push.split_first() {
            Some((33, key)) => <[u8; 33]>::try_from(key).ok(),
            _ => None,
        });
        let keys: Vec<[u8; 33]> = pushed.collect::<Option<_>>()?;
        let needed = usize::from(number(*first)?);
        (usize::from(number(*all)?) == keys.len() && needed <= keys.len())
            .then_some(Self { needed, keys })
    }
}

const CHECKMULTISIG: u8 = 0xae;

/// A key below the one that pays, and the path to it.
struct OwnKey {
    path: Vec<u32>,
    public_key: [u8; 33],
}

/// The most steps that are derived for one payment: with those to a parent taken once, twice as many
/// as its inputs and outputs can need.
const MAX_STEPS: usize = 2048;

/// The keys below one. Steps are counted, since a payment can claim many, and none is taken twice.
struct Paths<'x> {
    xpub: &'x Xpub,
    derived: HashMap<Vec<u32>, Option<Derived>>,
}

impl<'x> Paths<'x> {
    fn new(xpub: &'x Xpub) -> Self {
        Self { xpub, derived: HashMap::new() }
    }

    /// Whether a path is said to begin at the key.
    fn begin(&self, (fingerprint, _): &KeySource) -> bool {
        *fingerprint.as_bytes() == self.xpub.fingerprint
    }

    /// The key at the end of a path, and the path, if it is said to begin here and has non-hardened
    /// steps alone.
    fn follow(&mut self, source: &KeySource) -> Result<Option<OwnKey>, &'static str> {
        let step = |step: &ChildNumber| match step {
            ChildNumber::Normal { index } => Some(*index),
            ChildNumber::Hardened { .. } => None,
        };
        let path: Option<Vec<u32>> = source.1.as_ref().iter().map(step).collect();
        let Some(path) = path.filter(|path| self.begin(source) && path.len() <= MAX_DEPTH) else {
            return Ok(None);
        };
        let mut at = self.xpub.as_derived();
        for (n, index) in path.iter().enumerate() {
            let here = path.get(..=n).unwrap_or_default();
            if !self.derived.contains_key(here) {
                if self.derived.len() >= MAX_STEPS {
                    return Err("the payment claims too many paths from this key");
                }
                let child = bip32::derive(&at.public_key, &at.chain_code, &[*index]).ok();
                self.derived.insert(here.to_vec(), child);
            }
            let Some(Some(next)) = self.derived.get(here) else { return Ok(None) };
            at = *next;
        }
        let public_key = encode_point(&at.public_key);
        Ok(public_key.map(|public_key| OwnKey { path, public_key }))
    }
}

/// The keys below the one of `paths` that can sign the input. It is an error if the key is asked for
/// what it cannot sign, or a script of an input that is said to be its contradicts what is spent.
fn own_keys(
    lock: &Lock,
    spent: &Spent,
    claims: &Input,
    paths: &mut Paths<'_>,
) -> Result<Vec<OwnKey>, &'static str> {
    for (key, (_, source)) in &claims.tap_key_origins {
        if !matches!(lock, Lock::Taproot) || !paths.begin(source) {
            continue;
        }
        let own = paths.follow(source)?;
        if own.is_some_and(|own| own.public_key.get(1..) == Some(&key.serialize()[..])) {
            return Err("this key signs ECDSA; taproot needs Schnorr signatures");
        }
    }
    let script = &spent.output.script_pubkey;
    let mut keys = Vec::new();
    for (key, source) in &claims.bip32_derivation {
        if !paths.begin(source) {
            continue;
        }
        if contradict(script, claims) {
            return Err("its redeem or witness script is not that of what it spends");
        }
        if !lock.fits(script, &bitcoin::PublicKey::new(*key)) {
            continue;
        }
        keys.extend(paths.follow(source)?.filter(|own| own.public_key == key.serialize()));
    }
    Ok(keys)
}

/// Whether the scripts of an input do not hash to what it spends (BIP-174, "Signer").
fn contradict(script: &Script, claims: &Input) -> bool {
    let redeem = claims.redeem_script.as_deref();
    if redeem.is_some_and(|redeem| redeem.to_p2sh() != *script) {
        return true;
    }
    let outer = redeem.unwrap_or(script);
    claims.witness_script.as_ref().is_some_and(|witness| witness.to_p2wsh() != *outer)
}

/// An input of the key.
pub(super) struct Signing<'a> {
    pub(super) at: usize,
    pub(super) lock: &'a Lock,
    pub(super) spent: &'a Spent,
    pub(super) claims: &'a Input,
}

impl Signing<'_> {
    /// What `keys` sign; nothing if the input is complete, or has their signatures.
    fn items(
        &self,
        keys: Vec<OwnKey>,
        cache: &mut SighashCache<&Transaction>,
    ) -> Result<Vec<Item>, Refused> {
        let Self { at, lock, spent, claims } = *self;
        let refused = |why: &str| Refused::at(&input(at), why);
        if lock.is_before_witness() && !spent.is_proven {
            return Err(refused(
                "its amount must be proven by non_witness_utxo: its signature does not cover it",
            ));
        }
        let kind =
            claims.sighash_type.map_or(Ok(EcdsaSighashType::All), |kind| kind.ecdsa_hash_ty());
        if kind != Ok(EcdsaSighashType::All) {
            return Err(refused("only the whole payment is signed (SIGHASH_ALL)"));
        }
        if claims.final_script_sig.is_some() || claims.final_script_witness.is_some() {
            return Ok(Vec::new());
        }
        let digest = self.digest(cache).ok_or_else(|| refused("it has no hash to sign"))?;
        let mut items = Vec::new();
        for OwnKey { path, public_key } in keys {
            let Some(present) = self.present(&public_key) else {
                items.push(Item { input: at, path, public_key, digest });
                continue;
            };
            if !verifies(&public_key, &digest, present) {
                return Err(refused("the signature of this key that it has is invalid"));
            }
        }
        Ok(items)
    }

    /// The signature of the key that the input has.
    pub(super) fn present(&self, public_key: &[u8; 33]) -> Option<&bitcoin::ecdsa::Signature> {
        let mut present = self.claims.partial_sigs.iter();
        present
            .find(|(key, _)| key.compressed && key.inner.serialize() == *public_key)
            .map(|(_, signature)| signature)
    }

    pub(super) fn digest(&self, cache: &mut SighashCache<&Transaction>) -> Option<[u8; 32]> {
        let Self { at, lock, spent, .. } = *self;
        let TxOut { value, script_pubkey } = &spent.output;
        let all = EcdsaSighashType::All;
        let before = |script: &Script| {
            let hash = cache.legacy_signature_hash(at, script, all.to_u32());
            hash.ok().map(|hash| hash.to_byte_array())
        };
        match lock {
            Lock::Pkh => before(script_pubkey),
            Lock::Sh(script) => before(script),
            Lock::Wpkh => {
                let hash = cache.p2wpkh_signature_hash(at, script_pubkey, *value, all);
                hash.ok().map(|hash| hash.to_byte_array())
            }
            Lock::ShWpkh(redeem) => {
                let hash = cache.p2wpkh_signature_hash(at, redeem, *value, all);
                hash.ok().map(|hash| hash.to_byte_array())
            }
            Lock::Wsh(script) | Lock::ShWsh(script) => {
                let hash = cache.p2wsh_signature_hash(at, script, *value, all);
                hash.ok().map(|hash| hash.to_byte_array())
            }
            Lock::Taproot | Lock::Other => None,
        }
    }
}

/// Whether it is a signature of the whole payment.
pub(super) fn verifies(
    public_key: &[u8; 33],
    digest: &[u8; 32],
    signature: &bitcoin::ecdsa::Signature,
) -> bool {
    let read = ecdsa::from_der::<k256::Scalar>(&signature.signature.serialize_der());
    let point = decode_point::<k256::AffinePoint>(public_key);
    signature.sighash_type == EcdsaSighashType::All
        && read.is_ok_and(|(r, s)| {
            point.is_ok_and(|point| ecdsa::verify::<k256::Secp256k1>(&point, digest, &r, &s))
        })
}

/// Amounts and outputs; what depends on the inputs' owner is left out. `forms` are those of the
/// inputs that are the key's.
fn summed(
    psbt: &Psbt,
    network: Network,
    paths: &mut Paths<'_>,
    forms: HashSet<Form>,
    spent: &[Spent],
) -> Result<Summary, Refused> {
    let tx = &psbt.unsigned_tx;
    let mut warnings = Vec::new();
    if network != Network::Main {
        warnings.push(Warning::NotMain);
    }
    let mut outputs: Vec<Output> = Vec::new();
    let (mut leaves, mut returns) = (0, 0);
    let mut paid: HashSet<&Script> = HashSet::new();
    for (at, (output, claims)) in tx.output.iter().zip(&psbt.outputs).enumerate() {
        let script = &output.script_pubkey;
        let found = returning(script, claims, paths, &forms)
            .map_err(|why| Refused::at(&format!("output {at}"), why))?;
        let path = match found {
            Return::None => None,
            Return::False => {
                warnings.push(Warning::FalseReturn { output: at });
                None
            }
            Return::Odd => {
                warnings.push(Warning::OddReturn { output: at });
                None
            }
            Return::Shared => {
                warnings.push(Warning::SharedReturn { output: at });
                None
            }
            Return::At(path) => Some(path),
        };
        let amount = output.value.to_sat();
        if path.is_none() && !paid.insert(script) && !script.is_op_return() {
            warnings.push(Warning::PaidTwice { output: at });
        }
        if !script.is_op_return() && output.value < script.minimal_non_dust() {
            warnings.push(Warning::Dust { output: at });
        }
        let sum: &mut u64 = if path.is_some() { &mut returns } else { &mut leaves };
        *sum = sum.saturating_add(amount);
        outputs.push(Output { amount: Satoshis(amount), to: to(script, network), path });
    }
    let spends =
        spent.iter().fold(0, |sum: u64, spent| sum.saturating_add(spent.output.value.to_sat()));
    if spends > MAX_MONEY {
        return Err(Refused::at("payment", "it spends more coins than there are"));
    }
    let paid = leaves.checked_add(returns);
    let fee = paid.and_then(|paid| spends.checked_sub(paid));
    let fee = fee.ok_or_else(|| Refused::at("payment", "it pays more than it spends"))?;
    let relative = tx.input.iter().filter(|_| tx.version.0 >= 2);
    let relative = relative.filter_map(|input| input.sequence.to_relative_lock_time());
    let (mut blocks_after, mut seconds_after) = (0, 0);
    for lock in relative {
        match lock {
            relative::LockTime::Blocks(height) => {
                blocks_after = blocks_after.max(u64::from(height.value()));
            }
            relative::LockTime::Time(time) => {
                seconds_after = seconds_after.max(u64::from(time.value()) * 512);
            }
        }
    }
    let is_final = tx.input.iter().all(|input| input.sequence == Sequence::MAX);
    let lock_time = match tx.lock_time {
        bitcoin::absolute::LockTime::Blocks(height) => LockTime::Height(height.to_consensus_u32()),
        bitcoin::absolute::LockTime::Seconds(time) => LockTime::Time(time.to_consensus_u32()),
    };
    Ok(Summary {
        network,
        outputs,
        leaves: Satoshis(leaves),
        returns: Satoshis(returns),
        fee: Satoshis(fee),
        virtual_size: None,
        spends: Satoshis(spends),
        inputs: tx.input.len(),
        signs: 0,
        lock_time: (tx.lock_time != bitcoin::absolute::LockTime::ZERO && !is_final)
            .then_some(lock_time),
        blocks_after,
        seconds_after,
        replaceable: tx.input.iter().any(|input| input.sequence.is_rbf()),
        warnings,
    })
}

/// Whether an output comes back to the key.
enum Return {
    /// Nothing says so.
    None,
    /// No path leads to a key that spends it.
    False,
    /// A path does, where no wallet looks.
    Odd,
    /// It does, and others can spend it too: whose they are cannot be told from here.
    Shared,
    /// To the key at the end of this path, which alone can spend it.
    At(Vec<u32>),
}

/// Whether an output with this script comes back. Wallets look at `0/i` and `1/i` below the key and at the key itself, in
/// P2WPKH, which is what `keys export --format descriptor` says, and in the forms that the key's inputs have.
fn returning(
    script: &Script,
    claims: &bitcoin::psbt::Output,
    paths: &mut Paths<'_>,
    forms: &HashSet<Form>,
) -> Result<Return, &'static str> {
    let mut found = Return::None;
    for (key, source) in &claims.bip32_derivation {
        if !paths.begin(source) {
            continue;
        }
        if matches!(found, Return::None) {
            found = Return::False;
        }
        let witness = ScriptBuf::new_p2wpkh(&bitcoin::CompressedPublicKey(*key).wpubkey_hash());
        let legacy = ScriptBuf::new_p2pkh(&bitcoin::PublicKey::new(*key).pubkey_hash());
        let form = match script {
            script if *script == *witness => Some(Form::Wpkh),
            script if *script == *legacy => Some(Form::Pkh),
            script if *script == *witness.to_p2sh() => Some(Form::ShWpkh),
            _ => None,
        };
        let hashes_to = |within: &Script| {
            let outer = within.to_p2wsh();
            [within.to_p2sh(), outer.to_p2sh(), outer].iter().any(|hash| *hash == *script)
        };
        let within = [&claims.redeem_script, &claims.witness_script].into_iter().flatten();
        let within = within.filter(|within| hashes_to(within));
        let is_shared = within
            .filter_map(|within| Several::read(within))
            .any(|several| several.keys.contains(&key.serialize()));
        if form.is_none() && !is_shared {
            continue;
        }
        let own = paths.follow(source)?.filter(|own| own.public_key == key.serialize());
        let Some(own) = own else { continue };
        let is_watched = match own.path.as_slice() {
            [] => true,
            [0 | 1, index] => *index < MAX_INDEX,
            _ => false,
        };
        match form {
            None => found = Return::Shared,
            Some(form) if is_watched && (form == Form::Wpkh || forms.contains(&form)) => {
                return Ok(Return::At(own.path));
            }
            Some(_) => found = Return::Odd,
        }
    }
    Ok(found)
}

fn to(script: &Script, network: Network) -> To {
    if script.is_op_return() {
        // One push up to the end is shown as what it pushes, anything else as it is.
        let mut pushed = script.instructions().skip(1);
        let content = match (pushed.next(), pushed.next()) {
            (Some(Ok(Instruction::PushBytes(bytes))), None) => Content::of(bytes.as_bytes()),
            _ => Content::Hex(crate::device::hex(script.as_bytes().get(1..).unwrap_or_default())),
        };
        return To::Data(content);
    }
    match Address::from_script(script, network.params()) {
        Ok(address) => To::Address(address.to_string()),
        Err(_) => To::Script(crate::device::hex(script.as_bytes())),
    }
}

/// Whether `bytes` are a PSBT, in binary. What of it a key signs, [`Payment::read`] tells.
///
/// # Errors
/// They are none.
pub fn check(bytes: &[u8]) -> Result<(), Refused> {
    Maps::read(bytes)?.meaning().map(drop)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use bitcoin::absolute;
    use bitcoin::bip32::Fingerprint;
    use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, OutPoint, TxIn, Txid};
    use k256::elliptic_curve::PrimeField as _;
    use k256::{ProjectivePoint, Scalar};
    use serde_json::Value;

    use super::super::finish::{finalized, signed};
    use super::*;

    const CHAIN_CODE: [u8; 32] = [0x5c; 32];

    fn secret() -> Scalar {
        Scalar::from(0x00c0_ffee_u64)
    }

    fn xpub() -> Xpub {
        let point = (ProjectivePoint::GENERATOR * secret()).to_affine();
        Xpub::new(&encode_point(&point).unwrap(), CHAIN_CODE).unwrap()
    }

    /// The key at `path` below the key.
    fn key(path: &[u32]) -> bitcoin::CompressedPublicKey {
        let point = (ProjectivePoint::GENERATOR * secret()).to_affine();
        let child = bip32::derive(&point, &CHAIN_CODE, path).unwrap();
        let key = encode_point(&child.public_key).unwrap();
        bitcoin::CompressedPublicKey::from_slice(&key).unwrap()
    }

    fn stranger() -> bitcoin::CompressedPublicKey {
        let point = (ProjectivePoint::GENERATOR * Scalar::from(7_u64)).to_affine();
        bitcoin::CompressedPublicKey::from_slice(&encode_point(&point).unwrap()).unwrap()
    }

    fn source(path: &[u32]) -> KeySource {
        let steps = path.iter().map(|index| ChildNumber::Normal { index: *index });
        (Fingerprint::from(xpub().fingerprint), steps.collect::<Vec<_>>().into())
    }

    fn two_of_three(own: &bitcoin::CompressedPublicKey) -> ScriptBuf {
        let mut script = vec![0x52];
        for key in [own, &stranger(), &key(&[9, 9])] {
            script.push(33);
            script.extend(key.to_bytes());
        }
        script.extend([0x53, 0xae]);
        ScriptBuf::from_bytes(script)
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Kind {
        Pkh,
        Wpkh,
        ShWpkh,
        Sh,
        Wsh,
        ShWsh,
        Foreign,
    }
    const KINDS: [Kind; 6] =
        [Kind::Pkh, Kind::Wpkh, Kind::ShWpkh, Kind::Sh, Kind::Wsh, Kind::ShWsh];

    /// A payment of inputs of 1 BTC each, at the paths `0/0`, `0/1`, …
    fn payment(kinds: &[Kind], outputs: Vec<TxOut>) -> Psbt {
        let mut inputs = Vec::new();
        let mut maps = Vec::new();
        for (n, kind) in kinds.iter().enumerate() {
            let path = [0, u32::try_from(n).unwrap()];
            let own = key(&path);
            let mut map = Input::default();
            let wpkh = ScriptBuf::new_p2wpkh(&own.wpubkey_hash());
            let several = two_of_three(&own);
            let script = match kind {
                Kind::Pkh => ScriptBuf::new_p2pkh(&own.pubkey_hash()),
                Kind::Wpkh => wpkh,
                Kind::ShWpkh => wpkh.to_p2sh(),
                Kind::Sh => several.to_p2sh(),
                Kind::Wsh => several.to_p2wsh(),
                Kind::ShWsh => several.to_p2wsh().to_p2sh(),
                Kind::Foreign => ScriptBuf::new_p2wpkh(&stranger().wpubkey_hash()),
            };
            match kind {
                Kind::ShWpkh => {
                    map.redeem_script = Some(ScriptBuf::new_p2wpkh(&own.wpubkey_hash()))
                }
                Kind::Sh => map.redeem_script = Some(several),
                Kind::Wsh => map.witness_script = Some(several),
                Kind::ShWsh => {
                    map.redeem_script = Some(several.to_p2wsh());
                    map.witness_script = Some(several);
                }
                Kind::Pkh | Kind::Wpkh | Kind::Foreign => {}
            }
            let before = Transaction {
                version: Version::TWO,
                lock_time: absolute::LockTime::ZERO,
                input: vec![TxIn {
                    previous_output: OutPoint::new(Txid::all_zeros(), path[1]),
                    ..TxIn::default()
                }],
                output: vec![TxOut { value: Amount::from_sat(COIN), script_pubkey: script }],
            };
            inputs.push(TxIn {
                previous_output: OutPoint::new(before.compute_txid(), 0),
                sequence: Sequence::MAX,
                ..TxIn::default()
            });
            map.non_witness_utxo = Some(before);
            if *kind != Kind::Foreign {
                map.bip32_derivation.insert(own.0, source(&path));
            }
            maps.push(map);
        }
        let mut psbt = Psbt::from_unsigned_tx(Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: inputs,
            output: outputs,
        })
        .unwrap();
        psbt.inputs = maps;
        psbt
    }

    fn pays(script: ScriptBuf, satoshis: u64) -> TxOut {
        TxOut { value: Amount::from_sat(satoshis), script_pubkey: script }
    }

    fn to_stranger(satoshis: u64) -> TxOut {
        pays(ScriptBuf::new_p2wpkh(&stranger().wpubkey_hash()), satoshis)
    }

    fn read(psbt: &Psbt) -> Result<Payment, Refused> {
        Payment::read(&psbt.serialize(), Network::Main, &xpub())
    }

    fn why(psbt: &Psbt) -> String {
        read(psbt).unwrap_err().0
    }

    fn der(path: &[u32], digest: [u8; 32]) -> Vec<u8> {
        let point = (ProjectivePoint::GENERATOR * secret()).to_affine();
        let tweak = bip32::derive(&point, &CHAIN_CODE, path).unwrap().tweak;
        let secret = SecretKey::from_slice(&(secret() + tweak).to_repr()).unwrap();
        let signature = Secp256k1::new().sign_ecdsa(&Message::from_digest(digest), &secret);
        signature.serialize_der().to_vec()
    }

    fn sign(bytes: &[u8]) -> Vec<u8> {
        let read = Payment::read(bytes, Network::Main, &xpub()).unwrap();
        let all = read.items.iter().map(|item| (item, der(&item.path, item.digest)));
        signed(bytes, &all.collect::<Vec<_>>()).unwrap()
    }

    /// The same payment in the form of version 2.
    fn later(psbt: &Psbt) -> Vec<u8> {
        let pair = |out: &mut Vec<u8>, key: &[u8], value: &[u8]| {
            for part in [key, value] {
                out.extend(bitcoin::consensus::serialize(&bitcoin::VarInt::from(part.len())));
                out.extend_from_slice(part);
            }
        };
        let tx = &psbt.unsigned_tx;
        let mut out = b"psbt\xff".to_vec();
        pair(&mut out, &[0x02], &tx.version.0.to_le_bytes());
        pair(&mut out, &[0x03], &tx.lock_time.to_consensus_u32().to_le_bytes());
        pair(&mut out, &[0x04], &[u8::try_from(tx.input.len()).unwrap()]);
        pair(&mut out, &[0x05], &[u8::try_from(tx.output.len()).unwrap()]);
        pair(&mut out, &[0x06], &[3]);
        pair(&mut out, &[0xfb], &2_u32.to_le_bytes());
        out.push(0);
        // A payment without global pairs but the transaction: the maps of inputs follow it.
        let bytes = psbt.serialize();
        let mut rest = &bytes[5 + 2..];
        let (length, used): (bitcoin::VarInt, usize) =
            bitcoin::consensus::encode::deserialize_partial(rest).unwrap();
        rest = &rest[used + usize::try_from(length.0).unwrap() + 1..];
        let mut map = |more: &dyn Fn(&mut Vec<u8>), out: &mut Vec<u8>| {
            loop {
                let start = rest;
                let mut size = 0;
                for _ in 0..2 {
                    let (length, used): (bitcoin::VarInt, usize) =
                        bitcoin::consensus::encode::deserialize_partial(&start[size..]).unwrap();
                    size += used + usize::try_from(length.0).unwrap();
                    if length.0 == 0 && size == 1 {
                        break;
                    }
                }
                rest = &start[size..];
                if size == 1 {
                    break;
                }
                out.extend_from_slice(&start[..size]);
            }
            more(out);
            out.push(0);
        };
        for input in &tx.input {
            let more = |out: &mut Vec<u8>| {
                pair(out, &[0x0e], &bitcoin::consensus::serialize(&input.previous_output.txid));
                pair(out, &[0x0f], &input.previous_output.vout.to_le_bytes());
                pair(out, &[0x10], &input.sequence.0.to_le_bytes());
            };
            map(&more, &mut out);
        }
        for output in &tx.output {
            let more = |out: &mut Vec<u8>| {
                pair(out, &[0x03], &output.value.to_sat().to_le_bytes());
                pair(out, &[0x04], output.script_pubkey.as_bytes());
            };
            map(&more, &mut out);
        }
        out
    }

    #[test]
    fn every_kind_of_input_is_signed_and_the_network_takes_it() {
        for kinds in KINDS.iter().map(std::slice::from_ref).chain([&KINDS[..]]) {
            let spends = COIN * u64::try_from(kinds.len()).unwrap();
            let mut psbt = payment(kinds, vec![to_stranger(spends - 2_000)]);
            // Of the three keys of a script two are this key's.
            for (n, kind) in kinds.iter().enumerate() {
                if matches!(kind, Kind::Sh | Kind::Wsh | Kind::ShWsh) {
                    psbt.inputs[n].bip32_derivation.insert(key(&[9, 9]).0, source(&[9, 9]));
                }
            }
            for bytes in [psbt.serialize(), later(&psbt)] {
                assert_eq!(finalized(&bytes), Ok(None));
                let made = sign(&bytes);
                let raw = finalized(&made).unwrap().unwrap_or_else(|| panic!("{kinds:?}"));
                let tx: Transaction = bitcoin::consensus::deserialize(&raw).unwrap();
                for (n, map) in psbt.inputs.iter().enumerate() {
                    let spent = &map.non_witness_utxo.as_ref().unwrap().output[0];
                    let amount = spent.value.to_sat();
                    bitcoinconsensus::verify(spent.script_pubkey.as_bytes(), amount, &raw, None, n)
                        .unwrap_or_else(|e| panic!("{kinds:?} {n}: {e:?}"));
                }
                let read = Payment::read(&bytes, Network::Main, &xpub()).unwrap();
                let size = u64::try_from(tx.vsize()).unwrap();
                let predicted = read.summary.virtual_size.unwrap();
                let slack = 3 * u64::try_from(kinds.len()).unwrap();
                assert!(
                    (size..=size + slack).contains(&predicted),
                    "{kinds:?}: {size} {predicted}"
                );
                assert_eq!(read.summary.signs, kinds.len());
                // Signed twice it is the same, and there is nothing left to sign.
                let again = Payment::read(&made, Network::Main, &xpub()).unwrap_err();
                assert!(again.0.contains("signed already"), "{again}");
            }
        }
    }

    #[test]
    fn nothing_of_a_payment_changes_but_its_signatures() {
        let psbt = payment(&[Kind::Wpkh, Kind::Pkh], vec![to_stranger(COIN)]);
        let bytes = psbt.serialize();
        let made = sign(&bytes);
        let mut unsigned = Psbt::deserialize(&made).unwrap();
        for map in &mut unsigned.inputs {
            assert_eq!(std::mem::take(&mut map.partial_sigs).len(), 1);
        }
        assert_eq!(unsigned, psbt);
        // In version 2 nothing may be added any more.
        let bytes = later(&psbt);
        assert_eq!(
            bytes[5..].iter().filter(|byte| **byte == 3).count(),
            later(&psbt)[5..].iter().filter(|byte| **byte == 3).count()
        );
        let flags =
            |bytes: &[u8]| bytes[bytes.windows(4).position(|w| w[..3] == [1, 6, 1]).unwrap() + 3];
        assert_eq!((flags(&bytes), flags(&sign(&bytes))), (3, 0));
    }

    #[test]
    fn what_leaves_what_returns_and_the_fee_are_what_is_spent() {
        let change = key(&[1, 4]);
        let mut psbt = payment(
            &[Kind::Wpkh, Kind::Foreign],
            vec![
                to_stranger(COIN),
                pays(ScriptBuf::new_p2wpkh(&change.wpubkey_hash()), COIN / 2),
                pays(ScriptBuf::new_op_return(b"hello"), 0),
            ],
        );
        psbt.outputs[1].bip32_derivation.insert(change.0, source(&[1, 4]));
        let Summary { outputs, leaves, returns, fee, spends, inputs, signs, warnings, .. } =
            read(&psbt).unwrap().summary;
        assert_eq!((leaves.0, returns.0, fee.0), (COIN, COIN / 2, COIN / 2));
        assert_eq!((spends.0, inputs, signs), (2 * COIN, 2, 1));
        assert_eq!(outputs[1].path.as_deref(), Some(&[1, 4][..]));
        assert_eq!(outputs[0].path, None);
        assert_eq!(outputs[2].to, To::Data(Content::Text("hello".into())));
        let expected = [Warning::ForeignInputs { inputs: 1 }, Warning::HighFee, Warning::HighRate];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn an_output_with_a_false_path_leaves() {
        let change = key(&[1, 4]);
        let wpkh = ScriptBuf::new_p2wpkh(&change.wpubkey_hash());
        // A path to another key, one to this key for another script, one of several keys, and where
        // no wallet looks.
        let several = two_of_three(&change);
        let far = key(&[7, 2_147_483_647]);
        let at_far = ScriptBuf::new_p2wpkh(&far.wpubkey_hash());
        let legacy = ScriptBuf::new_p2pkh(&change.pubkey_hash());
        let one = |script| pays(script, COIN / 2);
        let cases: [(TxOut, (_, &[u32]), Warning); 5] = [
            (one(wpkh.clone()), (change, &[1, 5]), Warning::FalseReturn { output: 0 }),
            (to_stranger(COIN / 2), (change, &[1, 4]), Warning::FalseReturn { output: 0 }),
            (one(several.to_p2wsh()), (change, &[1, 4]), Warning::SharedReturn { output: 0 }),
            (one(at_far), (far, &[7, 2_147_483_647]), Warning::OddReturn { output: 0 }),
            (one(legacy.clone()), (change, &[1, 4]), Warning::OddReturn { output: 0 }),
        ];
        for (output, (claimed, path), warning) in cases {
            let mut psbt = payment(&[Kind::Wpkh], vec![output]);
            psbt.outputs[0].bip32_derivation.insert(claimed.0, source(path));
            psbt.outputs[0].witness_script = Some(several.clone());
            let summary = read(&psbt).unwrap().summary;
            assert_eq!((summary.leaves.0, summary.returns.0), (COIN / 2, 0));
            assert!(summary.warnings.contains(&warning), "{warning:?}: {:?}", summary.warnings);
        }
        // The forms that the key's inputs have return.
        for (kind, script) in [(Kind::Pkh, legacy), (Kind::ShWpkh, wpkh.to_p2sh())] {
            let mut psbt = payment(&[kind], vec![one(script)]);
            psbt.outputs[0].bip32_derivation.insert(change.0, source(&[1, 4]));
            assert_eq!(read(&psbt).unwrap().summary.returns.0, COIN / 2);
        }
    }

    #[test]
    fn a_script_of_several_keys_is_nothing_else() {
        let own = key(&[0, 0]);
        let honest = two_of_three(&own).into_bytes();
        let read = Several::read(Script::from_bytes(&honest)).unwrap();
        assert_eq!((read.needed, read.keys.len()), (2, 3));
        let mut other_end = honest.clone();
        *other_end.last_mut().unwrap() = 0xaf;
        let mut no_number = honest.clone();
        let last = no_number.len() - 2;
        no_number[last] = 0xab;
        let mut more_needed = honest.clone();
        more_needed[0] = 0x54;
        let many = [&[0x51][..], &[0; 256], &[0x51, 0xae]].concat();
        for bad in [&honest[1..], &honest[..last], &other_end, &no_number, &more_needed, &many, &[]]
        {
            assert!(Several::read(Script::from_bytes(bad)).is_none());
        }
    }

    #[test]
    fn what_is_claimed_of_an_input_and_is_not_so_is_said() {
        let mut psbt = payment(&[Kind::Wpkh, Kind::Wpkh], vec![to_stranger(COIN)]);
        let claimed = psbt.inputs[1].bip32_derivation.first_entry().unwrap();
        *claimed.into_mut() = source(&[0, 7]);
        let warnings = read(&psbt).unwrap().summary.warnings;
        assert!(warnings.contains(&Warning::FalseInput { input: 1 }), "{warnings:?}");
        let mut nested = payment(&[Kind::Wpkh, Kind::ShWpkh], vec![to_stranger(COIN)]);
        nested.inputs[1].redeem_script = Some(ScriptBuf::new());
        assert!(why(&nested).contains("input 1: its redeem or witness script"));
    }

    #[test]
    fn a_payment_costs_no_more_than_one_that_nodes_pass_on() {
        let mut claims = payment(&[Kind::Wpkh, Kind::Foreign], vec![to_stranger(COIN)]);
        for n in 0..400 {
            let path = [n, n, n, n, n, n, n, n];
            let (x_only, _) = key(&[0, n]).0.x_only_public_key();
            claims.inputs[1].tap_key_origins.insert(x_only, (Vec::new(), source(&path)));
        }
        let before = claims.inputs[1].non_witness_utxo.as_mut().unwrap();
        let (x_only, _) = key(&[0, 1]).0.x_only_public_key();
        before.output[0].script_pubkey = ScriptBuf::new_p2tr(&Secp256k1::new(), x_only, None);
        claims.unsigned_tx.input[1].previous_output.txid = before.compute_txid();
        assert!(why(&claims).contains("too many paths"));
        let large = payment(&[Kind::Wpkh], vec![to_stranger(1); 4000]);
        assert!(why(&large).contains("larger than nodes pass on"));
    }

    #[test]
    fn locks_are_told_and_data_is_shown_as_it_is() {
        let mut psbt = payment(
            &[Kind::Wpkh, Kind::Wpkh],
            vec![to_stranger(COIN), pays(ScriptBuf::from_bytes(vec![0x6a, 1, b'x', 0x51]), 0)],
        );
        psbt.unsigned_tx.input[0].sequence = Sequence::from_height(144);
        psbt.unsigned_tx.input[1].sequence = Sequence::from_512_second_intervals(2);
        let summary = read(&psbt).unwrap().summary;
        assert_eq!((summary.blocks_after, summary.seconds_after), (144, 1024));
        assert_eq!(summary.outputs[1].to, To::Data(Content::Hex("017851".into())));
    }

    #[test]
    fn on_another_network_the_card_says_that_this_is_somebodys_word() {
        let psbt = payment(&[Kind::Wpkh], vec![to_stranger(COIN - 1000)]);
        let read = |network| Payment::read(&psbt.serialize(), network, &xpub()).unwrap().summary;
        assert_eq!(read(Network::Main).warnings, []);
        assert_eq!(read(Network::Test).warnings, [Warning::NotMain]);
    }

    #[test]
    fn what_is_not_signed_is_refused_with_the_reason() {
        let one = || payment(&[Kind::Wpkh], vec![to_stranger(COIN / 2)]);
        let with = |change: &dyn Fn(&mut Psbt)| {
            let mut psbt = one();
            change(&mut psbt);
            why(&psbt)
        };
        let has = |said: String, words: &str| assert!(said.contains(words), "{said}");
        has(with(&|psbt| psbt.inputs[0].bip32_derivation.clear()), "no input is of this key");
        has(
            with(&|psbt| {
                psbt.inputs[0].witness_utxo = Some(to_stranger(COIN));
            }),
            "input 0: witness_utxo contradicts",
        );
        has(
            with(&|psbt| psbt.inputs[0].non_witness_utxo = None),
            "input 0: what it spends is missing",
        );
        has(
            with(&|psbt| {
                let before = psbt.inputs[0].non_witness_utxo.as_mut().unwrap();
                before.output[0].value = Amount::from_sat(2 * COIN);
            }),
            "input 0: non_witness_utxo is another transaction",
        );
        has(
            with(&|psbt| psbt.inputs[0].sighash_type = Some(EcdsaSighashType::None.into())),
            "input 0: only the whole payment is signed",
        );
        has(
            with(&|psbt| psbt.unsigned_tx.output[0].value = Amount::from_sat(COIN + 1)),
            "more than it spends",
        );
        has(
            with(&|psbt| {
                let signature = bitcoin::ecdsa::Signature::sighash_all(
                    bitcoin::secp256k1::ecdsa::Signature::from_der(&der(&[0, 0], [7; 32])).unwrap(),
                );
                let own = bitcoin::PublicKey::new(key(&[0, 0]).0);
                psbt.inputs[0].partial_sigs.insert(own, signature);
            }),
            "input 0: the signature of this key that it has is invalid",
        );
        let mut legacy = payment(&[Kind::Pkh], vec![to_stranger(COIN / 2)]);
        let spent = legacy.inputs[0].non_witness_utxo.take().unwrap().output[0].clone();
        legacy.inputs[0].witness_utxo = Some(spent);
        has(why(&legacy), "input 0: its amount must be proven");
        let mut twice = payment(&[Kind::Wpkh, Kind::Wpkh], vec![to_stranger(COIN / 2)]);
        twice.unsigned_tx.input[1] = twice.unsigned_tx.input[0].clone();
        twice.inputs[1] = twice.inputs[0].clone();
        has(why(&twice), "input 1: it spends what an input before it spends");
        let many = payment(&[Kind::Wpkh; 257], vec![to_stranger(COIN)]);
        has(why(&many), "more than 256 times");
        assert_eq!(
            read(&payment(&[Kind::Wpkh; 256], vec![to_stranger(COIN)])).unwrap().items.len(),
            256
        );
    }

    #[test]
    fn taproot_of_this_key_is_refused_and_of_others_it_is_foreign() {
        let own = key(&[0, 1]);
        let (x_only, _) = own.0.x_only_public_key();
        let mut psbt = payment(&[Kind::Wpkh, Kind::Foreign], vec![to_stranger(COIN)]);
        let script = ScriptBuf::new_p2tr(&Secp256k1::new(), x_only, None);
        let before = psbt.inputs[1].non_witness_utxo.as_mut().unwrap();
        before.output[0].script_pubkey = script;
        psbt.unsigned_tx.input[1].previous_output.txid = before.compute_txid();
        assert!(
            read(&psbt).unwrap().summary.warnings.contains(&Warning::ForeignInputs { inputs: 1 })
        );
        psbt.inputs[1].tap_key_origins.insert(x_only, (Vec::new(), source(&[0, 1])));
        assert!(why(&psbt).contains("input 1: this key signs ECDSA; taproot needs Schnorr"));
    }

    #[test]
    fn amounts_on_somebodys_word_are_marked_where_that_matters() {
        let word = |kinds: &[Kind]| {
            let mut psbt = payment(kinds, vec![to_stranger(COIN - 1000)]);
            let before = psbt.inputs[0].non_witness_utxo.take().unwrap();
            psbt.inputs[0].witness_utxo = Some(before.output[0].clone());
            read(&psbt).unwrap().summary.warnings
        };
        assert_eq!(word(&[Kind::Wpkh]), []);
        assert!(word(&[Kind::Wpkh, Kind::Wpkh]).contains(&Warning::UnprovenAmounts { inputs: 1 }));
    }

    #[test]
    fn vectors_of_the_proposals_are_read_and_refused_as_they_say() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/bitcoin/psbt_vectors.json")).unwrap();
        let of = |name: &str| {
            let all = vectors[name].as_array().unwrap().iter();
            all.map(|one| (one.clone(), BASE64.decode(one["psbt"].as_str().unwrap()).unwrap()))
        };
        let mut valid = 0;
        for (one, bytes) in of("valid") {
            let read = Maps::read(&bytes).and_then(|maps| {
                assert_eq!(maps.write(), bytes);
                maps.meaning()
            });
            let psbt = read.unwrap_or_else(|why| panic!("{}: {why}", one["case"]));
            if let Some(lock_time) = one["lock_time"].as_u64() {
                assert_eq!(u64::from(psbt.unsigned_tx.lock_time.to_consensus_u32()), lock_time);
            }
            valid += 1;
        }
        let mut invalid = 0;
        for (one, bytes) in of("invalid") {
            let read = Maps::read(&bytes).and_then(|maps| maps.meaning());
            assert!(read.is_err(), "{}", one["case"]);
            invalid += 1;
        }
        assert_eq!((valid, invalid), (33, 45));
    }
}
