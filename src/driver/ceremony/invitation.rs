//! Pairing while this device also listens: people may run `cosign pair` on both devices at once,
//! and one of them may be invited into a room of a relay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::driver::ceremony::pairing::{Pairing, request};
use crate::driver::connect::rendezvous;
use crate::driver::connect::target::{Reached, Target};
use crate::driver::error::Error;
use crate::driver::listen::{Done, Listener, Place, Visit, Visits};
use crate::driver::{Node, clock};
use crate::net::relay::RelayUrl;
use crate::net::relay::invite::Invite;
use crate::progress::Event;

/// Pairs with `target`, or with a device that calls first, whichever comes about first.
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
        pairing = request(node, target, deadline) => match pairing {
            Ok(pairing) => Ok(pairing),
            Err(error) => under_way(visits).await.unwrap_or(Err(error)),
        },
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
        Err(_) => under_way(visits).await.unwrap_or(Err(Error::NobodyToPair)),
    }
}

/// The outcome of a pairing whose digits are on the screen already. New callers are refused.
async fn under_way(visits: &mut Visits) -> Option<Result<Pairing, Error>> {
    visits.last();
    let visit = visits.recv().await?;
    Some(paired(Some(visit)))
}

fn paired(visit: Option<Visit>) -> Result<Pairing, Error> {
    match visit.map(|visit| visit.result) {
        Some(Ok(Done::Paired(pairing))) => Ok(pairing),
        Some(Err(error)) => Err(error),
        Some(Ok(Done::Key(_) | Done::Signed(_))) | None => Err(Error::NobodyToPair),
    }
}

/// A listener for `cosign pair` that takes pairings only: any other ceremony would be cut off when
/// the command ends.
///
/// # Errors
/// No port can be used.
pub async fn listen_for_pairing(node: &Arc<Node>) -> Result<Visits, Error> {
    let listener = Listener::open(node, &Place::default()).await?;
    Ok(listener.only_to_pair().serve(node))
}

/// Invites a device into a fresh room of `relay`, and waits there and on the local network. `store`
/// gets the invitation before it is shown. With `joiners` it is for a group, whose devices they get.
///
/// # Errors
/// No port can be used, or `store` fails.
pub async fn invite<E: From<Error>>(
    node: &Arc<Node>,
    relay: &RelayUrl,
    joiners: Option<mpsc::Sender<Reached>>,
    store: impl FnOnce(&Invite) -> Result<(), E>,
) -> Result<(Visits, Instant), E> {
    let deadline = node.deadline_within(INVITATION);
    let left = deadline.saturating_duration_since(clock::now()).as_secs();
    let invite = Invite {
        relay: relay.clone(),
        room: rendezvous::fresh()?,
        fingerprint: node.info.fingerprint,
        expires: clock::unix_now().saturating_add_unsigned(left),
        group: joiners.is_some(),
    };
    let listener = Listener::open(node, &Place::default()).await?;
    let listener = listener.in_room(node, relay, invite.room);
    let listener = match joiners {
        None => listener.only_to_pair(),
        Some(joiners) => listener.only_to_join(joiners),
    };
    let visits = listener.serve(node);
    store(&invite)?;
    node.tell(Event::Invite {
        uri: invite.to_string(),
        relay: relay.to_string(),
        expires: clock::rfc3339(invite.expires),
    });
    Ok((visits, deadline))
}

/// How long an invitation is valid, and how long a group is gathered.
pub(super) const INVITATION: Duration = Duration::from_secs(10 * 60);
