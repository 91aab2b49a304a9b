//! Commands in hints: complete, quoted for a shell, and with those flags of this run that another
//! run needs again.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use crate::device::shell_word;

/// The flags of this run that a command in a hint has to repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// For every command: the home, and what opens its vault.
    pub global: Vec<OsString>,
    /// For commands that meet other devices: the relay and the network interface.
    pub meeting: Vec<OsString>,
    /// For ceremonies: where the other devices listen.
    pub routes: Vec<OsString>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

/// Stores the flags of this run.
pub fn called_with(flags: Flags) {
    // Set once: a process has one command line.
    let _ = FLAGS.set(flags);
}

/// A command for this device, in backticks: its words, then its operands.
pub(crate) fn here(words: &[&str], operands: &[&str]) -> String {
    written(words, operands, FLAGS.get().unwrap_or(&Flags::default()))
}

/// A command for another device, in backticks.
pub(super) fn there(words: &[&str], operands: &[&str]) -> String {
    written(words, operands, &Flags::default())
}

fn written(words: &[&str], operands: &[&str], flags: &Flags) -> String {
    let mut line = vec![OsStr::new("cosign")];
    let mut more: Vec<&OsStr> = flags.global.iter().map(OsString::as_os_str).collect();
    if meets(words) {
        more.extend(flags.meeting.iter().map(OsString::as_os_str));
    }
    if is_ceremony(words) {
        more.extend(flags.routes.iter().map(OsString::as_os_str));
    }
    let operands = operands.iter().map(OsStr::new);
    line.extend(words.iter().map(OsStr::new));
    // Operands that look like flags come last, after `--`.
    if operands.clone().any(|operand| operand.as_encoded_bytes().starts_with(b"-")) {
        line.extend(more);
        line.push(OsStr::new("--"));
        line.extend(operands);
    } else {
        line.extend(operands);
        line.extend(more);
    }
    let line: Vec<String> = line.into_iter().map(shell_word).collect();
    format!("`{}`", line.join(" "))
}

fn is_ceremony(words: &[&str]) -> bool {
    matches!(words, ["keygen" | "sign", ..] | ["keys", "refresh" | "reshare", ..])
}

fn meets(words: &[&str]) -> bool {
    is_ceremony(words) || matches!(words, ["pair", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Flags {
        let words = |text: &str| text.split(' ').map(OsString::from).collect();
        Flags {
            global: words("--home /tmp/a=b;c"),
            meeting: words("--relay wss://r"),
            routes: words("--peer bob=10.0.0.1:7"),
        }
    }

    #[test]
    fn a_command_keeps_the_flags_that_it_knows() {
        let home = "--home '/tmp/a=b;c'";
        assert_eq!(written(&["keys", "list"], &[], &flags()), format!("`cosign keys list {home}`"));
        assert_eq!(
            written(&["pair"], &["Bob's"], &flags()),
            format!(r"`cosign pair 'Bob'\''s' {home} --relay wss://r`")
        );
        assert_eq!(
            written(&["keygen", "--key", "vault", "--resume"], &[], &flags()),
            format!(
                "`cosign keygen --key vault --resume {home} --relay wss://r --peer bob=10.0.0.1:7`"
            )
        );
    }

    #[test]
    fn a_name_that_looks_like_a_flag_stays_a_name() {
        let line = written(&["pair"], &["-rf"], &flags());
        assert_eq!(line, "`cosign pair --home '/tmp/a=b;c' --relay wss://r -- -rf`");
    }
}
