//! `cosign keygen`

use super::args::KeygenArgs;
use super::{Global, Output};
use crate::report::{Code, Failure};

pub(super) fn run_keygen(_global: &Global, _args: KeygenArgs) -> Result<Output, Failure> {
    Err(Failure::new(Code::Internal, "not built yet"))
}
