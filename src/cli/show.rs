//! `cosign show`: prints what would be signed, as the signers see it.

use serde::Serialize;

use super::args::ShowArgs;
use super::{Global, Output, digest};
use crate::payload::{Source, Summary};
use crate::report::Failure;
use crate::ui::{lines, terminal};

#[derive(Serialize)]
struct Shown<'a> {
    digest: String,
    source: &'a Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Summary>,
}

/// `cosign show`
pub(super) fn run_show(global: &Global, args: &ShowArgs) -> Result<Output, Failure> {
    let digest = digest::of(args.digest.as_deref(), &args.payload, global.deadline)?;
    let payload = digest.payload.as_ref().map(|payload| payload.summary());
    let columns = terminal::output_columns();
    let card = lines::payload_card(&digest.bytes, &digest.source, payload, columns);
    let shown = Shown { digest: digest.hex(), source: &digest.source, payload };
    Output::new(shown, card.join("\n"))
}
