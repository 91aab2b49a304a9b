//! What a person sees and answers while a command runs: progress on standard error, and questions.
//!
//! [`Screen`] shows events, [`Prompter`] asks. Neither writes to standard output, which is for the
//! result. On a large enough terminal a command may let the screen fill it ([`Screen::fill`]);
//! everywhere else, and while a secret is typed, it prints lines.

pub mod ending;
pub mod lines;
pub mod model;
pub mod prompt;
pub mod qr;
pub mod terminal;

mod cards;
mod fullscreen;
mod payload;
mod stage;
mod text;
mod view;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossterm::event::{Event as Input, EventStream, KeyEvent, KeyEventKind};
use futures_core::Stream as _;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::device::{Fingerprint, shown_json};
use crate::progress::{Event, RequestView};

use cards::Cards;
pub use ending::{Ending, ending};
use fullscreen::Fullscreen;
pub use lines::Style;
use model::{Model, Own};
pub use prompt::{Need, NoAnswer, Prompter, Unanswered};
use stage::{Answer, Consent, Effect, Question, Stage};
pub use text::keygen_with;

/// The output format of a [`Screen`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    #[default]
    Prose,
    /// Only events that need a person.
    Quiet,
    /// One JSON object a line.
    Events,
}

/// Gets a copy of every event, for `--log-file`.
pub type Recorder = Box<dyn FnMut(&Event) + Send>;

/// Reads the clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For spans.
    pub now: fn() -> Instant,
    /// The time of day in RFC 3339, for people and scripts.
    pub stamp: fn() -> String,
}

/// An event as a line for scripts.
#[derive(Debug, Serialize)]
pub struct Stamped<'a> {
    /// What happened.
    #[serde(flatten)]
    pub event: &'a Event,
    /// When it was told, RFC 3339.
    pub time: String,
}

/// Shows events on standard error. Clones share one screen, so lines never mix.
#[derive(Clone)]
pub struct Screen {
    state: Arc<Mutex<State>>,
    /// Notified when the screen has to be drawn, or the terminal taken or given back.
    changed: Arc<Notify>,
}

struct State {
    out: Box<dyn Write + Send>,
    format: Format,
    style: Style,
    model: Model,
    recorder: Option<Recorder>,
    cards: Cards,
    /// The open question, which stands on the current line.
    open: Option<String>,
    clock: Clock,
    began: Instant,
    full: Full,
}

/// The state of the full screen.
#[derive(Debug, Default)]
struct Full {
    /// [`Screen::fill`] runs and may take the terminal.
    allowed: bool,
    /// Whether an event has come for which the terminal is taken.
    wanted: bool,
    /// How many secrets are being typed in lines.
    pauses: usize,
    /// The terminal, while it is taken.
    taken: Option<Fullscreen>,
    stage: Stage,
    /// Lines of events on the full screen, printed when it is left.
    kept: VecDeque<String>,
}

impl Screen {
    /// A screen with this format and style that passes every event to `recorder`.
    pub fn new(format: Format, style: Style, recorder: Option<Recorder>, clock: Clock) -> Self {
        Self::on(Box::new(io::stderr()), format, style, recorder, clock)
    }

    fn on(
        out: Box<dyn Write + Send>,
        format: Format,
        style: Style,
        recorder: Option<Recorder>,
        clock: Clock,
    ) -> Self {
        let state = State {
            out,
            format,
            style,
            model: Model::default(),
            recorder,
            cards: Cards::default(),
            open: None,
            clock,
            began: (clock.now)(),
            full: Full::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// Shows an event, records it and updates the model. A closed standard error is ignored.
    pub fn show(&self, event: &Event) {
        self.lock().show(event);
        self.changed.notify_one();
    }

    /// Shows a question: a code, or a request with its `warning` that `word` approves. Returns the
    /// question for a full screen.
    fn show_question(
        &self,
        event: &Event,
        warning: Option<&str>,
        word: Option<&str>,
    ) -> Option<Question> {
        let mut state = self.lock();
        // The last note was about something else.
        state.model.note = None;
        if let Some(warning) = warning {
            state.show(&Event::Note { message: warning.to_owned() });
        }
        state.show(event);
        state.full.stage.consent = Consent::Open;
        self.changed.notify_one();
        // Taken now: the card on the screen may be replaced before the question is asked.
        match word {
            None => state.model.code.clone().map(Question::Code),
            Some(word) => state
                .model
                .request
                .clone()
                .map(|card| Question::Approval { card: Box::new(card), word: word.to_owned() }),
        }
    }

    /// The person said yes.
    fn agreed(&self) {
        self.lock().full.stage.consent = Consent::Given;
    }

    /// Shows a sentence that stops nothing.
    pub fn note(&self, message: impl Into<String>) {
        self.show(&Event::Note { message: message.into() });
    }

    /// Shows a sentence that its reader must know, also with `--quiet`.
    pub fn warn(&self, message: impl Into<String>) {
        let event = Event::Note { message: message.into() };
        let mut state = self.lock();
        state.show(&event);
        if state.format == Format::Quiet {
            let text = joined(lines::prose(&state.model, &event, state.style_now()));
            state.print(&text);
        }
    }

    /// The output format.
    pub fn format(&self) -> Format {
        self.lock().format
    }

    /// The span since the screen was made.
    fn now(&self) -> Duration {
        self.lock().now()
    }

    /// Sets the device that the header shows.
    pub fn introduce(&self, name: &str, id: &str, fingerprint: &str) {
        let (name, id) = (name.to_owned(), id.to_owned());
        self.lock().model.own =
            Some(Own { name, id, fingerprint: fingerprint.to_owned(), port: 0 });
    }

    /// Whether there is a terminal that this screen could fill.
    pub fn can_fill() -> bool {
        fullscreen::is_possible()
    }

    /// Fills the terminal while this is polled, from the first event that calls for it, and gives
    /// it back when dropped. The events of that time are then printed as lines. In a window that is
    /// too small, and while a secret is typed, lines are printed as well.
    pub async fn fill(&self) -> Infallible {
        // Without the signals the terminal could not be given back, so lines are printed.
        let Ok(mut signals) = Signals::new() else { return std::future::pending().await };
        let _filling = Filling::start(self);
        let mut keys = None;
        loop {
            let up = {
                let mut state = self.lock();
                let up = state.settle();
                state.draw();
                up
            };
            if up {
                let keys = keys.get_or_insert_with(EventStream::new);
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep(TICK) => {}
                    input = next(keys) => self.take(input),
                    () = signals.next() => {}
                }
                signals.act(self);
            } else {
                // A question in lines reads the keys itself.
                keys = None;
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = signals.next() => {}
                }
                signals.act(self);
            }
        }
    }

    /// Whether the screen fills the terminal now.
    fn is_full(&self) -> bool {
        self.lock().full.taken.is_some()
    }

    /// Waits until the screen fills the terminal.
    async fn filled(&self) {
        while !self.is_full() {
            tokio::time::sleep(TICK).await;
        }
    }

    /// Keeps the result on a full screen until a key is pressed, for at most `limit`.
    pub async fn linger(&self, limit: Duration) {
        let ended = {
            let state = self.lock();
            state.full.taken.is_some() && state.model.ended.is_some() && !state.full.stage.dismissed
        };
        if ended {
            let _ = tokio::time::timeout(limit, self.ask_in_full(Question::Result)).await;
        }
    }

    /// `view` with the fields that differ from the last card of the same requester and key.
    pub(crate) fn compared(&self, view: RequestView) -> RequestView {
        self.lock().cards.compare(view)
    }

    /// Notes that the person put off `card`, which will be shown again.
    fn put_off(&self, card: &RequestView) {
        self.lock().cards.put_off(card);
    }

    /// The word that approves `view`.
    fn word(&self, view: &RequestView) -> String {
        self.lock().cards.word(view)
    }

    /// Notes that the request or code in `asked` ended without an answer. `shown`: the person saw
    /// it.
    fn gone(&self, asked: &Event, shown: bool) {
        self.lock().full.stage.gone(asked.clone(), shown);
        self.changed.notify_one();
    }

    /// The page about a question that ended without an answer, as lines of so many columns; `None`
    /// once the person has left it. Marks that another question waits for that.
    fn page(&self, columns: usize) -> Option<Vec<String>> {
        let mut state = self.lock();
        state.full.stage.await_page();
        let style = Style { columns, ..state.style };
        state.full.stage.page().map(|page| lines::page(page, style))
    }

    /// Notes that the person has left the page.
    fn leave_page(&self) {
        self.lock().full.stage.leave_page();
        self.changed.notify_one();
    }

    /// Prints lines that a person must see.
    fn say(&self, text: &[String]) {
        self.lock().print(&joined(text.iter().cloned()));
    }

    /// Whether requests of the device with this fingerprint are refused.
    pub(crate) fn is_muted(&self, fingerprint: &Fingerprint) -> bool {
        self.lock().full.stage.is_muted(fingerprint)
    }

    /// Mutes this device, or unmutes it.
    fn toggle(&self, name: &str, fingerprint: &Fingerprint) {
        let muted = self.lock().full.stage.toggle(fingerprint);
        let what = if muted { "muted until this command ends" } else { "no longer muted" };
        self.note(format!("{} is {what}", text::quoted(name)));
    }

    /// Asks on the full screen. `None` if there is none, or if it is given up.
    async fn ask_in_full(&self, question: Question) -> Option<Answer> {
        let (id, answer) = {
            let mut state = self.lock();
            state.full.taken.as_ref()?;
            state.full.stage.ask(question)
        };
        self.changed.notify_one();
        let _open = Open { screen: self, id };
        answer.await.ok()
    }

    /// Gives the terminal back until the guard is dropped.
    fn pause(&self) -> Pause<'_> {
        let mut state = self.lock();
        state.full.pauses += 1;
        // Open questions go on in lines only afterwards, so that they do not read the secret.
        state.put_away();
        self.changed.notify_one();
        Pause(self)
    }

    /// Prints `event`, which was shown on a full screen, as lines.
    fn repeat(&self, event: &Event) {
        let mut state = self.lock();
        if state.format != Format::Events {
            let lines = lines::prose(&state.model, event, state.style_now());
            state.print(&joined(lines));
        }
    }

    /// The lines of an event on a terminal of so many columns.
    pub(crate) fn prose(&self, event: &Event, columns: usize) -> Vec<String> {
        let state = self.lock();
        lines::prose(&state.model, event, Style { columns, ..state.style })
    }

    /// Prints a question on a line of its own, which stays open for the answer.
    pub(crate) fn ask(&self, question: &str) {
        self.lock().ask(question);
    }

    /// Ends the question's line: an answer has ended it already, a withdrawal has not.
    pub(crate) fn asked(&self, answered: bool) {
        let mut state = self.lock();
        if state.open.take().is_some() && !answered {
            state.write("\n");
        }
    }

    /// Handles a key.
    fn take(&self, input: Option<io::Result<Input>>) {
        let mut chosen = None;
        let effect = {
            let mut state = self.lock();
            let now = state.now();
            match input {
                Some(Ok(Input::Key(key))) => {
                    chosen = state.choose(key);
                    state.full.stage.key(key, now)
                }
                // A paste is no answer; `settle` sees a new size.
                Some(Ok(_)) => Effect::Nothing,
                // The terminal is gone.
                Some(Err(_)) | None => {
                    state.full.allowed = false;
                    state.give_back();
                    Effect::Interrupt
                }
            }
        };
        if let Some((name, fingerprint)) = chosen {
            self.toggle(&name, &fingerprint);
        }
        match effect {
            Effect::Nothing => {}
            Effect::Interrupt => fullscreen::interrupt(),
            Effect::Suspend => self.suspend(true),
        }
    }

    /// Gives the terminal back and stops this process until it is continued.
    fn suspend(&self, everybody: bool) {
        self.lock().put_away();
        fullscreen::stop(everybody);
    }

    // If a holder panicked, at worst a line is missing or an old frame is drawn.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&self) -> Duration {
        (self.clock.now)().saturating_duration_since(self.began)
    }

    fn show(&mut self, event: &Event) {
        let now = self.now();
        if self.model.knows(event) {
            // The device was known already, so only the time it was seen is updated.
            return self.model.fold(event, now);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder(event);
        }
        self.model.fold(event, now);
        self.full.wanted |= !lines::is_aside(event);
        if let Event::Aborted { ceremony, request_id, message, .. } = event {
            self.full.stage.gone_because(ceremony, request_id.as_deref(), message);
        }
        // A card on the screen is not replaced by another event while its question is open.
        let is_card = matches!(event, Event::Code { .. } | Event::Request(_));
        if is_card && self.full.stage.top().is_none() {
            self.full.stage.consent = Consent::NotAsked;
        }
        if lines::is_an_end(event) || matches!(event, Event::Invite { .. }) {
            self.full.stage.dismissed = false;
        }
        if let Event::Invite { uri, .. } = event
            && self.settle()
        {
            // Printed as a line too, since the full screen breaks it and only a whole line can be
            // copied.
            self.put_away();
            self.print(&format!("cosign pair '{uri}'\n"));
        }
        if self.settle() {
            if lines::is_an_end(event) || lines::is_aside(event) {
                self.full.kept.extend(lines::prose(&self.model, event, self.style));
                while self.full.kept.len() > MAX_LINES {
                    self.full.kept.pop_front();
                }
            }
            return;
        }
        let text = match self.format {
            Format::Events => {
                let line = Stamped { event, time: (self.clock.stamp)() };
                serde_json::to_string(&line).unwrap_or_default() + "\n"
            }
            Format::Quiet if !lines::needs_a_person(event) => return,
            // Above an open question stands its own card, so no other one is printed. The decision
            // of a rule is one line.
            Format::Quiet | Format::Prose if is_card && self.open.is_some() => return,
            Format::Quiet | Format::Prose => {
                joined(lines::prose(&self.model, event, self.style_now()))
            }
        };
        self.print(&text);
    }

    /// The style for the current width of the window.
    fn style_now(&self) -> Style {
        Style { columns: terminal::columns(), ..self.style }
    }

    /// The device whose name was chosen on the dashboard with this key.
    fn choose(&mut self, key: KeyEvent) -> Option<(String, Fingerprint)> {
        let Self { model, full: Full { stage, .. }, .. } = self;
        let pressed = key.kind == KeyEventKind::Press && key.modifiers.is_empty();
        let now = (self.clock.now)().saturating_duration_since(self.began);
        let scene = view::Scene { model, stage, now, color: false };
        if !pressed || !view::shows_dashboard(scene) {
            return None;
        }
        let peers = model.inventory.as_ref().map(|has| has.peers.as_slice()).unwrap_or_default();
        let peer = stage.choose(key.code, peers)?;
        Some((peer.name.clone(), peer.fingerprint))
    }

    /// Prints whole lines above the open question.
    fn print(&mut self, text: &str) {
        match self.open.take() {
            Some(question) if !text.is_empty() => {
                self.write(&format!("\n{text}"));
                self.ask(&question);
            }
            open => {
                self.open = open;
                self.write(text);
            }
        }
    }

    fn ask(&mut self, question: &str) {
        if self.format != Format::Events {
            self.write(question);
            self.open = Some(question.to_owned());
        }
    }

    /// Takes the terminal or gives it back, as the state requires. Whether it is taken.
    fn settle(&mut self) -> bool {
        let full = &mut self.full;
        if full.taken.as_ref().is_some_and(|taken| !taken.is_there()) {
            // A panic gave it back: lines are safer from now on.
            full.allowed = false;
        }
        if full.pauses > 0 {
            return false;
        }
        let Some(size) = (full.allowed && full.wanted).then(fullscreen::size).flatten() else {
            self.give_back();
            return false;
        };
        let fits = match &mut full.taken {
            Some(taken) if taken.fits(size) => return true,
            Some(taken) => taken.resize(size),
            None => {
                // The line of a question in lines ends below them, not on the full screen.
                if self.open.take().is_some() {
                    self.write("\n");
                }
                Fullscreen::enter(size).map(|taken| self.full.taken = Some(taken))
            }
        };
        if fits.is_err() {
            self.full.allowed = false;
            self.give_back();
            return false;
        }
        self.full.stage.turn_page();
        fullscreen::forget_typed();
        true
    }

    fn draw(&mut self) {
        let now = self.now();
        if self.full.stage.may_arm(now) {
            fullscreen::forget_typed();
            self.full.stage.arm(now);
        }
        let (model, color) = (&self.model, self.style.color);
        let Full { taken, stage, .. } = &mut self.full;
        let Some(taken) = taken else { return };
        let mut overflow = 0;
        let scene = view::Scene { model, stage, now, color };
        match taken.draw(|frame| overflow = view::draw(frame, scene)) {
            Ok(()) => stage.drawn(now, overflow),
            // A question that could not be drawn must not be answered on that screen.
            Err(_) => {
                self.full.allowed = false;
                self.give_back();
            }
        }
    }

    /// Gives the terminal back, for good or while lines are needed. Prints the lines of the
    /// meantime; open questions go on in lines.
    fn give_back(&mut self) {
        self.full.taken = None;
        self.full.stage.clear();
        let kept = joined(self.full.kept.drain(..));
        self.print(&kept);
    }

    /// Gives the terminal back until `settle` takes it again.
    fn put_away(&mut self) {
        self.full.taken = None;
    }

    // One write for all lines of an event, so that the output of two processes on one terminal does
    // not mix inside it.
    fn write(&mut self, text: &str) {
        let text = match self.format {
            Format::Events => shown_json(text),
            Format::Quiet | Format::Prose => lines::safe(text, self.style),
        };
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

fn joined(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The next terminal event.
async fn next(keys: &mut EventStream) -> Option<io::Result<Input>> {
    poll_fn(|context| Pin::new(&mut *keys).poll_next(context)).await
}

/// While it exists, the screen may fill the terminal.
struct Filling<'a>(&'a Screen);

impl<'a> Filling<'a> {
    fn start(screen: &'a Screen) -> Self {
        let mut state = screen.lock();
        state.full.allowed = true;
        // Earlier notes have been printed as lines.
        state.model.note = None;
        drop(state);
        Self(screen)
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.full.allowed = false;
        state.give_back();
    }
}

/// A question on the full screen that is withdrawn when this is dropped.
struct Open<'a> {
    screen: &'a Screen,
    id: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.screen.lock().full.stage.withdraw(self.id);
        self.screen.changed.notify_one();
    }
}

/// While it exists, lines are used.
struct Pause<'a>(&'a Screen);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.lock().full.pauses -= 1;
        self.0.changed.notify_one();
    }
}

/// The signals that concern a full screen.
struct Signals {
    resized: Signal,
    stopped: Signal,
    continued: Signal,
    /// The signal that came.
    came: Option<SignalKind>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            stopped: signal(stop_kind())?,
            continued: signal(continue_kind())?,
            came: None,
        })
    }

    async fn next(&mut self) {
        self.came = Some(tokio::select! {
            _ = self.resized.recv() => SignalKind::window_change(),
            _ = self.stopped.recv() => stop_kind(),
            _ = self.continued.recv() => continue_kind(),
        });
    }

    fn act(&mut self, screen: &Screen) {
        match self.came.take() {
            Some(kind) if kind == stop_kind() => screen.suspend(false),
            // After a SIGSTOP the terminal is in the state that the shell left.
            Some(kind) if kind == continue_kind() => screen.lock().put_away(),
            // `settle` checks the size.
            Some(_) | None => {}
        }
    }
}

fn continue_kind() -> SignalKind {
    SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())
}

fn stop_kind() -> SignalKind {
    SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw())
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

/// How often the full screen is drawn without an event, so that countdowns show seconds.
const TICK: Duration = Duration::from_millis(200);
/// Most lines that are stored for the end of the full screen.
const MAX_LINES: usize = 1000;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The output so far.
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

    #[expect(clippy::disallowed_methods, reason = "no test depends on what time it is")]
    pub(crate) fn clock() -> Clock {
        Clock { now: || Instant::now(), stamp: || "2026-06-15T10:00:00Z".to_owned() }
    }

    fn screen(format: Format) -> (Screen, impl Fn() -> String) {
        let page = Page::default();
        let screen = Screen::on(Box::new(page.clone()), format, Style::default(), None, clock());
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
        assert_eq!(
            written(),
            "{\"event\":\"note\",\"message\":\"one\",\"time\":\"2026-06-15T10:00:00Z\"}\n"
        );
    }

    #[test]
    fn quiet_drops_what_needs_nobody() {
        let (screen, written) = screen(Format::Quiet);
        screen.note("nothing to do");
        assert_eq!(written(), "");
        screen.warn("a file was altered");
        assert_eq!(written(), "a file was altered\n");
    }

    #[test]
    fn every_event_is_recorded_whatever_is_shown() {
        let count = Arc::new(Mutex::new(0));
        let recorder: Recorder = {
            let count = Arc::clone(&count);
            Box::new(move |_| *count.lock().unwrap() += 1)
        };
        let page = Box::new(Page::default());
        let screen = Screen::on(page, Format::Quiet, Style::default(), Some(recorder), clock());
        screen.note("one");
        screen.note("two");
        assert_eq!(*count.lock().unwrap(), 2);
    }
}
