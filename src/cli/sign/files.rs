//! The signatures of several files: a list on the screen, or one file for each in a folder.

use std::path::Path;

use super::{SignatureView, delivered_elsewhere, view};
use crate::cli::args::{SignArgs, SignatureFormat};
use crate::cli::output::{Body, Sink};
use crate::cli::{Output, signature};
use crate::device::hex;
use crate::driver::ceremony::sign::Outcome;
use crate::driver::on_curve::Signature;
use crate::payload::NamedFile;
use crate::payload::file::OneOf;
use crate::report::{Code, Failure};

/// Where the signatures go. Everything is checked before anybody is asked.
pub(super) struct Places(Vec<Sink>);

impl Places {
    /// `FILE.sig` for each of `files` in the folder of `-o`, or the list.
    pub(super) fn new(args: &SignArgs, files: &[NamedFile], json: bool) -> Result<Self, Failure> {
        let usage = |message: &str| {
            Failure::new(Code::Usage, message).hint("name a folder for their signatures: -o FOLDER")
        };
        let Some(folder) = &args.output else {
            return match args.format {
                Some(_) => Err(usage("--format is for one signature")),
                None => Ok(Self(Vec::new())),
            };
        };
        if folder == Path::new("-") {
            return Err(usage("-o - is for one signature"));
        }
        let sink = |file: &NamedFile| {
            let place = folder.join(format!("{}.sig", file.name.as_str()));
            let sink = Sink::new(Some(&place), true, json)?;
            if !args.force {
                sink.is_new()?;
            }
            Ok(sink)
        };
        Ok(Self(files.iter().map(sink).collect::<Result<_, Failure>>()?))
    }

    /// Writes the signatures.
    pub(super) fn deliver(
        &self,
        outcome: &Outcome,
        format: Option<SignatureFormat>,
    ) -> Result<Output, Failure> {
        let result = view(outcome);
        if outcome.signatures.is_empty() || self.0.is_empty() {
            return Output::new(result, list(outcome));
        }
        for ((_, made), sink) in outcome.files().zip(&self.0) {
            let one = SignatureView::under(&outcome.public_key, made);
            let bytes = signature::encode(made, format, true, &one)?;
            // The signatures exist and will not be made again, so the message contains them.
            if let Err(failure) = sink.put(bytes) {
                let message = format!("{}; the signatures are\n{}", failure.message, list(outcome));
                let failure = Failure { message, ..failure };
                return Ok(Output::with_body(result, Body::Nothing)?.but(failure));
            }
        }
        Output::with_body(result, Body::Nothing)
    }
}

/// A line for each file: its signature in DER, and its name.
pub(super) fn list(outcome: &Outcome) -> String {
    if outcome.signatures.is_empty() {
        return delivered_elsewhere(outcome);
    }
    let line = |(file, signature): (&OneOf, &Signature)| {
        format!("{}  {}\n", hex(&signature.der()), file.name.as_str())
    };
    outcome.files().map(line).collect()
}
