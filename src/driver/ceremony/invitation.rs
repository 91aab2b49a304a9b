//! Pairing while this device can be called itself: people may run `cosign pair` on both devices at once,
//! and one of them may be invited into a room of a relay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::ceremony::pairing::{Pairing, request};
use crate::driver::connect::rendezvous;
use crate::driver::connect::target::Target;
use crate::driver::error::Error;
use crate::driver::listen::{Listener, Place, Visit, Visits};
use crate::driver::{Node, clock};
use crate::net::relay::RelayUrl;
use crate::net::relay::invite::Invite;
use crate::progress::Event;

/// Pairs with `target` while this device can be called itself: people may run `cosign pair` on
/// both devices at once.
///
/// # Errors
/// As for [`request`].
pub async fn meet(
    node: &Arc<Node>,
    target: &Target,
    visits: &mut Visits,
    deadline: Instant,
) -> Result<Pairing, Error> {
    tokio::select! {
        pairing = request(node, target, deadline) => pairing,
        visit = visits.recv() => paired(visit),
    }
}

/// Waits until another device has paired with this one.
///
/// # Errors
/// The pairing failed, or nobody came before `deadline`.
pub async fn wait(visits: &mut Visits, deadline: Instant) -> Result<Pairing, Error> {
    match tokio::time::timeout_at(deadline.into(), visits.recv()).await {
        Ok(visit) => paired(visit),
        Err(_) => Err(Error::NobodyToPair),
    }
}

fn paired(visit: Option<Result<Visit, Error>>) -> Result<Pairing, Error> {
    match visit {
        Some(Ok(Visit::Paired(pairing))) => Ok(pairing),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Err(Error::NobodyToPair),
    }
}

/// A listener for `cosign pair`, which takes pairings only by virtue of who calls: a ceremony
/// needs a pairing that is not there yet.
///
/// # Errors
/// No port can be used.
pub async fn listen_for_pairing(node: &Arc<Node>) -> Result<Visits, Error> {
    let listener = Listener::open(node, &Place::default()).await?;
    Ok(listener.serve(node))
}

/// Invites a device into a fresh room of `relay`, and waits there and on the local network. `store` is
/// handed the invitation before it is told.
///
/// # Errors
/// No port can be used, or `store` fails.
pub async fn invite<E: From<Error>>(
    node: &Arc<Node>,
    relay: &RelayUrl,
    store: impl FnOnce(&Invite) -> Result<(), E>,
) -> Result<(Visits, Instant), E> {
    let deadline = node.deadline_within(INVITATION);
    let left = deadline.saturating_duration_since(clock::now()).as_secs();
    let invite = Invite {
        relay: relay.clone(),
        room: rendezvous::fresh()?,
        fingerprint: node.info.fingerprint,
        expires: clock::unix_now().saturating_add_unsigned(left),
    };
    let listener = Listener::open(node, &Place::default()).await?;
    let listener = listener.in_room(node, relay, invite.room);
    let visits = listener.serve(node);
    store(&invite)?;
    node.tell(Event::Invite {
        uri: invite.to_string(),
        relay: relay.to_string(),
        expires: clock::rfc3339(invite.expires),
    });
    Ok((visits, deadline))
}

/// How long an invitation is good for.
const INVITATION: Duration = Duration::from_secs(10 * 60);
