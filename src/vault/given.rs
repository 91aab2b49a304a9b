//! Files that the user names: checked, opened without blocking, and read up to a limit.
//!
//! Symbolic links are followed. A file that others must not change must be in a folder that they
//! cannot change either, since they could replace it. Others are all users but this one and root,
//! who can change everything. A descriptor that the caller has opened, under `/dev/fd` or as
//! `/dev/stdin`, may be a pipe: its content cannot be changed by others, so its mode is not
//! checked.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::Error;
use super::file::{check_mode, open_regular};
use crate::secret::Secret;

/// The access to a file that others must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Others may have any access.
    Open,
    /// Others must not change it.
    Unaltered,
    /// Others must not read or change it.
    Secret,
}

/// Opens the file at `path` for reading.
///
/// # Errors
///
/// [`Error::NotAFile`] for a folder, a device or a pipe with a name; [`Error::LooseMode`] and
/// [`Error::Foreign`], of the folder too; [`Error::Io`].
pub fn open(path: &Path, guard: Guard) -> Result<File, Error> {
    let file = if is_descriptor(path) {
        File::open(path).map_err(Error::io(path))?
    } else {
        let file = open_regular(path)?;
        if guard != Guard::Open {
            check_folders(path)?;
        }
        file
    };
    let metadata = file.metadata().map_err(Error::io(path))?;
    let (mask, wanted) = match guard {
        Guard::Open => (0, ""),
        Guard::Unaltered => (OTHERS_WRITE, "go-w"),
        Guard::Secret => (0o077, "600"),
    };
    // The mode of a pipe means nothing.
    if metadata.is_file() {
        check_mode(path, metadata.mode(), mask, wanted)?;
        if guard != Guard::Open {
            check_owner(path, &metadata)?;
        }
    }
    Ok(file)
}

/// Refuses a file that others could replace, since its folder, or the folder of a link to it, is
/// writable by them.
fn check_folders(path: &Path) -> Result<(), Error> {
    let named = std::path::absolute(path).map_err(Error::io(path))?;
    let real = fs::canonicalize(path).map_err(Error::io(path))?;
    for folder in [named.parent(), real.parent()].into_iter().flatten() {
        let metadata = fs::metadata(folder).map_err(Error::io(folder))?;
        check_owner(folder, &metadata)?;
        let mode = metadata.mode();
        // In a sticky folder such as /tmp, only the owner of a file can replace it.
        if mode & STICKY == 0 {
            check_mode(folder, mode, OTHERS_WRITE, "go-w")?;
        }
    }
    Ok(())
}

/// Refuses a folder into which others can put a file.
///
/// # Errors
/// [`Error::LooseMode`], [`Error::Foreign`], [`Error::Io`].
pub fn check_folder(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(Error::io(path))?;
    check_owner(path, &metadata)?;
    check_mode(path, metadata.mode(), OTHERS_WRITE, "go-w")
}

/// Refuses a file or folder of another user. The owner of a folder can replace its files, also if
/// it is sticky.
fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    match owner == me || owner == 0 {
        true => Ok(()),
        false => Err(Error::Foreign { path: path.to_owned(), owner }),
    }
}

/// The content of the file at `path`, at most `limit` bytes.
///
/// # Errors
///
/// As [`open`], and [`Error::TooLong`].
pub fn read(path: &Path, guard: Guard, limit: u64) -> Result<Secret<Vec<u8>>, Error> {
    let file = open(path, guard)?;
    let length = file.metadata().map_err(Error::io(path))?.len().min(limit);
    // One byte more than the length, so that the buffer is not reallocated, which would leave a
    // copy.
    let room = usize::try_from(length).unwrap_or(0).saturating_add(1);
    let mut content = Secret::new(Vec::with_capacity(room));
    let bytes = content.expose_mut();
    file.take(limit.saturating_add(1)).read_to_end(bytes).map_err(Error::io(path))?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(content),
        _ => Err(Error::TooLong { path: path.to_owned(), limit }),
    }
}

/// Write bits of group and others.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Whether `path` is a descriptor that the caller has opened.
pub fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || path.parent().is_some_and(|folder| {
            folder == Path::new("/dev/fd") || folder == Path::new("/proc/self/fd")
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    /// A file of mode `mode` with `content`, in a folder of its own.
    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn what_others_can_change_decides_nothing_and_what_they_can_read_is_no_secret() {
        let loose = |mode, guard| {
            let (_folder, path) = file(b"x", mode);
            matches!(open(&path, guard), Err(Error::LooseMode { .. }))
        };
        for mode in [0o600, 0o644, 0o664, 0o646, 0o666] {
            assert!(!loose(mode, Guard::Open));
            assert_eq!(loose(mode, Guard::Unaltered), mode & 0o022 != 0, "{mode:o}");
            assert_eq!(loose(mode, Guard::Secret), mode & 0o077 != 0, "{mode:o}");
        }
    }

    #[test]
    fn what_others_can_replace_decides_nothing() {
        let (folder, path) = file(b"x", 0o600);
        let link = tempfile::tempdir().unwrap();
        symlink(&path, link.path().join("link")).unwrap();
        let set = |folder: &Path, mode| {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused = |path: &Path, guard| match open(path, guard) {
            Err(Error::LooseMode { path, .. }) => Some(path),
            opened => opened.map(|_| None).unwrap(),
        };
        for guard in [Guard::Unaltered, Guard::Secret] {
            for (mode, loose) in [(0o755, false), (0o775, true), (0o757, true), (0o1777, false)] {
                set(folder.path(), mode);
                let folder = loose.then(|| folder.path().to_owned());
                assert_eq!(refused(&path, guard), folder, "{mode:o}");
                assert_eq!(refused(&link.path().join("link"), guard), folder, "{mode:o}");
            }
            set(folder.path(), 0o700);
            set(link.path(), 0o777);
            assert!(refused(&link.path().join("link"), guard).is_some());
            assert!(refused(&path, guard).is_none());
            set(link.path(), 0o700);
        }
        set(folder.path(), 0o777);
        assert!(refused(&path, Guard::Open).is_none());
    }

    /// Only root can change owners; other users test that root's files are accepted.
    #[test]
    fn what_belongs_to_another_user_decides_nothing() {
        let (folder, path) = file(b"x", 0o600);
        let refused = |guard| match open(&path, guard) {
            Err(Error::Foreign { path, owner }) => Some((path, owner)),
            opened => opened.map(|_| None).unwrap(),
        };
        let me = rustix::process::geteuid().as_raw();
        let other = 65_534;
        for given in [&path, &folder.path().to_owned()] {
            assert_eq!(refused(Guard::Secret), None);
            if me != 0 {
                continue;
            }
            std::os::unix::fs::chown(given, Some(other), None).unwrap();
            for guard in [Guard::Unaltered, Guard::Secret] {
                assert_eq!(refused(guard), Some((given.clone(), other)));
            }
            assert_eq!(refused(Guard::Open), None);
            std::os::unix::fs::chown(given, Some(me), None).unwrap();
        }
    }

    #[test]
    fn the_command_that_is_named_mends_it() {
        for guard in [Guard::Unaltered, Guard::Secret] {
            let (_folder, path) = file(b"x", 0o666);
            let Err(Error::LooseMode { chmod, .. }) = open(&path, guard) else { panic!() };
            assert!(Command::new("sh").args(["-c", &chmod]).status().unwrap().success());
            open(&path, guard).unwrap();
        }
    }

    #[test]
    fn the_target_of_a_link_counts() {
        let (folder, path) = file(b"x", 0o644);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(open(&link, Guard::Secret), Err(Error::LooseMode { .. })));
        open(&link, Guard::Unaltered).unwrap();
    }

    #[test]
    fn a_pipe_a_folder_and_a_device_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = folder.path().join("link");
        symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/zero"), folder.path()] {
            let opened = read(path, Guard::Open, 10);
            assert!(matches!(opened, Err(Error::NotAFile { .. })), "{}", path.display());
        }
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        let (_folder, path) = file(b"0123456789", 0o600);
        assert_eq!(read(&path, Guard::Secret, 10).unwrap().expose(), b"0123456789");
        assert!(matches!(read(&path, Guard::Secret, 9), Err(Error::TooLong { limit: 9, .. })));
    }

    #[test]
    fn a_pipe_that_the_caller_has_opened_is_read() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"through a pipe").unwrap();
        drop(writer);
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let path = PathBuf::from(format!("/dev/fd/{number}"));
        assert_eq!(read(&path, Guard::Secret, 99).unwrap().expose(), b"through a pipe");
    }
}
