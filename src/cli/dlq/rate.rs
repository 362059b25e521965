//! How fast a replay goes.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Reopened in one write, at most: it holds its lanes for about a millisecond.
const BATCH: usize = 100;
/// Writes a second that a rate is spread over.
const BEATS: f64 = 10.0;

/// So many a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "a rate such as 50/s, 600/m or 1000/h".to_owned();
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        let number: u32 = number.parse().map_err(|_| bad())?;
        (number > 0).then(|| Self(f64::from(number) / seconds)).ok_or_else(bad)
    }
}

/// Keeps to a rate, or to none.
pub struct Pace {
    rate: Option<Rate>,
    next: Instant,
}

impl Pace {
    /// From now on.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// How many may go at once.
    pub fn batch(&self) -> usize {
        // Within 1 and the limit, so the cast keeps the number.
        self.rate.map_or(BATCH, |Rate(rate)| (rate / BEATS).clamp(1.0, BATCH as f64) as usize)
    }

    /// Waits until the next ones may go. Dropped half-way, it may be asked again.
    pub async fn wait(&self) {
        sleep_until(self.next).await;
    }

    /// So many went. The next ones are due by when these were, however long they took; what was missed beyond one beat, while
    /// results or a slow ledger were waited for, is not made up for.
    pub fn went(&mut self, count: usize) {
        if let Some(Rate(rate)) = self.rate {
            let takes = Duration::from_secs_f64(count as f64 / rate);
            self.next = (self.next + takes).max(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_by_the_second_the_minute_and_the_hour() {
        for (text, rate) in [("50/s", 50.0), ("50", 50.0), ("60/m", 1.0), ("1800/h", 0.5)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "0/s", "-1/s", "50/d", "fast", "1.5/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    /// Lets so many go, each batch in a write that takes a while; answers how long that took.
    async fn written(pace: &mut Pace, count: usize, takes: Duration) -> Duration {
        let (began, mut gone) = (Instant::now(), 0);
        while gone < count {
            pace.wait().await;
            let batch = pace.batch();
            tokio::time::sleep(takes).await;
            pace.went(batch);
            gone += batch;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_also_where_each_write_takes_a_while() {
        for takes in [0, 25, 99] {
            let took = written(&mut Pace::new("50/s".parse().ok()), 300, Duration::from_millis(takes)).await;
            assert!((5900..=6000).contains(&took.as_millis()), "writes of {takes} ms: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_stall_missed_is_not_made_up_for_in_a_burst() {
        let mut pace = Pace::new("50/s".parse().ok());
        written(&mut pace, 5, Duration::from_secs(30)).await;
        let took = written(&mut pace, 50, Duration::ZERO).await;
        assert!(took >= Duration::from_millis(890), "more than a beat at once: {took:?}");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let took = written(&mut pace, 50, Duration::ZERO).await;
        assert!(took >= Duration::from_millis(790), "more than a beat at once: {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        for (rate, least) in [("50/s", 20), ("2/s", 500), ("5000/s", 0)] {
            let (mut pace, began, mut gone) = (Pace::new(rate.parse().ok()), Instant::now(), 0_u32);
            while gone < 1000 {
                pace.wait().await;
                let batch = pace.batch();
                pace.went(batch);
                gone += u32::try_from(batch).unwrap();
            }
            pace.wait().await;
            let took = began.elapsed().as_secs();
            assert!((least..=least + 1).contains(&took), "{rate}: {took} s");
        }
    }
}
