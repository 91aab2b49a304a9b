//! The server of a relay: accepts connections, speaks WebSocket, and shuts down.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::hub::{Admission, Hub, MemberEnd, SLOW};
use super::{Refusal, Said, read_join};
use crate::net::Io;
use crate::net::calendar::calendar;

/// A report to the operator of a relay. It never names a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A client was refused or disconnected.
    Refused {
        /// Its address.
        source: IpAddr,
        /// Why.
        why: Refusal,
    },
    /// A client joined a room.
    Joined {
        /// Its address.
        source: IpAddr,
    },
    /// A client left.
    Left {
        /// Its address.
        source: IpAddr,
    },
}

/// The settings for connections to a relay.
#[derive(Clone)]
pub struct Entrance {
    /// TLS of the relay itself; without it `ws://`, or TLS of a proxy in front.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether a proxy in front puts the clients' addresses into `X-Forwarded-For`.
    pub forwarded: bool,
    /// Receives the reports.
    pub tell: Arc<dyn Fn(Notice) + Send + Sync>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// TLS with the certificate chain and the key in two PEM files, whose names and contents are given.
///
/// # Errors
/// The file that is wrong, and why.
pub fn tls(
    (certificates, chain): (&Path, &[u8]),
    (key, secret): (&Path, &[u8]),
) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("{}: {e}", certificates.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: no certificate in it", certificates.display()));
    }
    let secret =
        PrivateKeyDer::from_pem_slice(secret).map_err(|e| format!("{}: {e}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_details(provider, calendar())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| format!("{} and {}: {e}", certificates.display(), key.display()))?;
    Ok(Arc::new(config))
}

/// Serves until `closing` becomes true; then tells every client, sends what is queued, and ends.
pub async fn serve(
    hub: Arc<Hub>,
    listener: TcpListener,
    entrance: Entrance,
    mut closing: watch::Receiver<bool>,
) {
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => break,
            Some(_) = clients.join_next() => continue,
        };
        let Ok((stream, from)) = accepted else {
            // A pause, after a lack of file descriptors or a connection that broke before it was
            // accepted.
            sleep(BREATH).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let visit =
            Visit { hub: Arc::clone(&hub), entrance: entrance.clone(), closing: closing.clone() };
        clients.spawn(visit.receive(Box::new(stream), from));
    }
    drop(listener);
    let _ = timeout(FAREWELL, async { while clients.join_next().await.is_some() {} }).await;
}

/// Waits until the relay is to end. The sender of `closing` outlives this.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

type Socket = WebSocketStream<Box<dyn Io>>;

/// One connection.
struct Visit {
    hub: Arc<Hub>,
    entrance: Entrance,
    closing: watch::Receiver<bool>,
}

impl Visit {
    async fn receive(self, io: Box<dyn Io>, from: SocketAddr) {
        let source = from.ip().to_canonical();
        // Behind a proxy all connections come from one address; the client's is known after the
        // request.
        let early = if self.entrance.forwarded { None } else { Some(self.admit(source)) };
        if let Some(None) = early {
            return;
        }
        let Ok(Ok((mut socket, forwarded))) = timeout(HANDSHAKE, self.shake_hands(io)).await else {
            return;
        };
        let (source, admission) = match early {
            Some(Some(admission)) => (source, admission),
            _ => {
                let source = forwarded.unwrap_or(source);
                match self.admit(source) {
                    Some(admission) => (source, admission),
                    None => return refuse(&mut socket, Refusal::TooManyConnections).await,
                }
            }
        };
        if let Err(why) = self.serve_member(&mut socket, source, &admission).await {
            if why != Refusal::Closing {
                self.refused(source, why);
            }
            refuse(&mut socket, why).await;
        }
    }

    fn admit(&self, source: IpAddr) -> Option<Admission> {
        self.hub.admit(source).map_err(|why| self.refused(source, why)).ok()
    }

    fn refused(&self, source: IpAddr, why: Refusal) {
        self.hub.counts.refuse(why);
        (self.entrance.tell)(Notice::Refused { source, why });
    }

    async fn shake_hands(&self, io: Box<dyn Io>) -> io::Result<(Socket, Option<IpAddr>)> {
        let io = match &self.entrance.tls {
            Some(config) => {
                Box::new(TlsAcceptor::from(Arc::clone(config)).accept(io).await?) as Box<dyn Io>
            }
            None => io,
        };
        let limit = self.hub.limits.frame;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(limit.saturating_mul(4))
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let mut forwarded = None;
        #[expect(clippy::result_large_err, reason = "the library's callback is of this type")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            forwarded = client_of(request);
            Ok(response)
        };
        let socket = accept_hdr_async_with_config(io, look, Some(config)).await;
        let socket = socket.map_err(io::Error::other)?;
        Ok((socket, forwarded.filter(|_| self.entrance.forwarded)))
    }

    /// Serves a client from its first message to its last.
    async fn serve_member(
        &self,
        socket: &mut Socket,
        source: IpAddr,
        admission: &Admission,
    ) -> Result<(), Refusal> {
        let first = match timeout(HANDSHAKE, socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(_))) => return Err(Refusal::Malformed),
            Ok(Some(Err(_)) | None) | Err(_) => return Ok(()),
        };
        let (role, room) = read_join(&first).ok_or(Refusal::Malformed)?;
        let mut member = self.hub.enter(admission, role, room.hashed()).await?;
        (self.entrance.tell)(Notice::Joined { source });
        let end = self.exchange(socket, &mut member).await;
        self.hub.leave(&member).await;
        (self.entrance.tell)(Notice::Left { source });
        end
    }

    async fn exchange(&self, socket: &mut Socket, member: &mut MemberEnd) -> Result<(), Refusal> {
        let mut closing = self.closing.clone();
        let evicted = Arc::clone(&member.evicted);
        let me = member.me;
        let (mut to_client, mut from_client) = socket.split();
        let reading = read(&self.hub, &me, &mut from_client);
        let mut writing = pin!(write(self.hub.limits.idle, member, &mut to_client));
        tokio::select! {
            end = reading => end,
            end = &mut writing => end,
            () = evicted.notified() => Err(Refusal::TooSlow),
            () = closed(&mut closing) => {
                // Queued messages get a moment to be sent.
                let _ = timeout(LAST_WORDS, writing).await;
                Err(Refusal::Closing)
            }
        }
    }
}

/// Forwards what a client sends.
async fn read(
    hub: &Hub,
    me: &[u8; 8],
    socket: &mut SplitStream<&mut Socket>,
) -> Result<(), Refusal> {
    loop {
        match timeout(hub.limits.idle, socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => hub.forward(me, bytes.into()).await?,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Text(_) | Message::Frame(_)) | Err(WsError::Capacity(_)))) => {
                return Err(Refusal::Malformed);
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return Ok(()),
        }
    }
}

/// Sends a client its queue, and pings it now and then.
async fn write(
    idle: Duration,
    member: &mut MemberEnd,
    socket: &mut SplitSink<&mut Socket, Message>,
) -> Result<(), Refusal> {
    let mut ask = interval((idle / 3).clamp(Duration::from_millis(1), ASK));
    ask.tick().await;
    loop {
        let (message, _share) = tokio::select! {
            parcel = member.parcels.recv() => match parcel {
                // Its permits are released once it is sent.
                Some(parcel) => (Message::binary(parcel.bytes), Some(parcel.share)),
                None => return Ok(()),
            },
            _ = ask.tick() => (Message::Ping(Bytes::new()), None),
        };
        // A member that does not read is disconnected, even if no sender waits for it.
        match timeout(SLOW, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(Refusal::TooSlow),
        }
    }
}

async fn refuse(socket: &mut Socket, why: Refusal) {
    let farewell = async {
        let _ = socket.send(Message::binary(Said::Refused(why).to_bytes())).await;
        let code = if why == Refusal::Closing { CloseCode::Away } else { CloseCode::Policy };
        let frame = CloseFrame { code, reason: why.name().into() };
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(LAST_WORDS, farewell).await;
}

/// The client's address as the nearest proxy saw it: the last address in the last
/// `X-Forwarded-For`. The addresses before it are the client's own claim.
fn client_of(request: &Request) -> Option<IpAddr> {
    let headers = request.headers().get_all("x-forwarded-for");
    let last = headers.iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse().ok()
}

/// How long TLS, WebSocket and the first message after them may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
const BUFFER: usize = 8 * 1024;
/// Longest time between two pings. Clients rely on it to notice a dead relay.
const ASK: Duration = Duration::from_secs(30);
const BREATH: Duration = Duration::from_millis(50);
const LAST_WORDS: Duration = Duration::from_secs(1);
const FAREWELL: Duration = Duration::from_secs(5);
