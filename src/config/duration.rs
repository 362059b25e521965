//! Durations as people write them: a whole number and one unit, `200ms` `2s` `15m` `12h` `30d`.

use std::time::Duration;

/// Units with their length in milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration. `None` if it is not a whole number with one unit, or does not fit.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, length_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = number.parse().ok()?;
    number.checked_mul(*length_ms).map(Duration::from_millis)
}

/// Writes a duration in the longest unit that leaves no rest.
#[must_use]
pub fn format(duration: Duration) -> String {
    let total_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fitting = UNITS.iter().find(|(_, length_ms)| total_ms >= *length_ms && total_ms.is_multiple_of(*length_ms));
    match fitting {
        Some((unit, length_ms)) => format!("{}{unit}", total_ms / length_ms),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0s", "1ms", "1500ms", "2s", "90s", "15m", "12h", "30d"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn anything_but_a_number_and_a_unit_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5s", "1 s", "1S", "1w", "99999999999999999999s", "999999999999999d"] {
            assert!(parse(text).is_none(), "{text} was read");
        }
    }
}
