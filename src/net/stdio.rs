//! A program's standard input and output as a byte stream: ssh, socat, a serial or RFCOMM line.

use std::future::Future;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, join, stdout};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::tunnel::Chunks;
use super::{Io, LinkError};
use crate::device::Label;

/// Runs `command` with `sh -c` and returns its standard input and output as a stream.
///
/// Its standard error may hold the other device's words: `complain` gets it cleaned, in lines, and
/// at most [`LINES`] of them. When the stream is shut the command sees the end of its input, and
/// shutting takes until it has ended. A command that still runs when the stream is dropped is
/// killed.
///
/// # Errors
/// [`LinkError::Unreachable`] if the shell cannot be started. A command that fails closes the
/// stream.
pub fn dial_via(
    command: &str,
    complain: impl Fn(Label) + Send + 'static,
) -> Result<Box<dyn Io>, LinkError> {
    let started = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let failed = |why: String| LinkError::Unreachable(format!("{command}: {why}"));
    let mut child = started.map_err(|error| failed(error.to_string()))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("has no standard input or output".to_owned()));
    };
    if let Some(errors) = child.stderr.take() {
        tokio::spawn(overhear(errors, complain));
    }
    Ok(Box::new(Via { output, input: Some(input), child }))
}

/// Passes `errors` on in lines. A prompt has no end of line; it is passed on when nothing follows
/// it for [`QUESTION`].
async fn overhear(mut errors: ChildStderr, complain: impl Fn(Label)) {
    let (mut line, mut said) = (Vec::new(), 0_usize);
    let mut chunk = [0; 1024];
    loop {
        let read = if line.is_empty() {
            Ok(errors.read(&mut chunk).await)
        } else {
            timeout(QUESTION, errors.read(&mut chunk)).await
        };
        let (bytes, over) = match read {
            Ok(Ok(count)) => (chunk.get(..count).unwrap_or_default(), count == 0),
            Ok(Err(_)) => (&[][..], true),
            Err(_) => (&b"\n"[..], false),
        };
        for byte in bytes.iter().chain(over.then_some(&b'\n')) {
            match byte {
                b'\n' | b'\r' => {
                    let text = Label::capped(&String::from_utf8_lossy(&line), LINE);
                    line.clear();
                    if said < LINES && !text.as_str().is_empty() {
                        said = said.saturating_add(1);
                        complain(text);
                    }
                }
                _ if line.len() < 4 * LINE => line.push(*byte),
                _ => {}
            }
        }
        if over {
            return;
        }
    }
}

/// This process's standard input and output, for a process that the command of another device
/// started.
///
/// Standard input is read by a detached thread. The runtime would wait for one of its own, so the
/// process could not end while the other side is silent.
pub fn own_stdio() -> Box<dyn Io> {
    let (sender, chunks) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK];
            match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => chunk.truncate(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            if sender.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    Box::new(join(Chunks::new(chunks), stdout()))
}

/// A running command.
struct Via {
    output: ChildStdout,
    input: Option<ChildStdin>,
    child: Child,
}

impl AsyncRead for Via {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Via {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes the pipe, so that the command reads the end of its input, and waits for its end: the
    /// device at its other end may have to write something first.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        pin!(self.child.wait()).poll(cx).map_ok(drop)
    }
}

const CHUNK: usize = 32 * 1024;

/// Most lines of a command's errors that are passed on, and most characters of each.
pub const LINES: usize = 50;
const LINE: usize = 200;

/// After how long without a line's end the text so far is passed on.
const QUESTION: Duration = Duration::from_millis(300);
