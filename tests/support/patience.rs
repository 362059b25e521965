//! Waiting on a state, with a limit. The only places where tests let time pass.

use std::time::{Duration, Instant};

/// How often a state is looked at: short beside every time-out in play, long enough to leave the processor to the parts.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until `look` finds something; panics with `what` after `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The same for code that starts parts before there is a runtime; `None` after `limit`.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "polling with a limit, before there is a runtime")]
        std::thread::sleep(LOOK_EVERY);
    }
}
