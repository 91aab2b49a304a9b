//! The runtime that a command's work runs in.

use std::future::Future;

use crate::report::{Code, Failure};
use crate::ui::ending;

/// Runs `work` to its end, on one thread.
///
/// # Errors
/// The error of `work`.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Code::System, format!("the runtime cannot start: {e}")))?;
    let result = runtime.block_on(work);
    // Does not wait for a thread that still reads the terminal.
    runtime.shutdown_background();
    result
}

/// Runs questions; a signal to end cancels them.
pub(super) fn ask<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    block_on(async {
        tokio::select! {
            result = work => result,
            () = ending() => Err(Failure::new(Code::Interrupted, "interrupted")),
        }
    })
}
