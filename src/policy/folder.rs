//! A folder of this device's files, such as those that it has built, which is searched for the file
//! to be signed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::payload::HashFunction;
use crate::vault::Error;
use crate::vault::given::{self, Guard};

/// The name of a file in the folder at `path`, not below it and no link, that has this size and this
/// digest, if there is one. Only files of that size are read.
///
/// # Errors
/// The folder, or one of these files, cannot be read, or is one that others may change.
pub fn find(
    path: &Path,
    size: u64,
    hash: HashFunction,
    digest: &[u8; 32],
) -> Result<Option<OsString>, Error> {
    let wrong = |source: io::Error| Error::Io { path: path.to_owned(), source };
    // In a sticky folder others could put a file beside those of this device.
    given::check_folder(path)?;
    let mut unread = None;
    for entry in fs::read_dir(path).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let metadata = entry.metadata().map_err(wrong)?;
        if !metadata.is_file() || metadata.len() != size {
            continue;
        }
        // One more byte, so that a file that grows is another one, and is not read for ever.
        let hashed = given::open(&entry.path(), Guard::Unaltered)
            .and_then(|file| hash.of_all(file.take(size.saturating_add(1))).map_err(wrong));
        match hashed {
            Ok((found, length)) if found == *digest && length == size => {
                return Ok(Some(entry.file_name()));
            }
            Ok(_) => {}
            // It hides no other file.
            Err(error) => unread = Some(error),
        }
    }
    unread.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_file_of_the_folder_itself_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("dist")).unwrap();
        fs::create_dir(path("dist/below")).unwrap();
        fs::write(path("dist/built"), "built").unwrap();
        fs::write(path("dist/below/other"), "other").unwrap();
        fs::write(path("apart"), "apart").unwrap();
        std::os::unix::fs::symlink(path("apart"), path("dist/link")).unwrap();
        let has = |content: &str, size: u64| {
            let digest = HashFunction::Sha256.of(content.as_bytes());
            let found = find(&path("dist"), size, HashFunction::Sha256, &digest).unwrap();
            found.is_some_and(|name| name == "built")
        };
        assert!(has("built", 5));
        assert!(!has("built", 6), "the size is another one");
        assert!(!has("other", 5), "it is below the folder");
        assert!(!has("apart", 5), "it is a link");
        let loose = || fs::Permissions::from_mode(0o666);
        fs::write(path("dist/loose"), "loose").unwrap();
        fs::set_permissions(path("dist/loose"), loose()).unwrap();
        assert!(has("built", 5), "a file that others may change hides no other");
        fs::set_permissions(path("dist/built"), loose()).unwrap();
        let digest = HashFunction::Sha256.of(b"built");
        let sticky = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(path("dist"), sticky).unwrap();
        let with_others = find(&path("dist"), 5, HashFunction::Sha256, &digest);
        assert!(matches!(with_others, Err(Error::LooseMode { .. })), "{with_others:?}");
        fs::set_permissions(path("dist"), fs::Permissions::from_mode(0o700)).unwrap();
        let open_to_all = find(&path("dist"), 5, HashFunction::Sha256, &digest);
        assert!(matches!(open_to_all, Err(Error::LooseMode { .. })), "{open_to_all:?}");
        assert!(find(&path("gone"), 5, HashFunction::Sha256, &digest).is_err());
    }
}
