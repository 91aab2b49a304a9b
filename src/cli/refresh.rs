//! `cosign keys refresh`: new shares of the same key.

use crate::cli::args::RefreshArgs;
use crate::cli::ceremony::{key, parties, targets, with_node};
use crate::cli::{Global, Output, keygen};
use crate::report::Failure;
use crate::run::keygen::refresh;

/// `cosign keys refresh`
pub(super) fn run_refresh(global: &Global, args: RefreshArgs) -> Result<Output, Failure> {
    let RefreshArgs { name, reach } = args;
    let interface = reach.interface.clone();
    with_node(global, None, interface, |node| async move {
        let record = key(global, &node, name.as_deref(), "NAME").await?;
        let others = targets(&parties(&node, &record)?, &reach)?;
        keygen::output(&refresh(&node, &record.name, &others).await?)
    })
}
