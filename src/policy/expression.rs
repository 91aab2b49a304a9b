//! The regular expression for the purpose in a rule.

use regex::Regex;
use regex_syntax::ast::{self, Ast, Flag, FlagsItemKind, GroupKind, Span};
use serde::de::{Deserialize, Deserializer, Error as _};

/// A regular expression over the whole purpose.
#[derive(Debug)]
pub(super) struct Purpose {
    text: String,
    expression: Regex,
}

impl Purpose {
    /// The expression as in the file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches all of `purpose`.
    pub(super) fn matches(&self, purpose: &str) -> bool {
        self.expression.is_match(purpose)
    }

    /// Whether a part of it matches any text of a requester.
    pub(super) fn is_open(&self) -> bool {
        let wildcard = [".*", ".+", ".{"].iter().any(|any| self.text.contains(any));
        wildcard || PROBES.iter().all(|probe| self.matches(probe))
    }

    /// Whether it has an unescaped dot, where a literal one may be meant.
    pub(super) fn has_wild_dot(&self) -> bool {
        let parsed = ast::parse::Parser::new().parse(&self.text);
        parsed.is_ok_and(|ast| {
            let mut dots = Dots(false);
            let Ok(()) = ast::visit(&ast, &mut dots);
            dots.0
        })
    }

    /// The expression as in the file, anchored at both ends.
    pub(super) fn anchored(&self) -> String {
        anchored(&self.text)
    }

    fn parse(text: String) -> Result<Self, String> {
        let complain = |e: regex::Error| last_line(&e.to_string());
        // Parsed without anchors first: `a)|(b` would otherwise escape them.
        Regex::new(&text).map_err(complain)?;
        let ascii = in_ascii(&text).map_err(|e| last_line(&e.to_string()))?;
        let expression = Regex::new(&anchored(&ascii)).map_err(complain)?;
        Ok(Self { text, expression })
    }
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?)
            .map_err(|why| D::Error::custom(format!("not a regular expression: {why}")))
    }
}

/// Random purposes that no rule can be meant for.
const PROBES: [&str; 2] = ["Zq7 \u{3b1}\u{1f980}!/xK", "42 \u{5d0}-_-#\u{20ac} Wv"];

fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

fn last_line(why: &str) -> String {
    why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The expression with `\d`, `\s`, `\w` and `\b` limited to ASCII, except where `(?u)` is given: a
/// rule for `release \d+` must not match digits of other scripts. A dot or a letter still matches
/// Unicode.
fn in_ascii(text: &str) -> Result<String, Box<ast::Error>> {
    let ast = ast::parse::Parser::new().parse(text).map_err(Box::new)?;
    let mut narrowing = Narrowing { unicode: vec![None], edits: Vec::new() };
    let Ok(()) = ast::visit(&ast, &mut narrowing);
    let mut narrowed = String::new();
    let mut done = 0;
    for (span, ascii) in narrowing.edits {
        narrowed.extend(text.get(done..span.start.offset));
        narrowed += ascii;
        done = span.end.offset;
    }
    narrowed.extend(text.get(done..));
    Ok(narrowed)
}

/// The replacements, in the order of the text.
struct Narrowing {
    /// The flag `u` in each open group, the innermost last; `None` where it is not given.
    unicode: Vec<Option<bool>>,
    edits: Vec<(Span, &'static str)>,
}

impl Narrowing {
    /// Whether the flag `u` is not given here.
    fn applies(&self) -> bool {
        self.unicode.last().is_none_or(Option::is_none)
    }

    fn set(&mut self, flags: &ast::Flags) {
        if let (Some(on), Some(unicode)) = (written(flags), self.unicode.last_mut()) {
            *unicode = Some(on);
        }
    }

    fn class(&mut self, class: &ast::ClassPerl) {
        if self.applies() {
            let ascii = match (&class.kind, class.negated) {
                (ast::ClassPerlKind::Digit, false) => r"[0-9]",
                (ast::ClassPerlKind::Digit, true) => r"[^0-9]",
                (ast::ClassPerlKind::Space, false) => r"[\t\n\x0B\x0C\r ]",
                (ast::ClassPerlKind::Space, true) => r"[^\t\n\x0B\x0C\r ]",
                (ast::ClassPerlKind::Word, false) => r"[0-9A-Za-z_]",
                (ast::ClassPerlKind::Word, true) => r"[^0-9A-Za-z_]",
            };
            self.edits.push((class.span, ascii));
        }
    }
}

/// The flag `u` in `flags`, if it is given.
fn written(flags: &ast::Flags) -> Option<bool> {
    let mut on = true;
    let mut said = None;
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation => on = false,
            FlagsItemKind::Flag(Flag::Unicode) => said = Some(on),
            FlagsItemKind::Flag(_) => {}
        }
    }
    said
}

impl ast::Visitor for &mut Narrowing {
    type Output = ();
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Group(group) => {
                let inherited = self.unicode.last().copied().flatten();
                self.unicode.push(inherited);
                if let GroupKind::NonCapturing(flags) = &group.kind {
                    self.set(flags);
                }
            }
            Ast::Flags(set) => self.set(&set.flags),
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) if self.applies() => {
                use ast::AssertionKind as Kind;
                let ascii = match assertion.kind {
                    Kind::WordBoundary => r"(?-u:\b)",
                    Kind::NotWordBoundary => r"(?-u:\B)",
                    Kind::WordBoundaryStart | Kind::WordBoundaryStartAngle => r"(?-u:\b{start})",
                    Kind::WordBoundaryEnd | Kind::WordBoundaryEndAngle => r"(?-u:\b{end})",
                    Kind::WordBoundaryStartHalf => r"(?-u:\b{start-half})",
                    Kind::WordBoundaryEndHalf => r"(?-u:\b{end-half})",
                    Kind::StartLine | Kind::EndLine | Kind::StartText | Kind::EndText => {
                        return Ok(());
                    }
                };
                self.edits.push((assertion.span, ascii));
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if let Ast::Group(_) = ast {
            self.unicode.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
        if let ast::ClassSetItem::Perl(class) = item {
            self.class(class);
        }
        Ok(())
    }
}

/// Whether a dot was found.
struct Dots(bool);

impl ast::Visitor for &mut Dots {
    type Output = ();
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        self.0 |= matches!(ast, Ast::Dot(_));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(expression: &str, purpose: &str) -> bool {
        Purpose::parse(expression.to_owned()).unwrap().matches(purpose)
    }

    #[test]
    fn classes_know_ascii_alone_unless_unicode_is_written() {
        for (expression, ascii, other) in [
            (r"release \d+", "release 12", "release \u{661}\u{662}"),
            (r"release [\d.]+", "release 1.2", "release 1.\u{662}"),
            (r"a\sb", "a b", "a\u{2003}b"),
            (r"\w+", "word_1", "wörd"),
            (r"[\w-]+", "two-words", "zwei-wörter"),
            (r"(?:\d|x)+", "1x", "\u{661}x"),
            (r"(?i)v\d", "V1", "V\u{661}"),
        ] {
            assert!(fits(expression, ascii), "{expression}: {ascii}");
            assert!(!fits(expression, other), "{expression}: {other}");
            assert!(fits(&format!("(?u){expression}"), other), "(?u){expression}: {other}");
            assert!(fits(&format!("(?u:{expression})"), other), "(?u:{expression}): {other}");
        }
    }

    #[test]
    fn unicode_ends_with_its_group() {
        assert!(fits(r"(?u:\d)\d", "\u{661}2"));
        assert!(!fits(r"(?u:\d)\d", "\u{661}\u{662}"));
        assert!(fits(r"((?u)\d)\d", "\u{661}2"));
        assert!(!fits(r"((?u)\d)\d", "\u{661}\u{662}"));
        assert!(fits(r"(?u)((?-u:\d)\d)", "1\u{662}"));
        assert!(!fits(r"(?u)((?-u:\d)\d)", "\u{661}\u{662}"));
    }

    #[test]
    fn what_is_not_of_a_class_is_any_unicode_text() {
        assert!(fits(r"für .\d", "für ø1"));
        assert!(fits(r"\D+", "größer"));
        assert!(!fits(r"\D+", "größer 1"));
        assert!(fits(r"[^\d]+\d", "größer 1"));
        assert!(fits(r"\p{Greek}+\d", "αβ1"));
        assert!(fits(r"\S\W\S", "a\u{e9}b"));
        assert!(fits(r".*\btest\b.*", "ein étest é"));
        assert!(!fits(r"(?u).*\btest\b.*", "ein étest é"));
        assert!(fits(r"te\Bst", "test"));
    }

    #[test]
    fn an_open_expression_is_told_from_a_closed_one() {
        let open = |text: &str| Purpose::parse(text.to_owned()).unwrap().is_open();
        assert!(open("release .*") && open(".+"));
        assert!(!open(r"release \d+\.\d+"));
    }

    #[test]
    fn a_dot_that_is_none_is_told_from_one_that_is() {
        let wild = |text: &str| Purpose::parse(text.to_owned()).unwrap().has_wild_dot();
        assert!(wild("release 1.2") && wild(r"a\.(b|c.)"));
        assert!(!wild(r"release \d+\.\d+") && !wild("release [.]5"));
    }
}
