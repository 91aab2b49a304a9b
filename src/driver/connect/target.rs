//! A device to be reached, the possible ways to it, and the way that led there.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::device::{Fingerprint, Label};
use crate::net::relay::{RelayUrl, Room};
use crate::net::tls::TlsLink;
use crate::vault::PeerRecord;
use crate::wire::About;

/// Where to look for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A command whose standard input and output reach it.
    Via(String),
    /// `HOST:PORT`.
    Address(String),
    /// The address it had last, or mDNS.
    Find,
    /// A room of a relay, from an invitation.
    Room(RelayUrl, Room),
}

/// How a device was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A command's standard input and output, or this program's own.
    Command,
    /// A connection to or from this address.
    Lan(SocketAddr),
    /// A room of this relay.
    Relay(RelayUrl),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("command"),
            Self::Lan(address) => write!(f, "lan {address}"),
            Self::Relay(url) => write!(f, "relay {url}"),
        }
    }
}

/// A device to be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name for people.
    pub name: Label,
    /// The pinned fingerprint; `None` accepts whoever answers (pairing only).
    pub fingerprint: Option<Fingerprint>,
    /// Where to look for it.
    pub route: Route,
}

impl Target {
    /// A paired device, by the address in its record or wherever it is found.
    pub fn paired(record: &PeerRecord, route: Option<Route>) -> Self {
        let stored = || record.address.clone().map_or(Route::Find, Route::Address);
        Self {
            name: Label::new(&record.name),
            fingerprint: Some(record.fingerprint),
            route: route.unwrap_or_else(stored),
        }
    }
}

/// A connection whose other end has greeted.
#[derive(Debug)]
pub struct Reached {
    /// The link.
    pub link: TlsLink,
    /// The other device's name for itself.
    pub name: Label,
    /// How it was reached.
    pub way: Way,
    /// What its program is and can do, if it tells it.
    pub about: Option<About>,
}

/// Where a caller comes from, for limits: addresses that one machine can choose among are one
/// source, and so are all rooms of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A command's standard input and output.
    Command,
    /// An IPv4 address, or the /64 of an IPv6 address.
    Net(IpAddr),
    /// A relay.
    Relay,
}

impl Source {
    /// The source of a caller that comes this way.
    pub fn of(way: &Way) -> Self {
        match way {
            Way::Command => Self::Command,
            Way::Relay(_) => Self::Relay,
            Way::Lan(address) => Self::Net(match address.ip().to_canonical() {
                IpAddr::V6(ip) => {
                    IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)))
                }
                v4 => v4,
            }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("command"),
            Self::Net(ip @ IpAddr::V4(_)) => ip.fmt(f),
            Self::Net(ip) => write!(f, "{ip}/64"),
            Self::Relay => f.write_str("relay"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lan(address: &str) -> Source {
        Source::of(&Way::Lan(address.parse().unwrap()))
    }

    #[test]
    fn addresses_that_one_machine_can_choose_among_are_one_source() {
        assert_eq!(lan("192.0.2.7:1"), lan("[::ffff:192.0.2.7]:2"));
        assert_eq!(lan("[2001:db8:1:2::3]:1"), lan("[2001:db8:1:2:ffff::]:2"));
        assert_ne!(lan("[2001:db8:1:2::3]:1"), lan("[2001:db8:1:3::3]:1"));
        assert_eq!(lan("[2001:db8:1:2::3]:1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(lan("192.0.2.7:1").to_string(), "192.0.2.7");
    }
}
