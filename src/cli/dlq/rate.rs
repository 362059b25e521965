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

    /// So many went. What was missed while others were waited for is not made up for.
    pub fn went(&mut self, count: usize) {
        if let Some(Rate(rate)) = self.rate {
            let takes = Duration::from_secs_f64(count as f64 / rate);
            self.next = self.next.max(Instant::now()) + takes;
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
