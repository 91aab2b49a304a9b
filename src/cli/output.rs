//! The result of a command and its output: one JSON document, or prose.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use crate::device::{shown, shown_json, shown_on_one_line};
use crate::driver::clock;
use crate::report::{self, Code, Failure, exit};

/// A command's result.
#[derive(Debug)]
pub struct Output {
    /// Encoded already, so that fields keep the order in which they are declared.
    result: String,
    body: Body,
    verdict: Option<Failure>,
}

/// The output on standard output without `--json`.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// Lines; a missing line end is added.
    Text(String),
    /// Bytes as they are. [`Sink`] has checked that standard output may get them.
    Raw(Vec<u8>),
}

impl Output {
    /// A success: `result` for the JSON document, `text` for people.
    pub fn new(result: impl Serialize, text: impl Into<String>) -> Result<Self, Failure> {
        Self::with_body(result, Body::Text(text.into()))
    }

    /// A success with another body than text.
    pub fn with_body(result: impl Serialize, body: Body) -> Result<Self, Failure> {
        let result =
            serde_json::to_string(&result).map_err(|_| report::bug("a result is no JSON"))?;
        Ok(Self { result, body, verdict: None })
    }

    /// The failure that it is printed with.
    pub fn verdict(&self) -> Option<&Failure> {
        self.verdict.as_ref()
    }

    /// A result with a bad verdict, such as an invalid signature: it is printed with `failure`,
    /// whose exit code counts.
    #[must_use]
    pub fn but(mut self, failure: Failure) -> Self {
        self.verdict = Some(failure);
        self
    }
}

/// The output format of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Voice {
    /// `--json`
    pub json: bool,
    /// `--events`
    pub events: bool,
}

/// Prints the result of `command` and returns the exit code. A closed standard output is not an
/// error.
pub fn finish(command: &str, outcome: Result<Output, Failure>, voice: Voice) -> ExitCode {
    let (result, body, failure) = match outcome {
        Ok(output) => (Some(output.result), output.body, output.verdict),
        Err(failure) => (None, Body::Nothing, Some(failure)),
    };
    if let Some(failure) = &failure {
        // Ctrl-C by the owner needs no message.
        let ended = failure.code == Code::Interrupted && ENDED_BY_HAND.contains(&command);
        if !ended || voice.events {
            complain(failure, voice.events);
        }
    }
    let body = if voice.json { document(command, result, failure.as_ref()) } else { body };
    let code = failure.map_or(0, |f| exit(f.code));
    match print(&body) {
        Ok(()) => ExitCode::from(code),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(e) => {
            let failure =
                Failure::new(Code::System, format!("cannot write to standard output: {e}"));
            complain(&failure, voice.events);
            ExitCode::from(exit(failure.code))
        }
    }
}

/// The commands that run until they are interrupted.
const ENDED_BY_HAND: [&str; 2] = ["listen", "discover"];

/// The JSON document, with its fields in a readable order.
fn document(command: &str, result: Option<String>, failure: Option<&Failure>) -> Body {
    let mut document = format!(r#"{{"v":1,"ok":{}"#, failure.is_none());
    if !command.is_empty() {
        document += &format!(r#","command":{}"#, json!(command));
    }
    if let Some(result) = result {
        document += &format!(r#","result":{result}"#);
    }
    if let Some(failure) = failure {
        document += &format!(r#","error":{}"#, error(failure));
    }
    Body::Text(shown_json(&(document + "}")))
}

/// The error object of the JSON document and of the last event.
fn error(failure: &Failure) -> Value {
    let mut error = json!({
        "code": failure.code.name(),
        "message": failure.message,
        "exit": exit(failure.code),
    });
    if let Some(hint) = &failure.hint {
        error["hint"] = json!(hint);
    }
    error
}

fn complain(failure: &Failure, events: bool) {
    let text = if events {
        let mut line = error(failure);
        line["event"] = json!("error");
        line["time"] = json!(clock::stamp());
        shown_json(&format!("{line}\n"))
    } else {
        let line =
            |what: &str, text: &str| format!("cosign: {what}: {}\n", shown_on_one_line(text));
        let hint = failure.hint.iter().map(|hint| line("hint", hint));
        std::iter::once(line("error", &failure.message)).chain(hint).collect()
    };
    // Errors writing to standard error are ignored.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn print(body: &Body) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match body {
        Body::Nothing => {}
        Body::Raw(bytes) => out.write_all(bytes)?,
        Body::Text(text) => {
            out.write_all(shown(text).as_bytes())?;
            if !text.is_empty() && !text.ends_with('\n') {
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()
}

/// Where the bytes of a result go. It is checked before the work begins, so that no ceremony is run
/// for a result that cannot be written.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file, replaced in one step.
    File(PathBuf),
    /// Only the JSON document.
    Json,
}

/// The error for a file that cannot be written, which `what` names. An impossible name is a mistake
/// of the command line.
pub(super) fn unwritable(what: &str, error: &io::Error) -> Failure {
    use io::ErrorKind;
    let code = match error.kind() {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename => Code::Usage,
        _ => Code::System,
    };
    Failure::new(code, format!("cannot write {what}: {error}"))
}

impl Sink {
    /// Checks `-o` and standard output. `binary`: the bytes must not go to a terminal.
    pub fn new(output: Option<&Path>, binary: bool, json: bool) -> Result<Self, Failure> {
        match output {
            None if json => Ok(Self::Json),
            None if binary && io::stdout().is_terminal() => {
                Err(Failure::new(Code::Usage, "binary output does not go to a terminal").hint(
                    "leave out --format to get hexadecimal, or use -o FILE, or -o - to insist",
                ))
            }
            None => Ok(Self::Stdout),
            Some(path) if path == Path::new("-") && json => {
                Err(Failure::new(Code::Usage, "-o - and --json both want standard output")
                    .hint("the JSON document holds the result; leave out -o -"))
            }
            Some(path) if path == Path::new("-") => Ok(Self::Stdout),
            Some(path) => Self::file(path, binary),
        }
    }

    fn file(path: &Path, binary: bool) -> Result<Self, Failure> {
        let shown = path.display();
        let folder = folder_of(path);
        if path.is_dir() {
            return Err(Failure::new(Code::Usage, format!("-o {shown} is a folder")));
        }
        if !folder.is_dir() {
            return Err(Failure::new(
                Code::NotFound,
                format!("-o {shown}: there is no folder {}", folder.display()),
            ));
        }
        if is_blocking(path) {
            let why = format!("-o {shown} is no regular file");
            return Err(Failure::new(Code::Usage, why).hint("write to -o - and pipe that"));
        }
        let terminal = || fs::OpenOptions::new().write(true).open(path);
        if binary && is_device(path) && terminal().is_ok_and(|f| f.is_terminal()) {
            return Err(Failure::new(Code::Usage, format!("-o {shown} is a terminal"))
                .hint("use -o - to insist on binary output there"));
        }
        let tried = match is_device(path) {
            true => Ok(()),
            false => tempfile::tempfile_in(folder).map(drop),
        };
        tried.map_err(|e| unwritable(&format!("-o {shown}"), &e))?;
        Ok(Self::File(path.to_owned()))
    }

    /// Fails if a file would be replaced.
    pub fn is_new(&self) -> Result<(), Failure> {
        match self {
            Self::File(path) if path.is_file() => {
                let message = format!("-o {}: there is a file already", path.display());
                Err(Failure::new(Code::Conflict, message).hint("--force replaces it"))
            }
            _ => Ok(()),
        }
    }

    /// Writes `bytes` and returns what is left for standard output.
    pub fn put(&self, bytes: Vec<u8>) -> Result<Body, Failure> {
        match self {
            Self::Json => Ok(Body::Nothing),
            Self::Stdout => Ok(Body::Raw(bytes)),
            Self::File(path) => write_file(path, &bytes)
                .map(|()| Body::Nothing)
                .map_err(|e| unwritable(&path.display().to_string(), &e)),
        }
    }
}

/// Replaces `path` in one step, so that no reader ever sees half a result.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_device(path) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    // Signatures and public keys are public, so the umask alone limits the mode.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether `path` is not a regular file: a pipe, `/dev/null`, a terminal.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| !m.is_file())
}

/// Whether opening or writing `path` may wait for another program for ever: a pipe, a socket or a
/// disk. Descriptors of this process, such as a shell makes for `>(command)`, are open already.
fn is_blocking(path: &Path) -> bool {
    let is_open = ["/dev/fd/", "/dev/std", "/proc/self/fd/"]
        .iter()
        .any(|start| path.as_os_str().as_encoded_bytes().starts_with(start.as_bytes()));
    let kind = fs::metadata(path).map(|metadata| metadata.file_type());
    !is_open && kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket() || kind.is_block_device())
}

/// A table for people.
#[derive(Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these column names.
    pub fn new(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(shown_on_one_line));
    }

    /// The rows as text, each cell as wide as its column except the last.
    pub fn text(&self) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &[String; N]| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_document_names_code_message_hint_and_exit() {
        let failure = Failure::new(Code::NotFound, "no key \"x\"").hint("make one");
        let Body::Text(text) = document("sign", None, Some(&failure)) else { panic!() };
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({"v": 1, "ok": false, "command": "sign", "error": {
                "code": "not_found", "message": "no key \"x\"", "hint": "make one", "exit": 10}})
        );
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sig");
        fs::write(&path, "something longer than the new content").unwrap();
        let sink = Sink::new(Some(&path), true, false).unwrap();
        assert_eq!(sink.put(vec![1, 2, 3]).unwrap(), Body::Nothing);
        assert_eq!(fs::read(&path).unwrap(), [1, 2, 3]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_result_without_a_place_is_refused_beforehand() {
        let code =
            |path: &str, json| Sink::new(Some(Path::new(path)), true, json).unwrap_err().code;
        assert_eq!(code("/nonexistent/folder/sig", false), Code::NotFound);
        assert_eq!(code("/", false), Code::Usage);
        // A folder in which no file can be created.
        assert_eq!(code("/proc/sig", false), Code::NotFound);
        assert_eq!(code("-", true), Code::Usage);
    }
}
