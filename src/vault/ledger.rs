//! The ledger: sessions spent, checks begun, pairs retired, heights seen. None may be forgotten.
//!
//! A file of lines that only grows. A line is on the disk before the message that it is about
//! leaves this device, so neither a crash nor a restart makes a session usable twice or brings a
//! retired pair back (docs/protocol.md §5.4). A restored old copy of the ledger is noticed by the
//! peers: they remember how many sessions this device had spent, its **height**.
//!
//! Every line is JSON, in exactly the form that is written here, so that it is read from left to
//! right without a parser of JSON:
//!
//! ```text
//! {"ledger":2}
//! {"spend":SESSION,"epoch":EPOCH,"mac":LINK}
//! {"check":N,"peers":[2,3],"mac":LINK}
//! {"resolve":N,"mac":LINK}
//! {"retire":PEER,"epoch":EPOCH,"fingerprint":HEX,"code":"E_OTE_CHECK","session":SESSION,"time":N,"mac":LINK}
//! {"height":N,"epoch":EPOCH,"peer":PEER,"mac":LINK}
//! ```
//!
//! `check` and `resolve` are about the N-th spent session, counted from 1. Hashes are 64 hexadecimal
//! digits. Earlier versions wrote no `check`: a session began one with each of the `peers` of its
//! `spend`, and such a line still says so.
//!
//! `mac` is the link of a chain that only the open vault can make: it authenticates its line and
//! all before it. `ledger.head` names the last line that was synced, and its link, so that lines
//! that were cut off are noticed. Lines behind it are genuine if their links fit: the process was
//! killed before it wrote the head, or the line needs no head. The first format, `{"ledger":1}`,
//! has no links, and an open vault refuses it.
//!
//! An empty file is an empty ledger; the first line written to it comes with the header. A last
//! line that a crash cut short was never acted on and is dropped, and so is what a power failure left
//! of lines that were not synced, from the first zeros on. Any other line that does not
//! parse, or was not written here, is an error: a ban that cannot be read must not be taken for no
//! ban.

mod line;
mod state;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::authentic::{Chain, Found, Link, UNSIGNED};
use super::document::{self, digits};
use super::editions::Editions;
use super::error::Error;
pub use super::error::UNRESOLVED;
use super::file::{self, Durability, Writer};
use super::{Home, Vault, format};
use crate::device::{Fingerprint, hex};
use line::{Cursor, Line, PeerSet, is_code, is_torn};
use state::State;

/// How many checks of one pair may be left unresolved in an epoch. Each may leak about one bit of
/// the 128 that the pair depends on.
pub const MAX_UNRESOLVED: u32 = 20;

/// The ledger, as it was when it was last read or written. Clones share one state.
#[derive(Clone)]
pub struct Ledger {
    home: Home,
    content: Arc<Mutex<Content>>,
}

/// The contents of the file as far as they were read.
struct Content {
    home: Home,
    /// Everything before this offset is in `state`.
    end: u64,
    lines: u64,
    /// Whether its lines have links.
    is_linked: bool,
    /// Where the vault is open: the links so far.
    chain: Option<Chain>,
    head: Head,
    state: State,
}

/// Checks of one session that have begun and are not resolved. While this exists no other check of
/// their pairs begins, in this process or another one of this home. It is held only while they are
/// evaluated, never while a peer is waited for.
#[derive(Debug)]
#[must_use = "checks that are not resolved count against their pairs"]
pub struct OpenChecks {
    spent: u64,
    _pairs: Vec<File>,
}

/// How many sessions other parties were known to have spent, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Heights(HashMap<(Id, u8), u64>);

impl Heights {
    /// The most that the party was known to have spent in the epoch.
    pub fn of(&self, epoch: &[u8; 32], peer: u8) -> u64 {
        self.0.get(&(*epoch, peer)).copied().unwrap_or_default()
    }
}

/// `ledger.head`: how many lines there are at least, and the link of the last of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    lines: u64,
    #[serde(with = "digits")]
    link: Link,
}

impl Ledger {
    /// Reads the ledger. With an open vault every line is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Tampered`] or [`Error::Corrupt`] naming the line, or if there is a vault and no
    /// ledger; [`Error::Unsupported`]; [`Error::LooseMode`].
    pub fn open(home: &Home) -> Result<Self, Error> {
        let content = Arc::new(Mutex::new(Content::empty(home)));
        let ledger = Self { home: home.clone(), content };
        let _lock = file::lock_shared(home)?;
        ledger.with(Content::read)?;
        Ok(ledger)
    }

    /// Reads the lines that other processes have written since.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::open`].
    pub fn update(&self) -> Result<(), Error> {
        if file::length(&path(&self.home))? == Some(self.content().end) {
            return Ok(());
        }
        let _lock = file::lock_shared(&self.home)?;
        self.with(Content::read)
    }

    /// Makes an empty ledger, or adds links to a ledger that has none, and then returns its path.
    pub(super) fn adopt(
        writer: &Writer<'_>,
        home: &Home,
        found: Found,
    ) -> Result<Option<PathBuf>, Error> {
        let path = path(home);
        let Some(content) = file::read_lines(&path)? else {
            if found != Found::Before {
                return Err(Error::corrupt(&path, "missing"));
            }
            Head::default().write(writer, Durability::Synced)?;
            Editions::note(writer, &head_path(home), 0)?;
            return writer.create(&path, b"").map(|()| None);
        };
        let mut old = Content::empty(&home.locked());
        old.absorb(&content)?;
        if found == Found::Unnumbered || old.is_linked && found == Found::Earlier {
            let mut all = Content::empty(home);
            all.read()?;
            let head = all.new_head();
            head.write(writer, Durability::Synced)?;
            Editions::note(writer, &head_path(home), head.lines)?;
            return Ok(None);
        }
        let (mut new, mut linked) = (Content::empty(home), Vec::new());
        let mut cursor = Cursor(&content);
        cursor.header();
        for _ in 1..old.lines {
            let line = cursor.line();
            let end = if old.is_linked { cursor.link().map(drop) } else { cursor.end() };
            let line = line.zip(end).ok_or_else(|| Error::corrupt(&path, NO_LINE))?;
            let text = new.text_of(&line.0);
            new.take_all(&text)?;
            linked.extend(text);
        }
        // The head is written first: a ledger with links must have one.
        new.new_head().write(writer, Durability::Synced)?;
        Editions::note(writer, &head_path(home), new.lines)?;
        writer.replace(&path, &linked, Durability::Synced)?;
        Ok((old.lines > 0).then_some(path))
    }

    /// Whether the lines that are there have links.
    pub(super) fn is_linked(home: &Home) -> Result<bool, Error> {
        let content = file::read_lines(&path(home))?.unwrap_or_default();
        Ok(Cursor(&content).header() == Some(LINKED))
    }

    /// Spends a session with `peers`, durably. To be called before the session's first message leaves;
    /// after an error none may.
    ///
    /// # Errors
    ///
    /// [`Error::Spent`] if the session was spent before, [`Error::Retired`] if a pair is.
    pub fn spend(&self, epoch: &[u8; 32], session: &[u8; 32], peers: &[u8]) -> Result<(), Error> {
        let wanted = PeerSet::of(peers)?;
        self.write(|state| {
            if state.sessions.contains_key(session) {
                return Err(Error::Spent);
            }
            state.epoch(epoch).map_or(Ok(()), |epoch| epoch.retired(wanted))?;
            let peers = PeerSet::default();
            Ok(Change::synced(Line::Spend { session: *session, epoch: *epoch, peers }))
        })
    }

    /// Begins the checks of a spent session, one with each of `peers`, durably: to be called right
    /// before they are evaluated; after an error none may be. Waits for checks of the same pairs that
    /// are open.
    ///
    /// The head does not name this line. The head guards against somebody who cuts lines off while
    /// no process runs; such a person could put back the previous head as well. The next spent
    /// session writes a new head.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the session was not spent. [`Error::Retired`] if a pair is, or if
    /// [`MAX_UNRESOLVED`] of its checks were left unresolved, which retires it now.
    pub fn begin_checks(&self, session: &[u8; 32], peers: &[u8]) -> Result<OpenChecks, Error> {
        let wanted = PeerSet::of(peers)?;
        let (spent, epoch) = {
            let state = &self.content().state;
            let spent = state.sessions.get(session).copied();
            let spent = spent.ok_or_else(|| Error::not_found("session", hex(session)))?;
            (spent, state.epoch_of(spent).map(|epoch| epoch.id).unwrap_or_default())
        };
        // All take the locks in ascending order, so they never wait in a circle.
        let locks =
            wanted.iter().map(|peer| file::lock(&self.home, &pair_lock(&self.home, &epoch, peer)));
        let pairs = locks.collect::<Result<_, _>>()?;
        self.write(|state| {
            let epoch = state.epoch_of(spent);
            epoch.map_or(Ok(()), |epoch| epoch.retired(wanted))?;
            // The pair locks are held, so every check still open was abandoned.
            let worn = wanted.filter(|peer| epoch.is_some_and(|epoch| epoch.is_worn(peer)));
            // The line that takes a pair over the limit retires it; it names no other peer.
            let peers = if worn.is_empty() { wanted } else { worn };
            let refused = |peer| Error::Retired { peer, code: UNRESOLVED.to_owned() };
            let refusal = worn.iter().next().map(refused);
            let heads = refusal.is_some();
            Ok(Change { refusal, heads, ..Change::synced(Line::Check { spent, peers }) })
        })?;
        Ok(OpenChecks { spent, _pairs: pairs })
    }

    /// Notes that checks were evaluated, or never will be, and lets others of their pairs begin.
    /// The caller has stored the result before.
    ///
    /// Not synced: if a power failure undoes it, the checks count as unresolved, which is safe.
    ///
    /// # Errors
    ///
    /// It cannot be written, and the checks count as unresolved.
    pub fn resolve(&self, checks: OpenChecks) -> Result<(), Error> {
        self.write(|_| Ok(Change::lazy(Line::Resolve { spent: checks.spent })))
    }

    /// Retires the pair with a party for this epoch, durably: to be called before anything else
    /// leaves this device. Retiring it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] for a code that is not 1 to 32 of `A-Z a-z 0-9 _`.
    pub fn retire(
        &self,
        epoch: &[u8; 32],
        peer: u8,
        fingerprint: &Fingerprint,
        code: &str,
        session: &[u8; 32],
        time: i64,
    ) -> Result<(), Error> {
        PeerSet::of(&[peer])?;
        if !is_code(code.as_bytes()) {
            return Err(super::bad_name(code));
        }
        let line = Line::Retire {
            peer,
            epoch: *epoch,
            fingerprint: *fingerprint.as_bytes(),
            code: code.to_owned(),
            session: *session,
            time,
        };
        self.write(|state| {
            let known = state.pair(epoch, peer).is_some_and(|pair| pair.retired.is_some());
            Ok(if known { Change::nothing() } else { Change::synced(line) })
        })
    }

    /// Records that a party has spent at least so many sessions in this epoch. A smaller number
    /// than the one on record is ignored: announcements may arrive out of order.
    ///
    /// A party that spends a session has a greater height when the session starts than the one it
    /// announced before. So what it announced, plus one, may be recorded once its first message of
    /// the session is here, and a copy of it restored to that point is noticed from then on.
    ///
    /// Not synced: the next [`Ledger::spend`] is, and this with it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn saw_height(&self, epoch: &[u8; 32], peer: u8, height: u64) -> Result<(), Error> {
        PeerSet::of(&[peer])?;
        self.write(|state| match state.pair(epoch, peer).map_or(0, |pair| pair.height) {
            seen if seen >= height => Ok(Change::nothing()),
            _ => Ok(Change::lazy(Line::Height { height, epoch: *epoch, peer })),
        })
    }

    /// The retired pairs of an epoch: the party's index, and why.
    pub fn retired(&self, epoch: &[u8; 32]) -> Vec<(u8, String)> {
        let content = self.content();
        let pairs = content.state.epoch(epoch).into_iter().flat_map(|e| &e.pairs);
        pairs.filter_map(|(peer, pair)| Some((*peer, pair.retired.clone()?))).collect()
    }

    /// How many sessions were spent in an epoch.
    pub fn height(&self, epoch: &[u8; 32]) -> u64 {
        self.content().state.epoch(epoch).map_or(0, |e| e.height)
    }

    /// The greatest height that a party announced in an epoch.
    pub fn peer_height(&self, epoch: &[u8; 32], peer: u8) -> u64 {
        self.content().state.pair(epoch, peer).map_or(0, |pair| pair.height)
    }

    /// What is known of the heights of all parties, in all epochs.
    pub fn heights(&self) -> Heights {
        Heights(self.content().state.heights().collect())
    }

    /// Reads what other processes wrote, lets `decide` choose a line, and writes it, all under one
    /// lock.
    fn write(&self, decide: impl FnOnce(&State) -> Result<Change, Error>) -> Result<(), Error> {
        let writer = Writer::lock(&self.home)?;
        self.with(|content| content.write(&writer, decide))
    }

    /// Reads or writes. On an error the cached state is cleared, so that the next call reads the
    /// file from its beginning.
    fn with<T>(&self, work: impl FnOnce(&mut Content) -> Result<T, Error>) -> Result<T, Error> {
        let mut content = self.content();
        let done = work(&mut content);
        if matches!(done, Err(Error::Tampered { .. } | Error::Corrupt { .. })) {
            *content = Content::empty(&self.home);
        }
        done
    }

    // If a holder panicked in a write, the state may lack a line; then the next line does not fit
    // and the file is read again.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn empty(home: &Home) -> Self {
        Self {
            home: home.clone(),
            end: 0,
            lines: 0,
            is_linked: home.checks(),
            chain: home.key().map(|key| Chain::new(key, ROLE)),
            head: Head::default(),
            state: State::default(),
        }
    }

    /// Reads what is new in the file.
    fn read(&mut self) -> Result<(), Error> {
        match file::read_from(&self.path(), self.end)? {
            Some(news) => self.absorb(&news),
            None if self.end == 0 && !Vault::exists(&self.home) => Ok(()),
            None => Err(self.missing()),
        }
    }

    fn write(
        &mut self,
        writer: &Writer<'_>,
        decide: impl FnOnce(&State) -> Result<Change, Error>,
    ) -> Result<(), Error> {
        let path = self.path();
        self.read()?;
        if self.lines == 0 && file::length(&path)?.is_none() {
            writer.create(&path, b"")?;
        }
        let Change { line, durability, heads, refusal } = decide(&self.state)?;
        if let Some(line) = line {
            let checks = self.home.checks();
            if !checks && Vault::exists(&self.home) {
                return Err(Error::Closed { path });
            }
            let retires = matches!(line, Line::Retire { .. }) || refusal.is_some();
            let text = self.text_of(&line);
            writer.append(&path, self.end, &text, durability)?;
            self.take_all(&text)?;
            if heads && checks {
                let head = self.new_head();
                // A power failure may leave the head before, which fits as well, unless it would
                // undo a ban.
                head.write(writer, if retires { Durability::Synced } else { Durability::Whole })?;
                self.head = head;
                if retires {
                    Editions::note(writer, &head_path(&self.home), self.lines)?;
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Reads what follows `self.end`. With an open vault there must be as many lines as the head
    /// says.
    fn absorb(&mut self, content: &[u8]) -> Result<(), Error> {
        if self.chain.is_some() {
            let path = head_path(&self.home);
            let head: Option<Head> = document::read(&self.home, &path)?;
            let head = head.unwrap_or_default();
            if head.lines <= self.lines && head != self.head {
                return Err(Error::tampered(&path, "it is not of this ledger"));
            }
            self.head = head;
        }
        self.take_all(content)?;
        if self.lines < self.head.lines {
            return Err(self.wrong("it was cut off from here on"));
        }
        Ok(())
    }

    /// Reads lines, except a last one that a crash cut short.
    fn take_all(&mut self, content: &[u8]) -> Result<(), Error> {
        self.state.sessions.reserve(content.len() / 256);
        let mut cursor = Cursor(content);
        while !cursor.0.is_empty() {
            let before = cursor.0;
            match self.take(&mut cursor) {
                Ok(()) => {}
                Err(_) if is_torn(before) => return Ok(()),
                Err(e) => return Err(e),
            }
            let length = before.len().saturating_sub(cursor.0.len());
            self.end = self.end.saturating_add(length as u64);
            self.lines = self.lines.saturating_add(1);
            let link = self.chain.as_ref().map(Chain::last);
            if self.lines == self.head.lines && link.is_some_and(|link| link != self.head.link) {
                return Err(Error::tampered(&head_path(&self.home), "it is not of this ledger"));
            }
        }
        Ok(())
    }

    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        if self.lines == 0 {
            return match cursor.header() {
                Some(LINKED) => {
                    self.is_linked = true;
                    Ok(())
                }
                Some(UNLINKED) if self.chain.is_some() => Err(self.wrong(UNSIGNED)),
                Some(UNLINKED) => {
                    self.is_linked = false;
                    Ok(())
                }
                Some(version) => {
                    Err(Error::Unsupported { path: self.path(), version, known: LINKED })
                }
                None => Err(self.wrong("not a ledger")),
            };
        }
        let before = cursor.0;
        let line = cursor.line().ok_or_else(|| self.wrong(NO_LINE))?;
        let (body, _) = before.split_at(before.len().saturating_sub(cursor.0.len()));
        let link =
            if self.is_linked { cursor.link().map(Some) } else { cursor.end().map(|()| None) };
        let link = link.ok_or_else(|| self.wrong(NO_LINE))?;
        if let (Some(chain), Some(link)) = (&mut self.chain, link)
            && !bool::from(chain.push(body).ct_eq(&link))
        {
            return Err(self.wrong("it was changed, or a line before it is missing"));
        }
        self.state.fold(line).map_err(|why| self.wrong(why))
    }

    /// A line as it will follow the others, with the header if it is the first.
    fn text_of(&self, line: &Line) -> Vec<u8> {
        let version = if self.is_linked { LINKED } else { UNLINKED };
        let header =
            if self.lines == 0 { format!("{{\"ledger\":{version}}}\n") } else { String::new() };
        let body = line.to_string();
        let link = self.chain.clone().map(|mut chain| chain.push(body.as_bytes()));
        let link = link.map(|link| format!(r#","mac":"{}""#, hex(&link))).unwrap_or_default();
        format!("{header}{body}{link}}}\n").into_bytes()
    }

    /// A head that names the last line read.
    fn new_head(&self) -> Head {
        let link = self.chain.as_ref().map(Chain::last);
        Head { lines: self.lines, link: link.unwrap_or_default() }
    }

    /// The error for a next line that does not fit.
    fn wrong(&self, why: &'static str) -> Error {
        let (path, line) = (self.path(), Some(self.lines.saturating_add(1)));
        match self.chain {
            Some(_) => Error::Tampered { path, line, why },
            None => Error::Corrupt { path, line, why },
        }
    }

    fn missing(&self) -> Error {
        match self.chain {
            Some(_) => Error::tampered(&self.path(), "missing"),
            None => Error::corrupt(&self.path(), "missing"),
        }
    }

    fn path(&self) -> PathBuf {
        path(&self.home)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger({} lines)", self.content().lines)
    }
}

impl Head {
    /// Its edition is the number of lines. `editions.json` has the number at the last ban, so that
    /// an older ledger with its head cannot lift a ban.
    fn write(self, writer: &Writer<'_>, durability: Durability) -> Result<(), Error> {
        format::put(writer, &head_path(writer.home()), self.lines, self, durability)
    }
}

type Id = [u8; 32];

/// What a call does to the ledger.
struct Change {
    line: Option<Line>,
    durability: Durability,
    /// Whether the head names it at once.
    heads: bool,
    /// The error that the caller gets although the line is written.
    refusal: Option<Error>,
}

impl Change {
    fn nothing() -> Self {
        Self { line: None, durability: Durability::Lazy, heads: false, refusal: None }
    }

    fn lazy(line: Line) -> Self {
        Self { line: Some(line), ..Self::nothing() }
    }

    fn synced(line: Line) -> Self {
        Self { durability: Durability::Synced, heads: true, ..Self::lazy(line) }
    }
}

pub(super) fn path(home: &Home) -> PathBuf {
    home.state.join("ledger.jsonl")
}

pub(super) fn head_path(home: &Home) -> PathBuf {
    home.state.join("ledger.head")
}

/// The lock of the pair with a party. Epochs with the same first byte share one, which bounds the
/// number of files; their checks wait for one another, too.
fn pair_lock(home: &Home, [first, ..]: &Id, peer: u8) -> PathBuf {
    home.state.join("locks").join(format!("{first:02x}@{peer}"))
}

/// The format without links.
const UNLINKED: u64 = 1;
const LINKED: u64 = 2;
/// The role of the ledger in the MACs of its lines.
const ROLE: &str = "state/ledger.jsonl";
const NO_LINE: &str = "not a ledger line";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::vault::{editions, fixture};

    const EPOCH: Id = [0xe1; 32];

    fn open(home: &Home) -> Ledger {
        Ledger::open(home).unwrap()
    }

    fn alice() -> Fingerprint {
        Fingerprint::new([0xa1; 32])
    }

    fn session(n: u32) -> Id {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        id
    }

    fn add(home: &Home, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new().append(true).open(path(home)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn why(result: Result<(), Error>) -> (u8, String) {
        match result {
            Err(Error::Retired { peer, code }) => (peer, code),
            other => panic!("{other:?}"),
        }
    }

    /// Prints how long a ledger of 100,000 lines takes to open: a third each spends, checks, resolves.
    #[test]
    #[ignore = "a measurement: cargo test --release --lib ledger_of_100_000 -- --ignored --nocapture"]
    fn a_ledger_of_100_000_lines_is_opened() {
        let (_dir, vault, _) = fixture::vault();
        let home = vault.home();
        let ledger = open(home);
        let mut content = Vec::new();
        for n in 1..=33_333 {
            let (session, spent, peers) = (session(n), n.into(), PeerSet::of(&[2]).unwrap());
            let spend = Line::Spend { session, epoch: EPOCH, peers: PeerSet::default() };
            for line in [spend, Line::Check { spent, peers }, Line::Resolve { spent }] {
                let text = ledger.content().text_of(&line);
                ledger.content().take_all(&text).unwrap();
                content.extend(text);
            }
        }
        fs::write(path(home), &content).unwrap();
        let writer = Writer::lock(home).unwrap();
        ledger.content().new_head().write(&writer, Durability::Lazy).unwrap();
        for (what, home) in [("open", home.clone()), ("locked", home.locked())] {
            let mut times: Vec<_> = (0..21)
                .map(|_| {
                    #[expect(clippy::disallowed_methods, reason = "it measures time")]
                    let begun = std::time::Instant::now();
                    assert_eq!(Ledger::open(&home).unwrap().height(&EPOCH), 33_333);
                    begun.elapsed()
                })
                .collect();
            times.sort_unstable();
            println!("{what}: {:?} at least, {:?} in the median", times[0], times[10]);
        }
    }

    /// The ledger of an open vault, with one of each line; its lines.
    fn linked() -> (fixture::TestHome, Vault, Vec<String>) {
        let (home, vault, _) = fixture::vault();
        all_kinds(vault.home());
        let text = fs::read_to_string(path(&home)).unwrap();
        (home, vault, text.lines().map(|line| format!("{line}\n")).collect())
    }

    /// The line that is named where the ledger of an open vault is not what was written; `None` if
    /// another file is.
    fn named(vault: &Vault) -> Option<u64> {
        match Ledger::open(vault.home()) {
            Err(Error::Tampered { line, .. }) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_that_was_removed_doubled_moved_or_put_in_is_named() {
        let (home, vault, lines) = linked();
        let write = |lines: &[String]| fs::write(path(&home), lines.concat()).unwrap();
        for n in 1..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(n);
            write(&fewer);
            assert_eq!(named(&vault), Some(n as u64 + 1));
            let mut more = lines.clone();
            more.insert(n, lines[n].clone());
            write(&more);
            assert_eq!(named(&vault), Some(n as u64 + 2));
            write(&lines[..n]);
            assert_eq!(named(&vault), Some(n as u64 + 1));
        }
        for n in 1..lines.len() - 1 {
            let mut swapped = lines.clone();
            swapped.swap(n, n + 1);
            write(&swapped);
            assert_eq!(named(&vault), Some(n as u64 + 1));
        }
        write(&[]);
        assert_eq!(named(&vault), Some(1));
        write(&lines);
        Ledger::open(vault.home()).unwrap();
    }

    #[test]
    fn every_flipped_bit_of_a_ledger_is_named() {
        let (home, vault, lines) = linked();
        let whole = lines.concat().into_bytes();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(path(&home), &flipped).unwrap();
            let opened = Ledger::open(vault.home());
            let is_named =
                matches!(opened, Err(Error::Tampered { .. } | Error::Unsupported { .. }));
            assert!(is_named, "bit {bit}: {opened:?}");
        }
    }

    #[test]
    fn a_ledger_without_links_or_of_another_vault_is_not_taken() {
        let (home, vault, lines) = linked();
        let (_other, other, theirs) = linked();
        fs::write(path(&home), theirs.concat()).unwrap();
        assert_eq!(named(&vault), Some(2));
        fs::copy(head_path(other.home()), head_path(&home)).unwrap();
        assert_eq!(named(&vault), None);
        let unlinked: Vec<String> =
            lines.iter().map(|line| line.split(",\"mac\"").next().unwrap().to_owned()).collect();
        let unlinked = unlinked.join("}\n").replace("2}\n}", "1}") + "}\n";
        fs::write(path(&home), unlinked.replacen(":2}", ":1}", 1)).unwrap();
        assert!(Ledger::open(vault.home()).is_err());
        // Nor where there was no line yet that a head could name.
        let (home, vault, _) = fixture::vault();
        fs::write(path(&home), "{\"ledger\":1}\n").unwrap();
        assert_eq!(named(&vault), Some(1));
    }

    #[test]
    fn lines_that_a_killed_process_wrote_before_the_head_count() {
        let (home, vault, _) = linked();
        let behind = [head_path(&home), editions::path(&home)];
        let before = behind.clone().map(|path| fs::read(path).unwrap());
        let ledger = Ledger::open(vault.home()).unwrap();
        ledger.retire(&EPOCH, 2, &alice(), "E_GAMMA_U", &session(2), 5).unwrap();
        for (path, bytes) in behind.iter().zip(before) {
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(Ledger::open(vault.home()).unwrap().retired(&EPOCH).len(), 2);
        Ledger::open(vault.home()).unwrap().spend(&EPOCH, &session(3), &[4]).unwrap();
        Ledger::open(vault.home()).unwrap();
    }

    #[test]
    fn no_older_ledger_with_its_head_lifts_a_ban() {
        let (home, vault, _) = linked();
        let files = [path(&home), head_path(&home)];
        let older = files.clone().map(|path| fs::read(path).unwrap());
        let ledger = Ledger::open(vault.home()).unwrap();
        ledger.retire(&EPOCH, 5, &alice(), "E_GAMMA_U", &session(2), 5).unwrap();
        let newest = files.clone().map(|path| fs::read(path).unwrap());
        for (path, bytes) in files.iter().zip(older) {
            fs::write(path, bytes).unwrap();
        }
        assert!(matches!(Ledger::open(vault.home()), Err(Error::Tampered { .. })));
        for (path, bytes) in files.iter().zip(newest) {
            fs::write(path, bytes).unwrap();
        }
        assert!(Ledger::open(vault.home()).unwrap().retired(&EPOCH).iter().any(|(p, _)| *p == 5));
    }

    #[test]
    fn a_head_that_was_changed_or_taken_away_is_named() {
        let (home, vault, _) = linked();
        let whole = fs::read(head_path(&home)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(head_path(&home), &changed).unwrap();
            assert_eq!(named(&vault), None);
        }
        fs::remove_file(head_path(&home)).unwrap();
        assert_eq!(named(&vault), None);
    }

    /// One of each line, through the public calls.
    fn all_kinds(home: &Home) -> Ledger {
        let ledger = open(home);
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        check(&ledger, 1, &[2, 3]);
        ledger.retire(&EPOCH, 3, &alice(), "E_OTE_CHECK", &session(1), -5).unwrap();
        ledger
    }

    /// Spends a session, whose checks begin and are resolved.
    fn check(ledger: &Ledger, n: u32, peers: &[u8]) {
        ledger.spend(&EPOCH, &session(n), peers).unwrap();
        let checks = ledger.begin_checks(&session(n), peers).unwrap();
        ledger.resolve(checks).unwrap();
    }

    /// As `check`, but killed while the checks are evaluated.
    fn die(home: &Home, n: u32, peers: &[u8]) {
        let ledger = open(home);
        ledger.spend(&EPOCH, &session(n), peers).unwrap();
        drop(ledger.begin_checks(&session(n), peers).unwrap());
    }

    /// Writes a line as an earlier version did.
    fn write_old(ledger: &Ledger, line: Line) {
        ledger.write(|_| Ok(Change::synced(line))).unwrap();
    }

    #[test]
    fn a_session_is_spent_once_here_and_after_a_restart() {
        let home = fixture::home();
        let ledger = open(&home);
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        assert!(matches!(ledger.spend(&EPOCH, &session(1), &[2]), Err(Error::Spent)));
        assert!(matches!(open(&home).spend(&[9; 32], &session(1), &[3]), Err(Error::Spent)));
        assert_eq!(open(&home).height(&EPOCH), 1);
        assert_eq!(open(&home).height(&[9; 32]), 0);
    }

    #[test]
    fn two_that_have_the_ledger_open_see_what_the_other_wrote() {
        let home = fixture::home();
        let (one, two) = (open(&home), open(&home));
        one.spend(&EPOCH, &session(1), &[2]).unwrap();
        assert!(matches!(two.spend(&EPOCH, &session(1), &[2]), Err(Error::Spent)));
        two.retire(&EPOCH, 2, &alice(), "E_OTE_CHECK", &session(1), 5).unwrap();
        let retired = one.spend(&EPOCH, &session(2), &[2]);
        assert_eq!(why(retired), (2, "E_OTE_CHECK".into()));
    }

    #[test]
    fn a_retired_pair_stays_retired_and_no_other_is_touched() {
        let home = fixture::home();
        let ledger = open(&home);
        ledger.retire(&EPOCH, 3, &alice(), "E_GAMMA_U", &session(1), 5).unwrap();
        ledger.retire(&EPOCH, 3, &alice(), "E_GAMMA_V", &session(2), 6).unwrap();
        let again = open(&home);
        assert_eq!(again.retired(&EPOCH), [(3, "E_GAMMA_U".to_owned())]);
        assert_eq!(why(again.spend(&EPOCH, &session(3), &[2, 3])), (3, "E_GAMMA_U".into()));
        assert_eq!(again.height(&EPOCH), 0);
        again.spend(&EPOCH, &session(3), &[2]).unwrap();
        again.spend(&[9; 32], &session(4), &[3]).unwrap();
        assert_eq!(again.retired(&[9; 32]), []);
    }

    #[test]
    fn twenty_unresolved_checks_are_borne_and_the_next_retires_the_pair() {
        let home = fixture::home();
        for n in 0..MAX_UNRESOLVED {
            die(&home, n, &[2]);
        }
        assert_eq!(open(&home).retired(&EPOCH), []);
        let ledger = open(&home);
        ledger.spend(&EPOCH, &session(99), &[2, 3]).unwrap();
        let refused = ledger.begin_checks(&session(99), &[2, 3]).map(drop);
        assert_eq!(why(refused), (2, UNRESOLVED.into()));

        let ledger = open(&home);
        assert_eq!(ledger.retired(&EPOCH), [(2, UNRESOLVED.to_owned())]);
        assert_eq!(why(ledger.spend(&EPOCH, &session(100), &[2])).1, UNRESOLVED);
        assert_eq!(open(&home).retired(&EPOCH).len(), 1);
        // Party 3 was never charged.
        for n in 0..MAX_UNRESOLVED {
            die(&home, 200 + n, &[3]);
        }
    }

    #[test]
    fn resolved_checks_and_sessions_without_any_do_not_add_up() {
        let home = fixture::home();
        let ledger = open(&home);
        for n in 0..3 * MAX_UNRESOLVED {
            check(&ledger, n, &[2, 3]);
            ledger.spend(&EPOCH, &session(1000 + n), &[2, 3]).unwrap();
        }
        check(&ledger, 2000, &[2, 3]);
        let ledger = open(&home);
        assert_eq!(ledger.retired(&EPOCH), []);
        assert_eq!(ledger.height(&EPOCH), u64::from(6 * MAX_UNRESOLVED + 1));
    }

    #[test]
    fn only_the_checks_of_a_spent_session_begin() {
        let home = fixture::home();
        let begun = open(&home).begin_checks(&session(1), &[2]);
        assert!(matches!(begun, Err(Error::NotFound { what: "session", .. })));
    }

    /// In the old sense: a spent session is itself a check begun, until it is resolved.
    #[test]
    fn old_lines_count_as_they_did_and_go_on_counting() {
        let home = fixture::home();
        let ledger = open(&home);
        for n in 0..MAX_UNRESOLVED {
            let peers = PeerSet::of(&[2]).unwrap();
            write_old(&ledger, Line::Spend { session: session(n), epoch: EPOCH, peers });
        }
        assert_eq!(open(&home).retired(&EPOCH), []);
        write_old(&ledger, Line::Resolve { spent: 1 });
        // One of them was resolved, so one may be left now, and not two.
        check(&ledger, 100, &[2]);
        die(&home, 101, &[2]);
        let ledger = open(&home);
        ledger.spend(&EPOCH, &session(102), &[2]).unwrap();
        let refused = ledger.begin_checks(&session(102), &[2]).map(drop);
        assert_eq!(why(refused), (2, UNRESOLVED.into()));
    }

    #[test]
    fn of_a_pair_one_check_is_open_at_a_time_and_others_go_on() {
        let home = fixture::home();
        let home = &home.home;
        let ledger = open(home);
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        let checks = ledger.begin_checks(&session(1), &[2]).unwrap();
        check(&open(home), 2, &[3]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| check(&open(home), 3, &[2, 3]));
            while open(home).height(&EPOCH) < 3 {
                std::thread::yield_now();
            }
            let lines = fs::read_to_string(path(home)).unwrap();
            assert_eq!(lines.matches("check").count(), 2, "{lines}");
            ledger.resolve(checks).unwrap();
            waiting.join().unwrap();
        });
        assert_eq!(fs::read_to_string(path(home)).unwrap().matches("check").count(), 3);
    }

    #[test]
    fn a_check_that_waits_for_one_that_fails_never_begins() {
        let home = fixture::home();
        let home = &home.home;
        let ledger = open(home);
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        let checks = ledger.begin_checks(&session(1), &[2]).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let ledger = open(home);
                ledger.spend(&EPOCH, &session(2), &[2]).unwrap();
                ledger.begin_checks(&session(2), &[2]).map(drop)
            });
            while open(home).height(&EPOCH) < 2 {
                std::thread::yield_now();
            }
            ledger.retire(&EPOCH, 2, &alice(), "E_OTE_CHECK", &session(1), 5).unwrap();
            ledger.resolve(checks).unwrap();
            assert_eq!(why(waiting.join().unwrap()), (2, "E_OTE_CHECK".into()));
        });
        assert_eq!(fs::read_to_string(path(home)).unwrap().matches("check").count(), 1);
    }

    /// Locks of pairs are taken in one order, so two sessions with common parties cannot block each
    /// other.
    #[test]
    fn checks_with_several_parties_never_wait_in_a_circle() {
        let home = fixture::home();
        let home = &home.home;
        std::thread::scope(|scope| {
            for (thread, peers) in [[2, 3, 4], [4, 3, 2], [3, 4, 2], [4, 2, 3]].iter().enumerate() {
                scope.spawn(move || {
                    let ledger = open(home);
                    (0..20).for_each(|n| check(&ledger, 100 * thread as u32 + n, peers));
                });
            }
        });
        assert_eq!(open(home).height(&EPOCH), 80);
    }

    #[test]
    fn a_check_is_in_the_chain_before_the_head_names_it() {
        let (_home, vault, _) = fixture::vault();
        let ledger = open(vault.home());
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        let head = fs::read(head_path(vault.home())).unwrap();
        drop(ledger.begin_checks(&session(1), &[2]).unwrap());
        assert_eq!(fs::read(head_path(vault.home())).unwrap(), head);
        let ledger = open(vault.home());
        ledger.spend(&EPOCH, &session(2), &[2]).unwrap();
        assert_ne!(fs::read(head_path(vault.home())).unwrap(), head);
        open(vault.home());
    }

    #[test]
    fn the_greatest_height_of_a_party_is_remembered_after_a_restart() {
        let home = fixture::home();
        let ledger = open(&home);
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        let before = open(&home).heights();
        // Announcements overtake one another.
        ledger.saw_height(&EPOCH, 2, 6).unwrap();
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        assert_eq!(fs::read_to_string(path(&home)).unwrap().lines().count(), 2);
        ledger.saw_height(&EPOCH, 2, 8).unwrap();
        ledger.saw_height(&[9; 32], 2, 1).unwrap();
        let after = open(&home).heights();
        assert_eq!((before.of(&EPOCH, 2), after.of(&EPOCH, 2)), (7, 8));
        assert_eq!((before.of(&[9; 32], 2), after.of(&[9; 32], 2)), (0, 1));
        assert_eq!((after.of(&EPOCH, 3), open(&home).peer_height(&EPOCH, 2)), (0, 8));
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_dropped_and_written_over() {
        let whole = {
            let home = fixture::home();
            all_kinds(&home);
            fs::read(path(&home)).unwrap()
        };
        let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        for cut in last..whole.len() {
            let home = fixture::home();
            all_kinds(&home);
            fs::write(path(&home), &whole[..cut]).unwrap();
            let ledger = open(&home);
            assert_eq!(ledger.retired(&EPOCH), []);
            ledger.spend(&EPOCH, &session(2), &[2]).unwrap();
            assert_eq!(open(&home).height(&EPOCH), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_last_line_of_zeros_after_a_power_failure_is_dropped() {
        let home = fixture::home();
        all_kinds(&home);
        let mut torn = Line::Resolve { spent: 1 }.to_string().into_bytes();
        torn[5..].fill(0);
        torn.push(b'\n');
        add(&home, &torn);
        let ledger = open(&home);
        ledger.spend(&EPOCH, &session(2), &[2]).unwrap();
        assert_eq!(open(&home).height(&EPOCH), 2);
        assert!(!fs::read(path(&home)).unwrap().contains(&0));
    }

    #[test]
    fn zeros_after_a_power_failure_end_the_ledger_behind_what_its_head_names() {
        let (home, vault, before) = linked();
        let ledger = vault.ledger().unwrap();
        ledger.saw_height(&EPOCH, 2, 90).unwrap();
        ledger.saw_height(&EPOCH, 2, 91).unwrap();
        let text = fs::read_to_string(path(&home)).unwrap();
        let lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        for zeroed in 1..lines.len() {
            let mut content = lines.clone();
            content[zeroed] = "\0".repeat(lines[zeroed].len());
            fs::write(path(&home), content.concat()).unwrap();
            let opened = Ledger::open(vault.home());
            assert_eq!(opened.is_ok(), zeroed >= before.len(), "{zeroed} of {text}");
        }
        open(vault.home()).spend(&EPOCH, &session(9), &[2]).unwrap();
        assert!(!fs::read(path(&home)).unwrap().contains(&0));
    }

    #[test]
    fn any_other_line_that_does_not_parse_is_named() {
        let home = fixture::home();
        all_kinds(&home);
        add(&home, b"{\"pardon\":3}\n");
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(7), .. })));
        add(&home, b"{\"resolve\":");
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(7), .. })));
    }

    #[test]
    fn lines_that_contradict_one_another_are_named() {
        for line in [
            Line::Spend { session: session(1), epoch: EPOCH, peers: PeerSet::default() },
            Line::Check { spent: 0, peers: PeerSet::of(&[2]).unwrap() },
            Line::Check { spent: 2, peers: PeerSet::of(&[2]).unwrap() },
            Line::Resolve { spent: 1 },
            Line::Resolve { spent: 2 },
        ] {
            let home = fixture::home();
            all_kinds(&home);
            add(&home, format!("{line}}}\n").as_bytes());
            assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(7), .. })));
        }
    }

    #[test]
    fn checks_that_begin_twice_are_named() {
        let home = fixture::home();
        die(&home, 1, &[2]);
        let again = Line::Check { spent: 1, peers: PeerSet::of(&[3]).unwrap() };
        add(&home, format!("{again}}}\n").as_bytes());
        let opened = Ledger::open(&home);
        assert!(matches!(
            opened,
            Err(Error::Corrupt { line: Some(4), why: "checks begun twice", .. })
        ));
    }

    #[test]
    fn a_newer_ledger_is_not_guessed_at_and_not_written_to() {
        let home = fixture::home();
        let ledger = all_kinds(&home);
        fs::write(path(&home), "{\"ledger\":3}\n{\"resolve\":\"x\"}").unwrap();
        assert!(matches!(Ledger::open(&home), Err(Error::Unsupported { version: 3, .. })));
        let shrunk = ledger.spend(&EPOCH, &session(2), &[2]);
        assert!(matches!(shrunk, Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_lost_ledger_is_not_taken_for_an_empty_one() {
        let (home, vault, _) = fixture::vault();
        let ledger = all_kinds(vault.home());
        fs::remove_file(path(&home)).unwrap();
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { why: "missing", .. })));
        let opened = Ledger::open(vault.home());
        assert!(matches!(opened, Err(Error::Tampered { why: "missing", .. })));
        let spent = ledger.spend(&EPOCH, &session(2), &[2]);
        assert!(matches!(spent, Err(Error::Tampered { why: "missing", .. })));
        // Nor where it was empty, and is gone since it was opened.
        let (home, vault, _) = fixture::vault();
        let ledger = open(vault.home());
        fs::remove_file(path(&home)).unwrap();
        let spent = ledger.spend(&EPOCH, &session(1), &[2]);
        assert!(matches!(spent, Err(Error::Tampered { why: "missing", .. })));
    }

    #[test]
    fn every_line_is_json() {
        let home = fixture::home();
        all_kinds(&home);
        let text = fs::read_to_string(path(&home)).unwrap();
        assert_eq!(text.lines().count(), 6);
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn only_parties_one_to_sixteen_and_plain_codes_are_written() {
        let home = fixture::home();
        let ledger = open(&home);
        for peers in [&[0_u8][..], &[17], &[2, 2]] {
            let spent = ledger.spend(&EPOCH, &session(1), peers);
            assert!(matches!(spent, Err(Error::BadName { .. })), "{peers:?}");
        }
        for code in ["", "a b", "a\"b", "a\nb", "ü"] {
            let retired = ledger.retire(&EPOCH, 2, &alice(), code, &session(1), 0);
            assert!(matches!(retired, Err(Error::BadName { .. })), "{code:?}");
        }
        ledger.spend(&EPOCH, &session(1), &[16, 1]).unwrap();
        ledger.spend(&EPOCH, &session(2), &[]).unwrap();
        assert_eq!(open(&home).height(&EPOCH), 2);
    }

    #[test]
    fn threads_that_spend_at_once_lose_nothing() {
        let home = fixture::home();
        let home = &home.home;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let ledger = open(home);
                    for n in 0..10 {
                        check(&ledger, 100 * thread + n, &[2]);
                    }
                });
            }
        });
        assert_eq!(open(home).height(&EPOCH), 40);
        assert_eq!(open(home).retired(&EPOCH), []);
    }

    proptest! {
        #[test]
        fn no_content_makes_the_reader_panic(
            content in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "(\\{\"ledger\":1\\}\n)?([{}\":,a-f0-9\n\\[\\]-]|spend|check|resolve|retire|height|epoch){0,60}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let mut ledger = Content::empty(&Home::at("nowhere"));
            if ledger.absorb(&content).is_ok() {
                prop_assert!(ledger.end <= content.len() as u64);
            }
        }
    }
}
