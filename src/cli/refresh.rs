//! `cosign keys refresh`: new shares of the same key.

use crate::cli::args::{ReachArgs, RefreshArgs};
use crate::cli::ceremony::{Setup, holders, key, targets, unopened, with_node};
use crate::cli::runtime::ask;
use crate::cli::{Global, Output, backup, keygen};
use crate::driver::ceremony::keygen::refresh;
use crate::driver::connect::target::Target;
use crate::report::Failure;
use crate::vault::Home;

/// `cosign keys refresh`
pub(super) fn run_refresh(global: &Global, args: RefreshArgs) -> Result<Output, Failure> {
    let RefreshArgs { name, reach } = args;
    let home = unopened(global)?;
    let name = ask(async { Ok(key(global, &home, name.as_deref(), "NAME").await?.name) })?;
    others(&home, &name, &reach)?;
    with_node(global, None, Setup::from(&reach), |node| async move {
        let others = others(&node.home, &name, &reach)?;
        let made = refresh(&node, &name, &others).await?;
        global.screen.note(format!(
            "backups of {name:?} from before restore nothing any more, and enough of them still make the key: destroy \
             them; on each device {} makes a new one",
            backup::command(&made.record)
        ));
        keygen::output(&made)
    })
}

/// The other parties of the key `name`, and how to reach them.
fn others(home: &Home, name: &str, reach: &ReachArgs) -> Result<Vec<Target>, Failure> {
    targets(&holders(home, name)?, reach)
}
