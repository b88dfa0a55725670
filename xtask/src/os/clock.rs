//! The current time.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::os::timestamp::Timestamp;

/// Now, in whole seconds. Fails if the clock of this machine is set to before 1970 or after 9999.
pub fn now() -> Result<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is set to before 1970")?;
    let seconds = i64::try_from(since_1970.as_secs()).context("the clock is out of range")?;
    Timestamp::from_epoch(seconds).context("the clock is out of range")
}
