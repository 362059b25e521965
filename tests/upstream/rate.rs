//! The rate limit, on a paused clock.

use std::time::Duration;

use profile_linker::upstream::http::RateLimit;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn turns_are_handed_out_at_the_rate() {
    let limit = RateLimit::per_second(10.0).unwrap();
    let started = Instant::now();
    for _ in 0..21 {
        limit.turn().await;
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(2100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn unused_time_is_made_up_for_only_a_little() {
    let limit = RateLimit::per_second(100.0).unwrap();
    limit.turn().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let started = Instant::now();
    for _ in 0..111 {
        limit.turn().await;
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(990) && took < Duration::from_millis(1100), "{took:?}");
}

#[test]
fn a_rate_that_is_none_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
        assert!(RateLimit::per_second(rate).is_none(), "{rate}");
    }
}
