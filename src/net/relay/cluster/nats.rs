//! NATS messages between the processes of one relay.
//!
//! ```text
//! cosign.relay.1.rooms            kind 1, role 1, room 16, member 8           to all processes
//! cosign.relay.1.process.<hex>    kind 1, room 16, to 8, from 8, payload      to one process
//! ```
//!
//! `kind` is 1 (joined) or 2 (left) in the first, 1 (a client's message) or 2 (`from` is a listener in the
//! room of `to`) in the second. Rooms go by the hash of their names, so whoever runs NATS cannot
//! enter them. NATS promises neither delivery nor order across a reconnection; the lines above notice what is lost and resume.

use std::fmt;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, Message, ServerAddr, Subscriber};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::{Trouble, Weather};
use crate::device::hex;
use crate::net::Promise;
use crate::net::relay::hub::{Cluster, Hub, SLOW};
use crate::net::relay::{Member, Role, Room};

/// This process in the cluster.
#[derive(Debug)]
struct Nats {
    client: Client,
}

/// Joins `hub` with the other relays at `servers`, for good: a broken connection is made again.
/// `watch` is told of that.
///
/// # Errors
/// Why this relay cannot join.
pub async fn join(
    hub: &Arc<Hub>,
    servers: &str,
    watch: impl Fn(Weather) + Send + Sync + 'static,
) -> Result<(), Trouble> {
    let servers = (1..).zip(servers.split(','));
    let servers = servers.map(|(n, text)| address(n, text)).collect::<Result<Vec<_>, _>>()?;
    let login = Login::of(&servers)?;
    let (back, returned) = mpsc::channel(1);
    let watch = Arc::new(watch);
    let hidden = login.clone();
    let options = login
        .options()
        .name("cosign relay")
        .no_echo()
        .subscription_capacity(PENDING)
        .client_capacity(QUEUED)
        .connection_timeout(CONNECT_TIMEOUT)
        .event_callback(move |event| {
            let (back, watch, hidden) = (back.clone(), Arc::clone(&watch), hidden.clone());
            async move {
                match event {
                    Event::Connected => {
                        watch(Weather::Connected);
                        let _ = back.try_send(());
                    }
                    Event::Disconnected => watch(Weather::Disconnected),
                    other => watch(Weather::Trouble(hidden.without(&other))),
                }
            }
        });
    let failed = |error: &dyn fmt::Display| Trouble::Unreachable(login.without(error));
    let connected = timeout(CONNECT_TIMEOUT, options.connect(servers)).await;
    let client = connected.map_err(|_| failed(&"no answer"))?.map_err(|e| failed(&e))?;
    let longest = hub.limits.frame + AROUND;
    if client.server_info().max_payload < longest {
        return Err(failed(&format!(
            "its max_payload is {} bytes, and {longest} are needed",
            client.server_info().max_payload
        )));
    }
    let own = subject(&hub.process);
    let parcels = client.subscribe(own).await.map_err(|e| failed(&e))?;
    let news = client.subscribe(ROOMS).await.map_err(|e| failed(&e))?;
    client.flush().await.map_err(|e| failed(&e))?;
    tokio::spawn(take_parcels(Arc::clone(hub), parcels));
    tokio::spawn(take_news(Arc::clone(hub), client.clone(), news));
    tokio::spawn(announce_again(Arc::clone(hub), client.clone(), returned));
    hub.join_cluster(Box::new(Nats { client }));
    Ok(())
}

/// Parses a NATS server's URL. Other schemes are refused even if the library would take them. The
/// URL may hold a password, so errors have only its number.
fn address(n: usize, text: &str) -> Result<ServerAddr, Trouble> {
    let text = text.trim();
    let wrong = |why: &str| Trouble::Servers(format!("server {n}: {why}"));
    match text.split_once("://") {
        Some(("nats" | "tls", _)) | None => text.parse().map_err(|_| wrong("no URL of NATS")),
        Some(_) => Err(wrong("no URL of NATS")),
    }
}

/// The login at the servers. The library does not take it from their URLs.
#[derive(Clone, Default, PartialEq, Eq)]
struct Login {
    user: String,
    /// Without a password, the user's name is a token.
    password: Option<String>,
}

impl Login {
    /// The login in the URLs, if there is one. One connection uses it for all of them.
    fn of(servers: &[ServerAddr]) -> Result<Self, Trouble> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut logins = servers.iter().filter_map(|server| {
            let user = server.username().map(decoded);
            let password = server.password().map(decoded);
            (user.is_some() || password.is_some())
                .then(|| Self { user: user.unwrap_or_default(), password })
        });
        let first = logins.next().unwrap_or_default();
        match logins.all(|other| other == first) {
            true => Ok(first),
            false => {
                Err(Trouble::Servers("the servers have several users or passwords".to_owned()))
            }
        }
    }

    fn options(&self) -> ConnectOptions {
        match (self.user.as_str(), &self.password) {
            ("", None) => ConnectOptions::new(),
            (token, None) => ConnectOptions::with_token(token.to_owned()),
            (user, Some(password)) => {
                ConnectOptions::with_user_and_password(user.to_owned(), password.clone())
            }
        }
    }

    /// `told` without the password, which a server may repeat in its errors.
    fn without(&self, told: &dyn fmt::Display) -> String {
        let told = told.to_string();
        match self.password.as_ref().unwrap_or(&self.user) {
            secret if secret.is_empty() => told,
            secret => told.replace(secret, "…"),
        }
    }
}

impl Cluster for Nats {
    fn announce<'a>(&'a self, room: &'a Room, role: Role, member: &'a Member) -> Promise<'a, ()> {
        Box::pin(say(&self.client, JOINED, role, room, member))
    }

    fn part<'a>(&'a self, room: &'a Room, role: Role, member: &'a Member) -> Promise<'a, ()> {
        Box::pin(say(&self.client, LEFT, role, room, member))
    }

    fn carry<'a>(
        &'a self,
        room: &'a Room,
        to: &'a Member,
        from: &'a Member,
        message: &'a [u8],
    ) -> Promise<'a, ()> {
        Box::pin(send(&self.client, DATA, room, to, from, message))
    }
}

async fn say(client: &Client, kind: u8, role: Role, room: &Room, member: &Member) {
    let message = [&[kind, role as u8][..], &room.0, member].concat();
    publish(client, ROOMS.to_owned(), message, BRIEF).await;
}

async fn send(client: &Client, kind: u8, room: &Room, to: &Member, from: &Member, payload: &[u8]) {
    let Some(process) = to.first_chunk::<4>() else { return };
    let message = [&[kind][..], &room.0, to, from, payload].concat();
    publish(client, subject(process), message, SLOW).await;
}

/// Publishes a message. Waits while NATS is busy, so that senders slow down; a message that it does
/// not accept in time is lost.
async fn publish(client: &Client, subject: String, message: Vec<u8>, within: Duration) {
    let _ = timeout(within, client.publish(subject, message.into())).await;
}

async fn take_parcels(hub: Arc<Hub>, mut parcels: Subscriber) {
    while let Some(Message { payload, .. }) = parcels.next().await {
        if let Some(Carried { kind, room, to, from, message }) = Carried::read(&payload) {
            match kind {
                DATA => hub.arrive(&room, to, message.to_vec()),
                HERE => hub.listener_elsewhere(&room, to, from),
                _ => {}
            }
        }
    }
}

/// A message from one process to another.
struct Carried<'a> {
    kind: u8,
    room: Room,
    to: &'a Member,
    from: &'a Member,
    message: &'a [u8],
}

impl<'a> Carried<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (room, rest) = rest.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let (from, message) = rest.split_first_chunk()?;
        Some(Self { kind: *kind, room: Room(*room), to, from, message })
    }
}

async fn take_news(hub: Arc<Hub>, client: Client, mut news: Subscriber) {
    while let Some(Message { payload, .. }) = news.next().await {
        let Some((kind, role, room, member)) = read_news(&payload) else { continue };
        match kind {
            JOINED => {
                for listener in hub.joined_elsewhere(&room, role, &member) {
                    send(&client, HERE, &room, &member, &listener, &[]).await;
                }
            }
            LEFT => hub.left_elsewhere(&room, role, &member),
            _ => {}
        }
    }
}

fn read_news(bytes: &[u8]) -> Option<(u8, Role, Room, Member)> {
    let [kind, role, rest @ ..] = bytes else { return None };
    let (room, member) = rest.split_first_chunk()?;
    Some((*kind, Role::from_byte(*role)?, Room(*room), member.try_into().ok()?))
}

/// Announces all members again: after an outage the others do not know who has joined here.
async fn announce_again(hub: Arc<Hub>, client: Client, mut returned: mpsc::Receiver<()>) {
    while returned.recv().await.is_some() {
        for (room, role, member) in hub.everybody() {
            say(&client, JOINED, role, &room, &member).await;
        }
    }
}

fn subject(process: &[u8; 4]) -> String {
    format!("cosign.relay.1.process.{}", hex(process))
}

const ROOMS: &str = "cosign.relay.1.rooms";
const JOINED: u8 = 1;
const LEFT: u8 = 2;
const DATA: u8 = 1;
const HERE: u8 = 2;
/// Bytes around a client's message.
const AROUND: usize = 33;
/// Messages that may wait to be handed over.
const PENDING: usize = 1 << 16;
/// Messages that may wait to be sent.
const QUEUED: usize = 256;
/// How long an announcement of a member may wait for space in the queue: it must not hold others
/// up.
const BRIEF: Duration = Duration::from_secs(2);
/// How long NATS may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn login(servers: &[&str]) -> Result<Login, Trouble> {
        let servers: Vec<ServerAddr> = servers.iter().map(|url| url.parse().unwrap()).collect();
        Login::of(&servers)
    }

    #[test]
    fn what_the_urls_say_is_the_login_and_no_server_shows_it() {
        let ours = login(&["nats://relay:s3%20cret@10.0.0.5", "nats://10.0.0.6"]).unwrap();
        assert_eq!((ours.user.as_str(), ours.password.as_deref()), ("relay", Some("s3 cret")));
        assert_eq!(ours.without(&"nats: relay used s3 cret"), "nats: relay used …");
        let token = login(&["nats://t0ken@10.0.0.5"]).unwrap();
        assert_eq!((token.user.as_str(), token.password.as_deref()), ("t0ken", None));
        assert_eq!(token.without(&"no t0ken"), "no …");
        assert!(login(&["nats://10.0.0.5"]).unwrap() == Login::default());
        assert_eq!(Login::default().without(&"gone"), "gone");
        assert!(login(&["nats://a:b@10.0.0.5", "nats://a:c@10.0.0.6"]).is_err());
    }
}
