//! Downloads of what is published. They may lag behind the last write, and are limited, so that such a read is tried for
//! a while.

use anyhow::Result;
use http::StatusCode;

use crate::http::{Http, Url, look_until_found};
use crate::published::is_status;

/// Downloads a small document. It may not be there yet.
///
/// # Errors
/// As [`Http::get`].
pub fn download(url: &Url, limit_bytes: u64) -> Result<Vec<u8>> {
    eventually(url, || match Http::default().get(url, limit_bytes) {
        Err(error) if is_status(&error, &[StatusCode::NOT_FOUND]) => Ok(Err(error)),
        result => result.map(Ok),
    })
}

/// Repeats a check that fails if a read lags. Returns its last result. Any other error ends it.
pub fn eventually<T>(url: &Url, mut check: impl FnMut() -> Result<Result<T>>) -> Result<T> {
    let mut last = None;
    let found = look_until_found(url, || Ok(check()?.map_err(|error| last = Some(error)).ok()))?;
    found.map_or_else(|| Err(last.expect("a check without a result has an error")), Ok)
}
