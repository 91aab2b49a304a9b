//! A terminal, and a person at it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::device::PATIENCE;

/// The end of the question about a request.
pub(crate) const APPROVE: &str = " and Enter to approve, n to deny, m to mute: ";

/// The program in a terminal of its own, which is its controlling one.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// Everything that ever was on the screen, control sequences included.
    pub(crate) raw: Vec<u8>,
}

impl Terminal {
    pub(crate) fn start(command: &Command) -> Self {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&pty).unwrap();
        unlockpt(&pty).unwrap();
        let size = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&pty, size).unwrap();
        let path = ptsname(&pty, Vec::new()).unwrap().into_string().unwrap();
        let end = || Stdio::from(File::options().read(true).write(true).open(&path).unwrap());
        // `setsid --ctty` makes it the controlling terminal, so that Ctrl-C is a signal.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).arg("--plain").args(command.get_args());
        session.env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.env("TERM", "xterm");
        session.current_dir(command.get_current_dir().unwrap());
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keyboard = File::from(pty);
        let screen = watch(keyboard.try_clone().unwrap());
        Self { child, keyboard, screen, seen: String::new(), raw: Vec::new() }
    }

    /// How much memory the program has, in KiB.
    #[allow(dead_code, reason = "not all test programs look at it")]
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until `text` is on the screen, and forgets all up to its end.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> &mut Self {
        self.until(text, |seen| seen.find(text).map(|at| ((), at + text.len())));
        self
    }

    /// Waits until `text` is on the screen, and gives what came before it.
    #[track_caller]
    pub(crate) fn shown_before(&mut self, text: &str) -> String {
        let before = |seen: &str| {
            let at = seen.find(text)?;
            Some((seen.get(..at)?.to_owned(), at + text.len()))
        };
        self.until(text, before).0
    }

    /// Waits for the six digits.
    #[track_caller]
    pub(crate) fn code(&mut self) -> String {
        let (code, _) = self.until("six digits", |seen| {
            let from = seen.find("  code  ")?;
            let line = seen.get(from..)?.split_once('\n')?.0;
            let code = line.trim_start_matches("  code").trim().to_owned();
            Some((code, from + line.len()))
        });
        let digits = code.split_once(' ').map(|(a, b)| (a.len(), b.len()));
        assert!(digits == Some((3, 3)) && code.chars().all(|c| c == ' ' || c.is_ascii_digit()));
        code
    }

    /// The port that it says it listens on.
    #[track_caller]
    pub(crate) fn address(&mut self) -> String {
        let (port, _) = self.until("a port", |seen| {
            let from = seen.find("on port ")? + "on port ".len();
            let end = seen.get(from..)?.find('\r')? + from;
            Some((seen.get(from..end)?.to_owned(), end))
        });
        format!("127.0.0.1:{port}")
    }

    #[track_caller]
    fn until<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<(T, usize)>) -> (T, usize) {
        loop {
            if let Some((found, end)) = find(&self.seen) {
                self.seen.drain(..end);
                return (found, end);
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("{what:?} never came; on the screen:\n{}", self.seen),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend(bytes);
        self.seen += &String::from_utf8_lossy(bytes).replace("\x1b[1m", "").replace("\x1b[0m", "");
    }

    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self
    }

    /// Waits for the question about a request, and gives the word that approves it.
    #[track_caller]
    #[allow(dead_code, reason = "not all test programs have requests")]
    pub(crate) fn word(&mut self) -> String {
        self.until("the word of a request", |seen| {
            let (before, _) = seen.split_once(APPROVE)?;
            let word = before.rsplit(' ').next()?.to_owned();
            Some((word, before.len() + APPROVE.len()))
        })
        .0
    }

    /// Approves the request that is asked about next.
    #[track_caller]
    #[allow(dead_code, reason = "not all test programs have requests")]
    pub(crate) fn approves(&mut self) -> &mut Self {
        let word = self.word();
        self.types(&format!("{word}\n"))
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupts(&mut self) -> &mut Self {
        self.types("\x03")
    }

    /// Ends the program without any warning.
    pub(crate) fn kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// The modes that the terminal is in.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(self.keyboard.as_fd()).unwrap()
    }

    /// Waits for the end and gives the exit code and what else was shown.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        // The screen's other end closes with the program.
        loop {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it never ended; {}", self.seen),
            }
        }
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands over what appears on the screen until the program lets go of it.
fn watch(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = screen.read(&mut bytes) {
            if sender.send(bytes[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
