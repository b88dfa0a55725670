//! Reads that may lag behind a write: of a list at GitHub, of a file that was just published, of a manifest that was
//! just pushed.

use std::time::Duration;

use anyhow::Result;

use crate::http::Url;

/// The pauses between two looks, in multiples of the first: half a minute in all. Reports on ghcr.io and on downloads
/// from GitHub name some seconds (p2pool-starter-stack/pithead issue 429; Mentra-Community/Mentra-Bluetooth-SDK-Starter-Kit
/// pull request 159).
const PAUSES: [u32; 6] = [1, 2, 4, 8, 16, 32];
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Only fakes and test registries listen on this machine.
const FIRST_PAUSE_ON_LOOPBACK: Duration = Duration::from_millis(5);

/// Looks at the service at `url` until there is something, with growing pauses. It ends on a look: `None` if there is
/// still nothing then.
///
/// # Errors
/// The first error of `look`.
pub fn look_until_found<T>(url: &Url, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let first = if url.is_loopback() { FIRST_PAUSE_ON_LOOPBACK } else { FIRST_PAUSE };
    for pause in PAUSES {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        std::thread::sleep(first * pause);
    }
    look()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_often_as_it_pauses_and_once_more() {
        let url: Url = "http://127.0.0.1:1".parse().expect("a URL");
        for (appears_at, found) in [(1, Some(1)), (7, Some(7)), (8, None)] {
            let mut looks = 0;
            let seen = look_until_found(&url, || {
                looks += 1;
                Ok((looks == appears_at).then_some(looks))
            });
            assert_eq!((seen.expect("no error"), looks), (found, appears_at.min(7)));
        }
        assert_eq!(FIRST_PAUSE * PAUSES.iter().sum::<u32>(), Duration::from_millis(31_500));
    }
}
