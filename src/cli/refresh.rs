//! `cosign keys refresh`: new shares of the same key.

use crate::cli::args::RefreshArgs;
use crate::cli::ceremony::{Setup, key, parties, targets, with_node};
use crate::cli::{Global, Output, keygen};
use crate::driver::ceremony::keygen::refresh;
use crate::report::Failure;

/// `cosign keys refresh`
pub(super) fn run_refresh(global: &Global, args: RefreshArgs) -> Result<Output, Failure> {
    let RefreshArgs { name, reach } = args;
    with_node(global, None, Setup::from(&reach), |node| async move {
        let record = key(global, &node, name.as_deref(), "NAME").await?;
        let others = targets(&parties(&node, &record)?, &reach)?;
        keygen::output(&refresh(&node, &record.name, &others).await?)
    })
}
