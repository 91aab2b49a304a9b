//! Connections to other devices: where they are, how they are called, how a link outlives a broken connection, and
//! the links of one ceremony.

pub mod dial;
pub mod hello;
pub mod peer_links;
pub mod rendezvous;
pub mod resume;
pub mod search;
pub mod target;
