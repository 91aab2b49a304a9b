//! `cosign bench`

use super::args::BenchArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_bench(_global: &Global, _args: BenchArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
