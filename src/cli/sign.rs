//! `cosign sign`

use super::args::SignArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_sign(_global: &Global, _args: SignArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
