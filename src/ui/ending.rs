//! The signals that ask this program to end: Ctrl-C, TERM, HUP and QUIT.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives these signals from its creation on; none of them then ends the process by itself.
#[derive(Debug)]
pub struct Ending {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    /// `None` if the signal was ignored from the start, as under `nohup`.
    hangup: Option<Signal>,
}

impl Ending {
    /// Needs a running tokio reactor.
    ///
    /// # Errors
    /// The system refuses signal handlers.
    pub fn new() -> io::Result<Self> {
        let is_ignored = is_ignored(SignalKind::hangup());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: (!is_ignored).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for one of them, and returns it.
    pub async fn comes(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.quit.recv() => SignalKind::quit(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// Waits for one of them, from the first poll on.
pub async fn ending() {
    match Ending::new() {
        Ok(mut ending) => drop(ending.comes().await),
        Err(_) => std::future::pending().await,
    }
}

/// Whether the process was started with this signal ignored; false if the system does not say.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value()).ok().and_then(|n| n.checked_sub(1));
    mask.zip(bit).is_some_and(|(mask, bit)| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
}
