//! The maps of a PSBT, byte for byte: version 0 (BIP-174) and version 2 (BIP-370).
//!
//! Only their form is read here. What the pairs of version 0 mean is read by the library `bitcoin`,
//! which gets a payment of version 2 in the form of version 0. A signed payment has every byte of the unsigned one.

use std::collections::HashSet;

use bitcoin::absolute::{LOCK_TIME_THRESHOLD, LockTime};
use bitcoin::consensus::Decodable as _;
use bitcoin::consensus::encode::{VarInt, deserialize, deserialize_partial, serialize};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};

use super::Refused;

const MAGIC: &[u8] = b"psbt\xff";

/// Types of pairs of the global map.
mod global {
    pub(super) const UNSIGNED_TX: u8 = 0x00;
    pub(super) const TX_VERSION: u8 = 0x02;
    pub(super) const FALLBACK_LOCK_TIME: u8 = 0x03;
    pub(super) const INPUT_COUNT: u8 = 0x04;
    pub(super) const OUTPUT_COUNT: u8 = 0x05;
    pub(super) const TX_MODIFIABLE: u8 = 0x06;
    pub(super) const VERSION: u8 = 0xfb;
    /// Those that version 2 alone has.
    pub(super) const LATER: [u8; 5] =
        [TX_VERSION, FALLBACK_LOCK_TIME, INPUT_COUNT, OUTPUT_COUNT, TX_MODIFIABLE];
}

/// Types of pairs of the map of an input.
mod input {
    pub(super) const PARTIAL_SIG: u8 = 0x02;
    pub(super) const PREVIOUS_TXID: u8 = 0x0e;
    pub(super) const OUTPUT_INDEX: u8 = 0x0f;
    pub(super) const SEQUENCE: u8 = 0x10;
    pub(super) const TIME: u8 = 0x11;
    pub(super) const HEIGHT: u8 = 0x12;
    /// What is spent, signatures, the kind of hash, scripts, paths of keys, what is final; paths of
    /// keys of taproot.
    pub(super) const READ: [u8; 10] =
        [0x00, 0x01, PARTIAL_SIG, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x16];
    /// Those that version 2 alone has.
    pub(super) const LATER: [u8; 5] = [PREVIOUS_TXID, OUTPUT_INDEX, SEQUENCE, TIME, HEIGHT];
}

/// Types of pairs of the map of an output.
mod output {
    pub(super) const AMOUNT: u8 = 0x03;
    pub(super) const SCRIPT: u8 = 0x04;
    /// Scripts and paths of keys.
    pub(super) const READ: [u8; 3] = [0x00, 0x01, 0x02];
    /// Those that version 2 alone has.
    pub(super) const LATER: [u8; 2] = [AMOUNT, SCRIPT];
}

/// In `TX_MODIFIABLE`: that inputs, or outputs, may be added or removed.
const MODIFIABLE: u8 = 0b11;

/// A key, which begins with its type, and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// The pairs of a map in their order; no key is there twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Map(Vec<Pair>);

impl Map {
    fn read(rest: &mut &[u8], place: &str) -> Result<Self, Refused> {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let key = chunk(rest, place)?;
            if key.is_empty() {
                return Ok(Self(pairs));
            }
            if !keys.insert(key) {
                return Err(Refused::at(place, &format!("type {:#04x} is there twice", key[0])));
            }
            pairs.push(Pair { key: key.to_vec(), value: chunk(rest, place)?.to_vec() });
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for Pair { key, value } in &self.0 {
            for part in [key, value] {
                out.extend(serialize(&VarInt::from(part.len())));
                out.extend_from_slice(part);
            }
        }
        out.push(0);
    }

    /// The value of the type, whose key has nothing but it.
    fn value(&self, kind: u8) -> Option<&[u8]> {
        let pair = self.0.iter().find(|pair| pair.key == [kind]);
        pair.map(|pair| pair.value.as_slice())
    }

    /// The value of the type, in exactly as many bytes as an `N`.
    fn number<const N: usize>(&self, kind: u8, place: &str) -> Result<Option<[u8; N]>, Refused> {
        let bytes = self.value(kind).map(<[u8; N]>::try_from);
        bytes
            .transpose()
            .map_err(|_| Refused::at(place, &format!("type {kind:#04x} is not of {N} bytes")))
    }

    fn count(&self, kind: u8) -> Result<usize, Refused> {
        let bytes = self.value(kind).ok_or_else(|| missing("global", kind))?;
        let count: VarInt =
            deserialize(bytes).map_err(|_| Refused::at("global", "a count is malformed"))?;
        usize::try_from(count.0).map_err(|_| Refused::at("global", "a count is too large"))
    }

    /// Without the pairs of version 2, each of which must have nothing but its type as key.
    fn earlier(&self, later: &[u8], place: &str) -> Result<Self, Refused> {
        let mut rest = Self::default();
        for pair in &self.0 {
            match pair.key.as_slice() {
                [kind] if later.contains(kind) => {}
                [kind, ..] if later.contains(kind) => {
                    return Err(Refused::at(
                        place,
                        &format!("type {kind:#04x} has more than its type as key"),
                    ));
                }
                _ => rest.0.push(pair.clone()),
            }
        }
        Ok(rest)
    }

    fn has_any(&self, kinds: &[u8]) -> Option<u8> {
        self.0.iter().filter_map(|pair| pair.key.first()).copied().find(|kind| kinds.contains(kind))
    }
}

fn missing(place: &str, kind: u8) -> Refused {
    Refused::at(place, &format!("type {kind:#04x} is missing"))
}

/// The next length and as many bytes.
fn chunk<'a>(rest: &mut &'a [u8], place: &str) -> Result<&'a [u8], Refused> {
    let ends = || Refused::at(place, "it ends early");
    let (VarInt(length), used) = deserialize_partial(rest).map_err(|_| ends())?;
    let after = rest.get(used..).ok_or_else(ends)?;
    let length = usize::try_from(length).map_err(|_| ends())?;
    let (chunk, after) = after.split_at_checked(length).ok_or_else(ends)?;
    *rest = after;
    Ok(chunk)
}

/// The maps of a PSBT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maps {
    global: Map,
    inputs: Vec<Map>,
    outputs: Vec<Map>,
}

impl Maps {
    /// Reads a PSBT.
    ///
    /// # Errors
    /// It is none, or bytes follow it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let mut rest = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| Refused::at("PSBT", "it does not begin as one"))?;
        let global = Map::read(&mut rest, "global")?;
        let (inputs, outputs) = match version(&global)? {
            0 => counts(&global)?,
            _ => (global.count(global::INPUT_COUNT)?, global.count(global::OUTPUT_COUNT)?),
        };
        let mut maps = |count: usize, name: &str| -> Result<Vec<Map>, Refused> {
            // Each map has a byte at least, so that the count allocates nothing.
            (0..count).map(|index| Map::read(&mut rest, &format!("{name} {index}"))).collect()
        };
        let (inputs, outputs) = (maps(inputs, "input")?, maps(outputs, "output")?);
        if !rest.is_empty() {
            return Err(Refused::at("PSBT", "bytes follow its end"));
        }
        Ok(Self { global, inputs, outputs })
    }

    /// The bytes of the PSBT.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.global.write(&mut out);
        self.inputs.iter().chain(&self.outputs).for_each(|map| map.write(&mut out));
        out
    }

    /// Adds a signature of the compressed key: DER and the byte of its kind. From now on nothing may
    /// be added to the payment.
    pub(super) fn sign(&mut self, input: usize, public_key: &[u8; 33], signature: &[u8]) {
        if let Some(map) = self.inputs.get_mut(input) {
            let key = [&[input::PARTIAL_SIG], &public_key[..]].concat();
            map.0.push(Pair { key, value: signature.to_vec() });
        }
        let flags = self.global.0.iter_mut().find(|pair| pair.key == [global::TX_MODIFIABLE]);
        if let Some(flags) = flags.and_then(|pair| pair.value.first_mut()) {
            *flags &= !MODIFIABLE;
        }
    }

    /// What it means, as the library reads it.
    pub(super) fn meaning(&self) -> Result<Psbt, Refused> {
        let maps = match version(&self.global)? {
            0 => {
                self.refuse_later()?;
                self.read_alone()
            }
            _ => self.earlier()?.read_alone(),
        };
        Psbt::deserialize(&maps.write()).map_err(|e| Refused::at("PSBT", &e.to_string()))
    }

    /// With the pairs alone that are read here: a tree of taproot scripts, say, costs the library a
    /// thousand times its size.
    fn read_alone(&self) -> Self {
        let only = |map: &Map, kinds: &[u8]| {
            let is_read = |pair: &&Pair| pair.key.first().is_some_and(|kind| kinds.contains(kind));
            Map(map.0.iter().filter(is_read).cloned().collect())
        };
        let each = |maps: &[Map], kinds: &[u8]| maps.iter().map(|map| only(map, kinds)).collect();
        Self {
            global: only(&self.global, &[global::UNSIGNED_TX]),
            inputs: each(&self.inputs, &input::READ),
            outputs: each(&self.outputs, &output::READ),
        }
    }

    fn refuse_later(&self) -> Result<(), Refused> {
        let inputs = self.inputs.iter().map(|map| map.has_any(&input::LATER));
        let outputs = self.outputs.iter().map(|map| map.has_any(&output::LATER));
        let global = std::iter::once(self.global.has_any(&global::LATER));
        match global.chain(inputs).chain(outputs).flatten().next() {
            Some(kind) => Err(Refused::at(
                "PSBT",
                &format!("type {kind:#04x} is of version 2, and this is version 0"),
            )),
            None => Ok(()),
        }
    }

    /// In the form of version 0.
    fn earlier(&self) -> Result<Self, Refused> {
        if self.global.value(global::UNSIGNED_TX).is_some() {
            return Err(Refused::at("global", "version 2 has no unsigned transaction"));
        }
        self.global.number::<1>(global::TX_MODIFIABLE, "global")?;
        let mut global = Map(vec![Pair {
            key: vec![global::UNSIGNED_TX],
            value: serialize(&self.later_transaction()?),
        }]);
        let others =
            self.global.earlier(&[&global::LATER[..], &[global::VERSION]].concat(), "global")?;
        global.0.extend(others.0);
        let each = |maps: &[Map], later: &[u8], name: &str| -> Result<Vec<Map>, Refused> {
            let maps = maps.iter().enumerate();
            maps.map(|(index, map)| map.earlier(later, &format!("{name} {index}"))).collect()
        };
        Ok(Self {
            global,
            inputs: each(&self.inputs, &input::LATER, "input")?,
            outputs: each(&self.outputs, &output::LATER, "output")?,
        })
    }

    /// The transaction of a PSBT of version 2.
    fn later_transaction(&self) -> Result<Transaction, Refused> {
        let version = self.global.number(global::TX_VERSION, "global")?;
        let version = version.ok_or_else(|| missing("global", global::TX_VERSION))?;
        let mut locks = Vec::new();
        let mut spent = Vec::new();
        for (index, map) in self.inputs.iter().enumerate() {
            let place = format!("input {index}");
            let txid = map.number(input::PREVIOUS_TXID, &place)?;
            let txid: [u8; 32] = txid.ok_or_else(|| missing(&place, input::PREVIOUS_TXID))?;
            let vout = map.number(input::OUTPUT_INDEX, &place)?;
            let vout = vout.ok_or_else(|| missing(&place, input::OUTPUT_INDEX))?;
            let txid: Txid =
                deserialize(&txid).map_err(|_| missing(&place, input::PREVIOUS_TXID))?;
            let sequence = map.number(input::SEQUENCE, &place)?;
            spent.push(TxIn {
                previous_output: OutPoint::new(txid, u32::from_le_bytes(vout)),
                script_sig: ScriptBuf::new(),
                sequence: sequence
                    .map_or(Sequence::MAX, |bytes| Sequence(u32::from_le_bytes(bytes))),
                witness: Witness::new(),
            });
            locks.push(Lock::read(map, &place)?);
        }
        let mut paid = Vec::new();
        for (index, map) in self.outputs.iter().enumerate() {
            let place = format!("output {index}");
            let amount = map.number(output::AMOUNT, &place)?;
            let amount = amount.ok_or_else(|| missing(&place, output::AMOUNT))?;
            let script =
                map.value(output::SCRIPT).ok_or_else(|| missing(&place, output::SCRIPT))?;
            paid.push(TxOut {
                value: Amount::from_sat(u64::from_le_bytes(amount)),
                script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
            });
        }
        let fallback = self.global.number(global::FALLBACK_LOCK_TIME, "global")?;
        let lock_time = Lock::of_all(&locks, u32::from_le_bytes(fallback.unwrap_or_default()))?;
        Ok(Transaction {
            version: Version(i32::from_le_bytes(version)),
            lock_time: LockTime::from_consensus(lock_time),
            input: spent,
            output: paid,
        })
    }
}

/// The lock times that an input demands (BIP-370, "Determining Lock Time").
#[derive(Clone, Copy)]
struct Lock {
    time: Option<u32>,
    height: Option<u32>,
}

impl Lock {
    fn read(map: &Map, place: &str) -> Result<Self, Refused> {
        let time = map.number(input::TIME, place)?.map(u32::from_le_bytes);
        let height = map.number(input::HEIGHT, place)?.map(u32::from_le_bytes);
        if time.is_some_and(|time| time < LOCK_TIME_THRESHOLD)
            || height.is_some_and(|height| height == 0 || height >= LOCK_TIME_THRESHOLD)
        {
            return Err(Refused::at(place, "its lock time is none of its kind"));
        }
        Ok(Self { time, height })
    }

    fn of_all(locks: &[Self], fallback: u32) -> Result<u32, Refused> {
        let mut demanding =
            locks.iter().filter(|lock| lock.time.is_some() || lock.height.is_some()).peekable();
        if demanding.peek().is_none() {
            return Ok(fallback);
        }
        let all =
            |of: fn(&Self) -> Option<u32>| demanding.clone().map(of).collect::<Option<Vec<u32>>>();
        let highest = all(|lock| lock.height).or_else(|| all(|lock| lock.time));
        let highest = highest.and_then(|all| all.into_iter().max());
        highest.ok_or_else(|| {
            Refused::at("inputs", "one demands a height as lock time, another a time")
        })
    }
}

/// 0 or 2.
fn version(global: &Map) -> Result<u32, Refused> {
    match global.number(global::VERSION, "global")?.map(u32::from_le_bytes) {
        None | Some(0) => Ok(0),
        Some(2) => Ok(2),
        Some(other) => Err(Refused::at("PSBT", &format!("version {other} is not known"))),
    }
}

/// How many inputs and outputs the unsigned transaction of version 0 has.
fn counts(global: &Map) -> Result<(usize, usize), Refused> {
    let place = "the unsigned transaction";
    let bytes =
        global.value(global::UNSIGNED_TX).ok_or_else(|| missing("global", global::UNSIGNED_TX))?;
    // Read part by part: the library takes a transaction without inputs for one with a witness.
    let mut rest = bytes;
    let malformed = |e: bitcoin::consensus::encode::Error| Refused::at(place, &e.to_string());
    i32::consensus_decode(&mut rest).map_err(malformed)?;
    let inputs: Vec<TxIn> = Vec::consensus_decode(&mut rest).map_err(malformed)?;
    let outputs: Vec<TxOut> = Vec::consensus_decode(&mut rest).map_err(malformed)?;
    Ok((inputs.len(), outputs.len()))
}
