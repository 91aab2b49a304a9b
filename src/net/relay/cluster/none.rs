//! In place of NATS where it was left out.

use std::sync::Arc;

use super::{Trouble, Weather};
use crate::net::relay::hub::Hub;
use crate::net::relay::{Member, Role, Room};

/// There is none.
#[derive(Debug)]
pub enum Cluster {}

/// # Errors
/// Always [`Trouble::NotBuilt`].
pub async fn join(
    _hub: &Arc<Hub>,
    _servers: &str,
    _watch: impl Fn(Weather) + Send + Sync + 'static,
) -> Result<(), Trouble> {
    Err(Trouble::NotBuilt)
}

impl Cluster {
    /// Tells the others that a member has joined a room here.
    pub async fn announce(&self, _room: &Room, _role: Role, _member: &Member) {
        match *self {}
    }

    /// Tells the others that a member has left.
    pub async fn part(&self, _room: &Room, _role: Role, _member: &Member) {
        match *self {}
    }

    /// Carries a message to the process where its receiver is.
    pub async fn carry(&self, _room: &Room, _to: &Member, _from: &Member, _message: &[u8]) {
        match *self {}
    }
}
