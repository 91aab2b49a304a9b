//! Reads memcheck's reports and returns those that are not allowed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::verdicts::{VERDICTS, Verdict};

/// A report as far as it matters.
pub struct Report<'a> {
    text: &'a str,
    /// The function in which it happened.
    function: &'a str,
    /// The innermost place in the core: file below `core/src`, and line.
    place: Option<(&'a str, usize)>,
}

/// The reports in the output of valgrind, which separates them by lines with nothing in them.
pub fn reports(output: &str) -> Vec<Report<'_>> {
    let empty = |line: &str| line.starts_with("==") && line.trim_end().ends_with("==");
    let mut reports = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for line in output.split_inclusive('\n') {
        let after = end + line.len();
        if empty(line) {
            reports.extend(report(&output[start..end]));
            start = after;
        }
        end = after;
    }
    reports.extend(report(&output[start..]));
    reports
}

fn report(text: &str) -> Option<Report<'_>> {
    let about = ["Conditional jump", "Use of uninit", "uninitialised byte"];
    if !about.iter().any(|words| text.contains(words)) {
        return None;
    }
    // `==PID==    at 0xADDRESS: FUNCTION (FILE:LINE)`, then `by` instead of `at`.
    let frames = text.lines().filter_map(|line| {
        let (_, frame) = line.split_once(" 0x")?.1.split_once(": ")?;
        let (function, place) = frame.rsplit_once(" (")?;
        Some((function, place.strip_suffix(')')?))
    });
    let function = frames.clone().next()?.0;
    let place = frames.into_iter().find_map(|(_, place)| {
        let (file, line) = place.rsplit_once(':')?;
        let (before, file) = file.rsplit_once("/src/")?;
        let ours = file.starts_with("crypto/") || file.starts_with("protocol/");
        (ours && !before.contains(".cargo/")).then_some(())?;
        Some((file, line.parse().ok()?))
    });
    Some(Report { text, function, place })
}

/// The complaints without a verdict, and the verdicts that allowed others.
pub fn refused<'a>(
    reports: &[Report<'a>],
    source: &Path,
    used: &mut BTreeSet<usize>,
) -> Vec<&'a str> {
    let mut refused = Vec::new();
    for report in reports {
        match VERDICTS.iter().position(|verdict| allows(verdict, report, source)) {
            Some(at) => {
                used.insert(at);
            }
            None => refused.push(report.text),
        }
    }
    refused
}

fn allows(verdict: &Verdict, report: &Report<'_>, source: &Path) -> bool {
    let Some((file, number)) = report.place else { return false };
    if file != verdict.file || !report.function.starts_with(verdict.function) {
        return false;
    }
    let text = fs::read_to_string(source.join(file)).unwrap_or_default();
    text.lines().nth(number - 1).is_some_and(|line| line.trim() == verdict.line)
}
