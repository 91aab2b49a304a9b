//! The identity of a device, and cleaning of text that another device chose.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

pub use cosign_core::{Fingerprint, NotAFingerprint, grouped, hex, unhex};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most characters of a [`Label`].
pub const MAX_LABEL_CHARS: usize = 256;

/// Text that another device chose, cleaned for display.
///
/// Control characters, bidirectional controls and zero-width characters are dropped when it is
/// made, and text longer than [`MAX_LABEL_CHARS`] is cut and marked with `…`. It is still a claim
/// of the other side: show it quoted, beside the fingerprint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Label(String);

impl Label {
    /// Cleans `text` and cuts it to [`MAX_LABEL_CHARS`].
    pub fn new(text: &str) -> Self {
        Self::capped(text, MAX_LABEL_CHARS)
    }

    /// Cleans `text` and cuts it to `limit` characters.
    pub fn capped(text: &str, limit: usize) -> Self {
        let mut kept: String =
            text.chars().filter(|c| is_printable(*c)).take(limit.saturating_add(1)).collect();
        if kept.chars().count() > limit {
            kept = kept.chars().take(limit.saturating_sub(1)).collect();
            kept.push('…');
        }
        Self(kept.trim().to_owned())
    }

    /// The clean text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no printable character was left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    /// Cleans what it reads, so that text from another device is always a label.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A name that another version gave, such as that of a message or a reason, cleaned for display: 1 to
/// 32 of letters, digits, `_` and `-`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word([u8; 32]);

impl Word {
    /// `text` with a `-` for whatever stands between its ASCII letters, digits, `_` and `-`, cut to 32
    /// bytes; `unnamed` if nothing is left.
    pub fn new(text: &str) -> Self {
        let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let parts: Vec<&str> =
            text.split(|c| !is_kept(c)).filter(|part| !part.is_empty()).collect();
        let kept = if parts.is_empty() { "unnamed".to_owned() } else { parts.join("-") };
        let mut word = [0; 32];
        word.iter_mut().zip(kept.bytes()).for_each(|(byte, kept)| *byte = kept);
        Self(word)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).and_then(|word| str::from_utf8(word).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Word {
    /// Reads a name, or the name of an object's first field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word, E> {
                Ok(Word::new(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
                let first: Option<(String, IgnoredAny)> = map.next_entry()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                let (name, _) = first.ok_or_else(|| A::Error::custom("no word"))?;
                Ok(Word::new(&name))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

/// `text` without control characters (except line ends and tabs), bidirectional controls and
/// invisible characters, for terminals.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || is_printable(*c)).collect()
}

/// As [`shown`], on one line: line ends and tabs become spaces.
pub fn shown_on_one_line(text: &str) -> String {
    let space = |c| if matches!(c, '\n' | '\t') { ' ' } else { c };
    text.chars().map(space).filter(|c| is_printable(*c)).collect()
}

/// The same JSON value, with the characters that [`shown`] drops as escapes.
pub fn shown_json(json: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// `text` with what [`shown`] drops, and what a terminal draws into the character before it, spelled out as
/// `\u{3164}`: vowels and finals of Hangul that follow none.
pub fn spelled(text: &str) -> String {
    let is_hangul = |c: char| matches!(c, '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}');
    let joins = |c: char| matches!(c, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}');
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if !is_printable(c) || joins(c) && !is_hangul(last) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        last = c;
    }
    out
}

fn is_printable(c: char) -> bool {
    let invisible = matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}');
    !c.is_control() && !invisible
}

/// `word` quoted as one word for a shell. Other devices choose their names, and people copy the
/// commands in hints. A word that is not UTF-8, or of which [`shown_on_one_line`] would change a character, so that
/// the command would name another file, is spelled out for the shell's `printf`.
pub fn shell_word(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_bytes();
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:=@+,".contains(b);
    match std::str::from_utf8(bytes) {
        // zsh replaces a leading `=` and a name by the path of a program.
        Ok(text)
            if !text.is_empty()
                && !text.starts_with('=')
                && bytes.iter().all(|b| is_plain(b) || *b == b'%') =>
        {
            text.to_owned()
        }
        Ok(text) if text.chars().all(is_printable) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            // A leading dash would be an option of `printf`.
            let octal = |(at, b): (usize, &u8)| match is_plain(b) && (at > 0 || *b != b'-') {
                true => char::from(*b).to_string(),
                false => format!("\\{b:03o}"),
            };
            format!("\"$(printf '{}')\"", bytes.iter().enumerate().map(octal).collect::<String>())
        }
    }
}

/// Whether `c` takes space but draws nothing: a space of any kind, or a character without ink
/// (Braille without dots, a note without a head, fillers).
fn is_blank(c: char) -> bool {
    let inkless = matches!(c, '\u{2800}' | '\u{13441}' | '\u{13442}' | '\u{16FE4}' | '\u{1D159}');
    c.is_whitespace() || inkless
}

/// `text` with blanks as `␣` if they are in a run or are not an ordinary space: invisible blanks
/// could push text of another device into another column.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut after_blank = false;
    while let Some(c) = chars.next() {
        let blank = is_blank(c);
        let run = after_blank || chars.peek().is_some_and(|next| is_blank(*next));
        out.push(if blank && (run || c != ' ') { '␣' } else { c });
        after_blank = blank;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\rd\u{202e}e\u{200b}f\u{7}g\nh\ti";
        assert_eq!(shown(hostile), "a[2Jb31mcdefg\nh\ti");
        assert_eq!(shown_on_one_line(hostile), "a[2Jb31mcdefg h i");
    }

    #[test]
    fn a_word_is_short_and_plain() {
        for (text, word) in [
            ("out_of_office", "out_of_office"),
            ("new-word", "new-word"),
            ("New Word", "New-Word"),
            (" --ev\u{1b}[31mil\nline ", "ev-31mil-line"),
            ("\u{fc}nlaut", "nlaut"),
            ("", "unnamed"),
            ("\0\u{202e}", "unnamed"),
            (&"x".repeat(33), &"x".repeat(32)),
        ] {
            assert_eq!(Word::new(text).as_str(), word, "{text:?}");
        }
    }

    #[test]
    fn what_would_not_be_seen_is_spelled_out() {
        assert_eq!(spelled("pay\u{3164}bob\u{202e}"), "pay\\u{3164}bob\\u{202e}");
        assert_eq!(spelled("pay\u{1161}bob"), "pay\\u{1161}bob");
        // Korean as some systems write file names.
        let decomposed = "\u{1112}\u{1161}\u{11ab}";
        assert_eq!(spelled(decomposed), decomposed);
    }

    #[test]
    fn json_says_the_same_when_it_is_shown() {
        let hostile = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041}\n\"é\"";
        let json = serde_json::to_string(hostile).unwrap();
        let plain = shown_json(&json);
        assert!(plain.chars().all(is_printable), "{plain:?}");
        assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), hostile);
    }

    #[test]
    fn escapes_bidi_and_zero_width_characters_never_reach_the_screen() {
        let label = Label::new("al\u{1b}[31mi\u{202e}c\u{200b}e\r\n\u{7}");
        assert_eq!(label.as_str(), "al[31mice");
    }

    #[test]
    fn text_from_another_device_is_cleaned_when_it_is_read() {
        let sent = "pay \u{1b}[2J\u{7} the \u{202e}invoice\u{200b}\n";
        let read: Label = serde_json::from_str(&serde_json::json!(sent).to_string()).unwrap();
        assert_eq!(read.as_str(), "pay [2J the invoice");
    }

    #[test]
    fn whatever_a_device_is_called_is_one_word_to_the_shell() {
        for (text, word) in [
            ("bob-2.local:7700", "bob-2.local:7700"),
            ("x; touch y", "'x; touch y'"),
            ("Bob's $(phone)", r"'Bob'\''s $(phone)'"),
            ("~root", "'~root'"),
            ("=ls", "'=ls'"),
            ("", "''"),
            ("50% off", "'50% off'"),
            ("a\u{202e}b", r#""$(printf 'a\342\200\256b')""#),
            ("-\t", r#""$(printf '\055\011')""#),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn a_shell_reads_from_the_screen_the_word_that_was_meant() {
        for word in [
            &b"/tmp/a\xe2\x80\xaeb"[..],
            b"/tmp/a\tb \n c",
            b"/tmp/\xff%s\\n'$HOME`id`\xe2\x80\x8b",
            b"-n\x07\"!",
            b"--\x7f",
        ] {
            let command = format!("printf %s {}", shell_word(OsStr::from_bytes(word)));
            assert_eq!(shown_on_one_line(&command), command);
            for shell in ["sh", "bash"] {
                let said =
                    std::process::Command::new(shell).args(["-c", &command]).output().unwrap();
                assert_eq!(
                    said.stdout.escape_ascii().to_string(),
                    word.escape_ascii().to_string(),
                    "{shell}: {command}"
                );
            }
        }
    }

    #[test]
    fn a_long_label_is_cut_and_marked() {
        let label = Label::capped(&"x".repeat(100), 10);
        assert_eq!(label.as_str(), "xxxxxxxxx…");
    }
}
