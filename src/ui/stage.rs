//! The question that is on the full screen, and what keys do to it. No I/O and no clock.
//!
//! A key answers a question only once the question has been drawn, nothing was typed for
//! [`CALM`], and everything it shows was within the window. So nobody approves with a key that was
//! meant for something else, held down, pasted, or pressed before the last line was seen.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::oneshot;

use super::model::{CodeCard, RequestCard};

/// How long no key may have come before keys answer.
pub(super) const CALM: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether both screens show the same six digits. What is shown is what is asked about,
    /// whatever happens elsewhere meanwhile.
    Code(CodeCard),
    /// Whether to take part.
    Approval(Box<RequestCard>),
    /// Which one.
    Pick {
        /// What is chosen: `key`, `peer`.
        what: String,
        /// What there is to choose from.
        candidates: Vec<String>,
    },
    /// Nothing: the result stays until it is left.
    Result,
}

/// What a key made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// This one of the candidates.
    Choice(usize),
}

/// What is to be done about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// Interrupt the program.
    Interrupt,
    /// Give the terminal back for a while.
    Suspend,
}

/// What a person says to the code or request that is shown, wherever it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Consent {
    /// Nobody is asked.
    #[default]
    NotAsked,
    /// Nothing yet.
    Open,
    /// Yes.
    Given,
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

/// The open questions, and how far the person has read.
#[derive(Debug, Default)]
pub(super) struct Stage {
    asking: Vec<Asking>,
    next: u64,
    /// The first line in the window.
    pub(super) scroll: usize,
    /// How many lines are below the window when it is at the top.
    overflow: usize,
    /// Since when the question is on the screen and nothing was typed.
    calm: Option<Duration>,
    /// Whether keys answer.
    armed: bool,
    /// Whether the last line was in the window.
    read: bool,
    /// What the person says to what is shown.
    pub(super) consent: Consent,
    /// The person has seen how the last ceremony ended.
    pub(super) dismissed: bool,
}

impl Stage {
    /// Opens a question. It is withdrawn with [`Stage::withdraw`].
    pub(super) fn ask(&mut self, question: Question) -> (u64, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.asking.push(Asking { id, question, selected: 0, reply });
        self.turn_page();
        (id, answer)
    }

    /// Takes a question back, if it is still open.
    pub(super) fn withdraw(&mut self, id: u64) {
        let before = self.asking.len();
        self.asking.retain(|asking| asking.id != id);
        if self.asking.len() != before {
            self.turn_page();
        }
    }

    /// Drops every question: who asked is told that nobody answers here.
    pub(super) fn clear(&mut self) {
        self.asking.clear();
        self.turn_page();
    }

    /// The question that keys answer: the one that was asked last.
    pub(super) fn top(&self) -> Option<&Asking> {
        self.asking.last()
    }

    /// Something else is on the screen from now on: it is read from the top, and keys have to wait.
    pub(super) fn turn_page(&mut self) {
        self.scroll = 0;
        self.overflow = 0;
        self.calm = None;
        self.armed = false;
        self.read = false;
    }

    /// The screen was drawn at `now`, and `overflow` lines do not fit into the window.
    pub(super) fn drawn(&mut self, now: Duration, overflow: usize) {
        self.overflow = overflow;
        self.scroll = self.scroll.min(overflow);
        self.read |= self.scroll == overflow;
        self.calm.get_or_insert(now);
    }

    /// Whether keys may answer from `now` on; what was typed until then is to be dropped before
    /// [`Stage::arm`].
    pub(super) fn may_arm(&self, now: Duration) -> bool {
        !self.armed && self.calm.is_some_and(|since| now.saturating_sub(since) >= CALM)
    }

    /// From now on keys answer.
    pub(super) fn arm(&mut self) {
        self.armed = true;
    }

    /// Whether keys answer.
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether the last line was in the window, so that a yes means all of it.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    /// Takes a key that was pressed at `now`.
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
        Effect::Nothing
    }

    /// Moves the window or the cursor.
    fn moves(&mut self, code: KeyCode) -> bool {
        if let Some(Asking { question: Question::Pick { candidates, .. }, selected, .. }) =
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
            // One line at a time: whatever was below has been in the window.
            KeyCode::Down => self.scroll = (self.scroll + 1).min(self.overflow),
            _ => return false,
        }
        true
    }

    /// Leaves a result: nothing depends on it, so these keys work at once.
    fn leaves(&mut self, code: KeyCode) -> bool {
        let leaves = matches!(code, KeyCode::Enter | KeyCode::Esc | KeyCode::Char(' ' | 'q'));
        match self.asking.last().map(|asking| &asking.question) {
            Some(Question::Result) if leaves => self.reply(Answer::Yes),
            None if leaves => self.dismissed = true,
            _ => return false,
        }
        true
    }

    fn answer(&mut self, code: KeyCode) {
        let Some(asking) = self.asking.last() else { return };
        let letter = match code {
            KeyCode::Char(letter) => Some(letter.to_ascii_lowercase()),
            _ => None,
        };
        let answer = match (&asking.question, letter) {
            (Question::Code(_), Some('y')) if self.read => Answer::Yes,
            (Question::Approval(_), Some('a' | 'y')) if self.read => Answer::Yes,
            (Question::Code(_), Some('n')) | (Question::Approval(_), Some('d' | 'n')) => Answer::No,
            (Question::Pick { candidates, .. }, _) => {
                let digit = letter.and_then(|c| c.to_digit(10)).and_then(|n| n.checked_sub(1));
                let place = digit.and_then(|n| usize::try_from(n).ok());
                let enter = (code == KeyCode::Enter).then_some(asking.selected);
                match place.or(enter).filter(|place| *place < candidates.len()) {
                    Some(place) => Answer::Choice(place),
                    None => return,
                }
            }
            _ => return,
        };
        self.reply(answer);
    }

    fn reply(&mut self, answer: Answer) {
        let Some(asking) = self.asking.pop() else { return };
        self.turn_page();
        // Whoever asked may have been dropped meanwhile.
        let _ = asking.reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Question {
        Question::Code(CodeCard {
            code: "385 721".into(),
            peer: "bob".into(),
            fingerprint: "00".repeat(32),
            warning: None,
            until: Duration::from_secs(60),
        })
    }

    fn approval() -> Question {
        Question::Approval(Box::new(RequestCard {
            view: crate::ui::view::fixture::request(),
            note: None,
            until: Duration::from_secs(60),
        }))
    }

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn press(stage: &mut Stage, key: char, ms: u64) {
        stage.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), at(ms));
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
        stage.arm();
        (stage, answer)
    }

    #[test]
    fn only_the_letters_on_the_screen_answer() {
        for (question, key, expected) in [
            (approval(), 'a', Some(Answer::Yes)),
            (approval(), 'Y', Some(Answer::Yes)),
            (approval(), 'd', Some(Answer::No)),
            (approval(), 'n', Some(Answer::No)),
            (approval(), ' ', None),
            (approval(), 'q', None),
            (code(), 'y', Some(Answer::Yes)),
            (code(), 'n', Some(Answer::No)),
            (code(), 'a', None),
            (code(), '3', None),
        ] {
            let (mut stage, mut answer) = armed(question.clone(), 0);
            press(&mut stage, key, 600);
            assert_eq!(answer.try_recv().ok(), expected, "{question:?} {key:?}");
        }
    }

    #[test]
    fn enter_escape_and_chords_do_nothing() {
        let keys = [
            KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Char('a'), KeyModifiers::ALT),
            KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL),
            KeyEvent::new(KeyCode::Char('y'), KeyModifiers::SUPER),
            KeyEvent::new_with_kind(KeyCode::Char('y'), KeyModifiers::NONE, KeyEventKind::Release),
            KeyEvent::new_with_kind(KeyCode::Char('y'), KeyModifiers::NONE, KeyEventKind::Repeat),
        ];
        let (mut stage, mut answer) = armed(approval(), 0);
        for key in keys {
            assert_eq!(stage.key(key, at(600)), Effect::Nothing);
            assert!(answer.try_recv().is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_key_before_the_question_was_calmly_on_the_screen_is_no_answer() {
        let mut stage = Stage::default();
        let (_, mut answer) = stage.ask(approval());
        press(&mut stage, 'y', 0);
        assert!(!stage.may_arm(at(10_000)), "it was not drawn");
        stage.drawn(at(10_000), 0);
        // A key that is held down, or a habit.
        for ms in [10_100, 10_400, 10_700] {
            assert!(!stage.may_arm(at(ms)));
            press(&mut stage, 'y', ms);
        }
        assert!(!stage.may_arm(at(11_199)));
        assert!(stage.may_arm(at(11_200)));
        assert!(answer.try_recv().is_err());
    }

    #[test]
    fn a_yes_needs_the_last_line_to_have_been_seen_and_a_no_does_not() {
        let (mut stage, mut answer) = armed(approval(), 2);
        press(&mut stage, 'a', 600);
        for _ in 0..2 {
            assert!(!stage.is_read());
            stage.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE), at(700));
            stage.drawn(at(700), 2);
        }
        assert!(answer.try_recv().is_err());
        press(&mut stage, 'a', 800);
        assert_eq!(answer.try_recv(), Ok(Answer::Yes));

        let (mut stage, mut answer) = armed(approval(), 2);
        press(&mut stage, 'd', 600);
        assert_eq!(answer.try_recv(), Ok(Answer::No));
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
        stage.arm();
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
            stage.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE), at(600));
        }
        stage.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE), at(600));
        assert_eq!(answer.try_recv(), Ok(Answer::Choice(1)));
    }

    #[test]
    fn ctrl_c_interrupts_whatever_is_asked() {
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Stage::default().key(key, at(0)), Effect::Interrupt);
        let (mut stage, _answer) = asked(approval(), 9);
        assert_eq!(stage.key(key, at(0)), Effect::Interrupt);
    }
}
