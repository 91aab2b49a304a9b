//! The texts in the sources: every string, and every command that is put together.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::LitStr;

/// A string in the sources, outside tests, comments and the help of the command line.
pub(crate) struct Said {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// Everything that the sources say, and the commands that they put together.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) said: Vec<Said>,
    /// The words of a command; what is known only when the program runs is `x`.
    pub(crate) commands: Vec<Vec<String>>,
}

impl Sources {
    pub(crate) fn read() -> Self {
        let mut sources = Self::default();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for path in files(&root) {
            let file = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let tokens: TokenStream = fs::read_to_string(&path).unwrap().parse().unwrap();
            sources.walk(&file, tokens);
        }
        sources
    }

    fn walk(&mut self, file: &str, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = trees.as_slice();
        while let [first, more @ ..] = rest {
            rest = more;
            match (first, more) {
                // The mark of an attribute of the whole file.
                (TokenTree::Punct(mark), _) if mark.as_char() == '!' => {}
                (TokenTree::Punct(hash), _) if hash.as_char() == '#' => {
                    rest = after_attribute(more)
                }
                (TokenTree::Ident(name), [TokenTree::Group(arguments), ..])
                    if *name == "here" || *name == "there" =>
                {
                    self.commands.extend(command(arguments.stream()));
                }
                (TokenTree::Group(group), _) => self.walk(file, group.stream()),
                (TokenTree::Literal(literal), _) => {
                    if let Some(text) = text(&literal.to_string()) {
                        self.said.push(Said { file: file.to_owned(), text });
                    }
                }
                _ => {}
            }
        }
    }
}

/// What follows an attribute, and the tests that it marks.
fn after_attribute(trees: &[TokenTree]) -> &[TokenTree] {
    let is_mark = |tree: &TokenTree| matches!(tree, TokenTree::Punct(p) if p.as_char() == '!');
    match trees {
        [mark, more @ ..] if is_mark(mark) => after_attribute(more),
        [
            TokenTree::Group(attribute),
            TokenTree::Ident(word),
            _,
            TokenTree::Group(_),
            after @ ..,
        ] if attribute.stream().to_string().replace(' ', "") == "cfg(test)" && *word == "mod" => {
            after
        }
        [TokenTree::Group(attribute), after @ ..]
            if attribute.delimiter() == Delimiter::Bracket =>
        {
            after
        }
        other => other,
    }
}

fn text(literal: &str) -> Option<String> {
    syn::parse_str::<LitStr>(literal).ok().map(|literal| literal.value())
}

/// The words of `here(&[word, …], &[operand, …])`.
fn command(arguments: TokenStream) -> Option<Vec<String>> {
    let lists: Vec<TokenStream> = arguments
        .into_iter()
        .filter_map(|tree| match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                Some(group.stream())
            }
            _ => None,
        })
        .collect();
    // Where the words are in a variable, the failures that use them are looked at instead.
    let [words, operands] = lists.as_slice() else { return None };
    // The parameters of the functions themselves.
    let is_literal = |tree: TokenTree| matches!(tree, TokenTree::Literal(_));
    words.clone().into_iter().next().filter(|first| is_literal(first.clone()))?;
    Some([words, operands].into_iter().flat_map(|list| elements(list.clone())).collect())
}

fn elements(list: TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = list.into_iter().collect();
    let is_comma = |tree: &TokenTree| matches!(tree, TokenTree::Punct(p) if p.as_char() == ',');
    let element = |trees: &[TokenTree]| match trees {
        [TokenTree::Literal(literal)] => text(&literal.to_string()),
        [] => None,
        _ => Some("x".to_owned()),
    };
    trees.split(is_comma).filter_map(element).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    found.sort();
    found
}
