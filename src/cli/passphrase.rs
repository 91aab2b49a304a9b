//! Passphrases for new seals: how long one would last, and one that is made for a person.

use zxcvbn::zxcvbn;

use super::Global;
use super::given::TERMINAL;
use crate::driver::clock;
use crate::report::{Code, Failure};
use crate::secret::Secret;
use crate::ui::prompt::Judged;

/// So many guesses a new passphrase must withstand, by the estimate of zxcvbn. What guards a stolen disk is the
/// passphrase alone, so nothing slows a thief down but scrypt.
const FLOOR: u64 = 10_000_000_000;

/// What a passphrase opens, in questions.
pub(super) const DEVICE: &str = "this device";

/// The words of a passphrase that is made, of 16 random bits each.
const WORDS: usize = 5;
/// The longest such passphrase in bytes: five letters and a dash each.
const LENGTH: usize = WORDS * 6;

/// The passphrase for a new seal of `what`: the one that was given, or what a person chooses or has made.
///
/// # Errors
/// The one that was given is too weak; nobody is there to choose one.
pub(super) async fn new(
    global: &Global,
    given: Option<Secret<String>>,
    what: &str,
) -> Result<Secret<String>, Failure> {
    match given {
        Some(passphrase) if passphrase.expose().is_empty() => {
            Err(Failure::new(Code::Usage, "the passphrase is empty").hint(ADVICE))
        }
        Some(passphrase) => match judge(&passphrase) {
            Judged::Strong(_) => Ok(passphrase),
            Judged::Weak(why) => Err(Failure::new(Code::Usage, why).hint(ADVICE)),
        },
        None => {
            let passphrase = global.prompter.new_passphrase(what, made()?, judge).await?;
            if let Some(typed) = &global.typed {
                typed.note(TERMINAL.into(), &passphrase);
            }
            Ok(passphrase)
        }
    }
}

const ADVICE: &str = "four words that have nothing to do with one another are enough; for a machine, \
     --identity FILE needs no passphrase";

/// Whether a passphrase withstands enough guesses, and in words how many. zxcvbn works on copies of it, which stay
/// in freed memory until the process ends.
fn judge(passphrase: &Secret<String>) -> Judged {
    let estimate = zxcvbn(passphrase.expose(), &["cosign"]);
    let lasts = estimate.crack_times().offline_slow_hashing_1e4_per_second();
    if estimate.guesses() < FLOOR {
        return Judged::Weak(format!(
            "this passphrase is too weak: whoever has the disk and tries 10,000 a second finds it in {lasts}"
        ));
    }
    Judged::Strong(format!(
        "whoever has the disk and tries 10,000 passphrases a second needs {lasts} for this one"
    ))
}

/// A passphrase of 80 random bits: words that can be said, in which consonants and vowels take turns
/// (proquints, arXiv:0901.4016).
///
/// # Errors
/// The system has no randomness.
fn made() -> Result<Secret<String>, Failure> {
    let random = clock::random()?;
    let mut text = Secret::new(String::with_capacity(LENGTH));
    for pair in random.expose().chunks_exact(2).take(WORDS) {
        if !text.expose().is_empty() {
            text.expose_mut().push('-');
        }
        let bits = pair.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for (letters, shift) in
            [(CONSONANTS, 12), (VOWELS, 10), (CONSONANTS, 6), (VOWELS, 4), (CONSONANTS, 0)]
        {
            let place = (bits >> shift) & letters.len().saturating_sub(1);
            text.expose_mut().extend(letters.get(place).copied().map(char::from));
        }
    }
    Ok(text)
}

/// A letter of four bits, and one of two.
const CONSONANTS: &[u8] = b"bdfghjklmnprstvz";
const VOWELS: &[u8] = b"aiou";

#[cfg(test)]
mod tests {
    use super::*;

    fn is_strong(text: &str) -> bool {
        matches!(judge(&Secret::new(text.to_owned())), Judged::Strong(_))
    }

    #[test]
    fn what_a_thief_would_try_first_is_too_weak() {
        for weak in
            ["x", "correct", "password1", "cosign", "qwertyuiop", "Tr0ub4dour&3", "19991231"]
        {
            assert!(!is_strong(weak), "{weak}");
        }
        for weak in [" ".repeat(1000), "ab".repeat(400)] {
            assert!(!is_strong(&weak));
        }
    }

    #[test]
    fn four_words_or_a_dozen_random_letters_are_strong_enough() {
        for strong in ["correct horse battery staple", "mx7kq2vbn4tz", "сорок тысяч обезьян"]
        {
            assert!(is_strong(strong), "{strong}");
        }
    }

    #[test]
    fn one_that_is_made_can_be_said_is_strong_and_never_the_same() {
        let (one, two) = (made().unwrap(), made().unwrap());
        assert_ne!(one.expose(), two.expose());
        for text in [one.expose(), two.expose()] {
            assert!(is_strong(text), "{text}");
            assert_eq!(text.split('-').count(), WORDS);
            for word in text.split('-') {
                let kinds: Vec<bool> = word.bytes().map(|b| VOWELS.contains(&b)).collect();
                assert_eq!(kinds, [false, true, false, true, false], "{word}");
            }
        }
    }
}
