//! Writing files atomically. Every write of a home goes through here.
//!
//! A file is written under another name, synced, renamed into place, and the directory is synced,
//! so a crash at any point leaves the old content or the new. One lock per vault, held only during
//! a write, makes its holder the only writer. So one scratch file in each of the three directories
//! is enough, and the next writer removes what a killed one left in it. A file to be destroyed is
//! renamed before a byte of it is overwritten. Files are mode 0600 in directories of mode 0700, and
//! looser ones are refused when read.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::error::Error;
use super::home::Home;
use crate::device::shell_word;

/// Whether a write must be on the disk before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Survives a power failure.
    Synced,
    /// Survives the death of the process; after a power failure the old content or the new is
    /// there, whole.
    Whole,
    /// Survives the death of the process; a power failure may restore the old state.
    Lazy,
}

/// What was just done to files and folders of a home, in the order in which it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A folder was made.
    Made(&'a Path),
    /// An empty file was made, unless a lock was there already.
    Created(&'a Path),
    /// These bytes were written at this offset.
    Written(&'a Path, u64, &'a [u8]),
    /// The file was given this length.
    Cut(&'a Path, u64),
    /// What was written to the file, or which names are in the folder, survives a power failure from here on.
    Synced(&'a Path),
    /// A file with this content, which is on the disk, got this name; it had none.
    Appeared(&'a Path, &'a [u8]),
    /// The first has the second as its name, in place of what was there.
    Renamed(&'a Path, &'a Path),
    /// The file, or the empty folder, was removed.
    Removed(&'a Path),
}

/// Has every effect told to `observer` from now on, in this process; the first one that is named here is the one.
/// What a power failure can leave is found out from that (`tests/power_cuts`); the program observes nothing.
pub fn observe(observer: fn(Effect<'_>)) {
    let _ = OBSERVER.set(observer);
}

static OBSERVER: OnceLock<fn(Effect<'_>)> = OnceLock::new();

fn tell(effect: Effect<'_>) {
    if let Some(observer) = OBSERVER.get() {
        observer(effect);
    }
}

/// The vault's lock, which every write needs.
pub(super) struct Writer<'h> {
    home: &'h Home,
    _lock: File,
}

impl<'h> Writer<'h> {
    /// Waits for the lock and removes the left-overs of a killed writer.
    pub(super) fn lock(home: &'h Home) -> Result<Self, Error> {
        let lock = lock(home, &home.data.join(LOCK))?;
        for root in home.roots() {
            discard(&root.join(SCRATCH))?;
            wipe(&root.join(DOOMED))?;
        }
        Ok(Self { home, _lock: lock })
    }

    /// The home that is written to.
    pub(super) fn home(&self) -> &Home {
        self.home
    }

    /// Writes a file that must not exist yet.
    pub(super) fn create(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        match path.try_exists().map_err(Error::io(path))? {
            true => Err(Error::conflict("file", path.display().to_string())),
            false => self.replace(path, content, Durability::Synced),
        }
    }

    /// Replaces a file atomically.
    pub(super) fn replace(
        &self,
        path: &Path,
        content: &[u8],
        durability: Durability,
    ) -> Result<(), Error> {
        let dir = parent(path);
        make_dir(dir)?;
        let scratch = self.scratch(path)?;
        let written = write_scratch(&scratch, content, durability)
            .and_then(|()| rename(&scratch, path))
            .map_err(Error::io(path));
        if written.is_err() {
            remove_file(&scratch)?;
        }
        written?;
        if durability == Durability::Synced { sync_dir(dir) } else { Ok(()) }
    }

    /// Writes `content` at offset `at`, the end of the valid lines of an existing file; anything
    /// after it is cut off.
    pub(super) fn append(
        &self,
        path: &Path,
        at: u64,
        content: &[u8],
        durability: Durability,
    ) -> Result<(), Error> {
        // NOFOLLOW: writing through a symbolic link could destroy a file outside the home.
        let file = open_with(path, OFlags::WRONLY | OFlags::NOFOLLOW)?;
        is_regular(path, &file.metadata().map_err(Error::io(path))?)?;
        let write = || {
            if file.metadata()?.len() != at {
                file.set_len(at)?;
                tell(Effect::Cut(path, at));
            }
            file.write_all_at(content, at)?;
            tell(Effect::Written(path, at, content));
            if durability == Durability::Synced {
                file.sync_data()?;
                tell(Effect::Synced(path));
            }
            Ok(())
        };
        write().map_err(|source| {
            // A line written in part is cut off here or by the next reader.
            let _ = file.set_len(at);
            Error::Io { path: path.to_owned(), source }
        })
    }

    /// Fails if writing to the file `path` would: it is not writable, or there is no space.
    pub(super) fn try_out(&self, path: &Path) -> Result<(), Error> {
        there(open_with(path, OFlags::WRONLY))?;
        make_dir(parent(path))?;
        let scratch = self.scratch(path)?;
        let written = write_scratch(&scratch, &[b' '; ROOM], Durability::Lazy);
        remove_file(&scratch)?;
        written.map_err(Error::io(path))
    }

    /// Renames a file or a folder, durably; then overwrites the content, as far as the file system
    /// permits, and removes it. So a file under its own name is never half destroyed.
    pub(super) fn destroy(&self, path: &Path) -> Result<(), Error> {
        let doomed = self.beside(path, DOOMED);
        wipe(&doomed)?;
        if found(rename(path, &doomed), path)?.is_none() {
            return Ok(());
        }
        sync_dir(parent(path))?;
        sync_dir(parent(&doomed))?;
        wipe(&doomed)
    }

    /// Destroys every file in a directory, then the directory.
    pub(super) fn destroy_dir(&self, dir: &Path) -> Result<(), Error> {
        for entry in list(dir)? {
            self.destroy(&entry)?;
        }
        match fs::remove_dir(dir) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(dir)(e)),
            Err(_) => {}
            Ok(()) => tell(Effect::Removed(dir)),
        }
        sync_dir(parent(dir))
    }

    /// The scratch file on the file system of `path`.
    fn scratch(&self, path: &Path) -> Result<PathBuf, Error> {
        let scratch = self.beside(path, SCRATCH);
        discard(&scratch)?;
        Ok(scratch)
    }

    /// The file of this name in the home's directory that contains `path`.
    fn beside(&self, path: &Path, name: &str) -> PathBuf {
        let root = self.home.roots().into_iter().find(|root| path.starts_with(root));
        root.unwrap_or_else(|| parent(path)).join(name)
    }
}

/// Writes a file outside of the home, for its owner alone, durably. It must not exist yet, and appears whole
/// or not at all. Until then it has no name, so that nothing of it is left of a process that is killed; only where the
/// file system has no such files is a `.cosign-…` left beside it.
pub(super) fn create_outside(path: &Path, content: &[u8]) -> Result<(), Error> {
    let dir = parent(path);
    if let Some(mut file) = nameless(dir) {
        file.write_all(content).and_then(|()| file.sync_all()).map_err(Error::io(path))?;
        match name(&file, path) {
            Ok(()) => {
                tell(Effect::Appeared(path, content));
                return sync_dir(dir);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::conflict("file", path.display().to_string()));
            }
            // Not every system can name it.
            Err(_) => {}
        }
    }
    create_renamed(path, content)
}

/// Writes a file as [`create_outside`], under another name first.
fn create_renamed(path: &Path, content: &[u8]) -> Result<(), Error> {
    let dir = parent(path);
    let scratch = tempfile::Builder::new().prefix(".cosign-").tempfile_in(dir);
    let (mut file, scratch) = scratch.map_err(Error::io(path))?.into_parts();
    let was = scratch.to_path_buf();
    tell(Effect::Created(&was));
    let mut write = || {
        file.write_all(content)?;
        tell(Effect::Written(&was, 0, content));
        file.sync_all()?;
        tell(Effect::Synced(&was));
        Ok(())
    };
    let named = match write() {
        Ok(()) => scratch.persist_noclobber(path).map_err(|e| (e.path, e.error)),
        Err(error) => Err((scratch, error)),
    };
    if let Err((scratch, source)) = named {
        wipe(&scratch)?;
        return Err(match source.kind() {
            ErrorKind::AlreadyExists => Error::conflict("file", path.display().to_string()),
            _ => Error::Io { path: path.to_owned(), source },
        });
    }
    tell(Effect::Renamed(&was, path));
    sync_dir(dir)
}

/// A new file in the folder that has no name, and is gone with the process; `None` where there is no such thing.
fn nameless(dir: &Path) -> Option<File> {
    #[cfg(target_os = "linux")]
    {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        None
    }
}

/// Gives a file that has no name this one, unless something has it.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Bytes that must be free for another entry of a file of lines.
const ROOM: usize = 16 << 10;

/// Excludes writers while a file that grows in place is read. `None` if the home was never written
/// to.
pub(super) fn lock_shared(home: &Home) -> Result<Option<File>, Error> {
    let path = home.data.join(LOCK);
    let Some(file) = there(open_regular(&path))? else { return Ok(None) };
    wait(home, &path, file, File::lock_shared, File::try_lock_shared).map(Some)
}

/// Waits for the lock in the file `path`.
pub(super) fn lock(home: &Home, path: &Path) -> Result<File, Error> {
    make_dir(parent(path))?;
    wait(home, path, lock_file(path)?, File::lock, File::try_lock)
}

/// Takes the lock in the file `path` at once; `None` if it is held.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, Error> {
    try_lock_by(path, File::try_lock)
}

/// As [`try_lock`], shared with others that take it so.
pub(super) fn try_lock_shared(path: &Path) -> Result<Option<File>, Error> {
    try_lock_by(path, File::try_lock_shared)
}

fn try_lock_by(
    path: &Path,
    lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<Option<File>, Error> {
    make_dir(parent(path))?;
    let file = lock_file(path)?;
    match lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io(path)(e)),
    }
}

/// Whether `file` is still the file at `path`.
pub(super) fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let this = file.metadata().map_err(Error::io(path))?;
    let there = found(fs::metadata(path), path)?;
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (this.dev(), this.ino())))
}

/// Takes a lock in `file`, which is at `path`: with `attempt` if it is free, else with `lock`,
/// until the home's deadline.
fn wait(
    home: &Home,
    path: &Path,
    file: File,
    lock: fn(&File) -> io::Result<()>,
    attempt: fn(&File) -> Result<(), TryLockError>,
) -> Result<File, Error> {
    match attempt(&file) {
        Ok(()) => return Ok(file),
        Err(TryLockError::Error(e)) => return Err(Error::io(path)(e)),
        Err(TryLockError::WouldBlock) => {}
    }
    let Some(deadline) = home.deadline() else {
        return lock(&file).map(|()| file).map_err(Error::io(path));
    };
    // The system has no deadline for a lock, so a thread waits for it. If that comes too late, the
    // thread releases the lock at once.
    let (taken, outcome) = mpsc::channel();
    let waiter = move || drop(taken.send(lock(&file).map(|()| file)));
    let started = thread::Builder::new().name("lock".to_owned()).spawn(waiter);
    started.map_err(Error::io(path))?;
    match outcome.recv_timeout(deadline.left()) {
        Ok(taken) => taken.map_err(Error::io(path)),
        Err(_) => Err(Error::Waited { path: path.to_owned() }),
    }
}

/// The content of a file that is written as a whole; `None` if it does not exist.
///
/// # Errors
///
/// [`Error::LooseMode`] if others than its owner can read or change it; [`Error::NotAFile`];
/// [`Error::TooLong`].
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path)? else { return Ok(None) };
    let length = file.metadata().map_err(Error::io(path))?.len().min(LIMIT);
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(LIMIT.saturating_add(1)).read_to_end(&mut content).map_err(Error::io(path))?;
    match u64::try_from(content.len()) {
        Ok(length) if length <= LIMIT => Ok(Some(content)),
        _ => Err(Error::TooLong { path: path.to_owned(), limit: LIMIT }),
    }
}

/// The content of a file of lines, which only grows, `None` if it does not exist.
pub(super) fn read_lines(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    read_from(path, 0)
}

/// The content of a file of lines from the offset `start` on, `None` if it does not exist.
pub(super) fn read_from(path: &Path, start: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path)? else { return Ok(None) };
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length < start {
        return Err(Error::corrupt(path, "shorter than it was"));
    }
    if length - start > MOST_LINES {
        return Err(Error::TooLong { path: path.to_owned(), limit: MOST_LINES });
    }
    let mut content = Vec::with_capacity(usize::try_from(length - start).unwrap_or(0));
    let mut rest = &file;
    io::Seek::seek(&mut rest, io::SeekFrom::Start(start))
        .and_then(|_| rest.take(MOST_LINES).read_to_end(&mut content))
        .map_err(Error::io(path))?;
    Ok(Some(content))
}

/// Whether there is anything at `path`, or where a link there leads.
///
/// # Errors
///
/// [`Error::Io`] if the system does not say: what cannot be looked for may be there.
pub(super) fn is_there(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(Error::io(path))
}

/// How long a file is, `None` if it does not exist.
pub(super) fn length(path: &Path) -> Result<Option<u64>, Error> {
    Ok(there(fs::metadata(path).map_err(Error::io(path)))?.map(|metadata| metadata.len()))
}

/// Opens a file for reading after checking its mode; `None` if it does not exist.
pub(super) fn open(path: &Path) -> Result<Option<File>, Error> {
    check_dir(parent(path))?;
    let Some(file) = there(open_regular(path))? else { return Ok(None) };
    check_mode(path, file.metadata().map_err(Error::io(path))?.mode(), OTHERS, "600")?;
    Ok(Some(file))
}

/// Opens a regular file for reading. Opening a pipe would wait for a writer, and opening a device
/// may have effects.
pub(super) fn open_regular(path: &Path) -> Result<File, Error> {
    is_regular(path, &fs::metadata(path).map_err(Error::io(path))?)?;
    let file = open_with(path, OFlags::RDONLY)?;
    // Checked again: it may have been replaced in between.
    is_regular(path, &file.metadata().map_err(Error::io(path))?)?;
    Ok(file)
}

fn is_regular(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let found = metadata.file_type();
    let kind = match () {
        () if found.is_file() => return Ok(()),
        () if found.is_dir() => "a folder",
        () if found.is_fifo() => "a pipe",
        () if found.is_socket() => "a socket",
        () => "a device",
    };
    Err(Error::NotAFile { path: path.to_owned(), kind })
}

/// Opens a file without blocking, also if it is a pipe.
fn open_with(path: &Path, flags: OFlags) -> Result<File, Error> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map(File::from).map_err(|e| Error::io(path)(e.into()))
}

/// Refuses a directory that others can read or change. A missing one is accepted.
pub(super) fn check_dir(dir: &Path) -> Result<(), Error> {
    match found(fs::metadata(dir), dir)? {
        Some(metadata) => check_mode(dir, metadata.mode(), OTHERS, "700"),
        None => Ok(()),
    }
}

/// The entries of a directory, sorted; none if it does not exist.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let Some(entries) = found(fs::read_dir(dir), dir)? else { return Ok(Vec::new()) };
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io(dir))?;
    paths.sort();
    Ok(paths)
}

/// Makes a directory and its missing parents, mode 0700, and refuses a looser one.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    if !dir.try_exists().map_err(Error::io(dir))? {
        let mut missing = vec![dir];
        while let Some(above) = missing.last().copied().map(parent) {
            if above.try_exists().map_err(Error::io(above))? {
                break;
            }
            missing.push(above);
        }
        for dir in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(Error::io(dir)(e)),
                Err(_) => {}
                Ok(()) => tell(Effect::Made(dir)),
            }
            sync_dir(parent(dir))?;
        }
    }
    check_dir(dir)
}

/// Renames a directory beside itself, durably.
pub(super) fn rename_dir(from: &Path, to: &Path) -> Result<(), Error> {
    rename(from, to).map_err(Error::io(from))?;
    sync_dir(parent(to))
}

/// Renames a file. The folders are to be synced afterwards.
pub(super) fn rename_file(from: &Path, to: &Path) -> Result<(), Error> {
    rename(from, to).map_err(Error::io(from))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    tell(Effect::Renamed(from, to));
    Ok(())
}

/// Syncs a directory, so that created, renamed and removed entries survive a power failure.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io(dir))?;
    tell(Effect::Synced(dir));
    Ok(())
}

fn write_scratch(scratch: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(scratch)?;
    tell(Effect::Created(scratch));
    file.write_all(content)?;
    tell(Effect::Written(scratch, 0, content));
    if durability != Durability::Lazy {
        file.sync_all()?;
        tell(Effect::Synced(scratch));
    }
    Ok(())
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map(File::from);
    let file = opened.map_err(|e| Error::io(path)(e.into()))?;
    is_regular(path, &file.metadata().map_err(Error::io(path))?)?;
    tell(Effect::Created(path));
    Ok(file)
}

/// Removes what a killed writer left, if it is there. It is not overwritten: a power failure that undid half of a rename
/// leaves a finished file with this name as well.
fn discard(scratch: &Path) -> Result<(), Error> {
    match found(fs::symlink_metadata(scratch), scratch)? {
        Some(there) if there.is_dir() => wipe(scratch),
        _ => remove_file(scratch),
    }
}

/// Overwrites and removes a file, or all files of a folder, if it exists. A symbolic link is
/// removed and not followed: its target may be outside the home.
fn wipe(path: &Path) -> Result<(), Error> {
    // cosign makes no folder there, but one that stayed would stop every write.
    if found(fs::symlink_metadata(path), path)?.is_some_and(|there| there.is_dir()) {
        for entry in list(path)? {
            wipe(&entry)?;
        }
        return found(fs::remove_dir(path), path).map(|_| ());
    }
    let overwrite = || -> Result<(), Error> {
        let file = open_with(path, OFlags::WRONLY | OFlags::NOFOLLOW)?;
        let metadata = file.metadata().map_err(Error::io(path))?;
        is_regular(path, &metadata)?;
        let zeros = [0; 1 << 14];
        let mut at = 0;
        while at < metadata.len() {
            let left = metadata.len().saturating_sub(at);
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            let zeros = zeros.get(..count).unwrap_or_default();
            file.write_all_at(zeros, at).map_err(Error::io(path))?;
            tell(Effect::Written(path, at, zeros));
            at = at.saturating_add(count as u64);
        }
        file.sync_data().map_err(Error::io(path))?;
        tell(Effect::Synced(path));
        Ok(())
    };
    // Best effort: some file systems do not overwrite in place.
    let _ = overwrite();
    remove_file(path)
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    if found(fs::remove_file(path), path)?.is_some() {
        tell(Effect::Removed(path));
    }
    Ok(())
}

/// Refuses a mode with a bit of `mask`; `wanted` is the argument for `chmod`.
pub(super) fn check_mode(path: &Path, mode: u32, mask: u32, wanted: &str) -> Result<(), Error> {
    if mode & mask == 0 {
        return Ok(());
    }
    let chmod = format!("chmod {wanted} {}", quoted(path));
    Err(Error::LooseMode { path: path.to_owned(), chmod })
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> String {
    // A leading dash would read as an option.
    let is_option = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    shell_word(if is_option { Path::new(".").join(path) } else { path.to_owned() })
}

/// As [`found`], for errors that already have the path.
fn there<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn found<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

const LOCK: &str = "lock";
/// The mode bits of group and others; none may be set.
const OTHERS: u32 = 0o077;
/// Most bytes of a file that is written as a whole; the share of 16 parties takes half.
const LIMIT: u64 = 1 << 20;
/// Most bytes of a file of lines: about a million lines.
pub(super) const MOST_LINES: u64 = 1 << 28;
/// A file that is being written.
const SCRATCH: &str = ".new";
/// A file that is being destroyed.
const DOOMED: &str = ".old";

/// Checks the modes of all files and directories in a home, and returns their number. Directories
/// above the three may be looser.
///
/// # Errors
///
/// [`Error::LooseMode`] for the first file or directory that others can read or change.
pub fn check_modes(home: &Home) -> Result<usize, Error> {
    let mut rest: Vec<PathBuf> =
        home.roots().into_iter().filter(|root| root.exists()).map(Path::to_owned).collect();
    let mut count: usize = 0;
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            check_dir(&path)?;
            rest.extend(list(&path)?);
        } else if open(&path)?.is_none() {
            continue;
        }
        count = count.saturating_add(1);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::vault::{Deadline, fixture};

    /// The home with a deadline for its locks.
    #[expect(clippy::disallowed_methods, reason = "a lock is waited for in real time")]
    fn patient(home: &Home, span: Duration) -> Home {
        let now = std::time::Instant::now;
        home.clone().with_deadline(Some(Deadline::new(now() + span, now)))
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_and_directories_are_for_their_owner_alone() {
        let home = fixture::home();
        let path = home.state.join("deep/er/file");
        let writer = Writer::lock(&home).unwrap();
        writer.replace(&path, b"content", Durability::Synced).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for dir in ["", "deep", "deep/er"] {
            assert_eq!(fs::metadata(home.state.join(dir)).unwrap().mode() & 0o777, 0o700);
        }
        assert_eq!(read(&path).unwrap().unwrap(), b"content");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_to_run() {
        let home = fixture::home();
        let path = home.data.join("it's loose");
        Writer::lock(&home).unwrap().create(&path, b"x").unwrap();
        set_mode(&path, 0o640);
        let Err(Error::LooseMode { chmod, .. }) = read(&path) else { panic!("read") };
        assert!(chmod.starts_with("chmod 600 '/") && chmod.ends_with(r"it'\''s loose'"), "{chmod}");
        set_mode(&path, 0o600);
        set_mode(&home.data, 0o755);
        let Err(Error::LooseMode { chmod, path: dir }) = read(&path) else { panic!("read") };
        assert_eq!(dir, home.data);
        assert_eq!(chmod, format!("chmod 700 {}", home.data.display()));
        assert!(matches!(Writer::lock(&home), Err(Error::LooseMode { .. })));
    }

    #[test]
    fn create_never_overwrites() {
        let home = fixture::home();
        let path = home.data.join("file");
        let writer = Writer::lock(&home).unwrap();
        writer.create(&path, b"first").unwrap();
        assert!(matches!(writer.create(&path, b"second"), Err(Error::Conflict { .. })));
        assert_eq!(read(&path).unwrap().unwrap(), b"first");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_written_outside_has_no_other_name_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        if nameless(dir.path()).is_none() {
            return;
        }
        let path = dir.path().join("key");
        let names = fixture::names(dir.path(), || {
            create_outside(&path, b"secret").unwrap();
            assert!(matches!(create_outside(&path, b"other"), Err(Error::Conflict { .. })));
        });
        assert_eq!(names, ["key"]);
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    #[test]
    fn where_there_are_no_files_without_names_a_file_is_renamed_and_none_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create_renamed(&path, b"secret").unwrap();
        assert!(matches!(create_renamed(&path, b"other"), Err(Error::Conflict { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_never_read() {
        let home = fixture::home();
        let path = home.data.join("file");
        Writer::lock(&home).unwrap().create(&path, b"old").unwrap();
        fs::write(home.data.join(SCRATCH), b"half of a n").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"old");
        Writer::lock(&home).unwrap();
        assert!(!home.data.join(SCRATCH).exists());
    }

    #[test]
    fn what_is_destroyed_leaves_its_place_whole() {
        let home = fixture::home();
        let path = home.data.join("deep/file");
        let writer = Writer::lock(&home).unwrap();
        writer.create(&path, b"secret").unwrap();
        // A hard link shows what happens to the bytes.
        let same = home.data.join("same");
        fs::hard_link(&path, &same).unwrap();
        // A folder cannot be renamed into itself, so nothing has been overwritten.
        assert!(writer.destroy(&home.data).is_err());
        assert_eq!(read(&path).unwrap().unwrap(), b"secret");
        writer.destroy(&path).unwrap();
        assert!(!path.exists() && !home.data.join(DOOMED).exists());
        assert_eq!(read(&same).unwrap().unwrap(), [0; 6]);
        writer.destroy(&path).unwrap();
        // As left by a writer that was killed there.
        fs::rename(&same, home.data.join(DOOMED)).unwrap();
        drop(writer);
        Writer::lock(&home).unwrap();
        assert!(!home.data.join(DOOMED).exists());
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_goes_with_all_that_is_in_it_and_keeps_nobody_from_writing() {
        let home = fixture::home();
        let other = home.dir.path().join("not ours");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), b"precious").unwrap();
        let same = home.data.join("same");
        let fill = |folder: &Path| {
            fs::create_dir_all(folder.join("in/it")).unwrap();
            let _ = fs::remove_file(&same);
            fs::write(&same, b"secret").unwrap();
            fs::hard_link(&same, folder.join("in/it/file")).unwrap();
            std::os::unix::fs::symlink(&other, folder.join("in/link")).unwrap();
        };
        let is_wiped = |folder: &Path| {
            assert!(fs::symlink_metadata(folder).is_err(), "{}", folder.display());
            assert_eq!(fs::read(&same).unwrap(), [0; 6]);
            assert_eq!(fs::read(other.join("file")).unwrap(), b"precious");
        };
        for root in [&home.data, &home.state] {
            make_dir(root).unwrap();
        }
        for place in [home.data.join(DOOMED), home.data.join(SCRATCH), home.state.join(SCRATCH)] {
            fill(&place);
            drop(Writer::lock(&home).unwrap());
            is_wiped(&place);
        }
        let writer = Writer::lock(&home).unwrap();
        let dir = home.data.join("dir");
        fill(&dir.join("sub"));
        writer.destroy_dir(&dir).unwrap();
        is_wiped(&dir);
        fill(&home.data.join(SCRATCH));
        writer.create(&home.data.join("file"), b"x").unwrap();
        is_wiped(&home.data.join(SCRATCH));
    }

    #[test]
    fn wiping_never_follows_a_link() {
        let home = fixture::home();
        let other = home.dir.path().join("not ours");
        fs::write(&other, b"precious").unwrap();
        let path = home.data.join("file");
        let writer = Writer::lock(&home).unwrap();
        for place in [&path, &home.data.join(DOOMED)] {
            std::os::unix::fs::symlink(&other, place).unwrap();
            writer.destroy(&path).unwrap();
            assert!(fs::symlink_metadata(place).is_err(), "{}", place.display());
            assert_eq!(fs::read(&other).unwrap(), b"precious");
        }
    }

    #[test]
    fn a_long_file_is_wiped_to_its_end() {
        let home = fixture::home();
        let (path, same) = (home.data.join("file"), home.data.join("same"));
        let writer = Writer::lock(&home).unwrap();
        writer.create(&path, &vec![7; 100_001]).unwrap();
        fs::hard_link(&path, &same).unwrap();
        writer.destroy(&path).unwrap();
        assert_eq!(fs::read(&same).unwrap(), vec![0; 100_001]);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let home = fixture::home();
        drop(Writer::lock(&home).unwrap());
        for name in ["file", LOCK] {
            let path = home.data.join(name);
            remove_file(&path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
        let refused = |result| matches!(result, Err(Error::NotAFile { kind: "a pipe", .. }));
        assert!(refused(read(&home.data.join("file")).map(drop)));
        assert!(refused(lock_shared(&home).map(drop)));
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        let home = fixture::home();
        let path = home.data.join("file");
        let writer = Writer::lock(&home).unwrap();
        let length = usize::try_from(LIMIT).unwrap();
        writer.replace(&path, &vec![b' '; length], Durability::Lazy).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len(), length);
        writer.replace(&path, &vec![b' '; length + 1], Durability::Lazy).unwrap();
        let Err(error @ Error::TooLong { .. }) = read(&path) else { panic!() };
        assert!(error.to_string().contains("1 MiB"), "{error}");
        assert_eq!(read_lines(&path).unwrap().unwrap().len(), length + 1);
    }

    #[test]
    fn a_lock_is_not_waited_for_longer_than_the_home_says() {
        let home = fixture::home();
        let holder = Writer::lock(&home).unwrap();
        let hurried = patient(&home, Duration::from_millis(50));
        assert!(matches!(Writer::lock(&hurried), Err(Error::Waited { .. })));
        assert!(matches!(lock_shared(&hurried), Err(Error::Waited { .. })));
        drop(holder);
        // A free lock is taken even after the deadline.
        let free = fixture::home();
        Writer::lock(&patient(&free, Duration::ZERO)).unwrap();
    }

    #[test]
    fn a_lock_that_is_no_longer_waited_for_is_given_back() {
        let home = fixture::home();
        let holder = Writer::lock(&home).unwrap();
        let hurried = patient(&home, Duration::ZERO);
        assert!(matches!(Writer::lock(&hurried), Err(Error::Waited { .. })));
        drop(holder);
        // Without a deadline it waits.
        drop(Writer::lock(&home).unwrap());
        drop(Writer::lock(&home).unwrap());
    }

    #[test]
    fn a_lock_is_taken_once_it_is_free() {
        let home = fixture::home();
        let holder = Writer::lock(&home).unwrap();
        let patient = patient(&home, Duration::from_secs(600));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Writer::lock(&patient).map(drop));
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(holder);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_scratch() {
        let home = fixture::home();
        let blocked = home.data.join("blocked");
        let writer = Writer::lock(&home).unwrap();
        make_dir(&blocked.join("full")).unwrap();
        assert!(matches!(
            writer.replace(&blocked, b"x", Durability::Synced),
            Err(Error::Io { .. })
        ));
        assert!(blocked.is_dir() && !home.data.join(SCRATCH).exists());
    }

    #[test]
    fn appending_cuts_off_what_is_not_a_line() {
        let home = fixture::home();
        let path = home.state.join("lines");
        let writer = Writer::lock(&home).unwrap();
        writer.create(&path, b"one\ntw").unwrap();
        writer.append(&path, 4, b"2\n", Durability::Synced).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"one\n2\n");
    }

    #[test]
    fn a_destroyed_directory_is_gone_with_all_its_files() {
        let home = fixture::home();
        let writer = Writer::lock(&home).unwrap();
        let dir = home.data.join("dir");
        writer.create(&dir.join("a"), b"1").unwrap();
        writer.create(&dir.join("b"), b"2").unwrap();
        writer.destroy_dir(&dir).unwrap();
        assert!(!dir.exists());
        writer.destroy_dir(&dir).unwrap();
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let home = fixture::home();
        let path = home.data.join("locks/key");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
