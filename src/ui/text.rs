//! Text in columns of a terminal, and texts that several views share.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::device::{shell_word, spelled, visible};
use crate::request::Ceremony;

/// The sentence about a request that a rule has allowed.
pub(super) fn allowed(rule: &str, ceremony: Ceremony, peer: &str) -> String {
    format!("{rule} of the policy allows this {ceremony} by {peer}: no person was asked")
}

/// The command that makes a key with these devices.
pub fn keygen_with<'a>(peers: impl IntoIterator<Item = &'a str>) -> String {
    let mut command = "cosign keygen --key vault --with".to_owned();
    peers.into_iter().for_each(|peer| command += &format!(" {}", shell_word(peer)));
    command
}

/// How many columns `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in quotes, for names of other devices: characters that do not print are spelled out, and
/// runs of blanks are made visible, since they could push words into another column.
pub(super) fn quoted(text: &str) -> String {
    visible(&spelled(&format!("{text:?}")))
}

/// `text` without quotes, with unprintable characters spelled out. Quotes and backslashes stay: a
/// command must be the same when it is copied.
pub(super) fn bare(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// `text` cut to `columns`, with `…` where something is missing.
pub(super) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (start, _) = split(text, columns.saturating_sub(1));
    format!("{start}…")
}

/// `text` in quotes, cut within them to `columns` in all.
pub(super) fn quoted_in(text: &str, columns: usize) -> String {
    format!("\"{}\"", clip(&visible(&bare(text)), columns.saturating_sub(2)))
}

/// `text`, cut or filled up to exactly `columns`.
pub(super) fn cell(text: &str, columns: usize) -> String {
    let clipped = clip(text, columns);
    let gap = columns.saturating_sub(width(&clipped));
    clipped + &" ".repeat(gap)
}

/// All of `digits`, without blanks, on lines of equal length of at most `columns`.
fn rows(digits: &str, columns: usize) -> Vec<String> {
    let lines = digits.len().div_ceil(columns).max(1);
    let even = digits.len().div_ceil(lines).next_multiple_of(4).min(columns);
    let chars: Vec<char> = digits.chars().collect();
    chars.chunks(even).map(|line| line.iter().collect()).collect()
}

/// All of `text` on lines of at most `columns`, broken between words where that is possible.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    if text.len() > columns && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return rows(text, columns);
    }
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let (fits, tail) = split(rest, columns);
        if tail.is_empty() {
            break;
        }
        // Breaks after the last space, unless the line would be mostly empty.
        let end = match fits.rfind(' ') {
            Some(space) if width(fits.get(..space).unwrap_or_default()) * 3 > columns => space + 1,
            _ => fits.len(),
        };
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        lines.push(line.to_owned());
        rest = tail;
    }
    lines.push(rest.to_owned());
    lines
}

/// A line of a card as labels and parts of at most `columns` in all. The rest goes on below the
/// fact, never below the label, so that no value can imitate a row.
pub(super) fn under_label(line: &str, columns: usize) -> Vec<(String, String)> {
    let labelled = line.starts_with("  ") || line.starts_with(CHANGED);
    let (label, fact) = match line.split_at_checked(LABEL) {
        Some(split) if labelled => split,
        _ => ("", line),
    };
    let first = columns.saturating_sub(width(label));
    let mut parts = wrap(fact, first).into_iter();
    let mut rows = vec![(label.to_owned(), parts.next().unwrap_or_default())];
    if label.is_empty() {
        // The second line of a title is narrower than its first.
        let rest: String = parts.collect();
        parts = wrap(&rest, columns.saturating_sub(LABEL)).into_iter();
        if rest.is_empty() {
            return rows;
        }
    }
    rows.extend(parts.map(|part| (" ".repeat(LABEL), part)));
    rows
}

/// Marks a line of a card whose fact differs from the last card.
pub(super) const CHANGED: &str = "* ";
/// The columns of `  fingerprint  `.
pub(super) const LABEL: usize = 15;

/// The longest start of `text` that fits into `columns`, of at least one character, and the rest.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    let end = text
        .char_indices()
        .find(|(at, c)| {
            used += c.width().unwrap_or(0);
            *at > 0 && used > columns
        })
        .map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_loses_nothing_and_never_exceeds_the_columns() {
        for text in ["", "one two three four five", "日本語の目的 and more", &"x".repeat(50)]
        {
            for columns in 2..20 {
                let lines = wrap(text, columns);
                assert_eq!(lines.concat(), text);
                assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
            }
        }
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("shares and proofs", 11), ["shares and ", "proofs"]);
    }

    #[test]
    fn long_numbers_are_cut_into_equal_lines() {
        let lines = wrap(&"0123456789abcdef".repeat(9), 63);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [48, 48, 48]);
        assert_eq!(lines.concat(), "0123456789abcdef".repeat(9));
    }

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(clip("release.tar", 8), "release…");
        assert_eq!(clip("release", 8), "release");
        assert_eq!(width(&clip("日本語", 4)), 3);
        assert_eq!(cell("ab", 4), "ab  ");
        assert_eq!(quoted_in("release", 9), "\"release\"");
        assert_eq!(quoted_in("release", 8), "\"relea…\"");
    }

    #[test]
    fn what_does_not_fit_goes_on_below_the_fact() {
        let purpose = format!("  purpose      \"pay{}digest       00\"", " ".repeat(70));
        for columns in [40, 60, 80, 120] {
            let rows = under_label(&purpose, columns);
            assert_eq!(rows[0].0, "  purpose      ");
            assert!(rows.iter().skip(1).all(|(label, _)| *label == " ".repeat(LABEL)), "{rows:?}");
            let facts: String = rows.iter().map(|(_, fact)| fact.as_str()).collect();
            assert_eq!(facts, purpose[LABEL..]);
            assert!(rows.iter().all(|(a, b)| width(a) + width(b) <= columns), "{rows:?}");
        }
        let title = format!("pairing with \"{}digest\"", "x".repeat(50));
        let rows = under_label(&title, 40);
        assert_eq!(rows[1].0, " ".repeat(LABEL), "{rows:?}");
    }

    #[test]
    fn runs_of_blanks_are_seen() {
        assert_eq!(quoted("pay  digest"), "\"pay␣␣digest\"");
        assert_eq!(quoted("pay the invoice"), "\"pay the invoice\"");
        assert_eq!(visible("a\u{a0}b\u{3000}c"), "a␣b␣c");
        assert_eq!(visible("a\u{2800}\u{2800}b\u{1d159}c"), "a␣␣b␣c");
    }

    #[test]
    fn marks_that_pile_up_are_spelled_out() {
        assert_eq!(quoted("a\u{301}\u{302}"), r#""a\u{301}\u{302}""#);
        assert_eq!(bare("a\u{e000}b"), r"a\u{e000}b");
    }

    #[test]
    fn a_command_is_shown_as_it_is_to_be_typed() {
        let command = r#"cosign pair 'Bob'\''s "phone"'"#;
        assert_eq!(bare(command), command);
    }
}
