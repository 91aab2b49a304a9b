//! What people see and answer while a command runs: progress on standard error, and questions.
//!
//! [`Screen`] shows events, [`Prompter`] asks. Neither touches standard output, which belongs to
//! the result.

pub mod lines;
pub mod model;
pub mod prompt;
pub mod qr;
pub mod terminal;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::progress::Event;

pub use lines::Style;
use model::Model;
pub use prompt::{Need, Prompter};

/// How a [`Screen`] speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    #[default]
    Prose,
    /// Only what needs a person.
    Quiet,
    /// One JSON object a line.
    Events,
}

/// Keeps a copy of every event, for `--log-file`.
pub type Recorder = Box<dyn FnMut(&Event) + Send>;

/// Shows events on standard error. Clones share one screen, so lines never mix.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<State>>);

struct State {
    out: Box<dyn Write + Send>,
    format: Format,
    style: Style,
    model: Model,
    recorder: Option<Recorder>,
    /// A question is on the current line, which has not ended.
    open: Option<String>,
}

impl Screen {
    /// A screen that speaks in `format` and `style` and gives every event to `recorder`.
    pub fn new(format: Format, style: Style, recorder: Option<Recorder>) -> Self {
        Self::on(Box::new(io::stderr()), format, style, recorder)
    }

    fn on(
        out: Box<dyn Write + Send>,
        format: Format,
        style: Style,
        recorder: Option<Recorder>,
    ) -> Self {
        let model = Model::default();
        Self(Arc::new(Mutex::new(State { out, format, style, model, recorder, open: None })))
    }

    /// Shows an event, records it and takes it into the model. Standard error being gone stops nothing.
    pub fn show(&self, event: &Event) {
        self.lock().show(event);
    }

    /// Shows a sentence that stops nothing.
    pub fn note(&self, message: impl Into<String>) {
        self.show(&Event::Note { message: message.into() });
    }

    /// How it speaks.
    pub fn format(&self) -> Format {
        self.lock().format
    }

    /// The lines that an event is to people.
    pub(crate) fn prose(&self, event: &Event) -> Vec<String> {
        let state = self.lock();
        lines::prose(&state.model, event, state.style)
    }

    /// Puts a question on a line of its own, which stays open for the answer.
    pub(crate) fn ask(&self, question: &str) {
        self.lock().ask(question);
    }

    /// The question was answered, which ended its line, or was given up, which did not.
    pub(crate) fn asked(&self, answered: bool) {
        let mut state = self.lock();
        if state.open.take().is_some() && !answered {
            state.write("\n");
        }
    }

    // A panic while the lock was held leaves nothing half done that matters here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder(event);
        }
        self.model.fold(event);
        let text = match self.format {
            Format::Events => serde_json::to_string(event).unwrap_or_default() + "\n",
            Format::Quiet if !lines::needs_a_person(event) => return,
            Format::Quiet | Format::Prose => {
                lines::prose(&self.model, event, self.style).into_iter().map(|l| l + "\n").collect()
            }
        };
        match self.open.take() {
            Some(question) if !text.is_empty() => {
                self.write(&format!("\n{text}"));
                self.ask(&question);
            }
            open => {
                self.open = open;
                self.write(&text);
            }
        }
    }

    fn ask(&mut self, question: &str) {
        if self.format != Format::Events {
            self.write(question);
            self.open = Some(question.to_owned());
        }
    }

    // One write for all lines of an event: two processes on one terminal do not mix inside it.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written so far.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn screen(format: Format) -> (Screen, impl Fn() -> String) {
        let page = Page::default();
        let screen = Screen::on(Box::new(page.clone()), format, Style::default(), None);
        (screen, move || String::from_utf8(page.0.lock().unwrap().clone()).unwrap())
    }

    #[test]
    fn an_event_during_a_question_stands_above_it() {
        let (screen, written) = screen(Format::Prose);
        screen.ask("sure? ");
        screen.note("bob is here");
        screen.asked(true);
        screen.note("done");
        assert_eq!(written(), "sure? \nbob is here\nsure? done\n");
    }

    #[test]
    fn a_question_taken_back_ends_its_line() {
        let (screen, written) = screen(Format::Prose);
        screen.ask("sure? ");
        screen.asked(false);
        screen.note("too late");
        assert_eq!(written(), "sure? \ntoo late\n");
    }

    #[test]
    fn events_are_one_json_object_a_line_and_questions_stay_out() {
        let (screen, written) = screen(Format::Events);
        screen.ask("sure? ");
        screen.note("one");
        screen.asked(false);
        assert_eq!(written(), "{\"event\":\"note\",\"message\":\"one\"}\n");
    }

    #[test]
    fn quiet_drops_what_needs_nobody() {
        let (screen, written) = screen(Format::Quiet);
        screen.note("nothing to do");
        assert_eq!(written(), "");
    }

    #[test]
    fn every_event_is_recorded_whatever_is_shown() {
        let count = Arc::new(Mutex::new(0));
        let recorder: Recorder = {
            let count = Arc::clone(&count);
            Box::new(move |_| *count.lock().unwrap() += 1)
        };
        let page = Box::new(Page::default());
        let screen = Screen::on(page, Format::Quiet, Style::default(), Some(recorder));
        screen.note("one");
        screen.note("two");
        assert_eq!(*count.lock().unwrap(), 2);
    }
}
