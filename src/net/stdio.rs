//! A program's standard input and output as a byte stream: ssh, socat, a serial or RFCOMM line.

use std::future::Future;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, join, stdout};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::tunnel::Chunks;
use super::{Io, LinkError};

/// Runs `command` with `sh -c` and talks to its standard input and output.
///
/// Its standard error is ours. When the stream is shut it sees the end of its input, and shutting
/// takes until it has ended; a command that is still there when the stream is dropped is killed.
///
/// # Errors
/// [`LinkError::Unreachable`] if the shell cannot be started. A command that fails closes the
/// stream.
pub fn dial_via(command: &str) -> Result<Box<dyn Io>, LinkError> {
    let started = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn();
    let failed = |why: String| LinkError::Unreachable(format!("{command}: {why}"));
    let mut child = started.map_err(|error| failed(error.to_string()))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("has no standard input or output".to_owned()));
    };
    Ok(Box::new(Via { output, input: Some(input), child }))
}

/// This process's standard input and output, for the side that was started by somebody's command.
///
/// Standard input is read by a thread of its own, which nobody waits for: one that the runtime
/// knows of would keep the process from ending while the other side is silent.
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

    /// Shutting a pipe is closing it: the command reads the end of its input. The device at its
    /// other end may have something to write down before it ends.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        pin!(self.child.wait()).poll(cx).map_ok(drop)
    }
}

const CHUNK: usize = 32 * 1024;
