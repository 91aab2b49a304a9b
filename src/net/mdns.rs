//! Finding devices with multicast DNS (`_cosign._tcp.local.`).
//!
//! What is found here is a hint and no more: anybody on the network may say anything. Ids are
//! checked for their form, names become [`Label`]s, numbers are bounded; who a device is shows in
//! the handshake with it. Where multicast does not get through, nobody is found and nothing fails.

use std::collections::HashMap;
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

/// What a device says of itself to everybody near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Listens for devices it is paired with.
    Ready,
    /// Listens for anybody.
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
    /// The friendly name; what is over 63 bytes is cut off.
    pub name: String,
    /// The TCP port this device listens at.
    pub port: u16,
    /// What it is ready for.
    pub status: Status,
}

/// An announcement of this device. It is withdrawn when dropped.
pub struct Advert {
    daemon: ServiceDaemon,
    /// The name of this announcement, not of the device: two processes of one device, and two
    /// devices of one name, do not get into each other's way.
    instance: String,
    info: AdvertInfo,
}

impl Advert {
    /// Announces this device on all interfaces, or on `interface` alone.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the announcer cannot be started. An interface that does not exist or does
    /// not do multicast is no error.
    pub fn start(info: AdvertInfo, interface: Option<&str>) -> Result<Self, LinkError> {
        let instance = format!("{}-{:08x}", info.id, OsRng.next_u32());
        let advert = Self { daemon: daemon(interface)?, instance, info };
        advert.announce()?;
        Ok(advert)
    }

    /// Announces another status.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the announcer does not take it.
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
        // The name holds 96 bits of ours; asking around whether it is free takes a second.
        service.set_requires_probe(false);
        self.daemon.register(service).map_err(|error| problem(&error))
    }
}

impl Drop for Advert {
    fn drop(&mut self) {
        // Shutting down says goodbye; a process that ends at once would not get to it.
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
    /// What it says it is ready for.
    pub status: Status,
}

/// What a [`Browser`] noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A device that was not there before.
    Appeared(Seen),
    /// A device that said something new of itself.
    Changed(Seen),
    /// A device that said goodbye or was not heard of for two minutes.
    Gone(Seen),
}

/// Watches for devices, except the own one.
pub struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    neighbours: Neighbours,
}

impl Browser {
    /// Watches all interfaces, or `interface` alone.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the watcher cannot be started.
    pub fn start(own_id: &str, interface: Option<&str>) -> Result<Self, LinkError> {
        let daemon = daemon(interface)?;
        let events = daemon.browse(SERVICE).map_err(|error| problem(&error))?;
        Ok(Self { daemon, events, neighbours: Neighbours::new(own_id) })
    }

    /// The next thing noticed. Cancel-safe. Waits for ever where nothing happens.
    pub async fn next(&mut self) -> Sighting {
        loop {
            let sighting = match self.event().await {
                ServiceEvent::ServiceResolved(service) => self.neighbours.resolved(&service),
                ServiceEvent::ServiceRemoved(_, gone) => self.neighbours.removed(&gone),
                _ => None,
            };
            if let Some(sighting) = sighting {
                return sighting;
            }
        }
    }

    /// The next event. Where more came at once than the channel holds it is closed, and watching
    /// begins again.
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

    /// Everybody who is there now, in order of name and id.
    pub fn present(&self) -> Vec<Seen> {
        self.neighbours.present()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("present", &self.present().len()).finish_non_exhaustive()
    }
}

/// Everybody who can be seen within `wait`, except the own device.
pub async fn browse(wait: Duration, own_id: &str, interface: Option<&str>) -> Vec<Seen> {
    let Ok(mut browser) = Browser::start(own_id, interface) else { return Vec::new() };
    let watching = async {
        loop {
            browser.next().await;
        }
    };
    let _: Result<(), _> = timeout(wait, watching).await;
    browser.present()
}

/// The device with this id, as soon as it is seen with an address; `None` if it is not within
/// `wait`. However many others are announced, it is found among them.
pub async fn find(id: &str, wait: Duration, interface: Option<&str>) -> Option<Seen> {
    let mut browser = Browser::start("", interface).ok()?;
    let watching = async {
        loop {
            if let ServiceEvent::ServiceResolved(service) = browser.event().await
                && let Some(seen) = read(&service)
                && seen.id == id
                && !seen.addresses.is_empty()
            {
                return seen;
            }
        }
    };
    timeout(wait, watching).await.ok()
}

/// Who is there, by device id.
#[derive(Debug)]
struct Neighbours {
    own_id: String,
    known: HashMap<String, Known>,
}

/// A device and the announcement that it was last seen by.
#[derive(Debug)]
struct Known {
    announcement: String,
    seen: Seen,
}

impl Neighbours {
    fn new(own_id: &str) -> Self {
        Self { own_id: own_id.to_owned(), known: HashMap::new() }
    }

    fn present(&self) -> Vec<Seen> {
        let mut all: Vec<Seen> = self.known.values().map(|known| known.seen.clone()).collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    fn resolved(&mut self, service: &ResolvedService) -> Option<Sighting> {
        let mut seen = read(service).filter(|seen| seen.id != self.own_id)?;
        let announcement = service.fullname.clone();
        let Some(known) = self.known.get_mut(&seen.id) else {
            if self.known.len() >= MAX_KNOWN {
                return None;
            }
            self.known.insert(seen.id.clone(), Known { announcement, seen: seen.clone() });
            return Some(Sighting::Appeared(seen));
        };
        if known.announcement == announcement && known.seen.port == seen.port {
            // IPv4 and IPv6 arrive one after the other.
            seen.addresses.extend_from_slice(&known.seen.addresses);
            order(&mut seen.addresses);
        }
        known.announcement = announcement;
        if known.seen == seen {
            return None;
        }
        known.seen = seen.clone();
        Some(Sighting::Changed(seen))
    }

    fn removed(&mut self, announcement: &str) -> Option<Sighting> {
        let id = self
            .known
            .iter()
            .find(|(_, known)| known.announcement == announcement)
            .map(|(id, _)| id.clone())?;
        self.known.remove(&id).map(|known| Sighting::Gone(known.seen))
    }
}

fn daemon(interface: Option<&str>) -> Result<ServiceDaemon, LinkError> {
    let daemon = ServiceDaemon::new().map_err(|error| problem(&error))?;
    if let Some(name) = interface {
        daemon.disable_interface(IfKind::All).map_err(|error| problem(&error))?;
        daemon.enable_interface(name).map_err(|error| problem(&error))?;
    }
    Ok(daemon)
}

/// What an announcement says, if it has our form.
fn read(service: &ResolvedService) -> Option<Seen> {
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

/// A link-local address is of use only with the interface it is local to.
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

/// Sorts the most promising addresses first and drops what is double or too much.
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

/// The most devices that are remembered: more is a flood.
const MAX_KNOWN: usize = 256;

/// The most addresses of one device that are remembered.
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
        let mut neighbours = Neighbours::new("");
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
            assert_eq!(neighbours.resolved(&said("x", "127.0.0.1", &bad)), None, "{key}={value}");
        }
        assert!(neighbours.resolved(&said("x", "127.0.0.1", &good)).is_some());
    }

    #[test]
    fn the_own_device_is_not_seen() {
        let mut neighbours = Neighbours::new(ID);
        assert_eq!(neighbours.resolved(&announcement("x", ID, "127.0.0.1", "me")), None);
        assert!(neighbours.present().is_empty());
    }

    #[test]
    fn a_name_cannot_draw_on_the_screen() {
        let mut neighbours = Neighbours::new("");
        let name = "\u{1b}[2Jbob\u{202e}";
        neighbours.resolved(&announcement("x", ID, "127.0.0.1", name));
        assert_eq!(neighbours.present()[0].name.as_str(), "[2Jbob");
    }

    #[test]
    fn addresses_of_one_announcement_are_merged_and_repeats_are_no_news() {
        let mut neighbours = Neighbours::new("");
        let over = |ip| announcement("x", ID, ip, "bob");
        assert!(matches!(neighbours.resolved(&over("10.0.0.2")), Some(Sighting::Appeared(_))));
        assert!(matches!(neighbours.resolved(&over("fd00::2")), Some(Sighting::Changed(_))));
        assert_eq!(neighbours.resolved(&over("10.0.0.2")), None);
        let expected: Vec<SocketAddr> =
            ["10.0.0.2:7001", "[fd00::2]:7001"].map(|a| a.parse().unwrap()).into();
        assert_eq!(neighbours.present()[0].addresses, expected);
    }

    #[test]
    fn a_restarted_device_replaces_what_it_was() {
        let mut neighbours = Neighbours::new("");
        let before = announcement("before", ID, "10.0.0.2", "bob");
        neighbours.resolved(&before);
        let after = announcement("after", ID, "10.0.0.3", "bob");
        let Some(Sighting::Changed(seen)) = neighbours.resolved(&after) else { panic!() };
        assert_eq!(seen.addresses, ["10.0.0.3:7001".parse().unwrap()]);
        assert_eq!(neighbours.removed(&before.fullname), None);
        assert_eq!(neighbours.removed(&after.fullname), Some(Sighting::Gone(seen)));
    }

    #[test]
    fn devices_of_one_name_are_two_and_a_flood_is_cut() {
        let mut neighbours = Neighbours::new("");
        for number in 0..2 * MAX_KNOWN {
            let id = format!("{number:016x}");
            neighbours.resolved(&announcement(&id, &id, "10.0.0.2", "bob"));
        }
        assert_eq!(neighbours.present().len(), MAX_KNOWN);
    }

    #[test]
    fn unusable_addresses_are_skipped_and_the_rest_is_ordered_and_bounded() {
        let mut neighbours = Neighbours::new("");
        // A link-local address without its interface reaches nobody.
        let list = "fe80::1,0.0.0.0,224.0.0.1,fd00::2,10.0.0.2,127.0.0.1";
        neighbours.resolved(&announcement("x", ID, list, "bob"));
        let expected: Vec<SocketAddr> = ["127.0.0.1:7001", "10.0.0.2:7001", "[fd00::2]:7001"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(neighbours.present()[0].addresses, expected);
        let many: Vec<String> = (1..100).map(|n| format!("10.0.1.{n}")).collect();
        neighbours.resolved(&announcement("x", ID, &many.join(","), "bob"));
        assert_eq!(neighbours.present()[0].addresses.len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(cut("short", 63), "short");
        assert_eq!(cut(&"é".repeat(40), 63), "é".repeat(31));
        assert_eq!(cut("é", 1), "");
    }
}
