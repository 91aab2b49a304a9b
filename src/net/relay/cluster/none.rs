//! The cluster of a relay that was built without NATS.

use std::sync::Arc;

use super::{Trouble, Weather};
use crate::net::relay::hub::Hub;

/// # Errors
/// Always [`Trouble::NotBuilt`].
pub async fn join(
    _hub: &Arc<Hub>,
    _servers: &str,
    _watch: impl Fn(Weather) + Send + Sync + 'static,
) -> Result<(), Trouble> {
    Err(Trouble::NotBuilt)
}
