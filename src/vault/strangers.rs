//! Unknown devices that were turned away, and what they asked for. They get no line in the log, so
//! that nobody unknown can fill it; this file is bounded, forgets the oldest and decides nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Home;
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::log::rfc3339;

/// The most bytes that are kept.
pub const LIMIT: usize = 64 * 1024;

/// A device that was turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    /// When.
    #[serde(with = "rfc3339")]
    pub time: i64,
    /// Where it came from: an address or a network, `relay` or `command`.
    pub source: String,
    /// Its fingerprint in hexadecimal.
    pub fingerprint: String,
    /// Its name for itself, cleaned and cut.
    pub name: String,
    /// `pair` or `ceremony`.
    pub wanted: String,
    /// Why it was turned away: the reason that it was sent.
    pub outcome: String,
    /// How many others were turned away since the line before without a line of their own.
    pub others: u64,
}

/// Notes a stranger.
///
/// # Errors
///
/// [`Error::Io`].
pub fn note(home: &Home, stranger: &Stranger) -> Result<(), Error> {
    let path = path(home);
    let writer = Writer::lock(home)?;
    let mut content = file::read(&path)?.unwrap_or_default();
    let mut line = serde_json::to_vec(stranger).map_err(|e| Error::io(&path)(e.into()))?;
    line.push(b'\n');
    if content.len().saturating_add(line.len()) > LIMIT {
        let half = content.len().saturating_sub(LIMIT / 2);
        let after = content.iter().skip(half).position(|byte| *byte == b'\n');
        let start = after.map_or(content.len(), |end| half.saturating_add(end).saturating_add(1));
        content.drain(..start.min(content.len()));
    }
    content.extend(line);
    writer.replace(&path, &content, Durability::Lazy)
}

fn path(home: &Home) -> PathBuf {
    home.state.join("strangers.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fixture;

    fn stranger(time: i64) -> Stranger {
        Stranger {
            time,
            source: "192.0.2.7".into(),
            fingerprint: "ab".repeat(32),
            name: "mallory".into(),
            wanted: "pair".into(),
            outcome: "unattended".into(),
            others: 0,
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_every_line_is_whole() {
        let home = fixture::home();
        for time in 0..1000 {
            note(&home, &stranger(time)).unwrap();
            assert!(std::fs::metadata(path(&home)).unwrap().len() <= LIMIT as u64);
        }
        let content = std::fs::read_to_string(path(&home)).unwrap();
        let times: Vec<i64> = content
            .lines()
            .map(|line| serde_json::from_str::<Stranger>(line).unwrap().time)
            .collect();
        assert_eq!(times.last(), Some(&999));
        assert!(times.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{times:?}");
        assert!((100..1000).contains(&times.len()), "{}", times.len());
    }

    #[test]
    fn what_somebody_else_made_of_the_file_is_forgotten_too() {
        let home = fixture::home();
        note(&home, &stranger(1)).unwrap();
        std::fs::write(path(&home), vec![0xff; 3 * LIMIT]).unwrap();
        note(&home, &stranger(2)).unwrap();
        assert!(std::fs::metadata(path(&home)).unwrap().len() <= LIMIT as u64);
    }
}
