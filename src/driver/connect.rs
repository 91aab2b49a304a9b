//! Connections to other devices: finding and dialling them, links that outlive a broken connection,
//! and the links of one ceremony.

pub mod dial;
pub mod hello;
pub mod peer_links;
pub mod rendezvous;
pub mod resume;
pub mod search;
pub mod target;
