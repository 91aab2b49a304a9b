//! TCP connections.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use super::{Acceptor, Dialer, Io, LinkError, Promise};

/// Connects to `HOST:PORT`.
///
/// # Errors
/// [`LinkError::Unreachable`] if the name is unknown or nothing listens there,
/// [`LinkError::TimedOut`] if there is no answer within `within`.
pub async fn dial(address: &str, within: Duration) -> Result<Box<dyn Io>, LinkError> {
    let work = async {
        let found = lookup_host(address).await.map_err(|error| unreachable(address, &error))?;
        race(&found.collect::<Vec<_>>()).await
    };
    timeout(within, work).await.unwrap_or(Err(LinkError::TimedOut))
}

/// Connects to whichever of the addresses of one device answers first.
///
/// # Errors
/// As [`dial`]; the error is that of the last address that failed.
pub async fn dial_any(
    addresses: &[SocketAddr],
    within: Duration,
) -> Result<Box<dyn Io>, LinkError> {
    timeout(within, race(addresses)).await.unwrap_or(Err(LinkError::TimedOut))
}

/// Starts one attempt after the other, the next as soon as one has failed or is slow.
async fn race(addresses: &[SocketAddr]) -> Result<Box<dyn Io>, LinkError> {
    let mut left = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut error = LinkError::Unreachable("no address".to_owned());
    loop {
        match left.next() {
            Some(address) => {
                attempts.spawn(async move { (address, TcpStream::connect(address).await) });
            }
            None if attempts.is_empty() => return Err(error),
            None => {}
        }
        let next_attempt = if left.len() == 0 { Duration::MAX } else { STAGGER };
        match timeout(next_attempt, attempts.join_next()).await {
            Ok(Some(Ok((_, Ok(stream))))) => return Ok(prompt(stream)),
            Ok(Some(Ok((address, Err(e))))) => error = unreachable(&address.to_string(), &e),
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

/// Waits for connections.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens at `ip`, or at every address of this device, IPv4 and IPv6. Port 0 picks a free one.
    ///
    /// # Errors
    /// The address is not of this device, the port is taken, or it needs a privilege.
    pub async fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let bound = match ip {
            Some(ip) => TcpListener::bind((ip, port)).await,
            None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
                Ok(listener) => Ok(listener),
                Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
            },
        };
        bound.map(Self)
    }

    /// The address that others connect to.
    ///
    /// # Errors
    /// [`LinkError::Io`] from the operating system.
    pub fn address(&self) -> Result<SocketAddr, LinkError> {
        self.0.local_addr().map_err(LinkError::from)
    }

    /// The next connection and where it comes from. Cancel-safe.
    ///
    /// If a connection broke before it was accepted, or there is no free file descriptor, it goes
    /// on after a pause.
    pub async fn accept(&self) -> (Box<dyn Io>, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    return (prompt(stream), from);
                }
                Err(_) => sleep(BREATH).await,
            }
        }
    }
}

impl Acceptor for Listener {
    fn accept(&self) -> Promise<'_, (Box<dyn Io>, SocketAddr)> {
        Box::pin(Self::accept(self))
    }
}

/// Dials over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Dialer for Tcp {
    fn dial(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> Promise<'_, Result<Box<dyn Io>, LinkError>> {
        Box::pin(async move { dial_any(&[address], within).await })
    }
}

/// Sends small messages at once.
fn prompt(stream: TcpStream) -> Box<dyn Io> {
    // If that fails the link is only slower.
    let _ = stream.set_nodelay(true);
    Box::new(stream)
}

fn unreachable(address: &str, error: &std::io::Error) -> LinkError {
    let what = format!("{address}: {error}");
    match error.kind() {
        ErrorKind::ConnectionRefused => LinkError::NotListening(what),
        _ => LinkError::Unreachable(what),
    }
}

/// How long to wait for one address before the next is tried as well.
const STAGGER: Duration = Duration::from_millis(150);

/// The pause after a failed accept.
const BREATH: Duration = Duration::from_millis(50);
