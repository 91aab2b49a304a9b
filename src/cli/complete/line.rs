//! Words of command lines, unquoted as a shell reads them and quoted again.

/// A bash command line up to the cursor.
#[derive(Debug)]
pub(super) struct Line {
    words: Vec<String>,
    /// How many bytes of the last word bash keeps: it completes only what follows the last of its
    /// word breaks, or the open quote.
    kept: usize,
    quote: Option<char>,
}

impl Line {
    /// Reads `line`; `breaks` is `COMP_WORDBREAKS`.
    pub(super) fn parse(line: &str, breaks: &str) -> Self {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let (mut kept, mut quote) = (0, None);
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (None, ' ' | '\t') => {
                    words.extend(word.take());
                    kept = 0;
                }
                (None, '\'' | '"') => {
                    quote = Some(c);
                    kept = word.get_or_insert_default().len();
                }
                (Some(open), c) if open == c => quote = None,
                (None | Some('"'), '\\') => {
                    let next = chars.next();
                    let word = word.get_or_insert_default();
                    // Between double quotes a backslash escapes only these characters.
                    if quote.is_some() && !matches!(next, Some('$' | '`' | '"' | '\\')) {
                        word.push('\\');
                    }
                    word.extend(next);
                }
                _ => {
                    let word = word.get_or_insert_default();
                    word.push(c);
                    if quote.is_none() && matches!(c, '=' | ':') && breaks.contains(c) {
                        kept = word.len();
                    }
                }
            }
        }
        words.push(word.unwrap_or_default());
        // `VARIABLE=value cosign …`
        let begin = words.iter().take_while(|word| is_assignment(word)).count();
        words.drain(..begin.min(words.len().saturating_sub(1)));
        Self { words, kept, quote }
    }

    /// The words; the last is the one at the cursor and may be empty.
    pub(super) fn words(&self) -> Vec<String> {
        self.words.clone()
    }

    /// The replacement for the part that bash completes, so that the last word becomes `text`;
    /// `None` if `text` cannot be written inside the open quote.
    pub(super) fn typed(&self, text: &str) -> Option<String> {
        let rest = text.get(self.kept..)?;
        let special = match self.quote {
            None => return Some(escaped(rest, self.kept == 0)),
            Some('\'') => "'",
            Some(_) => "\"$`\\!",
        };
        (!rest.contains(|c| special.contains(c))).then(|| rest.to_owned())
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// `text` with a backslash before every character that is special to a shell.
fn escaped(text: &str, whole: bool) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c);
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        let home = whole && i == 0 && text.starts_with("~/");
        if !plain(c) && !home {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// `text` as one word of PowerShell.
pub(super) fn powershell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=%+~".contains(c);
    // PowerShell takes typographic quotes as quotes, so they are doubled as well.
    let quotes = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
    if text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("'");
    for c in text.chars() {
        out.push(c);
        if quotes.contains(&c) {
            out.push(c);
        }
    }
    out + "'"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BREAKS: &str = " \t\n\"'><=;|&(:";

    fn typed(line: &str, text: &str) -> Option<String> {
        Line::parse(line, BREAKS).typed(text)
    }

    #[test]
    fn words_lose_their_quotes() {
        for (line, expected) in [
            ("cosign sign ", &["cosign", "sign", ""][..]),
            ("cosign  sign --key=va", &["cosign", "sign", "--key=va"]),
            ("cosign 'a b' \"c d\" e\\ f", &["cosign", "a b", "c d", "e f"]),
            (r#"cosign "a\"b\n" '\' "#, &["cosign", "a\"b\\n", "\\", ""]),
            ("A=1 B= cosign x", &["cosign", "x"]),
            ("cosign \"open qu", &["cosign", "open qu"]),
            ("", &[""]),
        ] {
            assert_eq!(Line::parse(line, BREAKS).words(), expected, "{line}");
        }
    }

    #[test]
    fn bash_is_given_what_follows_its_last_word_break() {
        assert_eq!(typed("cosign sign --key va", "vault").unwrap(), "vault");
        assert_eq!(typed("cosign sign --key=va", "--key=vault").unwrap(), "vault");
        assert_eq!(typed("cosign sign --peer bob=10.0.0.1:7", "bob=10.0.0.1:77").unwrap(), "77");
        let without = Line::parse("cosign sign --key=va", " ");
        assert_eq!(without.typed("--key=vault").unwrap(), "--key=vault");
    }

    #[test]
    fn a_name_never_becomes_more_than_one_word() {
        let hostile = "$(reboot); `x` 'a' \"b\" *|&<>#!~{}[]?\\é";
        let typed = typed("cosign peers forget ", hostile).unwrap();
        assert_eq!(Line::parse(&typed, BREAKS).words(), [hostile]);
        let kept: Vec<char> = typed.chars().collect();
        for (i, c) in kept.iter().enumerate() {
            let bare = i == 0 || kept[i - 1] != '\\';
            assert!(!bare || c.is_alphanumeric() || *c == '\\', "{typed}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_completed_reads_back_as_that_word(
            begun in "[ '\"\\\\a-c=:~$]{0,8}",
            word in "[ -~éß=:'\"\\\\$`]{1,12}",
        ) {
            let line = Line::parse(&format!("cosign {begun}"), BREAKS);
            let last = line.words().pop().unwrap_or_default();
            let text = format!("{last}{word}");
            if let Some(typed) = line.typed(&text)
                && line.quote.is_none()
                && line.kept == 0
            {
                let again = Line::parse(&format!("cosign {typed}"), BREAKS);
                prop_assert_eq!(again.words().pop(), Some(text));
            }
        }
    }

    #[test]
    fn inside_a_quote_only_what_stays_inside_is_offered() {
        assert_eq!(typed("cosign --key \"va", "vault").unwrap(), "vault");
        assert_eq!(typed("cosign pair 'Bob", "Bob phone").unwrap(), "Bob phone");
        assert_eq!(typed("cosign pair 'Bob", "Bob's phone"), None);
        assert_eq!(typed("cosign pair \"a", "a$(reboot)"), None);
    }

    #[test]
    fn the_tilde_of_a_home_folder_stays_one() {
        assert_eq!(typed("cosign sign --file ~/re", "~/release 1").unwrap(), "~/release\\ 1");
        assert_eq!(typed("cosign pair ", "~x").unwrap(), "\\~x");
    }

    #[test]
    fn powershell_gets_one_word() {
        assert_eq!(powershell("vault"), "vault");
        assert_eq!(powershell("Bob's $(x)"), "'Bob''s $(x)'");
        assert_eq!(powershell("a\u{2019}b"), "'a\u{2019}\u{2019}b'");
    }
}
