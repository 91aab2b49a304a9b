//! Makes a key and signatures among parties in memory, everything derived from names, and prints
//! every message's hash: what another implementation of docs/protocol.md is compared with (§12.2).
//!
//! ```text
//! cargo run --release --example transcript -- --instance NAME --t 2 --n 3 --sign NAME \
//!     --signers 1,3 --digest HEX
//! cargo run --release --example transcript -- --input FILE
//! ```
//!
//! The file describes a run in JSON: a curve, a key generation or an import, any number of reshares and
//! refreshes, and signatures. The `input` of the files in core/tests/vectors/runs and
//! core/tests/vectors/p256 are examples.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign_core::PartyId;
use cosign_core::bip32::derive;
use cosign_core::hazmat::crypto::curve::{
    AffinePoint, Curve, POINT, SCALAR, Scalar, decode_point, decode_scalar, encode_point,
    encode_scalar, reduce,
};
use cosign_core::hazmat::crypto::ecdsa::x_mod_order;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::protocol::fault::Fault;
use cosign_core::hazmat::protocol::key::KeyShare;
use cosign_core::hazmat::protocol::keygen::reshare::{
    Dealer, ReshareSetup, import_with_seed, join_with_seed, reshare_with_seed,
};
use cosign_core::hazmat::protocol::keygen::{
    Keygen, KeygenSetup, keygen_with_seed, refresh_with_seed,
};
use cosign_core::hazmat::protocol::local::{Local, Outcome, Parcel};
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::{
    BatchItem, BatchSetup, BatchSigned, SignSetup, Signature, Signed, sign_batch_with_seed,
    sign_with_seed,
};
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use cosign_core::{Origin, Secret, hex, unhex};
use k256::Secp256k1;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::Curve as _;
use p256::NistP256;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TIMEOUT: Duration = Duration::from_secs(60);

type Shares<C> = BTreeMap<PartyId, Arc<KeyShare<C>>>;

struct Arguments {
    instance: String,
    threshold: u8,
    count: u8,
    sign: Sign<Secp256k1>,
}

/// What is signed, by whom, and for whom.
struct Sign<C: Curve> {
    name: String,
    signers: Vec<PartyId>,
    recipient: Option<PartyId>,
    items: Vec<BatchItem<C>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let report = match words.as_slice() {
        [flag, file] if flag == "--input" => {
            let input: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
            match input.get("curve").unwrap_or(&Value::from(Secp256k1::NAME)) {
                name if *name == Secp256k1::NAME => described::<Secp256k1>(&input)?,
                name if *name == NistP256::NAME => described::<NistP256>(&input)?,
                name => return Err(format!("{name} is no curve here").into()),
            }
        }
        _ => named(&Arguments::parse(words.into_iter())?)?,
    };
    writeln!(std::io::stdout(), "{report:#}")?;
    Ok(())
}

/// A key, and one signature for everybody.
fn named(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let mut messages = Vec::new();
    let Arguments { instance, threshold, count, sign: what } = arguments;
    let shares = keygen::<Secp256k1>(instance, *threshold, *count, &mut messages)?;
    let signatures = sign(what, &shares, &mut messages)?;
    let signature = signatures.first().ok_or("nothing was signed")?;
    let mut report = facts(&shares)?;
    add(&mut report, "r", hex(&encode_scalar(&signature.r)).into());
    add(&mut report, "s", hex(&encode_scalar(&signature.s)).into());
    add(&mut report, "recid", signature.recovery_id.into());
    add(&mut report, "messages", messages.into());
    Ok(report)
}

/// A run that a file describes.
fn described<C: Curve>(input: &Value) -> Result<Value, Box<dyn Error>> {
    let mut messages = Vec::new();
    let fields = input.as_object().ok_or("a run is an object")?;
    let known = ["curve", "instance", "t", "n", "import", "reshare", "sign"];
    if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(format!("{field} is not known here").into());
    }
    let (threshold, count) = (number(input, "t")?, number(input, "n")?);
    let instance = text(input, "instance")?;
    let mut shares = match fields.get("import") {
        None => keygen::<C>(instance, threshold, count, &mut messages)?,
        Some(given) => import::<C>(instance, threshold, count, given, &mut messages)?,
    };
    for step in fields.get("reshare").and_then(Value::as_array).into_iter().flatten() {
        shares = match step.get("dealers") {
            Some(dealers) => reshare(step, &parties(dealers)?, &shares, &mut messages)?,
            None => refresh(text(step, "name")?, &shares, &mut messages)?,
        };
    }
    let mut report = facts(&shares)?;
    add(&mut report, "curve", C::NAME.into());
    if let Some(what) = fields.get("sign") {
        let signatures = sign(&Sign::read(what, &shares)?, &shares, &mut messages)?;
        let signatures: Option<Vec<Value>> = signatures.iter().map(signed).collect();
        add(&mut report, "signatures", signatures.ok_or("a key is the identity")?.into());
    }
    add(&mut report, "messages", messages.into());
    Ok(report)
}

fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str, String> {
    object[name].as_str().ok_or_else(|| format!("{name} is missing"))
}

fn number(object: &Value, name: &str) -> Result<u8, String> {
    let number = object[name].as_u64().and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| format!("{name} is missing"))
}

fn parties(list: &Value) -> Result<Vec<PartyId>, String> {
    let party = |index: &Value| index.as_u64().and_then(|i| u8::try_from(i).ok());
    let all =
        list.as_array().into_iter().flatten().map(|index| party(index).and_then(PartyId::new));
    all.collect::<Option<_>>().ok_or_else(|| "dealers are indices".to_owned())
}

fn add(report: &mut Value, name: &str, value: Value) {
    if let Some(fields) = report.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// What there is to say about a key.
fn facts<C: Curve>(shares: &Shares<C>) -> Result<Value, Box<dyn Error>> {
    let first = shares.values().next().ok_or("no parties")?;
    let secrets: BTreeMap<String, String> = shares
        .values()
        .map(|share| (share.me().to_string(), hex(&encode_scalar(share.secret().expose()))))
        .collect();
    Ok(json!({
        "Q": hex(&encode_point(first.public_key()).ok_or("the key is the identity")?),
        "cc": hex(first.chain_code()),
        "epoch": hex(first.epoch()),
        "y": secrets,
    }))
}

fn signed<C: Curve>(signature: &Signature<C>) -> Option<Value> {
    Some(json!({
        "public_key": hex(&encode_point(&signature.public_key)?),
        "r": hex(&encode_scalar(&signature.r)),
        "s": hex(&encode_scalar(&signature.s)),
        "recid": signature.recovery_id,
    }))
}

fn keygen<C: Curve>(
    instance: &str,
    threshold: u8,
    count: u8,
    messages: &mut Vec<Value>,
) -> Result<Shares<C>, Box<dyn Error>> {
    let machines = PartyId::all(count).map(|me| {
        let setup = KeygenSetup {
            instance: sha256(instance),
            threshold,
            me,
            identities: identities(count),
        };
        keygen_with_seed(setup, seed(&format!("{instance}|{me}")), TIMEOUT)
    });
    made(machines.collect(), messages)
}

fn identities(count: u8) -> Vec<Vec<u8>> {
    (1..=count).map(|i| format!("party-{i}").into_bytes()).collect()
}

/// A key generation in which one party deals a key that it has.
fn import<C: Curve>(
    name: &str,
    threshold: u8,
    count: u8,
    given: &Value,
    messages: &mut Vec<Value>,
) -> Result<Shares<C>, Box<dyn Error>> {
    let key: Scalar<C> =
        decode_scalar(&digest_of(text(given, "key")?)?).map_err(|_| "key is no scalar")?;
    let public_key = C::of_generator(&key).to_affine();
    let origin = Origin::<C>::of_import(&public_key, &digest_of(text(given, "cc")?)?);
    let dealer = if given.get("dealer").is_some() { number(given, "dealer")? } else { 1 };
    let dealer = PartyId::new(dealer).ok_or("no such dealer")?;
    let machines = PartyId::all(count).map(|me| {
        let setup = ReshareSetup {
            instance: sha256(name),
            threshold,
            count,
            me,
            identities: identities(count),
            dealers: vec![Dealer { participant: dealer, old: 0 }],
            origin: origin.clone(),
            requester: dealer,
        };
        let seed = seed(&format!("{name}|{me}"));
        if me == dealer {
            import_with_seed(setup, &Secret::new(key), seed, TIMEOUT)
        } else {
            join_with_seed(setup, seed, TIMEOUT)
        }
    });
    made(machines.collect(), messages)
}

/// The participants are those that are named and the dealers, by old index; whoever of them has a
/// share takes part with it.
fn reshare<C: Curve>(
    step: &Value,
    olds: &[PartyId],
    shares: &Shares<C>,
    messages: &mut Vec<Value>,
) -> Result<Shares<C>, Box<dyn Error>> {
    let name = text(step, "name")?;
    let mut identities = Vec::new();
    for identity in step["new"].as_array().ok_or("new is missing")? {
        identities.push(identity.as_str().ok_or("new are names")?.as_bytes().to_vec());
    }
    let count = u8::try_from(identities.len())?;
    let old = olds.first().and_then(|old| shares.get(old)).ok_or("a dealer without a share")?;
    let identity_of = |party: PartyId| old.identities().get(usize::from(party.get()) - 1);
    let mut dealers = Vec::new();
    for old in olds {
        let identity = identity_of(*old).ok_or("a dealer that is no party")?;
        let known = identities.iter().position(|known| known == identity);
        let place = known.unwrap_or(identities.len());
        if known.is_none() {
            identities.push(identity.clone());
        }
        let participant = u8::try_from(place + 1).ok().and_then(PartyId::new);
        let participant = participant.ok_or("too many participants")?;
        dealers.push(Dealer { participant, old: old.get() });
    }
    let machine = |(me, identity): (PartyId, &Vec<u8>)| {
        let setup = ReshareSetup {
            instance: sha256(name),
            threshold: number(step, "t")?,
            count,
            me,
            identities: identities.clone(),
            dealers: dealers.clone(),
            origin: old.public_data(),
            requester: me,
        };
        let seed = seed(&format!("{name}|{me}"));
        Ok::<_, String>(match shares.values().find(|one| identity_of(one.me()) == Some(identity)) {
            Some(share) => reshare_with_seed(setup, share, seed, TIMEOUT),
            None => join_with_seed(setup, seed, TIMEOUT),
        })
    };
    let participants = PartyId::all(u8::try_from(identities.len())?).zip(&identities);
    let machines: Vec<_> = participants.map(machine).collect::<Result<_, _>>()?;
    made(machines.into_iter().collect(), messages)
}

fn refresh<C: Curve>(
    name: &str,
    shares: &Shares<C>,
    messages: &mut Vec<Value>,
) -> Result<Shares<C>, Box<dyn Error>> {
    let machine = |share: &Arc<KeyShare<C>>| {
        let seed = seed(&format!("{name}|{}", share.me()));
        refresh_with_seed(share, sha256(name), seed, TIMEOUT)
    };
    made(shares.values().map(machine).collect(), messages)
}

/// The shares that machines make.
fn made<C: Curve>(
    machines: Result<Vec<Machine<Keygen<C>>>, Fault>,
    messages: &mut Vec<Value>,
) -> Result<Shares<C>, Box<dyn Error>> {
    let mut shares = BTreeMap::new();
    let (outcomes, parcels) = run(machines?);
    messages.extend(listing(parcels));
    for (party, outcome) in outcomes {
        outcome.result.ok_or("a party did not end")??;
        for persist in outcome.persisted {
            if let Persist::PendingShare(pending) = persist {
                shares.insert(party, Arc::new(pending.share));
            }
        }
    }
    Ok(shares)
}

fn sign<C: Curve>(
    what: &Sign<C>,
    shares: &Shares<C>,
    messages: &mut Vec<Value>,
) -> Result<Vec<Signature<C>>, Box<dyn Error>> {
    let Sign { name, signers, recipient, items } = what;
    let (sign_id, recipient) = (sha256(name), *recipient);
    let mut done: Vec<Vec<Signature<C>>> = Vec::new();
    let mut parcels;
    if let [BatchItem { digest, tweak }] = items.as_slice() {
        let (digest, tweak) = (*digest, *tweak);
        let machines = signers.iter().map(|me| {
            let setup = SignSetup { signers: signers.clone(), sign_id, digest, tweak, recipient };
            Ok(sign_with_seed(Sign::share(*me, shares)?, setup, what.seed(*me), TIMEOUT)?)
        });
        let outcomes;
        (outcomes, parcels) = run(machines.collect::<Result<_, Box<dyn Error>>>()?);
        for outcome in outcomes.into_values() {
            if let Signed::Signature(one) = outcome.result.ok_or("a party did not end")?? {
                done.push(vec![one]);
            }
        }
    } else {
        let machines = signers.iter().map(|me| {
            let (signers, items) = (signers.clone(), items.clone());
            let setup = BatchSetup { signers, sign_id, items, recipient };
            Ok(sign_batch_with_seed(Sign::share(*me, shares)?, setup, what.seed(*me), TIMEOUT)?)
        });
        let outcomes;
        (outcomes, parcels) = run(machines.collect::<Result<_, Box<dyn Error>>>()?);
        for outcome in outcomes.into_values() {
            if let BatchSigned::Signatures(all) = outcome.result.ok_or("a party did not end")?? {
                done.push(all);
            }
        }
    }
    parcels.extend(what.own_part(shares, &parcels)?);
    messages.extend(listing(parcels));
    done.pop().ok_or_else(|| "nobody received the signatures".into())
}

type Outcomes<P> = BTreeMap<PartyId, Outcome<<P as Protocol>::Done, <P as Protocol>::Curve>>;

/// Runs machines to their end: what became of them, and what they sent.
fn run<P: Protocol>(machines: Vec<Machine<P>>) -> (Outcomes<P>, Vec<Parcel>) {
    #[expect(clippy::disallowed_methods, reason = "an example drives its own machines")]
    let now = Instant::now();
    let mut parcels = Vec::new();
    let outcomes = Local::start(machines, now).run_with(|parcel| {
        parcels.push(parcel.clone());
        vec![parcel]
    });
    (outcomes, parcels)
}

/// The messages by type, sender and receiver, and in the order of sending where there are several;
/// the partial signatures, if they are the same for everybody, once and to 0.
fn listing(mut parcels: Vec<Parcel>) -> Vec<Value> {
    let key = |Parcel { from, to, bytes }: &Parcel| {
        let kind = bytes.get(1).copied().unwrap_or_default();
        let to_all = PARTIAL_SIGNATURES.contains(&kind) && bytes.get(3) == Some(&0);
        [kind, from.get(), if to_all { 0 } else { to.get() }]
    };
    parcels.sort_by_key(key);
    parcels.dedup_by(|a, b| key(a)[2] == 0 && key(a) == key(b));
    let line = |parcel: &Parcel| {
        let [kind, from, to] = key(parcel);
        json!({
            "type": hex(&[kind]),
            "from": from,
            "to": to,
            "len": parcel.bytes.len(),
            "sha256": hex(&Sha256::digest(&parcel.bytes)),
        })
    };
    parcels.iter().map(line).collect()
}

/// Of one digest and of several.
const PARTIAL_SIGNATURES: [u8; 2] = [Kind::Sg3 as u8, Kind::Sb3 as u8];

fn sha256(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

fn seed(name: &str) -> SessionSeed {
    SessionSeed::from_bytes(sha256(&format!("model-seed|{name}")))
}

impl<C: Curve> Sign<C> {
    fn read(what: &Value, shares: &Shares<C>) -> Result<Self, Box<dyn Error>> {
        let key = shares.values().next().ok_or("no parties")?;
        let party = |index: &Value| {
            index.as_u64().and_then(|index| u8::try_from(index).ok()).and_then(PartyId::new)
        };
        let item = |item: &Value| -> Result<BatchItem<C>, Box<dyn Error>> {
            let step = |step: &Value| step.as_u64().and_then(|step| u32::try_from(step).ok());
            let path: Option<Vec<u32>> =
                item["path"].as_array().into_iter().flatten().map(step).collect();
            let path = path.ok_or("a path is a list of numbers")?;
            let digest = digest_of(item["digest"].as_str().ok_or("an item has a digest")?)?;
            if path.is_empty() {
                return Ok(BatchItem { digest, tweak: Scalar::<C>::ZERO });
            }
            if !C::DERIVES {
                return Err(format!("nothing is derived on {}", C::NAME).into());
            }
            // On the only curve that derives, whose type is another one here.
            let key_bytes = key.public_key_bytes();
            let point = decode_point(&key_bytes).map_err(|_| "the key is no point")?;
            let tweak = encode_scalar(&derive(&point, key.chain_code(), &path)?.tweak);
            Ok(BatchItem { digest, tweak: decode_scalar(&tweak).map_err(|_| "no scalar")? })
        };
        let list = |name: &str| what[name].as_array().ok_or(format!("{name} is a list"));
        Ok(Self {
            name: what["name"].as_str().ok_or("a signature has a name")?.to_owned(),
            signers: list("signers")?.iter().map(party).collect::<Option<_>>().ok_or("a signer")?,
            // 0 is everybody, who has no index.
            recipient: party(&what["recipient"]),
            items: list("items")?.iter().map(item).collect::<Result<_, _>>()?,
        })
    }

    fn share(party: PartyId, shares: &Shares<C>) -> Result<Arc<KeyShare<C>>, Box<dyn Error>> {
        shares.get(&party).map(Arc::clone).ok_or_else(|| "a signer that has no share".into())
    }

    fn seed(&self, party: PartyId) -> SessionSeed {
        seed(&format!("sign|{}|{party}", self.name))
    }

    /// The partial signatures of the only recipient, which it sends to nobody: what those of the
    /// others lack of the sums, which whoever knows all seeds and shares can compute.
    fn own_part(
        &self,
        shares: &Shares<C>,
        parcels: &[Parcel],
    ) -> Result<Option<Parcel>, Box<dyn Error>> {
        let Some(recipient) = self.recipient else { return Ok(None) };
        let parts = parcels.iter().map(|parcel| &parcel.bytes);
        let parts =
            parts.filter(|b| b.get(1).is_some_and(|kind| PARTIAL_SIGNATURES.contains(kind)));
        let parts: Vec<&Vec<u8>> = parts.collect();
        let mut message = (*parts.first().ok_or("nobody sent a part")?).clone();
        if let Some(from) = message.get_mut(2) {
            *from = recipient.get();
        }
        let rows = message.get_mut(HEADER..).ok_or("a part is short")?.as_chunks_mut::<ROW>().0;
        for ((l, item), row) in self.items.iter().enumerate().zip(rows) {
            let label = |name: &str| match self.items.len() {
                1 => name.to_owned(),
                _ => format!("{name}/{l}"),
            };
            let sum = |name: &str| -> Scalar<C> {
                self.signers.iter().map(|party| self.seed(*party).scalar::<C>(&label(name))).sum()
            };
            let secret: Scalar<C> = self
                .signers
                .iter()
                .filter_map(|party| shares.get(party))
                .map(|share| {
                    lagrange::<Scalar<C>>(share.me(), &self.signers, 0) * share.secret().expose()
                })
                .sum();
            let (nonce_point, values) = row.split_at_mut(POINT);
            let point: AffinePoint<C> = decode_point(nonce_point).map_err(|_| "no point")?;
            let r = x_mod_order::<C>(&point);
            let sums = [
                sum("r") * sum("phi"),
                (reduce::<Scalar<C>>(&item.digest) + r * (secret + item.tweak)) * sum("phi"),
            ];
            for (place, (sum, value)) in sums.into_iter().zip(values.as_chunks_mut().0).enumerate()
            {
                let mut own = sum;
                for part in &parts {
                    let start = HEADER + l * ROW + POINT + place * SCALAR;
                    let theirs = part.get(start..start + SCALAR).ok_or("a part is short")?;
                    own -= decode_scalar::<Scalar<C>>(theirs).map_err(|_| "no scalar")?;
                }
                *value = encode_scalar(&own);
            }
        }
        Ok(Some(Parcel { from: recipient, to: recipient, bytes: message }))
    }
}

/// Length of a partial signature.
const ROW: usize = POINT + 2 * SCALAR;

fn digest_of(digits: &str) -> Result<[u8; 32], Box<dyn Error>> {
    let bytes = unhex(digits).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a digest has 64 hexadecimal digits".into())
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut given = BTreeMap::new();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            given.insert(flag, value);
        }
        let mut take = |flag: &str| given.remove(flag).ok_or_else(|| format!("{flag} is missing"));
        let signer = |text: &str| text.trim().parse().ok().and_then(PartyId::new);
        let arguments = Self {
            instance: take("--instance")?,
            threshold: take("--t")?.parse()?,
            count: take("--n")?.parse()?,
            sign: Sign {
                name: take("--sign")?,
                signers: take("--signers")?
                    .split(',')
                    .map(signer)
                    .collect::<Option<_>>()
                    .ok_or("--signers takes indices such as 1,2")?,
                recipient: None,
                items: vec![BatchItem {
                    digest: digest_of(&take("--digest")?)?,
                    tweak: Scalar::<Secp256k1>::ZERO,
                }],
            },
        };
        match given.into_keys().next() {
            None => Ok(arguments),
            Some(flag) => Err(format!("{flag} is not known here").into()),
        }
    }
}
