//! The time of day, for records that say when something was proved.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Now, in whole seconds, as RFC 3339 in UTC.
///
/// # Errors
/// Where the clock of this machine is set to before 1970 or after 9999.
pub fn now() -> Result<String> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is set to before 1970")?;
    let seconds = i64::try_from(since_1970.as_secs()).context("the clock is out of range")?;
    rfc3339(seconds).context("the clock is out of range")
}

/// An instant, in seconds since 1970, as RFC 3339 in UTC.
///
/// # Errors
/// Where it is after 9999.
pub fn rfc3339(epoch_seconds: i64) -> Result<String> {
    let date = OffsetDateTime::from_unix_timestamp(epoch_seconds).context("the time is out of range")?;
    date.format(&Rfc3339).context("the time cannot be written")
}
