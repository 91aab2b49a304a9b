//! Payments of Bitcoin.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosign::crypto::curve::encode_point;
use cosign::payload::bitcoin::finish::{finalized, signed};
use cosign::payload::bitcoin::payment::{self, Payment};
use cosign::payload::bitcoin::{Network, Xpub};
use cosign::payload::curve::Signer;
use cosign::payload::{Payload, Source};
use k256::{ProjectivePoint, Scalar};

use super::given::is_shown;
use crate::changes::changed;

/// The key that signs the payments of `tests/bitcoin/payments.json`.
fn xpub() -> Xpub {
    let point = ProjectivePoint::GENERATOR * Scalar::from(0x00c0_ffee_u64);
    Xpub::new(&encode_point(&point.to_affine()).unwrap(), [0x5c; 32]).unwrap()
}

/// Every kind of input, in both versions, unsigned and signed.
fn honest() -> &'static [Vec<u8>] {
    static HONEST: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    HONEST.get_or_init(|| {
        let known = include_str!("../../bitcoin/payments.json");
        let known: Vec<String> = serde_json::from_str(known).unwrap();
        known.iter().map(|psbt| BASE64.decode(psbt).unwrap()).collect()
    })
}

/// A payment, raw and as a change of an honest one: what is read is shown, adds up and can be signed.
pub(crate) fn payment(bytes: &[u8]) {
    read(bytes);
    let which = bytes.first().copied().map_or(0, usize::from);
    let honest = honest();
    if let Some(honest) = honest.get(which % honest.len()) {
        read(&changed(honest, bytes));
    }
}

fn read(bytes: &[u8]) {
    let form = payment::check(bytes);
    let _ = finalized(bytes);
    for network in Network::ALL {
        let Ok(read) = Payment::read(bytes, network, &xpub()) else { continue };
        assert_eq!(form, Ok(()));
        let summary = &read.summary;
        let sum: u64 = summary.outputs.iter().map(|output| output.amount.0).sum();
        assert_eq!(sum, summary.leaves.0 + summary.returns.0);
        assert_eq!(sum + summary.fee.0, summary.spends.0);
        assert!((1..=payment::MAX_SIGNATURES).contains(&read.items.len()));
        let source = Source::Psbt { network, size: bytes.len() as u64 };
        if let Ok(payload) =
            Payload::read_for(&source, bytes.to_vec(), &Signer::Secp256k1(xpub()), &[])
        {
            assert_eq!(payload.items(), read.items);
            is_shown(&source, &payload);
        }
        let der = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
        let signatures: Vec<_> = read.items.iter().map(|item| (item, der.to_vec())).collect();
        let signed = signed(bytes, &signatures).unwrap();
        assert_eq!(payment::check(&signed), Ok(()));
    }
}
