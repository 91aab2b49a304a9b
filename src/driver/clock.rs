//! The one clock and the one source of randomness of the application.

use std::time::{Duration, Instant};

use rand::RngCore;
use rand::rngs::OsRng;

use crate::driver::error::Error;
use crate::request::RequestId;
use crate::secret::Secret;

/// Now, on the monotonic clock. It is the runtime's, so a test can stop it and let it pass.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Now, in seconds since 1970; negative if the clock is set before that.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar clock")]
pub fn unix_now() -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => seconds(before.duration()).saturating_neg(),
    }
}

/// A moment as RFC 3339 in UTC, such as `2026-01-31T12:00:00Z`.
pub fn rfc3339(unix: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(unix)
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| unix.to_string())
}

/// The present time, in the form of RFC 3339.
pub fn stamp() -> String {
    rfc3339(unix_now())
}

/// Now, in UTC.
pub fn utc_now() -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(unix_now())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// The time zone of this machine is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTimeZone {
    /// The zone that `TZ` names, which does not exist.
    pub named: Option<String>,
}

/// Now, in the time zone of this machine.
///
/// # Errors
/// The time zone is unknown: `TZ` names one that does not exist, or it is not configured.
pub fn local_now() -> Result<time::OffsetDateTime, NoTimeZone> {
    let utc = utc_now();
    let named = std::env::var("TZ").ok().filter(|zone| !zone.is_empty());
    let readable = named.as_deref().is_none_or(|zone| !is_endless(zone));
    let zone = readable.then(jiff::tz::TimeZone::try_system).and_then(Result::ok);
    let moment = jiff::Timestamp::from_second(utc.unix_timestamp()).ok();
    zone.zip(moment)
        .and_then(|(zone, moment)| {
            let seconds = zone.to_offset(moment).seconds();
            time::UtcOffset::from_whole_seconds(seconds).ok()
        })
        .map(|offset| utc.to_offset(offset))
        .ok_or(NoTimeZone { named })
}

/// Whether `zone`, where `TZ` names a file, must not be read: a pipe or a device may never end, and
/// no zone is that large.
fn is_endless(zone: &str) -> bool {
    let path = zone.strip_prefix(':').unwrap_or(zone);
    std::fs::metadata(path).is_ok_and(|found| match found.is_file() {
        true => found.len() > ZONE_FILE,
        false => !found.is_dir(),
    })
}

/// The longest file of a time zone, in bytes.
const ZONE_FILE: u64 = 1 << 20;

/// 32 bytes from the operating system.
pub fn random() -> Result<Secret<[u8; 32]>, Error> {
    let mut bytes = Secret::new([0_u8; 32]);
    OsRng.try_fill_bytes(bytes.expose_mut()).map_err(|e| Error::NoRandomness(e.to_string()))?;
    Ok(bytes)
}

/// 32 public bytes from the operating system, for nonces and ids.
pub fn nonce() -> Result<[u8; 32], Error> {
    random().map(|secret| *secret.expose())
}

/// A random number below `count`; `None` if `count` is 0.
pub fn any_of(count: usize) -> Option<usize> {
    // If there is no randomness, the first one will do.
    let drawn = random().map_or(0, |bytes| {
        let [a, b, c, d, ..] = *bytes.expose();
        u32::from_le_bytes([a, b, c, d])
    });
    usize::try_from(drawn).unwrap_or(0).checked_rem(count)
}

/// A fresh id for a request: 16 random bytes in hexadecimal.
pub fn request_id() -> Result<RequestId, Error> {
    let id = nonce().map(|bytes| crate::device::hex(bytes.get(..16).unwrap_or_default()))?;
    RequestId::new(&id).ok_or(Error::Bug("hexadecimal digits are no id"))
}

/// Whole milliseconds of a duration.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_some_is_each_of_them_in_time() {
        let mut drawn: Vec<_> = (0..500).map(|_| any_of(3).unwrap()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, [0, 1, 2]);
        assert_eq!(any_of(0), None);
    }

    /// Guards against a constant in place of the randomness: devices would sign with it without an
    /// error.
    #[test]
    fn randomness_is_drawn_anew_each_time() {
        let drawn: Vec<_> = (0..4).map(|_| *random().unwrap().expose()).collect();
        assert!(drawn.iter().enumerate().all(|(at, bytes)| !drawn[..at].contains(bytes)));
        assert!(drawn.iter().all(|bytes| bytes[..16] != [0; 16] && bytes[16..] != [0; 16]));
    }
}
