//! Reading lines from the terminal without blocking the runtime.
//!
//! Nothing is read ahead, and a dropped reader has consumed nothing: the next question gets every
//! line that was not an answer to this one.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{self, LocalModes, OptionalActions, QueueSelector, Termios, Winsize};
use tokio::net::unix::pipe::Receiver;

use super::lines::{Style, safe};
use crate::secret::Secret;

/// The style for writing to the terminal itself, which keeps our own escape sequences.
const OWN: Style = Style { color: true, terminal: true, verbose: 0, columns: 80 };

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 1024;

/// The terminal as an open file of its own, so that making it non-blocking affects no other
/// process.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    /// The same file. Tokio's pipe is its only safe way to await an arbitrary descriptor.
    reader: Receiver,
}

/// The columns of the terminal at standard error; 80 if there is none.
pub fn columns() -> usize {
    termios::tcgetwinsize(io::stderr()).ok().map_or(USUAL, |size| width_of(&size))
}

/// The columns of the terminal at standard output; `None` if there is none.
pub fn output_columns() -> Option<usize> {
    termios::tcgetwinsize(io::stdout()).ok().map(|size| width_of(&size))
}

fn width_of(size: &Winsize) -> usize {
    match size.ws_col {
        0 => USUAL,
        columns => usize::from(columns),
    }
}

/// The columns of a terminal that does not report them.
const USUAL: usize = 80;

impl Terminal {
    /// How many columns it has.
    pub fn columns(&self) -> usize {
        termios::tcgetwinsize(&self.file).ok().map_or(USUAL, |size| width_of(&size))
    }

    /// Whether `place`, or else standard input, is a terminal.
    pub fn is_there(place: Option<&Path>) -> bool {
        match place {
            Some(place) => File::options().read(true).write(true).open(place).is_ok(),
            None => io::stdin().is_terminal(),
        }
    }

    /// Opens the terminal at `place`, or else the one at standard input. Needs a running tokio
    /// reactor.
    pub fn open(place: Option<&Path>) -> io::Result<Self> {
        if let Some(place) = place {
            return Self::at(place);
        }
        let stdin = io::stdin();
        let name = termios::ttyname(stdin.as_fd(), Vec::new())
            .map(|name| name.to_string_lossy().into_owned());
        // In a container the name of the terminal may not exist; the link to it still works.
        let places = name.into_iter().chain(["/proc/self/fd/0".into(), "/dev/tty".into()]);
        let mut last = io::Error::from(ErrorKind::NotFound);
        for place in places {
            match Self::at(Path::new(&place)) {
                Ok(terminal) => return Ok(terminal),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn at(place: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(place, flags, Mode::empty())?);
        let reader = Receiver::from_file_unchecked(file.try_clone()?)?;
        Ok(Self { file, reader })
    }

    /// Discards what was typed before the question was shown.
    pub fn forget_typed(&self) {
        let _ = termios::tcflush(&self.file, QueueSelector::IFlush);
    }

    /// Writes to the terminal itself, for questions while standard error goes elsewhere.
    pub fn write(&self, text: &str) {
        // Cleaned here too, since stored names may have been edited.
        let _ = (&self.file).write_all(safe(text, OWN).as_bytes());
    }

    /// As [`write`](Self::write), for whole lines.
    pub fn write_lines(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.write(&format!("{line}\n")));
    }

    /// Writes a secret on a line of its own, from where it lies.
    pub fn write_secret(&self, secret: &Secret<String>) {
        for part in ["\n    ", secret.expose(), "\n\n"] {
            let _ = (&self.file).write_all(part.as_bytes());
        }
    }

    /// Reads a line into `line`, without its end. `false` at the end of input.
    ///
    /// A line that exceeds the capacity of `line`, or 1024 bytes, is an error: a reallocation would
    /// leave a copy of a secret.
    pub async fn read_line(&self, line: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            self.reader.readable().await?;
            // One byte at a time: the bytes after the line end belong to the next question.
            let mut byte = [0];
            match self.reader.try_read(&mut byte) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
                Ok(0) => return Ok(!line.is_empty()),
                Ok(_) => match byte {
                    [b'\n' | b'\r'] => return Ok(true),
                    [b] if line.len() < line.capacity().min(MAX_LINE) => line.push(b),
                    _ => return Err(io::Error::other("the line is too long")),
                },
            }
        }
    }

    /// Hides what is typed until the guard is dropped.
    pub fn hide_typing(&self) -> io::Result<Hidden<'_>> {
        let before = termios::tcgetattr(&self.file)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        termios::tcsetattr(&self.file, OptionalActions::Now, &hidden)?;
        Ok(Hidden { terminal: self, before })
    }
}

/// While it exists, typing is hidden.
#[derive(Debug)]
pub struct Hidden<'a> {
    terminal: &'a Terminal,
    before: Termios,
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.terminal.file, OptionalActions::Now, &self.before);
    }
}
