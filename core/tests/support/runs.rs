//! Runs in which everything follows from names, compared with known answers message by message.

use std::collections::BTreeMap;
use std::fs;

use cosign_core::hazmat::crypto::curve::{decode_scalar, encode_point, encode_scalar};
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::machine::{Machine, Protocol};
use cosign_core::hazmat::protocol::sign::BatchSigned;
use cosign_core::{PartyId, hex, unhex};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ceremony::{
    Outcome, Shares, Signature, Signed, batch_machines, batch_setup, import_machines,
    keygen_machines, party, refresh_machines, remaining_shares, reshare_machines, run_with,
    sign_machines, sign_setup,
};
use super::curve::{Curve, Scalar, tweak};

pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

pub(crate) fn scalar(value: &Value) -> Scalar {
    decode_scalar(&bytes::<32>(value)).unwrap()
}

/// Everything of a run follows from its names: the key, every share, every message in order, the
/// signature. The files are such as `examples/transcript.rs` reads and prints.
pub(crate) fn repeat(folder: &str) -> usize {
    let mut files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let known = read(&fs::read_to_string(file.unwrap().path()).unwrap());
        let (input, output) = (&known["input"], &known["output"]);
        let mut sent = Vec::new();
        let shares = new_shares(input, &mut sent);
        for (party, share) in &shares {
            assert_eq!(output["Q"], hex(&share.public_key_bytes()));
            assert_eq!(output["cc"], hex(share.chain_code()));
            assert_eq!(output["epoch"], hex(share.epoch()));
            let secret = hex(&encode_scalar(share.secret().expose()));
            assert_eq!(output["y"][party.to_string()], secret);
        }
        assert_eq!(output["y"].as_object().unwrap().len(), shares.len());
        let signatures = input.get("sign").map(|asked| signed(asked, &shares, &mut sent));
        let signatures = signatures.unwrap_or_default();
        let known = output["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(signatures.len(), known.len());
        for (signature, known) in signatures.iter().zip(known) {
            assert_eq!(known["public_key"], hex(&encode_point(&signature.public_key).unwrap()));
            assert_eq!(known["r"], hex(&encode_scalar(&signature.r)));
            assert_eq!(known["s"], hex(&encode_scalar(&signature.s)));
            assert_eq!(known["recid"], signature.recovery_id);
        }
        assert_eq!(output["messages"], Value::from(sent), "{}", input["instance"]);
        files += 1;
    }
    files
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn small(value: &Value) -> u8 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// Makes the key of a run, and follows it through its reshares and refreshes.
fn new_shares(input: &Value, sent: &mut Vec<Value>) -> Shares {
    let (name, t, n) = (text(&input["instance"]), small(&input["t"]), small(&input["n"]));
    let machines = match input.get("import") {
        None => keygen_machines(name, t, n),
        Some(given) => {
            let dealer = party(small(&given["dealer"]));
            import_machines(name, t, n, dealer, scalar(&given["key"]), bytes(&given["cc"]))
        }
    };
    let mut shares = remaining_shares(listed(machines, sent));
    for step in input.get("reshare").and_then(Value::as_array).into_iter().flatten() {
        let name = text(&step["name"]);
        let machines = match step.get("dealers").and_then(Value::as_array) {
            None => refresh_machines(name, &shares),
            Some(dealers) => {
                let dealers: Vec<u8> = dealers.iter().map(small).collect();
                let new = step["new"].as_array().unwrap().iter();
                let new: Vec<Vec<u8>> = new.map(|name| text(name).as_bytes().to_vec()).collect();
                reshare_machines(name, &shares, &dealers, small(&step["t"]), &new)
            }
        };
        shares = remaining_shares(listed(machines, sent));
    }
    shares
}

fn signed(asked: &Value, shares: &Shares, sent: &mut Vec<Value>) -> Vec<Signature> {
    let (name, items) = (text(&asked["name"]), asked["items"].as_array().unwrap());
    let signers = asked["signers"].as_array().unwrap().iter();
    let signers: Vec<_> = signers.map(|signer| party(small(signer))).collect();
    let tweak_of = |item: &Value| {
        let path = item["path"].as_array().into_iter().flatten();
        tweak(&shares[&signers[0]], &path.map(|step| small(step).into()).collect::<Vec<_>>())
    };
    let digests: Vec<[u8; 32]> = items.iter().map(|item| bytes(&item["digest"])).collect();
    if let [item] = &items[..] {
        let mut setup = sign_setup(name, &signers, digests[0]);
        setup.tweak = tweak_of(item);
        let outcomes = listed(sign_machines(shares, name, &setup), sent);
        return match outcomes.into_values().next().unwrap().result {
            Some(Ok(Signed::Signature(signature))) => vec![signature],
            other => panic!("{other:?}"),
        };
    }
    let mut setup = batch_setup(name, &signers, &digests);
    for (item, asked) in setup.items.iter_mut().zip(items) {
        item.tweak = tweak_of(asked);
    }
    let outcomes = listed(batch_machines(shares, name, &setup), sent);
    match outcomes.into_values().next().unwrap().result {
        Some(Ok(BatchSigned::Signatures(signatures))) => signatures,
        other => panic!("{other:?}"),
    }
}

/// Runs machines, and adds their messages to a list in its order.
fn listed<P: Protocol<Curve = Curve>>(
    machines: Vec<Machine<P>>,
    list: &mut Vec<Value>,
) -> BTreeMap<PartyId, Outcome<P::Done>> {
    let mut seen = Vec::new();
    let outcomes = run_with(machines, |parcel| {
        seen.push(line_of(&parcel));
        vec![parcel]
    });
    seen.sort_by_key(|line| format!("{} {} {}", line["type"], line["from"], line["to"]));
    seen.dedup();
    list.extend(seen);
    outcomes
}

/// A message in the list of a run; a partial signature that everybody receives goes to 0.
pub(crate) fn line_of(parcel: &Parcel) -> Value {
    let kind = parcel.bytes[1];
    serde_json::json!({
        "type": hex(&[kind]),
        "from": parcel.from.get(),
        "to": if [0x13, 0x17].contains(&kind) { 0 } else { parcel.to.get() },
        "len": parcel.bytes.len(),
        "sha256": hex(&Sha256::digest(&parcel.bytes)),
    })
}
