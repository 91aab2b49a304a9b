//! What to type first, for a person who has read nothing.

use std::path::PathBuf;

use crate::vault::{Home, Peers, Vault, keys};

/// The steps from nothing to a signature, and the next one on this device.
pub(super) fn text() -> String {
    let given = std::env::var_os("COSIGN_HOME").filter(|dir| !dir.is_empty());
    let home = match given {
        Some(dir) => std::path::absolute(PathBuf::from(dir)).ok().map(Home::at),
        None => Home::xdg().ok(),
    };
    format!("{STEPS}next here: {}\n\n", next(home.as_ref()))
}

fn next(home: Option<&Home>) -> String {
    let Some(home) = home.filter(|home| Vault::exists(home)) else {
        return "cosign demo".to_owned();
    };
    let key = keys::list(home).ok().and_then(|keys| keys.first().map(|key| key.name.clone()));
    let peer = Peers::load(home).ok().and_then(|peers| peers.iter().next().map(|p| p.name.clone()));
    match (key, peer) {
        (Some(key), _) => format!("cosign sign --key {key} --file FILE, or cosign listen"),
        (None, Some(_)) => "cosign keygen, while the other device runs cosign listen".to_owned(),
        (None, None) => "cosign pair, while the other device runs cosign listen".to_owned(),
    }
}

const STEPS: &str = "\
Two or three devices sign with one key that exists on none of them.

  cosign demo              two devices on this machine run all of it: try this first
  cosign setup             makes this device, pairs it and makes a key, step by step
  cosign listen            one device waits; what others ask appears on its screen
  cosign pair              the other one finds it; both screens show six digits
  cosign keygen            makes a key of which each has a share
  cosign sign --file FILE  asks the other device, and prints the signature

";
