//! Questions to the person at the terminal.
//!
//! Every question is a future: the ceremony goes on while a person thinks, and dropping the future
//! (on a time-out, or because a peer left) withdraws the question. They need a tokio runtime with
//! I/O and time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::ending::Ending;
use super::stage::{Answer, CALM, Question};
use super::terminal::{self, Terminal};
use super::{Format, Screen, TICK};
use crate::device::Fingerprint;
use crate::progress::{Compared, Event, RequestView};
use crate::secret::Secret;

/// What a person is needed for, and the flag that would have replaced the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// To compare six digits.
    Code,
    /// To approve a request.
    Approval,
    /// To type the vault's passphrase.
    Passphrase,
    /// To choose a passphrase for a new vault.
    NewPassphrase,
    /// To type the passphrase of a backup.
    BackupPassphrase {
        /// The file.
        file: String,
    },
    /// To type a token's PIN.
    Pin {
        /// The token's name.
        token: String,
    },
    /// To choose one of several; `flag` would have named it.
    Choice {
        /// What is chosen: `key`, `peer`.
        what: &'static str,
        /// The flag or argument that names it.
        flag: &'static str,
        /// The candidates.
        candidates: Vec<String>,
    },
    /// To confirm something irreversible; `flag` would have done it.
    Confirmation {
        /// What will happen: `deleting key "vault"`.
        what: String,
        /// The flag, with its value.
        flag: String,
    },
}

/// The question at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// To leave a page.
    Page,
    /// To choose one of several; this is what they are.
    Choice(&'static str),
    /// To type a line.
    Line,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody can be asked.
    Nobody(Need),
    /// There was no answer within this time, or before the overall deadline if it is `None`.
    Late(Option<Duration>),
    /// The input ended before an answer.
    Closed(Unanswered),
    /// The input is not UTF-8.
    NotText,
    /// A signal arrived.
    Interrupted,
    /// The terminal cannot be used, with the system's message.
    Broken(String),
}

/// What is thought of a passphrase, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It will do.
    Strong(String),
    /// It is asked for again.
    Weak(String),
}

/// What a person says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Other requests first.
    Later,
}

/// Asks the person at the terminal, one question at a time.
#[derive(Clone, Debug)]
pub struct Prompter {
    screen: Screen,
    allowed: bool,
    /// The overall deadline.
    deadline: Option<Instant>,
    /// The terminal, if it is not standard input.
    elsewhere: Option<PathBuf>,
}

impl Prompter {
    /// Asks on `screen` unless `no_input`.
    pub fn new(screen: Screen, no_input: bool) -> Self {
        Self { screen, allowed: !no_input, deadline: None, elsewhere: None }
    }

    /// Sets a deadline for all questions.
    #[must_use]
    pub fn with_deadline(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Asks at another terminal than standard input, such as `/dev/tty`.
    #[must_use]
    pub fn at(self, terminal: impl Into<PathBuf>) -> Self {
        Self { elsewhere: Some(terminal.into()), ..self }
    }

    /// Whether a person can be asked: not `--no-input`, and there is a terminal.
    pub fn can_ask(&self) -> bool {
        self.allowed && Terminal::is_there(self.elsewhere.as_deref())
    }

    /// Fails at once if a person is needed and cannot be asked.
    pub fn demand(&self, need: &Need) -> Result<(), NoAnswer> {
        if self.can_ask() { Ok(()) } else { Err(NoAnswer::Nobody(need.clone())) }
    }

    /// Shows six digits ([`Event::Code`]) and asks whether the other screens show the same. Only
    /// `y` or `yes` means yes; an empty line means no. If the last question ended without an
    /// answer, the person first has to leave the page about it.
    pub async fn compare(&self, code: &Event, within: Duration) -> Result<bool, NoAnswer> {
        Ok(self.put(code, None, &Need::Code, within).await? == Answer::Yes)
    }

    /// Shows a request, with a `warning` if there is one, and asks for approval. The request's own
    /// word approves, `n` denies, `m` denies this and all further requests of the device, `l` puts
    /// it off, and an empty line does nothing. If the last question ended without an answer, the
    /// person first has to leave the page about it.
    pub async fn approve(
        &self,
        request: &RequestView,
        warning: Option<&str>,
        within: Duration,
    ) -> Result<Consent, NoAnswer> {
        let event = Event::Request(Box::new(request.clone()));
        let answer = self.put(&event, warning, &Need::Approval, within).await?;
        if answer == Answer::Mute {
            let from = &request.requester;
            self.screen.toggle(from.name.as_str(), &from.fingerprint);
        }
        Ok(match answer {
            Answer::Yes => Consent::Yes,
            Answer::Later => Consent::Later,
            Answer::No | Answer::Mute | Answer::Choice(_) => Consent::No,
        })
    }

    /// Whether requests of the device with this fingerprint are refused.
    pub fn is_muted(&self, fingerprint: &Fingerprint) -> bool {
        self.screen.is_muted(fingerprint)
    }

    /// Asks about the code or request in `event`.
    async fn put(
        &self,
        event: &Event,
        warning: Option<&str>,
        need: &Need,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let terminal = match self.open_to_ask(need) {
            Ok(terminal) => terminal,
            Err(failure) => {
                self.screen.show_question(event, warning, None);
                return Err(failure);
            }
        };
        let screen = &self.screen;
        let mut pending = Pending { screen, event, warning, shown: false, answered: false };
        let answer = in_time(within, self.put_next(&terminal, &mut pending)).await?;
        pending.answered = true;
        Ok(answer)
    }

    async fn put_next(
        &self,
        terminal: &Terminal,
        pending: &mut Pending<'_>,
    ) -> Result<Answer, NoAnswer> {
        // The requester waits meanwhile, so the time is deducted.
        let waited = self.leave_page(terminal).await?;
        let left = |seconds| Duration::from_secs(seconds).saturating_sub(waited).as_secs();
        let mut event = pending.event.clone();
        let mut word = None;
        match &mut event {
            Event::Request(view) => {
                view.seconds = left(view.seconds);
                **view = self.screen.compared((**view).clone());
                word = Some(self.screen.word(view));
            }
            Event::Code { seconds, .. } => *seconds = left(*seconds),
            _ => {}
        }
        terminal.forget_typed();
        let warning = pending.warning;
        let full = self.screen.show_question(&event, warning, word.as_deref());
        pending.shown = true;
        let question = match &word {
            Some(word) => format!("type {word} and Enter to approve, n to deny, m to mute: "),
            None => match &event {
                Event::Code { with: Compared::Group { members }, .. } => {
                    format!("do all {} screens show the same code and names? [y/N] ", members.len())
                }
                _ => "do both screens show the same code? [y/N] ".to_owned(),
            },
        };
        let inquiry =
            Inquiry { event: &event, warning, word: word.as_deref(), question: &question };
        let answer = self.decide(terminal, &inquiry, full).await?;
        if let (Answer::Later, Event::Request(card)) = (&answer, &event) {
            self.screen.put_off(card);
        }
        Ok(answer)
    }

    /// Waits until the person has left the page about the last question, and returns how long that
    /// took.
    async fn leave_page(&self, terminal: &Terminal) -> Result<Duration, NoAnswer> {
        let came = self.screen.now();
        let mut was_there = false;
        while let Some(page) = self.screen.page(self.columns(terminal)) {
            was_there = true;
            if self.screen.is_full() {
                // It is left on the full screen, by its own key.
                tokio::time::sleep(TICK).await;
                continue;
            }
            tokio::select! {
                left = self.leave_in_lines(terminal, &page) => left?,
                () = self.screen.filled() => {}
            }
        }
        Ok(if was_there { self.screen.now().saturating_sub(came) } else { Duration::ZERO })
    }

    async fn leave_in_lines(&self, terminal: &Terminal, page: &[String]) -> Result<(), NoAnswer> {
        if self.speaks_elsewhere() {
            // The line holds text that was typed for the last question.
            terminal.write("\n");
        }
        self.say(terminal, page);
        calm(terminal).await;
        loop {
            match self.ask(terminal, &[], "type ok and Enter to go on: ").await?.as_deref() {
                Some("ok") => break,
                Some(_) => {}
                None => return Err(NoAnswer::Closed(Unanswered::Page)),
            }
        }
        self.screen.leave_page();
        Ok(())
    }

    /// Asks for a yes before something irreversible.
    pub async fn confirm(&self, what: &str, flag: &str) -> Result<bool, NoAnswer> {
        self.demand(&Need::Confirmation { what: what.to_owned(), flag: flag.to_owned() })?;
        let _pause = self.screen.pause();
        let terminal = self.open()?;
        terminal.forget_typed();
        let line = self.ask(&terminal, &[], &format!("{what}? [y/N] ")).await?;
        Ok(matches!(line.as_deref(), Some("y" | "yes")))
    }

    /// Shows `card` and asks for `word` to be typed, before something irreversible. Anything else
    /// means no.
    pub async fn retype(&self, need: Need, card: &[String], word: &str) -> Result<bool, NoAnswer> {
        self.demand(&need)?;
        let _pause = self.screen.pause();
        let terminal = self.open()?;
        terminal.forget_typed();
        let line = self.ask(&terminal, card, &format!("type {word} to go on: ")).await?;
        Ok(line.as_deref() == Some(word))
    }

    /// Asks for one of `candidates`, by number or by name, and returns its position.
    pub async fn pick(
        &self,
        what: &'static str,
        flag: &'static str,
        candidates: &[String],
    ) -> Result<usize, NoAnswer> {
        self.demand(&Need::Choice { what, flag, candidates: candidates.to_vec() })?;
        let question = || Question::Pick { what: what.to_owned(), candidates: candidates.to_vec() };
        loop {
            if let Some(Answer::Choice(place)) = self.screen.ask_in_full(question()).await {
                return Ok(place);
            }
            tokio::select! {
                place = self.pick_in_lines(what, candidates) => return place,
                () = self.screen.filled() => {}
            }
        }
    }

    async fn pick_in_lines(
        &self,
        what: &'static str,
        candidates: &[String],
    ) -> Result<usize, NoAnswer> {
        let terminal = self.open()?;
        let mut list: Vec<String> =
            (1..).zip(candidates).map(|(i, name)| format!("  {i}  {name}")).collect();
        loop {
            let question = format!("which {what}? [1-{}] ", candidates.len());
            let Some(line) = self.ask(&terminal, &list, &question).await? else {
                return Err(NoAnswer::Closed(Unanswered::Choice(what)));
            };
            match chosen(&line, candidates) {
                Some(place) => return Ok(place),
                None => {
                    list = vec![format!("{line:?} is none of them: type a number or a name")];
                }
            }
        }
    }

    /// Asks for a line, and gives it without blanks around it.
    pub async fn line(&self, question: &str) -> Result<String, NoAnswer> {
        let terminal = self.open()?;
        terminal.forget_typed();
        let line = self.ask(&terminal, &[], question).await?;
        line.ok_or(NoAnswer::Closed(Unanswered::Line))
    }

    /// Asks for the passphrase of a vault.
    pub async fn passphrase(&self) -> Result<Secret<String>, NoAnswer> {
        self.demand(&Need::Passphrase)?;
        self.ask_hidden(&self.open()?, "passphrase: ").await
    }

    /// Asks for the PIN of a token.
    pub async fn pin(&self, token: &str) -> Result<Secret<String>, NoAnswer> {
        self.demand(&Need::Pin { token: token.to_owned() })?;
        self.ask_hidden(&self.open()?, &format!("PIN of token {token:?}: ")).await
    }

    /// Asks for the passphrase of the backup in `file`.
    pub async fn passphrase_of(&self, file: &str) -> Result<Secret<String>, NoAnswer> {
        self.demand(&Need::BackupPassphrase { file: file.to_owned() })?;
        self.ask_hidden(&self.open()?, &format!("passphrase of {file}: ")).await
    }

    /// Asks for a passphrase for `what` until one is strong, and for the same again. Where none is chosen,
    /// `made` is shown, once and on nothing but the terminal, and is the answer when it was typed.
    pub async fn new_passphrase(
        &self,
        what: &str,
        made: Secret<String>,
        judge: impl Fn(&Secret<String>) -> Judged,
    ) -> Result<Secret<String>, NoAnswer> {
        self.demand(&Need::NewPassphrase)?;
        let terminal = self.open()?;
        self.say(&terminal, &["leave it empty to have one made".to_owned()]);
        loop {
            let question = format!("new passphrase for {what}: ");
            let first = self.ask_hidden(&terminal, &question).await?;
            if first.expose().is_empty() {
                return self.learn(&terminal, made).await;
            }
            match judge(&first) {
                Judged::Weak(why) => {
                    self.screen.note(why);
                    continue;
                }
                Judged::Strong(says) => self.screen.note(says),
            }
            let second = self.ask_hidden(&terminal, "the same again: ").await?;
            if first.expose() == second.expose() {
                return Ok(first);
            }
            self.screen.note("the two differ");
        }
    }

    /// Shows a passphrase, and waits until it is typed.
    async fn learn(
        &self,
        terminal: &Terminal,
        made: Secret<String>,
    ) -> Result<Secret<String>, NoAnswer> {
        self.say(
            terminal,
            &["this is the passphrase. Write it down: it is not shown again".to_owned()],
        );
        terminal.write_secret(&made);
        loop {
            let typed = self.ask_hidden(terminal, "type it to go on: ").await?;
            if typed.expose() == made.expose() {
                return Ok(made);
            }
            self.screen.note("that is not it");
        }
    }

    fn open(&self) -> Result<Terminal, NoAnswer> {
        Terminal::open(self.elsewhere.as_deref()).map_err(broken)
    }

    /// The terminal, after discarding keys that were typed before the question was shown.
    fn open_to_ask(&self, need: &Need) -> Result<Terminal, NoAnswer> {
        self.demand(need)?;
        let terminal = self.open()?;
        terminal.forget_typed();
        Ok(terminal)
    }

    /// Asks about the shown card until the answer is valid. The end of input means no.
    async fn decide(
        &self,
        terminal: &Terminal,
        inquiry: &Inquiry<'_>,
        full: Option<Question>,
    ) -> Result<Answer, NoAnswer> {
        let mut shown = !self.screen.is_full();
        let answer = loop {
            if let Some(full) = &full
                && let Some(answer) = self.screen.ask_in_full(full.clone()).await
            {
                break answer;
            }
            // The window became too small for a full screen, and the card went with it.
            if !std::mem::replace(&mut shown, false) {
                terminal.forget_typed();
                inquiry.events().for_each(|event| self.screen.repeat(&event));
            }
            tokio::select! {
                answer = self.decide_in_lines(terminal, inquiry) => break answer?,
                () = self.screen.filled() => {}
            }
        };
        if answer == Answer::Yes {
            self.screen.agreed();
        }
        Ok(answer)
    }

    async fn decide_in_lines(
        &self,
        terminal: &Terminal,
        inquiry: &Inquiry<'_>,
    ) -> Result<Answer, NoAnswer> {
        if self.speaks_elsewhere() {
            let columns = terminal.columns();
            inquiry
                .events()
                .for_each(|event| terminal.write_lines(&self.screen.prose(&event, columns)));
        }
        calm(terminal).await;
        loop {
            let Some(line) = self.ask(terminal, &[], inquiry.question).await? else {
                return Ok(Answer::No);
            };
            match inquiry.heard(&line.to_lowercase()) {
                Heard::Said(answer) => return Ok(answer),
                Heard::Nothing => {}
                Heard::Wrong => {
                    let said =
                        ["that is not what this request asks for: nothing was approved".to_owned()];
                    self.say(terminal, &said);
                }
            }
        }
    }

    /// Prints lines on the terminal that the person sees.
    fn say(&self, terminal: &Terminal, lines: &[String]) {
        if self.speaks_elsewhere() {
            terminal.write_lines(lines);
        } else {
            self.screen.say(lines);
        }
    }

    /// The columns of the terminal that the person sees.
    fn columns(&self, terminal: &Terminal) -> usize {
        if self.speaks_elsewhere() { terminal.columns() } else { terminal::columns() }
    }

    /// Asks once and reads a trimmed line; `None` at the end of input.
    async fn ask(
        &self,
        terminal: &Terminal,
        card: &[String],
        question: &str,
    ) -> Result<Option<String>, NoAnswer> {
        let mut line = Vec::with_capacity(1024);
        let more = self.read(terminal, card, question, &mut line).await?;
        Ok(more.then(|| String::from_utf8_lossy(&line).trim().to_owned()))
    }

    async fn ask_hidden(
        &self,
        terminal: &Terminal,
        question: &str,
    ) -> Result<Secret<String>, NoAnswer> {
        let _pause = self.screen.pause();
        let mut line = Secret::new(Vec::with_capacity(1024));
        // Installed before typing is hidden: a process killed by a signal would leave it hidden.
        let mut ending = Ending::new().map_err(broken)?;
        let hidden = terminal.hide_typing().map_err(broken)?;
        let more = tokio::select! {
            more = self.read(terminal, &[], question, line.expose_mut()) => more?,
            _ = ending.comes() => return Err(NoAnswer::Interrupted),
        };
        drop(hidden);
        if !more {
            return Err(NoAnswer::Closed(Unanswered::Line));
        }
        let text = std::str::from_utf8(line.expose()).map_err(|_| NoAnswer::NotText)?;
        Ok(Secret::new(text.to_owned()))
    }

    async fn read(
        &self,
        terminal: &Terminal,
        card: &[String],
        question: &str,
        line: &mut Vec<u8>,
    ) -> Result<bool, NoAnswer> {
        terminal.write_lines(card);
        if self.speaks_elsewhere() {
            terminal.write(question);
        }
        let mut asked = Asked::new(&self.screen, question);
        let reading = terminal.read_line(line);
        let more = match self.deadline {
            Some(deadline) => {
                timeout_at(deadline.into(), reading).await.map_err(|_| NoAnswer::Late(None))?
            }
            None => reading.await,
        };
        let more = more.map_err(broken)?;
        asked.answered = more;
        Ok(more)
    }

    /// Whether questions are written to the terminal itself, since standard error is not one.
    fn speaks_elsewhere(&self) -> bool {
        use std::io::IsTerminal as _;
        self.screen.format() == Format::Events || !std::io::stderr().is_terminal()
    }
}

/// A question in lines, with its valid answers.
struct Inquiry<'a> {
    event: &'a Event,
    warning: Option<&'a str>,
    /// The word that approves, for a request.
    word: Option<&'a str>,
    question: &'a str,
}

impl Inquiry<'_> {
    /// The events to show, in this order.
    fn events(&self) -> impl Iterator<Item = Event> {
        let warning = self.warning.map(|message| Event::Note { message: message.to_owned() });
        warning.into_iter().chain([self.event.clone()])
    }

    /// The meaning of a typed line, in lower case.
    fn heard(&self, line: &str) -> Heard {
        match (self.word, line) {
            (None, "y" | "yes") => Heard::Said(Answer::Yes),
            (None, "" | "n" | "no") => Heard::Said(Answer::No),
            (None, _) | (Some(_), "") => Heard::Nothing,
            (Some(word), line) if line == word => Heard::Said(Answer::Yes),
            (Some(_), "n" | "no" | "deny") => Heard::Said(Answer::No),
            (Some(_), "m" | "mute") => Heard::Said(Answer::Mute),
            (Some(_), "l" | "later") => Heard::Said(Answer::Later),
            (Some(_), _) => Heard::Wrong,
        }
    }
}

/// The meaning of a typed line.
enum Heard {
    /// An answer.
    Said(Answer),
    /// Nothing; the question is repeated.
    Nothing,
    /// Not a valid answer.
    Wrong,
}

/// A code or request that leaves a page behind unless it is answered, also if its future is
/// dropped.
struct Pending<'a> {
    screen: &'a Screen,
    event: &'a Event,
    warning: Option<&'a str>,
    shown: bool,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.screen.gone(self.event, self.shown);
        }
    }
}

/// The answer, if it comes within `within`.
async fn in_time<T>(
    within: Duration,
    asking: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    tokio::time::timeout(within, asking).await.unwrap_or(Err(NoAnswer::Late(Some(within))))
}

/// Waits so that the question can be seen, and discards keys that were typed until then.
async fn calm(terminal: &Terminal) {
    tokio::time::sleep(CALM).await;
    terminal.forget_typed();
}

/// A question that is on the screen until this is dropped.
struct Asked<'a> {
    screen: &'a Screen,
    answered: bool,
}

impl<'a> Asked<'a> {
    fn new(screen: &'a Screen, question: &str) -> Self {
        screen.ask(question);
        Self { screen, answered: false }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.screen.asked(self.answered);
    }
}

/// The index of the typed candidate: by number, or by the name or the id in `bob
/// (1fc6799fff5e6fbe)` if it is unique.
fn chosen(typed: &str, candidates: &[String]) -> Option<usize> {
    let number = typed.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let is_meant = |candidate: &String| {
        let parts = candidate.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
        candidate == typed || parts.is_some_and(|(name, id)| name == typed || id == typed)
    };
    let mut meant = (0..).zip(candidates).filter(|(_, candidate)| is_meant(candidate));
    let by_name = match (meant.next(), meant.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    };
    by_name.or_else(|| number.filter(|n| *n < candidates.len()))
}

fn broken(error: std::io::Error) -> NoAnswer {
    NoAnswer::Broken(error.to_string())
}

#[cfg(test)]
mod choice {
    use super::chosen;

    #[test]
    fn a_choice_is_typed_as_number_name_or_id() {
        let devices = ["bob (01)", "carol (02)", "bob (03)", "4 (05)"].map(str::to_owned);
        let chosen = |typed: &str| chosen(typed, &devices);
        assert_eq!((chosen("2"), chosen("carol"), chosen("02")), (Some(1), Some(1), Some(1)));
        assert_eq!((chosen("03"), chosen("bob (03)"), chosen("4")), (Some(2), Some(2), Some(3)));
        // Two have this name.
        assert_eq!((chosen("bob"), chosen("5"), chosen("0"), chosen("")), (None, None, None, None));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::super::Style;
    use super::*;
    use crate::progress::Lasts;

    /// A simulated person at a terminal.
    struct Person {
        keyboard: File,
        prompter: Prompter,
        /// Keeps the terminal open while it is not read.
        _screen: File,
    }

    impl Person {
        fn new() -> Self {
            let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&pty).unwrap();
            unlockpt(&pty).unwrap();
            let path = PathBuf::from(ptsname(&pty, Vec::new()).unwrap().into_string().unwrap());
            let screen = File::options().read(true).write(true).open(&path).unwrap();
            let prompter = Prompter::new(nowhere(), false).at(path);
            Self { keyboard: File::from(pty), prompter, _screen: screen }
        }

        fn types(&self, text: &str) {
            (&self.keyboard).write_all(text.as_bytes()).unwrap();
        }

        /// Waits until `text` is on the screen, and returns everything up to it.
        async fn sees(&self, text: &str) -> String {
            rustix::io::ioctl_fionbio(&self.keyboard, true).unwrap();
            let mut seen = String::new();
            while !seen.contains(text) {
                let mut bytes = [0; 4096];
                match (&self.keyboard).read(&mut bytes) {
                    Ok(n) => seen += &String::from_utf8_lossy(&bytes[..n]),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            seen
        }

        /// Approves or denies `request` by typing each of `texts` when it is asked.
        async fn decides(&self, request: &RequestView, texts: &[&str]) -> Result<bool, NoAnswer> {
            let question = self.prompter.approve(request, None, Duration::from_secs(60));
            let typing = async {
                for text in texts {
                    self.sees("and Enter to approve, n to deny, m to mute: ").await;
                    self.types(text);
                }
            };
            yes(tokio::join!(question, typing).0)
        }

        /// Asks, and types once the question waits for an answer.
        async fn answers<T>(&self, question: impl Future<Output = T>, text: &str) -> T {
            tokio::join!(question, async { self.types(text) }).0
        }

        async fn compare(&self) -> Result<bool, NoAnswer> {
            self.prompter.compare(&code("385 721"), Duration::from_secs(60)).await
        }

        /// Compares a code by typing each of `texts` when it is asked.
        async fn compares(&self, texts: &[&str]) -> Result<bool, NoAnswer> {
            let typing = async {
                for text in texts {
                    self.sees("the same code? [y/N] ").await;
                    self.types(text);
                }
            };
            tokio::join!(self.compare(), typing).0
        }

        fn typing_is_shown(&self) -> bool {
            tcgetattr(self.keyboard.as_fd()).unwrap().local_modes.contains(LocalModes::ECHO)
        }
    }

    fn code(digits: &str) -> Event {
        Event::Code {
            code: digits.into(),
            with: Compared::Device { peer: "bob".into(), fingerprint: "00".repeat(32) },
            lasts: Lasts::Session,
            warning: None,
            seconds: 60,
        }
    }

    fn nowhere() -> Screen {
        Screen::on(
            Box::new(std::io::sink()),
            Format::Prose,
            Style::default(),
            None,
            crate::ui::tests::clock(),
        )
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn request() -> RequestView {
        RequestView {
            digest: Some(crate::request::Hex([0x5a; 32])),
            ..crate::ui::view::fixture::request()
        }
    }

    /// Whether a request was approved.
    fn yes(said: Result<Consent, NoAnswer>) -> Result<bool, NoAnswer> {
        said.map(|said| said == Consent::Yes)
    }

    #[test]
    fn only_a_typed_yes_confirms_a_code() {
        run(async {
            let person = Person::new();
            for (typed, expected) in [
                (&["y\n"][..], true),
                (&["YES\n"], true),
                (&["\n"], false),
                (&["n\n"], false),
                (&["385721\n", "maybe\n", "n\n"], false),
                (&["\u{4}"], false),
            ] {
                assert_eq!(person.compares(typed).await, Ok(expected), "{typed:?}");
            }
        });
    }

    #[test]
    fn only_the_word_of_the_request_approves_it() {
        run(async {
            for (typed, expected) in [
                (&["5a\n"][..], true),
                (&["5A\n"], true),
                (&["\n", "y\n", "a\n", "5b\n", "5a5a\n", "n\n"], false),
                (&["no\n"], false),
                (&["d\n", "5a\n"], true),
                (&["\u{4}"], false),
            ] {
                let person = Person::new();
                assert_eq!(person.decides(&request(), typed).await, Ok(expected), "{typed:?}");
            }
        });
    }

    #[test]
    fn what_is_typed_before_a_request_was_there_for_a_while_does_not_answer_it() {
        run(async {
            let person = Person::new();
            let request = request();
            let question = person.prompter.approve(&request, None, Duration::from_secs(60));
            let typing = async {
                person.sees("time left").await;
                person.types("5a\n5a");
                person.sees("to mute: ").await;
                person.types("\n");
                person.sees("to mute: ").await;
                person.types("n\n");
            };
            assert_eq!(yes(tokio::join!(question, typing).0), Ok(false));
        });
    }

    #[test]
    fn a_request_that_was_taken_back_is_acknowledged_before_the_next_is_shown() {
        run(async {
            let person = Person::new();
            let (first, second) = (request(), RequestView { seconds: 30, ..request() });
            let withdrawn = async {
                person.sees("type 5a and Enter").await;
                person.types("5");
            };
            tokio::select! {
                answer = person.prompter.approve(&first, None, Duration::from_secs(60)) => panic!("{answer:?}"),
                () = withdrawn => {}
            }
            let question = person.prompter.approve(&second, None, Duration::from_secs(30));
            let typing = async {
                let page = person.sees("nothing was approved").await;
                assert!(!page.contains("time left"), "{page}");
                // The second word is a reflex, and the first was meant for the request before.
                person.types("a\n5a\n\n");
                person.sees("type ok and Enter to go on: ").await;
                for text in ["5a\n", "\n", "y\n"] {
                    person.types(text);
                    person.sees("type ok and Enter to go on: ").await;
                }
                person.types("ok\n");
                let card = person.sees("type 5a5a and Enter to approve").await;
                assert!(card.contains("request to sign"), "{card}");
                assert!(card.contains("time left    29 s"), "{card}");
                person.types("5a\n");
                person.sees("nothing was approved").await;
                person.types("5a5a\n");
            };
            assert_eq!(yes(tokio::join!(question, typing).0), Ok(true));
        });
    }

    #[test]
    fn what_was_marked_on_a_card_still_is_when_it_comes_back() {
        run(async {
            let person = Person::new();
            assert_eq!(person.decides(&request(), &["n\n"]).await, Ok(false));
            let other = RequestView { purpose: crate::device::Label::new("rent"), ..request() };
            for answer in ["l\n", "l\n", "n\n"] {
                let question = person.prompter.approve(&other, None, Duration::from_secs(60));
                let typing = async {
                    let card = person.sees("to mute: ").await;
                    assert!(card.contains("changed      purpose (*)"), "{card}");
                    person.types(answer);
                };
                assert!(tokio::join!(question, typing).0.is_ok());
            }
        });
    }

    #[test]
    fn a_peer_is_muted_by_its_own_request() {
        run(async {
            let person = Person::new();
            let request = request();
            assert_eq!(person.decides(&request, &["m\n"]).await, Ok(false));
            assert!(person.prompter.is_muted(&request.requester.fingerprint));
            assert!(!person.prompter.is_muted(&Fingerprint::new([0x11; 32])));
        });
    }

    #[test]
    fn what_was_typed_before_the_question_does_not_answer_it() {
        run(async {
            let person = Person::new();
            person.types("y\ny\n");
            assert_eq!(person.compares(&["n\n"]).await, Ok(false));
        });
    }

    #[test]
    fn a_question_taken_back_leaves_the_next_answer_alone() {
        run(async {
            let person = Person::new();
            let names = ["alice".to_owned(), "bob".to_owned()];
            let pick = || person.prompter.pick("peer", "--with", &names);
            for _ in 0..3 {
                let taken_back = tokio::time::timeout(Duration::from_millis(20), pick());
                assert!(taken_back.await.is_err());
            }
            assert_eq!(person.answers(pick(), "2\n").await, Ok(1));
        });
    }

    /// A code is on the screen; its device leaves, and another one calls at once.
    #[test]
    fn a_code_that_was_taken_back_is_acknowledged_before_anything_else_is_asked() {
        run(async {
            for by_code in [true, false] {
                let person = Person::new();
                tokio::select! {
                    answer = person.compare() => panic!("{answer:?}"),
                    _ = person.sees("the same code? [y/N] ") => {}
                }
                let within = Duration::from_secs(60);
                let (other, request) = (code("111 222"), request());
                let question = async {
                    if by_code {
                        person.prompter.compare(&other, within).await
                    } else {
                        yes(person.prompter.approve(&request, None, within).await)
                    }
                };
                let typing = async {
                    person.types("y\n");
                    let page = person.sees("type ok and Enter to go on: ").await;
                    assert!(page.contains("the pairing is over: nothing was paired"), "{page}");
                    assert!(page.contains("385 721") && !page.contains("111 222"), "{page}");
                    for text in ["y\n", "5a\n", "\n"] {
                        person.types(text);
                        person.sees("type ok and Enter to go on: ").await;
                    }
                    person.types("ok\n");
                    person.sees(if by_code { "111 222" } else { "time left" }).await;
                    // A reflex after the page was left.
                    person.types("y\n5a\n");
                    person.sees(if by_code { "[y/N] " } else { "to mute: " }).await;
                    person.types("n\n");
                };
                assert_eq!(tokio::join!(question, typing).0, Ok(false));
            }
        });
    }

    #[test]
    fn a_warning_stands_on_its_card_whatever_is_said_while_the_page_before_is_left() {
        run(async {
            let person = Person::new();
            tokio::select! {
                answer = person.compare() => panic!("{answer:?}"),
                _ = person.sees("the same code? [y/N] ") => {}
            }
            let request = request();
            let warned =
                person.prompter.approve(&request, Some("this ends a ban"), Duration::from_secs(60));
            let typing = async {
                person.sees("type ok and Enter to go on: ").await;
                person.prompter.screen.note("something else");
                person.types("ok\n");
                let card = person.sees("to mute: ").await;
                assert!(card.contains("this ends a ban\r\nrequest to sign"), "{card}");
                let note = person.prompter.screen.lock().model.request.clone().unwrap().note;
                assert_eq!(note.as_deref(), Some("this ends a ban"));
                person.types("n\n");
            };
            assert_eq!(yes(tokio::join!(warned, typing).0), Ok(false));
        });
    }

    #[test]
    fn nobody_answering_in_time_is_a_failure() {
        run(async {
            let person = Person::new();
            let request = request();
            let answer = person.prompter.approve(&request, None, Duration::from_millis(20)).await;
            assert!(matches!(answer, Err(NoAnswer::Late(_))), "{answer:?}");
        });
    }

    #[test]
    fn the_deadline_of_the_command_ends_every_question() {
        run(async {
            let mut person = Person::new();
            person.prompter = person
                .prompter
                .clone()
                .with_deadline(Some((crate::ui::tests::clock().now)() + Duration::from_millis(20)));
            let prompter = &person.prompter;
            let late = Some(NoAnswer::Late(None));
            assert_eq!(prompter.passphrase().await.err(), late);
            assert_eq!(prompter.pin("token").await.err(), late);
            assert_eq!(prompter.new_passphrase("it", made(), longer_than_one).await.err(), late);
            let names = ["alice".to_owned(), "bob".to_owned()];
            assert_eq!(prompter.pick("peer", "--with", &names).await.err(), late);
            assert!(person.typing_is_shown());
        });
    }

    #[test]
    fn a_choice_is_made_by_number_or_by_name() {
        run(async {
            let person = Person::new();
            let names = ["alice".to_owned(), "bob".to_owned()];
            for (typed, expected) in [("2\n", 1), ("alice\n", 0), ("0\n3\nx\nbob\n", 1)] {
                let question = person.prompter.pick("peer", "--with", &names);
                assert_eq!(person.answers(question, typed).await, Ok(expected), "{typed:?}");
            }
        });
    }

    #[test]
    fn a_passphrase_is_not_shown_and_typing_is_visible_afterwards() {
        run(async {
            let person = Person::new();
            let typing = async {
                assert!(!person.typing_is_shown());
                person.types("correct horse\n");
            };
            let (passphrase, ()) = tokio::join!(person.prompter.passphrase(), typing);
            assert_eq!(passphrase.unwrap().expose(), "correct horse");
            assert!(person.typing_is_shown());
            let mut shown = [0; 256];
            let n = (&person.keyboard).read(&mut shown).unwrap();
            assert!(!String::from_utf8_lossy(&shown[..n]).contains("horse"));
        });
    }

    #[test]
    fn a_passphrase_question_taken_back_shows_typing_again() {
        run(async {
            let person = Person::new();
            let asked =
                tokio::time::timeout(Duration::from_millis(20), person.prompter.passphrase());
            assert!(asked.await.is_err());
            assert!(person.typing_is_shown());
        });
    }

    fn made() -> Secret<String> {
        Secret::new("lusab-babad".to_owned())
    }

    fn longer_than_one(passphrase: &Secret<String>) -> Judged {
        match passphrase.expose().len() {
            0 | 1 => Judged::Weak("too short".to_owned()),
            _ => Judged::Strong("long enough".to_owned()),
        }
    }

    #[test]
    fn a_new_passphrase_is_asked_for_until_two_that_are_strong_agree() {
        run(async {
            let person = Person::new();
            let question = person.prompter.new_passphrase("it", made(), longer_than_one);
            let answer = person.answers(question, "1\none\ntwo\nthree\nthree\n").await;
            assert_eq!(answer.unwrap().expose(), "three");
        });
    }

    #[test]
    fn a_passphrase_that_is_made_is_shown_and_must_be_typed() {
        run(async {
            let person = Person::new();
            let question = person.prompter.new_passphrase("it", made(), longer_than_one);
            let typing = async {
                person.types("\n");
                let seen = person.sees("type it to go on: ").await;
                assert!(seen.contains("    lusab-babad\r\n"), "{seen:?}");
                person.types("\nbabad\nlusab-babad\n");
            };
            let (answer, ()) = tokio::join!(question, typing);
            assert_eq!(answer.unwrap().expose(), "lusab-babad");
        });
    }

    #[test]
    fn without_a_person_nobody_is_asked() {
        let prompter = Prompter::new(nowhere(), true);
        let nobody = prompter.demand(&Need::Passphrase).unwrap_err();
        assert_eq!(nobody, NoAnswer::Nobody(Need::Passphrase));
    }
}
