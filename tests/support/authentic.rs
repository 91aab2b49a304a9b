//! The MACs of a device's files (docs/vault.md §7), implemented a second time.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cosign::device::hex;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Writes files that an open vault takes for its own.
pub(crate) struct State {
    home: PathBuf,
    key: [u8; 32],
}

impl State {
    /// Of the home whose vault an age identity file opens.
    pub(crate) fn of(home: &Path, identity_file: &Path) -> Self {
        let file = age::IdentityFile::from_file(identity_file.display().to_string()).unwrap();
        let identities = file.into_identities().unwrap();
        let sealed = fs::read(home.join("data/identity.age")).unwrap();
        let decryptor = age::Decryptor::new_buffered(sealed.as_slice()).unwrap();
        let mut text = String::new();
        let opened = decryptor.decrypt(identities.iter().map(|identity| identity.as_ref() as _));
        opened.unwrap().read_to_string(&mut text).unwrap();
        let identity = text.lines().last().unwrap();
        let key = mac(b"cosign: state files of one vault", &[identity.as_bytes()]);
        Self { home: home.to_owned(), key }
    }

    /// Puts bytes that are no document in place of those at `path` in the home.
    pub(crate) fn write_bytes(&self, path: &str, body: &[u8]) {
        let mac = hex(&mac(&self.key, &[path.as_bytes(), b"\0", body]));
        let content = [body, b"\nmac ", mac.as_bytes(), b"\n"].concat();
        fs::write(self.home.join(path), content).unwrap();
    }

    /// Puts a document in place of the one at `path` in the home.
    pub(crate) fn write(&self, path: &str, mut document: Value) {
        document.as_object_mut().unwrap().remove("mac");
        let text = serde_json::to_string_pretty(&document).unwrap();
        let body = text.strip_suffix("\n}").unwrap();
        let mac = hex(&mac(&self.key, &[path.as_bytes(), b"\0", body.as_bytes()]));
        fs::write(self.home.join(path), format!("{body},\n  \"mac\": \"{mac}\"\n}}\n")).unwrap();
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
