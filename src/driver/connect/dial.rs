//! Reaches a device by a command, an address, the address it had last, mDNS, or a room of a relay. The
//! first answer with the right certificate counts.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::device::{Fingerprint, Label};
use crate::driver::connect::hello::{
    Answer, Call, DialError, HANDSHAKE, RETRY, failed, greet, left, nobody,
};
use crate::driver::connect::rendezvous::{self, call_in_rooms};
use crate::driver::connect::search::{
    HEAD_START, find, remember, remember_name, remember_program, remembered, was_at,
};
use crate::driver::connect::target::{Reached, Route, Target, Way};
use crate::driver::error::Error;
use crate::driver::told::Note;
use crate::driver::{Node, REACH, clock};
use crate::net::address::{Address, NoAddress};
use crate::net::relay::RelayUrl;
use crate::net::{LinkError, stdio};
use crate::vault::Home;
use crate::wire::{Reason, Want};

/// The port a device listens on unless it is taken.
pub const PORT: u16 = 46737;
/// After how long the owner is told that a device does not answer yet.
const NOT_THERE: Duration = Duration::from_secs(3);
/// How long only the local network is tried before the relay is asked as well.
const LOOK_AROUND: Duration = Duration::from_millis(600);

/// Connects to `target`, trying again until `deadline`. If it does not answer within a few seconds,
/// the owner is told to start it.
///
/// # Errors
/// No device answers, another one answers in its place, or the device refuses.
pub async fn reach(
    node: &Node,
    target: &Target,
    want: Want,
    deadline: Instant,
) -> Result<Reached, Error> {
    let answered = AtomicBool::new(false);
    let reaching = try_until(node, target, want, deadline, &answered);
    tokio::pin!(reaching);
    tokio::select! {
        biased;
        reached = &mut reaching => return reached,
        () = sleep(NOT_THERE) => {}
    }
    // Not told for a command, whose own output is passed on, nor with a relay, which may be the
    // cause.
    let near = node.relay.is_none() && matches!(target.route, Route::Address(_) | Route::Find);
    if near && !answered.load(Ordering::Relaxed) {
        let seconds = deadline.saturating_duration_since(clock::now()).as_secs();
        node.tell(Note::NotThere { peer: target.name.clone(), seconds });
    }
    reaching.await
}

/// Sets `answered` once an attempt got an answer. That other devices answer in place of this one is
/// an error after [`REACH`], even if the deadline is later.
async fn try_until(
    node: &Node,
    target: &Target,
    want: Want,
    mut deadline: Instant,
    answered: &AtomicBool,
) -> Result<Reached, Error> {
    let mut known: Option<Error> = None;
    let reach_deadline = clock::now() + REACH;
    loop {
        let last = match attempt(node, target, want, deadline).await {
            Ok((reached, None)) => {
                if let Some(fingerprint) = &target.fingerprint {
                    remember(&node.home, fingerprint, &reached.way);
                    let program = reached.about.as_ref().map(|about| &about.program);
                    remember_program(&node.home, fingerprint, program);
                    remember_name(node, fingerprint, &reached.name);
                }
                return Ok(reached);
            }
            Ok((_, Some(_))) => return Err(Error::nonsense(&target.name)),
            Err(DialError::Fatal(error)) => return Err(error),
            Err(DialError::UnknownSession) => {
                return Err(Error::link(&target.name, LinkError::Lost));
            }
            Err(
                DialError::Retryable(error)
                | DialError::Busy(error)
                | DialError::NotListening(error)
                | DialError::OthersAnswer(error),
            ) => error,
            Err(DialError::DeadlineExceeded(error)) => known.unwrap_or(error),
        };
        let others = matches!(last, Error::OthersAnswer { .. });
        answered.store(others || matches!(last, Error::Refused { .. }), Ordering::Relaxed);
        let pause = pause_after(&last);
        if others {
            deadline = deadline.min(reach_deadline);
        }
        if clock::now() + pause >= deadline || matches!(target.route, Route::Via(_)) {
            return Err(last);
        }
        known = Some(last);
        sleep(pause).await;
    }
}

/// The pause before the next attempt after `error`. A busy device says after how many seconds to
/// come again.
fn pause_after(error: &Error) -> Duration {
    match error {
        Error::Refused { reason: Reason::Busy { seconds: seconds @ 2.. }, .. } => {
            Duration::from_secs(u64::from(*seconds))
        }
        _ => RETRY,
    }
}

/// Makes one attempt to resume a link to a device. Returns how many frames the device says it has.
///
/// # Errors
/// The attempt failed.
pub async fn reconnect(
    node: &Node,
    target: &Target,
    want: Want,
    deadline: Instant,
) -> Result<(Reached, u64), DialError> {
    match attempt(node, target, want, deadline).await? {
        (reached, Some(received)) => Ok((reached, received)),
        (_, None) => Err(DialError::Fatal(Error::nonsense(&target.name))),
    }
}

/// Makes one attempt to reach a device and to greet it.
async fn attempt(node: &Node, target: &Target, want: Want, deadline: Instant) -> Answer {
    let call = &Call::new(node, target, want, deadline.min(clock::now() + HANDSHAKE));
    match &target.route {
        Route::Via(command) => {
            let sink = Arc::clone(&node.sink);
            let complain = move |line: Label| sink(Note::Via(line).into());
            let io = stdio::dial_via(command, complain)
                .map_err(|error| DialError::Fatal(Error::Command(error)))?;
            greet(call.clone(), io, Way::Command).await
        }
        Route::Room(relay, room) => call_in_rooms(call, relay, vec![*room]).await,
        Route::Address(_) | Route::Find => match node.relay.as_ref().zip(target.fingerprint) {
            None => nearby(node, call).await,
            Some((relay, peer)) => either(node, call, relay, &peer).await,
        },
    }
}

/// Reaches a device on the local network.
async fn nearby(node: &Node, call: &Call) -> Answer {
    match &call.target.route {
        Route::Address(text) => {
            let addresses = resolve(text).await?;
            race(call, addresses).await
        }
        _ => find(node, call).await,
    }
}

/// Reaches a device on the local network or through the relay, whichever answers first. The local
/// network has a head start, unless the device was reached at the relay lately.
async fn either(node: &Node, call: &Call, relay: &RelayUrl, peer: &Fingerprint) -> Answer {
    let near = nearby(node, call);
    let far = async {
        let rooms = rendezvous::of_listener(node, peer);
        let mut known = None;
        loop {
            match call_in_rooms(call, relay, rooms.clone()).await {
                Err(DialError::DeadlineExceeded(error)) => {
                    return Err(known.unwrap_or(DialError::DeadlineExceeded(error)));
                }
                // The relay may be starting, and with strangers in the rooms the device may still
                // come.
                Err(error) if error.may_pass() && clock::now() + RETRY < call.within => {
                    known = Some(error);
                    sleep(RETRY).await;
                }
                done => return done,
            }
        }
    };
    tokio::pin!(near, far);
    let head_start = sleep(head_start(&node.home, &call.target.route, relay, peer));
    let first = tokio::select! {
        reached = &mut near => reached,
        () = head_start => tokio::select! {
            reached = &mut near => reached,
            reached = &mut far => match reached {
                Ok(reached) => return Ok(reached),
                Err(far) => return near.await.map_err(|near| far.or(Some(near))),
            },
        },
    };
    match first {
        Ok(reached) => Ok(reached),
        Err(near) => far.await.map_err(|far| far.or(Some(near))),
    }
}

/// How long `peer` is tried on the local network alone.
fn head_start(home: &Home, route: &Route, relay: &RelayUrl, peer: &Fingerprint) -> Duration {
    match (route, remembered(home, peer)) {
        _ if was_at(home, peer, relay) => Duration::ZERO,
        (Route::Find, None) => LOOK_AROUND,
        _ => HEAD_START,
    }
}

async fn resolve(text: &str) -> Result<Vec<SocketAddr>, DialError> {
    let bad = |source| DialError::Fatal(Error::BadAddress { address: text.to_owned(), source });
    let address: Address = text.parse().map_err(|NoAddress| bad(ErrorKind::InvalidInput.into()))?;
    address.or_port(PORT).resolve().await.map_err(bad)
}

/// Dials all addresses at once; the first that answers with the right certificate wins.
async fn race(call: &Call, addresses: Vec<SocketAddr>) -> Answer {
    let mut attempts = JoinSet::new();
    for address in addresses.into_iter().take(16) {
        let call = call.clone();
        attempts.spawn(async move {
            let dialed = call.dialer.dial(address, left(call.within)).await;
            let io = dialed.map_err(|e| failed(&call.target.name, e))?;
            greet(call, io, Way::Lan(address)).await
        });
    }
    let mut worst: Option<DialError> = None;
    while let Some(joined) = attempts.join_next().await {
        match joined {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error)) => worst = Some(error.or(worst)),
            Err(_) => {}
        }
    }
    Err(worst.unwrap_or_else(|| DialError::Retryable(nobody(&call.target.name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::addresses::{MetAt, note_relay};

    #[test]
    fn a_device_that_was_reached_through_a_relay_is_called_there_at_once_for_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let (home, bob) = (Home::at(dir.path()), Fingerprint::new([2; 32]));
        let [relay, other]: [RelayUrl; 2] =
            ["ws://relay.example", "ws://other.example"].map(|url| url.parse().unwrap());
        let first = |relay| head_start(&home, &Route::Find, relay, &bob);
        assert_eq!(first(&relay), LOOK_AROUND);
        remember(&home, &bob, &Way::Relay(relay.clone()));
        assert_eq!((first(&relay), first(&other)), (Duration::ZERO, LOOK_AROUND));
        let at = clock::unix_now();
        for (at, lately) in [(at - 3700, false), (at - 3500, true), (at + 100, false)] {
            let met = MetAt { relay: relay.to_string(), at };
            note_relay(&home, &bob, met).unwrap();
            assert_eq!(first(&relay) == Duration::ZERO, lately, "{at}");
        }
        // An outdated note is replaced.
        remember(&home, &bob, &Way::Relay(relay.clone()));
        assert_eq!(first(&relay), Duration::ZERO);
        remember(&home, &bob, &Way::Lan(([192, 0, 2, 7], PORT).into()));
        assert_eq!(first(&relay), HEAD_START);
    }
}
