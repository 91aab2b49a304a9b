//! How many callers there may be at once, before and after it is known who they are.
//!
//! Nobody makes room for a stranger but strangers: a device that is known here leaves the door as soon as
//! it has proved who it is, and takes one of a few places of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::device::Fingerprint;
use crate::run::reach::Way;

/// Callers that may be at the door at once, on the local network and through a relay.
const PLACES: usize = 128;
/// Connections that one known device may have here at once.
const CONNECTIONS: usize = 4;

/// Where a caller comes from, as far as anything is counted by that: addresses that one machine can
/// choose among are one source, and so are all rooms of a relay.
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

/// Callers of whom nothing is known yet. Where there are too many, the source that has most of them loses
/// the one that is here longest: an honest one speaks at once.
#[derive(Debug, Default)]
pub struct Door(Vec<(Source, oneshot::Sender<()>)>);

impl Door {
    /// A place at the door until what is returned is dropped; it resolves when another needs the place.
    pub fn admit(&mut self, source: Source) -> oneshot::Receiver<()> {
        self.0.retain(|(_, place)| !place.is_closed());
        if self.0.len() >= PLACES {
            let mut crowd = source;
            for (other, _) in &self.0 {
                if self.count(*other) > self.count(crowd) {
                    crowd = *other;
                }
            }
            if let Some(oldest) = self.0.iter().position(|(source, _)| *source == crowd) {
                self.0.remove(oldest);
            }
        }
        let (place, at_door) = oneshot::channel();
        self.0.push((source, place));
        at_door
    }

    fn count(&self, source: Source) -> usize {
        self.0.iter().filter(|(other, _)| *other == source).count()
    }
}

/// Known devices that are here, and how many connections each has.
#[derive(Debug, Default)]
pub struct Guests(Mutex<BTreeMap<Fingerprint, usize>>);

/// A connection of a known device. Its place is free again when this is dropped.
#[derive(Debug)]
pub struct Guest<'a> {
    guests: &'a Guests,
    peer: Fingerprint,
}

impl Guests {
    /// A place for one more connection of `peer`, unless it has enough.
    pub fn admit(&self, peer: Fingerprint) -> Option<Guest<'_>> {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = here.entry(peer).or_default();
        if *connections >= CONNECTIONS {
            return None;
        }
        *connections = connections.saturating_add(1);
        Some(Guest { guests: self, peer })
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut here = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = here.get_mut(&self.peer) {
            *connections = connections.saturating_sub(1);
            if *connections == 0 {
                here.remove(&self.peer);
            }
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

    #[test]
    fn a_crowd_makes_room_out_of_its_own() {
        let mut door = Door::default();
        let (honest, crowd) = (lan("192.0.2.7:1"), lan("192.0.2.8:1"));
        let mut first = door.admit(honest);
        let mut many: Vec<_> = (0..4 * PLACES).map(|_| door.admit(crowd)).collect();
        assert!(first.try_recv() == Err(oneshot::error::TryRecvError::Empty), "it was put out");
        let mut here = |i: usize| many[i].try_recv() == Err(oneshot::error::TryRecvError::Empty);
        assert!(!here(0) && here(4 * PLACES - 1));
        assert_eq!((0..4 * PLACES).filter(|i| here(*i)).count(), PLACES - 1);
    }

    #[test]
    fn whoever_left_takes_no_place() {
        let mut door = Door::default();
        let mut first = door.admit(Source::Relay);
        for _ in 0..4 * PLACES {
            drop(door.admit(Source::Relay));
        }
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn a_known_device_has_a_few_connections_and_takes_nobody_elses() {
        let guests = Guests::default();
        let [alice, bob] = [1, 2].map(|byte| Fingerprint::new([byte; 32]));
        let mut all: Vec<_> = (0..CONNECTIONS).map(|_| guests.admit(alice).unwrap()).collect();
        assert!(guests.admit(alice).is_none());
        assert!(guests.admit(bob).is_some());
        all.pop();
        assert!(guests.admit(alice).is_some());
    }
}
