//! A device's end of a relay. A caller gets a stream to every listener in the room, a listener one
//! from every caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Member, Refusal, RelayUrl, Role, Room, Said, join, parcel};
use crate::net::calendar::calendar;
use crate::net::tunnel::{Inlet, Outlet, tunnel};
use crate::net::{Io, LinkError, tcp};

/// A membership in a room.
#[derive(Debug)]
pub struct Calls {
    streams: mpsc::Receiver<Box<dyn Io>>,
    /// Keeps the connection to the relay open; every stream does, too.
    _open: mpsc::Sender<Message>,
}

impl Calls {
    /// The next stream: to a listener that is in the room, or from a caller. `None` once the
    /// connection to the relay is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Box<dyn Io>> {
        self.streams.recv().await
    }
}

/// Enters a room. Anybody who knows its name can enter, so TLS has to verify who is at the other
/// end of a stream.
///
/// # Errors
/// [`LinkError::Unreachable`] if the relay cannot be reached or refuses, [`LinkError::TimedOut`],
/// [`LinkError::Tls`] if a `wss://` relay has no valid certificate.
pub async fn enter(
    relay: &RelayUrl,
    room: &Room,
    role: Role,
    within: Duration,
) -> Result<Calls, LinkError> {
    let entering = async {
        let mut socket = connect(relay, within).await?;
        let failed = |error: WsError| unreachable(relay, &error.to_string());
        socket.send(Message::binary(join(role, room))).await.map_err(failed)?;
        match hear(relay, &mut socket).await? {
            Answer::Joined => {}
            Answer::Refused(why) => {
                return Err(unreachable(relay, &format!("it refuses: {}", why.name())));
            }
        }
        let (streams, taken) = mpsc::channel(STREAMS);
        let (open, queue) = mpsc::channel(QUEUE);
        let membership =
            Membership { role, streams, open: open.downgrade(), others: BTreeMap::new() };
        tokio::spawn(membership.run(socket, queue));
        Ok(Calls { streams: taken, _open: open })
    };
    timeout(within, entering).await.unwrap_or(Err(LinkError::TimedOut))
}

type Socket = WebSocketStream<Box<dyn Io>>;

async fn connect(relay: &RelayUrl, within: Duration) -> Result<Socket, LinkError> {
    let mut io = tcp::dial(&relay.address(), within).await?;
    if relay.secure {
        let name = ServerName::try_from(relay.server_name().to_owned())
            .map_err(|error| LinkError::Tls(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(outer_tls()?));
        let stream = connector.connect(name, io).await;
        io = Box::new(stream.map_err(|error| LinkError::Tls(format!("{relay}: {error}")))?);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let (socket, _) = client_async_with_config(relay.as_str(), io, Some(config))
        .await
        .map_err(|error| unreachable(relay, &error.to_string()))?;
    Ok(socket)
}

/// TLS to the relay, with the authorities that this system trusts. It hides from the network who
/// meets; the content is protected by the TLS inside.
fn outer_tls() -> Result<ClientConfig, LinkError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, calendar())
        .with_safe_default_protocol_versions()
        .map_err(|error| LinkError::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

enum Answer {
    Joined,
    Refused(Refusal),
}

async fn hear(relay: &RelayUrl, socket: &mut Socket) -> Result<Answer, LinkError> {
    loop {
        let message = match socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(unreachable(relay, &error.to_string())),
            None => return Err(unreachable(relay, "it hung up")),
        };
        match message {
            Message::Binary(bytes) => {
                return match Said::from_bytes(&bytes) {
                    Some(Said::Joined(_)) => Ok(Answer::Joined),
                    Some(Said::Refused(why)) => Ok(Answer::Refused(why)),
                    _ => Err(unreachable(relay, "it is no relay of this kind")),
                };
            }
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return Err(unreachable(relay, "it is no relay of this kind")),
        }
    }
}

fn unreachable(relay: &RelayUrl, why: &str) -> LinkError {
    LinkError::Unreachable(format!("relay {relay}: {why}"))
}

/// The task of a connection to a relay.
struct Membership {
    role: Role,
    streams: mpsc::Sender<Box<dyn Io>>,
    open: mpsc::WeakSender<Message>,
    others: BTreeMap<Member, Inlet>,
}

impl Membership {
    /// Runs until the connection to the relay ends or every stream and [`Calls`] is dropped.
    async fn run(mut self, socket: Socket, mut queue: mpsc::Receiver<Message>) {
        let (mut to_relay, mut from_relay) = socket.split();
        let reading = async {
            // The relay sends pings, so silence means that it is gone.
            while let Ok(Some(Ok(message))) = timeout(SILENCE, from_relay.next()).await {
                let goes_on = match message {
                    Message::Binary(bytes) => self.take(&bytes).await.is_some(),
                    other => !other.is_close(),
                };
                if !goes_on {
                    return;
                }
            }
        };
        let writing = async {
            while let Some(message) = queue.recv().await {
                if to_relay.send(message).await.is_err() {
                    return;
                }
            }
            let _ = timeout(GOODBYE, to_relay.close()).await;
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    }

    /// `None` ends the connection.
    async fn take(&mut self, bytes: &[u8]) -> Option<()> {
        match Said::from_bytes(bytes)? {
            Said::Here(member) if self.role == Role::Caller => self.meet(member).await,
            Said::Data(member, payload) => {
                if self.role == Role::Listener && !self.others.contains_key(&member) {
                    self.meet(member).await?;
                }
                if payload.is_empty() {
                    self.others.remove(&member);
                } else if let Some(inlet) = self.others.get(&member)
                    && !matches!(timeout(SLOW, inlet.push(payload)).await, Ok(Ok(())))
                {
                    self.others.remove(&member);
                }
                Some(())
            }
            Said::Gone(member) => {
                self.others.remove(&member);
                Some(())
            }
            Said::Here(_) | Said::Joined(_) => Some(()),
            Said::Refused(_) => None,
        }
    }

    /// A stream to and from `member`.
    async fn meet(&mut self, member: Member) -> Option<()> {
        self.others.retain(|_, inlet| !inlet.is_closed());
        // Bounds the streams of a room: an honest device has fewer, and a relay may announce any
        // number.
        if self.others.contains_key(&member) || self.others.len() >= STREAMS {
            return Some(());
        }
        let (io, outlet, inlet) = tunnel(parcel(&member, &[]));
        self.others.insert(member, inlet);
        let open = self.open.upgrade()?;
        tokio::spawn(post(outlet, open, member));
        // A stream that is not taken in time ends; the others go on.
        let _ = self.streams.try_send(io);
        Some(())
    }
}

/// Sends what is written to a stream, and then its end.
async fn post(mut outlet: Outlet, relay: mpsc::Sender<Message>, member: Member) {
    while let Some(bytes) = outlet.next().await {
        if relay.send(Message::binary(bytes)).await.is_err() {
            return;
        }
    }
    let _ = relay.send(Message::binary(parcel(&member, &[]))).await;
}

/// Most streams of one room at a time.
const STREAMS: usize = 32;
/// Messages that may wait to be sent.
const QUEUE: usize = 8;
const BUFFER: usize = 16 * 1024;
/// The longest message that is taken from a relay.
const MAX_MESSAGE: usize = 64 * 1024;
/// How long a relay may be silent before it counts as gone.
const SILENCE: Duration = Duration::from_secs(100);
/// How long a stream may leave its data unread, while the others wait.
const SLOW: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_millis(500);
