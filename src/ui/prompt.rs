//! Questions to the person at the terminal.
//!
//! Every question is a future: while a person thinks the ceremony goes on, and dropping it (a
//! time-out, a peer that left) takes the question back. They run in a tokio runtime with I/O and time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout_at;

use super::stage::{Answer, Question};
use super::terminal::Terminal;
use super::{Format, Screen};
use crate::progress::{Event, RequestView};
use crate::report::{Code, Failure};
use crate::secret::Secret;

/// What a person is needed for, and what could have stood in.
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
        /// What there is to choose from.
        candidates: Vec<String>,
    },
    /// To confirm something that cannot be undone; `flag` would have.
    Confirmation {
        /// What happens: `delete key "vault"`.
        what: String,
        /// The flag.
        flag: &'static str,
    },
}

impl Need {
    /// The failure when there is nobody to ask.
    pub fn failure(&self) -> Failure {
        let (message, hint) = match self {
            Self::Code => (
                "pairing needs a person who compares six digits".to_owned(),
                "run it in a terminal, or pin the peer on both devices, as `cosign peers add --help` says",
            ),
            Self::Approval => (
                "a request needs a person who approves it".to_owned(),
                "run it in a terminal, or let rules decide, with `cosign listen` and --policy, or approve one digest, with `cosign sign` and --wait",
            ),
            Self::Passphrase => (
                "the vault needs its passphrase".to_owned(),
                "use --passphrase-file FILE or --passphrase-fd N",
            ),
            Self::NewPassphrase => (
                "a new vault needs a passphrase".to_owned(),
                "use --passphrase-file FILE, or --identity FILE to seal it with an age identity",
            ),
            Self::Pin { token } => {
                (format!("token {token:?} needs its PIN"), "use --pin-file FILE or --pin-fd N")
            }
            // A choice is a matter of the command line: exit code 2.
            Self::Choice { what, flag, candidates } => {
                return Failure::new(
                    Code::Usage,
                    format!("there are several {what}s: {}", candidates.join(", ")),
                )
                .hint(format!("name one with {flag}"));
            }
            Self::Confirmation { what, flag } => {
                return Failure::new(
                    Code::Interaction,
                    format!("{what} needs a person who confirms"),
                )
                .hint(format!("use {flag}"));
            }
        };
        Failure::new(Code::Interaction, message).hint(hint)
    }
}

/// Asks the person at the terminal, one question at a time.
#[derive(Clone, Debug)]
pub struct Prompter {
    screen: Screen,
    allowed: bool,
    /// When nobody answers any more.
    deadline: Option<Instant>,
    /// The terminal, where it is not standard input.
    elsewhere: Option<PathBuf>,
}

impl Prompter {
    /// Asks on `screen` unless `no_input`.
    pub fn new(screen: Screen, no_input: bool) -> Self {
        Self { screen, allowed: !no_input, deadline: None, elsewhere: None }
    }

    /// Gives every question up at this moment.
    #[must_use]
    pub fn until(self, deadline: Option<Instant>) -> Self {
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

    /// Fails at once where a person will be needed and cannot be asked.
    pub fn demand(&self, need: &Need) -> Result<(), Failure> {
        if self.can_ask() { Ok(()) } else { Err(need.failure()) }
    }

    /// Shows six digits ([`Event::Code`]) and asks whether the other screen shows the same. Only a
    /// typed `y` or `yes` is yes; an empty line is no.
    pub async fn compare(&self, code: &Event, within: Duration) -> Result<bool, Failure> {
        let question = "do both screens show the same code? [y/N] ";
        let answer = |line: &str| match line {
            "y" | "yes" => Some(true),
            "" | "n" | "no" => Some(false),
            _ => None,
        };
        self.decide(&Need::Code, code, question, within, answer).await
    }

    /// Shows a request and asks for approval. `a`, `y` approve, `d`, `n` deny, an empty line does nothing.
    pub async fn approve(&self, request: &RequestView, within: Duration) -> Result<bool, Failure> {
        let question = "approve this one request? [a]pprove, [d]eny: ";
        let answer = |line: &str| match line {
            "a" | "approve" | "y" | "yes" => Some(true),
            "d" | "deny" | "n" | "no" => Some(false),
            _ => None,
        };
        let shown = Event::Request(request.clone());
        self.decide(&Need::Approval, &shown, question, within, answer).await
    }

    /// Asks for a yes to something that cannot be undone.
    pub async fn confirm(&self, what: &str, flag: &'static str) -> Result<bool, Failure> {
        self.demand(&Need::Confirmation { what: what.to_owned(), flag })?;
        let _pause = self.screen.pause();
        let terminal = self.open()?;
        terminal.forget_typed();
        let line = self.ask(&terminal, &[], &format!("{what}? [y/N] ")).await?;
        Ok(matches!(line.as_deref(), Some("y" | "yes")))
    }

    /// Asks for one of `candidates`, by number or by name, and returns its position.
    pub async fn pick(
        &self,
        what: &'static str,
        flag: &'static str,
        candidates: &[String],
    ) -> Result<usize, Failure> {
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

    async fn pick_in_lines(&self, what: &str, candidates: &[String]) -> Result<usize, Failure> {
        let terminal = self.open()?;
        let mut list: Vec<String> =
            (1..).zip(candidates).map(|(i, name)| format!("  {i}  {name}")).collect();
        loop {
            let question = format!("which {what}? [1-{}] ", candidates.len());
            let Some(line) = self.ask(&terminal, &list, &question).await? else {
                return Err(Failure::new(Code::Denied, format!("no {what} was chosen")));
            };
            let number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            let chosen = number.filter(|n| *n < candidates.len());
            if let Some(i) = chosen.or_else(|| candidates.iter().position(|name| *name == line)) {
                return Ok(i);
            }
            list.clear();
        }
    }

    /// Asks for the passphrase of a vault.
    pub async fn passphrase(&self) -> Result<Secret<String>, Failure> {
        self.demand(&Need::Passphrase)?;
        self.ask_hidden(&self.open()?, "passphrase: ").await
    }

    /// Asks for the PIN of a token.
    pub async fn pin(&self, token: &str) -> Result<Secret<String>, Failure> {
        self.demand(&Need::Pin { token: token.to_owned() })?;
        self.ask_hidden(&self.open()?, &format!("PIN of token {token:?}: ")).await
    }

    /// Asks for a passphrase for a new vault, twice.
    pub async fn new_passphrase(&self) -> Result<Secret<String>, Failure> {
        self.demand(&Need::NewPassphrase)?;
        let terminal = self.open()?;
        loop {
            let first = self.ask_hidden(&terminal, "new passphrase for this device: ").await?;
            if first.expose().is_empty() {
                self.screen.note("an empty passphrase protects nothing");
                continue;
            }
            let second = self.ask_hidden(&terminal, "the same again: ").await?;
            if first.expose() == second.expose() {
                return Ok(first);
            }
            self.screen.note("the two differ");
        }
    }

    fn open(&self) -> Result<Terminal, Failure> {
        Terminal::open(self.elsewhere.as_deref()).map_err(broken)
    }

    /// Shows `event`, asks until `answer` understands, and gives up after `within`. The end of
    /// input is no.
    async fn decide(
        &self,
        need: &Need,
        event: &Event,
        question: &str,
        within: Duration,
        answer: impl Fn(&str) -> Option<bool>,
    ) -> Result<bool, Failure> {
        let terminal = self.demand(need).and_then(|()| self.open());
        // Before the question appears: an answer to what nobody has seen yet is dropped.
        if let Ok(terminal) = &terminal {
            terminal.forget_typed();
        }
        self.screen.show_question(event);
        let terminal = terminal?;
        let asking = async {
            let mut shown = !self.screen.is_full();
            let full = self.screen.question(event);
            loop {
                if let Some(full) = &full
                    && let Some(answer) = self.screen.ask_in_full(full.clone()).await
                {
                    return Ok(answer == Answer::Yes);
                }
                // The window became too small for a full screen, which took the card along.
                if !std::mem::replace(&mut shown, false) {
                    terminal.forget_typed();
                    self.screen.repeat(event);
                }
                tokio::select! {
                    decision = self.decide_in_lines(&terminal, event, question, &answer) => return decision,
                    () = self.screen.filled() => {}
                }
            }
        };
        let decision = tokio::time::timeout(within, asking).await.unwrap_or_else(|_| {
            let waited = humantime::format_duration(within);
            Err(Failure::new(Code::Unreachable, format!("nobody answered within {waited}")))
        });
        if decision == Ok(true) {
            self.screen.agreed();
        }
        decision
    }

    async fn decide_in_lines(
        &self,
        terminal: &Terminal,
        event: &Event,
        question: &str,
        answer: impl Fn(&str) -> Option<bool>,
    ) -> Result<bool, Failure> {
        let card = self.screen.prose(event);
        let mut card = if self.speaks_elsewhere() { card.as_slice() } else { &[] };
        loop {
            let Some(line) = self.ask(terminal, card, question).await? else {
                return Ok(false);
            };
            if let Some(decision) = answer(&line.to_lowercase()) {
                return Ok(decision);
            }
            card = &[];
        }
    }

    /// Asks once and reads a trimmed line; `None` at the end of input.
    async fn ask(
        &self,
        terminal: &Terminal,
        card: &[String],
        question: &str,
    ) -> Result<Option<String>, Failure> {
        let mut line = Vec::with_capacity(1024);
        let more = self.read(terminal, card, question, &mut line).await?;
        Ok(more.then(|| String::from_utf8_lossy(&line).trim().to_owned()))
    }

    async fn ask_hidden(
        &self,
        terminal: &Terminal,
        question: &str,
    ) -> Result<Secret<String>, Failure> {
        let _pause = self.screen.pause();
        let mut line = Secret::new(Vec::with_capacity(1024));
        // Before typing is hidden: dying of Ctrl-C would leave it hidden.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        let hidden = terminal.hide_typing().map_err(broken)?;
        let more = tokio::select! {
            more = self.read(terminal, &[], question, line.expose_mut()) => more?,
            _ = interrupt.recv() => return Err(interrupted()),
            _ = terminate.recv() => return Err(interrupted()),
        };
        drop(hidden);
        if !more {
            return Err(Failure::new(Code::Denied, "nothing was entered"));
        }
        let text = std::str::from_utf8(line.expose())
            .map_err(|_| Failure::new(Code::Usage, "what was entered is not UTF-8"))?;
        Ok(Secret::new(text.to_owned()))
    }

    async fn read(
        &self,
        terminal: &Terminal,
        card: &[String],
        question: &str,
        line: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        card.iter().for_each(|text| terminal.write(&format!("{text}\n")));
        if self.speaks_elsewhere() {
            terminal.write(question);
        }
        let mut asked = Asked::new(&self.screen, question);
        let reading = terminal.read_line(line);
        let more = match self.deadline {
            Some(deadline) => timeout_at(deadline.into(), reading).await.map_err(|_| late())?,
            None => reading.await,
        };
        let more = more.map_err(broken)?;
        asked.answered = more;
        Ok(more)
    }

    /// Whether standard error is not what the person looks at.
    fn speaks_elsewhere(&self) -> bool {
        use std::io::IsTerminal as _;
        self.screen.format() == Format::Events || !std::io::stderr().is_terminal()
    }
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

fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
}

fn late() -> Failure {
    Failure::new(Code::Unreachable, "nobody answered in time").hint("give it longer with --timeout")
}

fn broken(error: std::io::Error) -> Failure {
    Failure::new(Code::Internal, format!("cannot use the terminal: {error}"))
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

    /// A person at a terminal: what they type comes from here.
    struct Person {
        keyboard: File,
        prompter: Prompter,
        /// Keeps the terminal alive while nobody reads it.
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

        /// Asks, and types once the question waits for an answer.
        async fn answers<T>(&self, question: impl Future<Output = T>, text: &str) -> T {
            tokio::join!(question, async { self.types(text) }).0
        }

        fn compare(&self) -> impl Future<Output = Result<bool, Failure>> {
            let code = Event::Code {
                code: "385 721".into(),
                peer: "bob".into(),
                fingerprint: "00".repeat(32),
                warning: None,
                seconds: 60,
            };
            async move { self.prompter.compare(&code, Duration::from_secs(60)).await }
        }

        fn typing_is_shown(&self) -> bool {
            tcgetattr(self.keyboard.as_fd()).unwrap().local_modes.contains(LocalModes::ECHO)
        }
    }

    fn nowhere() -> Screen {
        Screen::on(
            Box::new(std::io::sink()),
            Format::Prose,
            Style::default(),
            None,
            crate::ui::tests::clock,
        )
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn request() -> RequestView {
        use crate::progress::{PartyView, Source};
        RequestView {
            ceremony: "sign".into(),
            request_id: String::new(),
            key: "vault".into(),
            public_key: String::new(),
            threshold: 2,
            parties: 2,
            signers: Vec::new(),
            digest: "5a".repeat(32),
            source: Source::Digest,
            purpose: Default::default(),
            requester: PartyView { name: Default::default(), fingerprint: "00".repeat(32) },
            receivers: Vec::new(),
            seconds: 60,
        }
    }

    #[test]
    fn only_a_typed_yes_confirms_a_code() {
        run(async {
            let person = Person::new();
            for (typed, expected) in [
                ("y\n", true),
                ("YES\n", true),
                ("\n", false),
                ("n\n", false),
                ("385721\nmaybe\nn\n", false),
                ("\u{4}", false),
            ] {
                assert_eq!(
                    person.answers(person.compare(), typed).await,
                    Ok(expected),
                    "{typed:?}"
                );
            }
        });
    }

    #[test]
    fn an_empty_line_neither_approves_nor_denies() {
        run(async {
            let person = Person::new();
            for (typed, expected) in
                [("\n\na\n", true), ("y\n", true), ("\nd\n", false), ("n\n", false)]
            {
                let request = request();
                let question = person.prompter.approve(&request, Duration::from_secs(60));
                assert_eq!(person.answers(question, typed).await, Ok(expected), "{typed:?}");
            }
        });
    }

    #[test]
    fn what_was_typed_before_the_question_does_not_answer_it() {
        run(async {
            let person = Person::new();
            person.types("y\ny\n");
            assert_eq!(person.answers(person.compare(), "n\n").await, Ok(false));
        });
    }

    #[test]
    fn a_question_taken_back_leaves_the_next_answer_alone() {
        run(async {
            let person = Person::new();
            for _ in 0..3 {
                let taken_back = tokio::time::timeout(Duration::from_millis(20), person.compare());
                assert!(taken_back.await.is_err());
            }
            assert_eq!(person.answers(person.compare(), "y\n").await, Ok(true));
        });
    }

    #[test]
    fn nobody_answering_in_time_is_a_failure() {
        run(async {
            let person = Person::new();
            let request = request();
            let answer = person.prompter.approve(&request, Duration::from_millis(20)).await;
            assert_eq!(answer.map_err(|failure| failure.code), Err(Code::Unreachable));
        });
    }

    #[test]
    fn the_deadline_of_the_command_ends_every_question() {
        run(async {
            let mut person = Person::new();
            person.prompter = person
                .prompter
                .clone()
                .until(Some(crate::ui::tests::clock() + Duration::from_millis(20)));
            let code = |failure: Failure| failure.code;
            let prompter = &person.prompter;
            let late = Some(Code::Unreachable);
            assert_eq!(prompter.passphrase().await.map_err(code).err(), late);
            assert_eq!(prompter.pin("token").await.map_err(code).err(), late);
            assert_eq!(prompter.new_passphrase().await.map_err(code).err(), late);
            let names = ["alice".to_owned(), "bob".to_owned()];
            assert_eq!(prompter.pick("peer", "--with", &names).await.map_err(code).err(), late);
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

    #[test]
    fn a_new_passphrase_is_asked_for_until_two_agree() {
        run(async {
            let person = Person::new();
            let question = person.prompter.new_passphrase();
            let answer = person.answers(question, "\none\ntwo\nthree\nthree\n").await;
            assert_eq!(answer.unwrap().expose(), "three");
        });
    }

    #[test]
    fn without_a_person_the_failure_names_what_would_have_answered() {
        let prompter = Prompter::new(nowhere(), true);
        let failure = prompter.demand(&Need::Passphrase).unwrap_err();
        assert_eq!(failure.code, Code::Interaction);
        assert!(failure.hint.unwrap().contains("--passphrase-file"));
        let choice =
            Need::Choice { what: "key", flag: "--key", candidates: vec!["a".into(), "b".into()] };
        assert_eq!(choice.failure().code, Code::Usage);
        assert_eq!(choice.failure().message, "there are several keys: a, b");
    }
}
