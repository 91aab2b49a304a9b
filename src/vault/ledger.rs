//! What must never be forgotten: sessions spent, checks begun, pairs retired, heights seen.
//!
//! A file of lines that only grows. A line is on the disk before the message that it is about
//! leaves this device, so neither a crash nor a restart makes a session usable twice or brings a
//! retired pair back (docs/protocol.md §5.4). A restored old copy of the ledger is noticed by the
//! peers: they remember how many sessions this device had spent, its **height**.
//!
//! Every line is JSON, in exactly the form that is written here, so that a hundred thousand of
//! them are read in a few milliseconds:
//!
//! ```text
//! {"ledger":1}
//! {"spend":SESSION,"epoch":EPOCH,"peers":[2,3]}
//! {"resolve":N}
//! {"retire":PEER,"epoch":EPOCH,"fingerprint":HEX,"code":"E_OTE_CHECK","session":SESSION,"time":N}
//! {"height":N,"epoch":EPOCH,"peer":PEER}
//! ```
//!
//! `resolve` is about the N-th spent session, counted from 1. Hashes are 64 hexadecimal digits.
//!
//! An empty file is an empty ledger; the first line written to it comes with the header. A last line
//! that a crash cut short was never acted on and is dropped. Any other line that does
//! not parse is an error: a ban that cannot be read must not be taken for no ban.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::path::PathBuf;

use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{Home, Vault};
use crate::device::{Fingerprint, hex};

/// How many checks of one pair may be left unresolved in an epoch. Each may leak about one bit of
/// the 128 that the pair depends on.
pub const MAX_UNRESOLVED: u32 = 20;

/// The code of a pair that was retired for too many unresolved checks.
pub const UNRESOLVED: &str = "unresolved";

/// The ledger as it was when it was opened or last written to by this value.
pub struct Ledger {
    home: Home,
    /// Everything before this offset is in `state`.
    end: u64,
    lines: u64,
    state: State,
}

impl Ledger {
    /// Reads the ledger.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] naming the line, or if there is a vault and no ledger;
    /// [`Error::Unsupported`]; [`Error::LooseMode`].
    pub fn open(home: &Home) -> Result<Self, Error> {
        let mut ledger = Self { home: home.clone(), end: 0, lines: 0, state: State::default() };
        let _lock = file::lock_shared(home)?;
        match file::read(&ledger.path())? {
            Some(content) => ledger.absorb(&content)?,
            None if Vault::exists(home) => return Err(Error::corrupt(&ledger.path(), "missing")),
            None => {}
        }
        Ok(ledger)
    }

    /// Writes an empty ledger unless there is one.
    pub(super) fn create(writer: &Writer<'_>, home: &Home) -> Result<(), Error> {
        let path = path(home);
        if file::read(&path)?.is_some() {
            return Ok(());
        }
        writer.create(&path, b"")
    }

    /// Spends a session, durably, and counts one check as begun for each of `peers`. To be called
    /// before the session's first message leaves; after an error none may.
    ///
    /// # Errors
    ///
    /// [`Error::Spent`] if the session was spent before. [`Error::Retired`] if a pair is, or if
    /// [`MAX_UNRESOLVED`] of its checks were left unresolved, which retires it now.
    pub fn spend(
        &mut self,
        epoch: &[u8; 32],
        session: &[u8; 32],
        peers: &[u8],
    ) -> Result<(), Error> {
        let wanted = PeerSet::of(peers)?;
        self.write(|state| {
            if state.sessions.contains_key(session) {
                return Err(Error::Spent);
            }
            let pairs = state.epoch(epoch).map(|e| e.pairs.as_slice()).unwrap_or_default();
            let of = |peer: u8| pairs.iter().find(|pair| pair.peer == peer);
            let retired = wanted.iter().find_map(|peer| {
                let code = of(peer)?.retired.clone()?;
                Some(Error::Retired { peer, code })
            });
            if let Some(retired) = retired {
                return Err(retired);
            }
            let worn = wanted.filter(|p| of(p).is_some_and(|of| of.unresolved >= MAX_UNRESOLVED));
            // The line that takes a pair over the limit retires it; it names no other peer.
            let peers = if worn.is_empty() { wanted } else { worn };
            let refusal =
                worn.iter().next().map(|peer| Error::Retired { peer, code: UNRESOLVED.into() });
            let line = Line::Spend { session: *session, epoch: *epoch, peers };
            Ok(Change { line: Some(line), durability: Durability::Synced, refusal })
        })
    }

    /// Notes that every check of a spent session was evaluated, or never will be.
    ///
    /// Not synced: if a power failure undoes it, the checks count as unresolved, which is safe.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the session was not spent.
    pub fn resolve(&mut self, session: &[u8; 32]) -> Result<(), Error> {
        self.write(|state| match state.sessions.get(session) {
            None => Err(Error::not_found("session", hex(session))),
            Some(spent) if !state.open.contains_key(spent) => Ok(Change::nothing()),
            Some(spent) => Ok(Change::lazy(Line::Resolve { spent: *spent })),
        })
    }

    /// Retires the pair with a party for this epoch, durably: to be called before anything else
    /// leaves this device. Retiring it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] for a code that is not 1 to 32 of `A-Z a-z 0-9 _`.
    pub fn retire(
        &mut self,
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
            let line = (!known).then_some(line);
            Ok(Change { line, durability: Durability::Synced, refusal: None })
        })
    }

    /// Remembers how many sessions a party says it has spent in this epoch.
    ///
    /// A party that spends a session has a greater height when the session starts than the one it
    /// announced before. So what it announced, plus one, may be recorded once its first message of
    /// the session is here, and a copy of it restored to that point is noticed from then on.
    ///
    /// Not synced: the next [`Ledger::spend`] is, and this with it.
    ///
    /// # Errors
    ///
    /// [`Error::RolledBack`] if it is less than the party announced before.
    pub fn saw_height(&mut self, epoch: &[u8; 32], peer: u8, height: u64) -> Result<(), Error> {
        PeerSet::of(&[peer])?;
        self.write(|state| match state.pair(epoch, peer).map_or(0, |pair| pair.height) {
            seen if seen > height => Err(Error::RolledBack { peer, seen, announced: height }),
            seen if seen == height => Ok(Change::nothing()),
            _ => Ok(Change::lazy(Line::Height { height, epoch: *epoch, peer })),
        })
    }

    /// The retired pairs of an epoch: the party's index, and why.
    pub fn retired(&self, epoch: &[u8; 32]) -> Vec<(u8, String)> {
        let pairs = self.state.epoch(epoch).map(|e| e.pairs.as_slice()).unwrap_or_default();
        pairs.iter().filter_map(|pair| Some((pair.peer, pair.retired.clone()?))).collect()
    }

    /// How many sessions were spent in an epoch.
    pub fn height(&self, epoch: &[u8; 32]) -> u64 {
        self.state.epoch(epoch).map_or(0, |e| e.height)
    }

    /// The greatest height that a party announced in an epoch.
    pub fn peer_height(&self, epoch: &[u8; 32], peer: u8) -> u64 {
        self.state.pair(epoch, peer).map_or(0, |pair| pair.height)
    }

    /// Decides on a line with everything in view that other processes wrote, and writes it.
    fn write(&mut self, decide: impl FnOnce(&State) -> Result<Change, Error>) -> Result<(), Error> {
        let home = self.home.clone();
        let path = self.path();
        let writer = Writer::lock(&home)?;
        match file::read_from(&path, self.end)? {
            Some(news) => self.absorb(&news)?,
            None if self.end == 0 && !Vault::exists(&home) => Self::create(&writer, &home)?,
            None => return Err(Error::corrupt(&path, "missing")),
        }
        let Change { line, durability, refusal } = decide(&self.state)?;
        if let Some(line) = line {
            let header = if self.lines == 0 { format!("{HEADER}\n") } else { String::new() };
            let text = format!("{header}{line}\n");
            writer.append(&path, self.end, text.as_bytes(), durability)?;
            self.absorb(text.as_bytes())?;
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Takes in what follows `self.end`, but for a line that a crash cut short.
    fn absorb(&mut self, content: &[u8]) -> Result<(), Error> {
        self.state.sessions.reserve(content.len() / 192);
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
        }
        Ok(())
    }

    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let folded = if self.lines == 0 {
            match cursor.header() {
                Some(VERSION) => Ok(()),
                Some(version) => return Err(Error::Unsupported { path: self.path(), version }),
                None => Err("not a ledger"),
            }
        } else {
            cursor.line().ok_or("not a ledger line").and_then(|line| self.state.fold(line))
        };
        let line = Some(self.lines.saturating_add(1));
        folded.map_err(|why| Error::Corrupt { path: self.path(), line, why })
    }

    fn path(&self) -> PathBuf {
        path(&self.home)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger({} lines)", self.lines)
    }
}

type Id = [u8; 32];

/// What a call does to the ledger.
struct Change {
    line: Option<Line>,
    durability: Durability,
    /// What the caller is told although the line is written.
    refusal: Option<Error>,
}

impl Change {
    fn nothing() -> Self {
        Self { line: None, durability: Durability::Lazy, refusal: None }
    }

    fn lazy(line: Line) -> Self {
        Self { line: Some(line), durability: Durability::Lazy, refusal: None }
    }
}

/// What the lines add up to.
#[derive(Default)]
struct State {
    /// In the order of their first line. Few, and lines mostly belong to the last.
    epochs: Vec<Epoch>,
    /// Every spent session and its number, from 1.
    sessions: HashMap<Id, u64>,
    /// The sessions with unresolved checks, by their number: place in `epochs` and peers.
    open: BTreeMap<u64, (usize, PeerSet)>,
}

struct Epoch {
    id: Id,
    height: u64,
    pairs: Vec<Pair>,
}

struct Pair {
    peer: u8,
    unresolved: u32,
    height: u64,
    retired: Option<String>,
}

impl State {
    fn epoch(&self, id: &Id) -> Option<&Epoch> {
        self.epochs.iter().rfind(|epoch| epoch.id == *id)
    }

    fn pair(&self, epoch: &Id, peer: u8) -> Option<&Pair> {
        self.epoch(epoch)?.pairs.iter().find(|pair| pair.peer == peer)
    }

    fn fold(&mut self, line: Line) -> Result<(), &'static str> {
        match line {
            Line::Spend { session, epoch, peers } => {
                let place = self.place(&epoch);
                let number =
                    u64::try_from(self.sessions.len()).unwrap_or(u64::MAX).saturating_add(1);
                let Entry::Vacant(vacant) = self.sessions.entry(session) else {
                    return Err("session spent twice");
                };
                vacant.insert(number);
                self.open.insert(number, (place, peers));
                if let Some(epoch) = self.epochs.get_mut(place) {
                    epoch.height = epoch.height.saturating_add(1);
                    peers.iter().for_each(|peer| epoch.pair_mut(peer).begin_check());
                }
            }
            Line::Resolve { spent } => {
                let (place, peers) = self.open.remove(&spent).ok_or("no such open session")?;
                if let Some(epoch) = self.epochs.get_mut(place) {
                    peers.iter().for_each(|peer| epoch.pair_mut(peer).resolve_check());
                }
            }
            Line::Retire { peer, epoch, code, .. } => {
                self.pair_mut(&epoch, peer, |pair| {
                    pair.retired.get_or_insert(code);
                });
            }
            Line::Height { height, epoch, peer } => {
                self.pair_mut(&epoch, peer, |pair| pair.height = pair.height.max(height));
            }
        }
        Ok(())
    }

    fn pair_mut(&mut self, epoch: &Id, peer: u8, change: impl FnOnce(&mut Pair)) {
        let place = self.place(epoch);
        if let Some(epoch) = self.epochs.get_mut(place) {
            change(epoch.pair_mut(peer));
        }
    }

    /// Where the epoch is in `epochs`, appending it if it is new.
    fn place(&mut self, id: &Id) -> usize {
        if let Some(place) = self.epochs.iter().rposition(|epoch| epoch.id == *id) {
            return place;
        }
        self.epochs.push(Epoch { id: *id, height: 0, pairs: Vec::new() });
        self.epochs.len().saturating_sub(1)
    }
}

impl Epoch {
    fn pair_mut(&mut self, peer: u8) -> &mut Pair {
        let place = self.pairs.iter().position(|pair| pair.peer == peer);
        let place = place.unwrap_or_else(|| {
            self.pairs.push(Pair { peer, unresolved: 0, height: 0, retired: None });
            self.pairs.len().saturating_sub(1)
        });
        &mut self.pairs[place]
    }
}

impl Pair {
    /// Once over the limit the pair stays retired, whatever is resolved later.
    fn begin_check(&mut self) {
        self.unresolved = self.unresolved.saturating_add(1);
        if self.unresolved > MAX_UNRESOLVED {
            self.retired.get_or_insert_with(|| UNRESOLVED.to_owned());
        }
    }

    fn resolve_check(&mut self) {
        self.unresolved = self.unresolved.saturating_sub(1);
    }
}

/// Some of the parties 1 to 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PeerSet(u16);

impl PeerSet {
    fn of(peers: &[u8]) -> Result<Self, Error> {
        let set = peers.iter().try_fold(Self::default(), |set, peer| set.with(*peer));
        set.ok_or_else(|| Error::BadName { name: format!("parties {peers:?}") })
    }

    /// `None` if it names no party, or one that is in already.
    fn with(self, peer: u8) -> Option<Self> {
        let bit = 1_u16.checked_shl(u32::from(peer.checked_sub(1)?))?;
        (self.0 & bit == 0).then_some(Self(self.0 | bit))
    }

    fn iter(self) -> impl Iterator<Item = u8> {
        (1..=16).filter(move |peer| self.0 >> (peer - 1) & 1 == 1)
    }

    fn filter(self, keep: impl Fn(u8) -> bool) -> Self {
        self.iter().filter(|peer| keep(*peer)).filter_map(|p| Self::default().with(p)).collect()
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<PeerSet> for PeerSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        Self(sets.into_iter().fold(0, |all, set| all | set.0))
    }
}

#[derive(Debug)]
enum Line {
    Spend { session: Id, epoch: Id, peers: PeerSet },
    Resolve { spent: u64 },
    Retire { peer: u8, epoch: Id, fingerprint: Id, code: String, session: Id, time: i64 },
    Height { height: u64, epoch: Id, peer: u8 },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spend { session, epoch, peers } => {
                let peers: Vec<String> = peers.iter().map(|peer| peer.to_string()).collect();
                let (session, epoch, peers) = (hex(session), hex(epoch), peers.join(","));
                write!(f, r#"{{"spend":"{session}","epoch":"{epoch}","peers":[{peers}]}}"#)
            }
            Self::Resolve { spent } => write!(f, r#"{{"resolve":{spent}}}"#),
            Self::Retire { peer, epoch, fingerprint, code, session, time } => {
                let (epoch, fingerprint, session) = (hex(epoch), hex(fingerprint), hex(session));
                write!(f, r#"{{"retire":{peer},"epoch":"{epoch}","fingerprint":"{fingerprint}","#)?;
                write!(f, r#""code":"{code}","session":"{session}","time":{time}}}"#)
            }
            Self::Height { height, epoch, peer } => {
                write!(f, r#"{{"height":{height},"epoch":"{}","peer":{peer}}}"#, hex(epoch))
            }
        }
    }
}

/// Reads lines from left to right, in the one form they can have.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn header(&mut self) -> Option<u64> {
        self.text(r#"{"ledger":"#)?;
        let version = self.number()?;
        self.text("}\n")?;
        Some(version)
    }

    fn line(&mut self) -> Option<Line> {
        let line = if self.text(r#"{"spend":""#).is_some() {
            let session = self.id()?;
            self.text(r#"","epoch":""#)?;
            let epoch = self.id()?;
            self.text(r#"","peers":["#)?;
            Line::Spend { session, epoch, peers: self.peers()? }
        } else if self.text(r#"{"resolve":"#).is_some() {
            Line::Resolve { spent: self.number()? }
        } else if self.text(r#"{"retire":"#).is_some() {
            self.retire()?
        } else {
            self.text(r#"{"height":"#)?;
            let height = self.number()?;
            self.text(r#","epoch":""#)?;
            let epoch = self.id()?;
            self.text(r#"","peer":"#)?;
            Line::Height { height, epoch, peer: self.peer()? }
        };
        self.text("}\n")?;
        Some(line)
    }

    fn retire(&mut self) -> Option<Line> {
        let peer = self.peer()?;
        self.text(r#","epoch":""#)?;
        let epoch = self.id()?;
        self.text(r#"","fingerprint":""#)?;
        let fingerprint = self.id()?;
        self.text(r#"","code":""#)?;
        let code = self.code()?;
        self.text(r#"","session":""#)?;
        let session = self.id()?;
        self.text(r#"","time":"#)?;
        let time = match self.text("-") {
            Some(()) => {
                self.number().filter(|n| *n > 0).and_then(|n| 0_i64.checked_sub_unsigned(n))?
            }
            None => i64::try_from(self.number()?).ok()?,
        };
        Some(Line::Retire { peer, epoch, fingerprint, code, session, time })
    }

    fn text(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// 64 lower-case hexadecimal digits.
    fn id(&mut self) -> Option<Id> {
        let (digits, rest) = self.0.split_first_chunk::<64>()?;
        let mut id = [0; 32];
        // Both digits of every byte are looked up; one bad digit anywhere shows in `bad`.
        let mut bad = 0;
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            if let [high, low] = pair {
                let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
                bad |= high | low;
                *byte = high << 4 | low;
            }
        }
        self.0 = rest;
        (bad < 16).then_some(id)
    }

    /// A decimal number without leading zeros.
    fn number(&mut self) -> Option<u64> {
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        if length > 1 && digits.starts_with(b"0") {
            return None;
        }
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn peer(&mut self) -> Option<u8> {
        let peer = u8::try_from(self.number()?).ok()?;
        PeerSet::default().with(peer).map(|_| peer)
    }

    /// Ascending numbers and the closing bracket.
    fn peers(&mut self) -> Option<PeerSet> {
        let (mut peers, mut last) = (PeerSet::default(), 0);
        if self.text("]").is_some() {
            return Some(peers);
        }
        loop {
            let peer = self.peer().filter(|peer| *peer > last)?;
            (peers, last) = (peers.with(peer)?, peer);
            if self.text("]").is_some() {
                return Some(peers);
            }
            self.text(",")?;
        }
    }

    fn code(&mut self) -> Option<String> {
        let length = self.0.iter().take(33).position(|b| *b == b'"')?;
        let (code, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        is_code(code).then(|| String::from_utf8_lossy(code).into_owned())
    }
}

/// Whether this is a last line that a crash cut short. After a power failure the end of it may be
/// there with zeros before.
fn is_torn(content: &[u8]) -> bool {
    match content.iter().position(|b| *b == b'\n') {
        None => true,
        Some(end) => end.saturating_add(1) == content.len() && content.contains(&0),
    }
}

fn is_code(code: &[u8]) -> bool {
    (1..=32).contains(&code.len()) && code.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn path(home: &Home) -> PathBuf {
    home.state.join("ledger.jsonl")
}

const VERSION: u64 = 1;
const HEADER: &str = r#"{"ledger":1}"#;

/// The value of each hexadecimal digit, 16 for any other byte.
static DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::vault::fixture;

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

    /// A line as it is read and written again.
    fn read(line: &[u8]) -> Option<String> {
        let mut cursor = Cursor(line);
        let line = cursor.line()?;
        cursor.0.is_empty().then(|| format!("{line}\n"))
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

    /// One of each line, through the public calls.
    fn all_kinds(home: &Home) -> Ledger {
        let mut ledger = open(home);
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        ledger.spend(&EPOCH, &session(1), &[2, 3]).unwrap();
        ledger.resolve(&session(1)).unwrap();
        ledger.retire(&EPOCH, 3, &alice(), "E_OTE_CHECK", &session(1), -5).unwrap();
        ledger
    }

    #[test]
    fn a_session_is_spent_once_here_and_after_a_restart() {
        let home = fixture::home();
        let mut ledger = open(&home);
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        assert!(matches!(ledger.spend(&EPOCH, &session(1), &[2]), Err(Error::Spent)));
        assert!(matches!(open(&home).spend(&[9; 32], &session(1), &[3]), Err(Error::Spent)));
        assert_eq!(open(&home).height(&EPOCH), 1);
        assert_eq!(open(&home).height(&[9; 32]), 0);
    }

    #[test]
    fn two_that_have_the_ledger_open_see_what_the_other_wrote() {
        let home = fixture::home();
        let (mut one, mut two) = (open(&home), open(&home));
        one.spend(&EPOCH, &session(1), &[2]).unwrap();
        assert!(matches!(two.spend(&EPOCH, &session(1), &[2]), Err(Error::Spent)));
        two.retire(&EPOCH, 2, &alice(), "E_OTE_CHECK", &session(1), 5).unwrap();
        let retired = one.spend(&EPOCH, &session(2), &[2]);
        assert_eq!(why(retired), (2, "E_OTE_CHECK".into()));
    }

    #[test]
    fn a_retired_pair_stays_retired_and_no_other_is_touched() {
        let home = fixture::home();
        let mut ledger = open(&home);
        ledger.retire(&EPOCH, 3, &alice(), "E_GAMMA_U", &session(1), 5).unwrap();
        ledger.retire(&EPOCH, 3, &alice(), "E_GAMMA_V", &session(2), 6).unwrap();
        let mut again = open(&home);
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
            // Each time as if killed before the check was resolved.
            open(&home).spend(&EPOCH, &session(n), &[2]).unwrap();
        }
        assert_eq!(open(&home).retired(&EPOCH), []);
        let mut ledger = open(&home);
        let refused = ledger.spend(&EPOCH, &session(99), &[2, 3]);
        assert_eq!(why(refused), (2, UNRESOLVED.into()));

        let mut ledger = open(&home);
        assert_eq!(ledger.retired(&EPOCH), [(2, UNRESOLVED.to_owned())]);
        // Resolving one later does not bring the pair back, and party 3 was never charged.
        ledger.resolve(&session(0)).unwrap();
        assert_eq!(why(ledger.spend(&EPOCH, &session(100), &[2])).1, UNRESOLVED);
        assert_eq!(open(&home).retired(&EPOCH).len(), 1);
        for n in 0..MAX_UNRESOLVED {
            ledger.spend(&EPOCH, &session(200 + n), &[3]).unwrap();
        }
    }

    #[test]
    fn resolved_checks_do_not_add_up() {
        let home = fixture::home();
        let mut ledger = open(&home);
        for n in 0..3 * MAX_UNRESOLVED {
            ledger.spend(&EPOCH, &session(n), &[2, 3]).unwrap();
            ledger.resolve(&session(n)).unwrap();
            ledger.resolve(&session(n)).unwrap();
        }
        let ledger = open(&home);
        assert_eq!(ledger.retired(&EPOCH), []);
        assert_eq!(ledger.height(&EPOCH), u64::from(3 * MAX_UNRESOLVED));
    }

    #[test]
    fn only_a_spent_session_can_be_resolved() {
        let home = fixture::home();
        let result = open(&home).resolve(&session(1));
        assert!(matches!(result, Err(Error::NotFound { what: "session", .. })));
    }

    #[test]
    fn a_peer_that_goes_back_is_noticed_after_a_restart() {
        let home = fixture::home();
        let mut ledger = open(&home);
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        ledger.saw_height(&EPOCH, 2, 7).unwrap();
        ledger.spend(&EPOCH, &session(1), &[2]).unwrap();
        let mut ledger = open(&home);
        assert_eq!(ledger.peer_height(&EPOCH, 2), 7);
        assert_eq!(ledger.peer_height(&EPOCH, 3), 0);
        match ledger.saw_height(&EPOCH, 2, 6) {
            Err(Error::RolledBack { peer: 2, seen: 7, announced: 6 }) => {}
            other => panic!("{other:?}"),
        }
        ledger.saw_height(&EPOCH, 3, 1).unwrap();
        ledger.saw_height(&[9; 32], 2, 1).unwrap();
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
            let mut ledger = open(&home);
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
        let mut ledger = open(&home);
        ledger.spend(&EPOCH, &session(2), &[2]).unwrap();
        assert_eq!(open(&home).height(&EPOCH), 2);
        assert!(!fs::read(path(&home)).unwrap().contains(&0));
    }

    #[test]
    fn any_other_line_that_does_not_parse_is_named() {
        let home = fixture::home();
        all_kinds(&home);
        add(&home, b"{\"pardon\":3}\n");
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(6), .. })));
        add(&home, b"{\"resolve\":");
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(6), .. })));
    }

    #[test]
    fn lines_that_contradict_one_another_are_named() {
        for line in [
            Line::Spend { session: session(1), epoch: EPOCH, peers: PeerSet(1) },
            Line::Resolve { spent: 2 },
        ] {
            let home = fixture::home();
            all_kinds(&home);
            add(&home, format!("{line}\n").as_bytes());
            assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { line: Some(6), .. })));
        }
    }

    #[test]
    fn a_newer_ledger_is_not_guessed_at_and_not_written_to() {
        let home = fixture::home();
        let mut ledger = all_kinds(&home);
        fs::write(path(&home), "{\"ledger\":2}\n{\"resolve\":\"x\"}").unwrap();
        assert!(matches!(Ledger::open(&home), Err(Error::Unsupported { version: 2, .. })));
        let shrunk = ledger.spend(&EPOCH, &session(2), &[2]);
        assert!(matches!(shrunk, Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_lost_ledger_is_not_taken_for_an_empty_one() {
        let (home, _vault, _) = fixture::vault();
        let mut ledger = all_kinds(&home);
        fs::remove_file(path(&home)).unwrap();
        assert!(matches!(Ledger::open(&home), Err(Error::Corrupt { why: "missing", .. })));
        let spent = ledger.spend(&EPOCH, &session(2), &[2]);
        assert!(matches!(spent, Err(Error::Corrupt { why: "missing", .. })));
    }

    #[test]
    fn every_line_is_json_and_reads_back() {
        let home = fixture::home();
        all_kinds(&home);
        let text = fs::read_to_string(path(&home)).unwrap();
        assert_eq!(text.lines().count(), 5);
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        for line in text.split_inclusive('\n').skip(1) {
            assert_eq!(read(line.as_bytes()).unwrap(), line);
        }
    }

    #[test]
    fn only_parties_one_to_sixteen_and_plain_codes_are_written() {
        let home = fixture::home();
        let mut ledger = open(&home);
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
                    let mut ledger = open(home);
                    for n in 0..10 {
                        let session = session(100 * thread + n);
                        ledger.spend(&EPOCH, &session, &[2]).unwrap();
                        ledger.resolve(&session).unwrap();
                    }
                });
            }
        });
        assert_eq!(open(home).height(&EPOCH), 40);
        assert_eq!(open(home).retired(&EPOCH), []);
    }

    fn any_line() -> impl Strategy<Value = Line> {
        let id = || any::<[u8; 32]>();
        let peer = || 1..=16_u8;
        prop_oneof![
            (id(), id(), any::<u16>()).prop_map(|(session, epoch, peers)| {
                Line::Spend { session, epoch, peers: PeerSet(peers) }
            }),
            any::<u64>().prop_map(|spent| Line::Resolve { spent }),
            (peer(), id(), id(), "[A-Za-z0-9_]{1,32}", id(), any::<i64>()).prop_map(
                |(peer, epoch, fingerprint, code, session, time)| {
                    Line::Retire { peer, epoch, fingerprint, code, session, time }
                }
            ),
            (any::<u64>(), id(), peer()).prop_map(|(height, epoch, peer)| Line::Height {
                height,
                epoch,
                peer
            }),
        ]
    }

    proptest! {
        #[test]
        fn any_line_reads_back(line in any_line()) {
            let text = format!("{line}\n");
            prop_assert_eq!(read(text.as_bytes()), Some(text));
        }

        #[test]
        fn an_altered_line_is_refused_or_means_what_it_says(
            line in any_line(), at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = format!("{line}\n").into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = read(&bytes) {
                prop_assert_eq!(read.into_bytes(), bytes);
            }
        }

        #[test]
        fn no_content_makes_the_reader_panic(
            content in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "(\\{\"ledger\":1\\}\n)?([{}\":,a-f0-9\n\\[\\]-]|spend|resolve|retire|height|epoch){0,60}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let mut ledger = Ledger {
                home: Home::at("nowhere"), end: 0, lines: 0, state: State::default(),
            };
            if ledger.absorb(&content).is_ok() {
                prop_assert!(ledger.end <= content.len() as u64);
            }
        }
    }
}
