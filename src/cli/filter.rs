//! Which events `watch` shows.

use super::records::Record;
use crate::contract::{PROFILE_LINKED, PROFILE_REJECTED};
use crate::domain::ReasonCode;

/// Which events to show; what is not given does not matter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Of this customer only
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// About this input event only
    #[arg(long, value_name = "ID")]
    pub event_id: Option<String>,
    /// Of this CloudEvents type only; `linked` and `rejected` will do
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    pub kind: Option<String>,
    /// Rejected for this reason only
    #[arg(long, value_name = "CODE", value_parser = reason_code)]
    pub reason: Option<ReasonCode>,
}

/// A type that never comes would be watched for ever.
fn kind(text: &str) -> Result<String, String> {
    let names = [PROFILE_LINKED, PROFILE_REJECTED];
    let found = names.into_iter().find(|name| *name == text || *name == format!("payments.profile-{text}.v1"));
    found
        .map(str::to_owned)
        .ok_or_else(|| format!("no such result; there are linked ({}) and rejected ({})", names[0], names[1]))
}

pub(super) fn reason_code(text: &str) -> Result<ReasonCode, String> {
    let found = ReasonCode::ALL.into_iter().find(|code| code.as_str() == text);
    found.ok_or_else(|| {
        let names = ReasonCode::ALL.map(ReasonCode::as_str);
        format!("no such reason; there are {}", names.join(", "))
    })
}

impl Filter {
    /// Whether to show a record.
    #[must_use]
    pub fn admits(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, found: &[Option<&str>]| {
            wanted.as_deref().is_none_or(|wanted| found.contains(&Some(wanted)))
        };
        self.customer.as_deref().is_none_or(|wanted| is_customer(wanted, record))
            && is(&self.event_id, &[record.text("/data/created/id"), record.text("/causationid")])
            && is(&self.kind, &[record.text("/type")])
            && self.reason.is_none_or(|wanted| record.text("/data/reason/code") == Some(wanted.as_str()))
    }
}

/// By the event or by the key; in any spelling, since a GUID has two.
fn is_customer(wanted: &str, record: &Record) -> bool {
    let found = [record.text("/data/customer/id"), record.key.as_deref()];
    found.into_iter().flatten().any(|id| id.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejected() -> Record {
        let event = json!({"type": "payments.profile-rejected.v1", "data": {
            "created": {"id": "e1"}, "customer": {"id": "42"}, "reason": {"code": "user_locked"}}});
        Record { topic: "t".into(), partition: 0, offset: 0, key: Some("k".into()), event, timestamp: None }
    }

    #[test]
    fn each_filter_admits_what_it_names_and_nothing_else() {
        assert!(Filter::default().admits(&rejected()));
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (Filter { customer: some("42"), ..Filter::default() }, true),
            (Filter { customer: some("k"), ..Filter::default() }, true),
            (Filter { customer: some("K"), ..Filter::default() }, true),
            (Filter { customer: some("4"), ..Filter::default() }, false),
            (Filter { event_id: some("e1"), ..Filter::default() }, true),
            (Filter { event_id: some("e"), ..Filter::default() }, false),
            (Filter { kind: kind("rejected").ok(), ..Filter::default() }, true),
            (Filter { kind: kind("payments.profile-rejected.v1").ok(), ..Filter::default() }, true),
            (Filter { kind: kind("linked").ok(), ..Filter::default() }, false),
            (Filter { reason: Some(ReasonCode::UserLocked), ..Filter::default() }, true),
            (Filter { reason: Some(ReasonCode::LinkRefused), ..Filter::default() }, false),
            (Filter { customer: some("42"), event_id: some("e2"), ..Filter::default() }, false),
        ];
        for (filter, admitted) in cases {
            assert_eq!(filter.admits(&rejected()), admitted, "{filter:?}");
        }
    }
}
