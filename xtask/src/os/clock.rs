//! The time of day, and dates as records hold them.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A date and time of the years 0 to 9999, to the second: `2026-08-04T12:27:40Z` (RFC 3339, in UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    epoch_seconds: i64,
}

impl Timestamp {
    /// Now.
    ///
    /// # Errors
    /// If the clock of this machine is set to before 1970 or after 9999.
    pub fn now() -> Result<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is set to before 1970")?;
        let seconds = i64::try_from(since_1970.as_secs()).context("the clock is out of range")?;
        Self::of_epoch(seconds).context("the clock is out of range")
    }

    /// That many seconds after 1970.
    ///
    /// # Errors
    /// If it is before the year 0 or after 9999.
    pub fn of_epoch(epoch_seconds: i64) -> Result<Self> {
        text(epoch_seconds).with_context(|| format!("{epoch_seconds} seconds after 1970 is not a date"))?;
        Ok(Self { epoch_seconds })
    }

    /// Year, month and day: `20260804`.
    pub fn day(self) -> String {
        self.to_string().chars().take(10).filter(char::is_ascii_digit).collect()
    }
}

fn text(epoch_seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(epoch_seconds).ok()?.format(&Rfc3339).ok()
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
        let timestamp = parsed.and_then(|epoch_seconds| Self::of_epoch(epoch_seconds).ok());
        timestamp
            .filter(|timestamp| timestamp.to_string() == text)
            .ok_or_else(|| format!("{text:?} is not a date in the form 2026-08-04T12:27:40Z"))
    }
}

oci::text_form!(Timestamp);

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&text(self.epoch_seconds).expect("was checked when it was made"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_date_has_one_form() {
        let text = "2026-08-04T12:27:40Z";
        let timestamp: Timestamp = text.parse().expect("parses");
        assert_eq!((timestamp.to_string().as_str(), timestamp.day().as_str()), (text, "20260804"));
        assert_eq!(Timestamp::of_epoch(1_785_846_460).expect("is one"), timestamp);
        for other in
            ["", "20", "2026-08-04", "2026-08-04T12:27:40+00:00", "2026-08-04T12:27:40.5Z", "2026-02-30T00:00:00Z"]
        {
            other.parse::<Timestamp>().expect_err(other);
        }
        Timestamp::of_epoch(i64::MAX).expect_err("is no date");
    }

    #[test]
    fn what_parses_prints_itself() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, "2026-08-04T12:27:40Z")?;
            if let Ok(timestamp) = text.parse::<Timestamp>() {
                assert_eq!((timestamp.to_string(), timestamp.day().len()), (text, 8));
            }
            let _ = Timestamp::of_epoch(source.arbitrary()?).map(Timestamp::day);
            Ok(())
        })
        .budget_ms(200);
    }
}
