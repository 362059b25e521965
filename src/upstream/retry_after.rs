//! `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3).

use std::time::Duration;

use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Longest wait that a vendor can impose with one answer. A longer outage is asked about again every five minutes; a
/// nonsensical value must not park an event for days.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How long the answer asks to wait, capped. A date is measured against the answer's own `Date`, so that the two clocks
/// need not agree, else against `received_at`. A date in the past is no wait at all; what cannot be read does not count.
#[must_use]
pub fn retry_after(headers: &HeaderMap, received_at: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are certainly above the cap.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = http_date(text)?;
    let now = sent_at(headers).unwrap_or(received_at);
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The answer's own `Date`.
#[must_use]
pub fn sent_at(headers: &HeaderMap) -> Option<Timestamp> {
    date(headers, &DATE)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    http_date(headers.get(name)?.to_str().ok()?.trim())
}

/// The one format that senders may use, in which a wrong weekday is the sender's slip and changes nothing; and the two that
/// recipients must read, too (RFC 9110, section 5.6.7): RFC 850's, and that of `asctime`.
fn http_date(text: &str) -> Option<Timestamp> {
    let obsolete = || Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok();
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok().or_else(obsolete)
}
