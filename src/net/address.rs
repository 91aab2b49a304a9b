//! Addresses of devices, as text and as socket addresses.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use super::interface;

/// `HOST:PORT`, the port with or without: `bob.local:7700`, `192.0.2.7`, `[fe80::1%eth0]:7700`, `2001:db8::7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    V4(Ipv4Addr),
    /// The zone is an interface, by name or number.
    V6(Ipv6Addr, Option<String>),
    Name(String),
}

/// A text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl Address {
    /// This address, with `port` if it has none.
    #[must_use]
    pub fn or_port(self, port: u16) -> Self {
        Self { port: self.port.or(Some(port)), ..self }
    }

    /// All socket addresses that it names.
    ///
    /// # Errors
    /// The name is not known, or there is no such zone.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port.unwrap_or_default();
        match &self.host {
            Host::V4(ip) => Ok(vec![(*ip, port).into()]),
            Host::V6(ip, zone) => {
                let scope = zone.as_deref().map_or(Ok(0), scope)?;
                Ok(vec![SocketAddrV6::new(*ip, port, 0, scope).into()])
            }
            Host::Name(name) => Ok(tokio::net::lookup_host((name.as_str(), port)).await?.collect()),
        }
    }
}

/// The number of a zone.
fn scope(zone: &str) -> io::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {zone}"));
    interface::index(zone)?.ok_or_else(none)
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(NoAddress)?;
            let port = match rest {
                "" => None,
                rest => Some(port(rest.strip_prefix(':').ok_or(NoAddress)?)?),
            };
            return Ok(Self { host: v6(host)?, port });
        }
        // An IPv6 address without brackets has no port: its last colon is a part of it.
        if text.matches(':').count() > 1 {
            return Ok(Self { host: v6(text)?, port: None });
        }
        match text.split_once(':') {
            Some((host, digits)) => Ok(Self { host: name(host)?, port: Some(port(digits)?) }),
            None => Ok(Self { host: name(text)?, port: None }),
        }
    }
}

fn port(digits: &str) -> Result<u16, NoAddress> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0).ok_or(NoAddress)
}

fn v6(text: &str) -> Result<Host, NoAddress> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let is_zone = |zone: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        (1..=MAX_ZONE).contains(&zone.len()) && zone.chars().all(plain)
    };
    match zone.is_none_or(is_zone) {
        true => Ok(Host::V6(ip.parse().map_err(|_| NoAddress)?, zone.map(str::to_owned))),
        false => Err(NoAddress),
    }
}

/// Parses an IPv4 address or a host name.
fn name(text: &str) -> Result<Host, NoAddress> {
    if let Ok(ip) = text.parse() {
        return Ok(Host::V4(ip));
    }
    let is_label = |label: &str| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        (1..=MAX_LABEL).contains(&label.len())
            && label.chars().all(plain)
            && !label.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // A last label of digits belongs to an IPv4 address or is a mistake; no host name has one.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let fits = name.len() <= MAX_NAME
        && name.split('.').all(is_label)
        && !name.rsplit('.').next().is_some_and(is_number);
    if fits { Ok(Host::Name(text.to_owned())) } else { Err(NoAddress) }
}

/// The most bytes of a name in DNS, of one of its labels, and of the name of a zone here.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
const MAX_ZONE: usize = 64;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::V4(ip), _) => write!(f, "{ip}")?,
            (Host::Name(name), _) => f.write_str(name)?,
            (Host::V6(ip, zone), port) => {
                let zone = zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
                match port {
                    Some(_) => write!(f, "[{ip}{zone}]")?,
                    None => write!(f, "{ip}{zone}")?,
                }
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read_and_written_in_one() {
        for (text, written) in [
            ("bob.local", "bob.local:46737"),
            ("bob.local:7", "bob.local:7"),
            ("bob.local.:7", "bob.local.:7"),
            ("bob", "bob:46737"),
            ("a_b-2", "a_b-2:46737"),
            ("192.0.2.7", "192.0.2.7:46737"),
            ("192.0.2.7:65535", "192.0.2.7:65535"),
            ("2001:db8::7", "[2001:db8::7]:46737"),
            ("2001:DB8:0::7", "[2001:db8::7]:46737"),
            ("[2001:db8::7]", "[2001:db8::7]:46737"),
            ("[2001:db8::7]:7", "[2001:db8::7]:7"),
            ("[::ffff:192.0.2.7]:7", "[::ffff:192.0.2.7]:7"),
            ("fe80::7%eth0", "[fe80::7%eth0]:46737"),
            ("[fe80::7%eth0.12]:7", "[fe80::7%eth0.12]:7"),
            ("[fe80::7%2]:7", "[fe80::7%2]:7"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.clone().or_port(46737).to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(address.clone().or_port(46737)), "{text}");
            assert_eq!(address.to_string().parse(), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            ":",
            ":7",
            "bob:",
            "bob:0",
            "bob:65536",
            "bob:+7",
            "bob:x",
            "b ob",
            "-bob",
            "bob..local",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.7.8",
            "7",
            "192.0.2.7:99999",
            "[2001:db8::7",
            "[2001:db8::7]7",
            "[2001:db8::7]:",
            "[2001:db8::7]:65536",
            "[bob]:7",
            "[192.0.2.7]:7",
            "2001:db8",
            "2001:db8::7::1",
            "fe80::7%",
            "[fe80::7%]:7",
            "[fe80::7%a b]:7",
            "fe80::7%eth0]:7",
            "http://bob:7",
            "bob/7",
            "bob:7:8",
            "x".repeat(64).as_str(),
        ] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }

    #[tokio::test]
    async fn a_zone_is_an_interface_by_name_or_number() {
        let of = |text: &str| text.parse::<Address>().unwrap();
        let loopback = interface::index("lo").unwrap().unwrap();
        let by_name = of("[fe80::7%lo]:7").resolve().await.unwrap();
        assert_eq!(by_name, of(&format!("[fe80::7%{loopback}]:7")).resolve().await.unwrap());
        // The text of a resolved address resolves to it again.
        assert_eq!(of(&by_name[0].to_string()).resolve().await.unwrap(), by_name);
        let none = of("[fe80::7%gone0]:7").resolve().await.unwrap_err();
        assert!(none.to_string().contains("gone0"), "{none}");
    }
}
