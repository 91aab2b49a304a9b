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
//! {"resolve":SESSION}
//! {"retire":PEER,"epoch":EPOCH,"fingerprint":HEX,"code":"E_OTE_CHECK","session":SESSION,"time":N}
//! {"height":N,"epoch":EPOCH,"peer":PEER}
//! ```
//!
//! An empty file is an empty ledger; the first line written to it comes with the header. A last line
//! that a crash cut short was never acted on and is dropped. Any other line that does
//! not parse is an error: a ban that cannot be read must not be taken for no ban.

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
            Some(spent) if spent.open.is_empty() => Ok(Change::nothing()),
            Some(_) => Ok(Change::lazy(Line::Resolve { session: *session })),
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
        self.state.sessions.reserve(content.len() / 256);
        let mut rest = content;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, after) = (rest.get(..end), rest.get(end.saturating_add(1)..));
            let (line, after) = (line.unwrap_or_default(), after.unwrap_or_default());
            if let Err(e) = self.take(line) {
                // After a power failure the end of a file may be there with its middle zero.
                let torn = after.is_empty() && line.contains(&0);
                return if torn { Ok(()) } else { Err(e) };
            }
            self.lines = self.lines.saturating_add(1);
            self.end = self.end.saturating_add(end as u64).saturating_add(1);
            rest = after;
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Error> {
        let folded = if self.lines == 0 {
            match Cursor(line).header() {
                Some(VERSION) => Ok(()),
                Some(version) => return Err(Error::Unsupported { path: self.path(), version }),
                None => Err("not a ledger"),
            }
        } else {
            Cursor(line).line().ok_or("not a ledger line").and_then(|line| self.state.fold(line))
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
    sessions: HashMap<Id, Spent>,
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

/// A spent session: its place in `epochs` and the peers whose check is unresolved.
struct Spent {
    epoch: usize,
    open: PeerSet,
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
                let Entry::Vacant(vacant) = self.sessions.entry(session) else {
                    return Err("session spent twice");
                };
                vacant.insert(Spent { epoch: place, open: peers });
                if let Some(epoch) = self.epochs.get_mut(place) {
                    epoch.height = epoch.height.saturating_add(1);
                    peers.iter().for_each(|peer| epoch.pair_mut(peer).begin_check());
                }
            }
            Line::Resolve { session } => {
                let spent = self.sessions.get_mut(&session).ok_or("session never spent")?;
                let resolved = std::mem::take(&mut spent.open);
                if let Some(epoch) = self.epochs.get_mut(spent.epoch) {
                    resolved.iter().for_each(|peer| epoch.pair_mut(peer).resolve_check());
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
#[derive(Clone, Copy, Default, PartialEq, Eq)]
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

#[derive(Clone)]
enum Line {
    Spend { session: Id, epoch: Id, peers: PeerSet },
    Resolve { session: Id },
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
            Self::Resolve { session } => write!(f, r#"{{"resolve":"{}"}}"#, hex(session)),
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

/// Reads a line from left to right, in the one form it can have.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn header(mut self) -> Option<u64> {
        self.text(r#"{"ledger":"#)?;
        let version = self.number()?;
        self.text("}")?;
        self.end(version)
    }

    fn line(mut self) -> Option<Line> {
        let line = if self.text(r#"{"spend":""#).is_some() {
            let session = self.id()?;
            self.text(r#"","epoch":""#)?;
            let epoch = self.id()?;
            self.text(r#"","peers":["#)?;
            Line::Spend { session, epoch, peers: self.peers()? }
        } else if self.text(r#"{"resolve":""#).is_some() {
            let session = self.id()?;
            self.text(r#"""#)?;
            Line::Resolve { session }
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
        self.text("}")?;
        self.end(line)
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
        let negative = self.text("-").is_some();
        let time = i64::try_from(self.number()?).ok()?;
        let time = if negative { time.checked_neg()? } else { time };
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

    /// Distinct numbers and the closing bracket.
    fn peers(&mut self) -> Option<PeerSet> {
        let mut peers = PeerSet::default();
        if self.text("]").is_some() {
            return Some(peers);
        }
        loop {
            peers = peers.with(self.peer()?)?;
            if self.text("]").is_some() {
                return Some(peers);
            }
            self.text(",")?;
        }
    }

    fn code(&mut self) -> Option<String> {
        let length = self.0.iter().position(|b| *b == b'"')?;
        let (code, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        is_code(code).then(|| String::from_utf8_lossy(code).into_owned())
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
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
const DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};
