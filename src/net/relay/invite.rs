//! Invitations, as a QR code holds them: the relay and room, the device that waits there, and until
//! when.
//!
//! ```text
//! cosign://pair?relay=<URL>&room=<base32>&fp=<base32>&exp=<seconds since 1970>
//! ```
//!
//! It is `cosign://group?…` for a group, which several devices may join.
//!
//! An invitation is not secret: anybody who reads it can call, and two people still compare six
//! digits. It pins the fingerprint of the device to be called, so an altered one fails in the TLS
//! handshake. Base 32 and decimals keep QR codes small. The fingerprint may be hexadecimal as well.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{RelayUrl, Room};
use crate::device::Fingerprint;

/// An invitation to pair, or to join a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The relay.
    pub relay: RelayUrl,
    /// The room there.
    pub room: Room,
    /// The device that waits in it.
    pub fingerprint: Fingerprint,
    /// When it expires, in seconds since 1970.
    pub expires: i64,
    /// Whether it is for a group.
    pub group: bool,
}

impl Invite {
    /// Whether `text` looks like an invitation, valid or not.
    pub fn is_meant(text: &str) -> bool {
        let start = text.chars().filter(|c| !c.is_whitespace()).take(SCHEME.len());
        start.collect::<String>().eq_ignore_ascii_case(SCHEME)
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base32 = |bytes: &[u8]| BASE32_NOPAD.encode(bytes);
        write!(
            f,
            "{SCHEME}{}?relay={}&room={}&fp={}&exp={}",
            if self.group { GROUP } else { PAIR },
            utf8_percent_encode(self.relay.as_str(), ESCAPED),
            base32(&self.room.0),
            base32(self.fingerprint.as_bytes()),
            self.expires
        )
    }
}

impl FromStr for Invite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("no invitation of cosign: {why}");
        // Line breaks of a terminal are copied with it, so white space is removed.
        let text: String = text.split_whitespace().collect();
        if !Self::is_meant(&text) || text.len() > LONGEST {
            return Err(wrong("expected cosign://pair?…"));
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (action, fields) = rest.split_once('?').ok_or_else(|| wrong("nothing follows"))?;
        let group = match action.trim_end_matches('/').to_ascii_lowercase().as_str() {
            PAIR => false,
            GROUP => true,
            _ => return Err(wrong("it is for something else than pairing")),
        };
        let (mut relay, mut room, mut fingerprint, mut expires) = (None, None, None, None);
        for field in fields.split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| wrong("it is damaged"))?;
            let fresh = match name {
                "relay" => {
                    let url = value.parse().map_err(|e: String| wrong(&format!("relay: {e}")))?;
                    relay.replace(url).is_none()
                }
                "room" => room.replace(bytes(&value).map(Room)).is_none(),
                "fp" => fingerprint.replace(print(&value)).is_none(),
                "exp" => expires.replace(value.parse().ok()).is_none(),
                // A parameter of a later version is ignored.
                _ => true,
            };
            if !fresh {
                return Err(wrong("a part of it stands there twice"));
            }
        }
        Ok(Self {
            relay: relay.ok_or_else(|| wrong("the relay is missing"))?,
            room: room.flatten().ok_or_else(|| wrong("the room is missing or wrong"))?,
            fingerprint: fingerprint
                .flatten()
                .ok_or_else(|| wrong("the fingerprint is missing or wrong"))?,
            expires: expires.flatten().ok_or_else(|| wrong("its end is missing or wrong"))?,
            group,
        })
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok()
}

fn print(text: &str) -> Option<Fingerprint> {
    bytes(text).map(Fingerprint::new).or_else(|| text.parse().ok())
}

const SCHEME: &str = "cosign://";
const PAIR: &str = "pair";
const GROUP: &str = "group";
const LONGEST: usize = 2048;

/// Characters of a URI's query that need no escape (RFC 3986, section 3.4) and separate no fields.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b'[')
    .remove(b']');

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn invite() -> Invite {
        Invite {
            relay: "wss://relay.example/a%26b".parse().unwrap(),
            room: Room([1; 16]),
            fingerprint: Fingerprint::new([2; 32]),
            expires: 1_800_000_000,
            group: false,
        }
    }

    #[test]
    fn an_invitation_reads_back() {
        let text = invite().to_string();
        assert_eq!(text.parse(), Ok(invite()), "{text}");
        let plain = Invite { relay: "ws://127.0.0.1:7000".parse().unwrap(), ..invite() };
        assert_eq!(
            plain.to_string(),
            "cosign://pair?relay=ws://127.0.0.1:7000&room=AEAQCAIBAEAQCAIBAEAQCAIBAE\
             &fp=AIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBA&exp=1800000000"
        );
        let group = Invite { group: true, ..plain.clone() };
        assert_eq!(group.to_string(), plain.to_string().replace("pair?", "group?"));
        assert_eq!(group.to_string().parse(), Ok(group));
    }

    #[test]
    fn other_spellings_of_it_are_taken() {
        let text = invite().to_string();
        let hex = text.replace(&BASE32_NOPAD.encode(&[2; 32]), &"02".repeat(32));
        assert_eq!(hex.parse(), Ok(invite()));
        assert_eq!(text.replace("AEAQCAIB", "aeaqcaib").parse(), Ok(invite()));
        assert_eq!(text.replace("cosign://pair?", "COSIGN://PAIR/?").parse(), Ok(invite()));
        assert_eq!(format!(" {text}&later=1\n").parse(), Ok(invite()));
        for columns in [7, 20, 58] {
            let chars: Vec<char> = text.chars().collect();
            let lines: Vec<String> = chars.chunks(columns).map(|c| c.iter().collect()).collect();
            let copied = lines.join(" \r\n   ");
            assert!(Invite::is_meant(&copied));
            assert_eq!(copied.parse(), Ok(invite()), "{copied}");
        }
    }

    #[test]
    fn damaged_ones_are_refused() {
        let text = invite().to_string();
        for (part, by) in [
            ("cosign://", "http://"),
            ("pair?", "sign?"),
            ("relay=wss", "relay=http"),
            ("&room=A", "&room="),
            ("&room=", "&rom="),
            ("&fp=", "&fp=A"),
            ("&exp=", "&exp=x"),
            ("&exp=", "&fp=&exp="),
            ("&exp=1800000000", ""),
            ("%25", "%ff"),
        ] {
            assert!(text.contains(part));
            assert!(text.replace(part, by).parse::<Invite>().is_err(), "{part} -> {by}");
        }
        assert!("".parse::<Invite>().is_err());
        assert!("cosign://".parse::<Invite>().is_err());
    }

    proptest! {
        #[test]
        fn random_text_never_panics(tail in ".{0,200}") {
            let _ = tail.parse::<Invite>();
            let _ = format!("cosign://pair?{tail}").parse::<Invite>();
        }
    }
}
