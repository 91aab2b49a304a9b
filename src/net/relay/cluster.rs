//! Clusters: NATS carries messages between members that are connected to different relay processes.
//! Without the feature `nats` a relay cannot join one.

use std::fmt;

#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
pub use nats::join;

#[cfg(not(feature = "nats"))]
mod none;
#[cfg(not(feature = "nats"))]
pub use none::join;

/// A change of the connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It works again.
    Connected,
    /// It is lost, and is tried again.
    Disconnected,
    /// Another problem, in the words of NATS.
    Trouble(String),
}

/// Why a relay cannot join a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The text does not name servers.
    Servers(String),
    /// The servers do not answer, or refuse.
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
