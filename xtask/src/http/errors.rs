//! Errors that a caller tells apart.

use std::fmt;

use http::StatusCode;

use crate::http::Url;

/// A download was answered with a status that is not a success.
#[derive(Debug)]
pub struct UnexpectedStatus {
    pub url: Url,
    pub status: StatusCode,
}

impl fmt::Display for UnexpectedStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} answered {}", self.url, self.status)
    }
}

impl std::error::Error for UnexpectedStatus {}

/// A service asks for a longer wait than one request is given.
#[derive(Debug)]
pub struct RateLimited {
    pub host: String,
    pub minutes: u64,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, minutes } = self;
        write!(out, "{host} limits the rate of requests and asks to wait {minutes} minutes; run this again then")
    }
}

impl std::error::Error for RateLimited {}
