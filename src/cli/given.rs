//! Secrets and files that the command line names. They are read before anything else happens.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use super::Global;
use super::args::GlobalArgs;
use crate::driver::clock;
use crate::report::{Code, Failure};
use crate::secret::Secret;
use crate::vault::Home;
use crate::vault::given::{self, Guard};

/// Some editors write this at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The terminal, where a person types a passphrase.
pub(super) const TERMINAL: &str = "/dev/tty";

/// The longest passphrase or PIN in bytes, which is what a terminal takes on a line.
const MAX_PASSPHRASE: usize = 1024;

/// The home of this device.
pub fn home(global: &Global) -> Result<Home, Failure> {
    Ok(global.home.clone().map_or_else(Home::xdg, Ok)?)
}

/// The passphrase from `--passphrase-fd` or `--passphrase-file`, if either was given.
pub(super) fn given_passphrase(global: &Global) -> Result<Option<Secret<String>>, Failure> {
    let GlobalArgs { passphrase_fd, passphrase_file, .. } = &global.args;
    given(global, "passphrase", *passphrase_fd, passphrase_file.as_deref())
}

/// Secrets that were read from descriptors. A descriptor is read once; a second read would return
/// the next line.
#[derive(Default)]
pub struct Heard(Mutex<BTreeMap<PathBuf, Secret<String>>>);

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").finish_non_exhaustive()
    }
}

impl Heard {
    pub(super) fn of(&self, path: &Path) -> Option<Secret<String>> {
        self.all().get(path).map(|secret| Secret::new(secret.expose().clone()))
    }

    pub(super) fn note(&self, path: PathBuf, secret: &Secret<String>) {
        self.all().insert(path, Secret::new(secret.expose().clone()));
    }

    // Each change is one call, so the value is whole even if a holder of the lock panicked.
    fn all(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Secret<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret on the first line of a file descriptor or file, if one was given. `what` is also the
/// beginning of the flags' names.
pub(super) fn given(
    global: &Global,
    what: &str,
    fd: Option<u32>,
    file: Option<&Path>,
) -> Result<Option<Secret<String>>, Failure> {
    let descriptor = |fd: u32| Path::new("/dev/fd").join(fd.to_string());
    let (name, path) = match (fd, file) {
        (Some(fd), _) => (format!("--{}-fd {fd}", what.to_lowercase()), descriptor(fd)),
        (None, Some(path)) if path == Path::new("-") => {
            (format!("{what} on standard input"), descriptor(0))
        }
        (None, Some(path)) => (format!("{what} file {}", path.display()), path.to_owned()),
        (None, None) => return Ok(None),
    };
    if let Some(secret) = global.heard.of(&path) {
        return Ok(Some(secret));
    }
    let file =
        given::open(&path, Guard::Secret).map_err(|e| crate::report::unreadable(e, &name))?;
    let line = by(global.deadline, move || first_line(file));
    let late = || crate::report::slow(&name, "a line");
    let secret = line
        .ok_or_else(late)?
        .map_err(|e| Failure::new(Code::Usage, format!("cannot read {name}: {e}")))?;
    if given::is_descriptor(&path) {
        global.heard.note(path, &secret);
    }
    Ok(Some(secret))
}

/// The result of `work`, or `None` if it takes longer than the deadline. A pipe may never be
/// written to.
pub(super) fn by<T: Send + 'static>(
    deadline: Option<Instant>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let Some(deadline) = deadline else { return Some(work()) };
    let (sender, done) = mpsc::channel();
    // The thread is not joined: it may block for ever in a read.
    std::thread::spawn(move || sender.send(work()));
    done.recv_timeout(deadline.saturating_duration_since(clock::now())).ok()
}

/// The first line without its end and a byte order mark. An overlong one is an error. It is only in
/// memory that is wiped.
pub fn first_line(mut file: impl Read) -> io::Result<Secret<String>> {
    let mut bytes = Secret::new(Vec::with_capacity(MAX_PASSPHRASE));
    // `read_to_end` would use a buffer of its own, and grow this one.
    let mut byte = [0];
    while file.read(&mut byte)? == 1 && byte != *b"\n" {
        if bytes.expose().len() >= MAX_PASSPHRASE {
            return Err(io::Error::other(format!(
                "its first line is longer than {MAX_PASSPHRASE} bytes"
            )));
        }
        bytes.expose_mut().extend_from_slice(&byte);
    }
    let line = bytes.expose().strip_suffix(b"\r").unwrap_or(bytes.expose());
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line() {
        let read = |bytes: &[u8]| first_line(bytes).map(|s| s.expose().clone());
        assert_eq!(read(b"one two\nthree\n").unwrap(), "one two");
        assert_eq!(read(b"windows\r\n").unwrap(), "windows");
        assert_eq!(read(b"\xef\xbb\xbfnotepad\r\n").unwrap(), "notepad");
        assert_eq!(read(b"\nsecond\n").unwrap(), "");
        assert_eq!(read(b"no end").unwrap(), "no end");
        assert_eq!(read(b"").unwrap(), "");
        assert!(read(b"\xff\n").is_err());
    }

    #[test]
    fn a_passphrase_is_used_whole_or_refused() {
        let read = |length: usize, end: &[u8]| {
            let text = [&vec![b'x'; length], end].concat();
            first_line(text.as_slice()).map(|line| line.expose().len())
        };
        for end in [&b""[..], b"\n", b"\nmore"] {
            assert_eq!(read(1024, end).unwrap(), 1024);
            assert!(read(1025, end).unwrap_err().to_string().contains("1024"));
        }
    }

    #[test]
    fn a_pipe_that_says_nothing_is_given_up() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let soon = clock::now() + std::time::Duration::from_millis(50);
        assert!(by(Some(soon), move || first_line(reader)).is_none());
    }
}
