//! Missing answers of a person, in words.

use super::{Code, Failure};
use crate::ui::{Need, NoAnswer, Unanswered};

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Nobody(need) => Self::from(&need),
            NoAnswer::Late(Some(within)) => {
                let waited = humantime::format_duration(within);
                Self::new(Code::Unreachable, format!("nobody answered within {waited}"))
            }
            NoAnswer::Late(None) => Self::new(Code::Unreachable, "nobody answered in time")
                .hint("give it longer with --timeout"),
            NoAnswer::Closed(asked) => Self::new(
                Code::Denied,
                match asked {
                    Unanswered::Page => "the terminal was closed".to_owned(),
                    Unanswered::Choice(what) => format!("no {what} was chosen"),
                    Unanswered::Line => "nothing was entered".to_owned(),
                },
            ),
            NoAnswer::NotText => Self::new(Code::Usage, "what was entered is not UTF-8"),
            NoAnswer::Interrupted => super::interrupted(),
            NoAnswer::Broken(error) => {
                Self::new(Code::System, format!("cannot use the terminal: {error}"))
            }
        }
    }
}

impl From<&Need> for Failure {
    /// Nobody can be asked.
    fn from(need: &Need) -> Self {
        let (message, hint) = match need {
            Need::Code => (
                "pairing needs a person who compares six digits".to_owned(),
                "run it in a terminal, or pin the peer on both devices, as `cosign peers add --help` says",
            ),
            Need::Approval => (
                "a request needs a person who approves it".to_owned(),
                "run it in a terminal, or let rules decide, with `cosign listen` and --policy, or approve one digest, with `cosign sign` and --wait",
            ),
            Need::Passphrase => (
                "the vault needs its passphrase".to_owned(),
                "use --passphrase-file FILE or --passphrase-fd N",
            ),
            Need::NewPassphrase => (
                "a new vault needs a passphrase".to_owned(),
                "use --passphrase-file FILE, or --identity FILE to seal it with an age identity",
            ),
            Need::BackupPassphrase { file } => {
                (format!("backup {file} needs its passphrase"), "use --backup-passphrase-file FILE")
            }
            Need::Pin { token } => {
                (format!("token {token:?} needs its PIN"), "use --pin-file FILE or --pin-fd N")
            }
            // A flag would have made the choice, so it is a mistake of the command line.
            Need::Choice { what, flag, candidates } => {
                return Self::new(
                    Code::Usage,
                    format!("there are several {what}s: {}", candidates.join(", ")),
                )
                .hint(format!("name one with {flag}"));
            }
            Need::Confirmation { what, flag } => {
                return Self::new(Code::Interaction, format!("{what} needs a person who confirms"))
                    .hint(format!("use {flag}"));
            }
        };
        Self::new(Code::Interaction, message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_person_the_failure_names_what_would_have_answered() {
        let failure = Failure::from(NoAnswer::Nobody(Need::Passphrase));
        assert_eq!(failure.code, Code::Interaction);
        assert!(failure.hint.unwrap().contains("--passphrase-file"));
        let candidates = vec!["a".into(), "b".into()];
        let choice = Failure::from(&Need::Choice { what: "key", flag: "--key", candidates });
        assert_eq!(choice.code, Code::Usage);
        assert_eq!(choice.message, "there are several keys: a, b");
    }
}
