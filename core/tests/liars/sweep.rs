//! A lie in every field of every message: flipped, zero, all ones, another party's. The expected
//! outcome follows from the field, and is computed here a second time.

use std::sync::OnceLock;

use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::wire::Kind;

use crate::curve::{NonZeroScalar, PublicKey};
use crate::group::*;
use crate::layout::{Field, Form, Message};
use crate::scene::{Scene, scenes};

/// The message with one field altered in each way, except where that changes nothing. `others`
/// are messages of the same type whose field may be put in its place.
pub(crate) fn altered(message: &Message, field: &Field, others: &[Message]) -> Vec<Message> {
    let original = message[field.range.clone()].to_vec();
    let flipped = |place: usize, mask: u8| {
        let mut bytes = original.clone();
        bytes[place] ^= mask;
        bytes
    };
    let last = original.len() - 1;
    let mut values = vec![flipped(0, 1), flipped(last / 2, 0x10), flipped(last, 0x80)];
    values.extend([vec![0; original.len()], vec![0xff; original.len()]]);
    values.extend(others.iter().map(|other| other[field.range.clone()].to_vec()));
    values.retain(|value| *value != original);
    let put = |value: Vec<u8>| {
        let mut message = message.clone();
        message[field.range.clone()].copy_from_slice(&value);
        message
    };
    values.into_iter().map(put).collect()
}

/// Whether a field still holds what it must hold, as the curve's crate itself sees it.
pub(crate) fn decodes(field: &Field, message: &Message) -> bool {
    let bytes = &message[field.range.clone()];
    let scalar = |bytes: &[u8]| {
        bytes.iter().all(|byte| *byte == 0) || NonZeroScalar::try_from(bytes).is_ok()
    };
    match field.form {
        Form::Bytes => true,
        Form::Point => PublicKey::from_sec1_bytes(bytes).is_ok(),
        Form::Scalar => scalar(bytes),
        Form::Scalars => bytes.chunks(32).all(scalar),
    }
}

// ---------------------------------------------------------------------------------------------
// Signing
// ---------------------------------------------------------------------------------------------

const SIGN: [Kind; 3] = [Kind::Sg1, Kind::Sg2, Kind::Sg3];

fn expected_of_signing(scene: &Scene, field: &Field, message: &Message) -> Fault {
    let at = message.kind().name();
    let malformed = !decodes(field, message);
    let by = |check| scene.by_liar(if malformed { Check::Malformed } else { check }, at);
    match (message.kind(), field.name.as_str()) {
        (Kind::Sg1, "C") => Fault::nobody(Check::View, "SG2"),
        (Kind::Sg1, _) => by(Check::OteCheck),
        (_, "view") => Fault::nobody(Check::View, at),
        // The commitment comes before the encoding.
        (Kind::Sg2, "R" | "salt") => scene.by_liar(Check::Commit, at),
        (Kind::Sg2, "pk" | "Gamma_v") => by(Check::GammaV),
        (Kind::Sg2, "Gamma_u") => by(Check::GammaU),
        (Kind::Sg2, "psi") if !malformed => Fault::nobody(Check::SigInvalid, "SG3"),
        (Kind::Sg2, _) => by(Check::RvoleCheck),
        (_, "u" | "w") if !malformed => Fault::nobody(Check::SigInvalid, at),
        _ => by(Check::RMismatch),
    }
}

#[test]
fn every_altered_field_of_a_signature_has_its_one_consequence() {
    let mut checks = Vec::new();
    for scene in scenes() {
        let (_, record) = scene.group(&scene.key.shares()).recorded();
        for kind in SIGN {
            let message = Message(record[&(kind, scene.liar, scene.victim)].clone());
            let others =
                record.iter().filter(|((k, from, _), _)| *k == kind && *from != scene.liar);
            let others: Vec<_> = others.map(|(_, bytes)| Message(bytes.clone())).collect();
            for field in message.fields() {
                for lie in altered(&message, &field, &others) {
                    let fault = expected_of_signing(&scene, &field, &lie);
                    signs_nothing(&scene, &record, &lie, fault);
                    checks.push(fault.check);
                }
            }
        }
    }
    checks.sort_unstable();
    checks.dedup();
    // Every check that a single field can fail was seen.
    assert_eq!(checks.len(), 9, "{checks:?}");
}

/// The victim receives all messages, one of them replaced by the lie, and stops with `fault`.
fn signs_nothing(scene: &Scene, record: &Record, lie: &Message, fault: Fault) {
    let shares = scene.key.shares();
    let mut victim = scene.member(&shares, scene.victim);
    for ((kind, from, to), bytes) in record {
        if *to == scene.victim {
            let lies = *from == scene.liar && *kind == lie.kind();
            victim.hear(*from, if lies { lie } else { bytes });
        }
    }
    victim.stopped(fault);
    let banned = fault.bans().then_some((scene.victim, scene.liar, fault.check));
    assert_eq!(retired(&shares), Vec::from_iter(banned));
}

// ---------------------------------------------------------------------------------------------
// Key generation
// ---------------------------------------------------------------------------------------------

const NAME: &str = "a swept key";

/// The effect of a lie in a key generation.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// No share.
    Stops(Fault),
    /// The lie is about what only the liar uses: the victim's share is the honest one but for the
    /// pair with the liar.
    SpoilsThePair,
    /// The altered bytes are not used: the victim's share is the honest one.
    Nothing,
}

fn victims_seed() -> SessionSeed {
    keygen_seed(NAME, id(1))
}

/// Whether the victim chose `branch` of a base transfer with the liar.
fn chose(transfer: usize, branch: usize) -> bool {
    let bits: [u8; 16] = victims_seed().bytes("ot1/2/bits");
    usize::from(bits[transfer / 8] >> (transfer % 8) & 1) == branch
}

/// The number in the brackets of a field's name.
fn number(name: &str) -> usize {
    name.split(['[', ']']).nth(1).unwrap().parse().unwrap()
}

fn expected_of_keygen(field: &Field, message: &Message) -> Outcome {
    let kind = message.kind();
    let malformed = !decodes(field, message);
    let by = |check, at| Outcome::Stops(Fault::by(id(2), check, at));
    let decoded = |check| by(if malformed { Check::Malformed } else { check }, kind.name());
    let name = field.name.as_str();
    match (kind, name.as_bytes()[0]) {
        (Kind::Kg1, _) => by(Check::Session, "KG2B"),
        (Kind::Kg2b, b'T' | b'z') => decoded(Check::Pok),
        (Kind::Kg2b, _) => decoded(Check::Commit),
        (Kind::Kg2p, b's') => decoded(Check::Feldman),
        (Kind::Kg2p | Kind::Kg3p, b'R' | b'S') if malformed => by(Check::BaseOtPoint, kind.name()),
        // Of a tree's four transfers only the first makes nodes; the others mask corrections.
        (Kind::Kg2p, b'R') if !number(name).is_multiple_of(4) => Outcome::Nothing,
        (Kind::Kg2p, _) => Outcome::SpoilsThePair,
        (Kind::Kg3b, b'v') => Outcome::Stops(Fault::nobody(Check::View, "KG3B")),
        (Kind::Kg3b, b'Q') => decoded(Check::QMismatch),
        (Kind::Kg3b, b'c') => decoded(Check::ChainCode),
        (Kind::Kg3b, _) => decoded(Check::Pok),
        (Kind::Kg3p, _) => {
            let used = match name.split(['.', '[']).next().unwrap() {
                "S" => chose(number(name), if name.ends_with('1') { 1 } else { 0 }),
                "tt" | "dig" => true,
                level => {
                    let level: usize = level[1..].parse().unwrap();
                    chose(4 * number(name) + level, if name.contains(".1") { 1 } else { 0 })
                }
            };
            if used { by(Check::Pprf, "KG3P") } else { Outcome::Nothing }
        }
        (Kind::Kg4b, _) => by(Check::Confirm, "KG4B"),
        _ => unreachable!(),
    }
}

/// Points and trees are many and alike: the first and the last stand for them.
fn stands_for_others(field: &Field) -> bool {
    let name = field.name.as_str();
    !name.contains('[')
        || matches!((name.as_bytes()[0], number(name)), (b'R' | b'S', 0 | 127) | (b't' | b'd', 0))
}

fn record() -> &'static Record {
    static RECORD: OnceLock<Record> = OnceLock::new();
    RECORD.get_or_init(|| Group::of(keygen_machines(NAME, 2, 2)).recorded().1)
}

/// The victim after it heard everything, `lie` in the place of the honest message.
fn hears(lie: Option<&Message>) -> Member<Keygen> {
    let mut victim = Member::new(keygen_machine(NAME, 2, 2, id(1)));
    for ((kind, from, _), bytes) in record().iter().filter(|((_, from, _), _)| *from == id(2)) {
        match lie {
            Some(lie) if lie.kind() == *kind => victim.hear(*from, lie),
            _ => victim.hear(*from, bytes),
        }
    }
    victim
}

fn sweep(kind: Kind) {
    let honest = hears(None);
    let honest = honest.pending().unwrap();
    let message = Message(record()[&(kind, id(2), id(1))].clone());
    let others = [Message(record()[&(kind, id(1), id(2))].clone())];
    for field in message.fields().iter().filter(|field| stands_for_others(field)) {
        for lie in altered(&message, field, &others) {
            let mut victim = hears(Some(&lie));
            let outcome = expected_of_keygen(field, &lie);
            if let Outcome::Stops(fault) = outcome {
                victim.stopped(fault);
                continue;
            }
            let share = victim.pending().unwrap();
            assert!(victim.done().is_some());
            assert_eq!(share.public_data(), honest.public_data());
            assert_eq!(share.secret().expose(), honest.secret().expose());
            let same = share.to_bytes().expose() == honest.to_bytes().expose();
            assert_eq!(same, outcome == Outcome::Nothing, "{}", field.name);
        }
    }
}

#[test]
fn every_altered_field_of_kg1_has_its_one_consequence() {
    sweep(Kind::Kg1);
}

#[test]
fn every_altered_field_of_kg2b_has_its_one_consequence() {
    sweep(Kind::Kg2b);
}

#[test]
fn every_altered_field_of_kg2p_has_its_one_consequence() {
    sweep(Kind::Kg2p);
}

#[test]
fn every_altered_field_of_kg3b_has_its_one_consequence() {
    sweep(Kind::Kg3b);
}

#[test]
fn every_altered_field_of_kg3p_has_its_one_consequence() {
    sweep(Kind::Kg3p);
}

#[test]
fn every_altered_field_of_kg4b_has_its_one_consequence() {
    sweep(Kind::Kg4b);
}

/// Among three, with the field of the other honest party, which is as well made as can be.
#[test]
fn a_field_of_a_third_party_does_not_fit_in_its_place() {
    let name = "a swept key of three";
    let (_, record) = Group::of(keygen_machines(name, 2, 3)).recorded();
    let said = |kind, from| Message(record[&(kind, id(from), id(1))].clone());
    for kind in [Kind::Kg1, Kind::Kg2b, Kind::Kg2p, Kind::Kg3b, Kind::Kg4b] {
        let (message, other) = (said(kind, 2), said(kind, 3));
        for field in message.fields().iter().filter(|f| stands_for_others(f)) {
            if message[field.range.clone()] == other[field.range.clone()] {
                continue;
            }
            let mut lie = message.clone();
            lie.put(&field.name, other.field(&field.name));
            let expected = match expected_of_keygen(field, &lie) {
                // With three parties there is no culprit for a confirmation.
                Outcome::Stops(Fault { check: Check::Confirm, at, .. }) => {
                    Outcome::Stops(Fault::nobody(Check::Confirm, at))
                }
                expected => expected,
            };
            let mut victim = Member::new(keygen_machine(name, 2, 3, id(1)));
            for ((at, from, _), bytes) in record.iter().filter(|((_, _, to), _)| *to == id(1)) {
                let lies = *from == id(2) && *at == kind;
                victim.hear(*from, if lies { &lie } else { bytes });
            }
            match expected {
                Outcome::Stops(fault) => victim.stopped(fault),
                Outcome::SpoilsThePair | Outcome::Nothing => assert!(victim.done().is_some()),
            }
        }
    }
}
