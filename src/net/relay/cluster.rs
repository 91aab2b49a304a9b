//! Clusters: NATS carries messages between members that are connected to different relay processes. Without
//! the feature `nats` a relay joins none.

use std::fmt;

#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
pub use nats::join;

#[cfg(not(feature = "nats"))]
mod none;
#[cfg(not(feature = "nats"))]
pub use none::join;

/// What happens to the connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It is there again.
    Connected,
    /// It is gone; it is tried again.
    Disconnected,
    /// Something else, in NATS's words.
    Trouble(String),
}

/// What keeps a relay from joining a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was given does not name servers.
    Servers(String),
    /// They do not answer, or not as it is needed.
    Unreachable(String),
    /// This program was built without NATS.
    NotBuilt,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Servers(why) | Self::Unreachable(why) => why,
            Self::NotBuilt => "this cosign was built without NATS",
        })
    }
}
