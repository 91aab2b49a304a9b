//! What the devices say to one another, without any I/O.

pub mod event;
pub mod fault;
pub mod key;
pub mod keygen;
pub mod machine;
pub mod pair;
pub mod sign;
pub mod wire;
