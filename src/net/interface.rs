//! The network interfaces of this machine.

use std::io;

/// The number of the interface `name`; `None` if there is none.
///
/// # Errors
/// The system does not say.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn index(name: &str) -> io::Result<Option<u32>> {
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    match netdevice::name_to_index(any, name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV | Errno::INVAL | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The number of the interface `name`; `None` if there is none.
///
/// # Errors
/// Always: there is no safe way to ask this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn index(_name: &str) -> io::Result<Option<u32>> {
    Err(io::ErrorKind::Unsupported.into())
}
