//! Who may import whom: the table of ARCHITECTURE.md, enforced.

use std::fs;
use std::path::Path;

/// Each module and what it may import; `*` is everything.
const TABLE: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("party", &[]),
    ("device", &[]),
    ("crypto", &["secret", "party", "device"]),
    ("protocol", &["secret", "party", "device", "crypto"]),
    ("progress", &["device", "crypto"]),
    ("talk", &["device", "progress"]),
    ("token", &["secret", "device"]),
    ("vault", &["secret", "device", "token"]),
    ("net", &["secret", "device"]),
    ("report", &["device", "party", "progress", "talk", "protocol", "token", "vault", "net"]),
    (
        "run",
        &[
            "secret", "party", "device", "crypto", "protocol", "progress", "talk", "vault", "net",
            "report",
        ],
    ),
    ("ui", &["secret", "device", "progress", "report"]),
    ("cli", &["*"]),
];

#[test]
fn no_module_imports_what_lies_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in TABLE {
        let mut files = vec![source.join(format!("{module}.rs"))];
        collect(&source.join(module), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for import in code.split("crate::").skip(1) {
                let target: String =
                    import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let fine = target == *module
                    || allowed.contains(&"*")
                    || allowed.contains(&target.as_str())
                    || !TABLE.iter().any(|(name, _)| *name == target);
                if !fine {
                    wrong.push(format!("{}: {module} must not import {target}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn collect(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
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
