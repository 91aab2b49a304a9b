//! The log: one entry for every ceremony, refusals and aborts included.
//!
//! One JSON object per line. `prev` is the SHA-256 of the line before it, without its newline, so
//! that a line cannot be changed or taken out unnoticed; 64 zeros for the first. `log.head` has the
//! number of lines and the hash of the last, so that the last lines cannot be cut off unnoticed
//! either: the next entry is chained to the line that the head names, which makes the gap
//! permanent. An attacker who can write to both files can write a new log; the records of the other
//! devices then differ from it.
//!
//! The head names a line before it is written, and says afterwards that it is there. So a crash
//! leaves a line, or a part of one, that the head expects; any other line behind the last attested
//! one was put there. If the head was lost, the chain alone is checked, and the next entry records
//! the loss for good.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::{self, digits};
use super::editions::Editions;
use super::error::{Altered, Error};
use super::file::{self, Durability, Writer};
use super::{Home, bad_name, format};

/// What is logged about one ceremony.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended.
    #[serde(with = "rfc3339")]
    pub time: i64,
    /// `pair`, `keygen`, `refresh`, `sign` and so on.
    pub ceremony: String,
    /// The key's name; may be empty, as all that follow.
    pub key: String,
    /// What was to be signed, in hexadecimal.
    pub digest: String,
    /// The other side.
    pub peer: String,
    /// What it was for.
    pub purpose: String,
    /// How it ended.
    pub outcome: String,
    /// Anything more, under other names.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    #[serde(with = "digits")]
    prev: [u8; 32],
}

/// `log.head`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    count: u64,
    #[serde(with = "digits")]
    hash: [u8; 32],
    /// The hash of the line that is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Next(#[serde(with = "digits")] [u8; 32]);

impl Head {
    /// Its edition is the number of lines. It is durable before its edition is noted, and before the line that
    /// it names is written.
    fn write(self, writer: &Writer<'_>) -> Result<(), Error> {
        let path = head_path(writer.home());
        format::put(writer, &path, self.count, self, Durability::Synced)?;
        if self.next.is_none() { Editions::raise(writer, &path, self.count) } else { Ok(()) }
    }
}

/// What [`Log::verify`] found in a log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// How many entries there are.
    pub entries: u64,
    /// Whether `log.head` confirms that the last of them is the last that was written.
    pub attested: bool,
    /// The lines before which `log.head` was lost: whether lines were cut off there is not known.
    pub head_lost: Vec<u64>,
}

/// The log of a device.
#[derive(Debug)]
pub struct Log;

impl Log {
    /// Writes an entry, durably.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if an extra field has the name of another, or the time is out of range.
    pub fn append(home: &Home, entry: &Entry) -> Result<(), Error> {
        if let Some(name) = entry.extra.keys().find(|name| FIELDS.contains(&name.as_str())) {
            return Err(bad_name(name));
        }
        let path = path(home);
        let writer = Writer::lock(home)?;
        if file::open(&path)?.is_none() {
            // With an open vault a missing head was taken away, so none is begun.
            if !home.checks() {
                Self::begin(&writer, home)?;
            }
            writer.create(&path, b"")?;
        }
        let tail = Tail::read(&path)?;
        let mut entry = entry.clone();
        let last = match last_written(home, &tail)? {
            Some(last) => last,
            None => {
                entry.extra.insert(HEAD_LOST.to_owned(), true.into());
                let content = file::read_lines(&path)?.unwrap_or_default();
                let count = u64::try_from(lines(&content).count()).unwrap_or(u64::MAX);
                Head { count, hash: tail.hash, next: None }
            }
        };
        let mut line = serde_json::to_vec(&Line { prev: last.hash, entry })
            .map_err(|e| bad_name(&e.to_string()))?;
        let hash = hash(&line);
        line.push(b'\n');
        Head { next: Some(Next(hash)), ..last }.write(&writer)?;
        writer.append(&path, tail.end, &line, Durability::Synced)?;
        Head { count: last.count.saturating_add(1), hash, next: None }.write(&writer)
    }

    /// Fails as [`Log::append`] would now, and writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Log::append`].
    pub fn try_out(home: &Home) -> Result<(), Error> {
        let path = path(home);
        let writer = Writer::lock(home)?;
        if file::open(&path)?.is_some() {
            last_written(home, &Tail::read(&path)?)?;
        }
        writer.try_out(&path)
    }

    /// Writes the head of an empty log unless there is a head or a log.
    pub(super) fn begin(writer: &Writer<'_>, home: &Home) -> Result<(), Error> {
        if file::is_there(&head_path(home))? || file::is_there(&path(home))? {
            return Ok(());
        }
        Head::default().write(writer)
    }

    /// Checks the whole chain and counts the entries.
    ///
    /// # Errors
    ///
    /// [`Error::BadLine`] for the first line that is not what was written; [`Error::Corrupt`] if
    /// `log.head` is damaged; with an open vault [`Error::Tampered`] if this device did not write it.
    pub fn verify(home: &Home) -> Result<Chain, Error> {
        let _lock = file::lock_shared(home)?;
        let content = file::read_lines(&path(home))?.unwrap_or_default();
        let found: Option<Head> = document::read(home, &head_path(home))?;
        let head = found.unwrap_or_default();
        let attested = found.is_some() || content.is_empty();
        let lines: Vec<&[u8]> = lines(&content).collect();
        let bad = |line, why| Err(Error::BadLine { line, why });
        let mut last = Head::default();
        let mut head_lost = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let number = last.count.saturating_add(1);
            let Ok(Line { entry, prev }) = serde_json::from_slice(line) else {
                return bad(number, Altered::Unreadable);
            };
            if prev != last.hash {
                let (line, why) = break_between(&last, lines.get(index..), lines.len(), &head);
                return bad(line, why);
            }
            let awaited = head.next.filter(|_| last.count == head.count);
            last = Head { count: number, hash: hash(line), next: None };
            if number == head.count && last.hash != head.hash {
                return bad(number, Altered::Changed);
            }
            if attested && number > head.count && awaited != Some(Next(last.hash)) {
                return bad(number, Altered::Added);
            }
            if entry.extra.contains_key(HEAD_LOST) {
                head_lost.push(number);
            }
        }
        let behind = last.count.saturating_add(1);
        if last.count < head.count {
            bad(behind, Altered::Missing)
        } else if !content.is_empty() && !content.ends_with(b"\n") && head.next.is_none() {
            bad(behind, Altered::Unreadable)
        } else {
            Ok(Chain { entries: last.count, attested, head_lost })
        }
    }

    /// Fails unless the log ends where this device's last entry did. With an open vault the head
    /// must be the one that was written.
    pub(super) fn check_end(home: &Home) -> Result<(), Error> {
        let _lock = file::lock_shared(home)?;
        let path = head_path(home);
        let head: Option<Head> = document::read(home, &path)?;
        let tail = Tail::read(&self::path(home))?;
        let fits = |head: &Head| head.hash == tail.hash || head.next == Some(Next(tail.hash));
        match head {
            Some(head) if !fits(&head) => {
                Err(Error::tampered(&self::path(home), "it does not end with the last entry"))
            }
            _ => Ok(()),
        }
    }

    /// All entries, oldest first, without checking the chain.
    ///
    /// # Errors
    ///
    /// [`Error::BadLine`] for a line that is no entry.
    pub fn entries(home: &Home) -> Result<Vec<Entry>, Error> {
        let _lock = file::lock_shared(home)?;
        let content = file::read_lines(&path(home))?.unwrap_or_default();
        let entry = |(number, line)| match serde_json::from_slice(line) {
            Ok(Line { entry, .. }) => Ok(entry),
            Err(_) => Err(Error::BadLine { line: number, why: Altered::Unreadable }),
        };
        (1..).zip(lines(&content)).map(entry).collect()
    }

    /// The last `count` entries, or all where there are fewer, oldest first, without checking the chain. No
    /// more of the log is read than holds them.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if one of those lines is no entry.
    pub fn latest(home: &Home, count: usize) -> Result<Vec<Entry>, Error> {
        let path = path(home);
        // Parsed after the lock is released, so that writers wait only for the read.
        let end = {
            let _lock = file::lock_shared(home)?;
            from_the_end(&path, |bytes, start| last_lines(bytes, start, count))?
        };
        let entry = |line| match serde_json::from_slice(line) {
            Ok(Line { entry, .. }) => Ok(entry),
            Err(_) => Err(Error::corrupt(&path, "one of its last lines is no entry")),
        };
        lines(&end.unwrap_or_default()).map(entry).collect()
    }
}

/// The line to name where the first of `rest` does not follow the line before it, which is `last`,
/// and why. The chain alone shows only that one of the two is not as it was. A line that a later
/// one (or the head) still attests is as it was written, so the other one was changed, unless there
/// are fewer lines than were written.
fn break_between(last: &Head, rest: Option<&[&[u8]]>, lines: usize, head: &Head) -> (u64, Altered) {
    let rest = rest.unwrap_or_default();
    let attested = |hash| {
        head.hash == hash
            || head.next == Some(Next(hash))
            || rest.iter().skip(1).any(|later| prev_of(later) == Some(hash))
    };
    let next_is_intact = rest.first().is_some_and(|line| attested(hash(line)));
    let complete = u64::try_from(lines).is_ok_and(|lines| lines >= head.count);
    if last.count > 0 && complete && next_is_intact && !attested(last.hash) {
        (last.count, Altered::Changed)
    } else {
        (last.count.saturating_add(1), Altered::Unchained)
    }
}

/// The hash that a line says the line before it has; `None` if it is no entry.
fn prev_of(line: &[u8]) -> Option<[u8; 32]> {
    serde_json::from_slice::<Line>(line).ok().map(|line| line.prev)
}

/// The line that the next one is chained to: the one that the head attests, or the one that it
/// expects if that is there. So lines that were taken away or put in since stay visible for good.
/// `None` if there is no head.
fn last_written(home: &Home, tail: &Tail) -> Result<Option<Head>, Error> {
    let head: Option<Head> = match document::read(home, &head_path(home)) {
        // A damaged head attests nothing.
        Err(Error::Corrupt { .. } | Error::Tampered { .. }) => None,
        head => head?,
    };
    Ok(match head {
        None if tail.end == 0 && !home.checks() => Some(Head::default()),
        Some(Head { count, next: Some(Next(hash)), .. }) if hash == tail.hash => {
            Some(Head { count: count.saturating_add(1), hash, next: None })
        }
        head => head,
    })
}

/// The end of the last whole line, and its hash.
struct Tail {
    end: u64,
    hash: [u8; 32],
}

impl Tail {
    const EMPTY: Self = Self { end: 0, hash: [0; 32] };

    fn read(path: &Path) -> Result<Self, Error> {
        Ok(from_the_end(path, Self::of)?.unwrap_or(Self::EMPTY))
    }

    /// The tail, if all of the last whole line is in `bytes`, which begin at the offset `start`.
    fn of(bytes: &[u8], start: u64) -> Option<Self> {
        let (from_the_beginning, is_break) = (start == 0, |b: &u8| *b == b'\n');
        let Some(end) = bytes.iter().rposition(is_break) else {
            return from_the_beginning.then_some(Self::EMPTY);
        };
        let (before, _) = bytes.split_at(end);
        let line = match before.iter().rposition(is_break) {
            Some(last) => before.get(last.saturating_add(1)..)?,
            None if from_the_beginning => before,
            None => return None,
        };
        let end = start.saturating_add(u64::try_from(end).ok()?).saturating_add(1);
        Some(Self { end, hash: hash(line) })
    }
}

/// Calls `found` with ever longer parts of the end of a file, and the offset of each, until it
/// returns something; `None` if the file does not exist.
fn from_the_end<T>(
    path: &Path,
    found: impl Fn(&[u8], u64) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(mut file) = file::open(path)? else { return Ok(None) };
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut window = WINDOW;
    loop {
        if window > file::MOST_LINES {
            return Err(Error::TooLong { path: path.to_owned(), limit: file::MOST_LINES });
        }
        let start = length.saturating_sub(window);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(Error::io(path))?;
        if let Some(found) = found(&bytes, start) {
            return Ok(Some(found));
        }
        window = window.saturating_mul(4);
    }
}

/// How much of the end of a file is read at first.
const WINDOW: u64 = 4096;

/// The last `count` whole lines, if they are in `bytes`, which begin at the offset `start`; fewer only where
/// there are no more.
fn last_lines(bytes: &[u8], start: u64, count: usize) -> Option<Vec<u8>> {
    let breaks = || bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let Some((end, _)) = breaks().next() else { return (start == 0).then(Vec::new) };
    let begin = match breaks().nth(count) {
        Some((before, _)) => before.saturating_add(1),
        None if start == 0 => 0,
        None => return None,
    };
    bytes.get(begin..=end).map(<[u8]>::to_vec)
}

/// The whole lines of the log. A rest without a newline was cut short by a crash, and is left out.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split_inclusive(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

fn hash(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

fn path(home: &Home) -> PathBuf {
    home.state.join("log.jsonl")
}

pub(super) fn head_path(home: &Home) -> PathBuf {
    home.state.join("log.head")
}

/// Seconds since 1970 as `2026-01-31T12:00:00Z`.
pub(super) mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    use super::{OffsetDateTime, Rfc3339};

    pub(in crate::vault) fn serialize<S: Serializer>(
        time: &i64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp(*time).map_err(ser::Error::custom)?;
        serializer.serialize_str(&time.format(&Rfc3339).map_err(ser::Error::custom)?)
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        Ok(time.unix_timestamp())
    }
}

/// In the first entry after `log.head` was lost.
const HEAD_LOST: &str = "head_lost";
/// The names that an extra field cannot have.
const FIELDS: [&str; 9] =
    ["time", "ceremony", "key", "digest", "peer", "purpose", "outcome", "prev", HEAD_LOST];

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::vault::fixture::{self, TestHome};

    fn entry(n: i64) -> Entry {
        Entry {
            time: 1_790_000_000 + n,
            ceremony: "sign".into(),
            key: "vault".into(),
            digest: "5a".repeat(32),
            peer: "bob".into(),
            purpose: "release \"1.2\"\nüñ".into(),
            outcome: "signed".into(),
            extra: Map::new(),
        }
    }

    fn log_of(count: i64) -> TestHome {
        let home = fixture::home();
        for n in 0..count {
            Log::append(&home, &entry(n)).unwrap();
        }
        home
    }

    /// How many entries there are in a log in which nothing is wrong.
    fn entries(home: &Home) -> u64 {
        let chain = Log::verify(home).unwrap();
        assert!(chain.attested && chain.head_lost.is_empty(), "{chain:?}");
        chain.entries
    }

    fn bad_line(home: &Home) -> (u64, Altered) {
        match Log::verify(home) {
            Err(Error::BadLine { line, why }) => (line, why),
            other => panic!("{other:?}"),
        }
    }

    /// Rewrites the log by its lines.
    fn edit(home: &Home, change: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(path(home)).unwrap();
        let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(path(home), lines.concat()).unwrap();
    }

    #[test]
    fn entries_read_back_and_are_chained() {
        let home = fixture::home();
        assert_eq!(entries(&home), 0);
        assert_eq!(Log::entries(&home).unwrap(), []);
        let mut second = entry(2);
        second.extra.insert("ms".into(), 12.into());
        Log::append(&home, &entry(1)).unwrap();
        Log::append(&home, &second).unwrap();
        assert_eq!(Log::entries(&home).unwrap(), [entry(1), second]);
        assert_eq!(entries(&home), 2);

        let text = fs::read_to_string(path(&home)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        assert_eq!(json(lines[0])["prev"], "0".repeat(64));
        assert_eq!(json(lines[1])["prev"], hex::encode(Sha256::digest(lines[0])));
        assert_eq!(json(lines[0])["time"], "2026-09-21T14:13:21Z");
        assert_eq!(json(lines[1])["ms"], 12);
    }

    #[test]
    fn a_changed_line_is_named() {
        for n in 0..5 {
            let home = log_of(5);
            edit(&home, |lines| lines[n] = lines[n].replace("bob", "eve"));
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Changed));
        }
    }

    #[test]
    fn a_line_that_was_put_in_is_named() {
        for n in 1..5 {
            let home = log_of(5);
            edit(&home, |lines| lines.insert(n, lines[n].replace("bob", "eve")));
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Changed));
            let home = log_of(5);
            edit(&home, |lines| lines.insert(n, lines[n - 1].clone()));
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Unchained));
        }
    }

    #[test]
    fn a_changed_link_is_named() {
        for n in 0..5 {
            let home = log_of(5);
            edit(&home, |lines| {
                let mut line: Value = serde_json::from_str(&lines[n]).unwrap();
                line["prev"] = Value::from("ab".repeat(32));
                lines[n] = format!("{line}\n");
            });
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Unchained));
        }
    }

    #[test]
    fn a_removed_or_moved_line_shows() {
        for n in 0..4 {
            let home = log_of(5);
            edit(&home, |lines| drop(lines.remove(n)));
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Unchained));
            let home = log_of(5);
            edit(&home, |lines| lines.swap(n, n + 1));
            assert_eq!(bad_line(&home), (n as u64 + 1, Altered::Unchained));
        }
    }

    #[test]
    fn removed_last_lines_show_and_appending_does_not_hide_it() {
        for kept in [0, 2, 4] {
            let home = log_of(5);
            edit(&home, |lines| lines.truncate(kept));
            let number = kept as u64 + 1;
            assert_eq!(bad_line(&home), (number, Altered::Missing));
            Log::append(&home, &entry(9)).unwrap();
            Log::append(&home, &entry(10)).unwrap();
            assert_eq!(bad_line(&home), (number, Altered::Unchained));
        }
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let home = log_of(3);
        edit(&home, |lines| lines[1] = "{}\n".into());
        assert_eq!(bad_line(&home), (2, Altered::Unreadable));
        assert!(matches!(Log::entries(&home), Err(Error::BadLine { line: 2, .. })));
    }

    /// Writes the entry `n` and leaves the head as a crash would, right before or after the line.
    fn crash(home: &Home, n: i64, is_written: bool) {
        let before = fs::read(path(home)).unwrap();
        let mut head: Head = document::read(home, &head_path(home)).unwrap().unwrap();
        Log::append(home, &entry(n)).unwrap();
        head.next =
            document::read(home, &head_path(home)).unwrap().map(|head: Head| Next(head.hash));
        fs::write(head_path(home), format::to_bytes(home, &head_path(home), head).unwrap())
            .unwrap();
        if !is_written {
            fs::write(path(home), before).unwrap();
        }
    }

    #[test]
    fn a_crash_before_or_after_the_line_is_no_change() {
        for (is_written, there) in [(false, 2), (true, 3)] {
            let home = log_of(2);
            crash(&home, 2, is_written);
            assert_eq!(entries(&home), there);
            Log::append(&home, &entry(3)).unwrap();
            assert_eq!(entries(&home), there + 1);
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_dropped_and_written_over() {
        let home = log_of(3);
        crash(&home, 3, false);
        append_bytes(&home, b"{\"time\":\"2026");
        assert_eq!(entries(&home), 3);
        assert_eq!(Log::entries(&home).unwrap().len(), 3);
        Log::append(&home, &entry(4)).unwrap();
        assert_eq!(entries(&home), 4);
    }

    /// A line that fits behind the last one of `home`.
    fn forged(home: &Home) -> Vec<u8> {
        let prev = Tail::read(&path(home)).unwrap().hash;
        let purpose = "another".to_owned();
        let line = Line { entry: Entry { purpose, ..entry(7) }, prev };
        [serde_json::to_vec(&line).unwrap(), b"\n".to_vec()].concat()
    }

    fn append_bytes(home: &Home, bytes: &[u8]) {
        fs::OpenOptions::new().append(true).open(path(home)).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn a_forged_line_at_the_end_is_named_and_never_taken_up() {
        for crashed in [false, true] {
            let home = log_of(3);
            if crashed {
                crash(&home, 3, false);
            }
            append_bytes(&home, &forged(&home));
            assert_eq!(bad_line(&home), (4, Altered::Added));
            Log::append(&home, &entry(3)).unwrap();
            Log::append(&home, &entry(4)).unwrap();
            assert_eq!(bad_line(&home), (4, Altered::Changed));
        }
        let home = log_of(3);
        append_bytes(&home, b"garbage");
        assert_eq!(bad_line(&home), (4, Altered::Unreadable));
    }

    #[test]
    fn without_a_head_the_chain_is_checked_and_its_end_is_not_attested() {
        let home = log_of(3);
        fs::remove_file(head_path(&home)).unwrap();
        let unattested = Chain { entries: 3, attested: false, head_lost: Vec::new() };
        assert_eq!(Log::verify(&home).unwrap(), unattested);
        assert_eq!(Log::entries(&home).unwrap().len(), 3);
        edit(&home, |lines| lines[0] = lines[0].replace("bob", "eve"));
        assert_eq!(bad_line(&home), (1, Altered::Changed));
        edit(&home, |lines| lines.truncate(0));
        append_bytes(&home, b"garbage");
        assert_eq!(bad_line(&home), (1, Altered::Unreadable));
    }

    #[test]
    fn that_the_head_was_lost_is_written_down_for_good() {
        for lost in [Some(&b""[..]), None] {
            let home = log_of(5);
            edit(&home, |lines| lines.truncate(3));
            match lost {
                Some(content) => fs::write(head_path(&home), content).unwrap(),
                None => fs::remove_file(head_path(&home)).unwrap(),
            }
            Log::append(&home, &entry(5)).unwrap();
            Log::append(&home, &entry(6)).unwrap();
            let expected = Chain { entries: 5, attested: true, head_lost: vec![4] };
            assert_eq!(Log::verify(&home).unwrap(), expected);
        }
        let home = log_of(2);
        fs::write(head_path(&home), b"").unwrap();
        assert!(matches!(Log::verify(&home), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_log_that_was_taken_away_is_missed() {
        let home = log_of(2);
        fs::remove_file(path(&home)).unwrap();
        assert_eq!(bad_line(&home), (1, Altered::Missing));
        Log::append(&home, &entry(2)).unwrap();
        assert_eq!(bad_line(&home), (1, Altered::Unchained));
    }

    #[test]
    fn long_lines_are_found_from_the_end() {
        let home = fixture::home();
        for length in [10, 5_000, 100, 70_000, 4_000, 4_096] {
            let purpose = "x".repeat(length);
            Log::append(&home, &Entry { purpose, ..entry(0) }).unwrap();
        }
        assert_eq!(entries(&home), 6);
    }

    /// The purposes of the last `count` entries.
    fn latest(home: &Home, count: usize) -> Vec<String> {
        let entries = Log::latest(home, count).unwrap();
        entries.into_iter().map(|entry| entry.purpose).collect()
    }

    #[test]
    fn the_latest_entries_are_the_end_of_all() {
        let home = fixture::home();
        assert!(latest(&home, 3).is_empty());
        let lengths = [10, 5_000, 100, 70_000, 4_000, 4_096];
        let purposes = lengths.map(|length: usize| "x".repeat(length));
        for (n, purpose) in purposes.iter().enumerate() {
            Log::append(&home, &Entry { purpose: purpose.clone(), ..entry(0) }).unwrap();
            for count in 0..=n + 2 {
                let all = &purposes[..=n];
                assert_eq!(latest(&home, count), all[all.len().saturating_sub(count)..]);
            }
        }
        // An unfinished line is ignored.
        append_bytes(&home, b"{\"time\":");
        assert_eq!(latest(&home, 2), purposes[4..]);
        assert_eq!(latest(&home, 9), purposes);
    }

    #[test]
    fn no_more_of_a_long_log_is_read_than_its_latest_entries() {
        let home = log_of(200);
        let all = Log::entries(&home).unwrap();
        edit(&home, |lines| lines[150] = "no entry\n".into());
        assert!(matches!(Log::entries(&home), Err(Error::BadLine { line: 151, .. })));
        assert_eq!(Log::latest(&home, 20).unwrap(), all[180..]);
        assert!(matches!(Log::latest(&home, 50), Err(Error::Corrupt { .. })));
        // However long it is, and whatever is at its beginning.
        let end = fs::read(path(&home)).unwrap();
        let long = File::create(path(&home)).unwrap();
        long.set_len(file::MOST_LINES * 4).unwrap();
        append_bytes(&home, &end);
        assert!(matches!(Log::entries(&home), Err(Error::TooLong { .. })));
        assert_eq!(Log::latest(&home, 20).unwrap(), all[180..]);
    }

    #[test]
    fn an_extra_field_cannot_pose_as_another() {
        let home = fixture::home();
        for name in FIELDS {
            let mut posing = entry(1);
            posing.extra.insert(name.into(), "x".into());
            assert!(matches!(Log::append(&home, &posing), Err(Error::BadName { .. })), "{name}");
        }
        let never = Entry { time: i64::MAX, ..entry(1) };
        assert!(matches!(Log::append(&home, &never), Err(Error::BadName { .. })));
        assert_eq!(entries(&home), 0);
    }

    #[test]
    fn threads_that_append_at_once_keep_the_chain() {
        let home = fixture::home();
        let home = &home.home;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for n in 0..10 {
                        Log::append(home, &entry(100 * thread + n)).unwrap();
                    }
                });
            }
        });
        assert_eq!(entries(home), 40);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_content_makes_the_reader_panic(
            content in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "([{}\":,a-z0-9\n\\[\\]-]|prev|time|peer){0,60}".prop_map(String::into_bytes),
            ],
        ) {
            let home = log_of(1);
            fs::write(path(&home), &content).unwrap();
            let _ = Log::entries(&home);
            let _ = Log::latest(&home, 2);
            prop_assert!(Log::verify(&home).is_err());
            Log::append(&home, &entry(1)).unwrap();
            prop_assert!(Log::verify(&home).is_err());
        }

        #[test]
        fn any_entry_reads_back(
            time in -10_000_000_000..10_000_000_000_i64,
            texts in prop::array::uniform6(any::<String>()),
        ) {
            let [ceremony, key, digest, peer, purpose, outcome] = texts;
            let extra = Map::new();
            let entry = Entry { time, ceremony, key, digest, peer, purpose, outcome, extra };
            let home = fixture::home();
            Log::append(&home, &entry).unwrap();
            prop_assert_eq!(Log::entries(&home).unwrap(), [entry]);
            prop_assert_eq!(entries(&home), 1);
        }
    }
}
