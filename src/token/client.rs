//! The program's end of the pipe to the process with a module.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::confine::program;
use super::frame::{self, Reply, Request};
use super::{Trouble, host};
use crate::secret::Secret;

type Answer = io::Result<(Reply, Secret<Vec<u8>>)>;

/// A process of this program with one module.
#[derive(Debug)]
pub(super) struct Client {
    module: PathBuf,
    limit: Duration,
    process: Mutex<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Frames to be sent; `None` once it has to end.
    requests: Option<Sender<Secret<Vec<u8>>>>,
    answers: Receiver<Answer>,
    /// Why it cannot be used any more.
    dead: Option<Trouble>,
}

impl Client {
    /// Starts the process. No answer is waited for longer than `limit` or the usual time.
    pub(super) fn start(module: &Path, limit: Duration) -> Result<Self, Trouble> {
        if !module.exists() {
            return Err(Trouble::Missing);
        }
        // Loading a pipe would wait for whoever writes into it.
        if !module.is_file() {
            return Err(Trouble::Unloadable("it is no regular file".to_owned()));
        }
        let failed = |e: io::Error| Trouble::Unready(e.to_string());
        let mut child = Command::new(program().map_err(failed)?)
            .arg0("cosign")
            .arg(host::COMMAND)
            .arg(module)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A process group of its own, so that Ctrl-C does not cut off a write to the token.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Trouble::Nonsense);
        };
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        std::thread::spawn(move || converse(stdin, stdout, &inbox, &outbox));
        let process = Process { child, requests: Some(requests), answers, dead: None };
        Ok(Self { module: module.to_owned(), limit, process: Mutex::new(process) })
    }

    /// The module's file.
    pub(super) fn module(&self) -> &Path {
        &self.module
    }

    /// Sends a request and waits for the answer.
    pub(super) fn call(
        &self,
        request: &Request,
        content: Option<&[u8]>,
    ) -> Result<(Reply, Secret<Vec<u8>>), Trouble> {
        let usual = match request {
            // The PIN may be typed on the reader, and a card may be slow to make a key.
            Request::Open { .. } if content.is_none() => SLOW,
            Request::MakeKey { .. } => SLOW,
            _ => USUAL,
        };
        let frame = frame::encode(request, content.unwrap_or_default());
        let frame = frame.map_err(|e| Trouble::Unready(e.to_string()))?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.call(frame, self.limit.min(usual))
    }
}

/// Sends each request and waits for its answer. Runs in a thread, since a process that hangs may
/// neither answer nor read.
fn converse(
    mut stdin: ChildStdin,
    mut stdout: ChildStdout,
    inbox: &Receiver<Secret<Vec<u8>>>,
    outbox: &Sender<Answer>,
) {
    for frame in inbox {
        // If it cannot be sent, the process has ended, and reading reports that.
        let _ = stdin.write_all(frame.expose());
        let answer = frame::read::<Reply>(&mut stdout);
        let ended = answer.is_err();
        if outbox.send(answer).is_err() || ended {
            return;
        }
    }
    drop(stdin);
    // Waits until the process has closed its sessions and then its output.
    let _ = stdout.read(&mut [0]);
}

impl Process {
    fn call(
        &mut self,
        frame: Secret<Vec<u8>>,
        limit: Duration,
    ) -> Result<(Reply, Secret<Vec<u8>>), Trouble> {
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        // If the thread has ended, no answer arrives.
        let _ = self.requests.as_ref().map(|requests| requests.send(frame));
        let trouble = match self.answers.recv_timeout(limit) {
            Ok(Ok((Reply::Failed(trouble), _))) => return Err(trouble),
            Ok(Ok(answer)) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => Trouble::Silent,
            Ok(Err(e)) if e.kind() != io::ErrorKind::UnexpectedEof => Trouble::Nonsense,
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => self.crashed(),
        };
        self.end();
        self.dead = Some(trouble.clone());
        Err(trouble)
    }

    /// Why the process ended. Its output is closed, so it has ended or is killed here.
    fn crashed(&mut self) -> Trouble {
        // It has not ended yet, or only closed its output.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(GRACE);
        }
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        Trouble::Crashed(status.and_then(|status| status.signal()))
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    /// Gives it a limited time to close its sessions.
    fn drop(&mut self) {
        self.requests = None;
        if self.dead.is_none() {
            let _ = self.answers.recv_timeout(FAREWELL);
        }
        self.end();
    }
}

/// How long to wait for an answer.
const USUAL: Duration = Duration::from_secs(20);
/// How long to wait for a slow operation.
const SLOW: Duration = Duration::from_secs(60);
/// How long a process may take to end after it closed its output.
const GRACE: Duration = Duration::from_millis(50);
/// How long sessions may take to close.
const FAREWELL: Duration = Duration::from_secs(2);
