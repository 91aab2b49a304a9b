//! `cosign pair`

use super::args::PairArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_pair(_global: &Global, _args: PairArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
