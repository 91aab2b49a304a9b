//! Every decoder of the core as a function of bytes: none may panic, and accepted bytes must be the
//! only encoding of their meaning.
//!
//! The tests call them with random bytes, the fuzz targets with chosen ones. If random bytes would
//! not pass a check of length or version, they are used as changes to valid bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cosign_core::PartyId;
use cosign_core::hazmat::crypto::bip32::parse_path;
use cosign_core::hazmat::crypto::curve::{
    decode_point, decode_scalar, encode_point, encode_scalar,
};
use cosign_core::hazmat::crypto::ecdsa::{from_der, to_der};
use cosign_core::hazmat::crypto::ot::tree::{ReceiverTrees, SenderTrees};
use cosign_core::hazmat::protocol::fault::Fault;
use cosign_core::hazmat::protocol::machine::{Machine, Persist, Protocol};
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use cosign_core::{Fingerprint, hex, unhex};

use crate::ceremony::{
    Confirmation, KeyShare, Leaving, Origin, Output, TIMEOUT, batch_machines, batch_setup,
    keygen_machines, now, party, refresh_machines, reshare_machines, run_with, sha, sign_machines,
    sign_setup,
};
use crate::changes::{SHARES, changed};
use crate::curve::{AffinePoint, Curve, Scalar};

// ---------------------------------------------------------------------------------------------
// Small things
// ---------------------------------------------------------------------------------------------

/// Points, scalars, signatures, paths, digits.
pub(crate) fn values(bytes: &[u8]) {
    if let Ok(point) = decode_point::<AffinePoint>(bytes) {
        assert_eq!(encode_point(&point).map(Vec::from).as_deref(), Some(bytes));
    }
    if let Ok(scalar) = decode_scalar::<Scalar>(bytes) {
        assert_eq!(encode_scalar(&scalar), *bytes);
    }
    if let Ok((r, s)) = from_der::<Scalar>(bytes) {
        assert_eq!(to_der(&r, &s), bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(path) = parse_path(&text) {
        let steps = path.iter().map(u32::to_string);
        assert_eq!(["m".to_owned()].into_iter().chain(steps).collect::<Vec<_>>().join("/"), text);
    }
    if let Some(bytes) = unhex(&text) {
        assert_eq!(hex(&bytes), text.to_lowercase());
    }
    let _ = text.parse::<Fingerprint>();
}

/// A signature in DER, changed.
pub(crate) fn der(bytes: &[u8]) {
    static HONEST: OnceLock<Vec<u8>> = OnceLock::new();
    let scalar = |name| cosign_core::hazmat::crypto::curve::reduce::<Scalar>(&sha(name));
    let bytes = changed(HONEST.get_or_init(|| to_der(&scalar("r"), &scalar("s"))), bytes);
    if let Ok((r, s)) = from_der::<Scalar>(&bytes) {
        assert_eq!(to_der(&r, &s), bytes);
    }
}

// ---------------------------------------------------------------------------------------------
// Storage
// ---------------------------------------------------------------------------------------------

/// A stored share, raw and changed. A share that decodes encodes to the same bytes.
pub(crate) fn share(bytes: &[u8]) {
    static BACKUP: OnceLock<Vec<u8>> = OnceLock::new();
    let backup = BACKUP.get_or_init(|| {
        let share = KeyShare::from_bytes(SHARES[1]).unwrap();
        share.to_backup().expose().clone()
    });
    for stored in [bytes, &changed(SHARES[1], bytes), &changed(backup, bytes)] {
        if let Ok(share) = KeyShare::from_bytes(stored) {
            assert_eq!(share.to_bytes().expose(), stored);
        }
        if let Ok(confirmation) = Confirmation::from_bytes(stored) {
            assert_eq!(confirmation.to_bytes(), *stored);
        }
        let _ = SenderTrees::from_bytes(stored);
        let _ = ReceiverTrees::from_bytes(stored);
    }
}

/// The public data of a key to be reshared or imported, raw and changed.
pub(crate) fn origin(bytes: &[u8]) {
    static HONEST: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let honest = HONEST.get_or_init(|| {
        let share = KeyShare::from_bytes(SHARES[0]).unwrap();
        [share.public_data(), Origin::of_import(share.public_key(), share.chain_code())]
    });
    let [shared, imported] = honest.each_ref().map(|honest| changed(honest, bytes));
    for said in [bytes, &shared, &imported] {
        if let Ok(origin) = Origin::from_bytes(said) {
            assert_eq!(origin.to_bytes(), said);
            assert_eq!(origin.sizes().is_some(), origin.epoch().is_some());
        }
    }
}

/// A stored confirmation of an epoch, raw and changed, and another party's confirmation, changed.
pub(crate) fn confirmation(bytes: &[u8]) {
    let stored = |me| {
        let mut stored = [7; Confirmation::STORED];
        stored[64..].copy_from_slice(&[me, 3]);
        stored
    };
    let [mine, theirs] = [2, 3].map(|me| Confirmation::from_bytes(&stored(me)).unwrap());
    for stored in [bytes, &changed(&stored(2), bytes)] {
        if let Ok(confirmation) = Confirmation::from_bytes(stored) {
            assert_eq!(confirmation.to_bytes(), *stored);
            assert!(PartyId::all(16).all(|from| !confirmation.verify(from, &[0; 32])));
        }
        if let Ok(leaving) = Leaving::from_bytes(stored) {
            assert_eq!(leaving.to_bytes(), *stored);
            assert!(PartyId::all(16).all(|from| !leaving.verify(from, &[0; 32])));
        }
    }
    let honest = theirs.message();
    if let Ok(said) = <[u8; 32]>::try_from(changed(&honest, bytes)) {
        assert_eq!(mine.verify(party(3), &said), said == honest);
        assert!([1, 2, 4, 16].iter().all(|other| !mine.verify(party(*other), &said)));
    }
}

// ---------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------

/// Party 2's messages to party 1 in an honest ceremony, by type and, where there are several of one,
/// by the number that they begin with.
type Said = BTreeMap<[u8; 2], Vec<u8>>;

fn said<P: Protocol<Curve = Curve>>(machines: Vec<Machine<P>>) -> Said {
    let mut said = Said::new();
    run_with(machines, |parcel| {
        if parcel.from == party(2) && parcel.to == party(1) {
            let kind = parcel.bytes[1];
            let number = if kind == Kind::Sb2r.tag() { parcel.bytes[HEADER + 1] } else { 0 };
            said.insert([kind, number], parcel.bytes.clone());
        }
        vec![parcel]
    });
    said
}

fn keygen_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(keygen_machines("decoded", 2, 2)))
}

fn keygen_victim() -> Machine<cosign_core::hazmat::protocol::keygen::Keygen> {
    keygen_machines("decoded", 2, 2).swap_remove(0)
}

fn sign_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(signers()))
}

fn stored() -> BTreeMap<PartyId, Arc<KeyShare>> {
    let read = |bytes: &&[u8]| Arc::new(KeyShare::from_bytes(bytes).unwrap());
    SHARES.iter().map(read).map(|share| (share.me(), share)).collect()
}

fn signers() -> Vec<Machine<cosign_core::hazmat::protocol::sign::Signing>> {
    let parties = [party(1), party(2)];
    sign_machines(&stored(), "decoded", &sign_setup("decoded", &parties, sha("decoded")))
}

fn refresh_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(refreshers()))
}

fn refreshers() -> Vec<Machine<cosign_core::hazmat::protocol::keygen::Keygen>> {
    refresh_machines("decoded", &stored())
}

fn reshare_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(resharers()))
}

/// Both parties of the key deal, and both are parties of it then.
fn resharers() -> Vec<Machine<cosign_core::hazmat::protocol::keygen::Keygen>> {
    let shares = stored();
    let identities = shares[&party(1)].identities().to_vec();
    reshare_machines("decoded", &shares, &[1, 2], 2, &identities)
}

fn batch_said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| said(batchers()))
}

fn batchers() -> Vec<Machine<cosign_core::hazmat::protocol::sign::BatchSigning>> {
    let digests = [sha("decoded"), sha("decoded, too")];
    let setup = batch_setup("decoded", &[party(1), party(2)], &digests);
    batch_machines(&stored(), "decoded", &setup)
}

/// One message of a signature or, from 128 on, of a batch of two, changed: the first byte says which.
pub(crate) fn message(bytes: &[u8]) {
    match bytes.first() {
        Some(0..128) => hear_a_lie(signers().swap_remove(0), sign_said(), bytes),
        Some(_) => hear_a_lie(batchers().swap_remove(0), batch_said(), bytes),
        None => {}
    }
}

/// As [`message`], of a key generation or, from 128 on, of a refresh or, from 192 on, of a reshare;
/// all take a hundred times as long.
pub(crate) fn dealing(bytes: &[u8]) {
    match bytes.first() {
        Some(0..128) => hear_a_lie(keygen_victim(), keygen_said(), bytes),
        Some(128..192) => hear_a_lie(refreshers().swap_remove(0), refresh_said(), bytes),
        Some(_) => hear_a_lie(resharers().swap_remove(0), reshare_said(), bytes),
        None => {}
    }
}

fn hear_a_lie<P: Protocol<Curve = Curve>>(machine: Machine<P>, said: &Said, bytes: &[u8]) {
    let Some((first, changes)) = bytes.split_first() else { return };
    let mut heard = said.clone();
    let place = usize::from(first % 128) % said.len();
    heard.values_mut().skip(place).take(1).for_each(|honest| *honest = changed(honest, changes));
    hear(machine, heard.into_values());
}

/// A party that hears `messages` from party 2.
fn hear<P: Protocol<Curve = Curve>>(
    mut machine: Machine<P>,
    messages: impl Iterator<Item = Vec<u8>>,
) {
    let mut heard = Heard::default();
    machine.start(now());
    for bytes in messages {
        heard.drain(&mut machine);
        machine.handle(now(), party(2), &bytes);
    }
    heard.drain(&mut machine);
}

/// The outputs of a machine that matter here.
#[derive(Default)]
struct Heard {
    retired: bool,
    failed: Option<Fault>,
}

impl Heard {
    fn drain<P: Protocol<Curve = Curve>>(&mut self, machine: &mut Machine<P>) {
        while let Some(output) = machine.poll() {
            assert!(self.failed.is_none(), "not silent after a failure");
            match output {
                Output::Persist(Persist::Retired { .. }) => self.retired = true,
                Output::Failed(fault) => {
                    assert_eq!(fault.bans(), self.retired, "{fault}");
                    self.failed = Some(fault);
                }
                Output::Send { .. } | Output::Done(_) => assert!(!self.retired),
                Output::Persist(_) | Output::Event(_) => {}
            }
        }
    }
}

/// Operations on a machine: calls that are early, late or repeated, messages of any type from any
/// party, changed or not, while time passes or stands still.
pub(crate) fn operations(bytes: &[u8]) {
    operate(signers().swap_remove(0), sign_said(), bytes);
}

fn operate<P: Protocol<Curve = Curve>>(mut machine: Machine<P>, said: &Said, operations: &[u8]) {
    let mut heard = Heard::default();
    let mut time = now();
    let messages: Vec<&Vec<u8>> = said.values().collect();
    for [operation, a, b, c] in operations.as_chunks::<4>().0 {
        let honest = messages[usize::from(*a) % messages.len()];
        match operation % 8 {
            0 => machine.start(time),
            1..=3 => machine.handle(time, party(2), honest),
            4 => machine.handle(time, party(2), &changed(honest, &[*b, *c, *operation])),
            5 => machine.handle(time, party(b % 16 + 1), honest),
            6 => machine.handle(time, party(2), &operations[..usize::from(*c) % operations.len()]),
            _ => {
                time += TIMEOUT / u32::from(b % 4 + 1);
                machine.tick(time);
            }
        }
        heard.drain(&mut machine);
        assert!(machine.awaiting().len() <= 1);
    }
}
