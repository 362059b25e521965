//! One event's machine under the test's own time.

use std::time::{Duration, Instant};

use profile_linker::domain::machine::{Effect, End, Facts, Flow, Linked, Moment, Observation, Past, Rules};
use profile_linker::domain::outcome::{CallOutcome, CustomerCheck, FoundProfile, LinkAnswer, LookOutcome, Refusal};
use profile_linker::domain::retry::RetryPolicy;
use profile_linker::domain::{Attempts, ReasonCode};

pub const SETTLE: Duration = Duration::from_secs(2);
pub const LOOKS: u32 = 3;
pub const BUDGET: Duration = Duration::from_secs(60);
pub const MAX_INTERVAL: Duration = Duration::from_secs(8);

/// `expiresAt` of [`Driver::expiring`].
pub const EXPIRES_MS: i64 = 1_000;

pub struct Driver {
    pub flow: Flow,
    pub facts: Facts,
    pub rules: Rules,
    pub now: Moment,
}

impl Driver {
    pub fn temporary() -> Self {
        Self::of(Flow::accepted(Attempts::default(), Duration::ZERO), true)
    }

    pub fn permanent() -> Self {
        Self::of(Flow::accepted(Attempts::default(), Duration::ZERO), false)
    }

    /// Its permanent token was read back from the ledger.
    pub fn converted() -> Self {
        Self::of(Flow::converted(Attempts::default(), Duration::ZERO), true)
    }

    pub fn expiring() -> Self {
        let mut driver = Self::temporary();
        driver.facts.expires_at = Some(EXPIRES_MS);
        driver
    }

    fn of(flow: Flow, temporary: bool) -> Self {
        let retry = RetryPolicy::new(Duration::from_millis(200), 2.0, MAX_INTERVAL, BUDGET, Instant::now());
        Self {
            flow,
            facts: Facts {
                temporary,
                expires_at: None,
                wants_primary: false,
                refusal_needs_customer: false,
                found_by_marker: true,
            },
            rules: Rules { retry, settle: SETTLE, looks: LOOKS, longest_call: Duration::ZERO },
            now: Moment { earliest_ms: 0, tick: Duration::from_secs(1_000), chance: 1.0, outage: false },
        }
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now.tick += time;
        self.now.earliest_ms += i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    }

    pub fn see(&mut self, observation: Observation) -> Effect {
        self.flow.step(observation, self.facts, &self.rules, self.now)
    }

    /// Sees each of these and answers the last effect.
    pub fn see_all(&mut self, observations: impl IntoIterator<Item = Observation>) -> Effect {
        observations.into_iter().map(|observation| self.see(observation)).last().unwrap_or(Effect::Nothing)
    }
}

pub fn begun() -> Observation {
    Observation::Begun(Past::default())
}

pub fn resumed() -> Observation {
    Observation::Begun(Past { resumed: true, ..Past::default() })
}

/// Accepted into a ledger that may not know of an earlier link.
pub fn possibly_sent() -> Observation {
    Observation::Begun(Past { possibly_sent: true, ..Past::default() })
}

/// Resumed after so many unclean ends during which it was running.
pub fn started(starts: u32) -> Observation {
    Observation::Begun(Past { resumed: true, starts, ..Past::default() })
}

/// A permanent token's way up to its link.
pub fn to_linking() -> [Observation; 2] {
    [begun(), Observation::Turn]
}

pub fn done<T>(value: T) -> CallOutcome<T> {
    CallOutcome::Done(value)
}

pub fn not_applied<T>() -> CallOutcome<T> {
    CallOutcome::NotApplied { retry_after: None, detail: "no connection".to_owned() }
}

pub fn asked_to_wait<T>(seconds: u64) -> CallOutcome<T> {
    CallOutcome::NotApplied { retry_after: Some(Duration::from_secs(seconds)), detail: "429".to_owned() }
}

pub fn unknown<T>() -> CallOutcome<T> {
    CallOutcome::Unknown { retry_after: None, detail: "timed out".to_owned() }
}

pub fn refused<T>(code: ReasonCode) -> CallOutcome<T> {
    CallOutcome::Refused(Refusal { code, detail: "refused".to_owned() })
}

pub fn misconfigured<T>() -> CallOutcome<T> {
    CallOutcome::Misconfigured { detail: "401".to_owned() }
}

pub fn link(outcome: CallOutcome<LinkAnswer>) -> Observation {
    Observation::Link(outcome)
}

pub fn absent() -> Observation {
    Observation::Looked(LookOutcome::Absent)
}

pub fn found() -> Observation {
    Observation::Looked(LookOutcome::Found { profile: profile(), others: 0 })
}

pub fn found_primary() -> Observation {
    let primary = FoundProfile { primary: true, secondary: false, ..profile() };
    Observation::Looked(LookOutcome::Found { profile: primary, others: 0 })
}

pub fn look_failed() -> Observation {
    Observation::Looked(LookOutcome::Failed { retry_after: None, detail: "503".to_owned() })
}

pub fn customer_missing() -> Observation {
    Observation::Looked(LookOutcome::CustomerMissing { detail: "no such customer".to_owned() })
}

pub fn unclear() -> Observation {
    Observation::Customer(CustomerCheck::Unclear { detail: "no probe".to_owned() })
}

pub fn unwitnessed() -> Observation {
    Observation::Customer(CustomerCheck::Unwitnessed { detail: "nobody was found".to_owned() })
}

pub fn profile() -> FoundProfile {
    FoundProfile { secondary: true, ..FoundProfile::named("7".to_owned()) }
}

/// That profile, as the machine keeps it.
pub fn kept(by_look_up: bool) -> Linked {
    Linked { profile: profile(), by_look_up, promoted: false }
}

/// The code of a rejection.
pub fn code(effect: &Effect) -> ReasonCode {
    match effect {
        Effect::End(End::Rejected(reason)) => reason.code,
        other => panic!("not rejected but {other:?}"),
    }
}

/// Whether it ended as linked, and if so whether by look-up.
pub fn linked(effect: &Effect) -> Option<bool> {
    match effect {
        Effect::End(End::Linked { by_look_up, .. }) => Some(*by_look_up),
        _ => None,
    }
}
