//! What the state machine speaks of: states, observations, effects.

use std::time::Duration;

use crate::domain::Reason;
use crate::domain::outcome::{CallOutcome, CustomerCheck, FoundProfile, LinkAnswer, LookOutcome, Refusal};
use crate::domain::retry::RetryPolicy;

/// Time and chance, as seen by the shell.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The earliest that it can be, milliseconds since 1970: for comparing with `expiresAt`, since an end cannot be taken back.
    pub earliest_ms: i64,
    /// Monotonic time since some start.
    pub tick: Duration,
    /// A random number in 0..1.
    pub chance: f64,
    /// The upstream that the event needs is known to be away: no time passes for its budget, and it is not asked to wait,
    /// since nothing is called before the upstream is back.
    pub outage: bool,
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Back-off and budget.
    pub retry: RetryPolicy,
    /// How long a write may take to become visible.
    pub settle: Duration,
    /// How many look-ups must say "not there" after an unseen outcome.
    pub looks: u32,
    /// How long a request may be under way at a target that applies it at all, also where its connection broke early.
    pub longest_call: Duration,
}

/// What never changes about an event.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its token must be converted first.
    pub temporary: bool,
    /// When a temporary token is known to be dead, milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// It asks to be its customer's primary profile, at a target that knows one.
    pub wants_primary: bool,
    /// A refusal of its target may be that of a wrong tenant (LoanPro): it counts only once the customer was seen.
    pub refusal_needs_customer: bool,
    /// Its profile can be found at the target without the permanent token (LoanPro: by the marker in the title).
    pub found_by_marker: bool,
}

/// What may have happened to an event before this process begins it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// An earlier process may have sent what the row's state allows.
    pub resumed: bool,
    /// It may have been sent before it was accepted here at all: the ledger was restored or adopted, or the record is old.
    pub possibly_sent: bool,
    /// In how many unclean ends of a process it was running.
    pub starts: u32,
}

/// The profile as it was last seen, once it was found: from there on the event ends as linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// As the target shows it.
    pub profile: FoundProfile,
    /// Found by reading back after an unseen outcome or a refusal.
    pub by_look_up: bool,
    /// The last promotion was answered as done.
    pub promoted: bool,
}

/// Why we look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The link's answer said done but named nothing.
    Answered,
    /// The link's outcome was not seen.
    Unseen,
    /// The target refused; it may be refusing what it already has.
    Refused(Refusal),
    /// It may have been linked before it was accepted here.
    BeforeConversion,
    /// It was promoted, or may have been.
    Promoted(Linked),
}

/// A read-back in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Why.
    pub cause: Cause,
    /// How many look-ups said "not there" so far.
    pub absent: u32,
}

impl Look {
    /// The first look after a link whose outcome was not seen.
    pub(super) const UNSEEN: Self = Self { cause: Cause::Unseen, absent: 0 };

    /// What was not there until now proves nothing of a link that was heard of only now.
    pub(super) fn anew(self) -> Self {
        Self { absent: 0, ..self }
    }

    /// The customer was not seen before or after it: however often it found nothing, it is looked for once more.
    pub(super) fn unproved(self, rules: &Rules) -> Self {
        Self { absent: self.absent.min(rules.looks.saturating_sub(1)), ..self }
    }

    /// A look that finds no such customer, is refused or fails casts doubt on an earlier refusal too: a wrong tenant answers so
    /// to everything. Once that is mended the link is sent again instead of being taken for refused.
    #[must_use]
    pub fn doubting_refusal(self) -> Self {
        match self.cause {
            Cause::Refused(_) => Self { cause: Cause::Unseen, absent: 0 },
            _ => self,
        }
    }
}

/// What follows a back-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Convert again.
    Convert,
    /// Link again.
    Link,
    /// Look again.
    Look(Look),
    /// Promote again.
    Promote(Linked),
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In the ledger; nothing begun in this process.
    Accepted,
    /// A conversion is out.
    Converting,
    /// The permanent token is being written down: the intent to link.
    Storing,
    /// Waits for its customer's earlier events; with a profile that was found before its turn and is to be promoted.
    Converted(Option<Linked>),
    /// A link is out.
    Linking,
    /// Waits until a write would be visible.
    Settling(Look),
    /// A look-up is out.
    Looking(Look),
    /// The customer is being checked behind a probe.
    CheckingCustomer(Look),
    /// The linked profile is being made the primary one.
    Promoting(Linked),
    /// Backs off; the flag says whether the wait spends budget.
    Waiting(Next, bool),
    /// Its end is being written down.
    Ending,
}

impl State {
    /// Its name, for traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Converting => "Converting",
            Self::Storing => "Storing",
            Self::Converted(_) => "Converted",
            Self::Linking => "Linking",
            Self::Settling(_) => "Settling",
            Self::Looking(_) => "Looking",
            Self::CheckingCustomer(_) => "CheckingCustomer",
            Self::Promoting(_) => "Promoting",
            Self::Waiting(..) => "Waiting",
            Self::Ending => "Ending",
        }
    }
}

/// What was observed.
pub enum Observation {
    /// The shell begins the event.
    Begun(Past),
    /// A conversion that waited for its turn to be sent finds its token dead.
    Expired,
    /// A conversion's answer.
    Conversion(CallOutcome<()>),
    /// The permanent token is durable.
    Stored,
    /// The customer's earlier events have ended.
    Turn,
    /// A link's answer.
    Link(CallOutcome<LinkAnswer>),
    /// A wait is over.
    Due,
    /// A look-up's answer.
    Looked(LookOutcome),
    /// The customer check's answer.
    Customer(CustomerCheck),
    /// A promotion's answer.
    Promotion(CallOutcome<()>),
}

impl Observation {
    /// An answer that looks like our own misconfiguration, and is not: others are answered meanwhile. So it is a failure of
    /// this event alone, and spends its budget.
    #[must_use]
    pub fn as_own_failure(self) -> Self {
        match self {
            Self::Conversion(outcome) => Self::Conversion(outcome.as_own_failure()),
            Self::Link(outcome) => Self::Link(outcome.as_own_failure()),
            Self::Promotion(outcome) => Self::Promotion(outcome.as_own_failure()),
            Self::Looked(LookOutcome::Misconfigured { detail }) => {
                Self::Looked(LookOutcome::Failed { retry_after: None, detail })
            }
            Self::Customer(CustomerCheck::Misconfigured { detail }) => {
                Self::Customer(CustomerCheck::Unclear { detail })
            }
            other => other,
        }
    }

    /// Whether it is the answer to a call that changes something: only such a one tells whether we may.
    #[must_use]
    pub fn is_of_change(&self) -> bool {
        matches!(self, Self::Conversion(_) | Self::Link(_) | Self::Promotion(_))
    }

    /// Whether it tells of a link that was applied, or may have been.
    #[must_use]
    pub fn may_be_linked(&self) -> bool {
        matches!(self, Self::Link(CallOutcome::Done(_) | CallOutcome::Unknown { .. }))
    }

    /// Whether something went wrong with the event, be it for the first time and without consequence.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Conversion(outcome) | Self::Promotion(outcome) => outcome.is_failure(),
            Self::Link(outcome) => outcome.is_failure(),
            Self::Looked(outcome) => !matches!(outcome, LookOutcome::Found { .. } | LookOutcome::Absent),
            Self::Customer(check) => !matches!(check, CustomerCheck::Exists),
            Self::Expired => true,
            Self::Begun(_) | Self::Stored | Self::Turn | Self::Due => false,
        }
    }
}

/// How an event ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Linked.
    Linked {
        /// The profile.
        profile: FoundProfile,
        /// Whether it was found by reading back after an unseen outcome or a refusal.
        by_look_up: bool,
    },
    /// Not linked.
    Rejected(Reason),
}

/// What the shell does next; always exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Convert the temporary token.
    Convert,
    /// Write the permanent token down.
    Store,
    /// Report `Turn` when the customer's earlier events have ended.
    AwaitTurn,
    /// Link.
    Link,
    /// Look for our profile.
    LookUp,
    /// Check the customer behind the probe.
    CheckCustomer,
    /// Make this profile the primary one.
    Promote(FoundProfile),
    /// Report `Due` after this time.
    Wait(Duration),
    /// As `Wait`, and write due time and budget down.
    BackOff(Duration),
    /// Write the end down and publish it.
    End(End),
    /// Nothing: the observation does not fit the state (it came late).
    Nothing,
}
