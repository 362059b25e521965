//! What the answer to an event's call says of the upstream that gave it.

use std::time::Duration;

use crate::domain::Upstream;
use crate::domain::flow_control::Verdict;
use crate::domain::machine::Observation;
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::upstream::http::TransportErrorKind;
use crate::upstream::journal::Note;

/// What a call says of its upstream.
pub(super) fn verdict(upstream: Upstream, observation: &Observation, notes: &[Note]) -> Verdict {
    let read = Reading { upstream, last: notes.last() };
    match observation {
        Observation::Conversion(outcome) => read.call(outcome),
        Observation::Link(outcome) => read.call(outcome),
        Observation::Promotion(outcome) => read.call(outcome),
        Observation::Looked(outcome) => read.look(outcome),
        Observation::Customer(check) => read.check(check),
        Observation::Begun(_) | Observation::Stored | Observation::Turn | Observation::Due | Observation::Expired => {
            Verdict::Nothing
        }
    }
}

/// Whether the call was not answered in time.
pub(super) fn timed_out(notes: &[Note]) -> bool {
    notes.last().is_some_and(|note| note.error == Some(TransportErrorKind::Timeout))
}

struct Reading<'a> {
    upstream: Upstream,
    /// The exchange that the outcome was judged by.
    last: Option<&'a Note>,
}

impl Reading<'_> {
    fn call<T>(&self, outcome: &CallOutcome<T>) -> Verdict {
        match outcome {
            CallOutcome::Done(_) => Verdict::Answered,
            // Decided before anything was sent.
            CallOutcome::Refused(_) if self.last.is_none() => Verdict::Nothing,
            CallOutcome::Refused(_) => self.answered_without_proof(),
            CallOutcome::NotApplied { retry_after, detail } | CallOutcome::Unknown { retry_after, detail } => {
                self.failed(*retry_after, detail)
            }
            CallOutcome::Misconfigured { detail } => Verdict::Misconfigured { detail: detail.clone() },
            CallOutcome::Withdrawn => Verdict::Nothing,
        }
    }

    fn look(&self, outcome: &LookOutcome) -> Verdict {
        match outcome {
            LookOutcome::Found { .. } => Verdict::Answered,
            LookOutcome::Absent | LookOutcome::CustomerMissing { .. } => self.answered_without_proof(),
            LookOutcome::Failed { retry_after, detail } => self.failed_read(*retry_after, detail),
            LookOutcome::Misconfigured { detail } => Verdict::Misconfigured { detail: detail.clone() },
        }
    }

    fn check(&self, check: &CustomerCheck) -> Verdict {
        match check {
            CustomerCheck::Exists | CustomerCheck::Missing => Verdict::Witnessed,
            CustomerCheck::Unwitnessed { detail } => Verdict::Doubtful { detail: detail.clone() },
            CustomerCheck::Unclear { detail } => self.failed_read(None, detail),
            CustomerCheck::Misconfigured { detail } => Verdict::Misconfigured { detail: detail.clone() },
        }
    }

    /// LoanPro refuses, and finds nobody and nothing, in a wrong tenant, too.
    fn answered_without_proof(&self) -> Verdict {
        match self.upstream {
            Upstream::Loanpro => Verdict::Ambiguous,
            Upstream::Payiq | Upstream::Aloha => Verdict::Answered,
        }
    }

    fn failed(&self, retry_after: Option<Duration>, detail: &str) -> Verdict {
        let detail = detail.to_owned();
        // It shared a sign-in that another event's call made, and that call tells of it.
        if self.last.is_none() {
            return Verdict::Nothing;
        }
        if let Some(TransportErrorKind::Certificate(_)) = self.last.and_then(|note| note.error) {
            return Verdict::Misconfigured { detail };
        }
        match self.last.and_then(|note| note.status) {
            Some(429) => Verdict::Throttled { retry_after, detail },
            Some(503) if retry_after.is_some() => Verdict::Throttled { retry_after, detail },
            // LoanPro says by a 409 that a title is taken.
            Some(409) => self.answered_without_proof(),
            _ => Verdict::Failed { detail },
        }
    }

    /// What cannot be judged in a list that came is this customer's trouble, not the upstream's. Anything else in its place, a
    /// page of maintenance say, is no answer, whatever its status.
    fn failed_read(&self, retry_after: Option<Duration>, detail: &str) -> Verdict {
        match self.last {
            Some(note) if note.listed => self.answered_without_proof(),
            _ => self.failed(retry_after, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReasonCode;
    use crate::domain::outcome::{LinkAnswer, Refusal};
    use crate::upstream::http::CertificateFault;

    fn note(status: Option<u16>, error: Option<TransportErrorKind>) -> Vec<Note> {
        let (upstream, operation) = ("loanpro", "link");
        let (took, waited) = (Duration::ZERO, Duration::ZERO);
        vec![Note { upstream, operation, status, error, listed: false, took, waited }]
    }

    fn listed() -> Vec<Note> {
        status(200).into_iter().map(|note| Note { listed: true, ..note }).collect()
    }

    fn status(status: u16) -> Vec<Note> {
        note(Some(status), None)
    }

    fn unknown() -> Observation {
        Observation::Link(CallOutcome::Unknown { retry_after: None, detail: "?".to_owned() })
    }

    fn not_applied(seconds: Option<u64>) -> Observation {
        let retry_after = seconds.map(Duration::from_secs);
        Observation::Link(CallOutcome::NotApplied { retry_after, detail: "?".to_owned() })
    }

    fn refused() -> Observation {
        let refusal = Refusal { code: ReasonCode::LinkRefused, detail: "?".to_owned() };
        Observation::Link(CallOutcome::Refused(refusal))
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Answered => "answered",
            Verdict::Ambiguous => "ambiguous",
            Verdict::Witnessed => "witnessed",
            Verdict::Failed { .. } => "failed",
            Verdict::Throttled { .. } => "throttled",
            Verdict::Doubtful { .. } => "doubtful",
            Verdict::Misconfigured { .. } => "misconfigured",
            Verdict::Nothing => "nothing",
        }
    }

    #[test]
    fn answers_say_of_their_upstream_what_the_table_says() {
        let detail = || "?".to_owned();
        let failed_look = || Observation::Looked(LookOutcome::Failed { retry_after: None, detail: detail() });
        let customer = Observation::Customer;
        let cases = [
            (Observation::Link(CallOutcome::Done(LinkAnswer::Unnamed)), status(200), "answered"),
            (refused(), status(409), "ambiguous"),
            (refused(), Vec::new(), "nothing"),
            (not_applied(None), status(429), "throttled"),
            (not_applied(Some(3)), status(429), "throttled"),
            (not_applied(Some(3)), status(503), "throttled"),
            (not_applied(None), note(None, Some(TransportErrorKind::Connect)), "failed"),
            (
                not_applied(None),
                note(None, Some(TransportErrorKind::Certificate(CertificateFault::Time))),
                "misconfigured",
            ),
            (not_applied(None), Vec::new(), "nothing"),
            (unknown(), status(503), "failed"),
            (unknown(), status(200), "failed"),
            (unknown(), status(409), "ambiguous"),
            (unknown(), note(None, Some(TransportErrorKind::Timeout)), "failed"),
            (Observation::Link(CallOutcome::Misconfigured { detail: detail() }), status(401), "misconfigured"),
            (Observation::Link(CallOutcome::Withdrawn), Vec::new(), "nothing"),
            (Observation::Looked(LookOutcome::Absent), status(200), "ambiguous"),
            (failed_look(), listed(), "ambiguous"),
            (failed_look(), status(200), "failed"),
            (customer(CustomerCheck::Unclear { detail: detail() }), status(200), "failed"),
            (failed_look(), status(500), "failed"),
            (failed_look(), status(429), "throttled"),
            (customer(CustomerCheck::Exists), status(200), "witnessed"),
            (customer(CustomerCheck::Missing), status(404), "witnessed"),
            (customer(CustomerCheck::Unwitnessed { detail: detail() }), status(404), "doubtful"),
            (customer(CustomerCheck::Unclear { detail: detail() }), status(502), "failed"),
        ];
        for (index, (observation, notes, expected)) in cases.iter().enumerate() {
            assert_eq!(word(&verdict(Upstream::Loanpro, observation, notes)), *expected, "case {index}");
        }
        assert_eq!(word(&verdict(Upstream::Payiq, &refused(), &status(200))), "answered");
        assert_eq!(word(&verdict(Upstream::Aloha, &refused(), &status(400))), "answered");
    }

    #[test]
    fn a_time_out_is_told_from_other_ends_without_an_answer() {
        assert!(timed_out(&note(None, Some(TransportErrorKind::Timeout))));
        assert!(!timed_out(&note(None, Some(TransportErrorKind::Reset))));
        assert!(!timed_out(&status(504)));
        assert!(!timed_out(&[]));
    }
}
