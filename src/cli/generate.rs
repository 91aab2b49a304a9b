//! `cosign completions` and `cosign man`, generated from the definition of the command line.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::args::{CompletionsArgs, ManArgs};
use super::output::{Body, unwritable};
use super::{Output, complete, manual};
use crate::device::shown_on_one_line;
use crate::report::{Code, Failure};

/// Prints a completion script.
pub(super) fn run_completions(args: &CompletionsArgs) -> Result<Output, Failure> {
    let Some(script) = complete::script(args.shell) else {
        return Err(Failure::new(Code::Usage, format!("there is no script for {}", args.shell)));
    };
    let result = json!({ "shell": args.shell.to_string(), "script": script });
    Output::with_body(result, Body::Raw(script.into()))
}

/// Writes the manual pages into a folder, or prints the first one.
pub(super) fn run_man(args: ManArgs) -> Result<Output, Failure> {
    let pages = manual::pages();
    match args.dir {
        None => {
            let (_, first) = pages.into_iter().next().unwrap_or_default();
            Output::with_body(json!({ "page": first }), Body::Raw(first.into_bytes()))
        }
        Some(dir) => {
            for (name, page) in &pages {
                let path = dir.join(name);
                write(&dir, name, page).map_err(|e| unwritable(&path.display().to_string(), &e))?;
            }
            let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
            let folder = shown_on_one_line(&dir.to_string_lossy());
            let text = format!("{} pages written to {folder}", names.len());
            Output::new(json!({ "pages": names }), text)
        }
    }
}

fn write(dir: &Path, name: &str, page: &str) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join(name), page)
}
