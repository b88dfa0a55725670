//! Reads that may lag behind a write: of a list at GitHub, of a file that was just published, of a manifest that was
//! just pushed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::http::Url;

/// The pauses between two looks: half a minute in all. Reports on ghcr.io, on downloads from GitHub and on the list of
/// workflow runs name some seconds (p2pool-starter-stack/pithead issue 429; Mentra-Community/Mentra-Bluetooth-SDK-Starter-Kit
/// pull request 159; Codex-/return-dispatch issue 183).
const PAUSES: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// Only fakes and test registries listen on this machine, so that a hundredth of a pause is enough.
pub const HASTE_ON_LOOPBACK: u32 = 100;

/// What passes the time between two looks. A test puts a simulated clock in its place.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn(Duration) + Send + Sync>);

impl Clock {
    /// The clock to wait with for the service at `url`.
    pub fn of(url: &Url) -> Self {
        let haste = if url.is_loopback() { HASTE_ON_LOOPBACK } else { 1 };
        Self(Arc::new(move |pause| std::thread::sleep(pause / haste)))
    }

    /// A clock that calls `advance` instead of waiting.
    #[cfg(test)]
    pub fn simulated(advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(advance))
    }

    /// Looks until there is something, with growing pauses. It ends on a look: `None` if there is still nothing then.
    ///
    /// # Errors
    /// The first error of `look`.
    pub fn look_until_found<T>(&self, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        for pause in PAUSES {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            (self.0)(pause);
        }
        look()
    }
}

/// [`Clock::look_until_found`] with the clock of `url`.
///
/// # Errors
/// The first error of `look`.
pub fn look_until_found<T>(url: &Url, look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    Clock::of(url).look_until_found(look)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn it_looks_as_often_as_it_pauses_and_once_more() {
        for (appears_at, waited, found) in [(1, 0, Some(1)), (7, 31_500, Some(7)), (8, 31_500, None)] {
            let slept = Arc::new(Mutex::new(Duration::ZERO));
            let clock = Clock::simulated({
                let slept = Arc::clone(&slept);
                move |pause| *slept.lock().expect("no panic") += pause
            });
            let mut looks = 0;
            let seen = clock.look_until_found(|| {
                looks += 1;
                Ok((looks == appears_at).then_some(looks))
            });
            assert_eq!((seen.expect("no error"), looks), (found, appears_at.min(7)));
            assert_eq!(*slept.lock().expect("no panic"), Duration::from_millis(waited));
        }
    }
}
