//! What people see and answer while a command runs: progress on standard error, and questions.
//!
//! [`Screen`] shows events, [`Prompter`] asks. Neither touches standard output, which belongs to
//! the result.

pub mod lines;
pub mod model;
pub mod prompt;
pub mod terminal;

use std::fmt;
use std::io::{self, Write as _};
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
        let model = Model::default();
        Self(Arc::new(Mutex::new(State { format, style, model, recorder, open: None })))
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
            write("\n");
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
                write(&format!("\n{text}"));
                self.ask(&question);
            }
            open => {
                self.open = open;
                write(&text);
            }
        }
    }

    fn ask(&mut self, question: &str) {
        if self.format != Format::Events {
            write(question);
            self.open = Some(question.to_owned());
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

// One write for a whole line: two processes on one terminal do not mix inside it.
fn write(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
