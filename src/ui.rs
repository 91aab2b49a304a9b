//! What people see and answer while a command runs: progress on standard error, and questions.
//!
//! [`Screen`] shows events, [`Prompter`] asks. Neither touches standard output, which belongs to
//! the result. In a terminal that is large enough, a command may let the screen fill it
//! ([`Screen::fill`]); everywhere else, and while a secret is typed, there are lines.

pub mod ending;
pub mod lines;
pub mod model;
pub mod prompt;
pub mod qr;
pub mod terminal;

mod cards;
mod fullscreen;
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

/// Tells the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For spans.
    pub now: fn() -> Instant,
    /// For people and scripts: RFC 3339.
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
    /// Something is to be drawn, or the terminal to be taken or given back.
    changed: Arc<Notify>,
}

struct State {
    out: Box<dyn Write + Send>,
    format: Format,
    style: Style,
    model: Model,
    recorder: Option<Recorder>,
    cards: Cards,
    /// A question is on the current line, which has not ended.
    open: Option<String>,
    clock: Clock,
    began: Instant,
    full: Full,
}

/// What the full screen needs.
#[derive(Debug, Default)]
struct Full {
    /// [`Screen::fill`] runs and may take the terminal.
    allowed: bool,
    /// Something happened that is worth it.
    wanted: bool,
    /// How many secrets are being typed in lines.
    pauses: usize,
    /// The terminal, while it is taken.
    taken: Option<Fullscreen>,
    stage: Stage,
    /// What happened meanwhile, as lines for afterwards.
    kept: VecDeque<String>,
}

impl Screen {
    /// A screen that speaks in `format` and `style` and gives every event to `recorder`.
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

    /// Shows an event, records it and takes it into the model. Standard error being gone stops nothing.
    pub fn show(&self, event: &Event) {
        self.lock().show(event);
        self.changed.notify_one();
    }

    /// Shows a code, or a request that `word` approves and that is warned of, which a person is asked about
    /// from now on. Gives what is asked on a full screen.
    fn show_question(
        &self,
        event: &Event,
        warning: Option<&str>,
        word: Option<&str>,
    ) -> Option<Question> {
        let mut state = self.lock();
        // What was said about another request is not about this one.
        state.model.note = None;
        if let Some(warning) = warning {
            state.show(&Event::Note { message: warning.to_owned() });
        }
        state.show(event);
        state.full.stage.consent = Consent::Open;
        self.changed.notify_one();
        // Taken at once: what is shown later is not what is asked about.
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

    /// How it speaks.
    pub fn format(&self) -> Format {
        self.lock().format
    }

    /// The span since the screen was made.
    fn now(&self) -> Duration {
        self.lock().now()
    }

    /// Says whose screen this is.
    pub fn introduce(&self, name: &str, id: &str, fingerprint: &str) {
        let (name, id) = (name.to_owned(), id.to_owned());
        self.lock().model.own =
            Some(Own { name, id, fingerprint: fingerprint.to_owned(), port: 0 });
    }

    /// Whether a terminal is there that this screen could fill.
    pub fn can_fill() -> bool {
        fullscreen::is_possible()
    }

    /// Fills the terminal for as long as this is polled, from the first event that is worth it, and
    /// gives it back when dropped. What happened meanwhile is then said in lines. In a window that is too small, and
    /// while a secret is typed, there are lines too.
    pub async fn fill(&self) -> Infallible {
        // Without them the terminal could not be given back: there are lines.
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
                // Whoever asks in lines reads the keys itself.
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

    /// Leaves the result on a full screen until a key is pressed, but no longer than `limit`.
    pub async fn linger(&self, limit: Duration) {
        let ended = {
            let state = self.lock();
            state.full.taken.is_some() && state.model.ended.is_some() && !state.full.stage.dismissed
        };
        if ended {
            let _ = tokio::time::timeout(limit, self.ask_in_full(Question::Result)).await;
        }
    }

    /// `view` with what is new about it, compared with what was shown before.
    pub(crate) fn compared(&self, view: RequestView) -> RequestView {
        self.lock().cards.compare(view)
    }

    /// The person lets others go before `card`, which comes back.
    fn put_off(&self, card: &RequestView) {
        self.lock().cards.put_off(card);
    }

    /// The word that approves `view`.
    fn word(&self, view: &RequestView) -> String {
        self.lock().cards.word(view)
    }

    /// The request or code in `asked` ended without an answer. `shown`: the person saw it.
    fn gone(&self, asked: &Event, shown: bool) {
        self.lock().full.stage.gone(asked.clone(), shown);
        self.changed.notify_one();
    }

    /// What ended without an answer, as lines of so many columns, until the person has left it. Another
    /// question waits for that.
    fn page(&self, columns: usize) -> Option<Vec<String>> {
        let mut state = self.lock();
        state.full.stage.await_page();
        let style = Style { columns, ..state.style };
        state.full.stage.page().map(|page| lines::page(page, style))
    }

    /// The person has left the page.
    fn leave_page(&self) {
        self.lock().full.stage.leave_page();
        self.changed.notify_one();
    }

    /// Prints lines that a person must see.
    fn say(&self, text: &[String]) {
        self.lock().print(&joined(text.iter().cloned()));
    }

    /// Whether requests of the device with this fingerprint are turned away.
    pub(crate) fn is_muted(&self, fingerprint: &Fingerprint) -> bool {
        self.lock().full.stage.is_muted(fingerprint)
    }

    /// Turns requests of this device away, or no longer.
    fn toggle(&self, name: &str, fingerprint: &Fingerprint) {
        let muted = self.lock().full.stage.toggle(fingerprint);
        let what = if muted { "muted until this command ends" } else { "no longer muted" };
        self.note(format!("{} is {what}", text::quoted(name)));
    }

    /// Asks on the full screen. `None` if it is not there, or no longer.
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
        // Questions stay open: nobody else is to read what is typed now.
        state.put_away();
        self.changed.notify_one();
        Pause(self)
    }

    /// Shows `event`, which was shown on a full screen, as lines.
    fn repeat(&self, event: &Event) {
        let mut state = self.lock();
        if state.format != Format::Events {
            let lines = lines::prose(&state.model, event, state.style_now());
            state.print(&joined(lines));
        }
    }

    /// The lines that an event is to people, on a terminal of so many columns.
    pub(crate) fn prose(&self, event: &Event, columns: usize) -> Vec<String> {
        let state = self.lock();
        lines::prose(&state.model, event, Style { columns, ..state.style })
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

    /// Takes what was typed.
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
                // Text that is pasted answers nothing; a new size is seen by `settle`.
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

    /// Gives the terminal back and stops, until this process is continued.
    fn suspend(&self, everybody: bool) {
        self.lock().put_away();
        fullscreen::stop(everybody);
    }

    // A panic while the lock was held leaves nothing half done that matters here.
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
            // A device is still there: that is news to the clock beside it alone.
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
        // What a person is asked about stays that, whatever is decided meanwhile.
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
            // The full screen breaks it into lines: below, it can be copied whole.
            self.put_away();
            self.print(&format!("cosign pair '{uri}'\n"));
        }
        if self.settle() {
            if lines::is_an_end(event) || lines::is_aside(event) {
                self.full.kept.extend(lines::prose(&self.model, event, self.style));
                while self.full.kept.len() > KEPT {
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
            // Above a question stands the card that it is about, and no other one. What a rule decides
            // meanwhile is said in a line.
            Format::Quiet | Format::Prose if is_card && self.open.is_some() => return,
            Format::Quiet | Format::Prose => {
                joined(lines::prose(&self.model, event, self.style_now()))
            }
        };
        self.print(&text);
    }

    /// How lines look in the window as it is now.
    fn style_now(&self) -> Style {
        Style { columns: terminal::columns(), ..self.style }
    }

    /// The device that a key chooses on the dashboard.
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

    /// Prints whole lines, above the question that is open.
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

    /// Takes the terminal or gives it back, as things are now. Whether it is taken.
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
            // What is not on the screen must not be answered there.
            Err(_) => {
                self.full.allowed = false;
                self.give_back();
            }
        }
    }

    /// Gives the terminal back for good, or for as long as there are lines: says what was kept, and
    /// lets whoever asks ask in lines.
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

    // One write for all lines of an event: two processes on one terminal do not mix inside it.
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

/// The next thing typed.
async fn next(keys: &mut EventStream) -> Option<io::Result<Input>> {
    poll_fn(|context| Pin::new(&mut *keys).poll_next(context)).await
}

/// While it lives, the screen may fill the terminal.
struct Filling<'a>(&'a Screen);

impl<'a> Filling<'a> {
    fn start(screen: &'a Screen) -> Self {
        let mut state = screen.lock();
        state.full.allowed = true;
        // What was said until now stands in lines.
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

/// While it lives, there are lines.
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
    /// The one that came.
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
            // After a stop that nobody announced, the terminal is as the shell left it.
            Some(kind) if kind == continue_kind() => screen.lock().put_away(),
            // `settle` looks at the size.
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

/// How often a full screen is drawn where nothing happens: a countdown shows seconds.
const TICK: Duration = Duration::from_millis(200);
/// How many lines are kept for afterwards.
const KEPT: usize = 1000;

#[cfg(test)]
pub(crate) mod tests {
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
