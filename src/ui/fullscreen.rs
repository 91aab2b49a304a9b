//! The full screen: takes the terminal with raw mode and the alternate screen, and restores it,
//! also after a panic.

use std::io::{self, BufWriter, IsTerminal as _, Stderr, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_process, kill_process_group};
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp, tcgetwinsize};

/// The smallest window that all documents fit into.
pub(super) const SMALLEST: (u16, u16) = (60, 18);

/// Whether the terminal is taken. The panic hook clears it.
static TAKEN: AtomicBool = AtomicBool::new(false);

type Canvas = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// The terminal, while it is taken.
#[derive(Debug)]
pub(super) struct Fullscreen {
    terminal: Canvas,
    size: (u16, u16),
}

/// Whether a person is at this terminal: standard input and error are one, it supports cursor
/// movement, and this process is in its foreground.
pub(super) fn is_possible() -> bool {
    let capable = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    capable && is_in_foreground() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether this process is in the foreground of the terminal, which `bg` changes.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Columns and rows of the terminal, if it is large enough and this process is in its foreground.
pub(super) fn size() -> Option<(u16, u16)> {
    if !is_in_foreground() {
        return None;
    }
    let size = tcgetwinsize(io::stderr()).ok()?;
    let size = (size.ws_col, size.ws_row);
    (size.0 >= SMALLEST.0 && size.1 >= SMALLEST.1).then_some(size)
}

impl Fullscreen {
    /// Takes the terminal, which has this size.
    pub(super) fn enter(size: (u16, u16)) -> io::Result<Self> {
        give_back_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        let taken = Self::take(size);
        if taken.is_err() {
            give_back();
        }
        taken
    }

    fn take(size: (u16, u16)) -> io::Result<Self> {
        enable_raw_mode()?;
        // Without line wrap, a line that the terminal takes for wider than we do cannot push the
        // next one down.
        execute!(
            io::stderr(),
            EnterAlternateScreen,
            Hide,
            EnableBracketedPaste,
            DisableLineWrap,
            Clear(ClearType::All)
        )?;
        Ok(Self { terminal: canvas(size)?, size })
    }

    /// Goes on in a window that has this size now.
    pub(super) fn resize(&mut self, size: (u16, u16)) -> io::Result<()> {
        execute!(io::stderr(), Clear(ClearType::All))?;
        (self.terminal, self.size) = (canvas(size)?, size);
        Ok(())
    }

    /// Whether it is still taken; the panic hook gives it back.
    pub(super) fn is_there(&self) -> bool {
        TAKEN.load(Ordering::SeqCst)
    }

    /// Whether the window still has this size.
    pub(super) fn fits(&self, size: (u16, u16)) -> bool {
        self.size == size
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }
}

/// An empty canvas of this size.
fn canvas(size: (u16, u16)) -> io::Result<Canvas> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
    let backend = CrosstermBackend::new(BufWriter::new(io::stderr()));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

impl Drop for Fullscreen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Discards unread keys.
pub(super) fn forget_typed() {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// Interrupts this process, as Ctrl-C does if the terminal is not taken.
pub(super) fn interrupt() {
    let _ = kill_process(getpid(), Signal::INT);
}

/// Stops this process until it is continued; with `everybody` its whole job, as Ctrl-Z does. It
/// does nothing if there is no shell that could continue it.
pub(super) fn stop(everybody: bool) {
    let group = getpgrp();
    let supervised = getsid(None).is_ok_and(|session| session != group);
    if supervised {
        let _ = if everybody {
            kill_process_group(group, Signal::STOP)
        } else {
            kill_process(getpid(), Signal::STOP)
        };
    }
}

/// Gives the terminal back, if it is taken.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stderr();
        let _ = execute!(out, EnableLineWrap, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
    });
}
