//! The protocol of a relay: rooms, messages, and the relay's URL.
//!
//! A relay passes opaque frames between the members of a room and can read none: the same mutual TLS
//! as on a local network runs inside. Clients speak WebSocket, one binary message each:
//!
//! ```text
//! to the relay     1  version 1, role 1 (0 listener, 1 caller), room 16  once, first
//!                  2  member 8, payload                                  to that member; empty: no more
//! from the relay   3  member 8                                           you are in, under this name
//!                  4  member 8                                           a listener is here (to callers)
//!                  2  member 8, payload                                  from that member
//!                  5  member 8                                           that member is gone
//!                  6  reason 1                                           no; the connection ends
//! ```
//!
//! A listener waits to be called; a caller calls every listener in the room. The room's name is not
//! in the URL, which proxies may log.

pub mod client;
pub mod cluster;
pub mod hub;
pub mod invite;
pub mod server;
pub mod status;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::http::Uri;

/// The version of this protocol.
pub const VERSION: u8 = 1;

/// The most bytes around a payload.
pub const OVERHEAD: usize = 9;

/// The name of a room: 16 bytes that only the devices that meet there know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(pub [u8; 16]);

impl Room {
    /// The name that a relay has for the room: a hash, which does not suffice to enter it.
    #[must_use]
    pub fn hashed(&self) -> Self {
        let hash = Sha256::new_with_prefix(b"cosign/relay/room").chain_update(self.0).finalize();
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Debug for Room {
    /// Not printed: anybody who knows the name can enter the room.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room(..)")
    }
}

/// The role of a member in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// Waits to be called.
    Listener = 0,
    /// Calls listeners.
    Caller = 1,
}

impl Role {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Listener),
            1 => Some(Self::Caller),
            _ => None,
        }
    }
}

/// The name of a member at the relay.
pub type Member = [u8; 8];

/// Why a relay refuses a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Refusal {
    /// The client's message is malformed.
    Malformed = 0,
    /// The room is full.
    RoomFull = 1,
    /// The relay has the most rooms that it allows.
    TooManyRooms = 2,
    /// Too many connections, from this address or in all.
    TooManyConnections = 3,
    /// This address has joined too often lately.
    TooManyJoins = 4,
    /// The client does not read.
    TooSlow = 5,
    /// The relay is being shut down.
    Closing = 6,
}

impl Refusal {
    /// All of them, by their bytes.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::RoomFull,
        Self::TooManyRooms,
        Self::TooManyConnections,
        Self::TooManyJoins,
        Self::TooSlow,
        Self::Closing,
    ];

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::RoomFull => "room_full",
            Self::TooManyRooms => "too_many_rooms",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyJoins => "too_many_joins",
            Self::TooSlow => "too_slow",
            Self::Closing => "closing",
        }
    }
}

/// The first message of a client.
pub fn join(role: Role, room: &Room) -> Vec<u8> {
    let mut bytes = vec![JOIN, VERSION, role as u8];
    bytes.extend_from_slice(&room.0);
    bytes
}

/// Reads what [`join`] wrote.
pub fn read_join(bytes: &[u8]) -> Option<(Role, Room)> {
    let [JOIN, VERSION, role, room @ ..] = bytes else { return None };
    Some((Role::from_byte(*role)?, Room(room.try_into().ok()?)))
}

/// A payload to or from `member`; an empty one ends the stream.
pub fn parcel(member: &Member, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OVERHEAD + payload.len());
    bytes.push(DATA);
    bytes.extend_from_slice(member);
    bytes.extend_from_slice(payload);
    bytes
}

/// The member to whom a client's parcel is addressed.
pub fn addressee(bytes: &[u8]) -> Option<&Member> {
    let (DATA, rest) = bytes.split_first().map(|(kind, rest)| (*kind, rest))? else { return None };
    rest.first_chunk()
}

/// Replaces the addressee by the sender.
pub fn readdress(parcel: &mut [u8], from: &Member) {
    if let Some(place) = parcel.get_mut(1..OVERHEAD) {
        place.copy_from_slice(from);
    }
}

/// A message of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// The client has joined, under this name.
    Joined(Member),
    /// A listener is in the room.
    Here(Member),
    /// A payload.
    Data(Member, &'a [u8]),
    /// A member has left.
    Gone(Member),
    /// The relay refuses, and ends the connection.
    Refused(Refusal),
}

impl<'a> Said<'a> {
    /// Encodes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let of = |kind: u8, member: &Member| [&[kind], member.as_slice()].concat();
        match self {
            Self::Joined(member) => of(JOINED, member),
            Self::Here(member) => of(HERE, member),
            Self::Data(member, payload) => parcel(member, payload),
            Self::Gone(member) => of(GONE, member),
            Self::Refused(why) => vec![REFUSED, *why as u8],
        }
    }

    /// Decodes it; `None` if it is malformed.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        if let [REFUSED, why] = bytes {
            return Refusal::ALL.get(usize::from(*why)).map(|why| Self::Refused(*why));
        }
        let (kind, rest) = bytes.split_first()?;
        let (member, payload) = rest.split_first_chunk::<8>()?;
        match (*kind, payload) {
            (DATA, payload) => Some(Self::Data(*member, payload)),
            (JOINED, []) => Some(Self::Joined(*member)),
            (HERE, []) => Some(Self::Here(*member)),
            (GONE, []) => Some(Self::Gone(*member)),
            _ => None,
        }
    }
}

const JOIN: u8 = 1;
const DATA: u8 = 2;
const JOINED: u8 = 3;
const HERE: u8 = 4;
const GONE: u8 = 5;
const REFUSED: u8 = 6;

/// Where a relay is: `ws://HOST[:PORT][/PATH]` or `wss://…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayUrl {
    text: String,
    secure: bool,
    host: String,
    port: u16,
}

impl RelayUrl {
    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host's name as in its certificate, an IPv6 address without brackets.
    fn server_name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for RelayUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{why}; expected ws://HOST:PORT or wss://HOST"));
        if text.len() > MAX_URL || !text.chars().all(|c| c.is_ascii_graphic()) {
            return wrong("too long, or not plain text");
        }
        let Ok(uri) = text.parse::<Uri>() else { return wrong("not a URL") };
        let secure = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return wrong("no relay's URL"),
        };
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return wrong("no host");
        };
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return wrong("a relay takes no names, passwords or queries");
        }
        let port = match (uri.port_u16(), authority.as_str() == host) {
            (Some(port), _) => port,
            (None, true) if secure => 443,
            (None, true) => 80,
            (None, false) => return wrong("no port that there is"),
        };
        Ok(Self { text: text.to_owned(), secure, host: host.to_owned(), port })
    }
}

/// The longest URL of a relay.
const MAX_URL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_reads_back() {
        let member = [7; 8];
        for said in [
            Said::Joined(member),
            Said::Here(member),
            Said::Data(member, b"x"),
            Said::Data(member, b""),
            Said::Gone(member),
            Said::Refused(Refusal::Closing),
        ] {
            assert_eq!(Said::from_bytes(&said.to_bytes()), Some(said));
        }
        for why in Refusal::ALL {
            assert_eq!(Said::from_bytes(&[REFUSED, why as u8]), Some(Said::Refused(why)));
        }
        let room = Room([3; 16]);
        assert_eq!(read_join(&join(Role::Caller, &room)), Some((Role::Caller, room)));
    }

    #[test]
    fn other_bytes_are_nothing() {
        let short = [JOINED, 1, 2, 3, 4, 5, 6, 7];
        let long = [HERE, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        for bytes in [&[][..], &[0], &[9; 9], &[REFUSED, 7], &[REFUSED], &short, &long] {
            assert_eq!(Said::from_bytes(bytes), None);
        }
        let sound = join(Role::Listener, &Room([1; 16]));
        for at in 0..3 {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            assert_eq!(read_join(&bytes), None);
        }
        assert_eq!(read_join(&sound[..18]), None);
        assert_eq!(addressee(&sound), None);
        assert_eq!(addressee(&[DATA, 1, 2, 3]), None);
    }

    #[test]
    fn urls_of_relays() {
        let url: RelayUrl = "ws://127.0.0.1:7000".parse().unwrap();
        assert_eq!((url.address(), url.secure), ("127.0.0.1:7000".to_owned(), false));
        let url: RelayUrl = "wss://relay.example/cosign".parse().unwrap();
        assert_eq!((url.address(), url.secure), ("relay.example:443".to_owned(), true));
        let url: RelayUrl = "ws://[::1]:7000".parse().unwrap();
        assert_eq!((url.address().as_str(), url.server_name()), ("[::1]:7000", "::1"));
        for bad in [
            "",
            "relay.example",
            "http://relay.example",
            "ws://",
            "ws://a:b@host",
            "ws://host/?q=1",
            "ws://ho st",
            "ws://host:99999",
            "ws://h\u{f6}st",
        ] {
            assert!(bad.parse::<RelayUrl>().is_err(), "{bad}");
        }
    }
}
