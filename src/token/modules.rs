//! The PKCS#11 modules of this system: the module files of p11-kit (pkcs11.conf(5)).

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::Uri;

/// The modules to search: the one in `uri`, else the one that was `named`, else all that p11-kit
/// knows. The paths are absolute and unique.
pub(super) fn candidates(uri: &Uri, named: Option<&Path>) -> Vec<PathBuf> {
    let asked = match (&uri.module_path, &uri.module_name, named) {
        (Some(path), None, _) if !path.is_dir() => vec![path.clone()],
        (Some(folder), name, _) => in_folder(folder, name.as_deref()),
        (None, Some(name), _) => FOLDERS
            .iter()
            .map(|folder| in_folder(Path::new(folder), Some(name)))
            .find(|found| !found.is_empty())
            .unwrap_or_else(|| configured(&config_folders(), Some(name))),
        (None, None, Some(path)) => vec![path.to_owned()],
        (None, None, None) => configured(&config_folders(), None),
    };
    let mut files = Vec::new();
    let mut paths = Vec::new();
    for path in asked {
        let path = std::path::absolute(&path).unwrap_or(path);
        let file = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if !files.contains(&file) {
            files.push(file);
            paths.push(path);
        }
    }
    paths
}

/// The modules in a folder: the one called `name`, or all.
fn in_folder(folder: &Path, name: Option<&str>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "so" || e == "dylib"))
        .filter(|path| name.is_none_or(|name| is_called(path, name)))
        .collect();
    found.sort();
    found
}

fn is_called(path: &Path, name: &str) -> bool {
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    stem == name || stem.strip_prefix("lib") == Some(name)
}

/// The modules of p11-kit's module files, of which a later folder overrides an earlier one.
fn configured(folders: &[PathBuf], name: Option<&str>) -> Vec<PathBuf> {
    let mut files = BTreeMap::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_some_and(|e| e == "module")
                && let Some(file) = path.file_name()
            {
                files.insert(file.to_owned(), path);
            }
        }
    }
    let called = |file: &OsStr, module: &Path| {
        let stem = Path::new(file).file_stem().and_then(OsStr::to_str);
        name.is_none_or(|name| stem == Some(name) || is_called(module, name))
    };
    files
        .into_iter()
        .filter_map(|(file, path)| Some((file, parse(&fs::read_to_string(path).ok()?)?)))
        .filter_map(|(file, module)| Some((file, placed(module)?)))
        .filter(|(file, module)| called(file, module))
        .map(|(_, module)| module)
        .collect()
}

/// The module in a module file; `None` if it is disabled for this program, a store of certificates,
/// or a command instead of a library.
pub fn parse(text: &str) -> Option<PathBuf> {
    let field = |name: &str| {
        text.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let names_us = |list: String| list.split([',', ' ']).any(|program| program == "cosign");
    let enabled = field("enable-in").is_none_or(names_us);
    let disabled = field("disable-in").is_some_and(names_us);
    let trust = field("trust-policy").is_some_and(|value| value == "yes");
    if !enabled || disabled || trust || field("remote").is_some() {
        return None;
    }
    field("module").filter(|module| !module.is_empty()).map(PathBuf::from)
}

/// A relative module is looked for in the usual folders, never in the current one, since a file
/// there must not be run.
fn placed(module: PathBuf) -> Option<PathBuf> {
    if module.is_absolute() {
        return Some(module);
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(&module)).find(|path| path.exists())
}

/// The folders of module files; later ones override earlier ones.
fn config_folders() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let user = home.map(|home| home.join(".config/pkcs11/modules"));
    ["/usr/share/p11-kit/modules", "/usr/local/share/p11-kit/modules", "/etc/pkcs11/modules"]
        .iter()
        .map(PathBuf::from)
        .chain(user)
        .collect()
}

/// The folders into which p11-kit's packages install modules.
const FOLDERS: &[&str] = &[
    #[cfg(target_arch = "x86_64")]
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    #[cfg(target_arch = "aarch64")]
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    #[cfg(target_arch = "arm")]
    "/usr/lib/arm-linux-gnueabihf/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/local/lib/pkcs11",
    "/opt/homebrew/lib/pkcs11",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_file_names_its_library_unless_it_is_not_for_us() {
        let module = |text: &str| parse(text).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(module("# c\n\nmodule: /lib/a.so\n"), Some("/lib/a.so".into()));
        assert_eq!(module("module:a.so\npriority: 1\n"), Some("a.so".into()));
        assert_eq!(module("#module: /lib/a.so\n"), None);
        assert_eq!(module("module: /lib/a.so\ntrust-policy: yes\n"), None);
        assert_eq!(module("remote: |ssh host p11-kit remote x\nmodule: /lib/a.so\n"), None);
        assert_eq!(module("module: /lib/a.so\ndisable-in: seahorse cosign\n"), None);
        assert_eq!(
            module("module: /lib/a.so\nenable-in: seahorse, cosign\n"),
            Some("/lib/a.so".into())
        );
        assert_eq!(module("module: /lib/a.so\nenable-in: seahorse\n"), None);
        assert_eq!(module(""), None);
    }

    #[test]
    fn a_later_folder_overrides_a_module_file_of_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["system", "user"].map(|name| dir.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        fs::write(folders[0].join("a.module"), "module: /lib/old.so\n").unwrap();
        fs::write(folders[0].join("b.module"), "module: /lib/libb.so\n").unwrap();
        fs::write(folders[1].join("a.module"), "module: /lib/new.so\n").unwrap();
        fs::write(folders[1].join("c.conf"), "module: /lib/c.so\n").unwrap();
        fs::write(folders[1].join("d.module"), "module: Cargo.toml\n").unwrap();
        assert!(Path::new("Cargo.toml").exists(), "what lies in the current folder");
        let found = |name| configured(&folders, name);
        assert_eq!(found(None), [PathBuf::from("/lib/new.so"), "/lib/libb.so".into()]);
        assert_eq!(found(Some("b")), [PathBuf::from("/lib/libb.so")]);
        assert_eq!(
            found(Some("a")),
            [PathBuf::from("/lib/new.so")],
            "by the name of its module file"
        );
        assert_eq!(found(Some("x")), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_named_module_is_the_only_one_asked() {
        let named = Some(Path::new("/lib/b.so"));
        assert_eq!(candidates(&Uri::default(), named), [PathBuf::from("/lib/b.so")]);
        let uri: Uri = "pkcs11:?module-path=/lib/a.so".parse().unwrap();
        assert_eq!(candidates(&uri, named), [PathBuf::from("/lib/a.so")]);
        let dir = tempfile::tempdir().unwrap();
        for name in ["libone.so", "two.so", "three.dylib", "four.txt", "readme"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let uri = |query: &str| {
            format!("pkcs11:?module-path={}{query}", dir.path().display()).parse::<Uri>().unwrap()
        };
        assert_eq!(candidates(&uri("&module-name=one"), None), [dir.path().join("libone.so")]);
        assert_eq!(candidates(&uri(""), None).len(), 3);
    }
}
