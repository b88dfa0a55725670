//! Dates as they are recorded and printed: an instant in RFC 3339, and a day.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in whole seconds, written as RFC 3339 in UTC: `2026-08-04T12:27:40Z`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

impl Timestamp {
    /// The instant that many seconds after 1970. Fails if it is after the year 9999.
    pub fn from_epoch(epoch_seconds: i64) -> Result<Self> {
        let date = OffsetDateTime::from_unix_timestamp(epoch_seconds).context("the time is out of range")?;
        Ok(Self(date.format(&Rfc3339).context("the time cannot be written")?))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The day in UTC.
    pub fn day(&self) -> Day {
        Day(self.0.chars().take("2026-08-04".len()).filter(char::is_ascii_digit).collect())
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let epoch_seconds = OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
        epoch_seconds
            .and_then(|epoch_seconds| Self::from_epoch(epoch_seconds).ok())
            .filter(|timestamp| timestamp.0 == text)
            .ok_or_else(|| format!("{text:?} is not a date in RFC 3339, UTC and whole seconds (2026-08-04T12:27:40Z)"))
    }
}

oci::text_form!(Timestamp);

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A day as names contain it: `20260804`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

impl Day {
    /// The day as people write it: `2026-08-04`.
    pub fn with_dashes(&self) -> String {
        format!("{}-{}-{}", &self.0[..4], &self.0[4..6], &self.0[6..])
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a day of eight digits (20260804)"))
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutation;

    const TEXT: &str = "2026-08-04T12:27:40Z";

    #[test]
    fn a_timestamp_is_utc_and_in_whole_seconds() {
        assert_eq!(Timestamp::from_epoch(1_785_846_460).expect("is in range").as_str(), TEXT);
        let timestamp: Timestamp = TEXT.parse().expect("parses");
        assert_eq!(
            (timestamp.day().to_string(), timestamp.day().with_dashes()),
            ("20260804".into(), "2026-08-04".into())
        );
        for text in
            ["", "20", "2026-08-04", "2026-08-04T12:27:40+02:00", "2026-08-04T12:27:40.5Z", "2026-13-04T12:27:40Z"]
        {
            text.parse::<Timestamp>().expect_err(text);
        }
    }

    #[test]
    fn every_timestamp_has_a_day_of_eight_digits_and_prints_as_it_was_written() {
        arbtest::arbtest(|source| {
            let text = mutation::text(source, TEXT)?;
            if let Ok(timestamp) = text.parse::<Timestamp>() {
                assert_eq!(timestamp.to_string(), text);
                let day = timestamp.day();
                assert_eq!(day.to_string().parse(), Ok(day));
            }
            Ok(())
        });
    }
}
