//! `cosign keys refresh`

use super::args::RefreshArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_refresh(_global: &Global, _args: RefreshArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
