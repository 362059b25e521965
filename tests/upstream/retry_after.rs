//! `Retry-After` in its forms.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use profile_linker::upstream::retry_after::{MAX_RETRY_AFTER, retry_after};

/// Thu, 15 Jan 2026 12:00:00 GMT.
const NOW: i64 = super::exchange::RECEIVED_AT;

fn wait(headers: &[(&str, &str)]) -> Option<u64> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    retry_after(&map, Timestamp::from_second(NOW).unwrap()).map(|wait| wait.as_secs())
}

#[test]
fn seconds_are_taken_and_capped() {
    for (text, expected) in
        [("0", 0), ("1", 1), (" 30 ", 30), ("300", 300), ("301", 300), ("99999999999999999999", 300)]
    {
        assert_eq!(wait(&[("retry-after", text)]), Some(expected), "{text}");
    }
    assert_eq!(MAX_RETRY_AFTER, Duration::from_secs(300));
}

#[test]
fn a_date_is_measured_against_the_answers_own_date() {
    let until = "Thu, 15 Jan 2026 12:00:40 GMT";
    assert_eq!(wait(&[("retry-after", until)]), Some(40));
    assert_eq!(wait(&[("retry-after", until), ("date", "Thu, 15 Jan 2026 12:00:30 GMT")]), Some(10));
    assert_eq!(wait(&[("retry-after", until), ("date", "nonsense")]), Some(40));
    assert_eq!(wait(&[("retry-after", "Thu, 15 Jan 2026 11:00:00 GMT")]), Some(0));
    assert_eq!(wait(&[("retry-after", "Thu, 15 Jan 2099 11:00:00 GMT")]), Some(300));
}

#[test]
fn the_two_obsolete_forms_of_a_date_are_read_too() {
    for until in ["Thursday, 15-Jan-26 12:00:40 GMT", "Thu Jan 15 12:00:40 2026"] {
        assert_eq!(wait(&[("retry-after", until)]), Some(40), "{until}");
        assert_eq!(wait(&[("retry-after", "Thu, 15 Jan 2026 12:00:50 GMT"), ("date", until)]), Some(10), "{until}");
    }
    assert_eq!(wait(&[("retry-after", "Tue Jan  6 12:00:40 2026")]), Some(0), "a day of one digit");
}

#[test]
fn what_cannot_be_read_does_not_count() {
    for text in ["", "-1", "1.5", "soon", "2026-01-15T12:00:40Z", "1e3", "٣", "Thu Jan 15 12:00:40"] {
        assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
    }
    assert_eq!(wait(&[]), None);
}
