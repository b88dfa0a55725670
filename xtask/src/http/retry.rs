//! When to request a service again, after how long, and when to give up.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use crate::http::Url;
use crate::os::terminal::note;

const MOST_ATTEMPTS: u32 = 4;
/// All pauses of one request together.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Nobody but a double or a laboratory listens on this machine: neither needs time to recover.
const FIRST_PAUSE_ON_LOOPBACK: Duration = Duration::from_millis(5);
/// Where a limit of rate is said without a time. Source: GitHub, "Rate limits for the REST API":
/// "wait for at least one minute before retrying".
const UNTOLD_PAUSES: u32 = 120;
/// How an error says that an answer came in part.
pub const BROKE_OFF: &str = "broke off";
const WORTH_SAYING: Duration = Duration::from_secs(5);

/// Why a request may have to be sent again.
#[derive(Clone, Copy, Debug)]
pub enum RetryReason {
    /// No connection came about: it had no effect.
    Unsent,
    /// Nobody knows whether it had an effect.
    Unsure,
    /// It was refused for now, without effect; the service may have said for how long.
    Later(Option<Duration>),
    /// Sending it again is of no use.
    Final,
}

impl RetryReason {
    /// Of an attempt that brought no answer.
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
            // The body of an answer that broke off.
            None if error.chain().any(|cause| cause.to_string().ends_with(BROKE_OFF)) => Self::Unsure,
            Some(_) | None => Self::Final,
        }
    }

    /// Of a status and its headers.
    pub fn of_status(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let told = match (number(RETRY_AFTER.as_str()), number("x-ratelimit-remaining"), number("x-ratelimit-reset")) {
            (Some(seconds), _, _) => Some(Duration::from_secs(seconds)),
            (None, Some(0), Some(reset)) => {
                let left = (UNIX_EPOCH + Duration::from_secs(reset)).duration_since(SystemTime::now());
                Some(left.unwrap_or_default())
            }
            _ => None,
        };
        match status {
            StatusCode::TOO_MANY_REQUESTS => Some(Self::Later(told)),
            StatusCode::FORBIDDEN if told.is_some() => Some(Self::Later(told)),
            _ if status.is_server_error() => Some(Self::Unsure),
            _ => None,
        }
    }
}

/// How much longer one request is worth waiting for: four attempts and five minutes in all.
pub struct Retry {
    host: String,
    is_repeatable: bool,
    pause: Duration,
    attempts: u32,
    waited: Duration,
}

impl Retry {
    /// For a request to `url` that may be repeated even where it may have had its effect, or not.
    pub fn new(url: &Url, is_repeatable: bool) -> Self {
        let pause = if url.is_loopback() { FIRST_PAUSE_ON_LOOPBACK } else { FIRST_PAUSE };
        Self { host: url.origin().to_owned(), is_repeatable, pause, attempts: 1, waited: Duration::ZERO }
    }

    /// Whether the request is to be sent again, after a pause that is taken here.
    ///
    /// # Errors
    /// Where the service asks for more time than anyone would wait.
    pub fn wait(&mut self, reason: RetryReason) -> Result<bool> {
        let own_pause = self.pause * 2_u32.pow(self.attempts - 1);
        let pause = match reason {
            _ if self.attempts == MOST_ATTEMPTS => return Ok(false),
            RetryReason::Unsure if !self.is_repeatable => return Ok(false),
            RetryReason::Final => return Ok(false),
            RetryReason::Unsent | RetryReason::Unsure => own_pause,
            RetryReason::Later(Some(told)) => told,
            RetryReason::Later(None) => self.pause * UNTOLD_PAUSES,
        };
        let host = &self.host;
        if self.waited + pause > LONGEST_WAIT {
            let minutes = pause.as_secs().div_ceil(60);
            bail!("{host} limits the rate of requests and asks to wait {minutes} minutes; run this again then");
        }
        if pause >= WORTH_SAYING {
            note(format_args!("{host} asks to wait; going on in {} s", pause.as_secs()));
        }
        std::thread::sleep(pause);
        self.attempts += 1;
        self.waited += pause;
        Ok(true)
    }
}
