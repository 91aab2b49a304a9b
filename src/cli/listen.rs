//! `cosign listen`

use super::args::ListenArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_listen(_global: &Global, _args: ListenArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
