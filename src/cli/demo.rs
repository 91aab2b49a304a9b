//! `cosign demo`

use super::args::DemoArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_demo(_global: &Global, _args: DemoArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
