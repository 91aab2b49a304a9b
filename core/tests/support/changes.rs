//! Valid bytes, and changes to them.

/// The shares of a test key of two: making one would take longer than all that is done with it.
pub(crate) const SHARES: [&[u8]; 2] =
    [include_bytes!("shares/party-1"), include_bytes!("shares/party-2")];

/// `honest` after the changes of `bytes`, three bytes each: the place, and the change.
pub(crate) fn changed(honest: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut out = honest.to_vec();
    for [low, high, what] in bytes.as_chunks::<3>().0 {
        let place = usize::from(u16::from_le_bytes([*low, *high])) % (out.len() + 1);
        match (*what, out.get_mut(place)) {
            (0, _) => out.truncate(place),
            (1, Some(byte)) => *byte = 0,
            (2, Some(byte)) => *byte = 0xff,
            (mask, Some(byte)) => *byte ^= mask,
            (more, None) => out.push(more),
        }
    }
    out
}
