//! Refusals of a proposal.

use crate::device::Label;
use crate::driver::connect::hello::{hang_up, say};
use crate::driver::error::Error;
use crate::net::Link;
use crate::request::{Held, Request};
use crate::wire::{Message, Reason};

/// Refuses because this device was interrupted.
pub(super) async fn leave(link: impl Link, name: &Label) -> Error {
    decline(link, name, Reason::Interrupted).await;
    Error::Interrupted
}

/// Refuses because the requester has none of this device's epochs of `key`, and lists them. Returns
/// the error for this device's own log.
pub async fn part(
    mut link: impl Link,
    name: &Label,
    key: &str,
    request: &Request,
    held: Vec<Held>,
) -> Error {
    let error = apart(key, &held, vec![(name.clone(), request.epochs().to_vec())]);
    let _ = say(&mut link, &Message::Apart { held }).await;
    hang_up(link).await;
    error
}

/// Refuses a request for `reason`, and returns the error for this device's own log.
pub async fn decline(mut link: impl Link, name: &Label, reason: Reason) -> Error {
    let _ = say(&mut link, &Message::Refuse { reason }).await;
    hang_up(link).await;
    declined(name, reason)
}

pub(super) fn declined(name: &Label, reason: Reason) -> Error {
    Error::Declined { peer: name.clone(), reason }
}

pub(super) fn apart(key: &str, mine: &[Held], theirs: Vec<(Label, Vec<Held>)>) -> Error {
    Error::Apart { key: key.to_owned(), mine: mine.to_vec(), theirs }
}
