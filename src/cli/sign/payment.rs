//! A signed payment: the PSBT with the key's signatures, or the transaction.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use super::{delivered_elsewhere, view};
use crate::cli::Output;
use crate::cli::args::SignArgs;
use crate::cli::output::{Body, Sink};
use crate::device::hex;
use crate::driver::ceremony::sign::Outcome;
use crate::payload::bitcoin::finish::{finalized, signed};
use crate::report::{self, Code, Failure};

/// The signed payment in JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SignedPayment {
    /// With the signatures, in base64.
    psbt: String,
    /// The transaction as the network takes it, in hexadecimal, if it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    tx: Option<String>,
    /// Whether every input has all its signatures.
    complete: bool,
}

impl SignedPayment {
    /// `None` if it is no payment, or this device receives no signatures.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        let payload = outcome.payload.as_ref()?;
        if payload.items().is_empty() || outcome.signatures.is_empty() {
            return None;
        }
        let ders = outcome.signatures.iter().map(|signature| signature.der());
        let signatures: Vec<_> = payload.items().iter().zip(ders).collect();
        let psbt = signed(payload.bytes(), &signatures).ok()?;
        let tx = finalized(&psbt).ok().flatten();
        Some(Self { psbt: BASE64.encode(&psbt), complete: tx.is_some(), tx: tx.map(|tx| hex(&tx)) })
    }
}

/// How the payment is written; by default as a PSBT in base64 to standard output.
#[derive(Debug)]
pub(super) struct Form {
    sink: Sink,
    /// As the transaction and not as a PSBT.
    finalize: bool,
    /// In binary, as it was given.
    binary: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self { sink: Sink::Stdout, finalize: false, binary: false }
    }
}

impl Form {
    /// To a file in the form in which it was given, to standard output as text.
    pub(super) fn new(args: &SignArgs, binary: bool, json: bool) -> Result<Self, Failure> {
        let to_file = args.output.as_deref().is_some_and(|path| path != Path::new("-"));
        let finalize = args.finalize;
        let binary = binary && to_file && !finalize;
        let sink = Sink::new(args.output.as_deref(), binary, json)?;
        if !args.force {
            sink.is_new()?;
        }
        Ok(Self { sink, finalize, binary })
    }

    /// Writes it.
    pub(super) fn deliver(&self, outcome: &Outcome) -> Result<Output, Failure> {
        let result = view(outcome);
        let Some(signed) = result.payment.clone() else {
            return Output::new(result, delivered_elsewhere(outcome));
        };
        let (text, missing) = match (&signed.tx, self.finalize) {
            (Some(tx), true) => (tx.clone(), false),
            (None, true) => (signed.psbt.clone(), true),
            (_, false) => (signed.psbt.clone(), false),
        };
        let bytes = match self.binary {
            true => BASE64.decode(&signed.psbt).map_err(|_| report::bug("a PSBT is no base64"))?,
            false => format!("{text}\n").into_bytes(),
        };
        let incomplete = || {
            Failure::new(
                Code::Invalid,
                "others have to sign too: here is the PSBT, and no transaction",
            )
            .hint("give it to those who sign the other inputs, or their part of these")
        };
        match self.sink.put(bytes) {
            Ok(body) if missing => Ok(Output::with_body(result, body)?.but(incomplete())),
            Ok(body) => Output::with_body(result, body),
            // The signatures exist and will not be made again, so the message contains them.
            Err(failure) => {
                let message = format!("{}; the signed PSBT is {}", failure.message, signed.psbt);
                let failure = Failure { message, ..failure };
                Ok(Output::with_body(result, Body::Nothing)?.but(failure))
            }
        }
    }
}
