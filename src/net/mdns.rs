//! Finding devices with multicast DNS (`_cosign._tcp.local.`).
//!
//! Announcements are not authenticated. Ids are checked for their form, names become [`Label`]s,
//! and numbers are bounded; the TLS handshake shows which device answers. If multicast does not
//! pass, no device is found and nothing fails.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use mdns_sd::{
    IfKind, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::time::{Duration, sleep, timeout};

use super::LinkError;
use crate::device::Label;

/// The status that a device announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Listens for devices it is paired with.
    Ready,
    /// Listens for any device.
    Available,
    /// Has a ceremony or a pairing on its screen.
    Busy,
}

impl Status {
    /// The word in the announcement.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Available => "available",
            Self::Busy => "busy",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Ready, Self::Available, Self::Busy].into_iter().find(|s| s.word() == word)
    }
}

/// What is announced.
#[derive(Clone, Debug)]
pub struct AdvertInfo {
    /// The device id: 16 lower-case hexadecimal digits.
    pub id: String,
    /// The friendly name; cut to 63 bytes.
    pub name: String,
    /// The TCP port that the device listens on.
    pub port: u16,
    /// Its status.
    pub status: Status,
}

/// An announcement of this device. It is withdrawn when dropped.
pub struct Advert {
    daemon: ServiceDaemon,
    /// The random name of this announcement. Two processes of one device, and two devices of one
    /// name, do not collide.
    instance: String,
    info: AdvertInfo,
}

impl Advert {
    /// Announces this device on all interfaces, or on `interface` alone.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the announcer cannot be started. An interface that does not exist or
    /// has no multicast is not an error.
    pub fn start(info: AdvertInfo, interface: Option<&str>) -> Result<Self, LinkError> {
        let instance = format!("{}-{:08x}", info.id, OsRng.next_u32());
        let advert = Self { daemon: daemon(interface)?, instance, info };
        advert.announce()?;
        Ok(advert)
    }

    /// Announces another status.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the announcer refuses.
    pub fn set_status(&mut self, status: Status) -> Result<(), LinkError> {
        if self.info.status == status {
            return Ok(());
        }
        self.info.status = status;
        self.announce()
    }

    fn announce(&self) -> Result<(), LinkError> {
        let text = [
            ("v", VERSION),
            ("id", &self.info.id),
            ("name", cut(&self.info.name, MAX_NAME)),
            ("status", self.info.status.word()),
        ];
        let host = format!("{}.local.", self.instance);
        let mut service =
            ServiceInfo::new(SERVICE, &self.instance, &host, "", self.info.port, &text[..])
                .map_err(|error| problem(&error))?
                .enable_addr_auto();
        // The name has 96 bits of ours, so it is free; probing for that takes a second.
        service.set_requires_probe(false);
        self.daemon.register(service).map_err(|error| problem(&error))
    }
}

impl Drop for Advert {
    fn drop(&mut self) {
        // The shutdown sends the goodbye; without waiting the process may end before that.
        if let Ok(done) = self.daemon.shutdown() {
            let _ = done.recv_timeout(GOODBYE);
        }
    }
}

impl fmt::Debug for Advert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advert").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A device that announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The device id it claims: 16 lower-case hexadecimal digits.
    pub id: String,
    /// The name it claims.
    pub name: Label,
    /// Where to reach it, best first; at most 16.
    pub addresses: Vec<SocketAddr>,
    /// The port of all addresses.
    pub port: u16,
    /// The status that it announces.
    pub status: Status,
}

/// Watches for announcements.
pub struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
}

impl Browser {
    /// Watches all interfaces, or `interface` alone.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the watcher cannot be started.
    pub fn start(interface: Option<&str>) -> Result<Self, LinkError> {
        let daemon = daemon(interface)?;
        let events = daemon.browse(SERVICE).map_err(|error| problem(&error))?;
        Ok(Self { daemon, events })
    }

    /// The next announcement of an address, new or altered. Cancel-safe. Waits for ever if nothing
    /// is announced.
    ///
    /// Announcements are neither stored nor merged: each well-formed one is returned, and several
    /// may name one device.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let ServiceEvent::ServiceResolved(service) = self.event().await
                && let Some(seen) = read(&service)
                && !seen.addresses.is_empty()
            {
                return seen;
            }
        }
    }

    /// The next event. The channel closes if more events arrive at once than it holds; then
    /// watching begins again.
    async fn event(&mut self) -> ServiceEvent {
        loop {
            if let Ok(event) = self.events.recv_async().await {
                return event;
            }
            sleep(BREATH).await;
            if let Ok(events) = self.daemon.browse(SERVICE) {
                self.events = events;
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

/// The ids that are announced within `wait`, except the own one; at most 256.
pub async fn browse(wait: Duration, own_id: &str, interface: Option<&str>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let Ok(mut browser) = Browser::start(interface) else { return ids };
    let watching = async {
        while ids.len() < MAX_IDS {
            let seen = browser.next().await;
            if seen.id != own_id {
                ids.insert(seen.id);
            }
        }
    };
    let _ = timeout(wait, watching).await;
    ids
}

/// The first announcement of this id; `None` if there is none within `wait`.
pub async fn find(id: &str, wait: Duration, interface: Option<&str>) -> Option<Seen> {
    let mut browser = Browser::start(interface).ok()?;
    let watching = async {
        loop {
            let seen = browser.next().await;
            if seen.id == id {
                return seen;
            }
        }
    };
    timeout(wait, watching).await.ok()
}

fn daemon(interface: Option<&str>) -> Result<ServiceDaemon, LinkError> {
    let daemon = ServiceDaemon::new().map_err(|error| problem(&error))?;
    if let Some(name) = interface {
        daemon.disable_interface(IfKind::All).map_err(|error| problem(&error))?;
        daemon.enable_interface(name).map_err(|error| problem(&error))?;
    }
    Ok(daemon)
}

/// Parses an announcement; `None` if it has not our form.
pub fn read(service: &ResolvedService) -> Option<Seen> {
    let text = |key| service.get_property_val_str(key);
    let id = text("id").filter(|id| is_device_id(id))?.to_owned();
    if text("v") != Some(VERSION) || service.port == 0 {
        return None;
    }
    let mut addresses =
        service.addresses.iter().filter_map(|ip| address(ip, service.port)).collect();
    order(&mut addresses);
    Some(Seen {
        id,
        name: Label::capped(cut(text("name").unwrap_or_default(), MAX_NAME), MAX_NAME),
        addresses,
        port: service.port,
        status: Status::parse(text("status")?)?,
    })
}

fn is_device_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The socket address. A link-local address is of use only with its interface.
fn address(ip: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match ip {
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            let scope = v6.scope_id().index;
            (scope != 0).then(|| SocketAddrV6::new(*v6.addr(), port, 0, scope).into())
        }
        _ => {
            let ip = ip.to_ip_addr();
            (!ip.is_unspecified() && !ip.is_multicast()).then(|| SocketAddr::new(ip, port))
        }
    }
}

/// Sorts the most promising addresses first, and drops duplicates and those above the limit.
fn order(addresses: &mut Vec<SocketAddr>) {
    addresses.sort_by_key(|address| {
        let rank = match address.ip() {
            ip if ip.is_loopback() => 0,
            IpAddr::V4(_) => 1,
            IpAddr::V6(ip) if !ip.is_unicast_link_local() => 2,
            IpAddr::V6(_) => 3,
        };
        (rank, *address)
    });
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
}

/// The longest beginning of `text` that has at most `limit` bytes and ends between characters.
fn cut(text: &str, limit: usize) -> &str {
    let ends = text.char_indices().map(|(start, c)| start.saturating_add(c.len_utf8()));
    let end = ends.take_while(|end| *end <= limit).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn problem(error: &mdns_sd::Error) -> LinkError {
    LinkError::Io(format!("multicast DNS: {error}"))
}

const SERVICE: &str = "_cosign._tcp.local.";

/// The version of the announcement.
const VERSION: &str = "1";

/// The most bytes of a name.
const MAX_NAME: usize = 63;

/// Most ids that are counted, so that a flood of announcements is bounded.
const MAX_IDS: usize = 256;

/// The most addresses of one announcement.
const MAX_ADDRESSES: usize = 16;

const GOODBYE: Duration = Duration::from_millis(300);
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566aa";

    fn said(instance: &str, ip: &str, text: &[(&str, &str)]) -> ResolvedService {
        let host = format!("{instance}.local.");
        ServiceInfo::new(SERVICE, instance, &host, ip, 7001, text).unwrap().as_resolved_service()
    }

    fn announcement(instance: &str, id: &str, ip: &str, name: &str) -> ResolvedService {
        said(instance, ip, &[("v", "1"), ("id", id), ("name", name), ("status", "ready")])
    }

    #[test]
    fn announcements_of_another_form_are_ignored() {
        let good = [("v", "1"), ("id", ID), ("name", "bob"), ("status", "ready")];
        for (key, value) in [
            ("v", "2"),
            ("id", "00112233445566AA"),
            ("id", "00112233445566a"),
            ("id", "00112233445566aa0"),
            ("id", "../../etc/passwd"),
            ("status", "asleep"),
        ] {
            let bad = good.map(|(k, v)| if k == key { (k, value) } else { (k, v) });
            assert_eq!(read(&said("x", "127.0.0.1", &bad)), None, "{key}={value}");
        }
        assert!(read(&said("x", "127.0.0.1", &good)).is_some());
    }

    #[test]
    fn a_name_cannot_draw_on_the_screen() {
        let name = "\u{1b}[2Jbob\u{202e}";
        let seen = read(&announcement("x", ID, "127.0.0.1", name)).unwrap();
        assert_eq!(seen.name.as_str(), "[2Jbob");
    }

    #[test]
    fn unusable_addresses_are_skipped_and_the_rest_is_ordered_and_bounded() {
        // A link-local address without its interface cannot be reached.
        let list = "fe80::1,0.0.0.0,224.0.0.1,fd00::2,10.0.0.2,127.0.0.1";
        let seen = read(&announcement("x", ID, list, "bob")).unwrap();
        let expected: Vec<SocketAddr> = ["127.0.0.1:7001", "10.0.0.2:7001", "[fd00::2]:7001"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(seen.addresses, expected);
        let many: Vec<String> = (1..100).map(|n| format!("10.0.1.{n}")).collect();
        let seen = read(&announcement("x", ID, &many.join(","), "bob")).unwrap();
        assert_eq!(seen.addresses.len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(cut("short", 63), "short");
        assert_eq!(cut(&"é".repeat(40), 63), "é".repeat(31));
        assert_eq!(cut("é", 1), "");
    }
}
