//! Homes and vaults for tests, sealed to an identity file because that is quick.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::party::PartyId;

/// A device's home that is removed with this value.
pub(super) struct TestHome {
    pub(super) dir: TempDir,
    pub(super) home: Home,
}

impl std::ops::Deref for TestHome {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

/// The party with this index.
pub(super) fn party(index: u8) -> PartyId {
    PartyId::new(index).unwrap()
}

pub(super) fn home() -> TestHome {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    TestHome { dir, home }
}

/// An age identity file `name` in `dir`, and the recipient to seal to it.
pub(super) fn identity_file(dir: &Path, name: &str) -> (PathBuf, String) {
    let identity = age::x25519::Identity::generate();
    let path = dir.join(name);
    fs::write(&path, format!("# a comment\n{}\n", identity.to_string().expose_secret())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (path, identity.to_public().to_string())
}

pub(super) fn device() -> DeviceInfo {
    DeviceInfo {
        name: "Alice’s laptop".into(),
        fingerprint: Fingerprint::new([0xa1; 32]),
        certificate: vec![0x30, 0x03, 1, 2, 3],
        created: 1_790_000_000,
    }
}

pub(super) fn device_key() -> Secret<Vec<u8>> {
    Secret::new(b"the device key".to_vec())
}

/// A new vault, and the identity file that opens it.
pub(super) fn vault() -> (TestHome, Vault, PathBuf) {
    let home = home();
    let (file, _) = identity_file(home.dir.path(), "identity.txt");
    let seal = Seal::Identity(file.clone());
    let vault = Vault::create(&home, &device(), &device_key(), &seal, &[]).unwrap();
    (home, vault, file)
}

/// The names that appear in a folder, in order.
#[cfg(target_os = "linux")]
pub(super) fn names(folder: &Path, during: impl FnOnce()) -> Vec<String> {
    use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
    let watch = init(CreateFlags::NONBLOCK).unwrap();
    add_watch(&watch, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).unwrap();
    during();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(&watch, &mut buffer);
    let mut names = Vec::new();
    while let Ok(event) = events.next() {
        names.push(event.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names
}
