//! The question on the full screen, and how keys answer it. No I/O and no clock.
//!
//! A key answers a question only after the question has been drawn, no key was pressed for
//! [`CALM`], and all its lines have been visible for as long. This protects from a key that is held
//! down, pasted, meant for something else, or pressed before the last line was seen. A request is
//! approved by typing the first digits of its digest or hash and Enter, which no reflex does. A
//! request or code that ended without an answer leaves a [`Page`], which must be left before
//! another question is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::oneshot;

use super::model::{CodeCard, RequestCard};
use crate::device::Fingerprint;
use crate::progress::{Event, KnownPeer};

/// How long no key may be pressed before keys answer.
pub(super) const CALM: Duration = Duration::from_millis(500);

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether both screens show the same six digits. The card stays even if the model changes.
    Code(CodeCard),
    /// Whether to take part.
    Approval {
        /// The card.
        card: Box<RequestCard>,
        /// The word that approves it.
        word: String,
    },
    /// Which of several candidates.
    Pick {
        /// What is chosen: `key`, `peer`.
        what: String,
        /// The candidates.
        candidates: Vec<String>,
    },
    /// No question: the result stays until the person leaves it.
    Result,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// No, and mute the device.
    Mute,
    /// Other requests first.
    Later,
    /// The candidate with this index.
    Choice(usize),
}

/// What the caller does after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// Interrupt the program.
    Interrupt,
    /// Give the terminal back until the process is continued.
    Suspend,
}

/// The person's answer to the code or request on the screen, given there or in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Consent {
    /// There is no question.
    #[default]
    NotAsked,
    /// No answer yet.
    Open,
    /// Yes.
    Given,
}

/// A request or code that ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The question: [`Event::Request`] or [`Event::Code`].
    pub(super) asked: Event,
    /// How it ended, once that is known.
    pub(super) why: Option<String>,
    /// How many more ended while this was on the screen.
    pub(super) unseen: usize,
    /// Whether a question waits for this page to be left.
    pub(super) awaited: bool,
}

impl Page {
    /// Whether this page is about the `ceremony` of the request with this id; a pairing has none.
    fn is_about(&self, ceremony: &str, request_id: Option<&str>) -> bool {
        let (asked, id) = match &self.asked {
            Event::Request(view) => (view.ceremony.name(), Some(view.request_id.as_str())),
            _ => ("pair", None),
        };
        asked == ceremony && id == request_id
    }
}

/// A question that is open.
#[derive(Debug)]
pub(super) struct Asking {
    id: u64,
    pub(super) question: Question,
    /// The candidate under the cursor.
    pub(super) selected: usize,
    reply: oneshot::Sender<Answer>,
}

/// The open questions, and what the person has seen of them.
#[derive(Debug, Default)]
pub(super) struct Stage {
    asking: Vec<Asking>,
    next: u64,
    /// The first line in the window.
    pub(super) scroll: usize,
    /// How many lines are below the window when it is scrolled to the top.
    overflow: usize,
    /// Since when the question is drawn and no key was pressed.
    calm: Option<Duration>,
    /// Whether keys answer the question.
    armed: bool,
    /// Whether the last line has been visible.
    read: bool,
    /// Since when the last line has been visible and no key was pressed.
    whole: Option<Duration>,
    /// Whether a yes is accepted.
    open: bool,
    /// The typed part of the word.
    pub(super) typed: String,
    /// The text that was entered instead of the word.
    pub(super) wrong: Option<String>,
    /// The page about a question that ended without an answer.
    page: Option<Page>,
    /// The fingerprints of the muted devices.
    muted: BTreeSet<Fingerprint>,
    /// The index of the paired device under the cursor, while one is chosen to be muted.
    pub(super) cursor: Option<usize>,
    /// The answer to the code or request on the screen.
    pub(super) consent: Consent,
    /// Whether the person has left the last result.
    pub(super) dismissed: bool,
}

impl Stage {
    /// Opens a question. [`Stage::withdraw`] withdraws it.
    pub(super) fn ask(&mut self, question: Question) -> (u64, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.asking.push(Asking { id, question, selected: 0, reply });
        self.turn_page();
        (id, answer)
    }

    /// Withdraws a question, if it is still open.
    pub(super) fn withdraw(&mut self, id: u64) {
        let before = self.asking.len();
        self.asking.retain(|asking| asking.id != id);
        if self.asking.len() != before {
            self.turn_page();
        }
    }

    /// Drops all questions; their receivers are closed.
    pub(super) fn clear(&mut self) {
        self.asking.clear();
        self.turn_page();
    }

    /// The question that keys answer: the last one, unless a page has to be left first.
    pub(super) fn top(&self) -> Option<&Asking> {
        self.asking.last().filter(|_| self.page.is_none())
    }

    /// The page about a question that ended without an answer.
    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Notes that the request or code in `asked` ended without an answer. `shown`: the person saw
    /// it.
    pub(super) fn gone(&mut self, asked: Event, shown: bool) {
        match &mut self.page {
            Some(page) => {
                page.unseen = page.unseen.saturating_add(1);
                page.awaited = false;
            }
            None if shown => {
                self.page = Some(Page { asked, why: None, unseen: 0, awaited: false });
                self.turn_page();
            }
            None => {}
        }
    }

    /// Adds to the page why the `ceremony` of the request with this id ended, if the page is about
    /// it.
    pub(super) fn gone_because(&mut self, ceremony: &str, request_id: Option<&str>, why: &str) {
        let page = self.page.as_mut();
        if let Some(page) = page.filter(|page| page.is_about(ceremony, request_id)) {
            page.why.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Marks that a question waits for the page to be left.
    pub(super) fn await_page(&mut self) {
        if let Some(page) = &mut self.page {
            page.awaited = true;
        }
    }

    /// Closes the page.
    pub(super) fn leave_page(&mut self) {
        self.page = None;
        // The result of the same ceremony would repeat it.
        self.dismissed = true;
        if matches!(self.asking.last(), Some(Asking { question: Question::Result, .. })) {
            self.reply(Answer::Yes);
        }
        self.turn_page();
    }

    /// Whether the device with this fingerprint is muted.
    pub(super) fn is_muted(&self, fingerprint: &Fingerprint) -> bool {
        self.muted.contains(fingerprint)
    }

    /// Mutes or unmutes this device. Whether it is muted now.
    pub(super) fn toggle(&mut self, fingerprint: &Fingerprint) -> bool {
        let muted = !self.muted.remove(fingerprint);
        if muted {
            self.muted.insert(*fingerprint);
        }
        muted
    }

    /// A key on the dashboard: `m` shows a cursor on the paired `peers`, and again chooses the one
    /// under it.
    pub(super) fn choose<'p>(
        &mut self,
        code: KeyCode,
        peers: &'p [KnownPeer],
    ) -> Option<&'p KnownPeer> {
        let last = peers.len().checked_sub(1)?;
        self.cursor = match (code, self.cursor) {
            (KeyCode::Char('m'), None) => Some(0),
            (KeyCode::Char('m'), Some(at)) => return peers.get(at),
            (KeyCode::Up, Some(at)) => Some(at.saturating_sub(1)),
            (KeyCode::Down, Some(at)) => Some((at + 1).min(last)),
            (_, _) => None,
        };
        None
    }

    /// The content of the screen changes: scrolls to the top, and keys must wait again.
    pub(super) fn turn_page(&mut self) {
        self.scroll = 0;
        self.overflow = 0;
        self.calm = None;
        self.armed = false;
        self.read = false;
        self.whole = None;
        self.open = false;
        self.typed.clear();
        self.wrong = None;
        self.cursor = None;
    }

    /// Called after a frame was drawn at `now`; `overflow` lines do not fit into the window.
    pub(super) fn drawn(&mut self, now: Duration, overflow: usize) {
        self.overflow = overflow;
        self.scroll = self.scroll.min(overflow);
        self.read |= self.scroll == overflow;
        self.calm.get_or_insert(now);
        if self.read {
            self.whole.get_or_insert(now);
        }
    }

    /// Whether keys may do more from `now` on. Unread keys must be discarded before [`Stage::arm`].
    pub(super) fn may_arm(&self, now: Duration) -> bool {
        (!self.armed && is_past(self.calm, now)) || (!self.open && is_past(self.whole, now))
    }

    /// Lets keys answer from `now` on.
    pub(super) fn arm(&mut self, now: Duration) {
        self.armed |= is_past(self.calm, now);
        self.open |= is_past(self.whole, now);
    }

    /// Whether keys answer the question.
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether a yes is accepted: everything was visible long enough.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the last line has been visible.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    /// Handles a key that was pressed at `now`.
    pub(super) fn key(&mut self, key: KeyEvent, now: Duration) -> Effect {
        if key.kind == KeyEventKind::Release {
            return Effect::Nothing;
        }
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        if key.modifiers == KeyModifiers::CONTROL {
            return match key.code {
                KeyCode::Char('c') => Effect::Interrupt,
                KeyCode::Char('z') => Effect::Suspend,
                _ => Effect::Nothing,
            };
        }
        if plain && self.moves(key.code) {
            return Effect::Nothing;
        }
        if plain && self.leaves(key.code) {
            return Effect::Nothing;
        }
        if !self.armed {
            self.calm = self.calm.map(|_| now);
        } else if plain && key.kind == KeyEventKind::Press {
            self.answer(key.code);
        }
        if !self.open {
            self.whole = self.whole.map(|_| now);
        }
        Effect::Nothing
    }

    /// Scrolls the window or moves the cursor.
    fn moves(&mut self, code: KeyCode) -> bool {
        if self.page.is_none()
            && let Some(Asking { question: Question::Pick { candidates, .. }, selected, .. }) =
                self.asking.last_mut()
        {
            match code {
                KeyCode::Up => *selected = selected.saturating_sub(1),
                KeyCode::Down => {
                    *selected = (*selected + 1).min(candidates.len().saturating_sub(1));
                }
                _ => return false,
            }
            return true;
        }
        match code {
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            // One line at a time, so that every line has been visible.
            KeyCode::Down => self.scroll = (self.scroll + 1).min(self.overflow),
            _ => return false,
        }
        true
    }

    /// Leaves a result. Nothing depends on it, so these keys work at once.
    fn leaves(&mut self, code: KeyCode) -> bool {
        let leaves = matches!(code, KeyCode::Enter | KeyCode::Esc | KeyCode::Char(' ' | 'q'));
        if self.page.is_some() {
            return false;
        }
        match self.asking.last().map(|asking| &asking.question) {
            Some(Question::Result) if leaves => self.reply(Answer::Yes),
            None if leaves => self.dismissed = true,
            _ => return false,
        }
        true
    }

    fn answer(&mut self, code: KeyCode) {
        if self.page.is_some() {
            // A key that answers no request.
            if code == KeyCode::Char(' ') {
                self.leave_page();
            }
            return;
        }
        let Some(asking) = self.asking.last() else { return };
        let letter = match code {
            KeyCode::Char(letter) => Some(letter.to_ascii_lowercase()),
            _ => None,
        };
        let answer = match (&asking.question, letter) {
            (Question::Code(_), Some('y')) if self.open => Answer::Yes,
            (Question::Code(_) | Question::Approval { .. }, Some('n')) => Answer::No,
            (Question::Approval { .. }, Some('m')) => Answer::Mute,
            (Question::Approval { .. }, Some('l')) => Answer::Later,
            (Question::Approval { word, .. }, _) if self.open => {
                if code == KeyCode::Enter && self.typed == *word {
                    Answer::Yes
                } else {
                    return self.edit(code);
                }
            }
            (Question::Pick { candidates, .. }, _) => {
                let digit = letter.and_then(|c| c.to_digit(10)).and_then(|n| n.checked_sub(1));
                let place = digit.and_then(|n| usize::try_from(n).ok());
                let enter = (code == KeyCode::Enter).then_some(asking.selected);
                match place.or(enter).filter(|place| *place < candidates.len()) {
                    Some(place) => Answer::Choice(place),
                    None => return self.seek(letter),
                }
            }
            _ => return,
        };
        self.reply(answer);
    }

    /// Moves the cursor to the next candidate that begins with this letter.
    fn seek(&mut self, letter: Option<char>) {
        let Some(Asking { question: Question::Pick { candidates, .. }, selected, .. }) =
            self.asking.last_mut()
        else {
            return;
        };
        let begins = |place: &usize| {
            let first = candidates.get(*place).and_then(|name| name.chars().next());
            first.map(|first| first.to_ascii_lowercase()) == letter
        };
        let after = selected.saturating_add(1)..candidates.len();
        if let Some(place) = after.chain(0..candidates.len()).find(begins) {
            *selected = place;
        }
    }

    /// A key for the word that approves.
    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) if c.is_ascii_hexdigit() && self.typed.len() < LONGEST_WORD => {
                self.typed.push(c.to_ascii_lowercase());
                self.wrong = None;
            }
            KeyCode::Backspace => drop(self.typed.pop()),
            KeyCode::Enter if !self.typed.is_empty() => {
                self.wrong = Some(std::mem::take(&mut self.typed));
            }
            _ => {}
        }
    }

    fn reply(&mut self, answer: Answer) {
        let Some(asking) = self.asking.pop() else { return };
        self.turn_page();
        // The receiver may have been dropped meanwhile.
        let _ = asking.reply.send(answer);
    }
}

/// Whether [`CALM`] has passed.
fn is_past(since: Option<Duration>, now: Duration) -> bool {
    since.is_some_and(|since| now.saturating_sub(since) >= CALM)
}

/// Most characters of a word.
const LONGEST_WORD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::view::fixture::request;

    fn code() -> Question {
        Question::Code(CodeCard {
            code: "385 721".into(),
            with: crate::progress::Compared::Device {
                peer: "bob".into(),
                fingerprint: "00".repeat(32),
            },
            lasts: crate::progress::Lasts::Session,
            warning: None,
            until: Duration::from_secs(60),
        })
    }

    fn approval_by(word: &str) -> Question {
        let card = RequestCard { view: request(), note: None, until: Duration::from_secs(60) };
        Question::Approval { card: Box::new(card), word: word.to_owned() }
    }

    fn approval() -> Question {
        approval_by("5a")
    }

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn strike(stage: &mut Stage, code: KeyCode, ms: u64) {
        stage.key(KeyEvent::new(code, KeyModifiers::NONE), at(ms));
    }

    fn press(stage: &mut Stage, key: char, ms: u64) {
        strike(stage, KeyCode::Char(key), ms);
    }

    /// Types `text`; `\n` is Enter.
    fn types(stage: &mut Stage, text: &str, ms: u64) {
        for c in text.chars() {
            strike(stage, if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) }, ms);
        }
    }

    /// Draws the screen at `ms`, as happens periodically.
    fn tick(stage: &mut Stage, ms: u64, overflow: usize) {
        if stage.may_arm(at(ms)) {
            stage.arm(at(ms));
        }
        stage.drawn(at(ms), overflow);
    }

    /// A question on the screen since 0 ms, of which `overflow` lines do not fit.
    fn asked(question: Question, overflow: usize) -> (Stage, oneshot::Receiver<Answer>) {
        let mut stage = Stage::default();
        let (_, answer) = stage.ask(question);
        stage.drawn(at(0), overflow);
        (stage, answer)
    }

    fn armed(question: Question, overflow: usize) -> (Stage, oneshot::Receiver<Answer>) {
        let (mut stage, answer) = asked(question, overflow);
        assert!(stage.may_arm(CALM));
        stage.arm(CALM);
        (stage, answer)
    }

    #[test]
    fn only_what_stands_on_the_screen_answers() {
        for (question, typed, expected) in [
            (approval(), "5a\n", Some(Answer::Yes)),
            (approval(), "5A\n", Some(Answer::Yes)),
            (approval(), "5a", None),
            (approval(), "y\n", None),
            (approval(), "a\n", None),
            (approval(), "d\n", None),
            (approval(), "5a7f\n", None),
            (approval(), "\n\n", None),
            (approval(), " q", None),
            (approval(), "n", Some(Answer::No)),
            (approval(), "5an", Some(Answer::No)),
            (approval(), "m", Some(Answer::Mute)),
            (approval_by("dead"), "dead\n", Some(Answer::Yes)),
            (code(), "y", Some(Answer::Yes)),
            (code(), "n", Some(Answer::No)),
            (code(), "a3m", None),
        ] {
            let (mut stage, mut answer) = armed(question.clone(), 0);
            types(&mut stage, typed, 600);
            assert_eq!(answer.try_recv().ok(), expected, "{question:?} {typed:?}");
        }
    }

    #[test]
    fn a_wrong_word_approves_nothing_and_is_said() {
        let (mut stage, mut answer) = armed(approval(), 0);
        types(&mut stage, "5b\n", 600);
        assert!(answer.try_recv().is_err());
        assert_eq!((stage.wrong.as_deref(), stage.typed.as_str()), (Some("5b"), ""));
        types(&mut stage, "5b", 700);
        strike(&mut stage, KeyCode::Backspace, 700);
        types(&mut stage, "a\n", 700);
        assert_eq!(answer.try_recv(), Ok(Answer::Yes));
    }

    #[test]
    fn escape_and_chords_do_nothing() {
        let keys = [
            KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Char('n'), KeyModifiers::ALT),
            KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL),
            KeyEvent::new(KeyCode::Char('n'), KeyModifiers::SUPER),
            KeyEvent::new_with_kind(KeyCode::Char('n'), KeyModifiers::NONE, KeyEventKind::Release),
            KeyEvent::new_with_kind(KeyCode::Char('n'), KeyModifiers::NONE, KeyEventKind::Repeat),
            KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Repeat),
        ];
        let (mut stage, mut answer) = armed(approval(), 0);
        types(&mut stage, "5a", 600);
        for key in keys {
            assert_eq!(stage.key(key, at(600)), Effect::Nothing);
            assert!(answer.try_recv().is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_key_before_the_question_was_calmly_on_the_screen_is_no_answer() {
        let mut stage = Stage::default();
        let (_, mut answer) = stage.ask(approval());
        types(&mut stage, "5a\n", 0);
        assert!(!stage.may_arm(at(10_000)), "it was not drawn");
        stage.drawn(at(10_000), 0);
        // A key that is held down.
        for ms in [10_100, 10_400, 10_700] {
            assert!(!stage.may_arm(at(ms)));
            types(&mut stage, "5a\n", ms);
        }
        assert!(!stage.may_arm(at(11_199)));
        assert!(stage.may_arm(at(11_200)));
        stage.arm(at(11_200));
        strike(&mut stage, KeyCode::Enter, 11_300);
        assert!(answer.try_recv().is_err(), "what was typed before was dropped");
    }

    #[test]
    fn a_yes_needs_all_of_it_to_have_been_seen_for_a_while_and_a_no_does_not() {
        let (mut stage, mut answer) = armed(approval(), 2);
        types(&mut stage, "5a\n", 600);
        for _ in 0..2 {
            assert!(!stage.is_read());
            strike(&mut stage, KeyCode::Down, 700);
            tick(&mut stage, 700, 2);
        }
        assert!(stage.is_read() && !stage.is_open());
        types(&mut stage, "5a\n", 1000);
        tick(&mut stage, 1400, 2);
        assert!(!stage.is_open(), "a key that came too early is waited out");
        tick(&mut stage, 1500, 2);
        assert!(answer.try_recv().is_err());
        types(&mut stage, "5a\n", 1600);
        assert_eq!(answer.try_recv(), Ok(Answer::Yes));

        let (mut stage, mut answer) = armed(approval(), 2);
        press(&mut stage, 'n', 600);
        assert_eq!(answer.try_recv(), Ok(Answer::No));
    }

    #[test]
    fn a_window_that_changes_begins_anew() {
        let (mut stage, mut answer) = armed(approval(), 0);
        types(&mut stage, "5a", 600);
        stage.turn_page();
        stage.drawn(at(700), 1);
        strike(&mut stage, KeyCode::Enter, 800);
        tick(&mut stage, 1400, 1);
        types(&mut stage, "5a\n", 1500);
        assert!(answer.try_recv().is_err(), "a line is below the window now");
        strike(&mut stage, KeyCode::Down, 1600);
        tick(&mut stage, 1600, 1);
        tick(&mut stage, 2100, 1);
        types(&mut stage, "5a\n", 2200);
        assert_eq!(answer.try_recv(), Ok(Answer::Yes));
    }

    /// A request is on the screen and can be answered; it is withdrawn, and another one follows 85
    /// ms later.
    fn swapped(typed: &str) -> (Stage, impl FnMut(&mut Stage, u64) -> Option<Answer>) {
        let mut stage = Stage::default();
        let (id, _first) = stage.ask(approval_by("5a"));
        tick(&mut stage, 0, 0);
        tick(&mut stage, 600, 0);
        types(&mut stage, typed, 900);
        stage.withdraw(id);
        stage.gone(Event::Request(Box::new(request())), true);
        stage.await_page();
        tick(&mut stage, 1000, 0);
        let mut second: Option<oneshot::Receiver<Answer>> = None;
        // The prompter asks only once the page has been left.
        let mut go_on = move |stage: &mut Stage, ms: u64| {
            if stage.page().is_none() && second.is_none() {
                second = Some(stage.ask(approval_by("5a7f")).1);
            }
            tick(stage, ms, 0);
            second.as_mut().and_then(|answer| answer.try_recv().ok())
        };
        go_on(&mut stage, 1085);
        (stage, go_on)
    }

    #[test]
    fn what_is_typed_after_a_swap_never_approves_the_other_request() {
        for late in [550, 700, 1000, 3000] {
            for typed in ["y", "a", "5a\n", "a\n", "\n", "5a7f\n"] {
                let (mut stage, mut go_on) = swapped("5");
                let mut answers = Vec::new();
                for ms in (1100..8000).step_by(50) {
                    if ms == 1000 + late {
                        types(&mut stage, typed, ms);
                    }
                    answers.extend(go_on(&mut stage, ms));
                }
                assert!(answers.is_empty(), "{typed:?} {late} ms after the swap");
                assert!(stage.page().is_some(), "only a key that answers nothing leaves the page");
            }
        }
    }

    #[test]
    fn a_page_is_left_once_it_was_there_for_a_while_and_then_the_next_is_asked_from_the_start() {
        let (mut stage, mut go_on) = swapped("5a");
        press(&mut stage, ' ', 1300);
        assert!(stage.page().is_some_and(|page| page.awaited), "a reflex leaves nothing");
        assert!(stage.top().is_none() && stage.typed.is_empty());
        go_on(&mut stage, 1700);
        assert!(!stage.is_armed(), "the reflex is waited out");
        go_on(&mut stage, 1800);
        press(&mut stage, ' ', 1900);
        assert!(stage.page().is_none());
        assert_eq!(go_on(&mut stage, 2000), None);
        strike(&mut stage, KeyCode::Enter, 2550);
        types(&mut stage, "5a7f\n", 2560);
        assert_eq!(go_on(&mut stage, 3200), None, "typed before the card was there for a while");
        types(&mut stage, "5a\n", 3300);
        assert_eq!(go_on(&mut stage, 3350), None, "the word of the request before");
        types(&mut stage, "5a7f\n", 3400);
        assert_eq!(go_on(&mut stage, 3450), Some(Answer::Yes));
    }

    #[test]
    fn requests_that_come_and_go_behind_a_page_are_counted() {
        let mut stage = Stage::default();
        stage.gone(Event::Request(Box::new(request())), false);
        assert_eq!(stage.page(), None, "nobody saw it");
        stage.gone(Event::Request(Box::new(request())), true);
        stage.gone_because("sign", Some("another"), "what became of another request");
        let id = request().request_id.to_string();
        stage.gone_because("sign", Some(&id), "alice withdrew the request");
        stage.gone(Event::Request(Box::new(request())), false);
        stage.gone_because("sign", Some(&id), "another reason");
        let page = stage.page().unwrap();
        assert_eq!(page.why.as_deref(), Some("alice withdrew the request"));
        assert_eq!(page.unseen, 1);
    }

    #[test]
    fn a_new_question_waits_for_calm_again() {
        let (mut stage, mut code) = armed(code(), 0);
        let (id, mut request) = stage.ask(approval());
        press(&mut stage, 'y', 600);
        assert!(code.try_recv().is_err() && request.try_recv().is_err());
        stage.withdraw(id);
        press(&mut stage, 'y', 601);
        assert!(code.try_recv().is_err(), "the screen changed under the finger");
        stage.drawn(at(602), 0);
        stage.arm(at(1102));
        press(&mut stage, 'y', 1200);
        assert_eq!(code.try_recv(), Ok(Answer::Yes));
    }

    #[test]
    fn a_choice_is_made_by_number_or_by_cursor() {
        let pick = || Question::Pick {
            what: "peer".into(),
            candidates: vec!["alice".into(), "bob".into()],
        };
        let (mut stage, mut answer) = armed(pick(), 0);
        press(&mut stage, '3', 600);
        press(&mut stage, '0', 600);
        assert!(answer.try_recv().is_err());
        press(&mut stage, '2', 600);
        assert_eq!(answer.try_recv(), Ok(Answer::Choice(1)));

        let (mut stage, mut answer) = armed(pick(), 0);
        for _ in 0..3 {
            strike(&mut stage, KeyCode::Down, 600);
        }
        strike(&mut stage, KeyCode::Enter, 600);
        assert_eq!(answer.try_recv(), Ok(Answer::Choice(1)));

        let (mut stage, mut answer) = armed(pick(), 0);
        press(&mut stage, 'z', 600);
        press(&mut stage, 'B', 600);
        strike(&mut stage, KeyCode::Enter, 600);
        assert_eq!(answer.try_recv(), Ok(Answer::Choice(1)));
    }

    #[test]
    fn a_device_is_chosen_on_the_dashboard_and_muted_or_not() {
        let peer = |digit: u8| KnownPeer {
            name: "anything".into(),
            fingerprint: Fingerprint::new([digit; 32]),
            expires: None,
        };
        let peers = [peer(1), peer(2)];
        let [alice, carol] = peers.each_ref().map(|peer| peer.fingerprint);
        let mut stage = Stage::default();
        assert_eq!(stage.choose(KeyCode::Char('m'), &[]), None);
        assert_eq!((stage.choose(KeyCode::Char('m'), &peers), stage.cursor), (None, Some(0)));
        stage.choose(KeyCode::Down, &peers);
        stage.choose(KeyCode::Down, &peers);
        let chosen = stage.choose(KeyCode::Char('m'), &peers);
        assert_eq!(chosen, Some(&peers[1]));
        assert!(stage.toggle(&carol) && stage.is_muted(&carol) && !stage.is_muted(&alice));
        assert!(!stage.toggle(&carol) && !stage.is_muted(&carol));
        stage.choose(KeyCode::Esc, &peers);
        assert_eq!(stage.cursor, None);
    }

    #[test]
    fn ctrl_c_interrupts_whatever_is_asked() {
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Stage::default().key(key, at(0)), Effect::Interrupt);
        let (mut stage, _answer) = asked(approval(), 9);
        assert_eq!(stage.key(key, at(0)), Effect::Interrupt);
        stage.gone(Event::Request(Box::new(request())), true);
        assert_eq!(stage.key(key, at(0)), Effect::Interrupt);
    }
}
