//! The date for the TLS library, whose own clock panics if it is set before 1970.
//!
//! Only a relay's certificate is checked against it: the certificate of a device is pinned and has
//! no date that counts.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The clock for [`rustls`]. Before 1970 it returns 1970, when no certificate is valid yet.
pub(super) fn calendar() -> Arc<dyn TimeProvider> {
    Arc::new(Calendar)
}

#[derive(Debug)]
struct Calendar;

impl TimeProvider for Calendar {
    #[expect(clippy::disallowed_methods, reason = "the library would read it itself, and panic")]
    fn current_time(&self) -> Option<UnixTime> {
        Some(since_1970(SystemTime::now()))
    }
}

fn since_1970(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_before_1970_says_1970() {
        let day = Duration::from_secs(86_400);
        assert_eq!(since_1970(UNIX_EPOCH - 3650 * day).as_secs(), 0);
        assert_eq!(since_1970(UNIX_EPOCH).as_secs(), 0);
        assert_eq!(since_1970(UNIX_EPOCH + day).as_secs(), 86_400);
        assert!(Calendar.current_time().is_some_and(|now| now.as_secs() > 1_700_000_000));
    }
}
