//! The lines of the ledger, read and written in exactly one form.

use std::fmt;

use super::Id;
use crate::device::hex;
use crate::vault::authentic::Link;
use crate::vault::error::Error;

/// Some of the parties 1 to 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerSet(u16);

impl PeerSet {
    pub(super) fn of(peers: &[u8]) -> Result<Self, Error> {
        let set = peers.iter().try_fold(Self::default(), |set, peer| set.with(*peer));
        set.ok_or_else(|| Error::BadName { name: format!("parties {peers:?}") })
    }

    /// `None` if it names no party, or one that is in already.
    fn with(self, peer: u8) -> Option<Self> {
        let bit = 1_u16.checked_shl(u32::from(peer.checked_sub(1)?))?;
        (self.0 & bit == 0).then_some(Self(self.0 | bit))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (1..=16).filter(move |peer| self.0 >> (peer - 1) & 1 == 1)
    }

    pub(super) fn filter(self, is_wanted: impl Fn(u8) -> bool) -> Self {
        Self(self.iter().filter(|peer| is_wanted(*peer)).fold(0, |set, peer| set | 1 << (peer - 1)))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The parties as a list.
impl fmt::Display for PeerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers: Vec<String> = self.iter().map(|peer| peer.to_string()).collect();
        f.write_str(&peers.join(","))
    }
}

/// A line but for the header.
#[derive(Debug)]
pub(super) enum Line {
    /// With `peers`, it was written by a version that began one check with each of them here.
    Spend {
        session: Id,
        epoch: Id,
        peers: PeerSet,
    },
    Check {
        spent: u64,
        peers: PeerSet,
    },
    Resolve {
        spent: u64,
    },
    Retire {
        peer: u8,
        epoch: Id,
        fingerprint: Id,
        code: String,
        session: Id,
        time: i64,
    },
    Height {
        height: u64,
        epoch: Id,
        peer: u8,
    },
}

/// The line without its MAC and last brace.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spend { session, epoch, peers } => {
                write!(f, r#"{{"spend":"{}","epoch":"{}""#, hex(session), hex(epoch))?;
                if peers.is_empty() { Ok(()) } else { write!(f, r#","peers":[{peers}]"#) }
            }
            Self::Check { spent, peers } => {
                write!(f, r#"{{"check":{spent},"peers":[{peers}]"#)
            }
            Self::Resolve { spent } => write!(f, r#"{{"resolve":{spent}"#),
            Self::Retire { peer, epoch, fingerprint, code, session, time } => {
                let (epoch, fingerprint, session) = (hex(epoch), hex(fingerprint), hex(session));
                write!(f, r#"{{"retire":{peer},"epoch":"{epoch}","fingerprint":"{fingerprint}","#)?;
                write!(f, r#""code":"{code}","session":"{session}","time":{time}"#)
            }
            Self::Height { height, epoch, peer } => {
                write!(f, r#"{{"height":{height},"epoch":"{}","peer":{peer}"#, hex(epoch))
            }
        }
    }
}

/// Reads lines from left to right, in the one form they can have.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    /// The version in the header.
    pub(super) fn header(&mut self) -> Option<u64> {
        self.text(r#"{"ledger":"#)?;
        let version = self.number()?;
        self.text("}\n")?;
        Some(version)
    }

    /// The next line up to its MAC. Only the form that [`Line`] prints is read.
    pub(super) fn line(&mut self) -> Option<Line> {
        let line = if self.text(r#"{"spend":""#).is_some() {
            let session = self.id()?;
            self.text(r#"","epoch":""#)?;
            let epoch = self.id()?;
            self.text("\"")?;
            let peers = match self.text(r#","peers":["#) {
                Some(()) => self.peers()?,
                None => PeerSet::default(),
            };
            Line::Spend { session, epoch, peers }
        } else if self.text(r#"{"check":"#).is_some() {
            let spent = self.number()?;
            self.text(r#","peers":["#)?;
            Line::Check { spent, peers: self.peers()? }
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
        Some(line)
    }

    /// The end of a line without a MAC.
    pub(super) fn end(&mut self) -> Option<()> {
        self.text("}\n")
    }

    /// The MAC of a line, and its end.
    pub(super) fn link(&mut self) -> Option<Link> {
        self.text(r#","mac":""#)?;
        let link = self.digits()?;
        self.text("\"}\n")?;
        Some(link)
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
        self.digits()
    }

    /// `N` bytes as lower-case hexadecimal digits.
    fn digits<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (digits, rest) = self.0.split_at_checked(N.checked_mul(2)?)?;
        let mut id = [0; N];
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

    /// Ascending numbers, at least one, and the closing bracket.
    fn peers(&mut self) -> Option<PeerSet> {
        let (mut peers, mut last) = (PeerSet::default(), 0);
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

/// Whether a crash cut this short. After a power failure zeros may stand where lines were that nobody waited for, with
/// others behind them: whatever was synced is before that.
pub(super) fn is_torn(content: &[u8]) -> bool {
    let mut bytes = content.iter();
    bytes.find(|b| matches!(b, b'\n' | 0)) != Some(&b'\n')
}

pub(super) fn is_code(code: &[u8]) -> bool {
    (1..=32).contains(&code.len()) && code.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

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
    use proptest::prelude::*;

    use super::*;

    /// A line as it is read and written again.
    fn read(line: &[u8]) -> Option<String> {
        let mut cursor = Cursor(line);
        let line = cursor.line()?;
        cursor.end()?;
        cursor.0.is_empty().then(|| format!("{line}}}\n"))
    }

    #[test]
    fn a_number_has_one_form() {
        for number in ["0", "7", "10", "18446744073709551615"] {
            assert!(read(format!("{{\"resolve\":{number}}}\n").as_bytes()).is_some(), "{number}");
        }
        for number in ["", "00", "07", "+7", "-7", "7.0", " 7", "18446744073709551616"] {
            assert!(read(format!("{{\"resolve\":{number}}}\n").as_bytes()).is_none(), "{number}");
        }
    }

    #[test]
    fn a_time_has_one_form() {
        let retired = |time: &str| {
            let id = "0".repeat(64);
            let (what, whose) =
                (format!("\"epoch\":\"{id}\""), format!("\"fingerprint\":\"{id}\""));
            let why = format!("\"code\":\"E_OTE_CHECK\",\"session\":\"{id}\",\"time\":{time}");
            read(format!("{{\"retire\":2,{what},{whose},{why}}}\n").as_bytes())
        };
        for time in ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"] {
            assert!(retired(time).is_some(), "{time}");
        }
        for time in ["-", "-0", "--7", "-07", "9223372036854775808", "-9223372036854775809"] {
            assert!(retired(time).is_none(), "{time}");
        }
    }

    #[test]
    fn only_lower_case_hexadecimal_digits_are_digits_of_a_hash() {
        let line = format!("{{\"height\":1,\"epoch\":\"{}\",\"peer\":2}}\n", "0".repeat(64));
        let first = line.find("00").unwrap();
        for byte in 0..=u8::MAX {
            let is_digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            // The first digit of a byte, the second, and both.
            for digits in [0..1, 1..2, 0..2] {
                let mut bytes = line.clone().into_bytes();
                digits.for_each(|digit| bytes[first + digit] = byte);
                assert_eq!(read(&bytes).is_some(), is_digit, "{byte}");
            }
        }
    }

    fn any_line() -> impl Strategy<Value = Line> {
        let id = || any::<[u8; 32]>();
        let peer = || 1..=16_u8;
        prop_oneof![
            (id(), id(), any::<u16>()).prop_map(|(session, epoch, peers)| {
                Line::Spend { session, epoch, peers: PeerSet(peers) }
            }),
            (any::<u64>(), 1..=u16::MAX)
                .prop_map(|(spent, peers)| Line::Check { spent, peers: PeerSet(peers) }),
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
            let text = format!("{line}}}\n");
            prop_assert_eq!(read(text.as_bytes()), Some(text));
        }

        #[test]
        fn an_altered_line_is_refused_or_means_what_it_says(
            line in any_line(), at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = format!("{line}}}\n").into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = read(&bytes) {
                prop_assert_eq!(read.into_bytes(), bytes);
            }
        }
    }
}
