//! The confinement of the process with a module (docs/tokens.md §4).
//!
//! Modules differ, so the limits are wide: they may read the system's libraries and settings, use
//! readers and network modules, and write where tokens are stored. Other files of the user, and
//! other programs, are out of reach.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sandbox::{Files, Sockets, confine_calls, confine_files};

/// Confines this process before `module` is loaded.
pub(super) fn confine(module: &Path) {
    confine_files(&reach(module));
    confine_calls(Sockets::Local);
}

fn reach(module: &Path) -> Files<PathBuf> {
    let paths = |fixed: &[&str]| fixed.iter().map(PathBuf::from).collect::<Vec<_>>();
    let mut files = Files { read: paths(SYSTEM), write: paths(DEVICES_AND_TOKENS) };
    // A link is followed before it is checked, so its own folder and that of its target are
    // allowed.
    let folders = [module.parent().map(Path::to_owned), resolved_folder(module)];
    files.read.extend(folders.into_iter().flatten());
    // Read to compare it with a module for another kind of machine.
    files.read.extend(program());
    let libraries = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    files.read.extend(env::split_paths(&libraries).filter(|path| path.is_absolute()));
    if let Some(home) = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) {
        files.read.extend(SETTINGS.iter().map(|place| home.join(place)));
        files.write.extend(TOKENS.iter().map(|place| home.join(place)));
    }
    for path in named() {
        if path.is_dir() { &mut files.write } else { &mut files.read }.push(path);
    }
    let folders: Vec<PathBuf> = files.read.iter().filter_map(|file| token_folder(file)).collect();
    files.write.extend(folders);
    files
}

fn resolved_folder(module: &Path) -> Option<PathBuf> {
    fs::canonicalize(module).ok()?.parent().map(Path::to_owned)
}

/// Files and folders in variables about tokens, such as `SOFTHSM2_CONF`.
fn named() -> impl Iterator<Item = PathBuf> {
    let about = |name: &OsStr| {
        let name = name.to_string_lossy();
        ["PKCS11", "P11", "HSM", "OPENSC"].iter().any(|word| name.contains(word))
    };
    let named = env::vars_os().filter(move |(name, _)| about(name)).map(|(_, value)| value.into());
    named.filter(|path: &PathBuf| path.is_absolute())
}

/// The token folder of SoftHSM2 in its settings, which are at `settings` or below it.
fn token_folder(settings: &Path) -> Option<PathBuf> {
    const NAME: &str = "softhsm2.conf";
    let file = if settings.is_dir() { settings.join(NAME) } else { settings.to_owned() };
    if file.metadata().ok()?.len() > LONGEST_SETTINGS {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "directories.tokendir").then_some(value.trim())
    });
    value.map(PathBuf::from).filter(|folder| folder.is_absolute())
}

const LONGEST_SETTINGS: u64 = 64 << 10;

/// Libraries, settings and device information of the system.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix",
    "/gnu",
    "/snap",
    "/etc",
    "/etc/softhsm",
    "/proc",
    "/sys",
    "/run/udev",
    "/run/pcscd",
    "/run/systemd/resolve",
];

/// Devices, and the folders of system-wide tokens.
const DEVICES_AND_TOKENS: &[&str] = &[
    "/dev",
    "/run/lock",
    "/run/opencryptoki",
    "/var/lib/softhsm",
    "/var/lib/opencryptoki",
    "/var/lib/tpm2_pkcs11",
];

/// The same below the user's home.
const SETTINGS: &[&str] = &[".config/softhsm2", ".config/opensc", ".config/pkcs11", ".eid"];
const TOKENS: &[&str] = &[".cache/opensc", ".tpm2_pkcs11", ".pki", ".softhsm2"];

/// The path of this program. On Linux it is valid even if the file was replaced.
pub(super) fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lie_where_softhsm_says() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let file = write("softhsm2.conf", "# x\ndirectories.tokendir =  /a b/tokens \nlog = 1\n");
        let there = Some(PathBuf::from("/a b/tokens"));
        assert_eq!(token_folder(&file), there);
        assert_eq!(token_folder(dir.path()), there);
        for other in ["", "directories.tokendir", "directories.tokendir = relative", "= /x"] {
            assert_eq!(token_folder(&write("other", other)), None, "{other}");
        }
        assert_eq!(token_folder(&dir.path().join("absent")), None);
    }

    #[test]
    fn a_module_that_is_linked_to_reaches_what_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let [real, links] = ["real", "links"].map(|name| dir.path().join(name));
        for folder in [&real, &links] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(real.join("module.so"), "").unwrap();
        std::os::unix::fs::symlink(real.join("module.so"), links.join("module.so")).unwrap();
        let files = reach(&links.join("module.so"));
        assert!(files.read.contains(&links) && files.read.contains(&real.canonicalize().unwrap()));
    }

    #[test]
    fn a_module_does_not_reach_the_users_files() {
        let files = reach(Path::new("/somewhere/else/module.so"));
        let home = PathBuf::from(env::var_os("HOME").unwrap());
        let covers = |place: &PathBuf, path: &Path| path.starts_with(place);
        for secret in [".ssh/id_ed25519", ".local/share/cosign/vault.json", ".bashrc"] {
            let secret = home.join(secret);
            assert!(!files.read.iter().chain(&files.write).any(|place| covers(place, &secret)));
        }
        assert!(files.read.contains(&PathBuf::from("/somewhere/else")));
        assert!(!files.write.iter().any(|place| covers(place, Path::new("/etc/passwd"))));
    }
}
