//! Enforces the table of ARCHITECTURE.md, and that paths in SECURITY.md exist.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, Meta};

/// Modules and what each may import; `*` is everything.
type Table = &'static [(&'static str, &'static [&'static str])];

/// Below `core/src`.
const CORE: Table = &[
    ("secret", &[]),
    ("party", &[]),
    ("device", &[]),
    ("crypto", &["secret", "party", "device"]),
    ("protocol", &["secret", "party", "device", "crypto"]),
];

/// Below `src`, where modules of the core go by their names, too.
const PROGRAM: Table = &[
    ("device", &[]),
    ("curve", &[]),
    ("payload", &["device", "curve", "crypto"]),
    ("request", &["party", "device", "curve", "crypto", "payload"]),
    ("pasted", &["device", "curve", "crypto"]),
    ("progress", &["party", "device", "curve", "payload", "request"]),
    ("wire", &["party", "device", "curve", "payload", "request"]),
    ("sandbox", &[]),
    ("error_kind", &[]),
    ("token", &["secret", "device", "sandbox", "error_kind"]),
    ("vault", &["secret", "party", "device", "curve", "token", "error_kind"]),
    ("net", &["secret", "device"]),
    (
        "driver",
        &[
            "secret",
            "party",
            "device",
            "curve",
            "error_kind",
            "crypto",
            "protocol",
            "payload",
            "request",
            "progress",
            "wire",
            "vault",
            "net",
        ],
    ),
    (
        "policy",
        &[
            "device",
            "curve",
            "error_kind",
            "crypto",
            "payload",
            "request",
            "pasted",
            "vault",
            "driver",
        ],
    ),
    (
        "report",
        &[
            "policy",
            "device",
            "curve",
            "party",
            "error_kind",
            "payload",
            "request",
            "progress",
            "wire",
            "protocol",
            "token",
            "vault",
            "net",
            "driver",
            "ui",
        ],
    ),
    ("ui", &["secret", "device", "curve", "payload", "request", "progress"]),
    ("cli", &["*"]),
];

#[test]
fn no_module_imports_what_lies_above_it() {
    let mut wrong = Vec::new();
    for (source, table) in sources() {
        for (module, allowed) in table {
            let mut files = vec![source.join(format!("{module}.rs"))];
            collect(&source.join(module), &mut files);
            for file in files {
                let place = file.strip_prefix(&source).unwrap();
                let text = fs::read_to_string(&file).unwrap();
                let bad = forbidden(module, allowed, place, &text);
                wrong.extend(
                    bad.iter().map(|b| format!("{}: {module} must not use {b}", file.display())),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    for (source, table) in sources() {
        let mut names: Vec<String> = fs::read_dir(source)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "lib" && name != "main")
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut table: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        table.sort_unstable();
        assert_eq!(names, table);
    }
}

/// A file and those in its folder: neither counts as importing the other.
fn is_above(one: &[String], other: &[String]) -> bool {
    other.starts_with(one) || one.starts_with(other)
}

/// Files, each with those that it names.
type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The imports between these files, by module, without their tests. A name that a common parent
/// re-exports is no import.
fn imports(files: &BTreeMap<Vec<String>, String>) -> Imports {
    let of = |(module, text): (&Vec<String>, &String)| {
        let mut named = Vec::new();
        let file = syn::parse_file(text).unwrap();
        file.items.iter().for_each(|item| named_in(item, module, &mut named));
        let file = |path: &Vec<String>| {
            (1..=path.len()).rev().map(|end| path[..end].to_vec()).find(|m| files.contains_key(m))
        };
        let others = named.iter().filter_map(file).filter(|other| !is_above(other, module));
        (module.clone(), others.collect())
    };
    files.iter().map(of).collect()
}

/// The files in cycles of imports.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<Vec<String>>> {
    let reached = |from: &Vec<String>| {
        let (mut seen, mut rest) = (BTreeSet::new(), vec![from]);
        while let Some(next) = rest.pop().and_then(|file| imports.get(file)) {
            rest.extend(next.iter().filter(|file| seen.insert((*file).clone())));
        }
        seen
    };
    let reached: Imports = imports.keys().map(|file| (file.clone(), reached(file))).collect();
    let circle = |file: &Vec<String>| {
        let back = reached[file].iter().filter(|other| reached[*other].contains(file));
        back.cloned().collect::<BTreeSet<_>>()
    };
    reached.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

/// The types of a ceremony's rounds lead from one to the next, and share their results.
fn is_rounds(circle: &BTreeSet<Vec<String>>) -> bool {
    let is_round = |file: &Vec<String>| file.last().unwrap().starts_with("round");
    let folders: BTreeSet<&[String]> = circle.iter().map(|file| &file[..file.len() - 1]).collect();
    circle.iter().all(is_round) && folders.len() == 1
}

#[test]
fn no_files_import_one_another_but_rounds() {
    for (source, _) in sources() {
        let mut files = Vec::new();
        collect(&source, &mut files);
        let module = |file: &PathBuf| {
            let place = file.strip_prefix(&source).unwrap().with_extension("");
            let parts = place.iter().map(|part| part.to_str().unwrap().to_owned());
            (parts.collect::<Vec<_>>(), fs::read_to_string(file).unwrap())
        };
        let files: BTreeMap<_, _> = files.iter().map(module).collect();
        let circles = circles(&imports(&files));
        let wrong: Vec<_> = circles.iter().filter(|circle| !is_rounds(circle)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", source.display());
    }
}

#[test]
fn every_way_to_close_a_circle_is_seen() {
    let files = |back: &str| {
        let all = [
            ("ui", "mod lines; mod model; use model::Model;"),
            ("ui/lines", "use super::model::Model;"),
            ("ui/model", back),
            ("ui/text", "use super::lines::f; use super::Model;"),
        ];
        let module = |file: &str| file.split('/').map(str::to_owned).collect::<Vec<_>>();
        all.map(|(file, text)| (module(file), text.to_owned())).into_iter().collect()
    };
    for back in [
        "use super::lines::allowed;",
        "use super::{lines::allowed, text};",
        "use super::{text, lines::{self, allowed}};",
        "use crate::ui::lines;",
        "use super::text::f;",
        "fn f() { g!(super::lines::allowed()) }",
        "mod inner { use super::super::lines::allowed; }",
    ] {
        assert_eq!(circles(&imports(&files(back))).len(), 1, "{back}");
    }
    for fine in [
        "",
        "use super::f; use super::super::wire;",
        "#[cfg(test)] mod tests { use super::super::lines::allowed; }",
        "/// See super::lines. \n fn f() { g(\"super::lines\") }",
    ] {
        assert!(circles(&imports(&files(fine))).is_empty(), "{fine}");
    }
}

/// Collects the paths from the crate's root that `item`, in `module`, names.
fn named_in(item: &Item, module: &[String], named: &mut Vec<Vec<String>>) {
    if attributes(item).iter().any(is_test) {
        return;
    }
    match item {
        Item::Mod(inner) => {
            let within = [module, &[inner.ident.to_string()]].concat();
            let items = inner.content.iter().flat_map(|(_, items)| items);
            items.for_each(|item| named_in(item, &within, named));
        }
        item => paths(item.to_token_stream(), module, named),
    }
}

/// Collects the paths that begin with `crate`, or with as many `super` as there are.
fn paths(tokens: TokenStream, module: &[String], named: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize| tokens.get(at).map(ToString::to_string).unwrap_or_default();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            paths(group.stream(), module, named);
        }
        let mut above = match word(at).as_str() {
            "crate" => Vec::new(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            _ => {
                at += 1;
                continue;
            }
        };
        while word(at + 1) == ":" && word(at + 3) == "super" {
            above.pop();
            at += 3;
        }
        if word(at + 1) == ":" && word(at + 2) == ":" {
            below(&tokens[at + 3..], above, named);
        }
        at += 1;
    }
}

/// The paths at the start of `tokens`, below `above`: one, or those of a list in braces.
fn below(tokens: &[TokenTree], mut above: Vec<String>, named: &mut Vec<Vec<String>>) {
    match tokens {
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let list: Vec<TokenTree> = group.stream().into_iter().collect();
            for path in list.split(|token| token.to_string() == ",") {
                below(path, above.clone(), named);
            }
        }
        [TokenTree::Ident(name), rest @ ..] => {
            if name != "self" {
                above.push(name.to_string());
            }
            let goes_on = rest.iter().take(2).filter(|token| token.to_string() == ":").count() == 2;
            match rest.get(2..) {
                Some(rest) if goes_on => below(rest, above, named),
                _ => named.push(above),
            }
        }
        _ => named.push(above),
    }
}

fn sources() -> [(PathBuf, Table); 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [(root.join("core/src"), CORE), (root.join("src"), PROGRAM)]
}

#[test]
fn every_way_to_write_a_forbidden_import_is_seen() {
    let place = Path::new("vault/keys.rs");
    let bad = [
        "use crate::net::Link;",
        "use crate::{device, net};",
        "use crate::{device::hex, net::{Link, Frame}};",
        "use super::super::net::Link;",
        "use super::super::{device, net};",
        "mod inner { use super::super::super::net::Link; }",
        "fn f() -> crate::net::Link { todo!() }",
        "fn f() { g!(crate::net::CAP) }",
        "use crate::*;",
        "use crate as root;",
        "use cosign::net;",
        "use cosign_core::protocol::machine::Machine;",
        "#[cfg(not(test))] use crate::net::Link;",
        "#[cfg(test)] mod tests { use crate::net::Link; } use crate::net::Frame;",
    ];
    for text in bad {
        assert!(
            !forbidden("vault", &["secret", "party", "device", "token"], place, text).is_empty(),
            "{text}"
        );
    }
    let fine = [
        "use crate::device::hex; pub(crate) fn f() {} pub(in crate::vault) fn g() {}",
        "use crate::{device, secret::Secret}; use super::super::token;",
        "#[cfg(test)] mod tests { use crate::net::Link; }",
        "#[cfg(all(test, unix))] use crate::net::Link;",
        "/// See crate::net. \n fn f() { g(\"crate::net\") } // crate::net",
    ];
    for text in fine {
        let found = forbidden("vault", &["secret", "party", "device", "token"], place, text);
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
}

/// What the file at `place` uses of what `module` may not, apart from its tests.
fn forbidden(module: &str, allowed: &[&str], place: &Path, text: &str) -> Vec<String> {
    let depth = place.components().count();
    let mut used = Vec::new();
    let file = syn::parse_file(text).unwrap();
    file.items.iter().for_each(|item| walk(item, depth, &mut used));
    used.retain(|target| {
        let known = target == "*" || CORE.iter().chain(PROGRAM).any(|(name, _)| name == target);
        known && target != module && !allowed.contains(&"*") && !allowed.contains(&target.as_str())
    });
    used
}

/// Collects the modules below the crate's root that `item` names, at `depth` modules below it.
fn walk(item: &Item, depth: usize, used: &mut Vec<String>) {
    if attributes(item).iter().any(is_test) {
        return;
    }
    match item {
        Item::Mod(inner) => {
            let items = inner.content.iter().flat_map(|(_, items)| items);
            items.for_each(|item| walk(item, depth + 1, used));
        }
        item => scan(item.to_token_stream(), depth, used),
    }
}

/// Whether `#[cfg(…)]` keeps what it is on out of everything but tests.
fn is_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let condition: String =
        list.tokens.to_string().chars().filter(|c| !c.is_whitespace()).collect();
    list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// Looks for paths that begin at a crate's root: `crate::…`, `cosign::…`, `cosign_core::…`, or as many
/// `super::` as lead there.
fn scan(tokens: TokenStream, depth: usize, used: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize| tokens.get(at).map(ToString::to_string).unwrap_or_default();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            scan(group.stream(), depth, used);
        }
        let mut end = at + 1;
        let mut steps = usize::from(word(at) == "super");
        while steps > 0 && word(end) == ":" && word(end + 2) == "super" {
            (steps, end) = (steps + 1, end + 3);
        }
        if steps == depth || matches!(word(at).as_str(), "crate" | "cosign" | "cosign_core") {
            if word(end) == "as" {
                used.push("*".to_owned());
            } else if word(end) == ":" && word(end + 1) == ":" {
                first_names(tokens.get(end + 2), used);
            }
        }
        at = if steps > 0 { end } else { at + 1 };
    }
}

/// The first name of each path in `token`: a name, `*`, or a list in braces.
fn first_names(token: Option<&TokenTree>, used: &mut Vec<String>) {
    let Some(TokenTree::Group(group)) = token else {
        used.extend(token.map(ToString::to_string));
        return;
    };
    if group.delimiter() == Delimiter::Brace {
        let list: Vec<TokenTree> = group.stream().into_iter().collect();
        for path in list.split(|token| token.to_string() == ",") {
            first_names(path.first(), used);
        }
    }
}

/// A path of the table is one in the repository or below `src`.
#[test]
fn every_test_that_the_table_of_attacks_names_is_there() {
    let security = fs::read_to_string("SECURITY.md").unwrap();
    let rows: Vec<&str> = security.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let paths: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!paths.is_empty(), "no test is named: {row}");
        for path in paths {
            assert!(Path::new(path).exists() || Path::new("src").join(path).exists(), "{path}");
        }
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
