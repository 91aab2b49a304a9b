//! `cosign discover`

use super::args::DiscoverArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_discover(_global: &Global, _args: DiscoverArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
