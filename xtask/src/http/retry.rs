//! When to send a request again, after how long, and when to give up.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::http::{RateLimited, Url};
use crate::os::terminal::note;

const MOST_ATTEMPTS: u32 = 4;
/// Of all pauses of one request together.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Only fakes and test registries listen on this machine, and they need no time to recover.
const FIRST_PAUSE_ON_LOOPBACK: Duration = Duration::from_millis(5);
/// Multiple of the first pause for a rate limit without a time. Source: GitHub, "Rate limits for the
/// REST API": "wait for at least one minute before retrying".
const UNSPECIFIED_PAUSES: u32 = 120;
/// How the error of an incomplete response ends.
pub const BROKE_OFF: &str = "broke off";
const SHORTEST_SHOWN: Duration = Duration::from_secs(5);

/// Why a request may have to be sent again.
#[derive(Clone, Copy, Debug)]
pub enum RetryReason {
    /// There was no connection, so the request had no effect.
    Unsent,
    /// The request may have had an effect.
    Unsure,
    /// The service refused the request for now, perhaps for a given time. It had no effect.
    Later(Option<Duration>),
    /// The failure is permanent.
    Final,
}

impl RetryReason {
    /// The reason to retry an attempt that failed without a response.
    pub fn of_error(error: &anyhow::Error) -> Self {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        match error.downcast_ref() {
            Some(ureq::Error::ConnectionFailed) => Self::Unsent,
            Some(ureq::Error::Io(io))
                if [ConnectionRefused, HostUnreachable, NetworkUnreachable].contains(&io.kind()) =>
            {
                Self::Unsent
            }
            Some(ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_)) => Self::Unsure,
            // The response was incomplete.
            None if error.chain().any(|cause| cause.to_string().ends_with(BROKE_OFF)) => Self::Unsure,
            Some(_) | None => Self::Final,
        }
    }

    /// The reason to retry a response with this status and these headers, if any.
    pub fn of_status(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| text(name)?.parse().ok();
        let until = |seconds: u64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Duration::from_secs(seconds).saturating_sub(now)
        };
        let requested = match (text(RETRY_AFTER.as_str()).and_then(RetryAfter::parse), number("x-ratelimit-remaining"))
        {
            (Some(RetryAfter::Seconds(seconds)), _) => Some(Duration::from_secs(seconds)),
            (Some(RetryAfter::Date(date)), _) => Some(until(date)),
            (None, Some(0)) => number("x-ratelimit-reset").map(until),
            _ => None,
        };
        match status {
            StatusCode::TOO_MANY_REQUESTS => Some(Self::Later(requested)),
            StatusCode::FORBIDDEN if requested.is_some() => Some(Self::Later(requested)),
            _ if status.is_server_error() => Some(Self::Unsure),
            _ => None,
        }
    }
}

/// Source: RFC 9110, section 10.2.3: a number of seconds or a date.
enum RetryAfter {
    Seconds(u64),
    /// In seconds since 1970.
    Date(u64),
}

impl RetryAfter {
    /// Of the forms of a date (section 5.6.7) only the one that may still be sent.
    fn parse(text: &str) -> Option<Self> {
        let date = || OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp().try_into().ok();
        text.parse().ok().map(Self::Seconds).or_else(|| date().map(Self::Date))
    }
}

/// The attempts that are left for one request: four, and pauses of five minutes, in all.
pub struct Retry {
    host: String,
    is_repeatable: bool,
    pause: Duration,
    attempts: u32,
    waited: Duration,
}

impl Retry {
    /// For a request to `url`. If `is_repeatable`, it is sent again even if it may have had an effect.
    pub fn new(url: &Url, is_repeatable: bool) -> Self {
        let pause = if url.is_loopback() { FIRST_PAUSE_ON_LOOPBACK } else { FIRST_PAUSE };
        Self { host: url.origin().to_owned(), is_repeatable, pause, attempts: 1, waited: Duration::ZERO }
    }

    /// Waits before the next attempt; returns `false` if there is none.
    ///
    /// # Errors
    /// [`RateLimited`] if the service asks for a longer wait than is left.
    pub fn wait(&mut self, reason: RetryReason) -> Result<bool> {
        let Some(pause) = self.pause(reason)? else { return Ok(false) };
        if pause >= SHORTEST_SHOWN {
            note(format_args!("{} asks to wait; continuing in {} s", self.host, pause.as_secs()));
        }
        std::thread::sleep(pause);
        self.attempts += 1;
        self.waited += pause;
        Ok(true)
    }

    /// How long to wait before the next attempt, or `None` if there is none.
    fn pause(&self, reason: RetryReason) -> Result<Option<Duration>> {
        let own_pause = self.pause * 2_u32.pow(self.attempts - 1);
        let pause = match reason {
            _ if self.attempts == MOST_ATTEMPTS => return Ok(None),
            RetryReason::Unsure if !self.is_repeatable => return Ok(None),
            RetryReason::Final => return Ok(None),
            RetryReason::Unsent | RetryReason::Unsure => own_pause,
            RetryReason::Later(Some(requested)) => requested,
            RetryReason::Later(None) => self.pause * UNSPECIFIED_PAUSES,
        };
        if self.waited.saturating_add(pause) > LONGEST_WAIT {
            let (host, minutes) = (self.host.clone(), pause.as_secs().div_ceil(60));
            bail!(RateLimited { host, minutes });
        }
        Ok(Some(pause))
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;
    use crate::os::mutated_input;

    /// A retry that has already waited for a part of a second.
    fn retry() -> Retry {
        let url = "https://x/".parse().expect("a URL");
        Retry { waited: Duration::from_millis(500), ..Retry::new(&url, true) }
    }

    #[test]
    fn no_number_of_a_header_overflows() {
        let most = HeaderValue::from(u64::MAX);
        for headers in [
            vec![("retry-after", most.clone())],
            vec![("x-ratelimit-remaining", HeaderValue::from(0)), ("x-ratelimit-reset", most)],
        ] {
            let headers: HeaderMap =
                headers.into_iter().map(|(name, value)| (http::HeaderName::from_static(name), value)).collect();
            let reason = RetryReason::of_status(StatusCode::FORBIDDEN, &headers).expect("a limit");
            retry().pause(reason).expect_err("is too long");
        }
    }

    #[test]
    fn a_date_to_retry_after_is_honoured() {
        let wait = |value| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            match RetryReason::of_status(StatusCode::FORBIDDEN, &headers) {
                Some(RetryReason::Later(wait)) => wait,
                _ => None,
            }
        };
        // The example of RFC 9110, section 5.6.7, is past.
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(wait("Fri, 31 Dec 9999 23:59:59 GMT") > Some(LONGEST_WAIT));
        assert_eq!((wait("120"), wait("soon")), (Some(Duration::from_secs(120)), None));
    }

    #[test]
    fn whatever_a_service_asks_for_the_pause_has_a_limit() {
        arbtest::arbtest(|source| {
            let mut headers = HeaderMap::new();
            for (name, sample) in
                [("retry-after", "120"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225600")]
            {
                let value = mutated_input::bytes(source, sample.as_bytes())?;
                if let (true, Ok(value)) = (source.arbitrary()?, HeaderValue::from_bytes(&value)) {
                    headers.insert(name, value);
                }
            }
            for status in
                [StatusCode::TOO_MANY_REQUESTS, StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY, StatusCode::OK]
            {
                let Some(reason) = RetryReason::of_status(status, &headers) else { continue };
                if let Ok(pause) = retry().pause(reason) {
                    assert!(pause.expect("is repeated") < LONGEST_WAIT, "{reason:?} {pause:?} {headers:?}");
                }
                let last = Retry { attempts: MOST_ATTEMPTS, ..retry() };
                assert_eq!(last.pause(reason).expect("is the last"), None);
            }
            Ok(())
        });
    }
}
